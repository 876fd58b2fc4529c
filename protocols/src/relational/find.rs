//! A join whose sides are in clear at their owners: for each row of one party the row of another with equal keys, unique there.
//!
//! *Functionality.* P_A knows which keys its n rows have, and which have none; P_B knows its m rows and theirs. Everyone has shares of a bit for each row of A, in A's order, that says
//! whether a row of B has its key, and of what that row has, zeros where there is none. Nobody learns more than n, m and widths: neither which rows match nor how many, nor which
//! rows have a key, nor how often one occurs. (A circuit-PSI with payloads, whose output goes on secretly: Pinkas, Schneider, Tkachenko, Yanai, EUROCRYPT'19; joins in this
//! setting: Mohassel, Rindal, Rosulek, CCS'20, who need no owner to know the keys, and shuffle both sides instead.)
//! *Protocol.* A asks for each distinct key once ([`Engine::retrieve`]), and for none until the number of questions is public: n, or as many as there are keys. The check is
//! compared with 0, what was retrieved zeroed where it is not. A row of A has what its key has: the answers stand in the order in which A puts the rows of a
//! key side by side, unasked ones, which are zeros, in front; the difference of each to the one before is moved to the first row of its key ([`Engine::permute_by`]), others, all
//! of them zeros, anywhere; sums from the first row down give each row its answer. If A's rows do not stand together by keys already, it permutes them back.
//! *Why not bins.* Circuit-PSI proper has A's keys in bins by cuckoo hashing and compares each with all that B has put into the bin, or with one value that B programs a bin. Both need
//! 1.27 n comparisons, and bounds on failure that are extrapolated from experiments. With a third party who computes pads for tags it cannot read, a key is its own bin.
//! *Rounds.* 2 to retrieve, log2 (40 + log2 n) to compare, 1 for bits (elements: 3), 2 to permute; 2 more if rows do not stand together ([`cost::find`](crate::cost::find)).
//! *Bits.* For n = m = 10^5 and W bits of payload A sends 75 + 57 + W to ask and share, 56 + W to compare and zero, 17 + 2 (W + 1) to permute: some 200 + 4W; where the radix
//! sort of both sides takes (4w + 1) + 7 (23w/3 + 11/3) bits a row of either at 16 bits of key, w = 18: some 2100 for each row of A. *Leakage.* None.

use super::Bits;
use crate::retrieve::words;
use crate::{Abort, Ask, Engine, Input, Offer, Offered, Payload, Retrieved, Share, Table, circuit};
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Permutation};
use std::collections::{HashMap, HashSet};

/// Rows whose keys their owner knows in clear.
pub struct Known<'a> {
    /// Who.
    pub owner: PartyId,
    /// The public shape of the key.
    pub key: Layout,
    /// The keys at their owner.
    pub clear: Option<Keys<'a>>,
}

/// Keys in clear.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The key's planes.
    pub key: &'a Column<B64>,
    /// Which rows have one: one plane.
    pub valid: &'a Column<B64>,
}

/// Rows in clear: bits, elements, wide elements.
pub type Clear<'a> = (&'a Column<B64>, &'a Column<Fp61>, &'a Column<Fp127>);

/// How the rows that look for others stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Rows of equal keys side by side, those without a key behind all others.
    Together,
    /// In any order.
    Anywhere,
}

/// What each row has found.
pub struct Found<E: Engine> {
    /// Whether there is such a row.
    pub matched: Bits<E>,
    /// What it has, 0 where there is none.
    pub bits: Bits<E>,
    /// Its elements, likewise.
    pub fp61: E::Share<Fp61>,
    /// Its wide elements, likewise.
    pub fp127: E::Share<Fp127>,
}

