//! `tacit audit`: what a log says of one data set, to people, to programs, and on paper.

use crate::fixture::{Said, run, text};
use crate::log::{AGENCIES, City, NOW, PLANNER, json, key, public, signed};
use ledger::bytes::Hash;
use ledger::contract::{Contract, Decimal, Dp, DpMode, NoiseLaw, Price, everything};
use ledger::entry::{self, Abort, Body, Column, DataSet, Debit, Entry, Opening, Outcome, Query, Read, Revoke, Start, countersign};
use ledger::key::KeyKind;
use serde_json::Value;
use std::fs;
use std::path::Path;

const DATASET: &str = "energy.buildings";
/// A name that tries to be more than a name, wherever text of the log comes out.
const HOSTILE: &str = "\"><script>alert('x')</script>&amp;\u{202e}<!--";

fn hash(word: &str) -> Hash {
    Hash::sha256(&[word.as_bytes()])
}

fn id(entry: &str) -> Hash {
    Entry::parse(entry.as_bytes()).expect("an entry").id
}

/// Seven uses, ε 2 a month, and 3 credit an answer.
fn terms(dataset: &str) -> String {
    let owner = entry::owner(dataset).expect("an owner");
    let planners = vec![public(PLANNER, KeyKind::Note)];
    let contract = Contract::new(dataset, public(owner, KeyKind::Note), planners, everything(["zone", "kwh"]), NOW).expect("a contract");
    let dp = Dp {
        epsilon_per_query_max: Decimal(1_000_000),
        epsilon_month: Decimal(2_000_000),
        epsilon_month_all: None,
        delta: Decimal(0),
        mode: DpMode::Optional,
        noise: NoiseLaw::Laplace,
    };
    let price = Price { unit: "credit".into(), per_use: 3 };
    let contract = Contract { max_uses: Some(7), dp: Some(dp), price: Some(price), nonce: hash(dataset), ..contract };
    contract.sign(key(owner).signing_key()).expect("signed")
}

fn snapshot(dataset: &str) -> String {
    let columns = ["zone", "kwh", "grade"].map(|name| Column { name: name.into(), sql_type: "BIGINT".into() }).into();
    signed(&Body::DataSet(DataSet { dataset: dataset.into(), snapshot: hash(dataset), columns }), entry::owner(dataset).expect("an owner"))
}

fn statement(word: &str) -> Opening {
    Opening { salt: hash(word), value: format!("SELECT SUM(kwh) -- {word}\nFROM energy.buildings") }
}

/// Columns of energy.buildings that a job reads, and its purpose.
fn query(word: &str, columns: &[&str], purpose: &str) -> String {
    let read = |dataset: &str, columns: &[&str]| Read {
        dataset: dataset.into(),
        snapshot: hash(dataset),
        columns: columns.iter().map(|&name| name.into()).collect(),
    };
    let query = Query {
        job: hash(word),
        purpose: purpose.into(),
        contracts: [DATASET, "health.stays"].map(|dataset| id(&terms(dataset))).into(),
        reads: vec![read(DATASET, columns), read("health.stays", &["zone"])],
        parties: AGENCIES.map(String::from).into(),
        receivers: vec![PLANNER.into()],
        plan_hash: hash("plan"),
        statement: statement(word).commitment(),
        expires: NOW + 60,
    };
    signed(&Body::Query(query), PLANNER)
}

fn debits(word: &str, month: &str) -> [String; 2] {
    [DATASET, "health.stays"].map(|dataset| {
        let contract = id(&terms(dataset));
        let debit = Debit {
            job: hash(word),
            dataset: dataset.into(),
            contract,
            month: month.into(),
            uses: 1,
            epsilon: 750_000,
            delta: Decimal(0),
            noise: Some(hash(word)),
        };
        signed(&Body::Debit(debit), entry::owner(dataset).expect("an owner"))
    })
}

fn by_all(body: &Body) -> String {
    let first = signed(body, AGENCIES[0]);
    AGENCIES[1..].iter().fold(first, |entry, name| countersign(&entry, name, key(name).signing_key()).expect("signed"))
}

