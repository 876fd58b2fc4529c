//! One CSV file in the making.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::error::DataError;

pub(super) struct Table {
    text: csv::Writer<Vec<u8>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Self { text: csv::Writer::from_writer(Vec::new()) };
        table.row(header);
        table
    }

    /// Adds a row; an empty cell is a NULL.
    pub(super) fn row<C: AsRef<[u8]>>(&mut self, cells: &[C]) {
        self.text.write_record(cells).expect("writing to memory, every row as long as the header");
    }

    /// Writes the file, gzipped if its name says so (without time stamp or name, so that the bytes depend on the rows alone).
    pub(super) fn write(self, dir: &Path, name: &str) -> Result<(), DataError> {
        let path = dir.join(name);
        let text = self.text.into_inner().expect("writing to memory");
        let done = if name.ends_with(".gz") {
            let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
            gzip.write_all(&text).and_then(|()| gzip.finish())
        } else {
            Ok(text)
        };
        done.and_then(|bytes| std::fs::write(&path, bytes)).map_err(|source| DataError::Write { path, source })
    }
}

/// The text of a cell; NULL is empty.
pub(super) fn cell<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// `value` / 10^`scale` as text.
pub(super) fn decimal(value: i64, scale: u32) -> String {
    let unit = 10_i64.pow(scale);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:0width$}", (value / unit).abs(), (value % unit).abs(), width = scale as usize)
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals() {
        assert_eq!(decimal(229, 2), "2.29");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(-150, 2), "-1.50");
        assert_eq!(decimal(7, 4), "0.0007");
    }
}
