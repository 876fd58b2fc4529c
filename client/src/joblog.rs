//! The planner's side of a job on the city's log: what is signed for it with a question, and what is checked of it with the answer.

use crate::client::Client;
use crate::error::Error;
use crate::http::Problem;
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use ledger::contract::SignedContract;
use ledger::entry::{self, Body, Entry, Opening};
use ledger::key::VerifierKey;
use ledger::policy::Policy;
use ledger::receipt::Receipt;
use ledger::signed::SignedNote;
use ledger::tile::MAX_ENTRY;
use mpc_core::roster::Roster;
use party::contracts::signs;
use party::openings::{self, What};
use query::consent::{self, Effective};
use query::joblog::{Compiled, QueryEntry, digest, noise, result};
use query::message::job::{OnLog, Places, Receipted, SealedResults, Standing};
use query::message::{Query, QueryId, Sealed};
use query::plan::Plan;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

impl Client {
    /// What of a plan as it was asked will run, and the entry for the log that goes with it. There is none if the city keeps no log; nor if no contract on it
    /// allows the question: then every agency says for itself what is not allowed.
    pub(crate) async fn with_entry(&self, asked: Plan, query: &Query, note: &str) -> Result<(Plan, Option<Stated>), Error> {
        let since = Instant::now();
        let mut same_city = false;
        loop {
            let Some(standing) = self.standing().await? else {
                return Ok((self.agreed(&query.sql, &query.purpose, query.epsilon)?.0, None));
            };
            let (plan, agreed) = self.by_log(&asked, query, &standing)?;
            let missing = match agreed {
                Agreed::Refused => return Ok((plan, None)),
                Agreed::Wait(missing) => missing,
                Agreed::Allowed(effective) => {
                    let mut salt = Hash([0; 32]);
                    getrandom::fill(&mut salt.0).map_err(|e| Error::internal(format!("no randomness: {e}")))?;
                    let asking = Asking { asked: &asked, query, job: QueryId::of(note), salt, standing: &standing };
                    match self.entry_of(&asking, &plan, &effective) {
                        Ok(body) => {
                            let (plan, body) = self.given_before(&asking, (plan, body), &effective)?;
                            let contracts = named(&body.contracts, &standing);
                            let entry = self.sign_entry(&Body::Query(body))?;
                            return Ok((plan, Some(Stated { entry: QueryEntry { entry, salt }, contracts })));
                        }
                        Err(dataset) => format!("what `{dataset}` holds"),
                    }
                }
            };
            if !same_city {
                let status = self.status().await?;
                same_city = (status.roster_hash, status.catalog_hash) == (query.roster_hash, query.catalog_hash);
                if !same_city {
                    // What is waited for will not come: the coordinator, asked as it is, says in what it differs.
                    return Ok((plan, None));
                }
            }
            if since.elapsed() > STATED_WITHIN {
                return Err(Error::Failed(format!(
                    "the city's log does not have yet {missing}; see that the agencies' nodes run (`tacit doctor`), and ask again"
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the contracts on the log say of a question; first those of them that this planner's own folder has, as the nodes' folders
    /// should. What an agency has just put into its folder is on the log in a moment, and so is, after it, what its tables hold. A contract that
    /// is used up is named only if no other will do: an answer that was given before is given again at no cost, and the nodes know.
    fn by_log(&self, asked: &Plan, query: &Query, standing: &Standing) -> Result<(Plan, Agreed), Error> {
        let (mut own, mut log) = (self.own_contracts()?.unwrap_or_default().contracts, self.on_log(standing));
        own.retain(|signed| !standing.revoked.contains(&signed.id));
        let fresh = |signed: &SignedContract| {
            let used = standing.used.get(&signed.id).copied().unwrap_or_default();
            signed.contract.max_uses.is_none_or(|most| used < most)
        };
        if own.iter().chain(log.values()).all(fresh) {
            return self.by_these(asked, query, standing, &own, &log);
        }
        let (all_own, all_log) = (own.clone(), log.clone());
        own.retain(fresh);
        log.retain(|_, signed| fresh(signed));
        match self.by_these(asked, query, standing, &own, &log)? {
            (_, Agreed::Refused) => self.by_these(asked, query, standing, &all_own, &all_log),
            agreed => Ok(agreed),
        }
    }

    /// What the contracts in this planner's folder and those on the log say of a question.
    fn by_these(
        &self,
        asked: &Plan,
        query: &Query,
        standing: &Standing,
        own: &[SignedContract],
        log: &BTreeMap<Hash, SignedContract>,
    ) -> Result<(Plan, Agreed), Error> {
        let check = |contracts: &[SignedContract]| self.check(asked.clone(), &query.sql, (&query.purpose, query.epsilon), contracts);
        let here: Vec<SignedContract> = own.iter().filter(|signed| log.contains_key(&signed.id)).cloned().collect();
        if let (plan, Ok(effective)) = check(&here)? {
            return Ok((plan, Agreed::Allowed(Box::new(effective))));
        }
        if check(own)?.1.is_ok() {
            return Ok((asked.clone(), Agreed::Wait("the contracts that are in this planner's folder".into())));
        }
        Ok(match (check(&log.values().cloned().collect::<Vec<_>>())?, self.unstated(asked, standing)) {
            ((plan, Ok(effective)), _) => (plan, Agreed::Allowed(Box::new(effective))),
            ((plan, Err(_)), Some(dataset)) => (plan, Agreed::Wait(format!("what `{dataset}` holds"))),
            ((plan, Err(_)), None) => (plan, Agreed::Refused),
        })
    }

    /// The entry about a question that these contracts allow.
    ///
    /// # Errors
    /// The data set of which the log has no snapshot.
    fn entry_of(&self, asking: &Asking<'_>, plan: &Plan, effective: &Effective) -> Result<entry::Query, String> {
        let Asking { query, job, salt, standing, .. } = *asking;
        let parties = self.roster().parties().map(|party| party.name.as_str());
        let compiled = Compiled { job, query, plan_hash: Hash(plan.hash()), effective };
        compiled.entry(parties, |dataset| standing.snapshots.get(dataset).copied(), salt)
    }

    /// What is asked of an answer with noise: under contracts by which this planner was given it, if there are such, used up or not. Then it is given again, at no cost, where others that allow the
    /// question too would make other noise and be charged for it. Otherwise what was found first.
    fn given_before(&self, asking: &Asking<'_>, found: (Plan, entry::Query), effective: &Effective) -> Result<(Plan, entry::Query), Error> {
        let (roster, catalog) = (self.roster().hash(), self.catalog().hash());
        let spends = |plan: &Plan| plan.spent().is_ok_and(|spent| !spent.is_empty());
        let is_given =
            |(plan, body): &(Plan, entry::Query)| spends(plan) && asking.standing.given.contains(&noise(body, &roster, &catalog));
        if asking.standing.given.is_empty() || !spends(&found.0) || is_given(&found) {
            return Ok(found);
        }
        let (own, log) = (self.own_contracts()?.map(|own| own.contracts), self.on_log(asking.standing));
        // What was taken away from the nodes' folders does not allow it any more.
        let here = |signed: &&SignedContract| own.as_ref().is_none_or(|own| own.iter().any(|own| own.id == signed.id));
        let of = |dataset: &String| log.values().filter(|signed| signed.contract.dataset == *dataset).filter(here).collect::<Vec<_>>();
        let choices: Vec<Vec<&SignedContract>> = effective.contracts.keys().map(of).collect();
        let query = asking.query;
        for choice in combinations(&choices).take(MOST_CHOICES) {
            let contracts: Vec<SignedContract> = choice.into_iter().cloned().collect();
            let allowed = self.check(asking.asked.clone(), &query.sql, (&query.purpose, query.epsilon), &contracts);
            // What a contract makes no plan of, others may.
            let Ok((plan, Ok(effective))) = allowed else { continue };
            let Ok(body) = self.entry_of(asking, &plan, &effective) else { continue };
            let other = (plan, body);
            if is_given(&other) {
                return Ok(other);
            }
        }
        Ok(found)
    }

    /// What the coordinator says of the log; nothing if the city keeps none. If it lies, the nodes refuse.
    pub(crate) async fn standing(&self) -> Result<Option<Standing>, Error> {
        let answer: Result<Standing, Problem> = self.api().get(&format!("/v1/standing?planner={}", self.planner())).await?;
        match answer {
            Ok(standing) => Ok(Some(standing)),
            Err(problem) if problem.status == 404 => Ok(None),
            Err(problem) => Err(self.declined(problem)),
        }
    }

    /// The contracts that stand on the log, by id as the nodes have them.
    pub(crate) fn on_log(&self, standing: &Standing) -> BTreeMap<Hash, SignedContract> {
        let owners: BTreeMap<&str, VerifierKey> =
            self.roster().parties().filter_map(|party| Some((party.name.as_str(), signs(&party.name, &party.key)?))).collect();
        // What is no contract by this release's rules allows nothing.
        let opened = standing.contracts.iter().filter_map(|note| SignedContract::open_by(note, |name| owners.get(name)).ok());
        opened.map(|signed| (signed.id, signed)).collect()
    }

    /// A private table that the plan reads and the log has no snapshot of.
    fn unstated(&self, plan: &Plan, standing: &Standing) -> Option<String> {
        let tables = consent::interpret(plan).ok()?.tables;
        let private = |name: &String| self.catalog().table(name).is_some_and(|table| table.owner().is_some());
        tables.into_iter().filter(private).find(|name| !standing.snapshots.contains_key(name))
    }
}

/// What is stated of a question for the log.
pub(crate) struct Stated {
    pub entry: QueryEntry,
    /// The contracts that it names.
    pub contracts: Vec<Under>,
}

/// A contract under which an answer was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Under {
    /// Its data set.
    pub dataset: String,
    /// What people call it.
    pub contract: String,
    /// Its id.
    pub id: Hash,
}

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}) for {}", self.contract, self.id.short(), self.dataset)
    }
}

/// What people call the contracts of these ids: by their texts, which the ids are hashes of.
fn named(ids: &[Hash], standing: &Standing) -> Vec<Under> {
    let named = |note: &String| {
        let Entry { id, body: Body::Contract(entry::Contract { dataset, terms }), .. } = Entry::parse(note.as_bytes()).ok()? else {
            return None;
        };
        Some(Under { dataset, contract: terms["id"].as_str()?.to_owned(), id })
    };
    let mut named: Vec<Under> = standing.contracts.iter().filter_map(named).filter(|under| ids.contains(&under.id)).collect();
    named.sort_by(|one, other| one.dataset.cmp(&other.dataset));
    named
}

/// Puts an opening into a folder that the planner named.
pub(crate) fn keep(folder: &Path, job: QueryId, what: What, opening: &Opening) -> Result<(), Error> {
    openings::write(folder, &job.0, what, opening).map_err(|error| Error::config(format!("--save-opening {}: {error}", folder.display())))
}

/// A question, and what it is asked by.
struct Asking<'a> {
    /// What its text compiles to.
    asked: &'a Plan,
    query: &'a Query,
    job: QueryId,
    salt: Hash,
    standing: &'a Standing,
}

