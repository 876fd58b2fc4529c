//! Retrieving rows by keys: what is asked, what is offered, and the public sizes of both.

use crate::engine::Engine;
use crate::planes::element;
use crate::store::Shape;
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Ring, Row64, index_bits};
use zeroize::Zeroizing;

/// What is wrong happens with probability 2^-40 at most.
const CERTAINTY: u32 = 40;

/// The keys of rows in clear, as words.
pub struct KeyWords {
    words: Zeroizing<Vec<u64>>,
    width: usize,
    rows: usize,
}

/// Keys of which no two are equal: those of some rows.
pub struct KeySet {
    /// The keys of all rows.
    pub words: KeyWords,
    /// Which rows.
    pub rows: Zeroizing<Vec<u32>>,
}

/// What one party asks for.
pub struct Ask {
    /// Who asks.
    pub owner: PartyId,
    /// How often: public.
    pub count: usize,
    /// The keys at who asks. Where there are fewer than it asks for, the first questions are for none, and nothing is found.
    pub keys: Option<KeySet>,
}

/// What another party offers.
pub struct Offer<'a> {
    /// Whose rows they are.
    pub owner: PartyId,
    /// Most rows there may be: public.
    pub count: usize,
    /// What each row has.
    pub payload: Payload,
    /// The rows, at their owner.
    pub rows: Option<Offered<'a>>,
}

/// Rows that are offered.
pub struct Offered<'a> {
    /// Which, by their keys: of as many words as those asked for.
    pub keys: KeySet,
    /// Bits of all rows, also those that are not offered.
    pub bits: &'a Column<B64>,
    /// Elements of all rows.
    pub fp61: &'a Column<Fp61>,
    /// Wide elements of all rows.
    pub fp127: &'a Column<Fp127>,
}

/// Planes of what a row has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payload {
    /// Bits.
    pub bits: usize,
    /// Elements.
    pub fp61: usize,
    /// Wide elements.
    pub fp127: usize,
}

/// What was retrieved: a row for each key asked for.
pub struct Retrieved<E: Engine> {
    /// All 0 where there is such a row.
    pub check: E::Share<B64>,
    /// What it has, anything where there is none.
    pub bits: E::Share<B64>,
    /// Its elements, likewise.
    pub fp61: E::Share<Fp61>,
    /// Its wide elements, likewise.
    pub fp127: E::Share<Fp127>,
}

impl KeyWords {
    /// Those that bit-planes hold.
    pub fn of(planes: &Column<B64>) -> Self {
        KeyWords { words: words(planes), width: planes.planes().div_ceil(64), rows: planes.rows() }
    }

    /// The key of a row.
    pub fn key(&self, row: u32) -> &[u64] {
        &self.words[row as usize * self.width..][..self.width]
    }

    /// The rows by their keys, those of equal keys in the order of their numbers.
    pub fn sorted(&self, rows: impl Iterator<Item = u32> + Clone) -> Zeroizing<Vec<u32>> {
        // with the first word beside the number most comparisons are of neighbours in memory
        let first = |row: u32| self.key(row).first().copied().unwrap_or(0);
        // a vector that grew would leave copies behind
        let mut all: Zeroizing<Vec<(u64, u32)>> = Zeroizing::new(Vec::with_capacity(rows.clone().count()));
        all.extend(rows.map(|row| (first(row), row)));
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))).then(a.1.cmp(&b.1)));
        Zeroizing::new(all.iter().map(|(_, row)| *row).collect())
    }
}

impl KeySet {
    /// The keys one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u64]> {
        self.rows.iter().map(|row| self.words.key(*row))
    }
}

impl Offered<'_> {
    fn fits(&self, payload: Payload) -> bool {
        let rows = self.keys.words.rows;
        let of = |layout: Layout, planes| layout == Layout::new(rows, planes);
        of(self.bits.layout(), payload.bits) && of(self.fp61.layout(), payload.fp61) && of(self.fp127.layout(), payload.fp127)
    }
}

/// What asker and owner must supply, where they must: `None` if it does not fit what everyone knows of it.
pub(crate) fn asked(count: usize, keys: Option<KeySet>) -> Option<KeySet> {
    keys.filter(|keys| keys.rows.len() <= count)
}

/// [`asked`], of an offer.
pub(crate) fn offered(offer: Offer<'_>) -> Option<Offered<'_>> {
    offer.rows.filter(|rows| rows.keys.rows.len() <= offer.count && rows.fits(offer.payload))
}

/// Public sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub asked: usize,
    pub offered: usize,
    pub payload: Payload,
}

impl Sizes {
    pub fn of(ask: &Ask, offer: &Offer<'_>) -> Self {
        Sizes { asked: ask.count, offered: offer.count, payload: offer.payload }
    }

