//! What must hold of a group, or of a row, else it does not come out.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    functions::core::expr_fn::least,
    functions_aggregate::expr_fn::sum,
    logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, lit},
};

use super::{
    Are, Counted, Entities, MOST, Rule, choose, named, over, unalias,
    walk::{at, is_count},
};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::{Facts, Input},
        internal,
        protect::{
            dominance::{Mixed, Portion, Summand, is_sum, left, may_be_negative, with_windows, within},
            given,
            margins::Conditions,
            noise::Moved,
            refused,
        },
    },
};

/// Conditions on the aggregates of a group.
#[derive(Default)]
pub(in crate::compile) struct Enough {
    pub(in crate::compile) aggregates: Vec<Expr>,
    tests: Vec<Test>,
    /// Of a group of several, how many keys it has.
    beside_total: Option<usize>,
}

enum Test {
    /// The next aggregate is at least so much: in words, of the group.
    Least(i64, String),
    /// The next is at most so many per cent of the one after it. Their types.
    Share(u64, [DataType; 2]),
}

/// Σ of a number over the rows of a group in which a condition holds, and how much it has to be.
#[derive(Clone)]
pub(in crate::compile) struct Weight {
    /// What it says of the group, in words.
    pub(in crate::compile) of: String,
    pub(in crate::compile) number: Expr,
    pub(in crate::compile) given: Option<Expr>,
    pub(in crate::compile) least: i64,
    /// How far one entity moves it, if that is to be hidden by noise.
    pub(in crate::compile) moved: Option<Moved>,
}

/// How much of a sum is of one entity: two aggregates.
pub(super) struct Share {
    pub(super) summand: Summand,
    pub(super) greatest: Expr,
    pub(super) total: Expr,
}

impl Enough {
    /// The aggregates that count entities, how much each has to be, and what that says of the group.
    pub(in crate::compile) fn counts(&self) -> Vec<(Expr, i64, String)> {
        let least = self.tests.iter().map_while(|test| if let Test::Least(least, words) = test { Some((*least, words)) } else { None });
        self.aggregates.iter().zip(least).map(|(fold, (least, words))| (fold.clone(), least, words.clone())).collect()
    }

    /// The groups with more columns, and which of them may come out; `None`: nothing is asked. The last columns of the groups are the aggregates.
    pub(in crate::compile) fn of(&self, groups: LogicalPlan) -> Result<(LogicalPlan, Option<Expr>), SqlError> {
        let columns: Vec<Expr> = groups.schema().columns().into_iter().map(Expr::Column).collect();
        let mut own = columns[columns.len() - self.aggregates.len()..].iter().cloned();
        let mut next = || own.next().ok_or_else(|| internal("an aggregate is a column"));
        let mut conditions = Conditions::default();
        for test in &self.tests {
            match test {
                Test::Least(least, _) => conditions.counts.push((next()?, *least)),
                Test::Share(percent, types) => conditions.others.push(within(next()?, next()?, *percent, types)?),
            }
        }
        match self.beside_total {
            Some(keys) => conditions.beside_total(groups, &columns[..keys]),
            None => Ok((groups, conditions.all())),
        }
    }
}

impl Counted {
    /// The rows with more columns, and which of them may come out; `None` if no data set asks for anything. `columns` tell the rows apart.
    pub(in crate::compile) fn enough(self, columns: &[Expr]) -> Result<(LogicalPlan, Option<Expr>), SqlError> {
        let mut conditions = Conditions::default();
        for e in &self.of {
            match &e.are {
                Are::Numbered { number, .. } if !number.reads().is_empty() => {
                    if self.rule.min_group > 1 {
                        conditions.counts.push((number.clone(), self.least()));
                    }
                }
                _ => return Err(e.single(self.rule)),
            }
            for (greatest, whole) in e.portions.sums() {
                let types = self.types([greatest, whole])?;
                conditions.others.push(within(greatest.clone(), whole.clone(), self.rule.percent.unwrap_or(100), &types)?);
            }
        }
        match self.rule.beside_total {
            true => conditions.beside_total(self.plan, columns),
            false => Ok((self.plan, conditions.all())),
        }
    }

