//! A node's own data: loaded once at start, checked against everything the catalogue declares, all tables or none.
//!
//! CSV is read into memory by a reader of our own, which knows file, line and column of everything it refuses; Parquet is checked
//! where it lies and then scanned by DataFusion.

mod cell;
mod column;
mod csv;
mod declared;
mod findings;
mod parquet;
mod promises;

pub(crate) use cell::days;
pub use findings::{DataFinding, LoadError};

use crate::config::{Config, Format, TableFile};
use declared::{DeclaredColumn, DeclaredTable, Kind, Members, Rows, Set};
use query::catalog::{Catalog, Column, ColumnType, PUBLIC_SCHEMA, Table};
use query::datafusion::arrow::array::{AsArray, RecordBatch};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type};
use query::datafusion::catalog::TableProvider;
use query::datafusion::datasource::MemTable;
use query::local::Tables;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The tables of a node, checked.
pub struct Sources {
    tables: Tables,
    public: Tables,
    summaries: Vec<TableSummary>,
    stamps: Vec<(String, parquet::Stamp)>,
}

/// What may be said of a loaded table at home.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableSummary {
    /// `schema.table`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Bytes it takes in memory (nothing for Parquet, which stays on disk).
    pub bytes: u64,
    /// Columns of the data that the catalogue does not declare; they were not loaded.
    pub ignored: Vec<String>,
}

impl Sources {
    /// Loads and checks every table of this node and every public table.
    ///
    /// # Errors
    /// Everything that was found wrong, up to a cap. Nothing is loaded then.
    pub fn load(config: &Config, catalog: &Catalog) -> Result<Self, LoadError> {
        let files = files(config, catalog)?;
        let mut loading = Loading { config, catalog, domains: HashMap::new(), used: 0, errors: Vec::new() };
        let mut sources = Self { tables: Tables::new(), public: Tables::new(), summaries: Vec::new(), stamps: Vec::new() };
        // Public tables come first: private columns draw from them.
        let (public, private): (Vec<_>, Vec<_>) = files.into_iter().partition(|(table, _)| table.owner().is_none());
        for (table, file) in public.into_iter().chain(private) {
            loading.table(table, file, &mut sources);
        }
        match loading.errors.is_empty() {
            true => Ok(sources),
            false => Err(LoadError::all(loading.errors)),
        }
    }

    /// All tables, as the local stage wants them.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The public ones alone.
    pub fn public(&self) -> &Tables {
        &self.public
    }

    /// What was loaded.
    pub fn summaries(&self) -> &[TableSummary] {
        &self.summaries
    }

    /// The first table whose file on disk is no longer the one that was checked.
    pub fn changed(&self) -> Option<&str> {
        self.stamps.iter().find(|(_, stamp)| !stamp.holds()).map(|(table, _)| table.as_str())
    }
}

/// Pairs every table this node must have with its file.
fn files<'a>(config: &'a Config, catalog: &'a Catalog) -> Result<Vec<(&'a Table, &'a TableFile)>, LoadError> {
    let mut given: BTreeMap<&str, &TableFile> = config.tables.iter().map(|file| (file.name.as_str(), file)).collect();
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for table in catalog.public_tables().chain(catalog.tables_of(&config.node)) {
        match given.remove(table.name.as_str()) {
            Some(file) => files.push((table, file)),
            None => {
                let what =
                    format!("the catalogue has the table `{}`, but no [[table]] of this node's configuration says where it is", table.name);
                errors.push(LoadError::one(&table.name, what));
            }
        }
    }
    errors.extend(given.into_values().map(|file| {
        let what = format!("{}: the catalogue has no table `{}`; declare it there or remove the [[table]]", file.shown, file.name);
        LoadError::one(&file.name, what)
    }));
    if errors.is_empty() { Ok(files) } else { Err(LoadError::all(errors)) }
}

struct Loading<'a> {
    config: &'a Config,
    catalog: &'a Catalog,
    /// `None` where its table could not be loaded: its columns are then not checked for membership.
    domains: HashMap<&'a str, Option<Arc<Set>>>,
    used: u64,
    errors: Vec<LoadError>,
}

impl<'a> Loading<'a> {
    fn table(&mut self, table: &'a Table, file: &TableFile, into: &mut Sources) {
        let declared = self.declare(table);
        match self.read(&declared, file) {
            Ok(read) => {
                let public = table.owner().is_none();
                if public {
                    self.fill_domains(table, &read.batches);
                }
                into.stamps.extend(read.stamps.into_iter().map(|stamp| (table.name.clone(), stamp)));
                into.summaries.push(read.summary);
                into.tables.insert(table.name.as_str(), read.provider.clone());
                if public {
                    into.public.insert(table.name.as_str(), read.provider);
                }
            }
            Err(error) => {
                self.errors.push(error);
                let drawn = self.catalog.domains().iter().filter(|domain| domain.table == table.name);
                self.domains.extend(drawn.map(|domain| (domain.name.as_str(), None)));
            }
        }
    }

