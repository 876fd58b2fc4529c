use super::*;
use crate::identity::Identity;

fn key(seed: u8) -> PublicKey {
    Identity::from_seed(&[seed; 32]).public()
}

fn sample() -> String {
    let mut text = String::from("city = \"Demo city\"\n");
    for (at, name) in ["transport", "energy", "health"].iter().enumerate() {
        let key = key(at as u8 + 1);
        text += &format!("[[node]]\nname = \"{name}\"\nrole = \"party\"\nkey = \"{key}\"\naddr = \"127.0.0.1:710{}\"\n", at + 1);
    }
    text += &format!("[[node]]\nname = \"coordinator\"\nrole = \"coordinator\"\nkey = \"{}\"\n", key(4));
    text += "addr = \"127.0.0.1:7100\"\napi = \"http://127.0.0.1:7180\"\n";
    text + &format!("[[planner]]\nname = \"planning-office\"\nkey = \"{}\"\n", key(5))
}

fn refused(text: &str, says: &str) {
    let error = Roster::parse(text).expect_err(says).to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_roster_gives_ids_by_order_and_finds_members_by_key() {
    let roster = Roster::parse(&sample()).expect("a roster");
    assert_eq!(roster.city(), "Demo city");
    assert_eq!(roster.parties().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["transport", "energy", "health"]);
    assert_eq!(roster.party_id("health"), Some(PartyId(2)));
    assert_eq!(roster.party_id("coordinator"), None);
    assert_eq!(roster.party(PartyId(1)).map(|n| n.name.as_str()), Some("energy"));
    assert_eq!(roster.party(PartyId(3)), None);
    assert_eq!(roster.coordinator().api.as_deref(), Some("http://127.0.0.1:7180"));
    assert_eq!(roster.node_by_key(&key(2)).map(|n| n.name.as_str()), Some("energy"));
    assert_eq!(roster.node_by_key(&key(5)), None, "a planner is not a node");
    assert_eq!(roster.planner_by_key(&key(5)).map(|p| p.name.as_str()), Some("planning-office"));
    assert_eq!(roster.planner_by_key(&key(1)), None, "a node is not a planner");
    assert_eq!(roster.coordinator().resolve().expect("an address").port(), 7100);
}

#[test]
fn the_hash_depends_on_what_is_said_and_not_on_how() {
    let text = sample();
    let roster = Roster::parse(&text).expect("a roster");
    let spaced = format!("# the city\n{}", text.replace(" = ", "   =  ").replace("[[node]]", "\n[[node]]"));
    assert_eq!(Roster::parse(&spaced).expect("a roster").hash(), roster.hash());
    assert_eq!(Roster::parse(&roster.to_toml()).expect("written back"), roster);
    for (from, to) in [
        ("Demo city", "Demo citz"),
        ("energy", "energia"),
        ("127.0.0.1:7102", "127.0.0.1:7202"),
        ("http://127", "https://127"),
        ("planning-office", "planning_office"),
        ("\"transport\"", "\"energy2\""),
    ] {
        assert_ne!(Roster::parse(&text.replace(from, to)).expect("a roster").hash(), roster.hash(), "{from}");
    }
    let mut nodes = roster.nodes().to_vec();
    nodes.swap(0, 1);
    let swapped = Roster::new("Demo city".into(), nodes, roster.planners().to_vec()).expect("a roster");
    assert_ne!(swapped.hash(), roster.hash(), "the order gives the ids");
}

#[test]
fn the_hash_is_pinned() {
    let hex: String = Roster::parse(&sample()).expect("a roster").hash().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "6154a0db179ab30287b05e87bb5e738b5a9761a2a61ab2f43aef6742d1946255");
}

#[test]
fn what_is_wrong_is_named() {
    let text = sample();
    refused("", "city");
    refused(&text.replace("city =", "town ="), "town");
    refused(&text.replace("addr = \"127.0.0.1:7101\"", "addr = \"127.0.0.1:7101\"\nport = 3"), "port");
    refused(&text.replace("\"energy\"", "\"transport\""), "`transport` is used twice");
    refused(&text.replace("planning-office", "transport"), "`transport` is used twice");
    refused(&text.replace(&key(2).to_string(), &key(1).to_string()), "`transport` and `energy` have the same key");
    refused(&text.replace(&key(5).to_string(), &key(1).to_string()), "`transport` and `planning-office` have the same key");
    refused(&text.replace(":7102", ":7101"), "same address 127.0.0.1:7101");
    refused(&text.replace("role = \"coordinator\"", "role = \"party\""), "has an `api`");
    refused(&text.replace("api = \"http://127.0.0.1:7180\"", ""), "needs an `api`");
    refused(&text.replace("http://127.0.0.1:7180", "127.0.0.1:7180"), "http://");
    refused(&text.replace("127.0.0.1:7102", "127.0.0.1"), "host:port");
    refused(&text.replace("127.0.0.1:7102", "127.0.0.1:0"), "host:port");
    refused(&text.replace("role = \"party\"", "role = \"observer\""), "observer");
    refused(&text.replace("ed25519:", "ed25518:"), "public key");
    for name in ["Energy", "1energy", "en ergy", "en-ergy", "", "énergie", &"e".repeat(64)] {
        refused(&text.replace("\"energy\"", &format!("\"{name}\"")), "cannot name a node");
    }
    for name in RESERVED {
        refused(&text.replace("\"energy\"", &format!("\"{name}\"")), "reserved");
    }
    refused(&text.replace("planning-office", "Planning Office"), "cannot name a planner");
}

#[test]
fn there_are_exactly_three_parties_and_one_coordinator() {
    let roster = Roster::parse(&sample()).expect("a roster");
    let with = |nodes: Vec<Node>| Roster::new("c".into(), nodes, vec![]);
    let nodes = roster.nodes();
    assert_eq!(with(nodes[1..].to_vec()), Err(RosterError::Parties(2)));
    assert_eq!(with(nodes[..3].to_vec()), Err(RosterError::NoCoordinator));
    let mut four = nodes.to_vec();
    four.push(Node { name: "water".into(), key: key(9), addr: "127.0.0.1:7104".into(), ..nodes[0].clone() });
    assert_eq!(with(four.clone()), Err(RosterError::Parties(4)));
    four[4].role = Role::Coordinator;
    four[4].api = Some("http://h".into());
    assert_eq!(with(four), Err(RosterError::Coordinators("coordinator, water".into())));
}

#[test]
fn a_file_error_names_the_file() {
    let error = Roster::load("/nonexistent/roster.toml").expect_err("no such file").to_string();
    assert!(error.contains("/nonexistent/roster.toml"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_no_roster() {
    let error = Roster::load("/dev/zero").expect_err("it is longer than any roster").to_string();
    assert!(error.contains("longer than 1 MiB"), "{error}");
}
