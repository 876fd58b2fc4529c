//! Counts and sums over partitions, whole or running.
//!
//! *Functionality.* Of what each row adds, its sum over the partition, up to the row or up to its last peer. *Protocol* and *cost* are those of the [window](super).
//! *Leakage.* None: sums and differences of shares, by protocols whose messages follow from numbers of places alone.

use super::super::total::contributions;
use super::super::{Cells, ColumnShape, Element, Fold, FoldOp, Form, Rows};
use super::Function;
use crate::relational::Segments;
use crate::{Engine, Share, Table};
use mpc_core::{Abort, Fp61, Fp127};

/// What is added up row by row, for each function that is a sum.
pub(super) struct Sums<E: Engine> {
    fp61: Vec<Sum<E::Share<Fp61>>>,
    fp127: Vec<Sum<E::Share<Fp127>>>,
}

/// One sum.
pub(super) struct Sum<S> {
    function: usize,
    /// What each row adds.
    values: S,
    /// Up to this row, not over the whole partition.
    running: bool,
    /// Up to the last peer.
    pub peers: bool,
}

/// A field of which there are sums.
pub(super) trait Summed: Element {
    fn of_sums<E: Engine>(sums: &Sums<E>) -> &[Sum<E::Share<Self>>];
}

impl Summed for Fp61 {
    fn of_sums<E: Engine>(sums: &Sums<E>) -> &[Sum<E::Share<Self>>] {
        &sums.fp61
    }
}

impl Summed for Fp127 {
    fn of_sums<E: Engine>(sums: &Sums<E>) -> &[Sum<E::Share<Self>>] {
        &sums.fp127
    }
}

impl<E: Engine> Sums<E> {
    pub fn new(engine: &mut E, rows: &Rows<E>, functions: &[Function], outputs: &[ColumnShape]) -> Result<Self, Abort> {
        let fp61 = sums::<Fp61, E>(engine, rows, functions, outputs)?;
        Ok(Sums { fp61, fp127: sums::<Fp127, E>(engine, rows, functions, outputs)? })
    }

    /// With the sums over all rows before each, of those that `of` names.
    pub fn before(&self, table: Table<E>, of: impl Fn(&Any) -> bool) -> Table<E> {
        fn each<R: Element, E: Engine>(table: Table<E>, sums: &[Sum<E::Share<R>>], of: &impl Fn(&Any) -> bool) -> Table<E> {
            let chosen = sums.iter().filter(|s| of(&Any { peers: s.peers }));
            chosen.fold(table, |t, s| t.with::<R>(s.values.prefix_sums().sub(&s.values)))
        }
        let table = each::<Fp61, E>(table, &self.fp61, &of);
        each::<Fp127, E>(table, &self.fp127, &of)
    }

    /// The columns of these sums, which come before others of their field.
    pub fn take<'c, R: Summed>(&self, from: &'c mut std::vec::IntoIter<E::Share<R>>) -> impl Iterator<Item = E::Share<R>> + use<'c, R, E> {
        from.take(R::of_sums(self).len())
    }

    /// The sums over each row's peers, of those that run to the last peer.
    pub fn peer_totals<R: Summed>(&self, engine: &mut E, heads: &Table<E>, peers: &Segments<E>) -> Result<Option<E::Share<R>>, Abort> {
        let values: Vec<&E::Share<R>> = R::of_sums(self).iter().filter(|s| s.peers).map(|s| &s.values).collect();
        if values.is_empty() {
            return Ok(None);
        }
        let starts: Vec<&E::Share<R>> = heads.columns::<R>().iter().collect();
        peers.totals::<R>(engine, &Share::stack(&values).sum(), &Share::stack(&starts)).map(Some)
    }

    /// The sums over each row's partition, of those that are over the whole.
    pub fn totals<R: Summed>(&self, engine: &mut E, heads: &Table<E>, partitions: &Segments<E>) -> Result<Option<E::Share<R>>, Abort> {
        let mine = || R::of_sums(self).iter().zip(heads.columns::<R>()).filter(|(s, _)| !s.running);
        if mine().next().is_none() {
            return Ok(None);
        }
        let values: Vec<&E::Share<R>> = mine().map(|(s, _)| &s.values).collect();
        let starts: Vec<&E::Share<R>> = mine().map(|(_, start)| start).collect();
        partitions.totals::<R>(engine, &Share::stack(&values).sum(), &Share::stack(&starts)).map(Some)
    }

    /// Each sum with its function: from the sums before the partition, those over whole partitions, and those up to the last peer.
    pub fn finish<R: Summed>(
        &self,
        before: Option<E::Share<R>>,
        totals: Option<E::Share<R>>,
        ends: Option<E::Share<R>>,
    ) -> Vec<(usize, Cells<E>)> {
        let (mut next_total, mut next_end) = (0, 0);
        let take = |from: &Option<E::Share<R>>, next: &mut usize| {
            *next += 1;
            from.as_ref().expect("every sum was computed").planes([*next - 1])
        };
        let mut done = Vec::new();
        for (number, sum) in R::of_sums(self).iter().enumerate() {
            let value = if !sum.running {
                take(&totals, &mut next_total)
            } else {
                let start = take(&before, &mut { number });
                let end = if sum.peers { take(&ends, &mut next_end) } else { sum.values.prefix_sums() };
                end.sub(&start)
            };
            done.push((sum.function, Cells { values: R::values(value), valid: None }));
        }
        done
    }
}

/// What says which sums are meant.
pub(super) struct Any {
    pub peers: bool,
}

fn sums<R: Element, E: Engine>(
    engine: &mut E,
    rows: &Rows<E>,
    functions: &[Function],
    outputs: &[ColumnShape],
) -> Result<Vec<Sum<E::Share<R>>>, Abort> {
    // (function, fold, running, peers)
    let rows_of = || Fold { op: FoldOp::Rows, when: None };
    let all = functions.iter().enumerate().filter_map(|(number, function)| match function {
        Function::Ntile(_) => Some((number, rows_of(), false, false)),
        Function::Whole(fold) if !fold.needs_order() => Some((number, fold.clone(), false, false)),
        Function::Running { fold, peers } => Some((number, fold.clone(), true, *peers)),
        Function::Trailing { fold, .. } => Some((number, fold.clone(), true, false)),
        _ => None,
    });
    // how many rows a partition has is wanted in the narrow field
    let column = |number: usize| match functions[number] {
        Function::Ntile(_) => ColumnShape { form: Form::Fp61, ..outputs[number] },
        _ => outputs[number],
    };
    let all: Vec<_> = all.filter(|(number, ..)| column(*number).form == R::FORM).collect();
    let folds: Vec<Fold> = all.iter().map(|(_, fold, ..)| fold.clone()).collect();
    let columns: Vec<ColumnShape> = all.iter().map(|(number, ..)| column(*number)).collect();
    let mine: Vec<usize> = (0..folds.len()).collect();
    let column = |c: usize| &rows.columns[c];
    let values = contributions::<R, E>(engine, rows.places, &column, &mine, &folds, &columns, None)?;
    Ok(all
        .iter()
        .zip(values)
        .map(|((function, _, running, peers), (_, cells))| Sum {
            function: *function,
            values: cells.elements::<R>().clone(),
            running: *running,
            peers: *peers,
        })
        .collect())
}
