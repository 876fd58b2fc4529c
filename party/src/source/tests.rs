use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::bytes::Hash;
use query::datafusion::arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, StringArray};
use query::datafusion::arrow::compute::concat_batches;
use query::datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use query::datafusion::parquet::arrow::ArrowWriter;
use query::datafusion::prelude::SessionContext;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const ZONES: &str = "zone,borough\n1,North\n2,South\n";
const TRIPS: &str =
    "trip,zone,seconds,fare,day,paid,note\n1,1,60,1.50,2024-01-31,true,\n2,,0,,2024-02-01,0,\"a, \"\"b\"\"\"\n3,2,14400,-2,1999-12-31,,x\n";

/// A city of one table in a folder of its own.
struct Desk {
    folder: TempDir,
    zones: String,
    extra: String,
    file: String,
    /// What is declared of two columns beside their types and ranges.
    zone: String,
    seconds: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().expect("a folder"),
            zones: Hash::sha256(&[ZONES.as_bytes()]).to_string(),
            extra: String::new(),
            file: "trips.csv".into(),
            zone: "domain = \"zones\"".into(),
            seconds: String::new(),
        };
        desk.write("zones.csv", ZONES.as_bytes());
        desk.write("trips.csv", TRIPS.as_bytes());
        desk
    }

    fn with(trips: &str) -> Self {
        let desk = Self::new();
        desk.write("trips.csv", trips.as_bytes());
        desk
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).expect("written");
    }

    fn load(&self) -> Result<Sources, LoadError> {
        let config = format!(
            "node = \"transport\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"n\"\nstate = \"s\"\n\
             [limits]\nmax_rows = 1000000\n\
             [[table]]\nname = \"public.zones\"\npath = \"zones.csv\"\n\
             [[table]]\nname = \"transport.trips\"\npath = \"{}\"\n{}",
            self.file, self.extra
        );
        let config = Config::parse(&config, &self.folder.path().join("party.toml")).expect("a configuration");
        Sources::load(&config, &Catalog::parse(&self.catalog()).expect("a catalogue"))
    }

    fn catalog(&self) -> String {
        format!(
            r#"
            version = 1
            [[table]]
            name = "public.zones"
            rows = 2
            sha256 = "{}"
            key = ["zone"]
            column = [{{ name = "zone", type = "INT", nullable = false }}, {{ name = "borough", type = "STRING" }}]
            [[domain]]
            name = "zones"
            table = "public.zones"
            column = "zone"
            [[table]]
            name = "transport.trips"
            max_rows = 5
            key = ["trip"]
            column = [
                {{ name = "trip", type = "BIGINT", min = 1, max = 1000000, nullable = false }},
                {{ name = "zone", type = "INT", min = 1, max = 99, {} }},
                {{ name = "seconds", type = "INT", min = 0, max = 14400, {}nullable = false }},
                {{ name = "fare", type = "DECIMAL(7,2)", min = -50, max = 500 }},
                {{ name = "day", type = "DATE", min = "1999-01-01", max = "2025-12-31" }},
                {{ name = "paid", type = "BOOLEAN" }},
                {{ name = "note", type = "STRING", dictionary = ["x", 'a, "b"'] }},
            ]
            "#,
            self.zones, self.zone, self.seconds
        )
    }

    fn refused(&self) -> Vec<String> {
        let error = self.load().map(|_| ()).expect_err("refused");
        assert!(error.to_string().contains("nothing was loaded"), "{error}");
        error.findings.iter().map(ToString::to_string).collect()
    }
}

/// All rows of a table as text.
fn rows(sources: &Sources, table: &str) -> Vec<String> {
    let provider = sources.tables().get(table).expect("loaded").clone();
    let schema = provider.schema();
    let run = async {
        let context = SessionContext::new();
        context.read_table(provider).expect("a table").collect().await.expect("rows")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let batch = concat_batches(&schema, &runtime.block_on(run)).expect("one batch");
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("text")).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|")).collect()
}

