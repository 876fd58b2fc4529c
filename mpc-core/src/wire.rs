//! The wire form of columns: exact element widths, nothing between elements or planes, least significant bit first.
//!
//! Both directions work in blocks that stay in the first-level cache, so that a column can leave and arrive in pieces ([`Encoder`], [`Decoder`]). Eight
//! elements of up to 64 bits make up whole bytes, so they are packed and unpacked together, with shifts that are constants once the ring is known. Narrow
//! columns go through a kernel for their width, so that their shifts are constants too.

use crate::prss::BLOCK;
use crate::{Column, Layout, Ring};
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

impl<R: Ring> Column<R> {
    /// Appends the exact-width wire form: rows in order, planes one after the other, least significant bit first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.layout.bytes::<R>());
        let mut encoder = Encoder::default();
        while encoder.block(self, out) {}
    }

    /// The inverse of [`encode`](Self::encode): `None` if the length differs from the layout's, a padding bit is set, or an element is
    /// not canonical.
    pub fn decode(mut bytes: &[u8], layout: Layout) -> Option<Self> {
        if bytes.len() != layout.bytes::<R>() {
            return None;
        }
        let mut column = Column::empty(layout);
        let whole = Decoder::new(layout).read(&mut bytes, |_, block| column.append(block))?;
        whole.then_some(column)
    }

    /// A column whose elements are still to come; it takes memory with the first.
    pub(crate) fn empty(layout: Layout) -> Self {
        Column { data: Vec::new(), layout }
    }

    /// Adds the next elements.
    pub(crate) fn append(&mut self, elements: &[R]) {
        if self.data.is_empty() {
            self.data.reserve_exact(self.layout.len::<R>());
        }
        self.data.extend_from_slice(elements);
    }
}

impl Layout {
    /// The elements of the block that begins at element `at`: of one plane where a plane is words of rows.
    fn block<R: Ring>(&self, at: usize) -> Range<usize> {
        let end = self.len::<R>().min(at + BLOCK);
        if R::ROWS == 1 || at == end { at..end } else { at..end.min((at / self.stride::<R>() + 1) * self.stride::<R>()) }
    }

    /// Wire bits of the elements before `at`.
    fn bits_before<R: Ring>(&self, at: usize) -> u64 {
        match R::ROWS {
            1 => at as u64 * u64::from(self.width::<R>()),
            _ if self.is_empty() => 0,
            rows => {
                let (plane, word) = (at / self.stride::<R>(), at % self.stride::<R>());
                plane as u64 * self.rows as u64 + (word * rows) as u64
            }
        }
    }
}

// ---------------------------------------------------------------- out

/// How far a column has been written.
#[derive(Default)]
pub(crate) struct Encoder {
    at: usize,
    /// Rows of planes that do not fill a word yet.
    acc: u64,
    fill: u32,
}

impl Encoder {
    /// What a block comes to at most.
    pub(crate) const BLOCK_BYTES: usize = BLOCK * 16;
    /// What a group of elements comes to at most.
    pub(crate) const GROUP_BYTES: usize = GROUP * 8;

    /// Appends the next block of a column; `false` if there was none left.
    pub(crate) fn block<R: Ring>(&mut self, column: &Column<R>, out: &mut Vec<u8>) -> bool {
        let layout = column.layout;
        let block = layout.block::<R>(self.at);
        if block.is_empty() {
            return false;
        }
        self.at = block.end;
        let elements = &column.data[block.clone()];
        match (R::ROWS, R::BITS) {
            _ if layout.width::<R>() < R::BITS => encode_narrow(elements, layout.width::<R>(), out),
            (1, ..=64) => encode_elements(elements, out),
            (1, _) => encode_wide(elements, out),
            _ => {
                let mut w = BitWriter { out, acc: self.acc, fill: self.fill };
                let ends = block.end.is_multiple_of(layout.stride::<R>());
                encode_words(elements, if ends { layout.rows - (layout.stride::<R>() - 1) * R::ROWS } else { R::ROWS }, &mut w);
                (self.acc, self.fill) = (w.acc, w.fill);
                if block.end == layout.len::<R>() {
                    w.finish();
                }
            }
        }
        true
    }
}

/// Elements packed together.
const GROUP: usize = 8;

/// Appends elements of at most 64 bits.
fn encode_elements<R: Ring>(elements: &[R], out: &mut Vec<u8>) {
    let width = R::BITS as usize;
    let groups = elements.chunks_exact(GROUP);
    let (last, start) = (groups.remainder(), out.len());
    out.resize(start + groups.len() * width, 0);
    groups.zip(out[start..].chunks_exact_mut(width)).for_each(|(group, bytes)| {
        let mut values = [0; GROUP];
        values.iter_mut().zip(group).for_each(|(v, e)| *v = e.to_bits() as u64);
        pack(R::BITS as usize, &values, bytes);
    });
    if !last.is_empty() {
        let (mut values, mut packed) = ([0; GROUP], [0; GROUP * 8]);
        values.iter_mut().zip(last).for_each(|(v, e)| *v = e.to_bits() as u64);
        pack(R::BITS as usize, &values, &mut packed[..width]);
        out.extend_from_slice(&packed[..(last.len() * width).div_ceil(8)]);
    }
}

