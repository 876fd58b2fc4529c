//! Rings: arithmetic and boolean sharings are the same code over different rings.
//!
//! | ring | elements | bits on the wire | used for |
//! |---|---|---|---|
//! | [`Fp61`] | integers mod 2^61-1 | 61 | the value domain: everything summed or multiplied |
//! | [`Fp127`] | integers mod 2^127-1 | 127 | values whose products leave Fp61 (fixed point) |
//! | [`B64`] | 64 rows of one bit-plane | 1 a row | everything compared |
//! | [`Z64`] | integers mod 2^64 | 64 | comparison with peers |
//! | [`Index`] | integers mod 2^w, w <= 32 known at run time | w | row indices, counts |
//! | [`Row8`](crate::Row8), [`Row32`](crate::Row32), [`Row64`](crate::Row64) | bits of one row | their number | bits while rows move |
//! | [`Fp31`] | integers mod 2^31-1 | 31 | row indices where a field is needed |
//!
//! Every operation here is constant-time: no branch and no index depends on an element.

mod fp127;

pub use fp127::Fp127;
use zeroize::DefaultIsZeroes;

/// A commutative ring whose elements are sent in a fixed width.
pub trait Ring: Copy + Default + Eq + Send + Sync + DefaultIsZeroes + 'static {
    /// Name as in the known answers of the model.
    const NAME: &'static str;
    /// Bits one *row* takes on the wire.
    const BITS: u32;
    /// Rows one element holds: 64 for a word of a bit-plane, else 1.
    const ROWS: usize;
    /// Key-stream bytes one element is sampled from.
    const SAMPLE: usize;
    /// Additive identity.
    const ZERO: Self;
    /// Multiplicative identity (all ones for [`B64`]).
    const ONE: Self;

    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Product.
    fn mul(self, other: Self) -> Self;

    /// x0 y0 + x0 y1 + x1 y0, a party's part of a replicated product (Araki et al., CCS'16, section 3.1).
    #[inline(always)]
    fn cross(x: (Self, Self), y: (Self, Self)) -> Self {
        x.0.mul(y.0.add(y.1)).add(x.1.mul(y.0))
    }

    /// [`cross`](Self::cross) plus `left` minus `right`: the product's part under a fresh sharing of zero.
    #[inline(always)]
    fn masked_cross(x: (Self, Self), y: (Self, Self), left: Self, right: Self) -> Self {
        Self::cross(x, y).add(left.sub(right))
    }

    /// A uniform element from [`SAMPLE`](Self::SAMPLE) uniform bytes, or `None` where the bytes must be rejected (prime fields,
    /// with probability 1/(p+1)). The caller then samples again from a stream of its own.
    fn sample(bytes: &[u8]) -> Option<Self>;

    /// [`sample`](Self::sample) of consecutive bytes for each of `out`; whether none was rejected. Those that were are unspecified.
    #[inline(always)]
    fn sample_all(bytes: &[u8], out: &mut [Self]) -> bool {
        let mut all = true;
        for (v, b) in out.iter_mut().zip(bytes.chunks_exact(Self::SAMPLE)) {
            let s = Self::sample(b);
            all &= s.is_some();
            *v = s.unwrap_or_default();
        }
        all
    }

    /// Row `row` of this element, moved to row 0; the other rows are zero.
    #[inline(always)]
    fn row(self, row: usize) -> Self {
        debug_assert_eq!(row, 0);
        self
    }
    /// Row 0 moved to row `row`; nothing but row 0 may be set.
    #[inline(always)]
    fn at_row(self, row: usize) -> Self {
        debug_assert_eq!(row, 0);
        self
    }
    /// The first `rows` rows of this element, 1 <= `rows` <= [`ROWS`](Self::ROWS); the others are zero.
    #[inline(always)]
    fn first_rows(self, rows: usize) -> Self {
        debug_assert_eq!(rows, 1);
        self
    }
    /// The sum of all rows of this element, in row 0.
    #[inline(always)]
    fn sum_rows(self) -> Self {
        self
    }

    /// The prefix sums of this element's rows on top of `before`, the sum so far in every row; and the sum after them, in every row.
    #[inline(always)]
    fn running(self, before: Self) -> (Self, Self) {
        let sum = before.add(self);
        (sum, sum)
    }
    /// The element without what is above its low `bits`: for rings whose columns may be narrower than the ring.
    #[inline(always)]
    fn low_bits(self, bits: u32) -> Self {
        debug_assert!(bits >= Self::BITS);
        self
    }

    /// The element's bits, least significant first.
    fn to_bits(self) -> u128;
    /// The inverse of [`to_bits`](Self::to_bits); `None` if the bits are not an element's.
    fn from_bits(bits: u128) -> Option<Self>;
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut w = [0; 8];
    w.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(w)
}

