//! Groups beside their total, against a plain reference; and what the total tells of those that do not come out.

use super::*;
use std::collections::BTreeSet;

/// A group: its key, and whose its rows are.
type Cell = (String, Vec<Option<i64>>);

/// What comes out of cells beside their total: the number of rows of each, and of all.
fn shown_of(cells: &[Cell], least: usize) -> (Vec<Option<usize>>, Option<usize>) {
    let entities = |homes: &[Option<i64>]| homes.iter().flatten().collect::<BTreeSet<_>>().len();
    let all: Vec<Option<i64>> = cells.iter().flat_map(|(_, homes)| homes.clone()).collect();
    let total = (entities(&all) >= least).then_some(all.len());
    // empty groups are none
    let mut order: Vec<usize> = (0..cells.len()).filter(|c| !cells[*c].1.is_empty()).collect();
    order.sort_by_key(|c| (entities(&cells[*c].1) >= least, entities(&cells[*c].1), *c));
    let any = order.first().is_some_and(|c| entities(&cells[*c].1) < least);
    let (mut shown, mut before) = (vec![None; cells.len()], 0);
    for (place, c) in order.into_iter().enumerate() {
        let own = entities(&cells[c].1);
        let hidden = any && (own < least || place == 1 || before < least);
        shown[c] = (!hidden).then_some(cells[c].1.len());
        before += own;
    }
    (shown, total)
}

fn by_zone(city: &City) -> Vec<Cell> {
    let of = |zone: i64| city.meters.iter().filter(|m| m.zone == zone).map(|m| m.home).collect();
    ZONES.iter().map(|(zone, _)| (zone.to_string(), of(*zone))).collect()
}

const BESIDE: &str = "SELECT zone, COUNT(*) AS n, (SELECT COUNT(*) FROM energy.meters) AS t FROM energy.meters GROUP BY zone";

#[test]
fn another_group_goes_with_one_that_its_total_would_tell() {
    let below = "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone UNION ALL SELECT 0, COUNT(*) FROM energy.meters";
    let joined = "SELECT x.zone, x.n, y.n AS t FROM (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) x, \
                  (SELECT COUNT(*) AS n FROM energy.meters) y";
    let mut more = 0;
    for seed in 0..10 {
        let city = City::of(seed);
        let pool = city.pool();
        let cells = by_zone(&city);
        for least in [2, 3, 5] {
            let (shown_cells, total) = shown_of(&cells, least);
            let alone = |homes: &[Option<i64>]| homes.iter().flatten().collect::<BTreeSet<_>>().len() >= least;
            more += cells.iter().zip(&shown_cells).filter(|((_, homes), shown)| alone(homes) && shown.is_none()).count();
            let expected: Vec<_> =
                cells.iter().zip(&shown_cells).map(|((zone, _), n)| vec![zone.clone(), shown(*n), shown(total)]).collect();
            let protection = homes(least as u64);
            let answer = |sql: &str| sorted(&protected(&pool, sql, &protection, on(seed)).0);
            assert_eq!(answer(BESIDE), expected, "seed {seed}, k = {least}");
            // rows that come out one by one are not there without a value
            let visible = |row: &&Vec<String>| row[1] != "NULL";
            let rows = answer(joined);
            let known: Vec<_> = expected.iter().filter(visible).filter(|row| row[2] != "NULL").collect();
            assert_eq!(rows.iter().filter(visible).collect::<Vec<_>>(), known, "{joined}: seed {seed}, k = {least}");
            let rows = answer(below);
            let all = vec!["0".to_owned(), shown(total)];
            let known: Vec<_> =
                std::iter::once(all).chain(expected.iter().map(|row| row[..2].to_vec())).filter(|row| visible(&row)).collect();
            assert_eq!(rows.into_iter().filter(|row| visible(&row)).collect::<Vec<_>>(), known, "{below}: seed {seed}, k = {least}");
        }
    }
    assert!(more > 5, "{more}");
}

