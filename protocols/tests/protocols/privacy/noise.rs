//! Noise: its exact law from all coins, its samples, its cost, and that nobody knows it.

use super::{SIZES, input, open};
use mpc_core::world::{Script, World};
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId};
use num_bigint::BigUint;
use protocols::privacy::{self, Binomial, Delta, Epsilon, Laplace, Loss, Sensitivity, hockey_stick};
use protocols::world::{Protocol, check, estimated, metered};
use protocols::{Abort, Engine, Rep3, circuit, cost};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const ONE: Sensitivity = Sensitivity { each: 1, total: 1, cells: 1 };

pub(super) fn laplace(epsilon: u64, total: u64, precision: u32) -> Laplace {
    Laplace::with_precision(Epsilon(epsilon), &Sensitivity { each: total, total, cells: 1 }, precision).expect("fits")
}

pub(super) fn coins(epsilon: u64, delta: u128, each: u64) -> Binomial {
    let loss = Loss { epsilon: Epsilon(epsilon), delta: Delta(delta) };
    Binomial::new(loss, &Sensitivity { each, total: each, cells: 1 }).expect("few coins")
}

/// Noise of given random bits.
struct Given<'a, N> {
    noise: &'a N,
    random: Column<B64>,
}

impl Protocol for Given<'_, Laplace> {
    type Output = Vec<i128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<i128>, Abort> {
        let random = input(e, 0, &self.random)?;
        let noise = self.noise.from_random::<E, Fp61>(e, &random)?;
        open::<E, Fp61>(e, &noise)
    }
}

impl Protocol for Given<'_, Binomial> {
    type Output = Vec<i128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<i128>, Abort> {
        let random = input(e, 0, &self.random)?;
        let noise = self.noise.from_random::<E, Fp61>(e, &random)?;
        open::<E, Fp61>(e, &noise)
    }
}

fn counts(values: impl IntoIterator<Item = i128>) -> BTreeMap<i128, u64> {
    values.into_iter().fold(BTreeMap::new(), |mut counts, v| {
        *counts.entry(v).or_default() += 1;
        counts
    })
}

/// Every value of all random bits, once each: what comes out is the law itself, weight by weight.
#[test]
fn laplace_has_its_exact_law() {
    for (epsilon, total, precision) in [(1_000_000, 1, 4), (700_000, 1, 3), (2_000_000, 3, 3), (3_000_000, 1, 5)] {
        let noise = laplace(epsilon, total, precision);
        let (biased, lambda) = (noise.bits() as usize + 1, precision as usize);
        let all = 1usize << (biased * lambda);
        assert!(all <= 1 << 16, "{all}");
        let ints: Vec<i128> = (0..biased).flat_map(|i| (0..all).map(move |v| (v >> (i * lambda) & ((1 << lambda) - 1)) as i128)).collect();
        let got = counts(check(&Given { noise: &noise, random: Column::from_ints(&ints, lambda) }));
        let half = 1i128 << noise.bits();
        let law: BTreeMap<i128, u64> =
            (-half..half).zip(noise.weights()).map(|(k, w)| (k, u64::try_from(w).expect("small"))).filter(|(_, w)| *w > 0).collect();
        assert_eq!(got, law, "ε = {epsilon}, Δ = {total}, λ = {precision}");
    }
}

#[test]
fn binomial_has_its_exact_law() {
    let noise = coins(4_000_000, 10u128.pow(22), 1);
    let n = noise.coins() as usize;
    assert!((8..=16).contains(&n), "{n} coins");
    let ints: Vec<i128> = (0..1 << n).collect();
    let got = counts(check(&Given { noise: &noise, random: Column::from_ints(&ints, n) }));
    let half = (n / 2) as i128;
    let law = (-half..=half).zip(noise.weights()).map(|(k, w)| (k, u64::try_from(w).expect("small"))).collect();
    assert_eq!(got, law);
}

struct Weight(usize, usize);

impl Protocol for Weight {
    type Output = Vec<u128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
        let ints: Vec<i128> = (0..self.0 as i128).map(|v| (v * 0x9e37_79b9_7f4a_7c15) ^ (v << 64)).collect();
        let bits = super::input_bits(e, 1, &ints, self.1)?;
        let weight = circuit::weight(e, &bits)?;
        super::open_bits(e, &weight)
    }
}

