//! The lock on sealed parts: all of them together open, and fewer do not, whoever has them.
//!
//! A party holds two of three components, so that two parties' parts would be the answer, and an owner that keeps its own back, because its contract was revoked, would keep nothing back. So
//! every party P_i draws a fresh random piece p_ij for each peer P_j and tells it that peer alone, in the session, in one round. Its own part is masked under
//! SHA-256(`tacit/v1/lock`, its number, the pieces its peers told it, in the order of the roster), and carries the pieces that it told itself, in clear below the seal. The parts of
//! all are then what the masks are made of.
//!
//! If P_i keeps its part back, a mask of P_j's part lacks p_ij, which nobody has but P_i, P_j itself, and P_i's part. So P_j's part stays shut to the planner, the coordinator and the third party together, as the
//! third was told p_ik alone; and what P_j knows of its own part it knew before. A party that deviates can still tell p_ij, or its part without a mask: with two of three components in two
//! hands, no lock helps against that.
//!
//! Parties whose word differs of one piece would spoil an answer and leave nobody to blame: what is told wrong by one is masked wrong by the other. So each signs, with its part, the digests of what it told and was
//! told ([`Told`]), and [`check`] names both parties of a piece of which these differ, or the one whose part carries another piece than it says. Digests of random pieces tell nothing of these.

use crate::exchange::each;
use crate::seal::{Opened, SealError, masked};
use ledger::bytes::Hash;
use mpc_core::prss::EdgeKey;
use mpc_core::{Abort, Column, PartyId, Session, Z64, stack};
use query::message::{Sealed, Told};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Bytes of a piece.
pub const PIECE: usize = 32;
/// Bytes by which what is locked is longer than what is in it: the pieces that the party told.
pub const LOCK: usize = PIECE * Sealed::PEERS;
/// 64-bit words of a piece.
const WORDS: usize = PIECE / 8;

/// A piece of the key of a part. It has no `Debug`, and is wiped when dropped.
pub struct Piece(Box<Zeroizing<[u8; PIECE]>>);

impl Piece {
    /// A fresh one.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn drawn() -> Result<Self, SealError> {
        let mut piece = Self::empty();
        getrandom::fill(piece.0.as_mut_slice()).map_err(|_| SealError::Randomness)?;
        Ok(piece)
    }

    fn empty() -> Self {
        Self(Box::new(Zeroizing::new([0; PIECE])))
    }

    fn read(bytes: &[u8]) -> Self {
        let mut piece = Self::empty();
        piece.0.copy_from_slice(bytes);
        piece
    }

    fn of_column(column: &Column<Z64>) -> Self {
        let mut piece = Self::empty();
        stack::wiped(|| piece.0.chunks_mut(8).zip(column.as_slice()).for_each(|(to, word)| to.copy_from_slice(&word.0.to_le_bytes())));
        piece
    }

    fn column(&self) -> Column<Z64> {
        stack::wiped(|| Column::from_rows(self.0.as_chunks::<8>().0.iter().map(|word| Z64(u64::from_le_bytes(*word))).collect()))
    }

    /// What is signed of it: in this session, one party told it another.
    fn digest(&self, session: &Hash, from: PartyId, to: PartyId) -> Hash {
        stack::wiped(|| Hash::sha256(&[b"tacit/v1/piece\n", &session.0, &[from.0, to.0], &self.0[..]]))
    }
}

/// A fresh piece for each peer of this party.
///
/// # Errors
/// The operating system has no randomness to give.
pub(crate) fn drawn(me: PartyId, parties: u8) -> Result<BTreeMap<PartyId, Piece>, SealError> {
    (0..parties).map(PartyId).filter(|peer| *peer != me).map(|peer| Ok((peer, Piece::drawn()?))).collect()
}

/// The pieces that one party knows: each with the peer that it told it, or that told it.
pub struct Pieces {
    session: Hash,
    me: PartyId,
    sent: BTreeMap<PartyId, Piece>,
    received: BTreeMap<PartyId, Piece>,
}

