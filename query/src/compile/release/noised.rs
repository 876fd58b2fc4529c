//! Noise on what a release opens. What would be exact is left out: whether there is any value (a sum of none is 0), and whether there is any row (all groups are there).

use super::{Finish, Held, Requests};
use crate::{
    compile::{Compiler, SqlError, internal, protect::Spread},
    plan::noise::{Law, Noised},
};
use datafusion::arrow::datatypes::DataType;
use protocols::privacy::Noise as Made;
use std::collections::BTreeMap;

/// The noise of a release, by the numbers of its requests and then of what must hold.
#[derive(Default)]
pub(super) struct Noises(BTreeMap<usize, (i8, Law, Made)>);

impl Noises {
    /// The values of the noise are less than this in magnitude, or this.
    pub(super) fn reach(&self, request: usize) -> i128 {
        self.0.get(&request).map_or(0, |(.., made)| 1 << made.bits())
    }

    /// By how much a threshold is raised: it is not reached by noise alone, 39 times out of 40.
    pub(super) fn error(&self, request: usize) -> i128 {
        self.0.get(&request).map_or(0, |(.., made)| i128::try_from(made.error(20)).unwrap_or(i128::MAX >> 1))
    }

    /// What is made of it on shares.
    pub(super) fn of_release(&self, requests: &Requests, held: &[Held]) -> Vec<Noised> {
        let opened = requests.all.len();
        let noised = self.0.iter().map(|(request, (scale, law, _))| match request.checked_sub(opened) {
            None => Noised { of: *request, guard: None, words: requests.all[*request].1.clone(), scale: *scale, law: *law },
            Some(guard) => Noised { of: opened, guard: Some(guard), words: held[guard].of.clone(), scale: *scale, law: *law },
        });
        noised.collect()
    }
}

impl Compiler<'_> {
    /// The noise on columns that one entity moves so far. Requests that only told whether there is something are dropped.
    pub(super) fn noise(
        &self,
        spreads: Option<Vec<Spread>>,
        columns: &mut [(DataType, Finish)],
        requests: &mut Requests,
        held: &[Held],
    ) -> Result<Noises, SqlError> {
        let (Some(spreads), Some(groups)) = (spreads, self.groups) else { return Ok(Noises::default()) };
        let mut noises = BTreeMap::new();
        let mut spreads = spreads.into_iter();
        for (_, finish) in columns.iter_mut().filter(|(_, f)| !matches!(f, Finish::Public(_) | Finish::Secret(_))) {
            let spread = spreads.next().ok_or_else(|| internal("every column but a key has a spread"))?;
            for (of, moved) in spread.over(finish)? {
                if let Some((law, made)) = groups.law(&moved)? {
                    noises.insert(of, (moved.scale, law, made));
                }
            }
        }
        // only what is read is opened
        let mut read: Vec<usize> = columns.iter().flat_map(|(_, f)| f.openings()).collect();
        read.sort_unstable();
        read.dedup();
        let place = |of: usize| read.iter().position(|r| *r == of).unwrap_or(0);
        let mut number = 0;
        requests.all.retain(|_| {
            number += 1;
            read.contains(&(number - 1))
        });
        columns.iter_mut().for_each(|(_, finish)| *finish = finish.clone().moved(place));
        let mut noises: BTreeMap<usize, _> = noises.into_iter().map(|(of, noise)| (place(of), noise)).collect();
        for (guard, held) in held.iter().enumerate() {
            let moved = held.moved.as_ref().ok_or_else(|| internal("what is compared has noise as well"))?;
            if let Some((law, made)) = groups.law(moved)? {
                noises.insert(requests.all.len() + guard, (moved.scale, law, made));
            }
        }
        Ok(Noises(noises))
    }

    /// Refuses to open rows as they are, if what comes of them has to have noise.
    pub(in crate::compile) fn rows_have_no_noise(&self, plan: &datafusion::logical_expr::LogicalPlan) -> Result<(), SqlError> {
        let fix = "ask for COUNT, SUM or AVG of it, grouped by public keys or not at all, without HAVING or LIMIT";
        self.groups.map_or(Ok(()), |groups| groups.inexact(plan, "here rows, or what is chosen by exact values, would come out", fix))
    }
}
