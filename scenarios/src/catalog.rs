//! The catalogue: every table's columns, types, declared ranges, keys and domains.
//!
//! Ranges are declared from what a column *means* (a ZIP area number, a share, four hours in seconds), never computed from
//! the private records: the catalogue is public, and a range read off the data would tell of the data.
//! They are generous: a cell outside its range is refused when a party loads its file.

use std::fmt::Write;

use crate::public::Public;

pub(crate) struct Table {
    pub name: &'static str,
    pub file: &'static str,
    max_rows: u64,
    key: &'static [&'static str],
    columns: &'static [Column],
}

struct Column {
    name: &'static str,
    kind: Kind,
    nullable: bool,
    domain: Option<&'static str>,
    dictionary: Dictionary,
}

enum Kind {
    Int(i64, i64),
    Bigint(i64, i64),
    /// precision, scale, then the range in whole units
    Decimal(u32, u32, i64, i64),
    Date(&'static str, &'static str),
    Text,
    /// Text that meets or leaves: of at most so many bytes.
    Bytes(u32),
}

/// Public lists of a text column's values.
enum Dictionary {
    None,
    Of(&'static [&'static str]),
    /// the city's boroughs, read from the public zones
    Boroughs,
    /// the same, and "Missing"
    BoroughsOrMissing,
}

use Kind::{Bigint, Bytes, Date, Decimal, Int, Text};

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, domain: None, dictionary: Dictionary::None }
}

const fn optional(name: &'static str, kind: Kind) -> Column {
    Column { nullable: true, ..required(name, kind) }
}

impl Column {
    const fn from(self, domain: &'static str) -> Self {
        Self { domain: Some(domain), ..self }
    }

    const fn listed(self, dictionary: Dictionary) -> Self {
        Self { dictionary, ..self }
    }
}

// What recurs. New York's ZIP areas are 100xx to 116xx; UHF numbers begin with the borough's digit.
const ZIP: Kind = Int(10_000, 11_999);
const UHF: Kind = Int(100, 599);
const FLAG: Kind = Int(0, 1);
const PEOPLE: Kind = Int(0, 10_000_000);
const FLOOR_FT2: Kind = Int(0, 50_000_000);
const RATE: Kind = Decimal(7, 1, 0, 100_000);
const PERCENT: Kind = Decimal(4, 1, 0, 100);
const RECORD: Kind = Int(0, 1_000_000_000);
/// `Borough|house number|STREET`.
const ADDRESS: Kind = Bytes(64);
const GRADES: Dictionary = Dictionary::Of(&["A", "B", "C"]);

