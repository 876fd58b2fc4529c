//! Known answers of an independent model: places of sorts, compaction, groups and a join, row by row.

use super::groups::Grouped;
use super::joins::{Join, LEFT_FLAGS};
use super::order::Sort;
use super::rows::Compaction;
use protocols::relational::{Radix, Tail};
use protocols::world::check;
use serde_json::Value;
use std::path::Path;

/// The model's known answers, if they are at hand.
fn vectors() -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/model/vectors.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("vectors.json is JSON")),
        Err(e) => {
            eprintln!("known answers are not replayed: {}: {e}", path.display());
            None
        }
    }
}

/// Numbers, or hex strings of them.
fn numbers(list: &Value) -> Vec<u64> {
    let number = |v: &Value| v.as_u64().or_else(|| u64::from_str_radix(v.as_str()?, 16).ok()).expect("a number");
    list.as_array().expect("a list").iter().map(number).collect()
}

fn wide(list: &Value) -> Vec<u128> {
    numbers(list).into_iter().map(u128::from).collect()
}

#[test]
fn destinations() {
    let Some(vectors) = vectors() else { return };
    for case in vectors["radix_sort"].as_array().expect("cases") {
        let bits = |field: &str| case[field].as_u64().expect("bits") as usize;
        for moving in [false, true] {
            let sorting = Radix { digit: bits("digit_bits"), moving }.into();
            let (places, _) = check(&Sort { keys: numbers(&case["keys"]), width: bits("key_bits"), sorting });
            assert_eq!(places, wide(&case["destination"]), "{case}");
        }
    }
}

#[test]
fn compaction() {
    let Some(vectors) = vectors() else { return };
    let case = &vectors["relational"]["compaction"];
    let (start, moved, _) = check(&Compaction { flags: numbers(&case["flags"]), open: true });
    let source = numbers(&case["source"]);
    for (start, moved) in start.iter().zip(&moved) {
        assert_eq!(*moved, source.iter().map(|i| start[*i as usize]).collect::<Vec<_>>());
    }
}

#[test]
fn groups() {
    let Some(vectors) = vectors() else { return };
    let case = &vectors["relational"]["group_by"];
    let values = [numbers(&case["values"][0]), numbers(&case["values"][1])];
    let (key, sums, _, _, valid) = check(&Grouped { keys: numbers(&case["keys"]), values, valid: None, tail: Tail::Blank });
    assert_eq!(sums, [wide(&case["sums"][0]), wide(&case["sums"][1])].concat());
    let is_group = numbers(&case["valid"]);
    // the model leaves the keys beyond the groups, which must not be opened
    let expected: Vec<u64> = numbers(&case["group_keys"]).iter().zip(&is_group).map(|(key, valid)| key * valid).collect();
    assert_eq!((key, valid), (expected, Some(is_group)));
}

#[test]
fn joins() {
    let Some(vectors) = vectors() else { return };
    let case = &vectors["relational"]["join"];
    let side = |side: &str, payload: &str| {
        let column = |field: &str| numbers(&case[side][field]);
        column("key").into_iter().zip(column(payload)).zip(column("valid")).map(|((k, p), v)| (k, p, v)).collect()
    };
    let (columns, flags, _, _) = check(&Join { left: side("left", "payload"), right: side("right", "rows"), options: LEFT_FLAGS });
    let expected = |field: &str| numbers(&case["sorted_concatenation"][field]);
    assert_eq!(columns, ["key", "payload", "rows", "inner", "right_outer", "anti_right"].map(expected));
    assert_eq!(flags, ["semi_left", "anti_left"].map(expected));
}
