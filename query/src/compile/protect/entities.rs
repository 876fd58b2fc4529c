//! How many entities the rows of a relation are made of.
//!
//! A row of a table is of one entity, which a column names. Joins, filters and unions pass the column on. Where rows are folded before they come out, in a sub-query
//! of one owner for instance, the fold counts: its row is of so many entities. Rows of several folds cannot be told apart any more; what is known then
//! is that each has at least its own number, and that numbers add up to at most `most` times what they count, if no entity is in more rows.
//!
//! What a value of a row is made of is less than the row, if NULLs and FILTER leave some out: the number of a fold is the least over its aggregates.

mod meet;
mod walk;

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, DFSchema},
    functions::core::expr_fn::{coalesce, least},
    functions_aggregate::expr_fn::{count, count_distinct, sum},
    logical_expr::{Aggregate, Case, Expr, LogicalPlan, expr::AggregateFunction, lit},
};

use self::walk::Walk;
use super::{Groups, given, refused};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{self, Facts},
        internal,
    },
};

/// Thresholds beyond this are none: numbers that count an entity so often say nothing.
const MOST: u128 = 1 << 40;

/// A plan, and what its rows are made of. It has the columns of another plan, which come first, and some more.
pub(in crate::compile) struct Counted {
    pub(in crate::compile) plan: LogicalPlan,
    of: Vec<Entities>,
    min_group: u64,
}

/// The entities of a data set.
#[derive(Clone, Debug)]
struct Entities {
    table: String,
    /// The entity key of the contract; none: rows are counted.
    key: Option<String>,
    are: Are,
}

#[derive(Clone, Debug)]
enum Are {
    /// Each row is of the one named in this column; of none, if that is NULL.
    Named(Column),
    /// Each row is of at least so many (never NULL). Over any rows these add up to at most `most` times their distinct entities.
    Numbered { number: Expr, most: Option<u128> },
}

/// Σ of a number over the rows of a group in which a condition holds, and how much it has to be.
pub(in crate::compile) struct Weight {
    /// In words.
    pub(in crate::compile) of: String,
    pub(in crate::compile) number: Expr,
    pub(in crate::compile) given: Option<Expr>,
    pub(in crate::compile) least: i64,
}

impl Counted {
    /// Of which entities the rows of a plan are.
    pub(super) fn of(plan: &LogicalPlan, groups: Groups<'_>) -> Result<Self, SqlError> {
        let Groups { protection, catalog, text } = groups;
        Walk { protection, catalog, text, next: 0 }.plan(plan)
    }

