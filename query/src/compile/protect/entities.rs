//! How many entities the rows of a relation are made of.
//!
//! A row of a table is of one entity, which a column names. Joins, filters and unions pass the column on. Where rows are folded before they come out, in a sub-query
//! of one owner for instance, the fold counts: its row is of so many entities. Rows of several folds cannot be told apart any more; what is known then
//! is that each has at least its own number, and that numbers add up to at most `most` times what they count, if no entity is in more rows.
//!
//! What a value of a row is made of is less than the row, if NULLs and FILTER leave some out: the number of a fold is the least over its aggregates.

mod enough;
mod meet;
mod walk;

pub(in crate::compile) use enough::Weight;

use std::collections::BTreeSet;

use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    functions::core::expr_fn::coalesce,
    functions_aggregate::expr_fn::{count, count_distinct},
    logical_expr::{Case, Expr, LogicalPlan, expr::AggregateFunction, lit},
};

use self::walk::Walk;
use super::{Groups, dominance::Portions};
use crate::compile::expr::Reads;
use crate::compile::{SqlError, facts::Facts, internal};

/// Thresholds beyond this are none: numbers that count an entity so often say nothing.
const MOST: u128 = 1 << 40;

/// How the names of columns begin that only count.
pub(super) const OWN: &str = "entities of ";

/// A plan, and what its rows are made of. It has the columns of another plan, which come first, and some more.
pub(in crate::compile) struct Counted {
    pub(in crate::compile) plan: LogicalPlan,
    of: Vec<Entities>,
    rule: Rule,
}

/// What is asked of a group.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// So many entities; 1 asks for nothing.
    pub(super) min_group: u64,
    /// The most of a sum that one entity may have, in per cent; none: all.
    pub(super) percent: Option<u64>,
    /// Whether groups come out beside their total.
    pub(super) beside_total: bool,
    /// Whether numbers are compared with noise: one entity must not move them far.
    pub(super) noisy: bool,
    /// Whether the rows of each value that a CASE chooses are of enough entities by themselves.
    pub(super) branches: bool,
}

/// The entities of a data set.
#[derive(Clone, Debug)]
struct Entities {
    table: String,
    /// The entity key of the contract; none: rows are counted.
    key: Option<String>,
    are: Are,
    /// How much of the values is of one.
    portions: Portions,
}

#[derive(Clone, Debug)]
enum Are {
    /// Each row is of the one named in this column; of none, if that is NULL.
    Named(Column),
    /// Each row is of at least so many (never NULL). Over any rows these add up to at most `most` times their distinct entities.
    Numbered { number: Expr, most: Option<u128> },
}

impl Counted {
    /// Of which entities the rows of a plan are.
    pub(super) fn of(plan: &LogicalPlan, groups: Groups<'_>) -> Result<Self, SqlError> {
        let Groups { protection, catalog, text, .. } = groups;
        Walk { protection, catalog, text, rule: groups.rule(), next: 0 }.plan(plan)
    }
}

impl Entities {
    fn value(&self) -> Expr {
        match &self.are {
            Are::Named(c) => Expr::Column(c.clone()),
            Are::Numbered { number, .. } => number.clone(),
        }
    }

    /// The same in this column.
    fn with(self, column: Column) -> Self {
        let are = match self.are {
            Are::Named(_) => Are::Named(column),
            Are::Numbered { most, .. } => Are::Numbered { number: Expr::Column(column), most },
        };
        Entities { are, ..self }
    }

    /// All columns that it is read from.
    fn columns(&self) -> impl Iterator<Item = Column> {
        let own: Vec<Column> = self.value().reads().into_iter().cloned().collect();
        own.into_iter().chain(self.portions.columns())
    }

    /// The same with columns of other names.
    fn moved(&self, to: impl Fn(&Column) -> datafusion::common::Result<Column>) -> Result<Self, SqlError> {
        let renamed = |e: &Expr| {
            let moved = e.clone().transform(|e| match &e {
                Expr::Column(c) => Ok(Transformed::yes(Expr::Column(to(c)?))),
                _ => Ok(Transformed::no(e)),
            });
            moved.map(|e| e.data).map_err(internal)
        };
        let are = match &self.are {
            Are::Named(c) => Are::Named(to(c).map_err(internal)?),
            Are::Numbered { number, most } => Are::Numbered { number: renamed(number)?, most: *most },
        };
        Ok(Entities { are, portions: self.portions.moved(renamed)?, ..self.clone() })
    }

    /// In a join with rows of which so many meet each of its own; `outer`: in some rows of the join it has none.
    fn repeated(self, times: Option<u128>, outer: bool) -> Self {
        let are = match self.are {
            Are::Numbered { number, most } => Are::Numbered {
                number: if outer { or_none(number) } else { number },
                most: most.zip(times).and_then(|(most, times)| most.checked_mul(times)).filter(|m| *m <= MOST),
            },
            named => named,
        };
        Entities { are, ..self }
    }
}

/// COUNT(DISTINCT key), which is the number of rows where the key is unique.
fn named(key: &Column, schema: &DFSchema, facts: &Facts) -> Expr {
    let column = Expr::Column(key.clone());
    match schema.index_of_column(key).is_ok_and(|at| facts.unique_on(&BTreeSet::from([at]))) {
        true => count(column),
        false => count_distinct(column),
    }
}

/// An aggregate over the rows in which a condition holds.
fn over(aggregate: Expr, given: Option<Expr>) -> Expr {
    match aggregate {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            params.filter = given.map(Box::new);
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        other => other,
    }
}

fn or_none(number: Expr) -> Expr {
    coalesce(vec![number, lit(0i64)])
}

pub(super) fn choose(when: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case::new(None, vec![(Box::new(when), Box::new(then))], Some(Box::new(otherwise))))
}

pub(super) fn unalias(e: &Expr) -> &Expr {
    match e {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}
