//! Labels through expressions over a row.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Operator, expr::ScalarFunction},
};
use ledger::contract::Operation;

use super::{
    Unknown,
    home::{Home, Labels, unalias},
    label::Label,
};
use crate::compile::words::words;

/// The row that an expression is over.
pub(super) struct Row<'a> {
    pub(super) home: &'a mut Home,
    pub(super) schema: &'a DFSchema,
    pub(super) columns: &'a [Label],
}

impl Row<'_> {
    /// What the value derives from.
    pub(super) fn expr(&mut self, e: &Expr) -> Result<Label, Unknown> {
        match e {
            Expr::Alias(a) => self.expr(&a.expr),
            Expr::Literal(..) => Ok(Label::default()),
            Expr::Column(c) => {
                let at = self.schema.index_of_column(c).map_err(|_| Unknown::of(format!("the column {}", c.flat_name())))?;
                self.columns.get(at).cloned().ok_or_else(|| Unknown::of(format!("the column {}", c.flat_name())))
            }
            Expr::OuterReferenceColumn(_, c) => {
                let found = self.home.outer.iter().rev().find_map(|(schema, labels)| labels.get(schema.maybe_index_of_column(c)?).cloned());
                found.ok_or_else(|| Unknown::of(format!("the column {}", c.flat_name())))
            }
            Expr::Cast(c) => self.cast(e, &c.expr, c.field.data_type()),
            Expr::TryCast(c) => self.cast(e, &c.expr, c.field.data_type()),
            Expr::Negative(inner) => Ok(self.expr(inner)?.negated()),
            Expr::BinaryExpr(b) => {
                let (l, r) = (self.expr(&b.left)?, self.expr(&b.right)?);
                match b.op {
                    Operator::And | Operator::Or => Ok(l.with_condition(&r)),
                    Operator::Plus | Operator::Minus | Operator::Multiply if self.rounds(e, b) => self.any(e, l.and(&r)),
                    Operator::Plus | Operator::Minus if far([(&b.left, &l), (&b.right, &r)]) => self.any(e, l.and(&r)),
                    Operator::Plus => Ok(l.plus(&r)),
                    Operator::Minus => Ok(l.minus(&r)),
                    Operator::Multiply => Ok(l.times(&r, is_positive(&b.left) || is_positive(&b.right))),
                    Operator::Divide => self.quotient(e, &l, &r),
                    Operator::Eq | Operator::IsNotDistinctFrom => Ok(self.equal(e, &l, &r)),
                    // whether there is any group
                    Operator::Gt if is_zero(&b.right) => Ok(l.any_group().tested(Operation::Filter, &words(e))),
                    op if is_comparison(op) => Ok(l.and(&r).tested(Operation::Filter, &words(e))),
                    _ => self.any(e, l.and(&r)),
                }
            }
            Expr::Not(inner) => Ok(self.expr(inner)?.tested_as("NOT")),
            Expr::IsTrue(inner) => self.is(e, inner, "TRUE"),
            Expr::IsFalse(inner) => self.is(e, inner, "FALSE"),
            Expr::IsNotTrue(inner) => self.is(e, inner, "NOT TRUE"),
            Expr::IsNotFalse(inner) => self.is(e, inner, "NOT FALSE"),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
                let label = self.expr(inner)?.presence(self.home.always());
                Ok(label.tested_as("NULL:"))
            }
            Expr::Between(b) => {
                let all = [self.expr(&b.expr)?, self.expr(&b.low)?, self.expr(&b.high)?];
                Ok(Label::union(&all).tested(Operation::Filter, &words(e)))
            }
            Expr::Like(l) | Expr::SimilarTo(l) => {
                let both = self.expr(&l.expr)?.and(&self.expr(&l.pattern)?);
                Ok(both.tested(Operation::Filter, &words(e)))
            }
            Expr::InList(l) => {
                let mut all = self.expr(&l.expr)?;
                for item in &l.list {
                    all = all.and(&self.expr(item)?);
                }
                Ok(all.tested(Operation::Filter, &words(e)))
            }
            Expr::Case(c) => self.case(c),
            Expr::ScalarFunction(f) => self.function(e, f),
            Expr::ScalarSubquery(s) => {
                let labels = self.inner(&s.subquery)?;
                Ok(labels.columns.into_iter().next().unwrap_or_default())
            }
            Expr::Exists(x) => {
                let labels = self.inner(&x.subquery.subquery)?;
                Ok(labels.rows.where_rows())
            }
            Expr::InSubquery(x) => {
                let of = self.expr(&x.expr)?;
                let labels = self.inner(&x.subquery.subquery)?;
                let among = labels.columns.into_iter().next().unwrap_or_default();
                let met = self.equal(e, &of, &among);
                Ok(met.and(&labels.rows.joined_on(&among.joining()).where_rows()))
            }
            other => Err(Unknown::of(format!("the expression {}", words(other)))),
        }
    }

    /// What it is where only equality counts: a text of a number is equal where the number is.
    pub(super) fn matching(&mut self, e: &Expr) -> Result<Label, Unknown> {
        match unalias(e) {
            Expr::Cast(c) if is_text(c.field.data_type()) => {
                let from = c.expr.get_type(self.schema).unwrap_or(DataType::Null);
                if keeps_apart(&from, c.field.data_type()) { self.matching(&c.expr) } else { self.expr(e) }
            }
            _ => self.expr(e),
        }
    }

    /// What it decides: a column that is itself true or false is compared by it.
    pub(super) fn condition(&mut self, e: &Expr) -> Result<Label, Unknown> {
        Ok(self.expr(e)?.tested(Operation::Filter, &words(e)))
    }

    fn inner(&mut self, plan: &datafusion::logical_expr::LogicalPlan) -> Result<Labels, Unknown> {
        self.home.outer.push((self.schema.clone(), self.columns.to_vec()));
        let labels = self.home.plan(plan);
        self.home.outer.pop();
        let labels = labels?;
        self.home.uses.placed(&labels.rows);
        Ok(labels)
    }

    /// Equality of what two tables have matches them; any other compares.
    fn equal(&mut self, e: &Expr, l: &Label, r: &Label) -> Label {
        self.home.at(&words(e), |home| home.equal(l, r, &words(e)))
    }

    fn is(&mut self, e: &Expr, inner: &Expr, what: &str) -> Result<Label, Unknown> {
        let label = self.expr(inner)?;
        Ok(label.tested(Operation::Filter, &words(e)).tested_as(what))
    }

    fn cast(&mut self, e: &Expr, of: &Expr, to: &DataType) -> Result<Label, Unknown> {
        let label = self.expr(of)?;
        let from = of.get_type(self.schema).unwrap_or(DataType::Null);
        // what a literal moved far beyond its own digits falls together with its neighbours
        let moved = matches!(from, DataType::Decimal128(16.., _)) && to.is_floating() && label.has_literal();
        match keeps_apart(&from, to) && !moved {
            // as texts the numbers are in another order
            true if is_text(to) && !keeps_order(&from, label.has_literal()) => Ok(label.computed()),
            true => Ok(label),
            false => self.any(e, label),
        }
    }

    /// What is divided by is compared with 0, and what is rounded is told from what rounds otherwise; a floating-point number divided by a literal is not.
    fn quotient(&mut self, e: &Expr, of: &Label, by: &Label) -> Result<Label, Unknown> {
        let both = of.clone().and(by);
        match e.get_type(self.schema) {
            Ok(ty) if ty.is_floating() => Ok(both.computed().and(&by.tested(Operation::Filter, &words(e)))),
            _ => self.any(e, both),
        }
    }

    fn case(&mut self, c: &Case) -> Result<Label, Unknown> {
        let mut all = Label::default();
        let values: Vec<&Expr> = c.when_then_expr.iter().map(|(_, then)| then).chain(&c.else_expr).map(AsRef::as_ref).collect();
        let of = c.expr.as_ref().map(|of| self.expr(of)).transpose()?;
        for (when, _) in &c.when_then_expr {
            let when = match &of {
                Some(of) => of.clone().and(&self.expr(when)?).tested(Operation::Filter, &words(when)),
                None if asks_for_null(when, &values) => self.condition(when)?.unchosen(),
                None => self.condition(when)?,
            };
            all = all.and(&when);
        }
        Ok(all.and(&self.one_of(values)?))
    }

    /// One of these values: NULL is none.
    fn one_of<'e>(&mut self, all: impl IntoIterator<Item = &'e Expr>) -> Result<Label, Unknown> {
        let (mut arms, mut zero) = (Vec::new(), false);
        for e in all {
            match uncast(e) {
                Expr::Literal(v, _) if v.is_null() => {}
                literal if is_zero(literal) => zero = true,
                _ => arms.push(self.expr(e)?),
            }
        }
        let one = Label::one_of(&arms);
        Ok(if zero { one.or_zero() } else { one })
    }

    /// Whether sums and products of such values are rounded: floating-point numbers, or dates at the end of a month.
    fn rounds(&self, e: &Expr, b: &BinaryExpr) -> bool {
        let ty = |e: &Expr| e.get_type(self.schema).unwrap_or(DataType::Null);
        let moves = [&b.left, &b.right].into_iter().any(|side| matches!(ty(side), DataType::Interval(_)));
        ty(e).is_floating() || moves && ty(e).is_temporal() && !matches!(ty(e), DataType::Interval(_))
    }

    fn function(&mut self, e: &Expr, f: &ScalarFunction) -> Result<Label, Unknown> {
        if f.name() == "coalesce" {
            return self.one_of(&f.args);
        }
        let args = f.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?;
        self.any(e, Label::union(&args))
    }

    /// What may tell values apart as a comparison does. If it is more than true or false, it has the value in it, too.
    fn any(&mut self, e: &Expr, label: Label) -> Result<Label, Unknown> {
        let tested = label.tested(Operation::Filter, &words(e));
        match e.get_type(self.schema) {
            Ok(DataType::Boolean) => Ok(tested),
            _ => Ok(label.computed().and(&tested)),
        }
    }
}

