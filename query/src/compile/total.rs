//! Whatever an owner computes at home is total: no value of a row makes it fail. A failure would be seen by everybody, and so tell of
//! private rows what *Reveals* does not.
//!
//! What can fail on some value of the declared ranges is refused here, with what to write instead. A divisor of which only a condition of the
//! query says that it is not 0 is accepted; DataFusion is free to evaluate the division first, so it is run as a division by NULLIF(divisor, 0).
//! What remains is not of values: a query may need more memory than the owner gives it, and a file may be unreadable.

mod cast;
mod instant;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, WindowFrameBound, WindowFrameUnits,
        expr::{AggregateFunction, ScalarFunction, WindowFunction},
        expr_rewriter::NamePreserver,
    },
};

pub(super) use self::cast::no_lost_answer;
use super::{
    Compiler, SqlError,
    facts::{self, Facts, Input},
    internal,
    range::{self, Interval},
    rows::no_percentile,
    temporal::{self, Recount},
    words::words,
};
use crate::percentile::{self, Rank};

impl Compiler<'_> {
    /// The plan with its divisions made safe, if nothing in it can fail.
    pub(super) fn total(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        let mut refused = None;
        let safe = plan.transform_up_with_subqueries(|node| {
            self.operator(node).map(Transformed::yes).map_err(|e| {
                refused.get_or_insert(e);
                DataFusionError::Plan("refused".into())
            })
        });
        match (safe, refused) {
            (_, Some(e)) => Err(e),
            (safe, None) => Ok(safe.map_err(internal)?.data),
        }
    }

    fn operator(&self, node: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        if node.expressions().is_empty() {
            return Ok(node);
        }
        let inputs: Vec<_> = node.inputs().into_iter().map(|i| Facts::of(i, self.catalog)).collect();
        let rows = inputs.first().map_or(1, |f| f.rows);
        let whole = matches!(&node, LogicalPlan::Aggregate(a) if a.group_expr.is_empty());
        let columns: Vec<_> = inputs.into_iter().flat_map(|f| f.columns).collect();
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema = schema.join(input.schema()).map_err(internal)?;
        }
        let input = Input { schema: &schema, columns: &columns, catalog: self.catalog };
        let check = Check { compiler: self, input, rows, whole, proved: false };
        let mut refused = None;
        let seen = node.apply_expressions(|e| match check.expr(e, &[]) {
            Ok(()) => Ok(TreeNodeRecursion::Continue),
            Err(e) => {
                refused = Some(e);
                Ok(TreeNodeRecursion::Stop)
            }
        });
        if let Some(e) = refused {
            return Err(e);
        }
        seen.map_err(internal)?;
        let names = NamePreserver::new(&node);
        let safe = node.map_expressions(|e| {
            let name = names.save(&e);
            e.transform_up(|e| safe_division(e, input)).map(|e| e.update_data(|e| name.restore(e)))
        });
        let safe = safe.map_err(internal)?;
        if safe.transformed { safe.data.recompute_schema().map_err(internal) } else { Ok(safe.data) }
    }
}

/// A divisor that only a condition keeps from 0, as NULLIF(divisor, 0): whatever is evaluated first, nothing fails.
fn safe_division(expr: Expr, input: Input<'_>) -> Result<Transformed<Expr>, DataFusionError> {
    match expr {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::Divide | Operator::Modulo) => {
            let ty = b.right.get_type(input.schema)?;
            let always = ty.is_floating() || range::of(&b.right, input).ok().flatten().is_some_and(|i| i.min > 0 || i.max < 0);
            if always || matches!(b.right.as_ref(), Expr::ScalarFunction(f) if f.name() == "nullif") {
                return Ok(Transformed::no(Expr::BinaryExpr(b)));
            }
            let zero = Expr::Literal(ScalarValue::new_zero(&ty)?, None);
            let divisor = datafusion::functions::core::expr_fn::nullif(*b.right, zero);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(b.left, b.op, Box::new(divisor)))))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The expressions of one operator.
