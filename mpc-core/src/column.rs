//! Columns: structure-of-arrays vectors of ring elements, and their exact-width wire form.

use crate::ring::Ring;
use zeroize::Zeroize;

/// The public shape of a column: `planes` vectors of `rows` each, plane-major. A k-bit integer column in bits is k planes over
/// [`crate::B64`]; a plain column has one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Rows in each plane.
    pub rows: usize,
    /// Number of planes.
    pub planes: usize,
}

impl Layout {
    /// `planes` planes of `rows` rows.
    pub const fn new(rows: usize, planes: usize) -> Self {
        Layout { rows, planes }
    }

    /// Elements that hold one plane.
    pub const fn stride<R: Ring>(&self) -> usize {
        self.rows.div_ceil(R::ROWS)
    }

    /// Elements in all.
    pub const fn len<R: Ring>(&self) -> usize {
        self.stride::<R>() * self.planes
    }

    /// Payload bits of the column on the wire: exact, no padding between elements or planes.
    pub const fn bits<R: Ring>(&self) -> u64 {
        self.rows as u64 * self.planes as u64 * R::BITS as u64
    }

    /// Payload bytes on the wire: the bits, rounded up once per column sent.
    pub const fn bytes<R: Ring>(&self) -> usize {
        self.bits::<R>().div_ceil(8) as usize
    }
}

/// A column of ring elements. In the last word of a bit-plane the bits past the last row are unspecified: they are never sent, and
/// whoever counts or shows bits masks them. Wiped on drop, since most columns hold shares.
#[derive(Clone, PartialEq, Eq)]
pub struct Column<R: Ring> {
    data: Vec<R>,
    layout: Layout,
}

impl<R: Ring> Drop for Column<R> {
    fn drop(&mut self) {
        self.data.as_mut_slice().zeroize();
    }
}

impl<R: Ring> Column<R> {
    /// All zeros.
    pub fn zeros(layout: Layout) -> Self {
        Column { data: vec![R::ZERO; layout.len::<R>()], layout }
    }

    /// Every row the same public value.
    pub fn splat(value: R, layout: Layout) -> Self {
        Column { data: vec![value; layout.len::<R>()], layout }
    }

    /// A column from its elements, plane-major; `None` if their number does not fit the layout.
    pub fn from_elements(data: Vec<R>, layout: Layout) -> Option<Self> {
        (data.len() == layout.len::<R>()).then_some(Column { data, layout })
    }

    /// One plane of one element a row.
    pub fn from_rows(data: Vec<R>) -> Self {
        let layout = Layout::new(data.len() * R::ROWS, 1);
        Column { data, layout }
    }

    /// Its shape.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Rows in a plane.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of planes.
    pub fn planes(&self) -> usize {
        self.layout.planes
    }

    /// All elements, plane-major.
    pub fn as_slice(&self) -> &[R] {
        &self.data
    }

    /// All elements, plane-major.
    pub fn as_mut_slice(&mut self) -> &mut [R] {
        &mut self.data
    }

    /// The elements of one plane.
    pub fn plane(&self, i: usize) -> &[R] {
        let stride = self.layout.stride::<R>();
        &self.data[i * stride..(i + 1) * stride]
    }

    /// The planes in `range` as a column of their own.
    pub fn slice_planes(&self, range: std::ops::Range<usize>) -> Self {
        let stride = self.layout.stride::<R>();
        Column {
            data: self.data[range.start * stride..range.end * stride].to_vec(),
            layout: Layout::new(self.layout.rows, range.len()),
        }
    }

    /// The planes of all `columns` one after the other; all must have the same rows.
    pub fn stack(columns: &[&Self]) -> Self {
        let rows = columns.first().map_or(0, |c| c.rows());
        assert!(columns.iter().all(|c| c.rows() == rows), "stacked columns have equal rows");
        Column {
            data: columns.iter().flat_map(|c| c.data.iter().copied()).collect(),
            layout: Layout::new(rows, columns.iter().map(|c| c.planes()).sum()),
        }
    }

    /// Element-wise image.
    pub fn map(&self, f: impl Fn(R) -> R) -> Self {
        Column { data: self.data.iter().map(|v| f(*v)).collect(), layout: self.layout }
    }

    /// Element-wise combination of two columns of the same layout.
    pub fn zip(&self, other: &Self, f: impl Fn(R, R) -> R) -> Self {
        assert_eq!(self.layout, other.layout, "columns have equal layouts");
        Column { data: self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect(), layout: self.layout }
    }

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

impl Column<crate::B64> {
    /// The bit-planes of unsigned integers, `width` planes, least significant first (two's complement for negative ones).
    pub fn from_ints(values: &[i128], width: usize) -> Self {
        let mut c: Column<crate::B64> = Column::zeros(Layout::new(values.len(), width));
        let stride = c.layout.stride::<crate::B64>();
        for (row, v) in values.iter().enumerate() {
            for plane in 0..width {
                c.data[plane * stride + row / 64].0 |= ((v >> plane.min(127) & 1) as u64) << (row % 64);
            }
        }
        c
    }

    /// One bit a row.
    pub fn from_bools(values: &[bool]) -> Self {
        let ints: Vec<i128> = values.iter().map(|b| *b as i128).collect();
        Column::from_ints(&ints, 1)
    }

    /// Row `row` of plane `plane`.
    pub fn bit(&self, row: usize, plane: usize) -> bool {
        self.plane(plane)[row / 64].0 >> (row % 64) & 1 == 1
    }

    /// The bits of plane `plane`, one a row.
    pub fn to_bools(&self, plane: usize) -> Vec<bool> {
        (0..self.rows()).map(|r| self.bit(r, plane)).collect()
    }

    /// The rows as unsigned integers, least significant plane first; at most 128 planes.
    pub fn to_uints(&self) -> Vec<u128> {
        (0..self.rows()).map(|r| (0..self.planes()).fold(0, |v, p| v | (self.bit(r, p) as u128) << p)).collect()
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
