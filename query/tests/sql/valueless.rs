//! What the planner computes in clear and has no value, as in SQL: which expression it is, and what to write instead, which is answered.

use super::pool::{NoAnswer, On};
use super::town::town;

const JOIN: &str = "FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil";

#[test]
fn an_expression_without_a_value_is_named_with_what_to_write_instead() {
    let town = town();
    let rows = town.clear(&format!("SELECT CAST(COUNT(*) AS VARCHAR) AS n {JOIN}")).expect("a count");
    let n = query::datafusion::arrow::util::display::array_value_to_string(rows.column(0), 0).expect("shown");
    // what is asked, the code, what is said and advised, and the question that takes it
    let cases = [
        (
            format!("100 / (COUNT(*) - {n})"),
            "E_SQL",
            format!("100 / (COUNT(*) - {n}) divides by 0 in a row of the answer, and has no value there"),
            format!("write NULLIF(COUNT(*) - {n}, 0) instead of COUNT(*) - {n} behind the `/`"),
            format!("100 / NULLIF(COUNT(*) - {n}, 0)"),
        ),
        (
            format!("SUM(p.points) % (COUNT(*) - {n})"),
            "E_SQL",
            "divides by 0".to_owned(),
            "behind the `%`".to_owned(),
            format!("SUM(p.points) % NULLIF(COUNT(*) - {n}, 0)"),
        ),
        (
            "CAST(SUM(c.weight) * 1000000 AS SMALLINT)".to_owned(),
            "E_WIDTH",
            "does not hold a value of the answer".to_owned(),
            "write TRY_CAST(".to_owned(),
            "TRY_CAST(SUM(c.weight) * 1000000 AS SMALLINT)".to_owned(),
        ),
        // within others, beside others that have values, and behind a guard that does not hold
        (
            format!("COALESCE(CASE WHEN COUNT(*) > 0 THEN 7 / (COUNT(*) - {n}) ELSE 1 / NULLIF(COUNT(*), 0) END, 0)"),
            "E_SQL",
            format!("7 / (COUNT(*) - {n}) divides by 0"),
            "NULLIF".to_owned(),
            format!("COALESCE(CASE WHEN COUNT(*) > 0 THEN 7 / NULLIF(COUNT(*) - {n}, 0) ELSE 1 / NULLIF(COUNT(*), 0) END, 0)"),
        ),
    ];
    for (value, code, says, advises, advised) in cases {
        let sql = |value: &str| format!("SELECT COUNT(*) AS rows, {value} AS value {JOIN}");
        assert!(town.clear(&sql(&value)).is_err(), "SQL has no value either: {value}");
        let plan = town.plan(&sql(&value)).unwrap_or_else(|e| panic!("{value}: {e}"));
        let ground = town.ground(&plan).unwrap_or_else(|e| panic!("{value}: {e}"));
        let Err(NoAnswer::Failed(said)) = town.answer_by(&plan, &ground, On::Plain) else { panic!("answered: {value}") };
        assert!(said.starts_with(code) && said.contains(&says) && said.contains(&advises), "{value}\n{said}");
        let checked = town.check(&sql(&advised), On::Plain);
        assert!(matches!(checked, Ok(None)), "{advised}\n{checked:?}");
    }
}
