//! Shapes of queries that the compiler treats in ways of their own: keys that stay public on their way through an owner, frames of other
//! keys than zones, relations that meet on a coarser public key, one owner's queries, outer joins on both sides, EXISTS.

use super::check_all;

#[test]
fn public_keys_travel_through_an_owner() {
    check_all([
        "SELECT t.borough, SUM(t.n) AS n, SUM(h.cases) AS c FROM (SELECT z.zone, z.borough, COUNT(*) AS n FROM transport.trips t JOIN public.zones z ON z.zone = t.zone
         GROUP BY z.zone, z.borough) t JOIN health.stats h ON h.zone = t.zone GROUP BY t.borough",
        "SELECT t.borough, t.district, SUM(t.n) AS n, SUM(h.cases) AS c FROM (SELECT t.zone, z.borough, z.district, COUNT(*) AS n FROM transport.trips t
         JOIN public.zones z ON z.zone = t.zone GROUP BY t.zone, z.borough, z.district) t LEFT JOIN health.stats h ON h.zone = t.zone GROUP BY t.borough, t.district",
        "SELECT t.coast, COUNT(*) AS n, SUM(t.area * h.cases) AS c FROM (SELECT z.zone, z.coast, z.area, s.stops FROM public.zones z LEFT JOIN transport.stops s ON s.zone = z.zone) t
         JOIN health.stats h ON h.zone = t.zone WHERE t.stops > 10 OR h.alert GROUP BY t.coast",
        "SELECT upper(z.borough) AS b, z.area / 10 AS a, SUM(t.stops + h.cases) AS x FROM public.zones z JOIN transport.stops t ON t.zone = z.zone JOIN health.stats h ON h.zone = z.zone
         WHERE z.area > 5 AND z.borough <> 'nowhere' GROUP BY 1, 2",
    ]);
}

#[test]
fn coarser_public_keys() {
    check_all([
        "SELECT z.borough, SUM(t.n) AS n, SUM(h.cases) AS c FROM public.zones z JOIN (SELECT y.borough, COUNT(*) AS n FROM transport.trips t JOIN public.zones y ON y.zone = t.zone
         GROUP BY y.borough) t ON t.borough = z.borough JOIN health.stats h ON h.zone = z.zone GROUP BY z.borough",
        "SELECT t.borough, t.n, h.c FROM (SELECT y.borough, COUNT(*) AS n FROM transport.trips t JOIN public.zones y ON y.zone = t.zone GROUP BY y.borough) t
         JOIN (SELECT y.borough, SUM(s.cases) AS c FROM health.stats s JOIN public.zones y ON y.zone = s.zone GROUP BY y.borough) h ON h.borough = t.borough ORDER BY t.n DESC, 1",
        "SELECT t.borough, t.n, h.c, t.n > h.c AS more, t.n * 1.0 / h.c AS per FROM (SELECT y.borough, COUNT(*) AS n FROM transport.trips t JOIN public.zones y ON y.zone = t.zone
         GROUP BY y.borough) t LEFT JOIN (SELECT y.borough, SUM(s.cases) AS c FROM health.stats s JOIN public.zones y ON y.zone = s.zone GROUP BY y.borough) h ON h.borough = t.borough",
        "SELECT COUNT(*) AS n, SUM(a.n * b.n) AS x FROM (SELECT zone, day, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone, day) a
         JOIN (SELECT zone, day, COUNT(*) AS n FROM health.visits WHERE zone IS NOT NULL GROUP BY zone, day) b ON a.zone = b.zone AND a.day = b.day",
        "SELECT a.day, COUNT(*) AS n, SUM(a.n) - SUM(b.n) AS x FROM (SELECT zone, day, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone, day) a
         LEFT JOIN (SELECT zone, day, COUNT(*) AS n FROM health.visits GROUP BY zone, day) b ON a.zone = b.zone AND a.day = b.day GROUP BY a.day",
    ]);
}

#[test]
fn one_owner() {
    check_all([
        "SELECT zone, COUNT(*) AS n, SUM(fare) AS f, AVG(fare) AS a, VAR_SAMP(fare) AS v, CORR(fare, seconds) AS r FROM transport.trips GROUP BY zone",
        "SELECT kind, paid, COUNT(*) AS n, MAX(fare) AS f, MIN(day) AS d, COUNT(DISTINCT zone) AS z FROM transport.trips GROUP BY kind, paid",
        "SELECT z.borough, t.paid, AVG(t.seconds) AS s FROM transport.trips t LEFT JOIN public.zones z ON z.zone = t.zone GROUP BY z.borough, t.paid ORDER BY 1, 2",
        "SELECT zone, COUNT(*) AS n FROM transport.trips GROUP BY zone HAVING COUNT(*) > 2 ORDER BY n DESC, zone LIMIT 3",
        "SELECT SUM(fare) FILTER (WHERE paid) AS f, AVG(seconds) FILTER (WHERE kind = 'card') AS s, COUNT(fare) AS n, SUM(fare) FILTER (WHERE kind = 'none') AS no FROM transport.trips",
        "SELECT fare > 20 AS dear, COUNT(*) AS n, STDDEV(fare) AS s FROM transport.trips GROUP BY 1",
        "SELECT AVG(n) AS a, MAX(n) AS m FROM (SELECT zone, COUNT(*) AS n FROM transport.trips GROUP BY zone)",
        "SELECT level, COUNT(*) AS n FROM health.stats GROUP BY level",
        "SELECT z.borough, COUNT(t.trip) AS n FROM public.zones z LEFT JOIN transport.trips t ON t.zone = z.zone GROUP BY z.borough",
        "SELECT zone, SUM(n) OVER (ORDER BY zone) AS s FROM (SELECT zone, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL GROUP BY zone)",
        "SELECT COUNT(*) * 1.0 / (SELECT COUNT(*) FROM health.stats) AS x FROM health.visits",
        "SELECT SUM(seconds) AS s, AVG(fare) AS f FROM transport.trips WHERE trip < 0",
        "SELECT kind, CAST(MEDIAN(CAST(seconds AS DOUBLE)) AS DECIMAL(9,1)) AS m, COUNT(*) AS n FROM transport.trips GROUP BY kind ORDER BY m",
        "SELECT CAST(AVG(n) AS DECIMAL(9,3)) AS a FROM (SELECT zone, COUNT(*) AS n FROM transport.trips GROUP BY zone)",
    ]);
}

