//! Cells that may not come out, zeroed before anything of them opens: Σ ≥ threshold is a sign, and what is not safe is multiplied by 0.
//!
//! *Rounds.* The signs of all thresholds of all cells at once (8 over Fp61), a tree of ANDs where a cell has several; then one for the bits, and a lift and a
//! product for each field.

use super::Run;
use super::field::Field;
use super::sums::sums_of;
use crate::plan::{Guard, Opening, Ring};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout};
use protocols::privacy::suppress;
use protocols::{Cell, Engine, Share, Table, circuit, stack};

/// Shared bits.
type Bits<E> = <E as Engine>::Share<B64>;

impl<E: Engine> Run<'_, E> {
    /// Zeroes what may not come out of a release, given its bits that are opened. Returns all bits that are, whether a cell is safe among them.
    pub(super) fn suppress(&mut self, engine: &mut E, release: usize, any: Option<Bits<E>>) -> Result<Bits<E>, Abort> {
        let groups = self.ground().groups(release).count;
        let openings: Vec<&[Opening]> = self.program.plan().releases[release].cells.iter().map(|c| c.openings.as_slice()).collect();
        let (openings, cells) = (openings[0], openings.len());
        let Some((ring, guards)) =
            openings.iter().find_map(|o| if let Opening::Safe { ring, guards } = o { Some((*ring, guards)) } else { None })
        else {
            return Err(Abort::Refused("the plan suppresses a release that guards nothing".into()));
        };
        let layout = Cells { groups, cells };
        let (fp61, of_fp61) = self.fp61.sums.remove(&release).map_or((None, None), |sums| layout.apart(&sums, openings, Ring::Fp61));
        let (fp127, of_fp127) = self.fp127.sums.remove(&release).map_or((None, None), |sums| layout.apart(&sums, openings, Ring::Fp127));
        let missing = || Abort::Refused("the plan guards a release by what is not summed".into());
        let safe = match ring {
            Ring::Fp61 => safe::<Fp61, E>(engine, &of_fp61.ok_or_else(missing)?, guards)?,
            Ring::Fp127 => safe::<Fp127, E>(engine, &of_fp127.ok_or_else(missing)?, guards)?,
        };
        let any = any.map(|bits| layout.rows::<B64, _>(&bits));
        let mut table = Table::<E>::new(groups * cells);
        table = any.iter().fold(table, |t, bits| t.with::<B64>(bits.clone()));
        table = fp61.iter().fold(table, |t, sums| t.with::<Fp61>(sums.clone()));
        table = fp127.iter().fold(table, |t, sums| t.with::<Fp127>(sums.clone()));
        suppress(engine, &safe, &mut table)?;
        if fp61.is_some() {
            self.fp61.sums.insert(release, layout.planes::<Fp61, _>(&table.take_first::<Fp61>()));
        }
        if fp127.is_some() {
            self.fp127.sums.insert(release, layout.planes::<Fp127, _>(&table.take_first::<Fp127>()));
        }
        // in the order of the openings
        let any = any.map(|_| table.take_first::<B64>());
        let mut next = 0;
        let bits: Vec<Bits<E>> = openings
            .iter()
            .filter_map(|o| match o {
                Opening::Any(_) => {
                    next += 1;
                    any.as_ref().map(|any| any.planes([next - 1]))
                }
                Opening::Safe { .. } => Some(safe.clone()),
                Opening::Sum { .. } => None,
            })
            .collect();
        Ok(layout.planes::<B64, _>(&stack(&bits)))
    }
}

/// Cells of groups. A release has a plane for each opening of each cell and a row for each group; to be told apart, each cell of each group is a row.
#[derive(Clone, Copy)]
struct Cells {
    groups: usize,
    cells: usize,
}

impl Cells {
    /// What is opened and what is only compared, of the sums of a field: a row for each cell of each group.
    fn apart<R: Field, S: Share<R>>(self, sums: &S, openings: &[Opening], ring: Ring) -> (Option<S>, Option<S>) {
        let rows = self.rows::<R, S>(sums);
        let of = |o: &Opening| sums_of(o).filter(|(of, _)| *of == ring).map(|_| matches!(o, Opening::Safe { .. })).collect::<Vec<_>>();
        let guards: Vec<bool> = openings.iter().flat_map(of).collect();
        let those = |which: bool| {
            let planes: Vec<usize> = (0..guards.len()).filter(|p| guards[*p] == which).collect();
            (!planes.is_empty()).then(|| rows.planes(planes))
        };
        (those(false), those(true))
    }

    /// Planes cell by cell → rows cell by cell.
    fn rows<R: mpc_core::Ring, S: Share<R>>(self, planes: &S) -> S {
        let each = planes.layout().planes / self.cells;
        let cells: Vec<S> = (0..self.cells).map(|c| planes.planes(c * each..(c + 1) * each)).collect();
        Share::concat(&cells.iter().collect::<Vec<_>>())
    }

    /// Rows cell by cell → planes cell by cell.
    fn planes<R: mpc_core::Ring, S: Share<R>>(self, rows: &S) -> S {
        let cells: Vec<S> = (0..self.cells).map(|c| rows.slice(c * self.groups..(c + 1) * self.groups)).collect();
        stack(&cells)
    }
}

/// Whether each row reaches all thresholds: a plane of `sums` for each.
fn safe<R: Field + Cell, E: Engine>(engine: &mut E, sums: &E::Share<R>, guards: &[Guard]) -> Result<Bits<E>, Abort> {
    let rows = sums.layout().rows;
    let one = Layout::new(rows, 1);
    let above: Vec<E::Share<R>> = guards
        .iter()
        .enumerate()
        .map(|(g, guard)| {
            let least = engine.constant(&Column::splat(R::element(guard.least), one));
            sums.planes([g]).sub(&least)
        })
        .collect();
    let below = circuit::is_negative::<E, R>(engine, Share::concat(&above.iter().collect::<Vec<_>>()))?;
    let all = engine.not(&below);
    let mut all: Vec<Bits<E>> = (0..guards.len()).map(|g| all.slice(g * rows..(g + 1) * rows)).collect();
    while all.len() > 1 {
        let odd = if all.len() % 2 == 1 { all.pop() } else { None };
        let (left, right): (Vec<_>, Vec<_>) = all.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
        let both = engine.mul(&stack(&left), &stack(&right))?;
        all = (0..left.len()).map(|p| both.planes([p])).chain(odd).collect();
    }
    all.pop().ok_or_else(|| Abort::Refused("the plan guards a release by nothing".into()))
}
