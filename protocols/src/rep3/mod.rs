//! Replicated secret sharing among three parties, private against one that follows the protocol (Araki, Furukawa, Lindell, Nof, Ohara,
//! CCS'16).
//!
//! x = x_0 + x_1 + x_2 and P_i holds (x_i, x_{i+1}), indices mod 3. The edge key k_i belongs to P_{i-1} and P_i, the holders of component i;
//! F(k_i) is a value both derive without a message. Every message goes from one holder of a component to the other, so that two honest
//! holders never differ (no message can make them), and is masked by a value its receiver cannot derive.
//!
//! | operation | rounds | sent, in elements a row |
//! |---|---|---|
//! | [`input`](Engine::input) by P_i | 1 for all owners together | 1 by P_i |
//! | [`sum_of_products`](Engine::sum_of_products) | 1 | 1 by each |
//! | [`dot`](Engine::dot) | 1 | 1 by each for the whole column |
//! | [`bits_to`](Engine::bits_to) | 2 | 1 by each |
//! | [`difference`](Engine::difference) | 2 (1 without borrows) | its bits by P_0, a bit for each borrow by P_1 and P_2 |
//! | [`near_quotient`](Engine::near_quotient) | 2 | 2 by P_0, 1 by P_1 and P_2 |
//! | [`open`](Engine::open) | 1 | 1 by each |
//! | [`open_to`](Engine::open_to) P_i | 1 | 1 by P_{i+1} |
//! | [`release`](Engine::release) | 1 | 1 by each |
//! | [`shuffle`](Engine::shuffle), [`unshuffle`](Engine::unshuffle) | 2 | 1, 2, 1 in turn |
//! | [`shuffle_and_open`](Engine::shuffle_and_open) | 2 | places besides: 1, 3, 2 in turn |
//! | [`permute_by`](Engine::permute_by) P_i | 2 | 2 and a place by P_i, 1 by the others |
//! | [`retrieve`](Engine::retrieve) P_B's rows by P_A's keys | 2 | a tag and a row by P_A, a store of P_B's rows, a row by P_C |
//! | constants, [random bits](Engine::random_bits), sums, complements, products with public values | 0 | 0 |
//!
//! Leakage: none; openings and releases show the value to whom they name, nothing else.

mod bits;
mod dealing;
mod difference;
mod gates;
mod owner;
mod product;
mod quotient;
mod rank;
mod retrieve;
mod share;
mod shuffle;

pub use dealing::{Ahead, DEALING, Dealing, Said};
pub use share::Rep3Share;
pub use shuffle::Shuffled;

use crate::engine::{Difference, Engine, Input, Opened, Ranked, Released, Security, Share, Verified};
use crate::retrieve::{Ask, Offer, Retrieved};
use crate::table::Table;
use crate::wire::{Gate, Wire};
use dealing::masked;
use mpc_core::{Abort, B64, Column, Index, Layout, Meter, PartyId, Permutation, Ring, Session};

/// Three parties, one of them possibly curious.
pub struct Rep3 {
    session: Session,
    /// Shuffles so far: roles rotate.
    shuffles: u64,
    /// Whether places are opened in a round after their shuffle.
    open_after: bool,
    /// The keys under which owners deal, if they do.
    dealing: Option<Dealing>,
}

impl Rep3 {
    /// The engine of this session's party.
    ///
    /// # Panics
    /// If the session has other than three parties: the roster decides that before any session starts.
    pub fn new(session: Session) -> Self {
        assert_eq!(session.parties(), 3, "replicated sharing is among three parties");
        Rep3 { session, shuffles: 0, open_after: false, dealing: None }
    }

    /// The session it runs on.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The same, for what parties tell one another beside the computation.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What the session has cost so far.
    pub fn meter(&self) -> Meter {
        self.session.meter()
    }

    /// Gives the session back.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// P_{i-1}, the other holder of this party's first component.
    fn left(&self) -> PartyId {
        self.session.right(2)
    }

    /// P_{i+1}, the other holder of this party's second component.
    fn right(&self) -> PartyId {
        self.session.right(1)
    }

