//! A job's part of the city's log: what its entries say. Everybody who compiled the question can tell by himself, so the planner
//! states it, and every party compares.

use crate::consent::Effective;
use crate::message::{Query, QueryId};
use crate::protection::Protection;
use ledger::bytes::Hash;
use ledger::contract::Epsilon;
use ledger::entry::{self, Body, Entry, Opening, Read};
use ledger::key::VerifierKey;
use ledger::signed::SignedNote;
use ledger::tile::MAX_ENTRY;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A planner's entry about a query, for the log, and what opens its commitment to the SQL, for those who compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryEntry {
    /// The signed `job-query` entry.
    pub entry: String,
    /// The salt; the value is the SQL of the query's note.
    pub salt: Hash,
}

impl QueryEntry {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.entry.len() <= MAX_ENTRY { Ok(()) } else { Err("`entry` is too long") }
    }

    /// What it states, if this planner signed it, and nobody else.
    ///
    /// # Errors
    /// In words.
    pub fn open(&self, planner: &VerifierKey) -> Result<entry::Query, String> {
        let Entry { body, signatures, .. } = Entry::parse(self.entry.as_bytes()).map_err(|error| error.to_string())?;
        let note = SignedNote::parse(&self.entry, MAX_ENTRY).map_err(|error| error.to_string())?;
        let signed = note.verify(&[planner]).map_err(|error| error.to_string())?;
        match body {
            Body::Query(query) if signed.len() == 1 && signatures.len() == 1 => Ok(query),
            Body::Query(_) => Err(format!("it is not signed by `{}` alone", planner.name())),
            other => Err(format!("it is a `{}`", other.kind())),
        }
    }
}

/// What a job is, as whoever compiled its question sees it.
#[derive(Debug, Clone, Copy)]
pub struct Compiled<'a> {
    /// The id of the planner's note.
    pub job: QueryId,
    /// What the planner signed.
    pub query: &'a Query,
    /// What it compiles to.
    pub plan_hash: Hash,
    /// What allows it.
    pub effective: &'a Effective,
}

impl Compiled<'_> {
    /// What the planner's entry says, where these parties compute and these are the latest snapshots.
    ///
    /// # Errors
    /// A data set that has no snapshot.
    pub fn entry<'p>(
        &self,
        parties: impl Iterator<Item = &'p str>,
        snapshot: impl Fn(&str) -> Option<Hash>,
        salt: Hash,
    ) -> Result<entry::Query, String> {
        let read = |(dataset, columns): (String, BTreeSet<String>)| {
            let snapshot = snapshot(&dataset).ok_or_else(|| dataset.clone())?;
            Ok(Read { dataset, snapshot, columns: columns.into_iter().collect() })
        };
        let Self { job, query, plan_hash, effective } = *self;
        Ok(entry::Query {
            job: job.0,
            purpose: query.purpose.clone(),
            contracts: effective.contracts.values().copied().collect(),
            reads: reads(effective, query.epsilon).into_iter().map(read).collect::<Result<_, String>>()?,
            parties: parties.map(ToOwned::to_owned).collect(),
            receivers: vec![query.planner.clone()],
            plan_hash,
            statement: Opening { salt, value: query.sql.clone() }.commitment(),
            expires: query.expires,
        })
    }
}

/// What a question touches: of each data set the columns that something is done with, and those by which its entities are counted.
fn reads(effective: &Effective, epsilon: Option<Epsilon>) -> BTreeMap<String, BTreeSet<String>> {
    let mut reads: BTreeMap<String, BTreeSet<String>> =
        effective.contracts.keys().map(|dataset| (dataset.clone(), BTreeSet::new())).collect();
    for used in &effective.uses {
        if let (Some(columns), Some(column)) = (reads.get_mut(&used.table), &used.column) {
            columns.insert(column.clone());
        }
    }
    let protection = effective.terms.as_ref().and_then(|terms| Protection::of(terms, epsilon).ok().flatten());
    for (dataset, protected) in protection.iter().flat_map(|protection| &protection.datasets) {
        if let Some(columns) = reads.get_mut(dataset) {
            columns.extend(protected.entity_keys.iter().cloned());
        }
    }
    reads
}

