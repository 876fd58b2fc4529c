//! What base columns are used for. Uses are collected while the plan is interpreted, and settled at the end, when it is known what is
//! joined with what and what comes out.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ledger::contract::{Contract, Operation, ROWS};

use super::label::{Atom, Folds, Kind, Label, Source, is_public};

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

/// How a value comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// As it is.
    Plain,
    /// As a part of what this operation names.
    Of(Operation),
    /// As the number of values that are a part of it.
    Number,
    /// To say whether there is a value, or a group.
    Whether,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Where the interpretation is.
    pub(super) place: String,
    found: BTreeMap<(Source, Need), String>,
    /// What was matched with what.
    edges: Vec<(Source, Source, String)>,
    compared: Vec<Compared>,
}

/// An aggregate that was compared (FILTER) or ordered by (ORDER).
#[derive(Debug)]
struct Compared {
    of: Operation,
    source: Source,
    fold: Operation,
    /// The columns by which its groups were made.
    groups: Rc<BTreeSet<Source>>,
    place: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Operation(Operation),
    /// To compare an aggregate (FILTER), or order by it, which who may see it may do himself: if he may see the groups as well, which these columns of the table make.
    Compare(Operation, Operation, BTreeSet<String>),
    /// To order by it, which who may see it may do himself, by this operation.
    Order(Operation),
    /// To be picked by a list that the question brings along.
    Pick,
    /// That rows are told apart by their place in no order: whoever may see the groups may tell these apart.
    Place,
    /// To group by it further in. Where it is joined on, the join forms the groups as well.
    Split,
    /// Whoever may do anything with the column may know whether it has a value.
    Anything,
}

impl Uses {
    fn note(&mut self, source: &Source, need: Need) {
        self.found.entry((source.clone(), need)).or_insert_with(|| self.place.clone());
    }

    fn operation(&mut self, source: &Source, operation: Operation) {
        self.note(source, Need::Operation(operation));
    }

    /// Rows grouped by it say something of their own: they come out, or, further in, something is done with each of them.
    fn split(&mut self, atom: &Atom, need: Need) {
        let (Kind::Split { joined: false }, Source::Column(_, column)) = (&atom.kind, &atom.source) else { return };
        let place = std::mem::replace(&mut self.place, format!("GROUP BY {column}"));
        self.note(&atom.source, need);
        self.place = place;
    }

    /// What a comparison tells of a column.
    fn test(&mut self, source: &Source, of: Operation, folded: Folds, groups: &Rc<BTreeSet<Source>>) {
        match of {
            // the order says so, or the join
            Operation::Order | Operation::Join => {}
            _ if folded.is_empty() => self.operation(source, Operation::Filter),
            _ => self.compared(Operation::Filter, source, folded, groups),
        }
    }

    /// Of a sum of extremes neither the one nor the other alone says enough.
    fn compared(&mut self, of: Operation, source: &Source, folded: Folds, groups: &Rc<BTreeSet<Source>>) {
        let compared = |fold| Compared { of, source: source.clone(), fold, groups: groups.clone(), place: self.place.clone() };
        self.compared.extend(folded.iter().map(compared));
    }

    /// What chooses rows, or between values.
    pub(super) fn filter(&mut self, label: &Label) {
        for atom in label.0.iter() {
            match &atom.kind {
                Kind::Value | Kind::Computed | Kind::Key => self.operation(&atom.source, Operation::Filter),
                Kind::Test { of, folded, groups, .. } => self.test(&atom.source, *of, *folded, groups),
                Kind::Presence if matches!(atom.source, Source::Rows(_)) => {}
                Kind::Presence => self.note(&atom.source, Need::Anything),
                Kind::Place => self.note(&atom.source, Need::Place),
                Kind::Split { .. } => self.split(atom, Need::Split),
            }
        }
    }

    /// Rows that were chosen by their place in no order, of which something is computed. Where they come out as they are, it is any of them.
    pub(super) fn placed(&mut self, rows: &Label) {
        rows.0.iter().filter(|atom| atom.kind == Kind::Place).for_each(|atom| self.note(&atom.source, Need::Place));
    }

