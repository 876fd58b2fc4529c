//! Columns: structure-of-arrays vectors of ring elements.

use crate::prss::BLOCK;
use crate::ring::Ring;
use zeroize::Zeroize;

/// The public shape of a column: `planes` vectors of `rows` each, plane-major. A k-bit integer column in bits is k planes over
/// [`crate::B64`]; a plain column has one plane. Of the elements of a *narrow* column only the low bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Rows in each plane.
    pub rows: usize,
    /// Number of planes.
    pub planes: usize,
    /// Bits of an element that count; 0 for all.
    narrow: u8,
}

/// Bits that number `rows` rows: max(1, ceil(log2 rows)), a public size.
pub const fn index_bits(rows: usize) -> u32 {
    if rows <= 2 { 1 } else { (rows - 1).ilog2() + 1 }
}

impl Layout {
    /// `planes` planes of `rows` rows.
    pub const fn new(rows: usize, planes: usize) -> Self {
        Layout { rows, planes, narrow: 0 }
    }

    /// `planes` planes of `rows` elements of which the low `bits` count, for [`crate::Index`] and rows of bits.
    pub const fn narrow(rows: usize, planes: usize, bits: u32) -> Self {
        assert!(0 < bits && bits <= 64);
        Layout { rows, planes, narrow: bits as u8 }
    }

    /// As many planes of as many bits, but `rows` rows.
    pub const fn with_rows(self, rows: usize) -> Self {
        Layout { rows, ..self }
    }

    /// As many rows of as many bits, but `planes` planes.
    pub const fn with_planes(self, planes: usize) -> Self {
        Layout { planes, ..self }
    }

    /// Bits of an element that count.
    pub const fn width<R: Ring>(&self) -> u32 {
        if self.narrow == 0 { R::BITS } else { self.narrow as u32 }
    }

    /// Elements that hold one plane.
    pub const fn stride<R: Ring>(&self) -> usize {
        self.rows.div_ceil(R::ROWS)
    }

    /// Elements in all.
    pub const fn len<R: Ring>(&self) -> usize {
        self.stride::<R>() * self.planes
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0 || self.planes == 0
    }

    /// Payload bits of the column on the wire: exact, no padding between elements or planes.
    pub const fn bits<R: Ring>(&self) -> u64 {
        self.rows as u64 * self.planes as u64 * self.width::<R>() as u64
    }

    /// Payload bytes on the wire: the bits, rounded up once per column sent.
    pub const fn bytes<R: Ring>(&self) -> usize {
        self.bits::<R>().div_ceil(8) as usize
    }
}

/// A column of ring elements. In the last word of a bit-plane the bits past the last row are unspecified, as are an element's bits above the width of a
/// narrow column: they are never sent, whoever counts or shows bits masks them, and two columns are equal if their rows are. Wiped on drop, since most columns hold
/// shares.
pub struct Column<R: Ring> {
    pub(crate) data: Vec<R>,
    pub(crate) layout: Layout,
}

impl<R: Ring> Clone for Column<R> {
    fn clone(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        data.extend_from_slice(&self.data);
        Column { data, layout: self.layout }
    }
}

impl<R: Ring> PartialEq for Column<R> {
    fn eq(&self, other: &Self) -> bool {
        let width = self.layout.width::<R>();
        if width < R::BITS {
            let low = |c: &Self, i: usize| c.data[i].low_bits(width);
            return self.layout == other.layout && (0..self.data.len()).all(|i| low(self, i) == low(other, i));
        }
        let same_plane = |i| match (self.plane(i).split_last(), other.plane(i).split_last()) {
            (Some((last, full)), Some((other_last, other_full))) => {
                let rows = last_rows::<R>(self.layout.rows);
                full == other_full && last.first_rows(rows) == other_last.first_rows(rows)
            }
            _ => true,
        };
        self.layout == other.layout && (0..self.planes()).all(same_plane)
    }
}

impl<R: Ring> Eq for Column<R> {}

/// Rows in the last element of a plane of `rows` rows, `rows` > 0.
pub(crate) fn last_rows<R: Ring>(rows: usize) -> usize {
    (rows - 1) % R::ROWS + 1
}

impl<R: Ring> Drop for Column<R> {
    fn drop(&mut self) {
        self.data.as_mut_slice().zeroize();
    }
}

impl<R: Ring> Column<R> {
    /// All zeros.
    pub fn zeros(layout: Layout) -> Self {
        Column::splat(R::ZERO, layout)
    }

