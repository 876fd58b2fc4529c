//! This agency's part in the city's log: witness and mirror, on a thread of its own, for the coordinator's updates over the line this
//! node has opened and for whoever asks over HTTP; and what it wants to stand in the log itself.
//!
//! It cosigns nothing once it has seen its folder put back, or two logs: it says so in log, health and metrics, and keeps the other
//! log's checkpoint for `tacit ledger evidence`. What it last signed it knows from a mark beside the folder ([`ledger::cosigner`]), and after every start
//! the coordinator tells it first what a quorum cosigned last, before it cosigns for anybody. Other agencies are not asked: nodes know one another's mesh, not their
//! mirrors, and a session begins behind the gate, where a node on another log than its peers never comes. A coordinator that tells less than there is to tell of can deceive a node only if folder and mark were put back together.

mod job;

use crate::config::LedgerConfig;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as At, State as Of};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ledger::checkpoint::Checkpoint;
use ledger::cosigner::{Cosigner, CosignerError, NamedSigner};
use ledger::entry::{Body, Entry};
use ledger::wire::{self, AddCheckpoint, MAX_ADD_CHECKPOINT, MAX_ADD_ENTRIES};
use mpc_core::file::{self, Kind};
use mpc_core::roster::Roster;
use query::citylog;
use query::message::frame::{FromParty, Signed};
use query::message::mirror::{Answer, FromMirror, Held, Parts, Refused, Taken, ToMirror, Update};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The agency's cosigner. Cheap to clone.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Where another log's checkpoint is kept.
    fork: PathBuf,
    /// The entries it holds.
    grown: watch::Sender<u64>,
    /// What this node's tables hold, once they have been read for it.
    tables: watch::Sender<Option<BTreeMap<String, ledger::bytes::Hash>>>,
}

struct State {
    cosigner: Cosigner,
    /// The coordinator has said, since the start, what a quorum cosigned last; or there was nothing to forget.
    told: bool,
    /// Why it cosigns nothing any more.
    halted: Option<Refused>,
    /// What went wrong last, until it goes right.
    trouble: Option<Refused>,
    /// What it wants to stand in the log, with what the log said of it.
    wanted: Vec<Wanted>,
}

struct Wanted {
    entry: String,
    id: ledger::bytes::Hash,
    taken: bool,
    refused: Option<Refused>,
}

