//! What windows, first rows, extremes, percentiles and look-ups by sorting cost, as formulas of public sizes: the step's price is that, and what parties send is the price
//! (which every test of relations asserts).

mod lookups;
mod ties;

use super::*;
use mpc_core::{B64, Fp61, Layout, index_bits};
use protocols::Message;
use protocols::circuit::{Rounding, Sign};
use protocols::cost::{self, Cost, Moved, Opening};
use protocols::relational::{Network, Radix, Sorting, choose};
use protocols::rows::Digest;
use query::plan::relation::{Constant, Fold, FoldOp, Function, SortKey};

/// Bits of a partition with its valid bit, of an order, of a value with its valid bit.
const PARTITION: usize = 4;
const ORDER: usize = 6;
const VALUE: usize = 6;

/// A partition, an order, a value in planes, a value in the field.
fn columns() -> Vec<RowColumn> {
    vec![column(planes(3), true), column(planes(6), false), column(planes(5), true), column(field(Ring::Fp61), false)]
}

/// What a row has, with the bit that says whether it is one.
fn moved(row: bool) -> Moved {
    Moved { bits: PARTITION + ORDER + VALUE + usize::from(row), fp61: 1, ..Moved::default() }
}

/// Bits that hold the numbers 0 to `rows`.
fn numbers(rows: usize) -> usize {
    (usize::BITS - rows.leading_zeros()) as usize
}

/// Of more than 90 rows, keys this short are sorted by radix.
fn radix(rows: usize, key: usize) -> Radix {
    match choose(rows, key, Message::default(), Network::LAN) {
        Sorting::Radix(radix) => radix,
        Sorting::Samplesort => panic!("{rows} rows by {key} bits"),
    }
}

/// A sort by so many bits, and the turn after it.
fn sort(rows: usize, key: usize, moved: Moved, turn: u64) -> (Cost, u64) {
    if key == 0 {
        return (Cost::FREE, turn);
    }
    let width = index_bits(rows);
    if rows <= 90 {
        // all are compared with all, once they are shuffled
        assert_eq!(choose(rows, key, Message::default(), Network::LAN), Sorting::Samplesort, "{rows} rows by {key} bits");
        let key = key + width as usize;
        return (cost::shuffle((moved + Moved::bits(key)).message(rows), turn).then(cost::ordering(Layout::new(rows, key)).0), turn + 1);
    }
    let radix = radix(rows, key);
    let after = cost::radix_places(rows, width, key, radix, turn, Opening::Within).1;
    (cost::sort(rows, width, key, radix.into(), moved.message(rows), turn, Opening::Within), after + 1)
}

/// Rows compared with the row before: a bit less than the key has, and one if there are places without a row.
fn same(rows: usize, key: usize, row: bool) -> Cost {
    // the first row has none before it
    if rows < 2 || key == 0 {
        return Cost::FREE;
    }
    let (key, draw) = compared(key, rows);
    draw.then(cost::equal(rows, key, 0)).then(if row { ands(rows, 1) } else { Cost::FREE })
}

/// The bits that so many keys are compared by, and what it costs to draw their digest.
fn compared(key: usize, rows: usize) -> (usize, Cost) {
    match Digest::compared_bits(key, rows) {
        Some(bits) => (bits, cost::open::<B64>(Layout::new(256, 1))),
        None => (key, Cost::FREE),
    }
}

/// One round of so many ANDs a row.
fn ands(rows: usize, many: usize) -> Cost {
    cost::product::<B64>(Layout::new(rows, many))
}

/// The price of the one step of this name.
pub fn priced(build: &Build, step: &str) -> Cost {
    let plan = build.plan(false);
    let local = Local::new(64 << 20).expect("a runtime");
    let ground = Ground::new(&plan, &local, &build.tables).expect("nothing is public");
    let program = Program::new(&plan, &ground).expect("the plan is executable");
    let prices = price(&program, &PARTIES).expect("a price");
    let mut of = program.steps().iter().zip(&prices).filter(|(s, _)| s.name == step).map(|(_, price)| *price);
    let price = of.next().expect("there is such a step");
    assert!(price.is_exact);
    price.cost
}

/// Rows of which nobody knows an order.
fn input(build: &mut Build, places: usize, row: bool) -> RelationId {
    let rows = match row {
        true => build.private(1, places as u64, columns(), &[]),
        false => {
            let rows = Dice(1).rows(places, &[(8, true), (64, false), (32, true), (100, false)]);
            build.home(Source::Party("energy".into()), places as u64, true, columns(), &rows)
        }
    };
    build.stand(rows, Stand::Unknown, 0, 0)
}

