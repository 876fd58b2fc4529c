//! A key that is declared unique and is not: the session ends with the table and the key's columns, and nothing of the value.

use super::pool::{NoAnswer, On, Pool};
use super::search;
use query::plan::relation::Search;

const CATALOG: &str = r#"
version = 1
[[table]]
name = "transport.trips"
max_rows = 20
release = "rows"
column = [
    { name = "person", type = "INT", min = 1, max = 9999999, nullable = false },
    { name = "line", type = "STRING", max_bytes = 12 },
    { name = "fare", type = "INT", min = 0, max = 500 },
]
[[table]]
name = "health.people"
max_rows = 10
key = ["person"]
release = "rows"
column = [
    { name = "person", type = "INT", min = 1, max = 9999999, nullable = false },
    { name = "age", type = "INT", min = 0, max = 120 },
]
[[table]]
name = "energy.tariffs"
max_rows = 10
key = ["line", "person"]
column = [
    { name = "line", type = "STRING", max_bytes = 12, nullable = false },
    { name = "person", type = "INT", min = 1, max = 9999999, nullable = false },
    { name = "price", type = "INT", min = 0, max = 99 },
]
"#;

/// Values that no word of an error may have.
const SECRETS: [&str; 3] = ["7731337", "Kestrel", "7731"];

/// Whoever is asked trusts his own table, which his node checks when it loads it; here nobody has.
#[test]
fn an_error_names_the_table_and_the_key_and_no_value() {
    let mut pool = Pool::new(["transport", "energy", "health"], CATALOG).expect("a catalogue");
    pool.add("transport.trips", "person,line,fare\n7731337,Kestrel,3\n5,Heron,4\n".as_bytes()).expect("trips");
    pool.add("health.people", "person,age\n5,30\n7731337,41\n6,20\n7731337,41\n".as_bytes()).expect("people");
    pool.add("energy.tariffs", "line,person,price\nKestrel,7731337,7\nKestrel,7731337,8\nHeron,5,9\n".as_bytes()).expect("tariffs");
    for (sql, table, keys) in [
        ("SELECT t.fare, h.age FROM transport.trips t JOIN health.people h ON h.person = t.person", "health.people", &["h.person"][..]),
        // nobody of the rows meets it: that is no excuse
        ("SELECT t.fare, h.age FROM transport.trips t LEFT JOIN health.people h ON h.person = t.fare", "health.people", &["h.person"]),
        (
            "SELECT SUM(e.price) AS s FROM transport.trips t JOIN energy.tariffs e ON e.line = t.line AND e.person = t.person",
            "energy.tariffs",
            &["e.line", "e.person"],
        ),
    ] {
        let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let ground = pool.ground(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        for way in [Search::Sort, Search::Ask] {
            let plan = search::with(&plan, &ground, way);
            for on in [On::Plain, On::Rep3] {
                let Err(NoAnswer::Failed(error)) = pool.answer_by(&plan, &ground, on) else { panic!("{way:?}, {on:?}: answered: {sql}") };
                assert!(error.contains("two rows have the same ") && error.contains(table), "{way:?}, {on:?}: {error}");
                assert!(keys.iter().all(|key| error.contains(key)), "{way:?}, {on:?}: {error}");
                assert!(!SECRETS.iter().any(|secret| error.contains(secret)), "{way:?}, {on:?}: {error}");
            }
        }
    }
}
