//! Byte strings of fixed width as integers.
//!
//! *Functionality.* Strings of at most L bytes as 8 L bit-planes whose unsigned order is the order of the strings byte by byte, a shorter one before its
//! continuations; [`lengthen`] to more bytes. Compare them with [`equal`](super::equal()), [`less`](super::less()), [`is_in`](super::is_in), [`at_least`](super::at_least).
//! *Protocol.* An encoding alone: the first byte is the most significant; shorter strings are filled with zero bytes. Order and equality are those of the
//! strings where no string contains a zero byte, which [`text_planes`] refuses. *Cost.* None here; comparisons those of 8 L bits. *Leakage.* L alone.

use super::Bits;
use super::integer::shift_up;
use crate::{Engine, Share};
use mpc_core::{B64, Column, Layout};

/// The bit-planes of `strings` in `length` bytes; `None` if one is longer or contains a zero byte.
pub fn text_planes<S: AsRef<[u8]>>(strings: &[S], length: usize) -> Option<Column<B64>> {
    let mut planes = Column::<B64>::zeros(Layout::new(strings.len(), 8 * length));
    let stride = planes.layout().stride::<B64>();
    let words = planes.as_mut_slice();
    for (row, string) in strings.iter().map(AsRef::as_ref).enumerate() {
        if string.len() > length || string.contains(&0) {
            return None;
        }
        for (i, byte) in string.iter().enumerate() {
            let lowest = 8 * (length - 1 - i);
            (0..8).for_each(|bit| words[(lowest + bit) * stride + row / 64].0 |= u64::from(byte >> bit & 1) << (row % 64));
        }
    }
    Some(planes)
}

/// The same strings in `length` bytes, not fewer than they have.
pub fn lengthen<E: Engine>(e: &mut E, text: &Bits<E>, length: usize) -> Bits<E> {
    let planes = text.layout().planes;
    assert!(planes % 8 == 0 && planes <= 8 * length, "strings become longer, by whole bytes");
    shift_up(e, text, 8 * length - planes)
}
