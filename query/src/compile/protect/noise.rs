//! How much noise sums need: how far the rows of one entity can move them (`reach`), and the law that follows.
//!
//! A question's ε is split evenly over the sums that it opens or compares, of all cells of which an entity moves no more than is said here together. Noise that is made once
//! serves all data sets that ask for it: by the one that moves most.

mod reach;

use std::collections::BTreeMap;

use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use protocols::privacy::{Delta, Epsilon, Noise as Made, Sensitivity};

use self::reach::Walk;
use super::{Groups, Weight, refused};
use crate::{
    compile::{
        SqlError, facts, internal,
        release::{aggregate_function, exact_argument},
        words::words,
    },
    plan::{Finish, Plan, noise::Law},
    protection::Noise,
};

/// The most that one entity of each data set does.
type By = BTreeMap<String, u128>;

/// How far one entity moves a sum, over all groups and cells together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::compile) struct Moved {
    /// In units of the last digit.
    total: u128,
    /// Of how many cells it moves any.
    cells: u128,
    /// Power of ten by which the sum is scaled.
    pub(in crate::compile) scale: i8,
}

/// How far one entity moves what an aggregate follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::compile) enum Spread {
    /// A count or a sum.
    Sum(Moved),
    /// Their quotient, which lies within these.
    Mean { n: Moved, x: Moved, within: (i128, i128) },
}

impl Moved {
    fn of(total: &By, cells: &By, scale: i8) -> Self {
        let most = |by: &By| by.values().copied().max().unwrap_or(0);
        Moved { total: most(total), cells: most(cells), scale }
    }
}

impl Spread {
    /// The sums that a released column follows from, and how far one entity moves each. What would be exact is taken out of the column: whether there is any value.
    pub(in crate::compile) fn over(self, finish: &mut Finish) -> Result<Vec<(usize, Moved)>, SqlError> {
        match (finish, self) {
            (Finish::Value { of, scale, some }, Spread::Sum(moved)) if moved.scale == *scale => {
                *some = None;
                Ok(vec![(*of, moved)])
            }
            (Finish::Average { n, x, scale, within }, Spread::Mean { n: of_n, x: of_x, within: bounds }) if of_x.scale == *scale => {
                *within = Some(bounds);
                Ok(vec![(*n, of_n), (*x, of_x)])
            }
            _ => Err(internal("noise is on counts, sums and means")),
        }
    }
}

