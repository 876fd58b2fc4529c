//! Columns: the wire form against a bit-by-bit one, and the operations by plane and row, at odd widths and sizes.

use mpc_core::{B64, Column, Fp31, Fp61, Fp127, Index, Layout, Permutation, Ring, Row8, Row32, Row64, Z64, index_bits};
use proptest::prelude::*;

const ROWS: [usize; 12] = [0, 1, 2, 7, 8, 63, 64, 65, 127, 128, 130, 1000];
/// More than a block of elements, and of words of bits.
const MANY: [usize; 4] = [1024, 1025, 2053, 65 * 1024 + 3];

/// A repeatable stream of words.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d049bb133111eb);
        z ^ z >> 31
    }
}

/// Elements at the edges of R and random ones, with rubbish in the bits past the last row.
fn random<R: Ring>(layout: Layout, words: &mut Words) -> Column<R> {
    Column::build(layout, |at, out| {
        for (i, v) in (at..).zip(out) {
            let bytes = (words.next() as u128 | (words.next() as u128) << 64).to_le_bytes();
            *v = match i % 5 {
                0 => R::ZERO.sub(R::ONE),
                _ => R::sample(&bytes).unwrap_or(R::ONE),
            };
        }
    })
}

/// The bits of the rows, in wire order.
fn bits<R: Ring>(c: &Column<R>) -> Vec<bool> {
    let width = c.layout().width::<R>() as usize;
    let element = |v: R| (0..width * R::ROWS).map(move |i| v.to_bits() >> i & 1 == 1);
    (0..c.planes()).flat_map(|p| c.plane(p).iter().copied().flat_map(element).take(c.rows() * width)).collect()
}

fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |v, (i, b)| v | (*b as u8) << i)).collect()
}

fn wire_form<R: Ring>(seed: u64) {
    wire_form_of::<R>(seed, &MANY, Layout::new);
}

fn narrow_wire_form<R: Ring>() {
    (1..=R::BITS).for_each(|bits| wire_form_of::<R>(bits.into(), &[1029], |rows, planes| Layout::narrow(rows, planes, bits)));
}

fn wire_form_of<R: Ring>(seed: u64, many: &[usize], layout: impl Fn(usize, usize) -> Layout) {
    let mut words = Words(seed);
    for &rows in ROWS.iter().chain(many) {
        for planes in if rows > 1000 { [1, 2].iter() } else { [0, 1, 2, 3, 5].iter() } {
            let layout = layout(rows, *planes);
            let c = random::<R>(layout, &mut words);
            let mut wire = vec![0xa5; 3];
            c.encode(&mut wire);
            let wire = wire.split_off(3);
            assert_eq!(wire.len(), layout.bytes::<R>(), "{} {layout:?}", R::NAME);
            assert_eq!(wire, packed(&bits(&c)), "{} {layout:?}", R::NAME);
            let back = Column::<R>::decode(&wire, layout).expect("what was encoded");
            assert!(back == c, "{} {layout:?}", R::NAME);
            malformed::<R>(&wire, layout);
        }
    }
}

fn malformed<R: Ring>(wire: &[u8], layout: Layout) {
    assert!(Column::<R>::decode(&[wire, &[0]].concat(), layout).is_none());
    if let Some((_, shorter)) = wire.split_last() {
        assert!(Column::<R>::decode(shorter, layout).is_none());
        for bit in layout.bits::<R>() as usize..wire.len() * 8 {
            let mut padded = wire.to_vec();
            padded[bit / 8] |= 1 << (bit % 8);
            assert!(Column::<R>::decode(&padded, layout).is_none(), "padding bit {bit} of {layout:?}");
        }
        // the modulus itself, where there is one between 0 and 2^BITS
        let ones = packed(&vec![true; layout.bits::<R>() as usize]);
        let width = layout.width::<R>() * R::ROWS as u32;
        assert_eq!(Column::<R>::decode(&ones, layout).is_none(), R::from_bits(u128::MAX >> (128 - width)).is_none());
    }
}