#[test]
fn on_shares_as_well() {
    let met = "FROM energy.meters m JOIN health.stays s ON s.home = m.home";
    let sql = format!("SELECT m.green, COUNT(*) AS n FROM {} GROUP BY m.green UNION ALL SELECT TRUE, COUNT(*) {met}", &met[5..]);
    for seed in 0..6 {
        let city = City::of(seed);
        let pairs = |green: Option<bool>| {
            let of = city.meters.iter().filter(move |m| m.green == green);
            of.flat_map(|m| city.stays.iter().filter(|s| s.home.is_some() && s.home == m.home).map(move |_| m.home)).collect::<Vec<_>>()
        };
        let cells: Vec<Cell> = [Some(false), Some(true), None].map(|green| (shown(green), pairs(green))).into();
        for least in [2, 3] {
            let (shown_cells, total) = shown_of(&cells, least);
            let mut expected: Vec<_> =
                cells.iter().zip(shown_cells).filter_map(|((green, _), n)| Some(vec![green.clone(), n?.to_string()])).collect();
            expected.extend(total.map(|n| vec!["true".to_owned(), n.to_string()]));
            expected.sort();
            let rows = protected(&city.pool(), &sql, &homes(least as u64), on(seed)).0;
            assert_eq!(sorted(&rows), expected, "seed {seed}, k = {least}");
        }
    }
}

/// All tables of up to two rows in each of three zones, homes 1 and 2: whoever has the released table knows of hidden cells their sum alone, and that is of
/// at least two of them, and of at least so many entities. Each can be anything from 0 to it.
#[test]
fn no_hidden_cell_is_told_by_the_total() {
    let plan = City::default().pool().protected(BESIDE, &homes(2)).unwrap_or_else(|e| panic!("{e}"));
    let mut hidden_beside_total = 0;
    let zones: [&[i64]; 6] = [&[], &[1], &[2], &[1, 1], &[1, 2], &[2, 2]];
    // zones in any order are the same
    for of in (0..6_usize.pow(3)).map(|n| [n % 6, n / 6 % 6, n / 36]).filter(|of| of.is_sorted()) {
        let mut city = City::default();
        for (zone, of) in (1..).zip(of) {
            for home in zones[of] {
                let meter = city.meters.len() as i64 + 1;
                city.meters.push(Meter { meter, home: Some(*home), zone, kwh: None, green: None });
            }
        }
        let pool = city.pool();
        let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
        let rows = cells(&pool.whole_answer_by(&plan, &ground, On::Plain).unwrap_or_else(|e| panic!("{e}")).rows);
        let number = |text: &str| text.parse::<usize>().ok();
        let Some(total) = number(&rows[0][2]) else { continue };
        let told: usize = rows.iter().filter_map(|row| number(&row[1])).sum();
        let hidden: Vec<&Vec<String>> = rows.iter().filter(|row| row[1] == "NULL").collect();
        let there = |row: &&&Vec<String>| city.meters.iter().any(|m| m.zone.to_string() == row[0]);
        let count = hidden.iter().filter(there).count();
        assert!(count != 1, "{city:?}: {rows:?}");
        assert!(count == 0 || total - told >= 2, "{city:?}: {rows:?}");
        hidden_beside_total += usize::from(count > 0);
    }
    assert!(hidden_beside_total > 20, "{hidden_beside_total}");
}

