//! What the entries of a log amount to, as long as each keeps the rules ([`rules`]). An agency replays every entry before it
//! cosigns as `<agency>/validated`; a verifier replays the whole log offline. All who replay the same entries agree.
//!
//! What is decided here follows from the log alone. What a contract's terms allow is for each owner's node to decide before
//! it signs a debit: without the debits of all owners no job starts.

mod rules;
mod stored;

pub use rules::RuleError;
pub use stored::StoredError;
pub(crate) use stored::stored;

use crate::budget::{Accounts, Allowance, Exhausted};
use crate::bytes::Hash;
use crate::checkpoint::Head;
use crate::contract::Dp;
use crate::entry::{self, Body, Entry, EntryError, Member, Query, Role, Standing};
use crate::key::VerifierKey;
use crate::policy::{self, Agency, Policy, PolicyError};
use crate::signed::NoteSignature;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the entries so far amount to.
#[derive(Debug, Clone)]
pub struct Replay {
    log: VerifierKey,
    /// Who may admit themselves: from the roster, not from the log.
    founders: Vec<VerifierKey>,
    size: u64,
    members: BTreeMap<String, Member>,
    contracts: HashMap<Hash, Contract>,
    snapshots: BTreeMap<String, Hash>,
    jobs: HashMap<Hash, Job>,
    accounts: Accounts,
    evidence: BTreeSet<Hash>,
    /// How many logs were before this one.
    earlier: usize,
    /// The log before, until it is handed over.
    previous: Option<(VerifierKey, Head)>,
}

#[derive(Debug, Clone)]
struct Contract {
    /// What its planners may spend, and of which data set.
    allowance: Allowance,
    /// Its place: in which log, 0 is the first, and where.
    at: (usize, u64),
    /// It lets jobs that run end when it is revoked.
    lets_end: bool,
    /// How many uses there are of it.
    most: Option<u64>,
    /// Uses that jobs hold.
    used: u64,
    revoked: bool,
}

/// A job as the log has it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Who asked.
    pub planner: String,
    /// What.
    pub query: Query,
    /// In which log it was asked: 0 is the first.
    pub log: usize,
    /// The query's place there.
    pub asked: u64,
    /// What it cost: data set, and the debit.
    pub debits: BTreeMap<String, entry::Debit>,
    /// The last attempt that was started or given up; 0 before the first.
    pub attempt: u64,
    /// Where it is.
    pub phase: Phase,
    /// The place of its result in the log, once it is done.
    pub answered: Option<u64>,
    /// Whether it holds the uses that were debited: from its start on, until a party ends an attempt without a result.
    pub holds: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No attempt runs.
    Waiting,
    /// One does.
    Running {
        /// Its start's place in the log.
        since: u64,
    },
    /// It ended with a result.
    Done {
        /// The commitment to it.
        result: Hash,
    },
}

/// What takes one entry back.
pub(crate) enum Undo {
    Member(String, Option<Box<Member>>),
    Contract(Hash),
    Revoke(Hash),
    DataSet(String, Option<Hash>),
    Query(Hash),
    Debit(Hash, String),
    Job(Hash, u64, Phase, bool),
    Evidence(Hash),
    HandOver(Option<Box<(VerifierKey, Head)>>),
}

impl Job {
    fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }
}

impl Replay {
    /// The empty log of this key. `founders` are keys that sign entries, of members who may admit themselves.
    pub fn new(log: VerifierKey, founders: Vec<VerifierKey>) -> Self {
        Self {
            log,
            founders,
            size: 0,
            members: BTreeMap::new(),
            contracts: HashMap::new(),
            snapshots: BTreeMap::new(),
            jobs: HashMap::new(),
            accounts: Accounts::default(),
            evidence: BTreeSet::new(),
            earlier: 0,
            previous: None,
        }
    }

    /// The empty log of this key that goes on where this one ended: its first entry must say so. The root is that of all
    /// entries replayed here.
    pub fn succeed(&self, log: VerifierKey, root: Hash) -> Self {
        let head = Head { origin: self.log.name().into(), size: self.size, root };
        Self { log, size: 0, earlier: self.earlier + 1, previous: Some((self.log.clone(), head)), ..self.clone() }
    }

    /// How many entries were replayed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many logs were before this one, and handed over.
    pub fn earlier(&self) -> usize {
        self.earlier
    }

