use super::*;
use crate::entry::countersign;
use crate::testing::{self, hash, key, vkey};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn planner(name: &str) -> VerifierKey {
    vkey(name, KeyKind::Note)
}

fn set<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.map(String::from).into()
}

fn contract() -> Contract {
    Contract {
        id: "buildings-2027".into(),
        dataset: "energy.buildings".into(),
        owner: planner("energy"),
        planners: vec![planner("planning-office")],
        countersigned: false,
        receivers: set(["planning-office"]),
        purposes: set(["https://w3id.org/dpv#PublicBenefit"]),
        columns: [("*", vec![Operation::Count]), ("kwh", vec![Operation::Sum, Operation::Avg]), ("zone", vec![Operation::Group])]
            .map(|(name, allowed)| (name.into(), allowed.into_iter().collect()))
            .into(),
        entity_key: Some("resident_id".into()),
        entity_domain: None,
        min_group: 10,
        dominance_pct: 15,
        clamp: BTreeMap::from([("kwh".into(), (Decimal(0), "5000.5".parse().expect("a number")))]),
        max_rows_per_entity: Some(96),
        dp: Some(Dp {
            epsilon_per_query_max: "0.5".parse().expect("ε"),
            epsilon_month: "4".parse().expect("ε"),
            epsilon_month_all: None,
            delta: "0.000001".parse().expect("δ"),
            mode: DpMode::Required,
            noise: NoiseLaw::Laplace,
        }),
        join_with: BTreeSet::from([Pattern::Agency("health".into())]),
        security: Security::SemiHonest,
        sizes: Sizes::Hidden,
        not_before: "2026-11-01T00:00:00Z".parse().expect("a time"),
        not_after: "2027-11-01T00:00:00Z".parse().expect("a time"),
        max_uses: Some(100),
        price: Some(Price { unit: "credit".into(), per_use: 1 }),
        revocation: Revocation::Immediate,
        nonce: hash("nonce"),
    }
}

#[test]
fn a_contract_reads_as_one_line_and_reads_back() {
    let note = contract().sign(&key("energy")).expect("signed");
    let (head, line) = note.split_once('\n').expect("lines");
    assert_eq!(head, "tacit/contract/v1");
    let told = [
        "{\"clamp\":{\"kwh\":[\"0\",\"5000.5\"]},\"columns\":{\"*\":[\"COUNT\"],\"kwh\":[\"AVG\",\"SUM\"],\"zone\":[\"GROUP\"]},",
        "\"dp\":{\"delta\":\"0.000001\",\"epsilon_month\":\"4\",\"epsilon_per_query_max\":\"0.5\",\"mode\":\"required\"}",
        "\"join_with\":[\"health.*\"]",
        "\"not_after\":\"2027-11-01T00:00:00Z\"",
        "\"revocation\":\"immediate\",\"security\":\"semi-honest\",\"sizes\":\"hidden\"}",
    ];
    told.iter().for_each(|part| assert!(line.contains(part), "{part} in {line}"));
    let read = SignedContract::open(&note, &planner("energy")).expect("a contract");
    assert_eq!((read.contract, read.id, read.countersigned), (contract(), testing::id(&note), set([])));
}

#[test]
fn planners_sign_too_and_others_count_for_nothing() {
    let note = contract().sign(&key("energy")).expect("signed");
    let both = countersign(&note, "planning-office", &key("planning-office")).expect("countersigned");
    let all = countersign(&both, "health", &key("health")).expect("countersigned");
    let read = SignedContract::open(&all, &planner("energy")).expect("a contract");
    assert_eq!(read.countersigned, set(["planning-office"]));
    assert_eq!(read.id, testing::id(&note), "who signs later does not change what it is called");
    let forged = countersign(&note, "planning-office", &key("somebody")).expect("countersigned");
    let read = SignedContract::open(&forged, &planner("energy")).expect("a contract");
    assert_eq!(read.countersigned, set([]), "another key under a planner's name");
    // a planner's own line, with its signature bytes changed
    let line = both.lines().last().expect("a signature");
    let at = line.len() - 10;
    let other = if &line[at..=at] == "A" { "B" } else { "A" };
    let broken = both.replace(line, &format!("{}{other}{}", &line[..at], &line[at + 1..]));
    assert!(SignedContract::open(&broken, &planner("energy")).is_err(), "a planner's wrong signature");
}

