//! The plan that runs, once contracts allow a question: as they protect it.

use super::*;
use query::{catalog::Catalog, compile::compile_protected, protection::Protection};

fn protected(change: impl Fn(&mut Contract)) -> (query::plan::Plan, Effective) {
    let sql =
        "SELECT m.poor, COUNT(*) AS n, SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON s.resident = m.resident GROUP BY m.poor";
    let all: BTreeSet<Operation> = Operation::ALL.into();
    let every = |table: &str| -> BTreeMap<String, BTreeSet<Operation>> {
        let catalog: &Catalog = &TOWN;
        let columns = catalog.table(table).expect("a table of the town").columns.iter().map(|c| (c.name.clone(), all.clone()));
        columns.chain([(ROWS.to_owned(), [Operation::Count].into())]).collect()
    };
    let mut contracts = vec![contract("energy.meters", every("energy.meters")), contract("health.stays", every("health.stays"))];
    change(&mut contracts[0].contract);
    let plan = compile(sql, &TOWN).expect("a plan");
    let planner = key("ana");
    let effective = check(&plan, None, &contracts, &ask(sql, &planner)).expect("all is allowed");
    (effective.plan(plan, sql, &TOWN, None).expect("a protected plan"), effective)
}

#[test]
fn terms_that_ask_for_nothing_leave_the_plan_as_it_is() {
    let (plan, effective) = protected(|_| ());
    assert_eq!(effective.terms.as_ref().map(|terms| Protection::of(terms, None)), Some(Ok(None)));
    assert!(plan.protection.is_none());
}

#[test]
fn what_contracts_ask_is_in_the_plan_that_runs() {
    let (free, _) = protected(|_| ());
    type Change = fn(&mut Contract);
    let changes: [(&str, Change); 4] = [
        ("what comes out is of at least 3 different resident of energy.meters, or NULL", |c| {
            (c.min_group, c.entity_key) = (3, Some("resident".into()));
        }),
        ("energy.meters.kwh counts as 1 if it is less, as 5.5 if it is more", |c| {
            c.clamp = [("kwh".to_owned(), ("1".parse().expect("a bound"), "5.5".parse().expect("a bound")))].into();
        }),
        ("energy.meters: of the rows of a resident at most 2 count", |c| {
            (c.max_rows_per_entity, c.entity_key) = (Some(2), Some("resident".into()))
        }),
        ("no resident of energy.meters has more than 40 % of a sum that comes out, or it is NULL", |c| {
            (c.dominance_pct, c.entity_key) = (40, Some("resident".into()));
            c.clamp = [("kwh".to_owned(), ("0".parse().expect("a bound"), "9".parse().expect("a bound")))].into();
        }),
    ];
    for (words, change) in changes {
        let (plan, _) = protected(change);
        let protection = plan.protection.as_ref().expect("it is protected");
        assert!(protection.words().iter().any(|line| line == words), "{:?}", protection.words());
        assert_ne!(plan.hash(), free.hash(), "{words}");
    }
}

#[test]
fn the_strictest_owner_decides_for_all() {
    let (plan, _) = protected(|c| (c.min_group, c.entity_key) = (3, Some("resident".into())));
    let lines = plan.protection.expect("it is protected").words();
    assert!(lines.contains(&"what comes out is of at least 3 rows of health.stays, or NULL".to_owned()), "{lines:?}");
}

#[test]
fn numbers_of_rows_are_not_told_where_groups_have_a_minimum() {
    let (free, _) = protected(|_| ());
    let (plan, _) = protected(|c| c.min_group = 3);
    assert_eq!((free.disclosing().count(), plan.disclosing().count()), (1, 0));
}

#[test]
fn parties_with_other_terms_have_other_plans() {
    let sql = "SELECT COUNT(*) AS n FROM energy.meters";
    let with = |min_group| {
        let protection =
            Protection { min_group, dominance_pct: 100, datasets: [("energy.meters".to_owned(), Default::default())].into(), noise: None };
        compile_protected(sql, &TOWN, &protection).expect("a plan").hash()
    };
    assert_ne!(with(5), with(6));
}
