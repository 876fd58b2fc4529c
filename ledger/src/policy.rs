//! Which checkpoints to believe: the log's key, the cosigners' keys, and how many of them it takes. A policy is a file in
//! the form of <https://c2sp.org/tlog-policy>, which other tools read too.
//!
//! Every agency has two cosigner keys. `<agency>/witness` says that the log only ever grew; `<agency>/validated` says in
//! addition that the agency holds all entries and that each passes the rules ([`crate::replay`]). [`Policy::of_agencies`]
//! asks k agencies for both.
//!
//! k follows from how many may be corrupt. Two checkpoints of which neither extends the other have at most the corrupt
//! agencies' cosignatures in common; with t of n corrupt, no honest agency need be in both quorums unless
//! k > n − ⌈(n−t)/2⌉. (The ⌊2n/3⌋+1 one often reads assumes fewer corrupt witnesses than an honest majority allows: 5 of 7 can be
//! split by 3.)

use crate::checkpoint::{Checkpoint, Head};
use crate::key::{BadKey, KeyKind, VerifierKey};
use crate::note::NoteError;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;

/// The least number of n cosigners that two sets always share an honest one of, if at most `corrupt` are not.
pub fn quorum(n: u32, corrupt: u32) -> u32 {
    n - (n.saturating_sub(corrupt)).div_ceil(2).min(n) + u32::from(n > 0)
}

/// How many of n may be corrupt where most are honest.
pub fn minority(n: u32) -> u32 {
    n.saturating_sub(1) / 2
}

/// One agency's two cosigners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// The agency's name.
    pub name: String,
    /// Cosigns that the log only grew.
    pub witness: VerifierKey,
    /// Cosigns that it holds all entries, and that they pass the rules.
    pub validated: VerifierKey,
}

/// When it is, and how old a cosignature may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Unix seconds.
    pub now: u64,
    /// The oldest a cosignature may be, in seconds.
    pub fresh: u64,
    /// How far clocks may differ, in seconds.
    pub skew: u64,
}

impl Window {
    /// How old a cosignature may be when a job starts.
    pub const FRESH: u64 = 60;
    /// How far the clocks of agencies may differ.
    pub const SKEW: u64 = 60;

    /// The window in which a job may start now.
    pub fn at(now: u64) -> Self {
        Self { now, fresh: Self::FRESH, skew: Self::SKEW }
    }

    fn holds(&self, time: u64) -> bool {
        time.saturating_add(self.fresh) >= self.now && time <= self.now.saturating_add(self.skew)
    }
}

/// Known logs, known cosigners, and the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    /// Cosigners and groups in order of their definition; a group refers to earlier ones only.
    names: Vec<(String, Rule)>,
    /// None: no cosignature is asked for.
    quorum: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Cosigner(VerifierKey),
    Group { least: usize, members: Vec<usize> },
}

