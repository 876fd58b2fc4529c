//! The queries, by theme.

use super::check_all;

#[test]
fn aggregates_over_joined_zones() {
    check_all([
        "SELECT COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone",
        "SELECT SUM(t.stops) AS stops, SUM(e.kwh) AS kwh, SUM(h.cases) AS cases FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT COUNT(e.kwh) AS kwh, COUNT(t.wait) AS wait, COUNT(h.deaths) AS deaths FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT AVG(t.stops) AS a, AVG(e.price) AS b, AVG(e.kwh) AS c, AVG(h.rate) AS d FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT VAR_SAMP(t.stops) AS a, VAR_POP(t.stops) AS b, STDDEV(e.delta) AS c, STDDEV_POP(e.delta) AS d FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone",
        "SELECT CORR(t.stops, e.delta) AS r FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT COVAR_SAMP(t.stops, h.cases) AS a, COVAR_POP(t.shift, h.level) AS b FROM transport.stops t JOIN health.stats h ON h.zone = t.zone",
        "SELECT CORR(t.shift, e.delta) AS te, CORR(t.shift, h.cases) AS th, CORR(e.delta, h.cases) AS eh FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT SUM(t.stops * e.delta) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(t.stops * e.delta - 3 * h.cases + 7) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone",
        "SELECT SUM(t.stops * e.delta * h.level) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone",
        "SELECT SUM(t.stops) AS s FROM transport.stops t",
        "SELECT COUNT(*) AS n, AVG(fare) AS f FROM transport.trips WHERE kind = 'card'",
    ]);
}

#[test]
fn groups() {
    check_all([
        "SELECT z.borough, COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone
         GROUP BY z.borough ORDER BY z.borough",
        "SELECT z.borough, SUM(t.stops) AS stops, SUM(e.kwh) AS kwh FROM public.zones z LEFT JOIN transport.stops t ON t.zone = z.zone
         LEFT JOIN energy.load e ON e.zone = z.zone GROUP BY z.borough ORDER BY z.borough DESC",
        "SELECT z.borough, z.coast, AVG(e.price) AS p, STDDEV(h.cases) AS s FROM public.zones z JOIN energy.load e ON e.zone = z.zone
         JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough, z.coast",
        "SELECT z.district, COUNT(*) AS n, SUM(h.deaths) AS d FROM public.zones z LEFT JOIN health.stats h ON h.zone = z.zone GROUP BY z.district",
        "SELECT z.borough, SUM(t.stops * h.cases) AS x, CORR(t.stops, h.cases) AS r FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough",
        "SELECT z.zone, SUM(t.stops + e.delta) AS x FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone
         WHERE t.stops > 10 GROUP BY z.zone ORDER BY z.zone",
        "SELECT z.area % 3 AS a, SUM(e.delta) AS x, COUNT(t.wait) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN energy.load e ON e.zone = z.zone GROUP BY z.area % 3",
        "SELECT z.borough, COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone
         WHERE t.stops * 10 > e.delta GROUP BY z.borough ORDER BY n DESC, z.borough",
        "SELECT d.weekday, SUM(t.n) AS trips, SUM(e.peak) AS peak FROM public.days d
         JOIN (SELECT day, COUNT(*) AS n FROM transport.trips GROUP BY day) t ON t.day = d.day
         JOIN (SELECT day, MAX(mw) AS peak FROM energy.hours GROUP BY day) e ON e.day = d.day GROUP BY d.weekday ORDER BY d.weekday",
        "SELECT d.day, AVG(e.mw) AS mw, SUM(v.n) AS visits FROM public.days d LEFT JOIN (SELECT day, AVG(mw) AS mw2, MAX(mw) AS mw FROM energy.hours GROUP BY day) e ON e.day = d.day
         LEFT JOIN (SELECT day, COUNT(*) AS n FROM health.visits GROUP BY day) v ON v.day = d.day GROUP BY d.day ORDER BY d.day",
    ]);
}

#[test]
fn filters_across_silos() {
    check_all([
        "SELECT COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone
         WHERE t.stops > 20 AND e.delta > 0 AND h.cases > 3000",
        "SELECT COUNT(*) AS n, SUM(z.area) AS area FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone
         WHERE t.stops > 20 OR e.solar",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.shift < e.delta",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.shift >= e.delta",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE NOT (t.shift >= e.delta)",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN health.stats h ON h.zone = t.zone WHERE t.shift <> h.level",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN health.stats h ON h.zone = t.zone WHERE t.stops % 7 - 3 = h.level",
        "SELECT SUM(h.cases) AS c FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone WHERE t.stops + e.delta > h.level * 10",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.wait < e.price",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.opened < e.metered",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.lift = e.solar",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.grade = e.grade",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.grade IN ('A', 'B') AND e.grade <> 'C'",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE e.delta BETWEEN t.shift - 200 AND t.shift + 200",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.stops > 100000",
        "SELECT COUNT(*) AS n, SUM(e.kwh) AS k, AVG(e.kwh) AS a, CORR(t.stops, e.kwh) AS r FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.stops > 1000 AND e.delta > 499",
        "SELECT z.borough, COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone WHERE t.stops > 1000 AND e.delta > 499 GROUP BY z.borough",
        "SELECT COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone WHERE t.stops * 1000 > 20 * z.area AND e.kwh > 8 * z.area",
    ]);
}

