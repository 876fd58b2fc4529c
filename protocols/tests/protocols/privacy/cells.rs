//! Which cells are shown: thresholds, dominance, and what stands beside a published total.

use super::{Words, field, input, input_bits, open, open_bits};
use mpc_core::{B64, Column, Fp61, Layout, PartyId};
use protocols::cost::{self, Opening};
use protocols::privacy::{Dominance, Epsilon, Facts, Laplace, Margins, Rule, Sensitivity, complement, safe, suppress};
use protocols::relational::{Radix, Sorting};
use protocols::world::{Protocol, check, check_seeded, estimated};
use protocols::{Abort, Engine, Plain, Share, Table};

fn elements(values: &[i128], rows: usize) -> Column<Fp61> {
    let planes = values.len().checked_div(rows).unwrap_or(2);
    Column::from_elements(values.iter().map(|v| field(*v)).collect(), Layout::new(rows, planes)).expect("whole planes")
}

struct Safe {
    entities: Vec<i128>,
    /// The totals of single entities, the greatest first, a plane each; and what all others have.
    largest: Vec<i128>,
    others: Vec<i128>,
    rule: Rule,
}

impl Safe {
    fn total(&self) -> Vec<i128> {
        let rows = self.entities.len();
        (0..rows).map(|i| self.others[i] + self.largest.iter().skip(i).step_by(rows).sum::<i128>()).collect()
    }
}

impl Protocol for Safe {
    type Output = Vec<u128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
        let rows = self.entities.len();
        let entities = input(e, 0, &elements(&self.entities, rows).pick_planes([0]))?;
        let (total, largest) = (elements(&self.total(), rows).pick_planes([0]), elements(&self.largest, rows));
        let (total, largest) = (input(e, 1, &total)?, input(e, 2, &largest)?);
        let totals = self.rule.dominance.map(|_| (&total, &largest));
        let shown = safe::<E, Fp61>(e, &Facts { entities: &entities, totals }, &self.rule)?;
        open_bits(e, &shown)
    }
}

#[test]
fn thresholds_and_dominance() {
    let rules = [
        (10, None),
        (1, Some(Dominance::Share { largest: 1, percent: 15 })),
        (3, Some(Dominance::Share { largest: 2, percent: 85 })),
        (0, Some(Dominance::Estimate { percent: 10 })),
    ];
    for rows in [0, 1, 2, 63, 64, 65, 1000] {
        for (entities, dominance) in rules {
            let mut words = Words(rows as u64 + entities);
            let mut column = |bound| (0..rows).map(|_| words.below(bound).into()).collect::<Vec<i128>>();
            let (counts, second, others) = (column(2 * entities + 3), column(20), column(100));
            let first: Vec<i128> = column(30).iter().zip(&second).map(|(more, second)| second + more).collect();
            let case = Safe {
                entities: counts,
                largest: [first.clone(), second.clone()].concat(),
                others: others.clone(),
                rule: Rule { entities, dominance },
            };
            let total = case.total();
            let expected = |i: usize| {
                let fine = match dominance {
                    None => true,
                    Some(Dominance::Share { largest: 1, percent }) => 100 * first[i] <= i128::from(percent) * total[i],
                    Some(Dominance::Share { percent, .. }) => 100 * (first[i] + second[i]) <= i128::from(percent) * total[i],
                    Some(Dominance::Estimate { percent }) => 100 * others[i] >= i128::from(percent) * first[i],
                };
                u128::from(fine && case.entities[i] >= entities.into())
            };
            assert_eq!(check(&case), (0..rows).map(expected).collect::<Vec<_>>(), "{rows} rows, {:?}", case.rule);
            let inputs = [(0u8, 1), (1, 1), (2, 2)].map(|(p, planes)| cost::input::<Fp61>([(PartyId(p), Layout::new(rows, planes))]));
            let formula = inputs.into_iter().chain([cost::safe::<Fp61>(rows, &case.rule), cost::open::<B64>(Layout::new(rows, 1))]).sum();
            assert_eq!(estimated(&case), formula, "{:?}", case.rule);
        }
    }
}

struct Hidden<'a> {
    entities: &'a [i128],
    least: u64,
    margins: Margins,
    sorting: Sorting,
}

const WIDTH: usize = 6;

impl Protocol for Hidden<'_> {
    type Output = Vec<u128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
        let rows = self.entities.len();
        let entities = input(e, 0, &elements(self.entities, rows).pick_planes([0]))?;
        let rule = Rule { entities: self.least, dominance: None };
        let fine = safe::<E, Fp61>(e, &Facts { entities: &entities, totals: None }, &rule)?;
        let shown = complement::<E, Fp61>(e, &fine, (&entities, WIDTH), self.least, &self.margins, self.sorting)?;
        open_bits(e, &shown)
    }
}

/// In clear: the fewest entities first, until two are hidden and they have enough together.
fn greedy(cells: &[i128], least: i128) -> Vec<u128> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|i| (cells[*i] >= least, cells[*i]));
    let mut shown = vec![1; cells.len()];
    let (mut hidden, mut sum) = (0, 0);
    let any = cells.iter().any(|c| *c < least);
    for i in order {
        if cells[i] < least || any && (hidden < 2 || sum < least) {
            (shown[i], hidden, sum) = (0, hidden + 1, sum + cells[i]);
        }
    }
    shown
}

