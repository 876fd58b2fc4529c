//! SQL over private keys → relations.
//!
//! A part of the logical plan is lowered for what is *demanded* of it: expressions over its columns, each in the form in which it is needed.
//! Demands sink as far as they can, so that what one owner can compute is computed at home, in clear, and only what is needed is
//! shared at all:
//!
//! ```text
//!  order     inner joins are flattened; what one owner holds is joined at home, the rest is looked up from the widest relation outwards
//!  rows      demands through projections, filters, unions, limits
//!  join      Lookup (one side is unique on the keys), Cross (small sides)
//!  fold      GROUP BY, DISTINCT, window functions
//!  home      one owner's part: a sub-plan
//!  emit      what is left of an expression becomes nodes
//!  ratio     means that are compared, as sums and counts
//!  release   the rows that are opened, and what the planner computes from them
//! ```

pub(super) mod eager;
mod emit;
mod fold;
pub(super) mod form;
mod home;
pub(super) mod join;
pub(super) mod order;
pub(super) mod ratio;
mod release;
mod window;

use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Distinct, Expr, FetchType, LogicalPlan, SkipType},
};

pub(super) use self::release::no_percentile;

use self::emit::{Emit, Scope, Val};
use super::{
    SqlError,
    expr::said,
    facts::{self, Facts},
    internal,
    locate::Text,
    protect::Groups,
};
use crate::{
    catalog::Catalog,
    plan::{
        Decided, Reveal, RowRelease,
        relation::{Operator as Op, Relation, RelationId, RowColumn, RowForm, RowKind, RowNode, RowNodeId, RowOp, SortKey},
    },
};

/// Pairs of places beyond this are not formed.
pub(super) const MOST_PAIRS: u64 = 1 << 22;

/// An expression over a relation's columns, and the form in which it is needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Demand {
    pub(super) expr: Expr,
    pub(super) form: RowForm,
}

/// A relation, and the columns in which the demands are met.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: RelationId,
    pub(super) at: Vec<usize>,
}

