//! Nothing of what an agency holds is anywhere else: distinctive values in its tables are, after jobs, in no log, no file and no memory of any other
//! process, in nothing that is served in clear, and in no datagram and no connection among all of them.

use crate::fixture::{Town, text, until};
use crate::relay::{self, Relay};
use client::city::{Allowed, City, Plan, Program, TableFile};
use ledger::bytes::{Base64, Hash};
use ledger::contract::{Dp, DpMode, NoiseLaw};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TABLES: [(&str, &str); 3] = [("transport", "transport.trips"), ("energy", "energy.meters"), ("health", "health.stays")];
const ZONES: &str = "zone\n1\n2\n3\n4\n";
/// Rows of a table; of the first ones all agencies have the same person and name.
const ROWS: usize = 12;
const COMMON: usize = 8;

/// Over public rows, on private numbers, on private texts; sums, comparisons, groups of single rows.
const QUESTIONS: [&str; 4] = [
    "SELECT COUNT(*) AS n, SUM(t.s) AS s FROM public.zones z \
     JOIN (SELECT zone, SUM(amount) AS s FROM transport.trips GROUP BY zone) t ON t.zone = z.zone \
     JOIN (SELECT zone, SUM(amount) AS s FROM energy.meters GROUP BY zone) e ON e.zone = z.zone \
     JOIN (SELECT zone, SUM(amount) AS s FROM health.stays GROUP BY zone) h ON h.zone = z.zone WHERE t.s < e.s OR h.s > t.s",
    "SELECT COUNT(*) AS n, SUM(t.amount) AS s FROM transport.trips t JOIN energy.meters e ON e.person = t.person WHERE e.amount > t.amount",
    "SELECT h.zone, COUNT(*) AS n, SUM(h.amount) AS s FROM energy.meters e JOIN health.stays h ON h.name = e.name GROUP BY h.zone",
    "SELECT t.name, MAX(h.amount) AS most FROM transport.trips t LEFT JOIN health.stays h ON h.person = t.person GROUP BY t.name",
];

/// Of a table whose contract has a minimum group and a budget of noise: nodes keep shares of the one answer, and fingerprints of the other.
const PROTECTED: [(&str, &[&str]); 2] = [
    ("SELECT zone, COUNT(*) AS n, SUM(amount) AS s FROM health.stays GROUP BY zone", &[]),
    ("SELECT COUNT(*) AS n, SUM(amount) AS s FROM health.stays WHERE zone < 3", &["--epsilon", "0.5"]),
];

#[test]
fn what_an_agency_holds_is_nowhere_else() {
    let mut town = town();
    let number = |text: &str| text.parse().expect("a number");
    let delta = "0.000001".parse().expect("a number");
    let dp = Dp {
        epsilon_per_query_max: number("0.5"),
        epsilon_month: number("1"),
        epsilon_month_all: None,
        delta,
        mode: DpMode::Optional,
        noise: NoiseLaw::Laplace,
    };
    town.terms("health.stays", |contract| {
        (contract.entity_key, contract.min_group, contract.dp) = (Some("person".into()), 2, Some(dp));
        contract.clamp.insert("amount".into(), ("0".parse().expect("a bound"), "1000000000000000".parse().expect("a bound")));
    });
    let relays = relay::before(&town);
    town.up();
    let before = among(&relays);
    let mut served = String::new();
    for (sql, more) in QUESTIONS.map(|sql| (sql, &[][..])).into_iter().chain(PROTECTED) {
        let said = town.run(&[&["query", sql, "--format", "csv"], more].concat());
        assert_eq!(said.code, 0, "{sql}: {}\n{}", said.err, town.logs());
        served += &said.err;
    }
    // One that fails, so that what is said of failures is looked at, too.
    let failed = town.run(&["query", QUESTIONS[0], "--purpose", "https://w3id.org/dpv#Marketing"]);
    assert!(failed.code != 0 && failed.err.contains("E_NO_CONSENT"), "{}", failed.err);
    served += &failed.err;
    served += &served_in_clear(&town);

    for (owner, _) in TABLES {
        let kept = files(&town.city.folder().join(owner));
        let keeps = |folder: &str| kept.iter().any(|file| file.parent().is_some_and(|parent| parent.ends_with(folder)));
        assert!(keeps("answers") && (owner != "health" || keeps("released")), "{kept:?}");
    }
    let names: Vec<String> = town.city.node_names().map(ToOwned::to_owned).collect();
    for (owner, table) in TABLES {
        let canaries = Scanner::of(owner);
        assert_eq!(canaries.found(served.as_bytes()), None, "{table} in what is said and served in clear");
        for relay in &relays {
            assert_eq!(canaries.on_the_wire(relay), None, "{table} on the wire ({})", relay.of);
        }
        for node in &names {
            for file in files(&town.city.folder().join(node)) {
                let bytes = fs::read(&file).expect("read");
                assert_eq!(canaries.found(&bytes), None, "{table} in {}", file.display());
            }
            let found = canaries.in_memory(town.city.pid(node).expect("it runs"));
            match node == owner {
                // So that the test can fail: there they are.
                true => assert!(found.is_some(), "{table} at its owner"),
                false => assert_eq!(found, None, "{table} in the memory of {node}"),
            }
        }
    }
    carried(&town, &relays, &served, before);
}