/// Every table of up to four cells with counts around the threshold: as in clear; and whoever solves for the hidden cells, knowing the total and the shown ones, is left with an
/// interval at least as wide as the threshold for each, or the total is too small to be published.
#[test]
fn every_small_table() {
    const LEAST: u64 = 3;
    for cells in 1..=4u32 {
        let tables = 6usize.pow(cells);
        let cell = |t: usize, i: u32| (t / 6usize.pow(i) % 6) as i128;
        let entities: Vec<i128> = (0..tables).flat_map(|t| (0..cells).map(move |i| cell(t, i))).collect();
        let margins = Margins(vec![cells as usize; tables]);
        let shown = check_seeded(&Hidden { entities: &entities, least: LEAST, margins, sorting: Radix::default().into() }, 5);
        for (table, shown) in entities.chunks(cells as usize).zip(shown.chunks(cells as usize)) {
            assert_eq!(shown, greedy(table, LEAST.into()), "{table:?}");
            let hidden: Vec<i128> = table.iter().zip(shown).filter(|(_, s)| **s == 0).map(|(c, _)| *c).collect();
            assert!(table.iter().zip(shown).all(|(c, s)| *s == 0 || *c >= LEAST.into()), "{table:?}");
            let (total, width): (i128, i128) = (table.iter().sum(), hidden.iter().sum());
            let published = total >= LEAST.into();
            if published && !hidden.is_empty() && cells > 1 {
                assert!(hidden.len() >= 2 && width >= LEAST.into(), "{table:?} {shown:?}");
            }
        }
    }
}

#[test]
fn margins_of_different_sizes() {
    let sizes = [0, 1, 5, 2, 64, 0, 65, 13];
    let rows: usize = sizes.iter().sum();
    let mut words = Words(9);
    for bound in [64, 16, 11] {
        let entities: Vec<i128> = (0..rows).map(|_| words.below(bound).into()).collect();
        let case = |sorting| Hidden { entities: &entities, least: 10, margins: Margins(sizes.to_vec()), sorting };
        let shown = check_seeded(&case(Radix::default().into()), 6);
        let mut at = 0;
        for size in sizes {
            assert_eq!(shown[at..at + size], greedy(&entities[at..at + size], 10));
            at += size;
        }
        assert_eq!(shown, case(Sorting::Samplesort).run(&mut Plain::new()).expect("in clear"));
    }
}

#[test]
fn a_complement_costs_its_formula() {
    for sizes in [vec![], vec![1], vec![64, 1], vec![5, 7, 9]] {
        let rows = sizes.iter().sum();
        let margins = Margins(sizes);
        let entities = vec![0; rows];
        let case = Hidden { entities: &entities, least: 10, margins: margins.clone(), sorting: Radix::default().into() };
        // a digit of two bits for each shuffle, with the numbers of the groups above the rest
        let turns = (WIDTH + 1 + [0, 0, 1, 2][margins.0.len()]).div_ceil(2) as u64;
        let one = Layout::new(rows, 1);
        let formula = [
            cost::input::<Fp61>([(PartyId(0), one)]),
            cost::is_negative::<Fp61>(rows),
            cost::complement::<Fp61>(WIDTH, &margins, Radix::default().into(), 0, turns, Opening::Within),
            cost::open::<B64>(one),
        ];
        assert_eq!(estimated(&case), formula.into_iter().sum(), "{margins:?}");
    }
}

/// The whole of it: noise on sums, then what may not be shown is zeroed, noise and all, and only then something opens.
struct Released {
    entities: Vec<i128>,
    sums: Vec<i128>,
}

impl Protocol for Released {
    type Output = (Vec<u128>, Vec<i128>);
    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.entities.len();
        let noise = Laplace::new(Epsilon::ONE, &Sensitivity { each: 1, total: 1, cells: 1 }).expect("fits");
        let (entities, sums) = (input(e, 0, &elements(&self.entities, rows))?, input(e, 1, &elements(&self.sums, rows))?);
        let noise = noise.sample::<E, Fp61>(e, rows)?;
        let mut cells = Table::new(rows).with::<Fp61>(sums.add(&noise));
        let fine = safe::<E, Fp61>(e, &Facts { entities: &entities, totals: None }, &Rule { entities: 5, dominance: None })?;
        let shown = complement::<E, Fp61>(e, &fine, (&entities, WIDTH), 5, &Margins(vec![rows]), Radix::default())?;
        suppress(e, &shown, &mut cells)?;
        let opened = open_bits(e, &shown)?;
        Ok((opened, open::<E, Fp61>(e, &cells.take_last::<Fp61>())?))
    }
}

#[test]
fn suppressed_cells_open_as_zero() {
    let case = Released { entities: vec![7, 1, 30, 6, 9], sums: vec![1 << 40; 5] };
    let (results, _) = protocols::world::metered(&case, 8);
    for (shown, values) in results {
        assert_eq!(shown, [1, 0, 1, 0, 1]);
        for (shown, value) in shown.iter().zip(values) {
            let close = (value - (1 << 40)).abs() < 64;
            assert!(if *shown == 1 { close } else { value == 0 }, "{value}");
        }
    }
}

#[test]
fn a_threshold_may_be_on_a_noised_count() {
    struct Noised;
    impl Protocol for Noised {
        type Output = Vec<u128>;
        fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
            let bits = input_bits(e, 0, &[0, 1000], 10)?;
            let counts = protocols::circuit::integer::<E, Fp61>(e, &bits, protocols::circuit::Sign::Unsigned)?;
            let noise = Laplace::new(Epsilon::ONE, &Sensitivity::of_entities(1, 2)).expect("fits").sample::<E, Fp61>(e, 2)?;
            let counts = counts.add(&noise);
            let shown = safe::<E, Fp61>(e, &Facts { entities: &counts, totals: None }, &Rule { entities: 500, dominance: None })?;
            open_bits(e, &shown)
        }
    }
    assert_eq!(check(&Noised), [0, 1]);
}
