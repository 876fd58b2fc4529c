//! Inputs that are dealt alike in every session, so that peers can tell whether they are the same.
//!
//! *Functionality.* As [`input`](crate::Engine::input): P_i's x is x_i + x_{i+1}, of which P_{i+1} knows x_{i+1} and P_{i-1} x_i. *Protocol.* The mask x_{i+1} is not that of the session: it is expanded from
//! a *dealing key* of P_i's, which P_i told P_{i+1} alone, at addresses that count P_i's own inputs from 0. Under the same key the same values are the same shares. Before it deals, P_i says both a digest of what it
//! will send to P_{i-1}, with type and layout, in order ([`Ahead`]), under a *salt* that it told P_{i-1} alone; P_{i-1} holds that against what comes, and ends the session where it differs, before anything else is computed. Digest and key together fix both
//! components. *Cost.* That of `input`; telling keys, salts and digests is a round outside of the engine.
//!
//! *What is asked of keys.* One key masks one sequence of values, of one layout, for one assignment of parties to places: else P_{i-1} could subtract one message from another, and who was right under one roster and left under another would
//! have both components. Who derives a key from all of these, as a synthetic IV is (Rogaway, Shrimpton, EUROCRYPT'06), cannot use one twice for different values. *Leakage.* P_{i+1} and P_{i-1} each learn whether
//! the inputs are the same as in another session of the same part of a question; P_{i-1} holds x - x_{i+1} alone, which is uniform, and P_{i+1} a key that is a pseudo-random function's value, and the digest. Without the salt it could try inputs of few values
//! until x - x_{i+1} has that digest; SHA-256 of 32 random bytes and a message is taken for a commitment that hides the message.

use super::Rep3;
use mpc_core::prss::{EdgeKey, Elements, Prss, Step};
use mpc_core::{Abort, Column, PartyId, Ring};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The check that fails where an owner sends its left peer other shares than it said.
pub const DEALING: &str = "dealing";

/// What an owner will send its left peer, computed before it is sent.
pub struct Ahead {
    key: Prss,
    sent: Sent,
}

impl Ahead {
    /// Nothing yet, under this key and this salt.
    pub fn new(key: &EdgeKey, salt: &[u8; 32]) -> Self {
        Self { key: Prss::new(key, 0), sent: Sent::new(salt) }
    }

    /// The next input of the owner, in the order in which it deals.
    pub fn add<R: Ring>(&mut self, values: &Column<R>) {
        let mut mask = self.key.elements(Step::of_dealing(self.sent.columns), 0..values.as_slice().len());
        let (mine, _) = masked(values, &mut mask);
        self.sent.add(&mine);
    }

    /// The digest of all that.
    pub fn digest(self) -> [u8; 32] {
        self.sent.hash.finalize().into()
    }
}

/// x - r and r.
pub(super) fn masked<R: Ring>(values: &Column<R>, mask: &mut Elements<'_, R>) -> (Column<R>, Column<R>) {
    let clear = values.as_slice();
    Column::build_pair(values.layout(), |at, mine, masks| {
        mask.fill(masks);
        mine.iter_mut().zip(&clear[at..]).zip(&*masks).for_each(|((m, x), r)| *m = x.sub(*r));
    })
}

/// What went to a left peer so far.
struct Sent {
    hash: Sha256,
    columns: u64,
}

impl Sent {
    fn new(salt: &[u8; 32]) -> Self {
        Self { hash: Sha256::new_with_prefix(salt), columns: 0 }
    }

    fn add<R: Ring>(&mut self, column: &Column<R>) {
        let layout = column.layout();
        let shape = [layout.rows as u64, layout.planes as u64, u64::from(layout.width::<R>())];
        self.hash.update([R::NAME.len() as u8]);
        self.hash.update(R::NAME);
        shape.iter().for_each(|number| self.hash.update(number.to_le_bytes()));
        let mut bytes = Zeroizing::new(Vec::new());
        column.encode(&mut bytes);
        self.hash.update(&*bytes);
        self.columns += 1;
    }
}