/// The price of window functions by the partition and the order, in which no rows are equal.
fn window(places: usize, row: bool, functions: Vec<(Function, RowColumn)>) -> Cost {
    window_of(places, row, true, functions)
}

/// The same where there may be rows that are equal.
fn window_of(places: usize, row: bool, unique: bool, functions: Vec<(Function, RowColumn)>) -> Cost {
    let mut build = Build::default();
    let input = input(&mut build, places, row);
    let (functions, outputs): (Vec<_>, Vec<_>) = functions.into_iter().unzip();
    let by = vec![SortKey { column: 1, descending: true, nulls_first: false }];
    let op = Operator::Window { input, partition: vec![0], by, unique, functions };
    build.push(op, places as u64, !row, [columns(), outputs].concat());
    priced(&build, "window")
}

/// Rows in their order, and the turn after it.
fn ordered(places: usize, row: bool) -> (Cost, u64) {
    sort(places, PARTITION + ORDER + usize::from(row), moved(row), 0)
}

/// Partitions are found at this turn, with what their first rows have besides their numbers, which is spread with these.
fn partitions(places: usize, row: bool, with: Moved, turn: u64) -> Cost {
    let heads = with + Moved::bits(numbers(places));
    same(places, PARTITION, row).then(cost::segments(places, heads, turn, Opening::Within)).then(cost::spread(places, heads, turn))
}

/// Peers likewise; of dense ranks the number among the peers is spread, too.
fn peers(places: usize, row: bool, with: Moved, dense: bool, turn: u64) -> Cost {
    let heads = with + Moved::bits(numbers(places));
    let spread = if dense { heads + Moved::bits(numbers(places)) } else { heads };
    same(places, PARTITION + ORDER, row).then(cost::segments(places, heads, turn, Opening::Within)).then(cost::spread(places, spread, turn))
}

#[test]
fn groups_by_long_keys() {
    for places in [1, 2, 3, 63, 64, 65, 90] {
        for (key, row) in [12, 85, 200].into_iter().flat_map(|key| [(key, false), (key, true)]) {
            let mut build = Build::default();
            let columns = vec![column(planes(key as u32), false)];
            let rows = match row {
                true => build.private(1, places as u64, columns.clone(), &[]),
                false => {
                    let rows = Dice(1).rows(places, &[(4000, false)]);
                    build.home(Source::Party("energy".into()), places as u64, true, columns.clone(), &rows)
                }
            };
            let input = build.stand(rows, Stand::Unknown, 0, 0);
            build.push(Operator::Group { input, keys: vec![0], folds: Vec::new() }, places as u64, false, columns);
            let with_row = Moved::bits(key + usize::from(row));
            let digest = Digest::bits(key, places as u64).unwrap_or(key);
            let (sorted, turn) = sort(places, digest + usize::from(row), with_row, 0);
            let front = cost::compact(places, index_bits(places), Moved::bits(key + 1).message(places), turn, Opening::Within);
            assert_eq!(priced(&build, "group"), sorted.then(same(places, key, row)).then(front), "{places} {key} {row}");
        }
    }
}

const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 129, 300];

/// ANDs of a circuit, a row, and its rounds.
#[derive(Debug, PartialEq, Eq)]
struct Circuit(usize, usize);

/// How many of the numbers below `many` have this bit, and are at least `least`.
fn with_bit(many: usize, bit: usize, least: usize) -> usize {
    (least..many).filter(|i| i & bit != 0).count()
}

fn spans(many: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |span| Some(2 * span)).take_while(move |span| *span < many)
}

/// 1 + a - b in numbers of `bits` bits: carries below the top bit by a prefix tree, one AND for each pair of neighbours at its first level if a is public; then the prefixes that 1 passes.
fn number(bits: usize, secret: bool) -> Circuit {
    let below = bits - 1;
    let carries = spans(below).map(|span| match span {
        1 if !secret => with_bit(below, 1, 0),
        span => with_bit(below, span, 0) + with_bit(below, span, 2 * span),
    });
    let ands = carries.sum::<usize>() + if secret { below } else { 0 } + spans(bits).map(|span| with_bit(bits, span, 0)).sum::<usize>();
    // bit i of the difference is there after log2 i rounds; and then the prefixes, as they come
    let mut depth: Vec<usize> =
        (0..bits).map(|i| if i == 0 { 0 } else { usize::from(secret) + i.next_power_of_two().ilog2() as usize }).collect();
    for span in spans(bits) {
        for i in (0..bits).filter(|i| i & span != 0) {
            depth[i] = depth[i].max(depth[i / span * span - 1]) + 1;
        }
    }
    Circuit(ands, depth.into_iter().max().unwrap_or(0))
}

