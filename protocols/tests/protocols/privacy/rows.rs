//! Clamps, caps, and who contributes to which group.

use super::{SIZES, Words, field, input, input_bits, open, open_bits};
use mpc_core::{B64, Column, Fp61, Fp127, Layout};
use protocols::circuit::Sign;
use protocols::cost::{self, Opening};
use protocols::privacy::{Bounds, Rows, cap, clamp, clamp_field, contributions};
use protocols::relational::{Radix, Sorting};
use protocols::world::{Protocol, check, check_seeded, estimated, metered};
use protocols::{Abort, Engine, Plain, Table};
use std::collections::BTreeMap;

struct Clamp {
    values: Vec<i128>,
    width: usize,
    sign: Sign,
    bounds: Bounds,
}

impl Protocol for Clamp {
    type Output = Vec<u128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
        let x = input_bits(e, 0, &self.values, self.width)?;
        let x = clamp(e, &x, self.sign, &self.bounds)?;
        open_bits(e, &x)
    }
}

#[test]
fn clamps_of_bits() {
    let within = |v: i128, bounds: &Bounds| v.clamp(bounds.low.into(), bounds.high.into());
    // every value of few bits, every pair of bounds
    for width in 1..=4usize {
        for sign in [Sign::Unsigned, Sign::Signed] {
            let values: Vec<i128> = match sign {
                Sign::Unsigned => (0..1 << width).collect(),
                Sign::Signed => (-(1 << (width - 1))..1 << (width - 1)).collect(),
            };
            for low in values.iter().chain([&-100]).copied() {
                for high in values.iter().chain([&100]).copied().filter(|high| *high >= low) {
                    let bounds = Bounds::new(low as i64, high as i64).expect("in order");
                    let case = Clamp { values: values.clone(), width, sign, bounds };
                    let mask = (1i128 << width) - 1;
                    let expected: Vec<u128> = values.iter().map(|v| (within(*v, &bounds) & mask) as u128).collect();
                    assert_eq!(check(&case), expected, "{width} bits, {bounds:?}");
                    let formula = cost::clamp(values.len(), width, sign, &bounds);
                    let moved = cost::input::<B64>([(mpc_core::PartyId(0), Layout::new(values.len(), width))])
                        .then(cost::open::<B64>(Layout::new(values.len(), width)));
                    let (input, open) = (moved.rounds, formula.rounds);
                    assert_eq!(estimated(&case).rounds, input + open);
                    assert_eq!(estimated(&case).bits[1], formula.bits[1] + moved.bits[1]);
                }
            }
        }
    }
    for rows in SIZES {
        let mut words = Words(rows as u64);
        let values: Vec<i128> = (0..rows).map(|_| i128::from(words.next() as i64)).collect();
        let bounds = Bounds::new(-(1 << 40), i64::MAX - 5).expect("in order");
        let expected: Vec<u128> = values.iter().map(|v| (within(*v, &bounds) & i128::from(u64::MAX)) as u128).collect();
        assert_eq!(check(&Clamp { values, width: 64, sign: Sign::Signed, bounds }), expected);
    }
}

struct ClampField(Vec<i128>, Bounds);

impl Protocol for ClampField {
    type Output = [Vec<i128>; 2];
    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let x = input(e, 0, &Column::<Fp61>::from_rows(self.0.iter().map(|v| field(*v)).collect()))?;
        let y = input(e, 1, &Column::<Fp127>::from_rows(self.0.iter().map(|v| field(*v)).collect()))?;
        let x = clamp_field::<E, Fp61>(e, &x, &self.1)?;
        let y = clamp_field::<E, Fp127>(e, &y, &self.1)?;
        Ok([open::<E, Fp61>(e, &x)?, open::<E, Fp127>(e, &y)?])
    }
}

#[test]
fn clamps_of_elements() {
    for rows in SIZES {
        let mut words = Words(rows as u64);
        for bounds in [Bounds::new(-20, 30), Bounds::new(5, 5), Bounds::new(-9, -3), Bounds::new(0, 1 << 50)].map(|b| b.expect("in order"))
        {
            let near = [bounds.low - 1, bounds.low, bounds.low + 1, bounds.high - 1, bounds.high, bounds.high + 1, 0, 1 << 58, -(1 << 58)];
            let values: Vec<i128> = (0..rows).map(|_| near[words.below(9) as usize].into()).collect();
            let expected: Vec<i128> = values.iter().map(|v| (*v).clamp(bounds.low.into(), bounds.high.into())).collect();
            assert_eq!(check(&ClampField(values, bounds)), [expected.clone(), expected]);
        }
    }
    assert_eq!(cost::clamp_field::<Fp61>(1).rounds, 11);
}

struct Cap {
    entities: Vec<i128>,
    valid: Vec<i128>,
    most: usize,
    sorting: Sorting,
}

impl Protocol for Cap {
    type Output = [Vec<u128>; 3];
    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.entities.len();
        let (entity, valid) = (input_bits(e, 0, &self.entities, 6)?, input_bits(e, 1, &self.valid, 1)?);
        let number = input_bits(e, 2, &(0..rows as i128).collect::<Vec<_>>(), 10)?;
        let mut capped = cap(e, entity, valid, Table::new(rows).with(number), self.most, self.sorting)?;
        let number = capped.table.take_last::<B64>();
        Ok([open_bits(e, &capped.entity)?, open_bits(e, &capped.kept)?, open_bits(e, &number)?])
    }
}

