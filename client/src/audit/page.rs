//! A history as a page to print, for those who answer for the data and know nothing of logs: one file, without scripts and without anything from
//! elsewhere.

use super::chart;
use super::history::{Contract, Step};
use super::html::Html;
use super::{History, Opened, Place, Question, Standing, State, Total, Totals, epsilon, time};
use crate::contract::words;
use crate::render::plural;
use ledger::contract::ROWS;
use std::collections::BTreeSet;

/// What the page is made of.
pub struct Page<'a> {
    /// All of the data set.
    pub history: &'a History,
    /// The questions that were asked for.
    pub questions: &'a [&'a Question],
    /// The log.
    pub standing: &'a Standing,
    /// What may be shown of commitments.
    pub opened: &'a Opened,
    /// Which questions were asked for, in words; none if all.
    pub only: &'a [String],
    /// How to verify it: what a command does, and the command.
    pub verify: &'a [(&'static str, String)],
}

const STYLE: &str = "
@page {
  size: A4; margin: 18mm 16mm 20mm;
  @bottom-left { content: string(title); font: 8.5pt Arial, Helvetica, sans-serif; color: #444; }
  @bottom-right { content: 'Page ' counter(page) ' of ' counter(pages); font: 8.5pt Arial, Helvetica, sans-serif; color: #444; }
}
body { font: 10.5pt/1.45 Georgia, 'Times New Roman', serif; color: #111; max-width: 178mm; margin: 12mm auto; padding: 0 6mm; }
h1 { font-size: 20pt; line-height: 1.2; margin: 0 0 2mm; overflow-wrap: anywhere; string-set: title content(); }
h2 { font-size: 14pt; margin: 9mm 0 2mm; border-bottom: 1px solid #999; break-after: avoid; }
h3 { font-size: 11pt; margin: 5mm 0 1mm; overflow-wrap: anywhere; break-after: avoid; }
p, li { overflow-wrap: anywhere; orphans: 2; widows: 2; }
table { border-collapse: collapse; width: 100%; font: 8.5pt/1.35 Arial, Helvetica, sans-serif; margin: 2mm 0; }
th, td { text-align: left; vertical-align: top; padding: 1mm 2.5mm 1mm 0; border-bottom: 1px solid #ccc; overflow-wrap: anywhere; }
th { border-bottom: 1px solid #666; overflow-wrap: normal; }
thead { display: table-header-group; }
tr, figure, pre, .facts { break-inside: avoid; }
.facts th { width: 27mm; font-weight: normal; color: #444; border-bottom: 1px solid #ccc; }
.number { text-align: right; overflow-wrap: normal; }
.whole { white-space: nowrap; }
td.hash { font-family: 'Courier New', Courier, monospace; font-size: 7.5pt; }
.quiet { color: #444; font-size: 9pt; break-after: avoid; }
figure { margin: 3mm 0; }
figcaption { font-style: italic; }
svg { width: 100%; height: auto; }
pre { font: 8pt/1.4 'Courier New', Courier, monospace; white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: 2mm; margin: 1mm 0; }
@media print { body { margin: 0; padding: 0; max-width: none; } pre { background: none; border: 1px solid #999; } }
";

/// Nothing is loaded, and nothing runs, whatever the log holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut html = Html::new();
        let title = format!("Use of {}", self.history.dataset);
        html.begin("html", &[("lang", "en")]).begin("head", &[]).void("meta", &[("charset", "utf-8")]);
        html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
        html.leaf("title", &[], &title).begin("style", &[]).literal(STYLE).end().end().begin("body", &[]);
        html.leaf("h1", &[], &title);
        self.heading(&mut html);
        self.summary(&mut html);
        self.charts(&mut html);
        self.columns(&mut html);
        self.questions(&mut html);
        self.contracts(&mut html);
        self.verification(&mut html);
        self.appendix(&mut html);
        format!("<!DOCTYPE html>\n{}", html.finish())
    }

    /// Of what this is, whose, from where, and as of when: what a paper says at its top.
    fn heading(&self, html: &mut Html) {
        let months: BTreeSet<String> = self.questions.iter().map(|question| question.month()).collect();
        let months = match (months.first(), months.last()) {
            (Some(first), Some(last)) if first == last => format!(", of {first}"),
            (Some(first), Some(last)) => format!(", of {first} to {last}"),
            _ => String::new(),
        };
        let only: Vec<&str> = self.only.iter().map(String::as_str).collect();
        let which = if only.is_empty() { "all in the log".into() } else { format!("only those {}", words::and(&only)) };
        let logs = self.standing.logs.iter().rev().map(|log| format!("{} ({} entries)", log.origin, log.size));
        let agencies: BTreeSet<&str> =
            self.standing.cosigners.iter().map(|(name, _)| name.split_once('/').map_or(name.as_str(), |(agency, _)| agency)).collect();
        html.facts([
            ("data set", self.history.dataset.clone()),
            ("owner", ledger::entry::owner(&self.history.dataset).unwrap_or_default().to_owned()),
            ("questions", format!("{which}: {}{months}", self.questions.len())),
            ("as of", format!("{} (UTC), the newest time that an agency put to the log", time(self.standing.time()))),
            ("from the log", logs.collect::<Vec<_>>().join(", which goes on from ")),
            ("cosigned by", agencies.into_iter().collect::<Vec<_>>().join(", ")),
            ("made with", format!("tacit {}, which verified the log", env!("CARGO_PKG_VERSION"))),
        ]);
    }

    fn summary(&self, html: &mut Html) {
        let (history, now) = (self.history, self.standing.time());
        html.leaf("h2", &[], "In short");
        let totals = Totals::of(self.questions.iter().copied());
        let paid = totals.all.paid();
        let Total { questions, released, uses, epsilon: spent, .. } = totals.all;
        let mut say = |text: &str| {
            html.leaf("p", &[], text);
        };
        if !self.only.is_empty() {
            say(&format!("This page is about questions {} only.", words::and(&self.only.iter().map(String::as_str).collect::<Vec<_>>())));
        }
        say(&format!(
            "{} {} data set {} (owner: {}). {} answered. Its records stay with their owner: agencies compute on secret shares, and only a result is opened.",
            counted(questions, "question"),
            if questions == 1 { "was asked of the" } else { "were asked of the" },
            history.dataset,
            ledger::entry::owner(&history.dataset).unwrap_or_default(),
            match released {
                0 => "None was".into(),
                1 if questions == 1 => "It was".into(),
                n if n == questions => "All were".into(),
                1 => "One was".into(),
                n => format!("{n} were"),
            },
        ));
        let planners: Vec<&str> = totals.planners.keys().map(String::as_str).collect();
        if !planners.is_empty() {
            say(&format!("They were asked by {}.", words::and(&planners)));
        }
        let read: Vec<&str> = totals.columns.keys().map(|name| words::column(name)).collect();
        let unread: Vec<&str> = history.columns.iter().map(String::as_str).filter(|name| !totals.columns.contains_key(*name)).collect();
        if !read.is_empty() {
            say(&format!("They read {}.", words::and(&read)));
        }
        if !unread.is_empty() {
            say(&format!("Nothing was asked of {}.", words::and(&unread)));
        }
        say(&format!("They cost {} of the data set's contracts and a privacy loss of ε {}.", counted(uses, "use"), epsilon(spent)));
        if paid != "0" {
            say(&format!("By the contracts, the answers are to be paid with {paid}."));
        }
        let standing = history.contracts.iter().filter(|contract| contract.standing(now) == "in force");
        let standing: Vec<String> = standing.map(Contract::name).collect();
        say(&match standing.len() {
            0 => "No contract is in force: nothing more may be asked.".to_owned(),
            n => format!(
                "{} in force: {}.",
                if n == 1 { "One contract is".into() } else { format!("{n} contracts are") },
                standing.join(", ")
            ),
        });
        for wrong in &self.opened.wrong {
            say(&format!("An opening was refused: {wrong}."));
        }
        say(
            "The log has the names of columns and what each question cost. The words of a question and its result stand there as fingerprints \
             (commitments); they are shown below where whoever made this page held the openings.",
        );
    }

    fn charts(&self, html: &mut Html) {
        html.leaf("h2", &[], "Over time");
        if self.questions.is_empty() {
            html.leaf("p", &[], "There is nothing to draw.");
            return;
        }
        html.put(chart::questions(self.questions));
        for drawn in self.history.contracts.iter().filter_map(chart::spent) {
            html.put(drawn);
        }
        let rows = Totals::of(self.questions.iter().copied());
        let rows = rows.groups().into_iter().flat_map(|(what, all)| {
            all.iter().map(move |(name, total)| [vec![what.to_owned(), name.clone()], figures(total)].concat()).collect::<Vec<_>>()
        });
        let [figure, word] = ["number", "whole"];
        let figures = ["questions", "answered", "uses", "ε", "price"].map(|name| (name, figure));
        html.table(&[&[("by", word), ("of", "")][..], &figures].concat(), rows);
    }

    fn columns(&self, html: &mut Html) {
        html.leaf("h2", &[], "By column");
        for name in &self.history.columns {
            let title: &str = if name == ROWS { "The number of rows alone" } else { name };
            html.leaf("h3", &[], title);
            let asked: Vec<&&Question> = self.questions.iter().filter(|question| question.columns.contains(name)).collect();
            if asked.is_empty() {
                html.leaf("p", &[("class", "quiet")], "Nothing was asked of it.");
                continue;
            }
            let rows = asked.iter().map(|question| {
                let cost = [question.uses().to_string(), epsilon(question.epsilon())];
                let what = [question.month(), question.planner.clone(), question.query.purpose.clone(), question.state().name()];
                [vec![self.name(question.place)], what.into(), cost.into()].concat()
            });
            let names = [("entry", "number"), ("month", "whole"), ("asked by", ""), ("what for", ""), ("what came of it", "")];
            html.table(&[&names[..], &[("uses", "number"), ("ε", "number")]].concat(), rows);
        }
    }

    fn questions(&self, html: &mut Html) {
        html.leaf("h2", &[], "Every question");
        for question in self.questions {
            let query = &question.query;
            html.leaf("h3", &[], &format!("Entry {}: {}", self.name(question.place), question.state().name()));
            let others = query.reads.iter().map(|read| read.dataset.as_str()).filter(|name| *name != self.history.dataset);
            let others: Vec<&str> = others.collect();
            let under: Vec<String> =
                self.history.under(question).map(|contract| format!("{} (entry {})", contract.name(), self.name(contract.place))).collect();
            let mut rows = vec![
                ("asked by", question.planner.clone()),
                ("what for", query.purpose.clone()),
                ("columns", question.columns.iter().map(|name| words::column(name)).collect::<Vec<_>>().join(", ")),
                ("snapshot", question.snapshot.to_string()),
                ("under", under.join(", ")),
                ("together with", if others.is_empty() { "no other data set".into() } else { others.join(", ") }),
                ("computed by", query.parties.join(", ")),
                ("answer for", query.receivers.join(", ")),
                ("asked before", time(query.expires)),
                ("job", query.job.to_string()),
            ];
            if let Some((place, debit)) = &question.debit {
                let cost = format!(
                    "{}{}, ε {} ({}), entry {}",
                    counted(debit.uses, "use"),
                    if question.gave_back() { ", given back" } else { "" },
                    epsilon(debit.epsilon.into()),
                    debit.month,
                    self.name(*place)
                );
                rows.push(("cost", cost));
            }
            rows.extend(question.price().map(|(amount, unit)| ("price", format!("{amount} {unit}"))));
            rows.extend(question.steps.iter().map(|(place, step)| {
                let what = match step {
                    Step::Started { attempt } => format!("attempt {attempt} began"),
                    Step::Released { attempt, .. } => format!("attempt {attempt} was answered"),
                    Step::Aborted { attempt, code } => format!("attempt {attempt} ended without an answer: {code}"),
                };
                ("step", format!("{what}, entry {}", self.name(*place)))
            }));
            rows.push(("statement", format!("commitment {}", query.statement)));
            if let State::Released(result) = question.state() {
                rows.push(("result", format!("commitment {result}")));
            }
            html.facts(rows);
            if let Some(sql) = self.opened.open(&query.statement) {
                html.leaf("p", &[("class", "quiet")], "The statement, opened:").leaf("pre", &[], sql);
            }
            self.released(html, question);
            let answer = if let State::Released(result) = question.state() { self.opened.open(result) } else { None };
            if let Some(answer) = answer {
                html.leaf("p", &[("class", "quiet")], "The result, opened:").leaf("pre", &[], answer);
            }
        }
    }

    /// What came out by the plan that the log names, as this page's maker compiled it again.
    fn released(&self, html: &mut Html, question: &Question) {
        match self.opened.released(question) {
            None => {}
            Some(Err(why)) => {
                html.leaf("p", &[("class", "quiet")], &format!("What it released is not told here: {why}."));
            }
            Some(Ok(released)) => {
                let came = if matches!(question.state(), State::Released(_)) { "came out" } else { "would have come out" };
                html.leaf(
                    "p",
                    &[("class", "quiet")],
                    &format!("What {came}, by the plan whose fingerprint is on the log, and nothing else:"),
                );
                html.begin("ul", &[]);
                for line in &released.lines {
                    html.leaf("li", &[], line);
                }
                html.end();
                let uses = released.uses.iter().map(|(name, done)| format!("{}: {}", words::column(name), done.join(", ")));
                html.leaf("p", &[("class", "quiet")], &format!("What was done with the columns: {}.", uses.collect::<Vec<_>>().join("; ")));
            }
        }
    }

    fn contracts(&self, html: &mut Html) {
        let now = self.standing.time();
        html.leaf("h2", &[], "Contracts").leaf("p", &[], "What its owner allowed, changed and ended, in the order of the log.");
        let timeline = timeline(self.history).into_iter().map(|(place, what)| vec![self.name(place), what]);
        html.table(&[("entry", "number"), ("what", "")], timeline);
        for contract in &self.history.contracts {
            html.leaf("h3", &[], &format!("{}: {}", contract.name(), contract.standing(now)));
            let left = match contract.uses_left(now) {
                None => "any number".into(),
                Some(left) => format!("{left} left"),
            };
            html.leaf("p", &[], &format!("{} so far; {left}.", counted(contract.uses, "use")));
            if let Some(most) = contract.monthly() {
                let rows = contract
                    .spent
                    .iter()
                    .map(|((month, planner), spent)| vec![month.clone(), planner.clone(), epsilon(*spent), epsilon((most - spent).max(0))]);
                html.table(&[("month", "whole"), ("planner", ""), ("ε spent", "number"), ("ε left", "number")], rows);
            }
            match &contract.terms {
                None => {
                    html.leaf("p", &[("class", "quiet")], "Its terms are not of a kind that this version reads.");
                }
                Some(terms) => {
                    html.begin("ul", &[]);
                    for sentence in words::sentences(terms) {
                        html.leaf("li", &[], &sentence);
                    }
                    html.end();
                }
            }
        }
    }

    fn verification(&self, html: &mut Html) {
        html.leaf("h2", &[], "How to verify this page");
        html.leaf(
            "p",
            &[],
            "Everything above follows from the log's entries, which were verified when this page was made: every hash, every signature, and the \
             rules by which entries may follow one another. Anybody who has the log's files can do so again, without a network:",
        );
        for (what, command) in self.verify {
            html.leaf("p", &[("class", "quiet")], what).leaf("pre", &[], command);
        }
        html.leaf(
            "p",
            &[],
            "What this proves: these entries are in the log that a quorum of the agencies cosigned, and there is no other entry about this data set in it. \
             What it cannot prove: that what an agency states of itself is true, nor what was done with a result after it was opened.",
        );
    }

    fn appendix(&self, html: &mut Html) {
        html.leaf("h2", &[], "Appendix: logs and entries");
        let logs = self.standing.logs.iter().map(|log| vec![log.origin.clone(), log.size.to_string(), log.root.clone()]);
        html.table(&[("log", ""), ("entries", "number"), ("root", "hash")], logs);
        let cosigners = self.standing.cosigners.iter().map(|(name, at)| vec![name.clone(), time(*at)]);
        html.table(&[("cosigned by", ""), ("at", "whole")], cosigners);
        let entries = self.history.entries.iter();
        let entries = entries.map(|entry| vec![self.name(entry.place), entry.kind.into(), entry.signers.join(", "), entry.id.to_string()]);
        html.table(&[("entry", "number"), ("kind", "whole"), ("signed by", ""), ("id", "hash")], entries);
    }

    fn name(&self, place: Place) -> String {
        self.standing.name(place)
    }
}

/// What its owner did, in the order of the log.
pub fn timeline(history: &History) -> Vec<(Place, String)> {
    let mut all: Vec<(Place, String)> = Vec::new();
    for contract in &history.contracts {
        let until = contract.terms.as_ref().map_or(String::new(), |terms| format!(", from {} until {}", terms.not_before, terms.not_after));
        all.push((contract.place, format!("the contract {}{until}", contract.name())));
        if let Some((place, reason)) = &contract.revoked {
            let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            all.push((*place, format!("the contract {} is revoked{reason}", contract.name())));
        }
    }
    let snapshots = history.snapshots.iter();
    all.extend(snapshots.map(|one| (one.place, format!("snapshot {}, {}", one.root.short(), plural(one.columns, "column")))));
    all.sort_by_key(|(place, _)| *place);
    all
}

/// The cells of a total.
pub fn figures(total: &Total) -> Vec<String> {
    vec![total.questions.to_string(), total.released.to_string(), total.uses.to_string(), epsilon(total.epsilon), total.paid()]
}

fn counted(n: u64, word: &str) -> String {
    plural(usize::try_from(n).unwrap_or(usize::MAX), word)
}
