//! What is nobody's value, of a public table or of another's, beside private rows: it says which rows these are, and how many.

use super::denials::asked;
use super::*;
use Operation::{Avg, Corr, Count, CountDistinct, Group, Join, Release, Sum};

/// What a contract for `energy.meters` allows of the column.
type Allowed<'a> = &'a [(&'a str, &'a [Operation])];

fn allowed(sql: &str, of: Allowed<'_>) -> Result<(), String> {
    let columns = |of: Allowed<'_>| of.iter().map(|(name, of)| ((*name).to_owned(), of.iter().copied().collect())).collect();
    let stays = contract(
        "health.stays",
        columns(&[("*", &[Count]), ("resident", &[Join, Release, Group]), ("days", &[Release]), ("ward", &[Group])]),
    );
    asked(sql, &[contract("energy.meters", columns(of)), stays], |_| {}).map(drop).map_err(|denial| denial.to_string())
}

/// Each of these is needed, and all together are enough.
#[track_caller]
fn needs(sql: &str, all: Allowed<'_>) {
    allowed(sql, all).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    for left_out in 0..all.len() {
        let mut rest = all.to_vec();
        rest.remove(left_out);
        allowed(sql, &rest).expect_err(sql);
    }
}

const MET: &str = "FROM energy.meters m JOIN public.zones z ON z.zone = m.zone";

#[test]
fn a_public_value_beside_a_row_shows_what_it_was_matched_with() {
    for shown in ["z.zone", "z.borough", "z.zone > 5 AS far"] {
        let sql = format!("SELECT {shown} {MET}");
        allowed(&sql, &[("*", &[Count]), ("zone", &[Join])]).expect_err(&sql);
        // of each group how many
        needs(&sql, &[("*", &[Count]), ("zone", &[Group])]);
        needs(&sql, &[("*", &[Count]), ("zone", &[Join, Release])]);
        // beside what else the row has
        let sql = format!("SELECT m.peak, {shown} {MET}");
        allowed(&sql, &[("peak", &[Release]), ("zone", &[Group])]).expect_err(&sql);
        needs(&sql, &[("peak", &[Release]), ("zone", &[Join, Release])]);
    }
    for some in ["z.zone IN (SELECT zone FROM energy.meters)", "NOT EXISTS (SELECT 1 FROM energy.meters m WHERE m.zone = z.zone)"] {
        let sql = format!("SELECT z.borough FROM public.zones z WHERE {some}");
        allowed(&sql, &[("*", &[Count]), ("zone", &[Join])]).expect_err(&sql);
        needs(&sql, &[("*", &[Count]), ("zone", &[Group])]);
    }
    let theirs = "SELECT s.resident FROM health.stays s JOIN energy.meters m ON m.resident = s.resident";
    allowed(theirs, &[("*", &[Count]), ("resident", &[Join])]).expect_err("it is ours as well");
    needs(theirs, &[("*", &[Count]), ("resident", &[Join, Release])]);
}

#[test]
fn rows_that_come_out_are_counted() {
    for sql in [
        "SELECT z.zone FROM public.zones z CROSS JOIN energy.meters m",
        "SELECT s.days FROM health.stays s CROSS JOIN energy.meters m",
        "SELECT 1 AS one FROM energy.meters",
    ] {
        needs(sql, &[("*", &[Count])]);
    }
    let any = "SELECT DISTINCT t FROM (SELECT 1 AS t FROM energy.meters UNION ALL SELECT 0 FROM public.zones) q";
    needs(any, &[("*", &[Count])]);
    needs("SELECT s.days FROM health.stays s JOIN energy.meters m ON m.resident = s.resident", &[("*", &[Count]), ("resident", &[Join])]);
    needs(
        "SELECT m.peak FROM health.stays s JOIN energy.meters m ON m.resident = s.resident",
        &[("peak", &[Release]), ("resident", &[Join])],
    );
}

