//! What EXPLAIN says of why a step has no other way.

use super::town::{PARTIES, town};
use query::explain::explain;

/// Questions, and why rows are sorted on shares.
const SAID: [(&str, &[&str]); 10] = [
    // what is no gate
    (
        "SELECT p.ward, COUNT(*) AS n FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil GROUP BY p.ward \
         HAVING SUM(c.weight) / NULLIF(SUM(p.points), 0) > 0.5",
        &[
            "shows nothing of single rows; a quotient of ",
            " bits by ",
            ": a reciprocal by multiplications in F(2^",
            "; digit by digit, each bit of a quotient ",
        ],
    ),
    (
        "SELECT EXTRACT(YEAR FROM GREATEST(p.born, c.since)) AS y, COUNT(*) AS n FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil GROUP BY 1",
        &["; a part of a date: compared with the public days on which years and months begin"],
    ),
    // an order of several owners
    (
        "SELECT p.pupil, RANK() OVER (ORDER BY p.points + c.weight) AS r FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil",
        &["window: sorted by partition and order; no owner sorts the rows, because ", ", whose rows they are, does not know "],
    ),
    // rows that a secret bit drops
    (
        "SELECT x.subject, COUNT(*) AS n FROM (SELECT m.subject, ROW_NUMBER() OVER (PARTITION BY m.subject ORDER BY m.mark) AS r FROM school.marks m \
         JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured) x WHERE x.r <= 2 GROUP BY x.subject",
        &["no owner sorts the rows, because a secret bit may have dropped some of the rows, which whoever knows how ties stand could tell"],
    ),
    (
        "SELECT SUM(x.mark) AS s FROM (SELECT m.mark FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured ORDER BY m.mark LIMIT 4) x",
        &["sorted; cut; no owner sorts the rows, because a secret bit may have dropped some of the rows"],
    ),
    // rows of several owners
    (
        "SELECT COUNT(DISTINCT x.name) AS n FROM (SELECT name FROM school.pupils UNION ALL SELECT name FROM clinic.patients) x",
        &["no owner sorts the rows, because the rows are those of several relations, whose places no owner knows"],
    ),
    // pairs
    (
        "SELECT MAX(x.r) AS r FROM (SELECT RANK() OVER (ORDER BY m.mark) AS r, v.cost FROM school.marks m JOIN clinic.visits v ON v.patient = m.pupil) x WHERE x.cost > 9",
        &["because the rows are pairs, whose places no owner knows"],
    ),
    // groups of rows of several owners
    (
        "SELECT t.tenant, g.n FROM housing.tenants t JOIN (SELECT m.pupil, MAX(c.weight) AS n FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil \
         WHERE c.insured GROUP BY m.pupil) g ON g.pupil = t.tenant",
        &[
            "join: the keys of both sides in one order; neighbours are compared, and what is found goes back; no owner asks another, because on the side ",
        ],
    ),
    (
        "SELECT m.day, c.ward, MAX(p.points) AS most FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil \
         JOIN school.pupils p ON p.pupil = m.pupil WHERE c.weight > p.points GROUP BY m.day, c.ward",
        &[
            "; not by masks, because a fold is over rows side by side; no owner sorts the rows, because school, whose rows they are, does not know ",
        ],
    ),
    (
        "SELECT m.day, c.weight, COUNT(*) AS n FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil GROUP BY m.day, c.weight",
        &[
            "; not by masks, because the keys allow more than 64 tuples; no owner sorts the rows, because school, whose rows they are, does not know ",
        ],
    ),
];

#[test]
fn explain_says_why_there_is_no_other_way() {
    let town = town();
    let mut missing = Vec::new();
    for (sql, said) in SAID {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let text = explain(&plan, &town.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}")).to_string();
        let lacks: Vec<&str> = said.iter().copied().filter(|words| !text.contains(words)).collect();
        if !lacks.is_empty() {
            missing.push(format!("{lacks:#?} in\n{sql}\n{text}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}
