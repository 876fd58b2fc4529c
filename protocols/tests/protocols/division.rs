//! Division by secrets and by public constants against integer arithmetic: exact everywhere, above all next to where the quotient steps.

use mpc_core::{Column, Fp61, Fp127, Layout, PartyId, Ring};
use proptest::prelude::*;
use protocols::circuit::{self, Division, Rounding, Sign};
use protocols::world::{Protocol, check_seeded, metered};
use protocols::{Abort, Engine, Estimate, Input, Share};

const ROUNDINGS: [Rounding; 2] = [Rounding::TowardZero, Rounding::HalfAwayFromZero];
const SIZES: [usize; 7] = [0, 1, 2, 63, 64, 65, 1000];

fn modulus<R: Ring>() -> i128 {
    R::ZERO.sub(R::ONE).to_bits() as i128 + 1
}

fn element<R: Ring>(v: i128) -> R {
    R::from_bits(v.rem_euclid(modulus::<R>()) as u128).expect("reduced")
}

fn centred<R: Ring>(v: &R) -> i128 {
    let v = v.to_bits() as i128;
    if v > modulus::<R>() / 2 { v - modulus::<R>() } else { v }
}

/// Shares none of whose components is constant.
fn shared<E: Engine, R: Ring>(e: &mut E, values: &[i128]) -> Result<E::Share<R>, Abort> {
    let other = |i: usize| (i as i128 + 3).wrapping_mul(0x1F3A_5C7E_9D2B_4681_35C6_D1F0_A97B) >> 3;
    let others = Column::from_rows((0..values.len()).map(|i| element::<R>(other(i))).collect());
    let ones = Column::from_rows(values.iter().zip(others.as_slice()).map(|(v, o)| element::<R>(*v).sub(*o)).collect());
    let input = |p, c| Input::new(PartyId(p), Layout::new(values.len(), 1), e.holds(PartyId(p)).then_some(c));
    let inputs = [input(1, &ones), input(2, &others)];
    let shares = e.input(&inputs)?;
    Ok(shares[0].add(&shares[1]))
}

fn opened<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>) -> Result<Vec<i128>, Abort> {
    let x = e.verify(x)?;
    Ok(e.open(&x)?.as_slice().iter().map(centred).collect())
}

/// n / d, rounded.
fn rounded(n: i128, d: i128, rounding: Rounding) -> i128 {
    let magnitude = match rounding {
        Rounding::TowardZero => n.abs() / d.abs(),
        Rounding::HalfAwayFromZero => (2 * n.abs() + d.abs()) / (2 * d.abs()),
    };
    if (n < 0) == (d < 0) { magnitude } else { -magnitude }
}

struct Secret<R: Ring> {
    of: Division,
    pairs: Vec<(i128, i128)>,
    ring: std::marker::PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for Secret<R> {
    type Output = (Vec<i128>, Vec<bool>);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (n, d): (Vec<_>, Vec<_>) = self.pairs.iter().copied().unzip();
        let (n, d) = (shared::<E, R>(e, &n)?, shared::<E, R>(e, &d)?);
        let quotient = circuit::divide::<E, R>(e, &n, &d, &self.of)?;
        let valid = e.verify(quotient.valid)?;
        Ok((opened::<E, R>(e, quotient.value)?, e.open(&valid)?.to_bools(0)))
    }
}

fn divides<R: Ring>(of: Division, pairs: Vec<(i128, i128)>, seed: u64) {
    let case = Secret::<R> { of, pairs, ring: std::marker::PhantomData };
    let (values, valid) = check_seeded(&case, seed);
    for (i, (n, d)) in case.pairs.iter().enumerate() {
        let truth = if *d == 0 { 0 } else { rounded(n * of.scale as i128, *d, of.rounding) };
        assert_eq!((values[i], valid[i]), (truth, *d != 0), "{n} / {d}, row {i}: {of:?}");
    }
}

