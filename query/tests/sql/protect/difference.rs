//! Whom answers are made of: two of which the one is the other but for few entities are found, and no others.

use super::*;
use query::difference::Cell;
use std::collections::BTreeMap;

/// Twenty homes, four of them with two meters; every zone has at least four.
fn city() -> City {
    let mut city = City::default();
    for meter in 0..24 {
        let (home, zone) = (1 + meter % 20, 1 + meter % 5);
        let (kwh, green) = ((meter % 7 > 0).then_some(10 + 3 * meter), Some(meter % 2 == 0));
        city.meters.push(Meter { meter: 1 + meter, home: Some(home), zone, kwh, green });
    }
    for stay in 0..20 {
        city.stays.push(Stay { home: Some(1 + stay), zone: 1 + stay % 5, days: Some(100 + 7 * stay) });
    }
    city
}

fn told(pool: &Pool, sql: &str, least: u64) -> Vec<Cell> {
    let plan = pool.protected(sql, &homes(least)).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let cells = ["energy", "health"].map(|party| pool.cells(&plan, party).unwrap_or_else(|e| panic!("{sql}\n{e}")));
    cells.into_iter().flat_map(BTreeMap::into_values).flatten().collect()
}

/// Whether one of these is nearly one of those.
fn clash(these: &[Cell], those: &[Cell], least: u64) -> bool {
    these.iter().any(|one| those.iter().any(|other| one.near(other, least)))
}

const ALL: &str = "SELECT COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters";
const ZONES: &str = "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters GROUP BY zone";
const SIDES: &str = "SELECT z.side, SUM(m.n) AS n, SUM(v.d) AS d FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) m \
    ON m.zone = z.zone JOIN (SELECT zone, SUM(days) AS d FROM health.stays GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side";
const MET: &str = "SELECT COUNT(*) AS n, SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE s.days > 1.5";
const COLOURS: &str = "SELECT m.green, COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.green";
const HOMES: &str = "SELECT COUNT(*) AS n, SUM(h.s) AS s FROM (SELECT home, SUM(kwh) AS s FROM energy.meters GROUP BY home) h";

/// Asked after one another, the second tells of home 7, or of two homes.
const ATTACKS: [(&str, &str); 30] = [
    (ALL, "SELECT COUNT(*) AS n FROM energy.meters WHERE home <> 7"),
    (ALL, "SELECT SUM(kwh) AS s FROM energy.meters WHERE home NOT IN (7, 8)"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 THEN NULL ELSE kwh END) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 THEN 0 ELSE kwh END) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 THEN kwh + 1 ELSE kwh END) AS s FROM energy.meters"),
    (ALL, "SELECT COUNT(*) FILTER (WHERE home <> 7) AS n FROM energy.meters"),
    // of another scale, the rows are the same
    (ALL, "SELECT SUM(2 * kwh + 3) AS s FROM energy.meters WHERE home <> 7"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 THEN kwh ELSE 1 END) AS s FROM energy.meters WHERE kwh IS NOT NULL OR home <> 7"),
    (ALL, "SELECT SUM(2 * kwh) FILTER (WHERE home <> 7) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(kwh + 1) FILTER (WHERE home <> 9) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 THEN 0 ELSE 2 * kwh END) AS s FROM energy.meters"),
    (ALL, "SELECT 2 * SUM(CASE WHEN kwh IS NOT NULL AND home <> 7 THEN 3 * kwh + 1 END) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(CASE WHEN home = 7 AND kwh > 10 THEN 0 ELSE 2 END) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(ABS(CASE home WHEN 7 THEN 0 ELSE 2 * kwh END)) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(3 * kwh * CAST(home <> 7 AS INT)) AS s FROM energy.meters"),
    (ALL, "SELECT SUM(2 * v + 1) AS s FROM (SELECT CASE WHEN home <> 7 THEN kwh END AS v FROM energy.meters) x"),
    ("SELECT AVG(days) AS a FROM health.stays", "SELECT SUM(2 * days) FILTER (WHERE home <> 7) AS s FROM health.stays"),
    (ALL, "SELECT SUM(2 * kwh * (home - 7) / NULLIF(home - 7, 0)) AS s FROM energy.meters"),
    // home 7 is the one with 28
    (ALL, "SELECT SUM(2 * v) AS s FROM (SELECT NULLIF(kwh, 28) AS v FROM energy.meters) x"),
    ("SELECT COUNT(kwh) AS n FROM energy.meters", "SELECT COUNT(*) FILTER (WHERE kwh > -10 AND home <> 7) AS n FROM energy.meters"),
    (ZONES, "SELECT COUNT(*) AS n FROM energy.meters WHERE zone = 2 AND home <> 7"),
    (ZONES, "SELECT zone, COUNT(*) AS n FROM energy.meters WHERE home <> 7 GROUP BY zone"),
    (ALL, "SELECT SUM(h.s) AS s FROM (SELECT home, SUM(kwh) AS s FROM energy.meters GROUP BY home) h WHERE h.home <> 7"),
    (
        HOMES,
        "SELECT SUM(CASE WHEN h.home = 7 THEN 0 ELSE h.s END) AS s FROM (SELECT home, SUM(kwh) AS s FROM energy.meters GROUP BY home) h",
    ),
    (
        SIDES,
        "SELECT z.side, SUM(m.n) AS n, SUM(v.d) AS d FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) m \
         ON m.zone = z.zone JOIN (SELECT zone, SUM(days) AS d FROM health.stays WHERE home <> 7 GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side",
    ),
    (MET, "SELECT COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE s.days > 1.5 AND m.meter <> 7"),
    (
        MET,
        "SELECT SUM(2 * m.kwh) FILTER (WHERE m.meter <> 7) AS s FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE s.days > 1.5",
    ),
    (
        MET,
        "SELECT SUM(2 * m.v) AS s FROM (SELECT home, NULLIF(kwh, 28) AS v FROM energy.meters) m JOIN health.stays s ON s.home = m.home \
         WHERE s.days > 1.5",
    ),
    (COLOURS, "SELECT COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home WHERE m.green AND m.meter <> 7"),
    (
        "SELECT COUNT(*) AS n FROM health.stays WHERE home IN (SELECT home FROM energy.meters)",
        "SELECT COUNT(*) AS n FROM health.stays WHERE home IN (SELECT home FROM energy.meters WHERE home <> 7)",
    ),
];

