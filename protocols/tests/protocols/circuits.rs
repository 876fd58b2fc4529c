//! Every circuit against integer arithmetic and, through `check`, in every scheme with its exact cost: edge sizes, every width,
//! boundary values.

use mpc_core::{B64, Column, Fp31, Fp61, Fp127, Index, Layout, PartyId, Ring, Z64};
use proptest::prelude::*;
use protocols::world::{Protocol, check, check_seeded};
use protocols::{Abort, Engine, Input, Share, circuit};

/// A circuit over two integer columns.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Equal,
    EqualAlso,
    Less,
    LessSigned,
    LessAndEqual,
    LessAndEqualSigned,
    LessPublic,
    GreaterPublic,
    Minimum,
    Maximum,
    Select,
    Add,
    Subtract,
    All,
    Any,
}

const OPS: [Op; 15] = [
    Op::Equal,
    Op::EqualAlso,
    Op::Less,
    Op::LessSigned,
    Op::LessAndEqual,
    Op::LessAndEqualSigned,
    Op::LessPublic,
    Op::GreaterPublic,
    Op::Minimum,
    Op::Maximum,
    Op::Select,
    Op::Add,
    Op::Subtract,
    Op::All,
    Op::Any,
];

struct Case {
    op: Op,
    width: usize,
    a: Vec<u64>,
    b: Vec<u64>,
}

impl Case {
    fn column(&self, values: &[u64], width: usize) -> Column<B64> {
        Column::from_ints(&values.iter().map(|v| (*v).into()).collect::<Vec<_>>(), width)
    }

    /// What integer arithmetic says of row `i`, all results of the circuit one after the other.
    fn truth(&self, a: u64, b: u64) -> Vec<u64> {
        let mask = u64::MAX >> (64 - self.width);
        let signed = |v: u64| (v as i64) << (64 - self.width) >> (64 - self.width);
        let bits = |bits: &[bool]| bits.iter().map(|b| (*b).into()).collect();
        match self.op {
            Op::Equal => bits(&[a == b]),
            Op::EqualAlso => bits(&[a == b && a & 1 == 1 && b >> (self.width - 1) & 1 == 1]),
            Op::Less | Op::LessPublic => bits(&[a < b]),
            Op::GreaterPublic => bits(&[a > b]),
            Op::LessSigned => bits(&[signed(a) < signed(b)]),
            Op::LessAndEqual => bits(&[a < b, a == b]),
            Op::LessAndEqualSigned => bits(&[signed(a) < signed(b), a == b]),
            Op::Minimum => vec![a.min(b)],
            Op::Maximum => vec![a.max(b)],
            Op::Select => vec![if a & 1 == 1 { a } else { b }],
            Op::Add => vec![a.wrapping_add(b) & mask],
            Op::Subtract => vec![a.wrapping_sub(b) & mask],
            Op::All => bits(&[a == mask]),
            Op::Any => bits(&[a != 0]),
        }
    }

    fn verify(&self) {
        let got = check(self);
        for (i, (a, b)) in self.a.iter().zip(&self.b).enumerate() {
            let row: Vec<u64> = got.iter().map(|column| column[i]).collect();
            assert_eq!(row, self.truth(*a, *b), "{:?} of {a} and {b}, width {}, row {i} of {}", self.op, self.width, self.a.len());
        }
    }
}

