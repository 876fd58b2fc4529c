//! Inputs under dealing keys: alike in every session, as private, and at the same cost.

use mpc_core::prss::EdgeKey;
use mpc_core::world::World;
use mpc_core::{B64, Column, Fp61, Fp127, Layout, Meter, PartyId, Ring};
use protocols::{Engine, Input, Rep3};

/// What a party holds of the owners' columns, the digest of what it was dealt, and what was opened.
type Held = (Vec<Vec<u128>>, Option<[u8; 32]>, Vec<Vec<u128>>);

/// A key for each party, and its columns: one of each ring, of `rows` rows.
#[derive(Clone)]
struct Owner {
    key: u8,
    bits: Column<B64>,
    small: Column<Fp61>,
    wide: Column<Fp127>,
}

impl Owner {
    fn new(key: u8, rows: usize, seed: u64) -> Self {
        fn column<R: Ring>(layout: Layout, seed: u64) -> Column<R> {
            let value = |at: usize| {
                R::sample(&u128::from((at as u64 + 1) * (seed + 3)).wrapping_mul(0x9e3779b97f4a7c15f39cc0605cedc835).to_le_bytes())
            };
            Column::build(layout, |at, out| out.iter_mut().zip(at..).for_each(|(v, at)| *v = value(at).unwrap_or(R::ONE)))
        }
        let layout = Layout::new(rows, 1);
        Owner { key, bits: column(Layout::new(rows, 3), seed), small: column(layout, seed), wide: column(layout, seed) }
    }
}

fn shared<R: Ring>(e: &mut Rep3, columns: &[&Column<R>], keys: bool, held: &mut Held) -> Result<(), protocols::Abort> {
    let inputs: Vec<Input<'_, R>> =
        (0..).map(PartyId).zip(columns).map(|(owner, c)| Input::new(owner, c.layout(), e.holds(owner).then_some(*c))).collect();
    let shares = if keys { e.deal(&inputs)? } else { e.input(&inputs)? };
    let elements = |mut column: Column<R>| {
        column.clear_tails();
        column.as_slice().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    for share in shares {
        let verified = e.verify(share.clone())?;
        held.2.push(elements(e.open(&verified)?));
        let (first, second) = share.into_components();
        held.0.extend([elements(first), elements(second)]);
    }
    Ok(())
}

fn run(owners: &[Owner; 3], session: u64, keys: bool) -> Vec<(Held, Meter)> {
    World::new(3, session).run_ok(|session| {
        let (me, left) = (session.me().index(), session.right(2).index());
        let mut e = Rep3::new(session);
        if keys {
            let key = |party: usize| EdgeKey::new([owners[party].key; 32]);
            e.dealing(&key(me), &key(left));
        }
        let mut held = Held::default();
        shared(&mut e, &owners.each_ref().map(|o| &o.bits), keys, &mut held)?;
        shared(&mut e, &owners.each_ref().map(|o| &o.small), keys, &mut held)?;
        shared(&mut e, &owners.each_ref().map(|o| &o.wide), keys, &mut held)?;
        held.1 = e.dealt();
        Ok(held)
    })
}

fn owners(rows: usize) -> [Owner; 3] {
    [0, 1, 2].map(|party| Owner::new(party + 1, rows, u64::from(party)))
}

#[test]
fn the_same_inputs_are_dealt_alike_in_every_session() {
    for rows in [0, 1, 2, 63, 64, 65, 1000] {
        let owners = owners(rows);
        let (one, other) = (run(&owners, 1, true), run(&owners, 2, true));
        let (plain, again) = (run(&owners, 1, false), run(&owners, 2, false));
        for party in 0..3 {
            assert_eq!(one[party].0, other[party].0, "{rows} rows, party {party}");
            assert_eq!(one[party].0.2, plain[party].0.2, "what is opened");
            assert_eq!(one[party].1, plain[party].1, "what it costs");
            assert!(one[party].0.1.is_some() && plain[party].0.1.is_none());
            assert!(rows < 63 || plain[party].0.0 != again[party].0.0, "without keys each session has shares of its own");
        }
    }
}

#[test]
fn what_is_dealt_otherwise_has_another_digest_at_the_left_alone() {
    let (honest, owner, left) = (owners(65), 1, 0);
    let before = run(&honest, 1, true);
    let differs = |change: &dyn Fn(&mut Owner)| {
        let mut owners = honest.clone();
        change(&mut owners[owner]);
        let after = run(&owners, 2, true);
        let differ: Vec<usize> = (0..3).filter(|party| before[*party].0.1 != after[*party].0.1).collect();
        assert_eq!(differ, [left]);
        (before[left].0.0.clone(), after[left].0.0.clone())
    };
    differs(&|owner| owner.small.as_mut_slice()[64] = Fp61::new(7));
    differs(&|owner| owner.bits.as_mut_slice()[0].0 ^= 1);
    // As many bits in another layout, and another number of rows.
    differs(&|owner| owner.bits = Column::zeros(Layout::new(39, 5)));
    differs(&|owner| *owner = Owner::new(owner.key, 64, 1));
    // Under another key nothing of it is as it was.
    let (before, after) = differs(&|owner| owner.key = 99);
    let of_owner = |held: &[Vec<u128>]| held[2 * owner..2 * owner + 2].concat();
    assert!(of_owner(&before).iter().zip(of_owner(&after)).filter(|(a, b)| *a == b && **a != 0).count() < 2);
}

#[test]
fn an_owner_deals_by_its_own_count_whatever_others_deal() {
    let honest = owners(10);
    let held = run(&honest, 1, true);
    let mut more = honest.clone();
    more[0] = Owner::new(1, 500, 5);
    let after = run(&more, 1, true);
    // Party 1 is left of 2, and party 0 of 1: what those dealt is what it was.
    assert_eq!((held[1].0.1, held[0].0.1), (after[1].0.1, after[0].0.1));
}
