//! Columns by rows: slices, concatenation, prefix sums, and rows that move. Bit-planes move as words of row bits, turned 64 by 64: one access to memory
//! a row and word, never one a bit.

use crate::{Column, Layout, Permutation, Ring};
use std::borrow::Cow;
use zeroize::{DefaultIsZeroes, Zeroize};

// How many bits is the layout's width.
macro_rules! row_of_bits {
    ($name:ident, $word:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(pub $word);

        impl Ring for $name {
            const NAME: &'static str = "Z2 by rows";
            const BITS: u32 = <$word>::BITS;
            const ROWS: usize = 1;
            const SAMPLE: usize = size_of::<$word>();
            const ZERO: Self = $name(0);
            const ONE: Self = $name(<$word>::MAX);

            #[inline(always)]
            fn add(self, o: Self) -> Self {
                $name(self.0 ^ o.0)
            }
            #[inline(always)]
            fn sub(self, o: Self) -> Self {
                $name(self.0 ^ o.0)
            }
            #[inline(always)]
            fn mul(self, o: Self) -> Self {
                $name(self.0 & o.0)
            }
            #[inline(always)]
            fn sample(bytes: &[u8]) -> Option<Self> {
                let mut word = [0; size_of::<$word>()];
                word.copy_from_slice(&bytes[..size_of::<$word>()]);
                Some($name(<$word>::from_le_bytes(word)))
            }
            #[inline(always)]
            fn low_bits(self, bits: u32) -> Self {
                $name(self.0 & <$word>::MAX >> (<$word>::BITS - bits))
            }
            #[inline(always)]
            fn to_bits(self) -> u128 {
                self.0.into()
            }
            #[inline(always)]
            fn from_bits(bits: u128) -> Option<Self> {
                <$word>::try_from(bits).ok().map($name)
            }
        }

        impl DefaultIsZeroes for $name {}
    };
}

row_of_bits!(Row8, u8, "Up to 8 bits of one row side by side: addition is XOR, multiplication is AND.");
row_of_bits!(Row32, u32, "Up to 32 bits of one row side by side, as [`Row8`].");
row_of_bits!(Row64, u64, "Up to 64 bits of one row side by side, as [`Row8`].");

/// Words of a plane in a line of the cache: planes are read and written a line at a time.
const LINE: usize = 8;

impl<R: Ring> Column<R> {
    /// Row i at `to.places()[i]`.
    pub fn place(self, to: &Permutation) -> Self {
        assert_eq!(to.len(), self.layout.rows, "a permutation of these rows");
        if R::ROWS == 1 {
            let mut placed = Column::zeros(self.layout);
            for (rows, placed) in self.data.chunks(to.len().max(1)).zip(placed.data.chunks_mut(to.len().max(1))) {
                to.places().iter().zip(rows).for_each(|(to, v)| placed[*to as usize] = *v);
            }
            return placed;
        }
        let layout = self.layout;
        Self::rearranged(Cow::Owned(self), layout, |rows| rows.place(to), |rows| rows.place(to), |rows| rows.place(to))
    }

    /// Row `from.places()[j]` at j: the inverse of [`place`](Self::place).
    pub fn fetch(self, from: &Permutation) -> Self {
        assert_eq!(from.len(), self.layout.rows, "a permutation of these rows");
        Self::picked(Cow::Owned(self), from.places())
    }

    /// Row `rows[i]` of every plane at row i; a row may be repeated or left out.
    pub fn pick(&self, rows: &[u32]) -> Self {
        Self::picked(Cow::Borrowed(self), rows)
    }

    fn picked(all: Cow<'_, Self>, rows: &[u32]) -> Self {
        let layout = all.layout.with_rows(rows.len());
        if R::ROWS == 1 {
            let mut data = Vec::with_capacity(layout.len::<R>());
            for plane in (0..layout.planes).map(|i| all.plane(i)) {
                data.extend(rows.iter().map(|from| plane[*from as usize]));
            }
            return Column { data, layout };
        }
        Self::rearranged(all, layout, |all| all.pick(rows), |all| all.pick(rows), |all| all.pick(rows))
    }

    /// Bit-planes rearranged as words of row bits, of the narrowest kind that will do. Planes that were given up are freed before the last words move.
    fn rearranged(
        planes: Cow<'_, Self>,
        layout: Layout,
        narrow: impl Fn(Column<Row8>) -> Column<Row8>,
        half: impl Fn(Column<Row32>) -> Column<Row32>,
        wide: impl Fn(Column<Row64>) -> Column<Row64>,
    ) -> Self {
        let (mut planes, mut out) = (Some(planes), None);
        for first in (0..layout.planes).step_by(64) {
            match layout.planes - first {
                0..=8 => Self::rearrange(&mut planes, &mut out, layout, first, &narrow),
                9..=32 => Self::rearrange(&mut planes, &mut out, layout, first, &half),
                _ => Self::rearrange(&mut planes, &mut out, layout, first, &wide),
            }
        }
        out.unwrap_or_else(|| Column::zeros(layout))
    }