impl Home {
    /// Equality of what two tables have matches them; any other compares.
    pub(super) fn equal(&mut self, l: &Label, r: &Label, words: &str) -> Label {
        let (of_l, of_r) = (l.private_tables(), r.private_tables());
        let public = |label: &Label| !label.columns().is_empty() && label.private_tables().is_empty();
        let apart = !of_l.is_empty() && !of_r.is_empty() && of_l.is_disjoint(&of_r) || public(l) || public(r);
        if apart {
            self.uses.matched(l, r);
        }
        l.clone().and(r).tested(if apart { Operation::Join } else { Operation::Filter }, words)
    }
}

pub(super) fn uncast(e: &Expr) -> &Expr {
    match unalias(e) {
        Expr::Cast(c) => uncast(&c.expr),
        other => other,
    }
}

/// Whether a cast makes one value of no two, and does so of all: else it compares.
fn keeps_apart(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Decimal128, Float32, Float64, Null, Timestamp};
    // how many digits before the point, and behind it
    let digits = |ty: &DataType| match ty {
        Decimal128(precision, scale) => Some((i32::from(*precision) - i32::from(*scale), i32::from(*scale))),
        ty => integer(ty).map(|(bits, signed)| (i32::from(bits - u8::from(signed)) * 30103 / 100_000 + 1, 0)),
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Null | Boolean, to) => !matches!(to, Boolean),
        (from, to) if is_text(to) => is_text(from) || from.is_primitive(),
        // beyond 2^53 neighbours fall together
        (from, Float64) => digits(from).is_some() || *from == Float32,
        (Date32 | Date64, Date32 | Date64 | Timestamp(..)) => true,
        (Timestamp(unit, zone), Timestamp(finer, other)) => zone == other && unit < finer,
        (from, to) => match (integer(from), integer(to), digits(from), digits(to)) {
            (Some((from, signed)), Some((to, to_signed)), ..) => from - u8::from(signed) <= to - u8::from(to_signed) && signed <= to_signed,
            (.., Some((before, behind)), Some((to_before, to_behind))) => before <= to_before && behind <= to_behind,
            _ => false,
        },
    }
}

