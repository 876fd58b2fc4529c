//! Aggregates over several owners' data: what is opened for each output group, and how the released columns follow.

mod cells;
mod moments;
mod noised;

use std::collections::BTreeMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Aggregate, AggregateUDF, Expr, expr::AggregateFunction},
};

pub(super) use moments::{Moments, exact_argument, is_statistic, statistic};

use super::{
    Compiler, SqlError,
    answer::Released,
    emit::Guards,
    expr::Scope,
    protect::{Moved, Spread, Weight},
    range::{self, Interval, ten},
    relation::Joint,
    symbol::{BitId, Bits, Num, Product, Side, Tri, Val},
    words::words,
};
use crate::plan::{
    Cell, ColumnKind, Existence, Finish, FrameId, Guard, Opening, Release, ReleasedColumn, Reveal, Ring, ScanId, Term, Type,
};
use cells::Keys;
use noised::Noises;

/// Something to open for each group, over the rows that are there.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Σ of a number over the rows where `given` is 1.
    Sum { products: Vec<Product>, range: Interval, given: BitId, place: Option<super::locate::Place> },
    /// Whether `given` is 1 anywhere.
    Any(BitId),
}

/// The same sum asked for at two places of the query is opened once.
impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Request::Sum { products: a, given: g, .. }, Request::Sum { products: b, given: h, .. }) => a == b && g == h,
            (Request::Any(a), Request::Any(b)) => a == b,
            _ => false,
        }
    }
}

/// What a release opens, with words for each.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: Vec<(Request, String, Vec<String>)>,
}

impl Requests {
    pub(super) fn open(&mut self, request: Request, what: String, why: &str) -> usize {
        let i = self.all.iter().position(|(r, ..)| *r == request).unwrap_or_else(|| {
            self.all.push((request, what, Vec::new()));
            self.all.len() - 1
        });
        if !self.all[i].2.iter().any(|w| w == why) {
            self.all[i].2.push(why.to_owned());
        }
        i
    }
}

/// A release before it is written down.
pub(super) struct Draft {
    pub(super) joint: Joint,
    /// The public group keys.
    pub(super) by: Vec<(Expr, DataType, String)>,
    /// The secret group keys.
    pub(super) secret: Vec<cells::Secret>,
    /// Whether the query groups at all (else there is one row, whatever the data).
    pub(super) grouped: bool,
    /// Upper bound of the rows of a group, if it is less than the frame's.
    pub(super) rows_a_group: Option<u64>,
    pub(super) requests: Requests,
    /// Released columns, with qualified names of the query's own schema.
    pub(super) columns: Vec<(DataType, Finish)>,
    /// Whether rows that are not there stand for groups of which nothing may come out.
    pub(super) safe: bool,
    /// What must hold of a group, else nothing of it comes out.
    pub(super) guards: Vec<Held>,
    /// How far one entity moves each column, keys aside, if that is to be hidden by noise.
    pub(super) spreads: Option<Vec<Spread>>,
}

/// A sum of a group that must reach a threshold.
pub(super) struct Held {
    /// What it says of the group, in words.
    pub(super) of: String,
    pub(super) request: Request,
    pub(super) least: i64,
    /// How far one entity moves it, if that is to be hidden by noise.
    pub(super) moved: Option<Moved>,
}

