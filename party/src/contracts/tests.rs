use super::*;
use ledger::bytes::Base64;
use ledger::contract::{Contract, Operation, PUBLIC_BENEFIT, Pattern, Price, everything};
use ledger::entry::{Body, Revoke, countersign};
use mpc_core::identity::Identity;
use query::compile::compile;
use std::collections::BTreeSet;
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;
const SQL: &str = "SELECT SUM(seconds) AS s FROM transport.trips";
const BOTH: &str = "SELECT t.s, e.k FROM (SELECT SUM(seconds) AS s FROM transport.trips) t, (SELECT SUM(kwh) AS k FROM energy.use) e";

fn identity(name: &str) -> Identity {
    Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0)
}

fn key(name: &str) -> VerifierKey {
    signs(name, &identity(name).public()).expect("a key")
}

fn roster() -> Roster {
    let mut text = String::from("city = \"c\"\n");
    for (at, name) in ["transport", "energy", "health"].iter().enumerate() {
        let key = identity(name).public();
        text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"127.0.0.1:710{at}\"\n");
    }
    let key = identity("coordinator").public();
    text += &format!("[[node]]\nname = \"coordinator\"\nrole = \"coordinator\"\nkey = \"{key}\"\naddr = \"h:1\"\napi = \"http://h\"\n");
    for name in ["office", "press"] {
        text += &format!("[[planner]]\nname = \"{name}\"\nkey = \"{}\"\n", identity(name).public());
    }
    Roster::parse(&text).expect("a roster")
}

fn catalog() -> Catalog {
    let table = |name: &str, column: &str| {
        format!("[[table]]\nname = \"{name}\"\nmax_rows = 9\ncolumn = [{{ name = \"{column}\", type = \"INT\", min = 0, max = 9 }}]\n")
    };
    Catalog::parse(&format!("version = 1\n{}{}", table("transport.trips", "seconds"), table("energy.use", "kwh"))).expect("a catalogue")
}

/// Everything of the trips, for the planning office.
fn contract() -> Contract {
    Contract::new("transport.trips", key("transport"), vec![key("office")], everything(["seconds"]), NOW).expect("randomness")
}

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(desk.folder.path().join("contracts")).expect("made");
        desk
    }

    /// A desk with this contract, as `NAME.contract`.
    fn with(name: &str, contract: &Contract) -> Self {
        let desk = Self::new();
        desk.put(&format!("{name}.contract"), &sign(contract));
        desk
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("contracts").join(name), text).expect("written");
    }

    fn take_away(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("contracts").join(name)).expect("removed");
    }

    fn open_as(&self, node: &str) -> Result<Contracts, ContractsError> {
        let folder = self.folder.path();
        Contracts::open(&folder.join("contracts"), folder, node, Arc::new(roster()), Arc::new(catalog()))
    }

    fn open(&self) -> Contracts {
        self.open_as("transport").expect("contracts")
    }

    /// Why the folder is refused.
    fn refused(&self) -> String {
        self.open_as("transport").map(|_| ()).expect_err("refused").to_string()
    }
}

fn sign(contract: &Contract) -> String {
    contract.sign(identity(contract.owner.name()).signing_key()).expect("signed")
}

fn id(note: &str) -> Hash {
    ledger::entry::Entry::parse(note.as_bytes()).expect("an entry").id
}

fn revocation(contract: Hash, by: &str) -> String {
    Body::Revoke(Revoke { contract, reason: Some("the pilot is over".into()) }).sign(by, identity(by).signing_key()).expect("signed")
}

fn query(change: impl FnOnce(&mut Query)) -> Query {
    let mut query = Query {
        sql: SQL.into(),
        planner: "office".into(),
        roster_hash: Hash([0; 32]),
        catalog_hash: Hash([0; 32]),
        output_key: Base64(vec![9; 32]),
        purpose: format!("{PUBLIC_BENEFIT} the bus plan"),
        security: "semi-honest".into(),
        protocol: "rep3".into(),
        epsilon: None,
        nonce: Hash([1; 32]),
        issued: NOW,
        expires: NOW + 100,
        analyze: false,
    };
    change(&mut query);
    query
}