/// What there is to see of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// The log's name.
    pub origin: String,
    /// The entries it holds.
    pub entries: u64,
    /// Entries of the newest checkpoint it knows.
    pub known: u64,
    /// Its own entries that do not stand in the log yet.
    pub waiting: usize,
    /// Why one of them does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why it does not cosign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Mirror {
    /// Opens the cosigner.
    ///
    /// # Errors
    /// A file of its configuration is not what it should be, or its store holds what this log cannot; in words.
    pub fn open(node: &str, config: &LedgerConfig, roster: &Roster) -> Result<Self, String> {
        let beginning = citylog::beginning(&config.policy, roster, config.before.as_ref())?;
        let [witness, validated] = cosigners(node, config)?;
        let coded = |error: CosignerError| format!("{}: {error} (the log's folder is {})", error.code(), config.folder.display());
        let cosigner = Cosigner::open(&config.folder, beginning, witness, validated).map_err(coded)?;
        let fork = fork_of(&config.folder);
        let told = cosigner.pending().is_none();
        let mut state = State { cosigner, told, halted: None, trouble: None, wanted: Vec::new() };
        match state.cosigner.sure() {
            Err(error @ CosignerError::Forgotten { .. }) => state.halts(Refused::new(error.code(), error)),
            // It goes on by itself if the coordinator can show that nothing is forgotten.
            Err(error) => state.is_in_trouble(Refused::new(error.code(), error)),
            Ok(()) => {}
        }
        if fork.exists() {
            state.halts(forked(&fork));
        }
        tracing::info!(origin = state.cosigner.replay().log().name(), entries = state.cosigner.store().size(), "the log's mirror is open");
        let (grown, tables) = (watch::Sender::new(state.cosigner.store().size()), watch::Sender::new(None));
        Ok(Self(Arc::new(Inner { state: Mutex::new(state), fork, grown, tables })))
    }

    /// Waits until nobody uses it any more, so that its folder is free.
    pub(crate) async fn close(self, grace: Duration) {
        drop(crate::node::alone(self.0, grace).await);
    }

    /// Wants these signed entries to stand in the log, besides those it wanted before; says which it asks for now.
    fn want(&self, entries: Vec<String>) -> Vec<FromMirror> {
        let mut state = self.state();
        for entry in entries {
            let Ok(id) = Entry::parse(entry.as_bytes()).map(|entry| entry.id) else {
                tracing::error!("an entry of this node's own is none; please report it");
                continue;
            };
            if state.wanted.iter().all(|wanted| wanted.id != id) {
                state.wanted.push(Wanted { entry, id, taken: false, refused: None });
            }
        }
        state.asks()
    }

    /// What there is to see.
    pub fn summary(&self) -> Summary {
        let state = self.state();
        Summary {
            origin: state.cosigner.replay().log().name().into(),
            entries: state.cosigner.store().size(),
            known: state.cosigner.pending().map_or(0, |head| head.size),
            waiting: state.wanted.iter().filter(|wanted| !wanted.taken).count(),
            refused: state.wanted.iter().filter(|wanted| !wanted.taken).find_map(|wanted| wanted.refused.as_ref().map(ToString::to_string)),
            trouble: state.halted.as_ref().or(state.trouble.as_ref()).map(ToString::to_string),
        }
    }

    /// What it tells the coordinator first: how far it is, and what it wants.
    fn connected(&self) -> Vec<FromMirror> {
        let mut state = self.state();
        state.wanted.iter_mut().for_each(|wanted| wanted.taken = false);
        let checkpoint = state.cosigner.pending_checkpoint().map(|checkpoint| checkpoint.note().to_owned());
        std::iter::once(FromMirror::Held(Held { checkpoint })).chain(state.asks()).collect()
    }

    /// Takes what the coordinator says.
    fn take(&self, said: ToMirror, parts: &mut Parts, now: u64) -> Vec<FromMirror> {
        match said {
            ToMirror::Part(part) => parts.add(&part.0),
            ToMirror::Entry(taken) => self.state().taken(taken),
            ToMirror::Update(update) => {
                let entries = parts.end(&update.entries.0);
                let [witness, validated] = self.update(&update, &entries, now).map(Into::into);
                let state = self.state();
                return std::iter::once(FromMirror::Answer(Answer { witness, validated })).chain(state.asks()).collect();
            }
        }
        Vec::new()
    }

    fn update(&self, update: &Update, entries: &[u8], now: u64) -> [wire::Response; 2] {
        let mut state = self.state();
        let published = update.published.as_deref().and_then(|note| Checkpoint::parse(note).ok());
        match published.map(|published| state.cosigner.recall(&published)) {
            Some(Err(error)) => state.halts(Refused::new(error.code(), error)),
            // In a city that is being founded no quorum has cosigned anything yet.
            Some(Ok(())) | None => state.told = true,
        }
        if let Err(refused) = self.look_for_fork(&mut state, update.checkpoint.as_bytes()) {
            state.halts(refused);
        }
        if let Some(halted) = &state.halted {
            return [unavailable(halted), unavailable(halted)];
        }
        let answers = state.cosigner.update(update.checkpoint.as_bytes(), entries, now);
        state.judge(&answers);
        self.tell_grown(&state);
        answers
    }

    /// Answers `POST add-checkpoint` and `add-entries`.
    fn post(&self, what: Posted, body: &[u8], now: u64) -> wire::Response {
        let mut state = self.state();
        if let (Posted::Checkpoint, Err(refused)) = (what, self.look_for_fork(&mut state, body)) {
            state.halts(refused);
        }
        match (&state.halted, what) {
            (Some(halted), _) => unavailable(halted),
            (None, _) if !state.told => {
                let reason =
                    "since its start this node has not heard from the coordinator what a quorum cosigned last, and cosigns nothing before";
                unavailable(&Refused::new("E_LEDGER_BEHIND", reason))
            }
            (None, Posted::Checkpoint) => state.cosigner.add_checkpoint(body, now),
            (None, Posted::Entries) => {
                let answer = state.cosigner.add_entries(body, now);
                self.tell_grown(&state);
                answer
            }
        }
    }

    fn tell_grown(&self, state: &State) {
        let size = state.cosigner.store().size();
        self.0.grown.send_if_modified(|known| std::mem::replace(known, size) != size);
    }

    /// Whether a body of `add-checkpoint` is of another log than this agency holds, signed by the log all the same. If so it is kept.
    fn look_for_fork(&self, state: &mut State, body: &[u8]) -> Result<(), Refused> {
        let Ok(AddCheckpoint { checkpoint, .. }) = AddCheckpoint::parse(body) else { return Ok(()) };
        let (head, log) = (checkpoint.head(), state.cosigner.replay().log());
        if head.origin != log.name() || checkpoint.verify_log(log).is_err() {
            return Ok(());
        }
        let known = state.cosigner.pending().filter(|known| known.size == head.size).map(|known| known.root);
        let known = match known {
            None if head.size <= state.cosigner.store().size() => state.cosigner.store().root_at(head.size).ok(),
            known => known,
        };
        if known.is_none_or(|root| root == head.root) {
            return Ok(());
        }
        // The first one is evidence enough.
        if !self.0.fork.exists()
            && let Err(error) = std::fs::write(&self.0.fork, checkpoint.note())
        {
            tracing::error!(%error, checkpoint = checkpoint.note(), "the other log's checkpoint could not be kept");
        }
        Err(forked(&self.0.fork))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A cosigner that panicked has signed nothing that is not on its disk.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Cosigns nothing any more, until the node starts again and finds all in order.
    fn halts(&mut self, why: Refused) {
        if self.halted.as_ref() != Some(&why) {
            tracing::error!(%why, "this agency cosigns nothing");
        }
        self.halted = Some(why);
    }

    /// Says what keeps it from cosigning, if anything but that it is elsewhere.
    fn judge(&mut self, answers: &[wire::Response; 2]) {
        let refused = answers.iter().find(|answer| !matches!(answer.status, 200 | 202 | 409));
        let trouble = refused.map(|answer| {
            let text = String::from_utf8_lossy(&answer.body);
            let text = text.lines().next().unwrap_or_default();
            let (code, reason) = text.split_once(": ").filter(|(code, _)| code.starts_with("E_")).unwrap_or(("E_LEDGER_COSIGNER", text));
            Refused::new(code, reason)
        });
        match trouble {
            Some(trouble) => self.is_in_trouble(trouble),
            None => self.trouble = None,
        }
    }

    fn is_in_trouble(&mut self, trouble: Refused) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(%trouble, fix = trouble.fix, "this agency does not cosign");
        }
        self.trouble = Some(trouble);
    }

    /// The entries that are not taken yet.
    fn asks(&self) -> Vec<FromMirror> {
        let waiting = self.wanted.iter().filter(|wanted| !wanted.taken);
        waiting.take(ASKS).map(|wanted| FromMirror::Entry(Signed { note: wanted.entry.clone() })).collect()
    }

    fn taken(&mut self, Taken { entry, refused }: Taken) {
        let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.id == entry) else { return };
        match refused {
            None => wanted.taken = true,
            // It stands there already, or what it would end has ended.
            Some(refused) if matches!(refused.code.as_str(), "E_LEDGER_REPLAY" | "E_REVOKED") => wanted.taken = true,
            Some(refused) => {
                if wanted.refused.as_ref() != Some(&refused) {
                    tracing::warn!(entry = entry.short(), %refused, "an entry of this node is not taken into the log");
                }
                wanted.refused = Some(refused);
            }
        }
    }
}