#[derive(Clone, Copy)]
struct Check<'a, 'c> {
    compiler: &'a Compiler<'c>,
    input: Input<'a>,
    rows: u128,
    whole: bool,
    /// It is part of arithmetic that is known to stay within its type.
    proved: bool,
}

impl Check<'_, '_> {
    /// `known`: what is not 0 where this is evaluated.
    fn expr(self, expr: &Expr, known: &[&Expr]) -> Result<(), SqlError> {
        match expr {
            Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
                let holds = b.op == Operator::And;
                let (mut left, mut right) = (known.to_vec(), known.to_vec());
                assume(&b.right, holds, &mut left);
                assume(&b.left, holds, &mut right);
                self.expr(&b.left, &left)?;
                self.expr(&b.right, &right)
            }
            Expr::Case(c) => self.case(c, known),
            other => {
                // arithmetic is looked at whole: its operands have nothing to add
                let arithmetic = matches!(other, Expr::BinaryExpr(b) if b.op.is_numerical_operators());
                if arithmetic {
                    self.alone(other, known)?;
                }
                let inside = Check { proved: arithmetic, ..self };
                let mut refused = None;
                let seen = other.apply_children(|child| match inside.expr(child, known) {
                    Ok(()) => Ok(TreeNodeRecursion::Continue),
                    Err(e) => {
                        refused = Some(e);
                        Ok(TreeNodeRecursion::Stop)
                    }
                });
                refused.map_or_else(|| seen.map(|_| ()).map_err(internal), Err)?;
                if arithmetic { Ok(()) } else { self.alone(other, known) }
            }
        }
    }

    fn case(self, c: &Case, known: &[&Expr]) -> Result<(), SqlError> {
        let mut before = known.to_vec();
        if let Some(base) = &c.expr {
            self.expr(base, known)?;
        }
        for (when, then) in &c.when_then_expr {
            self.expr(when, &before)?;
            let mut there = before.clone();
            if c.expr.is_none() {
                assume(when, true, &mut there);
                assume(when, false, &mut before);
            }
            self.expr(then, &there)?;
        }
        c.else_expr.as_ref().map_or(Ok(()), |e| self.expr(e, &before))
    }

    /// One operation, whatever its operands are.
    fn alone(self, expr: &Expr, known: &[&Expr]) -> Result<(), SqlError> {
        match expr {
            Expr::BinaryExpr(b) => self.binary(b, expr, known),
            Expr::Negative(_) => self.arithmetic(expr),
            Expr::Cast(c) => self.cast(c, expr),
            Expr::ScalarFunction(f) => self.function(f, expr),
            Expr::ScalarSubquery(s) if Facts::of(&s.subquery, self.input.catalog).rows > 1 => {
                Err(self.refuse("a sub-query that stands for one value can have several rows", "aggregate in it, or add LIMIT 1", expr))
            }
            Expr::AggregateFunction(f) if Rank::of(f.func.name()).is_some() => self.percentile(f, expr),
            Expr::AggregateFunction(_) => self.not_wide(facts::of_aggregate(expr, self.input, self.rows, self.whole).wide, expr),
            Expr::WindowFunction(w) => {
                self.not_wide(facts::of_window(expr, self.input, self.rows).wide, expr)?;
                self.frame(w, expr)
            }
            Expr::SimilarTo(_) | Expr::Unnest(_) | Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => {
                Err(self.fallible(expr, "write it another way"))
            }
            _ => Ok(()),
        }
    }

    fn binary(self, b: &BinaryExpr, expr: &Expr, known: &[&Expr]) -> Result<(), SqlError> {
        match b.op {
            Operator::Plus | Operator::Minus | Operator::Multiply => self.arithmetic(expr),
            Operator::Divide | Operator::Modulo => {
                let floating = b.right.get_type(self.input.schema).is_ok_and(|t| t.is_floating());
                if !floating && !never_zero(&b.right, self.input, known) {
                    let (left, divisor) = (words(&b.left), words(&b.right));
                    let left = if matches!(b.left.as_ref(), Expr::BinaryExpr(_)) { format!("({left})") } else { left };
                    let fix = match range::of(&b.right, self.input) {
                        Ok(Some(Interval { min: 0, max: 0 })) => "divide by something else".to_owned(),
                        _ => format!("write {left} {} NULLIF({divisor}, 0)", b.op),
                    };
                    return Err(self.refuse(&format!("the divisor of {} can be 0", words(expr)), &fix, &b.right));
                }
                self.arithmetic(expr)
            }
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::StringConcat
            | Operator::BitwiseAnd
            | Operator::BitwiseOr
            | Operator::BitwiseXor => Ok(()),
            Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
                Err(self.fallible(expr, "write LIKE"))
            }
            _ => Err(self.fallible(expr, "write it another way")),
        }
    }

    /// Arithmetic stays within its type.
    fn arithmetic(self, expr: &Expr) -> Result<(), SqlError> {
        if self.proved {
            return Ok(());
        }
        let ty = expr.get_type(self.input.schema).map_err(internal)?;
        if ty.is_floating() || ty.is_null() {
            return Ok(());
        }
        if ty.is_temporal() {
            return if self.in_time(expr) { Ok(()) } else { Err(self.fallible(expr, "declare a narrower min and max in the catalogue")) };
        }
        if range::limits(&ty).is_none() {
            return Err(self.fallible(expr, "CAST the operands to DECIMAL(38, s), or to fewer digits"));
        }
        self.not_wide(range::of(expr, self.input).err(), expr)
    }

    fn not_wide(self, why: Option<String>, expr: &Expr) -> Result<(), SqlError> {
        let Some(why) = why else { return Ok(()) };
        let why = self.compiler.frames.in_words(&why);
        let fix = "CAST what it is made of to DECIMAL(38, s) or to fewer digits, or declare a narrower min and max in the catalogue";
        Err(SqlError::width(why, fix).at(self.place(expr)))
    }

    fn percentile(self, f: &AggregateFunction, expr: &Expr) -> Result<(), SqlError> {
        match f.params.args.as_slice() {
            _ if f.params.distinct => {
                let fix = "take the distinct values in a sub-query";
                Err(SqlError::unsupported(format!("{} is not supported", words(expr)), fix).at(self.place(expr)))
            }
            [_, p] if percentile::fraction(p).is_none() => Err(no_percentile(p).at(self.place(expr))),
            _ => Ok(()),
        }
    }

    fn frame(self, w: &WindowFunction, expr: &Expr) -> Result<(), SqlError> {
        let frame = &w.params.window_frame;
        let offset = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::Preceding(v) | WindowFrameBound::Following(v) if !v.is_null() => Some(v.clone()),
            _ => None,
        };
        let offsets: Vec<_> = [&frame.start_bound, &frame.end_bound].into_iter().filter_map(offset).collect();
        if frame.units != WindowFrameUnits::Range || offsets.is_empty() {
            return Ok(());
        }
        let bounded = w.params.order_by.first().is_some_and(|by| offsets.iter().all(|o| self.shifts(&by.expr, o)));
        if bounded {
            Ok(())
        } else {
            Err(self.fallible(expr, "write ROWS BETWEEN …, or declare a narrower min and max in the catalogue"))
        }
    }

    fn function(self, f: &ScalarFunction, expr: &Expr) -> Result<(), SqlError> {
        let number = |i: usize| match f.args.get(i) {
            Some(Expr::Literal(v, _)) => range::literal(v).map(|i| i.min),
            _ => None,
        };
        let text = |i: usize| matches!(f.args.get(i), Some(Expr::Literal(v, _)) if v.data_type().is_string());
        let small = |i: usize| f.args.len() <= i || number(i).is_some_and(|n| (0..=1000).contains(&n));
        let exact = || {
            let bounded = |e: &Expr| match e.get_type(self.input.schema) {
                Ok(ty) if ty.is_floating() => true,
                Ok(ty) if range::number(&ty).is_some() => {
                    matches!(range::of(e, self.input), Ok(Some(i)) if i.magnitude() < 10i128.pow(36))
                }
                _ => false,
            };
            f.args.first().is_some_and(bounded)
        };
        let total = match f.name() {
            "coalesce" | "nullif" | "nvl" | "nvl2" | "ifnull" | "greatest" | "least" => true,
            "abs" => return self.arithmetic(expr),
            "round" | "trunc" => exact() && (f.args.len() == 1 || number(1).is_some_and(|n| (0..=18).contains(&n))),
            "ceil" | "floor" | "signum" => exact(),
            "sqrt" | "cbrt" | "exp" | "ln" | "log" | "log2" | "log10" | "sin" | "cos" | "tan" | "cot" | "sinh" | "cosh" | "tanh"
            | "asin" | "acos" | "atan" | "asinh" | "acosh" | "atanh" | "atan2" | "degrees" | "radians" | "isnan" | "iszero" | "nanvl"
            | "pi" => f.args.iter().all(|e| e.get_type(self.input.schema).is_ok_and(|t| t.is_numeric())),
            // 0 to a power below 0 fails
            "power" => {
                number(1).is_some_and(|n| n >= 0)
                    || matches!(f.args.get(1), Some(Expr::Literal(ScalarValue::Float64(Some(n)), _)) if *n >= 0.0)
            }
            "ascii" | "bit_length" | "octet_length" | "character_length" | "lower" | "upper" | "initcap" | "reverse" | "btrim"
            | "ltrim" | "rtrim" | "concat" | "concat_ws" | "contains" | "starts_with" | "ends_with" | "strpos" | "replace"
            | "translate" | "levenshtein" | "find_in_set" | "to_hex" => true,
            "left" | "right" | "repeat" | "lpad" | "rpad" => f.args.len() > 1 && small(1),
            "substr" => f.args.len() > 1 && number(1).is_some() && small(2),
            "split_part" => number(2).is_some_and(|n| n != 0 && n.abs() < 1000),
            "substr_index" => number(2).is_some_and(|n| n.abs() < 1000),
            "date_part" => text(0) && f.args.get(1).is_some_and(|e| self.dated(e)),
            "date_trunc" => text(0) && f.args.get(1).is_some_and(|e| self.dated(e)),
            "to_char" => instant::plain_format(f.args.get(1)) && f.args.first().is_some_and(|e| self.dated(e)),
            _ => false,
        };
        if total {
            return Ok(());
        }
        let fix = match f.name() {
            "date_bin" => "use DATE_TRUNC, or put the result into the owner's data",
            _ => {
                "write constants for its other arguments, use a function that has a value everywhere, or put the result into the owner's data"
            }
        };
        Err(self.fallible(expr, fix))
    }

    fn fallible(self, expr: &Expr, fix: &str) -> SqlError {
        self.refuse(&format!("{} can fail on some values", words(expr)), fix, expr)
    }

    fn refuse(self, what: &str, fix: &str, expr: &Expr) -> SqlError {
        let message = format!("{what}, and a failure would tell of private rows");
        SqlError::unsupported(self.compiler.frames.in_words(&message), self.compiler.frames.in_words(fix)).at(self.place(expr))
    }

    fn place(self, expr: &Expr) -> Option<super::locate::Place> {
        self.compiler.text.expr(expr).or_else(|| self.compiler.text.keyword("SELECT"))
    }
}

