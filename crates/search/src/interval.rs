//! Spans of time: what a FHIR `date`, `dateTime`, `instant` or `Period` covers.

/// From `lo` up to, and not including, `hi`: milliseconds since 1970-01-01T00:00:00Z.
///
/// A time without a zone is taken as UTC, in resources and in queries, so that every region gives
/// the same answer. Fractions below a millisecond are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    /// The first moment; [`Interval::OPEN_LO`] if there is no beginning.
    pub lo: i64,
    /// The first moment after; [`Interval::OPEN_HI`] if there is no end.
    pub hi: i64,
}

/// Milliseconds in a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

impl Interval {
    /// The `lo` of what has no beginning.
    pub const OPEN_LO: i64 = i64::MIN;
    /// The `hi` of what has no end.
    pub const OPEN_HI: i64 = i64::MAX;

    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or a date with a time to the minute, second or
    /// fraction and an optional zone. `None` if it is none of them, or no day of the calendar.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let year = digits(date.get(0..4)?)?;
        if year == 0 {
            return None;
        }
        let Some(time) = time else { return Self::day(date, year) };
        let (clock, offset_ms) = zone(time)?;
        let day = full_day(date, year)?;
        let (of_day, width) = clock_ms(clock)?;
        let lo = day + of_day - offset_ms;
        Some(Self { lo, hi: lo + width })
    }

    /// A date of any precision.
    fn day(date: &str, year: i64) -> Option<Self> {
        match date.len() {
            4 if year == 9999 => Some(Self { lo: start(year, 1, 1), hi: Self::OPEN_HI }),
            4 => Some(Self { lo: start(year, 1, 1), hi: start(year + 1, 1, 1) }),
            7 if date.as_bytes()[4] == b'-' => {
                let month = two(date.get(5..7)?)?;
                let lo = start(year, month, 1);
                (1..=12)
                    .contains(&month)
                    .then(|| Self { lo, hi: lo + days_in_month(year, month) * DAY_MS })
            }
            _ => {
                let lo = full_day(date, year)?;
                Some(Self { lo, hi: lo + DAY_MS })
            }
        }
    }

    /// Whether `other` lies wholly inside.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Whether the two share a moment.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.lo < other.hi && other.lo < self.hi
    }

    /// This and as much again on either side: the reach of `ap`.
    ///
    /// The recommended tenth of the distance from now would give another answer each time a
    /// condition is evaluated again.
    pub(crate) fn around(self) -> Self {
        let width = self.hi.saturating_sub(self.lo);
        Self { lo: self.lo.saturating_sub(width), hi: self.hi.saturating_add(width) }
    }
}

/// A number of plain digits.
fn digits(text: &str) -> Option<i64> {
    text.bytes().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// A number of two plain digits.
fn two(text: &str) -> Option<i64> {
    if text.len() == 2 { digits(text) } else { None }
}

/// `YYYY-MM-DD`: its midnight.
fn full_day(date: &str, year: i64) -> Option<i64> {
    let bytes = date.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (month, day) = (two(date.get(5..7)?)?, two(date.get(8..10)?)?);
    let fits = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    fits.then(|| start(year, month, day))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Midnight UTC of a day of the proleptic Gregorian calendar: counts in years that begin on
/// 1 March, so that the leap day is the last of its year.
fn start(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    days * DAY_MS
}

/// Splits a zone off a time, with its offset in milliseconds. A space stands for the `+` that a
/// client forgot to escape in a URL.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = time.find(['+', '-', ' ']) else { return Some((time, 0)) };
    let (clock, offset) = time.split_at(at);
    let (sign, offset) = offset.split_at(1);
    if offset.len() != 5 || offset.as_bytes()[2] != b':' {
        return None;
    }
    let (hours, minutes) = (two(offset.get(0..2)?)?, two(offset.get(3..5)?)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let ms = (hours * 60 + minutes) * 60_000;
    Some((clock, if sign == "-" { -ms } else { ms }))
}

/// A time of day and how long its precision is, both in milliseconds.
fn clock_ms(clock: &str) -> Option<(i64, i64)> {
    let bytes = clock.as_bytes();
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let (hour, minute) = (two(clock.get(0..2)?)?, two(clock.get(3..5)?)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let to_minute = (hour * 60 + minute) * 60_000;
    if bytes.len() == 5 {
        return Some((to_minute, 60_000));
    }
    // A leap second (60) is allowed by FHIR, and counts as the next minute's first.
    let second = (bytes[5] == b':').then(|| two(clock.get(6..8)?))??;
    if second > 60 {
        return None;
    }
    let to_second = to_minute + second * 1000;
    match clock.get(8..)? {
        "" => Some((to_second, 1000)),
        fraction => {
            let fraction = fraction.strip_prefix('.')?;
            let plain = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
            let ms = fraction
                .bytes()
                .chain(*b"00")
                .take(3)
                .fold(0, |ms, digit| ms * 10 + i64::from(digit.saturating_sub(b'0')));
            plain.then_some((to_second + ms, 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        i64::try_from(base::Stamp::parse(text).expect("an instant").ms()).expect("fits")
    }

    #[test]
    fn a_date_covers_what_its_precision_says() {
        for (text, lo, hi) in [
            ("2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-02-29T10:30", "2024-02-29T10:30:00Z", "2024-02-29T10:31:00Z"),
            ("2024-02-29T10:30:05+01:00", "2024-02-29T09:30:05Z", "2024-02-29T09:30:06Z"),
            ("2024-02-29T10:30:05 01:00", "2024-02-29T09:30:05Z", "2024-02-29T09:30:06Z"),
            (
                "2024-02-29T10:30:05.12-01:30",
                "2024-02-29T12:00:05.120Z",
                "2024-02-29T12:00:05.121Z",
            ),
        ] {
            assert_eq!(Interval::parse(text), Some(Interval { lo: at(lo), hi: at(hi) }), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for bad in [
            "",
            "24",
            "0000",
            "2024-13",
            "2023-02-29",
            "2024-2-1",
            "2024-02-29T",
            "2024-02-29T10",
            "2024T10:00",
            "2024-02-29T24:00",
            "2024-02-29T10:00:61",
            "2024-02-29T10:00:00.",
            "2024-02-29T10:00+15:00",
            "2024-02-29T10:00:00.1x",
            "2024-02-29 10:00",
            "٢٠٢٤",
        ] {
            assert_eq!(Interval::parse(bad), None, "{bad}");
        }
        assert_eq!(Interval::parse("9999").map(|i| i.hi), Some(Interval::OPEN_HI));
    }
}