#[test]
fn weights() {
    for rows in [0, 1, 65] {
        for planes in [1usize, 2, 3, 4, 7, 8, 63, 64, 65, 100, 127] {
            let got = check(&Weight(rows, planes));
            let ones = |v: i128| (((v * 0x9e37_79b9_7f4a_7c15) ^ (v << 64)) as u128 & ((1 << planes) - 1)).count_ones();
            assert_eq!(got, (0..rows as i128).map(|v| ones(v).into()).collect::<Vec<u128>>(), "{planes} planes");
            assert_eq!(cost::weight(64, planes).bits[0] / 64, planes as u64 - u64::from(planes.count_ones()));
            assert_eq!(cost::weight(64, planes).rounds, u64::from(planes.ilog2()));
        }
    }
}

enum Noise {
    Laplace(Laplace, usize),
    Binomial(Binomial, usize),
}

impl Protocol for Noise {
    type Output = Vec<i128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<i128>, Abort> {
        let noise = match self {
            Noise::Laplace(noise, rows) => noise.sample::<E, Fp61>(e, *rows)?,
            Noise::Binomial(noise, rows) => noise.sample::<E, Fp61>(e, *rows)?,
        };
        open::<E, Fp61>(e, &noise)
    }
}

/// Parties agree on the noise, and it costs what the formulas say.
#[test]
fn sampling_costs() {
    for rows in SIZES {
        let laplace = Laplace::new(Epsilon::ONE, &ONE).expect("fits");
        let binomial = coins(1_000_000, 10u128.pow(18), 1);
        let formulas = [cost::laplace::<Fp61>(rows, &laplace), cost::binomial::<Fp61>(rows, &binomial)];
        for (noise, formula) in [Noise::Laplace(laplace, rows), Noise::Binomial(binomial, rows)].into_iter().zip(formulas) {
            let (values, cost) = metered(&noise, 7);
            assert!(values.iter().all(|v| *v == values[0]), "parties agree");
            let opened = cost::open::<Fp61>(Layout::new(rows, 1));
            assert_eq!(cost, formula.then(opened), "{rows} rows");
            assert_eq!(cost, estimated(&noise), "{rows} rows");
        }
    }
}

/// One released cell, ε = 1: at most 230 bytes a party and 8 rounds.
#[test]
fn figures() {
    let noise = Laplace::new(Epsilon::ONE, &ONE).expect("fits");
    let one = cost::laplace::<Fp61>(1, &noise);
    assert_eq!((one.bits, one.rounds), ([1050; 3], 8));
    assert!(one.max_bytes() <= 135, "{one:?}");
    assert_eq!(cost::laplace::<Fp127>(1, &noise).bits, [7 * (89 + 127); 3]);
    let binomial = coins(1_000_000, 10u128.pow(18), 1);
    let one = cost::binomial::<Fp61>(1, &binomial);
    assert_eq!((binomial.coins(), one.bits, one.rounds), (80, [505; 3], 8));
}

/// The component that a party does not hold decides the bits alone: whatever it holds, they are uniform to it.
#[test]
fn nobody_knows_random_bits() {
    for party in 0..3u8 {
        let unknown = move |edge: (PartyId, PartyId)| edge.0 != PartyId(party) && edge.1 != PartyId(party);
        for pattern in [0u128, 0x0123_4567_89ab_cdef, u64::MAX.into()] {
            let script: Script = Arc::new(move |edge, _, _, _| if unknown(edge) { pattern } else { 0x5555_5555_5555_5555 });
            let opened = World::new(3, 0).script(script).run_ok(|session| {
                let mut e = Rep3::new(session);
                let bits = e.random_bits(Layout::new(64, 1))?;
                let bits = e.verify(bits)?;
                e.open(&bits)
            });
            // the two known components cancel
            assert!(opened.iter().all(|(bits, _)| u128::from(bits.as_slice()[0].0) == pattern));
        }
    }
}