impl Policy {
    /// The policy that asks `least` of the agencies for both of their cosignatures.
    ///
    /// # Errors
    /// Names collide, a key is not of its kind, or there are fewer agencies.
    pub fn of_agencies(log: &VerifierKey, agencies: &[Agency], least: u32) -> Result<Self, PolicyError> {
        let mut text = format!("log {log}\n");
        for Agency { name, witness, validated } in agencies {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "witness {name}/witness {witness}\nwitness {name}/validated {validated}");
            let _ = writeln!(text, "group {name} all {name}/witness {name}/validated");
        }
        text.push_str(&format!("group agencies {least}"));
        agencies.iter().for_each(|agency| text.push_str(&format!(" {}", agency.name)));
        text.push_str("\nquorum agencies\n");
        text.parse()
    }

    /// The logs it knows.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The key of a cosigner by its name in the policy.
    pub fn cosigner(&self, name: &str) -> Option<&VerifierKey> {
        self.names.iter().find_map(|(known, rule)| match rule {
            Rule::Cosigner(key) if known == name => Some(key),
            _ => None,
        })
    }

    /// Believes a checkpoint or not: a known log signed it, the quorum cosigned it, and each of `also` did (cosigners or
    /// groups by their names: the participants of a job). With a window, only cosignatures within it count. As k agencies
    /// must be fresh, and not only the newest one, no corrupt one can make an old checkpoint look new.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, checkpoint: &Checkpoint, window: Option<Window>, also: &[&str]) -> Result<Head, PolicyError> {
        let head = checkpoint.head();
        let log = self.logs.iter().find(|log| log.name() == head.origin);
        let log = log.ok_or_else(|| PolicyError::Log { origin: head.origin.clone() })?;
        checkpoint.verify_log(log)?;
        let keys: Vec<&VerifierKey> = self.cosigners().map(|(_, key)| key).collect();
        let seen = checkpoint.verify(&keys)?;
        let mut cosigned = BTreeSet::new();
        let mut stale = 0;
        for one in &seen {
            match one.time.is_none_or(|time| window.is_none_or(|window| window.holds(time))) {
                true => drop(cosigned.insert(one.key)),
                false => stale += 1,
            }
        }
        let mut counted = 0;
        let mut holds = Vec::with_capacity(self.names.len());
        for (_, rule) in &self.names {
            let held = match rule {
                Rule::Cosigner(_) => {
                    counted += 1;
                    cosigned.contains(&(counted - 1))
                }
                Rule::Group { least, members } => members.iter().filter(|member| holds[**member]).count() >= *least,
            };
            holds.push(held);
        }
        let missing = || {
            let missing = self.names.iter().zip(&holds).filter(|((_, rule), held)| matches!(rule, Rule::Cosigner(_)) && !**held);
            missing.map(|((name, _), _)| name.clone()).collect::<Vec<_>>().join(", ")
        };
        if self.quorum.is_some_and(|at| !holds[at]) {
            return Err(PolicyError::Quorum { missing: missing(), stale });
        }
        for name in also {
            let at = self.names.iter().position(|(known, _)| known == name);
            if !at.is_some_and(|at| holds[at]) {
                return Err(PolicyError::Participant { name: (*name).into(), stale });
            }
        }
        Ok(head.clone())
    }

    /// The cosigners it knows, by their names in it.
    pub fn cosigners(&self) -> impl Iterator<Item = (&str, &VerifierKey)> {
        self.names.iter().filter_map(|(name, rule)| match rule {
            Rule::Cosigner(key) => Some((name.as_str(), key)),
            Rule::Group { .. } => None,
        })
    }
}

/// The longest policy file, in bytes.
const MAX_POLICY: usize = 64 * 1024;
/// The most lines of one that define something.
const MAX_NAMES: usize = 256;

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self { logs: Vec::new(), names: Vec::new(), quorum: None };
        let mut quorum_seen = false;
        let mut grouped = BTreeSet::new();
        let whole = PolicyError::File("it is longer than 64 KiB, or its last line does not end");
        let lines = Some(text).filter(|text| text.len() <= MAX_POLICY).and_then(|text| text.strip_suffix('\n')).ok_or(whole)?;
        for (number, line) in lines.split('\n').enumerate() {
            let bad = |what: &'static str| PolicyError::Line { number: number + 1, what };
            if line.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
                return Err(bad("it holds a control character"));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if policy.names.len() + policy.logs.len() > MAX_NAMES {
                return Err(bad("there are more than 256 definitions"));
            }
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", vkey] | ["log", vkey, _] => {
                    let key: VerifierKey = vkey.parse().map_err(|error| PolicyError::Key { number: number + 1, error })?;
                    if key.kind() != KeyKind::Note || policy.logs.iter().any(|log| log.key() == key.key()) {
                        return Err(bad("the log's key is a cosigner's, or another log's"));
                    }
                    policy.logs.push(key);
                }
                ["witness", name, vkey] | ["witness", name, vkey, _] => {
                    let key: VerifierKey = vkey.parse().map_err(|error| PolicyError::Key { number: number + 1, error })?;
                    if key.kind() != KeyKind::Cosignature || policy.cosigners().any(|(_, known)| known.key() == key.key()) {
                        return Err(bad("the witness's key is a log's, or another witness's"));
                    }
                    policy.define(name, Rule::Cosigner(key)).map_err(bad)?;
                }
                ["group", name, least, ref members @ ..] if !members.is_empty() => {
                    let known = |member: &&str| policy.names.iter().position(|(known, _)| known == member);
                    let members: Option<Vec<usize>> = members.iter().map(known).collect();
                    let members = members.ok_or_else(|| bad("a member is not defined above it"))?;
                    if !members.iter().all(|member| grouped.insert(*member)) {
                        return Err(bad("a member belongs to a group already"));
                    }
                    let least = match least {
                        "all" => Some(members.len()),
                        "any" => Some(1),
                        digits => crate::tile::decimal(digits).and_then(|least| usize::try_from(least).ok()),
                    };
                    let least = least.filter(|least| (1..=members.len()).contains(least));
                    let least = least.ok_or_else(|| bad("a group takes `all`, `any`, or 1 to as many as it has members"))?;
                    policy.define(name, Rule::Group { least, members }).map_err(bad)?;
                }
                ["quorum", name] if !quorum_seen => {
                    quorum_seen = true;
                    if name != "none" {
                        let at = policy.names.iter().position(|(known, _)| known == name);
                        policy.quorum = Some(at.ok_or_else(|| bad("the quorum is not defined above it"))?);
                    }
                }
                ["quorum", _] => return Err(bad("there are two quorum lines")),
                _ => return Err(bad("it is neither a log, a witness, a group nor the quorum")),
            }
        }
        if quorum_seen { Ok(policy) } else { Err(PolicyError::File("it has no quorum line")) }
    }
}

