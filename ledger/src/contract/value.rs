//! Values in contracts, each with one spelling: decimals, times, and patterns of data sets.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A number of at most `PLACES` places behind the point, in units of the last. Written without needless zeros: `0.5`, `-12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const PLACES: u32>(pub i128);

/// ε, in millionths.
pub type Epsilon = Decimal<6>;
/// δ, in 10^−24ths.
pub type Delta = Decimal<24>;
/// A value of a column.
pub type Bound = Decimal<12>;

impl<const PLACES: u32> Decimal<PLACES> {
    /// 1.
    pub const ONE: Self = Self(10_i128.pow(PLACES));
}

impl<const PLACES: u32> fmt::Display for Decimal<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, magnitude) = (Self::ONE.0.unsigned_abs(), self.0.unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        let behind = format!("{:0width$}", magnitude % one, width = PLACES as usize);
        match behind.trim_end_matches('0') {
            "" => write!(f, "{sign}{}", magnitude / one),
            behind => write!(f, "{sign}{}.{behind}", magnitude / one),
        }
    }
}

impl<const PLACES: u32> FromStr for Decimal<PLACES> {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        const BAD: BadValue = BadValue("not a number such as `0.5`, without needless zeros");
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, behind) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if text.len() > 42 || !digits(whole) || !digits(behind) || behind.len() > PLACES as usize {
            return Err(BAD);
        }
        let padded = format!("{whole}{behind:0<width$}", width = PLACES as usize);
        let magnitude: i128 = padded.parse().map_err(|_| BAD)?;
        let value = Self(if unsigned.len() < text.len() { -magnitude } else { magnitude });
        if value.to_string() == text { Ok(value) } else { Err(BAD) }
    }
}

/// Unix seconds, written as `2027-01-31T23:59:59Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

const DAY: u64 = 86_400;
/// The first second of the year 10,000.
const END: u64 = 253_402_300_800;

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date((self.0 / DAY) as i64);
        let second = self.0 % DAY;
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }
}

impl FromStr for Time {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        const BAD: BadValue = BadValue("not a time such as `2027-01-31T23:59:59Z`, in 1970 to 9999");
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse().ok()
        };
        let parts = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)].map(|(from, to)| number(from, to));
        let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)] = parts else { return Err(BAD) };
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(BAD);
        }
        let time = Self(days(year as i64, month as i64, day as i64) as u64 * DAY + hour * 3600 + minute * 60 + second);
        // Whatever is no date, or spelled in another way, prints as something else.
        if time.0 < END && time.to_string() == text { Ok(time) } else { Err(BAD) }
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar (Hinnant, <https://howardhinnant.github.io/date_algorithms.html>).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

/// The date so many days after 1970-01-01; the inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Data sets by name: `*`, `health.*`, `health.stays`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// `*`: any.
    Any,
    /// `agency.*`: all of an agency.
    Agency(String),
    /// `agency.table`: one.
    Table(String),
}

impl Pattern {
    /// Whether this data set is meant.
    pub fn covers(&self, dataset: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Agency(agency) => crate::entry::owner(dataset) == Some(agency),
            Self::Table(table) => table == dataset,
        }
    }

    /// What both mean, if there is anything.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, narrower) | (narrower, Self::Any) => Some(narrower.clone()),
            (agency @ Self::Agency(_), Self::Table(table)) | (Self::Table(table), agency @ Self::Agency(_)) => {
                agency.covers(table).then(|| Self::Table(table.clone()))
            }
            (one, other) => (one == other).then(|| one.clone()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Agency(agency) => write!(f, "{agency}.*"),
            Self::Table(table) => f.write_str(table),
        }
    }
}

impl FromStr for Pattern {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        const BAD: BadValue = BadValue("not a pattern such as `*`, `health.*` or `health.stays`");
        if text == "*" {
            return Ok(Self::Any);
        }
        let agency = crate::entry::owner(text).ok_or(BAD)?;
        match text.split_once('.') {
            Some((_, "*")) => Ok(Self::Agency(agency.into())),
            Some((_, table)) if !table.contains('*') => Ok(Self::Table(text.into())),
            _ => Err(BAD),
        }
    }
}

macro_rules! as_text {
    ($([$($generic:tt)*] $type:ty),*) => {$(
        impl<$($generic)*> Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de, $($generic)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!([const PLACES: u32] Decimal<PLACES>, [] Time, [] Pattern);

/// Why some text is no such value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(&'static str);
