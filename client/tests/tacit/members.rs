//! What members hand in for the log of a running city: who else belongs to it, and evidence. All mirrors check it.

use crate::citylog::{checkpoint, equal_everywhere, folder, settled};
use crate::fixture::{Said, Town, run, text};
use ledger::bytes::Hash;
use ledger::checkpoint::Head;
use mpc_core::identity::Identity;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn config(town: &Town, name: &str) -> PathBuf {
    town.city.node_config(name).expect("its configuration").into()
}

fn submit(town: &Town, file: &str, who: &str) -> Said {
    let (file, config) = (town.folder.path().join(file), config(town, who));
    run(&["ledger", "submit", text(&file), "--config", text(&config), "--json"])
}

fn entered(said: &Said) -> u64 {
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str::<Value>(&said.out).expect("JSON")["index"].as_u64().expect("a place")
}

fn member(town: &Town, file: &str, who: &str, more: &[&str]) -> Said {
    let (file, config) = (town.folder.path().join(file), config(town, who));
    run(&[&["ledger", "member", text(&file), "--config", text(&config)], more].concat())
}

#[test]
fn who_comes_later_belongs_once_a_quorum_of_agencies_says_so() {
    let mut town = Town::invented();
    town.up();
    let begun = settled(&town);
    let key = Identity::from_seed(&[77; 32]).public().to_string();
    let press = ["--name", "press", "--organisation", "The Press Office", "--role", "auditor", "--key", &key];
    let said = member(&town, "press.entry", "energy", &press);
    assert!(
        said.code == 0 && said.out.contains("that press (The Press Office) belongs to the city; signed by energy."),
        "{}{}",
        said.out,
        said.err
    );
    let refused = submit(&town, "press.entry", "energy");
    assert!(
        refused.code == 1 && refused.err.contains("E_LEDGER_SIGNATURE") && refused.err.contains("it takes 3 agencies, and 1 signed"),
        "{}",
        refused.err
    );
    for agency in ["health", "transport"] {
        let said = member(&town, "press.entry", agency, &[]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
    assert_eq!(entered(&submit(&town, "press.entry", "health")), begun);
    let again = submit(&town, "press.entry", "health");
    assert!(again.code == 1 && again.err.contains("E_LEDGER_REPLAY"), "{}", again.err);
    equal_everywhere(&town, begun + 1);
    let shown = run(&["ledger", "show", text(&folder(&town, "transport")), &begun.to_string()]);
    assert!(shown.out.starts_with("tacit/member/v1\n") && shown.out.contains("The Press Office"), "{}", shown.out);

    // It leaves in the same way.
    for (at, agency) in ["energy", "health", "transport"].into_iter().enumerate() {
        let gone = [&press[..], &["--removed"]].concat();
        let said = member(&town, "gone.entry", agency, if at == 0 { &gone } else { &[] });
        assert!(said.code == 0 && said.out.contains("belongs to the city no longer"), "{}{}", said.out, said.err);
    }
    assert_eq!(entered(&submit(&town, "gone.entry", "energy")), begun + 1);
    equal_everywhere(&town, begun + 2);

    for (file, more, says) in [
        ("gone.entry", &press[..], "it is there already, and says whom it is about"),
        ("new.entry", &[], "is a new file: give --name, --organisation, --role and --key"),
        ("new.entry", &["--name", "press"], "--organisation"),
        ("new.entry", &["--name", "Press", "--organisation", "x", "--role", "planner", "--key", &key], "`name`"),
        (
            "new.entry",
            &["--name", "press", "--organisation", "x", "--role", "agency", "--key", &key],
            "agencies have `witness` and `validated`",
        ),
        ("gone.entry", &[], "one name signed twice"),
    ] {
        let said = member(&town, file, "energy", more);
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
    }
}

#[test]
fn evidence_is_put_on_the_log_by_any_member() {
    let mut town = Town::invented();
    town.up();
    let begun = settled(&town);
    let path = |name: &str| town.folder.path().join(name);
    let published = checkpoint(&town, "coordinator");
    let head = Head { root: Hash([7; 32]), ..published.head().clone() };
    let log = Identity::load(town.city.folder().join("coordinator/log.key")).expect("the log's key");
    fs::write(path("fork"), head.sign(log.signing_key()).expect("signed").note()).expect("written");
    fs::write(path("published"), published.note()).expect("written");
    let (fork, good, policy, file) = (path("fork"), path("published"), town.city.folder().join("city.policy"), path("fork.evidence"));
    let made = run(&["ledger", "evidence", text(&fork), text(&good), "--policy", text(&policy), "--output", text(&file)]);
    assert_eq!(made.code, 0, "{}", made.err);

    assert_eq!(entered(&submit(&town, "fork.evidence", "energy")), begun);
    // Once is enough, whoever comes with it.
    let again = submit(&town, "fork.evidence", "health");
    assert!(
        again.code == 1 && again.err.contains("E_LEDGER_REPLAY") && again.err.contains("the evidence is in the log already"),
        "{}",
        again.err
    );
    equal_everywhere(&town, begun + 1);
    let shown = run(&["ledger", "show", text(&folder(&town, "health")), &begun.to_string()]);
    assert!(shown.out.starts_with("tacit/evidence/v1\n"), "{}", shown.out);
    // A planner may, too.
    let head = Head { root: Hash([8; 32]), ..published.head().clone() };
    fs::write(path("fork"), head.sign(log.signing_key()).expect("signed").note()).expect("written");
    let made = run(&["ledger", "evidence", text(&fork), text(&good), "--policy", text(&policy), "--output", text(&file)]);
    assert_eq!(made.code, 0, "{}", made.err);
    let said = town.run(&["ledger", "submit", text(&file), "--config", text(&town.city.planner_config())]);
    assert!(
        said.code == 0 && said.out.starts_with(&format!("Entry {} of the log, of the kind evidence", begun + 1)),
        "{}{}",
        said.out,
        said.err
    );
    equal_everywhere(&town, begun + 2);

    fs::write(path("bad"), fs::read_to_string(&file).expect("evidence").replace("\\n", "\\n ")).expect("written");
    fs::write(path("other"), "nothing of ours\n").expect("written");
    for (name, says) in [("bad", "it is no evidence"), ("other", "it is neither an entry nor evidence"), ("none", "there is no such file")]
    {
        let said = submit(&town, name, "energy");
        assert!(said.code == 2 && said.err.contains(says), "{says}: {}", said.err);
    }
    town.city.kill("coordinator");
    assert_eq!(submit(&town, "fork.evidence", "energy").code, 4);
}
