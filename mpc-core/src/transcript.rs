//! Merlin transcripts (STROBE-128): the one way hashes, challenges and session ids are derived from what was said.

use merlin::Transcript as Merlin;

/// A domain-separated transcript of public messages.
#[derive(Clone)]
pub struct Transcript(Merlin);

impl Transcript {
    /// An empty transcript for `protocol`, e.g. `tacit/v1/session`.
    pub fn new(protocol: &'static [u8]) -> Self {
        Transcript(Merlin::new(protocol))
    }

    /// Binds a message.
    pub fn absorb(&mut self, label: &'static [u8], message: &[u8]) {
        self.0.append_message(label, message);
    }

    /// 32 bytes that depend on everything bound so far.
    pub fn challenge(&mut self, label: &'static [u8]) -> [u8; 32] {
        let mut out = [0; 32];
        self.0.challenge_bytes(label, &mut out);
        out
    }
}
