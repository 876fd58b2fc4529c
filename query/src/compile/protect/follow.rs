//! Where the rows of a data set go in a sub-plan that its owner runs at home: which of them each row of the result is made of, and with which values.
//!
//! Each scan of the data set is followed by itself, as far as something that may come out is computed of it. On its way up, operators keep their rows and get hidden columns more that say of which row below one is. Where rows
//! are folded the way is cut: a [`Level`] says which rows go into which group, and with which values of which aggregates; the group is the row that is followed further.

mod kinds;

pub(crate) use kinds::Taken;

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    functions_window::expr_fn::row_number,
    logical_expr::{Aggregate, Case, Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Union, lit},
};

use self::kinds::{Kind, kinds};
use super::{
    given::{self, is_condition},
    subquery,
};
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{self, Facts},
        internal,
        release::aggregate_function,
    },
    protection::Protected,
};

/// The way of one scan's rows.
pub(crate) struct Trail {
    /// The column that says whose a row is; none: each row is of an entity of its own.
    pub(crate) entity: Option<String>,
    /// From the scan up. The first comes from rows of the table: their number, and their entity if it is named.
    pub(crate) levels: Vec<Level>,
    /// Whether the last level has the rows of the sub-plan itself, in their order, with its columns as views. Else nobody knows where its rows go.
    pub(crate) arrives: bool,
}

/// From rows to the rows that are made of them. The columns of the plan are those that name the former, those that name the latter (none at the last level), and then
/// for each view whether its conditions hold, whether a row counts there, and the values with which it does.
pub(crate) struct Level {
    pub(crate) plan: LogicalPlan,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) views: Vec<View>,
}

/// A sum or count.
pub(crate) struct View {
    /// How many values it has; without one, rows are counted.
    pub(crate) values: usize,
    /// Which rows it takes.
    pub(crate) taken: Taken,
    /// Whether it may come out.
    pub(crate) told: bool,
}

/// The ways of a data set's rows through a sub-plan, of whose columns these may come out, or what is computed of them.
pub(crate) fn follow(
    plan: &LogicalPlan,
    wanted: &BTreeSet<usize>,
    dataset: &str,
    data: &Protected,
    catalog: &Catalog,
) -> Result<Vec<Trail>, SqlError> {
    let entities = match data.entity_keys.is_empty() {
        true => vec![None],
        false => data.entity_keys.iter().map(|key| Some(key.as_str())).collect(),
    };
    let mut trails = Vec::new();
    for entity in entities {
        let mut walk = Walk { dataset, entity, catalog, next: 0, trails: Vec::new() };
        let (plan, views) = walk.columns(plan, wanted)?;
        for open in walk.plan(&plan, wanted)? {
            walk.end(open, views.clone(), true)?;
        }
        trails.extend(walk.trails);
    }
    Ok(trails)
}

struct Walk<'a> {
    dataset: &'a str,
    entity: Option<&'a str>,
    catalog: &'a Catalog,
    next: usize,
    trails: Vec<Trail>,
}

/// A plan with the rows of another, and more columns.
struct Open {
    plan: LogicalPlan,
    /// They say of which row of the last level one is; NULL where it is of none.
    from: Vec<Column>,
    levels: Vec<Level>,
}

/// A view to be looked at.
#[derive(Clone)]
struct Asked {
    /// FILTER.
    filter: Option<Expr>,
    /// Where a row counts.
    given: Option<Expr>,
    values: Vec<Expr>,
    taken: Taken,
    told: bool,
}

impl Asked {
    fn rows() -> Self {
        Asked { filter: None, given: None, values: Vec::new(), taken: Taken::Apart, told: true }
    }

    fn values(values: Vec<Expr>, kinds: &[Kind]) -> Self {
        let taken = if kinds.iter().any(|kind| kind.taken == Taken::Chosen) { Taken::Chosen } else { Taken::Apart };
        Asked { values, taken, ..Asked::rows() }
    }

    fn kind(Kind { chosen, given, taken }: Kind) -> Self {
        Asked { filter: chosen, given, taken, ..Asked::rows() }
    }

