//! What whole questions take, counted by the allocator, against the figure by which they are admitted: a party's peak on shares is never above it, nor far below; and below three times
//! its share columns: both components of all columns, at the width that the plan has them, of the rows that a step reads, makes or leaves for later, at the step with most. (Rows of a few dozen bits are
//! narrower than the indices that sort them, which are what counts then: some 90 bytes a row, 140 for percentiles.) Each party is
//! run alone against a recording of what it received, as in `protocols/tests/memory.rs`; one test, since the allocator counts for the process.

use mpc_core::world::World;
use mpc_core::{PartyId, Session};
use peak_alloc::PeakAlloc;
use protocols::Rep3;
use query::catalog::Catalog;
use query::compile::compile;
use query::datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use query::datafusion::arrow::compute::cast;
use query::datafusion::datasource::MemTable;
use query::exec::Program;
use query::explain::explain;
use query::ground::Ground;
use query::local::{Inputs, Local, Tables};
use query::size::Size;
use std::sync::Arc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const PARTIES: [&str; 3] = ["transport", "energy", "health"];
/// Rows of each table: many beside what a session and its messages take.
const ROWS: i64 = 100_000;

fn catalog() -> Catalog {
    let table = |name: &str| {
        format!(
            "[[table]]\nname = \"{name}\"\nkey = [\"id\"]\nmax_rows = {ROWS}\nrelease = \"rows\"\ncolumn = [\n\
             {{ name = \"id\", type = \"BIGINT\", min = 0, max = 1000000000, nullable = false }},\n\
             {{ name = \"kind\", type = \"BIGINT\", min = 0, max = 1000000000, nullable = false }},\n\
             {{ name = \"amount\", type = \"BIGINT\", min = 0, max = 1000000, nullable = false }},\n\
             {{ name = \"name\", type = \"STRING\", max_bytes = 32, nullable = false }},\n]\n"
        )
    };
    let text = ["version = 1\n".into(), table("energy.use"), table("health.cases")].concat();
    Catalog::parse(&text).expect("a catalogue")
}

fn tables(catalog: &Catalog) -> Tables {
    let mut tables = Tables::new();
    for (name, by) in [("energy.use", 1), ("health.cases", 2)] {
        let column = |f: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..ROWS).map(f))) as ArrayRef;
        let columns = [column(|i| i), column(|i| i * 7919 % 1009), column(|i| i * 104_729 % 1_000_003), column(|i| i * 7919 % 100_003)];
        let schema = catalog.table(name).expect("declared").arrow_schema();
        let columns =
            schema.fields().iter().zip(columns).map(|(field, column)| cast(&column, field.data_type()).expect("an integer or its text"));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).expect("the declared columns");
        let batch = batch.slice(0, batch.num_rows() / by);
        tables.insert(name, Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("a table")));
    }
    tables
}

