//! GROUP BY, DISTINCT and aggregates without groups over private rows.

mod cast;
mod mean;
mod parts;

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, expr::AggregateFunction},
};

use self::parts::Parts;
use super::{
    Asked, Demand, Rows,
    emit::{Emit, Scope, Val, unalias},
    form, is_union,
    release::no_percentile,
};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        expr::said,
        facts::{Facts, Known, plain},
        internal, range,
        range::Interval,
        release::{aggregate_function, exact_argument, is_statistic},
    },
    percentile::{self, Rank},
    plan::{
        Decided, Ring,
        relation::{Fold, FoldOp, Operator as Op, RowColumn, RowForm, RowKind, RowOp},
    },
};

/// Groups of at most so many tuples are found by a mask each, if that is cheaper.
const FEW: u128 = 64;

/// A fold before its input has columns: the columns are numbers of demands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub(super) fold: Fold,
    pub(super) column: RowColumn,
}

/// Folds of one GROUP BY, found as its output is asked for.
pub(super) struct Folds<'f> {
    pub(super) schema: &'f DFSchema,
    pub(super) columns: &'f [Known],
    pub(super) catalog: &'f Catalog,
    /// Most rows a group can have.
    pub(super) rows: i128,
    pub(super) asked: Vec<Demand>,
    pub(super) drafts: Vec<Draft>,
}

impl<'f> Folds<'f> {
    pub(super) fn new(schema: &'f DFSchema, columns: &'f [Known], catalog: &'f Catalog, rows: u128, asked: Vec<Demand>) -> Self {
        Folds { schema, columns, catalog, rows: i128::try_from(rows).unwrap_or(i128::MAX >> 1), asked, drafts: Vec::new() }
    }

    /// The number of a demand on the input.
    pub(super) fn demand(&mut self, expr: &Expr, form: RowForm) -> usize {
        let demand = Demand { expr: expr.clone(), form };
        self.asked.iter().position(|d| *d == demand).unwrap_or_else(|| {
            self.asked.push(demand);
            self.asked.len() - 1
        })
    }

    /// The number of a fold.
    fn fold(&mut self, op: FoldOp, when: Option<usize>, words: String, form: RowForm, nullable: bool) -> usize {
        let draft = Draft { fold: Fold { op, when }, column: RowColumn { words, form, nullable } };
        self.drafts.iter().position(|d| d.fold == draft.fold).unwrap_or_else(|| {
            self.drafts.push(draft);
            self.drafts.len() - 1
        })
    }

    fn known(&self, expr: &Expr) -> Known {
        form::known_of(expr, self.schema, self.columns, self.catalog)
    }

    /// FILTER, and that an argument is not NULL, as one demanded bit.
    fn when(&mut self, filter: Option<&Expr>, given: &[&Expr]) -> Option<usize> {
        let nullable: Vec<_> = given.iter().filter(|e| self.known(e).nullable).map(|e| (*e).clone().is_not_null()).collect();
        let all = filter.cloned().into_iter().chain(nullable).reduce(Expr::and)?;
        Some(self.demand(&all, RowForm::Bit))
    }

    fn counted(&mut self, filter: Option<&Expr>, given: &[&Expr]) -> usize {
        let when = self.when(filter, given);
        let form = RowForm::Field { ring: Ring::Fp61, scale: 0, min: 0, max: self.rows };
        let words = match given {
            [] => "COUNT(*)".to_owned(),
            of => format!("COUNT({})", of.iter().map(|e| said(e)).collect::<Vec<_>>().join(", ")),
        };
        self.fold(FoldOp::Rows, when, words, form, false)
    }