/// What there is to see of a mirror that is not opened.
#[derive(Debug)]
pub struct Looked {
    /// The log's name.
    pub origin: String,
    /// Why it would cosign nothing until its operator has mended it.
    pub halted: Option<Refused>,
    /// Why it would cosign nothing until the coordinator has shown it what a quorum cosigned.
    pub in_doubt: Option<Refused>,
}

/// Whether a node's keys for the log are the policy's, and whether it may sign, without opening its folder, which a node may be using.
///
/// # Errors
/// A file of its configuration is not what it should be; in words.
pub fn look(node: &str, config: &LedgerConfig, roster: &Roster) -> Result<Looked, String> {
    let beginning = citylog::beginning(&config.policy, roster, config.before.as_ref())?;
    cosigners(node, config)?;
    let fork = fork_of(&config.folder);
    let refused = |error: CosignerError| Some(Refused::new(error.code(), error));
    let (halted, in_doubt) = match Cosigner::look(&config.folder, beginning.log()) {
        _ if fork.exists() => (Some(forked(&fork)), None),
        Ok(()) => (None, None),
        Err(error @ CosignerError::Unmarked { .. }) => (None, refused(error)),
        Err(error) => (refused(error), None),
    };
    Ok(Looked { origin: beginning.log().name().into(), halted, in_doubt })
}

/// Where another log's checkpoint is kept.
fn fork_of(folder: &Path) -> PathBuf {
    folder.with_added_extension("fork")
}

fn cosigners(node: &str, config: &LedgerConfig) -> Result<[NamedSigner; 2], String> {
    let witness = citylog::cosigner(&config.policy, &citylog::witness_name(node), &config.witness)?;
    Ok([witness, citylog::cosigner(&config.policy, &citylog::validated_name(node), &config.validated)?])
}

