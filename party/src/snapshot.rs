//! What this node says in the city's log that a table of its holds: the root of a tree over its columns.
//!
//! A column's digest is SHA-256 over its values in the table's order: a byte 0 for NULL; else 1 and the value, little-endian, a text
//! with its length before it. Its leaf is `tacit/column/v1`, a salt, the digest, the rows, its name and its type; the root is that of the
//! log's own tree ([`ledger::tree`]) over the leaves in the catalogue's order. The salt is SHA-256 over this node's secret and the
//! digest, so that the same table has the same root, and nobody without the secret can try out what a column may hold; one column can
//! be opened without the others.
//!
//! It commits the owner to what it loaded, not to the truth of it. A node takes part in a job only if this is the snapshot that the job names. Nobody else
//! can check that what it first deals is of it, as its sub-plans run at home; from then on it is bound to what it dealt, for parts of which it can be (`dealing.rs`).

use crate::source::Sources;
use futures_util::StreamExt;
use ledger::bytes::Hash;
use ledger::entry::{self, Body, DataSet};
use ledger::tree::{leaf_hash, root};
use mpc_core::identity::Identity;
use mpc_core::stack;
use query::catalog::{Catalog, Column, Table};
use query::datafusion::arrow::array::{Array, ArrayRef, AsArray};
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type};
use query::datafusion::catalog::TableProvider;
use query::datafusion::prelude::{SessionConfig, SessionContext};
use query::local::Tables;
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// A signed `dataset` entry for each table of this node's own.
///
/// # Errors
/// The secret cannot be kept in `state`, or a table cannot be read again; never with a value.
pub fn entries(node: &str, identity: &Identity, catalog: &Catalog, sources: &Sources, state: &Path) -> Result<Vec<String>, String> {
    let secret = secret(&state.join("snapshot.secret"))?;
    let entry = |table: &Table| {
        let snapshot = of(table, sources.tables(), &secret)?;
        let columns =
            table.columns.iter().map(|column| entry::Column { name: column.name.clone(), sql_type: column.column_type.to_string() });
        let body = Body::DataSet(DataSet { dataset: table.name.clone(), snapshot, columns: columns.collect() });
        let signed = stack::wiped(|| body.sign(node, identity.signing_key()));
        signed.map_err(|error| format!("the snapshot of `{}`: {error}", table.name))
    };
    catalog.tables_of(node).map(entry).collect()
}

/// The snapshot of one table of this node's own.
///
/// # Errors
/// It could not be read again.
pub(crate) fn of(table: &Table, tables: &Tables, secret: &[u8; 32]) -> Result<Hash, String> {
    let unread = || format!("the table `{}` could not be read again for its snapshot", table.name);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let provider = tables.get(&table.name).ok_or_else(unread)?;
    let (digests, rows) = runtime.block_on(digests(table, provider.clone())).ok_or_else(unread)?;
    let leaves: Vec<Hash> = table.columns.iter().zip(&digests).map(|(column, digest)| leaf(secret, column, digest, rows)).collect();
    Ok(root(&leaves[..], leaves.len() as u64).unwrap_or_else(|never| match never {}))
}

fn leaf(secret: &[u8; 32], column: &Column, digest: &Hash, rows: u64) -> Hash {
    let salt = Hash::sha256(&[b"tacit/snapshot-salt/v1\n", secret, column.name.as_bytes(), b"\n", &digest.0]);
    let text = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    let (name, sql_type) = (text(&column.name), text(&column.column_type.to_string()));
    leaf_hash(&[&b"tacit/column/v1\n"[..], &salt.0, &digest.0, &rows.to_be_bytes(), &name, &sql_type].concat())
}

/// The digest of each column, and how many rows there are.
async fn digests(table: &Table, provider: Arc<dyn TableProvider>) -> Option<(Vec<Hash>, u64)> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let mut batches = context.read_table(provider).ok()?.execute_stream().await.ok()?;
    let mut hashers = vec![Sha256::new(); table.columns.len()];
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.ok()?;
        for (column, hasher) in table.columns.iter().zip(&mut hashers) {
            digest(batch.column_by_name(&column.name)?, &column.column_type.arrow(), hasher)?;
        }
        rows += batch.num_rows() as u64;
    }
    Some((hashers.into_iter().map(|hasher| Hash(hasher.finalize().into())).collect(), rows))
}

