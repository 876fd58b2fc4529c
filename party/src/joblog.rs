//! A node's part in a job that stands on the city's log: what it signs with its acceptance, whether an attempt may begin, and what it signs at its end.
//! Nothing the coordinator says counts here: the planner's entry is held against this node's own plan, contracts, tables and mirror, and a
//! start against the mirror.

use crate::budget;
use crate::exchange::{Failure, exchanged};
use crate::job::Desk;
use crate::ledger::Mirror;
use crate::node::now;
use crate::offer::Admitted;
use crate::openings::What;
use ledger::bytes::Hash;
use ledger::entry::{self, Body, EntryError, Opening, Outcome};
use ledger::replay::{Job, Phase};
use mpc_core::{Session, stack};
use query::joblog::{Compiled, QueryEntry, difference, digest, result as commitment};
use query::message::frame::Offer;
use query::message::mirror::Refused;
use query::message::{Code, QueryId, Refusal};
use std::sync::Arc;

/// What this node signs for the log with its acceptance: the debits of its tables, the start, and the end of an earlier attempt. Nothing
/// where neither it nor the job knows of a log.
///
/// # Errors
/// The planner's entry is not what this node finds, or there is none although this node keeps the log.
pub(crate) fn accept(desk: &Desk, offer: &Offer, admitted: &mut Admitted) -> Result<Vec<String>, Refusal> {
    match (&desk.mirror, &offer.entry) {
        (None, None) => budget::none(desk, admitted).map(|()| Vec::new()),
        (None, Some(_)) => Err(Refusal::new(
            Code::LedgerEntry,
            format!("the job stands on the city's log, and `{}` keeps none", desk.node),
            "its operator should give it a section [ledger] (docs/ledger.md)",
        )),
        (Some(_), None) => Err(Refusal::new(
            Code::LedgerEntry,
            format!("`{}` keeps the city's log, and the query comes without an entry for it", desk.node),
            "ask with a client of this release, once contracts that allow the question stand on the log",
        )),
        (Some(mirror), Some(given)) => {
            admitted.entry = Some(Arc::new(judged(desk, mirror, given, admitted)?));
            admitted.statement = Some(Arc::new(Opening { salt: given.salt, value: admitted.query.sql.clone() }));
            // So that an owner can say what its debit was for, though the attempt may never begin here. It is needed only once one does.
            if let Err(refusal) = keep(desk, admitted) {
                tracing::warn!(job = %admitted.job.short(), reason = refusal.reason, "the words of a question are not kept yet");
            }
            signed(desk, mirror, admitted)
        }
    }
}

/// Keeps the words of the question, for whoever audits its data sets here.
///
/// # Errors
/// They cannot be written: the attempt does not begin.
pub(crate) fn keep(desk: &Desk, admitted: &Admitted) -> Result<(), Refusal> {
    admitted.statement.as_ref().map_or(Ok(()), |opening| desk.openings.keep(admitted.job, What::Statement, opening))
}

