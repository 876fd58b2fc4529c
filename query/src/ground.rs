//! The public part of a plan, evaluated: the same at every node, since it follows from the plan and the public tables alone.
//! It fixes every length of the joint stage: rows of the frames, groups of the releases.

use crate::exec::InputRing;
use crate::local::{self, InputColumn, Local, LocalError, Tables};
use crate::plan::relation::{Operator, RelationId};
use crate::plan::{ColumnKind, FrameId, Opening, Plan, Release, Ring, ScanId, Source};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::row::{RowConverter, SortField};
use mpc_core::Layout;
use std::collections::HashMap;

/// Everything public about one run of a plan.
pub struct Ground {
    frames: Vec<FrameRows>,
    scans: Vec<Option<PublicScan>>,
    releases: Vec<Groups>,
    relations: HashMap<(RelationId, InputRing), InputColumn>,
}

struct FrameRows {
    rows: usize,
    keys: Vec<ArrayRef>,
}

struct PublicScan {
    arrays: Vec<ArrayRef>,
    inputs: Vec<Vec<InputColumn>>,
}

/// The public groups of a release.
pub struct Groups {
    /// The group of each row of the frame; `None` where the row takes no part.
    pub of: Vec<Option<usize>>,
    /// How many there are.
    pub count: usize,
    /// The group's public keys, one array for each column of [`Release::by`].
    pub keys: Vec<ArrayRef>,
}

impl Ground {
    /// Evaluates the public part of `plan` on the public tables.
    pub fn new(plan: &Plan, local: &Local, public: &Tables) -> Result<Self, LocalError> {
        let mut ground = Ground { frames: Vec::new(), scans: Vec::new(), releases: Vec::new(), relations: HashMap::new() };
        for frame in &plan.frames {
            let place = format!("the rows of {}", frame.name);
            let defect = |what| LocalError::Defect { place: place.clone(), what };
            if frame.keys.is_empty() {
                ground.frames.push(FrameRows { rows: 1, keys: Vec::new() });
                continue;
            }
            let batch = local.run(&frame.rows, public, &place)?;
            if batch.num_columns() != frame.keys.len() {
                return Err(defect("a frame's rows are its keys"));
            }
            if batch.num_rows() as u64 > frame.max_rows {
                return Err(defect("a public table has no more rows than the catalogue says"));
            }
            let keys = frame.keys.iter().zip(batch.columns()).map(|(key, array)| cast(array, &key.data_type.0));
            let keys = keys.collect::<Result<_, _>>().map_err(|_| defect("a key has its declared type"))?;
            ground.frames.push(FrameRows { rows: batch.num_rows(), keys });
        }
        for scan in &plan.scans {
            if scan.source != Source::Public {
                ground.scans.push(None);
                continue;
            }
            let place = local::place(plan, scan);
            let batch = local.run(&scan.plan, public, &place)?;
            let arrays = local::aligned(&batch, plan.frame(scan.frame), ground.keys(scan.frame), scan, &place)?;
            let inputs = scan.columns.iter().zip(&arrays).map(|(c, array)| local::encode(c, array, &place)).collect::<Result<_, _>>()?;
            ground.scans.push(Some(PublicScan { arrays, inputs }));
        }
        for release in &plan.releases {
            let groups = ground.group(plan, release)?;
            ground.releases.push(groups);
        }
        for (id, relation) in (0..).map(RelationId).zip(&plan.relations) {
            if matches!(relation.op, Operator::Home { source: Source::Public, .. }) {
                let columns = local.public(plan, id, public)?;
                ground.relations.extend(columns.into_iter().map(|(ring, column)| ((id, ring), column)));
            }
        }
        Ok(ground)
    }

    /// Rows of a frame.
    pub fn rows(&self, frame: FrameId) -> usize {
        self.frames[frame.0].rows
    }

    /// The key columns of a frame.
    pub fn keys(&self, frame: FrameId) -> &[ArrayRef] {
        &self.frames[frame.0].keys
    }

    /// A public column in one of its forms.
    pub fn column(&self, scan: ScanId, column: usize, form: usize) -> Option<&InputColumn> {
        self.scans.get(scan.0)?.as_ref()?.inputs.get(column)?.get(form)
    }

    /// All planes of a relation of public rows in one ring.
    pub fn relation(&self, relation: RelationId, ring: InputRing) -> Option<&InputColumn> {
        self.relations.get(&(relation, ring))
    }

    /// The groups of a release.
    pub fn groups(&self, release: usize) -> &Groups {
        &self.releases[release]
    }

