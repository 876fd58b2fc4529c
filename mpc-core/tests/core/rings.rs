//! Rings against integer arithmetic, and against the known answers of an independent model.

use mpc_core::{B64, Fp31, Fp61, Fp127, Index, Ring, Row8, Row32, Row64, Z64};
use proptest::prelude::*;
use std::path::Path;

/// Product of two integers below 2^128 mod m, by doubling; m < 2^127.
fn mul_mod(mut a: u128, mut b: u128, m: u128) -> u128 {
    let mut r = 0;
    a %= m;
    while b > 0 {
        if b & 1 == 1 {
            r = (r + a) % m;
        }
        a = (a + a) % m;
        b >>= 1;
    }
    r
}

/// Every operation of R on a and b against arithmetic mod `m`.
fn agrees<R: Ring>(a: u128, b: u128, m: u128) {
    let (x, y) = (R::from_bits(a % m).unwrap(), R::from_bits(b % m).unwrap());
    let (a, b) = (a % m, b % m);
    let is = |v: R, truth: u128| assert_eq!(v.to_bits(), truth, "a = {a}, b = {b}");
    is(x, a);
    is(x.add(y), (a + b) % m);
    is(x.sub(y), (a + m - b) % m);
    is(x.mul(y), mul_mod(a, b, m));
    is(R::ZERO, 0);
    is(x.mul(R::ONE), a);
    // (x, y) and (y, x) as components: x y + x x + y y
    let cross = (mul_mod(a, b, m) + mul_mod(a, a, m)) % m;
    is(R::cross((x, y), (y, x)), (cross + mul_mod(b, b, m)) % m);
    let masked = R::masked_cross((x, y), (y, x), x, y);
    is(masked, ((cross + mul_mod(b, b, m)) % m + (a + m - b) % m) % m);
    assert!(R::from_bits(m).is_none() || m.count_ones() != 1, "2^w is not an element of Z_2^w");
}

fn edges(m: u128) -> Vec<u128> {
    let half = 1 << (m.ilog2() / 2);
    vec![0, 1, 2, m - 1, m - 2, m / 2, m / 2 + 1, half, half - 1, 1 << m.ilog2() & (m - 1), (1 << m.ilog2()) - 1]
}

fn on_edges<R: Ring>(m: u128) {
    for a in edges(m) {
        for b in edges(m) {
            agrees::<R>(a, b, m);
        }
    }
}

const P127: u128 = (1 << 127) - 1;

#[test]
fn edges_of_every_ring() {
    on_edges::<Fp61>((1 << 61) - 1);
    on_edges::<Fp31>((1 << 31) - 1);
    on_edges::<Z64>(1 << 64);
    on_edges::<Index>(1 << 32);
    // sums of two elements of Fp127 fit u128, products are checked by doubling
    let e = edges(P127);
    e.iter().for_each(|a| e.iter().for_each(|b| agrees::<Fp127>(*a, *b, P127)));
}

proptest! {
    #[test]
    fn random_elements(a in any::<u128>(), b in any::<u128>()) {
        agrees::<Fp61>(a, b, (1 << 61) - 1);
        agrees::<Fp31>(a, b, (1 << 31) - 1);
        agrees::<Z64>(a, b, 1 << 64);
        agrees::<Index>(a, b, 1 << 32);
        agrees::<Fp127>(a, b, P127);
    }

    #[test]
    fn signed_values_return(v in -(1i64 << 60) + 1..1i64 << 60, w in -(1i128 << 126) + 1..1i128 << 126) {
        assert_eq!(Fp61::from_i128(v.into()).centered(), v);
        assert_eq!(Fp127::from_i128(w).centered(), w);
        assert_eq!(Fp61::from_i128(w).get() as i128, w.rem_euclid((1 << 61) - 1));
    }

    #[test]
    fn any_signed_value_is_reduced(v in any::<i128>()) {
        for v in [v, v >> 60, v >> 66, i128::MIN, i128::MAX, 0, -1] {
            assert_eq!(Fp61::from_i128(v).get() as i128, v.rem_euclid((1 << 61) - 1));
            assert_eq!(Fp127::from_i128(v).get() as i128, v.rem_euclid(i128::MAX));
        }
    }

    #[test]
    fn only_canonical_bits_are_elements(v in any::<u128>()) {
        assert_eq!(Fp61::from_bits(v).is_some(), v < (1 << 61) - 1);
        assert_eq!(Fp31::from_bits(v >> 96).is_some(), v >> 96 < (1 << 31) - 1);
        assert_eq!(Index::from_bits(v >> 90).is_some(), v >> 90 < 1 << 32);
        assert_eq!(Fp127::from_bits(v).is_some(), v < P127);
    }

    #[test]
    fn words_of_bits(a in any::<u64>(), b in any::<u64>(), row in 0usize..64) {
        assert_eq!(B64(a).add(B64(b)).0, a ^ b);
        assert_eq!(B64(a).sub(B64(b)).0, a ^ b);
        assert_eq!(B64(a).mul(B64(b)).0, a & b);
        assert_eq!(B64(a).row(row).0, a >> row & 1);
        assert_eq!(B64(a & 1).at_row(row).0, (a & 1) << row);
        assert_eq!(B64(a).first_rows(row + 1).0, a << (63 - row) >> (63 - row));
        assert_eq!(B64(a).sum_rows().0, u64::from(a.count_ones() & 1));
    }
}

