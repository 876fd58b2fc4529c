//! Joins on private keys. One side (the *table*) is unique on the keys and is looked up for each row of the other (the *base*).
//!
//! ```text
//!  exists    IN, EXISTS and their negations: a look-up of which only whether there is a row counts
//!  not_in    NOT IN, where something may be NULL
//!  outer     outer joins whose kept side meets many rows
//!  pairs     many rows with many
//!  both      the columns of both sides together
//! ```

mod both;
mod exists;
mod not_in;
mod outer;
mod pairs;

pub(in crate::compile) use self::exists::SOME;

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, NullEquality},
    logical_expr::{Expr, Join, JoinType, LogicalPlan},
};

use self::both::{Both, Side};
use super::{
    Asked, Demand, Rows,
    emit::{Emit, Missing, Scope, Val},
    form,
};
use crate::{
    compile::{
        SqlError,
        expr::said,
        facts::{Facts, plain},
        internal,
    },
    plan::{
        Decided,
        relation::{Operator as Op, RelationId, RowColumn, RowForm, RowKind, RowNodeId, RowOp, Search},
    },
};

pub(in crate::compile) use self::not_in::constant_in_nulls;

/// The two inputs of a join, either way round.
struct Sides<'j> {
    base: &'j LogicalPlan,
    table: &'j LogicalPlan,
    /// Key expressions of base and table.
    on: Vec<(Expr, Expr)>,
    /// Whether base is the left one.
    straight: bool,
}

