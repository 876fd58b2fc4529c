//! What a sharing scheme must offer. Everything above it is written once.

use crate::relational::Sorting;
use crate::retrieve::{Ask, Offer, Retrieved};
use crate::table::Table;
use crate::wire::{Gate, Wire};
use mpc_core::{Abort, B64, Column, Index, Layout, PartyId, Permutation, Ring};
use std::ops::Range;

/// What an engine promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// No protection: the clear oracle.
    None,
    /// Privacy against parties that follow the protocol.
    SemiHonest,
}

/// A column of shared ring elements as one party holds it. All operations here are local: no message, no round.
pub trait Share<R: Ring>: Clone + Send {
    /// The public shape.
    fn layout(&self) -> Layout;
    /// Element-wise sum (XOR for bits).
    fn add(&self, other: &Self) -> Self;
    /// Element-wise difference.
    fn sub(&self, other: &Self) -> Self;
    /// Element-wise product with public elements.
    fn scale(&self, public: &Column<R>) -> Self;
    /// The shares of `planes`, in this order; a plane may be repeated.
    fn planes(&self, planes: impl IntoIterator<Item = usize>) -> Self;
    /// The planes of all `shares`, one after the other. They must have equal rows and there must be at least one.
    fn stack(shares: &[&Self]) -> Self;
    /// Row `rows[i]` of every plane at row i; `None` gives a zero row. Publicly known positions only.
    fn gather(&self, rows: &[Option<usize>]) -> Self;
    /// The sums of the rows of each plane within public groups: row g of the result is the sum of the rows r with `groups[r] == Some(g)`.
    fn sum_groups(&self, groups: &[Option<usize>], count: usize) -> Self;
    /// The sum of the rows of each plane: one row a plane.
    fn sum(&self) -> Self;
    /// The rows in `range`.
    fn slice(&self, range: Range<usize>) -> Self;
    /// The rows of all `shares`, one after the other. They must have equal planes and there must be at least one.
    fn concat(shares: &[&Self]) -> Self;
    /// The sum of each row and all rows before it, in each plane.
    fn prefix_sums(&self) -> Self;
    /// The difference of each row to the one before, in each plane; the first row's is itself. The inverse of [`prefix_sums`](Self::prefix_sums).
    fn differences(&self) -> Self;
    /// The sum of all rows before each, those of earlier planes among them; for rings with one element a row.
    fn sums_before(&self) -> Self;
    /// Row `rows[i]` at row i, for numbers that this party may know; a row may be repeated or left out.
    fn pick(&self, rows: &[u32]) -> Self;
    /// Row i at `to.places()[i]`, for a permutation that this party may know.
    fn place(self, to: &Permutation) -> Self;
    /// Row `from.places()[j]` at j: the inverse of [`place`](Self::place).
    fn fetch(self, from: &Permutation) -> Self;
}

/// The planes of all shares, one after the other: there must be at least one.
pub fn stack<R: Ring, S: Share<R>>(shares: &[S]) -> S {
    S::stack(&shares.iter().collect::<Vec<_>>())
}

/// Two factors of a product.
pub type Pair<'a, S> = (&'a S, &'a S);

/// A ring element as the difference a - c of two integers in bits.
pub struct Difference<S> {
    /// Where the bits of a and c differ.
    pub odd: S,
    /// Where c has a bit and a has none, at the positions asked for: they borrow by themselves.
    pub borrows: S,
    /// The bits of c at the positions asked for.
    pub subtrahend: S,
}

/// One party's input: everyone states owner and layout, the owner alone the values.
pub struct Input<'a, R: Ring> {
    /// Whose values they are.
    pub owner: PartyId,
    /// Their public shape.
    pub layout: Layout,
    /// The values, at the owner (and in [`crate::Plain`], which holds everything).
    pub values: Option<&'a Column<R>>,
}

impl<'a, R: Ring> Input<'a, R> {
    /// The input as this party states it: `values` are given if and only if it holds them.
    pub fn new(owner: PartyId, layout: Layout, values: Option<&'a Column<R>>) -> Self {
        Input { owner, layout, values }
    }

    /// The values, where they must be present.
    pub(crate) fn checked_values(&self) -> Result<&'a Column<R>, Abort> {
        match self.values {
            Some(v) if v.layout() == self.layout => Ok(v),
            Some(_) => Err(Abort::Refused("an input column differs from its declared layout".into())),
            None => Err(Abort::Refused(format!("the input of party {} is missing at the party itself", self.owner))),
        }
    }
}

