//! What relational operators cost: formulas of rows, widths and what moves.

use super::{Cost, all, bit_times, bits_to, equal, input, less, levels, open, product};
use crate::relational::{FEW, JoinOptions, LAST, Radix, Sorting, Standing, all_pairs, at_once, last_comparisons, questions, samples};
use crate::retrieve::{Payload, Sizes};
use crate::table::Message;
use mpc_core::{B64, Fp61, Fp127, Index, Layout, PartyId, Ring, index_bits};

/// A shuffle or its undoing: 1, 2 and 1 messages that carry the table; the t-th shuffle of a run (from 0) starts at P_{t mod 3}.
pub fn shuffle(message: Message, turn: u64) -> Cost {
    let start = (turn % 3) as usize;
    let times = |p: usize| if p == (start + 1) % 3 { 2 } else { 1 };
    Cost { bits: std::array::from_fn(|p| times(p) * message.bits), bytes: std::array::from_fn(|p| times(p) * message.bytes), rounds: 2 }
}

/// A permutation that `owner` alone knows: it sends the table twice and one permutation, the others the table once.
pub fn permute_by(owner: PartyId, rows: usize, message: Message) -> Cost {
    let places = Message::of::<Index>(Layout::narrow(rows, 1, index_bits(rows)));
    let by = |p: usize| if p == owner.index() { message + message + places } else { message };
    Cost { bits: std::array::from_fn(|p| by(p).bits), bytes: std::array::from_fn(|p| by(p).bytes), rounds: 2 }
}

/// Rows by keys: the asker sends tags, the owner a store, then asker and third party their summands.
pub fn retrieve(asker: (PartyId, usize), owner: (PartyId, usize), payload: Payload) -> Cost {
    let (asker, owner) = ((asker.0, Sizes { asked: asker.1, offered: owner.1, payload }), owner.0);
    let (asker, sizes) = asker;
    let third = PartyId(3 - asker.0 - owner.0);
    let both = |layout| [asker, third].map(|from| (from, layout));
    let summands = [
        Cost::round::<B64>(both(sizes.bits())),
        Cost::round::<Fp61>(both(sizes.elements::<Fp61>())),
        Cost::round::<Fp127>(both(sizes.elements::<Fp127>())),
    ];
    Cost::round::<B64>([(asker, sizes.tags()), (owner, sizes.store())]).then(Cost::at_once(summands))
}

/// A join whose sides are in clear at their owners: by `base`, in which rows stand so, with `table`, keys of `key` bits on both sides.
pub fn find(base: (PartyId, usize), standing: Standing, table: (PartyId, usize), key: usize, payload: Payload) -> Cost {
    let rows = base.1;
    if rows == 0 || table.1 == 0 {
        return Cost::FREE;
    }
    let asked = questions(Layout::new(rows, key));
    let offered = questions(Layout::new(table.1, key));
    let check = Sizes { asked, offered, payload }.check_bits();
    fn none(planes: usize, cost: Cost) -> Cost {
        if planes > 0 { cost } else { Cost::FREE }
    }
    let zeroed = [
        none(payload.bits, product::<B64>(Layout::new(asked, payload.bits))),
        none(payload.fp61, bit_times::<Fp61>(Layout::new(asked, payload.fp61))),
        none(payload.fp127, bit_times::<Fp127>(Layout::new(asked, payload.fp127))),
    ];
    let moved = Message::of::<B64>(Layout::new(rows, 1 + payload.bits))
        + Message::of::<Fp61>(Layout::new(rows, payload.fp61))
        + Message::of::<Fp127>(Layout::new(rows, payload.fp127));
    let spread = permute_by(base.0, rows, moved);
    let back = if standing == Standing::Anywhere { spread } else { Cost::FREE };
    let answers = retrieve((base.0, asked), (table.0, offered), payload).then(all(asked, check)).then(zeroed.into_iter().sum());
    answers.then(spread).then(back)
}

/// Whether two rows of `owner` have the same key: one bit, opened.
pub fn has_repeats(owner: PartyId) -> Cost {
    input::<B64>([(owner, Layout::new(1, 1))]).then(open::<B64>(Layout::new(1, 1)))
}

/// When the places of rows that are shuffled are opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Opening {
    /// In the shuffle's last round.
    #[default]
    Within,
    /// In a round after it, as a scheme must that verifies before it opens.
    After,
}

