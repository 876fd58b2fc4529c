//! How large a plan is before anything of it runs: bounds that follow from the plan alone, and so from the catalogue, the same at every
//! node. They are for admission, not for prices: what a plan costs exactly, [`explain`](crate::explain) says, once the public tables
//! have been read.

use crate::exec::{are_shared, held, on_the_way};
use crate::message::{Code, Refusal};
use crate::plan::noise::Noised;
use crate::plan::relation::{Operator, Relation, RelationId, Search};
use crate::plan::{Form, NodeKind, Op, Opening, Plan};
use crate::wire;
use mpc_core::Fp127;
use protocols::Estimate;
use protocols::privacy::Noise;

/// Upper bounds of a plan, roughly; saturated, never overflowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The most rows any part of the joint stage works on.
    pub rows: u64,
    /// Bytes a party sends.
    pub wire: u64,
    /// Bytes that a party takes at its peak for shares and what it does with them.
    pub memory: u64,
    /// Bytes of share columns among them: both components of all columns of the rows that a step reads, makes or leaves for later, at the step with most.
    pub columns: u64,
    /// Bytes of each party's release, as far as rows are released; those of cells depend on how many groups the public tables have.
    pub release: usize,
}

/// What a node admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows of the joint stage.
    pub rows: u64,
    /// Mebibytes a party sends.
    pub wire_mb: u64,
    /// Mebibytes of shares a party holds.
    pub memory_mb: u64,
}

impl Size {
    /// The size of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut size = Size { rows: 1, wire: 0, memory: 0, columns: 0, release: wire::released_rows(plan) };
        let rows = |frame: usize| plan.frames.get(frame).map_or(1, |frame| frame.max_rows.max(1));
        (0..plan.frames.len()).for_each(|frame| size.rows = size.rows.max(rows(frame)));
        for node in &plan.nodes {
            let (sent, held) = bits(plan, &node.op, node.kind);
            size.add(rows(node.frame.0), if node.public { 0 } else { sent }, held);
        }
        for release in &plan.releases {
            // there are no more public groups than rows
            let openings = release.cells.iter().flat_map(|cell| &cell.openings);
            let width = openings.map(|opening| match opening {
                Opening::Sum { ring, .. } => ring.held_bits(),
                Opening::Any(_) => 1,
                // the sums of its guards, and their signs
                Opening::Safe { ring, guards } => 1 + 4 * ring.held_bits().saturating_mul(guards.len() as u64),
            });
            let width = width.fold(0u64, u64::saturating_add);
            size.add(rows(release.frame.0), width.saturating_mul(2), width);
            let cells = rows(release.frame.0).saturating_mul(release.cells.len() as u64);
            release.noise.iter().for_each(|noised| size.noise(cells, noised));
        }
        for relation in &plan.relations {
            // Sorting is what costs: a few passes for each bit of the number of places, over whole rows.
            let passes = u64::from(relation.places.max(2).ilog2() + 1);
            size.rows = size.rows.max(relation.places);
            size.add(relation.places, relation.held_bits().saturating_mul(4 * passes), 0);
            if let Operator::Noise { noised, .. } = &relation.op {
                noised.iter().for_each(|noised| size.noise(relation.places, noised));
            }
        }
        let shared = are_shared(plan);
        let steps = (0..=plan.relations.len()).filter(|id| shared.get(*id).is_none_or(|shared| *shared)).map(|id| step(plan, id));
        let (columns, peak) = steps.fold((0, 0), |most, step| (most.0.max(step.0), most.1.max(step.1)));
        size.columns = columns;
        size.memory = size.memory.saturating_add(peak);
        size
    }

    /// Noise of a law on so many values: its random bits are held while it is made. A law that there is not is refused when it is made.
    fn noise(&mut self, values: u64, noised: &Noised) {
        let Ok(noise) = noised.law.noise() else { return };
        let mut engine = Estimate::new();
        // on shapes nothing fails
        let _ = Noise::sample_each::<_, Fp127>(&mut engine, std::slice::from_ref(&noise), 1);
        let sent = engine.cost().bits.into_iter().max().unwrap_or(0);
        self.add(values, sent, noise.random_bits());
    }

    /// So many rows of so many bits, sent and held (two components of every value).
    fn add(&mut self, rows: u64, sent: u64, held: u64) {
        self.wire = self.wire.saturating_add(rows.saturating_mul(sent) / 8 + 1);
        self.memory = self.memory.saturating_add(bytes(rows, held));
    }

    /// Admits a plan of this size, or says what is beyond which bound of `node`.
    ///
    /// # Errors
    /// `E_TOO_LARGE`, with both figures.
    pub fn admit(&self, bounds: &Bounds, node: &str) -> Result<(), Refusal> {
        wire::admit(self.release)?;
        const MB: u64 = 1 << 20;
        let beyond = [
            (self.rows, bounds.rows, "rows in the joint stage", "joint_rows"),
            (self.wire.div_ceil(MB), bounds.wire_mb, "MiB sent by a party", "wire_mb"),
            (self.memory.div_ceil(MB), bounds.memory_mb, "MiB for shares at a party", "memory_mb"),
        ];
        let Some((is, most, what, name)) = beyond.into_iter().find(|(is, most, ..)| is > most) else { return Ok(()) };
        let reason = format!("the plan may come to {is} {what}; `{node}` admits {most} ([limits] {name})");
        let fix = "narrow the query: fewer columns or groups, a smaller domain; or have the operators raise the bound";
        Err(Refusal::new(Code::TooLarge, reason, fix))
    }
}

