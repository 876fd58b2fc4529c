//! EXPLAIN as text: aligned, readable without colour, the same on every machine.

use super::{Consent, ContractLine, Explain, NoiseLines, StepLine, WayLine};
use ledger::contract::Sizes;
use std::fmt;

/// The way that is gone, and so many others, are shown.
const SHOWN: usize = 4;

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Plan {} (three-party replicated sharing, semi-honest)", &self.plan[..self.plan.len().min(16)])?;
        writeln!(f, "\nHolds")?;
        let width = self.holders.iter().map(|(h, _)| h.len()).max().unwrap_or(0);
        for (holder, tables) in &self.holders {
            writeln!(f, "  {holder:width$}  {}", tables.join(", "))?;
        }
        self.consent(f)?;
        writeln!(f, "\nAt home (in clear, at whoever holds the tables)")?;
        for scan in &self.scans {
            let rows = self.frames.iter().find(|frame| frame.name == scan.frame).map_or(0, |frame| frame.rows);
            let who = if scan.owner == "public" { "everyone" } else { &scan.owner };
            writeln!(f, "  {who}, for {} ({})", scan.frame, count(rows, "row"))?;
            for line in scan.plan.lines() {
                writeln!(f, "    {line}")?;
            }
            columns(f, if scan.owner == "public" { "uses" } else { "shares" }, &scan.columns)?;
        }
        for rows in &self.rows {
            let who = if rows.owner == "public" { "everyone" } else { &rows.owner };
            let padded = match rows.sizes {
                Sizes::Bucket => ", at most: the other parties learn how many rows there are, rounded up",
                Sizes::Exact => ", at most: the other parties learn how many rows there are",
                Sizes::Hidden if rows.padded => ", fewer rows padded to them",
                Sizes::Hidden => "",
            };
            let sorted = if rows.sorted.is_empty() { String::new() } else { format!(", sorted by {}", rows.sorted.join(", ")) };
            writeln!(f, "  {who}, row by row ({}{padded}{sorted})", count(rows.places, "place"))?;
            for line in rows.plan.lines() {
                writeln!(f, "    {line}")?;
            }
            let verb = if rows.owner == "public" {
                "uses"
            } else if rows.asked {
                "is asked for"
            } else {
                "shares"
            };
            columns(f, verb, &rows.columns)?;
        }
        writeln!(f, "\nTogether (on shares)")?;
        self.steps(f)?;
        self.hows(f)?;
        self.choices(f)?;
        let noise = self.noise.as_ref().map(NoiseLines::words).unwrap_or_default();
        if !self.privacy.is_empty() || !noise.is_empty() {
            writeln!(f, "\nPrivacy (as the contracts ask)")?;
            self.privacy.iter().chain(&noise).try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        let told: Vec<_> = self.rows.iter().filter(|rows| rows.sizes != Sizes::Hidden).collect();
        if !told.is_empty() {
            writeln!(f, "\nTells (to the other parties and the planner, before rows are shared)")?;
        }
        for rows in &told {
            let how = if rows.sizes == Sizes::Exact { "" } else { ", rounded up" };
            writeln!(f, "  how many of at most {} rows {} has{how}", rows.places, rows.owner)?;
        }
        let besides = if told.is_empty() { "nobody learns anything else" } else { "nobody learns anything else but what is told" };
        writeln!(f, "\nReveals (to the planner alone; {besides})")?;
        for reveal in &self.reveals {
            writeln!(
                f,
                "  {}, for {}{}",
                reveal.what,
                reveal.per,
                if reveal.why.is_empty() { String::new() } else { format!(" ({})", reveal.why) }
            )?;
        }
        writeln!(f, "\nAt the planner (in clear, on what was revealed)")?;
        for line in self.answer.lines() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl Explain {
    fn consent(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(consent) = &self.consent else { return Ok(()) };
        writeln!(f, "\nConsent")?;
        match consent {
            Consent::NotChecked => writeln!(f, "  not checked: no contracts here"),
            Consent::Refused(refusal) => {
                writeln!(f, "  refused: {}", refusal.reason)?;
                writeln!(f, "    to mend it: {}", refusal.fix)
            }
            Consent::Allowed(contracts) if contracts.is_empty() => writeln!(f, "  none is needed: no agency's table is read"),
            Consent::Allowed(contracts) => {
                let mut head = ["  data set", "contract", "id", "until", "for"].map(String::from).to_vec();
                let costs = contracts.iter().any(|contract| contract.price.is_some());
                head.splice(4..4, costs.then(|| "price".to_owned()));
                let line = |c: &ContractLine| {
                    let mut line =
                        vec![format!("  {}", c.dataset), c.contract.clone(), c.id.clone(), c.until.clone(), c.purposes.join(", ")];
                    line.splice(4..4, costs.then(|| c.price.clone().unwrap_or_else(|| "none".into())));
                    line
                };
                let rows: Vec<Vec<String>> = std::iter::once(head).chain(contracts.iter().map(line)).collect();
                table(f, &rows, &[])
            }
        }
    }

    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let analyzed = self.steps.iter().any(|s| !s.measured.is_empty());
        let mut head: Vec<String> = ["  operator", "on", "rows", "rounds"].map(String::from).to_vec();
        head.extend(self.parties.iter().map(|p| format!("bytes {p}")));
        if analyzed {
            head.extend(["measured rounds", "bytes", "time"].map(String::from));
        }
        let mut rows = vec![head];
        for step in &self.steps {
            let mut row =
                vec![format!("  {}", step.operator), step.what.clone(), step.rows.to_string(), figure(step.rounds, step.expected)];
            row.extend(step.bytes.iter().map(|bytes| figure(*bytes, step.expected)));
            if analyzed {
                row.extend(measured(step));
            }
            rows.push(row);
        }
        let expected = self.steps.iter().any(|step| step.expected);
        let mut total = vec!["  total".into(), String::new(), String::new(), figure(self.rounds(), expected)];
        total.extend(self.bytes().iter().map(|bytes| figure(*bytes, expected)));
        if analyzed {
            let sum = |of: fn(&StepLine) -> u64| self.steps.iter().map(of).sum::<u64>();
            let rounds = sum(|s| s.measured.iter().map(|m| m.rounds).max().unwrap_or(0));
            // of the party that sent most in all
            let sent = |party: usize| self.steps.iter().filter_map(|s| s.measured.get(party)).map(|m| m.bytes).sum::<u64>();
            let bytes = (0..self.parties.len()).map(sent).max().unwrap_or(0);
            let micros = sum(|s| s.measured.iter().map(|m| m.micros).max().unwrap_or(0));
            total.extend([rounds.to_string(), bytes.to_string(), seconds(micros)]);
        }
        rows.push(total);
        let columns = rows[0].len();
        table(f, &rows, &(2..columns).collect::<Vec<_>>())?;
        if expected {
            writeln!(f, "  ~: expected; a samplesort compares rows in a random order, and how often depends on that")?;
        }
        writeln!(f, "  memory: at most {} bytes for shares at a party", self.memory)?;
        if analyzed {
            writeln!(f, "  time: of the party that took longest, with its waiting for the others, whose work at home may still run")?;
        }
        Ok(())
    }
}