    /// [`input`](Engine::input), or under the dealing keys if there are any.
    fn shared<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Rep3Share<R>>, Abort> {
        let (me, left, right) = (self.session.me(), self.left(), self.right());
        let mut dealt = Vec::with_capacity(inputs.len());
        for input in inputs {
            if input.owner.0 >= 3 {
                return Err(Abort::Refused(format!("party {} takes no part in this session", input.owner)));
            }
            let place = self.place(input.owner);
            dealt.push(match input.owner {
                owner if owner == me => {
                    let values = input.checked_values()?;
                    Some(masked(values, &mut self.mask(owner, place, values.as_slice().len())))
                }
                owner if owner == left => {
                    let mut mask = self.mask(owner, place, input.layout.len::<R>());
                    Some((Column::build(input.layout, |_, masks| mask.fill(masks)), Column::zeros(input.layout)))
                }
                _ => None,
            });
        }
        let mut round = self.session.round("input");
        let mut expected = Vec::with_capacity(inputs.len());
        for (input, dealt) in inputs.iter().zip(&dealt) {
            if let (true, Some((mine, _))) = (input.owner == me, dealt) {
                round.send(left, mine);
            }
            expected.push((input.owner == right).then(|| round.recv(right, input.layout)));
        }
        let mut inbox = round.run()?;
        let mut shares = Vec::with_capacity(inputs.len());
        for ((dealt, expected), input) in dealt.into_iter().zip(expected).zip(inputs) {
            let (first, second) = match (dealt, expected) {
                (Some(components), _) => components,
                (None, Some(ticket)) => {
                    let received = inbox.take(ticket);
                    self.compare(&received)?;
                    (Column::zeros(input.layout), received)
                }
                (None, None) => unreachable!("what is not dealt here is received"),
            };
            shares.push(Rep3Share::from_components(first, second));
        }
        Ok(shares)
    }

    /// One round in which this party sends its part of a sum, z_i, to the other holder of component i and gets z_{i+1}.
    fn reshare<R: Ring>(&mut self, label: &'static str, part: Column<R>) -> Result<Rep3Share<R>, Abort> {
        let (left, right) = (self.left(), self.right());
        let mut round = self.session.round(label);
        round.send(left, &part);
        let next = round.recv(right, part.layout());
        let next = round.run()?.take(next);
        Ok(Rep3Share::from_components(part, next))
    }
}

impl Engine for Rep3 {
    const MODEL: Security = Security::SemiHonest;
    type Share<R: Ring> = Rep3Share<R>;
    type Shuffled = Shuffled;

    fn holds(&self, owner: PartyId) -> bool {
        self.session.me() == owner
    }

    /// P_i: x_{i+1} = F(k_{i+1}), x_{i+2} = 0, and x_i = x - x_{i+1} goes to P_{i-1}.
    fn input<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Rep3Share<R>>, Abort> {
        let dealing = self.dealing.take();
        let shares = self.shared(inputs);
        self.dealing = dealing;
        shares
    }

    /// The same, with F under the dealing keys.
    fn deal<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Rep3Share<R>>, Abort> {
        self.shared(inputs)
    }

    /// Component 0 is the value, the others are zero.
    fn constant<R: Ring>(&mut self, public: &Column<R>) -> Rep3Share<R> {
        let zeros = || Column::zeros(public.layout());
        match self.session.me().0 {
            0 => Rep3Share::from_components(public.clone(), zeros()),
            1 => Rep3Share::from_components(zeros(), zeros()),
            _ => Rep3Share::from_components(zeros(), public.clone()),
        }
    }

    /// x_i = F(k_i): one key is unknown to each party.
    fn random_bits(&mut self, layout: Layout) -> Result<Rep3Share<B64>, Abort> {
        let step = self.session.step();
        let component = |peer| {
            let mut elements = self.session.prss(peer).elements(step, 0..layout.len::<B64>());
            Column::build(layout, |_, words| elements.fill(words))
        };
        Ok(Rep3Share::from_components(component(self.left()), component(self.right())))
    }

    fn sum_of_products<R: Ring>(&mut self, pairs: &[(&Rep3Share<R>, &Rep3Share<R>)]) -> Result<Rep3Share<R>, Abort> {
        let layout = pairs.first().expect("a sum of products has at least one").0.layout();
        assert!(pairs.iter().all(|(x, y)| x.layout() == layout && y.layout() == layout), "factors have equal layouts");
        let terms: Vec<_> = pairs.iter().map(|(x, y)| product::Term { x: x.slices(), y: y.slices() }).collect();
        let part = self.product_part(layout, &terms);
        self.reshare("product", part)
    }

    fn mul_freeing<R: Ring>(&mut self, x: Rep3Share<R>, y: &Rep3Share<R>) -> Result<Rep3Share<R>, Abort> {
        assert_eq!(x.layout(), y.layout(), "factors have equal layouts");
        let part = self.product_part(x.layout(), &[product::Term { x: x.slices(), y: y.slices() }]);
        drop(x);
        self.reshare("product", part)
    }

    fn ands(&mut self, gates: Vec<Gate<'_, Rep3Share<B64>>>) -> Result<Rep3Share<B64>, Abort> {
        let part = self.ands_part(&gates);
        drop(gates);
        self.reshare("and", part)
    }

