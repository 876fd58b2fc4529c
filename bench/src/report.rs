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
    /// Rounds run.
    pub rounds: u64,
    /// Payload bytes sent by the party that sends most.
    pub bytes_party: u64,
    /// CPU-seconds, all processes together.
    pub cpu_s: f64,
    /// Seconds from the common start to the slowest party's end.
    pub wall_s: f64,
    /// The most memory one process had resident, MB.
    pub rss_mb: f64,
    /// Seconds it may take.
    pub limit: f64,
    /// Whether every limit of the work holds.
    pub ok: bool,
    /// The same work otherwise, where the ratio is the point.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
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
}

/// One line of the table: a work and what stands beside it.
pub struct Row {
    /// The measured figures.
    pub line: Line,
    /// The quickest repetition.
    pub best_s: f64,
    /// What the transport alone would take (see [`crate::micro::floor`]).
    pub floor_s: f64,
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
        let limits: Vec<String> = self.limits.iter().map(|(text, ok)| format!("{text}{}", if *ok { "" } else { " EXCEEDED" })).collect();
        println!(
            "{:<14} {:>9} {:>6} {:>11} {:>8} {:>8} {:>8} {:>8} {:>6.1}x {:>7.1} {:>6.0}  {}",
            l.work,
            l.rows,
            l.rounds,
            l.bytes_party,
            ms(l.wall_s),
            ms(self.best_s),
            ms(l.cpu_s),
            ms(self.floor_s),
            l.wall_s / self.floor_s,
            l.limit * 1e3,
            l.rss_mb,
            if limits.is_empty() { "ok".into() } else { limits.join(", ") },
        );
        if let Some(b) = &l.beside {
            println!("{:<14} {}: {} ms, {:.2} times as long", "", b.beside, ms(b.beside_s), b.ratio);
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

/// A line of plain text.
pub fn say(text: &str) {
    println!("{text}");
}

/// What went wrong.
#[allow(clippy::print_stderr, reason = "errors go to people")]
pub fn error(error: &anyhow::Error) {
    eprintln!("bench: {error:#}");
}