/// A sharing scheme among the parties of one session. Interactive operations yield unverified shares; nothing is revealed that has not
/// passed [`verify`](Engine::verify).
pub trait Engine: Sized {
    /// What this engine promises.
    const MODEL: Security;
    /// How it shares a column.
    type Share<R: Ring>: Share<R>;
    /// What a party keeps of a shuffle, to undo it.
    type Shuffled;

    /// Whether this party must supply the input of `owner`.
    fn holds(&self, owner: PartyId) -> bool;

    /// Shares the inputs of any parties, all in one round.
    fn input<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Self::Share<R>>, Abort>;
    /// Shares what owners hold at home, as [`input`](Self::input) does: values that follow from an owner's records and the question alone. Where owners deal by keys, they are shared
    /// alike in every session.
    fn deal<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Self::Share<R>>, Abort> {
        self.input(inputs)
    }
    /// A public column as a share.
    fn constant<R: Ring>(&mut self, public: &Column<R>) -> Self::Share<R>;
    /// Uniform bits that no party knows, even together with as many others as may be corrupt.
    fn random_bits(&mut self, layout: Layout) -> Result<Self::Share<B64>, Abort>;

    /// Sum over the pairs of their element-wise products: one round, one element a row, however many pairs.
    fn sum_of_products<R: Ring>(&mut self, pairs: &[Pair<'_, Self::Share<R>>]) -> Result<Self::Share<R>, Abort>;
    /// The inner product of each plane of `x` with the same plane of `y`: one row a plane out, one round, one element a plane.
    fn dot<R: Ring>(&mut self, x: &Self::Share<R>, y: &Self::Share<R>) -> Result<Self::Share<R>, Abort>;
    /// Each bit as the element 0 or 1 of `R`, plane by plane, in a layout of as many rows and planes.
    fn bits_as<R: Ring>(&mut self, bits: &Self::Share<B64>, layout: Layout) -> Result<Self::Share<R>, Abort>;

    /// The rows of the table in a uniformly random order that nobody knows, and what undoes it. Two rounds. Tables whose rows move are given up, column by column, as
    /// what becomes of them takes their place.
    fn shuffle(&mut self, table: Table<Self>) -> Result<(Table<Self>, Self::Shuffled), Abort>;
    /// A [`shuffle`](Self::shuffle) of a table and the places of its rows, with the places opened as they come out, and the values of `also`. Two rounds,
    /// or three after [`open_after_shuffles`](Self::open_after_shuffles).
    fn shuffle_and_open(
        &mut self,
        table: Table<Self>,
        places: Self::Share<Index>,
        also: &Verified<Vec<&Self::Share<Index>>>,
    ) -> Result<Opened<Self>, Abort> {
        let (mut table, shuffled) = self.shuffle(table.with(places))?;
        let places = table.take_last::<Index>();
        let shown = self.verify(std::iter::once(&places).chain(also.get().iter().copied()).collect::<Vec<_>>())?;
        let mut also = self.open_all(&shown)?;
        Ok(Opened { table, shuffled, places: also.remove(0), also })
    }
    /// From now on places are opened after the shuffle that carries them, as a scheme must that verifies before it opens. For comparison with such schemes;
    /// nothing to do where that is so anyway.
    fn open_after_shuffles(&mut self) {}
    /// Told of every sort before it runs, by a key of this layout: for an engine that prices it.
    fn sorts(&mut self, _key: Layout, _by: Sorting) {}
    /// Asked before rows in a uniformly random order are compared until their order is known, by keys of this layout: an engine that prices protocols counts what is expected of
    /// that, and any order will do for it.
    fn expects_order(&mut self, _key: Layout) -> bool {
        false
    }
    /// The rows of a table back where they were before a shuffle of as many rows. Two rounds.
    fn unshuffle(&mut self, table: Table<Self>, shuffled: &Self::Shuffled) -> Result<Table<Self>, Abort>;
    /// The rows of a table that after a shuffle were put in these places, back where they were before: [`unshuffle`](Self::unshuffle) of the rows fetched from there.
    fn unshuffle_from(&mut self, table: Table<Self>, places: &Permutation, shuffled: &Self::Shuffled) -> Result<Table<Self>, Abort> {
        self.unshuffle(table.fetch(places), shuffled)
    }
    /// Row i at `to.places()[i]`, for a permutation that `owner` alone knows and states. Two rounds; nobody else learns anything of it.
    fn permute_by(&mut self, owner: PartyId, to: Option<&Permutation>, table: Table<Self>) -> Result<Table<Self>, Abort>;

    /// For each key that one party asks for the row of another's with this key, if there is one: two parties of the session. Two rounds; nobody learns
    /// anything of the keys, nor which were found.
    fn retrieve(&mut self, ask: Ask, offer: Offer<'_>) -> Result<Retrieved<Self>, Abort>;

    /// Integers a and c of R::BITS bits with `x` = a - c in `R`, for `x` of one plane: where their bits differ, those of c at the positions `subtrahend`, and where c
    /// has a bit that a has not, at `borrows`. The first step from `R` to bits, which schemes take differently. Two rounds; one if nothing borrows.
    fn difference<R: Ring>(
        &mut self,
        x: Self::Share<R>,
        borrows: &[usize],
        subtrahend: &[usize],
    ) -> Result<Difference<Self::Share<B64>>, Abort>;
    /// The quotient of each plane of `x` by its divisor, rounded down, or one or two more: two more only if the divisor is no power of two, and
    /// exact if it is 1. For rows in 0..2^(R::BITS - 1); any element for others.
    fn near_quotient<R: Ring, S: Ring>(&mut self, x: &Self::Share<R>, divisors: &[u128]) -> Result<Self::Share<S>, Abort>;

    /// Checks everything since the last barrier, so that nothing false can be opened. Free in semi-honest engines.
    fn barrier(&mut self) -> Result<(), Abort>;
    /// Everyone learns the values of all columns, in one round.
    fn open_all<R: Ring>(&mut self, xs: &Verified<Vec<&Self::Share<R>>>) -> Result<Vec<Column<R>>, Abort>;
    /// Only `to` learns the values; everyone else gets `None`.
    fn open_to<R: Ring>(&mut self, to: PartyId, x: &Verified<Self::Share<R>>) -> Result<Option<Column<R>>, Abort>;
    /// This party's part of a fresh sharing of the values for someone outside the session, who adds up the parts of all parties
    /// ([`Released`] says how). Re-randomised, so that nothing but the values is in it.
    fn release<R: Ring>(&mut self, x: &Verified<Self::Share<R>>) -> Result<Released<R>, Abort>;

    // ------------------------------------------------------------ with defaults

    /// Everyone learns the values.
    fn open<R: Ring>(&mut self, x: &Verified<Self::Share<R>>) -> Result<Column<R>, Abort> {
        Ok(self.open_all(&Verified(vec![x.get()]))?.remove(0))
    }

    /// Each bit as the element 0 or 1 of `R`, plane by plane.
    fn bits_to<R: Ring>(&mut self, bits: &Self::Share<B64>) -> Result<Self::Share<R>, Abort> {
        let Layout { rows, planes, .. } = bits.layout();
        self.bits_as(bits, Layout::new(rows, planes))
    }

    /// The places of rows by a digit, given as 0 or 1 for the product of the bits in each of their sets: plane m - 1 for the set m. One round, one index a row.
    fn ranked(&mut self, products: &Self::Share<Index>) -> Result<Ranked<Self>, Abort> {
        crate::relational::ranked(self, products)
    }

    /// The permutation that an opened column of places states.
    fn permutation(&self, opened: &Column<Index>) -> Result<Permutation, Abort> {
        Permutation::from_indices(opened).ok_or(Abort::Cheating { check: "opened places are a permutation", culprit: None })
    }

    /// Element-wise product (AND for bits).
    fn mul<R: Ring>(&mut self, x: &Self::Share<R>, y: &Self::Share<R>) -> Result<Self::Share<R>, Abort> {
        self.sum_of_products(&[(x, y)])
    }

    /// [`mul`](Self::mul) with a factor that is given up, and freed before anything arrives.
    fn mul_freeing<R: Ring>(&mut self, x: Self::Share<R>, y: &Self::Share<R>) -> Result<Self::Share<R>, Abort> {
        self.mul(&x, y)
    }

    /// The ANDs of pairs of wires, one plane each in the result: all gates of one level of a circuit in one message. There must be at
    /// least one gate. Wires are given up: what no other leads to is freed once it is read, before anything arrives.
    fn ands(&mut self, gates: Vec<Gate<'_, Self::Share<B64>>>) -> Result<Self::Share<B64>, Abort> {
        let (x, y): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
        let (x, y) = (self.join(&x), self.join(&y));
        self.mul(&x, &y)
    }

    /// The wires as a share, one plane each; at least one. Local.
    fn join(&mut self, wires: &[Wire<'_, Self::Share<B64>>]) -> Self::Share<B64> {
        let planes: Vec<_> = wires
            .iter()
            .map(|wire| {
                let planes = wire.planes().map(|(share, plane)| share.planes([plane]));
                let sum = planes.reduce(|s, p| s.add(&p)).expect("a wire has a plane");
                if wire.is_complemented() { self.not(&sum) } else { sum }
            })
            .collect();
        Share::stack(&planes.iter().collect::<Vec<_>>())
    }

    /// x + c for public c.
    fn add_public<R: Ring>(&mut self, x: &Self::Share<R>, public: &Column<R>) -> Self::Share<R> {
        let c = self.constant(public);
        x.add(&c)
    }

    /// The complement of every bit.
    fn not(&mut self, x: &Self::Share<B64>) -> Self::Share<B64> {
        self.add_public(x, &Column::splat(B64::ONE, x.layout()))
    }

    /// `x` where the bit is 1, else `y`: y + b (x - y). `bit` has one plane for each plane of `x`, or a single one for all.
    fn select<R: Ring>(&mut self, bit: &Self::Share<R>, x: &Self::Share<R>, y: &Self::Share<R>) -> Result<Self::Share<R>, Abort> {
        let planes = x.layout().planes;
        let spread = if bit.layout().planes == planes { bit.clone() } else { bit.planes(std::iter::repeat_n(0, planes)) };
        Ok(self.mul(&spread, &x.sub(y))?.add(y))
    }

    /// The only way to a [`Verified`] share: a barrier over everything so far.
    fn verify<T>(&mut self, value: T) -> Result<Verified<T>, Abort> {
        self.barrier()?;
        Ok(Verified(value))
    }
}

/// A shuffled table and what was opened on the way.
pub struct Opened<E: Engine> {
    /// The rows.
    pub table: Table<E>,
    /// What undoes it.
    pub shuffled: E::Shuffled,
    /// The places, in the order of the shuffled rows.
    pub places: Column<Index>,
    /// The other values.
    pub also: Vec<Column<Index>>,
}

/// Where rows go by a digit.
pub struct Ranked<E: Engine> {
    /// The place of each row.
    pub places: E::Share<Index>,
    /// For each value of the digit how many rows have it, mod 2^w: one row a value.
    pub counts: Vec<E::Share<Index>>,
}

/// The permutation its owner must state.
pub(crate) fn stated(owner: PartyId, to: Option<&Permutation>, rows: usize) -> Result<&Permutation, Abort> {
    match to {
        Some(to) if to.len() == rows => Ok(to),
        Some(_) => Err(Abort::Refused("a permutation is of another number of rows than its table".into())),
        None => Err(Abort::Refused(format!("the permutation of party {owner} is missing at the party itself"))),
    }
}

/// Shares that have passed a barrier; only these can be opened or released. Its field is private, so that
/// [`Engine::verify`] is the one converter: what has not been verified cannot be opened.
///
/// ```
/// # use protocols::{Abort, Engine};
/// # use mpc_core::{Column, Fp61};
/// fn opened<E: Engine>(e: &mut E, x: E::Share<Fp61>) -> Result<Column<Fp61>, Abort> {
///     let x = e.verify(x)?;
///     e.open(&x)
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use protocols::{Abort, Engine};
/// # use mpc_core::{Column, Fp61};
/// fn opened<E: Engine>(e: &mut E, x: E::Share<Fp61>) -> Result<Column<Fp61>, Abort> {
///     e.open(&x) // not verified: does not compile
/// }
/// ```
///
/// ```compile_fail,E0423
/// # use protocols::Verified;
/// let forged = Verified(7); // nobody but an engine's `verify` can say so: does not compile
/// ```
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The shares.
    pub fn get(&self) -> &T {
        &self.0
    }
}

/// What one party releases of a column: the components it holds. Every component of the sharing is listed by each of its holders
/// under its index; copies must agree, and the value is the sum over the distinct indices `0..of`.
pub struct Released<R: Ring> {
    /// How many components add up to the value.
    pub of: u8,
    /// The components this party holds.
    pub components: Vec<(u8, Column<R>)>,
}
