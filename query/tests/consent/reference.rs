//! What questions need: said of the question as it is asked, by rules that know of no plan.

use std::collections::BTreeSet;

use ledger::contract::Operation::{self, *};

use super::questions::{Agg, Cond, Question, Shape, Table, Value, of_number, there};

/// A term of a contract that is not about columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    Planner,
    Receiver,
    Purpose,
    Begins,
    Ends,
    Security,
    Partner,
    Sizes,
}

impl Term {
    pub const ALL: [Self; 8] =
        [Self::Planner, Self::Receiver, Self::Purpose, Self::Begins, Self::Ends, Self::Security, Self::Partner, Self::Sizes];

    /// Whether a question is refused for this term alone: as the contract of the table `at` has it, or as the question has it, if at none. `told` says whose numbers of rows are told to others.
    pub fn forbids(self, question: &Question, at: Option<&str>, told: impl Fn(&str) -> bool) -> bool {
        let other = question.other().filter(|_| question.among.is_some());
        let tables: Vec<&str> = question.tables().into_iter().chain(other).map(|table| table.name).collect();
        match (at, self) {
            // What it is computed by, with what, and what is told of it is nothing that a question says.
            (None, Self::Security | Self::Partner | Self::Sizes) => false,
            (None, _) => true,
            (Some(table), _) if !tables.contains(&table) => false,
            (Some(_), Self::Partner) => tables.len() > 1,
            (Some(table), Self::Sizes) => told(table),
            (Some(_), _) => true,
        }
    }
}

/// One of `of` must be allowed for a column, or for the rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub table: &'static str,
    pub column: Option<&'static str>,
    pub of: BTreeSet<Operation>,
    /// Or rows may be grouped by this column of the table.
    pub or_grouped: Option<&'static str>,
}

impl Question {
    /// What it needs at least, and at most: whether what one owner compares of its groups comes out with them is for the compiler to choose.
    pub fn needs(&self) -> [BTreeSet<Need>; 2] {
        [false, true].map(|out| self.needs_if(out))
    }

