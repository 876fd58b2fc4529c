//! Links carry frames between the parties of one lane of one session. Protocol code never sees them: it works in rounds
//! ([`crate::round::Round`]). Four live here, for tests: [`memory`] connects parties in one process, [`FaultLink`] breaks what
//! passes through it, [`RecordLink`] keeps a copy, [`ReplayLink`] gives it again. `mpc-quic` offers the one used between machines.

use crate::PartyId;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use zeroize::Zeroize;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The payload of a round.
    Round = 1,
    /// Session establishment, first flight.
    Hello = 2,
    /// Session establishment, second flight.
    Confirm = 3,
    /// The sender has aborted; no payload.
    Abort = 4,
}

/// The head of every frame. The receiver knows all of it beforehand, its length included, from the program it runs; anything
/// else is a desynchronised or hostile peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// First half of the session id (zero until there is one).
    pub session: [u8; 16],
    /// Lane of the session.
    pub lane: u16,
    /// What the frame is for.
    pub kind: Kind,
    /// Which piece of a message it is, mod 256: a message of a round may take several frames.
    pub piece: u8,
    /// Step of the lane.
    pub step: u64,
    /// Payload bytes.
    pub len: u32,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = u32::from_be_bytes([self.session[0], self.session[1], self.session[2], self.session[3]]);
        let Head { lane, kind, piece, step, len, .. } = self;
        write!(f, "{kind:?} frame of {len} bytes, session {s:08x}, lane {lane}, step {step}, piece {piece}")
    }
}

impl Head {
    /// Bytes of an encoded head.
    pub const BYTES: usize = 32;

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut b = [0; Self::BYTES];
        b[..16].copy_from_slice(&self.session);
        b[16..24].copy_from_slice(&self.step.to_le_bytes());
        b[24..28].copy_from_slice(&self.len.to_le_bytes());
        b[28..30].copy_from_slice(&self.lane.to_le_bytes());
        b[30] = self.kind as u8;
        b[31] = self.piece;
        b
    }

    /// The inverse of [`encode`](Self::encode); `None` on an unknown kind.
    pub fn decode(b: &[u8; Self::BYTES]) -> Option<Self> {
        let kind = match b[30] {
            1 => Kind::Round,
            2 => Kind::Hello,
            3 => Kind::Confirm,
            4 => Kind::Abort,
            _ => return None,
        };
        let word = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let mut session = [0; 16];
        session.copy_from_slice(&b[..16]);
        Some(Head {
            session,
            lane: u16::from_le_bytes([b[28], b[29]]),
            kind,
            piece: b[31],
            step: word(16) as u64 | (word(20) as u64) << 32,
            len: word(24),
        })
    }
}

/// A head and its payload in one buffer, ready to be written. Wiped on drop, so also once a link has sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Vec<u8>);

impl Drop for Frame {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Frame {
    /// An empty frame with room for `capacity` payload bytes; the head is set by [`seal`](Self::seal).
    pub fn with_capacity(capacity: usize) -> Self {
        let mut v = Vec::with_capacity(Head::BYTES + capacity);
        v.resize(Head::BYTES, 0);
        Frame(v)
    }

    /// Where the payload is appended.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The payload written so far.
    pub fn payload(&self) -> &[u8] {
        &self.0[Head::BYTES..]
    }

    /// Writes the head, whose `len` must be that of the payload.
    pub fn seal(&mut self, head: &Head) {
        debug_assert_eq!(head.len as usize, self.payload().len());
        self.0[..Head::BYTES].copy_from_slice(&head.encode());
    }

    /// The sealed head, if it is one.
    pub fn head(&self) -> Option<Head> {
        self.0.first_chunk().and_then(Head::decode)
    }