const EXPECTED: [&str; 3] =
    ["1|1|60|1.50|2024-01-31|true|NULL", "2|NULL|0|NULL|2024-02-01|false|a, \"b\"", "3|2|14400|-2.00|1999-12-31|NULL|x"];

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn csv_is_read_by_name_with_empty_fields_as_null() {
    let sources = Desk::new().load().expect("loaded");
    assert_eq!(rows(&sources, "transport.trips"), EXPECTED);
    assert_eq!(rows(&sources, "public.zones"), ["1|North", "2|South"]);
    assert!(sources.public().get("public.zones").is_some() && sources.public().get("transport.trips").is_none());
    assert_eq!(sources.summaries().iter().map(|s| s.rows).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(sources.changed(), None);
}

#[test]
fn bom_crlf_order_case_and_undeclared_columns_do_not_matter() {
    let shuffled = "\u{feff}note,PAID,day,fare,guest,seconds,zone,trip\r\n,t,2024-01-31,1.5,secret,060,1,+1\r\n\
                    \"a, \"\"b\"\"\",F,2024-02-01,,,0,,2\r\nx,,1999-12-31,-2.000,,14400,2,3";
    let mut desk = Desk::with(shuffled);
    let sources = desk.load().expect("loaded");
    assert_eq!(rows(&sources, "transport.trips"), EXPECTED);
    assert_eq!(sources.summaries()[1].ignored, ["`guest`"]);
    desk.extra = "undeclared_columns = \"refuse\"\n".into();
    assert!(desk.refused()[0].starts_with("trips.csv: has columns the catalogue does not declare: `guest`;"));
}

#[test]
fn a_null_marker_is_null() {
    let mut desk = Desk::with(&TRIPS.replace("2,,0,,", "2,NA,0,NA,"));
    assert_eq!(desk.refused().len(), 2);
    desk.extra = "null = \"NA\"\n".into();
    assert_eq!(rows(&desk.load().expect("loaded"), "transport.trips"), EXPECTED);
}

#[test]
fn bad_cells_are_named_by_line_and_column_and_never_quoted() {
    for (from, to, expected) in [
        ("14400", "PRIVATE", "line 4, column `seconds`: not an INT (declared INT 0..=14400)"),
        ("14400", "14401", "line 4, column `seconds`: outside its declared range (INT 0..=14400)"),
        ("14400", "99999999999999999999", "line 4, column `seconds`: outside its declared range (INT 0..=14400)"),
        ("14400", "", "line 4, column `seconds`: empty, but the column is declared not nullable (INT 0..=14400)"),
        ("1.50", "1.505", "line 2, column `fare`: more digits behind the point than declared (DECIMAL(7,2) -50.00..=500.00)"),
        ("1.50", "500.01", "line 2, column `fare`: outside its declared range (DECIMAL(7,2) -50.00..=500.00)"),
        ("1.50", "PRIVATE", "line 2, column `fare`: not a DECIMAL(7,2) (declared DECIMAL(7,2) -50.00..=500.00)"),
        ("2024-01-31", "2024-01-32", "line 2, column `day`: not a DATE (declared DATE 1999-01-01..=2025-12-31)"),
        ("2024-01-31", "1998-12-31", "line 2, column `day`: outside its declared range (DATE 1999-01-01..=2025-12-31)"),
        ("true", "PRIVATE", "line 2, column `paid`: not a BOOLEAN (declared BOOLEAN)"),
        (",x\n", ",PRIVATE\n", "line 4, column `note`: not in the dictionary of the column (STRING)"),
        ("3,2,", "3,77,", "line 4, column `zone`: not a value of the domain `zones` (INT 1..=99)"),
        ("3,2,", "1,2,", "line 4, column `trip`: the same key as in line 2; the catalogue declares it unique"),
        (",x\n", ",x,PRIVATE\n", "line 4: has 8 fields, the header line has 7"),
    ] {
        assert!(TRIPS.contains(from), "{from}");
        let findings = Desk::with(&TRIPS.replacen(from, to, 1)).refused();
        assert_eq!(findings, [format!("trips.csv, {expected}")]);
        assert!(!findings[0].contains("PRIVATE"));
    }
    let desk = Desk::new();
    let mut bytes = TRIPS.as_bytes().to_vec();
    let at = bytes.len() - 2;
    bytes[at] = 0xff;
    desk.write("trips.csv", &bytes);
    assert_eq!(desk.refused(), ["trips.csv, line 4, column `note`: not UTF-8, or with a NUL character; save the file as UTF-8 text"]);
    // The whole file in the encoding some spreadsheets save.
    let wide: Vec<u8> = TRIPS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [wide.clone(), [vec![0xff, 0xfe], wide].concat(), [b"trip,zon\xe9,", &TRIPS.as_bytes()[10..]].concat()] {
        desk.write("trips.csv", &text);
        assert_eq!(desk.refused(), ["trips.csv, line 1: the header line is not UTF-8; save the file in that encoding"]);
    }
}

#[test]
fn lines_are_those_of_the_file() {
    // A quoted line break and an empty line before the bad cell.
    let text = TRIPS.replace(",true,\n", ",true,\n\n\n").replace("14400", "PRIVATE");
    assert!(Desk::with(&text).refused()[0].starts_with("trips.csv, line 6, column `seconds`"));
    let text = TRIPS.replace("a, ", "a,\n\n ").replace("14400", "PRIVATE");
    let findings = Desk::with(&text).refused();
    assert!(findings[0].starts_with("trips.csv, line 3, column `note`"), "{findings:?}");
    assert!(findings[1].starts_with("trips.csv, line 6, column `seconds`"), "{findings:?}");
}

#[test]
fn headers_are_checked_whole() {
    let findings = Desk::with(&TRIPS.replacen("seconds", "secs", 1).replacen("paid", "day", 1)).refused();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(findings[0], "trips.csv, column `seconds`: is not in the header line; the catalogue declares it as INT 0..=14400");
    assert!(findings[1].contains("column `day`: is twice in the header line"));
    assert!(findings[2].contains("column `paid`: is not in the header line"));
    // A file that begins with a record: none of it may show.
    let headless = TRIPS.split_once('\n').expect("a header").1;
    assert!(Desk::with(headless).refused().iter().all(|f| f.contains("is not in the header line") && !f.contains("2024")));
    assert!(Desk::with("").refused()[0].contains("is empty; its first line must name the columns"));
}

#[test]
fn too_many_rows_end_the_reading() {
    let many: String = (10..20).map(|trip| format!("{trip},1,1,1,2024-01-01,1,x\n")).collect();
    let findings = Desk::with(&(TRIPS.to_owned() + &many)).refused();
    assert_eq!(findings, ["trips.csv, line 7: has more rows than its max_rows = 5 in the catalogue"]);
}

#[test]
fn all_tables_or_none_and_findings_are_capped() {
    let mut desk = Desk::new();
    desk.zones = "0".repeat(64);
    let bad: String = TRIPS.replace(",60,", ",P,").replace("14400", "P").replace("1.50", "P").replace(",0,", ",P,");
    desk.write("trips.csv", format!("{bad}4,1,P,,,,\n5,1,P,,,,\n").as_bytes());
    let error = desk.load().map(|_| ()).expect_err("refused");
    assert!(error.findings[0].what.starts_with("zones.csv: is not the public table the catalogue pins"), "{error}");
    let cells: Vec<_> = error.findings[1..].iter().map(|f| f.what.as_str()).collect();
    assert_eq!(cells.iter().filter(|what| what.contains("`seconds`")).count(), 3, "{error}");
    assert_eq!(cells.iter().filter(|what| what.contains("`fare`")).count(), 1, "{error}");
    assert_eq!(error.further, 2, "{error}");
    assert!(error.to_string().ends_with("… and 2 more"), "{error}");
    let many = LoadError::all((0..30).map(|i| LoadError::one("t", i.to_string())).collect());
    assert_eq!((many.findings.len(), many.further), (LoadError::CAP, 10));
}

#[test]
fn public_tables_are_those_the_catalogue_pins() {
    let desk = Desk::new();
    desk.write("zones.csv", ZONES.replace("North", "Nord").as_bytes());
    assert_eq!(desk.refused(), ["zones.csv: is not the public table the catalogue pins (another SHA-256); fetch the city's own copy"]);
    desk.write("zones.csv", b"zone,borough\n1,North\n");
    assert!(desk.refused().iter().any(|f| f.contains("has 1 rows, the catalogue states 2")));
    desk.write("zones.csv", format!("{ZONES}3,East\n").as_bytes());
    assert!(desk.refused().iter().any(|f| f.contains("more rows than the 2 the catalogue states")));
    std::fs::remove_file(desk.folder.path().join("zones.csv")).expect("removed");
    assert!(desk.refused()[0].starts_with("zones.csv: cannot be read: "));
}

#[test]
fn gzip_is_read_and_damage_is_named() {
    let mut desk = Desk::new();
    desk.file = "trips.csv.gz".into();
    let whole = gz(TRIPS.as_bytes());
    desk.write("trips.csv.gz", &whole);
    assert_eq!(rows(&desk.load().expect("loaded"), "transport.trips"), EXPECTED);
    // Two members one after the other are one file.
    let (a, b) = TRIPS.split_at(50);
    desk.write("trips.csv.gz", &[gz(a.as_bytes()), gz(b.as_bytes())].concat());
    assert_eq!(rows(&desk.load().expect("loaded"), "transport.trips"), EXPECTED);
    desk.write("trips.csv.gz", &whole[..whole.len() - 9]);
    let findings = desk.refused();
    assert!(findings[0].contains("cut short; copy it again"), "{findings:?}");
    desk.write("trips.csv.gz", TRIPS.as_bytes());
    let findings = desk.refused();
    assert!(findings[0].contains("is not gzip"), "{findings:?}");
    let mut flipped = whole.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    desk.write("trips.csv.gz", &flipped);
    assert_eq!(desk.refused().len(), 1, "a wrong checksum");
}

#[test]
fn an_open_quote_ends_in_an_error_and_not_in_memory() {
    let mut text = TRIPS.replace(",x\n", ",\"x\n");
    text.push_str(&"1,1,1,1,2024-01-01,1,x\n".repeat(1_000_000));
    let findings = Desk::with(&text).refused();
    assert!(findings[0].contains("is a quote left open?"), "{findings:?}");
}

#[test]
fn a_record_cut_off_within_quotes_is_refused() {
    let findings = Desk::with(&TRIPS.replace(",x\n", ",\"x\n")).refused();
    assert!(findings[0].contains("not in the dictionary"), "{findings:?}");
}

#[test]
fn configuration_and_catalogue_must_name_the_same_tables() {
    let mut desk = Desk::new();
    desk.extra = "[[table]]\nname = \"transport.buses\"\npath = \"buses.csv\"\n".into();
    assert_eq!(desk.refused(), ["buses.csv: the catalogue has no table `transport.buses`; declare it there or remove the [[table]]"]);
    let config = "node = \"transport\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"n\"\nstate = \"s\"\n";
    let config = Config::parse(config, Path::new("party.toml")).expect("a configuration");
    let error = Sources::load(&config, &Catalog::parse(&desk.catalog()).expect("a catalogue")).map(|_| ()).expect_err("refused");
    assert_eq!(error.findings.len(), 2, "{error}");
    assert!(error.findings[1].what.contains("the table `transport.trips`, but no [[table]]"), "{error}");
}

/// A private table of one column, declared as given.
fn one_column(declared: &str, file: &str, bytes: &[u8]) -> Result<Vec<String>, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(file), bytes).expect("written");
    let config = format!(
        "node = \"transport\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"n\"\nstate = \"s\"\n\
         [[table]]\nname = \"transport.doors\"\npath = \"{file}\"\n"
    );
    let catalog = format!("version = 1\n[[table]]\nname = \"transport.doors\"\nmax_rows = 9\ncolumn = [{{ name = \"at\", {declared} }}]\n");
    let config = Config::parse(&config, &folder.path().join("party.toml")).expect("a configuration");
    let loaded = Sources::load(&config, &Catalog::parse(&catalog).expect("a catalogue"));
    loaded.map(|sources| rows(&sources, "transport.doors")).map_err(|e| e.findings.iter().map(ToString::to_string).collect())
}

