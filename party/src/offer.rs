//! An offer, judged. The coordinator is trusted for nothing: every claim about a query is checked here, from the planner's own signed
//! note and this node's own files, before anything is accepted; and the SQL is compiled here, so that nobody else's plan ever runs.

#[cfg(doc)]
use crate::attempts::Attempts;
use crate::contracts::{Consent, Contracts};
use crate::seal;
use ledger::bytes::Hash;
use ledger::entry::{self, Body, Entry, Opening};
use mpc_core::roster::Roster;
use query::catalog::Catalog;
use query::compile::{SqlError, compile};
use query::consent::Effective;
use query::message::frame::Offer;
use query::message::{Code, Query, QueryId, Refusal};
use query::plan::Plan;
use query::size::{Bounds, Size};
use std::sync::Arc;

/// What a node judges by.
#[derive(Clone)]
pub struct Grounds {
    roster: Arc<Roster>,
    catalog: Arc<Catalog>,
    catalog_hash: Hash,
    node: String,
    bounds: Bounds,
    contracts: Arc<Contracts>,
}

/// A query this node is willing to run, and its own plan for it.
#[derive(Clone)]
pub struct Admitted {
    /// The query's id, computed from its note.
    pub job: QueryId,
    /// Which attempt.
    pub attempt: u32,
    /// What the planner signed.
    pub query: Query,
    /// What it compiles to here.
    pub plan: Arc<Plan>,
    /// The plan's hash.
    pub plan_hash: Hash,
    /// The contracts that allow it.
    pub consent: Consent,
    /// What it does under them.
    pub effective: Effective,
    /// The planner's entry about it, where it stands on the city's log.
    pub entry: Option<Arc<entry::Query>>,
    /// What opens its commitment to the SQL.
    pub statement: Option<Arc<Opening>>,
    /// The checkpoint with which it was started there.
    pub checkpoint: Option<String>,
}

impl Grounds {
    /// The node `node` judges by these files, and takes no plan beyond these bounds.
    pub fn new(node: &str, roster: Arc<Roster>, catalog: Arc<Catalog>, bounds: Bounds, contracts: Arc<Contracts>) -> Self {
        let catalog_hash = Hash(catalog.hash());
        Self { roster, catalog, catalog_hash, node: node.into(), bounds, contracts }
    }

    /// The roster.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The catalogue.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The contracts as they stand.
    pub fn contracts(&self) -> &Arc<Contracts> {
        &self.contracts
    }

    /// The catalogue's hash.
    pub fn catalog_hash(&self) -> Hash {
        self.catalog_hash
    }

    /// Judges an offer at the time `now` (Unix seconds). `new` says whether the attempt is, as [`Attempts::check`] knows it.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn admit(
        &self,
        offer: &Offer,
        new: impl FnOnce(QueryId, &Query, u32) -> Result<(), Refusal>,
        now: u64,
    ) -> Result<Admitted, Refusal> {
        if QueryId::of(&offer.note) != offer.job {
            let reason = "the coordinator offers a query under another query's id";
            return Err(Refusal::new(Code::Signature, reason, "submit the query again; if this stays, the coordinator is at fault"));
        }
        let (job, query) = Query::admit(&offer.note, &self.roster, self.catalog_hash, now)?;
        seal::check_output_key(&query.output_key.0)
            .map_err(|e| Refusal::new(Code::OutputKey, format!("{e}"), "let `tacit query` make one"))?;
        new(job, &query, offer.attempt)?;
        let plan = compile(&query.sql, &self.catalog).map_err(of_sql)?;
        if let Some(stranger) = plan.parties.iter().find(|name| self.roster.party_id(name).is_none()) {
            let reason = format!("the query reads tables of `{stranger}`, which is not a party of this roster");
            return Err(Refusal::new(Code::Unsupported, reason, "leave them out, or have the party added to the roster"));
        }
        Size::of(&plan).admit(&self.bounds, &self.node)?;
        let (effective, consent) = self.contracts.admit(&plan, &query, &named(offer), now)?;
        // What runs is what the contracts make of it.
        let plan = effective.plan(plan, &query.sql, &self.catalog, query.epsilon).map_err(of_sql)?;
        Size::of(&plan).admit(&self.bounds, &self.node)?;
        let plan_hash = Hash(plan.hash());
        let (attempt, plan) = (offer.attempt, Arc::new(plan));
        Ok(Admitted { job, attempt, query, plan, plan_hash, consent, effective, entry: None, statement: None, checkpoint: None })
    }
}

/// The contracts that the planner's entry names, if there is one; whether it is in order is asked later.
fn named(offer: &Offer) -> Vec<Hash> {
    match offer.entry.as_ref().and_then(|given| Entry::parse(given.entry.as_bytes()).ok()).map(|entry| entry.body) {
        Some(Body::Query(query)) => query.contracts,
        _ => Vec::new(),
    }
}

