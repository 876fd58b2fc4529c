//! What is refused, in which words and where. A changed message changes this file.

use super::{Code, compile, nyc};

/// Both owners' rows by zone.
const BOTH: &str = "FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta";

const CASES: &[(&str, Code, &str)] = &[
    ("", Code::Sql, "the query is empty: ask one SELECT (WITH … SELECT …)"),
    ("SELEC 1", Code::Sql, "1:1: Expected: an SQL statement, found: SELEC: correct the SQL"),
    ("SELECT COUNT(* FROM health.covid", Code::Sql, "1:16: Expected: ), found: FROM: correct the SQL"),
    ("SELECT COUNT(*) FROM health.covid WHERE grade = 'A", Code::Sql, "1:49: Unterminated string literal: correct the SQL"),
    ("DELETE FROM health.covid", Code::Sql, "1:1: only a SELECT can be asked: ask one SELECT (WITH … SELECT …)"),
    ("SELECT COUNT(*) FROM health.covid; SELECT 1", Code::Sql, "1:36: more than one statement: ask one SELECT (WITH … SELECT …)"),
    (
        "SELECT COUNT(*) FROM health.covid TABLESAMPLE BERNOULLI (10)",
        Code::Unsupported,
        "1:35: TABLESAMPLE is not supported: leave it out: a question is about whole tables",
    ),
    (
        "SELECT COUNT(*) FROM health.covid PARTITION (p0)",
        Code::Unsupported,
        "1:35: PARTITION of a table is not supported: leave it out: a question is about whole tables",
    ),
    ("VALUES (1)", Code::Unsupported, "1:1: VALUES as a question is not supported: select from the tables of the catalogue"),
    (
        "SELECT COUNT(*) INTO x FROM health.covid",
        Code::Unsupported,
        "1:17: SELECT INTO is not supported: leave INTO out: the answer is returned",
    ),
    (
        "SELECT COUNT(*) FROM health.covid FOR UPDATE",
        Code::Unsupported,
        "1:35: FOR UPDATE / FOR SHARE is not supported: leave it out: a question changes nothing",
    ),
    (
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t",
        Code::Unsupported,
        "1:6: WITH RECURSIVE is not supported: write the steps out as ordinary CTEs",
    ),
    (
        "SELECT COUNT(*)\nFROM health.patients",
        Code::Sql,
        "2:6: there is no table health.patients; the catalogue has energy.buildings, energy.demand, energy.grades, health.covid, health.inspections, health.uhf42_indicators, public.days, public.zones, transport.fhv_daily, transport.green_trips: correct the SQL",
    ),
    (
        "SELECT SUM(c.covid_death)\nFROM health.covid c",
        Code::Sql,
        "1:12: there is no column c.covid_death: there are c.modzcta, c.uhf42, c.borough, c.population, c.covid_cases, c.covid_deaths, c.grade",
    ),
    (
        "SELECT COUNT(modzcta) {both}",
        Code::Sql,
        "1:14: the column modzcta is in more than one relation: write the relation before it, as in t.column",
    ),
    ("SELECT FOO(covid_deaths) FROM health.covid", Code::Sql, "1:8: Invalid function 'foo'.: correct the SQL"),
    (
        "SELECT COUNT(*) FROM generate_series(1, 10)",
        Code::Sql,
        "1:22: the table function 'generate_series' is not supported; select from the tables of the catalogue: correct the SQL",
    ),
    (
        "SELECT borough, COUNT(*) FROM health.covid",
        Code::Sql,
        "1:8: Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"health.covid.borough\" must appear in the GROUP BY clause or must be part of an aggregate function, currently only \"count(Int64(1))\" appears in the SELECT clause satisfies this requirement: correct the SQL",
    ),
    (
        "SELECT COUNT(*) FROM health.covid WHERE covid_deaths > $1",
        Code::Unsupported,
        "1:56: the parameter $1 has no value: write the value itself into the query",
    ),
    (
        "SELECT COUNT(*) FROM transport.fhv_daily WHERE date > now()",
        Code::Unsupported,
        "1:55: now() has another value at every node and at every time: write the value itself, a date for instance, into the query",
    ),
    (
        "SELECT SUM(random()) FROM health.covid",
        Code::Unsupported,
        "1:12: random() has another value at every node and at every time: write the value itself, a date for instance, into the query",
    ),
    (
        "SELECT modzcta, covid_deaths FROM health.covid",
        Code::Unsupported,
        "1:1: the answer would show rows of the private table health.covid: aggregate: SELECT COUNT(*), SUM(…), AVG(…) …; or have its owner declare release = \"rows\" in the catalogue",
    ),
    (
        "SELECT c.modzcta, c.covid_deaths + g.score {both}",
        Code::Unsupported,
        "1:1: the answer would show rows of the private table energy.grades, health.covid: aggregate: SELECT COUNT(*), SUM(…), AVG(…) …; or have its owner declare release = \"rows\" in the catalogue",
    ),
    (
        "SELECT borough FROM public.zones",
        Code::Unsupported,
        "1:1: the query reads no private table, and every node holds the public ones as files: read those files, or ask about a private table",
    ),
    (
        "SELECT base, COUNT(*)\nFROM transport.fhv_daily\nGROUP BY base",
        Code::Unsupported,
        "3:10: the group key transport.fhv_daily.base is private: which of its values occur would be seen in the answer: group by a public table's column, a column with a domain or dictionary in the catalogue, or a condition; or have the owner declare release = \"rows\"",
    ),
    (
        "SELECT COUNT(*) FROM transport.green_trips t JOIN health.covid c ON t.pu_modzcta = c.modzcta",
        Code::Unsupported,
        "1:22: transport.green_trips has many rows for each pu_modzcta and is joined row by row with another owner's relation: aggregate it with GROUP BY pu_modzcta in a sub-query first",
    ),
    (
        "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON c.covid_deaths = g.score",
        Code::Unsupported,
        "1:61: the join key c.covid_deaths is private to health: join owners on columns that have the same public domain in the catalogue",
    ),
    (
        "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON c.covid_deaths > g.score",
        Code::Unsupported,
        "1:42: energy.grades is joined with another owner's relation without a key that both have: join on columns that have the same public domain in the catalogue, as in ON a.zone = b.zone",
    ),
    (
        "SELECT COUNT(*) FROM health.covid c CROSS JOIN energy.grades g",
        Code::Unsupported,
        "1:48: energy.grades is joined with another owner's relation without a key that both have: join on columns that have the same public domain in the catalogue, as in ON a.zone = b.zone",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT pu_modzcta AS z, COUNT(*) AS n FROM transport.green_trips GROUP BY 1) t LEFT JOIN energy.grades g ON g.modzcta = t.z",
        Code::Unsupported,
        "1:66: z of transport.green_trips may be NULL, and no row of the joint stage stands for NULL: add WHERE z IS NOT NULL to the sub-query",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT base, SUM(trips) AS n FROM transport.fhv_daily GROUP BY base) t JOIN energy.grades g ON g.score = t.n",
        Code::Unsupported,
        "1:57: the key base of transport.fhv_daily is not drawn from a public domain: aggregate by a column that has a domain in the catalogue, or declare domain = \"…\" for the key",
    ),
    (
        "SELECT COUNT(*) FROM health.covid c WHERE c.modzcta NOT IN (SELECT b.modzcta FROM energy.buildings b)",
        Code::Unsupported,
        "1:57: NOT IN (sub-query) with a key that may be NULL over several owners' data is not supported: write NOT EXISTS (SELECT 1 … WHERE key = key), or add WHERE key IS NOT NULL",
    ),
    (
        "SELECT c.borough, SUM(g.score) {both}\nGROUP BY c.borough\nHAVING SUM(g.score) > 100",
        Code::Unsupported,
        "3:1: a condition on aggregates (HAVING) over several owners' data is not supported: release the aggregate and drop the rows you do not need, or put the condition into a sub-query of one owner",
    ),
    (
        "SELECT SUM(g.score) {both} GROUP BY c.borough ORDER BY 1 LIMIT 3",
        Code::Unsupported,
        "1:117: LIMIT over several owners' data is not supported: do it in a sub-query of one owner, or to the answer",
    ),
    (
        "SELECT c.borough, SUM(g.score) {both} GROUP BY c.borough OFFSET 2",
        Code::Unsupported,
        "1:117: OFFSET over several owners' data is not supported: do it in a sub-query of one owner, or to the answer",
    ),
    (
        "SELECT DISTINCT c.grade {both}",
        Code::Unsupported,
        "1:8: DISTINCT over several owners' data is not supported: write GROUP BY with the public key",
    ),
    (
        "SELECT RANK() OVER (ORDER BY c.covid_deaths) {both}",
        Code::Unsupported,
        "1:8: the window function rank() over several owners' data is not supported: do it in a sub-query of one owner, or to the answer",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT modzcta FROM health.covid UNION ALL SELECT modzcta FROM energy.grades)",
        Code::Unsupported,
        "1:56: UNION over several owners' data is not supported: ask two questions, or join the owners' sub-queries on a key",
    ),
    (
        "SELECT c.borough, COUNT(g.score) {both} GROUP BY ROLLUP (c.borough)",
        Code::Unsupported,
        "1:109: ROLLUP, CUBE and GROUPING SETS are not supported: ask one question for each grouping",
    ),
    (
        "SELECT AVG(s) FROM (SELECT c.borough, SUM(c.covid_deaths + g.score) AS s {both} GROUP BY c.borough)",
        Code::Unsupported,
        "1:1: an aggregate over the result of a joint aggregate is not supported: aggregate once, over the joined sub-queries of the owners",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT SUM(c.covid_deaths + g.score) AS s {both} GROUP BY c.borough) x JOIN health.covid h ON h.covid_deaths = x.s",
        Code::Unsupported,
        "1:153: a join with the result of a joint aggregate is not supported: join the owners' sub-queries first and aggregate once",
    ),
    (
        "SELECT MEDIAN(c.covid_deaths + g.score) {both}",
        Code::Unsupported,
        "1:8: the aggregate MEDIAN() over several owners' data is not supported: use COUNT, SUM, AVG, VAR_SAMP, STDDEV, CORR or COVAR, or compute it in a sub-query of one owner",
    ),
    (
        "SELECT\n  MAX(c.covid_deaths)\n{both}",
        Code::Unsupported,
        "2:3: the aggregate MAX() over several owners' data is not supported: use COUNT, SUM, AVG, VAR_SAMP, STDDEV, CORR or COVAR, or compute it in a sub-query of one owner",
    ),
    (
        "SELECT STRING_AGG(c.grade, ',') {both}",
        Code::Unsupported,
        "1:8: the aggregate STRING_AGG() over several owners' data is not supported: use COUNT, SUM, AVG, VAR_SAMP, STDDEV, CORR or COVAR, or compute it in a sub-query of one owner",
    ),
    (
        "SELECT COUNT(DISTINCT c.grade) {both}",
        Code::Unsupported,
        "1:14: COUNT(DISTINCT …) over several owners' data is not supported: count distinct values in a sub-query of one owner",
    ),
    (
        "SELECT SUM(c.covid_deaths / g.score) {both}",
        Code::Unsupported,
        "1:12: c.covid_deaths / g.score: a division across owners (energy, health) cannot be computed on shares: divide at one owner, or divide sums: SUM(a)/SUM(b) is finished at the planner",
    ),
    (
        "SELECT SUM(c.covid_deaths % g.score) {both}",
        Code::Unsupported,
        "1:12: c.covid_deaths % g.score: a remainder across owners (energy, health) cannot be computed on shares: divide at one owner, or divide sums: SUM(a)/SUM(b) is finished at the planner",
    ),
    (
        "SELECT COUNT(*) {both} WHERE c.covid_deaths * g.score > 100",
        Code::Unsupported,
        "1:89: c.covid_deaths * g.score > 100: a product of private values of energy and health inside a comparison: multiply at one owner, or compare the factors",
    ),
    (
        "SELECT COUNT(*) {both} WHERE c.covid_deaths + CASE WHEN c.population > g.score THEN 1 ELSE 2 END > g.score",
        Code::Unsupported,
        "1:89: c.covid_deaths + CASE WHEN g.score < c.population THEN 1 ELSE 2 END > g.score: a CASE with conditions of several owners (energy, health) inside arithmetic that is compared: compare inside the branches of the CASE",
    ),
    (
        "SELECT COUNT(*) {both} WHERE SQRT(c.covid_deaths) > g.score",
        Code::Unsupported,
        "1:94: sqrt(c.covid_deaths) is DOUBLE and cannot be computed with across owners; only INT, BIGINT, DECIMAL and DATE can: write CAST(sqrt(c.covid_deaths) AS DECIMAL(p, s)) with the digits you need",
    ),
    (
        "SELECT COUNT(*) {both} WHERE c.grade LIKE g.grade",
        Code::Unsupported,
        "1:97: LIKE over values of several owners (energy, health) cannot be computed on shares: evaluate it in a sub-query of one owner",
    ),
    (
        "SELECT COUNT(*) {both} WHERE ABS(c.covid_deaths - g.score) > 3",
        Code::Unsupported,
        "1:89: the function abs() over values of several owners (energy, health) cannot be computed on shares: evaluate it in a sub-query of one owner",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections i JOIN energy.buildings b ON i.violation_code = b.property_type",
        Code::Unsupported,
        "1:22: the key record_id of health.inspections is not drawn from a public domain: aggregate by a column that has a domain in the catalogue, or declare domain = \"…\" for the key",
    ),
    (
        "SELECT SUM(SQRT(covid_deaths)) FROM health.covid",
        Code::Unsupported,
        "1:17: sqrt(health.covid.covid_deaths) is DOUBLE and cannot be shared as a number; only INT, BIGINT and DECIMAL can: write CAST(sqrt(health.covid.covid_deaths) AS DECIMAL(p, s)) with the digits you need",
    ),
    (
        "SELECT AVG(CAST(c.covid_deaths AS DOUBLE) + g.score) {both}",
        Code::Unsupported,
        "1:17: CAST(c.covid_deaths AS DOUBLE) is DOUBLE and cannot be shared as a number; only INT, BIGINT, DECIMAL and DATE can: write CAST(CAST(c.covid_deaths AS DOUBLE) AS DECIMAL(p, s)) with the digits you need",
    ),
    (
        "SELECT CORR(c.covid_cases, e.x) FROM health.covid c JOIN (SELECT modzcta, AVG(gfa_ft2) AS x FROM energy.buildings GROUP BY 1) e ON e.modzcta = c.modzcta",
        Code::Unsupported,
        "1:28: e.x is DOUBLE and cannot be shared as a number; only INT, BIGINT, DECIMAL and DATE can: write CAST(e.x AS DECIMAL(p, s)) with the digits you need",
    ),
    (
        "SELECT SUM(CAST(c.covid_deaths * 0.5 + g.score AS INT)) {both}",
        Code::Unsupported,
        "1:17: CAST(c.covid_deaths * 0.5 + g.score AS INT): digits of a value of several owners (energy, health) cannot be rounded off on shares: round at one owner, or after aggregating",
    ),
    (
        "SELECT c.covid_deaths, COUNT(g.score) {both} GROUP BY c.covid_deaths",
        Code::Unsupported,
        "1:114: the group key c.covid_deaths is private to health and its values are not public: group by a public key, by a column with a dictionary in the catalogue, or by a condition",
    ),
    (
        "SELECT c.covid_deaths + g.score, COUNT(*) {both} GROUP BY 1",
        Code::Unsupported,
        "1:8: the group key c.covid_deaths + g.score is a number of several owners (energy, health): group by a public key or by a condition",
    ),
    (
        "SELECT g.modzcta, COUNT(*) FROM public.zones z JOIN health.covid c ON c.modzcta = z.modzcta LEFT JOIN energy.grades g ON g.modzcta = z.modzcta GROUP BY g.modzcta",
        Code::Unsupported,
        "1:153: the group key g.modzcta is NULL in rows that private data decide on: group by the key of the relation whose rows are kept",
    ),
    (
        "SELECT SUM(c.covid_cases * c.covid_cases) {both}",
        Code::Width,
        "1:12: c.covid_cases * c.covid_cases can leave its type INT: CAST the operands of c.covid_cases * c.covid_cases to DECIMAL(38, s), or to fewer digits",
    ),
    (
        "SELECT VAR_SAMP(CAST(c.covid_cases AS DECIMAL(38, 15)) + g.score) {both}",
        Code::Width,
        "1:22: c.covid_cases + g.score × c.covid_cases + g.score does not fit 127 bits: CAST to fewer digits, or divide the unit (thousands, for instance)",
    ),
    (
        "SELECT SUM(gfa_ft2 * site_energy_mmbtu) FROM energy.buildings",
        Code::Width,
        "1:12: sum of energy.buildings.gfa_ft2 * energy.buildings.site_energy_mmbtu can leave its type BIGINT: CAST what is summed to DECIMAL(38, s)",
    ),
    (
        "SELECT 5",
        Code::Unsupported,
        "1:1: the query reads no private table, and every node holds the public ones as files: read those files, or ask about a private table",
    ),
    (
        "SELECT SUM(c.covid_deaths + b.x) FROM health.covid c JOIN (SELECT modzcta, SUM(gfa_ft2 * 1000000) AS x FROM energy.buildings GROUP BY 1) b ON b.modzcta = c.modzcta",
        Code::Width,
        "1:12: sum of c.covid_deaths + b.x can leave its type BIGINT: CAST what is summed to DECIMAL(38, s)",
    ),
    (
        "SELECT COUNT(*) {both} WHERE c.covid_deaths > (SELECT AVG(score) FROM energy.grades)",
        Code::Unsupported,
        "1:130: (SELECT …) is DOUBLE and cannot be computed with across owners; only INT, BIGINT, DECIMAL and DATE can: write CAST((SELECT …) AS DECIMAL(p, s)) with the digits you need",
    ),
    (
        "SELECT SUM(grade) FROM health.covid",
        Code::Sql,
        "1:8: SUM() does not take STRING: give it an argument of another type, with TRY_CAST(… AS …) if need be",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections WHERE date > DATE '2015-13-45'",
        Code::Sql,
        "1:59: '2015-13-45' is not a value of type DATE: write a day of the calendar, as in DATE '2024-01-31'",
    ),
    ("SELECT COUNT(*) FROM health.inspections\nWHERE score > 'abc'", Code::Sql, "2:15: 'abc' is not a value of type INT: write a number"),
    (
        "SELECT modzcta, COUNT(*) AS n FROM health.inspections GROUP BY modzcta ORDER BY n FETCH FIRST 3 ROWS ONLY",
        Code::Unsupported,
        "1:83: not supported: FETCH clause is not supported yet: write it another way",
    ),
    (
        "SELECT TOP 3 modzcta, COUNT(*) AS n FROM health.inspections GROUP BY modzcta",
        Code::Unsupported,
        "1:8: not supported: TOP: write it another way",
    ),
    (
        "SELECT modzcta, GROUPING(modzcta), COUNT(*) AS n FROM health.inspections GROUP BY ROLLUP (modzcta)",
        Code::Unsupported,
        "1:83: ROLLUP, CUBE and GROUPING SETS are not supported: ask one question for each grouping",
    ),
    (
        "SELECT COUNT(*) FROM '/etc/hosts'",
        Code::Sql,
        "1:22: there is no table /etc/hosts; the catalogue has energy.buildings, energy.demand, energy.grades, health.covid, health.inspections, health.uhf42_indicators, public.days, public.zones, transport.fhv_daily, transport.green_trips: correct the SQL",
    ),
];

#[test]
fn every_refusal_names_the_construct_its_place_and_a_way_out() {
    let catalog = nyc();
    let mut wrong = String::new();
    for (sql, code, expected) in CASES {
        let sql = sql.replace("{both}", BOTH);
        let found = match compile(&sql, &catalog) {
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
