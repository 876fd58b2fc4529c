//! The export against the vocabulary of ODRL 2.2 (<https://www.w3.org/TR/odrl-vocab/>): every key, class and word that is no profile's is one of ODRL's, and stands
//! where the information model lets it stand.

use super::*;
use crate::contract::Signed;
use ledger::bytes::Hash;
use ledger::contract::{Decimal, Dp, NoiseLaw, Price, Sizes, everything};
use ledger::key::{KeyKind, VerifierKey};
use mpc_core::identity::Identity;
use std::collections::BTreeSet;

const OPERATORS: &[&str] = &["eq", "gt", "gteq", "lt", "lteq", "neq", "isA", "hasPart", "isPartOf", "isAllOf", "isAnyOf", "isNoneOf"];
const LEFT_OPERANDS: &[&str] = &[
    "absolutePosition",
    "absoluteSize",
    "absoluteSpatialPosition",
    "absoluteTemporalPosition",
    "count",
    "dateTime",
    "delayPeriod",
    "deliveryChannel",
    "elapsedTime",
    "event",
    "fileFormat",
    "industry",
    "language",
    "media",
    "meteredTime",
    "payAmount",
    "percentage",
    "product",
    "purpose",
    "recipient",
    "relativePosition",
    "relativeSize",
    "relativeSpatialPosition",
    "relativeTemporalPosition",
    "resolution",
    "spatial",
    "spatialCoordinates",
    "systemDevice",
    "timeInterval",
    "unitOfCount",
    "version",
    "virtualLocation",
];
/// Of the actions, those of duties.
const DUTIES: &[&str] = &[
    "acceptTracking",
    "anonymize",
    "attribute",
    "compensate",
    "delete",
    "ensureExclusivity",
    "include",
    "inform",
    "nextPolicy",
    "obtainConsent",
    "reviewPolicy",
    "uninstall",
    "watermark",
];

fn key(name: &str, seed: u8) -> VerifierKey {
    VerifierKey::new(name, KeyKind::Note, Identity::from_seed(&[seed; 32]).public().verifying_key()).expect("a key")
}

fn plain() -> Contract {
    let planners = vec![key("office", 2)];
    Contract::new("energy.meters", key("energy", 1), planners, everything(["kwh", "zone"]), 1_800_000_000).expect("randomness")
}

fn with_everything() -> Contract {
    let dp = Dp {
        epsilon_per_query_max: Decimal(500_000),
        epsilon_month: Decimal(4_000_000),
        epsilon_month_all: Some(Decimal(9_000_000)),
        delta: Decimal(10_i128.pow(18)),
        mode: DpMode::Required,
        noise: NoiseLaw::Binomial,
    };
    Contract {
        planners: vec![key("office", 2), key("press", 3)],
        receivers: ["office", "press"].map(String::from).into(),
        purposes: ["https://w3id.org/dpv#PublicBenefit", "urn:plan"].map(String::from).into(),
        entity_key: Some("zone".into()),
        entity_domain: Some("energy.area".into()),
        min_group: 10,
        dominance_pct: 50,
        clamp: [("kwh".to_owned(), (Decimal(0), Decimal(5000 * 10_i128.pow(12))))].into(),
        max_rows_per_entity: Some(12),
        dp: Some(dp),
        join_with: ["health.*", "transport.trips"].map(|text| text.parse().expect("a pattern")).into(),
        sizes: Sizes::Bucket,
        max_uses: Some(100),
        price: Some(Price { unit: "credit".into(), per_use: 3 }),
        ..plain()
    }
}

fn exported(contract: Contract, agreed: bool) -> Value {
    let signed = agreed.then(|| Signed { note: String::new(), id: Hash([5; 32]), countersigned: BTreeSet::new() });
    odrl(&Document { contract, signed }, agreed)
}

fn keys(value: &Value, known: &[&str], must: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for key in object.keys() {
        assert!(known.contains(&key.as_str()) || key.starts_with("tacit:"), "`{key}` stands nowhere in ODRL: {value}");
    }
    must.iter().for_each(|key| assert!(object.contains_key(*key), "`{key}` is missing: {value}"));
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(|| vec![value.as_str().expect("text")], |all| all.iter().map(|one| one.as_str().expect("text")).collect())
}

fn word(word: &str, of: &[&str]) {
    assert!(of.contains(&word) || word.strip_prefix("tacit:").is_some_and(|rest| !rest.is_empty()), "`{word}` is not in the vocabulary");
}

fn iri(text: &str) {
    assert!(text.contains(':') && !text.contains(char::is_whitespace), "`{text}` is no IRI");
}

fn is_constraint(one: &Value) {
    keys(one, &["leftOperand", "operator", "rightOperand", "unit", "dataType", "uid"], &["leftOperand", "operator", "rightOperand"]);
    word(one["leftOperand"].as_str().expect("text"), LEFT_OPERANDS);
    assert!(OPERATORS.contains(&one["operator"].as_str().expect("text")), "{one}");
    if let Some(unit) = one.get("unit") {
        iri(unit.as_str().expect("an IRI"));
    }
    let right = one["rightOperand"].as_array().cloned().unwrap_or_else(|| vec![one["rightOperand"].clone()]);
    assert!(!right.is_empty() && (right.len() == 1 || one["operator"] == "isAnyOf"), "{one}");
    for value in &right {
        match value {
            Value::Object(_) if value.get("@id").is_some() => iri(value["@id"].as_str().expect("text")),
            Value::Object(_) => keys(value, &["@value", "@type"], &["@value", "@type"]),
            other => assert!(other.is_string() || other.is_u64(), "{one}"),
        }
    }
}

