//! Arithmetic, choice and comparison on bits, text and dates, against integers, strings and the calendar: edge sizes, boundary values, random ones.

use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Ring};
use proptest::prelude::*;
use protocols::circuit::{self, DatePart, Sign};
use protocols::world::{Protocol, check_seeded};
use protocols::{Abort, Engine, Input, Share};

const SIZES: [usize; 7] = [0, 1, 2, 63, 64, 65, 1000];

fn input<E: Engine>(e: &mut E, owner: u8, column: &Column<B64>) -> Result<E::Share<B64>, Abort> {
    let owner = PartyId(owner);
    Ok(e.input(&[Input::new(owner, column.layout(), e.holds(owner).then_some(column))])?.remove(0))
}

fn opened<E: Engine>(e: &mut E, x: E::Share<B64>) -> Result<Vec<u128>, Abort> {
    let x = e.verify(x)?;
    Ok(e.open(&x)?.to_uints())
}

fn opened_integers<E: Engine, R: Ring>(e: &mut E, x: E::Share<R>) -> Result<Vec<i128>, Abort> {
    let x = e.verify(x)?;
    let modulus = R::ZERO.sub(R::ONE).to_bits() as i128 + 1;
    let centred = |v: &R| if v.to_bits() as i128 > modulus / 2 { v.to_bits() as i128 - modulus } else { v.to_bits() as i128 };
    Ok(e.open(&x)?.as_slice().iter().map(centred).collect())
}

// ------------------------------------------------------------ integers

struct Integers {
    width: usize,
    a: Vec<i128>,
    b: Vec<i128>,
    c: Vec<i128>,
}

const CONSTANTS: [i128; 9] = [0, 1, 2, 3, 5, 9, 64, 100, 127];

impl Integers {
    fn new(width: usize, rows: usize) -> Self {
        let (top, low) = ((1i128 << (width - 1)) - 1, -(1i128 << (width - 1)));
        let edges = [0, 1, -1, 2, -2, top, low, top - 1, low + 1, top / 3, 64, 100];
        let edge = |i: usize| edges[i % 12].clamp(low, top);
        let column = |step: usize| (0..rows).map(|i| edge(i / step + i / 144)).collect();
        Integers { width, a: column(1), b: column(12), c: column(5) }
    }

    fn constants(&self) -> Vec<i128> {
        let mask = (1i128 << self.width) - 1;
        let extra = [mask, mask / 2, mask - 1];
        CONSTANTS.into_iter().chain(extra).filter(|c| (0..=mask).contains(c)).collect()
    }

    fn truth(&self, i: usize) -> Vec<i128> {
        let (a, b, c, mask) = (self.a[i], self.b[i], self.c[i], (1i128 << self.width) - 1);
        let unsigned = |v: i128| v & mask;
        let constants = self.constants();
        let reached: i128 = constants.iter().enumerate().map(|(i, c)| i128::from(unsigned(a) >= *c) << i).sum();
        let case = if a < b {
            a
        } else if c < b {
            c
        } else {
            b
        };
        vec![
            a.abs(),
            unsigned(if b < 0 { -a } else { a }),
            unsigned(a.min(b)),
            unsigned(a.max(b)),
            (b <= a && a <= c).into(),
            (unsigned(b) <= unsigned(a) && unsigned(a) <= unsigned(c)).into(),
            unsigned(case),
            constants.contains(&unsigned(a)).into(),
            reached,
            a & ((1 << (self.width + 3)) - 1),
            unsigned(a),
            a & ((1 << self.width.div_ceil(2)) - 1),
            (a < b).into(),
            a,
            unsigned(a),
        ]
    }

    fn verify(&self) {
        let got = check_seeded(self, self.a.len() as u64);
        for i in 0..self.a.len() {
            let row: Vec<i128> = got.iter().map(|column| column[i]).collect();
            assert_eq!(row, self.truth(i), "{} {} {}, width {}", self.a[i], self.b[i], self.c[i], self.width);
        }
    }
}