const SECONDS: &str = "type = \"TIMESTAMP\", min = \"1969-12-31 00:00:00\", max = \"2024-12-31 23:59:59\"";
const MILLIS: &str = "type = \"TIMESTAMP\", unit = \"ms\", min = \"1969-12-31 00:00:00.001\", max = \"2024-12-31 23:59:59\", repeats = 1";

#[test]
fn timestamps_are_whole_units_in_their_range() {
    let csv = |declared, text: &str| one_column(declared, "doors.csv", text.as_bytes());
    let text = "at\n1969-12-31 23:59:59\n2024-02-29T12:00:00.000\n\n\"\"\n";
    assert_eq!(csv(SECONDS, text), Ok(vec!["1969-12-31T23:59:59".into(), "2024-02-29T12:00:00".into(), "NULL".into()]));
    assert_eq!(csv(MILLIS, "at\n2024-02-29 12:00:00.25\n"), Ok(vec!["2024-02-29T12:00:00.250".into()]));
    let declared = "TIMESTAMP(0) 1969-12-31 00:00:00..=2024-12-31 23:59:59";
    for (cell, what) in [
        ("2024-02-29 12:00:00.5", format!("finer than the unit of the column ({declared})")),
        ("2025-01-01 00:00:00", format!("outside its declared range ({declared})")),
        ("1969-12-30 23:59:59", format!("outside its declared range ({declared})")),
        ("2023-02-29 12:00:00", format!("not a TIMESTAMP(0) (declared {declared})")),
        ("2024-02-29", format!("not a TIMESTAMP(0) (declared {declared})")),
        ("2024-02-29 12:00:00+01", format!("not a TIMESTAMP(0) (declared {declared})")),
    ] {
        let found = csv(SECONDS, &format!("at\n2024-01-01 00:00:00\n{cell}\n"));
        assert_eq!(found, Err(vec![format!("doors.csv, line 3, column `at`: {what}")]), "{cell}");
    }
    let twice = csv(MILLIS, "at\n2024-02-29 12:00:00\n2024-02-29 12:00:00.000\n");
    assert_eq!(twice, Err(vec!["doors.csv, line 3, column `at`: the same key as in line 2; the catalogue declares it unique".into()]));
}