#[test]
fn moments() {
    let both = "public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone";
    let queries = [
        "SELECT COUNT(*) AS n FROM {both} WHERE t.seen = e.read",
        "SELECT COUNT(*) AS n FROM {both} WHERE t.seen < e.read AND e.read > TIMESTAMP '1970-01-01 00:00:00'",
        "SELECT COUNT(*) AS n FROM {both} WHERE CAST(t.seen AS DATE) = CAST(e.read AS DATE)",
        "SELECT COUNT(*) AS n FROM {both} WHERE t.seen > e.metered OR e.read IS NULL",
        "SELECT SUM(CAST(e.read - t.seen AS BIGINT)) AS s, AVG(CAST(e.read - t.seen AS BIGINT)) AS a FROM {both}",
        "SELECT COUNT(*) AS n FROM {both} WHERE e.read - t.seen > INTERVAL '1 hour'",
        "SELECT COUNT(*) AS n FROM {both} WHERE e.read - t.seen BETWEEN INTERVAL '-12 hours' AND INTERVAL '500 milliseconds'",
        "SELECT SUM(EXTRACT(EPOCH FROM t.seen) - EXTRACT(EPOCH FROM e.metered)) AS s FROM {both}",
        "SELECT COUNT(*) AS n FROM {both} WHERE EXTRACT(EPOCH FROM t.seen) > EXTRACT(EPOCH FROM e.metered)",
        "SELECT z.borough, SUM(CASE WHEN t.seen < e.read THEN EXTRACT(HOUR FROM t.seen) ELSE EXTRACT(HOUR FROM e.read) END) AS h FROM {both} GROUP BY z.borough",
        "SELECT COUNT(*) AS n FROM {both} WHERE CASE WHEN t.lift THEN t.seen ELSE e.read END > TIMESTAMP '1990-06-01 12:00:00'",
        "SELECT COUNT(*) AS n FROM {both} WHERE t.seen + INTERVAL '1 month' > e.read - INTERVAL '3 hours'",
        "SELECT COUNT(*) AS n FROM {both} WHERE EXTRACT(HOUR FROM t.seen) < EXTRACT(HOUR FROM e.read)",
        "SELECT COUNT(*) AS n FROM {both} WHERE DATE_TRUNC('month', t.seen) = DATE_TRUNC('month', e.read)",
        "SELECT z.borough, MIN(t.seen) AS a, MAX(t.seen) AS b, COUNT(t.seen) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone GROUP BY z.borough",
        "SELECT EXTRACT(DOW FROM t.seen) AS d, SUM(e.delta) AS s FROM {both} GROUP BY 1",
        "SELECT EXTRACT(HOUR FROM e.read) AS h, COUNT(*) AS n FROM energy.load e GROUP BY 1",
    ];
    let queries: Vec<_> = queries.iter().map(|q| q.replace("{both}", both)).collect();
    check_all(queries.iter().map(String::as_str));
}

#[test]
fn null_and_three_valued_logic() {
    check_all([
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.lift OR e.solar",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE NOT (t.lift AND e.solar)",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE (t.lift OR e.solar) IS NULL",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE (t.lift AND e.solar) IS NOT TRUE",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE (t.lift OR e.solar) IS FALSE",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.wait IS NULL OR e.price IS NULL",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.wait IS NOT NULL AND e.price IS NULL",
        "SELECT COUNT(*) AS n, SUM(h.cases) AS c FROM public.zones z LEFT JOIN transport.stops t ON t.zone = z.zone LEFT JOIN health.stats h ON h.zone = z.zone
         WHERE t.stops IS NULL OR h.cases IS NULL",
        "SELECT SUM(t.shift + e.price) AS x, COUNT(t.shift + e.price) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(COALESCE(t.shift, 0) + COALESCE(e.price, 1.5)) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(COALESCE(h.deaths, t.stops)) AS x FROM public.zones z LEFT JOIN transport.stops t ON t.zone = z.zone LEFT JOIN health.stats h ON h.zone = z.zone",
        "SELECT AVG(t.shift * h.level) AS x FROM transport.stops t JOIN health.stats h ON h.zone = t.zone WHERE h.level < t.shift OR h.level IS NULL",
        "SELECT z.borough, SUM(e.kwh) AS k, COUNT(e.kwh) AS n FROM public.zones z LEFT JOIN energy.load e ON e.zone = z.zone LEFT JOIN transport.stops t ON t.zone = z.zone
         WHERE t.lift IS NOT FALSE GROUP BY z.borough",
        "SELECT SUM(e.kwh) AS k FROM public.zones z LEFT JOIN energy.load e ON e.zone = z.zone LEFT JOIN transport.stops t ON t.zone = z.zone WHERE e.kwh IS NULL AND t.stops >= 0",
    ]);
}