impl Pieces {
    /// Tells each peer its piece, and takes theirs. One round.
    ///
    /// # Errors
    /// A peer is gone.
    ///
    /// # Panics
    /// If there is no piece for a peer.
    pub(crate) fn exchanged(session: &mut Session, sent: BTreeMap<PartyId, Piece>) -> Result<Self, Abort> {
        let received = each(session, "lock", WORDS, |peer| sent[&peer].column())?;
        let received = received.into_iter().map(|(peer, column)| (peer, Piece::of_column(&column))).collect();
        Ok(Self { session: Hash(*session.id()), me: session.me(), sent, received })
    }

    /// Those of a party, if what one tells another is `piece`.
    pub fn of(session: Hash, me: PartyId, parties: u8, piece: impl Fn(PartyId, PartyId) -> [u8; PIECE]) -> Self {
        let peers = || (0..parties).map(PartyId).filter(|peer| *peer != me);
        let sent = peers().map(|peer| (peer, Piece::read(&piece(me, peer)))).collect();
        let received = peers().map(|peer| (peer, Piece::read(&piece(peer, me)))).collect();
        Self { session, me, sent, received }
    }

    /// What `message`, this party's, is under its key of the pieces that it was told; before it the pieces that it told.
    pub fn lock(&self, message: &[u8]) -> Opened {
        let mut locked = Zeroizing::new(Vec::with_capacity(LOCK + message.len()));
        self.sent.values().for_each(|piece| locked.extend_from_slice(&piece.0[..]));
        let pieces = locked.len();
        locked.extend_from_slice(message);
        masked(&key(self.me, self.received.values()), &mut locked[pieces..]);
        locked
    }

    /// What this party says of them, under names of the parties.
    pub fn told(&self, name: impl Fn(PartyId) -> String) -> Vec<Told> {
        let told = |((peer, sent), received): ((&PartyId, &Piece), &Piece)| Told {
            peer: name(*peer),
            sent: sent.digest(&self.session, self.me, *peer),
            received: received.digest(&self.session, *peer, self.me),
        };
        self.sent.iter().zip(self.received.values()).map(told).collect()
    }
}

/// Whose word does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The part of this party is not locked as it says.
    One(PartyId),
    /// Of what the first told the second of the lock, each says something else.
    Two(PartyId, PartyId),
}

/// Holds what the parties say of the pieces against one another, and against what their parts carry; all in the order of the roster, `names` as well.
///
/// # Errors
/// Whose word does not hold: one of two, if they say different things of one piece.
pub fn check(names: &[&str], sealed: &[&Sealed], locked: &[&Opened]) -> Result<(), Fault> {
    let parties = || (0..).map(PartyId).take(names.len());
    let said = |of: PartyId, peer: PartyId| {
        let mut said = sealed[of.index()].lock.iter().filter(|told| told.peer == names[peer.index()]);
        said.next().filter(|_| said.next().is_none()).ok_or(Fault::One(of))
    };
    for from in parties() {
        let row = row(from, names.len(), locked[from.index()]).ok_or(Fault::One(from))?;
        for (to, piece) in row {
            let sent = said(from, to)?.sent;
            if piece.digest(&sealed[from.index()].sid, from, to) != sent {
                return Err(Fault::One(from));
            }
            if said(to, from)?.received != sent {
                return Err(Fault::Two(from, to));
            }
        }
    }
    Ok(())
}

/// The messages that all parties locked, in the order of the roster; `None` if one is too short to be locked.
pub fn unlock(locked: Vec<Opened>) -> Option<Vec<Opened>> {
    let parties = locked.len();
    let rows = (0..).map(PartyId).zip(&locked).map(|(party, part)| row(party, parties, part)).collect::<Option<Vec<_>>>()?;
    let message = |(party, part): (PartyId, &Opened)| {
        let mut message = Zeroizing::new(part[PIECE * (parties - 1)..].to_vec());
        masked(&key(party, rows.iter().filter_map(|row| row.get(&party))), &mut message);
        message
    };
    Some((0..).map(PartyId).zip(&locked).map(message).collect())
}

