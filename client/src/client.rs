//! The planner's side of a question: compile, sign, submit, follow, fetch, verify, open, finish.

use crate::caret::point_at;
use crate::clock::now;
use crate::config::Config;
use crate::error::{Declined, Error, Refusals, unread};
use crate::http::{Api, Problem};
use crate::joblog::{self, Stated};
use crate::pooled::public_tables;
use crate::result::{self, Answer};
use ledger::budget::{Account, Allowance, Loss, left, month};
use ledger::bytes::{Base64, Hash};
use ledger::contract::{Epsilon, Security, SignedContract};
use ledger::entry::{Body, Opening};
use ledger::policy::Policy;
use mpc_core::file::Kind;
use mpc_core::identity::Identity;
use mpc_core::roster::Roster;
use mpc_core::stack;
use party::contracts::Standing;
use party::openings;
use party::seal::OutputKey;
use query::catalog::Catalog;
use query::compile::compile;
use query::consent::{self, Effective};
use query::explain::{Consent, ContractLine, Explain, ExplainError, explain};
use query::message::job::{CityStatus, Event, JobState, JobStatus, PartyRefusal, SealedResults, Submit, Submitted, What, Word};
use query::message::{Cancel, Code, Query, QueryId, Refusal, Statement};
use query::plan::Plan;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A planner at work: who they are, the city they ask, and where its coordinator is.
pub struct Client {
    config: Config,
    identity: Identity,
    roster: Roster,
    catalog: Catalog,
    api: Api,
    /// Whom to believe of the city's log.
    policy: Option<Policy>,
}

/// How a question is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What the answer is for: an IRI that contracts name, and words; or words, which the configured IRI is put before.
    pub purpose: String,
    /// What it may spend of privacy budgets: by default what contracts let a question, where they ask for noise.
    pub epsilon: Option<Epsilon>,
    /// Whether measured figures are wanted for each operator.
    pub analyze: bool,
    /// How long the query stands before nobody starts on it any more.
    pub valid_for: Duration,
    /// A folder for what opens the question's commitments in the city's log.
    pub openings: Option<PathBuf>,
}

impl Default for Ask {
    fn default() -> Self {
        Self { purpose: String::new(), epsilon: None, analyze: false, valid_for: Duration::from_secs(3600), openings: None }
    }
}

/// A question on its way: what is needed to open its answer. The output key is in no other place.
pub struct Asked {
    /// The job's id.
    pub job: QueryId,
    /// What the planner compiled; each party compiles it for itself.
    pub plan: Plan,
    /// What was asked.
    pub(crate) sql: String,
    pub(crate) key: OutputKey,
    pub(crate) since: Instant,
    /// What was signed of it for the city's log.
    pub(crate) stated: Option<Stated>,
}

impl Client {
    /// A planner with this configuration.
    ///
    /// # Errors
    /// A file is missing or wrong, or the key is not this planner's in the roster.
    pub fn open(config: Config) -> Result<Self, Error> {
        let identity = Identity::load(&config.identity).map_err(|e| Error::config(e.to_string()))?;
        let roster = Roster::load(&config.roster).map_err(|e| Error::config(e.to_string()))?;
        let catalog = Catalog::load(&config.catalogue).map_err(|e| Error::config(e.to_string()))?;
        let public = identity.public();
        match roster.planner(&config.planner) {
            Some(planner) if planner.key == public => {}
            Some(_) => {
                let (what, fix) = party::doctor::foreign_key(&roster, &config.planner, &public);
                return Err(Error::config(format!("{}: {what}\n  to mend it: {fix}", config.identity.display())));
            }
            None => {
                return Err(Error::config(format!(
                    "the roster has no planner `{}`; have one with key = \"{public}\" put into roster.toml at every node",
                    config.planner
                )));
            }
        }
        let base = config.coordinator.as_deref().or(roster.coordinator().api.as_deref());
        let api = Api::new(base.ok_or_else(|| Error::config("the roster has no `api` for the coordinator"))?)?;
        let policy = config.policy.as_deref().map(|file| {
            let policy = crate::config::read(file, Kind::Policy)?.parse::<Policy>();
            policy.map_err(|e| Error::config(format!("{}: {e}", file.display())))
        });
        let policy = policy.transpose()?;
        Ok(Self { config, identity, roster, catalog, api, policy })
    }

