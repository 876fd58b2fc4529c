//! Pseudo-random secret sharing (Cramer, Damgård, Ishai, TCC'05): two parties that share an edge key derive the same
//! randomness without a message.
//!
//! The stream is *addressed*, not drawn: word `row` of step `step` of lane `lane` is a fixed function of the edge key, so nothing can
//! be used twice by a forgotten counter, and rows can be produced in any order and any block size.
//! `F(K, lane, step, row) = AES-128-CTR(HKDF(K, lane), nonce = step, position = row)`; a key is used for far fewer than the 2^43 blocks at which
//! the distance of the permutation from a function would matter. Prime-field elements are exactly uniform given a uniform
//! stream: a rejected word (probability 2^-31, 2^-61 or 2^-127) is sampled again from a stream of its own.

use crate::ring::Ring;
use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek};
use ctr::{Ctr64LE, CtrCore, flavors};
use hkdf::Hkdf;
use sha2::Sha256;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use zeroize::Zeroize;

/// One address of the stream: a lane's step. Obtained from [`crate::Session::step`], the same at every party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step(pub(crate) u64);

/// A key two parties share for one attempt of one session. Wiped on drop.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct EdgeKey([u8; 32]);

impl EdgeKey {
    /// Wraps uniform bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        EdgeKey(bytes)
    }
}

/// The randomness one lane shares with one peer.
#[derive(Clone)]
pub struct Prss {
    cipher: Aes128,
    lane: u16,
    ledger: Option<AddressLedger>,
}

/// Records every address drawn, so that tests can show none is drawn twice.
pub type AddressLedger = Arc<Mutex<HashSet<(u16, u64, usize, usize)>>>;

/// Rows sampled at a time: a block of key-stream stays in the first-level cache.
pub const BLOCK: usize = 1024;

/// Marks the stream from which rejected rows are sampled again; steps stay below it.
const AGAIN: u64 = 1 << 63;

impl Prss {
    /// The stream of `lane` under `key`.
    pub fn new(key: &EdgeKey, lane: u16) -> Self {
        let mut lane_key = [0; 16];
        let mut info = b"tacit/v1/prss/".to_vec();
        info.extend_from_slice(&lane.to_le_bytes());
        Hkdf::<Sha256>::new(None, &key.0).expand(&info, &mut lane_key).expect("16 bytes are a valid HKDF output");
        let cipher = Aes128::new(&lane_key.into());
        lane_key.zeroize();
        Prss { cipher, lane, ledger: None }
    }

    pub(crate) fn record(&mut self, ledger: AddressLedger) {
        self.ledger = Some(ledger);
    }

    /// Fills `out` with uniform elements: those at `first_row ..` of `step`.
    pub fn fill<R: Ring>(&self, step: Step, first_row: usize, out: &mut [R]) {
        if let Some(ledger) = &self.ledger {
            let fresh = ledger.lock().expect("no test panics while it records").insert((self.lane, step.0, first_row, out.len()));
            assert!(fresh, "PRSS address drawn twice: step {} row {first_row}", step.0);
        }
        let mut stream = self.stream(step.0, first_row as u64 * R::SAMPLE as u64);
        let mut bytes = [0u8; BLOCK * 8];
        let per_block = bytes.len() / R::SAMPLE;
        for (block, out) in out.chunks_mut(per_block).enumerate() {
            let bytes = &mut bytes[..out.len() * R::SAMPLE];
            stream.write_keystream(bytes);
            let mut rejected = false;
            for (v, b) in out.iter_mut().zip(bytes.chunks_exact(R::SAMPLE)) {
                let s = R::sample(b);
                rejected |= s.is_none();
                *v = s.unwrap_or_default();
            }
            if rejected {
                self.sample_again(step, first_row + block * per_block, bytes, out);
            }
        }
        bytes.zeroize();
    }

    #[cold]
    fn sample_again<R: Ring>(&self, step: Step, first_row: usize, bytes: &[u8], out: &mut [R]) {
        for (i, (v, b)) in out.iter_mut().zip(bytes.chunks_exact(R::SAMPLE)).enumerate() {
            if R::sample(b).is_some() {
                continue;
            }
            // 2^12 blocks a row: never exhausted
            let mut stream = self.stream(step.0 | AGAIN, (first_row + i) as u64 * (16 << 12));
            *v = loop {
                let mut b = [0u8; 16];
                stream.write_keystream(&mut b);
                if let Some(v) = R::sample(&b) {
                    break v;
                }
            };
        }
    }

    fn stream(&self, step: u64, position: u64) -> Ctr64LE<Aes128> {
        // the counter occupies the low eight bytes of the block, the step the high eight
        let mut nonce = [0; 16];
        nonce[8..].copy_from_slice(&step.to_le_bytes());
        let mut stream = Ctr64LE::<Aes128>::from_core(CtrCore::<Aes128, flavors::Ctr64LE>::inner_iv_init(self.cipher.clone(), &nonce.into()));
        stream.seek(position);
        stream
    }
}