/// Whether an expression is never 0 (it may be NULL), given what else is not.
pub(super) fn never_zero(expr: &Expr, input: Input<'_>, known: &[&Expr]) -> bool {
    let expr = bare(expr, input);
    if known.iter().any(|k| bare(k, input) == expr) || range::of(expr, input).ok().flatten().is_some_and(|i| i.min > 0 || i.max < 0) {
        return true;
    }
    let inside = |e: &Expr| never_zero(e, input, known) || matches!(e, Expr::Literal(v, _) if v.is_null());
    match expr {
        Expr::Column(c) => input.column(c).is_some_and(|k| k.nonzero),
        Expr::Negative(e) => inside(e),
        Expr::ScalarFunction(f) => match f.name() {
            "nullif" => f.args.get(1).is_some_and(zero) || f.args.first().is_some_and(inside),
            "coalesce" | "greatest" | "least" => f.args.iter().all(inside),
            "abs" => f.args.iter().all(inside),
            _ => false,
        },
        Expr::Case(c) if c.expr.is_none() => {
            let mut before = known.to_vec();
            let branches = c.when_then_expr.iter().all(|(when, then)| {
                let mut there = before.clone();
                assume(when, true, &mut there);
                assume(when, false, &mut before);
                never_zero(then, input, &there) || matches!(then.as_ref(), Expr::Literal(v, _) if v.is_null())
            });
            branches
                && c.else_expr
                    .as_ref()
                    .is_none_or(|e| never_zero(e, input, &before) || matches!(e.as_ref(), Expr::Literal(v, _) if v.is_null()))
        }
        _ => false,
    }
}

