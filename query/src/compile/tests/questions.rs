//! Questions that compile, and what their plans are made of.

use super::plan;
use crate::plan::{ColumnKind, Existence, Finish, Form, NodeKind, Op, Opening, Plan, Ring, Source};

/// Sums per borough from all three owners.
const Q1: &str = "
    SELECT z.borough, SUM(t.n) AS trips, SUM(e.mmbtu) AS mmbtu, SUM(c.covid_cases) AS cases, SUM(c.covid_deaths) AS deaths
    FROM public.zones z
    LEFT JOIN (SELECT pu_modzcta, COUNT(*) AS n FROM transport.green_trips WHERE month = '2022-01' GROUP BY pu_modzcta) t ON t.pu_modzcta = z.modzcta
    LEFT JOIN (SELECT modzcta, SUM(site_energy_mmbtu) AS mmbtu FROM energy.buildings WHERE plausible = 1 GROUP BY modzcta) e ON e.modzcta = z.modzcta
    LEFT JOIN health.covid c ON c.modzcta = z.modzcta
    GROUP BY z.borough ORDER BY z.borough";

/// Correlations between columns of all three, over zones that pass a filter of each.
const Q2: &str = "
    WITH t AS (SELECT do_modzcta AS z, COUNT(*) AS drops FROM transport.green_trips GROUP BY 1),
         e AS (SELECT modzcta AS z, SUM(site_energy_mmbtu) AS mmbtu, SUM(gfa_ft2) AS gfa, COUNT(*) AS nb FROM energy.buildings WHERE plausible = 1 GROUP BY 1),
         h AS (SELECT modzcta AS z, SUM(critical) AS crit, COUNT(critical) AS nv FROM health.inspections GROUP BY 1),
         x AS (SELECT t.drops * 1000.0 / z.population AS d, TRY_CAST(e.mmbtu * 1000.0 / NULLIF(e.gfa, 0) AS DECIMAL(14, 5)) AS eui,
                      c.covid_deaths * 100000.0 / z.population AS dr, h.crit * 1.0 / h.nv AS cs
               FROM public.zones z JOIN t ON t.z = z.modzcta JOIN e ON e.z = z.modzcta JOIN h ON h.z = z.modzcta JOIN health.covid c ON c.modzcta = z.modzcta
               WHERE e.nb >= 5 AND t.drops >= 1 AND h.nv >= 20)
    SELECT COUNT(*) AS n, CORR(d, eui) AS d_eui, CORR(d, dr) AS d_dr, CORR(d, cs) AS d_cs, CORR(eui, dr) AS eui_dr, CORR(eui, cs) AS eui_cs, CORR(dr, cs) AS dr_cs FROM x";

/// Average duration by a private bit of another owner.
const Q9: &str = "
    SELECT h.above, CAST(SUM(t.s) AS DOUBLE) / SUM(t.n) AS average
    FROM (SELECT pu_uhf42 AS u, SUM(duration_s) AS s, COUNT(*) AS n FROM transport.green_trips WHERE month = '2024-01' GROUP BY 1) t
    JOIN (SELECT uhf42, asthma_ed_5_17_rate > (SELECT MEDIAN(asthma_ed_5_17_rate) FROM health.uhf42_indicators) AS above FROM health.uhf42_indicators) h ON h.uhf42 = t.u
    GROUP BY h.above";

/// How many zones exceed three owners' thresholds together.
const JOINT_FILTER: &str = "
    SELECT COUNT(*) AS n FROM public.zones z
    JOIN (SELECT do_modzcta AS z, COUNT(*) AS drops FROM transport.green_trips WHERE do_modzcta IS NOT NULL GROUP BY 1) t ON t.z = z.modzcta
    JOIN (SELECT modzcta AS z, SUM(site_energy_mmbtu) AS mmbtu FROM energy.buildings GROUP BY 1) e ON e.z = z.modzcta
    JOIN health.covid c ON c.modzcta = z.modzcta
    WHERE t.drops >= 1000 AND e.mmbtu > 500000 AND c.covid_deaths >= 200";

fn sources(plan: &Plan) -> Vec<String> {
    let mut names: Vec<_> = plan
        .scans
        .iter()
        .map(|s| match &s.source {
            Source::Public => "public".to_owned(),
            Source::Party(name) => name.clone(),
        })
        .collect();
    names.sort();
    names
}

fn ops(plan: &Plan, of: fn(&Op) -> bool) -> usize {
    plan.nodes.iter().filter(|n| of(&n.op)).count()
}

