//! Minimum groups, against a reference that counts.

use super::*;
use std::collections::BTreeSet;

/// The different homes of rows.
fn distinct(homes: impl IntoIterator<Item = Option<i64>>) -> usize {
    homes.into_iter().flatten().collect::<BTreeSet<_>>().len()
}

#[test]
fn groups_of_one_owner_are_shown_from_so_many_entities_on() {
    let sql = "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters GROUP BY zone";
    for seed in 0..8 {
        let city = City::of(seed);
        let pool = city.pool();
        for k in [2, 3, 20] {
            let (rows, suppressed) = protected(&pool, sql, &homes(k), on(seed));
            let mut expected = Vec::new();
            for (zone, _) in ZONES {
                let of: Vec<&Meter> = city.meters.iter().filter(|m| m.zone == zone).collect();
                // a sum is made of those that have a value
                let enough = distinct(of.iter().filter(|m| m.kwh.is_some()).map(|m| m.home)) >= k as usize;
                let sum: i64 = of.iter().filter_map(|m| m.kwh).sum();
                expected.push(vec![zone.to_string(), shown(enough.then_some(of.len())), shown(enough.then_some(sum))]);
            }
            let hidden = expected.iter().filter(|row| row[1] == "NULL").count();
            assert_eq!((sorted(&rows), suppressed), (expected, Some(Suppressed { cells: hidden, of: 5 })), "seed {seed}, k = {k}");
        }
    }
}

#[test]
fn groups_of_several_owners_over_public_rows() {
    let sql = "SELECT z.side, SUM(m.n) AS n, SUM(v.d) AS d FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) m \
               ON m.zone = z.zone JOIN (SELECT zone, SUM(days) AS d FROM health.stays GROUP BY zone) v ON v.zone = z.zone GROUP BY z.side";
    let mut both = [0; 2];
    for seed in 0..14 {
        let city = City::of(seed);
        let pool = city.pool();
        for k in [2, 3] {
            let (rows, suppressed) = protected(&pool, sql, &homes(k), on(seed));
            let k = k as usize;
            let mut expected = Vec::new();
            for side in ["east", "west"] {
                let zones: Vec<i64> = ZONES.iter().filter(|(_, s)| *s == side).map(|(z, _)| *z).collect();
                let there = zones.iter().filter(|z| city.meters.iter().any(|m| m.zone == **z) && city.stays.iter().any(|s| s.zone == **z));
                let there: Vec<i64> = there.copied().collect();
                let of = |z: i64| distinct(city.meters.iter().filter(|m| m.zone == z).map(|m| m.home));
                let stays = |z: i64| distinct(city.stays.iter().filter(|s| s.zone == z && s.days.is_some()).map(|s| s.home));
                // of meters a home has up to three
                let meters = there.iter().any(|z| of(*z) >= k) || there.iter().map(|z| of(*z)).sum::<usize>() >= 3 * k;
                // a home can be in each of five zones
                let enough = meters && (there.iter().any(|z| stays(*z) >= k) || there.iter().map(|z| stays(*z)).sum::<usize>() >= 5 * k);
                let n = city.meters.iter().filter(|m| there.contains(&m.zone)).count();
                let d: i64 = city.stays.iter().filter(|s| there.contains(&s.zone)).filter_map(|s| s.days).sum();
                both[usize::from(enough)] += 1;
                let d = format!("{}.{:02}", d / 100, d % 100);
                expected.push(vec![side.to_owned(), shown(enough.then_some(n)), shown(enough.then_some(d))]);
            }
            let hidden = expected.iter().filter(|row| row[1] == "NULL").count();
            assert_eq!((sorted(&rows), suppressed), (expected, Some(Suppressed { cells: hidden, of: 2 })), "seed {seed}, k = {k}");
        }
    }
    assert!(both.iter().all(|n| *n > 5), "{both:?}");
}

