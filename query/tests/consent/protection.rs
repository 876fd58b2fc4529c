//! The plan that runs, once contracts allow a question: as they protect it.

use super::*;
use ledger::contract::{Decimal, Dp, DpMode, NoiseLaw};
use query::{
    catalog::Catalog,
    compile::compile_protected,
    protection::{Noise, Protection},
};

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

/// Binomial noise if all owners want it so, and of δ the part that goes with the question's part of ε.
#[test]
fn the_kind_of_noise_is_the_owners() {
    let number = |text: &str| text.parse().expect("a number");
    let dp = |noise, month: &str| Dp {
        epsilon_per_query_max: number("1"),
        epsilon_month: number(month),
        epsilon_month_all: None,
        delta: "0.000004".parse().expect("a number"),
        mode: DpMode::Required,
        noise,
    };
    let of = |dps: &[Dp], asked: Option<&str>| {
        let terms = dps.iter().zip(["energy.meters", "health.stays"]).map(|(dp, table)| {
            let mut signed = contract(table, BTreeMap::new());
            signed.contract.dp = Some(dp.clone());
            signed.contract.terms(signed.id)
        });
        let terms = ledger::contract::Terms::meet_all(terms).expect("terms");
        Noise::of(&terms, asked.map(number)).expect("within its budget").expect("it is required")
    };
    let (binomial, laplace) = (dp(NoiseLaw::Binomial, "4"), dp(NoiseLaw::Laplace, "4"));
    let millionths = |delta: i128| Some(Decimal(delta * 10i128.pow(18)));
    assert_eq!(of(std::slice::from_ref(&binomial), None).binomial, millionths(1));
    assert_eq!(of(std::slice::from_ref(&binomial), Some("0.5")).binomial, Some(Decimal(5 * 10i128.pow(17))));
    // of two months the longer budget has the smaller part
    assert_eq!(of(&[binomial.clone(), dp(NoiseLaw::Binomial, "8")], Some("1")).binomial, Some(Decimal(5 * 10i128.pow(17))));
    for both in [[binomial.clone(), laplace.clone()], [laplace.clone(), binomial]] {
        assert_eq!(of(&both, None).binomial, None);
    }
    assert_eq!(of(&[laplace], None).binomial, None);
}