impl Compiler<'_> {
    /// GROUP BY and aggregates over a joint relation.
    pub(super) fn aggregate(
        &mut self,
        a: &Aggregate,
        schema: &DFSchema,
        joint: Joint,
        weights: Vec<Weight>,
        spreads: Option<Vec<Spread>>,
    ) -> Result<Released, SqlError> {
        let keys = self.group_keys(&a.group_expr, schema, &joint)?;
        let mut requests = Requests::default();
        let mut columns = keys.columns(a);
        for (i, expr) in a.aggr_expr.iter().enumerate() {
            let f = aggregate_function(expr).ok_or_else(|| super::internal("an aggregate is a function"))?;
            let field = a.schema.field(a.group_expr.len() + i);
            let scope = Scope { schema, columns: &joint.columns, present: joint.present };
            let finish = self.joint_aggregate(f, expr, scope, keys.grouped, &mut requests)?;
            columns.push((field.data_type().clone(), finish));
        }
        let mut guards = Vec::new();
        for Weight { of, number, given, least, moved } in weights {
            let scope = Scope { schema, columns: &joint.columns, present: joint.present };
            let given = given.map_or(Ok(Bits::TRUE), |e| self.tri(&e, scope).map(|x| x.t))?;
            let num = self.num(&number, scope)?;
            guards.push(Held { of, request: Request::Sum { products: num.products, range: num.range, given, place: None }, least, moved });
        }
        let Keys { by, secret, grouped, .. } = keys;
        let draft = Draft { joint, by, secret, grouped, rows_a_group: None, requests, columns, safe: false, guards, spreads };
        let names: Vec<_> = a.schema.columns();
        self.release(draft, &names)
    }

    fn joint_aggregate(
        &mut self,
        f: &AggregateFunction,
        expr: &Expr,
        scope: Scope<'_>,
        grouped: bool,
        requests: &mut Requests,
    ) -> Result<Finish, SqlError> {
        let name = f.func.name();
        let why = words(expr);
        let place = f.params.args.iter().find_map(|e| self.text.expr(e));
        let at_name = |me: &Self, word: &str| me.text.before(word, place).or(place);
        if f.params.distinct {
            let fix = "count distinct values in a sub-query of one owner";
            return Err(SqlError::unsupported(
                format!("{}(DISTINCT …) over several owners' data is not supported", name.to_uppercase()),
                fix,
            )
            .at(at_name(self, "DISTINCT")));
        }
        if !f.params.order_by.is_empty() || f.params.null_treatment.is_some() || !is_statistic(name) {
            let spelled = spelled(&f.func, self);
            return Err(SqlError::unsupported(
                format!("the aggregate {}() over several owners' data is not supported", spelled.to_uppercase()),
                "use COUNT, SUM, AVG, VAR_SAMP, STDDEV, CORR or COVAR, or compute it in a sub-query of one owner",
            )
            .at(at_name(self, &spelled)));
        }
        let filter = match &f.params.filter {
            Some(e) => self.tri(e, scope)?.t,
            None => Bits::TRUE,
        };
        let present = self.bits.and([scope.present, filter]);
        let scope = Scope { present, ..scope };
        let mut args = Vec::new();
        for e in &f.params.args {
            let e = exact_argument(e, scope.schema);
            let val = self.value(e, scope)?;
            args.push((val, e.clone()));
        }
        let mut moments = JointMoments { compiler: self, args, filter, grouped, present: scope.present, requests, why, place };
        statistic(name, f.params.args.len(), &mut moments)
    }

    /// Writes a release down.
    pub(super) fn release(&mut self, draft: Draft, names: &[datafusion::common::Column]) -> Result<Released, SqlError> {
        let Draft { joint, by, secret, grouped, rows_a_group, mut requests, mut columns, safe, guards: held, spreads } = draft;
        let noisy = spreads.is_some();
        let noise = self.noise(spreads, &mut columns, &mut requests, &held)?;
        let frame = joint.frame;
        let most_rows = rows_a_group.unwrap_or(self.frames.all[frame].max_rows);
        let (public, private): (Vec<_>, Vec<_>) =
            self.bits.terms(joint.present).into_iter().partition(|t| matches!(self.bits.as_local(*t), Some((Side::Public, _))));
        let mask = self.bits.and(private);
        let public = self.bits.and(public);
        fits(&columns, &requests, &noise, most_rows)?;
        let number = self.releases.len();
        // a group is there if one of its rows is
        let mut whether = |what: &str, why| {
            let count = requests
                .all
                .iter()
                .position(|(r, ..)| matches!(r, Request::Sum { products, given, .. } if *given == Bits::TRUE && is_count(products)));
            count.unwrap_or_else(|| requests.open(Request::Any(Bits::TRUE), what.into(), why))
        };
        let exists = if safe {
            Existence::Safe(whether("whether it may come out", "what contracts ask"))
        } else if held.is_empty() && grouped && !noisy && (mask != Bits::TRUE || !secret.is_empty()) {
            Existence::NonZero(whether("whether there is any row", "which groups are in the answer"))
        } else if held.is_empty() {
            Existence::Always
        } else {
            Existence::Safe(requests.all.len())
        };
        let guards = self.guards(joint.present);
        let all = requests.all.iter().map(|(r, what, _)| (r, what)).chain(held.iter().map(|h| (&h.request, &h.of)));
        let all = all.enumerate().map(|(i, (r, what))| (r, what, noise.reach(i)));
        let ring = Self::ring(most_rows, all)?;
        let mut cells = Vec::new();
        for (keys, member) in cells::combinations(&secret, &mut self.bits) {
            let mut openings = Vec::new();
            for (i, (request, ..)) in requests.all.iter().enumerate() {
                openings.push(match request {
                    Request::Any(given) => {
                        let bit = self.bits.and([mask, member, *given]);
                        Opening::Any(self.bit_node(frame, bit, &guards)?)
                    }
                    Request::Sum { products, range, given, .. } => {
                        let bit = self.bits.and([mask, member, *given, public]);
                        let terms = self.summed(frame, ring, products, bit, &guards)?;
                        let total = range.with_zero().times(most_rows.into()).unwrap_or(*range);
                        let reach = noise.reach(i);
                        Opening::Sum { ring, terms, min: total.min.saturating_sub(reach), max: total.max.saturating_add(reach) }
                    }
                });
            }
            if !held.is_empty() {
                let mut safe = Vec::new();
                for (i, Held { of, request, least, .. }) in held.iter().enumerate() {
                    let Request::Sum { products, given, .. } = request else { return Err(super::internal("a threshold is of a sum")) };
                    let bit = self.bits.and([mask, member, *given, public]);
                    let terms = self.summed(frame, ring, products, bit, &guards)?;
                    safe.push(Guard { of: of.clone(), terms, least: i128::from(*least) + noise.error(requests.all.len() + i) });
                }
                openings.push(Opening::Safe { ring, guards: safe });
            }
            cells.push(Cell { keys, openings });
        }
        let rows = (public != Bits::TRUE)
            .then(|| self.bits.as_local(public))
            .flatten()
            .map(|(side, e)| self.column(frame, &side, e, ColumnKind::Bit, None));
        let by_columns: Vec<(ScanId, usize)> =
            by.iter().map(|(e, ty, _)| self.column(frame, &Side::Public, e.clone(), ColumnKind::Label(Type(ty.clone())), None)).collect();
        let key_names: Vec<_> = by.iter().map(|(.., name)| name.clone()).chain(secret.iter().map(|s| s.name.clone())).collect();
        let per = if key_names.is_empty() { "all rows together".to_owned() } else { format!("each {}", key_names.join(", ")) };
        for (_, what, why) in &requests.all {
            self.reveals.push(Reveal { release: number, what: what.clone(), per: per.clone(), why: why.join("; ") });
        }
        if !held.is_empty() {
            let mut of: Vec<&str> = held.iter().map(|h| h.of.as_str()).collect();
            of.dedup();
            let noisily = if noisy { ", counted with noise" } else { "" };
            let what = format!("whether {}{noisily}", of.join(", and "));
            self.reveals.push(Reveal { release: number, what, per: per.clone(), why: "what may come out".into() });
        }
        let name = if number == 0 { "released".to_owned() } else { format!("released_{}", number + 1) };
        let released = columns.iter().enumerate().map(|(i, (ty, finish))| ReleasedColumn {
            name: format!("r{i}"),
            data_type: Type(ty.clone()),
            value: finish.clone(),
        });
        let released: Vec<_> = released.collect();
        let result = Released::new(&name, &released, names, !grouped)?;
        self.releases.push(Release {
            name,
            frame: FrameId(frame),
            rows,
            by: by_columns,
            cells,
            exists,
            columns: released,
            noise: noise.of_release(&requests, &held),
        });
        Ok(result)
    }

    /// The terms of a sum; if there is nothing to add, of the sum of zeros.
    fn summed(&mut self, frame: usize, ring: Ring, products: &[Product], bit: BitId, guards: &Guards) -> Result<Vec<Term>, SqlError> {
        let terms = self.terms(frame, ring, products, bit, guards)?;
        if !terms.is_empty() {
            return Ok(terms);
        }
        let zero = self.terms(frame, ring, &[Product::one()], Bits::TRUE, &Guards::new())?;
        Ok(zero.into_iter().map(|t| Term { coefficient: 0, ..t }).collect())
    }

    /// What each side knows of the rows' presence.
    fn guards(&self, present: BitId) -> Guards {
        let mut guards: Guards = BTreeMap::new();
        for t in self.bits.terms(present) {
            if let Some((side, e)) = self.bits.as_local(t) {
                let e = match guards.remove(&side) {
                    Some(before) => before.and(e),
                    None => e,
                };
                guards.insert(side, e);
            }
        }
        guards
    }

    /// The field that holds every factor, product and sum of a release.
    fn ring<'r>(rows: u64, requests: impl Iterator<Item = (&'r Request, &'r String, i128)>) -> Result<Ring, SqlError> {
        let rows = i128::from(rows);
        let mut most = 0i128;
        for (request, what, noise) in requests {
            let Request::Sum { products, range, place, .. } = request else { continue };
            let too_wide = |bound: String| {
                SqlError::width(
                    format!("{what} can reach {bound}, beyond the 126 bits of the widest field"),
                    "CAST to fewer digits behind the point, or use a greater unit (thousands, for instance)",
                )
                .at(*place)
            };
            // as far as that may be from a threshold, which is raised by the noise
            let sum = range.with_zero().times(rows).map(|i| i.magnitude().saturating_add(noise.saturating_mul(2)));
            let mut largest = sum.ok_or_else(|| too_wide(format!("{} × {rows} rows", range.magnitude())))?;
            for p in products {
                let product = p.factors.values().try_fold(p.coefficient.saturating_abs(), |m, f| m.checked_mul(f.range.magnitude().max(1)));
                largest = largest.max(product.ok_or_else(|| too_wide("more than 2^127".into()))?);
            }
            if largest >= 1 << 126 {
                return Err(too_wide(format!(
                    "about 10^{}",
                    (0..39).take_while(|&n| ten(n).is_some_and(|t| t <= largest)).count().saturating_sub(1)
                )));
            }
            most = most.max(largest);
        }
        Ok(if most < 1 << 60 { Ring::Fp61 } else { Ring::Fp127 })
    }
}

