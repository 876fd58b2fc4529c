//! Session establishment: two flights in which the parties agree, each for itself, on what is about to run and derive
//! the session id and the edge keys from it.
//!
//! ```text
//! Hello_i   = Sign_i(i, terms, ephemeral X25519 key, 32-byte nonce)          to every peer
//! sid       = merlin("tacit/v1/session"){ Hello_0 .. Hello_{n-1} }           with their signatures, by party id
//! Confirm_i = sid, Sign_i(i, sid)                                            to every peer
//! K_ij      = HKDF-SHA-256(X25519(e_i, e_j), salt = sid, info = "edge" || min(i,j) || max(i,j))
//! ```
//!
//! Parties that would run different plans, rosters, catalogues, attempts or versions, by other contracts or on another log, stop at the first flight. A party
//! that says different things to different peers is found out at the second: the session ids differ. Nothing secret leaves before every
//! Confirm has been checked. Every attempt has fresh ephemeral keys, wiped when the edge keys exist, so every attempt has fresh
//! randomness, and nothing recorded in one attempt is accepted in another. That an attempt number is never used twice is the caller's
//! business: it keeps the numbers it has signed on disk.

use crate::identity::{Identity, PublicKey};
use crate::link::{Frame, Head, Kind, Link, LinkError};
use crate::prss::EdgeKey;
use crate::roster::Roster;
use crate::transcript::Transcript;
use crate::{Abort, PartyId, Session, stack};
use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What all parties must agree on before they compute together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The id of the signed query.
    pub qid: [u8; 32],
    /// The hash of the plan this party compiled itself.
    pub plan_hash: [u8; 32],
    /// The hash of the roster.
    pub roster_hash: [u8; 32],
    /// The hash of the catalogue.
    pub catalog_hash: [u8; 32],
    /// A hash of the contracts under which this party admitted the query.
    pub contracts: [u8; 32],
    /// A hash of the head of the city's log that this party believes the attempt to be started in; zeros if it stands on none.
    pub log: [u8; 32],
    /// Which attempt at the query this is; never used before at this party.
    pub attempt: u32,
    /// The version of the engine; see [`ENGINE_VERSION`].
    pub engine_version: u32,
    /// A hash of whatever else decides how the plan runs: scheme, security level, block sizes.
    pub params: [u8; 32],
    /// A hash of the snapshots of the data that the plan reads; zeros if there are none.
    pub data: [u8; 32],
}

/// The version of protocols and encodings this code speaks. It changes whenever two builds could not compute together.
pub const ENGINE_VERSION: u32 = 11;

/// Agrees on `terms` with every other party of the roster and returns the session. On any error the peers are told, so that nobody
/// waits.
///
/// # Errors
/// [`Abort::Refused`] names the first term on which a peer differs; [`Abort::Cheating`] a signature or key that is not what it must be;
/// the rest are the link's.
pub fn establish(identity: &Identity, roster: &Roster, me: PartyId, terms: &Terms, mut link: Box<dyn Link>) -> Result<Session, Abort> {
    match agree(identity, roster, me, terms, &mut *link) {
        Ok(Agreed { id, keys }) => Ok(Session::new(me, id, keys, link)),
        Err(abort) => {
            let head = head(Kind::Abort, 0);
            for peer in peers(roster, me) {
                // whether they hear it is of no consequence any more
                let _ = send(&mut *link, peer, &head, &[]);
            }
            Err(abort)
        }
    }
}

struct Agreed {
    id: [u8; 32],
    keys: Vec<Option<EdgeKey>>,
}

fn agree(identity: &Identity, roster: &Roster, me: PartyId, terms: &Terms, link: &mut dyn Link) -> Result<Agreed, Abort> {
    let listed = roster.party(me).ok_or(Abort::Exhausted("this party's id is not in the roster"))?;
    if listed.key != identity.public() {
        return Err(Abort::Refused(format!(
            "this node's key is not the one the roster lists for `{}`; check which key file the node was started with",
            listed.name
        )));
    }
    let secret = Ephemeral::generate()?;
    let mut nonce = [0; 32];
    random(&mut nonce)?;
    let mine = Hello { party: me, terms: terms.clone(), ephemeral: secret.public(), nonce }.sign(identity);

    // first flight
    for peer in peers(roster, me) {
        send(link, peer, &head(Kind::Hello, HELLO), &mine).map_err(|e| failed(e, peer, "hello"))?;
    }
    let mut signed = vec![mine; roster.parties().len()];
    let mut hellos: Vec<Option<Hello>> = vec![None; signed.len()];
    for peer in peers(roster, me) {
        let bytes = receive::<HELLO>(link, peer, Kind::Hello, "hello")?;
        hellos[peer.index()] = Some(Hello::verify(&bytes, peer, key(roster, peer)?)?);
        signed[peer.index()] = bytes;
    }
    for (peer, hello) in hellos.iter().enumerate() {
        let Some(hello) = hello else { continue };
        agree_on(terms, &hello.terms, roster, PartyId(peer as u8))?;
    }

    let mut transcript = Transcript::new(b"tacit/v1/session");
    for hello in &signed {
        transcript.absorb(b"hello", hello);
    }
    let sid = transcript.challenge(b"sid");

    // second flight
    let confirm = confirm(identity, me, &sid);
    for peer in peers(roster, me) {
        send(link, peer, &head(Kind::Confirm, CONFIRM), &confirm).map_err(|e| failed(e, peer, "confirm"))?;
    }
    for peer in peers(roster, me) {
        let bytes = receive::<CONFIRM>(link, peer, Kind::Confirm, "confirm")?;
        check_confirm(&bytes, peer, key(roster, peer)?, &sid)?;
    }

    let keys = hellos
        .iter()
        .enumerate()
        .map(|(peer, hello)| {
            let peer = PartyId(peer as u8);
            hello.as_ref().map(|hello| secret.edge(&hello.ephemeral, &sid, me, peer)).transpose()
        })
        .collect::<Result<_, _>>()?;
    Ok(Agreed { id: sid, keys })
}

