//! The wire form of columns: exact element widths, nothing between elements or planes, least significant bit first.
//!
//! Both directions work in blocks that stay in the first-level cache. Eight elements of up to 64 bits make up whole bytes, so they are
//! packed and unpacked together, with shifts that are constants once the ring is known. Narrow columns go through a kernel for their width, so that
//! their shifts are constants too.

use crate::prss::BLOCK;
use crate::{Column, Layout, Ring};
use zeroize::Zeroize;

impl<R: Ring> Column<R> {
    /// Appends the exact-width wire form: rows in order, planes one after the other, least significant bit first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let width = self.layout().width::<R>();
        match (R::ROWS, R::BITS) {
            _ if width < R::BITS => encode_narrow(&self.data, width, out),
            (1, ..=64) => encode_elements(&self.data, out),
            (1, _) => encode_wide(&self.data, out),
            _ => encode_planes(&self.data, self.layout, out),
        }
    }

    /// The inverse of [`encode`](Self::encode): `None` if the length differs from the layout's, a padding bit is set, or an element is
    /// not canonical.
    pub fn decode(bytes: &[u8], layout: Layout) -> Option<Self> {
        if bytes.len() != layout.bytes::<R>() {
            return None;
        }
        let padding = bytes.len() as u64 * 8 - layout.bits::<R>();
        if bytes.last().is_some_and(|last| padding > 0 && last >> (8 - padding) != 0) {
            return None;
        }
        let width = layout.width::<R>();
        match (R::ROWS, R::BITS) {
            _ if width < R::BITS => decode_narrow(bytes, layout),
            (1, ..=64) => decode_elements(bytes, layout),
            (1, _) => decode_wide(bytes, layout),
            _ => Some(decode_planes(bytes, layout)),
        }
    }
}

/// Elements packed together.
const GROUP: usize = 8;

