//! A world: all parties of a session in one process, one thread each, over an in-memory network. Seeded, so that a run can be
//! repeated; a party that waits too long ends the run with a report of who waits for whom, and at which round.

use crate::link::{self, Fault, FaultLink, Link, RecordLink, ReplayLink, View};
use crate::prss::{AddressLedger, EdgeKey, Step};
use crate::{Abort, Meter, PartyId, Session};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

/// How a world is set up.
#[derive(Clone)]
pub struct World {
    parties: u8,
    seed: u64,
    timeout: Duration,
    faults: Vec<Option<Fault>>,
    script: Option<Script>,
}

/// What takes the place of pairwise randomness: the bits of an element, given the two parties of the edge in order, the step, the element's
/// position in it and how many bits it has.
pub type Script = Arc<dyn Fn((PartyId, PartyId), Step, usize, u32) -> u128 + Send + Sync>;

/// What one party brought home.
pub struct Outcome<T> {
    /// What its program returned.
    pub result: Result<T, Abort>,
    /// What it sent.
    pub meter: Meter,
    /// Everything it received.
    pub view: View,
}

impl World {
    /// A world of `parties`, whose edge keys follow from `seed`.
    pub fn new(parties: u8, seed: u64) -> Self {
        World { parties, seed, timeout: Duration::from_secs(20), faults: vec![None; parties.into()], script: None }
    }

    /// How long a party waits for a message before it gives up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Passes everything `party` sends through `fault`.
    pub fn fault(mut self, party: PartyId, fault: Fault) -> Self {
        self.faults[party.index()] = Some(fault);
        self
    }

    /// Takes pairwise randomness from `script` instead of the edge keys: for known answers, and for tests that run a protocol under every
    /// value of its randomness.
    pub fn script(mut self, script: Script) -> Self {
        self.script = Some(script);
        self
    }

    /// Runs `program` at every party and returns what each brought home, in order. Every PRSS address is checked to be drawn at most once.
    pub fn run<T: Send>(&self, program: impl Fn(Session) -> Result<T, Abort> + Sync) -> Vec<Outcome<T>> {
        let sessions = self.sessions();
        std::thread::scope(|scope| {
            let running: Vec<_> = sessions
                .into_iter()
                .map(|(session, view)| {
                    let (program, counters) = (&program, session.counters());
                    (scope.spawn(move || program(session)), counters, view)
                })
                .collect();
            running
                .into_iter()
                .map(|(thread, counters, view)| {
                    let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    Outcome { result, meter: counters.read(), view }
                })
                .collect()
        })
    }

    /// Like [`run`](Self::run), for programs that must succeed at every party.
    ///
    /// # Panics
    /// With every party's error, if any fails.
    pub fn run_ok<T: Send>(&self, program: impl Fn(Session) -> Result<T, Abort> + Sync) -> Vec<(T, Meter)> {
        let outcomes = self.run(program);
        let report: Vec<String> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(p, o)| o.result.as_ref().err().map(|e| format!("party {p}, after {} rounds: {e}", o.meter.rounds)))
            .collect();
        assert!(report.is_empty(), "the session failed:\n{}", report.join("\n"));
        outcomes.into_iter().map(|o| (o.result.unwrap_or_else(|_| unreachable!("checked above")), o.meter)).collect()
    }

    /// Runs `program` at `party` once more, alone, against what it received in a [`run`](Self::run) of this world: what its peers say is there at once, and what it says is gone at
    /// once. What it does and what it holds are then its own.
    pub fn run_alone<T>(&self, party: PartyId, view: View, program: impl FnOnce(Session) -> Result<T, Abort>) -> Result<T, Abort> {
        let (id, mut keys) = self.keys();
        program(Session::new(party, id, keys.swap_remove(party.index()), Box::new(ReplayLink::new(view))))
    }

    fn sessions(&self) -> Vec<(Session, View)> {
        let (id, keys) = self.keys();
        let links = link::memory(self.parties, self.timeout);
        links
            .into_iter()
            .zip(keys)
            .enumerate()
            .map(|(p, (link, keys))| {
                let link: Box<dyn Link> = match &self.faults[p] {
                    Some(fault) => Box::new(FaultLink::new(link, fault.clone())),
                    None => Box::new(link),
                };
                let view = View::default();
                let mut session = Session::new(PartyId(p as u8), id, keys, Box::new(RecordLink::new(link, view.clone())));
                let me = session.me();
                for (peer, prss) in session.prss_mut() {
                    prss.record(AddressLedger::default());
                    if let Some(script) = self.script.clone() {
                        let edge = (me.min(peer), me.max(peer));
                        prss.follow(Arc::new(move |step, at, bits| script(edge, step, at, bits)));
                    }
                }
                (session, view)
            })
            .collect()
    }

    /// The session's id, and the edge keys of each party.
    fn keys(&self) -> ([u8; 32], Vec<Vec<Option<EdgeKey>>>) {
        let n = self.parties as usize;
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        let mut bytes = || {
            let mut b = [0; 32];
            rng.fill_bytes(&mut b);
            b
        };
        let id = bytes();
        let mut keys: Vec<Vec<Option<EdgeKey>>> = vec![vec![None; n]; n];
        for (a, b) in (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))) {
            let key = EdgeKey::new(bytes());
            keys[a][b] = Some(key.clone());
            keys[b][a] = Some(key);
        }
        (id, keys)
    }
}
