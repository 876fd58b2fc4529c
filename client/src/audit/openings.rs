//! What some commitments hide: each opening is held against the log before anything of it is shown.

use super::history::Step;
use super::released::{All, Released};
use super::{History, Question};
use ledger::bytes::Hash;
use ledger::entry::Opening;
use party::openings::{What, named};
use std::collections::{BTreeSet, HashMap};

/// What may be shown beside what stands on the log, and what came of looking for it.
#[derive(Default)]
pub struct Opened {
    /// The openings.
    pub openings: Openings,
    /// What came out, of questions whose SQL is known; none if nobody gave a catalogue.
    pub released: Option<All>,
    /// Openings that open nothing they should.
    pub wrong: Vec<String>,
}

impl Opened {
    /// What this commitment hides, if its opening is there.
    pub fn open(&self, commitment: &Hash) -> Option<&str> {
        self.openings.open(commitment)
    }

    /// What came of a question, or why nobody can say it here.
    pub fn released(&self, question: &Question) -> Option<&Result<Released, String>> {
        self.released.as_ref()?.get(&question.query.job)
    }
}

/// The openings that somebody has.
#[derive(Clone, Default)]
pub struct Openings {
    values: HashMap<Hash, String>,
    files: Vec<(String, Hash)>,
}

impl Openings {
    /// Takes one more, from a file of this name.
    pub fn add(&mut self, name: &str, opening: Opening) {
        let commitment = opening.commitment();
        self.files.push((name.to_owned(), commitment));
        self.values.insert(commitment, opening.value);
    }

    /// What this commitment hides, if its opening is there.
    pub fn open(&self, commitment: &Hash) -> Option<&str> {
        self.values.get(commitment).map(String::as_str)
    }

    /// What there is to say against some: a file that is called after a question of this data set and opens another commitment than the log has of it, or
    /// one that is called otherwise and opens nothing here. A node's own are of questions to all data sets.
    pub fn wrong(&self, history: &History) -> Vec<String> {
        let mut known: BTreeSet<Hash> = BTreeSet::new();
        let (mut statements, mut results): (HashMap<Hash, Hash>, HashMap<Hash, Hash>) = Default::default();
        for question in &history.questions {
            let released = question.steps.iter().find_map(|(_, step)| match step {
                Step::Released { result, .. } => Some(*result),
                _ => None,
            });
            known.insert(question.query.statement);
            known.extend(released);
            statements.insert(question.query.job, question.query.statement);
            results.extend(released.map(|result| (question.query.job, result)));
        }
        let wrong = |(name, found): &(String, Hash)| {
            let (stated, what) = match named(name) {
                Some((job, What::Statement)) => (statements.get(&job)?, "statement"),
                Some((job, What::Result)) => (results.get(&job)?, "result"),
                None if known.contains(found) => return None,
                None => return Some(format!("{name} opens nothing that the log has of {}", history.dataset)),
            };
            let differs =
                || format!("{name} does not open the {what} that the log has of this job: its commitment is {found}, the log's {stated}");
            (stated != found).then(differs)
        };
        let mut all: Vec<String> = self.files.iter().filter_map(wrong).collect();
        all.sort();
        all
    }
}
