//! The network that the catalogue declares: by it ways are chosen, and nothing else changes.

use super::pool::{On, Pool};
use super::town::{PARTIES, town_over};
use query::explain::{Explain, explain};

/// A join by keys that both know, groups, an order with a bound, and a window.
const QUESTIONS: [&str; 3] = [
    "SELECT p.pupil, c.weight FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil AND c.name = p.name ORDER BY c.weight, p.pupil LIMIT 5",
    "SELECT m.subject, c.ward, COUNT(*) AS n, MAX(c.weight) AS most FROM school.marks m JOIN clinic.patients c ON c.patient = m.pupil GROUP BY m.subject, c.ward",
    "SELECT p.pupil, RANK() OVER (PARTITION BY p.level ORDER BY c.weight) AS place FROM school.pupils p JOIN clinic.patients c ON c.patient = p.pupil",
];

fn explained(pool: &Pool, sql: &str) -> Explain {
    let plan = pool.plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    explain(&plan, &pool.public(), &PARTIES).unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

#[test]
fn rounds_are_bought_with_bytes_where_the_parties_are_far_apart() {
    let (near, far) = (town_over("round_trip_ms = 0.001\nbandwidth_mbit = 1"), town_over("round_trip_ms = 40"));
    for sql in QUESTIONS {
        for pool in [&near, &far] {
            // the same answer as in clear, at the stated cost
            let checked = pool.check(sql, On::Rep3);
            assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
        }
        let (near, far) = (explained(&near, sql), explained(&far, sql));
        assert_ne!(near.plan, far.plan, "{sql}: the network is a part of what parties agree on");
        assert!(near.to_string().contains("1 Mbit/s from each party, 0.001 ms there and back"), "{near}");
        assert!(far.to_string().contains("1 Gbit/s from each party, 40 ms there and back"), "{far}");
        let taken = |of: &Explain| of.steps.iter().flat_map(|step| &step.choices).map(|c| c.ways[0].what.clone()).collect::<Vec<_>>();
        assert_ne!(taken(&near), taken(&far), "{sql}: other ways");
        assert!(near.rounds() > far.rounds() && near.bytes() < far.bytes(), "{sql}\n{near}\n{far}");
    }
}