impl Protocol for Integers {
    type Output = Vec<Vec<i128>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let column = |values: &[i128]| Column::from_ints(values, self.width);
        let (a, b, c) = (input(e, 0, &column(&self.a))?, input(e, 1, &column(&self.b))?, input(e, 2, &column(&self.c))?);
        let negative = b.planes([self.width - 1]);
        let (less, lesser) = (circuit::less_signed(e, &a, &b)?, circuit::less_signed(e, &c, &b)?);
        let constants = column(&self.constants());
        let wide = circuit::extend(e, &a, self.width + 3, Sign::Signed);
        let (one, other) = circuit::align(e, &a, &wide, Sign::Unsigned);
        let zero_extended = e.verify(one)?;
        let zero_extended = e.open(&zero_extended)?.to_uints();
        assert_eq!(Share::layout(&other), Share::layout(&wide));
        let b_wide = circuit::extend(e, &b, self.width + 3, Sign::Signed);
        let results = [
            circuit::absolute(e, &a)?,
            circuit::negate_if(e, &negative, &a)?,
            circuit::minimum_signed(e, &a, &b)?,
            circuit::maximum_signed(e, &a, &b)?,
            circuit::between(e, &a, &b, &c, Sign::Signed)?,
            circuit::between(e, &a, &b, &c, Sign::Unsigned)?,
            circuit::case(e, &[(&less, &a), (&lesser, &c)], &b)?,
            circuit::is_in(e, &a, &constants)?,
            circuit::at_least(e, &a, &constants)?,
            wide.clone(),
            circuit::extend(e, &a, self.width, Sign::Unsigned),
            circuit::narrow::<E>(&a, self.width.div_ceil(2)),
            circuit::less_signed(e, &wide, &b_wide)?,
        ];
        let mut all =
            results.into_iter().map(|r| Ok(opened(e, r)?.into_iter().map(|v| v as i128).collect())).collect::<Result<Vec<_>, Abort>>()?;
        let signed = circuit::integer::<E, Fp127>(e, &a, Sign::Signed)?;
        all.push(opened_integers::<E, Fp127>(e, signed)?);
        let unsigned = circuit::integer::<E, Fp127>(e, &a, Sign::Unsigned)?;
        all.push(opened_integers::<E, Fp127>(e, unsigned)?);
        assert_eq!(all[14], zero_extended.into_iter().map(|v| v as i128).collect::<Vec<_>>());
        Ok(all)
    }
}

#[test]
fn integers_of_every_width() {
    for width in 1..=64 {
        Integers::new(width, 144).verify();
    }
}

#[test]
fn integers_of_edge_sizes() {
    for rows in SIZES {
        for width in [1, 2, 7, 33, 64] {
            Integers::new(width, rows).verify();
        }
    }
}

// ------------------------------------------------------------ lists

/// Membership, order and a step function over any list.
struct Lists {
    width: usize,
    values: Vec<u64>,
    constants: Vec<u64>,
}

impl Protocol for Lists {
    type Output = [Vec<u128>; 3];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let column = |values: &[u64]| Column::from_ints(&values.iter().map(|v| i128::from(*v)).collect::<Vec<_>>(), self.width);
        let x = input(e, 1, &column(&self.values))?;
        let constants = column(&self.constants);
        let (among, reached) = (circuit::is_in(e, &x, &constants)?, circuit::at_least(e, &x, &constants)?);
        let squares: Vec<u128> = (0..=self.constants.len() as u128).map(|i| (i + 3) * (i + 3)).collect();
        let step = circuit::steps(e, &reached, &squares, 20);
        Ok([opened(e, among)?, opened(e, reached)?, opened(e, step)?])
    }
}

fn lists(width: usize, values: &[u64], mut constants: Vec<u64>) {
    constants.sort();
    constants.truncate(100);
    let case = Lists { width, values: values.to_vec(), constants };
    let [among, reached, step] = check_seeded(&case, 4);
    for (i, v) in case.values.iter().enumerate() {
        let count = case.constants.iter().filter(|c| v >= *c).count() as u128;
        assert_eq!(among[i], case.constants.contains(v).into(), "{v}, width {width}");
        assert_eq!(reached[i], (1 << count) - 1, "{v}, width {width}");
        assert_eq!(step[i], (count + 3) * (count + 3), "{v}, width {width}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn random_lists(width in 1usize..=64, constants in prop::collection::vec((any::<u64>(), any::<bool>()), 1..40), values in prop::collection::vec((any::<u64>(), any::<u8>()), 1..70)) {
        let mask = u64::MAX >> (64 - width);
        let constants: Vec<u64> = constants.into_iter().map(|(c, round)| if round { c & mask & !0xff } else { c & mask }).collect();
        let near = |(v, i): (u64, u8)| match i % 4 {
            0 => v,
            1 => constants[i as usize % constants.len()],
            2 => constants[i as usize % constants.len()].wrapping_add(1),
            _ => constants[i as usize % constants.len()].wrapping_sub(1),
        };
        let values: Vec<u64> = values.into_iter().map(|pair| near(pair) & mask).collect();
        let distinct = constants.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        lists(width, &values, distinct);
    }
}

#[test]
fn a_whole_range_of_constants() {
    lists(6, &(0..64).collect::<Vec<_>>(), (0..64).collect());
    lists(1, &[0, 1], vec![0, 1]);
    lists(1, &[0, 1], vec![0]);
}

struct NoConstants;

impl Protocol for NoConstants {
    type Output = Vec<u128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let x = input(e, 0, &Column::from_ints(&[0, 1, 5], 3))?;
        let among = circuit::is_in(e, &x, &Column::zeros(Layout::new(0, 3)))?;
        opened(e, among)
    }
}

