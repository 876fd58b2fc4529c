//! The questions on real records of New York, which lie outside the project: `TACIT_DATA`, or ../shared/data.

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
    for question in scenarios::real().iter().chain(scenarios::records()) {
        let answer = town.runtime.block_on(client.ask(question.sql, &Ask::default(), |_| {}));
        let answer = answer.unwrap_or_else(|e| panic!("{}: {e}\n{}", question.id, town.logs()));
        eprintln!(
            "{}: {:.2} s, {} rounds, {} bytes",
            question.id,
            answer.elapsed.as_secs_f64(),
            answer.costs.rounds(),
            answer.costs.bytes()
        );
        assert_eq!(pooled.compare(question.sql, &answer.rows).expect("in clear"), None, "{}", question.id);
        let rows = Table::from_batch(&answer.rows).expect("cells").render(Format::Json);
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        let of = |id| Reference::read(&data, id);
        match question.id {
            "boroughs" => of("Q1").groups(&rows, |row| text(&row["borough"])),
            "correlations" => correlations(&of("Q2"), &rows[0]),
            "thresholds" => assert_eq!(rows.as_array().map(Vec::len), Some(1), "ours alone; the clear answer is its reference"),
            "asthma" => asthma(&of("Q9"), &rows[0]),
            "addresses" => of("Q5").groups(&rows, |row| text(&row["grade"])),
            "omicron" => of("Q3").row(&of("Q3").answer, &rows[0]),
            "quartiles" => of("Q8").groups(&rows, |row| format!("taxi{}_energy{}", text(&row["taxi"]), text(&row["energy"]))),
            "percentiles" => of("Q9").groups(&rows, |row| if row["above"] == true { "above" } else { "below" }.to_owned()),
            other => panic!("{other} has no reference"),
        }
    }
}

/// An answer of the data pack's own, which was computed elsewhere.
struct Reference {
    answer: Value,
    tolerance: f64,
}

impl Reference {
    fn read(data: &Path, id: &str) -> Self {
        let text = std::fs::read_to_string(data.join("reference.json")).expect("the reference");
        let reference: Value = serde_json::from_str(&text).expect("JSON");
        let questions = reference["questions"].as_array().expect("questions");
        let question = questions.iter().find(|q| q["id"] == id).expect(id);
        Reference { answer: question["answer"].clone(), tolerance: question["relative_tolerance"].as_f64().expect("a tolerance") }
    }

    /// Every row is the reference's of its key, and there are no others.
    fn groups(&self, rows: &Value, key: fn(&Value) -> String) {
        let rows = rows.as_array().expect("rows");
        assert_eq!(rows.len(), self.answer.as_object().expect("groups").len());
        rows.iter().for_each(|row| self.row(&self.answer[key(row)], row));
    }

    /// Every figure of these is the row's.
    fn row(&self, figures: &Value, row: &Value) {
        figures.as_object().expect("figures").iter().for_each(|(name, want)| self.figure(name, want, &row[name]));
    }

    fn figure(&self, name: &str, want: &Value, got: &Value) {
        let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{name} is {v}"));
        let (got, want) = (number(got), number(want));
        assert!((got - want).abs() <= self.tolerance * want.abs(), "{name}: {got}, {want}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn correlations(reference: &Reference, row: &Value) {
    reference.figure("n_zones", &reference.answer["n_zones"], &row["n_zones"]);
    for (ours, theirs) in [
        ("d_eui", "dropoffs_per_1000~gfa_weighted_eui"),
        ("d_dr", "dropoffs_per_1000~covid_deaths_per_100k"),
        ("d_cs", "dropoffs_per_1000~critical_violation_share"),
        ("eui_dr", "gfa_weighted_eui~covid_deaths_per_100k"),
        ("eui_cs", "gfa_weighted_eui~critical_violation_share"),
        ("dr_cs", "covid_deaths_per_100k~critical_violation_share"),
    ] {
        reference.figure(ours, &reference.answer[theirs], &row[ours]);
    }
}

/// The reference has medians (`percentiles` does too); the grouping is the same.
fn asthma(reference: &Reference, row: &Value) {
    reference.figure("trips_above", &reference.answer["above"]["n"], &row["trips_above"]);
    reference.figure("trips_below", &reference.answer["below"]["n"], &row["trips_below"]);
}