fn is_policy(policy: &Value) {
    keys(policy, &["@context", "@type", "uid", "profile", "conflict", "permission"], &["@context", "@type", "uid", "permission"]);
    assert_eq!(policy["@context"][0], "http://www.w3.org/ns/odrl.jsonld");
    assert!(["Offer", "Agreement"].contains(&policy["@type"].as_str().expect("text")));
    assert!(["perm", "prohibit", "invalid"].contains(&policy["conflict"].as_str().expect("text")));
    ["uid", "profile"].iter().for_each(|key| iri(policy[key].as_str().expect("an IRI")));
    for rule in policy["permission"].as_array().expect("permissions") {
        // An Agreement has both of them, an Offer the assigner.
        keys(rule, &["target", "assigner", "assignee", "action", "constraint", "duty"], &["target", "assigner", "assignee", "action"]);
        ["target", "assigner", "assignee"].iter().for_each(|key| texts(&rule[key]).into_iter().for_each(iri));
        texts(&rule["action"]).into_iter().for_each(|action| word(action, &[]));
        rule["constraint"].as_array().expect("constraints").iter().for_each(is_constraint);
        for duty in rule.get("duty").and_then(Value::as_array).into_iter().flatten() {
            keys(duty, &["action", "constraint", "compensatedParty"], &["action"]);
            word(duty["action"].as_str().expect("text"), DUTIES);
            if let Some(party) = duty.get("compensatedParty") {
                iri(party.as_str().expect("an IRI"));
            }
            duty["constraint"].as_array().expect("constraints").iter().for_each(is_constraint);
        }
    }
}

#[test]
fn every_word_is_odrls_or_the_profiles_and_stands_where_it_may() {
    for contract in [plain(), with_everything()] {
        assert_eq!(contract.problems(), Vec::<&str>::new());
        for agreed in [false, true] {
            is_policy(&exported(contract.clone(), agreed));
        }
    }
}

#[test]
fn no_term_is_left_out() {
    let policy = exported(with_everything(), true);
    let rule = &policy["permission"][1];
    assert_eq!(
        (&rule["target"], &rule["assignee"]),
        (&json!("urn:tacit:dataset:energy.meters:kwh"), &json!(["urn:tacit:member:office", "urn:tacit:member:press"]))
    );
    let all = |of: &Value| -> Vec<(String, Value)> {
        let all = of.as_array().expect("constraints").iter();
        all.map(|one| {
            (
                format!("{} {}", one["leftOperand"].as_str().expect("text"), one["operator"].as_str().expect("text")),
                one["rightOperand"].clone(),
            )
        })
        .collect()
    };
    let (decimal, own) = (|text: &str| decimal(text.into()), |word: &str| own(word));
    let constraints = all(&rule["constraint"]);
    for expected in [
        ("purpose isAnyOf", json!([{"@id": "https://w3id.org/dpv#PublicBenefit"}, {"@id": "urn:plan"}])),
        ("recipient isAnyOf", json!([{"@id": "urn:tacit:member:office"}, {"@id": "urn:tacit:member:press"}])),
        ("dateTime gteq", json!({"@value": "2027-01-15T00:00:00Z", "@type": "xsd:dateTime"})),
        ("dateTime lt", json!({"@value": "2028-01-15T00:00:00Z", "@type": "xsd:dateTime"})),
        ("count lteq", json!(100)),
        ("tacit:joinWith isAnyOf", json!(["health.*", "transport.trips"])),
        ("tacit:security gteq", own("semi-honest")),
        ("tacit:sizes lteq", own("bucket")),
        ("tacit:revocation eq", own("immediate")),
    ] {
        assert!(constraints.contains(&(expected.0.into(), expected.1.clone())), "{expected:?} in {constraints:?}");
    }
    let duties = rule["duty"].as_array().expect("duties");
    assert_eq!(duties.iter().map(|duty| duty["action"].as_str().expect("text")).collect::<Vec<_>>(), ["anonymize", "compensate"]);
    let how = all(&duties[0]["constraint"]);
    for expected in [
        ("tacit:entityKey eq", json!({"@id": "urn:tacit:dataset:energy.meters:zone"})),
        ("tacit:minGroup gteq", json!(10)),
        ("tacit:dominancePercent lteq", json!(50)),
        ("tacit:smallestValue gteq", decimal("0")),
        ("tacit:largestValue lteq", decimal("5000")),
        ("tacit:rowsPerEntity lteq", json!(12)),
        ("tacit:epsilonPerQuery lteq", decimal("0.5")),
        ("tacit:epsilonPerMonth lteq", decimal("4")),
        ("tacit:epsilonPerMonthOfAll lteq", decimal("9")),
        ("tacit:entityDomain eq", json!("energy.area")),
        ("tacit:deltaPerMonth lteq", decimal("0.000001")),
        ("tacit:noise eq", own("binomial")),
        ("tacit:noiseMode eq", own("required")),
    ] {
        assert!(how.contains(&(expected.0.into(), expected.1.clone())), "{expected:?} in {how:?}");
    }
    let pay = &duties[1];
    assert_eq!(pay["compensatedParty"], "urn:tacit:member:energy");
    assert_eq!((&pay["constraint"][0]["rightOperand"], &pay["constraint"][0]["unit"]), (&decimal("3"), &json!("tacit:credit")));

    let bare = exported(plain(), false);
    assert_eq!((bare["@type"].as_str(), bare["permission"][0].get("duty")), (Some("Offer"), None));
    assert!(all(&bare["permission"][0]["constraint"]).contains(&("tacit:joinWith eq".into(), own("none"))));
}
