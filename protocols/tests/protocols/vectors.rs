//! Known answers of an independent model, replayed through our parties: the model's component values and key values go in, its messages
//! and components must come out.

use mpc_core::world::{Script, World};
use mpc_core::{B64, Column, Fp31, Fp61, Index, Layout, PartyId, Ring, Z64};
use protocols::world::{Protocol, check};
use protocols::{Abort, Engine, Input, Rep3, Rep3Share, circuit};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The model's known answers, if they are at hand.
fn vectors(section: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/model/vectors.json");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let all: Value = serde_json::from_slice(&bytes).expect("vectors.json is JSON");
            Some(all[section].as_array().expect("a list of cases").clone())
        }
        Err(e) => {
            eprintln!("known answers for {section} are not replayed: {}: {e}", path.display());
            None
        }
    }
}

fn hex(v: &Value) -> u128 {
    u128::from_str_radix(v.as_str().expect("elements are hex strings"), 16).expect("hex")
}

fn hexes(v: &Value) -> Vec<u128> {
    v.as_array().expect("a list").iter().map(hex).collect()
}

/// The edge of key k_i: P_{i-1} and P_i.
fn key_of(edge: (PartyId, PartyId)) -> usize {
    match edge {
        (PartyId(0), PartyId(2)) => 0,
        (PartyId(0), PartyId(1)) => 1,
        (PartyId(1), PartyId(2)) => 2,
        other => unreachable!("no such edge: {other:?}"),
    }
}

// ------------------------------------------------------------ products

/// Elements as the model lists them, one a value: `pack` makes our column of them and `unpack` lists it again.
struct Form<R: Ring> {
    pack: fn(&[u128]) -> Column<R>,
    unpack: fn(&Column<R>) -> Vec<u128>,
}

fn products<R: Ring>(case: &Value, form: &Form<R>) {
    let components =
        |name: &str| -> Vec<Column<R>> { case[name].as_array().expect("three").iter().map(|c| (form.pack)(&hexes(c))).collect() };
    let (x, y, keys) = (components("x_components"), components("y_components"), components("prss"));
    let keys: Vec<Vec<u128>> = keys.iter().map(|k| k.as_slice().iter().map(|v| v.to_bits()).collect()).collect();
    let script: Script = Arc::new(move |edge, _, at, _| keys[key_of(edge)][at]);
    let outcomes = World::new(3, 0).script(script).run_ok(|session| {
        let i = session.me().index();
        let share = |c: &[Column<R>]| Rep3Share::from_components(c[i].clone(), c[(i + 1) % 3].clone());
        let mut e = Rep3::new(session);
        let z = e.mul(&share(&x), &share(&y))?;
        let opened = e.verify(z.clone())?;
        Ok((z, e.open(&opened)?))
    });
    let expected: Vec<Vec<u128>> = case["product_components"].as_array().expect("three").iter().map(hexes).collect();
    for (i, ((z, value), _)) in outcomes.iter().enumerate() {
        assert_eq!((form.unpack)(z.first()), expected[i], "component {i} at P_{i}: {case}");
        assert_eq!((form.unpack)(z.second()), expected[(i + 1) % 3], "component {} at P_{i}: {case}", (i + 1) % 3);
        assert_eq!((form.unpack)(value), hexes(&case["product"]), "{case}");
    }
}

/// One element a value.
fn rows<R: Ring>() -> Form<R> {
    Form {
        pack: |values| Column::from_rows(values.iter().map(|v| R::from_bits(*v).expect("an element")).collect()),
        unpack: |c| c.as_slice().iter().map(|v| v.to_bits()).collect(),
    }
}

#[test]
fn product_components() {
    for case in vectors("sharing").unwrap_or_default() {
        match case["ring"].as_str().expect("a name") {
            "Z2" => {
                let pack = |values: &[u128]| Column::from_bools(&values.iter().map(|v| *v == 1).collect::<Vec<_>>());
                products(&case, &Form { pack, unpack: |c| c.to_uints() });
            }
            "Z2^64 xor" => products(&case, &rows::<B64>()),
            "Z_2^20" => {
                let pack = |values: &[u128]| Column::from_indices(values.iter().map(|v| *v as u32), 20);
                products(&case, &Form { pack, unpack: |c| c.as_slice().iter().map(|v| v.low_bits(20).to_bits()).collect() });
            }
            "Z_2^64" => products(&case, &rows::<Z64>()),
            "Fp61" => products(&case, &rows::<Fp61>()),
            "Fp31" => products(&case, &rows::<Fp31>()),
            other => panic!("a ring we do not have: {other}"),
        }
    }
}

// ------------------------------------------------------------ bits to rings

