//! Symbolic values of a frame's rows: what one side can evaluate stays an SQL expression of that side; where sides meet, numbers
//! become sums of products and predicates become bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::{
    logical_expr::{Expr, lit},
    scalar::ScalarValue,
};

use super::{SqlError, facts::Known, range::Interval};

/// Who can evaluate an expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    /// Everyone: it depends on public tables only.
    Public,
    /// This owner (who has the public tables, too).
    Owner(String),
}

impl Side {
    /// The side that can evaluate something of both, if there is one.
    pub(super) fn with(&self, other: &Side) -> Option<Side> {
        match (self, other) {
            (Side::Public, side) | (side, Side::Public) => Some(side.clone()),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Side::Public => f.write_str("public"),
            Side::Owner(name) => f.write_str(name),
        }
    }
}

/// Position in [`Bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BitId(usize);

/// A bit for each row. Never NULL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bit {
    Const(bool),
    /// A boolean expression of one side that is never NULL.
    Local(Side, Expr),
    Not(BitId),
    And(BTreeSet<BitId>),
    Or(BTreeSet<BitId>),
    Less(Operand, Operand),
    Equal(Operand, Operand),
}

/// A sum of integers of different owners, each an exact SQL expression (NULL counts as 0) of the same scale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operand(pub(super) Vec<Part>);

/// One owner's part of an [`Operand`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) side: Side,
    /// Of type DECIMAL(38, scale).
    pub(super) expr: Expr,
    pub(super) scale: i8,
    pub(super) min: i128,
    pub(super) max: i128,
}

/// All bits of a compilation, each once.
#[derive(Debug)]
pub(super) struct Bits {
    all: Vec<Bit>,
    index: HashMap<Bit, BitId>,
}

impl Bits {
    pub(super) const FALSE: BitId = BitId(0);
    pub(super) const TRUE: BitId = BitId(1);

    pub(super) fn new() -> Self {
        let mut bits = Bits { all: Vec::new(), index: HashMap::new() };
        bits.intern(Bit::Const(false));
        bits.intern(Bit::Const(true));
        bits
    }