    /// Head and payload as written to the wire.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Why a link could not deliver. The session adds the label of the round and makes it an [`crate::Abort`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkError {
    /// The peer's end is closed.
    Gone(String),
    /// The peer announced that it has aborted.
    Aborted,
    /// Nothing came in time.
    Deadline(Duration),
    /// A frame with another head came; `None` where its head is not even well-formed.
    Unexpected(Option<Head>),
}

/// Carries frames of one lane between this party and its peers. `submit` does not wait for the peer, unless the peer is so far behind that
/// memory would run out; `take` waits for exactly the frame expected, whose length the receiver states: no length from a peer is ever allocated.
pub trait Link: Send {
    /// Queues a sealed frame for `to`.
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError>;
    /// Waits for the next frame from `from`, which must have exactly the head `expected`, and returns its payload.
    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError>;
    /// A further lane between the same parties.
    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError>;
}

// ---------------------------------------------------------------- memory

#[derive(Default)]
struct Pipe {
    queue: Mutex<(VecDeque<Vec<u8>>, bool)>,
    ready: Condvar,
}

/// One party's end of an in-memory network.
pub struct MemoryLink {
    me: PartyId,
    lane: u16,
    timeout: Duration,
    net: Arc<Network>,
}

struct Network {
    parties: u8,
    pipes: Mutex<std::collections::HashMap<(PartyId, PartyId, u16), Arc<Pipe>>>,
    open_ends: Mutex<std::collections::HashMap<(PartyId, u16), usize>>,
}

impl Network {
    fn pipe(&self, from: PartyId, to: PartyId, lane: u16) -> Arc<Pipe> {
        self.pipes.lock().expect("not poisoned").entry((from, to, lane)).or_default().clone()
    }
}

/// A network of `parties` in one process: one link each, lane 0. A `take` that waits longer than `timeout` fails.
pub fn memory(parties: u8, timeout: Duration) -> Vec<MemoryLink> {
    let net = Arc::new(Network { parties, pipes: Mutex::default(), open_ends: Mutex::default() });
    (0..parties).map(|p| MemoryLink::open(PartyId(p), 0, timeout, &net)).collect()
}

impl MemoryLink {
    fn open(me: PartyId, lane: u16, timeout: Duration, net: &Arc<Network>) -> Self {
        *net.open_ends.lock().expect("not poisoned").entry((me, lane)).or_default() += 1;
        MemoryLink { me, lane, timeout, net: net.clone() }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut ends = self.net.open_ends.lock().expect("not poisoned");
        let left = ends.entry((self.me, self.lane)).or_default();
        *left -= 1;
        if *left == 0 {
            for to in (0..self.net.parties).map(PartyId).filter(|p| *p != self.me) {
                let pipe = self.net.pipe(self.me, to, self.lane);
                pipe.queue.lock().expect("not poisoned").1 = true;
                pipe.ready.notify_all();
            }
        }
    }
}

impl Link for MemoryLink {
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError> {
        let pipe = self.net.pipe(self.me, to, self.lane);
        pipe.queue.lock().expect("not poisoned").0.push_back(frame.into_bytes());
        pipe.ready.notify_all();
        Ok(())
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        let pipe = self.net.pipe(from, self.me, self.lane);
        let guard = pipe.queue.lock().expect("not poisoned");
        let (mut guard, timeout) =
            pipe.ready.wait_timeout_while(guard, self.timeout, |(queue, closed)| queue.is_empty() && !*closed).expect("not poisoned");
        let Some(mut bytes) = guard.0.pop_front() else {
            return Err(if timeout.timed_out() { LinkError::Deadline(self.timeout) } else { LinkError::Gone("its end is closed".into()) });
        };
        match bytes.first_chunk().and_then(Head::decode) {
            Some(head) if head == *expected && bytes.len() == Head::BYTES + head.len as usize => {
                bytes.drain(..Head::BYTES);
                Ok(bytes)
            }
            Some(Head { kind: Kind::Abort, .. }) => Err(LinkError::Aborted),
            other => Err(LinkError::Unexpected(other)),
        }
    }

    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        Ok(Box::new(MemoryLink::open(self.me, lane, self.timeout, &self.net)))
    }
}

