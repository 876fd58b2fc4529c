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
    (
        "SELECT COUNT(*) FROM health.covid LIMIT -1",
        Code::Unsupported,
        "1:35: LIMIT of what is no number of rows is not supported: write how many rows there may be",
    ),
    (
        "SELECT COUNT(*) FROM health.covid LIMIT (SELECT COUNT(*) FROM health.covid)",
        Code::Unsupported,
        "1:35: LIMIT and OFFSET of what is computed are not supported: write a number",
    ),
    ("SELECT COUNT(*) FROM health.covid FETCH FIRST 3 ROWS ONLY", Code::Unsupported, "1:35: FETCH is not supported: write LIMIT"),
    (
        "SELECT COUNT(*) FROM health.covid WHERE borough COLLATE \"C\" = 'x'",
        Code::Unsupported,
        "1:49: COLLATE is not supported: leave it out: texts are ordered by their bytes",
    ),
    (
        "SELECT COUNT(*) FROM health.covid WHERE borough SIMILAR TO 'B%'",
        Code::Unsupported,
        "1:49: SIMILAR TO is not supported: write LIKE, or REGEXP_LIKE(text, pattern)",
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
        "3:10: the group key transport.fhv_daily.base is private: which of its values occur would be seen in the answer: group by public tables' columns and columns with a domain, or by keys that can have 4096 tuples of values at most (a dictionary, a condition, a narrow range); or have the owner declare release = \"rows\"",
    ),
    (
        "SELECT MAX(t.n - g.score) FROM (SELECT base, SUM(trips) AS n FROM transport.fhv_daily GROUP BY base) t JOIN energy.grades g ON g.score = t.n",
        Code::Unsupported,
        "1:128: neither energy.grades nor transport.fhv_daily is known to have one row for each key (g.score = t.n), and 177 × 100000 places are too many pairs: aggregate one with GROUP BY the key in a sub-query first, or declare in the catalogue the key of one of them, or in how many rows a key is at most (repeats)",
    ),
    (
        "SELECT COUNT(*) FROM transport.fhv_daily f JOIN energy.grades g ON f.trips < g.score",
        Code::Unsupported,
        "1:44: energy.grades (177 places) and transport.fhv_daily (100000 places) are joined without an equality of columns: 17700000 pairs: join them on equal keys",
    ),
    (
        "SELECT MAX(f.trips - g.score) FROM transport.fhv_daily f, energy.grades g",
        Code::Unsupported,
        "1:31: energy.grades (177 places) and transport.fhv_daily (100000 places) are joined without an equality of columns: 17700000 pairs: join them on equal keys",
    ),
    (
        "SELECT DISTINCT c.grade {both}",
        Code::Unsupported,
        "1:1: the answer would show rows of the private table energy.grades, health.covid: aggregate: SELECT COUNT(*), SUM(…), AVG(…) …; or have its owner declare release = \"rows\" in the catalogue",
    ),
    (
        "SELECT RANK() OVER (ORDER BY c.covid_deaths) {both}",
        Code::Unsupported,
        "1:1: the answer would show rows of the private table energy.grades, health.covid: aggregate: SELECT COUNT(*), SUM(…), AVG(…) …; or have its owner declare release = \"rows\" in the catalogue",
    ),
    (
        "SELECT c.borough, COUNT(g.score) {both} GROUP BY ROLLUP (c.borough)",
        Code::Unsupported,
        "1:109: ROLLUP, CUBE and GROUPING SETS are not supported: ask one question for each grouping",
    ),
    (
        "SELECT MEDIAN(DISTINCT c.covid_deaths + g.score) {both}",
        Code::Unsupported,
        "1:24: MEDIAN(DISTINCT …) over several owners' data is not supported: take the distinct values in a sub-query",
    ),
    (
        "SELECT STRING_AGG(c.grade, ',') {both}",
        Code::Unsupported,
        "1:8: string_agg(c.grade, ','): the aggregate STRING_AGG() over private keys is not supported here: compute it in a sub-query of one owner, or use COUNT, SUM, MIN, MAX, PERCENTILE_DISC, or AVG, MEDIAN, VAR and PERCENTILE_CONT, CAST to DECIMAL(p, s); STDDEV, COVAR and CORR in the outermost SELECT",
    ),
    (
        "SELECT SUM(c.covid_deaths % g.score) {both}",
        Code::Unsupported,
        "1:12: c.covid_deaths % g.score: a remainder by what is no number in the question cannot be computed on shares: write a number instead of g.score, or, of whole numbers, c.covid_deaths - g.score * (c.covid_deaths / NULLIF(g.score, 0))",
    ),
    (
        "SELECT COUNT(*) {both} WHERE SQRT(c.covid_deaths) > g.score",
        Code::Unsupported,
        "1:94: sqrt(c.covid_deaths) is DOUBLE, which is not shared exactly: write CAST(sqrt(c.covid_deaths) AS DECIMAL(p, s)), which can be computed of AVG, MEDIAN, PERCENTILE_CONT and VAR, and of what one owner computes; of a STDDEV compare the square, VAR; anything else only in the outermost SELECT, where the planner computes it",
    ),
    (
        "SELECT COUNT(*) {both} WHERE c.grade LIKE g.grade",
        Code::Unsupported,
        "1:97: c.grade LIKE g.grade over values of several owners cannot be computed on shares: evaluate it in a sub-query of one owner",
    ),
    (
        "SELECT COUNT(*) {both} WHERE ROUND(c.covid_deaths * 0.5 - g.score, 0) > 3",
        Code::Unsupported,
        "1:89: round(c.covid_deaths * 0.5 - g.score, 0) over values of several owners cannot be computed on shares: write CAST(… AS DECIMAL(p, s)), which rounds to s digits",
    ),
    (
        "SELECT COUNT(*) {both} WHERE EXTRACT(WEEK FROM GREATEST(DATE '2020-01-01', CASE WHEN c.covid_deaths > g.score THEN DATE '2021-02-03' END)) > 3",
        Code::Unsupported,
        "1:89: date_part('WEEK', greatest(DATE '2020-01-01', CASE WHEN g.score < c.covid_deaths THEN DATE '2021-02-03' END)) over values of several owners cannot be computed on shares: evaluate it in a sub-query of one owner",
    ),
    (
        "SELECT PERCENTILE_CONT(0.1234567890123456) WITHIN GROUP (ORDER BY c.covid_deaths + g.score) {both}",
        Code::Unsupported,
        "1:67: 0.1234567890123456 is no percentile: write a number from 0 to 1 with at most 15 digits",
    ),
    (
        "SELECT COUNT(*) FROM health.inspections i JOIN energy.buildings b ON i.violation_code = b.property_type",
        Code::Width,
        "1:89: b.property_type = i.violation_code is a text of no declared length: declare max_bytes (or a dictionary) for its column in the catalogue",
    ),
    (
        "SELECT SUM(SQRT(covid_deaths)) FROM health.covid",
        Code::Unsupported,
        "1:17: sqrt(health.covid.covid_deaths) is DOUBLE, which is not shared exactly: CAST sqrt(health.covid.covid_deaths) to DECIMAL(p, s)",
    ),
    (
        "SELECT AVG(CAST(c.covid_deaths AS DOUBLE) + g.score) {both}",
        Code::Unsupported,
        "1:17: c.covid_deaths + g.score is DOUBLE, which is not shared exactly: CAST c.covid_deaths + g.score to DECIMAL(p, s)",
    ),
    (
        "SELECT CORR(c.covid_cases, e.x) FROM health.covid c JOIN (SELECT modzcta, AVG(gfa_ft2) AS x FROM energy.buildings GROUP BY 1) e ON e.modzcta = c.modzcta",
        Code::Unsupported,
        "1:13: e.x is DOUBLE, which is not shared exactly: CAST e.x to DECIMAL(p, s)",
    ),
    (
        "SELECT SUM(CAST(c.covid_deaths * 0.5 + g.score AS INT)) {both}",
        Code::Unsupported,
        "1:17: CAST(c.covid_deaths * 0.5 + g.score AS INT) over values of several owners cannot be computed on shares: evaluate it in a sub-query of one owner",
    ),
    (
        "SELECT c.covid_deaths, COUNT(g.score) {both} GROUP BY c.covid_deaths",
        Code::Unsupported,
        "1:114: the group key c.covid_deaths is private: which of its values occur would be seen in the answer: group by public tables' columns and columns with a domain, or by keys that can have 4096 tuples of values at most (a dictionary, a condition, a narrow range); or have the owner declare release = \"rows\"",
    ),
    (
        "SELECT c.covid_deaths + g.score, COUNT(*) {both} GROUP BY 1",
        Code::Unsupported,
        "1:8: the group key c.covid_deaths + g.score is private: which of its values occur would be seen in the answer: group by public tables' columns and columns with a domain, or by keys that can have 4096 tuples of values at most (a dictionary, a condition, a narrow range); or have the owner declare release = \"rows\"",
    ),
    (
        "SELECT SUM(c.covid_cases * c.covid_cases) {both}",
        Code::Width,
        "1:12: c.covid_cases * c.covid_cases can leave its type INT: CAST the operands of c.covid_cases * c.covid_cases to DECIMAL(38, s), or to fewer digits",
    ),
    (
        "SELECT VAR_SAMP(CAST(c.covid_cases AS DECIMAL(38, 15)) + g.score) {both}",
        Code::Width,
        "1:22: the sum of c.covid_cases + g.score × c.covid_cases + g.score can leave the numbers that are shared exactly: CAST it to fewer digits",
    ),
    (
        "SELECT SUM(gfa_ft2 * site_energy_mmbtu) FROM energy.buildings",
        Code::Width,
        "1:12: SUM over up to 100000 rows can leave its type BIGINT: CAST what it is made of to DECIMAL(38, s) or to fewer digits, or declare a narrower min and max in the catalogue",
    ),
    (
        "SELECT 5",
        Code::Unsupported,
        "1:1: the query reads no private table, and every node holds the public ones as files: read those files, or ask about a private table",
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
        "1:83: FETCH is not supported: write LIMIT",
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

/// Public keys do not serve these; relations over private rows do.
const BY_ROWS: &[&str] = &[
    "SELECT COUNT(*) FROM transport.green_trips t JOIN health.covid c ON t.pu_modzcta = c.modzcta",
    "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON c.covid_deaths = g.score",
    "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON c.covid_deaths > g.score",
    "SELECT COUNT(*) FROM health.covid c CROSS JOIN energy.grades g",
    "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta WHERE c.covid_deaths > (SELECT AVG(score) FROM energy.grades)",
    "SELECT COUNT(*) FROM (SELECT pu_modzcta AS z, COUNT(*) AS n FROM transport.green_trips GROUP BY 1) t LEFT JOIN energy.grades g ON g.modzcta = t.z",
    "SELECT COUNT(*) FROM health.covid c WHERE c.modzcta NOT IN (SELECT b.modzcta FROM energy.buildings b)",
    "SELECT c.borough, SUM(g.score) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta\nGROUP BY c.borough\nHAVING SUM(g.score) > 100",
    "SELECT SUM(g.score) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta GROUP BY c.borough ORDER BY 1 LIMIT 3",
    "SELECT c.borough, SUM(g.score) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta GROUP BY c.borough OFFSET 2",
    "SELECT COUNT(*) FROM (SELECT modzcta FROM health.covid UNION ALL SELECT modzcta FROM energy.grades)",
    "SELECT AVG(s) FROM (SELECT c.borough, SUM(c.covid_deaths + g.score) AS s FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta GROUP BY c.borough)",
    "SELECT COUNT(*) FROM (SELECT SUM(c.covid_deaths + g.score) AS s FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta GROUP BY c.borough) x JOIN health.covid h ON h.covid_deaths = x.s",
    "SELECT MEDIAN(c.covid_deaths + g.score) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    "SELECT SUM(DISTINCT c.covid_deaths) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    "SELECT\n  MAX(c.covid_deaths)\nFROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    "SELECT COUNT(DISTINCT c.grade) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    "SELECT SUM(c.covid_deaths / g.score) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta WHERE c.covid_deaths * g.score > 100",
    "SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta WHERE c.covid_deaths + CASE WHEN c.population > g.score THEN 1 ELSE 2 END > g.score",
    "SELECT g.modzcta, COUNT(*) FROM public.zones z JOIN health.covid c ON c.modzcta = z.modzcta LEFT JOIN energy.grades g ON g.modzcta = z.modzcta GROUP BY g.modzcta",
    "SELECT SUM(c.covid_deaths + b.x) FROM health.covid c JOIN (SELECT modzcta, SUM(gfa_ft2 * 1000000) AS x FROM energy.buildings GROUP BY 1) b ON b.modzcta = c.modzcta",
];

#[test]
fn what_frames_cannot_answer_relations_do() {
    for sql in BY_ROWS {
        let plan = super::plan(sql);
        assert!(plan.frames.is_empty() && !plan.relations.is_empty(), "{sql}");
    }
}
