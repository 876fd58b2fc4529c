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
//! Bit-planes take part as words of row bits, so that a row is one access to memory, and are planes again for C1 and C2.

use super::{Rep3, Rep3Share};
use crate::engine::{Engine, Opened, Share, Verified};
use crate::table::Table;
use mpc_core::prss::{BLOCK, Step};
use mpc_core::session::{Inbox, Round, Ticket};
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
    pub(super) fn shuffled(&mut self, table: &Table<Self>) -> Result<(Table<Self>, Shuffled), Abort> {
        let shuffled = self.draw_shuffle(table.rows());
        let (moved, _) = self.travel(table, &shuffled.way(), None)?;
        Ok((moved, shuffled))
    }

    pub(super) fn shuffled_and_opened(
        &mut self,
        table: &Table<Self>,
        places: &Rep3Share<Index>,
        also: &Verified<Vec<&Rep3Share<Index>>>,
    ) -> Result<Opened<Self>, Abort> {
        if self.open_after {
            let (mut table, shuffled) = self.shuffled(&table.clone().with(places.clone()))?;
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
        table: &Table<Self>,
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
    fn travel(&mut self, table: &Table<Self>, way: &Way<'_>, open: Option<ToOpen<'_>>) -> Result<(Table<Self>, Vec<Column<Index>>), Abort> {
        let role = way.role(self.session.me());
        let bits = stacked(&table.bits);
        let mut words = bits.iter().map(|bits| Words::new(self, way, role, bits)).collect::<Vec<_>>();
        let mut index: Vec<_> = table.index.iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut z64: Vec<_> = table.z64.iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut fp61: Vec<_> = table.fp61.iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let mut fp127: Vec<_> = table.fp127.iter().map(|c| Leg::whole(self, way, role, c)).collect();
        let (places, also) = open.unzip();
        let mut places: Vec<_> = places.iter().map(|c| Leg::whole(self, way, role, c)).collect();

        let mut round = self.session.round("shuffle, first");
        let legs = words.iter_mut().flat_map(Words::legs);
        let legs = legs.chain(index.iter_mut().map(as_leg)).chain(z64.iter_mut().map(as_leg));
        let legs = legs.chain(fp61.iter_mut().map(as_leg)).chain(fp127.iter_mut().map(as_leg));
        let legs = legs.chain(places.iter_mut().map(as_leg));
        let mut legs: Vec<&mut dyn Travel> = legs.collect();
        legs.iter_mut().for_each(|leg| leg.pass(&mut round, way, role));
        let mut inbox = round.run()?;
        for leg in &mut legs {
            leg.cross(self, way, role, &mut inbox)?;
        }
        drop((legs, inbox));

        let mut bits: Vec<_> = words.into_iter().map(|w| Last::new(self, way, role, w.layout, w.into_planes())).collect();
        let mut index: Vec<_> = index.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let mut z64: Vec<_> = z64.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let mut fp61: Vec<_> = fp61.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let mut fp127: Vec<_> = fp127.into_iter().map(|l| Last::new(self, way, role, l.layout, l.carried)).collect();
        let mut places: Vec<_> = places.into_iter().map(|l| Shown { layout: l.layout, mine: l.carried, expected: Vec::new() }).collect();
        let (left, right) = (self.left(), self.right());
        let mut round = self.session.round("shuffle, second");
        bits.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        index.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        z64.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        fp61.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        fp127.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        places.iter_mut().for_each(|l| l.exchange(&mut round, way, role));
        let also = also.unwrap_or_default().iter().map(|x| {
            round.send(left, x.second());
            (x, round.recv(right, x.layout()))
        });
        let also: Vec<_> = also.collect();
        let mut inbox = round.run()?;
        let mut moved = Table::new(table.rows());
        for bits in bits {
            moved = unstacked(moved, &table.bits, &bits.arrive(way, right, &mut inbox)?);
        }
        for l in index {
            moved = moved.with(l.arrive(way, right, &mut inbox)?);
        }
        for l in z64 {
            moved = moved.with(l.arrive(way, right, &mut inbox)?);
        }
        for l in fp61 {
            moved = moved.with(l.arrive(way, right, &mut inbox)?);
        }
        for l in fp127 {
            moved = moved.with(l.arrive(way, right, &mut inbox)?);
        }
        let places = places.into_iter().map(|l| l.arrive(&mut inbox)).collect::<Vec<_>>();
        let also = also.into_iter().map(|(x, missing)| Ok(x.value(&inbox.take(missing)?))).collect::<Vec<_>>();
        Ok((moved, places.into_iter().chain(also).collect::<Result<_, _>>()?))
    }
}

/// Places that travel and are opened, and what else is.
type ToOpen<'a> = (&'a Rep3Share<Index>, &'a [&'a Rep3Share<Index>]);

