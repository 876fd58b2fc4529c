//! Pairs of questions, each of which is harmless alone: two by which other systems were made to tell of one restaurant, and an honest one. Where health's contracts ask for
//! groups of so many restaurants, the second question of the first two pairs is refused once the first was answered.

/// Two questions asked one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Short name.
    pub id: &'static str,
    /// What is tried, in plain words.
    pub title: &'static str,
    /// The question that is answered.
    pub first: &'static str,
    /// The one that follows.
    pub second: &'static str,
    /// Whether the difference of the two answers is one restaurant.
    pub tells: bool,
}

const PAIRS: [Pair; 3] = [
    Pair {
        id: "n-minus-one",
        title: "All restaurants, then all but one: the difference is that one",
        first: include_str!("../sql/pairs/all.sql"),
        second: include_str!("../sql/pairs/all_but_one.sql"),
        tells: true,
    },
    Pair {
        id: "narrowed-by-case",
        title: "The points of all restaurants, then again with one made 0 by a comparison",
        first: include_str!("../sql/pairs/points.sql"),
        second: include_str!("../sql/pairs/points_by_case.sql"),
        tells: true,
    },
    Pair {
        id: "two-groups",
        title: "The points of all restaurants, then of those with many",
        first: include_str!("../sql/pairs/points.sql"),
        second: include_str!("../sql/pairs/high_points.sql"),
        tells: false,
    },
];

/// The two attacks, and an honest pair.
pub fn pairs() -> &'static [Pair] {
    &PAIRS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEMO_SEED, generate};
    use flate2::read::GzDecoder;
    use std::fs::File;

    #[test]
    fn the_questions_say_what_they_are() {
        for sql in PAIRS.iter().flat_map(|pair| [pair.first, pair.second]) {
            assert!(sql.starts_with("-- ") && sql.contains("Out come"), "{sql}");
        }
    }

    #[test]
    fn the_attacks_leave_out_one_restaurant_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        generate(folder.path(), DEMO_SEED).expect("generated");
        let one = |file: &str, asks: &dyn Fn(&csv::StringRecord) -> bool| {
            let file = File::open(folder.path().join(file)).expect("a file");
            let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
            let camis = reader.headers().expect("a header").iter().position(|name| name == "camis").expect("a column");
            let rows =
                reader.records().map(|row| row.expect("a row")).filter(|row| row[camis].parse::<u64>().expect("a number") <= 30_076_500);
            rows.filter(|row| asks(row)).map(|row| row[camis].to_owned()).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(one("health/inspections.csv.gz", &|row| !row[2].is_empty()), 1);
        assert_eq!(one("health/restaurants.csv.gz", &|row| !row[8].is_empty()), 1);
    }
}
