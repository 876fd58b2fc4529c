//! Other implementations of the formats read what we write, and we what they write: `signed_note` and `tlog_tiles`, which follow
//! Go's `golang.org/x/mod/sumdb`.

mod common;

use common::*;
use ledger::bytes::Hash;
use ledger::key::KeyKind;
use ledger::signed::SignedNote;
use ledger::store::{Store, Tiles};
use ledger::tile::{Level, Tile};
use ledger::{checkpoint, tree};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tempfile::TempDir;
use tlog_tiles as theirs;

#[test]
fn our_checkpoints_verify_with_signed_note() {
    let folder = TempDir::new().expect("a folder");
    let (mut log, mut agency) = (sequencer(&folder.path().join("log")), cosigner(&folder.path().join("agency")));
    grow(&mut log, 7);
    cosign(&mut log, &mut agency, 1_800_000_000);
    let published = log.published().expect("published");
    let note = Note::from_bytes(published.note().as_bytes()).expect("a note");
    let known = StandardVerifier::new(&vkey(ORIGIN, KeyKind::Note).to_string()).expect("a key");
    let (verified, others) = note.verify(&VerifierList::new(vec![Box::new(known)])).expect("verifies");
    assert_eq!((verified.len(), others.len()), (1, 2), "the log's signature, and two cosignatures it does not know");
    let read = theirs::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
    assert_eq!((read.origin(), read.size(), read.hash().0), (ORIGIN, 7, log.head().root.0));
    assert_eq!(read.to_bytes(), log.head().to_string().as_bytes());
}

#[test]
fn our_entries_are_notes_to_signed_note() {
    let entry = entry(5);
    let note = Note::from_bytes(entry.as_bytes()).expect("a note");
    let known = StandardVerifier::new(&vkey("energy", KeyKind::Note).to_string()).expect("a key");
    assert_eq!(note.verify(&VerifierList::new(vec![Box::new(known)])).expect("verifies").0.len(), 1);
    assert_eq!(note.to_bytes(), entry.as_bytes());
}

#[test]
fn notes_of_signed_note_verify_here() {
    // The keys of Go's examples.
    let signer = StandardSigner::new("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").expect("a key");
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().expect("a key");
    let head = theirs::Checkpoint::new("PeterNeumann", 12, theirs::record_hash(b"x"), "").expect("a head");
    let mut note = Note::new(&head.to_bytes(), &[]).expect("a note");
    note.add_sigs(&[&signer]).expect("signed");
    let note = String::from_utf8(note.to_bytes()).expect("text");
    let checkpoint = checkpoint::Checkpoint::parse(&note).expect("a checkpoint");
    checkpoint.verify_log(&key).expect("verifies");
    assert_eq!((checkpoint.head().size, checkpoint.head().root), (12, tree::leaf_hash(b"x")));
    assert_eq!(SignedNote::parse(&note, 10_000).expect("a note").verify(&[&key]).expect("verifies").len(), 1);
}

/// Their reader of tiles, over our store.
struct Reader<'a>(&'a Store);

impl theirs::TileReader for Reader<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[theirs::Tile]) -> Result<Vec<Vec<u8>>, theirs::tlog::Error> {
        let ours = |tile: &theirs::Tile| Tile { level: Level::Hashes(tile.level()), index: tile.level_index(), width: tile.width() as u16 };
        Ok(tiles.iter().map(|tile| self.0.tile(&ours(tile)).expect("a tile")).collect())
    }

    fn save_tiles(&self, _: &[theirs::Tile], _: &[Vec<u8>]) {}
}

fn hashes(hashes: &[theirs::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

#[test]
fn our_tiles_and_proofs_are_theirs() {
    let folder = TempDir::new().expect("a folder");
    let mut log = sequencer(&folder.path().join("log"));
    let (old, size) = (300, 777);
    grow(&mut log, old);
    let old_root = log.head().root;
    grow(&mut log, size);
    let (store, root) = (log.store(), theirs::Hash(log.head().root.0));
    let reader = Reader(store);
    // Their reader authenticates every tile against the root before it hands out a hash of it.
    let tiles = theirs::TileHashReader::new(size, root, &reader);
    assert_eq!(theirs::tree_hash(size, &tiles).expect("a root").0, root.0);
    for index in [0, 1, 255, 256, 511, 512, 776] {
        let leaf = theirs::record_hash(&store.entry(index).expect("there"));
        let proof = theirs::prove_record(size, index, &tiles).expect("a proof");
        theirs::check_record(&proof, size, root, index, leaf).expect("holds");
        assert_eq!(tree::prove(store, index, index + 1, size).expect("a proof"), hashes(&proof));
        tree::verify_inclusion(&Hash(leaf.0), index, size, &Hash(root.0), &hashes(&proof)).expect("holds here too");
    }
    for prefix in 1..=size {
        let proof = theirs::prove_tree(size, prefix, &tiles).expect("a proof");
        assert_eq!(tree::prove(store, 0, prefix, size).expect("a proof"), hashes(&proof), "from {prefix}");
    }
    let proof = theirs::prove_tree(size, old, &tiles).expect("a proof");
    theirs::check_tree(&proof, size, root, old, theirs::Hash(old_root.0)).expect("holds");
    tree::verify_consistency(old, &old_root, size, &Hash(root.0), &hashes(&proof)).expect("holds here too");
}

#[test]
fn tiles_are_numbered_and_named_alike() {
    for (old, new) in [(0, 1), (0, 256), (255, 257), (0, 70_000), (69_999, 70_000)] {
        let theirs = theirs::Tile::new_tiles(8, old, new);
        let ours: Vec<Tile> = Tile::all(new).filter(|tile| tile.level != Level::Entries).collect();
        for tile in theirs {
            // Their path has the tile's height in it: `tile/8/0/…` is `tile/0/…` to C2SP.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            let read: Tile = path.parse().expect("a tile");
            assert!(ours.contains(&read), "{path}");
            assert_eq!(read.to_string(), path);
        }
    }
}
