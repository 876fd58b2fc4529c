//! Inputs under dealing keys: alike in every session, as private, at the same cost, and what they were said to be.

use mpc_core::prss::EdgeKey;
use mpc_core::world::World;
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, Meter, PartyId, Ring};
use protocols::{Ahead, DEALING, Dealing, Engine, Input, Rep3, Said};

/// What a party holds of the owners' columns, and what was opened.
type Held = (Vec<Vec<u128>>, Vec<Vec<u128>>);

/// A key and a salt for each party, and its columns: one of each ring, of `rows` rows.
#[derive(Clone)]
struct Owner {
    key: u8,
    salt: [u8; 32],
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
        Owner {
            key,
            salt: [key + 100; 32],
            bits: column(Layout::new(rows, 3), seed),
            small: column(layout, seed),
            wide: column(layout, seed),
        }
    }

    fn edge(&self) -> EdgeKey {
        EdgeKey::new([self.key; 32])
    }

    /// The digest of what it will send to its left peer.
    fn said(&self) -> [u8; 32] {
        let mut ahead = Ahead::new(&self.edge(), &self.salt);
        ahead.add(&self.bits);
        ahead.add(&self.small);
        ahead.add(&self.wide);
        ahead.digest()
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
        held.1.push(elements(e.open(&verified)?));
        let (first, second) = share.into_components();
        held.0.extend([elements(first), elements(second)]);
    }
    Ok(())
}

/// Under keys those deal that `keyed` says, and have said what they deal as `said` has it.
fn outcomes(owners: &[Owner; 3], session: u64, keyed: [bool; 3], said: &[[u8; 32]; 3], columns: u64) -> Vec<Result<(Held, Meter), Abort>> {
    let outcomes = World::new(3, session).run(|session| {
        let (me, left, right) = (session.me().index(), session.right(2).index(), session.right(1).index());
        let mut e = Rep3::new(session);
        let keys = keyed.contains(&true);
        let key = |party: usize| keyed[party].then(|| owners[party].edge());
        if keys {
            e.dealing(Dealing::new(
                key(me).as_ref(),
                key(left).as_ref(),
                keyed[right].then(|| Said { digest: said[right], salt: Box::new(owners[right].salt.into()), columns }),
            ));
        }
        let mut held = Held::default();
        shared(&mut e, &owners.each_ref().map(|o| &o.bits), keys, &mut held)?;
        shared(&mut e, &owners.each_ref().map(|o| &o.small), keys, &mut held)?;
        shared(&mut e, &owners.each_ref().map(|o| &o.wide), keys, &mut held)?;
        e.dealt()?;
        Ok(held)
    });
    outcomes.into_iter().map(|outcome| outcome.result.map(|held| (held, outcome.meter))).collect()
}

fn run(owners: &[Owner; 3], session: u64, keyed: [bool; 3]) -> Vec<(Held, Meter)> {
    let said = owners.each_ref().map(Owner::said);
    outcomes(owners, session, keyed, &said, 3).into_iter().map(|outcome| outcome.expect("as it was said")).collect()
}

fn owners(rows: usize) -> [Owner; 3] {
    [0, 1, 2].map(|party| Owner::new(party + 1, rows, u64::from(party)))
}

const ALL: [bool; 3] = [true; 3];

#[test]
fn the_same_inputs_are_dealt_alike_in_every_session() {
    for rows in [0, 1, 2, 63, 64, 65, 1000] {
        let owners = owners(rows);
        let (one, other) = (run(&owners, 1, ALL), run(&owners, 2, ALL));
        let (plain, again) = (run(&owners, 1, [false; 3]), run(&owners, 2, [false; 3]));
        for party in 0..3 {
            assert_eq!(one[party].0, other[party].0, "{rows} rows, party {party}");
            assert_eq!(one[party].0.1, plain[party].0.1, "what is opened");
            assert_eq!(one[party].1, plain[party].1, "what it costs");
            assert!(rows < 63 || plain[party].0.0 != again[party].0.0, "without keys each session has shares of its own");
        }
    }
}

