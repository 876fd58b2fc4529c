//! Every cell of every file is what the catalogue declares: type, range, length, NULL, dictionary, domain, key, number of rows.
//!
//! A second reading of the files, apart from the party's own loader: it keeps the declarations honest on the invented city
//! and, where the data pack is there, on the real records.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use scenarios::{City, DEMO_SEED, Format, PARTIES, Source, generate, shared_data};

#[test]
fn the_invented_city() {
    for seed in [0, 1, DEMO_SEED] {
        let (data, work) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        generate(data.path(), seed).expect("generate");
        check(data.path(), work.path());
    }
}

#[test]
fn the_real_records() {
    match shared_data() {
        Ok(pack) => {
            for city in ["nyc", "nyc_bronx"] {
                let work = tempfile::tempdir().expect("folder");
                check(&pack.join(city), work.path());
            }
        }
        Err(absent) => eprintln!("skipped: {absent}"),
    }
}

fn check(data: &Path, work: &Path) {
    let city = City::open(data, work).expect("open");
    let catalog: toml::Table = city.catalog_toml().parse().expect("the catalogue is TOML");
    let tables = catalog["table"].as_array().expect("tables");
    let find = |name: &str| tables.iter().find(|t| t["name"].as_str() == Some(name)).expect("in the catalogue");
    let public = city.public_sources();
    let private = PARTIES.iter().flat_map(|p| city.sources(p));
    let sources: Vec<Source> = public.into_iter().chain(private).collect();
    assert_eq!(sources.len(), tables.len());

    let mut domains = HashMap::new();
    for domain in catalog["domain"].as_array().expect("domains") {
        let column = domain["column"].as_str().expect("column");
        let source = sources.iter().find(|s| Some(s.table.as_str()) == domain["table"].as_str()).expect("a table");
        let values = column_of(source, column);
        domains.insert(domain["name"].as_str().expect("name").to_owned(), values);
    }
    for source in &sources {
        Checked::new(find(&source.table), &source.table).all(source, &domains);
    }
}

fn column_of(source: &Source, column: &str) -> HashSet<String> {
    let mut reader = open(source);
    let at = reader.headers().expect("header").iter().position(|h| h == column).expect("column");
    reader.records().map(|row| row.expect("row")[at].to_owned()).collect()
}

fn open(source: &Source) -> csv::Reader<Box<dyn Read>> {
    let file = std::fs::File::open(&source.path).expect("file");
    csv::Reader::from_reader(match source.format {
        Format::Csv => Box::new(file),
        Format::CsvGz => Box::new(GzDecoder::new(file)),
    })
}

/// A table's declarations, ready to be held against its rows.
struct Checked<'a> {
    name: &'a str,
    columns: Vec<Column<'a>>,
    key: Vec<usize>,
    exact_rows: Option<i64>,
    max_rows: i64,
}

struct Column<'a> {
    name: &'a str,
    /// digits behind the point; `None` for dates and text
    scale: Option<usize>,
    date: Option<(&'a str, &'a str)>,
    range: Option<(i128, i128)>,
    nullable: bool,
    domain: Option<&'a str>,
    dictionary: Option<Vec<&'a str>>,
    max_bytes: Option<usize>,
}

impl<'a> Checked<'a> {
    fn new(table: &'a toml::Value, name: &'a str) -> Self {
        let columns: Vec<_> = table["column"].as_array().expect("columns").iter().map(Column::new).collect();
        let position = |c: &toml::Value| columns.iter().position(|x| Some(x.name) == c.as_str()).expect("key column");
        let key = table["key"].as_array().expect("key").iter().map(position).collect();
        let exact_rows = table.get("rows").and_then(toml::Value::as_integer);
        let max_rows = table.get("max_rows").and_then(toml::Value::as_integer).or(exact_rows).expect("a bound on rows");
        Self { name, columns, key, exact_rows, max_rows }
    }

    fn all(&self, source: &Source, domains: &HashMap<String, HashSet<String>>) {
        let mut reader = open(source);
        let header: Vec<_> = reader.headers().expect("header").iter().map(str::to_owned).collect();
        assert_eq!(header, self.columns.iter().map(|c| c.name).collect::<Vec<_>>(), "{}", self.name);
        let (mut keys, mut rows) = (HashSet::new(), 0);
        for row in reader.records() {
            let row = row.expect("row");
            rows += 1;
            for (cell, column) in row.iter().zip(&self.columns) {
                assert!(column.admits(cell, domains), "{}.{}, row {rows}", self.name, column.name);
            }
            let key: Vec<_> = self.key.iter().map(|&at| row[at].to_owned()).collect();
            assert!(keys.insert(key), "{}: the key of row {rows} occurred before", self.name);
        }
        assert!(rows <= self.max_rows, "{}: {rows} rows", self.name);
        assert!(self.exact_rows.is_none_or(|exact| exact == rows), "{}: {rows} rows", self.name);
    }
}

impl<'a> Column<'a> {
    fn new(column: &'a toml::Value) -> Self {
        let text = |name: &str| column.get(name).and_then(toml::Value::as_str);
        let kind = text("type").expect("type");
        let scale = match kind {
            "INT" | "BIGINT" => Some(0),
            "DATE" | "STRING" => None,
            decimal => {
                let inside = decimal.strip_prefix("DECIMAL(").and_then(|d| d.strip_suffix(')')).expect("a known type");
                Some(inside.split_once(',').expect("scale").1.parse().expect("scale"))
            }
        };
        let bound = |name: &str| i128::from(column[name].as_integer().expect("a bound"));
        let unit = 10_i128.pow(scale.unwrap_or(0) as u32);
        Self {
            name: text("name").expect("name"),
            scale,
            date: (kind == "DATE").then(|| (text("min").expect("min"), text("max").expect("max"))),
            range: scale.map(|_| (bound("min") * unit, bound("max") * unit)),
            nullable: column.get("nullable").and_then(toml::Value::as_bool).unwrap_or(true),
            domain: text("domain"),
            dictionary: column.get("dictionary").map(|d| d.as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect()),
            max_bytes: column.get("max_bytes").and_then(toml::Value::as_integer).map(|bytes| bytes as usize),
        }
    }

    fn admits(&self, cell: &str, domains: &HashMap<String, HashSet<String>>) -> bool {
        if cell.is_empty() {
            return self.nullable;
        }
        let number = self.scale.is_none_or(|scale| scaled(cell, scale).is_some());
        let ranged = match (self.range, self.date) {
            (Some((min, max)), _) => self.scale.and_then(|s| scaled(cell, s)).is_some_and(|v| (min..=max).contains(&v)),
            (_, Some((min, max))) => cell.len() == 10 && min <= cell && cell <= max,
            _ => true,
        };
        number
            && ranged
            && self.max_bytes.is_none_or(|most| cell.len() <= most)
            && self.dictionary.as_ref().is_none_or(|d| d.contains(&cell))
            && self.domain.is_none_or(|d| domains[d].contains(cell))
    }
}

/// The cell times 10^scale, if it is a number with at most that many decimals.
fn scaled(cell: &str, scale: usize) -> Option<i128> {
    let (whole, behind) = cell.split_once('.').unwrap_or((cell, ""));
    if behind.len() > scale {
        return None;
    }
    format!("{whole}{behind:0<scale$}").parse().ok()
}
