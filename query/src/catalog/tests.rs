use super::*;

const GOOD: &str = r#"
version = 1
[[table]]
name = "public.zones"
rows = 177
sha256 = "AA00000000000000000000000000000000000000000000000000000000000000"
key = ["modzcta"]
[[table.column]]
name = "modzcta"
type = "INT"
nullable = false
[[table.column]]
name = "borough"
type = "STRING"
dictionary = ["Queens", "Bronx"]
[[domain]]
name = "zones"
table = "public.zones"
column = "modzcta"
[[table]]
name = "transport.trips"
max_rows = 1000
[[table.column]]
name = "zone"
type = "INT"
min = 10001
max = 11697
domain = "zones"
[[table.column]]
name = "day"
type = "DATE"
min = 2022-01-01
max = "2022-12-31"
[[table.column]]
name = "fare"
type = "DECIMAL(9, 2)"
min = -1.5
max = "99999.25"
[[table.column]]
name = "at"
type = "TIMESTAMP"
unit = "ms"
min = "1969-12-31 23:59:59.999"
max = 2022-12-31T23:59:59
"#;

#[test]
fn reads_what_it_declares() {
    let catalog = Catalog::parse(GOOD).unwrap();
    assert_eq!(catalog.owners(), ["transport"]);
    let trips = catalog.table("transport.trips").unwrap();
    assert_eq!(trips.column("fare").unwrap().range, Some(Range { min: -150, max: 9_999_925 }));
    assert_eq!(trips.column("day").unwrap().range, Some(Range { min: 18993, max: 19357 }));
    assert_eq!(trips.column("at").unwrap().range, Some(Range { min: -1, max: 1_672_531_199_000 }));
    assert_eq!(trips.arrow_schema().field(3).data_type(), &DataType::Timestamp(TimeUnit::Millisecond, None));
    assert_eq!(
        catalog.table("public.zones").unwrap().column("borough").unwrap().dictionary.as_deref(),
        Some(&["Bronx".to_owned(), "Queens".to_owned()][..])
    );
    assert_eq!(catalog.domain("zones").unwrap().values, 177);
    assert_eq!(trips.arrow_schema().field(2).data_type(), &DataType::Decimal128(9, 2));
    let over = |network: &str| Catalog::parse(&GOOD.replace("version = 1", &format!("version = 1\n[network]\n{network}"))).unwrap();
    assert_eq!(catalog.network(), over("bandwidth_mbit = 1_000\nround_trip_ms = 0.5").network());
    assert_eq!(over("bandwidth_mbit = 50\nround_trip_ms = 40").network().to_string(), "50 Mbit/s from each party, 40 ms there and back");
    assert_ne!(catalog.hash(), over("round_trip_ms = 40").hash());
    assert_eq!(catalog.hash(), Catalog::parse(&GOOD.replace("\n[[", "\n\n# a comment\n[[")).unwrap().hash());
    assert_ne!(catalog.hash(), Catalog::parse(&GOOD.replace("unit = \"ms\"", "unit = \"us\"")).unwrap().hash());
    assert_ne!(catalog.hash(), Catalog::parse(&GOOD.replace("max_rows = 1000", "max_rows = 1001")).unwrap().hash());
}

