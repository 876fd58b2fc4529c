//! Many rows with many: all pairs, or those with equal keys up to the number the catalogue bounds.

use datafusion::logical_expr::{Expr, Join, LogicalPlan};

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
        relation::{Operator as Op, RowNodeId},
    },
};

/// Pairs are formed by sorting if all of them would be so many times the places that are sorted: about the bits of a sort over those of a comparison.
const EXPANSION: u64 = 64;

/// Which join, for people.
fn joined_on(join: &Join) -> String {
    format!("join on {}", join.on.iter().map(|(l, r)| format!("{} = {}", said(l), said(r))).collect::<Vec<_>>().join(", "))
}

/// What is computed of each pair: the demands and their names, and whether it stays.
struct OfPairs<'a> {
    emit: Emit<'a>,
    values: Vec<(Val, String)>,
    keep: Option<RowNodeId>,
}

impl<'a> Rows<'a> {
    /// Many rows with many: expanded to the pairs there can be as the catalogue bounds them, if these are far fewer than all.
    pub(super) fn many(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        let most = u64::try_from(Facts::of(plan, self.catalog).rows).unwrap_or(u64::MAX).max(1);
        let all = a.saturating_mul(b);
        let (of, laid_out) = (joined_on(join), format!("at most {most} pairs of equal keys are laid out"));
        let compared = format!("all of at most {all} pairs are compared");
        let is_short = most > MOST_PAIRS || all <= EXPANSION * a.saturating_add(b).saturating_add(most);
        if is_short != (self.otherwise == Some(of.as_str())) {
            let why = format!(
                "neither side is unique on the keys, and as the catalogue bounds them there may be {most} pairs of equal keys: to lay them out would be longer"
            );
            self.decided.push(Decided::new(of, compared, why).or(laid_out));
            return self.product(join, demands);
        }
        let why = format!("neither side is unique on the keys, and there are {all} pairs of rows, too many to compare");
        self.decided.push(Decided::new(of, laid_out, why).or(compared));
        let sides = self.sides(join, true);
        let whole = Both::new(&sides, join, self, false)?;
        let computed = self.of_pairs(&whole, join.filter.iter().cloned(), demands)?;
        let (mut left, mut right) = self.key_demands(&sides)?;
        let keys = left.len();
        let homes = self.sided(&computed.emit, &whole, &mut left, &mut right);
        let (got_left, got_right) = (self.lower(&join.left, &left)?, self.lower(&join.right, &right)?);
        let on = (0..keys).map(|k| (got_left.at[k], got_right.at[k])).collect();
        let op = Op::Pairs { left: got_left.id, right: got_right.id, on };
        Ok(self.paired(op, (&got_left, &got_right), &homes, (most, false), computed))
    }

    /// All pairs, then the conditions: for a side of one row, and for few places.
    pub(super) fn product(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        let sides = self.sides(join, true);
        let whole = Both::new(&sides, join, self, false)?;
        let equal = join.on.iter().map(|(l, r)| l.clone().eq(r.clone()));
        let computed = self.of_pairs(&whole, equal.chain(join.filter.clone()), demands)?;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let homes = self.sided(&computed.emit, &whole, &mut left, &mut right);
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        if a.saturating_mul(b) > MOST_PAIRS {
            return Err(self.too_many_pairs(join, a, b));
        }
        let (got_left, got_right) = (self.lower(&join.left, &left)?, self.lower(&join.right, &right)?);
        let (l, r) = (self.relation(got_left.id), self.relation(got_right.id));
        let size = (l.places.saturating_mul(r.places), l.full && r.full);
        let op = Op::Cross { left: got_left.id, right: got_right.id };
        Ok(self.paired(op, (&got_left, &got_right), &homes, size, computed))
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

    /// A relation of pairs, and what is computed of them.
    fn paired(
        &mut self,
        op: Op,
        (left, right): (&Asked, &Asked),
        homes: &[(Side, usize)],
        (places, full): (u64, bool),
        OfPairs { emit, values, keep }: OfPairs<'_>,
    ) -> Asked {
        let (l, r) = (self.relation(left.id), self.relation(right.id));
        let columns: Vec<_> = l.columns.iter().chain(&r.columns).cloned().collect();
        let width = l.columns.len();
        let id = self.push(op, places, full, columns);
        let to: Vec<_> = homes.iter().map(|(side, d)| if *side == Side::Base { left.at[*d] } else { width + right.at[*d] }).collect();
        self.mapped(id, emit, &to, values, keep)
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