// ---------------------------------------------------------------- messages

/// Bytes of a signed Hello: party, eight 32-byte fields of the terms and two numbers, ephemeral key, nonce, signature.
const HELLO: usize = 1 + 8 * 32 + 2 * 4 + 32 + 32 + SIGNATURE;
/// Bytes of a Confirm: session id, signature.
const CONFIRM: usize = 32 + SIGNATURE;
const SIGNATURE: usize = 64;
const HELLO_DOMAIN: &[u8] = b"tacit/v1/hello\0";
const CONFIRM_DOMAIN: &[u8] = b"tacit/v1/confirm\0";

#[derive(Clone)]
struct Hello {
    party: PartyId,
    terms: Terms,
    ephemeral: MontgomeryPoint,
    nonce: [u8; 32],
}

impl Hello {
    fn sign(&self, identity: &Identity) -> [u8; HELLO] {
        let t = &self.terms;
        let mut body = Vec::with_capacity(HELLO);
        body.push(self.party.0);
        for field in [&t.qid, &t.plan_hash, &t.roster_hash, &t.catalog_hash, &t.contracts, &t.log, &t.params, &t.data] {
            body.extend_from_slice(field);
        }
        body.extend_from_slice(&t.attempt.to_le_bytes());
        body.extend_from_slice(&t.engine_version.to_le_bytes());
        body.extend_from_slice(self.ephemeral.as_bytes());
        body.extend_from_slice(&self.nonce);
        let signature = identity.sign(&[HELLO_DOMAIN, &body].concat());
        body.extend_from_slice(&signature);
        body.try_into().expect("every field has a fixed size")
    }

    /// The Hello of `peer`; nothing in it is believed before its signature.
    fn verify(bytes: &[u8; HELLO], peer: PartyId, key: &PublicKey) -> Result<Self, Abort> {
        let (body, signature) = bytes.split_at(HELLO - SIGNATURE);
        key.verify(&[HELLO_DOMAIN, body].concat(), signature)
            .map_err(|_| Abort::Cheating { check: "signature of the Hello", culprit: Some(peer) })?;
        let mut fields = Fields(body);
        let [party] = fields.take();
        if party != peer.0 {
            return Err(Abort::Cheating { check: "party of the Hello", culprit: Some(peer) });
        }
        let [qid, plan_hash, roster_hash, catalog_hash, contracts, log, params, data] = std::array::from_fn(|_| fields.take());
        let [attempt, engine_version] = std::array::from_fn(|_| u32::from_le_bytes(fields.take()));
        let ephemeral = MontgomeryPoint(fields.take());
        let nonce = fields.take();
        let terms = Terms { qid, plan_hash, roster_hash, catalog_hash, contracts, log, attempt, engine_version, params, data };
        Ok(Hello { party: peer, terms, ephemeral, nonce })
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("a Hello has a fixed size");
        self.0 = rest;
        *field
    }
}

/// The first difference, most telling first: other rosters or catalogues explain other plans.
fn agree_on(mine: &Terms, theirs: &Terms, roster: &Roster, peer: PartyId) -> Result<(), Abort> {
    let hash = |h: &[u8; 32]| h[..8].iter().map(|b| format!("{b:02x}")).collect::<String>();
    let number = |n: u32| n.to_string();
    let terms = [
        ("engine version", number(mine.engine_version), number(theirs.engine_version), mine.engine_version == theirs.engine_version),
        ("roster", hash(&mine.roster_hash), hash(&theirs.roster_hash), mine.roster_hash == theirs.roster_hash),
        ("catalogue", hash(&mine.catalog_hash), hash(&theirs.catalog_hash), mine.catalog_hash == theirs.catalog_hash),
        ("query", hash(&mine.qid), hash(&theirs.qid), mine.qid == theirs.qid),
        ("attempt", number(mine.attempt), number(theirs.attempt), mine.attempt == theirs.attempt),
        ("plan", hash(&mine.plan_hash), hash(&theirs.plan_hash), mine.plan_hash == theirs.plan_hash),
        ("set of contracts", hash(&mine.contracts), hash(&theirs.contracts), mine.contracts == theirs.contracts),
        ("head of the city's log", hash(&mine.log), hash(&theirs.log), mine.log == theirs.log),
        ("set of snapshots", hash(&mine.data), hash(&theirs.data), mine.data == theirs.data),
        ("parameters", hash(&mine.params), hash(&theirs.params), mine.params == theirs.params),
    ];
    match terms.into_iter().find(|(.., equal)| !equal) {
        None => Ok(()),
        Some((term, mine, theirs, _)) => Err(Abort::Refused(format!(
            "party {peer}{} has another {term} ({theirs}; here {mine}): {}",
            roster.party(peer).map(|n| format!(" (`{}`)", n.name)).unwrap_or_default(),
            match term {
                "engine version" => "install the same release at both nodes",
                "roster" | "catalogue" => "put the same file at every node and restart",
                "plan" => "the nodes compiled the query differently; compare their releases",
                "set of contracts" => "put the same contracts and revocations into the `contracts` folder of every node",
                _ => "no share has left this node; submit the query again",
            }
        ))),
    }
}

