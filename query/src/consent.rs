//! Whether contracts allow a plan.
//!
//! Every owner's node decides for itself, on the plan it compiled itself. The plan is interpreted on labels instead of values: a column of a
//! scan is labelled with the base column it is, every operator says what its results derive from, and whatever a base column is *used*
//! for, compared, matched, grouped by, summed, shown, is collected ([`uses`]). Then every use must be allowed by a contract of that table.
//! What is not allowed is refused, and what the interpretation does not know is refused, too.
//!
//! ```text
//!  label      what a value derives from
//!  home, expr sub-plans run in clear, and their expressions
//!  frames     nodes over public rows, and releases
//!  relations  operators over private rows, and row releases
//!  uses       what columns are used for
//!  settled    … once it is known what is joined with what, and what comes out
//! ```
//!
//! What the operations mean, where it is not obvious:
//!
//! * What is compared, itself or what is computed or aggregated of it, is FILTER: WHERE, HAVING, CASE, FILTER (WHERE …), and functions that
//!   tell values apart. Equality with a column of another table is JOIN, wherever it stands.
//! * A sum of sums is a sum; other aggregates of groups need GROUP for the keys these were made by, unless these groups are joined on them. A group key
//!   is grouped by together with all that it was matched with.
//! * AVG, VAR and CORR open the sums and counts they follow from.
//!   A mean of integers that is compared where several owners' groups are is a sum compared with so many times a count, which needs COUNT as well.
//! * What a single row says of whether there are rows, EXISTS without an equal key for instance, may be told to another table's rows by whoever may do
//!   anything with the rows.
//! * COUNT(*), and COUNT of a column that is never NULL, is COUNT of `*` for all tables whose rows are joined. Whether a column has a
//!   value may be asked by whoever may do anything with it.
//! * What may come out may be ordered by. Who may GROUP by a column may count its different values. Who may GROUP by
//!   it may match it with public tables, and its table with itself.
//! * Rows that are told apart by their place in an order are ORDER of what orders them; in no order, or in one of public values, nobody may, where anything is done with them but to show them.
//!   What is equal in an order is in none.
//! * An aggregate over a frame that is not the whole partition has the row's value in it. What a question brings along itself, VALUES or computed of public tables, chooses as a literal does.
//! * What is matched with another table's column, and is no column as it stands, is used as by grouping by it. How many different values of a mixture there are compares its columns.
//! * Who shows a column row by row shows all that it was matched with. Rows that come out are counted, where no column of their table does; so are those beside which values are aggregated that are nobody's.
//! * What rounds, or has no value because of a comparison (NULLIF, TRY_CAST), is FILTER, too.

mod expr;
mod folds;
mod frames;
mod home;
mod label;
mod refusal;
mod relations;
mod settled;
mod uses;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ledger::{
    bytes::Hash,
    contract::{Epsilon, Security, SignedContract, Sizes, Terms},
    key::VerifierKey,
};

use self::home::Home;
pub use self::{refusal::Denial, settled::Use};
use crate::catalog::Catalog;
use crate::compile::{SqlError, compile_protected, deep};
use crate::plan::Plan;
use crate::protection::Protection;

/// Who asks what, for what.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The text, to say where in it something is.
    pub sql: &'a str,
    /// Who signed the query.
    pub planner: &'a VerifierKey,
    /// To whom the answer goes, by name.
    pub receivers: &'a [&'a str],
    /// An IRI, and perhaps words behind it.
    pub purpose: &'a str,
    /// The protocol's.
    pub security: Security,
    /// Unix seconds.
    pub now: u64,
}

/// What a plan does, and under which terms it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What it does with private columns.
    pub uses: BTreeSet<Use>,
    /// The contract of each data set.
    pub contracts: BTreeMap<String, Hash>,
    /// What these allow together; `None` if no data set is concerned.
    pub terms: Option<Terms>,
}

impl Effective {
    /// The plan that runs: the one that was checked, or the same question as the terms protect it, and with the noise that makes it spend `epsilon` if
    /// that is asked for.
    ///
    /// # Errors
    /// The terms ask for what the question does not allow to be done, or do not allow what it asks to spend.
    pub fn plan(&self, checked: Plan, sql: &str, catalog: &Catalog, epsilon: Option<Epsilon>) -> Result<Plan, SqlError> {
        match self.terms.as_ref().map(|terms| Protection::of(terms, epsilon)).transpose()?.flatten() {
            Some(protection) => compile_protected(sql, catalog, &protection),
            None => Ok(checked),
        }
    }
}