#[test]
fn sums_per_public_group_need_no_multiplication() {
    let plan = plan(Q1);
    assert_eq!(plan.parties, ["energy", "health", "transport"]);
    assert_eq!(sources(&plan), ["energy", "health", "public", "transport"]);
    assert_eq!(plan.frames.len(), 1);
    assert_eq!((plan.frames[0].name.as_str(), plan.frames[0].max_rows), ("zones.modzcta", 177));
    assert_eq!(ops(&plan, |op| !matches!(op, Op::Column { .. })), 0);
    let release = &plan.releases[0];
    // every borough of the public table is in the answer: nothing is opened for that
    assert_eq!(release.exists, Existence::Always);
    assert_eq!(release.by.len(), 1);
    assert!(release.cells[0].openings.iter().all(|o| matches!(o, Opening::Any(_) | Opening::Sum { ring: Ring::Fp61, .. })));
    assert!(release.cells[0].openings.iter().all(|o| !matches!(o, Opening::Sum { terms, .. } if terms.len() != 1 || terms[0].b.is_some())));
    assert_eq!(plan.reveals[0].what, "sum of t.n");
    assert_eq!(plan.reveals[0].per, "each z.borough");
    let names: Vec<_> = plan.answer.logical().schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    assert_eq!(names, ["borough Utf8", "trips Int64", "mmbtu Int64", "cases Int64", "deaths Int64"]);
}

#[test]
fn correlations_open_their_moments() {
    let plan = plan(Q2);
    let release = &plan.releases[0];
    assert!(release.cells[0].openings.iter().all(|o| matches!(o, Opening::Sum { ring: Ring::Fp127, .. })));
    assert!(matches!(release.columns[1].value, Finish::Correlation { .. }));
    // squares are taken at home: no product of two columns of one owner
    assert_eq!(ops(&plan, |op| matches!(op, Op::Less(..) | Op::Equal(..))), 0);
    assert!(plan.reveals.iter().any(|r| r.what == "sum of x.d × x.eui" && r.per == "all rows together"));
    // zones are filtered at each owner's home; only the conjunction is joint
    let filter = |owner: &str, text: &str| plan.scans_of(owner).any(|(_, s)| s.plan.text().contains(text));
    assert!(filter("transport", ">= Int64(1)") && filter("energy", ">= Int64(5)") && filter("health", ">= Int64(20)"));
}

#[test]
fn a_private_bit_groups_by_cells() {
    let plan = plan(Q9);
    let release = &plan.releases[0];
    let keys: Vec<_> = release.cells.iter().map(|c| c.keys[0].as_deref()).collect();
    assert_eq!(keys, [Some("false"), Some("true"), None]);
    assert!(matches!(release.exists, Existence::NonZero(_)));
    assert_eq!(plan.frames[0].max_rows, 42);
    // Σ [above] · s is one inner product of two owners' columns
    assert!(release.cells[0].openings.iter().any(|o| matches!(o, Opening::Sum { terms, .. } if terms[0].b.is_some())));
    assert_eq!(ops(&plan, |op| matches!(op, Op::Lift(_))), 0);
}

#[test]
fn thresholds_stay_at_home() {
    let plan = plan(JOINT_FILTER);
    assert_eq!(ops(&plan, |op| matches!(op, Op::And(_))), 1);
    assert_eq!(ops(&plan, |op| matches!(op, Op::Less(..))), 0);
    assert!(plan.scans.iter().flat_map(|s| &s.columns).all(|c| c.kind == ColumnKind::Bit));
    assert_eq!(plan.reveals.len(), 1);
}

#[test]
fn comparisons_across_owners_are_of_unsigned_planes_of_one_width() {
    let plan =
        plan("SELECT COUNT(*) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta WHERE c.covid_deaths - 10 > g.score * 3");
    let planes: Vec<_> = plan
        .nodes
        .iter()
        .filter_map(|n| match (n.kind, &n.op) {
            (NodeKind::Planes(w), Op::Column { form: Form::Planes { offset, .. }, .. }) => Some((w, *offset)),
            _ => None,
        })
        .collect();
    assert_eq!(planes.len(), 2);
    assert_eq!(planes[0], planes[1]);
    assert_eq!(ops(&plan, |op| matches!(op, Op::Less(..))), 1);
}

#[test]
fn three_owners_are_added_before_they_are_compared() {
    let plan = plan(
        "SELECT COUNT(*) FROM public.zones z JOIN health.covid c ON c.modzcta = z.modzcta JOIN energy.grades g ON g.modzcta = z.modzcta
         JOIN (SELECT pu_modzcta, COUNT(*) n FROM transport.green_trips GROUP BY 1) t ON t.pu_modzcta = z.modzcta
         WHERE c.covid_deaths + g.score > t.n - z.population",
    );
    assert_eq!((ops(&plan, |op| matches!(op, Op::Add(..))), ops(&plan, |op| matches!(op, Op::Less(..)))), (1, 1));
}

