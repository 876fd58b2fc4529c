//! Which sort is quickest here: one cost model for all.
//!
//! *Functionality.* From public sizes (rows, bits of the key, what moves) and the network, the algorithm of least estimated time, with the alternatives.
//! *Method.* Bytes of the party that sends most over the bandwidth, a round trip's half for each round, and the local work a row, measured. Radix sorts send little for
//! short keys, samplesort for long ones; wider digits and the moving variant buy rounds with bytes.
//! *Memory.* Digits of three bits are for 2^15 rows at most. A row's seven products of a digit's bits are 56 bytes as indices and 28 on their way, where its key of 64 bits
//! and its place are 24; two bits take three products. Two bits are as quick for more rows, unless a round trip takes tens of milliseconds.

use super::{MANY, Radix, Sorting};
use crate::cost::{self, Cost, Opening};
use crate::table::Message;
use mpc_core::index_bits;

/// What the parties have between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Bits a second that one party can send.
    pub bandwidth: f64,
    /// Seconds there and back.
    pub round_trip: f64,
}

impl Network {
    /// Three processes on one machine.
    pub const LOOPBACK: Network = Network { bandwidth: 10e9, round_trip: 100e-6 };
    /// One data centre.
    pub const LAN: Network = Network { bandwidth: 1e9, round_trip: 500e-6 };
    /// Agencies in a country.
    pub const WAN: Network = Network { bandwidth: 100e6, round_trip: 40e-3 };

    /// Seconds a cost takes on the wire.
    pub fn seconds(&self, cost: &Cost) -> f64 {
        8.0 * cost.max_bytes() as f64 / self.bandwidth + cost.rounds as f64 * self.round_trip / 2.0
    }
}

/// An algorithm and what it is estimated to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Which.
    pub sorting: Sorting,
    /// Its cost; for samplesort the expected one.
    pub cost: Cost,
    /// Seconds, network and local work.
    pub seconds: f64,
}

/// All ways to sort `rows` rows that carry `moved` by keys of `key` bits, the quickest first.
pub fn choices(rows: usize, key: usize, moved: Message, network: Network) -> Vec<Choice> {
    let width = index_bits(rows);
    let digits = if rows > MANY { 1..=2 } else { 1..=3 };
    let radix = digits.flat_map(|digit| [false, true].map(|moving| Radix { digit, moving }));
    let mut all: Vec<Choice> = radix
        .map(Sorting::Radix)
        .chain([Sorting::Samplesort])
        .map(|sorting| {
            let cost = cost::sort(rows, width, key, sorting, moved, 0, Opening::Within);
            Choice { sorting, cost, seconds: network.seconds(&cost) + sort_work(rows, key, sorting) }
        })
        .collect();
    all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    all
}

/// The quickest of [`choices`].
pub fn choose(rows: usize, key: usize, moved: Message, network: Network) -> Sorting {
    choices(rows, key, moved, network).first().map_or_else(Sorting::default, |choice| choice.sorting)
}

/// Seconds of local work of a sort.
pub fn sort_work(rows: usize, key: usize, sorting: Sorting) -> f64 {
    match sorting {
        Sorting::Radix(radix) => key.div_ceil(radix.digit) as f64 * RADIX[radix.digit - 1] * rows as f64,
        Sorting::Samplesort => {
            let (_, comparisons) = cost::samplesort(rows, key, Message::default(), 0);
            comparisons * (key as f64 + f64::from(index_bits(rows))) * COMPARISON
        }
    }
}

/// Seconds of local work to retrieve as many rows as are `asked` for of those that are `offered`, of all who do it one after the other.
pub fn find_work(asked: usize, offered: usize) -> f64 {
    asked as f64 * ASKED + offered as f64 * OFFERED
}

/// Seconds of local work a row and digit of one, two and three bits, measured (`cargo run -p bench -- relational --local`): those of one and of two bits take 56 and 72 ns at 10^5
/// rows, 73 and 101 ns at 10^6, which no longer fit the caches; those of three 123 ns.
const RADIX: [f64; 3] = [60e-9, 80e-9, 130e-9];
/// Seconds of local work a compared bit, measured likewise: 1.04 ns at 10^5 rows, 0.9 ns at 10^6.
const COMPARISON: f64 = 0.95e-9;
/// Seconds of local work a row that asks and one that is offered, measured (`cargo run -p bench -- relational`).
const ASKED: f64 = 1.0e-6;
const OFFERED: f64 = 1.5e-6;
