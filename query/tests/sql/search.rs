//! A plan with other ways to find equal keys than those the cost model chose.

use super::pool::{On, Pool};
use super::town::{PARTIES, town};
use query::exec::Program;
use query::explain::explain;
use query::ground::Ground;
use query::plan::Plan;
use query::plan::relation::{Operator, Search};

/// The plan as it is, and those that sort, leave rows in order, or ask, in every look-up that can; each once.
pub fn all(plan: &Plan, ground: &Ground) -> Vec<Plan> {
    let mut plans = vec![plan.clone()];
    for search in [Search::Sort, Search::SortInOrder, Search::Ask] {
        let other = with(plan, ground, search);
        if plans.iter().all(|p| p.hash() != other.hash()) {
            plans.push(other);
        }
    }
    plans
}

/// The plan with all look-ups so that can be.
pub fn with(plan: &Plan, ground: &Ground, to: Search) -> Plan {
    let mut plan = plan.clone();
    for id in 0..plan.relations.len() {
        let Operator::Lookup { search, .. } = &mut plan.relations[id].op else { continue };
        let before = std::mem::replace(search, to);
        if Program::new(&plan, ground).is_err() {
            let Operator::Lookup { search, .. } = &mut plan.relations[id].op else { unreachable!() };
            *search = before;
        }
    }
    plan
}

/// How many look-ups are so.
pub fn count(plan: &Plan, of: Search) -> usize {
    plan.relations.iter().filter(|r| matches!(&r.op, Operator::Lookup { search, .. } if *search == of)).count()
}

/// Joins of which both owners know their keys.
const KNOWN: [&str; 11] = [
    "SELECT p.pupil, c.blood, c.weight, c.since FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil",
    // rows that a secret bit drops, on the side that asks and after it
    "SELECT p.name, c.name FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil WHERE p.points > c.weight OR c.insured",
    "SELECT p.pupil, p.ward, c.weight, c.insured FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil",
    // NULL meets nothing
    "SELECT p.pupil, c.weight FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil AND c.ward = p.ward",
    "SELECT m.pupil, m.mark, c.name, t.tenant FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil \
     LEFT JOIN housing.tenants t ON t.tenant = m.pupil",
    "SELECT pupil FROM school.pupils WHERE pupil IN (SELECT patient FROM clinic.visits WHERE cost > 20)",
    "SELECT pupil, name FROM school.pupils p WHERE NOT EXISTS (SELECT 1 FROM clinic.patients c WHERE c.name = p.name)",
    "SELECT pupil FROM school.pupils WHERE name NOT IN (SELECT name FROM clinic.patients WHERE name IS NOT NULL)",
    "SELECT m.subject, COUNT(*) AS n, SUM(v.cost) AS cost, MAX(v.n) AS visits FROM school.marks m \
     JOIN (SELECT patient, COUNT(*) AS n, SUM(cost) AS cost FROM clinic.visits GROUP BY patient) v ON v.patient = m.pupil GROUP BY m.subject",
    "SELECT COUNT(*) AS n, SUM(c.weight * p.points) AS s FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil AND c.name = p.name",
    "SELECT p.level, AVG(c.weight) AS w FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil WHERE p.boards GROUP BY p.level",
];

