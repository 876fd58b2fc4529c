//! Protected answers: clamps and caps against DataFusion on tables that are clamped and capped by hand, minimum groups against a plain
//! reference, greatest shares against the same rule as SQL.

mod bounds;
mod difference;
mod dominance;
mod groups;
mod margins;
mod noise;

use super::pool::{On, Pool};
use query::datafusion::arrow::array::RecordBatch;
use query::datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use query::finish::Suppressed;
use query::protection::{Protected, Protection};
use std::fmt::Write;

const CATALOG: &str = r#"
version = 1
[[domain]]
name = "zone"
table = "public.zones"
column = "zone"
[[table]]
name = "public.zones"
rows = 5
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
key = ["zone"]
column = [
    { name = "zone", type = "INT", min = 1, max = 5, nullable = false },
    { name = "side", type = "STRING", dictionary = ["east", "west"], nullable = false },
]
[[table]]
name = "energy.meters"
max_rows = 24
key = ["meter"]
release = "rows"
column = [
    { name = "meter", type = "INT", min = 1, max = 99, nullable = false },
    { name = "home", type = "INT", min = 1, max = 20, repeats = 3 },
    { name = "zone", type = "INT", min = 1, max = 5, domain = "zone", nullable = false },
    { name = "kwh", type = "INT", min = -10, max = 100 },
    { name = "green", type = "BOOLEAN" },
]
[[table]]
name = "health.stays"
max_rows = 20
release = "rows"
column = [
    { name = "home", type = "INT", min = 1, max = 20 },
    { name = "zone", type = "INT", min = 1, max = 5, domain = "zone", nullable = false },
    { name = "days", type = "DECIMAL(5,2)", min = 0, max = 30 },
]
"#;

const ZONES: [(i64, &str); 5] = [(1, "east"), (2, "west"), (3, "east"), (4, "east"), (5, "west")];

#[derive(Clone, Debug)]
struct Meter {
    meter: i64,
    home: Option<i64>,
    zone: i64,
    kwh: Option<i64>,
    green: Option<bool>,
}

#[derive(Clone, Debug)]
struct Stay {
    home: Option<i64>,
    zone: i64,
    /// In hundredths.
    days: Option<i64>,
}

/// A small city of a seed, in which homes have up to three meters, and some rows are of no home.
#[derive(Clone, Debug, Default)]
struct City {
    meters: Vec<Meter>,
    stays: Vec<Stay>,
}

struct Stream(u64);

impl Stream {
    fn below(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n) as i64
    }

    fn some<T>(&mut self, value: T) -> Option<T> {
        (self.below(6) > 0).then_some(value)
    }
}

impl City {
    fn of(seed: u64) -> Self {
        let mut s = Stream(seed);
        let homes = 3 + s.below(10) as u64;
        let mut city = City::default();
        for meter in 0..s.below(24) {
            let home = 1 + s.below(homes);
            let full = city.meters.iter().filter(|m| m.home == Some(home)).count() >= 3;
            let home = if full { None } else { s.some(home) };
            let (zone, kwh, green) = (1 + s.below(5).min(s.below(5)), 100 - s.below(111), s.below(2) == 0);
            city.meters.push(Meter { meter: 1 + meter, home, zone, kwh: s.some(kwh), green: s.some(green) });
        }
        for _ in 0..s.below(20) {
            let (home, zone, days) = (1 + s.below(homes), 1 + s.below(5).min(s.below(5)), s.below(3000));
            city.stays.push(Stay { home: s.some(home), zone, days: s.some(days) });
        }
        city
    }

    fn pool(&self) -> Pool {
        let mut pool = Pool::new(["transport", "energy", "health"], CATALOG).expect("a catalogue");
        fn text<T: ToString>(cell: &Option<T>) -> String {
            cell.as_ref().map_or(String::new(), ToString::to_string)
        }
        let zones = ZONES.iter().fold("zone,side\n".to_owned(), |csv, (zone, side)| csv + &format!("{zone},{side}\n"));
        let (mut meters, mut stays) = ("meter,home,zone,kwh,green\n".to_owned(), "home,zone,days\n".to_owned());
        for Meter { meter, home, zone, kwh, green } in &self.meters {
            writeln!(meters, "{meter},{},{zone},{},{}", text(home), text(kwh), text(green)).expect("text");
        }
        for Stay { home, zone, days } in &self.stays {
            let days = days.map(|d| format!("{}.{:02}", d / 100, d % 100));
            writeln!(stays, "{},{zone},{}", text(home), text(&days)).expect("text");
        }
        for (name, csv) in [("public.zones", zones), ("energy.meters", meters), ("health.stays", stays)] {
            pool.add(name, csv.as_bytes()).expect("as declared");
        }
        pool
    }
}

/// Both data sets, groups of at least so many homes.
fn homes(min_group: u64) -> Protection {
    let data = || Protected { entity_keys: ["home".to_owned()].into(), ..Protected::default() };
    Protection {
        min_group,
        dominance_pct: 100,
        datasets: [("energy.meters".to_owned(), data()), ("health.stays".to_owned(), data())].into(),
        noise: None,
    }
}

/// A protected answer; among three parties, at the stated price, the same.
fn protected(pool: &Pool, sql: &str, protection: &Protection, on: On) -> (RecordBatch, Option<Suppressed>) {
    let plan = pool.protected(sql, protection).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let answer = |on| pool.whole_answer_by(&plan, &ground, on).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let clear = answer(On::Plain);
    if on == On::Rep3 {
        let shared = answer(On::Rep3);
        assert_eq!((sorted(&clear.rows), clear.suppressed), (sorted(&shared.rows), shared.suppressed), "{sql}");
    }
    (clear.rows, clear.suppressed)
}

/// Where a seed's city is asked.
fn on(seed: u64) -> On {
    if seed.is_multiple_of(4) { On::Rep3 } else { On::Plain }
}

/// The refusal of a question.
fn refusal(pool: &Pool, sql: &str, protection: &Protection) -> String {
    match pool.protected(sql, protection) {
        Err(refused) => refused.to_string(),
        Ok(plan) => panic!("{sql}\nis not refused:\n{:?}", plan.relations),
    }
}

/// The cells of an answer as text, sorted.
fn sorted(rows: &RecordBatch) -> Vec<Vec<String>> {
    let mut all = cells(rows);
    all.sort();
    all
}

fn cells(rows: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = rows.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("everything has a text")).collect();
    (0..rows.num_rows()).map(|r| columns.iter().map(|c| c.value(r).to_string()).collect()).collect()
}

/// NULL, or a number.
fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "NULL".into(), |v| v.to_string())
}
