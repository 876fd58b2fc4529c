//! The rules of the log: which entry may follow which, and who must have signed it. An agency replays every entry before it
//! cosigns as `<agency>/validated`; a verifier replays the whole log offline. All who replay the same entries agree.
//!
//! What is decided here follows from the log alone. What a contract's terms allow is for each owner's node to decide before
//! it signs a debit: without the debits of all owners no job starts.
//!
//! | entry | may stand if | signed by |
//! |---|---|---|
//! | member | the member is new, or another than before | itself, once, if it is a founder; else a quorum of agencies |
//! | contract | it is new | the data set's owner; planners may countersign |
//! | revoke | the contract is there and not revoked | the contract's owner |
//! | dataset | the snapshot is new | its owner |
//! | job-query | the job is new, the parties are agencies; for each data set: its latest snapshot and a contract that stands | the planner |
//! | job-debit | the query reads the data set under this contract, which stands; nothing is debited yet, and so much of the month's budget is left | the data set's owner |
//! | job-start | every owner's debit is there, no contract is revoked, the plan is the query's, the attempt is a later one, none runs | all parties |
//! | job-result | that attempt runs, and no contract is revoked that ends jobs at once | all parties |
//! | job-abort | that attempt runs, or is the next | a party, an owner or the planner |
//! | evidence | it verifies | any member |
//! | handover | it is the first entry of a log that was handed this one | a quorum of agencies |

