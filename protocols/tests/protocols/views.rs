//! Privacy, exhaustively: with a party's own shares fixed, what it sees (its pairwise randomness and the messages it receives) has the same
//! distribution, over all randomness it does not know, for all secrets that it may not tell apart. And the invariant that lets
//! semi-honest messages survive a cheat: two honest holders of a component never differ, whatever one corrupt party sends.

use mpc_core::link::{Fault, Head};
use mpc_core::world::World;
use mpc_core::{B64, Column, Fp31, Index, Layout, PartyId, Ring, Session};
use protocols::{Abort, Engine, Input, Rep3, Rep3Share, circuit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Where a pairwise random element is drawn: edge, step, position; and its bits.
type Draw = ((PartyId, PartyId), u64, usize, u32);
/// What a party sees: the randomness it shares, and what it received.
type View = (Vec<(Draw, u128)>, Vec<(PartyId, Vec<u8>)>);

/// Bits of an index here: of a drawn one only these count.
const WIDTH: u32 = 2;

/// How often each view of `corrupt` occurs over every value of all randomness: the program runs once for each, one run after the other in one session.
fn distribution(corrupt: u8, program: &(impl Fn(&mut Rep3) -> Result<(), Abort> + Sync)) -> BTreeMap<View, usize> {
    let draws: Arc<Mutex<BTreeSet<Draw>>> = Arc::default();
    let seen = draws.clone();
    let noted = World::new(3, 0).script(Arc::new(move |edge, step, at, bits| {
        seen.lock().expect("not poisoned").insert((edge, step.number(), at, counted(bits)));
        0
    }));
    let (steps, _) = noted.run_ok(|session| repeat(1, session, program)).swap_remove(0);
    let draws: Vec<Draw> = draws.lock().expect("not poisoned").iter().copied().collect();
    let total: u32 = draws.iter().map(|d| d.3).sum();
    assert!(total <= 12, "{total} random bits are too many to enumerate");
    // where each draw's bits are in the number of the run
    let ends = draws.iter().scan(0, |end, draw| {
        *end += draw.3;
        Some(*end)
    });
    let places: Arc<BTreeMap<Draw, u32>> = Arc::new(draws.iter().zip(ends).map(|(draw, end)| (*draw, end - draw.3)).collect());
    let value = |places: &BTreeMap<Draw, u32>, run: u64, draw: &Draw| u128::from(run) >> places[draw] & ((1 << draw.3) - 1);
    let scripted = places.clone();
    let world = World::new(3, 0).script(Arc::new(move |edge, step, at, bits| {
        let (run, step) = ((step.number() - 1) / steps, (step.number() - 1) % steps + 1);
        value(&scripted, run, &(edge, step, at, counted(bits)))
    }));
    let runs = 1u64 << total;
    let outcomes = world.run(|session| repeat(runs, session, program));
    assert!(outcomes.iter().all(|o| o.result.as_ref().is_ok_and(|all| *all == steps * runs)), "every run succeeds, in the same steps");
    let received = outcomes[corrupt as usize].view.lock().expect("not poisoned");
    let mut received = received.chunks((received.len() / runs as usize).max(1));
    let mut views = BTreeMap::new();
    for run in 0..runs {
        let known = draws.iter().filter(|d| [d.0.0, d.0.1].contains(&PartyId(corrupt))).map(|d| (*d, value(&places, run, d))).collect();
        let received = received.next().unwrap_or_default().iter().map(|(from, _, payload)| (*from, payload.clone())).collect();
        *views.entry((known, received)).or_default() += 1;
    }
    views
}

/// Runs `program` so many times; the steps it took of the pairwise randomness.
fn repeat(runs: u64, session: Session, program: &impl Fn(&mut Rep3) -> Result<(), Abort>) -> Result<u64, Abort> {
    let mut engine = Rep3::new(session);
    (0..runs).try_for_each(|_| program(&mut engine))?;
    Ok(engine.into_session().step().number() - 1)
}

fn counted(bits: u32) -> u32 {
    if bits == Index::BITS { WIDTH } else { bits }
}

/// Whether what each party sees of `program` on a secret depends only on what it may learn of that secret.
fn is_private<S: Copy + Sync>(
    secrets: &[S],
    program: impl Fn(&mut Rep3, S, u8) -> Result<(), Abort> + Sync,
    may_learn: impl Fn(S, u8) -> u128,
) -> bool {
    (0..3).all(|corrupt| {
        let mut expected: BTreeMap<u128, BTreeMap<View, usize>> = BTreeMap::new();
        secrets.iter().all(|secret| {
            let views = distribution(corrupt, &|e: &mut Rep3| program(e, *secret, corrupt));
            *expected.entry(may_learn(*secret, corrupt)).or_insert_with(|| views.clone()) == views
        })
    })
}

fn nothing<S>(_: S, _: u8) -> u128 {
    0
}

/// A sharing whose components at `corrupt` are `own`; the third carries the secret.
fn held<R: Ring>(e: &Rep3, corrupt: u8, own: [u128; 2], secret: u128) -> Rep3Share<R> {
    let element = |v: u128| R::from_bits(v).expect("an element");
    let mut components = [element(secret); 3];
    let (i, j, k) = (corrupt as usize, (corrupt as usize + 1) % 3, (corrupt as usize + 2) % 3);
    (components[i], components[j]) = (element(own[0]), element(own[1]));
    components[k] = components[k].sub(components[i]).sub(components[j]);
    let layout = if R::BITS == Index::BITS { Layout::narrow(1, 1, WIDTH) } else { Layout::new(1, 1) };
    let column = |c: usize| Column::from_elements(vec![components[c]], layout).expect("one row");
    let me = e.session().me().index();
    Rep3Share::from_components(column(me), column((me + 1) % 3))
}

/// A circuit over two shared integers.
type Circuit = fn(&mut Rep3, &Rep3Share<B64>, &Rep3Share<B64>) -> Result<(), Abort>;
/// The wire form of the two components of each of several shares.
type Components = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(below: u128) -> Vec<(u128, u128)> {
    (0..below).flat_map(|a| (0..below).map(move |b| (a, b))).collect()
}

#[test]
fn and_of_two_bits() {
    for own in 0u128..16 {
        let own = |i: u128| own >> i & 1;
        let program = |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
            let (x, y) = (held::<B64>(e, c, [own(0), own(1)], x), held::<B64>(e, c, [own(2), own(3)], y));
            e.mul(&x, &y).map(drop)
        };
        assert!(is_private(&pairs(2), program, nothing));
    }
}

