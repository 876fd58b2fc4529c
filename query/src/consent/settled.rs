//! What columns were used for, once it is known what is joined with what, and what comes out: the uses that a contract must allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ledger::contract::{Contract, Operation, ROWS};

use super::{
    label::{Source, is_public},
    uses::{Compared, Need, Uses},
};

/// One thing a plan does with a private column, or with the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// `agency.table`.
    pub table: String,
    /// The column; `None` for the rows.
    pub column: Option<String>,
    /// What is done with it.
    pub operation: Operation,
    /// What else, if allowed, allows it.
    pub or: Vec<Operation>,
    /// The columns of the table by which rows must be allowed to be grouped for `or` to do.
    pub grouped: BTreeSet<String>,
    /// Where in the question, in its words.
    pub place: String,
}

impl Use {
    /// The operation by which a contract allows it, if it does.
    pub fn allowed_by(&self, contract: &Contract) -> Option<Operation> {
        let may = |column: &str, operation| contract.columns.get(column).is_some_and(|allowed| allowed.contains(operation));
        let column = self.column.as_deref().unwrap_or(ROWS);
        let grouped = self.grouped.iter().all(|key| may(key, &Operation::Group));
        let mut ways = std::iter::once(&self.operation).chain(self.or.iter().filter(|_| grouped));
        ways.find(|operation| may(column, operation)).copied()
    }
}

impl Uses {
    /// Who may see an aggregate of groups may compare it. Whether the groups come out in this question does not matter, but that they might: of groups that nobody may
    /// see each is compared as a row is. A table's rows are grouped by all its columns that were matched with a key. A number of values is no value: it is compared as
    /// whether there is one.
    fn settle_compared(&mut self, components: &[BTreeMap<Node, BTreeSet<Source>>]) {
        let mut seen = BTreeSet::new();
        for Compared { of, source, fold, groups, place } in std::mem::take(&mut self.compared) {
            // one is compared at every step of the plan
            if !seen.insert((of, source.clone(), fold, groups.clone())) {
                continue;
            }
            let matched = |key: &Source| {
                let component = components.iter().find(|all| all.contains_key(&Node::of(key)));
                component.map_or_else(|| vec![key.clone()], |all| all.values().flatten().cloned().collect())
            };
            let private = groups.iter().flat_map(matched).filter_map(|key| {
                let (table, column) = key.private()?;
                (Some(table) == source.table()).then(|| column.to_string())
            });
            self.place = place;
            let keys = if fold == Operation::Count { BTreeSet::new() } else { private.collect() };
            // how many different public values there are is how many of what was matched with them
            let public = source.private().is_none() && fold == Operation::CountDistinct;
            let matched = if public { matched(&source) } else { Vec::new() };
            for source in std::iter::once(&source).chain(&matched) {
                self.note(source, Need::Compare(of, fold, keys.clone()));
            }
        }
    }

