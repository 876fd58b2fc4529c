//! What rows, places and numbers of groups are used for on the way to an aggregate: beside what comes out, it is allowed by itself.

use super::denials::asked;
use super::*;
use Operation::{Avg, Count, CountDistinct, Filter, Group, Join, Max, Median, Order, Release, Sum};

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

#[test]
fn what_is_one_for_each_group_counts_the_groups() {
    for one in ["MAX(1)", "MIN(1)", "SUM(DISTINCT 1)", "CAST(BOOL_OR(TRUE) AS INT)", "MAX(CASE WHEN poor THEN 1 ELSE 0 END)"] {
        let sql = format!("SELECT zone, SUM(n) AS x FROM (SELECT zone, {one} AS n FROM energy.meters GROUP BY zone, peak) q GROUP BY zone");
        let rest: [(&str, &[Operation]); 3] = [("*", &[Count]), ("poor", &[Filter, Max]), ("zone", &[Group])];
        denied(Terms(&rest, &[]), &[&sql]);
        allowed(Terms(&[&rest[..], &[("peak", &[Group])]].concat(), &[]), &[&sql]);
    }
    let counted = [
        "SELECT COUNT(k) AS n FROM (SELECT DISTINCT peak AS k, zone FROM energy.meters) q",
        "SELECT COUNT(k) AS n FROM (SELECT DISTINCT kwh AS k FROM energy.meters) q",
    ];
    denied(Terms(&[("peak", &[Count]), ("kwh", &[Count])], &[]), &counted);
    allowed(Terms(&[("peak", &[CountDistinct]), ("kwh", &[Count, CountDistinct]), ("zone", &[CountDistinct])], &[]), &counted);
    let groups = "(SELECT SUM(peak) FILTER (WHERE poor) AS s FROM energy.meters GROUP BY resident) q";
    for of in ["COUNT(s)", "SUM(CASE WHEN s IS NOT NULL THEN 1 ELSE 0 END)", "AVG(s)"] {
        let sql = format!("SELECT {of} AS x FROM {groups}");
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum, Avg]), ("poor", &[Filter])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum, Avg]), ("poor", &[Filter]), ("resident", &[Group])], &[]), &[&sql]);
    }
    let groups = "(SELECT SUM(peak) AS s, COUNT(*) AS n FROM energy.meters GROUP BY peak) q";
    for sql in [
        format!("SELECT SUM(CASE WHEN s IS NULL THEN s ELSE 1 END) AS x FROM {groups}"),
        format!("SELECT SUM(CASE WHEN n < 0 THEN n ELSE 1 END) AS x FROM {groups}"),
        format!("SELECT SUM(COALESCE(s, 1)) AS x FROM {groups}"),
        format!("SELECT SUM(s) AS x FROM (SELECT s FROM {groups} UNION ALL SELECT 1 FROM {groups}) r"),
    ] {
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum, Group])], &[]), &[&sql]);
    }
    for part in ["COALESCE(s, 0)", "CASE WHEN s IS NULL THEN 0 ELSE s END"] {
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum])], &[]), &[&format!("SELECT SUM({part}) AS x FROM {groups}")]);
    }
}

#[test]
fn a_sum_beside_other_groups_is_taken_once_for_each_of_them() {
    let sums = "(SELECT zone, SUM(peak) AS s FROM energy.meters GROUP BY zone) q";
    let meters: Allowed<'_> = &[("peak", &[Sum]), ("zone", &[Group])];
    let beside = |other: &str| format!("SELECT q.zone, SUM(q.s) AS x FROM {sums} {other} GROUP BY q.zone");
    for other in [
        "JOIN (SELECT DISTINCT zone, resident FROM energy.meters) r ON r.zone = q.zone",
        "CROSS JOIN (SELECT DISTINCT resident FROM energy.meters) r",
    ] {
        denied(Terms(meters, &[]), &[&beside(other)]);
        allowed(Terms(&[meters, &[("resident", &[Group])]].concat(), &[]), &[&beside(other)]);
    }
    let theirs = beside("CROSS JOIN (SELECT DISTINCT ward FROM health.stays) r");
    denied(Terms(meters, &[("*", &[Count])]), &[&theirs]);
    allowed(Terms(meters, &[("*", &[Count]), ("ward", &[Group])]), &[&theirs]);
}

