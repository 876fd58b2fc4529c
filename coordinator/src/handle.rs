//! The scheduler on its thread, and the handle by which the API and the parties' connections reach it. Writing to disk
//! blocks that thread only.

use crate::clock::Now;
use crate::events::Follow;
use crate::ledger::{self, Ledger};
use crate::scheduler::{ForLog, Scheduler};
use query::message::frame::{FromParty, ToParty};
use query::message::job::{CityStatus, JobStatus, SealedResults, Submit, Submitted};
use query::message::mirror::Refused;
use query::message::{Code, Query, QueryId, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Reaches the scheduler from anywhere.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    epochs: Arc<AtomicU64>,
    /// The city's log, if it keeps one.
    ledger: Option<Ledger>,
}

/// A party's end of the line, as whoever holds its connection sees it. When either side drops its channel, it is over.
pub(crate) struct Line {
    /// What the party is to be told.
    pub to_party: mpsc::Receiver<ToParty>,
    /// The same, of the log.
    pub of_the_log: mpsc::Receiver<ToParty>,
    /// What the party says; an error is why it will say no more.
    pub from_party: mpsc::Sender<Result<FromParty, String>>,
}

/// Starts the scheduler's thread. It ends when it is told to stop.
pub(crate) fn start(scheduler: Scheduler, ledger: Option<Ledger>) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (log, entered) = (ledger.clone(), commands.downgrade());
    let serving = move || runtime.block_on(serve(scheduler, receiver, log, entered));
    let thread = std::thread::Builder::new().name("scheduler".into()).spawn(serving)?;
    Ok((Handle { commands, epochs: Arc::default(), ledger }, thread))
}

impl Handle {
    /// Adds a job whose note has been verified.
    pub(crate) async fn submit(&self, job: QueryId, query: Query, submitted: Submit) -> Result<Submitted, Refusal> {
        self.ask(move |s, now| s.submit(job, &query, &submitted, now)).await?
    }

    /// Ends a job; the caller has verified that its planner wants it.
    pub(crate) async fn cancel(&self, job: QueryId) -> Result<Submitted, Refusal> {
        self.ask(move |s, now| s.cancel(job, now)).await?
    }

    pub(crate) async fn planner_of(&self, job: QueryId) -> Result<Option<String>, Refusal> {
        self.ask(move |s, _| s.planner_of(job).map(ToOwned::to_owned)).await
    }

    pub(crate) async fn status(&self, job: QueryId) -> Result<JobStatus, Refusal> {
        let mut status = self.ask(move |s, _| s.status(job)).await??;
        if let Some(ledger) = &self.ledger {
            status.log = ledger.places(job).await;
        }
        Ok(status)
    }

    pub(crate) async fn list(&self) -> Result<Vec<JobStatus>, Refusal> {
        self.ask(|s, _| s.list()).await
    }

    pub(crate) async fn sealed(&self, job: QueryId) -> Result<SealedResults, Refusal> {
        let mut results = self.ask(move |s, _| s.sealed(job)).await??;
        if let Some(ledger) = &self.ledger {
            results.log = ledger.receipts(job).await;
        }
        Ok(results)
    }

    pub(crate) async fn follow(&self, job: QueryId, seq: u64) -> Result<Follow, Refusal> {
        self.ask(move |s, _| s.follow(job, seq)).await?
    }

    pub(crate) async fn city(&self) -> Result<CityStatus, Refusal> {
        let mut city = self.ask(|s, now| s.city(now)).await?;
        if let Some(ledger) = &self.ledger {
            city.ledger = ledger.status().await;
        }
        Ok(city)
    }

    pub(crate) async fn metrics(&self) -> Result<String, Refusal> {
        let mut text = self.ask(|s, _| s.metrics()).await?;
        if let Some(ledger) = &self.ledger {
            text += &ledger.status().await.map(|status| ledger::metrics(&status)).unwrap_or_default();
        }
        Ok(text)
    }

