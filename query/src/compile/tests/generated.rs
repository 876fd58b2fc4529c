//! Whatever is typed, compiling ends in a plan or an error, always the same.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Catalog, Code, compile, nyc};

static CATALOG: LazyLock<Catalog> = LazyLock::new(nyc);

const SEEDS: &[&str] = &[
    "SELECT z.borough, SUM(t.n) FROM public.zones z LEFT JOIN (SELECT pu_modzcta, COUNT(*) AS n FROM transport.green_trips GROUP BY 1) t ON t.pu_modzcta = z.modzcta JOIN health.covid c ON c.modzcta = z.modzcta GROUP BY z.borough ORDER BY 2",
    "SELECT COUNT(*), CORR(c.covid_deaths, g.score) FROM health.covid c JOIN energy.grades g ON c.modzcta = g.modzcta WHERE c.covid_deaths > g.score + 3 OR NOT (g.grade = 'A' AND c.grade IS NULL)",
    "SELECT g.grade, AVG(CASE WHEN c.covid_deaths BETWEEN 1 AND g.score THEN c.covid_cases ELSE 0 END) FROM health.covid c FULL JOIN energy.grades g USING (modzcta) GROUP BY g.grade",
    "WITH a AS (SELECT date, SUM(trips) AS n FROM transport.fhv_daily GROUP BY date) SELECT d.weekday, VAR_SAMP(a.n), SUM(e.mw) FROM public.days d JOIN a ON a.date = d.day JOIN energy.demand e ON e.day = d.day GROUP BY d.weekday",
    "SELECT pu_modzcta, MEDIAN(fare_usd), COUNT(DISTINCT passengers) FROM transport.green_trips GROUP BY pu_modzcta HAVING COUNT(*) > 3 LIMIT 5",
];

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "NULL",
    "NOT",
    "(",
    ")",
    ",",
    "*",
    "/",
    "%",
    "-",
    "=",
    "<",
    "0",
    "1.5",
    "1e30",
    "'A'",
    "c.covid_deaths",
    "g.score",
    "z.population",
    "CASE WHEN",
    "END",
    "SUM(",
    "MAX(",
    "OVER ()",
    "LIMIT 1",
    "DISTINCT",
    "UNION ALL",
    "IN",
    "EXISTS",
    "CAST(",
    "AS DECIMAL(38, 10))",
    "::INT",
    "IS DISTINCT FROM",
    "LIKE",
    "INTERVAL '1 day'",
    "9223372036854775807",
    "DATE '2015-01-01'",
    "LATERAL",
    "UNNEST",
    "[1]",
    "$1",
    "\"",
    "'",
    "--",
    "\u{0}",
    "é",
];

fn settles(sql: &str) -> Result<(), TestCaseError> {
    let first = compile(sql, &CATALOG);
    match (&first, compile(sql, &CATALOG)) {
        (Ok(a), Ok(b)) => prop_assert_eq!(a.hash(), b.hash()),
        (Err(a), Err(b)) => prop_assert_eq!(a, &b),
        _ => prop_assert!(false, "compiles only sometimes"),
    }
    if let Err(e) = first {
        prop_assert!(!e.message.is_empty() && !e.fix.is_empty());
        prop_assert!(e.code != Code::Internal, "{sql}\n{e}");
        prop_assert!(e.line.is_some() || sql.trim().is_empty(), "no place: {sql}\n{e}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_text(sql in ".{0,200}") {
        settles(&sql)?;
    }

    #[test]
    fn mutated_questions(seed in 0..SEEDS.len(), edits in prop::collection::vec((any::<prop::sample::Index>(), 0..WORDS.len(), 0..3usize), 1..5)) {
        let mut words: Vec<&str> = SEEDS[seed].split(' ').collect();
        for (at, word, kind) in edits {
            let at = at.index(words.len());
            match kind {
                0 => words[at] = WORDS[word],
                1 => words.insert(at, WORDS[word]),
                _ if words.len() > 1 => drop(words.remove(at)),
                _ => {}
            }
        }
        settles(&words.join(" "))?;
    }

    #[test]
    fn swapped_words(a in 0..SEEDS.len(), b in 0..SEEDS.len(), cut in any::<prop::sample::Index>(), join in any::<prop::sample::Index>()) {
        let (a, b): (Vec<&str>, Vec<&str>) = (SEEDS[a].split(' ').collect(), SEEDS[b].split(' ').collect());
        let sql = a[..cut.index(a.len())].iter().chain(&b[join.index(b.len())..]).copied().collect::<Vec<_>>().join(" ");
        settles(&sql)?;
    }
}

#[test]
fn deep_and_long_texts_are_refused() {
    let deep = format!("SELECT {}1{} FROM health.covid", "(".repeat(500), ")".repeat(500));
    let long = format!("SELECT COUNT(*) FROM health.covid WHERE {}", vec!["covid_deaths > 1"; 3000].join(" AND "));
    let chain = format!("SELECT SUM(covid_deaths{}) FROM health.covid", " + 1".repeat(1500));
    let huge = format!("SELECT COUNT(*) FROM health.covid WHERE grade = '{}'", "x".repeat(70_000));
    for sql in [deep, long, huge] {
        assert_eq!(compile(&sql, &CATALOG).unwrap_err().code, Code::Sql);
    }
    let _ = compile(&chain, &CATALOG);
}
