//! What is opened to the planner, and how released columns follow from it.

use serde::Serialize;

use super::{FrameId, NodeId, Ring, ScanId, Type, as_text, noise::Noised, relation::RelationId};

/// What is opened to the planner: for every output group, the openings below and nothing else.
///
/// Groups: the rows of the frame for which `rows` holds (all, if `None`) are split by the distinct tuples of the public
/// columns `by`, in the order in which the frame's rows first show them; each of those groups is split again by `cells`.
/// Group number = public group × number of cells + cell. With `by` empty there is one public group, even if no row is left.
/// The openings of group g are the values of [`Release::openings`] over g's rows; they are all opened, also for groups that then
/// turn out not to exist.
#[derive(Clone, Debug, Serialize)]
pub struct Release {
    /// The name under which [`Plan::answer`] reads the released rows.
    pub name: String,
    /// The rows it aggregates.
    pub frame: FrameId,
    /// A public bit column that says which rows of the frame take part.
    pub rows: Option<(ScanId, usize)>,
    /// The public columns (kind [`ColumnKind::Label`]) whose tuples name the groups.
    pub by: Vec<(ScanId, usize)>,
    /// The values of secret group keys: at least one cell. A cell's bit is already in the masks of `openings` (they are laid out
    /// cell by cell: `openings[cell]`); it is named here by its key values.
    pub cells: Vec<Cell>,
    /// Which groups are rows of the released table.
    pub exists: Existence,
    /// The columns of the released table.
    pub columns: Vec<ReleasedColumn>,
    /// Which sums have noise before anything of them is compared or opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<Noised>,
}

/// Rows opened to the planner: every place of a relation, its columns blanked where it holds no row.
///
/// Openings are numbered by the relation's columns: c is the value of column c (raw, offset added), `columns + c` the valid bit of a
/// nullable column c.
#[derive(Clone, Debug, Serialize)]
pub struct RowRelease {
    /// The name under which [`Plan::answer`] reads the rows.
    pub name: String,
    /// The relation.
    pub relation: RelationId,
    /// Whether the places are opened in their order (that of an [`Operator::Top`](relation::Operator::Top)); else they are shuffled first.
    pub ordered: bool,
    /// Whether it is one row for all that is asked: if nothing of it may come out, there is no row, and its values are NULL.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub safe: bool,
    /// The columns of the released table.
    pub columns: Vec<ReleasedColumn>,
}

/// One combination of values of the secret group keys.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The value of each secret key, as text; `None` is NULL. Empty when the query groups by public columns only.
    pub keys: Vec<Option<String>>,
    /// What is opened for this cell in every public group. All cells have openings of the same kinds in the same order.
    pub openings: Vec<Opening>,
}

/// A value opened for each group.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// Σ over the group's rows of Σ over the terms: one inner product, one element a group.
    Sum {
        /// Where it lives. All its nodes live there.
        ring: Ring,
        /// What is summed. Never empty.
        terms: Vec<Term>,
        /// Smallest possible value, proved.
        #[serde(serialize_with = "as_text")]
        min: i128,
        /// Largest possible value, proved.
        #[serde(serialize_with = "as_text")]
        max: i128,
    },
    /// Whether the bit is 1 in any row of the group.
    Any(NodeId),
    /// Whether all of these hold. If not, every other opening of the cell is 0, however it came about.
    Safe {
        /// Where they live.
        ring: Ring,
        /// What is held.
        guards: Vec<Guard>,
    },
}

/// A sum that must reach a threshold: Σ over the group's rows of Σ over the terms.
#[derive(Clone, Debug, Serialize)]
pub struct Guard {
    /// What it counts, in words.
    pub of: String,
    /// What is summed. Never empty.
    pub terms: Vec<Term>,
    /// The threshold.
    #[serde(serialize_with = "as_text")]
    pub least: i128,
}

/// coefficient × a × b (or coefficient × a).
#[derive(Clone, Debug, Serialize)]
pub struct Term {
    /// A public factor.
    #[serde(serialize_with = "as_text")]
    pub coefficient: i128,
    /// A field node.
    pub a: NodeId,
    /// A second field node, for an inner product.
    pub b: Option<NodeId>,
}

/// Which groups appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Existence {
    /// All: it follows from public data, or the query has no GROUP BY.
    Always,
    /// Those where this opening (an index into [`Cell::openings`]) is not 0.
    NonZero(usize),
    /// All; where this opening is 0, nothing of the group comes out, and its values are NULL. Groups without a row are such.
    Safe(usize),
}

/// A column of the released table, finished in clear from opened numbers. Openings are named by index.
#[derive(Clone, Debug, Serialize)]
pub struct ReleasedColumn {
    /// Its name in the released table.
    pub name: String,
    /// Its Arrow type, as DataFusion gives it.
    pub data_type: Type,
    /// How it follows.
    pub value: Finish,
}

