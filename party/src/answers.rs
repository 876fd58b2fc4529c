//! This node's shares of the answers with noise that were given. The same question on the same data under the same contracts is answered by them: nobody
//! computes it again, so that asking often shows no other noise, and an owner that would put in other rows the second time has no second time.
//!
//! ```text
//! answers/NAME   NAME is the hash by which debits name the noise: of plan, roster, catalogue, snapshots and contracts
//! ```
//!
//! On disk a share is sealed (ChaCha20-Poly1305) under a key that follows from the node's identity, which is not in that folder: the folder alone says nothing, nor do two nodes', and a file of which
//! anything was changed is refused, whether its share was given included; one that was put back as it was before is not told from it, but by the other parties, who know whether they gave theirs. With their keys two nodes' shares are the answer, as in the computation; whoever asks for it has paid for it. All keep theirs on disk before the parts of
//! any leave it: the round in which the parties tell the digests of their parts comes in between ([`crate::joblog::result`]). So a part that was given
//! is one that all have, and only a share without which none was given is made anew. A node that has lost its own says so, and no one computes in its place.
//! Shares are wiped when a contract that they were given under is revoked or over; those answers are not to be had any more.

use crate::disk::{BESIDE, replace, supersede, wipe};
use crate::exchange::{Failure, exchanged};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use ledger::bytes::Hash;
use mpc_core::identity::Identity;
use mpc_core::{Abort, PartyId, Session, stack};
use query::message::{Code, QueryId, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{Error, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// The answers of which this node has a share.
pub(crate) struct Answers {
    folder: PathBuf,
    identity: Arc<Identity>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: BTreeMap<Hash, Kept>,
    /// Of which the file cannot be read: they may have been given.
    unreadable: BTreeMap<Hash, String>,
    /// Which attempt may look for an answer, or make it.
    claims: BTreeMap<Hash, (QueryId, u32)>,
    /// Those that could not be wiped, as was said.
    unwiped: BTreeSet<Hash>,
}

/// What is known of an answer without its share.
#[derive(Clone)]
pub(super) struct Kept {
    session: Hash,
    /// Whether this node's part may have left it.
    given: bool,
    until: u64,
    contracts: Vec<Hash>,
}

impl Kept {
    /// Whether a contract that it was given under is over by `now`, or revoked.
    fn is_over(&self, now: u64, revoked: impl Fn(&Hash) -> bool) -> bool {
        self.until < now || self.contracts.iter().any(revoked)
    }
}

impl Answers {
    /// Opens the folder `answers` of a node's state, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(state: &Path, identity: Arc<Identity>) -> IoResult<Self> {
        let folder = state.join("answers");
        let named = |path: &Path, error: &dyn Display| Error::other(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(&folder).map_err(|error| named(&folder, &error))?;
        let answers = Self { folder, identity, inner: Mutex::default() };
        let (mut kept, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(&answers.folder)? {
            let path = entry?.path();
            let Some(noise) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()) else {
                // Half written: none was given. What else there is is somebody else's.
                if path.extension().is_some_and(|ending| ending == BESIDE) {
                    wipe(&path).map_err(|error| named(&path, &error))?;
                }
                continue;
            };
            match answers.read(&noise) {
                Ok((known, _)) => drop(kept.insert(noise, known)),
                Err(error) => {
                    tracing::error!(%error, file = %path.display(), "a share of an answer cannot be read; that question is refused until it is restored");
                    unreadable.insert(noise, named(&path, &error).to_string());
                }
            }
        }
        *answers.inner() = Inner { kept, unreadable, ..Inner::default() };
        Ok(answers)
    }

    /// For an attempt of a job, the right to look for the answer with this noise, or to make it. A later attempt of the same job takes it over.
    ///
    /// # Errors
    /// `E_BUSY`: another job has it. `E_ANSWER`: this node cannot read what it has of it.
    pub fn claim(&self, noise: Hash, job: QueryId, attempt: u32) -> Result<Claim<'_>, Refusal> {
        let mut inner = self.inner();
        self.read_again(&mut inner);
        if let Some(why) = inner.unreadable.get(&noise) {
            let reason = format!("this may have been answered before, and this node cannot read its share of the answer: {why}");
            return Err(Refusal::new(
                Code::Answer,
                reason,
                "its operator should restore that file; or ask once an owner has published new data or signed another contract",
            ));
        }
        match inner.claims.get(&noise) {
            Some((other, _)) if *other != job => {
                let reason = format!("the same question is being answered in another job, {}", other.short());
                Err(Refusal::new(Code::Busy, reason, "ask again in a moment: the answer will be the same"))
            }
            _ => {
                inner.claims.insert(noise, (job, attempt));
                Ok(Claim { answers: self, noise, job, attempt })
            }
        }
    }

    /// Wipes the shares that were given under contracts that are over by `now`, or of which `revoked` says so. One that an attempt is at work on stays until that
    /// is over: an attempt that may end, because its contract is over for new jobs alone, has its answer.
    pub fn forget(&self, now: u64, revoked: impl Fn(&Hash) -> bool) {
        let mut inner = self.inner();
        self.read_again(&mut inner);
        let idle = inner.kept.iter().filter(|(noise, _)| !inner.claims.contains_key(noise));
        let over = idle.filter(|(_, kept)| kept.is_over(now, &revoked));
        let mut over: Vec<Hash> = over.map(|(noise, _)| *noise).collect();
        // Of one that cannot be decrypted its head says under which contracts it was given: whoever changed that could have removed it.
        let head = |noise: &&Hash| std::fs::read(self.path(noise)).ok().and_then(|bytes| File::parse(&bytes).map(|file| file.kept));
        over.extend(inner.unreadable.keys().filter(|noise| head(noise).is_some_and(|kept| kept.is_over(now, &revoked))));
        for noise in over {
            match wipe(&self.path(&noise)) {
                Ok(()) => {
                    inner.kept.remove(&noise);
                    inner.unreadable.remove(&noise);
                    inner.unwiped.remove(&noise);
                }
                // It is tried again whenever contracts are looked at, and said once.
                Err(error) if inner.unwiped.insert(noise) => {
                    let file = self.path(&noise);
                    tracing::error!(%error, file = %file.display(), "a share of an answer whose contract is over could not be wiped; mend the disk, or remove it by hand");
                }
                Err(_) => {}
            }
        }
    }

    /// Looks whether what could not be read is mended.
    fn read_again(&self, inner: &mut Inner) {
        let mended: Vec<_> = inner.unreadable.keys().filter_map(|noise| Some((*noise, self.read(noise).ok()?.0))).collect();
        for (noise, kept) in mended {
            inner.unreadable.remove(&noise);
            inner.kept.insert(noise, kept);
        }
    }

    fn path(&self, noise: &Hash) -> PathBuf {
        self.folder.join(noise.to_string())
    }

    /// What there is on disk of an answer: what is known of it, and this node's share.
    ///
    /// # Errors
    /// It cannot be read, or anything in it is not as this node wrote it.
    pub(super) fn read(&self, noise: &Hash) -> IoResult<(Kept, Zeroizing<Vec<u8>>)> {
        let bytes = std::fs::read(self.path(noise))?;
        let File { kept, tag, sealed } = File::parse(&bytes).ok_or_else(none_of_this)?;
        let share = self.under_key(noise, &kept.session, |cipher| {
            cipher.decrypt(&Nonce::from(MARKED[usize::from(kept.given)]), Payload { msg: tag, aad: &marked(&kept, sealed) }).ok()?;
            cipher.decrypt(&Nonce::from(SHARE), Payload { msg: sealed, aad: &head(&kept) }).ok().map(Zeroizing::new)
        });
        Ok((kept, share.ok_or_else(changed)?))
    }

    /// The tag that says whether what is sealed was given.
    fn mark(&self, noise: &Hash, kept: &Kept, sealed: &[u8]) -> IoResult<Vec<u8>> {
        let mark = Payload { msg: &[], aad: &marked(kept, sealed) };
        let nonce = Nonce::from(MARKED[usize::from(kept.given)]);
        self.under_key(noise, &kept.session, |cipher| cipher.encrypt(&nonce, mark)).map_err(|_| Error::other("it cannot be sealed"))
    }

    /// What is done under the key of a share on disk: of each session there is one of a noise, and so each nonce is for one message.
    fn under_key<T>(&self, noise: &Hash, session: &Hash, work: impl FnOnce(&ChaCha20Poly1305) -> T) -> T {
        stack::wiped(|| {
            let secret = Zeroizing::new(self.identity.signing_key().to_bytes());
            let key = Zeroizing::new(Hash::sha256(&[b"tacit/v1/answers\n", &*secret, &noise.0, &session.0]).0);
            work(&ChaCha20Poly1305::new(&(*key).into()))
        })
    }

    /// What is behind the lock is changed once a file is: a thread that panicked has left it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &dyn Display) -> Refusal {
        let reason = format!("this node cannot keep its share of the answer in {}: {error}", self.folder.display());
        Refusal::new(Code::Internal, reason, "its operator should look at the disk of its state folder")
    }
}