    /// The same, of groups of rows.
    pub(in crate::compile) fn folds(&mut self, a: &Aggregate, catalog: &Catalog) -> Result<Enough, SqlError> {
        let facts = Facts::of(&self.plan, catalog);
        let beside_total = (self.rule.beside_total && !a.group_expr.is_empty()).then_some(a.group_expr.len());
        let mut enough = Enough { beside_total, ..Enough::default() };
        if self.rule.min_group > 1 {
            self.in_common(&a.group_expr)?;
            for given in self.given(&a.aggr_expr, &facts, catalog)? {
                for e in &self.of {
                    let (fold, least) = match &e.are {
                        Are::Named(c) => (named(c, self.plan.schema(), &facts), self.least()),
                        Are::Numbered { number, most } => {
                            let (number, least) = self.weight(e, number, *most)?;
                            (sum(number), least)
                        }
                    };
                    enough.aggregates.push(over(fold, given.clone()));
                    enough.tests.push(Test::Least(least, e.at_least(self.rule.min_group)));
                }
            }
        }
        let Some(percent) = self.rule.percent else { return Ok(enough) };
        let shares = self.shares(&a.group_expr, &a.aggr_expr, catalog)?;
        if shares.iter().any(|of| matches!(of, Shares::Whole)) {
            self.in_common(&a.group_expr)?;
        }
        for Share { greatest, total, .. } in shares.into_iter().flat_map(Shares::apart) {
            enough.tests.push(Test::Share(percent, self.types([&greatest, &total])?));
            enough.aggregates.extend([greatest, total]);
        }
        Ok(enough)
    }

    /// The same as sums, without counting what is distinct.
    pub(in crate::compile) fn weights(&self, a: &Aggregate, catalog: &Catalog) -> Result<Vec<Weight>, SqlError> {
        let facts = Facts::of(&self.plan, catalog);
        let input = Input { schema: self.plan.schema(), columns: &facts.columns, catalog };
        if self.rule.beside_total && !a.group_expr.is_empty() {
            return Err(over_public_rows("hiding a second group beside their total".into()));
        }
        let mut weights = Vec::new();
        if self.rule.min_group > 1 {
            self.in_common(&a.group_expr)?;
            for given in self.given(&a.aggr_expr, &facts, catalog)? {
                for e in &self.of {
                    let (number, least) = match &e.are {
                        Are::Named(c) => {
                            let at = self.plan.schema().index_of_column(c).map_err(internal)?;
                            let once = facts.unique_on(&BTreeSet::from([at]));
                            let most = if once { Some(1) } else { facts.columns[at].repeats };
                            let most = most
                                .filter(|m| *m <= MOST)
                                .ok_or_else(|| over_public_rows(format!("counting the different {c} of a group")))?;
                            let one = choose(Expr::Column(c.clone()).is_not_null(), lit(1i64), lit(0i64));
                            (one, self.times(most))
                        }
                        Are::Numbered { number, most } => self.weight(e, number, *most)?,
                    };
                    let of = e.at_least(self.rule.min_group);
                    weights.push(Weight { of, number, given: given.clone(), least, moved: None });
                }
            }
        } else if !a.group_expr.is_empty() {
            weights.push(Weight { of: "it has a row".into(), number: lit(1i64), given: None, least: 1, moved: None });
        }
        let Some(percent) = self.rule.percent else { return Ok(weights) };
        self.none_of_sums(&a.group_expr, &a.aggr_expr)?;
        for summand in Summand::of(&a.aggr_expr, input)? {
            for e in &self.of {
                let Some(portion) = self.portion(e, &summand, input)? else { continue };
                match &e.are {
                    Are::Numbered { number, .. } if !number.reads().is_empty() => {}
                    _ => return Err(over_public_rows("finding who has most of a group".into())),
                }
                let number = left(portion.greatest, portion.whole, percent, self.plan.schema())?;
                let of = format!("{} the sum of {}", e.no_one(percent), said(&summand.value));
                weights.push(Weight { of, number, given: summand.given.clone(), least: 0, moved: None });
            }
        }
        Ok(weights)
    }