/// What the planner's entry says, if that is what this node finds.
fn judged(desk: &Desk, mirror: &Mirror, given: &QueryEntry, admitted: &Admitted) -> Result<entry::Query, Refusal> {
    let Admitted { job, query, plan_hash, effective, .. } = admitted;
    let roster = desk.grounds.roster();
    let refuse = |code, reason: String| Refusal::new(code, format!("`{}`: {reason}", desk.node), next_step(code));
    let planner = roster.planner(&query.planner).and_then(|planner| crate::contracts::signs(&planner.name, &planner.key));
    let stated = planner.ok_or_else(|| "its planner is not in the roster".to_owned()).and_then(|planner| given.open(&planner));
    let stated = stated.map_err(|error| refuse(Code::LedgerEntry, format!("the query's entry for the log is refused: {error}")))?;
    let (snapshots, known) = look(desk, mirror, |replay| (replay.snapshots().clone(), replay.job(&job.0).cloned()))?;
    let held = mirror.held().unwrap_or_default();
    for dataset in effective.contracts.keys().filter(|dataset| entry::owner(dataset) == Some(desk.node.as_str())) {
        if held.get(dataset).is_none_or(|held| snapshots.get(dataset) != Some(held)) {
            let reason = format!("the log does not say yet what `{dataset}` holds, as this node has loaded it");
            return Err(refuse(Code::LedgerBehind, reason));
        }
    }
    let compiled = Compiled { job: *job, query, plan_hash: *plan_hash, effective };
    let parties = roster.parties().map(|party| party.name.as_str());
    let found = compiled.entry(parties, |dataset| snapshots.get(dataset).copied(), given.salt);
    let found =
        found.map_err(|dataset| refuse(Code::LedgerBehind, format!("this node's mirror of the log has no snapshot of `{dataset}`")))?;
    if let Some(field) = difference(&stated, &found) {
        return Err(refuse(Code::LedgerEntry, format!("`{field}` in the query's entry for the log is not what this node finds")));
    }
    if let Some(gone) = found.contracts.iter().find(|contract| mirror.is_revoked(contract)) {
        return Err(Refusal::new(
            Code::Revoked,
            format!("the contract {} is revoked in the city's log", gone.short()),
            "ask the owners of the data for another contract",
        ));
    }
    match known {
        Some(Job { query, .. }) if query != found => {
            Err(refuse(Code::LedgerReplay, "the log has another entry about this query already".into()))
        }
        Some(Job { phase: Phase::Done { .. }, .. }) => Err(refuse(Code::LedgerReplay, "the query is answered, as the log says".into())),
        _ => Ok(found),
    }
}

fn signed(desk: &Desk, mirror: &Mirror, admitted: &Admitted) -> Result<Vec<String>, Refusal> {
    let Admitted { job, attempt, plan_hash, .. } = admitted;
    let (known, debits) = look(desk, mirror, |replay| {
        let known = replay.job(&job.0).cloned();
        // They cover all attempts.
        let debits = if known.as_ref().is_some_and(|job| has_paid(desk, admitted, job)) {
            Ok(Vec::new())
        } else {
            budget::debits(desk, admitted, replay, now())
        };
        (known, debits)
    })?;
    let mut bodies: Vec<Body> = debits?.into_iter().map(Body::Debit).collect();
    if *attempt > 1 {
        // Whoever accepts an attempt takes part in no earlier one: the log need not hold it to be running.
        let runs = known.filter(|job| matches!(job.phase, Phase::Running { .. })).map(|job| job.attempt);
        let code = Code::Peer.to_string();
        bodies.push(Body::Abort(entry::Abort { job: job.0, attempt: runs.unwrap_or(u64::from(*attempt) - 1), code }));
    }
    bodies.push(Body::Start(entry::Start { job: job.0, attempt: (*attempt).into(), plan_hash: *plan_hash }));
    bodies.iter().map(|body| sign(desk, body).map_err(|error| defect(&error))).collect()
}

/// Whether all data sets of this node are debited for a job.
fn has_paid(desk: &Desk, admitted: &Admitted, job: &Job) -> bool {
    let mut mine = admitted.effective.contracts.keys().filter(|dataset| entry::owner(dataset) == Some(desk.node.as_str()));
    mine.all(|dataset| job.debits.contains_key(dataset))
}

/// Whether the attempt may begin, as far as the log says; what of that goes into the terms of the session.
///
/// # Errors
/// Why it does not begin. Nothing has been shared.
pub(crate) fn gate(desk: &Desk, admitted: &Admitted) -> Result<[u8; 32], Refusal> {
    let (Some(mirror), Some(query)) = (&desk.mirror, &admitted.entry) else { return Ok([0; 32]) };
    let checkpoint = admitted.checkpoint.as_deref().ok_or_else(|| {
        let reason = "the attempt is started without a checkpoint of the city's log";
        of_ledger(desk, &Refused::new("E_LEDGER_JOB", reason))
    })?;
    let head = mirror.gate(query, admitted.attempt, checkpoint, now()).map_err(|refused| of_ledger(desk, &refused))?;
    look(desk, mirror, |replay| {
        let debits = replay.job(&query.job).map(|job| job.debits.clone()).unwrap_or_default();
        budget::debited(desk, admitted, &debits, replay.accounts(), now())
    })??;
    let (origin, size) = (head.origin.as_bytes(), head.size.to_be_bytes());
    Ok(Hash::sha256(&[b"tacit/v1/log\n", origin, b"\n", &size, &head.root.0]).0)
}

