//! A plan written by hand, with every operation, on the clear oracle, on three parties, and priced.

use mpc_core::PartyId;
use mpc_core::world::World;
use protocols::Rep3;
use query::datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray};
use query::datafusion::arrow::datatypes::{DataType, Int64Type};
use query::datafusion::catalog::TableProvider;
use query::datafusion::datasource::MemTable;
use query::datafusion::prelude::SessionContext;
use query::exec::*;
use query::explain::{explain, price};
use query::finish::{finish, reconstruct};
use query::ground::Ground;
use query::local::Inputs;
use query::local::{Local, Tables};
use query::plan::*;
use query::trace::Trace;
use query::{finish::FinishError, wire};
use std::sync::Arc;

const PARTIES: [&str; 3] = ["transport", "energy", "health"];
const ZONES: usize = 70;

fn owner(name: &str) -> Option<PartyId> {
    PARTIES.iter().position(|p| *p == name).map(|p| PartyId(p as u8))
}

fn memory(columns: Vec<(&str, ArrayRef)>) -> Arc<dyn TableProvider> {
    let batch = RecordBatch::try_from_iter(columns).expect("columns have equal lengths");
    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("one batch of its own schema"))
}

fn trips(zone: usize) -> i64 {
    (zone as i64 * 37) % 101 - 20
}

fn kwh(zone: usize) -> i64 {
    (zone as i64 * 53) % 97
}

fn tables() -> Tables {
    let zones = || Arc::new(Int32Array::from_iter_values(0..ZONES as i32)) as ArrayRef;
    let decimals = |f: fn(usize) -> i64| {
        let values = Decimal128Array::from_iter_values((0..ZONES).map(|z| f(z).into()));
        Arc::new(values.with_precision_and_scale(38, 0).expect("38 digits are allowed")) as ArrayRef
    };
    let boroughs = StringArray::from_iter_values((0..ZONES).map(|z| ["Bronx", "Queens", "Brooklyn"][z % 7 % 3]));
    let mut tables = Tables::new();
    tables.insert("public.zones", memory(vec![("zone", zones()), ("borough", Arc::new(boroughs))]));
    tables.insert("transport.trips", memory(vec![("zone", zones()), ("n", decimals(trips))]));
    tables.insert("energy.kwh", memory(vec![("zone", zones()), ("n", decimals(kwh))]));
    tables
}

fn subplan(sql: &str, tables: &Tables) -> Subplan {
    let context = SessionContext::new();
    for (name, table) in tables.iter() {
        let (schema, table_name) = name.split_once('.').unwrap_or(("public", name));
        let catalog = context.catalog("datafusion").expect("the default catalogue");
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(datafusion::catalog::MemorySchemaProvider::new())).expect("a new schema");
        }
        context.register_table(format!("{schema}.{table_name}"), table.clone()).expect("a new table");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Subplan::new(runtime.block_on(context.state().create_logical_plan(sql)).expect("the test's SQL is right"))
}

