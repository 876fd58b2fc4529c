//! The requests and answers of a log and its cosigners, without the server around them: bodies in, bodies out, whatever
//! carries them. `add-checkpoint` is <https://c2sp.org/tlog-witness>, `add-entries` <https://c2sp.org/tlog-mirror>, the rest
//! <https://c2sp.org/tlog-tiles>.
//!
//! A server caps bodies at [`MAX_ADD_CHECKPOINT`] and [`MAX_ADD_ENTRIES`] before it reads them.

use crate::bytes::{Base64, Hash};
use crate::checkpoint::{Checkpoint, MAX_CHECKPOINT};
use crate::code::next_step;
use crate::key::MAX_NAME;
use crate::receipt::parse_proof;
use crate::store::{StoreError, Tiles};
use crate::tile::{self, MAX_BUNDLE, Tile, WIDTH, decimal};
use crate::tree::{self, Hashes, MAX_PROOF};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt;

/// The longest body of `add-checkpoint`.
pub const MAX_ADD_CHECKPOINT: usize = 64 * (MAX_PROOF + 1) + MAX_CHECKPOINT;
/// The longest body of `add-entries`: one package of the longest entries always fits.
pub const MAX_ADD_ENTRIES: usize = MAX_BUNDLE + 64 * 1024;

/// An answer, for a server to put into HTTP's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP's status code.
    pub status: u16,
    /// HTTP's `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, body: body.into() }
    }

    pub(crate) fn text(status: u16, body: impl fmt::Display) -> Self {
        Self::new(status, TEXT, format!("{body}\n"))
    }

    /// Says by its code why something is not done, and in a line of its own what to do about it.
    pub fn refused(status: u16, code: &str, reason: impl fmt::Display) -> Self {
        Self::text(status, format_args!("{code}: {reason}\nfix: {}", next_step(code)))
    }
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const SIZE: &str = "text/x.tlog.size";
pub(crate) const MIRROR_INFO: &str = "text/x.tlog.mirror-info";
const BYTES: &str = "application/octet-stream";

/// What can be fetched of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `checkpoint`: the newest; it must not be cached for more than a few seconds.
    Checkpoint,
    /// A tile or bundle; it never changes.
    Tile(Tile),
}

impl Resource {
    /// The resource at a path below the log's prefix, without a leading slash.
    pub fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" { Some(Self::Checkpoint) } else { path.parse().ok().map(Self::Tile) }
    }
}

/// Answers a GET for a tile.
pub(crate) fn serve_tile(tiles: &impl Tiles, tile: &Tile) -> Response {
    match tiles.tile(tile) {
        Ok(bytes) => Response::new(200, BYTES, bytes),
        Err(error @ StoreError::NoTile { .. }) => Response::text(404, error),
        Err(error) => Response::refused(500, error.code(), error),
    }
}

/// The body of `add-checkpoint`: a newer checkpoint, and the proof that it extends the one a cosigner had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size the cosigner is thought to be at.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// Reads a body.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let bad = BadBody;
        let body = std::str::from_utf8(body).ok().filter(|body| body.len() <= MAX_ADD_CHECKPOINT);
        let body = body.ok_or(bad("it is not UTF-8, or too long"))?;
        let (head, checkpoint) = body.split_once("\n\n").ok_or(bad("no blank line parts the proof from the checkpoint"))?;
        let mut lines = head.split('\n');
        let old =
            lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal).ok_or(bad("its first line is not `old <size>`"))?;
        let proof = parse_proof(lines).ok_or(bad("its proof is not at most 63 hashes in base64"))?;
        let checkpoint = Checkpoint::parse(checkpoint).map_err(|_| bad("its checkpoint is none"))?;
        Ok(Self { old, proof, checkpoint })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint.note())
    }
}

/// The body of `add-entries`: entries for a mirror, in packages of up to 256, each with the proof that it is a part of the
/// tree of `end` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddEntries<'a> {
    /// The log.
    pub origin: &'a str,
    /// The first entry uploaded.
    pub start: u64,
    /// The size of a checkpoint the mirror has.
    pub end: u64,
    /// What the mirror gave along with an earlier answer. Ours gives none and needs none.
    pub ticket: &'a [u8],
    rest: &'a [u8],
}