use crate::budget::{Accounts, Exhausted};
use crate::bytes::Hash;
use crate::checkpoint::{Checkpoint, Head};
use crate::contract::Dp;
use crate::entry::{self, Body, Entry, EntryError, HandOver, Member, Query, Role, Standing};
use crate::key::VerifierKey;
use crate::policy::{self, Agency, Policy, PolicyError};
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
    dataset: String,
    /// Its place: in which log, 0 is the first, and where.
    at: (usize, u64),
    /// It lets jobs that run end when it is revoked.
    lets_end: bool,
    /// What its planners may spend.
    dp: Option<Dp>,
    /// Uses that were debited.
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
    Debit(Hash, String, bool),
    Job(Hash, u64, Phase),
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

    /// The contracts that were revoked.
    pub fn revoked(&self) -> impl Iterator<Item = &Hash> {
        self.contracts.iter().filter(|(_, contract)| contract.revoked).map(|(id, _)| id)
    }

    /// How many uses of contracts were debited; of those that stand, and have been used.
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

    /// The rules without the signatures: says which key each signature must be by.
    pub(crate) fn check(&self, entry: &Entry) -> Result<Vec<VerifierKey>, RuleError> {
        if self.previous.is_some() && !matches!(entry.body, Body::HandOver(_)) {
            return Err(RuleError::Order("the first entry of this log must be the hand-over from the one before"));
        }
        let keys = match self.founding(entry) {
            Some(key) => vec![key],
            None => self.keys(entry)?,
        };
        let signers: BTreeSet<&str> = entry.signatures.iter().map(|signature| signature.name).collect();
        let by = |names: &[String]| names.iter().find(|name| !signers.contains(name.as_str())).map_or(Ok(()), |name| Err(signer(name)));
        match &entry.body {
            Body::Member(member) => {
                if self.members.get(&member.name) == Some(&**member) {
                    return Err(RuleError::Again("the member has this standing already"));
                }
                self.check_keys(member)?;
                if self.founding(entry).is_none() { self.by_quorum(&signers) } else { Ok(()) }
            }
            Body::Contract(contract) => {
                if self.contracts.contains_key(&entry.id) {
                    return Err(RuleError::Again("the contract is in the log already"));
                }
                by_owner(&contract.dataset, &signers)
            }
            Body::Revoke(revoke) => {
                let contract = self.standing(&revoke.contract)?;
                by_owner(&contract.dataset, &signers)
            }
            Body::DataSet(data) => {
                if self.snapshots.get(&data.dataset) == Some(&data.snapshot) {
                    return Err(RuleError::Again("this is the data set's snapshot already"));
                }
                by_owner(&data.dataset, &signers)
            }
            Body::Query(query) => self.check_query(query, &signers),
            Body::Debit(debit) => {
                let job = self.known(&debit.job)?;
                if job.debits.contains_key(&debit.dataset) {
                    return Err(RuleError::Again("the job is debited from this data set already"));
                }
                let read =
                    job.query.reads.iter().any(|read| read.dataset == debit.dataset) && job.query.contracts.contains(&debit.contract);
                if !read || self.standing(&debit.contract)?.dataset != debit.dataset {
                    return Err(RuleError::Reference("the job does not read this data set under this contract"));
                }
                let dp = self.standing(&debit.contract)?.dp.as_ref();
                self.accounts.admit(&job.planner, dp, debit).map_err(|exhausted| RuleError::Budget(exhausted.into()))?;
                by_owner(&debit.dataset, &signers)
            }
            Body::Start(start) => {
                let job = self.known(&start.job)?;
                self.check_contracts(&job.query)?;
                if job.phase != Phase::Waiting || start.attempt <= job.attempt {
                    return Err(RuleError::Again("the job runs already, is done, or this attempt was started before"));
                }
                if start.plan_hash != job.query.plan_hash {
                    return Err(RuleError::Reference("the plan is not the query's"));
                }
                if !job.query.reads.iter().all(|read| job.debits.contains_key(&read.dataset)) {
                    return Err(RuleError::Order("not every owner's budget is debited yet"));
                }
                by(&job.query.parties)
            }
            Body::Result(result) => {
                let job = self.known(&result.job)?;
                let ends = |id: &&Hash| self.contracts.get(*id).is_none_or(|contract| !contract.lets_end);
                job.query.contracts.iter().filter(ends).try_for_each(|id| self.standing(id).map(drop))?;
                if !job.runs() || result.attempt != job.attempt {
                    return Err(RuleError::Order("this attempt does not run"));
                }
                by(&job.query.parties)
            }
            Body::Abort(abort) => {
                let job = self.known(&abort.job)?;
                let runs = job.runs() && abort.attempt == job.attempt;
                if !(runs || job.phase == Phase::Waiting && abort.attempt == job.attempt + 1) {
                    return Err(RuleError::Again("this attempt has ended already, or is not the next"));
                }
                let owners = job.query.reads.iter().filter_map(|read| entry::owner(&read.dataset));
                let may = owners.chain(job.query.parties.iter().map(String::as_str)).chain([job.planner.as_str()]);
                any(may, &signers, "a party, an owner or the planner of the job")
            }
            Body::Evidence(_) => {
                if self.evidence.contains(&entry.id) {
                    return Err(RuleError::Again("the evidence is in the log already"));
                }
                Ok(())
            }
            Body::HandOver(over) => self.check_hand_over(over, &signers),
        }?;
        Ok(keys)
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
                self.contracts.insert(
                    entry.id,
                    Contract { dataset: contract.dataset, at: (self.earlier, index), lets_end, dp, used: 0, revoked: false },
                );
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
                let job =
                    Job { planner, query, log, asked: index, debits: BTreeMap::new(), attempt: 0, phase: Phase::Waiting, answered: None };
                self.jobs.insert(id, job);
                Undo::Query(id)
            }
            Body::Debit(debit) => {
                let (id, dataset) = (debit.job, debit.dataset.clone());
                self.contracts.entry(debit.contract).and_modify(|contract| contract.used = contract.used.saturating_add(debit.uses));
                let mut paid = false;
                if let Some(job) = self.jobs.get_mut(&id) {
                    paid = debit.noise.is_some_and(|noise| self.accounts.is_paid(&job.planner, &dataset, &noise));
                    self.accounts.debit(&job.planner, &debit);
                    job.debits.insert(dataset.clone(), debit);
                }
                Undo::Debit(id, dataset, paid)
            }
            Body::Start(start) => self.enter(start.job, start.attempt, Phase::Running { since: index }),
            Body::Result(result) => {
                let undo = self.enter(result.job, result.attempt, Phase::Done { result: result.result });
                self.jobs.entry(result.job).and_modify(|job| job.answered = Some(index));
                undo
            }
            Body::Abort(abort) => self.enter(abort.job, abort.attempt, Phase::Waiting),
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
            Undo::Debit(id, dataset, paid) => {
                if let Some(job) = self.jobs.get_mut(&id)
                    && let Some(debit) = job.debits.remove(&dataset)
                {
                    self.accounts.undo(&job.planner, &debit, paid);
                    self.contracts.entry(debit.contract).and_modify(|contract| contract.used = contract.used.saturating_sub(debit.uses));
                }
            }
            // Nothing follows a result: what is taken back was before there was one.
            Undo::Job(id, attempt, phase) => {
                self.jobs.entry(id).and_modify(|job| (job.attempt, job.phase, job.answered) = (attempt, phase, None));
            }
            Undo::Evidence(id) => drop(self.evidence.remove(&id)),
            Undo::HandOver(previous) => self.previous = previous.map(|previous| *previous),
        }
    }

    fn enter(&mut self, id: Hash, attempt: u64, phase: Phase) -> Undo {
        let mut old = (attempt, phase);
        self.jobs
            .entry(id)
            .and_modify(|job| old = (std::mem::replace(&mut job.attempt, attempt), std::mem::replace(&mut job.phase, phase)));
        Undo::Job(id, old.0, old.1)
    }

    /// The key of a founder that admits itself for the first time.
    fn founding(&self, entry: &Entry) -> Option<VerifierKey> {
        let Body::Member(member) = &entry.body else { return None };
        let itself = matches!(&entry.signatures[..], [only] if only.name == member.name);
        let new = member.standing == Standing::Admitted && !self.members.contains_key(&member.name);
        (itself && new && self.founders.contains(&member.key)).then(|| member.key.clone())
    }

    /// The keys of an entry's signers, who must all be members.
    fn keys(&self, entry: &Entry) -> Result<Vec<VerifierKey>, RuleError> {
        let key = |name: &str, id: [u8; 4]| {
            self.members().find(|member| member.name == name && member.key.id() == id).map(|member| member.key.clone())
        };
        let found = entry.signatures.iter().map(|signature| key(signature.name, signature.id));
        found.collect::<Option<_>>().ok_or(RuleError::Signer("members alone sign entries, with the keys they have in the log".into()))
    }

    fn by_quorum(&self, signers: &BTreeSet<&str>) -> Result<(), RuleError> {
        let signed = self.agencies().iter().filter(|agency| signers.contains(agency.name.as_str())).count();
        let quorum = self.quorum() as usize;
        if quorum > 0 && signed >= quorum {
            Ok(())
        } else {
            Err(RuleError::Signer(format!("it takes {quorum} agencies, and {signed} signed")))
        }
    }

    /// Every key of a member belongs to it alone, and is not the log's.
    fn check_keys(&self, member: &Member) -> Result<(), RuleError> {
        let keys = |member: &Member| {
            let all = [Some(&member.key), member.witness.as_ref(), member.validated.as_ref()];
            all.into_iter().flatten().map(|key| key.key().to_bytes()).collect::<Vec<_>>()
        };
        let mine = keys(member);
        let others = self.members.values().filter(|other| other.name != member.name).flat_map(keys).chain([self.log.key().to_bytes()]);
        let taken = others.into_iter().any(|other| mine.contains(&other));
        if taken { Err(RuleError::Reference("a key of the member is another member's, or the log's")) } else { Ok(()) }
    }

    fn standing(&self, contract: &Hash) -> Result<&Contract, RuleError> {
        let contract = self.contracts.get(contract).ok_or(RuleError::Reference("the contract is not in the log"))?;
        if contract.revoked { Err(RuleError::Revoked { dataset: contract.dataset.clone() }) } else { Ok(contract) }
    }

    fn known(&self, job: &Hash) -> Result<&Job, RuleError> {
        self.jobs.get(job).ok_or(RuleError::Reference("the job is not in the log"))
    }

    /// Every data set is read under a contract, and none of the contracts is revoked.
    pub(crate) fn check_contracts(&self, query: &Query) -> Result<(), RuleError> {
        let datasets: Result<BTreeSet<&str>, RuleError> =
            query.contracts.iter().map(|contract| self.standing(contract).map(|contract| contract.dataset.as_str())).collect();
        let datasets = datasets?;
        let bare = query.reads.iter().find(|read| !datasets.contains(read.dataset.as_str()));
        bare.map_or(Ok(()), |_| Err(RuleError::Reference("a data set is read without a contract")))
    }

    fn check_query(&self, query: &Query, signers: &BTreeSet<&str>) -> Result<(), RuleError> {
        if self.jobs.contains_key(&query.job) {
            return Err(RuleError::Again("the query is in the log already"));
        }
        self.check_contracts(query)?;
        if !query.reads.iter().all(|read| self.snapshots.get(&read.dataset) == Some(&read.snapshot)) {
            return Err(RuleError::Reference("a snapshot is not its data set's latest one in the log"));
        }
        let is = |name: &str, role| self.member(name).is_some_and(|member| member.role == role);
        if !query.parties.iter().all(|party| is(party, Role::Agency)) || !query.receivers.iter().all(|name| is(name, Role::Planner)) {
            return Err(RuleError::Reference("a party is no agency, or a receiver no planner"));
        }
        let planner = signers.len() == 1 && signers.iter().all(|name| is(name, Role::Planner));
        if planner { Ok(()) } else { Err(signer("one planner")) }
    }

    fn check_hand_over(&self, over: &HandOver, signers: &BTreeSet<&str>) -> Result<(), RuleError> {
        let Some((log, head)) = self.previous.as_ref().filter(|_| over.key == self.log) else {
            return Err(RuleError::Order("a hand-over is the first entry of the log whose key it names, and of no other"));
        };
        let previous = Checkpoint::parse(&over.previous).map_err(EntryError::Note)?;
        Policy::of_agencies(log, &self.agencies(), self.quorum())?.check(&previous, None, &[])?;
        if previous.head() != head {
            return Err(RuleError::Reference("the hand-over is from another end of the log before"));
        }
        self.by_quorum(signers)
    }
}

