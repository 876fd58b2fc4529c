//! Owners that tell how many rows are left after their own filters: the answers are the same, and less is sent.

use super::pool::{On, Pool};
use query::explain::explain;
use query::local::Tables;

const PARTIES: [&str; 3] = ["school", "clinic", "housing"];

fn catalog(sizes: &str) -> String {
    let sizes = if sizes.is_empty() { String::new() } else { format!("sizes = \"{sizes}\"\n") };
    let number =
        |name: &str, max: u32| format!("[[table.column]]\nname = \"{name}\"\ntype = \"INT\"\nmin = 0\nmax = {max}\nnullable = false\n");
    format!(
        "version = 1\n[[table]]\nname = \"school.pupils\"\nmax_rows = 900\nkey = [\"id\"]\n{sizes}{}{}\
         [[table]]\nname = \"clinic.visits\"\nmax_rows = 1500\n{sizes}{}{}\
         [[table]]\nname = \"housing.homes\"\nmax_rows = 50\n{}",
        number("id", 5000),
        number("level", 9),
        number("pupil", 5000),
        number("cost", 100),
        number("home", 9),
    )
}

fn pool(sizes: &str) -> Pool {
    let mut pool = Pool::new(PARTIES, &catalog(sizes)).expect("a catalogue");
    let table = |header: &str, rows: u32, row: &dyn Fn(u32) -> (u32, u32)| {
        (0..rows).map(row).fold(format!("{header}\n"), |all, (a, b)| all + &format!("{a},{b}\n"))
    };
    pool.add("school.pupils", table("id,level", 800, &|i| (i * 5, i % 10)).as_bytes()).expect("pupils");
    pool.add("clinic.visits", table("pupil,cost", 1200, &|i| (i * 7 % 4000, i % 101)).as_bytes()).expect("visits");
    pool.add("housing.homes", "home\n1\n".as_bytes()).expect("homes");
    pool
}

const QUESTIONS: [&str; 4] = [
    "SELECT COUNT(*) AS n, SUM(v.cost) AS cost FROM school.pupils p JOIN clinic.visits v ON v.pupil = p.id WHERE p.level = 3 AND v.cost > 90",
    "SELECT SUM(p.level * v.cost) AS s FROM school.pupils p LEFT JOIN clinic.visits v ON v.pupil = p.id AND v.cost > 99 WHERE p.level < 2",
    "SELECT COUNT(DISTINCT v.cost) AS n FROM clinic.visits v WHERE v.pupil IN (SELECT id FROM school.pupils WHERE level = 7) AND v.cost < 20",
    // nobody is left: that is told as one row
    "SELECT COUNT(*) AS n, MAX(v.cost) AS most FROM school.pupils p JOIN clinic.visits v ON v.pupil = p.id WHERE p.id = 4999",
];

#[test]
fn answers_are_the_same_and_less_is_sent() {
    let pools = ["", "bucket", "exact"].map(pool);
    for sql in QUESTIONS {
        for pool in &pools {
            for on in [On::Plain, On::Rep3] {
                let checked = pool.check(sql, on);
                assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
            }
        }
        let sent = pools.each_ref().map(|pool| {
            let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            let ran = pool.sized(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            explain(&ran, &Tables::new(), &PARTIES).expect("explained").bytes().iter().sum::<u64>()
        });
        assert!(sent[0] > 2 * sent[1] && sent[1] > sent[2], "{sql}\n{sent:?}");
    }
}

#[test]
fn what_is_told_is_explained() {
    let text = |sizes: &str| {
        let plan = pool(sizes).plan(QUESTIONS[0]).unwrap_or_else(|e| panic!("{e}"));
        explain(&plan, &Tables::new(), &PARTIES).expect("explained").to_string()
    };
    let hidden = text("");
    assert!(
        !hidden.contains("Tells") && hidden.contains("fewer rows padded to them") && hidden.contains("nobody learns anything else)"),
        "{hidden}"
    );
    let bucket = text("bucket");
    for line in [
        "Tells (to the other parties and the planner",
        "how many of at most 900 rows school has, rounded up",
        "disclose",
        "nobody learns anything else but what is told)",
    ] {
        assert!(bucket.contains(line), "{line} in\n{bucket}");
    }
    assert!(text("exact").contains("how many of at most 1500 rows clinic has\n"), "{}", text("exact"));
}

#[test]
fn explain_says_what_is_told_and_why() {
    let sql = QUESTIONS[0];
    let said = |sizes: &str| {
        let pool = pool(sizes);
        let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        explain(&plan, &Tables::new(), &PARTIES).expect("explained").to_string()
    };
    let of = "how many rows of school.pupils are left: ";
    let because = |sizes: &str| {
        format!(
            "    because the catalogue allows it (sizes = \"{sizes}\"), and all that follows is laid out on so many places instead of 900\n"
        )
    };
    let rounded = said("bucket");
    assert!(
        rounded.contains(&(of.to_string() + "told to the other parties, rounded up by a quarter at most\n" + &because("bucket"))),
        "{rounded}"
    );
    let exact = said("exact");
    assert!(exact.contains(&(of.to_string() + "told to the other parties\n" + &because("exact"))), "{exact}");
    assert!(!said("").contains("how many rows of"));
}
