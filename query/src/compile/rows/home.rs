//! One owner's part of a query: a sub-plan run in clear at home, whose rows are shared column by column.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder},
};

use ledger::contract::Sizes;

use super::{Asked, Demand, Rows, form};
use crate::{
    compile::{
        Compiler, SqlError,
        expr::{cast, counted, said},
        facts::{self, Facts},
        internal,
    },
    plan::{
        Decided, Source, Subplan,
        relation::{Operator as Op, RowColumn, RowForm},
    },
};

impl Rows<'_> {
    /// The demands on one owner's (or public) part, computed at home.
    pub(super) fn home(&mut self, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        let mut distinct: Vec<&Demand> = Vec::new();
        let mut at = Vec::new();
        for d in demands {
            at.push(distinct.iter().position(|o| *o == d).unwrap_or_else(|| {
                distinct.push(d);
                distinct.len() - 1
            }));
        }
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (i, d) in distinct.iter().enumerate() {
            let known = form::known_of(&d.expr, plan.schema(), &facts.columns, self.catalog);
            let ty = d.expr.get_type(plan.schema()).map_err(internal)?;
            exprs.push(delivered(&d.expr, &ty, &d.form).alias(format!("c{i}")));
            columns.push(RowColumn { words: said(&d.expr), form: d.form.clone(), nullable: known.nullable });
        }
        if exprs.is_empty() {
            // a relation that is only counted still has rows
            exprs.push(datafusion::logical_expr::lit(true).alias("c0"));
            columns.push(RowColumn { words: "a row".into(), form: RowForm::Bit, nullable: false });
        }
        let places = places(&facts, self.catalog).filter(|n| *n <= 1 << 32).ok_or_else(|| self.too_many(plan))?;
        let sub = LogicalPlanBuilder::from(plan.clone()).project(exprs).and_then(|b| b.build()).map_err(internal)?;
        let sub = Compiler::new(self.catalog, self.text).total(sub)?;
        let source = facts::owners(plan).into_iter().next().map_or(Source::Public, Source::Party);
        let sizes = self.disclosed(plan, places, facts.exactly_one);
        let op = Op::Home { source, plan: Subplan::new(sub), sizes };
        let id = self.push(op, places, facts.exactly_one, columns);
        Ok(Asked { id, at })
    }

    /// What is disclosed of the number of rows: what each private table that they come of allows, unless a contract is against it.
    fn disclosed(&mut self, plan: &LogicalPlan, places: u64, full: bool) -> Sizes {
        let tables = facts::tables(plan);
        let private = tables.iter().filter_map(|name| self.catalog.table(name)).filter(|table| table.owner().is_some());
        let allowed = private.map(|table| table.sizes).min().unwrap_or_default();
        // how many rows pass a filter is a group too
        let guarded = self.groups.is_some_and(|groups| groups.concern(plan) || groups.noise(plan).is_some());
        let (declared, told) = match allowed {
            _ if full => return allowed,
            Sizes::Hidden => return Sizes::Hidden,
            Sizes::Bucket => ("bucket", "told to the other parties, rounded up by a quarter at most"),
            Sizes::Exact => ("exact", "told to the other parties"),
        };
        let of = format!("how many rows of {} are left", tables.join(", "));
        self.decided.push(match guarded {
            true => Decided::new(of, "hidden", "a contract asks for a smallest group or for noise, and how many rows pass a filter is a group too"),
            false => {
                let why = format!("the catalogue allows it (sizes = \"{declared}\"), and all that follows is laid out on so many places instead of {places}");
                Decided::new(of, told, why)
            }
        });
        if guarded { Sizes::Hidden } else { allowed }
    }

    fn too_many(&self, plan: &LogicalPlan) -> SqlError {
        let of = facts::tables(plan).join(", ");
        SqlError::width(
            format!("the sub-query over {of} can have more rows than fit, as the catalogue bounds them"),
            "join on a declared key, aggregate, or declare a tighter max_rows",
        )
    }
}

/// The public bound of a relation's rows: of the tables' sizes, and of the tuples its unique columns can form.
pub(super) fn places(facts: &Facts, catalog: &crate::catalog::Catalog) -> Option<u64> {
    let tuples = |key: &std::collections::BTreeSet<usize>| form::tuples(key.iter().map(|&c| &facts.columns[c]), catalog);
    let most = facts.unique.iter().filter_map(tuples).min().map_or(facts.rows, |t| t.min(facts.rows));
    u64::try_from(most.max(1)).ok()
}

/// An expression as the sub-plan delivers it: numbers and moments as DECIMAL(38, scale), which is what is encoded.
fn delivered(expr: &Expr, ty: &DataType, form: &RowForm) -> Expr {
    let expr = super::emit::unalias(expr).clone();
    match form {
        RowForm::Planes { scale, .. } | RowForm::Field { scale, .. } => counted(expr, ty, *scale),
        RowForm::Code { .. } | RowForm::Text { .. } => cast(expr, DataType::Utf8),
        RowForm::Bit => expr,
    }
}
