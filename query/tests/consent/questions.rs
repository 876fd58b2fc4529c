//! Random questions to the town, and their SQL.

use ledger::contract::Operation::{self, *};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct Question {
    pub tables: Tables,
    pub filter: Vec<Cond>,
    /// Residents who are in the other table, too, with this condition there.
    pub among: Option<Cond>,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// `a`: meters, or stays.
    One(bool),
    /// With the zones.
    Zoned(bool),
    /// Meters and stays, on the resident.
    Residents,
    /// Both, on resident, and meters with the zones.
    All,
}

/// A column, of the tables there are by number.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub u8);

#[derive(Clone, Debug)]
pub enum Cond {
    Above(Number, i16),
    There(Number),
    Flag(u8),
    Word(u8),
    /// Whether it is a value, as NULLIF has it.
    Gone(Number, i16),
    /// Whether it is small, as a cast has it.
    Small(Number),
    Either(Box<Cond>, Box<Cond>),
}

#[derive(Clone, Debug)]
pub enum Value {
    Of(Number),
    Twice(Number),
    Sum(Number, Number),
    Odd(Number),
    When(Box<Cond>, Number),
    One(Box<Cond>),
}

#[derive(Clone, Debug)]
pub enum Agg {
    Rows(Option<Cond>),
    Of(Operation, Value, Option<Cond>),
    Corr(Number, Number),
    /// Of the zones that are looked up, where they are.
    Zones(Operation),
}

#[derive(Clone, Debug)]
pub enum Shape {
    Groups {
        of: Vec<Agg>,
        by: Vec<u8>,
        having: Option<Agg>,
        limit: bool,
    },
    /// An aggregate of the aggregates of groups; of all, or of those with the same of another key.
    Nested {
        by: u8,
        inner: u8,
        outer: u8,
        above: bool,
        again: Option<u8>,
    },
    Distinct {
        by: u8,
    },
    Shown {
        of: Vec<Number>,
        by: Option<Number>,
        /// Where they are, that is, in which borough of the zones.
        place: bool,
    },
}

fn number() -> impl Strategy<Value = Number> {
    any::<u8>().prop_map(Number)
}

/// Conditions. Whether a column has a value is asked in WHERE alone: what is counted where it has one is COUNT of it.
fn cond(there: bool) -> impl Strategy<Value = Cond> {
    let one = move || {
        prop_oneof![
            4 => (number(), 0..90i16).prop_map(|(c, n)| Cond::Above(c, n)),
            1 => number().prop_map(move |n| if there { Cond::There(n) } else { Cond::Above(n, 7) }),
            1 => any::<u8>().prop_map(Cond::Flag),
            2 => any::<u8>().prop_map(Cond::Word),
            1 => (number(), 0..90i16).prop_map(move |(c, n)| if there { Cond::Gone(c, n) } else { Cond::Above(c, n) }),
            1 => number().prop_map(move |n| if there { Cond::Small(n) } else { Cond::Above(n, 7) }),
        ]
    };
    prop_oneof![5 => one(), 1 => (one(), one()).prop_map(|(a, b)| Cond::Either(Box::new(a), Box::new(b)))]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => number().prop_map(Value::Of),
        1 => number().prop_map(Value::Twice),
        1 => (number(), number()).prop_map(|(a, b)| Value::Sum(a, b)),
        1 => number().prop_map(Value::Odd),
        1 => (cond(false), number()).prop_map(|(c, n)| Value::When(Box::new(c), n)),
        1 => cond(false).prop_map(|c| Value::One(Box::new(c))),
    ]
}

