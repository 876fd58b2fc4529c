//! The city's log on its thread: the sequencer, the parties that cosign over their lines, and those who hand in entries or read.
//!
//! Entries are sealed into a batch as soon as the checkpoint before is cosigned by a quorum, at the latest after a second, so that
//! one slow agency does not hold the others up. Cosignatures are renewed while nothing happens: what is older than a minute is not
//! believed at a job's start. Nothing is sealed after a start before enough parties have shown the checkpoints they hold: a folder
//! that was put back is noticed by them.

mod steps;

use crate::config::LedgerConfig;
use ledger::checkpoint::Checkpoint;
use ledger::policy::{minority, quorum};
use ledger::sequencer::{Progress, Sequencer, SequencerError};
use ledger::wire::Response;
use ledger::{bytes::Hash, entry::Entry, key::KeyKind};
use mpc_core::roster::Roster;
use query::citylog;
use query::message::QueryId;
use query::message::frame::ToParty;
use query::message::job::{LedgerAgency, LedgerStatus, OnLog, Places, Standing};
use query::message::mirror::{self, Answer, FromMirror, Held, Refused, Taken, ToMirror};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Reaches the log from anywhere.
#[derive(Clone)]
pub(crate) struct Ledger {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Connected { party: usize, epoch: u64, to_party: mpsc::Sender<ToParty> },
    Said { party: usize, epoch: u64, said: FromMirror },
    Lost { party: usize, epoch: u64 },
    Submit { entry: Vec<u8>, reply: oneshot::Sender<Result<u64, Refused>> },
    Enter { entries: Vec<String>, reply: oneshot::Sender<Result<String, Refused>> },
    Standing { planner: Option<String>, reply: oneshot::Sender<Option<Standing>> },
    Places { job: QueryId, reply: oneshot::Sender<Option<Places>> },
    Receipts { job: QueryId, reply: oneshot::Sender<Option<OnLog>> },
    Get { path: String, reply: oneshot::Sender<Response> },
    Status { reply: oneshot::Sender<LedgerStatus> },
    Stop { reply: oneshot::Sender<()> },
}

/// Opens the log and starts its thread, which ends with the last [`Ledger`].
///
/// # Errors
/// A file of its configuration is not what it should be, or its store holds what this log cannot; in words.
pub(crate) fn start(config: &LedgerConfig, roster: &Roster) -> Result<Ledger, String> {
    let log = Log::open(config, roster)?;
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())?;
    let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || runtime.block_on(log.serve(receiver)));
    thread.map_err(|error| error.to_string())?;
    Ok(Ledger { commands })
}

impl Ledger {
    /// A party's line is there.
    pub async fn connected(&self, party: usize, epoch: u64, to_party: mpsc::Sender<ToParty>) {
        self.tell(Command::Connected { party, epoch, to_party }).await;
    }

    /// What a party says that is the log's.
    pub async fn said(&self, party: usize, epoch: u64, said: FromMirror) {
        self.tell(Command::Said { party, epoch, said }).await;
    }

    /// A party's line is over.
    pub async fn lost(&self, party: usize, epoch: u64) {
        self.tell(Command::Lost { party, epoch }).await;
    }

    /// Takes an entry, and waits until a quorum has cosigned it. Says its place.
    ///
    /// # Errors
    /// It may not stand, or no quorum cosigns in time.
    pub async fn submit(&self, entry: Vec<u8>) -> Result<u64, Refused> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Submit { entry, reply }).await;
        patiently(answer).await
    }

    /// Answers a GET below the log's prefix.
    pub async fn get(&self, path: String) -> Option<Response> {
        self.ask(|reply| Command::Get { path, reply }).await
    }

    /// How it is.
    pub async fn status(&self) -> Option<LedgerStatus> {
        self.ask(|reply| Command::Status { reply }).await
    }

    /// Closes the log; its folder is free once this returns.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        self.tell(Command::Stop { reply }).await;
        // If it has ended already, that is what was wanted.
        let _ = stopped.await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await;
        answer.await.ok()
    }

    async fn tell(&self, command: Command) {
        // If the thread has ended, those who wait for an answer see it in the dropped reply.
        let _ = self.commands.send(command).await;
    }
}

struct Log {
    sequencer: Sequencer,
    seats: Vec<Seat>,
    waiting: Vec<(u64, oneshot::Sender<Result<u64, Refused>>)>,
    /// Steps of jobs, which wait for every agency and not only for a quorum.
    steps: Vec<(u64, oneshot::Sender<Result<String, Refused>>)>,
    /// What stood when the head was sealed, and when the published one was.
    sealed_standing: steps::Stands,
    standing: steps::Stands,
    /// The contracts of logs before this one.
    earlier: steps::Earlier,
    /// When the head was signed, and when a quorum last cosigned it.
    sealed: Instant,
    cosigned: Option<Instant>,
    trouble: Option<Refused>,
    /// Not before: after a failed write.
    retry: Instant,
}

