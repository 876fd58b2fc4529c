//! Why contracts do not allow a question, and which question they would allow.

use std::{collections::BTreeSet, fmt};

use ledger::contract::{Contract, Operation, ROWS, Sizes, Time};

use super::{Ask, Unknown, settled::Use};
use crate::{
    compile::{place_of, place_of_column},
    message::{Code, Refusal},
};

/// What is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The contract that comes nearest, by what people call it.
    pub contract: Option<String>,
    /// The data set.
    pub table: Option<String>,
    /// What is done that it does not allow; `None` if it is about who asks, for what, or when.
    pub used: Option<Use>,
    /// Line and column in the question.
    pub place: Option<(u64, u64)>,
    /// What is not allowed, where, and what is.
    pub reason: String,
    /// What to ask instead.
    pub fix: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl From<Box<Denial>> for Refusal {
    fn from(denial: Box<Denial>) -> Self {
        Refusal::new(Code::NoConsent, denial.to_string(), denial.fix)
    }
}

impl Denial {
    fn of(contract: &Contract, reason: String, fix: String) -> Self {
        let reason = format!("the contract `{}` for {} {reason}", contract.id, contract.dataset);
        Denial { contract: Some(contract.id.clone()), table: Some(contract.dataset.clone()), used: None, place: None, reason, fix }
    }

    pub(super) fn none(table: &str, ask: &Ask<'_>) -> Self {
        Denial {
            contract: None,
            table: Some(table.into()),
            used: None,
            place: table.split_once('.').and_then(|(_, name)| place_of(ask.sql, name)),
            reason: format!("there is no contract for {table}, and without one nothing may be asked of it"),
            fix: format!("ask {} to sign a contract for {table}", owner(table)),
        }
    }

    pub(super) fn unknown(unknown: &Unknown, ask: &Ask<'_>) -> Self {
        let reason =
            format!("whether contracts allow the question cannot be decided: it has {unknown}, of which no contract says anything");
        Denial { contract: None, table: None, used: None, place: place_of(ask.sql, "select"), reason, fix: "ask without it".into() }
    }

    pub(super) fn out_of_force(contract: &Contract, ask: &Ask<'_>) -> Self {
        let reason = match ask.now < contract.not_before.0 {
            true => format!("begins at {}, and it is {}", contract.not_before, Time(ask.now)),
            false => format!("ended at {}, and it is {}", contract.not_after, Time(ask.now)),
        };
        Self::of(contract, reason, format!("ask while it is in force, or ask {} for another", owner(&contract.dataset)))
    }

    pub(super) fn planner(contract: &Contract, ask: &Ask<'_>) -> Self {
        let names = listed(contract.planners.iter().map(|key| key.name()));
        let mine = contract.planners.iter().any(|key| key.name() == ask.planner.name());
        let reason = match mine {
            true => format!("names `{}` with another key than the one that signed the question", ask.planner.name()),
            false => format!("does not name `{}` among its planners: {names}", ask.planner.name()),
        };
        Self::of(contract, reason, format!("let one of them ask, or ask {} to name you", owner(&contract.dataset)))
    }

    pub(super) fn not_countersigned(contract: &Contract, ask: &Ask<'_>) -> Self {
        let reason = format!("binds `{}` only after it signed it, too", ask.planner.name());
        let fix = format!("sign it, and send it back to {}", owner(&contract.dataset));
        Self::of(contract, reason, fix)
    }

    pub(super) fn receiver(contract: &Contract, receiver: &str) -> Self {
        let names = listed(contract.receivers.iter().map(String::as_str));
        Self::of(contract, format!("does not let `{receiver}` have answers"), format!("let the answer go to {names}"))
    }

    pub(super) fn purpose(contract: &Contract, ask: &Ask<'_>) -> Self {
        let allowed = listed(contract.purposes.iter().map(String::as_str));
        let reason = match ask.purpose.split_whitespace().next() {
            Some(purpose) => format!("does not allow the purpose `{}`", super::clipped(purpose.into())),
            None => "is for certain purposes, and the question names none".into(),
        };
        Self::of(contract, reason, format!("if it is true, ask with `--purpose` and one of {allowed}"))
    }

    pub(super) fn security(contract: &Contract) -> Self {
        let reason = "asks for a protocol that holds against parties who cheat".into();
        let fix = format!(
            "leave {} out, or ask {} for a contract with \"security\": \"semi-honest\": no protocol of this release holds against parties who cheat",
            contract.dataset,
            owner(&contract.dataset)
        );
        Self::of(contract, reason, fix)
    }

    pub(super) fn partner(contract: &Contract, other: &str, ask: &Ask<'_>) -> Self {
        let reason = format!("does not allow it to be used together with {other}");
        let fix = match contract.join_with.is_empty() {
            true => format!("ask about {} alone", contract.dataset),
            false => format!("use it with {} alone", listed(contract.join_with.iter().map(ToString::to_string))),
        };
        let place = other.split_once('.').and_then(|(_, name)| place_of(ask.sql, name));
        Self { place, ..Self::of(contract, reason, fix) }
    }

