//! Before owners deal on a log's snapshots: which parts are bound, under which keys they are dealt, and whether they are what they were.

use super::*;
use crate::dealing::{Dealt, Part, Secret};
use crate::exchange::each;
use ledger::entry;
use ledger::replay::Replay;
use mpc_core::prss::EdgeKey;
use mpc_core::{Column, Ring, Z64, stack};
use protocols::{Ahead, Dealing, Said};
use query::local::Inputs;
use std::collections::BTreeMap;

/// A key or a salt, the digests of the key and of what goes to the left, a signature.
const BYTES: usize = 32 + 32 + 32 + 64;

/// What a party tells a peer of its dealing.
struct Words(Box<Zeroizing<[u8; BYTES]>>);

impl Words {
    fn new(secret: &Secret, dealt: &Dealt) -> Self {
        let mut words = Self(Box::new(Zeroizing::new([0; BYTES])));
        words.0[..32].copy_from_slice(secret.bytes());
        words.0[32..64].copy_from_slice(&dealt.key.0);
        words.0[64..96].copy_from_slice(&dealt.left.0);
        words.0[96..].copy_from_slice(&dealt.signature);
        words
    }

    fn of_column(column: &Column<Z64>) -> Self {
        let mut words = Self(Box::new(Zeroizing::new([0; BYTES])));
        stack::wiped(|| words.0.chunks_mut(8).zip(column.as_slice()).for_each(|(to, word)| to.copy_from_slice(&word.0.to_le_bytes())));
        words
    }

    fn column(&self) -> Column<Z64> {
        stack::wiped(|| Column::from_rows(self.0.as_chunks::<8>().0.iter().map(|word| Z64(u64::from_le_bytes(*word))).collect()))
    }

    /// The key, to the right peer; the salt, to the left.
    fn secret(&self) -> Secret {
        Secret::told(self.0.first_chunk().expect("it is longer"))
    }

    fn dealt(&self) -> Dealt {
        let mut dealt = Dealt { left: Hash([0; 32]), key: Hash([0; 32]), signature: [0; 64] };
        dealt.key.0.copy_from_slice(&self.0[32..64]);
        dealt.left.0.copy_from_slice(&self.0[64..96]);
        dealt.signature.copy_from_slice(&self.0[96..]);
        dealt
    }
}

/// What an owner deals by.
struct Own {
    key: Secret,
    salt: Secret,
    dealt: Dealt,
}

