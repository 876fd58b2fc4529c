//! The works: what each computes, on which inputs, and what it may take.

use anyhow::{Result, ensure};
use mpc_core::{B64, Column, Fp61, Layout, PartyId, Ring};
use protocols::privacy::{Epsilon, Laplace, Sensitivity};
use protocols::{Engine, Input, Rep3, Rep3Share, circuit};
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A million multiplications in Fp61, one round.
    Mul,
    /// A thousand dependent rounds of a million ANDs.
    And,
    /// A million less-thans of 64-bit numbers.
    Less,
    /// A million equalities of 64-bit numbers: of `peers` alone.
    Equal,
    /// A thousand dependent multiplications of one element.
    Rounds,
    /// Four million multiplications in Fp61 between parties that are far apart.
    FarMul,
    /// Fifty dependent multiplications of one element between parties that are far apart.
    FarRounds,
    /// [`Work::Rounds`] while a stranger floods the sockets.
    FloodedRounds,
    /// The noise of one released cell, ε = 1: of `governance`.
    NoiseCell,
    /// The noise of a thousand.
    NoiseThousand,
}

/// What a work may take.
pub struct Limits {
    /// Seconds from the common start to the slowest party's end.
    pub wall_s: f64,
    /// CPU-seconds of all three.
    pub cpu_s: Option<f64>,
    /// Payload bytes a party.
    pub bytes: Option<u64>,
    /// Rounds.
    pub rounds: Option<u64>,
    /// Bytes resident in a process.
    pub memory: Option<u64>,
}

impl Work {
    /// Those of `micro`.
    pub const ALL: [Work; 4] = [Work::Mul, Work::And, Work::Less, Work::Rounds];

    /// As it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Work::Mul => "mul_fp61_1e6",
            Work::And => "and_1e9",
            Work::Less => "lt64_1e6",
            Work::Equal => "eq64_1e6",
            Work::Rounds => "rounds_1000",
            Work::FarMul => "far_mul_4e6",
            Work::FarRounds => "far_rounds_50",
            Work::FloodedRounds => "flooded_1000",
            Work::NoiseCell => "noise_cell",
            Work::NoiseThousand => "noise_1000",
        }
    }

    /// The work of that name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = || Work::ALL.map(Work::name).join(", ");
        Work::ALL.into_iter().find(|w| w.name() == name).ok_or_else(|| format!("the works are {}", names()))
    }

    /// Rows worked on.
    pub fn rows(self) -> usize {
        match self {
            Work::Mul | Work::Less | Work::Equal => 1_000_000,
            Work::And => 1_000_000_000,
            Work::FarMul => 4_000_000,
            Work::Rounds | Work::FarRounds | Work::FloodedRounds | Work::NoiseCell => 1,
            Work::NoiseThousand => 1000,
        }
    }

    /// Dependent rounds of multiplications.
    fn times(self) -> usize {
        match self {
            Work::And | Work::Rounds | Work::FloodedRounds => 1000,
            Work::FarRounds => 50,
            _ => 1,
        }
    }

    /// What it may take.
    pub fn limits(self) -> Limits {
        let wall = |wall_s| Limits { wall_s, cpu_s: None, bytes: None, rounds: None, memory: None };
        match self {
            Work::Mul => Limits { cpu_s: Some(0.09), ..wall(0.055) },
            Work::And => wall(0.45),
            Work::Less => Limits { bytes: Some(19_000_000), ..wall(0.2) },
            Work::Equal => wall(f64::INFINITY),
            Work::Rounds => wall(0.13),
            // 274 MB/s for the three together, which QUIC reaches at 40 ms with large windows and BBR, and half a round trip
            Work::FarMul => wall(3.0 * 4e6 * 61.0 / 8.0 / 274e6 + 0.02),
            // half a round trip each, and three ticks of the timer that makes it
            Work::FarRounds => wall(50.0 * 0.023),
            // a flood costs the victim the time to look at it
            Work::FloodedRounds => wall(0.5),
            Work::NoiseCell => Limits { bytes: Some(230), rounds: Some(8), ..wall(f64::INFINITY) },
            Work::NoiseThousand => Limits { rounds: Some(8), ..wall(0.05) },
        }
    }
}

