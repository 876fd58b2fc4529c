//! What an owner computes at home cannot fail on a value: what could is refused, in the words and at the place of the query.

use super::{Code, compile, nyc, plan};

/// Refused: the query, the code, and how the message and the fix begin.
const REFUSED: &[(&str, Code, &str)] = &[
    (
        "SELECT COUNT(*) FROM energy.buildings WHERE site_energy_mmbtu / gfa_ft2 > 3",
        Code::Unsupported,
        "1:65: the divisor of energy.buildings.site_energy_mmbtu / energy.buildings.gfa_ft2 can be 0, and a failure would tell of private rows: write energy.buildings.site_energy_mmbtu / NULLIF(energy.buildings.gfa_ft2, 0)",
    ),
    (
        "SELECT COUNT(*) FROM health.covid c\nJOIN energy.grades g ON g.modzcta = c.modzcta WHERE c.covid_cases % c.covid_deaths > g.score",
        Code::Unsupported,
        "2:69: the divisor of c.covid_cases % c.covid_deaths can be 0, and a failure would tell of private rows: write c.covid_cases % NULLIF(c.covid_deaths, 0)",
    ),
    (
        "SELECT SUM(1000 / (c.covid_deaths - 5)) FROM health.covid c",
        Code::Unsupported,
        "1:20: the divisor of 1000 / (c.covid_deaths - 5) can be 0, and a failure would tell of private rows: write 1000 / NULLIF(c.covid_deaths - 5, 0)",
    ),
    (
        "SELECT SUM(CAST(violation_code AS INT)) FROM health.inspections",
        Code::Unsupported,
        "1:17: CAST(health.inspections.violation_code AS INT) can fail on some values, and a failure would tell of private rows: write TRY_CAST(health.inspections.violation_code AS INT)",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections WHERE CAST(violation_code AS DATE) > DATE '2015-01-01'",
        Code::Unsupported,
        "1:52: CAST(health.inspections.violation_code AS DATE) can fail on some values, and a failure would tell of private rows: write TRY_CAST(health.inspections.violation_code AS DATE)",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections WHERE ABS(CAST(score AS TINYINT)) > 3",
        Code::Unsupported,
        "1:56: CAST(health.inspections.score AS TINYINT) does not hold every value from -10 to 200, and a failure would tell of private rows: write TRY_CAST(health.inspections.score AS TINYINT), which is NULL for the others, or CAST it to DECIMAL(3, 0)",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections WHERE violation_code = 7",
        Code::Unsupported,
        "1:47: CAST(health.inspections.violation_code AS BIGINT) can fail on some values, and a failure would tell of private rows: write TRY_CAST(health.inspections.violation_code AS BIGINT)",
    ),
    (
        "SELECT SUM(CAST(fare_usd AS DECIMAL(4, 2))) FROM transport.green_trips",
        Code::Unsupported,
        "1:17: CAST(transport.green_trips.fare_usd AS DECIMAL(4,2)) does not hold every value from -1000.00 to 10000.00, and a failure would tell of private rows: write TRY_CAST(transport.green_trips.fare_usd AS DECIMAL(4,2)), which is NULL for the others, or CAST it to DECIMAL(7, 2)",
    ),
    (
        "SELECT SUM(CAST(SQRT(score) AS DECIMAL(9, 3))) FROM health.inspections",
        Code::Unsupported,
        "1:22: CAST(sqrt(health.inspections.score) AS DECIMAL(9,3)) can fail on some values, and a failure would tell of private rows: write TRY_CAST(sqrt(health.inspections.score) AS DECIMAL(9,3))",
    ),
    (
        "SELECT COUNT(*) FROM health.covid WHERE covid_cases * covid_cases * covid_cases > 5",
        Code::Width,
        "1:41: health.covid.covid_cases * health.covid.covid_cases can leave its type INT: CAST what it is made of to DECIMAL(38, s) or to fewer digits, or declare a narrower min and max in the catalogue",
    ),
    (
        "SELECT COUNT(*) FROM health.covid WHERE POWER(covid_deaths, -1) > 0.5",
        Code::Unsupported,
        "1:47: power(health.covid.covid_deaths, -1) can fail on some values, and a failure would tell of private rows: write constants for its other arguments, use a function that has a value everywhere, or put the result into the owner's data",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections WHERE SUBSTR(violation_code, 1, score) = 'x'",
        Code::Unsupported,
        "1:54: substr(health.inspections.violation_code, 1, health.inspections.score) can fail on some values, and a failure would tell of private rows: write constants for its other arguments, use a function that has a value everywhere, or put the result into the owner's data",
    ),
    (
        "SELECT COUNT(*) FROM health.covid WHERE covid_deaths > (SELECT score FROM energy.grades)",
        Code::Unsupported,
        "1:75: a sub-query that stands for one value can have several rows, and a failure would tell of private rows: aggregate in it, or add LIMIT 1",
    ),
];