#[test]
fn a_total_of_what_is_shown_tells_nothing() {
    let sql = "SELECT zone, COUNT(*) AS n, SUM(COUNT(*)) OVER () AS t FROM energy.meters GROUP BY zone";
    for seed in 0..6 {
        let city = City::of(seed);
        let enough = |homes: &[Option<i64>]| homes.iter().flatten().collect::<BTreeSet<_>>().len() >= 3;
        let safe: Vec<_> = by_zone(&city).into_iter().filter(|(_, homes)| enough(homes)).collect();
        let total: usize = safe.iter().map(|(_, homes)| homes.len()).sum();
        let expected: Vec<_> = safe.iter().map(|(zone, homes)| vec![zone.clone(), homes.len().to_string(), total.to_string()]).collect();
        let rows = sorted(&protected(&city.pool(), sql, &homes(3), on(seed)).0);
        assert_eq!(rows.into_iter().filter(|row| row[1] != "NULL").collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

#[test]
fn tables_of_two_ways_are_refused() {
    let pool = City::of(1).pool();
    for (sql, what) in [
        (
            "SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone UNION ALL SELECT CAST(green AS INT), COUNT(*) FROM energy.meters GROUP BY green",
            "by green and by zone beside each other",
        ),
        (
            "SELECT zone, COUNT(*) AS n, (SELECT COUNT(*) FROM energy.meters) AS t FROM energy.meters GROUP BY zone HAVING COUNT(*) > 2",
            "by zone beside their total, of which a condition",
        ),
        (
            "SELECT z.side, x.n, y.n AS t FROM public.zones z JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) x \
             ON x.zone = z.zone, (SELECT COUNT(*) AS n FROM energy.meters) y",
            "by zone beside their total, of which a condition",
        ),
        (
            "SELECT m.zone, COUNT(*) AS n, MAX(t.n) AS t FROM energy.meters m JOIN (SELECT green, COUNT(*) AS n FROM energy.meters \
             GROUP BY green) t ON t.green = m.green GROUP BY m.zone",
            "by green and by zone beside each other",
        ),
    ] {
        let said = refusal(&pool, sql, &homes(3));
        assert!(said.contains(what), "{sql}\n{said}");
    }
    // of one kind, or of two data sets, there is no total
    for sql in [
        "SELECT (SELECT COUNT(*) FROM energy.meters) AS a, (SELECT COUNT(*) FROM energy.meters WHERE green) AS b",
        "SELECT zone, COUNT(*) AS n, (SELECT COUNT(*) FROM health.stays) AS t FROM energy.meters GROUP BY zone",
    ] {
        protected(&pool, sql, &homes(3), On::Plain);
    }
}

const ALL: &str = "(SELECT COUNT(*) AS n FROM energy.meters)";

/// A total that each group has as its mean, or as its greatest value, comes out with them all.
#[test]
fn a_total_inside_an_aggregate_is_beside_its_groups() {
    let of = |value: &str, from: &str| {
        format!("SELECT m.zone, COUNT(*) AS n, {value} AS t FROM energy.meters m CROSS JOIN {from} t GROUP BY m.zone")
    };
    let questions = [
        of("MAX(t.n)", ALL),
        of("CAST(AVG(t.n) AS BIGINT)", ALL),
        of("SUM(t.n) / COUNT(*)", ALL),
        of("MAX(t.n)", "(SELECT COUNT(*) AS n FROM energy.meters GROUP BY zone * 0)"),
        of("MAX(t.n)", "(SELECT zone, COUNT(*) AS n FROM (SELECT zone * 0 AS zone FROM energy.meters) a GROUP BY zone)"),
        of("MAX(t.n)", &format!("(SELECT n FROM public.zones CROSS JOIN {ALL} a WHERE zone = 1)")),
        "SELECT m.zone, COUNT(*) AS n, MAX(m.t) AS t FROM (SELECT zone, (SELECT COUNT(*) FROM energy.meters) AS t FROM energy.meters) m \
         GROUP BY m.zone"
            .to_owned(),
    ];
    let mut more = 0;
    for seed in 0..10 {
        let city = City::of(seed);
        let pool = city.pool();
        let cells = by_zone(&city);
        for least in [2, 3] {
            let (shown_cells, total) = shown_of(&cells, least);
            let alone = |homes: &[Option<i64>]| homes.iter().flatten().collect::<BTreeSet<_>>().len() >= least;
            more += cells.iter().zip(&shown_cells).filter(|((_, homes), shown)| alone(homes) && shown.is_none()).count();
            let known =
                cells.iter().zip(shown_cells).filter_map(|((zone, _), n)| Some(vec![zone.clone(), n?.to_string(), total?.to_string()]));
            let known: Vec<_> = known.collect();
            for sql in &questions {
                let rows = sorted(&protected(&pool, sql, &homes(least as u64), on(seed)).0);
                let rows: Vec<_> = rows.into_iter().filter(|row| row[1] != "NULL").collect();
                assert_eq!(rows, known, "{sql}: seed {seed}, k = {least}");
            }
        }
    }
    assert!(more > 5, "{more}");
}

/// What counts more carefully: folds of folds, pairs of rows, and rows and folds of several owners that meet.
#[test]
fn however_it_is_made_a_total_inside_an_aggregate_never_tells_one_group() {
    let met = "FROM energy.meters m JOIN health.stays s ON s.home = m.home";
    let folded = |table: &str| format!("(SELECT zone, COUNT(*) AS n FROM {table} GROUP BY zone)");
    let questions = [
        format!("SELECT m.zone, SUM(m.n) AS n, MAX(m.t) AS t FROM (SELECT m.zone, m.green, COUNT(*) AS n, MAX(t.n) AS t FROM energy.meters m \
         CROSS JOIN {ALL} t GROUP BY m.zone, m.green) m GROUP BY m.zone"),
        "SELECT m.zone, COUNT(DISTINCT m.meter) AS n, COUNT(DISTINCT t.meter) AS t FROM energy.meters m CROSS JOIN energy.meters t GROUP BY m.zone"
            .to_owned(),
        format!("SELECT m.zone, COUNT(*) AS n, MAX(t.n) AS t {met} CROSS JOIN (SELECT COUNT(*) AS n {met}) t GROUP BY m.zone"),
        format!("SELECT m.zone, COUNT(*) AS n, MAX(t.n) AS t {met} CROSS JOIN {ALL} t GROUP BY m.zone"),
        format!(
            "SELECT z.zone, SUM(x.n) AS n, MAX(t.n) AS t, SUM(y.n) AS o FROM public.zones z LEFT JOIN {} x ON x.zone = z.zone \
             LEFT JOIN {} y ON y.zone = z.zone CROSS JOIN {ALL} t GROUP BY z.zone",
            folded("energy.meters"),
            folded("health.stays")
        ),
        format!(
            "SELECT z.zone, SUM(x.n) AS n, MAX(t.n) AS t FROM public.zones z LEFT JOIN {} x ON x.zone = z.zone CROSS JOIN {ALL} t GROUP BY z.zone",
            folded("energy.meters")
        ),
    ];
    for sql in &questions {
        for seed in 0..8 {
            let city = City::of(seed);
            let Ok(plan) = city.pool().protected(sql, &homes(3)) else { continue };
            let pool = city.pool();
            let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{e}"));
            let rows = cells(&pool.whole_answer_by(&plan, &ground, on(seed)).unwrap_or_else(|e| panic!("{e}")).rows);
            let joins =
                |m: &&Meter| !sql.contains("s ON s.home") || m.home.is_some_and(|home| city.stays.iter().any(|s| s.home == Some(home)));
            let there: BTreeSet<String> = city.meters.iter().filter(joins).map(|m| m.zone.to_string()).collect();
            let shown: BTreeSet<String> = rows.iter().filter(|row| row[1] != "NULL").map(|row| row[0].clone()).collect();
            let hidden: Vec<&String> = there.difference(&shown).collect();
            assert!(shown.is_empty() || hidden.len() != 1, "{sql}: seed {seed}: {rows:?}");
        }
    }
}

#[test]
fn what_is_no_total_hides_no_other_group() {
    let questions = [
        "SELECT m.zone, COUNT(*) AS n, MAX(t.n) AS t FROM energy.meters m JOIN (SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) t \
         ON t.zone = m.zone GROUP BY m.zone",
        "SELECT m.zone, COUNT(*) AS n, SUM(h.c) AS t FROM energy.meters m LEFT JOIN (SELECT home, COUNT(*) AS c FROM energy.meters GROUP BY home) h \
         ON h.home = m.home GROUP BY m.zone",
        "SELECT m.zone, COUNT(*) AS n FROM energy.meters m CROSS JOIN (SELECT COUNT(*) AS n FROM energy.meters) t WHERE t.n > 0 GROUP BY m.zone",
        "SELECT m.zone, COUNT(*) AS n, MAX(t.n) AS t FROM energy.meters m CROSS JOIN (SELECT COUNT(*) AS n FROM health.stays) t GROUP BY m.zone",
    ];
    let pool = City::of(1).pool();
    for sql in questions {
        let plan = pool.protected(sql, &homes(3)).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        assert!(!format!("{plan:?}").contains("safe by itself"), "{sql}");
    }
    let folded = |given: &str| format!("(SELECT zone, COUNT(*) AS n FROM energy.meters WHERE {given} GROUP BY zone)");
    let of_zones = format!(
        "SELECT z.side, SUM(x.n) AS n, SUM(y.n) AS o FROM public.zones z JOIN {} x ON x.zone = z.zone JOIN {} y ON y.zone = z.zone GROUP BY z.side",
        folded("TRUE"),
        folded("green")
    );
    pool.protected(&of_zones, &homes(3)).unwrap_or_else(|e| panic!("{of_zones}\n{e}"));
}