#[test]
fn names_what_is_wrong() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "version = 1",
            "version = 1\n[network]\nbandwidth_mbit = 0",
            "[network]: bandwidth_mbit = 0 cannot be: write the Mbit/s that each party can send, from 1 to 1000000",
        ),
        (
            "version = 1",
            "version = 1\n[network]\nround_trip_ms = -1",
            "[network]: round_trip_ms = -1 cannot be: write the milliseconds there and back between two parties, from 0.001 to 10000",
        ),
        (
            "version = 1",
            "version = 1\n[network]\nround_trip_ms = nan",
            "[network]: round_trip_ms = NaN cannot be: write the milliseconds there and back between two parties, from 0.001 to 10000",
        ),
        ("version = 1", "version = 2", "version 2 of the catalogue format is not known here; this release reads version 1"),
        (
            "max_rows = 1000",
            "rows = 1000",
            "table transport.trips is private: declare max_rows (an upper bound everyone may know), and neither rows nor sha256",
        ),
        (
            "rows = 177\n",
            "",
            "table public.zones is public: declare rows (its exact number) and sha256 (of its uncompressed CSV), and not max_rows",
        ),
        ("\"AA", "\"AG", "table public.zones: sha256 is 64 hexadecimal digits, the hash of the uncompressed CSV"),
        ("key = [\"modzcta\"]", "key = [\"zone\"]", "table public.zones: key names the column zone, which is not declared"),
        ("nullable = false", "nullable = true", "table public.zones: key column modzcta must be declared nullable = false"),
        ("min = 10001\n", "", "column transport.trips.zone: declare both min and max"),
        (
            "min = 10001\nmax = 11697\n",
            "",
            "column transport.trips.zone: a private INT column needs its public range: declare min and max (it decides how wide its shares are)",
        ),
        ("max = 11697", "max = 9", "column transport.trips.zone: min is greater than max"),
        ("max = 11697", "max = 3000000000", "column transport.trips.zone: max = 3000000000 is not a value of INT"),
        ("min = -1.5", "min = -1.505", "column transport.trips.fare: min = -1.505 is not a value of DECIMAL(9,2)"),
        ("min = 2022-01-01", "min = \"soon\"", "column transport.trips.day: min = \"soon\" is not a value of DATE"),
        ("23:59:59.999", "23:59:59.9995", "column transport.trips.at: min = \"1969-12-31 23:59:59.9995\" is not a value of TIMESTAMP(3)"),
        (
            "unit = \"ms\"",
            "unit = \"h\"",
            "column transport.trips.at: unit = \"h\" is not known; write \"s\" (the default), \"ms\", \"us\" or \"ns\"",
        ),
        ("type = \"DATE\"", "type = \"DATE\"\nunit = \"s\"", "column transport.trips.day: only a TIMESTAMP column has a unit"),
        ("type = \"DATE\"", "type = \"STRING\"", "column transport.trips.day: min has no meaning for STRING"),
        (
            "DECIMAL(9, 2)",
            "DECIMAL(39, 2)",
            "column transport.trips.fare: DECIMAL(39, 2): DECIMAL(p,s) has 1 to 38 digits p, of which at most p behind the point",
        ),
        (
            "DECIMAL(9, 2)",
            "FLOAT",
            "column transport.trips.fare: unknown type FLOAT: use INT, BIGINT, DECIMAL(p,s), DATE, TIMESTAMP, BOOLEAN or STRING",
        ),
        (
            "domain = \"zones\"",
            "domain = \"areas\"",
            "column transport.trips.zone: there is no domain areas; add a [[domain]] of that name",
        ),
        (
            "table = \"public.zones\"",
            "table = \"transport.trips\"",
            "domain zones: transport.trips is private; a domain is the column of a public table",
        ),
        ("column = \"modzcta\"", "column = \"zip\"", "domain zones: public.zones has no column zip"),
        ("column = \"modzcta\"", "column = \"borough\"", "column transport.trips.zone is INT, the values of its domain zones are STRING"),
        (
            "[\"Queens\", \"Bronx\"]",
            "[\"Queens\", \"Queens\"]",
            "column public.zones.borough: a dictionary lists at least one value, and each once",
        ),
        (
            "name = \"zone\"",
            "name = \"Zone\"",
            "column transport.trips.Zone: names are lower-case letters, digits and _, and begin with a letter",
        ),
        ("name = \"fare\"", "name = \"day\"", "table transport.trips: column day is declared twice"),
        (
            "max_rows = 1000",
            "sizes = \"some\"\nmax_rows = 1000",
            "table transport.trips: sizes = \"some\" is not known; write \"hidden\" (the default), \"bucket\" or \"exact\"",
        ),
        (
            "rows = 177\n",
            "rows = 177\nsizes = \"exact\"\n",
            "table public.zones: sizes is of private tables; everybody can count the rows of a public one",
        ),
        ("min = -1.5", "distinct = 0\nmin = -1.5", "column transport.trips.fare: distinct is at least 1"),
        ("min = -1.5", "repeats = 0\nmin = -1.5", "column transport.trips.fare: repeats is at least 1"),
        (
            "dictionary = [",
            "repeats = 3\ndictionary = [",
            "column public.zones.borough: repeats is of private columns; everybody can count those of a public table",
        ),
    ];
    for (from, to, message) in cases {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(Catalog::parse(&text).unwrap_err().to_string(), *message);
    }
    let unknown = Catalog::parse(&GOOD.replace("max_rows", "maximum")).unwrap_err();
    assert_eq!(unknown.at, Some((22, 1)));
    assert!(Catalog::parse("version = 1").unwrap_err().message.contains("declares no table"));
}