/// That the relays saw what there was to see: all that parties say they sent to one another, the questions, and, so that the test can fail, a canary.
fn carried(town: &Town, relays: &[Relay], served: &str, before: u64) {
    let sent: Vec<u64> = served.lines().filter_map(|l| l.strip_prefix("tacit_sent_payload_bytes_total ")?.parse().ok()).collect();
    assert!(sent.len() == TABLES.len() && sent.iter().all(|bytes| *bytes > 0), "{sent:?}");
    let of = |node: &str, over: &str| relays.iter().find(|relay| relay.of == format!("{node}, {over}")).expect("a relay");
    let among = among(relays) - before;
    assert!(among >= sent.iter().sum(), "{among} bytes on the wire, {sent:?} sent");
    // Of two parties the later one dials: nobody dials the last.
    let silent: Vec<&str> = relays.iter().filter(|relay| relay.bytes() == 0).map(|relay| relay.of.as_str()).collect();
    assert_eq!(silent, ["health, QUIC"]);
    let coordinator = town.city.roster().coordinator();
    let asked = |piece: &[u8]| String::from_utf8_lossy(piece).contains("MAX(h.amount)").then(String::new);
    assert!(of(&coordinator.name, "HTTP").find(asked).is_some(), "questions are asked in clear");

    let (energy, scanner) = (of("energy", "QUIC"), Scanner::of("energy"));
    let datagram = [&[7; 40], name("energy", ROWS - 1).as_bytes(), b"behind"].concat();
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&datagram, energy.front)).expect("sent");
    until(|| scanner.on_the_wire(energy));
}

#[test]
fn the_scanner_finds_what_is_planted() {
    let scanner = Scanner::of("energy");
    let (number, name) = (canary("energy", 3, "amount"), name("energy", ROWS - 1));
    let folder = tempfile::tempdir().expect("a folder");
    let plants = spellings(&number.to_string(), Some(number)).into_iter().chain(spellings(&name, None));
    for (at, (label, bytes)) in plants.enumerate() {
        let file = folder.path().join(format!("{at}"));
        fs::write(&file, [&[7; 4093], &bytes[..], b"more"].concat()).expect("written");
        assert_eq!(files(folder.path()).iter().filter(|f| scanner.found(&fs::read(f).expect("read")).is_some()).count(), at + 1, "{label}");
    }
    // Base64 of what has the value somewhere in it.
    for before in 0..3 {
        let text = Base64([&vec![9; before][..], name.as_bytes(), b"behind"].concat()).to_string();
        assert!(scanner.found(text.as_bytes()).is_some(), "behind {before} bytes");
    }
    on_the_wire(&scanner, number, &name);
    let mut leaky = Command::new("sh").args(["-c", "read line", &name]).stdin(Stdio::piped()).spawn().expect("started");
    assert!(scanner.in_memory(leaky.id()).is_some());
    let mut sound = Command::new("sh").args(["-c", "read line", "nothing"]).stdin(Stdio::piped()).spawn().expect("started");
    assert_eq!(scanner.in_memory(sound.id()), None);
    for child in [&mut leaky, &mut sound] {
        drop(child.stdin.take());
        child.wait().expect("ended");
    }
}

