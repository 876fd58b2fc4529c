use super::*;

const SNAPSHOT: Hash = Hash([7; 32]);

/// So many entities from one on, each with its number as what it is.
fn cell(from: u64, entities: u64) -> Cell {
    let spread = |entity: u64| entity.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut of: Vec<(u64, u64)> = (from..from + entities).map(|entity| (spread(entity), entity)).collect();
    of.sort_unstable();
    Cell { sort: Sort::Rows, of }
}

fn open(folder: &Path) -> Given {
    Given::open(&folder.join("released/energy.meters"), SNAPSHOT).expect("opened")
}

fn apart(given: &Given, cells: &[Cell], least: u64) -> bool {
    matches!(given.judge(cells, least).expect("read"), Verdict::Apart)
}

#[test]
fn what_differs_in_few_from_what_was_told_is_near() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut given = open(folder.path());
    given.keep(&[cell(1, 500), cell(9_000, 70), cell(20_000, 2_048), cell(40_000, 30_000)]).expect("kept");
    for _ in 0..2 {
        for (asked, least, is_apart) in [
            (cell(2, 499), 5, false),
            (cell(1, 501), 5, false),
            (cell(5, 496), 5, false),
            (cell(6, 495), 5, true),
            (cell(6, 495), 6, false),
            (cell(3, 500), 4, true),
            (cell(3, 500), 5, false),
            (cell(1_000, 500), 5, true),
            (cell(9_001, 70), 3, false),
            (cell(20_001, 2_048), 3, false),
            (cell(20_001, 2_048), 2, true),
            // kept as it is, and asked as a sketch
            (cell(20_000, 2_050), 3, false),
            (cell(20_000, 2_100), 50, true),
            (cell(40_000, 29_999), 2, false),
            (cell(40_003, 30_000), 7, false),
            (cell(40_100, 30_000), 50, true),
            (cell(80_000, 30_000), 50, true),
        ] {
            assert_eq!(apart(&given, std::slice::from_ref(&asked), least), is_apart, "{} entities, {least}", asked.of.len());
        }
        for mut other in [cell(1, 500), cell(40_000, 30_000)] {
            other.of[250].1 += 1;
            assert!(!apart(&given, &[other], 2), "another value of one entity");
        }
        assert!(apart(&given, &[Cell { sort: Sort::Values, ..cell(2, 499) }], 5), "values are no rows");
        assert!(given.has(&cell(1, 500)) && !given.has(&cell(1, 499)));
        // The same after a restart.
        given = open(folder.path());
    }
    assert!(!apart(&given, &[cell(5_000, 9), cell(5_001, 9)], 5), "two cells of one answer");
    assert!(!apart(&given, &[cell(60_000, 501), cell(2, 499)], 5), "the second of an answer");
    given.running.push(Arc::new(vec![cell(6_000, 9)]));
    assert!(!apart(&given, &[cell(6_000, 10)], 5), "a job that runs");
}

#[test]
fn a_torn_cell_was_not_told_and_a_new_snapshot_forgets() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut given = open(folder.path());
    given.keep(&[cell(1, 100)]).expect("kept");
    given.keep(&[cell(1_000, 100)]).expect("kept");
    let path = folder.path().join("released/energy.meters");
    let whole = std::fs::read(&path).expect("read");
    for cut in [1, 16, 1_000, 1_623] {
        std::fs::write(&path, &whole[..whole.len() - cut]).expect("written");
        let mut given = open(folder.path());
        assert!(given.has(&cell(1, 100)) && !given.has(&cell(1_000, 100)), "{cut}");
        given.keep(&[cell(1_000, 100)]).expect("kept");
        assert_eq!(std::fs::read(&path).expect("read"), whole, "{cut}");
    }
    assert!(Given::open(&path, Hash([8; 32])).expect("opened").by_size.is_empty());
    std::fs::write(&path, vec![b'x'; 100]).expect("written");
    let error = Given::open(&path, SNAPSHOT).map(|_| ()).expect_err("damaged").to_string();
    assert!(error.contains("energy.meters") && error.contains("restore it"), "{error}");
}

#[test]
fn beyond_its_bound_nothing_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut given = open(folder.path());
    given.length = MOST - 16 * 9;
    assert!(matches!(given.judge(&[cell(1, 9)], 5).expect("read"), Verdict::Full));
    let refusal = Guard::new("energy", folder.path()).full("energy.meters");
    assert!(refusal.code == Code::Difference && refusal.reason.contains("1024 MB"), "{refusal}");
}
