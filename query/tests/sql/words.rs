//! A random question as SQL over the town.

use super::grammar::{Aggregate, Cond, From, Item, Num, Question, Select, Shape};
use std::fmt::Write;

/// What a column is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Decimal,
    Text,
    Date,
    Moment,
    Bool,
}

use Kind::{Bool, Date, Decimal, Int, Moment, Text};

/// A table, or a view of one: its text in FROM, and its columns with the kind of thing a key names.
struct Table {
    text: &'static str,
    columns: &'static [(&'static str, Kind, Option<Link>)],
}

/// Columns that may be equal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Person,
    Name,
    Ward,
    Home,
    Day,
    Moment,
}

const TABLES: [Table; 13] = [
    Table {
        text: "school.pupils",
        columns: &[
            ("pupil", Int, Some(Link::Person)),
            ("name", Text, Some(Link::Name)),
            ("born", Date, None),
            ("ward", Int, Some(Link::Ward)),
            ("level", Text, None),
            ("points", Decimal, None),
            ("boards", Bool, None),
        ],
    },
    Table {
        text: "clinic.patients",
        columns: &[
            ("patient", Int, Some(Link::Person)),
            ("name", Text, Some(Link::Name)),
            ("ward", Int, Some(Link::Ward)),
            ("weight", Decimal, None),
            ("insured", Bool, None),
            ("since", Date, None),
            ("blood", Text, None),
        ],
    },
    Table {
        text: "housing.tenants",
        columns: &[
            ("tenant", Int, Some(Link::Person)),
            ("home", Int, Some(Link::Home)),
            ("name", Text, Some(Link::Name)),
            ("since", Date, None),
        ],
    },
    Table {
        text: "school.marks",
        columns: &[("pupil", Int, Some(Link::Person)), ("subject", Text, None), ("mark", Int, None), ("day", Date, Some(Link::Day))],
    },
    Table {
        text: "clinic.visits",
        columns: &[
            ("patient", Int, Some(Link::Person)),
            ("day", Date, Some(Link::Day)),
            ("cost", Decimal, None),
            ("ward", Int, Some(Link::Ward)),
            ("kind", Text, None),
        ],
    },
    Table {
        text: "housing.homes",
        columns: &[
            ("home", Int, Some(Link::Home)),
            ("ward", Int, Some(Link::Ward)),
            ("street", Text, None),
            ("rent", Decimal, None),
            ("rooms", Int, None),
            ("heated", Bool, None),
            ("built", Date, None),
        ],
    },
    Table {
        text: "school.entries",
        columns: &[("pupil", Int, Some(Link::Person)), ("at", Moment, Some(Link::Moment)), ("until", Moment, Some(Link::Moment))],
    },
    Table {
        text: "clinic.calls",
        columns: &[
            ("call", Int, None),
            ("patient", Int, Some(Link::Person)),
            ("at", Moment, Some(Link::Moment)),
            ("seen", Moment, Some(Link::Moment)),
        ],
    },
    Table {
        text: "housing.events",
        columns: &[("event", Int, None), ("tenant", Int, Some(Link::Person)), ("at", Moment, Some(Link::Moment))],
    },
    Table { text: "public.wards", columns: &[("ward", Int, Some(Link::Ward)), ("area", Text, None), ("people", Int, None)] },
    Table {
        text: "(SELECT pupil, COUNT(*) AS n, SUM(mark) AS total FROM school.marks GROUP BY pupil)",
        columns: &[("pupil", Int, Some(Link::Person)), ("n", Int, None), ("total", Int, None)],
    },
    Table {
        text: "(SELECT patient, MAX(day) AS latest, SUM(cost) AS cost FROM clinic.visits GROUP BY patient)",
        columns: &[("patient", Int, Some(Link::Person)), ("latest", Date, None), ("cost", Decimal, None)],
    },
    Table {
        text: "(SELECT ward, COUNT(*) AS homes, MIN(rent) AS rent FROM housing.homes GROUP BY ward)",
        columns: &[("ward", Int, Some(Link::Ward)), ("homes", Int, None), ("rent", Decimal, None)],
    },
];

const TEXTS: [&str; 8] = ["Ada", "Ben", "high", "low", "acute", "A", "Mill Lane", "art"];
const COMPARISONS: [&str; 6] = ["=", "<", "<=", ">", ">=", "<>"];
const ALIASES: [&str; 4] = ["a", "b", "c", "d"];