    pub(super) fn get(&self, id: BitId) -> &Bit {
        &self.all[id.0]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn intern(&mut self, bit: Bit) -> BitId {
        if let Some(id) = self.index.get(&bit) {
            return *id;
        }
        let id = BitId(self.all.len());
        self.all.push(bit.clone());
        self.index.insert(bit, id);
        id
    }

    pub(super) fn local(&mut self, side: Side, expr: Expr) -> BitId {
        match expr {
            Expr::Literal(ScalarValue::Boolean(Some(b)), _) => {
                if b {
                    Self::TRUE
                } else {
                    Self::FALSE
                }
            }
            expr => self.intern(Bit::Local(side, expr)),
        }
    }

    pub(super) fn not(&mut self, a: BitId) -> BitId {
        match self.get(a).clone() {
            Bit::Const(b) => {
                if b {
                    Self::FALSE
                } else {
                    Self::TRUE
                }
            }
            Bit::Not(b) => b,
            Bit::Local(side, Expr::Not(e)) => self.local(side, *e),
            Bit::Local(side, e) => self.local(side, Expr::Not(Box::new(e))),
            _ => self.intern(Bit::Not(a)),
        }
    }

    pub(super) fn and(&mut self, of: impl IntoIterator<Item = BitId>) -> BitId {
        let mut terms = BTreeSet::new();
        for a in of {
            terms.extend(self.terms(a));
        }
        if terms.contains(&Self::FALSE) {
            return Self::FALSE;
        }
        for &t in &terms {
            let negated = match self.get(t) {
                Bit::Not(a) => Some(*a),
                Bit::Local(side, Expr::Not(e)) => self.index.get(&Bit::Local(side.clone(), e.as_ref().clone())).copied(),
                _ => None,
            };
            if negated.is_some_and(|n| terms.contains(&n)) {
                return Self::FALSE;
            }
        }
        match terms.len() {
            0 => Self::TRUE,
            1 => *terms.first().expect("it has one"),
            _ => self.intern(Bit::And(terms)),
        }
    }

    /// The conjuncts of a bit; none for TRUE.
    pub(super) fn terms(&self, a: BitId) -> BTreeSet<BitId> {
        match self.get(a) {
            Bit::Const(true) => BTreeSet::new(),
            Bit::And(terms) => terms.clone(),
            _ => BTreeSet::from([a]),
        }
    }

    /// Whether `given` being 1 implies that `a` is.
    pub(super) fn implied(&self, a: BitId, given: BitId) -> bool {
        self.terms(a).is_subset(&self.terms(given))
    }

    pub(super) fn or(&mut self, of: impl IntoIterator<Item = BitId>) -> BitId {
        let mut terms = BTreeSet::new();
        for a in of {
            match self.get(a) {
                Bit::Const(true) => return Self::TRUE,
                Bit::Const(false) => {}
                Bit::Or(inner) => terms.extend(inner.clone()),
                _ => drop(terms.insert(a)),
            }
        }
        // what one owner knows alone is one bit of his
        let mut locals: BTreeMap<Side, Vec<Expr>> = BTreeMap::new();
        let mut rest = BTreeSet::new();
        for a in terms {
            match self.as_local(a) {
                Some((side, e)) => locals.entry(side).or_default().push(e),
                None => drop(rest.insert(a)),
            }
        }
        let public = locals.remove(&Side::Public).unwrap_or_default();
        match locals.values_mut().next() {
            Some(first) => first.extend(public),
            None if public.is_empty() => {}
            None => drop(locals.insert(Side::Public, public)),
        }
        for (side, exprs) in locals {
            let e = exprs.into_iter().reduce(Expr::or).expect("an entry has an expression");
            rest.insert(self.local(side, e));
        }
        match rest.len() {
            0 => Self::FALSE,
            1 => *rest.first().expect("it has one"),
            _ => self.intern(Bit::Or(rest)),
        }
    }

    /// The bit as an expression of one side, if one side can evaluate it.
    pub(super) fn as_local(&self, a: BitId) -> Option<(Side, Expr)> {
        match self.get(a) {
            Bit::Const(b) => Some((Side::Public, lit(*b))),
            Bit::Local(side, e) => Some((side.clone(), e.clone())),
            Bit::Not(a) => self.as_local(*a).map(|(side, e)| (side, Expr::Not(Box::new(e)))),
            Bit::And(terms) => self.join_locals(terms, Expr::and),
            Bit::Or(terms) => self.join_locals(terms, Expr::or),
            Bit::Less(..) | Bit::Equal(..) => None,
        }
    }

    fn join_locals(&self, terms: &BTreeSet<BitId>, op: fn(Expr, Expr) -> Expr) -> Option<(Side, Expr)> {
        let mut all = terms.iter().map(|&t| self.as_local(t));
        let first = all.next()??;
        all.try_fold(first, |(side, e), next| {
            let (other, f) = next?;
            Some((side.with(&other)?, op(e, f)))
        })
    }

    pub(super) fn less(&mut self, a: Operand, b: Operand) -> BitId {
        self.intern(Bit::Less(a, b))
    }

    pub(super) fn equal(&mut self, a: Operand, b: Operand) -> BitId {
        self.intern(Bit::Equal(a, b))
    }
}

/// A value of each row, as far as it could be brought.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "most values are local")]
pub(super) enum Val {
    Local(Local),
    Bool(Tri),
    Num(Num),
}

/// An expression one side evaluates at home, of any type.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub(super) side: Side,
    pub(super) expr: Expr,
    /// `nullable` as if the units of `absent` were there.
    pub(super) known: Known,
    /// It is NULL in rows for which one of these units has no row.
    pub(super) absent: BTreeSet<usize>,
    /// It is NULL where this is 0, whatever the expression says.
    pub(super) valid: BitId,
}

/// A predicate: is it true, is it false (neither: unknown).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tri {
    pub(super) t: BitId,
    pub(super) f: BitId,
}

/// An exact number: a sum of products. Where it is not valid, every product is 0 (given its `guards`).
#[derive(Clone, Debug)]
pub(super) struct Num {
    pub(super) scale: i8,
    pub(super) products: Vec<Product>,
    pub(super) range: Interval,
    pub(super) valid: BitId,
}

/// coefficient × bits × factors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    pub(super) coefficient: i128,
    /// Conditions under which it counts (CASE).
    pub(super) bits: BTreeSet<BitId>,
    /// Validity of the other operands of a sum: needed where values are added up over rows, not where they are compared.
    pub(super) guards: BTreeSet<BitId>,
    pub(super) factors: BTreeMap<Side, Factor>,
}

