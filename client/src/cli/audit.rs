//! `tacit audit`: what the city's log says about the use of one data set.

mod text;

use super::ledger::files::{self, Files, Log, fails, root};
use super::ledger::whole::{Whole, WholeArgs};
use super::{Done, print};
use crate::audit::history::Entered;
use crate::audit::page::Page;
use crate::audit::{History, Opened, Openings, Place, Question, Reader, Source, Standing, released, told};
use crate::config::read;
use crate::error::Error;
use clap::Args;
use ledger::audit;
use ledger::entry::Opening;
use ledger::receipt::Receipt;
use ledger::store::{StoreError, Tiles};
use ledger::tile::Tile;
use ledger::tree;
use mpc_core::file::{Kind, unreadable_folder};
use party::disk::BESIDE;
use party::openings::FOLDER;
use query::catalog::Catalog;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Say who asked what of a data set, what for, what came of it and what it cost
///
/// The log is verified first: every hash, every signature, every rule; offline, if its files are named. Then every question that touched the data set is listed with
/// the columns it read and the contract it was asked under, and every contract and snapshot of its owner.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    whole: WholeArgs,
    /// The table, `agency.table`
    #[arg(long, value_name = "AGENCY.TABLE")]
    dataset: String,
    /// Only questions that read this column (`*`: that only count rows)
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Only questions of this planner
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
    /// Only questions from this month on, such as 2026-11
    #[arg(long, value_name = "MONTH", value_parser = month)]
    since: Option<String>,
    /// Only questions up to and with this month
    #[arg(long, value_name = "MONTH", value_parser = month)]
    until: Option<String>,
    /// A folder of openings ({"salt": …, "value": …}, one a file): statements and results are shown to whoever holds them; may be repeated. If left out,
    /// what the node of --config keeps, or the one whose ledger folder LOG is
    #[arg(long, value_name = "DIR")]
    openings: Vec<PathBuf>,
    /// The city's catalogue: what was released is said of questions whose SQL is known; if left out, that of --config
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Writes every entry that concerns the data set (NAME.note) and its receipt (NAME.proof) into this folder
    #[arg(long, value_name = "DIR")]
    proofs: Option<PathBuf>,
    /// Writes a page to print to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print a JSON object, with a proof of inclusion of every entry
    #[arg(long)]
    json: bool,
}

const HELP: &str = "Examples:
  tacit audit --dataset energy.buildings                                  the city's log, as planner.toml or TACIT_CONFIG says
  tacit audit --dataset energy.buildings --config energy/party.toml       an agency's own mirror of it, with what it keeps of questions
  tacit audit tiles --dataset energy.buildings --policy city.policy --roster roster.toml
  tacit audit tiles --dataset energy.buildings --policy city.policy --roster roster.toml --column site_energy_mmbtu --since 2026-10 --until 2026-12
  tacit audit tiles --dataset energy.buildings --policy city.policy --roster roster.toml --html buildings.html --proofs proofs
  tacit audit energy/state/ledger --checkpoint log.checkpoint --config energy/party.toml --dataset energy.buildings --policy city.policy --roster roster.toml
  tacit audit energy/state/ledger --checkpoint monday.checkpoint --dataset energy.buildings --policy city.policy --roster roster.toml --json
  tacit ledger verify proofs/308-job-query.proof --entry proofs/308-job-query.note --policy city.policy

A node keeps what opens the commitments of the jobs that it took part in, in the folder `openings` of its state; a planner does with `tacit query
--save-opening`. Each is held against the log before it is shown. What was released follows from SQL and catalogue, and is said if the plan that
they make is the one whose hash is on the log.

An entry has no time of its own: a question is counted in the month of its debit, was asked before the time at which it expires, and stood in the
log by the time of the checkpoint. What is left of a contract is counted over all questions, whatever is asked for here.

Exit codes: 0 the log holds; 1 it does not, and E_… says why; 2 a file is missing or not what it should be, or the log has no such data set.";

pub(super) fn audit(args: &AuditArgs) -> Done {
    let whole = args.whole.verify()?;
    let history = collect(&whole, &args.dataset)?;
    let standing = standing(&whole);
    let questions = args.wanted(&history)?;
    let opened = args.opened(&history, &questions)?;
    let receipts = || receipts(&whole, &history);
    if let Some(folder) = &args.proofs {
        write_proofs(folder, &whole, &history, &standing, &receipts()?)?;
    }
    if let Some(path) = &args.html {
        let (only, verify) = (args.only(), args.commands(&history, &standing));
        let page = Page { history: &history, questions: &questions, standing: &standing, opened: &opened, only: &only, verify: &verify };
        files::write(path, page.html().as_bytes())?;
    }
    let text = match args.json {
        true => format!("{}\n", told::told(&history, &questions, &standing, &opened, &receipts()?)),
        false => text::text(&history, &questions, &standing, &opened),
    };
    Ok(print(&text)?)
}