fn confirm_message(party: PartyId, sid: &[u8]) -> Vec<u8> {
    [CONFIRM_DOMAIN, &[party.0], sid].concat()
}

fn confirm(identity: &Identity, me: PartyId, sid: &[u8; 32]) -> [u8; CONFIRM] {
    let mut bytes = [0; CONFIRM];
    bytes[..32].copy_from_slice(sid);
    bytes[32..].copy_from_slice(&identity.sign(&confirm_message(me, sid)));
    bytes
}

fn check_confirm(bytes: &[u8; CONFIRM], peer: PartyId, key: &PublicKey, sid: &[u8; 32]) -> Result<(), Abort> {
    let (theirs, signature) = bytes.split_at(32);
    key.verify(&confirm_message(peer, theirs), signature)
        .map_err(|_| Abort::Cheating { check: "signature of the Confirm", culprit: Some(peer) })?;
    match theirs == sid {
        true => Ok(()),
        // whoever told two parties different things, it need not be the one whose Confirm shows it
        false => Err(Abort::Cheating { check: "all parties saw the same Hellos", culprit: None }),
    }
}

// ---------------------------------------------------------------- keys

/// The secret half of an X25519 key that lives for one attempt. On the heap, so that moving it leaves no copy.
struct Ephemeral(Box<Zeroizing<[u8; 32]>>);

impl Ephemeral {
    fn generate() -> Result<Self, Abort> {
        let mut secret = Ephemeral(Box::default());
        random(&mut secret.0[..])?;
        Ok(secret)
    }

    fn public(&self) -> MontgomeryPoint {
        stack::wiped(|| MontgomeryPoint::mul_base_clamped(**self.0))
    }

    fn edge(&self, theirs: &MontgomeryPoint, sid: &[u8; 32], me: PartyId, peer: PartyId) -> Result<EdgeKey, Abort> {
        let mine = self.public();
        let info = [&b"edge"[..], &[me.0.min(peer.0), me.0.max(peer.0)]].concat();
        stack::wiped(|| {
            let shared = Zeroizing::new(theirs.mul_clamped(**self.0).to_bytes());
            // a point of small order would make the key known to everyone, one's own key sent back to its sender alone
            let known = shared.ct_eq(&[0; 32]) | theirs.as_bytes().ct_eq(mine.as_bytes());
            if bool::from(known) {
                return Err(Abort::Cheating { check: "ephemeral key of the Hello", culprit: Some(peer) });
            }
            Ok(EdgeKey::derive(&shared, sid, &info))
        })
    }
}

fn random(bytes: &mut [u8]) -> Result<(), Abort> {
    getrandom::fill(bytes).map_err(|_| Abort::Exhausted("the operating system gave no randomness"))
}

// ---------------------------------------------------------------- frames

fn peers(roster: &Roster, me: PartyId) -> impl Iterator<Item = PartyId> {
    (0..roster.parties().len() as u8).map(PartyId).filter(move |p| *p != me)
}

fn key(roster: &Roster, party: PartyId) -> Result<&PublicKey, Abort> {
    roster.party(party).map(|node| &node.key).ok_or(Abort::Exhausted("a party's id is not in the roster"))
}

fn head(kind: Kind, len: usize) -> Head {
    Head { session: [0; 16], lane: 0, kind, piece: 0, step: 0, len: len as u32 }
}

fn send(link: &mut dyn Link, to: PartyId, head: &Head, payload: &[u8]) -> Result<(), LinkError> {
    let mut frame = Frame::with_capacity(payload.len());
    frame.payload_mut().extend_from_slice(payload);
    frame.seal(head);
    link.submit(to, frame)
}

fn receive<const N: usize>(link: &mut dyn Link, from: PartyId, kind: Kind, label: &'static str) -> Result<[u8; N], Abort> {
    let head = head(kind, N);
    let payload = link.take(from, &head).map_err(|e| crate::round::abort(e, from, label, Some(head)))?;
    payload.try_into().map_err(|_| Abort::Malformed { peer: from, label, what: "not of the fixed size" })
}

fn failed(e: LinkError, peer: PartyId, label: &'static str) -> Abort {
    crate::round::abort(e, peer, label, None)
}

#[cfg(test)]
mod tests;