#[test]
fn one_owner_computes_his_aggregates_at_home() {
    let single = plan(
        "SELECT AVG(duration_s) AS a, VAR_SAMP(fare_usd) AS v, MEDIAN(fare_usd) AS m FROM transport.green_trips WHERE month = '2022-01'",
    );
    assert_eq!(sources(&single), ["transport"]);
    assert!(single.frames[0].keys.is_empty());
    let columns = &single.releases[0].columns;
    assert!(matches!(columns[0].value, Finish::Average { .. }));
    assert!(matches!(columns[1].value, Finish::Variance { sample: true, root: false, scale: 2, .. }));
    assert_eq!(columns[2].data_type.to_string(), "Decimal128(9, 2)");

    let grouped =
        plan("SELECT z.borough, COUNT(*) FROM transport.green_trips t JOIN public.zones z ON t.pu_modzcta = z.modzcta GROUP BY z.borough");
    assert_eq!((grouped.frames[0].name.as_str(), grouped.frames[0].max_rows), ("zones.borough", 5));
    assert!(matches!(grouped.releases[0].exists, Existence::NonZero(_)));

    // a nullable key has a NULL row, a dictionary lists its values
    let nullable =
        plan("SELECT pu_uhf42, COUNT(*) FROM transport.green_trips GROUP BY pu_uhf42 HAVING COUNT(*) > 100 ORDER BY 2 DESC LIMIT 5");
    assert_eq!(nullable.frames[0].max_rows, 43);
    assert!(nullable.answer.text().starts_with("Sort"));
    assert_eq!(plan("SELECT month, AVG(fare_usd) FROM transport.green_trips GROUP BY month").frames[0].max_rows, 3);
}

#[test]
fn keys_that_travel_through_an_owner_stay_public() {
    let plan = plan(
        "SELECT t.borough, SUM(t.n), SUM(c.covid_deaths) FROM (SELECT z.modzcta, z.borough, COUNT(*) n FROM transport.green_trips t JOIN public.zones z ON z.modzcta = t.pu_modzcta
         GROUP BY z.modzcta, z.borough) t JOIN health.covid c ON c.modzcta = t.modzcta GROUP BY t.borough",
    );
    assert_eq!(plan.releases[0].by.len(), 1);
    assert!(plan.scans_of("transport").all(|(_, s)| s.columns.iter().all(|c| !c.words.contains("borough"))));
}

#[test]
fn conditions_select_products() {
    plan(
        "SELECT SUM(CASE WHEN c.covid_deaths > g.score THEN c.covid_cases WHEN g.grade = 'A' THEN 2 ELSE g.score END) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta",
    );
    plan(
        "SELECT COUNT(*) FILTER (WHERE c.covid_deaths > g.score OR g.grade IS NULL), AVG(COALESCE(g.score, c.covid_deaths)) FROM health.covid c LEFT JOIN energy.grades g ON g.modzcta = c.modzcta",
    );
    plan("SELECT c.grade = g.grade AS same, COUNT(*) FROM health.covid c JOIN energy.grades g ON g.modzcta = c.modzcta GROUP BY 1");
    plan(
        "SELECT COUNT(*) FROM health.covid c WHERE EXISTS (SELECT 1 FROM energy.buildings b WHERE b.modzcta = c.modzcta AND b.plausible = 1)",
    );
    plan(
        "SELECT COUNT(*) FROM health.covid c WHERE NOT EXISTS (SELECT 1 FROM energy.buildings b WHERE b.modzcta = c.modzcta) OR c.covid_deaths > 10",
    );
    plan(
        "SELECT d.weekday, CORR(t.n, e.mw) FROM public.days d JOIN (SELECT date, SUM(trips) n FROM transport.fhv_daily GROUP BY date) t ON t.date = d.day JOIN energy.demand e ON e.day = d.day GROUP BY d.weekday",
    );
    plan(
        "SELECT EXTRACT(MONTH FROM d.day) AS month, SUM(t.n), AVG(e.mw) FROM public.days d JOIN (SELECT date, SUM(trips) n FROM transport.fhv_daily GROUP BY date) t ON t.date = d.day JOIN energy.demand e ON e.day = d.day GROUP BY 1 ORDER BY 1",
    );
    plan(
        "SELECT t.z, t.n, e.n FROM (SELECT pu_modzcta z, COUNT(*) n FROM transport.green_trips GROUP BY 1) t JOIN (SELECT modzcta z, COUNT(*) n FROM energy.buildings GROUP BY 1) e ON e.z = t.z ORDER BY e.n DESC",
    );
    plan("SELECT (SELECT COUNT(*) FROM energy.buildings) AS x, (SELECT SUM(duration_s) FROM transport.green_trips) AS y");
}