fn digest(values: &ArrayRef, declared: &DataType, hasher: &mut Sha256) -> Option<()> {
    // Text comes in several layouts, and one spelling counts; a time is the integer it is in its declared unit.
    let values = cast(values, if declared.is_string() { &DataType::Utf8 } else { declared }).ok()?;
    let values = if matches!(declared, DataType::Timestamp(..)) { cast(&values, &DataType::Int64).ok()? } else { values };
    let mut each = |value: &dyn Fn(usize, &mut Sha256)| {
        for at in 0..values.len() {
            hasher.update([u8::from(values.is_valid(at))]);
            if values.is_valid(at) {
                value(at, hasher);
            }
        }
    };
    match values.data_type() {
        DataType::Int32 => each(&|at, to| to.update(values.as_primitive::<Int32Type>().value(at).to_le_bytes())),
        DataType::Int64 => each(&|at, to| to.update(values.as_primitive::<Int64Type>().value(at).to_le_bytes())),
        DataType::Date32 => each(&|at, to| to.update(values.as_primitive::<Date32Type>().value(at).to_le_bytes())),
        DataType::Decimal128(..) => each(&|at, to| to.update(values.as_primitive::<Decimal128Type>().value(at).to_le_bytes())),
        DataType::Boolean => each(&|at, to| to.update([u8::from(values.as_boolean().value(at))])),
        DataType::Utf8 => each(&|at, to| {
            let text = values.as_string::<i32>().value(at);
            to.update((text.len() as u64).to_le_bytes());
            to.update(text);
        }),
        _ => return None,
    }
    Some(())
}

/// What salts are made of; made at the first start, read by nobody but this user.
pub(crate) fn secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, String> {
    // Whoever looks for it first makes it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |error: &dyn Display| format!("{}: {error}; it is the secret behind this node's snapshots, 32 bytes", file.display());
    let mut secret = Zeroizing::new([0; 32]);
    match std::fs::read(file).map(Zeroizing::new) {
        Ok(read) if read.len() == secret.len() => secret.copy_from_slice(&read),
        Ok(_) => return Err(failed(&"it is not 32 bytes long")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            getrandom::fill(secret.as_mut()).map_err(|error| failed(&error))?;
            let mut options = std::fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
            let written = options.open(file).and_then(|mut file| file.write_all(&*secret).and_then(|()| file.sync_all()));
            written.map_err(|error| failed(&error))?;
        }
        Err(error) => return Err(failed(&error)),
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::datafusion::arrow::array::{Int32Array, RecordBatch, StringArray, StringViewArray};
    use query::datafusion::datasource::MemTable;

    const CATALOGUE: &str = "version = 1\n[[table]]\nname = \"energy.use\"\nmax_rows = 9\ncolumn = [\n\
        { name = \"kwh\", type = \"INT\", min = 0, max = 9 },\n{ name = \"kind\", type = \"STRING\" },\n]\n";

    type Rows<'a> = &'a [(Option<i32>, Option<&'a str>)];

    fn batch(rows: Rows<'_>, view: bool) -> RecordBatch {
        let kinds = rows.iter().map(|(_, kind)| *kind);
        let kinds: ArrayRef = if view { Arc::new(StringViewArray::from_iter(kinds)) } else { Arc::new(StringArray::from_iter(kinds)) };
        let kwh: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|(kwh, _)| *kwh)));
        RecordBatch::try_from_iter_with_nullable([("kwh", kwh, true), ("kind", kinds, true)]).expect("a batch")
    }

    fn snapshot(batches: Vec<RecordBatch>, secret: u8) -> Hash {
        let catalog = Catalog::parse(CATALOGUE).expect("a catalogue");
        let table = catalog.tables_of("energy").next().expect("a table");
        let provider = Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).expect("a table"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (digests, rows) = runtime.block_on(digests(table, provider)).expect("read");
        let leaves: Vec<Hash> = table.columns.iter().zip(&digests).map(|(c, digest)| leaf(&[secret; 32], c, digest, rows)).collect();
        root(&leaves[..], leaves.len() as u64).unwrap_or_else(|never| match never {})
    }

    #[test]
    fn a_snapshot_is_of_the_values_and_nothing_else() {
        let rows: Rows<'_> = &[(Some(1), Some("ab")), (None, Some("c")), (Some(0), None)];
        let whole = snapshot(vec![batch(rows, false)], 1);
        assert_eq!(snapshot(vec![batch(&rows[..1], false), batch(&rows[1..], false)], 1), whole, "in two pieces");
        assert_eq!(snapshot(vec![batch(rows, true)], 1), whole, "in another layout");
        assert_ne!(snapshot(vec![batch(rows, false)], 2), whole, "with another secret");
        for other in [
            &[(Some(1), Some("a")), (None, Some("bc")), (Some(0), None)],
            &[(Some(1), Some("ab")), (Some(0), Some("c")), (Some(0), None)],
            &[(None, Some("c")), (Some(1), Some("ab")), (Some(0), None)],
            &[(Some(1), Some("ab")), (None, Some("c")), (Some(0), Some(""))],
        ] {
            assert_ne!(snapshot(vec![batch(other, false)], 1), whole, "{other:?}");
        }
        assert_ne!(snapshot(vec![batch(&rows[..2], false)], 1), whole);
        assert_ne!(snapshot(vec![batch(&[], false)], 1), whole);
    }

    #[test]
    fn the_secret_is_made_once_and_is_this_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("snapshot.secret");
        let first = secret(&file).expect("made");
        assert_eq!(secret(&file).expect("read"), first);
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").expect("written");
        let refused = secret(&file).expect_err("cut off");
        assert!(refused.contains("snapshot.secret") && refused.contains("32 bytes"), "{refused}");
    }
}