#[test]
fn who_sorts_and_who_asks_finds_the_same() {
    let town = town();
    for (number, sql) in KNOWN.iter().enumerate() {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let ground = town.ground(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let (sorts, asks) = (with(&plan, &ground, Search::Sort), with(&plan, &ground, Search::Ask));
        assert!(count(&sorts, Search::Ask) == 0 && count(&asks, Search::Ask) > 0, "{sql}\n{:?}", plan.relations);
        for on in if number % 3 == 0 { &[On::Plain, On::Rep3][..] } else { &[On::Plain] } {
            let checked = town.check(sql, *on);
            assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
        }
    }
}

/// Groups by the keys of a join whose rows nobody has at home: those of several agencies, or found by an earlier join.
const FUSED: [&str; 9] = [
    "SELECT x.person, SUM(c.weight) AS w, COUNT(*) AS n FROM (SELECT pupil AS person FROM school.marks UNION ALL SELECT tenant FROM housing.tenants) x \
     JOIN clinic.patients c ON c.patient = x.person GROUP BY x.person",
    // the other side's key, and what follows from it
    "SELECT c.patient, c.blood, SUM(x.n * c.weight) AS s FROM (SELECT pupil AS person, mark AS n FROM school.marks UNION ALL SELECT tenant, 7 \
     FROM housing.tenants) x JOIN clinic.patients c ON c.patient = x.person GROUP BY c.patient, c.blood",
    // rows that are dropped before and after
    "SELECT x.person, SUM(x.n) AS n FROM (SELECT pupil AS person, mark AS n FROM school.marks UNION ALL SELECT tenant, 7 FROM housing.tenants) x \
     JOIN clinic.patients c ON c.patient = x.person WHERE x.n > c.weight - 60 OR c.insured GROUP BY x.person HAVING COUNT(*) > 1",
    "SELECT x.person, COUNT(c.weight) AS n FROM (SELECT pupil AS person FROM school.marks UNION ALL SELECT tenant FROM housing.tenants) x \
     LEFT JOIN clinic.patients c ON c.patient = x.person GROUP BY x.person",
    // rows that find nothing, NULL in what they are grouped by, stand among others
    "SELECT c.patient, x.person, COUNT(*) AS n, SUM(c.weight) AS w FROM (SELECT pupil AS person FROM school.marks UNION ALL SELECT tenant FROM housing.tenants) x \
     LEFT JOIN clinic.patients c ON c.patient = x.person GROUP BY c.patient, x.person",
    // two keys, NULLs among them
    "SELECT x.person, x.ward, COUNT(*) AS n, AVG(c.weight) AS w FROM (SELECT pupil AS person, ward FROM school.pupils UNION ALL SELECT patient, ward \
     FROM clinic.patients) x JOIN clinic.patients c ON c.patient = x.person AND c.ward = x.ward GROUP BY x.person, x.ward",
    "SELECT x.ward, x.person, COUNT(c.weight) AS n FROM (SELECT pupil AS person, ward FROM school.pupils UNION ALL SELECT patient, ward \
     FROM clinic.patients) x LEFT JOIN clinic.patients c ON c.patient = x.person AND c.ward = x.ward GROUP BY x.ward, x.person",
    // text
    "SELECT x.name, SUM(x.n * c.w) AS n FROM (SELECT name, points AS n FROM school.pupils UNION ALL SELECT name, weight FROM clinic.patients) x \
     JOIN (SELECT name, MIN(weight) AS w FROM clinic.patients GROUP BY name) c ON c.name = x.name GROUP BY x.name",
    "SELECT DISTINCT x.person FROM (SELECT pupil AS person FROM school.marks UNION ALL SELECT tenant FROM housing.tenants) x \
     JOIN clinic.patients c ON c.patient = x.person",
];

#[test]
fn rows_that_a_join_leaves_in_order_have_the_same_groups() {
    let town = town();
    for (number, sql) in FUSED.iter().enumerate() {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let ground = town.ground(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let fused = with(&plan, &ground, Search::SortInOrder);
        let text = explain(&fused, &town.public(), &PARTIES).expect("an explanation").to_string();
        let line = text.lines().find(|line| line.trim_start().starts_with("group: groups")).unwrap_or_else(|| panic!("{sql}\n{text}"));
        assert!(line.contains("in the order of the join"), "{sql}\n{text}");
        // the answer is held to that of all plans, this one among them
        for on in if number % 3 == 0 { &[On::Plain, On::Rep3][..] } else { &[On::Plain] } {
            let checked = town.check(sql, *on);
            assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
        }
    }
}

/// Many rows with long keys are not sorted twice by them; nor where it is the last join's keys, found by the one before.
#[test]
fn groups_by_the_keys_of_a_join_are_not_sorted_again() {
    let table = |name: &str, rows: u32, key: &str, columns: &[&str]| {
        let columns = columns
            .iter()
            .map(|name| format!("[[table.column]]\nname = \"{name}\"\ntype = \"INT\"\nmin = 0\nmax = 1000000000\nnullable = false\n"));
        format!("[[table]]\nname = \"{name}\"\nmax_rows = {rows}\nrelease = \"rows\"\n{key}{}", columns.collect::<String>())
    };
    let catalog = [
        "version = 1\n".to_string(),
        table("school.marks", 40_000, "", &["person", "n"]),
        table("housing.tenants", 50_000, "", &["person", "home"]),
        table("clinic.patients", 90_000, "key = [\"id\"]\n", &["id", "home", "weight"]),
        table("housing.homes", 30_000, "key = [\"home\"]\n", &["home", "rooms"]),
    ];
    let pool = Pool::new(PARTIES, &catalog.concat()).expect("a catalogue");
    for sql in [
        "SELECT x.person, SUM(c.weight) AS w FROM (SELECT person FROM school.marks UNION ALL SELECT person FROM housing.tenants) x \
         JOIN clinic.patients c ON c.id = x.person GROUP BY x.person ORDER BY w LIMIT 9",
        "SELECT h.home, SUM(CAST(m.n AS DECIMAL(38, 0)) * h.rooms) AS s FROM school.marks m JOIN clinic.patients c ON c.id = m.person JOIN housing.homes h ON h.home = c.home \
         GROUP BY h.home ORDER BY s LIMIT 9",
    ] {
        let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        assert_eq!(count(&plan, Search::SortInOrder), 1, "{sql}\n{:?}", plan.relations);
        let text = explain(&plan, &pool.public(), &PARTIES).expect("an explanation").to_string();
        assert!(text.contains("the rows stay in it for the groups") && text.contains("in the order of the join"), "{sql}\n{text}");
        assert!(!text.contains("group: sort"), "{sql}\n{text}");
    }
}