/// Eight values to as many bytes as a value has bits.
#[inline(always)]
fn pack(width: usize, values: &[u64; GROUP], bytes: &mut [u8]) {
    let mut words = [0u64; GROUP];
    let (mut word, mut fill) = (0, 0);
    for v in values {
        words[word] |= v << fill;
        if fill + width > 64 {
            words[word + 1] = v >> (64 - fill);
        }
        (word, fill) = ((word * 64 + fill + width) / 64, (fill + width) % 64);
    }
    let mut packed = [0u8; GROUP * 8];
    packed.chunks_exact_mut(8).zip(words).for_each(|(b, w)| b.copy_from_slice(&w.to_le_bytes()));
    bytes.copy_from_slice(&packed[..width]);
}

/// The inverse of [`pack`].
#[inline(always)]
fn unpack(width: usize, bytes: &[u8]) -> [u64; GROUP] {
    let mut packed = [0u8; GROUP * 8];
    packed[..width].copy_from_slice(bytes);
    let mut words = [0u64; GROUP];
    words.iter_mut().zip(packed.as_chunks::<8>().0).for_each(|(w, b)| *w = u64::from_le_bytes(*b));
    std::array::from_fn(|i| {
        let (word, shift) = (i * width / 64, i * width % 64);
        let low = words[word] >> shift;
        let high = if shift + width > 64 { words[word + 1] << (64 - shift) } else { 0 };
        (low | high) & (u64::MAX >> (64 - width))
    })
}

/// Packs and unpacks whole groups of values of one width below 64.
struct Kernel {
    pack: fn(&[u64], &mut [u8]),
    unpack: fn(&[u8], &mut [u64]),
}

macro_rules! kernels {
    ($($width:literal)*) => {
        [$(Kernel {
            pack: |values, bytes| {
                let groups = values.as_chunks::<GROUP>().0.iter().zip(bytes.chunks_exact_mut($width));
                groups.for_each(|(group, bytes)| pack($width, &group.map(|v| v & u64::MAX >> (64 - $width)), bytes));
            },
            unpack: |bytes, values| {
                let groups = values.as_chunks_mut::<GROUP>().0.iter_mut().zip(bytes.chunks_exact($width));
                groups.for_each(|(group, bytes)| *group = unpack($width, bytes));
            },
        }),*]
    };
}

/// The kernel for width w at w - 1.
#[rustfmt::skip]
static KERNELS: [Kernel; 63] = kernels!(
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);

/// Appends the low `width` bits of each element of a block.
fn encode_narrow<R: Ring>(elements: &[R], width: u32, out: &mut Vec<u8>) {
    let mut values = [0u64; BLOCK];
    values.iter_mut().zip(elements).for_each(|(v, e)| *v = e.to_bits() as u64);
    // what pads the last group is zero, and not sent
    let (groups, start) = (elements.len().div_ceil(GROUP), out.len());
    out.resize(start + groups * width as usize, 0);
    (KERNELS[width as usize - 1].pack)(&values[..groups * GROUP], &mut out[start..]);
    out.truncate(start + (elements.len() * width as usize).div_ceil(8));
    values.zeroize();
}

/// Appends elements of more than 64 bits.
fn encode_wide<R: Ring>(elements: &[R], out: &mut Vec<u8>) {
    let mut w = BitWriter { out, acc: 0, fill: 0 };
    for v in elements {
        let v = v.to_bits();
        w.push(v as u64, 64);
        w.push((v >> 64) as u64, R::BITS - 64);
    }
    w.finish();
}

/// Appends words of a plane, of the last of them `rows` rows.
fn encode_words<R: Ring>(words: &[R], rows: usize, w: &mut BitWriter<'_>) {
    let Some((last, full)) = words.split_last() else { return };
    let start = w.out.len();
    w.out.resize(start + full.len() * 8, 0);
    let bytes = w.out[start..].as_chunks_mut::<8>().0.iter_mut().zip(full);
    if w.fill == 0 {
        bytes.for_each(|(b, v)| *b = (v.to_bits() as u64).to_le_bytes());
    } else {
        let (fill, mut carried) = (w.fill, w.acc);
        bytes.for_each(|(b, v)| {
            let v = v.to_bits() as u64;
            *b = (carried | v << fill).to_le_bytes();
            carried = v >> (64 - fill);
        });
        w.acc = carried;
    }
    w.push(last.first_rows(rows).to_bits() as u64, rows as u32);
}

struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    acc: u64,
    fill: u32,
}

impl BitWriter<'_> {
    /// `bits` bits of `v` (the rest zero), 1 <= bits <= 64.
    #[inline(always)]
    fn push(&mut self, v: u64, bits: u32) {
        self.acc |= v << self.fill;
        let fill = self.fill + bits;
        if fill >= 64 {
            self.out.extend_from_slice(&self.acc.to_le_bytes());
            // what did not fit; a shift by 64 means nothing is left
            self.acc = v.checked_shr(64 - self.fill).unwrap_or(0);
            self.fill = fill - 64;
        } else {
            self.fill = fill;
        }
    }

    fn finish(self) {
        let bytes = self.fill.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.acc.to_le_bytes()[..bytes]);
    }
}

// ---------------------------------------------------------------- in

/// How far a column has been read.
pub(crate) struct Decoder<R: Ring> {
    layout: Layout,
    at: usize,
    /// The beginning of a block of which the rest has not come.
    begun: Zeroizing<Vec<u8>>,
    /// Rows of planes that were read with a word before theirs.
    acc: u64,
    fill: u32,
    block: Zeroizing<Vec<R>>,
}

impl<R: Ring> Decoder<R> {
    pub(crate) fn new(layout: Layout) -> Self {
        let block = Zeroizing::new(vec![R::ZERO; BLOCK.min(layout.len::<R>())]);
        Decoder { layout, at: 0, begun: Zeroizing::default(), acc: 0, fill: 0, block }
    }

    /// Takes what belongs to the column from the front of `bytes`, and gives every block that is whole to `write`, with the position of its first element.
    /// Whether that was the last; `None` if what came is not an encoding: padding that is not zero, an element that is not canonical.
    pub(crate) fn read(&mut self, bytes: &mut &[u8], mut write: impl FnMut(usize, &[R])) -> Option<bool> {
        loop {
            let block = self.layout.block::<R>(self.at);
            if block.is_empty() {
                return Some(true);
            }
            let need = self.bytes_until(block.end) - self.bytes_until(block.start);
            if self.begun.is_empty() && bytes.len() >= need {
                let now = bytes.split_off(..need).expect("as many bytes are there");
                self.decode(now, &block)?;
            } else {
                if self.begun.is_empty() {
                    // once for all of the block, so that it does not move while it grows
                    self.begun.reserve_exact(need);
                }
                let missing = (need - self.begun.len()).min(bytes.len());
                self.begun.extend_from_slice(bytes.split_off(..missing).expect("no more than there are"));
                if self.begun.len() < need {
                    return Some(false);
                }
                let now = std::mem::take(&mut self.begun);
                self.decode(&now, &block)?;
            }
            write(block.start, &self.block[..block.len()]);
            self.at = block.end;
        }
    }

    /// Bytes from the column's first to the end of the elements before `at`; planes are read by whole words, so that the next rows may be among them.
    fn bytes_until(&self, at: usize) -> usize {
        let unit = if R::ROWS == 1 { 1 } else { 8 };
        let bytes = self.layout.bits_before::<R>(at).div_ceil(8 * unit) * unit;
        self.layout.bytes::<R>().min(bytes as usize)
    }

    fn decode(&mut self, bytes: &[u8], range: &Range<usize>) -> Option<()> {
        let (layout, width) = (self.layout, self.layout.width::<R>());
        let out = &mut self.block[..range.len()];
        let mut canonical = match (R::ROWS, R::BITS) {
            _ if width < R::BITS => decode_narrow(bytes, width, out),
            (1, ..=64) => decode_elements(bytes, out),
            (1, _) => decode_wide(bytes, out),
            _ => {
                let ends = range.end.is_multiple_of(layout.stride::<R>());
                let mut r = BitReader { bytes, acc: self.acc, fill: self.fill };
                decode_words(&mut r, if ends { layout.rows - (layout.stride::<R>() - 1) * R::ROWS } else { R::ROWS }, out);
                (self.acc, self.fill) = (r.acc, r.fill);
                // what is left in the end is padding
                range.end < layout.len::<R>() || r.acc == 0
            }
        };
        let padding = layout.bytes::<R>() as u64 * 8 - layout.bits::<R>();
        if R::ROWS == 1 && range.end == layout.len::<R>() && padding > 0 {
            canonical &= bytes.last().is_none_or(|last| last >> (8 - padding) == 0);
        }
        canonical.then_some(())
    }
}