fn admit(contracts: &Contracts, change: impl FnOnce(&mut Query), now: u64) -> Result<Consent, Refusal> {
    let query = query(change);
    let plan = compile(&query.sql, &catalog()).expect("it compiles");
    contracts.admit(&plan, &query, &[], now).map(|(_, consent)| consent)
}

fn says(refused: Result<Consent, Refusal>, words: &str) {
    let refusal = refused.map(|_| ()).expect_err(words);
    assert!(matches!(refusal.code, Code::NoConsent | Code::UsedUp), "{refusal}");
    assert!(refusal.reason.contains(words) && !refusal.fix.is_empty(), "{words}: {refusal:?}");
}

#[test]
fn what_a_contract_allows_is_admitted_and_nothing_else() {
    let contract = Contract { columns: [("seconds".into(), BTreeSet::from([Operation::Sum]))].into(), ..contract() };
    let contracts = Desk::with("trips", &contract).open();
    let consent = admit(&contracts, |_| {}, NOW).expect("allowed");
    assert_eq!(consent.contracts().map(|signed| &signed.contract.id).collect::<Vec<_>>(), ["trips"]);
    says(admit(&contracts, |q| q.planner = "press".into(), NOW), "does not name `press` among its planners");
    says(admit(&contracts, |q| q.purpose = "https://w3id.org/dpv#Marketing".into(), NOW), "does not allow the purpose");
    says(admit(&contracts, |q| q.purpose.clear(), NOW), "the question names none");
    says(admit(&contracts, |q| q.sql = SQL.replace("SUM", "MAX"), NOW), "does not allow seconds in MAX");
    says(admit(&contracts, |q| q.sql = "SELECT SUM(kwh) AS k FROM energy.use".into(), NOW), "there is no contract for energy.use");
    says(admit(&contracts, |_| {}, contract.not_before.0 - 1), "begins at");
    says(admit(&contracts, |_| {}, contract.not_after.0), "ended at");
}

#[test]
fn without_contracts_nothing_may_be_asked_and_without_their_folder_no_node_starts() {
    let contracts = Desk::new().open();
    says(admit(&contracts, |_| {}, NOW), "there is no contract for transport.trips");
    let desk = Desk::new();
    std::fs::remove_dir(desk.folder.path().join("contracts")).expect("removed");
    let why = desk.refused();
    assert!(why.contains("there is no such folder; make it") && !why.contains("os error"), "{why}");
}

#[test]
fn a_bad_file_is_named_with_its_reason_and_nothing_is_taken() {
    let good = contract();
    let note = sign(&good);
    let by_health = note.replace("\n\n", "\n").split("\n\u{2014}").next().map(|text| {
        let text = format!("{text}\n");
        let signature = identity("health").sign(text.as_bytes());
        format!("{text}\n\u{2014} transport {}\n", Base64([&[0; 4][..], &signature].concat()))
    });
    let own = |change: &dyn Fn(&mut Contract)| {
        let mut contract = contract();
        change(&mut contract);
        sign(&contract)
    };
    let no_key = VerifierKey::new("transport", KeyKind::Note, *key("health").key()).expect("a key");
    let forged = Contract { owner: no_key, ..contract() }.sign(identity("health").signing_key()).expect("signed");
    let stranger = Contract { owner: key("police"), ..contract() };
    let stranger = Contract { dataset: "police.stops".into(), ..stranger }.sign(identity("police").signing_key()).expect("signed");
    for (name, text, says) in [
        ("a.contract", String::new(), "the entry is refused"),
        ("a.contract", note.replacen("\"SUM\"", "\"MEAN\"", 1), "the contract is refused: unknown variant"),
        ("a.contract", note.replacen("\"min_group\":1,", "\"min_group\":2,", 1), "the signature of `transport` does not verify"),
        ("a.contract", by_health.expect("a text"), "not signed by `transport`"),
        ("a.contract", forged, "not signed by `transport`"),
        ("a.contract", stranger, "`police`, which the reader does not know"),
        ("a.contract", own(&|c| c.dataset = "transport.bikes".into()), "the catalogue has no table `transport.bikes`"),
        ("a.contract", own(&|c| c.columns = everything(["metres"])), "transport.trips has no column `metres`"),
        ("a.contract", own(&|c| c.entity_key = Some("rider".into())), "transport.trips has no column `rider`"),
        ("a.contract", revocation(id(&note), "transport"), "an entry of another kind"),
        ("a.revoke", note.clone(), "an entry of another kind"),
        ("a.revoke", revocation(id(&note), "office"), "signed by no agency of the roster"),
    ] {
        let desk = Desk::with("good", &good);
        desk.put(name, &text);
        desk.put("a.draft", "not looked at");
        let why = desk.refused();
        assert!(why.contains(&format!("\n  {name}: ")) && why.contains(says), "{says}: {why}");
        assert!(!why.contains("good.contract"), "{why}");
    }
}

