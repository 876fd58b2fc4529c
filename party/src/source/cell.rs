//! The text of one CSV cell as a value: exactly one reading, no guessing.

use super::declared::{Fault, Kind};
use query::catalog::digits;
use query::datafusion::arrow::datatypes::TimeUnit;

/// The raw integer of a cell that is not text: the integer itself, a decimal without its point, days or units since 1970, 0 or 1.
#[inline]
pub(crate) fn raw(kind: Kind, cell: &[u8]) -> Result<i128, Fault> {
    match kind {
        Kind::Int | Kind::BigInt => integer(cell),
        Kind::Decimal { scale, .. } => decimal(cell, scale),
        Kind::Date => date(cell),
        Kind::Timestamp(unit) => moment(cell, unit),
        Kind::Boolean => boolean(cell),
        Kind::Text => Err(Fault::Type),
    }
}

#[inline]
fn integer(cell: &[u8]) -> Result<i128, Fault> {
    let (negative, digits) = sign(cell);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Type);
    }
    // 18 digits always fit: the short way is the usual one.
    let magnitude = match digits.len() <= 18 {
        true => digits.iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0')).into(),
        false => digits.iter().try_fold(0i128, |n, d| push(n, *d)).ok_or(Fault::Range)?,
    };
    Ok(if negative { -magnitude } else { magnitude })
}

#[inline]
fn decimal(cell: &[u8], scale: i8) -> Result<i128, Fault> {
    let (negative, digits) = sign(cell);
    let (whole, fraction) = match digits.iter().position(|c| *c == b'.') {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(Fault::Type);
    }
    let kept = usize::try_from(scale).map_err(|_| Fault::Type)?;
    if fraction.iter().skip(kept).any(|d| *d != b'0') {
        return Err(Fault::Scale);
    }
    let padding = kept.saturating_sub(fraction.len());
    let all = whole.iter().chain(fraction.iter().take(kept)).copied().chain(std::iter::repeat_n(b'0', padding));
    let magnitude = all.into_iter().try_fold(0i128, push).ok_or(Fault::Range)?;
    Ok(if negative { -magnitude } else { magnitude })
}

#[inline]
fn boolean(cell: &[u8]) -> Result<i128, Fault> {
    let is = |words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()));
    match () {
        () if is(&["1", "true", "t"]) => Ok(1),
        () if is(&["0", "false", "f"]) => Ok(0),
        () => Err(Fault::Type),
    }
}

#[inline]
fn date(cell: &[u8]) -> Result<i128, Fault> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = cell else { return Err(Fault::Type) };
    days(number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?).map(i128::from).ok_or(Fault::Type)
}

/// A date, a space or T, hours, minutes and seconds, and perhaps digits of a second; no time zone.
#[inline]
fn moment(cell: &[u8], unit: TimeUnit) -> Result<i128, Fault> {
    let (date_cell, time) = cell.split_at_checked(10).ok_or(Fault::Type)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = time else { return Err(Fault::Type) };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Fault::Type);
    }
    let fraction = match rest {
        [] => rest,
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Err(Fault::Type),
    };
    let kept = digits(unit) as usize;
    if fraction.iter().skip(kept).any(|d| *d != b'0') {
        return Err(Fault::Scale);
    }
    let seconds = date(date_cell)? * 86_400 + i128::from(hour * 3600 + minute * 60 + second);
    let digit = |at: usize| fraction.get(at).map_or(0, |d| i128::from(d - b'0'));
    Ok((0..kept).fold(seconds, |units, at| units * 10 + digit(at)))
}

/// A moment as the catalogue has it.
pub(crate) fn moment_text(units: i128, unit: TimeUnit) -> String {
    let second = 10i128.pow(digits(unit));
    let (seconds, rest) = (units.div_euclid(second), units.rem_euclid(second));
    let Some((year, month, day)) = civil(seconds.div_euclid(86_400)) else { return format!("{units} since 1970") };
    let of_day = seconds.rem_euclid(86_400);
    let text = format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    if rest == 0 { text } else { format!("{text}.{rest:0width$}", width = digits(unit) as usize) }
}

fn number(digits: &[u8]) -> Result<i64, Fault> {
    digits.iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0'))).ok_or(Fault::Type)
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, if there is such a day.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The day of the Gregorian calendar so many days after 1970-01-01; `None` outside the years 0 to 9999.
pub(crate) fn civil(days: i128) -> Option<(i64, i64, i64)> {
    let shifted = i64::try_from(days).ok()?.checked_add(719_468)?;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, of_year - (153 * m + 2) / 5 + 1))
}

fn sign(cell: &[u8]) -> (bool, &[u8]) {
    match cell {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    }
}

