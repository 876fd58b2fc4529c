//! Private keys: what becomes of joins, groups and orders, what stays at home, what is refused.

use super::{Catalog, Code, Plan, compile};
use crate::plan::{
    Source,
    relation::{FoldOp, Operator, RowForm, Search},
};

const CITY: &str = r#"
version = 1
[[table]]
name = "health.restaurants"
max_rows = 1000
key = ["licence"]
[[table.column]]
name = "licence"
type = "INT"
min = 1
max = 99999
nullable = false
[[table.column]]
name = "address"
type = "STRING"
max_bytes = 12
nullable = false
[[table.column]]
name = "score"
type = "INT"
min = 0
max = 200
[[table]]
name = "energy.graded"
max_rows = 400
key = ["address"]
[[table.column]]
name = "address"
type = "STRING"
max_bytes = 10
nullable = false
[[table.column]]
name = "grade"
type = "STRING"
dictionary = ["A", "B", "C", "D"]
nullable = false
[[table.column]]
name = "owner"
type = "STRING"
max_bytes = 20
[[table]]
name = "transport.stops"
max_rows = 50
release = "rows"
[[table.column]]
name = "address"
type = "STRING"
max_bytes = 12
nullable = false
[[table.column]]
name = "line"
type = "STRING"
"#;

fn city() -> Catalog {
    Catalog::parse(CITY).expect("the catalogue of these tests is sound")
}

#[track_caller]
fn plan(sql: &str) -> Plan {
    compile(sql, &city()).unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

const MEET: &str = "FROM health.restaurants r JOIN energy.graded g ON g.address = r.address";

#[test]
fn a_join_on_private_keys_is_a_look_up_of_the_unique_side() {
    let plan =
        plan(&format!("SELECT g.grade, COUNT(*) AS n, SUM(r.score) AS s, AVG(r.score) AS a {MEET} WHERE r.score > 5 GROUP BY g.grade"));
    assert!(plan.frames.is_empty() && plan.releases.is_empty());
    let lookups: Vec<_> = plan.relations.iter().filter(|r| matches!(r.op, Operator::Lookup { .. })).collect();
    let [lookup] = lookups.as_slice() else { panic!("one join: {:?}", plan.relations) };
    let Operator::Lookup { base, table, on, search, .. } = &lookup.op else { unreachable!() };
    // both owners know their addresses
    assert_eq!(*search, Search::Ask);
    // the restaurants keep their places; both keys have the longer text's width
    assert_eq!((plan.relation(*base).places, plan.relation(*table).places, lookup.places), (1000, 400, 1000));
    for (b, t) in on {
        assert_eq!(plan.relation(*base).columns[*b].form, RowForm::Text { bytes: 12 });
        assert_eq!(plan.relation(*table).columns[*t].form, RowForm::Text { bytes: 12 });
    }
    // four grades, no more groups
    let group = plan.relations.iter().find(|r| matches!(r.op, Operator::Group { .. })).expect("a group");
    assert_eq!(group.places, 4);
    // AVG is finished from the sum and the count that are there anyway
    let Operator::Group { folds, .. } = &group.op else { unreachable!() };
    let sums = folds.iter().filter(|f| matches!(f.op, FoldOp::Sum(_))).count();
    assert_eq!((folds.len(), sums), (2, 1), "{folds:?}");
}

#[test]
fn rows_that_a_shared_bit_drops_are_looked_up_by_sorting() {
    // which buildings are left after the first join nobody knows
    let sql = "SELECT COUNT(*) AS n FROM transport.stops s \
               WHERE s.address IN (SELECT g.address FROM energy.graded g JOIN health.restaurants r ON r.licence = length(g.owner) WHERE r.score > 7)";
    let plan = plan(sql);
    let searches: Vec<_> =
        plan.relations.iter().filter_map(|r| if let Operator::Lookup { search, .. } = r.op { Some(search) } else { None }).collect();
    assert!(searches.contains(&Search::Ask) && searches.contains(&Search::Sort), "{searches:?}");
}

#[test]
fn what_one_owner_can_compute_stays_at_home() {
    let plan = plan(&format!(
        "SELECT SUM(CASE WHEN upper(r.address) LIKE '%BROADWAY%' AND g.owner IS NOT NULL THEN r.score * 2 ELSE 0 END) AS s {MEET}"
    ));
    let home = |party: &str| {
        plan.relations.iter().find_map(|r| match &r.op {
            Operator::Home { source: Source::Party(p), plan, .. } if p == party => Some((plan.text().to_owned(), r)),
            _ => None,
        })
    };
    let (text, relation) = home("health").expect("health takes part");
    assert!(text.contains("LIKE") && text.contains("* Int64(2)") | text.contains("* Int32(2)"), "{text}");
    // the key, the condition, the product: neither the address for LIKE nor the licence
    assert_eq!(relation.columns.len(), 3, "{:?}", relation.columns);
    let (_, relation) = home("energy").expect("energy takes part");
    assert!(relation.columns.iter().all(|c| c.words != "g.owner"), "only whether there is an owner: {:?}", relation.columns);
}

#[test]
fn rows_are_shown_only_where_their_owners_allow_it() {
    for (sql, says) in [
        (format!("SELECT r.licence, g.grade {MEET}"), "show rows of the private table"),
        (format!("SELECT r.licence, COUNT(*) AS n {MEET} GROUP BY r.licence"), "private"),
    ] {
        let e = compile(&sql, &city()).expect_err(&sql);
        assert!(e.code == Code::Unsupported && e.line.is_some(), "{e:?}");
        assert!(e.to_string().contains(says), "{e}");
    }
    let open = "SELECT s.address, COUNT(*) AS n FROM transport.stops s GROUP BY s.address ORDER BY n DESC LIMIT 3";
    let plan = plan(open);
    assert!(plan.rows[0].ordered || plan.relations.len() == 1, "{:?}", plan.relations);
}

#[test]
fn a_text_without_a_length_and_a_join_without_a_unique_side_are_refused_with_a_place() {
    let cases = [
        ("SELECT COUNT(*) AS n FROM transport.stops s JOIN energy.graded g ON g.address = s.line", Code::Width),
        ("SELECT COUNT(*) AS n FROM health.restaurants r JOIN energy.graded g ON g.address < r.address", Code::Unsupported),
    ];
    for (sql, code) in cases {
        match compile(sql, &city()) {
            Err(e) => assert!(e.line.is_some() && (e.code == code || e.code == Code::Unsupported), "{sql}: {e:?}"),
            Ok(plan) => assert!(plan.relations.iter().any(|r| matches!(r.op, Operator::Cross { .. })), "{sql}"),
        }
    }
}

#[test]
fn compilation_is_deterministic() {
    let sql = format!(
        "SELECT g.grade, COUNT(DISTINCT r.address) AS n, MAX(r.score) AS m {MEET} GROUP BY g.grade HAVING COUNT(*) > 2 ORDER BY n DESC LIMIT 2"
    );
    assert_eq!(plan(&sql).hash(), plan(&sql).hash());
}
