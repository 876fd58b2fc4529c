//! From three sealed shares to an answer. Everything is checked against the planner's *own* roster and the plan it compiled
//! itself; the coordinator, which handed the shares over, is believed nothing.

use crate::caret::point_at;
use crate::client::Asked;
use crate::error::Error;
use crate::joblog::{self, Logged};
use crate::render;
use ledger::bytes::Hash;
use ledger::policy::Policy;
use mpc_core::PartyId;
use mpc_core::roster::Roster;
use party::lock::{self, Fault};
use query::datafusion::arrow::array::RecordBatch;
use query::finish::{FinishError, Suppressed, answer as finish};
use query::ground::Ground;
use query::local::{Local, Tables};
use query::message::job::SealedResults;
use query::message::{Measured, QueryId, Sealed, Statement};
use query::plan::Plan;
use query::wire;
use std::time::Duration;

/// An answer that checked out.
#[derive(Debug)]
pub struct Answer {
    /// The job that it is of.
    pub job: QueryId,
    /// Its rows.
    pub rows: RecordBatch,
    /// What did not come out since it was of too few entities, or too much of one; `None` if no contract asks for that.
    pub suppressed: Option<Suppressed>,
    /// What was run: the plan of the question, on as many places as owners told that they had rows.
    pub plan: Plan,
    /// What it cost.
    pub costs: Costs,
    /// From signing to the finished answer.
    pub elapsed: Duration,
    /// Where it stands in the city's log; nothing where that is is not kept.
    pub log: Option<Logged>,
}

/// What the parties say an answer cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    /// Each party with what each operator cost there.
    pub parties: Vec<(String, Vec<Measured>)>,
}

impl Costs {
    /// Rounds of the party that had most.
    pub fn rounds(&self) -> u64 {
        self.parties.iter().map(|(_, m)| m.iter().map(|m| m.rounds).sum()).max().unwrap_or(0)
    }

    /// Payload bytes sent by all parties together.
    pub fn bytes(&self) -> u64 {
        self.parties.iter().flat_map(|(_, m)| m).map(|m| m.bytes).sum()
    }

    /// `12 rounds, 34.2 kB among the parties`; an answer that was given before has cost none.
    pub fn words(&self) -> String {
        if self.parties.iter().all(|(_, measured)| measured.is_empty()) {
            return "given before, and not computed again".into();
        }
        format!("{} rounds, {} among the parties", self.rounds(), render::bytes(self.bytes()))
    }
}

/// A party's verified and opened share.
pub(crate) struct Share {
    pub party: String,
    pub sealed: Sealed,
    pub note: String,
    pub bytes: party::seal::Opened,
}

/// Verifies all three notes and opens what they seal.
pub(crate) fn verify(asked: &Asked, results: &SealedResults, roster: &Roster) -> Result<Vec<Share>, Error> {
    let wrong =
        |what: String| Error::Untrusted(format!("{what}; if it happens again, tell the operators of the coordinator and of the party"));
    let plan_hash = Hash(asked.plan.hash());
    if results.job != asked.job {
        return Err(wrong(format!("the coordinator hands over the result of another job ({})", results.job.short())));
    }
    let mut shares: Vec<Share> = Vec::new();
    for node in roster.parties() {
        let name = &node.name;
        let mut notes = results.sealed.iter().filter(|s| s.party == *name);
        let (Some(note), None) = (notes.next(), notes.next()) else {
            return Err(wrong(format!("the coordinator does not hand over exactly one share of the party {name}")));
        };
        let sealed = Sealed::open(&note.note, name, &node.key).map_err(|e| wrong(format!("the share of {name} is refused: {e}")))?;
        if sealed.job != asked.job {
            return Err(wrong(format!("the share of {name} belongs to another job ({})", sealed.job.short())));
        }
        if sealed.plan_hash != plan_hash {
            return Err(wrong(format!(
                "{name} ran another plan ({}) than this client compiled ({}); where contracts protect what comes out, the client has to have the nodes' contracts (`contracts` in its configuration)",
                sealed.plan_hash.short(),
                plan_hash.short()
            )));
        }
        if let Some(first) = shares.first()
            && (sealed.attempt, sealed.sid) != (first.sealed.attempt, first.sealed.sid)
        {
            return Err(wrong(format!("the shares of {} and {name} are of different sessions", first.party)));
        }
        let bytes = party::seal::open(&asked.key, &sealed, name).map_err(|e| wrong(format!("the share of {name}: {e}")))?;
        shares.push(Share { party: name.clone(), sealed, note: note.note.clone(), bytes });
    }
    let names: Vec<&str> = shares.iter().map(|share| share.party.as_str()).collect();
    let (sealed, locked): (Vec<_>, Vec<_>) = shares.iter().map(|share| (&share.sealed, &share.bytes)).unzip();
    lock::check(&names, &sealed, &locked).map_err(|fault| {
        let name = |party: PartyId| names[party.index()];
        wrong(match fault {
            Fault::One(party) => format!("the share of {} is not locked as its note says", name(party)),
            Fault::Two(from, to) => format!(
                "{} and {} say different things of a piece of the lock that the first told the second, and which of them is wrong cannot be told from here",
                name(from),
                name(to)
            ),
        })
    })?;
    let locked = shares.iter_mut().map(|share| std::mem::take(&mut share.bytes)).collect();
    let unlocked = lock::unlock(locked).ok_or_else(|| wrong("the share of a party is not locked".into()))?;
    shares.iter_mut().zip(unlocked).for_each(|(share, bytes)| share.bytes = bytes);
    Ok(shares)
}

