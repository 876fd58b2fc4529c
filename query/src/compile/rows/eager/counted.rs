//! Many rows with many, of which no pair is formed: what is summed over pairs with equal keys is summed of the one side for each key first, and over all
//! pairs there are, of each side by itself.

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema},
    functions_aggregate::expr_fn::{count, sum},
    logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, expr::AggregateFunction, lit},
};

use super::{
    Better, FOLDED, Fold, OTHER, Over, Sides, apart, distinct, folded_by, in_places, is_folded, names,
    product::{self, Factor, Product},
    replaced, unalias,
};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::{Facts, Input},
        internal,
        release::aggregate_function,
    },
};

impl Sides<'_> {
    /// The aggregate over the base and the table's rows folded by the keys, which are counted.
    pub(super) fn counted(&self, plan: &LogicalPlan) -> Result<Option<Better>, SqlError> {
        let of_table = |e: &Expr| e.reads().into_iter().all(|c| self.table.schema().has_column(c));
        if self.is_folded() {
            return Ok(None);
        }
        // of the table, only what it is joined on is known after the fold
        let (folded_on, at) = distinct(self.on.iter().map(|(_, t)| t.clone()));
        let names_on = names(FOLDED, &folded_on);
        let of_keys: Vec<&Column> = at.iter().map(|key| &names_on[*key]).collect();
        let known = |e: &Expr| replaced(e, &|e| self.on.iter().position(|(_, t)| t == e).map(|i| Expr::Column(of_keys[i].clone())));
        let keys = self.over.keys.iter().map(|k| known(unalias(k))).collect::<Result<Vec<_>, _>>()?;
        let conditions = self.over.conditions.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let expressible = |e: &Expr| e.reads().into_iter().all(|c| self.has(c) || is_folded(c));
        if !keys.iter().chain(&conditions).all(expressible) {
            return Ok(None);
        }
        let rows = Facts::of(self.table, self.catalog).in_group(&folded_on, self.table.schema());
        let mut table = Folding { name: FOLDED, input: self.table, keys: folded_on, firsts: vec![count(lit(1i64))] };
        let mut folded = |first: Expr| table.column(first);
        let (pairs, schema) = (Facts::of(&LogicalPlan::Join(self.over.join.clone()), self.catalog), &self.over.join.schema);
        let pairs = Input { schema, columns: &pairs.columns, catalog: self.catalog };
        let mut folds = Vec::new();
        for e in &self.over.aggregates {
            let Some(f) = aggregate_function(e) else { return Ok(None) };
            let again = if of_table(e) && !e.reads().is_empty() {
                Fold::split(e).and_then(|fold| fold.again(folded(unalias(e).clone())))
            } else if self.of_base(e) {
                times(f, folded(count(lit(1i64))), self.base.schema(), rows)
            } else {
                Product::of(f, pairs, &|e| self.side(e)).and_then(|product| {
                    let Product { base, table: factor } = product;
                    let of_table = folded(factor.folded(f.func.name() == "count")?);
                    let value = match base.value() {
                        Some(value) => product::times((value, base.scale()), (of_table, factor.scale())),
                        None => of_table,
                    };
                    product::filtered(sum(value), base.given())
                })
            };
            let Some(again) = again else { return Ok(None) };
            folds.push((again, Fold::Split(e, f)));
        }
        let (again, folds): (Vec<Expr>, Vec<Fold<'_>>) = folds.into_iter().unzip();

        let table = folded_by(table.name, table.input, &table.keys, &table.firsts)?;
        let on = self.on.iter().enumerate().map(|(i, (b, _))| (b.clone(), Expr::Column(of_keys[i].clone()))).collect();
        let mut whole = LogicalPlanBuilder::from(self.over.joined(self.base.clone(), table, on)?);
        if let Some(condition) = conditions.into_iter().reduce(Expr::and) {
            whole = whole.filter(condition).map_err(internal)?;
        }
        let (again, at) = distinct(again);
        let whole = whole.aggregate(keys, apart(again)).map_err(internal)?;
        let values = in_places(&whole, self.over.keys.len(), &at);
        let better = self.over.as_asked(plan, whole, values, &folds, self.catalog)?;
        let keys = self.on.iter().map(|(_, t)| said(t)).collect::<Vec<_>>().join(", ");
        let way = format!("formed after a join with a row for each {keys}, which counts how many there are");
        Ok(Some((better, way, "neither side is unique on the keys, and so no pair is formed".into())))
    }
}