    fn read(&mut self, declared: &DeclaredTable, file: &TableFile) -> Result<Read, LoadError> {
        let one = |what: String| LoadError::one(&declared.name, what);
        let most = self.config.limits.max_rows;
        if file.format == Format::Parquet {
            if !parquet::allowed(declared) {
                return Err(one(format!("{}: a public table is CSV, since the catalogue pins the hash of its CSV", file.shown)));
            }
            let parquet::ParquetTable { provider, rows, ignored, stamps } = parquet::read(file, declared, most)?;
            let summary = TableSummary { name: declared.name.clone(), rows, bytes: 0, ignored };
            return Ok(Read { provider, batches: Vec::new(), stamps, summary });
        }
        let csv::CsvTable { batches, rows, ignored } = csv::read(file, declared, most)?;
        let bytes: u64 = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
        self.used += bytes;
        if self.used > self.config.limits.memory() as u64 {
            let what = format!(
                "{}: the tables up to this one need {} MiB, more than this node's [limits] memory_mb = {}; raise it, or keep the table as Parquet",
                file.shown,
                self.used.div_ceil(1 << 20),
                self.config.limits.memory_mb
            );
            return Err(one(what));
        }
        let table = MemTable::try_new(declared.schema.clone(), vec![batches.clone()]);
        let provider = table.map_err(|_| one(format!("{}: it could not be put into memory as declared", file.shown)))?;
        let summary = TableSummary { name: declared.name.clone(), rows, bytes, ignored };
        Ok(Read { provider: Arc::new(provider), batches, stamps: Vec::new(), summary })
    }

    fn declare(&self, table: &Table) -> DeclaredTable {
        let position = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let rows = match table.owner() {
            None => Rows::Exactly(table.max_rows),
            Some(_) => Rows::AtMost(table.max_rows),
        };
        DeclaredTable {
            name: table.name.clone(),
            columns: table.columns.iter().map(|column| self.declare_column(table, column)).collect(),
            key: table.key.iter().filter_map(position).collect(),
            rows,
            sha256: table.sha256.as_deref().and_then(|hex| hex.parse::<ledger::bytes::Hash>().ok()).map(|hash| hash.0),
            schema: table.arrow_schema(),
        }
    }

    fn declare_column(&self, table: &Table, column: &Column) -> DeclaredColumn {
        let mut members = Vec::new();
        // The column a domain is made of need not be held against it.
        let own = |name: &str| self.catalog.domain(name).is_some_and(|d| d.table == table.name && d.column == column.name);
        if let Some(name) = column.domain.as_deref().filter(|name| !own(name))
            && let Some(Some(set)) = self.domains.get(name)
        {
            members.push(Members { domain: Some(name.to_owned()), set: set.clone() });
        }
        if let Some(dictionary) = &column.dictionary {
            let set = dictionary.iter().map(|text| text.as_str().into()).collect();
            members.push(Members { domain: None, set: Arc::new(Set::Text(set)) });
        }
        DeclaredColumn {
            name: column.name.clone(),
            kind: match column.column_type {
                ColumnType::Int => Kind::Int,
                ColumnType::BigInt => Kind::BigInt,
                ColumnType::Decimal(precision, scale) => Kind::Decimal { precision, scale },
                ColumnType::Date => Kind::Date,
                ColumnType::Timestamp(unit) => Kind::Timestamp(unit),
                ColumnType::Boolean => Kind::Boolean,
                ColumnType::String => Kind::Text,
            },
            range: column.range.map(|range| (range.min, range.max)),
            nullable: column.nullable && !table.key.contains(&column.name),
            members,
            max_bytes: column.max_bytes.filter(|_| column.dictionary.is_none()).map_or(DeclaredColumn::MAX_TEXT, |bytes| bytes as usize),
            distinct: column.distinct,
            repeats: column.repeats,
            data_type: column.column_type.arrow(),
        }
    }

    /// Makes the domains of a public table that has been loaded.
    fn fill_domains(&mut self, table: &'a Table, batches: &[RecordBatch]) {
        for domain in self.catalog.domains().iter().filter(|domain| domain.table == table.name) {
            let set =
                table.columns.iter().position(|c| c.name == domain.column).map(|at| values(table.columns[at].column_type, at, batches));
            let count = set.as_ref().map_or(0, Set::len);
            if count as u64 > domain.values {
                let what = format!("the domain `{}` has {count} values, the catalogue says at most {}", domain.name, domain.values);
                self.errors.push(LoadError::one(&table.name, what));
            }
            self.domains.insert(&domain.name, set.map(Arc::new));
        }
    }
}

/// One table, read.
struct Read {
    provider: Arc<dyn TableProvider>,
    batches: Vec<RecordBatch>,
    stamps: Vec<parquet::Stamp>,
    summary: TableSummary,
}

/// The distinct values of a column, without NULL.
fn values(column_type: ColumnType, at: usize, batches: &[RecordBatch]) -> Set {
    let arrays = batches.iter().map(|batch| batch.column(at));
    macro_rules! raw {
        ($type:ty) => {
            Set::Raw(arrays.flat_map(|array| array.as_primitive::<$type>().iter().flatten().map(i128::from)).collect())
        };
    }
    match column_type {
        ColumnType::Int => raw!(Int32Type),
        ColumnType::BigInt => raw!(Int64Type),
        ColumnType::Decimal(..) => raw!(Decimal128Type),
        ColumnType::Date => raw!(Date32Type),
        ColumnType::Timestamp(_) => {
            let units = arrays.map(|array| cast(array, &DataType::Int64).expect("a timestamp is 64 bits"));
            Set::Raw(
                units.flat_map(|array| array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).collect::<Vec<_>>()).collect(),
            )
        }
        ColumnType::Boolean => {
            let bits: HashSet<i128> = arrays.flat_map(|array| array.as_boolean().iter().flatten().map(i128::from)).collect();
            Set::Raw(bits)
        }
        ColumnType::String => Set::Text(arrays.flat_map(|array| array.as_string::<i32>().iter().flatten().map(Box::from)).collect()),
    }
}

/// The schema every node holds.
pub(crate) fn is_public(table: &str) -> bool {
    table.split_once('.').is_some_and(|(schema, _)| schema == PUBLIC_SCHEMA)
}

#[cfg(test)]
mod tests;
