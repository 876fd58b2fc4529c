use super::*;
use crate::testing::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn grown() -> City {
    let mut city = City::founded();
    let entries: Vec<String> = (0..120).flat_map(|at| job(&at.to_string())).collect();
    city.append(&entries, 2_000);
    city
}

fn policy(city: &City) -> Policy {
    city.sequencer.replay().policy().expect("a policy")
}

/// Everything a server would hand out, as files.
fn download(tiles: &impl Tiles, checkpoint: &Checkpoint, to: &Path) {
    for tile in Tile::all(checkpoint.head().size) {
        let path = to.join(tile.to_string());
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, tiles.tile(&tile).expect("a tile")).expect("written");
    }
    fs::write(to.join("checkpoint"), checkpoint.note()).expect("written");
}

#[test]
fn an_honest_log_passes_from_a_store_and_from_files() {
    let city = grown();
    let files = TempDir::new().expect("a folder");
    download(city.cosigners[1].store(), &city.published(), files.path());
    let folder = Folder(files.path().into());
    let checkpoint = Checkpoint::parse(&folder.checkpoint().expect("there")).expect("a checkpoint");
    for audit in
        [audit(&folder, &checkpoint, &policy(&city), replay()), audit(city.sequencer.store(), &checkpoint, &policy(&city), replay())]
    {
        let audit = audit.expect("an honest log");
        assert_eq!((audit.head.size, audit.kinds["member"], audit.kinds["job-debit"]), (608, 4, 240));
        assert_eq!(audit.replay.jobs().count(), 120);
    }
    // An older checkpoint passes too: full tiles stand in for partial ones that are gone.
    let early = checkpoint_at(&city, 300);
    download(city.sequencer.store(), &early, files.path());
    for partial in ["tile/entries/001.p", "tile/0/001.p"] {
        fs::remove_dir_all(files.path().join(partial)).expect("removed");
    }
    assert_eq!(audit(&folder, &early, &policy(&city), replay()).expect("its beginning").head.size, 300);
}

fn checkpoint_at(city: &City, size: usize) -> Checkpoint {
    let entries: Vec<String> =
        (0..size as u64).map(|index| String::from_utf8(city.sequencer.store().entry(index).expect("there")).expect("text")).collect();
    checkpoint(&entries, &AGENCIES, 2_000)
}

#[test]
fn a_change_of_any_file_is_found() {
    let city = grown();
    let files = TempDir::new().expect("a folder");
    let published = city.published();
    download(city.sequencer.store(), &published, files.path());
    let folder = Folder(files.path().into());
    for tile in Tile::all(608) {
        let path = files.path().join(tile.to_string());
        let whole = fs::read(&path).expect("a tile");
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).expect("changed");
            assert!(audit(&folder, &published, &policy(&city), replay()).is_err(), "{tile} byte {at}");
        }
        fs::write(&path, &whole[1..]).expect("cut");
        assert!(audit(&folder, &published, &policy(&city), replay()).is_err(), "{tile} cut");
        fs::remove_file(&path).expect("removed");
        assert_eq!(audit(&folder, &published, &policy(&city), replay()).expect_err("missing").code(), "E_LEDGER_TILE", "{tile}");
        fs::write(&path, whole).expect("whole again");
    }
    assert!(audit(&folder, &published, &policy(&city), replay()).is_ok());
}

#[test]
fn a_log_that_breaks_a_rule_or_lacks_a_signature_is_found_though_all_cosigned_it() {
    let city = grown();
    let steps = job("new");
    let last = |entry: &str| {
        let mut entries = founding();
        entries.push(entry.into());
        let folder = TempDir::new().expect("a folder");
        let mut store = crate::store::Store::open(folder.path(), "other").expect("opened");
        store.append(&entries.iter().map(String::as_bytes).collect::<Vec<_>>(), None).expect("appended");
        match audit(&store, &checkpoint(&entries, &AGENCIES, 5), &policy(&city), replay()) {
            Err(AuditError::Entry { index: 8, error }) => error.code(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(last(&steps[1]), "E_LEDGER_RULE");
    assert_eq!(last(&founding()[4]), "E_LEDGER_REPLAY");
    assert_eq!(last("rubbish"), "E_LEDGER_ENTRY");
    let (text, _) = steps[0].split_once("\n\n").expect("parts");
    let (_, line) = job("other")[0].clone().split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("parts");
    assert_eq!(last(&format!("{text}\n\n{line}")), "E_LEDGER_SIGNATURE");
}

#[test]
fn a_checkpoint_that_is_not_believed_is_not_audited() {
    let city = grown();
    let few = checkpoint(&founding(), &AGENCIES[..2], 5);
    assert_eq!(audit(city.sequencer.store(), &few, &policy(&city), replay()).expect_err("too few").code(), "E_LEDGER_QUORUM");
    let forked = checkpoint(&founding()[..7], &AGENCIES, 5);
    assert!(audit(city.sequencer.store(), &forked, &policy(&city), replay()).is_ok(), "its beginning");
    let mut entries = founding();
    entries.swap(0, 1);
    let forked = checkpoint(&entries, &AGENCIES, 5);
    assert_eq!(audit(city.sequencer.store(), &forked, &policy(&city), replay()).expect_err("another log").code(), "E_LEDGER_CORRUPT");
}

#[test]
fn every_entry_has_a_receipt() {
    let city = grown();
    let published = city.published();
    for index in [0, 1, 255, 256, 300, 607] {
        let receipt = prove(city.cosigners[0].store(), &published, index).expect("a receipt").to_string();
        let receipt: Receipt = receipt.parse().expect("a receipt");
        let entry = city.sequencer.store().entry(index).expect("there");
        assert_eq!(receipt.verify(&entry, &policy(&city), None).expect("in the log").size, 608);
        assert!(receipt.verify(&city.sequencer.store().entry(index ^ 1).expect("there"), &policy(&city), None).is_err());
    }
    assert!(prove(city.sequencer.store(), &published, 608).is_err());
}