/// A single element that is not canonical, anywhere in the column.
fn one_bad_element<R: Ring>(rows: usize) {
    let layout = Layout::new(rows, 1);
    for bad in 0..rows {
        let mut bits = vec![false; rows * R::BITS as usize];
        bits[bad * R::BITS as usize..][..R::BITS as usize].fill(true);
        assert!(Column::<R>::decode(&packed(&bits), layout).is_none(), "{} element {bad} of {rows}", R::NAME);
        bits[bad * R::BITS as usize] = false;
        assert!(Column::<R>::decode(&packed(&bits), layout).is_some(), "{} element {bad} of {rows}", R::NAME);
    }
}

#[test]
fn wire_form_of_every_ring() {
    wire_form::<B64>(1);
    wire_form::<Fp61>(2);
    wire_form::<Fp31>(3);
    wire_form::<Fp127>(4);
    wire_form::<Z64>(5);
    wire_form::<Index>(6);
    narrow_wire_form::<Index>();
    narrow_wire_form::<Row8>();
    narrow_wire_form::<Row32>();
    narrow_wire_form::<Row64>();
}

#[test]
fn one_element_that_is_not_canonical_is_refused() {
    for rows in [1, 2, 63, 64, 65, 130] {
        one_bad_element::<Fp61>(rows);
        one_bad_element::<Fp31>(rows);
        one_bad_element::<Fp127>(rows);
    }
}

#[test]
fn planes_and_rows() {
    fn operations<R: Ring>() {
        let mut words = Words(99);
        for rows in ROWS {
            let c = random::<R>(Layout::new(rows, 3), &mut words);
            let at = |c: &Column<R>, p: usize, r: usize| c.plane(p)[r / R::ROWS].row(r % R::ROWS);
            let picked = c.pick_planes([2, 0, 2]);
            assert!(
                picked.slice_planes(0..1) == c.slice_planes(2..3)
                    && picked.slice_planes(1..3) == Column::stack(&[&c.slice_planes(0..1), &c.slice_planes(2..3)])
            );
            let from: Vec<Option<usize>> =
                (0..rows + 3).map(|_| (rows > 0 && !words.next().is_multiple_of(4)).then(|| words.next() as usize % rows.max(1))).collect();
            let gathered = c.gather(&from);
            let groups: Vec<Option<usize>> =
                (0..rows).map(|_| (!words.next().is_multiple_of(4)).then(|| words.next() as usize % 70)).collect();
            let (sums, total) = (c.sum_groups(&groups, 70), c.sum());
            assert_eq!(
                (gathered.layout(), sums.layout(), total.layout()),
                (Layout::new(rows + 3, 3), Layout::new(70, 3), Layout::new(1, 3))
            );
            for p in 0..3 {
                for (r, from) in from.iter().enumerate() {
                    assert!(at(&gathered, p, r) == from.map_or(R::ZERO, |f| at(&c, p, f)));
                }
                for g in 0..70 {
                    let members = (0..rows).filter(|r| groups[*r] == Some(g));
                    assert!(at(&sums, p, g) == members.fold(R::ZERO, |s, r| s.add(at(&c, p, r))));
                }
                assert!(at(&total, p, 0) == (0..rows).fold(R::ZERO, |s, r| s.add(at(&c, p, r))));
            }
        }
    }
    operations::<B64>();
    operations::<Fp61>();
    operations::<Index>();
}

/// A permutation of `rows` rows.
fn permutation(rows: usize, words: &mut Words) -> Permutation {
    let mut places: Vec<u32> = (0..rows as u32).collect();
    (1..rows).rev().for_each(|last| places.swap(last, words.next() as usize % (last + 1)));
    Permutation::new(places).expect("swaps keep a permutation")
}