/// The thresholds and the law are those of the independent model, as far as it has the same: its noise is the difference of two geometrics, which is another
/// approximation of the same law.
#[test]
fn agrees_with_the_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/model/vectors.json");
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("known answers are not replayed: {} is not there", path.display());
        return;
    };
    let all: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let all = &all["laplace"];
    let hex = |v: &serde_json::Value| BigUint::parse_bytes(v.as_str().expect("hex").as_bytes(), 16).expect("hex");
    let mut compared = 0;
    for case in all["bits"].as_array().expect("cases") {
        let (lambda, sensitivity) = (case["lam"].as_u64().expect("λ") as u32, case["sensitivity"].as_u64().expect("Δ"));
        if lambda > 64 {
            continue;
        }
        let epsilon = match case["epsilon"].as_str().expect("ε") {
            "1/2" => 500_000,
            "1/10" => 100_000,
            whole => whole.parse::<u64>().expect("a number") * 1_000_000,
        };
        let thresholds: Vec<BigUint> = case["thresholds"].as_array().expect("a list").iter().map(hex).collect();
        let ours: Vec<BigUint> = laplace(epsilon, sensitivity, lambda).thresholds().iter().map(|t| BigUint::from(*t)).collect();
        assert_eq!(ours, thresholds, "{case}");
        compared += 1;
    }
    assert!(compared >= 5);
    // |P - P'| summed over all values, at λ = 8: below twice the sum of both distances from the ideal law
    let law = &all["exact_law"];
    let weights: Vec<BigUint> = law["weights"].as_array().expect("a list").iter().map(hex).collect();
    let noise = laplace(1_000_000, 1, 8);
    let (theirs, ours) = (weights.iter().sum::<BigUint>(), noise.weights().iter().sum::<BigUint>());
    let model = std::iter::once(BigUint::ZERO).chain(weights);
    let difference: BigUint = noise
        .weights()
        .into_iter()
        .zip(model)
        .map(|(w, v)| {
            let (w, v) = (w * &theirs, v * &ours);
            if w > v { w - v } else { v - w }
        })
        .sum();
    let (d, steps) = (noise.bits(), 256u32);
    assert!(difference * steps < theirs * ours * 2u32 * (d + 2 + 2 * d + 2));
    for case in all["binomial_coins"].as_array().expect("cases") {
        let epsilon = case["epsilon"].as_str().expect("ε").parse::<u64>().expect("whole") * 1_000_000;
        let digits = case["delta"].as_str().expect("δ").len() as u32 - 3;
        let ours = coins(epsilon, 10u128.pow(24 - digits), case["sensitivity"].as_u64().expect("Δ")).coins();
        // ours are even
        let theirs = case["coins"].as_u64().expect("coins") as u32;
        assert_eq!(ours, theirs.next_multiple_of(2), "{case}");
    }
}

/// δ as debited is no less than what the exact law has, in both directions.
#[test]
fn losses_cover_the_exact_law() {
    for (epsilon, total, precision) in [(1_000_000, 1, 64), (100_000, 1, 64), (2_000_000, 3, 20), (1_000_000, 1, 8), (500_000, 4, 16)] {
        let noise = laplace(epsilon, total, precision);
        let (excess, of) = hockey_stick(&noise.weights(), Epsilon(epsilon), total as usize);
        assert!(excess * Delta::ONE.0 <= of * noise.loss().delta.0, "ε = {epsilon}, Δ = {total}, λ = {precision}");
    }
    for (epsilon, delta, each) in [(1_000_000, 10u128.pow(18), 1), (2_000_000, 10u128.pow(15), 2), (500_000, 10u128.pow(20), 1)] {
        let noise = coins(epsilon, delta, each);
        let (excess, of) = hockey_stick(&noise.weights(), Epsilon(epsilon), each as usize);
        assert!(excess * Delta::ONE.0 <= of * delta, "{} coins", noise.coins());
    }
}

/// Of what an entity spends in one cell, by how far it moves that: never more than its part.
#[test]
fn each_unit_of_a_move_spends_its_part() {
    for (epsilon, delta, total) in [(1_000_000, 10u128.pow(18), 10), (2_000_000, 10u128.pow(15), 4), (20_000_000, 10u128.pow(20), 100)] {
        let loss = Loss { epsilon: Epsilon(epsilon), delta: Delta(delta) };
        let noise = Binomial::new(loss, &Sensitivity { each: total, total, cells: total }).expect("few coins");
        let weights = noise.weights();
        for d in (1..=total).filter(|d| *d < 5 || d % 9 == 1) {
            let (excess, of) = hockey_stick(&weights, Epsilon(epsilon / total * d), d as usize);
            assert!(excess * Delta::ONE.0 * total <= of * delta * d, "{} coins, {d} of {total}", noise.coins());
        }
    }
}

