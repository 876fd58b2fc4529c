//! Files that people write and pass by name: read to a bound, and known by what is in them, so that the wrong one is called what it is.

use std::fmt;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Who is in a city.
    Roster,
    /// Its tables.
    Catalogue,
    /// A party's configuration.
    Party,
    /// A coordinator's configuration.
    Coordinator,
    /// A planner's configuration.
    Planner,
    /// A private key.
    Key,
    /// A question.
    Question,
    /// How far a log is.
    Checkpoint,
    /// Whom to believe about a log.
    Policy,
    /// An entry of a log.
    Entry,
    /// What an owner allows, or the draft of it.
    Contract,
    /// The end of a contract.
    Revocation,
    /// The proof that an entry is in a log.
    Receipt,
    /// The proof that a key signed two logs.
    Evidence,
    /// What a commitment hides.
    Opening,
}

/// Nothing of ours is longer.
const CAP: u64 = 1 << 20;

/// The text of a file that should be of this kind.
///
/// # Errors
/// It cannot be read, is too long, or is plainly of another kind; in words that go behind the file's name.
pub fn read(path: &Path, wanted: Kind) -> Result<String, String> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CAP + 1).read_to_string(&mut text));
    read.map_err(|error| unreadable(&error, wanted))?;
    if text.len() as u64 > CAP {
        return Err(format!("it is longer than 1 MiB, which {wanted} is not; check the path"));
    }
    match kind(&text) {
        Some(found) if found != wanted => Err(format!("it is {found}, and {wanted} is wanted here; check the path")),
        _ => Ok(text),
    }
}

/// Why a file of this kind was not read, without the system's numbers.
pub fn unreadable(error: &Error, wanted: Kind) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("there is no such file, and {wanted} is wanted here; check the path"),
        ErrorKind::PermissionDenied => "this user may not read it; give it the right to, or run as the user that has it".into(),
        ErrorKind::IsADirectory => format!("it is a folder, and {wanted} is wanted here"),
        ErrorKind::InvalidData => format!("it is not text, and so not {wanted}; check the path"),
        _ => error.to_string(),
    }
}

/// Why a folder was not read, without the system's numbers.
pub fn unreadable_folder(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such folder".into(),
        ErrorKind::PermissionDenied => "this user may not read it".into(),
        ErrorKind::NotADirectory => "it is a file, and a folder is wanted here".into(),
        _ => error.to_string(),
    }
}

/// What a text plainly is. Nothing depends on it but words.
fn kind(text: &str) -> Option<Kind> {
    if text.contains("-----BEGIN PRIVATE KEY-----") {
        return Some(Kind::Key);
    }
    let table: toml::Table = text.parse().ok()?;
    let has = |key: &str| table.contains_key(key);
    match () {
        () if has("city") => Some(Kind::Roster),
        () if has("version") && (has("table") || has("domain")) => Some(Kind::Catalogue),
        () if has("planner") => Some(Kind::Planner),
        () if has("node") && has("table") => Some(Kind::Party),
        () if has("node") && has("deadlines") => Some(Kind::Coordinator),
        () => None,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Roster => "a roster (roster.toml)",
            Kind::Catalogue => "a catalogue (catalogue.toml)",
            Kind::Party => "a party's configuration (party.toml)",
            Kind::Coordinator => "a coordinator's configuration (coordinator.toml)",
            Kind::Planner => "a planner's configuration (planner.toml)",
            Kind::Key => "a private key",
            Kind::Question => "a question in SQL",
            Kind::Checkpoint => "a checkpoint",
            Kind::Policy => "a policy",
            Kind::Entry => "an entry",
            Kind::Contract => "a contract",
            Kind::Revocation => "a revocation",
            Kind::Receipt => "a receipt",
            Kind::Evidence => "evidence",
            Kind::Opening => "an opening",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_called_what_it_is() {
        for (text, is) in [
            ("city = \"c\"\n", Some(Kind::Roster)),
            ("version = 1\n[[table]]\n", Some(Kind::Catalogue)),
            ("planner = \"p\"\n", Some(Kind::Planner)),
            ("node = \"a\"\n[[table]]\n", Some(Kind::Party)),
            ("node = \"a\"\n[deadlines]\n", Some(Kind::Coordinator)),
            ("node = \"a\"\n", None),
            ("-----BEGIN PRIVATE KEY-----\n", Some(Kind::Key)),
            ("", None),
            ("[[[", None),
        ] {
            assert_eq!(kind(text), is, "{text}");
        }
    }

    #[test]
    fn a_wrong_file_and_none_are_named_without_numbers() {
        let dir = std::env::temp_dir().join(format!("tacit-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let path = dir.join("roster.toml");
        std::fs::write(&path, "city = \"c\"\n").expect("written");
        let says = |path: &Path| read(path, Kind::Party).expect_err("not a party's");
        assert_eq!(says(&path), "it is a roster (roster.toml), and a party's configuration (party.toml) is wanted here; check the path");
        assert!(read(&path, Kind::Roster).is_ok());
        assert!(says(&dir).contains("is a folder"), "{}", says(&dir));
        let none = says(&dir.join("none"));
        assert!(none.starts_with("there is no such file") && !none.contains("os error"), "{none}");
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
