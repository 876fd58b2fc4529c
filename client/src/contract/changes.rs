//! What one version of a contract allows that the other does not.

use super::words::{column, may};
use ledger::contract::{Bound, Contract, Dp, DpMode, Pattern, Revocation};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which way it goes.
    pub way: Way,
    /// In words.
    pub what: String,
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// More is allowed.
    Wider,
    /// Less is allowed.
    Narrower,
    /// It is another thing.
    Other,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.way {
            Way::Wider => "✓ wider",
            Way::Narrower => "✗ narrower",
            Way::Other => "= other",
        };
        write!(f, "{mark}: {}", self.what)
    }
}

/// What `new` allows that `old` does not, and the other way round; what is wider first. Id and nonce tell nothing.
pub fn changes(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut all = Changes::default();
    let allowed = |of: &Contract| -> BTreeSet<_> {
        of.columns.iter().flat_map(|(name, allowed)| allowed.iter().map(|operation| (name.clone(), *operation))).collect()
    };
    all.sets(&allowed(old), &allowed(new), |(name, operation), now| {
        format!("{} may {}{}", column(name), if now { "" } else { "no longer " }, may(*operation))
    });
    let planners = |of: &Contract| -> BTreeSet<_> { of.planners.iter().map(|key| (key.name().to_owned(), key.to_string())).collect() };
    all.sets(&planners(old), &planners(new), |(name, _), now| match now {
        true => format!("`{name}` may ask"),
        false => format!("`{name}` may no longer ask, with the key that it had"),
    });
    all.sets(&old.receivers, &new.receivers, |name, now| format!("`{name}` may {}have answers", if now { "" } else { "no longer " }));
    all.sets(&old.purposes, &new.purposes, |purpose, now| format!("{}for {purpose}", if now { "" } else { "no longer " }));
    let covered = |by: &BTreeSet<Pattern>, one: &Pattern| by.iter().any(|other| other.meet(one).as_ref() == Some(one));
    let gained = new.join_with.iter().filter(|one| !covered(&old.join_with, one));
    gained.for_each(|one| all.add(Way::Wider, format!("it may be used together with {one}")));
    let lost = old.join_with.iter().filter(|one| !covered(&new.join_with, one));
    lost.for_each(|one| all.add(Way::Narrower, format!("it may no longer be used together with all of {one}")));
    all.asks(old, new);
    all.bounds(old, new);
    for (name, before, now) in [
        ("the data set", old.dataset.clone(), new.dataset.clone()),
        ("the owner's key", old.owner.to_string(), new.owner.to_string()),
        ("whose a row is", format!("{:?}", old.entity_key), format!("{:?}", new.entity_key)),
    ] {
        if before != now {
            all.add(Way::Other, format!("{name} is another"));
        }
    }
    all.0.sort_by_key(|change| change.way);
    all.0
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, way: Way, what: String) {
        self.0.push(Change { way, what });
    }

    fn sets<T: Ord>(&mut self, old: &BTreeSet<T>, new: &BTreeSet<T>, words: impl Fn(&T, bool) -> String) {
        new.difference(old).for_each(|one| self.add(Way::Wider, words(one, true)));
        old.difference(new).for_each(|one| self.add(Way::Narrower, words(one, false)));
    }

    /// Two values of which the larger, or the smaller, allows more.
    fn ordered<T: Ord + fmt::Display>(&mut self, name: &str, old: &T, new: &T, larger_is_wider: bool) {
        if old != new {
            let way = if (new > old) == larger_is_wider { Way::Wider } else { Way::Narrower };
            self.add(way, format!("{name}: {new}, and was {old}"));
        }
    }

    /// The same where there may be no bound.
    fn bounded<T: Ord + fmt::Display>(&mut self, name: &str, old: Option<&T>, new: Option<&T>, larger_is_wider: bool) {
        match (old, new) {
            (None, None) => {}
            (Some(old), Some(new)) => self.ordered(name, old, new, larger_is_wider),
            (None, Some(new)) => self.add(Way::Narrower, format!("{name}: {new}, and was not bounded")),
            (Some(old), None) => self.add(Way::Wider, format!("{name}: not bounded, and was {old}")),
        }
    }

    /// Who, when, how often.
    fn asks(&mut self, old: &Contract, new: &Contract) {
        if old.countersigned != new.countersigned {
            let way = if new.countersigned { Way::Narrower } else { Way::Wider };
            self.add(way, format!("planners {} sign it too", if new.countersigned { "must" } else { "need not" }));
        }
        self.ordered("in force from", &old.not_before, &new.not_before, false);
        self.ordered("in force until", &old.not_after, &new.not_after, true);
        self.bounded("answers in all", old.max_uses.as_ref(), new.max_uses.as_ref(), true);
        if old.revocation != new.revocation {
            match new.revocation {
                Revocation::NewJobs => self.add(Way::Wider, "a revocation lets what runs end".into()),
                Revocation::Immediate => self.add(Way::Narrower, "a revocation ends what runs".into()),
            }
        }
        let price = |of: &Contract| of.price.as_ref().map(|price| (price.unit.clone(), price.per_use));
        match (price(old), price(new)) {
            (old, new) if old == new => {}
            (Some((unit, before)), Some((same, now))) if unit == same => self.ordered(&format!("price in {unit}"), &before, &now, false),
            (None, Some((unit, now))) => self.add(Way::Narrower, format!("an answer costs {now} {unit}, and cost nothing")),
            (Some(_), None) => self.add(Way::Wider, "an answer costs nothing any more".into()),
            _ => self.add(Way::Other, "an answer costs something else".into()),
        }
    }

    /// What is done to what comes out.
    fn bounds(&mut self, old: &Contract, new: &Contract) {
        self.ordered("smallest group", &old.min_group, &new.min_group, false);
        self.ordered("most that one may have of a sum, in per cent", &old.dominance_pct, &new.dominance_pct, true);
        self.bounded("rows of each that count", old.max_rows_per_entity.as_ref(), new.max_rows_per_entity.as_ref(), true);
        self.clamps(&old.clamp, &new.clamp);
        if old.security != new.security {
            let way = if new.security > old.security { Way::Narrower } else { Way::Wider };
            self.add(way, "against another kind of party (`security`)".into());
        }
        if old.sizes != new.sizes {
            let way = if new.sizes > old.sizes { Way::Wider } else { Way::Narrower };
            self.add(way, format!("what others learn of numbers of rows: {}, and was {}", new.sizes.name(), old.sizes.name()));
        }
        match (&old.entity_domain, &new.entity_domain) {
            (None, Some(domain)) => self.add(Way::Narrower, format!("it shares the budget of {domain}")),
            (Some(domain), None) => self.add(Way::Wider, format!("it shares the budget of {domain} no more")),
            (old, new) if old != new => self.add(Way::Other, "it shares the budget of another `entity_domain`".into()),
            _ => {}
        }
        let (before, now) = (old.dp.as_ref(), new.dp.as_ref());
        self.bounded("ε of a question", before.map(|dp| &dp.epsilon_per_query_max), now.map(|dp| &dp.epsilon_per_query_max), true);
        self.bounded("ε of a month", before.map(|dp| &dp.epsilon_month), now.map(|dp| &dp.epsilon_month), true);
        let all = |dp: Option<&Dp>| dp.and_then(|dp| dp.epsilon_month_all);
        self.bounded("ε of a month of all planners", all(before).as_ref(), all(now).as_ref(), true);
        self.bounded("δ of a month", before.map(|dp| &dp.delta), now.map(|dp| &dp.delta), true);
        let required = |of: Option<&Dp>| of.is_some_and(|dp| dp.mode == DpMode::Required);
        match (required(before), required(now)) {
            (false, true) => self.add(Way::Narrower, "every answer has noise".into()),
            (true, false) => self.add(Way::Wider, "answers without noise may be given".into()),
            _ => {}
        }
        if let (Some(before), Some(now)) = (before, now)
            && before.noise != now.noise
        {
            let way = if now.noise > before.noise { Way::Wider } else { Way::Narrower };
            self.add(way, format!("the noise is {}, and was {}", now.noise.name(), before.noise.name()));
        }
    }

    fn clamps(&mut self, old: &BTreeMap<String, (Bound, Bound)>, new: &BTreeMap<String, (Bound, Bound)>) {
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let (before, now) = (old.get(name), new.get(name));
            self.bounded(&format!("smallest {name} that counts"), before.map(|b| &b.0), now.map(|b| &b.0), false);
            self.bounded(&format!("largest {name} that counts"), before.map(|b| &b.1), now.map(|b| &b.1), true);
        }
    }
}
