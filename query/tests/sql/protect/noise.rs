//! Noise on what comes out: where it goes, how much of it, and that no entity moves a sum farther than it is for.

mod game;

use super::super::pool::On;
use super::*;
use protocols::privacy::{Delta, Epsilon, Loss, Noise as Law};
use query::plan::Plan;
use query::protection::Noise;
use std::collections::BTreeMap;

/// Counts and sums that may have noise: of one owner, of several over public rows, row by row.
const QUESTIONS: [&str; 21] = [
    "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters GROUP BY zone",
    "SELECT COUNT(*) AS n, COUNT(kwh) AS k, COUNT(DISTINCT home) AS h FROM energy.meters WHERE kwh > 30",
    "SELECT zone, AVG(kwh) AS a FROM energy.meters WHERE green GROUP BY zone",
    "SELECT zone, SUM(kwh) FILTER (WHERE green) AS g, SUM(CASE WHEN kwh > 40 THEN kwh ELSE 0 END) AS c FROM energy.meters GROUP BY zone",
    "SELECT COUNT(*) AS n, SUM(k) AS k FROM (SELECT home, SUM(kwh) AS k FROM energy.meters GROUP BY home) m",
    "SELECT COUNT(*) AS n FROM (SELECT zone, COUNT(*) AS c FROM energy.meters GROUP BY zone) m WHERE c > 2",
    "SELECT z.side, SUM(m.s) AS s, SUM(v.d) AS d FROM public.zones z LEFT JOIN (SELECT zone, SUM(kwh) AS s FROM energy.meters GROUP BY zone) m \
     ON m.zone = z.zone LEFT JOIN (SELECT zone, SUM(days) AS d FROM health.stays GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side",
    "SELECT z.side, SUM(m.n) AS n, SUM(v.d) AS d FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) m \
     ON m.zone = z.zone JOIN (SELECT zone, SUM(days) AS d FROM health.stays GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side",
    "SELECT COUNT(*) AS n, SUM(s.days) AS d, SUM(m.kwh) AS k FROM energy.meters m JOIN health.stays s ON s.home = m.home",
    "SELECT COUNT(*) AS n, AVG(m.kwh) AS a FROM energy.meters m LEFT JOIN (SELECT home, COUNT(*) AS n FROM health.stays GROUP BY home) s \
     ON s.home = m.home WHERE m.kwh > s.n",
    "SELECT COUNT(*) AS n FROM energy.meters m WHERE m.home IN (SELECT home FROM health.stays WHERE days > 5)",
    "SELECT COUNT(*) AS n, SUM(m.kwh * s.days) AS x FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE s.days < m.kwh",
    "SELECT COUNT(DISTINCT m.home) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home",
    "SELECT COUNT(*) AS n, SUM(c) AS c FROM (SELECT zone, COUNT(*) AS c FROM energy.meters GROUP BY zone UNION ALL SELECT zone, COUNT(*) FROM health.stays GROUP BY zone) u",
    "SELECT m.zone, COUNT(*) AS n, SUM(m.c) AS c FROM (SELECT zone, green, COUNT(*) AS c FROM energy.meters GROUP BY zone, green) m GROUP BY m.zone",
    "SELECT COUNT(*) AS n, COUNT(c) AS c FROM public.zones z LEFT JOIN (SELECT zone, COUNT(*) AS c FROM energy.meters GROUP BY zone) m ON m.zone = z.zone",
    "SELECT COUNT(*) AS n, SUM(kwh) AS k FROM energy.meters m WHERE NOT EXISTS (SELECT 1 FROM health.stays s WHERE s.home = m.home AND s.days > 4)",
    "SELECT COUNT(*) AS n, SUM(kwh) AS k FROM energy.meters m WHERE EXISTS (SELECT 1 FROM health.stays s WHERE s.home = m.home AND s.days < m.kwh)",
    "SELECT COUNT(*) AS n FROM energy.meters m WHERE NOT EXISTS (SELECT 1 FROM health.stays s WHERE s.home = 1 AND s.days > 3)",
    "SELECT COUNT(*) AS n FROM energy.meters WHERE kwh > (SELECT AVG(days) FROM health.stays)",
    "SELECT COUNT(*) AS n FROM (SELECT COUNT(*) OVER (PARTITION BY home) AS c FROM energy.meters) m WHERE c = 2",
];

