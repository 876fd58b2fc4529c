//! The parties' connections, and what they say over them.

use super::*;

/// A party's connection, seen from here: dropping the sender closes it.
pub(super) struct Seat {
    pub(super) node: Node,
    pub(super) link: Option<Link>,
    pub(super) ready: Option<Ready>,
    /// What keeps it from taking part although it is connected.
    pub(super) trouble: Option<Refusal>,
}

pub(super) struct Link {
    /// Tells a party's connections apart, so that the end of an old one does not end the new one.
    pub(super) epoch: u64,
    pub(super) to_party: mpsc::Sender<ToParty>,
}

impl Scheduler {
    /// A party has dialled. An older connection of the same party is over.
    pub(crate) fn connected(&mut self, party: usize, epoch: u64, to_party: mpsc::Sender<ToParty>, now: Now) {
        if self.seats[party].link.is_some() {
            self.unseat(party, "dialled again", now);
        }
        tracing::info!(party = %self.seats[party].node.name, "party connected");
        let seat = &mut self.seats[party];
        (seat.link, seat.ready, seat.trouble) = (Some(Link { epoch, to_party }), None, None);
    }

    /// A party's connection is over.
    pub(crate) fn lost(&mut self, party: usize, epoch: u64, why: &str, now: Now) {
        if self.is_seated(party, epoch) {
            self.unseat(party, why, now);
        }
    }

    pub(super) fn is_seated(&self, party: usize, epoch: u64) -> bool {
        self.seats[party].link.as_ref().is_some_and(|link| link.epoch == epoch)
    }

    pub(super) fn unseat(&mut self, party: usize, why: &str, now: Now) {
        let seat = &mut self.seats[party];
        seat.link = None;
        let name = seat.node.name.clone();
        tracing::warn!(party = %name, why, "party lost");
        let affected: Vec<QueryId> = self.running.iter().filter(|(_, attempt)| !attempt.is_answered(party)).map(|(job, _)| *job).collect();
        for job in affected {
            let reason = format!("the connection to `{name}` was lost while the job ran: {why}");
            let refusal = Refusal::new(Code::Peer, reason, format!("see that the node `{name}` runs, then ask again"));
            self.fault(job, party, PartyRefusal::of_coordinator(refusal), now);
        }
    }

    /// A frame of a party.
    pub(crate) fn frame(&mut self, party: usize, epoch: u64, frame: FromParty, now: Now) {
        if !self.is_seated(party, epoch) {
            return;
        }
        if self.seats[party].ready.is_none() && !matches!(frame, FromParty::Ready(_)) {
            return self.unseat(party, "its first frame was not `ready`", now);
        }
        let node = self.seats[party].node.clone();
        let result = match frame {
            FromParty::Ready(ready) => {
                self.ready(party, ready);
                Ok(())
            }
            FromParty::Progress(progress) => {
                self.progress(party, progress, now);
                Ok(())
            }
            FromParty::Accept(stated) => {
                Accept::open(&stated.note, &node.name, &node.key).map(|accept| self.accepted(party, &accept, stated.entries, now))
            }
            FromParty::Refuse(signed) => Refuse::open(&signed.note, &node.name, &node.key)
                .map(|Refuse { job, attempt, refusal }| self.declined(party, job, attempt, refusal, signed.note, now)),
            FromParty::Failed(stated) => Failed::open(&stated.note, &node.name, &node.key).map(|Failed { job, attempt, refusal }| {
                self.signed_end(party, job, attempt, refusal.code, stated.entries);
                self.declined(party, job, attempt, refusal, stated.note, now);
            }),
            FromParty::Sealed(stated) => {
                Sealed::open(&stated.note, &node.name, &node.key).map(|sealed| self.sealed_by(party, &sealed, stated, now))
            }
            // This city keeps no log.
            FromParty::Ledger(_) => Ok(()),
        };
        if let Err(error) = result {
            // Such a party is broken or hostile: nothing more is read from this connection.
            self.unseat(party, &format!("it sent a note that does not verify: {error}"), now);
        }
    }

    fn ready(&mut self, party: usize, ready: Ready) {
        let name = &self.seats[party].node.name;
        let trouble = self.trouble(name, &ready);
        if let Some(trouble) = &trouble {
            tracing::warn!(party = %name, %trouble, "the party cannot take part");
        }
        let seat = &mut self.seats[party];
        // Its catalogue has been looked at.
        (seat.ready, seat.trouble) = (Some(Ready { catalog: None, ..ready }), trouble);
    }

    /// What keeps a connected party from taking part.
    fn trouble(&self, name: &str, ready: &Ready) -> Option<Refusal> {
        if ready.roster_hash != self.city.roster_hash {
            let fix = "put the same roster.toml at both and restart the party";
            return Some(Refusal::new(Code::Roster, format!("`{name}` has another roster than the coordinator"), fix));
        }
        if ready.catalog_hash == self.city.catalog_hash {
            return None;
        }
        let theirs = ready.catalog.as_deref().and_then(|text| Catalog::parse(text).ok());
        let difference = theirs.and_then(|theirs| self.city.catalog.difference(&theirs)).map(|which| format!(": {which}"));
        let reason = format!("`{name}` has another catalogue than the coordinator{}", difference.unwrap_or_default());
        Some(Refusal::new(Code::Catalog, reason, "put the same catalogue.toml at both and restart the one that had another"))
    }

    /// Parties that are not there, or cannot take part.
    pub(super) fn missing(&self) -> Vec<usize> {
        let present = |party: &usize| {
            let seat = &self.seats[*party];
            seat.link.is_some() && seat.ready.is_some() && seat.trouble.is_none()
        };
        (0..self.seats.len()).filter(|party| !present(party)).collect()
    }

    pub(super) fn names(&self, parties: &[usize]) -> Vec<String> {
        parties.iter().map(|party| self.seats[*party].node.name.clone()).collect()
    }

    /// Sends a frame; a party that does not drain its frames is as good as gone.
    pub(super) fn send(&mut self, party: usize, frame: ToParty, now: Now) {
        let Some(link) = &self.seats[party].link else { return };
        if link.to_party.try_send(frame).is_err() {
            self.unseat(party, "it takes no more frames", now);
        }
    }

    /// Sends a frame of an attempt to all parties, as long as none of them is found gone by it.
    pub(super) fn send_all(&mut self, job: QueryId, frame: &ToParty, now: Now) {
        for party in 0..self.seats.len() {
            if self.running.contains_key(&job) {
                self.send(party, frame.clone(), now);
            }
        }
    }
}
