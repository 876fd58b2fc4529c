//! `tacit ledger member`.

use super::files::{fails, write};
use super::who::Who;
use crate::cli::{Done, print};
use crate::config::read;
use crate::error::Error;
use clap::{Args, ValueEnum};
use ledger::entry::{Body, Entry, Member, Role, Standing};
use ledger::key::{KeyKind, VerifierKey};
use mpc_core::file::Kind;
use mpc_core::identity::PublicKey;
use query::citylog::{validated_name, witness_name};
use std::path::PathBuf;

/// State who belongs to the city, or no longer does, in a file that goes round among the agencies
///
/// Founders, who are in the roster, enter themselves. Whoever comes later, changes a key or leaves does so by an entry that a quorum of the agencies
/// has signed: the first says what it states, the others add their signatures, and `tacit ledger submit` hands it in.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct MemberArgs {
    /// The entry: a new file for the first agency to sign; the others add their signatures
    file: PathBuf,
    /// The configuration of the agency that signs; its node may be running
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The member's name (the first to sign says it, and the rest)
    #[arg(long, value_name = "NAME", requires_all = ["organisation", "role", "key"])]
    name: Option<String>,
    /// The registered organisation behind it
    #[arg(long, value_name = "TEXT", requires = "name")]
    organisation: Option<String>,
    /// What it may do
    #[arg(long, value_enum, requires = "name")]
    role: Option<As>,
    /// Its public key, as `tacit key new` printed it
    #[arg(long, value_name = "KEY", requires = "name")]
    key: Option<PublicKey>,
    /// An agency's public key of its witness
    #[arg(long, value_name = "KEY", requires_all = ["name", "validated"])]
    witness: Option<PublicKey>,
    /// An agency's public key of what it validated
    #[arg(long, value_name = "KEY", requires_all = ["name", "witness"])]
    validated: Option<PublicKey>,
    /// That it belongs no longer
    #[arg(long, requires = "name")]
    removed: bool,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// Owns data, computes, cosigns
    Agency,
    /// Asks
    Planner,
    /// Watches, and may hand in evidence
    Auditor,
}

const HELP: &str = "Examples:
  tacit ledger member press.entry --config energy/party.toml --name press --organisation 'The Press Office' --role planner --key ed25519:1f0c…
  tacit ledger member press.entry --config health/party.toml
  tacit ledger member press.entry --config transport/party.toml
  tacit ledger submit press.entry --config energy/party.toml
  tacit ledger member gone.entry --config energy/party.toml --name press --organisation 'The Press Office' --role planner --key ed25519:1f0c… --removed

An entry does not put anybody into a roster or a policy: those are files at every node. A planner who is to ask must be in the roster, too. `tacit key new` makes a key.";

pub(super) fn member(args: &MemberArgs) -> Done {
    let who = Who::agency(&args.config)?;
    let entry = match args.file.exists() {
        true if args.name.is_some() => {
            let taken = "it is there already, and says whom it is about: leave --name and the rest out, or name a new file";
            return Err(Error::config(format!("{}: {taken}", args.file.display())).into());
        }
        true => {
            let text = read(&args.file, Kind::Entry)?;
            match Entry::parse(text.as_bytes()).map(|entry| entry.body) {
                Ok(Body::Member(_)) => who.countersign(&text)?,
                Ok(other) => {
                    return Err(Error::config(format!(
                        "{}: it is a `{}`, and a `member` is wanted here",
                        args.file.display(),
                        other.kind()
                    ))
                    .into());
                }
                Err(error) => return Err(Error::config(format!("{}: it is no entry: {error}", args.file.display())).into()),
            }
        }
        false => who.sign(&Body::Member(Box::new(args.statement()?)))?,
    };
    let parsed = Entry::parse(entry.as_bytes()).map_err(|error| fails("E_LEDGER_ENTRY", error))?;
    write(&args.file, entry.as_bytes())?;
    let Body::Member(member) = parsed.body else { return Err(Error::internal("a member's entry is none").into()) };
    let signers: Vec<&str> = parsed.signatures.iter().map(|signature| signature.name).collect();
    let standing = if member.standing == Standing::Admitted { "belongs to the city" } else { "belongs to the city no longer" };
    let file = args.file.display();
    Ok(print(&format!(
        "{file}: that {} ({}) {standing}; signed by {}. Once a quorum of agencies has signed it, `tacit ledger submit {file}`.\n",
        member.name,
        member.organisation,
        signers.join(", ")
    ))?)
}

impl MemberArgs {
    fn statement(&self) -> Result<Member, Error> {
        let missing = || Error::config(format!("{} is a new file: give --name, --organisation, --role and --key", self.file.display()));
        let (Some(name), Some(organisation), Some(role), Some(key)) = (&self.name, &self.organisation, self.role, &self.key) else {
            return Err(missing());
        };
        let verifier = |name: &str, kind, key: &PublicKey| {
            VerifierKey::new(name, kind, key.verifying_key()).map_err(|_| Error::config(format!("`{name}` is no name of a member")))
        };
        let cosigner =
            |name: String, key: &Option<PublicKey>| key.as_ref().map(|key| verifier(&name, KeyKind::Cosignature, key)).transpose();
        Ok(Member {
            name: name.clone(),
            organisation: organisation.clone(),
            role: match role {
                As::Agency => Role::Agency,
                As::Planner => Role::Planner,
                As::Auditor => Role::Auditor,
            },
            standing: if self.removed { Standing::Removed } else { Standing::Admitted },
            key: verifier(name, KeyKind::Note, key)?,
            witness: cosigner(witness_name(name), &self.witness)?,
            validated: cosigner(validated_name(name), &self.validated)?,
        })
    }
}