/// All bit-planes of a table as one share, if there are any: they move and travel as one column.
pub(super) fn stacked(bits: &[Rep3Share<B64>]) -> Option<Rep3Share<B64>> {
    (!bits.is_empty()).then(|| Share::stack(&bits.iter().collect::<Vec<_>>()))
}

/// The table with the bit columns of `like`, taken one after the other from `all`.
pub(super) fn unstacked(mut table: Table<Rep3>, like: &[Rep3Share<B64>], all: &Rep3Share<B64>) -> Table<Rep3> {
    let mut first = 0;
    for planes in like.iter().map(|c| c.layout().planes) {
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

    /// H2's component C, which H3 holds too.
    fn last_component<'s, R: Ring>(&self, share: &'s Rep3Share<R>) -> &'s Column<R> {
        if self.party(Role::H3) == self.party(Role::H2).right(1, 3) { share.second() } else { share.first() }
    }

    /// What the first two parties start from: A + B at H1, C at H2.
    fn start<R: Ring>(&self, role: Role, share: &Rep3Share<R>) -> Column<R> {
        match (role, self.from) {
            (Role::H1, None) => share.first().zip(share.second(), R::add),
            (Role::H1, Some(from)) => share.first().zip(share.second(), R::add).fetch(from),
            (_, None) => self.last_component(share).clone(),
            (_, Some(from)) => self.last_component(share).fetch(from),
        }
    }

    fn permuted<R: Ring>(&self, column: &Column<R>, which: usize) -> Column<R> {
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
    fn pass(&mut self, round: &mut Round<'_>, way: &Way<'_>, role: Role);
    /// The rest of the way, for what came in.
    fn cross(&mut self, e: &Rep3, way: &Way<'_>, role: Role, inbox: &mut Inbox) -> Result<(), Abort>;
}

fn as_leg<R: Ring>(leg: &mut Leg<R>) -> &mut dyn Travel {
    leg
}

impl<R: Ring> Leg<R> {
    fn whole(e: &mut Rep3, way: &Way<'_>, role: Role, share: &Rep3Share<R>) -> Self {
        let layout = share.layout();
        Leg::start(e, way, role, layout, || way.start(role, share))
    }

    /// `start` gives A + B at H1 and C at H2.
    fn start(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, start: impl FnOnce() -> Column<R>) -> Self {
        let [z12, z31, z23] = [(); 3].map(|()| e.session.step());
        let carried = match role {
            Role::H1 => {
                let mut x = start();
                mask(e, way.party(Role::H2), z12, &mut x, R::add);
                let mut x = way.permuted(&x, P12);
                mask(e, way.party(Role::H3), z31, &mut x, R::add);
                Some(way.permuted(&x, P31))
            }
            Role::H2 => {
                let mut y = start();
                mask(e, way.party(Role::H1), z12, &mut y, R::sub);
                Some(way.permuted(&y, P12))
            }
            Role::H3 => None,
        };
        Leg { layout, z31, z23, carried, expected: None }
    }
}

impl<R: Ring> Travel for Leg<R> {
    fn pass(&mut self, round: &mut Round<'_>, way: &Way<'_>, role: Role) {
        let (to, from) = match role {
            Role::H1 => (Some(Role::H2), None),
            Role::H2 => (Some(Role::H3), Some(Role::H1)),
            Role::H3 => (None, Some(Role::H2)),
        };
        if let (Some(to), Some(message)) = (to, self.carried.take()) {
            round.send(way.party(to), &message);
        }
        self.expected = from.map(|from| round.recv(way.party(from), self.layout));
    }

    fn cross(&mut self, e: &Rep3, way: &Way<'_>, role: Role, inbox: &mut Inbox) -> Result<(), Abort> {
        let Some(expected) = self.expected.take() else { return Ok(()) };
        let mut v = inbox.take(expected)?;
        if role == Role::H2 {
            mask(e, way.party(Role::H3), self.z23, &mut v, R::add);
        } else {
            mask(e, way.party(Role::H1), self.z31, &mut v, R::sub);
            v = way.permuted(&v, P31);
            mask(e, way.party(Role::H2), self.z23, &mut v, R::sub);
        }
        self.carried = Some(way.permuted(&v, P23));
        Ok(())
    }
}

/// Adds or subtracts the randomness shared with `peer`.
fn mask<R: Ring>(e: &Rep3, peer: PartyId, step: Step, column: &mut Column<R>, combine: impl Fn(R, R) -> R) {
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
    fn new(e: &mut Rep3, way: &Way<'_>, role: Role, bits: &Rep3Share<B64>) -> Self {
        let layout = bits.layout();
        let start = (role != Role::H3).then(|| way.start(role, bits));
        fn leg<W: Ring>(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, first: usize, start: &Option<Column<B64>>) -> Leg<W> {
            let width = (layout.planes - first).min(W::BITS as usize);
            Leg::start(e, way, role, Layout::narrow(layout.rows, 1, width as u32), || {
                start.as_ref().expect("H1 and H2 start").by_rows(first)
            })
        }
        let mut words = Words { layout, wide: Vec::new(), half: None, byte: None };
        for first in (0..layout.planes).step_by(64) {
            match layout.planes - first {
                0..=8 => words.byte = Some(leg(e, way, role, layout, first, &start)),
                9..=32 => words.half = Some(leg(e, way, role, layout, first, &start)),
                _ => words.wide.push(leg(e, way, role, layout, first, &start)),
            }
        }
        words
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
    /// A' at H1 and H3, B' at H1 and H2.
    a: Option<Column<R>>,
    b: Option<Column<R>>,
    /// C1 or C2, what this party has of C'.
    mine: Option<Column<R>>,
    expected: Option<Ticket<R>>,
    role: Role,
}

impl<R: Ring> Last<R> {
    fn new(e: &mut Rep3, way: &Way<'_>, role: Role, layout: Layout, carried: Option<Column<R>>) -> Self {
        let [a, b] = [(); 2].map(|()| e.session.step());
        let fresh = |step, edge| {
            let peer = e.other_end(edge)?;
            let mut masks = e.session.prss(peer).elements(step, 0..layout.len::<R>());
            Some(Column::build(layout, |_, out| masks.fill(out)))
        };
        let [h1, h2, h3] = way.roles;
        let (a, b) = (fresh(a, (h1, h3)), fresh(b, (h1, h2)));
        let mask = if role == Role::H2 { &b } else { &a };
        let mine = carried.zip(mask.as_ref()).map(|(carried, mask)| carried.zip(mask, R::sub));
        Last { a, b, mine, expected: None, role }
    }

    fn exchange(&mut self, round: &mut Round<'_>, way: &Way<'_>, role: Role) {
        let peer = match role {
            Role::H1 => return,
            Role::H2 => way.party(Role::H3),
            Role::H3 => way.party(Role::H2),
        };
        let mine = self.mine.as_ref().expect("H2 and H3 have a part of the last component");
        round.send(peer, mine);
        self.expected = Some(round.recv(peer, mine.layout()));
    }

    fn arrive(self, way: &Way<'_>, right: PartyId, inbox: &mut Inbox) -> Result<Rep3Share<R>, Abort> {
        let c = match (self.expected, self.mine) {
            (Some(expected), Some(mine)) => Some(mine.zip(&inbox.take(expected)?, R::add)),
            _ => None,
        };
        let missing = "each role holds two components";
        // what it has in common with the one peer, and with the other
        let ((one, x), (_, y)) = match self.role {
            Role::H1 => ((Role::H3, self.a.expect(missing)), (Role::H2, self.b.expect(missing))),
            Role::H2 => ((Role::H1, self.b.expect(missing)), (Role::H3, c.expect(missing))),
            Role::H3 => ((Role::H2, c.expect(missing)), (Role::H1, self.a.expect(missing))),
        };
        Ok(if way.party(one) == right { Rep3Share::from_components(y, x) } else { Rep3Share::from_components(x, y) })
    }
}

/// The second round of places that everyone learns: C1 and C2 without masks, to each other and to H1.
struct Shown {
    layout: Layout,
    mine: Option<Column<Index>>,
    expected: Vec<Ticket<Index>>,
}

impl Shown {
    fn exchange(&mut self, round: &mut Round<'_>, way: &Way<'_>, role: Role) {
        let (to, from): (&[Role], &[Role]) = match role {
            Role::H1 => (&[], &[Role::H2, Role::H3]),
            Role::H2 => (&[Role::H3, Role::H1], &[Role::H3]),
            Role::H3 => (&[Role::H2, Role::H1], &[Role::H2]),
        };
        if let Some(mine) = &self.mine {
            to.iter().for_each(|to| round.send(way.party(*to), mine));
        }
        self.expected.extend(from.iter().map(|from| round.recv(way.party(*from), self.layout)));
    }

    fn arrive(self, inbox: &mut Inbox) -> Result<Column<Index>, Abort> {
        let mut value = self.mine.unwrap_or_else(|| Column::zeros(self.layout));
        for expected in self.expected {
            value = value.zip(&inbox.take(expected)?, Index::add);
        }
        value.clear_tails();
        Ok(value)
    }
}
