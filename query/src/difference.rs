//! Whom an answer is made of at one owner, to be compared with whom other answers are made of: where the two differ in few entities, their difference
//! tells of these few, however large each group is.
//!
//! A [`Cell`] is a group that may come out, and a value in it, as the owner contributes to it: for each entity what its rows are there. It is computed at home, in
//! clear, of the plan that runs, after filters, clamps and caps; a row that is filtered out, or NULL or 0 there, is none. What other owners' conditions leave of a group on
//! shares is not known at home: a cell is the whole group.
//!
//! Every sum and count that may come out, or of which something is computed that may, has a cell of the rows it takes, and one of their values. So the same question with one
//! row fewer, with one row's value as NULL or 0 or anything else, looks the same: cells that are equal but for one entity. Cells of other rows have nothing in common, since
//! rows are told apart by their place in the table. Rows made of several entities, such as zones, are no entity's: nothing is compared there but what entities put into them.
//!
//! Values may be scaled or shifted, and then have nothing in common. So a sum has cells of each kind of rows too that it is made of, as its CASEs have them: of those that their conditions
//! choose, and of those that have a value.
//!
//! That few rows have no value in a column, or that few have the value 0 where all others have 1, is a fact of the table that no question has chosen: cells that differ in
//! that alone are of other [`Sort`]s, which are not compared.

mod uses;

use crate::catalog::Catalog;
use crate::compile::{Level, Taken, Trail, View, deep, follow};
use crate::ground::Ground;
use crate::local::{Local, LocalError, Tables, place};
use crate::plan::relation::{Operator, RelationId, RowForm};
use crate::plan::{Plan, ScanId, Source, Subplan};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// What an owner contributes to a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What it may be compared with.
    pub sort: Sort,
    /// For each of its entities, by a fingerprint, a fingerprint of what its rows are there; sorted.
    pub of: Vec<(u64, u64)>,
}

/// What cells are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// Rows as conditions leave them.
    Rows,
    /// Rows that have a value, or values of which 1 is a row, as a question has computed them.
    Chosen,
    /// Rows that have a value in some columns, by a fingerprint of their names.
    Present(u64),
    /// Values.
    Values,
}

impl Cell {
    /// Whether this cell and another differ, and in fewer than `least` entities.
    pub fn near(&self, other: &Self, least: u64) -> bool {
        self.sort.compares(other.sort) && near(self.of.iter().copied(), other.of.iter().copied(), least)
    }
}

impl Sort {
    /// Whether two cells may be near each other.
    pub fn compares(self, other: Self) -> bool {
        match (self, other) {
            (Sort::Values, _) | (_, Sort::Values) | (Sort::Present(_), Sort::Present(_)) => self == other,
            (Sort::Rows, Sort::Present(_)) | (Sort::Present(_), Sort::Rows) => false,
            _ => true,
        }
    }
}

/// What keeps fingerprints from being tried out: a function that nobody else can compute.
pub type Fingerprint<'a> = &'a dyn Fn(&[&[u8]]) -> u64;

impl Local {
    /// The cells of each data set of `party` that a plan protects by a minimum group; without those that are of too few entities to come out, and each once.
    ///
    /// # Errors
    /// The data are not what the plan was compiled for.
    pub fn cells(
        &self,
        plan: &Plan,
        party: &str,
        ground: &Ground,
        tables: &Tables,
        catalog: &Catalog,
        fingerprint: Fingerprint<'_>,
    ) -> Result<BTreeMap<String, Vec<Cell>>, LocalError> {
        let mut all: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
        let Some(protection) = plan.protection.as_ref().filter(|protection| protection.min_group > 1) else { return Ok(all) };
        let (summed, keys) = (uses::summed(plan), uses::keys(plan));
        for (home, subplan, place) in homes(plan, party) {
            // noise hides every difference that one of its entities makes
            let exact = |name: &String| !protection.noise.as_ref().is_some_and(|noise| noise.datasets.contains(name));
            for (dataset, data) in protection.datasets.iter().filter(|(name, _)| owned(name, party) && exact(name)) {
                let defect = || LocalError::Defect { place: place.clone(), what: "what it is made of can be followed" };
                let wanted = home.wanted(plan, &summed);
                let trails = deep(|| follow(subplan.logical(), &wanted, dataset, data, catalog));
                let trails = trails.ok().flatten().ok_or_else(defect)?.map_err(|_| defect())?;
                for trail in trails {
                    let domain = [dataset.as_bytes(), b"\n", trail.entity.as_deref().unwrap_or_default().as_bytes(), b"\n"].concat();
                    let followed = Followed::run(self, &trail, tables, &place, &domain, fingerprint)?;
                    let groups = home.groups(plan, ground, &trail, &followed, &keys);
                    let cells = followed.cells(&groups);
                    let enough = |cell: &Cell| cell.of.len() as u64 >= protection.min_group;
                    all.entry(dataset.clone()).or_default().extend(cells.into_iter().filter(enough));
                }
            }
        }
        for cells in all.values_mut() {
            cells.sort_unstable();
            cells.dedup();
        }
        Ok(all)
    }
}