    /// Everything that is opened, in the order in which it is released.
    pub fn parts(&self, plan: &Plan) -> Vec<PartShape> {
        let mut parts = Vec::new();
        for (number, (release, groups)) in plan.releases.iter().zip(&self.releases).enumerate() {
            for ring in [InputRing::Bits, InputRing::Fp61, InputRing::Fp127] {
                let planes = release.cells.iter().flat_map(|c| &c.openings).filter(|o| ring_of(o) == ring).count();
                if planes > 0 {
                    parts.push(PartShape { release: number, ring, layout: Layout::new(groups.count, planes) });
                }
            }
        }
        parts.extend(Self::row_parts(plan));
        parts
    }

    /// Those of released rows: they follow from the plan alone.
    pub fn row_parts(plan: &Plan) -> Vec<PartShape> {
        let mut parts = Vec::new();
        for (number, relation) in plan.rows.iter().map(|r| plan.relation(r.relation)).enumerate() {
            for ring in [InputRing::Bits, InputRing::Fp61, InputRing::Fp127] {
                let (places, planes) = (usize::try_from(relation.places).unwrap_or(usize::MAX), local::planes_of(relation, ring));
                if planes > 0 {
                    parts.push(PartShape { release: plan.releases.len() + number, ring, layout: Layout::new(places, planes) });
                }
            }
        }
        parts
    }

    fn group(&self, plan: &Plan, release: &Release) -> Result<Groups, LocalError> {
        let defect = |what| LocalError::Defect { place: format!("the groups of {}", release.name), what };
        let array = |(scan, column): (ScanId, usize)| {
            let scan = self.scans.get(scan.0).and_then(Option::as_ref);
            scan.and_then(|s| s.arrays.get(column)).ok_or_else(|| defect("a group key is a public column"))
        };
        let rows = self.rows(release.frame);
        let taken: Vec<bool> = match release.rows {
            None => vec![true; rows],
            Some(column) => {
                let bits = array(column)?.as_boolean_opt().ok_or_else(|| defect("the rows of a release are named by a bit"))?;
                (0..rows).map(|r| bits.is_valid(r) && bits.value(r)).collect()
            }
        };
        if release.by.is_empty() {
            return Ok(Groups { of: taken.into_iter().map(|t| t.then_some(0)).collect(), count: 1, keys: Vec::new() });
        }
        let labels: Vec<ArrayRef> = release.by.iter().map(|c| array(*c).cloned()).collect::<Result<_, _>>()?;
        let labelled = release.by.iter().all(|(s, c)| matches!(plan.scan(*s).columns[*c].kind, ColumnKind::Label(_)));
        if !labelled {
            return Err(defect("a group key is a label"));
        }
        let fields = labels.iter().map(|l| SortField::new(l.data_type().clone())).collect();
        let tuples =
            RowConverter::new(fields).and_then(|c| c.convert_columns(&labels)).map_err(|_| defect("a group key can be compared"))?;
        let mut firsts: Vec<u64> = Vec::new();
        let mut numbers = HashMap::new();
        let mut of = Vec::with_capacity(rows);
        for (row, taken) in taken.into_iter().enumerate() {
            of.push(taken.then(|| {
                *numbers.entry(tuples.row(row)).or_insert_with(|| {
                    firsts.push(row as u64);
                    firsts.len() - 1
                })
            }));
        }
        let count = firsts.len();
        let firsts = UInt64Array::from(firsts);
        let keys =
            labels.iter().map(|l| take(l, &firsts, None)).collect::<Result<_, _>>().map_err(|_| defect("a group key can be taken"))?;
        Ok(Groups { of, count, keys })
    }
}

impl Groups {
    /// The rows of each group.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        for (row, group) in self.of.iter().enumerate() {
            if let Some(group) = group {
                members[*group].push(row);
            }
        }
        members
    }
}

/// What one release opens of one kind: a plane for each opening of that kind (cell by cell), a row for each public group. Of a relation's rows:
/// all its planes of that ring, a row for each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartShape {
    /// The release; those of rows follow after the others.
    pub release: usize,
    /// The kind.
    pub ring: InputRing,
    /// Groups and openings.
    pub layout: Layout,
}

/// The kind of an opening.
pub(crate) fn ring_of(opening: &Opening) -> InputRing {
    match opening {
        Opening::Any(_) | Opening::Safe { .. } => InputRing::Bits,
        Opening::Sum { ring: Ring::Fp61, .. } => InputRing::Fp61,
        Opening::Sum { ring: Ring::Fp127, .. } => InputRing::Fp127,
    }
}
