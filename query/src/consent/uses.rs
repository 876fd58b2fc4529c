//! What base columns are used for, as the plan is interpreted; [`super::settled`] says at the end what that needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ledger::contract::Operation;

use super::folds::Folds;
use super::label::{Atom, Kind, Label, Source, is_public};

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
    pub(super) found: BTreeMap<(Source, Need), String>,
    /// What was matched with what.
    pub(super) edges: Vec<(Source, Source, String)>,
    pub(super) compared: Vec<Compared>,
    /// How many times rows were grouped.
    groups: usize,
    /// Which groups by a column are those that a join on it forms.
    joined: BTreeSet<(Source, usize)>,
    /// Groups by a column that were grouped by it again.
    within: BTreeSet<(Source, usize, usize)>,
}

/// An aggregate that was compared (FILTER) or ordered by (ORDER).
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) of: Operation,
    pub(super) source: Source,
    pub(super) fold: Operation,
    /// The columns by which its groups were made.
    pub(super) groups: Rc<BTreeSet<Source>>,
    pub(super) place: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Operation(Operation),
    /// To compare an aggregate (FILTER), or order by it, which who may see it may do himself: if he may see the groups as well, which these columns of the table make.
    Compare(Operation, Operation, BTreeSet<String>),
    /// To order by it, which who may see it may do himself, by this operation.
    Order(Operation),
    /// To be picked by a list that the question brings along.
    Pick,
    /// That its values may be those of another table, too.
    Met,
    /// That rows are told apart by their place in no order: whoever may see the groups may tell these apart.
    Place,
    /// To group by it further in, in groups of this number. Where these are joined on it, the join forms them as well.
    Split(usize),
    /// What it was matched with comes out row by row: a table of which nothing else does is so divided into groups.
    Shown,
    /// Whoever may do anything with the column may know whether it has a value.
    Anything,
    /// That there are so many of the table's rows as come out: they are counted, where no column of the table comes out with them.
    Rows,
}

impl Uses {
    pub(super) fn note(&mut self, source: &Source, need: Need) {
        self.found.entry((source.clone(), need)).or_insert_with(|| self.place.clone());
    }

    pub(super) fn operation(&mut self, source: &Source, operation: Operation) {
        self.note(source, Need::Operation(operation));
    }

    /// Rows grouped by it say something of their own: they come out, or, further in, something is done with each of them.
    fn split(&mut self, atom: &Atom) {
        if let Kind::Split { group, .. } = atom.kind {
            self.split_for(atom, Need::Split(group));
        }
    }

