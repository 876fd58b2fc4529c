//! The closed Plan: everything the three parties and the planner will do for one question, and nothing else.
//!
//! ```text
//!  frames    which rows the joint stage works on: public, the same at every node (zones, days, or just one row)
//!    │
//!  scans     what each owner computes at home, in clear, for exactly those rows; what is shared of it, and in which form
//!    │       (scans of the public tables are run by everyone and never shared)
//!  nodes     the joint expressions over the shared columns, a DAG: bits, bit-planes, field elements
//!    │
//!  releases  which sums and bits are opened to the planner for each output group, and how released columns follow from them
//!    │
//!  answer    the planner's own SQL over the released rows, in clear: arithmetic over aggregates, ROUND, ORDER BY
//! ```
//!
//! Compilation is deterministic and the [hash](Plan::hash) covers all of it, so three parties that compile the same SQL against
//! the same catalogue either agree on every share that will move, or stop before the first one does. A sub-plan carries its
//! `LogicalPlan` in memory and its text in the hash: nobody ever runs a sub-plan somebody else sent.
//!
//! Where owners meet on private keys, frames do not serve; there the plan has *relations* over private rows ([`relation`]) and releases
//! their rows.
//!
//! ## Meaning of a Plan
//!
//! * A row of a frame is public, its *presence* in the query's result may be secret: presence is part of the masks below.
//! * SQL's NULL does not exist here. A nullable value is two shared columns, the value with 0 for NULL and a bit that says
//!   whether it is valid; a predicate is one or two bits (is true, is false). The compiler has already woven those bits into
//!   the nodes: a node is never NULL.
//! * Every node has a range that the compiler proved from the catalogue; the owner checks its columns against it before sharing.

pub mod noise;
pub mod relation;
mod release;
pub mod sizes;

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use self::release::{Cell, Existence, Finish, Guard, Opening, Release, ReleasedColumn, Reveal, RowRelease, Term};

use self::relation::{Relation, RelationId};
use crate::network::Network;
use crate::protection::Protection;

/// The version of this format; part of the hash.
pub const PLAN_VERSION: u32 = 2;

/// What a query compiles to.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The parties whose private tables the query reads, by name, sorted.
    pub parties: Vec<String>,
    /// The row sets of the joint stage.
    pub frames: Vec<Frame>,
    /// What is computed in clear, at an owner or by everyone.
    pub scans: Vec<Scan>,
    /// Joint expressions; an operand always has a smaller id than the node that uses it. Empty when nothing is joint but sums.
    pub nodes: Vec<Node>,
    /// What is opened to the planner. The tables the answer reads are named as these.
    pub releases: Vec<Release>,
    /// Relations over private rows; each is computed from earlier ones.
    pub relations: Vec<Relation>,
    /// Which of their rows are opened to the planner.
    pub rows: Vec<RowRelease>,
    /// The planner's finishing SQL over the released rows; its output is the answer, in the order the query asked for.
    pub answer: Subplan,
    /// Everything the planner will learn, in words, in the order of the openings.
    pub reveals: Vec<Reveal>,
    /// The network by which ways are chosen: those of look-ups stand in the plan, those of groups and sorts follow when it is laid out.
    pub network: Network,
    /// What the compiler decided, and why, in words.
    pub decided: Vec<Decided>,
    /// What contracts ask of what comes out, and the plan does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
}

/// A choice of the compiler, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Decided {
    /// What there was to choose.
    pub of: String,
    /// What it does.
    pub way: String,
    /// Why.
    pub why: String,
    /// The other way there is, if there is one: [`compile_otherwise`](crate::compile_otherwise) goes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

impl Decided {
    pub(crate) fn new(of: impl Into<String>, way: impl Into<String>, why: impl Into<String>) -> Self {
        Decided { of: of.into(), way: way.into(), why: why.into(), other: None }
    }

    pub(crate) fn or(self, other: impl Into<String>) -> Self {
        Decided { other: Some(other.into()), ..self }
    }
}

/// Position of a [`Frame`] in [`Plan::frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FrameId(pub usize);

/// Position of a [`Scan`] in [`Plan::scans`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ScanId(pub usize);

