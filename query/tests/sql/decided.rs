//! What EXPLAIN says of how a question is computed, and why so.

use super::town::{PARTIES, town};
use query::explain::{Explain, explain};

/// Questions, and what is said of each.
const SAID: [(&str, &[&str]); 11] = [
    (
        "SELECT MAX(c.weight - p.points) AS most, COUNT(DISTINCT c.blood) AS n FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil",
        &["aggregates over a join: formed after the join", "extremes are a tournament", "distinct values are neighbours that differ"],
    ),
    (
        "SELECT m.subject, c.ward, COUNT(*) AS n FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil GROUP BY m.subject, c.ward",
        &["groups by ", " over a join: ", "join: ", "group: "],
    ),
    (
        "SELECT m.pupil, SUM(m.mark) AS s FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil GROUP BY m.pupil",
        &["over a join: formed before the join\n    because all rows of a group meet the same row, or none"],
    ),
    (
        "SELECT COUNT(*) AS n FROM school.marks m JOIN clinic.visits v ON v.patient = m.pupil",
        &["which counts how many there are\n    because neither side is unique on the keys, and so no pair is formed"],
    ),
    (
        "SELECT AVG(m.mark) AS a, SUM(m.mark * v.cost) AS s FROM school.marks m JOIN clinic.visits v ON v.patient = m.pupil",
        &["which counts how many there are\n    because neither side is unique on the keys, and so no pair is formed"],
    ),
    (
        "SELECT COUNT(*) AS n, AVG(m.mark) AS a FROM school.marks m CROSS JOIN clinic.visits v",
        &[
            "aggregates over a join: formed of what either side is folded to\n    because every row of the one side meets every row of the other",
        ],
    ),
    (
        "SELECT m.mark, v.cost FROM school.marks m JOIN clinic.visits v ON v.patient = m.pupil",
        &["join on ", "because neither side is unique on the keys"],
    ),
    (
        "SELECT p.ward, RANK() OVER (PARTITION BY p.level ORDER BY c.weight) AS r, MEDIAN(c.weight) OVER (PARTITION BY p.level) AS w \
         FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil ORDER BY r LIMIT 3",
        &[
            "window: sorted by partition and order",
            "a percentile is the row at its position",
            "sort: shuffled, so that ties are broken at random",
        ],
    ),
    (
        "SELECT COUNT(*) AS n FROM (SELECT p.pupil AS k FROM school.pupils p UNION ALL SELECT c.patient FROM clinic.patients c) x",
        &["union: the places of its 2 sides one after the other, ", "\n    because which of them hold a row is secret"],
    ),
    (
        "SELECT COUNT(*) AS n FROM (SELECT p.pupil AS k FROM school.pupils p UNION SELECT c.patient FROM clinic.patients c) x",
        &["equal rows of a union: found in one order of the rows of all sides\n    because rows of any sides may be equal"],
    ),
    (
        "SELECT COUNT(*) AS n, MAX(m.mark + v.cost) AS s FROM school.marks m LEFT JOIN clinic.visits v ON v.patient = m.pupil AND v.cost > m.mark",
        &["outer join on ", ": the pairs, and behind their places those of the kept rows", "\n    because a kept row can be in many pairs"],
    ),
];

#[test]
fn explain_says_how_and_why() {
    let mut missing = Vec::new();
    for (sql, said) in SAID {
        let explained = explained(sql);
        assert!(explained.steps.iter().all(|step| !step.how.is_empty()), "{sql}: every operator names its algorithm");
        let text = explained.to_string();
        let always = [
            "how owners meet: row by row, on keys that nobody sees\n    because on the rows of a public domain it cannot be answered: ",
            "\nHow\n",
        ];
        let lacks: Vec<&str> = said.iter().copied().chain(always).filter(|words| !text.contains(words)).collect();
        if !lacks.is_empty() {
            missing.push(format!("{lacks:#?} in\n{sql}\n{text}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

/// As planners see it.
fn explained(sql: &str) -> Explain {
    let town = town();
    let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let explained = explain(&plan, &town.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    explained.weighed(sql, &town.catalog, &plan, &town.public())
}

/// What is decided has a price, and so has the other way: that of the plan that goes it.
#[test]
fn the_other_way_is_priced() {
    let town = town();
    // what is decided first, then which questions have it: groups before a join, groups after it, pairs compared, pairs laid out, owners on public rows
    for (sql, of, way, other) in [
        (SAID[2].0, "over a join", "formed before the join", "formed after the join"),
        (SAID[6].0, "join on", "all of at most", "pairs of equal keys are laid out"),
    ] {
        let explained = explained(sql);
        let line = explained.decided.iter().find(|line| line.decided.of.contains(of)).unwrap_or_else(|| panic!("{sql}\n{explained}"));
        let (so, or) = line.weighed.as_ref().unwrap_or_else(|| panic!("{sql}\n{explained}"));
        let or = or.as_ref().unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(so.what.contains(way) && or.what.contains(other), "{sql}\n{explained}");
        assert_eq!((so.rounds, Some(&so.bytes)), (explained.rounds(), explained.bytes().iter().max()), "{sql}");
        let plan = query::compile::compile_otherwise(sql, &town.catalog, None, &line.decided.of).expect("a plan");
        let there = explain(&plan, &town.public(), &PARTIES).expect("an explanation");
        assert_eq!((or.rounds, Some(&or.bytes)), (there.rounds(), there.bytes().iter().max()), "{sql}");
        assert_ne!((so.rounds, so.bytes), (or.rounds, or.bytes), "{sql}: another way costs something else");
        assert!(explained.to_string().contains(&format!("    or {}: {} rounds", or.what, or.rounds)), "{explained}");
    }
}
