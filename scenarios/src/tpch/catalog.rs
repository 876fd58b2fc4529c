//! What is publicly known of the tables: the specification's clauses 1.4 (types, keys) and 4.2.3 (values), at a scale factor.

use crate::catalog::{entry, list, quote};

/// A table: its name, whose it is, and its columns in the generator's order.
pub(super) struct Table {
    pub party: &'static str,
    pub name: &'static str,
    key: &'static [&'static str],
    pub columns: &'static [Column],
}

pub(super) struct Column {
    pub name: &'static str,
    kind: Kind,
    /// A table that has a row for each of its values.
    of: Option<&'static str>,
    /// Most rows with the same value.
    repeats: Option<u64>,
}

enum Kind {
    /// An identifier: 1 to so many times the scale factor.
    Key(i64),
    /// A number of a short public list.
    Int(i64, i64),
    /// Money or a quantity, range in hundredths.
    Decimal(i64, i64),
    /// Money in a range that grows with the scale factor, in hundredths: quantities, then cents added for the dearest part.
    Price(Price),
    Date(&'static str, &'static str),
    /// Text of at most so many bytes.
    Text(u32),
    /// One of a public list.
    Listed(&'static [&'static str]),
    /// All combinations of these words, with the separators between them.
    Words(&'static [&'static [&'static str]], &'static str),
}

#[derive(Clone, Copy)]
enum Price {
    /// P_RETAILPRICE.
    Part,
    /// L_EXTENDEDPRICE: at most 50 pieces.
    Line,
    /// O_TOTALPRICE: one to seven lines, discount up to 10 %, tax up to 8 %.
    Order,
}

use Kind::{Date, Decimal, Int, Key, Listed, Text, Words};

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, of: None, repeats: None }
}

/// The key of another table's rows, each in at most so many rows.
const fn reference(name: &'static str, kind: Kind, of: &'static str, repeats: u64) -> Column {
    Column { name, kind, of: Some(of), repeats: Some(repeats) }
}

const ORDERS: i64 = 1_500_000;
const CUSTOMERS: i64 = 150_000;
const PARTS: i64 = 200_000;
const SUPPLIERS: i64 = 10_000;
/// Only 8 of every 32 order keys are used.
const ORDER_KEYS: i64 = 4 * ORDERS;

const REGIONS: &[&str] = &["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"];
#[rustfmt::skip]
const NATIONS: &[&str] = &[
    "ALGERIA", "ARGENTINA", "BRAZIL", "CANADA", "EGYPT", "ETHIOPIA", "FRANCE", "GERMANY", "INDIA", "INDONESIA", "IRAN", "IRAQ", "JAPAN",
    "JORDAN", "KENYA", "MOROCCO", "MOZAMBIQUE", "PERU", "CHINA", "ROMANIA", "SAUDI ARABIA", "VIETNAM", "RUSSIA", "UNITED KINGDOM",
    "UNITED STATES",
];
const SEGMENTS: &[&str] = &["AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY"];
const PRIORITIES: &[&str] = &["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"];
const INSTRUCTIONS: &[&str] = &["COLLECT COD", "DELIVER IN PERSON", "NONE", "TAKE BACK RETURN"];
const MODES: &[&str] = &["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"];
const TYPES: &[&[&str]] = &[
    &["STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO"],
    &["ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED"],
    &["TIN", "NICKEL", "BRASS", "STEEL", "COPPER"],
];
const CONTAINERS: &[&[&str]] = &[&["SM", "LG", "MED", "JUMBO", "WRAP"], &["CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM"]];
const DIGITS: &[&str] = &["1", "2", "3", "4", "5"];
const MANUFACTURERS: &[&[&str]] = &[&["Manufacturer#"], DIGITS];
const BRANDS: &[&[&str]] = &[&["Brand#"], DIGITS, DIGITS];

/// Account balances.
const BALANCE: Kind = Decimal(-99_999, 999_999);
const NATION: Kind = Int(0, 24);
const REGION: Kind = Int(0, 4);
const PHONE: Kind = Text(15);

