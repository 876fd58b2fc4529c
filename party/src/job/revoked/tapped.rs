//! What is inside the encryption: every frame of whole jobs as it is given to the transport and taken from it, among the parties, and what an attempt tells the coordinator. Distinctive
//! values of the tables are in none of them.

use super::*;
use mpc_core::link;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// On public rows; on private texts, row by row; groups of what only a join makes. Comparisons and sums of private numbers in all.
const QUESTIONS: [&str; 3] = [
    "SELECT COUNT(*) AS zones, SUM(t.n) AS s FROM public.zones z JOIN transport.trips t ON t.zone = z.zone \
     JOIN energy.meters e ON e.zone = z.zone JOIN health.stays h ON h.zone = z.zone WHERE t.n < e.n OR h.n > t.n",
    "SELECT COUNT(*) AS pairs, SUM(t.n) AS s FROM transport.trips t JOIN energy.meters e ON e.name = t.name WHERE e.n > t.n",
    "SELECT h.zone, COUNT(*) AS n, SUM(e.n) AS s FROM energy.meters e JOIN health.stays h ON h.name = e.name GROUP BY h.zone",
];
const ROWS: usize = 4;

#[test]
fn no_message_of_a_job_has_a_value_of_a_table_in_clear() {
    let scanner = Arc::new(Scanner::new());
    for sql in QUESTIONS {
        let mut city = City::of(&data(), None, sql);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (tapped, scanning) = (seen.clone(), scanner.clone());
        city.tap = Some(Arc::new(move |party, message| {
            let mut seen = tapped.lock().expect("no panic");
            *seen.bytes.entry(party).or_default() += message.len();
            // What is sent has a head; what was received has none, and may begin as one by chance.
            let head = message.first_chunk().and_then(Head::decode).filter(|head| head.len as usize + Head::BYTES == message.len());
            seen.kinds.extend(head.map(|head| head.kind as u8));
            seen.found.extend(scanning.find(message).map(|what| format!("{what} at {}", TABLES[party].0)));
        }));
        let (results, _) = Arc::new(city).run(0);
        for result in results {
            let sealed = frame::encode(&FromParty::Sealed(result.expect("answered"))).expect("a frame");
            assert_eq!(scanner.find(&sealed), None, "in what is told of the answer to {sql}");
        }
        let seen = seen.lock().expect("no panic");
        assert_eq!(seen.found, Vec::<String>::new(), "{sql}");
        // There was something to see, at every party: first and second flight, and rounds.
        assert!(seen.bytes.len() == 3 && seen.bytes.values().all(|bytes| *bytes > 3000), "{:?}", seen.bytes);
        let has = |kind: link::Kind| seen.kinds.contains(&(kind as u8));
        assert!(has(link::Kind::Hello) && has(link::Kind::Confirm) && has(link::Kind::Round) && !has(link::Kind::Abort));
    }
}

#[derive(Default)]
struct Seen {
    bytes: BTreeMap<usize, usize>,
    kinds: Vec<u8>,
    found: Vec<String>,
}

/// So that the test above can fail: whatever spelling a party sends to a peer, the tap at its end of the line shows it.
#[test]
fn the_tap_shows_what_a_party_sends_and_the_scanner_finds_it() {
    let scanner = Arc::new(Scanner::new());
    assert_eq!(scanner.find(b"nothing of anybody's, at some length"), None);
    let found = Arc::new(Mutex::new(Vec::new()));
    for (label, bytes) in &scanner.patterns {
        let mut links = link::memory(2, Duration::from_secs(30)).into_iter().map(|inner| {
            let (found, scanner) = (found.clone(), scanner.clone());
            let at_messages: AtMessages = Arc::new(move |message| found.lock().expect("no panic").extend(scanner.find(message)));
            Watched { inner: Box::new(inner), at_messages }
        });
        let (mut one, mut other) = (links.next().expect("two"), links.next().expect("two"));
        let payload = [&[7; 13], &bytes[..], b"more"].concat();
        let len = payload.len() as u32;
        let head = Head { session: [1; 16], lane: 0, kind: link::Kind::Round, piece: 0, step: 0, len };
        let mut frame = Frame::with_capacity(payload.len());
        frame.payload_mut().extend_from_slice(&payload);
        frame.seal(&head);
        one.submit(PartyId(1), frame).expect("sent");
        assert_eq!(other.take(PartyId(0), &head).expect("received"), payload);
        let found = std::mem::take(&mut *found.lock().expect("no panic"));
        assert_eq!(found.len(), 2, "as it is sent and as it is received: {label}, {found:?}");
    }
}

