//! Joins of many rows with many: expanded to the pairs that the catalogue bounds, or folded on one side first.

use super::pool::{On, Pool};
use std::fmt::Write;

const CATALOG: &str = r#"
version = 1
[[table]]
name = "transport.trips"
max_rows = 420
release = "rows"
column = [
    { name = "person", type = "INT", min = 1, max = 100000, repeats = 2 },
    { name = "zone", type = "INT", min = 1, max = 5, nullable = false },
    { name = "fare", type = "DECIMAL(7,2)", min = 0, max = 500 },
]
[[table]]
name = "health.visits"
max_rows = 410
release = "rows"
column = [
    { name = "person", type = "INT", min = 1, max = 100000, repeats = 3 },
    { name = "kind", type = "STRING", dictionary = ["acute", "check", "other"] },
    { name = "cost", type = "INT", min = -50, max = 900, nullable = false },
]
[[table]]
name = "energy.homes"
max_rows = 30
key = ["person"]
column = [{ name = "person", type = "INT", min = 1, max = 100000, nullable = false }, { name = "rooms", type = "INT", min = 1, max = 9 }]
[[table]]
name = "energy.meters"
max_rows = 30
column = [{ name = "person", type = "INT", min = 1, max = 100000, nullable = false }, { name = "kwh", type = "INT", min = 0, max = 9999 }]
"#;

/// Every person of the one table has up to so many rows there; half of them are in the other; some rows have no person.
fn pool() -> Pool {
    let mut pool = Pool::new(["transport", "health", "energy"], CATALOG).expect("a catalogue");
    let (mut trips, mut visits, mut meters) =
        (String::from("person,zone,fare\n"), String::from("person,kind,cost\n"), String::from("person,kwh\n"));
    for row in 0..400_u32 {
        let person = if row % 37 == 0 { String::new() } else { (1 + row / 2).to_string() };
        writeln!(trips, "{person},{},{}", 1 + row % 5, if row % 11 == 0 { String::new() } else { format!("{}.{:02}", row, row % 100) })
            .expect("text");
        let person = if row % 41 == 0 { String::new() } else { (100 + row / 3).to_string() };
        writeln!(visits, "{person},{},{}", ["acute", "check", "other", ""][row as usize % 4], i64::from(row) - 50).expect("text");
    }
    (0..30).for_each(|row| writeln!(meters, "{},{}", 90 + row / 2, row * 31).expect("text"));
    pool.add("transport.trips", trips.as_bytes()).expect("trips");
    pool.add("health.visits", visits.as_bytes()).expect("visits");
    pool.add(
        "energy.homes",
        (0..30).fold("person,rooms\n".to_owned(), |csv, row| csv + &format!("{},{}\n", 95 + row, 1 + row % 9)).as_bytes(),
    )
    .expect("homes");
    pool.add("energy.meters", meters.as_bytes()).expect("meters");
    pool
}

const MEET: &str = "FROM transport.trips t JOIN health.visits v ON v.person = t.person";

fn agree(pool: &Pool, sql: &str, on: On) {
    match pool.check(sql, on) {
        Ok(None) => {}
        Ok(Some(refused)) => panic!("{sql}\nis refused: {refused}"),
        Err(what) => panic!("{sql}\n{what}"),
    }
}

#[test]
fn pairs_are_expanded_to_a_declared_bound() {
    let pool = pool();
    for sql in [
        format!("SELECT t.person, t.fare, v.kind, v.cost {MEET} ORDER BY t.person, t.fare, v.cost, v.kind"),
        format!("SELECT COUNT(*) AS n, SUM(CASE WHEN t.fare > v.cost THEN 1 ELSE 0 END) AS dearer {MEET} AND t.zone = 2"),
        format!("SELECT v.kind, SUM(t.fare * v.cost) AS s {MEET} GROUP BY v.kind"),
    ] {
        agree(&pool, &sql, On::Plain);
    }
    agree(&pool, &format!("SELECT t.zone, MAX(t.fare - v.cost) AS m {MEET} GROUP BY t.zone"), On::Rep3);
}

