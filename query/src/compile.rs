//! SQL → [`Plan`].
//!
//! ```text
//!  parse      text → DataFusion's logical plan on the catalogue, simplified by a fixed list of rules
//!  spans      differences of moments, which SQL compares as intervals, as the integers they are
//!  facts      what is known of a relation one owner computes at home: ranges, NULLs, keys, where a column comes from
//!  relation   the logical plan bottom-up: what one owner can compute stays whole and becomes a unit; where owners meet, their
//!             units are attached to the rows of a frame
//!  expr       expressions over the units of a frame: what one owner can evaluate stays his, the rest becomes numbers and bits
//!  release    aggregates → what is opened for each group, and how the released columns follow
//!  emit       what is left is written down as scans and nodes
//!  total      what an owner computes at home has a value for every row: nothing of it can fail
//!  rows       where public keys do not serve: relations over private rows
//!  protect    what contracts ask of what comes out: clamps, caps, groups of enough entities, sums of which no one has too much
//! ```
//!
//! Everything here is a function of the text and the catalogue alone.

mod answer;
mod bound;
mod emit;
mod expr;
mod facts;
mod frame;
mod home;
mod implied;
mod locate;
mod parse;
mod protect;
mod range;
mod real;
mod relation;
mod release;
mod rows;
mod spans;
mod subquery;
mod symbol;
mod temporal;
mod total;
pub(crate) mod words;

use std::{collections::BTreeSet, fmt, thread};

use datafusion::{
    common::tree_node::TreeNode,
    logical_expr::{Expr, LogicalPlan},
};

pub(crate) use self::facts::tables;
pub(crate) use self::locate::{only_place_of, place_of, place_of_column};
pub(crate) use self::protect::{Level, Taken, Trail, View, follow};
pub(crate) use self::range::sql_type;
use self::{emit::Emitted, frame::Frames, locate::Text, protect::Groups, symbol::Bits};
use crate::{
    catalog::Catalog,
    exec,
    message::Code,
    plan::{
        Decided, Frame, FrameId, Key, PLAN_VERSION, Plan, Release, Reveal, Source, Subplan, Type,
        relation::{Operator, Relation},
    },
    protection::Protection,
};

/// The planner's rules recurse; they do it on a stack of their own, so that no text can exhaust the caller's.
const STACK: usize = 256 << 20;

/// Why a query does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// E_SQL, E_WIDTH, E_UNSUPPORTED, E_NO_CONSENT or E_INTERNAL.
    pub code: Code,
    /// What is wrong, naming the construct.
    pub message: String,
    /// Line in the query, from 1.
    pub line: Option<u64>,
    /// Column in the line, from 1.
    pub column: Option<u64>,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{}: {}", self.message, self.fix)
    }
}

impl std::error::Error for SqlError {}

impl SqlError {
    pub(crate) fn new(code: Code, message: impl Into<String>, fix: impl Into<String>) -> Self {
        SqlError { code, message: message.into(), line: None, column: None, fix: fix.into() }
    }

    fn sql(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Code::Sql, message, fix)
    }

    fn unsupported(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Code::Unsupported, message, fix)
    }

    fn width(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Code::Width, message, fix)
    }

    fn at(mut self, place: Option<locate::Place>) -> Self {
        if let Some((line, column)) = place {
            self.line.get_or_insert(line);
            self.column.get_or_insert(column);
        }
        self
    }
}

/// Compiles a question against the catalogue. Deterministic: the same text and catalogue give the same plan and hash everywhere.
pub fn compile(sql: &str, catalog: &Catalog) -> Result<Plan, SqlError> {
    compiled(sql, catalog, None, None)
}

/// The same question as contracts protect it. Whether they allow it is decided on the plan without protection
/// ([`consent::check`](crate::consent::check)).
pub fn compile_protected(sql: &str, catalog: &Catalog, protection: &Protection) -> Result<Plan, SqlError> {
    compiled(sql, catalog, Some(protection), None)
}

/// The same question where one thing is [decided](Decided::of) the other way: what EXPLAIN weighs against the plan, and nobody runs.
pub fn compile_otherwise(sql: &str, catalog: &Catalog, protection: Option<&Protection>, of: &str) -> Result<Plan, SqlError> {
    compiled(sql, catalog, protection, Some(of))
}

fn compiled(sql: &str, catalog: &Catalog, protection: Option<&Protection>, otherwise: Option<&str>) -> Result<Plan, SqlError> {
    let fault = |what: &str| {
        SqlError::new(Code::Internal, format!("the query could not be compiled ({what})"), "simplify the query, and report it")
    };
    // what has no place of its own concerns the whole question
    match deep(|| compile_here(sql, catalog, protection, otherwise).map_err(|e| e.at(locate::first(sql)))) {
        Ok(Some(result)) => result,
        Ok(None) => Err(fault("the SQL library gave up on it")),
        Err(e) => Err(fault(&format!("no thread: {e}"))),
    }
}

