//! What sorts open, over every order a shuffle may give: the same for all keys. And what each party sees of a shuffle: the same for all rows.

use mpc_core::world::{Script, World};
use mpc_core::{B64, Column, Index, Layout, PartyId, Permutation, Ring};
use protocols::relational::{Radix, Sorting, compact, sort, sort_places};
use protocols::{Abort, Ask, Difference, Engine, Input, Offer, Plain, Rep3, Rep3Share, Retrieved, Security, Table, Verified};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The clear engine with shuffles that take each order in turn, which keeps what is opened.
struct Spy {
    plain: Plain,
    /// For each shuffle the number of its order.
    orders: Vec<usize>,
    shuffles: usize,
    opened: Vec<Vec<u128>>,
}

impl Spy {
    fn see<R: Ring>(&mut self, column: &Column<R>) {
        self.opened.push(column.as_slice().iter().map(|v| v.to_bits()).collect());
    }
}

/// The permutation of `rows` rows with this number.
fn permutation(rows: usize, mut number: usize) -> Permutation {
    let mut rest: Vec<u32> = (0..rows as u32).collect();
    let places = (0..rows).map(|i| {
        let of = rows - i;
        let place = rest.remove(number % of);
        number /= of;
        place
    });
    Permutation::new(places.collect()).expect("each place once")
}

impl Engine for Spy {
    const MODEL: Security = Security::None;
    type Share<R: Ring> = Column<R>;
    type Shuffled = Permutation;

