//! The questions on real records of New York, which lie outside the project: `TACIT_DATA`, or ../shared/data.

use crate::fixture::Town;
use client::Ask;
use client::pooled::Pooled;
use client::render::{Format, Table};
use serde_json::Value;
use std::path::Path;

/// Questions of records that are refused as yet, and why. One that runs must leave this list.
const NOT_YET: &[(&str, &str)] = &[];

#[test]
fn real_records_give_the_reference_answers() {
    let data = match scenarios::shared_data() {
        Ok(data) => data.join("nyc"),
        Err(absent) => return eprintln!("skipped: {absent}"),
    };
    let mut town = Town::of(tempfile::tempdir().expect("a folder"), &data);
    town.up();
    let client = town.client();
    let pooled = Pooled::open(&town.city, client.catalog()).expect("pooled");
    for question in scenarios::real() {
        let answer = town.runtime.block_on(client.ask(question.sql, &Ask::default(), |_| {}));
        let answer = answer.unwrap_or_else(|e| panic!("{}: {e}\n{}", question.id, town.logs()));
        assert_eq!(pooled.compare(question.sql, &answer.rows).expect("in clear"), None, "{}", question.id);
        let rows = Table::from_batch(&answer.rows).expect("cells").render(Format::Json);
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        match question.id {
            "boroughs" => boroughs(&reference(&data, "Q1"), &rows),
            "correlations" => correlations(&reference(&data, "Q2"), &rows[0]),
            "asthma" => asthma(&reference(&data, "Q9"), &rows[0]),
            _ => {}
        }
    }
    for question in scenarios::records() {
        let listed = NOT_YET.iter().any(|(id, _)| *id == question.id);
        let answer = match (town.runtime.block_on(client.ask(question.sql, &Ask::default(), |_| {})), listed) {
            (Ok(answer), false) => answer,
            (Err(_), true) => continue,
            (Ok(_), true) => panic!("{} runs: take it off the list", question.id),
            (Err(e), false) => panic!("{}: {e}\n{}", question.id, town.logs()),
        };
        assert_eq!(pooled.compare(question.sql, &answer.rows).expect("in clear"), None, "{}", question.id);
        let rows = Table::from_batch(&answer.rows).expect("cells").render(Format::Json);
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        let by = |id: &str, key: fn(&Value) -> String| groups(&reference(&data, id), &rows, key);
        match question.id {
            "addresses" => by("Q5", |row| text(&row["grade"])),
            "omicron" => figures(&reference(&data, "Q3"), &rows[0]),
            "quartiles" => by("Q8", |row| format!("taxi{}_energy{}", text(&row["taxi"]), text(&row["energy"]))),
            "percentiles" => by("Q9", |row| if row["above"] == true { "above" } else { "below" }.to_owned()),
            other => panic!("{other} has no reference"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Every row is the reference's of its key, and there are no others.
fn groups(reference: &Value, rows: &Value, key: fn(&Value) -> String) {
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), reference.as_object().expect("groups").len());
    rows.iter().for_each(|row| figures(&reference[key(row)], row));
}

/// Every figure of the reference is the row's, within the reference's tolerance.
fn figures(reference: &Value, row: &Value) {
    for (name, want) in reference.as_object().expect("figures") {
        let (got, want) = (row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}")), want.as_f64().expect("a figure"));
        assert!((got - want).abs() <= 1e-7 * want.abs(), "{name}: {got}, {want}");
    }
}

/// An answer of the data pack's own, which was computed elsewhere.
fn reference(data: &Path, id: &str) -> Value {
    let text = std::fs::read_to_string(data.join("reference.json")).expect("the reference");
    let reference: Value = serde_json::from_str(&text).expect("JSON");
    let questions = reference["questions"].as_array().expect("questions");
    questions.iter().find(|q| q["id"] == id).expect(id)["answer"].clone()
}

fn boroughs(reference: &Value, rows: &Value) {
    let expected = reference.as_object().expect("boroughs");
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), expected.len());
    for row in rows {
        for (name, value) in expected[row["borough"].as_str().expect("a borough")].as_object().expect("figures") {
            assert_eq!(row[name].as_f64(), value.as_f64(), "{name} in {row}");
        }
    }
}

fn correlations(reference: &Value, row: &Value) {
    assert_eq!(row["n_zones"], reference["n_zones"]);
    for (ours, theirs) in [
        ("d_eui", "dropoffs_per_1000~gfa_weighted_eui"),
        ("d_dr", "dropoffs_per_1000~covid_deaths_per_100k"),
        ("d_cs", "dropoffs_per_1000~critical_violation_share"),
        ("eui_dr", "gfa_weighted_eui~covid_deaths_per_100k"),
        ("eui_cs", "gfa_weighted_eui~critical_violation_share"),
        ("dr_cs", "covid_deaths_per_100k~critical_violation_share"),
    ] {
        let (got, want) = (row[ours].as_f64().expect("a figure"), reference[theirs].as_f64().expect("a figure"));
        assert!((got - want).abs() <= 1e-7 * want.abs(), "{ours}: {got}, {want}");
    }
}

/// The reference has medians, which this release does not compute; the grouping must be the same.
fn asthma(reference: &Value, row: &Value) {
    assert_eq!(row["trips_above"], reference["above"]["n"]);
    assert_eq!(row["trips_below"], reference["below"]["n"]);
}