#[test]
fn caps() {
    for rows in SIZES {
        for (most, kinds) in [(1, 3), (2, 64), (5, 7), (100, 1), (2000, 2)] {
            let mut words = Words((rows + most) as u64);
            let entities: Vec<i128> = (0..rows).map(|_| words.below(kinds).into()).collect();
            let valid: Vec<i128> = (0..rows).map(|_| i128::from(words.below(5) > 0)).collect();
            let radix = Cap { entities: entities.clone(), valid: valid.clone(), most, sorting: Radix::default().into() };
            let results = [
                check_seeded(&radix, 2),
                Cap { sorting: Sorting::Samplesort, entities: entities.clone(), valid: valid.clone(), most }
                    .run(&mut Plain::new())
                    .expect("in clear"),
            ];
            let mut order: Vec<usize> = (0..rows).collect();
            order.sort_by_key(|i| (1 - valid[*i], entities[*i]));
            let mut seen = BTreeMap::new();
            let kept: Vec<u128> = order
                .iter()
                .map(|i| {
                    let count: &mut usize = seen.entry(entities[*i]).or_default();
                    *count += usize::from(valid[*i] == 1);
                    u128::from(valid[*i] == 1 && *count <= most)
                })
                .collect();
            for [entity, flags, number] in results {
                assert_eq!(number, order.iter().map(|i| *i as u128).collect::<Vec<_>>());
                assert_eq!(entity, order.iter().map(|i| entities[*i] as u128).collect::<Vec<_>>());
                assert_eq!(flags, kept, "{rows} rows, at most {most}");
            }
        }
    }
}

/// The formula is the cost, but for inputs and openings.
#[test]
fn a_cap_costs_its_formula() {
    for rows in SIZES {
        let case = Cap { entities: vec![0; rows], valid: vec![1; rows], most: 3, sorting: Radix::default().into() };
        let inputs = [(0u8, 6), (1, 1), (2, 10)].map(|(p, planes)| cost::input::<B64>([(mpc_core::PartyId(p), Layout::new(rows, planes))]));
        let opened = [6, 1, 10].map(|planes| cost::open::<B64>(Layout::new(rows, planes)));
        let formula = cost::cap(rows, 6, 10, 3, Radix::default().into(), 0, Opening::Within);
        let all = inputs.into_iter().chain([formula]).chain(opened).sum();
        assert_eq!(estimated(&case), all, "{rows} rows");
    }
}

struct Contributing {
    groups: Vec<i128>,
    entities: Vec<i128>,
    valid: Vec<i128>,
    values: Vec<i128>,
    ranks: usize,
}

impl Protocol for Contributing {
    type Output = (Vec<u128>, [Vec<i128>; 3], Vec<u128>);
    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (group, entity) = (input_bits(e, 0, &self.groups, 3)?, input_bits(e, 1, &self.entities, 4)?);
        let valid = input_bits(e, 2, &self.valid, 1)?;
        let value = input(e, 0, &Column::<Fp61>::from_rows(self.values.iter().map(|v| field(*v)).collect()))?;
        let rows = Rows { group: &group, entity: &entity, valid: &valid, value: &value };
        let got = contributions::<E, Fp61>(e, &rows, self.ranks, 20, Radix::default())?;
        let facts = [open::<E, Fp61>(e, &got.entities)?, open::<E, Fp61>(e, &got.total)?, open::<E, Fp61>(e, &got.largest)?];
        Ok((open_bits(e, &got.group)?, facts, open_bits(e, &got.valid)?))
    }
}

#[test]
fn contributions_of_entities() {
    for rows in [0, 1, 2, 63, 65, 300] {
        for (ranks, entities) in [(1, 16), (2, 2), (3, 5)] {
            let mut words = Words((rows * ranks) as u64);
            let mut column = |bound| (0..rows).map(|_| words.below(bound).into()).collect::<Vec<i128>>();
            let case = Contributing { groups: column(5), entities: column(entities), valid: column(2), values: column(1000), ranks };
            let (group, [count, total, largest], valid) = check_seeded(&case, 4);
            let mut totals: BTreeMap<i128, BTreeMap<i128, i128>> = BTreeMap::new();
            for i in (0..rows).filter(|i| case.valid[*i] == 1) {
                *totals.entry(case.groups[i]).or_default().entry(case.entities[i]).or_default() += case.values[i];
            }
            let padded = |mut v: Vec<i128>| {
                v.resize(rows, 0);
                v
            };
            let of = |f: &dyn Fn(&BTreeMap<i128, i128>) -> i128| padded(totals.values().map(f).collect());
            let unsigned = |v: Vec<i128>| v.into_iter().map(|v| v as u128).collect::<Vec<_>>();
            assert_eq!(group, unsigned(padded(totals.keys().copied().collect())));
            assert_eq!(valid, unsigned(of(&|_| 1)));
            assert_eq!(count, of(&|e| e.len() as i128));
            assert_eq!(total, of(&|e| e.values().sum()));
            let rank = |j: usize| {
                of(&|e: &BTreeMap<i128, i128>| {
                    let mut all: Vec<i128> = e.values().copied().collect();
                    all.sort_by_key(|v| -v);
                    all.get(j).copied().unwrap_or(0)
                })
            };
            assert_eq!(largest, (0..ranks).flat_map(rank).collect::<Vec<_>>(), "{rows} rows, {ranks} ranks");
        }
    }
}

/// Nothing but the places of shuffled rows is opened, whatever the data: as many bits cross for any.
#[test]
fn traffic_does_not_depend_on_the_data() {
    let of =
        |kinds: i128| Cap { entities: (0..64).map(|i| i % kinds).collect(), valid: vec![1; 64], most: 2, sorting: Radix::default().into() };
    assert_eq!(metered(&of(1), 3).1, metered(&of(64), 3).1);
}
