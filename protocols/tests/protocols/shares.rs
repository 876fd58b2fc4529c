//! What shares do without a message, openings to one, releases, and that traffic depends on nothing but public shapes.

use mpc_core::world::World;
use mpc_core::{Abort, B64, Column, Fp61, Index, Layout, Meter, PartyId, Ring};
use protocols::world::{Protocol, check};
use protocols::{Engine, Input, Rep3, Share, Verified, circuit};

/// Every local operation on a column of `planes` planes.
struct Local<R: Ring> {
    values: Column<R>,
    public: Column<R>,
}

impl<R: Ring> Local<R> {
    fn new(rows: usize, planes: usize) -> Self {
        let element =
            |seed: usize| R::sample(&(seed as u128).wrapping_mul(0x9e3779b97f4a7c15f39cc0605cedc835).to_le_bytes()).unwrap_or(R::ONE);
        let column = |seed| {
            Column::build(Layout::new(rows, planes), |at, out| out.iter_mut().zip(at..).for_each(|(v, i)| *v = element(i * 2 + seed)))
        };
        Local { values: column(0), public: column(1) }
    }
}

impl<R: Ring> Protocol for Local<R> {
    type Output = Vec<Vec<u128>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let (owner, layout) = (PartyId(1), self.values.layout());
        let x = e.input(&[Input::new(owner, layout, e.holds(owner).then_some(&self.values))])?.remove(0);
        let c = e.constant(&self.public);
        let rows = layout.rows;
        let from: Vec<Option<usize>> = (0..rows + 5).map(|i| (rows > 0 && i % 3 > 0).then(|| i * 7 % rows.max(1))).collect();
        let groups: Vec<Option<usize>> = (0..rows).map(|r| (r % 5 > 0).then_some(r * r % 11)).collect();
        let stacked = Share::stack(&[&x, &c]);
        let results = [
            x.add(&c),
            x.sub(&c),
            c.sub(&x),
            x.scale(&self.public),
            e.add_public(&x, &self.public),
            stacked.planes((0..2 * layout.planes).rev().chain([0, 0])),
            stacked.gather(&from),
            stacked.sum_groups(&groups, 11),
            stacked.sum(),
            stacked,
        ];
        let mut opened = Vec::new();
        for share in results {
            let share = e.verify(share)?;
            let column = e.open(&share)?;
            opened.push(column.as_slice().iter().map(|v| v.to_bits()).collect());
        }
        Ok(opened)
    }
}

#[test]
fn local_operations() {
    for rows in [0, 1, 2, 63, 64, 65, 1000] {
        check(&Local::<B64>::new(rows, 3));
        check(&Local::<Fp61>::new(rows, 2));
        check(&Local::<Index>::new(rows, 1));
    }
}

#[test]
fn complement() {
    struct Not;
    impl Protocol for Not {
        type Output = Vec<u128>;
        fn run<E: Engine>(&self, e: &mut E) -> Result<Vec<u128>, Abort> {
            let x = e.constant(&Column::from_ints(&[0, 5, 7], 3));
            let x = e.not(&x);
            let x = e.verify(x)?;
            Ok(e.open(&x)?.to_uints())
        }
    }
    assert_eq!(check(&Not), [7, 2, 0]);
}

/// Shares of a column that party 2 put in.
fn numbers(e: &mut Rep3, values: &[i64]) -> Result<Verified<protocols::Rep3Share<Fp61>>, Abort> {
    let column = Column::from_rows(values.iter().map(|v| Fp61::from_i128((*v).into())).collect());
    let owner = PartyId(2);
    let x = e.input(&[Input::new(owner, column.layout(), e.holds(owner).then_some(&column))])?.remove(0);
    e.verify(x)
}