/// The cells of a release together, by their joint law: an entity that moves them by no more in all than is allowed for spends no more than is debited.
#[test]
fn cells_together_spend_what_is_debited() {
    for (epsilon, delta, each, total, cells) in
        [(8_000_000, 10u128.pow(22), 2, 2, 2), (3_000_000, 10u128.pow(23), 3, 3, 2), (6_000_000, 10u128.pow(22), 1, 2, 2)]
    {
        let loss = Loss { epsilon: Epsilon(epsilon), delta: Delta(delta) };
        let noise = Binomial::new(loss, &Sensitivity { each, total, cells }).expect("few coins");
        let one = noise.weights();
        // two cells in a row of numbers, so far apart that no move leads from a place to another's
        let wide = one.len() + total as usize + 1;
        let blank = vec![BigUint::ZERO; wide - one.len()];
        let both: Vec<BigUint> = one.iter().flat_map(|a| one.iter().map(move |b| a * b).chain(blank.clone())).collect();
        let mut most = 0.0;
        for (first, second) in (0..=each).flat_map(|a| (0..=each).map(move |b| (a, b))).filter(|(a, b)| (1..=total).contains(&(a + b))) {
            for shift in [first as usize * wide + second as usize, (first as usize * wide).abs_diff(second as usize)] {
                let (excess, of) = hockey_stick(&both, Epsilon(epsilon), shift);
                let spent = (&excess * Delta::ONE.0 / &of).try_into().unwrap_or(u128::MAX);
                most = f64::max(most, spent as f64 / delta as f64);
                assert!(excess * Delta::ONE.0 <= of * delta, "{} coins, moved by {first} and {second}", noise.coins());
            }
        }
        assert!(most > 0.01, "{} coins: much more noise than there has to be: {most}", noise.coins());
    }
}

#[test]
fn a_sum_in_many_cells_takes_no_more_coins_than_in_one() {
    let coins = |total, cells| {
        let loss = Loss { epsilon: Epsilon::ONE, delta: Delta(10u128.pow(18)) };
        Binomial::new(loss, &Sensitivity { each: total, total, cells }).map(|noise| noise.coins())
    };
    assert_eq!(coins(1, 1), Ok(80));
    let (one, ten) = (coins(10, 1).expect("few coins"), coins(10, 10).expect("few coins"));
    assert_eq!((one, ten), (7148, 7182));
    let of = |epsilon| Binomial::new(Loss { epsilon: Epsilon(epsilon), delta: Delta(10u128.pow(18)) }, &ONE).map(|noise| noise.coins());
    assert_eq!((of(70_000), of(80_000)), (Err(privacy::Unfit::Coins), Ok(8004)), "how small ε may be");
}

#[test]
fn expected_errors() {
    for (epsilon, total) in [(1_000_000, 1), (100_000, 1), (2_000_000, 3)] {
        let noise = laplace(epsilon, total, 64);
        let (weights, half) = (noise.weights(), 1i128 << noise.bits());
        let sum: BigUint = weights.iter().sum();
        let beyond = |t: i128| (-half..half).zip(&weights).filter(|(k, _)| k.abs() > t).map(|(_, w)| w).sum::<BigUint>();
        for odds in [2, 20, 1000] {
            let t = noise.error(odds) as i128;
            assert!(beyond(t) * odds <= sum && (t == 0 || beyond(t - 1) * odds > sum), "ε = {epsilon}, Δ = {total}: ± {t}");
        }
    }
    assert_eq!(laplace(1_000_000, 1, 64).error(20), 3);
    let noise = coins(1_000_000, 10u128.pow(18), 1);
    assert_eq!(noise.error(20), 9, "sd 4.5");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let sensitivity = |total| Sensitivity { each: total, total, cells: 1 };
    assert!(Laplace::new(Epsilon(0), &ONE).is_err());
    assert!(Laplace::new(Epsilon(32_000_000), &ONE).is_err());
    assert!(Laplace::new(Epsilon(31_999_999), &ONE).is_ok());
    assert!(Laplace::new(Epsilon::ONE, &sensitivity(0)).is_err());
    let widest = Laplace::new(Epsilon(1), &sensitivity(u64::MAX)).expect("below 120 bits");
    assert!(widest.bits() <= 90, "{}", widest.bits());
    let loss = |epsilon, delta| Loss { epsilon: Epsilon(epsilon), delta: Delta(delta) };
    assert!(Binomial::new(loss(1_000_000, 0), &ONE).is_err(), "binomial noise is never pure");
    assert!(Binomial::new(loss(1_000, 1), &ONE).unwrap_err().to_string().contains("Laplace"));
    assert!(Binomial::new(loss(0, 1), &ONE).is_err());
}