#[test]
fn product_mod_4() {
    for own in [[0, 0, 0, 0], [3, 1, 2, 1]] {
        let program = |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
            let (x, y) = (held::<Index>(e, c, [own[0], own[1]], x), held::<Index>(e, c, [own[2], own[3]], y));
            e.mul(&x, &y).map(drop)
        };
        assert!(is_private(&pairs(4)[..], program, nothing));
    }
}

#[test]
fn inner_product() {
    let program = |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
        let (x, y) = (held::<Index>(e, c, [1, 0], x), held::<Index>(e, c, [1, 1], y));
        e.dot(&x, &y).map(drop)
    };
    assert!(is_private(&pairs(2), program, nothing));
}

#[test]
fn input_by_each() {
    for owner in 0..3 {
        let program = |e: &mut Rep3, x: u128, _: u8| {
            let (owner, column) = (PartyId(owner), Column::from_indices([x as u32], WIDTH));
            let mine = e.holds(owner).then_some(&column);
            e.input(&[Input::new(owner, column.layout(), mine)]).map(drop)
        };
        assert!(is_private(&[0, 1, 2, 3], program, |x, c| if c == owner { x } else { 0 }));
    }
}

#[test]
fn bit_to_ring() {
    for own in 0u128..4 {
        let program = |e: &mut Rep3, b: u128, c: u8| {
            let b = held::<B64>(e, c, [own & 1, own >> 1], b);
            e.bits_as::<Index>(&b, Layout::narrow(1, 1, WIDTH)).map(drop)
        };
        assert!(is_private(&[0, 1], program, nothing));
    }
}

