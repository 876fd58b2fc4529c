//! The right edge of a log's tree: the partial tile of every level. It is all one needs to go on appending.

use crate::bytes::Hash;
use crate::tile::{Level, Tile, WIDTH};
use crate::tree::{self, node_hash};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// An edge read back from its partial tiles, lowest level first.
    pub fn new(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the partial tile of a level.
    pub fn partial(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Appends a leaf; `full` is given every tile that this fills.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        let mut hash = leaf;
        self.size += 1;
        for level in 0.. {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                return;
            }
            let level = Level::Hashes(level);
            full(Tile { level, index: Tile::items(level, self.size) / WIDTH - 1, width: WIDTH as u16 }, hashes);
            hash = tree::fold(hashes);
            hashes.clear();
        }
    }

    /// The root: the complete subtrees from right to left.
    pub fn root(&self) -> Hash {
        let mut root = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            for height in 0..8 {
                let width = 1 << height;
                if hashes.len() & width != 0 {
                    let peak = tree::fold(&hashes[end - width..end]);
                    root = Some(root.map_or(peak, |right| node_hash(&peak, &right)));
                    end -= width;
                }
            }
        }
        root.unwrap_or_else(tree::empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_that_of_the_tree_at_every_size() {
        let leaves: Vec<Hash> = (0..1100u64).map(|i| tree::leaf_hash(&i.to_be_bytes())).collect();
        let mut edge = Edge::default();
        let mut filled = Vec::new();
        assert_eq!(edge.root(), tree::empty_root());
        for (size, leaf) in (1..).zip(&leaves) {
            edge.push(*leaf, |tile, hashes| filled.push((tile, hashes.len())));
            assert_eq!(Ok(edge.root()), tree::root(&leaves[..], size), "{size} leaves");
        }
        let full: Vec<Tile> = Tile::all(1100).filter(|tile| tile.is_full() && tile.level != Level::Entries).collect();
        assert_eq!(filled, full.into_iter().map(|tile| (tile, 256)).collect::<Vec<_>>());
        assert_eq!((edge.partial(0).len(), edge.partial(1).len(), edge.partial(7).len()), (1100 - 1024, 4, 0));
    }

    #[test]
    fn levels_carry_over() {
        let mut edge = Edge::new(256 * 256 - 1, vec![vec![Hash([1; 32]); 255], vec![Hash([2; 32]); 255]]);
        let mut filled = Vec::new();
        edge.push(Hash([3; 32]), |tile, _| filled.push(tile.to_string()));
        assert_eq!(filled, ["tile/0/255", "tile/1/000"]);
        assert_eq!((edge.size(), edge.partial(0).len(), edge.partial(1).len(), edge.partial(2).len()), (65536, 0, 0, 1));
    }
}
