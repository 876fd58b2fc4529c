//! An owner's part of a question: what it computes at home and deals, and whether the same data always make the same of it.
//!
//! Parties compare what an owner deals for a part with what it dealt for it before, if the snapshots are the same. So all that its inputs follow from, beside its data and public tables, is in the part's
//! hash ([`part`]): its sub-plans, the forms of their columns, and the order in which rows are shared, which follows from what the whole plan does with them. How many rows an owner discloses is not: it would choose
//! among parts by that.
//!
//! An honest owner must never deal twice otherwise. Rows come in a canonical order (`local/rows.rs`), so that a sub-plan need only give the same *set* of rows each time, whatever memory it has and in whatever order
//! its operators meet them. There is no part where that does not follow from the plan:
//!
//! * rows in an order that the question asks for, a sub-plan with LIMIT, window functions, DISTINCT ON, sums or means of floating point, or an aggregate that depends on an order: `is_determined` lists what there may be, and takes nothing else;
//! * rows whose ties are broken at random before they are shared (the first in an order, windows that show how ties stand);
//! * rows sorted for a look-up in a plan where numbers of rows are disclosed: wide keys are sorted by a digest, which follows from the numbers of others.

use crate::exec::{HomeOrder, InputRing, Program, are_shared, order_at_home};
use crate::local::{InputColumn, Inputs};
use crate::plan::relation::{Operator, RelationId, SortKey};
use crate::plan::{Plan, Source, Subplan};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Volatility};
use mpc_core::{Column, Ring, stack};
use protocols::rows::Ties;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A hash of what a party computes at home and deals: of the plan that was agreed on, before it is laid out on numbers of rows. `None`: it deals nothing, or it is not said that the same data make the same of it.
pub fn part(plan: &Plan, party: &str) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(b"tacit/v1/part\n");
    // another release may make something else of the same sub-plan
    hash.update(format!("{} {}\n", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION));
    let mut is_empty = true;
    let mut add = |text: Vec<u8>| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
        is_empty = false;
    };
    for (_, scan) in plan.scans_of(party) {
        is_determined(&scan.plan).then_some(())?;
        add(json(&("scan", plan.frame(scan.frame), &scan.plan, &scan.columns)));
    }
    let shared = are_shared(plan);
    for (id, relation) in (0..).map(RelationId).zip(&plan.relations).filter(|(id, _)| shared[id.0]) {
        let Operator::Home { source: Source::Party(owner), plan: home, .. } = &relation.op else { continue };
        if owner != party {
            continue;
        }
        is_set(home).then_some(())?;
        let order = match order_at_home(plan, id) {
            None => Order::Any,
            Some(HomeOrder::By(_, Ties::Random)) => return None,
            Some(HomeOrder::By(by, Ties::Any)) => Order::By(by),
            // On fewer places a key may be wide that is not so here.
            Some(HomeOrder::Lookup(..)) if plan.disclosing().next().is_some() => return None,
            Some(HomeOrder::Lookup(columns, None)) => Order::Lookup(columns),
            Some(HomeOrder::Lookup(columns, Some(_))) => Order::Digest(columns, plan.hash()),
        };
        add(json(&("rows", home, relation.places, relation.full, &relation.columns, order)));
    }
    (!is_empty).then(|| hash.finalize().into())
}

/// The order in which rows are shared.
#[derive(Serialize)]
enum Order {
    Any,
    By(Vec<SortKey>),
    Lookup(Vec<usize>),
    /// By a digest that follows from this hash of the plan.
    Digest(Vec<usize>, [u8; 32]),
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a plan has string keys only")
}

/// What is done with each column that a party deals.
pub trait Dealt {
    /// The next column.
    fn column<R: Ring>(&mut self, column: &Column<R>);
}

impl Program<'_> {
    /// How many columns a party deals.
    pub fn deals(&self, party: &str) -> u64 {
        self.dealt(party).count() as u64
    }

    /// Goes over the columns that a party deals, as they are dealt. `None`: one is not at hand.
    pub fn each_dealt(&self, party: &str, inputs: &Inputs, each: &mut impl Dealt) -> Option<()> {
        for (of, ring) in self.dealt(party) {
            match self.held(inputs, of, ring)? {
                InputColumn::Bits(column) => each.column(column),
                InputColumn::Fp61(column) => each.column(column),
                InputColumn::Fp127(column) => each.column(column),
            }
        }
        Some(())
    }

    /// A hash of all columns that a party deals, in clear, with types and layouts. `None`: one is not at hand.
    pub fn hash_of_dealt(&self, party: &str, inputs: &Inputs) -> Option<Box<Zeroizing<[u8; 32]>>> {
        let mut hash = Hashed(Sha256::new_with_prefix(b"tacit/v1/dealt\n"));
        self.each_dealt(party, inputs, &mut hash)?;
        let mut digest = Box::new(Zeroizing::new([0; 32]));
        stack::wiped(|| hash.0.finalize_into((&mut **digest).into()));
        Some(digest)
    }
}

