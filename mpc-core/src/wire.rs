//! The wire form of columns: exact element widths, nothing between elements or planes, least significant bit first.

use crate::{Column, Layout, Ring};

impl<R: Ring> Column<R> {
    /// Appends the exact-width wire form: rows in order, planes one after the other, least significant bit first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = BitWriter::new(out);
        if R::ROWS == 1 {
            match R::BITS {
                64 => self.data.iter().for_each(|v| w.aligned(v.to_bits() as u64)),
                ..64 => self.data.iter().for_each(|v| w.push(v.to_bits() as u64, R::BITS)),
                _ => self.data.iter().for_each(|v| {
                    let v = v.to_bits();
                    w.push(v as u64, 64);
                    w.push((v >> 64) as u64, R::BITS - 64);
                }),
            }
        } else {
            for plane in self.data.chunks_exact(self.layout.stride::<R>().max(1)) {
                let (last, full) = plane.split_last().expect("a stride is at least one word");
                if w.is_aligned() {
                    full.iter().for_each(|v| w.aligned(v.to_bits() as u64));
                } else {
                    full.iter().for_each(|v| w.push(v.to_bits() as u64, 64));
                }
                let tail = self.layout.rows - full.len() * 64;
                w.push(last.to_bits() as u64 & (u64::MAX >> (64 - tail)), tail as u32);
            }
        }
        w.finish();
    }

    /// The inverse of [`encode`](Self::encode): `None` if the length differs from the layout's, a padding bit is set, or an element is
    /// not canonical.
    pub fn decode(bytes: &[u8], layout: Layout) -> Option<Self> {
        if bytes.len() != layout.bytes::<R>() {
            return None;
        }
        let mut r = BitReader::new(bytes);
        let mut data = Vec::with_capacity(layout.len::<R>());
        let mut canonical = true;
        let mut push = |bits: u128| {
            let v = R::from_bits(bits);
            canonical &= v.is_some();
            data.push(v.unwrap_or_default());
        };
        if R::ROWS == 1 {
            for _ in 0..layout.len::<R>() {
                match R::BITS {
                    ..=64 => push(r.take(R::BITS).into()),
                    _ => push(r.take(64) as u128 | (r.take(R::BITS - 64) as u128) << 64),
                }
            }
        } else {
            for _ in 0..layout.planes {
                for left in (0..layout.rows).step_by(64).map(|at| layout.rows - at) {
                    push(r.take(left.min(64) as u32).into());
                }
            }
        }
        (canonical && r.finish()).then_some(Column { data, layout })
    }
}

struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    acc: u64,
    fill: u32,
}

impl<'a> BitWriter<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        BitWriter { out, acc: 0, fill: 0 }
    }

    fn is_aligned(&self) -> bool {
        self.fill == 0
    }

    #[inline(always)]
    fn aligned(&mut self, v: u64) {
        self.out.extend_from_slice(&v.to_le_bytes());
    }

    /// `bits` bits of `v` (the rest zero), 1 <= bits <= 64; a zero-bit push is a no-op.
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

impl<'a> BitReader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, acc: 0, fill: 0 }
    }

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

    /// Whether everything was read and the padding is zero.
    fn finish(self) -> bool {
        self.bytes.is_empty() && self.fill < 8 && self.acc == 0
    }
}