    fn needs_if(&self, out: bool) -> BTreeSet<Need> {
        let mut needs = Needs { all: BTreeSet::new() };
        let tables = self.tables();
        if tables.len() > 1 {
            tables.iter().for_each(|t| needs.add(t, Some("resident"), &[Join]));
        }
        if self.zoned() {
            needs.add(tables[0], Some("zone"), &[Join, Group]);
        }
        for c in &self.filter {
            needs.cond(c, &tables);
        }
        let mut counted = tables.clone();
        if let (Some(among), Some(other)) = (&self.among, self.other()) {
            needs.cond(among, &[other]);
            needs.add(tables[0], Some("resident"), &[Join]);
            needs.add(other, Some("resident"), &[Join]);
            counted.push(other);
        }
        match &self.shape {
            Shape::Groups { of, by, having, .. } => {
                by.iter().for_each(|n| self.grouped(*n, &[Group], &mut needs));
                of.iter().for_each(|agg| self.agg(agg, &counted, &mut needs));
                if let Some(having) = having.as_ref().filter(|_| !by.is_empty()) {
                    // what is compared of a group that several share comes out with it
                    match out || tables.len() > 1 || self.among.is_some() {
                        true => {
                            self.agg(having, &counted, &mut needs);
                            // a mean is compared as a sum with so many times a count
                            // of values that may be missing, whoever may see the mean may know how many there are
                            if let Agg::Of(Avg, value, filter) = having
                                && !self.parts(value, &mut needs).0.iter().any(|(.., nullable)| *nullable)
                            {
                                self.agg(&Agg::Of(Count, value.clone(), filter.clone()), &counted, &mut needs);
                            }
                        }
                        false => self.having(having, &mut needs),
                    }
                }
            }
            Shape::Nested { by, inner, outer, above, .. } => {
                // what they are aggregated by comes out
                self.again().iter().for_each(|n| self.grouped(*n, &[Group], &mut needs));
                let (table, _) = self.measure();
                let column = Some(table.numbers[1].0);
                let (inner, outer) = (inner % 3, outer % 3);
                // a filter on what is computed of groups, or an aggregate that is not of the parts of one
                let whole = *above || inner == 2 && outer != 1 || outer == 1 && inner != 2;
                if whole && !self.looked_up(*by) {
                    self.grouped(*by, &[Group], &mut needs);
                }
                // groups that the join forms do not come out: they are compared by whoever may see them
                if *above && inner != 0 && self.looked_up(*by) {
                    let zone = (table.name == tables[0].name).then_some("zone");
                    needs.all.extend(zone.map(|zone| Need { table: table.name, column, of: [Filter].into(), or_grouped: Some(zone) }));
                }
                if outer == 2 {
                    self.grouped(*by, &[Group, CountDistinct], &mut needs);
                }
                match inner {
                    0 => counted.iter().for_each(|t| needs.add(t, None, &[Count])),
                    1 if outer != 2 => needs.add(table, column, &[Sum]),
                    1 => {}
                    _ => needs.add(table, column, &[Max]),
                }
                if inner != 0 {
                    needs.add(table, column, &[[Sum, Max, Avg][usize::from(outer)]]);
                }
            }
            Shape::Distinct { by } => self.grouped(*by, &[Group, CountDistinct], &mut needs),
            Shape::Shown { of, by, place } => {
                let shown: Vec<_> = of.iter().map(|n| self.number(*n)).collect();
                let shows = |table: &Table| shown.iter().any(|(t, ..)| t.name == table.name);
                // the rows of a table of which nothing else comes out are counted
                counted.iter().filter(|t| !shows(t)).for_each(|t| needs.add(t, None, &[Count]));
                if *place && self.zoned() {
                    needs.add(tables[0], Some("zone"), if shows(tables[0]) { &[Release] } else { &[Release, Group] });
                }
                shown.iter().for_each(|(t, c, _)| needs.add(t, Some(c), &[Release]));
                if let Some((t, c, _)) = by.map(|by| self.number(by))
                    && !shown.iter().any(|(t2, c2, _)| t2.name == t.name && *c2 == c)
                {
                    needs.add(t, Some(c), &[Order, Release]);
                }
            }
        }
        needs.all
    }

    /// Whether it is a key by which zones are looked up, or theirs: the join forms the groups.
    fn looked_up(&self, n: u8) -> bool {
        let (_, table, key) = self.key(n);
        table.is_none_or(|table| key == "zone" && self.zoned() && table.name == self.tables()[0].name)
    }

    fn grouped(&self, n: u8, of: &[Operation], needs: &mut Needs) {
        let (_, table, key) = self.key(n);
        let zoned = self.zoned().then(|| self.tables()[0]);
        match table {
            Some(table) => needs.add(table, Some(key), of),
            // what is said of the zones is said of the zone that was looked up
            None => zoned.iter().for_each(|t| needs.add(t, Some("zone"), of)),
        }
    }

