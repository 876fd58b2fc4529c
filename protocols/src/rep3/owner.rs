//! A permutation that one party alone knows.
//!
//! *Functionality.* Row i goes to the place that its owner states; nobody else learns anything of it.
//! *Protocol.* The owner P_i splits its permutation into a uniform one, which it shares with its right neighbour (drawn from their edge key), followed by
//! the one that is left, which it sends to its left neighbour. Two who know a permutation apply it and share the rows anew without the third, who
//! gets two of the new components, masked: P_i sends σ(x_i + x_j) - r - s and its partner σ(x_k) + s, r and s from their edge key (the resharing of
//! Laur, Willemson, Zhang, ISC'11, for replicated shares).
//!
//! | round | message |
//! |---|---|
//! | 1 | P_i to P_{i-1}: the second permutation |
//! | 1 | P_i and P_{i+1} to P_{i-1}: the new components, rows in the first order |
//! | 2 | P_i and P_{i-1} to P_{i+1}: the new components, rows in the second order |
//!
//! *Cost.* n rows of W bits, w = ceil(log2 n): n (w + 2 W) bits by the owner, n W by the others; 2 rounds
//! ([`cost::permute_by`](crate::cost::permute_by)). *Leakage.* None: each of the two permutations alone is uniform.

use super::shuffle::mask;
use super::{Rep3, Rep3Share};
use crate::engine::{Share, stated};
use crate::table::Table;
use mpc_core::round::{Inbox, Round, Ticket};
use mpc_core::{Abort, Column, Index, Layout, PartyId, Permutation, Ring, index_bits};

impl Rep3 {
    pub(super) fn permuted_by(&mut self, owner: PartyId, to: Option<&Permutation>, table: Table<Self>) -> Result<Table<Self>, Abort> {
        if owner.0 >= 3 {
            return Err(Abort::Refused(format!("party {owner} takes no part in this session")));
        }
        let (right, left, me, rows) = (owner.right(1, 3), owner.right(2, 3), self.session.me(), table.rows());
        let step = self.session.step();
        let first = self.other_end((owner, right)).map(|peer| Permutation::draw(self.session.prss(peer), step, rows));
        // what is left: where the first leaves row i, the second takes it to its place
        let second = match &first {
            Some(first) if me == owner => {
                let to = stated(owner, to, rows)?;
                let mut places = vec![0; rows];
                first.places().iter().zip(to.places()).for_each(|(at, to)| places[*at as usize] = *to);
                Some(Permutation::new(places).expect("two permutations make one"))
            }
            _ => None,
        };
        let width = index_bits(rows);
        let mut sent = None;
        let (half, mut inbox) = self.reordered(table, (owner, right), left, first.as_ref(), |round| match &second {
            Some(second) => round.send(left, second.to_indices(width)),
            None if me == left => sent = Some(round.recv::<Index>(owner, Layout::narrow(rows, 1, width))),
            None => (),
        })?;
        let second = match sent {
            Some(ticket) => {
                let what = "places that are not a permutation";
                let malformed = || Abort::Malformed { peer: owner, label: "rows in an owner's order", what };
                Some(Permutation::from_indices(&inbox.take(ticket)).ok_or_else(malformed)?)
            }
            None => second,
        };
        drop(inbox);
        Ok(self.reordered(half, (owner, left), right, second.as_ref(), |_| ())?.0)
    }

