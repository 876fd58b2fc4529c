//! Sums over the rows of public groups. What is linear in shared columns is summed locally; products of two shared columns are
//! summed by inner products, one element for each group and opening however many rows and terms it has, in one round for a release.

use super::field::{Field, Known, times};
use super::{Run, share_of};
use crate::plan::{self, Opening, Term};
use mpc_core::{Abort, Column, Layout, Ring};
use protocols::{Engine, Share, stack};

/// The sums of an opening, and in which field.
pub(super) fn sums_of(opening: &Opening) -> impl Iterator<Item = (plan::Ring, &[Term])> {
    let (own, guards) = match opening {
        Opening::Sum { ring, terms, .. } => (Some((*ring, terms.as_slice())), None),
        Opening::Safe { ring, guards } => (None, Some((*ring, guards))),
        Opening::Any(_) => (None, None),
    };
    let guards = guards.into_iter().flat_map(|(ring, guards)| guards.iter().map(move |g| (ring, g.terms.as_slice())));
    own.into_iter().chain(guards)
}

/// The two shared factors of a term, the public coefficient already in the first.
type Pair<E, R> = (<E as Engine>::Share<R>, <E as Engine>::Share<R>);

/// A term: known without a round, or two shared factors.
enum Summand<E: Engine, R: Ring> {
    Local(Known<R, E::Share<R>>),
    Pair(Pair<E, R>),
}

impl<E: Engine> Run<'_, E> {
    /// The sums of a release in this field, those it opens and those of its guards, opening by opening: a plane for each, a row for each public group.
    pub(super) fn sums<R: Field>(&self, engine: &mut E, release: usize) -> Result<E::Share<R>, Abort> {
        let (of, count) = {
            let g = self.ground().groups(release);
            (&g.of, g.count)
        };
        let openings = self.plan().releases[release].cells.iter().flat_map(|c| &c.openings);
        let mut linear = Vec::new();
        let mut products: Vec<Vec<Pair<E, R>>> = Vec::new();
        for (_, terms) in openings.flat_map(sums_of).filter(|(ring, _)| *ring == R::FIELD) {
            let mut total: Known<R, E::Share<R>> = Known::Public(Column::zeros(Layout::new(count, 1)));
            let mut pairs = Vec::new();
            for term in terms {
                match self.term::<R>(term) {
                    Summand::Local(Known::Public(column)) => total = plus(engine, total, Known::Public(column.sum_groups(of, count))),
                    Summand::Local(Known::Secret(share)) => total = plus(engine, total, Known::Secret(share.sum_groups(of, count))),
                    Summand::Pair(pair) => pairs.push(pair),
                }
            }
            linear.push(share_of(engine, total));
            products.push(pairs);
        }
        let linear = stack(&linear);
        let members = self.ground().groups(release).members();
        Ok(match inner_products(engine, &products, &members)? {
            Some(products) => linear.add(&products),
            None => linear,
        })
    }

    /// coefficient × a × b.
    fn term<R: Field>(&self, term: &Term) -> Summand<E, R> {
        let scaled = |known: Known<R, E::Share<R>>| {
            if term.coefficient == 1 {
                return known;
            }
            let layout = match &known {
                Known::Public(c) => c.layout(),
                Known::Secret(s) => s.layout(),
            };
            times(known, Known::Public(Column::splat(R::element(term.coefficient), layout)))
        };
        let a = scaled(self.element::<R>(term.a));
        let Some(b) = term.b else { return Summand::Local(a) };
        match (a, self.element::<R>(b)) {
            (Known::Secret(a), Known::Secret(b)) => Summand::Pair((a, b)),
            (a, b) => Summand::Local(times(a, b)),
        }
    }
}

fn plus<R: Ring, E: Engine>(engine: &mut E, a: Known<R, E::Share<R>>, b: Known<R, E::Share<R>>) -> Known<R, E::Share<R>> {
    match (a, b) {
        (Known::Public(a), Known::Public(b)) => Known::Public(a.zip(&b, R::add)),
        (Known::Secret(a), Known::Secret(b)) => Known::Secret(a.add(&b)),
        (Known::Secret(s), Known::Public(p)) | (Known::Public(p), Known::Secret(s)) => Known::Secret(engine.add_public(&s, &p)),
    }
}

/// For each opening (a plane) and group (a row): the sum of the products of its pairs over the group's rows. `None` if there is nothing to multiply.
fn inner_products<R: Ring, E: Engine>(
    engine: &mut E,
    openings: &[Vec<Pair<E, R>>],
    members: &[Vec<usize>],
) -> Result<Option<E::Share<R>>, Abort> {
    let (groups, longest) = (members.len(), members.iter().map(Vec::len).max().unwrap_or(0));
    let terms = openings.iter().map(Vec::len).max().unwrap_or(0);
    let Some(any) = openings.iter().flatten().next() else { return Ok(None) };
    if longest == 0 {
        return Ok(None);
    }
    // only openings with products are sent
    let busy: Vec<usize> = (0..openings.len()).filter(|o| !openings[*o].is_empty()).collect();
    let sums: E::Share<R> = if groups <= longest {
        // few groups: a plane holds the rows of one group, all terms one after the other
        let side = |of: fn(&Pair<E, R>) -> &E::Share<R>| {
            let planes: Vec<_> = busy
                .iter()
                .flat_map(|o| members.iter().map(move |rows| (*o, rows)))
                .map(|(o, rows)| {
                    let parts = openings[o].iter().enumerate().map(|(t, pair)| {
                        let mut places = vec![None; terms * longest];
                        places[t * longest..][..rows.len()].iter_mut().zip(rows).for_each(|(place, row)| *place = Some(*row));
                        of(pair).gather(&places)
                    });
                    parts.reduce(|all, part| all.add(&part)).expect("a busy opening has terms")
                })
                .collect();
            stack(&planes)
        };
        let dots = engine.dot(&side(|p| &p.0), &side(|p| &p.1))?;
        // one row for each group and opening: the groups of an opening become its rows
        let row =
            |b: usize, g: usize| dots.planes([b * groups + g]).gather(&(0..groups).map(|r| (r == g).then_some(0)).collect::<Vec<_>>());
        let planes: Vec<_> = (0..busy.len())
            .map(|b| (0..groups).map(|g| row(b, g)).reduce(|all, row| all.add(&row)).expect("a busy opening has groups"))
            .collect();
        stack(&planes)
    } else {
        // many groups: a row for each group, a pair of columns for each term and place within the group
        let zero = any.0.gather(&vec![None; groups]);
        let mut pairs = Vec::with_capacity(terms * longest);
        for place in 0..longest {
            let rows: Vec<Option<usize>> = members.iter().map(|m| m.get(place).copied()).collect();
            for t in 0..terms {
                let side = |of: fn(&Pair<E, R>) -> &E::Share<R>| {
                    let planes: Vec<_> =
                        busy.iter().map(|o| openings[*o].get(t).map_or_else(|| zero.clone(), |pair| of(pair).gather(&rows))).collect();
                    stack(&planes)
                };
                pairs.push((side(|p| &p.0), side(|p| &p.1)));
            }
        }
        engine.sum_of_products(&pairs.iter().map(|(x, y)| (x, y)).collect::<Vec<_>>())?
    };
    // openings without products are zero here
    let zero = any.0.gather(&vec![None; groups]);
    let planes: Vec<_> =
        (0..openings.len()).map(|o| busy.iter().position(|b| *b == o).map_or_else(|| zero.clone(), |b| sums.planes([b]))).collect();
    Ok(Some(stack(&planes)))
}