const MILLION: usize = 1_000_000;

/// A work with its inputs shared and its result checked once.
pub struct Prepared {
    work: Work,
    inputs: Inputs,
}

enum Inputs {
    Field(Rep3Share<Fp61>, Rep3Share<Fp61>),
    Bits(Rep3Share<B64>, Rep3Share<B64>),
    /// None: it is made of random bits.
    Noise(Laplace),
}

impl Prepared {
    /// Shares the inputs, runs once and compares the opened result with the clear one.
    pub fn new(work: Work, engine: &mut Rep3) -> Result<Self> {
        let inputs = match work {
            Work::Mul | Work::FarMul | Work::Rounds | Work::FarRounds | Work::FloodedRounds => {
                share(engine, &numbers(work.rows(), 1), &numbers(work.rows(), 2), Inputs::Field)?
            }
            Work::And => {
                // after a thousand ANDs there must be something left: y is ones with a few holes
                let y = planes(MILLION, 1, 2).map(|v| B64(v.0 | v.0.rotate_left(17) | v.0.rotate_left(31) | 0x8000_0000_0000_0001));
                share(engine, &planes(MILLION, 1, 1), &y, Inputs::Bits)?
            }
            Work::Less => share(engine, &planes(MILLION, 64, 1), &planes(MILLION, 64, 2), Inputs::Bits)?,
            Work::NoiseCell | Work::NoiseThousand => Inputs::Noise(noise()?),
            Work::Equal => {
                let (x, mut y) = (planes(MILLION, 64, 1), planes(MILLION, 64, 1));
                // a quarter of the rows differ, in one bit
                let mut next = generator(3);
                let words = y.plane(0).len();
                y.as_mut_slice()[17 * words..18 * words].iter_mut().for_each(|v| v.0 ^= next() & next());
                share(engine, &x, &y, Inputs::Bits)?
            }
        };
        let prepared = Prepared { work, inputs };
        prepared.check(engine)?;
        Ok(prepared)
    }

    /// Runs it once. What is timed.
    pub fn run(&self, engine: &mut Rep3) -> Result<Outcome> {
        Ok(match (&self.inputs, self.work) {
            (Inputs::Field(x, y), work) => Outcome::Field(chain(engine, x, y, work.times())?),
            (Inputs::Bits(x, y), Work::And) => Outcome::Bits(chain(engine, x, y, self.work.times())?),
            (Inputs::Bits(x, y), Work::Equal) => Outcome::Bits(circuit::equal(engine, x, y, &[])?),
            (Inputs::Noise(law), _) => Outcome::Field(law.sample(engine, self.work.rows())?),
            (Inputs::Bits(x, y), _) => Outcome::Bits(circuit::less(engine, x, y)?),
        })
    }

    fn check(&self, engine: &mut Rep3) -> Result<()> {
        let equal = match (self.run(engine)?, &self.inputs) {
            (Outcome::Field(got), Inputs::Field(x, y)) => {
                let (got, x, y) = (open(engine, got)?, open(engine, x.clone())?, open(engine, y.clone())?);
                got == x.zip(&y, |x, y| (0..self.work.times()).fold(x, |x, _| x.mul(y)))
            }
            (Outcome::Bits(got), Inputs::Bits(x, y)) => {
                let (got, x, y) = (open(engine, got)?, open(engine, x.clone())?, open(engine, y.clone())?);
                let expected = match self.work {
                    Work::And => x.zip(&y, B64::mul),
                    Work::Equal => equal_in_clear(&x, &y),
                    _ => less_in_clear(&x, &y),
                };
                got == expected
            }
            // its law is tested elsewhere; here that it is noise of about this size
            (Outcome::Field(got), Inputs::Noise(law)) => plausible(&open(engine, got)?, law),
            _ => false,
        };
        ensure!(equal, "{} differs from its clear result", self.work.name());
        Ok(())
    }
}