    fn holds(&self, owner: PartyId) -> bool {
        self.plain.holds(owner)
    }
    fn input<R: Ring>(&mut self, inputs: &[Input<'_, R>]) -> Result<Vec<Column<R>>, Abort> {
        self.plain.input(inputs)
    }
    fn random_bits(&mut self, layout: Layout) -> Result<Column<B64>, Abort> {
        self.plain.random_bits(layout)
    }
    fn constant<R: Ring>(&mut self, public: &Column<R>) -> Column<R> {
        self.plain.constant(public)
    }
    fn sum_of_products<R: Ring>(&mut self, pairs: &[(&Column<R>, &Column<R>)]) -> Result<Column<R>, Abort> {
        self.plain.sum_of_products(pairs)
    }
    fn dot<R: Ring>(&mut self, x: &Column<R>, y: &Column<R>) -> Result<Column<R>, Abort> {
        self.plain.dot(x, y)
    }
    fn bits_as<R: Ring>(&mut self, bits: &Column<B64>, layout: Layout) -> Result<Column<R>, Abort> {
        self.plain.bits_as(bits, layout)
    }
    fn difference<R: Ring>(&mut self, x: Column<R>, borrows: &[usize], subtrahend: &[usize]) -> Result<Difference<Column<B64>>, Abort> {
        self.plain.difference(x, borrows, subtrahend)
    }
    fn near_quotient<R: Ring, S: Ring>(&mut self, x: &Column<R>, divisors: &[u128]) -> Result<Column<S>, Abort> {
        self.plain.near_quotient(x, divisors)
    }
    fn shuffle(&mut self, table: Table<Self>) -> Result<(Table<Self>, Permutation), Abort> {
        let to = permutation(table.rows(), self.orders[self.shuffles]);
        self.shuffles += 1;
        Ok((table.place(&to), to))
    }
    fn unshuffle(&mut self, table: Table<Self>, shuffled: &Permutation) -> Result<Table<Self>, Abort> {
        Ok(table.fetch(shuffled))
    }
    fn permute_by(&mut self, _: PartyId, _: Option<&Permutation>, _: Table<Self>) -> Result<Table<Self>, Abort> {
        unreachable!("no owner's permutation is tested here")
    }
    fn retrieve(&mut self, _: Ask, _: Offer<'_>) -> Result<Retrieved<Self>, Abort> {
        unreachable!("nothing is retrieved here")
    }
    fn barrier(&mut self) -> Result<(), Abort> {
        Ok(())
    }
    fn open_all<R: Ring>(&mut self, xs: &Verified<Vec<&Column<R>>>) -> Result<Vec<Column<R>>, Abort> {
        let opened = self.plain.open_all(xs)?;
        opened.iter().for_each(|column| self.see(column));
        Ok(opened)
    }
    fn open_to<R: Ring>(&mut self, to: PartyId, x: &Verified<Column<R>>) -> Result<Option<Column<R>>, Abort> {
        self.plain.open_to(to, x)
    }
    fn release<R: Ring>(&mut self, x: &Verified<Column<R>>) -> Result<protocols::Released<R>, Abort> {
        self.plain.release(x)
    }
}

/// How often each sequence of opened values occurs over all orders of `shuffles` shuffles of three rows.
fn law(keys: [i128; 3], shuffles: u32, program: fn(&mut Spy, Column<B64>) -> Result<(), Abort>) -> BTreeMap<Vec<Vec<u128>>, usize> {
    let mut law = BTreeMap::new();
    for all in 0..6usize.pow(shuffles) {
        let orders = (0..shuffles).map(|s| all / 6usize.pow(s) % 6).collect();
        let mut spy = Spy { plain: Plain::new(), orders, shuffles: 0, opened: Vec::new() };
        program(&mut spy, Column::from_ints(&keys, 4)).expect("it runs");
        assert_eq!(spy.shuffles, shuffles as usize);
        *law.entry(spy.opened).or_default() += 1;
    }
    law
}

const KEYS: [[i128; 3]; 5] = [[0, 0, 0], [15, 2, 1], [1, 1, 0], [0, 7, 12], [9, 9, 9]];

fn same_law(shuffles: u32, program: fn(&mut Spy, Column<B64>) -> Result<(), Abort>) {
    let expected = law(KEYS[0], shuffles, program);
    assert!(expected.len() > 1, "something is opened");
    for keys in KEYS {
        assert!(law(keys, shuffles, program) == expected, "what is opened for {keys:?}");
    }
}

#[test]
fn radix_sorts_open_the_same_for_all_keys() {
    same_law(1, |e, key| sort_places(e, key, Radix { digit: 2, moving: false }).map(drop));
    same_law(3, |e, key| sort_places(e, key, Radix { digit: 1, moving: false }).map(drop));
    same_law(2, |e, key| sort_places(e, key, Radix { digit: 2, moving: true }).map(drop));
    same_law(2, |e, key| sort(e, key.clone(), Table::new(3).with(key), Radix { digit: 3, moving: false }).map(drop));
}

#[test]
fn samplesort_opens_the_same_for_all_keys() {
    same_law(1, |e, key| sort(e, key.clone(), Table::new(3).with(key), Sorting::Samplesort).map(drop));
}

#[test]
fn compaction_opens_the_same_for_all_flags() {
    same_law(1, |e, key| compact(e, &key.pick_planes([0]), Table::new(3).with(key), false).map(drop));
}

#[test]
fn without_the_row_number_comparisons_would_tell() {
    // the oracle sees a leak: equal keys, opened after a shuffle
    let program = |e: &mut Spy, key: Column<B64>| {
        let (mut table, _) = e.shuffle(Table::new(3).with(key))?;
        let key = table.take_first::<B64>();
        let less = protocols::circuit::less(e, &key.slice_rows(0..2), &key.slice_rows(1..3))?;
        let less = e.verify(less)?;
        e.open(&less).map(drop)
    };
    assert!(law(KEYS[0], 1, program) != law(KEYS[1], 1, program));
}

// ------------------------------------------------------------ views of a shuffle

/// What a party receives.
type Received = Vec<(PartyId, Vec<u8>)>;

/// How often `corrupt`, whose pairwise randomness is fixed by `tape`, receives what, over all randomness it does not know: the permutation and the masks of
/// the other two. Permutations are drawn at the first steps, `permutations` of them; of a mask only the rows count.
fn received(
    (rows, permutations): (usize, u64),
    corrupt: u8,
    tape: u64,
    program: &(impl Fn(&mut Rep3) -> Result<(), Abort> + Sync),
) -> BTreeMap<Received, usize> {
    type Draw = (u64, usize, u32);
    let knows = move |edge: (PartyId, PartyId)| [edge.0.0, edge.1.0].contains(&corrupt);
    let known = move |edge: (PartyId, PartyId), step: u64, at: usize, bits: u32| {
        let mut words = super::Words(tape ^ u64::from(edge.0.0 * 3 + edge.1.0) << 32 ^ step << 16 ^ at as u64);
        u128::from(words.next()) & (u128::MAX >> (128 - bits))
    };
    let is_permutation = move |step: u64| step <= permutations;
    // how many values a draw has that make a difference, and the value for each
    let many = move |(step, at, bits): Draw| match bits {
        32 if is_permutation(step) => rows - at,
        // a word of a bit-plane
        1 => 1 << rows,
        _ => 2,
    };
    let value = move |draw: Draw, choice: usize| match draw {
        (step, _, 32) if is_permutation(step) => ((2 * choice as u128 + 1) << 31) / many(draw) as u128,
        _ => choice as u128,
    };
    let run = |script: Script| World::new(3, 0).script(script).run(|session| program(&mut Rep3::new(session)));
    let draws: Arc<Mutex<std::collections::BTreeSet<Draw>>> = Arc::default();
    let seen = draws.clone();
    run(Arc::new(move |edge, step, at, bits| {
        if knows(edge) {
            return known(edge, step.number(), at, bits);
        }
        seen.lock().expect("not poisoned").insert((step.number(), at, bits));
        value((step.number(), at, bits), 0)
    }));
    let draws: Vec<Draw> = draws.lock().expect("not poisoned").iter().copied().collect();
    let total: usize = draws.iter().map(|d| many(*d)).product();
    assert!(total <= 1 << 12, "{total} cases are too many");
    let mut law = BTreeMap::new();
    for case in 0..total {
        let mut rest = case;
        let mut values = BTreeMap::new();
        for draw in &draws {
            values.insert(*draw, value(*draw, rest % many(*draw)));
            rest /= many(*draw);
        }
        let outcomes = run(Arc::new(
            move |edge, step, at, bits| {
                if knows(edge) { known(edge, step.number(), at, bits) } else { values[&(step.number(), at, bits)] }
            },
        ));
        assert!(outcomes.iter().all(|o| o.result.is_ok()));
        let view = outcomes[corrupt as usize].view.lock().expect("not poisoned");
        *law.entry(view.iter().map(|(from, _, payload)| (*from, payload.clone())).collect::<Received>()).or_default() += 1;
    }
    law
}

/// A sharing whose components at `corrupt` are fixed; the third carries the secret.
fn held<R: Ring>(e: &Rep3, corrupt: u8, secret: &Column<R>) -> Rep3Share<R> {
    let (i, me) = (corrupt as usize, e.session().me().index());
    let own = |c: usize| secret.map(|v| if c == i { v.sub(v).add(R::ONE) } else { v.sub(v) });
    let component = |c: usize| if c == (i + 2) % 3 { secret.zip(&own(i), R::sub) } else { own(c) };
    Rep3Share::from_components(component(me), component((me + 1) % 3))
}

#[test]
fn a_shuffle_shows_nothing_of_its_rows() {
    for corrupt in 0..3 {
        for tape in [1, 2, 3] {
            let indices = |values: [u32; 2]| {
                received((2, 3), corrupt, tape, &move |e: &mut Rep3| {
                    let column = held(e, corrupt, &Column::from_indices(values, 1));
                    e.shuffle(Table::new(2).with::<Index>(column)).map(drop)
                })
            };
            assert!(indices([0, 0]) == indices([0, 1]) && indices([0, 0]) == indices([1, 1]), "P_{corrupt}");
            let bits = |values: [i128; 2]| {
                received((2, 3), corrupt, tape, &move |e: &mut Rep3| {
                    let column = held(e, corrupt, &Column::from_ints(&values, 1));
                    e.shuffle(Table::new(2).with::<B64>(column)).map(drop)
                })
            };
            assert!(bits([0, 0]) == bits([0, 1]) && bits([0, 0]) == bits([1, 1]), "P_{corrupt}");
        }
    }
}

#[test]
fn undoing_a_shuffle_shows_nothing_of_its_rows() {
    for corrupt in 0..3 {
        let indices = |values: [u32; 2]| {
            received((2, 3), corrupt, 5, &move |e: &mut Rep3| {
                // a shuffle of nothing, to have one to undo
                let (_, shuffled) = e.shuffle(Table::new(2))?;
                let column = held(e, corrupt, &Column::from_indices(values, 1));
                e.unshuffle(Table::new(2).with::<Index>(column), &shuffled).map(drop)
            })
        };
        assert!(indices([0, 0]) == indices([0, 1]) && indices([0, 0]) == indices([1, 1]), "P_{corrupt}");
    }
}

#[test]
fn an_owners_permutation_shows_nothing_to_the_others() {
    // the owner's right neighbour shares the first permutation, drawn at the first step; the left one receives the second
    for corrupt in [1, 2] {
        let seen = |places: [u32; 3], values: [u32; 3]| {
            received((3, 1), corrupt, 7, &move |e: &mut Rep3| {
                let column = held(e, corrupt, &Column::from_indices(values, 1));
                let places = Permutation::new(places.to_vec());
                let mine = places.as_ref().filter(|_| e.holds(PartyId(0)));
                e.permute_by(PartyId(0), mine, Table::new(3).with::<Index>(column)).map(drop)
            })
        };
        let expected = seen([0, 1, 2], [0, 0, 0]);
        for (places, values) in [([2, 1, 0], [0, 0, 0]), ([1, 2, 0], [1, 0, 1]), ([0, 1, 2], [1, 1, 1])] {
            assert!(seen(places, values) == expected, "P_{corrupt}, {places:?}");
        }
    }
}