#[test]
#[allow(clippy::print_stdout, reason = "what was measured is worth reading")]
fn a_question_takes_no_more_than_it_was_admitted_for() {
    let catalog = catalog();
    let tables = tables(&catalog);
    let local = Local::new(1 << 30).expect("a runtime");
    let both = "(SELECT id, kind, amount FROM energy.use UNION ALL SELECT id, kind, amount FROM health.cases) AS b";
    let texts = "(SELECT id, name FROM energy.use UNION ALL SELECT id, name FROM health.cases) AS b";
    let named = "(SELECT DISTINCT name FROM health.cases) c";
    let counted = format!("(SELECT name, COUNT(*) AS n FROM {texts} GROUP BY name) c");
    let ten = "ORDER BY s DESC LIMIT 10";
    let mut beyond = Vec::new();
    for (what, most, sql) in [
        ("sort", 3.0, format!("SELECT id, kind, amount FROM {both} ORDER BY amount DESC LIMIT 10")),
        // beyond three times: rows of 51 bits, all of them the key, are narrower than the indices that sort them
        ("sort of narrow rows", 3.6, format!("SELECT id, amount FROM {both} ORDER BY amount DESC, id LIMIT 10")),
        ("sort of texts", 3.0, format!("SELECT id, name FROM {texts} ORDER BY name, id LIMIT 10")),
        ("group", 3.0, format!("SELECT kind, SUM(amount) AS s FROM {both} GROUP BY kind ORDER BY s DESC, kind LIMIT 10")),
        ("join", 3.0, "SELECT SUM(u.amount * c.amount) AS s FROM energy.use u JOIN health.cases c ON c.id = u.kind".into()),
        ("join of a join", 3.0, format!("SELECT SUM(b.amount * c.amount) AS s FROM {both} JOIN health.cases c ON c.id = b.kind")),
        (
            "join fused with groups",
            3.0,
            format!("SELECT b.kind, SUM(b.amount * c.amount) AS s FROM {both} JOIN health.cases c ON c.id = b.kind GROUP BY b.kind {ten}"),
        ),
        ("distinct texts", 3.0, format!("SELECT COUNT(*) AS s FROM (SELECT DISTINCT name FROM {texts})")),
        ("union of texts", 3.0, "SELECT COUNT(*) AS s FROM (SELECT name FROM energy.use UNION SELECT name FROM health.cases)".into()),
        ("groups by texts", 3.0, format!("SELECT name, COUNT(*) AS s FROM {texts} GROUP BY name {ten}")),
        (
            "groups by texts that were joined on",
            3.0,
            format!("SELECT b.name, COUNT(*) AS s FROM {texts} JOIN {named} ON c.name = b.name GROUP BY b.name {ten}"),
        ),
        ("join on texts", 3.0, format!("SELECT SUM(b.id) AS s FROM {texts} JOIN {named} ON c.name = b.name")),
        ("join on texts in no order", 3.0, format!("SELECT SUM(b.id * c.n) AS s FROM {texts} JOIN {counted} ON c.name = b.name")),
        (
            "groups by texts that were joined on in no order",
            3.0,
            format!("SELECT b.name, SUM(c.n) AS s FROM {texts} JOIN {counted} ON c.name = b.name GROUP BY b.name {ten}"),
        ),
        (
            "window",
            // as above
            3.2,
            format!("SELECT SUM(r) AS s FROM (SELECT RANK() OVER (PARTITION BY kind ORDER BY amount) AS r, amount FROM {both})"),
        ),
        ("percentile", 3.0, format!("SELECT name, PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY id) AS s FROM {texts} GROUP BY name {ten}")),
        // as above
        (
            "percentile of narrow rows",
            5.5,
            format!("SELECT kind, PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY amount) AS s FROM {both} GROUP BY kind {ten}"),
        ),
        ("distinct in groups", 3.0, format!("SELECT kind, COUNT(DISTINCT amount) AS n, SUM(amount) AS s FROM {both} GROUP BY kind {ten}")),
        ("quotient", 3.0, "SELECT SUM(u.amount / (c.amount + 1)) AS s FROM energy.use u JOIN health.cases c ON c.id = u.kind".into()),
    ] {
        let plan = compile(&sql, &catalog).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let ground = Ground::new(&plan, &local, &tables).expect("nothing public");
        let program = Program::new(&plan, &ground).expect("it is executable");
        let homes: Vec<_> =
            PARTIES.iter().map(|party| local.at_home(&plan, party, &ground, &tables).expect("the data are right")).collect();
        let inputs: Vec<Inputs> = homes.into_iter().map(|home| home.inputs(&plan).expect("the data are right")).collect();
        let owner = |name: &str| PARTIES.iter().position(|p| *p == name).map(|p| PartyId(p as u8));
        let run = |session: Session| {
            let me = session.me().index();
            let mut engine = Rep3::new(session);
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            drop(joint::rep3(&program, &mut engine, &owner, &inputs[me], &mut |_, _| ())?);
            Ok((MEMORY.peak_usage() - before) as u64)
        };
        let world = World::new(3, 1);
        let views: Vec<_> = world.run(run).into_iter().map(|party| party.result.map(|_| party.view).expect("it runs")).collect();
        let alone = (0..3).map(PartyId).zip(views).map(|(party, view)| world.run_alone(party, view, run).expect("it runs again"));
        let peak = alone.max().expect("three parties");
        let Size { memory: admitted, columns, .. } = Size::of(&plan);
        let line =
            format!("{what}: {peak} bytes, {:.2} times {columns} of share columns, admitted for {admitted}", peak as f64 / columns as f64);
        println!("{line}");
        if peak as f64 > most * columns as f64 || peak > admitted || admitted > 6 * peak {
            beyond.push(line);
        }
        let explained = explain(&plan, &tables, &PARTIES).expect("explained");
        assert_eq!(explained.memory, admitted);
        assert!(explained.to_string().contains(&format!("memory: at most {admitted} bytes for shares at a party")), "{explained}");
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}