#[test]
fn groups_of_rows_that_meet_on_private_keys() {
    let sql = "SELECT m.green, COUNT(*) AS n, SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.green";
    let mut both = [0; 2];
    for seed in 0..8 {
        let city = City::of(seed);
        let pool = city.pool();
        for k in [2, 3] {
            let (rows, suppressed) = protected(&pool, sql, &homes(k), on(seed));
            let mut expected = Vec::new();
            for green in [Some(false), Some(true), None] {
                let of = city.meters.iter().filter(|m| m.green == green);
                let pairs: Vec<&Meter> =
                    of.flat_map(|m| city.stays.iter().filter(|s| s.home.is_some() && s.home == m.home).map(move |_| m)).collect();
                let enough = distinct(pairs.iter().filter(|m| m.kwh.is_some()).map(|m| m.home)) >= k as usize;
                both[usize::from(enough)] += 1;
                if enough {
                    let sum: i64 = pairs.iter().filter_map(|m| m.kwh).sum();
                    expected.push(vec![shown(green), pairs.len().to_string(), sum.to_string()]);
                }
            }
            expected.sort();
            assert_eq!((sorted(&rows), suppressed), (expected, None), "seed {seed}, k = {k}");
        }
    }
    assert!(both.iter().all(|n| *n > 5), "{both:?}");
}

#[test]
fn one_row_of_all_is_null_when_too_few_are_in_it() {
    let one = "SELECT COUNT(*) AS n, AVG(kwh) AS a, STDDEV(kwh) AS d FROM energy.meters";
    let joined = "SELECT COUNT(*) AS n, AVG(m.kwh) AS a, MAX(s.days) AS d FROM energy.meters m JOIN health.stays s ON s.home = m.home";
    for seed in 0..6 {
        let city = City::of(seed);
        let pool = city.pool();
        for (sql, homes_in) in [
            (one, distinct(city.meters.iter().filter(|m| m.kwh.is_some()).map(|m| m.home))),
            (joined, {
                let met = |value: fn(&Meter) -> bool, other: fn(&Stay) -> bool| {
                    let there = |m: &&Meter| value(m) && city.stays.iter().any(|s| s.home.is_some() && s.home == m.home && other(s));
                    distinct(city.meters.iter().filter(there).map(|m| m.home))
                };
                met(|m| m.kwh.is_some(), |_| true).min(met(|_| true, |s| s.days.is_some()))
            }),
        ] {
            for k in [2, 4, 6] {
                let (rows, suppressed) = protected(&pool, sql, &homes(k), on(seed));
                let enough = homes_in >= k as usize;
                assert_eq!(suppressed, Some(Suppressed { cells: usize::from(!enough), of: 1 }), "{sql}: seed {seed}, k = {k}");
                let expected = pool.clear(sql).expect("an answer");
                let expected = if enough { cells(&expected) } else { vec![vec!["NULL".into(); expected.num_columns()]] };
                let near =
                    |a: &str, b: &str| a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if (a - b).abs() < 1e-9);
                let got = cells(&rows);
                assert!(got.len() == 1 && got[0].iter().zip(&expected[0]).all(|(a, b)| near(a, b)), "{got:?}, expected {expected:?}");
            }
        }
    }
}

/// Sub-queries that stand for values: in the answer each is a group, in a condition its entities are those of every row.
#[test]
fn sub_queries_that_stand_for_values_are_of_enough_entities() {
    let both = "SELECT (SELECT COUNT(*) FROM energy.meters) AS m, (SELECT COUNT(*) FROM health.stays) AS s";
    let beside = "SELECT 'm' AS k, COUNT(*) AS n FROM energy.meters UNION ALL SELECT 's', COUNT(*) FROM health.stays";
    let above = "SELECT COUNT(*) AS n FROM energy.meters WHERE kwh > (SELECT SUM(days) FROM health.stays WHERE zone = 2)";
    for seed in 0..8 {
        let city = City::of(seed);
        let pool = city.pool();
        let (meters, stays) = (distinct(city.meters.iter().map(|m| m.home)), distinct(city.stays.iter().map(|s| s.home)));
        let expected = [city.meters.len(), city.stays.len()].map(|n| shown(Some(n).filter(|_| meters >= 4 && stays >= 4)));
        assert_eq!(cells(&protected(&pool, both, &homes(4), on(seed)).0), [expected], "seed {seed}");
        let of = [("m", meters, city.meters.len()), ("s", stays, city.stays.len())];
        let expected: Vec<_> =
            of.iter().filter(|(_, homes, _)| *homes >= 4).map(|(k, _, n)| vec![(*k).to_owned(), n.to_string()]).collect();
        assert_eq!(sorted(&protected(&pool, beside, &homes(4), on(seed)).0), expected, "seed {seed}");

        let days = city.stays.iter().filter(|s| s.zone == 2).filter(|s| s.days.is_some());
        let limit: i64 = days.clone().filter_map(|s| s.days).sum();
        let over = city.meters.iter().filter(|m| limit > 0 && m.kwh.is_some_and(|v| 100 * v > limit)).collect::<Vec<_>>();
        let enough = distinct(days.map(|s| s.home)) >= 2 && distinct(over.iter().map(|m| m.home)) >= 2;
        assert_eq!(cells(&protected(&pool, above, &homes(2), on(seed)).0), [[shown(enough.then_some(over.len()))]], "seed {seed}");
    }
}

