//! The steps of the joint stage.

/// One step of the joint stage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(skip)]
    pub kind: StepKind,
    /// A short name: `share bits`, `logic`, `sum`.
    pub name: String,
    /// On what.
    pub what: String,
    /// Rows of each plane.
    pub rows: u64,
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StepKind {
    /// Owners tell how many rows they have: no step of a program, but what comes before it ([`super::disclose`]).
    Disclose,
    /// Every owner shares its bits and bit-planes.
    ShareBits,
    /// Every owner shares its elements of the value domain.
    ShareFp61,
    /// Every owner shares its elements of the wide value domain.
    ShareFp127,
    /// The circuit of a frame.
    Logic(usize),
    /// The existence bits of a release.
    Exists(usize),
    /// The bits of a frame that become elements.
    Lift61(usize),
    /// The same, in the wide domain.
    Lift127(usize),
    /// A batch of products.
    Multiply61(usize),
    /// The same, in the wide domain.
    Multiply127(usize),
    /// The sums of a release.
    Sum61(usize),
    /// The same, in the wide domain.
    Sum127(usize),
    /// The noise on the sums of a release.
    Noise(usize),
    /// What of a release may not come out.
    Suppress(usize),
    /// A relation.
    Relation(usize),
    /// The rows of a relation, made ready to be opened.
    Rows(usize),
    /// Everything the plan opens.
    #[default]
    Release,
}