/// What a condition says is not 0 where it is true.
pub(super) fn not_zero(condition: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    assume(condition, true, &mut found);
    found
}

/// Adds what is not 0 (or NULL) where a condition is true; or, for `holds` false, where it is not.
fn assume<'e>(condition: &'e Expr, holds: bool, found: &mut Vec<&'e Expr>) {
    match condition {
        Expr::BinaryExpr(b) if b.op == Operator::And && holds || b.op == Operator::Or && !holds => {
            assume(&b.left, holds, found);
            assume(&b.right, holds, found);
        }
        Expr::BinaryExpr(b) => {
            for (of, op, with) in [(&b.left, Some(b.op), &b.right), (&b.right, b.op.swap(), &b.left)] {
                let op = if holds { op } else { op.and_then(|op| op.negate()) };
                let Expr::Literal(value, _) = with.as_ref() else { continue };
                let Some(sign) = range::literal(value).filter(|_| !value.is_null()).map(|i| i.min.signum()) else { continue };
                let excluded = match op {
                    Some(Operator::Eq) => sign != 0,
                    Some(Operator::NotEq) => sign == 0,
                    Some(Operator::Gt) => sign >= 0,
                    Some(Operator::GtEq) => sign > 0,
                    Some(Operator::Lt) => sign <= 0,
                    Some(Operator::LtEq) => sign < 0,
                    _ => false,
                };
                if excluded {
                    found.push(of);
                }
            }
        }
        Expr::Between(b) if b.negated != holds => {
            let sign = |e: &Expr| match e {
                Expr::Literal(v, _) if !v.is_null() => range::literal(v).map(|i| i.min.signum()),
                _ => None,
            };
            if sign(&b.low) == Some(1) || sign(&b.high) == Some(-1) {
                found.push(&b.expr);
            }
        }
        Expr::IsTrue(e) if holds => assume(e, true, found),
        _ => {}
    }
}

/// Without the casts that keep 0 apart from everything else.
fn bare<'e>(expr: &'e Expr, input: Input<'_>) -> &'e Expr {
    let keeps = |from: &DataType, to: &DataType| match (range::scale(from), range::scale(to)) {
        (Some(digits), Some(scale)) => scale >= digits && matches!(temporal::recount(from, to), Recount::Same | Recount::Times(_)),
        (Some(_), None) => to.is_floating(),
        _ => false,
    };
    match expr {
        Expr::Alias(a) => bare(&a.expr, input),
        Expr::Cast(c) if c.expr.get_type(input.schema).is_ok_and(|from| keeps(&from, c.field.data_type())) => bare(&c.expr, input),
        other => other,
    }
}

fn zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(v, _) => !v.is_null() && range::literal(v).is_some_and(|i| i.min == 0 && i.max == 0),
        Expr::Cast(c) => zero(&c.expr),
        _ => false,
    }
}
