//! A random question as SQL over the town.

use super::grammar::{Aggregate, Cond, From, Item, Num, Question, Scalar, Select, Shape, Txt, When};
use super::schema::Kind::{self, Bool, Date, Decimal, Int, Moment, Text};
use super::schema::{Link, TABLES, Table};
use std::fmt::Write;

const TEXTS: [&str; 8] = ["Ada", "Ben", "high", "low", "acute", "A", "Mill Lane", "art"];
const PATTERNS: [&str; 8] = ["A%", "%a", "%e%", "_e%", "", "%", "a\\_b", "%L%n_"];
const COMPARISONS: [&str; 6] = ["=", "<", "<=", ">", ">=", "<>"];
const ALIASES: [&str; 4] = ["a", "b", "c", "d"];

fn pick<T>(from: &[T], number: u8) -> &T {
    &from[number as usize % from.len()]
}

/// The question's text.
pub fn sql(question: &Question) -> String {
    match question {
        Question::One(select) => one(select),
        Question::Set { op, columns, left, right, third } => {
            let ops = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"];
            let ((a, left), (mut b, mut right)) = (side(left), side(right));
            if a.links(&b).is_empty() {
                // nothing in common: the same again
                (b, right) = (a.clone(), left.clone());
            }
            let (x, y) = pairs(&a, &b, columns);
            let text = format!("SELECT {}{left} {} SELECT {}{right}", named(&x), pick(&ops, *op), named(&y));
            match third {
                None => text,
                Some((op, turned)) => {
                    // once more one of the two, in another order of operations
                    let (columns, from) = if *turned { (&y, &right) } else { (&x, &left) };
                    format!("({text}) {} SELECT {}{from}", pick(&ops, *op), named(columns))
                }
            }
        }
    }
}

/// A side of a set operation.
fn side((from, filter): &(From, Option<Cond>)) -> (Scope, String) {
    let (scope, mut text) = scope(from);
    if let Some(filter) = filter {
        write!(text, " WHERE {}", scope.condition(filter, false)).ok();
    }
    (scope, text)
}

/// Columns of two sides that may be equal, then columns of one kind.
fn pairs(a: &Scope, b: &Scope, columns: &[u8]) -> (Vec<String>, Vec<String>) {
    let links = a.links(b);
    let (x, y) = pick(&links, columns[0]);
    let (mut left, mut right) = (vec![x.clone()], vec![y.clone()]);
    for column in &columns[1..] {
        let (x, kind, _) = pick(&a.columns, *column);
        if let Some(y) = b.kind(&[*kind], column.rotate_right(3)) {
            left.push(x.clone());
            right.push(y.into());
        }
    }
    (left, right)
}

fn named(items: &[String]) -> String {
    items.iter().enumerate().map(|(i, text)| format!("{text} AS x{i}")).collect::<Vec<_>>().join(", ")
}