#[test]
fn what_this_release_does_not_enforce_its_own_agency_is_told() {
    let desk = Desk::with("trips", &Contract { security: Security::Malicious, ..contract() });
    let why = desk.refused();
    assert!(why.contains("trips.contract: this release does not enforce `security` yet ("), "{why}");
    assert!(why.contains("write \"security\": \"semi-honest\""), "{why}");
    // Whether another agency keeps its own is for that agency's node.
    assert_eq!(desk.open_as("energy").expect("not its own").summary().standing, 1);
    // A price is no promise of the node's: it is shown, and counted by whoever audits.
    let contract = Contract { price: Some(Price { unit: "credit".into(), per_use: 1 }), ..contract() };
    admit(&Desk::with("trips", &contract).open(), |_| {}, NOW).expect("allowed");
}

#[test]
fn what_changes_in_the_folder_is_taken_up() {
    let desk = Desk::new();
    let contracts = desk.open();
    assert!(!contracts.reread(false), "nothing has changed");
    assert!(contracts.reread(true), "it was told to");
    let note = sign(&contract());
    desk.put("trips.contract", &note);
    assert!(contracts.reread(false));
    let consent = admit(&contracts, |_| {}, NOW).expect("allowed");
    assert_eq!((contracts.ended(&consent), contracts.ended_at_once(&consent)), (None, None));

    // A file that is refused keeps new ones out, and nothing else.
    let before = contracts.summary();
    desk.put("bad.contract", "no contract");
    let use_note = Contract::new("energy.use", key("energy"), vec![key("office")], everything(["kwh"]), NOW).expect("randomness");
    desk.put("use.contract", &sign(&use_note));
    assert!(contracts.reread(false));
    let summary = contracts.summary();
    assert_eq!((summary.standing, summary.hash), (before.standing, before.hash));
    assert!(summary.trouble[0].starts_with("bad.contract: "), "{summary:?}");
    admit(&contracts, |_| {}, NOW).expect("it stood before");

    // What is revoked meanwhile ends, whatever else is wrong; only its owner revokes it.
    desk.put("not-mine.revoke", &revocation(id(&note), "energy"));
    contracts.reread(false);
    admit(&contracts, |_| {}, NOW).expect("another agency's word");
    assert!(!contracts.is_revoked(&id(&note)));
    desk.put("mine.revoke", &revocation(id(&note), "transport"));
    contracts.reread(false);
    says(admit(&contracts, |_| {}, NOW), "there is no contract");
    assert!(contracts.ended(&consent).is_some() && contracts.ended_at_once(&consent).is_some() && contracts.is_revoked(&id(&note)));

    // Mended: what waited comes into force, what was revoked does not.
    desk.take_away("bad.contract");
    contracts.reread(false);
    let summary = contracts.summary();
    assert_eq!((summary.standing, summary.revoked, summary.trouble.len()), (1, 1, 0));
    // So it is without the contract's own file. What is merely taken away stands no more, and is not revoked.
    desk.take_away("trips.contract");
    desk.take_away("use.contract");
    contracts.reread(false);
    contracts.reread(true);
    assert_eq!(
        (contracts.is_revoked(&id(&note)), contracts.is_revoked(&id(&sign(&use_note))), contracts.summary().standing),
        (true, false, 0)
    );

    // Nor does another agency's word revoke what is not there any more, however often it is read; the node's own does.
    let gone = id(&sign(&use_note));
    desk.put("gone.revoke", &revocation(gone, "health"));
    for _ in 0..3 {
        contracts.reread(true);
    }
    assert!(!contracts.is_revoked(&gone) && !desk.open().is_revoked(&gone));
    desk.put("gone-too.revoke", &revocation(gone, "transport"));
    contracts.reread(true);
    assert!(contracts.is_revoked(&gone) && desk.open().is_revoked(&gone));

    // Without its folder nothing stands.
    std::fs::remove_dir_all(desk.folder.path().join("contracts")).expect("removed");
    assert!(contracts.reread(false) && !contracts.reread(false));
    assert_eq!((contracts.summary().standing, contracts.summary().trouble.len()), (0, 1));
}

