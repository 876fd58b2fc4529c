//! Questions whose answers differ in too few entities: the second is refused, whoever asks, and after a restart.

use crate::fixture::{Said, Town, said};
use scenarios::Pair;

#[test]
fn two_answers_do_not_differ_in_one_restaurant() {
    let mut town = Town::invented();
    for table in ["health.restaurants", "health.inspections"] {
        town.terms(table, |contract| (contract.entity_key, contract.min_group) = (Some("camis".into()), 10));
    }
    town.up();
    for pair in scenarios::pairs() {
        let first = answered(&town, pair, pair.first);
        match pair.tells {
            true => refused(&town, pair),
            false => assert_ne!(answered(&town, pair, pair.second), first, "{}", pair.id),
        }
        assert_eq!(answered(&town, pair, pair.first), first, "{}: the same question again", pair.id);
    }
    town.city.kill("health");
    town.up();
    for pair in scenarios::pairs().iter().filter(|pair| pair.tells) {
        refused(&town, pair);
        answered(&town, pair, pair.first);
    }
}

fn asked(town: &Town, sql: &str) -> Said {
    let mut command = town.command(&["query", "-", "--format", "csv"]);
    command.write_stdin(sql);
    said(command)
}

fn answered(town: &Town, pair: &Pair, sql: &str) -> String {
    let said = asked(town, sql);
    assert_eq!(said.code, 0, "{}: {}\n{}", pair.id, said.err, town.logs());
    let cells = said.out.lines().skip(1).flat_map(|line| line.split(',')).filter(|cell| !cell.is_empty()).count();
    assert!(cells > 1, "{}: it is not suppressed: {}", pair.id, said.out);
    said.out
}

/// Health says why, and what would be allowed, and nothing of the earlier question.
fn refused(town: &Town, pair: &Pair) {
    let said = asked(town, pair.second);
    assert!(said.code != 0 && said.out.is_empty(), "{}: {}", pair.id, said.out);
    for part in ["E_DIFFERENCE", "`health`", "fewer than 10 different camis of health.", "to mend it"] {
        assert!(said.err.contains(part), "{}: {part} in {}\n{}", pair.id, said.err, town.logs());
    }
    assert!(!said.err.contains("30076500"), "{}", said.err);
}