/// What an agency consents to, by the notes in its folder of contracts: those it signed itself, contracts before what ends them.
pub fn consents(folder: &Path, node: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(bool, PathBuf)> = files.map(|file| (is(&file.path(), "revoke"), file.path())).collect();
    files.sort_unstable();
    let mine = |note: &String| {
        let Ok(entry) = Entry::parse(note.as_bytes()) else { return false };
        matches!(entry.body, Body::Contract(_) | Body::Revoke(_)) && entry.signatures.iter().any(|signature| signature.name == node)
    };
    let notes = files.into_iter().filter(|(ends, file)| *ends || is(file, "contract"));
    // What is refused there is told of where contracts are read.
    notes.filter_map(|(ends, file)| file::read(&file, if ends { Kind::Revocation } else { Kind::Contract }).ok()).filter(mine).collect()
}

fn is(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|is| is == extension)
}

/// The thread that does the mirror's work: it writes to disk, and nothing else waits for it.
#[derive(Clone)]
pub(crate) struct Worker {
    work: mpsc::Sender<Work>,
    /// Room for what the coordinator says.
    room: Arc<Semaphore>,
}

enum Work {
    Connected,
    Said(ToMirror, OwnedSemaphorePermit),
    Want(Vec<String>),
}

impl Worker {
    /// Starts it; it ends with the last handle. What it says goes to `out`.
    pub fn start(mirror: Mirror, out: impl Fn(FromParty) + Send + 'static) -> std::io::Result<Self> {
        let mut parts = Parts::default();
        Self::doing(move |work| {
            let says = match work {
                Work::Connected => {
                    parts = Parts::default();
                    mirror.connected()
                }
                Work::Said(said, room) => {
                    let says = mirror.take(said, &mut parts, crate::node::now());
                    drop(room);
                    says
                }
                Work::Want(entries) => mirror.want(entries),
            };
            says.into_iter().for_each(|said| out(FromParty::Ledger(said)));
        })
    }

    fn doing(mut each: impl FnMut(Work) + Send + 'static) -> std::io::Result<Self> {
        let (work, todo) = mpsc::channel();
        std::thread::Builder::new().name("ledger".into()).spawn(move || todo.into_iter().for_each(&mut each))?;
        Ok(Self { work, room: Arc::new(Semaphore::new(QUEUED)) })
    }

    /// The coordinator's line is there.
    pub fn connected(&self) {
        self.work(Work::Connected);
    }

    /// The coordinator said something. An honest one waits for an answer to an update; what another says beyond that is dropped.
    pub fn said(&self, said: ToMirror) {
        match self.room.clone().try_acquire_owned() {
            Ok(room) => self.work(Work::Said(said, room)),
            Err(_) => tracing::warn!("the coordinator says more of the log than it has to; it is not listened to"),
        }
    }

    /// These signed entries are to stand in the log, besides those before.
    pub fn want(&self, entries: Vec<String>) {
        self.work(Work::Want(entries));
    }

    fn work(&self, work: Work) {
        // Without its thread this node cosigns nothing; the coordinator says so.
        let _ = self.work.send(work);
    }
}

#[derive(Clone, Copy)]
enum Posted {
    Checkpoint,
    Entries,
}

/// The mirror over HTTP, for standard tools: what it holds to read, and `add-checkpoint` and `add-entries`.
pub(crate) fn routes(mirror: Mirror) -> Router {
    let posted =
        |what: Posted| post(move |Of(mirror): Of<Mirror>, body: Bytes| blocking(move || mirror.post(what, &body, crate::node::now())));
    Router::new()
        .route("/ledger/add-checkpoint", posted(Posted::Checkpoint).layer(DefaultBodyLimit::max(MAX_ADD_CHECKPOINT)))
        .route("/ledger/add-entries", posted(Posted::Entries).layer(DefaultBodyLimit::max(MAX_ADD_ENTRIES)))
        .route("/ledger/{*path}", get(|Of(mirror): Of<Mirror>, At(path): At<String>| blocking(move || mirror.state().cosigner.get(&path))))
        .with_state(mirror)
}

async fn blocking(answer: impl FnOnce() -> wire::Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(answer).await {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn unavailable(why: &Refused) -> wire::Response {
    wire::Response::refused(503, &why.code, &why.reason)
}

fn forked(file: &Path) -> Refused {
    let reason = format!(
        "the log signed two checkpoints that cannot be of one log; the other one is kept in {}: make evidence of both with \
         `tacit ledger evidence`, tell the other agencies, and remove the file once the city has a log again",
        file.display()
    );
    Refused::new("E_LEDGER_FORK", reason)
}

/// Entries handed in at a time; the rest follow with the next update.
const ASKS: usize = 64;
/// What may wait of what the coordinator says: the frames of the longest update, and an answer to each entry.
const QUEUED: usize = 2 * ASKS;

#[cfg(test)]
mod tests;