/// One compilation.
pub(super) struct Rows<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) text: &'a Text,
    pub(super) groups: Option<Groups<'a>>,
    pub(super) relations: Vec<Relation>,
    pub(super) releases: Vec<RowRelease>,
    pub(super) reveals: Vec<Reveal>,
    pub(super) decided: Vec<Decided>,
    /// What is decided the other way.
    otherwise: Option<&'a str>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(catalog: &'a Catalog, text: &'a Text, groups: Option<Groups<'a>>, otherwise: Option<&'a str>) -> Self {
        Rows { catalog, text, groups, relations: Vec::new(), releases: Vec::new(), reveals: Vec::new(), decided: Vec::new(), otherwise }
    }

    /// The relation that meets the demands on a part of the plan.
    fn lower(&mut self, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        if facts::owners(plan).len() <= 1 {
            return self.home(plan, demands);
        }
        match plan {
            LogicalPlan::SubqueryAlias(a) => {
                let columns: Vec<_> = a.input.schema().columns().into_iter().map(Expr::Column).collect();
                self.lower(&a.input, &moved(demands, plan.schema(), &columns)?)
            }
            LogicalPlan::Projection(p) => self.lower(&p.input, &moved(demands, plan.schema(), &p.expr)?),
            LogicalPlan::Filter(f) => {
                let mut asked = demands.to_vec();
                asked.push(Demand { expr: f.predicate.clone(), form: RowForm::Bit });
                let got = self.lower(&f.input, &asked)?;
                Ok(self.filtered(got))
            }
            LogicalPlan::Join(j) => self.join(j, plan, demands),
            LogicalPlan::Aggregate(a) => self.aggregate(a, plan, demands),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input, demands),
            LogicalPlan::Window(w) => self.window(w, plan, demands),
            LogicalPlan::Union(u) => self.union(u, plan, demands),
            LogicalPlan::Sort(s) => match s.fetch {
                None => self.lower(&s.input, demands),
                Some(fetch) => self.top(&s.input, &s.expr, 0, Some(fetch), demands),
            },
            LogicalPlan::Limit(l) => {
                let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
                    (l.get_skip_type().map_err(internal)?, l.get_fetch_type().map_err(internal)?)
                else {
                    return Err(internal("LIMIT with an expression"));
                };
                match l.input.as_ref() {
                    LogicalPlan::Sort(s) if s.fetch.is_none() => self.top(&s.input, &s.expr, skip, fetch, demands),
                    input => self.top(input, &[], skip, fetch, demands),
                }
            }
            other => Err(self.unsupported(other)),
        }
    }

    // ------------------------------------------------------------ relations

    fn push(&mut self, op: Op, places: u64, full: bool, columns: Vec<RowColumn>) -> RelationId {
        self.relations.push(Relation { op, places, full, columns });
        RelationId(self.relations.len() - 1)
    }

    fn relation(&self, id: RelationId) -> &Relation {
        &self.relations[id.0]
    }

    /// The last of the columns asked for says which rows stay.
    fn filtered(&mut self, mut got: Asked) -> Asked {
        let Some(keep) = got.at.pop() else { return got };
        // joined to the map it comes from, if nothing else reads that
        let last = got.id.0 + 1 == self.relations.len();
        let relation = &mut self.relations[got.id.0];
        if let (true, Op::Map { nodes, columns, keep: kept, .. }) = (last, &mut relation.op) {
            let new = columns[keep].0;
            *kept = Some(match *kept {
                None => new,
                Some(old) => {
                    nodes.push(RowNode { op: RowOp::And(vec![old, new]), kind: RowKind::Bit });
                    RowNodeId(nodes.len() - 1)
                }
            });
            relation.full = false;
            return got;
        }
        let columns = relation.columns.clone();
        let places = relation.places;
        let mut nodes = Vec::new();
        let mut node = |op, kind| {
            nodes.push(RowNode { op, kind });
            RowNodeId(nodes.len() - 1)
        };
        let mut kept = Vec::new();
        for &c in &got.at {
            let kind = match &columns[c].form {
                RowForm::Bit => RowKind::Bit,
                RowForm::Field { ring, .. } => RowKind::Field(*ring),
                form => RowKind::Planes(form.width() as u32),
            };
            let value = node(RowOp::Column(c), kind);
            kept.push((value, columns[c].nullable.then(|| node(RowOp::Valid(c), RowKind::Bit))));
        }
        let keep = node(RowOp::Column(keep), RowKind::Bit);
        let out = got.at.iter().map(|c| columns[*c].clone()).collect();
        let id = self.push(Op::Map { input: got.id, nodes, columns: kept, keep: Some(keep) }, places, false, out);
        Asked { id, at: (0..got.at.len()).collect() }
    }

    /// A Map of `base` with these values; none is needed where they are columns of it as they stand. Leaf i of `emit` is column `to[i]`.
    fn mapped(&mut self, base: RelationId, emit: Emit<'_>, to: &[usize], values: Vec<(Val, String)>, keep: Option<RowNodeId>) -> Asked {
        let relation = self.relation(base);
        let nullable: Vec<_> = relation.columns.iter().map(|c| c.nullable).collect();
        let (places, full) = (relation.places, relation.full);
        let forms: Vec<_> = relation.columns.iter().map(|c| c.form.clone()).collect();
        let nodes = emit.into_nodes(to, &nullable);
        let plain = |v: &Val| match (&nodes[v.node.0].op, v.valid.map(|v| &nodes[v.0].op)) {
            (RowOp::Column(c), None) if !nullable[*c] && forms[*c] == v.form => Some(*c),
            (RowOp::Column(c), Some(RowOp::Valid(d))) if c == d && forms[*c] == v.form => Some(*c),
            _ => None,
        };
        if keep.is_none()
            && let Some(at) = values.iter().map(|(v, _)| plain(v)).collect::<Option<Vec<_>>>()
        {
            return Asked { id: base, at };
        }
        let constant = |id: RowNodeId| matches!(nodes[id.0].op, RowOp::Bit(true));
        let mut columns = Vec::new();
        let mut out = Vec::new();
        for (val, words) in values {
            let valid = val.valid.filter(|v| !constant(*v));
            columns.push((val.node, valid));
            out.push(RowColumn { words, form: val.form, nullable: valid.is_some() });
        }
        let at = (0..columns.len()).collect();
        let full = full && keep.is_none();
        let id = self.push(Op::Map { input: base, nodes, columns, keep }, places, full, out);
        Asked { id, at }
    }

    fn top(
        &mut self,
        input: &LogicalPlan,
        by: &[datafusion::logical_expr::SortExpr],
        skip: usize,
        fetch: Option<usize>,
        demands: &[Demand],
    ) -> Result<Asked, SqlError> {
        let mut asked = demands.to_vec();
        let keys = self.sort_demands(input, by, &mut asked)?;
        let unique = no_ties(&Facts::of(input, self.catalog), input, by.iter().map(|key| &key.expr));
        let got = self.lower(input, &asked)?;
        let by = keys.into_iter().map(|k| SortKey { column: got.at[k.column], ..k }).collect();
        let relation = self.relation(got.id);
        let skip = relation.places.min(skip as u64);
        let rest = relation.places - skip;
        let places = fetch.map_or(rest, |f| rest.min(f as u64));
        let (full, columns) = (relation.full, relation.columns.clone());
        let id = self.push(Op::Top { input: got.id, by, unique, skip }, places, full, columns);
        Ok(Asked { id, at: got.at[..demands.len()].to_vec() })
    }

    /// Adds the sort keys to the demands; their `column` is the demand's number.
    fn sort_demands(
        &self,
        input: &LogicalPlan,
        by: &[datafusion::logical_expr::SortExpr],
        asked: &mut Vec<Demand>,
    ) -> Result<Vec<SortKey>, SqlError> {
        by.iter()
            .map(|s| {
                let column = self.demand(asked, &s.expr, self.natural(input, &s.expr)?);
                Ok(SortKey { column, descending: !s.asc, nulls_first: s.nulls_first })
            })
            .collect()
    }

    /// The number of a demand among those so far.
    fn demand(&self, asked: &mut Vec<Demand>, expr: &Expr, form: RowForm) -> usize {
        let demand = Demand { expr: expr.clone(), form };
        asked.iter().position(|d| *d == demand).unwrap_or_else(|| {
            asked.push(demand);
            asked.len() - 1
        })
    }

    /// The form in which an expression over a plan is compared, sorted and released.
    fn natural(&self, plan: &LogicalPlan, expr: &Expr) -> Result<RowForm, SqlError> {
        let facts = Facts::of(plan, self.catalog);
        let known = form::known_of(expr, plan.schema(), &facts.columns, self.catalog);
        let refused = |e: SqlError| {
            let windowed = known.ty.is_floating() && window::is_windowed_mean(plan, expr);
            let fix = if windowed { "CAST its argument: AVG(CAST(… AS DECIMAL(p, s))) OVER (…)".to_owned() } else { e.fix.clone() };
            SqlError { fix, ..e }.at(form::place(expr, &known, self.text))
        };
        form::natural(&known, form::text_bytes(expr, plan, self.catalog), &said(expr)).map_err(refused)
    }

    fn union(&mut self, u: &datafusion::logical_expr::Union, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let mut inputs = Vec::new();
        let mut places = 0u64;
        let mut full = true;
        let mut columns: Vec<RowColumn> = Vec::new();
        for input in &u.inputs {
            let own: Vec<_> = input.schema().columns().into_iter().map(Expr::Column).collect();
            let got = self.lower(input, &moved(demands, plan.schema(), &own)?)?;
            let id = self.exactly(got);
            let relation = self.relation(id);
            places = places.saturating_add(relation.places);
            full &= relation.full;
            if columns.is_empty() {
                columns = relation.columns.clone();
            } else {
                columns.iter_mut().zip(&relation.columns).for_each(|(a, b)| a.nullable |= b.nullable);
            }
            inputs.push(id);
        }
        let way = format!("the places of its {} sides one after the other, {places} in all", inputs.len());
        let why = "which of them hold a row is secret, so that none can be left out; nothing is sent or sorted for it";
        self.decided.push(Decided::new("union", way, why));
        let id = self.push(Op::Union { inputs }, places, full, columns);
        Ok(Asked { id, at: (0..demands.len()).collect() })
    }

    /// A relation of just the columns asked for, in their order.
    fn exactly(&mut self, got: Asked) -> RelationId {
        let relation = self.relation(got.id);
        if got.at.iter().copied().eq(0..relation.columns.len()) {
            return got.id;
        }
        let mut nodes = Vec::new();
        let mut columns = Vec::new();
        let mut out = Vec::new();
        for &c in &got.at {
            let column = relation.columns[c].clone();
            let kind = match &column.form {
                RowForm::Bit => RowKind::Bit,
                RowForm::Field { ring, .. } => RowKind::Field(*ring),
                form => RowKind::Planes(form.width() as u32),
            };
            nodes.push(RowNode { op: RowOp::Column(c), kind });
            let value = RowNodeId(nodes.len() - 1);
            let valid = column.nullable.then(|| {
                nodes.push(RowNode { op: RowOp::Valid(c), kind: RowKind::Bit });
                RowNodeId(nodes.len() - 1)
            });
            columns.push((value, valid));
            out.push(column);
        }
        let (places, full) = (relation.places, relation.full);
        self.push(Op::Map { input: got.id, nodes, columns, keep: None }, places, full, out)
    }

    /// Demands met by expressions over a relation that has these columns as they stand.
    fn computed(
        &mut self,
        base: RelationId,
        schema: &DFSchema,
        facts: &Facts,
        plan: &LogicalPlan,
        demands: &[Demand],
        at: &dyn Fn(usize) -> (usize, RowForm, bool),
    ) -> Result<Asked, SqlError> {
        let mut emit = Emit::new(self.text);
        let catalog = self.catalog;
        let bytes = |e: &Expr| form::text_bytes(e, plan, catalog);
        let mut places = Vec::new();
        let mut made = |emit: &mut Emit<'_>, e: &Expr| -> Result<Option<Val>, SqlError> {
            let Expr::Column(c) = e else { return Ok(None) };
            let (column, form, nullable) = at(schema.index_of_column(c).map_err(internal)?);
            let before = emit.leaves.len();
            let val = emit.leaf(e, &form, nullable);
            if emit.leaves.len() > before {
                places.push(column);
            }
            Ok(Some(val))
        };
        let mut scope = Scope { schema, columns: &facts.columns, catalog, bytes: &bytes, leaf: &|_| false, made: &mut made };
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        Ok(self.mapped(base, emit, &places, values, None))
    }

    fn unsupported(&self, plan: &LogicalPlan) -> SqlError {
        let at_home = "do it in a sub-query of one owner, or to the answer";
        let (what, keyword) = match plan {
            LogicalPlan::Distinct(_) => ("DISTINCT ON", "DISTINCT"),
            LogicalPlan::Values(_) => ("VALUES", "VALUES"),
            LogicalPlan::Unnest(_) => ("UNNEST", "UNNEST"),
            _ => ("this construct", "SELECT"),
        };
        SqlError::unsupported(format!("{what} over several owners' data is not supported"), at_home).at(self.text.keyword(keyword))
    }
}