/// Reads what was verified.
fn collect(whole: &Whole, dataset: &str) -> Result<History, Error> {
    let mut reader = Reader::new(dataset);
    for (number, log) in whole.logs.iter().enumerate() {
        let size = log.checkpoint.head().size;
        log.files.each(0..size, size, |index, bytes| {
            let taken = reader.take(Place { log: number, index }, bytes);
            taken.map_err(|error| fails("E_LEDGER_ENTRY", format!("entry {index}: {error}")))
        })?;
    }
    reader.end().map_err(|known| {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        Error::config(format!("nothing in the log is about a data set `{dataset}`; {known}"))
    })
}

fn standing(whole: &Whole) -> Standing {
    let source = |log: &Log| {
        let head = log.checkpoint.head();
        Source { origin: head.origin.clone(), size: head.size, root: root(head), checkpoint: log.checkpoint.note().into() }
    };
    Standing { logs: whole.logs.iter().map(source).collect(), cosigners: whole.cosigners.clone() }
}

impl AuditArgs {
    /// What may be shown beside what stands on the log.
    fn opened(&self, history: &History, questions: &[&Question]) -> Result<Opened, Error> {
        let log = &self.whole.log;
        let known = (log.config.is_some() || log.log.is_none()).then(|| log.known()).transpose()?;
        let of_node = known.as_ref().and_then(|known| known.openings.clone());
        let beside = || {
            let log = log.log.as_ref()?;
            log.parent().map(|state| state.join(FOLDER)).filter(|folder| log.join("tail").exists() && folder.is_dir())
        };
        let folders = if self.openings.is_empty() { of_node.or_else(beside).into_iter().collect() } else { self.openings.clone() };
        let mut openings = Openings::default();
        folders.iter().try_for_each(|folder| read_openings(folder, &mut openings))?;
        let catalogue = self.catalogue.as_ref().or(known.as_ref().map(|known| &known.catalogue));
        let catalogue = catalogue.map(|path| Catalog::load(path)).transpose().map_err(|error| Error::config(error.to_string()))?;
        let asked = questions.iter().filter_map(|question| Some((*question, openings.open(&question.query.statement)?)));
        let released = catalogue.as_ref().map(|catalogue| released::all(history, asked, catalogue));
        let wrong = openings.wrong(history);
        Ok(Opened { openings, released, wrong })
    }

    /// The questions that were asked for.
    fn wanted<'a>(&self, history: &'a History) -> Result<Vec<&'a Question>, Error> {
        if let Some(column) = self.column.as_ref().filter(|column| !history.columns.contains(*column)) {
            let known: Vec<&str> = history.columns.iter().map(String::as_str).collect();
            return Err(Error::config(format!("{} has no column `{column}`; it has {}", history.dataset, known.join(", "))));
        }
        let planners: BTreeSet<&str> = history.questions.iter().map(|question| question.planner.as_str()).collect();
        if let Some(planner) = self.planner.as_deref().filter(|planner| !planners.contains(planner)) {
            let known = if planners.is_empty() { "nobody".into() } else { planners.into_iter().collect::<Vec<_>>().join(", ") };
            return Err(Error::config(format!("`{planner}` asked nothing of {}; {known} did", history.dataset)));
        }
        let wanted = |question: &&Question| {
            self.column.as_ref().is_none_or(|column| question.columns.contains(column))
                && self.planner.as_ref().is_none_or(|planner| question.planner == *planner)
                && self.since.as_ref().is_none_or(|since| question.month() >= *since)
                && self.until.as_ref().is_none_or(|until| question.month() <= *until)
        };
        Ok(history.questions.iter().filter(wanted).collect())
    }

    /// The same in words.
    fn only(&self) -> Vec<String> {
        let options = [("that read", &self.column), ("of", &self.planner), ("from", &self.since), ("until", &self.until)];
        options.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?))).collect()
    }

    /// How to verify what a page says.
    fn commands(&self, history: &History, standing: &Standing) -> Vec<(&'static str, String)> {
        let option =
            |name: &str, file: &Option<PathBuf>| file.as_ref().map(|file| format!(" --{name} {}", quoted(file))).unwrap_or_default();
        let WholeArgs { log: of, policy, roster, .. } = &self.whole;
        let policy = option("policy", policy) + &option("config", &of.config);
        let mut log = of.log.as_ref().map(|log| format!(" {}", quoted(log))).unwrap_or_default();
        log += &(option("checkpoint", &of.checkpoint) + &policy + &option("roster", roster));
        self.whole.after.iter().for_each(|after| log += &format!(" --after {}", quoted(after)));
        let mut commands = vec![
            ("Check the whole log:", format!("tacit ledger audit{log}")),
            ("List the use of the data set again, and write a receipt for every entry:", {
                format!("tacit audit{log} --dataset {} --proofs proofs", quoted(Path::new(&history.dataset)))
            }),
        ];
        if let Some(entry) = history.entries.last() {
            let name = file_name(entry, standing);
            let verify = format!("tacit ledger verify proofs/{name}.proof --entry proofs/{name}.note{policy}");
            commands.push(("Check the receipt of one entry, without the log:", verify));
        }
        commands
    }
}

