//! A progress bar on standard error, for a person who waits.

use crate::render;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use query::message::frame::Stage;
use query::message::job::{Event, JobState, What};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// What is known of a job's progress, and the bar that shows it.
pub struct Progress {
    bar: ProgressBar,
    parties: RefCell<BTreeMap<String, query::message::frame::Progress>>,
}

impl Progress {
    /// A bar; `shown` says whether anyone sees it.
    pub fn new(shown: bool) -> Self {
        let bar = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if shown {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar.set_message("compiling and signing");
        }
        Self { bar, parties: RefCell::default() }
    }

    /// Shows what happened.
    pub fn event(&self, event: &Event) {
        if let Some(words) = self.words(event) {
            self.bar.set_message(words);
        }
    }

    /// Says something that stays on the screen, whether there is a bar or not.
    pub fn note(&self, text: &str) {
        let text = render::plain(text);
        self.bar.suspend(|| writeln!(std::io::stderr(), "{text}").ok());
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn words(&self, event: &Event) -> Option<String> {
        match &event.what {
            What::State { state: JobState::Queued, .. } => Some("queued".into()),
            What::State { state: JobState::Offered, .. } => Some("the parties check the query".into()),
            What::State { state: JobState::Running, attempt } => {
                self.parties.borrow_mut().clear();
                Some(if *attempt > 1 { format!("running (attempt {attempt})") } else { "running".into() })
            }
            What::State { .. } => None,
            What::Accepted { party, .. } => Some(format!("{party} accepts")),
            What::Refused(refusal) => Some(format!("{}: {}", refusal.party.as_deref().unwrap_or("coordinator"), refusal.refusal.code)),
            What::Sealed { party } => Some(format!("{party} has sealed its shares")),
            What::Progress(p) => {
                let mut parties = self.parties.borrow_mut();
                parties.insert(p.party.clone(), p.progress.clone());
                // All wait for the slowest.
                let slowest = parties.values().min_by_key(|p| (p.stage, p.done))?;
                let rounds = parties.values().map(|p| p.rounds).max()?;
                let bytes = parties.values().map(|p| p.bytes).sum();
                let steps = if slowest.of > 1 { format!(" {}/{}", slowest.done, slowest.of) } else { String::new() };
                Some(format!("{}{steps}  {rounds} rounds  {}", stage(slowest.stage), render::bytes(bytes)))
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Session => "the parties meet",
        Stage::Local => "local stage, each at home",
        Stage::Share => "sharing columns",
        Stage::Joint => "joint stage",
        Stage::Release => "sealing the result",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::message::job::PartyProgress;

    #[test]
    fn the_slowest_party_is_shown_and_the_bytes_of_all() {
        let progress = Progress::new(false);
        let event = |party: &str, stage, rounds, bytes| {
            let job = "00".repeat(32).parse().expect("an id");
            let word = query::message::frame::Progress { job, attempt: 1, stage, done: 1, of: 4, rounds, bytes };
            Event { seq: 1, at: 1, what: What::Progress(PartyProgress { party: party.into(), progress: word }) }
        };
        progress.words(&event("a", Stage::Joint, 9, 1500));
        assert_eq!(progress.words(&event("b", Stage::Share, 2, 500)).as_deref(), Some("sharing columns 1/4  9 rounds  2.00 kB"));
    }
}
