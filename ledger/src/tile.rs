//! Tiles: the static files a log is served as, <https://c2sp.org/tlog-tiles>. A tile holds 256 neighbouring hashes of one
//! level (of every eighth level of the tree), an entry bundle 256 entries; the last of each is partial.

use crate::bytes::Hash;
use std::fmt;
use std::str::FromStr;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;
/// The longest entry: its length is two bytes in a bundle.
pub const MAX_ENTRY: usize = 65_535;
/// The most bytes a full bundle can have.
pub const MAX_BUNDLE: usize = 256 * (2 + MAX_ENTRY);

/// Which levels a tile is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Entries, each with its length before it.
    Entries,
    /// Hashes of complete subtrees of 256^n leaves.
    Hashes(u8),
}

/// A tile's place, and how many of its 256 places are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Entries or hashes.
    pub level: Level,
    /// Its number in the level.
    pub index: u64,
    /// 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The tile that has the `place`-th item of a level, as wide as a log of `size` entries has it; none beyond the log.
    pub fn holding(level: Level, place: u64, size: u64) -> Option<Self> {
        let items = Self::items(level, size);
        let index = place / WIDTH;
        (place < items).then(|| Self { level, index, width: (items - index * WIDTH).min(WIDTH) as u16 })
    }

    /// How many items a level has in a log of `size` entries.
    pub fn items(level: Level, size: u64) -> u64 {
        match level {
            Level::Entries => size,
            Level::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }

    /// All tiles of a log of `size` entries, hashes and entries.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let levels = std::iter::once(Level::Entries).chain((0..8).map(Level::Hashes));
        levels.flat_map(move |level| {
            let tiles = Self::items(level, size).div_ceil(WIDTH);
            (0..tiles).filter_map(move |index| Self::holding(level, index * WIDTH, size))
        })
    }

    /// Whether all 256 places are filled, so that it never changes again.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }
}

/// The path below the log's prefix: `tile/0/x001/x234/067.p/12`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries")?,
            Level::Hashes(level) => write!(f, "tile/{level}")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (at, group) in groups.iter().enumerate().rev() {
            write!(f, "/{}{group:03}", if at > 0 { "x" } else { "" })?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = BadTile;

    fn from_str(path: &str) -> Result<Self, BadTile> {
        if path.len() > 64 {
            return Err(BadTile);
        }
        let path = path.strip_prefix("tile/").ok_or(BadTile)?;
        let (level, rest) = path.split_once('/').ok_or(BadTile)?;
        let level = match level {
            "entries" => Level::Entries,
            digits => Level::Hashes(decimal(digits).filter(|level| *level < 64).ok_or(BadTile)? as u8),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, decimal(width).filter(|width| (1..WIDTH).contains(width)).ok_or(BadTile)?),
            None => (rest, WIDTH),
        };
        let (above, last) = number.rsplit_once('/').map_or((None, number), |(above, last)| (Some(above), last));
        let mut index = 0u64;
        for (at, group) in above.into_iter().flat_map(|above| above.split('/')).enumerate() {
            let group = three(group.strip_prefix('x').ok_or(BadTile)?)?;
            // A leading group of zeroes would be a second spelling.
            if at == 0 && group == 0 {
                return Err(BadTile);
            }
            index = index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(BadTile)?;
        }
        index = index.checked_mul(1000).and_then(|index| index.checked_add(three(last).ok()?)).ok_or(BadTile)?;
        Ok(Self { level, index, width: width as u16 })
    }
}

/// The text is not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile, such as `tile/0/x001/067.p/12` or `tile/entries/000`")]
pub struct BadTile;

/// A decimal number without leading zeroes.
pub(crate) fn decimal(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| plain)
}

fn three(digits: &str) -> Result<u64, BadTile> {
    let digits = Some(digits).filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(BadTile)
}

/// Appends an entry to a bundle. Its length fits by [`MAX_ENTRY`], which whoever takes entries checks.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    bundle.extend((entry.len() as u16).to_be_bytes());
    bundle.extend(entry);
}

