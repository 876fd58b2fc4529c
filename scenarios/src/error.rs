//! What can be wrong with a data folder.

use std::path::PathBuf;

/// A data folder that cannot be read, written or used. The text names the file, the place and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be written.
    #[error("cannot write {}: {source}; check that the folder exists, is writable and has space", path.display())]
    Write {
        /// the file
        path: PathBuf,
        /// what the system said
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}; the folder must be laid out as scenarios/README.md shows", path.display())]
    Read {
        /// the file
        path: PathBuf,
        /// what the system said
        source: std::io::Error,
    },
    /// A public file is not what it should be.
    #[error("{}, line {line}: {what}", path.display())]
    Public {
        /// the file
        path: PathBuf,
        /// the line, counted from 1
        line: u64,
        /// what is wrong, and what was expected
        what: String,
    },
    /// The shared data pack is not there.
    #[error(
        "no data pack at {}: set TACIT_DATA to the folder that holds nyc/ and nyc_bronx/, or put it there; \
         without it the questions on real records cannot be checked", path.display()
    )]
    Absent {
        /// where it was looked for
        path: PathBuf,
    },
}
