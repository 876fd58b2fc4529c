//! The entries that concern one data set, put together. They come in the order of the log, and were verified.

use super::month;
use ledger::bytes::Hash;
use ledger::contract::{self, ROWS};
use ledger::entry::{Body, Debit, Entry, EntryError, Query, SEALED};
use ledger::tree;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All of one data set.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// `agency.table`.
    pub dataset: String,
    /// Its columns: those it has or had, and those that were asked for.
    pub columns: BTreeSet<String>,
    /// What was asked of it.
    pub questions: Vec<Question>,
    /// What its owner allowed.
    pub contracts: Vec<Contract>,
    /// What it held.
    pub snapshots: Vec<Snapshot>,
    /// The note of every contract on the log, of other data sets too: questions go by several together.
    pub notes: BTreeMap<Hash, String>,
    /// Every entry all this is taken from.
    pub entries: Vec<Entered>,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In which log: 0 is the oldest of those that were handed over.
    pub log: usize,
    /// Its number there.
    pub index: u64,
}

/// An entry that concerns the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Where it stands.
    pub place: Place,
    /// Its id.
    pub id: Hash,
    /// The leaf it is in the tree.
    pub leaf: Hash,
    /// Its kind.
    pub kind: &'static str,
    /// Who signed it.
    pub signers: Vec<String>,
}

/// A question, and what came of it.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where it stands.
    pub place: Place,
    /// Who asked.
    pub planner: String,
    /// What, as the log has it.
    pub query: Query,
    /// Which columns of the data set it reads; `*` alone if it only counts rows.
    pub columns: Vec<String>,
    /// Of which snapshot.
    pub snapshot: Hash,
    /// What it cost the data set.
    pub debit: Option<(Place, Debit)>,
    /// What its contract asks for an answer: how much of what unit.
    pub asks: Option<(u64, String)>,
    /// Its attempts, and how each ended.
    pub steps: Vec<(Place, Step)>,
    /// Whether it holds the use that was debited.
    pub holds: bool,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The parties began.
    Started {
        /// Counted from 1.
        attempt: u64,
    },
    /// They ended with a result.
    Released {
        /// The attempt.
        attempt: u64,
        /// The commitment to it.
        result: Hash,
    },
    /// They ended without.
    Aborted {
        /// The attempt.
        attempt: u64,
        /// Why: `E_…`.
        code: String,
    },
}

/// Where a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// Nobody has begun.
    Waiting,
    /// An attempt runs.
    Running,
    /// It was answered.
    Released(&'a Hash),
    /// Its last attempt ended without an answer.
    Aborted(&'a str),
}

/// A contract over the data set.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Where it stands.
    pub place: Place,
    /// Its id.
    pub id: Hash,
    /// What it says, if this version understands it.
    pub terms: Option<contract::Contract>,
    /// Where it was revoked, and why.
    pub revoked: Option<(Place, Option<String>)>,
    /// Uses that questions have taken of it, and not given back.
    pub uses: u64,
    /// Millionths of ε that were: by month and planner.
    pub spent: BTreeMap<(String, String), i128>,
}

/// What the data set held from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it stands.
    pub place: Place,
    /// Its root.
    pub root: Hash,
    /// How many columns it has.
    pub columns: usize,
}

impl Question {
    /// Where it is.
    pub fn state(&self) -> State<'_> {
        match self.steps.last() {
            None => State::Waiting,
            Some((_, Step::Started { .. })) => State::Running,
            Some((_, Step::Released { result, .. })) => State::Released(result),
            Some((_, Step::Aborted { code, .. })) => State::Aborted(code),
        }
    }

    /// The month it is counted in: its debit's, or the one in which it expires.
    pub fn month(&self) -> String {
        self.debit.as_ref().map_or_else(|| month(self.query.expires), |(_, debit)| debit.month.clone())
    }

    /// Uses that it takes: what was debited, unless it has not begun, or was given back.
    pub fn uses(&self) -> u64 {
        self.debit.as_ref().filter(|_| self.holds).map_or(0, |(_, debit)| debit.uses)
    }

    /// Whether the uses that it took were given back, as it ended without an answer.
    pub fn gave_back(&self) -> bool {
        let ended = matches!(self.state(), State::Aborted(_));
        ended && !self.holds && self.debit.as_ref().is_some_and(|(_, debit)| debit.uses > 0)
    }

    /// What it is to be paid, if it was answered: how much of what unit.
    pub fn price(&self) -> Option<(u64, &str)> {
        let answered = matches!(self.state(), State::Released(_));
        self.asks.as_ref().filter(|_| answered).map(|(amount, unit)| (*amount, unit.as_str()))
    }

    /// Millionths of ε that were debited.
    pub fn epsilon(&self) -> i128 {
        self.debit.as_ref().map_or(0, |(_, debit)| debit.epsilon.into())
    }
}