#[test]
fn only_the_one_named_learns() {
    for to in 0..3 {
        let outcomes = World::new(3, 4).run_ok(|session| {
            let mut e = Rep3::new(session);
            let x = numbers(&mut e, &[-1, 7])?;
            e.open_to(PartyId(to), &x)
        });
        for (p, (opened, _)) in outcomes.iter().enumerate() {
            let opened = opened.as_ref().map(|c| c.as_slice().iter().map(|v| v.centered()).collect::<Vec<_>>());
            assert_eq!(opened, (p == to as usize).then(|| vec![-1, 7]));
        }
    }
    let outcomes = World::new(3, 4).run(|session| {
        let mut e = Rep3::new(session);
        let x = numbers(&mut e, &[1])?;
        e.open_to(PartyId(3), &x).map(drop)
    });
    assert!(outcomes.iter().all(|o| matches!(o.result, Err(Abort::Refused(_)))));
}

#[test]
fn what_is_released_adds_up_and_its_copies_agree() {
    let outcomes = World::new(3, 4).run_ok(|session| {
        let mut e = Rep3::new(session);
        let x = numbers(&mut e, &[-1, 7, 0])?;
        let bits = e.constant(&Column::from_ints(&[5, 2, 7, 0, 1], 3));
        let (first, second) = (e.release(&x)?, e.release(&x)?);
        let bits = e.verify(bits)?;
        Ok((first, second, e.release(&bits)?))
    });
    let mut components: [Option<&Column<Fp61>>; 3] = [None; 3];
    let mut planes: [Option<&Column<B64>>; 3] = [None; 3];
    for ((first, second, bits), _) in &outcomes {
        assert_eq!((first.of, first.components.len()), (3, 2));
        for ((i, c), (_, again)) in first.components.iter().zip(&second.components) {
            assert!(components[usize::from(*i)].replace(c).is_none_or(|other| other == c), "copies of component {i} differ");
            assert!(c != again, "a second release is a fresh sharing");
        }
        for (i, c) in &bits.components {
            assert!(planes[usize::from(*i)].replace(c).is_none_or(|other| other == c));
            assert!(c.as_slice().iter().all(|w| w.0 >> 5 == 0), "nothing is released beyond the last row");
        }
    }
    let sum =
        components.map(|c| c.expect("every component is released").clone()).into_iter().reduce(|a, b| a.zip(&b, Fp61::add)).expect("three");
    assert_eq!(sum.as_slice().iter().map(|v| v.centered()).collect::<Vec<_>>(), [-1, 7, 0]);
    let sum =
        planes.map(|c| c.expect("every component is released").clone()).into_iter().reduce(|a, b| a.zip(&b, B64::add)).expect("three");
    assert_eq!(sum.to_uints(), [5, 2, 7, 0, 1]);
}

/// Everything about traffic but its content: who received from whom, with which heads, and what was metered.
#[test]
fn traffic_depends_on_public_shapes_alone() {
    let trace = |a: i128, b: i128, n: i64| {
        let outcomes = World::new(3, 4).run(|session| {
            let me = session.me();
            let mut e = Rep3::new(session);
            let (a, b) = (Column::from_ints(&[a; 70], 9), Column::from_ints(&[b; 70], 9));
            let inputs = [(0, &a), (1, &b)].map(|(p, c)| Input::new(PartyId(p), c.layout(), (me == PartyId(p)).then_some(c)));
            let bits = e.input(&inputs)?;
            let x = numbers(&mut e, &[n; 70])?;
            let least = circuit::minimum(&mut e, &bits[0], &bits[1])?;
            let less = circuit::less_public(&mut e, &least, &Column::from_ints(&[100; 70], 9))?;
            let sum = circuit::filtered_sum::<_, Fp61>(&mut e, &less, x.get())?;
            let sum = e.verify(sum)?;
            e.release(&sum).map(drop)
        });
        outcomes
            .into_iter()
            .map(|o| {
                o.result.expect("it runs");
                let view = o.view.lock().expect("not poisoned").iter().map(|(from, head, payload)| (*from, *head, payload.len())).collect();
                (view, o.meter)
            })
            .collect::<Vec<(Vec<_>, Meter)>>()
    };
    let expected = trace(0, 0, 0);
    for (a, b, n) in [(511, 0, -1), (3, 3, 1 << 59), (99, 100, 17), (-1, -256, -(1 << 59))] {
        assert_eq!(trace(a, b, n), expected);
    }
}