    /// Every row the same public value.
    pub fn splat(value: R, layout: Layout) -> Self {
        let mut data = Vec::with_capacity(layout.len::<R>());
        data.resize(layout.len::<R>(), value);
        Column { data, layout }
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

    /// The same elements, of which only the low `bits` count.
    pub fn narrowed(mut self, bits: u32) -> Self {
        self.layout = Layout::narrow(self.layout.rows, self.layout.planes, bits);
        self
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

    /// A column whose elements, in order, are written by `write` a block at a time: it is given the position of the first element of the
    /// block and the block, which stays in the first-level cache.
    pub fn build(layout: Layout, mut write: impl FnMut(usize, &mut [R])) -> Self {
        let len = layout.len::<R>();
        let mut data = Vec::with_capacity(len);
        let mut block = [R::ZERO; BLOCK];
        for at in (0..len).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(len - at)];
            write(at, block);
            data.extend_from_slice(block);
        }
        block.as_mut_slice().zeroize();
        Column { data, layout }
    }

    /// Two columns written together, as in [`build`](Self::build).
    pub fn build_pair(layout: Layout, mut write: impl FnMut(usize, &mut [R], &mut [R])) -> (Self, Self) {
        let mut second = Vec::with_capacity(layout.len::<R>());
        let mut block = [R::ZERO; BLOCK];
        let first = Column::build(layout, |at, first| {
            let block = &mut block[..first.len()];
            write(at, first, block);
            second.extend_from_slice(block);
        });
        block.as_mut_slice().zeroize();
        (first, Column { data: second, layout })
    }

    /// Changes the elements in place, a block at a time: `change` is given the position of the first element of the block and the block.
    pub fn update(&mut self, mut change: impl FnMut(usize, &mut [R])) {
        self.data.chunks_mut(BLOCK).enumerate().for_each(|(i, block)| change(i * BLOCK, block));
    }

    /// Sets the bits past the last row of every plane, and above the width of a narrow column, to zero.
    pub fn clear_tails(&mut self) {
        let width = self.layout.width::<R>();
        if width < R::BITS {
            self.data.iter_mut().for_each(|v| *v = v.low_bits(width));
        }
        let stride = self.layout.stride::<R>();
        if R::ROWS > 1 && stride > 0 {
            let rows = last_rows::<R>(self.layout.rows);
            self.data.iter_mut().skip(stride - 1).step_by(stride).for_each(|v| *v = v.first_rows(rows));
        }
    }

    /// The given planes in this order; a plane may be repeated.
    pub fn pick_planes(&self, planes: impl IntoIterator<Item = usize>) -> Self {
        let planes = planes.into_iter();
        let mut count = 0;
        let mut data = Vec::with_capacity(planes.size_hint().0 * self.layout.stride::<R>());
        for i in planes {
            data.extend_from_slice(self.plane(i));
            count += 1;
        }
        Column { data, layout: self.layout.with_planes(count) }
    }

    /// Row `rows[i]` of every plane at row i; `None` gives a zero row. For public positions only: memory is accessed by them.
    pub fn gather(&self, rows: &[Option<usize>]) -> Self {
        let layout = self.layout.with_rows(rows.len());
        let mut data = Vec::with_capacity(layout.len::<R>());
        for plane in (0..self.layout.planes).map(|i| self.plane(i)) {
            data.extend(rows.chunks(R::ROWS).map(|rows| {
                let row = |from: &Option<usize>| from.map_or(R::ZERO, |r| plane[r / R::ROWS].row(r % R::ROWS));
                rows.iter().enumerate().fold(R::ZERO, |v, (to, from)| v.add(row(from).at_row(to)))
            }));
        }
        Column { data, layout }
    }

    /// The sums of the rows of each plane within public groups: row g of the result is the sum of the rows r with `groups[r] == Some(g)`.
    pub fn sum_groups(&self, groups: &[Option<usize>], count: usize) -> Self {
        assert_eq!(groups.len(), self.layout.rows, "one group for each row");
        let mut sums = Column::zeros(self.layout.with_rows(count));
        let stride = sums.layout.stride::<R>();
        for i in 0..self.layout.planes {
            let (plane, sums) = (self.plane(i), &mut sums.data[i * stride..][..stride]);
            for (row, group) in groups.iter().enumerate() {
                let Some(g) = group else { continue };
                assert!(*g < count, "groups are 0..count");
                let v: &mut R = &mut sums[g / R::ROWS];
                *v = v.add(plane[row / R::ROWS].row(row % R::ROWS).at_row(g % R::ROWS));
            }
        }
        sums
    }