#[test]
fn timestamps_of_any_unit_are_read_from_parquet() {
    use query::datafusion::arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let parquet = |declared, data_type: &DataType, units: &[i64]| {
        let array = cast(&Int64Array::from(units.to_vec()), data_type).expect("a timestamp");
        let batch = RecordBatch::try_from_iter_with_nullable([("at", array, true)]).expect("a batch");
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        one_column(declared, "doors.parquet", &bytes)
    };
    let of = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    let expected = Ok(vec!["1969-12-31T23:59:58".to_owned(), "2024-02-29T00:00:00".to_owned()]);
    let at = [-2, 1_709_164_800];
    for (unit, factor) in [(Second, 1), (Millisecond, 1_000), (Microsecond, 1_000_000), (Nanosecond, 1_000_000_000)] {
        for zone in [None, Some("UTC"), Some("+00:00")] {
            for declared in [SECONDS, MILLIS] {
                assert_eq!(parquet(declared, &of(unit, zone), &at.map(|v| v * factor)), expected, "{unit:?} {zone:?}");
            }
        }
    }
    let finer = parquet(SECONDS, &of(Microsecond, None), &[0, 1_500_000]);
    assert!(finer.expect_err("refused")[0].starts_with("doors.parquet, row 2, column `at`: finer than the unit of the column"));
    let outside = parquet(MILLIS, &of(Second, None), &[-86_400]);
    assert!(outside.expect_err("refused")[0].starts_with("doors.parquet, row 1, column `at`: outside its declared range"));
    let local = parquet(SECONDS, &of(Second, Some("+02:00")), &[0]);
    assert!(local.expect_err("refused")[0].contains("which is not read as TIMESTAMP(0)"));
}