#[test]
fn only_its_owner_makes_and_ends_a_contract() {
    assert!(matches!(contract().sign(&key("health")), Err(ContractError::Owner { .. })));
    let note = contract().sign(&key("energy")).expect("signed");
    // Energy's name with a key that the reader does not know.
    assert!(SignedContract::open(&note, &VerifierKey::new("energy", KeyKind::Note, *planner("other").key()).expect("a key")).is_err());
    let (text, _) = note.split_once("\n\n").expect("parts");
    let line = crate::signed::sign_line(&format!("{text}\n"), "health", &key("health")).expect("signed");
    let by_another = format!("{text}\n\n{line}\n");
    assert!(matches!(SignedContract::open(&by_another, &planner("energy")), Err(ContractError::Owner { .. })));

    let revoke = Body::Revoke(Revoke { contract: testing::id(&note), reason: None }).sign("energy", &key("energy")).expect("signed");
    assert_eq!(open_revocation(&revoke, &planner("energy")), Ok(testing::id(&note)));
    assert!(open_revocation(&revoke, &planner("health")).is_err());
    assert_eq!(open_revocation(&note, &planner("energy")), Err(ContractError::Kind));
    assert_eq!(SignedContract::open(&revoke, &planner("energy")), Err(ContractError::Kind));
}

#[test]
fn the_log_takes_contracts_as_they_are() {
    let mut replay = testing::replay();
    let founding = testing::founding();
    let members = &founding[..testing::AGENCIES.len() + 1];
    members.iter().for_each(|member| replay.admit(member.as_bytes()).expect("it may stand"));
    let note = contract().sign(&key("energy")).expect("signed");
    let note = countersign(&note, "planning-office", &key("planning-office")).expect("countersigned");
    replay.admit(note.as_bytes()).expect("it may stand");
    assert!(replay.stands(&testing::id(&note)));
}

#[test]
fn fields_out_of_bounds_are_neither_signed_nor_read() {
    let refused = |change: &dyn Fn(&mut Contract)| {
        let mut contract = contract();
        change(&mut contract);
        assert!(matches!(contract.sign(&key("energy")), Err(ContractError::Field(_))), "{contract:?}");
        let terms = serde_json::to_value(&contract).expect("JSON");
        let note = note::sign("contract", "energy", &key("energy"), &terms).expect("signed");
        assert!(SignedContract::open(&note, &planner("energy")).is_err(), "{note}");
    };
    refused(&|c| c.id = "Buildings 2027".into());
    refused(&|c| c.dataset = "energy".into());
    refused(&|c| c.dataset = "health.stays".into());
    refused(&|c| c.planners.clear());
    refused(&|c| c.planners.push(planner("planning-office")));
    refused(&|c| c.planners = vec![planner("z"), planner("a")]);
    refused(&|c| c.planners = vec![vkey("planning-office", KeyKind::Cosignature)]);
    refused(&|c| c.receivers.clear());
    refused(&|c| c.receivers = set(["a b"]));
    refused(&|c| c.purposes.clear());
    refused(&|c| c.purposes = set(["for the good of all"]));
    refused(&|c| c.columns.clear());
    refused(&|c| drop(c.columns.insert("zone".into(), BTreeSet::new())));
    refused(&|c| drop(c.columns.insert(ROWS.into(), BTreeSet::from([Operation::Sum]))));
    refused(&|c| c.entity_key = Some(ROWS.into()));
    refused(&|c| c.entity_key = None);
    refused(&|c| c.min_group = 0);
    refused(&|c| c.dominance_pct = 0);
    refused(&|c| c.dominance_pct = 101);
    refused(&|c| {
        c.clamp.insert("kwh".into(), (Decimal(1), Decimal(0)));
    });
    refused(&|c| {
        c.clamp.insert("nothing".into(), (Decimal(0), Decimal(1)));
    });
    refused(&|c| c.max_rows_per_entity = Some(0));
    refused(&|c| c.not_after = c.not_before);
    refused(&|c| c.max_uses = Some(0));
    refused(&|c| c.entity_domain = Some("of energy".into()));
    refused(&|c| (c.entity_key, c.max_rows_per_entity, c.entity_domain) = (None, None, Some("energy.household".into())));
    refused(&|c| c.dp.as_mut().expect("noise").epsilon_month_all = Some(Decimal(0)));
    refused(&|c| c.planners.insert(0, planner("ana")));
    refused(&|c| c.price = Some(Price { unit: "a b".into(), per_use: 1 }));
    let dp = |change: &dyn Fn(&mut Dp)| refused(&|c| change(c.dp.as_mut().expect("there is")));
    dp(&|dp| dp.epsilon_per_query_max = Decimal(0));
    dp(&|dp| dp.epsilon_per_query_max = Decimal(dp.epsilon_month.0 + 1));
    dp(&|dp| dp.delta = Delta::ONE);
    dp(&|dp| dp.delta = Decimal(-1));
    dp(&|dp| (dp.noise, dp.delta) = (NoiseLaw::Binomial, Decimal(0)));
}

