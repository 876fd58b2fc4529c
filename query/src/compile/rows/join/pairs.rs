//! Many rows with many: all pairs, or those with equal keys up to the number the catalogue bounds.

use datafusion::{
    common::Column,
    logical_expr::{Expr, Join, JoinType, LogicalPlan},
};

use super::both::{Both, Side};
use crate::{
    compile::{
        SqlError,
        expr::said,
        facts::{self, Facts},
        rows::{
            Asked, Demand, MOST_PAIRS, Rows,
            emit::{Emit, Scope, Val},
        },
    },
    plan::{
        Decided,
        relation::{Operator as Op, RowForm, RowNodeId},
    },
};

/// Pairs are formed by sorting if all of them would be so many times the places that are sorted: about the bits of a sort over those of a comparison.
const EXPANSION: u64 = 64;

/// Which join, for people.
pub(super) fn joined_on(join: &Join) -> String {
    format!("join on {}", join.on.iter().map(|(l, r)| format!("{} = {}", said(l), said(r))).collect::<Vec<_>>().join(", "))
}

/// How pairs are formed.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// All of equal keys, of which there are at most so many.
    Equal(u64),
    /// All, and then the equalities are conditions.
    All,
}

/// What is computed of each pair: the demands and their names, and whether it stays.
struct OfPairs<'a> {
    emit: Emit<'a>,
    values: Vec<(Val, String)>,
    keep: Option<RowNodeId>,
}

/// Pairs that are to be formed: what is asked of either side for them.
pub(super) struct Draft<'a> {
    pub(super) left: Vec<Demand>,
    pub(super) right: Vec<Demand>,
    layout: Layout,
    /// Equal keys, which are the first demands of either side.
    keys: usize,
    computed: OfPairs<'a>,
    /// Where each leaf comes from: a demand on the left or on the right.
    homes: Vec<(Side, usize)>,
}

impl Draft<'_> {
    /// One value more of each pair, of a column that a side has besides what is demanded of it: `at` says which of those asked for.
    pub(super) fn carry(&mut self, side: Side, at: usize, words: &str, form: &RowForm) {
        let leaf = Column::new(Some(words), if side == Side::Base { "left" } else { "right" });
        let val = self.computed.emit.leaf(&Expr::Column(leaf), form, false);
        self.computed.values.push((val, words.to_owned()));
        self.homes.push((side, at));
    }
}

impl<'a> Rows<'a> {
    /// Many rows with many.
    pub(super) fn many(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        let layout = self.layout(join)?;
        self.all_pairs(join, layout, demands)
    }

    /// All pairs, then the conditions: for a side of one row, and for few places.
    pub(super) fn product(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        self.all_pairs(join, Layout::All, demands)
    }

    fn all_pairs(&mut self, join: &Join, layout: Layout, demands: &[Demand]) -> Result<Asked, SqlError> {
        let draft = self.draft(join, layout, demands)?;
        let (left, right) = (self.lower(&join.left, &draft.left)?, self.lower(&join.right, &draft.right)?);
        Ok(self.formed(draft, &left, &right))
    }

    /// Many rows with many are expanded to the pairs there can be as the catalogue bounds them, if these are far fewer than all.
    pub(super) fn layout(&mut self, join: &Join) -> Result<Layout, SqlError> {
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        let inner = LogicalPlan::Join(Join { join_type: JoinType::Inner, ..join.clone() });
        let most = u64::try_from(Facts::of(&inner, self.catalog).rows).unwrap_or(u64::MAX).max(1);
        let all = a.saturating_mul(b);
        let (of, laid_out) = (joined_on(join), format!("at most {most} pairs of equal keys are laid out"));
        let compared = format!("all of at most {all} pairs are compared");
        let is_short = most > MOST_PAIRS || all <= EXPANSION * a.saturating_add(b).saturating_add(most);
        if is_short != (most <= MOST_PAIRS && self.otherwise == Some(of.as_str())) {
            let why = format!(
                "neither side is unique on the keys, and as the catalogue bounds them there may be {most} pairs of equal keys: to lay them out would be longer"
            );
            let decided = Decided::new(of, compared, why);
            // what cannot be laid out is no other way
            self.decided.push(if most > MOST_PAIRS { decided } else { decided.or(laid_out) });
            return Ok(Layout::All);
        }
        let why = format!("neither side is unique on the keys, and there are {all} pairs of rows, too many to compare");
        self.decided.push(Decided::new(of, laid_out, why).or(compared));
        Ok(Layout::Equal(most))
    }