    /// One round in which `pair`, who know `order`, reorder the rows and share them anew with `third`, who does not. `also` adds to the messages, ahead of
    /// the rows.
    fn reordered(
        &mut self,
        table: Table<Self>,
        pair: (PartyId, PartyId),
        third: PartyId,
        order: Option<&Permutation>,
        also: impl FnOnce(&mut Round<'_, '_>),
    ) -> Result<(Table<Self>, Inbox), Abort> {
        let order = Order { pair, third, order };
        let Table { rows, bits, index, z64, fp61, fp127 } = table;
        let widths: Vec<usize> = bits.iter().map(|c| c.layout().planes).collect();
        let bits: Vec<_> = super::shuffle::stacked(bits).map(|c| order.reshare(self, c)).into_iter().collect();
        let index: Vec<_> = index.into_iter().map(|c| order.reshare(self, c)).collect();
        let z64: Vec<_> = z64.into_iter().map(|c| order.reshare(self, c)).collect();
        let fp61: Vec<_> = fp61.into_iter().map(|c| order.reshare(self, c)).collect();
        let fp127: Vec<_> = fp127.into_iter().map(|c| order.reshare(self, c)).collect();
        let left = self.left();
        let mut round = self.session.round("rows in an owner's order");
        also(&mut round);
        fn all<'c, R: Ring>(order: &Order<'_>, round: &mut Round<'_, 'c>, parts: &'c [Part<R>]) -> Vec<Option<[Ticket<R>; 2]>> {
            parts.iter().map(|part| order.exchange(round, part)).collect()
        }
        let tickets = (
            all(&order, &mut round, &bits),
            all(&order, &mut round, &index),
            all(&order, &mut round, &z64),
            all(&order, &mut round, &fp61),
            all(&order, &mut round, &fp127),
        );
        let mut inbox = round.run()?;
        let mut moved = Table::new(rows);
        for (c, t) in bits.into_iter().zip(tickets.0) {
            moved = super::shuffle::unstacked(moved, &widths, order.share(c, t, left, &mut inbox));
        }
        for (c, t) in index.into_iter().zip(tickets.1) {
            moved = moved.with(order.share(c, t, left, &mut inbox));
        }
        for (c, t) in z64.into_iter().zip(tickets.2) {
            moved = moved.with(order.share(c, t, left, &mut inbox));
        }
        for (c, t) in fp61.into_iter().zip(tickets.3) {
            moved = moved.with(order.share(c, t, left, &mut inbox));
        }
        for (c, t) in fp127.into_iter().zip(tickets.4) {
            moved = moved.with(order.share(c, t, left, &mut inbox));
        }
        Ok((moved, inbox))
    }
}

struct Order<'a> {
    pair: (PartyId, PartyId),
    third: PartyId,
    order: Option<&'a Permutation>,
}

/// A column after the local part.
enum Part<R: Ring> {
    /// At one of the pair: the component both hold, with the peer who is the other, and the one for the third.
    Pair((PartyId, Column<R>), Column<R>),
    /// At the third, who gets a component from each.
    Third(Layout),
}

impl Order<'_> {
    fn reshare<R: Ring>(&self, e: &mut Rep3, share: Rep3Share<R>) -> Part<R> {
        let one = self.pair.0;
        let [r, s] = [e.session.step(), e.session.step()];
        let layout = share.layout();
        let Some(peer) = e.other_end(self.pair) else { return Part::Third(layout) };
        let order = self.order.expect("the pair knows the order");
        let mine = if e.session.me() == one {
            let mut sum = share.into_known().place(order);
            mask(e, peer, s, &mut sum, R::sub);
            sum
        } else {
            // the component that the first of the pair lacks
            let (first, second) = share.into_components();
            let mut rest = if one == e.right() { first } else { second }.place(order);
            mask(e, peer, s, &mut rest, R::add);
            rest
        };
        let common = e.drawn(peer, r, layout);
        let mine = if e.session.me() == one { mine.combine(&common, R::sub) } else { mine };
        Part::Pair((peer, common), mine)
    }

    /// What the third gets of each of the pair.
    fn exchange<'c, R: Ring>(&self, round: &mut Round<'_, 'c>, part: &'c Part<R>) -> Option<[Ticket<R>; 2]> {
        match part {
            Part::Pair(_, mine) => {
                round.send(self.third, mine);
                None
            }
            Part::Third(layout) => {
                let (one, other) = self.pair;
                Some([one, other].map(|from| round.recv(from, *layout)))
            }
        }
    }

    fn share<R: Ring>(&self, part: Part<R>, tickets: Option<[Ticket<R>; 2]>, left: PartyId, inbox: &mut Inbox) -> Rep3Share<R> {
        let ((one, x), y) = match part {
            Part::Pair(common, mine) => (common, mine),
            Part::Third(_) => {
                let [x, y] = tickets.expect("the third gets two components").map(|ticket| inbox.take(ticket));
                ((self.pair.0, x), y)
            }
        };
        if one == left { Rep3Share::from_components(x, y) } else { Rep3Share::from_components(y, x) }
    }
}