#[test]
fn other_spellings_and_unknown_fields_are_refused() {
    let note = contract().sign(&key("energy")).expect("signed");
    let line = note.lines().nth(1).expect("a body");
    let changed = |from: &str, to: &str| {
        assert!(line.contains(from), "{from}");
        let text = format!("tacit/contract/v1\n{}\n", line.replacen(from, to, 1));
        let line = crate::signed::sign_line(&text, "energy", &key("energy")).expect("signed");
        let error = SignedContract::open(&format!("{text}\n{line}\n"), &planner("energy")).expect_err(to);
        assert!(!error.to_string().contains("5000"), "nothing is quoted: {error}");
    };
    changed("[\"AVG\",\"SUM\"]", "[\"SUM\",\"AVG\"]");
    changed("[\"AVG\",\"SUM\"]", "[\"AVG\",\"SUM\",\"SUM\"]");
    changed("\"SUM\"", "\"SQUARE\"");
    changed("\"5000.5\"", "\"5000.50\"");
    changed("\"5000.5\"", "5000");
    changed("2027-11-01T00:00:00Z", "2027-11-01T00:00:00+00:00");
    changed("}", "},\"~\":1}");
    changed("\"sizes\":\"hidden\"", "\"sizes\":\"hidden\",\"~\":1");
    changed("\"min_group\":10,", "");
    changed("\"revocation\":\"immediate\"", "\"revocation\":\"never\"");
    changed("\"max_uses\":100", "\"max_uses\":null");
}

#[test]
fn times_are_dates_of_the_calendar() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T23:59:59Z", 951_868_799),
        ("2026-11-26T17:09:13Z", 1_795_712_953),
        ("9999-12-31T23:59:59Z", END_OF_TIME),
    ] {
        assert_eq!(text.parse(), Ok(Time(seconds)));
        assert_eq!(Time(seconds).to_string(), text);
    }
    for bad in [
        "",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-01T24:00:00Z",
        "2026-11-01T00:00:60Z",
        "2026-11-01",
        "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "2026-11-01t00:00:00z",
        "+026-11-01T00:00:00Z",
    ] {
        assert!(bad.parse::<Time>().is_err(), "{bad}");
    }
}

const END_OF_TIME: u64 = 253_402_300_799;

#[test]
fn decimals_have_one_spelling() {
    for (text, value) in [("0", 0), ("0.5", 500_000), ("-12", -12_000_000), ("0.000001", 1), ("1000", 1_000_000_000)] {
        assert_eq!(text.parse(), Ok(Decimal::<6>(value)));
        assert_eq!(Decimal::<6>(value).to_string(), text);
    }
    for bad in ["", "-", "-0", ".5", "5.", "0.50", "00", "01", "+1", "1e3", "0.0000001", "0,5", " 1", "1.2.3", &"9".repeat(60)] {
        assert!(bad.parse::<Decimal<6>>().is_err(), "{bad}");
    }
}

#[test]
fn patterns_mean_data_sets() {
    let pattern = |text: &str| text.parse::<Pattern>().expect("a pattern");
    assert!(
        pattern("*").covers("health.stays") && pattern("health.*").covers("health.stays") && pattern("health.stays").covers("health.stays")
    );
    assert!(!pattern("health.*").covers("healthy.stays") && !pattern("health.stays").covers("health.stays2"));
    for bad in ["", "health", "health.", "*.stays", "health.st*", "**", "Health.*", "health.*.x"] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
}

fn operations() -> impl Strategy<Value = BTreeSet<Operation>> {
    btree_set(prop::sample::select(&Operation::ALL[..]), 1..6)
}

fn patterns() -> impl Strategy<Value = BTreeSet<Pattern>> {
    let pattern = prop::sample::select(vec!["*", "health.*", "health.stays", "energy.*", "energy.meters", "transport.trips"]);
    btree_set(pattern.prop_map(|text| text.parse().expect("a pattern")), 0..4)
}

fn words(all: &'static [&'static str], least: usize) -> impl Strategy<Value = BTreeSet<String>> {
    btree_set(prop::sample::select(all).prop_map(String::from), least..=all.len())
}

const PURPOSES: &[&str] = &["https://w3id.org/dpv#PublicBenefit", "https://w3id.org/dpv#ResearchAndDevelopment", "urn:city:heat"];
const PLANNERS: &[&str] = &["ana", "bo", "planning-office"];
const COLUMNS: &[&str] = &["kwh", "zone", "resident_id", "price"];