/// Integers mod `M`, small enough to enumerate.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Tiny<const M: u32>(u32);

impl<const M: u32> zeroize::DefaultIsZeroes for Tiny<M> {}

impl<const M: u32> Ring for Tiny<M> {
    const NAME: &'static str = "tiny";
    const BITS: u32 = (M - 1).ilog2() + 1;
    const ROWS: usize = 1;
    const SAMPLE: usize = 1;
    const ZERO: Self = Tiny(0);
    const ONE: Self = Tiny(1);

    fn add(self, o: Self) -> Self {
        Tiny((self.0 + o.0) % M)
    }
    fn sub(self, o: Self) -> Self {
        Tiny((self.0 + M - o.0) % M)
    }
    fn mul(self, o: Self) -> Self {
        Tiny(self.0 * o.0 % M)
    }
    fn sample(_: &[u8]) -> Option<Self> {
        unreachable!("tests enumerate the randomness")
    }
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    fn from_bits(bits: u128) -> Option<Self> {
        u32::try_from(bits).ok().filter(|v| *v < M).map(Tiny)
    }
}

#[test]
fn element_to_bits() {
    for own in [[0, 0], [1, 2]] {
        let difference = |e: &mut Rep3, x: u128, c: u8| {
            let x = held::<Tiny<3>>(e, c, own, x);
            e.difference(x, &[0, 1], &[1]).map(drop)
        };
        assert!(is_private(&[0, 1, 2], difference, nothing));
        let without_products = |e: &mut Rep3, x: u128, c: u8| {
            let x = held::<Tiny<7>>(e, c, own, x);
            e.difference(x, &[], &[0]).map(drop)
        };
        assert!(is_private(&[0, 1, 2, 3, 4, 5, 6], without_products, nothing));
        let sign = |e: &mut Rep3, x: u128, c: u8| {
            let x = held::<Tiny<3>>(e, c, own, x);
            circuit::is_negative::<Rep3, Tiny<3>>(e, x).map(drop)
        };
        assert!(is_private(&[0, 1, 2], sign, nothing));
        let zero = |e: &mut Rep3, x: u128, c: u8| {
            let x = held::<Tiny<3>>(e, c, own, x);
            circuit::is_zero::<Rep3, Tiny<3>>(e, x).map(drop)
        };
        assert!(is_private(&[0, 1, 2], zero, nothing));
    }
}

#[test]
fn near_quotient() {
    for own in [[0, 0], [5, 3], [6, 6]] {
        let program = |e: &mut Rep3, x: u128, c: u8| {
            let x = held::<Tiny<7>>(e, c, own, x);
            e.near_quotient::<_, Tiny<4>>(&x, &[2]).map(drop)
        };
        assert!(is_private(&[0, 1, 2, 3, 4, 5, 6], program, nothing));
    }
}

#[test]
fn comparison_equality_choice() {
    let words = |e: &Rep3, c: u8, own: [u128; 2], v: u128| {
        let bits = [held::<B64>(e, c, own, v & 1), held::<B64>(e, c, [own[1], own[0]], v >> 1)];
        protocols::Share::stack(&[&bits[0], &bits[1]])
    };
    let program = |circuit: Circuit| {
        move |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
            let (x, y): (Rep3Share<B64>, Rep3Share<B64>) = (words(e, c, [1, 0], x), words(e, c, [0, 1], y));
            circuit(e, &x, &y)
        }
    };
    let secrets = [(0, 0), (1, 0), (0, 1), (3, 2), (2, 3), (1, 3)];
    assert!(is_private(&secrets, program(|e, x, y| circuit::less(e, x, y).map(drop)), nothing));
    assert!(is_private(&secrets, program(|e, x, y| circuit::equal(e, x, y, &[]).map(drop)), nothing));
    assert!(is_private(&secrets, program(|e, x, y| circuit::select(e, &protocols::Share::planes(x, [0]), x, y).map(drop)), nothing));
}

