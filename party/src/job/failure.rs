//! What ends an attempt, as the planner and the operators read it: a code, what happened and where, what to do. No value, no share.

use mpc_core::roster::Roster;
use mpc_core::{Abort, PartyId};
use protocols::DEALING;
use query::local::LocalError;
use query::message::frame::Stage;
use query::message::{Code, QueryId, Refusal};

/// A session that ended early.
pub(super) fn of_abort(abort: &Abort, stage: Stage, roster: &Roster, node: &str) -> Refusal {
    let name = |party: &PartyId| name(roster, *party);
    match abort {
        Abort::PeerGone { peer, label, reason } => {
            let reason = format!("{} is gone (seen by `{node}` at `{label}`): {reason}", name(peer));
            Refusal::new(Code::Peer, reason, "see that the node runs and can be reached (`tacit doctor` at its host), then ask again")
        }
        Abort::Deadline { peer, label, waited } => {
            let reason = format!("{} did not answer `{node}` within {} s at `{label}`", name(peer), waited.as_secs());
            let fix = "ask again; if the node is only slow, its peers' [limits] peer_timeout_s can be raised";
            Refusal::new(Code::Deadline, reason, fix)
        }
        Abort::Desync { peer, label, expected, got } => {
            let reason =
                format!("{} is at another place of the program than `{node}` at `{label}`: expected {expected}, got {got}", name(peer));
            Refusal::new(Code::Desync, reason, "compare the releases of the two nodes; if they are equal, please report the query")
        }
        Abort::Malformed { peer, label, what } => {
            let reason = format!("{} sent `{node}` a malformed message at `{label}`: {what}", name(peer));
            Refusal::new(Code::Desync, reason, "compare the releases of the two nodes; if they are equal, the sender deviates")
        }
        Abort::Cheating { check: DEALING, culprit: Some(owner) } => {
            let reason = format!("{} deals other shares to `{node}` than it signed", name(owner));
            Refusal::new(Code::Data, reason, "nothing was computed with them; ask the owner of the data")
        }
        Abort::Cheating { check, culprit } => {
            let who = culprit.as_ref().map(|party| format!(": {} deviated", name(party))).unwrap_or_default();
            let reason = format!("the check `{check}` failed at `{node}`{who}");
            Refusal::new(Code::Desync, reason, "nothing was released; have the operators compare their logs before asking again")
        }
        Abort::Data(what) => {
            Refusal::new(Code::Data, what.clone(), "ask the owners of the data, or change the query so that it holds for every row")
        }
        Abort::Exhausted(what) => Refusal::new(Code::Internal, format!("`{node}` reached a bound: {what}"), "narrow the query"),
        Abort::Refused(what) => refused(what, stage, node),
        other => Refusal::new(Code::Internal, format!("`{node}`: {other}"), "please report the query"),
    }
}

/// What people call a party.
pub(super) fn name(roster: &Roster, party: PartyId) -> String {
    roster.party(party).map_or_else(|| format!("party {party}"), |node| format!("`{}`", node.name))
}

/// In the session stage the peers compare what they are about to do; behind it only a defect of ours refuses.
fn refused(what: &str, stage: Stage, node: &str) -> Refusal {
    let code = match stage {
        Stage::Session => {
            let terms = [
                ("another roster", Code::Roster),
                ("another catalogue", Code::Catalog),
                ("another plan", Code::Plan),
                ("another set of contracts", Code::NoConsent),
                ("another head of the city's log", Code::LedgerFork),
                ("has run here", Code::Replay),
            ];
            terms.iter().find(|(term, _)| what.contains(term)).map_or(Code::Desync, |(_, code)| *code)
        }
        _ => Code::Internal,
    };
    Refusal::new(code, format!("`{node}`: {what}"), "no share has left this node; submit the query again once the nodes agree")
}

/// A local stage that failed. Whether it fails depends on the data, and so would how: whoever is not at the node learns the one
/// sentence, the node's own log has the kind.
pub(super) fn of_local(error: &LocalError, node: &str, job: QueryId) -> Refusal {
    let kind = match error {
        LocalError::Missing(_) | LocalError::Schema(_) | LocalError::Defect { .. } => return of_public(error, node),
        LocalError::Run { what, .. } => what,
        LocalError::Duplicate { .. } => "two rows for the same key",
        LocalError::Keys { .. } => "rows outside their domain",
        LocalError::Range { .. } => "a value outside the range that follows from the catalogue",
        _ => "an error of a new kind",
    };
    tracing::warn!(job = %job.short(), kind, "the local stage failed on this node's data; others are told only that it failed");
    let reason = format!("the local stage of `{node}` failed on its data; the node's log says how, nobody else is told");
    Refusal::new(Code::Data, reason, "change the query so that it holds for every row, or ask the owner of the data")
}