/// Whoever could ask under a contract is told that it is gone, and by whom it was revoked; nobody else is told that there was one.
#[test]
fn a_refusal_says_of_a_contract_that_is_gone_that_it_is() {
    let refused = |contracts: &Contracts, change: &dyn Fn(&mut Query), now: u64| {
        let refusal = admit(contracts, change, now).map(|_| ()).expect_err("refused");
        assert!(refusal.code == Code::NoConsent && !refusal.fix.is_empty(), "{refusal:?}");
        refusal
    };
    let trips = contract();
    let (note, desk) = (sign(&trips), Desk::with("trips", &trips));
    let contracts = desk.open();
    desk.put("trips.revoke", &revocation(id(&note), "transport"));
    contracts.reread(false);
    let revoked = format!("; the contract `trips` ({}) for transport.trips, which allowed it, was revoked by transport", id(&note).short());
    for contracts in [&contracts, &desk.open()] {
        let refusal = refused(contracts, &|_| {}, NOW);
        assert!(refusal.reason.contains("there is no contract for transport.trips") && refusal.reason.ends_with(&revoked), "{refusal}");
        assert_eq!(refusal.fix, "ask transport to sign a contract for transport.trips");
        // Who could not have asked this under it.
        for refusal in [
            refused(contracts, &|q| q.planner = "press".into(), NOW),
            refused(contracts, &|q| q.purpose = "https://w3id.org/dpv#Marketing".into(), NOW),
            refused(contracts, &|q| q.sql = BOTH.into(), NOW),
            refused(contracts, &|_| {}, trips.not_after.0),
        ] {
            assert!(!refusal.to_string().contains("revoked") && !refusal.reason.contains("`trips`"), "{refusal}");
        }
    }
    // Where another stands and does not allow it, both are said.
    let narrow = Contract { id: "narrow".into(), columns: [("seconds".into(), BTreeSet::from([Operation::Max]))].into(), ..contract() };
    desk.put("narrow.contract", &sign(&narrow));
    contracts.reread(false);
    let refusal = refused(&contracts, &|_| {}, NOW);
    let says = |words: &str| refusal.reason.contains(words);
    assert!(says("`narrow` for transport.trips does not allow seconds in SUM") && says(&revoked), "{refusal}");
    assert!(refusal.fix.contains("use MAX of seconds"), "{refusal:?}");
    desk.take_away("narrow.contract");

    // Without its file it is known to who saw it stand, and to nobody else.
    desk.take_away("trips.contract");
    contracts.reread(false);
    assert!(refused(&contracts, &|_| {}, NOW).reason.ends_with(&revoked));
    assert!(!refused(&desk.open(), &|_| {}, NOW).reason.contains("revoked"));

    // What was merely taken away is another matter, and may come back.
    let desk = Desk::with("trips", &trips);
    let contracts = desk.open();
    desk.take_away("trips.contract");
    contracts.reread(false);
    let refusal = refused(&contracts, &|_| {}, NOW);
    assert!(refusal.reason.ends_with("which allowed it, was taken out of this node's folder of contracts"), "{refusal}");
    assert!(
        refusal.fix.ends_with("; or have the contract put back into this node's folder, if it was taken away by mistake"),
        "{refusal:?}"
    );
    assert!(!refused(&contracts, &|q| q.planner = "press".into(), NOW).reason.contains("taken"));
    desk.put("trips.contract", &note);
    contracts.reread(false);
    admit(&contracts, |_| {}, NOW).expect("it is back");
    let press = refused(&contracts, &|q| q.planner = "press".into(), NOW).reason;
    assert!(press.contains("does not name `press`") && !press.contains("taken"), "{press}");

    // Of several data sets all are named.
    let uses = Contract::new("energy.use", key("energy"), vec![key("office")], everything(["kwh"]), NOW).expect("randomness");
    let uses = Contract { join_with: [Pattern::Any].into(), ..uses };
    let trips = Contract { join_with: [Pattern::Any].into(), ..contract() };
    let desk = Desk::with("trips", &trips);
    desk.put("use.contract", &sign(&uses));
    desk.put("trips.revoke", &revocation(id(&sign(&trips)), "transport"));
    desk.put("use.revoke", &revocation(id(&sign(&uses)), "energy"));
    let refusal = refused(&desk.open(), &|q| q.sql = BOTH.into(), NOW);
    assert!(refusal.reason.contains("was revoked by transport") && refusal.reason.contains("was revoked by energy"), "{refusal}");
}

