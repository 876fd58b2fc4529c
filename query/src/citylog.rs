//! What all nodes of a city must have in common to keep one log: whose log it is, who may admit itself, and what becomes of a member's entry.

mod before;

pub use before::Before;
use ledger::cosigner::NamedSigner;
use ledger::entry::{Body, EntryError, Member, Role, Standing};
use ledger::key::{BadKey, KeyKind, Signer, VerifierKey, VerifyingKey};
use ledger::policy::Policy;
use ledger::replay::Replay;
use mpc_core::file::{self, Kind};
use mpc_core::identity::{Identity, PublicKey};
use mpc_core::roster::Roster;
use mpc_core::stack;
use std::path::Path;

/// Who may admit itself: who is in the roster.
///
/// # Errors
/// A name in it is none that a note allows.
pub fn founders(roster: &Roster) -> Result<Vec<VerifierKey>, BadKey> {
    let parties = roster.parties().map(|party| (&party.name, &party.key));
    let members = parties.chain(roster.planners().iter().map(|planner| (&planner.name, &planner.key)));
    members.map(|(name, key)| VerifierKey::new(name, KeyKind::Note, key.verifying_key())).collect()
}

/// The empty log that a policy file and a roster are of; it goes on where those `before` it ended, if there were any.
///
/// # Errors
/// The file is no policy, or names several logs of which none was handed over; or those before are not what they should be. In words that begin with a
/// file's name.
pub fn beginning(policy: &Path, roster: &Roster, before: Option<&Before>) -> Result<Replay, String> {
    if let Some(before) = before {
        return before.beginning(policy, roster);
    }
    let failed = |what: String| format!("{}: {what}", policy.display());
    let parsed = read(policy)?;
    let [log] = parsed.logs() else {
        return Err(failed(
            "a node keeps one log: leave the line of that one only, or say with `handover` and `after` which was before".into(),
        ));
    };
    Ok(Replay::new(log.clone(), founders(roster).map_err(|error| failed(error.to_string()))?))
}

/// A founder's entry about itself, signed by itself. An agency's two cosigners go with it; without them it is a planner.
///
/// # Errors
/// A field is out of bounds.
pub fn member(name: &str, organisation: &str, identity: &Identity, cosigners: Option<[PublicKey; 2]>) -> Result<String, EntryError> {
    let key = |name: &str, kind, key: &PublicKey| {
        VerifierKey::new(name, kind, key.verifying_key()).map_err(|_| EntryError::Field("`name` is no name of a key"))
    };
    let [witness, validated] = match &cosigners {
        None => [None, None],
        Some([witness, validated]) => [
            Some(key(&witness_name(name), KeyKind::Cosignature, witness)?),
            Some(key(&validated_name(name), KeyKind::Cosignature, validated)?),
        ],
    };
    let member = Member {
        name: name.into(),
        organisation: organisation.into(),
        role: if cosigners.is_some() { Role::Agency } else { Role::Planner },
        standing: Standing::Admitted,
        key: key(name, KeyKind::Note, &identity.public())?,
        witness,
        validated,
    };
    stack::wiped(|| Body::Member(Box::new(member)).sign(name, identity.signing_key()))
}

/// What an agency's witness is called.
pub fn witness_name(agency: &str) -> String {
    format!("{agency}/witness")
}

/// What the cosigner of what an agency validated is called.
pub fn validated_name(agency: &str) -> String {
    format!("{agency}/validated")
}

/// What signs in the log's name, or an agency's, with the key in this file.
///
/// # Errors
/// The file is no key of this node's alone, or the name none that a note allows.
pub fn signer(name: &str, kind: KeyKind, file: &Path) -> Result<NamedSigner, String> {
    let identity = Identity::load(file).map_err(|error| error.to_string())?;
    NamedSigner::new(name, kind, Box::new(Key(identity))).map_err(|error| format!("`{name}`: {error}"))
}

/// What cosigns under a name of the policy's, with the key in this file.
///
/// # Errors
/// As [`signer`], or the policy has another key of this name.
pub fn cosigner(policy: &Path, name: &str, file: &Path) -> Result<NamedSigner, String> {
    let signer = signer(name, KeyKind::Cosignature, file)?;
    match read(policy)?.cosigner(name) {
        Some(key) if key == signer.key() => Ok(signer),
        Some(_) => Err(format!("the key in {} is not the one that {} has for `{name}`", file.display(), policy.display())),
        None => Err(format!("{} has no `witness {name}`; its key is {}", policy.display(), signer.key())),
    }
}

fn read(policy: &Path) -> Result<Policy, String> {
    let failed = |what: String| format!("{}: {what}", policy.display());
    file::read(policy, Kind::Policy).map_err(failed)?.parse().map_err(|error| failed(format!("{error}")))
}

/// An identity that signs without leaving a copy of its key on the stack.
struct Key(Identity);

impl Signer for Key {
    fn public(&self) -> VerifyingKey {
        self.0.public().verifying_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}