/// Rows to `places`: a shuffle of both, with the places opened. Within it, the party where it starts sends nothing for that, the others one message of places.
pub fn apply(places: Layout, message: Message, turn: u64, opening: Opening) -> Cost {
    let shuffled = shuffle(message + Message::of::<Index>(places), turn);
    match opening {
        Opening::After => shuffled.then(open::<Index>(places)),
        Opening::Within => {
            let start = (turn % 3) as u8;
            let others = [1, 2].map(|by| (PartyId(start).right(by, 3), places));
            Cost::at_once([shuffled, Cost::round::<Index>(others)])
        }
    }
}

/// One permutation after another: places undone.
pub fn compose(rows: usize, width: u32, turn: u64) -> Cost {
    shuffle(Message::of::<Index>(Layout::narrow(rows, 1, width)), turn)
}

/// Places by a digit of `bits` bits: 2w, 4w + 1 or 8w + 4 bits a row, 3, 4 or 5 rounds.
pub fn digit(rows: usize, width: u32, bits: usize) -> Cost {
    let levels = levels(rows, [&[][..], &[1], &[3, 1]][bits - 1].iter().copied());
    let converted = bits_to::<Index>(Layout::narrow(rows, (1 << bits) - 1, width));
    levels.then(converted).then(product::<Index>(Layout::narrow(rows, 1, width)))
}

/// Stable compaction: 3w + (4/3)(w + W) bits a row, 6 rounds.
pub fn compact(rows: usize, width: u32, message: Message, turn: u64, opening: Opening) -> Cost {
    digit(rows, width, 1).then(apply(Layout::narrow(rows, 1, width), message, turn, opening))
}

/// The places of a radix sort by digits of `radix.digit` bits, the last narrower, of keys of `key` bits; and the turn after it.
pub fn radix_places(rows: usize, width: u32, key: usize, radix: Radix, turn: u64, opening: Opening) -> (Cost, u64) {
    let places = Layout::narrow(rows, 1, width);
    let index = Message::of::<Index>(places);
    let bits = |planes| Message::of::<B64>(Layout::new(rows, planes));
    let (mut cost, mut turn, mut done) = (Cost::FREE, turn, 0);
    while done < key {
        let digit_bits = radix.digit.min(key - done);
        if done > 0 {
            let message = if radix.moving { bits(key - done) + index } else { bits(digit_bits) };
            cost = cost.then(apply(places, message, turn, opening));
        }
        cost = cost.then(digit(rows, width, digit_bits));
        if done > 0 {
            cost = if radix.moving { cost } else { cost.then(compose(rows, width, turn)) };
            turn += 1;
        }
        done += digit_bits;
    }
    if radix.moving && key > radix.digit {
        cost = cost.then(apply(places, index, turn, opening));
        turn += 1;
    }
    (cost, turn)
}

/// A sort, rows included; by samplesort the expected cost.
pub fn sort(rows: usize, width: u32, key: usize, sorting: Sorting, message: Message, turn: u64, opening: Opening) -> Cost {
    match sorting {
        Sorting::Samplesort => samplesort(rows, key, message, turn).0,
        Sorting::Radix(radix) => {
            let (cost, turn) = radix_places(rows, width, key, radix, turn, opening);
            cost.then(apply(Layout::narrow(rows, 1, width), message, turn, opening))
        }
    }
}

/// What samplesort is expected to cost, and how many comparisons it makes: the shuffle with key and number, then for each level, or each part of one that is compared at
/// once, a comparison of as many rows as it has, and its opening.
pub fn samplesort(rows: usize, key: usize, message: Message, turn: u64) -> (Cost, f64) {
    let key = Layout::new(rows, key + index_bits(rows) as usize);
    let (ordering, comparisons) = ordering(key);
    (shuffle(message + Message::of::<B64>(key), turn).then(ordering), comparisons)
}

/// What it is expected to cost to find the order of rows, by keys of this layout, once they are shuffled, and how many comparisons it takes: exactly, where few rows are compared
/// all with all.
pub fn ordering(key: Layout) -> (Cost, f64) {
    let compared = |rows| less(rows, key.planes).then(open::<B64>(Layout::new(rows, 1)));
    if key.rows <= FEW {
        let pairs = all_pairs(key.rows);
        return (if pairs == 0 { Cost::FREE } else { compared(pairs) }, pairs as f64);
    }
    let (levels, comparisons) = comparisons(key.rows);
    let level = compared(1);
    let bits = (level.bits[0] as f64 * comparisons) as u64;
    (Cost { bits: [bits; 3], bytes: [bits.div_ceil(8); 3], rounds: level.rounds * levels }, comparisons)
}