#[test]
fn a_contract_that_says_so_lets_what_runs_end() {
    let contract = Contract { revocation: Revocation::NewJobs, ..contract() };
    let desk = Desk::with("trips", &contract);
    let contracts = desk.open();
    let consent = admit(&contracts, |_| {}, NOW).expect("allowed");
    desk.take_away("trips.contract");
    contracts.reread(false);
    assert!(contracts.ended(&consent).is_some() && contracts.ended_at_once(&consent).is_none());
}

#[test]
fn a_planner_who_must_sign_asks_once_it_has() {
    let contract = Contract { countersigned: true, ..contract() };
    let note = sign(&contract);
    let desk = Desk::with("trips", &contract);
    let contracts = desk.open();
    says(admit(&contracts, |_| {}, NOW), "binds `office` only after it signed it");
    let by_another = countersign(&note, "office", identity("press").signing_key()).expect("a line");
    desk.put("trips.contract", &by_another);
    contracts.reread(false);
    says(admit(&contracts, |_| {}, NOW), "binds `office` only after it signed it");
    // The file may lie beside the other: it is the same contract.
    desk.put("both.contract", &countersign(&note, "office", identity("office").signing_key()).expect("a line"));
    contracts.reread(false);
    assert_eq!(contracts.summary().standing, 1);
    admit(&contracts, |_| {}, NOW).expect("countersigned");
}

#[test]
fn nodes_with_the_same_folder_agree_and_others_do_not() {
    let twice = [contract(), contract()].map(|contract| sign(&contract));
    let consents: Vec<Hash> = [[0, 1], [1, 0]]
        .map(|order| {
            let desk = Desk::new();
            order.iter().enumerate().for_each(|(at, which)| desk.put(&format!("{at}.contract"), &twice[*which]));
            admit(&desk.open(), |_| {}, NOW).expect("allowed").hash()
        })
        .to_vec();
    assert_eq!(consents[0], consents[1], "of several that allow it, all nodes name the same one");
    let other = Desk::with("trips", &contract()).open();
    assert_ne!(admit(&other, |_| {}, NOW).expect("allowed").hash(), consents[0]);
}

