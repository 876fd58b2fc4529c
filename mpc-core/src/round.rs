//! The round: one exchange of messages with any of the peers, sent and consumed in pieces.
//!
//! What to send and what to expect are stated before it runs. A message is its columns one after the other; it leaves in pieces of [`PIECE`] bytes, each
//! a frame that is encoded when its turn comes, and what arrives is decoded piece by piece: no message is ever in memory as a whole, at either end. Pieces are sent
//! some way ahead of those that are taken, so that as much is on its way as a long line holds.

use crate::link::{Frame, Head, LinkError};
use crate::session::Session;
use crate::wire::{Decoder, Encoder};
use crate::{Abort, Column, Layout, PartyId, Ring};
use std::any::Any;
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::marker::PhantomData;
use zeroize::Zeroize;

/// Bytes of a piece; the last of a message is what is left.
pub const PIECE: usize = 256 << 10;
/// Pieces sent before the first is taken: 16 MB, as much as a WAN link keeps in flight. No two parties can wait for each other's pieces as long as a link
/// takes more than that before it makes a sender wait.
const AHEAD: usize = 64;

/// One exchange of messages with any of the peers. Nothing leaves before [`run`](Round::run).
#[must_use = "a round does nothing until it is run"]
pub struct Round<'s, 'c> {
    session: &'s mut Session,
    label: &'static str,
    out: Vec<Option<Outgoing<'c>>>,
    expect: Vec<Option<Incoming<'c>>>,
    columns: usize,
}

/// A column expected in a round; exchanged for the column once the round has run.
#[must_use = "what is expected must be taken"]
pub struct Ticket<R> {
    number: usize,
    ring: PhantomData<R>,
}

impl<'s, 'c> Round<'s, 'c> {
    pub(crate) fn new(session: &'s mut Session, label: &'static str) -> Self {
        let parties = session.parties() as usize;
        let (out, expect) = ((0..parties).map(|_| None).collect(), (0..parties).map(|_| None).collect());
        Round { session, label, out, expect, columns: 0 }
    }

    /// Adds a column to what goes to `to`: one that is lent until the round has run, or one that is given up and freed once it has left.
    pub fn send<R: Ring>(&mut self, to: PartyId, column: impl Borrow<Column<R>> + 'c) {
        let layout = column.borrow().layout();
        self.session.counters().sent(layout.bits::<R>(), layout.bytes::<R>());
        let message = self.out[to.index()].get_or_insert_default();
        message.left += layout.bytes::<R>();
        message.columns.push_back(Box::new(Leaving { column, encoder: Encoder::default(), ring: PhantomData }));
    }

    /// Expects a column of `layout` from `from`, in the order in which that party sends.
    pub fn recv<R: Ring>(&mut self, from: PartyId, layout: Layout) -> Ticket<R> {
        let number = self.columns;
        self.columns += 1;
        self.expect(from, layout.bytes::<R>(), Arriving { number, decoder: Decoder::new(layout), column: Column::<R>::empty(layout) });
        Ticket { number, ring: PhantomData }
    }

    /// Expects a column as [`recv`](Self::recv) does, and gives its elements to `consume` as they come, a block at a time, with the position of the first: nothing of it is
    /// kept. What `consume` has made of them counts only if the round succeeds.
    pub fn recv_each<R: Ring>(&mut self, from: PartyId, layout: Layout, consume: impl FnMut(usize, &[R]) + 'c) {
        self.expect(from, layout.bytes::<R>(), Consumed { decoder: Decoder::new(layout), consume });
    }

    fn expect(&mut self, from: PartyId, bytes: usize, column: impl Arrive + 'c) {
        let message = self.expect[from.index()].get_or_insert_default();
        message.left += bytes;
        message.columns.push_back(Box::new(column));
    }

    /// Sends everything and takes everything expected.
    pub fn run(self) -> Result<Inbox, Abort> {
        let Round { session, label, mut out, mut expect, columns } = self;
        session.counters().round();
        let pieces = |left: usize| left.div_ceil(PIECE).max(1);
        let most = out.iter().flatten().map(|m| pieces(m.left)).max().unwrap_or(0);
        let most = expect.iter().flatten().map(|m| pieces(m.left) + AHEAD).max().unwrap_or(0).max(most);
        let mut inbox = Inbox { columns: (0..columns).map(|_| None).collect() };
        for turn in 0..most {
            for (to, message) in (0..).map(PartyId).zip(&mut out) {
                if let Some(unsent) = message {
                    session.submit(to, unsent.piece(), turn as u8).map_err(|e| abort(e, to, label, None))?;
                    if unsent.left == 0 {
                        *message = None;
                    }
                }
            }
            let Some(turn) = turn.checked_sub(AHEAD) else { continue };
            for (from, message) in (0..).map(PartyId).zip(&mut expect) {
                if let Some(untaken) = message {
                    let head = session.head(turn as u8, untaken.left.min(PIECE));
                    let mut piece = session.take(from, &head).map_err(|e| abort(e, from, label, Some(head)))?;
                    let read = untaken.read(&piece, &mut inbox);
                    piece.as_mut_slice().zeroize();
                    let what = "an element is not canonical or padding is not zero";
                    read.ok_or(Abort::Malformed { peer: from, label, what })?;
                    if untaken.left == 0 {
                        *message = None;
                    }
                }
            }
        }
        Ok(inbox)
    }
}