/// The second differs in many, or has nothing in common with the first.
const HONEST: [(&str, &str); 9] = [
    (ALL, "SELECT COUNT(*) AS n, AVG(kwh) AS a FROM energy.meters WHERE kwh > 40"),
    (ALL, ZONES),
    (ZONES, SIDES),
    (ZONES, "SELECT green, COUNT(*) AS n FROM energy.meters GROUP BY green"),
    (ALL, "SELECT COUNT(*) AS n FROM health.stays WHERE home <> 7"),
    ("SELECT COUNT(*) AS n FROM energy.meters WHERE zone < 3", "SELECT COUNT(*) AS n FROM energy.meters WHERE zone > 2 AND home <> 7"),
    (MET, COLOURS),
    (HOMES, ZONES),
    (COLOURS, "SELECT m.zone, COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.zone"),
];

#[test]
fn questions_that_differ_in_few_are_found() {
    let pool = city().pool();
    for (first, second) in ATTACKS {
        assert!(clash(&told(&pool, first, 3), &told(&pool, second, 3), 3), "{first}\n{second}");
    }
}

#[test]
fn honest_questions_pass_and_so_does_the_same_again() {
    let pool = city().pool();
    for (first, second) in HONEST {
        let (first_told, second_told) = (told(&pool, first, 3), told(&pool, second, 3));
        assert!(!first_told.is_empty() && !second_told.is_empty(), "{first}\n{second}");
        assert!(!clash(&first_told, &second_told, 3), "{first}\n{second}");
        for (sql, cells) in [(first, &first_told), (second, &second_told)] {
            assert_eq!(*cells, told(&pool, sql, 3), "{sql}");
            assert!(!clash(cells, cells, 3), "{sql}");
        }
    }
}

