//! How a row's columns are made of the values of a data set: of each, what its entities have. That is what depends on their values alone. A constant that is added, or that stands
//! in some rows in place of a value, is nobody's: everybody knows it and takes it off, so that it must not make anyone's share smaller.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Case, Cast, Expr, ExprSchemable, Operator, expr::ScalarFunction},
};

use super::may_be_negative;
use crate::compile::{
    SqlError,
    expr::{Reads, cast},
    facts::{self, Input},
    protect::entities::{choose, unalias},
    range::{self, Interval},
};

/// What entities have of a value that is not negative.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::compile::protect) struct Portion {
    /// The most that one of them has.
    pub(in crate::compile::protect) greatest: Expr,
    /// What all have together.
    pub(in crate::compile::protect) whole: Expr,
}

impl Portion {
    /// All of a value, which may be of one.
    pub(in crate::compile::protect) fn all(e: &Expr) -> Self {
        Portion { greatest: e.clone(), whole: e.clone() }
    }

    /// Of a row that is no sum.
    pub(super) fn of_row(self) -> Option<Expr> {
        (self.greatest == self.whole).then_some(self.whole)
    }

    /// Whether nothing else is in a value.
    fn is(&self, e: &Expr) -> bool {
        self.whole == *e
    }

    fn each(self, f: impl Fn(Expr) -> Expr) -> Self {
        Portion { greatest: f(self.greatest), whole: f(self.whole) }
    }

    /// The same in a wider type.
    fn typed(self, ty: &DataType, input: Input<'_>) -> Option<Self> {
        let typed = |e: Expr| {
            let of = e.get_type(input.schema).ok()?;
            let exact = || range::number(&of).zip(range::number(ty)).is_some_and(|(of, to)| of <= to);
            if of == *ty { Some(e) } else { exact().then(|| cast(e, ty.clone())) }
        };
        Some(Portion { greatest: typed(self.greatest)?, whole: typed(self.whole)? })
    }
}

/// What entities have of this cannot be told from what else is in it.
pub(in crate::compile::protect) struct Mixed(pub(in crate::compile::protect) Expr);

/// `None`: nothing, it is made of other values.
type Known = Result<Option<Portion>, Mixed>;

/// What entities have of a row's columns.
#[derive(Clone, Debug, Default)]
pub(in crate::compile::protect) struct Portions {
    /// Of these columns, where it can be told.
    of: BTreeMap<Column, Option<Portion>>,
    /// Those of them that are computed of sums.
    summed: BTreeSet<Column>,
    /// Sums that the row shows.
    sums: Vec<(Expr, Expr)>,
}

impl Portions {
    /// All of these columns may be of one.
    pub(in crate::compile::protect) fn whole(columns: impl IntoIterator<Item = Column>) -> Self {
        let all = |c: Column| (c.clone(), Some(Portion::all(&Expr::Column(c))));
        Portions { of: columns.into_iter().map(all).collect(), ..Portions::default() }
    }

    pub(in crate::compile::protect) fn add(&mut self, column: Column, portion: Portion) {
        self.of.insert(column, Some(portion));
    }

    /// A column is an aggregate, a window function or a key of values that have portions of their own.
    pub(in crate::compile::protect) fn made(&mut self, column: Column, of: &Expr, from: &Portions, input: Input<'_>) {
        let portion = match from.of(unalias(of), input) {
            Ok(None) => return,
            Ok(Some(portion)) if portion.is(unalias(of)) => Some(Portion::all(&Expr::Column(column.clone()))),
            _ => None,
        };
        self.of.insert(column, portion);
    }

    /// A column is computed of sums.
    pub(in crate::compile::protect) fn sum(&mut self, column: Column) {
        self.summed.insert(column);
    }

    /// Whether a value is computed of sums.
    pub(in crate::compile::protect) fn summed(&self, e: &Expr) -> bool {
        e.reads().into_iter().any(|c| self.summed.contains(c))
    }

    pub(in crate::compile::protect) fn show(&mut self, greatest: Expr, whole: Expr) {
        self.sums.push((greatest, whole));
    }