/// What a round brought in.
pub struct Inbox {
    columns: Vec<Option<Box<dyn Any>>>,
}

impl Inbox {
    /// The column a ticket stands for.
    pub fn take<R: Ring>(&mut self, ticket: Ticket<R>) -> Column<R> {
        let column = self.columns[ticket.number].take().and_then(|column| column.downcast().ok());
        *column.expect("a round that has run has brought each column that was expected")
    }
}

// ---------------------------------------------------------------- out

/// A message on its way out.
#[derive(Default)]
struct Outgoing<'c> {
    /// Bytes that are in no frame yet.
    left: usize,
    columns: VecDeque<Box<dyn Departure + 'c>>,
    /// What was encoded beyond the last piece, a block at most.
    beyond: Vec<u8>,
}

impl Outgoing<'_> {
    fn piece(&mut self) -> Frame {
        let len = self.left.min(PIECE);
        self.left -= len;
        // a block goes in as a whole, and a group of narrow elements
        let room = if self.left > 0 { PIECE + Encoder::BLOCK_BYTES } else { len + Encoder::GROUP_BYTES };
        let mut frame = Frame::with_capacity(room);
        let payload = frame.payload_mut();
        let start = payload.len();
        payload.append(&mut self.beyond);
        while payload.len() < start + len
            && let Some(column) = self.columns.front_mut()
        {
            if !column.block(payload) {
                self.columns.pop_front();
            }
        }
        self.beyond.extend_from_slice(&payload[start + len..]);
        payload[start + len..].zeroize();
        payload.truncate(start + len);
        frame
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        self.beyond.zeroize();
    }
}

/// A column that leaves, block by block.
trait Departure {
    /// Appends the next block; `false` if there was none left.
    fn block(&mut self, out: &mut Vec<u8>) -> bool;
}

struct Leaving<C, R> {
    column: C,
    encoder: Encoder,
    ring: PhantomData<R>,
}

impl<R: Ring, C: Borrow<Column<R>>> Departure for Leaving<C, R> {
    fn block(&mut self, out: &mut Vec<u8>) -> bool {
        self.encoder.block(self.column.borrow(), out)
    }
}

// ---------------------------------------------------------------- in

/// A message on its way in.
#[derive(Default)]
struct Incoming<'c> {
    /// Bytes that have not come.
    left: usize,
    columns: VecDeque<Box<dyn Arrive + 'c>>,
}

impl Incoming<'_> {
    /// Reads a piece; `None` if it is not an encoding.
    fn read(&mut self, mut piece: &[u8], inbox: &mut Inbox) -> Option<()> {
        self.left -= piece.len();
        while let Some(column) = self.columns.front_mut()
            && column.read(&mut piece)?
        {
            if let Some((number, column)) = self.columns.pop_front().and_then(|column| column.arrived()) {
                inbox.columns[number] = Some(column);
            }
        }
        Some(())
    }
}

/// A column that arrives, piece by piece.
trait Arrive {
    /// Takes what belongs to it from the front of `bytes`; whether all of it has come, `None` if what has come is not an encoding.
    fn read(&mut self, bytes: &mut &[u8]) -> Option<bool>;
    /// The column and its number in the inbox, if it goes there.
    fn arrived(self: Box<Self>) -> Option<(usize, Box<dyn Any>)>;
}

struct Arriving<R: Ring> {
    number: usize,
    decoder: Decoder<R>,
    column: Column<R>,
}

impl<R: Ring> Arrive for Arriving<R> {
    fn read(&mut self, bytes: &mut &[u8]) -> Option<bool> {
        self.decoder.read(bytes, |_, block| self.column.append(block))
    }
    fn arrived(self: Box<Self>) -> Option<(usize, Box<dyn Any>)> {
        Some((self.number, Box::new(self.column)))
    }
}

struct Consumed<R: Ring, F> {
    decoder: Decoder<R>,
    consume: F,
}

impl<R: Ring, F: FnMut(usize, &[R])> Arrive for Consumed<R, F> {
    fn read(&mut self, bytes: &mut &[u8]) -> Option<bool> {
        self.decoder.read(bytes, &mut self.consume)
    }
    fn arrived(self: Box<Self>) -> Option<(usize, Box<dyn Any>)> {
        None
    }
}

pub(crate) fn abort(e: LinkError, peer: PartyId, label: &'static str, expected: Option<Head>) -> Abort {
    match (e, expected) {
        (LinkError::Gone(reason), _) => Abort::PeerGone { peer, label, reason },
        (LinkError::Aborted, _) => Abort::PeerGone { peer, label, reason: "it aborted the session".into() },
        (LinkError::Deadline(waited), _) => Abort::Deadline { peer, label, waited },
        (LinkError::Unexpected(Some(got)), Some(expected)) => {
            Abort::Desync { peer, label, expected: Box::new(expected), got: Box::new(got) }
        }
        (LinkError::Unexpected(_), _) => Abort::Malformed { peer, label, what: "not a frame" },
    }
}
