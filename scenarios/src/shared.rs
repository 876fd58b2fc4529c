//! Where the real data pack lies.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// The folder of the real data pack (it holds `nyc/` and `nyc_bronx/`): `TACIT_DATA` where set, else `../shared/data`
/// beside the workspace.
///
/// The records are not part of the project. Tests that need them skip and say so with this error's text.
pub fn shared_data() -> Result<PathBuf, DataError> {
    let path = match std::env::var_os("TACIT_DATA") {
        Some(set) => PathBuf::from(set),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    match path.canonicalize() {
        Ok(found) if found.join("nyc/keys/zones.csv").is_file() => Ok(found),
        _ => Err(DataError::Absent { path }),
    }
}