/// The pieces that a party told, as its part carries them.
fn row(party: PartyId, parties: usize, part: &Opened) -> Option<BTreeMap<PartyId, Piece>> {
    let peers = (0..).map(PartyId).take(parties).filter(|peer| *peer != party);
    let pieces = part.get(..PIECE * parties.checked_sub(1)?)?.chunks(PIECE).map(Piece::read);
    Some(peers.zip(pieces).collect())
}

/// Of each part another: the pieces are, and under one mask two parts would show how their messages differ.
fn key<'a>(party: PartyId, received: impl Iterator<Item = &'a Piece>) -> EdgeKey {
    let (kind, number) = (&b"tacit/v1/lock\n"[..], [party.0]);
    let parts: Vec<&[u8]> = [kind, &number].into_iter().chain(received.map(|piece| &piece.0[..])).collect();
    stack::wiped(|| EdgeKey::new(Hash::sha256(&parts).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::bytes::Base64;
    use query::message::QueryId;

    const NAMES: [&str; 3] = ["transport", "energy", "health"];
    const SESSION: Hash = Hash([2; 32]);
    const MESSAGES: [&[u8]; 3] = [b"shares", b"as many", &[7; 1000]];

    fn parties() -> impl Iterator<Item = PartyId> {
        (0..3).map(PartyId)
    }

    /// What one party tells another.
    fn piece(from: PartyId, to: PartyId) -> [u8; PIECE] {
        [from.0 * 3 + to.0; PIECE]
    }

    fn pairs() -> impl Iterator<Item = (PartyId, PartyId)> {
        parties().flat_map(|from| parties().filter(move |to| from != *to).map(move |to| (from, to)))
    }

    fn pieces() -> Vec<Pieces> {
        parties().map(|party| Pieces::of(SESSION, party, 3, piece)).collect()
    }

    fn sealed(pieces: &Pieces) -> Sealed {
        Sealed {
            job: QueryId(Hash([1; 32])),
            attempt: 1,
            sid: SESSION,
            plan_hash: Hash([3; 32]),
            encapsulated: Base64(vec![1; 32]),
            ciphertext: Base64(Vec::new()),
            measured: Vec::new(),
            lock: pieces.told(|peer| NAMES[peer.index()].into()),
        }
    }

    fn judged(sealed: &[Sealed], locked: &[Opened]) -> Result<(), Fault> {
        check(&NAMES, &sealed.iter().collect::<Vec<_>>(), &locked.iter().collect::<Vec<_>>())
    }

    #[test]
    fn all_parts_together_open() {
        let pieces = pieces();
        let locked: Vec<Opened> = pieces.iter().zip(MESSAGES).map(|(pieces, message)| pieces.lock(message)).collect();
        assert!(locked.iter().zip(MESSAGES).all(|(part, message)| part.len() == LOCK + message.len()));
        assert_eq!(judged(&pieces.iter().map(sealed).collect::<Vec<_>>(), &locked), Ok(()));
        let opened = unlock(locked).expect("all are there");
        assert!(opened.iter().zip(MESSAGES).all(|(part, message)| part.as_slice() == message));
        // Not even what two messages have in common shows without the keys.
        let bodies: Vec<Vec<u8>> = pieces.iter().map(|pieces| pieces.lock(&[7; 1000])[LOCK..].to_vec()).collect();
        assert!(bodies.iter().all(|body| bodies.iter().filter(|other| *other == body).count() == 1), "a mask twice");
        assert!(unlock(vec![Zeroizing::new(vec![0; LOCK]), Zeroizing::new(vec![0; LOCK]), Zeroizing::new(vec![0; LOCK - 1])]).is_none());
    }

    /// Who pools what one party knows, its own part and one peer's, with all that the coordinator and the planner have: of what masks the peer's part, one piece is not among it.
    #[test]
    fn two_parts_stay_shut_to_one_of_the_parties() {
        let all = pieces();
        for (absent, curious) in pairs() {
            let honest = parties().find(|party| *party != absent && *party != curious).expect("a third");
            let mut known: BTreeMap<(PartyId, PartyId), &Piece> = BTreeMap::new();
            for party in [curious, honest] {
                known.extend(all[party.index()].sent.iter().map(|(to, piece)| ((party, *to), piece)));
            }
            known.extend(all[curious.index()].received.iter().map(|(from, piece)| ((*from, curious), piece)));
            let lacking: Vec<_> = pairs().filter(|pair| pair.1 == honest && !known.contains_key(pair)).collect();
            assert_eq!(lacking, [(absent, honest)]);
            // With any other piece in its place it is not the message; with it, it is.
            let locked = all[honest.index()].lock(b"shares");
            let open = |with: &Piece| {
                let column = parties().filter(|from| *from != honest).map(|from| known.get(&(from, honest)).copied().unwrap_or(with));
                let mut message = locked[LOCK..].to_vec();
                masked(&key(honest, column), &mut message);
                message
            };
            assert!(known.values().all(|guess| open(guess) != b"shares"));
            assert_eq!(open(&Piece::read(&piece(absent, honest))), b"shares");
        }
    }

    #[test]
    fn who_says_different_things_of_a_piece_is_named() {
        for (from, to) in pairs() {
            // The one that was told it was told another.
            let mut pieces = pieces();
            pieces[to.index()] = Pieces::of(SESSION, to, 3, |a, b| if (a, b) == (from, to) { [99; PIECE] } else { piece(a, b) });
            let locked: Vec<Opened> = pieces.iter().map(|pieces| pieces.lock(b"shares")).collect();
            let mut notes: Vec<Sealed> = pieces.iter().map(sealed).collect();
            assert_eq!(judged(&notes, &locked), Err(Fault::Two(from, to)));
            assert!(unlock(locked.clone()).expect("locked")[to.index()].as_slice() != b"shares");
            // It says the same, and its part carries another piece than it says.
            let received = notes[to.index()].lock.iter().find(|told| told.peer == NAMES[from.index()]).expect("said").received;
            notes[from.index()].lock.iter_mut().filter(|told| told.peer == NAMES[to.index()]).for_each(|told| told.sent = received);
            assert_eq!(judged(&notes, &locked), Err(Fault::One(from)));
            // It says twice something of one peer, and of the other nothing.
            let twice = notes[from.index()].lock[1].clone();
            notes[from.index()].lock[0] = twice;
            assert_eq!(judged(&notes, &locked), Err(Fault::One(from)));
        }
    }

    #[test]
    fn pieces_are_drawn_for_each_peer_and_each_time() {
        let drawn = || drawn(PartyId(1), 3).expect("randomness");
        let (first, second) = (drawn(), drawn());
        assert_eq!(first.keys().copied().collect::<Vec<_>>(), [PartyId(0), PartyId(2)]);
        let all: std::collections::BTreeSet<[u8; PIECE]> = first.values().chain(second.values()).map(|piece| **piece.0).collect();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_digest_is_of_one_piece_from_one_to_another_in_one_session() {
        let (one, other) = (Piece::read(&[1; PIECE]), Piece::read(&[2; PIECE]));
        let digests = [
            one.digest(&SESSION, PartyId(0), PartyId(1)),
            one.digest(&SESSION, PartyId(1), PartyId(0)),
            one.digest(&Hash([3; 32]), PartyId(0), PartyId(1)),
            other.digest(&SESSION, PartyId(0), PartyId(1)),
        ];
        assert!((0..4).all(|at| digests[..at].iter().all(|digest| *digest != digests[at])));
        let column = one.column();
        assert!(Piece::of_column(&column).0 == one.0 && column.rows() == WORDS);
    }
}
