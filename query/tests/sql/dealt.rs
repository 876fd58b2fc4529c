//! What owners deal is the same whenever they have the same rows: in whatever order these stand, and whatever memory there is.

use super::pool::NoAnswer;
use super::slt::files;
use super::town::{PARTIES, town, town_stirred, town_that_tells};
use query::plan::Plan;
use sqllogictest::{DefaultColumnType, Record, parse_file};

#[test]
fn the_same_rows_are_dealt_alike() {
    let (town, stirred) = (town(), town_stirred());
    let (mut bound, mut others) = (0, 0);
    for file in files() {
        for record in parse_file::<DefaultColumnType>(&file).unwrap_or_else(|e| panic!("{e}")) {
            let Record::Query { sql, .. } = &record else { continue };
            let one = match town.dealt(sql, 1 << 30) {
                Ok(one) => one,
                Err(NoAnswer::Refused(_)) => continue,
                Err(NoAnswer::Failed(what)) => panic!("{sql}\n{what}"),
            };
            let other = stirred.dealt(sql, 16 << 20).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            for (party, dealt) in one.iter().filter(|(_, dealt)| dealt.is_some()) {
                assert_eq!(other[party], *dealt, "{party}: {sql}");
            }
            bound += one.values().flatten().count();
            others += one.values().filter(|dealt| dealt.is_none()).count();
        }
    }
    // What is not bound is not checked: a change that leaves more out is seen here.
    assert!(bound >= 2 * others, "{bound} parts are bound, {others} are not");
}

/// An owner whose rows stay deals as before, whatever numbers of rows the others tell, on which the plan is then laid out.
#[test]
fn what_others_tell_of_their_rows_changes_nothing_of_what_is_dealt() {
    let all = town_that_tells(None);
    let of = PARTIES.map(|owner| (owner, town_that_tells(Some(owner))));
    let (mut bound, mut laid_out) = (0, 0);
    for file in files() {
        for record in parse_file::<DefaultColumnType>(&file).unwrap_or_else(|e| panic!("{e}")) {
            let Record::Query { sql, .. } = &record else { continue };
            let plan = match all.plan(sql) {
                Ok(plan) if plan.disclosing().next().is_some() => plan,
                Ok(_) | Err(NoAnswer::Refused(_)) => continue,
                Err(NoAnswer::Failed(what)) => panic!("{sql}\n{what}"),
            };
            let dealt = all.dealt(sql, 1 << 28).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            let places = |plan: &Plan| plan.relations.iter().map(|relation| relation.places).collect::<Vec<_>>();
            let sized = places(&all.sized(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}")));
            for (owner, fewer) in &of {
                let Some(Some(before)) = dealt.get(owner) else { continue };
                let after = fewer.dealt(sql, 1 << 28).unwrap_or_else(|e| panic!("{sql}\n{e}"));
                assert_eq!(after[owner].as_ref(), Some(before), "{owner}: {sql}");
                bound += 1;
                laid_out += usize::from(places(&fewer.sized(&plan).unwrap_or_else(|e| panic!("{sql}\n{e}"))) != sized);
            }
        }
    }
    assert!(laid_out > 100 && bound > laid_out, "{laid_out} of {bound} parts are bound in plans that are laid out otherwise");
}

#[test]
fn what_need_not_be_the_same_twice_is_not_bound() {
    for clinic in [
        "(SELECT patient FROM clinic.visits LIMIT 3)",
        "(SELECT patient, ROW_NUMBER() OVER (ORDER BY ward) AS r FROM clinic.visits)",
        "(SELECT DISTINCT ON (ward) patient FROM clinic.visits ORDER BY ward)",
    ] {
        let sql = format!("SELECT COUNT(*) AS n FROM school.pupils p JOIN {clinic} v ON v.patient = p.pupil");
        match town().dealt(&sql, 1 << 28) {
            Ok(dealt) => assert!(dealt.get("clinic").is_none_or(Option::is_none), "{sql}"),
            // Not all of these are answered at all.
            Err(NoAnswer::Refused(_)) => {}
            Err(NoAnswer::Failed(what)) => panic!("{sql}\n{what}"),
        }
    }
}

#[test]
fn a_part_is_its_owners_and_of_what_it_does_at_home() {
    let shapes = [
        "SELECT COUNT(*) AS n FROM {p} JOIN {c} ON p.points > c.weight AND p.ward = c.ward",
        "SELECT SUM(p.points * c.weight) AS s FROM {p} JOIN {c} ON c.ward = p.ward",
        "SELECT p.ward, COUNT(*) AS n, SUM(c.weight) AS s FROM {p} JOIN {c} ON c.ward = p.ward GROUP BY p.ward",
        "SELECT ward, COUNT(*) AS n FROM (SELECT ward FROM {p} UNION ALL SELECT ward FROM {c}) u GROUP BY ward",
    ];
    let mut both = 0;
    for shape in shapes {
        let part = |pupils: &str, patients: &str| {
            let from = |sql: &str, alias: &str, table: &str| sql.replace(&format!("{{{alias}}}"), &format!("({table}) {alias}"));
            let sql = from(shape, "p", &format!("SELECT ward, points FROM school.pupils WHERE {pupils}"));
            let sql = from(&sql, "c", &format!("SELECT ward, weight FROM clinic.patients WHERE {patients}"));
            let dealt = town().dealt(&sql, 1 << 28).unwrap_or_else(|e| panic!("{sql}\n{e}"));
            ["school", "clinic"].map(|owner| dealt.get(owner).copied().flatten().map(|[part, _]| part))
        };
        let (one, others, own) = (part("pupil > 3", "patient > 5"), part("pupil > 3", "patient > 6"), part("pupil > 4", "patient > 5"));
        if one.iter().all(Option::is_some) {
            both += 1;
            assert!(one[0] == others[0] && one[1] != others[1], "what the others do at home is theirs: {shape}");
            assert!(one[0] != own[0] && one[1] == own[1], "{shape}");
        }
    }
    assert!(both > 0, "of some questions both parts are bound");
}