fn start(word: &str, attempt: u64) -> String {
    by_all(&Body::Start(Start { job: hash(word), attempt, plan_hash: hash("plan") }))
}

fn answer(word: &str) -> Opening {
    Opening { salt: hash(word), value: format!("kwh\n{HOSTILE}\n") }
}

/// Four jobs: one answered at its second attempt, one that counts rows and runs, one that ended, and one that waits.
fn city() -> City {
    let mut city = City::founded();
    city.append([terms(DATASET), terms("health.stays"), snapshot(DATASET), snapshot("health.stays")]);
    let mut entries = vec![query("one", &["kwh", "zone"], "https://w3id.org/dpv#PublicBenefit heating")];
    entries.extend(debits("one", "2026-12"));
    entries.push(start("one", 1));
    entries.push(signed(&Body::Abort(Abort { job: hash("one"), attempt: 1, code: "E_PEER_GONE".into() }), "health"));
    entries.push(start("one", 2));
    entries.push(by_all(&Body::Result(Outcome { job: hash("one"), attempt: 2, result: answer("one").commitment() })));
    entries.push(query("two", &[], HOSTILE));
    entries.extend(debits("two", "2027-01"));
    entries.push(start("two", 1));
    entries.push(query("three", &["zone"], "charging"));
    entries.push(signed(&Body::Abort(Abort { job: hash("three"), attempt: 1, code: "E_TIMEOUT".into() }), "energy"));
    entries.push(query("four", &["zone"], "charging"));
    city.append(entries);
    city
}

fn audit(city: &City, log: &Path, more: &[&str]) -> Said {
    let (policy, roster) = (city.path("policy"), city.path("roster.toml"));
    let args = ["audit", text(log), "--dataset", DATASET, "--policy", text(&policy), "--roster", text(&roster)];
    run(&[&args[..], more].concat())
}