pub(super) const TABLES: &[Table] = &[
    Table {
        party: "sales",
        name: "customer",
        key: &["c_custkey"],
        columns: &[
            column("c_custkey", Key(CUSTOMERS)),
            column("c_name", Text(18)),
            column("c_address", Text(40)),
            column("c_nationkey", NATION),
            column("c_phone", PHONE),
            column("c_acctbal", BALANCE),
            column("c_mktsegment", Listed(SEGMENTS)),
            column("c_comment", Text(117)),
        ],
    },
    Table {
        party: "sales",
        name: "orders",
        key: &["o_orderkey"],
        columns: &[
            column("o_orderkey", Key(ORDER_KEYS)),
            column("o_custkey", Key(CUSTOMERS)),
            column("o_orderstatus", Listed(&["F", "O", "P"])),
            column("o_totalprice", Kind::Price(Price::Order)),
            column("o_orderdate", Date("1992-01-01", "1998-08-02")),
            column("o_orderpriority", Listed(PRIORITIES)),
            column("o_clerk", Text(15)),
            column("o_shippriority", Int(0, 0)),
            column("o_comment", Text(79)),
        ],
    },
    Table {
        party: "logistics",
        name: "lineitem",
        key: &["l_orderkey", "l_linenumber"],
        columns: &[
            // an order has one to seven lines
            reference("l_orderkey", Key(ORDER_KEYS), "orders", 7),
            column("l_partkey", Key(PARTS)),
            column("l_suppkey", Key(SUPPLIERS)),
            column("l_linenumber", Int(1, 7)),
            column("l_quantity", Decimal(100, 5_000)),
            column("l_extendedprice", Kind::Price(Price::Line)),
            column("l_discount", Decimal(0, 10)),
            column("l_tax", Decimal(0, 8)),
            column("l_returnflag", Listed(&["A", "N", "R"])),
            column("l_linestatus", Listed(&["F", "O"])),
            // 1 to 121 days after the order, promised 30 to 90 days after it, received 1 to 30 days after shipping
            column("l_shipdate", Date("1992-01-02", "1998-12-01")),
            column("l_commitdate", Date("1992-01-31", "1998-10-31")),
            column("l_receiptdate", Date("1992-01-03", "1998-12-31")),
            column("l_shipinstruct", Listed(INSTRUCTIONS)),
            column("l_shipmode", Listed(MODES)),
            column("l_comment", Text(44)),
        ],
    },
    Table {
        party: "supply",
        name: "part",
        key: &["p_partkey"],
        columns: &[
            column("p_partkey", Key(PARTS)),
            column("p_name", Text(55)),
            column("p_mfgr", Words(MANUFACTURERS, "")),
            column("p_brand", Words(BRANDS, "")),
            column("p_type", Words(TYPES, " ")),
            column("p_size", Int(1, 50)),
            column("p_container", Words(CONTAINERS, " ")),
            column("p_retailprice", Kind::Price(Price::Part)),
            column("p_comment", Text(23)),
        ],
    },
    Table {
        party: "supply",
        name: "supplier",
        key: &["s_suppkey"],
        columns: &[
            column("s_suppkey", Key(SUPPLIERS)),
            column("s_name", Text(18)),
            column("s_address", Text(40)),
            column("s_nationkey", NATION),
            column("s_phone", PHONE),
            column("s_acctbal", BALANCE),
            column("s_comment", Text(101)),
        ],
    },
    Table {
        party: "supply",
        name: "partsupp",
        key: &["ps_partkey", "ps_suppkey"],
        columns: &[
            // four suppliers have each part
            reference("ps_partkey", Key(PARTS), "part", 4),
            column("ps_suppkey", Key(SUPPLIERS)),
            column("ps_availqty", Int(1, 9_999)),
            column("ps_supplycost", Decimal(100, 100_000)),
            column("ps_comment", Text(199)),
        ],
    },
    Table {
        party: "supply",
        name: "nation",
        key: &["n_nationkey"],
        columns: &[
            column("n_nationkey", NATION),
            column("n_name", Listed(NATIONS)),
            column("n_regionkey", REGION),
            column("n_comment", Text(152)),
        ],
    },
    Table {
        party: "supply",
        name: "region",
        key: &["r_regionkey"],
        columns: &[column("r_regionkey", REGION), column("r_name", Listed(REGIONS)), column("r_comment", Text(152))],
    },
];