    /// SUM(x) in a field at least as wide; with `by`, the form in which values are told apart, SUM(DISTINCT x).
    fn summed(&mut self, arg: &Expr, filter: Option<&Expr>, by: Option<RowForm>, least: Ring) -> Result<usize, SqlError> {
        let known = self.known(arg);
        let wide =
            || SqlError::width(format!("SUM({}) can leave the numbers that are shared exactly", said(arg)), "CAST it to fewer digits");
        let (Some(scale), Some(range)) = (range::scale(&known.ty), known.range.filter(|_| known.wide.is_none())) else {
            return Err(wide());
        };
        let total = range.with_zero().times(self.rows).ok_or_else(wide)?;
        let ring = form::ring(total).ok_or_else(wide)?.max(least);
        let of = form::field_in(ring, range, scale).ok_or_else(wide)?;
        let of = self.demand(arg, of);
        let (op, words) = match by {
            None => (FoldOp::Sum(of), format!("SUM({})", said(arg))),
            Some(by) => (FoldOp::SumDistinct { by: self.demand(arg, by), of }, format!("SUM(DISTINCT {})", said(arg))),
        };
        let when = filter.map(|f| self.demand(f, RowForm::Bit));
        let form = form::field_in(ring, total, scale).ok_or_else(wide)?;
        Ok(self.fold(op, when, words, form, false))
    }

    /// COUNT(DISTINCT x), whose values are told apart in the form `by`.
    fn counted_distinct(&mut self, arg: &Expr, filter: Option<&Expr>, by: RowForm) -> usize {
        let of = self.demand(arg, by);
        let when = filter.map(|f| self.demand(f, RowForm::Bit));
        let form = RowForm::Field { ring: Ring::Fp61, scale: 0, min: 0, max: self.rows };
        self.fold(FoldOp::CountDistinct(of), when, format!("COUNT(DISTINCT {})", said(arg)), form, false)
    }

