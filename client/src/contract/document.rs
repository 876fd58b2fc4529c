//! A contract's file. A draft is its terms as JSON, in any spelling; signed it is a note of the ledger, in the only one.

use ledger::bytes::Hash;
use ledger::contract::{Contract, SignedContract};
use ledger::entry::{Body, Entry};
use mpc_core::roster::Roster;
use party::contracts::signs;
use std::collections::BTreeSet;
use std::fmt;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The terms.
    pub contract: Contract,
    /// The note, if it is one.
    pub signed: Option<Signed>,
}

/// What a note says beside the terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The note as it stands.
    pub note: String,
    /// Its id in the log.
    pub id: Hash,
    /// The planners who signed it too.
    pub countersigned: BTreeSet<String>,
}

impl Document {
    /// Reads a file's text. A note is held against the keys that it names itself: whether these are those of the city, a roster says.
    ///
    /// # Errors
    /// It is neither a draft nor a note, or a signature does not verify.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("tacit/") {
            return Self::draft(text);
        }
        let entry = Entry::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let Body::Contract(ledger::entry::Contract { terms, .. }) = entry.body else { return Err("it is an entry of another kind".into()) };
        let named: Contract = serde_json::from_value(terms).map_err(|error| format!("the contract is refused: {error}"))?;
        let SignedContract { contract, id, countersigned } = SignedContract::open(text, &named.owner).map_err(|error| error.to_string())?;
        Ok(Self { contract, signed: Some(Signed { note: text.into(), id, countersigned }) })
    }

    fn draft(text: &str) -> Result<Self, String> {
        let mut contract: Contract =
            serde_json::from_str(text).map_err(|error| format!("it is neither a contract nor the draft of one: {error}"))?;
        // What is only a matter of spelling is mended; what lists nothing allows nothing.
        contract.planners.sort_by_key(ToString::to_string);
        contract.planners.dedup();
        contract.columns.retain(|_, allowed| !allowed.is_empty());
        Ok(Self { contract, signed: None })
    }

    /// Where its negotiation is.
    pub fn state(&self, roster: Option<&Roster>, seen: Seen) -> State {
        match (&self.signed, seen) {
            (_, Seen { revoked: true, .. }) => State::Terminated,
            (None, _) => State::Requested,
            (Some(signed), _) if self.is_awaited(signed) => State::Offered,
            // Its agency has offered it; that it goes by what was accepted is for the agency to show.
            (_, Seen { held: false, logged: false, .. }) if self.contract.countersigned => State::Accepted,
            (_, seen) => match roster.is_some_and(|roster| self.strangers(roster).is_empty()) {
                true if seen.logged => State::Finalized,
                true => State::Verified,
                false => State::Agreed,
            },
        }
    }

    /// Whether a planner must sign it who has not.
    fn is_awaited(&self, signed: &Signed) -> bool {
        self.contract.countersigned && self.contract.planners.iter().any(|key| !signed.countersigned.contains(key.name()))
    }

    /// Whose keys are not those of a roster.
    pub fn strangers(&self, roster: &Roster) -> Vec<String> {
        let owner = roster.parties().find(|party| party.name == self.contract.owner.name());
        let owner = owner.and_then(|party| signs(&party.name, &party.key));
        let planner = |name: &str| roster.planner(name).and_then(|planner| signs(&planner.name, &planner.key));
        let strange = self.contract.planners.iter().filter(|key| planner(key.name()).as_ref() != Some(*key));
        let owner = Some(&self.contract.owner).filter(|key| owner.as_ref() != Some(*key));
        owner.into_iter().chain(strange).map(|key| key.name().to_owned()).collect()
    }
}

/// What is known of a contract from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// It is in the folder of contracts by which a node goes, signed by all who must.
    pub held: bool,
    /// It stands in the log.
    pub logged: bool,
    /// Its owner has ended it.
    pub revoked: bool,
}

/// Where a negotiation is, as the Dataspace Protocol calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Drafted: nobody has signed it.
    Requested,
    /// The owner has signed it, and waits for planners who must.
    Offered,
    /// The planners who must have signed it; whether its agency goes by it is not known.
    Accepted,
    /// All who must have signed it, by the keys it names, and its agency goes by it.
    Agreed,
    /// And these are the keys that the roster has.
    Verified,
    /// And it stands in the log.
    Finalized,
    /// Its owner has ended it.
    Terminated,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "REQUESTED (a draft: nobody has signed it)",
            Self::Offered => "OFFERED (signed by its owner; planners must sign it too)",
            Self::Accepted => "ACCEPTED (planners who must have signed it; its agency has to put it among its contracts: give --contracts or --log to see)",
            Self::Agreed => "AGREED (signed by all who must; give --roster to hold the keys against the city's)",
            Self::Verified => "VERIFIED (signed by all who must, with the city's keys)",
            Self::Finalized => "FINALIZED (it stands in the log)",
            Self::Terminated => "TERMINATED (its owner has revoked it)",
        })
    }
}
