//! The terms of a contract: how they are written, what is wrong with them, and what is said of them.

use super::Desk;
use crate::fixture::{run, text};
use ledger::contract::{Contract, Time};
use serde_json::Value;
use std::path::Path;

#[test]
fn every_term_has_an_option() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    let options = [
        ["--allow", "amount=SUM"],
        ["--allow", "zone=GROUP"],
        ["--entity-key", "zone"],
        ["--entity-domain", "energy.area"],
        ["--min-group", "10"],
        ["--dominance", "50"],
        ["--clamp", "amount=-1.5..5000"],
        ["--rows-per-entity", "12"],
        ["--epsilon-month", "4"],
        ["--epsilon-month-all", "9"],
        ["--epsilon-query", "0.5"],
        ["--delta", "0.000001"],
        ["--noise", "binomial"],
        ["--price", "3 credit"],
        ["--join-with", "health.*"],
        ["--sizes", "exact"],
        ["--max-uses", "100"],
        ["--receiver", "planning-office"],
        ["--revocation", "new-jobs"],
        ["--not-before", "2027-01-01T00:00:00Z"],
        ["--not-after", "2128-01-01T00:00:00Z"],
        ["--purpose", "https://w3id.org/dpv#ServiceProvision"],
    ];
    let options: Vec<&str> = options.concat();
    let said = desk.new_contract(&draft, &[&options[..], &["--noise-required"]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    let found = desk.check(&draft);
    assert_eq!((&found["ok"], &found["wrong"]), (&Value::from(true), &serde_json::json!([])), "{found}");
    let shown = desk.contract("show", &[text(&draft)]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in [
        "What comes out is of at least 10 different zone.",
        "No one has more than 50 per cent of a sum that comes out.",
        "Values of amount below -1.5 count as -1.5, and above 5000 as 5000.",
        "At most 12 rows of each zone count.",
        "Every answer has noise, the heads of coins: ε at most 0.5 a question and 4 a month (δ 0.000001); of all planners together 9 a month.",
        "Its budget is shared by all tables of energy about energy.area.",
        "Others may learn how many rows are left at home.",
        "An answer costs 3 credit.",
        "health.*",
        "100",
        "2027-01-01T00:00:00Z to 2128-01-01T00:00:00Z",
        "https://w3id.org/dpv#ServiceProvision",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(found["allows"].to_string().contains("what runs then may end"), "{found}");
    // It is signed as it is.
    assert_eq!(desk.sign(&draft, "energy").code, 0);

    for (args, says) in [
        (&["--entity-key", "meter"][..], "--entity-key meter: energy.example has no column `meter`; it has"),
        (&["--clamp", "watts=0..1"], "--clamp watts: energy.example has no column `watts`"),
        (&["--clamp", "amount=0-1"], "write it as 'kwh=0..5000'"),
        (&["--clamp", "amount=0..1e3"], "`1e3` is not a number such as `0.5`"),
        (&["--allow", "amount=SUM", "--clamp", "amount=5..1"], "the contract would be wrong, and is not written: `clamp` names"),
        (&["--rows-per-entity", "3"], "--entity-key"),
        (&["--epsilon-query", "1"], "--epsilon-month"),
        (&["--epsilon-month", "1", "--epsilon-query", "2"], "one query may spend more than a month"),
        (&["--epsilon-month", "1", "--noise", "binomial"], "binomial noise spends of `delta`, which is 0"),
        (&["--epsilon-month", "1", "--noise", "gauss"], "there are laplace and binomial"),
        (&["--min-group", "0"], "`min_group` is not between"),
        (&["--dominance", "101"], "`dominance_pct` is not between"),
        (&["--price", "credit"], "write it as '3 credit'"),
        (&["--price", "-3 credit"], "write it as '3 credit'"),
        (&["--revocation", "later"], "there are immediate and new-jobs"),
        (&["--receiver", "press"], "--receiver press: it may not ask"),
        (&["--not-after", "1999-01-01T00:00:00Z"], "`not_after` is not later"),
        (
            &["--not-before", "2019-01-01T00:00:00Z", "--not-after", "2020-01-01T00:00:00Z"],
            "is not written: it ended at 2020-01-01T00:00:00Z; give a later --not-after",
        ),
    ] {
        let said = desk.new_contract(&desk.path("n.draft"), args);
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
        assert!(!desk.path("n.draft").exists(), "{args:?}");
    }
}

#[test]
fn what_narrows_down_to_one_entity_is_noted() {
    let desk = Desk::new();
    let catalogue = desk.path("city/catalogue.toml");
    let note = "zone says whose a row is, and may be compared, to choose what counts";
    let explain = |draft: &Path| {
        let args = [text(draft), "--catalogue", text(&catalogue), "--", "SELECT SUM(amount) AS s FROM energy.example"];
        desk.contract("explain", &args).out
    };
    for (name, allow, group, noted) in
        [("a", "zone=FILTER,SUM", "10", true), ("b", "zone=GROUP,COUNT_DISTINCT", "10", false), ("c", "zone=FILTER", "1", false)]
    {
        let draft = desk.path(&format!("{name}.draft"));
        let said = desk.new_contract(&draft, &["--allow", "amount=SUM", "--allow", allow, "--entity-key", "zone", "--min-group", group]);
        assert_eq!(said.code, 0, "{}", said.err);
        let found = desk.check(&draft);
        assert_eq!((&found["ok"], found["notes"].to_string().contains(note)), (&Value::from(true), noted), "{found}");
        assert_eq!(explain(&draft).contains(note), noted, "{}", explain(&draft));
    }
    // What is not allowed at all is shown beside the catalogue.
    let show = |more: &[&str]| {
        let draft = desk.path("a.draft");
        desk.contract("show", &[&[text(&draft), "--catalogue", text(&catalogue)], more].concat()).out
    };
    assert!(show(&[]).contains("nothing of"), "{}", show(&[]));
    let told: Value = serde_json::from_str(&show(&["--json"])).expect("JSON");
    assert_eq!((&told["unknown"], told["nothing_of"].to_string().contains("amount")), (&serde_json::json!([]), false), "{told}");
}

#[test]
fn what_has_ended_or_is_not_kept_is_signed_by_nobody() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM"]).code, 0);
    let good = std::fs::read_to_string(&draft).expect("the draft");
    let with = |changes: &[(&str, &str)]| {
        let mut terms: Value = serde_json::from_str(&good).expect("JSON");
        changes.iter().for_each(|(name, value)| terms[name] = (*value).into());
        std::fs::write(&draft, terms.to_string()).expect("written");
    };
    let over = [("not_before", "2019-01-01T00:00:00Z"), ("not_after", "2020-01-01T00:00:00Z")];
    for (changes, says) in [(&over[..], "it ended at 2020-01-01T00:00:00Z"), (&[("security", "malicious")], "does not enforce `security`")]
    {
        with(changes);
        let (said, checked) = (desk.sign(&draft, "energy"), desk.check(&draft));
        assert!(checked["wrong"].to_string().contains(says), "{checked}");
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
        for part in [says, "is not signed while something is wrong", "to mend it: correct the draft; `tacit contract check "] {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
    }
    // Nor does a planner sign what its agency signed while it was in force.
    let mut contract: Contract = serde_json::from_str(&good).expect("a contract");
    contract.columns.retain(|_, allowed| !allowed.is_empty());
    (contract.not_before, contract.not_after) = (Time(1_546_300_800), Time(1_577_836_800));
    let identity = mpc_core::identity::Identity::load(desk.key("energy")).expect("its key");
    let file = desk.path("over.contract");
    std::fs::write(&file, contract.sign(identity.signing_key()).expect("signed")).expect("written");
    let said = desk.sign(&file, "planning-office");
    assert!(said.code == 1 && said.err.contains("to mend it: ask `energy` for another version"), "{}", said.err);
}

#[test]
fn what_is_wrong_is_said_all_at_once() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM"]).code, 0);
    let edited = std::fs::read_to_string(&draft).expect("the draft");
    let edited =
        edited.replace("\"semi-honest\"", "\"malicious\"").replace("\"amount\"", "\"amounts\"").replace("\"example\"", "\"Example\"");
    std::fs::write(&draft, edited.replace("dpv#", "dpv #")).expect("written");
    let found = desk.check(&draft);
    for wrong in ["`id` is empty", "`purposes` is empty", "no column `amounts`", "does not enforce `security` yet ("] {
        assert!(found["wrong"].to_string().contains(wrong), "{wrong}: {found}");
    }
    // A note that was changed, one by a stranger's key, and what is no contract at all.
    let good = std::fs::read_to_string(desk.path("city/contracts/energy.example.contract")).expect("a contract");
    let changed = desk.path("changed.contract");
    std::fs::write(&changed, good.replace("\"SUM\",", "")).expect("written");
    let found = desk.check(&changed);
    assert!(found["wrong"].to_string().contains("does not verify"), "{found}");
    let other = desk.path("other");
    assert_eq!(run(&["init", text(&other)]).code, 0);
    let strange = desk.check(&other.join("contracts/energy.example.contract"));
    assert!(strange["wrong"].to_string().contains("the key of `energy` is not the one that the roster has"), "{strange}");
    let said = desk.contract("show", &[text(&desk.path("city/roster.toml"))]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    let none = desk.contract("show", &["/nonexistent.contract"]);
    assert!(none.code == 2 && none.err.contains("there is no such file, and a contract is wanted here"), "{}", none.err);
    for (args, says) in [
        (["--allow", "watts=SUM"], "has no column `watts`"),
        (["--allow", "amount=TOTAL"], "`TOTAL` is not an operation; there are AVG"),
        (["--allow", "amount"], "write it as"),
        (["--planner", "press"], "no planner `press`"),
        (["--sizes", "all"], "there are hidden, bucket and exact"),
    ] {
        let said = desk.new_contract(&desk.path("n.draft"), &args);
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
    }
}

#[test]
fn a_contract_is_shown_to_people_to_programs_and_to_those_who_answer_for_the_data() {
    let desk = Desk::new();
    let contract = desk.path("city/contracts/energy.example.contract");
    let shown = desk.contract("show", &[text(&contract)]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for part in ["energy.example", "AGREED", "AVG, CORR, COUNT", "planning-office", "any number"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let policy: Value = serde_json::from_str(&desk.contract("show", &[text(&contract), "--odrl"]).out).expect("JSON-LD");
    assert_eq!((policy["@type"].as_str(), policy["conflict"].as_str()), (Some("Agreement"), Some("prohibit")));
    let permissions = policy["permission"].as_array().expect("permissions");
    assert_eq!(permissions.len(), 3, "one a column, and one of the rows");
    let of_amount = permissions.iter().find(|p| p["target"] == "urn:tacit:dataset:energy.example:amount").expect("of amount");
    assert_eq!(of_amount["assigner"], "urn:tacit:member:energy");
    assert!(of_amount["action"].as_array().is_some_and(|all| all.contains(&"tacit:SUM".into())), "{of_amount}");
    let purpose =
        serde_json::json!({"leftOperand": "purpose", "operator": "eq", "rightOperand": {"@id": "https://w3id.org/dpv#PublicBenefit"}});
    assert!(of_amount["constraint"].as_array().is_some_and(|all| all.contains(&purpose)), "{of_amount}");
    let receipt = desk.contract("show", &[text(&contract), "--receipt"]).out;
    for part in [
        "# Receipt: use of energy.example",
        "**Purpose**: <https://w3id.org/dpv#PublicBenefit>",
        "## Retention",
        "## How it ends",
        "SHA-256",
    ] {
        assert!(receipt.contains(part), "{part}: {receipt}");
    }
}

#[test]
fn what_widens_and_what_narrows_is_said() {
    let desk = Desk::new();
    let (old, new) = (desk.path("old.draft"), desk.path("new.draft"));
    assert_eq!(desk.new_contract(&old, &["--allow", "amount=SUM,FILTER", "--join-with", "*", "--max-uses", "5"]).code, 0);
    let wider =
        ["--allow", "amount=SUM,AVG", "--join-with", "health.*", "--countersigned", "--purpose", "https://w3id.org/dpv#ServiceProvision"];
    assert_eq!(desk.new_contract(&new, &wider).code, 0);
    let diff = desk.contract("diff", &[text(&old), text(&new)]);
    assert_eq!(diff.code, 0, "{}", diff.err);
    let lines: Vec<&str> = diff.out.lines().collect();
    assert_eq!(
        lines,
        [
            "✓ wider: amount may be averaged",
            "✓ wider: for https://w3id.org/dpv#ServiceProvision",
            "✓ wider: answers in all: not bounded, and was 5",
            "✗ narrower: amount may no longer be compared, to choose what counts",
            "✗ narrower: no longer for https://w3id.org/dpv#PublicBenefit",
            "✗ narrower: it may no longer be used together with all of *",
            "✗ narrower: planners must sign it too",
        ]
    );
    let back = desk.contract("diff", &[text(&new), text(&old), "--json"]);
    let ways: Vec<Value> = back.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(ways.iter().filter(|change| change["way"] == "wider").count(), 4, "{}", back.out);
    assert_eq!(desk.contract("diff", &[text(&old), text(&old)]).out, "Both allow the same.\n");
}

#[test]
fn budgets_are_shown_and_compared() {
    let desk = Desk::new();
    let plain = desk.path("plain.draft");
    assert_eq!(desk.new_contract(&plain, &["--allow", "amount=SUM"]).code, 0);
    let draft = |name: &str, more: Value| {
        let mut draft: Value = serde_json::from_str(&std::fs::read_to_string(&plain).expect("a draft")).expect("JSON");
        draft["entity_key"] = "id".into();
        draft["dp"] = serde_json::json!({"epsilon_per_query_max": "1", "epsilon_month": "2", "delta": "0", "mode": "optional"});
        more["dp"].as_object().into_iter().flatten().for_each(|(name, value)| draft["dp"][name] = value.clone());
        more["entity_domain"].as_str().into_iter().for_each(|domain| draft["entity_domain"] = domain.into());
        let path = desk.path(name);
        std::fs::write(&path, draft.to_string()).expect("written");
        path
    };
    let alone = draft("alone.draft", serde_json::json!({}));
    let shared = draft("shared.draft", serde_json::json!({"dp": {"epsilon_month_all": "5"}, "entity_domain": "energy.household"}));
    let diff = |one: &Path, other: &Path| desk.contract("diff", &[text(one), text(other)]).out;
    let narrower =
        "✗ narrower: it shares the budget of energy.household\n✗ narrower: ε of a month of all planners: 5, and was not bounded\n";
    assert_eq!(diff(&alone, &shared), narrower);
    let wider =
        "✓ wider: it shares the budget of energy.household no more\n✓ wider: ε of a month of all planners: not bounded, and was 5\n";
    assert_eq!(diff(&shared, &alone), wider);
    let show = |more: &[&str]| desk.contract("show", &[&[text(&shared)], more].concat()).out;
    for (more, told) in [
        (&[][..], "ε at most 1 a question and 2 a month (δ 0); of all planners together 5 a month."),
        (&[], "Its budget is shared by all tables of energy about energy.household."),
        (&["--receipt"], "each `id`'s, of energy.household"),
        (&["--odrl"], "tacit:epsilonPerMonthOfAll"),
        (&["--odrl"], "tacit:entityDomain"),
    ] {
        assert!(show(more).contains(told), "{told}: {}", show(more));
    }
}

#[test]
fn whether_a_question_would_be_allowed_and_by_which_clause_is_said() {
    let desk = Desk::new();
    let draft = desk.path("c.draft");
    assert_eq!(desk.new_contract(&draft, &["--allow", "amount=SUM", "--allow", "zone=GROUP,JOIN"]).code, 0);
    let catalogue = desk.path("city/catalogue.toml");
    let explain = |more: &[&str], sql: &str| {
        desk.contract("explain", &[&[text(&draft), "--catalogue", text(&catalogue)][..], more, &["--", sql]].concat())
    };
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("Allowed.\n") && said.out.contains("`example`, columns.amount: SUM"), "{}", said.out);
    assert!(!said.out.contains("costs"), "{}", said.out);
    // What it costs is said as well; what no node could keep is, with what to write instead.
    let free = std::fs::read_to_string(&draft).expect("a draft");
    let mut terms: Value = serde_json::from_str(&free).expect("JSON");
    (terms["price"], terms["security"]) = (serde_json::json!({"unit": "credit", "per_use": 3}), "malicious".into());
    std::fs::write(&draft, terms.to_string()).expect("written");
    let check = desk.contract("check", &[text(&draft)]);
    assert!(check.out.contains("An answer costs 3 credit") && check.out.contains("write \"security\": \"semi-honest\""), "{}", check.out);
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 1 && said.out.contains("with \"security\": \"semi-honest\""), "{}", said.out);
    terms["security"] = "semi-honest".into();
    std::fs::write(&draft, terms.to_string()).expect("written");
    let said = explain(&[], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 0 && said.out.contains("`example`: an answer costs 3 credit"), "{}", said.out);
    std::fs::write(&draft, free).expect("written");
    let said = explain(&[], "SELECT AVG(amount) AS m FROM energy.example");
    assert_eq!(said.code, 1);
    assert!(said.out.starts_with("Not allowed: ") && said.out.contains("✗") && said.out.contains("to mend it"), "{}", said.out);
    let said = explain(&["--purpose", "https://w3id.org/dpv#Marketing", "--json"], "SELECT SUM(amount) AS s FROM energy.example");
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(said.code == 1 && value["denied"]["reason"].as_str().is_some_and(|r| r.contains("does not allow the purpose")), "{value}");
    let said = explain(&["--at", "2020-01-01T00:00:00Z"], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 1 && said.out.contains("begins at"), "{}", said.out);
    let joined = "SELECT SUM(e.amount) AS s FROM public.zones z JOIN (SELECT zone, SUM(amount) AS amount FROM energy.example GROUP BY zone) e \
        ON e.zone = z.zone JOIN (SELECT zone, SUM(amount) AS amount FROM health.example GROUP BY zone) h ON h.zone = z.zone WHERE h.amount > 1";
    let said = explain(&[], joined);
    assert!(said.code == 1 && said.out.contains("together with health.example"), "{}", said.out);
    assert!(said.out.contains("health.example is not looked at"), "{}", said.out);
    let said = explain(&[], "SELEC 1");
    assert!(said.code == 1 && said.err.contains("E_SQL"), "{}", said.err);
    let said = explain(&[], "SELECT SUM(amount)\n FROM energy.exampel");
    assert!(said.code == 1 && said.err.contains(" at line 2, column ") && said.err.contains("FROM energy.exampel\n"), "{}", said.err);
    assert!(said.err.lines().any(|line| line.trim() == "^"), "{}", said.err);
    let said = explain(&["--planner", "nobody"], "SELECT SUM(amount) AS s FROM energy.example");
    assert!(said.code == 2 && said.err.contains("names no planner `nobody`; it names planning-office"), "{}", said.err);
}