/// Whether what two cells are of differs, and in fewer than `least` entities.
pub fn near(one: impl IntoIterator<Item = (u64, u64)>, other: impl IntoIterator<Item = (u64, u64)>, least: u64) -> bool {
    (1..least).contains(&differ(one, other, least))
}

/// In how many entities what two cells are of differs, as far as `most`.
pub fn differ(one: impl IntoIterator<Item = (u64, u64)>, other: impl IntoIterator<Item = (u64, u64)>, most: u64) -> u64 {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut differ = 0;
    while differ < most {
        let (left, right) = match (one.peek(), other.peek()) {
            (None, None) => return differ,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some(a), Some(b)) => {
                differ += u64::from(a.0 == b.0 && a.1 != b.1);
                (a.0 <= b.0, b.0 <= a.0)
            }
        };
        differ += u64::from(left != right);
        one.next_if(|_| left);
        other.next_if(|_| right);
    }
    differ
}

fn owned(dataset: &str, party: &str) -> bool {
    dataset.strip_prefix(party).is_some_and(|rest| rest.starts_with('.'))
}

/// A part of a plan that an owner computes at home.
enum Home {
    Scan(usize),
    Relation(RelationId),
}

/// What a party runs at home, and how it is called in errors.
fn homes<'a>(plan: &'a Plan, party: &'a str) -> Vec<(Home, &'a Subplan, String)> {
    let scans = plan.scans_of(party).map(|(id, scan)| (Home::Scan(id.0), &scan.plan, place(plan, scan)));
    let relations = (0..).map(RelationId).zip(&plan.relations).filter_map(|(id, relation)| match &relation.op {
        Operator::Home { source: Source::Party(owner), plan, .. } if owner == party => {
            Some((Home::Relation(id), plan, format!("the local stage of {party}")))
        }
        _ => None,
    });
    scans.chain(relations).collect()
}

/// How the rows of a sub-plan may come out together: for each way, the group of each row, by some number.
type Groups = Vec<Vec<Option<u64>>>;

impl Home {
    /// The columns that may come out, or what is computed of them: not those that are compared, matched and grouped by alone.
    fn wanted(&self, plan: &Plan, summed: &BTreeSet<(ScanId, usize)>) -> BTreeSet<usize> {
        match self {
            Home::Scan(id) => {
                let first = plan.frame(plan.scans[*id].frame).keys.len();
                summed.iter().filter(|(scan, _)| scan.0 == *id).map(|(_, column)| first + column).collect()
            }
            Home::Relation(id) => {
                let number = |form: &RowForm| matches!(form, RowForm::Field { .. } | RowForm::Planes { .. } | RowForm::Bit);
                let columns = &plan.relation(*id).columns;
                (0..columns.len()).filter(|i| number(&columns[*i].form)).collect()
            }
        }
    }

    fn groups(
        &self,
        plan: &Plan,
        ground: &Ground,
        trail: &Trail,
        followed: &Followed,
        keys: &BTreeMap<RelationId, BTreeSet<Vec<usize>>>,
    ) -> Groups {
        let rows = followed.rows();
        let whole = vec![Some(0); rows];
        match self {
            _ if !trail.arrives => vec![whole],
            Home::Scan(id) => {
                let of_frame = |(number, _)| ground.groups(number).of.iter().map(|group| group.map(|g| g as u64)).collect::<Vec<_>>();
                let releases = plan.releases.iter().enumerate().filter(|(_, release)| release.frame == plan.scans[*id].frame);
                let mut groups: Groups = releases.map(of_frame).filter(|of| of.len() == rows).collect();
                if groups.is_empty() {
                    groups.push(whole);
                }
                groups
            }
            Home::Relation(id) => {
                let mut groups = vec![whole];
                if trail.levels.len() > 1 {
                    groups.push((0..rows as u64).map(Some).collect());
                }
                groups.extend(keys.get(id).into_iter().flatten().map(|columns| followed.by(columns)));
                groups
            }
        }
    }
}

/// A trail in numbers.
struct Followed {
    /// For each row of the first level the entity and the row of the table; none, where an outer join or a union adds it.
    base: Vec<Option<(u64, u64)>>,
    levels: Vec<Ran>,
}

struct Ran {
    from: Vec<u64>,
    to: Vec<u64>,
    views: Vec<Seen>,
}

/// A view: where its conditions hold, where rows count, and their values, if it has any.
struct Seen {
    passes: Vec<bool>,
    counts: Vec<bool>,
    values: Option<Vec<u64>>,
    /// What its rows are compared with, if they are looked at here.
    sort: Option<Sort>,
    told: bool,
}