#[test]
fn arithmetic_on_bits() {
    let program = |circuit: Circuit| {
        move |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
            let plane = |e: &Rep3, own, bit| held::<B64>(e, c, own, bit);
            let x = protocols::Share::stack(&[&plane(e, [1, 0], x & 1), &plane(e, [0, 1], x >> 1)]);
            let y = plane(e, [1, 1], y);
            circuit(e, &x, &y)
        }
    };
    let secrets = [(0, 0), (1, 0), (2, 1), (3, 0), (3, 1)];
    fn constants() -> Column<B64> {
        Column::from_ints(&[1, 2], 2)
    }
    assert!(is_private(&secrets, program(|e, x, y| circuit::negate_if(e, y, x).map(drop)), nothing));
    assert!(is_private(&secrets, program(|e, x, y| circuit::case(e, &[(y, x)], x).map(drop)), nothing));
    assert!(is_private(&secrets, program(|e, x, _| circuit::is_in(e, x, &constants()).map(drop)), nothing));
    assert!(is_private(&secrets, program(|e, x, _| circuit::at_least(e, x, &constants()).map(drop)), nothing));
}

#[test]
fn openings_show_the_value_to_whom_they_name() {
    let product = |e: &mut Rep3, (x, y): (u128, u128), c: u8| {
        let (x, y) = (held::<Index>(e, c, [1, 0], x), held::<Index>(e, c, [1, 1], y));
        let z = e.mul(&x, &y)?;
        e.verify(z)
    };
    let to_all = |e: &mut Rep3, s, c| {
        let z = product(e, s, c)?;
        e.open(&z).map(drop)
    };
    assert!(is_private(&pairs(2), to_all, |(x, y), _| x & y));
    let to_one = |e: &mut Rep3, s, c| {
        let z = product(e, s, c)?;
        e.open_to(PartyId(1), &z).map(drop)
    };
    assert!(is_private(&pairs(2), to_one, |(x, y), c| if c == 1 { x & y } else { 0 }));
}

#[test]
fn release_shows_nothing_to_the_parties() {
    let program = |e: &mut Rep3, x: u128, c: u8| {
        let x = held::<Index>(e, c, [3, 1], x);
        let x = e.verify(x)?;
        e.release(&x).map(drop)
    };
    assert!(is_private(&[0, 1, 2, 3], program, nothing));
}

/// Outside the session: all components of what is released, over all randomness, depend on the value alone, not on how it was
/// shared.
#[test]
fn release_shows_the_value_alone_to_its_receiver() {
    let released = |components: [u32; 3]| {
        let mut seen: BTreeMap<Vec<(u8, u32)>, usize> = BTreeMap::new();
        for tape in 0u128..64 {
            let key = move |edge: (PartyId, PartyId)| tape >> (2 * (edge.0.0 + edge.1.0 - 1)) & 3;
            let outcomes = World::new(3, 0).script(Arc::new(move |edge, _, _, _| key(edge))).run_ok(|session| {
                let i = session.me().index();
                let column = |c: usize| Column::from_indices([components[c % 3]], WIDTH);
                let mut e = Rep3::new(session);
                let x = e.verify(Rep3Share::from_components(column(i), column(i + 1)))?;
                let released = e.release(&x)?;
                assert_eq!(released.of, 3);
                Ok(released.components.iter().map(|(i, c)| (*i, c.as_slice()[0].0)).collect::<Vec<_>>())
            });
            let mut all: Vec<_> = outcomes.into_iter().flat_map(|(c, _)| c).collect();
            all.sort();
            assert!(all.chunks(2).all(|copies| copies[0] == copies[1]), "both holders release the same component");
            let value = all.iter().step_by(2).fold(0, |s, (_, v)| (s + v) % 4);
            assert_eq!(value, components.iter().sum::<u32>() % 4);
            *seen.entry(all).or_default() += 1;
        }
        seen
    };
    for (one, other) in [([0, 0, 0], [1, 2, 1]), ([3, 0, 0], [0, 3, 0]), ([1, 1, 0], [2, 2, 2])] {
        assert!(released(one) == released(other));
    }
    assert!(released([0, 0, 0]) != released([1, 0, 0]));
}

