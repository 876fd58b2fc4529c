//! Owners are bound to what they dealt first: jobs on a log, one after the other, among nodes whose data change, or are read again.

use super::revoked::{City, OWNER, SQL, TABLES, config};
use super::*;
use ledger::entry::Read;

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
        let mut city = Self::new(None, sql);
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
        desk.dealings = Dealings::open(&config.state).expect("opened");
    }

    fn dealings(&self, party: usize) -> usize {
        std::fs::read_dir(self.folder.path().join(format!("{}.state/dealings", TABLES[party].0))).expect("a folder").count()
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
                assert!(refusal.reason.contains("`energy` deals other inputs than in job") && !refusal.fix.is_empty(), "{refusal}");
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
