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
        match shown {
            true => {
                let progress = Self::on(ProgressDrawTarget::stderr());
                progress.bar.enable_steady_tick(Duration::from_millis(100));
                progress
            }
            false => Self { bar: ProgressBar::hidden(), parties: RefCell::default() },
        }
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message("compiling and signing");
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
            What::State { state: JobState::Queued, attempt: 0 } => Some("queued".into()),
            What::State { state: JobState::Queued, attempt } => Some(format!("queued again (attempt {attempt} ended early)")),
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

    fn at(what: What) -> Event {
        Event { seq: 1, at: 1, what }
    }

    #[test]
    fn everything_that_happens_has_its_words() {
        use query::message::job::PartyRefusal;
        use query::message::{Code, Refusal};
        let progress = Progress::new(false);
        let state = |state, attempt| What::State { state, attempt };
        let job = "00".repeat(32).parse().expect("an id");
        let word = |stage, of| {
            let progress = query::message::frame::Progress { job, attempt: 1, stage, done: 0, of, rounds: 1, bytes: 10 };
            What::Progress(PartyProgress { party: "energy".into(), progress })
        };
        let plan_hash = ledger::bytes::Hash([1; 32]);
        let refusal = |party: Option<&str>| {
            What::Refused(PartyRefusal { party: party.map(Into::into), refusal: Refusal::new(Code::Peer, "gone", ""), note: None })
        };
        for (what, words) in [
            (state(JobState::Queued, 0), Some("queued")),
            (state(JobState::Queued, 1), Some("queued again (attempt 1 ended early)")),
            (state(JobState::Offered, 1), Some("the parties check the query")),
            (What::Accepted { party: "energy".into(), plan_hash }, Some("energy accepts")),
            (state(JobState::Running, 1), Some("running")),
            (word(Stage::Session, 1), Some("the parties meet  1 rounds  10 B")),
            (word(Stage::Local, 1), Some("local stage, each at home  1 rounds  10 B")),
            (word(Stage::Share, 3), Some("sharing columns 0/3  1 rounds  10 B")),
            (word(Stage::Joint, 3), Some("joint stage 0/3  1 rounds  10 B")),
            (word(Stage::Release, 1), Some("sealing the result  1 rounds  10 B")),
            (What::Sealed { party: "energy".into() }, Some("energy has sealed its shares")),
            (refusal(Some("energy")), Some("energy: E_PEER")),
            (refusal(None), Some("coordinator: E_PEER")),
            (state(JobState::Running, 2), Some("running (attempt 2)")),
            (state(JobState::Done, 2), None),
        ] {
            assert_eq!(progress.words(&at(what)).as_deref(), words);
        }
        // A new attempt forgets how far the last one was.
        progress.words(&at(word(Stage::Joint, 3)));
        progress.words(&at(state(JobState::Running, 3)));
        assert!(progress.parties.borrow().is_empty());
    }

    #[test]
    fn the_bar_shows_the_last_words_and_leaves_no_line() {
        let screen = Screen::default();
        let line = || screen.0.lock().expect("not poisoned").trim_end().to_owned();
        let progress = Progress::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        progress.bar.tick();
        assert!(line().ends_with("0s  compiling and signing"), "{:?}", line());
        progress.event(&at(What::Accepted { party: "energy".into(), plan_hash: ledger::bytes::Hash([1; 32]) }));
        progress.bar.force_draw();
        assert!(line().ends_with("s  energy accepts"), "{:?}", line());
        progress.clear();
        assert_eq!(line(), "");
    }

    /// A terminal of one line.
    #[derive(Debug, Clone, Default)]
    struct Screen(std::sync::Arc<std::sync::Mutex<String>>);

    impl indicatif::TermLike for Screen {
        fn width(&self) -> u16 {
            60
        }

        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().expect("not poisoned").push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> std::io::Result<()> {
            self.0.lock().expect("not poisoned").clear();
            Ok(())
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

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