    pub(in crate::compile::protect) fn sums(&self) -> &[(Expr, Expr)] {
        &self.sums
    }

    pub(in crate::compile::protect) fn concern(&self, e: &Expr) -> bool {
        e.reads().into_iter().any(|c| self.of.contains_key(c))
    }

    /// What entities have of a value that is not negative.
    pub(in crate::compile::protect) fn of(&self, e: &Expr, input: Input<'_>) -> Known {
        let ty = e.get_type(input.schema).unwrap_or(DataType::Null);
        // a condition is counted: of who is counted each is one
        if ty == DataType::Boolean || !self.concern(e) {
            return Ok(None);
        }
        let Some(portion) = self.parts(e, input)? else { return Ok(None) };
        let all = portion.is(e).then(|| Portion::all(e));
        portion.typed(&ty, input).or(all).map(Some).ok_or_else(|| Mixed(e.clone()))
    }

    fn parts(&self, e: &Expr, input: Input<'_>) -> Known {
        let of = |e: &Expr| self.of(e, input);
        let number = |e: &Expr| e.get_type(input.schema).ok().and_then(|ty| range::number(&ty));
        match e {
            Expr::Column(c) => match self.of.get(c) {
                Some(portion) => portion.clone().map(Some).ok_or_else(|| Mixed(e.clone())),
                None => Ok(None),
            },
            Expr::Alias(a) => of(&a.expr),
            Expr::Cast(c) if number(&c.expr) <= number(e) => {
                let same = |of| Expr::Cast(Cast { expr: Box::new(of), ..c.clone() });
                Ok(of(&c.expr)?.map(|portion| portion.each(same)))
            }
            Expr::BinaryExpr(b) => {
                let [safe_left, safe_right] = [&b.left, &b.right].map(|e| number(e).is_some() && !may_be_negative(e, input));
                Ok(match (b.op, of(&b.left)?, of(&b.right)?) {
                    (_, None, None) => None,
                    (Operator::Plus, Some(left), Some(right)) if safe_left && safe_right => {
                        Some(Portion { greatest: left.greatest + right.greatest, whole: left.whole + right.whole })
                    }
                    (Operator::Plus | Operator::Minus, Some(left), None) if safe_left => Some(left),
                    (Operator::Plus | Operator::Minus, None, Some(right)) if safe_right => Some(right),
                    (Operator::Multiply, Some(left), None) if safe_left && safe_right => {
                        Some(left.each(|left| left * b.right.as_ref().clone()))
                    }
                    (Operator::Multiply, None, Some(right)) if safe_left && safe_right => {
                        Some(right.each(|right| b.left.as_ref().clone() * right))
                    }
                    _ => return self.unseen(e, input),
                })
            }
            Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
                ("coalesce" | "nvl" | "ifnull", [x, other]) if of(other)?.is_none() => {
                    let zero = is_nothing(other, input);
                    let same = |of: Expr| if zero { with_arguments(f, vec![of, other.clone()]) } else { of };
                    Ok(of(x)?.map(|portion| portion.each(same)))
                }
                ("greatest" | "least", _) => self.extreme(f, e, input),
                _ => self.unseen(e, input),
            },
            Expr::Case(c) => self.chosen(c, e, input),
            _ => self.unseen(e, input),
        }
    }

    /// A value in the rows where it is chosen.
    fn chosen(&self, c: &Case, e: &Expr, input: Input<'_>) -> Known {
        let mut branches = Vec::new();
        for then in c.when_then_expr.iter().map(|(_, then)| then).chain(&c.else_expr) {
            branches.push((then.as_ref(), self.of(then, input)?));
        }
        if branches.iter().all(|(_, portion)| portion.is_none()) {
            return Ok(None);
        }
        if branches.iter().any(|(then, portion)| portion.is_some() && may_be_negative(then, input)) {
            return self.unseen(e, input);
        }
        let portions = branches.into_iter().map(|(then, portion)| match portion {
            Some(portion) => Some(portion),
            None if is_nothing(then, input) => Some(Portion::all(then)),
            None => Some(Portion::all(&zero(then, input)?)),
        });
        let Some(portions) = portions.collect::<Option<Vec<_>>>() else { return self.unseen(e, input) };
        let chosen = |of: fn(&Portion) -> &Expr| {
            let mut thens = portions.iter().map(|portion| Box::new(of(portion).clone()));
            let whens = c.when_then_expr.iter().zip(thens.by_ref()).map(|((when, _), then)| (when.clone(), then)).collect();
            Expr::Case(Case::new(
                c.expr.clone(),
                whens,
                if c.else_expr.is_some() { portions.last().map(|p| Box::new(of(p).clone())) } else { None },
            ))
        };
        Ok(Some(Portion { greatest: chosen(|p| &p.greatest), whole: chosen(|p| &p.whole) }))
    }

    /// GREATEST and LEAST of one value and of others that are not of entities: the value where it is the one.
    fn extreme(&self, f: &ScalarFunction, e: &Expr, input: Input<'_>) -> Known {
        let mut of = Vec::new();
        for (i, x) in f.args.iter().enumerate() {
            of.extend(self.of(x, input)?.map(|portion| (i, portion)));
        }
        let (place, portion) = match of.len() {
            0 => return Ok(None),
            1 => of.swap_remove(0),
            _ => return self.unseen(e, input),
        };
        let value = &f.args[place];
        let others = || f.args.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, other)| other);
        if f.name() == "greatest" && portion.is(value) && others().all(|other| is_nothing(other, input)) {
            let same = |of: Expr| {
                with_arguments(f, f.args.iter().enumerate().map(|(i, x)| if i == place { of.clone() } else { x.clone() }).collect())
            };
            return Ok(Some(portion.each(same)));
        }
        // another may be NULL, and is none then
        let beyond = |other: &Expr| match f.name() {
            "greatest" => other.clone().gt_eq(value.clone()),
            _ => other.clone().lt_eq(value.clone()),
        };
        match (others().map(beyond).reduce(Expr::or), zero(value, input)) {
            (Some(another), Some(zero)) => Ok(Some(portion.each(|of| choose(another.clone(), zero.clone(), of)))),
            (None, _) => Ok(Some(portion)),
            _ => self.unseen(e, input),
        }
    }

    /// What is not seen through may be all of one, if it is of values of entities and of nothing else.
    fn unseen(&self, e: &Expr, input: Input<'_>) -> Known {
        let mut children = Vec::new();
        let _ = e.apply_children(|child| {
            children.push(child);
            Ok(TreeNodeRecursion::Continue)
        });
        let (mut own, mut moments, mut others) = (false, true, false);
        for child in children {
            let ty = child.get_type(input.schema).unwrap_or(DataType::Null);
            match self.of(child, input)? {
                Some(portion) if portion.is(child) => (own, moments) = (true, moments && ty.is_temporal()),
                Some(_) => return Err(Mixed(e.clone())),
                None => others |= ty != DataType::Boolean && !is_nothing(child, input),
            }
        }
        match own {
            false => Ok(None),
            // dates have no 0 from which they could be far
            true if !others || moments || keeps_zero(e) => Ok(Some(Portion::all(e))),
            true => Err(Mixed(e.clone())),
        }
    }

    /// All columns that they are read from.
    pub(in crate::compile::protect) fn columns(&self) -> impl Iterator<Item = Column> {
        let portions = self.of.values().flatten().flat_map(|Portion { greatest, whole }| [greatest, whole]);
        let exprs = portions.chain(self.sums.iter().flat_map(|(greatest, whole)| [greatest, whole]));
        exprs.flat_map(|e| e.reads().into_iter().cloned()).collect::<Vec<_>>().into_iter()
    }

    /// The same with columns of other names.
    pub(in crate::compile::protect) fn moved(&self, to: impl Fn(&Expr) -> Result<Expr, SqlError>) -> Result<Self, SqlError> {
        let mut moved = Portions::default();
        for (column, portion) in &self.of {
            if let Expr::Column(column) = to(&Expr::Column(column.clone()))? {
                let portion = match portion {
                    Some(Portion { greatest, whole }) => Some(Portion { greatest: to(greatest)?, whole: to(whole)? }),
                    None => None,
                };
                moved.of.insert(column, portion);
            }
        }
        for column in &self.summed {
            if let Expr::Column(column) = to(&Expr::Column(column.clone()))? {
                moved.summed.insert(column);
            }
        }
        for (greatest, whole) in &self.sums {
            moved.sums.push((to(greatest)?, to(whole)?));
        }
        Ok(moved)
    }

    /// The same of the first `own` of some expressions, with what is needed for it added to these.
    pub(in crate::compile::protect) fn projected(
        &self,
        exprs: &mut Vec<Expr>,
        own: usize,
        input: Input<'_>,
        mut name: impl FnMut() -> String,
    ) -> Projected {
        let mut place = |exprs: &mut Vec<Expr>, e: Expr| {
            exprs.iter().position(|p| *unalias(p) == e).unwrap_or_else(|| {
                exprs.push(e.alias(name()));
                exprs.len() - 1
            })
        };
        let mut projected = Projected::default();
        for i in 0..own {
            let value = unalias(&exprs[i]).clone();
            projected.summed.extend(self.summed(&value).then_some(i));
            let portion = match self.of(&value, input) {
                Ok(None) => continue,
                Ok(Some(Portion { greatest, whole })) => {
                    let mut at = |e: Expr| if e == value { i } else { place(exprs, e) };
                    Some((at(greatest), at(whole)))
                }
                Err(Mixed(_)) => None,
            };
            projected.of.push((i, portion));
        }
        for (greatest, whole) in &self.sums {
            projected.sums.push((place(exprs, greatest.clone()), place(exprs, whole.clone())));
        }
        projected
    }
}