    /// The catalogue the questions are about.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The roster the answers are checked against.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What a question compiles to, as it is asked; contracts may make more of it. Nothing is sent.
    ///
    /// # Errors
    /// The SQL is wrong or outside what this release can do; the error has line and column.
    pub fn compile(&self, sql: &str) -> Result<Plan, Error> {
        compile(sql, &self.catalog).map_err(|e| Error::Sql(point_at(sql, &e)))
    }

    /// What a question would do, cost and reveal, and whether contracts allow it. Nothing is sent. Outside any async runtime.
    ///
    /// # Errors
    /// As [`Client::compile`]; or a public table is not as the catalogue pins it, or the folder of contracts cannot be read.
    pub fn explain(&self, sql: &str, purpose: &str, epsilon: Option<Epsilon>) -> Result<Explain, Error> {
        let (plan, consent) = self.agreed(sql, purpose, epsilon)?;
        Ok(self.explained(sql, &plan)?.under(consent))
    }

    /// Has the coordinator say what is left, by the city's log, of the budgets that a question would spend of. It is its word: no entry comes with it. Of the question itself nothing is
    /// sent; nodes and auditors count for themselves.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn with_budgets(&self, mut explained: Explain) -> Result<Explain, Error> {
        let Some(noise) = explained.noise.as_mut().filter(|noise| noise.spent.iter().any(|line| line.month.is_some())) else {
            return Ok(explained);
        };
        let Some(standing) = self.standing().await? else { return Ok(explained) };
        let this_month = month(now());
        let (own, planner) = (self.own_contracts()?.unwrap_or_default().contracts, self.config.planner.as_str());
        let log: Vec<Allowance> = self.on_log(&standing).values().map(|signed| Allowance::of(&signed.contract)).collect();
        let Some(Consent::Allowed(by)) = &explained.consent else { return Ok(explained) };
        for line in noise.spent.iter_mut().filter(|line| line.month.is_some()) {
            let by = by.iter().find(|by| by.dataset == line.dataset);
            let signed =
                own.iter().find(|signed| by.is_some_and(|by| (&by.dataset, &by.id) == (&signed.contract.dataset, &signed.id.short())));
            let spent = |account: &Account| {
                standing.spent.iter().find(|spent| spent.account == *account).map_or(Loss::default(), |spent| spent.loss)
            };
            line.left = signed.map(|signed| left(&Allowance::of(&signed.contract).limits(planner, &this_month, log.iter()), spent));
        }
        Ok(explained)
    }

    /// What a question did and cost, beside what it was said to. Outside any async runtime.
    ///
    /// # Errors
    /// As [`Client::explain`].
    pub fn analyze(&self, sql: &str, ask: &Ask, answer: &Answer) -> Result<Explain, Error> {
        let (plan, consent) = self.agreed(sql, &ask.purpose, ask.epsilon)?;
        let explained = self.explained(sql, &answer.plan)?.analyze(&answer.costs.parties);
        Ok(Explain { plan: Hash(plan.hash()).to_string(), ..explained }.under(consent))
    }

    fn explained(&self, sql: &str, plan: &Plan) -> Result<Explain, Error> {
        let public = public_tables(&self.config, &self.catalog)?;
        let parties: Vec<&str> = self.roster.parties().map(|party| party.name.as_str()).collect();
        let explained = explain(plan, &public, &parties).map_err(|e| match e {
            ExplainError::TooLarge(refusal) => Error::Sql(format!("{refusal}\n  to mend it: {}", refusal.fix)),
            other => Error::Failed(other.to_string()),
        })?;
        Ok(explained.weighed(sql, &self.catalog, plan, &public))
    }

    /// The plan that runs, and what the contracts say of it that are here. The nodes decide by their own: what is not allowed here, or without contracts, is as it was
    /// asked.
    pub(crate) fn agreed(&self, sql: &str, purpose: &str, epsilon: Option<Epsilon>) -> Result<(Plan, Consent), Error> {
        let Some(Standing { contracts: standing, left_out }) = self.own_contracts()? else {
            return Ok((self.compile(sql)?, Consent::NotChecked));
        };
        let (plan, agreed) = self.check(self.compile(sql)?, sql, (&self.purpose(purpose), epsilon), &standing)?;
        let allows = |id: &Hash| standing.iter().find(|signed| signed.id == *id).map(ContractLine::of);
        let consent = match agreed {
            Err(denial) => Consent::Refused(unread(denial, &left_out)),
            Ok(effective) => Consent::Allowed(effective.contracts.values().filter_map(allows).collect()),
        };
        Ok((plan, consent))
    }

    /// What stands by this planner's folder of contracts; nothing without one.
    ///
    /// # Errors
    /// It is not there.
    pub fn own_contracts(&self) -> Result<Option<Standing>, Error> {
        let standing = |folder| Standing::read(folder, &self.roster, &self.catalog).map_err(|e| Error::config(e.to_string()));
        self.config.contracts.as_deref().map(standing).transpose()
    }

    /// The plan that runs of one as it was asked, and what these contracts say of it.
    pub(crate) fn check(
        &self,
        plan: Plan,
        sql: &str,
        (purpose, epsilon): (&str, Option<Epsilon>),
        standing: &[SignedContract],
    ) -> Result<(Plan, Result<Effective, Refusal>), Error> {
        let planner = party::contracts::signs(&self.config.planner, &self.identity.public());
        let planner = planner.ok_or_else(|| Error::internal("the planner's name is not one a note allows"))?;
        let ask = consent::Ask {
            sql,
            planner: &planner,
            receivers: &[&self.config.planner],
            purpose,
            security: Security::SemiHonest,
            now: now(),
        };
        match consent::check(&plan, None, standing, &ask) {
            Err(denial) => Ok((plan, Err(denial.into()))),
            Ok(effective) => {
                let plan = effective.plan(plan, sql, &self.catalog, epsilon).map_err(|e| Error::Sql(point_at(sql, &e)))?;
                Ok((plan, Ok(effective)))
            }
        }
    }

    /// Asks a question and waits for the answer. `seen` is told of everything that happens on the way.
    ///
    /// # Errors
    /// Whatever keeps the answer from being here; no answer is returned that does not check out.
    pub async fn ask(&self, sql: &str, ask: &Ask, mut seen: impl FnMut(&Event)) -> Result<Answer, Error> {
        let asked = self.submit(sql, ask).await?;
        self.follow(asked.job, &mut seen).await?;
        self.answer(&asked).await
    }

    /// Signs and submits a question.
    ///
    /// # Errors
    /// It does not compile, or the coordinator is out of reach or declines it.
    pub async fn submit(&self, sql: &str, ask: &Ask) -> Result<Asked, Error> {
        let since = Instant::now();
        let plan = self.compile(sql)?;
        let key = OutputKey::generate().map_err(|e| Error::internal(e.to_string()))?;
        let (query, note) = self.sign(sql, ask, &key)?;
        let job = QueryId::of(&note);
        let (plan, stated) = self.with_entry(plan, &query, &note).await?;
        let entry = stated.as_ref().map(|stated| stated.entry.clone());
        if let (Some(folder), Some(entry)) = (&ask.openings, &entry) {
            // Before it is asked: what cannot be shown later is not on the log.
            joblog::keep(folder, job, openings::What::Statement, &Opening { salt: entry.salt, value: query.sql.clone() })?;
        }
        let answer: Result<Submitted, Problem> = self.api.post("/v1/jobs", &Submit { note, entry }).await?;
        let submitted = match answer {
            Ok(submitted) => submitted,
            Err(problem) => return Err(self.refused(problem).await),
        };
        if submitted.job != job {
            return Err(Error::Untrusted(format!(
                "the coordinator gives the job another id ({}) than its note has",
                submitted.job.short()
            )));
        }
        Ok(Asked { job, plan, sql: sql.to_owned(), key, since, stated })
    }

    /// Follows a job until it is over, across lost connections and a coordinator that restarts.
    ///
    /// # Errors
    /// The job was refused, failed or was cancelled; or the coordinator stays out of reach.
    pub async fn follow(&self, job: QueryId, seen: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let mut last = None;
        let mut lost_since: Option<Instant> = None;
        let mut pause = tokio::time::interval(RETRY_EVERY);
        loop {
            pause.tick().await;
            match self.listen(job, &mut last, seen).await {
                Ok(Some(state)) => return self.ended(job, state).await,
                Ok(None) => lost_since = None,
                Err(Error::Connection { at, what }) => {
                    if lost_since.get_or_insert_with(Instant::now).elapsed() > LOST_FOR {
                        let what =
                            format!("{what}\nthe job {job} may still be running; `tacit jobs {job}` tells once the coordinator is back");
                        return Err(Error::Connection { at, what });
                    }
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Fetches the three sealed shares of a job that is done, checks them, and opens and finishes the answer.
    ///
    /// # Errors
    /// The result cannot be fetched, or does not check out.
    pub async fn answer(&self, asked: &Asked) -> Result<Answer, Error> {
        let answer: Result<SealedResults, Problem> = self.api.get(&format!("/v1/jobs/{}/result", asked.job)).await?;
        let sealed = answer.map_err(|problem| self.declined(problem))?;
        let public = public_tables(&self.config, &self.catalog)?;
        // A thread of its own: finishing runs SQL, on a runtime that must not stand on another's.
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| result::open(asked, &sealed, &self.roster, self.policy.as_ref(), &public)).join();
            opened.map_err(|_| Error::internal("finishing the answer failed"))?
        })
    }

    /// Takes a query back.
    ///
    /// # Errors
    /// The coordinator is out of reach, or the job is over already.
    pub async fn cancel(&self, job: QueryId) -> Result<(), Error> {
        let note = Cancel { job }.sign(&self.config.planner, &self.identity).map_err(|e| Error::internal(e.to_string()))?;
        let answer: Result<serde_json::Value, Problem> = self.api.delete(&format!("/v1/jobs/{job}"), &Submit { note, entry: None }).await?;
        answer.map(|_| ()).map_err(|problem| self.declined(problem))
    }

    /// The jobs the coordinator knows.
    ///
    /// # Errors
    /// The coordinator is out of reach.
    pub async fn jobs(&self) -> Result<Vec<JobStatus>, Error> {
        let answer: Result<Vec<JobStatus>, Problem> = self.api.get("/v1/jobs").await?;
        answer.map_err(|problem| self.declined(problem))
    }

    /// One job.
    ///
    /// # Errors
    /// The coordinator is out of reach, or knows no such job.
    pub async fn job(&self, job: QueryId) -> Result<JobStatus, Error> {
        let answer: Result<JobStatus, Problem> = self.api.get(&format!("/v1/jobs/{job}")).await?;
        answer.map_err(|problem| self.declined(problem))
    }

    /// The state of the city as the coordinator sees it.
    ///
    /// # Errors
    /// The coordinator is out of reach.
    pub async fn status(&self) -> Result<CityStatus, Error> {
        let answer: Result<CityStatus, Problem> = self.api.get("/v1/status").await?;
        answer.map_err(|problem| self.declined(problem))
    }

    /// The purpose of a question: what it says, behind the configured one if it begins with none of its own.
    fn purpose(&self, said: &str) -> String {
        let is_iri = said.starts_with("https://") || said.starts_with("urn:");
        match &self.config.purpose {
            Some(usual) if !is_iri => format!("{usual} {said}").trim_end().to_owned(),
            _ => said.to_owned(),
        }
    }

    fn sign(&self, sql: &str, ask: &Ask, key: &OutputKey) -> Result<(Query, String), Error> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|e| Error::internal(format!("no randomness: {e}")))?;
        let issued = now();
        let query = Query {
            sql: sql.to_owned(),
            planner: self.config.planner.clone(),
            roster_hash: self.roster.hash().into(),
            catalog_hash: self.catalog.hash().into(),
            output_key: Base64(key.public().to_vec()),
            purpose: self.purpose(&ask.purpose),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: ask.epsilon,
            nonce: Hash(nonce),
            issued,
            expires: issued.saturating_add(ask.valid_for.as_secs()),
            analyze: ask.analyze,
        };
        let note = query.sign(&self.config.planner, &self.identity);
        Ok((query, note.map_err(|e| Error::config(format!("the query cannot be signed: {e}")))?))
    }

    /// Signs an entry for the city's log.
    pub(crate) fn sign_entry(&self, body: &Body) -> Result<String, Error> {
        let signed = stack::wiped(|| body.sign(&self.config.planner, self.identity.signing_key()));
        signed.map_err(|e| {
            Error::config(format!("what the city's log is to have of the question cannot be signed: {e} (`--purpose` says what it is for)"))
        })
    }

    /// Who asks.
    pub(crate) fn planner(&self) -> &str {
        &self.config.planner
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// One connection's worth of events; the final state, if it was among them.
    async fn listen(&self, job: QueryId, last: &mut Option<u64>, seen: &mut impl FnMut(&Event)) -> Result<Option<JobState>, Error> {
        let mut lines = match self.api.events(&format!("/v1/jobs/{job}/events"), *last).await? {
            Ok(lines) => lines,
            Err(problem) if problem.is_passing() => return Err(Error::connection(self.api.base(), problem.body)),
            Err(problem) => return Err(self.declined(problem)),
        };
        let mut state = None;
        while let Some(line) = lines.next().await? {
            let Some(data) = line.strip_prefix("data:") else { continue };
            // An event of a newer coordinator that this version does not know is passed over.
            let Ok(event) = serde_json::from_str::<Event>(data.trim_start()) else { continue };
            if last.is_some_and(|last| event.seq <= last) {
                continue;
            }
            *last = Some(event.seq);
            seen(&event);
            if let What::State { state: now, .. } = &event.what
                && now.is_final()
            {
                state = Some(*now);
            }
        }
        match state {
            Some(state) => Ok(Some(state)),
            // the stream ended early, or the final event came before a reconnect
            None => Ok(Some(self.job(job).await?.state).filter(|state| state.is_final())),
        }
    }

    async fn ended(&self, job: QueryId, state: JobState) -> Result<(), Error> {
        match state {
            JobState::Done => Ok(()),
            JobState::Cancelled => Err(Error::Cancelled(format!("the job {} was cancelled", job.short()))),
            _ => Err(self.failed(job, self.job(job).await?.refusals)),
        }
    }

    fn failed(&self, job: QueryId, mut refusals: Vec<PartyRefusal>) -> Error {
        if refusals.is_empty() {
            return Error::Failed("the job failed, and the coordinator does not say why".into());
        }
        // What others only noticed of a failure comes after its cause.
        refusals.sort_by_key(|r| matches!(r.refusal.code, Code::Cancelled | Code::Deadline | Code::Desync));
        let started = |code| {
            matches!(code, Code::Peer | Code::Desync | Code::Deadline | Code::Internal | Code::Data | Code::Cancelled | Code::Revoked)
        };
        let declined: Vec<_> = refusals.into_iter().map(|refusal| Declined::of(refusal, job, &self.roster)).collect();
        let moved = declined.iter().any(|d| match d.signed {
            Some(word) => word == Word::Failed,
            None => started(d.refusal.refusal.code),
        });
        if moved { Error::Job(Refusals(declined)) } else { Error::Refused(Refusals(declined)) }
    }

    /// A query the coordinator does not take.
    async fn refused(&self, problem: Problem) -> Error {
        match serde_json::from_str::<Refusal>(&problem.body) {
            Ok(mut refusal) => {
                if refusal.code == Code::Catalog
                    && let Some(which) = self.catalog_difference().await
                {
                    refusal.reason += &format!(": {which}");
                }
                let refusal = PartyRefusal::of_coordinator(refusal);
                Error::Refused(Refusals(vec![Declined { refusal, signed: None }]))
            }
            Err(_) => self.declined(problem),
        }
    }

    /// What the coordinator's catalogue has that this one has not, or the other way round, as far as it tells.
    pub(crate) async fn catalog_difference(&self) -> Option<String> {
        let theirs = Catalog::parse(&self.api.text("/v1/catalog").await?).ok()?;
        self.catalog.difference(&theirs)
    }

    /// Anything else it does not do.
    pub(crate) fn declined(&self, problem: Problem) -> Error {
        let at = self.api.base();
        Error::Failed(match serde_json::from_str::<Refusal>(&problem.body) {
            Ok(refusal) => format!("the coordinator at {at}: {refusal}\n  to mend it: {}", refusal.fix),
            Err(_) => format!("the coordinator at {at} answers {}: {}", problem.status, problem.body),
        })
    }
}

/// How long a coordinator may be out of reach before a client stops waiting for it.
const LOST_FOR: Duration = Duration::from_secs(20);
const RETRY_EVERY: Duration = Duration::from_millis(200);
