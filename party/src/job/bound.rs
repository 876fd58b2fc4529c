//! Owners are bound to what they dealt first: jobs on a log, one after the other, among nodes whose data change, or are read again.

use super::revoked::{City, OWNER, SQL, TABLES, config};
use super::*;
use crate::dealing::Secret;
use ledger::entry::Read;
use mpc_core::link::{Head, Kind};

/// A part of each kind: rows that meet on private keys, groups, DISTINCT, a public domain.
const QUESTIONS: [&str; 4] = [
    SQL,
    "SELECT COUNT(*) AS c, SUM(t.n) AS s FROM transport.trips t JOIN energy.meters e ON t.n = e.n",
    "SELECT COUNT(*) AS c, SUM(m) AS s FROM (SELECT e.n, MAX(e.zone + h.zone) AS m FROM energy.meters e JOIN health.stays h ON e.zone = h.zone GROUP BY e.n) g",
    "SELECT COUNT(DISTINCT e.n) AS c, MAX(e.n) AS m FROM energy.meters e JOIN transport.trips t ON e.zone = t.zone WHERE t.n > 5",
];

fn reads(snapshot: u8) -> Vec<Read> {
    let read = |(name, table, _): &(&str, &str, &str)| Read {
        dataset: format!("{name}.{table}"),
        snapshot: Hash([snapshot; 32]),
        columns: vec!["zone".into(), "n".into()],
    };
    TABLES.iter().map(read).collect()
}

impl City {
    fn on_log(sql: &'static str) -> Self {
        Self::on_log_declaring("", sql)
    }

    fn on_log_declaring(terms: &'static str, sql: &'static str) -> Self {
        let mut city = Self::declaring(terms, None, sql);
        city.reads = reads(1);
        city
    }

    fn asked(&self) -> Vec<Result<Stated, Refusal>> {
        let offer = self.offer();
        let one = |party: usize| super::run(&self.desks[party], &self.admitted(party, &offer), &Stop::default(), &|_| ());
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..3).map(|party| scope.spawn(move || one(party))).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    }

    /// A node reads its files again, as a restart does: with these rows, and what it has of dealings on disk.
    fn restart(&mut self, party: usize, rows: &str) {
        let (name, table, _) = TABLES[party];
        std::fs::write(self.folder.path().join(format!("{name}.csv")), rows).expect("written");
        let config = config(self.folder.path(), name, table);
        let desk = Arc::get_mut(&mut self.desks[party]).expect("nothing runs");
        desk.sources = Sources::load(&config, desk.grounds.catalog()).expect("loaded");
        desk.dealings = Dealings::open(&config.state, desk.identity.clone()).expect("opened");
    }

    fn dealings(&self, party: usize) -> usize {
        self.noted(party).len()
    }

    /// The digests of what went left, and of the key, of what a party was dealt.
    fn noted(&self, party: usize) -> Vec<[Hash; 2]> {
        let folder = self.folder.path().join(format!("{}.state/dealings", TABLES[party].0));
        let digests = |file: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("a record");
            let words: Vec<_> = text.split_whitespace().skip(1).take(2).map(|word| word.parse().expect("a hash")).collect();
            words.try_into().expect("two")
        };
        std::fs::read_dir(folder).expect("a folder").map(digests).collect()
    }
}

#[test]
fn other_rows_under_the_same_snapshot_are_refused_by_both_peers() {
    let mut city = City::on_log(SQL);
    let answer = city.answer(&city.asked());
    assert_eq!((0..3).map(|party| city.dealings(party)).collect::<Vec<_>>(), [2, 2, 2], "what both peers dealt");
    (0..3).for_each(|party| city.restart(party, TABLES[party].2));
    assert_eq!(city.answer(&city.asked()), answer, "the same rows, after a restart of all");

    let other = TABLES[OWNER].2.replace("4,1", "4,2");
    city.restart(OWNER, &other);
    for _ in 0..2 {
        let results = city.asked();
        for (party, result) in results.iter().enumerate() {
            let refusal = result.as_ref().map(|_| ()).expect_err("nobody has sealed anything");
            if party != OWNER {
                assert_eq!(refusal.code, Code::Data, "{refusal}");
                assert!(refusal.reason.contains("`energy` deals other inputs than it did before") && !refusal.fix.is_empty(), "{refusal}");
            }
        }
    }
    // Published as another snapshot, they are welcome; so are the first rows as the first.
    city.reads = reads(2);
    city.answer(&city.asked());
    city.restart(OWNER, TABLES[OWNER].2);
    assert!(city.asked().iter().all(Result::is_err), "each snapshot has its rows");
    city.reads = reads(1);
    assert_eq!(city.answer(&city.asked()), answer);
    // Without a log nobody is bound.
    city.reads = Vec::new();
    city.answer(&city.asked());
    city.restart(OWNER, &other);
    city.answer(&city.asked());
}

