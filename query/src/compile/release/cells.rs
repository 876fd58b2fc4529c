//! Group keys: public ones name groups everyone knows; secret ones have few possible values, and each is a cell of every group.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{Aggregate, Expr, lit},
};

use crate::{
    compile::{
        Compiler, SqlError,
        expr::Scope,
        relation::Joint,
        symbol::{BitId, Bits, Local, Side, Val},
        words::words,
    },
    plan::Finish,
};

/// More cells than this in one query are refused.
const MOST_CELLS: usize = 64;

/// A secret group key: each possible value, and the bit of a row that has it.
pub(in crate::compile) struct Secret {
    pub(in crate::compile) name: String,
    values: Vec<(Option<String>, BitId)>,
}

/// All group keys of an aggregate.
pub(in crate::compile) struct Keys {
    pub(in crate::compile) by: Vec<(Expr, DataType, String)>,
    pub(in crate::compile) secret: Vec<Secret>,
    pub(in crate::compile) grouped: bool,
    order: Vec<Finish>,
}

impl Keys {
    /// The released columns of the keys.
    pub(in crate::compile) fn columns(&self, a: &Aggregate) -> Vec<(DataType, Finish)> {
        self.order.iter().enumerate().map(|(i, f)| (a.schema.field(i).data_type().clone(), f.clone())).collect()
    }
}

/// All combinations of the secret keys' values.
pub(in crate::compile) fn combinations(secret: &[Secret], bits: &mut Bits) -> Vec<(Vec<Option<String>>, BitId)> {
    let mut all = vec![(Vec::new(), Bits::TRUE)];
    for key in secret {
        let mut next = Vec::new();
        for (values, member) in &all {
            for (value, bit) in &key.values {
                let mut values: Vec<Option<String>> = values.clone();
                values.push(value.clone());
                next.push((values, bits.and([*member, *bit])));
            }
        }
        all = next;
    }
    all
}

impl Compiler<'_> {
    pub(in crate::compile) fn group_keys(&mut self, exprs: &[Expr], schema: &DFSchema, joint: &Joint) -> Result<Keys, SqlError> {
        let scope = Scope { schema, columns: &joint.columns, present: joint.present };
        let mut keys = Keys { by: Vec::new(), secret: Vec::new(), grouped: !exprs.is_empty(), order: Vec::new() };
        for expr in exprs {
            let place = self.text.expr(expr);
            let name = words(expr);
            if matches!(expr, Expr::GroupingSet(_)) {
                return Err(self.grouping_sets());
            }
            let values = match self.value(expr, scope)? {
                Val::Local(Local { side: Side::Public, expr, known, valid, .. }) => {
                    if valid != Bits::TRUE {
                        return Err(SqlError::unsupported(
                            format!("the group key {name} is NULL in rows that private data decide on"),
                            "group by the key of the relation whose rows are kept",
                        )
                        .at(place));
                    }
                    keys.order.push(Finish::Public(keys.by.len()));
                    keys.by.push((expr, known.ty, name));
                    continue;
                }
                Val::Bool(x) => {
                    let known = if self.bits.not(x.t) == x.f { Bits::TRUE } else { self.bits.or([x.t, x.f]) };
                    let mut values = vec![(Some("false".to_owned()), x.f), (Some("true".to_owned()), x.t)];
                    if known != Bits::TRUE {
                        values.push((None, self.bits.not(known)));
                    }
                    values
                }
                Val::Local(local) if local.known.ty == DataType::Boolean => {
                    let nullable = self.valid(&Val::Local(local.clone()));
                    let x = self.as_tri(Val::Local(local), expr)?;
                    let mut values = vec![(Some("false".to_owned()), x.f), (Some("true".to_owned()), x.t)];
                    if !self.bits.implied(nullable, joint.present) {
                        values.push((None, self.bits.not(nullable)));
                    }
                    values
                }
                Val::Local(local) => match listed(&local) {
                    Some(listed) => {
                        let valid = self.valid(&Val::Local(local.clone()));
                        let mut values = Vec::new();
                        for (text, literal) in listed {
                            let is = Expr::IsTrue(Box::new(local.expr.clone().eq(literal)));
                            let bit = self.bits.local(local.side.clone(), is);
                            values.push((Some(text), self.bits.and([bit, local.valid])));
                        }
                        if !self.bits.implied(valid, joint.present) {
                            values.push((None, self.bits.not(valid)));
                        }
                        values
                    }
                    None => {
                        return Err(SqlError::unsupported(
                            format!("the group key {name} is private to {} and its values are not public", local.side),
                            "group by a public key, by a column with a dictionary in the catalogue, or by a condition",
                        )
                        .at(place));
                    }
                },
                Val::Num(_) => {
                    let sides = self.sides(expr, scope);
                    return Err(SqlError::unsupported(
                        format!("the group key {name} is a number of several owners ({sides})"),
                        "group by a public key or by a condition",
                    )
                    .at(place));
                }
            };
            keys.order.push(Finish::Secret(keys.secret.len()));
            keys.secret.push(Secret { name, values });
        }
        let cells = keys.secret.iter().try_fold(1usize, |n, s| n.checked_mul(s.values.len())).unwrap_or(usize::MAX);
        if cells > MOST_CELLS {
            return Err(SqlError::unsupported(
                format!("the secret group keys have {cells} combinations of values; at most {MOST_CELLS} are supported"),
                "group by fewer or coarser keys",
            )
            .at(exprs.iter().find_map(|e| self.text.expr(e))));
        }
        Ok(keys)
    }
}

/// The possible values of a private key, if they are few and public.
fn listed(local: &Local) -> Option<Vec<(String, Expr)>> {
    if let Some(values) = &local.known.values {
        return Some(values.iter().map(|v| (v.clone(), lit(v.as_str()))).collect());
    }
    let range = local.known.range.filter(|_| local.known.ty.is_integer() && local.known.wide.is_none())?;
    let count = range.max.checked_sub(range.min).and_then(|n| usize::try_from(n).ok()).filter(|n| *n < MOST_CELLS)?;
    let values = (0..=count).map(|i| {
        let v = range.min + i as i128;
        let literal = ScalarValue::Int64(i64::try_from(v).ok()).cast_to(&local.known.ty).ok()?;
        Some((v.to_string(), Expr::Literal(literal, None)))
    });
    values.collect()
}
