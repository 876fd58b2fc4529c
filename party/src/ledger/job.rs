//! What jobs ask of the mirror: what stands, what this node's tables are, and whether an attempt may begin.

use super::*;
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use ledger::entry::Query;
use ledger::policy::Window;
use ledger::replay::Replay;
use std::collections::BTreeMap;

impl Mirror {
    /// Reads what the entries amount to.
    ///
    /// # Errors
    /// Why this agency goes by its mirror no more.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Replay) -> T) -> Result<T, Refused> {
        let state = self.state();
        match &state.halted {
            Some(halted) => Err(halted.clone()),
            None => Ok(read(state.cosigner.replay())),
        }
    }

    /// Whether a contract is in the log, and revoked.
    pub(crate) fn is_revoked(&self, contract: &Hash) -> bool {
        self.state().cosigner.replay().is_revoked(contract)
    }

    /// Takes down what this node's tables hold, by the entries that say so.
    pub(crate) fn holds(&self, entries: &[String]) {
        let snapshot = |entry: &String| match Entry::parse(entry.as_bytes()).ok()?.body {
            Body::DataSet(data) => Some((data.dataset, data.snapshot)),
            _ => None,
        };
        self.0.tables.send_replace(Some(entries.iter().filter_map(snapshot).collect()));
    }

    /// The snapshots of this node's tables, once they have been read for it. For threads that may block.
    pub(crate) fn held(&self) -> Option<BTreeMap<String, Hash>> {
        let mut tables = self.0.tables.subscribe();
        let read = async { tables.wait_for(Option::is_some).await.ok().and_then(|tables| tables.clone()) };
        tokio::runtime::Handle::current().block_on(async { tokio::time::timeout(READ_WITHIN, read).await.ok().flatten() })
    }

    /// Passes an attempt at a job whose query is this, or not.
    ///
    /// # Errors
    /// Why this node does not begin.
    pub(crate) fn gate(&self, query: &Query, attempt: u32, checkpoint: &str, now: u64) -> Result<Head, Refused> {
        let state = self.state();
        if let Some(halted) = &state.halted {
            return Err(halted.clone());
        }
        let checkpoint = Checkpoint::parse(checkpoint).map_err(|error| Refused::new("E_LEDGER_SIGNATURE", error))?;
        let passed = state.cosigner.gate(&query.job, attempt.into(), &checkpoint, Window::at(now));
        let head = passed.map_err(|error| Refused::new(error.code(), error))?;
        match state.cosigner.replay().job(&query.job) {
            Some(job) if job.query == *query => Ok(head),
            _ => Err(Refused::new("E_LEDGER_JOB", "the log has another entry about this query than the one this node was offered")),
        }
    }

    /// Told whenever the mirror has grown.
    pub(crate) fn grown(&self) -> watch::Receiver<u64> {
        self.0.grown.subscribe()
    }
}

/// How long an offer waits for this node to have read its tables. Less than the coordinator waits for an answer.
const READ_WITHIN: Duration = Duration::from_secs(10);
