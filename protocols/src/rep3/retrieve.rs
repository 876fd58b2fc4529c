//! Retrieving rows by keys: the asker knows its keys, another party knows the rows and theirs; nobody learns which were found.
//!
//! *Functionality.* P_A states n keys, no two equal; P_B rows with keys, no two equal. Everyone has shares of the row with each key asked for, and of a check that is 0
//! where there is one.
//! *Protocol.* A circuit-PSI in which programming is linear and the third party P_C does what oblivious PRFs are for (an OPPRF, Kolesnikov, Matania, Pinkas, Rosulek, Trieu,
//! CCS'17, as in Pinkas, Schneider, Tkachenko, Yanai, EUROCRYPT'19; keys that two parties encode for a third, as in Kamara, Mohassel, Raykova, Sadeghian, FC'14, and
//! Mohassel, Rindal, Rosulek, CCS'20). With F and H keyed by what A and B share, G by what B and C share:
//!
//! | round | message |
//! |---|---|
//! | 1 | A to C: the tag F(x) of each key; where there is none, one that stands for no key |
//! | 1 | B to A: a [store](crate::store) with (check 0, row) + G(F(y)) under the tag F(y) of each row's key y, vectors by H |
//! | 2 | A to C: what the store gives for F(x), less r |
//! | 2 | C to A: -G(F(x)), less s |
//!
//! What A and C hold adds up to the row and 0 if x is a key of B's; if not, G(F(x)) is used nowhere else, and the check is uniform. r, from the edge key of A and B, s, of B and C,
//! and the sum of the second round's messages are the components of a replicated sharing.
//! *Views.* C sees n different pseudo-random tags, whatever the keys are. A sees a store of uniform values, which is uniform and hides which tags it has, how many, and what
//! it gives for those asked for. B sees nothing. The second round is a sharing of two summands. All of it is one party's view: semi-honest security against one.
//! *Size of what can go wrong.* Tags of t = 39 + 2 log2 (n + m) bits: with probability 2^-40 some two keys of either side have the same. A check of 40 + log2 n bits: with probability
//! 2^-40 something is found that is not there. A store cannot be made with probability 2^-40: then P_B ends the session, a new attempt has new functions, and
//! since tags are pseudo-random, that it happens says nothing of the keys.
//! *Cost.* A: n t + n W bits; B: the [store's](crate::store) 1.8 m rows (m + 41 up to 1024) of W bits; C: n W; W = check and payload; 2 rounds
//! ([`cost::retrieve`](crate::cost::retrieve)). *Leakage.* None.

use super::{Rep3, Rep3Share};
use crate::engine::Share;
use crate::retrieve::{Ask, Hidden, Offer, PIECE, Parts, Planes, Retrieved, Sizes, asked, from_planes, offered};
use crate::store;
use mpc_core::prf::Prf;
use mpc_core::prss::Step;
use mpc_core::round::{Inbox, Round, Ticket};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, PartyId, Ring};
use zeroize::Zeroizing;

/// Who does what.
struct Roles {
    asker: PartyId,
    owner: PartyId,
    third: PartyId,
}

impl Rep3 {
    pub(super) fn retrieved(&mut self, ask: Ask, offer: Offer<'_>) -> Result<Retrieved<Self>, Abort> {
        let roles = roles(ask.owner, offer.owner)?;
        let sizes = Sizes::of(&ask, &offer);
        let (tags, pads) = (self.session.step(), self.session.step());
        let parts = match self.session.me() {
            me if me == roles.asker => Some(self.ask(ask, &sizes, &roles, tags)?),
            me if me == roles.owner => self.offer(offer, &sizes, &roles, tags, pads).map(|()| None)?,
            _ => Some(self.hide(&sizes, &roles, pads)?),
        };
        let (bits, fp61, fp127) = match parts {
            Some(Parts { bits, fp61, fp127 }) => (Some(bits), Some(fp61), Some(fp127)),
            None => (None, None, None),
        };
        let bits = self.summand(&roles, sizes.bits(), bits);
        let fp61 = self.summand(&roles, sizes.elements::<Fp61>(), fp61);
        let fp127 = self.summand(&roles, sizes.elements::<Fp127>(), fp127);
        let left = self.left();
        let mut round = self.session.round("rows retrieved, shared");
        let tickets = (bits.exchange(&mut round), fp61.exchange(&mut round), fp127.exchange(&mut round));
        let mut inbox = round.run()?;
        let fp61 = fp61.share(left, tickets.1, &mut inbox);
        let fp127 = fp127.share(left, tickets.2, &mut inbox);
        let bits = bits.share(left, tickets.0, &mut inbox);
        let check = sizes.check_bits();
        Ok(Retrieved { check: bits.planes(0..check), bits: bits.planes(check..sizes.bits().planes), fp61, fp127 })
    }