    fn rearrange<W: Ring>(
        planes: &mut Option<Cow<'_, Self>>,
        out: &mut Option<Self>,
        layout: Layout,
        first: usize,
        rearranged: impl Fn(Column<W>) -> Column<W>,
    ) {
        let rows = planes.as_ref().expect("there until the last have been read").by_rows(first);
        if first + 64 >= layout.planes {
            *planes = None;
        }
        let rows = rearranged(rows);
        out.get_or_insert_with(|| Column::zeros(layout)).set_rows(first, &rows);
    }

    /// The bit-planes from `first` on, as many as a `W` holds, as words of row bits: bit i of a row is plane `first` + i.
    pub fn by_rows<W: Ring>(&self, first: usize) -> Column<W> {
        assert!(R::ROWS == 64 && W::ROWS == 1, "bit-planes become words of rows");
        let width = (self.layout.planes - first).min(W::BITS as usize);
        let layout = Layout::narrow(self.layout.rows, 1, width as u32);
        let mut data: Vec<W> = Vec::with_capacity(self.layout.rows);
        let planes: Vec<&[R]> = (first..first + width).map(|i| self.plane(i)).collect();
        let row = |bits: u64| W::from_bits(bits.into()).unwrap_or_default();
        let words = self.layout.stride::<R>();
        if width <= 8 {
            for word in 0..words {
                let rows = (self.layout.rows - word * 64).min(64);
                let bits = |plane: &[R]| plane[word].to_bits() as u64;
                for eight in 0..rows.div_ceil(8) {
                    let block = planes.iter().rev().fold(0, |v, plane| v << 8 | bits(plane) >> (8 * eight) & 0xff);
                    let turned = turn8(block).to_le_bytes();
                    data.extend(turned[..(rows - eight * 8).min(8)].iter().map(|b| row((*b).into())));
                }
            }
            return Column { data, layout };
        }
        let mut blocks = [[0u64; 64]; LINE];
        for first in (0..words).step_by(LINE) {
            let count = LINE.min(words - first);
            for (i, plane) in planes.iter().enumerate() {
                blocks.iter_mut().zip(&plane[first..first + count]).for_each(|(block, v)| block[i] = v.to_bits() as u64);
            }
            for (at, block) in blocks[..count].iter_mut().enumerate() {
                turn64(block);
                let rows = (self.layout.rows - (first + at) * 64).min(64);
                data.extend(block[..rows].iter().map(|bits| row(*bits)));
                block[width..].fill(0);
            }
        }
        blocks.as_flattened_mut().zeroize();
        Column { data, layout }
    }

    /// Writes words of row bits to the bit-planes from `first` on: the inverse of [`by_rows`](Self::by_rows).
    pub fn set_rows<W: Ring>(&mut self, first: usize, rows: &Column<W>) {
        assert_eq!(rows.rows(), self.layout.rows, "the same rows");
        self.set_rows_at(0, first, rows);
    }

    /// As [`set_rows`](Self::set_rows), of the rows from `row` on, a multiple of 64; their number is one too, or all that are left.
    pub fn set_rows_at<W: Ring>(&mut self, row: usize, first: usize, rows: &Column<W>) {
        assert!(R::ROWS == 64 && W::ROWS == 1 && rows.planes() == 1, "words of rows become bit-planes");
        let end = row + rows.rows();
        assert!(row.is_multiple_of(64) && (end == self.layout.rows || end < self.layout.rows && end.is_multiple_of(64)), "whole words");
        let from = row / 64;
        let width = rows.layout.width::<W>() as usize;
        let stride = self.layout.stride::<R>();
        let planes = &mut self.data[first * stride..(first + width) * stride];
        let plane_word = |bits: u64| R::from_bits(bits.into()).unwrap_or_default();
        if width <= 8 {
            for (word, rows) in rows.data.chunks(64).enumerate() {
                let mut words = [0u64; 8];
                for (eight, rows) in rows.chunks(8).enumerate() {
                    let block = turn8(rows.iter().rev().fold(0, |v, row| v << 8 | row.to_bits() as u64));
                    words.iter_mut().enumerate().for_each(|(i, w)| *w |= (block >> (8 * i) & 0xff) << (8 * eight));
                }
                planes[from + word..].iter_mut().step_by(stride).zip(words).for_each(|(v, bits)| *v = plane_word(bits));
            }
            return;
        }
        let mut blocks = [[0u64; 64]; LINE];
        for (at, rows) in rows.data.chunks(64 * LINE).enumerate() {
            for (block, rows) in blocks.iter_mut().zip(rows.chunks(64)) {
                block.iter_mut().zip(rows).for_each(|(v, row)| *v = row.to_bits() as u64);
                block[rows.len()..].fill(0);
                turn64(block);
            }
            for (i, plane) in planes.chunks_mut(stride).enumerate() {
                let words = plane[from + at * LINE..].iter_mut().zip(&blocks[..rows.len().div_ceil(64)]);
                words.for_each(|(v, block)| *v = plane_word(block[i]));
            }
        }
        blocks.as_flattened_mut().zeroize();
    }