/// What is released must be a value of its type: a SUM that DataFusion would let wrap around is refused.
fn fits(columns: &[(DataType, Finish)], requests: &Requests, noise: &Noises, rows: u64) -> Result<(), SqlError> {
    for (ty, finish) in columns {
        let (Finish::Value { of, .. }, Some(limits)) = (finish, range::limits(ty)) else { continue };
        let Some((Request::Sum { range, place, .. }, what, _)) = requests.all.get(*of) else { continue };
        let reach = noise.reach(*of);
        let total = range.with_zero().times(rows.into()).and_then(|total| total.add(Interval { min: -reach, max: reach }));
        if !total.is_some_and(|total| total.within(limits)) {
            let message = format!("{what} can leave its type {}", range::sql_type(ty));
            return Err(SqlError::width(message, "CAST what is summed to DECIMAL(38, s)").at(*place));
        }
    }
    Ok(())
}

fn is_count(products: &[Product]) -> bool {
    matches!(products, [p] if p.coefficient == 1 && p.factors.is_empty() && p.bits.is_empty() && p.guards.is_empty())
}

impl Product {
    /// 1 in every row.
    pub(super) fn one() -> Self {
        Product { coefficient: 1, bits: Default::default(), guards: Default::default(), factors: BTreeMap::new() }
    }
}

