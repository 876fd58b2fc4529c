//! Comparisons and sums of bit-planes as gates of a [`Graph`]: the circuits of [`crate::circuit`], gate by gate, so that all that are
//! laid out together share their rounds. Planes are least significant first.

use super::{Graph, Wire};

/// a < b, unsigned: the pair-folded tree, 2.5k - 2 - log2 k ANDs and 1 + log2 k rounds for even k; k - 1 fewer if a or b is public.
pub fn less(g: &mut Graph, a: &[Wire], b: &[Wire]) -> Wire {
    // a pair of bits has one product if those on the right are public
    if a.iter().all(|a| g.value(*a).is_some()) && b.iter().any(|b| g.value(*b).is_none()) {
        let [turned_a, turned_b] = [a, b].map(|x| x.iter().map(|wire| g.not(*wire)).collect::<Vec<_>>());
        return less(g, &turned_b, &turned_a);
    }
    // a node is (b is greater within these bits, the bits are equal); equality is never asked of the lowest
    let mut nodes = Vec::with_capacity(a.len().div_ceil(2));
    for (a, b) in a.chunks(2).zip(b.chunks(2)) {
        let top = *a.last().expect("chunks are not empty");
        let top_b = *b.last().expect("chunks are not empty");
        let equal_top = same(g, top, top_b);
        let (lt, eq) = if a.len() == 1 {
            (below(g, top, top_b), equal_top)
        } else {
            let low = below(g, a[0], b[0]);
            let turned = g.xor(low, top_b);
            let chosen = g.and(equal_top, turned);
            let equal_low = same(g, a[0], b[0]);
            (g.xor(top_b, chosen), g.and(equal_top, equal_low))
        };
        nodes.push((lt, eq));
    }
    while nodes.len() > 1 {
        nodes = nodes
            .chunks(2)
            .map(|pair| match pair {
                [(lt_low, eq_low), (lt, eq)] => {
                    let carried = g.and(*eq, *lt_low);
                    (g.xor(*lt, carried), g.and(*eq, *eq_low))
                }
                rest => rest[0],
            })
            .collect();
    }
    match nodes.first() {
        Some((lt, _)) => *lt,
        None => g.constant(false),
    }
}

/// a = b: k - 1 ANDs, log2 k rounds.
pub fn equal(g: &mut Graph, a: &[Wire], b: &[Wire]) -> Wire {
    let bits: Vec<Wire> = a.iter().zip(b).map(|(a, b)| same(g, *a, *b)).collect();
    all(g, bits)
}

/// a + b in `width` planes, operands extended with zeros: carries by a Sklansky tree, 1 + log2 k rounds.
pub fn sum(g: &mut Graph, a: &[Wire], b: &[Wire], width: usize) -> Vec<Wire> {
    let zero = g.constant(false);
    let plane = |x: &[Wire], i: usize| x.get(i).copied().unwrap_or(zero);
    let half: Vec<Wire> = (0..width).map(|i| g.xor(plane(a, i), plane(b, i))).collect();
    let mut generate: Vec<Wire> = (0..width).map(|i| g.and(plane(a, i), plane(b, i))).collect();
    let mut propagate = half.clone();
    let mut span = 1;
    while span < width {
        for i in (0..width).filter(|i| i & span != 0) {
            let below = i / span * span - 1;
            let carried = g.and(propagate[i], generate[below]);
            generate[i] = g.xor(generate[i], carried);
            propagate[i] = g.and(propagate[i], propagate[below]);
        }
        span *= 2;
    }
    (0..width).map(|i| if i == 0 { half[0] } else { g.xor(half[i], generate[i - 1]) }).collect()
}

/// The value at a position, 0 beyond the last: exclusive ors of products of the position's planes, of which there are 2^k - k - 1 ANDs for k planes, in log2 k rounds,
/// however wide the values are.
pub fn listed(g: &mut Graph, position: &[Wire], values: &[Vec<u64>], width: usize) -> Vec<Wire> {
    let products = products(g, position);
    let mut plane = |plane: usize| {
        let bit = |at: usize| values.get(at).and_then(|v| v.get(plane / 64)).is_some_and(|limb| limb >> (plane % 64) & 1 == 1);
        let mut terms: Vec<bool> = (0..products.len()).map(bit).collect();
        for place in 0..position.len() {
            for at in (0..terms.len()).filter(|at| at >> place & 1 == 1) {
                terms[at] ^= terms[at ^ 1 << place];
            }
        }
        let nothing = g.constant(false);
        products.iter().zip(terms).filter(|(_, there)| *there).fold(nothing, |sum, (product, _)| g.xor(sum, *product))
    };
    (0..width).map(&mut plane).collect()
}

/// The products of all sets of planes: set i has the planes whose bits are set in i.
fn products(g: &mut Graph, planes: &[Wire]) -> Vec<Wire> {
    match planes {
        [] => vec![g.constant(true)],
        [one] => vec![g.constant(true), *one],
        several => {
            let (low, high) = several.split_at(several.len() / 2);
            let (low, high) = (products(g, low), products(g, high));
            high.iter().flat_map(|h| low.iter().map(|l| (*h, *l)).collect::<Vec<_>>()).map(|(h, l)| g.and(h, l)).collect()
        }
    }
}