/// Verifies, opens, adds up and finishes.
pub(crate) fn open(
    asked: &Asked,
    results: &SealedResults,
    roster: &Roster,
    policy: Option<&Policy>,
    public: &Tables,
) -> Result<Answer, Error> {
    let shares = verify(asked, results, roster)?;
    let logged = |stated| {
        let sealed: Vec<(&Sealed, &str)> = shares.iter().map(|share| (&share.sealed, share.note.as_str())).collect();
        joblog::check(stated, results, &sealed, roster, policy).map_err(Error::Untrusted)
    };
    let log = asked.stated.as_ref().map(logged).transpose()?;
    let local = Local::new(FINISH_MEMORY).map_err(|e| Error::internal(e.to_string()))?;
    let ground = Ground::new(&asked.plan, &local, public).map_err(|e| Error::Failed(e.to_string()))?;
    let wrong = |party: &str| Error::Untrusted(format!("the share of {party} has not the shape its plan prescribes"));
    let mut parts = Vec::new();
    let mut costs = Costs::default();
    let first = shares.first().ok_or_else(|| Error::internal("a roster without a party"))?;
    let plan = wire::sized(&first.bytes, &asked.plan).ok_or_else(|| wrong(&first.party))?;
    for share in shares {
        let part = wire::decode(&share.bytes, &plan, &ground);
        parts.push((share.party.clone(), part.ok_or_else(|| wrong(&share.party))?));
        costs.parties.push((share.party, share.sealed.measured));
    }
    let query::finish::Answer { rows, suppressed } = finish(&plan, &ground, &local, &parts).map_err(|e| match e {
        FinishError::Valueless(valueless) => Error::Failed(point_at(&asked.sql, &valueless.found_in(&asked.sql))),
        FinishError::Answer(_) | FinishError::Type(..) => Error::Failed(e.to_string()),
        _ => Error::Untrusted(e.to_string()),
    })?;
    Ok(Answer { job: asked.job, rows, suppressed, plan, costs, elapsed: asked.since.elapsed(), log })
}