/// Reads elements of at most 64 bits; whether all are canonical.
fn decode_elements<R: Ring>(bytes: &[u8], out: &mut [R]) -> bool {
    let width = R::BITS as usize;
    let mut canonical = true;
    let mut element = |bits: u64| {
        let v = R::from_bits(bits.into());
        canonical &= v.is_some();
        v.unwrap_or_default()
    };
    let whole = out.len() / GROUP;
    let (groups, last) = out.split_at_mut(whole * GROUP);
    for (group, bytes) in groups.chunks_exact_mut(GROUP).zip(bytes.chunks_exact(width)) {
        group.iter_mut().zip(unpack(R::BITS as usize, bytes)).for_each(|(v, bits)| *v = element(bits));
    }
    if !last.is_empty() {
        let mut packed = [0u8; 64];
        let bytes = &bytes[whole * width..];
        packed[..bytes.len()].copy_from_slice(bytes);
        last.iter_mut().zip(unpack(R::BITS as usize, &packed[..width])).for_each(|(v, bits)| *v = element(bits));
    }
    canonical
}

/// Reads elements of `width` bits; whether all are canonical.
fn decode_narrow<R: Ring>(bytes: &[u8], width: u32, out: &mut [R]) -> bool {
    let (kernel, width) = (&KERNELS[width as usize - 1], width as usize);
    let (mut values, mut last) = ([0u64; BLOCK], [0u8; 64]);
    let (groups, rest) = (out.len() / GROUP, out.len() % GROUP);
    (kernel.unpack)(bytes, &mut values[..groups * GROUP]);
    if rest > 0 {
        let bytes = &bytes[groups * width..];
        last[..bytes.len()].copy_from_slice(bytes);
        (kernel.unpack)(&last[..width], &mut values[groups * GROUP..][..GROUP]);
    }
    let mut canonical = true;
    out.iter_mut().zip(&values).for_each(|(v, bits)| {
        let element = R::from_bits((*bits).into());
        canonical &= element.is_some();
        *v = element.unwrap_or_default();
    });
    values.zeroize();
    canonical
}

/// Reads elements of more than 64 bits; whether all are canonical.
fn decode_wide<R: Ring>(bytes: &[u8], out: &mut [R]) -> bool {
    let mut r = BitReader { bytes, acc: 0, fill: 0 };
    let mut canonical = true;
    for v in out {
        let (low, high) = (r.take(64), r.take(R::BITS - 64));
        let element = R::from_bits(low as u128 | (high as u128) << 64);
        canonical &= element.is_some();
        *v = element.unwrap_or_default();
    }
    canonical
}

/// Reads words of a plane, of the last of them `rows` rows.
fn decode_words<R: Ring>(r: &mut BitReader<'_>, rows: usize, out: &mut [R]) {
    let word = |bits: u64| R::from_bits(bits.into()).unwrap_or_default();
    let Some((last, full)) = out.split_last_mut() else { return };
    let (whole, _) = r.bytes.as_chunks::<8>();
    let whole = &whole[..full.len().min(whole.len())];
    r.bytes = &r.bytes[whole.len() * 8..];
    let (now, later) = full.split_at_mut(whole.len());
    if r.fill == 0 {
        now.iter_mut().zip(whole).for_each(|(v, b)| *v = word(u64::from_le_bytes(*b)));
    } else {
        let (fill, mut carried) = (r.fill, r.acc);
        now.iter_mut().zip(whole).for_each(|(v, b)| {
            let next = u64::from_le_bytes(*b);
            *v = word(carried | next << fill);
            carried = next >> (64 - fill);
        });
        r.acc = carried;
    }
    later.iter_mut().for_each(|v| *v = word(r.take(64)));
    *last = word(r.take(rows as u32));
}

struct BitReader<'a> {
    bytes: &'a [u8],
    acc: u64,
    fill: u32,
}

impl BitReader<'_> {
    fn refill(&mut self) -> (u64, u32) {
        if let Some((w, rest)) = self.bytes.split_first_chunk::<8>() {
            self.bytes = rest;
            (u64::from_le_bytes(*w), 64)
        } else {
            let mut w = [0; 8];
            w[..self.bytes.len()].copy_from_slice(self.bytes);
            let n = self.bytes.len() as u32 * 8;
            self.bytes = &[];
            (u64::from_le_bytes(w), n)
        }
    }

    /// The next `bits` bits, 1 <= bits <= 64. The caller has checked the length.
    #[inline(always)]
    fn take(&mut self, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits);
        if self.fill >= bits {
            let v = self.acc & mask;
            self.acc = self.acc.checked_shr(bits).unwrap_or(0);
            self.fill -= bits;
            return v;
        }
        let (next, n) = self.refill();
        let v = (self.acc | next.checked_shl(self.fill).unwrap_or(0)) & mask;
        let used = bits - self.fill;
        self.acc = next.checked_shr(used).unwrap_or(0);
        self.fill = n.saturating_sub(used);
        v
    }
}
