//! Joins on private keys. One side (the *table*) is unique on the keys and is looked up for each row of the other (the *base*).

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, DFSchema, NullEquality},
    logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder},
};

use super::{
    Asked, Demand, MOST_PAIRS, Rows,
    emit::{Emit, Missing, Scope, Val, positions, strict},
    form,
};
use crate::{
    compile::{
        SqlError,
        expr::said,
        facts::{self, Facts, Known, plain},
        internal,
    },
    plan::relation::{Operator as Op, RelationId, RowColumn, RowForm, RowKind, RowNodeId, RowOp},
};

/// Pairs are formed by sorting if all of them would be so many times the places that are sorted: about the bits of a sort over those of a comparison.
const EXPANSION: u64 = 64;

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
            JoinType::Inner if join.on.is_empty() => self.product(join, demands),
            JoinType::Inner => {
                let (can_left, can_right) = (self.unique(&left), self.unique(&right));
                match (can_left, can_right) {
                    // the narrower relation keeps its places
                    (true, true) if self.bound(&join.right)? < self.bound(&join.left)? => self.lookup(right, join, demands, false),
                    (true, _) => self.lookup(left, join, demands, false),
                    (_, true) => self.lookup(right, join, demands, false),
                    _ => self.many(join, plan, demands),
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
        (self.push(Op::Lookup { base, table, on, columns: taken, proved }, places, full, columns), width)
    }

    /// Many rows with many: expanded to the pairs there can be as the catalogue bounds them, if these are far fewer than all.
    fn many(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        let most = u64::try_from(Facts::of(plan, self.catalog).rows).unwrap_or(u64::MAX).max(1);
        let all = a.saturating_mul(b);
        if most > MOST_PAIRS || all <= EXPANSION * a.saturating_add(b).saturating_add(most) {
            return self.product(join, demands);
        }
        let sides = self.sides(join, true);
        let whole = Both::new(&sides, join, self, false)?;
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let mut emit = Emit::new(self.text);
        let leaf = |e: &Expr| whole.leaf(e, false);
        let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
        let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
        let keep = join.filter.as_ref().map(|f| emit.condition(f, &mut scope)).transpose()?.map(|k| k.node);
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let (mut left, mut right) = self.key_demands(&sides)?;
        let keys = left.len();
        let homes = self.sided(&emit, &whole, &mut left, &mut right);
        let (got_left, got_right) = (self.lower(&join.left, &left)?, self.lower(&join.right, &right)?);
        let on = (0..keys).map(|k| (got_left.at[k], got_right.at[k])).collect();
        let op = Op::Pairs { left: got_left.id, right: got_right.id, on };
        Ok(self.paired(op, (&got_left, &got_right), &homes, (most, false), (emit, values, keep)))
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
        (emit, values, keep): (Emit<'_>, Vec<(Val, String)>, Option<RowNodeId>),
    ) -> Asked {
        let (l, r) = (self.relation(left.id), self.relation(right.id));
        let columns: Vec<_> = l.columns.iter().chain(&r.columns).cloned().collect();
        let width = l.columns.len();
        let id = self.push(op, places, full, columns);
        let to: Vec<_> = homes.iter().map(|(side, d)| if *side == Side::Base { left.at[*d] } else { width + right.at[*d] }).collect();
        self.mapped(id, emit, &to, values, keep)
    }

    /// All pairs, then the conditions: for a side of one row, and for few places.
    fn product(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        let sides = self.sides(join, true);
        let whole = Both::new(&sides, join, self, false)?;
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let mut emit = Emit::new(self.text);
        let leaf = |e: &Expr| whole.leaf(e, false);
        let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
        let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
        let mut keep = Vec::new();
        for (l, r) in &join.on {
            keep.push(emit.condition(&l.clone().eq(r.clone()), &mut scope)?.node);
        }
        if let Some(filter) = &join.filter {
            keep.push(emit.condition(filter, &mut scope)?.node);
        }
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let keep = (!keep.is_empty()).then(|| emit.and(keep));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let homes = self.sided(&emit, &whole, &mut left, &mut right);
        let (a, b) = (self.bound(&join.left)?, self.bound(&join.right)?);
        if a.saturating_mul(b) > MOST_PAIRS {
            return Err(self.too_many_pairs(join, a, b));
        }
        let (got_left, got_right) = (self.lower(&join.left, &left)?, self.lower(&join.right, &right)?);
        let (l, r) = (self.relation(got_left.id), self.relation(got_right.id));
        let size = (l.places.saturating_mul(r.places), l.full && r.full);
        let op = Op::Cross { left: got_left.id, right: got_right.id };
        Ok(self.paired(op, (&got_left, &got_right), &homes, size, (emit, values, keep)))
    }

    fn too_many_pairs(&self, join: &Join, a: u64, b: u64) -> SqlError {
        let place = join.on.iter().find_map(|(l, r)| self.text.expr(l).or_else(|| self.text.expr(r))).or_else(|| self.text.keyword("JOIN"));
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

    /// IN, EXISTS and their negations, and the mark of whether there is a row.
    fn exists(&mut self, sides: Sides<'_>, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.null_aware && self.may_be_null(&sides) {
            return self.not_in(join, demands);
        }
        let unique = self.unique(&sides);
        if sides.on.is_empty() {
            return Err(SqlError::unsupported(
                "EXISTS or IN without an equality between the sub-query and the outer query",
                "compare a column of the sub-query with one of the outer query",
            )
            .at(self.text.keyword("EXISTS").or_else(|| self.text.keyword("IN"))));
        }
        // only whether there is a row counts: distinct keys are unique
        let distinct;
        let sides = if unique {
            sides
        } else if let Some(filter) = &join.filter {
            return self.exists_other(sides, filter, join, demands);
        } else {
            let keys: Vec<_> = sides.on.iter().enumerate().map(|(i, (_, t))| t.clone().alias(format!("key{i}"))).collect();
            distinct = LogicalPlanBuilder::from(sides.table.clone())
                .project(keys)
                .and_then(|b| b.distinct())
                .and_then(|b| b.build())
                .map_err(internal)?;
            let columns = distinct.schema().columns();
            let on = sides.on.iter().zip(columns).map(|((b, _), c)| (b.clone(), Expr::Column(c))).collect();
            Sides { table: &distinct, on, ..sides }
        };
        let whole = Both::exists(&sides, join, self)?;
        let catalog = self.catalog;
        let bytes = |e: &Expr| whole.text_bytes(e, catalog);
        let mut emit = Emit::new(self.text);
        let leaf = |e: &Expr| whole.leaf(e, false);
        let mut matched_leaf = None;
        let matched = self.matched(&mut emit, &mut matched_leaf);
        let mark = whole.mark;
        let mut there = matched;
        if let Some(filter) = &join.filter {
            let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
            let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
            let condition = emit.condition(filter, &mut scope)?;
            there = emit.and([matched, condition.node]);
        }
        let schema = whole.schema.clone();
        let mut made = |_: &mut Emit<'_>, e: &Expr| {
            let Expr::Column(c) = e else { return Ok(None) };
            let at = schema.index_of_column(c).map_err(internal)?;
            Ok((Some(at) == mark).then_some(Val { node: there, valid: None, form: RowForm::Bit }))
        };
        let mut scope = Scope { schema: &whole.schema, columns: &whole.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut made };
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let keep = match join.join_type {
            JoinType::LeftSemi | JoinType::RightSemi => Some(there),
            JoinType::LeftAnti | JoinType::RightAnti => Some(emit.not(there)),
            _ => None,
        };
        self.looked_up(&sides, &whole, emit, matched_leaf, values, keep, false)
    }

    /// EXISTS (… key = key AND x <> y): there is another y than x if the smallest or the largest is another.
    fn exists_other(&mut self, sides: Sides<'_>, filter: &Expr, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        use datafusion::functions_aggregate::expr_fn::{max, min};
        let refused = || {
            SqlError::unsupported(
                format!("EXISTS with the condition {} beside the keys", said(filter)),
                "aggregate the sub-query by its key (MIN, MAX, COUNT) and compare",
            )
            .at(self.text.expr(filter))
        };
        let Expr::BinaryExpr(b) = filter else { return Err(refused()) };
        if b.op != datafusion::logical_expr::Operator::NotEq {
            return Err(refused());
        }
        let of = |e: &Expr, plan: &LogicalPlan| e.column_refs().iter().all(|c| plan.schema().has_column(c));
        let (mine, theirs) = if of(&b.left, sides.base) && of(&b.right, sides.table) {
            (b.left.as_ref(), b.right.as_ref())
        } else if of(&b.right, sides.base) && of(&b.left, sides.table) {
            (b.right.as_ref(), b.left.as_ref())
        } else {
            return Err(refused());
        };
        let keys: Vec<_> = sides.on.iter().enumerate().map(|(i, (_, t))| t.clone().alias(format!("key{i}"))).collect();
        let folds = vec![min(theirs.clone()).alias("least"), max(theirs.clone()).alias("most")];
        let grouped = LogicalPlanBuilder::from(sides.table.clone()).aggregate(keys, folds).and_then(|b| b.build()).map_err(internal)?;
        let columns: Vec<_> = grouped.schema().columns().into_iter().map(Expr::Column).collect();
        let n = sides.on.len();
        let on: Vec<_> = sides.on.iter().zip(&columns).map(|((b, _), c)| (b.clone(), c.clone())).collect();
        let filter = mine.clone().not_eq(columns[n].clone()).or(mine.clone().not_eq(columns[n + 1].clone()));
        let join = Join { filter: Some(filter), null_aware: false, ..join.clone() };
        self.exists(Sides { table: &grouped, on, base: sides.base, straight: sides.straight }, &join, demands)
    }

    fn may_be_null(&self, sides: &Sides<'_>) -> bool {
        let (base, table) = (Facts::of(sides.base, self.catalog), Facts::of(sides.table, self.catalog));
        sides.on.iter().any(|(b, t)| {
            form::known_of(b, sides.base.schema(), &base.columns, self.catalog).nullable
                || form::known_of(t, sides.table.schema(), &table.columns, self.catalog).nullable
        })
    }

    /// x NOT IN (…) is true if the list is empty, or if x is not NULL, nor anything in the list, and x is not in it.
    fn not_in(&mut self, join: &Join, demands: &[Demand]) -> Result<Asked, SqlError> {
        use datafusion::{functions_aggregate::expr_fn::count, logical_expr::lit};
        let refused = || {
            SqlError::unsupported(
                "NOT IN (sub-query) with a key that may be NULL, beside another condition",
                "write NOT EXISTS (SELECT 1 … WHERE key = key), or add WHERE key IS NOT NULL",
            )
            .at(self.text.keyword("IN"))
        };
        let (JoinType::LeftAnti, [(x, key)], None) = (join.join_type, join.on.as_slice(), &join.filter) else { return Err(refused()) };
        let counts = LogicalPlanBuilder::from(join.right.as_ref().clone())
            .aggregate(Vec::<Expr>::new(), vec![count(lit(1i64)).alias("listed"), count(key.clone()).alias("not_null")])
            .and_then(|b| b.alias("__list"))
            .and_then(|b| b.build())
            .map_err(internal)?;
        let marked = Join::try_new(
            join.left.clone(),
            join.right.clone(),
            join.on.clone(),
            None,
            JoinType::LeftMark,
            join.join_constraint,
            join.null_equality,
            false,
        )
        .map_err(internal)?;
        let mark = marked.schema.columns().pop().map(Expr::Column).ok_or_else(|| internal("a mark is a column"))?;
        let column = |name: &str| Expr::Column(Column::new(Some("__list"), name));
        let full = column("listed").eq(column("not_null"));
        let none = column("listed").eq(lit(0i64));
        let keep = none.or(x.clone().is_not_null().and(full).and(mark.is_true().eq(lit(false))));
        let columns = join.left.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
        let whole = LogicalPlanBuilder::from(LogicalPlan::Join(marked))
            .cross_join(counts)
            .and_then(|b| b.filter(keep))
            .and_then(|b| b.project(columns))
            .and_then(|b| b.build())
            .map_err(internal)?;
        self.lower(&whole, demands)
    }

    /// Outer joins whose kept side meets many rows: the pairs, and the kept rows that meet none.
    fn outer(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        if join.filter.is_some() {
            return Err(SqlError::unsupported(
                format!("a {} JOIN of many rows with a condition beside the keys", join.join_type.to_string().to_uppercase()),
                "filter in the sub-queries before joining",
            )
            .at(self.text.keyword("JOIN")));
        }
        let build = |left: &LogicalPlan, right: &LogicalPlan, kind: JoinType, on: Vec<(Expr, Expr)>| {
            Join::try_new(left.clone().into(), right.clone().into(), on, None, kind, join.join_constraint, join.null_equality, false)
                .map(LogicalPlan::Join)
                .map_err(internal)
        };
        let swapped: Vec<_> = join.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        let mut parts = Vec::new();
        let columns: Vec<_> = plan.schema().columns();
        let null = |i: usize| {
            Expr::Literal(
                datafusion::common::ScalarValue::try_from(plan.schema().field(i).data_type())
                    .unwrap_or(datafusion::common::ScalarValue::Null),
                None,
            )
        };
        let width = join.left.schema().fields().len();
        let (left, right) = (self.sides(join, true), self.sides(join, false));
        let first = match join.join_type {
            // one of the sides may still be looked up
            JoinType::Full if self.unique(&left) => JoinType::Left,
            JoinType::Full if self.unique(&right) => JoinType::Right,
            _ => JoinType::Inner,
        };
        let whole: Vec<_> = columns.iter().map(|c| Expr::Column(c.clone())).collect();
        parts.push((build(&join.left, &join.right, first, join.on.clone())?, whole.clone()));
        if matches!(join.join_type, JoinType::Left | JoinType::Full) && first != JoinType::Left {
            let exprs = whole.iter().enumerate().map(|(i, e)| if i < width { e.clone() } else { null(i) }).collect();
            parts.push((build(&join.left, &join.right, JoinType::LeftAnti, join.on.clone())?, exprs));
        }
        if matches!(join.join_type, JoinType::Right | JoinType::Full) && first != JoinType::Right {
            let exprs = whole.iter().enumerate().map(|(i, e)| if i < width { null(i) } else { e.clone() }).collect();
            parts.push((build(&join.right, &join.left, JoinType::LeftAnti, swapped)?, exprs));
        }
        let mut inputs = Vec::new();
        let (mut places, mut out): (u64, Vec<RowColumn>) = (0, Vec::new());
        for (part, exprs) in parts {
            let moved = demands
                .iter()
                .map(|d| Ok(Demand { expr: super::substituted(&d.expr, plan.schema(), &exprs)?, form: d.form.clone() }))
                .collect::<Result<Vec<_>, SqlError>>()?;
            let got = self.lower(&part, &moved)?;
            let id = self.exactly(got);
            let relation = self.relation(id);
            places = places.saturating_add(relation.places);
            if out.is_empty() {
                out = relation.columns.clone();
            } else {
                out.iter_mut().zip(&relation.columns).for_each(|(a, b)| a.nullable |= b.nullable);
            }
            inputs.push(id);
        }
        let id = self.push(Op::Union { inputs }, places, false, out);
        Ok(Asked { id, at: (0..demands.len()).collect() })
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Base,
    Table,
}

/// Both sides' columns together, in the order of the join's own schema (left, then right, then a mark).
struct Both {
    schema: DFSchema,
    columns: Vec<Known>,
    left: LogicalPlan,
    right: LogicalPlan,
    width: usize,
    straight: bool,
    mark: Option<usize>,
}

impl Both {
    fn new(sides: &Sides<'_>, join: &Join, rows: &Rows<'_>, outer: bool) -> Result<Self, SqlError> {
        let (fl, fr) = (Facts::of(&join.left, rows.catalog), Facts::of(&join.right, rows.catalog));
        let width = fl.columns.len();
        let mut columns: Vec<_> = fl.columns.into_iter().chain(fr.columns).collect();
        if outer {
            let of_table = |i: usize| (i < width) != sides.straight;
            columns.iter_mut().enumerate().filter(|(i, _)| of_table(*i)).for_each(|(_, k)| k.nullable = true);
        }
        let schema = join.left.schema().join(join.right.schema()).map_err(internal)?;
        Ok(Both {
            schema,
            columns,
            left: join.left.as_ref().clone(),
            right: join.right.as_ref().clone(),
            width,
            straight: sides.straight,
            mark: None,
        })
    }

    /// For EXISTS: the base's columns, the table's (whatever it has become), and the mark.
    fn exists(sides: &Sides<'_>, join: &Join, rows: &Rows<'_>) -> Result<Self, SqlError> {
        let (fb, ft) = (Facts::of(sides.base, rows.catalog), Facts::of(sides.table, rows.catalog));
        let width = fb.columns.len();
        let mut columns: Vec<_> = fb.columns.into_iter().chain(ft.columns).collect();
        let mut schema = sides.base.schema().join(sides.table.schema()).map_err(internal)?;
        let mut mark = None;
        if matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark) {
            let (relation, field) = join.schema.qualified_field(join.schema.fields().len() - 1);
            let one = DFSchema::new_with_metadata(vec![(relation.cloned(), field.clone())], Default::default()).map_err(internal)?;
            mark = Some(columns.len());
            schema = schema.join(&one).map_err(internal)?;
            columns.push(Known {
                nullable: false,
                range: Some(crate::compile::range::Interval::BIT),
                ..Known::of_type(datafusion::arrow::datatypes::DataType::Boolean)
            });
        }
        Ok(Both { schema, columns, left: sides.base.clone(), right: sides.table.clone(), width, straight: true, mark })
    }

    /// The side all of an expression's columns are of.
    fn side(&self, expr: &Expr) -> Option<Side> {
        let positions = positions(expr, &self.schema);
        if positions.iter().any(|p| Some(*p) == self.mark) || positions.is_empty() {
            return None;
        }
        let left = positions[0] < self.width;
        let same = positions.iter().all(|p| (*p < self.width) == left);
        same.then_some(if left == self.straight { Side::Base } else { Side::Table })
    }

    /// Whether one side supplies the whole expression. Of a side whose rows may be missing, only what is NULL without them.
    fn leaf(&self, expr: &Expr, outer: bool) -> bool {
        match self.side(expr) {
            Some(Side::Table) if outer => matches!(expr, Expr::Column(_)) || strict(expr),
            Some(_) => true,
            None => false,
        }
    }

    fn text_bytes(&self, expr: &Expr, catalog: &crate::catalog::Catalog) -> Option<u32> {
        let column = |c: &Column| {
            let at = self.schema.index_of_column(c).ok()?;
            let (plan, at) = if at < self.width { (&self.left, at) } else { (&self.right, at - self.width) };
            form::text_bytes(&Expr::Column(plan.schema().columns().get(at)?.clone()), plan, catalog)
        };
        match expr {
            Expr::Column(c) => column(c),
            _ => match self.side(expr) {
                Some(side) if (side == Side::Base) == self.straight => form::text_bytes(expr, &self.left, catalog),
                Some(_) => form::text_bytes(expr, &self.right, catalog),
                None => {
                    let all: Option<Vec<u32>> = expr.column_refs().into_iter().map(column).collect();
                    all.map(|b| b.into_iter().sum::<u32>()).or_else(|| form::text_bytes(expr, &self.left, catalog))
                }
            },
        }
    }
}