    /// Bits of a tag: no two keys of either side have the same, except with probability 2^-40.
    pub fn tag_bits(&self) -> u32 {
        CERTAINTY - 1 + 2 * index_bits(self.asked + self.offered)
    }

    /// Bits that say whether a row was found: no key that is not there has zeros, except with probability 2^-40.
    pub fn check_bits(&self) -> usize {
        (CERTAINTY + index_bits(self.asked)) as usize
    }

    pub fn tags(&self) -> Layout {
        Layout::new(self.asked, self.tag_bits() as usize)
    }

    pub fn shape(&self) -> Shape {
        Shape::new(self.offered)
    }

    /// The store as it is sent.
    pub fn store(&self) -> Layout {
        Layout::new(self.shape().rows(), self.limbs().iter().sum())
    }

    /// The bits that are shared: the check and what a row has.
    pub fn bits(&self) -> Layout {
        Layout::new(self.asked, self.check_bits() + self.payload.bits)
    }

    /// The elements that are shared.
    pub fn elements<R: Ring>(&self) -> Layout {
        Layout::new(self.asked, if R::BITS == Fp61::BITS { self.payload.fp61 } else { self.payload.fp127 })
    }

    fn bit_words(&self) -> usize {
        self.bits().planes.div_ceil(64)
    }

    /// Bits of each word of a row of the store: the bits, then element by element.
    pub fn limbs(&self) -> Vec<usize> {
        let bits = self.bits().planes;
        let whole = std::iter::repeat_n(64, bits / 64).chain((!bits.is_multiple_of(64)).then_some(bits % 64));
        whole.chain(std::iter::repeat_n(61, self.payload.fp61)).chain(std::iter::repeat_n([64, 63], self.payload.fp127).flatten()).collect()
    }

    /// Words of a pad: bits as they are, two for each element, from which it is uniform.
    pub fn pad_words(&self) -> usize {
        self.bit_words() + 2 * (self.payload.fp61 + self.payload.fp127)
    }

    /// What the asker takes from the words of rows of the store, or, with `pads`, what the third party takes off: of the rows from `row` on, a multiple of 64.
    pub fn take(&self, parts: &mut Parts, row: usize, words: &[u64], pads: bool) {
        let width = if pads { self.pad_words() } else { self.limbs().len() };
        for (at, first) in (0..self.bits().planes).step_by(64).enumerate() {
            parts.bits.set_rows_at(row, first, &limb(words, at, width, (self.bits().planes - first).min(64)));
        }
        let narrow = self.bit_words();
        let wide = narrow + if pads { 2 } else { 1 } * self.payload.fp61;
        for i in 0..self.payload.fp61 {
            let at = narrow + if pads { 2 * i } else { i };
            let out = parts.fp61.as_mut_slice()[i * self.asked + row..].iter_mut();
            out.zip(words.chunks_exact(width)).for_each(|(out, words)| *out = part(words, at, pads, pads));
        }
        for i in 0..self.payload.fp127 {
            let out = parts.fp127.as_mut_slice()[i * self.asked + row..].iter_mut();
            out.zip(words.chunks_exact(width)).for_each(|(out, words)| *out = part(words, wide + 2 * i, true, pads));
        }
    }

    /// Nothing yet of what [`take`](Self::take) takes.
    pub fn parts(&self) -> Parts {
        let (fp61, fp127) = (Column::zeros(self.elements::<Fp61>()), Column::zeros(self.elements::<Fp127>()));
        Parts { bits: Column::zeros(self.bits()), fp61, fp127 }
    }
}

/// Rows of the owner as rows of the store.
pub(crate) struct Hidden<'a> {
    sizes: Sizes,
    rows: Offered<'a>,
    bits: Zeroizing<Vec<u64>>,
    pad: Zeroizing<Vec<u64>>,
}

impl<'a> Hidden<'a> {
    pub fn new(sizes: &Sizes, rows: Offered<'a>) -> Self {
        Hidden { sizes: *sizes, bits: words(rows.bits), rows, pad: Zeroizing::new(vec![0; sizes.pad_words()]) }
    }