#[test]
fn nothing_is_in_an_empty_list() {
    assert_eq!(check_seeded(&NoConstants, 1), [0, 0, 0]);
}

/// The first of several conditions wins, however many there are.
struct Cases {
    conditions: Vec<Vec<bool>>,
}

impl Protocol for Cases {
    type Output = Vec<u128>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let rows = self.conditions[0].len();
        let mut cases = Vec::new();
        for (i, condition) in self.conditions.iter().enumerate() {
            let condition = input(e, (i % 3) as u8, &Column::from_bools(condition))?;
            cases.push((condition, input(e, 2, &Column::from_ints(&vec![i as i128; rows], 5))?));
        }
        let otherwise = input(e, 1, &Column::from_ints(&vec![31; rows], 5))?;
        let chosen = circuit::case(e, &cases.iter().map(|(c, v)| (c, v)).collect::<Vec<_>>(), &otherwise)?;
        opened(e, chosen)
    }
}

#[test]
fn the_first_case_that_holds() {
    for cases in 1..=9usize {
        let rows = 1 << cases.min(7);
        let conditions: Vec<Vec<bool>> = (0..cases).map(|i| (0..rows).map(|row| row >> (i % 7) & 1 == 1).collect()).collect();
        let case = Cases { conditions };
        let truth = |row: usize| case.conditions.iter().position(|c| c[row]).unwrap_or(31) as u128;
        assert_eq!(check_seeded(&case, 1), (0..rows).map(truth).collect::<Vec<_>>());
    }
}

// ------------------------------------------------------------ text

struct Texts {
    a: Vec<String>,
    b: Vec<String>,
}

impl Protocol for Texts {
    type Output = [Vec<u128>; 3];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let planes = |strings: &[String], length| circuit::text_planes(strings, length).expect("they fit");
        let (a, b) = (input(e, 0, &planes(&self.a, 6))?, input(e, 2, &planes(&self.b, 9))?);
        let a = circuit::lengthen(e, &a, 9);
        let (less, equal) = circuit::less_and_equal(e, &a, &b)?;
        let among = circuit::is_in(
            e,
            &a,
            &planes(&["", "Zürich"].map(str::to_owned).iter().filter(|s| s.len() < 9).cloned().collect::<Vec<_>>(), 9),
        )?;
        Ok([opened(e, less)?, opened(e, equal)?, opened(e, among)?])
    }
}

#[test]
fn text_compares_as_bytes() {
    let words = ["", "a", "b", "ab", "aa", "aaaaaa", "Ab", "é", "~", "abc", "Züri"];
    let pairs = words.iter().flat_map(|a| words.iter().map(move |b| (a.to_string(), b.to_string())));
    let (a, b) = pairs.chain([("abcdef".into(), "abcdefg".into()), ("abcdef".into(), "abcdee".into())]).unzip();
    let case = Texts { a, b };
    let [less, equal, among] = check_seeded(&case, 1);
    for (i, (a, b)) in case.a.iter().zip(&case.b).enumerate() {
        let truth = (u128::from(a.as_bytes() < b.as_bytes()), u128::from(a == b), u128::from(a.is_empty()));
        assert_eq!((less[i], equal[i], among[i]), truth, "{a:?} {b:?}");
    }
    assert!(circuit::text_planes(&["abc"], 2).is_none());
    assert!(circuit::text_planes(&["a\0"], 2).is_none());
    assert_eq!(circuit::text_planes::<&str>(&[], 2).expect("none is too long").layout(), Layout::new(0, 16));
}

// ------------------------------------------------------------ dates