/// What finishing an answer may use; released tables are small.
const FINISH_MEMORY: usize = 512 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::bytes::Base64;
    use mpc_core::identity::Identity;
    use party::lock::{PIECE, Pieces};
    use party::seal::{Context, Envelope, OutputKey, seal};
    use query::datafusion::logical_expr::LogicalPlanBuilder;
    use query::message::job::SealedNote;
    use query::plan::{PLAN_VERSION, Subplan};
    use std::time::Instant;

    const PARTIES: [&str; 3] = ["transport", "energy", "health"];
    const JOB: QueryId = QueryId(Hash([5; 32]));

    fn identity(seed: usize) -> Identity {
        Identity::from_seed(&[seed as u8 + 1; 32])
    }

    fn roster() -> Roster {
        let mut text = String::from("city = \"c\"\n");
        for (at, name) in PARTIES.iter().enumerate() {
            let key = identity(at).public();
            text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"h:{}\"\n", at + 1);
        }
        let key = identity(9).public();
        text += &format!("[[node]]\nname = \"c\"\nrole = \"coordinator\"\nkey = \"{key}\"\naddr = \"h:9\"\napi = \"http://h\"\n");
        Roster::parse(&text).expect("a roster")
    }

    fn asked() -> Asked {
        let answer = Subplan::new(LogicalPlanBuilder::empty(false).build().expect("a plan"));
        let (frames, scans, nodes, releases, reveals) = Default::default();
        let plan = Plan {
            version: PLAN_VERSION,
            parties: Vec::new(),
            frames,
            scans,
            nodes,
            releases,
            relations: Vec::new(),
            rows: Vec::new(),
            answer,
            reveals,
            network: Default::default(),
            decided: Vec::new(),
            protection: None,
        };
        Asked { job: JOB, plan, sql: String::new(), key: OutputKey::generate().expect("randomness"), since: Instant::now(), stated: None }
    }

    /// A party's note as it should be, but for `change` (made before it is signed).
    fn note(asked: &Asked, at: usize, change: impl Fn(&mut Sealed)) -> SealedNote {
        locked(asked, at, piece, change)
    }

    /// What one party tells another of the lock.
    fn piece(from: PartyId, to: PartyId) -> [u8; PIECE] {
        [from.0 * 3 + to.0; PIECE]
    }

    /// The same, with the pieces that this party believes in.
    fn locked(asked: &Asked, at: usize, piece: impl Fn(PartyId, PartyId) -> [u8; PIECE], change: impl Fn(&mut Sealed)) -> SealedNote {
        let (attempt, sid, plan_hash) = (1, Hash([8; 32]), Hash(asked.plan.hash()));
        let pieces = Pieces::of(sid, PartyId(at as u8), 3, piece);
        let context = Context { job: JOB, attempt, sid, plan_hash, party: PARTIES[at] };
        let Envelope { encapsulated, ciphertext } = seal(&asked.key.public(), &context, &pieces.lock(b"shares")).expect("sealed");
        let lock = pieces.told(|peer| PARTIES[peer.index()].into());
        let mut sealed = Sealed { job: JOB, attempt, sid, plan_hash, encapsulated, ciphertext, measured: Vec::new(), lock };
        change(&mut sealed);
        SealedNote { party: PARTIES[at].into(), note: sealed.sign(PARTIES[at], &identity(at)).expect("signed") }
    }

    fn results(asked: &Asked) -> SealedResults {
        SealedResults { job: JOB, attempt: 1, sealed: (0..3).map(|at| note(asked, at, |_| {})).collect(), log: None }
    }

    fn untrusted(asked: &Asked, results: &SealedResults, says: &str) {
        match verify(asked, results, &roster()).map(|_| ()) {
            Err(Error::Untrusted(text)) => assert!(text.contains(says), "{says}: {text}"),
            other => panic!("{says}: {other:?}"),
        }
    }

    #[test]
    fn three_sound_shares_are_opened() {
        let asked = asked();
        let shares = verify(&asked, &results(&asked), &roster()).expect("verified");
        assert_eq!(shares.iter().map(|s| s.party.as_str()).collect::<Vec<_>>(), PARTIES);
        assert!(shares.iter().all(|share| share.bytes.as_slice() == b"shares"));
    }

    #[test]
    fn parties_that_differ_about_a_piece_of_the_lock_are_named_both() {
        let asked = asked();
        let (transport, health) = (PartyId(0), PartyId(2));
        let other = |from, to| if (from, to) == (transport, health) { [99; PIECE] } else { piece(from, to) };
        // Whether the first told another than it says, or the second says another than it was told, nobody can see.
        for (liar, word) in [(0, other), (2, other)] {
            let mut results = results(&asked);
            results.sealed[liar] = locked(&asked, liar, word, |_| {});
            untrusted(&asked, &results, "transport and health say different things of a piece of the lock");
        }
        // That one carries other pieces than it says is seen.
        let mut results = results(&asked);
        results.sealed[0] = locked(&asked, 0, other, |sealed| {
            let honest = Pieces::of(sealed.sid, transport, 3, piece);
            sealed.lock = honest.told(|peer| PARTIES[peer.index()].into());
        });
        untrusted(&asked, &results, "the share of transport is not locked as its note says");
    }

    #[test]
    fn a_coordinator_cannot_pass_anything_else_off() {
        let asked = asked();
        let good = results(&asked);
        let with = |at: usize, change: &dyn Fn(&mut Sealed)| {
            let mut results = good.clone();
            results.sealed[at] = note(&asked, at, change);
            results
        };
        let mut other = good.clone();
        other.job = QueryId(Hash([6; 32]));
        untrusted(&asked, &other, "the result of another job");
        let mut two = good.clone();
        two.sealed.pop();
        untrusted(&asked, &two, "exactly one share of the party health");
        let mut twice = good.clone();
        twice.sealed.push(good.sealed[1].clone());
        untrusted(&asked, &twice, "exactly one share of the party energy");
        let mut swapped = good.clone();
        swapped.sealed[0].note.clone_from(&good.sealed[1].note);
        untrusted(&asked, &swapped, "not signed by `transport`");
        let mut changed = good.clone();
        changed.sealed[2].note = changed.sealed[2].note.replacen("\"attempt\":1", "\"attempt\":2", 1);
        untrusted(&asked, &changed, "the signature of `health` does not verify");
        untrusted(&asked, &with(1, &|s| s.job = QueryId(Hash([6; 32]))), "belongs to another job");
        untrusted(&asked, &with(1, &|s| s.plan_hash = Hash([1; 32])), "another plan");
        untrusted(&asked, &with(1, &|s| s.attempt = 2), "different sessions");
        untrusted(&asked, &with(2, &|s| s.sid = Hash([1; 32])), "different sessions");
        untrusted(&asked, &with(0, &|s| s.ciphertext.0[3] ^= 1), "does not open");
        untrusted(&asked, &with(0, &|s| s.encapsulated = Base64(vec![9; 32])), "does not open");
        // sealed to another planner's key
        let theirs = results(&Asked { key: OutputKey::generate().expect("randomness"), ..self::asked() });
        untrusted(&asked, &theirs, "does not open");
    }
}