/// The first field in which an entry is not what it should be.
pub fn difference(stated: &entry::Query, found: &entry::Query) -> Option<&'static str> {
    let snapshots = |query: &entry::Query| query.reads.iter().map(|read| (read.dataset.clone(), read.snapshot)).collect::<BTreeMap<_, _>>();
    let fields = [
        ("job", stated.job == found.job),
        ("plan_hash", stated.plan_hash == found.plan_hash),
        ("contracts", stated.contracts == found.contracts),
        ("snapshot", snapshots(stated) == snapshots(found)),
        ("columns", stated.reads == found.reads),
        ("purpose", stated.purpose == found.purpose),
        ("parties", stated.parties == found.parties),
        ("receivers", stated.receivers == found.receivers),
        ("statement", stated.statement == found.statement),
        ("expires", stated.expires == found.expires),
    ];
    fields.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}

/// A hash of the snapshots of what is read, as parties and log have them.
pub fn data(query: &entry::Query) -> [u8; 32] {
    let mut reads: Vec<(&str, &Hash)> = query.reads.iter().map(|read| (read.dataset.as_str(), &read.snapshot)).collect();
    reads.sort();
    let mut text = b"tacit/v1/data\n".to_vec();
    for (dataset, snapshot) in reads {
        text.extend_from_slice(dataset.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&snapshot.0);
    }
    Hash::sha256(&[&text]).0
}

/// What parties compare of the contracts under which a question is asked, in the order of its data sets.
pub fn contracts<'a>(ids: impl IntoIterator<Item = &'a Hash>) -> Hash {
    let parts: Vec<&[u8]> = std::iter::once(&b"tacit/v1/contracts\n"[..]).chain(ids.into_iter().map(|id| &id.0[..])).collect();
    Hash::sha256(&parts)
}

/// What names the noise on the answer to a question, if there is any: a hash of plan, roster, catalogue, snapshots and contracts. The same question has the same noise as long as none of
/// them changes, and who was given it is given it again.
pub fn noise(query: &entry::Query, roster: &[u8; 32], catalog: &[u8; 32]) -> Hash {
    let (data, contracts) = (data(query), contracts(&query.contracts));
    Hash::sha256(&[&b"tacit/v1/noise\n"[..], &[&query.plan_hash.0, roster, catalog, &data, &contracts.0].map(|hash| &hash[..]).concat()])
}

/// What names a party's sealed part.
pub fn digest(sealed: &str) -> Hash {
    Hash::sha256(&[b"tacit/v1/sealed\n", sealed.as_bytes()])
}