#[test]
fn how_many_different_values_there_are_of_two_says_which_are_equal() {
    let sets: &[(&str, Allowed<'_>, Allowed<'_>)] = &[
        ("SELECT COUNT(DISTINCT v) AS n FROM (SELECT peak AS v FROM energy.meters UNION ALL SELECT 313) q", &[("peak", &[Filter])], &[]),
        ("SELECT COUNT(DISTINCT COALESCE(kwh, 313)) AS n FROM energy.meters", &[("kwh", &[Filter])], &[]),
        ("SELECT SUM(DISTINCT COALESCE(kwh, 313)) AS n FROM energy.meters", &[("kwh", &[Filter])], &[]),
        ("SELECT COUNT(DISTINCT CASE WHEN poor THEN 77 ELSE peak END) AS n FROM energy.meters", &[("peak", &[Filter])], &[]),
        ("SELECT COUNT(*) AS n FROM (SELECT peak FROM energy.meters UNION SELECT zone FROM public.zones) q", &[("peak", &[Join])], &[]),
        (
            "SELECT COUNT(DISTINCT v) AS n FROM (SELECT resident AS v FROM energy.meters UNION ALL SELECT resident FROM health.stays) q",
            &[("resident", &[Join])],
            &[("resident", &[Join])],
        ),
        (
            "SELECT COUNT(*) AS n FROM (SELECT resident FROM energy.meters UNION SELECT resident FROM health.stays) q",
            &[("resident", &[Join])],
            &[("resident", &[Join])],
        ),
    ];
    let least: Allowed<'_> =
        &[("*", &[Count]), ("kwh", &[Sum, CountDistinct]), ("peak", &[CountDistinct]), ("poor", &[Filter]), ("resident", &[CountDistinct])];
    let stays: Allowed<'_> = &[("*", &[Count]), ("resident", &[CountDistinct])];
    // one column's operations together
    let with = |some: Allowed<'_>, more: Allowed<'_>| -> Vec<(String, Vec<Operation>)> {
        let also = |name: &str| more.iter().filter(|(of, _)| *of == name).flat_map(|(_, of)| of.iter().copied()).collect::<Vec<_>>();
        some.iter().map(|(name, of)| ((*name).to_owned(), [of.to_vec(), also(name)].concat())).collect()
    };
    for (sql, more, theirs) in sets {
        denied(Terms(least, stays), &[sql]);
        let (meters, stays) = (with(least, more), with(stays, theirs));
        let given = |of: &[(String, Vec<Operation>)]| of.iter().map(|(name, of)| (name.clone(), of.iter().copied().collect())).collect();
        let contracts = [contract("energy.meters", given(&meters)), contract("health.stays", given(&stays))];
        asked(sql, &contracts, |_| {}).map(drop).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    for one in ["peak", "peak * 2 + 1", "CASE WHEN poor THEN peak END"] {
        allowed(Terms(least, &[]), &[&format!("SELECT COUNT(DISTINCT {one}) AS n FROM energy.meters")]);
        let met = format!("SELECT COUNT(DISTINCT {one}) AS n FROM energy.meters m JOIN health.stays h ON h.resident = m.resident");
        allowed(Terms(&[least, &[("resident", &[Join])]].concat(), &[("resident", &[Join])]), &[&met]);
    }
}

#[test]
fn a_percentile_is_ordered_by_what_it_is_of() {
    for of in ["PERCENTILE_CONT(0.9)", "PERCENTILE_DISC(0.9)"] {
        let sql = format!("SELECT {of} WITHIN GROUP (ORDER BY kwh) AS x FROM energy.meters");
        allowed(Terms(&[("kwh", &[Median])], &[]), &[&sql]);
        denied(Terms(&[("kwh", &[Sum, Order])], &[]), &[&sql]);
    }
}

/// As those of a public table are, whichever of them is joined on.
#[test]
fn the_columns_of_a_list_are_known_together() {
    for (list, by) in [("(VALUES (1, 11), (2, 12)) v(id, nr)", "v.nr"), ("(SELECT 1 AS id UNION ALL SELECT 2) v", "v.id")] {
        let sql = format!("SELECT {by}, SUM(m.peak) AS s FROM energy.meters m JOIN {list} ON m.zone = v.id GROUP BY {by}");
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Join, Filter])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("zone", &[Group])], &[]), &[&sql]);
    }
}

