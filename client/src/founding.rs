//! What a city's log begins with: a key for the log, two cosigner keys for each agency, each founder's signed entry about itself, and the
//! policy that says whom to believe.

use crate::error::Error;
use ledger::key::{KeyKind, VerifierKey};
use ledger::policy::{Agency, Policy, minority, quorum};
use mpc_core::identity::Identity;
use query::citylog;
use std::io::Write as _;
use std::path::Path;

/// The lines of a coordinator's configuration that are about the log.
pub(crate) const COORDINATOR: &str = r#"
[ledger]                                # the city's log; without it there is none
key = "log.key"                         # the log's own key, mode 0600
policy = "{shared}/city.policy"               # whose log it is, and who cosigns it; the same file at every node
founding = "{shared}/founding"                # folder: NAME.entry of each founder, what an empty log begins with
"#;

/// The lines of a party's configuration that are about the log.
pub(crate) const PARTY: &str = r#"
[ledger]                                # the city's log, of which this node is witness and mirror
policy = "{shared}/city.policy"               # whose log it is, and who cosigns it; the same file at every node
witness = "witness.key"                 # signs that the log only grew, mode 0600
validated = "validated.key"             # signs that this node holds every entry, and that each may stand
"#;

/// Writes all that a city's log needs into the city's folder, where each member has a folder of its name.
///
/// # Errors
/// A name is none that a note allows, or something is in the way; nothing is overwritten.
pub(crate) fn city(
    folder: &Path,
    city: &str,
    coordinator: &str,
    agencies: &[(&str, &Identity)],
    planner: (&str, &Identity),
) -> Result<(), Error> {
    let log = log(&folder.join(coordinator), &origin(city))?;
    let founding = folder.join("founding");
    std::fs::create_dir_all(&founding).map_err(|e| Error::config(format!("{}: {e}", founding.display())))?;
    let mut cosigners = Vec::new();
    for (name, identity) in agencies {
        let (agency, entry) = agency(&folder.join(name), name, identity)?;
        write(&founding.join(format!("{name}.entry")), &entry)?;
        cosigners.push(agency);
    }
    let (name, identity) = planner;
    let entry = citylog::member(name, name, identity, None).map_err(|e| Error::config(e.to_string()))?;
    write(&founding.join(format!("{name}.entry")), &entry)?;
    let n = cosigners.len() as u32;
    let policy = Policy::of_agencies(&log, &cosigners, quorum(n, minority(n))).map_err(|e| Error::config(e.to_string()))?;
    write(&folder.join("city.policy"), &policy.to_string())
}

/// Makes the log's key in a folder.
pub(crate) fn log(home: &Path, origin: &str) -> Result<VerifierKey, Error> {
    let key = crate::init::make_key(&home.join("log.key"))?;
    VerifierKey::new(origin, KeyKind::Note, key.public().verifying_key()).map_err(|e| Error::config(format!("`{origin}`: {e}")))
}

/// Makes an agency's cosigner keys in its folder, and its entry.
pub(crate) fn agency(home: &Path, name: &str, identity: &Identity) -> Result<(Agency, String), Error> {
    let [witness, validated] = ["witness.key", "validated.key"].map(|file| crate::init::make_key(&home.join(file)).map(|key| key.public()));
    let (witness, validated) = (witness?, validated?);
    let entry = citylog::member(name, name, identity, Some([witness, validated])).map_err(|e| Error::config(e.to_string()))?;
    let key = |name: String, key: mpc_core::identity::PublicKey| {
        VerifierKey::new(&name, KeyKind::Cosignature, key.verifying_key()).map_err(|e| Error::config(format!("`{name}`: {e}")))
    };
    let (witness, validated) = (key(citylog::witness_name(name), witness)?, key(citylog::validated_name(name), validated)?);
    Ok((Agency { name: name.into(), witness, validated }, entry))
}

/// What a city's log is called: its name in lower case, and `/ledger`.
fn origin(city: &str) -> String {
    let words = city.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_lowercase();
    format!("{}/ledger", if name.is_empty() { "city" } else { &name })
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let open = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| Error::config(format!("{}: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_log_is_called_after_its_city() {
        for (city, origin) in [("Demo city", "demo-city/ledger"), ("São  Paulo!", "são-paulo/ledger"), ("+", "city/ledger")] {
            assert_eq!(super::origin(city), origin);
        }
    }
}
