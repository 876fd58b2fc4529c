//! Answers for people and for programs: aligned tables as `psql` has them, CSV, JSON; and sizes and times in words.

use query::datafusion::arrow::array::{Array, RecordBatch};
use query::datafusion::arrow::datatypes::DataType;
use query::datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use query::message::job::Places;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Where a job stands in the city's log, in words.
pub fn places(places: &Places) -> String {
    match places.result {
        Some(result) => format!("entries {} and {result} of the log", places.query),
        None => format!("entry {} of the log", places.query),
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, for reading.
    #[default]
    Table,
    /// Comma-separated values with a header line; NULL is an empty field.
    Csv,
    /// A JSON array with one object per row; of two columns of one name the second is `name_1`.
    Json,
}

/// Columns and rows of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
}

/// What a column's cells are in JSON, and to which side they are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Boolean,
}

impl Table {
    /// A table of text columns with these names.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let columns = columns.map(|name| Column { name: name.into(), kind: Kind::Text });
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are cut off, missing ones are NULL.
    pub fn push(&mut self, row: impl IntoIterator<Item = impl Into<String>>) {
        let mut row: Vec<_> = row.into_iter().map(|cell| Some(cell.into())).collect();
        row.resize(self.columns.len(), None);
        self.rows.push(row);
    }

    /// The cells of an answer.
    ///
    /// # Errors
    /// A column has a type with no text form.
    pub fn from_batch(batch: &RecordBatch) -> Result<Self, String> {
        let schema = batch.schema();
        let columns = schema.fields().iter().map(|f| Column { name: f.name().clone(), kind: kind(f.data_type()) }).collect();
        let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
        let options = FormatOptions::default();
        for array in batch.columns() {
            let cells = ArrayFormatter::try_new(array, &options).map_err(|e| e.to_string())?;
            for (at, row) in rows.iter_mut().enumerate() {
                row.push(if array.is_null(at) { None } else { Some(cells.value(at).try_to_string().map_err(|e| e.to_string())?) });
            }
        }
        Ok(Self { columns, rows })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text in one of the formats, ending in a newline.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.aligned(),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    /// Aligned columns under a header, without a row count.
    pub fn aligned(&self) -> String {
        let header: Vec<String> = self.columns.iter().map(|c| visible(&c.name)).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().map_or("NULL".into(), visible)).collect()).collect();
        let widths: Vec<usize> =
            (0..header.len()).map(|at| rows.iter().map(|row| row[at].width()).chain([header[at].width()]).max().unwrap_or(0)).collect();
        let line = |cells: &[String], right: &dyn Fn(usize) -> bool| {
            let mut line = String::new();
            for (at, cell) in cells.iter().enumerate() {
                let fill = " ".repeat(widths[at] - cell.width());
                let bar = if at == 0 { " " } else { " | " };
                let (before, after) = if right(at) { (fill.as_str(), "") } else { ("", fill.as_str()) };
                line += &format!("{bar}{before}{cell}{after}");
            }
            line.trim_end().to_owned() + "\n"
        };
        let mut out = line(&header, &|_| false);
        out += &widths.iter().map(|w| "-".repeat(w + 2)).collect::<Vec<_>>().join("+");
        out.push('\n');
        for row in &rows {
            out += &line(row, &|at| self.columns[at].kind == Kind::Number);
        }
        out
    }

    fn csv(&self) -> String {
        let quote = |cell: &str| match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.to_owned(),
        };
        let mut out = self.columns.iter().map(|c| quote(&c.name)).collect::<Vec<_>>().join(",") + "\n";
        for row in &self.rows {
            // an empty string is quoted, so that it is not read as NULL
            let cells = row.iter().map(|cell| match cell.as_deref() {
                None => String::new(),
                Some("") => "\"\"".into(),
                Some(text) => quote(text),
            });
            out += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        out
    }

    fn json(&self) -> String {
        let names = distinct(self.columns.iter().map(|column| column.name.as_str()));
        let mut out = String::from("[");
        for (number, row) in self.rows.iter().enumerate() {
            out += if number == 0 { "\n  {" } else { ",\n  {" };
            for (at, ((column, name), cell)) in self.columns.iter().zip(&names).zip(row).enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                write!(out, "{comma}{}: {}", quoted(name), json_cell(column.kind, cell.as_deref())).ok();
            }
            out.push('}');
        }
        out += if self.rows.is_empty() { "]\n" } else { "\n]\n" };
        out
    }
}

/// Keys of a JSON object. SQL lets two columns have one name, an object does not: the later ones are `n_1`, `n_2`, as DuckDB names them.
fn distinct<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut taken: HashSet<String> = names.clone().map(ToOwned::to_owned).collect();
    let mut seen = HashSet::new();
    let unique = |name: &str| match seen.insert(name.to_owned()) {
        true => name.to_owned(),
        false => {
            let free = (1u64..).map(|n| format!("{name}_{n}")).find(|name| taken.insert(name.clone()));
            free.expect("there are more numbers than columns")
        }
    };
    names.map(unique).collect()
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Dictionary(_, value) => kind(value),
        other if other.is_numeric() => Kind::Number,
        _ => Kind::Text,
    }
}

