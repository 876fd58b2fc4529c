//! Whether contracts allow a plan: the interpretation of plans against a reference that reads the questions, and what refusals say. A program
//! of its own, because none of the engines is in it.

mod denials;
mod looked_up;
mod parts;
mod protection;
mod questions;
mod reference;
mod runs;
mod single;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ledger::{
    bytes::Hash,
    contract::{Contract, Operation, PUBLIC_BENEFIT, ROWS, Security, SignedContract, Sizes, Time},
    key::{KeyKind, VerifierKey},
};
use mpc_core::identity::Identity;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use self::{
    questions::questions,
    reference::{Need, Term},
};
use query::{
    catalog::Catalog,
    compile::compile,
    consent::{Ask, Denial, Effective, Found, Use, check, interpret},
};
use sqllogictest::{DefaultColumnType, Record, parse_file};

static TOWN: LazyLock<Catalog> = LazyLock::new(|| Catalog::parse(include_str!("town.toml")).expect("the town's catalogue is sound"));

fn key(name: &str) -> VerifierKey {
    let identity = Identity::from_seed(&Hash::sha256(&[name.as_bytes()]).0);
    VerifierKey::new(name, KeyKind::Note, identity.public().verifying_key()).expect("a key")
}

/// A contract that allows this and is else as wide as can be.
fn contract(table: &str, columns: BTreeMap<String, BTreeSet<Operation>>) -> SignedContract {
    let owner = key(table.split_once('.').expect("a table").0);
    let contract = Contract {
        id: "standing".into(),
        join_with: ["*".parse().expect("a pattern")].into(),
        sizes: Sizes::Exact,
        not_before: Time(1_000),
        not_after: Time(2_000),
        nonce: Hash([0; 32]),
        ..Contract::new(table, owner, vec![key("ana")], columns, 0).expect("randomness")
    };
    let id = Hash::sha256(&[format!("{contract:?}").as_bytes()]);
    SignedContract { contract, id, countersigned: BTreeSet::new() }
}

fn ask<'a>(sql: &'a str, planner: &'a VerifierKey) -> Ask<'a> {
    Ask { sql, planner, receivers: &["ana"], purpose: PUBLIC_BENEFIT, security: Security::SemiHonest, now: 1_500 }
}

/// One operation allowed for a column, or the rows, of a table.
type Grant = (&'static str, Option<&'static str>, Operation);

/// Contracts that allow exactly these operations.
fn contracts(grants: &[Grant]) -> Vec<SignedContract> {
    let mut tables: BTreeMap<&str, BTreeMap<String, BTreeSet<Operation>>> = BTreeMap::new();
    for table in ["energy.meters", "health.stays"] {
        tables.insert(table, BTreeMap::new());
    }
    for (table, column, operation) in grants {
        let columns = tables.entry(table).or_default();
        columns.entry(column.unwrap_or(ROWS).to_owned()).or_default().insert(*operation);
    }
    tables.into_iter().map(|(table, columns)| contract(table, columns)).collect()
}

/// A contract whose term is one that the question does not keep.
fn narrowed(signed: &mut SignedContract, term: Term) {
    let contract = &mut signed.contract;
    match term {
        Term::Planner => contract.planners = vec![key("ben")],
        Term::Receiver => contract.receivers = ["ben".to_owned()].into(),
        Term::Purpose => contract.purposes = ["https://w3id.org/dpv#Marketing".to_owned()].into(),
        Term::Begins => contract.not_before = Time(1_501),
        Term::Ends => contract.not_after = Time(1_500),
        Term::Security => contract.security = Security::Malicious,
        Term::Partner => contract.join_with.clear(),
        Term::Sizes => contract.sizes = Sizes::Hidden,
    }
}

/// A question that does not keep a term of the contracts, if that is for the question to keep.
fn strayed<'a>(ask: Ask<'a>, term: Term, ben: &'a VerifierKey) -> Ask<'a> {
    match term {
        Term::Planner => Ask { planner: ben, ..ask },
        Term::Receiver => Ask { receivers: &["ana", "ben"], ..ask },
        Term::Purpose => Ask { purpose: "https://w3id.org/dpv#PublicBenefits", ..ask },
        Term::Begins => Ask { now: 999, ..ask },
        Term::Ends => Ask { now: 2_000, ..ask },
        Term::Security | Term::Partner | Term::Sizes => ask,
    }
}

/// The reference: every need is met by some grant.
fn meets(needs: &BTreeSet<Need>, grants: &[Grant]) -> bool {
    let met = |need: &Need| {
        grants.iter().any(|(table, column, op)| {
            let grouped = need.or_grouped.is_some() && *column == need.or_grouped && *op == Operation::Group;
            *table == need.table && (*column == need.column && need.of.contains(op) || grouped)
        })
    };
    needs.iter().all(met)
}

/// Contracts that allow what a question needs and no more, by one of the ways; and such with one grant less, or another.
fn variants(needs: &BTreeSet<Need>, pick: impl Fn(usize) -> usize) -> Vec<Vec<Grant>> {
    let least: Vec<Grant> = needs
        .iter()
        .enumerate()
        .filter_map(|(at, need)| Some((need.table, need.column, *need.of.iter().nth(pick(at) % need.of.len())?)))
        .collect();
    let mut all = vec![least.clone()];
    for out in 0..least.len() {
        all.push(least.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, grant)| *grant).collect());
        let mut other = least.clone();
        other[out].2 = Operation::ALL[pick(out + 1) % Operation::ALL.len()];
        all.push(other);
    }
    all
}

