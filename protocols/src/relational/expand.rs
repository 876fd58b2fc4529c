//! All pairs of rows with equal keys, up to a public number.
//!
//! *Functionality.* Of two sides every pair of a left and a right row with equal keys, both valid, in `places` rows of which a secret bit says whether they are pairs. More pairs
//! than places is an error, and the one thing that is then known.
//! *Protocol.* Both sides are sorted by key together. A left row has as many pairs as its group has right rows, so prefix sums say where in the result its pairs
//! begin; each place takes the last left row that begins at or before it, as in a [`join`](super::join), and knows by how much it is behind that beginning: so many right rows after
//! the first of its group is the one it takes, by its number, as in a join once more (Krastnikov, Kerschbaum, Stebila, VLDB'20, whose second expansion and alignment this
//! look-up replaces).
//! *Cost.* n = n_L + n_R rows of k key bits, L and R bits that they have, w = log2 n, M places. The sort by the key with L + R + k + 2 bits; k - 1 bits for the groups; the
//! right rows to the front, 3w + (4/3)(w + R), and how many each group has, 11w/3 + 64 * 13 or so; the left rows to the front, 3w + (4/3)(w + L + 129). Then a sort of n_L + 1 + M rows by
//! log2 (M + 1) bits with L + 129 bits, which goes back, and one of n_R + M rows by log2 n_R bits with R bits, which goes back: for many places these two are all that counts. Rounds:
//! those of three radix sorts, 4 + 9 (b/2 - 1) + 2 for b bits, and some sixty ([`cost::pairs`](crate::cost::pairs), exactly). *Leakage.* None but whether there are more
//! pairs than places.

use super::compact::compact_in;
use super::join::{Columns, Side, last_left};
use super::{Bits, Segments, Sorting, first_rows, number_bits, sort, sums_before};
use crate::{Abort, Engine, Share, Table, circuit};
use mpc_core::{B64, Column, Layout, Ring, Z64, index_bits};

/// Pairs of rows.
pub struct Pairs<E: Engine> {
    /// What the left rows have.
    pub left: Table<E>,
    /// What the right rows have.
    pub right: Table<E>,
    /// Which places are pairs; the others hold anything.
    pub valid: Bits<E>,
}

/// A count or a place in the result, which n_L n_R may exceed 2^32.
type Count<E> = <E as Engine>::Share<Z64>;

/// The pairs of rows of `left` and `right` with equal keys, in `places` rows.
pub fn pairs<E: Engine>(e: &mut E, left: Side<E>, right: Side<E>, places: usize, sorting: Sorting) -> Result<Pairs<E>, Abort> {
    let (rows_left, rows_right) = (left.table.rows(), right.table.rows());
    let rows = rows_left + rows_right;
    let mut none = |rows| e.constant(&Column::<B64>::zeros(Layout::new(rows, 1)));
    let (none_left, none_right) = (none(rows_left), none(rows_right));
    let is_left = Share::concat(&[&left.valid, &none_right]);
    let is_right = Share::concat(&[&none_left, &right.valid]);
    let key: Bits<E> = Share::concat(&[&left.key, &right.key]);
    drop((left.key, right.key));
    let lefts = left.table.padded(e, 0, rows_right);
    let columns = Columns::of(&lefts);
    let all = columns.append(lefts, right.table.padded(e, rows_left, 0)).with(key.clone()).with(is_left).with(is_right);
    let (mut all, _) = sort(e, key, all, sorting)?;
    let is_right = all.take_last::<B64>();
    let is_left = all.take_last::<B64>();
    let key = all.take_last::<B64>();
    let (lefts, rights) = columns.split(all);

    // of each row's group: how many right rows there are, and how many come before it
    let first = first_rows(e, &key)?;
    drop(key);
    let rights = compact_in(e, &is_right, rights, index_bits(rows), false)?.table.slice(0..rows_right);
    let ones = e.bits_to::<Z64>(&is_right)?;
    let (segments, mut heads) = Segments::new(e, &first, Table::new(rows).with(sums_before::<E, Z64>(&ones)))?;
    let all = ones.sum();
    drop(ones);
    let starts = heads.take_first::<Z64>();
    let partners = segments.totals::<Z64>(e, &all, &starts)?;
    let first_partner = segments.spread(e, Table::new(rows).with::<Z64>(starts))?.take_first::<Z64>();
    drop(segments);
    let degrees = circuit::bit_times::<E, Z64>(e, &is_left, &partners)?;
    drop(partners);
    let pairs = degrees.sum();
    refuse_more_than(e, &pairs, rows_left, rows_right, places)?;
    let begins = sums_before::<E, Z64>(&degrees);
    drop(degrees);

    // left rows in front, and one behind them, where the pairs end
    let table = lefts.with::<Z64>(begins).with::<Z64>(first_partner).with(is_left.clone());
    let mut table = compact_in(e, &is_left, table, index_bits(rows), false)?.table.slice(0..rows_left).padded(e, 0, 1);
    let is_left = table.take_last::<B64>();
    let (first_partner, begins) = (table.take_last::<Z64>(), table.take_last::<Z64>());
    // rows that are none begin at the end too
    let end = pairs.pick(&vec![0; rows_left + 1]);
    let begins = circuit::bit_times::<E, Z64>(e, &is_left, &begins.sub(&end))?.add(&end);
    drop(end);
    let place_bits = index_bits(places + 1) as usize;
    let begin_bits = circuit::field_bits::<E, Z64>(e, begins.clone(), place_bits)?;
    let place_numbers = e.constant(&number_bits(0, places, place_bits));
    let table = table.with::<Z64>(begins).with::<Z64>(first_partner).with(is_left);
    let mut taken = last_left(e, (begin_bits, table), place_numbers, Sorting::default())?;
    let valid = taken.take_last::<B64>();
    let (first_partner, begins) = (taken.take_last::<Z64>(), taken.take_last::<Z64>());

    // right rows by their numbers
    let numbers = e.constant(&Column::from_rows((0..places).map(|i| Z64(i as u64)).collect()));
    let wanted = first_partner.add(&numbers.sub(&begins));
    drop((first_partner, begins, numbers));
    let partner_bits = index_bits(rows_right) as usize;
    let wanted = circuit::field_bits::<E, Z64>(e, wanted, partner_bits)?;
    let right_numbers = e.constant(&number_bits(0, rows_right, partner_bits));
    let partners = last_left(e, (right_numbers, rights), wanted, Sorting::default())?;
    Ok(Pairs { left: taken, right: partners, valid })
}

/// Ends with an error if there are more pairs than places.
fn refuse_more_than<E: Engine>(e: &mut E, pairs: &Count<E>, rows_left: usize, rows_right: usize, places: usize) -> Result<(), Abort> {
    let most = rows_left as u128 * rows_right as u128;
    if most <= places as u128 {
        return Ok(());
    }
    let bits = (u128::BITS - most.leading_zeros()) as usize;
    let pairs = circuit::field_bits::<E, Z64>(e, pairs.clone(), bits.min(Z64::BITS as usize))?;
    let bound = Column::from_ints(&[places as i128], pairs.layout().planes);
    let more = circuit::greater_public(e, &pairs, &bound)?;
    let more = e.verify(more)?;
    if e.open(&more)?.bit(0, 0) {
        return Err(Abort::Data(format!(
            "the join has more pairs of rows than the {places} places it was given; raise the bound or narrow the join"
        )));
    }
    Ok(())
}
