//! The shuffle (Araki, Furukawa, Ohara, Pinkas, Rosemarin, Tsuchida, CCS'21, section 5.2).
//!
//! *Functionality.* The rows in a uniformly random order that no party knows; and back.
//! *Protocol.* Each pair of parties knows one permutation, drawn from its edge key; applied one after the other they give an order in which each
//! party misses one. With H1 holding the components (A, B), H2 (B, C), H3 (C, A), each pair's masks Z and A', B' fresh from the edge keys:
//!
//! | round | message |
//! |---|---|
//! | 1 | H1 to H2: X = π31(π12(A + B + Z12) + Z31) |
//! | 1 | H2 to H3: Y = π12(C - Z12) |
//! | 2 | H2 to H3: C1 = π23(X + Z23) - B' |
//! | 2 | H3 to H2: C2 = π23(π31(Y - Z31) - Z23) - A' |
//!
//! The new components are A', B', C' = C1 + C2. Every message is masked by a value its receiver lacks. Back: the same with H3, H2, H1 in the places
//! of H1, H2, H3 and inverse permutations. The t-th shuffle of a session starts at H1 = P_{t mod 3}.
//! Places that are to be opened once shuffled need no masks A' and B' in the second round: C1 and C2, which add up to them, go to H1 as well. Each is uniform given the
//! other's sum with it, so who sees both learns their sum, the opened places.
//! *Cost.* W bits a row: W, 2 W, W by H1, H2, H3; 2 rounds ([`cost::shuffle`](crate::cost::shuffle)). *Leakage.* None. Memory is accessed in the order of
//! permutations that the party knows.
//!
//! Bit-planes take part as words of row bits, so that a row is one access to memory, and are planes again for C1 and C2. *Memory.* A column of the table is given up for what travels of it,
//! one component of two: with the masks A' or B' and what arrives the rows take three halves of their share at most, and each row 8 bytes more for two permutations.

use super::{Rep3, Rep3Share};
use crate::engine::{Engine, Opened, Share, Verified};
use crate::table::Table;
use mpc_core::prss::{BLOCK, Step};
use mpc_core::round::{Inbox, Round, Ticket};
use mpc_core::{Abort, B64, Column, Index, Layout, PartyId, Permutation, Ring, Row8, Row32, Row64};

/// What a party keeps of a shuffle to undo it: the two permutations it knows.
pub struct Shuffled {
    rows: usize,
    roles: [PartyId; 3],
    known: [Option<Permutation>; 3],
}

impl Shuffled {
    fn way(&self) -> Way<'_> {
        Way { roles: self.roles, permutations: self.known.each_ref().map(Option::as_ref), back: false, from: None }
    }
}

/// The three permutations in the order in which they apply.
const P12: usize = 0;
const P31: usize = 1;
const P23: usize = 2;

impl Rep3 {
    pub(super) fn shuffled(&mut self, table: Table<Self>) -> Result<(Table<Self>, Shuffled), Abort> {
        let shuffled = self.draw_shuffle(table.rows());
        let (moved, _) = self.travel(table, &shuffled.way(), None)?;
        Ok((moved, shuffled))
    }

    pub(super) fn shuffled_and_opened(
        &mut self,
        table: Table<Self>,
        places: Rep3Share<Index>,
        also: &Verified<Vec<&Rep3Share<Index>>>,
    ) -> Result<Opened<Self>, Abort> {
        if self.open_after {
            let (mut table, shuffled) = self.shuffled(table.with(places))?;
            let places = table.take_last::<Index>();
            let shown = self.verify(std::iter::once(&places).chain(also.get().iter().copied()).collect::<Vec<_>>())?;
            let mut also = self.open_all(&shown)?;
            return Ok(Opened { table, shuffled, places: also.remove(0), also });
        }
        // of the places: they are opened as they travel
        self.barrier()?;
        let shuffled = self.draw_shuffle(table.rows());
        let (table, mut also) = self.travel(table, &shuffled.way(), Some((places, also.get())))?;
        Ok(Opened { table, shuffled, places: also.remove(0), also })
    }

    fn draw_shuffle(&mut self, rows: usize) -> Shuffled {
        let first = (self.shuffles % 3) as u8;
        self.shuffles += 1;
        let roles @ [h1, h2, h3] = [0, 1, 2].map(|by| PartyId(first).right(by, 3));
        let known = [(h1, h2), (h3, h1), (h2, h3)].map(|edge| {
            let step = self.session.step();
            self.other_end(edge).map(|peer| Permutation::draw(self.session.prss(peer), step, rows))
        });
        Shuffled { rows, roles, known }
    }

