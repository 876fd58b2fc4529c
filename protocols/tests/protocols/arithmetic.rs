//! Between field and bits, and arithmetic on bits, against integer arithmetic: edge sizes, boundary values, random ones; every run through
//! `check`, in every scheme with its exact cost.

use mpc_core::{B64, Column, Fp31, Fp61, Fp127, Layout, PartyId, Ring, Z64};
use proptest::prelude::*;
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Input, Share, circuit};

const SIZES: [usize; 7] = [0, 1, 2, 63, 64, 65, 1000];

/// The number of elements.
fn modulus<R: Ring>() -> u128 {
    R::ZERO.sub(R::ONE).to_bits() + 1
}

/// An integer as an element.
fn element<R: Ring>(v: i128) -> R {
    R::from_bits(v.rem_euclid(modulus::<R>() as i128) as u128).expect("reduced")
}

/// Bits that follow from a seed.
fn random(seed: u64) -> impl FnMut() -> u128 {
    let mut state = u128::from(seed) | 1 << 77;
    move || {
        state = state.wrapping_mul(0xDA94_2042_E4DD_58B5).wrapping_add(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F);
        (state >> 64) ^ state << 60
    }
}

/// Shares of `values` none of whose components is constant: the sum of a column of P_0 and one of P_2.
fn shared<E: Engine, R: Ring>(e: &mut E, values: &[R]) -> Result<E::Share<R>, Abort> {
    let mut next = random(values.len() as u64);
    let other: Column<R> = Column::from_rows(values.iter().map(|_| element((next() >> 2) as i128)).collect());
    let one = Column::from_rows(values.iter().zip(other.as_slice()).map(|(v, o)| v.sub(*o)).collect());
    let input = |p, c| Input::new(PartyId(p), Layout::new(values.len(), 1), e.holds(PartyId(p)).then_some(c));
    let inputs = [input(0, &one), input(2, &other)];
    let shares = e.input(&inputs)?;
    Ok(shares[0].add(&shares[1]))
}

fn opened<E: Engine>(e: &mut E, x: E::Share<B64>) -> Result<Vec<u128>, Abort> {
    let x = e.verify(x)?;
    Ok(e.open(&x)?.to_uints())
}

// ------------------------------------------------------------ field to bits

struct Conversions<R: Ring> {
    values: Vec<R>,
    others: Vec<R>,
}

impl<R: Ring> Protocol for Conversions<R> {
    type Output = Vec<Vec<u128>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (x, y) = (shared(e, &self.values)?, shared(e, &self.others)?);
        let width = R::BITS as usize;
        let results = [
            circuit::field_bits::<E, R>(e, x.clone(), width)?,
            circuit::is_negative::<E, R>(e, x.clone())?,
            circuit::is_zero::<E, R>(e, x.clone())?,
            circuit::field_less::<E, R>(e, &x, &y)?,
            circuit::field_equal::<E, R>(e, &x, &y)?,
        ];
        results.into_iter().map(|r| opened(e, r)).collect()
    }
}

/// The representative nearest zero; of 2^(k-1) in Z_{2^k} the negative one.
fn centred<R: Ring>(v: R) -> i128 {
    let (v, half) = (v.to_bits(), 1 << (R::BITS - 1));
    if v >= half { -((modulus::<R>() - v) as i128) } else { v as i128 }
}

impl<R: Ring> Conversions<R> {
    fn new(rows: usize) -> Self {
        let p = modulus::<R>() as i128;
        let edges = [0, 1, -1, 2, -2, p / 2, -(p / 2), p / 2 - 1, 1 - p / 2, p / 4, -(p / 4), p / 3];
        let mut next = random(rows as u64);
        let mut value = |i: usize| if i < 144 { element(edges[i % 12]) } else { element((next() >> 2) as i128) };
        let values: Vec<R> = (0..rows).map(&mut value).collect();
        let others = (0..rows).map(|i| if i < 144 { element(edges[i / 12]) } else { value(i) }).collect();
        Conversions { values, others }
    }

    fn verify(&self) {
        let got = check_seeded(self, self.values.len() as u64);
        for (i, (x, y)) in self.values.iter().zip(&self.others).enumerate() {
            let difference = x.sub(*y);
            let truth = [x.to_bits(), (centred(*x) < 0).into(), (*x == R::ZERO).into(), (centred(difference) < 0).into(), (x == y).into()];
            let row: Vec<u128> = got.iter().map(|column| column[i]).collect();
            assert_eq!(row, truth, "{}: {} and {}", R::NAME, x.to_bits(), y.to_bits());
        }
    }
}

