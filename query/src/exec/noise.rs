//! Noise on sums, while they are shared: discrete Laplace or binomial values of random bits that no party knows, added before anything of the sums is compared or opened.
//!
//! *Rounds.* Those of one Laplace law (8 over Fp61), however many laws and cells there are; binomial laws of different numbers of coins add up. Nothing of it depends on data.

use super::Run;
use super::field::Field;
use super::sums::sums_of;
use crate::plan::noise::Noised;
use crate::plan::{Opening, Release, Ring};
use mpc_core::{Abort, Fp61, Fp127};
use protocols::privacy::Noise;
use protocols::{Engine, Share, stack};

impl<E: Engine> Run<'_, E> {
    /// Adds their noise to the sums of a release.
    pub(super) fn noise(&mut self, engine: &mut E, release: usize) -> Result<(), Abort> {
        let of = &self.program.plan().releases[release];
        let fields = [Ring::Fp61, Ring::Fp127].map(|ring| planes_of_cell(of, ring));
        if of.noise.iter().any(|n| !fields.iter().flatten().any(|plane| *plane == (n.of, n.guard))) {
            return Err(Abort::Refused("the plan puts noise on what is no sum".into()));
        }
        self.noise_in::<Fp61>(engine, release)?;
        self.noise_in::<Fp127>(engine, release)
    }

    fn noise_in<R: Field>(&mut self, engine: &mut E, number: usize) -> Result<(), Abort> {
        let release = &self.program.plan().releases[number];
        let groups = self.ground().groups(number).count;
        // those of each cell come one after the other
        let of_cell: Vec<(usize, Option<usize>)> = planes_of_cell(release, R::FIELD);
        let mine: Vec<(usize, &Noised)> =
            release.noise.iter().filter_map(|n| Some((of_cell.iter().position(|p| *p == (n.of, n.guard))?, n))).collect();
        let Some(sums) = R::fields(self).sums.get(&number).filter(|_| !mine.is_empty()) else { return Ok(()) };
        let cells = release.cells.len();
        let noise = made::<E, R>(engine, mine.iter().map(|(_, n)| *n), groups * cells)?;
        let planes: Vec<E::Share<R>> = (0..sums.layout().planes)
            .map(|plane| {
                let (cell, of) = (plane / of_cell.len(), plane % of_cell.len());
                let sum = sums.planes([plane]);
                match mine.iter().position(|(p, _)| *p == of) {
                    None => sum,
                    Some(law) => {
                        let first = (law * cells + cell) * groups;
                        sum.add(&noise.slice(first..first + groups))
                    }
                }
            })
            .collect();
        R::fields_mut(self).sums.insert(number, stack(&planes));
        Ok(())
    }
}

/// So many values of each law, law by law.
pub(super) fn made<'n, E: Engine, R: Field>(
    engine: &mut E,
    noised: impl Iterator<Item = &'n Noised>,
    rows: usize,
) -> Result<E::Share<R>, Abort> {
    let laws = noised.map(|n| n.law.noise()).collect::<Result<Vec<_>, _>>();
    let laws = laws.map_err(|e| Abort::Refused(format!("the plan asks for noise that cannot be: {e}")))?;
    if laws.iter().any(|law| law.bits() + 2 >= R::BITS) {
        return Err(Abort::Refused("the plan asks for noise beyond the field of what it is added to".into()));
    }
    Noise::sample_each::<E, R>(engine, &laws, rows)
}

/// What each plane of the sums of a cell is: an opening, or a guard of one.
fn planes_of_cell(release: &Release, ring: Ring) -> Vec<(usize, Option<usize>)> {
    let openings = release.cells.first().map_or(&[][..], |c| &c.openings);
    let each = openings.iter().enumerate().flat_map(|(number, opening)| {
        let guards = matches!(opening, Opening::Safe { .. });
        sums_of(opening).enumerate().filter(move |(_, (of, _))| *of == ring).map(move |(g, _)| (number, guards.then_some(g)))
    });
    each.collect()
}
