//! Addressed randomness: the same at both ends, a function of its address alone, uniform, and never drawn twice.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hkdf::Hkdf;
use mpc_core::prss::{BLOCK, EdgeKey, Prss, Step};
use mpc_core::world::World;
use mpc_core::{B64, Fp31, Fp61, Fp127, Index, PartyId, Ring, Session, Z64};
use proptest::prelude::*;
use sha2::Sha256;
use std::collections::HashSet;

/// Steps as a session counts them.
fn steps(n: usize) -> Vec<Step> {
    World::new(2, 0).run_ok(|mut session: Session| Ok((0..n).map(|_| session.step()).collect::<Vec<_>>())).remove(0).0
}

fn draw<R: Ring>(prss: &Prss, step: Step, first: usize, len: usize) -> Vec<R> {
    let mut out = vec![R::ONE; len];
    prss.fill(step, first, &mut out);
    out
}

fn key(byte: u8) -> EdgeKey {
    EdgeKey::new([byte; 32])
}

#[test]
fn is_aes_in_counter_mode_at_the_address() {
    let (lane, step) = (3, steps(5)[4]);
    let mut lane_key = [0; 16];
    Hkdf::<Sha256>::new(None, &[7; 32]).expand(b"tacit/v1/prss/\x03\x00", &mut lane_key).unwrap();
    let cipher = Aes128::new(&lane_key.into());
    let word = |at: usize| {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&(at as u64 / 2).to_le_bytes());
        block[8..].copy_from_slice(&step.number().to_le_bytes());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        u64::from_le_bytes(block[at % 2 * 8..][..8].try_into().unwrap())
    };
    let prss = Prss::new(&key(7), lane);
    for first in [0, 1, 2, 1023, 1 << 33] {
        let got = draw::<Z64>(&prss, step, first, 50);
        assert!(got.iter().zip(first..).all(|(v, at)| v.0 == word(at)));
        // the prime field takes the low 61 bits of the same words
        assert!(draw::<Fp61>(&prss, step, first, 50).iter().zip(first..).all(|(v, at)| v.get() == word(at) & Fp61::P));
    }
}

#[test]
fn blocks_do_not_matter() {
    fn ring<R: Ring>() {
        let (prss, step) = (Prss::new(&key(1), 0), steps(1)[0]);
        let whole = draw::<R>(&prss, step, 0, 3 * BLOCK + 5);
        for (first, len) in [(0, 0), (0, 1), (1, 2), (BLOCK - 1, 2), (BLOCK, BLOCK), (7, 3 * BLOCK - 2)] {
            assert!(draw::<R>(&prss, step, first, len) == whole[first..first + len]);
        }
        let mut stream = prss.elements::<R>(step, 5..whole.len());
        let mut at = 5;
        for len in [1, 3, 0, BLOCK, 700, BLOCK] {
            let mut out = vec![R::ZERO; len];
            stream.fill(&mut out);
            assert!(out == whole[at..at + len]);
            at += len;
        }
    }
    ring::<Fp61>();
    ring::<Fp31>();
    ring::<Fp127>();
    ring::<B64>();
    ring::<Index>();
}

#[test]
fn keys_lanes_and_steps_are_apart() {
    let steps = steps(2);
    let addresses = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 256, 0), (1, 0, 1)];
    let streams: Vec<Vec<Z64>> = addresses.iter().map(|(k, lane, s)| draw(&Prss::new(&key(*k), *lane), steps[*s], 0, 64)).collect();
    let all: HashSet<u64> = streams.iter().flatten().map(|v| v.0).collect();
    assert_eq!(all.len(), 64 * addresses.len());
    assert!(draw::<Z64>(&Prss::new(&key(1), 0), steps[0], 0, 64) == streams[0]);
}

/// The integers mod 3, sampled from two bits: a quarter of all samples is rejected.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Mod3(u8);

impl zeroize::DefaultIsZeroes for Mod3 {}

impl Ring for Mod3 {
    const NAME: &'static str = "F3";
    const BITS: u32 = 2;
    const ROWS: usize = 1;
    const SAMPLE: usize = 4;
    const ZERO: Self = Mod3(0);
    const ONE: Self = Mod3(1);
    fn add(self, o: Self) -> Self {
        Mod3((self.0 + o.0) % 3)
    }
    fn sub(self, o: Self) -> Self {
        Mod3((self.0 + 3 - o.0) % 3)
    }
    fn mul(self, o: Self) -> Self {
        Mod3(self.0 * o.0 % 3)
    }
    fn sample(bytes: &[u8]) -> Option<Self> {
        let v = bytes[0] & 3;
        (v < 3).then_some(Mod3(v))
    }
    fn to_bits(self) -> u128 {
        self.0.into()
    }
    fn from_bits(bits: u128) -> Option<Self> {
        (bits < 3).then_some(Mod3(bits as u8))
    }
}