/// Position of a [`Node`] in [`Plan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NodeId(pub usize);

/// A public set of rows, in a public order, the same at every node.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// For people: `zones.modzcta`, or `one row`.
    pub name: String,
    /// The key columns, the output of `rows`. Empty: the frame is exactly one row, and `rows` has no column.
    pub keys: Vec<Key>,
    /// Run by everyone on the public tables: the distinct keys, one row each, sorted by the keys (ascending, NULL last).
    pub rows: Subplan,
    /// An upper bound of the number of rows, from the catalogue. The exact number is known once `rows` has run.
    pub max_rows: u64,
}

/// A key column of a frame.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    /// Column name in the output of [`Frame::rows`] and of every scan of the frame.
    pub name: String,
    /// Its Arrow type.
    pub data_type: Type,
}

/// One owner's clear work for one frame (or everyone's, on public tables).
///
/// The output of `plan` is the frame's key columns, then `columns` in this order: exactly one row for each row of the
/// frame, in the frame's order (the executor checks the keys against the frame's; a second row for a key means that a
/// relation the compiler took to be unique is not, which is an error in the data). No column is ever NULL.
#[derive(Clone, Debug, Serialize)]
pub struct Scan {
    /// The rows it is for.
    pub frame: FrameId,
    /// Who runs it.
    pub source: Source,
    /// What is run.
    pub plan: Subplan,
    /// What comes out of it behind the keys.
    pub columns: Vec<ScanColumn>,
}

/// Who computes a scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Every node, from the public tables: known to all, never shared.
    Public,
    /// The named party, from its own tables (and public ones): shared.
    Party(String),
}

/// One column a scan yields.
#[derive(Clone, Debug, Serialize)]
pub struct ScanColumn {
    /// Its name in the output of the scan's plan.
    pub name: String,
    /// What it is, as SQL text for people.
    pub words: String,
    /// What values it has, and how Arrow carries them.
    pub kind: ColumnKind,
    /// The forms in which nodes use it; each is shared separately. Empty only for a [`ColumnKind::Label`].
    pub forms: Vec<Form>,
}

/// The values of a scanned column. None is nullable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Arrow `Boolean`.
    Bit,
    /// Arrow `Decimal128(38, scale)`: the raw 128-bit integer is the value that is shared. `min <= raw <= max` is checked by the owner.
    Integer {
        /// Power of ten by which the SQL value was scaled.
        scale: i8,
        /// Smallest raw value.
        #[serde(serialize_with = "as_text")]
        min: i128,
        /// Largest raw value.
        #[serde(serialize_with = "as_text")]
        max: i128,
    },
    /// Any Arrow type, may be NULL: a public group key. Only in public scans.
    Label(Type),
}

/// How a column enters the joint stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One shared bit a row, for a [`ColumnKind::Bit`].
    Bit,
    /// `raw - offset`, an unsigned integer of `width` bits, as shared bit-planes (plane 0 is the least significant).
    Planes {
        /// Subtracted before sharing, so that no sign is needed.
        #[serde(serialize_with = "as_text")]
        offset: i128,
        /// Number of planes, 1 to 127.
        width: u32,
    },
    /// One element a row; negative values are centred (p - |v|). A [`ColumnKind::Bit`] is the element 0 or 1.
    Field(Ring),
}

/// The field a value lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// Integers modulo 2^61 - 1; every value, sum and product is below 2^60 in magnitude.
    Fp61,
    /// Integers modulo 2^127 - 1; every value, sum and product is below 2^126 in magnitude.
    Fp127,
}

impl Ring {
    /// Bits that an element takes in memory.
    pub(crate) fn held_bits(self) -> u64 {
        match self {
            Ring::Fp61 => 64,
            Ring::Fp127 => 128,
        }
    }
}

/// A joint expression: one value for each row of its frame.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its rows.
    pub frame: FrameId,
    /// How it is computed.
    pub op: Op,
    /// What it is.
    pub kind: NodeKind,
    /// Whether every node knows it in clear (it depends on public columns only): its share is a constant, products with it are local.
    pub public: bool,
}