/// For each row of `base` the row of `table` with its key. `rows` is what the rows of `table` have, at their owner; of rows with equal keys it is the first.
pub fn find<E: Engine>(
    e: &mut E,
    (base, standing): (&Known<'_>, Standing),
    table: &Known<'_>,
    payload: Payload,
    rows: Option<Clear<'_>>,
) -> Result<Found<E>, Abort> {
    assert_eq!(base.key.planes, table.key.planes, "both sides have keys of the same width");
    let places = base.key.rows;
    if places == 0 || table.key.rows == 0 {
        let layout = |planes| Layout::new(places, planes);
        return Ok(Found {
            matched: e.constant(&Column::zeros(layout(1))),
            bits: e.constant(&Column::zeros(layout(payload.bits))),
            fp61: e.constant(&Column::zeros(layout(payload.fp61))),
            fp127: e.constant(&Column::zeros(layout(payload.fp127))),
        });
    }
    let base_words = base.clear.map(|keys| words(keys.key));
    let arranged = match (&base.clear, &base_words) {
        (Some(keys), Some(words)) => Some(Arranged::new(keys.valid, words, questions(base.key), standing)?),
        _ => None,
    };
    let ask = Ask { owner: base.owner, count: questions(base.key), keys: arranged.as_ref().map(|a| &a.asked[..]) };
    let table_words = table.clear.map(|keys| words(keys.key));
    let offered = match (&table.clear, &table_words, rows) {
        (Some(keys), Some(words), Some(rows)) => Some(Distinct::new(keys.valid, words, rows)),
        _ => None,
    };
    let offer = Offer { owner: table.owner, count: questions(table.key), payload, rows: offered.as_ref().map(Distinct::offered) };
    let retrieved = e.retrieve(&ask, &offer)?;
    let answers = answers(e, retrieved, payload)?;

    let differences = answers.differences().padded(e, 0, places - ask.count);
    let (heads, back) = (arranged.as_ref().map(|a| &a.heads), arranged.as_ref().and_then(|a| a.back.as_ref()));
    let spread = e.permute_by(base.owner, heads, differences)?.prefix_sums();
    let found = match standing {
        // they were arranged from the last to the first
        Standing::Together => spread.fetch(&Permutation::new((0..places as u32).rev().collect()).expect("each place once")),
        Standing::Anywhere => e.permute_by(base.owner, back, spread)?,
    };
    Ok(taken(e, found, payload))
}

/// Opens whether two rows of `table` have the same key: 2 rounds, one bit in each.
pub fn has_repeats<E: Engine>(e: &mut E, table: &Known<'_>) -> Result<bool, Abort> {
    let repeats = table.clear.map(|keys| {
        let (words, width) = (words(keys.key), keys.key.planes().div_ceil(64));
        let mut seen = HashSet::new();
        let twice = valid_rows(keys.valid).any(|row| !seen.insert(&words[row * width..][..width]));
        Column::from_bools(&[twice])
    });
    let bit = e.input(&[Input::new(table.owner, Layout::new(1, 1), repeats.as_ref())])?.remove(0);
    let bit = e.verify(bit)?;
    Ok(e.open::<B64>(&bit)?.bit(0, 0))
}

/// How many keys rows of this key can have: public.
pub(crate) fn questions(key: Layout) -> usize {
    1_usize.checked_shl(u32::try_from(key.planes).unwrap_or(u32::MAX)).map_or(key.rows, |all| all.min(key.rows))
}

/// Whether each answer was found and, where it was, what it has: zeros elsewhere.
fn answers<E: Engine>(e: &mut E, retrieved: Retrieved<E>, payload: Payload) -> Result<Table<E>, Abort> {
    let zero = e.not(&retrieved.check);
    drop(retrieved.check);
    let matched = circuit::all(e, &zero)?;
    drop(zero);
    let mut table = Table::new(matched.layout().rows).with::<B64>(matched.clone());
    if payload.bits > 0 {
        let spread = matched.planes(std::iter::repeat_n(0, payload.bits));
        table = table.with::<B64>(e.mul(&spread, &retrieved.bits)?);
    }
    if payload.fp61 > 0 {
        table = table.with::<Fp61>(circuit::bit_times::<E, Fp61>(e, &matched, &retrieved.fp61)?);
    }
    if payload.fp127 > 0 {
        table = table.with::<Fp127>(circuit::bit_times::<E, Fp127>(e, &matched, &retrieved.fp127)?);
    }
    Ok(table)
}

/// The columns of [`answers`].
fn taken<E: Engine>(e: &mut E, mut table: Table<E>, payload: Payload) -> Found<E> {
    let none = Layout::new(table.rows(), 0);
    let mut bits = table.take::<B64>().into_iter();
    Found {
        matched: bits.next().expect("the first column says what was found"),
        bits: bits.next().unwrap_or_else(|| e.constant(&Column::zeros(none))),
        fp61: if payload.fp61 > 0 { table.take_first::<Fp61>() } else { e.constant(&Column::zeros(none)) },
        fp127: if payload.fp127 > 0 { table.take_first::<Fp127>() } else { e.constant(&Column::zeros(none)) },
    }
}

/// The rows that have a key.
fn valid_rows(valid: &Column<B64>) -> impl Iterator<Item = usize> {
    (0..valid.rows()).filter(|row| valid.bit(*row, 0))
}

/// What the asker works out at home.
struct Arranged<'a> {
    /// The distinct keys, behind as many places without one as are left.
    asked: Vec<Option<&'a [u64]>>,
    /// Each answer to the first row of its key in the arrangement, all else to the other rows.
    heads: Permutation,
    /// The arrangement's rows to where they stand; none if it is that order reversed.
    back: Option<Permutation>,
}

