//! A small invented city with the schema and the file layout of the real data pack.
//!
//! The same seed gives the same bytes on every machine: draws come from ChaCha, arithmetic is on integers only, and each
//! table has a random stream of its own, so that adding a row to one table leaves the others as they were.
//! Each zone carries two latent figures (how busy it is, how heavy its burden of disease); the three agencies' tables
//! lean on them, so that questions across the agencies have something to find.

mod draw;
mod energy;
mod health;
mod table;
mod town;
mod transport;

use std::path::Path;

use crate::error::DataError;

/// The seed of the city that `tacit demo` shows.
pub const DEMO_SEED: u64 = 2026;

/// Writes the city of this seed under `dir`: `keys/`, `transport/`, `energy/`, `health/`.
///
/// Existing files of the same names are overwritten.
pub fn generate(dir: &Path, seed: u64) -> Result<(), DataError> {
    for folder in ["keys", "transport", "energy", "health"] {
        let path = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(|source| DataError::Write { path, source })?;
    }
    let town = town::Town::new(seed);
    town.write(dir)?;
    transport::write(dir, &town, seed)?;
    let graded = energy::write(dir, &town, seed)?;
    health::write(dir, &town, &graded, seed)
}

/// The random streams, one a table.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Stream {
    Town = 1,
    TaxiZones,
    GreenTrips,
    FhvDaily,
    Buildings,
    GradedBuildings,
    HourlyDemand,
    Restaurants,
    Inspections,
    CovidModzcta,
    CovidWeekly,
    Indicators,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use sha2::{Digest, Sha256};

    use super::*;

    fn hashes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in std::fs::read_dir(dir).expect("generated folder") {
            for file in std::fs::read_dir(folder.expect("entry").path()).expect("generated folder") {
                let path = file.expect("entry").path();
                let bytes = std::fs::read(&path).expect("generated file");
                let name = path.strip_prefix(dir).expect("inside").to_path_buf();
                found.insert(name, Sha256::digest(&bytes).to_vec());
            }
        }
        found
    }

    #[test]
    fn same_seed_same_bytes() {
        let (one, two, other) = (tempdir(), tempdir(), tempdir());
        generate(one.path(), 7).expect("generate");
        generate(two.path(), 7).expect("generate");
        generate(other.path(), 8).expect("generate");
        assert_eq!(hashes(one.path()).len(), 12);
        assert_eq!(hashes(one.path()), hashes(two.path()));
        let (a, b) = (hashes(one.path()), hashes(other.path()));
        assert!(a.iter().all(|(name, hash)| b[name] != *hash), "every file depends on the seed");
    }

    fn tempdir() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary folder")
    }
}