#[test]
fn the_same_sum_is_opened_once_and_other_rows_are_named() {
    let what = |sql: &str| plan(sql).reveals.into_iter().map(|r| r.what).collect::<Vec<_>>();
    let moments = ["sum of c.covid_deaths", "sum of c.covid_deaths × c.covid_deaths", "sum of g.score"];
    let found = what(
        "SELECT AVG(g.score), SUM(g.score), VAR_SAMP(c.covid_deaths), CORR(c.covid_deaths, g.score) FROM health.covid c LEFT JOIN energy.grades g ON g.modzcta = c.modzcta",
    );
    for m in moments {
        assert_eq!(found.iter().filter(|w| *w == m).count(), 1, "{m} of {found:#?}");
    }
    assert!(found.contains(&"sum of c.covid_deaths over rows with g.score".to_owned()), "{found:#?}");
    let found =
        what("SELECT AVG(score), SUM(score), CORR(score, critical), SUM(score) FILTER (WHERE critical = 1) FROM health.inspections");
    assert_eq!(found.iter().filter(|w| *w == "sum of health.inspections.score").count(), 1, "{found:#?}");
    assert!(found.contains(&"sum of health.inspections.score over rows with health.inspections.critical".to_owned()), "{found:#?}");
    assert!(found.contains(&"sum of health.inspections.score over rows that pass the filter".to_owned()), "{found:#?}");
    let found = what("SELECT SUM(1000 / (covid_deaths + 5)) FROM health.covid");
    assert_eq!(found[0], "sum of 1000 / (health.covid.covid_deaths + 5)");
}

#[test]
fn casts_tell_aggregates_apart() {
    plan(
        "SELECT SUM(CAST(covid_deaths AS BIGINT)) AS e, SUM(covid_deaths) AS p, AVG(CAST(covid_deaths AS DECIMAL(9, 2))) AS a FROM health.covid",
    );
    plan("SELECT COUNT(CAST(covid_deaths AS DOUBLE)) AS e, COUNT(covid_deaths) AS p FROM health.covid");
}

#[test]
fn the_hash_is_that_of_the_question_and_not_of_its_layout() {
    let a = plan("SELECT COUNT(*) AS n FROM health.covid c JOIN energy.grades g ON c.modzcta = g.modzcta WHERE c.covid_deaths > g.score");
    let b = plan(
        "select count(*)  as n\nfrom health.covid c join energy.grades g on c.modzcta=g.modzcta -- zones\nwhere c.covid_deaths > g.score",
    );
    let c = plan("SELECT COUNT(*) AS n FROM health.covid c JOIN energy.grades g ON c.modzcta = g.modzcta WHERE c.covid_deaths >= g.score");
    assert_eq!(a.hash(), b.hash());
    assert_ne!(a.hash(), c.hash());
    for sql in [Q1, Q2, Q9, JOINT_FILTER] {
        assert_eq!(plan(sql).hash(), plan(sql).hash());
    }
}

/// DataFusion's own text of both is the same: no literal and no name ends another, and NULLs that are equal in a join are not those that are not.
#[test]
fn sub_plans_that_differ_have_other_texts() {
    use crate::plan::Subplan;
    use datafusion::common::{Column, NullEquality};
    use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, col, lit};
    let list = || LogicalPlanBuilder::values(vec![vec![lit("x"), lit("y")]]).expect("a list");
    let build = |plan: datafusion::error::Result<LogicalPlanBuilder>| plan.and_then(LogicalPlanBuilder::build).expect("a plan");
    let filtered = |by: Expr| build(list().filter(by));
    let one = filtered(col("column1").eq(lit("x\") AND column2 = Utf8(\"y")));
    let two = filtered(col("column1").eq(lit("x")).and(col("column2").eq(lit("y"))));
    let joined = |nulls| {
        let other = build(list().alias("other"));
        let keys = ["one.column1", "other.column1"].map(|key| vec![Column::from_qualified_name(key)]);
        build(list().alias("one").and_then(|one| one.join_detailed(other, JoinType::Inner, keys.into(), None, nulls)))
    };
    let (equal, apart) = (joined(NullEquality::NullEqualsNull), joined(NullEquality::NullEqualsNothing));
    for (a, b) in [(one, two), (equal, apart)] {
        let own = |plan: &LogicalPlan| plan.display_indent_schema().to_string();
        assert_eq!(own(&a), own(&b), "it has become needless to say more");
        assert_ne!(Subplan::new(a).text(), Subplan::new(b).text());
    }
}