struct Hashed(Sha256);

impl Dealt for Hashed {
    fn column<R: Ring>(&mut self, column: &Column<R>) {
        let layout = column.layout();
        self.0.update([R::NAME.len() as u8]);
        self.0.update(R::NAME);
        [layout.rows as u64, layout.planes as u64, u64::from(layout.width::<R>())].iter().for_each(|n| self.0.update(n.to_le_bytes()));
        let mut bytes = Zeroizing::new(Vec::new());
        column.encode(&mut bytes);
        self.0.update(&*bytes);
    }
}

/// The rings in the order in which their columns are dealt.
pub(crate) const RINGS: [InputRing; 3] = [InputRing::Bits, InputRing::Fp61, InputRing::Fp127];

/// Whether rows at home are a set that the data determine, and in no order that the question asks for: that would be shown as it is.
pub(crate) fn is_set(subplan: &Subplan) -> bool {
    let sorts = subplan.logical().exists(|node| Ok(matches!(node, LogicalPlan::Sort(_))));
    is_determined(subplan) && sorts.is_ok_and(|sorts| !sorts)
}

/// Whether a sub-plan gives the same set of rows whenever its tables have the same rows: what there may be, expression by expression. Nothing that is not known is taken.
fn is_determined(subplan: &Subplan) -> bool {
    let mut is_known = true;
    let walked = subplan.logical().apply_with_subqueries(|node| {
        is_known &= is_known_node(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                is_known &= is_known_expression(expr, node)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if is_known { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && is_known
}

fn is_known_node(node: &LogicalPlan) -> DataFusionResult<bool> {
    Ok(match node {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        // Of numbers that are equal and not the same, −0 and 0, whichever comes first stands for both.
        LogicalPlan::Aggregate(aggregate) => {
            !aggregate.group_expr.iter().map(|key| key.get_type(aggregate.input.schema())).any(|of| of.is_ok_and(|of| of.is_floating()))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => !has_floats(input.schema()),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_) => true,
        _ => false,
    })
}

fn has_floats(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| field.data_type().is_floating())
}

/// Aggregates whose value is one of the set of rows, if what they are of is exact.
const EXACT: [&str; 7] = ["count", "sum", "min", "max", "avg", "bool_and", "bool_or"];

/// Functions of numbers that are the same on every machine: others may differ in their last digit.
const EXACT_MATH: [&str; 11] = ["abs", "ceil", "factorial", "floor", "gcd", "isnan", "iszero", "lcm", "round", "signum", "trunc"];

fn is_known_expression(expr: &Expr, node: &LogicalPlan) -> DataFusionResult<bool> {
    Ok(match expr {
        Expr::AggregateFunction(call) => {
            let LogicalPlan::Aggregate(aggregate) = node else { return Ok(false) };
            let exact = |of: &Expr| of.get_type(aggregate.input.schema()).map(|of| is_exact(&of));
            let args = call.params.args.iter().map(exact).collect::<DataFusionResult<Vec<_>>>()?;
            // The mean of integers is summed up in floating point.
            let returned = is_exact(&expr.get_type(aggregate.input.schema())?);
            EXACT.contains(&call.func.name()) && call.params.order_by.is_empty() && returned && args.into_iter().all(|exact| exact)
        }
        Expr::ScalarFunction(call) => {
            let is_math = || datafusion::functions::math::functions().iter().any(|known| known.name() == call.func.name());
            call.func.signature().volatility == Volatility::Immutable && (EXACT_MATH.contains(&call.func.name()) || !is_math())
        }
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::ScalarSubquery(_) => true,
        _ => false,
    })
}

/// Whether sums of such values are the same in any order.
fn is_exact(of: &DataType) -> bool {
    of.is_integer()
        || of.is_temporal()
        || matches!(
            of,
            DataType::Null
                | DataType::Boolean
                | DataType::Decimal128(..)
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Dictionary(..)
        )
}
