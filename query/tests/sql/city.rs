//! The city's questions in which agencies meet record by record: on the invented city on shares, and in clear on the real records of New
//! York, where they are there, against the reference answers that lie beside them.

use super::pool::{On, Pool};
use flate2::read::GzDecoder;
use query::datafusion::arrow::array::{Array, RecordBatch};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::{DataType, Float64Type};
use query::explain::explain;
use scenarios::{City, DEMO_SEED, Format, PARTIES, Question, question};
use serde_json::Value;
use std::fs::File;
use std::path::Path;

/// Questions that are refused as yet, and why. One that runs must leave this list.
const NOT_YET: &[(&str, &str)] = &[];

#[test]
fn questions_of_records_on_the_invented_city() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    scenarios::generate(&data, DEMO_SEED).expect("the generator writes the city");
    let pool = pool(&data, folder.path());
    let mut failures = Vec::new();
    for question in scenarios::records() {
        let listed = NOT_YET.iter().any(|(id, _)| *id == question.id);
        match (pool.check(question.sql, On::Rep3), listed) {
            (Ok(None), false) | (Ok(Some(_)), true) => {}
            (Ok(None), true) => failures.push(format!("{}: runs and agrees: take it off the list", question.id)),
            (Ok(Some(e)), false) => failures.push(format!("{} is refused: {} {e}", question.id, e.code)),
            (Err(what), _) => failures.push(format!("{}: {what}", question.id)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Which way each operator takes, by what measure, and what the others would cost.
#[test]
fn explain_names_ways_and_what_others_would_cost() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    scenarios::generate(&data, DEMO_SEED).expect("the generator writes the city");
    let pool = pool(&data, folder.path());
    let groups = "SELECT g.grade, COUNT(*) AS n FROM health.restaurants r JOIN energy.graded_buildings g ON g.address_key = r.address_key \
        GROUP BY g.grade";
    let join = ("health asks energy by keys that each knows at home", "or the keys of both sides are sorted together");
    for (sql, ours, other) in [(question("addresses").expect("one of ours").sql, join.0, join.1), (groups, "by 4 masks", "or by sorting")] {
        let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{e}"));
        let text = explain(&plan, &pool.public(), &PARTIES).unwrap_or_else(|e| panic!("{e}")).to_string();
        let ways: Vec<&str> = text
            .lines()
            .skip_while(|line| {
                *line
                    != "Chosen (no sort on shares where an owner knows the order; else of least estimated time over the network of the catalogue: 1 Gbit/s from each party, 0.5 ms there and back)"
            })
            .collect();
        let of = |part: &str| ways.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in {text}"));
        assert!(of(ours) < of(other), "the way that is taken comes first: {text}");
        let figures = |line: usize| {
            ways[line].split_whitespace().filter_map(|word| word.trim_start_matches('~').parse::<u64>().ok()).collect::<Vec<_>>()
        };
        let (taken, left) = (figures(of(ours)), figures(of(other)));
        // the last two are rounds and bytes
        assert!(taken.len() >= 2 && left.len() >= 2 && taken.last() < left.last(), "{taken:?} {left:?}");
    }
}

#[test]
fn the_reference_answers_are_those_of_our_sql() {
    let data = match scenarios::shared_data() {
        Ok(data) => data.join("nyc"),
        Err(absent) => return eprintln!("skipped: {absent}"),
    };
    let work = tempfile::tempdir().expect("a folder");
    let pool = pool(&data, work.path());
    let text = std::fs::read_to_string(data.join("reference.json")).expect("the reference");
    let reference: Value = serde_json::from_str(&text).expect("JSON");
    for entry in reference["questions"].as_array().expect("questions") {
        let Some((ours, matches)) = entry["id"].as_str().and_then(of) else { continue };
        let answer = pool.clear(ours.sql).unwrap_or_else(|e| panic!("{}: {e}", ours.id));
        let tolerance = entry["relative_tolerance"].as_f64().expect("a tolerance");
        matches(&Table(answer), &entry["answer"], tolerance);
    }
}

/// How an answer of ours is held against the reference.
type Matches = fn(&Table, &Value, f64);

/// Our question for one of the reference's.
fn of(id: &str) -> Option<(&'static Question, Matches)> {
    let (ours, matches): (_, Matches) = match id {
        "Q1" => ("boroughs", |t, v, e| t.by_key(&["borough"], v, e, |key| key[0].clone())),
        "Q2" => ("correlations", |t, v, e| {
            let names = ["d", "eui", "dr", "cs"];
            let long = ["dropoffs_per_1000", "gfa_weighted_eui", "covid_deaths_per_100k", "critical_violation_share"];
            t.equals(0, "n_zones", &v["n_zones"], e);
            for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                t.equals(0, &format!("{}_{}", names[a], names[b]), &v[format!("{}~{}", long[a], long[b])], e);
            }
        }),
        "Q3" => ("omicron", |t, v, e| t.row(0, v, e)),
        "Q5" => ("addresses", |t, v, e| t.by_key(&["grade"], v, e, |key| key[0].clone())),
        "Q8" => ("quartiles", |t, v, e| t.by_key(&["taxi", "energy"], v, e, |key| format!("taxi{}_energy{}", key[0], key[1]))),
        "Q9" => ("percentiles", |t, v, e| {
            t.by_key(&["above"], v, e, |key| if key[0] == "true" { "above" } else { "below" }.to_owned());
        }),
        _ => return None,
    };
    Some((question(ours).expect("one of ours"), matches))
}

/// An answer.
struct Table(RecordBatch);

impl Table {
    fn text(&self, row: usize, column: &str) -> String {
        let column = self.0.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
        let text = cast(column, &DataType::Utf8).expect("everything has a text");
        query::datafusion::arrow::array::AsArray::as_string::<i32>(&text).value(row).to_owned()
    }

    fn equals(&self, row: usize, name: &str, want: &Value, tolerance: f64) {
        let column = self.0.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        assert!(!column.is_null(row), "{name} is NULL");
        let number = cast(column, &DataType::Float64).expect("a number");
        let got = query::datafusion::arrow::array::AsArray::as_primitive::<Float64Type>(&number).value(row);
        let want = want.as_f64().unwrap_or_else(|| panic!("the reference has no {name}"));
        assert!((got - want).abs() <= tolerance * want.abs(), "{name}: {got}, {want}");
    }

    /// Every figure of an object is a column of that row.
    fn row(&self, row: usize, figures: &Value, tolerance: f64) {
        for (name, want) in figures.as_object().expect("figures") {
            self.equals(row, name, want, tolerance);
        }
    }

    /// Every row is the object of its key, and there are no others.
    fn by_key(&self, keys: &[&str], reference: &Value, tolerance: f64, name: impl Fn(&[String]) -> String) {
        assert_eq!(self.0.num_rows(), reference.as_object().expect("groups").len());
        for row in 0..self.0.num_rows() {
            let key: Vec<String> = keys.iter().map(|key| self.text(row, key)).collect();
            self.row(row, &reference[name(&key)], tolerance);
        }
    }
}

pub(super) fn pool(data: &Path, work: &Path) -> Pool {
    let city = City::open(data, work).expect("the folder is a city");
    let mut pool = Pool::new(PARTIES, &city.catalog_toml()).expect("the catalogue is sound");
    for source in PARTIES.iter().flat_map(|p| city.sources(p)).chain(city.public_sources()) {
        let file = File::open(&source.path).expect("the city was looked over");
        match source.format {
            Format::Csv => pool.add(&source.table, file),
            Format::CsvGz => pool.add(&source.table, GzDecoder::new(file)),
        }
        .expect("as declared");
    }
    pool
}