/// How the query spells a function that has several names.
fn spelled(func: &AggregateUDF, compiler: &Compiler<'_>) -> String {
    let names = std::iter::once(func.name().to_owned()).chain(func.aliases().iter().cloned());
    names.into_iter().find(|n| compiler.text.word(n).is_some()).unwrap_or_else(|| func.name().to_owned())
}

pub(super) fn aggregate_function(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(a) => aggregate_function(&a.expr),
        Expr::AggregateFunction(f) => Some(f),
        _ => None,
    }
}

/// Moments of joint values.
struct JointMoments<'m, 'c> {
    compiler: &'m mut Compiler<'c>,
    args: Vec<(Val, Expr)>,
    filter: BitId,
    grouped: bool,
    present: BitId,
    requests: &'m mut Requests,
    why: String,
    place: Option<super::locate::Place>,
}

impl JointMoments<'_, '_> {
    // the filter, and that these arguments are not NULL, as far as the row's presence does not imply it
    fn given(&mut self, of: &[usize]) -> BitId {
        let mut bits = vec![self.filter];
        for &i in of {
            let valid = self.compiler.valid(&self.args[i].0);
            let implied = self.compiler.bits.implied(valid, self.present);
            bits.push(if implied { Bits::TRUE } else { valid });
        }
        self.compiler.bits.and(bits)
    }