proptest! {
    /// Arithmetic mod 2^32 is arithmetic mod 2^w in the low w bits.
    #[test]
    fn narrow_indices(a in any::<u32>(), b in any::<u32>(), w in 1u32..=32) {
        let low = |v: u64| v & ((1 << w) - 1);
        let (x, y) = (Index(a).low_bits(w), Index(b).low_bits(w));
        for (full, narrow, truth) in [
            (Index(a).add(Index(b)), x.add(y), a as u64 + b as u64),
            (Index(a).sub(Index(b)), x.sub(y), (a as u64).wrapping_sub(b as u64)),
            (Index(a).mul(Index(b)), x.mul(y), a as u64 * b as u64),
        ] {
            prop_assert_eq!(u64::from(full.low_bits(w).0), low(truth));
            prop_assert!(full.low_bits(w) == narrow.low_bits(w));
        }
    }

    #[test]
    fn rows_of_bits(a in any::<u64>(), b in any::<u64>(), w in 1u32..=64) {
        prop_assert_eq!((Row64(a).add(Row64(b)).0, Row64(a).sub(Row64(b)).0, Row64(a).mul(Row64(b)).0), (a ^ b, a ^ b, a & b));
        prop_assert_eq!(Row64(a).low_bits(w).0, a << (64 - w) >> (64 - w));
        prop_assert!(Row8::sample(&a.to_le_bytes()) == Some(Row8(a as u8)) && Row32::sample(&a.to_le_bytes()) == Some(Row32(a as u32)));
        prop_assert_eq!(Row8::from_bits(a.into()).is_some(), a < 256);
    }

    #[test]
    fn prefix_sums_of_a_word(a in any::<u64>(), before in any::<bool>()) {
        let (sums, after) = B64(a).running(if before { B64::ONE } else { B64::ZERO });
        let mut parity = before;
        for row in 0..64 {
            parity ^= a >> row & 1 == 1;
            prop_assert_eq!(sums.0 >> row & 1 == 1, parity);
        }
        let expected = if parity { B64::ONE } else { B64::ZERO };
        prop_assert!(after == expected);
    }
}

#[test]
fn centred_boundaries() {
    assert_eq!(Fp61::new(Fp61::P / 2).centered(), (Fp61::P / 2) as i64);
    assert_eq!(Fp61::new(Fp61::P / 2 + 1).centered(), -((Fp61::P / 2) as i64));
    assert_eq!(Fp127::new(Fp127::P / 2 + 1).centered(), -((Fp127::P / 2) as i128));
    assert_eq!((Fp61::new(u64::MAX).get(), Fp31::new(u64::MAX).get()), (7, 3));
    assert_eq!(Fp127::new(u128::MAX).get(), 1);
}

#[test]
fn rejected_samples_are_exactly_the_modulus() {
    assert!(Fp61::sample(&u64::MAX.to_le_bytes()).is_none() && Fp61::sample(&Fp61::P.to_le_bytes()).is_none());
    assert!(Fp61::sample(&(Fp61::P - 1).to_le_bytes()).is_some_and(|v| v.get() == Fp61::P - 1));
    assert!(Fp31::sample(&u32::MAX.to_le_bytes()).is_none());
    assert!(Fp127::sample(&u128::MAX.to_le_bytes()).is_none());
    assert!(Z64::sample(&u64::MAX.to_le_bytes()).is_some() && Index::sample(&u32::MAX.to_le_bytes()).is_some_and(|v| v.0 == u32::MAX));
}

#[test]
fn known_answers_of_the_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/model/vectors.json");
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("known answers are not compared: {} is not there", path.display());
        return;
    };
    let vectors: serde_json::Value = serde_json::from_slice(&bytes).expect("vectors.json is JSON");
    fn compare<R: Ring>(cases: &serde_json::Value) -> usize {
        let cases = cases.as_array().expect("a list of cases");
        for case in cases {
            let get = |f: &str| case[f].as_str().map(|s| R::from_bits(u128::from_str_radix(s, 16).expect("hex")).expect("an element"));
            let a = get("a").expect("every case has a");
            if let Some(inverse) = get("inv") {
                assert!(a.mul(inverse) == R::ONE, "{case}");
                continue;
            }
            let b = get("b").expect("a pair");
            for (name, value) in [("add", a.add(b)), ("sub", a.sub(b)), ("mul", a.mul(b))] {
                assert!(Some(value) == get(name), "{name}: {case}");
            }
        }
        cases.len()
    }
    assert!(compare::<Fp61>(&vectors["fp61"]) > 100 && compare::<Fp31>(&vectors["fp31"]) > 100);
}