fn parquet(path: &Path, seconds: ArrayRef, trips: &[i64]) {
    let n = trips.len();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("note", Arc::new(StringArray::from(vec![Some("x"); n]))),
        ("trip", Arc::new(Int64Array::from(trips.to_vec()))),
        ("guest", Arc::new(Int32Array::from(vec![0; n]))),
        ("zone", Arc::new(Int64Array::from(vec![Some(1); n]))),
        ("seconds", seconds),
        ("fare", Arc::new(Int32Array::from(vec![3; n]))),
        ("day", Arc::new(Date32Array::from(vec![19_000; n]))),
        ("paid", Arc::new(query::datafusion::arrow::array::BooleanArray::from(vec![None; n]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).expect("a batch");
    let file = std::fs::File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

#[test]
fn a_folder_of_parquet_is_checked_and_scanned_where_it_lies() {
    let mut desk = Desk::new();
    desk.file = "trips".into();
    desk.extra = "format = \"parquet\"\n".into();
    let folder = desk.folder.path().join("trips");
    std::fs::create_dir(&folder).expect("a folder");
    assert_eq!(desk.refused(), ["trips: the folder has no file that ends in `.parquet`"]);
    let ints = |values: &[i32]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    parquet(&folder.join("b.parquet"), ints(&[7]), &[9]);
    parquet(&folder.join("a.parquet"), ints(&[5, 6]), &[7, 8]);
    std::fs::write(folder.join("_SUCCESS"), "").expect("written");
    let sources = desk.load().expect("loaded");
    let mut found = rows(&sources, "transport.trips");
    found.sort();
    assert_eq!(found, ["7|1|5|3.00|2022-01-08|NULL|x", "8|1|6|3.00|2022-01-08|NULL|x", "9|1|7|3.00|2022-01-08|NULL|x"]);
    assert_eq!(sources.summaries()[1].ignored, ["`guest`"]);
    assert_eq!(sources.changed(), None);
    parquet(&folder.join("b.parquet"), ints(&[7, 7]), &[9, 10]);
    assert_eq!(sources.changed(), Some("transport.trips"), "changed under the node");

    parquet(&folder.join("b.parquet"), ints(&[14_401]), &[9]);
    assert_eq!(desk.refused(), ["trips/b.parquet, row 1, column `seconds`: outside its declared range (INT 0..=14400)"]);
    parquet(&folder.join("b.parquet"), Arc::new(Int32Array::from(vec![None])), &[9]);
    assert_eq!(desk.refused().len(), 1);
    parquet(&folder.join("b.parquet"), ints(&[7]), &[8]);
    assert_eq!(
        desk.refused(),
        ["trips, row 3 of the table, column `trip`: the same key as in row 2 of the table; the catalogue declares it unique"]
    );
    parquet(&folder.join("b.parquet"), Arc::new(StringArray::from(vec!["7"])), &[9]);
    assert!(desk.refused()[0].contains("column `seconds`: is Utf8 in the file, which is not read as INT 0..=14400"));
    parquet(&folder.join("b.parquet"), ints(&[1, 2, 3, 4]), &[9, 10, 11, 12]);
    assert!(desk.refused()[0].contains("more than 5 rows"));
    std::fs::write(folder.join("b.parquet"), "PAR1 but no more").expect("written");
    assert!(desk.refused()[0].contains("trips/b.parquet: cannot be read: it is not Parquet"));
}

#[test]
fn how_often_values_occur_is_held_to_the_catalogue() {
    let mut desk = Desk::with("trip,zone,seconds,fare,day,paid,note\n1,1,5,,,,\n2,,5,,,,\n3,2,6,,,,\n4,1,7,,,,\n5,,5,,,,\n");
    for (declared, finding) in [
        ("domain = \"zones\", repeats = 2", None),
        ("domain = \"zones\", distinct = 2", None),
        ("repeats = 1", Some("trips.csv, line 5, column `zone`: the same key as in line 2; the catalogue declares it unique")),
        ("distinct = 1", Some("trips.csv, column `zone`: has 2 different values, the catalogue declares at most 1 (distinct)")),
    ] {
        desk.zone = declared.into();
        match finding {
            None => assert_eq!(desk.load().expect("loaded").summaries()[1].rows, 5),
            Some(finding) => assert_eq!(desk.refused(), [finding]),
        }
    }
    desk.zone = "domain = \"zones\"".into();
    desk.seconds = "repeats = 2, ".into();
    assert_eq!(
        desk.refused(),
        [
            "trips.csv, line 6, column `seconds`: the same value as in line 2 and others; the catalogue declares that a value is in at most 2 rows (repeats)"
        ]
    );
    desk.seconds = "repeats = 3, distinct = 3, ".into();
    assert!(desk.load().is_ok());
}

/// A reading on the real records, where they are at hand: 480 thousand rows of ten columns.
#[test]
fn real_records_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/nyc/health");
    if !folder.join("inspections.csv.gz").exists() {
        return eprintln!("skipped: no ../shared/data beside the project");
    }
    let columns: String = [
        ("record_id", "INT", 1, 1_000_000),
        ("camis", "INT", 0, 99_999_999),
        ("modzcta", "INT", 10_000, 11_999),
        ("uhf42", "INT", 100, 999),
        ("critical", "INT", 0, 1),
        ("score", "INT", -10, 500),
        ("cycle", "INT", 0, 1),
    ]
    .map(|(name, kind, min, max)| format!("{{ name = \"{name}\", type = \"{kind}\", min = {min}, max = {max} }},\n"))
    .concat();
    let catalog = format!(
        "version = 1\n[[table]]\nname = \"health.inspections\"\nmax_rows = 500000\nkey = [\"record_id\"]\ncolumn = [\n{}\
         {{ name = \"date\", type = \"DATE\", min = \"2000-01-01\", max = \"2020-01-01\" }},\n\
         {{ name = \"violation_code\", type = \"STRING\" }},\n{{ name = \"grade\", type = \"STRING\" }},\n]\n",
        columns.replacen("max = 1000000 ", "max = 1000000, nullable = false ", 1)
    );
    let config = format!(
        "node = \"health\"\nidentity = \"k\"\nroster = \"r\"\ncatalogue = \"c\"\ncontracts = \"n\"\nstate = \"s\"\n\
         [[table]]\nname = \"health.inspections\"\npath = \"{}\"\n",
        folder.join("inspections.csv.gz").display()
    );
    let config = Config::parse(&config, Path::new("party.toml")).expect("a configuration");
    let begin = std::time::Instant::now();
    let sources = Sources::load(&config, &Catalog::parse(&catalog).expect("a catalogue")).expect("loaded");
    eprintln!("{} rows in {:?}, {} MB", sources.summaries()[0].rows, begin.elapsed(), sources.summaries()[0].bytes >> 20);
    assert_eq!(sources.summaries()[0].rows, 479_567);
}