/// Whether a plan may run: for each private table that it reads, of this owner alone if one is named, there is a contract that allows all
/// that the plan does with it. Contracts that do not stand are not to be handed in.
///
/// # Errors
/// What is not allowed, and what would be.
pub fn check(plan: &Plan, owner: Option<&str>, contracts: &[impl Borrow<SignedContract>], ask: &Ask<'_>) -> Result<Effective, Box<Denial>> {
    let found = interpret(plan).map_err(|unknown| Box::new(Denial::unknown(&unknown, ask)))?;
    let mut chosen: BTreeMap<String, &SignedContract> = BTreeMap::new();
    for table in &found.tables {
        let concerned = owner.is_none_or(|owner| table.strip_prefix(owner).is_some_and(|rest| rest.starts_with('.')));
        if label::is_public(table) || !concerned {
            continue;
        }
        let mut nearest: Option<Refused<'_>> = None;
        for contract in contracts.iter().map(Borrow::borrow).filter(|signed| signed.contract.dataset == *table) {
            match allows(contract, table, &found, ask) {
                Ok(()) => {
                    chosen.insert(table.clone(), contract);
                    break;
                }
                Err(refused) => {
                    if nearest.as_ref().is_none_or(|(steps, _)| refused.0 > *steps) {
                        nearest = Some(refused);
                    }
                }
            }
        }
        if !chosen.contains_key(table) {
            return Err(Box::new(nearest.map_or_else(|| Denial::none(table, ask), |(_, denial)| denial())));
        }
    }
    Ok(Effective {
        uses: found.uses,
        contracts: chosen.iter().map(|(table, signed)| (table.clone(), signed.id)).collect(),
        terms: Terms::meet_all(chosen.values().map(|signed| signed.contract.terms(signed.id))),
    })
}

/// What a plan does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// With private columns.
    pub uses: BTreeSet<Use>,
    /// The tables it reads.
    pub tables: BTreeSet<String>,
    /// What other parties are told of how many rows there are: of those of one owner that these tables are in.
    pub disclosed: BTreeMap<String, Sizes>,
}

/// What a plan does with private columns, and the tables it reads.
///
/// # Errors
/// The plan has a part that is not known here.
pub fn interpret(plan: &Plan) -> Result<Found, Unknown> {
    let interpreted = deep(|| {
        let mut home = Home::default();
        home.frames(plan)?;
        home.relations(plan)?;
        Ok(Found { uses: home.uses.settled(&home.tables), tables: home.tables, disclosed: home.disclosed })
    });
    match interpreted {
        Ok(Some(result)) => result,
        Ok(None) => Err(Unknown::of("the interpretation gave up on it")),
        Err(error) => Err(Unknown::of(format!("no thread: {error}"))),
    }
}

/// A part of a plan that the interpretation does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(String);

impl Unknown {
    fn of(what: impl fmt::Display) -> Self {
        Unknown(clipped(what.to_string()))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far it went with a contract, and what that does not allow: put into words only if no other allows it, for it reads the question again.
type Refused<'a> = (usize, Box<dyn FnOnce() -> Denial + 'a>);

/// Whether one contract allows all that is done with its table.
fn allows<'a>(signed: &'a SignedContract, table: &'a str, found: &'a Found, ask: &'a Ask<'a>) -> Result<(), Refused<'a>> {
    let Found { uses, tables, disclosed } = found;
    let contract = &signed.contract;
    let refused = |steps: usize, denial: Box<dyn FnOnce() -> Denial + 'a>| Err((steps, denial));
    if !contract.in_force(ask.now) {
        return refused(0, Box::new(move || Denial::out_of_force(contract, ask)));
    }
    if !contract.planners.contains(ask.planner) {
        return refused(1, Box::new(move || Denial::planner(contract, ask)));
    }
    if contract.countersigned && !signed.countersigned.contains(ask.planner.name()) {
        return refused(2, Box::new(move || Denial::not_countersigned(contract, ask)));
    }
    if let Some(receiver) = ask.receivers.iter().find(|receiver| !contract.receivers.contains(**receiver)) {
        return refused(3, Box::new(move || Denial::receiver(contract, receiver)));
    }
    if !ask.purpose.split_whitespace().next().is_some_and(|purpose| contract.purposes.contains(purpose)) {
        return refused(4, Box::new(move || Denial::purpose(contract, ask)));
    }
    if ask.security < contract.security {
        return refused(5, Box::new(move || Denial::security(contract)));
    }
    let stranger =
        |other: &&String| **other != *table && !label::is_public(other) && !contract.join_with.iter().any(|pattern| pattern.covers(other));
    if let Some(other) = tables.iter().find(stranger) {
        return refused(6, Box::new(move || Denial::partner(contract, other, ask)));
    }
    if let Some(sizes) = disclosed.get(table).filter(|sizes| **sizes > contract.sizes) {
        return refused(7, Box::new(move || Denial::sizes(contract, *sizes)));
    }
    // what has to be allowed by itself comes first: the rest often follows from it
    let mine = |alone: bool| uses.iter().filter(move |used| used.table == table && used.or.is_empty() == alone);
    for (done, used) in mine(true).chain(mine(false)).enumerate() {
        if used.allowed_by(contract).is_none() {
            return refused(8 + done, Box::new(move || Denial::used(contract, used, ask)));
        }
    }
    Ok(())
}

/// Words of at most so many letters as are read.
fn clipped(words: String) -> String {
    const MOST: usize = 120;
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