#[test]
fn some_may_deal_under_keys_and_others_not() {
    let owners = owners(65);
    let plain = run(&owners, 1, [false; 3]);
    for some in 0..8 {
        let keyed = [some & 1 == 1, some & 2 == 2, some & 4 == 4];
        let mixed = run(&owners, 1, keyed);
        (0..3).for_each(|party| assert_eq!((&mixed[party].0.1, mixed[party].1), (&plain[party].0.1, plain[party].1), "{keyed:?}"));
    }
}

#[test]
fn what_is_dealt_otherwise_than_it_was_said_ends_at_the_left() {
    let honest = owners(65);
    let said = honest.each_ref().map(Owner::said);
    let (owner, left) = (1, 0);
    let differs = |change: &dyn Fn(&mut Owner)| {
        let mut owners = honest.clone();
        change(&mut owners[owner]);
        assert_ne!(owners[owner].said(), said[owner]);
        let outcomes = outcomes(&owners, 2, ALL, &said, 3);
        let found = |outcome: &Result<_, Abort>| matches!(outcome, Err(Abort::Cheating { check: DEALING, culprit }) if *culprit == Some(PartyId(1)));
        assert_eq!((0..3).filter(|party| found(&outcomes[*party])).collect::<Vec<_>>(), [left]);
        assert!(outcomes.iter().all(Result::is_err), "nobody goes on");
    };
    differs(&|owner| owner.small.as_mut_slice()[64] = Fp61::new(7));
    differs(&|owner| owner.bits.as_mut_slice()[0].0 ^= 1);
    differs(&|owner| owner.wide.as_mut_slice()[3] = Fp127::ONE);
    differs(&|owner| owner.key = 99);
    differs(&|owner| owner.salt = [0; 32]);
}

#[test]
fn what_was_not_dealt_to_the_end_is_not_taken_for_compared() {
    let owners = owners(65);
    let said = owners.each_ref().map(Owner::said);
    let cheated = |outcome: Result<_, Abort>| matches!(outcome, Err(Abort::Cheating { check: DEALING, .. }));
    for columns in [0, 2, 4] {
        assert!(outcomes(&owners, 2, ALL, &said, columns).into_iter().all(cheated), "{columns}");
    }
}

#[test]
fn a_digest_is_of_types_layouts_and_rows() {
    let honest = Owner::new(2, 65, 1);
    // As many bits in another layout, another number of rows, and another key.
    let layout = Owner { bits: Column::zeros(Layout::new(39, 5)), ..honest.clone() };
    let zeros = Owner { bits: Column::zeros(Layout::new(65, 3)), ..honest.clone() };
    let said = [
        honest.said(),
        layout.said(),
        zeros.said(),
        Owner::new(2, 64, 1).said(),
        Owner { key: 9, ..honest.clone() }.said(),
        Owner { salt: [9; 32], ..honest.clone() }.said(),
    ];
    assert!((0..said.len()).all(|at| !said[..at].contains(&said[at])));
    assert_eq!(honest.said(), Owner::new(2, 65, 1).said());
}

/// The right peer holds the key, and so the mask, and the digest: were that of nothing but what goes to the left, it could try inputs.
#[test]
fn who_has_the_key_and_not_the_salt_cannot_try_inputs() {
    let bit = |value| Owner { bits: Column::from_rows(vec![B64(value)]), ..Owner::new(2, 1, 1) };
    let digest = |value, salt: &[u8; 32]| {
        let owner = bit(value);
        let mut ahead = Ahead::new(&owner.edge(), salt);
        ahead.add(&owner.bits);
        ahead.digest()
    };
    let said = digest(1, &bit(1).salt);
    assert!(said == digest(1, &bit(1).salt) && said != digest(0, &bit(1).salt), "who has the salt can, and it is the left");
    let tried = [[0; 32], [2; 32], said, digest(0, &[0; 32]), digest(1, &[0; 32])];
    assert!(tried.iter().all(|salt| [0, 1].iter().all(|value| digest(*value, salt) != said)));
}
