//! A search of this process's own memory, for tests that secrets are wiped. The secret looked for is kept masked, so that the search does not
//! find itself.

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroize;

/// One search at a time: what another has read, it would find.
static SEARCHING: Mutex<()> = Mutex::new(());

/// Thirty-two bytes whose complement is in memory.
pub(crate) struct Masked([u8; 32]);

impl Masked {
    /// The bytes whose complement is given.
    pub(crate) const fn complement(bytes: [u8; 32]) -> Self {
        Masked(bytes)
    }

    /// Bytes nobody else has.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("randomness");
        Masked(bytes)
    }

    /// Writes the bytes themselves.
    pub(crate) fn reveal(&self, to: &mut [u8; 32]) {
        to.iter_mut().zip(black_box(&self.0)).for_each(|(to, masked)| *to = !*masked);
    }

    /// How often the first `N` of them stand in what this process can write to.
    pub(crate) fn copies_of<const N: usize>(&self) -> usize {
        let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux lists a process's memory");
        let memory = std::fs::File::open("/proc/self/mem").expect("a process may read its own memory");
        let mut chunk = vec![0u8; 1 << 20];
        let own = chunk.as_ptr() as u64..chunk.as_ptr() as u64 + chunk.len() as u64;
        let mut copies = 0;
        for map in maps.lines().filter(|m| m.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
            let (start, end) = map.split_whitespace().next().and_then(|r| r.split_once('-')).expect("a range");
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            let (mut at, end) = (address(start), address(end));
            while at < end {
                let len = (end - at).min(chunk.len() as u64) as usize;
                let Ok(read) = memory.read_at(&mut chunk[..len], at) else { break };
                let found = chunk[..read]
                    .windows(N)
                    .zip(at..)
                    .filter(|(w, at)| w[0] == !self.0[0] && w.iter().zip(&self.0).all(|(b, masked)| *b == !*masked) && !own.contains(at));
                copies += found.count();
                // what lies across the end of the chunk is found in the next
                at += if at + (read as u64) < end && read > N { (read - N + 1) as u64 } else { (read as u64).max(1) };
            }
        }
        chunk.zeroize();
        copies
    }

    /// How often they stand in what this process can write to.
    pub(crate) fn copies(&self) -> usize {
        self.copies_of::<32>()
    }
}

/// Runs `f` far below where the search itself will run, so that the search does not wipe what `f` has left.
#[inline(never)]
pub(crate) fn deep<T>(f: impl FnOnce() -> T) -> T {
    let gap = [1u8; 64 << 10];
    black_box(&gap);
    let result = f();
    black_box(&gap);
    result
}
