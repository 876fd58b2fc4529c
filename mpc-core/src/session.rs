//! The session: the only input and output a protocol sees.
//!
//! Protocol code is synchronous and straight-line over `&mut Session`; the borrow checker is the rule that a lane runs one step
//! at a time. A [`Round`] is full duplex: what to send and what to expect are both stated before it runs, with lengths that
//! follow from public shapes on both sides.

use crate::link::{Frame, Head, Kind, Link, LinkError};
use crate::meter::{Counters, Meter};
use crate::prss::{EdgeKey, Prss, Step};
use crate::round::{Round, abort};
use crate::{Abort, PartyId, stack};

/// One lane of one attempt at running a plan together with the other parties.
pub struct Session {
    me: PartyId,
    parties: u8,
    id: [u8; 32],
    lane: u16,
    opened: u16,
    step: u64,
    link: Box<dyn Link>,
    keys: Vec<Option<EdgeKey>>,
    prss: Vec<Option<Prss>>,
    counters: Counters,
}

impl Session {
    /// A session's lane 0. `keys[p]` is the edge key shared with party `p`, `None` at this party's own place.
    pub fn new(me: PartyId, id: [u8; 32], keys: Vec<Option<EdgeKey>>, link: Box<dyn Link>) -> Self {
        let parties = u8::try_from(keys.len()).expect("a roster has at most 255 parties");
        assert!(keys.iter().enumerate().all(|(p, k)| k.is_none() == (p == me.index())), "one edge key for each peer");
        let prss = keys.iter().map(|k| k.as_ref().map(|k| Prss::new(k, 0))).collect();
        Session { me, parties, id, lane: 0, opened: 0, step: 0, link, keys, prss, counters: Counters::default() }
    }

    /// This party.
    pub fn me(&self) -> PartyId {
        self.me
    }

    /// How many parties take part.
    pub fn parties(&self) -> u8 {
        self.parties
    }

    /// The party `by` places to the right.
    pub fn right(&self, by: u8) -> PartyId {
        self.me.right(by, self.parties)
    }

    /// The session id every party derived from the same signed Hellos.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// A fresh address for pairwise randomness, the same at every party.
    pub fn step(&mut self) -> Step {
        self.step += 1;
        Step(self.step)
    }

    /// The randomness shared with `peer`.
    ///
    /// # Panics
    /// If `peer` is this party: a program error, never a peer's doing.
    pub fn prss(&self, peer: PartyId) -> &Prss {
        self.prss[peer.index()].as_ref().expect("pairwise randomness is with a peer")
    }

    /// What this session has cost so far, all lanes.
    pub fn meter(&self) -> Meter {
        self.counters.read()
    }

    /// The live counters, for whoever reports progress.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Opens `n` further lanes that may run on threads of their own. The session numbers them in the order in which they are opened, which is the
    /// same at every party, so no lane, and none of its randomness, is had twice.
    ///
    /// # Errors
    /// [`Abort::Exhausted`] beyond 65,535 lanes, and at a lane: only the session itself opens lanes. The rest are the link's.
    pub fn lanes(&mut self, n: u16) -> Result<Vec<Session>, Abort> {
        if self.lane != 0 {
            return Err(Abort::Exhausted("a lane opens no lanes of its own; open them from the session"));
        }
        let opened = self.opened;
        // they count as opened even if the link fails: a number is not given again
        self.opened = opened.checked_add(n).ok_or(Abort::Exhausted("a session has at most 65,535 lanes besides its own"))?;
        (opened..self.opened)
            .map(|before| {
                let lane = before + 1;
                let link = self.link.lane(lane).map_err(|e| abort(e, self.me, "lanes", None))?;
                Ok(Session {
                    me: self.me,
                    parties: self.parties,
                    id: self.id,
                    lane,
                    opened: 0,
                    step: 0,
                    link,
                    keys: self.keys.clone(),
                    prss: self.keys.iter().zip(&self.prss).map(|(k, p)| Some(p.as_ref()?.in_lane(k.as_ref()?, lane))).collect(),
                    counters: self.counters.clone(),
                })
            })
            .collect()
    }

    /// Starts a round. `label` names it in errors and stall reports.
    pub fn round<'c>(&mut self, label: &'static str) -> Round<'_, 'c> {
        self.step += 1;
        Round::new(self, label)
    }

    /// Tells every peer that this party has aborted, so that nobody waits for it. Errors are of no consequence any more.
    pub fn abandon(&mut self) {
        let head = Head { kind: Kind::Abort, ..self.head(0, 0) };
        for peer in (0..self.parties).map(PartyId).filter(|p| *p != self.me) {
            let mut frame = Frame::with_capacity(0);
            frame.seal(&head);
            let _ = self.link.submit(peer, frame);
        }
    }

    /// The randomness shared with each peer, for tests that watch or replace it.
    pub(crate) fn prss_mut(&mut self) -> impl Iterator<Item = (PartyId, &mut Prss)> {
        (0..).map(PartyId).zip(&mut self.prss).filter_map(|(peer, prss)| Some((peer, prss.as_mut()?)))
    }

    /// The head of a piece of a message of the present round.
    pub(crate) fn head(&self, piece: u8, len: usize) -> Head {
        let mut session = [0; 16];
        session.copy_from_slice(&self.id[..16]);
        let len = u32::try_from(len).expect("a piece is far below 4 GiB");
        Head { session, lane: self.lane, kind: Kind::Round, piece, step: self.step, len }
    }

    pub(crate) fn submit(&mut self, to: PartyId, mut frame: Frame, piece: u8) -> Result<(), LinkError> {
        frame.seal(&self.head(piece, frame.payload().len()));
        self.link.submit(to, frame)
    }

    pub(crate) fn take(&mut self, from: PartyId, head: &Head) -> Result<Vec<u8>, LinkError> {
        let payload = self.link.take(from, head)?;
        self.counters.received(payload.len());
        Ok(payload)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // every draw of pairwise randomness has left round keys where it ran, which is below
        stack::wipe();
    }
}