fn number(agency: &str, row: usize) -> i64 {
    let hash = Hash::sha256(&[agency.as_bytes(), &row.to_be_bytes()]);
    let number = hash.0[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (100_000_000_000_000 + number % 900_000_000_000_000) as i64
}

/// Of two rows all agencies have the same.
fn name(agency: &str, row: usize) -> String {
    let agency = if row < 2 { "all" } else { agency };
    format!("{:x} of {agency}", number(agency, row + ROWS))
}

fn data() -> Data {
    let row = |agency: &str, row: usize| format!("{},{},{}\n", row + 1, number(agency, row), name(agency, row));
    let rows = TABLES.map(|(agency, ..)| "zone,n,name\n".to_owned() + &(0..ROWS).map(|at| row(agency, at)).collect::<String>());
    let declared = "{ name = \"n\", type = \"BIGINT\", min = 0, max = 1000000000000000, nullable = false },\n\
                    { name = \"name\", type = \"STRING\", max_bytes = 40, nullable = false }";
    Data { columns: &["zone", "n", "name"], declared, terms: "", rows }
}

/// Looks for every value of every table, in every spelling.
struct Scanner {
    patterns: Vec<(String, Vec<u8>)>,
    /// By the first four bytes, which there are.
    starts: HashMap<[u8; 4], Vec<usize>>,
}

impl Scanner {
    fn new() -> Self {
        let of = |agency: &str| (0..ROWS).flat_map(|row| spellings(number(agency, row), &name(agency, row))).collect::<Vec<_>>();
        let patterns: Vec<_> = TABLES.iter().flat_map(|(agency, ..)| of(agency)).collect();
        let mut starts: HashMap<[u8; 4], Vec<usize>> = HashMap::new();
        for (at, (_, bytes)) in patterns.iter().enumerate() {
            starts.entry(*bytes.first_chunk().expect("longer than that")).or_default().push(at);
        }
        Self { patterns, starts }
    }

    fn find(&self, bytes: &[u8]) -> Option<String> {
        let at = |from: usize| {
            let rest = &bytes[from..];
            let candidates = rest.first_chunk().and_then(|first| self.starts.get(first))?;
            candidates.iter().find(|pattern| rest.starts_with(&self.patterns[**pattern].1))
        };
        (0..bytes.len()).find_map(at).map(|pattern| self.patterns[*pattern].0.clone())
    }
}

/// As an integer in both orders, as decimal text, and as UTF-8; each as it is, in hexadecimal, and in base64 wherever it begins.
fn spellings(number: i64, name: &str) -> Vec<(String, Vec<u8>)> {
    // Fifteen digits have zeros above them.
    let plain = [
        (format!("{name}, UTF-8"), name.as_bytes().to_vec()),
        (format!("{number}, little-endian"), number.to_le_bytes()[..7].to_vec()),
        (format!("{number}, big-endian"), number.to_be_bytes()[1..].to_vec()),
        (format!("{number}, decimal"), number.to_string().into_bytes()),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
    let base64 = |bytes: &[u8], before: usize| {
        let padded = Base64([&vec![0; before][..], bytes].concat()).to_string();
        let whole = padded.trim_end_matches('=').len();
        // Without the letters that depend on what is around.
        padded.as_bytes()[(8 * before).div_ceil(6)..whole - usize::from(whole < padded.len())].to_vec()
    };
    let each = |(label, bytes): (String, Vec<u8>)| {
        let mut all = vec![(format!("{label}, in hexadecimal"), hex(&bytes))];
        all.extend((0..3).map(|before| (format!("{label}, in base64"), base64(&bytes, before))));
        all.push((label, bytes));
        all
    };
    plain.into_iter().flat_map(each).collect()
}