/// One of each, in all ways.
fn combinations<'a, T>(choices: &'a [Vec<&'a T>]) -> impl Iterator<Item = Vec<&'a T>> {
    let all = choices.iter().map(Vec::len).try_fold(1usize, usize::checked_mul).unwrap_or(usize::MAX);
    (0..all).map(|number| {
        let each = choices.iter().scan(number, |rest, of| {
            let at = *rest % of.len();
            *rest /= of.len();
            Some(of[at])
        });
        each.collect()
    })
}

/// How many sets of contracts are looked at for the one by which an answer was given. Each is a compilation.
const MOST_CHOICES: usize = 64;

/// What the contracts on the log say of a question.
enum Agreed {
    /// They allow it.
    Allowed(Box<Effective>),
    /// Something is not there yet.
    Wait(String),
    /// They do not allow it.
    Refused,
}

/// Where a job is in the log, with the proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The contracts under which it was answered: those that its query names, by which every party went.
    pub contracts: Vec<Under>,
    /// The places of its query and its result.
    pub places: Places,
    /// Those of its debits.
    pub debits: Vec<u64>,
    /// What opens the result's commitment.
    pub result: Opening,
    /// And of the start of the attempt that answered it.
    pub start: u64,
    /// How far the log was, of which the receipts are.
    pub head: Head,
    /// The entries with their receipts.
    pub receipts: OnLog,
}