/// A value of so many bits and its valid bit, some rows away: a row number and the start of a partition compared; then all bits at once.
fn away(bits: usize, value: usize) -> Circuit {
    let Circuit(ands, rounds) = within(bits);
    Circuit(ands + value + 1, rounds + 1)
}

/// A row number and the start of a partition compared, pairs of bits at a time.
fn within(bits: usize) -> Circuit {
    let (pairs, mut blocks) = (bits / 2, bits.div_ceil(2));
    // one of the numbers is public: a pair has one product
    let (mut ands, mut rounds) = (pairs, 1);
    while blocks > 1 {
        ands += 2 * (blocks / 2) - 1;
        rounds += 1;
        blocks = blocks.div_ceil(2);
    }
    Circuit(ands, rounds)
}

/// What is left of a price without this, a row; every party sends as much.
fn rest(price: Cost, known: Cost, rows: usize) -> Circuit {
    let left: [u64; 3] = std::array::from_fn(|p| price.bits[p] - known.bits[p]);
    assert!(left[0] == left[1] && left[1] == left[2] && left[0].is_multiple_of(rows as u64), "{left:?} bits of {rows} rows");
    Circuit(left[0] as usize / rows, (price.rounds - known.rounds) as usize)
}

#[test]
fn sums_over_partitions_and_peers() {
    let element = Moved { fp61: 1, ..Moved::default() };
    let fold = || Fold { op: FoldOp::Sum(3), when: None };
    let sum = |places, row, function| window(places, row, vec![(function, column(field(Ring::Fp61), false))]);
    for places in SIZES {
        for row in [false, true] {
            let (sorted, turn) = ordered(places, row);
            let totals = cost::totals::<Fp61>(places, 1, turn);
            let whole = sorted.then(partitions(places, row, element, turn)).then(totals);
            assert_eq!(sum(places, row, Function::Whole(fold())), whole, "{places} {row}");
            let running = sorted.then(partitions(places, row, element, turn));
            assert_eq!(sum(places, row, Function::Running { fold: fold(), peers: false }), running, "{places} {row}");
            let of_peers = peers(places, row, element, false, turn).then(totals);
            let to_peers = sorted.then(of_peers).then(partitions(places, row, element, turn + 1));
            assert_eq!(sum(places, row, Function::Running { fold: fold(), peers: true }), to_peers, "{places} {row}");
        }
    }
}

#[test]
fn numbers_ranks_and_rows_away() {
    for places in SIZES.into_iter().skip(1) {
        for row in [false, true] {
            let bits = numbers(places);
            let (sorted, turn) = ordered(places, row);
            let alone = sorted.then(partitions(places, row, Moved::default(), turn));
            let ranked = |dense: bool| {
                let carried = Moved::bits(if dense { bits } else { 0 });
                sorted.then(peers(places, row, Moved::default(), dense, turn)).then(partitions(places, row, carried, turn + 1))
            };
            let left = |function, output, known| rest(window(places, row, vec![(function, output)]), known, places);
            let output = || column(planes(bits as u32 + 1), false);
            assert_eq!(left(Function::RowNumber, output(), alone), number(bits, false), "{places} {row}");
            assert_eq!(left(Function::Rank, output(), ranked(false)), number(bits, true), "{places} {row}");
            assert_eq!(left(Function::DenseRank, output(), ranked(true)), number(bits, true), "{places} {row}");
            for default in [None, Some(Constant::Planes(vec![21]))] {
                let lag = left(Function::Lag { column: 2, by: 1, default }, column(planes(5), true), alone);
                assert_eq!(lag, away(bits, VALUE - 1), "{places} {row}");
            }
            if places > 2 {
                let lead = left(Function::Lag { column: 2, by: -2, default: None }, column(planes(5), true), alone);
                assert_eq!(lead, away(bits, VALUE - 1), "{places} {row}");
            }
        }
    }
}

