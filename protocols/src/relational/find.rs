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
use crate::{Abort, Ask, Engine, Input, KeySet, KeyWords, Offer, Offered, Payload, Retrieved, Share, Table, circuit};
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Permutation};
use zeroize::Zeroizing;

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
    let mut arranged = base.clear.map(|keys| Arranged::new(keys, questions(base.key), standing)).transpose()?;
    let ask = Ask { owner: base.owner, count: questions(base.key), keys: arranged.as_mut().and_then(|a| a.asked.take()) };
    let count = ask.count;
    let offered = table.clear.zip(rows).map(|(keys, (bits, fp61, fp127))| Offered { keys: first_of_each(keys), bits, fp61, fp127 });
    let offer = Offer { owner: table.owner, count: questions(table.key), payload, rows: offered };
    let retrieved = e.retrieve(ask, offer)?;

    let differences = answers(e, retrieved, payload)?.differences().padded(e, 0, places - count);
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
        let words = KeyWords::of(keys.key);
        let twice = words.sorted(valid_rows(keys.valid)).windows(2).any(|rows| words.key(rows[0]) == words.key(rows[1]));
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
fn answers<E: Engine>(e: &mut E, Retrieved { check, bits, fp61, fp127 }: Retrieved<E>, payload: Payload) -> Result<Table<E>, Abort> {
    let zero = e.not(&check);
    drop(check);
    let matched = circuit::all(e, &zero)?;
    drop(zero);
    let mut table = Table::new(matched.layout().rows).with::<B64>(matched.clone());
    if payload.bits > 0 {
        let spread = matched.planes(std::iter::repeat_n(0, payload.bits));
        table = table.with::<B64>(e.mul_freeing(spread, &bits)?);
    }
    drop(bits);
    if payload.fp61 > 0 {
        table = table.with::<Fp61>(circuit::bit_times::<E, Fp61>(e, &matched, &fp61)?);
    }
    drop(fp61);
    if payload.fp127 > 0 {
        table = table.with::<Fp127>(circuit::bit_times::<E, Fp127>(e, &matched, &fp127)?);
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
fn valid_rows(valid: &Column<B64>) -> impl Iterator<Item = u32> + Clone {
    (0..valid.rows() as u32).filter(|row| valid.bit(*row as usize, 0))
}

/// Of the rows of each key the first.
fn first_of_each(keys: Keys<'_>) -> KeySet {
    let words = KeyWords::of(keys.key);
    let mut rows = words.sorted(valid_rows(keys.valid));
    rows.dedup_by(|row, before| words.key(*row) == words.key(*before));
    KeySet { words, rows }
}

/// What the asker works out at home.
struct Arranged {
    /// The keys to ask for, in the order in which the arrangement has them.
    asked: Option<KeySet>,
    /// Each answer to the first row of its key in the arrangement, all else to the other rows.
    heads: Permutation,
    /// The arrangement's rows to where they stand; none if it is that order reversed.
    back: Option<Permutation>,
}

impl Arranged {
    fn new(Keys { key, valid }: Keys<'_>, count: usize, standing: Standing) -> Result<Self, Abort> {
        let (words, rows) = (KeyWords::of(key), valid.rows() as u32);
        let sorted = words.sorted(valid_rows(valid));
        let distinct = sorted.chunk_by(|a, b| words.key(*a) == words.key(*b)).count();
        let mut order = Vec::with_capacity(rows as usize);
        match standing {
            Standing::Together => order.extend((0..rows).rev()),
            Standing::Anywhere => {
                order.extend((0..rows).filter(|row| !valid.bit(*row as usize, 0)));
                order.extend(sorted.iter());
            }
        }
        let none = count - distinct;
        let (mut asked, mut heads) = (Zeroizing::new(Vec::with_capacity(distinct)), vec![0; rows as usize]);
        let (mut others, mut last) = ((0..none).chain(count..), None);
        for (place, row) in order.iter().enumerate() {
            let row = valid.bit(*row as usize, 0).then_some(*row);
            let is_head = row.map(|row| words.key(row)) != last.map(|last| words.key(last));
            let from = if is_head {
                let Some(row) = row.filter(|_| asked.len() < distinct) else {
                    return Err(Abort::Refused("rows with equal keys do not stand together as this node was to sort them".into()));
                };
                asked.push(row);
                none + asked.len() - 1
            } else {
                others.next().expect("without end")
            };
            heads[from] = place as u32;
            last = row;
        }
        let each_once = "each place once";
        let back = (standing == Standing::Anywhere).then(|| Permutation::new(order).expect(each_once));
        Ok(Arranged { asked: Some(KeySet { words, rows: asked }), heads: Permutation::new(heads).expect(each_once), back })
    }
}