    /// An aggregate's value, or `None` for an aggregate that cannot be computed on shares.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn value(
        &mut self,
        f: &AggregateFunction,
        expr: &Expr,
        ty: &DataType,
        nullable: bool,
        emit: &mut Emit<'_>,
        leaf: &mut dyn FnMut(&mut Emit<'_>, usize, &RowColumn) -> Val,
        natural: &dyn Fn(&Expr) -> Result<RowForm, SqlError>,
    ) -> Result<Option<Val>, SqlError> {
        let filter = f.params.filter.as_deref();
        let args: Vec<_> = f.params.args.iter().map(|e| exact_argument(e, self.schema).clone()).collect();
        let mut column = |me: &Self, emit: &mut Emit<'_>, i: usize| {
            let column = me.drafts[i].column.clone();
            leaf(emit, i, &column)
        };
        let name = f.func.name();
        let by = |arg: &Expr| f.params.distinct.then(|| natural(arg)).transpose();
        let val = match (name, args.as_slice()) {
            ("count", [arg]) if f.params.distinct => {
                let i = self.counted_distinct(arg, filter, natural(arg)?);
                column(self, emit, i)
            }
            _ if f.params.distinct && !matches!(name, "sum" | "avg" | "min" | "max") => return Ok(None),
            ("count", args) => {
                let args: Vec<_> = args.iter().filter(|e| !matches!(e, Expr::Literal(v, _) if !v.is_null())).collect();
                let i = self.counted(filter, &args);
                column(self, emit, i)
            }
            ("sum", [arg]) => {
                let i = self.summed(arg, filter, by(arg)?, Ring::Fp61)?;
                let x = column(self, emit, i);
                if !nullable {
                    return Ok(Some(x));
                }
                let n = self.counted(filter, &[arg]);
                let n = column(self, emit, n);
                let none = emit.node(RowOp::Zero(n.node), RowKind::Bit);
                Val { valid: Some(emit.not(none)), ..x }
            }
            ("avg", [arg]) => {
                let Some(scale) = range::scale(ty) else { return Ok(None) };
                let known = self.known(arg);
                let from = range::scale(&known.ty).ok_or_else(|| internal("an average of numbers"))?;
                let one = known.range.map_or(i128::MAX, Interval::magnitude);
                let by = by(arg)?;
                let x = self.summed(arg, filter, by.clone(), Ring::Fp61)?;
                let n = match by {
                    None => self.counted(filter, &[arg]),
                    Some(by) => self.counted_distinct(arg, filter, by),
                };
                let (x, n) = (column(self, emit, x), column(self, emit, n));
                emit.average(x, n, u32::try_from(scale - from).map_err(internal)?, one, expr)?
            }
            ("min" | "max", [arg]) => {
                let form = natural(arg)?;
                let of = self.demand(arg, form.clone());
                let when = filter.map(|f| self.demand(f, RowForm::Bit));
                let op = if name == "min" { FoldOp::Min(of) } else { FoldOp::Max(of) };
                let i = self.fold(op, when, said(expr), form, true);
                let val = column(self, emit, i);
                if nullable { val } else { Val { valid: None, ..val } }
            }
            ("bool_and" | "bool_or", [arg]) => {
                let of = self.demand(arg, RowForm::Bit);
                let when = filter.map(|f| self.demand(f, RowForm::Bit));
                let op = if name == "bool_and" { FoldOp::Min(of) } else { FoldOp::Max(of) };
                let i = self.fold(op, when, said(expr), RowForm::Bit, true);
                let val = column(self, emit, i);
                if nullable { val } else { Val { valid: None, ..val } }
            }
            (name, [arg, p]) if let Some(rank) = Rank::of(name) => {
                let of = percentile::fraction(p).ok_or_else(|| no_percentile(p).at(emit.text().expr(arg)))?;
                let form = natural(arg)?;
                let column_of = self.demand(arg, form.clone());
                let when = filter.map(|f| self.demand(f, RowForm::Bit));
                let (lower, discrete) = (rank == Rank::Below, rank == Rank::Discrete);
                let descending = f.params.order_by.iter().any(|by| !by.asc);
                let op = FoldOp::Percentile { column: column_of, of, lower, discrete, descending };
                let i = self.fold(op, when, said(expr), form, true);
                let val = column(self, emit, i);
                if nullable { val } else { Val { valid: None, ..val } }
            }
            ("median", [arg]) if range::scale(ty).is_some() => {
                let form = natural(arg)?;
                let RowForm::Planes { scale, offset, width } = form.clone() else { return Ok(None) };
                let of = self.demand(arg, form.clone());
                let when = filter.map(|f| self.demand(f, RowForm::Bit));
                let middle = |me: &mut Self, lower: bool| {
                    let op = FoldOp::Percentile { column: of, of: (1, 2), lower, discrete: false, descending: false };
                    me.fold(op, when, said(expr), form.clone(), true)
                };
                let (low, high) = (middle(self, true), middle(self, false));
                let (low, high) = (column(self, emit, low), column(self, emit, high));
                match offset {
                    0.. => emit.middle(low, high, scale, (offset, width), expr)?,
                    _ => emit.signed_middle(low, high, scale, (offset, width), expr)?,
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(val))
    }
}

impl Rows<'_> {
    pub(super) fn aggregate(&mut self, a: &Aggregate, plan: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        if let Some(sets) = a.group_expr.iter().find(|e| matches!(e, Expr::GroupingSet(_))) {
            return Err(SqlError::unsupported(
                "GROUPING SETS, ROLLUP or CUBE over several owners' data",
                "ask one question for each grouping",
            )
            .at(self.text.expr(sets)));
        }
        let needed = parts::needed(a, demands)?;
        let (better, decided) = super::eager::below_join(needed.as_ref().unwrap_or(a), self.catalog, self.otherwise)?;
        if let Some(better) = better {
            self.decided.extend(decided);
            return self.lower(&better, demands);
        }
        let input = Facts::of(&a.input, self.catalog);
        let output = Facts::of(plan, self.catalog);
        let groups = a.group_expr.len();
        let mut asked = Vec::new();
        for key in &a.group_expr {
            asked.push(Demand { expr: key.clone(), form: self.natural(&a.input, key)? });
        }
        // rows are grouped by the keys of which the others are functions; few tuples have a mask each, whatever depends on what
        let few = form::tuples(&output.columns[..groups], self.catalog).is_some_and(|t| t <= FEW);
        let place = |i: usize| plain(&a.group_expr[i], a.input.schema());
        let mut by: Vec<usize> =
            if few { (0..groups).collect() } else { input.essential(&(0..groups).collect(), place).into_iter().collect() };
        if by.is_empty() && groups > 0 {
            // all are the same everywhere: one group, but none of no rows
            by.push(0);
        }
        let keys = by.len();
        let bound = super::home::places(&input, self.catalog).ok_or_else(|| internal("a relation without a bound"))?;
        let in_group = input.in_group(&a.group_expr, a.input.schema()).min(bound.into());
        let mut folds = Folds::new(a.input.schema(), &input.columns, self.catalog, in_group, asked);
        let key_forms: Vec<_> = folds.asked.iter().map(|d| d.form.clone()).collect();
        // where each is in the grouped relation
        let at_key: Vec<usize> = (0..groups)
            .map(|i| match by.iter().position(|k| *k == i) {
                Some(key) => key,
                None => {
                    let column = RowColumn { words: said(&a.group_expr[i]), form: key_forms[i].clone(), nullable: true };
                    folds.drafts.push(Draft { fold: Fold { op: FoldOp::Same(i), when: None }, column });
                    keys + folds.drafts.len() - 1
                }
            })
            .collect();
        let mut emit = Emit::new(self.text);
        // where each leaf is in the grouped relation: keys, then folds
        let mut to = Vec::new();
        let natural = |e: &Expr| self.natural(&a.input, e);
        let catalog = self.catalog;
        let bytes = |e: &Expr| form::text_bytes(e, plan, catalog);
        let mut made = |emit: &mut Emit<'_>, e: &Expr| -> Result<Option<Val>, SqlError> {
            if let Some((expr, ty)) = cast_aggregate(e, a) {
                let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
                let mut leaf = |emit: &mut Emit<'_>, i: usize, column: &RowColumn| fold_leaf(emit, &mut to, keys, i, column);
                let val = folds.rounded(f, e, &ty, emit, &mut leaf, &natural)?;
                return val.map(Some).ok_or_else(|| self.no_aggregate(f, expr, a.input.schema()));
            }
            let Expr::Column(c) = e else { return or_zero(e, plan.schema(), a, &mut folds, emit, &mut to, (keys, &natural)) };
            let at = a.schema.index_of_column(c).map_err(internal)?;
            if at < groups {
                let before = emit.leaves.len();
                let val = emit.leaf(e, &key_forms[at], output.columns[at].nullable);
                if emit.leaves.len() > before {
                    to.push(at_key[at]);
                }
                return Ok(Some(val));
            }
            let expr = &a.aggr_expr[at - groups];
            let f = aggregate_function(expr).ok_or_else(|| internal("an aggregate is a function"))?;
            let known = &output.columns[at];
            let mut leaf = |emit: &mut Emit<'_>, i: usize, column: &RowColumn| fold_leaf(emit, &mut to, keys, i, column);
            match folds.value(f, expr, &known.ty, known.nullable, emit, &mut leaf, &natural)? {
                Some(val) => Ok(Some(val)),
                None => Err(self.no_aggregate(f, expr, a.input.schema())),
            }
        };
        let mut scope =
            Scope { schema: plan.schema(), columns: &output.columns, catalog, bytes: &bytes, leaf: &|_| false, made: &mut made };
        let mut values = Vec::new();
        for d in demands {
            values.push((emit.value_as(&d.expr, &d.form, &mut scope)?, said(&d.expr)));
        }
        if let Some(Parts { plan, demands, decided }) = self.parts(a, &folds, &key_forms)? {
            self.decided.extend(decided);
            let got = self.lower(&plan, &demands)?;
            let folded = |draft: usize| folds.drafts[..draft].iter().filter(|d| !matches!(d.fold.op, FoldOp::Same(_))).count();
            let place = |at: &usize| match at.checked_sub(keys).map(|draft| (&folds.drafts[draft].fold.op, draft)) {
                None => got.at[by[*at]],
                Some((FoldOp::Same(key), _)) => got.at[*key],
                Some((_, draft)) => got.at[groups + folded(draft)],
            };
            let to: Vec<usize> = to.iter().map(place).collect();
            return Ok(self.mapped(got.id, emit, &to, values, None));
        }
        self.decided.extend(decided);
        let Folds { asked, drafts, .. } = folds;
        let got = self.lower(&a.input, &asked)?;
        let input_columns = self.relation(got.id).columns.clone();
        let moved = |draft: &Draft| Fold { op: at(&draft.fold.op, &got.at), when: draft.fold.when.map(|w| got.at[w]) };
        let folds: Vec<_> = drafts.iter().map(moved).collect();
        let by: Vec<usize> = by.iter().map(|k| got.at[*k]).collect();
        let mut columns: Vec<_> = by.iter().map(|c| input_columns[*c].clone()).collect();
        columns.extend(drafts.into_iter().map(|d| match d.fold.op {
            FoldOp::Same(key) => input_columns[got.at[key]].clone(),
            _ => d.column,
        }));
        let id = if keys == 0 {
            self.push(Op::Total { input: got.id, folds }, 1, true, columns)
        } else {
            let places = self.relation(got.id).places.min(super::home::places(&output, self.catalog).unwrap_or(u64::MAX));
            self.push(Op::Group { input: got.id, keys: by, folds }, places, false, columns)
        };
        Ok(self.mapped(id, emit, &to, values, None))
    }

    /// The refusal of the first aggregate that is none of those here and none of the planner's.
    pub(super) fn no_fold(&self, a: &Aggregate) -> Option<SqlError> {
        let here = |name: &str| {
            is_statistic(name)
                || matches!(name, "min" | "max" | "bool_and" | "bool_or" | "median" | "percentile_cont")
                || Rank::of(name).is_some()
        };
        let functions = a.aggr_expr.iter().filter_map(|expr| Some((aggregate_function(expr)?, expr)));
        let (f, expr) = functions.into_iter().find(|(f, _)| !here(f.func.name()))?;
        Some(self.no_aggregate(f, expr, a.input.schema()))
    }

    fn no_aggregate(&self, f: &AggregateFunction, expr: &Expr, schema: &DFSchema) -> SqlError {
        let name = f.func.name();
        let spelled =
            std::iter::once(name).chain(f.func.aliases().iter().map(String::as_str)).find(|n| self.text.word(n).is_some()).unwrap_or(name);
        let place = f.params.args.iter().find_map(|e| self.text.expr(e));
        let exact =
            f.params.args.first().is_none_or(|e| exact_argument(e, schema).get_type(schema).is_ok_and(|ty| range::number(&ty).is_some()));
        SqlError::unsupported(
            format!("{}: the aggregate {}() over private keys is not supported here", said(expr), spelled.to_uppercase()),
            cast::instead(name, exact),
        )
        .at(self.text.before(spelled, place).or(place))
    }

    pub(super) fn distinct(&mut self, input: &LogicalPlan, demands: &[Demand]) -> Result<Asked, SqlError> {
        let facts = Facts::of(input, self.catalog);
        let mut asked = Vec::new();
        for c in input.schema().columns() {
            let expr = Expr::Column(c);
            let form = self.natural(input, &expr)?;
            asked.push(Demand { expr, form });
        }
        let got = self.lower(input, &asked)?;
        if is_union(input) {
            let why = "rows of any sides may be equal, and which are must not show";
            self.decided.push(Decided::new("equal rows of a union", "found in one order of the rows of all sides", why));
        }
        let relation = self.relation(got.id);
        let columns: Vec<_> = got.at.iter().map(|c| relation.columns[*c].clone()).collect();
        let tuples = form::tuples(&facts.columns, self.catalog);
        let places = tuples.and_then(|t| u64::try_from(t).ok()).map_or(relation.places, |t| t.min(relation.places));
        let id = self.push(Op::Group { input: got.id, keys: got.at.clone(), folds: Vec::new() }, places, false, columns.clone());
        self.computed(id, input.schema(), &facts, input, demands, &|i| (i, columns[i].form.clone(), columns[i].nullable))
    }
}