    /// The words of the row with a key of this number, hidden by its pad: bits by exclusive or, elements by their sum.
    pub fn row(&mut self, number: usize, pad: impl FnOnce(&mut [u64]), out: &mut [u64]) {
        let (sizes, row) = (&self.sizes, self.rows.keys.rows[number] as usize);
        pad(&mut self.pad);
        let (pad_bits, pad_elements) = self.pad.split_at(sizes.bit_words());
        let (out_bits, out_elements) = out.split_at_mut(sizes.bit_words());
        out_bits.copy_from_slice(pad_bits);
        // above the check, which is 0
        let width = sizes.payload.bits.div_ceil(64);
        for (at, word) in self.bits[row * width..][..width].iter().enumerate() {
            let first = sizes.check_bits() + 64 * at;
            out_bits[first / 64] ^= word << (first % 64);
            if let Some(next) = out_bits.get_mut(first / 64 + 1) {
                *next ^= word.checked_shr(64 - first as u32 % 64).unwrap_or(0);
            }
        }
        let (narrow, wide) = out_elements.split_at_mut(sizes.payload.fp61);
        let (pad_narrow, pad_wide) = pad_elements.split_at(2 * sizes.payload.fp61);
        for ((plane, out), pad) in narrow.iter_mut().enumerate().zip(pad_narrow.chunks_exact(2)) {
            *out = self.rows.fp61.plane(plane)[row].add(pad_element(pad)).to_bits() as u64;
        }
        for ((plane, out), pad) in wide.chunks_exact_mut(2).enumerate().zip(pad_wide.chunks_exact(2)) {
            let hidden = self.rows.fp127.plane(plane)[row].add(pad_element(pad)).to_bits();
            out.copy_from_slice(&[hidden as u64, (hidden >> 64) as u64]);
        }
    }
}

/// One of two summands of all that is retrieved.
pub(crate) struct Parts {
    pub bits: Column<B64>,
    pub fp61: Column<Fp61>,
    pub fp127: Column<Fp127>,
}

/// The element of one word or two, or what takes it off.
fn part<R: Ring>(words: &[u64], at: usize, two: bool, off: bool) -> R {
    let v = element::<R>(u128::from(words[at]) | if two { u128::from(words[at + 1]) << 64 } else { 0 });
    if off { R::ZERO.sub(v) } else { v }
}

/// 128 bits as an element: uniform but for 2^-67.
fn pad_element<R: Ring>(words: &[u64]) -> R {
    element(u128::from(words[0]) | u128::from(words[1]) << 64)
}

/// The rows of bit-planes as words, row by row.
pub(crate) fn words(planes: &Column<B64>) -> Zeroizing<Vec<u64>> {
    let width = planes.planes().div_ceil(64);
    let mut all = Zeroizing::new(vec![0; planes.rows() * width]);
    for at in 0..width {
        let column: Column<Row64> = planes.by_rows(64 * at);
        all.iter_mut().skip(at).step_by(width).zip(column.as_slice()).for_each(|(out, row)| *out = row.0);
    }
    all
}

/// Words of so many bits each, row by row, on their way to bit-planes without gaps: a piece at a time.
pub(crate) struct Planes<'b> {
    planes: Column<B64>,
    bits: &'b [usize],
    row: usize,
    piece: Zeroizing<Vec<u64>>,
}

/// Rows at a time, a multiple of 64: many beside what a piece costs, few beside all.
pub(crate) const PIECE: usize = 4096;

impl<'b> Planes<'b> {
    pub fn new(bits: &'b [usize], rows: usize) -> Self {
        let piece = Zeroizing::new(Vec::with_capacity(PIECE.min(rows) * bits.len()));
        Planes { planes: Column::zeros(Layout::new(rows, bits.iter().sum())), bits, row: 0, piece }
    }

    /// Adds rows.
    pub fn push(&mut self, words: &[u64]) {
        for row in words.chunks_exact(self.bits.len()) {
            self.piece.extend_from_slice(row);
            if self.piece.len() == PIECE * self.bits.len() {
                self.write();
            }
        }
    }

    /// All rows.
    pub fn finish(mut self) -> Column<B64> {
        self.write();
        self.planes
    }

    fn write(&mut self) {
        let mut first = 0;
        for (at, width) in self.bits.iter().enumerate().filter(|(_, width)| **width > 0) {
            self.planes.set_rows_at(self.row, first, &limb(&self.piece, at, self.bits.len(), *width));
            first += width;
        }
        self.row += self.piece.len() / self.bits.len();
        self.piece.clear();
    }
}

/// The inverse of [`Planes`].
pub(crate) fn from_planes(column: &Column<B64>, bits: &[usize]) -> Zeroizing<Vec<u64>> {
    let mut all = Zeroizing::new(vec![0; column.rows() * bits.len()]);
    let mut first = 0;
    for (at, width) in bits.iter().enumerate().filter(|(_, width)| **width > 0) {
        let rows: Column<Row64> = column.slice_planes(first..first + width).by_rows(0);
        all.iter_mut().skip(at).step_by(bits.len()).zip(rows.as_slice()).for_each(|(out, row)| *out = row.0);
        first += width;
    }
    all
}

/// Word `at` of each row of `width` words, `bits` bits of it.
fn limb(words: &[u64], at: usize, width: usize, bits: usize) -> Column<Row64> {
    let rows = words.chunks_exact(width).map(|row| Row64(row[at] & u64::MAX >> (64 - bits)));
    Column::from_rows(rows.collect()).narrowed(bits as u32)
}