#[test]
fn sums_of_a_few_rows_and_values_of_first_rows() {
    let element = Moved { fp61: 1, ..Moved::default() };
    for places in SIZES.into_iter().skip(1) {
        for row in [false, true] {
            let (sorted, turn) = ordered(places, row);
            let fold = Fold { op: FoldOp::Sum(3), when: None };
            let output = || column(field(Ring::Fp61), false);
            let running = sorted.then(partitions(places, row, element, turn)).then(cost::bit_times::<Fp61>(Layout::new(places, 1)));
            let price = window(places, row, vec![(Function::Trailing { fold, before: 0 }, output())]);
            assert_eq!(rest(price, running, places), within(numbers(places)), "{places} {row}");
            let first = |of, output| window(places, row, vec![(Function::First(of), output)]);
            let carried = |with| sorted.then(partitions(places, row, with, turn));
            assert_eq!(first(2, column(planes(5), true)), carried(Moved::bits(VALUE)), "{places} {row}");
            assert_eq!(first(3, output()), carried(element), "{places} {row}");
        }
    }
}

/// Which tile a row is in, by the bits of a row's number, in ANDs a row and rounds: of 2, 3 and 10 tiles. What is here is the circuit alone.
const TILES: [(usize, [Circuit; 3]); 6] = [
    (2, [Circuit(9, 5), Circuit(15, 7), Circuit(47, 7)]),
    (3, [Circuit(17, 8), Circuit(32, 10), Circuit(132, 11)]),
    (6, [Circuit(43, 11), Circuit(78, 13), Circuit(370, 17)]),
    (7, [Circuit(54, 11), Circuit(97, 13), Circuit(464, 17)]),
    (8, [Circuit(66, 12), Circuit(117, 14), Circuit(569, 18)]),
    (9, [Circuit(77, 13), Circuit(135, 15), Circuit(645, 19)]),
];

