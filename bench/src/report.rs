//! What is printed.
#![allow(clippy::print_stdout, reason = "this is what a benchmark is for")]

use serde::Serialize;

/// One work, as every benchmark of Tacit prints it with `--json`: one object a line.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its name.
    pub work: &'static str,
    /// Rows worked on.
    pub rows: u64,
    /// Rounds run; none where a peer does not tell them.
    pub rounds: Option<u64>,
    /// Payload bytes sent by the party that sends most; none where a peer does not tell them.
    pub bytes_party: Option<u64>,
    /// CPU-seconds, all processes together.
    pub cpu_s: f64,
    /// Seconds from the common start to the slowest party's end.
    pub wall_s: f64,
    /// The most memory one process had resident, MB.
    pub rss_mb: f64,
    /// Seconds it may take; infinite, and so null in JSON, where there is no limit.
    pub limit: f64,
    /// Whether every limit of the work holds.
    pub ok: bool,
    /// The same work otherwise, where the ratio is the point.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// Where the time of a question went.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
}

/// Where the time of a question to real nodes went, as the planner saw it; of the repetition that counts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stages {
    /// The planner compiles, signs and submits.
    pub compile_s: f64,
    /// Each party verifies and compiles, and accepts.
    pub offer_s: f64,
    /// Hello and Confirm among the parties.
    pub session_s: f64,
    /// Each party's own part, in clear, at home, until the last is done.
    pub local_s: f64,
    /// Sharing and computing together.
    pub joint_s: f64,
    /// Releasing, sealing, fetching, opening, and the planner's own arithmetic.
    pub finish_s: f64,
}

/// A work run in another way, to be compared with.
#[derive(Debug, Serialize)]
pub struct Beside {
    /// In which way.
    pub beside: &'static str,
    /// Seconds it took so.
    pub beside_s: f64,
    /// How many times as long as the work itself.
    pub ratio: f64,
    /// How many times the work's CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ratio: Option<f64>,
    /// How many times the work's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_ratio: Option<f64>,
}

/// One line of the table: a work and what stands beside it.
pub struct Row {
    /// The measured figures.
    pub line: Line,
    /// The quickest repetition.
    pub best_s: f64,
    /// What the transport alone would take (see [`crate::micro::floor`]), where its bytes and rounds are known.
    pub floor_s: Option<f64>,
    /// The other limits that apply, and whether they hold.
    pub limits: Vec<(String, bool)>,
}

impl Row {
    /// Prints it.
    pub fn print(&self, json: bool) {
        let l = &self.line;
        if json {
            println!("{}", serde_json::to_string(l).expect("plain numbers"));
            return;
        }
        let ms = |s: f64| format!("{:.1}", s * 1e3);
        let told = |n: Option<u64>| n.map_or_else(|| "-".into(), |n| n.to_string());
        let limits: Vec<String> = self.limits.iter().map(|(text, ok)| format!("{text}{}", if *ok { "" } else { " EXCEEDED" })).collect();
        println!(
            "{:<14} {:>9} {:>6} {:>11} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>6.0}  {}",
            l.work,
            l.rows,
            told(l.rounds),
            told(l.bytes_party),
            ms(l.wall_s),
            ms(self.best_s),
            ms(l.cpu_s),
            self.floor_s.map_or_else(|| "-".into(), ms),
            self.floor_s.map_or_else(|| "-".into(), |floor| format!("{:.1}x", l.wall_s / floor)),
            if l.limit.is_finite() { format!("{:.1}", l.limit * 1e3) } else { "-".into() },
            l.rss_mb,
            if limits.is_empty() { "ok".into() } else { limits.join(", ") },
        );
        if let Some(s) = &l.stages {
            println!(
                "{:<14} compile {} ms, offer {}, session {}, at home {}, together {}, finish {}",
                "",
                ms(s.compile_s),
                ms(s.offer_s),
                ms(s.session_s),
                ms(s.local_s),
                ms(s.joint_s),
                ms(s.finish_s)
            );
        }
        if let Some(b) = &l.beside {
            let more = |ratio: Option<f64>, of: &str| ratio.map(|r| format!(", {r:.2} times {of}")).unwrap_or_default();
            let (cpu, bytes) = (more(b.cpu_ratio, "the CPU"), more(b.bytes_ratio, "the bytes"));
            println!("{:<14} {}: {} ms, {:.2} times as long{cpu}{bytes}", "", b.beside, ms(b.beside_s), b.ratio);
        }
    }
}

/// The head of the table.
pub fn header() {
    println!(
        "{:<14} {:>9} {:>6} {:>11} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>6}  limits",
        "work", "rows", "rounds", "bytes/party", "wall ms", "best ms", "cpu ms", "floor ms", "ratio", "limit", "rss MB"
    );
}

/// A work that has no figures, and why.
pub fn without(work: &str, ok: bool, error: &str, json: bool) {
    #[derive(Serialize)]
    struct Without<'a> {
        work: &'a str,
        ok: bool,
        error: &'a str,
    }
    match json {
        true => println!("{}", serde_json::to_string(&Without { work, ok, error }).expect("plain text")),
        false => println!("{work:<14} {}  {error}", if ok { "LEFT OUT" } else { "NO FIGURES" }),
    }
}

/// A line of plain text.
pub fn say(text: &str) {
    println!("{text}");
}

/// What went wrong.
#[allow(clippy::print_stderr, reason = "errors go to people")]
pub fn error(error: &anyhow::Error) {
    eprintln!("bench: {error:#}");
}

/// A word on what takes a moment.
#[allow(clippy::print_stderr, reason = "it is for people")]
pub fn moment(text: &str) {
    eprintln!("bench: {text}");
}
