//! The four questions on real records of New York, which lie outside the project: `TACIT_DATA`, or ../shared/data.

use crate::fixture::Town;
use client::Ask;
use client::pooled::Pooled;
use client::render::{Format, Table};
use serde_json::Value;
use std::path::Path;

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
        if question.id == "boroughs" {
            let rows = Table::from_batch(&answer.rows).expect("cells").render(Format::Json);
            boroughs(&data, &serde_json::from_str(&rows).expect("JSON"));
        }
    }
}

/// Q1 of the data pack's own reference answers, which were computed elsewhere.
fn boroughs(data: &Path, rows: &Value) {
    let reference = std::fs::read_to_string(data.join("reference.json")).expect("the reference");
    let reference: Value = serde_json::from_str(&reference).expect("JSON");
    let questions = reference["questions"].as_array().expect("questions");
    let answer = &questions.iter().find(|q| q["id"] == "Q1").expect("Q1")["answer"];
    let expected = answer.as_object().expect("boroughs");
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), expected.len());
    for row in rows {
        let mut numbers: Vec<f64> = row.as_object().expect("a row").values().filter_map(Value::as_f64).collect();
        let want = &expected[row["borough"].as_str().expect("a borough")];
        let mut want: Vec<f64> = want.as_object().expect("a row").values().filter_map(Value::as_f64).collect();
        numbers.sort_by(f64::total_cmp);
        want.sort_by(f64::total_cmp);
        assert_eq!(numbers, want, "{row}");
    }
}