    /// Undoes a shuffle; of rows that stand in `places`, where they are fetched as the first party on their way needs them: one component, or two as one.
    pub(super) fn unshuffled(
        &mut self,
        table: Table<Self>,
        places: Option<&Permutation>,
        shuffled: &Shuffled,
    ) -> Result<Table<Self>, Abort> {
        assert_eq!(table.rows(), shuffled.rows, "what is unshuffled has the rows of the shuffle");
        let [h1, h2, h3] = shuffled.roles;
        let [p12, p31, p23] = shuffled.known.each_ref().map(Option::as_ref);
        Ok(self.travel(table, &Way { roles: [h3, h2, h1], permutations: [p23, p31, p12], back: true, from: places }, None)?.0)
    }

    /// The peer at the other end of an edge, if this party is at one.
    pub(super) fn other_end(&self, (one, other): (PartyId, PartyId)) -> Option<PartyId> {
        match self.session.me() {
            me if me == one => Some(other),
            me if me == other => Some(one),
            _ => None,
        }
    }

    /// The rows at the end of the way, and the values of places that travel with them and of what else is to be opened.
    fn travel(&mut self, table: Table<Self>, way: &Way<'_>, open: Option<ToOpen<'_>>) -> Result<(Table<Self>, Vec<Column<Index>>), Abort> {
        let role = way.role(self.session.me());
        let Table { rows, bits, index, z64, fp61, fp127 } = table;
        let widths: Vec<usize> = bits.iter().map(|c| c.layout().planes).collect();
        let mut words: Vec<_> = (!bits.is_empty()).then(|| Words::new(self, way, role, bits)).into_iter().collect();
        let mut index: Vec<_> = index.into_iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut z64: Vec<_> = z64.into_iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut fp61: Vec<_> = fp61.into_iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut fp127: Vec<_> = fp127.into_iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let (places, also) = open.unzip();
        let mut places: Vec<_> = places.into_iter().map(|c| Leg::whole(self, way, role, c)).collect();

        let mut round = self.session.round("shuffle, first");
        let legs = words.iter_mut().flat_map(Words::legs);
        let legs = legs.chain(index.iter_mut().map(as_leg)).chain(z64.iter_mut().map(as_leg));
        let legs = legs.chain(fp61.iter_mut().map(as_leg)).chain(fp127.iter_mut().map(as_leg));
        let legs = legs.chain(places.iter_mut().map(as_leg));
        let mut legs: Vec<&mut dyn Travel> = legs.collect();
        legs.iter_mut().for_each(|leg| leg.pass(&mut round, way, role));
        let mut inbox = round.run()?;
        legs.iter_mut().for_each(|leg| leg.cross(self, way, role, &mut inbox));
        drop((legs, inbox));

        let bits: Vec<_> = words.into_iter().map(|w| Last::new(self, way, role, w.layout, w.into_planes())).collect();
        let index: Vec<_> = index.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let z64: Vec<_> = z64.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let fp61: Vec<_> = fp61.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let fp127: Vec<_> = fp127.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let places: Vec<_> = places.into_iter().map(|l| Shown { layout: l.layout, mine: l.carried }).collect();
        let also = also.unwrap_or_default();
        let (left, right) = (self.left(), self.right());
        let mut values: Vec<Column<Index>> = also.iter().map(|x| x.known()).collect();
        let mut round = self.session.round("shuffle, second");
        fn all<'c, R: Ring>(round: &mut Round<'_, 'c>, way: &Way<'_>, columns: &'c [Last<R>]) -> Vec<Option<Ticket<R>>> {
            columns.iter().map(|c| c.exchange(round, way)).collect()
        }
        let tickets = (
            all(&mut round, way, &bits),
            all(&mut round, way, &index),
            all(&mut round, way, &z64),
            all(&mut round, way, &fp61),
            all(&mut round, way, &fp127),
        );
        let shown: Vec<_> = places.iter().map(|c| c.exchange(&mut round, way, role)).collect();
        for (x, value) in also.iter().zip(&mut values) {
            round.send(left, x.second());
            round.recv_each(right, x.layout(), |at, missing| value.add_at(at, missing));
        }
        let mut inbox = round.run()?;
        let mut moved = Table::new(rows);
        for (c, t) in bits.into_iter().zip(tickets.0) {
            moved = unstacked(moved, &widths, c.arrive(way, t, right, &mut inbox));
        }
        for (c, t) in index.into_iter().zip(tickets.1) {
            moved = moved.with(c.arrive(way, t, right, &mut inbox));
        }
        for (c, t) in z64.into_iter().zip(tickets.2) {
            moved = moved.with(c.arrive(way, t, right, &mut inbox));
        }
        for (c, t) in fp61.into_iter().zip(tickets.3) {
            moved = moved.with(c.arrive(way, t, right, &mut inbox));
        }
        for (c, t) in fp127.into_iter().zip(tickets.4) {
            moved = moved.with(c.arrive(way, t, right, &mut inbox));
        }
        let mut opened: Vec<_> = places.into_iter().zip(shown).map(|(c, t)| c.arrive(t, &mut inbox)).collect();
        opened.append(&mut values);
        opened.iter_mut().for_each(Column::clear_tails);
        Ok((moved, opened))
    }
}