    /// The city's log, if it keeps one.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Seats a party that has connected. Its identity has been established by the connection.
    pub(crate) async fn connect(&self, party: usize) -> Line {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        let (to_party, to_party_end) = mpsc::channel(FRAMES);
        let (from_party_end, mut from_party) = mpsc::channel(FRAMES);
        let (log, of_the_log) = mpsc::channel(FRAMES);
        self.tell(move |s, now| s.connected(party, epoch, to_party, now)).await;
        if let Some(ledger) = &self.ledger {
            ledger.connected(party, epoch, log).await;
        }
        let handle = self.clone();
        tokio::spawn(async move {
            let why: String = loop {
                match (from_party.recv().await, &handle.ledger) {
                    (Some(Ok(FromParty::Ledger(said))), Some(ledger)) => ledger.said(party, epoch, said).await,
                    (Some(Ok(frame)), _) => handle.tell(move |s, now| s.frame(party, epoch, frame, now)).await,
                    (Some(Err(why)), _) => break why,
                    (None, _) => break "its connection ended".into(),
                }
            };
            if let Some(ledger) = &handle.ledger {
                ledger.lost(party, epoch).await;
            }
            handle.tell(move |s, now| s.lost(party, epoch, &why, now)).await;
        });
        Line { to_party: to_party_end, of_the_log, from_party: from_party_end }
    }

    /// Ends the scheduler. Jobs that run are tried again after the next start.
    pub(crate) async fn stop(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.stop().await;
        }
        // If it has ended already, that is what was wanted.
        let _ = self.commands.send(Command::Stop).await;
    }

    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Scheduler, Now) -> T + Send + 'static) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.tell(move |scheduler, now| {
            // Whoever asked may have gone; then nobody wants the answer.
            let _ = reply.send(question(scheduler, now));
        })
        .await;
        answer.await.map_err(|_| Refusal::new(Code::Busy, "the coordinator is shutting down", "ask again in a moment"))
    }

    async fn tell(&self, command: impl FnOnce(&mut Scheduler, Now) + Send + 'static) {
        // After the scheduler's end there is nobody to tell; those who wait for an answer see it in the dropped reply.
        let _ = self.commands.send(Command::Do(Box::new(command))).await;
    }
}

enum Command {
    Do(Change),
    Stop,
}

type Change = Box<dyn FnOnce(&mut Scheduler, Now) + Send>;

async fn serve(
    mut scheduler: Scheduler,
    mut commands: mpsc::Receiver<Command>,
    ledger: Option<Ledger>,
    entered: mpsc::WeakSender<Command>,
) {
    loop {
        let due = scheduler.next_tick(Now::read());
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Do(change)) => change(&mut scheduler, Now::read()),
                Some(Command::Stop) | None => return scheduler.close(),
            },
            () = tokio::time::sleep_until(due.into()) => {}
        }
        scheduler.tick(Now::read());
        for step in scheduler.for_log() {
            tokio::spawn(enter(step, ledger.clone(), entered.clone()));
        }
    }
}

/// Has the log take something, and tells the scheduler if it waits for it.
async fn enter(step: ForLog, ledger: Option<Ledger>, entered: mpsc::WeakSender<Command>) {
    match (step, ledger) {
        // It may stand there already, or never have been started there: then nothing is amiss.
        (ForLog::Abort(ends), Some(ledger)) => {
            for end in ends {
                if ledger.submit(end.into()).await.is_ok() {
                    break;
                }
            }
        }
        (ForLog::Abort(_), None) => {}
        (ForLog::Step { job, attempt, entries }, ledger) => {
            let result = match ledger {
                Some(ledger) => ledger.enter(entries).await,
                None => Err(Refused::new("E_LEDGER_CONFIG", "this coordinator keeps no log")),
            };
            if let Some(commands) = entered.upgrade() {
                let tell: Change = Box::new(move |scheduler, now| scheduler.entered(job, attempt, result, now));
                // After the scheduler's end there is nobody to tell.
                let _ = commands.send(Command::Do(tell)).await;
            }
        }
    }
}

/// Commands that may wait before those who send them must.
const COMMANDS: usize = 1024;
/// Frames that may wait in either direction of a party's line.
const FRAMES: usize = 64;
