use super::*;
use crate::testing::copy;
use std::fs;
use tempfile::TempDir;

fn entry(index: u64) -> Vec<u8> {
    // Lengths differ, and some are empty.
    let length = (index * 7 % 40) as usize;
    [&index.to_be_bytes()[..], &vec![index as u8; length]].concat()[..length].to_vec()
}

fn grow(store: &mut Store, to: u64) {
    let entries: Vec<Vec<u8>> = (store.size()..to).map(entry).collect();
    for batch in entries.chunks(MAX_BATCH) {
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        store.append(&batch, None).expect("appended");
    }
}

fn root_of(size: u64) -> Hash {
    let leaves: Vec<Hash> = (0..size).map(|i| tree::leaf_hash(&entry(i))).collect();
    tree::root(&leaves[..], size).unwrap_or_else(|never| match never {})
}

/// Everything the store says, against a tree in memory.
fn check(store: &Store, size: u64, state: &str) {
    assert_eq!((store.size(), store.root(), store.state()), (size, root_of(size), state));
    for tile in Tile::all(size) {
        let bytes = store.tile(&tile).expect("a tile");
        match tile.level {
            Level::Entries => {
                let entries: Vec<Vec<u8>> = tile::entries(&bytes, tile.width).expect("a bundle").into_iter().map(<[u8]>::to_vec).collect();
                let first = tile.index * WIDTH;
                assert_eq!(entries, (first..first + u64::from(tile.width)).map(super::tests::entry).collect::<Vec<_>>(), "{tile}");
            }
            Level::Hashes(_) => assert_eq!(tile::hashes(&bytes, tile.width).expect("hashes").len(), usize::from(tile.width)),
        }
    }
    if size > 0 {
        assert_eq!(store.entry(size - 1).expect("the last"), entry(size - 1));
        assert_eq!(store.root_at(size / 2).expect("a root"), root_of(size / 2));
    }
    assert!(store.entry(size).is_err());
}

#[test]
fn what_was_appended_is_there_when_opened_again() {
    let folder = TempDir::new().expect("a folder");
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 1300, 1301] {
        let mut store = Store::open(folder.path(), "fresh").expect("opened");
        grow(&mut store, size);
        check(&store, size, "fresh");
        drop(store);
        check(&Store::open(folder.path(), "other").expect("opened"), size, "fresh");
        check(&Store::read(folder.path()).expect("read"), size, "fresh");
    }
}

#[test]
fn three_levels_of_tiles() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 65_536 + 300);
    drop(store);
    let store = Store::open(folder.path(), "fresh").expect("opened");
    assert_eq!(store.root(), root_of(65_836));
    let paths: Vec<String> = ["tile/1/000", "tile/2/000.p/1", "tile/1/001.p/1", "tile/0/257.p/44"].map(String::from).into();
    for path in paths {
        let tile: Tile = path.parse().expect("a tile");
        assert_eq!(store.tile(&tile).expect("there").len(), 32 * usize::from(tile.width), "{path}");
    }
    assert!(store.tile(&"tile/1/001.p/2".parse().expect("a tile")).is_err());
}

#[test]
fn full_tiles_answer_for_the_partial_ones_they_were() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 100);
    let partial: [Tile; 2] = ["tile/0/000.p/100", "tile/entries/000.p/100"].map(|path| path.parse().expect("a tile"));
    let before = partial.map(|tile| store.tile(&tile).expect("partial"));
    grow(&mut store, 300);
    assert_eq!(partial.map(|tile| store.tile(&tile).expect("a prefix of the full one")), before);
}

#[test]
fn a_write_torn_at_any_byte_is_dropped_whole() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 20);
    let before = fs::read(folder.path().join("tail")).expect("a journal").len();
    let entries = [entry(20), entry(21)];
    store.append(&[&entries[0], &entries[1]], Some("later")).expect("appended");
    check(&store, 22, "later");
    drop(store);
    let whole = fs::read(folder.path().join("tail")).expect("a journal");
    for length in before..whole.len() {
        fs::write(folder.path().join("tail"), &whole[..length]).expect("torn");
        let mut store = Store::open(folder.path(), "fresh").expect("opened");
        check(&store, 20, "fresh");
        // What was torn is cut off, and the log goes on.
        grow(&mut store, 21);
        drop(store);
        check(&Store::open(folder.path(), "fresh").expect("opened"), 21, "fresh");
    }
    for at in before..whole.len() {
        let mut torn = whole.clone();
        torn[at] ^= 0x5a;
        fs::write(folder.path().join("tail"), &torn).expect("torn");
        check(&Store::open(folder.path(), "fresh").expect("opened"), 20, "fresh");
    }
    // A file that grew before its bytes were written.
    for zeroes in [1, 3, 4, 36, 500] {
        fs::write(folder.path().join("tail"), [&whole[..before], &vec![0; zeroes]].concat()).expect("torn");
        check(&Store::open(folder.path(), "fresh").expect("opened"), 20, "fresh");
    }
    fs::write(folder.path().join("tail"), &whole).expect("whole again");
    check(&Store::open(folder.path(), "fresh").expect("opened"), 22, "later");
}