    /// For each of the entities, how much one has of each sum of a group. The rows are given the columns that this is read from.
    pub(super) fn shares(&mut self, groups: &[Expr], aggregates: &[Expr], catalog: &Catalog) -> Result<Vec<Shares>, SqlError> {
        if self.rule.percent.is_none() {
            return Ok(self.of.iter().map(|_| Shares::Apart(Vec::new())).collect());
        }
        let (facts, schema) = (Facts::of(&self.plan, catalog), self.plan.schema().clone());
        let input = Input { schema: &schema, columns: &facts.columns, catalog };
        self.none_of_sums(groups, aggregates)?;
        let summands = Summand::of(aggregates, input)?;
        let mut all = Vec::new();
        for e in &self.of {
            let mut of: Vec<(Summand, Portion)> = Vec::new();
            for summand in &summands {
                of.extend(self.portion(e, summand, input)?.map(|portion| (summand.clone(), portion)));
            }
            let mut shares = Vec::new();
            match &e.are {
                Are::Named(c) if is_key(groups, c) => {
                    all.push(if of.is_empty() { Shares::Apart(Vec::new()) } else { Shares::Whole });
                    continue;
                }
                Are::Named(c) => {
                    let windows = of.iter().map(|(summand, portion)| summand.of_entity(portion.whole.clone(), groups, c));
                    let windows = windows.collect::<Result<Vec<_>, _>>()?;
                    let first = self.plan.schema().fields().len();
                    self.plan = with_windows(self.plan.clone(), windows)?;
                    for (i, (summand, portion)) in of.into_iter().enumerate() {
                        let of_entity = Expr::Column(at(self.plan.schema(), first + i));
                        shares.push((summand.greatest(of_entity, 1, self.plan.schema())?, portion.whole, summand));
                    }
                }
                Are::Numbered { number, most } => {
                    let alone = number.reads().is_empty();
                    for (summand, portion) in of {
                        let greatest = match most {
                            Some(most) if alone || *most == 1 => summand.greatest(portion.greatest, *most, &schema)?,
                            None if alone => return Err(e.lost(self.rule)),
                            _ => summand.portions(portion.greatest),
                        };
                        shares.push((greatest, portion.whole, summand));
                    }
                }
            }
            let shares = shares.into_iter().map(|(greatest, whole, summand)| Share { greatest, total: summand.total(whole), summand });
            all.push(Shares::Apart(shares.collect()));
        }
        Ok(all)
    }

    /// What entities have of each value that is summed; `None` if the values are not of their data set.
    fn portion(&self, e: &Entities, summand: &Summand, input: Input<'_>) -> Result<Option<Portion>, SqlError> {
        let portion = summand.portion(&e.portions, input).map_err(|Mixed(mixed)| {
            let what = format!(
                "{} mixes values of {table} with others that they cannot be told from in a sum, and by the contract for {table} {} a sum",
                said(&mixed),
                e.no_one(self.rule.percent.unwrap_or(100)),
                table = e.table,
            );
            refused(
                what,
                "sum the values by themselves, GREATEST(…, 0) where they can be negative, and add what else there is to their sum",
            )
        })?;
        if portion.is_some() && may_be_negative(&summand.value, input) {
            let value = said(&summand.value);
            let what = format!(
                "{value} can be negative, so that no one has a share of its sum, and by the contract for {} {} a sum",
                e.table,
                e.no_one(self.rule.percent.unwrap_or(100))
            );
            let fix =
                format!("sum GREATEST({value}, 0); or have its owner clamp it at 0 in the contract, or declare min = 0 in the catalogue");
            return Err(refused(what, fix));
        }
        Ok(portion)
    }

    /// Of several sums a MIN, a MAX or a percentile shows one, and a group key all: whoever has most of these is not looked at.
    fn none_of_sums(&self, groups: &[Expr], aggregates: &[Expr]) -> Result<(), SqlError> {
        let picks = |f: &&Expr| !is_sum(f) && !is_count(f);
        for e in &self.of {
            if let Some(shown) = groups.iter().chain(aggregates.iter().filter(picks)).find(|shown| e.portions.summed(shown)) {
                let percent = self.rule.percent.unwrap_or(100);
                let what = format!("{} shows single sums, and by the contract for {} {} a sum", said(shown), e.table, e.no_one(percent));
                return Err(refused(what, "sum them, take their mean, or count them"));
            }
        }
        Ok(())
    }