#[test]
fn the_interpretation_of_plans_agrees_with_what_questions_say() {
    // where nothing is optimised, making up a question takes more than a test's usual stack
    let deep = std::thread::Builder::new().stack_size(64 << 20).spawn(agree).expect("a thread");
    deep.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn agree() {
    let mut runner = TestRunner::deterministic();
    let (mut cases, mut allowed, mut plans, mut ambiguous, mut twice) = (0, 0, 0, 0, 0);
    let mut forbidden = BTreeMap::new();
    let mut disagree = Vec::new();
    let (ana, ben) = (key("ana"), key("ben"));
    for _ in 0..600 {
        let strategy = (questions(), prop::collection::vec(any::<usize>(), 8));
        let (question, picks) = strategy.new_tree(&mut runner).expect("a question").current();
        let sql = question.sql();
        let Ok(plan) = compile(&sql, &TOWN) else { continue };
        plans += 1;
        let [least, most] = question.needs();
        for (number, grants) in variants(&most, |at| picks[at % picks.len()]).into_iter().enumerate() {
            let mut given = contracts(&grants);
            let columns = meets(&most, &grants);
            // What the compiler chooses decides it, and the reference knows no plan.
            if columns != meets(&least, &grants) {
                ambiguous += 1;
                continue;
            }
            // Every other time a term of a contract, or of the question, is another as well.
            let pick = picks[number % picks.len()].rotate_left(number as u32);
            let term = Term::ALL[pick / 6 % Term::ALL.len()];
            let at = [Some("energy.meters"), Some("health.stays"), None][pick / 2 % 3];
            let (mut asked, mut refused) = (ask(&sql, &ana), false);
            if pick % 2 == 1 {
                refused = term.forbids(&question, at, |table| plan.disclosing().any(|told| table.starts_with(&format!("{}.", told.owner))));
                match at {
                    Some(table) => {
                        given.iter_mut().filter(|signed| signed.contract.dataset == table).for_each(|signed| narrowed(signed, term))
                    }
                    None => asked = strayed(asked, term, &ben),
                }
                if columns && refused {
                    *forbidden.entry(format!("{term:?} {}", at.is_some())).or_insert(0) += 1;
                }
            }
            let found = check(&plan, None, &given, &asked);
            let expected = columns && !refused;
            cases += 1;
            allowed += usize::from(expected);
            twice += usize::from(question.again().is_some());
            if found.is_ok() != expected {
                let uses: Vec<String> =
                    interpret(&plan).map_or_else(|e| vec![e.to_string()], |found| found.uses.iter().map(said).collect());
                let needs: Vec<String> = most.iter().map(|n| format!("{} {:?} {:?}", n.table, n.column, n.of)).collect();
                let found = found.map_or_else(|denial| denial.to_string(), |_| "allowed".into());
                disagree.push(format!(
                    "{sql}\n  grants {grants:?}\n  {term:?} at {at:?}: {refused}\n  found: {found}\n  needs {}\n  uses {}",
                    needs.join("\n        "),
                    uses.join("\n       ")
                ));
                break;
            }
        }
    }
    assert!(disagree.is_empty(), "{} of {plans}:\n{}", disagree.len(), disagree[..disagree.len().min(40)].join("\n"));
    assert!(cases >= 1_000 && plans >= 300 && (200..cases - 200).contains(&allowed), "{cases} cases of {plans} plans, {allowed} allowed");
    assert!(100 * ambiguous <= cases, "{ambiguous} beside {cases} cases: at most one in a hundred is left to the compiler");
    assert!(twice >= 300, "{twice} cases are of aggregates by a key of aggregates of groups");
    assert_eq!(forbidden.len(), 8 + 5, "every term decides by itself somewhere: {forbidden:?}");
}

fn said(used: &Use) -> String {
    let Use { table, column, operation, or, grouped, place } = used;
    format!("{table} {column:?} {operation} or {or:?} with GROUP of {grouped:?}: {place}")
}

#[test]
fn every_construct_that_compiles_is_known() {
    let catalog = Catalog::parse(include_str!("../slt/city.toml")).expect("the catalogue of the town is sound");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let (mut plans, mut unknown) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder of questions") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|e| e != "slt") {
            continue;
        }
        for record in parse_file::<DefaultColumnType>(&path).expect("sqllogictest") {
            let Record::Query { sql, .. } = record else { continue };
            let Ok(plan) = compile(&sql, &catalog) else { continue };
            plans += 1;
            match interpret(&plan) {
                Ok(Found { uses, tables, .. }) => {
                    // whatever is asked of a table, something is done with it
                    let idle = tables.iter().find(|t| !t.starts_with("public.") && !uses.iter().any(|used| used.table == **t));
                    unknown.extend(idle.map(|table| format!("{sql}\n  nothing is done with {table}")));
                }
                Err(what) => unknown.push(format!("{sql}\n  {what}")),
            }
        }
    }
    assert!(unknown.is_empty(), "{} of {plans}:\n{}", unknown.len(), unknown.join("\n"));
    assert!(plans > 200, "{plans} plans");
}