prop_compose! {
    fn dps()(query in 1i128..2_000_000, more in 0i128..3_000_000, all in option::of(0i128..3_000_000), delta in 1i128..1_000_000, flags in any::<[bool; 2]>()) -> Dp {
        Dp {
            epsilon_per_query_max: Decimal(query),
            epsilon_month: Decimal(query + more),
            epsilon_month_all: all.map(|all| Decimal(query + all)),
            delta: Decimal(delta),
            mode: if flags[0] { DpMode::Required } else { DpMode::Optional },
            noise: if flags[1] { NoiseLaw::Binomial } else { NoiseLaw::Laplace },
        }
    }
}

prop_compose! {
    fn contracts()(
        dataset in prop::sample::select(vec!["energy.buildings", "energy.meters", "health.stays"]),
        (planners, receivers, purposes) in (words(PLANNERS, 1), words(PLANNERS, 1), words(PURPOSES, 1)),
        columns in btree_map(prop::sample::select(COLUMNS).prop_map(String::from), operations(), 1..4),
        rows in any::<bool>(),
        clamp in option::of((0i128..100, 0i128..100)),
        (entity_key, max_rows) in prop_oneof![Just((None, None)), (words(COLUMNS, 1), option::of(1u64..100)).prop_map(|(key, rows)| (key.first().cloned(), rows))],
        (min_group, dominance_pct) in (1u64..30, 1u64..=100),
        dp in option::of(dps()),
        join_with in patterns(),
        flags in vec(any::<bool>(), 4),
        (not_before, length) in (0u64..1000, 1u64..1000),
        (max_uses, price, nonce) in (option::of(1u64..100), option::of((prop::sample::select(vec!["credit", "euro"]), 0u64..9)), 0u8..200),
    ) -> Contract {
        let mut columns = columns;
        if rows {
            columns.insert(ROWS.into(), BTreeSet::from([Operation::Count]));
        }
        let clamped = columns.keys().next().filter(|name| *name != ROWS).cloned();
        let mut planners: Vec<VerifierKey> = planners.iter().map(|name| planner(name)).collect();
        planners.sort_by_key(ToString::to_string);
        let dp = dp.map(|dp| Dp { epsilon_month_all: dp.epsilon_month_all.or((planners.len() > 1).then_some(dp.epsilon_month)), ..dp });
        Contract {
            id: "c-1".into(),
            dataset: dataset.into(),
            owner: planner(entry::owner(dataset).expect("an owner")),
            planners,
            countersigned: flags[0],
            receivers,
            purposes,
            clamp: clamped.into_iter().zip(clamp.map(|(low, more)| (Decimal(low), Decimal(low + more)))).collect(),
            columns,
            entity_domain: entity_key.clone().filter(|_| flags[3]),
            entity_key,
            min_group,
            dominance_pct,
            max_rows_per_entity: max_rows,
            dp,
            join_with,
            security: if flags[1] { Security::SemiHonest } else { Security::Malicious },
            sizes: if flags[2] { Sizes::Hidden } else { Sizes::Exact },
            not_before: Time(not_before),
            not_after: Time(not_before + length),
            max_uses,
            price: price.map(|(unit, per_use)| Price { unit: unit.into(), per_use }),
            revocation: if flags[3] { Revocation::Immediate } else { Revocation::NewJobs },
            nonce: hash(&nonce.to_string()),
        }
    }
}

fn terms(contract: &Contract) -> Terms {
    contract.terms(hash(&format!("{contract:?}")))
}