/// Pairs within the bounds of a division: quotients and remainders at their edges, then random ones.
fn pairs(of: &Division, rows: usize, seed: u64) -> Vec<(i128, i128)> {
    let mut state = u128::from(seed) | 1 << 90;
    let mut next = |below: i128| {
        state = state.wrapping_mul(0xDA94_2042_E4DD_58B5).wrapping_add(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F);
        ((state >> 1) as i128).rem_euclid(below.max(1))
    };
    let (n_top, d_top, q_top) = ((1i128 << of.numerator.0) - 1, (1i128 << of.denominator.0) - 1, 1i128 << of.quotient);
    let scale = of.scale as i128;
    // the smallest denominator that keeps the quotient in its bounds
    let fits = |n: i128, d: i128| d == 0 || (n.abs() * scale) / d.abs() < q_top;
    let mut pairs = Vec::with_capacity(rows);
    while pairs.len() < rows {
        let i = pairs.len();
        let width = next(of.denominator.0.into()) as u32;
        let d = match i % 6 {
            0 => d_top,
            1 => 1,
            2 => 1 << width,
            3 => (1 << width) + 1,
            4 => d_top - next(d_top / 2),
            _ => next(1 << (width + 1)),
        }
        .min(d_top);
        let most = (q_top * d.max(1) - 1) / scale;
        let at = next(8.min(q_top));
        // n s near a multiple, or an odd multiple of a half, of d
        let n = match i % 7 {
            0 => most,
            1 => (at * d) / scale,
            2 => (at * d) / scale - 1,
            3 => ((2 * at + 1) * d / 2) / scale,
            4 => ((q_top - 1) * d) / scale,
            5 => ((q_top - 1) * d) / scale - 1,
            _ => next(most + 1),
        }
        .clamp(0, most.min(n_top));
        let d = if i % 11 == 7 { 0 } else { d };
        let sign = |sign: Sign, minus: bool| if sign == Sign::Signed && minus { -1 } else { 1 };
        let pair = (n * sign(of.numerator.1, i % 2 == 1), d * sign(of.denominator.1, i % 4 > 1));
        assert!(fits(pair.0, pair.1), "{pair:?} of {of:?}");
        pairs.push(pair);
    }
    pairs
}

fn cases(k: u32, quotient: u32, scale: u128) -> Vec<Division> {
    let mut all = Vec::new();
    for rounding in ROUNDINGS {
        for (n, d) in
            [(Sign::Signed, Sign::Signed), (Sign::Signed, Sign::Unsigned), (Sign::Unsigned, Sign::Unsigned), (Sign::Unsigned, Sign::Signed)]
        {
            all.push(Division { numerator: (k, n), denominator: (k, d), scale, quotient, rounding });
        }
    }
    all
}

#[test]
fn edge_sizes() {
    for rows in SIZES {
        let of = Division {
            numerator: (40, Sign::Signed),
            denominator: (20, Sign::Unsigned),
            scale: 100,
            quotient: 46,
            rounding: Rounding::HalfAwayFromZero,
        };
        divides::<Fp61>(of, pairs(&of, rows, 5), rows as u64);
        let of = Division { numerator: (25, Sign::Signed), denominator: (20, Sign::Signed), scale: 1, quotient: 21, ..of };
        divides::<Fp61>(of, pairs(&of, rows, 6), rows as u64);
    }
}

#[test]
fn every_combination_of_signs_and_rounding() {
    for (k, quotient, scale) in
        [(32, 20, 1), (32, 40, 10_000), (59, 20, 1), (59, 40, 1), (59, 54, 1), (8, 12, 10), (1, 1, 1), (3, 21, 100_000)]
    {
        for of in cases(k, quotient, scale) {
            divides::<Fp61>(of, pairs(&of, 300, k.into()), 9);
        }
    }
    for rounding in ROUNDINGS {
        let of = Division { numerator: (60, Sign::Unsigned), denominator: (60, Sign::Unsigned), scale: 1, quotient: 50, rounding };
        divides::<Fp61>(of, pairs(&of, 200, 60), 9);
    }
    for (k, quotient, scale) in [(70, 50, 1), (60, 54, 1_000), (100, 20, 1)] {
        for of in cases(k, quotient, scale) {
            divides::<Fp127>(of, pairs(&of, 200, k.into()), 3);
        }
    }
}

/// All small quotients.
#[test]
fn all_small_pairs() {
    for rounding in ROUNDINGS {
        let of = Division { numerator: (6, Sign::Signed), denominator: (5, Sign::Signed), scale: 1, quotient: 6, rounding };
        let all = (-63..=63).flat_map(|n| (-31..=31).map(move |d| (n, d))).collect();
        divides::<Fp61>(of, all, 1);
    }
}