fn pick<T>(from: &[T], number: u8) -> &T {
    &from[number as usize % from.len()]
}

/// The question's text.
pub fn sql(question: &Question) -> String {
    match question {
        Question::One(select) => one(select),
        Question::Set { op, link, left, right } => {
            let op = pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"], *op);
            let side = |(from, filter): &(From, Option<Cond>)| {
                let (scope, mut text) = scope(from);
                if let Some(filter) = filter {
                    write!(text, " WHERE {}", scope.cond(filter)).ok();
                }
                (scope, text)
            };
            let ((a, left), (mut b, mut right)) = (side(left), side(right));
            if a.links(&b).is_empty() {
                // nothing in common: the same again
                (b, right) = (a.clone(), left.clone());
            }
            let pairs = a.links(&b);
            let (x, y) = pick(&pairs, *link);
            format!("SELECT {x} AS x0{left} {op} SELECT {y} AS x0{right}")
        }
    }
}

fn one(select: &Select) -> String {
    let (scope, mut from) = scope(&select.from);
    if let Some(filter) = &select.filter {
        write!(from, " WHERE {}", scope.cond(filter)).ok();
    }
    let (text, columns) = scope.shape(&select.shape, &from);
    match select.limit {
        None => text,
        Some((directions, limit, offset)) => {
            let keys = (0..columns as u32).map(|c| {
                let direction = pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"], directions.rotate_right(2 * c));
                format!("x{c}{direction}")
            });
            let offset = if offset == 0 { String::new() } else { format!(" OFFSET {offset}") };
            // of rows that are equal in all columns it does not matter which come
            format!("{text} ORDER BY {} LIMIT {limit}{offset}", keys.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The columns that can be named.
#[derive(Clone, Default)]
struct Scope {
    columns: Vec<(String, Kind, Option<Link>)>,
}

fn scope(from: &From) -> (Scope, String) {
    let first = pick(&TABLES, from.table);
    let mut scope = Scope::of(first, ALIASES[0]);
    let mut text = format!(" FROM {} {}", first.text, ALIASES[0]);
    for (join, alias) in from.joins.iter().zip(&ALIASES[1..]) {
        // the first table from the number on that has something in common
        let (table, pairs) = (0..TABLES.len() as u8)
            .map(|step| pick(&TABLES, join.table.wrapping_add(step)))
            .map(|table| (table, scope.links(&Scope::of(table, alias))))
            .find(|(_, pairs)| !pairs.is_empty())
            .expect("people, names, wards, homes, days and moments are each in two tables");
        let (a, b) = pick(&pairs, join.on);
        let kind = pick(&["JOIN", "JOIN", "LEFT JOIN", "JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN", "LEFT JOIN"], join.kind);
        scope.columns.extend(Scope::of(table, alias).columns);
        write!(text, " {kind} {} {alias} ON {b} = {a}", table.text).ok();
        // a FULL JOIN is on equalities alone: what else is in its condition keeps no row out
        if let (Some(also), false) = (&join.also, *kind == "FULL JOIN") {
            write!(text, " AND {}", scope.cond(also)).ok();
        }
    }
    (scope, text)
}

impl Scope {
    fn of(table: &Table, alias: &str) -> Self {
        Scope { columns: table.columns.iter().map(|(name, kind, link)| (format!("{alias}.{name}"), *kind, *link)).collect() }
    }

    /// Pairs of columns that may be equal.
    fn links(&self, other: &Scope) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (a, _, link) in self.columns.iter().filter(|c| c.2.is_some()) {
            pairs.extend(other.columns.iter().filter(|c| c.2 == *link).map(|(b, ..)| (a.clone(), b.clone())));
        }
        pairs
    }

    fn any(&self, number: u8) -> &str {
        &pick(&self.columns, number).0
    }

    fn kind(&self, kinds: &[Kind], number: u8) -> Option<&str> {
        let of: Vec<_> = self.columns.iter().filter(|c| kinds.contains(&c.1)).collect();
        (!of.is_empty()).then(|| pick(&of, number).0.as_str())
    }

    fn number(&self, number: u8) -> &str {
        self.kind(&[Int, Decimal], number).expect("every table has a number")
    }

    fn num(&self, num: &Num) -> String {
        match num {
            Num::Column(c) => self.number(*c).into(),
            Num::Literal(v) => v.to_string(),
            Num::Times(c, by) => format!("{by} * {}", self.number(*c)),
            Num::Add(a, b) => format!("({} + {})", self.num(a), self.num(b)),
            Num::Sub(a, b) => format!("({} - {})", self.num(a), self.num(b)),
            Num::Coalesce(c, b) => format!("COALESCE({}, {})", self.number(*c), self.num(b)),
            Num::Case(c, a, b) => format!("CASE WHEN {} THEN {} ELSE {} END", self.cond(c), self.num(a), self.num(b)),
            Num::Abs(a) => format!("ABS({})", self.num(a)),
            Num::Best(greatest, a, b) => {
                format!("{}({}, {})", if *greatest { "GREATEST" } else { "LEAST" }, self.num(a), self.num(b))
            }
        }
    }

    fn cond(&self, cond: &Cond) -> String {
        let compare = |op: &u8| *pick(&COMPARISONS, *op);
        let instead = |c: u8| format!("{} > 3", self.number(c));
        match cond {
            Cond::Bool(c) => self.kind(&[Bool], *c).map_or_else(|| instead(*c), Into::into),
            Cond::Compare(op, a, b) => format!("{} {} {}", self.num(a), compare(op), self.num(b)),
            Cond::Texts(a, op, b) => match (self.kind(&[Text], *a), self.kind(&[Text], *b)) {
                (Some(a), Some(b)) => format!("{a} {} {b}", compare(op)),
                _ => instead(*a),
            },
            Cond::Text(a, op, b) => {
                self.kind(&[Text], *a).map_or_else(|| instead(*a), |a| format!("{a} {} '{}'", compare(op), pick(&TEXTS, *b)))
            }
            Cond::Dates(a, op, b) => match (self.kind(&[Date, Moment], *a), self.kind(&[Date, Moment], *b)) {
                (Some(a), Some(b)) => format!("{a} {} {b}", compare(op)),
                _ => instead(*a),
            },
            Cond::Date(a, op, day) => self.kind(&[Date, Moment], *a).map_or_else(
                || instead(*a),
                |a| format!("{a} {} DATE '{:04}-{:02}-{:02}'", compare(op), 2000 + day % 25, 1 + day / 25 % 12, 1 + day / 300 % 28),
            ),
            Cond::IsNull(c, not) => format!("{} IS {}NULL", self.any(*c), if *not { "NOT " } else { "" }),
            Cond::Between(c, a, b) => format!("{} BETWEEN {a} AND {b}", self.number(*c)),
            Cond::Not(a) => format!("NOT ({})", self.cond(a)),
            Cond::And(a, b) => format!("({} AND {})", self.cond(a), self.cond(b)),
            Cond::Or(a, b) => format!("({} OR {})", self.cond(a), self.cond(b)),
            Cond::Exists { table, on, not, is_in, also } => {
                let alias = "e";
                let table = pick(&TABLES, *table);
                let inner = Scope::of(table, alias);
                let pairs = self.links(&inner);
                if pairs.is_empty() {
                    return instead(*on);
                }
                let (a, b) = pick(&pairs, *on);
                let also = also.map(|(c, v)| format!("{} > {v}", inner.number(c)));
                let not = if *not { "NOT " } else { "" };
                let from = format!("FROM {} {alias}", table.text);
                match is_in {
                    true => format!("{a} {not}IN (SELECT {b} {from}{})", also.map(|w| format!(" WHERE {w}")).unwrap_or_default()),
                    false => {
                        format!("{not}EXISTS (SELECT 1 {from} WHERE {b} = {a}{})", also.map(|w| format!(" AND {w}")).unwrap_or_default())
                    }
                }
            }
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> String {
        let (num, any) = (self.num(&aggregate.of), self.any(aggregate.column));
        let text = match aggregate.op % 13 {
            0 => "COUNT(*)".into(),
            1 | 2 => format!("SUM({num})"),
            3 => format!("COUNT({any})"),
            4 => format!("AVG({})", self.number(aggregate.column)),
            // a smallest BOOLEAN is asked for by other names
            5 | 6 => {
                let column = self.kind(&[Int, Decimal, Text, Date, Moment], aggregate.column).expect("every table has a number");
                format!("{}({column})", pick(&["MIN", "MAX"], aggregate.column / 16))
            }
            7 => format!("COUNT(DISTINCT {any})"),
            8 => format!("{}({num})", pick(&["MIN", "MAX"], aggregate.column)),
            10 => format!("{}(DISTINCT {})", pick(&["SUM", "AVG"], aggregate.column / 16), self.number(aggregate.column)),
            11 => format!("MEDIAN({})", self.number(aggregate.column)),
            12 => {
                let name = pick(&["PERCENTILE_CONT", "PERCENTILE_DISC"], aggregate.column / 16);
                // positions that are exact as doubles
                let p = pick(&["0.25", "0.5", "0.875"], aggregate.column);
                format!("{name}({p}) WITHIN GROUP (ORDER BY {})", self.number(aggregate.column))
            }
            _ => format!("SUM({num}) / NULLIF(COUNT({any}), 0)"),
        };
        match &aggregate.filter {
            // the last one is two aggregates
            Some(filter) if aggregate.op % 13 != 9 => format!("{text} FILTER (WHERE {})", self.cond(filter)),
            _ => text,
        }
    }

    /// The whole SELECT, and how many columns it has.
    fn shape(&self, shape: &Shape, from: &str) -> (String, usize) {
        let named = |items: &[String]| items.iter().enumerate().map(|(i, t)| format!("{t} AS x{i}")).collect::<Vec<_>>().join(", ");
        match shape {
            Shape::Aggregates { of, by, having } => {
                let by: Vec<String> = by.iter().map(|c| self.any(*c).to_owned()).collect();
                let items: Vec<String> = by.iter().cloned().chain(of.iter().map(|a| self.aggregate(a))).collect();
                let group = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
                let having = having.map(|(c, v)| match c % 3 {
                    0 => format!(" HAVING COUNT(*) > {}", v.rem_euclid(4)),
                    1 => format!(" HAVING SUM({}) > {v}", self.number(c)),
                    _ => format!(" HAVING MAX({}) > MIN({})", self.number(c), self.number(c.wrapping_add(1))),
                });
                (format!("SELECT {}{from}{group}{}", named(&items), having.unwrap_or_default()), items.len())
            }
            Shape::Rows { items, distinct } => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| match item {
                        Item::Column(c) => self.any(*c).to_owned(),
                        Item::Number(num) => self.num(num),
                        Item::Condition(cond) => self.cond(cond),
                    })
                    .collect();
                (format!("SELECT {}{}{from}", if *distinct { "DISTINCT " } else { "" }, named(&items)), items.len())
            }
            Shape::Window { function, of, partition, by, descending } => {
                let (of, key) = (self.number(*of), self.any(*by));
                let partition = partition.map(|c| format!("PARTITION BY {} ", self.any(c))).unwrap_or_default();
                let direction = if *descending { " DESC" } else { "" };
                // functions that number rows need an order without ties, but for rows that are equal in everything
                let rest: Vec<&str> = self.columns.iter().map(|c| c.0.as_str()).filter(|c| *c != key).collect();
                let all = [vec![key], rest].concat();
                let all = all.iter().map(|c| format!("{c}{direction}")).collect::<Vec<_>>().join(", ");
                let (function, order) = match function % 9 {
                    0 => ("RANK()".into(), format!("ORDER BY {key}{direction}")),
                    1 => ("DENSE_RANK()".into(), format!("ORDER BY {key}{direction}")),
                    2 => ("ROW_NUMBER()".into(), format!("ORDER BY {all}")),
                    3 => ("NTILE(3)".into(), format!("ORDER BY {all}")),
                    4 => (format!("LAG({of})"), format!("ORDER BY {all}")),
                    5 => (format!("SUM({of})"), String::new()),
                    6 => (format!("MAX({of})"), String::new()),
                    7 => ("COUNT(*)".into(), format!("ORDER BY {key}{direction}")),
                    _ => (format!("SUM({of})"), format!("ORDER BY {key}{direction}")),
                };
                (format!("SELECT {key} AS x0, {of} AS x1, {function} OVER ({partition}{order}) AS x2{from}"), 3)
            }
            Shape::Groups { by, of, outer } => {
                let key = self.any(*by);
                let inner = format!("SELECT {key} AS k, {} AS v{from} GROUP BY {key}", self.aggregate(of));
                let outer = pick(&["COUNT(v)", "COUNT(*)", "MIN(v)", "MAX(v)", "COUNT(DISTINCT v)"], *outer);
                (format!("SELECT {outer} AS x0 FROM ({inner}) g"), 1)
            }
        }
    }
}