/// The one attempt that looks for an answer, or makes it.
pub(crate) struct Claim<'a> {
    answers: &'a Answers,
    noise: Hash,
    job: QueryId,
    attempt: u32,
}

impl Claim<'_> {
    /// This node's share of the answer, if the parties find that it was given; `None` if they are to compute it. One round.
    ///
    /// # Errors
    /// A peer is gone; or it was given, and somebody's share is lost.
    pub fn given(&self, session: &mut Session, names: impl Fn(PartyId) -> String) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mine = self.state();
        let states = states(session, mine).map_err(Failure::Session)?;
        match decided(&states) {
            Decision::Compute => Ok(None),
            Decision::Give(session) => {
                let read = self.answers.read(&self.noise);
                let read = read.and_then(|(kept, share)| if kept.session == session { Ok(share) } else { Err(changed()) });
                Ok(Some(read.map_err(|error| Failure::Refused(self.answers.failed(&error)))?))
            }
            Decision::Lost(lost) => {
                let lost: Vec<String> = lost.into_iter().map(names).collect();
                Err(Failure::Refused(Refusal::new(
                    Code::Answer,
                    format!("this was answered before, and {} no longer has its share of the answer", lost.join(" and ")),
                    "its operator should bring back the folder `answers` of the node's state; or ask once an owner has published new data or signed another contract",
                )))
            }
        }
    }

    /// Keeps this node's share on disk, as none of that session is given yet.
    ///
    /// # Errors
    /// It cannot be written, or a later attempt goes on in the place of this one.
    pub fn keep(&self, session: Hash, until: u64, contracts: Vec<Hash>, share: &[u8]) -> Result<(), Refusal> {
        let mut inner = self.inner()?;
        let kept = Kept { session, given: false, until, contracts };
        let sealing = Payload { msg: share, aad: &head(&kept) };
        let sealed = self.answers.under_key(&self.noise, &session, |cipher| cipher.encrypt(&Nonce::from(SHARE), sealing));
        let sealed = sealed.map_err(|_| self.answers.failed(&"it cannot be sealed"))?;
        let mark = self.answers.mark(&self.noise, &kept, &sealed).map_err(|error| self.answers.failed(&error))?;
        let path = self.answers.path(&self.noise);
        // One of an earlier session, of which none was given, would stay on the disk below the new one.
        wipe(&path).map_err(|error| self.answers.failed(&error))?;
        inner.kept.remove(&self.noise);
        replace(&path, &[&head(&kept), &[0], &mark, &sealed]).map_err(|error| self.answers.failed(&error))?;
        inner.kept.insert(self.noise, kept);
        Ok(())
    }

    /// Notes on disk that this node's part is given; only then may it be.
    ///
    /// # Errors
    /// It cannot be written, or a later attempt goes on in the place of this one.
    pub fn give(&self) -> Result<(), Refusal> {
        let mut inner = self.inner()?;
        let path = self.answers.path(&self.noise);
        let kept = inner.kept.get_mut(&self.noise).ok_or_else(|| self.answers.failed(&"it has none"))?;
        if !kept.given {
            let given = Kept { given: true, ..kept.clone() };
            let rewritten = std::fs::read(&path).and_then(|bytes| {
                // What is not as it was kept is not said to be given.
                self.answers.read(&self.noise)?;
                let File { sealed, .. } = File::parse(&bytes).ok_or_else(none_of_this)?;
                supersede(&path, &[&head(&given), &[1], &self.answers.mark(&self.noise, &given, sealed)?, sealed])
            });
            rewritten.map_err(|error| self.answers.failed(&error))?;
            *kept = given;
        }
        Ok(())
    }

    fn state(&self) -> State {
        match self.answers.inner().kept.get(&self.noise) {
            None => State::None,
            Some(Kept { session, given: false, .. }) => State::Kept(*session),
            Some(Kept { session, given: true, .. }) => State::Given(*session),
        }
    }

    /// What is behind the lock, as long as this attempt has its claim.
    fn inner(&self) -> Result<MutexGuard<'_, Inner>, Refusal> {
        let inner = self.answers.inner();
        match inner.claims.get(&self.noise) == Some(&(self.job, self.attempt)) {
            true => Ok(inner),
            false => Err(Refusal::new(Code::Peer, "a later attempt at the query goes on in the place of this one", "")),
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut inner = self.answers.inner();
        if inner.claims.get(&self.noise) == Some(&(self.job, self.attempt)) {
            inner.claims.remove(&self.noise);
        }
    }
}

