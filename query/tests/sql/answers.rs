//! Whole queries. Each is answered three times: by the joint stage on the clear engine, by three parties over a network in memory,
//! and by DataFusion on the pooled tables. All three are equal, and what the three parties' meters show is what EXPLAIN said.

mod city;
mod generated;
mod queries;
mod shapes;
mod ugly;

use super::pool::{is_held, total};
use city::{City, PARTIES};
use mpc_core::PartyId;
use mpc_core::world::World;
use protocols::Rep3;
use query::exec::Program;
use query::explain::{explain, price};
use query::finish::finish;
use query::ground::Ground;
use query::local::{Inputs, Local};
use query::oracle::{Tolerance, compare};
use query::trace::Trace;
use query::wire;

/// Answers one query every way; what differs is said.
pub fn check(city: &City, local: &Local, sql: &str) -> Result<(), String> {
    let plan = query::compile::compile(sql, &city.catalog).map_err(|e| format!("does not compile: {e}"))?;
    let expected = city.oracle.answer(sql).map_err(|e| format!("in clear: {e}"))?;
    let ground = Ground::new(&plan, local, &city.at("public")).map_err(|e| e.to_string())?;
    let program = Program::new(&plan, &ground).map_err(|e| e.to_string())?;
    let owner = |name: &str| PARTIES.iter().position(|p| *p == name).map(|p| PartyId(p as u8));
    let inputs =
        |party: &&str| local.at_home(&plan, party, &ground, &city.at(party)).and_then(|home| home.inputs(&plan)).map_err(|e| e.to_string());
    let inputs: Vec<Inputs> = PARTIES.iter().map(inputs).collect::<Result<_, _>>()?;
    let tolerance = Tolerance { ordered: ordered(sql), ..Tolerance::default() };

    let mut pooled = Inputs::default();
    inputs.iter().for_each(|i| pooled.extend(i.clone()));
    let parts = joint::plain(&program, 0, &owner, &pooled).map_err(|e| e.to_string())?;
    let answer = finish(&plan, &ground, local, &[("everyone".into(), parts)]).map_err(|e| format!("clear engine: {e}"))?;
    compare(&expected, &answer, tolerance).map_err(|e| format!("clear engine: {e}"))?;

    let outcomes = World::new(3, 1).run(|session| {
        let me = session.me().index();
        let mut engine = Rep3::new(session);
        let mut trace = Trace::new();
        let parts =
            joint::rep3(&program, &mut engine, &owner, &inputs[me], &mut |e: &Rep3, step| trace.mark(program.steps(), step, e.meter()))?;
        Ok((wire::encode(&plan, &parts), trace.into_measured()))
    });
    let prices = price(&program, &PARTIES).map_err(|e| e.to_string())?;
    let mut parts = Vec::new();
    for (party, outcome) in outcomes.into_iter().enumerate() {
        let (bytes, measured) = outcome.result.map_err(|e| format!("{}: {e}", PARTIES[party]))?;
        let bytes = bytes.ok_or("not three-party parts")?;
        if bytes.len() != wire::release_bytes(&plan, &ground) {
            return Err("the release has another length than the plan says".into());
        }
        parts.push((PARTIES[party].to_string(), wire::decode(&bytes, &plan, &ground).ok_or("the release cannot be decoded")?));
        let (stated, meter) = (total(&prices), outcome.meter);
        if !is_held(&stated, party, (meter.rounds, meter.bytes)) || (stated.is_exact && meter.bits != stated.cost.bits[party]) {
            return Err(format!("EXPLAIN says {stated:?}; the meter says {meter:?}"));
        }
        for (price, measured) in prices.iter().zip(&measured) {
            if !is_held(price, party, (measured.rounds, measured.bytes)) {
                return Err(format!("EXPLAIN ANALYZE: {measured:?} is priced {price:?}"));
            }
        }
    }
    let answer = finish(&plan, &ground, local, &parts).map_err(|e| format!("three parties: {e}"))?;
    compare(&expected, &answer, tolerance).map_err(|e| format!("three parties: {e}"))?;
    let text = explain(&plan, &city.at("public"), &PARTIES).map_err(|e| e.to_string())?.to_string();
    if std::env::var_os("SHOW_EXPLAIN").is_some() {
        eprintln!("{sql}\n\n{text}");
    }
    if plan.reveals.is_empty() { Err("EXPLAIN lists nothing under Reveals".into()) } else { Ok(()) }
}

/// Whether the query's own last clause is ORDER BY.
fn ordered(sql: &str) -> bool {
    sql.rfind("ORDER BY").is_some_and(|at| !sql[at..].contains(')') && !sql[at..].contains("FROM"))
}

/// Checks all queries, and reports all that fail.
pub fn check_all<'a>(queries: impl IntoIterator<Item = &'a str>) {
    let city = City::new();
    let local = Local::new(256 << 20).expect("a runtime");
    let mut failures = Vec::new();
    let mut checked = 0;
    for sql in queries {
        checked += 1;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&city, &local, sql)));
        let result = result.unwrap_or_else(|_| Err("panicked".into()));
        if let Err(what) = result {
            failures.push(format!("{}\n  → {what}", sql.trim()));
        }
    }
    assert!(failures.is_empty(), "{} of {checked} queries fail:\n\n{}", failures.len(), failures.join("\n\n"));
}
