//! Samples against the exact laws, by the hundred thousand: in the clear engine, and of three parties on shares.

use super::noise::{coins, laplace};
use super::open;
use mpc_core::Fp61;
use num_bigint::BigUint;
use protocols::privacy::Noise;
use protocols::world::{Protocol, metered};
use protocols::{Abort, Engine, Plain};
use std::collections::BTreeMap;

/// Values of a law, and how often each is drawn.
struct Samples<'a>(&'a Noise);

const SAMPLES: usize = 1_000_000;
/// Drawn at a time.
const BLOCK: usize = 50_000;
const _: () = assert!(SAMPLES.is_multiple_of(BLOCK));

impl Protocol for Samples<'_> {
    type Output = BTreeMap<i128, u64>;
    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let mut samples = BTreeMap::new();
        for _ in 0..SAMPLES / BLOCK {
            let noise = Noise::sample_each::<E, Fp61>(e, std::slice::from_ref(self.0), BLOCK)?;
            open::<E, Fp61>(e, &noise)?.into_iter().for_each(|value| *samples.entry(value).or_default() += 1);
        }
        Ok(samples)
    }
}

/// A million of each law and engine. The seeds are fixed: what is found once is found each time.
#[test]
fn a_million_samples_are_of_the_exact_law() {
    let laws = [
        ("Laplace, ε = 1", Noise::Laplace(laplace(1_000_000, 1, 64))),
        ("Laplace, ε = 0.1", Noise::Laplace(laplace(100_000, 1, 64))),
        ("Laplace, ε = 2, Δ = 3", Noise::Laplace(laplace(2_000_000, 3, 64))),
        ("binomial, ε = 1, δ = 10^-6", Noise::Binomial(coins(1_000_000, 10u128.pow(18), 1))),
        ("binomial, ε = 2, δ = 10^-6", Noise::Binomial(coins(2_000_000, 10u128.pow(18), 1))),
    ];
    for (seed, (name, law)) in (2024..).zip(&laws) {
        let clear = Samples(law).run(&mut Plain::seeded(seed)).expect("in clear");
        holds(&format!("{name}, in clear"), law, &clear);
        let (shared, _) = metered(&Samples(law), seed);
        assert!(shared.iter().all(|samples| *samples == shared[0]), "parties agree");
        holds(&format!("{name}, on shares"), law, &shared[0]);
    }
}

/// That the samples are within the law's support, without holes, and as far from it as samples are.
#[allow(clippy::print_stdout, reason = "so that a person can see p")]
fn holds(name: &str, law: &Noise, samples: &BTreeMap<i128, u64>) {
    let (first, weights) = match law {
        Noise::Laplace(noise) => (-(1i128 << noise.bits()), noise.weights()),
        Noise::Binomial(noise) => (-i128::from(noise.coins() / 2), noise.weights()),
    };
    let n: u64 = samples.values().sum();
    assert_eq!(n, SAMPLES as u64);
    let weight = |value: i128| usize::try_from(value - first).ok().and_then(|at| weights.get(at));
    assert!(
        samples.keys().all(|value| weight(*value).is_some_and(|weight| *weight > BigUint::ZERO)),
        "{name}: a value that the law has not"
    );
    let (chi2, freedom) = chi_squared(samples, first, &weights);
    let p = p_value(chi2, freedom);
    println!("{name}: {n} samples, χ² = {chi2:.1} of {freedom} degrees of freedom, p = {p:.4}");
    assert!(p > 1e-4, "{name}: χ² = {chi2} of {freedom} degrees of freedom, p = {p}");
    // e^-20 a value: no hole where twenty are expected
    let total: BigUint = weights.iter().sum();
    let expected = (first..).zip(&weights).filter(|(_, w)| *w * n >= &total * 20u32).map(|(k, _)| k);
    expected.for_each(|k| assert!(samples.contains_key(&k), "{name}: {k} never occurs"));
    // the mean of a law symmetric about 0, but for the sampler's distance from it
    let mean: i128 = samples.iter().map(|(k, n)| k * i128::from(*n)).sum();
    let square: i128 = samples.iter().map(|(k, n)| k * k * i128::from(*n)).sum();
    assert!(mean * mean < 16 * square, "{name}: the sum {mean} is within 4 standard deviations");
}

/// χ² of samples against integer weights, pooled to expectations of at least 10; the degrees of freedom.
fn chi_squared(samples: &BTreeMap<i128, u64>, first: i128, weights: &[BigUint]) -> (f64, usize) {
    let n: u64 = samples.values().sum();
    let total: BigUint = weights.iter().sum();
    let thousandth = |w: &BigUint| u64::try_from(w * n * 1000u32 / &total).expect("at most n") as f64 / 1000.0;
    let (mut cells, mut pool) = (Vec::new(), (0.0, 0.0));
    for (k, w) in (first..).zip(weights) {
        pool = (pool.0 + thousandth(w), pool.1 + *samples.get(&k).unwrap_or(&0) as f64);
        if pool.0 >= 10.0 {
            cells.push(std::mem::take(&mut pool));
        }
    }
    let last = cells.last_mut().expect("some value is expected");
    *last = (last.0 + pool.0, last.1 + pool.1);
    (cells.iter().map(|(e, o)| (o - e).powi(2) / e).sum(), cells.len() - 1)
}

/// How probable so great a χ² is of samples of the law: the regularised upper incomplete gamma function Q(k/2, χ²/2), by its series or its continued fraction, whichever converges.
fn p_value(chi2: f64, freedom: usize) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, chi2 / 2.0);
    if x == 0.0 {
        return 1.0;
    }
    // ln Γ(k/2), from Γ(1/2) or Γ(1)
    let (mut ln_gamma, mut at) = if freedom.is_multiple_of(2) { (0.0, 1.0) } else { (std::f64::consts::PI.ln() / 2.0, 0.5) };
    while at < a {
        ln_gamma += f64::ln(at);
        at += 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for at in 1..10_000 {
            term *= x / (a + f64::from(at));
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    // from behind
    let fraction = (1..10_000).rev().map(f64::from).fold(0.0, |rest, at| at * (at - a) / (x - a + 2.0 * at + 1.0 - rest));
    scale / (x - a + 1.0 - fraction)
}

#[test]
fn p_values_are_those_of_the_tables() {
    let tables = [(3.8415, 1, 0.05), (18.307, 10, 0.05), (35.564, 10, 1e-4), (27.877, 9, 0.001), (124.342, 100, 0.05), (77.929, 100, 0.95)];
    for (chi2, freedom, p) in tables {
        let found = p_value(chi2, freedom);
        assert!((found / p - 1.0).abs() < 1e-3, "χ² = {chi2} of {freedom}: {found}, and not {p}");
    }
    assert_eq!(p_value(0.0, 7), 1.0);
    assert!(p_value(1000.0, 20) < 1e-100);
}