#[test]
fn bits_sign_and_equality_of_field_elements() {
    for rows in SIZES {
        Conversions::<Fp61>::new(rows).verify();
        Conversions::<Fp127>::new(rows).verify();
        Conversions::<Fp31>::new(rows).verify();
        Conversions::<Z64>::new(rows).verify();
    }
}

/// The low bits of small values, unsigned and signed.
struct Narrow<R: Ring> {
    width: usize,
    values: Vec<i128>,
    ring: std::marker::PhantomData<fn() -> R>,
}

impl<R: Ring> Protocol for Narrow<R> {
    type Output = [Vec<u128>; 2];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let unsigned: Vec<R> = self.values.iter().map(|v| element(*v)).collect();
        let signed: Vec<R> = self.values.iter().map(|v| element(v - (1 << (self.width - 1)))).collect();
        let (x, y) = (shared(e, &unsigned)?, shared(e, &signed)?);
        let (x, y) = (circuit::field_bits::<E, R>(e, x, self.width)?, circuit::signed_field_bits::<E, R>(e, &y, self.width)?);
        Ok([opened(e, x)?, opened(e, y)?])
    }
}

#[test]
fn low_bits_of_small_values() {
    fn every_width<R: Ring>() {
        for width in 1..=R::BITS as usize {
            let top = (1u128 << width).min(modulus::<R>()) as i128 - 1;
            let values = vec![0, 1, top, top - 1, top / 2, top / 2 + 1, top / 3];
            let half = 1 << (width - 1);
            let got = check_seeded(&Narrow::<R> { width, values: values.clone(), ring: std::marker::PhantomData }, width as u64);
            assert_eq!(got[0], values.iter().map(|v| *v as u128).collect::<Vec<_>>(), "{} {width}", R::NAME);
            let mask = u128::MAX >> (128 - width);
            assert_eq!(got[1], values.iter().map(|v| (v - half) as u128 & mask).collect::<Vec<_>>(), "{} {width}", R::NAME);
        }
    }
    every_width::<Fp61>();
    every_width::<Fp127>();
    every_width::<Z64>();
}

// ------------------------------------------------------------ near quotients

struct Quotients<R: Ring, S: Ring> {
    values: Vec<R>,
    divisors: Vec<u128>,
    ring: std::marker::PhantomData<fn() -> S>,
}

impl<R: Ring, S: Ring> Protocol for Quotients<R, S> {
    /// Schemes may differ by the error allowed, so what is compared is whether each quotient is near enough.
    type Output = Vec<bool>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let x = shared(e, &self.values)?;
        let x = x.planes(std::iter::repeat_n(0, self.divisors.len()));
        let q = e.near_quotient::<R, S>(&x, &self.divisors)?;
        let q = e.verify(q)?;
        let q = e.open(&q)?;
        let rows = self.divisors.iter().enumerate().flat_map(|(i, d)| q.plane(i).iter().zip(&self.values).map(move |(q, x)| (q, x, *d)));
        let error = |(q, x, d): (&S, &R, u128)| q.sub(element((x.to_bits() / d) as i128)).to_bits();
        let allowed = |d: u128| {
            if d == 1 {
                0
            } else if d.is_power_of_two() {
                1
            } else {
                2
            }
        };
        Ok(rows.map(|row| error(row) <= allowed(row.2)).collect())
    }
}

fn quotients<R: Ring, S: Ring>(rows: usize) {
    let p = modulus::<R>();
    let half = ((p - 1) / 2) as i128;
    let edges = [0, 1, 2, 9, 10, 11, 99, 100, half, half - 1, half / 2];
    let mut next = random(rows as u64);
    let values = (0..rows).map(|i| if i < 11 { element(edges[i]) } else { element((next() % (half as u128 + 1)) as i128) }).collect();
    let divisors = vec![1, 2, 3, 7, 10, 16, 1000, 1 << (R::BITS - 2)];
    let got = check_seeded(&Quotients::<R, S> { values, divisors, ring: std::marker::PhantomData }, rows as u64);
    assert!(got.into_iter().all(|fits| fits));
}

#[test]
fn near_quotients_are_near() {
    for rows in SIZES {
        quotients::<Fp61, Fp61>(rows);
        quotients::<Fp61, Fp127>(rows);
        quotients::<Fp127, Fp61>(rows);
        quotients::<Fp127, Fp127>(rows);
        quotients::<Fp31, Fp61>(rows);
        quotients::<Z64, Fp127>(rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_elements(values in prop::collection::vec(any::<(u128, u128)>(), 1..40)) {
        fn verify<R: Ring>(values: &[(u128, u128)]) {
            let (values, others) = values.iter().map(|(x, y)| (element::<R>((x >> 1) as i128), element::<R>((y >> 1) as i128))).unzip();
            Conversions { values, others }.verify();
        }
        verify::<Fp61>(&values);
        verify::<Fp127>(&values);
    }
}