impl State<'_> {
    /// In a word or two.
    pub fn name(&self) -> String {
        match self {
            Self::Waiting => "waiting".into(),
            Self::Running => "running".into(),
            Self::Released(_) => "released".into(),
            Self::Aborted(code) => format!("aborted, {code}"),
        }
    }
}

impl Contract {
    /// What people call it.
    pub fn name(&self) -> String {
        self.terms.as_ref().map_or_else(|| self.id.short(), |terms| terms.id.clone())
    }

    /// How it stands at a time, in words.
    pub fn standing(&self, now: u64) -> &'static str {
        match &self.terms {
            _ if self.revoked.is_some() => "revoked",
            Some(terms) if now >= terms.not_after.0 => "ended",
            Some(terms) if now < terms.not_before.0 => "not begun",
            _ => "in force",
        }
    }

    /// Uses that are left at a time; none if their number is not bounded.
    pub fn uses_left(&self, now: u64) -> Option<u64> {
        if matches!(self.standing(now), "revoked" | "ended") {
            return Some(0);
        }
        let most = self.terms.as_ref().and_then(|terms| terms.max_uses)?;
        Some(most.saturating_sub(self.uses))
    }

    /// The most millionths of ε that a planner may spend in a month; none if noise is not accounted for.
    pub fn monthly(&self) -> Option<i128> {
        self.terms.as_ref().and_then(|terms| terms.dp.as_ref()).map(|dp| dp.epsilon_month.0)
    }
}

impl History {
    /// The contract of this id.
    pub fn contract(&self, id: &Hash) -> Option<&Contract> {
        self.contracts.iter().find(|contract| contract.id == *id)
    }

    /// The contracts over the data set that a question was asked under.
    pub fn under<'a>(&'a self, question: &'a Question) -> impl Iterator<Item = &'a Contract> {
        question.query.contracts.iter().filter_map(|id| self.contract(id))
    }
}

/// Reads a log from its beginning.
#[derive(Debug, Default)]
pub struct Reader {
    history: History,
    jobs: HashMap<Hash, usize>,
    datasets: BTreeSet<String>,
}