/// Whether a plan puts rows of several sides together.
fn is_union(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Union(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => plan.inputs().into_iter().all(is_union),
        _ => false,
    }
}

/// Whether no two rows of a plan, of which these are the facts, agree on all of these expressions.
fn no_ties<'e>(facts: &Facts, plan: &LogicalPlan, keys: impl Iterator<Item = &'e Expr>) -> bool {
    facts.unique_on(&keys.filter_map(|key| facts::plain(key, plan.schema())).collect())
}

/// Demands on a node's output as demands on its input, where column i of the output is `to[i]`.
fn moved(demands: &[Demand], schema: &DFSchema, to: &[Expr]) -> Result<Vec<Demand>, SqlError> {
    demands.iter().map(|d| Ok(Demand { expr: substituted(&d.expr, schema, to)?, form: d.form.clone() })).collect()
}

/// An expression with each column i replaced by `to[i]`.
fn substituted(expr: &Expr, schema: &DFSchema, to: &[Expr]) -> Result<Expr, SqlError> {
    let moved = expr.clone().transform_up(|e| match &e {
        Expr::Column(c) => {
            let at = schema.index_of_column(c)?;
            Ok(Transformed::yes(emit::unalias(&to[at]).clone()))
        }
        _ => Ok(Transformed::no(e)),
    });
    Ok(moved.map_err(internal)?.data)
}