/// SELECT borough, COUNT(*), SUM(t.n), SUM(t.n * e.n) FILTER-like over zones where t.n < e.n, by borough; and whether any zone has t.n + 20 = e.n.
fn plan(tables: &Tables) -> Plan {
    let integer = |min, max| ColumnKind::Integer { scale: 0, min, max };
    let planes = Form::Planes { offset: -20, width: 8 };
    let field = Form::Field(Ring::Fp61);
    let private = |party: &str, sql: &str, min, max| Scan {
        frame: FrameId(0),
        source: Source::Party(party.into()),
        plan: subplan(sql, tables),
        columns: vec![ScanColumn { name: "n".into(), words: format!("{party}.n"), kind: integer(min, max), forms: vec![planes, field] }],
    };
    let node = |op, kind| Node { frame: FrameId(0), op, kind, public: false };
    let column = |scan, form| Op::Column { scan: ScanId(scan), column: 0, form };
    let f61 = NodeKind::Field(Ring::Fp61);
    let nodes = vec![
        node(column(1, planes), NodeKind::Planes(8)),                                    // 0: t.n + 20
        node(column(2, planes), NodeKind::Planes(8)),                                    // 1: e.n + 20
        node(Op::Less(NodeId(0), NodeId(1)), NodeKind::Bit),                             // 2
        node(Op::Column { scan: ScanId(0), column: 1, form: Form::Bit }, NodeKind::Bit), // 3: zone is even (public)
        node(Op::And(vec![NodeId(2), NodeId(3)]), NodeKind::Bit),                        // 4
        node(Op::Lift(NodeId(4)), f61),                                                  // 5
        node(column(1, field), f61),                                                     // 6
        node(column(2, field), f61),                                                     // 7
        node(Op::Product(NodeId(5), NodeId(6)), f61),                                    // 8
        node(Op::Add(NodeId(0), NodeId(0)), NodeKind::Planes(9)),                        // 9: 2 t.n + 40
        node(Op::Equal(NodeId(0), NodeId(1)), NodeKind::Bit),                            // 10
        node(Op::Not(NodeId(10)), NodeKind::Bit),                                        // 11
        node(Op::Or(vec![NodeId(10), NodeId(3)]), NodeKind::Bit),                        // 12
        node(Op::And(vec![NodeId(12), NodeId(2)]), NodeKind::Bit),                       // 13
    ];
    let sum = |terms: Vec<(i128, usize, Option<usize>)>| Opening::Sum {
        ring: Ring::Fp61,
        terms: terms.into_iter().map(|(coefficient, a, b)| Term { coefficient, a: NodeId(a), b: b.map(NodeId) }).collect(),
        min: -1 << 40,
        max: 1 << 40,
    };
    let openings = vec![
        sum(vec![(1, 5, None)]),
        sum(vec![(1, 8, None)]),
        Opening::Any(NodeId(13)),
        sum(vec![(2, 8, Some(7)), (-1, 6, Some(7)), (3, 6, None)]),
    ];
    let value = |name: &str, of| ReleasedColumn {
        name: name.into(),
        data_type: Type(DataType::Int64),
        value: Finish::Value { of, scale: 0, some: None },
    };
    let columns = vec![
        ReleasedColumn { name: "borough".into(), data_type: Type(DataType::Utf8), value: Finish::Public(0) },
        value("n", 0),
        value("s", 1),
        value("x", 3),
    ];
    let released = memory(vec![
        ("borough", Arc::new(StringArray::from(vec!["x"])) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("s", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ]);
    let public =
        ScanColumn { name: "borough".into(), words: "borough".into(), kind: ColumnKind::Label(Type(DataType::Utf8)), forms: vec![] };
    let even = ScanColumn { name: "even".into(), words: "zone % 2 = 0".into(), kind: ColumnKind::Bit, forms: vec![Form::Bit] };
    Plan {
        version: PLAN_VERSION,
        parties: vec!["energy".into(), "transport".into()],
        frames: vec![Frame {
            name: "zones.zone".into(),
            keys: vec![Key { name: "zone".into(), data_type: Type(DataType::Int32) }],
            rows: subplan("SELECT zone FROM public.zones ORDER BY zone", tables),
            max_rows: 100,
        }],
        scans: vec![
            Scan {
                frame: FrameId(0),
                source: Source::Public,
                plan: subplan("SELECT zone, borough, zone % 2 = 0 AS even FROM public.zones ORDER BY zone", tables),
                columns: vec![public, even],
            },
            private("transport", "SELECT zone, n FROM transport.trips ORDER BY zone", -20, 90),
            private("energy", "SELECT zone, n FROM energy.kwh ORDER BY zone", 0, 100),
        ],
        nodes,
        releases: vec![Release {
            name: "released".into(),
            frame: FrameId(0),
            rows: None,
            by: vec![(ScanId(0), 0)],
            cells: vec![Cell { keys: vec![], openings }],
            exists: Existence::NonZero(2),
            noise: Vec::new(),
            columns,
        }],
        relations: vec![],
        rows: vec![],
        answer: subplan(
            "SELECT borough, n * 10 AS n, s, x FROM released ORDER BY borough",
            &[("released", released)].into_iter().collect(),
        ),
        reveals: vec![Reveal { release: 0, what: "COUNT(*)".into(), per: "each borough".into(), why: "COUNT(*)".into() }],
        network: Default::default(),
        decided: Vec::new(),
        protection: None,
    }
}

type Expected = Vec<(String, i64, i64, i64)>;

fn expected() -> Expected {
    let of = |borough: &str| {
        let zones = || (0..ZONES).filter(move |z| ["Bronx", "Queens", "Brooklyn"][z % 7 % 3] == borough);
        let kept = |z: &usize| trips(*z) < kwh(*z) && z.is_multiple_of(2);
        let exists = zones().any(|z| (trips(z) == kwh(z) || z % 2 == 0) && trips(z) < kwh(z));
        let s: i64 = zones().filter(kept).map(trips).sum();
        let x: i64 = zones().map(|z| 2 * if kept(&z) { trips(z) * kwh(z) } else { 0 } - trips(z) * kwh(z) + 3 * trips(z)).sum();
        exists.then(|| (borough.to_string(), zones().filter(kept).count() as i64 * 10, s, x))
    };
    ["Bronx", "Brooklyn", "Queens"].iter().filter_map(|b| of(b)).collect()
}

fn rows(batch: &RecordBatch) -> Expected {
    let names = batch.column(0).as_string::<i32>();
    let numbers = |c: usize| batch.column(c).as_primitive::<Int64Type>();
    (0..batch.num_rows()).map(|r| (names.value(r).to_string(), numbers(1).value(r), numbers(2).value(r), numbers(3).value(r))).collect()
}

#[test]
fn a_plan_by_hand_gives_the_same_answer_in_clear_and_among_three_parties_at_the_stated_cost() {
    let tables = tables();
    let plan = plan(&tables);
    let local = Local::new(64 << 20).expect("a runtime");
    let ground = Ground::new(&plan, &local, &tables).expect("the public part is right");
    let inputs: Vec<Inputs> = PARTIES
        .iter()
        .map(|p| local.at_home(&plan, p, &ground, &tables).and_then(|home| home.inputs(&plan)).expect("the data are right"))
        .collect();

    let mut pooled = Inputs::default();
    inputs.iter().for_each(|i| pooled.extend(i.clone()));
    let program = Program::new(&plan, &ground).expect("the plan is executable");
    let parts = joint::plain(&program, 0, &owner, &pooled).expect("the clear engine does not abort");
    let answer = finish(&plan, &ground, &local, &[("all".into(), parts)]).expect("an answer");
    assert_eq!(rows(&answer), expected());

    let ran = World::new(3, 7).run_ok(|session| {
        let me = session.me().index();
        let mut engine = Rep3::new(session);
        let mut trace = Trace::new();
        let parts =
            joint::rep3(&program, &mut engine, &owner, &inputs[me], &mut |e: &Rep3, step| trace.mark(program.steps(), step, e.meter()))?;
        Ok((wire::encode(&plan, &parts).expect("three-party parts"), trace.into_measured()))
    });
    let mut parts: Vec<(String, Vec<Part>)> = Vec::new();
    for (name, ((bytes, _), _)) in PARTIES.iter().zip(&ran) {
        assert_eq!(bytes.len(), wire::release_bytes(&plan, &ground));
        parts.push((name.to_string(), wire::decode(bytes, &plan, &ground).expect("what was encoded")));
    }
    let answer = finish(&plan, &ground, &local, &parts).expect("an answer");
    assert_eq!(rows(&answer), expected());

    // the price list is exact, step by step
    let prices = price(&program, &PARTIES).expect("a price");
    for (party, ((_, measured), meter)) in ran.iter().enumerate() {
        assert_eq!(measured.len(), program.steps().len());
        for (price, measured) in prices.iter().zip(measured) {
            assert!(price.is_exact);
            assert_eq!((price.cost.rounds, price.cost.bytes[party]), (measured.rounds, measured.bytes), "{}", measured.operator);
        }
        assert_eq!(meter.rounds, prices.iter().map(|p| p.cost.rounds).sum::<u64>());
        assert_eq!(meter.bits, prices.iter().map(|p| p.cost.bits[party]).sum::<u64>());
    }
    let explained = explain(&plan, &tables, &PARTIES).expect("an explanation");
    let measured: Vec<_> = PARTIES.iter().zip(&ran).map(|(p, ((_, m), _))| (p.to_string(), m.clone())).collect();
    assert_eq!(explained.bytes(), (0..3).map(|p| ran[p].1.bytes).collect::<Vec<_>>());
    let text = explained.analyze(&measured).to_string();
    for needle in ["transport.trips", "shares transport.n", "8 bits and Fp61", "Reveals", "COUNT(*), for each borough", "measured rounds"] {
        assert!(text.contains(needle), "{needle} is missing in\n{text}");
    }
    // in all: the bytes of the party that sent most, which is not the same one in every step
    let most = (0..3).map(|p| ran[p].1.bytes).max().expect("three parties").to_string();
    let total = text.lines().find(|line| line.trim_start().starts_with("total")).expect("a total");
    assert_eq!(total.split_whitespace().nth(6), Some(most.as_str()), "{text}");

    // one party's copy changed
    for byte in [1, 30] {
        let mut forged: Vec<(String, Vec<Part>)> = Vec::new();
        for (p, (name, ((bytes, _), _))) in PARTIES.iter().zip(&ran).enumerate() {
            let mut bytes = bytes.clone();
            if p == 1 {
                bytes[byte] ^= 1;
            }
            forged.push((name.to_string(), wire::decode(&bytes, &plan, &ground).expect("still canonical")));
        }
        let refused = reconstruct(&plan, &ground, &forged);
        assert!(matches!(&refused, Err(FinishError::Disagree(a, b)) if a == "energy" || b == "energy"));
    }
    let bytes = &ran[0].0.0;
    assert!(wire::decode(&bytes[1..], &plan, &ground).is_none());
    assert!(wire::decode(&[bytes.as_slice(), &[0]].concat(), &plan, &ground).is_none());
    let mut twice = bytes.clone();
    twice[0] = 9;
    assert!(wire::decode(&twice, &plan, &ground).is_none());
    parts.pop();
    parts.pop();
    assert!(matches!(reconstruct(&plan, &ground, &parts), Err(FinishError::Incomplete(_))));
}

#[test]
fn data_that_break_the_plan_are_refused_without_showing_a_value() {
    let tables = tables();
    let plan = plan(&tables);
    let local = Local::new(64 << 20).expect("a runtime");
    let ground = Ground::new(&plan, &local, &tables).expect("the public part is right");
    let with = |zones: Vec<i32>, n: Vec<i128>| {
        let mut changed = tables.clone();
        let n = Decimal128Array::from(n).with_precision_and_scale(38, 0).expect("38 digits are allowed");
        changed.insert("transport.trips", memory(vec![("zone", Arc::new(Int32Array::from(zones)) as ArrayRef), ("n", Arc::new(n))]));
        local.at_home(&plan, "transport", &ground, &changed).err().expect("must be refused").to_string()
    };
    let good: Vec<i32> = (0..ZONES as i32).collect();
    let mut values = vec![0; ZONES];
    values[3] = 4711;
    let range = with(good.clone(), values);
    assert!(range.contains("transport.n") && range.contains("-20 to 90") && !range.contains("4711"), "{range}");
    let twice = with(good.iter().copied().chain([5]).collect(), vec![0; ZONES + 1]);
    assert!(twice.contains("more than one row"), "{twice}");
    let mut stranger = good.clone();
    stranger[69] = 4711;
    let stranger = with(stranger, vec![0; ZONES]);
    assert!(stranger.contains("are not the rows of zones.zone") && !stranger.contains("4711"), "{stranger}");
    let mut changed = tables.clone();
    changed.insert("transport.trips", memory(vec![("zone", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]));
    let schema = local.at_home(&plan, "transport", &ground, &changed).err().expect("must be refused").to_string();
    assert!(schema.contains("transport.trips") && schema.contains("catalogue"), "{schema}");
    let missing = local.at_home(&plan, "transport", &ground, &Tables::new()).err().expect("must be refused").to_string();
    assert!(missing.contains("transport.trips is not loaded"), "{missing}");
}