#[test]
fn outer_joins() {
    check_all([
        "SELECT COUNT(*) AS n, SUM(t.n + v.n) AS x, SUM(t.n) AS t, SUM(v.n) AS v FROM (SELECT zone, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL AND fare > 30 GROUP BY zone) t
         FULL JOIN (SELECT zone, COUNT(*) AS n FROM health.visits WHERE zone IS NOT NULL AND severity > 3 GROUP BY zone) v ON v.zone = t.zone",
        "SELECT COALESCE(t.zone, v.zone) AS zone, SUM(COALESCE(t.n, 0) + COALESCE(v.n, 0)) AS x FROM (SELECT zone, COUNT(*) AS n FROM transport.trips WHERE zone IS NOT NULL AND fare > 30
         GROUP BY zone) t FULL JOIN (SELECT zone, COUNT(*) AS n FROM health.visits WHERE zone IS NOT NULL AND severity > 3 GROUP BY zone) v ON v.zone = t.zone GROUP BY 1",
        "SELECT COUNT(*) AS n, COUNT(e.zone) AS e, SUM(e.delta) AS d FROM transport.stops t LEFT JOIN energy.load e ON e.zone = t.zone AND e.delta > t.shift",
        "SELECT COUNT(*) AS n, COUNT(t.zone) AS t, SUM(t.stops) AS s FROM transport.stops t RIGHT JOIN energy.load e ON e.zone = t.zone WHERE t.stops IS NULL OR t.stops < e.delta",
        "SELECT COUNT(*) AS n, SUM(q.x) AS x, COUNT(q.y) AS y FROM public.zones z LEFT JOIN (SELECT t.zone, t.stops + e.delta AS x, t.lift AND e.solar AS y FROM transport.stops t
         JOIN energy.load e ON e.zone = t.zone WHERE t.stops > e.delta) q ON q.zone = z.zone LEFT JOIN health.stats h ON h.zone = z.zone WHERE h.cases > 100 OR q.y IS NULL",
        "SELECT SUM(h.cases) AS c FROM health.stats h LEFT JOIN (SELECT SUM(delta) AS d FROM energy.load) e ON true WHERE h.cases > e.d",
    ]);
}

#[test]
fn exists() {
    check_all([
        "SELECT COUNT(*) AS n, SUM(h.cases) AS c FROM health.stats h WHERE EXISTS (SELECT 1 FROM transport.trips t WHERE t.zone = h.zone AND t.fare > 40)",
        "SELECT COUNT(*) AS n, SUM(h.cases) AS c FROM health.stats h WHERE NOT EXISTS (SELECT 1 FROM transport.trips t WHERE t.zone = h.zone AND t.fare > 40)",
        "SELECT COUNT(*) AS n FROM health.stats h WHERE h.alert OR NOT EXISTS (SELECT 1 FROM transport.trips t WHERE t.zone = h.zone AND t.fare > 40)",
        "SELECT COUNT(*) AS n FROM health.stats h WHERE h.zone NOT IN (SELECT zone FROM transport.stops WHERE stops > 50)",
        "SELECT COUNT(*) AS n FROM health.stats h WHERE h.cases > (SELECT CAST(AVG(stops) AS DECIMAL(12,4)) FROM transport.stops)",
        "SELECT h.cases > 1000 AS many, t.grade = h.grade AS same, COUNT(*) AS n FROM health.stats h JOIN transport.stops t ON t.zone = h.zone GROUP BY 1, 2",
        "SELECT COUNT(*) AS n FROM health.stats h JOIN transport.stops t ON t.zone = h.zone AND t.grade = h.grade",
        "SELECT SUM(CASE t.grade WHEN 'A' THEN h.cases WHEN 'B' THEN h.deaths END) AS x, COUNT(NULLIF(t.stops, h.level)) AS n FROM health.stats h JOIN transport.stops t ON t.zone = h.zone",
        "SELECT COUNT(*) AS n FROM health.stats h JOIN transport.stops t ON t.zone = h.zone WHERE CASE WHEN h.alert THEN t.stops ELSE h.level END > 3 AND h.deaths IS DISTINCT FROM t.shift",
        "SELECT COUNT(*) AS n, SUM(d.weekday) AS w FROM public.days d JOIN (SELECT day, MAX(mw) AS mw FROM energy.hours GROUP BY day) e ON e.day = d.day
         JOIN (SELECT day, COUNT(*) AS n FROM health.visits GROUP BY day) v ON v.day = d.day WHERE e.mw - v.n > 15000 - d.weekday * 3",
    ]);
}