/// Whoever tells how many rows are left at home has a part of other places once another publishes more or fewer rows, and deals the same.
#[test]
fn others_that_tell_other_numbers_of_rows_do_not_make_an_owner_deal_otherwise() {
    let sql = "SELECT COUNT(DISTINCT n) AS c, SUM(n) AS s FROM (SELECT n FROM transport.trips WHERE n > 5 UNION ALL SELECT n FROM energy.meters WHERE n > 0) u";
    // three rows that are left, one, and none, beside energy's four
    let rows =
        [("zone,n\n1,9\n2,6\n3,3\n4,8\n", "6 40"), ("zone,n\n1,9\n2,3\n3,3\n4,1\n", "4 26"), ("zone,n\n1,4\n2,3\n3,3\n4,1\n", "4 17")];
    for terms in ["sizes = \"exact\"\n", "sizes = \"bucket\"\n"] {
        let mut city = City::on_log_declaring(terms, sql);
        let plan = city.admitted(0, &city.offer()).plan;
        assert_eq!(plan.disclosing().map(|told| told.owner).collect::<Vec<_>>(), ["transport", "energy"], "{terms}");
        assert!(query::dealing::part(&plan, TABLES[OWNER].0).is_some(), "it is bound: {terms}");
        // what both its peers noted, and nobody else's peers
        let of_owner = |city: &City| {
            let (left, right) = ((OWNER + 2) % 3, (OWNER + 1) % 3);
            city.noted(left).into_iter().filter(|noted| city.noted(right).contains(noted)).collect::<Vec<_>>()
        };
        let mut first = None;
        for (snapshot, (rows, answer)) in (1..).zip(rows) {
            city.restart(0, rows);
            city.reads[0].snapshot = Hash([snapshot; 32]);
            assert_eq!(city.answer(&city.asked()).join(" "), answer, "{terms}");
            let noted = of_owner(&city);
            assert_eq!(noted.len(), 1, "{terms}");
            assert_eq!(*first.get_or_insert(noted.clone()), noted, "{terms}");
        }
    }
}

/// Of what an owner tells of its dealing, the key goes right and the salt left: who had both could try inputs until one has the digest that was signed.
#[test]
fn no_peer_is_told_both_the_key_and_the_salt() {
    let mut city = City::on_log(SQL);
    let told: Arc<Mutex<[Vec<Vec<u8>>; 3]>> = Arc::default();
    let telling = told.clone();
    city.tap = Some(Arc::new(move |party, message| telling.lock().expect("no panic")[party].push(message.to_vec())));
    let city = Arc::new(city);
    let (results, _) = city.run(0);
    city.answer(&results);
    let (left, right) = ((OWNER + 2) % 3, (OWNER + 1) % 3);
    let noted = city.noted(left).into_iter().find(|noted| city.noted(right).contains(noted));
    let [to_left, key] = noted.expect("both have what the owner dealt");
    let told = told.lock().expect("no panic");
    let has = |party: usize, bytes: &[u8]| told[party].iter().any(|message| message.windows(bytes.len()).any(|at| at == bytes));
    let secrets = |party: usize| {
        let words = [key.0, to_left.0].concat();
        let ends =
            told[party].iter().filter_map(|message| message.windows(words.len()).position(|at| at == words).map(|at| &message[..at]));
        ends.map(|before| *before.last_chunk::<32>().expect("it is the first word")).collect::<Vec<_>>()
    };
    let (salts, keys) = (secrets(left), secrets(right));
    assert_eq!((salts.len(), keys.len()), (1, 1));
    assert_eq!(Secret::told(&keys[0]).digest(), key);
    assert_ne!(salts, keys);
    assert!(has(left, &salts[0]) && !has(left, &keys[0]) && has(right, &keys[0]) && !has(right, &salts[0]));
    assert!(has(OWNER, &salts[0]) && has(OWNER, &keys[0]), "it tells both");
}

/// An owner signs what it dealt first, and sends other shares: the left peer holds them against what was signed, and no answer comes out.
#[test]
fn other_shares_than_were_signed_end_the_attempt() {
    let mut city = City::on_log(SQL);
    city.answer(&city.asked());
    let sent: Arc<Mutex<Vec<usize>>> = Arc::default();
    let altering = sent.clone();
    city.tap = Some(Arc::new(move |party, message| {
        let head = message.first_chunk().and_then(Head::decode);
        let Some(head) = head.filter(|head| head.kind == Kind::Round && head.len as usize + Head::BYTES == message.len()) else { return };
        if party == OWNER {
            let mut sent = altering.lock().expect("no panic");
            sent.push(head.len as usize);
            // To both peers, what it deals, and that it has judged theirs; then its shares, to the left.
            if sent.len() > 4 && sent[sent.len() - 5..][..4] == [160, 160, 8, 8] {
                message[Head::BYTES] ^= 1;
            }
        }
    }));
    let (results, _) = Arc::new(city).run(0);
    let refusals: Vec<Refusal> = results.into_iter().map(|result| result.map(drop).expect_err("nobody has sealed anything")).collect();
    assert!(sent.lock().expect("no panic").windows(4).any(|four| four == [160, 160, 8, 8]));
    let left = &refusals[(OWNER + 2) % 3];
    assert_eq!(left.code, Code::Data, "{left}");
    assert!(left.reason.contains("`energy` deals other shares to `transport` than it signed"), "{left}");
}

#[test]
fn the_same_rows_are_never_refused() {
    for sql in QUESTIONS {
        let mut city = City::on_log(sql);
        let answer = city.answer(&city.asked());
        assert!((0..3).any(|party| city.dealings(party) > 0), "somebody is bound: {sql}");
        for memory in [1, 64, 4096] {
            for (party, (.., rows)) in TABLES.iter().enumerate() {
                city.restart(party, rows);
                Arc::get_mut(&mut city.desks[party]).expect("nothing runs").limits.memory_mb = memory.max(16);
            }
            assert_eq!(city.answer(&city.asked()), answer, "{sql}, {memory} MB");
        }
    }
}
