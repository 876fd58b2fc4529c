//! The cost model: of several ways to compute a relation the one of least estimated time ([`protocols::relational::choose`]).
//!
//! A way costs what the same program costs on shapes ([`Estimate`]): bytes and rounds exactly, but for those of samplesorts, which are expected; seconds by the network that is assumed, and the local work of sorts and of asking.

use super::keys::zeros;
use super::{Bits, Cells, Rows, Values};
use crate::network::Network;
use crate::plan::Plan;
use crate::plan::relation::Relation;
use mpc_core::{Abort, B64, Layout};
use protocols::relational::{Choice, Sorting, choices};
use protocols::{Cost, Estimate, Message, Share};

/// What is public of a plan, and its operators work by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// What the [digests](super::digest) of wide keys are drawn from.
    pub seed: [u8; 32],
    /// By which ways are chosen.
    pub network: Network,
}

impl Setting {
    pub fn of(plan: &Plan) -> Self {
        Setting { seed: plan.hash(), network: plan.network }
    }

    /// That of a plan which is not whole yet, as there is nothing but costs to say. These do not depend on the seed.
    pub fn to_price(network: Network) -> Self {
        Setting { seed: [0; 32], network }
    }

    /// How to sort so many rows by a key of so many bits: the quickest way.
    pub fn sorting(&self, rows: usize, bits: usize) -> Sorting {
        protocols::relational::choose(rows, bits, Message::default(), self.network.model())
    }
}

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

impl Rows<Estimate> {
    /// Rows of a relation's shape, with so many places.
    pub(super) fn shape(relation: &Relation, places: usize) -> Self {
        let one: Bits<Estimate> = zeros::<B64, Estimate>(&mut Estimate::new(), places, 1);
        let bits = |planes: usize| Share::<B64>::planes(&one, std::iter::repeat_n(0, planes));
        let columns = relation.columns.iter().map(|column| Cells {
            values: match column.form.ring() {
                None => Values::Bits(bits(column.form.width())),
                Some(crate::plan::Ring::Fp61) => Values::Fp61(bits(1)),
                Some(crate::plan::Ring::Fp127) => Values::Fp127(bits(1)),
            },
            valid: column.nullable.then(|| bits(1)),
        });
        Rows { places, row: (!relation.full).then(|| bits(1)), columns: columns.collect() }
    }
}
