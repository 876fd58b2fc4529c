//! The cost gate as a test, and the closed forms the formulas are quoted by.

use mpc_core::{Column, Fp61, Fp127, Layout, Z64};
use protocols::circuit::DatePart;
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
fn documented_figures() {
    let bits = |c: cost::Cost| (c.bits.map(|bits| bits / 64), c.rounds);
    assert_eq!(bits(cost::field_bits::<Fp61>(64, 61)), ([472; 3], 9));
    assert_eq!(bits(cost::is_negative::<Fp61>(64)), ([176, 146, 146], 8));
    assert_eq!(bits(cost::is_zero::<Fp61>(64)), ([121, 60, 60], 7));
    assert_eq!(bits(cost::is_negative::<Z64>(64)), ([182, 150, 150], 8));
    assert_eq!(bits(cost::near_quotient::<Fp127>(Layout::new(64, 1))), ([254, 127, 127], 2));
    assert_eq!(bits(cost::negate_if(64, 64)), ([192; 3], 6));
    assert_eq!(bits(cost::between(64, 64)), ([305; 3], 8));
    assert_eq!(bits(cost::case(64, 64, 8)), ([76; 3], 4));
    let twenty_years = 10_957..=18_261;
    let date = |part| bits(cost::date_part(64, 32, &twenty_years, part));
    assert_eq!(date(DatePart::Year), ([136; 3], 4));
    assert_eq!(date(DatePart::Month), ([220; 3], 13));
    assert_eq!(date(DatePart::Day), ([231; 3], 17));
    assert_eq!(date(DatePart::DayOfQuarter), ([208; 3], 17));
    assert_eq!(date(DatePart::DayOfYear), ([163; 3], 9));
    assert_eq!(date(DatePart::Later(1)), ([223; 3], 17));
    // one constant costs what a comparison with it costs, or less
    for width in 1..=64 {
        let one = Column::from_ints(&[0x5A5A_5A5A_5A5A_5A5Bi128 | 1 << (width - 1)], width);
        assert_eq!(cost::is_in(64, &one), cost::equal(64, width, 0), "width {width}");
        let (list, single) = (cost::at_least(64, &one), cost::less_public(64, width));
        assert!(list.bits[0] <= single.bits[0] && list.rounds == single.rounds, "width {width}: {list:?} {single:?}");
    }
}

#[test]
fn messages_are_rounded_up_to_bytes_one_by_one() {
    // 3 rows, 5 bits: levels of 2, 1 and 1 ANDs: 6, 3 and 3 bits
    let c = cost::equal(3, 5, 0);
    assert_eq!((c.bits, c.bytes, c.rounds), ([12; 3], [3; 3], 3));
}