/// A party's peak in an operator, over its share columns: those that the operator reads and those that it makes. Each operator is held to it by
/// `protocols/tests/memory.rs`, and this to whole questions by `query/tests/memory.rs`.
const PEAK: u64 = 3;
/// The same where no more than [`AT_ONCE`] rows are sorted: samplesort compares all of them at once.
const COMPARED: u64 = 6;
/// Of more rows samplesort compares a quarter at a time.
const AT_ONCE: u64 = 1 << 15;
/// Bytes a row that is sorted takes beside its columns, however narrow and however many (radix sort takes three bits at a time of up to 2^15 rows, two of more): two known permutations and an opened one, places, and the products of the bits of a digit, seven at
/// most, as indices, in what is held and what is sent.
const SORTED: u64 = 12 + 2 * 8 + 7 * 12;

/// Of the step that computes relation `id`, or, one past the last, that releases rows: bytes of share columns, and all at its peak, the columns and the operator's own.
fn step(plan: &Plan, id: usize) -> (u64, u64) {
    let sum =
        |relations: &[RelationId], of: fn(&Relation) -> u64| relations.iter().map(|id| of(plan.relation(*id))).fold(0, u64::saturating_add);
    let columns = |relation: &Relation| bytes(relation.places, relation.held_bits());
    let (held, read) = held(plan, id);
    let (made, is_sorted) = match plan.relations.get(id) {
        None => (sum(&read, columns), true),
        Some(relation) => match &relation.op {
            Operator::Home { .. } | Operator::Cross { .. } | Operator::Union { .. } | Operator::Map { .. } => (columns(relation), false),
            // base's rows move with the table's
            Operator::Lookup { table, search: Search::SortInOrder, .. } => {
                let places = relation.places.saturating_add(plan.relation(*table).places);
                (bytes(places, relation.held_bits()), true)
            }
            _ => (columns(relation), true),
        },
    };
    let rows = if is_sorted { sum(&read, |relation| relation.places) } else { 0 };
    let peak = if (1..=AT_ONCE).contains(&rows) { COMPARED } else { PEAK };
    let beside = plan.relations.get(id).map_or(0, |relation| on_the_way(plan, relation));
    let operator = sum(&read, columns).saturating_add(made).saturating_mul(peak).saturating_add(beside);
    let held = sum(&held, columns);
    (held, held.saturating_add(operator).saturating_add(rows.saturating_mul(SORTED)))
}

/// Bytes of so many rows of so many bits: two components of each.
fn bytes(rows: u64, bits: u64) -> u64 {
    rows.saturating_mul(bits.saturating_mul(2)) / 8 + 1
}

