//! Random questions of fixed seeds: three hundred, and as many as `bench -- fuzz-sql` wants.

use super::random::{Tally, ask};
use super::town::town;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Of 300 questions at least so many are answered: a compiler that refuses more than it did fails here.
const ANSWERED: usize = 270;

#[test]
fn three_hundred_questions() {
    // by three parties each: with tables this small that takes no longer than the clear engine, nearly all of the time goes into compiling, and a protocol that goes wrong on a
    // shape that nobody wrote a test for is found here or not at all
    let tally = ask(&town(), 1..=300, 1, |_| ());
    for (what, n) in tally.refusals() {
        eprintln!("refused {n:>4}  {what}");
    }
    eprintln!("answered {}", tally.answered);
    assert_right(&tally);
    assert!(tally.answered >= ANSWERED, "only {} of 300 questions are answered", tally.answered);
}

/// `FUZZ_QUERIES` questions from `FUZZ_SEED` on, on `FUZZ_THREADS` threads, each `FUZZ_SAMPLE`th by three parties; what came of them is written to
/// `FUZZ_TALLY`, as JSON.
#[test]
#[ignore = "it takes as long as it is told to: `cargo run -p bench -- fuzz-sql`"]
fn by_the_thousand() {
    let (queries, seed, sample, threads) =
        (setting("FUZZ_QUERIES", 10_000), setting("FUZZ_SEED", 1_u64), setting("FUZZ_SAMPLE", 20), setting("FUZZ_THREADS", 2_u64));
    let progress = Progress::new(queries, threads);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let progress = &progress;
        let seeds = |of: u64| (seed..seed + queries).filter(move |seed| seed % threads == of);
        let ask_of = |of| move || ask(&town(), seeds(of), sample, |tally| progress.tell(of as usize, tally));
        let workers: Vec<_> = (0..threads).map(|of| scope.spawn(ask_of(of))).collect();
        workers.into_iter().map(|worker| worker.join().expect("what panics within a question is caught")).collect()
    });
    let mut all = Tally::default();
    for tally in tallies {
        all.answered += tally.answered;
        all.wrong.extend(tally.wrong);
        tally.refused.into_iter().for_each(|(what, n)| *all.refused.entry(what).or_default() += n);
    }
    all.wrong.sort_by_key(|(seed, ..)| *seed);
    if let Some(path) = std::env::var_os("FUZZ_TALLY") {
        let wrong: Vec<_> =
            all.wrong.iter().map(|(seed, sql, what)| serde_json::json!({ "seed": seed, "sql": sql, "what": what })).collect();
        let wall_s = progress.since.elapsed().as_secs_f64();
        let tally = serde_json::json!({ "answered": all.answered, "refused": all.refused, "wrong": wrong, "wall_s": wall_s });
        std::fs::write(path, tally.to_string()).expect("the tally's file can be written");
    }
    assert_right(&all);
}

fn assert_right(tally: &Tally) {
    let wrong: Vec<_> = tally.wrong.iter().map(|(seed, text, what)| format!("seed {seed}: {text}\n  → {what}")).collect();
    assert!(wrong.is_empty(), "{} questions go wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn setting<T: FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// How far it is, for people: on a terminal one line that changes, elsewhere a line now and then.
struct Progress {
    of: u64,
    since: Instant,
    /// Answered, refused and wrong at each thread, and when that was last said.
    known: Mutex<(Vec<[usize; 3]>, Instant)>,
}

impl Progress {
    fn new(of: u64, threads: u64) -> Self {
        let since = Instant::now();
        Progress { of, since, known: Mutex::new((vec![[0; 3]; threads as usize], since)) }
    }

    fn tell(&self, thread: usize, tally: &Tally) {
        let on_terminal = std::io::stderr().is_terminal();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (seed, text, what) in &tally.wrong[known.0[thread][2]..] {
            eprintln!("WRONG seed {seed}: {text}\n  → {what}");
        }
        known.0[thread] = [tally.answered, tally.refused.values().sum(), tally.wrong.len()];
        let [answered, refused, wrong] = [0, 1, 2].map(|i| known.0.iter().map(|counts| counts[i]).sum::<usize>());
        let (asked, seconds) = (answered + refused + wrong, self.since.elapsed().as_secs());
        let last = asked as u64 == self.of;
        if !last && known.1.elapsed() < Duration::from_millis(if on_terminal { 200 } else { 20_000 }) {
            return;
        }
        known.1 = Instant::now();
        let (before, after) = if on_terminal { ("\r\x1b[K", if last { "\n" } else { "" }) } else { ("", "\n") };
        eprint!("{before}{asked} of {} after {seconds} s: {answered} answered, {refused} refused, {wrong} wrong{after}", self.of);
    }
}