/// Levels of a samplesort, each as often as it has parts, and comparisons in all, expected.
fn comparisons(rows: usize) -> (u64, f64) {
    let samples = samples(rows);
    let (levels, compared) = if samples > 0 { comparisons(samples) } else { (0, 0.0) };
    let others = (rows - samples) as f64;
    let steps = u64::from((samples + 1).ilog2()) * parts(others, rows);
    let mean = others / (samples + 1) as f64;
    // expected numbers of runs of rows between samples, by their size: geometric, or all rows one run
    let segments = if samples == 0 {
        (0..=rows).map(|size| f64::from(u8::from(size == rows))).collect()
    } else {
        let stays = mean / (1.0 + mean);
        let longest = (mean * (rows as f64).ln()).ceil() as i32;
        (0..=longest).map(|size| (samples + 1) as f64 * (1.0 - stays) * stays.powi(size)).collect()
    };
    let (within_levels, within) = quicksort(segments, rows);
    (levels + steps + within_levels, compared + others * f64::from((samples + 1).ilog2()) + within)
}

/// In how many parts so many rows are compared where `all` are sorted.
fn parts(compared: f64, all: usize) -> u64 {
    (compared / at_once(all) as f64).ceil() as u64
}

/// Levels and comparisons of a quicksort of `segments[m]` runs of m rows, expected, where `rows` are sorted in all; all are compared with all once those are few.
fn quicksort(mut segments: Vec<f64>, rows: usize) -> (u64, f64) {
    let last = last_comparisons(rows) as f64;
    let pairs = |size: usize| (size * size.saturating_sub(1) / 2) as f64;
    let (mut levels, mut compared) = (0, 0.0);
    loop {
        let all: f64 = segments.iter().enumerate().map(|(size, many)| many * pairs(size)).sum();
        if all < 0.5 {
            return (levels, compared);
        }
        if all <= last {
            return (levels + parts(all, rows), compared + all);
        }
        let mut next = vec![0.0; segments.len()];
        // a pivot is as likely to be any of the rows: each size below comes twice for each of them
        let (mut below, mut now) = (0.0, 0.0);
        for (size, many) in segments.iter().enumerate().rev() {
            next[size] = below;
            now += many * if size <= LAST { pairs(size) } else { (size - 1) as f64 };
            below += if size <= LAST { 0.0 } else { 2.0 * many / size as f64 };
        }
        levels += parts(now, rows);
        compared += now;
        segments = next;
    }
}

/// Sums by group of sorted keys of `key` bits, `values` a plane each, `bits` carried and not blanked; `blank` zeroes the sums beyond the groups.
pub fn group_sums<R: Ring>(width: u32, key: usize, values: Layout, bits: usize, blank: bool, turn: u64, opening: Opening) -> Cost {
    let rows = values.rows;
    let moved = Message::of::<B64>(Layout::new(rows, key + bits + usize::from(blank))) + Message::of::<R>(values);
    let sums = equal(rows.saturating_sub(1), key, 0).then(compact(rows, width, moved, turn, opening));
    if blank { sums.then(bits_to::<R>(values.with_planes(1))).then(product::<R>(values)) } else { sums }
}

/// Whether rows match after a join's sort: k + 1 bits a row.
pub fn join_match(rows: usize, key: usize) -> Cost {
    equal(rows, key, 2)
}

/// A join of `rows` rows on both sides by keys of `key` bits; `bits` of left and of right travel beside keys and flags.
pub fn join(rows: usize, width: u32, key: usize, bits: usize, options: JoinOptions, turn: u64, opening: Opening) -> Cost {
    let moved = Message::of::<B64>(Layout::new(rows, 2 * key + bits + 3));
    let sorted = sort(rows, width, key + usize::from(options.right_filtered), options.sorting, moved, turn, opening);
    let joined = sorted.then(join_match(rows, key));
    if options.left_flag { joined.then(product::<B64>(Layout::new(rows.saturating_sub(1), 1))) } else { joined }
}

/// Distinct rows by keys of `key` bits; `bits` travel beside keys and flags.
pub fn distinct(rows: usize, width: u32, key: usize, bits: usize, sorting: Sorting, turn: u64, opening: Opening) -> Cost {
    let moved = Message::of::<B64>(Layout::new(rows, key + 1 + bits));
    let others = rows.saturating_sub(1);
    sort(rows, width, key + 1, sorting, moved, turn, opening).then(equal(others, key, 0)).then(product::<B64>(Layout::new(others, 1)))
}