#[test]
fn groups_of_one_and_more_are_all_shown() {
    let pool = City::of(3).pool();
    for sql in [
        "SELECT zone, COUNT(*) AS n, SUM(kwh) AS s FROM energy.meters GROUP BY zone",
        "SELECT meter, kwh FROM energy.meters WHERE green",
        "SELECT m.green, COUNT(*) AS n FROM energy.meters m WHERE NOT EXISTS (SELECT 1 FROM health.stays s WHERE s.home = m.home) GROUP BY m.green",
    ] {
        let (rows, suppressed) = protected(&pool, sql, &homes(1), On::Rep3);
        assert_eq!((sorted(&rows), suppressed), (sorted(&pool.clear(sql).expect("an answer")), None), "{sql}");
    }
}

/// Every small table: two zones, three rows, homes 1, 2 or none.
#[test]
fn suppression_is_right_for_all_small_tables() {
    let sql = "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone";
    let joint = "SELECT z.side, SUM(m.n) AS n FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) m \
                 ON m.zone = z.zone JOIN (SELECT zone, COUNT(*) AS n FROM health.stays GROUP BY zone) s ON s.zone = z.zone GROUP BY z.side";
    let mut only = homes(2);
    only.datasets.remove("health.stays");
    let stays: Vec<Stay> = ZONES.iter().map(|(zone, _)| Stay { home: None, zone: *zone, days: None }).collect();
    let plans = [sql, joint].map(|sql| City::default().pool().protected(sql, &only).unwrap_or_else(|e| panic!("{sql}\n{e}")));
    // rows in any order are the same
    let tables = (0..6_usize.pow(3)).map(|n| [n % 6, n / 6 % 6, n / 36]).filter(|codes| codes.is_sorted());
    for codes in tables {
        let row = |at: usize| {
            let code = codes[at];
            Meter {
                meter: at as i64 + 1,
                home: [None, Some(1), Some(2)][code % 3],
                zone: 1 + 2 * (code / 3) as i64,
                kwh: None,
                green: None,
            }
        };
        let city = City { meters: (0..3).map(row).collect(), stays: stays.clone() };
        let pool = city.pool();
        let of = |zone: i64| city.meters.iter().filter(move |m| m.zone == zone);
        for (plan, joint) in plans.iter().zip([false, true]) {
            let ground = pool.ground(plan).unwrap_or_else(|e| panic!("{e}"));
            let answer = pool.whole_answer_by(plan, &ground, On::Plain).unwrap_or_else(|e| panic!("{e}"));
            let mut expected: Vec<Vec<String>> = Vec::new();
            let enough = |zone: i64| distinct(of(zone).map(|m| m.home)) >= 2;
            if joint {
                // both zones are in the east
                let n = enough(1) || enough(3) || distinct(of(1).map(|m| m.home)) + distinct(of(3).map(|m| m.home)) >= 6;
                expected.push(vec!["east".into(), shown(n.then_some(3))]);
                expected.push(vec!["west".into(), "NULL".into()]);
            } else {
                for (zone, _) in ZONES {
                    expected.push(vec![zone.to_string(), shown(enough(zone).then_some(of(zone).count()))]);
                }
            }
            assert_eq!(sorted(&answer.rows), expected, "{city:?}");
        }
    }
}