/// Signs the result, of which this node has sealed the part `note`: the parties tell one another what theirs are called.
///
/// # Errors
/// A peer is gone, or what opens the result cannot be kept; no part has left this node.
pub(crate) fn result(desk: &Desk, admitted: &Admitted, session: &mut Session, note: &str) -> Result<Vec<String>, Failure> {
    if admitted.entry.is_none() {
        return Ok(Vec::new());
    }
    let told = exchanged(session, "result", &[], &digest(note)).map_err(Failure::Session)?;
    let digests = told.into_values().map(|([], digest)| digest);
    let result = commitment(Hash(*session.id()), digests);
    desk.openings.keep(admitted.job, What::Result, &result).map_err(Failure::Refused)?;
    let outcome = Outcome { job: admitted.job.0, attempt: admitted.attempt.into(), result: result.commitment() };
    Ok(vec![sign(desk, &Body::Result(outcome)).map_err(|error| Failure::Refused(defect(&error)))?])
}

/// The end of an attempt, for the log. Of one that this node has answered it says so, whoever wants it ended: no use is given back for it.
pub(crate) fn abort(desk: &Desk, job: QueryId, attempt: u32, code: Code) -> Vec<String> {
    let code = if desk.attempts().is_sealed(job, attempt) { entry::SEALED.to_owned() } else { code.to_string() };
    let body = Body::Abort(entry::Abort { job: job.0, attempt: attempt.into(), code });
    match sign(desk, &body) {
        Ok(entry) => vec![entry],
        Err(error) => {
            tracing::error!(%error, "the end of an attempt could not be signed");
            Vec::new()
        }
    }
}

/// Whether the log holds this attempt to be running.
pub(crate) fn runs(desk: &Desk, job: QueryId, attempt: u32) -> bool {
    let running = |job: &Job| job.attempt == u64::from(attempt) && matches!(job.phase, Phase::Running { .. });
    desk.mirror.as_ref().is_some_and(|mirror| mirror.look(|replay| replay.job(&job.0).is_some_and(running)).unwrap_or(false))
}

fn sign(desk: &Desk, body: &Body) -> Result<String, EntryError> {
    stack::wiped(|| body.sign(&desk.node, desk.identity.signing_key()))
}

fn look<T>(desk: &Desk, mirror: &Mirror, read: impl FnOnce(&ledger::replay::Replay) -> T) -> Result<T, Refusal> {
    mirror.look(read).map_err(|refused| of_ledger(desk, &refused))
}

fn of_ledger(desk: &Desk, refused: &Refused) -> Refusal {
    let code = Code::of_ledger(&refused.code);
    let own = if code == Code::Ledger { format!("{}: ", refused.code) } else { String::new() };
    Refusal::new(code, format!("`{}`: {own}{}", desk.node, refused.reason), next_step(code))
}

fn next_step(code: Code) -> &'static str {
    match code {
        Code::LedgerEntry => {
            "ask again: the client signs an entry by what stands on the log now; if it recurs, compare its release and contracts with the nodes'"
        }
        Code::LedgerBehind => "ask again in a moment; `tacit doctor` shows how far each node's mirror is",
        Code::LedgerReplay => "make a new query: ask again",
        Code::LedgerStale | Code::LedgerQuorum => "ask again; if it recurs, compare the clocks of the nodes (`tacit doctor`)",
        Code::LedgerFork | Code::LedgerRollback => {
            "nothing was shared; the agencies' operators should compare their logs (docs/ledger.md, When things go wrong)"
        }
        Code::Revoked | Code::UsedUp => "ask the owners of the data for another contract",
        _ => "nothing was shared; ask again, and if it recurs, tell the coordinator's operator",
    }
}

fn defect(error: &EntryError) -> Refusal {
    Refusal::new(Code::Internal, format!("an entry for the log could not be signed: {error}"), "please report the query")
}