/// One party's part in it.
struct Seat {
    name: String,
    line: Option<(u64, mpsc::Sender<ToParty>)>,
    /// It has shown what it holds, since the start.
    shown: bool,
    /// The size of the update it has not answered yet.
    asked: Option<u64>,
    /// What it cosigned last, and when.
    cosigned: Option<(u64, Instant)>,
    trouble: Option<String>,
    retry: Instant,
}

impl Log {
    fn open(config: &LedgerConfig, roster: &Roster) -> Result<Self, String> {
        let beginning = citylog::beginning(&config.policy, roster, config.before.as_ref())?;
        let signer = citylog::signer(beginning.log().name(), KeyKind::Note, &config.key)?;
        let coded = |error: SequencerError| format!("{}: {error} (the log's folder is {})", error.code(), config.folder.display());
        let mut sequencer = Sequencer::open(&config.folder, beginning, signer).map_err(coded)?;
        if sequencer.store().size() == 0 {
            match &config.before {
                Some(before) => drop(sequencer.submit(before.text()?.as_bytes()).map_err(coded)?),
                None => found(&mut sequencer, &config.founding)?,
            }
        }
        let now = Instant::now();
        let seat =
            |name: &str| Seat { name: name.into(), line: None, shown: false, asked: None, cosigned: None, trouble: None, retry: now };
        let seats = roster.parties().map(|party| seat(&party.name)).collect();
        let earlier = steps::earlier(&sequencer, config.before.as_ref())?;
        let sealed_standing = steps::Stands::of(&sequencer);
        let published = sequencer.published().map(|checkpoint| checkpoint.head()) == Some(sequencer.head());
        let standing = if published { sealed_standing.clone() } else { steps::Stands::default() };
        let (waiting, steps) = (Vec::new(), Vec::new());
        let log = Self {
            sequencer,
            seats,
            waiting,
            steps,
            sealed_standing,
            standing,
            earlier,
            sealed: now,
            cosigned: None,
            trouble: None,
            retry: now,
        };
        tracing::info!(origin = log.sequencer.head().origin, entries = log.sequencer.store().size(), "the log is open");
        Ok(log)
    }