/// How a released value follows from opened numbers (`query::finish` computes it).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The public group key of this index in [`Release::by`].
    Public(usize),
    /// The secret group key of this index in [`Cell::keys`].
    Secret(usize),
    /// The opened number itself, divided by 10^scale: COUNT, SUM, a value of a single row. NULL where `some` is 0.
    Value {
        /// The opening.
        of: usize,
        /// Decimal scale of the opened integer.
        scale: i8,
        /// The opening that says whether there was any value (a count or a bit).
        some: Option<usize>,
    },
    /// The text of a column of form Code or Text; NULL where `some` is 0.
    Text {
        /// The column, by the number of its opening.
        of: usize,
        /// The opening that says whether there is a value.
        some: Option<usize>,
    },
    /// AVG: Σx / n; NULL where n is 0.
    Average {
        /// Number of values.
        n: usize,
        /// Σx.
        x: usize,
        /// Decimal scale of x.
        scale: i8,
        /// Where it must lie: the mean of sums with noise is brought there.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_texts")]
        within: Option<(i128, i128)>,
    },
    /// VAR_SAMP, VAR_POP, STDDEV_SAMP, STDDEV_POP from n, Σx, Σx².
    Variance {
        /// Number of values.
        n: usize,
        /// Σx.
        x: usize,
        /// Σx².
        xx: usize,
        /// Decimal scale of x.
        scale: i8,
        /// Divide by n - 1 (NULL where n < 2), else by n (NULL where n is 0).
        sample: bool,
        /// Take the square root.
        root: bool,
    },
    /// COVAR_SAMP, COVAR_POP from n, Σx, Σy, Σxy.
    Covariance {
        /// Number of pairs.
        n: usize,
        /// Σx.
        x: usize,
        /// Σy.
        y: usize,
        /// Σxy.
        xy: usize,
        /// Decimal scale of xy.
        scale: i8,
        /// Divide by n - 1 (NULL where n < 2), else by n (NULL where n is 0).
        sample: bool,
    },
    /// CORR from n, Σx, Σy, Σxx, Σyy, Σxy; NULL where n < 2 or a variance is 0.
    Correlation {
        /// Number of pairs.
        n: usize,
        /// Σx.
        x: usize,
        /// Σy.
        y: usize,
        /// Σx².
        xx: usize,
        /// Σy².
        yy: usize,
        /// Σxy.
        xy: usize,
    },
    /// PERCENTILE_CONT: between the two neighbours of position p (n - 1), p = of.0 / of.1; NULL where n is 0.
    Percentile {
        /// Number of values.
        n: usize,
        /// The value there, or the next below.
        lower: usize,
        /// The value there, or the next above.
        upper: usize,
        /// Decimal scale of the values.
        scale: i8,
        /// p.
        of: (u64, u64),
        /// Whether the query counts from the largest, by 1 - p.
        descending: bool,
    },
}

impl Finish {
    /// The openings it reads.
    pub(crate) fn openings(&self) -> Vec<usize> {
        match self {
            Finish::Public(_) | Finish::Secret(_) => Vec::new(),
            Finish::Value { of, some, .. } | Finish::Text { of, some } => std::iter::once(*of).chain(*some).collect(),
            Finish::Average { n, x, .. } => vec![*n, *x],
            Finish::Variance { n, x, xx, .. } => vec![*n, *x, *xx],
            Finish::Covariance { n, x, y, xy, .. } => vec![*n, *x, *y, *xy],
            Finish::Correlation { n, x, y, xx, yy, xy } => vec![*n, *x, *y, *xx, *yy, *xy],
            Finish::Percentile { n, lower, upper, .. } => vec![*n, *lower, *upper],
        }
    }

    /// The same of openings with other numbers.
    pub fn moved(self, m: impl Fn(usize) -> usize) -> Self {
        match self {
            Finish::Value { of, scale, some } => Finish::Value { of: m(of), scale, some: some.map(m) },
            Finish::Text { of, some } => Finish::Text { of: m(of), some: some.map(m) },
            Finish::Average { n, x, scale, within } => Finish::Average { n: m(n), x: m(x), scale, within },
            Finish::Variance { n, x, xx, scale, sample, root } => Finish::Variance { n: m(n), x: m(x), xx: m(xx), scale, sample, root },
            Finish::Covariance { n, x, y, xy, scale, sample } => Finish::Covariance { n: m(n), x: m(x), y: m(y), xy: m(xy), scale, sample },
            Finish::Correlation { n, x, y, xx, yy, xy } => {
                Finish::Correlation { n: m(n), x: m(x), y: m(y), xx: m(xx), yy: m(yy), xy: m(xy) }
            }
            Finish::Percentile { n, lower, upper, scale, of, descending } => {
                Finish::Percentile { n: m(n), lower: m(lower), upper: m(upper), scale, of, descending }
            }
            key @ (Finish::Public(_) | Finish::Secret(_)) => key,
        }
    }
}

/// One thing the planner learns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reveal {
    /// The release it belongs to.
    pub release: usize,
    /// What, as text: `SUM(t.n)`, `number of rows with …`.
    pub what: String,
    /// For what: `each borough`, `all rows together`.
    pub per: String,
    /// Why: the aggregates of the query that need it.
    pub why: String,
}

fn as_texts<S: serde::Serializer>(of: &Option<(i128, i128)>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(of.iter().flat_map(|(min, max)| [min.to_string(), max.to_string()]))
}