    fn agg(&self, agg: &Agg, counted: &[&'static Table], needs: &mut Needs) {
        let tables = self.tables();
        let rows = |needs: &mut Needs| counted.iter().for_each(|t| needs.add(t, None, &[Count]));
        match agg {
            Agg::Rows(filter) => {
                rows(needs);
                filter.iter().for_each(|c| needs.cond(c, &tables));
            }
            Agg::Zones(CountDistinct) if self.zoned() => needs.add(tables[0], Some("zone"), &[Group, CountDistinct]),
            Agg::Zones(_) => rows(needs),
            Agg::Corr(a, b) => {
                for n in [a, b] {
                    let (t, c, _) = self.number(*n);
                    needs.add(t, Some(c), &[Corr]);
                }
            }
            Agg::Of(op, value, filter) => {
                filter.iter().for_each(|c| needs.cond(c, &tables));
                let (columns, conds) = self.parts(value, needs);
                conds.iter().for_each(|c| needs.cond(c, &tables));
                let op = *op;
                // how great what is computed of two is, and how many there are of it, can say what they are
                if matches!((op, value), (Min | Max | Median | CountDistinct, Value::Sum(..))) {
                    columns.iter().for_each(|(t, c, _)| needs.add(t, Some(c), &[Filter]));
                }
                if op == Count {
                    // a count of values that are always there is one of rows
                    let some: Vec<_> = columns.iter().filter(|(.., nullable)| *nullable).collect();
                    some.iter().for_each(|(t, c, _)| needs.add(t, Some(c), &[Count]));
                    if some.is_empty() {
                        rows(needs);
                    }
                } else if columns.is_empty() {
                    rows(needs);
                } else {
                    let also: &[Operation] = if op == CountDistinct { &[CountDistinct, Group] } else { &[op] };
                    columns.iter().for_each(|(t, c, _)| needs.add(t, Some(c), also));
                }
            }
        }
    }

    /// What one owner compares of its groups does not come out: who may see it may compare it.
    fn having(&self, agg: &Agg, needs: &mut Needs) {
        let tables = self.tables();
        match agg {
            Agg::Zones(CountDistinct) if self.zoned() => needs.add(tables[0], Some("zone"), &[Filter, Group, CountDistinct]),
            // rows are counted, each for as much as its zone
            Agg::Zones(op) if self.zoned() && *op != Count => needs.add(tables[0], None, &[Count]),
            Agg::Zones(_) => {}
            Agg::Rows(filter) => filter.iter().for_each(|c| needs.cond(c, &tables)),
            Agg::Corr(a, b) => [a, b].into_iter().for_each(|n| {
                let (t, c, _) = self.number(*n);
                needs.add(t, Some(c), &[Filter, Corr]);
            }),
            Agg::Of(op, value, filter) => {
                filter.iter().for_each(|c| needs.cond(c, &tables));
                let (columns, conds) = self.parts(value, needs);
                conds.iter().for_each(|c| needs.cond(c, &tables));
                for (t, c, nullable) in columns {
                    match op {
                        Count if nullable => needs.add(t, Some(c), &Operation::ALL),
                        Count => {}
                        CountDistinct => needs.add(t, Some(c), &[Filter, CountDistinct, Group]),
                        Sum => needs.add(t, Some(c), &[Filter, Sum, Avg, Var, Corr]),
                        op => needs.add(t, Some(c), &[Filter, *op]),
                    }
                }
            }
        }
    }

    /// Whose values, and which conditions.
    fn parts<'v>(&self, value: &'v Value, needs: &mut Needs) -> (Vec<(&'static Table, &'static str, bool)>, Vec<&'v Cond>) {
        match value {
            Value::Of(n) | Value::Twice(n) => (vec![self.number(*n)], vec![]),
            Value::Sum(a, b) => (vec![self.number(*a), self.number(*b)], vec![]),
            Value::Odd(n) => {
                let (t, c, _) = self.number(*n);
                needs.add(t, Some(c), &[Filter]);
                (vec![self.number(*n)], vec![])
            }
            Value::When(c, n) => (vec![self.number(*n)], vec![c]),
            Value::One(c) => (vec![], vec![c]),
        }
    }
}

struct Needs {
    all: BTreeSet<Need>,
}

impl Needs {
    fn add(&mut self, table: &'static Table, column: Option<&'static str>, of: &[Operation]) {
        self.all.insert(Need { table: table.name, column, of: of.iter().copied().collect(), or_grouped: None });
    }

    fn cond(&mut self, c: &Cond, tables: &[&'static Table]) {
        match c {
            Cond::Above(n, _) | Cond::Gone(n, _) | Cond::Small(n) => {
                let (t, c, _) = of_number(tables, *n);
                self.add(t, Some(c), &[Filter]);
            }
            Cond::There(n) => {
                let (t, c, _) = of_number(tables, there(*n));
                self.add(t, Some(c), &Operation::ALL);
            }
            Cond::Flag(n) => {
                let t = tables[usize::from(*n) % tables.len()];
                self.add(t, Some(t.flag), &[Filter]);
            }
            Cond::Word(n) => {
                let t = tables[usize::from(*n) % tables.len()];
                self.add(t, Some(t.word.0), &[Filter]);
            }
            Cond::Either(a, b) => {
                self.cond(a, tables);
                self.cond(b, tables);
            }
        }
    }
}