/// The catalogue at a scale factor, given each table's exact number of rows.
pub(super) fn toml(scale: f64, rows: &[(&'static str, u64)]) -> String {
    let mut out = format!(
        "# TPC-H at scale factor {scale}, dealt out to three agencies. Ranges, lists and keys are the specification's;\n\
         # the number of rows is exact and public, and answers may show single rows, as the benchmark's do.\n\
         version = 1\n"
    );
    let rows_of = |table: &str| rows.iter().find(|(name, _)| *name == table).map_or(1, |(_, rows)| *rows);
    for table in TABLES {
        let rows = rows_of(table.name);
        let name = format!("{}.{}", table.party, table.name);
        let key = list(table.key.iter().copied());
        let fields = [("name", quote(&name)), ("max_rows", rows.to_string()), ("key", key), ("release", quote("rows"))];
        entry(&mut out, "[[table]]", &fields);
        for column in table.columns {
            let mut fields = vec![("name", quote(column.name))];
            fields.extend(column.kind.fields(scale));
            fields.extend(column.of.map(|table| ("distinct", rows_of(table).to_string())));
            fields.extend(column.repeats.map(|most| ("repeats", most.to_string())));
            fields.push(("nullable", "false".to_owned()));
            entry(&mut out, "[[table.column]]", &fields);
        }
    }
    out
}

impl Kind {
    fn fields(&self, scale: f64) -> Vec<(&'static str, String)> {
        let ranged = |kind: &str, min: String, max: String| vec![("type", quote(kind)), ("min", min), ("max", max)];
        let decimal = |min: i64, max: i64| ranged("DECIMAL(15,2)", hundredths(min), hundredths(max));
        match self {
            Key(each) => ranged("BIGINT", "1".into(), at(*each, scale).to_string()),
            Int(min, max) => ranged("INT", min.to_string(), max.to_string()),
            Decimal(min, max) => decimal(*min, *max),
            Kind::Price(price) => {
                let (min, max) = price.range(scale);
                decimal(min, max)
            }
            Date(min, max) => ranged("DATE", quote(min), quote(max)),
            Text(bytes) => vec![("type", quote("STRING")), ("max_bytes", bytes.to_string())],
            Listed(values) => vec![("type", quote("STRING")), ("dictionary", list(values.iter().copied()))],
            Words(words, between) => {
                let values = combinations(words, between);
                vec![("type", quote("STRING")), ("dictionary", list(values.iter().map(String::as_str)))]
            }
        }
    }
}

impl Price {
    /// In hundredths. P_RETAILPRICE is 90000 + (P_PARTKEY / 10) mod 20001 + 100 (P_PARTKEY mod 1000).
    fn range(self, scale: f64) -> (i64, i64) {
        let parts = at(PARTS, scale);
        let (least, most) = (90_000, 90_000 + (parts / 10).min(20_000) + 100 * parts.min(999));
        match self {
            Price::Part => (least, most),
            Price::Line => (least, 50 * most),
            Price::Order => (least * 90 / 100, 7 * 50 * most * 108 / 100),
        }
    }
}

/// So many at scale factor 1, at this one; the generator rounds alike.
fn at(each: i64, scale: f64) -> i64 {
    ((each as f64 * scale) as i64).max(1)
}

fn hundredths(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    quote(&format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100))
}

fn combinations(words: &[&[&str]], between: &str) -> Vec<String> {
    let (first, rest) = words.split_first().expect("lists of words are not empty");
    rest.iter().fold(first.iter().map(ToString::to_string).collect(), |begun, next| {
        begun.iter().flat_map(|b| next.iter().map(move |word| format!("{b}{between}{word}"))).collect()
    })
}
