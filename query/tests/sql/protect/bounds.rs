//! Clamps and caps: what the owner's own sub-plan reads is his table, clamped and capped.

use super::super::pool::On;
use super::*;
use query::oracle::{Tolerance, compare};

const QUESTIONS: [&str; 9] = [
    "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s, MIN(kwh) AS low, MAX(kwh) AS high FROM energy.meters GROUP BY zone",
    "SELECT COUNT(*) AS n, AVG(kwh) AS a, COUNT(kwh) AS k, COUNT(home) AS h FROM energy.meters WHERE kwh >= 40",
    "SELECT z.side, SUM(m.s) AS s, SUM(v.d) AS d FROM public.zones z JOIN (SELECT zone, SUM(kwh) AS s FROM energy.meters GROUP BY zone) m \
     ON m.zone = z.zone JOIN (SELECT zone, SUM(days) AS d FROM health.stays GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side",
    "SELECT m.green, COUNT(*) AS n, SUM(m.kwh * s.days) AS x FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.green",
    "SELECT m.meter, m.kwh, s.n FROM energy.meters m LEFT JOIN (SELECT home, COUNT(*) AS n, MAX(days) AS d FROM health.stays GROUP BY home) s \
     ON s.home = m.home WHERE m.kwh > s.d OR m.green",
    "SELECT COUNT(*) AS n FROM energy.meters WHERE home IN (SELECT home FROM health.stays WHERE days < 5)",
    "SELECT COUNT(*) AS n FROM energy.meters WHERE kwh > (SELECT AVG(days) FROM health.stays)",
    "SELECT zone, MAX(kwh) - MIN(kwh) AS spread FROM energy.meters GROUP BY zone HAVING COUNT(*) > 1",
    "SELECT kwh, COUNT(*) AS n FROM energy.meters GROUP BY kwh ORDER BY n DESC, kwh LIMIT 3",
];

/// Values of kwh in 20 ..= 60 (and of days in 0.5 ..= 8), of each home the first `most` rows.
fn bounded(city: &City, most: Option<usize>) -> City {
    let mut city = city.clone();
    city.meters.iter_mut().for_each(|m| m.kwh = m.kwh.map(|v| v.clamp(20, 60)));
    city.stays.iter_mut().for_each(|s| s.days = s.days.map(|v| v.clamp(50, 800)));
    let Some(most) = most else { return city };
    // in the order of all columns, NULL last; rows of no home are those of one
    let last = |v: Option<i64>| v.map_or(i64::MAX, |v| v);
    city.meters.sort_by_key(|m| m.meter);
    city.stays.sort_by_key(|s| (last(s.home), s.zone, last(s.days)));
    let mut seen = std::collections::BTreeMap::new();
    let mut first = |home: Option<i64>| {
        let n = seen.entry(home).or_insert(0);
        *n += 1;
        *n <= most
    };
    city.meters.retain(|m| first(m.home));
    let mut seen = std::collections::BTreeMap::new();
    let mut first = |home: Option<i64>| {
        let n = seen.entry(home).or_insert(0);
        *n += 1;
        *n <= most
    };
    city.stays.retain(|s| first(s.home));
    city
}

fn protection(most: Option<u64>) -> Protection {
    let mut protection = homes(1);
    let bound = |text: &str| text.parse().expect("a bound");
    for (table, column, low, high) in [("energy.meters", "kwh", "19.5", "60.25"), ("health.stays", "days", "0.5", "8")] {
        let data = protection.datasets.get_mut(table).expect("both are protected");
        data.clamp.insert(column.into(), (bound(low), bound(high)));
        data.max_rows_per_entity = most;
    }
    protection
}