impl<'a> Groups<'a> {
    /// The noise that what comes of a plan has to have.
    pub(in crate::compile) fn noise(self, plan: &LogicalPlan) -> Option<&'a Noise> {
        let tables = facts::tables(plan);
        self.protection.noise.as_ref().filter(|noise| tables.iter().any(|t| noise.datasets.contains(t)))
    }

    /// Who has most of a sum is found exactly, and is not found where that has to be hidden by noise.
    pub(super) fn without_dominance(self) -> Result<Self, SqlError> {
        let percent = self.protection.dominance_pct;
        if self.sums && percent < 100 {
            let what = format!("contracts ask for noise, and that no one has more than {percent} % of a sum, which would be found exactly");
            return Err(refused(what, "ask for COUNT; or have the owners sign contracts for either"));
        }
        Ok(Groups { sums: false, ..self })
    }

    /// Refuses what would come out without noise.
    pub(in crate::compile) fn inexact(self, plan: &LogicalPlan, what: &str, fix: &str) -> Result<(), SqlError> {
        let Some(noise) = self.noise(plan) else { return Ok(()) };
        let tables: Vec<&str> = noise.datasets.iter().map(String::as_str).collect();
        let what = format!("what comes out of {} has noise on it, and {what}", tables.join(", "));
        Err(refused(what, fix).at(self.text.keyword("SELECT")))
    }

    /// How far one entity moves each aggregate over `input`, which has the columns of the aggregate's own input. `None` if nothing asks for noise.
    pub(in crate::compile) fn spreads(self, a: &Aggregate, input: &LogicalPlan) -> Result<Option<Vec<Spread>>, SqlError> {
        if self.noise(input).is_none() {
            return Ok(None);
        }
        if self.beside_total && !a.group_expr.is_empty() {
            let what = "groups beside their total would tell one another, of a data set without noise".to_owned();
            return Err(refused(what, "ask for the total by itself").at(self.text.keyword("SELECT")));
        }
        let walk = Walk { groups: self };
        let below = walk.folded(input, &a.group_expr)?;
        let spread = |expr: &Expr| {
            let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
            let params = &f.params;
            Ok(match (f.func.name(), params.args.as_slice()) {
                ("count", _) => Spread::Sum(Moved::of(&below.counted(f)?, &below.cells(), 0)),
                ("sum" | "avg", [arg]) if !params.distinct => {
                    let arg = exact_argument(arg, input.schema());
                    let (total, scale, range) = below.summed(arg, params.filter.as_deref())?;
                    let x = Moved::of(&total, &below.cells(), scale);
                    match f.func.name() {
                        "sum" => Spread::Sum(x),
                        _ => Spread::Mean { n: Moved::of(&below.rows(), &below.cells(), 0), x, within: (range.min, range.max) },
                    }
                }
                _ => return Err(self.no_noise(expr)),
            })
        };
        a.aggr_expr.iter().map(spread).collect::<Result<_, _>>().map(Some)
    }

    /// How far one entity moves counts and sums that are compared only.
    pub(in crate::compile) fn moves(self, a: &Aggregate, input: &LogicalPlan, folds: &[Expr]) -> Result<Vec<Moved>, SqlError> {
        if folds.is_empty() {
            return Ok(Vec::new());
        }
        let named = folds.iter().enumerate().map(|(i, fold)| fold.clone().alias(format!("entities {i}"))).collect();
        let compared = Aggregate::try_new(input.clone().into(), a.group_expr.clone(), named).map_err(internal)?;
        let spreads = self.spreads(&compared, input)?.unwrap_or_default();
        let sum = |spread| match spread {
            Spread::Sum(moved) => Ok(moved),
            Spread::Mean { .. } => Err(internal("entities are counted")),
        };
        spreads.into_iter().map(sum).collect()
    }

    /// What groups must be made of, with how far one entity moves it.
    pub(in crate::compile) fn weighed(self, a: &Aggregate, input: &LogicalPlan, mut weights: Vec<Weight>) -> Result<Vec<Weight>, SqlError> {
        if self.noise(input).is_none() {
            return Ok(weights);
        }
        let walk = Walk { groups: self };
        let below = walk.folded(input, &a.group_expr)?;
        for weight in &mut weights {
            let (total, scale, _) = below.summed(&weight.number, weight.given.as_ref())?;
            weight.moved = Some(Moved::of(&total, &below.cells(), scale));
        }
        Ok(weights)
    }

    /// The noise that hides it, and its law; `None` if nothing moves.
    pub(in crate::compile) fn law(self, moved: &Moved) -> Result<Option<(Law, Made)>, SqlError> {
        let Some(noise) = self.protection.noise.as_ref().filter(|_| moved.total > 0) else { return Ok(None) };
        let wide = |_| refused("one entity can move what comes out so far that no noise hides it", BOUND);
        let (total, cells) = (u64::try_from(moved.total).map_err(wide)?, u64::try_from(moved.cells.max(1)).map_err(wide)?);
        let delta = noise.binomial.map(|delta| Delta(delta.0.unsigned_abs() / u128::from(self.parts)));
        // more than that would leave no noise
        let most = (32 * Epsilon::ONE.0).saturating_mul(if delta.is_some() { cells } else { total }) - 1;
        let law = Law {
            epsilon: Epsilon((noise.epsilon.0 / self.parts).min(most)),
            delta,
            sensitivity: Sensitivity { each: total, total, cells },
        };
        let made = law.noise().map_err(|e| refused(format!("the noise of this question cannot be made: {e}"), BOUND))?;
        Ok(Some((law, made)))
    }

    fn no_noise(self, expr: &Expr) -> SqlError {
        let what = format!("{} cannot have noise: under these contracts COUNT, SUM and AVG come out", words(expr));
        refused(what, "ask for COUNT, SUM or AVG, grouped by public keys or not at all")
            .at(self.text.expr(expr).or(self.text.keyword("SELECT")))
    }
}

/// What makes less noise.
const BOUND: &str = "sum values that the contract clamps more narrowly, join on unique keys, raise ε, or ask for fewer columns";

/// Compiles with as many sums as there turn out to be: each has its part of ε.
pub(in crate::compile) fn split(mut compile: impl FnMut(u64) -> Result<Plan, SqlError>) -> Result<Plan, SqlError> {
    let mut sums = 1;
    for _ in 0..4 {
        let plan = compile(sums)?;
        match plan.noised().count() as u64 {
            noised if noised > sums || (0 < noised && noised < sums) => sums = noised,
            _ => return within(plan),
        }
    }
    Err(internal("the number of sums depends on their noise"))
}

/// A plan that spends no more of δ than there is.
fn within(plan: Plan) -> Result<Plan, SqlError> {
    let spent = plan.spent().map_err(internal)?.into_values().next().unwrap_or_default();
    let most = plan.protection.as_ref().and_then(|p| p.noise.as_ref()).and_then(|noise| noise.delta);
    match most.filter(|most| u128::try_from(most.0).unwrap_or(0) < spent.delta.0) {
        None => Ok(plan),
        Some(most) => Err(refused(
            format!("the noise of this question has δ = {}, and the contracts allow δ = {most}", spent.delta),
            "ask for fewer columns, or have the owners allow a larger δ (10^-12, say)",
        )),
    }
}