/// The term `revocation` of a contract that lets jobs that run end.
const LETS_END: &str = "new-jobs";

fn signer(name: &str) -> RuleError {
    RuleError::Signer(format!("it lacks the signature of {name}"))
}

fn any<'a>(mut may: impl Iterator<Item = &'a str>, signers: &BTreeSet<&str>, who: &str) -> Result<(), RuleError> {
    if may.any(|name| signers.contains(name)) { Ok(()) } else { Err(signer(who)) }
}

fn by_owner(dataset: &str, signers: &BTreeSet<&str>) -> Result<(), RuleError> {
    let owner = entry::owner(dataset).unwrap_or_default();
    any(std::iter::once(owner), signers, &format!("`{owner}`, who owns `{dataset}`"))
}

/// Why an entry may not stand in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is no entry, or a signature does not verify.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The wrong ones signed.
    #[error("the entry is refused: {0}")]
    Signer(String),
    /// It, or what it does, stands there already.
    #[error("the entry is refused as a repetition: {0}")]
    Again(&'static str),
    /// It names what is not there.
    #[error("the entry is refused: {0}")]
    Reference(&'static str),
    /// It comes at the wrong moment.
    #[error("the entry is refused: {0}")]
    Order(&'static str),
    /// Its contract is revoked.
    #[error("the contract over `{dataset}` is revoked; ask its owner for a new one")]
    Revoked {
        /// The data set.
        dataset: String,
    },
    /// It spends what is not there.
    #[error("the debit is refused: {0}")]
    Budget(Box<Exhausted>),
    /// The checkpoint it holds is not believed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl RuleError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Entry(EntryError::Note(crate::note::NoteError::Signature { .. })) | Self::Signer(_) => "E_LEDGER_SIGNATURE",
            Self::Entry(_) => "E_LEDGER_ENTRY",
            Self::Again(_) => "E_LEDGER_REPLAY",
            Self::Reference(_) | Self::Order(_) => "E_LEDGER_RULE",
            Self::Revoked { .. } => "E_REVOKED",
            Self::Budget(_) => "E_BUDGET",
            Self::Policy(error) => error.code(),
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