/// Bytes among the parties.
fn among(relays: &[Relay]) -> u64 {
    let parties = |relay: &&Relay| TABLES.iter().any(|(agency, _)| relay.of == format!("{agency}, QUIC"));
    relays.iter().filter(parties).map(Relay::bytes).sum()
}

/// What is sent through relays is carried, and found: in a datagram and in its answer, and in a connection, even in two parts.
fn on_the_wire(scanner: &Scanner, number: i64, name: &str) {
    let here = (Ipv4Addr::LOCALHOST, 0);
    let anywhere = SocketAddr::from(here);
    let socket = || UdpSocket::bind(here).expect("a socket");
    let (caller, callee) = (socket(), socket());
    let relay = Relay::udp("datagrams".into(), anywhere, callee.local_addr().expect("an address"));
    let mut buffer = [0; 100];
    let planted = |relay: &Relay, shown: &str| scanner.on_the_wire(relay).is_some_and(|found| found.starts_with(shown));
    caller.send_to(b"nothing", relay.front).expect("sent");
    let (length, back) = callee.recv_from(&mut buffer).expect("received");
    assert_eq!((&buffer[..length], scanner.on_the_wire(&relay)), (&b"nothing"[..], None));
    callee.send_to(&number.to_le_bytes(), back).expect("sent");
    assert_eq!(caller.recv_from(&mut buffer).expect("received"), (8, relay.front));
    assert!(planted(&relay, &number.to_string()));
    assert_eq!(relay.bytes(), 7 + 8);
    let relay = Relay::udp("datagrams".into(), anywhere, callee.local_addr().expect("an address"));
    caller.send_to(name.as_bytes(), relay.front).expect("sent");
    callee.recv_from(&mut buffer).expect("received");
    assert!(planted(&relay, name));

    let listener = TcpListener::bind(here).expect("a listener");
    let relay = Relay::tcp("connections".into(), anywhere, listener.local_addr().expect("an address"));
    let mut near = TcpStream::connect(relay.front).expect("connected");
    let (mut far, _) = listener.accept().expect("accepted");
    let (first, second) = name.as_bytes().split_at(5);
    near.write_all(first).expect("sent");
    far.read_exact(&mut buffer[..first.len()]).expect("received");
    assert_eq!(scanner.on_the_wire(&relay), None);
    near.write_all(second).expect("sent");
    far.read_exact(&mut buffer[..second.len()]).expect("received");
    assert!(planted(&relay, name));
    far.write_all(b"an answer").expect("sent");
    drop(far);
    near.read_to_end(&mut Vec::new()).expect("answered");
    assert_eq!(relay.bytes(), (name.len() + "an answer".len()) as u64);
}