/// What is hidden is hidden from the query's own conditions, too.
#[test]
fn having_order_and_limit_see_nothing_of_small_groups() {
    for seed in 0..6 {
        let city = City::of(seed);
        let pool = city.pool();
        let pairs = |zone: i64| {
            let of = city.meters.iter().filter(move |m| m.zone == zone);
            of.flat_map(|m| city.stays.iter().filter(|s| s.home.is_some() && s.home == m.home).map(move |_| m)).collect::<Vec<_>>()
        };
        let of_join = |zone: i64| (distinct(pairs(zone).iter().map(|m| m.home)), pairs(zone).len());
        let meters = |zone: i64| {
            let of: Vec<_> = city.meters.iter().filter(|m| m.zone == zone).collect();
            (distinct(of.iter().map(|m| m.home)), of.len())
        };
        let join = "FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.zone";
        for (from, of) in [(join, &of_join as &dyn Fn(i64) -> (usize, usize)), ("FROM energy.meters m GROUP BY m.zone", &meters)] {
            let mut safe: Vec<(usize, i64)> =
                ZONES.iter().map(|(z, _)| (of(*z), *z)).filter(|((homes, _), _)| *homes >= 2).map(|((_, n), z)| (n, z)).collect();
            let values = |rows: &RecordBatch| -> Vec<Vec<String>> { sorted(rows).into_iter().filter(|row| row[1] != "NULL").collect() };
            let text = |safe: &[(usize, i64)]| {
                let mut all: Vec<_> = safe.iter().map(|(n, z)| vec![z.to_string(), n.to_string()]).collect();
                all.sort();
                all
            };
            let few = format!("SELECT m.zone, COUNT(*) AS n {from} HAVING COUNT(*) < 5");
            let kept: Vec<_> = safe.iter().filter(|(n, _)| *n < 5).copied().collect();
            assert_eq!(values(&protected(&pool, &few, &homes(2), on(seed)).0), text(&kept), "{few}: seed {seed}");
            // the smallest of those that may come out, not of all
            safe.sort();
            safe.truncate(2);
            let least = format!("SELECT m.zone, COUNT(*) AS n {from} ORDER BY n, m.zone LIMIT 2");
            assert_eq!(values(&protected(&pool, &least, &homes(2), on(seed)).0), text(&safe), "{least}: seed {seed}");
        }
    }
}

#[test]
fn a_row_passes_by_entities_that_are_counted_too() {
    // of meters in homes with a long stay: the homes of both
    let sql = "SELECT m.green, COUNT(*) AS n FROM energy.meters m WHERE m.home IN (SELECT home FROM health.stays WHERE days > 5) GROUP BY m.green";
    // of meters in zones with a long stay: each zone stands for the homes that had one
    let zones = "SELECT m.green, COUNT(*) AS n FROM energy.meters m WHERE m.zone IN (SELECT zone FROM health.stays WHERE days > 5) GROUP BY m.green";
    for seed in 0..8 {
        let city = City::of(seed);
        let pool = city.pool();
        let long = |s: &&Stay| s.days.is_some_and(|d| d > 500);
        let (mut homes_expected, mut zones_expected) = (Vec::new(), Vec::new());
        for green in [None, Some(false), Some(true)] {
            let of = || city.meters.iter().filter(move |m| m.green == green);
            let in_homes: Vec<_> = of().filter(|m| m.home.is_some() && city.stays.iter().filter(long).any(|s| s.home == m.home)).collect();
            if distinct(in_homes.iter().map(|m| m.home)) >= 2 {
                homes_expected.push(vec![shown(green), in_homes.len().to_string()]);
            }
            let stays = |zone: i64| distinct(city.stays.iter().filter(long).filter(|s| s.zone == zone).map(|s| s.home));
            let in_zones: Vec<_> = of().filter(|m| city.stays.iter().filter(long).any(|s| s.zone == m.zone)).collect();
            if distinct(in_zones.iter().map(|m| m.home)) >= 2 && in_zones.iter().any(|m| stays(m.zone) >= 2) {
                zones_expected.push(vec![shown(green), in_zones.len().to_string()]);
            }
        }
        for (sql, mut expected) in [(sql, homes_expected), (zones, zones_expected)] {
            expected.sort();
            assert_eq!(sorted(&protected(&pool, sql, &homes(2), on(seed)).0), expected, "{sql}: seed {seed}");
        }
    }
}