#[test]
fn answers_are_those_of_tables_bounded_by_hand() {
    for (seed, most) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(9))] {
        let city = City::of(seed);
        let (pool, by_hand) = (city.pool(), bounded(&city, most).pool());
        let protection = protection(most.map(|m| m as u64));
        for (number, sql) in QUESTIONS.iter().enumerate() {
            let expected = by_hand.clear(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            let plan = pool.protected(sql, &protection).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            for on in if number == seed as usize { &[On::Plain, On::Rep3][..] } else { &[On::Plain] } {
                let answer = pool.answer_by(&plan, &ground, *on).unwrap_or_else(|e| panic!("{sql}\n{e}"));
                let tolerance = Tolerance { ordered: sql.contains("ORDER BY"), ..Tolerance::default() };
                compare(&expected, &answer, tolerance).unwrap_or_else(|e| panic!("seed {seed}, {most:?}: {sql}\n{e}"));
            }
        }
    }
}

#[test]
fn bounds_narrow_what_is_shared() {
    let pool = City::of(1).pool();
    let sql = "SELECT m.meter, s.days FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE m.kwh > s.days";
    let width = |plan: &query::plan::Plan| {
        let kwh = plan.relations.iter().flat_map(|r| &r.columns).find(|c| c.words.contains("kwh")).expect("kwh is shared");
        kwh.form.width()
    };
    let (free, bounded) = (pool.plan(sql), pool.protected(sql, &protection(None)));
    let (free, bounded) = (free.unwrap_or_else(|e| panic!("{e}")), bounded.unwrap_or_else(|e| panic!("{e}")));
    assert!(width(&bounded) < width(&free), "{} bits, without bounds {}", width(&bounded), width(&free));
    assert_ne!(free.hash(), bounded.hash());
}

#[test]
fn a_clamp_that_no_value_meets_leaves_nulls_and_one_of_all_values_changes_nothing() {
    let pool = City::of(6).pool();
    let sql = "SELECT COUNT(*) AS n, COUNT(kwh) AS k FROM energy.meters";
    let with = |low: &str, high: &str| {
        let mut protection = homes(1);
        let clamp = (low.parse().expect("a bound"), high.parse().expect("a bound"));
        protection.datasets.get_mut("energy.meters").expect("protected").clamp.insert("kwh".into(), clamp);
        cells(&protected(&pool, sql, &protection, On::Plain).0)
    };
    let free = cells(&pool.clear(sql).expect("an answer"));
    assert_eq!(with("-10", "100"), free);
    assert_eq!(with("60", "20"), [vec![free[0][0].clone(), "0".into()]]);
}

#[test]
fn contracts_for_columns_that_are_not_there_are_refused() {
    let pool = City::of(1).pool();
    let sql = "SELECT COUNT(*) AS n FROM energy.meters";
    let mut protection = homes(1);
    protection.datasets.get_mut("energy.meters").expect("protected").entity_keys = ["house".to_owned()].into();
    assert!(refusal(&pool, sql, &protection).contains("its column house, which the catalogue does not have"));
    let mut protection = homes(1);
    let bound = || "1".parse().expect("a bound");
    protection.datasets.get_mut("energy.meters").expect("protected").clamp.insert("green".into(), (bound(), bound()));
    assert!(refusal(&pool, sql, &protection).contains("clamps green, which is BOOLEAN and no number"));
}

#[test]
fn groups_are_counted_of_bounded_tables() {
    for (seed, most) in [(0, 1), (1, 2), (2, 2), (5, 1)] {
        let city = City::of(seed);
        let (pool, by_hand) = (city.pool(), bounded(&city, Some(most as usize)).pool());
        let mut both = protection(Some(most));
        both.min_group = 2;
        for sql in [QUESTIONS[0], QUESTIONS[1], QUESTIONS[3], QUESTIONS[7]] {
            let (rows, suppressed) = protected(&pool, sql, &both, on(seed));
            let (expected, hidden) = protected(&by_hand, sql, &homes(2), On::Plain);
            assert_eq!((sorted(&rows), suppressed), (sorted(&expected), hidden), "{sql}: seed {seed}");
        }
    }
}