/// A number of fifteen digits that nothing else has.
fn canary(agency: &str, row: usize, column: &str) -> i64 {
    let hash = Hash::sha256(&[agency.as_bytes(), b"/", column.as_bytes(), &row.to_be_bytes()]);
    let number = hash.0[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (100_000_000_000_000 + number % 900_000_000_000_000) as i64
}

fn person(agency: &str, row: usize) -> i64 {
    if row < COMMON { row as i64 + 1 } else { canary(agency, row, "person") }
}

fn name(agency: &str, row: usize) -> String {
    if row < COMMON { format!("person {row}") } else { format!("{:x} of {agency}", canary(agency, row, "name")) }
}

/// Three agencies, whose tables have the same columns.
fn town() -> Town {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("made");
    let write = |file: &str, text: &str| {
        fs::write(data.join(file), text).expect("written");
        data.join(file)
    };
    let public = [TableFile { name: "public.zones".into(), path: write("zones.csv", ZONES) }];
    let hash = Hash::sha256(&[ZONES.as_bytes()]);
    let mut catalogue = format!(
        "version = 1\n[[table]]\nname = \"public.zones\"\nrows = 4\nsha256 = \"{hash}\"\nkey = [\"zone\"]\n\
         column = [{{ name = \"zone\", type = \"INT\", nullable = false }}]\n\
         [[domain]]\nname = \"zones\"\ntable = \"public.zones\"\ncolumn = \"zone\"\n"
    );
    let parties = TABLES.map(|(agency, table)| {
        let number = "type = \"BIGINT\", min = 0, max = 1000000000000000, nullable = false";
        write!(
            catalogue,
            "[[table]]\nname = \"{table}\"\nmax_rows = 16\nkey = [\"person\"]\nrelease = \"rows\"\ncolumn = [\n\
             {{ name = \"person\", {number} }},\n{{ name = \"name\", type = \"STRING\", max_bytes = 40, nullable = false }},\n\
             {{ name = \"zone\", type = \"INT\", min = 1, max = 4, domain = \"zones\", nullable = false }},\n{{ name = \"amount\", {number} }},\n]\n"
        )
        .expect("text");
        let mut rows = "person,name,zone,amount\n".to_owned();
        for row in 0..ROWS {
            let (person, name, amount) = (person(agency, row), name(agency, row), canary(agency, row, "amount"));
            writeln!(rows, "{person},{name},{},{amount}", 1 + row % 4).expect("text");
        }
        (agency, vec![TableFile { name: table.into(), path: write(&format!("{agency}.csv"), &rows) }])
    });
    let plan = Plan { city: "Canaries", parties: &parties, public: &public, catalogue: &catalogue, allowed: Allowed::Everything };
    let program = Program { executable: env!("CARGO_BIN_EXE_tacit").into(), prefix: Vec::new() };
    let city = City::make(&folder.path().join("city"), &plan, program).expect("made");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Town { city, runtime, folder }
}

/// What the coordinator and the nodes say to whoever asks them, with all jobs.
fn served_in_clear(town: &Town) -> String {
    let api = town.city.roster().coordinator().api.clone().expect("its address");
    let base = api.trim_start_matches("http://");
    let jobs = get(base, "/v1/jobs");
    let body = jobs.split_once("\r\n\r\n").expect("an answer").1;
    let listed: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {jobs}"));
    let ids: Vec<String> = listed.as_array().expect("jobs").iter().map(|job| job["job"].as_str().expect("an id").to_owned()).collect();
    assert!(ids.len() > QUESTIONS.len(), "{jobs}");
    let mut all = jobs;
    for id in ids {
        for part in ["", "/events", "/result"] {
            all += &get(base, &format!("/v1/jobs/{id}{part}"));
        }
    }
    for path in ["/v1/catalog", "/v1/roster", "/v1/status", "/healthz", "/metrics", "/ledger/checkpoint", "/ledger/tile/entries/000.p/1"] {
        all += &get(base, path);
    }
    for (agency, _) in TABLES {
        let config = fs::read_to_string(town.city.node_config(agency).expect("a configuration")).expect("read");
        let http = config.lines().find_map(|line| line.strip_prefix("http = ")).expect("its address").trim_matches('"');
        all += &(get(http, "/healthz") + &get(http, "/metrics"));
    }
    let jobs = town.run(&["jobs"]);
    all + &jobs.out + &town.run(&["doctor"]).out
}

fn get(base: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(base).expect("connected");
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: */*\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

/// All files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", text(folder))).map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A value in all the ways in which it might be written.
fn spellings(shown: &str, number: Option<i64>) -> Vec<(String, Vec<u8>)> {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")).into_bytes();
    let mut plain = vec![("text", shown.as_bytes().to_vec())];
    if let Some(number) = number {
        let mut varint = Vec::new();
        let mut rest = number as u64;
        while rest >= 128 {
            varint.push(rest as u8 | 128);
            rest >>= 7;
        }
        varint.push(rest as u8);
        // Fifteen digits have zeros above them.
        plain.extend([
            ("little-endian", number.to_le_bytes()[..7].to_vec()),
            ("big-endian", number.to_be_bytes()[1..].to_vec()),
            ("varint", varint),
        ]);
    }
    let mut all = Vec::new();
    for (kind, bytes) in plain {
        all.push((format!("{shown} in hexadecimal, {kind}"), hex(&bytes)));
        for before in 0..3 {
            // Without the letters that depend on what is around.
            let padded = Base64([&vec![0; before][..], &bytes].concat()).to_string();
            let whole = padded.trim_end_matches('=').len();
            let letters = &padded.as_bytes()[(8 * before).div_ceil(6)..whole - usize::from(whole < padded.len())];
            all.push((format!("{shown} in base64, {kind}"), letters.to_vec()));
        }
        all.push((format!("{shown}, {kind}"), bytes));
    }
    all
}

/// Looks for an agency's canaries.
struct Scanner {
    patterns: Vec<(String, Vec<u8>)>,
    /// By the first two bytes, which patterns there are.
    starts: Vec<Vec<usize>>,
}

impl Scanner {
    fn of(agency: &str) -> Self {
        let numbers = (0..ROWS).map(|row| canary(agency, row, "amount")).chain((COMMON..ROWS).map(|row| person(agency, row)));
        let names = (COMMON..ROWS).map(|row| name(agency, row));
        let patterns: Vec<_> = numbers
            .flat_map(|number| spellings(&number.to_string(), Some(number)))
            .chain(names.flat_map(|name| spellings(&name, None)))
            .collect();
        let mut starts = vec![Vec::new(); 1 << 16];
        for (at, (_, pattern)) in patterns.iter().enumerate() {
            assert!(pattern.len() >= 7, "short enough to be met by chance");
            starts[usize::from(pattern[0]) << 8 | usize::from(pattern[1])].push(at);
        }
        Self { patterns, starts }
    }

    /// The first canary in some bytes.
    fn found(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(2).enumerate().find_map(|(at, two)| {
            let starts = &self.starts[usize::from(two[0]) << 8 | usize::from(two[1])];
            starts.iter().find(|p| bytes[at..].starts_with(&self.patterns[**p].1)).map(|p| self.patterns[*p].0.as_str())
        })
    }

    /// The first canary in what a relay carried.
    fn on_the_wire(&self, relay: &Relay) -> Option<String> {
        relay.find(|bytes| self.found(bytes).map(ToOwned::to_owned))
    }

    /// The first canary in the memory of a process: all that it can read, but for what it maps of files to read only.
    fn in_memory(&self, process: u32) -> Option<&str> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("its maps");
        let mut memory = fs::File::open(format!("/proc/{process}/mem")).expect("its memory");
        let mut seen = 0;
        let mut found = None;
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (range, mode, file) = (fields.next().expect("a range"), fields.next().expect("a mode"), fields.nth(3).unwrap_or_default());
            if !mode.starts_with('r')
                || (!mode.starts_with("rw") && file.starts_with('/'))
                || matches!(file, "[vvar]" | "[vsyscall]" | "[vvar_vclock]")
            {
                continue;
            }
            let (from, to) = range.split_once('-').expect("a range");
            let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).expect("an address"));
            memory.seek(SeekFrom::Start(from)).expect("an address");
            let mut bytes = Vec::new();
            // What was given back meanwhile cannot be read.
            if (&memory).take(to - from).read_to_end(&mut bytes).is_ok() {
                seen += bytes.len();
                found = found.or_else(|| self.found(&bytes));
            }
        }
        assert!(seen > 64 << 10, "the memory of a process can be read: {seen} bytes");
        found
    }
}
