//! What a value derives from: the abstract values of the interpretation.
//!
//! A *label* is a set of atoms; an atom is a base column, how the value derives from it, and which aggregates it went through on the way.
//! The same question compiles to very different plans, so nothing is decided where a value is folded or passed on: a sum may be taken in two
//! steps, a mean is a sum and a count that the planner divides. What a value was used for is decided where it leaves the realm of
//! computing: where it is compared, matched, ordered by, or comes out ([`super::uses`]).

use std::{collections::BTreeSet, rc::Rc};

use ledger::contract::Operation;

use super::folds::Folds;

/// What an atom is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A column of a table.
    Column(Rc<str>, Rc<str>),
    /// The rows of a table.
    Rows(Rc<str>),
    /// A column of a public list of values.
    Listed(Rc<str>, usize),
    /// A literal beside columns: it is not the column's value alone, or, where it is of the kind that is computed, not always.
    Literal,
}

/// How a value derives from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It is the value.
    Value,
    /// It is computed of the value.
    Computed,
    /// It is the value, and groups are made by it.
    Key,
    /// It is computed of the value, and groups are made by that.
    OfKey,
    /// It says whether there is a value.
    Presence,
    /// It says how the value compared.
    Test {
        /// FILTER; JOIN where it was compared with another table's; ORDER where it is a place in an order. The last two are collected where they stand.
        of: Operation,
        /// With what.
        words: Rc<str>,
        /// Whether it was the value of a single row.
        row: bool,
        /// The aggregates it had gone through, of groups that who may see them may see as they are.
        folded: Folds,
        /// The columns by which those groups were made.
        groups: Rc<BTreeSet<Source>>,
    },
    /// It depends on where in no particular order a row, or the group that the column makes, stands.
    Place,
    /// There is one such value for each value of the column: rows were grouped by it. Where the group has been joined on the
    /// column since, it is the join that says so.
    Split {
        /// Whether it has.
        joined: bool,
        /// Which groups by it: the same rows may be grouped again elsewhere.
        group: usize,
        /// Whether an aggregate of theirs was compared: what comes of it may choose among them.
        chosen: bool,
    },
}

/// One thing a value derives from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atom {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// The aggregates it went through.
    pub(super) folds: Folds,
}

/// All that a value derives from. Shared: labels are copied at every expression, and few of them change there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Label(pub(super) Rc<BTreeSet<Atom>>);

impl Atom {
    pub(super) fn new(source: Source, kind: Kind) -> Self {
        Atom { source, kind, folds: Folds::NONE }
    }

    /// Whether it is a number or text that says something of the column's own values.
    pub(super) fn is_value(&self) -> bool {
        self.kind.is_value() && self.source != Source::Literal
    }

    /// Of groups among which something chooses, if it is of any.
    fn chosen(&self) -> Self {
        let kind = match &self.kind {
            Kind::Split { joined, group, .. } if self.folds.is_empty() => Kind::Split { joined: *joined, group: *group, chosen: true },
            kind => kind.clone(),
        };
        Atom { kind, ..self.clone() }
    }

    /// Whether it derives from the column's values, compared or not.
    fn is_of_column(&self) -> bool {
        !matches!(self.source, Source::Rows(_) | Source::Literal) && !matches!(self.kind, Kind::Split { .. } | Kind::Presence | Kind::Place)
    }
}

impl Kind {
    pub(super) fn is_value(&self) -> bool {
        matches!(self, Kind::Value | Kind::Computed) || self.is_key()
    }

    /// Whether groups are made by it.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Kind::Key | Kind::OfKey)
    }

    /// Whether something was computed of the value.
    pub(super) fn is_computed(&self) -> bool {
        matches!(self, Kind::Computed | Kind::OfKey)
    }

    fn computed(&self) -> Self {
        match self {
            Kind::Value => Kind::Computed,
            Kind::Key => Kind::OfKey,
            other => other.clone(),
        }
    }
}

impl From<BTreeSet<Atom>> for Label {
    fn from(atoms: BTreeSet<Atom>) -> Self {
        Label(atoms.into())
    }
}

impl Label {
    /// Of a column's value.
    pub(super) fn of(source: Source) -> Self {
        Label::from(BTreeSet::from([Atom::new(source, Kind::Value)]))
    }

    /// Of a table's rows.
    pub(super) fn rows(table: &Rc<str>) -> Self {
        Label::from(BTreeSet::from([Atom::new(Source::Rows(table.clone()), Kind::Presence)]))
    }