/// Runs what walks plans on a stack that is deep enough for any within the bounds; `None` if it panics.
pub(crate) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<Option<T>> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("compile".into()).stack_size(STACK).spawn_scoped(scope, work)?;
        Ok(worker.join().ok())
    })
}

/// One compilation.
struct Compiler<'a> {
    catalog: &'a Catalog,
    text: &'a Text,
    groups: Option<Groups<'a>>,
    frames: Frames,
    bits: Bits,
    emitted: Emitted,
    releases: Vec<Release>,
    reveals: Vec<Reveal>,
}

fn compile_here(sql: &str, catalog: &Catalog, protection: Option<&Protection>, otherwise: Option<&str>) -> Result<Plan, SqlError> {
    let (mut plan, text) = parse::parse(sql, catalog)?;
    if facts::owners(&plan).is_empty() {
        let message = "the query reads no private table, and every node holds the public ones as files";
        return Err(SqlError::unsupported(message, "read those files, or ask about a private table").at(text.first()));
    }
    if let Some(protection) = protection {
        if protection.of_branches() {
            plan = protect::where_summed(&plan).map_err(|e| e.at(text.keyword("CASE")))?;
        }
        plan = protect::bounded(plan, protection, catalog)?;
    }
    let planned = protect::split(|parts| {
        let groups = protection.map(|protection| Groups::of(&plan, protection, catalog, &text, parts)).transpose()?;
        let mut planned = planned(&plan, &text, catalog, groups, otherwise)?;
        planned.protection = protection.cloned();
        Ok(planned)
    })?;
    total::no_lost_answer(&plan, catalog, &text)?;
    Ok(planned)
}

/// What is decided first of every question.
const MEETING: &str = "how owners meet";

/// Its two ways.
const BY_ROWS: &str = "row by row, on keys that nobody sees";
const ALIGNED: &str = "on the rows of a public domain, one of each owner's for each";

fn planned(
    plan: &LogicalPlan,
    text: &Text,
    catalog: &Catalog,
    groups: Option<Groups<'_>>,
    otherwise: Option<&str>,
) -> Result<Plan, SqlError> {
    if otherwise == Some(MEETING) {
        return by_rows(plan, text, catalog, groups, None);
    }
    match aligned(plan, text, catalog, groups) {
        // where no public key serves, owners meet row by row on private ones
        Err(e) if matches!(e.code, Code::Unsupported | Code::Width) => {
            let mut plan = by_rows(plan, text, catalog, groups, otherwise)?;
            let why = format!("on the rows of a public domain it cannot be answered: {}", e.message);
            plan.decided.insert(0, Decided::new(MEETING, BY_ROWS, why));
            Ok(plan)
        }
        Ok(mut plan) => {
            let why = "it can be answered so, and then nothing of anybody's rows is sorted, moved or counted";
            plan.decided.insert(0, Decided::new(MEETING, ALIGNED, why).or(BY_ROWS));
            Ok(plan)
        }
        Err(e) => Err(e),
    }
}

/// Over public frames: cheaper, and nothing about rows can show.
fn aligned(plan: &LogicalPlan, text: &Text, catalog: &Catalog, groups: Option<Groups<'_>>) -> Result<Plan, SqlError> {
    let mut compiler = Compiler { groups, ..Compiler::new(catalog, text) };
    let answer = compiler.root(plan)?;
    let parties = facts::owners(plan).into_iter().collect();
    compiler.finish(parties, answer.plan)
}

/// Over relations of private rows.
fn by_rows<'a>(
    plan: &LogicalPlan,
    text: &'a Text,
    catalog: &'a Catalog,
    groups: Option<Groups<'a>>,
    otherwise: Option<&'a str>,
) -> Result<Plan, SqlError> {
    let mut rows = rows::Rows::new(catalog, text, groups, otherwise);
    let answer = rows.root(plan)?;
    let mut plan = Plan {
        version: PLAN_VERSION,
        parties: facts::owners(plan).into_iter().collect(),
        frames: Vec::new(),
        scans: Vec::new(),
        nodes: Vec::new(),
        releases: Vec::new(),
        relations: rows.relations,
        rows: rows.releases,
        answer: Subplan::new(answer.plan),
        reveals: rows.reveals,
        network: catalog.network(),
        decided: rows.decided,
        protection: None,
    };
    exec::choose_searches(&mut plan).map_err(internal)?;
    check(&plan)?;
    Ok(plan)
}

