//! Reuse of the memory of large columns and messages. The allocator returns large blocks to the system as soon as they are free, and the
//! page faults of getting them back cost more than the arithmetic of a round; so a thread keeps what it has just finished with.
//!
//! What is kept has been wiped; it is bounded per thread and goes with the thread.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use zeroize::{DefaultIsZeroes, Zeroize};

/// Smaller buffers are the allocator's business.
const SMALLEST: usize = 1 << 15;
/// Bytes a thread keeps.
const KEPT: usize = 48 << 20;

#[derive(Default)]
struct Shelf {
    /// For each element type its spare buffers, a `Vec<Vec<T>>`.
    spare: HashMap<TypeId, Box<dyn Any>>,
    bytes: usize,
}

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::default();
}

/// An empty buffer with room for `len` elements.
pub(crate) fn take<T: 'static>(len: usize) -> Vec<T> {
    let size = len * size_of::<T>();
    if size < SMALLEST {
        return Vec::with_capacity(len);
    }
    let reused = SHELF.try_with(|shelf| {
        let mut shelf = shelf.try_borrow_mut().ok()?;
        let spare: &mut Vec<Vec<T>> = shelf.spare.get_mut(&TypeId::of::<T>())?.downcast_mut()?;
        // the smallest that is large enough, and not wastefully so
        let fits = spare.iter().enumerate().filter(|(_, b)| (len..=2 * len).contains(&b.capacity()));
        let (best, _) = fits.min_by_key(|(_, b)| b.capacity())?;
        let buffer = spare.swap_remove(best);
        shelf.bytes -= buffer.capacity() * size_of::<T>();
        Some(buffer)
    });
    reused.ok().flatten().unwrap_or_else(|| Vec::with_capacity(len))
}

/// Wipes a buffer and keeps it for the next [`take`], if there is room.
pub(crate) fn give<T: DefaultIsZeroes + 'static>(mut buffer: Vec<T>) {
    buffer.as_mut_slice().zeroize();
    let size = buffer.capacity() * size_of::<T>();
    if size < SMALLEST {
        return;
    }
    buffer.clear();
    // while a thread ends its shelf may be gone already: then the buffer just goes too
    let _ = SHELF.try_with(|shelf| {
        let Ok(mut shelf) = shelf.try_borrow_mut() else { return };
        if shelf.bytes + size > KEPT {
            return;
        }
        let spare = shelf.spare.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(Vec::<Vec<T>>::new()));
        if let Some(spare) = spare.downcast_mut::<Vec<Vec<T>>>() {
            spare.push(buffer);
            shelf.bytes += size;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_wiped_and_only_where_it_fits() {
        let mut buffer: Vec<u64> = take(10_000);
        buffer.extend(std::iter::repeat_n(7, 10_000));
        let address = buffer.as_ptr();
        give(buffer);
        assert_ne!(take::<u32>(10_000).capacity(), 0);
        let too_large = take::<u64>(30_000);
        let too_small = take::<u64>(4_097);
        assert!(too_large.as_ptr() != address && too_small.as_ptr() != address);
        let again: Vec<u64> = take(9_000);
        assert!(again.is_empty() && again.as_ptr() == address);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for _ in 0..100 {
            give::<u64>(vec![1; 1 << 20]);
        }
        SHELF.with(|s| assert!(s.borrow().bytes <= KEPT));
        let all: Vec<Vec<u64>> = (0..6).map(|_| take(1 << 20)).collect();
        SHELF.with(|s| assert_eq!(s.borrow().bytes, 0));
        drop(all);
    }
}