impl Protocol for Case {
    type Output = Vec<Vec<u64>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let layout = Layout::new(self.a.len(), self.width);
        let (pa, pb) = (PartyId(0), PartyId(2));
        let (a, b) = (self.column(&self.a, self.width), self.column(&self.b, self.width));
        let inputs = [Input::new(pa, layout, e.holds(pa).then_some(&a)), Input::new(pb, layout, e.holds(pb).then_some(&b))];
        let [x, y] = &e.input(&inputs)?[..] else { unreachable!() };
        let results = match self.op {
            Op::Equal => vec![circuit::equal(e, x, y, &[])?],
            Op::EqualAlso => vec![circuit::equal(e, x, y, &[&x.planes([0]), &y.planes([self.width - 1])])?],
            Op::Less => vec![circuit::less(e, x, y)?],
            Op::LessSigned => vec![circuit::less_signed(e, x, y)?],
            Op::LessAndEqual => {
                let (l, q) = circuit::less_and_equal(e, x, y)?;
                vec![l, q]
            }
            Op::LessAndEqualSigned => {
                let (l, q) = circuit::less_and_equal_signed(e, x, y)?;
                vec![l, q]
            }
            Op::LessPublic => vec![circuit::less_public(e, x, &b)?],
            Op::GreaterPublic => vec![circuit::greater_public(e, x, &b)?],
            Op::Minimum => vec![circuit::minimum(e, x, y)?],
            Op::Maximum => vec![circuit::maximum(e, x, y)?],
            Op::Select => vec![circuit::select(e, &x.planes([0]), x, y)?],
            Op::Add => vec![circuit::add(e, x, y)?],
            Op::Subtract => vec![circuit::subtract(e, x, y)?],
            Op::All => vec![circuit::all(e, x)?],
            Op::Any => vec![circuit::any(e, x)?],
        };
        results
            .into_iter()
            .map(|r| {
                let r = e.verify(r)?;
                Ok(e.open(&r)?.to_uints().into_iter().map(|v| v as u64).collect())
            })
            .collect()
    }
}

/// Boundary values of a width, signed and unsigned.
fn edges(width: usize) -> Vec<u64> {
    let mask = u64::MAX >> (64 - width);
    let top = 1u64 << (width - 1);
    let mut v = vec![0, 1, 2, mask, mask - 1, top, top - 1, top.wrapping_add(1), mask / 3];
    v.iter_mut().for_each(|v| *v &= mask);
    v
}

/// All pairs of boundary values, repeated or cut to `rows`.
fn boundary_pairs(width: usize, rows: usize) -> (Vec<u64>, Vec<u64>) {
    let e = edges(width);
    (0..rows).map(|i| (e[i % e.len()], e[i / e.len() % e.len()])).unzip()
}

#[test]
fn every_width_on_boundary_values() {
    for width in 1..=64 {
        let (a, b) = boundary_pairs(width, 81);
        OPS.into_iter().for_each(|op| Case { op, width, a: a.clone(), b: b.clone() }.verify());
    }
}

#[test]
fn edge_sizes() {
    for rows in [0, 1, 2, 63, 64, 65, 1000] {
        for width in [1, 2, 7, 32, 33, 64] {
            let (a, b) = boundary_pairs(width, rows);
            OPS.into_iter().for_each(|op| Case { op, width, a: a.clone(), b: b.clone() }.verify());
        }
    }
}

#[test]
fn all_rows_equal() {
    for width in [1, 5, 64] {
        for v in edges(width) {
            OPS.into_iter().for_each(|op| Case { op, width, a: vec![v; 70], b: vec![v; 70] }.verify());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn random_values(op in prop::sample::select(&OPS[..]), width in 1usize..=64, pairs in prop::collection::vec(any::<(u64, u64, bool)>(), 0..70)) {
        let mask = u64::MAX >> (64 - width);
        let (a, b) = pairs.into_iter().map(|(a, b, same)| (a & mask, if same { a & mask } else { b & mask })).unzip();
        Case { op, width, a, b }.verify();
    }
}

// ------------------------------------------------------------ sums over filters

/// Count, filtered sum, bit times, converted bits and plain dot product, over a ring.
struct Sums<R: Ring> {
    bits: Vec<bool>,
    values: Column<R>,
}

fn opened<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>) -> Result<Vec<u128>, Abort> {
    let x = e.verify(x)?;
    Ok(e.open(&x)?.as_slice().iter().map(|v| v.to_bits()).collect())
}

impl<R: Ring> Protocol for Sums<R> {
    type Output = Vec<Vec<u128>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (pa, pb) = (PartyId(1), PartyId(2));
        let bits = Column::from_bools(&self.bits);
        let b = e.input(&[Input::new(pa, bits.layout(), e.holds(pa).then_some(&bits))])?.remove(0);
        let v = e.input(&[Input::new(pb, self.values.layout(), e.holds(pb).then_some(&self.values))])?.remove(0);
        let converted = e.bits_to::<R>(&b)?;
        let counted = circuit::count::<E, R>(e, &b)?;
        let times = circuit::bit_times::<E, R>(e, &b, &v)?;
        let sums = circuit::filtered_sum::<E, R>(e, &b, &v)?;
        let dots = e.dot(&v, &v)?;
        let squares = e.sum_of_products(&[(&v, &v), (&v, &v), (&v, &v)])?;
        let chosen = {
            let twice = v.add(&v);
            e.select(&converted, &v, &twice)?
        };
        [converted, counted, times, sums, dots, squares, chosen].into_iter().map(|x| opened(e, x)).collect()
    }
}