/// What failed without any private row in it: the plan, its public tables, or what the node has loaded.
pub(super) fn of_public(error: &LocalError, node: &str) -> Refusal {
    let (code, fix) = match error {
        LocalError::Missing(_) | LocalError::Schema(_) => {
            (Code::Data, "its operator should run `tacit doctor` on the node's configuration")
        }
        LocalError::Run { .. } => (Code::Data, "change the query so that it holds for every row of the public tables"),
        LocalError::Defect { .. } => (Code::Internal, "please report the query"),
        _ => (Code::Data, "compare the public tables with the catalogue (`tacit doctor`)"),
    };
    Refusal::new(code, format!("`{node}`: {error}"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_core::identity::Identity;

    fn roster() -> Roster {
        let mut text = String::from("city = \"c\"\n");
        for (at, name) in ["transport", "energy", "health"].iter().enumerate() {
            let key = Identity::from_seed(&[at as u8 + 1; 32]).public();
            text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"127.0.0.1:710{at}\"\n");
        }
        let key = Identity::from_seed(&[9; 32]).public();
        text += &format!("[[node]]\nname = \"c\"\nrole = \"coordinator\"\nkey = \"{key}\"\naddr = \"h:1\"\napi = \"http://h\"\n");
        Roster::parse(&text).expect("a roster")
    }

    #[test]
    fn failures_name_who_and_what_to_do() {
        let gone = Abort::PeerGone { peer: PartyId(1), label: "share", reason: "it was killed".into() };
        let plan = Abort::Refused("party 2 (`health`) has another plan (aa; here bb): compare their releases".into());
        let contracts = Abort::Refused("party 1 (`energy`) has another set of contracts (aa; here bb): put the same".into());
        let log = Abort::Refused("party 1 (`energy`) has another head of the city's log (aa; here bb): the coordinator".into());
        let dealt = Abort::Cheating { check: DEALING, culprit: Some(PartyId(1)) };
        let late = Abort::Refused("attempt 1 at this job runs or has run here; take the next number".into());
        for (abort, stage, code, says) in [
            (gone, Stage::Joint, Code::Peer, "`energy` is gone (seen by `transport` at `share`): it was killed"),
            (plan.clone(), Stage::Session, Code::Plan, "another plan"),
            (plan, Stage::Joint, Code::Internal, "another plan"),
            (contracts, Stage::Session, Code::NoConsent, "another set of contracts"),
            (log, Stage::Session, Code::LedgerFork, "another head of the city's log"),
            (dealt, Stage::Joint, Code::Data, "`energy` deals other shares to `transport` than it signed"),
            (late, Stage::Session, Code::Replay, "has run here"),
            (Abort::Cheating { check: "c", culprit: Some(PartyId(2)) }, Stage::Session, Code::Desync, "`health` deviated"),
        ] {
            let refusal = of_abort(&abort, stage, &roster(), "transport");
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.reason.contains(says) && !refusal.fix.is_empty(), "{refusal:?}");
        }
        let missing = of_local(&LocalError::Missing("energy.x".into()), "energy", JOB);
        assert!(missing.code == Code::Data && missing.reason.contains("`energy`: the table energy.x is not loaded"), "{missing}");
    }

    #[test]
    fn how_the_data_made_a_local_stage_fail_is_not_told() {
        let (place, frame) = ("the local stage of energy for zones".to_owned(), "zones".to_owned());
        let errors = [
            LocalError::Run { place: place.clone(), what: "a division by zero" },
            LocalError::Run { place: place.clone(), what: "more memory than the node allows" },
            LocalError::Duplicate { place: place.clone(), frame: frame.clone() },
            LocalError::Keys { place: place.clone(), frame },
            LocalError::Range { place, column: "kwh".into(), min: 0, max: 9 },
        ];
        let told: Vec<Refusal> = errors.iter().map(|error| of_local(error, "energy", JOB)).collect();
        assert!(told.iter().all(|refusal| *refusal == told[0]), "{told:?}");
        assert_eq!(told[0].code, Code::Data);
        for hint in ["division", "memory", "kwh", "zones", "key"] {
            assert!(!told[0].reason.contains(hint), "{hint}: {}", told[0]);
        }
    }

    const JOB: QueryId = QueryId(ledger::bytes::Hash([1; 32]));
}