fn agg() -> impl Strategy<Value = Agg> {
    let filter = || proptest::option::weighted(0.2, cond(false));
    let op = prop::sample::select(vec![Sum, Sum, Avg, Avg, Count, CountDistinct, Min, Max, Var, Median]);
    prop_oneof![
        1 => filter().prop_map(Agg::Rows),
        6 => (op, value(), filter()).prop_map(|(op, of, filter)| match (op, of) {
            // of these only how many there are: no condition decides that
            (Count, Value::Odd(n)) | (Count | CountDistinct, Value::When(_, n)) => Agg::Of(op, Value::Of(n), filter),
            (Count | CountDistinct, Value::One(_)) => Agg::Rows(filter),
            (op, of) => Agg::Of(op, of, filter),
        }),
        1 => (number(), number()).prop_map(|(a, b)| Agg::Corr(a, b)),
        1 => prop::sample::select(vec![Sum, Avg, Count, CountDistinct, Min, Max]).prop_map(Agg::Zones),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let groups = (
        prop::collection::vec(agg(), 1..=2),
        prop::collection::vec(any::<u8>(), 0..=2),
        proptest::option::weighted(0.2, agg()),
        any::<bool>(),
    );
    let nested = (any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>(), proptest::option::of(any::<u8>()));
    prop_oneof![
        7 => groups.prop_map(|(of, by, having, limit)| Shape::Groups { of, by, having, limit }),
        3 => nested.prop_map(|(by, inner, outer, above, again)| Shape::Nested { by, inner, outer, above, again }),
        1 => any::<u8>().prop_map(|by| Shape::Distinct { by }),
        2 => (prop::collection::vec(number(), 0..=2), proptest::option::of(number()), any::<bool>())
            .prop_map(|(of, by, place)| Shape::Shown { of, by, place }),
    ]
}

pub fn questions() -> impl Strategy<Value = Question> {
    let tables = prop_oneof![
        3 => any::<bool>().prop_map(Tables::One),
        2 => any::<bool>().prop_map(Tables::Zoned),
        3 => Just(Tables::Residents),
        1 => Just(Tables::All),
    ];
    let filter = prop::collection::vec(cond(true), 0..=2);
    (tables, filter, proptest::option::weighted(0.15, cond(true)), shape()).prop_map(|(tables, filter, among, shape)| {
        let mut question = Question { tables, filter, among, shape };
        // what follows from another condition is not compared
        let of = question.tables();
        let words: Vec<String> = question.filter.iter().map(|c| cond_sql(c, &of)).collect();
        let follows = |c: &Cond| matches!(c, Cond::Either(a, b) if words.contains(&cond_sql(a, &of)) || words.contains(&cond_sql(b, &of)));
        question.filter.retain(|c| !follows(c));
        // of a column that is compared, all rows have a value
        let compared = question.filter.iter().any(|c| matches!(c, Cond::Above(..) | Cond::There(_) | Cond::Small(_)));
        if let Shape::Groups { of, having, .. } = &mut question.shape {
            for agg in of.iter_mut().chain(having) {
                if let Agg::Of(Count, _, filter) = agg
                    && compared
                {
                    *agg = Agg::Rows(filter.take());
                }
            }
        }
        question
    })
}

/// A table, its alias, its numbers with whether they may be NULL, its flag and its word with a value.
pub struct Table {
    pub name: &'static str,
    pub alias: &'static str,
    pub numbers: [(&'static str, bool); 2],
    pub flag: &'static str,
    pub word: (&'static str, &'static str),
}

const METERS: Table =
    Table { name: "energy.meters", alias: "m", numbers: [("kwh", true), ("peak", false)], flag: "poor", word: ("tariff", "day") };
const STAYS: Table =
    Table { name: "health.stays", alias: "s", numbers: [("cost", true), ("days", false)], flag: "urgent", word: ("ward", "lung") };

impl Question {
    pub fn tables(&self) -> Vec<&'static Table> {
        match self.tables {
            Tables::One(true) | Tables::Zoned(true) => vec![&METERS],
            Tables::One(false) | Tables::Zoned(false) => vec![&STAYS],
            Tables::Residents | Tables::All => vec![&METERS, &STAYS],
        }
    }

    pub fn zoned(&self) -> bool {
        matches!(self.tables, Tables::Zoned(_) | Tables::All)
    }

    pub fn number(&self, n: Number) -> (&'static Table, &'static str, bool) {
        of_number(&self.tables(), n)
    }

    /// The table whose residents are looked for in the other.
    pub fn other(&self) -> Option<&'static Table> {
        match self.tables {
            Tables::One(true) | Tables::Zoned(true) => Some(&STAYS),
            Tables::One(false) | Tables::Zoned(false) => Some(&METERS),
            _ => None,
        }
    }

    /// What may be grouped by: alias.column, its table, the column.
    pub fn key(&self, n: u8) -> (String, Option<&'static Table>, &'static str) {
        let tables = self.tables();
        let table = tables[usize::from(n) % tables.len()];
        let keys = [table.word.0, "zone", table.flag];
        let count = keys.len() + usize::from(self.zoned());
        match keys.get(usize::from(n / 2) % count) {
            Some(key) => (format!("{}.{key}", table.alias), Some(table), key),
            None => ("z.borough".into(), None, "borough"),
        }
    }

    /// The key by which aggregates of groups are aggregated, where it is another than that of the groups.
    pub fn again(&self) -> Option<u8> {
        match &self.shape {
            Shape::Nested { by, again, .. } => again.filter(|again| self.key(*again).0 != self.key(*by).0),
            _ => None,
        }
    }

    pub fn sql(&self) -> String {
        let tables = self.tables();
        let mut from = format!("{} {}", tables[0].name, tables[0].alias);
        if let Some(second) = tables.get(1) {
            from += &format!(" JOIN {} {} ON m.resident = s.resident", second.name, second.alias);
        }
        if self.zoned() {
            from += &format!(" JOIN public.zones z ON z.zone = {}.zone", tables[0].alias);
        }
        let mut conditions: Vec<String> = self.filter.iter().map(|c| cond_sql(c, &tables)).collect();
        if let (Some(among), Some(other)) = (&self.among, self.other()) {
            let inside = cond_sql(among, &[other]);
            conditions.push(format!(
                "{}.resident IN (SELECT {a}.resident FROM {} {a} WHERE {inside})",
                tables[0].alias,
                other.name,
                a = other.alias
            ));
        }
        let conditions = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        match &self.shape {
            Shape::Groups { of, by, having, limit } => {
                let mut keys: Vec<String> = by.iter().map(|n| self.key(*n).0).collect();
                keys.dedup();
                let aggs = of.iter().enumerate().map(|(i, agg)| format!("{} AS a{i}", self.agg_sql(agg)));
                let items: Vec<String> = keys.iter().enumerate().map(|(i, k)| format!("{k} AS k{i}")).chain(aggs).collect();
                let mut sql = format!("SELECT {} FROM {from}{conditions}", items.join(", "));
                if !keys.is_empty() {
                    sql += &format!(" GROUP BY {}", keys.join(", "));
                    if let Some(having) = having {
                        sql += &format!(" HAVING {} > 3", self.agg_sql(having));
                    }
                }
                if *limit {
                    sql += " ORDER BY a0 DESC LIMIT 3";
                }
                sql
            }
            Shape::Nested { by, inner, outer, above, .. } => {
                let inner = match inner % 3 {
                    0 => "COUNT(*)".to_owned(),
                    n => format!("{}({})", ["", "SUM", "MAX"][usize::from(n)], self.measure().1),
                };
                let outer = ["SUM", "MAX", "AVG"][usize::from(outer % 3)];
                let above = if *above { " WHERE g.v > 10" } else { "" };
                let key = self.key(*by).0;
                match self.again() {
                    None => format!(
                        "SELECT {outer}(g.v) AS a FROM (SELECT {key} AS k, {inner} AS v FROM {from}{conditions} GROUP BY {key}) g{above}"
                    ),
                    Some(n) => {
                        let other = self.key(n).0;
                        format!(
                            "SELECT g.k2, {outer}(g.v) AS a FROM (SELECT {key} AS k, {other} AS k2, {inner} AS v FROM {from}{conditions} \
                             GROUP BY {key}, {other}) g{above} GROUP BY g.k2"
                        )
                    }
                }
            }
            Shape::Distinct { by } => {
                let key = self.key(*by).0;
                format!("SELECT COUNT(*) AS n FROM (SELECT DISTINCT {key} AS k FROM {from}{conditions}) d")
            }
            Shape::Shown { of, by, place } => {
                let mut items: Vec<String> = of.iter().map(|n| self.column(*n)).collect();
                items.dedup();
                if *place && self.zoned() {
                    items.push("z.borough".into());
                }
                if items.is_empty() {
                    items.push("1 AS one".into());
                }
                let mut sql = format!("SELECT {} FROM {from}{conditions}", items.join(", "));
                if let Some(by) = by {
                    sql += &format!(" ORDER BY {} LIMIT 5", self.column(*by));
                }
                sql
            }
        }
    }

    fn column(&self, n: Number) -> String {
        let (table, column, _) = self.number(n);
        format!("{}.{column}", table.alias)
    }

    /// What nested aggregates are of.
    pub fn measure(&self) -> (&'static Table, String) {
        let table = self.tables()[0];
        (table, format!("{}.{}", table.alias, table.numbers[1].0))
    }

    fn agg_sql(&self, agg: &Agg) -> String {
        let tables = self.tables();
        let filter =
            |filter: &Option<Cond>| filter.as_ref().map_or_else(String::new, |c| format!(" FILTER (WHERE {})", cond_sql(c, &tables)));
        match agg {
            Agg::Rows(f) => format!("COUNT(*){}", filter(f)),
            Agg::Of(op, value, f) => {
                let value = match value {
                    Value::Of(n) => self.column(*n),
                    Value::Twice(n) => format!("{} * 2 + 1", self.column(*n)),
                    Value::Sum(a, b) => format!("{} + {}", self.column(*a), self.column(*b)),
                    Value::Odd(n) => format!("{} % 2", self.column(*n)),
                    Value::When(c, n) => format!("CASE WHEN {} THEN {} ELSE 0 END", cond_sql(c, &tables), self.column(*n)),
                    Value::One(c) => format!("CASE WHEN {} THEN 1 ELSE 0 END", cond_sql(c, &tables)),
                };
                let (name, distinct) = match op {
                    Avg => ("AVG", ""),
                    Count => ("COUNT", ""),
                    CountDistinct => ("COUNT", "DISTINCT "),
                    Min => ("MIN", ""),
                    Max => ("MAX", ""),
                    Var => ("VAR_SAMP", ""),
                    Median => ("MEDIAN", ""),
                    _ => ("SUM", ""),
                };
                format!("{name}({distinct}{value}){}", filter(f))
            }
            Agg::Corr(a, b) => format!("CORR({}, {})", self.column(*a), self.column(*b)),
            Agg::Zones(_) if !self.zoned() => "COUNT(*)".into(),
            Agg::Zones(op) => match op {
                Avg => "AVG(z.zone)".into(),
                Count => "COUNT(z.zone)".into(),
                CountDistinct => "COUNT(DISTINCT z.zone)".into(),
                Min => "MIN(z.zone)".into(),
                Max => "MAX(z.zone)".into(),
                _ => "SUM(z.zone)".into(),
            },
        }
    }
}

pub fn of_number(tables: &[&'static Table], n: Number) -> (&'static Table, &'static str, bool) {
    let table = tables[usize::from(n.0) % tables.len()];
    let (name, nullable) = table.numbers[usize::from(n.0 / 2) % 2];
    (table, name, nullable)
}

/// The table's column that may be NULL: of the other, the question is none.
pub fn there(n: Number) -> Number {
    Number(n.0 & 1)
}

fn cond_sql(c: &Cond, tables: &[&'static Table]) -> String {
    let table = |n: &u8| tables[usize::from(*n) % tables.len()];
    match c {
        Cond::Above(n, than) => {
            let (t, c, _) = of_number(tables, *n);
            format!("{}.{c} > {than}", t.alias)
        }
        Cond::There(n) => {
            let (t, c, _) = of_number(tables, there(*n));
            format!("{}.{c} IS NOT NULL", t.alias)
        }
        Cond::Gone(n, value) => {
            let (t, c, _) = of_number(tables, *n);
            format!("NULLIF({}.{c} - {value}, 0) IS NULL", t.alias)
        }
        Cond::Small(n) => {
            let (t, c, _) = of_number(tables, *n);
            format!("TRY_CAST({}.{c} AS TINYINT) IS NOT NULL", t.alias)
        }
        Cond::Flag(n) => format!("{}.{}", table(n).alias, table(n).flag),
        Cond::Word(n) => format!("{}.{} = '{}'", table(n).alias, table(n).word.0, table(n).word.1),
        Cond::Either(a, b) => format!("({} OR {})", cond_sql(a, tables), cond_sql(b, tables)),
    }
}