/// [`Portions`] by the places of columns.
#[derive(Default)]
pub(in crate::compile::protect) struct Projected {
    of: Vec<(usize, Option<(usize, usize)>)>,
    summed: Vec<usize>,
    sums: Vec<(usize, usize)>,
}

impl Projected {
    /// All of the first columns.
    pub(in crate::compile::protect) fn whole(columns: usize) -> Self {
        Projected { of: (0..columns).map(|i| (i, Some((i, i)))).collect(), ..Projected::default() }
    }

    /// A column's portion is another column; `None`: it cannot be told.
    pub(in crate::compile::protect) fn add(&mut self, column: usize, portion: Option<usize>) {
        self.of.push((column, portion.map(|place| (place, place))));
    }

    pub(in crate::compile::protect) fn at(self, column: impl Fn(usize) -> Column) -> Portions {
        let expr = |place| Expr::Column(column(place));
        let portion = |(greatest, whole)| Portion { greatest: expr(greatest), whole: expr(whole) };
        Portions {
            of: self.of.into_iter().map(|(c, places)| (column(c), places.map(portion))).collect(),
            summed: self.summed.into_iter().map(&column).collect(),
            sums: self.sums.into_iter().map(|(greatest, whole)| (expr(greatest), expr(whole))).collect(),
        }
    }
}

/// Whether an operator makes 0 of 0, whatever else it is given.
fn keeps_zero(e: &Expr) -> bool {
    match e {
        Expr::BinaryExpr(b) => matches!(b.op, Operator::Multiply | Operator::Divide | Operator::Modulo),
        Expr::ScalarFunction(f) => matches!(f.name(), "round" | "trunc" | "date_part" | "date_trunc" | "nullif" | "power"),
        Expr::WindowFunction(f) => !matches!(f.fun.name(), "lag" | "lead"),
        Expr::AggregateFunction(_) => true,
        _ => false,
    }
}

/// Whether a value is 0 or NULL.
fn is_nothing(e: &Expr, input: Input<'_>) -> bool {
    matches!(unalias(e), Expr::Literal(value, _) if value.is_null()) || facts::of_expr(e, input).range == Some(Interval::ZERO)
}

/// The 0 of a value's type.
fn zero(e: &Expr, input: Input<'_>) -> Option<Expr> {
    Some(Expr::Literal(ScalarValue::new_zero(&e.get_type(input.schema).ok()?).ok()?, None))
}

fn with_arguments(f: &ScalarFunction, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(f.func.clone(), args))
}