/// Neighbouring entries up to a multiple of 256 or the upload's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'a> {
    /// The first entry's place.
    pub start: u64,
    /// The entries.
    pub entries: Vec<&'a [u8]>,
    /// That the tree from the last multiple of 256 to the last entry is a part of the tree of the upload's end.
    pub proof: Vec<Hash>,
}

impl<'a> AddEntries<'a> {
    /// Reads what stands before the packages.
    ///
    /// # Errors
    /// It is not what it must be.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadBody> {
        fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
            let (taken, tail) = rest.split_first_chunk()?;
            *rest = tail;
            Some(taken)
        }
        let bad = BadBody;
        if body.len() > MAX_ADD_ENTRIES {
            return Err(bad("it is too long"));
        }
        let mut rest = body;
        let origin =
            tile::take_entry(&mut rest).filter(|origin| origin.len() <= MAX_NAME).and_then(|origin| std::str::from_utf8(origin).ok());
        let origin = origin.ok_or(bad("it does not begin with the log's origin"))?;
        let number = |rest: &mut &'a [u8]| take(rest).map(|bytes| u64::from_be_bytes(*bytes));
        let (start, end) = number(&mut rest).zip(number(&mut rest)).ok_or(bad("it ends before its sizes"))?;
        let ticket = tile::take_entry(&mut rest).ok_or(bad("it ends before its ticket"))?;
        if start > end {
            return Err(bad("it begins behind its end"));
        }
        Ok(Self { origin, start, end, ticket, rest })
    }

    /// The packages that are there whole; a piece of one at the end is passed over.
    pub fn packages(&self) -> impl Iterator<Item = Package<'a>> {
        let (mut rest, mut start, end) = (self.rest, self.start, self.end);
        std::iter::from_fn(move || {
            let stop = (start / WIDTH * WIDTH).saturating_add(WIDTH).min(end);
            if start >= stop {
                return None;
            }
            let entries: Vec<&[u8]> = (start..stop).map(|_| tile::take_entry(&mut rest)).collect::<Option<_>>()?;
            let (count, tail) = rest.split_first()?;
            let count = Some(usize::from(*count)).filter(|count| *count <= MAX_PROOF)?;
            let (hashes, tail) = tail.split_at_checked(32 * count)?;
            rest = tail;
            let package = Package { start, entries, proof: hashes.as_chunks::<32>().0.iter().copied().map(Hash).collect() };
            start = stop;
            Some(package)
        })
    }

    /// The body that uploads a log's entries from `start`, towards the checkpoint of `end`: as many packages as a body may hold.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn body<L>(log: &L, origin: &str, start: u64, end: u64) -> Result<Vec<u8>, StoreError>
    where
        L: Tiles + Hashes<Error = StoreError>,
    {
        let mut body = Vec::new();
        tile::push_entry(&mut body, origin.as_bytes());
        body.extend(start.to_be_bytes());
        body.extend(end.to_be_bytes());
        tile::push_entry(&mut body, b"");
        let mut at = start;
        while at < end {
            let first = at / WIDTH * WIDTH;
            let stop = first.saturating_add(WIDTH).min(end);
            let none = || StoreError::NoTile { path: format!("entry {at}") };
            let tile = Tile { level: tile::Level::Entries, index: at / WIDTH, width: (stop - first) as u16 };
            let bundle = log.tile(&tile)?;
            let entries = tile::entries(&bundle, tile.width).map_err(|_| none())?;
            let mut package = Vec::new();
            entries[(at - first) as usize..].iter().for_each(|entry| tile::push_entry(&mut package, entry));
            let proof = tree::prove(log, first, stop, end)?;
            package.push(proof.len() as u8);
            proof.iter().for_each(|hash| package.extend(hash.0));
            if at > start && body.len() + package.len() > MAX_ADD_ENTRIES {
                break;
            }
            body.extend(package);
            at = stop;
        }
        Ok(body)
    }
}