    /// All uses of private columns.
    pub(super) fn settled(mut self, tables: &BTreeSet<String>) -> BTreeSet<Use> {
        let components = components(&self.edges);
        // who groups by a column, or shows it, does so with all that were matched with it, who counts public values counts what was matched with them
        let spread = self.found.iter().filter_map(|((source, need), place)| match need {
            Need::Operation(Operation::Group) => Some((source.clone(), need.clone(), place.clone())),
            Need::Operation(Operation::CountDistinct) if source.private().is_none() => Some((source.clone(), need.clone(), place.clone())),
            Need::Operation(Operation::Release) => Some((source.clone(), Need::Shown, place.clone())),
            _ => None,
        });
        for (source, need, place) in spread.collect::<Vec<_>>() {
            let with = components.iter().find(|all| all.contains_key(&Node::of(&source)));
            self.place = place;
            for matched in with.into_iter().flat_map(|all| all.values().flatten()).filter(|matched| **matched != source) {
                self.note(matched, need.clone());
            }
        }
        self.settle_compared(&components);
        let shows = |table: &Rc<str>| {
            let released = |(source, need): &(Source, Need)| {
                *need == Need::Operation(Operation::Release) && matches!(source, Source::Column(of, _) if of == table)
            };
            self.found.keys().any(released)
        };
        let mut all = BTreeSet::new();
        let none = BTreeSet::new();
        let mut add = |source: &Source, operation, or: &[Operation], grouped: &BTreeSet<String>, place: &str| {
            let (table, column) = match source {
                Source::Rows(table) if !is_public(table) => (table, None),
                source => match source.private() {
                    Some((table, column)) => (table, Some(column.to_string())),
                    None => return,
                },
            };
            let (table, or, grouped, place) = (table.to_string(), or.to_vec(), grouped.clone(), place.to_owned());
            all.insert(Use { table, column, operation, or, grouped, place });
        };
        for ((source, need), place) in &self.found {
            match need {
                // who may see the groups may count them
                Need::Operation(Operation::CountDistinct) => add(source, Operation::CountDistinct, &[Operation::Group], &none, place),
                Need::Operation(operation) => add(source, *operation, &[], &none, place),
                Need::Order(seen) => add(source, Operation::Order, &[*seen], &none, place),
                Need::Pick => add(source, Operation::Filter, &[Operation::Group], &none, place),
                Need::Met => add(source, Operation::Join, &[Operation::Filter, Operation::Group], &none, place),
                Need::Place => add(source, Operation::Order, &[Operation::Group], &none, place),
                Need::Shown if source.table().is_some_and(shows) => add(source, Operation::Release, &[], &none, place),
                Need::Shown => add(source, Operation::Release, &[Operation::Group], &none, place),
                Need::Rows if source.table().is_some_and(shows) => {}
                Need::Rows => add(source, Operation::Count, &[], &none, place),
                // a sum of what is nobody's
                Need::Compare(..) if matches!(source, Source::Rows(_)) => add(source, Operation::Count, &[], &none, place),
                Need::Compare(of, fold, grouped) => {
                    let or: &[Operation] = match fold {
                        // a mean opens its sum
                        Operation::Sum => &[Operation::Sum, Operation::Avg, Operation::Var, Operation::Corr],
                        Operation::CountDistinct => &[Operation::CountDistinct, Operation::Group],
                        Operation::Count => &Operation::ALL,
                        fold => &[*fold],
                    };
                    add(source, *of, or, grouped, place);
                }
                Need::Split(group) if self.is_joined(source, *group) => {}
                Need::Split(_) => add(source, Operation::Group, &[], &none, place),
                Need::Anything => add(source, Operation::Count, &Operation::ALL, &none, place),
            }
        }
        for component in &components {
            let private: BTreeSet<&Source> = component.values().flatten().filter(|source| source.private().is_some()).collect();
            let tables: BTreeSet<_> = private.iter().filter_map(|source| source.private()).map(|(table, _)| table).collect();
            // what a table's rows may be split by, they may be matched by with public rows, and with each other
            let or: &[Operation] = if tables.len() > 1 { &[] } else { &[Operation::Group] };
            for source in private {
                let place = self.edges.iter().find(|(a, b, _)| a == source || b == source).map_or("", |(.., place)| place);
                add(source, Operation::Join, or, &none, place);
            }
        }
        // whoever reads a table may know whether it has rows
        let idle = tables.iter().filter(|table| !is_public(table) && !all.iter().any(|used| used.table == **table));
        let idle: Vec<Use> = idle
            .map(|table| Use {
                table: table.clone(),
                column: None,
                operation: Operation::Count,
                or: Operation::ALL.to_vec(),
                grouped: BTreeSet::new(),
                place: "whether there are rows".into(),
            })
            .collect();
        all.extend(idle);
        all
    }
}

/// What is known with what: the columns of a public table, or of a list, are known together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Public(Rc<str>),
    Listed(Rc<str>),
    Other(Source),
}

impl Node {
    fn of(source: &Source) -> Self {
        match source {
            Source::Column(table, _) if is_public(table) => Node::Public(table.clone()),
            Source::Listed(list, _) => Node::Listed(list.clone()),
            source => Node::Other(source.clone()),
        }
    }
}

/// The connected parts of what is matched.
fn components(edges: &[(Source, Source, String)]) -> Vec<BTreeMap<Node, BTreeSet<Source>>> {
    let mut all: Vec<BTreeMap<Node, BTreeSet<Source>>> = Vec::new();
    for (a, b, _) in edges {
        let mut whole: BTreeMap<Node, BTreeSet<Source>> = BTreeMap::new();
        for source in [a, b] {
            whole.entry(Node::of(source)).or_default().insert(source.clone());
        }
        let (touched, apart): (Vec<_>, Vec<_>) = all.into_iter().partition(|other| other.keys().any(|node| whole.contains_key(node)));
        for (node, sources) in touched.into_iter().flatten() {
            whole.entry(node).or_default().extend(sources);
        }
        all = apart;
        all.push(whole);
    }
    all
}
