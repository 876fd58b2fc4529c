//! Percentiles of so many values, at every place, against the same in clear.

use super::pool::{On, Pool};

pub const MOST: usize = 20;

/// No two are equal, in no order.
pub fn score(pupil: usize) -> i32 {
    (pupil * 101 % 211) as i32 - 50
}

/// Group n of one owner has n values of another.
pub fn pool() -> Pool {
    let rows = MOST * (MOST + 1) / 2;
    let catalogue = format!(
        "version = 1\n\
         [[table]]\nname = \"school.pupils\"\nmax_rows = {rows}\nkey = [\"pupil\"]\nrelease = \"rows\"\ncolumn = [\n\
         {{ name = \"pupil\", type = \"INT\", min = 1, max = 999, nullable = false }},\n\
         {{ name = \"class\", type = \"INT\", min = 1, max = {MOST}, nullable = false }},\n]\n\
         [[table]]\nname = \"clinic.tests\"\nmax_rows = {rows}\nkey = [\"pupil\"]\nrelease = \"rows\"\ncolumn = [\n\
         {{ name = \"pupil\", type = \"INT\", min = 1, max = 999, nullable = false }},\n\
         {{ name = \"score\", type = \"INT\", min = -50, max = 300, nullable = false }},\n]\n"
    );
    let mut pool = Pool::new(["school", "clinic", "housing"], &catalogue).expect("a catalogue");
    let classes = (1..=MOST).flat_map(|n| std::iter::repeat_n(n, n));
    let (mut pupils, mut tests) = ("pupil,class\n".to_owned(), "pupil,score\n".to_owned());
    for (pupil, class) in classes.enumerate() {
        pupils += &format!("{},{class}\n", pupil + 1);
        tests += &format!("{},{}\n", pupil + 1, score(pupil));
    }
    pool.add("school.pupils", pupils.as_bytes()).expect("pupils");
    pool.add("clinic.tests", tests.as_bytes()).expect("tests");
    pool
}

#[test]
fn of_one_to_twenty_values_from_the_largest_and_from_the_smallest() {
    let pool = pool();
    let of = |order: &str| {
        let at = ["0", "0.05", "0.1", "0.25", "0.375", "0.5", "0.625", "0.7", "0.95", "0.999", "1"];
        let each = at.iter().enumerate().map(|(i, p)| format!("PERCENTILE_DISC({p}) WITHIN GROUP (ORDER BY t.score {order}) AS p{i}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let from = "FROM school.pupils p JOIN clinic.tests t ON t.pupil = p.pupil";
    let each = format!("SELECT p.class, {}, {} {from} GROUP BY p.class", of("DESC"), of("ASC").replace(" AS p", " AS q"));
    let whole = [0, 1, 2, 7, 8, 20].map(|n| format!("SELECT {} {from} WHERE p.class = {n}", of("DESC")));
    // of rows that a secret bit drops
    let some = format!("SELECT p.class, {} {from} WHERE t.score > 4 * p.class GROUP BY p.class", of("DESC"));
    let over = format!(
        "SELECT t.pupil, PERCENTILE_DISC(0.375) WITHIN GROUP (ORDER BY t.score DESC) FILTER (WHERE p.class > 7) AS x {from} GROUP BY t.pupil"
    );
    for sql in whole.into_iter().chain([each, some, over]) {
        let checked = pool.check(&sql, On::Plain);
        assert!(matches!(checked, Ok(None)), "{sql}\n{checked:?}");
    }
    let few = format!("SELECT p.class, {} {from} WHERE p.class < 9 GROUP BY p.class", of("DESC"));
    let checked = pool.check(&few, On::Rep3);
    assert!(matches!(checked, Ok(None)), "{few}\n{checked:?}");
}