fn conversion<R: Ring>(case: &Value, layout: Layout) {
    let bits: Vec<Column<B64>> = case["bit_components"].as_array().expect("three").iter().map(|b| Column::from_bools(&[b == 1])).collect();
    let [a1, p0, p1] = ["prss_a1", "prss_p0", "prss_p1"].map(|k| hex(&case[k]));
    // the first step masks the input, the second the product
    let script: Script = Arc::new(move |edge, step, _, _| match (key_of(edge), step.number()) {
        (1, 1) => a1,
        (0, 2) => p0,
        (1, 2) => p1,
        other => panic!("no randomness is drawn at {other:?}"),
    });
    let outcomes = World::new(3, 0).script(script).run(|session| {
        let i = session.me().index();
        let b = Rep3Share::from_components(bits[i].clone(), bits[(i + 1) % 3].clone());
        Rep3::new(session).bits_as::<R>(&b, layout)
    });
    let expected = hexes(&case["result_components"]);
    let low = |c: &Column<R>| c.as_slice()[0].low_bits(layout.width::<R>()).to_bits();
    for (i, outcome) in outcomes.iter().enumerate() {
        let share = outcome.result.as_ref().expect("it runs");
        assert_eq!(low(share.first()), expected[i], "component {i} at P_{i}: {case}");
        assert_eq!(low(share.second()), expected[(i + 1) % 3], "component {} at P_{i}: {case}", (i + 1) % 3);
    }
    let received = |p: usize| -> Vec<(u8, u128)> {
        let view = outcomes[p].view.lock().expect("not poisoned");
        let element = |payload: &[u8]| Column::<R>::decode(payload, layout).expect("an element").as_slice()[0].to_bits();
        view.iter().map(|(from, _, payload)| (from.0, element(payload))).collect()
    };
    assert_eq!(received(0), []);
    assert_eq!(received(1), [(2, hex(&case["msg_p2_to_p1"]))]);
    assert_eq!(received(2), [(0, hex(&case["msg_p0_to_p2"])), (1, hex(&case["msg_p1_to_p2"]))]);
}

#[test]
fn bit_conversion_messages_and_components() {
    for case in vectors("b2a").unwrap_or_default() {
        match case["ring"].as_str().expect("a name") {
            "Z_2^20" => conversion::<Index>(&case, Layout::narrow(1, 1, 20)),
            "Fp61" => conversion::<Fp61>(&case, Layout::new(1, 1)),
            "Fp31" => conversion::<Fp31>(&case, Layout::new(1, 1)),
            other => panic!("a ring we do not have: {other}"),
        }
    }
}

// ------------------------------------------------------------ comparisons

struct Comparison {
    width: usize,
    a: Vec<i128>,
    b: Vec<i128>,
}

impl Protocol for Comparison {
    type Output = [Vec<bool>; 5];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (a, b) = (Column::from_ints(&self.a, self.width), Column::from_ints(&self.b, self.width));
        let input = |p: u8, c| Input::new(PartyId(p), Layout::new(self.a.len(), self.width), e.holds(PartyId(p)).then_some(c));
        let inputs = [input(0, &a), input(1, &b)];
        let [x, y] = &e.input(&inputs)?[..] else { unreachable!() };
        let (less, equal) = circuit::less_and_equal(e, x, y)?;
        let results = [circuit::less(e, x, y)?, less, equal, circuit::less_signed(e, x, y)?, circuit::less_public(e, x, &b)?];
        let mut opened = Vec::new();
        for r in results {
            let r = e.verify(r)?;
            opened.push(e.open(&r)?.to_bools(0));
        }
        Ok(opened.try_into().expect("five results"))
    }
}

#[test]
fn comparisons() {
    for case in vectors("comparison").unwrap_or_default() {
        let ints = |f: &str| hexes(&case[f]).into_iter().map(|v| v as i128).collect();
        let width = case["width"].as_u64().expect("a width") as usize;
        let [less, both_less, equal, signed, public] = check(&Comparison { width, a: ints("a"), b: ints("b") });
        let expected = |f: &str| case[f].as_array().expect("a list").iter().map(|b| b == 1).collect::<Vec<bool>>();
        assert_eq!([&less, &both_less, &public], [&expected("lt"); 3], "width {width}");
        assert_eq!(equal, expected("eq"), "width {width}");
        assert_eq!(signed, expected("lt_signed"), "width {width}");
    }
}

// ------------------------------------------------------------ words to bits

/// The model's components of words, added up by its carry-save adder there, by a two-holder product here.
#[test]
fn words_to_bits() {
    for case in vectors("carry_save").unwrap_or_default().into_iter().filter(|case| case["width"] == 64) {
        let components: Vec<Z64> = hexes(&case["components"]).into_iter().map(|v| Z64(v as u64)).collect();
        let outcomes = World::new(3, 5).run_ok(|session| {
            let i = session.me().index();
            let column = |c: usize| Column::from_rows(vec![components[c % 3]]);
            let mut e = Rep3::new(session);
            let x = Rep3Share::from_components(column(i), column(i + 1));
            let (bits, sign) = (circuit::field_bits::<_, Z64>(&mut e, x.clone(), 64)?, circuit::is_negative::<_, Z64>(&mut e, x)?);
            let (bits, sign) = (e.verify(bits)?, e.verify(sign)?);
            Ok((e.open(&bits)?.to_uints()[0], e.open(&sign)?.to_uints()[0]))
        });
        for (got, _) in outcomes {
            assert_eq!(got, (hex(&case["value"]), case["msb"].as_u64().expect("a bit").into()), "{case}");
        }
    }
}