/// Places that travel and are opened, and what else is.
type ToOpen<'a> = (Rep3Share<Index>, &'a [&'a Rep3Share<Index>]);

/// All bit-planes of a table as one share, if there are any: they move and travel as one column.
pub(super) fn stacked(mut bits: Vec<Rep3Share<B64>>) -> Option<Rep3Share<B64>> {
    match bits.len() {
        0 | 1 => bits.pop(),
        _ => Some(Share::stack(&bits.iter().collect::<Vec<_>>())),
    }
}

/// All planes as one column, if there are any.
fn stacked_columns(mut bits: Vec<Column<B64>>) -> Option<Column<B64>> {
    match bits.len() {
        0 | 1 => bits.pop(),
        _ => Some(Column::stack(&bits.iter().collect::<Vec<_>>())),
    }
}

/// The table with bit columns of these widths, taken one after the other from `all`.
pub(super) fn unstacked(mut table: Table<Rep3>, widths: &[usize], all: Rep3Share<B64>) -> Table<Rep3> {
    if widths.len() == 1 {
        return table.with(all);
    }
    let mut first = 0;
    for planes in widths {
        table = table.with(all.planes(first..first + planes));
        first += planes;
    }
    table
}

/// Who plays which part, and the permutations this party knows.
struct Way<'a> {
    roles: [PartyId; 3],
    permutations: [Option<&'a Permutation>; 3],
    back: bool,
    /// Where the rows are fetched from first.
    from: Option<&'a Permutation>,
}

/// A part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    H1,
    H2,
    H3,
}

impl Way<'_> {
    fn role(&self, me: PartyId) -> Role {
        [Role::H1, Role::H2, Role::H3][self.roles.iter().position(|p| *p == me).expect("all three parties take part")]
    }

    fn party(&self, role: Role) -> PartyId {
        self.roles[role as usize]
    }

    /// What the first two parties start from, in the place of the share: A + B at H1; at H2 C, which H3 holds too.
    fn start<R: Ring>(&self, role: Role, share: Rep3Share<R>) -> Column<R> {
        if role == Role::H1 {
            return share.into_known();
        }
        let (first, second) = share.into_components();
        if self.party(Role::H3) == self.party(Role::H2).right(1, 3) { second } else { first }
    }

    /// The rows where they are fetched from first.
    fn fetched<R: Ring>(&self, column: Column<R>) -> Column<R> {
        if let Some(from) = self.from { column.fetch(from) } else { column }
    }

    fn permuted<R: Ring>(&self, column: Column<R>, which: usize) -> Column<R> {
        let permutation = self.permutations[which].expect("applied by those who know it");
        if self.back { column.place(permutation) } else { column.fetch(permutation) }
    }
}

/// A column on its way through the three permutations.
struct Leg<R: Ring> {
    layout: Layout,
    /// The masks of Z31 and Z23, where this party still has to draw them.
    z31: Step,
    z23: Step,
    /// What this party sends in the first round, then what it has after the last permutation.
    carried: Option<Column<R>>,
    expected: Option<Ticket<R>>,
}