/// What a party has of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    /// A share of this session, of which this party has given none.
    Kept(Hash),
    /// One that it may have given.
    Given(Hash),
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Compute,
    /// That of this session.
    Give(Hash),
    /// These have no share of what was given.
    Lost(Vec<PartyId>),
}

/// Where any has given its part, that answer is the one; where none has, one that all have will do. What a party says for itself alone cannot make others compute again what they gave.
fn decided(states: &BTreeMap<PartyId, State>) -> Decision {
    let session = |state: &State| match state {
        State::None => None,
        State::Kept(session) | State::Given(session) => Some(*session),
    };
    let given = states.values().filter(|state| matches!(state, State::Given(_))).find_map(session);
    let first = states.values().find_map(session);
    let lost = |of: Hash| states.iter().filter(move |(_, state)| session(state) != Some(of)).map(|(party, _)| *party).collect::<Vec<_>>();
    match (given, first) {
        (Some(given), _) => match lost(given) {
            lost if lost.is_empty() => Decision::Give(given),
            lost => Decision::Lost(lost),
        },
        (None, Some(kept)) if lost(kept).is_empty() => Decision::Give(kept),
        (None, _) => Decision::Compute,
    }
}

/// What all have, told by each to all.
fn states(session: &mut Session, mine: State) -> Result<BTreeMap<PartyId, State>, Abort> {
    let (number, of) = match mine {
        State::None => (0, Hash([0; 32])),
        State::Kept(of) => (1, of),
        State::Given(of) => (2, of),
    };
    let told = exchanged(session, "answered before", &[number], &of)?;
    let state = |(party, ([number], of)): (PartyId, ([u64; 1], Hash))| match number {
        0 => Ok((party, State::None)),
        1 => Ok((party, State::Kept(of))),
        2 => Ok((party, State::Given(of))),
        _ => Err(Abort::Malformed { peer: party, label: "answered before", what: "no state of an answer" }),
    };
    told.into_iter().map(state).collect()
}

