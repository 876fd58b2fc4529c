//! The cost model: of several ways to compute a relation the one of least estimated time ([`protocols::relational::choose`]).
//!
//! A way costs what the same program costs on shapes ([`Estimate`]): bytes and rounds exactly, but for those of samplesorts, which are expected; seconds by the network that is assumed, and the local work of sorts and of asking.

use crate::network::Network;
use mpc_core::{Abort, Layout};
use protocols::relational::{Choice, Sorting, choices};
use protocols::rows::Rows;
use protocols::{Cost, Estimate, Message};

/// One of several ways.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Which, for people.
    pub words: String,
    /// What it costs.
    pub cost: Cost,
    /// Whether it costs just that: where rows are compared in a random order it is what is expected.
    pub is_exact: bool,
    /// Seconds it is estimated to take.
    pub seconds: f64,
}

impl Way {
    /// The way that `run` goes.
    pub(super) fn price(
        words: String,
        network: Network,
        run: &mut dyn FnMut(&mut Estimate) -> Result<Rows<Estimate>, Abort>,
    ) -> Result<Self, Abort> {
        let mut engine = Estimate::new();
        run(&mut engine)?;
        let cost = engine.cost();
        Ok(Way { words, cost, is_exact: engine.is_exact(), seconds: network.model().seconds(&cost) + engine.work() })
    }

    /// This way, and then another for what follows.
    pub(super) fn then(self, next: &Way) -> Self {
        let (cost, seconds) = (self.cost.then(next.cost), self.seconds + next.seconds);
        Way { words: self.words, cost, is_exact: self.is_exact && next.is_exact, seconds }
    }
}

/// What the cost model chose, and among what.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// What there was to choose.
    pub of: String,
    /// The way that is gone, then the others, the quickest first.
    pub ways: Vec<Way>,
}

impl Decision {
    /// How places are sorted, so many times, by a key of this layout.
    pub fn sort(key: Layout, chosen: Sorting, times: usize, network: Network) -> Self {
        let sorts = if times == 1 { "sort".into() } else { format!("{times} sorts") };
        let of = format!("{sorts} of {} places by {} bits", key.rows, key.planes);
        let mut ways = choices(key.rows, key.planes, Message::default(), network.model());
        ways.sort_by_key(|choice| choice.sorting != chosen);
        let way =
            |c: Choice| Way { words: c.sorting.to_string(), cost: c.cost, is_exact: c.sorting.is_exact(key.rows), seconds: c.seconds };
        Decision { of, ways: ways.into_iter().map(way).collect() }
    }
}
