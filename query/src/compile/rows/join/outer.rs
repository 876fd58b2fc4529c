//! Outer joins whose kept side meets many rows: the pairs, and the kept rows that are in none, with NULLs for the other side.
//!
//! Without a condition beside the keys the latter are NOT EXISTS of the keys. With one, the rows of a kept side are numbered first (one column more, no sort if their
//! owner has all of them), and what is in a pair is found by number: the price is the pairs, a group-by of their places, and a look-up. Nothing is opened, and no
//! number of rows shows: all places follow from the catalogue.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Join, JoinType, LogicalPlan},
};

use super::{
    both::Side,
    pairs::{Draft, Layout, joined_on},
};
use crate::{
    compile::{
        SqlError,
        expr::{Reads, said},
        facts::Facts,
        internal,
        rows::{
            Asked, Demand, Rows,
            emit::{Emit, Scope, Val},
            form, moved,
        },
    },
    plan::{
        Decided,
        relation::{Function, Operator as Op, RelationId, RowColumn, RowForm, RowNodeId},
    },
};

/// What a column is called that tells rows apart.
const NUMBER: &str = "number of the row";

/// What is computed of the rows of one side that are in no pair.
struct Alone<'a> {
    side: Side,
    emit: Emit<'a>,
    values: Vec<(Val, String)>,
    /// Whether the row is in a pair: the first leaf.
    matched: RowNodeId,
    /// The side's demands that the others are.
    at: Vec<usize>,
}

impl<'a> Rows<'a> {
    /// Outer joins whose kept side meets many rows: the pairs, and the kept rows that are in none.
    pub(super) fn outer(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let of = if join.on.is_empty() { "outer join without equal keys".into() } else { format!("outer {}", joined_on(join)) };
        let way = "the pairs, and behind their places those of the kept rows, which are rows if they are in no pair";
        self.decided.push(Decided::new(
            of,
            way,
            "a kept row can be in many pairs, so that no one place is its own, and whether it is in any is secret",
        ));
        if join.filter.is_some() {
            return self.outer_under(join, plan, demands);
        }
        let build = |left: &LogicalPlan, right: &LogicalPlan, kind: JoinType, on: Vec<(Expr, Expr)>| {
            Join::try_new(left.clone().into(), right.clone().into(), on, None, kind, join.join_constraint, join.null_equality, false)
                .map(LogicalPlan::Join)
                .map_err(internal)
        };
        let swapped: Vec<_> = join.on.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
        let mut parts = Vec::new();
        let whole: Vec<_> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let null = |i| null_of(plan, i);
        let width = join.left.schema().fields().len();
        let (left, right) = (self.sides(join, true), self.sides(join, false));
        let first = match join.join_type {
            // one of the sides may still be looked up
            JoinType::Full if self.unique(&left) => JoinType::Left,
            JoinType::Full if self.unique(&right) => JoinType::Right,
            _ => JoinType::Inner,
        };
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
        for (part, exprs) in parts {
            let got = self.lower(&part, &moved(demands, plan.schema(), &exprs)?)?;
            inputs.push(self.exactly(got));
        }
        Ok(self.together(inputs))
    }

    /// The same with a condition beside the keys. Pairs that pass it carry the numbers of their rows on the kept sides; rows whose number none carries are in none.
    fn outer_under(&mut self, join: &Join, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let layout = if join.on.is_empty() { Layout::All } else { self.layout(join)? };
        let mut draft = self.draft(join, layout, demands)?;
        let mut alone = Vec::new();
        if matches!(join.join_type, JoinType::Left | JoinType::Full) {
            alone.push(self.alone(Side::Base, join, plan, demands, &mut draft)?);
        }
        if matches!(join.join_type, JoinType::Right | JoinType::Full) {
            alone.push(self.alone(Side::Table, join, plan, demands, &mut draft)?);
        }
        let (mut left, mut right) = (self.lower(&join.left, &draft.left)?, self.lower(&join.right, &draft.right)?);
        for Alone { side, .. } in &alone {
            let kept = if *side == Side::Base { &mut left } else { &mut right };
            let form = self.number(kept);
            draft.carry(*side, kept.at.len() - 1, NUMBER, &form);
        }
        let pairs = self.formed(draft, &left, &right).id;
        let numbers = demands.len();
        let mut inputs = vec![self.exactly(Asked { id: pairs, at: (0..numbers).collect() })];
        for (i, alone) in alone.into_iter().enumerate() {
            let kept = if alone.side == Side::Base { &left } else { &right };
            inputs.push(self.in_no_pair(alone, kept, pairs, numbers + i));
        }
        Ok(self.together(inputs))
    }