fn lengths(year: i64) -> [i64; 12] {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

/// Year, month and day of a day, the slow way: from 1970 on, year by year and month by month.
fn civil(mut day: i64) -> [u128; 3] {
    let leap = |y: i64| lengths(y)[1] == 29;
    let mut year = 1970;
    while day < 0 {
        year -= 1;
        day += 365 + i64::from(leap(year));
    }
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    while day >= lengths(year)[month] {
        day -= lengths(year)[month];
        month += 1;
    }
    [year as u128, month as u128 + 1, day as u128 + 1]
}

/// The day so many months later, month by month.
fn later(day: i64, months: i32) -> i64 {
    let [year, month, of_month] = civil(day).map(|part| part as i64);
    let first = |months: i64| -> i64 {
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) as usize);
        let days = |year: i64| -> i64 { lengths(year).iter().sum() };
        let years: i64 = if year < 1970 { -(year..1970).map(days).sum::<i64>() } else { (1970..year).map(days).sum() };
        years + lengths(year)[..month].iter().sum::<i64>()
    };
    let to = year * 12 + month - 1 + i64::from(months);
    first(to) + (of_month - 1).min(lengths(to.div_euclid(12))[to.rem_euclid(12) as usize] - 1)
}

struct Dates {
    days: Vec<i64>,
    width: usize,
    range: std::ops::RangeInclusive<i64>,
    months: Vec<i32>,
}

impl Protocol for Dates {
    type Output = Vec<Vec<u128>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let days = input(e, 1, &Column::from_ints(&self.days.iter().map(|d| i128::from(*d)).collect::<Vec<_>>(), self.width))?;
        let parts = [DatePart::Year, DatePart::Month, DatePart::Day, DatePart::DayOfQuarter, DatePart::DayOfYear];
        let parts = parts.into_iter().chain(self.months.iter().map(|months| DatePart::Later(*months)));
        let mut part = |part| {
            let part = circuit::date_part(e, &days, &self.range, part)?;
            opened(e, part)
        };
        parts.map(&mut part).collect()
    }
}

fn dates(range: std::ops::RangeInclusive<i64>, width: usize, days: Vec<i64>, months: &[i32]) {
    let case = Dates { days, width, range, months: months.to_vec() };
    let parts = check_seeded(&case, 1);
    for (i, day) in case.days.iter().enumerate() {
        let here = format!("day {day} in {:?}", case.range);
        let [year, month, of_month] = civil(*day);
        let before: i64 = lengths(year as i64)[..month as usize - 1].iter().sum();
        let quarter: i64 = lengths(year as i64)[..(month as usize - 1) / 3 * 3].iter().sum();
        let of_year = before as u128 + of_month;
        let truth = [year, month, of_month, of_year - quarter as u128, of_year];
        assert_eq!(std::array::from_fn(|part| parts[part][i]), truth, "{here}");
        for (part, months) in parts[5..].iter().zip(months) {
            let to = part[i] as i64 + circuit::days_until(&case.range, *months).start() + day;
            assert_eq!(
                (to, circuit::months_later(*day, *months)),
                (later(*day, *months), later(*day, *months)),
                "{months} months after {here}"
            );
        }
    }
}

#[test]
fn every_day_of_a_range() {
    for (range, width) in [
        (18_000..=19_500, 16),
        (-800..=800, 16),
        (10_950..=11_400, 15),
        (-36_600..=-36_000, 17),
        (5..=5, 8),
        (0..=30, 6),
        (47_400..=47_600, 32),
    ] {
        let days = range.clone().collect();
        dates(range, width, days, &[0, 1, -1, 3, 12, -25]);
    }
}

#[test]
fn dates_of_centuries_and_edge_sizes() {
    let range = -70_000..=100_000;
    for rows in SIZES {
        dates(range.clone(), 18, (0..rows as i64).map(|i| -70_000 + i * 170_000 / rows.max(1) as i64).collect(), &[2, -1200]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_ranges(first in -30_000i64..60_000, length in 0i64..20_000, months in -500i32..500, seeds in prop::collection::vec(any::<u32>(), 1..50)) {
        let days = seeds.iter().map(|s| first + i64::from(*s) % (length + 1)).chain([first, first + length]).collect();
        dates(first..=first + length, 32, days, &[months]);
    }
}

// ------------------------------------------------------------ both ways

/// Bits to the field and back.
struct ThereAndBack(Vec<i128>);

impl Protocol for ThereAndBack {
    type Output = [Vec<u128>; 2];

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, Abort> {
        let bits = input(e, 0, &Column::from_ints(&self.0, 40))?;
        let x = circuit::integer::<E, Fp61>(e, &bits, Sign::Signed)?;
        let back = circuit::signed_field_bits::<E, Fp61>(e, &x, 40)?;
        Ok([opened(e, bits)?, opened(e, back)?])
    }
}

#[test]
fn there_and_back() {
    let top = (1i128 << 39) - 1;
    let [bits, back] = check_seeded(&ThereAndBack(vec![0, 1, -1, top, -top - 1, 12_345, -12_345]), 1);
    assert_eq!(bits, back);
}