impl<'a> Arranged<'a> {
    fn new(valid: &Column<B64>, words: &'a [u64], count: usize, standing: Standing) -> Result<Self, Abort> {
        let (rows, width) = (valid.rows(), words.len() / valid.rows().max(1));
        // the number of each row's key, from 1 in the order of its first row; 0 for none
        let mut keys: Vec<&[u64]> = Vec::new();
        let mut numbers: HashMap<&[u64], u32> = HashMap::new();
        let mut key_of = vec![0; rows];
        for row in valid_rows(valid) {
            let key = &words[row * width..][..width];
            key_of[row] = *numbers.entry(key).or_insert_with(|| {
                keys.push(key);
                keys.len() as u32
            });
        }
        let order: Vec<u32> = match standing {
            Standing::Together => (0..rows as u32).rev().collect(),
            Standing::Anywhere => {
                let mut next = vec![0; keys.len() + 1];
                key_of.iter().for_each(|key| next[*key as usize] += 1);
                let mut start = 0;
                next.iter_mut().for_each(|n| start += std::mem::replace(n, start));
                let mut order = vec![0; rows];
                for (key, row) in key_of.iter().zip(0..) {
                    let place = &mut next[*key as usize];
                    order[*place as usize] = row;
                    *place += 1;
                }
                order
            }
        };
        let mut asked = vec![None; count - keys.len()];
        let mut heads = vec![0; rows];
        let (mut next_head, mut next_other, mut last) = (asked.len(), 0, 0);
        let others = |next: usize| if next < count - keys.len() { next } else { next + keys.len() };
        for (place, row) in order.iter().enumerate() {
            let key = key_of[*row as usize];
            let from = if key != last {
                if key == 0 || next_head == count {
                    return Err(Abort::Refused("rows with equal keys do not stand together as this node was to sort them".into()));
                }
                asked.push(Some(keys[key as usize - 1]));
                next_head += 1;
                next_head - 1
            } else {
                next_other += 1;
                others(next_other - 1)
            };
            heads[from] = place as u32;
            last = key;
        }
        let each_once = "each place once";
        let back = (standing == Standing::Anywhere).then(|| Permutation::new(order).expect(each_once));
        Ok(Arranged { asked, heads: Permutation::new(heads).expect(each_once), back })
    }
}

/// The rows that are offered: of each key the first.
struct Distinct<'a> {
    keys: Vec<&'a [u64]>,
    bits: Column<B64>,
    fp61: Column<Fp61>,
    fp127: Column<Fp127>,
}

impl<'a> Distinct<'a> {
    fn new(valid: &Column<B64>, words: &'a [u64], (bits, fp61, fp127): Clear<'_>) -> Self {
        let width = words.len() / valid.rows().max(1);
        let mut seen = HashSet::new();
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for row in valid_rows(valid) {
            let key = &words[row * width..][..width];
            if seen.insert(key) {
                keys.push(key);
                rows.push(row as u32);
            }
        }
        Distinct { keys, bits: bits.pick(&rows), fp61: fp61.pick(&rows), fp127: fp127.pick(&rows) }
    }

    fn offered(&self) -> Offered<'_> {
        Offered { keys: &self.keys, bits: &self.bits, fp61: &self.fp61, fp127: &self.fp127 }
    }
}