/// The keys of a session under which owners deal, as one party holds them. An owner without one deals as [`input`](crate::Engine::input) does; which owners have one is known to all.
pub struct Dealing {
    /// This party's, which its right peer holds as well.
    own: Option<Prss>,
    /// Its left peer's.
    left: Option<Prss>,
    /// What its right peer says of what it will send, and what it sent.
    right: Option<(Said, Sent)>,
    /// Inputs under keys so far, of this party and its left peer.
    inputs: [u64; 2],
}

/// What an owner says of what it will send its left peer.
pub struct Said {
    /// [`Ahead::digest`].
    pub digest: [u8; 32],
    /// Under which it is.
    pub salt: Box<Zeroizing<[u8; 32]>>,
    /// Of how many inputs.
    pub columns: u64,
}

impl Dealing {
    /// Its own key, its left peer's, and what its right peer says of what it will send.
    pub fn new(own: Option<&EdgeKey>, left: Option<&EdgeKey>, right: Option<Said>) -> Self {
        let prss = |key: &EdgeKey| Prss::new(key, 0);
        let right = right.map(|said| {
            let sent = Sent::new(&said.salt);
            (said, sent)
        });
        Self { own: own.map(prss), left: left.map(prss), right, inputs: [0; 2] }
    }

    /// The key of an owner whose mask this party knows, and the place of the next input under it.
    fn next(&mut self, mine: bool) -> Option<(&Prss, Step)> {
        let key = (if mine { &self.own } else { &self.left }).as_ref()?;
        let next = &mut self.inputs[usize::from(mine)];
        *next += 1;
        Some((key, Step::of_dealing(*next - 1)))
    }
}

/// Where the mask of an input is.
pub(super) enum Place {
    /// Below a key under which its owner deals.
    OfKey,
    /// A step of the session.
    OfSession(Step),
}

impl Rep3 {
    /// From here on [`deal`](crate::Engine::deal) goes by keys.
    pub fn dealing(&mut self, dealing: Dealing) {
        self.dealing = Some(dealing);
    }

    /// Where the mask of the next input of `owner` is: all parties take the same steps.
    pub(super) fn place(&mut self, owner: PartyId) -> Place {
        let (me, left) = (self.session.me(), self.left());
        let keyed = self.dealing.as_ref().is_some_and(|dealing| match owner {
            owner if owner == me => dealing.own.is_some(),
            owner if owner == left => dealing.left.is_some(),
            _ => dealing.right.is_some(),
        });
        if keyed { Place::OfKey } else { Place::OfSession(self.session.step()) }
    }

    /// The mask of an input, at its owner and at the owner's right peer.
    pub(super) fn mask<R: Ring>(&mut self, owner: PartyId, place: Place, len: usize) -> Elements<'_, R> {
        let mine = owner == self.session.me();
        let edge = if mine { self.right() } else { owner };
        match place {
            Place::OfKey => {
                let (key, step) = self.dealing.as_mut().and_then(|dealing| dealing.next(mine)).expect("its place is below a key");
                key.elements(step, 0..len)
            }
            Place::OfSession(step) => self.session.prss(edge).elements(step, 0..len),
        }
    }

    /// Holds what the right peer dealt against what it said it would.
    pub(super) fn compare<R: Ring>(&mut self, column: &Column<R>) -> Result<(), Abort> {
        let right = self.right();
        let Some((said, received)) = self.dealing.as_mut().and_then(|dealing| dealing.right.as_mut()) else { return Ok(()) };
        received.add(column);
        let is_over = received.columns >= said.columns;
        let differs = is_over && <[u8; 32]>::from(received.hash.clone().finalize()) != said.digest;
        if differs { Err(Abort::Cheating { check: DEALING, culprit: Some(right) }) } else { Ok(()) }
    }

    /// That all that the right peer said it would deal has come, and so was compared. It is asked before anything of the session leaves it.
    ///
    /// # Errors
    /// There was less, or more.
    pub fn dealt(&self) -> Result<(), Abort> {
        let said = self.dealing.as_ref().and_then(|dealing| dealing.right.as_ref());
        match said {
            Some((said, received)) if received.columns != said.columns => {
                Err(Abort::Cheating { check: DEALING, culprit: Some(self.right()) })
            }
            _ => Ok(()),
        }
    }
}