#[test]
fn a_join_forms_the_groups_that_are_joined_and_no_others() {
    let groups = "(SELECT resident, SUM(peak) AS s, COUNT(*) AS n FROM energy.meters GROUP BY resident) q";
    let least: Allowed<'_> = &[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Join])];
    let stays: Allowed<'_> = &[("*", &[Count]), ("resident", &[Join])];
    let elsewhere = format!(
        "SELECT SUM(s) AS s, (SELECT COUNT(*) FROM energy.meters m JOIN public.zones z ON z.zone = m.resident) AS o FROM {groups} WHERE n = 2"
    );
    denied(Terms(least, stays), &[&elsewhere]);
    allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Join, Group])], stays), &[&elsewhere]);
    for met in [
        format!("SELECT SUM(s) AS s FROM {groups} JOIN health.stays h ON h.resident = q.resident WHERE n = 2"),
        format!("SELECT SUM(s) AS s FROM {groups} WHERE n = 2 AND q.resident IN (SELECT resident FROM health.stays)"),
        "SELECT SUM(s) AS s FROM (SELECT m.resident, SUM(peak) AS s FROM energy.meters m JOIN health.stays h ON h.resident = m.resident \
         GROUP BY m.resident HAVING COUNT(*) = 2) q"
            .to_owned(),
    ] {
        allowed(Terms(least, stays), &[&met]);
    }
    // those of groups are groups of theirs
    let twice = "SELECT SUM(h.days) AS x FROM (SELECT resident, MAX(s) AS s FROM (SELECT resident, zone, SUM(peak) AS s FROM energy.meters \
                 GROUP BY resident, zone) p GROUP BY resident) q JOIN health.stays h ON h.resident = q.resident";
    let stays: Allowed<'_> = &[("*", &[Count]), ("days", &[Sum]), ("resident", &[Join])];
    allowed(Terms(&[("*", &[Count]), ("peak", &[Sum, Max]), ("resident", &[Join]), ("zone", &[Group])], stays), &[twice]);
    let beside = "SELECT SUM(q.s) AS x FROM (SELECT zone, SUM(peak) AS s FROM energy.meters GROUP BY zone) q \
                  CROSS JOIN (SELECT DISTINCT zone FROM energy.meters) r";
    denied(Terms(&[("peak", &[Sum])], &[]), &[beside]);
    allowed(Terms(&[("peak", &[Sum]), ("zone", &[Group])], &[]), &[beside]);
}