    /// Whether the groups are not of one entity each.
    fn in_common(&self, groups: &[Expr]) -> Result<(), SqlError> {
        let single = self.of.iter().find(|e| matches!(&e.are, Are::Named(c) if is_key(groups, c)));
        single.map_or(Ok(()), |e| Err(e.single(self.rule)))
    }

    /// A number that adds up to the threshold only over rows of enough entities: a row that has enough by itself is as good.
    fn weight(&self, of: &Entities, number: &Expr, most: Option<u128>) -> Result<(Expr, i64), SqlError> {
        if self.rule.noisy {
            return most.map(|most| (number.clone(), self.times(most))).ok_or_else(|| of.lost(self.rule));
        }
        let enough = number.clone().gt_eq(lit(self.least()));
        match most.filter(|most| most.saturating_mul(self.rule.min_group.into()) <= MOST) {
            Some(most) => {
                let threshold = self.times(most);
                let capped = least(vec![number.clone(), lit(self.least())]);
                Ok((choose(enough, lit(threshold), capped), threshold))
            }
            None if number.reads().is_empty() => Err(of.lost(self.rule)),
            None => Ok((choose(enough, lit(1i64), lit(0i64)), 1)),
        }
    }

    /// The conditions of rows that must be of enough entities.
    pub(super) fn given(&self, aggregates: &[Expr], facts: &Facts, catalog: &Catalog) -> Result<Vec<Option<Expr>>, SqlError> {
        let input = Input { schema: self.plan.schema(), columns: &facts.columns, catalog };
        if self.rule.branches { given::each(aggregates, input) } else { given::of_all(aggregates, input) }
    }

    fn types(&self, of: [&Expr; 2]) -> Result<[DataType; 2], SqlError> {
        let of_one = |e: &Expr| e.get_type(self.plan.schema()).map_err(internal);
        Ok([of_one(of[0])?, of_one(of[1])?])
    }

    fn least(&self) -> i64 {
        self.times(1)
    }

    fn times(&self, most: u128) -> i64 {
        i64::try_from(most.saturating_mul(self.rule.min_group.into())).unwrap_or(i64::MAX)
    }
}

/// What the sums of a group are to the entities of its rows.
pub(super) enum Shares {
    /// Each group is of one.
    Whole,
    /// Of some sums, one has a share.
    Apart(Vec<Share>),
}

impl Shares {
    pub(super) fn apart(self) -> Vec<Share> {
        match self {
            Shares::Whole => Vec::new(),
            Shares::Apart(shares) => shares,
        }
    }
}

impl Entities {
    fn at_least(&self, least: u64) -> String {
        format!("it is of at least {}", self.words(least))
    }

    fn words(&self, least: u64) -> String {
        match &self.key {
            Some(key) => format!("{least} different {key} of {}", self.table),
            None => format!("{least} rows of {}", self.table),
        }
    }

    /// What is asked of sums, in words.
    fn no_one(&self, percent: u64) -> String {
        format!("no {} of {} has more than {percent} % of", self.key.as_deref().unwrap_or("row"), self.table)
    }

    fn asked(&self, rule: Rule) -> String {
        match rule.percent.filter(|_| rule.min_group == 1) {
            Some(percent) => format!("says that {} a sum", self.no_one(percent)),
            None => format!("asks for {}", self.words(rule.min_group)),
        }
    }

    fn single(&self, rule: Rule) -> SqlError {
        let what = format!("the answer would show what is of one entity of {}, and its contract {}", self.table, self.asked(rule));
        refused(what, "aggregate: SELECT COUNT(*), SUM(…), AVG(…) …, by keys that many have in common")
    }

    pub(super) fn lost(&self, rule: Rule) -> SqlError {
        let what = format!(
            "the contract for {} {}, and behind a join that repeats its rows these cannot be told apart",
            self.table,
            self.asked(rule)
        );
        let fix = "aggregate it in a sub-query before it is joined; or have its owner name an entity key in the contract, or declare `repeats` in the catalogue";
        refused(what, fix)
    }
}

fn is_key(groups: &[Expr], c: &datafusion::common::Column) -> bool {
    groups.iter().any(|g| matches!(unalias(g), Expr::Column(g) if g == c))
}

fn over_public_rows(what: String) -> SqlError {
    SqlError::unsupported(format!("{what} over public rows"), "join on private keys")
}