#[test]
fn case_expressions() {
    check_all([
        "SELECT SUM(CASE WHEN t.stops > 20 THEN h.cases ELSE 0 END) AS x, SUM(CASE WHEN t.stops > 20 THEN 0 ELSE h.cases END) AS y
         FROM transport.stops t JOIN health.stats h ON h.zone = t.zone",
        "SELECT SUM(CASE WHEN t.stops > 20 AND e.delta > 0 THEN h.cases WHEN e.delta < -100 THEN -h.cases END) AS x FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT COUNT(CASE WHEN t.lift THEN e.kwh END) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT z.borough, SUM(CASE WHEN e.solar THEN t.stops ELSE t.shift END) AS x FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN energy.load e ON e.zone = z.zone GROUP BY z.borough ORDER BY z.borough",
        "SELECT AVG(CASE WHEN h.alert THEN t.wait ELSE e.price END) AS x FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE CASE WHEN e.solar THEN t.stops > 10 ELSE t.stops > 40 END",
        "SELECT SUM(CASE t.grade WHEN 'A' THEN e.delta WHEN 'B' THEN 2 * e.delta ELSE 0 END) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(CASE WHEN t.stops > e.delta THEN t.stops ELSE e.delta END) AS larger FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
    ]);
}

#[test]
fn sub_queries_and_local_work() {
    check_all([
        "WITH p AS (SELECT zone, COUNT(*) AS n, SUM(fare) AS fares FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone)
         SELECT z.borough, SUM(p.n) AS n, SUM(p.fares) AS fares, SUM(h.cases) AS cases FROM public.zones z LEFT JOIN p ON p.zone = z.zone
         LEFT JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough ORDER BY z.borough",
        "WITH p AS (SELECT zone, MEDIAN(CAST(seconds AS DOUBLE)) > 3000 AS slow FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone)
         SELECT COUNT(*) AS n, SUM(h.cases) AS cases FROM p JOIN health.stats h ON h.zone = p.zone WHERE p.slow",
        "WITH p AS (SELECT zone, COUNT(DISTINCT kind) AS kinds, MAX(seconds) AS longest FROM transport.trips WHERE paid GROUP BY zone)
         SELECT SUM(p.kinds) AS kinds, SUM(p.longest * e.delta) AS x FROM p JOIN energy.load e ON e.zone = p.zone",
        "SELECT SUM(CASE WHEN h.alert THEN t.n ELSE 0 END) AS a, SUM(CASE WHEN h.alert THEN t.s ELSE 0 END) AS b FROM public.zones z
         JOIN (SELECT zone, COUNT(*) AS n, SUM(seconds) AS s FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone) t ON t.zone = z.zone
         JOIN health.stats h ON h.zone = z.zone",
        "SELECT COUNT(*) AS n FROM (SELECT t.zone, t.stops + e.delta AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone) q WHERE q.x > 0",
        "SELECT AVG(q.x) AS a FROM (SELECT t.stops * 2 + e.delta AS x, t.lift AS l FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE e.delta > -400) q WHERE q.l",
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.stops > (SELECT AVG(stops) FROM transport.stops)",
        "SELECT SUM(v.n) AS visits, SUM(t.n) AS trips FROM public.days d
         LEFT JOIN (SELECT day, COUNT(*) AS n FROM health.visits WHERE severity > 0 GROUP BY day) v ON v.day = d.day
         LEFT JOIN (SELECT day, COUNT(*) AS n FROM transport.trips WHERE kind = 'cash' GROUP BY day) t ON t.day = d.day WHERE v.n > t.n",
        "WITH ranked AS (SELECT zone, RANK() OVER (ORDER BY stops) AS place FROM transport.stops)
         SELECT COUNT(*) AS n FROM ranked r JOIN health.stats h ON h.zone = r.zone WHERE r.place > 5 AND h.cases > 2000",
        "SELECT COUNT(*) AS n FROM public.zones z WHERE z.zone IN (SELECT zone FROM transport.trips WHERE fare > 50)",
    ]);
}