// ---------------------------------------------------------------- fault and record

/// What happens to a frame on its way out: the function may change, drop (empty vector) or multiply it. Arguments: index of the frame at this
/// party, receiver, head and payload bytes.
pub type Fault = Arc<dyn Fn(u64, PartyId, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync>;

/// A link that breaks what is sent through it.
pub struct FaultLink<L> {
    inner: L,
    fault: Fault,
    sent: Arc<std::sync::atomic::AtomicU64>,
}

impl<L: Link> FaultLink<L> {
    /// Applies `fault` to every frame `inner` is given.
    pub fn new(inner: L, fault: Fault) -> Self {
        FaultLink { inner, fault, sent: Arc::default() }
    }
}

impl<L: Link> Link for FaultLink<L> {
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError> {
        let index = self.sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (self.fault)(index, to, frame.into_bytes()).into_iter().try_for_each(|bytes| self.inner.submit(to, Frame(bytes)))
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        self.inner.take(from, expected)
    }

    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        let inner = self.inner.lane(lane)?;
        Ok(Box::new(FaultLink { inner, fault: self.fault.clone(), sent: self.sent.clone() }))
    }
}

impl Link for Box<dyn Link> {
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError> {
        (**self).submit(to, frame)
    }
    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        (**self).take(from, expected)
    }
    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        (**self).lane(lane)
    }
}

/// Everything one party received, in order: sender, head, payload. What a view test compares.
pub type View = Arc<Mutex<Vec<(PartyId, Head, Vec<u8>)>>>;

/// A link that keeps a copy of everything received.
pub struct RecordLink<L> {
    inner: L,
    view: View,
}

impl<L: Link> RecordLink<L> {
    /// Appends what `inner` receives to `view`.
    pub fn new(inner: L, view: View) -> Self {
        RecordLink { inner, view }
    }
}

impl<L: Link> Link for RecordLink<L> {
    fn submit(&mut self, to: PartyId, frame: Frame) -> Result<(), LinkError> {
        self.inner.submit(to, frame)
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        let payload = self.inner.take(from, expected)?;
        self.view.lock().expect("not poisoned").push((from, *expected, payload.clone()));
        Ok(payload)
    }

    fn lane(&mut self, lane: u16) -> Result<Box<dyn Link>, LinkError> {
        Ok(Box::new(RecordLink { inner: self.inner.lane(lane)?, view: self.view.clone() }))
    }
}

/// A link to peers who have said all they will say: gives out copies of what was received in another run, and drops what is sent.
pub struct ReplayLink {
    view: View,
    next: std::collections::HashMap<PartyId, usize>,
}

impl ReplayLink {
    /// The peers of whoever received `view`.
    pub fn new(view: View) -> Self {
        ReplayLink { view, next: std::collections::HashMap::new() }
    }
}

impl Link for ReplayLink {
    fn submit(&mut self, _to: PartyId, _frame: Frame) -> Result<(), LinkError> {
        Ok(())
    }

    fn take(&mut self, from: PartyId, expected: &Head) -> Result<Vec<u8>, LinkError> {
        let view = self.view.lock().expect("not poisoned");
        let next = self.next.entry(from).or_default();
        let (at, (_, head, payload)) = view
            .iter()
            .enumerate()
            .skip(*next)
            .find(|(_, (sender, ..))| *sender == from)
            .ok_or_else(|| LinkError::Gone("the recording ends here".into()))?;
        *next = at + 1;
        if head == expected { Ok(payload.clone()) } else { Err(LinkError::Unexpected(Some(*head))) }
    }

    fn lane(&mut self, _lane: u16) -> Result<Box<dyn Link>, LinkError> {
        Err(LinkError::Gone("a recording of one lane".into()))
    }
}
