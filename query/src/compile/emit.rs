//! Symbols → scans and nodes of the [`Plan`](crate::plan::Plan), each once.

use std::collections::{BTreeMap, HashMap};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Case, Expr, Operator, lit},
};

use super::{
    Compiler, SqlError,
    expr::decimal,
    range::Interval,
    symbol::{Bit, BitId, Operand, Product, Side},
};
use crate::plan::{ColumnKind, Form, FrameId, Node, NodeId, NodeKind, Op, Ring, Scan, ScanColumn, ScanId, Source, Subplan, Term, Type};

/// What has been written down so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Emitted {
    pub(super) nodes: Vec<Node>,
    index: HashMap<(FrameId, Op), NodeId>,
    scans: Vec<Draft>,
}

#[derive(Clone, Debug)]
struct Draft {
    frame: usize,
    side: Side,
    columns: Vec<(Expr, ColumnKind, Vec<Form>)>,
}

/// What each owner knows of a row's presence: outside it he need not evaluate what may fail there.
pub(super) type Guards = BTreeMap<Side, Expr>;

impl Compiler<'_> {
    /// A column of one side's scan of a frame.
    pub(super) fn column(&mut self, frame: usize, side: &Side, expr: Expr, kind: ColumnKind, form: Option<Form>) -> (ScanId, usize) {
        let drafts = &mut self.emitted.scans;
        let scan = drafts.iter().position(|d| d.frame == frame && d.side == *side).unwrap_or_else(|| {
            drafts.push(Draft { frame, side: side.clone(), columns: Vec::new() });
            drafts.len() - 1
        });
        let columns = &mut drafts[scan].columns;
        let column = columns.iter().position(|(e, k, _)| *e == expr && *k == kind).unwrap_or_else(|| {
            columns.push((expr, kind, Vec::new()));
            columns.len() - 1
        });
        if let Some(form) = form.filter(|f| !columns[column].2.contains(f)) {
            columns[column].2.push(form);
        }
        (ScanId(scan), column)
    }

    fn node(&mut self, frame: usize, op: Op, kind: NodeKind) -> NodeId {
        let frame = FrameId(frame);
        if let Some(id) = self.emitted.index.get(&(frame, op.clone())) {
            return *id;
        }
        let nodes = &self.emitted.nodes;
        let public = match &op {
            Op::Column { scan, .. } => self.emitted.scans[scan.0].side == Side::Public,
            Op::Not(a) | Op::Lift(a) => nodes[a.0].public,
            Op::And(of) | Op::Or(of) => of.iter().all(|a| nodes[a.0].public),
            Op::Less(a, b) | Op::Equal(a, b) | Op::Add(a, b) | Op::Product(a, b) => nodes[a.0].public && nodes[b.0].public,
        };
        let id = NodeId(nodes.len());
        self.emitted.nodes.push(Node { frame, op: op.clone(), kind, public });
        self.emitted.index.insert((frame, op), id);
        id
    }

    fn column_node(&mut self, frame: usize, side: &Side, expr: Expr, kind: ColumnKind, form: Form) -> NodeId {
        let (scan, column) = self.column(frame, side, expr, kind, Some(form));
        let kind = match form {
            Form::Bit => NodeKind::Bit,
            Form::Planes { width, .. } => NodeKind::Planes(width),
            Form::Field(ring) => NodeKind::Field(ring),
        };
        self.node(frame, Op::Column { scan, column, form }, kind)
    }

    /// A bit as a node.
    pub(super) fn bit_node(&mut self, frame: usize, id: BitId, guards: &Guards) -> Result<NodeId, SqlError> {
        if let Some((side, expr)) = self.bits.as_local(id) {
            let expr = guarded(expr, &side, guards, lit(false));
            return Ok(self.column_node(frame, &side, expr, ColumnKind::Bit, Form::Bit));
        }
        match self.bits.get(id).clone() {
            Bit::Not(a) => {
                let a = self.bit_node(frame, a, guards)?;
                Ok(self.node(frame, Op::Not(a), NodeKind::Bit))
            }
            Bit::And(terms) => {
                let (locals, joint) = self.split(terms);
                let mut of = Vec::new();
                for (side, expr) in locals {
                    let expr = guarded(expr, &side, guards, lit(false));
                    of.push(self.column_node(frame, &side, expr, ColumnKind::Bit, Form::Bit));
                }
                for a in joint {
                    of.push(self.bit_node(frame, a, guards)?);
                }
                Ok(self.many(frame, of, Op::And))
            }
            Bit::Or(terms) => {
                let of = terms.into_iter().map(|a| self.bit_node(frame, a, guards)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.many(frame, of, Op::Or))
            }
            Bit::Less(a, b) => {
                let (a, b) = self.operands(frame, &a, &b, guards)?;
                Ok(self.node(frame, Op::Less(a, b), NodeKind::Bit))
            }
            Bit::Equal(a, b) => {
                let (a, b) = self.operands(frame, &a, &b, guards)?;
                Ok(self.node(frame, Op::Equal(a, b), NodeKind::Bit))
            }
            Bit::Const(_) | Bit::Local(..) => Err(super::internal("a local bit is a column")),
        }
    }

    fn many(&mut self, frame: usize, mut of: Vec<NodeId>, op: fn(Vec<NodeId>) -> Op) -> NodeId {
        of.sort_unstable();
        of.dedup();
        if of.len() == 1 { of[0] } else { self.node(frame, op(of), NodeKind::Bit) }
    }

    /// Conjuncts: what each side knows alone as one expression (public ones with the first owner's), and the rest.
    fn split(&self, terms: impl IntoIterator<Item = BitId>) -> (BTreeMap<Side, Expr>, Vec<BitId>) {
        let mut locals: BTreeMap<Side, Expr> = BTreeMap::new();
        let mut joint = Vec::new();
        for t in terms {
            match self.bits.as_local(t) {
                Some((side, e)) => {
                    let e = match locals.remove(&side) {
                        Some(before) => before.and(e),
                        None => e,
                    };
                    locals.insert(side, e);
                }
                None => joint.push(t),
            }
        }
        if locals.len() > 1
            && let Some(public) = locals.remove(&Side::Public)
            && let Some((side, e)) = locals.pop_first()
        {
            locals.insert(side, e.and(public));
        }
        (locals, joint)
    }

    /// Both sides of a comparison as unsigned planes of one width over a common offset.
    fn operands(&mut self, frame: usize, a: &Operand, b: &Operand, guards: &Guards) -> Result<(NodeId, NodeId), SqlError> {
        let total = |o: &Operand| o.0.iter().try_fold(Interval::ZERO, |sum, p| sum.add(Interval { min: p.min, max: p.max }.with_zero()));
        let wide = || SqlError::width("a comparison of numbers beyond 127 bits", "CAST to fewer digits");
        let (ra, rb) = (total(a).ok_or_else(wide)?, total(b).ok_or_else(wide)?);
        let hull = ra.hull(rb);
        let width = width(hull.max.checked_sub(hull.min).ok_or_else(wide)?);
        let mut sides = Vec::new();
        for operand in [a, b] {
            let mut low = hull.min;
            let mut nodes = Vec::new();
            for (i, part) in operand.0.iter().enumerate() {
                let range = Interval { min: part.min, max: part.max }.with_zero();
                let last = i + 1 == operand.0.len();
                let offset = if last { low } else { range.min };
                low -= if last { 0 } else { range.min };
                let own = range.max.checked_sub(offset).ok_or_else(wide)?;
                let own = if operand.0.len() == 1 { width } else { self::width(own) };
                let expr = guarded(or_zero(part.expr.clone(), part.scale), &part.side, guards, decimal(0, part.scale));
                let kind = ColumnKind::Integer { scale: part.scale, min: range.min, max: range.max };
                nodes.push(self.column_node(frame, &part.side, expr, kind, Form::Planes { offset, width: own }));
            }
            let mut nodes = nodes.into_iter();
            let first = nodes.next().ok_or_else(|| super::internal("an operand has a part"))?;
            sides.push(nodes.fold(first, |sum, next| self.node(frame, Op::Add(sum, next), NodeKind::Planes(width))));
        }
        Ok((sides[0], sides[1]))
    }

    /// Σ of products over the rows where `mask` is 1, as terms of an opening.
    pub(super) fn terms(
        &mut self,
        frame: usize,
        ring: Ring,
        products: &[Product],
        mask: BitId,
        guards: &Guards,
    ) -> Result<Vec<Term>, SqlError> {
        let mut terms = Vec::new();
        for product in products {
            let conditions = self.bits.and(product.bits.iter().chain(&product.guards).copied().chain([mask]));
            if product.coefficient == 0 || conditions == super::symbol::Bits::FALSE {
                continue;
            }
            let (mut locals, mut joint) = self.split_apart(conditions);
            let mut factors = product.factors.clone();
            // public factors are multiplied in at an owner, if there is one
            if factors.len() > 1
                && let Some(public) = factors.remove(&Side::Public)
                && let Some((side, first)) = factors.pop_first()
            {
                let both = first.times(&public).ok_or_else(|| SqlError::width("a product beyond 127 bits", "CAST to fewer digits"))?;
                factors.insert(side, both);
            }
            let public = locals.remove(&Side::Public);
            let mut nodes = Vec::new();
            let mut first = true;
            for (side, factor) in factors {
                let mut when = locals.remove(&side);
                if first || when.is_some() {
                    when = match (when, public.clone()) {
                        (Some(a), Some(b)) => Some(b.and(a)),
                        (a, b) => a.or(b),
                    };
                }
                first = false;
                let zero = decimal(0, factor.scale);
                let value = or_zero(factor.expr, factor.scale);
                let expr = match when {
                    // what the owner knows of the row's presence is part of it
                    Some(when) => Expr::Case(Case::new(None, vec![(Box::new(when), Box::new(value))], Some(Box::new(zero)))),
                    None => guarded(value, &side, guards, zero),
                };
                let range = factor.range.with_zero();
                let kind = ColumnKind::Integer { scale: factor.scale, min: range.min, max: range.max };
                nodes.push(self.column_node(frame, &side, expr, kind, Form::Field(ring)));
            }
            if nodes.is_empty()
                && let Some(public) = public
            {
                match locals.pop_first() {
                    Some((side, e)) => drop(locals.insert(side, e.and(public))),
                    None if joint.is_empty() => drop(locals.insert(Side::Public, public)),
                    None => joint.extend(
                        self.bits.terms(conditions).into_iter().filter(|t| matches!(self.bits.as_local(*t), Some((Side::Public, _)))),
                    ),
                }
            }
            // what the factors do not say already
            if joint.is_empty() && locals.len() <= 1 {
                if let Some((side, e)) = locals.pop_first() {
                    let e = guarded(e, &side, guards, lit(false));
                    nodes.push(self.column_node(frame, &side, e, ColumnKind::Bit, Form::Field(ring)));
                }
            } else {
                let bit = self.bit_node(frame, conditions, guards)?;
                nodes.insert(0, self.node(frame, Op::Lift(bit), NodeKind::Field(ring)));
            }
            if nodes.is_empty() {
                nodes.push(self.column_node(frame, &Side::Public, lit(true), ColumnKind::Bit, Form::Field(ring)));
            }
            let b = if nodes.len() > 1 { nodes.pop() } else { None };
            let mut rest = nodes.into_iter();
            let a = rest.next().ok_or_else(|| super::internal("a product has a factor"))?;
            let a = rest.fold(a, |x, y| self.node(frame, Op::Product(x, y), NodeKind::Field(ring)));
            terms.push(Term { coefficient: product.coefficient, a, b });
        }
        Ok(terms)
    }

    // as split, but public conditions stay apart
    fn split_apart(&self, conditions: BitId) -> (BTreeMap<Side, Expr>, Vec<BitId>) {
        let (public, others): (Vec<_>, Vec<_>) =
            self.bits.terms(conditions).into_iter().partition(|&t| matches!(self.bits.as_local(t), Some((Side::Public, _))));
        let (mut locals, joint) = self.split(others);
        locals.extend(self.split(public).0);
        (locals, joint)
    }

    /// The scans, with their home plans.
    pub(super) fn scans(&mut self) -> Result<Vec<Scan>, SqlError> {
        let drafts = std::mem::take(&mut self.emitted.scans);
        drafts
            .into_iter()
            .map(|draft| {
                let named: Vec<_> =
                    draft.columns.iter().enumerate().map(|(i, (e, kind, _))| (delivered(e, kind), format!("s{i}"))).collect();
                let plan = self.total(self.frames.home(draft.frame, &named)?)?;
                let columns = draft.columns.into_iter().enumerate().map(|(i, (e, kind, forms))| ScanColumn {
                    name: format!("s{i}"),
                    words: self.frames.words(&e),
                    kind,
                    forms,
                });
                let source = match draft.side {
                    Side::Public => Source::Public,
                    Side::Owner(name) => Source::Party(name),
                };
                Ok(Scan { frame: FrameId(draft.frame), source, plan: Subplan::new(plan), columns: columns.collect() })
            })
            .collect()
    }
}

