//! Inputs that are dealt alike in every session, so that peers can tell whether they are the same.
//!
//! *Functionality.* As [`input`](crate::Engine::input): P_i's x is x_i + x_{i+1}, of which P_{i+1} knows x_{i+1} and P_{i-1} x_i. *Protocol.* The mask x_{i+1} is not that of the session: it is expanded from
//! a *dealing key* of P_i's, which P_i told P_{i+1} alone, at addresses that count P_i's own inputs from 0. Under the same key the same values are the same shares; what P_{i-1} is sent is digested, with type and
//! layout, in order. *Cost.* That of `input`; telling the keys is a round of 256 bits from each party to its right peer, outside of the engine.
//!
//! *What is asked of keys.* One key masks one sequence of values, of one layout, for one assignment of parties to places: else P_{i-1} could subtract one message from another, and who was right under one roster and left under another would
//! have both components. Who derives a key from all of these, as a synthetic IV is (Rogaway, Shrimpton, EUROCRYPT'06), cannot use one twice for different values. *Leakage.* P_{i+1} and P_{i-1} each learn whether
//! the inputs are the same as in another session of the same part of a question; P_{i-1} holds x - x_{i+1} alone, which is uniform, and P_{i+1} a key that is a pseudo-random function's value.

use super::Rep3;
use mpc_core::prss::{EdgeKey, Elements, Prss, Step};
use mpc_core::{Column, PartyId, Ring};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The keys of a session under which owners deal, as one party holds them, and what it was dealt so far.
pub(super) struct Dealing {
    /// This party's, which its right peer holds as well.
    own: Prss,
    /// Its left peer's.
    left: Prss,
    /// Inputs so far, by owner.
    inputs: [u64; 3],
    /// Over what its right peer sent.
    received: Sha256,
}

impl Rep3 {
    /// From here on [`deal`](crate::Engine::deal) goes by keys: this party's, and the one that its left peer told it.
    pub fn dealing(&mut self, own: &EdgeKey, left: &EdgeKey) {
        self.dealing = Some(Dealing { own: Prss::new(own, 0), left: Prss::new(left, 0), inputs: [0; 3], received: Sha256::new() });
    }

    /// The end of that: a digest of all that the right peer dealt to this party. `None`: nothing went by keys.
    pub fn dealt(&mut self) -> Option<[u8; 32]> {
        self.dealing.take().map(|dealing| dealing.received.finalize().into())
    }

    /// The mask of an input, at its owner and at the owner's right peer.
    pub(super) fn mask<R: Ring>(&self, owner: PartyId, step: Step, len: usize) -> Elements<'_, R> {
        let mine = owner == self.session.me();
        match &self.dealing {
            Some(dealing) => (if mine { &dealing.own } else { &dealing.left }).elements(step, 0..len),
            None => self.session.prss(if mine { self.right() } else { owner }).elements(step, 0..len),
        }
    }

    /// Where the mask of the next input of `owner` is.
    pub(super) fn next_input(&mut self, owner: PartyId) -> Step {
        match &mut self.dealing {
            Some(dealing) => {
                let next = &mut dealing.inputs[owner.index()];
                *next += 1;
                Step::of_dealing(*next - 1)
            }
            None => self.session.step(),
        }
    }

    /// Takes note of a column that the right peer dealt.
    pub(super) fn note<R: Ring>(&mut self, column: &Column<R>) {
        let Some(dealing) = &mut self.dealing else { return };
        let layout = column.layout();
        let shape = [layout.rows as u64, layout.planes as u64, u64::from(layout.width::<R>())];
        dealing.received.update([R::NAME.len() as u8]);
        dealing.received.update(R::NAME);
        shape.iter().for_each(|number| dealing.received.update(number.to_le_bytes()));
        let mut bytes = Zeroizing::new(Vec::new());
        column.encode(&mut bytes);
        dealing.received.update(&*bytes);
    }
}