impl<'a> Compiler<'a> {
    fn new(catalog: &'a Catalog, text: &'a Text) -> Self {
        Compiler {
            catalog,
            text,
            groups: None,
            frames: Frames::default(),
            bits: Bits::new(),
            emitted: Emitted::default(),
            releases: Vec::new(),
            reveals: Vec::new(),
        }
    }

    fn finish(mut self, parties: Vec<String>, answer: LogicalPlan) -> Result<Plan, SqlError> {
        let scans = self.scans()?;
        let frames = self.frames.all.into_iter().map(|f| Frame {
            name: f.name,
            keys: f.keys.into_iter().map(|(name, ty)| Key { name, data_type: Type(ty) }).collect(),
            rows: Subplan::new(f.rows),
            max_rows: f.max_rows,
        });
        let mut plan = Plan {
            version: PLAN_VERSION,
            parties,
            frames: frames.collect(),
            scans,
            nodes: self.emitted.nodes,
            releases: self.releases,
            relations: Vec::new(),
            rows: Vec::new(),
            answer: Subplan::new(answer),
            reveals: self.reveals,
            network: self.catalog.network(),
            decided: Vec::new(),
            protection: None,
        };
        keep_used_frames(&mut plan);
        check(&plan)?;
        Ok(plan)
    }
}

/// Frames that were only tried are left out.
fn keep_used_frames(plan: &mut Plan) {
    let used: BTreeSet<_> = plan.scans.iter().map(|s| s.frame).chain(plan.releases.iter().map(|r| r.frame)).collect();
    let place = |id: FrameId| FrameId(used.iter().position(|u| *u == id).unwrap_or(id.0));
    let mut id = 0;
    plan.frames.retain(|_| {
        id += 1;
        used.contains(&FrameId(id - 1))
    });
    plan.scans.iter_mut().for_each(|s| s.frame = place(s.frame));
    plan.nodes.iter_mut().for_each(|n| n.frame = place(n.frame));
    plan.releases.iter_mut().for_each(|r| r.frame = place(r.frame));
}

/// The last line of defence: whoever runs a sub-plan holds all it reads, and the planner reads nothing but what was released.
fn check(plan: &Plan) -> Result<(), SqlError> {
    let public = |t: &String| t.starts_with("public.");
    let frames = plan.frames.iter().all(|f| facts::tables(f.rows.logical()).iter().all(public));
    let held = |source: &Source, tables: &[String]| match source {
        Source::Public => tables.iter().all(public),
        Source::Party(name) => tables.iter().all(|t| public(t) || t.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))),
    };
    let scans = plan.scans.iter().all(|s| held(&s.source, &facts::tables(s.plan.logical())));
    let homes = plan.relations.iter().all(|r| {
        let Operator::Home { source, plan, .. } = &r.op else { return true };
        held(source, &facts::tables(plan.logical()))
    });
    let mut released = plan.releases.iter().map(|r| &r.name).chain(plan.rows.iter().map(|r| &r.name));
    let answer = facts::tables(plan.answer.logical()).iter().all(|t| released.clone().any(|r| r == t));
    match (frames && scans && homes && released.next().is_some(), answer) {
        (true, true) => Ok(()),
        (true, false) => Err(SqlError::unsupported(
            "a sub-query over a public table stands beside what comes out, where nothing but that is read",
            "join it instead of selecting it: … CROSS JOIN (SELECT MAX(x) AS value FROM public.…) s, and show s.value",
        )),
        (false, _) if plan.relations.iter().filter_map(|r| home_of(r)).chain(plan.scans.iter().map(|s| &s.plan)).any(asks_beside) => {
            Err(SqlError::unsupported(
                "a sub-query that is a value of another owner stands where nothing but the rows at hand is read",
                "join it instead: … CROSS JOIN (SELECT MAX(x) AS value FROM …) s, and write s.value",
            ))
        }
        (false, _) => Err(internal("a sub-plan reads what its place does not hold")),
    }
}

fn home_of(relation: &Relation) -> Option<&Subplan> {
    if let Operator::Home { plan, .. } = &relation.op { Some(plan) } else { None }
}

/// Whether something in a sub-plan is a sub-query that is a value.
fn asks_beside(plan: &Subplan) -> bool {
    let asks =
        |node: &LogicalPlan| node.expressions().iter().any(|e| e.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_)))).unwrap_or(true));
    plan.logical().exists(|node| Ok(asks(node))).unwrap_or(true)
}

/// A fault of ours, not of the query.
fn internal(what: impl fmt::Display) -> SqlError {
    let what = what.to_string();
    let what = what.lines().next().unwrap_or_default();
    SqlError::new(Code::Internal, format!("the query could not be compiled ({what})"), "simplify the query, and report it")
}

#[cfg(test)]
mod tests;