#[test]
fn rows_move_are_cut_joined_and_summed() {
    fn operations<R: Ring>(planes: usize) {
        let mut words = Words(98);
        let at = |c: &Column<R>, p: usize, r: usize| c.plane(p)[r / R::ROWS].row(r % R::ROWS);
        for rows in ROWS {
            let c = random::<R>(Layout::new(rows, planes), &mut words);
            let by = permutation(rows, &mut words);
            let (placed, fetched) = (c.clone().place(&by), c.clone().fetch(&by));
            assert!(placed.clone().fetch(&by) == c && fetched == c.clone().place(&by.inverse()));
            let cut = words.next() as usize % (rows + 1);
            let end = cut + words.next() as usize % (rows - cut + 1);
            let (slice, joined) = (c.slice_rows(cut..end), Column::concat(&[&c, &c.slice_rows(cut..end), &c.slice_rows(0..0), &c]));
            assert_eq!((slice.rows(), joined.rows()), (end - cut, 2 * rows + end - cut));
            let sums = c.prefix_sums();
            assert!(sums.differences() == c && c.differences().prefix_sums() == c);
            for p in 0..planes {
                for (row, place) in by.places().iter().enumerate() {
                    assert!(at(&placed, p, *place as usize) == at(&c, p, row) && at(&fetched, p, row) == at(&c, p, *place as usize));
                }
                assert!((cut..end).all(|r| at(&slice, p, r - cut) == at(&c, p, r)));
                let expected = (0..rows).chain(cut..end).chain(0..rows);
                assert!(expected.enumerate().all(|(to, from)| at(&joined, p, to) == at(&c, p, from)), "{rows} rows, {cut}..{end}");
                let mut sum = R::ZERO;
                for r in 0..rows {
                    sum = sum.add(at(&c, p, r));
                    assert!(at(&sums, p, r) == sum);
                }
            }
        }
    }
    for planes in [1, 2, 7, 8, 9, 32, 33, 64, 65, 72, 100, 130] {
        operations::<B64>(planes);
    }
    operations::<Fp61>(2);
    operations::<Index>(3);
}

#[test]
fn planes_are_written_by_rows_piece_by_piece() {
    let mut words = Words(97);
    for (rows, piece) in ROWS.into_iter().chain([1000]).flat_map(|rows| [64, 576].map(|piece| (rows, piece))) {
        for (planes, width) in [(1, 1), (9, 8), (70, 9), (140, 64)] {
            let c = random::<B64>(Layout::new(rows, planes), &mut words);
            let mut written = c.slice_planes(0..planes);
            written.as_mut_slice()[(planes - width) * rows.div_ceil(64)..].fill(B64::ZERO);
            // whatever is there already stays
            for row in (0..rows).step_by(piece).rev() {
                let rows = c.slice_rows(row..rows.min(row + piece)).slice_planes(planes - width..planes).by_rows::<Row64>(0);
                written.set_rows_at(row, planes - width, &rows);
            }
            assert!(written == c, "{rows} rows by {piece}, {width} of {planes} planes");
        }
    }
}

#[test]
fn sums_before_run_over_all_planes() {
    let c = Column::from_elements([5, 1, 0, 7, 2, 2].map(Index).to_vec(), Layout::narrow(3, 2, 4)).expect("six elements");
    assert_eq!(c.sums_before().as_slice().iter().map(|v| v.0).collect::<Vec<_>>(), [0, 5, 6, 6, 13, 15]);
}

#[test]
fn only_permutations_are_permutations() {
    for (places, is) in
        [(vec![], true), (vec![0], true), (vec![1], false), (vec![0, 0], false), (vec![2, 0, 1], true), (vec![3, 0, 1], false)]
    {
        assert_eq!(Permutation::new(places).is_some(), is);
    }
}

#[test]
fn indices_number_their_rows() {
    for (rows, bits) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 20, 20), ((1 << 20) + 1, 21), (1 << 32, 32)] {
        assert_eq!(index_bits(rows), bits);
    }
}

#[test]
fn bits_above_the_width_do_not_count() {
    let index = |v: u32| Column::from_indices([v, 1], 5);
    assert!(index(3) == index(3 + 32) && index(3) != index(4) && index(3) != index(3).narrowed(6));
    let mut c = index(3 + 32);
    c.clear_tails();
    assert!(c.as_slice()[0] == Index(3));
}