#[inline(always)]
fn half(bytes: &[u8]) -> u32 {
    let mut w = [0; 4];
    w.copy_from_slice(&bytes[..4]);
    u32::from_le_bytes(w)
}

/// 64 rows of one bit-plane: addition is XOR, multiplication is AND.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct B64(pub u64);

impl Ring for B64 {
    const NAME: &'static str = "Z2";
    const BITS: u32 = 1;
    const ROWS: usize = 64;
    const SAMPLE: usize = 8;
    const ZERO: Self = B64(0);
    const ONE: Self = B64(u64::MAX);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        B64(self.0 ^ o.0)
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        B64(self.0 ^ o.0)
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        B64(self.0 & o.0)
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        Some(B64(word(bytes)))
    }
    #[inline(always)]
    fn row(self, row: usize) -> Self {
        B64(self.0 >> row & 1)
    }
    #[inline(always)]
    fn at_row(self, row: usize) -> Self {
        B64(self.0 << row)
    }
    #[inline(always)]
    fn first_rows(self, rows: usize) -> Self {
        B64(self.0 & u64::MAX >> (64 - rows))
    }
    #[inline(always)]
    fn sum_rows(self) -> Self {
        B64((self.0.count_ones() & 1).into())
    }
    #[inline(always)]
    fn running(self, before: Self) -> (Self, Self) {
        let sums = [1, 2, 4, 8, 16, 32].into_iter().fold(self.0, |v, by| v ^ v << by) ^ before.0;
        (B64(sums), B64((sums >> 63).wrapping_neg()))
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        u64::try_from(bits).ok().map(B64)
    }
}

/// Integers mod 2^64.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Z64(pub u64);

impl Ring for Z64 {
    const NAME: &'static str = "Z_2^64";
    const BITS: u32 = 64;
    const ROWS: usize = 1;
    const SAMPLE: usize = 8;
    const ZERO: Self = Z64(0);
    const ONE: Self = Z64(1);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Z64(self.0.wrapping_add(o.0))
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Z64(self.0.wrapping_sub(o.0))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Z64(self.0.wrapping_mul(o.0))
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        Some(Z64(word(bytes)))
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        u64::try_from(bits).ok().map(Z64)
    }
}

/// Integers mod 2^w, w <= 32. The width is a public size known at run time (w = [`index_bits`](crate::column::index_bits) of the rows), so it belongs to the
/// column's layout ([`Layout::narrow`](crate::Layout::narrow)), not to the type: arithmetic is mod 2^32, which reduces to every smaller width, and only the low w
/// bits are sent, compared or shown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Index(pub u32);

impl Ring for Index {
    const NAME: &'static str = "Z_2^w";
    const BITS: u32 = 32;
    const ROWS: usize = 1;
    const SAMPLE: usize = 4;
    const ZERO: Self = Index(0);
    const ONE: Self = Index(1);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Index(self.0.wrapping_add(o.0))
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Index(self.0.wrapping_sub(o.0))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Index(self.0.wrapping_mul(o.0))
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        Some(Index(half(bytes)))
    }
    #[inline(always)]
    fn low_bits(self, bits: u32) -> Self {
        Index(self.0 & u32::MAX >> (32 - bits))
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        u32::try_from(bits).ok().map(Index)
    }
}

/// Integers mod the Mersenne prime 2^31-1, canonical.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Fp31(u32);

impl Fp31 {
    /// The modulus.
    pub const P: u32 = (1 << 31) - 1;

    /// `v` mod p.
    #[inline(always)]
    pub fn new(v: u64) -> Self {
        let p = Self::P as u64;
        let v = (v & p) + (v >> 31);
        let v = (v & p) + (v >> 31);
        let v = (v & p) + (v >> 31);
        Fp31(sub_if_ge(v, p) as u32)
    }