/// The noise that makes a count of entities 1-private.
fn noise() -> Result<Laplace> {
    Ok(Laplace::new(Epsilon::ONE, &Sensitivity::of_entities(1, 1))?)
}

/// All values are in reach, and of many the mean is near 0 and not all are 0.
fn plausible(values: &Column<Fp61>, law: &Laplace) -> bool {
    let values: Vec<i64> = values.as_slice().iter().map(|v| v.centered()).collect();
    let reach = 1i64 << law.bits();
    let (count, few) = (values.len() as i64, values.len() < 100);
    if !values.iter().all(|v| (-reach..reach).contains(v)) {
        return false;
    }
    let (sum, spread) = (values.iter().sum::<i64>(), values.iter().map(|v| v * v).sum::<i64>());
    few || 2 * sum.abs() < count && (count..4 * count).contains(&spread)
}

/// A result, still shared.
#[allow(dead_code, reason = "only the check looks at it; the timed run hands it out so that it is computed")]
pub enum Outcome {
    /// In the field.
    Field(Rep3Share<Fp61>),
    /// As bits.
    Bits(Rep3Share<B64>),
}

/// x y y y ... : so many rounds, each of which needs the one before.
fn chain<R: Ring>(engine: &mut Rep3, x: &Rep3Share<R>, y: &Rep3Share<R>, rounds: usize) -> Result<Rep3Share<R>> {
    let mut product = engine.mul(x, y)?;
    for _ in 1..rounds {
        product = engine.mul(&product, y)?;
    }
    Ok(product)
}

fn share<R: Ring>(
    engine: &mut Rep3,
    x: &Column<R>,
    y: &Column<R>,
    inputs: impl FnOnce(Rep3Share<R>, Rep3Share<R>) -> Inputs,
) -> Result<Inputs> {
    let owners = [(PartyId(0), x), (PartyId(1), y)];
    let given: Vec<Input<'_, R>> =
        owners.map(|(owner, column)| Input::new(owner, column.layout(), engine.holds(owner).then_some(column))).into();
    let mut shares = engine.input(&given)?.into_iter();
    match (shares.next(), shares.next()) {
        (Some(x), Some(y)) => Ok(inputs(x, y)),
        _ => unreachable!("two inputs give two shares"),
    }
}

fn open<R: Ring>(engine: &mut Rep3, share: Rep3Share<R>) -> Result<Column<R>> {
    let verified = engine.verify(share)?;
    Ok(engine.open(&verified)?)
}

fn numbers(rows: usize, seed: u64) -> Column<Fp61> {
    let mut next = generator(seed);
    Column::from_rows((0..rows).map(|_| Fp61::new(next() >> 4)).collect())
}

fn planes(rows: usize, width: usize, seed: u64) -> Column<B64> {
    let layout = Layout::new(rows, width);
    let mut next = generator(seed);
    let mut column = Column::zeros(layout);
    column.as_mut_slice().fill_with(|| B64(next()));
    column
}

/// SplitMix64: inputs need not be secret, only varied.
pub fn generator(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// All planes are.
fn equal_in_clear(x: &Column<B64>, y: &Column<B64>) -> Column<B64> {
    let mut equal = Column::splat(B64::ONE, Layout::new(x.rows(), 1));
    for plane in 0..x.planes() {
        for ((e, x), y) in equal.as_mut_slice().iter_mut().zip(x.plane(plane)).zip(y.plane(plane)) {
            e.0 &= !(x.0 ^ y.0);
        }
    }
    equal
}

/// Bit-sliced comparison from the least significant plane up.
fn less_in_clear(x: &Column<B64>, y: &Column<B64>) -> Column<B64> {
    let mut less: Column<B64> = Column::zeros(Layout::new(x.rows(), 1));
    for plane in 0..x.planes() {
        for ((l, x), y) in less.as_mut_slice().iter_mut().zip(x.plane(plane)).zip(y.plane(plane)) {
            l.0 = (!x.0 & y.0) | (!(x.0 ^ y.0) & l.0);
        }
    }
    less
}