    /// The rows in `range` of every plane.
    pub fn slice_rows(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.layout.rows, "rows of the column");
        let layout = self.layout.with_rows(range.len());
        let (start, shift) = (range.start / R::ROWS, range.start % R::ROWS);
        let stride = layout.stride::<R>();
        let mut data = Vec::with_capacity(layout.len::<R>());
        for plane in (0..self.layout.planes).map(|i| &self.plane(i)[start..]) {
            if shift == 0 {
                data.extend_from_slice(&plane[..stride]);
            } else {
                data.extend((0..stride).map(|i| shifted(plane[i], plane.get(i + 1).copied().unwrap_or_default(), shift)));
            }
        }
        Column { data, layout }
    }

    /// The rows of all `columns`, one after the other; all must have the same planes.
    pub fn concat(columns: &[&Self]) -> Self {
        let one = columns.first().map_or(Layout::new(0, 0), |c| c.layout.with_rows(0));
        assert!(columns.iter().all(|c| c.layout.with_rows(0) == one), "concatenated columns have equal planes");
        let layout = one.with_rows(columns.iter().map(|c| c.rows()).sum());
        // the last rows of each column may take a word more before they are moved up
        let mut data: Vec<R> = Vec::with_capacity(layout.len::<R>() + columns.len());
        for i in 0..layout.planes {
            let mut filled = 0;
            for column in columns.iter().filter(|c| c.rows() > 0) {
                let (plane, shift) = (column.plane(i), filled % R::ROWS);
                filled += column.rows();
                if shift == 0 {
                    data.extend_from_slice(plane);
                } else {
                    for v in plane {
                        if let Some(last) = data.last_mut() {
                            *last = last.first_rows(shift).add(lifted(*v, shift));
                        }
                        data.push(shifted(*v, R::ZERO, R::ROWS - shift));
                    }
                }
                data.truncate(i * layout.stride::<R>() + filled.div_ceil(R::ROWS));
            }
        }
        Column { data, layout }
    }

    /// The sum of each row and all rows before it, in each plane.
    pub fn prefix_sums(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for plane in (0..self.layout.planes).map(|i| self.plane(i)) {
            let mut before = R::ZERO;
            data.extend(plane.iter().map(|v| {
                let (sums, after) = v.running(before);
                before = after;
                sums
            }));
        }
        Column { data, layout: self.layout }
    }

    /// The difference of each row to the one before, in each plane; the first row's is itself.
    pub fn differences(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for plane in (0..self.layout.planes).map(|i| self.plane(i)) {
            let mut before = R::ZERO;
            data.extend(plane.iter().map(|v| {
                let shifted = if R::ROWS == 1 { before } else { lifted(*v, 1).add(shifted(before, R::ZERO, R::ROWS - 1)) };
                before = *v;
                v.sub(shifted)
            }));
        }
        Column { data, layout: self.layout }
    }

    /// The sum of all rows before each, those of earlier planes among them.
    pub fn sums_before(&self) -> Self {
        assert_eq!(R::ROWS, 1, "one element a row");
        let mut data = Vec::with_capacity(self.data.len());
        let mut before = R::ZERO;
        data.extend(self.data.iter().map(|v| {
            let sum = before;
            before = before.add(*v);
            sum
        }));
        Column { data, layout: self.layout }
    }
}

/// The rows of `low` from row `by` on, then those of `high`; 0 < `by` < 64.
#[inline(always)]
fn shifted<R: Ring>(low: R, high: R, by: usize) -> R {
    R::from_bits((low.to_bits() as u64 >> by).into()).unwrap_or_default().add(lifted(high, R::ROWS - by))
}

/// The rows moved up by `by`, 0 < `by` < 64; those that leave the element are lost.
#[inline(always)]
fn lifted<R: Ring>(v: R, by: usize) -> R {
    R::from_bits(((v.to_bits() as u64) << by).into()).unwrap_or_default()
}

/// Turns 64 by 64 bits: bit r of word p becomes bit p of word r (Warren, Hacker's Delight, section 7-3).
fn turn64(block: &mut [u64; 64]) {
    #[inline(always)]
    fn level<const BY: usize>(block: &mut [u64; 64], low: u64) {
        for pair in block.chunks_exact_mut(2 * BY) {
            let (upper, lower) = pair.split_at_mut(BY);
            for (a, b) in upper.iter_mut().zip(lower) {
                let swap = (*a >> BY ^ *b) & low;
                *a ^= swap << BY;
                *b ^= swap;
            }
        }
    }
    level::<32>(block, 0x0000_0000_ffff_ffff);
    level::<16>(block, 0x0000_ffff_0000_ffff);
    level::<8>(block, 0x00ff_00ff_00ff_00ff);
    level::<4>(block, 0x0f0f_0f0f_0f0f_0f0f);
    level::<2>(block, 0x3333_3333_3333_3333);
    level::<1>(block, 0x5555_5555_5555_5555);
}

/// Turns 8 by 8 bits: bit r of byte p becomes bit p of byte r.
#[inline(always)]
fn turn8(block: u64) -> u64 {
    [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)].into_iter().fold(block, |v, (by, mask)| {
        let swap = (v ^ v >> by) & mask;
        v ^ swap ^ swap << by
    })
}
