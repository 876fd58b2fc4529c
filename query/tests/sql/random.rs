//! Random questions: what Tacit answers is what DataFusion answers; what it refuses is counted.

use super::grammar::{Question, questions};
use super::pool::{IN_CLEAR, On, Pool};
use super::words::sql;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

/// What came of a number of questions.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered as DataFusion does.
    pub answered: usize,
    /// Refused, by construct; also those that DataFusion itself does not run.
    pub refused: BTreeMap<String, usize>,
    /// Answered otherwise, or not at all: the seed, the shrunken text, what happened.
    pub wrong: Vec<(u64, String, String)>,
}

/// A question that goes wrong is shrunk in at most so many steps.
const SHRINK_STEPS: usize = 200;
/// And only so many are: the others often go wrong for the same reason.
const SHRUNK: usize = 12;

/// Asks the questions of these seeds; every so many is answered by three parties too.
pub fn ask(pool: &Pool, seeds: impl IntoIterator<Item = u64>, sample: u64, mut progress: impl FnMut(&Tally)) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let mut tree = of_seed(seed);
        let on = if seed % sample == 0 { On::Rep3 } else { On::Plain };
        match pool.check(&sql(&tree.current()), on) {
            Ok(None) => tally.answered += 1,
            Ok(Some(e)) => *tally.refused.entry(format!("{} {}", e.code, construct(&e.message))).or_default() += 1,
            Err(what) if what.starts_with(IN_CLEAR) => *tally.refused.entry(construct(&what)).or_default() += 1,
            Err(first) => {
                let first = (sql(&tree.current()), first);
                let (text, what) = if tally.wrong.len() < SHRUNK { shrink(pool, on, &mut tree, first) } else { first };
                tally.wrong.push((seed, text, what));
            }
        }
        progress(&tally);
    }
    tally
}

/// The question of a seed.
pub fn question(seed: u64) -> String {
    sql(&of_seed(seed).current())
}

fn of_seed(seed: u64) -> impl ValueTree<Value = Question> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    questions().new_tree(&mut runner).expect("the strategy filters nothing out")
}

fn shrink(pool: &Pool, on: On, tree: &mut impl ValueTree<Value = Question>, first: (String, String)) -> (String, String) {
    let mut smallest = first;
    let mut simplified = tree.simplify();
    for _ in 0..SHRINK_STEPS {
        if !simplified {
            break;
        }
        let text = sql(&tree.current());
        // the same text from another tree needs no second look
        simplified = if text == smallest.0 {
            tree.simplify()
        } else {
            match pool.check(&text, on) {
                Err(what) if !what.starts_with(IN_CLEAR) => {
                    smallest = (text, what);
                    tree.simplify()
                }
                _ => tree.complicate(),
            }
        };
    }
    smallest
}

/// A refusal without the names and numbers of the query.
fn construct(message: &str) -> String {
    let named = |word: &str| word.contains(['.', '\'', '"', '(', '_']) || word.chars().any(|c| c.is_ascii_digit());
    let mut words: Vec<&str> = message.split_whitespace().map(|word| if named(word) { "…" } else { word }).collect();
    words.dedup();
    words.truncate(14);
    words.join(" ")
}

impl Tally {
    /// Refusals, the most frequent first.
    pub fn refusals(&self) -> Vec<(&str, usize)> {
        let mut all: Vec<_> = self.refused.iter().map(|(what, n)| (what.as_str(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all
    }
}
