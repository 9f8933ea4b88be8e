//! Two clocks, never mixed: the boot-time clock for leases and lag, the wall clock for stamps.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

/// A length of time, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// From microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }
    /// From seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }
    /// In microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }
    /// In whole milliseconds, rounded down.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0 / 1000
    }
    /// `self · (100 + percent) / 100`, rounded up: what another clock may need to measure `self`.
    #[must_use]
    pub const fn longer_by_percent(self, percent: u64) -> Self {
        Self((self.0 * (100 + percent)).div_ceil(100))
    }
    /// `self · (100 − percent) / 100`, rounded down.
    #[must_use]
    pub const fn shorter_by_percent(self, percent: u64) -> Self {
        Self(self.0 * (100 - percent) / 100)
    }
    /// `self − other`, not below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    /// As the standard library's type.
    #[must_use]
    pub const fn std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}
impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
/// In seconds from one second on, in milliseconds below; up to three decimals, and no more than
/// are needed.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (thousandths, unit) =
            if self.0 < 1_000_000 { (self.0, "ms") } else { (self.0 / 1000, "s") };
        let decimals = format!("{:03}", thousandths % 1000);
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{}{point}{decimals} {unit}", thousandths / 1000)
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A moment on this machine's boot-time clock (`CLOCK_BOOTTIME`: it counts suspend and never goes
/// back), in microseconds. It means nothing on another machine or after a reboot.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(u64);

impl BootTime {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// From microseconds since the clock's origin.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }
    /// Microseconds since the clock's origin.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }
    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}
impl Add<Span> for BootTime {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}
impl Sub<Span> for BootTime {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// A `lastUpdated`: milliseconds since 1970-01-01T00:00:00Z. Its text is always
/// `2026-11-21T08:15:30.123Z`, 24 bytes, in years 0000 to 9999.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Stamp(u64);

/// The text is not a stamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an instant with a time zone, between the years 1970 and 9999")]
pub struct StampError;

impl Stamp {
    /// 1970-01-01T00:00:00Z.
    pub const ZERO: Self = Self(0);
    /// The last stamp that has a text, 9999-12-31T23:59:59.999Z minus leap-second room.
    pub const MAX: Self = Self(253_402_207_200_000);
    /// From milliseconds since 1970, not above [`Stamp::MAX`].
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        if ms > Self::MAX.0 { Self::MAX } else { Self(ms) }
    }
    /// Milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }
    /// Reads any RFC 3339 instant.
    pub fn parse(text: &str) -> Result<Self, StampError> {
        let at: jiff::Timestamp = text.parse().map_err(|_| StampError)?;
        let ms = u64::try_from(at.as_millisecond()).map_err(|_| StampError)?;
        if ms > Self::MAX.0 { Err(StampError) } else { Ok(Self(ms)) }
    }
    /// The text as 24 ASCII bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil(days);
        let mut out = *b"0000-00-00T00:00:00.000Z";
        digits(&mut out[0..4], year);
        digits(&mut out[5..7], month);
        digits(&mut out[8..10], day);
        digits(&mut out[11..13], ms / 3_600_000);
        digits(&mut out[14..16], ms / 60_000 % 60);
        digits(&mut out[17..19], ms / 1000 % 60);
        digits(&mut out[20..23], ms % 1000);
        out
    }
}

/// Writes `value` right-aligned, zero-filled.
fn digits(out: &mut [u8], mut value: u64) {
    for slot in out.iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).expect("a digit fits a byte");
        value /= 10;
    }
}

/// Year, month and day of a day number since 1970-01-01, proleptic Gregorian: counts in years
/// that begin on 1 March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_bytes()).expect("digits and separators are ASCII"))
    }
}

/// Where time comes from. The real one is in `control`; the simulator has its own.
pub trait Clock: Send + Sync {
    /// Now, on the boot-time clock.
    fn boot(&self) -> BootTime;
    /// Now, on the wall clock. It may jump, either way; only stamps use it.
    fn wall(&self) -> Stamp;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamp_reads_back_as_itself(ms in 0..=Stamp::MAX.ms()) {
            let stamp = Stamp::from_ms(ms);
            prop_assert_eq!(Stamp::parse(&stamp.to_string()), Ok(stamp));
        }
    }

    #[test]
    fn stamps_have_the_documented_form() {
        assert_eq!(Stamp::from_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Stamp::from_ms(1_709_210_096_007).to_string(), "2024-02-29T12:34:56.007Z");
        assert!(Stamp::parse("2024-02-30T00:00:00Z").is_err());
        assert!(Stamp::parse("1969-12-31T23:59:59Z").is_err());
    }

    #[test]
    fn spans_are_shown_in_the_unit_that_fits() {
        let rows = [
            (0, "0 ms"),
            (412, "0.412 ms"),
            (50_000, "50 ms"),
            (999_999, "999.999 ms"),
            (1_000_000, "1 s"),
            (1_500_000, "1.5 s"),
            (10_000_000, "10 s"),
            (61_002_999, "61.002 s"),
        ];
        for (us, text) in rows {
            assert_eq!(Span::from_us(us).to_string(), text);
        }
    }

    #[test]
    fn another_clock_may_need_longer() {
        assert_eq!(Span::from_ms(2000).longer_by_percent(1), Span::from_ms(2020));
        assert_eq!(Span::from_ms(2000).shorter_by_percent(1), Span::from_ms(1980));
    }
}