#[test]
fn what_is_possible() {
    let of =
        Division { numerator: (59, Sign::Signed), denominator: (59, Sign::Signed), scale: 1, quotient: 54, rounding: Rounding::TowardZero };
    assert!(of.is_possible::<Fp61>());
    assert!(!Division { quotient: 55, ..of }.is_possible::<Fp61>());
    assert!(!Division { quotient: 0, ..of }.is_possible::<Fp61>());
    assert!(!Division { numerator: (60, Sign::Signed), ..of }.is_possible::<Fp61>());
    assert!(Division { numerator: (60, Sign::Unsigned), ..of }.is_possible::<Fp61>());
    assert!(!Division { denominator: (0, Sign::Unsigned), ..of }.is_possible::<Fp61>());
    assert!(Division { denominator: (72, Sign::Signed), ..of }.is_possible::<Fp127>());
    assert!(!Division { denominator: (73, Sign::Signed), ..of }.is_possible::<Fp127>());
}

/// What a division costs, in bits a row (mean) and rounds: the table in the documentation.
#[test]
fn documented_costs() {
    for (k, quotient, bits, rounds) in [(32, 20, 3513, 49), (32, 40, 7581, 57), (59, 20, 7640, 55), (59, 40, 8232, 58)] {
        let of = cases(k, quotient, 1)[0];
        let mut estimate = Estimate::new();
        let x = estimate.constant(&Column::<Fp61>::zeros(Layout::new(64, 1)));
        circuit::divide::<_, Fp61>(&mut estimate, &x, &x, &of).expect("it runs");
        assert_eq!((estimate.cost().total_bits() / 3 / 64, estimate.cost().rounds), (bits, rounds), "k = {k}, q = {quotient}");
    }
}

// ------------------------------------------------------------ public divisors

struct Public<R: Ring> {
    divisor: u128,
    bits: u32,
    sign: Sign,
    rounding: Rounding,
    values: Vec<i128>,
    ring: std::marker::PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for Public<R> {
    type Output = Vec<i128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let x = shared::<E, R>(e, &self.values)?;
        let quotient = circuit::divide_public::<E, R>(e, &x, self.divisor, self.bits, self.sign, self.rounding)?;
        opened::<E, R>(e, quotient)
    }
}

fn divides_public<R: Ring>(bits: u32, divisors: &[u128], rows: usize) {
    for divisor in divisors {
        for sign in [Sign::Signed, Sign::Unsigned] {
            for rounding in ROUNDINGS {
                let (d, top) = (*divisor as i128, (1i128 << bits) - 1);
                let value = |i: i128| {
                    let v = [
                        i / 9,
                        (i / 9) * d,
                        (i / 9) * d - 1,
                        (i / 9) * d + d / 2,
                        (i / 9) * d + (d - 1) / 2,
                        top - i,
                        top / d * d,
                        d * 7 - i,
                        i * i * 0x1_2345_6789,
                    ];
                    v[(i % 9) as usize].clamp(0, top) * if sign == Sign::Signed && i % 2 == 1 { -1 } else { 1 }
                };
                let values: Vec<_> = (0..rows as i128).map(value).collect();
                let case = Public::<R> { divisor: *divisor, bits, sign, rounding, values, ring: std::marker::PhantomData };
                let got = check_seeded(&case, rows as u64);
                for (v, q) in case.values.iter().zip(got) {
                    assert_eq!(q, rounded(*v, d, rounding), "{v} / {d} {rounding:?} {}", R::NAME);
                }
            }
        }
    }
}

#[test]
fn public_divisors() {
    for rows in SIZES {
        divides_public::<Fp61>(40, &[100], rows);
    }
    divides_public::<Fp61>(57, &[1, 2, 3, 7, 10, 64, 1000, 10u128.pow(9), (1 << 50) + 1, 1 << 57], 200);
    divides_public::<Fp127>(100, &[3, 1000, 10u128.pow(18), 1 << 60], 100);
}

/// Errors that truncations may make are made: results near a step come from every correction.
#[test]
fn runs_differ_and_agree() {
    let of =
        Division { numerator: (30, Sign::Signed), denominator: (30, Sign::Signed), scale: 1, quotient: 20, rounding: Rounding::TowardZero };
    let case = Secret::<Fp61> { of, pairs: pairs(&of, 65, 2), ring: std::marker::PhantomData };
    let first = metered(&case, 1).0.remove(0);
    for seed in 2..12 {
        assert_eq!(metered(&case, seed).0.remove(0), first);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_bounds(n in 1u32..=59, d in 1u32..=59, q in 1u32..=54, scale in prop::sample::select(vec![1u128, 10, 100, 12_345]), which in 0usize..8, seed: u64) {
        let of = cases(1, q, scale)[which];
        let of = Division { numerator: (n, of.numerator.1), denominator: (d, of.denominator.1), ..of };
        prop_assume!(of.is_possible::<Fp61>());
        divides::<Fp61>(of, pairs(&of, 40, seed), seed);
    }
}