impl<R: Ring> Sums<R> {
    fn new(rows: usize, planes: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 16 ^ state << 40
        };
        let bits = (0..rows).map(|_| next() & 1 == 1).collect();
        let minus_one = R::ZERO.sub(R::ONE);
        let values = (0..rows * planes).map(|i| match i % 4 {
            0 => minus_one,
            1 => R::ZERO,
            _ => (0..4)
                .fold(R::ZERO, |v, _| v.mul(R::from_bits(0x1_0001 % (1 << (R::BITS - 1).min(20))).unwrap_or(R::ONE)).add(bit::<R>(next()))),
        });
        Sums { bits, values: Column::from_elements(values.collect(), Layout::new(rows, planes)).expect("one element a row") }
    }

    fn verify(&self) {
        let got = check_seeded(self, self.bits.len() as u64);
        let (rows, planes) = (self.bits.len(), self.values.planes());
        let bit = |r: usize| bit::<R>(self.bits[r].into());
        let sum = |f: &dyn Fn(usize) -> R| (0..rows).map(f).fold(R::ZERO, R::add).to_bits();
        let value = |p: usize, r: usize| self.values.plane(p)[r];
        let each = |f: &dyn Fn(usize, usize) -> R| (0..planes).flat_map(|p| (0..rows).map(move |r| f(p, r).to_bits())).collect::<Vec<_>>();
        assert_eq!(got[0], (0..rows).map(|r| bit(r).to_bits()).collect::<Vec<_>>());
        assert_eq!(got[1], [sum(&bit)]);
        assert_eq!(got[2], each(&|p, r| bit(r).mul(value(p, r))));
        assert_eq!(got[3], (0..planes).map(|p| sum(&|r| bit(r).mul(value(p, r)))).collect::<Vec<_>>());
        assert_eq!(got[4], (0..planes).map(|p| sum(&|r| value(p, r).mul(value(p, r)))).collect::<Vec<_>>());
        let square = |p, r| value(p, r).mul(value(p, r));
        assert_eq!(got[5], each(&|p, r| square(p, r).add(square(p, r)).add(square(p, r))));
        assert_eq!(got[6], each(&|p, r| if self.bits[r] { value(p, r) } else { value(p, r).add(value(p, r)) }));
    }
}

fn bit<R: Ring>(v: u64) -> R {
    if v & 1 == 1 { R::ONE } else { R::ZERO }
}

#[test]
fn sums_over_filters_in_every_ring() {
    fn all<R: Ring>() {
        for rows in [0, 1, 2, 63, 64, 65, 1000, 2500] {
            for planes in [1, 3] {
                Sums::<R>::new(rows, planes, 7 + rows as u64).verify();
            }
        }
    }
    all::<Fp61>();
    all::<Fp127>();
    all::<Fp31>();
    all::<Z64>();
    all::<Index>();
}
