//! Noise and budgets among real processes: what is spent and what is left, the same answer at no cost, also after a restart, and the end of a month's budget.

use crate::fixture::{Said, Town, said, text};
use crate::openings::audited;
use ledger::contract::{Dp, DpMode, NoiseLaw};
use serde_json::Value;

const POINTS: &str = "SELECT COUNT(*) AS n, SUM(latest_score) AS points FROM health.restaurants";

#[test]
fn a_budget_is_spent_once_for_each_answer_and_ends() {
    let mut town = Town::invented();
    let number = |text: &str| text.parse().expect("a number");
    let delta = "0.000001".parse().expect("a number");
    let dp = Dp {
        epsilon_per_query_max: number("0.6"),
        epsilon_month: number("2"),
        epsilon_month_all: Some(number("1")),
        delta,
        mode: DpMode::Optional,
        noise: NoiseLaw::Laplace,
    };
    town.terms("health.restaurants", |contract| {
        (contract.entity_key, contract.dp) = (Some("camis".into()), Some(dp));
        contract.entity_domain = Some("city.kitchen".into());
        contract.clamp.insert("latest_score".into(), ("0".parse().expect("a bound"), "50".parse().expect("a bound")));
    });
    town.up();

    // exact as long as nobody asks for noise, and refused where more is asked than a question may spend
    let exact = answered(&town, &[]);
    assert!(!exact.err.contains("with noise"), "{}", exact.err);
    let refused = asked(&town, &["--epsilon", "0.7"]);
    assert!(refused.code != 0 && refused.err.contains("at most ε = 0.6") && refused.err.contains("to mend it"), "{}", refused.err);

    let before = explained(&town, "0.4");
    assert_eq!((&before["spent"][0]["dataset"], &before["spent"][0]["epsilon"]), (&"health.restaurants".into(), &"0.4".into()));
    assert_eq!(left(&before), "1", "nothing is spent yet");
    assert_eq!(before["sums"].as_array().map(Vec::len), Some(2), "{before}");
    let told = town.run(&["explain", POINTS, "--epsilon", "0.4"]);
    for part in [
        "noise spends ε = 0.4",
        "health.restaurants: ε = 1, δ = 0.0000005 are left of this month's ε = 2, ",
        ", as the coordinator says; nodes go by their own mirrors of the log",
        "sum of health.restaurants.latest_score: ± ",
    ] {
        assert!(told.out.contains(part), "{part}: {}{}", told.out, told.err);
    }

    let first = answered(&town, &["--epsilon", "0.4"]);
    assert!(first.err.contains("with noise, at 95 %: number of rows ± ") && first.out != exact.out, "{}{}", first.out, first.err);
    assert_eq!(left(&explained(&town, "0.4")), "0.6");
    let other = answered(&town, &["--epsilon", "0.6"]);
    assert!(other.out != first.out && left(&explained(&town, "0.4")) == "0", "{} {}", other.out, first.out);

    for restarted in [false, true] {
        if restarted {
            for node in ["health", "coordinator"] {
                town.city.kill(node);
            }
            town.up();
        }
        assert_eq!(answered(&town, &["--epsilon", "0.4"]).out, first.out, "the same question again, restarted: {restarted}");
        assert_eq!(answered(&town, &["--epsilon", "0.6"]).out, other.out);
        let shown = said(town.command(&["query", POINTS, "--epsilon", "0.4"]));
        assert!(shown.code == 0 && shown.out.contains("; given before, and not computed again;"), "{}{}", shown.out, shown.err);
        let analyzed = said(town.command(&["query", &format!("EXPLAIN ANALYZE {POINTS}"), "--epsilon", "0.4"]));
        assert_eq!(analyzed.code, 0, "{}", analyzed.err);
        let refused = asked(&town, &["--epsilon", "0.1"]);
        assert!(refused.code != 0 && refused.out.is_empty(), "{}", refused.out);
        for part in ["E_BUDGET", "`health`", "costs ε = 0.1", "has ε = 0, ", "all planners may spend", "asked before costs nothing"] {
            assert!(refused.err.contains(part), "{part}: {}\n{}", refused.err, town.logs());
        }
    }

    // To its owner: what came out of each, with the noise that one of them paid for.
    let config = town.city.node_config("health").expect("its configuration");
    let said = audited(&town, "health.restaurants", &["--config", text(config), "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let told: Value = serde_json::from_str(&said.out).expect("JSON");
    let questions = told["questions"].as_array().expect("questions");
    assert!(questions.len() > 8, "{}", questions.len());
    for question in questions.iter().filter(|question| question["state"] == "released") {
        assert_eq!((question["sql"].as_str().map(str::trim), &question["not_compiled"]), (Some(POINTS), &Value::Null), "{question}");
        assert_eq!(question["uses"]["latest_score"], serde_json::json!(["SUM"]), "{question}");
        assert!(!question["releases"].as_array().expect("lines").is_empty(), "{question}");
    }
}

fn asked(town: &Town, more: &[&str]) -> Said {
    said(town.command(&[&["query", POINTS, "--format", "csv"], more].concat()))
}

fn answered(town: &Town, more: &[&str]) -> Said {
    let said = asked(town, more);
    assert_eq!(said.code, 0, "{}\n{}", said.err, town.logs());
    said
}

/// What EXPLAIN says of noise.
fn explained(town: &Town, epsilon: &str) -> Value {
    let said = town.run(&["explain", POINTS, "--json", "--epsilon", epsilon]);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str::<Value>(&said.out).expect("JSON")["noise"].take()
}

fn left(noise: &Value) -> &str {
    noise["spent"][0]["left"]["epsilon"].as_str().unwrap_or_else(|| panic!("{noise}"))
}