    /// The log's key.
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The members who belong, by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.standing == Standing::Admitted)
    }

    /// A member who belongs, by name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.get(name).filter(|member| member.standing == Standing::Admitted)
    }

    /// The agencies with their cosigners.
    pub fn agencies(&self) -> Vec<Agency> {
        let cosigners = |member: &Member| Some((member.witness.clone()?, member.validated.clone()?));
        let agency =
            |member: &Member| cosigners(member).map(|(witness, validated)| Agency { name: member.name.clone(), witness, validated });
        self.members().filter(|member| member.role == Role::Agency).filter_map(agency).collect()
    }

    /// How many agencies make a quorum, if most are honest.
    pub fn quorum(&self) -> u32 {
        let agencies = self.agencies().len() as u32;
        policy::quorum(agencies, policy::minority(agencies))
    }

    /// Which checkpoints of this log to believe: its key's, cosigned by a quorum of its agencies.
    ///
    /// # Errors
    /// There are no agencies yet.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        Policy::of_agencies(&self.log, &self.agencies(), self.quorum())
    }

    /// A job by its id.
    pub fn job(&self, job: &Hash) -> Option<&Job> {
        self.jobs.get(job)
    }

    /// All jobs, in no order.
    pub fn jobs(&self) -> impl Iterator<Item = (&Hash, &Job)> {
        self.jobs.iter()
    }

    /// Whether a contract is in the log and not revoked.
    pub fn stands(&self, contract: &Hash) -> bool {
        self.contracts.get(contract).is_some_and(|contract| !contract.revoked)
    }

    /// Whether a contract is in the log, and revoked.
    pub fn is_revoked(&self, contract: &Hash) -> bool {
        self.contracts.get(contract).is_some_and(|contract| contract.revoked)
    }

    /// The places of the contracts that stand: in which log, 0 is the first, and where.
    pub fn contracts(&self) -> impl Iterator<Item = (usize, u64)> {
        self.contracts.values().filter(|contract| !contract.revoked).map(|contract| contract.at)
    }

    /// What all planners have spent.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Whether the budgets that a debit spends of bear it, after others of its job that are not in the log yet; of one under a contract that is not in the log nothing is said.
    ///
    /// # Errors
    /// What is left, and when there is more.
    pub fn bears(&self, planner: &str, debit: &entry::Debit, before: &[entry::Debit]) -> Result<(), Box<Exhausted>> {
        let standing = self.contracts.values().filter(|contract| !contract.revoked).map(|contract| &contract.allowance);
        let allowance = |debit: &entry::Debit| self.contracts.get(&debit.contract).map(|contract| &contract.allowance);
        let before: Vec<_> = before.iter().filter_map(|debit| Some((allowance(debit)?, debit))).collect();
        allowance(debit).map_or(Ok(()), |allowance| self.accounts.admit(planner, allowance, standing, debit, &before))
    }

    /// The contracts that were revoked.
    pub fn revoked(&self) -> impl Iterator<Item = &Hash> {
        self.contracts.iter().filter(|(_, contract)| contract.revoked).map(|(id, _)| id)
    }

    /// Whether another use is left of a contract, or any number may be had.
    pub fn has_use(&self, contract: &Hash) -> bool {
        self.contracts.get(contract).is_some_and(|contract| contract.has(1))
    }

    /// How many uses of contracts jobs hold; of those that stand, and are used.
    pub fn used(&self) -> impl Iterator<Item = (&Hash, u64)> {
        self.contracts.iter().filter(|(_, contract)| !contract.revoked && contract.used > 0).map(|(id, contract)| (id, contract.used))
    }

    /// A data set's latest snapshot.
    pub fn snapshot(&self, dataset: &str) -> Option<Hash> {
        self.snapshots.get(dataset).copied()
    }

    /// The latest snapshot of every data set.
    pub fn snapshots(&self) -> &BTreeMap<String, Hash> {
        &self.snapshots
    }

    /// Takes the next entry: checks it, its signatures and the rules.
    ///
    /// # Errors
    /// It may not stand here; nothing changed.
    pub fn admit(&mut self, entry: &[u8]) -> Result<(), RuleError> {
        self.step(entry).map(drop)
    }

    /// [`Replay::admit`], with what takes it back.
    pub(crate) fn step(&mut self, entry: &[u8]) -> Result<Undo, RuleError> {
        let entry = Entry::parse(entry)?;
        for (signature, key) in entry.signatures.iter().zip(self.check(&entry)?) {
            signature.check(entry.text, &key).map_err(EntryError::Note)?;
        }
        Ok(self.apply(entry))
    }

    /// Takes an entry that was checked.
    pub(crate) fn apply(&mut self, entry: Entry) -> Undo {
        let index = self.size;
        self.size += 1;
        match entry.body {
            Body::Member(member) => Undo::Member(member.name.clone(), self.members.insert(member.name.clone(), *member).map(Box::new)),
            Body::Contract(contract) => {
                let lets_end = contract.terms.get("revocation").and_then(Value::as_str) == Some(LETS_END);
                let dp = contract.terms.get("dp").and_then(|dp| Dp::deserialize(dp).ok());
                let most = contract.terms.get("max_uses").and_then(Value::as_u64);
                let text = |name: &str| contract.terms.get(name).and_then(Value::as_str);
                let (domain, until) = (text("entity_domain").map(str::to_owned), text("not_after").unwrap_or("9999-12"));
                let until = until.chars().take("2026-11".len()).collect();
                let allowance = Allowance { dataset: contract.dataset, dp, domain, until };
                self.contracts.insert(entry.id, Contract { allowance, at: (self.earlier, index), lets_end, most, used: 0, revoked: false });
                Undo::Contract(entry.id)
            }
            Body::Revoke(revoke) => {
                self.contracts.entry(revoke.contract).and_modify(|contract| contract.revoked = true);
                Undo::Revoke(revoke.contract)
            }
            Body::DataSet(data) => Undo::DataSet(data.dataset.clone(), self.snapshots.insert(data.dataset, data.snapshot)),
            Body::Query(query) => {
                let planner = entry.signatures.first().map(|signature| signature.name.to_owned()).unwrap_or_default();
                let id = query.job;
                let log = self.earlier;
                let (debits, phase) = (BTreeMap::new(), Phase::Waiting);
                let job = Job { planner, query, log, asked: index, debits, attempt: 0, phase, answered: None, holds: false };
                self.jobs.insert(id, job);
                Undo::Query(id)
            }
            Body::Debit(debit) => {
                let (id, dataset) = (debit.job, debit.dataset.clone());
                if let (Some(job), Some(contract)) = (self.jobs.get_mut(&id), self.contracts.get(&debit.contract)) {
                    self.accounts.debit(&job.planner, &contract.allowance, &debit);
                    job.debits.insert(dataset.clone(), debit);
                }
                Undo::Debit(id, dataset)
            }
            Body::Start(start) => self.enter(start.job, start.attempt, Phase::Running { since: index }, true),
            Body::Result(result) => {
                let undo = self.enter(result.job, result.attempt, Phase::Done { result: result.result }, true);
                self.jobs.entry(result.job).and_modify(|job| job.answered = Some(index));
                undo
            }
            Body::Abort(abort) => {
                let holds = self
                    .jobs
                    .get(&abort.job)
                    .is_some_and(|job| job.holds && (abort.code == entry::SEALED || !by_party(job, &entry.signatures)));
                self.enter(abort.job, abort.attempt, Phase::Waiting, holds)
            }
            Body::Evidence(_) => {
                self.evidence.insert(entry.id);
                Undo::Evidence(entry.id)
            }
            Body::HandOver(_) => Undo::HandOver(self.previous.take().map(Box::new)),
        }
    }

    /// Takes the last entry back that was applied and not taken back.
    pub(crate) fn undo(&mut self, step: Undo) {
        fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, old: Option<V>) {
            match old {
                Some(old) => drop(map.insert(key, old)),
                None => drop(map.remove(&key)),
            }
        }
        self.size -= 1;
        match step {
            Undo::Member(name, old) => restore(&mut self.members, name, old.map(|old| *old)),
            Undo::Contract(id) => drop(self.contracts.remove(&id)),
            Undo::Revoke(id) => drop(self.contracts.entry(id).and_modify(|contract| contract.revoked = false)),
            Undo::DataSet(name, old) => restore(&mut self.snapshots, name, old),
            Undo::Query(id) => drop(self.jobs.remove(&id)),
            Undo::Debit(id, dataset) => {
                if let Some(job) = self.jobs.get_mut(&id)
                    && let Some(debit) = job.debits.remove(&dataset)
                    && let Some(contract) = self.contracts.get(&debit.contract)
                {
                    self.accounts.undo(&job.planner, &contract.allowance, &debit);
                }
            }
            // Nothing follows a result: what is taken back was before there was one.
            Undo::Job(id, attempt, phase, holds) => {
                self.enter(id, attempt, phase, holds);
                self.jobs.entry(id).and_modify(|job| job.answered = None);
            }
            Undo::Evidence(id) => drop(self.evidence.remove(&id)),
            Undo::HandOver(previous) => self.previous = previous.map(|previous| *previous),
        }
    }

    /// Moves a job, with the uses that it holds of contracts, and the answer that its planner has by it. Says what moves it back.
    fn enter(&mut self, id: Hash, attempt: u64, phase: Phase, holds: bool) -> Undo {
        let Some(job) = self.jobs.get_mut(&id) else { return Undo::Job(id, attempt, phase, holds) };
        let back = Undo::Job(id, job.attempt, job.phase, job.holds);
        let done = |phase: Phase| matches!(phase, Phase::Done { .. });
        for debit in job.debits.values() {
            self.contracts.entry(debit.contract).and_modify(|contract| match (job.holds, holds) {
                (false, true) => contract.used = contract.used.saturating_add(debit.uses),
                (true, false) => contract.used = contract.used.saturating_sub(debit.uses),
                _ => {}
            });
            match (done(job.phase), done(phase)) {
                (false, true) => self.accounts.give(&job.planner, debit),
                (true, false) => self.accounts.take_back(&job.planner, debit),
                _ => {}
            }
        }
        (job.attempt, job.phase, job.holds) = (attempt, phase, holds);
        back
    }
}

impl Contract {
    /// Whether so many more uses may be had.
    fn has(&self, uses: u64) -> bool {
        self.most.is_none_or(|most| self.used.saturating_add(uses) <= most)
    }
}

/// Whether a party of the job signed, without which there is no answer. A planner who ends an attempt by himself may have one already: that gives no use back.
fn by_party(job: &Job, signatures: &[NoteSignature<'_>]) -> bool {
    signatures.iter().any(|signature| job.query.parties.iter().any(|party| party == signature.name))
}

/// The term `revocation` of a contract that lets jobs that run end.
const LETS_END: &str = "new-jobs";

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