/// Sums of sums are sums of all groups, or of groups that may be seen.
#[test]
fn a_sum_of_some_groups_is_of_groups_whatever_chooses_them() {
    let at_home = "(SELECT resident, SUM(peak) AS s, MAX(peak) AS m, COUNT(*) AS n FROM energy.meters GROUP BY resident) q";
    let on_shares = "(SELECT resident, SUM(x) AS s, MAX(x) AS m, COUNT(*) AS n FROM (SELECT resident, peak AS x FROM energy.meters \
                     UNION ALL SELECT resident, days AS x FROM health.stays) u GROUP BY resident) q";
    let least: Allowed<'static> = &[("*", &[Count]), ("peak", &[Sum, Max])];
    let stays: Allowed<'static> = &[("*", &[Count]), ("days", &[Sum, Max])];
    let with = |of: Allowed<'static>, also: &'static [Operation]| [of, &[("resident", also)]].concat();
    // rows of two agencies that are grouped together meet
    for (groups, met, grouped) in [(at_home, &[][..], &[Group][..]), (on_shares, &[Join], &[Join, Group])] {
        let (meters, stays, grouped) = (with(least, met), with(stays, met), (with(least, grouped), with(stays, grouped)));
        let terms = Terms(&meters, &stays);
        for some in [
            "SUM(CASE WHEN n = 2 THEN s END)",
            "SUM(CASE WHEN n > 2 THEN 0 ELSE s END)",
            "SUM(CASE WHEN NOT (n < 2) THEN s END)",
            "SUM(s) FILTER (WHERE n = 2)",
            "MAX(CASE WHEN n = 2 THEN m END)",
            "MAX(m) FILTER (WHERE n BETWEEN 2 AND 3)",
            "SUM(CASE WHEN s > 50 THEN s END)",
            "SUM(n) FILTER (WHERE s > 50)",
            "COUNT(*) FILTER (WHERE n = 2)",
            "COUNT(CASE WHEN n = 2 THEN 1 END)",
            "AVG(CASE WHEN n = 2 THEN 1 ELSE 0 END)",
            // of two agencies nothing of it is NULL
            "SUM(s) FILTER (WHERE m IS NOT NULL)",
            "SUM(CASE WHEN m IS NULL THEN 0 ELSE s END)",
        ] {
            if some.contains("NULL") && groups == on_shares {
                continue;
            }
            let sql = format!("SELECT {some} AS x FROM {groups}");
            denied(terms, &[&sql]);
            allowed(Terms(&grouped.0, &grouped.1), &[&sql]);
        }
        for all in ["SUM(s)", "MAX(m)", "SUM(n)", "SUM(COALESCE(s, 0))"] {
            allowed(terms, &[&format!("SELECT {all} AS x FROM {groups}")]);
        }
    }
    let counted = with(least, &[CountDistinct]);
    allowed(Terms(&counted, stays), &[&format!("SELECT COUNT(*) AS x FROM {at_home}"), &format!("SELECT COUNT(s) AS x FROM {at_home}")]);
    for chosen in ["COUNT(*) FILTER (WHERE n = 2)", "COUNT(CASE WHEN (CASE WHEN n = 2 THEN s END) IS NULL THEN 0 END)"] {
        denied(Terms(&counted, stays), &[&format!("SELECT {chosen} AS x FROM {at_home}")]);
    }
}

/// Literals of both signs make of a sum any number that it is compared with.
#[test]
fn whether_a_sum_over_groups_is_positive_is_asked_of_the_groups() {
    let weighed = "(SELECT SUM(v) AS c, SUM(s) AS s FROM (SELECT zone, 1 AS v, SUM(peak) AS s FROM energy.meters GROUP BY zone, resident \
                   UNION ALL SELECT zone, -2 AS v, SUM(peak) AS s FROM energy.meters GROUP BY zone) u GROUP BY zone) q";
    let groups = "(SELECT zone, COUNT(*) AS n FROM energy.meters GROUP BY zone) g";
    for sql in [
        format!("SELECT SUM(CASE WHEN c > 0 THEN s END) AS x FROM {weighed}"),
        format!("SELECT SUM(s) FILTER (WHERE 0 < c) AS x FROM {weighed}"),
        format!(
            "SELECT SUM(peak) AS x FROM energy.meters WHERE (SELECT SUM(v) FROM (SELECT 1 AS v FROM {groups} UNION ALL SELECT -10) u) > 0"
        ),
        format!("SELECT SUM(peak) AS x FROM energy.meters WHERE (SELECT COUNT(*) FILTER (WHERE n = 2) FROM {groups}) > 0"),
    ] {
        denied(Terms(&[("*", &[Count]), ("peak", &[Sum])], &[]), &[&sql]);
        allowed(Terms(&[("*", &[Count]), ("peak", &[Sum]), ("resident", &[Group]), ("zone", &[Group])], &[]), &[&sql]);
    }
}