/// Whether `narrow` allows nothing that `wide` does not: said field by field, of a contract and not of terms.
fn within(narrow: &Terms, wide: &Contract) -> Result<(), TestCaseError> {
    let subset = |narrow: &BTreeSet<String>, wide: &[String]| narrow.iter().all(|one| wide.contains(one));
    let keys: Vec<String> = wide.planners.iter().map(ToString::to_string).collect();
    prop_assert!(subset(&narrow.planners, &keys));
    prop_assert!(subset(&narrow.receivers, &wide.receivers.iter().cloned().collect::<Vec<_>>()));
    prop_assert!(subset(&narrow.purposes, &wide.purposes.iter().cloned().collect::<Vec<_>>()));
    prop_assert!(narrow.min_group >= wide.min_group && narrow.dominance_pct <= wide.dominance_pct);
    prop_assert!(narrow.security >= wide.security && narrow.sizes <= wide.sizes && narrow.revocation <= wide.revocation);
    prop_assert!(narrow.not_before >= wide.not_before && narrow.not_after <= wide.not_after);
    let data = narrow.datasets.get(&wide.dataset).expect("it speaks of every data set");
    for (column, allowed) in &data.columns {
        prop_assert!(allowed.iter().all(|operation| wide.columns.get(column).is_some_and(|wide| wide.contains(operation))), "{column}");
    }
    prop_assert!(wide.entity_key.iter().all(|key| data.entity_keys.contains(key)));
    prop_assert!(wide.entity_domain.iter().all(|domain| data.entity_domains.contains(domain)));
    for (column, (low, high)) in &wide.clamp {
        prop_assert!(data.clamp.get(column).is_some_and(|(l, h)| l >= low && h <= high));
    }
    prop_assert!(wide.max_rows_per_entity.is_none_or(|rows| data.max_rows_per_entity.is_some_and(|r| r <= rows)));
    prop_assert!(wide.max_uses.is_none_or(|uses| data.max_uses.is_some_and(|u| u <= uses)));
    prop_assert!(wide.price.iter().all(|price| data.price.get(&price.unit) >= Some(&price.per_use)));
    for partner in ["energy.meters", "health.stays", "transport.trips", "energy.buildings", "health.beds"] {
        let may = |patterns: &BTreeSet<Pattern>| patterns.iter().any(|pattern| pattern.covers(partner));
        prop_assert!(!may(&data.join_with) || may(&wide.join_with), "{partner}");
    }
    if let Some(dp) = &wide.dp {
        prop_assert!(narrow.epsilon_per_query.is_some_and(|epsilon| epsilon <= dp.epsilon_per_query_max));
        prop_assert!(data.epsilon_month.is_some_and(|epsilon| epsilon <= dp.epsilon_month));
        prop_assert!(dp.epsilon_month_all.is_none_or(|all| data.epsilon_month_all.is_some_and(|epsilon| epsilon <= all)));
        prop_assert!(narrow.delta.is_some_and(|delta| delta <= dp.delta) && narrow.noise >= Some(dp.mode));
        prop_assert!(narrow.law.is_some_and(|law| law <= dp.noise));
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_signed_reads_back(contract in contracts()) {
        let owner = contract.owner.clone();
        let note = contract.sign(&key(owner.name())).expect("signed");
        prop_assert_eq!(SignedContract::open(&note, &owner).expect("a contract").contract, contract);
    }

    #[test]
    fn the_meet_is_a_meet(a in contracts(), b in contracts(), c in contracts()) {
        let [x, y, z] = [&a, &b, &c].map(terms);
        prop_assert_eq!(x.meet(&x), x.clone());
        prop_assert_eq!(x.meet(&y), y.meet(&x));
        prop_assert_eq!(x.meet(&y).meet(&z), x.meet(&y.meet(&z)));
        prop_assert_eq!(x.meet(&y).meet(&x), x.meet(&y));
        let all = Terms::meet_all([x, y, z]).expect("three");
        within(&all, &a)?;
        within(&all, &b)?;
        within(&all, &c)?;
    }

    #[test]
    fn a_meet_keeps_what_both_allow(a in contracts(), b in contracts()) {
        // Without this, a meet that allows nothing would do.
        let (b, all) = (Contract { dataset: a.dataset.clone(), owner: a.owner.clone(), ..b }, Operation::ALL);
        let both = terms(&a).meet(&terms(&b));
        let may = |columns: &BTreeMap<String, BTreeSet<Operation>>, name: &str, operation| columns.get(name).is_some_and(|allowed| allowed.contains(&operation));
        let data = &both.datasets[&a.dataset];
        for name in COLUMNS.iter().chain(&[ROWS]) {
            for operation in all {
                prop_assert_eq!(may(&data.columns, name, operation), may(&a.columns, name, operation) && may(&b.columns, name, operation));
            }
        }
        for partner in ["energy.meters", "health.stays", "transport.trips", "energy.buildings"] {
            let may = |patterns: &BTreeSet<Pattern>| patterns.iter().any(|pattern| pattern.covers(partner));
            prop_assert_eq!(may(&data.join_with), may(&a.join_with) && may(&b.join_with));
        }
        for purpose in PURPOSES {
            prop_assert_eq!(both.purposes.contains(*purpose), a.purposes.contains(*purpose) && b.purposes.contains(*purpose));
        }
    }

    #[test]
    fn no_change_of_a_note_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = contract().sign(&key("energy")).expect("signed").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(note) = String::from_utf8(bytes) {
            let _ = SignedContract::open(&note, &planner("energy"));
        }
    }

    #[test]
    fn no_value_panics(text in "[-0-9.:TZ*a-z]{0,45}") {
        let _ = (text.parse::<Time>(), text.parse::<Decimal<24>>(), text.parse::<Pattern>());
    }
}