#[test]
fn the_oracle_sees_a_leak() {
    let program = |e: &mut Rep3, x: u128, c: u8| {
        let x = held::<Index>(e, c, [1, 0], x);
        // an opening to one that the receiver may not learn
        let x = e.verify(x)?;
        e.open_to(PartyId(2), &x).map(drop)
    };
    assert!(!is_private(&[0, 1], program, nothing));
}

// ------------------------------------------------------------ copies of components

/// Every share a small program makes, as both components in wire form.
fn everything(session: mpc_core::Session) -> Result<Components, Abort> {
    let me = session.me();
    let mut e = Rep3::new(session);
    let values = Column::from_ints(&[5, 9, 200], 8);
    let numbers = Column::from_rows(vec![Fp31::new(7), Fp31::new(8), Fp31::new(9)]);
    let inputs = [0, 1].map(|p| Input::new(PartyId(p), values.layout(), (me == PartyId(p)).then_some(&values)));
    let bits = e.input(&inputs)?;
    let number = e.input(&[Input::new(PartyId(2), numbers.layout(), (me == PartyId(2)).then_some(&numbers))])?.remove(0);
    let less = circuit::less(&mut e, &bits[0], &bits[1])?;
    let least = circuit::minimum(&mut e, &bits[0], &bits[1])?;
    let converted = e.bits_to::<Fp31>(&less)?;
    let times = e.mul(&converted, &number)?;
    let dot = e.dot(&times, &number)?;
    let negative = circuit::is_negative::<Rep3, Fp31>(&mut e, dot.clone())?;
    let number_bits = circuit::field_bits::<Rep3, Fp31>(&mut e, dot.clone(), 31)?;
    let near = e.near_quotient::<_, Fp31>(&dot, &[10])?;
    fn wire<R: Ring>(share: &Rep3Share<R>) -> (Vec<u8>, Vec<u8>) {
        let encode = |c: &Column<R>| {
            let mut out = Vec::new();
            c.encode(&mut out);
            out
        };
        (encode(share.first()), encode(share.second()))
    }
    let mut shares: Vec<_> = bits.iter().chain([&less, &least, &negative, &number_bits]).map(wire).collect();
    shares.extend([&number, &converted, &times, &dot, &near].map(wire));
    Ok(shares)
}

#[test]
fn honest_copies_of_a_component_never_differ() {
    let frames = |p: usize| World::new(3, 3).run(everything)[p].meter.rounds + 1;
    let mut changed = 0;
    for corrupt in 0..3u8 {
        for index in 0..frames(corrupt.into()) {
            let hit = Arc::new(Mutex::new(false));
            let seen = hit.clone();
            let fault: Fault = Arc::new(move |i, _, mut bytes| {
                if i == index && bytes.len() > Head::BYTES {
                    bytes[Head::BYTES] ^= 1;
                    *seen.lock().expect("not poisoned") = true;
                }
                vec![bytes]
            });
            let outcomes = World::new(3, 3).fault(PartyId(corrupt), fault).run(everything);
            if !*hit.lock().expect("not poisoned") {
                continue;
            }
            changed += 1;
            let (one, other) = ((corrupt as usize + 1) % 3, (corrupt as usize + 2) % 3);
            let [one, other] = [one, other].map(|p| outcomes[p].result.as_ref().expect("one low bit keeps elements canonical"));
            // P_{c+1} holds component c+2 second, P_{c+2} holds it first
            assert!(one.iter().zip(other).all(|((_, second), (first, _))| second == first), "P_{corrupt}, frame {index}");
        }
    }
    assert!(changed > 30, "{changed} messages were changed");
}