/// Which groups, the group, the level, the view of it, and what is made of it there.
type Place = (usize, u64, usize, usize, Sort);

impl Followed {
    fn run(
        local: &Local,
        trail: &Trail,
        tables: &Tables,
        place: &str,
        domain: &[u8],
        fingerprint: Fingerprint<'_>,
    ) -> Result<Self, LocalError> {
        let mut base = Vec::new();
        let mut levels = Vec::new();
        // Rows of one level find those of the next by it; it is of this run alone.
        let matched = RandomState::new();
        for (number, level) in trail.levels.iter().enumerate() {
            let batch = local.run(&Subplan::new(level.plan.clone()), tables, place)?;
            let defect = || LocalError::Defect { place: place.into(), what: "what it is made of has a text" };
            if number == 0 {
                base = based(&batch, level, domain, fingerprint).ok_or_else(defect)?;
            }
            levels.push(Ran::of(&batch, level, &matched, fingerprint).ok_or_else(defect)?);
        }
        Ok(Followed { base, levels })
    }

    /// Rows of the last level.
    fn rows(&self) -> usize {
        self.levels.last().map_or(0, |level| level.from.len())
    }

    /// The rows of the last level by the values of some columns; its first view is of rows.
    fn by(&self, columns: &[usize]) -> Vec<Option<u64>> {
        let views = self.levels.last().map_or(&[][..], |level| &level.views);
        let value = |row: usize, column: &usize| views.get(column + 1).and_then(|view| view.values.as_ref()).map_or(NULL, |v| v[row]);
        (0..self.rows()).map(|row| Some(columns.iter().fold(0, |all, column| mixed(all, value(row, column))))).collect()
    }

    /// The cells of some groups.
    fn cells(&self, groups: &Groups) -> Vec<Cell> {
        let next: Vec<HashMap<u64, Vec<usize>>> = self.levels.iter().skip(1).map(Ran::rows_from).collect();
        let mut of_one: Vec<Vec<Of>> = self.levels.iter().map(|level| vec![Of::Nobody; level.from.len()]).collect();
        self.each_way(&next, &mut |entity, _, way| {
            way.iter().zip(&mut of_one).for_each(|(row, of)| of[*row].meets(entity));
        });
        let mut found: HashMap<Place, Vec<(u64, u64)>> = HashMap::new();
        self.each_way(&next, &mut |entity, row, way| {
            let Some(last) = way.last() else { return };
            for (number, groups) in groups.iter().enumerate() {
                let Some(group) = groups[*last] else { continue };
                for (depth, level) in self.levels.iter().enumerate() {
                    let place = way[depth];
                    if depth > 0 && of_one[depth][place] == Of::Several {
                        continue;
                    }
                    for (view, seen) in level.views.iter().enumerate() {
                        seen.each(place, |sort, value| {
                            found.entry((number, group, depth, view, sort)).or_default().push((entity, mixed(row, value)));
                        });
                    }
                }
            }
        });
        let sorted = |((.., sort), mut of): (Place, Vec<(u64, u64)>)| {
            of.sort_unstable();
            // What the rows of an entity are together is their sum.
            of.dedup_by(|next, sum| {
                let same = next.0 == sum.0;
                if same {
                    sum.1 = sum.1.wrapping_add(next.1);
                }
                same
            });
            Cell { sort, of }
        };
        found.into_iter().map(sorted).collect()
    }

    /// Entity, row and way of each row of the table that arrives, as often as it does.
    fn each_way(&self, next: &[HashMap<u64, Vec<usize>>], found: &mut impl FnMut(u64, u64, &[usize])) {
        let mut way = vec![0; self.levels.len()];
        for (at, (entity, row)) in self.base.iter().enumerate().filter_map(|(at, base)| Some((at, (*base)?))) {
            way[0] = at;
            self.ways(next, 0, &mut way, &mut |way| found(entity, row, way));
        }
    }

    /// All ways from a row of a level to rows of the last one.
    fn ways(&self, next: &[HashMap<u64, Vec<usize>>], depth: usize, way: &mut [usize], found: &mut impl FnMut(&[usize])) {
        if depth + 1 == self.levels.len() {
            return found(way);
        }
        for row in next[depth].get(&self.levels[depth].to[way[depth]]).into_iter().flatten() {
            way[depth + 1] = *row;
            self.ways(next, depth + 1, way, found);
        }
    }
}

