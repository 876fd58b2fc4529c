//! How each step of the joint stage is computed, in words: the algorithm, and why there is no other where there is only one
//! ([`no_order`], [`no_asking`]). Of several ways the cost model chooses one ([`Program::decisions`]).

use super::program::Program;
use super::relation::{no_asking, no_masks, no_order};
use super::step::{Step, StepKind};
use crate::plan::relation::{Fold, FoldOp, Function, Operator, Search};
use protocols::rows::Ties;

/// Of owners that tell how many rows they have.
pub(crate) const DISCLOSED: &str = "numbers are shared, then opened to the parties";

impl Program<'_> {
    /// The algorithm of a step.
    pub(crate) fn how(&self, step: &Step) -> String {
        let words = match step.kind {
            StepKind::Disclose => DISCLOSED,
            StepKind::ShareBits | StepKind::ShareFp61 | StepKind::ShareFp127 => {
                "replicated shares; what common randomness does not give is sent, all columns at once"
            }
            StepKind::Logic(_) => {
                "one circuit over all rows, gates of a level in one message: the only way that shows nothing of single rows"
            }
            StepKind::Exists(_) => "a tree of ORs over the rows of each group: the only way, as a count would be opened with it",
            StepKind::Lift61(_) | StepKind::Lift127(_) => "bits become elements by two exclusive ors, a product each: the only way",
            StepKind::Multiply61(_) | StepKind::Multiply127(_) => "all products of a depth in one message: the only way",
            StepKind::Sum61(_) | StepKind::Sum127(_) => {
                "linear sums at each party; of products one element a group, however many rows: the only way"
            }
            StepKind::Noise(_) => "sums of biased bits that nobody knows: the only way whose law is exact",
            StepKind::Suppress(_) => "the signs of sums less their thresholds, then a product for each opening: the only way",
            StepKind::Rows(release) if self.plan().rows[release].ordered => {
                "blanked by a product with the row's bit; not shuffled, as their order is the answer"
            }
            StepKind::Rows(_) => {
                "blanked by a product with the row's bit, then shuffled, so that nothing shows where a row was: the only way"
            }
            StepKind::Release => "each party's part, re-randomised: only all together open",
            StepKind::Relation(id) => return self.how_related(id),
        };
        words.into()
    }

    fn how_related(&self, id: usize) -> String {
        let op = &self.plan().relations[id].op;
        let words = match op {
            Operator::Home { .. } => "in clear at its owner",
            Operator::Map { .. } => {
                let circuit =
                    "one circuit over all places, gates of a level in one message: the only way that shows nothing of single rows";
                return circuit.to_string() + &self.relations().divisions(id);
            }
            Operator::Lookup { search: Search::Ask, .. } => "circuit-PSI: tags of keys and pads, the third party between the two owners",
            Operator::Lookup { search, .. } => {
                let words = match search {
                    Search::SortInOrder => {
                        "the keys of both sides in one order; neighbours are compared, and the rows stay in it for the groups"
                    }
                    _ => "the keys of both sides in one order; neighbours are compared, and what is found goes back",
                };
                return words.to_string() + &because("no owner asks another", no_asking(self.plan(), op));
            }
            Operator::Pairs { .. } => {
                "both sides in one order by their keys, partners are counted and laid out: the only way of many with many but for all pairs"
            }
            Operator::Cross { .. } => "all pairs of places side by side; nothing is sent",
            Operator::Group { folds, .. } => {
                let found = match self.relations().group_words(id) {
                    (words, false) => words.to_string(),
                    (words, true) => {
                        let masks = because("not by masks", no_masks(self.plan(), &self.plan().relations[id]));
                        format!("{words}{masks}{}", because("no owner sorts the rows", no_order(self.plan(), op)))
                    }
                };
                return found + &ordered(folds.iter());
            }
            Operator::Total { folds, .. } => {
                let sorted = because("no owner sorts the rows", no_order(self.plan(), op));
                return format!("counts and sums are inner products, an element however many rows{}{sorted}", totals(folds));
            }
            Operator::Top { unique, .. } => {
                let first = match (self.relations().order_words(id), Ties::seen(*unique)) {
                    (Some(known), Ties::Any) => {
                        format!("{known}; the catalogue says that there are no ties, and rows that are left keep their order")
                    }
                    (Some(known), Ties::Random) => format!("{known}, who breaks ties at random"),
                    (None, Ties::Any) => "sorted".into(),
                    (None, Ties::Random) => "shuffled, so that ties are broken at random, sorted".into(),
                };
                return format!("{first}; cut{}", because("no owner sorts the rows", no_order(self.plan(), op)));
            }
            Operator::Union { .. } => "side by side; nothing is sent",
            Operator::Noise { .. } => "sums of biased bits that nobody knows: the only way whose law is exact",
            Operator::Window { functions, unique, .. } => {
                let whole = functions.iter().filter_map(|f| if let Function::Whole(fold) = f { Some(fold) } else { None });
                let first = match (self.relations().order_words(id), Function::ties(functions, *unique)) {
                    (Some(known), Ties::Any) => known,
                    (Some(known), Ties::Random) => format!("{known}, who breaks ties at random"),
                    (None, Ties::Any) => "sorted by partition and order".into(),
                    (None, Ties::Random) => "shuffled, so that ties are broken at random, then sorted by partition and order".into(),
                };
                let words = "what the first row of a partition, or of peers, has is spread to the others, in rounds that do not depend on \
                    their number: the only way";
                let sorted = because("no owner sorts the rows", no_order(self.plan(), op));
                return format!("{first}{sorted}; {words}{}", ordered(whole));
            }
        };
        words.into()
    }
}

/// That a way is not there, and why.
fn because(what: &str, why: Option<String>) -> String {
    why.map_or(String::new(), |why| format!("; {what}, because {why}"))
}

/// What folds over the order of a column take besides.
fn ordered<'f>(folds: impl Iterator<Item = &'f Fold> + Clone) -> String {
    let any = |of: fn(&FoldOp) -> bool| folds.clone().any(|fold| of(&fold.op));
    let extremes = any(|op| matches!(op, FoldOp::Min(_) | FoldOp::Max(_)));
    let distinct = any(|op| matches!(op, FoldOp::CountDistinct(_) | FoldOp::SumDistinct { .. }));
    let percentiles = any(|op| matches!(op, FoldOp::Percentile { .. }));
    let words = [
        (extremes, "; extremes are the first and last values of each group, in an order of their own: the only way for secret groups"),
        (distinct, "; distinct values are neighbours that differ, in an order of their own: the only way"),
        (percentiles, "; a percentile is the row at its position in an order of its own, found by comparing numbers of rows: the only way"),
    ];
    words.into_iter().filter(|(there, _)| *there).map(|(_, words)| words).collect()
}

/// The same without groups.
fn totals(folds: &[Fold]) -> String {
    let extremes = folds.iter().any(|fold| matches!(fold.op, FoldOp::Min(_) | FoldOp::Max(_)));
    let others = folds.iter().filter(|fold| !matches!(fold.op, FoldOp::Min(_) | FoldOp::Max(_)));
    let tournament = if extremes { "; extremes are a tournament, half of the rows at a time: a sort would be longer" } else { "" };
    format!("{tournament}{}", ordered(others))
}