struct Together(Vec<Laplace>, usize);

impl Protocol for Together {
    type Output = Vec<i128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<i128>, Abort> {
        let noise = Laplace::sample_each::<E, Fp61>(e, &self.0.iter().collect::<Vec<_>>(), self.1)?;
        open::<E, Fp61>(e, &noise)
    }
}

/// Several laws at once: the bits are compared together, and each value has the law of its own.
#[test]
fn laws_are_sampled_together_in_the_rounds_of_one() {
    let rows = 700;
    let laws = vec![laplace(1_000_000, 1, 64), laplace(100_000, 7, 64), laplace(300_000, 1, 64)];
    let together = Together(laws.clone(), rows);
    let (values, cost) = metered(&together, 1);
    let values = &values[0];
    assert_eq!(cost, estimated(&together));
    assert_eq!(values.len(), laws.len() * rows);
    for (law, values) in laws.iter().zip(values.chunks(rows)) {
        let beyond = |t: u128| values.iter().filter(|v| v.unsigned_abs() > t).count();
        let error = law.error(20);
        // a twentieth is beyond, of 700 values 35
        assert!((10..80).contains(&beyond(error)) && beyond(law.error(1_000_000_000)) == 0, "{} of {rows} beyond {error}", beyond(error));
        assert!(values.iter().any(|v| *v > 0) && values.iter().any(|v| *v < 0));
    }
    assert_eq!(cost.rounds, estimated(&Together(vec![laws[1].clone()], rows)).rounds);
}

struct Mixed(Vec<privacy::Noise>, usize);

impl Protocol for Mixed {
    type Output = Vec<i128>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<i128>, Abort> {
        let noise = privacy::Noise::sample_each::<E, Fp61>(e, &self.0, self.1)?;
        open::<E, Fp61>(e, &noise)
    }
}

/// Laws of both kinds, mixed: each value has the law of its own place, and it costs what its kinds do one after the other.
#[test]
fn laws_of_both_kinds_keep_their_places() {
    let (wide, narrow) = (laplace(100_000, 70, 64), laplace(1_000_000, 1, 64));
    let (few, many) = (coins(2_000_000, 10u128.pow(18), 1), coins(500_000, 10u128.pow(15), 3));
    let laws = [privacy::Noise::Binomial(many), privacy::Noise::Laplace(narrow.clone()), privacy::Noise::Binomial(few)];
    let laws = [&laws[..], &[privacy::Noise::Laplace(wide.clone()), privacy::Noise::Binomial(many)]].concat();
    for rows in [1, 64, 65, 500] {
        let mixed = Mixed(laws.clone(), rows);
        let (values, cost) = metered(&mixed, 3);
        let opened = cost::open::<Fp61>(Layout::new(laws.len() * rows, 1));
        let binomial = cost::binomial::<Fp61>(rows, &few).then(cost::binomial::<Fp61>(2 * rows, &many));
        let both = estimated(&Together(vec![narrow.clone(), wide.clone()], rows)).then(binomial).then(opened);
        assert_eq!(cost, estimated(&mixed), "{rows} rows");
        // `Together` opens, too
        assert_eq!(cost.rounds + 1, both.rounds, "{rows} rows");
        assert_eq!(cost.bits[0] + cost::open::<Fp61>(Layout::new(2 * rows, 1)).bits[0], both.bits[0], "{rows} rows");
        for (law, values) in laws.iter().zip(values[0].chunks(rows)) {
            assert!(values.iter().all(|v| v.unsigned_abs() <= law.error(1_000_000_000)), "{rows} rows");
            let beyond = values.iter().filter(|v| v.unsigned_abs() > law.error(20)).count();
            assert!(rows < 500 || (5..60).contains(&beyond), "{beyond} beyond {}", law.error(20));
        }
    }
    assert_eq!(estimated(&Mixed(Vec::new(), 7)).bits, [0; 3], "no law, no noise");
}