const MAGIC: &[u8] = b"tacit/v1/answer\n";
/// Behind the magic: the session, until when it is kept, the number of contracts.
const HEAD: usize = 32 + 8 + 4;
/// Bytes of an authenticator.
const TAG: usize = 16;
/// Nonces under the key of a share: for the share, and for the tag that says whether it was given, which is another for either.
const SHARE: [u8; 12] = [0; 12];
const MARKED: [[u8; 12]; 2] = [[1; 12], [2; 12]];

/// A file: its head, whether its share was given, the tag of that, and the sealed share.
struct File<'a> {
    kept: Kept,
    tag: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> File<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (head, rest) = rest.split_first_chunk::<HEAD>()?;
        let session = Hash(head[..32].try_into().ok()?);
        let until = u64::from_le_bytes(head[32..40].try_into().ok()?);
        let contracts = usize::try_from(u32::from_le_bytes(head[40..].try_into().ok()?)).ok()?;
        let (contracts, rest) = rest.split_at_checked(contracts.checked_mul(32)?)?;
        let contracts = contracts.as_chunks::<32>().0.iter().map(|id| Hash(*id)).collect();
        let ([given @ (0 | 1)], rest) = rest.split_first_chunk::<1>()? else { return None };
        let (tag, sealed) = rest.split_at_checked(TAG)?;
        (sealed.len() >= TAG).then_some(Self { kept: Kept { session, given: *given == 1, until, contracts }, tag, sealed })
    }
}

/// What a share is sealed with: all that is known of it but whether it was given.
fn head(kept: &Kept) -> Vec<u8> {
    let mut head = [MAGIC, &kept.session.0, &kept.until.to_le_bytes()].concat();
    head.extend((kept.contracts.len() as u32).to_le_bytes());
    kept.contracts.iter().for_each(|contract| head.extend(contract.0));
    head
}

/// What the tag is of that says whether a share was given: the whole head, and which share.
fn marked(kept: &Kept, sealed: &[u8]) -> Vec<u8> {
    [&head(kept)[..], &[u8::from(kept.given)], &sealed[sealed.len().saturating_sub(TAG)..]].concat()
}

fn none_of_this() -> Error {
    Error::other("it is not a share of an answer that was given; restore it")
}

fn changed() -> Error {
    Error::other("it is not as this node wrote it: it was changed, or is another node's; restore it")
}

#[cfg(test)]
mod tests;
