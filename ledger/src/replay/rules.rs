//! Which entry may follow which, and who must have signed it.
//!
//! | entry | may stand if | signed by |
//! |---|---|---|
//! | member | the member is new, or another than before | itself, once, if it is a founder; else a quorum of agencies |
//! | contract | it is new | the data set's owner; planners may countersign |
//! | revoke | the contract is there and not revoked | the contract's owner |
//! | dataset | the snapshot is new | its owner |
//! | job-query | the job is new, the parties are agencies; for each data set: its latest snapshot and a contract that stands | the planner |
//! | job-debit | the query reads the data set under this contract, which stands; nothing is debited yet, and so much of the month's budgets is left; it is of one use, or of none if the planner has this very answer | the data set's owner |
//! | job-start | every owner's debit is there, no contract is revoked or used up, the plan is the query's, the attempt is a later one, none runs | all parties |
//! | job-result | that attempt runs, and no contract is revoked that ends jobs at once | all parties |
//! | job-abort | that attempt runs, or is the next | a party, an owner or the planner |
//! | evidence | it verifies | any member |
//! | handover | it is the first entry of a log that was handed this one | a quorum of agencies |

use super::*;
use crate::budget::Exhausted;
use crate::checkpoint::Checkpoint;
use crate::entry::HandOver;
use crate::policy::{Policy, PolicyError};

impl Replay {
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
                by_owner(&contract.allowance.dataset, &signers)
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
                if !read || self.standing(&debit.contract)?.allowance.dataset != debit.dataset {
                    return Err(RuleError::Reference("the job does not read this data set under this contract"));
                }
                self.bears(&job.planner, debit, &[]).map_err(RuleError::Budget)?;
                if debit.uses > 1 || debit.uses == 0 && !self.accounts.is_given(&job.planner, debit) {
                    return Err(RuleError::Reference(
                        "a job takes one use of a contract; or none, if its planner was given this very answer",
                    ));
                }
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
                self.check_uses(job)?;
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
        if contract.revoked { Err(RuleError::Revoked { dataset: contract.allowance.dataset.clone() }) } else { Ok(contract) }
    }

    fn known(&self, job: &Hash) -> Result<&Job, RuleError> {
        self.jobs.get(job).ok_or(RuleError::Reference("the job is not in the log"))
    }

    /// Every data set is read under a contract, and none of the contracts is revoked.
    pub(crate) fn check_contracts(&self, query: &Query) -> Result<(), RuleError> {
        let datasets: Result<BTreeSet<&str>, RuleError> =
            query.contracts.iter().map(|contract| self.standing(contract).map(|contract| contract.allowance.dataset.as_str())).collect();
        let datasets = datasets?;
        let bare = query.reads.iter().find(|read| !datasets.contains(read.dataset.as_str()));
        bare.map_or(Ok(()), |_| Err(RuleError::Reference("a data set is read without a contract")))
    }

    /// Every use that a job takes as it starts is left.
    fn check_uses(&self, job: &Job) -> Result<(), RuleError> {
        let contract = |debit: &entry::Debit| self.contracts.get(&debit.contract).filter(|contract| !contract.has(debit.uses));
        match job.debits.values().filter(|_| !job.holds).find_map(contract) {
            None => Ok(()),
            Some(contract) => {
                Err(RuleError::UsedUp { dataset: contract.allowance.dataset.clone(), most: contract.most.unwrap_or_default() })
            }
        }
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
    /// Its contract is used up.
    #[error("the contract over `{dataset}` is used up: it is for {most} answers in all; ask its owner for another one")]
    UsedUp {
        /// The data set.
        dataset: String,
        /// How many answers it is for.
        most: u64,
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
            Self::UsedUp { .. } => "E_USED_UP",
            Self::Budget(_) => "E_BUDGET",
            Self::Policy(error) => error.code(),
        }
    }
}