fn push(number: i128, digit: u8) -> Option<i128> {
    number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Kind = Kind::Timestamp(TimeUnit::Second);
    const MILLIS: Kind = Kind::Timestamp(TimeUnit::Millisecond);
    const MONEY: Kind = Kind::Decimal { precision: 9, scale: 2 };

    #[test]
    fn cells_have_one_reading() {
        for (kind, cell, expected) in [
            (Kind::Int, "0", Ok(0)),
            (Kind::Int, "-12", Ok(-12)),
            (Kind::Int, "+007", Ok(7)),
            (Kind::Int, "9223372036854775808", Ok(1 << 63)),
            (Kind::Int, "1.0", Err(Fault::Type)),
            (Kind::Int, " 1", Err(Fault::Type)),
            (Kind::Int, "-", Err(Fault::Type)),
            (Kind::Int, "1e3", Err(Fault::Type)),
            (Kind::Int, "0x10", Err(Fault::Type)),
            (Kind::BigInt, &"9".repeat(60), Err(Fault::Range)),
            (MONEY, "1.5", Ok(150)),
            (MONEY, "-0.05", Ok(-5)),
            (MONEY, ".5", Ok(50)),
            (MONEY, "7.", Ok(700)),
            (MONEY, "12", Ok(1200)),
            (MONEY, "1.500", Ok(150)),
            (MONEY, "1.505", Err(Fault::Scale)),
            (MONEY, ".", Err(Fault::Type)),
            (MONEY, "1.2.3", Err(Fault::Type)),
            (MONEY, "1,5", Err(Fault::Type)),
            (MONEY, "1e2", Err(Fault::Type)),
            (MONEY, "NaN", Err(Fault::Type)),
            (MONEY, &"9".repeat(60), Err(Fault::Range)),
            (Kind::Boolean, "TRUE", Ok(1)),
            (Kind::Boolean, "f", Ok(0)),
            (Kind::Boolean, "1", Ok(1)),
            (Kind::Boolean, "yes", Err(Fault::Type)),
            (Kind::Boolean, "2", Err(Fault::Type)),
            (Kind::Date, "1970-01-01", Ok(0)),
            (Kind::Date, "2024-02-29", Ok(19_782)),
            (Kind::Date, "2023-02-29", Err(Fault::Type)),
            (Kind::Date, "1900-02-29", Err(Fault::Type)),
            (Kind::Date, "2024-13-01", Err(Fault::Type)),
            (Kind::Date, "2024-04-31", Err(Fault::Type)),
            (Kind::Date, "2024-4-1", Err(Fault::Type)),
            (Kind::Date, "01/04/2024", Err(Fault::Type)),
            (Kind::Date, "2024-04-01T00:00", Err(Fault::Type)),
            (SECONDS, "1970-01-01 00:00:00", Ok(0)),
            (SECONDS, "1969-12-31T23:59:59", Ok(-1)),
            (SECONDS, "2024-02-29 12:34:56.000", Ok(1_709_210_096)),
            (SECONDS, "2024-02-29 12:34:56.5", Err(Fault::Scale)),
            (MILLIS, "2024-02-29T12:34:56.5", Ok(1_709_210_096_500)),
            (MILLIS, "1969-12-31 23:59:59.999000", Ok(-1)),
            (MILLIS, "1969-12-31 23:59:59.9991", Err(Fault::Scale)),
            (Kind::Timestamp(TimeUnit::Nanosecond), "1970-01-01 00:00:01.000000001", Ok(1_000_000_001)),
            (SECONDS, "2023-02-29 00:00:00", Err(Fault::Type)),
            (SECONDS, "2024-02-29 24:00:00", Err(Fault::Type)),
            (SECONDS, "2024-02-29 23:60:00", Err(Fault::Type)),
            (SECONDS, "2024-02-29 23:59:60", Err(Fault::Type)),
            (SECONDS, "2024-02-29 23:59", Err(Fault::Type)),
            (SECONDS, "2024-02-29", Err(Fault::Type)),
            (SECONDS, "2024-02-29 12:34:56.", Err(Fault::Type)),
            (SECONDS, "2024-02-29 12:34:56Z", Err(Fault::Type)),
            (SECONDS, "2024-02-29 12:34:56+02:00", Err(Fault::Type)),
        ] {
            assert_eq!(raw(kind, cell.as_bytes()), expected, "{kind} {cell}");
        }
    }

    #[test]
    fn moments_and_their_texts_are_inverse() {
        for (unit, text) in [
            (TimeUnit::Second, "2024-02-29 12:34:56"),
            (TimeUnit::Millisecond, "1969-12-31 23:59:59.999"),
            (TimeUnit::Nanosecond, "0000-01-01 00:00:00.000000001"),
        ] {
            let units = raw(Kind::Timestamp(unit), text.as_bytes()).expect("a moment");
            assert_eq!(moment_text(units, unit), text);
        }
    }

    #[test]
    fn days_and_dates_are_inverse() {
        let last = days(9999, 12, 31).expect("a day");
        for day in days(0, 1, 1).expect("a day")..=last {
            let (y, m, d) = civil(day.into()).expect("a date");
            assert_eq!(days(y, m, d), Some(day));
        }
        assert_eq!(civil(i128::from(last) + 1), None);
        assert_eq!(civil(i128::MAX), None);
    }
}