    /// What says nothing but whether there are rows, or how many.
    pub(super) fn whether(&mut self, label: &Label) {
        let rows = |atom: &&Atom| atom.kind == Kind::Presence && matches!(atom.source, Source::Rows(_));
        if !label.0.iter().any(Atom::is_value) {
            label
                .0
                .iter()
                .filter(rows)
                .for_each(|atom| self.note(&atom.source, Need::Compare(Operation::Filter, Operation::Count, BTreeSet::new())));
        }
    }

    /// What rows are ranked or cut off by.
    pub(super) fn order(&mut self, label: &Label) {
        let groups = Rc::new(label.splits());
        for atom in label.0.iter().filter(|atom| atom.is_value()) {
            match &atom.kind {
                Kind::Key => self.note(&atom.source, Need::Order(Operation::Group)),
                _ if atom.folds.is_empty() => self.note(&atom.source, Need::Order(Operation::Release)),
                _ => self.compared(Operation::Order, &atom.source, atom.folds, &groups),
            }
        }
        self.filter(&label.map(|atom| (!atom.is_value()).then(|| atom.clone())));
    }

    /// What is matched.
    pub(super) fn matched(&mut self, one: &Label, other: &Label) {
        for a in one.columns() {
            for b in other.columns() {
                self.edges.push((a.clone(), b, self.place.clone()));
            }
        }
        // A table has the values that it has; what is computed of it, or listed in the question, those that it is to have.
        for (of, with) in [(one, other), (other, one)] {
            if !with.stands() {
                of.columns().iter().for_each(|source| self.note(source, Need::Pick));
                self.seen(with);
            }
        }
    }

    /// Aggregates are compared, if they are not only passed on.
    fn seen(&mut self, label: &Label) {
        let groups = Rc::new(label.splits());
        let folded = |atom: &&Atom| atom.is_value() && !atom.folds.is_empty();
        label.0.iter().filter(folded).for_each(|atom| self.compared(Operation::Filter, &atom.source, atom.folds, &groups));
    }

