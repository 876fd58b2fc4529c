//! What rows, places and numbers of groups are used for on the way to an aggregate: beside what comes out, it is allowed by itself.

use super::denials::asked;
use super::*;
use Operation::{Count, Filter, Group, Join, Max, Order, Release, Sum};

/// What contracts for `energy.meters` and `health.stays` allow.
#[derive(Clone, Copy)]
struct Terms<'a>(Allowed<'a>, Allowed<'a>);

type Allowed<'a> = &'a [(&'a str, &'a [Operation])];

fn may(sql: &str, Terms(meters, stays): Terms<'_>) -> Result<(), String> {
    let of = |table: &str, of: Allowed<'_>| {
        contract(table, of.iter().map(|(name, of)| ((*name).to_owned(), of.iter().copied().collect())).collect())
    };
    asked(sql, &[of("energy.meters", meters), of("health.stays", stays)], |_| {}).map(drop).map_err(|denial| denial.to_string())
}

#[track_caller]
fn denied(terms: Terms<'_>, all: &[&str]) {
    all.iter().for_each(|sql| drop(may(sql, terms).expect_err(sql)));
}

#[track_caller]
fn allowed(terms: Terms<'_>, all: &[&str]) {
    all.iter().for_each(|sql| may(sql, terms).unwrap_or_else(|denial| panic!("{sql}\n{denial}")));
}

const NUMBERED: &str = "(SELECT peak, ROW_NUMBER() OVER () AS rn FROM energy.meters) q";

#[test]
fn a_place_in_no_order_is_matched_by_nobody() {
    for met in [
        "JOIN public.zones z ON z.zone = q.rn",
        "JOIN public.zones z ON z.zone = q.rn WHERE z.zone = 3",
        "JOIN (VALUES (3)) v(id) ON v.id = q.rn",
        "LEFT JOIN public.zones z ON z.zone = q.rn WHERE z.zone IS NULL",
        "WHERE rn IN (SELECT zone FROM public.zones WHERE zone = 3)",
    ] {
        let sql = format!("SELECT SUM(q.peak) AS s FROM {NUMBERED} {met}");
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum, Order, Filter, Group])], &[]), &[&sql]);
    }
    for place in ["RANK() OVER (ORDER BY 1)", "NTILE(500) OVER ()", "COUNT(*) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"] {
        let sql = format!(
            "SELECT z.zone, SUM(q.peak) AS s FROM (SELECT peak, {place} AS rn FROM energy.meters) q JOIN public.zones z ON z.zone = q.rn GROUP BY z.zone"
        );
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum, Order, Filter, Group])], &[]), &[&sql]);
    }
}

#[test]
fn what_is_computed_of_a_column_and_matched_compares_it() {
    let matched = [
        "FROM energy.meters m JOIN public.zones z ON CASE WHEN m.resident = 1234 THEN 1 ELSE 2 END = z.zone WHERE z.zone = 1",
        "FROM energy.meters m JOIN public.zones z ON m.resident - 16 = z.zone WHERE z.zone = 1",
        "FROM energy.meters m JOIN public.zones z ON m.resident % 20 = z.zone",
        "FROM energy.meters m WHERE m.resident - 16 IN (SELECT zone FROM public.zones)",
        "FROM energy.meters m WHERE m.resident - 16 NOT IN (SELECT zone FROM public.zones)",
        "FROM energy.meters m WHERE m.resident - 16 = ANY (SELECT zone FROM public.zones)",
        "FROM energy.meters m JOIN health.stays h ON m.resident - 16 = h.resident",
        "FROM energy.meters m JOIN health.stays h ON m.resident * m.resident = h.resident",
        "FROM energy.meters m JOIN health.stays h ON m.resident - m.resident + 17 = h.resident",
    ];
    let stays: Allowed<'_> = &[("*", &[Count]), ("resident", &[Join, Filter])];
    for from in matched {
        let sql = format!("SELECT SUM(m.peak) AS s {from}");
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Join])], stays), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Join, Filter])], stays), &[&sql]);
    }
    let chosen = "SELECT SUM(CASE WHEN m.resident - 16 = z.zone THEN peak END) AS s FROM energy.meters m CROSS JOIN public.zones z";
    denied(Terms(&[("peak", &[Sum]), ("resident", &[Join])], &[]), &[chosen]);
    allowed(Terms(&[("peak", &[Sum]), ("resident", &[Join, Filter])], &[]), &[chosen]);
    let text = "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN public.zones z ON CAST(m.zone AS TEXT) = z.borough";
    allowed(Terms(&[("peak", &[Sum]), ("zone", &[Join])], &[]), &[text]);
}