#[test]
fn every_question_that_touched_a_column_is_told_with_its_proof() {
    let city = city();
    let tiles = city.download();
    let said = audit(&city, &tiles, &["--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let told = json(&said.out);
    let of = |key: &str| told["questions"].as_array().expect("questions").iter().map(|one| one[key].clone()).collect::<Vec<Value>>();
    assert_eq!(of("state"), ["released", "running", "aborted", "waiting"]);
    assert_eq!(of("columns"), [json(r#"["kwh","zone"]"#), json(r#"["*"]"#), json(r#"["zone"]"#), json(r#"["zone"]"#)]);
    assert_eq!(of("month"), ["2026-12", "2027-01", "2027-01", "2027-01"]);
    assert_eq!(of("planner"), [PLANNER; 4]);
    assert_eq!(of("code")[2], "E_TIMEOUT");
    let first = &told["questions"][0];
    assert_eq!(first["result"], answer("one").commitment().to_string());
    assert_eq!(first["statement"], statement("one").commitment().to_string());
    assert_eq!((&first["sql"], &first["answer"]), (&Value::Null, &Value::Null), "nobody gave an opening");
    assert_eq!((&first["debit"]["uses"], &first["debit"]["epsilon"]), (&1.into(), &"0.75".into()));
    assert_eq!((first["at"]["index"].as_u64(), first["snapshot"].as_str()), (Some(8), Some(&*hash(DATASET).to_string())));
    let steps: Vec<&Value> = first["steps"].as_array().expect("steps").iter().map(|step| &step["is"]).collect();
    assert_eq!(steps, ["started", "aborted", "started", "released"]);
    assert_eq!(told["columns"], json(r#"["*","grade","kwh","zone"]"#));
    let total = |group: &str, name: &str| {
        let all = told["totals"][group].as_array().expect("totals");
        let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {all:?}"));
        (one["questions"].as_u64(), one["released"].as_u64(), one["uses"].as_u64(), one["epsilon"].as_str().map(String::from))
    };
    assert_eq!(total("columns", "zone"), (Some(3), Some(1), Some(1), Some("0.75".into())));
    // What is asked for an answer is to be paid for what was answered.
    assert_eq!(of("price"), [json(r#"{"amount":3,"unit":"credit"}"#), Value::Null, Value::Null, Value::Null]);
    assert_eq!(told["totals"]["all"]["price"], json(r#"{"credit":3}"#));
    assert_eq!(total("planners", PLANNER), (Some(4), Some(1), Some(2), Some("1.5".into())));
    assert_eq!(total("months", "2027-01"), (Some(3), Some(0), Some(1), Some("0.75".into())));
    assert_eq!(total("purposes", "charging"), (Some(2), Some(0), Some(0), Some("0".into())));
    let contract = &told["contracts"][0];
    assert_eq!(
        (&contract["uses_left"], &contract["spent"][0]["left"], &contract["state"]),
        (&5.into(), &"1.25".into(), &"in force".into())
    );
    // Only energy's side of a debit is in it; every entry that is has its proof.
    let kinds: Vec<&Value> = told["entries"].as_array().expect("entries").iter().map(|entry| &entry["kind"]).collect();
    assert_eq!((kinds.len(), kinds.iter().filter(|kind| **kind == "job-debit").count()), (14, 2));
    assert!(
        told["entries"].as_array().expect("entries").iter().all(|entry| entry["proof"].as_array().is_some_and(|proof| !proof.is_empty()))
    );

    // To people: the same, and nothing that moves the cursor or ends a line.
    let said = audit(&city, &city.path("log"), &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "energy.buildings: 4 questions, 1 answered; 2 uses, ε 1.5, price 3 credit\n",
        "| released ",
        "| aborted, E_TIMEOUT ",
        "| https://w3id.org/dpv#PublicBenefit heating ",
        "in force | 2    | 5    | planning-office | 2026-12 | 0.75 | 1.25",
        "Every hash, signature and rule of the log holds.",
    ] {
        assert!(said.out.contains(part), "{part}:\n{}", said.out);
    }
}

#[test]
fn a_question_that_was_refused_takes_no_use_and_one_whose_answer_may_be_out_does() {
    let mut city = city();
    for (word, month, code) in [("five", "2026-12", "E_DIFFERENCE"), ("six", "2027-01", entry::SEALED)] {
        let abort = signed(&Body::Abort(Abort { job: hash(word), attempt: 1, code: code.into() }), "energy");
        city.append([vec![query(word, &["kwh"], "heating")], debits(word, month).into(), vec![start(word, 1), abort]].concat());
    }
    let (log, page) = (city.path("log"), city.path("page.html"));
    let said = audit(&city, &log, &["--html", text(&page)]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in ["energy.buildings: 6 questions, 1 answered; 3 uses, ε 3, price 3 credit\n", "in force | 3    | 4    | planning-office"] {
        assert!(said.out.contains(part), "{part}:\n{}", said.out);
    }
    let html = fs::read_to_string(&page).expect("the page");
    for part in [
        "They cost 3 uses of the data set's contracts and a privacy loss of ε 3.",
        "1 use, given back, ε 0.75 (2026-12)",
        "1 use, ε 0.75 (2027-01)",
    ] {
        assert!(html.contains(&part.replace('\'', "&#39;")), "{part}");
    }
    let told = json(&audit(&city, &log, &["--json"]).out);
    // Only what nobody has begun or ended waits.
    let (policy, roster) = (city.path("policy"), city.path("roster.toml"));
    let whole =
        |more: &[&str]| run(&[&["ledger", "audit", text(&log), "--policy", text(&policy), "--roster", text(&roster)], more].concat()).out;
    let said = whole(&[]);
    assert!(said.contains("6 jobs: 1 done, 3 refused or aborted, 1 running, 1 waiting\n"), "{said}");
    assert_eq!(json(&whole(&["--json"]))["jobs"], json(r#"{"done":1,"ended":3,"running":1,"waiting":1}"#));
    let held: Vec<&Value> = told["questions"].as_array().expect("questions").iter().map(|one| &one["uses_held"]).collect();
    assert_eq!(held, [1, 1, 0, 0, 0, 1]);
    assert_eq!((&told["totals"]["all"]["uses"], &told["contracts"][0]["uses"]), (&3.into(), &3.into()));
}

#[test]
fn questions_are_chosen_by_column_planner_and_month() {
    let city = city();
    let log = city.path("log");
    let chosen = |more: &[&str]| {
        let said = audit(&city, &log, &[more, &["--json"]].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        let told = json(&said.out);
        assert_eq!(told["contracts"][0]["uses_left"], 5, "what is left is left, whatever is asked for");
        told["questions"].as_array().expect("questions").iter().map(|one| one["at"]["index"].as_u64().expect("a place")).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["--column", "zone"]), [8, 19, 21]);
    assert_eq!(chosen(&["--column", "*"]), [15]);
    assert!(chosen(&["--column", "grade"]).is_empty());
    assert_eq!(chosen(&["--planner", PLANNER, "--until", "2026-12"]), [8]);
    assert_eq!(chosen(&["--since", "2027-01"]), [15, 19, 21]);
    for (more, says) in [
        (&["--column", "zones"][..], "has no column `zones`; it has *, grade, kwh, zone"),
        (&["--planner", "press"], "`press` asked nothing of energy.buildings; planning-office did"),
        (&["--since", "2027"], "not a month such as 2026-11"),
        (&["--openings", "/nonexistent"], "there is no such folder"),
    ] {
        let said = audit(&city, &log, more);
        assert!(said.code == 2 && said.err.contains(says), "{more:?}: {}", said.err);
    }
    let (policy, roster) = (city.path("policy"), city.path("roster.toml"));
    let said = run(&["audit", text(&log), "--dataset", "energy.builds", "--policy", text(&policy), "--roster", text(&roster)]);
    assert!(said.code == 2 && said.err.contains("it has energy.buildings, health.stays"), "{}", said.err);
}

#[test]
fn receipts_are_written_that_verify_and_openings_are_shown() {
    let city = city();
    let (tiles, proofs, openings) = (city.download(), city.path("proofs"), city.path("openings"));
    fs::create_dir(&openings).expect("a folder");
    for (name, opening) in [("statement", statement("one")), ("answer", answer("one")), ("other", statement("elsewhere"))] {
        fs::write(openings.join(name), serde_json::to_string(&opening).expect("JSON")).expect("written");
    }
    let said = audit(&city, &tiles, &["--proofs", text(&proofs), "--openings", text(&openings)]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("entry 8 asked:\n  SELECT SUM(kwh) -- one\n  FROM energy.buildings\n"), "{}", said.out);
    assert!(said.out.contains("entry 8 was answered:\n  kwh\n") && !said.out.contains("elsewhere"), "{}", said.out);
    let policy = city.path("policy");
    let check = |proof: &str, note: &str| {
        let [proof, note] = [(proof, "proof"), (note, "note")].map(|(name, what)| proofs.join(format!("{name}.{what}")));
        run(&["ledger", "verify", text(&proof), "--entry", text(&note), "--policy", text(&policy)])
    };
    let names = fs::read_dir(&proofs).expect("a folder").map(|file| file.expect("a file").path());
    let names: Vec<String> =
        names.filter(|path| path.extension().is_some_and(|is| is == "proof")).map(|path| text(&path.with_extension("")).into()).collect();
    assert_eq!(names.len(), 14);
    for name in &names {
        let said = check(name, name);
        assert_eq!(said.code, 0, "{name}: {}", said.err);
    }
    assert!(check("8-job-query", "15-job-query").err.contains("E_LEDGER_PROOF"));

    fs::write(openings.join("bad"), "{}").expect("written");
    let said = audit(&city, &tiles, &["--openings", text(&openings)]);
    assert!(said.code == 2 && said.err.contains("bad: it is no opening"), "{}", said.err);
}

#[test]
fn the_page_says_it_on_paper_whatever_the_log_holds() {
    let mut city = city();
    city.append([signed(&Body::Revoke(Revoke { contract: id(&terms(DATASET)), reason: Some(HOSTILE.into()) }), "energy")]);
    let (tiles, page, openings) = (city.download(), city.path("page.html"), city.path("openings"));
    fs::create_dir(&openings).expect("a folder");
    fs::write(openings.join("answer"), serde_json::to_string(&answer("one")).expect("JSON")).expect("written");
    let said = audit(&city, &tiles, &["--html", text(&page), "--openings", text(&openings)]);
    assert_eq!(said.code, 0, "{}", said.err);
    let html = fs::read_to_string(&page).expect("the page");
    for part in [
        "4 questions were asked of the data set energy.buildings (owner: energy). One was answered.",
        "They read rows, kwh and zone.",
        "Nothing was asked of grade.",
        "<figcaption>Questions by month</figcaption>",
        "at most ε 2 a planner and month",
        "No contract is in force: nothing more may be asked.",
        "<p>2 uses so far; 0 left.</p>",
        "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;\u{fffd}&lt;!--",
        &hash("one").to_string(),
    ] {
        assert!(html.contains(part), "{part}");
    }
    // What a paper needs: at its top what it is of, whose, as of when and from where; a number on every page; words for every column.
    let top = html.split("<h2>").next().expect("what is above the first heading");
    for (word, what) in [
        ("data set", DATASET),
        ("owner", "energy"),
        ("questions", "all in the log: 4, of 2026-12 to 2027-01"),
        ("as of", "2027-01-15T08:00:00Z (UTC), the newest time that an agency put to the log"),
        ("from the log", &format!("city.example/ledger ({} entries)", city.published().head().size)),
        ("cosigned by", "energy, health, transport"),
    ] {
        assert!(top.contains(&format!("<tr><th scope=\"row\">{word}</th>\n<td>{what}</td>\n</tr>")), "{word}: {top}");
    }
    assert!(html.contains("'Page ' counter(page) ' of ' counter(pages)"));
    assert!(!html.contains("\"></th>") && !html.contains("<th>") && html.contains("<th scope=\"col\" class=\"number\">questions</th>"));
    // Nothing of the log is more than text, and nothing is loaded from elsewhere.
    for never in ["<script", "<!--", "\u{202e}", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(never), "{never}");
    }
    let log = format!("{} --policy {} --roster {}", text(&tiles), text(&city.path("policy")), text(&city.path("roster.toml")));
    for command in [format!("tacit ledger audit {log}"), format!("tacit audit {log} --dataset energy.buildings --proofs proofs")] {
        assert!(html.contains(&format!("<pre>{command}</pre>")), "{command}");
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        let mut command = crate::fixture::tacit(&args);
        command.current_dir(city.folder.path());
        assert_eq!(crate::fixture::said(command).code, 0, "{args:?}");
    }
    let verify = html.split("<pre>").filter_map(|rest| rest.strip_prefix("tacit ledger verify ")).next().expect("a command");
    let args: Vec<&str> = verify.split("</pre>").next().expect("its end").split(' ').collect();
    let mut command = crate::fixture::tacit(&[&["ledger", "verify"], &args[..]].concat());
    command.current_dir(city.folder.path());
    assert_eq!(crate::fixture::said(command).code, 0, "{args:?}");
    well_formed(&html);
}

/// Whether every element that begins ends, in order, and every `&` begins a reference: then it is XML, too.
fn well_formed(html: &str) {
    let mut rest = html.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    while let Some(at) = rest.find('<') {
        let between = &rest[..at];
        for reference in between.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| reference.starts_with(known)), "{between}");
        }
        let (tag, after) = rest[at + 1..].split_once('>').expect("a tag's end");
        rest = after;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "before {:?}", rest.get(..60)),
            None if tag.ends_with('/') => assert!(tag.matches('"').count().is_multiple_of(2), "{tag}"),
            None => {
                assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
                open.push(tag.split(' ').next().expect("a name"));
            }
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
}
