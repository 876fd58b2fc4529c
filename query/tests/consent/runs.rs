//! Contracts are checked on the plan without protection. The plan that runs is another, and must do no more with anybody's columns but what contracts ask for by themselves: to tell entities
//! apart, and to compare how many there are in the groups that the question forms, or of what it matches; and where a cap says which rows of an entity count, to put these in the order of their
//! columns, at their owner.

use super::*;

/// A change of a contract, and whether greatest shares are found, which compares the totals of entities.
type Terms = (&'static str, fn(&mut Contract));

const TERMS: [Terms; 4] = [
    ("a minimum group of entities", |c| (c.min_group, c.entity_key) = (3, Some("resident".into()))),
    ("a minimum group of rows", |c| c.min_group = 3),
    ("a cap", |c| (c.max_rows_per_entity, c.entity_key) = (Some(2), Some("resident".into()))),
    ("a cap and a minimum group", |c| (c.min_group, c.max_rows_per_entity, c.entity_key) = (2, Some(1), Some("resident".into()))),
];

/// What a plan does that no contract need allow which allows what another does, but for counting and comparing how many entities there are.
fn wider(sql: &str, runs: &Found, checked: &Found, key: Option<&str>, is_capped: bool) -> Vec<String> {
    let tables = runs.tables.difference(&checked.tables).map(|table| format!("it reads {table}"));
    let told = runs.disclosed.iter().filter(|(table, sizes)| checked.disclosed.get(*table).is_none_or(|allowed| allowed < *sizes));
    let told = told.map(|(table, sizes)| format!("it tells how many rows {table} has: {sizes:?}"));
    let ways = |used: &Use| std::iter::once(used.operation).chain(used.or.iter().copied()).collect::<BTreeSet<_>>();
    let is_met = |used: &&Use| {
        let same = |other: &&Use| (&other.table, &other.column) == (&used.table, &used.column);
        let alone = |key: &String| {
            let grouped = |other: &&Use| other.operation == Operation::Group && other.or.is_empty() && other.column.as_ref() == Some(key);
            checked.uses.iter().filter(grouped).any(|other| other.table == used.table)
        };
        let follows = checked.uses.iter().filter(same).any(|other| {
            let keys = other.or.is_empty() || used.grouped.iter().all(|key| other.grouped.contains(key) || alone(key));
            keys && ways(other).is_subset(&ways(used))
        });
        let ordered = is_capped && used.operation == Operation::Order;
        // Groups are those of a sub-query, or of a join.
        let tells_apart = [Operation::Count, Operation::CountDistinct, Operation::Group];
        let apart = used.operation != Operation::Release && ways(used).iter().any(|way| tells_apart.contains(way));
        let Some(column) = &used.column else { return apart };
        let matched = checked.uses.iter().filter(same).any(|other| ways(other).contains(&Operation::Join));
        let formed = matched || sql.contains(&format!(".{column} AS k"));
        // numbers of entities, and sums of them
        let entities = used.or.contains(&Operation::Sum) && used.place.contains("entities of");
        let counted = used.operation == Operation::Group
            || used.or.contains(&Operation::CountDistinct) && used.or.contains(&Operation::Group)
            || entities;
        follows || ordered || formed && counted || Some(column.as_str()) == key && used.operation != Operation::Release
    };
    let done = runs.uses.iter().filter(|used| !is_met(used)).map(said);
    tables.chain(told).chain(done).collect()
}

#[test]
fn the_plan_that_runs_does_no_more_than_the_one_that_was_checked() {
    let deep = std::thread::Builder::new().stack_size(64 << 20).spawn(compare).expect("a thread");
    deep.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn compare() {
    let mut runner = TestRunner::deterministic();
    let (mut cases, mut wrong, ana) = (0, Vec::new(), key("ana"));
    for number in 0..300 {
        let question = questions().new_tree(&mut runner).expect("a question").current();
        let sql = question.sql();
        let Ok(plan) = compile(&sql, &TOWN) else { continue };
        let checked = interpret(&plan).expect("it is known");
        let (name, change) = TERMS[number % TERMS.len()];
        let every = |table: &str| -> BTreeMap<String, BTreeSet<Operation>> {
            let columns = &TOWN.table(table).expect("a table of the town").columns;
            columns.iter().map(|c| (c.name.clone(), Operation::ALL.into())).chain([(ROWS.to_owned(), [Operation::Count].into())]).collect()
        };
        let mut given = ["energy.meters", "health.stays"].map(|table| contract(table, every(table)));
        given.iter_mut().for_each(|signed| change(&mut signed.contract));
        let effective = check(&plan, None, &given, &ask(&sql, &ana)).expect("all is allowed");
        // What the terms make no plan of is refused.
        let Ok(runs) = effective.plan(plan, &sql, &TOWN, None) else { continue };
        cases += 1;
        let key = given[0].contract.entity_key.as_deref();
        let more = match interpret(&runs) {
            Ok(runs) => wider(&sql, &runs, &checked, key, given[0].contract.max_rows_per_entity.is_some()),
            Err(unknown) => vec![unknown.to_string()],
        };
        if !more.is_empty() {
            wrong.push(format!("{sql}\n  under {name}: {}", more.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
    assert!(cases >= 60, "{cases} cases");
}
