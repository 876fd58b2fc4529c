//! A plan with other ways to find equal keys than those the cost model chose.

use super::pool::On;
use super::town::town;
use query::exec::Program;
use query::ground::Ground;
use query::plan::Plan;
use query::plan::relation::{Operator, Search};

/// The plan as it is, and those that sort, or ask, in every look-up that can; each once.
pub fn all(plan: &Plan, ground: &Ground) -> Vec<Plan> {
    let mut plans = vec![plan.clone()];
    for search in [Search::Sort, Search::Ask] {
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