#[test]
fn what_was_signed_is_never_dropped_in_silence() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 20);
    let before = fs::read(folder.path().join("tail")).expect("a journal").len();
    grow(&mut store, 22);
    store.mark_signed().expect("marked");
    drop(store);
    let whole = fs::read(folder.path().join("tail")).expect("a journal");
    for length in before..whole.len() {
        fs::write(folder.path().join("tail"), &whole[..length]).expect("cut");
        let refused = Store::open(folder.path(), "fresh").map(drop).expect_err("rolled back");
        assert_eq!(refused.code(), "E_LEDGER_ROLLBACK");
    }
    fs::remove_file(folder.path().join("tail")).expect("removed");
    assert_eq!(Store::open(folder.path(), "fresh").map(drop).expect_err("not an empty ledger").code(), "E_LEDGER_CORRUPT");
    // A mark that is itself torn says nothing.
    fs::write(folder.path().join("tail"), &whole).expect("whole again");
    fs::write(folder.path().join("signed"), [9; 17]).expect("torn");
    check(&Store::open(folder.path(), "fresh").expect("opened"), 22, "fresh");
}

#[test]
fn a_journal_changed_anywhere_is_torn_or_refused_never_believed() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    (1..=6).for_each(|size| grow(&mut store, size));
    drop(store);
    let whole = fs::read(folder.path().join("tail")).expect("a journal");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(folder.path().join("tail"), &changed).expect("changed");
        match Store::open(folder.path(), "fresh") {
            Ok(store) => assert!(store.size() < 6 && store.root() == root_of(store.size()), "byte {at}"),
            Err(error) => assert_eq!(error.code(), "E_LEDGER_CORRUPT", "byte {at}"),
        }
    }
}

#[test]
fn a_changed_tile_is_noticed_when_opened() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 600);
    drop(store);
    let path = folder.path().join("tile/0/001");
    let mut tile = fs::read(&path).expect("a tile");
    tile[100] ^= 1;
    fs::write(&path, tile).expect("changed");
    assert_eq!(Store::open(folder.path(), "fresh").map(drop).expect_err("refused").code(), "E_LEDGER_CORRUPT");
}

/// Appends from `from` to `to` with the disk failing after any number of steps; then the process is gone.
fn fail_everywhere(from: u64, to: u64) -> u64 {
    let base = TempDir::new().expect("a folder");
    grow(&mut Store::open(base.path(), "fresh").expect("opened"), from);
    let entries: Vec<Vec<u8>> = (from..to).map(entry).collect();
    let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
    for steps in 0.. {
        let folder = TempDir::new().expect("a folder");
        copy(base.path(), folder.path());
        let mut store = Store::open(folder.path(), "fresh").expect("opened");
        store.disk.fault.after(steps);
        let result = store.append(&entries, Some("later"));
        let done = result.is_ok();
        if let Err(error) = result {
            assert_eq!(error.code(), "E_LEDGER_FULL", "step {steps}");
            // As long as the process lives, it either goes on where it was, or knows that it cannot.
            store.disk.fault.never();
            if store.append(&entries, Some("later")).is_ok() {
                check(&store, to, "later");
            }
        } else {
            check(&store, to, "later");
        }
        drop(store);

        let crashed = TempDir::new().expect("a folder");
        copy(base.path(), crashed.path());
        let mut store = Store::open(crashed.path(), "fresh").expect("opened");
        store.disk.fault.after(steps);
        let _ = store.append(&entries, Some("later"));
        drop(store);
        let mut store = Store::open(crashed.path(), "fresh").expect("whole after a crash");
        match store.size() == to {
            true => check(&store, to, "later"),
            false => {
                check(&store, from, "fresh");
                store.append(&entries, Some("later")).expect("appended after all");
                check(&store, to, "later");
            }
        }
        if done {
            return steps;
        }
    }
    unreachable!("it succeeds once the disk has steps enough")
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_the_old_log_or_the_new() {
    assert_eq!(fail_everywhere(10, 12), 2, "write, sync");
    assert!(fail_everywhere(250, 256) > 8);
    assert!(fail_everywhere(255, 257) > 8);
    assert!(fail_everywhere(250, 800) > 20);
}

#[test]
fn one_process_writes() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path(), "fresh").expect("opened");
    assert_eq!(Store::open(folder.path(), "fresh").map(drop).expect_err("locked").code(), "E_LEDGER_LOCKED");
    let mut reader = Store::read(folder.path()).expect("read beside it");
    assert_eq!(reader.append(&[b"x"], None).expect_err("read only").code(), "E_LEDGER_DISK");
    drop(store);
    Store::open(folder.path(), "fresh").expect("free again");
    assert_eq!(Store::read(&folder.path().join("nowhere")).map(drop).expect_err("nothing there").code(), "E_LEDGER_CORRUPT");
}

#[test]
fn states_alone_can_be_replaced_for_ever() {
    let folder = TempDir::new().expect("a folder");
    let mut store = Store::open(folder.path(), "fresh").expect("opened");
    grow(&mut store, 3);
    store.at.length = MAX_TAIL - 5;
    // The next one would be too long for this journal: it is written anew.
    store.append(&[], Some("a state")).expect("written anew");
    assert!(store.at.length < 500);
    check(&store, 3, "a state");
    grow(&mut store, 5);
    drop(store);
    check(&Store::open(folder.path(), "fresh").expect("opened"), 5, "a state");
}
