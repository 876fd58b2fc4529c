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

use super::{Rep3, Rep3Share};
use crate::engine::{Share, stated};
use crate::table::Table;
use mpc_core::prss::Step;
use mpc_core::session::{Inbox, Round, Ticket};
use mpc_core::{Abort, Column, Index, Layout, PartyId, Permutation, Ring, index_bits};

impl Rep3 {
    pub(super) fn permuted_by(&mut self, owner: PartyId, to: Option<&Permutation>, table: &Table<Self>) -> Result<Table<Self>, Abort> {
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
        let half = self.reordered(table, (owner, right), left, first.as_ref(), |round| match &second {
            Some(second) => round.send(left, &second.to_indices(width)),
            None if me == left => sent = Some(round.recv::<Index>(owner, Layout::narrow(rows, 1, width))),
            None => (),
        })?;
        let (half, mut inbox) = half;
        let second = match sent {
            Some(ticket) => {
                let what = "places that are not a permutation";
                let malformed = || Abort::Malformed { peer: owner, label: "rows in an owner's order", what };
                Some(Permutation::from_indices(&inbox.take(ticket)?).ok_or_else(malformed)?)
            }
            None => second,
        };
        drop(inbox);
        Ok(self.reordered(&half, (owner, left), right, second.as_ref(), |_| ())?.0)
    }

    /// One round in which `pair`, who know `order`, reorder the rows and share them anew with `third`, who does not. `also` adds to the messages, ahead of
    /// the rows.
    fn reordered(
        &mut self,
        table: &Table<Self>,
        pair: (PartyId, PartyId),
        third: PartyId,
        order: Option<&Permutation>,
        also: impl FnOnce(&mut Round<'_>),
    ) -> Result<(Table<Self>, Inbox), Abort> {
        let order = Order { pair, third, order };
        let planes = super::shuffle::stacked(&table.bits);
        let bits: Vec<_> = planes.iter().map(|c| order.reshare(self, c)).collect();
        let index: Vec<_> = table.index.iter().map(|c| order.reshare(self, c)).collect();
        let z64: Vec<_> = table.z64.iter().map(|c| order.reshare(self, c)).collect();
        let fp61: Vec<_> = table.fp61.iter().map(|c| order.reshare(self, c)).collect();
        let fp127: Vec<_> = table.fp127.iter().map(|c| order.reshare(self, c)).collect();
        let left = self.left();
        let mut round = self.session.round("rows in an owner's order");
        also(&mut round);
        let bits: Vec<_> = bits.into_iter().map(|c| order.exchange(&mut round, c)).collect();
        let index: Vec<_> = index.into_iter().map(|c| order.exchange(&mut round, c)).collect();
        let z64: Vec<_> = z64.into_iter().map(|c| order.exchange(&mut round, c)).collect();
        let fp61: Vec<_> = fp61.into_iter().map(|c| order.exchange(&mut round, c)).collect();
        let fp127: Vec<_> = fp127.into_iter().map(|c| order.exchange(&mut round, c)).collect();
        let mut inbox = round.run()?;
        let mut moved = Table::new(table.rows());
        for c in bits {
            moved = super::shuffle::unstacked(moved, &table.bits, &c.share(left, &mut inbox)?);
        }
        for c in index {
            moved = moved.with(c.share(left, &mut inbox)?);
        }
        for c in z64 {
            moved = moved.with(c.share(left, &mut inbox)?);
        }
        for c in fp61 {
            moved = moved.with(c.share(left, &mut inbox)?);
        }
        for c in fp127 {
            moved = moved.with(c.share(left, &mut inbox)?);
        }
        Ok((moved, inbox))
    }
}

struct Order<'a> {
    pair: (PartyId, PartyId),
    third: PartyId,
    order: Option<&'a Permutation>,
}

/// A component of the new sharing and the peer who holds it too.
type Held<R> = (PartyId, Column<R>);

/// A column after the local part.
enum Part<R: Ring> {
    /// At one of the pair: the component both hold, and the one for the third.
    Pair(Held<R>, Held<R>),
    /// At the third, who gets a component from each.
    Third(Layout),
}

/// A column in the round.
enum Passed<R: Ring> {
    Pair(Held<R>, Held<R>),
    Third((PartyId, Ticket<R>), (PartyId, Ticket<R>)),
}

impl Order<'_> {
    fn reshare<R: Ring>(&self, e: &mut Rep3, share: &Rep3Share<R>) -> Part<R> {
        let one = self.pair.0;
        let steps = [e.session.step(), e.session.step()];
        let layout = share.layout();
        let Some(peer) = e.other_end(self.pair) else { return Part::Third(layout) };
        let draw = |step: Step| {
            let mut masks = e.session.prss(peer).elements(step, 0..layout.len::<R>());
            Column::build(layout, |_, out| masks.fill(out))
        };
        let [r, s] = steps.map(draw);
        let order = self.order.expect("the pair knows the order");
        let mine = if e.session.me() == one {
            let sum = share.first().zip(share.second(), R::add);
            sum.place(order).zip(&r, R::sub).zip(&s, R::sub)
        } else {
            // the component that the first of the pair lacks
            let rest = if one == e.right() { share.first() } else { share.second() };
            rest.place(order).zip(&s, R::add)
        };
        Part::Pair((peer, r), (self.third, mine))
    }

    fn exchange<R: Ring>(&self, round: &mut Round<'_>, part: Part<R>) -> Passed<R> {
        match part {
            Part::Pair(common, mine) => {
                round.send(self.third, &mine.1);
                Passed::Pair(common, mine)
            }
            Part::Third(layout) => {
                let (one, other) = self.pair;
                Passed::Third((one, round.recv(one, layout)), (other, round.recv(other, layout)))
            }
        }
    }
}

impl<R: Ring> Passed<R> {
    fn share(self, left: PartyId, inbox: &mut Inbox) -> Result<Rep3Share<R>, Abort> {
        let ((one, x), (_, y)) = match self {
            Passed::Pair(one, other) => (one, other),
            Passed::Third((one, x), (other, y)) => ((one, inbox.take(x)?), (other, inbox.take(y)?)),
        };
        Ok(if one == left { Rep3Share::from_components(x, y) } else { Rep3Share::from_components(y, x) })
    }
}