/// Checks that the log has the question as it was signed, the debits of all that it reads, the start of the attempt, and as its result what the coordinator
/// hands over, signed by all agencies. With a policy the receipts are checked, too; without one the places are the coordinator's word.
pub(crate) fn check(
    Stated { entry, contracts }: &Stated,
    results: &SealedResults,
    sealed: &[(&Sealed, &str)],
    roster: &Roster,
    policy: Option<&Policy>,
) -> Result<Logged, String> {
    let receipts = results.log.as_ref().ok_or("the coordinator does not show the job's entries in the city's log")?;
    if receipts.query.entry != entry.entry {
        return Err("the city's log has another entry about this question than the one that was signed".into());
    }
    let first = sealed.first().ok_or("there is no share")?.0;
    let stated = Entry::parse(receipts.result.entry.as_bytes()).map_err(|error| format!("the result's entry in the log: {error}"))?;
    let released = result(first.sid, sealed.iter().map(|(_, note)| digest(note)));
    match &stated.body {
        Body::Result(outcome)
            if outcome.job == first.job.0 && outcome.attempt == u64::from(first.attempt) && outcome.result == released.commitment() => {}
        _ => return Err("the result that the city's log has of this job is not the one that was handed over".into()),
    }
    let note = SignedNote::parse(&receipts.result.entry, MAX_ENTRY).map_err(|error| error.to_string())?;
    for party in roster.parties() {
        let key = signs(&party.name, &party.key).ok_or("an agency's name is none that a note allows")?;
        if note.verify(&[&key]).map_err(|error| format!("the result's entry in the log: {error}"))?.is_empty() {
            return Err(format!("the result's entry in the log is not signed by {}", party.name));
        }
    }
    begun(receipts, first)?;
    let head = head(&receipts.result)?;
    let place = |receipted: &Receipted| {
        let receipt: Receipt = receipted.receipt.parse().map_err(|error| format!("a receipt of the city's log: {error}"))?;
        if *receipt.checkpoint.head() != head {
            return Err("the receipts of the city's log are of different checkpoints".into());
        }
        if let Some(policy) = policy {
            let verified = receipt.verify(receipted.entry.as_bytes(), policy, None);
            verified.map_err(|error| format!("a receipt of the city's log: {}: {error}", error.code()))?;
        }
        Ok::<u64, String>(receipt.index)
    };
    let places = Places { query: place(&receipts.query)?, result: Some(place(&receipts.result)?) };
    let debits = receipts.debits.iter().map(place).collect::<Result<_, _>>()?;
    Ok(Logged {
        contracts: contracts.clone(),
        places,
        result: released,
        debits,
        start: place(&receipts.start)?,
        head,
        receipts: receipts.clone(),
    })
}