    async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            let first = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return,
                },
                _ = tick.tick() => None,
            };
            // What came meanwhile is one batch.
            for command in first.into_iter().chain(std::iter::from_fn(|| commands.try_recv().ok())) {
                if let Command::Stop { reply } = command {
                    drop(self);
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                    return;
                }
                self.take(command);
            }
            self.go_on(Instant::now());
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Connected { party, epoch, to_party } => {
                let seat = &mut self.seats[party];
                (seat.line, seat.asked, seat.retry) = (Some((epoch, to_party)), None, Instant::now());
                // It is asked at once, whatever it cosigned before: it may not know of it any more. First it shows what it holds.
                seat.cosigned = None;
                seat.trouble = Some("it has not shown yet what it holds".into());
            }
            Command::Lost { party, epoch } => {
                if self.is_seated(party, epoch) {
                    let seat = &mut self.seats[party];
                    (seat.line, seat.asked, seat.trouble) = (None, None, Some("it is not connected".into()));
                }
            }
            Command::Said { party, epoch, said } if self.is_seated(party, epoch) => self.said(party, said),
            Command::Said { .. } => {}
            Command::Submit { entry, reply } => match self.submit(&entry) {
                Ok(index) => self.waiting.push((index, reply)),
                // Whoever asked may have gone.
                Err(refused) => drop(reply.send(Err(refused))),
            },
            Command::Enter { entries, reply } => match self.enter(&entries) {
                Ok(index) => {
                    self.steps.push((index, reply));
                    self.steps_cosigned();
                }
                Err(refused) => drop(reply.send(Err(refused))),
            },
            Command::Standing { planner, reply } => drop(reply.send(self.standing(planner.as_deref()))),
            Command::Places { job, reply } => drop(reply.send(self.places(job))),
            Command::Receipts { job, reply } => drop(reply.send(self.receipts(job))),
            Command::Get { path, reply } => drop(reply.send(self.sequencer.get(&path))),
            Command::Status { reply } => drop(reply.send(self.status())),
            // The loop has seen to it.
            Command::Stop { .. } => {}
        }
    }

    fn is_seated(&self, party: usize, epoch: u64) -> bool {
        self.seats[party].line.as_ref().is_some_and(|(seated, _)| *seated == epoch)
    }

    fn said(&mut self, party: usize, said: FromMirror) {
        match said {
            FromMirror::Held(Held { checkpoint }) => {
                let known = checkpoint.as_deref().and_then(|note| Checkpoint::parse(note).ok());
                if let Some(Err(error)) = known.map(|checkpoint| self.sequencer.recall(&checkpoint)) {
                    self.stops(&error);
                }
                let seat = &mut self.seats[party];
                (seat.shown, seat.trouble) = (true, None);
            }
            FromMirror::Answer(answer) => self.answered(party, &answer),
            FromMirror::Entry(signed) => {
                let refused = self.submit(signed.note.as_bytes()).err();
                let entry = Entry::parse(signed.note.as_bytes()).map_or(Hash::sha256(&[signed.note.as_bytes()]), |entry| entry.id);
                if let Some((_, line)) = &self.seats[party].line {
                    // A party that does not read is told again when it asks again.
                    let _ = line.try_send(ToParty::Ledger(ToMirror::Entry(Taken { entry, refused })));
                }
            }
        }
    }

    fn submit(&mut self, entry: &[u8]) -> Result<u64, Refused> {
        self.sequencer.submit(entry).map_err(|error| {
            if matches!(error, SequencerError::Forgotten { .. }) {
                self.stops(&error);
            }
            Refused::new(error.code(), error)
        })
    }

    fn answered(&mut self, party: usize, answer: &Answer) {
        let seat = &mut self.seats[party];
        let Some(size) = seat.asked.take() else { return };
        let [witness, validated] = [&answer.witness, &answer.validated].map(|reply| (reply.status, reply.body.0.as_slice()));
        if size != self.sequencer.head().size && witness.0 == 200 {
            // It cosigned the head before this one; it says where it is when it is asked again.
            return;
        }
        match self.sequencer.answered(&seat.name, witness, validated) {
            Ok(Progress::Done) => {
                (seat.cosigned, seat.trouble) = (Some((size, Instant::now())), None);
                self.trouble = None;
            }
            Ok(Progress::Again) => {}
            Err(error) => {
                let trouble = format!("{}: {error}", error.code());
                if seat.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(party = seat.name, trouble, "the agency does not cosign");
                }
                (seat.trouble, seat.retry) = (Some(trouble), Instant::now() + RETRY);
            }
        }
        let published = self.sequencer.published().map(|checkpoint| checkpoint.head());
        if published == Some(self.sequencer.head()) {
            self.cosigned = self.renewed();
            self.standing.clone_from(&self.sealed_standing);
        }
        let published = published.map_or(0, |head| head.size);
        for (index, reply) in std::mem::take(&mut self.waiting) {
            match index < published {
                true => drop(reply.send(Ok(index))),
                false if reply.is_closed() => {}
                false => self.waiting.push((index, reply)),
            }
        }
        self.steps_cosigned();
    }

    /// Since when a quorum's cosignatures are under the head.
    fn renewed(&self) -> Option<Instant> {
        let size = self.sequencer.head().size;
        let mut times: Vec<Instant> =
            self.seats.iter().filter_map(|seat| seat.cosigned.filter(|(cosigned, _)| *cosigned == size).map(|(_, at)| at)).collect();
        times.sort_unstable();
        times.into_iter().rev().nth((self.quorum() as usize).saturating_sub(1))
    }

    fn quorum(&self) -> u32 {
        self.sequencer.replay().quorum()
    }

    /// Seals what waits, and asks whoever is due.
    fn go_on(&mut self, now: Instant) {
        if self.may_seal(now) {
            match self.sequencer.seal() {
                Ok(head) => {
                    tracing::info!(entries = head.size, "sealed");
                    (self.sealed, self.trouble) = (now, None);
                    self.sealed_standing = steps::Stands::of(&self.sequencer);
                }
                Err(error) => {
                    self.retry = now + RETRY;
                    self.stops(&error);
                }
            }
        }
        let size = self.sequencer.head().size;
        for at in 0..self.seats.len() {
            let seat = &self.seats[at];
            let due = seat.cosigned.is_none_or(|(cosigned, when)| cosigned != size || now >= when + RENEW);
            if seat.shown && seat.asked.is_none() && due && now >= seat.retry && self.sequencer.agencies().any(|name| name == seat.name) {
                self.ask(at, size);
            }
        }
    }

    fn may_seal(&self, now: Instant) -> bool {
        let waits = self.sequencer.replay().size() > self.sequencer.store().size();
        let parties = self.seats.len() as u32;
        let shown = self.seats.iter().filter(|seat| seat.shown).count() as u32 >= quorum(parties, minority(parties));
        let published = self.sequencer.published().map(|checkpoint| checkpoint.head()) == Some(self.sequencer.head());
        waits && shown && now >= self.retry && (published || now >= self.sealed + HOLD || self.sequencer.head().size == 0)
    }

    fn ask(&mut self, at: usize, size: u64) {
        let seat = &mut self.seats[at];
        let Some((_, line)) = &seat.line else { return };
        match self.sequencer.update_for(&seat.name) {
            Ok([checkpoint, entries]) => {
                seat.asked = Some(size);
                let published = self.sequencer.published().map(|checkpoint| checkpoint.note().to_owned());
                let (line, frames) = (line.clone(), mirror::frames(checkpoint, entries, published));
                // Its own line, and one update at a time: a slow party holds up nobody else.
                tokio::spawn(async move {
                    for frame in frames {
                        if line.send(ToParty::Ledger(frame)).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(error) => {
                seat.retry = Instant::now() + RETRY;
                self.stops(&error);
            }
        }
    }

    fn stops(&mut self, error: &SequencerError) {
        let trouble = Refused::new(error.code(), error);
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(%trouble, "the log does not go on");
        }
        self.trouble = Some(trouble);
    }

    fn status(&self) -> LedgerStatus {
        let agency = |seat: &Seat| LedgerAgency {
            name: seat.name.clone(),
            cosigned: seat.cosigned.map(|(size, _)| size),
            trouble: seat.trouble.clone(),
        };
        LedgerStatus {
            origin: self.sequencer.head().origin.clone(),
            size: self.sequencer.store().size(),
            published: self.sequencer.published().map(|checkpoint| checkpoint.head().size),
            age: self.cosigned.map(|at| at.elapsed().as_secs()),
            quorum: self.quorum().into(),
            agencies: self.seats.iter().map(agency).collect(),
            trouble: self.trouble.as_ref().map(ToString::to_string),
        }
    }
}

/// Submits what an empty log begins with: each founder's entry about itself, in the order of their files' names.
fn found(sequencer: &mut Sequencer, folder: &Path) -> Result<(), String> {
    let failed = |what: String| format!("{}: {what}", folder.display());
    let files = std::fs::read_dir(folder).map_err(|error| failed(error.to_string()))?;
    let mut files: Vec<PathBuf> =
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|is| is == "entry")).collect();
    files.sort_unstable();
    for file in files {
        let entry = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        sequencer.submit(&entry).map_err(|error| format!("{}: {}: {error}", file.display(), error.code()))?;
    }
    match sequencer.replay().agencies().is_empty() {
        true => {
            Err(failed("no agency's entry is there, and a log begins with its founders'; each agency's NAME.entry belongs here".into()))
        }
        false => Ok(()),
    }
}