#[test]
fn what_is_summed_of_one_side_needs_no_pairs() {
    let pool = pool();
    for sql in [
        format!("SELECT COUNT(*) AS n {MEET}"),
        format!("SELECT t.zone, COUNT(*) AS n, SUM(t.fare) AS s, COUNT(t.fare) AS f, MIN(t.fare) AS least {MEET} GROUP BY t.zone"),
        format!("SELECT t.zone, SUM(v.cost) AS s, MAX(v.cost) AS m, COUNT(v.kind) AS k, SUM(t.fare) AS f {MEET} GROUP BY t.zone"),
        format!("SELECT v.kind, COUNT(*) AS n, SUM(v.cost) AS c, SUM(t.fare) AS f {MEET} GROUP BY v.kind"),
        format!("SELECT COUNT(*) FILTER (WHERE v.cost > 100) AS n, SUM(t.fare) FILTER (WHERE t.zone < 3) AS s {MEET}"),
        format!("SELECT t.zone, COUNT(*) AS n {MEET} GROUP BY t.zone ORDER BY n, t.zone LIMIT 1"),
        // one row, and none that it meets: there is one group all the same
        "SELECT COUNT(*) AS n, SUM(x.m) AS s FROM (SELECT MAX(person) + 1 AS m FROM transport.trips) x JOIN energy.homes h ON h.person = x.m".into(),
        "SELECT COUNT(*) AS n, SUM(t.fare) AS s FROM transport.trips t JOIN energy.homes h ON h.person = t.person WHERE h.rooms > 3".into(),
        "SELECT t.zone, h.rooms, COUNT(*) AS n FROM transport.trips t JOIN energy.homes h ON h.person = t.person GROUP BY t.zone, h.rooms".into(),
        format!("SELECT COUNT(DISTINCT t.zone) AS z, SUM(v.cost) AS s {MEET}"),
        "SELECT t.zone, COUNT(*) AS n, SUM(m.kwh) AS kwh FROM transport.trips t JOIN energy.meters m ON m.person = t.person GROUP BY t.zone".into(),
    ] {
        agree(&pool, &sql, On::Plain);
    }
    agree(&pool, &format!("SELECT t.zone, COUNT(*) AS n, SUM(v.cost) AS s {MEET} GROUP BY t.zone"), On::Rep3);
}

/// What falls apart into sums of either side is answered however many pairs there are.
#[test]
fn pairs_that_nobody_bounds_are_not_formed() {
    let large = CATALOG.replace("max_rows = 420", "max_rows = 100000").replace("max_rows = 410", "max_rows = 100000");
    let large = large.replace(", repeats = 2", "").replace(", repeats = 3", "");
    let town = Pool::new(["transport", "health", "energy"], &large).expect("a catalogue");
    let all = "FROM transport.trips t CROSS JOIN health.visits v";
    for sql in [
        format!("SELECT AVG(t.fare) AS a, AVG(v.cost) AS b {MEET}"),
        format!("SELECT t.zone, AVG(v.cost) AS a {MEET} GROUP BY t.zone"),
        format!("SELECT t.zone, AVG(t.fare) AS a {MEET} GROUP BY t.zone HAVING AVG(t.fare) > 12 ORDER BY a DESC LIMIT 2"),
        format!("SELECT VAR_SAMP(t.fare) AS a, STDDEV(v.cost) AS b {MEET}"),
        format!("SELECT CORR(t.fare, v.cost) AS a, COVAR_POP(v.cost, t.fare) AS b {MEET}"),
        format!("SELECT v.kind, SUM(t.fare * v.cost) AS s {MEET} GROUP BY v.kind"),
        format!("SELECT MAX(x.a) AS m FROM (SELECT t.zone, AVG(t.fare) AS a {MEET} GROUP BY t.zone) x"),
        format!("SELECT t.zone, CAST(AVG(v.cost) AS DECIMAL(9,3)) AS a {MEET} GROUP BY t.zone ORDER BY a LIMIT 2"),
        format!("SELECT COUNT(*) AS n, SUM(v.cost) AS s, AVG(t.fare) AS a, SUM(t.fare * v.cost) AS p {all}"),
        format!("SELECT t.zone, v.kind, COUNT(*) AS n, AVG(v.cost) AS a {all} GROUP BY t.zone, v.kind"),
    ] {
        if let Err(e) = town.plan(&sql) {
            panic!("{sql}\n{e}");
        }
    }
    // of a difference nothing is folded first
    let apart = format!("SELECT MAX(t.fare - v.cost) AS m {MEET}");
    assert!(town.plan(&apart).is_err_and(|e| e.to_string().contains("too many pairs")), "{apart}");
}

#[test]
fn products_of_both_sides_are_products_of_sums() {
    let pool = pool();
    for sql in [
        format!("SELECT t.zone, AVG(v.cost) AS a, AVG(t.fare) AS b, SUM(t.fare * v.cost) AS s {MEET} GROUP BY t.zone"),
        format!("SELECT CORR(t.fare, v.cost) AS a, COVAR_SAMP(t.fare, v.cost) AS b, VAR_POP(v.cost) AS c, STDDEV(t.fare) AS d {MEET}"),
        format!("SELECT v.kind, SUM(v.cost) FILTER (WHERE t.zone = 2) AS s, COUNT(t.fare * v.cost) AS n {MEET} GROUP BY v.kind"),
        format!(
            "SELECT MAX(x.a) AS m, MIN(x.b) AS l FROM (SELECT t.zone, AVG(t.fare) AS a, CAST(AVG(v.cost) AS DECIMAL(9,2)) AS b {MEET} GROUP BY t.zone) x WHERE x.b > 100"
        ),
    ] {
        agree(&pool, &sql, On::Plain);
    }
    agree(&pool, &format!("SELECT v.kind, SUM(t.fare * v.cost) AS s, AVG(t.fare) AS a {MEET} GROUP BY v.kind"), On::Rep3);
}