#[test]
fn rejected_samples_are_drawn_again_the_same_way_and_stay_uniform() {
    let (prss, step) = (Prss::new(&key(4), 0), steps(1)[0]);
    let n = 60_000;
    let whole = draw::<Mod3>(&prss, step, 0, n);
    assert!(draw::<Mod3>(&prss, step, 1001, 5000) == whole[1001..6001]);
    let mut counts = [0f64; 3];
    whole.iter().for_each(|v| counts[v.0 as usize] += 1.0);
    let expected = n as f64 / 3.0;
    let chi2: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
    assert!(chi2 < 27.6, "chi-squared {chi2} with 2 degrees of freedom: p < 10^-6");
}

#[test]
fn every_bit_of_a_word_is_fair() {
    let n = 1 << 17;
    let words = draw::<B64>(&Prss::new(&key(9), 0), steps(1)[0], 0, n);
    for bit in 0..64 {
        let ones = words.iter().filter(|w| w.0 >> bit & 1 == 1).count() as f64;
        let deviation = (ones - n as f64 / 2.0).abs() / (n as f64 / 4.0).sqrt();
        assert!(deviation < 5.5, "bit {bit}: {deviation} standard deviations");
    }
}

#[test]
#[should_panic(expected = "draws no more than it declared")]
fn a_draw_beyond_its_declaration_is_a_bug() {
    Prss::new(&key(1), 0).elements::<Z64>(steps(1)[0], 0..10).fill(&mut [Z64(0); 11]);
}

#[test]
fn both_ends_of_an_edge_agree_and_outsiders_do_not() {
    let drawn = World::new(3, 5).run_ok(|mut session| {
        let step = session.step();
        let with = |p: u8| (session.me() != PartyId(p)).then(|| draw::<Z64>(session.prss(PartyId(p)), step, 0, 8));
        Ok([with(0), with(1), with(2)])
    });
    for a in 0..3 {
        for b in 0..3 {
            assert!(drawn[a].0[b] == drawn[b].0[a]);
        }
    }
    assert!(drawn[0].0[1] != drawn[0].0[2] && drawn[0].0[1] != drawn[1].0[2]);
}

#[test]
#[should_panic(expected = "PRSS address drawn twice")]
fn a_world_notices_an_address_drawn_twice() {
    World::new(2, 5).run_ok(|mut session| {
        let (step, peer) = (session.step(), session.right(1));
        draw::<Z64>(session.prss(peer), step, 0, 8);
        draw::<Z64>(session.prss(peer), step, 7, 1);
        Ok(())
    });
}

#[test]
#[should_panic(expected = "PRSS address drawn twice")]
fn also_in_another_lane_and_another_ring() {
    World::new(2, 5).run_ok(|mut session| {
        let peer = session.right(1);
        let mut lane = session.lanes(1)?.remove(0);
        let step = lane.step();
        draw::<Z64>(lane.prss(peer), step, 0, 8);
        draw::<Fp127>(lane.prss(peer), step, 3, 1);
        Ok(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A program opens lanes when it likes and draws what it likes: as long as every draw has a step of its own, no word of key-stream comes twice.
    #[test]
    fn no_address_is_drawn_twice_across_lanes_and_steps(program in prop::collection::vec((1u16..4, prop::collection::vec((0usize..8, 1usize..40), 0..12)), 1..4)) {
        let drawn = World::new(2, 6).run_ok(|mut session| {
            let (peer, mut words) = (session.right(1), Vec::new());
            let mut lanes: Vec<Session> = Vec::new();
            for (opened, draws) in &program {
                lanes.extend(session.lanes(*opened)?);
                for (at, len) in draws {
                    let among = lanes.len() + 1;
                    let lane = lanes.get_mut(at % among).unwrap_or(&mut session);
                    let step = lane.step();
                    words.extend(draw::<Z64>(lane.prss(peer), step, *at, *len).into_iter().map(|v| v.0));
                }
            }
            Ok(words)
        });
        let ((left, _), (right, _)) = (&drawn[0], &drawn[1]);
        prop_assert_eq!(left, right);
        prop_assert_eq!(left.iter().collect::<HashSet<_>>().len(), left.len());
    }
}