/// The receipts of the entries. One that proves nothing is not handed out.
fn receipts(whole: &Whole, history: &History) -> Result<Vec<Receipt>, Error> {
    let logs: Vec<Cached> = whole.logs.iter().map(|log| Cached { files: &log.files, seen: RefCell::default() }).collect();
    let receipt = |entry: &Entered| {
        let Place { log, index } = entry.place;
        let checkpoint = &whole.logs[log].checkpoint;
        let receipt = audit::prove(&logs[log], checkpoint, index).map_err(|error| fails(error.code(), error))?;
        let head = checkpoint.head();
        tree::verify_inclusion(&entry.leaf, index, head.size, &head.root, &receipt.proof)
            .map_err(|error| fails("E_LEDGER_CORRUPT", format!("entry {index}: {error}; fetch the log's files again")))?;
        Ok(receipt)
    };
    history.entries.iter().map(receipt).collect()
}

/// A log's files, each read once: receipts of many entries take the same tiles.
struct Cached<'a> {
    files: &'a Files,
    seen: RefCell<HashMap<Tile, Vec<u8>>>,
}

impl Tiles for Cached<'_> {
    fn tile(&self, tile: &Tile) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.seen.borrow().get(tile) {
            return Ok(bytes.clone());
        }
        let bytes = self.files.tile(tile)?;
        self.seen.borrow_mut().insert(*tile, bytes.clone());
        Ok(bytes)
    }
}

fn write_proofs(folder: &Path, whole: &Whole, history: &History, standing: &Standing, receipts: &[Receipt]) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::config(format!("{}: it cannot be made: {error}", folder.display())))?;
    for (entry, receipt) in history.entries.iter().zip(receipts) {
        let log = &whole.logs[entry.place.log];
        let name = file_name(entry, standing);
        files::write(&folder.join(format!("{name}.note")), &log.files.entry(entry.place.index, log.checkpoint.head().size)?)?;
        files::write(&folder.join(format!("{name}.proof")), receipt.to_string().as_bytes())?;
    }
    Ok(())
}

/// What an entry's files are called: its number and kind, and its log's name if that was handed over.
fn file_name(entry: &Entered, standing: &Standing) -> String {
    format!("{}-{}", standing.name(entry.place).replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"), entry.kind)
}

fn read_openings(folder: &Path, openings: &mut Openings) -> Result<(), Error> {
    let unreadable = |error| Error::config(format!("{}: {}", folder.display(), unreadable_folder(&error)));
    for file in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        // What a node that runs is just writing.
        if path.extension().is_some_and(|extension| extension == BESIDE) {
            continue;
        }
        let opening: Result<Opening, _> = serde_json::from_str(&read(&path, Kind::Opening)?);
        let opening = opening.map_err(|_| Error::config(format!("{}: it is no opening: {{\"salt\": …, \"value\": …}}", path.display())))?;
        openings.add(&path.file_name().unwrap_or_default().to_string_lossy(), opening);
    }
    Ok(())
}

fn month(text: &str) -> Result<String, &'static str> {
    let day = format!("{text}-01T00:00:00Z").parse::<ledger::contract::Time>();
    day.map(|_| text.to_owned()).map_err(|_| "not a month such as 2026-11")
}

/// A word of a shell's.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '=' | ':' | ',');
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
