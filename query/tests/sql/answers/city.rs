//! The tables of the small city: made from a fixed stream of numbers, with NULLs and missing zones.

use query::catalog::{Catalog, ColumnType};
use query::datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use query::datafusion::arrow::compute::cast;
use query::datafusion::catalog::TableProvider;
use query::datafusion::datasource::MemTable;
use query::local::Tables;
use query::oracle::Oracle;
use std::sync::Arc;

pub const PARTIES: [&str; 3] = ["transport", "energy", "health"];

pub struct City {
    pub catalog: Catalog,
    /// Every table, pooled.
    pub tables: Tables,
    pub oracle: Oracle,
}

impl City {
    pub fn new() -> Self {
        let catalog = Catalog::parse(include_str!("city.toml")).expect("the catalogue of these tests is sound");
        let mut tables = Tables::new();
        let oracle = Oracle::new().expect("a runtime");
        for (name, rows) in rows() {
            let table = table(&catalog, name, &rows);
            oracle.table(name, table.clone()).expect("a new table");
            tables.insert(name, table);
        }
        City { catalog, tables, oracle }
    }

    /// What one party holds: its own tables and the public ones.
    pub fn at(&self, party: &str) -> Tables {
        let held = |name: &str| name.starts_with("public.") || name.starts_with(&format!("{party}."));
        self.tables.iter().filter(|(name, _)| held(name)).map(|(name, table)| (name, table.clone())).collect()
    }
}

/// A cell: integers are scaled as the column's type says, dates are days of January 2024 (or any day number as such).
#[derive(Clone, Copy)]
enum Cell {
    Null,
    Int(i128),
    Bool(bool),
    Text(&'static str),
}

use Cell::{Bool, Int, Null, Text};

/// 2024-01-01 as days since 1970.
const FIRST_DAY: i128 = 19723;

struct Stream(u64);

impl Stream {
    fn below(&mut self, n: u64) -> i128 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n).into()
    }

    /// `cell`, but NULL once in `n`.
    fn or_null(&mut self, n: u64, cell: Cell) -> Cell {
        if self.below(n) == 0 { Null } else { cell }
    }

    fn bool(&mut self) -> Cell {
        Bool(self.below(2) == 1)
    }

    fn pick(&mut self, texts: &[&'static str]) -> Cell {
        Text(texts[self.below(texts.len() as u64) as usize])
    }
}

