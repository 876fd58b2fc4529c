//! Questions that single rows out, or compare, without saying so: what they need beside the aggregate around them.

use super::denials::{asked, meters};
use super::*;
use Operation::{CountDistinct, Filter, Group, Join, Max, Min, Order, Release, Sum};

/// Whether a contract that allows this of `peak` and of `resident` allows the question.
#[track_caller]
fn allowed(sql: &str, peak: &[Operation], resident: &[Operation]) -> Result<(), String> {
    let terms = meters(&[("*", &[Operation::Count]), ("peak", peak), ("resident", resident)]);
    asked(sql, &[terms], |_| {}).map(drop).map_err(|denial| denial.to_string())
}

#[track_caller]
fn needs(sql: &str, of: Operation) {
    allowed(sql, &[Sum], &[Join]).expect_err(sql);
    allowed(sql, &[Sum, of], &[Join]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
}

/// No operation of a contract allows it, but for RELEASE of the column itself.
#[track_caller]
fn needs_more(sql: &str) {
    let most: Vec<Operation> = Operation::ALL.into_iter().filter(|of| *of != Release).collect();
    allowed(sql, &most, &most).expect_err(sql);
}

#[test]
fn what_has_no_value_where_a_comparison_says_so_compares() {
    for sql in [
        "SELECT COUNT(*) AS n FROM energy.meters WHERE NULLIF(peak - 77, 0) IS NULL",
        "SELECT COUNT(NULLIF(peak - 77, 0)) AS n FROM energy.meters",
        "SELECT SUM(COALESCE(NULLIF(peak - 77, 0), 1000000)) AS s FROM energy.meters",
        "SELECT COUNT(*) AS n FROM energy.meters WHERE TRY_CAST(peak AS TINYINT) IS NULL",
        "SELECT COUNT(TRY_CAST(peak AS TINYINT)) AS n FROM energy.meters",
        "SELECT SUM(CAST(peak AS TINYINT)) AS n FROM energy.meters",
        "SELECT SUM(1.5 / NULLIF(peak - 77, 0)) AS n FROM energy.meters",
    ] {
        needs(sql, Filter);
    }
    let of_one = "SELECT SUM(peak) AS s FROM energy.meters WHERE NULLIF(resident - 17, 0) IS NULL";
    allowed(of_one, &[Sum], &[Join]).expect_err(of_one);
    allowed(of_one, &[Sum], &[Join, Filter]).expect("compared");
}

#[test]
fn what_is_rounded_is_compared() {
    for sql in [
        "SELECT SUM(peak / 50) AS s FROM energy.meters",
        "SELECT SUM(ROUND(peak / 50.0)) AS s FROM energy.meters",
        "SELECT SUM(CAST(CAST(peak AS DOUBLE) / 50 AS INT)) AS s FROM energy.meters",
    ] {
        needs(sql, Filter);
    }
    // What is rounded comes out.
    for sql in [
        "SELECT SUM(peak) / 50 AS s FROM energy.meters",
        "SELECT ROUND(SUM(peak) / 50.0, 1) AS s FROM energy.meters",
        "SELECT CAST(SUM(peak) AS DOUBLE) / NULLIF(COUNT(*), 0) AS s FROM energy.meters",
        "SELECT SUM(CAST(peak AS BIGINT) * 2) AS s FROM energy.meters",
    ] {
        allowed(sql, &[Sum], &[]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
}

#[test]
fn rows_are_chosen_by_their_place_in_an_order_that_one_may_ask_for() {
    for sql in [
        "SELECT SUM(peak) AS s FROM (SELECT peak FROM energy.meters ORDER BY peak LIMIT 1 OFFSET 3) m",
        "SELECT SUM(CASE WHEN rn = 3 THEN peak END) AS s FROM (SELECT peak, ROW_NUMBER() OVER (ORDER BY peak) AS rn FROM energy.meters) m",
        "SELECT SUM(peak) AS s FROM (SELECT peak, ROW_NUMBER() OVER (ORDER BY peak) AS rn FROM energy.meters) m WHERE rn = 3",
        "SELECT SUM(v) AS s FROM (SELECT FIRST_VALUE(peak ORDER BY peak) AS v FROM energy.meters) m",
        "SELECT SUM(v) AS s FROM (SELECT LAG(peak) OVER (ORDER BY peak) AS v FROM energy.meters) m",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN health.stays h ON h.resident = m.resident \
         WHERE m.resident IN (SELECT resident FROM energy.meters ORDER BY peak LIMIT 1)",
    ] {
        allowed(sql, &[Sum], &[Join, Filter]).expect_err(sql);
        let stays = contract("health.stays", [("resident".to_owned(), [Join].into())].into());
        let terms = meters(&[("*", &[Operation::Count]), ("peak", &[Sum, Order]), ("resident", &[Join, Filter])]);
        asked(sql, &[terms, stays], |_| {}).map(drop).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    // In no order, or in one of public values, it is the rows that are told apart.
    for sql in [
        "SELECT SUM(peak) AS s FROM (SELECT peak FROM energy.meters LIMIT 1 OFFSET 2) m",
        "SELECT COUNT(DISTINCT peak) AS s FROM (SELECT peak FROM energy.meters LIMIT 1 OFFSET 2) m",
        "SELECT SUM(peak) AS s FROM (SELECT peak FROM energy.meters ORDER BY 1 + 1 LIMIT 1 OFFSET 2) m",
        "SELECT SUM(CASE WHEN rn = 3 THEN peak END) AS s FROM (SELECT peak, ROW_NUMBER() OVER () AS rn FROM energy.meters) m",
        "SELECT SUM(peak) AS s FROM (SELECT peak, ROW_NUMBER() OVER () AS rn FROM energy.meters) m WHERE rn = 3",
        "SELECT COUNT(*) AS s FROM energy.meters WHERE peak = (SELECT peak FROM energy.meters LIMIT 1 OFFSET 2)",
        "SELECT SUM(v) AS s FROM (SELECT LAG(peak) OVER () AS v FROM energy.meters) m",
        "SELECT SUM(v) AS s FROM (SELECT FIRST_VALUE(peak) AS v FROM energy.meters) m",
        "SELECT SUM(peak) AS s FROM (SELECT m.peak FROM energy.meters m JOIN public.zones z ON z.zone = m.zone ORDER BY z.zone LIMIT 1) m",
        "SELECT SUM(s) AS s FROM (SELECT SUM(peak) AS s FROM energy.meters GROUP BY resident LIMIT 1) m WHERE s > 0 AND s < (SELECT SUM(peak) FROM (SELECT peak FROM energy.meters LIMIT 1) o)",
    ] {
        needs_more(sql);
    }
    // Of groups that may be seen any may be.
    let group = "SELECT SUM(s) AS s FROM (SELECT SUM(peak) AS s FROM energy.meters GROUP BY resident LIMIT 1) m";
    allowed(group, &[Sum], &[Join, Filter]).expect_err(group);
    allowed(group, &[Sum], &[Group]).expect("it may be seen");
    let ranked = "SELECT SUM(s) AS s FROM (SELECT SUM(peak) AS s FROM energy.meters GROUP BY resident ORDER BY s LIMIT 1) m";
    allowed(ranked, &[Sum], &[Join, Filter]).expect_err(ranked);
    allowed(ranked, &[Sum], &[Group]).expect("it may be seen");
}

#[test]
fn an_order_of_what_comes_out_needs_no_more() {
    for (sql, peak, resident) in [
        ("SELECT resident, SUM(peak) AS s FROM energy.meters GROUP BY resident ORDER BY s DESC LIMIT 3", &[Sum][..], &[Group][..]),
        ("SELECT resident, SUM(peak) AS s FROM energy.meters GROUP BY resident ORDER BY resident LIMIT 3", &[Sum], &[Group]),
        ("SELECT resident, SUM(peak) AS s FROM energy.meters GROUP BY resident LIMIT 3", &[Sum], &[Group]),
        ("SELECT resident, SUM(peak) AS s, RANK() OVER (ORDER BY SUM(peak)) AS r FROM energy.meters GROUP BY resident", &[Sum], &[Group]),
    ] {
        allowed(sql, peak, resident).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    let other = "SELECT resident, SUM(peak) AS s FROM energy.meters GROUP BY resident ORDER BY MAX(peak) LIMIT 3";
    allowed(other, &[Sum], &[Group]).expect_err("another aggregate");
    allowed(other, &[Sum, Max], &[Group]).expect("it might be shown");
}

#[test]
fn an_aggregate_over_a_part_of_the_rows_says_what_a_row_has() {
    for frame in ["ROWS BETWEEN CURRENT ROW AND CURRENT ROW", "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", "ORDER BY peak"] {
        let of_each = format!("SELECT COUNT(*) AS n FROM (SELECT SUM(peak) OVER ({frame}) AS v FROM energy.meters) q WHERE v > 100");
        allowed(&of_each, &[Sum, Order], &[Join]).expect_err(&of_each);
    }
    let ordered = "SELECT COUNT(*) AS n FROM (SELECT SUM(peak) OVER (ORDER BY peak) AS v FROM energy.meters) q WHERE v > 100";
    allowed(ordered, &[Sum, Order, Filter], &[]).expect("compared");
    let whole = "SELECT COUNT(*) AS n FROM (SELECT SUM(peak) OVER () AS v FROM energy.meters) q WHERE v > 100";
    allowed(whole, &[Sum], &[]).expect("the whole may be seen");
    let running = "SELECT resident, SUM(SUM(peak)) OVER (ORDER BY resident) AS s FROM energy.meters GROUP BY resident";
    allowed(running, &[Sum], &[Group]).expect("of groups that come out");
    needs_more("SELECT SUM(v) AS s FROM (SELECT SUM(peak) OVER (ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS v FROM energy.meters) q");
}

#[test]
fn what_the_question_brings_along_is_no_other_table() {
    for sql in [
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT column1 FROM (VALUES (17)) v)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN (VALUES (17)) v(id) ON m.resident = v.id",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN (SELECT 17 AS id) v ON m.resident = v.id",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN public.zones z ON m.resident = z.zone + 16 WHERE z.zone = 1",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident = (SELECT MAX(zone) * 3 FROM public.zones)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE EXISTS (SELECT 1 FROM (VALUES (17)) v(id) WHERE v.id = m.resident)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN health.stays h ON h.resident = m.resident JOIN (VALUES (17)) v(id) ON h.resident = v.id",
    ] {
        let stays = |of: &[Operation]| contract("health.stays", [("resident".to_owned(), of.iter().copied().collect())].into());
        let terms = |of: &[Operation]| meters(&[("*", &[Operation::Count]), ("peak", &[Sum]), ("resident", of)]);
        let may = |of: &[Operation]| asked(sql, &[terms(of), stays(of)], |_| {}).map(drop);
        may(&[Join]).expect_err(sql);
        may(&[Join, Filter]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    let public = "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN public.zones z ON m.resident = z.zone";
    allowed(public, &[Sum], &[Join]).expect("a table that is there");
    let listed = "SELECT v.id, SUM(m.peak) AS s FROM energy.meters m JOIN (VALUES (17), (18)) v(id) ON m.resident = v.id GROUP BY v.id";
    allowed(listed, &[Sum], &[Group]).expect("who may see all groups may list some");
}

/// Of what is in no permission beside the aggregate: each of these told a row's value, or a comparison of one.
#[test]
fn aggregates_of_parts_say_what_the_parts_are() {
    let denied = |peak: &[Operation], resident: &[Operation], sqls: &[&str]| {
        sqls.iter().for_each(|sql| drop(allowed(sql, peak, resident).expect_err(sql)));
    };
    // A window's aggregate is taken once for each row.
    denied(
        &[Sum],
        &[Join],
        &[
            "SELECT SUM(s) - SUM(w) AS x FROM (SELECT w, SUM(w) OVER (PARTITION BY v) AS s FROM (SELECT resident AS v, peak AS w FROM energy.meters UNION ALL SELECT 17, 0) q) r",
            "SELECT SUM(s) AS x FROM (SELECT COUNT(*) OVER (PARTITION BY resident = 17 AND kwh > 100) AS s FROM energy.meters) r",
            "SELECT SUM(c) AS x FROM (SELECT COUNT(*) OVER (PARTITION BY v) AS c FROM (SELECT peak AS v FROM energy.meters UNION ALL SELECT 77) q) r",
        ],
    );
    // Who is grouped by a comparison is compared.
    denied(
        &[Sum],
        &[Join],
        &[
            "SELECT SUM(s) AS x FROM (SELECT SUM(peak) AS s FROM energy.meters WHERE resident IN (SELECT zone FROM public.zones) GROUP BY resident = 17 HAVING COUNT(*) = 1) q",
            "SELECT SUM(s * s) AS x FROM (SELECT SUM(peak) AS s FROM energy.meters WHERE resident IN (SELECT zone FROM public.zones) GROUP BY resident = 17) q",
        ],
    );
    // What is computed of numbers of rows is no number of rows.
    denied(
        &[Sum],
        &[Join],
        &[
            "SELECT SUM(c * c) AS x FROM (SELECT COUNT(*) AS c FROM energy.meters GROUP BY resident = 17 AND peak > 50) r",
            "SELECT SUM(c * c) AS x FROM (SELECT COUNT(*) AS c FROM energy.meters GROUP BY peak) r",
            "SELECT SUM(c + 1) AS x FROM (SELECT COUNT(*) AS c FROM energy.meters GROUP BY peak) r",
            "SELECT SUM(c) AS x FROM (SELECT COUNT(DISTINCT 1) AS c FROM energy.meters GROUP BY peak) r",
            "SELECT SUM(c) AS x FROM (SELECT COUNT(DISTINCT z) AS c FROM (SELECT peak AS v, 1 AS z FROM energy.meters UNION ALL SELECT 77, 1) q GROUP BY v) r",
        ],
    );
    // Rows are equal in an order by what all of them have.
    denied(
        &[Sum],
        &[Join],
        &[
            "SELECT SUM(v) AS x FROM (SELECT peak AS v, SUM(peak) OVER () AS s FROM energy.meters ORDER BY s LIMIT 1 OFFSET 3) q",
            "SELECT SUM(v) AS x FROM (SELECT peak AS v, ROW_NUMBER() OVER (ORDER BY s) AS rn FROM (SELECT peak, SUM(peak) OVER () AS s FROM energy.meters) p) q WHERE rn = 3",
        ],
    );
    // The least and the greatest of what is computed, and how many of them there are.
    for (of, sql) in [
        (Operation::Min, "SELECT MIN((peak - 77) * (peak - 77)) AS x FROM energy.meters"),
        (Max, "SELECT MAX(0 - (peak - 77) * (peak - 77)) AS x FROM energy.meters"),
        (Operation::CountDistinct, "SELECT COUNT(DISTINCT (peak - 77) * (peak - 77)) AS x FROM energy.meters"),
    ] {
        allowed(sql, &[of], &[]).expect_err(sql);
        allowed(sql, &[of, Filter], &[]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    let turned = "SELECT MAX(peak * 2 + 1) AS x FROM energy.meters";
    allowed(turned, &[Max], &[]).unwrap_or_else(|denial| panic!("{turned}\n{denial}"));
    let doubled = "SELECT SUM(c * 2) AS x FROM (SELECT COUNT(*) AS c FROM energy.meters GROUP BY zone) r";
    allowed(doubled, &[], &[]).expect("as many rows, twice");
}

#[test]
fn what_is_computed_of_another_table_is_no_column_of_it() {
    let stays = contract("health.stays", [("resident".to_owned(), [Join].into()), ("ward".to_owned(), [Filter].into())].into());
    let may = |sql: &str, of: &[Operation]| {
        let terms = meters(&[("*", &[Operation::Count]), ("peak", &[Sum]), ("resident", of)]);
        asked(sql, &[terms, stays.clone()], |_| {}).map(drop)
    };
    for sql in [
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident = (SELECT MAX(h.resident) FROM health.stays h)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN health.stays h ON m.resident = h.resident - h.resident + 17",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN energy.meters b ON m.resident = b.resident - b.resident + 17",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN health.stays h ON m.resident = h.resident + 16",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT zone FROM public.zones UNION ALL SELECT 17)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN (SELECT COALESCE(b.zone, 17) AS id FROM public.zones a LEFT JOIN public.zones b ON a.zone = b.zone + 19) v ON m.resident = v.id",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT resident FROM health.stays WHERE ward = 'heart' AND ward = 'lung' UNION ALL SELECT 17)",
    ] {
        // what does not compile is not asked
        if compile(sql, &TOWN).is_ok() {
            may(sql, &[Join]).expect_err(sql);
        }
    }
    may("SELECT SUM(m.peak) AS s FROM energy.meters m JOIN health.stays h ON m.resident = h.resident", &[Join]).expect("a column");
    may("SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT resident FROM health.stays GROUP BY resident)", &[Join])
        .expect("a column's values");
}

/// With the other sign the greatest is the least.
#[test]
fn the_greatest_of_what_is_turned_is_the_least() {
    for value in ["-peak", "peak * -1", "0 - peak", "100 - peak * 2"] {
        let sql = format!("SELECT MAX({value}) AS x FROM energy.meters");
        allowed(&sql, &[Max], &[]).expect_err(&sql);
        allowed(&sql, &[Max, Filter], &[]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
        let total = format!("SELECT SUM({value}) AS x FROM energy.meters");
        allowed(&total, &[Sum], &[]).unwrap_or_else(|denial| panic!("{total}\n{denial}"));
    }
    let met = "SELECT MAX(m.peak * -1) AS x FROM energy.meters m JOIN health.stays h ON h.resident = m.resident";
    let stays = contract("health.stays", [("resident".to_owned(), [Join].into())].into());
    let may = |peak: &[Operation]| asked(met, &[meters(&[("peak", peak), ("resident", &[Join])]), stays.clone()], |_| {}).map(drop);
    may(&[Max]).expect_err("the least");
    may(&[Max, Filter]).expect("compared");
    // of the greatest of each the least
    for turned in ["-s", "s * -1", "0 - s"] {
        let sql = format!("SELECT MAX({turned}) AS x FROM (SELECT MAX(peak) AS s FROM energy.meters GROUP BY resident) q");
        allowed(&sql, &[Max], &[]).expect_err(&sql);
        allowed(&sql, &[Max], &[Group]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
}

#[test]
fn conditions_in_one_are_computed_of_each() {
    let stays = |of: &[Operation]| {
        contract("health.stays", [("resident".to_owned(), [Join].into()), ("urgent".to_owned(), of.iter().copied().collect())].into())
    };
    for fold in ["BOOL_OR", "BOOL_AND"] {
        let sql = format!("SELECT {fold}(m.poor AND h.urgent) AS x FROM energy.meters m JOIN health.stays h ON h.resident = m.resident");
        let may = |of: &[Operation]| asked(&sql, &[meters(&[("poor", of), ("resident", &[Join])]), stays(of)], |_| {}).map(drop);
        may(&[Max, Min]).expect_err(&sql);
        may(&[Max, Min, Filter]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
}

/// Beyond 2^53 a floating-point number has no room for what it was: as with a quotient of whole numbers, values fall together.
#[test]
fn what_a_literal_moves_out_of_precision_is_rounded() {
    for (of, sql) in [
        (CountDistinct, "SELECT COUNT(DISTINCT CAST(peak + 1152921504606846976 AS DOUBLE)) AS x FROM energy.meters"),
        (Max, "SELECT MAX(CAST(peak + 1152921504606846976 AS DOUBLE)) AS x FROM energy.meters"),
        (CountDistinct, "SELECT COUNT(DISTINCT CAST(peak * 0.000000000001 + 99999.0 AS DOUBLE)) AS x FROM energy.meters"),
    ] {
        allowed(sql, &[of], &[]).expect_err(sql);
        allowed(sql, &[of, Filter], &[]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
    let near = "SELECT VAR_POP(peak * 2 + 1) AS x FROM energy.meters";
    allowed(near, &[Operation::Var], &[]).unwrap_or_else(|denial| panic!("{near}\n{denial}"));
}

#[test]
fn the_multiple_of_a_public_value_is_no_value_of_the_table() {
    for sql in [
        "SELECT SUM(m.peak) AS s FROM energy.meters m JOIN public.zones z ON m.resident = z.zone * 101 WHERE z.zone = 1",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT zone * 101 FROM public.zones WHERE borough = 'north')",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT k * k * 5 FROM (SELECT zone AS k FROM public.zones GROUP BY zone) q)",
        "SELECT SUM(m.peak) AS s FROM energy.meters m WHERE m.resident IN (SELECT LAG(zone, 1, 4711) OVER () FROM public.zones)",
    ] {
        allowed(sql, &[Sum], &[Join]).expect_err(sql);
        allowed(sql, &[Sum], &[Join, Filter]).unwrap_or_else(|denial| panic!("{sql}\n{denial}"));
    }
}

#[test]
fn a_number_of_groups_that_is_computed_with_is_compared() {
    let of = |test: &str| {
        format!(
            "SELECT SUM(p) AS s FROM (SELECT SUM(p) AS p, COUNT(*) AS n FROM (SELECT SUM(peak) AS p FROM energy.meters GROUP BY resident) q) r \
             WHERE {test}"
        )
    };
    for test in ["n * n - 25 > 0", "n - 5 > 0", "n > 5"] {
        allowed(&of(test), &[Sum], &[Join]).expect_err(test);
        allowed(&of(test), &[Sum], &[CountDistinct]).unwrap_or_else(|denial| panic!("{test}\n{denial}"));
    }
    allowed(&of("n > 0"), &[Sum], &[]).expect("whether there is any");
}
