//! Three hundred random questions of fixed seeds.

use super::random::ask;
use super::town::town;

/// Of 300 questions at least so many are answered: a compiler that refuses more than it did fails here.
const ANSWERED: usize = 280;

#[test]
fn three_hundred_questions() {
    let tally = ask(&town(), 1..=300, 25, |_| ());
    for (what, n) in tally.refusals() {
        eprintln!("refused {n:>4}  {what}");
    }
    eprintln!("answered {}", tally.answered);
    let wrong: Vec<_> = tally.wrong.iter().map(|(seed, text, what)| format!("seed {seed}: {text}\n  → {what}")).collect();
    assert!(wrong.is_empty(), "{} of 300 questions go wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tally.answered >= ANSWERED, "only {} of 300 questions are answered", tally.answered);
}