/// Integers leave a home plan as DECIMAL(38, scale). A bit that is never NULL where its unit has a row may be NULL on the frame's other rows:
/// there it counts for nothing and is shared as 0.
fn delivered(expr: &Expr, kind: &ColumnKind) -> Expr {
    match kind {
        ColumnKind::Integer { scale, .. } => {
            super::expr::cast(expr.clone(), datafusion::arrow::datatypes::DataType::Decimal128(38, *scale))
        }
        ColumnKind::Bit => match expr {
            Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => expr.clone(),
            _ => Expr::IsTrue(Box::new(expr.clone())),
        },
        ColumnKind::Label(Type(_)) => expr.clone(),
    }
}

/// NULL is shared as 0.
pub(super) fn or_zero(expr: Expr, scale: i8) -> Expr {
    match expr {
        Expr::Literal(ref v, _) if !v.is_null() => expr,
        expr => datafusion::functions::core::expr_fn::coalesce(vec![expr, decimal(0, scale)]),
    }
}

/// `expr`, evaluated only where the side knows the row may count, if it can fail elsewhere.
fn guarded(expr: Expr, side: &Side, guards: &Guards, otherwise: Expr) -> Expr {
    match guards.get(side) {
        Some(guard) if *guard != expr && can_fail(&expr) => {
            Expr::Case(Case::new(None, vec![(Box::new(guard.clone()), Box::new(expr))], Some(Box::new(otherwise))))
        }
        _ => expr,
    }
}

fn can_fail(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= match e {
            Expr::BinaryExpr(b) => matches!(b.op, Operator::Divide | Operator::Modulo),
            Expr::ScalarFunction(f) => f.name() != "coalesce",
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Bits of an unsigned integer; at least one.
fn width(max: i128) -> u32 {
    (128 - max.max(1).leading_zeros()).max(1)
}