    /// The functions that asker and owner share: of keys, of tags, of what stands for no key.
    fn functions(&self, peer: PartyId, step: Step) -> [Prf; 3] {
        [0, 1, 2].map(|number| Prf::draw(self.session.prss(peer), step, number))
    }

    fn ask(&mut self, ask: Ask, sizes: &Sizes, roles: &Roles, step: Step) -> Result<Parts, Abort> {
        let keys = asked(ask.count, ask.keys).ok_or_else(|| missing(ask.owner))?;
        let [of_keys, of_tags, of_none] = self.functions(roles.owner, step);
        let none = (0..(ask.count - keys.rows.len()) as u64).map(|at| of_none.of_words(&[at]));
        let mut tags = Vec::with_capacity(ask.count);
        tags.extend(none.chain(keys.iter().map(|key| of_keys.of_words(key))).map(|tag| shortened(tag, sizes)));
        drop(keys);
        let mut round = self.session.round("rows retrieved");
        round.send(roles.third, sent(&tags, sizes));
        let store = round.recv::<B64>(roles.owner, sizes.store());
        let store = round.run()?.take(store);
        let limbs = sizes.limbs();
        let rows = |range| from_planes(&store.slice_rows(range), &limbs);
        let values = store::decode(&sizes.shape(), &tags, limbs.len(), &of_tags, rows);
        drop((tags, store));
        let mut parts = sizes.parts();
        let pieces = values.chunks(PIECE * limbs.len()).zip((0..).step_by(PIECE));
        pieces.for_each(|(words, row)| sizes.take(&mut parts, row, words, false));
        Ok(parts)
    }

    fn offer(&mut self, offer: Offer<'_>, sizes: &Sizes, roles: &Roles, tags: Step, pads: Step) -> Result<(), Abort> {
        let owner = offer.owner;
        let rows = offered(offer).ok_or_else(|| missing(owner))?;
        let [of_keys, of_tags, _] = self.functions(roles.asker, tags);
        let [pad, free] = [0, 1].map(|number| Prf::draw(self.session.prss(roles.third), pads, number));
        let tags: Vec<u128> = rows.keys.iter().map(|key| shortened(of_keys.of_words(key), sizes)).collect();
        let limbs = sizes.limbs();
        let (mut hidden, mut store) = (Hidden::new(sizes, rows), Planes::new(&limbs, sizes.store().rows));
        let value = |number: usize, out: &mut [u64]| hidden.row(number, |words| pad.fill(tags[number], 0, words), out);
        store::encode(&sizes.shape(), &tags, limbs.len(), (&of_tags, &free), value, |rows| store.push(rows))
            .ok_or(Abort::Exhausted("rows could not be encoded, which has probability 2^-40; ask again"))?;
        drop((tags, hidden));
        let mut round = self.session.round("rows retrieved");
        round.send(roles.asker, store.finish());
        round.run().map(drop)
    }