    /// What is asked of one side for its rows that are in no pair: the demands, with NULLs for the other side.
    fn alone(&self, side: Side, join: &Join, plan: &LogicalPlan, demands: &[Demand], draft: &mut Draft<'_>) -> Result<Alone<'a>, SqlError> {
        let (of, asked) = match side {
            Side::Base => (join.left.as_ref(), &mut draft.left),
            Side::Table => (join.right.as_ref(), &mut draft.right),
        };
        let width = join.left.schema().fields().len();
        let columns = plan.schema().columns().into_iter().enumerate();
        let exprs: Vec<_> =
            columns.map(|(i, c)| if (i < width) == (side == Side::Base) { Expr::Column(c) } else { null_of(plan, i) }).collect();
        let (facts, catalog) = (Facts::of(of, self.catalog), self.catalog);
        let bytes = |e: &Expr| form::text_bytes(e, of, catalog);
        let leaf = |e: &Expr| !e.reads().is_empty();
        let mut none = |_: &mut Emit<'_>, _: &Expr| Ok(None);
        let mut scope = Scope { schema: of.schema(), columns: &facts.columns, catalog, bytes: &bytes, leaf: &leaf, made: &mut none };
        let mut emit = Emit::new(self.text);
        let matched = self.matched(&mut emit, &mut None);
        let mut values = Vec::new();
        for d in moved(demands, plan.schema(), &exprs)? {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        let at = emit.leaves.iter().skip(1).map(|leaf| self.demand(asked, &leaf.expr, leaf.form.clone())).collect();
        Ok(Alone { side, emit, values, matched, at })
    }

    /// Numbers the rows, in a column that is the last of those asked for.
    fn number(&mut self, kept: &mut Asked) -> RowForm {
        let relation = self.relation(kept.id);
        let (places, full, mut columns) = (relation.places, relation.full, relation.columns.clone());
        let form = RowForm::Planes { scale: 0, offset: 0, width: form::width(places.into()) };
        kept.at.push(columns.len());
        columns.push(RowColumn { words: NUMBER.into(), form: form.clone(), nullable: false });
        // which row has which number is seen by nobody
        let (partition, by) = (Vec::new(), Vec::new());
        let op = Op::Window { input: kept.id, partition, by, unique: true, functions: vec![Function::RowNumber] };
        kept.id = self.push(op, places, full, columns);
        form
    }

    /// The kept rows whose number no pair has in this column.
    fn in_no_pair(&mut self, alone: Alone<'a>, kept: &Asked, pairs: RelationId, number: usize) -> RelationId {
        let Alone { mut emit, values, matched, at, .. } = alone;
        let of = self.relation(pairs);
        let (places, column) = (of.places, of.columns[number].clone());
        let met = self.push(Op::Group { input: pairs, keys: vec![number], folds: Vec::new() }, places, false, vec![column]);
        let own = kept.at[kept.at.len() - 1];
        let (id, width) = self.push_lookup(kept.id, met, vec![(own, 0)], Vec::new(), true, false);
        let keep = emit.not(matched);
        let to: Vec<_> = [width].into_iter().chain(at.iter().map(|d| kept.at[*d])).collect();
        let got = self.mapped(id, emit, &to, values, Some(keep));
        self.exactly(got)
    }

    /// UNION ALL of relations of the same columns.
    fn together(&mut self, inputs: Vec<RelationId>) -> Asked {
        let (mut places, mut columns): (u64, Vec<RowColumn>) = (0, Vec::new());
        for id in &inputs {
            let relation = self.relation(*id);
            places = places.saturating_add(relation.places);
            if columns.is_empty() {
                columns.clone_from(&relation.columns);
            } else {
                columns.iter_mut().zip(&relation.columns).for_each(|(a, b)| a.nullable |= b.nullable);
            }
        }
        let at = (0..columns.len()).collect();
        Asked { id: self.push(Op::Union { inputs }, places, false, columns), at }
    }
}

/// A column's NULL.
fn null_of(plan: &LogicalPlan, column: usize) -> Expr {
    Expr::Literal(ScalarValue::try_from(plan.schema().field(column).data_type()).unwrap_or(ScalarValue::Null), None)
}