    /// What windows' rows are divided by. What is computed is said to be so here; a column as it stands also where its parts come out.
    pub(super) fn parted<'a>(&mut self, keys: impl IntoIterator<Item = &'a Label>) -> Label {
        let keys: Vec<&Label> = keys.into_iter().collect();
        keys.iter().for_each(|key| self.parts(key));
        Label::union(keys.into_iter().filter(|key| key.stands())).split()
    }

    /// What rows are divided by: as it is, who may GROUP by it may; what is computed of it compares, or who may group may see all that it could say.
    pub(super) fn parts(&mut self, label: &Label) {
        self.seen(label);
        self.placed(label);
        let stands = label.stands();
        for atom in label.0.iter() {
            match &atom.kind {
                Kind::Value | Kind::Computed | Kind::Key if atom.is_value() && atom.folds.is_empty() => {
                    self.note(&atom.source, if stands { Need::Split } else { Need::Pick });
                }
                Kind::Test { of: Operation::Filter, folded, groups, .. } if !folded.is_empty() => {
                    self.compared(Operation::Filter, &atom.source, *folded, groups);
                }
                Kind::Test { of: Operation::Filter, .. } => self.note(&atom.source, Need::Pick),
                Kind::Split { .. } => self.split(atom, Need::Split),
                Kind::Presence if !matches!(atom.source, Source::Rows(_)) => self.note(&atom.source, Need::Anything),
                _ => {}
            }
        }
    }

    /// The number of rows.
    pub(super) fn count(&mut self, rows: &Label) -> Label {
        rows.map(|atom| match &atom.kind {
            // a group was joined with what is counted: it stands for rows of its table
            Kind::Split { joined: true } => {
                let Source::Column(table, _) = &atom.source else { return None };
                Some(Atom { source: Source::Rows(table.clone()), kind: Kind::Presence, folds: Folds::of(Operation::Count) })
            }
            Kind::Split { .. } => Some(Atom { folds: Folds::of(Operation::CountDistinct), ..atom.clone() }),
            Kind::Place => None,
            _ => Some(Atom { folds: Folds::of(Operation::Count), ..atom.clone() }),
        })
    }

    /// An aggregate of values over rows. What is summed in two steps is one sum; else a value of the first step is one of each group, and
    /// groups are made for it.
    pub(super) fn fold(&mut self, operation: Operation, label: &Label, rows: &Label) -> Label {
        use Operation::{Avg, Corr, Count, CountDistinct, Max, Median, Min, Sum, Var};
        let has_value = label.0.iter().any(|atom| atom.is_value() || !atom.folds.is_empty());
        // a number of values, and not of rows
        let counted = label.0.iter().any(|atom| atom.kind == Kind::Presence && !matches!(atom.source, Source::Rows(_)));
        let mut out = BTreeSet::new();
        let mut again = true;
        for atom in label.0.iter() {
            let before = atom.folds;
            let same = !before.is_empty()
                && atom.kind != Kind::Computed
                && match operation {
                    Sum => before.is_within(PARTS),
                    Min | Max => before == Folds::of(operation),
                    _ => false,
                };
            let mut folds = before.uncomputed();
            if !same {
                // the mean of sums is a mean
                if matches!(operation, Avg | Var | Corr | Median) {
                    folds = folds.without(Sum).without(Count);
                }
                folds = folds.and(operation);
            }
            match &atom.kind {
                Kind::Value | Kind::Computed | Kind::Key if atom.source == Source::Literal => drop(out.insert(atom.clone())),
                Kind::Value | Kind::Computed | Kind::Key => {
                    again &= same;
                    // the least of what is computed of a value, or how many of them there are, can say which it is
                    if atom.kind == Kind::Computed && before.is_empty() && matches!(operation, Min | Max | Median | CountDistinct) {
                        self.operation(&atom.source, Operation::Filter);
                    }
                    out.insert(Atom { source: atom.source.clone(), kind: Kind::Value, folds });
                }
                Kind::Test { .. } => drop(out.insert(Atom { folds, ..atom.clone() })),
                Kind::Place => self.note(&atom.source, Need::Place),
                _ if !before.is_empty() => {
                    again &= same;
                    out.insert(Atom { folds, ..atom.clone() });
                }
                Kind::Presence if (has_value || counted) && matches!(atom.source, Source::Rows(_)) => {}
                Kind::Presence if has_value => self.note(&atom.source, Need::Anything),
                Kind::Presence => drop(out.insert(Atom { folds: Folds::of(Count), ..atom.clone() })),
                Kind::Split { .. } => {}
            }
        }
        if has_value && !again {
            label.0.iter().chain(rows.0.iter()).filter(|atom| atom.folds.is_empty()).for_each(|atom| self.split(atom, Need::Split));
        }
        if !has_value && !counted {
            out.extend(self.count(rows).0.iter().cloned());
        }
        if !has_value {
            let groups = label.map(|atom| matches!(atom.kind, Kind::Split { .. }).then(|| atom.clone()));
            out.extend(self.count(&groups).0.iter().cloned());
        }
        Label::from(out)
    }

    /// Whether a condition holds for any row.
    pub(super) fn any(&mut self, label: &Label) -> Label {
        label.map(|atom| match &atom.kind {
            Kind::Presence if !matches!(atom.source, Source::Rows(_)) => {
                self.note(&atom.source, Need::Anything);
                None
            }
            Kind::Presence | Kind::Split { .. } => None,
            Kind::Place => {
                self.note(&atom.source, Need::Place);
                None
            }
            _ => Some(Atom { folds: Folds::of(Operation::Max), ..atom.clone() }),
        })
    }

    /// What groups are made by.
    pub(super) fn key(&mut self, label: &Label) -> Label {
        label.0.iter().for_each(|atom| self.split(atom, Need::Split));
        if label.stands() {
            self.placed(label);
        } else {
            self.parts(label);
        }
        label.map(|atom| {
            let kept = !matches!(atom.source, Source::Rows(_)) && !matches!(atom.kind, Kind::Split { .. } | Kind::Place);
            kept.then(|| Atom { kind: Kind::Key, ..atom.clone() })
        })
    }

    /// What comes out, or a part of it.
    pub(super) fn out(&mut self, label: &Label, role: Role) {
        for atom in label.0.iter() {
            let (source, folds) = (&atom.source, atom.folds);
            let rows = matches!(source, Source::Rows(_));
            match &atom.kind {
                _ if *source == Source::Literal => {}
                Kind::Value | Kind::Computed | Kind::Key => {
                    if atom.kind == Kind::Key {
                        self.operation(source, Operation::Group);
                    } else if folds.is_empty() {
                        self.operation(source, Operation::Release);
                    }
                    let part = |fold: &Operation| role != Role::Plain && matches!(fold, Operation::Sum | Operation::Count);
                    folds.iter().filter(|fold| !part(fold)).for_each(|fold| self.operation(source, fold));
                    if let Role::Of(operation) = role
                        && folds.iter().any(|fold| part(&fold))
                    {
                        self.operation(source, operation);
                    }
                }
                Kind::Test { of, row, folded, groups, .. } => {
                    self.test(source, *of, *folded, groups);
                    if folds.is_empty() && *row {
                        self.operation(source, Operation::Release);
                    }
                }
                // the number of values is a part of what is opened, multiplied by other sums or not
                Kind::Presence if role != Role::Plain && !rows => self.note(source, Need::Anything),
                Kind::Presence if matches!(role, Role::Number | Role::Whether) => {}
                Kind::Presence if folds.is_empty() && rows => {}
                Kind::Presence if folds.is_empty() => self.operation(source, Operation::Release),
                Kind::Presence => self.operation(source, Operation::Count),
                Kind::Place => self.note(source, Need::Place),
                Kind::Split { .. } if folds.is_empty() => self.split(atom, Need::Operation(Operation::Group)),
                Kind::Split { .. } if role == Role::Whether => {}
                Kind::Split { .. } => self.operation(source, Operation::CountDistinct),
            }
        }
    }

    /// That so many rows come out as they are left.
    pub(super) fn out_rows(&mut self, rows: &Label, counted: bool) {
        let single = rows.0.iter().any(|atom| matches!(atom.source, Source::Rows(_)));
        for atom in rows.0.iter() {
            match &atom.kind {
                // joined or not: they are the rows of the answer
                Kind::Split { joined } if !(single && *joined) => {
                    self.split(&Atom { kind: Kind::Split { joined: false }, ..atom.clone() }, Need::Operation(Operation::Group));
                }
                Kind::Presence if counted && matches!(atom.source, Source::Rows(_)) => self.operation(&atom.source, Operation::Count),
                _ => {}
            }
        }
    }

    /// Whether values of single rows of a table come out.
    pub(super) fn releases(&self) -> bool {
        self.found.keys().any(|(_, need)| *need == Need::Operation(Operation::Release))
    }

    /// Who may see an aggregate of groups may compare it. Whether the groups come out in this question does not matter, but that they might: of groups that nobody may
    /// see each is compared as a row is. A table's rows are grouped by all its columns that were matched with a key. A number of values is no value: it is compared as
    /// whether there is one.
    fn settle_compared(&mut self, components: &[BTreeMap<Node, BTreeSet<Source>>]) {
        for Compared { of, source, fold, groups, place } in std::mem::take(&mut self.compared) {
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
            self.note(&source, Need::Compare(of, fold, keys));
        }
    }

    /// All uses of private columns.
    pub(super) fn settled(mut self) -> BTreeSet<Use> {
        let components = components(&self.edges);
        // who groups by a column groups by all that were matched with it, who counts public values counts what was matched with them
        let grouped = self.found.iter().filter_map(|((source, need), place)| match need {
            Need::Operation(Operation::Group) => Some((source.clone(), Operation::Group, place.clone())),
            Need::Operation(Operation::CountDistinct) if source.private().is_none() => {
                Some((source.clone(), Operation::CountDistinct, place.clone()))
            }
            _ => None,
        });
        for (source, operation, place) in grouped.collect::<Vec<_>>() {
            let with = components.iter().find(|all| all.contains_key(&Node::of(&source)));
            self.place = place;
            for source in with.into_iter().flat_map(|all| all.values().flatten()) {
                self.operation(source, operation);
            }
        }
        self.settle_compared(&components);
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
                Need::Place => add(source, Operation::Order, &[Operation::Group], &none, place),
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
                Need::Split if self.edges.iter().any(|(a, b, _)| a == source || b == source) => {}
                Need::Split => add(source, Operation::Group, &[], &none, place),
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
        all
    }
}

/// What is known with what: a public table's columns are known together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Public(Rc<str>),
    Other(Source),
}

impl Node {
    fn of(source: &Source) -> Self {
        match source {
            Source::Column(table, _) if is_public(table) => Node::Public(table.clone()),
            source => Node::Other(source.clone()),
        }
    }
}

/// What a sum may be taken of again: a sum in two steps is a sum.
const PARTS: Folds = Folds::of(Operation::Sum).and(Operation::Count);

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
