//! Pseudo-random secret sharing (Cramer, Damgård, Ishai, TCC'05): two parties that share an edge key derive the same
//! randomness without a message.
//!
//! The stream is *addressed*, not drawn: element `at` of step `step` of lane `lane` is a fixed function of the edge key, so nothing can
//! be used twice by a forgotten counter, and elements can be produced in any order and any block size.
//! `F(K, lane, step, at) = AES-128-CTR(HKDF(K, lane), nonce = step, position = at)`; a key is used for far fewer than the 2^43 blocks at which
//! the distance of the permutation from a function would matter. Prime-field elements are exactly uniform given a uniform
//! stream: a rejected word (probability 2^-31, 2^-61 or 2^-127) is sampled again from a stream of its own.

use crate::ring::Ring;
use crate::stack;
use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek};
use ctr::{Ctr64LE, CtrCore};
use hkdf::Hkdf;
use sha2::Sha256;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use zeroize::{Zeroize, Zeroizing};

/// One address of the stream: a lane's step. Obtained from [`crate::Session::step`], the same at every party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step(pub(crate) u64);

impl Step {
    /// Before the first of a session: for keys that are of none.
    pub const OF_NO_SESSION: Step = Step(0);

    /// That of an input, by its number among its owner's: for a key under which that owner alone deals.
    ///
    /// # Panics
    /// If it is 2^63 or more.
    pub fn of_dealing(number: u64) -> Self {
        assert!(number < AGAIN, "nobody deals so many columns");
        Step(number)
    }

    /// The step's number in its lane.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A key two parties share for one attempt of one session. Wiped with its last copy; moving or cloning it copies no byte of it.
#[derive(Clone)]
pub struct EdgeKey(Arc<Zeroizing<[u8; 32]>>);

impl EdgeKey {
    /// Wraps uniform bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self::written(|key| key.copy_from_slice(&bytes[..]))
    }

    /// HKDF-SHA-256 of what a key agreement gave.
    pub(crate) fn derive(shared: &[u8; 32], salt: &[u8], info: &[u8]) -> Self {
        Self::written(|key| expand(Some(salt), shared, info, key))
    }

    fn written(write: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Arc::new(Zeroizing::new([0; 32]));
        write(Arc::get_mut(&mut key).expect("nobody else has it yet"));
        EdgeKey(key)
    }
}

fn expand(salt: Option<&[u8]>, key: &[u8; 32], info: &[u8], out: &mut [u8]) {
    stack::wiped(|| Hkdf::<Sha256>::new(salt, key).expand(info, out).expect("at most 32 bytes are a valid HKDF output"));
}

/// The randomness one lane shares with one peer.
#[derive(Clone)]
pub struct Prss {
    cipher: Arc<Aes128Enc>,
    lane: u16,
    ledger: Option<AddressLedger>,
    script: Option<Script>,
}

/// Records every address drawn, by lane and step in bytes of key-stream, so that tests can show none is drawn twice.
pub(crate) type AddressLedger = Arc<Mutex<HashMap<(u16, u64), Vec<Range<usize>>>>>;

/// What a test puts in the place of the key-stream: the bits of element `at` of a step, given how many of them the ring uses.
pub(crate) type Script = Arc<dyn Fn(Step, usize, u32) -> u128 + Send + Sync>;

/// Elements sampled at a time: a block of elements and of key-stream stays in the first-level cache.
pub const BLOCK: usize = 1024;

/// Marks the stream from which rejected elements are sampled again; steps stay below it.
const AGAIN: u64 = 1 << 63;

impl Prss {
    /// The stream of `lane` under `key`.
    pub fn new(key: &EdgeKey, lane: u16) -> Self {
        let info = [&b"tacit/v1/prss/"[..], &lane.to_le_bytes()].concat();
        let cipher = stack::wiped(|| {
            let mut lane_key = Zeroizing::new([0; 16]);
            expand(None, &key.0, &info, &mut lane_key[..]);
            Arc::new(Aes128Enc::new((&*lane_key).into()))
        });
        Prss { cipher, lane, ledger: None, script: None }
    }