impl Rows<'_> {
    pub(super) fn join(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty() {
            return self.null_equal(join, demands);
        }
        let (left, right) = (self.sides(join, true), self.sides(join, false));
        match join.join_type {
            JoinType::Inner if join.on.is_empty() => {
                let why = "no column of one side equals one of the other";
                self.decided.push(Decided::new("join without equal keys", "all pairs of places are formed, as far as they are few", why));
                self.product(join, demands)
            }
            JoinType::Inner => {
                let (can_left, can_right) = (self.unique(&left), self.unique(&right));
                match (can_left, can_right) {
                    // the narrower relation keeps its places
                    (true, true) if self.bound(&join.right)? < self.bound(&join.left)? => self.lookup(right, join, demands, false),
                    (true, _) => self.lookup(left, join, demands, false),
                    (_, true) => self.lookup(right, join, demands, false),
                    _ => self.many(join, demands),
                }
            }
            JoinType::Left | JoinType::Right => {
                let kept = if join.join_type == JoinType::Left { left } else { right };
                if join.on.is_empty() && Facts::of(kept.table, self.catalog).exactly_one && join.filter.is_none() {
                    return self.product(join, demands);
                }
                if self.unique(&kept) {
                    return self.lookup(kept, join, demands, true);
                }
                self.outer(join, plan, demands)
            }
            JoinType::Full => self.outer(join, plan, demands),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => self.exists(left, join, demands),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => self.exists(right, join, demands),
        }
    }

    fn sides<'j>(&self, join: &'j Join, straight: bool) -> Sides<'j> {
        let (base, table): (&LogicalPlan, &LogicalPlan) = if straight { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let on = join.on.iter().map(|(l, r)| if straight { (l.clone(), r.clone()) } else { (r.clone(), l.clone()) }).collect();
        Sides { base, table, on, straight }
    }

    /// Whether at most one row of the table agrees with the keys.
    fn unique(&self, sides: &Sides<'_>) -> bool {
        let keys: BTreeSet<_> = sides.on.iter().filter_map(|(_, t)| plain(t, sides.table.schema())).collect();
        !keys.is_empty() && Facts::of(sides.table, self.catalog).unique_on(&keys)
    }

    fn bound(&self, plan: &LogicalPlan) -> Result<u64, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        super::home::places(&facts, self.catalog).ok_or_else(|| internal("a relation without a bound"))
    }

    /// The keys of both sides, in one form for each pair.
    fn key_demands(&self, sides: &Sides<'_>) -> Result<(Vec<Demand>, Vec<Demand>), SqlError> {
        let (fb, ft) = (Facts::of(sides.base, self.catalog), Facts::of(sides.table, self.catalog));
        let (mut base, mut table) = (Vec::new(), Vec::new());
        for (b, t) in &sides.on {
            let kb = form::known_of(b, sides.base.schema(), &fb.columns, self.catalog);
            let kt = form::known_of(t, sides.table.schema(), &ft.columns, self.catalog);
            let bytes = (form::text_bytes(b, sides.base, self.catalog), form::text_bytes(t, sides.table, self.catalog));
            let form = form::common((&kb, bytes.0), (&kt, bytes.1), &format!("{} = {}", said(b), said(t)))
                .map_err(|e| e.at(self.text.expr(b).or_else(|| self.text.expr(t))))?;
            base.push(Demand { expr: b.clone(), form: form.clone() });
            table.push(Demand { expr: t.clone(), form });
        }
        Ok((base, table))
    }

    /// One row for each row of the base: inner (only those that meet a row of the table) or with NULLs.
    fn lookup(&mut self, sides: Sides<'_>, join: &Join, demands: &[Demand], outer: bool) -> Result<Asked, SqlError> {
        let whole = Both::new(&sides, join, self, outer)?;
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let mut emit = Emit::new(self.text);
        // an expression of the table's columns is NULL with them only if it is strict
        let leaf = |e: &Expr| whole.leaf(e, outer);
        let mut matched_leaf = None;
        let matched = self.matched(&mut emit, &mut matched_leaf);
        let mut keep = matched;
        let of_table = |e: &Expr| whole.side(e) == Some(Side::Table);
        {
            let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
            let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
            if let Some(filter) = &join.filter {
                let condition = emit.condition(filter, &mut scope)?;
                keep = emit.and([matched, condition.node]);
                if outer {
                    emit.missing = Some(Missing { unless: keep, of: &of_table });
                }
            }
            let mut values = Vec::new();
            for d in demands {
                values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
            }
            emit.missing = None;
            let keep = (!outer).then_some(keep);
            self.looked_up(&sides, &whole, emit, matched_leaf, values, keep, outer)
        }
    }

    /// The leaf that stands for the bit "there is a row".
    fn matched(&self, emit: &mut Emit<'_>, leaf: &mut Option<usize>) -> RowNodeId {
        *leaf = Some(emit.leaves.len());
        emit.leaves.push(Demand { expr: Expr::Column(Column::new_unqualified("there is a row")), form: RowForm::Bit });
        emit.node(RowOp::Column(0), RowKind::Bit)
    }

    /// Lowers both sides for the leaves, looks up, and maps.
    #[allow(clippy::too_many_arguments)]
    fn looked_up(
        &mut self,
        sides: &Sides<'_>,
        whole: &Both,
        emit: Emit<'_>,
        matched: Option<usize>,
        values: Vec<(Val, String)>,
        keep: Option<RowNodeId>,
        outer: bool,
    ) -> Result<Asked, SqlError> {
        let (mut base, mut table) = self.key_demands(sides)?;
        let keys = base.len();
        let mut homes = Vec::new();
        for (i, leaf) in emit.leaves.iter().enumerate() {
            homes.push(if matched == Some(i) {
                None
            } else if whole.side(&leaf.expr) == Some(Side::Table) {
                Some((Side::Table, self.demand(&mut table, &leaf.expr, leaf.form.clone())))
            } else {
                Some((Side::Base, self.demand(&mut base, &leaf.expr, leaf.form.clone())))
            });
        }
        let got_base = self.lower(sides.base, &base)?;
        let got_table = self.lower(sides.table, &table)?;
        let on = (0..keys).map(|k| (got_base.at[k], got_table.at[k])).collect();
        let taken: Vec<usize> = homes
            .iter()
            .flatten()
            .filter(|(side, _)| *side == Side::Table)
            .map(|(_, d)| got_table.at[*d])
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let proved = !Facts::of(sides.table, self.catalog).raw;
        let (id, width) = self.push_lookup(got_base.id, got_table.id, on, taken.clone(), proved, outer);
        let to: Vec<usize> = homes
            .iter()
            .map(|home| match home {
                None => width + taken.len(),
                Some((Side::Base, d)) => got_base.at[*d],
                Some((Side::Table, d)) => width + taken.iter().position(|c| *c == got_table.at[*d]).unwrap_or_default(),
            })
            .collect();
        Ok(self.mapped(id, emit, &to, values, keep))
    }

    fn push_lookup(
        &mut self,
        base: RelationId,
        table: RelationId,
        on: Vec<(usize, usize)>,
        taken: Vec<usize>,
        proved: bool,
        outer: bool,
    ) -> (RelationId, usize) {
        let (b, t) = (self.relation(base), self.relation(table));
        let mut columns = b.columns.clone();
        let width = columns.len();
        columns.extend(taken.iter().map(|c| {
            let column = t.columns[*c].clone();
            RowColumn { nullable: column.nullable || outer, ..column }
        }));
        columns.push(RowColumn { words: "there is a row".into(), form: RowForm::Bit, nullable: false });
        let (places, full) = (b.places, b.full);
        // how equal keys are found is chosen once the plan is whole
        let op = Op::Lookup { base, table, on, columns: taken, proved, search: Search::Sort };
        (self.push(op, places, full, columns), width)
    }

    /// INTERSECT and EXCEPT: NULL equals NULL. The keys get a bit for NULL and a value in its place.
    fn null_equal(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        use datafusion::common::ScalarValue;
        use datafusion::functions::core::expr_fn::coalesce;
        let mut on = Vec::new();
        let (fl, fr) = (Facts::of(&join.left, self.catalog), Facts::of(&join.right, self.catalog));
        for (l, r) in &join.on {
            let (kl, kr) = (
                form::known_of(l, join.left.schema(), &fl.columns, self.catalog),
                form::known_of(r, join.right.schema(), &fr.columns, self.catalog),
            );
            if !kl.nullable && !kr.nullable {
                on.push((l.clone(), r.clone()));
                continue;
            }
            let zero = ScalarValue::new_zero(&kl.ty).or_else(|_| ScalarValue::new_default(&kl.ty)).map_err(internal)?;
            let plain = |e: &Expr| coalesce(vec![e.clone(), Expr::Literal(zero.clone(), None)]);
            on.push((plain(l), plain(r)));
            on.push((l.clone().is_null(), r.clone().is_null()));
        }
        let join = Join { on, null_equality: NullEquality::NullEqualsNothing, ..join.clone() };
        let plan = LogicalPlan::Join(join.clone());
        self.join(&join, &plan, demands)
    }
}
