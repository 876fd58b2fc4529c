//! The cost gate as a test, and the closed forms the formulas are quoted by.

use protocols::cost;
use protocols::gate::{Reference, SIZES, gate, uncovered};
use std::path::Path;

/// The independent model's figures, if they are at hand.
fn reference() -> Option<Reference> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/model/costs.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("costs.json is what the model writes")),
        Err(e) => {
            eprintln!("the model's costs are not compared, only our own formulas: {}: {e}", path.display());
            None
        }
    }
}

#[test]
fn every_cost_is_exact() {
    let reference = reference();
    let lines = gate(&SIZES, reference.as_ref());
    let wrong: Vec<_> = lines.iter().filter(|l| !l.ok).collect();
    assert!(wrong.is_empty(), "{} of {} differ, the first: {:#?}", wrong.len(), lines.len(), wrong[0]);
    if let Some(reference) = &reference {
        let uncovered = uncovered(&SIZES, reference, &lines);
        assert!(uncovered.is_empty(), "rows of the model held to nothing: {uncovered:#?}");
        let compared = lines.iter().filter(|l| l.model.is_some()).count();
        eprintln!("{compared} of {} lines compared with the model", lines.len());
    }
}

#[test]
fn closed_forms() {
    let log2 = |k: usize| k.next_power_of_two().ilog2() as u64;
    for k in 1..=128usize {
        let n = k as u64;
        let (rows, rounds) = (64, 1 + log2(k));
        let bits = |c: cost::Cost| (c.bits[0] / rows as u64, c.rounds);
        assert_eq!(bits(cost::equal(rows, k, 0)), (n - 1, log2(k)));
        let less = match k {
            1 => 1,
            _ if k % 2 == 0 => (5 * n - 4 - 2 * log2(k)) / 2,
            _ => (5 * n - 3) / 2 - log2(k + 1),
        };
        assert_eq!(bits(cost::less(rows, k)), (less, rounds), "less, width {k}");
        if k % 2 == 0 {
            assert_eq!(bits(cost::less_and_equal(rows, k)), (less + log2(k), rounds), "less and equal, width {k}");
            assert_eq!(bits(cost::less_public(rows, k)), ((3 * n - 2 - 2 * log2(k)) / 2, log2(k)), "less than public, width {k}");
        }
        if k.is_power_of_two() {
            assert_eq!(bits(cost::adder(rows, k)), (n * log2(k) + 1, rounds), "adder, width {k}");
        }
    }
}

#[test]
fn messages_are_rounded_up_to_bytes_one_by_one() {
    // 3 rows, 5 bits: levels of 2, 1 and 1 ANDs: 6, 3 and 3 bits
    let c = cost::equal(3, 5, 0);
    assert_eq!((c.bits, c.bytes, c.rounds), ([12; 3], [3; 3], 3));
}