/// What a node's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// One bit.
    Bit,
    /// An unsigned integer in so many bit-planes.
    Planes(u32),
    /// A field element.
    Field(Ring),
}

/// The operations of the joint stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A scanned column in one of its forms.
    Column {
        /// The scan, of the same frame.
        scan: ScanId,
        /// Position in [`Scan::columns`].
        column: usize,
        /// One of its [`ScanColumn::forms`].
        form: Form,
    },
    /// Complement of a bit.
    Not(NodeId),
    /// Conjunction of two or more bits (in any shape of tree).
    And(Vec<NodeId>),
    /// Disjunction of two or more bits.
    Or(Vec<NodeId>),
    /// Planes a < planes b, unsigned, of equal width: a bit.
    Less(NodeId, NodeId),
    /// Planes a = planes b, of equal width: a bit.
    Equal(NodeId, NodeId),
    /// Planes a + planes b, unsigned. Operands may be narrower than the node (their upper planes are 0); the sum never overflows it.
    Add(NodeId, NodeId),
    /// A bit as the field element 0 or 1.
    Lift(NodeId),
    /// Product of two field elements.
    Product(NodeId, NodeId),
}

/// A part of the query that is run in clear by DataFusion. Each node compiles it itself; only the text is compared.
#[derive(Clone)]
pub struct Subplan {
    plan: Arc<LogicalPlan>,
    text: String,
}

impl Subplan {
    /// A sub-plan to run.
    pub fn new(plan: LogicalPlan) -> Self {
        let text = whole_text(&plan);
        Subplan { plan: Arc::new(plan), text }
    }

    /// The plan. Its table scans have sources without data: replace them by name ([`LogicalPlan::TableScan`]'s `table_name`) before running.
    pub fn logical(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Its text with types, as hashed.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The text of a plan with types, and with what DataFusion's own leaves out: every row of its VALUES beyond the first five, whether NULLs are equal in a join, and where each literal and
/// each name ends, which may have any character in it. Two plans must not be taken for one.
pub(crate) fn whole_text(plan: &LogicalPlan) -> String {
    let mut text = plan.display_indent_schema().to_string();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Values(values) = node {
            for row in &values.values {
                let row: Vec<String> = row.iter().map(ToString::to_string).collect();
                text += &format!("\nValues row: {row:?}");
            }
        }
        if let LogicalPlan::Join(join) = node {
            text += &format!("\nJoin: {:?}", join.null_equality);
        }
        let mut words: Vec<String> = Vec::new();
        if let LogicalPlan::SubqueryAlias(named) = node {
            words.push(named.alias.to_string());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Literal(value, _) => words.push(value.to_string()),
                    Expr::Alias(alias) => words.push(alias.name.clone()),
                    Expr::Column(column) => words.push(column.flat_name()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if !words.is_empty() {
            text += &format!("\nwords: {words:?}");
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("nothing on the way fails");
    text
}

impl fmt::Debug for Subplan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Subplan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// An Arrow type, serialized as its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type(pub DataType);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Plan {
    /// What parties compare before any share moves: SHA-256 over `tacit/plan/v1` and the plan as JSON (fields in the order of
    /// this file, integers beyond 64 bits as text), in which every sub-plan is its text.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"tacit/plan/v1\n");
        hash.update(serde_json::to_vec(self).expect("a plan has string keys only"));
        hash.finalize().into()
    }

    /// The scans a party runs.
    pub fn scans_of<'a>(&'a self, party: &'a str) -> impl Iterator<Item = (ScanId, &'a Scan)> + 'a {
        (0..).map(ScanId).zip(&self.scans).filter(move |(_, s)| matches!(&s.source, Source::Party(name) if name == party))
    }

    /// The node of an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The frame of an id.
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0]
    }

    /// The relation of an id.
    pub fn relation(&self, id: RelationId) -> &Relation {
        &self.relations[id.0]
    }

    /// The scan of an id.
    pub fn scan(&self, id: ScanId) -> &Scan {
        &self.scans[id.0]
    }
}

/// JSON numbers end at 64 bits for most readers; these are text.
fn as_text<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