impl Explain {
    /// What the compiler decided, and how each operator works, each once.
    fn hows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.decided.is_empty() {
            writeln!(f, "\nDecided (by what the catalogue says)")?;
        }
        for (number, line) in self.decided.iter().enumerate() {
            if self.decided[..number].contains(line) {
                continue;
            }
            writeln!(f, "  {}: {}\n    because {}", line.decided.of, line.decided.way, line.decided.why)?;
            let took = |way: &WayLine| {
                let [rounds, bytes] = [way.rounds, way.bytes].map(|n| figure(n, way.expected));
                format!("{rounds} rounds, {bytes} bytes, {} on the network", seconds(way.micros))
            };
            match &line.weighed {
                Some((so, Ok(other))) => writeln!(f, "    the question so: {}\n    or {}: {}", took(so), other.what, took(other))?,
                Some((_, Err(why))) => {
                    let other = line.decided.other.as_deref().unwrap_or("the other way");
                    writeln!(f, "    or {other}: it cannot be run: {why}")?;
                }
                None => {}
            }
        }
        writeln!(f, "\nHow")?;
        let hows: Vec<(&str, &str)> = self.steps.iter().map(|step| (step.operator.as_str(), step.how.as_str())).collect();
        for (number, (operator, how)) in hows.iter().enumerate() {
            if !hows[..number].contains(&(operator, how)) {
                writeln!(f, "  {operator}: {how}")?;
            }
        }
        Ok(())
    }

    /// What the cost model chose, step by step, and the quickest alternatives.
    fn choices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.iter().all(|s| s.choices.is_empty()) {
            return Ok(());
        }
        writeln!(
            f,
            "\nChosen (no sort on shares where an owner knows the order; else of least estimated time over the network of the catalogue: {})",
            self.assumed
        )?;
        let mut rows = vec![["  for", "way", "rounds", "bytes", "estimate"].map(String::from).to_vec()];
        for step in &self.steps {
            for choice in &step.choices {
                for (number, way) in choice.ways.iter().take(SHOWN).enumerate() {
                    let of = if number == 0 { format!("  {}: {}", step.operator, choice.of) } else { String::new() };
                    let what = if number == 0 { way.what.clone() } else { format!("  or {}", way.what) };
                    let cost = [figure(way.rounds, way.expected), figure(way.bytes, way.expected), seconds(way.micros)];
                    rows.push([of, what].into_iter().chain(cost).collect());
                }
            }
        }
        table(f, &rows, &[2, 3, 4])
    }
}

fn columns(f: &mut fmt::Formatter<'_>, verb: &str, columns: &[super::ColumnLine]) -> fmt::Result {
    let rows: Vec<Vec<String>> = columns
        .iter()
        .map(|c| {
            let forms = if c.forms.is_empty() { "group key".into() } else { c.forms.join(" and ") };
            vec![format!("    {verb} {}", c.what), forms, c.range.clone()]
        })
        .collect();
    table(f, &rows, &[])
}

/// Rounds, bytes of the party that sent most, time of the slowest.
fn measured(step: &StepLine) -> [String; 3] {
    let most = |of: fn(&crate::message::Measured) -> u64| step.measured.iter().map(of).max();
    let shown = |v: Option<u64>| v.map_or_else(|| "-".into(), |v| v.to_string());
    [shown(most(|m| m.rounds)), shown(most(|m| m.bytes)), most(|m| m.micros).map_or_else(|| "-".into(), seconds)]
}

/// Rounds or bytes, as they will be or are expected.
fn figure(figure: u64, expected: bool) -> String {
    format!("{}{figure}", if expected { "~" } else { "" })
}

fn seconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

fn count(n: u64, unit: &str) -> String {
    if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") }
}

/// Rows of cells as aligned columns; those in `right` are numbers.
fn table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>], right: &[usize]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[c] - cell.chars().count());
            line += &if right.contains(&c) { format!("{gap}{cell}  ") } else { format!("{cell}{gap}  ") };
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