impl Policy {
    fn define(&mut self, name: &str, rule: Rule) -> Result<(), &'static str> {
        if name == "none" || self.names.iter().any(|(known, _)| known == name) {
            return Err("its name is `none`, or defined already");
        }
        self.names.push((name.into(), rule));
        Ok(())
    }
}

/// The file as [`Policy::from_str`] reads it.
impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.logs.iter().try_for_each(|log| writeln!(f, "log {log}"))?;
        for (name, rule) in &self.names {
            match rule {
                Rule::Cosigner(key) => writeln!(f, "witness {name} {key}")?,
                Rule::Group { least, members } => {
                    write!(f, "group {name} {least}")?;
                    members.iter().try_for_each(|member| write!(f, " {}", self.names[*member].0))?;
                    writeln!(f)?;
                }
            }
        }
        writeln!(f, "quorum {}", self.quorum.map_or("none", |at| &self.names[at].0))
    }
}

/// Why a policy file is none, or does not believe a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not a policy.
    #[error("not a policy file: {0}")]
    File(&'static str),
    /// A line says nothing a policy can say.
    #[error("not a policy file: line {number}: {what}")]
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A key is none.
    #[error("not a policy file: line {number}: {error}")]
    Key {
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        error: BadKey,
    },
    /// A signature does not verify.
    #[error("the checkpoint is refused: {0}")]
    Note(#[from] NoteError),
    /// Of another log.
    #[error("the checkpoint is of the log `{origin}`, which the policy does not know; check which city it is for")]
    Log {
        /// Its origin.
        origin: String,
    },
    /// Too few cosigned.
    #[error("too few agencies cosigned the checkpoint{}; missing: {missing}", outdated(*.stale))]
    Quorum {
        /// Who did not.
        missing: String,
        /// Cosignatures outside the window.
        stale: usize,
    },
    /// One that must have cosigned did not.
    #[error("`{name}` did not cosign the checkpoint{}", outdated(*.stale))]
    Participant {
        /// Who.
        name: String,
        /// Cosignatures outside the window.
        stale: usize,
    },
}

fn outdated(cosignatures: usize) -> String {
    match cosignatures {
        0 => String::new(),
        some => format!(" (cosignatures that are out of date: {some})"),
    }
}

impl PolicyError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Line { .. } | Self::Key { .. } => "E_LEDGER_POLICY",
            Self::Note(_) => "E_LEDGER_SIGNATURE",
            Self::Log { .. } => "E_LEDGER_ORIGIN",
            Self::Quorum { stale: 0, .. } | Self::Participant { stale: 0, .. } => "E_LEDGER_QUORUM",
            Self::Quorum { .. } | Self::Participant { .. } => "E_LEDGER_STALE",
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