/// Values within bounds, two rows of a home, and noise that spends so many millionths.
fn noisy(min_group: u64, millionths: u64) -> Protection {
    let mut protection = homes(min_group);
    for (table, column, low, high) in [("energy.meters", "kwh", "20", "60"), ("health.stays", "days", "0.5", "8")] {
        let data = protection.datasets.get_mut(table).expect("both are protected");
        data.clamp.insert(column.into(), (low.parse().expect("a bound"), high.parse().expect("a bound")));
        data.max_rows_per_entity = Some(2);
    }
    let datasets = protection.datasets.keys().cloned().collect();
    Protection { noise: Some(Noise { epsilon: Epsilon(millionths), delta: None, binomial: None, datasets }), ..protection }
}

/// The same with binomial noise, and of δ 10^-6 for the question.
fn binomial(min_group: u64, millionths: u64) -> Protection {
    let mut protection = noisy(min_group, millionths);
    protection.noise.as_mut().expect("there is").binomial = Some("0.000001".parse().expect("a number"));
    protection
}

fn plan(pool: &Pool, sql: &str, protection: &Protection) -> Plan {
    pool.protected(sql, protection).unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

/// What a plan opens, in clear, with the noise of each seed.
fn opened(pool: &Pool, plan: &Plan, seeds: std::ops::Range<u64>) -> Vec<Vec<Vec<i128>>> {
    let ground = pool.ground(plan).unwrap_or_else(|e| panic!("{e}"));
    let all = pool.opened(plan, &ground, seeds).unwrap_or_else(|e| panic!("{e}"));
    let numbers = |opened: &query::finish::OpenedNumbers| {
        let frames = (0..plan.releases.len()).flat_map(|r| opened.release(r).to_vec());
        let rows = plan.rows.iter().enumerate().flat_map(|(r, release)| {
            let columns = plan.relation(release.relation).columns.len();
            (0..columns).filter_map(|c| opened.rows(r).numbers(c)).collect::<Vec<_>>()
        });
        frames.chain(rows).collect()
    };
    all.iter().map(numbers).collect()
}

/// Few homes with many rows, whose values are all as great as they count.
fn crowded(seed: u64) -> City {
    let mut city = City::of(seed);
    let homes = 1 + seed as i64;
    city.meters.extend((0..24).map(|n| Meter { meter: 100 + n, home: None, zone: 1 + n % 2, kwh: None, green: None }));
    for (n, meter) in (0..).zip(&mut city.meters) {
        (meter.home, meter.kwh, meter.green) = ((n < 3 * homes).then_some(1 + n % homes), Some(100), Some(true));
    }
    city.stays = (0..4 * homes).map(|n| Stay { home: Some(1 + n % homes), zone: 1 + n % 3, days: Some(2999) }).collect();
    city
}

/// Where a home lives no more, in a table of an agency.
fn without(city: &City, home: Option<i64>, energy: bool) -> City {
    let mut city = city.clone();
    if energy {
        city.meters.retain(|m| m.home != home)
    } else {
        city.stays.retain(|s| s.home != home)
    }
    city
}

/// With the same noise on both, what comes out of a city and of one without the rows of a home differs by no more than the noise is for.
#[test]
fn no_home_moves_a_sum_farther_than_its_noise_is_for() {
    let mut farthest: BTreeMap<(&str, usize), f64> = BTreeMap::new();
    for sql in QUESTIONS {
        let protection = noisy(1, 1_000_000);
        let shape = plan(&City::of(1).pool(), sql, &protection);
        assert!(shape.releases.iter().all(|r| r.cells.len() == 1), "one cell a group");
        for (seed, city) in (0..).zip([City::of(0), City::of(1), crowded(2), crowded(3)]) {
            let all = opened(&city.pool(), &shape, seed..seed + 1).remove(0);
            for (home, energy) in (0..7).flat_map(|home| [((home > 0).then_some(home), true), ((home > 0).then_some(home), false)]) {
                let fewer = opened(&without(&city, home, energy).pool(), &shape, seed..seed + 1).remove(0);
                for noised in shape.noised() {
                    let moved: i128 = all[noised.of].iter().zip(&fewer[noised.of]).map(|(a, b)| (a - b).abs()).sum();
                    let most = i128::from(noised.law.sensitivity.total);
                    assert!(moved <= most, "{sql}\nseed {seed}, {home:?}: {} moves by {moved}, at most {most}", noised.words);
                    let cells = all[noised.of].iter().zip(&fewer[noised.of]).filter(|(a, b)| a != b).count();
                    let of = noised.law.sensitivity.cells;
                    assert!(cells as u64 <= of, "{sql}\nseed {seed}, {home:?}: {} moves in {cells} cells, at most {of}", noised.words);
                    let words = shape.noised().position(|n| n == noised).expect("one of them");
                    let share = farthest.entry((sql, words)).or_default();
                    *share = share.max(moved as f64 / most as f64);
                }
            }
        }
    }
    assert!(farthest.values().all(|share| *share > 0.0), "no home moves it: {farthest:?}");
    let tight = farthest.values().filter(|share| **share > 0.999).count();
    assert!(2 * tight > farthest.len(), "it is no more noise than there has to be: {farthest:?}");
}

/// With a number for NULL, rows of no home are in one partition with those of a home: without it, theirs change.
#[test]
fn a_number_for_null_names_no_entity() {
    let sql = "SELECT COUNT(*) AS n FROM (SELECT COUNT(*) OVER (PARTITION BY h) AS c FROM (SELECT COALESCE(home, 0) AS h FROM energy.meters) x) m WHERE c = 2";
    let refused = refusal(&City::of(1).pool(), sql, &noisy(1, 1_000_000));
    assert!(refused.contains("behind a window function"), "{refused}");
}

#[test]
fn every_sum_that_is_opened_has_its_part_of_epsilon() {
    let pool = City::of(3).pool();
    // the next counts public rows, which are nobody's, and behind the last two entities cannot be told apart
    for sql in &QUESTIONS[..15] {
        let plan = plan(&pool, sql, &noisy(3, 900_000));
        let (sums, compared): (Vec<_>, Vec<_>) = plan.noised().partition(|n| n.guard.is_none());
        let opened: usize = plan.releases.iter().map(|r| r.cells[0].openings.len() - 1).sum::<usize>()
            + plan.rows.iter().map(|r| plan.relation(r.relation).columns.len()).sum::<usize>();
        assert_eq!(sums.len(), opened, "{sql}: nothing exact is opened");
        assert!(!compared.is_empty(), "{sql}: nor compared");
        let each = 900_000 / plan.noised().count() as u64;
        assert!(plan.noised().all(|n| n.law.epsilon == Epsilon(each)), "{sql}");
    }
}

#[test]
fn noise_of_a_join_is_made_once_and_spent_of_both() {
    let pool = City::of(3).pool();
    let spent = |sql: &str, datasets: &[&str]| {
        let mut protection = noisy(1, 600_000);
        protection.noise.as_mut().expect("there is").datasets = datasets.iter().map(ToString::to_string).collect();
        plan(&pool, sql, &protection).spent().expect("a law")
    };
    let sql = "SELECT COUNT(*) AS n, SUM(s.days) AS d FROM energy.meters m JOIN health.stays s ON s.home = m.home";
    let both = spent(sql, &["energy.meters", "health.stays"]);
    let losses: Vec<Loss> = both.values().copied().collect();
    assert_eq!(both.len(), 2);
    assert!(losses[0] == losses[1] && losses[0].epsilon == Epsilon(600_000), "{losses:?}");
    assert!((1..10u128.pow(9)).contains(&losses[0].delta.0), "{losses:?}");
    assert_eq!(spent(sql, &["health.stays"]).into_keys().collect::<Vec<_>>(), ["health.stays"]);
    // what reads nothing that asks for noise is exact, and costs nothing
    assert_eq!(spent("SELECT COUNT(*) AS n FROM energy.meters", &["health.stays"]), BTreeMap::new());
}

/// Of δ it spends what the question has, a part a sum; where a value moves far, it would take too many coins.
#[test]
fn binomial_noise_spends_delta_and_is_for_counts() {
    let pool = City::of(3).pool();
    let plan = plan(&pool, "SELECT COUNT(*) AS n, COUNT(kwh) AS k FROM energy.meters", &binomial(1, 4_000_000));
    let spent = plan.spent().expect("a law");
    assert_eq!(spent["energy.meters"], Loss { epsilon: Epsilon(4_000_000), delta: Delta(10u128.pow(18)) });
    assert!(plan.noised().all(|n| n.law.delta == Some(Delta(10u128.pow(18) / 2))));
    let refused = pool.protected("SELECT SUM(kwh) AS s FROM energy.meters", &binomial(1, 4_000_000)).expect_err("too many coins");
    for part in ["binomial noise takes more than 8192 coins", "take Laplace noise", "clamps more narrowly"] {
        assert!(refused.to_string().contains(part), "{part}: {refused}");
    }
}

#[test]
fn answers_are_near_and_differ() {
    for (sql, protection) in [
        (QUESTIONS[0], noisy(1, 2_000_000)),
        (QUESTIONS[6], noisy(1, 2_000_000)),
        (QUESTIONS[8], noisy(1, 2_000_000)),
        ("SELECT zone, COUNT(*) AS n, COUNT(kwh) AS k FROM energy.meters GROUP BY zone", binomial(1, 2_000_000)),
        (QUESTIONS[12], binomial(1, 4_000_000)),
    ] {
        let pool = City::of(5).pool();
        let plan = plan(&pool, sql, &protection);
        let exact = {
            let mut protection = noisy(1, 1);
            protection.noise = None;
            let plan = self::plan(&pool, sql, &protection);
            let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
            sorted(&pool.answer_by(&plan, &ground, On::Plain).unwrap_or_else(|e| panic!("{e}")))
        };
        let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
        // whichever noise there may be of a sum of 24 rows, 10^-9 of it aside
        let within: BTreeMap<usize, f64> =
            plan.noised().map(|n| (n.of, n.law.noise().expect("a law").error(1_000_000_000) as f64 / 10f64.powi(n.scale.into()))).collect();
        let most = within.values().copied().fold(0.0, f64::max);
        let mut different = 0;
        for on in [On::Plain, On::Rep3] {
            // on shares at the stated price
            let noised = sorted(&pool.answer_by(&plan, &ground, on).unwrap_or_else(|e| panic!("{e}")));
            for row in &noised {
                let key = |r: &&Vec<String>| row.len() < 3 || r[0] == row[0] || sql.contains("COUNT(*) AS n, SUM(s.days)");
                let exact = exact.iter().find(key);
                for (at, cell) in row.iter().enumerate() {
                    let (Ok(cell), of) = (cell.parse::<f64>(), exact.map_or("0", |r| r[at].as_str())) else { continue };
                    let of: f64 = of.parse().unwrap_or(0.0);
                    assert!((cell - of).abs() <= most, "{sql}: {cell}, {of}");
                    different += u32::from(cell != of);
                }
            }
        }
        assert!(different > 0, "{sql}");
    }
}

/// The number of rows of each zone, over many seeds: Pearson's statistic against the exact law.
#[test]
fn a_released_cell_has_the_law() {
    for protection in [noisy(1, 1_000_000), binomial(1, 4_000_000)] {
        has_the_law(&protection);
    }
}

fn has_the_law(protection: &Protection) {
    let pool = City::of(7).pool();
    let plan = plan(&pool, "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone", protection);
    let noised: Vec<_> = plan.noised().collect();
    let law = noised[0].law.noise().expect("a law");
    // two rows of a home: Δ = 2
    assert_eq!((noised.len(), noised[0].law.sensitivity.total), (1, 2));
    let bounded = {
        let mut protection = noisy(1, 1);
        protection.noise = None;
        let plan = self::plan(&pool, "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone", &protection);
        opened(&pool, &plan, 0..1).remove(0)
    };
    let mut seen: BTreeMap<i128, u32> = BTreeMap::new();
    let seeds = 600;
    for noisy in opened(&pool, &plan, 0..seeds) {
        for (noisy, exact) in noisy[0].iter().zip(&bounded[0]) {
            *seen.entry(noisy - exact).or_default() += 1;
        }
    }
    let samples = f64::from(seen.values().sum::<u32>());
    assert_eq!(samples as u64, 5 * seeds);
    let (half, weights) = match &law {
        Law::Laplace(law) => (1i128 << law.bits(), law.weights()),
        Law::Binomial(law) => (i128::from(law.coins() / 2), law.weights()),
    };
    let total: f64 = weights.iter().map(|w| w.to_string().parse::<f64>().expect("a number")).sum();
    let (mut statistic, mut freedom, mut rest) = (0.0_f64, -1.0_f64, (0.0_f64, 0.0_f64));
    for (k, weight) in (-half..=half).zip(&weights) {
        let expected = samples * weight.to_string().parse::<f64>().expect("a number") / total;
        let count = f64::from(seen.get(&k).copied().unwrap_or(0));
        if expected < 8.0 {
            rest = (rest.0 + expected, rest.1 + count);
            continue;
        }
        statistic += (count - expected).powi(2) / expected;
        freedom += 1.0;
    }
    statistic += (rest.1 - rest.0).powi(2) / rest.0;
    freedom += 1.0;
    // mean and variance of χ² are its degrees of freedom, and twice as many
    assert!(freedom > 10.0 && statistic < freedom + 4.0 * (2.0 * freedom).sqrt(), "χ² = {statistic}, {freedom} degrees of freedom");
}

#[test]
fn groups_that_are_too_small_stay_hidden_and_large_ones_come_out() {
    for sql in ["SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone", "SELECT COUNT(*) AS n FROM energy.meters"] {
        let pool = City::of(2).pool();
        for (k, hidden) in [(2_000, true), (1, false)] {
            // as little noise as there can be
            let mut protection = noisy(k, 40_000_000);
            protection.datasets.get_mut("energy.meters").expect("protected").max_rows_per_entity = Some(4);
            let plan = plan(&pool, sql, &protection);
            let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
            for on in [On::Plain, On::Rep3] {
                let answer = pool.whole_answer_by(&plan, &ground, on).unwrap_or_else(|e| panic!("{e}"));
                let column = answer.rows.num_columns() - 1;
                let nulls = cells(&answer.rows).iter().filter(|row| row[column] == "NULL").count();
                if hidden {
                    assert_eq!(nulls, answer.rows.num_rows(), "{sql}");
                } else {
                    assert!(nulls < answer.rows.num_rows(), "{sql}");
                }
            }
        }
    }
}

/// All public groups come out, also those without a row: that there is none would be exact.
#[test]
fn groups_without_a_row_come_out_like_others() {
    let pool = City::default().pool();
    let plan = plan(&pool, QUESTIONS[0], &noisy(1, 1_000_000));
    let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
    let rows = pool.answer_by(&plan, &ground, On::Rep3).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(rows.num_rows(), 5);
    assert!(cells(&rows).iter().flatten().all(|cell| cell != "NULL"), "{:?}", cells(&rows));
}

#[test]
fn what_would_be_exact_is_refused() {
    let pool = City::of(1).pool();
    let refused = |sql: &str, said: &str| {
        let refusal = refusal(&pool, sql, &noisy(1, 1_000_000));
        assert!(refusal.contains(said), "{sql}\n{refusal}\nsays nothing of: {said}");
    };
    for sql in [
        "SELECT zone, MAX(kwh) AS m FROM energy.meters GROUP BY zone",
        "SELECT VAR_SAMP(kwh) AS v FROM energy.meters",
        "SELECT SUM(DISTINCT kwh) AS v FROM energy.meters",
        "SELECT MIN(m.kwh) AS k FROM energy.meters m JOIN health.stays s ON s.home = m.home",
    ] {
        refused(sql, "under these contracts COUNT, SUM and AVG come out");
    }
    refused("SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone HAVING COUNT(*) > 3", "exact");
    refused("SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone ORDER BY n DESC LIMIT 2", "exact");
    refused("SELECT m.zone, COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.zone", "would be exact");
    refused("SELECT meter, kwh FROM energy.meters", "would come out");
    // called as the compiler calls its own
    let number = "ROW_NUMBER() OVER (ORDER BY kwh) AS \"row of its entity\"";
    refused(
        &format!("SELECT COUNT(*) AS n FROM (SELECT kwh, {number} FROM energy.meters) w WHERE \"row of its entity\" < 3"),
        "behind a window function",
    );
    refused("SELECT COUNT(*) AS n FROM energy.meters WHERE home NOT IN (SELECT home FROM health.stays)", "decides on all rows");
    refused("SELECT m.kwh, s.days FROM energy.meters m JOIN health.stays s ON s.home = m.home", "would come out");
}

#[test]
fn a_missing_term_is_named() {
    let pool = City::of(1).pool();
    let sql = "SELECT COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters";
    let with = |change: &dyn Fn(&mut Protected)| {
        let mut protection = noisy(1, 1_000_000);
        change(protection.datasets.get_mut("energy.meters").expect("protected"));
        protection
    };
    let refusal = |protection| refusal(&pool, sql, &protection);
    assert!(refusal(with(&|data| data.max_rows_per_entity = None)).contains("`max_rows_per_entity`"));
    let two = refusal(with(&|data| {
        data.entity_keys.insert("zone".into());
    }));
    assert!(two.contains("several entity keys"), "{two}");
    // of a meter there is one row
    let own = plan(&pool, sql, &with(&|data| (data.entity_keys, data.max_rows_per_entity) = (["meter".to_owned()].into(), None)));
    assert!(own.noised().all(|n| n.law.sensitivity.cells == 1));
    // the catalogue's own bounds do, and the contract's need less noise
    let most = |protection: &Protection| plan(&pool, sql, protection).noised().map(|n| n.law.sensitivity.total).max();
    assert_eq!(most(&with(&|data| data.clamp.clear())), Some(200));
    assert_eq!(most(&with(&|_| ())), Some(120));
}

#[test]
fn delta_is_bounded() {
    let pool = City::of(1).pool();
    let with = |delta: &str| {
        let mut protection = noisy(1, 1_000_000);
        protection.noise.as_mut().expect("there is").delta = Some(delta.parse().expect("a number"));
        protection
    };
    plan(&pool, QUESTIONS[0], &with("0.000000000001"));
    assert!(refusal(&pool, QUESTIONS[0], &with("0")).contains("δ"));
}

#[test]
fn explain_says_what_is_spent_and_how_much_noise_there_is() {
    let pool = City::of(1).pool();
    let plan = plan(&pool, "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters GROUP BY zone", &noisy(3, 900_000));
    let explained = query::explain::explain(&plan, &pool.public(), &["transport", "energy", "health"]).expect("an explanation");
    let noise = explained.noise.as_ref().expect("there is noise");
    let said: Vec<_> = noise.sums.iter().map(|s| (s.what.as_str(), s.epsilon.as_str(), s.moved.as_str(), s.compared)).collect();
    // a home has to do with two rows
    assert_eq!(
        said,
        [
            ("number of rows", "0.3", "2", false),
            ("sum of energy.meters.kwh", "0.3", "120", false),
            ("it is of at least 3 different home of energy.meters", "0.3", "2", true)
        ]
    );
    assert_eq!(noise.spent.iter().map(|s| s.epsilon.as_str()).collect::<Vec<_>>(), ["0.9", "0.9"]);
    let text = explained.to_string();
    for said in [
        "noise spends ε = 0.9, δ = 0.0000000000000000",
        "number of rows: ± 20 at 95 % (ε = 0.3; one entity moves it by at most 2)",
        "counted with noise",
    ] {
        assert!(text.contains(said), "{text}\nsays nothing of: {said}");
    }
}

/// Of a data set without noise, a hidden group would be told by the total and the others, whatever else the question asks.
#[test]
fn groups_beside_their_total_are_hidden_where_another_data_set_has_noise() {
    let mut city = City::default();
    for (zone, homes) in [(1, 5), (2, 4), (3, 1)] {
        city.stays.extend((0..homes).map(|h| Stay { home: Some(1 + h + 5 * (zone - 1)), zone, days: Some(100) }));
    }
    let mut protection = noisy(3, 1_000_000);
    protection.noise.as_mut().expect("there is").datasets = ["energy.meters".to_owned()].into();
    let pool = city.pool();
    let sql = "SELECT zone, COUNT(*) AS n, (SELECT COUNT(*) FROM health.stays) AS t FROM health.stays GROUP BY zone \
               ORDER BY (SELECT COUNT(*) FROM energy.meters)";
    let plan = plan(&pool, sql, &protection);
    let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
    let rows = sorted(&pool.answer_by(&plan, &ground, On::Plain).unwrap_or_else(|e| panic!("{e}")));
    assert_eq!(rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["5", "NULL", "NULL", "NULL", "NULL"], "{rows:?}");
    // nor does that noise hide who is alone in a branch of a CASE
    for (alone, shown) in [("home = 1", false), ("zone = 1", true)] {
        let sql = format!(
            "SELECT SUM(CASE WHEN {alone} THEN days ELSE 2 END) AS d FROM health.stays ORDER BY (SELECT COUNT(*) FROM energy.meters)"
        );
        let rows = sorted(&protected(&pool, &sql, &protection, On::Plain).0);
        assert_eq!(rows[0][0] != "NULL", shown, "{sql}: {rows:?}");
    }
}

/// A clamp makes several homes one, of which as many rows count: without one of these homes, rows of another do.
#[test]
fn a_clamped_key_has_no_noise() {
    let mut protection = noisy(1, 1_000_000);
    let data = protection.datasets.get_mut("energy.meters").expect("protected");
    (data.entity_keys, data.max_rows_per_entity) = (["meter".to_owned()].into(), Some(1));
    data.clamp.insert("meter".into(), ("1".parse().expect("a bound"), "1".parse().expect("a bound")));
    assert!(refusal(&City::of(1).pool(), QUESTIONS[0], &protection).contains("clamps meter"));
}

/// What is paid for can be computed: fields have room for the noise and for thresholds, and columns for what comes out.
#[test]
fn however_much_noise_there_is_it_has_room_or_is_refused() {
    let pool = City::of(5).pool();
    let mut answered = 0;
    for (millionths, k) in [1, 10, 15, 40, 100, 3_000].into_iter().flat_map(|e| [(e, 1), (e, 3)]) {
        let mut protection = noisy(k, millionths);
        protection.datasets.values_mut().for_each(|data| data.max_rows_per_entity = Some(1_000_000_000));
        for sql in [QUESTIONS[0], QUESTIONS[6], QUESTIONS[8], QUESTIONS[9], QUESTIONS[11]] {
            let Ok(plan) = pool.protected(sql, &protection) else { continue };
            let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
            pool.answer_by(&plan, &ground, On::Plain).unwrap_or_else(|e| panic!("{millionths}, {k}: {sql}\n{e}"));
            answered += 1;
        }
    }
    assert!(answered > 10, "{answered}");
}