/// Bits a row that computing a node sends at most, and that its value takes.
fn bits(plan: &Plan, op: &Op, kind: NodeKind) -> (u64, u64) {
    let width = |kind: NodeKind| match kind {
        NodeKind::Bit => 1,
        NodeKind::Planes(planes) => u64::from(planes),
        NodeKind::Field(ring) => ring.held_bits(),
    };
    let held = width(kind);
    let operand = |id: &crate::plan::NodeId| plan.nodes.get(id.0).map_or(0, |node| width(node.kind));
    match op {
        Op::Column { form: Form::Field(_), .. } => (2 * held, held),
        Op::Column { .. } => (held, held),
        Op::Not(_) => (0, held),
        Op::And(of) | Op::Or(of) => (of.len() as u64, held),
        // The comparison tree and the parallel-prefix adder stay below this, with what they hold on the way.
        Op::Less(a, _) | Op::Equal(a, _) => (4 * operand(a), 4 * operand(a)),
        Op::Add(..) => (8 * held, 8 * held),
        Op::Lift(_) => (4 * held, 2 * held),
        Op::Product(..) => (2 * held, held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::compile::compile;
    use crate::explain::{ExplainError, explain};
    use crate::local::Tables;

    /// Three owners over a domain of as many values as there may be.
    fn plan(values: u64) -> Plan {
        let private = |name: &str, column: &str| {
            format!(
                "[[table]]\nname = \"{name}\"\nkey = [\"zone\"]\nmax_rows = {values}\ncolumn = [\n\
                 {{ name = \"zone\", type = \"INT\", min = 1, max = 1000000000, domain = \"zones\", nullable = false }},\n\
                 {{ name = \"{column}\", type = \"INT\", min = 0, max = 1000000, nullable = false }},\n]\n"
            )
        };
        let text = [
            format!(
                "version = 1\n[[table]]\nname = \"public.zones\"\nrows = {values}\nsha256 = \"{}\"\nkey = [\"zone\"]\n",
                "0".repeat(64)
            ),
            "column = [{ name = \"zone\", type = \"INT\", nullable = false, min = 1, max = 1000000000 }]\n".into(),
            "[[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n".into(),
            private("energy.use", "kwh"),
            private("health.cases", "cases"),
        ]
        .concat();
        let catalog = Catalog::parse(&text).expect("a catalogue");
        let sql = "SELECT COUNT(*) AS n, SUM(CAST(e.kwh AS BIGINT) * h.cases) AS p FROM public.zones z JOIN energy.use e ON e.zone = z.zone \
                   JOIN health.cases h ON h.zone = z.zone WHERE e.kwh > h.cases";
        compile(sql, &catalog).expect("a plan")
    }

    #[test]
    fn a_size_grows_with_the_rows_and_is_of_the_order_of_the_price() {
        let (small, large) = (Size::of(&plan(1_000)), Size::of(&plan(1_000_000)));
        assert_eq!((small.rows, large.rows), (1_000, 1_000_000));
        assert!(large.wire > 900 * small.wire && large.memory > 900 * small.memory, "{small:?} {large:?}");
        // A 20-bit comparison, a product, a lift: some hundreds of bits a row.
        assert!((20_000..200_000).contains(&small.wire), "{small:?}");
    }

    #[test]
    fn what_is_beyond_a_bound_is_refused_with_both_figures() {
        let size = Size::of(&plan(1_000_000));
        let wide = Bounds { rows: 1_000_000, wire_mb: 4096, memory_mb: 4096 };
        assert_eq!(size.admit(&wide, "energy"), Ok(()));
        for (bounds, says) in [
            (Bounds { rows: 999_999, ..wide }, "1000000 rows in the joint stage; `energy` admits 999999 ([limits] joint_rows)"),
            (Bounds { wire_mb: 1, ..wide }, "MiB sent by a party; `energy` admits 1 ([limits] wire_mb)"),
            (Bounds { memory_mb: 1, ..wide }, "MiB for shares at a party; `energy` admits 1 ([limits] memory_mb)"),
        ] {
            let refusal = size.admit(&bounds, "energy").expect_err("beyond");
            assert!(refusal.code == Code::TooLarge && refusal.reason.contains(says) && !refusal.fix.is_empty(), "{refusal:?}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_to_be_sealed_is_refused_before_anything_runs() {
        let text = |rows: u64| {
            format!(
                "version = 1\n[[table]]\nname = \"energy.use\"\nmax_rows = {rows}\nrelease = \"rows\"\ncolumn = [\n\
                 {{ name = \"home\", type = \"INT\", min = 0, max = 1000000, nullable = false }},\n\
                 {{ name = \"kwh\", type = \"INT\", min = 0, max = 1000000, nullable = false }},\n]\n"
            )
        };
        let plan = |rows: u64| {
            let catalog = Catalog::parse(&text(rows)).expect("a catalogue");
            compile("SELECT home, kwh FROM energy.use WHERE kwh > 7", &catalog).expect("a plan")
        };
        let bounds = Bounds { rows: 1 << 30, wire_mb: 1 << 20, memory_mb: 1 << 20 };
        let explained = |plan: &Plan| explain(plan, &Tables::default(), &["transport", "energy", "health"]);
        let (small, large) = (plan(10_000), plan(100_000));
        assert_eq!(Size::of(&small).admit(&bounds, "energy"), Ok(()));
        assert!(explained(&small).is_ok());
        let refusal = Size::of(&large).admit(&bounds, "energy").expect_err("too long");
        assert_eq!(refusal.code, Code::TooLarge);
        assert!(
            refusal.reason.contains(&format!("at most {} are released", crate::message::Sealed::MAX_RELEASE))
                && refusal.fix.contains("LIMIT"),
            "{refusal:?}"
        );
        let Err(ExplainError::TooLarge(explained)) = explained(&large) else { panic!("explained") };
        assert_eq!(explained, refusal, "nodes and EXPLAIN say the same");
    }
}