    fn join(&mut self, wires: &[Wire<'_, Rep3Share<B64>>]) -> Rep3Share<B64> {
        self.joined(wires)
    }

    fn dot<R: Ring>(&mut self, x: &Rep3Share<R>, y: &Rep3Share<R>) -> Result<Rep3Share<R>, Abort> {
        assert_eq!(x.layout(), y.layout(), "factors have equal layouts");
        let part = self.dot_part(x, y);
        self.reshare("dot product", part)
    }

    fn bits_as<R: Ring>(&mut self, bits: &Rep3Share<B64>, layout: Layout) -> Result<Rep3Share<R>, Abort> {
        assert_eq!((layout.rows, layout.planes), (bits.layout().rows, bits.layout().planes), "one element a bit");
        self.convert_bits(bits, layout)
    }

    fn shuffle(&mut self, table: Table<Self>) -> Result<(Table<Self>, Shuffled), Abort> {
        self.shuffled(table)
    }

    fn shuffle_and_open(
        &mut self,
        table: Table<Self>,
        places: Rep3Share<Index>,
        also: &Verified<Vec<&Rep3Share<Index>>>,
    ) -> Result<Opened<Self>, Abort> {
        self.shuffled_and_opened(table, places, also)
    }

    fn open_after_shuffles(&mut self) {
        self.open_after = true;
    }

    fn unshuffle(&mut self, table: Table<Self>, shuffled: &Shuffled) -> Result<Table<Self>, Abort> {
        self.unshuffled(table, None, shuffled)
    }

    fn unshuffle_from(&mut self, table: Table<Self>, places: &Permutation, shuffled: &Shuffled) -> Result<Table<Self>, Abort> {
        self.unshuffled(table, Some(places), shuffled)
    }

    fn ranked(&mut self, products: &Rep3Share<Index>) -> Result<Ranked<Self>, Abort> {
        self.rank(products)
    }

    fn permute_by(&mut self, owner: PartyId, to: Option<&Permutation>, table: Table<Self>) -> Result<Table<Self>, Abort> {
        self.permuted_by(owner, to, table)
    }

    fn retrieve(&mut self, ask: Ask, offer: Offer<'_>) -> Result<Retrieved<Self>, Abort> {
        self.retrieved(ask, offer)
    }

    fn difference<R: Ring>(
        &mut self,
        x: Rep3Share<R>,
        borrows: &[usize],
        subtrahend: &[usize],
    ) -> Result<Difference<Rep3Share<B64>>, Abort> {
        self.as_difference(x, borrows, subtrahend)
    }

    fn near_quotient<R: Ring, S: Ring>(&mut self, x: &Rep3Share<R>, divisors: &[u128]) -> Result<Rep3Share<S>, Abort> {
        self.quotient_near(x, divisors)
    }

    fn barrier(&mut self) -> Result<(), Abort> {
        Ok(())
    }

    /// P_{i+1} sends x_{i+2} to P_i.
    fn open_all<R: Ring>(&mut self, xs: &Verified<Vec<&Rep3Share<R>>>) -> Result<Vec<Column<R>>, Abort> {
        let (left, right) = (self.left(), self.right());
        let mut values: Vec<Column<R>> = xs.get().iter().map(|x| x.known()).collect();
        let mut round = self.session.round("open");
        for (x, value) in xs.get().iter().zip(&mut values) {
            round.send(left, x.second());
            round.recv_each(right, x.layout(), |at, missing| value.add_at(at, missing));
        }
        round.run()?;
        values.iter_mut().for_each(Column::clear_tails);
        Ok(values)
    }

    fn open_to<R: Ring>(&mut self, to: PartyId, x: &Verified<Rep3Share<R>>) -> Result<Option<Column<R>>, Abort> {
        if to.0 >= 3 {
            return Err(Abort::Refused(format!("party {to} takes no part in this session")));
        }
        let (me, left, right, x) = (self.session.me(), self.left(), self.right(), x.get());
        let mut value = (me == to).then(|| x.known());
        let mut round = self.session.round("open to one");
        if left == to {
            round.send(left, x.second());
        }
        if let Some(value) = &mut value {
            round.recv_each(right, x.layout(), |at, missing| value.add_at(at, missing));
        }
        round.run()?;
        Ok(value.map(|mut value| {
            value.clear_tails();
            value
        }))
    }

    /// x_i + F(k_i) - F(k_{i+1}) goes to P_{i-1}: a fresh sharing, whose components are independent of all that was computed. Both copies of a
    /// fresh component come from one party, so that they agree shows faults of delivery, not a party that deviates; a malicious scheme must verify
    /// this message too.
    fn release<R: Ring>(&mut self, x: &Verified<Rep3Share<R>>) -> Result<Released<R>, Abort> {
        let part = self.rerandomised_part(x.get());
        let me = self.session.me().0;
        let (mut first, mut second) = self.reshare("release", part)?.into_components();
        first.clear_tails();
        second.clear_tails();
        Ok(Released { of: 3, components: vec![(me, first), ((me + 1) % 3, second)] })
    }

    /// Component 0 alone is complemented.
    fn not(&mut self, x: &Rep3Share<B64>) -> Rep3Share<B64> {
        let not = |c: &Column<B64>| c.map(|w| w.add(B64::ONE));
        match self.session.me().0 {
            0 => Rep3Share::from_components(not(x.first()), x.second().clone()),
            1 => x.clone(),
            _ => Rep3Share::from_components(x.first().clone(), not(x.second())),
        }
    }
}