    fn hide(&mut self, sizes: &Sizes, roles: &Roles, step: Step) -> Result<Parts, Abort> {
        let mut round = self.session.round("rows retrieved");
        let tags = round.recv::<B64>(roles.asker, sizes.tags());
        let tags = round.run()?.take(tags);
        let pad = Prf::draw(self.session.prss(roles.owner), step, 0);
        let mut parts = sizes.parts();
        let mut pads = Zeroizing::new(vec![0; sizes.pad_words() * PIECE.min(sizes.asked)]);
        for row in (0..sizes.asked).step_by(PIECE) {
            let tags = from_planes(&tags.slice_rows(row..sizes.asked.min(row + PIECE)), &tag_limbs(sizes));
            let pads = &mut pads[..tags.len() / 2 * sizes.pad_words()];
            for (tag, out) in tags.chunks_exact(2).zip(pads.chunks_exact_mut(sizes.pad_words())) {
                pad.fill(u128::from(tag[0]) | u128::from(tag[1]) << 64, 0, out);
            }
            sizes.take(&mut parts, row, pads, true);
        }
        Ok(parts)
    }

    /// This party's side of the sharing of two summands, the asker's and the third party's.
    fn summand<R: Ring>(&mut self, roles: &Roles, layout: Layout, part: Option<Column<R>>) -> Summand<R> {
        let (asker, third) = (self.session.step(), self.session.step());
        let drawn = |e: &Self, peer: PartyId, step| {
            let mut masks = e.session.prss(peer).elements(step, 0..layout.len::<R>());
            Column::build(layout, |_, out| masks.fill(out))
        };
        let Some(part) = part else {
            return Summand::Owner((roles.asker, drawn(self, roles.asker, asker)), drawn(self, roles.third, third));
        };
        let (step, peer) = if self.session.me() == roles.asker { (asker, roles.third) } else { (third, roles.asker) };
        let mask = drawn(self, roles.owner, step);
        let mine = part.combine(&mask, R::sub);
        Summand::Other { with_owner: (roles.owner, mask), peer, mine }
    }
}

/// A column in the last round.
enum Summand<R: Ring> {
    /// At the owner: the component shared with this party, and that with the other.
    Owner((PartyId, Column<R>), Column<R>),
    /// At one of the others: the component shared with the owner, and what goes to the peer.
    Other { with_owner: (PartyId, Column<R>), peer: PartyId, mine: Column<R> },
}

impl<R: Ring> Summand<R> {
    fn exchange<'c>(&'c self, round: &mut Round<'_, 'c>) -> Option<Ticket<R>> {
        let Summand::Other { peer, mine, .. } = self else { return None };
        round.send(*peer, mine);
        Some(round.recv(*peer, mine.layout()))
    }

    fn share(self, left: PartyId, theirs: Option<Ticket<R>>, inbox: &mut Inbox) -> Rep3Share<R> {
        let ((one, x), y) = match self {
            Summand::Owner(one, other) => (one, other),
            Summand::Other { with_owner, mine, .. } => {
                let theirs = theirs.expect("who sends a summand gets the other");
                (with_owner, mine.combine(&inbox.take(theirs), R::add))
            }
        };
        if one == left { Rep3Share::from_components(x, y) } else { Rep3Share::from_components(y, x) }
    }
}

fn roles(asker: PartyId, owner: PartyId) -> Result<Roles, Abort> {
    if asker.0 >= 3 || owner.0 >= 3 || asker == owner {
        return Err(Abort::Refused(format!("party {asker} and party {owner} are not two parties of this session")));
    }
    Ok(Roles { asker, owner, third: PartyId(3 - asker.0 - owner.0) })
}

fn missing(party: PartyId) -> Abort {
    Abort::Refused(format!("the keys of party {party} are missing at the party itself, or not as declared"))
}

fn shortened(tag: u128, sizes: &Sizes) -> u128 {
    tag & u128::MAX >> (128 - sizes.tag_bits())
}

/// A tag is two words.
fn tag_limbs(sizes: &Sizes) -> [usize; 2] {
    let bits = sizes.tag_bits() as usize;
    [bits.min(64), bits.saturating_sub(64)]
}

fn sent(tags: &[u128], sizes: &Sizes) -> Column<B64> {
    let limbs = tag_limbs(sizes);
    let mut planes = Planes::new(&limbs, tags.len());
    tags.iter().for_each(|tag| planes.push(&[*tag as u64, (tag >> 64) as u64]));
    planes.finish()
}