#[test]
fn arithmetic_over_aggregates() {
    check_all([
        "SELECT SUM(t.stops) * 100 AS a, SUM(e.delta) + COUNT(*) AS b, -SUM(e.delta) AS c FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT z.borough, CAST(SUM(h.cases) AS DOUBLE) / COUNT(*) AS per_zone, ROUND(AVG(t.wait), 1) AS wait FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough ORDER BY per_zone",
        "SELECT z.borough, SUM(h.deaths) * 1000 / NULLIF(SUM(h.cases), 0) AS rate FROM public.zones z LEFT JOIN health.stats h ON h.zone = z.zone
         LEFT JOIN energy.load e ON e.zone = z.zone WHERE e.delta > -1000 GROUP BY z.borough ORDER BY z.borough",
        "SELECT z.borough, SUM(t.stops) AS s FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN health.stats h ON h.zone = z.zone
         GROUP BY z.borough ORDER BY s DESC",
        "SELECT COALESCE(SUM(e.kwh), 0) AS k, CASE WHEN COUNT(*) > 3 THEN 'many' ELSE 'few' END AS how FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE t.lift AND e.solar",
        "SELECT SQRT(VAR_POP(t.stops)) - STDDEV_POP(t.stops) < 0.000001 AS same FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
    ]);
}

#[test]
fn secret_group_keys_wide_values_and_scalars() {
    check_all([
        "SELECT t.grade, COUNT(*) AS n, SUM(e.kwh) AS k FROM transport.stops t JOIN energy.load e ON e.zone = t.zone GROUP BY t.grade",
        "SELECT z.borough, e.solar, COUNT(*) AS n, AVG(t.stops) AS a FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN energy.load e ON e.zone = z.zone GROUP BY z.borough, e.solar",
        "SELECT h.alert, AVG(t.wait) AS w, STDDEV(e.delta) AS s FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone
         GROUP BY h.alert",
        "SELECT t.grade, h.alert, SUM(e.delta) AS d FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone
         WHERE e.delta > t.shift GROUP BY t.grade, h.alert",
        "SELECT SUM(CAST(e.kwh AS DECIMAL(14,4)) * h.rate * t.wait) AS x FROM transport.stops t JOIN energy.load e ON e.zone = t.zone JOIN health.stats h ON h.zone = t.zone",
        "SELECT z.borough, AVG(CAST(e.kwh AS DECIMAL(14,4)) * h.rate) AS x, SUM(CASE WHEN t.lift THEN CAST(e.kwh AS DECIMAL(14,4)) * h.rate * t.wait END) AS y FROM public.zones z
         JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough",
        "SELECT CORR(CAST(e.kwh AS DECIMAL(14,4)), CAST(h.rate AS DECIMAL(14,6))) AS r FROM energy.load e JOIN health.stats h ON h.zone = e.zone",
        "SELECT a.s AS s, b.k AS k FROM (SELECT SUM(stops) AS s FROM transport.stops) a CROSS JOIN (SELECT SUM(kwh) AS k FROM energy.load) b",
        "SELECT COUNT(*) AS n FROM (SELECT AVG(wait) AS w FROM transport.stops) a CROSS JOIN (SELECT AVG(price) AS p FROM energy.load) b WHERE a.w > b.p",
        "SELECT AVG(e.delta) FILTER (WHERE t.lift) AS a, COUNT(*) FILTER (WHERE t.stops > 20) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(t.stops) AS s FROM transport.stops t FULL JOIN energy.load e ON e.zone = t.zone WHERE e.kwh IS NULL",
    ]);
}

#[test]
fn functions_across_silos() {
    check_all([
        "SELECT COUNT(*) AS n FROM transport.stops t JOIN energy.load e ON e.zone = t.zone WHERE ABS(t.stops - e.delta) > 60",
        "SELECT SUM(ABS(t.shift - e.delta)) AS s, SUM(ABS(t.shift)) AS a FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT SUM(GREATEST(t.wait, e.price)) AS g, SUM(LEAST(t.wait, e.price, t.stops)) AS l, COUNT(LEAST(t.wait, e.price)) AS n
         FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT z.borough, COUNT(*) AS n FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN energy.load e ON e.zone = z.zone
         WHERE GREATEST(t.stops, e.delta) > 30 AND LEAST(t.shift, e.delta) < 20 GROUP BY z.borough",
        "SELECT SUM(NULLIF(t.shift, e.delta)) AS s FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT MEDIAN(t.stops + e.delta) AS m, PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY t.wait) AS p
         FROM transport.stops t JOIN energy.load e ON e.zone = t.zone",
        "SELECT z.coast, SUM(DISTINCT t.stops) AS s, AVG(DISTINCT e.price) AS a FROM public.zones z JOIN transport.stops t ON t.zone = z.zone
         JOIN energy.load e ON e.zone = z.zone GROUP BY z.coast",
    ]);
}