impl Reader {
    /// For this data set.
    pub fn new(dataset: &str) -> Self {
        Self { history: History { dataset: dataset.into(), ..History::default() }, ..Self::default() }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// It is none.
    pub fn take(&mut self, place: Place, bytes: &[u8]) -> Result<(), EntryError> {
        let entry = Entry::parse(bytes)?;
        let signers: Vec<String> = entry.signatures.iter().map(|signature| signature.name.to_owned()).collect();
        let (id, kind) = (entry.id, entry.body.kind());
        if let (Body::Contract(_), Ok(note)) = (&entry.body, std::str::from_utf8(bytes)) {
            self.history.notes.insert(id, note.to_owned());
        }
        if self.concerns(place, id, &signers, entry.body) {
            self.history.entries.push(Entered { place, id, leaf: tree::leaf_hash(bytes), kind, signers });
        }
        Ok(())
    }

    /// What was read; or, if nothing concerns the data set, those that the log knows.
    ///
    /// # Errors
    /// Nothing does.
    pub fn end(self) -> Result<History, BTreeSet<String>> {
        if self.history.entries.is_empty() { Err(self.datasets) } else { Ok(self.history) }
    }

    /// Takes what an entry says of the data set, if it says anything of it.
    fn concerns(&mut self, place: Place, id: Hash, signers: &[String], body: Body) -> bool {
        let history = &mut self.history;
        match body {
            Body::Contract(contract) => {
                let concerns = contract.dataset == history.dataset;
                if concerns {
                    let terms = serde_json::from_value(contract.terms).ok();
                    history.contracts.push(Contract { place, id, terms, revoked: None, uses: 0, spent: BTreeMap::new() });
                }
                self.datasets.insert(contract.dataset);
                concerns
            }
            Body::Revoke(revoke) => {
                let contract = history.contracts.iter_mut().find(|contract| contract.id == revoke.contract);
                contract.map(|contract| contract.revoked = Some((place, revoke.reason))).is_some()
            }
            Body::DataSet(data) => {
                let concerns = data.dataset == history.dataset;
                if concerns {
                    history.snapshots.push(Snapshot { place, root: data.snapshot, columns: data.columns.len() });
                    history.columns.extend(data.columns.into_iter().map(|column| column.name));
                }
                self.datasets.insert(data.dataset);
                concerns
            }
            Body::Query(query) => {
                let Some(read) = query.reads.iter().find(|read| read.dataset == history.dataset) else { return false };
                let columns = if read.columns.is_empty() { vec![ROWS.to_owned()] } else { read.columns.clone() };
                history.columns.extend(columns.iter().cloned());
                self.jobs.insert(query.job, history.questions.len());
                let (planner, snapshot) = (signers.first().cloned().unwrap_or_default(), read.snapshot);
                history.questions.push(Question {
                    place,
                    planner,
                    columns,
                    snapshot,
                    query,
                    debit: None,
                    asks: None,
                    steps: Vec::new(),
                    holds: false,
                });
                true
            }
            Body::Debit(debit) => {
                let question = self.jobs.get(&debit.job).and_then(|at| history.questions.get_mut(*at));
                let Some(question) = question.filter(|_| debit.dataset == history.dataset) else { return false };
                if let Some(contract) = history.contracts.iter_mut().find(|contract| contract.id == debit.contract) {
                    *contract.spent.entry((debit.month.clone(), question.planner.clone())).or_default() += i128::from(debit.epsilon);
                    let price = contract.terms.as_ref().and_then(|terms| terms.price.as_ref());
                    question.asks = price.map(|price| (price.per_use.saturating_mul(debit.uses), price.unit.clone()));
                }
                question.debit = Some((place, debit));
                true
            }
            Body::Start(start) => {
                self.hold(&start.job, |_| true);
                self.step(&start.job, place, Step::Started { attempt: start.attempt })
            }
            Body::Result(end) => self.step(&end.job, place, Step::Released { attempt: end.attempt, result: end.result }),
            Body::Abort(abort) => {
                let by_party = |question: &Question| signers.iter().any(|name| question.query.parties.contains(name));
                self.hold(&abort.job, |question| question.holds && (abort.code == SEALED || !by_party(question)));
                self.step(&abort.job, place, Step::Aborted { attempt: abort.attempt, code: abort.code })
            }
            Body::Member(_) | Body::Evidence(_) | Body::HandOver(_) => false,
        }
    }

    /// Counts the use that a question holds from now on, or no more, as the log's rules do.
    fn hold(&mut self, job: &Hash, holds: impl FnOnce(&Question) -> bool) {
        let Some(question) = self.jobs.get(job).and_then(|at| self.history.questions.get_mut(*at)) else { return };
        let (held, holds) = (question.holds, holds(question));
        question.holds = holds;
        let Some((_, debit)) = &question.debit else { return };
        if let Some(contract) = self.history.contracts.iter_mut().find(|contract| contract.id == debit.contract) {
            contract.uses = match (held, holds) {
                (false, true) => contract.uses.saturating_add(debit.uses),
                (true, false) => contract.uses.saturating_sub(debit.uses),
                _ => contract.uses,
            };
        }
    }

    fn step(&mut self, job: &Hash, place: Place, step: Step) -> bool {
        let question = self.jobs.get(job).and_then(|at| self.history.questions.get_mut(*at));
        question.map(|question| question.steps.push((place, step))).is_some()
    }
}
