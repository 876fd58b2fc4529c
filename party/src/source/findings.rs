//! What is wrong with the data, for the person who has to mend them: file, line, column and what was declared. Never a value.

use std::fmt;

/// One thing that is wrong with a table's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFinding {
    /// The table, `schema.table`.
    pub table: String,
    /// What is wrong, beginning with the file.
    pub what: String,
}

impl fmt::Display for DataFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Why nothing was loaded: all that was found, up to a cap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data do not match the catalogue; nothing was loaded{}{}", lines(.findings), rest(.further))]
pub struct LoadError {
    /// The first findings.
    pub findings: Vec<DataFinding>,
    /// How many more there are.
    pub further: u64,
}

impl LoadError {
    /// The most findings that are listed.
    pub const CAP: usize = 20;

    /// One finding.
    pub(crate) fn one(table: &str, what: String) -> Self {
        Self { findings: vec![DataFinding { table: table.into(), what }], further: 0 }
    }

    /// All of these in one, capped.
    pub(crate) fn all(errors: Vec<LoadError>) -> Self {
        let further = errors.iter().map(|e| e.further).sum();
        let mut all = Self { findings: errors.into_iter().flat_map(|e| e.findings).collect(), further };
        all.further += all.findings.len().saturating_sub(Self::CAP) as u64;
        all.findings.truncate(Self::CAP);
        all
    }
}

fn lines(findings: &[DataFinding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

fn rest(further: &u64) -> String {
    if *further > 0 { format!("\n  … and {further} more") } else { String::new() }
}

/// What has been found in one table so far.
pub(crate) struct Report<'a> {
    table: &'a str,
    shown: &'a str,
    listed: Vec<DataFinding>,
    /// Findings of each column, listed or not, and last those of whole records.
    by_column: Vec<u64>,
    further: u64,
}

/// A column with this many findings has the rest of them only counted, so that it does not hide those of others.
const PER_COLUMN: u64 = 3;

impl<'a> Report<'a> {
    pub fn new(table: &'a str, shown: &'a str, columns: usize) -> Self {
        Self { table, shown, listed: Vec::new(), by_column: vec![0; columns + 1], further: 0 }
    }

    pub fn is_clean(&self) -> bool {
        self.listed.is_empty() && self.further == 0
    }

    /// Something about the file, or a line of it.
    pub fn file(&mut self, line: Option<u64>, what: impl fmt::Display) {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let shown = self.shown;
        self.add(|| format!("{shown}{line}: {what}"));
    }

    /// Something about a column as a whole.
    pub fn column(&mut self, name: &str, what: impl fmt::Display) {
        let shown = self.shown;
        self.add(|| format!("{shown}, column `{name}`: {what}"));
    }

    /// Something about a record as a whole.
    pub fn record(&mut self, line: u64, what: impl fmt::Display) {
        if self.counts(self.by_column.len() - 1) {
            self.file(Some(line), what);
        }
    }

    /// Something about a cell, whose row is at `place`.
    pub fn cell(&mut self, place: impl fmt::Display, at: usize, name: &str, what: impl FnOnce() -> String) {
        if self.counts(at) {
            let shown = self.shown;
            self.add(|| format!("{shown}, {place}, column `{name}`: {}", what()));
        }
    }

    /// Whether one more finding of this kind is still listed.
    fn counts(&mut self, kind: usize) -> bool {
        self.by_column[kind] += 1;
        let listed = self.by_column[kind] <= PER_COLUMN;
        self.further += u64::from(!listed);
        listed
    }

    pub fn finish<T>(self, value: T) -> Result<T, LoadError> {
        match self.is_clean() {
            true => Ok(value),
            false => Err(LoadError { findings: self.listed, further: self.further }),
        }
    }

    fn add(&mut self, what: impl FnOnce() -> String) {
        if self.listed.len() < LoadError::CAP {
            self.listed.push(DataFinding { table: self.table.into(), what: what() });
        } else {
            self.further += 1;
        }
    }
}
