//! TPC-H: the field's benchmark for SQL, its tables dealt out to three agencies.
//!
//! `sales` holds the customers and their orders, `logistics` the orders' lines, `supply` the parts, the suppliers and where they are. So
//! nearly every join of the benchmark crosses from one agency to another, on keys that are private on both sides.
//!
//! The rows are those of the specification's own generator (the crate `tpchgen` is a port of it, equal byte for byte), at any scale factor.

mod catalog;
mod tables;

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::layout::{Format, Source};

/// The agencies of TPC-H, in the order of the roster.
pub const PARTIES: [&str; 3] = ["sales", "logistics", "supply"];

/// One of the 22 queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// 1 to 22.
    pub number: usize,
    /// Its SQL with the specification's validation parameters, at scale factor 1; what was rewritten is said in its opening comment.
    text: &'static str,
}

macro_rules! queries {
    ($($number:literal $file:literal),* $(,)?) => {
        [$(Query { number: $number, text: include_str!(concat!("../sql/tpch/", $file, ".sql")) }),*]
    };
}

/// All 22.
pub const QUERIES: [Query; 22] = queries![
    1 "q01", 2 "q02", 3 "q03", 4 "q04", 5 "q05", 6 "q06", 7 "q07", 8 "q08", 9 "q09", 10 "q10", 11 "q11", 12 "q12", 13 "q13", 14 "q14",
    15 "q15", 16 "q16", 17 "q17", 18 "q18", 19 "q19", 20 "q20", 21 "q21", 22 "q22",
];

impl Query {
    /// `q1` to `q22`.
    pub fn name(&self) -> String {
        format!("q{}", self.number)
    }

    /// What it is called in the specification.
    pub fn title(&self) -> &'static str {
        let after = self.text.split_once(", ").map_or("", |(_, rest)| rest);
        after.split_once('.').map_or(after, |(title, _)| title)
    }

    /// What was rewritten, as its opening comment says.
    pub fn rewritten(&self) -> &'static str {
        self.text.lines().nth(1).and_then(|line| line.strip_prefix("-- ")).unwrap_or("")
    }

    /// The SQL at a scale factor: the specification lets the fraction of Q11 shrink as the tables grow.
    pub fn sql(&self, scale: f64) -> String {
        match self.number {
            11 => self.text.replace("* 0.0001\n", &format!("* {:.10}\n", 0.0001 / scale)),
            _ => self.text.to_owned(),
        }
    }
}

/// The tables at one scale factor, as files in a folder.
#[derive(Clone, Debug)]
pub struct Tpch {
    folder: PathBuf,
    scale: f64,
    /// name without its schema, and exact number of rows
    rows: Vec<(&'static str, u64)>,
}

impl Tpch {
    /// Writes the tables into `folder`: one CSV a table, one folder an agency.
    pub fn generate(folder: &Path, scale: f64) -> Result<Self, DataError> {
        let mut rows = Vec::new();
        for party in PARTIES {
            let home = folder.join(party);
            std::fs::create_dir_all(&home).map_err(|source| DataError::Write { path: home.clone(), source })?;
            for table in catalog::TABLES.iter().filter(|t| t.party == party) {
                rows.push((table.name, tables::write(table, scale, &home.join(format!("{}.csv", table.name)))?));
            }
        }
        Ok(Self { folder: folder.to_path_buf(), scale, rows })
    }

    /// The scale factor.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The catalogue, as TOML. What it declares follows from the specification and the scale factor; the number of rows is exact.
    pub fn catalog_toml(&self) -> String {
        catalog::toml(self.scale, &self.rows)
    }

    /// The tables of one agency.
    pub fn sources(&self, party: &str) -> Vec<Source> {
        let of = catalog::TABLES.iter().filter(|t| t.party == party);
        of.map(|t| Source {
            table: format!("{}.{}", t.party, t.name),
            path: self.folder.join(party).join(format!("{}.csv", t.name)),
            format: Format::Csv,
        })
        .collect()
    }

    /// How many rows the tables have that a query names.
    pub fn rows_of(&self, sql: &str) -> u64 {
        let named = |name: &str| sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        self.rows.iter().filter(|(name, _)| named(name)).map(|(_, rows)| rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_says_which_it_is_and_what_was_rewritten() {
        for (at, query) in QUERIES.iter().enumerate() {
            assert_eq!(query.number, at + 1);
            assert!(query.text.starts_with(&format!("-- TPC-H Q{}, ", query.number)), "{}", query.name());
            assert!(!query.title().is_empty(), "{}", query.name());
            assert!(query.rewritten().starts_with("As in the spec") || query.rewritten().starts_with("Rewritten: "), "{}", query.name());
        }
        assert_eq!(QUERIES[10].title(), "important stock identification");
        assert!(QUERIES[10].sql(0.01).contains("* 0.0100000000\n"));
    }

    #[test]
    fn the_tables_have_the_rows_of_their_scale() {
        let folder = tempfile::tempdir().expect("folder");
        let tpch = Tpch::generate(folder.path(), 0.001).expect("generate");
        let rows = |name: &str| tpch.rows.iter().find(|(n, _)| *n == name).map(|(_, rows)| *rows);
        assert_eq!(["customer", "orders", "part", "supplier", "nation", "region"].map(rows), [150, 1500, 200, 10, 25, 5].map(Some));
        assert_eq!(tpch.rows_of(&QUERIES[5].sql(0.001)), rows("lineitem").expect("lineitem"));
        assert!(PARTIES.iter().flat_map(|p| tpch.sources(p)).all(|s| s.path.is_file()));
    }
}
