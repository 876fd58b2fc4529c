//! The rows, as CSV.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind};
use std::path::Path;

use tpchgen::dates::TPCHDate;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, RegionGenerator,
    SupplierGenerator,
};

use super::catalog::Table;
use crate::error::DataError;

/// Writes a table; the number of its rows.
pub(super) fn write(table: &Table, scale: f64, path: &Path) -> Result<u64, DataError> {
    rows(table, scale, path).map_err(|source| DataError::Write { path: path.to_path_buf(), source })
}

struct Out {
    csv: csv::Writer<BufWriter<File>>,
    rows: u64,
}

impl Out {
    fn row<const N: usize>(&mut self, cells: [String; N]) -> Result<(), Error> {
        self.rows += 1;
        self.csv.write_record(&cells).map_err(Error::other)
    }
}

macro_rules! texts {
    ($($cell:expr),* $(,)?) => { [$($cell.to_string()),*] };
}

/// An ISO date: the generator's own text is that of its day.
fn day(date: TPCHDate) -> String {
    date.to_string()
}

fn rows(table: &Table, scale: f64, path: &Path) -> Result<u64, Error> {
    let mut out = Out { csv: csv::Writer::from_writer(BufWriter::new(File::create(path)?)), rows: 0 };
    out.csv.write_record(table.columns.iter().map(|c| c.name)).map_err(Error::other)?;
    match table.name {
        "customer" => {
            for r in CustomerGenerator::new(scale, 1, 1).iter() {
                let (address, balance, segment) = (r.c_address, r.c_acctbal, r.c_mktsegment);
                out.row(texts![r.c_custkey, r.c_name, address, r.c_nationkey, r.c_phone, balance, segment, r.c_comment])?;
            }
        }
        "orders" => {
            for r in OrderGenerator::new(scale, 1, 1).iter() {
                let (priority, clerk, comment) = (r.o_orderpriority, r.o_clerk, r.o_comment);
                let (status, total, date) = (r.o_orderstatus, r.o_totalprice, day(r.o_orderdate));
                out.row(texts![r.o_orderkey, r.o_custkey, status, total, date, priority, clerk, r.o_shippriority, comment])?;
            }
        }
        "lineitem" => {
            for r in LineItemGenerator::new(scale, 1, 1).iter() {
                let (ship, commit, receipt) = (day(r.l_shipdate), day(r.l_commitdate), day(r.l_receiptdate));
                out.row(texts![
                    r.l_orderkey,
                    r.l_partkey,
                    r.l_suppkey,
                    r.l_linenumber,
                    r.l_quantity,
                    r.l_extendedprice,
                    r.l_discount,
                    r.l_tax,
                    r.l_returnflag,
                    r.l_linestatus,
                    ship,
                    commit,
                    receipt,
                    r.l_shipinstruct,
                    r.l_shipmode,
                    r.l_comment,
                ])?;
            }
        }
        "part" => {
            for r in PartGenerator::new(scale, 1, 1).iter() {
                let (kind, price) = (r.p_type, r.p_retailprice);
                out.row(texts![r.p_partkey, r.p_name, r.p_mfgr, r.p_brand, kind, r.p_size, r.p_container, price, r.p_comment])?;
            }
        }
        "supplier" => {
            for r in SupplierGenerator::new(scale, 1, 1).iter() {
                out.row(texts![r.s_suppkey, r.s_name, r.s_address, r.s_nationkey, r.s_phone, r.s_acctbal, r.s_comment])?;
            }
        }
        "partsupp" => {
            // With only a few suppliers (scale factors far below 1) the specification's formula names one of them twice for some parts;
            // the second offer is left out, so that what the specification declares a key is one.
            let mut seen = HashSet::new();
            for r in PartSuppGenerator::new(scale, 1, 1).iter() {
                if seen.insert((r.ps_partkey, r.ps_suppkey)) {
                    out.row(texts![r.ps_partkey, r.ps_suppkey, r.ps_availqty, r.ps_supplycost, r.ps_comment])?;
                }
            }
        }
        "nation" => {
            for r in NationGenerator::new(scale, 1, 1).iter() {
                out.row(texts![r.n_nationkey, r.n_name, r.n_regionkey, r.n_comment])?;
            }
        }
        "region" => {
            for r in RegionGenerator::new(scale, 1, 1).iter() {
                out.row(texts![r.r_regionkey, r.r_name, r.r_comment])?;
            }
        }
        other => return Err(Error::new(ErrorKind::Unsupported, format!("TPC-H has no table {other}"))),
    }
    out.csv.flush()?;
    Ok(out.rows)
}
