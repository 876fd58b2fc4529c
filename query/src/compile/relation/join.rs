//! Joins between owners. One side gives the public rows (the base); the other is attached to them by a public key on which it is unique,
//! or has the same frame.

use std::collections::BTreeSet;

use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder};

use super::{Joint, Lowered};
use crate::compile::{
    Compiler, SqlError,
    expr::Scope,
    facts::{Facts, plain},
    internal,
    symbol::{BitId, Bits, Side, Tri, Val},
    words::words,
};

impl Compiler<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Lowered, SqlError> {
        let (left, right) = (self.lower(&join.left)?, self.lower(&join.right)?);
        if matches!(left, Lowered::Released(_)) || matches!(right, Lowered::Released(_)) {
            return self.join_released(join, left, right);
        }
        let joint = match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                let first = self.on_base(join, Pick::Left, &left, &right);
                match (first, join.join_type) {
                    (Ok(joint), _) => joint,
                    (Err(e), JoinType::Inner) => self.on_base(join, Pick::Right, &right, &left).map_err(|other| better(e, other))?,
                    (Err(e), _) => return Err(e),
                }
            }
            JoinType::Right => self.on_base(join, Pick::Right, &right, &left)?,
            JoinType::Full => self.full(join, &left, &right)?,
            _ => return Err(self.refuse(&format!("a {} join", join.join_type), "JOIN", None, "use JOIN, LEFT JOIN or EXISTS")),
        };
        Ok(Lowered::Joint(joint))
    }

    /// `base` keeps its rows; `other` is attached to them.
    fn on_base(&mut self, join: &Join, pick: Pick, base: &Lowered, other: &Lowered) -> Result<Joint, SqlError> {
        let (base_plan, other_plan) = pick.order(&join.left, &join.right);
        let inner = matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi);
        let one_row = |plan: &LogicalPlan, me: &Self| Facts::of(plan, me.catalog).rows <= 1;
        let base = match base {
            Lowered::Joint(joint) => joint.clone(),
            // a single row goes to the rows of the other side, not the other way round
            Lowered::Home(plan)
                if inner
                    && pick == Pick::Left
                    && one_row(plan, self)
                    && join.on.is_empty()
                    && join.join_type == JoinType::Inner
                    && !self.single(other) =>
            {
                return self.on_base(join, Pick::Right, other, base);
            }
            Lowered::Home(plan) => self.align(plan, inner)?,
            Lowered::Released(_) => return Err(internal("a released base")),
        };
        let mut joint = match other {
            Lowered::Home(plan) => self.attach(join, pick, &base, base_plan, plan)?,
            Lowered::Joint(other) => self.merge(join, pick, &base, base_plan, other, other_plan)?,
            Lowered::Released(_) => return Err(internal("a released operand")),
        };
        let (first, second) = match pick {
            Pick::Left => (base.columns.clone(), joint.columns.clone()),
            Pick::Right => (joint.columns.clone(), base.columns.clone()),
        };
        // the rest of the ON condition is read over both sides' columns
        if let Some(filter) = &join.filter {
            let columns: Vec<_> = first.iter().chain(&second).cloned().collect();
            let schema = join.left.schema().join(join.right.schema()).map_err(internal)?;
            let together = self.bits.and([base.present, joint.present]);
            let scope = Scope { schema: &schema, columns: &columns, present: together };
            let condition = self.tri(filter, scope)?;
            joint.present = self.bits.and([joint.present, condition.t]);
        }
        let mut raw = base.raw.clone();
        raw.extend(joint.raw.iter().cloned());
        let matched = joint.present;
        let (present, columns) = match join.join_type {
            JoinType::Inner => (self.bits.and([base.present, matched]), [first, second].concat()),
            JoinType::Left | JoinType::Right => {
                let theirs: Vec<_> = joint.columns.into_iter().map(|v| self.only_where(v, matched)).collect();
                let columns = if pick == Pick::Left { [base.columns, theirs].concat() } else { [theirs, base.columns].concat() };
                (base.present, columns)
            }
            JoinType::LeftSemi => (self.bits.and([base.present, matched]), base.columns),
            JoinType::LeftAnti => {
                let not = self.bits.not(matched);
                (self.bits.and([base.present, not]), base.columns)
            }
            _ => {
                let f = self.bits.not(matched);
                let mut columns = base.columns;
                columns.push(Val::Bool(Tri { t: matched, f }));
                (base.present, columns)
            }
        };
        Ok(Joint { frame: base.frame, present, columns, raw })
    }

    fn single(&self, lowered: &Lowered) -> bool {
        match lowered {
            Lowered::Home(plan) => Facts::of(plan, self.catalog).rows <= 1,
            Lowered::Joint(joint) => self.frames.all[joint.frame].axes.is_empty(),
            Lowered::Released(_) => false,
        }
    }

    /// A home relation attached to the base's rows; its `present` says where it has a row.
    fn attach(&mut self, join: &Join, pick: Pick, base: &Joint, base_plan: &LogicalPlan, plan: &LogicalPlan) -> Result<Joint, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        let scope = Scope { schema: base_plan.schema(), columns: &base.columns, present: base.present };
        let exists = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark);
        let mut on = Vec::new();
        let mut keys = BTreeSet::new();
        let mut matched = Bits::TRUE;
        let mut rest = Vec::new();
        for pair in &join.on {
            let (mine, theirs) = pick.order(&pair.0, &pair.1);
            match self.value(mine, scope)? {
                Val::Local(local) if local.side == Side::Public => {
                    keys.extend(plain(theirs, plan.schema()));
                    matched = self.bits.and([matched, local.valid]);
                    on.push((local.expr, theirs.clone()));
                }
                // a private key of the base can still be compared, if another key aligns the rows
                _ => rest.push((mine.clone(), theirs.clone())),
            }
        }
        if join.null_aware && exists {
            self.null_aware(join, base_plan, plan, &facts)?;
        }
        if !facts.unique_on(&keys) {
            if exists && join.filter.is_none() && rest.is_empty() && !on.is_empty() {
                return self.attach_distinct(base, plan, on, matched);
            }
            if on.is_empty() && !rest.is_empty() {
                let place = rest.iter().find_map(|(mine, theirs)| self.text.expr(mine).or_else(|| self.text.expr(theirs)));
                return Err(SqlError::unsupported(
                    format!("the join key {} is private to {}", words(&rest[0].0), self.sides(&rest[0].0, scope)),
                    "join owners on columns that have the same public domain in the catalogue",
                )
                .at(place));
            }
            return Err(self.no_key(plan, &facts, Some(&keys)));
        }
        let mut joint = self.unit(base.frame, plan, &facts, on, matched)?;
        for (mine, theirs) in rest {
            let columns: Vec<_> = base.columns.iter().chain(&joint.columns).cloned().collect();
            let schema = base_plan.schema().join(plan.schema()).map_err(internal)?;
            let scope = Scope { schema: &schema, columns: &columns, present: base.present };
            let same = self.tri(&mine.eq(theirs), scope)?;
            joint.present = self.bits.and([joint.present, same.t]);
        }
        Ok(joint)
    }

    /// For EXISTS only whether there is a row counts: its distinct keys are unique.
    fn attach_distinct(&mut self, base: &Joint, plan: &LogicalPlan, on: Vec<(Expr, Expr)>, matched: BitId) -> Result<Joint, SqlError> {
        let keys: Vec<_> = on.iter().enumerate().map(|(i, (_, e))| e.clone().alias(format!("key{i}"))).collect();
        let distinct =
            LogicalPlanBuilder::from(plan.clone()).project(keys).and_then(|b| b.distinct()).and_then(|b| b.build()).map_err(internal)?;
        let columns = distinct.schema().columns();
        let on = on.into_iter().zip(columns).map(|((f, _), c)| (f, Expr::Column(c))).collect();
        let facts = Facts::of(&distinct, self.catalog);
        let joint = self.unit(base.frame, &distinct, &facts, on, matched)?;
        // its columns are not those of the plan, but nothing reads them
        Ok(Joint { columns: Vec::new(), ..joint })
    }

    /// NOT IN is NULL, not false, where a NULL is in the list.
    fn null_aware(&self, join: &Join, base_plan: &LogicalPlan, plan: &LogicalPlan, facts: &Facts) -> Result<(), SqlError> {
        let base = Facts::of(base_plan, self.catalog);
        let nullable = join.on.iter().any(|(l, r)| {
            let l = plain(l, base_plan.schema()).is_none_or(|i| base.columns[i].nullable);
            let r = plain(r, plan.schema()).is_none_or(|i| facts.columns[i].nullable);
            l || r
        });
        if !nullable {
            return Ok(());
        }
        Err(self.refuse(
            "NOT IN (sub-query) with a key that may be NULL",
            "IN",
            None,
            "add WHERE key IS NOT NULL, or write NOT EXISTS (SELECT 1 … WHERE key = key), which is another question where a key is NULL",
        ))
    }

    /// Two joint relations with the same frame, joined on all its keys.
    fn merge(
        &mut self,
        join: &Join,
        pick: Pick,
        base: &Joint,
        base_plan: &LogicalPlan,
        other: &Joint,
        other_plan: &LogicalPlan,
    ) -> Result<Joint, SqlError> {
        let mine = Scope { schema: base_plan.schema(), columns: &base.columns, present: base.present };
        let theirs = Scope { schema: other_plan.schema(), columns: &other.columns, present: other.present };
        let mut covered = BTreeSet::new();
        let mut matched = other.present;
        let mut rest = Vec::new();
        for pair in &join.on {
            let (l, r) = pick.order(&pair.0, &pair.1);
            let key = match (self.value(l, mine)?, self.value(r, theirs)?) {
                (Val::Local(a), Val::Local(b)) if base.frame == other.frame && a.expr == b.expr => {
                    let keys = self.frames.all[base.frame].keys.len();
                    let found = (0..keys).find(|&k| self.frames.key(base.frame, k) == a.expr);
                    found.map(|k| (k, a.valid, b.valid))
                }
                _ => None,
            };
            match key {
                Some((k, a, b)) => {
                    covered.insert(k);
                    matched = self.bits.and([matched, a, b]);
                }
                None => rest.push((l.clone(), r.clone())),
            }
        }
        if base.frame != other.frame || covered.len() != self.frames.all[base.frame].keys.len() {
            let (a, b) = (&self.frames.all[base.frame].name, &self.frames.all[other.frame].name);
            return Err(SqlError::unsupported(
                format!("relations aligned to {a} and to {b} are joined on something else than their common key"),
                "bring the owners' sub-queries to one key, and join on it",
            )
            .at(self.place_of(other_plan)));
        }
        let mut joint = Joint { present: matched, ..other.clone() };
        for (l, r) in rest {
            let columns: Vec<_> = base.columns.iter().chain(&other.columns).cloned().collect();
            let schema = base_plan.schema().join(other_plan.schema()).map_err(internal)?;
            let together = self.bits.and([base.present, joint.present]);
            let same = self.tri(&l.eq(r), Scope { schema: &schema, columns: &columns, present: together })?;
            joint.present = self.bits.and([joint.present, same.t]);
        }
        Ok(joint)
    }

    fn full(&mut self, join: &Join, left: &Lowered, right: &Lowered) -> Result<Joint, SqlError> {
        if join.filter.is_some() {
            return Err(self.refuse(
                "FULL JOIN with a condition other than the key",
                "FULL",
                None,
                "filter in the sub-queries before joining",
            ));
        }
        let mut sides = Vec::new();
        for lowered in [left, right] {
            sides.push(match lowered {
                Lowered::Joint(joint) => joint.clone(),
                Lowered::Home(plan) => self.align(plan, false)?,
                Lowered::Released(_) => return Err(internal("a released operand")),
            });
        }
        let (right, left) = (sides.pop().ok_or_else(|| internal("two sides"))?, sides.pop().ok_or_else(|| internal("two sides"))?);
        let merged = self.merge(join, Pick::Left, &left, &join.left, &right, &join.right)?;
        if merged.present != self.bits.and([right.present, merged.present]) || !self.bits.implied(merged.present, right.present) {
            return Err(self.refuse(
                "FULL JOIN with a condition other than the key",
                "FULL",
                None,
                "filter in the sub-queries before joining",
            ));
        }
        let present = self.bits.or([left.present, right.present]);
        let mut columns: Vec<_> = left.columns.into_iter().map(|v| self.only_where(v, left.present)).collect();
        for v in right.columns {
            columns.push(self.only_where(v, right.present));
        }
        let raw = left.raw.union(&right.raw).cloned().collect();
        Ok(Joint { frame: left.frame, present, columns, raw })
    }

    /// The value where the bit is 1, else NULL.
    fn only_where(&mut self, val: Val, bit: BitId) -> Val {
        match val {
            Val::Bool(x) => Val::Bool(Tri { t: self.bits.and([x.t, bit]), f: self.bits.and([x.f, bit]) }),
            Val::Num(num) => Val::Num(num.only_where(bit, &mut self.bits)),
            Val::Local(mut local) => {
                // where a unit has no row its columns are NULL by themselves
                let by_itself: BTreeSet<_> = local.absent.iter().map(|&u| self.frames.present(u, &mut self.bits)).collect();
                let rest: Vec<_> = self.bits.terms(bit).difference(&by_itself).copied().collect();
                local.valid = self.bits.and(rest.into_iter().chain([local.valid]));
                Val::Local(local)
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pick {
    Left,
    Right,
}

impl Pick {
    fn order<T>(self, left: T, right: T) -> (T, T) {
        match self {
            Pick::Left => (left, right),
            Pick::Right => (right, left),
        }
    }
}

/// Of two reasons the one a person can act on.
fn better(a: SqlError, b: SqlError) -> SqlError {
    let weight = |e: &SqlError| usize::from(e.message.contains("many rows for each")) + 2 * usize::from(e.message.contains("row by row"));
    if weight(&b) > weight(&a) { b } else { a }
}