#[test]
fn two_cells_of_one_answer_are_compared_too() {
    let pool = city().pool();
    for (sql, found) in [
        ("SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE home <> 7) AS m FROM energy.meters", true),
        ("SELECT SUM(kwh) AS s, SUM(CASE WHEN home = 7 THEN kwh ELSE 1 END) AS m, COUNT(kwh) AS n FROM energy.meters", true),
        ("SELECT SUM(kwh) AS s, SUM(2 * kwh) FILTER (WHERE home <> 7) AS m FROM energy.meters", true),
        ("SELECT COUNT(*) AS n, SUM(CASE WHEN home = 7 AND kwh > 10 THEN 0 ELSE 2 END) AS m FROM energy.meters", true),
        (
            "SELECT SUM(2 * r.s - r.t) AS x FROM (SELECT zone, SUM(kwh) AS s, SUM(CASE WHEN home = 7 THEN 0 ELSE 2 * kwh END) AS t \
             FROM energy.meters GROUP BY zone) r",
            true,
        ),
        (
            "SELECT SUM(m.kwh) AS s, SUM(2 * m.kwh) FILTER (WHERE m.meter <> 7) AS t FROM energy.meters m JOIN health.stays s ON s.home = m.home",
            true,
        ),
        ("SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE kwh > 40) AS m FROM energy.meters", false),
        // two homes have no kwh, which no question has chosen
        (
            "SELECT COUNT(*) AS n, SUM(2 * kwh) AS s, AVG(kwh * meter) AS a, SUM(COALESCE(kwh, 0) + 1) AS m, \
             SUM(CAST(kwh AS DECIMAL(9, 2)) / NULLIF(zone, 0)) AS q FROM energy.meters",
            false,
        ),
        (
            "SELECT COUNT(*) FILTER (WHERE zone < 4) AS n, AVG(kwh) FILTER (WHERE zone < 4) AS a, SUM(CASE WHEN zone < 4 THEN 2 * kwh ELSE 0 END) AS s \
             FROM energy.meters",
            false,
        ),
        (
            "SELECT COUNT(*) FILTER (WHERE m.zone < 4) AS n, AVG(m.kwh) FILTER (WHERE m.zone < 4) AS a, SUM(m.kwh * m.meter) AS s \
             FROM energy.meters m JOIN health.stays s ON s.home = m.home",
            false,
        ),
        (
            "SELECT SUM(h.s) AS s, COUNT(*) AS n, AVG(h.s) AS a FROM (SELECT home, zone, SUM(kwh) AS s FROM energy.meters GROUP BY home, zone) h \
             WHERE h.zone < 4",
            false,
        ),
    ] {
        let cells = told(&pool, sql, 3);
        assert_eq!(clash(&cells, &cells, 3), found, "{sql}");
    }
}

#[test]
fn what_no_contract_protects_has_no_cells() {
    let pool = city().pool();
    assert!(told(&pool, ALL, 1).is_empty());
    let plan = pool.plan(ALL).unwrap_or_else(|e| panic!("{e}"));
    assert!(pool.cells(&plan, "energy").unwrap_or_else(|e| panic!("{e}")).is_empty());
}

/// Whatever CASEs, conditions and functions they are made of.
#[test]
fn rows_of_random_questions_are_followed() {
    let pool = super::super::town::town();
    let tables = pool.catalog.tables().iter().filter(|table| table.owner().is_some());
    let protection = Protection {
        min_group: 2,
        dominance_pct: 100,
        datasets: tables.map(|table| (table.name.clone(), Protected::default())).collect(),
        noise: None,
    };
    let mut asked = 0;
    for sql in (1..=200).map(super::super::random::question) {
        // some ask for what cannot be counted
        let Ok(plan) = pool.protected(&sql, &protection) else { continue };
        asked += 1;
        for party in super::super::town::PARTIES {
            pool.cells(&plan, party).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        }
    }
    assert!(asked > 50, "{asked} questions");
}

/// All questions of the scenarios, one after the other, of people's records in groups of at least ten.
#[test]
fn questions_of_the_city_are_not_taken_for_attacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    scenarios::generate(&data, scenarios::DEMO_SEED).expect("generated");
    let pool = super::super::city::pool(&data, folder.path());
    let keys = [
        ("transport.green_trips", "trip_id"),
        ("energy.buildings", "building_id"),
        ("energy.graded_buildings", "bbl"),
        ("health.inspections", "camis"),
        ("health.restaurants", "camis"),
    ];
    let data = |key: &str| Protected { entity_keys: [key.to_owned()].into(), ..Protected::default() };
    let protection = Protection {
        min_group: 10,
        dominance_pct: 100,
        datasets: keys.iter().map(|(table, key)| ((*table).to_owned(), data(key))).collect(),
        noise: None,
    };
    let mut before: BTreeMap<String, Vec<(&str, Cell)>> = BTreeMap::new();
    let (mut asked, mut found) = (0, Vec::new());
    for question in scenarios::questions() {
        // some ask for what cannot be counted
        let Ok(plan) = pool.protected(question.sql, &protection) else { continue };
        asked += 1;
        for party in scenarios::PARTIES {
            for (dataset, cells) in pool.cells(&plan, party).unwrap_or_else(|e| panic!("{}: {e}", question.id)) {
                let known = before.entry(dataset.clone()).or_default();
                for (at, cell) in cells.iter().enumerate() {
                    let others = known.iter().map(|(id, cell)| (*id, cell)).chain(cells[..at].iter().map(|cell| (question.id, cell)));
                    for (id, other) in others.filter(|(_, other)| cell.near(other, 10)) {
                        let (a, b) = ((cell.sort, cell.of.len()), (other.sort, other.of.len()));
                        found.push(format!("{} and {id}, of {dataset}, {a:?} and {b:?}", question.id));
                    }
                }
                known.extend(cells.into_iter().map(|cell| (question.id, cell)));
            }
        }
    }
    assert!(asked > 9 && before.values().map(Vec::len).sum::<usize>() > 50, "{asked} questions");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