/// Whether what is less stays less as a text; `moved`: it may lie beyond the years of four digits.
fn keeps_order(from: &DataType, moved: bool) -> bool {
    match from {
        DataType::Null | DataType::Boolean => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => !moved,
        from => is_text(from),
    }
}

fn is_text(ty: &DataType) -> bool {
    ty.is_string() || matches!(ty, DataType::Dictionary(_, of) if of.is_string())
}

/// The bits of an integer type, and whether one of them is a sign.
fn integer(ty: &DataType) -> Option<(u8, bool)> {
    Some(match ty {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

/// Whether a condition asks of one of these values whether it is there, and the others are 0 or NULL: they add as much without it. (Of a value that is none of them it chooses.)
fn asks_for_null(when: &Expr, values: &[&Expr]) -> bool {
    let (Expr::IsNull(of) | Expr::IsNotNull(of)) = unalias(when) else { return false };
    let nothing = |value: &Expr| is_zero(value) || matches!(value, Expr::Literal(v, _) if v.is_null());
    let (own, others): (Vec<&Expr>, Vec<&Expr>) = values.iter().map(|value| uncast(value)).partition(|value| *value == uncast(of));
    !own.is_empty() && others.into_iter().all(nothing)
}

/// Whether a sum or a difference moves values as far as a floating-point number does not tell them apart any more, by a literal or by what is only known to be one.
fn far(sides: [(&Expr, &Label); 2]) -> bool {
    let near = |e: &Expr| match unalias(e) {
        Expr::Literal(v, _) => !matches!(v.data_type(), DataType::Int64 | DataType::UInt64) || v.to_string().len() <= 10,
        _ => false,
    };
    let [(left, l), (right, r)] = sides;
    match (l.0.is_empty(), r.0.is_empty()) {
        (true, false) => !near(left),
        (false, true) => !near(right),
        _ => false,
    }
}

/// Whether a factor is a literal that is not less than 0.
fn is_positive(e: &Expr) -> bool {
    matches!(unalias(e), Expr::Literal(v, _) if !v.is_null() && !v.to_string().starts_with('-'))
}

fn is_zero(e: &Expr) -> bool {
    matches!(e, Expr::Literal(v, _) if v.to_string().trim_matches(['0', '.']).is_empty())
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{
        Gt, GtEq, ILikeMatch, IsDistinctFrom, LikeMatch, Lt, LtEq, NotEq, NotILikeMatch, NotLikeMatch, RegexIMatch, RegexMatch,
        RegexNotIMatch, RegexNotMatch,
    };
    matches!(
        op,
        Lt | LtEq
            | Gt
            | GtEq
            | NotEq
            | IsDistinctFrom
            | LikeMatch
            | ILikeMatch
            | NotLikeMatch
            | NotILikeMatch
            | RegexMatch
            | RegexIMatch
            | RegexNotMatch
            | RegexNotIMatch
    )
}