#[test]
fn what_can_fail_on_a_value_is_refused_with_what_to_write() {
    let catalog = nyc();
    let mut wrong = String::new();
    for (sql, code, expected) in REFUSED {
        let found = match compile(sql, &catalog) {
            Ok(_) => "it compiles".to_owned(),
            Err(e) if e.code != *code => format!("{:?}: {e}", e.code),
            Err(e) => e.to_string(),
        };
        if found != *expected {
            wrong += &format!("{sql}\n  expected {expected}\n  found    {found}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_proved_to_have_a_value_is_not_refused() {
    for sql in [
        "SELECT SUM(covid_cases / population) FROM health.covid",
        "SELECT SUM(site_energy_mmbtu / NULLIF(gfa_ft2, 0)) FROM energy.buildings",
        "SELECT SUM(site_energy_mmbtu / gfa_ft2) FROM energy.buildings WHERE gfa_ft2 > 0",
        "SELECT COUNT(*) FROM energy.buildings WHERE gfa_ft2 <> 0 AND site_energy_mmbtu / gfa_ft2 > 3",
        "SELECT COUNT(*) FROM energy.buildings WHERE gfa_ft2 = 0 OR site_energy_mmbtu % gfa_ft2 = 3",
        "SELECT SUM(CASE WHEN gfa_ft2 = 0 THEN 0 ELSE site_energy_mmbtu / gfa_ft2 END) FROM energy.buildings",
        "SELECT SUM(CASE WHEN gfa_ft2 >= 10 THEN site_energy_mmbtu / gfa_ft2 END) FROM energy.buildings",
        "SELECT SUM(n / rows) FROM (SELECT modzcta, SUM(score) AS n, COUNT(*) AS rows FROM health.inspections GROUP BY modzcta)",
        "SELECT SUM(CAST(CAST(covid_cases AS DOUBLE) / population AS DECIMAL(9, 4))) FROM health.covid",
        "SELECT SUM(TRY_CAST(violation_code AS INT)) FROM health.inspections",
        "SELECT SUM(m) FROM (SELECT modzcta, CAST(MEDIAN(CAST(score AS DOUBLE)) AS DECIMAL(6, 1)) AS m FROM health.inspections GROUP BY modzcta)",
        "SELECT SUM(m) FROM (SELECT modzcta, CAST(SQRT(COUNT(*)) AS DECIMAL(9, 1)) AS m FROM health.inspections GROUP BY modzcta)",
        "SELECT COUNT(*) FROM health.inspections WHERE date + INTERVAL '3 months' > DATE '2015-01-01' AND date_trunc('month', date) = DATE '2015-02-01'",
        "SELECT COUNT(*) FROM health.inspections WHERE to_char(date, '%Y-%m') = '2015-02' AND LEFT(violation_code, 2) = '04'",
    ] {
        plan(sql);
    }
}

#[test]
fn a_division_that_a_condition_guards_runs_as_one_that_cannot_fail() {
    let plan = plan("SELECT SUM(site_energy_mmbtu / gfa_ft2) FROM energy.buildings WHERE gfa_ft2 > 0");
    assert!(plan.scans.iter().all(|s| s.plan.text().contains("nullif(energy.buildings.gfa_ft2, Int64(0))")), "{:?}", plan.scans);
}

#[test]
fn many_operators_are_checked_in_little_time() {
    let sum = format!("SELECT SUM(covid_deaths{}) FROM health.covid", " + 1".repeat(150));
    let and = format!("SELECT COUNT(*) FROM health.covid WHERE {}", vec!["covid_deaths > 1"; 300].join(" OR covid_cases = 3 AND "));
    let mut quotient = "CAST(1 AS DOUBLE)".to_owned();
    for _ in 0..7 {
        quotient = format!("CAST(covid_cases / CAST(NULLIF(CAST({quotient} AS INT), 0) AS DOUBLE) AS DOUBLE)");
    }
    for sql in [sum, and, format!("SELECT COUNT(*) FROM health.covid WHERE {quotient} > 1")] {
        let _ = compile(&sql, &nyc());
    }
}
