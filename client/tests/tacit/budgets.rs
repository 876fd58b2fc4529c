//! A coordinator that lies about budgets: what it says is left is shown as its word, and decides nothing. Nodes go by their own mirrors of the log.

use crate::fixture::{Said, Town, said};
use ledger::contract::{Contract, Dp, DpMode, NoiseLaw};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const POINTS: &str = "SELECT SUM(latest_score) AS points FROM health.restaurants";
/// What a planner may spend in a month, in millionths.
const MONTH: u64 = 500_000;

#[test]
fn what_a_coordinator_says_is_left_is_its_word_and_the_nodes_decide() {
    let mut town = Town::invented();
    protected(&town, |_| {});
    town.up();
    let said_to_be_spent = Arc::new(Mutex::new(None));
    let liar = before(coordinator(&town), said_to_be_spent.clone());
    let config = town.city.planner_config();
    let honest = std::fs::read_to_string(&config).expect("the planner's configuration");
    // Top-level keys come before the tables.
    std::fs::write(&config, format!("coordinator = \"http://{liar}\"\n{honest}")).expect("written");
    let lies = |spent: u64| *said_to_be_spent.lock().expect("whole") = Some(spent);

    // Nothing is left, it says: EXPLAIN shows that, as its word. The question is asked and answered all the same.
    lies(MONTH);
    shows(&town, "0", "0.4");
    assert_eq!(asked(&town, "0.4").code, 0, "{}", town.logs());
    // All is left, it says. The owner's node knows what was spent.
    lies(0);
    shows(&town, "0.5", "0.2");
    let refused = asked(&town, "0.2");
    assert!(refused.code == 3 && refused.out.is_empty(), "{}", refused.out);
    for part in ["E_BUDGET", "`health`", "costs ε = 0.2", "has ε = 0.1, "] {
        assert!(refused.err.contains(part), "{part}: {}\n{}", refused.err, town.logs());
    }
    // What is really left can be spent.
    assert_eq!(asked(&town, "0.1").code, 0, "{}", town.logs());
}

/// Contracts make noise of their own. Of two that allow a question the planner's client names the one under which it was answered, though that is used up.
#[test]
fn the_same_question_is_asked_under_the_contract_by_which_it_was_answered() {
    let mut town = Town::invented();
    protected(&town, |contract| contract.max_uses = Some(1));
    town.up();
    let first = asked(&town, "0.4");
    assert_eq!(first.code, 0, "{}\n{}", first.err, town.logs());
    town.more_terms("health.restaurants", "more.contract", |contract| contract.max_uses = None);
    let again = asked(&town, "0.4");
    assert!(again.code == 0 && again.out == first.out, "{} {}\n{}", first.out, again.out, again.err);
    shows(&town, "0.1", "0.1");
    // Another question is asked under the one that is not used up.
    let other = asked(&town, "0.1");
    assert!(other.code == 0 && other.out != first.out, "{}\n{}", other.err, town.logs());
    shows(&town, "0", "0.1");
    assert_eq!(asked(&town, "0.4").out, first.out, "nothing is left, and it costs nothing");
}

/// The contract of a data set, under which a planner may spend 0.5 a month.
fn protected(town: &Town, change: impl FnOnce(&mut Contract)) {
    let number = |text: &str| text.parse().expect("a number");
    let dp = Dp {
        epsilon_per_query_max: number("0.4"),
        epsilon_month: number("0.5"),
        epsilon_month_all: None,
        delta: "0.000001".parse().expect("a number"),
        mode: DpMode::Required,
        noise: NoiseLaw::Laplace,
    };
    town.terms("health.restaurants", |contract| {
        (contract.entity_key, contract.dp) = (Some("camis".into()), Some(dp));
        contract.clamp.insert("latest_score".into(), ("0".parse().expect("a bound"), "50".parse().expect("a bound")));
        change(contract);
    });
}

fn asked(town: &Town, epsilon: &str) -> Said {
    said(town.command(&["query", POINTS, "--format", "csv", "--epsilon", epsilon]))
}

/// EXPLAIN says that so much is left, and whose word that is.
fn shows(town: &Town, left: &str, epsilon: &str) {
    let told = town.run(&["explain", POINTS, "--epsilon", epsilon]);
    for part in [&format!("health.restaurants: ε = {left}, δ = "), ", as the coordinator says; nodes go by their own mirrors of the log"]
    {
        assert!(told.code == 0 && told.out.contains(part), "{part}: {}{}", told.out, told.err);
    }
}

fn coordinator(town: &Town) -> SocketAddr {
    let api = town.city.roster().coordinator().api.clone().expect("its API");
    api.strip_prefix("http://").expect("HTTP").parse().expect("an address")
}

/// Before a coordinator's API: passes on what is asked, and answers `GET /v1/standing` with another ε as spent by this planner. Its threads end with the test program.
fn before(back: SocketAddr, spent: Arc<Mutex<Option<u64>>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let front = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let spent = spent.clone();
            // Who goes away in the middle ends his own connection alone.
            thread::spawn(move || pass_on(near, back, &spent).ok());
        }
    });
    front
}

fn pass_on(mut near: TcpStream, back: SocketAddr, spent: &Mutex<Option<u64>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(near.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut far = TcpStream::connect(back)?;
    far.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    far.write_all(&body)?;
    if !head.starts_with("GET /v1/standing?") {
        return std::io::copy(&mut far, &mut near).map(drop);
    }
    let mut answer = String::new();
    far.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut standing: Value = serde_json::from_str(body).expect("JSON");
    if let Some(spent) = *spent.lock().expect("whole") {
        let month = ledger::budget::month(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs());
        let account = serde_json::json!({"of": "health.restaurants", "planner": client::city::PLANNER, "month": month});
        let decimal = format!("{}.{:06}", spent / 1_000_000, spent % 1_000_000);
        let epsilon = if spent == 0 { "0".to_owned() } else { decimal.trim_end_matches('0').to_owned() };
        standing["spent"] = serde_json::json!([{"account": account, "loss": {"epsilon": epsilon, "delta": "0"}}]);
    }
    let body = standing.to_string();
    let length = body.len();
    write!(near, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
