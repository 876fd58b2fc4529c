//! A city's data folder: which file is which table, and whose.

use std::path::{Path, PathBuf};

use crate::catalog::{self, TABLES};
use crate::error::DataError;
use crate::public::Public;

/// The agencies, in the order of the roster. Each name is also the schema of the agency's tables.
pub const PARTIES: [&str; 3] = ["transport", "energy", "health"];

/// A table and the file it is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The table as SQL names it, such as `transport.green_trips`.
    pub table: String,
    /// The file.
    pub path: PathBuf,
    /// How the file is written.
    pub format: Format,
}

/// How a file is written: CSV with a header row, UTF-8, an empty field for NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Csv,
    /// The same, gzipped.
    CsvGz,
}

impl Format {
    /// `csv` or `csv.gz`, as the ends of file names have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::CsvGz => "csv.gz",
        }
    }

    fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|end| end == "gz") { Self::CsvGz } else { Self::Csv }
    }
}

impl Source {
    fn new(table: &str, path: PathBuf) -> Self {
        Self { table: table.to_owned(), format: Format::of(&path), path }
    }
}

/// A data folder that has been looked over: every file is there and the public keys are sound.
#[derive(Debug)]
pub struct City {
    data: PathBuf,
    public: Public,
}

impl City {
    /// Opens the folder `data` (which is only read) and writes the derived public tables under `work/public/`.
    ///
    /// The derived files depend on `keys/zones.csv` alone; writing them again gives the same bytes.
    pub fn open(data: &Path, work: &Path) -> Result<Self, DataError> {
        let public = Public::derive(&data.join("keys/zones.csv"), &work.join("public"))?;
        let city = Self { data: data.to_path_buf(), public };
        for party in PARTIES {
            for source in city.sources(party) {
                std::fs::metadata(&source.path).map_err(|e| DataError::Read { path: source.path, source: e })?;
            }
        }
        Ok(city)
    }

    /// The catalogue of this city, as TOML: public, the same at every node.
    pub fn catalog_toml(&self) -> String {
        catalog::toml(&self.public)
    }

    /// The private tables of one agency. An unknown name has none.
    pub fn sources(&self, party: &str) -> Vec<Source> {
        TABLES
            .iter()
            .filter(|t| t.name.split_once('.').is_some_and(|(owner, _)| owner == party))
            .map(|t| Source::new(t.name, self.data.join(t.file)))
            .collect()
    }

    /// The public tables, which every node reads from its own copy of the same files.
    pub fn public_sources(&self) -> Vec<Source> {
        self.public.tables.iter().map(|t| Source::new(t.name, t.path.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEMO_SEED, generate};

    #[test]
    fn an_opened_city_names_every_file_once() {
        let (data, work) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        generate(data.path(), DEMO_SEED).expect("generate");
        let city = City::open(data.path(), work.path()).expect("open");
        let private: Vec<_> = PARTIES.iter().flat_map(|p| city.sources(p)).collect();
        assert_eq!(private.len(), 11);
        assert!(private.iter().all(|s| s.path.is_file()));
        assert_eq!(city.sources("police"), []);
        assert_eq!(city.public_sources().len(), 4);
        assert!(city.public_sources().iter().all(|s| s.path.is_file() && s.format == Format::Csv));
    }

    #[test]
    fn a_missing_file_is_named() {
        let (data, work) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        generate(data.path(), DEMO_SEED).expect("generate");
        std::fs::remove_file(data.path().join("health/covid_modzcta.csv")).expect("remove");
        let error = City::open(data.path(), work.path()).expect_err("must fail").to_string();
        assert!(error.contains("covid_modzcta.csv"), "{error}");
    }
}
