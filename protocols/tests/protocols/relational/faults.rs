//! A hostile peer in the middle of relational operators: a typed abort, or a wrong result as semi-honest security allows, never a panic.

use super::{input, input_bits, open_bits};
use mpc_core::link::{Fault, Head};
use mpc_core::world::World;
use mpc_core::{B64, Column, Fp61, PartyId, Permutation, Session};
use protocols::relational::{JoinOptions, Radix, Side, Sorting, Tail, compact, group_sums, join, sort};
use protocols::{Abort, Engine, Rep3, Table};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEYS: [u64; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 5];

/// Every operator that opens something or moves rows, and the sorted keys opened.
fn program(session: Session) -> Result<Vec<u64>, Abort> {
    let mut e = Rep3::new(session);
    let e = &mut e;
    let rows = KEYS.len();
    let key = input_bits(e, 0, &KEYS, 4)?;
    let values = input(e, 1, &Column::from_rows(KEYS.map(Fp61::new).to_vec()))?;
    let table = Table::new(rows).with(key.clone()).with::<Fp61>(values);
    let places = Permutation::new((0..rows as u32).rev().collect()).expect("a permutation");
    let table = e.permute_by(PartyId(2), e.holds(PartyId(2)).then_some(&places), table)?;
    let key = table.columns::<B64>()[0].clone();
    let (table, _) = sort(e, key, table, Sorting::Samplesort)?;
    let key = table.columns::<B64>()[0].clone();
    let (mut table, _) = sort(e, key, table, Radix { digit: 2, moving: true })?;
    let (key, values) = (table.take_first::<B64>(), table.take_first::<Fp61>());
    let groups = group_sums::<_, Fp61>(e, key.clone(), values, table, None, Tail::Open)?;
    let count = groups.key.layout_rows();
    let all = e.constant(&Column::splat(B64(u64::MAX), mpc_core::Layout::new(count, 1)));
    let left = Table::new(count).with::<Fp61>(groups.sums);
    let ones = e.constant(&Column::splat(B64(u64::MAX), mpc_core::Layout::new(rows, 1)));
    let left = Side { key: groups.key, valid: all, table: left };
    let right = Side { key: key.clone(), valid: ones, table: Table::new(rows).with(key) };
    let joined = join(e, left, right, JoinOptions::default())?;
    let compacted = compact(e, &joined.matched, joined.right, true)?;
    let matched = compacted.count.unwrap_or_default();
    open_bits(e, &compacted.table.columns::<B64>()[0]).map(|keys| keys[..matched].to_vec())
}

/// Rows of a share, whatever its type.
trait Rows {
    fn layout_rows(&self) -> usize;
}

impl Rows for protocols::Rep3Share<B64> {
    fn layout_rows(&self) -> usize {
        protocols::Share::layout(self).rows
    }
}

type Ends = Vec<Result<Vec<u64>, Abort>>;

/// Runs the program while `change` is applied to the frame with index `at` of `party`; `None` when it sends fewer.
fn run(party: u8, at: u64, change: fn(Vec<u8>) -> Vec<u8>) -> Option<Ends> {
    let hit = Arc::new(Mutex::new(false));
    let seen = hit.clone();
    let fault: Fault = Arc::new(move |i, _, bytes| {
        if i != at {
            return vec![bytes];
        }
        *seen.lock().expect("not poisoned") = true;
        vec![change(bytes)]
    });
    let outcomes = World::new(3, 8).timeout(Duration::from_secs(20)).fault(PartyId(party), fault).run(program);
    hit.lock().expect("not poisoned").then(|| outcomes.into_iter().map(|o| o.result).collect())
}

fn sorted() -> Vec<u64> {
    let mut keys = KEYS.to_vec();
    keys.sort();
    keys
}

#[test]
fn without_faults() {
    let ends = run(0, 0, |bytes| bytes).expect("P_0 sends");
    assert!(ends.iter().all(|end| *end == Ok(sorted())), "{ends:?}");
}

#[test]
fn truncated_frames_name_their_sender() {
    for party in 0..3 {
        for at in (party.into()..).step_by(9) {
            let Some(ends) = run(party, at, |mut bytes| {
                bytes.pop();
                bytes
            }) else {
                break;
            };
            let names = |end: &Result<_, Abort>| matches!(end, Err(Abort::Desync { peer, .. } | Abort::Malformed { peer, .. }) if *peer == PartyId(party));
            assert!(ends.iter().any(names), "P_{party}, frame {at}: {ends:?}");
        }
    }
}

#[test]
fn changed_payloads_never_panic() {
    let mut aborted = 0;
    for party in 0..3 {
        for at in (party.into()..).step_by(3) {
            let flip = |mut bytes: Vec<u8>| {
                if let Some(byte) = bytes.get_mut(Head::BYTES) {
                    *byte ^= 1;
                }
                bytes
            };
            let Some(ends) = run(party, at, flip) else { break };
            aborted += ends.iter().filter(|end| matches!(end, Err(Abort::Cheating { .. } | Abort::Malformed { .. }))).count();
        }
    }
    assert!(aborted > 20, "places that are no permutation were noticed {aborted} times");
}
