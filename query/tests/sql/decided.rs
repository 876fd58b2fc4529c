//! What EXPLAIN says of how a question is computed, and why so.

use super::town::{PARTIES, town};
use query::explain::explain;

/// Questions, and what is said of each.
const SAID: [(&str, &[&str]); 6] = [
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
];

#[test]
fn explain_says_how_and_why() {
    let town = town();
    let mut missing = Vec::new();
    for (sql, said) in SAID {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let explained = explain(&plan, &town.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}"));
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