    fn split_for(&mut self, atom: &Atom, need: Need) {
        let (Kind::Split { joined: false, .. }, Source::Column(_, column)) = (&atom.kind, &atom.source) else { return };
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
                Kind::Value | Kind::Computed | Kind::Key | Kind::OfKey => self.operation(&atom.source, Operation::Filter),
                Kind::Test { of, folded, groups, .. } => self.test(&atom.source, *of, *folded, groups),
                Kind::Presence if matches!(atom.source, Source::Rows(_)) => {}
                Kind::Presence => self.note(&atom.source, Need::Anything),
                Kind::Place => self.note(&atom.source, Need::Place),
                Kind::Split { .. } => self.split(atom),
            }
        }
    }

    /// Groups by these keys, of rows that were joined on some columns.
    pub(super) fn grouped(&mut self, by: &Label, rows: &Label, joined: &BTreeSet<Source>) -> Label {
        let group = self.groups;
        self.groups += 1;
        let made = by.split(group);
        for source in made.splits() {
            for inner in rows.0.iter().filter(|atom| atom.source == source) {
                if let Kind::Split { group: inner, .. } = inner.kind {
                    self.within.insert((source.clone(), inner, group));
                }
            }
            if joined.contains(&source) {
                self.joined.insert((source, group));
            }
        }
        made
    }

    /// What was grouped is joined on these.
    pub(super) fn joins(&mut self, label: &Label, on: &BTreeSet<Source>) {
        for atom in label.0.iter().filter(|atom| on.contains(&atom.source)) {
            if let Kind::Split { group, .. } = atom.kind {
                self.joined.insert((atom.source.clone(), group));
            }
        }
    }

    /// Whether a join on the column forms these groups, or the groups that these were made into by it.
    pub(super) fn is_joined(&self, source: &Source, group: usize) -> bool {
        let outer = |(of, inner, outer): &(Source, usize, usize)| of == source && *inner == group && self.is_joined(source, *outer);
        self.joined.contains(&(source.clone(), group)) || self.within.iter().any(outer)
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
                kind if kind.is_key() => self.note(&atom.source, Need::Order(Operation::Group)),
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
        // A table has the values that it has; what is computed of it, or listed in the question, those that it is to have, and says so of its own rows.
        for (of, with) in [(one, other), (other, one)] {
            if with.stands() {
                self.placed(with);
            } else {
                of.columns().iter().for_each(|source| self.note(source, Need::Pick));
                self.parts(with);
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
    pub(super) fn parted<'a>(&mut self, keys: impl IntoIterator<Item = &'a Label>, joined: &BTreeSet<Source>) -> Label {
        let keys: Vec<&Label> = keys.into_iter().collect();
        keys.iter().for_each(|key| self.parts(key));
        let parts = self.grouped(&Label::union(keys.into_iter().filter(|key| key.stands())), &Label::default(), joined);
        parts.0.iter().for_each(|part| self.split(part));
        parts
    }

    /// What rows are divided by: as it is, who may GROUP by it may; what is computed of it compares, or who may group may see all that it could say.
    pub(super) fn parts(&mut self, label: &Label) {
        self.seen(label);
        self.placed(label);
        let stands = label.stands();
        for atom in label.0.iter() {
            match &atom.kind {
                _ if atom.is_value() && atom.folds.is_empty() && stands => {}
                _ if atom.is_value() && atom.folds.is_empty() => self.note(&atom.source, Need::Pick),
                Kind::Test { of: Operation::Filter, folded, groups, .. } if !folded.is_empty() => {
                    self.compared(Operation::Filter, &atom.source, *folded, groups);
                }
                Kind::Test { of: Operation::Filter, .. } => self.note(&atom.source, Need::Pick),
                Kind::Split { .. } => self.split(atom),
                Kind::Presence if !matches!(atom.source, Source::Rows(_)) => self.note(&atom.source, Need::Anything),
                _ => {}
            }
        }
    }

    /// The number of rows.
    pub(super) fn count(&mut self, rows: &Label) -> Label {
        rows.map(|atom| match &atom.kind {
            // a group was joined with what is counted: it stands for rows of its table
            Kind::Split { joined: true, .. } => {
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
        let has_value = label.0.iter().any(|atom| atom.is_value() || !atom.folds.is_empty() && !matches!(atom.kind, Kind::Test { .. }));
        // a number of values, and not of rows
        let counted = label.0.iter().any(|atom| atom.kind == Kind::Presence && !matches!(atom.source, Source::Rows(_)));
        // the greatest of 1 is 1, and not how many there are; a sum of literals may weigh groups
        let number = |atom: &Atom| match operation {
            Sum if matches!(atom.kind, Kind::Split { .. }) => Atom { folds: atom.folds.and(Sum), ..atom.clone() },
            Sum | Count => atom.clone(),
            _ => Atom { folds: atom.folds.computed(), ..atom.clone() },
        };
        let mut out = BTreeSet::new();
        let mut again = true;
        for atom in label.0.iter() {
            let before = atom.folds;
            let same = !before.is_empty()
                && !atom.kind.is_computed()
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
                _ if atom.kind.is_value() && atom.source == Source::Literal => drop(out.insert(atom.clone())),
                Kind::Value | Kind::Computed | Kind::Key | Kind::OfKey => {
                    again &= same;
                    // the least of what is computed of a value, or how many of them there are, can say which it is
                    if atom.kind.is_computed() && before.is_empty() && matches!(operation, Min | Max | Median | CountDistinct) {
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
                Kind::Presence => drop(out.insert(number(&Atom { folds: Folds::of(Count), ..atom.clone() }))),
                Kind::Split { .. } => {}
            }
        }
        let splits = |label: &Label| -> Vec<Atom> { label.0.iter().filter(|atom| atom.folds.is_empty()).cloned().collect() };
        if operation == CountDistinct {
            self.mixed(label);
        }
        let chosen = |atom: &&Atom| matches!(atom.kind, Kind::Split { chosen: true, .. }) && atom.folds.is_empty();
        // what comes of some groups only, or how many they are, is not what comes of all
        label.0.iter().filter(chosen).for_each(|atom| self.split(atom));
        if has_value && !again {
            splits(label).iter().chain(&splits(rows)).for_each(|atom| self.split(atom));
        } else if has_value && operation == Sum {
            // a part that stands beside groups of another kind is summed once for each of them
            splits(rows).iter().filter(|atom| !label.0.contains(*atom)).for_each(|atom| self.split(atom));
        }
        let numbers = self.count(rows);
        if !has_value && !counted {
            out.extend(numbers.0.iter().map(number));
        } else if operation != CountDistinct && !label.0.iter().any(|atom| of_private(atom, has_value)) {
            out.extend(numbers.0.iter().filter_map(|atom| weighed(atom, operation, label)));
        } else if operation != CountDistinct && !has_value {
            // a number of values is none of rows, but it is one of groups
            out.extend(numbers.0.iter().filter(|atom| matches!(atom.kind, Kind::Split { .. })).map(number));
        }
        if !has_value {
            let groups = label.map(|atom| matches!(atom.kind, Kind::Split { .. }).then(|| atom.clone()));
            out.extend(self.count(&groups).0.iter().map(number));
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

    /// Different values are told from one another, of several columns or of one and the question's own: how many there are says which of them are equal.
    fn mixed(&mut self, label: &Label) {
        let values = |atom: &&Atom| atom.is_value() && atom.folds.is_empty();
        let columns: BTreeSet<&Source> = label.0.iter().filter(values).map(|atom| &atom.source).collect();
        let own = label.has_instead() || columns.iter().any(|source| matches!(source, Source::Listed(..)));
        for column in &columns {
            let beside = || columns.iter().filter(|other| *other != column);
            if own || beside().any(|other| other.table() == column.table()) {
                self.note(column, Need::Pick);
            } else if beside().next().is_some() {
                self.note(column, Need::Met);
            }
        }
    }

    /// What groups are made by.
    pub(super) fn key(&mut self, label: &Label) -> Label {
        label.0.iter().for_each(|atom| self.split(atom));
        self.mixed(label);
        if label.stands() {
            self.placed(label);
        } else {
            self.parts(label);
        }
        label.map(|atom| {
            let kept = !matches!(atom.source, Source::Rows(_)) && !matches!(atom.kind, Kind::Split { .. } | Kind::Place);
            kept.then(|| Atom { kind: if atom.kind.is_computed() { Kind::OfKey } else { Kind::Key }, ..atom.clone() })
        })
    }

    /// What comes out, or a part of it.
    pub(super) fn out(&mut self, label: &Label, role: Role) {
        for atom in label.0.iter() {
            let (source, folds) = (&atom.source, atom.folds);
            let rows = matches!(source, Source::Rows(_));
            match &atom.kind {
                _ if *source == Source::Literal => {}
                Kind::Value | Kind::Computed | Kind::Key | Kind::OfKey => {
                    if atom.kind.is_key() {
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
                Kind::Split { .. } if folds.is_empty() => self.split_for(atom, Need::Operation(Operation::Group)),
                Kind::Split { .. } if role == Role::Whether => {}
                Kind::Split { .. } => self.operation(source, Operation::CountDistinct),
            }
        }
    }

    /// That so many rows come out as they are left.
    pub(super) fn out_rows(&mut self, rows: &Label, several: bool) {
        let single = rows.0.iter().any(|atom| matches!(atom.source, Source::Rows(_)));
        let beside = rows.0.iter().any(|atom| matches!(&atom.source, Source::Rows(table) if !is_public(table)));
        for atom in rows.0.iter() {
            match &atom.kind {
                // joined or not: they are the rows of the answer
                Kind::Split { joined, group, chosen } if !(single && *joined) => {
                    let made = Atom { kind: Kind::Split { joined: false, group: *group, chosen: *chosen }, ..atom.clone() };
                    self.split_for(&made, Need::Operation(Operation::Group));
                }
                Kind::Presence if several && matches!(atom.source, Source::Rows(_)) => self.note(&atom.source, Need::Rows),
                // a group that was joined stands for rows of its table
                Kind::Split { .. } if several && beside => {
                    if let Some(table) = atom.source.table() {
                        self.note(&Source::Rows(table.clone()), Need::Rows);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether it is a value of a private column, or, where there are no values, says whether there is one.
fn of_private(atom: &Atom, values: bool) -> bool {
    let private = atom.source.table().is_some_and(|table| !is_public(table));
    let there = atom.kind == Kind::Presence && matches!(atom.source, Source::Column(..)) && atom.folds.is_empty();
    private && (atom.is_value() || !values && there)
}

/// Of a number of rows, or of groups, each of which weighs as much as a value that is nobody's, or as another table's rows that are beside it.
fn weighed(number: &Atom, operation: Operation, value: &Label) -> Option<Atom> {
    let mut counted = value.0.iter().filter(|atom| !atom.folds.is_empty());
    match &number.source {
        Source::Rows(table) => {
            counted.all(|atom| atom.source.table() != Some(table)).then(|| Atom { folds: Folds::of(operation), ..number.clone() })
        }
        _ => counted.next().is_none().then(|| number.clone()),
    }
}

/// What a sum may be taken of again: a sum in two steps is a sum.
const PARTS: Folds = Folds::of(Operation::Sum).and(Operation::Count);