fn of_sql(error: SqlError) -> Refusal {
    let place = error.line.zip(error.column).map(|(line, column)| format!("at {line}:{column}: ")).unwrap_or_default();
    Refusal::new(error.code, format!("{place}{}", error.message), error.fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::Attempts;
    use crate::config::Limits;
    use crate::contracts::signs;
    use ledger::bytes::Base64;
    use ledger::contract::{Contract, PUBLIC_BENEFIT, everything};
    use mpc_core::identity::Identity;
    use query::message::Statement;
    use tempfile::TempDir;

    const NOW: u64 = 1_800_000_000;
    const SQL: &str = "SELECT COUNT(*) AS n FROM transport.trips";

    fn identity(seed: u8) -> Identity {
        Identity::from_seed(&[seed; 32])
    }

    fn roster() -> Roster {
        let mut text = String::from("city = \"c\"\n");
        for (at, name) in ["transport", "energy", "health"].iter().enumerate() {
            let key = identity(at as u8 + 1).public();
            text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"127.0.0.1:710{at}\"\n");
        }
        let key = identity(4).public();
        text += &format!(
            "[[node]]\nname = \"coordinator\"\nrole = \"coordinator\"\nkey = \"{key}\"\naddr = \"127.0.0.1:7109\"\napi = \"http://h\"\n"
        );
        text += &format!("[[planner]]\nname = \"office\"\nkey = \"{}\"\n", identity(5).public());
        Roster::parse(&text).expect("a roster")
    }

    fn catalog(most: u64) -> Catalog {
        let text = format!(
            "version = 1\n[[table]]\nname = \"transport.trips\"\nmax_rows = {most}\n\
             column = [{{ name = \"seconds\", type = \"INT\", min = 0, max = 9 }}]\n"
        );
        Catalog::parse(&text).expect("a catalogue")
    }

    /// All that can be allowed of the trips, for a year.
    fn contract() -> Contract {
        let key = |name: &str, seed| signs(name, &identity(seed).public()).expect("a key");
        Contract::new("transport.trips", key("transport", 1), vec![key("office", 5)], everything(["seconds"]), NOW).expect("randomness")
    }

    struct Desk {
        grounds: Grounds,
        attempts: Attempts,
        folder: TempDir,
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let (roster, catalog) = (Arc::new(roster()), Arc::new(catalog(9)));
            let note = contract().sign(identity(1).signing_key()).expect("signed");
            std::fs::write(folder.path().join("trips.contract"), note).expect("written");
            let contracts = Contracts::open(folder.path(), folder.path(), "transport", roster.clone(), catalog.clone()).expect("contracts");
            let grounds = Grounds::new("transport", roster, catalog, Limits::default().plan(), Arc::new(contracts));
            Self { grounds, attempts: Attempts::open(folder.path(), NOW).expect("opened"), folder }
        }

        fn query(&self) -> Query {
            Query {
                sql: SQL.into(),
                planner: "office".into(),
                roster_hash: Hash(roster().hash()),
                catalog_hash: self.grounds.catalog_hash,
                output_key: Base64(seal::OutputKey::generate().expect("randomness").public().to_vec()),
                purpose: format!("{PUBLIC_BENEFIT} to test"),
                security: "semi-honest".into(),
                protocol: "rep3".into(),
                epsilon: None,
                nonce: Hash([3; 32]),
                issued: NOW - 10,
                expires: NOW + 3600,
                analyze: false,
            }
        }

        fn judge(&self, note: String) -> Result<Admitted, Refusal> {
            self.admit(&Offer { job: QueryId::of(&note), attempt: 1, note, entry: None })
        }

        fn admit(&self, offer: &Offer) -> Result<Admitted, Refusal> {
            self.grounds.admit(offer, |job, query, attempt| self.attempts.check(job, query, attempt), NOW)
        }

        fn refused(&self, note: String, code: Code) {
            let refusal = self.judge(note).map(|_| ()).expect_err("refused");
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.reason.len() > 20 && !refusal.fix.is_empty(), "{refusal:?}");
        }

        fn changed(&self, code: Code, change: impl FnOnce(&mut Query)) {
            let mut query = self.query();
            change(&mut query);
            self.refused(sign(&query), code);
        }
    }

    fn sign(query: &Query) -> String {
        query.sign("office", &identity(5)).expect("signed")
    }

    #[test]
    fn a_good_query_is_admitted_with_a_plan_of_our_own() {
        let desk = Desk::new();
        let (one, two) = (desk.judge(sign(&desk.query())).expect("admitted"), desk.judge(sign(&desk.query())).expect("admitted"));
        assert_eq!(one.query.sql, SQL);
        assert_eq!(one.plan_hash, two.plan_hash);
        assert_eq!(one.plan_hash.0, one.plan.hash());
    }

    #[test]
    fn signatures_and_planners_are_checked() {
        let desk = Desk::new();
        let query = desk.query();
        desk.refused(query.sign("office", &identity(6)).expect("signed"), Code::Signature);
        desk.refused(query.sign("stranger", &identity(5)).expect("signed"), Code::Planner);
        desk.refused(query.sign("transport", &identity(1)).expect("signed"), Code::Planner);
        desk.changed(Code::Signature, |q| q.planner = "somebody".into());
        desk.refused(String::new(), Code::Signature);
        desk.refused("tacit/query/v1\n{}\n".into(), Code::Signature);
    }

    #[test]
    fn a_coordinator_that_swaps_anything_is_refused() {
        let desk = Desk::new();
        let note = sign(&desk.query());
        let swaps = [
            (SQL, "SELECT COUNT(*) AS m FROM transport.trips"),
            ("\"nonce\":\"03", "\"nonce\":\"04"),
            ("semi-honest", "semi-honesu"),
            ("to test", "to tesu"),
            ("\"analyze\":false", "\"analyze\":true"),
        ];
        for (from, to) in swaps {
            assert!(note.contains(from), "{from}");
            desk.refused(note.replacen(from, to, 1), Code::Signature);
        }
        // Every single bit of the note counts.
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(desk.judge(changed).is_err(), "byte {at}");
            }
        }
        let other = Offer { job: QueryId::of("another"), attempt: 1, note, entry: None };
        let refusal = desk.admit(&other).map(|_| ()).expect_err("refused");
        assert_eq!(refusal.code, Code::Signature);
    }

    #[test]
    fn times_hashes_keys_and_modes_are_checked() {
        let desk = Desk::new();
        desk.changed(Code::Expired, |q| q.expires = NOW);
        desk.changed(Code::Expired, |q| q.expires = NOW + 30 * 24 * 3600);
        desk.changed(Code::NotYet, |q| q.issued = NOW + Query::MAX_SKEW + 1);
        desk.changed(Code::Roster, |q| q.roster_hash = Hash([1; 32]));
        desk.changed(Code::Catalog, |q| q.catalog_hash = Hash(catalog(10).hash()));
        desk.changed(Code::OutputKey, |q| q.output_key = Base64(vec![0; 32]));
        desk.changed(Code::OutputKey, |q| q.output_key.0 = [vec![1], vec![0; 31]].concat());
        desk.changed(Code::Unsupported, |q| q.security = "malicious".into());
        desk.changed(Code::Unsupported, |q| q.protocol = "shamir".into());
    }

    #[test]
    fn sql_is_compiled_here() {
        let desk = Desk::new();
        for sql in ["SELEC 1", "SELECT x FROM transport.nowhere", "SELECT nothing FROM transport.trips", "DROP TABLE transport.trips"] {
            let mut query = desk.query();
            query.sql = sql.into();
            let refusal = desk.judge(sign(&query)).map(|_| ()).expect_err(sql);
            assert!(matches!(refusal.code, Code::Sql | Code::Unsupported), "{sql}: {refusal}");
        }
    }

    #[test]
    fn a_plan_beyond_the_bounds_of_the_node_is_refused() {
        let mut desk = Desk::new();
        let note = sign(&desk.query());
        desk.judge(note.clone()).expect("within the usual bounds");
        desk.grounds.bounds.rows = 0;
        desk.refused(note, Code::TooLarge);
    }

    #[test]
    fn what_no_contract_allows_is_refused() {
        let desk = Desk::new();
        let admitted = desk.judge(sign(&desk.query())).expect("allowed");
        let [signed] = &admitted.consent.contracts().collect::<Vec<_>>()[..] else { panic!("one contract") };
        assert_eq!(signed.contract.dataset, "transport.trips");
        desk.changed(Code::NoConsent, |q| q.purpose = "to test".into());
        desk.changed(Code::NoConsent, |q| q.purpose = "https://w3id.org/dpv#Marketing".into());
        let later = desk.query();
        let later = Query { issued: NOW + 366 * 86_400, expires: NOW + 366 * 86_400 + 60, ..later };
        let note = sign(&later);
        let offer = Offer { job: QueryId::of(&note), attempt: 1, note, entry: None };
        let refusal = desk.grounds.admit(&offer, |_, _, _| Ok(()), later.issued).map(|_| ()).expect_err("its contract has ended");
        assert!(refusal.code == Code::NoConsent && refusal.reason.contains("ended at"), "{refusal}");
        // Without any contract: default deny.
        std::fs::remove_file(desk.folder.path().join("trips.contract")).expect("removed");
        assert!(desk.grounds.contracts().reread(false), "the folder has changed");
        desk.refused(sign(&desk.query()), Code::NoConsent);
    }

    #[test]
    fn a_replay_is_refused() {
        let mut desk = Desk::new();
        let note = sign(&desk.query());
        let admitted = desk.judge(note.clone()).expect("admitted");
        desk.attempts.begin(admitted.job, &admitted.query, 1, NOW).expect("begun");
        desk.refused(note.clone(), Code::Replay);
        let next = Offer { job: admitted.job, attempt: 2, note, entry: None };
        assert_eq!(desk.admit(&next).expect("admitted").attempt, 2);
        // Another question under the same nonce.
        desk.changed(Code::Replay, |q| q.purpose = "another".into());
    }
}