fn one(select: &Select) -> String {
    let (scope, mut from) = scope(&select.from);
    if let Some(filter) = &select.filter {
        write!(from, " WHERE {}", scope.condition(filter, false)).ok();
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
        if let Some(also) = &join.also {
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
            Num::Rest(a, by) => format!("({}) % {}", self.num(a), pick(&["7", "2", "1", "10", "-3", "2.5", "1000"], *by)),
            Num::Whole(a) => format!("CAST({} AS BIGINT)", self.num(a)),
            Num::Truth(c) => format!("CAST({} AS BIGINT)", self.cond(c)),
            Num::Part(part, when) => self.when(when).map_or_else(
                || "7".into(),
                |when| format!("EXTRACT({} FROM {when})", pick(&["YEAR", "MONTH", "DAY", "QUARTER", "DOW", "DOY", "WEEK"], *part)),
            ),
            Num::Length(text) => self.txt(text).map_or_else(|| "0".into(), |text| format!("LENGTH({text})")),
            Num::Best(greatest, a, b) => {
                format!("{}({}, {})", if *greatest { "GREATEST" } else { "LEAST" }, self.num(a), self.num(b))
            }
        }
    }

    /// A text, if the tables have any.
    fn txt(&self, text: &Txt) -> Option<String> {
        Some(match text {
            Txt::Column(c) => self.kind(&[Text], *c)?.into(),
            Txt::Literal(c) => format!("'{}'", pick(&TEXTS, *c)),
            Txt::Cased(upper, a) => format!("{}({})", if *upper { "UPPER" } else { "LOWER" }, self.txt(a)?),
            Txt::Part(a, from, length) => format!("SUBSTR({}, {}, {})", self.txt(a)?, from % 5 + 1, length % 5),
            Txt::Joined(a, b) => format!("{} || {}", self.txt(a)?, self.txt(b)?),
            Txt::Coalesce(a, b) => format!("COALESCE({}, {})", self.txt(a)?, self.txt(b)?),
            Txt::Case(c, a, b) => format!("CASE WHEN {} THEN {} ELSE {} END", self.cond(c), self.txt(a)?, self.txt(b)?),
            Txt::Written(c) => format!("CAST({} AS VARCHAR)", self.kind(&[Int, Decimal, Date], *c)?),
        })
    }

    /// A date or a moment, if the tables have any.
    fn when(&self, when: &When) -> Option<String> {
        Some(match when {
            When::Column(c) => self.kind(&[Date, Moment], *c)?.into(),
            When::Day(c) => format!("CAST({} AS DATE)", self.kind(&[Date, Moment], *c)?),
            When::Start(unit, c) => {
                format!(
                    "CAST(DATE_TRUNC('{}', {}) AS DATE)",
                    pick(&["year", "quarter", "month", "week"], *unit),
                    self.kind(&[Date, Moment], *c)?
                )
            }
            When::Months(greatest, a, b, months) => {
                let day = |c| Some(format!("CAST({} AS DATE)", self.kind(&[Date, Moment], c)?));
                let best = if *greatest { "GREATEST" } else { "LEAST" };
                format!("({best}({}, {}) + INTERVAL '{months} months')", day(*a)?, day(*b)?)
            }
            When::Later(c, days) => format!("(CAST({} AS DATE) + INTERVAL '{days} days')", self.kind(&[Date, Moment], *c)?),
        })
    }

    /// A value from another table, of all its rows or of those linked to the row at hand.
    fn scalar(&self, scalar: &Scalar) -> String {
        let table = pick(&TABLES, scalar.table);
        let inner = Scope::of(table, "s");
        let column = inner.number(scalar.column);
        let of = pick(&["MAX({})", "MIN({})", "SUM({})", "COUNT({})", "COUNT(*)", "AVG({})"], scalar.op).replace("{}", column);
        let mut conditions = Vec::new();
        let pairs = self.links(&inner);
        if let (Some(on), false) = (scalar.on, pairs.is_empty()) {
            let (a, b) = pick(&pairs, on);
            conditions.push(format!("{b} = {a}"));
        }
        conditions.extend(scalar.also.map(|(c, v)| format!("{} > {v}", inner.number(c))));
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("(SELECT {of} FROM {} s{filter})", table.text)
    }

    fn cond(&self, cond: &Cond) -> String {
        self.condition(cond, true)
    }

    /// A condition; `inside` a larger one, DataFusion takes IN of a sub-query for true or false (tests/slt/in_within.slt): there, no NULL is asked about.
    fn condition(&self, cond: &Cond, inside: bool) -> String {
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
            Cond::Like(text, pattern, not) => match self.txt(text) {
                Some(text) => format!("{text} {}LIKE '{}'", if *not { "NOT " } else { "" }, pick(&PATTERNS, *pattern)),
                None => instead(*pattern),
            },
            Cond::Written(a, op, b) => match (self.txt(a), self.txt(b)) {
                (Some(a), Some(b)) => format!("{a} {} {b}", compare(op)),
                _ => instead(*op),
            },
            Cond::Days(a, op, b) => match (self.when(a), self.when(b)) {
                (Some(a), Some(b)) => format!("{a} {} {b}", compare(op)),
                _ => instead(*op),
            },
            Cond::Scalar(a, op, scalar) => format!("{} {} {}", self.num(a), compare(op), self.scalar(scalar)),
            Cond::Between(c, a, b) => format!("{} BETWEEN {a} AND {b}", self.number(*c)),
            Cond::Not(a) => format!("NOT ({})", self.cond(a)),
            Cond::And(a, b) => format!("({} AND {})", self.condition(a, inside), self.condition(b, inside)),
            Cond::Or(a, b) => format!("({} OR {})", self.cond(a), self.cond(b)),
            Cond::Exists { table, on, not, is_in, also, compared } => {
                let alias = "e";
                let table = pick(&TABLES, *table);
                let inner = Scope::of(table, alias);
                let also = also.map(|(c, v)| format!("{} > {v}", inner.number(c)));
                let not = if *not { "NOT " } else { "" };
                let from = format!("FROM {} {alias}", table.text);
                let pairs = self.links(&inner);
                let link = |on: u8| (!pairs.is_empty()).then(|| pick(&pairs, on));
                let mut conditions: Vec<String> = also.into_iter().collect();
                let all = |conditions: &[String]| match conditions {
                    [] => String::new(),
                    some => format!(" WHERE {}", some.join(" AND ")),
                };
                if *is_in {
                    let Some((a, b)) = link(on.unwrap_or_default()) else { return instead(on.unwrap_or_default()) };
                    if inside {
                        conditions.push(format!("{b} IS NOT NULL"));
                        return format!("({a} IS NOT NULL AND {a} {not}IN (SELECT {b} {from}{}))", all(&conditions));
                    }
                    return format!("{a} {not}IN (SELECT {b} {from}{})", all(&conditions));
                }
                conditions.extend(on.and_then(link).map(|(a, b)| format!("{b} = {a}")));
                conditions.extend(compared.map(|(a, op, b)| format!("{} {} {}", inner.number(a), compare(&op), self.number(b))));
                format!("{not}EXISTS (SELECT 1 {from}{})", all(&conditions))
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
                let p = pick(&["0.25", "0.5", "0.875", "0", "1", "0.0625"], aggregate.column);
                let order = if *name == "PERCENTILE_DISC" && aggregate.column % 2 == 1 { " DESC" } else { "" };
                format!("{name}({p}) WITHIN GROUP (ORDER BY {}{order})", self.number(aggregate.column))
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
        match shape {
            Shape::Aggregates { of, by, having } => {
                let by: Vec<String> = by.iter().map(|c| self.any(*c).to_owned()).collect();
                let items: Vec<String> = by.iter().cloned().chain(of.iter().map(|a| self.aggregate(a))).collect();
                let group = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
                let having = having.map(|(c, v)| match c % 6 {
                    0 => format!(" HAVING COUNT(*) > {}", v.rem_euclid(4)),
                    1 => format!(" HAVING SUM({}) > {v}", self.number(c)),
                    2 => format!(" HAVING AVG({}) > {v}", self.number(c)),
                    3 => format!(" HAVING AVG({}) >= AVG({})", self.number(c), self.number(c.wrapping_add(1))),
                    // a half of the last digit is exact as a double for so few rows
                    4 => format!(" HAVING CAST(AVG({}) AS DECIMAL(12,3)) < {v}.125", self.number(c)),
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
                        Item::Text(text) => self.txt(text).unwrap_or_else(|| "'none'".into()),
                        Item::When(when) => self.when(when).unwrap_or_else(|| "DATE '2024-02-29'".into()),
                        Item::Scalar(scalar) => self.scalar(scalar),
                    })
                    .collect();
                (format!("SELECT {}{}{from}", if *distinct { "DISTINCT " } else { "" }, named(&items)), items.len())
            }
            Shape::Window { function, away, of, partition, by, descending } => {
                let (any, of, key) = (self.any(*of), self.number(*of), self.any(*by));
                let partition = partition.map(|c| format!("PARTITION BY {} ", self.any(c))).unwrap_or_default();
                let direction = if *descending { " DESC" } else { "" };
                // functions that number rows need an order without ties, but for rows that are equal in everything
                let rest: Vec<&str> = self.columns.iter().map(|c| c.0.as_str()).filter(|c| *c != key).collect();
                let all = [vec![key], rest].concat();
                let all = all.iter().map(|c| format!("{c}{direction}")).collect::<Vec<_>>().join(", ");
                let whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
                let (function, order) = match function % 20 {
                    0 => ("RANK()".into(), format!("ORDER BY {key}{direction}")),
                    1 => ("DENSE_RANK()".into(), format!("ORDER BY {key}{direction}")),
                    2 => ("ROW_NUMBER()".into(), format!("ORDER BY {all}")),
                    3 => (format!("NTILE({})", pick(&[3, 1, 2, 4, 7, 40], *away)), format!("ORDER BY {all}")),
                    4 => (format!("LAG({any})"), format!("ORDER BY {all}")),
                    5 => (format!("SUM({of})"), String::new()),
                    6 => (format!("MAX({of})"), String::new()),
                    7 => ("COUNT(*)".into(), format!("ORDER BY {key}{direction}")),
                    8 => (format!("LAG({any}, {})", away % 20), format!("ORDER BY {all}")),
                    9 => (format!("LEAD({any}, {})", away % 20), format!("ORDER BY {all}")),
                    10 => (format!("LEAD({any})"), format!("ORDER BY {all}")),
                    11 => (format!("SUM({of})"), format!("ORDER BY {all} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")),
                    12 => (format!("MIN({of})"), format!("ORDER BY {key}{direction} {whole}")),
                    13 => (format!("AVG({of})"), String::new()),
                    14 => (format!("COUNT({any})"), String::new()),
                    // a default, of the column's values or not
                    15 => (format!("LAG({of}, {}, {})", away % 5, 7 * i32::from(*away) - 300), format!("ORDER BY {all}")),
                    16 => {
                        let text = self.kind(&[Text], *away).unwrap_or("'none'");
                        (format!("LEAD({text}, {}, '{}')", away % 5, pick(&TEXTS, away / 5)), format!("ORDER BY {all}"))
                    }
                    17 => (format!("FIRST_VALUE({any})"), format!("ORDER BY {all}")),
                    18 => {
                        let sum = pick(&["SUM({})", "COUNT({})", "AVG({})"], away / 8).replace("{}", of);
                        (sum, format!("ORDER BY {all} ROWS {} PRECEDING", away % 8))
                    }
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