/// What a result's commitment in the log hides: the digests of the parts that the parties sealed, in the order of the roster, in this session.
///
/// The parts are what is released: a planner who was given them can compute this, nobody can give him others, and nobody without them
/// learns anything, for they are sealed. Parties know it before any part leaves, as they tell one another the digests within
/// the session; so each signs it with its part, and nobody has to be asked again.
pub fn result(sid: Hash, digests: impl IntoIterator<Item = Hash>) -> Opening {
    Opening { salt: sid, value: digests.into_iter().map(|digest| format!("{digest}\n")).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Use;
    use ledger::bytes::Base64;
    use ledger::contract::Operation;
    use mpc_core::identity::Identity;

    fn query() -> Query {
        Query {
            sql: "SELECT SUM(kwh) FROM energy.use".into(),
            planner: "office".into(),
            roster_hash: Hash([1; 32]),
            catalog_hash: Hash([2; 32]),
            output_key: Base64(vec![7; 32]),
            purpose: "urn:plan chargers".into(),
            security: "semi-honest".into(),
            protocol: "rep3".into(),
            epsilon: None,
            nonce: Hash([3; 32]),
            issued: 10,
            expires: 20,
            analyze: false,
        }
    }

    fn effective() -> Effective {
        let used = |column: Option<&str>| Use {
            table: "energy.use".into(),
            column: column.map(Into::into),
            operation: Operation::Sum,
            or: vec![],
            grouped: BTreeSet::new(),
            place: "SELECT".into(),
        };
        Effective {
            uses: [used(Some("kwh")), used(Some("zone")), used(None)].into(),
            contracts: [("energy.use".to_owned(), Hash([4; 32]))].into(),
            terms: None,
        }
    }

    #[test]
    fn an_entry_says_what_the_plan_does() {
        let (query, effective) = (query(), effective());
        let compiled = Compiled { job: QueryId(Hash([5; 32])), query: &query, plan_hash: Hash([6; 32]), effective: &effective };
        let snapshot = |dataset: &str| (dataset == "energy.use").then_some(Hash([8; 32]));
        let made = |salt| compiled.entry(["energy", "health"].into_iter(), snapshot, Hash([salt; 32])).expect("its snapshot is there");
        let entry = made(9);
        assert_eq!(
            entry.reads,
            [Read { dataset: "energy.use".into(), snapshot: Hash([8; 32]), columns: vec!["kwh".into(), "zone".into()] }]
        );
        assert_eq!(
            (entry.parties.len(), &entry.receivers[..], &entry.contracts[..]),
            (2, &["office".to_owned()][..], &[Hash([4; 32])][..])
        );
        assert_eq!(entry.statement, Opening { salt: Hash([9; 32]), value: query.sql.clone() }.commitment());
        assert_eq!(difference(&entry, &made(9)), None);
        assert_eq!(difference(&entry, &made(1)), Some("statement"));
        let mut other = made(9);
        other.reads[0].columns.pop();
        assert_eq!(difference(&entry, &other), Some("columns"));
        other.reads[0].snapshot = Hash([0; 32]);
        assert_eq!(difference(&entry, &other), Some("snapshot"));
        assert_eq!(compiled.entry(["energy"].into_iter(), |_| None, Hash([9; 32])), Err("energy.use".into()));
    }

    #[test]
    fn an_entry_is_the_planners_alone() {
        let (query, effective) = (query(), effective());
        let compiled = Compiled { job: QueryId(Hash([5; 32])), query: &query, plan_hash: Hash([6; 32]), effective: &effective };
        let body = Body::Query(compiled.entry(["energy"].into_iter(), |_| Some(Hash([8; 32])), Hash([9; 32])).expect("made"));
        let identity = |seed| Identity::from_seed(&[seed; 32]);
        let key =
            |name: &str, seed| VerifierKey::new(name, ledger::key::KeyKind::Note, identity(seed).public().verifying_key()).expect("a key");
        let given = |entry: String| QueryEntry { entry, salt: Hash([9; 32]) };
        let signed = body.sign("office", identity(1).signing_key()).expect("signed");
        assert!(given(signed.clone()).open(&key("office", 1)).is_ok());
        assert!(given(signed.clone()).open(&key("office", 2)).is_err(), "with another key");
        assert!(given(signed.clone()).open(&key("press", 1)).is_err(), "by somebody else");
        let both = entry::countersign(&signed, "press", identity(2).signing_key()).expect("signed");
        assert!(given(both).open(&key("office", 1)).expect_err("by two").contains("`office` alone"));
    }

    #[test]
    fn data_are_their_snapshots_in_any_order() {
        let read =
            |dataset: &str, snapshot: u8| Read { dataset: dataset.into(), snapshot: Hash([snapshot; 32]), columns: vec!["zone".into()] };
        let of = |reads: Vec<Read>| {
            data(&entry::Query {
                job: Hash([1; 32]),
                purpose: "for the bus plan".into(),
                contracts: Vec::new(),
                reads,
                parties: Vec::new(),
                receivers: Vec::new(),
                plan_hash: Hash([2; 32]),
                statement: Hash([3; 32]),
                expires: 0,
            })
        };
        let both = of(vec![read("energy.use", 1), read("health.stays", 2)]);
        assert_eq!(of(vec![read("health.stays", 2), read("energy.use", 1)]), both);
        assert_ne!(of(vec![read("energy.use", 2), read("health.stays", 1)]), both);
        assert_ne!(of(vec![read("energy.use", 1), read("health.stays", 3)]), both);
        assert_ne!(of(vec![read("energy.use", 1)]), both);
    }
}
