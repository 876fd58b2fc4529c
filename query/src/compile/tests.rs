mod bound;
mod generated;
mod questions;
mod refused;
mod rows;
mod total;

use super::*;

fn nyc() -> Catalog {
    Catalog::parse(include_str!("tests/nyc.toml")).expect("the catalogue of these tests is sound")
}

#[track_caller]
fn plan(sql: &str) -> Plan {
    compile(sql, &nyc()).unwrap_or_else(|e| panic!("{sql}\n{e}"))
}