impl Ran {
    fn of(batch: &RecordBatch, level: &Level, matched: &RandomState, fingerprint: Fingerprint<'_>) -> Option<Self> {
        let columns = batch.columns();
        let key = |columns: &[ArrayRef]| -> Option<Vec<u64>> {
            let texts = columns.iter().map(texts).collect::<Option<Vec<_>>>()?;
            let of = |row: usize| {
                let mut hash = matched.build_hasher();
                texts.iter().for_each(|text| text[row].hash(&mut hash));
                hash.finish()
            };
            Some((0..batch.num_rows()).map(of).collect())
        };
        let (from, to) = (key(columns.get(..level.from)?)?, key(columns.get(level.from..level.from + level.to)?)?);
        let mut at = level.from + level.to;
        let mut views = Vec::new();
        for View { values, taken, told } in &level.views {
            let (passes, counts) = (bits(columns.get(at)?)?, bits(columns.get(at + 1)?)?);
            let given = columns.get(at + 2..at + 2 + values)?.iter().map(texts).collect::<Option<Vec<_>>>()?;
            let value = |row: usize| {
                let parts: Option<Vec<&str>> = given.iter().map(|t| t[row].as_deref()).collect();
                match parts.as_deref() {
                    None => NULL,
                    Some(["0"]) => ZERO,
                    Some(["1"]) => ONE,
                    Some(parts) => fingerprint(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>()),
                }
            };
            let given = (*values > 0).then(|| (0..batch.num_rows()).map(value).collect());
            views.push(Seen {
                passes,
                counts,
                values: given,
                sort: match taken {
                    Taken::Present(name) => Some(Sort::Present(fingerprint(&[name.as_bytes()]))),
                    Taken::Chosen => Some(Sort::Chosen),
                    Taken::Apart => None,
                },
                told: *told,
            });
            at += 2 + values;
        }
        Some(Ran { from, to, views })
    }

    /// The rows that come from each row below.
    fn rows_from(&self) -> HashMap<u64, Vec<usize>> {
        let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
        self.from.iter().enumerate().for_each(|(row, from)| rows.entry(*from).or_default().push(row));
        rows
    }
}

impl Seen {
    /// What a row is in the cells of this view.
    fn each(&self, row: usize, mut found: impl FnMut(Sort, u64)) {
        if !self.told {
            return;
        }
        if self.passes[row] {
            found(Sort::Rows, ONE);
        }
        if !self.counts[row] {
            return;
        }
        let Some(values) = &self.values else {
            self.sort.into_iter().for_each(|sort| found(sort, ONE));
            return;
        };
        let value = Some(values[row]).filter(|value| ![NULL, ZERO].contains(value));
        value.into_iter().for_each(|value| self.sort.into_iter().chain([Sort::Values]).for_each(|sort| found(sort, value)));
    }
}

/// Whose a row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Nobody,
    One(u64),
    Several,
}

impl Of {
    fn meets(&mut self, entity: u64) {
        *self = match *self {
            Of::Nobody => Of::One(entity),
            Of::One(one) if one == entity => Of::One(one),
            _ => Of::Several,
        };
    }
}

fn bits(array: &ArrayRef) -> Option<Vec<bool>> {
    let bits = array.as_boolean_opt()?;
    Some((0..bits.len()).map(|row| bits.is_valid(row) && bits.value(row)).collect())
}

/// The entity and the row of each row of the first level.
fn based(batch: &RecordBatch, level: &Level, domain: &[u8], fingerprint: Fingerprint<'_>) -> Option<Vec<Option<(u64, u64)>>> {
    let named = batch.columns().get(..level.from)?.iter().map(texts).collect::<Option<Vec<_>>>()?;
    let of = |row: usize| {
        let number = named[0][row].as_deref()?;
        let entity = match named.get(1) {
            Some(names) => names[row].as_ref().map_or([&b"-"[..], b""], |name| [&b"+"[..], name.as_bytes()]),
            None => [&b"#"[..], number.as_bytes()],
        };
        Some((fingerprint(&[domain, entity[0], entity[1]]), fingerprint(&[domain, b"row", number.as_bytes()])))
    };
    Some((0..batch.num_rows()).map(of).collect())
}

/// The values of an array as text, numbers in one spelling: 1, 1.00 and TRUE are the same, and so are 0 and FALSE.
fn texts(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    let number = matches!(array.data_type(), t if t.is_numeric());
    let plain = if array.data_type() == &DataType::Boolean { cast(array, &DataType::Int32).ok()? } else { array.clone() };
    let texts = cast(&plain, &DataType::Utf8).ok()?;
    let texts = texts.as_string::<i32>();
    let spelled = |text: &str| match number && text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    Some((0..texts.len()).map(|row| texts.is_valid(row).then(|| spelled(texts.value(row)))).collect())
}

/// The value of a row that is only counted, and of the number 1; values that add nothing.
const ONE: u64 = 1;
const ZERO: u64 = 2;
const NULL: u64 = 3;

/// A fingerprint of two, which nobody can choose (the finaliser of SplitMix64).
fn mixed(one: u64, other: u64) -> u64 {
    let mut x = one ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