    /// The sum of the rows of each plane: one row.
    pub fn sum(&self) -> Self {
        let sum = |plane: &[R]| {
            let Some((last, full)) = plane.split_last() else { return R::ZERO };
            full.iter().fold(last.first_rows(last_rows::<R>(self.layout.rows)), |s, v| s.add(*v)).sum_rows()
        };
        Column { data: (0..self.layout.planes).map(|i| sum(self.plane(i))).collect(), layout: self.layout.with_rows(1) }
    }

    /// The planes in `range` as a column of their own.
    pub fn slice_planes(&self, range: std::ops::Range<usize>) -> Self {
        let stride = self.layout.stride::<R>();
        let elements = &self.data[range.start * stride..range.end * stride];
        let mut data = Vec::with_capacity(elements.len());
        data.extend_from_slice(elements);
        Column { data, layout: self.layout.with_planes(range.len()) }
    }

    /// The planes of all `columns` one after the other; all must have the same rows.
    pub fn stack(columns: &[&Self]) -> Self {
        let one = columns.first().map_or(Layout::new(0, 0), |c| c.layout.with_planes(1));
        assert!(columns.iter().all(|c| c.layout.with_planes(1) == one), "stacked columns have equal rows");
        let layout = one.with_planes(columns.iter().map(|c| c.planes()).sum());
        let mut data = Vec::with_capacity(layout.len::<R>());
        columns.iter().for_each(|c| data.extend_from_slice(&c.data));
        Column { data, layout }
    }

    /// Element-wise image.
    pub fn map(&self, f: impl Fn(R) -> R) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        data.extend(self.data.iter().map(|v| f(*v)));
        Column { data, layout: self.layout }
    }

    /// Each element combined with that of a column of the same layout, in place.
    pub fn combine(mut self, other: &Self, f: impl Fn(R, R) -> R) -> Self {
        assert_eq!(self.layout, other.layout, "columns have equal layouts");
        self.data.iter_mut().zip(&other.data).for_each(|(a, b)| *a = f(*a, *b));
        self
    }

    /// Adds `elements` to those from position `at` on.
    pub fn add_at(&mut self, at: usize, elements: &[R]) {
        self.data[at..].iter_mut().zip(elements).for_each(|(v, e)| *v = v.add(*e));
    }

    /// Element-wise combination of two columns of the same layout.
    pub fn zip(&self, other: &Self, f: impl Fn(R, R) -> R) -> Self {
        assert_eq!(self.layout, other.layout, "columns have equal layouts");
        let mut data = Vec::with_capacity(self.data.len());
        data.extend(self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)));
        Column { data, layout: self.layout }
    }
}

impl Column<crate::Index> {
    /// One plane of indices of `bits` bits.
    pub fn from_indices(values: impl IntoIterator<Item = u32>, bits: u32) -> Self {
        Column::from_rows(values.into_iter().map(crate::Index).collect()).narrowed(bits)
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

    /// Each bit as the element 0 or 1 of `R`, plane by plane, in the given layout of as many rows and planes.
    pub fn bits_as<R: Ring>(&self, layout: Layout) -> Column<R> {
        assert_eq!((layout.rows, layout.planes), (self.layout.rows, self.layout.planes), "one element a bit");
        Column::build(layout, |at, out| self.bits_into(at, out))
    }

    /// The elements `at ..` of [`bits_as`](Self::bits_as).
    pub fn bits_into<R: Ring>(&self, at: usize, mut out: &mut [R]) {
        if R::ROWS > 1 {
            let words = &self.data[at..at + out.len()];
            out.iter_mut().zip(words).for_each(|(v, w)| *v = R::from_bits(w.to_bits()).expect("a word of bits is an element"));
            return;
        }
        let (mut plane, mut row) = (at / self.layout.rows.max(1), at % self.layout.rows.max(1));
        while !out.is_empty() {
            let in_word = (64 - row % 64).min(self.layout.rows - row).min(out.len());
            let word = self.plane(plane)[row / 64].0 >> (row % 64);
            let (now, later) = out.split_at_mut(in_word);
            now.iter_mut().enumerate().for_each(|(i, v)| *v = R::from_bits((word >> i & 1).into()).unwrap_or_default());
            out = later;
            row += in_word;
            if row == self.layout.rows {
                (plane, row) = (plane + 1, 0);
            }
        }
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