/// Appends elements of at most 64 bits.
fn encode_elements<R: Ring>(elements: &[R], out: &mut Vec<u8>) {
    let width = R::BITS as usize;
    let mut packed = [0u8; BLOCK * 8];
    for block in elements.chunks(BLOCK) {
        let groups = block.chunks_exact(GROUP);
        let last = groups.remainder();
        let packed_groups = packed.chunks_exact_mut(width);
        groups.zip(packed_groups).for_each(|(group, bytes)| {
            let mut values = [0; GROUP];
            values.iter_mut().zip(group).for_each(|(v, e)| *v = e.to_bits() as u64);
            pack(R::BITS as usize, &values, bytes);
        });
        let whole = block.len() / GROUP * width;
        out.extend_from_slice(&packed[..whole]);
        if !last.is_empty() {
            let mut values = [0; GROUP];
            values.iter_mut().zip(last).for_each(|(v, e)| *v = e.to_bits() as u64);
            pack(R::BITS as usize, &values, &mut packed[..width]);
            out.extend_from_slice(&packed[..(last.len() * width).div_ceil(8)]);
        }
    }
    packed.zeroize();
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

fn decode_elements<R: Ring>(bytes: &[u8], layout: Layout) -> Option<Column<R>> {
    let width = R::BITS as usize;
    let mut canonical = true;
    let mut element = |bits: u64| {
        let v = R::from_bits(bits.into());
        canonical &= v.is_some();
        v.unwrap_or_default()
    };
    let column = Column::build(layout, |at, out: &mut [R]| {
        let bytes = &bytes[at * width / 8..];
        let whole = out.len() / GROUP;
        let (groups, last) = out.split_at_mut(whole * GROUP);
        for (group, bytes) in groups.chunks_exact_mut(GROUP).zip(bytes.chunks_exact(width)) {
            group.iter_mut().zip(unpack(R::BITS as usize, bytes)).for_each(|(v, bits)| *v = element(bits));
        }
        if !last.is_empty() {
            let mut packed = [0u8; 64];
            let bytes = &bytes[whole * width..][..(last.len() * width).div_ceil(8)];
            packed[..bytes.len()].copy_from_slice(bytes);
            last.iter_mut().zip(unpack(R::BITS as usize, &packed[..width])).for_each(|(v, bits)| *v = element(bits));
        }
    });
    canonical.then_some(column)
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

/// Appends the low `width` bits of each element.
fn encode_narrow<R: Ring>(elements: &[R], width: u32, out: &mut Vec<u8>) {
    let kernel = &KERNELS[width as usize - 1];
    let (mut values, mut packed) = ([0u64; BLOCK], [0u8; BLOCK * 8]);
    for block in elements.chunks(BLOCK) {
        values.iter_mut().zip(block).for_each(|(v, e)| *v = e.to_bits() as u64);
        // what pads the last group is not sent, and must be zero in the last byte that is
        let padded = block.len().next_multiple_of(GROUP);
        values[block.len()..padded].fill(0);
        (kernel.pack)(&values[..padded], &mut packed);
        out.extend_from_slice(&packed[..(block.len() * width as usize).div_ceil(8)]);
    }
    values.zeroize();
    packed.zeroize();
}

fn decode_narrow<R: Ring>(bytes: &[u8], layout: Layout) -> Option<Column<R>> {
    let width = layout.width::<R>() as usize;
    let kernel = &KERNELS[width - 1];
    let (mut values, mut last) = ([0u64; BLOCK], [0u8; 64]);
    let mut whole = true;
    let column = Column::build(layout, |at, out: &mut [R]| {
        let bytes = &bytes[at * width / 8..];
        let (groups, rest) = (out.len() / GROUP, out.len() % GROUP);
        (kernel.unpack)(bytes, &mut values[..groups * GROUP]);
        if rest > 0 {
            let bytes = &bytes[groups * width..][..(rest * width).div_ceil(8)];
            last[..bytes.len()].copy_from_slice(bytes);
            last[bytes.len()..].fill(0);
            (kernel.unpack)(&last[..width], &mut values[groups * GROUP..][..GROUP]);
        }
        out.iter_mut().zip(&values).for_each(|(v, bits)| {
            let element = R::from_bits((*bits).into());
            whole &= element.is_some();
            *v = element.unwrap_or_default();
        });
    });
    values.zeroize();
    whole.then_some(column)
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

fn decode_wide<R: Ring>(bytes: &[u8], layout: Layout) -> Option<Column<R>> {
    let mut r = BitReader { bytes, acc: 0, fill: 0 };
    let mut canonical = true;
    let column = Column::build(layout, |_, out: &mut [R]| {
        for v in out {
            let (low, high) = (r.take(64), r.take(R::BITS - 64));
            let element = R::from_bits(low as u128 | (high as u128) << 64);
            canonical &= element.is_some();
            *v = element.unwrap_or_default();
        }
    });
    canonical.then_some(column)
}

/// Appends bit-planes: `rows` bits of each.
fn encode_planes<R: Ring>(words: &[R], layout: Layout, out: &mut Vec<u8>) {
    let mut bytes = [0u8; BLOCK * 8];
    let mut w = BitWriter { out, acc: 0, fill: 0 };
    let stride = layout.stride::<R>();
    for plane in (0..layout.planes).map(|i| &words[i * stride..][..stride]) {
        let Some((last, full)) = plane.split_last() else { continue };
        for block in full.chunks(BLOCK) {
            let fill = w.fill;
            let bytes = &mut bytes[..block.len() * 8];
            if fill == 0 {
                bytes.chunks_exact_mut(8).zip(block).for_each(|(b, v)| b.copy_from_slice(&(v.to_bits() as u64).to_le_bytes()));
            } else {
                let mut carried = w.acc;
                for (b, v) in bytes.chunks_exact_mut(8).zip(block) {
                    let v = v.to_bits() as u64;
                    b.copy_from_slice(&(carried | v << fill).to_le_bytes());
                    carried = v >> (64 - fill);
                }
                w.acc = carried;
            }
            w.out.extend_from_slice(bytes);
        }
        let rows = layout.rows - full.len() * R::ROWS;
        w.push(last.first_rows(rows).to_bits() as u64, rows as u32);
    }
    w.finish();
    bytes.zeroize();
}

fn decode_planes<R: Ring>(bytes: &[u8], layout: Layout) -> Column<R> {
    let mut words = Vec::with_capacity(layout.len::<R>());
    let word = |bits: u64| R::from_bits(bits.into()).unwrap_or_default();
    for start in (0..layout.planes).map(|i| i * layout.rows) {
        let (bytes, shift) = (&bytes[start / 8..], start % 8);
        let full = layout.rows / 64;
        if shift == 0 {
            words.extend(bytes.as_chunks::<8>().0[..full].iter().map(|b| word(u64::from_le_bytes(*b))));
        } else {
            // a word and the byte after it, which is there: a whole word that starts within a byte ends in its ninth
            let after = bytes.get(8..).unwrap_or_default().iter().step_by(8);
            let pieces = bytes.as_chunks::<8>().0[..full].iter().zip(after);
            words.extend(pieces.map(|(b, next)| word(u64::from_le_bytes(*b) >> shift | (*next as u64) << (64 - shift))));
        }
        let rows = layout.rows % 64;
        if rows > 0 {
            let bytes = &bytes[full * 8..(shift + layout.rows).div_ceil(8)];
            let mut last = [0u8; 16];
            last[..bytes.len()].copy_from_slice(bytes);
            words.push(word((u128::from_le_bytes(last) >> shift) as u64).first_rows(rows));
        }
    }
    Column { data: words, layout }
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
