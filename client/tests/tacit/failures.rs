//! What goes wrong in a running city: a party is killed in mid-job, the coordinator is killed with jobs in its queue.

use crate::fixture::{QUICK, Town, text};
use client::error::Error;
use client::{Ask, Client};
use query::message::frame::Stage;
use query::message::job::{JobState, What};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn the_city_survives_the_death_of_its_nodes() {
    let mut town = Town::invented();
    town.up();
    another_version_of_a_dictionary_is_named(&town);
    another_version_at_an_agency_is_named(&mut town);
    a_party_dies_in_mid_job(&mut town);
    ctrl_c_takes_a_query_back(&mut town);
    the_coordinator_dies_with_jobs_in_its_queue(&mut town);
}

/// A planner whose catalogue has another dictionary than the city's is told which.
fn another_version_of_a_dictionary_is_named(town: &Town) {
    let catalogue = town.city.folder().join("catalogue.toml");
    let ours = std::fs::read_to_string(&catalogue).expect("the catalogue");
    let theirs = ours.replacen("[\"A\", \"B\", \"C\", \"D\"]", "[\"A\", \"B\", \"C\", \"D\", \"E\"]", 1);
    assert_ne!(ours, theirs);
    std::fs::write(&catalogue, theirs).expect("written");
    let (asked, doctor) = (town.run(&["query", QUICK]), town.run(&["doctor"]));
    std::fs::write(&catalogue, ours).expect("written");
    let named = "the dictionary of energy.graded_buildings.grade has `E` here, and not there";
    assert!(asked.code != 0 && asked.err.contains("E_CATALOG") && asked.err.contains(named), "{}", asked.err);
    assert!(doctor.code != 0 && doctor.out.contains(named), "{}", doctor.out);
}

/// An agency whose catalogue has another dictionary than the city's: whoever asks is told which, and so are the agency and the city's operators.
fn another_version_at_an_agency_is_named(town: &mut Town) {
    let config = town.city.node_config("energy").expect("its configuration").to_owned();
    let (ours, theirs) = (std::fs::read_to_string(&config).expect("read"), town.city.folder().join("theirs.toml"));
    let catalogue = std::fs::read_to_string(town.city.folder().join("catalogue.toml")).expect("the catalogue");
    std::fs::write(&theirs, catalogue.replacen("[\"A\", \"B\", \"C\", \"D\"]", "[\"A\", \"B\", \"C\", \"D\", \"E\"]", 1)).expect("written");
    std::fs::write(&config, ours.replacen("../catalogue.toml", "../theirs.toml", 1)).expect("written");
    lose(town, "energy");
    town.city.start("energy").expect("started");
    let client = town.client();
    town.runtime.block_on(async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while client.status().await.expect("the coordinator answers").parties.iter().all(|party| party.trouble.is_none()) {
            pause.tick().await;
        }
    });
    let (asked, doctor) = (town.run(&["query", QUICK]), town.run(&["doctor"]));
    let at_home = town.run(&["doctor", text(&config)]);
    std::fs::write(&config, ours).expect("written");
    lose(town, "energy");
    town.up();
    let dictionary = "the dictionary of energy.graded_buildings.grade has `E`";
    let named = format!("`energy` has another catalogue than the coordinator: {dictionary} there, and not here");
    assert!(asked.code == 3 && asked.err.contains("E_CATALOG") && asked.err.contains(&named), "{}", asked.err);
    assert!(doctor.code != 0 && doctor.out.contains(&named), "{}", doctor.out);
    assert!(at_home.code != 0 && at_home.out.contains(&format!("{dictionary} here, and not there")), "{}", at_home.out);
}

/// At its owner this takes far longer than the test does, unless the job is over before.
const LONG: &str = "SELECT COUNT(*) AS n FROM transport.green_trips a CROSS JOIN transport.green_trips b \
    CROSS JOIN transport.taxi_zones z WHERE a.duration_s + b.duration_s > z.location_id * 100000";

fn a_party_dies_in_mid_job(town: &mut Town) {
    let client = town.client();
    let asked = town.runtime.block_on(client.submit(LONG, &Ask::default())).expect("submitted");
    let Town { city, runtime, .. } = town;
    let mut killed = None;
    let ended = runtime.block_on(client.follow(asked.job, &mut |event| {
        // Whoever is in its local stage has a session with all the others.
        if killed.is_none() && matches!(&event.what, What::Progress(p) if p.progress.stage >= Stage::Local) {
            city.kill("energy");
            killed = Some(Instant::now());
        }
    }));
    let waited = killed.expect("it was in mid-job").elapsed();
    let error = ended.expect_err("no answer without energy");
    assert!(waited < Duration::from_secs(5), "the planner knows after {waited:?}");
    assert!(matches!(error, Error::Job(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("E_PEER") && text.contains("energy") && text.contains("to mend it"), "{text}");

    for name in ["coordinator", "transport", "health"] {
        assert!(town.city.is_running(name), "{name} stays up:\n{}", town.logs());
    }
    town.healthy();
    town.up();
    let answer = town.runtime.block_on(client.ask(QUICK, &Ask::default(), |_| {}));
    let answer = answer.unwrap_or_else(|e| panic!("the next question works once it is back: {e}\n{}", town.logs()));
    assert!(answer.rows.num_rows() > 0);
}

/// Kills a party, and waits until the coordinator has noticed.
fn lose(town: &mut Town, name: &str) {
    town.city.kill(name);
    let client = town.client();
    town.runtime.block_on(async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while client.status().await.expect("the coordinator answers").parties.iter().any(|p| p.name == name && p.connected) {
            pause.tick().await;
        }
    });
}

fn ctrl_c_takes_a_query_back(town: &mut Town) {
    lose(town, "energy");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tacit"));
    command.args(["query", QUICK]).env("TACIT_CONFIG", town.city.planner_config());
    let mut query = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    let mut said = BufReader::new(query.stderr.take().expect("its standard error"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.contains("waiting for energy"), "{line}");
    // There is no way to send SIGINT from the standard library.
    let sent = std::process::Command::new("kill").args(["-INT", &query.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(query.wait().expect("it ended").code(), Some(130));
    line.clear();
    said.read_line(&mut line).expect("a line");
    assert!(line.contains("cancelled the job"), "{line}");
    let jobs = town.runtime.block_on(town.client().jobs()).expect("the jobs");
    assert!(jobs.iter().any(|job| job.state == JobState::Cancelled));
    town.up();
}

fn the_coordinator_dies_with_jobs_in_its_queue(town: &mut Town) {
    let client = town.client();
    // Without energy nothing can start.
    lose(town, "energy");
    let asked: Vec<_> = (0..2).map(|_| town.runtime.block_on(client.submit(QUICK, &Ask::default())).expect("submitted")).collect();
    town.city.kill("coordinator");
    assert!(matches!(town.runtime.block_on(client.jobs()), Err(Error::Connection { .. })));
    town.city.start("coordinator").expect("started");
    town.healthy();
    for job in &asked {
        assert_eq!(state(town, &client, job.job), JobState::Queued, "it is still there");
    }
    town.city.start("energy").expect("started");
    for job in &asked {
        let done = town.runtime.block_on(client.follow(job.job, &mut |_| {}));
        done.unwrap_or_else(|e| panic!("{e}\n{}", town.logs()));
        let answer = town.runtime.block_on(client.answer(job)).expect("an answer");
        assert!(answer.rows.num_rows() > 0);
    }
}

fn state(town: &Town, client: &Client, job: query::message::QueryId) -> JobState {
    town.runtime.block_on(client.job(job)).expect("the job").state
}