/// a - b of equally many planes, modulo their power of two: the complement of (the complement of a) + b.
pub fn difference(g: &mut Graph, a: &[Wire], b: &[Wire]) -> Vec<Wire> {
    let turned: Vec<Wire> = a.iter().map(|a| g.not(*a)).collect();
    let total = sum(g, &turned, b, a.len());
    total.into_iter().map(|t| g.not(t)).collect()
}

/// a where the bit is 1, else b.
pub fn choose(g: &mut Graph, bit: Wire, a: Wire, b: Wire) -> Wire {
    let differ = g.xor(a, b);
    let taken = g.and(bit, differ);
    g.xor(b, taken)
}

/// A small multiple, in `width` planes.
pub fn multiple(g: &mut Graph, x: &[Wire], by: u64, width: usize) -> Vec<Wire> {
    let mut total = number(g, 0, width);
    for shift in (0..64).filter(|s| by >> s & 1 == 1) {
        let mut shifted = number(g, 0, shift.min(width));
        shifted.extend(x.iter().take(width - shifted.len()));
        total = sum(g, &total, &shifted, width);
    }
    total
}

/// A public number.
pub fn number(g: &Graph, value: u64, width: usize) -> Vec<Wire> {
    (0..width).map(|p| g.constant(p < 64 && value >> p & 1 == 1)).collect()
}

/// How many bits are 1, in `width` planes that hold their number.
pub fn count(g: &mut Graph, bits: Vec<Wire>, width: usize) -> Vec<Wire> {
    let mut sums: Vec<Vec<Wire>> = bits.into_iter().map(|b| vec![b]).collect();
    while sums.len() > 1 {
        sums = sums
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => sum(g, a, b, (a.len().max(b.len()) + 1).min(width)),
                rest => rest[0].clone(),
            })
            .collect();
    }
    let mut total = sums.pop().unwrap_or_default();
    total.resize(width, g.constant(false));
    total
}

/// Conjunction, shallowest wires first.
pub fn all(g: &mut Graph, bits: Vec<Wire>) -> Wire {
    fold(g, bits, true, Graph::and)
}

/// Disjunction, shallowest wires first.
pub fn any(g: &mut Graph, bits: Vec<Wire>) -> Wire {
    fold(g, bits, false, Graph::or)
}

fn fold(g: &mut Graph, mut bits: Vec<Wire>, neutral: bool, join: fn(&mut Graph, Wire, Wire) -> Wire) -> Wire {
    // stable: equal plans give equal circuits at every node
    bits.sort_by_key(|w| std::cmp::Reverse(g.depth_of(*w)));
    while let Some(a) = bits.pop() {
        let Some(b) = bits.pop() else { return a };
        let joined = join(g, a, b);
        let depth = g.depth_of(joined);
        let place = bits.partition_point(|w| g.depth_of(*w) > depth);
        bits.insert(place, joined);
    }
    g.constant(neutral)
}

fn same(g: &mut Graph, a: Wire, b: Wire) -> Wire {
    let differ = g.xor(a, b);
    g.not(differ)
}