/// Whether what is shown as an attempt's beginning is that: a debit of each data set that the question reads, and the start.
fn begun(receipts: &OnLog, sealed: &Sealed) -> Result<(), String> {
    let parse = |shown: &Receipted| Entry::parse(shown.entry.as_bytes()).map(|entry| entry.body);
    let wrong = |error| format!("an entry of the job in the city's log: {error}");
    let Body::Query(query) = parse(&receipts.query).map_err(wrong)? else { return Err("the query's entry is none".into()) };
    let mut debited = BTreeSet::new();
    for shown in &receipts.debits {
        match parse(shown).map_err(wrong)? {
            Body::Debit(debit) if debit.job == sealed.job.0 => drop(debited.insert(debit.dataset)),
            _ => return Err("what the coordinator shows as a debit of the job in the city's log is none".into()),
        }
    }
    if let Some(read) = query.reads.iter().find(|read| !debited.contains(&read.dataset)) {
        return Err(format!("the coordinator does not show the debit of {} in the city's log", read.dataset));
    }
    match parse(&receipts.start).map_err(wrong)? {
        Body::Start(start) if start.job == sealed.job.0 && start.attempt == u64::from(sealed.attempt) => Ok(()),
        _ => Err("the start that the coordinator shows in the city's log is not that of this attempt".into()),
    }
}

fn head(receipted: &Receipted) -> Result<Head, String> {
    let receipt: Receipt = receipted.receipt.parse().map_err(|error| format!("a receipt of the city's log: {error}"))?;
    Ok(receipt.checkpoint.head().clone())
}

/// How long a question waits for the log to say what tables hold: agencies that have just started read them once more for that.
const STATED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