    /// An aggregate of the rows of a plan, and each kind of rows that it is made of.
    fn aggregate(e: &Expr, plan: &LogicalPlan, of: facts::Input<'_>) -> Result<Vec<Self>, SqlError> {
        let f = aggregate_function(e).ok_or_else(|| internal("an aggregate is a function"))?;
        let filter = f.params.filter.as_deref();
        let counted = f.func.name() == "count";
        let mut args: Vec<Expr> = f.params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(v, _) if !v.is_null())).cloned().collect();
        if args.is_empty() {
            args.push(lit(1i64));
        }
        let only = |arg: Expr| match filter {
            Some(filter) => Expr::Case(Case::new(None, vec![(Box::new(filter.clone()), Box::new(arg))], None)),
            None => arg,
        };
        let kinds: Vec<Kind> = args.into_iter().flat_map(|arg| kinds(&only(arg), plan, counted)).collect();
        let mut views = Vec::new();
        if !counted || f.params.distinct {
            let given = given::of(e, of)?;
            views.push(Asked { filter: filter.cloned(), given, ..Asked::values(f.params.args.clone(), &kinds) });
        }
        views.extend(kinds.into_iter().map(Asked::kind));
        Ok(views)
    }
}

impl Walk<'_> {
    /// A plan with more columns, and the views of its rows: all, its own columns, and those by which rows are of the kinds that these are made of.
    fn columns(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<(LogicalPlan, Vec<Asked>), SqlError> {
        let own = plan.schema().columns();
        let (mut more, mut views, mut by_kind) = (Vec::new(), vec![Asked::rows()], Vec::new());
        for (i, column) in own.iter().enumerate() {
            let written = written(plan, i).filter(|_| wanted.contains(&i));
            let kinds = written.map(|(e, input)| kinds(e, input, false));
            // a condition is its rows, and no value
            let told = wanted.contains(&i) && !written.is_some_and(|(e, input)| is_condition(e, input.schema()));
            let values = vec![Expr::Column(column.clone())];
            views.push(match &kinds {
                Some(kinds) => Asked { told, ..Asked::values(values, kinds) },
                None => Asked { told, taken: Taken::Chosen, ..Asked::values(values, &[]) },
            });
            for kind in kinds.into_iter().flatten() {
                let mut place = |condition: Option<Expr>| {
                    condition.map(|condition| {
                        more.push(condition.is_true().alias(self.name()));
                        own.len() + more.len() - 1
                    })
                };
                by_kind.push((place(kind.chosen), place(kind.given), kind.taken));
            }
        }
        let plan = if more.is_empty() { plan.clone() } else { beside(plan, more)? };
        let column = |place: Option<usize>| place.map(|place| Expr::Column(at(&plan, place)));
        views.extend(
            by_kind.into_iter().map(|(chosen, given, taken)| Asked::kind(Kind { chosen: column(chosen), given: column(given), taken })),
        );
        Ok((plan, views))
    }

    fn plan(&mut self, plan: &LogicalPlan, wanted: &BTreeSet<usize>) -> Result<Vec<Open>, SqlError> {
        if !self.reads(plan) {
            return Ok(Vec::new());
        }
        self.asked(plan)?;
        match plan {
            LogicalPlan::TableScan(_) => Ok(vec![self.scanned(plan)?]),
            LogicalPlan::SubqueryAlias(a) => {
                let mut opens = self.plan(&a.input, wanted)?;
                for open in &mut opens {
                    let above = rebuilt(plan, vec![open.plan.clone()])?;
                    let moved = |c: &Column| Ok(at(&above, open.plan.schema().index_of_column(c).map_err(internal)?));
                    open.from = open.from.iter().map(moved).collect::<Result<_, SqlError>>()?;
                    open.plan = above;
                }
                Ok(opens)
            }
            LogicalPlan::Projection(p) => {
                self.each(&p.input, &carried(wanted.iter().filter_map(|i| p.expr.get(*i)), p.input.schema()), |me, open| {
                    let from: Vec<Expr> = open.from.iter().map(|c| Expr::Column(c.clone()).alias(me.name())).collect();
                    let more = from.len();
                    let above = projected(open.plan, p.expr.iter().cloned().chain(from))?;
                    let columns = above.schema().fields().len();
                    Ok(Open { from: (columns - more..columns).map(|i| at(&above, i)).collect(), plan: above, levels: open.levels })
                })
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Window(_) => {
                let input = plan.inputs().into_iter().next().ok_or_else(|| internal("an operator has an input"))?;
                // what a window function says of a row is no value of its own
                let wanted = wanted.iter().copied().filter(|i| *i < input.schema().fields().len()).collect();
                self.each(input, &wanted, |_, open| Ok(Open { plan: rebuilt(plan, vec![open.plan])?, ..open }))
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let keys: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                self.folded(input, keys, Vec::new(), &BTreeSet::new())
            }
            LogicalPlan::Aggregate(a) if !a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) => {
                self.folded(&a.input, a.group_expr.clone(), a.aggr_expr.clone(), wanted)
            }
            LogicalPlan::Join(j) => self.join(plan, j, wanted),
            LogicalPlan::Union(u) => self.union(u, wanted),
            other => {
                for input in other.inputs() {
                    self.lost(input)?;
                }
                Ok(Vec::new())
            }
        }
    }

    fn reads(&self, plan: &LogicalPlan) -> bool {
        facts::tables(plan).iter().any(|table| table == self.dataset)
    }

    /// What sub-queries in expressions read decides about other rows. One that asks about each row around it cannot be run by itself, and its rows are not followed.
    fn asked(&mut self, plan: &LogicalPlan) -> Result<(), SqlError> {
        let mut alone: Vec<Arc<LogicalPlan>> = Vec::new();
        let all = plan.apply_expressions(|e| {
            e.apply(|e| {
                alone.extend(subquery(e).filter(|s| s.outer_ref_columns.is_empty()).map(|s| s.subquery.clone()));
                Ok(TreeNodeRecursion::Continue)
            })
        });
        all.map_err(internal)?;
        alone.iter().try_for_each(|subquery| self.lost(subquery))
    }

    fn each(
        &mut self,
        input: &LogicalPlan,
        wanted: &BTreeSet<usize>,
        above: impl Fn(&mut Self, Open) -> Result<Open, SqlError>,
    ) -> Result<Vec<Open>, SqlError> {
        let opens = self.plan(input, wanted)?;
        opens.into_iter().map(|open| above(self, open)).collect()
    }

    /// The rows of the table by their number, which is the same each time as long as the table is.
    fn scanned(&mut self, scan: &LogicalPlan) -> Result<Open, SqlError> {
        let columns = scan.schema().columns();
        let number = Column::from_name(self.name());
        let numbered = LogicalPlanBuilder::from(scan.clone()).window(vec![row_number().alias(&number.name)]);
        let mut exprs: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
        exprs.push(Expr::Column(number.clone()));
        let mut from = vec![number];
        if let Some(key) = self.entity {
            let key = columns.iter().find(|c| c.name == key).ok_or_else(|| internal("a scan has all columns"))?;
            let name = Column::from_name(self.name());
            exprs.push(Expr::Column(key.clone()).alias(&name.name));
            from.push(name);
        }
        let plan = numbered.and_then(|b| b.project(exprs)).and_then(|b| b.build()).map_err(internal)?;
        Ok(Open { plan, from, levels: Vec::new() })
    }

    fn folded(
        &mut self,
        input: &LogicalPlan,
        keys: Vec<Expr>,
        aggregates: Vec<Expr>,
        wanted: &BTreeSet<usize>,
    ) -> Result<Vec<Open>, SqlError> {
        let come_out: Vec<&Expr> = wanted.iter().filter_map(|i| aggregates.get(i.checked_sub(keys.len())?)).collect();
        let args = come_out.iter().filter_map(|e| aggregate_function(e)).flat_map(|f| &f.params.args);
        let opens = self.plan(input, &carried(args, input.schema()))?;
        let mut folds = Vec::new();
        for open in opens {
            let facts = Facts::of(&open.plan, self.catalog);
            let of = facts::Input { schema: open.plan.schema(), columns: &facts.columns, catalog: self.catalog };
            let views =
                come_out.iter().map(|e| Asked::aggregate(e, input, of)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            let mut levels = open.levels;
            let to = keys.iter().cloned().chain([lit(true)]).collect();
            levels.push(self.level(open.plan, open.from, to, views)?);

            let plan =
                LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.clone()), keys.clone(), aggregates.clone()).map_err(internal)?);
            let columns = plan.schema().columns();
            let from: Vec<Expr> = columns[..keys.len()].iter().cloned().map(Expr::Column).chain([lit(true)]).collect();
            let names: Vec<Column> = from.iter().map(|_| Column::from_name(self.name())).collect();
            let from = from.into_iter().zip(&names).map(|(e, c)| e.alias(&c.name));
            let plan = projected(plan, columns.into_iter().map(Expr::Column).chain(from))?;
            folds.push(Open { plan, from: names, levels });
        }
        Ok(folds)
    }

    fn join(&mut self, plan: &LogicalPlan, j: &Join, wanted: &BTreeSet<usize>) -> Result<Vec<Open>, SqlError> {
        let (left, right) = match j.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (true, true),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        };
        let columns = |side: &LogicalPlan| side.schema().fields().len();
        // a join that keeps one side has its columns alone
        let before = if left { columns(&j.left) } else { 0 };
        let of_left = wanted.iter().copied().filter(|i| *i < before).collect();
        let of_right = wanted.iter().filter_map(|i| i.checked_sub(before)).filter(|i| *i < columns(&j.right)).collect();
        let mut all = Vec::new();
        match left {
            true => {
                all.extend(self.each(&j.left, &of_left, |_, open| {
                    Ok(Open { plan: rebuilt(plan, vec![open.plan, j.right.as_ref().clone()])?, ..open })
                })?)
            }
            false => self.lost(&j.left)?,
        }
        match right {
            true => all.extend(self.each(&j.right, &of_right, |_, open| {
                Ok(Open { plan: rebuilt(plan, vec![j.left.as_ref().clone(), open.plan])?, ..open })
            })?),
            false => self.lost(&j.right)?,
        }
        Ok(all)
    }

    /// One input's rows, and of none the others'.
    fn union(&mut self, u: &Union, wanted: &BTreeSet<usize>) -> Result<Vec<Open>, SqlError> {
        let mut all = Vec::new();
        for (place, input) in u.inputs.iter().enumerate() {
            for open in self.plan(input, wanted)? {
                let names: Vec<Column> = open.from.iter().map(|_| Column::from_name(self.name())).collect();
                let schema = open.plan.schema().clone();
                let mut inputs = Vec::new();
                for (other, plan) in u.inputs.iter().enumerate() {
                    let from = open.from.iter().zip(&names).map(|(c, name)| {
                        let value = match other == place {
                            true => Expr::Column(c.clone()),
                            false => {
                                let ty = Expr::Column(c.clone()).get_type(&schema).map_err(internal)?;
                                Expr::Literal(ScalarValue::try_from(&ty).map_err(internal)?, None)
                            }
                        };
                        Ok(value.alias(&name.name))
                    });
                    let from = from.collect::<Result<Vec<_>, SqlError>>()?;
                    let below = if other == place { open.plan.clone() } else { plan.as_ref().clone() };
                    let columns = plan.schema().columns().into_iter().map(Expr::Column);
                    inputs.push(projected(below, columns.chain(from))?.into());
                }
                let union = LogicalPlan::Union(Union::try_new(inputs).map_err(internal)?);
                // under the names that the operators above know
                let known = u.schema.columns();
                let same = union.schema().columns().into_iter().zip(&known);
                let mut exprs: Vec<Expr> =
                    same.map(|(c, known)| Expr::Column(c).alias_qualified(known.relation.clone(), known.name.clone())).collect();
                exprs.extend(names.iter().cloned().map(Expr::Column));
                all.push(Open { plan: projected(union, exprs)?, from: names, levels: open.levels });
            }
        }
        Ok(all)
    }

    /// Rows of which nothing is known further up: they are what they are here.
    fn lost(&mut self, plan: &LogicalPlan) -> Result<(), SqlError> {
        for open in self.plan(plan, &BTreeSet::new())? {
            self.end(open, vec![Asked::rows()], false)?;
        }
        Ok(())
    }

    fn end(&mut self, open: Open, views: Vec<Asked>, arrives: bool) -> Result<(), SqlError> {
        let mut levels = open.levels;
        levels.push(self.level(open.plan, open.from, Vec::new(), views)?);
        self.trails.push(Trail { entity: self.entity.map(ToOwned::to_owned), levels, arrives });
        Ok(())
    }

    fn level(&mut self, plan: LogicalPlan, from: Vec<Column>, to: Vec<Expr>, asked: Vec<Asked>) -> Result<Level, SqlError> {
        let (named, made) = (from.len(), to.len());
        let mut exprs: Vec<Expr> = from.into_iter().map(Expr::Column).chain(to).collect();
        let mut views = Vec::new();
        for Asked { filter, given, values, taken, told } in asked {
            views.push(View { values: values.len(), taken, told });
            let counts = given.map_or(lit(true), Expr::is_true);
            exprs.push(filter.map_or(lit(true), Expr::is_true));
            exprs.push(counts.clone());
            exprs.extend(values.into_iter().map(|v| Expr::Case(Case::new(None, vec![(Box::new(counts.clone()), Box::new(v))], None))));
        }
        let exprs: Vec<Expr> = exprs.into_iter().map(|e| e.alias(self.name())).collect();
        Ok(Level { plan: projected(plan, exprs)?, from: named, to: made, views })
    }

    /// A column that nobody else has.
    fn name(&mut self) -> String {
        self.next += 1;
        format!("followed {}", self.next)
    }
}