/// Where a mirror is, as it tells with 202 and 409.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorInfo {
    /// The size of a checkpoint it has.
    pub size: u64,
    /// The first entry it lacks.
    pub next: u64,
    /// For the next request.
    pub ticket: Base64,
}

impl MirrorInfo {
    /// Reads a body.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let bad = BadBody("it is not a mirror's three lines");
        let body =
            std::str::from_utf8(body).ok().filter(|body| body.len() < 100_000).and_then(|body| body.strip_suffix('\n')).ok_or(bad)?;
        let [size, next, ticket] = body.split('\n').collect::<Vec<_>>()[..] else { return Err(bad) };
        let (size, next) = decimal(size).zip(decimal(next)).ok_or(bad)?;
        Ok(Self { size, next, ticket: ticket.parse().map_err(|_| bad)? })
    }
}

impl fmt::Display for MirrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.size, self.next, self.ticket)
    }
}

/// The size in a body of the type `text/x.tlog.size`.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// Why a body is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is refused: {0}")]
pub struct BadBody(&'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the specification, with its hashes.
    const EXAMPLE: &str = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\nexample.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u{2014} example.com/behind-the-sofa \
        opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

    #[test]
    fn the_example_of_the_specification_reads_back() {
        let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).expect("a request");
        assert_eq!((request.old, request.proof.len(), request.checkpoint.head().size), (20_852_014, 4, 20_852_163));
        assert_eq!(request.to_string(), EXAMPLE);
    }

    #[test]
    fn other_spellings_are_refused() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        for body in [
            EXAMPLE.replace("old 2", "old 02"),
            EXAMPLE.replace("old ", "old  "),
            EXAMPLE.replacen("\n\n", "\n", 1),
            EXAMPLE.replacen(hash, "PlRN\n", 1),
            EXAMPLE.replacen(hash, &hash.repeat(61), 1),
            EXAMPLE.replace('\n', "\r\n"),
            format!("{EXAMPLE}\n"),
        ] {
            assert!(AddCheckpoint::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(AddCheckpoint::parse(EXAMPLE.replacen(hash, &hash.repeat(60), 1).as_bytes()).is_ok(), "63 hashes");
    }

    #[test]
    fn a_mirror_says_where_it_is() {
        let info = MirrorInfo { size: 20, next: 7, ticket: Base64(vec![1]) };
        assert_eq!(info.to_string(), "20\n7\nAQ==\n");
        assert_eq!(MirrorInfo::parse(info.to_string().as_bytes()), Ok(info));
        assert!(MirrorInfo::parse(b"20\n7\n\n").is_ok());
        for bad in ["", "20\n7\n", "20\n07\n\n", "20\n7\nA\n", "20\n7\n\n\n"] {
            assert!(MirrorInfo::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!((parse_size(b"12\n"), parse_size(b"12"), parse_size(b"012\n")), (Some(12), None, None));
    }

    #[test]
    fn resources_are_the_checkpoint_and_tiles() {
        assert_eq!(Resource::parse("checkpoint"), Some(Resource::Checkpoint));
        assert!(matches!(Resource::parse("tile/entries/000.p/7"), Some(Resource::Tile(_))));
        for path in ["", "/checkpoint", "checkpoint/", "tail", "signed", "lock", "tile/../tail"] {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), start in any::<u64>(), end in any::<u64>()) {
            let _ = (AddCheckpoint::parse(&bytes), MirrorInfo::parse(&bytes), parse_size(&bytes));
            let _ = AddEntries::parse(&bytes).map(|request| request.packages().count());
            let mut body = vec![0, 1, b'o'];
            body.extend(start.to_be_bytes());
            body.extend(end.to_be_bytes());
            body.extend([0, 0]);
            body.extend(&bytes);
            let _ = AddEntries::parse(&body).map(|request| request.packages().count());
        }
    }
}