    pub(super) fn union<'a>(all: impl IntoIterator<Item = &'a Label>) -> Self {
        all.into_iter().fold(Label::default(), Label::and)
    }

    pub(super) fn and(mut self, other: &Label) -> Self {
        if self.0.is_empty() || Rc::ptr_eq(&self.0, &other.0) {
            return other.clone();
        }
        let mut new = other.0.iter().filter(|atom| !self.0.contains(*atom)).peekable();
        if new.peek().is_some() {
            let new: Vec<Atom> = new.cloned().collect();
            Rc::make_mut(&mut self.0).extend(new);
        }
        self
    }

    /// Every atom changed, or left out.
    pub(super) fn map(&self, change: impl FnMut(&Atom) -> Option<Atom>) -> Self {
        Label::from(self.0.iter().filter_map(change).collect::<BTreeSet<_>>())
    }

    /// Of an expression over values with this label: it has their values in it.
    pub(super) fn computed(&self) -> Self {
        self.map(|atom| {
            let kind = if atom.source == Source::Literal { atom.kind.clone() } else { atom.kind.computed() };
            Some(Atom { kind, folds: atom.folds.computed(), ..atom.clone() })
        })
    }

    /// With the other sign: the greatest is the least of what it was.
    pub(super) fn negated(&self) -> Self {
        let turned = Folds::of(Operation::Min).and(Operation::Max);
        self.map(|atom| match atom.folds {
            _ if !atom.is_value() => Some(atom.clone()),
            folds if folds.is_empty() => Some(Atom { kind: atom.kind.computed(), ..atom.clone() }),
            folds if folds.meets(turned) => Some(Atom { folds: folds.computed(), ..atom.clone() }),
            _ => Some(atom.clone()),
        })
    }

    /// Of two conditions in one. What is known of one with the other is computed of both.
    pub(super) fn with_condition(&self, other: &Self) -> Self {
        let of_values = |label: &Self| label.0.iter().any(Atom::is_value);
        let both = self.clone().and(other);
        if of_values(self) && of_values(other) && self != other { both.computed() } else { both }
    }

    /// Of a sum or a difference. With a literal it is as good as the other; but the sum of such is another, and so is who it equals.
    pub(super) fn plus(&self, other: &Self) -> Self {
        match (self.0.is_empty(), other.0.is_empty()) {
            (false, false) => self.clone().and(other).computed(),
            (false, true) => self.mixed(),
            (true, _) => other.mixed(),
        }
    }

    /// Of a difference.
    pub(super) fn minus(&self, other: &Self) -> Self {
        if self.0.is_empty() { other.negated().mixed() } else { self.plus(other) }
    }

    /// Of a product. With a literal it is as good as the other, but another's value no more; `positive` says that the literal, if one is, is not less than 0.
    pub(super) fn times(&self, other: &Self, positive: bool) -> Self {
        match (self.0.is_empty(), other.0.is_empty()) {
            (false, false) => self.clone().and(other).computed(),
            (false, true) => self.scaled(positive),
            (true, _) => other.scaled(positive),
        }
    }

    fn scaled(&self, positive: bool) -> Self {
        if positive { self.with_literal() } else { self.negated().with_literal() }
    }

    /// With a literal in it, or instead of it.
    fn mixed(&self) -> Self {
        self.map(|atom| Some(Atom { folds: atom.folds.computed(), ..atom.clone() })).with_literal()
    }

    pub(super) fn with_literal(&self) -> Self {
        if self.0.is_empty() { self.clone() } else { self.clone().and(&Label::of(Source::Literal)) }
    }

    pub(super) fn has_literal(&self) -> bool {
        self.0.iter().any(|atom| atom.source == Source::Literal)
    }

    /// Whether a literal may be there instead of a column's value.
    pub(super) fn has_instead(&self) -> bool {
        self.0.iter().any(|atom| atom.source == Source::Literal && atom.kind.is_computed())
    }

    /// Of one of several values: where some are literals, it need not be of the columns of the others, and is no part of a sum of them.
    pub(super) fn one_of<'a>(all: impl IntoIterator<Item = &'a Label>) -> Self {
        let all: Vec<&Label> = all.into_iter().collect();
        let one = Label::union(all.iter().copied());
        match all.iter().any(|label| label.0.is_empty()) {
            true => one.map(|atom| Some(Atom { folds: atom.folds.computed(), ..atom.clone() })).or_zero(),
            false => one,
        }
    }

    /// Or of nothing.
    pub(super) fn or_null(&self) -> Self {
        if self.0.iter().any(Atom::is_of_column) { self.with_literal() } else { self.clone() }
    }

    /// Or of a literal that adds nothing to a sum.
    pub(super) fn or_zero(&self) -> Self {
        let instead = || Label::from(BTreeSet::from([Atom::new(Source::Literal, Kind::Computed)]));
        if self.0.iter().any(Atom::is_of_column) { self.clone().and(&instead()) } else { self.clone() }
    }

    /// Whether it is a column's value, or a group's key, as it stands.
    pub(super) fn stands(&self) -> bool {
        let stands = |atom: &Atom| {
            matches!(atom.source, Source::Column(..)) && matches!(atom.kind, Kind::Value | Kind::Key) && atom.folds.is_empty()
        };
        let said = |atom: &&Atom| atom.is_of_column() || atom.source == Source::Literal;
        !self.columns().is_empty() && self.0.iter().filter(said).all(stands)
    }

    /// Of the truth of a comparison. What is already the outcome of one stays that.
    pub(super) fn tested(&self, of: Operation, words: &str) -> Self {
        self.tested_of(of, words, &Rc::new(self.splits()))
    }

    fn tested_of(&self, of: Operation, words: &str, groups: &Rc<BTreeSet<Source>>) -> Self {
        let words: Rc<str> = words.into();
        let joined = self.0.iter().any(|atom| matches!(atom.kind, Kind::Split { joined: true, .. }));
        let of_groups = self.0.iter().any(|atom| !atom.folds.is_empty() || matches!(atom.kind, Kind::Test { row: false, .. }));
        self.map(|atom| {
            let row = atom.folds.is_empty() && !atom.kind.is_key();
            let test = || {
                let folded = match atom.kind {
                    _ if joined => Folds::NONE,
                    Kind::Split { .. } => atom.folds.without(Operation::Sum),
                    _ => atom.folds,
                };
                let groups = if folded.is_empty() { Rc::default() } else { groups.clone() };
                Atom::new(atom.source.clone(), Kind::Test { of, words: words.clone(), row, folded, groups })
            };
            Some(match &atom.kind {
                kind if kind.is_value() && atom.source == Source::Literal => return None,
                kind if kind.is_value() => test(),
                // how many there are
                Kind::Presence
                    if !row && matches!(atom.source, Source::Rows(_)) && atom.folds.uncomputed() == Folds::of(Operation::Count) =>
                {
                    Atom::new(atom.source.clone(), Kind::Presence)
                }
                Kind::Presence | Kind::Split { joined: false, .. } if !row => test(),
                _ if of_groups => atom.chosen(),
                _ => atom.clone(),
            })
        })
    }

    /// Of a comparison that chooses among no groups.
    pub(super) fn unchosen(&self) -> Self {
        self.map(|atom| {
            let kind = match &atom.kind {
                Kind::Split { joined, group, .. } => Kind::Split { joined: *joined, group: *group, chosen: false },
                kind => kind.clone(),
            };
            Some(Atom { kind, ..atom.clone() })
        })
    }

    /// Of a number of groups of which it is only asked whether it is 0: what was counted, and not summed, which may be weighed.
    pub(super) fn any_group(&self) -> Self {
        let number = |atom: &Atom| matches!(atom.kind, Kind::Split { .. }) && atom.folds == Folds::of(Operation::CountDistinct);
        let any = self.0.iter().any(number);
        self.map(|atom| (!number(atom)).then(|| if any { atom.chosen() } else { atom.clone() }))
    }

    /// Of a number of rows that met a condition, of which it is only asked whether it is 0: the condition says it all.
    pub(super) fn any_row(&self) -> Self {
        let conditional = self.0.iter().any(|atom| matches!(atom.kind, Kind::Test { .. }));
        let counted = |atom: &Atom| atom.kind == Kind::Presence && matches!(atom.source, Source::Rows(_)) && !atom.folds.is_empty();
        self.map(|atom| (!conditional || !counted(atom)).then(|| atom.clone()))
    }

    /// Of the truth of `word expression`: another test than of the expression itself.
    pub(super) fn tested_as(&self, word: &str) -> Self {
        self.tested(Operation::Filter, "").map(|atom| {
            let mut atom = atom.clone();
            if let Kind::Test { words, .. } = &mut atom.kind {
                *words = format!("{word} {words}").into();
            }
            Some(atom)
        })
    }

    /// Of whether there is a value. A column that always has one tells of the rows.
    pub(super) fn presence(&self, always: impl Fn(&Source) -> bool) -> Self {
        // an aggregate is there where one of its values is
        let (folded, rows): (BTreeSet<Atom>, BTreeSet<Atom>) = self.0.iter().cloned().partition(|atom| !atom.folds.is_empty());
        let rows = Label::from(rows).map(|atom| {
            if !atom.is_value() {
                return (atom.source != Source::Literal).then(|| atom.clone());
            }
            match &atom.source {
                Source::Listed(..) | Source::Literal => None,
                Source::Column(table, _) if always(&atom.source) => Some(Atom::new(Source::Rows(table.clone()), Kind::Presence)),
                source => Some(Atom::new(source.clone(), Kind::Presence)),
            }
        });
        // of whichever groups: whether there is a value may be known of each row
        Label::from(folded).tested_of(Operation::Filter, "IS NOT NULL", &Rc::default()).and(&rows)
    }

    /// The columns by which the groups were made that an aggregate is of.
    pub(super) fn splits(&self) -> BTreeSet<Source> {
        let made = |atom: &&Atom| matches!(atom.kind, Kind::Split { .. }) && atom.folds.is_empty();
        self.0.iter().filter(made).map(|atom| atom.source.clone()).collect()
    }

    /// Of which of the rows, or groups, with this label one is.
    pub(super) fn placed(&self) -> Self {
        let placed = |atom: &Atom| matches!(atom.kind, Kind::Presence | Kind::Split { .. } | Kind::Place);
        self.map(|atom| placed(atom).then(|| Atom::new(atom.source.clone(), Kind::Place)))
    }

    /// What of the tables' rows, and of the groups, with this label an order by such values leaves equal: all but those whose own value, or key, is in it.
    pub(super) fn unordered(&self, order: &Self) -> Self {
        let orders = |one: &Atom, by: &Atom| match &one.source {
            Source::Rows(table) => !by.kind.is_key() && by.source.table() == Some(table),
            source => by.source == *source,
        };
        let own: Vec<&Atom> = order.0.iter().filter(|by| by.is_value() && by.folds.is_empty()).collect();
        self.map(|one| (!own.iter().any(|by| orders(one, by))).then(|| one.clone()))
    }

    /// Whether values of private columns are in it.
    pub(super) fn is_private(&self) -> bool {
        self.0.iter().any(|atom| atom.is_value() && atom.source.private().is_some())
    }

    /// Whether values of single private rows are in it.
    pub(super) fn is_of_rows(&self) -> bool {
        let of_row = |atom: &Atom| atom.is_value() && !atom.kind.is_key() && atom.folds.is_empty() && atom.source.private().is_some();
        self.0.iter().any(of_row)
    }

    /// Whether numbers of private rows, or of their values, are in it.
    pub(super) fn is_number(&self) -> bool {
        self.0.iter().any(|atom| !atom.folds.is_empty() && atom.source.table().is_some_and(|table| !is_public(table)))
    }

    /// Without what groups are made by.
    pub(super) fn without_keys(&self) -> Self {
        self.map(|atom| (!atom.kind.is_key()).then(|| atom.clone()))
    }

    /// Of a row that exists only where a row with this label does.
    pub(super) fn where_rows(&self) -> Self {
        self.map(|atom| matches!(atom.kind, Kind::Split { .. } | Kind::Presence | Kind::Place).then(|| atom.clone()))
    }

    /// Of the groups of values with this label: how many rows they have follows from them.
    pub(super) fn split(&self, group: usize) -> Self {
        self.map(|atom| {
            let of_column = matches!(atom.source, Source::Column(..) | Source::Listed(..));
            of_column.then(|| Atom::new(atom.source.clone(), Kind::Split { joined: false, group, chosen: false }))
        })
    }

    /// After a join on these sources: the join says for whom a value is.
    pub(super) fn joined_on(&self, on: &BTreeSet<Source>) -> Self {
        self.map(|atom| {
            let kind = match &atom.kind {
                Kind::Split { group, chosen, .. } if on.contains(&atom.source) => {
                    Kind::Split { joined: true, group: *group, chosen: *chosen }
                }
                kind => kind.clone(),
            };
            Some(Atom { kind, ..atom.clone() })
        })
    }

    /// The columns it derives from, compared or not.
    pub(super) fn columns(&self) -> BTreeSet<Source> {
        self.0.iter().filter(|atom| atom.is_of_column()).map(|atom| atom.source.clone()).collect()
    }

    /// The columns by which it joins rows: what is computed of one may be the same for several of its values.
    pub(super) fn joining(&self) -> BTreeSet<Source> {
        if self.stands() { self.columns() } else { BTreeSet::new() }
    }

    /// The tables of private columns it derives from.
    pub(super) fn private_tables(&self) -> BTreeSet<Rc<str>> {
        self.columns().into_iter().filter_map(|source| source.private().map(|(table, _)| table.clone())).collect()
    }
}

impl Source {
    /// The table, if it is of one.
    pub(super) fn table(&self) -> Option<&Rc<str>> {
        match self {
            Source::Column(table, _) | Source::Rows(table) => Some(table),
            Source::Listed(..) | Source::Literal => None,
        }
    }

    /// Table and column, if it is private.
    pub(super) fn private(&self) -> Option<(&Rc<str>, &Rc<str>)> {
        match self {
            Source::Column(table, column) if !is_public(table) => Some((table, column)),
            _ => None,
        }
    }
}

pub(super) fn is_public(table: &str) -> bool {
    table.strip_prefix(crate::catalog::PUBLIC_SCHEMA).is_some_and(|rest| rest.starts_with('.'))
}
