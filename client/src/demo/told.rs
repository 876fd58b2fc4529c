//! What a demo tells: to a person in words, to a program as JSON.

use super::{Asked, Audience, Refused, Said, Summary};
use crate::cli;
use crate::error::Error;
use crate::render;
use scenarios::Question;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tells a person, or a program.
pub(super) struct Console {
    pub json: bool,
    pub sql: bool,
    pub bar: Option<indicatif::ProgressBar>,
    pub failed: Option<Error>,
    pub kept: Option<PathBuf>,
}

impl Console {
    fn say(&mut self, text: Result<String, Error>) {
        let said = text.and_then(|text| match &self.bar {
            Some(bar) => bar.suspend(|| cli::print(&text)),
            None => cli::print(&text),
        });
        if let Err(e) = said {
            self.failed.get_or_insert(e);
        }
    }
}

impl Audience for Console {
    fn step(&mut self, what: &str) {
        if !cli::on_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(what.to_owned());
    }

    fn kept(&mut self, folder: &Path) {
        self.kept = Some(folder.to_owned());
    }

    fn answered(&mut self, number: usize, of: usize, question: &'static Question, asked: &Asked) {
        let text = if self.json { json_line(asked) } else { Ok(story(number, of, question, asked, self.sql)) };
        self.say(text);
    }

    fn refused(&mut self, question: &'static Question, refused: &Refused) {
        // For programs it stands in the summary.
        if !self.json {
            self.say(Ok(no_story(question, refused, self.sql)));
        }
    }
}

/// A question and its answer, for a person.
fn story(number: usize, of: usize, question: &Question, asked: &Asked, sql: bool) -> String {
    let mut text = format!("[{number} of {of}] ") + &opening(question, sql);
    let mut line = |label: &str, what: &str| {
        writeln!(text, "  {label:<16}{what}").ok();
    };
    for (at, reveal) in asked.reveals.iter().enumerate() {
        line(if at == 0 { "planner learns" } else { "" }, reveal);
    }
    let seconds = render::duration(Duration::from_secs_f64(asked.seconds));
    line("cost", &format!("{} rounds, {} among the parties, {seconds}", asked.rounds, render::bytes(asked.bytes)));
    let difference = asked.difference.as_deref().unwrap_or_default();
    line(
        "check",
        &if asked.equal {
            "equals the same SQL in clear on the pooled tables".into()
        } else {
            format!("DIFFERS from the clear answer: {difference}")
        },
    );
    text.push('\n');
    for row in asked.answer.aligned().lines() {
        writeln!(text, "  {row}").ok();
    }
    text.push('\n');
    text
}

/// A question and its refusal. Every party gives the same words, each by its own contracts.
fn no_story(question: &Question, refused: &Refused, sql: bool) -> String {
    let mut text = String::from("[refused] ") + &opening(question, sql);
    for (at, said) in refused.refusals.iter().enumerate() {
        let same = |other: &&Said| (&other.reason, &other.fix) == (&said.reason, &said.fix);
        if refused.refusals[..at].iter().any(|earlier| same(&earlier)) {
            continue;
        }
        let name = |said: &Said| if said.signed { said.party.clone() } else { format!("{} (as the coordinator says)", said.party) };
        let parties: Vec<String> = refused.refusals.iter().filter(same).map(name).collect();
        writeln!(text, "  {:<16}{} ({})\n  {:<16}{}", "refused", said.reason, said.code, "to mend it", said.fix).ok();
        writeln!(text, "  {:<16}{}", "signed by", parties.join(", ")).ok();
    }
    text.push('\n');
    text
}

/// What a question is about.
fn opening(question: &Question, sql: bool) -> String {
    let mut text = format!("{}: {}\n", question.id, question.title);
    if sql {
        for line in question.sql.trim_end().lines() {
            writeln!(text, "    {line}").ok();
        }
    }
    for (party, what) in question.who_holds_what {
        writeln!(text, "  {:<16}{what}", format!("{party} holds")).ok();
    }
    writeln!(text, "  {:<16}{}", "what happens", question.note).ok();
    text
}

/// How it all went, for a person.
pub(super) fn words(summary: &Summary) -> String {
    let memory: Vec<String> = summary.peak_rss.iter().map(|(name, bytes)| format!("{name} {}", render::bytes(*bytes))).collect();
    let kept = summary.kept.as_ref().map(|folder| format!("The city is kept in {}.\n", folder.display())).unwrap_or_default();
    let refused = if summary.refused.is_some() { ", and one is refused" } else { "" };
    format!(
        "{} in {:.2} s from the start of the processes ({:.2} s until all were up); {}{refused}.\nPeak memory: {}.\n{kept}",
        render::plural(summary.questions, "question"),
        summary.seconds,
        summary.seconds_to_healthy,
        if summary.equal { "every answer equals its clear one" } else { "NOT every answer equals its clear one" },
        memory.join(", "),
    )
}

/// An object for a program.
pub(super) fn json_line(object: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(object).map_err(|e| Error::internal(e.to_string()))?;
    Ok(text + "\n")
}
