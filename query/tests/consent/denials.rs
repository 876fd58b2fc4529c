//! What a refusal says.

use super::*;
use query::message::{Code, Refusal};

pub fn meters(columns: &[(&str, &[Operation])]) -> SignedContract {
    contract("energy.meters", columns.iter().map(|(name, of)| ((*name).to_owned(), of.iter().copied().collect())).collect())
}

fn standing() -> SignedContract {
    use Operation::{Avg, Count, Filter, Group, Sum};
    meters(&[("*", &[Count]), ("kwh", &[Avg, Sum]), ("zone", &[Group]), ("poor", &[Filter])])
}

#[track_caller]
pub fn asked(sql: &str, contracts: &[SignedContract], change: impl FnOnce(&mut Ask<'_>)) -> Result<Effective, Box<Denial>> {
    let (plan, ana) = (compile(sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}")), key("ana"));
    let mut ask = ask(sql, &ana);
    change(&mut ask);
    check(&plan, None, contracts, &ask)
}

#[track_caller]
fn denied(sql: &str, says: &[&str], fix: &[&str]) {
    let denial = asked(sql, &[standing()], |_| {}).expect_err(sql);
    assert!(!denial.to_string().contains("moment"), "the compiler's own name: {denial}");
    says.iter().for_each(|part| assert!(denial.to_string().contains(part), "{part} in {denial}"));
    fix.iter().for_each(|part| assert!(denial.fix.contains(part), "{part} in {}", denial.fix));
}

#[test]
fn what_the_contract_allows_runs_under_its_terms() {
    let standing = standing();
    let sql = "SELECT zone, AVG(kwh) AS mean, COUNT(*) AS n FROM energy.meters WHERE poor GROUP BY zone";
    let effective = asked(sql, std::slice::from_ref(&standing), |_| {}).expect("allowed");
    assert_eq!(effective.contracts, BTreeMap::from([("energy.meters".to_owned(), standing.id)]));
    assert_eq!(effective.terms, Some(standing.contract.terms(standing.id)));
    let done: Vec<_> = effective.uses.iter().map(|used| (used.column.as_deref(), used.operation)).collect();
    assert!(done.contains(&(Some("kwh"), Operation::Avg)) && done.contains(&(Some("poor"), Operation::Filter)), "{done:?}");
    assert!(!done.contains(&(Some("kwh"), Operation::Sum)), "a mean is no sum: {done:?}");
}

#[test]
fn without_a_contract_nothing_is_allowed() {
    let denial = asked("SELECT COUNT(*) FROM energy.meters", &[], |_| {}).expect_err("default deny");
    assert_eq!(denial.table.as_deref(), Some("energy.meters"));
    let refusal = Refusal::from(denial);
    assert_eq!((refusal.code, refusal.code.to_string().as_str()), (Code::NoConsent, "E_NO_CONSENT"));
    assert!(refusal.reason.starts_with("1:") && refusal.fix.contains("energy to sign a contract for energy.meters"), "{refusal:?}");
    // another agency's contract is none
    let others = contract("health.stays", BTreeMap::new());
    asked("SELECT COUNT(*) FROM energy.meters", &[others], |_| {}).expect_err("default deny");
}

#[test]
fn an_owner_looks_at_its_own_tables() {
    let sql = "SELECT SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON m.resident = s.resident";
    let plan = compile(sql, &TOWN).expect("it compiles");
    let ana = key("ana");
    let allowed = meters(&[("kwh", &[Operation::Sum]), ("resident", &[Operation::Join])]);
    assert!(check(&plan, Some("energy"), std::slice::from_ref(&allowed), &ask(sql, &ana)).is_ok());
    assert!(
        check(&plan, Some("transport"), &Vec::<ledger::contract::SignedContract>::new(), &ask(sql, &ana))
            .is_ok_and(|effective| effective.terms.is_none())
    );
    let denial = check(&plan, None, &[allowed], &ask(sql, &ana)).expect_err("health has none");
    assert_eq!(denial.table.as_deref(), Some("health.stays"));
}

#[test]
fn a_refusal_names_clause_column_and_operator_and_what_would_do() {
    denied(
        "SELECT MAX(kwh) AS m FROM energy.meters",
        &["1:12", "kwh in MAX", "only AVG, SUM"],
        &["use AVG or SUM of kwh", "ask energy to allow MAX"],
    );
    denied(
        "SELECT SUM(peak) AS s FROM energy.meters",
        &["peak in SUM", "allows nothing of peak"],
        &["leave peak out", "AVG or SUM of kwh"],
    );
    denied(
        "SELECT AVG(kwh) AS a FROM energy.meters WHERE peak > 50",
        &["1:47", "peak to be compared (FILTER)", "peak > 50"],
        &["leave the condition on peak out, or set conditions on poor"],
    );
    denied("SELECT tariff, AVG(kwh) AS a FROM energy.meters GROUP BY tariff", &["tariff to be grouped by"], &["or group by zone"]);
    denied("SELECT kwh FROM energy.meters", &["kwh to be shown row by row (RELEASE)"], &["use AVG or SUM of kwh"]);
    denied(
        "SELECT COUNT(*) AS n FROM energy.meters m JOIN health.stays s ON m.resident = s.resident",
        &["resident to be joined on (JOIN)", "s.resident = m.resident"],
        &["leave the join on resident out"],
    );
    // narrowing by CASE
    denied(
        "SELECT SUM(CASE WHEN kwh = 117 THEN 1 ELSE 0 END) AS n FROM energy.meters",
        &["kwh to be compared"],
        &["leave the condition on kwh out"],
    );
    denied("SELECT SUM(kwh) AS n FROM energy.meters GROUP BY zone HAVING MAX(kwh) > 100", &["kwh"], &["AVG or SUM of kwh"]);
}

/// Rows of which one owner forms the groups: the aggregate is called what it is.
#[test]
fn a_refusal_of_what_one_owner_folds_names_the_aggregate() {
    let sql = "SELECT resident, AVG(peak) AS a FROM energy.meters GROUP BY resident";
    let plan = compile(sql, &TOWN).expect("it compiles");
    assert!(!plan.relations.is_empty(), "its groups are rows");
    let allowed = meters(&[("*", &[Operation::Count]), ("resident", &[Operation::Group, Operation::Release])]);
    let denial = asked(sql, &[allowed], |_| {}).expect_err("nothing of peak").to_string();
    assert!(denial.contains("peak in AVG (sum of energy.meters.peak)"), "{denial}");
}

#[test]
fn percentiles_and_distinct_sums_on_shares_need_their_operations() {
    use Operation::{CountDistinct, Join, Max, Median, Sum};
    let met = "FROM energy.meters m JOIN health.stays h ON m.resident = h.resident GROUP BY h.ward";
    for (aggregate, needs) in
        [("PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY m.kwh)", &[Median][..]), ("SUM(DISTINCT m.kwh)", &[CountDistinct, Sum])]
    {
        let sql = format!("SELECT h.ward, {aggregate} AS x {met}");
        let plan = compile(&sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let ana = key("ana");
        let allowed = |kwh: &[Operation]| {
            let contract = meters(&[("kwh", kwh), ("resident", &[Join])]);
            check(&plan, Some("energy"), &[contract], &ask(&sql, &ana)).map(drop)
        };
        allowed(needs).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
        for left_out in needs {
            let rest: Vec<Operation> = needs.iter().copied().filter(|n| n != left_out).chain([Max]).collect();
            allowed(&rest).expect_err("not without it");
        }
    }
}

/// An aggregate that may be shown may be compared, where its groups might be shown as well: else a comparison of each tells what no aggregate that is allowed would.
#[test]
fn comparing_aggregates_of_groups_that_nobody_may_see_is_a_filter() {
    use Operation::{Count, Filter, Group, Join, Max, Sum};
    let ana = key("ana");
    let of_each = "(SELECT m.resident AS r, MAX(m.peak) AS top, MAX(m.peak) > 80 AS f FROM energy.meters m GROUP BY m.resident) t \
                   JOIN health.stays s ON s.resident = t.r";
    let having = "(SELECT m.resident AS r FROM energy.meters m GROUP BY m.resident HAVING MAX(m.peak) > 80) t JOIN health.stays s ON s.resident = t.r";
    // compared before and after the join, as a row, in a CASE, behind another aggregate; beside a public list that has nothing to do with it, or that the planner writes
    let each = [
        format!("SELECT COUNT(*) AS n FROM {of_each} WHERE t.top > 80"),
        format!("SELECT COUNT(*) AS n FROM {of_each} WHERE t.f"),
        format!("SELECT COUNT(*) FILTER (WHERE t.f) AS n FROM {of_each}"),
        format!("SELECT SUM(CASE WHEN t.f THEN 1 ELSE 0 END) AS n FROM {of_each}"),
        format!("SELECT s.ward, SUM(CASE WHEN t.f THEN s.days ELSE 0 END) AS n FROM {of_each} GROUP BY s.ward"),
        format!("SELECT MAX(CASE WHEN t.f THEN s.days END) AS n FROM {of_each}"),
        format!("SELECT COUNT(*) AS n FROM {having}"),
        format!("SELECT COUNT(*) AS n FROM {having} JOIN (VALUES (1), (17)) v(id) ON v.id = s.resident"),
        format!("SELECT COUNT(*) AS n FROM {having} JOIN public.zones z ON z.zone = s.resident"),
        format!(
            "SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM energy.meters m JOIN public.zones z ON z.zone = m.resident) AS o FROM {having}"
        ),
        "SELECT COUNT(*) AS n FROM (SELECT z.zone AS r FROM energy.meters m JOIN public.zones z ON z.zone = m.resident GROUP BY z.zone \
         HAVING MAX(m.peak) > 80) t JOIN health.stays s ON s.resident = t.r"
            .to_owned(),
    ];
    let total = format!("SELECT COUNT(*) AS n FROM (SELECT SUM(t.top) AS s FROM {of_each}) u WHERE u.s >= 1885");
    let asked = |sql: &str, peak: &[Operation], resident: &[Operation]| {
        let plan = compile(sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let contract = meters(&[("*", &[Count]), ("peak", peak), ("resident", resident)]);
        check(&plan, Some("energy"), &[contract], &ask(sql, &ana)).map(drop)
    };
    for sql in &each {
        for peak in [&[Max][..], &[Max, Sum]] {
            asked(sql, peak, &[Join]).expect_err(sql);
        }
        let denial = asked(sql, &[Max], &[Join]).expect_err(sql);
        assert!(denial.reason.contains("peak to be compared (FILTER)") && denial.fix.contains("or GROUP of `resident`"), "{sql}: {denial}");
        asked(sql, &[Sum], &[Join, Group]).expect_err(sql);
        for (peak, resident) in [(&[Filter, Max][..], &[Join][..]), (&[Max], &[Join, Group])] {
            asked(sql, peak, resident).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
        }
    }
    // what is compared is a sum of extremes
    for (peak, resident) in [(&[Max][..], &[Join, Group][..]), (&[Sum], &[Join, Group]), (&[Max], &[Join])] {
        asked(&total, peak, resident).expect_err("neither says enough");
    }
    asked(&total, &[Filter], &[Join]).expect("compared");
    asked(&total, &[Max, Sum], &[Join, Group]).expect("it might be shown");
}

/// Which groups there are is shown, in whatever order and of whatever they must fulfil: of a key that may be NULL as well.
#[test]
fn groups_that_are_chosen_or_ordered_need_no_more_of_their_key() {
    use Operation::{Count, Group, Join};
    let ana = key("ana");
    for also in ["", "HAVING COUNT(*) > 1", "ORDER BY COUNT(*) DESC LIMIT 2", "HAVING COUNT(*) > 1 ORDER BY 2, 1 LIMIT 2"] {
        let sql = format!(
            "SELECT m.kwh, COUNT(*) AS n FROM energy.meters m JOIN health.stays h ON m.resident = h.resident WHERE m.kwh < 50 GROUP BY m.kwh {also}"
        );
        let plan = compile(&sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let allowed = |kwh: &[Operation]| {
            let contract = meters(&[("*", &[Count]), ("kwh", kwh), ("resident", &[Join])]);
            check(&plan, Some("energy"), &[contract], &ask(&sql, &ana)).map(drop)
        };
        allowed(&[Operation::Filter, Group]).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
        allowed(&[Operation::Filter]).expect_err("it is grouped by");
    }
}

/// No pair is formed, and what comes out is asked for as if all were.
#[test]
fn what_is_folded_on_either_side_needs_the_operation_that_was_asked() {
    use Operation::{Avg, Corr, Count, Join, Sum, Var};
    let ana = key("ana");
    for met in ["JOIN health.stays h ON m.peak = h.days", "CROSS JOIN health.stays h"] {
        for (aggregate, need) in [
            ("SUM(m.kwh)", Sum),
            ("AVG(m.kwh)", Avg),
            ("VAR_SAMP(m.kwh)", Var),
            ("CORR(m.kwh, h.cost)", Corr),
            ("SUM(m.kwh * h.cost)", Sum),
            ("AVG(m.kwh * h.cost)", Avg),
        ] {
            let sql = format!("SELECT {aggregate} AS x FROM energy.meters m {met}");
            let plan = compile(&sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            let others: Vec<Operation> = [Avg, Corr, Count, Sum, Var].into_iter().filter(|n| *n != need).collect();
            for (table, key, value) in [("energy.meters", "peak", "kwh"), ("health.stays", "days", "cost")] {
                let allowed = |of: &[Operation]| {
                    let columns = [(ROWS, &[Count][..]), (key, &[Join]), (value, of)];
                    let columns = columns.map(|(column, of)| (column.to_owned(), of.iter().copied().collect()));
                    let owner = table.split_once('.').map(|(owner, _)| owner);
                    check(&plan, owner, &[contract(table, columns.into())], &ask(&sql, &ana)).map(drop)
                };
                allowed(&[need]).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
                assert_eq!(allowed(&others).is_err(), aggregate.contains(value), "{table}: not without it: {sql}");
            }
        }
    }
}

#[test]
fn how_many_rows_met_a_condition_is_a_count_and_whether_any_did_is_not() {
    use Operation::{Count, Filter, Join, Sum};
    let met = "FROM energy.meters m JOIN health.stays h ON m.resident = h.resident GROUP BY h.ward";
    let ana = key("ana");
    for (having, counts) in [
        // NULL if there is none, and not greater than anything
        ("SUM(m.peak) FILTER (WHERE m.poor) > 30", false),
        ("COUNT(*) FILTER (WHERE m.poor) = 5", true),
        ("COUNT(*) FILTER (WHERE m.poor) - 5 = 0", true),
    ] {
        let sql = format!("SELECT h.ward, SUM(m.kwh) AS s {met} HAVING {having}");
        let plan = compile(&sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let allowed = |rows: &[Operation]| {
            let contract = meters(&[("*", rows), ("kwh", &[Sum]), ("peak", &[Sum]), ("poor", &[Filter]), ("resident", &[Join])]);
            check(&plan, Some("energy"), &[contract], &ask(&sql, &ana)).map(drop)
        };
        allowed(&[Count]).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
        assert_eq!(allowed(&[]).is_err(), counts, "{sql}");
    }
}

/// EXISTS tells every row of the one table something of the other's rows: what it asks of them is compared, and that there are any is a matter of how many there are.
#[test]
fn exists_needs_what_it_asks_of_the_other_owner() {
    use Operation::{Count, Filter, Join};
    let ana = key("ana");
    let on_key = "s.resident = m.resident AND";
    for (exists, needs) in [
        ("EXISTS (SELECT 1 FROM health.stays s)", &[("*", Count)][..]),
        ("NOT EXISTS (SELECT 1 FROM health.stays s WHERE s.days > 4)", &[("*", Count), ("days", Filter)]),
        ("(m.poor OR EXISTS (SELECT 1 FROM health.stays s WHERE s.days > 4))", &[("*", Count), ("days", Filter)]),
        ("EXISTS (SELECT 1 FROM health.stays s WHERE s.cost > m.kwh)", &[("cost", Filter)]),
        (&format!("EXISTS (SELECT 1 FROM health.stays s WHERE {on_key} s.cost > m.kwh)"), &[("resident", Join), ("cost", Filter)]),
        (
            &format!("(m.poor OR NOT EXISTS (SELECT 1 FROM health.stays s WHERE {on_key} s.days <= m.peak AND s.urgent))"),
            &[("resident", Join), ("days", Filter), ("urgent", Filter)],
        ),
    ] {
        let sql = format!("SELECT SUM(m.peak) AS x FROM energy.meters m WHERE {exists}");
        let plan = compile(&sql, &TOWN).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let allowed = |grants: &[(&str, Operation)]| {
            let columns = grants.iter().map(|(column, of)| ((*column).to_owned(), BTreeSet::from([*of])));
            check(&plan, Some("health"), &[contract("health.stays", columns.collect())], &ask(&sql, &ana)).map(drop)
        };
        allowed(needs).unwrap_or_else(|denial| panic!("{sql}: {denial}"));
        for left_out in needs {
            let rest: Vec<_> = needs.iter().copied().filter(|need| need != left_out).collect();
            assert!(allowed(&rest).is_err(), "{sql}: not without {left_out:?}");
        }
    }
}

#[test]
fn it_matters_who_asks_for_what_and_when() {
    let sql = "SELECT SUM(kwh) AS s FROM energy.meters";
    let (standing, bo) = (standing(), key("bo"));
    let refused = |says: &str, fix: &str, change: &dyn Fn(&mut Ask<'_>)| {
        let (plan, ana) = (compile(sql, &TOWN).expect("it compiles"), key("ana"));
        let mut ask = ask(sql, &ana);
        change(&mut ask);
        let denial = check(&plan, None, std::slice::from_ref(&standing), &ask).expect_err(says);
        assert!(denial.reason.contains(says) && denial.fix.contains(fix), "{denial}\n{}", denial.fix);
    };
    refused("begins at 1970-01-01T00:16:40Z", "while it is in force", &|a| a.now = 999);
    refused("ended at 1970-01-01T00:33:20Z", "while it is in force", &|a| a.now = 2_000);
    refused("does not allow the purpose `https://w3id.org/dpv#Marketing`", PUBLIC_BENEFIT, &|a| {
        a.purpose = "https://w3id.org/dpv#Marketing leaflets"
    });
    refused("the question names none", PUBLIC_BENEFIT, &|a| a.purpose = " ");
    refused("does not let `bo` have answers", "ana", &|a| a.receivers = &["ana", "bo"]);
    let plan = compile(sql, &TOWN).expect("it compiles");
    let denial = check(&plan, None, std::slice::from_ref(&standing), &ask(sql, &bo)).expect_err("bo is not named");
    assert!(denial.reason.contains("does not name `bo` among its planners: ana"), "{denial}");
    let words = Ask { purpose: "https://w3id.org/dpv#PublicBenefit the heat plan", ..ask(sql, &bo) };
    let ana = key("ana");
    assert!(
        check(&plan, None, std::slice::from_ref(&standing), &Ask { planner: &ana, ..words }).is_ok(),
        "words behind the purpose are free"
    );
}

#[test]
fn a_contract_may_want_more_of_its_partners() {
    let sql = "SELECT SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON m.resident = s.resident";
    let (plan, ana) = (compile(sql, &TOWN).expect("it compiles"), key("ana"));
    let refused = |says: &str, change: &dyn Fn(&mut SignedContract)| {
        let mut signed = meters(&[("kwh", &[Operation::Sum]), ("resident", &[Operation::Join])]);
        change(&mut signed);
        let denial = check(&plan, Some("energy"), &[signed.clone()], &ask(sql, &ana)).expect_err(says);
        assert!(denial.reason.contains(says), "{denial}");
        signed
    };
    refused("together with health.stays", &|s| s.contract.join_with = BTreeSet::new());
    refused("together with health.stays", &|s| s.contract.join_with = ["transport.*".parse().expect("a pattern")].into());
    refused("parties who cheat", &|s| s.contract.security = Security::Malicious);
    let mut signed = refused("after it signed it", &|s| s.contract.countersigned = true);
    signed.countersigned.insert("ana".into());
    assert!(check(&plan, Some("energy"), &[signed], &ask(sql, &ana)).is_ok());
}

#[test]
fn of_several_contracts_one_must_allow_all_of_it() {
    let sql = "SELECT SUM(kwh) AS s, MAX(peak) AS m FROM energy.meters";
    let (one, other) = (meters(&[("kwh", &[Operation::Sum])]), meters(&[("peak", &[Operation::Max])]));
    let both = meters(&[("kwh", &[Operation::Sum]), ("peak", &[Operation::Max])]);
    asked(sql, &[one.clone(), other.clone()], |_| {}).expect_err("a part each");
    let effective = asked(sql, &[one, other, both.clone()], |_| {}).expect("the third");
    assert_eq!(effective.contracts["energy.meters"], both.id);
}

#[test]
fn what_is_told_of_numbers_of_rows_is_allowed_as_well() {
    let allowed = || meters(&[("kwh", &[Operation::Sum]), ("resident", &[Operation::Join])]);
    let with = |sizes| {
        let mut signed = allowed();
        signed.contract.sizes = sizes;
        signed
    };
    let both = "SELECT SUM(m.kwh) AS s FROM energy.meters m JOIN health.stays s ON m.resident = s.resident";
    let (plan, ana) = (compile(both, &TOWN).expect("it compiles"), key("ana"));
    let found = interpret(&plan).expect("all of it is known");
    assert_eq!(found.disclosed, BTreeMap::from([("energy.meters".into(), Sizes::Bucket), ("health.stays".into(), Sizes::Hidden)]));
    let energy = |contract| check(&plan, Some("energy"), &[contract], &ask(both, &ana));
    assert!(energy(with(Sizes::Exact)).is_ok() && energy(with(Sizes::Bucket)).is_ok());
    let denial = energy(with(Sizes::Hidden)).expect_err("told");
    assert!(
        denial.to_string().contains("rounded up, to be told to other parties (sizes `hidden`), as the catalogue does (`bucket`)"),
        "{denial}"
    );
    assert!(denial.fix.contains("set to `hidden`") && denial.fix.contains("ask energy to allow `bucket`"), "{}", denial.fix);
    // where nothing is told, nothing need be allowed
    let alone = "SELECT SUM(kwh) AS s FROM energy.meters";
    assert!(check(&compile(alone, &TOWN).expect("it compiles"), None, &[with(Sizes::Hidden)], &ask(alone, &ana)).is_ok());
}

/// Kept rows that are in no pair are found again by a number that the compiler gives them: whoever may join and compare may ask so.
#[test]
fn an_outer_join_under_a_condition_asks_for_what_its_pairs_do() {
    use Operation::{Count, Filter, Join, Sum};
    let stays = |columns: &[(&str, &[Operation])]| {
        contract("health.stays", columns.iter().map(|(name, of)| ((*name).to_owned(), of.iter().copied().collect())).collect())
    };
    let both = [
        meters(&[("*", &[Count]), ("resident", &[Join]), ("kwh", &[Sum, Filter])]),
        stays(&[("*", &[Count]), ("resident", &[Join]), ("days", &[Sum, Filter])]),
    ];
    let blind = [
        meters(&[("*", &[Count]), ("resident", &[Join]), ("kwh", &[Sum])]),
        stays(&[("*", &[Count]), ("resident", &[Join]), ("days", &[Sum])]),
    ];
    for kind in ["LEFT", "RIGHT", "FULL"] {
        for condition in ["s.days > 3", "m.kwh > 3", "s.days > m.kwh"] {
            let sql = format!(
                "SELECT SUM(m.kwh) AS k, SUM(s.days) AS d, COUNT(*) AS n FROM energy.meters m {kind} JOIN health.stays s ON m.resident = s.resident AND {condition}"
            );
            asked(&sql, &both, |_| {}).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
            let denial = asked(&sql, &blind, |_| {}).expect_err(&sql);
            assert!(denial.to_string().contains("to be compared (FILTER)"), "{sql}\n{denial}");
        }
    }
}

/// Both tables have a column of that name: the place is that of the one that is refused.
#[test]
fn a_refusal_points_at_the_column_of_its_table() {
    use Operation::{Count, Join};
    let stays = contract("health.stays", [("*", Count), ("resident", Join)].map(|(name, of)| (name.to_owned(), [of].into())).into());
    let contracts = [meters(&[("*", &[Count])]), stays];
    for (sql, column) in [
        ("SELECT COUNT(*) AS n FROM health.stays s JOIN energy.meters m ON s.resident = m.resident", 81),
        ("SELECT COUNT(*) AS n FROM health.stays AS s JOIN energy.meters AS \"M x\" ON s.resident = \"M x\".resident", 95),
        ("SELECT COUNT(*) AS n FROM health.stays JOIN energy.meters ON stays.resident = energy.meters.resident", 93),
        ("SELECT COUNT(*) AS n FROM health.stays s WHERE s.resident IN (SELECT resident FROM energy.meters)", 70),
    ] {
        let denial = asked(sql, &contracts, |_| {}).expect_err(sql);
        assert_eq!(denial.place, Some((1, column)), "{sql}\n{denial}");
    }
}
