//! What an agency does before a job of a question over a table under a minimum group: whom each cell of the answer is made of, computed at home, and held
//! against what it told before.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ledger::bytes::Hash;
use party::difference::{Asked, Guard, Refused};
use query::catalog::Catalog;
use query::compile::compile_protected;
use query::datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use query::datafusion::datasource::MemTable;
use query::ground::Ground;
use query::local::{Local, Tables};
use query::plan::Plan;
use query::protection::{Protected, Protection};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Restaurants, as many as New York has.
pub const ROWS: usize = 22_000;
/// Cells that were told before.
pub const HISTORY: usize = 1000;
const ZONES: i32 = 177;
const KINDS: i64 = 8;
const MIN_GROUP: u64 = 10;
const OWNER: &str = "health";

/// A table, and the guard of its owner.
pub struct City {
    catalog: Catalog,
    tables: Tables,
    local: Local,
    guard: Guard,
}

impl City {
    /// Nothing of it was told yet.
    pub fn new(folder: &Path) -> Result<Self> {
        let catalog = Catalog::parse(&format!(
            "version = 1\n[[table]]\nname = \"public.zones\"\nrows = {ZONES}\nsha256 = \"{}\"\nkey = [\"zone\"]\n\
             column = [{{ name = \"zone\", type = \"INT\", nullable = false }}]\n\
             [[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n\
             [[table]]\nname = \"health.restaurants\"\nmax_rows = 30000\nkey = [\"camis\"]\ncolumn = [\n\
             {{ name = \"camis\", type = \"BIGINT\", min = 0, max = 1000000000, nullable = false }},\n\
             {{ name = \"zone\", type = \"INT\", min = 1, max = {ZONES}, domain = \"zones\", nullable = false }},\n\
             {{ name = \"kind\", type = \"INT\", min = 0, max = 100, nullable = false }},\n\
             {{ name = \"score\", type = \"INT\", min = 0, max = 1000 }},\n]\n",
            Hash::sha256(&[])
        ));
        let catalog = catalog.map_err(|error| anyhow!("{error}"))?;
        // the same each time, and nowhere evenly spread
        let drawn = |row: i64, what: &[u8], below: i64| {
            let hash = Hash::sha256(&[what, &row.to_be_bytes()]);
            hash.0[..7].iter().fold(0, |number, byte| number << 8 | i64::from(*byte)) % below
        };
        let rows = || 0..ROWS as i64;
        let whole = |what: &'static [u8], below| Int32Array::from_iter_values(rows().map(|row| drawn(row, what, below) as i32));
        let zones = rows().map(|row| 1 + drawn(row, b"zone", i64::from(ZONES)) as i32);
        let scores = rows().map(|row| (drawn(row, b"none", 20) > 0).then(|| drawn(row, b"score", 60) as i32));
        let restaurants: [(&str, ArrayRef); 4] = [
            ("camis", Arc::new(Int64Array::from_iter_values(rows().map(|row| 30_000_000 + 7 * row)))),
            ("zone", Arc::new(Int32Array::from_iter_values(zones))),
            ("kind", Arc::new(whole(b"kind", KINDS))),
            ("score", Arc::new(Int32Array::from_iter(scores))),
        ];
        let public: [(&str, ArrayRef); 1] = [("zone", Arc::new(Int32Array::from_iter_values(1..=ZONES)))];
        let mut tables = Tables::new();
        for (name, batch) in [
            ("public.zones", RecordBatch::try_from_iter(public)?),
            ("health.restaurants", RecordBatch::try_from_iter_with_nullable(restaurants.map(|(name, of)| (name, of, name == "score")))?),
        ] {
            tables.insert(name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?));
        }
        Ok(Self { catalog, tables, local: Local::new(1 << 30)?, guard: Guard::new(OWNER, folder) })
    }

    /// The restaurants of each zone and their scores, without those of one kind.
    pub fn question(&self, kind: i64) -> Result<Question> {
        let sql = format!(
            "SELECT z.zone, COUNT(*) AS n, AVG(r.score) AS score FROM public.zones z JOIN health.restaurants r ON r.zone = z.zone \
             WHERE r.kind <> {kind} GROUP BY z.zone"
        );
        let data = Protected { entity_keys: ["camis".into()].into(), ..Protected::default() };
        let datasets = [("health.restaurants".into(), data)].into();
        let protection = Protection { min_group: MIN_GROUP, dominance_pct: 100, datasets, noise: None };
        let plan = compile_protected(&sql, &self.catalog, &protection).map_err(|error| anyhow!("{}", error.message))?;
        let ground = Ground::new(&plan, &self.local, &self.tables)?;
        Ok(Question { plan, ground })
    }

    /// Tells what questions of other kinds show, until so many cells are told.
    pub fn tell(&self, cells: usize) -> Result<usize> {
        let mut told = 0;
        for kind in 1..KINDS {
            if told >= cells {
                return Ok(told);
            }
            told += self.judge(&self.question(kind)?, true)?.1;
        }
        bail!("{told} cells are all there is to tell")
    }

    /// How long it takes to find that a question may be answered, and how many cells it would tell.
    pub fn admit(&self, question: &Question) -> Result<(Duration, usize)> {
        self.judge(question, false)
    }

    /// How long the owner's own part of the job takes, beside it.
    pub fn at_home(&self, question: &Question) -> Result<Duration> {
        let start = Instant::now();
        let home = self.local.at_home(&question.plan, OWNER, &question.ground, &self.tables)?;
        drop(home);
        Ok(start.elapsed())
    }

    fn judge(&self, question: &Question, keep: bool) -> Result<(Duration, usize)> {
        let Question { plan, ground } = question;
        let asked = Asked { plan, ground, local: &self.local, tables: &self.tables, catalog: &self.catalog };
        let start = Instant::now();
        let told = match self.guard.admit(&asked) {
            Ok(told) => told,
            Err(Refused::Here(refusal)) => bail!("{refusal}"),
            Err(Refused::Local(error)) => return Err(error).context("the local stage"),
        };
        if keep {
            told.keep().map_err(|refusal| anyhow!("{refusal}"))?;
        }
        let (taken, cells) = (start.elapsed(), told.cells());
        ensure!(cells > ZONES as usize, "{cells} cells are not all");
        Ok((taken, cells))
    }
}

/// What is asked, as the owner has compiled it.
pub struct Question {
    plan: Plan,
    ground: Ground,
}
