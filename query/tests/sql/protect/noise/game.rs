//! The distinguishing game at a question's level: two cities, of which one lacks the rows of a home, and whoever is shown what comes out is to say which it was. Differential privacy is that
//! no answer is more than e^ε times as likely of the one as of the other (δ is some 10^−17 here, nothing among so many answers); what is played with is the plan, whose ε is the exact one
//! that is debited, in the clear engine, which computes what shares do.
//!
//! Of N answers of each city, an answer is counted a and b times. By Bernstein's inequality, each of these but with probability e^−L:
//!
//! ```text
//! N·p ≤ ((√(2L) + √(2L + 4b)) / 2)²            of the one that is seen b times
//! N·p ≥ ((√(2L + 4(a − 2L/3)) − √(2L)) / 2)²    of the one that is seen a times
//! ```
//!
//! So the least of one that is believed must not be more than e^ε times the most of the other. A plan that keeps its word fails here with probability [`FALSE_ALARM`] at most, over all answers
//! of a question; the seeds are fixed, so that it always does or never. That the game can be won is seen by claiming half of ε.

use super::*;

/// Of a question, over all its answers.
const FALSE_ALARM: f64 = 1e-9;
/// Answers of each city.
const ANSWERS: u64 = 4000;

/// How often each answer came out.
fn counted(pool: &Pool, plan: &Plan, seeds: std::ops::Range<u64>) -> BTreeMap<Vec<i128>, f64> {
    let mut seen: BTreeMap<Vec<i128>, f64> = BTreeMap::new();
    for opened in opened(pool, plan, seeds) {
        *seen.entry(plan.noised().flat_map(|noised| opened[noised.of].clone()).collect()).or_default() += 1.0;
    }
    seen
}

/// The greatest ln(p / q) of an answer that is believed.
fn told_apart(one: &BTreeMap<Vec<i128>, f64>, other: &BTreeMap<Vec<i128>, f64>) -> f64 {
    let answers = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
    // Each answer is bounded from below and above, either way round.
    let l = (4.0 * answers.len() as f64 / FALSE_ALARM).ln();
    let root = (2.0 * l).sqrt();
    let most = |count: f64| ((root + (2.0 * l + 4.0 * count).sqrt()) / 2.0).powi(2);
    let least = |count: f64| (((2.0 * l + 4.0 * (count - 2.0 * l / 3.0).max(0.0)).sqrt() - root) / 2.0).powi(2);
    let count = |of: &BTreeMap<Vec<i128>, f64>, answer: &Vec<i128>| of.get(answer).copied().unwrap_or(0.0);
    let ratios = answers.into_iter().flat_map(|answer| {
        let (a, b) = (count(one, answer), count(other, answer));
        [least(a) / most(b), least(b) / most(a)]
    });
    ratios.fold(0.0, f64::max).ln()
}

#[test]
fn nobody_tells_by_an_answer_whether_a_home_is_there_but_for_epsilon() {
    let mut tight = 0;
    for (sql, millionths) in [
        ("SELECT COUNT(*) AS n FROM energy.meters", 2_000_000),
        ("SELECT COUNT(DISTINCT home) AS h FROM energy.meters WHERE kwh > 30", 2_000_000),
        // ε is split over two counts, of which one home moves both.
        ("SELECT COUNT(*) AS n, COUNT(kwh) AS k FROM energy.meters", 4_000_000),
        // Owners' rows meet on shares.
        ("SELECT COUNT(*) AS n FROM energy.meters m WHERE m.home IN (SELECT home FROM health.stays WHERE days > 5)", 2_000_000),
    ] {
        let city = City::of(1);
        let plan = plan(&city.pool(), sql, &noisy(1, millionths));
        let epsilon = plan.spent().expect("a law")["energy.meters"].epsilon;
        assert_eq!(epsilon, Epsilon(millionths), "{sql}");
        // The home that moves most, by the same noise on both.
        let all = opened(&city.pool(), &plan, 0..1).remove(0);
        let moved = |home: &i64| {
            let fewer = opened(&without(&city, Some(*home), true).pool(), &plan, 0..1).remove(0);
            let far = |of: usize| all[of].iter().zip(&fewer[of]).map(|(a, b)| (a - b).abs()).sum::<i128>();
            plan.noised().map(|noised| far(noised.of)).sum::<i128>()
        };
        let home = (1..=13).max_by_key(moved).expect("some");
        assert!(moved(&home) > 0, "{sql}");
        let with = counted(&city.pool(), &plan, 0..ANSWERS);
        let less = counted(&without(&city, Some(home), true).pool(), &plan, ANSWERS..2 * ANSWERS);
        let (told, epsilon) = (told_apart(&with, &less), epsilon.0 as f64 / 1e6);
        assert!(told <= epsilon, "{sql}: e^{told} where ε = {epsilon}");
        // Where a home moves the sums as far as one may, it is seen that no smaller ε would do.
        let most: u64 = plan.noised().map(|noised| noised.law.sensitivity.total).sum();
        if moved(&home) == i128::from(most) {
            assert!(told > epsilon / 4.0, "{sql}: e^{told} of ε = {epsilon}: there is more noise than there has to be");
            tight += 1;
        }
    }
    assert!(tight > 1, "the game can be won");
}

/// The same city twice is not told apart; noise for half of what a home moves is.
#[test]
fn who_makes_too_little_noise_loses() {
    let (city, sql) = (City::of(1), "SELECT COUNT(*) AS n FROM energy.meters");
    let plan = plan(&city.pool(), sql, &noisy(1, 2_000_000));
    let one = counted(&city.pool(), &plan, 0..ANSWERS);
    assert!(told_apart(&one, &counted(&city.pool(), &plan, ANSWERS..2 * ANSWERS)) < 0.5);
    // Of ε = 2 for Δ = 2, claimed to be ε = 1.
    let home =
        (1..=13).find(|home| city.meters.iter().filter(|meter| meter.home == Some(*home)).count() >= 2).expect("a home with two meters");
    let told = told_apart(&one, &counted(&without(&city, Some(home), true).pool(), &plan, ANSWERS..2 * ANSWERS));
    assert!(told > 1.0, "{told}");
}