trait Travel {
    /// The first round's message.
    fn pass(&mut self, round: &mut Round<'_, '_>, way: &Way<'_>, role: Role);
    /// The rest of the way, for what came in.
    fn cross(&mut self, e: &Rep3, way: &Way<'_>, role: Role, inbox: &mut Inbox);
}

fn as_leg<R: Ring>(leg: &mut Leg<R>) -> &mut dyn Travel {
    leg
}

impl<R: Ring> Leg<R> {
    fn whole(e: &mut Rep3, way: &Way<'_>, role: Role, share: Rep3Share<R>) -> Self {
        let layout = share.layout();
        Leg::start(e, way, role, layout, || way.start(role, share))
    }

    /// `start` gives A + B at H1 and C at H2.
    fn start(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, start: impl FnOnce() -> Column<R>) -> Self {
        let [z12, z31, z23] = [(); 3].map(|()| e.session.step());
        let carried = match role {
            Role::H1 => {
                let mut x = way.fetched(start());
                mask(e, way.party(Role::H2), z12, &mut x, R::add);
                let mut x = way.permuted(x, P12);
                mask(e, way.party(Role::H3), z31, &mut x, R::add);
                Some(way.permuted(x, P31))
            }
            Role::H2 => {
                let mut y = way.fetched(start());
                mask(e, way.party(Role::H1), z12, &mut y, R::sub);
                Some(way.permuted(y, P12))
            }
            Role::H3 => None,
        };
        Leg { layout, z31, z23, carried, expected: None }
    }
}

impl<R: Ring> Travel for Leg<R> {
    fn pass(&mut self, round: &mut Round<'_, '_>, way: &Way<'_>, role: Role) {
        let (to, from) = match role {
            Role::H1 => (Some(Role::H2), None),
            Role::H2 => (Some(Role::H3), Some(Role::H1)),
            Role::H3 => (None, Some(Role::H2)),
        };
        if let (Some(to), Some(message)) = (to, self.carried.take()) {
            round.send(way.party(to), message);
        }
        self.expected = from.map(|from| round.recv(way.party(from), self.layout));
    }

    fn cross(&mut self, e: &Rep3, way: &Way<'_>, role: Role, inbox: &mut Inbox) {
        let Some(expected) = self.expected.take() else { return };
        let mut v = inbox.take(expected);
        if role == Role::H2 {
            mask(e, way.party(Role::H3), self.z23, &mut v, R::add);
        } else {
            mask(e, way.party(Role::H1), self.z31, &mut v, R::sub);
            v = way.permuted(v, P31);
            mask(e, way.party(Role::H2), self.z23, &mut v, R::sub);
        }
        self.carried = Some(way.permuted(v, P23));
    }
}

/// Adds or subtracts the randomness shared with `peer`.
pub(super) fn mask<R: Ring>(e: &Rep3, peer: PartyId, step: Step, column: &mut Column<R>, combine: impl Fn(R, R) -> R) {
    let mut masks = e.session.prss(peer).elements::<R>(step, 0..column.as_slice().len());
    let mut block = [R::ZERO; BLOCK];
    column.update(|_, values| {
        let block = &mut block[..values.len()];
        masks.fill(block);
        values.iter_mut().zip(&*block).for_each(|(v, m)| *v = combine(*v, *m));
    });
    zeroize::Zeroize::zeroize(block.as_mut_slice());
}

/// Bit-planes on their way, as words of row bits.
struct Words {
    layout: Layout,
    wide: Vec<Leg<Row64>>,
    half: Option<Leg<Row32>>,
    byte: Option<Leg<Row8>>,
}

impl Words {
    fn new(e: &mut Rep3, way: &Way<'_>, role: Role, bits: Vec<Rep3Share<B64>>) -> Self {
        let layout = Layout::new(bits[0].layout().rows, bits.iter().map(|c| c.layout().planes).sum());
        let mut start = if role == Role::H3 { None } else { stacked_columns(bits.into_iter().map(|c| way.start(role, c)).collect()) };
        let mut words = Words { layout, wide: Vec::new(), half: None, byte: None };
        for first in (0..layout.planes).step_by(64) {
            match layout.planes - first {
                0..=8 => words.byte = Some(Words::leg(e, way, role, layout, first, &mut start)),
                9..=32 => words.half = Some(Words::leg(e, way, role, layout, first, &mut start)),
                _ => words.wide.push(Words::leg(e, way, role, layout, first, &mut start)),
            }
        }
        words
    }

    /// The leg of the planes from `first` on; with the last of them the planes that H1 or H2 starts from are freed.
    fn leg<W: Ring>(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, first: usize, start: &mut Option<Column<B64>>) -> Leg<W> {
        let width = (layout.planes - first).min(W::BITS as usize);
        Leg::start(e, way, role, Layout::narrow(layout.rows, 1, width as u32), || {
            let rows = start.as_ref().expect("H1 and H2 start").by_rows(first);
            if first + width == layout.planes {
                *start = None;
            }
            rows
        })
    }

    fn legs(&mut self) -> impl Iterator<Item = &mut dyn Travel> {
        self.wide.iter_mut().map(as_leg).chain(self.half.as_mut().map(as_leg)).chain(self.byte.as_mut().map(as_leg))
    }

    /// The planes after the last permutation, where this party has them.
    fn into_planes(self) -> Option<Column<B64>> {
        let mut planes = Column::zeros(self.layout);
        let wide = self.wide.len() * 64;
        for (i, leg) in self.wide.into_iter().enumerate() {
            planes.set_rows(64 * i, &leg.carried?);
        }
        if let Some(leg) = self.half {
            planes.set_rows(wide, &leg.carried?);
        }
        if let Some(leg) = self.byte {
            planes.set_rows(wide, &leg.carried?);
        }
        Some(planes)
    }
}

/// The second round of a column: C1 and C2 make C', A' and B' are fresh.
struct Last<R: Ring> {
    role: Role,
    /// A' at H1 and H3, B' at H1 and H2.
    a: Option<Column<R>>,
    b: Option<Column<R>>,
    /// C1 or C2, what this party has of C'.
    mine: Option<Column<R>>,
}

impl<R: Ring> Last<R> {
    fn new(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, carried: Option<Column<R>>) -> Self {
        let [a, b] = [(); 2].map(|()| e.session.step());
        let fresh = |step, edge| Some(e.drawn(e.other_end(edge)?, step, layout));
        let [h1, h2, h3] = way.roles;
        let (a, b) = (fresh(a, (h1, h3)), fresh(b, (h1, h2)));
        let mask = if role == Role::H2 { &b } else { &a };
        let mine = carried.zip(mask.as_ref()).map(|(carried, mask)| carried.combine(mask, R::sub));
        Last { role, a, b, mine }
    }

    fn exchange<'c>(&'c self, round: &mut Round<'_, 'c>, way: &Way<'_>) -> Option<Ticket<R>> {
        let peer = match self.role {
            Role::H1 => return None,
            Role::H2 => way.party(Role::H3),
            Role::H3 => way.party(Role::H2),
        };
        let mine = self.mine.as_ref().expect("H2 and H3 have a part of the last component");
        round.send(peer, mine);
        Some(round.recv(peer, mine.layout()))
    }

    fn arrive(self, way: &Way<'_>, theirs: Option<Ticket<R>>, right: PartyId, inbox: &mut Inbox) -> Rep3Share<R> {
        let c = theirs.zip(self.mine).map(|(theirs, mine)| mine.combine(&inbox.take(theirs), R::add));
        let missing = "each role holds two components";
        // what it has in common with the one peer, and with the other
        let ((one, x), (_, y)) = match self.role {
            Role::H1 => ((Role::H3, self.a.expect(missing)), (Role::H2, self.b.expect(missing))),
            Role::H2 => ((Role::H1, self.b.expect(missing)), (Role::H3, c.expect(missing))),
            Role::H3 => ((Role::H2, c.expect(missing)), (Role::H1, self.a.expect(missing))),
        };
        if way.party(one) == right { Rep3Share::from_components(y, x) } else { Rep3Share::from_components(x, y) }
    }
}

/// The second round of places that everyone learns: C1 and C2 without masks, to each other and to H1.
struct Shown {
    layout: Layout,
    mine: Option<Column<Index>>,
}

impl Shown {
    fn exchange<'c>(&'c self, round: &mut Round<'_, 'c>, way: &Way<'_>, role: Role) -> Vec<Ticket<Index>> {
        let (to, from): (&[Role], &[Role]) = match role {
            Role::H1 => (&[], &[Role::H2, Role::H3]),
            Role::H2 => (&[Role::H3, Role::H1], &[Role::H3]),
            Role::H3 => (&[Role::H2, Role::H1], &[Role::H2]),
        };
        if let Some(mine) = &self.mine {
            to.iter().for_each(|to| round.send(way.party(*to), mine));
        }
        from.iter().map(|from| round.recv(way.party(*from), self.layout)).collect()
    }

    fn arrive(self, theirs: Vec<Ticket<Index>>, inbox: &mut Inbox) -> Column<Index> {
        let parts = theirs.into_iter().map(|ticket| inbox.take(ticket));
        self.mine.into_iter().chain(parts).reduce(|sum, part| sum.combine(&part, Index::add)).expect("there are two parts")
    }
}