#[test]
fn groups_are_joined_by_their_key_and_not_by_what_is_computed_of_it() {
    let sql = "SELECT COUNT(*) AS n FROM (SELECT resident AS r FROM energy.meters GROUP BY resident) q \
               JOIN public.zones z ON z.zone = q.r - q.r + 1";
    denied(Terms(&[("*", &[Count]), ("resident", &[Join])], &[]), &[sql]);
    let groups = "(SELECT SUM(peak) AS p, COUNT(*) AS n FROM energy.meters GROUP BY resident) r";
    for sql in [
        format!("SELECT z.zone, SUM(p) AS s FROM {groups} JOIN public.zones z ON z.zone = r.n GROUP BY z.zone"),
        format!("SELECT SUM(CASE WHEN z.zone = r.n THEN p END) AS s FROM {groups} CROSS JOIN public.zones z"),
        format!("SELECT SUM(p) AS s FROM {groups} CROSS JOIN public.zones z WHERE z.zone = r.n OR z.zone = r.n + 1"),
    ] {
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Group])], &[]), &[&sql]);
    }
}

/// A text is ordered by its digits: of which values it is the greatest depends on how long they are.
#[test]
fn the_greatest_of_numbers_as_texts_is_another() {
    let least = "SELECT MAX(CAST(peak + 9001 AS TEXT)) AS x FROM energy.meters";
    denied(Terms(&[("peak", &[Max])], &[]), &[least]);
    allowed(Terms(&[("peak", &[Max, Filter])], &[]), &[least]);
    allowed(Terms(&[("tariff", &[Max])], &[]), &["SELECT MAX(CAST(tariff AS TEXT)) AS x FROM energy.meters"]);
}

#[test]
fn what_is_equal_in_an_order_is_in_none() {
    let groups = "(SELECT zone, resident, SUM(peak) AS s FROM energy.meters GROUP BY zone, resident) g";
    for sql in [
        format!("SELECT SUM(s) AS x FROM (SELECT s FROM {groups} ORDER BY zone LIMIT 1 OFFSET 3) q"),
        format!("SELECT SUM(s) AS x FROM (SELECT s, ROW_NUMBER() OVER (ORDER BY zone) AS rn FROM {groups}) q WHERE rn = 3"),
        format!(
            "SELECT SUM(s) AS x FROM (SELECT s, ROW_NUMBER() OVER (PARTITION BY zone ORDER BY zone) AS rn FROM {groups}) q WHERE rn = 3"
        ),
        format!("SELECT SUM(v) AS x FROM (SELECT LAG(s) OVER (ORDER BY zone) AS v FROM {groups}) q"),
        format!("SELECT FIRST_VALUE(s ORDER BY zone) AS x FROM {groups}"),
    ] {
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Group])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Group]), ("resident", &[Group])], &[]), &[&sql]);
    }
    let first = "SELECT SUM(s) AS x FROM (SELECT zone, SUM(peak) AS s FROM energy.meters GROUP BY zone ORDER BY zone LIMIT 1) q";
    allowed(Terms(&[("peak", &[Sum]), ("zone", &[Group])], &[]), &[first]);
    // what one owner may order by puts the other's rows in none
    let theirs = "SELECT SUM(peak) AS x FROM (SELECT m.peak FROM energy.meters m CROSS JOIN health.stays h ORDER BY h.days LIMIT 1) q";
    denied(Terms(&[("*", &[Count]), ("peak", &[Sum])], &[("*", &[Count]), ("days", &[Order])]), &[theirs]);
    // a row that is looked up by a unique key follows from the one that it is looked up for
    let looked_up = |by: &str| {
        format!(
            "SELECT SUM(days) AS x FROM (SELECT h.days, ROW_NUMBER() OVER (ORDER BY {by}) AS rn FROM health.stays h \
             JOIN energy.meters m ON m.resident = h.resident WHERE m.poor) q WHERE rn = 3"
        )
    };
    let meters: Allowed<'_> = &[("*", &[Count]), ("peak", &[Order]), ("poor", &[Filter]), ("resident", &[Join])];
    let stays: Allowed<'_> = &[("*", &[Count]), ("days", &[Sum, Order]), ("resident", &[Join])];
    allowed(Terms(meters, stays), &[&looked_up("h.days")]);
    denied(Terms(meters, stays), &[&looked_up("m.peak")]);
    // what is equal has one rank
    let ranked = "SELECT m.peak, RANK() OVER (ORDER BY m.peak) AS r FROM energy.meters m JOIN health.stays h ON h.resident = m.resident";
    allowed(Terms(&[("peak", &[Release]), ("resident", &[Join])], &[("*", &[Count]), ("resident", &[Join])]), &[ranked]);
    // rows that are only looked for are none of the rows
    let among = "SELECT SUM(peak) AS x FROM (SELECT m.peak FROM energy.meters m WHERE m.resident IN (SELECT resident FROM health.stays) \
                 ORDER BY m.peak LIMIT 3) q";
    allowed(Terms(&[("*", &[Count]), ("peak", &[Sum, Order]), ("resident", &[Join])], &[("*", &[Count]), ("resident", &[Join])]), &[among]);
}

#[test]
fn a_place_in_no_order_is_counted_by_nobody() {
    let sql = format!("SELECT COUNT(CASE WHEN rn = 3 AND peak > 6 THEN 1 END) AS n FROM {NUMBERED}");
    denied(Terms(&[("*", &[Count]), ("peak", &[Filter, Order, Group])], &[]), &[&sql]);
}