    /// The condition that each row is of enough entities; `None` if no data set asks for it.
    pub(in crate::compile) fn enough(&self) -> Result<Option<Expr>, SqlError> {
        let each = self.of.iter().map(|e| match &e.are {
            Are::Numbered { number, .. } if !number.column_refs().is_empty() => Ok(number.clone().gt_eq(lit(self.least()))),
            _ => Err(e.single(self.min_group)),
        });
        Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().reduce(Expr::and))
    }

    /// The same, of groups of rows: an aggregate each, and how much it has to be.
    pub(in crate::compile) fn folds(&self, a: &Aggregate, catalog: &Catalog) -> Result<Vec<(Expr, i64)>, SqlError> {
        self.in_common(a)?;
        let facts = Facts::of(&self.plan, catalog);
        let mut folds = Vec::new();
        for given in self.given(&a.aggr_expr, &facts, catalog)? {
            for e in &self.of {
                let fold = match &e.are {
                    Are::Named(c) => (named(c, self.plan.schema(), &facts), self.least()),
                    Are::Numbered { number, most } => {
                        let (number, least) = self.weight(e, number, *most)?;
                        (sum(number), least)
                    }
                };
                folds.push((over(fold.0, given.clone()), fold.1));
            }
        }
        Ok(folds)
    }

    /// The same as sums, without counting what is distinct.
    pub(in crate::compile) fn weights(&self, a: &Aggregate, catalog: &Catalog) -> Result<Vec<Weight>, SqlError> {
        self.in_common(a)?;
        let facts = Facts::of(&self.plan, catalog);
        let mut weights = Vec::new();
        for given in self.given(&a.aggr_expr, &facts, catalog)? {
            for e in &self.of {
                let (number, least) = match &e.are {
                    Are::Named(c) => {
                        let at = self.plan.schema().index_of_column(c).map_err(internal)?;
                        let once = facts.unique_on(&BTreeSet::from([at]));
                        let most = if once { Some(1) } else { facts.columns[at].repeats };
                        let most = most.filter(|m| *m <= MOST).ok_or_else(|| {
                            let what = format!("counting the different {c} of a group over public rows");
                            SqlError::unsupported(what, "join on private keys")
                        })?;
                        let one = choose(Expr::Column(c.clone()).is_not_null(), lit(1i64), lit(0i64));
                        (one, self.times(most))
                    }
                    Are::Numbered { number, most } => self.weight(e, number, *most)?,
                };
                weights.push(Weight { of: e.words(self.min_group), number, given: given.clone(), least });
            }
        }
        Ok(weights)
    }

    /// Whether the groups are not of one entity each.
    fn in_common(&self, a: &Aggregate) -> Result<(), SqlError> {
        let by = |c: &Column| a.group_expr.iter().any(|g| matches!(unalias(g), Expr::Column(g) if g == c));
        let single = self.of.iter().find(|e| matches!(&e.are, Are::Named(c) if by(c)));
        single.map_or(Ok(()), |e| Err(e.single(self.min_group)))
    }

    /// A number that adds up to the threshold only over rows of enough entities: a row that has enough by itself is as good.
    fn weight(&self, of: &Entities, number: &Expr, most: Option<u128>) -> Result<(Expr, i64), SqlError> {
        let enough = number.clone().gt_eq(lit(self.least()));
        match most.filter(|most| most.saturating_mul(self.min_group.into()) <= MOST) {
            Some(most) => {
                let threshold = self.times(most);
                let capped = least(vec![number.clone(), lit(self.least())]);
                Ok((choose(enough, lit(threshold), capped), threshold))
            }
            None if number.column_refs().is_empty() => Err(of.lost(self.min_group)),
            None => Ok((choose(enough, lit(1i64), lit(0i64)), 1)),
        }
    }

    fn given(&self, aggregates: &[Expr], facts: &Facts, catalog: &Catalog) -> Result<Vec<Option<Expr>>, SqlError> {
        given::of(aggregates, facts::Input { schema: self.plan.schema(), columns: &facts.columns, catalog })
    }

    fn least(&self) -> i64 {
        self.times(1)
    }

    fn times(&self, most: u128) -> i64 {
        i64::try_from(most.saturating_mul(self.min_group.into())).unwrap_or(i64::MAX)
    }
}

impl Entities {
    fn words(&self, least: u64) -> String {
        match &self.key {
            Some(key) => format!("{least} different {key} of {}", self.table),
            None => format!("{least} rows of {}", self.table),
        }
    }

    fn single(&self, least: u64) -> SqlError {
        let what =
            format!("the answer would show what is of one entity of {}, and its contract asks for {}", self.table, self.words(least));
        refused(what, "aggregate: SELECT COUNT(*), SUM(…), AVG(…) …, by keys that many have in common")
    }

    fn lost(&self, least: u64) -> SqlError {
        let what = format!(
            "the contract for {} asks for groups of {}, and behind a join that repeats its rows these cannot be counted",
            self.table,
            self.words(least)
        );
        let fix = "aggregate it in a sub-query before it is joined; or have its owner name an entity key in the contract, or declare `repeats` in the catalogue";
        refused(what, fix)
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

    /// The same with columns of other names.
    fn moved(&self, to: impl Fn(&Column) -> datafusion::common::Result<Column>) -> Result<Self, SqlError> {
        use datafusion::common::tree_node::{Transformed, TreeNode};
        let are = match &self.are {
            Are::Named(c) => Are::Named(to(c).map_err(internal)?),
            Are::Numbered { number, most } => {
                let number = number.clone().transform(|e| match &e {
                    Expr::Column(c) => Ok(Transformed::yes(Expr::Column(to(c)?))),
                    _ => Ok(Transformed::no(e)),
                });
                Are::Numbered { number: number.map_err(internal)?.data, most: *most }
            }
        };
        Ok(Entities { are, ..self.clone() })
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

fn choose(when: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case::new(None, vec![(Box::new(when), Box::new(then))], Some(Box::new(otherwise))))
}

fn unalias(e: &Expr) -> &Expr {
    match e {
        Expr::Alias(a) => unalias(&a.expr),
        other => other,
    }
}