#[test]
fn bits_past_the_last_row_do_not_count() {
    let layout = Layout::new(70, 2);
    let (clear, mut rubbish) = (Column::<B64>::zeros(layout), Column::<B64>::zeros(layout));
    rubbish.as_mut_slice()[1] = B64(1 << 6);
    rubbish.as_mut_slice()[3] = B64(u64::MAX << 6);
    assert!(clear == rubbish);
    assert!(rubbish.sum() == clear.sum());
    rubbish.clear_tails();
    assert!(rubbish.as_slice().iter().all(|w| w.0 == 0));
    rubbish.as_mut_slice()[3] = B64(1 << 5);
    assert!(clear != rubbish);
}

#[test]
fn blocks_cover_a_column_once() {
    for len in [0, 1, 1023, 1024, 1025, 5000] {
        let layout = Layout::new(len, 1);
        let number = |at: usize| Z64(at as u64);
        let mut c = Column::build(layout, |at, out| out.iter_mut().zip(at..).for_each(|(v, i)| *v = number(i)));
        assert!(c.as_slice().iter().enumerate().all(|(i, v)| *v == number(i)) && c.rows() == len);
        c.update(|at, block| block.iter_mut().zip(at..).for_each(|(v, i)| *v = v.add(number(i))));
        assert!(c.as_slice().iter().enumerate().all(|(i, v)| *v == number(2 * i)));
        let (a, b) = Column::build_pair(layout, |at, a: &mut [Z64], b| {
            a.iter_mut().zip(at..).for_each(|(v, i)| *v = number(i));
            b.iter_mut().zip(at..).for_each(|(v, i)| *v = number(i + 1));
        });
        assert!(a.as_slice().iter().zip(b.as_slice()).enumerate().all(|(i, (a, b))| *a == number(i) && *b == number(i + 1)));
    }
}

#[test]
fn elements_must_fit_the_layout() {
    assert!(Column::from_elements(vec![Z64(1); 6], Layout::new(3, 2)).is_some());
    assert!(Column::from_elements(vec![Z64(1); 5], Layout::new(3, 2)).is_none());
    assert!(Column::from_elements(vec![B64(1); 4], Layout::new(65, 2)).is_some());
    assert!(Column::from_elements(vec![B64(1); 2], Layout::new(65, 2)).is_none());
}

proptest! {
    #[test]
    fn integers_to_planes_and_back(values in prop::collection::vec(any::<i128>(), 0..140), width in 1usize..=128) {
        let c = Column::from_ints(&values, width);
        let mask = u128::MAX >> (128 - width);
        prop_assert_eq!(c.layout(), Layout::new(values.len(), width));
        prop_assert_eq!(c.to_uints(), values.iter().map(|v| *v as u128 & mask).collect::<Vec<_>>());
    }

    #[test]
    fn bits_as_elements(bits in prop::collection::vec(any::<bool>(), 0..200), cut in 0usize..200) {
        let c = Column::from_bools(&bits);
        let two = Column::stack(&[&c, &c]);
        let all = two.bits_as::<Fp61>(two.layout());
        let truth: Vec<u64> = bits.iter().chain(&bits).map(|b| (*b).into()).collect();
        prop_assert_eq!(all.as_slice().iter().map(|v| v.get()).collect::<Vec<_>>(), truth.clone());
        let cut = cut.min(truth.len());
        let mut rest = vec![Fp61::new(9); truth.len() - cut];
        two.bits_into(cut, &mut rest);
        prop_assert_eq!(rest.iter().map(|v| v.get()).collect::<Vec<_>>(), &truth[cut..]);
        prop_assert!(two.bits_as::<B64>(two.layout()) == two);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), rows in 0usize..80, planes in 0usize..4) {
        let layout = Layout::new(rows, planes);
        let _ = Column::<Fp61>::decode(&bytes, layout);
        let _ = Column::<B64>::decode(&bytes, layout);
        let _ = Column::<Index>::decode(&bytes, layout);
        let _ = Column::<Index>::decode(&bytes, Layout::narrow(rows, planes, 3));
        let _ = Column::<Row64>::decode(&bytes, Layout::narrow(rows, planes, 63));
        let _ = Column::<Fp127>::decode(&bytes, layout);
    }
}