impl Attempt<'_> {
    /// In a job on a log, two rounds: each owner whose part is bound tells its right peer its key, its left peer its salt, and both, signed, the digests of what it will deal. What a peer has taken note of otherwise goes no further; in the second round all say that they have judged.
    ///
    /// # Errors
    /// `E_DATA`: an owner deals otherwise than it did, or does not sign. Or a peer is gone, or nothing can be noted.
    pub(super) fn deal(&self, engine: &mut Rep3, program: &Program<'_>, inputs: &Inputs) -> Result<(), Refusal> {
        let parts = self.parts(program);
        if parts.is_empty() {
            return Ok(());
        }
        let me = engine.session().me();
        let (right, left) = (engine.session().right(1), engine.session().right(2));
        let own = parts.get(&me).map(|part| self.own(part, program, inputs)).transpose()?;
        let told = |peer: PartyId| match &own {
            Some(own) => Words::new(if peer == right { &own.key } else { &own.salt }, &own.dealt).column(),
            None => Column::zeros(mpc_core::Layout::new(BYTES / 8, 1)),
        };
        let received = each(engine.session_mut(), "dealing", BYTES / 8, told).map_err(|abort| self.refusal(&abort, Stage::Share))?;
        let (mut of_left, mut of_right, mut taken) = (None, None, Ok(()));
        for (peer, part) in parts.iter().filter(|(peer, _)| **peer != me) {
            let words = received.get(peer).map(Words::of_column).ok_or_else(defect)?;
            let mut dealt = words.dealt();
            if *peer == left {
                let key = words.secret();
                // of the key that masks, not of what is said of it
                dealt.key = key.digest();
                of_left = Some(edge(&key));
            } else {
                of_right = Some(Said { digest: dealt.left.0, salt: words.secret().into_bytes(), columns: program.deals(part.owner) });
            }
            // each is noted, whatever is found of the other
            taken = self.taken(part, &dealt).and(taken);
        }
        // Nobody deals, or ends the attempt, before all have judged: so both peers say what they found, and not that the other is gone.
        let judged = each(engine.session_mut(), "dealing", 1, |_| Column::zeros(mpc_core::Layout::new(1, 1)));
        taken.and(judged.map(drop).map_err(|abort| self.refusal(&abort, Stage::Share)))?;
        let own = own.map(|own| edge(&own.key));
        engine.dealing(Dealing::new(own.as_ref(), of_left.as_ref(), of_right));
        Ok(())
    }

    /// The parts that are bound, by who deals them: the same at all parties.
    fn parts(&self, program: &Program<'_>) -> BTreeMap<PartyId, Part<'_>> {
        let Some(query) = self.admitted.entry.as_deref() else { return BTreeMap::new() };
        let (roster, catalog) = (self.desk.grounds.roster(), self.desk.grounds.catalog_hash());
        let part = |owner: &'_ str| {
            // What was agreed on, not what it is laid out on: an owner that discloses another number of rows has the same part.
            let what = query::dealing::part(&self.admitted.plan, owner)?;
            (program.deals(owner) > 0).then_some(Hash(what))
        };
        let bound = roster.parties().filter_map(|node| {
            let (owner, what) = (node.name.as_str(), part(&node.name)?);
            let reads = query.reads.iter().filter(|read| entry::owner(&read.dataset) == Some(owner));
            let snapshots: BTreeMap<&str, Hash> = reads.map(|read| (read.dataset.as_str(), read.snapshot)).collect();
            let party = roster.party_id(owner)?;
            (!snapshots.is_empty()).then_some((party, Part { roster: Hash(roster.hash()), catalog, owner, snapshots, what }))
        });
        bound.collect()
    }

    /// What this node deals by.
    fn own(&self, part: &Part<'_>, program: &Program<'_>, inputs: &Inputs) -> Result<Own, Refusal> {
        let (node, identity) = (&self.desk.node, &self.desk.identity);
        let hash = program.hash_of_dealt(node, inputs).ok_or_else(defect)?;
        let (key, salt) = (Secret::key(identity, part, &hash), Secret::salt(identity, part, &hash));
        let mut sent = ToLeft(Ahead::new(&edge(&key), salt.bytes()));
        program.each_dealt(node, inputs, &mut sent).ok_or_else(defect)?;
        let dealt = Dealt::signed(identity, part, Hash(sent.0.digest()), key.digest());
        Ok(Own { key, salt, dealt })
    }

    /// Takes note of what an owner says it deals.
    fn taken(&self, part: &Part<'_>, dealt: &Dealt) -> Result<(), Refusal> {
        let (node, owner) = (&self.desk.node, part.owner);
        if !self.desk.grounds.roster().node(owner).is_some_and(|listed| dealt.is_signed(part, &listed.key)) {
            let reason = format!("`{owner}` does not sign, as `{node}` sees it, what it deals on the snapshots that the question names");
            return Err(Refusal::new(Code::Data, reason, "no rows were shared; ask its owner, and compare the releases of the two nodes"));
        }
        self.desk.dealings.note(node, part, dealt, self.admitted.job, || self.is_current(part))
    }

    /// Whether the log still names the snapshots, as far as this node has it: what was dealt on others is forgotten.
    fn is_current(&self, part: &Part<'_>) -> bool {
        let named = |replay: &Replay| {
            part.snapshots.iter().all(|(set, snapshot)| replay.snapshots().get(*set).is_none_or(|current| current == snapshot))
        };
        self.desk.mirror.as_ref().is_none_or(|mirror| mirror.look(named).unwrap_or(true))
    }
}

struct ToLeft(Ahead);

impl query::dealing::Dealt for ToLeft {
    fn column<R: Ring>(&mut self, column: &Column<R>) {
        self.0.add(column);
    }
}

fn edge(key: &Secret) -> EdgeKey {
    stack::wiped(|| EdgeKey::new(*key.bytes()))
}

fn defect() -> Refusal {
    Refusal::new(Code::Internal, "what this node deals is not what the plan has", "please report the query")
}
