//! Orders, partitions and groups by one owner's columns: nothing is sorted on shares.

use super::pool::On;
use super::town::{PARTIES, town, town_over};
use query::explain::explain;

/// All by the columns of one owner, the school, over what another has.
const KNOWN: [&str; 12] = [
    "SELECT p.pupil, SUM(c.weight) OVER (PARTITION BY p.ward ORDER BY p.pupil) AS s FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil",
    "SELECT p.pupil, LAG(c.weight) OVER (ORDER BY p.points DESC NULLS LAST, p.pupil) AS w FROM school.pupils p \
     LEFT JOIN clinic.patients c ON c.patient = p.pupil",
    // rows that a secret bit drops
    "SELECT m.subject, m.mark, RANK() OVER (PARTITION BY m.subject ORDER BY m.mark DESC) AS r, SUM(c.weight) OVER (PARTITION BY m.subject ORDER BY m.mark DESC) AS s, \
     c.blood FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured",
    // the first rows, where none is dropped
    "SELECT p.pupil, c.weight FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil ORDER BY p.points DESC NULLS LAST, p.pupil LIMIT 5",
    // and where some are, but none are equal in the order
    "SELECT p.pupil, c.weight FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil WHERE c.insured IS NOT FALSE \
     ORDER BY p.points DESC NULLS LAST, p.pupil LIMIT 5",
    // folds over an order
    "SELECT m.subject, MIN(m.day) AS d, MAX(m.mark) AS best, COUNT(DISTINCT m.mark) AS marks, SUM(c.weight) AS w FROM school.marks m \
     JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured OR c.weight > 40 GROUP BY m.subject",
    "SELECT p.name, MAX(p.points) AS most, COUNT(c.weight) AS n FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil GROUP BY p.name",
    // none of the rows is left
    "SELECT m.subject, COUNT(DISTINCT m.mark) AS marks, COUNT(*) AS n FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.weight > 199 GROUP BY m.subject",
    // one order after another
    "SELECT m.pupil, SUM(c.weight) OVER (PARTITION BY m.pupil) AS s, MAX(m.mark) OVER (PARTITION BY m.pupil) AS best, \
     COUNT(DISTINCT m.subject) OVER (PARTITION BY m.pupil) AS n FROM school.marks m LEFT JOIN clinic.patients c ON c.patient = m.pupil",
    "SELECT m.pupil, m.day, SUM(c.weight) OVER (PARTITION BY m.pupil ORDER BY m.day, m.subject) AS s, MAX(m.mark) OVER (PARTITION BY m.pupil) AS best, \
     RANK() OVER (ORDER BY m.mark) AS r FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured",
    "SELECT p.pupil, SUM(c.weight) OVER (PARTITION BY p.ward) AS s FROM school.pupils p LEFT JOIN clinic.patients c ON c.patient = p.pupil \
     ORDER BY p.points DESC NULLS LAST, p.pupil LIMIT 4",
    // of all
    "SELECT COUNT(DISTINCT m.mark) AS marks, MEDIAN(m.mark) AS m, SUM(c.weight) AS w FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured",
];

/// Of the columns of one owner, too, but rows that are equal in them may have been dropped, and it is seen how they stand.
const TIED: [&str; 4] = [
    "SELECT x.subject, COUNT(*) AS n FROM (SELECT m.subject, ROW_NUMBER() OVER (PARTITION BY m.subject ORDER BY m.mark) AS r FROM school.marks m \
     JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured) x WHERE x.r <= 2 GROUP BY x.subject",
    "SELECT MAX(x.n) AS n FROM (SELECT SUM(m.mark) OVER (ORDER BY m.mark ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n FROM school.marks m \
     JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured) x",
    "SELECT x.tile, COUNT(*) AS n, MIN(x.mark) AS least FROM (SELECT m.mark, NTILE(3) OVER (ORDER BY m.mark) AS tile FROM school.marks m \
     JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured) x GROUP BY x.tile",
    "SELECT SUM(x.mark) AS s FROM (SELECT m.mark FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil WHERE c.insured ORDER BY m.mark LIMIT 4) x",
];

/// None is dropped, and their owner breaks ties at random.
const TIED_AT_HOME: [&str; 2] = [
    "SELECT MAX(x.mark - x.before) AS most, MAX(x.weight) AS w FROM (SELECT m.mark, c.weight, LAG(m.mark) OVER (ORDER BY m.mark) AS before \
     FROM school.marks m LEFT JOIN clinic.patients c ON c.patient = m.pupil) x",
    "SELECT x.mark, MAX(x.r) AS r, MAX(x.weight) AS w FROM (SELECT m.mark, c.weight, ROW_NUMBER() OVER (ORDER BY m.mark DESC) AS r FROM school.marks m \
     LEFT JOIN clinic.patients c ON c.patient = m.pupil) x GROUP BY x.mark",
];

#[test]
fn how_peers_stand_is_known_to_nobody_where_rows_may_have_been_dropped() {
    let town = town();
    let shuffled = "shuffled, so that ties are broken at random, ";
    let all = TIED.map(|sql| (sql, shuffled)).into_iter().chain(TIED_AT_HOME.map(|sql| (sql, "who breaks ties at random")));
    for (sql, said) in all {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let text = explain(&plan, &town.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}")).to_string();
        assert!(text.contains(said), "{sql}\n{text}");
        let checked = town.check(sql, On::Rep3);
        assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
    }
}

#[test]
fn what_one_owner_orders_by_is_sorted_at_home() {
    // where bytes count: a few rows are compared with one another in fewer rounds
    let town = town_over("round_trip_ms = 0.001\nbandwidth_mbit = 1");
    let mut failures = Vec::new();
    for sql in KNOWN {
        let plan = town.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let text = explain(&plan, &town.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}")).to_string();
        if !text.contains("sorted at home by school") || text.contains("sort of") || text.contains("sorts of") {
            failures.push(format!("{sql}\n{text}"));
        }
        match town.check(sql, On::Rep3) {
            Ok(None) => {}
            Ok(Some(refused)) => failures.push(format!("{sql}\n{refused:?}")),
            Err(failed) => failures.push(format!("{sql}\n{failed}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
