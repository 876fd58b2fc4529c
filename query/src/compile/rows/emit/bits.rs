//! Bits, and SQL's three truth values: a bit and its valid bit.

use super::{Emit, Val, kind};
use crate::plan::relation::{RowForm, RowKind, RowNodeId, RowOp};

impl Emit<'_> {
    pub(in crate::compile::rows) fn bit(&mut self, value: bool) -> RowNodeId {
        self.node(RowOp::Bit(value), RowKind::Bit)
    }

    pub(super) fn constant_bit(&self, id: RowNodeId) -> Option<bool> {
        match self.nodes[id.0].op {
            RowOp::Bit(b) => Some(b),
            _ => None,
        }
    }

    pub(in crate::compile::rows) fn not(&mut self, a: RowNodeId) -> RowNodeId {
        match (&self.nodes[a.0].op, self.constant_bit(a)) {
            (_, Some(b)) => self.bit(!b),
            (RowOp::Not(inner), _) => *inner,
            _ => self.node(RowOp::Not(a), RowKind::Bit),
        }
    }

    pub(in crate::compile::rows) fn and(&mut self, of: impl IntoIterator<Item = RowNodeId>) -> RowNodeId {
        self.many(of, true)
    }

    pub(in crate::compile::rows) fn or(&mut self, of: impl IntoIterator<Item = RowNodeId>) -> RowNodeId {
        self.many(of, false)
    }

    pub(super) fn many(&mut self, of: impl IntoIterator<Item = RowNodeId>, neutral: bool) -> RowNodeId {
        let mut kept = Vec::new();
        for id in of {
            match self.constant_bit(id) {
                Some(b) if b == neutral => {}
                Some(b) => return self.bit(b),
                None => kept.push(id),
            }
        }
        kept.sort_unstable();
        kept.dedup();
        match kept.as_slice() {
            [] => self.bit(neutral),
            [one] => *one,
            _ => self.node(if neutral { RowOp::And(kept) } else { RowOp::Or(kept) }, RowKind::Bit),
        }
    }

    pub(super) fn both(&mut self, a: Option<RowNodeId>, b: Option<RowNodeId>) -> Option<RowNodeId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.and([a, b])),
            (a, b) => a.or(b),
        }
    }

    /// Drops a valid bit that is always 1.
    pub(super) fn known_valid(&self, valid: Option<RowNodeId>) -> Option<RowNodeId> {
        valid.filter(|v| self.constant_bit(*v) != Some(true))
    }

    /// A bit and its valid bit, 0 where it is not valid.
    pub(super) fn truth(&mut self, bit: RowNodeId, valid: Option<RowNodeId>) -> Val {
        let valid = self.known_valid(valid);
        let node = match valid {
            Some(v) => self.and([bit, v]),
            None => bit,
        };
        Val { node, valid, form: RowForm::Bit }
    }

    /// Whether a truth value is false.
    pub(super) fn falsity(&mut self, x: &Val) -> RowNodeId {
        let not = self.not(x.node);
        match x.valid {
            Some(v) => self.and([v, not]),
            None => not,
        }
    }

    pub(super) fn all(&mut self, of: Vec<Val>) -> Val {
        let t = self.and(of.iter().map(|x| x.node));
        if of.iter().all(|x| x.valid.is_none()) {
            return Val { node: t, valid: None, form: RowForm::Bit };
        }
        let falsities: Vec<_> = of.iter().map(|x| self.falsity(x)).collect();
        let valid = self.or(falsities.into_iter().chain([t]));
        Val { node: t, valid: self.known_valid(Some(valid)), form: RowForm::Bit }
    }

    pub(super) fn negated(&mut self, x: Val) -> Val {
        let node = self.falsity(&x);
        Val { node, ..x }
    }

    pub(super) fn any(&mut self, of: Vec<Val>) -> Val {
        let turned = of.into_iter().map(|x| self.negated(x)).collect();
        let none = self.all(turned);
        self.negated(none)
    }

    pub(super) fn valid_bit(&mut self, x: &Val) -> RowNodeId {
        match x.valid {
            Some(v) => v,
            None => self.bit(true),
        }
    }

    pub(super) fn chosen(&mut self, bit: RowNodeId, then: Val, otherwise: Val) -> Val {
        match self.constant_bit(bit) {
            Some(true) => return then,
            Some(false) => return otherwise,
            None => {}
        }
        let kind = kind(&then.form);
        let pick =
            |me: &mut Self, a: RowNodeId, b: RowNodeId, kind: RowKind| if a == b { a } else { me.node(RowOp::Select(bit, a, b), kind) };
        let node = pick(self, then.node, otherwise.node, kind);
        let valid = if then.valid.is_none() && otherwise.valid.is_none() {
            None
        } else {
            let (a, b) = (self.valid_bit(&then), self.valid_bit(&otherwise));
            Some(pick(self, a, b, RowKind::Bit))
        };
        Val { node, valid, form: then.form }
    }
}