/// The columns of a relation of which expressions have values, not only what a comparison says of them.
fn carried<'a>(exprs: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> BTreeSet<usize> {
    fn each<'a>(e: &'a Expr, found: &mut Vec<&'a Column>) {
        match e {
            Expr::Column(c) => found.push(c),
            Expr::Alias(a) => each(&a.expr, found),
            Expr::Cast(c) => each(&c.expr, found),
            Expr::TryCast(c) => each(&c.expr, found),
            Expr::Negative(e) => each(e, found),
            Expr::BinaryExpr(b) if b.op.is_numerical_operators() => [&b.left, &b.right].into_iter().for_each(|e| each(e, found)),
            Expr::ScalarFunction(f) => f.args.iter().for_each(|e| each(e, found)),
            Expr::Case(c) => c.when_then_expr.iter().map(|(_, then)| then).chain(&c.else_expr).for_each(|e| each(e, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    exprs.into_iter().for_each(|e| each(e, &mut found));
    found.into_iter().filter_map(|c| schema.index_of_column(c).ok()).collect()
}

/// How a column of a sub-plan is written, and over which plan.
fn written(plan: &LogicalPlan, column: usize) -> Option<(&Expr, &LogicalPlan)> {
    match plan {
        LogicalPlan::Projection(p) => Some((p.expr.get(column)?, &p.input)),
        LogicalPlan::Sort(s) => written(&s.input, column),
        LogicalPlan::SubqueryAlias(a) => written(&a.input, column),
        _ => None,
    }
}

/// A sub-plan with more columns, over what its own are written over.
fn beside(plan: &LogicalPlan, more: Vec<Expr>) -> Result<LogicalPlan, SqlError> {
    match plan {
        LogicalPlan::Projection(p) => projected(p.input.as_ref().clone(), p.expr.iter().cloned().chain(more)),
        LogicalPlan::Sort(s) => rebuilt(plan, vec![beside(&s.input, more)?]),
        LogicalPlan::SubqueryAlias(a) => rebuilt(plan, vec![beside(&a.input, more)?]),
        _ => Err(internal("a column is written in a projection")),
    }
}

fn projected(plan: LogicalPlan, exprs: impl IntoIterator<Item = Expr>) -> Result<LogicalPlan, SqlError> {
    LogicalPlanBuilder::from(plan).project(exprs.into_iter().collect::<Vec<_>>()).and_then(|b| b.build()).map_err(internal)
}

fn at(plan: &LogicalPlan, place: usize) -> Column {
    Column::from(plan.schema().qualified_field(place))
}

fn rebuilt(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan, SqlError> {
    plan.with_new_exprs(plan.expressions(), inputs).map_err(internal)
}