#[test]
fn tables_without_an_entity_key_are_counted_by_rows() {
    let mut protection = homes(3);
    protection.datasets.values_mut().for_each(|data| data.entity_keys.clear());
    for seed in 0..6 {
        let city = City::of(seed);
        let pool = city.pool();
        let sql = "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone";
        let of = |zone: i64| city.meters.iter().filter(|m| m.zone == zone).count();
        let expected: Vec<_> = ZONES.iter().map(|(z, _)| vec![z.to_string(), shown(Some(of(*z)).filter(|n| *n >= 3))]).collect();
        assert_eq!(sorted(&protected(&pool, sql, &protection, on(seed)).0), expected, "seed {seed}");
    }
    let pool = City::of(1).pool();
    // a key of the table names its rows
    let met = "SELECT m.green, COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON s.home = m.home GROUP BY m.green";
    protection.datasets.remove("health.stays");
    for seed in 0..4 {
        let city = City::of(seed);
        let mut expected = Vec::new();
        for green in [None, Some(false), Some(true)] {
            let pairs = |m: &Meter| city.stays.iter().filter(|s| s.home.is_some() && s.home == m.home).count();
            let of: Vec<_> = city.meters.iter().filter(|m| m.green == green && pairs(m) > 0).collect();
            if of.len() >= 3 {
                expected.push(vec![shown(green), of.into_iter().map(pairs).sum::<usize>().to_string()]);
            }
        }
        expected.sort();
        assert_eq!(sorted(&protected(&city.pool(), met, &protection, on(seed)).0), expected, "seed {seed}");
    }
    protection.datasets.insert("health.stays".to_owned(), Protected::default());
    let many = "SELECT COUNT(*) AS n FROM health.stays a JOIN health.stays b ON b.home = a.home AND b.days > a.days";
    let said = refusal(&pool, many, &protection);
    assert!(said.contains("behind a join that repeats its rows") && said.contains("name an entity key"), "{said}");
}

#[test]
fn what_would_show_or_hide_single_entities_is_refused() {
    let pool = City::of(1).pool();
    let homes = homes(3);
    for (sql, what) in [
        ("SELECT meter, kwh FROM energy.meters", "what is of one entity of energy.meters"),
        ("SELECT m.meter, s.days FROM energy.meters m JOIN health.stays s ON s.home = m.home", "what is of one entity of energy.meters"),
        ("SELECT home, SUM(kwh) AS s FROM energy.meters GROUP BY home", "what is of one entity"),
        (
            "SELECT COUNT(*) AS n FROM energy.meters m WHERE NOT EXISTS (SELECT 1 FROM health.stays s WHERE s.home = m.home)",
            "cannot be counted behind NOT EXISTS",
        ),
        (
            "SELECT COUNT(*) AS n FROM energy.meters m WHERE EXISTS (SELECT 1 FROM health.stays s WHERE s.days > 4)",
            "cannot be counted behind EXISTS or IN with other conditions",
        ),
        (
            "SELECT zone, SUM(v) AS s FROM (SELECT zone, kwh - LAG(kwh) OVER (ORDER BY meter) AS v FROM energy.meters) x GROUP BY zone",
            "a window function that brings values of other rows",
        ),
    ] {
        let said = refusal(&pool, sql, &homes);
        assert!(said.contains(what), "{sql}\n{said}");
    }
}