/// The figures of the log in Prometheus' text format.
pub(crate) fn metrics(status: &LedgerStatus) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP tacit_ledger_{name} {help}\n# TYPE tacit_ledger_{name} gauge\ntacit_ledger_{name} {value}");
    };
    gauge("entries", "Entries of the log.", status.size);
    gauge("cosigned_entries", "Entries of the newest checkpoint that a quorum cosigned.", status.published.unwrap_or(0));
    gauge("trouble", "Whether something keeps the log from going on.", u64::from(status.trouble.is_some()));
    if let Some(age) = status.age {
        gauge("cosigned_age_seconds", "Time since a quorum last cosigned.", age);
    }
    text
}

/// The answer to who waits for cosignatures, for as long as they may take.
async fn patiently<T>(answer: oneshot::Receiver<Result<T, Refused>>) -> Result<T, Refused> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.unwrap_or_else(|_| Err(stopping())),
        Err(_) => {
            let reason = "no quorum of agencies has cosigned the entry yet; it stands once one has: ask for the log's state";
            Err(Refused::new("E_LEDGER_QUORUM", reason))
        }
    }
}

fn stopping() -> Refused {
    Refused::new("E_BUSY", "the coordinator is shutting down; try again in a moment")
}

/// Commands that may wait before those who send them must.
const COMMANDS: usize = 256;
/// How often it looks what is due.
const TICK: Duration = Duration::from_millis(250);
/// How long a batch waits for a quorum under the one before.
const HOLD: Duration = Duration::from_secs(1);
/// How long cosignatures stand before they are renewed.
const RENEW: Duration = Duration::from_secs(15);
/// How long it waits after what failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long whoever hands in an entry waits for the cosignatures.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