/// Takes the first entry off a bundle.
pub(crate) fn take_entry<'a>(bundle: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bundle.split_first_chunk()?;
    let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bundle = rest;
    Some(entry)
}

/// The entries of a bundle of this width.
///
/// # Errors
/// The bundle has another number of entries, or a piece of one.
pub fn entries(mut bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, BadBundle> {
    let entries: Option<Vec<&[u8]>> = (0..width).map(|_| take_entry(&mut bundle)).collect();
    entries.filter(|_| bundle.is_empty()).ok_or(BadBundle("entry bundle"))
}

/// The hashes of a tile of this width.
///
/// # Errors
/// The tile has another number of hashes.
pub fn hashes(tile: &[u8], width: u16) -> Result<Vec<Hash>, BadBundle> {
    let (hashes, rest) = tile.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() != usize::from(width) {
        return Err(BadBundle("tile"));
    }
    Ok(hashes.iter().copied().map(Hash).collect())
}

/// A tile or bundle that is not what its path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {0} does not hold what its path says")]
pub struct BadBundle(&'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_as_the_specification_writes_them() {
        let tile = |level, index, width| Tile { level, index, width };
        for (path, tile) in [
            ("tile/0/x001/x234/067", tile(Level::Hashes(0), 1_234_067, 256)),
            ("tile/0/273.p/112", tile(Level::Hashes(0), 273, 112)),
            ("tile/entries/000.p/1", tile(Level::Entries, 0, 1)),
            ("tile/entries/x001/000", tile(Level::Entries, 1000, 256)),
            ("tile/63/000", tile(Level::Hashes(63), 0, 256)),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(path.parse(), Ok(tile));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "tile/0/1",
            "tile/0/0001",
            "tile/0/x000/001",
            "tile/00/001",
            "tile/64/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001.p/",
            "tile/0/001/",
            "/tile/0/001",
            "tile/0/x001",
            "tile/0/001/002",
            "tile/-1/001",
            "tile/0/+01",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "tile/0/x001/x/002",
            "tile/data/001",
            "tile/0",
            "",
            "tile/0/../001",
        ] {
            assert!(path.parse::<Tile>().is_err(), "{path}");
        }
    }

    #[test]
    fn seventy_thousand_entries_make_the_tiles_of_the_specification() {
        let of = |level| Tile::all(70_000).filter(|tile| tile.level == Level::Hashes(level)).collect::<Vec<_>>();
        assert_eq!((of(0).len(), of(1).len(), of(2).len(), of(3).len()), (274, 2, 1, 0));
        assert!(of(0)[..273].iter().all(Tile::is_full) && of(1)[0].is_full());
        assert_eq!((of(0)[273].width, of(1)[1].width, of(2)[0].width), (112, 17, 1));
        // "A tree of size 256 will be represented by a full level 0 tile and a partial level 1 tile of width 1."
        let paths: Vec<String> = Tile::all(256).map(|tile| tile.to_string()).collect();
        assert_eq!(paths, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(Tile::all(0).count(), 0);
    }

    proptest! {
        #[test]
        fn paths_read_back(level in 0u8..65, index in any::<u64>(), width in 1u16..=256) {
            let level = if level == 64 { Level::Entries } else { Level::Hashes(level) };
            let tile = Tile { level, index, width };
            prop_assert_eq!(tile.to_string().parse(), Ok(tile));
        }

        #[test]
        fn no_path_panics(path in "(tile/)?[0-9xp./e]{0,40}", any in "(?s).{0,40}") {
            if let Ok(tile) = path.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), path);
            }
            let _ = any.parse::<Tile>();
        }

        #[test]
        fn bundles_read_back_and_no_bytes_panic(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..9), junk in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut bundle = Vec::new();
            items.iter().for_each(|item| push_entry(&mut bundle, item));
            let width = items.len() as u16;
            prop_assert_eq!(entries(&bundle, width).expect("a bundle"), items.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert!(entries(&bundle, width + 1).is_err() && entries(&bundle[..bundle.len() - 1], width).is_err());
            let _ = (entries(&junk, width), hashes(&junk, width));
        }
    }
}
