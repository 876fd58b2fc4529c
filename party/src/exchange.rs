//! What the parties of a session tell each other of what is public to them, besides the computation; and what one tells another alone.

use ledger::bytes::Hash;
use mpc_core::{Abort, Column, Layout, PartyId, Session, Z64};
use query::message::Refusal;
use std::collections::BTreeMap;

/// What each party tells all others: so many numbers, and a hash. One round.
///
/// # Errors
/// A peer is gone.
pub(crate) fn exchanged<const N: usize>(
    session: &mut Session,
    label: &'static str,
    numbers: &[u64; N],
    hash: &Hash,
) -> Result<BTreeMap<PartyId, ([u64; N], Hash)>, Abort> {
    let words = || numbers.iter().copied().chain(hash.0.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
    let received = each(session, label, words().count(), |_| Column::from_rows(words().map(Z64).collect()))?;
    let mut told = BTreeMap::from([(session.me(), (*numbers, *hash))]);
    for (peer, words) in received {
        let (first, rest) = words.as_slice().split_at(N);
        let mut hash = Hash([0; 32]);
        hash.0.as_chunks_mut::<8>().0.iter_mut().zip(rest).for_each(|(to, word)| *to = word.0.to_le_bytes());
        told.insert(peer, (std::array::from_fn(|at| first[at].0), hash));
    }
    Ok(told)
}

/// What each party tells each other: so many words, which may be others for each peer. Of the peers what they told this one; columns are wiped. One round.
///
/// # Errors
/// A peer is gone.
pub(crate) fn each(
    session: &mut Session,
    label: &'static str,
    words: usize,
    tell: impl Fn(PartyId) -> Column<Z64>,
) -> Result<BTreeMap<PartyId, Column<Z64>>, Abort> {
    let (me, parties) = (session.me(), session.parties());
    let mut round = session.round(label);
    let mut expected = Vec::new();
    for peer in (0..parties).map(PartyId).filter(|peer| *peer != me) {
        round.send::<Z64>(peer, tell(peer));
        expected.push((peer, round.recv::<Z64>(peer, Layout::new(words, 1))));
    }
    let mut inbox = round.run()?;
    Ok(expected.into_iter().map(|(peer, ticket)| (peer, inbox.take(ticket))).collect())
}

/// Why an attempt goes no further.
pub(crate) enum Failure {
    /// The session ended.
    Session(Abort),
    /// Whatever else.
    Refused(Refusal),
}