fn below(g: &mut Graph, a: Wire, b: Wire) -> Wire {
    let not_a = g.not(a);
    g.and(not_a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Input, Plain};
    use mpc_core::{B64, Column, Layout};

    fn planes(g: &mut Graph, from: u32, width: usize) -> Vec<Wire> {
        (0..width as u32).map(|i| g.input(from + i)).collect()
    }

    fn evaluate(g: &Graph, outputs: &[Wire], inputs: &[Column<B64>]) -> Vec<Vec<bool>> {
        let mut e = Plain::new();
        let shares: Vec<_> = inputs
            .iter()
            .map(|c| {
                let input = Input { owner: mpc_core::PartyId(0), layout: c.layout(), values: Some(c) };
                e.input(&[input]).expect("the clear engine takes inputs").remove(0)
            })
            .collect();
        let schedule = g.schedule(outputs.iter().copied());
        let done = schedule.run(g, &mut e, |i| shares[i as usize].clone()).expect("the clear engine does not abort");
        outputs
            .iter()
            .map(|w| match (g.value(*w), done.share(*w)) {
                (Some(public), _) => public.to_bools(0),
                (None, Some(share)) => {
                    let verified = e.verify(share.clone()).expect("nothing to check");
                    e.open(&verified).expect("the clear engine opens").to_bools(0)
                }
                (None, None) => panic!("an output was dropped"),
            })
            .collect()
    }

    /// All pairs of `width`-bit numbers, as planes.
    fn pairs(width: usize) -> (Vec<i128>, Vec<i128>, Vec<Column<B64>>) {
        let (a, b): (Vec<i128>, Vec<i128>) = (0..1 << (2 * width)).map(|i: i128| (i >> width, i & ((1 << width) - 1))).unzip();
        let mut columns = Vec::new();
        for values in [&a, &b] {
            let c = Column::from_ints(values, width);
            columns.extend((0..width).map(|p| c.slice_planes(p..p + 1)));
        }
        (a, b, columns)
    }

    #[test]
    fn circuits_are_right_at_every_width_and_cost_what_protocols_state() {
        for width in 1..=5 {
            let (a, b, inputs) = pairs(width);
            let mut g = Graph::new(a.len());
            let (x, y) = (planes(&mut g, 0, width), planes(&mut g, width as u32, width));
            let (lt, eq, total) = (less(&mut g, &x, &y), equal(&mut g, &x, &y), sum(&mut g, &x, &y, width + 1));
            let outputs: Vec<Wire> = [lt, eq].into_iter().chain(total).collect();
            let bits = evaluate(&g, &outputs, &inputs);
            for row in 0..a.len() {
                assert_eq!(bits[0][row], a[row] < b[row]);
                assert_eq!(bits[1][row], a[row] == b[row]);
                let sum: i128 = (0..=width).map(|p| (bits[2 + p][row] as i128) << p).sum();
                assert_eq!(sum, a[row] + b[row]);
            }
        }
        for (k, ands, rounds) in [(1, 1, 1), (2, 2, 2), (8, 15, 4), (16, 34, 5), (32, 73, 6), (64, 152, 7), (7, 13, 4)] {
            let mut g = Graph::new(1);
            let (x, y) = (planes(&mut g, 0, k), planes(&mut g, k as u32, k));
            let lt = less(&mut g, &x, &y);
            let schedule = g.schedule([lt]);
            assert_eq!((schedule.ands(), schedule.rounds()), (ands, rounds), "less-than of {k} bits");
            let mut g = Graph::new(1);
            let (x, y) = (planes(&mut g, 0, k), planes(&mut g, k as u32, k));
            let eq = equal(&mut g, &x, &y);
            assert_eq!(g.schedule([eq]).ands(), k - 1, "equality of {k} bits");
        }
    }

    #[test]
    fn public_operands_are_folded() {
        // against a public constant: 1.5k - 1 - log2 k ANDs
        for (k, ands) in [(8, 8), (32, 42), (64, 89)] {
            let mut g = Graph::new(3);
            let x = planes(&mut g, 0, k);
            let c = Column::from_ints(&[i128::from(u64::MAX / 3), 77, 5], k);
            let y: Vec<Wire> = (0..k).map(|p| g.public(c.slice_planes(p..p + 1))).collect();
            for lt in [less(&mut g, &x, &y), less(&mut g, &y, &x)] {
                assert!(g.schedule([lt]).ands() <= ands, "less-than of {k} bits with a public operand");
            }
        }
        // and is right on either side
        let (all, (a, b, inputs)) = (1 << 6, pairs(3));
        let mut g = Graph::new(all);
        let x = planes(&mut g, 0, 3);
        let y: Vec<Wire> = inputs[3..].iter().map(|c| g.public(c.clone())).collect();
        let outputs = [less(&mut g, &x, &y), less(&mut g, &y, &x)];
        let bits = evaluate(&g, &outputs, &inputs);
        for row in 0..all {
            assert_eq!((bits[0][row], bits[1][row]), (a[row] < b[row], b[row] < a[row]));
        }
        let mut g = Graph::new(70);
        let x = g.input(0);
        let (zero, one, not_x) = (g.constant(false), g.constant(true), g.not(x));
        assert_eq!(g.and(x, zero), zero);
        assert_eq!(g.and(x, one), x);
        assert_eq!(g.and(x, not_x), zero);
        assert_eq!(g.or(x, not_x), one);
        assert_eq!(g.xor(x, x), zero);
        assert_eq!(g.not(not_x), x);
    }

    #[test]
    fn random_graphs_agree_with_clear_bits() {
        let rows = 67;
        let layout = Layout::new(rows, 1);
        let word = |i: u64| B64(i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((i % 61) as u32));
        let column = |seed: u64| Column::from_elements(vec![word(seed), word(seed + 100)], layout).expect("two words hold 67 rows");
        let mut g = Graph::new(rows);
        let inputs: Vec<_> = (0..4).map(column).collect();
        let mut wires: Vec<(Wire, Vec<bool>)> = (0..4).map(|i| (g.input(i), inputs[i as usize].to_bools(0))).collect();
        for i in 4..7 {
            wires.push((g.public(column(i)), column(i).to_bools(0)));
        }
        for step in 0..200_u64 {
            let pick = |salt: u64| (word(step * 3 + salt).0 >> 20) as usize % wires.len();
            let ((a, x), (b, y)) = (wires[pick(1)].clone(), wires[pick(2)].clone());
            let both = |f: fn(bool, bool) -> bool| x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect();
            wires.push(match step % 3 {
                0 => (g.and(a, b), both(|x, y| x & y)),
                1 => (g.xor(a, b), both(|x, y| x ^ y)),
                _ => (g.or(a, b), both(|x, y| x | y)),
            });
        }
        let outputs: Vec<Wire> = wires.iter().map(|w| w.0).collect();
        let values = evaluate(&g, &outputs, &inputs);
        for (have, (_, want)) in values.iter().zip(&wires) {
            assert_eq!(have, want);
        }
    }
}