impl Over<'_> {
    /// The aggregate of all pairs there are, of what either side is folded to by its own keys.
    pub(super) fn crossed(&self, plan: &LogicalPlan, catalog: &Catalog) -> Result<Option<Better>, SqlError> {
        let inputs = [self.join.left.as_ref(), self.join.right.as_ref()];
        let few = |input: &LogicalPlan| Facts::of(input, catalog).rows <= 1;
        if !self.conditions.is_empty() || inputs.into_iter().any(few) {
            return Ok(None);
        }
        let side = |e: &Expr| inputs.iter().position(|input| e.reads().into_iter().all(|c| input.schema().has_column(c)));
        let mut sides =
            [(FOLDED, inputs[0]), (OTHER, inputs[1])].map(|(name, input)| Folding { name, input, keys: Vec::new(), firsts: Vec::new() });
        let mut places = Vec::new();
        for key in self.keys.iter().map(unalias) {
            let Some(at) = side(key).filter(|_| !key.reads().is_empty()) else { return Ok(None) };
            sides[at].keys.push(key.clone());
            places.push((at, sides[at].keys.len() - 1));
        }
        let (pairs, schema) = (Facts::of(&LogicalPlan::Join(self.join.clone()), catalog), &self.join.schema);
        let pairs = Input { schema, columns: &pairs.columns, catalog };
        let (mut values, mut folds) = (Vec::new(), Vec::new());
        for e in &self.aggregates {
            let Some(f) = aggregate_function(e) else { return Ok(None) };
            let Some(product) = Product::of(f, pairs, &|e| side(e).map(|at| at == 0)) else { return Ok(None) };
            let counted = f.func.name() == "count";
            let mut folded = |at: usize, factor: &Factor| Some((sides[at].column(factor.folded(counted)?), factor.scale()));
            let Some((a, b)) = folded(0, &product.base).zip(folded(1, &product.table)) else { return Ok(None) };
            values.push(product::times(a, b));
            folds.push(Fold::Split(e, f));
        }
        let keys =
            places.iter().map(|(at, key)| Expr::Column(names(sides[*at].name, &sides[*at].keys).swap_remove(*key))).collect::<Vec<_>>();
        let grouped = !keys.is_empty();
        let [left, right] = sides;
        let whole = self.joined(left.folded(grouped)?, right.folded(grouped)?, Vec::new())?;
        let values = keys.into_iter().chain(values).collect();
        let better = self.as_asked(plan, LogicalPlanBuilder::from(whole), values, &folds, catalog)?;
        let way = "formed of what either side is folded to".into();
        Ok(Some((better, way, "every row of the one side meets every row of the other, and so no pair is formed".into())))
    }
}

/// A side, on its way to be folded.
struct Folding<'p> {
    name: &'static str,
    input: &'p LogicalPlan,
    keys: Vec<Expr>,
    firsts: Vec<Expr>,
}

impl Folding<'_> {
    /// The column of an aggregate.
    fn column(&mut self, first: Expr) -> Expr {
        let at = self.firsts.iter().position(|f| *f == first).unwrap_or_else(|| {
            self.firsts.push(first);
            self.firsts.len() - 1
        });
        Expr::Column(names(self.name, &self.firsts).swap_remove(at))
    }

    /// Its groups. If those of the other side are `grouped`, there are none where it has no rows.
    fn folded(mut self, grouped: bool) -> Result<LogicalPlan, SqlError> {
        if !grouped || !self.keys.is_empty() {
            return folded_by(self.name, self.input, &self.keys, &self.firsts);
        }
        let rows = self.column(count(lit(1i64)));
        let folded = folded_by(self.name, self.input, &self.keys, &self.firsts)?;
        LogicalPlanBuilder::from(folded).filter(rows.gt(lit(0i64))).and_then(|b| b.build()).map_err(internal)
    }
}

/// An aggregate of rows each of which counts `count` times, at most `most`.
fn times(f: &AggregateFunction, count: Expr, schema: &DFSchema, most: u128) -> Option<Expr> {
    let (name, args) = (f.func.name(), f.params.args.as_slice());
    // of rows that are repeated nothing changes
    let extreme = matches!(name, "min" | "max" | "bool_and" | "bool_or");
    if extreme || matches!(name, "count" | "sum" | "avg") && f.params.distinct {
        return Some(Expr::AggregateFunction(f.clone()));
    }
    if f.params.distinct || !f.params.order_by.is_empty() {
        return None;
    }
    let (summed, given) = match (name, args) {
        ("count", args) => {
            (count, args.iter().filter(|e| !matches!(e, Expr::Literal(v, _) if !v.is_null())).cloned().map(Expr::is_not_null).collect())
        }
        ("sum", [x]) => {
            let count = match x.get_type(schema).ok()? {
                ty if ty.is_integer() => count,
                DataType::Decimal128(..) => {
                    let digits = u8::try_from(most.max(1).ilog10() + 1).ok()?;
                    Expr::Cast(Cast::new(Box::new(count), DataType::Decimal128(digits, 0)))
                }
                _ => return None,
            };
            (x.clone() * count, Vec::new())
        }
        _ => return None,
    };
    product::filtered(sum(summed), f.params.filter.as_deref().cloned().into_iter().chain(given).reduce(Expr::and))
}