    /// The same peer's randomness in another lane, recorded in the same place.
    pub(crate) fn in_lane(&self, key: &EdgeKey, lane: u16) -> Self {
        Prss { ledger: self.ledger.clone(), script: self.script.clone(), ..Prss::new(key, lane) }
    }

    pub(crate) fn record(&mut self, ledger: AddressLedger) {
        self.ledger = Some(ledger);
    }

    pub(crate) fn follow(&mut self, script: Script) {
        self.script = Some(script);
    }

    /// The uniform elements `range` of `step`, to be taken in order.
    pub fn elements<R: Ring>(&self, step: Step, range: Range<usize>) -> Elements<'_, R> {
        if let Some(ledger) = &self.ledger {
            let mut ledger = ledger.lock().expect("no test panics while it records");
            let drawn = ledger.entry((self.lane, step.0)).or_default();
            let bytes = range.start * R::SAMPLE..range.end * R::SAMPLE;
            let fresh = bytes.is_empty() || drawn.iter().all(|d| d.end <= bytes.start || bytes.end <= d.start);
            assert!(fresh, "PRSS address drawn twice: step {}, elements {range:?}", step.0);
            drawn.push(bytes);
        }
        let stream = self.stream(step.0, range.start as u64 * R::SAMPLE as u64);
        Elements { prss: self, step, range, stream, bytes: [0; BLOCK * 8], ring: std::marker::PhantomData }
    }

    /// Fills `out` with uniform elements: those at `first ..` of `step`.
    pub fn fill<R: Ring>(&self, step: Step, first: usize, out: &mut [R]) {
        self.elements(step, first..first + out.len()).fill(out);
    }

    /// Element `at` once more, where the key-stream at its address is not an element's.
    #[cold]
    fn sample_again<R: Ring>(&self, step: Step, at: usize) -> R {
        // 2^12 samples an element: never exhausted
        let mut stream = self.stream(step.0 | AGAIN, at as u64 * (16 << 12));
        loop {
            let mut b = [0u8; 16];
            stream.write_keystream(&mut b);
            if let Some(v) = R::sample(&b) {
                return v;
            }
        }
    }

    fn stream(&self, step: u64, position: u64) -> Ctr64LE<&Aes128Enc> {
        // the counter occupies the low eight bytes of the block, the step the high eight
        let mut nonce = [0; 16];
        nonce[8..].copy_from_slice(&step.to_le_bytes());
        let mut stream = Ctr64LE::from_core(CtrCore::inner_iv_init(&*self.cipher, &nonce.into()));
        stream.seek(position);
        stream
    }
}

/// Consecutive elements of one step.
pub struct Elements<'a, R> {
    prss: &'a Prss,
    step: Step,
    range: Range<usize>,
    stream: Ctr64LE<&'a Aes128Enc>,
    bytes: [u8; BLOCK * 8],
    ring: std::marker::PhantomData<R>,
}

impl<R: Ring> Elements<'_, R> {
    /// Fills `out` with the next elements.
    ///
    /// # Panics
    /// Beyond the range asked for: a program error, since every draw is declared.
    pub fn fill(&mut self, out: &mut [R]) {
        assert!(out.len() <= self.range.len(), "a step draws no more than it declared");
        for out in out.chunks_mut(self.bytes.len() / R::SAMPLE) {
            let first = self.range.start;
            self.range.start += out.len();
            if let Some(script) = &self.prss.script {
                let element = |at| R::from_bits(script(self.step, at, R::BITS)).expect("a script gives elements");
                out.iter_mut().zip(first..).for_each(|(v, at)| *v = element(at));
                continue;
            }
            let bytes = &mut self.bytes[..out.len() * R::SAMPLE];
            self.stream.write_keystream(bytes);
            if !R::sample_all(bytes, out) {
                let again = out.iter_mut().zip(bytes.chunks_exact(R::SAMPLE)).enumerate().filter(|(_, (_, b))| R::sample(b).is_none());
                again.for_each(|(i, (v, _))| *v = self.prss.sample_again(self.step, first + i));
            }
        }
    }
}

impl<R> Drop for Elements<'_, R> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