    pub(super) fn sizes(contract: &Contract, told: Sizes) -> Self {
        let what = if told == Sizes::Exact { "" } else { ", rounded up," };
        let reason = format!(
            "does not allow how many of its rows a question is about{what} to be told to other parties (sizes `{}`), as the catalogue does (`{}`)",
            contract.sizes.name(),
            told.name()
        );
        let fix = format!(
            "have `sizes` of {} in the catalogue set to `{}`, or ask {} to allow `{}`",
            contract.dataset,
            contract.sizes.name(),
            owner(&contract.dataset),
            told.name()
        );
        Self::of(contract, reason, fix)
    }

    pub(super) fn used(contract: &Contract, used: &Use, ask: &Ask<'_>) -> Self {
        let none = BTreeSet::new();
        let name = used.column.as_deref().unwrap_or(ROWS);
        let allowed = contract.columns.get(name).unwrap_or(&none);
        let others: Vec<&str> =
            contract.columns.iter().filter(|(_, allowed)| allowed.contains(&used.operation)).map(|(column, _)| column.as_str()).collect();
        let what = match (used.operation, &used.column) {
            (Operation::Count, None) => "rows to be counted".to_owned(),
            (Operation::Order, None) => "rows to be told apart by their place in no order of its columns".to_owned(),
            (operation, _) => format!("{name} {}", done(operation)),
        };
        let reason = format!("does not allow {what} ({}), {}", used.place, said(name, allowed));
        let instead = match used.operation {
            Operation::Filter => format!("leave the condition on {name} out{}", among(&others, "set conditions on")),
            Operation::Group => format!("leave {name} out of what is grouped by and joined{}", among(&others, "group by")),
            Operation::Join => format!("leave the join on {name} out{}", among(&others, "join on")),
            Operation::Order if used.column.is_none() => {
                "order by a column of it below LIMIT, row numbers and the like, or take them only of what comes out as it is".to_owned()
            }
            Operation::Order => format!("leave the order by {name} out{}", among(&others, "order by")),
            Operation::Count if used.column.is_none() => format!("ask for something else than a number of rows{}", aggregates(contract)),
            _ => match computed(allowed) {
                list if list.is_empty() => format!("leave {name} out{}", aggregates(contract)),
                list => format!("use {} of {name}", or(&list)),
            },
        };
        let keys: Vec<&str> = used.grouped.iter().map(String::as_str).filter(|key| !used.or.is_empty() && !group(contract, key)).collect();
        let shown = used.or.iter().any(|other| allowed.contains(other)) && !keys.is_empty();
        let also = if shown { format!(", or GROUP of `{}`", keys.join("` and `")) } else { String::new() };
        let fix = match (used.operation, &used.column) {
            // no contract can
            (Operation::Order, None) => instead,
            _ => format!("{instead}; or ask {} to allow {} of `{name}`{also}", owner(&contract.dataset), used.operation),
        };
        let place = used.column.as_deref().and_then(|column| place_of_column(ask.sql, &contract.dataset, column));
        Self { used: Some(used.clone()), place, ..Self::of(contract, reason, fix) }
    }
}

/// What is done with a column, as in "does not allow kwh …".
fn done(operation: Operation) -> String {
    match operation {
        Operation::Filter => "to be compared (FILTER)".into(),
        Operation::Group => "to be grouped by (GROUP)".into(),
        Operation::Join => "to be joined on (JOIN)".into(),
        Operation::Order => "to be ordered by (ORDER)".into(),
        Operation::Release => "to be shown row by row (RELEASE)".into(),
        aggregate => format!("in {aggregate}"),
    }
}

fn said(name: &str, allowed: &BTreeSet<Operation>) -> String {
    match allowed.is_empty() {
        true => format!("and allows nothing of {name}"),
        false => format!("only {}", listed(allowed.iter().map(|operation| operation.name()))),
    }
}

/// The aggregates among what is allowed.
fn computed(allowed: &BTreeSet<Operation>) -> Vec<&'static str> {
    let chosen = |operation: &&Operation| {
        !matches!(operation, Operation::Filter | Operation::Group | Operation::Join | Operation::Order | Operation::Release)
    };
    allowed.iter().filter(chosen).map(|operation| operation.name()).collect()
}

fn aggregates(contract: &Contract) -> String {
    let columns = contract.columns.iter().filter_map(|(name, allowed)| {
        let list = computed(allowed);
        (!list.is_empty()).then(|| format!("{} of {name}", or(&list)))
    });
    let columns: Vec<String> = columns.collect();
    if columns.is_empty() { String::new() } else { format!("; allowed are {}", columns.join(", ")) }
}

fn among(others: &[&str], what: &str) -> String {
    if others.is_empty() { String::new() } else { format!(", or {what} {}", or(others)) }
}

fn group(contract: &Contract, column: &str) -> bool {
    contract.columns.get(column).is_some_and(|allowed| allowed.contains(&Operation::Group))
}

fn or(all: &[&str]) -> String {
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => all.join(""),
    }
}

fn listed(all: impl IntoIterator<Item = impl fmt::Display>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

fn owner(table: &str) -> &str {
    table.split_once('.').map_or(table, |(owner, _)| owner)
}
