//! Queries nobody would write twice: NULL where it hurts, scales that differ, guards around divisions, names that repeat.

use super::check_all;

/// Both owners' rows by zone.
const BOTH: &str = "FROM transport.stops t JOIN energy.load e ON e.zone = t.zone";

fn both(select_and_rest: &[(&str, &str)]) {
    let all: Vec<String> = select_and_rest.iter().map(|(select, rest)| format!("SELECT {select} {BOTH} {rest}")).collect();
    check_all(all.iter().map(String::as_str));
}

#[test]
fn null_is_not_a_value() {
    both(&[
        ("COUNT(t.shift) AS n, COUNT(*) AS m", "WHERE t.shift IS DISTINCT FROM 5"),
        ("COUNT(t.shift) AS n, SUM(t.shift) AS s", "WHERE t.shift IS NOT DISTINCT FROM NULL"),
        ("COUNT(*) AS n", "WHERE NOT (t.shift BETWEEN e.delta AND NULL)"),
        ("COUNT(*) AS n", "WHERE t.grade NOT IN ('A', NULL)"),
        ("COUNT(*) AS n", "WHERE (t.grade IN ('A', NULL)) IS NULL AND e.solar IS NOT FALSE"),
        ("SUM(CASE WHEN t.lift THEN e.delta END) AS a, SUM(CASE WHEN NOT t.lift THEN e.delta END) AS b", ""),
        ("COUNT(CASE WHEN t.lift OR e.solar THEN 1 END) AS n, COUNT(NULLIF(t.grade, 'A')) AS g", ""),
        ("SUM(COALESCE(t.shift, e.delta, 0)) AS s, COUNT(COALESCE(t.wait, e.price)) AS n", ""),
        ("AVG(t.shift) AS a, SUM(t.shift) AS s, VAR_SAMP(t.shift) AS v, CORR(t.shift, e.price) AS r, CORR(t.wait, e.price) AS q", ""),
    ]);
}

#[test]
fn guarded_divisions_and_casts() {
    check_all([
        "SELECT SUM(7200 / seconds) AS x FROM transport.trips WHERE seconds > 0",
        "SELECT COUNT(*) AS n FROM transport.trips WHERE seconds <> 0 AND 7200 / seconds > 3",
        "SELECT SUM(CASE WHEN severity = 0 THEN 0 ELSE 100 / severity END) AS x FROM health.visits",
        "SELECT SUM(fare / NULLIF(seconds, 0)) AS x, SUM(seconds % NULLIF(trip, 0)) AS y FROM transport.trips",
        "SELECT SUM(s / n) AS x FROM (SELECT zone, SUM(seconds) AS s, COUNT(*) AS n FROM transport.trips GROUP BY zone)",
        "SELECT SUM(h.cases / h.level) AS x FROM health.stats h JOIN energy.load e ON e.zone = h.zone WHERE h.level <> 0 AND e.delta > 0",
        "SELECT SUM(CASE WHEN h.level > 0 THEN h.cases % h.level END) AS x FROM health.stats h JOIN energy.load e ON e.zone = h.zone WHERE e.delta > h.level",
        "SELECT SUM(TRY_CAST(kind AS INT)) AS x, COUNT(TRY_CAST(fare AS DECIMAL(3,1))) AS n FROM transport.trips",
        "SELECT SUM(CAST(SQRT(seconds) AS DECIMAL(9,3))) AS x FROM transport.trips",
        "SELECT COUNT(*) AS n FROM transport.trips WHERE SQRT(seconds) > 30.5",
    ]);
}

#[test]
fn scales_dates_and_names() {
    check_all([
        "SELECT SUM(t.wait + e.price) AS a, SUM(t.wait - e.price * 2) AS b, SUM(t.wait * e.price) AS c FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.wait * 10 >= e.price + 1.25",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.opened <= e.metered AND e.metered < DATE '2015-06-01'",
        "SELECT COUNT(*) AS n FROM transport.trips WHERE day + INTERVAL '3 days' > DATE '2024-01-07' AND date_trunc('month', day) = DATE '2024-01-01'",
        "SELECT EXTRACT(DOW FROM d.day) AS dow, SUM(v.n) AS n FROM public.days d JOIN (SELECT day, COUNT(*) AS n FROM health.visits GROUP BY day) v ON v.day = d.day
         JOIN (SELECT day, MAX(mw) AS mw FROM energy.hours GROUP BY day) e ON e.day = d.day GROUP BY EXTRACT(DOW FROM d.day) ORDER BY dow",
        "WITH a AS (SELECT zone, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone), b AS (SELECT zone, n * 2 AS n FROM a), c AS (SELECT b.zone, b.n + 1 AS n FROM b)
         SELECT SUM(c.n) AS n, SUM(c.n * h.cases) AS x FROM c JOIN health.stats h ON h.zone = c.zone",
        "SELECT z.coast AS c, z.area > 20 AS large, COUNT(*) AS n, SUM(h.deaths) AS d FROM public.zones z LEFT JOIN health.stats h ON h.zone = z.zone LEFT JOIN energy.load e ON e.zone = z.zone
         WHERE e.solar IS NOT TRUE GROUP BY z.coast, z.area > 20 ORDER BY c, large",
        "SELECT z.borough, SUM(h.cases) AS c FROM public.zones z JOIN health.stats h ON h.zone = z.zone JOIN energy.load e ON e.zone = z.zone WHERE z.borough <> 'Kings' GROUP BY z.borough ORDER BY c DESC",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.grade < e.grade",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE (t.lift AND NOT e.solar) = (t.stops > 20)",
        "SELECT (SELECT SUM(stops) FROM transport.stops) - (SELECT SUM(delta) FROM energy.load) AS d",
        "SELECT COUNT(*) AS n FROM health.stats WHERE cases > (SELECT MAX(stops) FROM transport.stops) - (SELECT MIN(delta) FROM energy.load)",
        "SELECT paid IS NULL AS unknown, kind, COUNT(*) AS n FROM transport.trips GROUP BY 1, 2 ORDER BY n DESC, kind LIMIT 4",
        "SELECT zone, COUNT(*) AS n FROM transport.trips GROUP BY zone HAVING zone > 4 ORDER BY zone",
        "SELECT COUNT(*) AS n, COUNT(DISTINCT kind) AS k FROM transport.trips WHERE kind LIKE 'ca%' AND UPPER(kind) <> 'CASH'",
    ]);
}