fn rows() -> Vec<(&'static str, Vec<Vec<Cell>>)> {
    let mut s = Stream(2024);
    let boroughs =
        ["Bronx", "Bronx", "Bronx", "Kings", "Kings", "Kings", "Kings", "Queens", "Queens", "Queens", "Queens", "Bronx", "Island"];
    let districts = ["North", "North", "South", "South", "", "East", "East", "East", "West", "", "West", "North", "South"];
    let district = |z: usize| if districts[z].is_empty() { Null } else { Text(districts[z]) };
    let zones =
        (0..13).map(|z| vec![Int(z as i128 + 1), Text(boroughs[z]), district(z), Int(z as i128 * 7 % 50 + 1), Bool(z % 3 == 0)]).collect();
    let days = (0..10).map(|d| vec![Int(FIRST_DAY + d), Int(d % 7 + 1)]).collect();
    let trips = (0..90)
        .map(|t| {
            let zone = Int(s.below(11) + 1);
            vec![
                Int(t),
                s.or_null(9, zone),
                Int(FIRST_DAY + s.below(9)),
                Int(s.below(7200)),
                {
                    let fare = Int(s.below(9000) - 900);
                    s.or_null(6, fare)
                },
                {
                    let paid = s.bool();
                    s.or_null(5, paid)
                },
                {
                    let kind = s.pick(&["card", "cash", "free"]);
                    s.or_null(7, kind)
                },
            ]
        })
        .collect();
    let stops = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
        .map(|z| {
            vec![
                Int(z),
                Int(s.below(60)),
                {
                    let wait = Int(s.below(600));
                    s.or_null(4, wait)
                },
                {
                    let shift = Int(s.below(201) - 100);
                    s.or_null(4, shift)
                },
                {
                    let opened = Int(7305 + s.below(12000));
                    s.or_null(4, opened)
                },
                {
                    let lift = s.bool();
                    s.or_null(4, lift)
                },
                // one every four years or so, from 1969 on, at another time of the day each
                if z == 4 { Null } else { Int((z - 1) * 131_072_123 - 20_000_000) },
                {
                    let grade = s.pick(&["A", "B", "C"]);
                    s.or_null(4, grade)
                },
            ]
        })
        .to_vec();
    let load = [1, 2, 3, 5, 6, 7, 8, 9, 10, 12]
        .map(|z| {
            vec![
                Int(z),
                {
                    let kwh = Int(s.below(1_000_001));
                    s.or_null(5, kwh)
                },
                Int(s.below(1001) - 500),
                {
                    let price = Int(s.below(11_000) - 1000);
                    s.or_null(4, price)
                },
                {
                    let metered = Int(7305 + s.below(12000));
                    s.or_null(4, metered)
                },
                {
                    let solar = s.bool();
                    s.or_null(3, solar)
                },
                // at the same moment, or some hours and a half second before or after
                if z == 6 { Null } else { Int(((z - 1) * 131_072_123 - 20_000_000 + z % 3 * (7200 * z - 50_000)) * 1000 + z % 3 * 250) },
                {
                    let grade = s.pick(&["A", "B", "C"]);
                    s.or_null(4, grade)
                },
            ]
        })
        .to_vec();
    let hours = (0..60).map(|_| vec![Int(FIRST_DAY + s.below(10)), Int(s.below(20_001))]).collect();
    let stats = [1, 2, 3, 4, 6, 7, 8, 9, 11, 12]
        .map(|z| {
            vec![
                Int(z),
                Int(s.below(10_001)),
                {
                    let deaths = Int(s.below(1001));
                    s.or_null(5, deaths)
                },
                {
                    let rate = Int(s.below(2_000_001));
                    s.or_null(4, rate)
                },
                {
                    let alert = s.bool();
                    s.or_null(3, alert)
                },
                {
                    let level = Int(s.below(7) - 3);
                    s.or_null(4, level)
                },
                {
                    let grade = s.pick(&["A", "B", "C"]);
                    s.or_null(4, grade)
                },
            ]
        })
        .to_vec();
    let visits = (0..70)
        .map(|_| {
            let zone = Int(s.below(12) + 1);
            vec![s.or_null(8, zone), Int(FIRST_DAY + s.below(8)), {
                let severity = Int(s.below(11) - 5);
                s.or_null(6, severity)
            }]
        })
        .collect();
    vec![
        ("public.zones", zones),
        ("public.days", days),
        ("transport.trips", trips),
        ("transport.stops", stops),
        ("energy.load", load),
        ("energy.hours", hours),
        ("health.stats", stats),
        ("health.visits", visits),
    ]
}

fn table(catalog: &Catalog, name: &str, rows: &[Vec<Cell>]) -> Arc<dyn TableProvider> {
    let declared = catalog.table(name).expect("declared");
    let schema = declared.arrow_schema();
    let columns = declared.columns.iter().enumerate().map(|(c, column)| {
        let cells: Vec<Cell> = rows.iter().map(|r| r[c]).collect();
        array(column.column_type, &cells)
    });
    let batch = RecordBatch::try_new(schema.clone(), columns.collect()).expect("rows fit their schema");
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("one batch of its own schema"))
}

fn array(column_type: ColumnType, cells: &[Cell]) -> ArrayRef {
    let ints = || cells.iter().map(|c| if let Int(v) = c { Some(*v) } else { None });
    match column_type {
        ColumnType::Int => Arc::new(ints().map(|v| v.map(|v| v as i32)).collect::<Int32Array>()),
        ColumnType::BigInt => Arc::new(ints().map(|v| v.map(|v| v as i64)).collect::<Int64Array>()),
        ColumnType::Date => Arc::new(ints().map(|v| v.map(|v| v as i32)).collect::<Date32Array>()),
        ColumnType::Timestamp(_) => {
            let units = ints().map(|v| v.map(|v| v as i64)).collect::<Int64Array>();
            cast(&units, &column_type.arrow()).expect("any 64 bits are a timestamp")
        }
        ColumnType::Decimal(p, s) => {
            Arc::new(ints().collect::<Decimal128Array>().with_precision_and_scale(p, s).expect("the catalogue's type is Arrow's"))
        }
        ColumnType::Boolean => Arc::new(cells.iter().map(|c| if let Bool(b) = c { Some(*b) } else { None }).collect::<BooleanArray>()),
        ColumnType::String => Arc::new(cells.iter().map(|c| if let Text(t) = c { Some(*t) } else { None }).collect::<StringArray>()),
    }
}