#[test]
fn tiles_of_partitions() {
    let element = Moved { fp61: 1, ..Moved::default() };
    let mut wrong = Vec::new();
    for places in SIZES.into_iter().skip(1) {
        let bits = numbers(places);
        let Some((_, circuits)) = TILES.iter().find(|(of, _)| *of == bits) else { continue };
        for row in [false, true] {
            let (sorted, turn) = ordered(places, row);
            // the rows of each partition are counted: places without a row are partitions of their own
            let of_partitions = partitions(places, row, element, turn).then(cost::totals::<Fp61>(places, 1, turn));
            for (tiles, circuit) in [2, 3, 10].into_iter().zip(circuits) {
                let divided = cost::divide_public::<Fp61>(places, tiles, Sign::Unsigned, Rounding::TowardZero);
                let divided = divided.then(cost::field_bits::<Fp61>(places, bits)).then(cost::field_bits::<Fp61>(places, bits));
                let known = sorted.then(of_partitions).then(divided);
                let output = column(planes(bits as u32 + 1), false);
                let price = window(places, row, vec![(Function::Ntile(tiles as u64), output)]);
                let left = rest(price, known, places);
                if left != *circuit {
                    wrong.push(format!("{places} {row} {tiles}: {left:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn first_rows() {
    for places in SIZES {
        for (row, skip) in [(false, 0), (true, 0), (true, 1)] {
            let mut build = Build::default();
            let input = input(&mut build, places, row);
            let by = vec![
                SortKey { column: 2, descending: true, nulls_first: true },
                SortKey { column: 1, descending: false, nulls_first: false },
            ];
            build.push(Operator::Top { input, by, unique: false, skip }, places as u64, !row, columns());
            let shuffled = cost::shuffle(moved(row).message(places), 0);
            let sorted = sort(places, VALUE + ORDER + usize::from(row), moved(row), 1).0;
            assert_eq!(priced(&build, "sort"), shuffled.then(sorted), "{places} {row}");
        }
    }
}

#[test]
fn smallest_and_largest_of_all_rows() {
    for places in SIZES {
        for row in [false, true] {
            for op in [FoldOp::Min(2), FoldOp::Max(2)] {
                let mut build = Build::default();
                let input = input(&mut build, places, row);
                build.push(Operator::Total { input, folds: vec![Fold { op, when: None }] }, 1, true, vec![column(planes(5), true)]);
                // valid, and a row
                let mut formula = cost::all(places, 1 + usize::from(row));
                let halved = std::iter::successors(Some(places), |n| Some(n.div_ceil(2))).take_while(|n| *n > 1);
                formula = halved.fold(formula, |formula, n| formula.then(cost::minimum(n / 2, VALUE)));
                assert_eq!(priced(&build, "total"), formula.then(ands(1, VALUE - 1)), "{places} {row}");
            }
        }
    }
}

/// What choosing the row of a percentile takes by the bits of a row's number, in ANDs a row and rounds: of 1/2, lower and upper and discrete, and of 9/10.
const CHOOSING: [(usize, [Circuit; 4]); 6] = [
    (2, [Circuit(9, 5), Circuit(7, 5), Circuit(8, 5), Circuit(19, 7)]),
    (3, [Circuit(20, 7), Circuit(17, 7), Circuit(19, 7), Circuit(42, 11)]),
    (6, [Circuit(54, 11), Circuit(51, 12), Circuit(48, 10), Circuit(106, 15)]),
    (7, [Circuit(70, 12), Circuit(66, 14), Circuit(63, 11), Circuit(129, 15)]),
    (8, [Circuit(83, 13), Circuit(81, 15), Circuit(73, 11), Circuit(153, 17)]),
    (9, [Circuit(104, 13), Circuit(100, 15), Circuit(92, 12), Circuit(186, 17)]),
];

#[test]
fn extremes_and_percentiles_of_groups() {
    for places in SIZES {
        for row in [false, true] {
            let group = |folds: Vec<FoldOp>| {
                let mut build = Build::default();
                let input = input(&mut build, places, row);
                let outputs: Vec<_> = columns()[..1].iter().cloned().chain(folds.iter().map(|_| column(planes(5), true))).collect();
                let folds = folds.into_iter().map(|op| Fold { op, when: None }).collect();
                build.push(Operator::Group { input, keys: vec![0], folds }, places as u64, false, outputs);
                priced(&build, "group")
            };
            let (r, width, number) = (usize::from(row), index_bits(places), numbers(places));
            let counted = cost::all(places, 1 + r);
            // by the value, whether it counts, the key, and whether there is a row
            let (sorted, turn) = sort(places, VALUE + PARTITION + r, Moved::bits(VALUE + PARTITION + r), 0);
            let flags = cost::equal(places, VALUE - 1, 0).then(ands(places, 2));
            let formula = |folds: usize, chosen: Cost, turns: u64| {
                let front = Moved::bits(folds * VALUE + PARTITION + 1).message(places);
                let front = cost::compact(places, width, front, turn + turns, Opening::Within);
                let found = counted.then(sorted).then(same(places, PARTITION, row)).then(flags).then(chosen);
                found.then(ands(places, folds * (VALUE - 1))).then(front)
            };
            let same_bits =
                |price: Cost, formula: Cost| assert_eq!((price.bits, price.rounds), (formula.bits, formula.rounds), "{places} {row}");
            same_bits(group(vec![FoldOp::Min(2)]), formula(1, Cost::FREE, 0));
            same_bits(group(vec![FoldOp::Min(2), FoldOp::Max(2)]), formula(2, Cost::FREE, 0));
            let Some((_, choosing)) = CHOOSING.iter().find(|(bits, _)| *bits == number) else { continue };
            // starts and ends to the front, whether there is a group, and back
            let bounds = cost::compact(places, width, Moved::bits(2 * number + 1).message(places), turn, Opening::Within);
            let bounds = bounds.then(cost::spread(places, Moved::bits(2 * number), turn));
            let of = [((1, 2), true, false), ((1, 2), false, false), ((1, 2), true, true), ((9, 10), true, false)];
            for ((of, lower, discrete), circuit) in of.into_iter().zip(choosing) {
                let price = group(vec![FoldOp::Percentile { column: 2, of, lower, discrete, descending: false }]);
                assert_eq!(rest(price, formula(1, bounds, 1), places), *circuit, "{places} {row} {of:?}");
            }
        }
    }
}

#[test]
fn pairs_of_rows() {
    for (left, right, places) in [(1, 95, 40), (63, 65, 100), (128, 3, 50), (300, 7, 400)] {
        let mut build = Build::default();
        let l = input(&mut build, left, true);
        let r = input(&mut build, right, false);
        build.push(Operator::Pairs { left: l, right: r, on: vec![(0, 0)] }, places as u64, false, [columns(), columns()].concat());
        let of = cost::Pairing {
            left: (left, moved(true)),
            right: (right, moved(false)),
            key: PARTITION - 1,
            places,
            radix: radix(left + right, PARTITION - 1),
        };
        // whether a key is NULL, where there may be no row
        assert_eq!(priced(&build, "join"), ands(left, 1).then(cost::pairs(&of, 0, Opening::Within)), "{left} {right} {places}");
    }
}