#[test]
fn an_aggregate_of_public_values_counts_the_rows_beside() {
    for of in [
        "SUM(z.zone)",
        "AVG(z.zone)",
        "MIN(z.zone)",
        "MAX(z.borough)",
        "VAR_POP(z.zone)",
        "COUNT(z.zone)",
        "SUM(z.zone * z.zone)",
        "SUM(CASE WHEN z.zone > 5 THEN z.zone END)",
    ] {
        needs(&format!("SELECT {of} AS x {MET}"), &[("*", &[Count]), ("zone", &[Join])]);
        // and in two steps
        needs(&format!("SELECT SUM(x) AS x FROM (SELECT SUM(z.zone) AS x {MET} GROUP BY m.zone) q"), &[("*", &[Count]), ("zone", &[Join])]);
        let ward = format!("SELECT s.ward, {of} AS x {MET} JOIN health.stays s ON s.resident = m.resident GROUP BY s.ward");
        needs(&ward, &[("*", &[Count]), ("zone", &[Join]), ("resident", &[Join])]);
        let crossed = format!("SELECT {of} AS x FROM energy.meters m CROSS JOIN public.zones z");
        needs(&crossed, &[("*", &[Count])]);
    }
    let test = |of: &str| format!("SELECT SUM(m.peak) AS x {MET} HAVING {of} > 20");
    for of in ["SUM(z.zone)", "MAX(z.zone)"] {
        needs(&test(of), &[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Join])]);
    }
    let different = test("COUNT(DISTINCT z.zone)");
    allowed(&different, &[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Join])]).expect_err("how many zones there are");
    needs(&different, &[("peak", &[Sum]), ("zone", &[Join, CountDistinct])]);
    needs(&different, &[("peak", &[Sum]), ("zone", &[Group])]);
    // beside a private value
    needs(&format!("SELECT SUM(m.peak * z.zone) AS x {MET}"), &[("peak", &[Sum]), ("zone", &[Join])]);
    needs(&format!("SELECT CORR(m.peak, z.zone) AS x {MET}"), &[("*", &[Count]), ("peak", &[Corr]), ("zone", &[Join])]);
}

#[test]
fn numbers_of_anothers_rows_count_the_rows_beside() {
    let groups = "(SELECT days, COUNT(*) AS n FROM health.stays GROUP BY days) s";
    let stays = contract("health.stays", [("*".to_owned(), [Count].into()), ("days".to_owned(), [Join, Group].into())].into());
    for sql in [
        format!("SELECT COUNT(*) AS x FROM energy.meters m JOIN {groups} ON s.days = m.peak"),
        format!("SELECT SUM(s.n) AS x FROM energy.meters m JOIN {groups} ON s.days = m.peak"),
        "SELECT COUNT(*) AS x FROM energy.meters m JOIN health.stays s ON s.days = m.peak".to_owned(),
    ] {
        let may = |of: Allowed<'_>| {
            let columns = of.iter().map(|(name, of)| ((*name).to_owned(), of.iter().copied().collect()));
            asked(&sql, &[contract("energy.meters", columns.collect()), stays.clone()], |_| {}).map(drop)
        };
        may(&[("peak", &[Join])]).expect_err(&sql);
        may(&[("*", &[Count]), ("peak", &[Join])]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
}

/// A mean opens how many values it is of: that is of its own column, if that may be NULL, and else of the rows.
#[test]
fn a_mean_that_is_compared_counts_its_values() {
    let of = |column: &str| {
        format!(
            "SELECT s.ward, SUM(m.peak) AS x FROM energy.meters m JOIN health.stays s ON s.resident = m.resident \
             GROUP BY s.ward HAVING AVG(m.{column}) > 3"
        )
    };
    needs(&of("kwh"), &[("kwh", &[Avg]), ("peak", &[Sum]), ("resident", &[Join])]);
    needs(&of("peak"), &[("*", &[Count]), ("peak", &[Avg, Sum]), ("resident", &[Join])]);
}