/// One side's factor. NULL counts as 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Factor {
    /// Of type DECIMAL(38, scale).
    pub(super) expr: Expr,
    pub(super) scale: i8,
    pub(super) range: Interval,
}

/// More products than this in one expression are refused.
const MOST_PRODUCTS: usize = 64;

impl Num {
    fn too_wide(what: &str) -> SqlError {
        SqlError::width(format!("{what} does not fit 127 bits"), "CAST to fewer digits, or divide the unit (thousands, for instance)")
    }

    fn checked(self, what: &str) -> Result<Self, SqlError> {
        if self.products.len() > MOST_PRODUCTS {
            return Err(SqlError::unsupported(
                format!("{what} has more than {MOST_PRODUCTS} products of columns of different owners"),
                "compute parts of it in sub-queries of one owner",
            ));
        }
        Ok(self)
    }

    /// To `scale`, which is not smaller.
    pub(super) fn rescaled(mut self, scale: i8) -> Result<Self, SqlError> {
        let factor = u32::try_from(i32::from(scale) - i32::from(self.scale)).ok().and_then(super::range::ten);
        let factor = factor.ok_or_else(|| Self::too_wide("a number"))?;
        self.range = self.range.times(factor).ok_or_else(|| Self::too_wide("a number"))?;
        for p in &mut self.products {
            p.coefficient = p.coefficient.checked_mul(factor).ok_or_else(|| Self::too_wide("a number"))?;
        }
        Ok(Num { scale, ..self })
    }

    pub(super) fn negated(mut self) -> Self {
        self.products.iter_mut().for_each(|p| p.coefficient = -p.coefficient);
        self.range = Interval { min: -self.range.max, max: -self.range.min };
        self
    }

    /// The sum of two numbers of the same scale.
    pub(super) fn plus(mut self, mut other: Num, bits: &mut Bits, what: &str) -> Result<Self, SqlError> {
        let (mine, theirs) = (bits.terms(self.valid), bits.terms(other.valid));
        self.products.iter_mut().for_each(|p| p.guards.extend(theirs.iter().copied()));
        other.products.iter_mut().for_each(|p| p.guards.extend(mine.iter().copied()));
        self.products.extend(other.products);
        let range = self.range.add(other.range).ok_or_else(|| Self::too_wide(what))?;
        let valid = bits.and([self.valid, other.valid]);
        Num { range, valid, ..self }.checked(what)
    }

    pub(super) fn multiplied(&self, other: &Num, bits: &mut Bits, what: &str) -> Result<Self, SqlError> {
        let mut products = Vec::new();
        for a in &self.products {
            for b in &other.products {
                let coefficient = a.coefficient.checked_mul(b.coefficient).ok_or_else(|| Self::too_wide(what))?;
                let mut factors = a.factors.clone();
                for (side, factor) in &b.factors {
                    let joined = match factors.remove(side) {
                        None => factor.clone(),
                        Some(mine) => mine.times(factor).ok_or_else(|| Self::too_wide(what))?,
                    };
                    factors.insert(side.clone(), joined);
                }
                let bits = a.bits.union(&b.bits).copied().collect();
                let guards = a.guards.union(&b.guards).copied().collect();
                products.push(Product { coefficient, bits, guards, factors });
            }
        }
        let range = self.range.mul(other.range).ok_or_else(|| Self::too_wide(what))?;
        let range = if std::ptr::eq(self, other) { Interval { min: 0, max: range.max } } else { range };
        let valid = bits.and([self.valid, other.valid]);
        Num { scale: self.scale + other.scale, products, range, valid }.checked(what)
    }

    /// Counts only where the bits are 1; elsewhere it is NULL.
    pub(super) fn only_where(mut self, bit: BitId, bits: &mut Bits) -> Self {
        let terms = bits.terms(bit);
        self.products.iter_mut().for_each(|p| p.guards.extend(terms.iter().copied()));
        self.valid = bits.and([self.valid, bit]);
        self
    }
}

impl Factor {
    /// The product of two factors of the same side, multiplied at home.
    pub(super) fn times(&self, other: &Factor) -> Option<Factor> {
        let scale = self.scale.checked_add(other.scale).filter(|s| *s <= 38)?;
        let range = self.range.with_zero().mul(other.range.with_zero())?;
        let range = if self.expr == other.expr { Interval { min: 0, max: range.max } } else { range };
        Some(Factor { expr: self.expr.clone() * other.expr.clone(), scale, range })
    }
}