const ZONES: &[Column] = &[
    required("modzcta", ZIP).from("zones"),
    required("uhf42", UHF).from("neighbourhoods"),
    required("uhf_name", Text),
    required("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
    required("neighborhood", Text),
    required("population", PEOPLE),
    required("area_km2", Decimal(8, 4, 0, 1_000)),
];

const NEIGHBOURHOODS: &[Column] = &[
    required("uhf42", UHF).from("neighbourhoods"),
    required("uhf_name", Text),
    required("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
    required("population", PEOPLE),
];

const BOROUGHS: &[Column] = &[required("borough", Text).from("boroughs").listed(Dictionary::Boroughs), required("population", PEOPLE)];

const DAYS: &[Column] = &[required("day", DAY).from("days"), required("weekday", Int(1, 7))];
const DAY: Kind = Date("2015-01-01", "2015-07-31");

/// The private tables, agency by agency.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "transport.green_trips",
        file: "transport/green_trips.csv.gz",
        max_rows: 200_000,
        key: &["trip_id"],
        columns: &[
            required("trip_id", RECORD),
            required("month", Text),
            required("pickup", Text),
            required("duration_s", Int(0, 14_400)),
            required("distance_mi", Decimal(6, 2, 0, 100)),
            required("pu_location", Int(1, 265)),
            required("do_location", Int(1, 265)),
            optional("pu_modzcta", ZIP).from("zones"),
            optional("pu_uhf42", UHF).from("neighbourhoods"),
            optional("do_modzcta", ZIP).from("zones"),
            optional("do_uhf42", UHF).from("neighbourhoods"),
            optional("passengers", Int(0, 20)),
            optional("fare_usd", Decimal(8, 2, -10_000, 10_000)),
            optional("tip_usd", Decimal(8, 2, -10_000, 10_000)),
            optional("total_usd", Decimal(8, 2, -10_000, 10_000)),
            optional("payment_type", Int(0, 6)),
        ],
    },
    Table {
        name: "transport.taxi_zones",
        file: "transport/taxi_zones.csv",
        max_rows: 1_000,
        key: &["location_id"],
        columns: &[
            required("location_id", Int(1, 265)),
            optional("zone", Text),
            required("taxi_borough", Text),
            optional("service_zone", Text).listed(Dictionary::Of(&["Airports", "Boro Zone", "EWR", "Yellow Zone"])),
            optional("modzcta", ZIP).from("zones"),
            optional("overlap_share", Decimal(4, 3, 0, 1)),
            optional("uhf42", UHF).from("neighbourhoods"),
            optional("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
        ],
    },
    Table {
        name: "transport.fhv_daily",
        file: "transport/fhv_daily.csv.gz",
        max_rows: 100_000,
        key: &["date", "base"],
        columns: &[
            required("date", DAY).from("days"),
            required("base", Text),
            required("trips", Int(0, 100_000)),
            required("vehicles", Int(0, 100_000)),
        ],
    },
    Table {
        name: "energy.buildings",
        file: "energy/buildings.csv.gz",
        max_rows: 100_000,
        key: &["building_id"],
        columns: &[
            required("building_id", RECORD),
            optional("modzcta", ZIP).from("zones"),
            optional("uhf42", UHF).from("neighbourhoods"),
            optional("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
            optional("property_type", Text),
            optional("gfa_ft2", FLOOR_FT2),
            optional("site_eui_kbtu_ft2", Decimal(9, 1, 0, 10_000_000)),
            optional("energy_star_score", Int(1, 100)),
            // As reported: a planned building has a negative age, a slip of the pen any.
            required("building_age_y", Int(-1_000, 2_000)),
            optional("meters_cat", Text).listed(Dictionary::Of(&["5", "10", "15", "20", "25", "25+"])),
            optional("est_gas", FLAG),
            optional("est_electricity", FLAG),
            optional("subsidized_housing", FLAG),
            optional("multifamily_gfa_ft2", FLOOR_FT2),
            required("plausible", FLAG),
            // Plausible means at most 1,000 kBtu/ft² on at most 20 million ft².
            optional("site_energy_mmbtu", Int(0, 20_000_000)),
        ],
    },
    Table {
        name: "energy.graded_buildings",
        file: "energy/graded_buildings.csv.gz",
        max_rows: 20_000,
        // A letter is for a tax lot and hangs at one address; this key is what other agencies' records have too.
        key: &["address_key"],
        columns: &[
            // Borough digit, five digits of block, four of lot.
            required("bbl", Bigint(1_000_000_000, 5_999_999_999)),
            required("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
            required("address_key", ADDRESS),
            required("gfa_ft2", FLOOR_FT2),
            required("energy_star_score", Int(1, 100)),
            required("grade", Text).listed(Dictionary::Of(&["A", "B", "C", "D"])),
        ],
    },
    Table {
        name: "energy.hourly_demand",
        file: "energy/hourly_demand.csv.gz",
        max_rows: 100_000,
        key: &["hour_start"],
        columns: &[
            required("hour_start", Text),
            optional("demand_mw", Decimal(6, 1, 0, 50_000)),
            optional("temp_f", Decimal(5, 2, -80, 150)),
            optional("precip_in", Decimal(6, 4, 0, 20)),
        ],
    },
    Table {
        name: "health.covid_modzcta",
        file: "health/covid_modzcta.csv",
        max_rows: 1_000,
        key: &["modzcta"],
        columns: &[
            required("modzcta", ZIP).from("zones"),
            required("uhf42", UHF).from("neighbourhoods"),
            required("borough", Text).from("boroughs").listed(Dictionary::Boroughs),
            required("population", Int(0, 1_000_000)),
            required("covid_cases", Int(0, 1_000_000)),
            required("covid_confirmed", Int(0, 1_000_000)),
            required("covid_deaths", Int(0, 100_000)),
        ],
    },
    Table {
        name: "health.covid_weekly",
        file: "health/covid_weekly.csv.gz",
        max_rows: 100_000,
        key: &["modzcta", "week_ending"],
        columns: &[
            required("modzcta", ZIP).from("zones"),
            required("week_ending", Date("2020-01-01", "2030-12-31")),
            required("case_rate_100k", Decimal(8, 2, 0, 100_000)),
        ],
    },
    Table {
        name: "health.inspections",
        file: "health/inspections.csv.gz",
        max_rows: 500_000,
        key: &["record_id"],
        columns: &[
            required("record_id", RECORD),
            required("camis", RECORD),
            optional("modzcta", ZIP).from("zones"),
            optional("uhf42", UHF).from("neighbourhoods"),
            required("date", Date("2000-01-01", "2030-12-31")),
            optional("violation_code", Text),
            optional("critical", FLAG),
            optional("score", Int(-100, 1_000)),
            optional("grade", Text).listed(Dictionary::Of(&["A", "B", "C", "Not Yet Graded", "P", "Z"])),
            required("cycle", FLAG),
        ],
    },
    Table {
        name: "health.restaurants",
        file: "health/restaurants.csv.gz",
        max_rows: 30_000,
        key: &["camis"],
        columns: &[
            required("camis", RECORD),
            required("borough", Text).listed(Dictionary::BoroughsOrMissing),
            required("zip", ZIP),
            // No domain: in a folder cut to one borough (by the restaurant's address), a ZIP area may lie across the border.
            optional("modzcta", ZIP),
            optional("uhf42", UHF),
            required("address_key", ADDRESS),
            required("cuisine", Text),
            required("inspection_days", Int(0, 10_000)),
            optional("latest_score", Int(-100, 1_000)),
            optional("latest_grade", Text).listed(GRADES),
        ],
    },
    Table {
        name: "health.uhf42_indicators",
        file: "health/uhf42_indicators.csv",
        max_rows: 100,
        key: &["uhf42"],
        columns: &[
            required("uhf42", UHF).from("neighbourhoods"),
            required("uhf_name", Text),
            required("population", PEOPLE),
            required("asthma_ed_5_17_rate", RATE),
            required("asthma_ed_adult_rate", RATE),
            required("asthma_hosp_adult_rate", RATE),
            required("diabetes_adult_pct", PERCENT),
            required("heat_stress_ed_rate", RATE),
            required("pedestrian_injury_hosp_rate", RATE),
            required("household_ac_pct", PERCENT),
            required("pm25_death_rate", RATE),
        ],
    },
];

const DOMAINS: [(&str, &str, &str); 4] = [
    ("zones", "public.zones", "modzcta"),
    ("neighbourhoods", "public.neighbourhoods", "uhf42"),
    ("boroughs", "public.boroughs", "borough"),
    ("days", "public.days", "day"),
];

/// The catalogue of a city with these public tables.
pub(crate) fn toml(public: &Public) -> String {
    let mut out = String::from(
        "# The catalogue: which tables there are, their columns, types and declared ranges. Public, the same file at every node.\n\
         # A query pins its hash. Ranges say what a column may hold, not what it holds; a cell outside is refused at load.\n\
         version = 1\n",
    );
    let keys: [(&str, &[Column]); 4] = [("modzcta", ZONES), ("uhf42", NEIGHBOURHOODS), ("borough", BOROUGHS), ("day", DAYS)];
    for (table, (key, columns)) in public.tables.iter().zip(keys) {
        entry(&mut out, "[[table]]", &[("name", quote(table.name)), ("rows", table.rows.to_string())]);
        entry(&mut out, "", &[("sha256", quote(&table.sha256)), ("key", list([key]))]);
        columns.iter().for_each(|c| column(&mut out, c, public));
    }
    for (name, table, column) in DOMAINS {
        entry(&mut out, "[[domain]]", &[("name", quote(name)), ("table", quote(table)), ("column", quote(column))]);
    }
    for table in TABLES {
        entry(&mut out, "[[table]]", &[("name", quote(table.name)), ("max_rows", table.max_rows.to_string())]);
        entry(&mut out, "", &[("key", list(table.key.iter().copied()))]);
        table.columns.iter().for_each(|c| column(&mut out, c, public));
    }
    out
}

fn column(out: &mut String, column: &Column, public: &Public) {
    let mut fields = vec![("name", quote(column.name))];
    let (kind, range) = match column.kind {
        Int(min, max) => ("INT".to_owned(), Some((min.to_string(), max.to_string()))),
        Bigint(min, max) => ("BIGINT".to_owned(), Some((min.to_string(), max.to_string()))),
        Decimal(p, s, min, max) => (format!("DECIMAL({p},{s})"), Some((min.to_string(), max.to_string()))),
        Date(min, max) => ("DATE".to_owned(), Some((quote(min), quote(max)))),
        Text | Bytes(_) => ("STRING".to_owned(), None),
    };
    fields.push(("type", quote(&kind)));
    if let Some((min, max)) = range {
        fields.extend([("min", min), ("max", max)]);
    }
    if let Bytes(most) = column.kind {
        fields.push(("max_bytes", most.to_string()));
    }
    if !column.nullable {
        fields.push(("nullable", "false".to_owned()));
    }
    if let Some(domain) = column.domain {
        fields.push(("domain", quote(domain)));
    }
    let boroughs = public.boroughs.iter().map(String::as_str);
    match column.dictionary {
        Dictionary::None => {}
        Dictionary::Of(values) => fields.push(("dictionary", list(values.iter().copied()))),
        Dictionary::Boroughs => fields.push(("dictionary", list(boroughs))),
        Dictionary::BoroughsOrMissing => fields.push(("dictionary", list(boroughs.chain(["Missing"])))),
    }
    entry(out, "[[table.column]]", &fields);
}

pub(crate) fn entry(out: &mut String, head: &str, fields: &[(&str, String)]) {
    if !head.is_empty() {
        let _ = write!(out, "\n{head}\n");
    }
    for (name, value) in fields {
        let _ = writeln!(out, "{name} = {value}");
    }
}

pub(crate) fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = values.into_iter().map(quote).collect();
    format!("[{}]", quoted.join(", "))
}

/// A TOML basic string.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public::{FIRST_DAY, LAST_DAY};

    #[test]
    fn the_days_of_the_domain_are_the_declared_range() {
        let Date(min, max) = DAY else { panic!("a date") };
        assert_eq!([min, max], [FIRST_DAY, LAST_DAY].map(|day| day.to_string()));
    }

    #[test]
    fn quotes_as_toml_does() {
        for text in ["plain", "with \"quotes\" and \\", "tab\tand\nline", "Café"] {
            let value: toml::Table = format!("a = {}", quote(text)).parse().expect("TOML");
            assert_eq!(value["a"].as_str(), Some(text));
        }
    }
}