/// The two attacks that are documented for other systems, and how far thresholds go.
#[test]
fn what_a_minimum_group_stops_and_what_it_does_not() {
    let mut city = City::default();
    for home in 1..=6 {
        city.meters.push(Meter { meter: home, home: Some(home), zone: 1, kwh: Some(10 * home), green: Some(true) });
    }
    let pool = city.pool();
    let answer = |sql: &str| cells(&protected(&pool, sql, &homes(5), On::Plain).0).remove(0);
    let null = || vec!["NULL".to_owned()];
    // narrowing: by WHERE, by FILTER, by a CASE of whatever values, by a condition as a number, in a sub-query
    for narrow in [
        "SELECT SUM(kwh) AS s FROM energy.meters WHERE meter = 3",
        "SELECT SUM(kwh) FILTER (WHERE meter = 3) AS s FROM energy.meters",
        "SELECT SUM(CASE WHEN meter = 3 THEN kwh END) AS s FROM energy.meters",
        "SELECT SUM(CASE WHEN meter = 3 THEN kwh ELSE 0 END) AS s FROM energy.meters",
        "SELECT SUM(CASE meter WHEN 3 THEN 1 ELSE 0 END * kwh) AS s FROM energy.meters",
        "SELECT SUM(kwh * CAST(meter = 3 AS INT)) AS s FROM energy.meters",
        "SELECT SUM(s) AS s FROM (SELECT zone, SUM(kwh) FILTER (WHERE meter = 3) AS s, COUNT(*) AS n FROM energy.meters GROUP BY zone) x",
        "SELECT SUM(x.kwh) AS s FROM (SELECT kwh FROM energy.meters ORDER BY meter LIMIT 1) x",
        "SELECT SUM(m.kwh * o.k) AS s FROM energy.meters m, (SELECT MAX(kwh) AS k FROM energy.meters WHERE meter = 3) o",
        "SELECT SUM(CASE WHEN meter = 3 THEN kwh ELSE 2 END) AS s FROM energy.meters",
        "SELECT SUM(CASE WHEN meter <> 3 THEN 2 * kwh ELSE kwh END) AS s FROM energy.meters",
        "SELECT AVG(CASE WHEN meter = 3 THEN kwh ELSE 2 END) AS s FROM energy.meters",
        "SELECT STDDEV_POP(CASE WHEN meter = 3 THEN kwh ELSE 2 END) AS s FROM energy.meters",
        "SELECT COUNT(DISTINCT CASE WHEN meter = 3 THEN kwh ELSE 30 END) AS s FROM energy.meters",
        "SELECT SUM(kwh * (2 - CAST(meter = 3 AS INT))) AS s FROM energy.meters",
        "SELECT COUNT(DISTINCT meter = 3 AND kwh > 20) AS s FROM energy.meters",
        "SELECT COUNT(DISTINCT x.b) AS s FROM (SELECT meter = 3 AND kwh > 20 AS b FROM energy.meters) x",
        "SELECT SUM(1 + CASE WHEN meter = 3 THEN kwh ELSE 0 END) AS s FROM energy.meters",
        "SELECT SUM(COALESCE(CASE WHEN meter = 3 THEN kwh END, 2)) AS s FROM energy.meters",
        "SELECT SUM(COALESCE(NULLIF(meter, 3) * 0 + 1, kwh)) AS s FROM energy.meters",
        "SELECT SUM(ABS(CASE WHEN meter = 3 THEN kwh ELSE -1 END)) AS s FROM energy.meters",
        "SELECT SUM(GREATEST(CASE WHEN meter = 3 THEN kwh ELSE 2 END, 1)) AS s FROM energy.meters",
        "SELECT SUM(CASE WHEN zone = 1 THEN CASE WHEN meter = 3 THEN kwh ELSE 2 END ELSE 5 END) AS s FROM energy.meters",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 0 END AS v FROM energy.meters) x",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v FROM energy.meters) x",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 0 END AS v FROM energy.meters) x WHERE x.v < 1000",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v FROM energy.meters ORDER BY v LIMIT 1000) x",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v, meter FROM energy.meters) x JOIN energy.meters m ON m.meter = x.meter",
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v, ROW_NUMBER() OVER (ORDER BY kwh) AS r FROM energy.meters) x WHERE x.r > 0",
        "SELECT SUM(x.v) AS s FROM (SELECT meter, SUM(CASE WHEN meter = 3 THEN kwh ELSE 2 END) AS v FROM energy.meters GROUP BY meter) x",
        "SELECT SUM(y.v) AS s FROM energy.meters m LEFT JOIN (SELECT meter, CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v FROM energy.meters) y ON m.meter = y.meter",
        "SELECT SUM(CASE WHEN x.meter = 3 THEN x.v ELSE 2 END) AS s FROM (SELECT meter, SUM(kwh) AS v FROM energy.meters GROUP BY meter) x",
        "SELECT SUM(kwh * TRY_CAST(meter = 3 AS INT)) AS s FROM energy.meters",
        // 0 is nothing only to a sum
        "SELECT AVG(CASE WHEN meter = 3 AND kwh > 20 THEN 0 ELSE 2 END) AS s FROM energy.meters",
        "SELECT COUNT(DISTINCT CASE WHEN meter = 3 AND kwh > 20 THEN 0 ELSE 2 END) AS s FROM energy.meters",
        "SELECT COVAR_POP(kwh, CASE WHEN meter = 3 THEN 0 ELSE 2 END) AS s FROM energy.meters",
        // groups of one entity each, of which the question chooses one
        "SELECT SUM(x.v) AS s FROM (SELECT home, SUM(CASE WHEN meter = 3 THEN kwh ELSE 0 END) AS v FROM energy.meters GROUP BY home) x",
        "SELECT SUM(x.v + 1) AS s FROM (SELECT home, SUM(kwh) FILTER (WHERE meter = 3) AS v FROM energy.meters GROUP BY home) x",
        "SELECT SUM(x.c) AS s FROM (SELECT home, COUNT(*) FILTER (WHERE meter = 3 AND kwh > 20) AS c FROM energy.meters GROUP BY home) x",
        "SELECT AVG(x.v) AS s FROM (SELECT home, MAX(CASE WHEN meter = 3 THEN 1 ELSE 0 END) * SUM(kwh) AS v FROM energy.meters GROUP BY home) x",
        "SELECT SUM(m.kwh * q.c) AS s FROM energy.meters m JOIN (SELECT home, COUNT(*) FILTER (WHERE meter = 3) AS c FROM energy.meters GROUP BY home) q \
         ON q.home = m.home",
        // weights that nobody's table has, and such as are 0 for all others
        "SELECT SUM(m.kwh * (COALESCE(l.v, 1) - 1)) AS s FROM energy.meters m LEFT JOIN (SELECT CAST(3 AS INT) AS i, CAST(2 AS INT) AS v) l ON l.i = m.meter",
        "SELECT SUM(m.kwh * (COALESCE(z.zone, 5) - 5)) AS s FROM energy.meters m LEFT JOIN (SELECT zone FROM public.zones WHERE zone = 3) z ON z.zone = m.meter",
        "SELECT SUM(COALESCE(x.b, x.kwh) - COALESCE(x.b, 1)) AS s FROM (SELECT kwh, NULLIF(kwh, 30) AS b FROM energy.meters) x",
        "SELECT SUM(CAST(m.kwh AS DECIMAL(18, 0)) * CAST(l.v AS DECIMAL(19, 0))) AS s FROM energy.meters m JOIN (VALUES (1, 0), (2, 0), (3, 1), (4, 0), (5, 0), (6, 0)) l(i, v) ON l.i = m.meter",
        "SELECT SUM(m.kwh * (z.zone - 1) * (z.zone - 2) * (z.zone - 4) * (z.zone - 5)) AS s FROM energy.meters m JOIN public.zones z ON z.zone = m.meter",
        "SELECT SUM(kwh * (meter - 1) * (meter - 2) * (meter - 4) * (meter - 5) * (meter - 6)) AS s FROM energy.meters",
    ] {
        assert_eq!(answer(narrow), null(), "{narrow}");
    }
    for unseen in [
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v FROM energy.meters UNION ALL SELECT kwh FROM energy.meters WHERE meter < 0) x",
        "SELECT SUM(x.v) AS s FROM (SELECT DISTINCT meter, CASE WHEN meter = 3 THEN kwh ELSE 2 END AS v FROM energy.meters) x",
        "SELECT SUM(x.v) AS s FROM (SELECT SUM(CASE WHEN meter = 3 THEN kwh ELSE 2 END) OVER (PARTITION BY meter) AS v FROM energy.meters) x",
        "SELECT SUM(x.kwh * x.c) AS s FROM (SELECT kwh, COUNT(*) FILTER (WHERE meter = 3) OVER (PARTITION BY home) AS c FROM energy.meters) x",
        "SELECT SUM(x.v) AS s FROM (SELECT meter, 1 AS v FROM energy.meters UNION ALL SELECT meter, kwh FROM energy.meters WHERE meter = 3) x",
        "SELECT SUM(x.k) AS s FROM (SELECT home, CASE WHEN kwh = 30 THEN kwh ELSE 1 END AS k FROM energy.meters GROUP BY 1, 2) x",
    ] {
        let said = refusal(&pool, unseen, &homes(5));
        assert!(said.contains("is of values that the question has chosen") && said.contains("choose in the aggregate"), "{unseen}\n{said}");
    }
    // what all rows have alike is no choice, nor is that a column has no value
    for (sql, sum) in [
        ("SELECT SUM(CASE WHEN meter = 3 THEN kwh ELSE kwh END) AS s FROM energy.meters", "210"),
        ("SELECT SUM(COALESCE(kwh, 5)) AS s FROM energy.meters", "210"),
        ("SELECT SUM(CASE WHEN zone = 1 THEN kwh ELSE 0 END) AS s FROM energy.meters", "210"),
        ("SELECT SUM(x.v) AS s FROM (SELECT meter, CASE WHEN zone = 1 THEN kwh ELSE 0 END AS v FROM energy.meters) x WHERE x.v > 0", "210"),
        (
            "SELECT SUM(x.v) AS s FROM (SELECT home, SUM(CASE WHEN zone = 1 THEN kwh ELSE 0 END) AS v FROM energy.meters GROUP BY home) x",
            "210",
        ),
        ("SELECT SUM(2 * kwh + 1) AS s FROM energy.meters", "426"),
        (
            "SELECT SUM(CAST(m.kwh AS DECIMAL(18, 0)) * CAST(w.w AS DECIMAL(19, 0))) AS s FROM energy.meters m JOIN (VALUES (1, 2), (2, 0)) w(zone, w) ON w.zone = m.zone",
            "420",
        ),
        (
            "SELECT SUM(x.v) AS s FROM (SELECT meter, kwh AS v FROM energy.meters UNION ALL SELECT meter, kwh FROM energy.meters WHERE meter < 6) x",
            "360",
        ),
        (
            "SELECT SUM(y.v) AS s FROM energy.meters m LEFT JOIN (SELECT meter, CASE WHEN zone = 1 THEN kwh END AS v FROM energy.meters WHERE meter < 7) y \
             ON m.meter = y.meter",
            "210",
        ),
    ] {
        assert_eq!(answer(sql), vec![sum.to_owned()], "{sql}");
    }
    // N versus N - 1: each of the two groups is large enough, and their difference is the third home's. Noise is what stops this.
    let (all, others) =
        (answer("SELECT SUM(kwh) AS s FROM energy.meters"), answer("SELECT SUM(kwh) AS s FROM energy.meters WHERE meter <> 3"));
    let number = |row: &[String]| row[0].parse::<i64>().expect("a number");
    assert_eq!(number(&all) - number(&others), 30);
    // weights that are nobody's 0 are not seen through
    let weights = "SELECT SUM(kwh * (1 + (meter - 1) * (meter - 2) * (meter - 4) * (meter - 5) * (meter - 6))) AS s FROM energy.meters";
    assert_eq!(number(&answer(weights)) - number(&all), 30 * -12);
}

/// What a CASE reads is carried up in an order that is the same at every node.
#[test]
fn a_protected_question_has_one_plan() {
    let pool = City::of(1).pool();
    let sql =
        "SELECT SUM(x.v) AS s FROM (SELECT CASE WHEN meter > 3 AND zone < 4 AND green THEN kwh ELSE home END AS v FROM energy.meters) x";
    let plans: std::collections::BTreeSet<_> =
        (0..20).map(|_| pool.protected(sql, &homes(2)).unwrap_or_else(|e| panic!("{e}")).hash()).collect();
    assert_eq!(plans.len(), 1);
}