#[test]
fn uses_are_counted_for_good() {
    let contract = Contract { max_uses: Some(2), join_with: [Pattern::Any].into(), ..contract() };
    let desk = Desk::with("trips", &contract);
    let contracts = desk.open();
    let consent = admit(&contracts, |_| {}, NOW).expect("two are left");
    // Two run: a third may not, until one of them ends without an answer.
    contracts.reserve(&consent).expect("one");
    contracts.reserve(&consent).expect("two");
    says(admit(&contracts, |_| {}, NOW), "is used up: it is for 2 answers");
    says(contracts.reserve(&consent).map(|()| Consent::default()), "is used up");
    contracts.release(&consent);
    contracts.count(&consent).expect("answered");
    contracts.release(&consent);
    drop(contracts);

    let contracts = desk.open();
    admit(&contracts, |_| {}, NOW).expect("one is left");
    contracts.count(&consent).expect("answered");
    let contracts = desk.open();
    says(admit(&contracts, |_| {}, NOW), "is used up");
    // What else is wrong is said first.
    says(admit(&contracts, |q| q.purpose.clear(), NOW), "the question names none");
    // Another contract for the same data set serves.
    desk.put("more.contract", &sign(&Contract { max_uses: None, ..self::contract() }));
    contracts.reread(false);
    let other = admit(&contracts, |_| {}, NOW).expect("by the other one");
    // Where the planner names one, it is that one; or it is said why not.
    let named = |signed: &Consent| {
        let ids: Vec<Hash> = signed.contracts().map(|signed| signed.id).collect();
        let query = query(|_| {});
        let plan = compile(&query.sql, &catalog()).expect("it compiles");
        contracts.admit(&plan, &query, &ids, NOW).map(|(_, consent)| consent)
    };
    assert_eq!(named(&other).expect("named").hash(), other.hash());
    assert_eq!(named(&consent).expect("named in an entry of a log, which counts").hash(), consent.hash());
}

#[test]
fn the_planner_says_under_which_of_several_contracts_he_asks() {
    let desk = Desk::with("one", &contract());
    desk.put("two.contract", &sign(&contract()));
    let ended = Contract { not_after: ledger::contract::Time(NOW + 1), ..contract() };
    desk.put("ended.contract", &sign(&ended));
    let contracts = desk.open();
    let query = query(|_| {});
    let plan = compile(&query.sql, &catalog()).expect("it compiles");
    let chosen = |named: &[Hash]| {
        let (_, consent) = contracts.admit(&plan, &query, named, NOW + 2).expect("allowed");
        consent.contracts().map(|signed| signed.id).collect::<Vec<_>>()
    };
    for name in ["one", "two"] {
        let note = std::fs::read_to_string(desk.folder.path().join(format!("contracts/{name}.contract"))).expect("a contract");
        assert_eq!(chosen(&[id(&note)]), [id(&note)], "{name}");
    }
    // What does not allow it, or is not there, leaves the choice to the node; its entry differs then from the planner's.
    for other in [id(&sign(&ended)), Hash([7; 32])] {
        assert_eq!(chosen(&[other]), chosen(&[]));
    }
}

#[test]
fn a_crash_leaves_the_old_count_or_the_new_and_a_damaged_one_is_said() {
    let contract = Contract { max_uses: Some(1), ..contract() };
    let desk = Desk::with("trips", &contract);
    let contracts = desk.open();
    let consent = admit(&contracts, |_| {}, NOW).expect("one is left");
    let file = desk.folder.path().join("uses");
    // Whatever a crash left of the file that was being written is not looked at.
    std::fs::write(file.with_extension("new"), "half a li").expect("written");
    admit(&desk.open(), |_| {}, NOW).expect("not counted yet");
    contracts.count(&consent).expect("answered");
    let whole = std::fs::read(&file).expect("the count");
    for cut in 1..whole.len() {
        std::fs::write(&file, &whole[..cut]).expect("written");
        assert!(desk.refused().contains("uses: not a count of uses"), "cut at {cut}");
    }
    std::fs::write(&file, &whole).expect("written");
    says(admit(&desk.open(), |_| {}, NOW), "is used up");
    // A disk that does not take it: the answer does not leave.
    let contracts = Desk::with("trips", &contract).open();
    let consent = admit(&contracts, |_| {}, NOW).expect("one is left");
    assert_eq!(contracts.count(&consent).expect_err("its folder is gone").code, Code::Internal);
    admit(&contracts, |_| {}, NOW).expect("and nothing is counted");
}