/// A number keeps every digit it has; what JSON cannot say as a number (NaN, infinity) is null.
fn json_cell(kind: Kind, cell: Option<&str>) -> String {
    match (kind, cell) {
        (_, None) => "null".into(),
        (Kind::Boolean, Some(text)) => text.into(),
        (Kind::Number, Some(text)) => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(_) => text.into(),
            Err(_) => "null".into(),
        },
        (Kind::Text, Some(text)) => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A cell on one line, with nothing in it that a terminal would act on.
fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Text of another node, made safe for a terminal; line breaks stay.
pub fn plain(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Bytes in words: `812 B`, `14.2 kB`, `3.40 MB`.
pub fn bytes(n: u64) -> String {
    scaled(n, "B", &["kB", "MB", "GB", "TB"])
}

/// A count in words: `812`, `14.2 k`, `3.40 M`.
pub fn count(n: u64) -> String {
    scaled(n, "", &["k", "M", "G", "T"])
}

fn scaled(n: u64, unit: &str, larger: &[&str]) -> String {
    if n < 1000 {
        return format!("{n} {unit}").trim_end().to_owned();
    }
    let mut value = n as f64 / 1000.0;
    let mut at = 0;
    while value >= 999.5 && at + 1 < larger.len() {
        value /= 1000.0;
        at += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", larger[at])
}

/// A duration in words: `850 µs`, `12.3 ms`, `4.21 s`, `3 min 20 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 59.995 => format!("{s:.2} s"),
        s => format!("{} min {} s", (s.round() as u64) / 60, (s.round() as u64) % 60),
    }
}

/// `1 row`, `2 rows`.
pub fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::datafusion::arrow::array::{BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let decimals = Decimal128Array::from(vec![Some(12_345), None]).with_precision_and_scale(20, 2).expect("a type");
        RecordBatch::try_from_iter_with_nullable([
            ("borough", Arc::new(StringArray::from(vec!["Bronx, the \"b\"", ""])) as Arc<dyn Array>, true),
            ("n", Arc::new(Int64Array::from(vec![Some(7), Some(-1_000)])), true),
            ("fare", Arc::new(decimals), true),
            ("r", Arc::new(Float64Array::from(vec![0.1, f64::NAN])), true),
            ("dense", Arc::new(BooleanArray::from(vec![Some(true), None])), true),
            ("day", Arc::new(Date32Array::from(vec![Some(19_000), None])), true),
        ])
        .expect("a batch")
    }

    #[test]
    fn tables_are_aligned_and_numbers_stand_right() {
        let text = Table::from_batch(&batch()).expect("cells").render(Format::Table);
        let expected = [
            " borough        | n     | fare   | r   | dense | day",
            "----------------+-------+--------+-----+-------+------------",
            " Bronx, the \"b\" |     7 | 123.45 | 0.1 | true  | 2022-01-08",
            "                | -1000 |   NULL | NaN | NULL  | NULL",
        ];
        assert_eq!(text, expected.join("\n") + "\n");
    }

    #[test]
    fn csv_tells_empty_from_null() {
        let text = Table::from_batch(&batch()).expect("cells").render(Format::Csv);
        let expected = "borough,n,fare,r,dense,day\n\"Bronx, the \"\"b\"\"\",7,123.45,0.1,true,2022-01-08\n\"\",-1000,,NaN,,\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_has_numbers_as_numbers_and_nulls_as_null() {
        let text = Table::from_batch(&batch()).expect("cells").render(Format::Json);
        let rows: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let expected = serde_json::json!([
            {"borough": "Bronx, the \"b\"", "n": 7, "fare": 123.45, "r": 0.1, "dense": true, "day": "2022-01-08"},
            {"borough": "", "n": -1000, "fare": null, "r": null, "dense": null, "day": null},
        ]);
        assert_eq!(rows, expected);
        assert_eq!(Table::new(["a"]).render(Format::Json), "[]\n");
    }

    #[test]
    fn no_column_is_lost_in_json_when_two_have_one_name() {
        let mut table = Table::new(["n", "n", "n_1", "n"]);
        table.push(["a", "b", "c", "d"]);
        let text = table.render(Format::Json);
        assert_eq!(text, "[\n  {\"n\": \"a\", \"n_2\": \"b\", \"n_1\": \"c\", \"n_3\": \"d\"}\n]\n");
        assert!(table.aligned().starts_with(" n | n | n_1 | n\n") && table.render(Format::Csv).starts_with("n,n,n_1,n\n"));
    }

    #[test]
    fn a_cell_cannot_move_the_cursor() {
        let mut table = Table::new(["a"]);
        table.push(["x\u{1b}[2Jy\nz"]);
        assert_eq!(table.aligned(), " a\n----------------\n x\\u{1b}[2Jy\\nz\n");
        assert_eq!(plain("one\ntwo\u{7}"), "one\ntwo\\u{7}");
    }

    #[test]
    fn wide_letters_take_two_places() {
        let mut table = Table::new(["名", "b"]);
        table.push(["x", "y"]);
        assert_eq!(table.aligned(), " 名 | b\n----+---\n x  | y\n");
    }

    #[test]
    fn sizes_and_times_in_words() {
        assert_eq!(
            [0, 999, 1000, 14_234, 999_499, 999_500, 3_400_000].map(bytes).join("; "),
            "0 B; 999 B; 1.00 kB; 14.2 kB; 999 kB; 1.00 MB; 3.40 MB"
        );
        assert_eq!([12, 65_536].map(count).join("; "), "12; 65.5 k");
        let times = [17, 850_000, 12_300_000, 999_960_000, 4_210_000_000, 59_990_000_000, 200_000_000_000];
        let words = times.map(|n| duration(Duration::from_nanos(n))).join("; ");
        assert_eq!(words, "0 µs; 850 µs; 12.3 ms; 1000.0 ms; 4.21 s; 59.99 s; 3 min 20 s");
        assert_eq!([plural(1, "row"), plural(0, "row")], ["1 row", "0 rows"]);
    }
}