    /// What is asked of either side for pairs, and what is computed of these.
    pub(super) fn draft(&self, join: &Join, layout: Layout, demands: &[Demand]) -> Result<Draft<'a>, SqlError> {
        let sides = self.sides(join, true);
        let whole = Both::new(&sides, join, self, false)?;
        let equal = join.on.iter().filter(|_| matches!(layout, Layout::All)).map(|(l, r)| l.clone().eq(r.clone()));
        let computed = self.of_pairs(&whole, equal.chain(join.filter.clone()), demands)?;
        let (mut left, mut right) = match layout {
            Layout::Equal(_) => self.key_demands(&sides)?,
            Layout::All => (Vec::new(), Vec::new()),
        };
        let keys = left.len();
        let homes = self.sided(&computed.emit, &whole, &mut left, &mut right);
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        if matches!(layout, Layout::All) && a.saturating_mul(b) > MOST_PAIRS {
            return Err(self.too_many_pairs(join, a, b));
        }
        Ok(Draft { left, right, layout, keys, computed, homes })
    }

    /// The pairs of two sides that meet the demands.
    pub(super) fn formed(&mut self, draft: Draft<'_>, left: &Asked, right: &Asked) -> Asked {
        let Draft { layout, keys, homes, computed: OfPairs { emit, values, keep }, .. } = draft;
        let (l, r) = (self.relation(left.id), self.relation(right.id));
        let columns: Vec<_> = l.columns.iter().chain(&r.columns).cloned().collect();
        let width = l.columns.len();
        let (op, places, full) = match layout {
            Layout::Equal(most) => {
                let on = (0..keys).map(|k| (left.at[k], right.at[k])).collect();
                (Op::Pairs { left: left.id, right: right.id, on }, most, false)
            }
            Layout::All => (Op::Cross { left: left.id, right: right.id }, l.places.saturating_mul(r.places), l.full && r.full),
        };
        let id = self.push(op, places, full, columns);
        let to: Vec<_> = homes.iter().map(|(side, d)| if *side == Side::Base { left.at[*d] } else { width + right.at[*d] }).collect();
        self.mapped(id, emit, &to, values, keep)
    }

    /// The demands over both sides' columns, of the pairs for which the conditions hold.
    fn of_pairs(&self, whole: &Both, conditions: impl Iterator<Item = Expr>, demands: &[Demand]) -> Result<OfPairs<'a>, SqlError> {
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let leaf = |e: &Expr| whole.leaf(e, false);
        let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
        let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
        let mut emit = Emit::new(self.text);
        let mut keep = Vec::new();
        for condition in conditions {
            keep.push(emit.condition(&condition, &mut scope)?.node);
        }
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let keep = (!keep.is_empty()).then(|| emit.and(keep));
        Ok(OfPairs { emit, values, keep })
    }

    /// Where each leaf comes from: a demand on the left or on the right.
    fn sided(&self, emit: &Emit<'_>, whole: &Both, left: &mut Vec<Demand>, right: &mut Vec<Demand>) -> Vec<(Side, usize)> {
        let home = |leaf: &Demand| match whole.side(&leaf.expr) {
            Some(Side::Table) => (Side::Table, self.demand(right, &leaf.expr, leaf.form.clone())),
            _ => (Side::Base, self.demand(left, &leaf.expr, leaf.form.clone())),
        };
        emit.leaves.iter().map(home).collect()
    }

    fn too_many_pairs(&self, join: &Join, a: u64, b: u64) -> SqlError {
        let place = join
            .on
            .iter()
            .find_map(|(l, r)| self.text.expr(l).or_else(|| self.text.expr(r)))
            .or_else(|| self.text.keyword("JOIN").or_else(|| self.text.keyword("FROM")));
        let (l, r) = (facts::tables(&join.left).join(", "), facts::tables(&join.right).join(", "));
        if join.on.is_empty() {
            return SqlError::unsupported(
                format!("{l} ({a} places) and {r} ({b} places) are joined without an equality of columns: {} pairs", a.saturating_mul(b)),
                "join them on equal keys",
            )
            .at(place);
        }
        let keys = join.on.iter().map(|(l, r)| format!("{} = {}", said(l), said(r))).collect::<Vec<_>>().join(" AND ");
        SqlError::unsupported(
            format!("neither {l} nor {r} is known to have one row for each key ({keys}), and {a} × {b} places are too many pairs"),
            "aggregate one with GROUP BY the key in a sub-query first, or declare in the catalogue the key of one of them, or in how many rows a key is at most (repeats)",
        )
        .at(place)
    }
}