/// The aggregate that is a DOUBLE of which an expression is the DECIMAL.
fn cast_aggregate<'a>(expr: &Expr, a: &'a Aggregate) -> Option<(&'a Expr, DataType)> {
    let Expr::Cast(c) = expr else { return None };
    let (Expr::Column(column), to @ DataType::Decimal128(..)) = (unalias(&c.expr), c.field.data_type()) else { return None };
    let at = a.schema.index_of_column(column).ok().filter(|at| a.schema.field(*at).data_type().is_floating())?;
    Some((a.aggr_expr.get(at.checked_sub(a.group_expr.len())?)?, to.clone()))
}

/// A leaf that is a fold's column.
pub(super) fn fold_leaf(emit: &mut Emit<'_>, to: &mut Vec<usize>, keys: usize, fold: usize, column: &RowColumn) -> Val {
    let name = Expr::Column(datafusion::common::Column::new(Some("fold"), fold.to_string()));
    let before = emit.leaves.len();
    let val = emit.leaf(&name, &column.form, column.nullable);
    if emit.leaves.len() > before {
        to.push(keys + fold);
    }
    val
}

/// The form that an expression has by itself.
type Natural<'a> = dyn Fn(&Expr) -> Result<RowForm, SqlError> + 'a;

/// COALESCE(SUM(x), 0) is the sum itself: of no value it is 0.
fn or_zero(
    expr: &Expr,
    schema: &DFSchema,
    a: &Aggregate,
    folds: &mut Folds<'_>,
    emit: &mut Emit<'_>,
    to: &mut Vec<usize>,
    (keys, natural): (usize, &Natural<'_>),
) -> Result<Option<Val>, SqlError> {
    let Expr::ScalarFunction(f) = expr else { return Ok(None) };
    let ("coalesce", [Expr::Column(c), Expr::Literal(zero, _)]) = (f.name(), f.args.as_slice()) else { return Ok(None) };
    let is_zero = range::literal(zero).is_some_and(|i| i == Interval::ZERO) && !zero.is_null();
    let at = schema.index_of_column(c).map_err(internal)?;
    let Some(f) =
        at.checked_sub(a.group_expr.len()).and_then(|i| aggregate_function(&a.aggr_expr[i])).filter(|f| is_zero && f.func.name() == "sum")
    else {
        return Ok(None);
    };
    let arg = exact_argument(&f.params.args[0], folds.schema).clone();
    let by = f.params.distinct.then(|| natural(&arg)).transpose()?;
    let i = folds.summed(&arg, f.params.filter.as_deref(), by, Ring::Fp61)?;
    let column = folds.drafts[i].column.clone();
    Ok(Some(fold_leaf(emit, to, keys, i, &column)))
}

/// A fold's columns, from numbers of demands to columns of the input.
pub(super) fn at(op: &FoldOp, to: &[usize]) -> FoldOp {
    match *op {
        FoldOp::Rows => FoldOp::Rows,
        FoldOp::Count(c) => FoldOp::Count(to[c]),
        FoldOp::CountDistinct(c) => FoldOp::CountDistinct(to[c]),
        FoldOp::Sum(c) => FoldOp::Sum(to[c]),
        FoldOp::SumDistinct { by, of } => FoldOp::SumDistinct { by: to[by], of: to[of] },
        FoldOp::Same(c) => FoldOp::Same(to[c]),
        FoldOp::Min(c) => FoldOp::Min(to[c]),
        FoldOp::Max(c) => FoldOp::Max(to[c]),
        FoldOp::Percentile { column, of, lower, discrete, descending } => {
            FoldOp::Percentile { column: to[column], of, lower, discrete, descending }
        }
    }
}
