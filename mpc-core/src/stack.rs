//! Wiping of the stack. What computes with a key passes it by value and keeps intermediate values in local variables, and leaves both behind
//! where the next function happens to find them: so do the libraries below us. A key itself lives on the heap, in a place that is wiped when
//! it goes; what touches one runs in [`wiped`].

use std::hint::black_box;
use zeroize::Zeroize;

/// More than a signature, a key agreement or a key derivation takes, by far.
const DEPTH: usize = 32 << 10;
/// More than a protocol takes.
const DEEPER: usize = 256 << 10;

/// Runs `secret` and overwrites the stack it has used. What it returns passes through the caller's stack: a public value, or a pointer to a
/// secret, never the secret.
#[inline(never)]
pub fn wiped<T>(secret: impl FnOnce() -> T) -> T {
    let result = call(secret);
    overwrite::<DEPTH>();
    result
}

/// Overwrites what lies below the caller: where a thread has computed with a key too often to wipe the stack each time.
pub fn wipe() {
    overwrite::<DEEPER>();
}

/// A frame of its own, so that it begins where that of [`overwrite`] does.
#[inline(never)]
fn call<T>(secret: impl FnOnce() -> T) -> T {
    secret()
}

#[inline(never)]
fn overwrite<const DEPTH: usize>() {
    let mut stack = [0u8; DEPTH];
    black_box(&mut stack).zeroize();
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::memory::{Masked, deep};

    /// Keeps a copy in a local variable and does not wipe it.
    #[inline(never)]
    fn careless(secret: &Masked) {
        let mut copy = [0; 32];
        secret.reveal(&mut copy);
        black_box(&copy);
    }

    #[test]
    fn what_a_computation_leaves_on_the_stack_is_gone() {
        let secret = Masked::random();
        deep(|| wiped(|| careless(&secret)));
        assert_eq!(secret.copies(), 0);
        deep(|| careless(&secret));
        assert_eq!(secret.copies(), 1, "the search finds what is there");
    }
}
