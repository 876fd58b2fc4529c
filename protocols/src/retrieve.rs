//! Retrieving rows by keys: what is asked, what is offered, and the public sizes of both.

use crate::engine::Engine;
use crate::planes::element;
use crate::store::Shape;
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Ring, Row64, index_bits};
use zeroize::Zeroizing;

/// What is wrong happens with probability 2^-40 at most.
const CERTAINTY: u32 = 40;

/// What one party asks for.
pub struct Ask<'a> {
    /// Who asks.
    pub owner: PartyId,
    /// How often: public.
    pub count: usize,
    /// The keys, no two equal, at who asks; where there is none, nothing is found.
    pub keys: Option<&'a [Option<&'a [u64]>]>,
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

/// Rows that are offered. Their columns have a row for each key.
pub struct Offered<'a> {
    /// The keys, no two equal, of as many words as those asked for.
    pub keys: &'a [&'a [u64]],
    /// Bits.
    pub bits: &'a Column<B64>,
    /// Elements.
    pub fp61: &'a Column<Fp61>,
    /// Wide elements.
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

impl Offered<'_> {
    fn fits(&self, payload: Payload) -> bool {
        let rows = self.keys.len();
        let of = |layout: Layout, planes| layout == Layout::new(rows, planes);
        of(self.bits.layout(), payload.bits) && of(self.fp61.layout(), payload.fp61) && of(self.fp127.layout(), payload.fp127)
    }
}

/// What asker and owner must supply, where they must: `None` if it does not fit what everyone knows of it.
pub(crate) fn asked<'a>(ask: &Ask<'a>) -> Option<&'a [Option<&'a [u64]>]> {
    ask.keys.filter(|keys| keys.len() == ask.count)
}

/// [`asked`], of an offer.
pub(crate) fn offered<'o, 'a>(offer: &'o Offer<'a>) -> Option<&'o Offered<'a>> {
    offer.rows.as_ref().filter(|rows| rows.keys.len() <= offer.count && rows.fits(offer.payload))
}

/// Public sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub asked: usize,
    pub offered: usize,
    pub payload: Payload,
}

impl Sizes {
    pub fn of(ask: &Ask<'_>, offer: &Offer<'_>) -> Self {
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

    /// The words of rows of the store that are `rows` of the owner, each hidden by its pad: bits by exclusive or, elements by their sum.
    pub fn hidden(&self, rows: &Offered<'_>, mut pad: impl FnMut(usize, &mut [u64])) -> Zeroizing<Vec<u64>> {
        let (count, width) = (rows.keys.len(), self.limbs().len());
        let check = Column::zeros(Layout::new(count, self.check_bits()));
        let bits = words(&Column::stack(&[&check, rows.bits]));
        let mut all = Zeroizing::new(vec![0; count * width]);
        let mut pads = Zeroizing::new(vec![0; self.pad_words()]);
        for (row, out) in all.chunks_exact_mut(width).enumerate() {
            pad(row, &mut pads);
            let (pad_bits, pad_elements) = pads.split_at(self.bit_words());
            let (out_bits, out_elements) = out.split_at_mut(self.bit_words());
            let here = &bits[row * self.bit_words()..];
            out_bits.iter_mut().zip(here).zip(pad_bits).for_each(|((out, v), pad)| *out = v ^ pad);
            let (narrow, wide) = out_elements.split_at_mut(self.payload.fp61);
            let (pad_narrow, pad_wide) = pad_elements.split_at(2 * self.payload.fp61);
            for ((plane, out), pad) in narrow.iter_mut().enumerate().zip(pad_narrow.chunks_exact(2)) {
                *out = rows.fp61.plane(plane)[row].add(pad_element(pad)).to_bits() as u64;
            }
            for ((plane, out), pad) in wide.chunks_exact_mut(2).enumerate().zip(pad_wide.chunks_exact(2)) {
                let hidden = rows.fp127.plane(plane)[row].add(pad_element(pad)).to_bits();
                out.copy_from_slice(&[hidden as u64, (hidden >> 64) as u64]);
            }
        }
        all
    }

    /// What the asker takes from the words of rows of the store, or, with `pads`, what the third party takes off.
    pub fn parts(&self, words: &[u64], pads: bool) -> Parts {
        let width = if pads { self.pad_words() } else { self.limbs().len() };
        let mut bits = Column::zeros(self.bits());
        for (at, first) in (0..self.bits().planes).step_by(64).enumerate() {
            bits.set_rows(first, &limb(words, at, width, (self.bits().planes - first).min(64)));
        }
        let narrow = self.bit_words();
        let wide = narrow + if pads { 2 } else { 1 } * self.payload.fp61;
        let elements_at = |at: usize, two: bool| {
            let value = move |row: &[u64]| u128::from(row[at]) | if two { u128::from(row[at + 1]) << 64 } else { 0 };
            words.chunks_exact(width).map(value)
        };
        let mut fp61 = Vec::with_capacity(self.payload.fp61 * self.asked);
        (0..self.payload.fp61)
            .for_each(|i| fp61.extend(elements_at(narrow + if pads { 2 * i } else { i }, pads).map(|v| part::<Fp61>(v, pads))));
        let mut fp127 = Vec::with_capacity(self.payload.fp127 * self.asked);
        (0..self.payload.fp127).for_each(|i| fp127.extend(elements_at(wide + 2 * i, true).map(|v| part::<Fp127>(v, pads))));
        let fits = "an element for each row and plane";
        Parts {
            bits,
            fp61: Column::from_elements(fp61, self.elements::<Fp61>()).expect(fits),
            fp127: Column::from_elements(fp127, self.elements::<Fp127>()).expect(fits),
        }
    }
}

/// One of two summands of all that is retrieved.
pub(crate) struct Parts {
    pub bits: Column<B64>,
    pub fp61: Column<Fp61>,
    pub fp127: Column<Fp127>,
}

fn part<R: Ring>(v: u128, pad: bool) -> R {
    let v = element::<R>(v);
    if pad { R::ZERO.sub(v) } else { v }
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

/// Words of so many bits each, row by row, as bit-planes without gaps.
pub(crate) fn planes(words: &[u64], bits: &[usize], rows: usize) -> Column<B64> {
    let mut all = Column::zeros(Layout::new(rows, bits.iter().sum()));
    let mut first = 0;
    for (at, width) in bits.iter().enumerate().filter(|(_, width)| **width > 0) {
        all.set_rows(first, &limb(words, at, bits.len(), *width));
        first += width;
    }
    all
}

/// The inverse of [`planes`].
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
