//! The public tables: the zones as given, and three tables derived from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::calendar::Day;
use crate::error::DataError;

/// The days of `public.days`: those for which all three agencies have records.
pub(crate) const FIRST_DAY: Day = Day::of(2015, 1, 1);
pub(crate) const LAST_DAY: Day = Day::of(2015, 7, 31);

const ZONE_COLUMNS: [&str; 7] = ["modzcta", "uhf42", "uhf_name", "borough", "neighborhood", "population", "area_km2"];

#[derive(Debug)]
pub(crate) struct Public {
    /// zones, neighbourhoods, boroughs, days
    pub tables: [PublicTable; 4],
    /// the names of the boroughs, in order
    pub boroughs: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct PublicTable {
    pub name: &'static str,
    pub path: PathBuf,
    pub rows: usize,
    /// of the file's bytes, hexadecimal
    pub sha256: String,
}

impl Public {
    /// Reads the zones and writes the derived tables into the folder `out`.
    pub(crate) fn derive(zones: &Path, out: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(zones).map_err(|source| DataError::Read { path: zones.to_path_buf(), source })?;
        let keys = Keys::read(zones, &bytes)?;
        std::fs::create_dir_all(out).map_err(|source| DataError::Write { path: out.to_path_buf(), source })?;
        Ok(Self {
            tables: [
                PublicTable::new("public.zones", zones.to_path_buf(), keys.zones, &bytes),
                keys.neighbourhoods(out)?,
                keys.boroughs(out)?,
                days(out)?,
            ],
            boroughs: keys.boroughs.into_keys().collect(),
        })
    }
}

impl PublicTable {
    fn new(name: &'static str, path: PathBuf, rows: usize, bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, path, rows, sha256 }
    }

    fn write(name: &'static str, path: PathBuf, rows: &[Vec<String>]) -> Result<Self, DataError> {
        let mut text = csv::Writer::from_writer(Vec::new());
        for row in rows {
            text.write_record(row).expect("writing to memory, rows of equal length");
        }
        let bytes = text.into_inner().expect("writing to memory");
        std::fs::write(&path, &bytes).map_err(|source| DataError::Write { path: path.clone(), source })?;
        Ok(Self::new(name, path, rows.len() - 1, &bytes))
    }
}

/// What the zones say of the larger areas.
struct Keys {
    zones: usize,
    /// number → name, borough, population
    areas: BTreeMap<u32, (String, String, u64)>,
    /// name → population
    boroughs: BTreeMap<String, u64>,
}

impl Keys {
    fn read(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let fault = |line: u64, what: String| DataError::Public { path: path.to_path_buf(), line, what };
        let mut text = csv::Reader::from_reader(bytes);
        let header = text.headers().map_err(|e| fault(1, e.to_string()))?;
        if header.iter().ne(ZONE_COLUMNS) {
            return Err(fault(1, format!("the header must read {}", ZONE_COLUMNS.join(","))));
        }
        let mut keys = Self { zones: 0, areas: BTreeMap::new(), boroughs: BTreeMap::new() };
        for record in text.records() {
            let row = record.map_err(|e| fault(e.position().map_or(0, csv::Position::line), e.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            let number =
                |at: usize| row[at].parse::<u32>().map_err(|_| fault(line, format!("column {} must be a whole number", ZONE_COLUMNS[at])));
            let (uhf42, population) = (number(1)?, u64::from(number(5)?));
            let (name, borough) = (&row[2], &row[3]);
            let area = keys.areas.entry(uhf42).or_insert_with(|| (name.to_owned(), borough.to_owned(), 0));
            if (area.0.as_str(), area.1.as_str()) != (name, borough) {
                return Err(fault(line, format!("neighbourhood {uhf42} had another name or borough on a line above")));
            }
            area.2 += population;
            *keys.boroughs.entry(borough.to_owned()).or_default() += population;
            keys.zones += 1;
        }
        Ok(keys)
    }

    fn neighbourhoods(&self, out: &Path) -> Result<PublicTable, DataError> {
        let mut rows = vec![["uhf42", "uhf_name", "borough", "population"].map(str::to_owned).to_vec()];
        for (uhf42, (name, borough, population)) in &self.areas {
            rows.push(vec![uhf42.to_string(), name.clone(), borough.clone(), population.to_string()]);
        }
        PublicTable::write("public.neighbourhoods", out.join("neighbourhoods.csv"), &rows)
    }

    fn boroughs(&self, out: &Path) -> Result<PublicTable, DataError> {
        let mut rows = vec![["borough", "population"].map(str::to_owned).to_vec()];
        for (borough, population) in &self.boroughs {
            rows.push(vec![borough.clone(), population.to_string()]);
        }
        PublicTable::write("public.boroughs", out.join("boroughs.csv"), &rows)
    }
}

fn days(out: &Path) -> Result<PublicTable, DataError> {
    let mut rows = vec![["day", "weekday"].map(str::to_owned).to_vec()];
    for day in (FIRST_DAY.0..=LAST_DAY.0).map(Day) {
        rows.push(vec![day.to_string(), (day.weekday() + 1).to_string()]);
    }
    PublicTable::write("public.days", out.join("days.csv"), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "modzcta,uhf42,uhf_name,borough,neighborhood,population,area_km2\n";

    fn derive(rows: &str) -> Result<(Public, tempfile::TempDir), DataError> {
        let dir = tempfile::tempdir().expect("folder");
        let zones = dir.path().join("zones.csv");
        std::fs::write(&zones, format!("{HEADER}{rows}")).expect("write");
        Public::derive(&zones, &dir.path().join("public")).map(|public| (public, dir))
    }

    #[test]
    fn larger_areas_are_sums_of_zones() {
        let rows = "10002,102,Mill,Old,a,10,1.0\n10001,101,Quay,New,b,7,1.0\n10003,101,Quay,New,\"c, d\",8,1.0\n";
        let (public, _dir) = derive(rows).expect("derive");
        let text = |at: usize| std::fs::read_to_string(&public.tables[at].path).expect("read");
        assert_eq!(text(1), "uhf42,uhf_name,borough,population\n101,Quay,New,15\n102,Mill,Old,10\n");
        assert_eq!(text(2), "borough,population\nNew,15\nOld,10\n");
        assert!(text(3).starts_with("day,weekday\n2015-01-01,4\n"));
        assert_eq!(public.tables.each_ref().map(|t| t.rows), [3, 2, 2, 212]);
        assert_eq!(public.boroughs, ["New", "Old"]);
    }

    #[test]
    fn faults_are_named_with_their_line() {
        for (rows, place, what) in [
            ("10001,101,Quay,New,b,7,1.0\n10002,101,Quay,Old,b,7,1.0\n", "line 3", "another name or borough"),
            ("10001,101,Quay,New,b,seven,1.0\n", "line 2", "column population"),
            ("10001,101,Quay\n", "line 2", ""),
        ] {
            let error = derive(rows).expect_err("must fail").to_string();
            assert!(error.contains(place) && error.contains(what), "{error}");
        }
    }
}