    /// The representative in 0..p.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// v - p if v >= p else v, without a branch; v < 2p < 2^63.
#[inline(always)]
fn sub_if_ge(v: u64, p: u64) -> u64 {
    let d = v.wrapping_sub(p);
    d.wrapping_add(p & (((d as i64) >> 63) as u64))
}

impl Ring for Fp31 {
    const NAME: &'static str = "Fp31";
    const BITS: u32 = 31;
    const ROWS: usize = 1;
    const SAMPLE: usize = 4;
    const ZERO: Self = Fp31(0);
    const ONE: Self = Fp31(1);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Fp31(sub_if_ge(self.0 as u64 + o.0 as u64, Self::P as u64) as u32)
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Fp31(sub_if_ge(self.0 as u64 + Self::P as u64 - o.0 as u64, Self::P as u64) as u32)
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Fp31::new(self.0 as u64 * o.0 as u64)
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        let v = half(bytes) & Self::P;
        (v != Self::P).then_some(Fp31(v))
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        u32::try_from(bits).ok().filter(|v| *v < Self::P).map(Fp31)
    }
}

/// Integers mod the Mersenne prime 2^61-1, canonical: the one value domain.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Fp61(u64);

impl Fp61 {
    /// The modulus.
    pub const P: u64 = (1 << 61) - 1;

    /// `v` mod p.
    #[inline(always)]
    pub fn new(v: u64) -> Self {
        Fp61(sub_if_ge((v & Self::P) + (v >> 61), Self::P))
    }

    /// `v` mod p, for any signed value.
    pub fn from_i128(v: i128) -> Self {
        let size = v.unsigned_abs();
        let size = Fp61::new((size as u64 & Self::P) + ((size >> 61) as u64 & Self::P) + (size >> 122) as u64);
        let negative = Fp61::ZERO.sub(size);
        // chosen by the sign without a branch: owners convert their secrets here
        Fp61(size.0 ^ ((size.0 ^ negative.0) & (v >> 127) as u64))
    }

    /// The representative in 0..p.
    #[inline(always)]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The representative nearest zero, in -(p-1)/2 ..= (p-1)/2.
    pub fn centered(self) -> i64 {
        if self.0 > Self::P / 2 { self.0 as i64 - Self::P as i64 } else { self.0 as i64 }
    }

    /// `v` mod p for v < 2^124, so that the sum below stays under 2^61 + 2^63.
    #[inline(always)]
    fn reduce(v: u128) -> Self {
        Fp61::new((v as u64 & Self::P) + (v >> 61) as u64)
    }
}

impl Ring for Fp61 {
    const NAME: &'static str = "Fp61";
    const BITS: u32 = 61;
    const ROWS: usize = 1;
    const SAMPLE: usize = 8;
    const ZERO: Self = Fp61(0);
    const ONE: Self = Fp61(1);

    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Fp61(sub_if_ge(self.0 + o.0, Self::P))
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Fp61(sub_if_ge(self.0 + Self::P - o.0, Self::P))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Fp61::reduce(self.0 as u128 * o.0 as u128)
    }
    #[inline(always)]
    fn cross(x: (Self, Self), y: (Self, Self)) -> Self {
        // two products and one reduction: x0 (y0 + y1) < 2^123 and x1 y0 < 2^122 make less than 2^124
        Fp61::reduce(x.0.0 as u128 * (y.0.0 + y.1.0) as u128 + x.1.0 as u128 * y.0.0 as u128)
    }
    #[inline(always)]
    fn masked_cross(x: (Self, Self), y: (Self, Self), left: Self, right: Self) -> Self {
        // as above, and a mask < 2^62: one reduction for all
        let mask = left.0 + (Self::P - right.0);
        Fp61::reduce(x.0.0 as u128 * (y.0.0 + y.1.0) as u128 + x.1.0 as u128 * y.0.0 as u128 + mask as u128)
    }
    #[inline(always)]
    fn sample(bytes: &[u8]) -> Option<Self> {
        let v = word(bytes) & Self::P;
        (v != Self::P).then_some(Fp61(v))
    }
    #[inline(always)]
    fn sample_all(bytes: &[u8], out: &mut [Self]) -> bool {
        // v + 1 has bit 61 only if v is the modulus
        let mut carried = 0;
        for (v, b) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
            v.0 = u64::from_le_bytes(*b) & Self::P;
            carried |= v.0 + 1;
        }
        carried >> 61 == 0
    }
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Option<Self> {
        u64::try_from(bits).ok().filter(|v| *v < Self::P).map(Fp61)
    }
}

impl DefaultIsZeroes for B64 {}
impl DefaultIsZeroes for Z64 {}
impl DefaultIsZeroes for Index {}
impl DefaultIsZeroes for Fp31 {}
impl DefaultIsZeroes for Fp61 {}
