//! Questions beyond all bounds.

use super::*;

#[track_caller]
fn refused(sql: &str, says: &str) {
    let error = compile(sql, &nyc()).expect_err("refused");
    assert!(error.code == Code::TooLarge && error.line.is_some() && error.to_string().contains(says), "{error:?}");
}

#[test]
fn what_grows_without_end_is_refused_before_it_is_walked() {
    let branch = "SELECT trips FROM transport.fhv_daily";
    let union = vec![branch; 400].join(" UNION ALL ");
    refused(&format!("SELECT SUM(trips) FROM ({union})"), "one below the other");
    refused(&format!("SELECT SUM(trips{}) FROM transport.fhv_daily", "+1".repeat(400)), "one inside the other");
    let or = vec!["trips = 7"; 650].join(" OR ");
    refused(&format!("SELECT SUM(trips) FROM transport.fhv_daily WHERE {or}"), "one inside the other");
    // 3^12 readings of the first
    let ctes = (1..12).map(|i| format!("c{i} AS (SELECT a.n FROM c{0} a, c{0} b, c{0} c)", i - 1)).collect::<Vec<_>>().join(", ");
    refused(&format!("WITH c0 AS (SELECT SUM(trips) AS n FROM transport.fhv_daily), {ctes} SELECT n FROM c11"), "each reading of a CTE");
}