    fn words(&self, of: &[usize]) -> String {
        of.iter().map(|&i| words(&self.args[i].1)).collect::<Vec<_>>().join(" × ")
    }

    fn num(&mut self, i: usize) -> Result<Num, SqlError> {
        let (val, expr) = self.args[i].clone();
        self.compiler.as_num(val, &expr)
    }
}

impl Moments for JointMoments<'_, '_> {
    fn count(&mut self, of: &[usize]) -> Result<usize, SqlError> {
        // COUNT(*) is COUNT(1)
        let of: Vec<_> = of.iter().copied().filter(|&i| !matches!(self.args[i].1, Expr::Literal(ref v, _) if !v.is_null())).collect();
        let given = self.given(&of);
        let what = match (of.is_empty(), given == Bits::TRUE || given == self.filter) {
            (true, _) | (_, true) if self.filter == Bits::TRUE => "number of rows".to_owned(),
            (true, _) => "number of rows that pass the filter".to_owned(),
            _ => format!("number of rows with {}", self.words(&of).replace(" × ", ", ")),
        };
        let request = Request::Sum { products: vec![Product::one()], range: Interval::BIT, given, place: None };
        Ok(self.requests.open(request, what, &self.why))
    }

    fn sum(&mut self, product: &[usize], of: &[usize]) -> Result<usize, SqlError> {
        let words = self.words(product);
        let first = self.num(product[0])?;
        let num = match product {
            [_] => first,
            [a, b] if a == b => first.multiplied(&first, &mut self.compiler.bits, &words).map_err(|e| e.at(self.place))?,
            [_, b] => {
                let second = self.num(*b)?;
                first.multiplied(&second, &mut self.compiler.bits, &words).map_err(|e| e.at(self.place))?
            }
            _ => return Err(super::internal("a moment has one or two factors")),
        };
        let others: Vec<_> = of.iter().copied().filter(|i| !product.contains(i)).collect();
        let given = self.given(&others);
        // which rows it is over: sums of the same values over other rows are other sums
        let mut nullable = Vec::new();
        for i in others {
            let valid = self.compiler.valid(&self.args[i].0);
            if !self.compiler.bits.implied(valid, self.present) {
                nullable.push(i);
            }
        }
        let with =
            if nullable.is_empty() { String::new() } else { format!(" over rows with {}", self.words(&nullable).replace(" × ", ", ")) };
        let pass = if self.filter == Bits::TRUE { "" } else { " that pass the filter" };
        let rows = if with.is_empty() && !pass.is_empty() { " over rows" } else { "" };
        let request = Request::Sum { products: num.products, range: num.range, given, place: self.place };
        Ok(self.requests.open(request, format!("sum of {words}{with}{rows}{pass}"), &self.why))
    }

    fn some(&mut self, of: &[usize]) -> Result<Option<usize>, SqlError> {
        let given = self.given(of);
        if given == Bits::TRUE && (self.grouped || self.present == Bits::TRUE) {
            return Ok(None);
        }
        let what = format!("whether any {} is not NULL", self.words(of));
        let counted = self
            .requests
            .all
            .iter()
            .position(|(r, ..)| matches!(r, Request::Sum { products, given: g, .. } if *g == given && is_count(products)));
        Ok(Some(counted.unwrap_or_else(|| self.requests.open(Request::Any(given), what, &self.why))))
    }

    fn scale(&mut self, of: usize) -> Result<i8, SqlError> {
        Ok(self.num(of)?.scale)
    }
}

/// A predicate's bit as something to open.
pub(super) fn any(requests: &mut Requests, x: Tri, bits: &mut Bits, what: &str) -> (usize, Option<usize>) {
    let known = if bits.not(x.t) == x.f { Bits::TRUE } else { bits.or([x.t, x.f]) };
    let of = requests.open(Request::Any(x.t), format!("whether {what} is true"), what);
    let some = (known != Bits::TRUE).then(|| requests.open(Request::Any(known), format!("whether {what} is not NULL"), what));
    (of, some)
}
