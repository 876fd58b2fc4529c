//! The README's tour, as it stands there: a city of one's own, the question, its cost, its answer, and what is said when it does not work.

use crate::fixture::{Said, said, tacit, text, until};
use crate::signals::{free_ports, start};
use std::path::{Path, PathBuf};
use std::process::Child;

#[test]
fn the_tour_of_the_readme_goes_as_it_says() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).expect("the README");
    let folder = tempfile::tempdir().expect("a folder");
    let city = folder.path().join("city");
    let init = said(tacit(&["init", text(&city), "--base-port", &free_ports()]));
    assert_eq!(init.code, 0, "{}", init.err);
    let mut tour = Tour { city, nodes: Vec::new() };
    for (command, config) in [
        ("coordinator", "coordinator/coordinator.toml"),
        ("party", "transport/party.toml"),
        ("party", "energy/party.toml"),
        ("party", "health/party.toml"),
    ] {
        assert!(readme.contains(&format!("$ tacit {command} --config city/{config}")), "{command}");
        tour.nodes.push(start(&[command, "--config", text(&tour.city.join(config))], folder.path()));
    }
    until(|| (tour.run(&["doctor"]).code == 0).then_some(()));
    let doctor = tour.run(&["doctor"]);
    assert!(doctor.out.contains("Everything that was checked works.") && readme.contains("Everything that was checked works."));

    let question = block(&readme, "```sql\n");
    let file = folder.path().join("question.sql");
    std::fs::write(&file, question).expect("written");
    let explain = tour.run(&["explain", "-f", text(&file)]);
    let together = explain.out.find("Together (on shares)").expect("the joint stage");
    let answer = explain.out.find("\nAt the planner").expect("the planner's part");
    let shown = explain.out[together..answer].trim_end();
    assert!(readme.contains(shown), "the README shows other figures than\n{shown}");
    let query = tour.run(&["query", "-f", text(&file)]);
    assert_eq!(query.code, 0, "{}", query.err);
    let (table, footer) = query.out.split_once("(1 row; ").expect("a footer");
    // A contract's id is another each time.
    assert!(without_ids(&readme).contains(&without_ids(table)), "{table}");
    let costs = footer.split_once("; ").expect("a time, then costs").1;
    // Where in the log depends on who was up first.
    let (costs, places) = costs.split_once("; entries ").expect("the log");
    assert!(readme.contains(&format!("{costs}; entries ")) && places.ends_with(" of the log)\n"), "{costs}; {places}");

    let refused = block(&readme, "$ tacit query \"");
    let (sql, says) = refused.split_once("\"\n").expect("the question, then what is said");
    let refused = tour.run(&["query", sql]);
    assert_eq!((refused.code, refused.err.trim_end()), (1, says.trim_end()));

    let denied = block(&readme, "$ tacit query \"SELECT SUM(amount) AS s FROM energy.example\" --purpose ");
    let (purpose, says) = denied.split_once('\n').expect("the purpose, then what is said");
    let denied = tour.run(&["query", "SELECT SUM(amount) AS s FROM energy.example", "--purpose", purpose]);
    assert_eq!(denied.code, 3, "{}", denied.err);
    let says = says.trim_end().trim_end_matches('…');
    let each = says.lines().all(|line| denied.err.contains(line));
    assert!(each, "the README says\n{says}\nand it is\n{}", denied.err);

    let data = tour.city.join("health/data/example.csv");
    let bad = std::fs::read_to_string(&data).expect("the data").replacen("3,4", "3,many", 1);
    std::fs::write(&data, bad).expect("written");
    let doctor = said(tacit(&["doctor", text(&tour.city.join("health/party.toml"))]));
    let line = doctor.out.lines().find(|line| line.contains("FAILED")).expect("a finding");
    assert_eq!(doctor.code, 1);
    assert!(readme.contains(line.trim_end()), "{line}");
}

/// A text without the beginnings of ids, `(1f0a3c9e)`.
fn without_ids(text: &str) -> String {
    let is_id = |id: &str| id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = text.split('(').map(|part| match part.split_once(')') {
        Some((id, rest)) if is_id(id) => format!("…){rest}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("(")
}

/// What stands in the README behind `from`, up to the end of its block.
fn block<'a>(readme: &'a str, from: &str) -> &'a str {
    let at = readme.find(from).unwrap_or_else(|| panic!("the README has {from:?}")) + from.len();
    readme[at..].split("\n```").next().expect("split yields one at least")
}

struct Tour {
    city: PathBuf,
    nodes: Vec<Child>,
}

impl Tour {
    fn run(&self, args: &[&str]) -> Said {
        let mut command = tacit(args);
        command.env("TACIT_CONFIG", self.city.join("planning-office/planner.toml"));
        said(command)
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill().ok();
            node.wait().ok();
        }
    }
}
