//! Date parameters: every value and every query is an interval of time
//! (<https://hl7.org/fhir/R4/search.html#date>).
//!
//! Term: a class byte, the beginning, and the end as far as the class does not give it. The classes
//! part short intervals from long ones, so that a query for what ends after a moment need not read
//! all that began before it.

use crate::Certainty;
use crate::interval::{DAY_MS, Interval};
use crate::prefix::Prefix;
use crate::term::TermRange;
use crate::value::Value;

/// One second.
const SECOND: u8 = 0x10;
/// One day of 24 hours.
const DAY: u8 = 0x11;
/// One millisecond.
const MILLISECOND: u8 = 0x12;
/// Any other of at most a day: the end follows.
const SHORT: u8 = 0x13;
/// Of at most [`MEDIUM_MS`]: the end follows.
const MEDIUM: u8 = 0x14;
/// Any other that ends: the end follows.
const LONG: u8 = 0x15;
/// Begins, and does not end.
const OPEN_HI: u8 = 0x16;
/// Ends, and did not begin: the end alone.
const OPEN_LO: u8 = 0x17;
/// Neither begins nor ends.
const ALWAYS: u8 = 0x18;

/// The greatest length in [`MEDIUM`]: a year and a day.
const MEDIUM_MS: i64 = 367 * DAY_MS;
/// 0001-01-01 minus a day of zones, where the packed seconds begin.
const ORIGIN_MS: i64 = -62_135_683_200_000;

/// Milliseconds in order-preserving bytes: five of seconds and two of milliseconds, the latter left
/// out where they are zero and nothing follows.
fn pack(ms: i64, full: bool, out: &mut Vec<u8>) {
    let since = u64::try_from(ms.saturating_sub(ORIGIN_MS)).unwrap_or(0);
    let seconds = (since / 1000).min((1 << 40) - 1);
    out.extend_from_slice(&seconds.to_be_bytes()[3..]);
    let rest = u16::try_from(since % 1000).expect("below a thousand");
    if full || rest > 0 {
        out.extend_from_slice(&rest.to_be_bytes());
    }
}

fn unpack(bytes: &[u8]) -> Option<i64> {
    let seconds = bytes.get(..5)?.iter().fold(0, |all, byte| (all << 8) | i64::from(*byte));
    let rest = bytes.get(5..7).map_or(0, |b| i64::from(b[0]) << 8 | i64::from(b[1]));
    Some(seconds * 1000 + rest + ORIGIN_MS)
}

pub(crate) fn encode(interval: Interval, out: &mut Vec<u8>) {
    let Interval { lo, hi } = interval;
    match (lo == Interval::OPEN_LO, hi == Interval::OPEN_HI) {
        (true, true) => out.push(ALWAYS),
        (true, false) => {
            out.push(OPEN_LO);
            pack(hi, true, out);
        }
        (false, true) => {
            out.push(OPEN_HI);
            pack(lo, true, out);
        }
        (false, false) => {
            let class = match hi.saturating_sub(lo) {
                1000 if whole_second(lo) => SECOND,
                DAY_MS if whole_second(lo) => DAY,
                1 => MILLISECOND,
                width if width <= DAY_MS => SHORT,
                width if width <= MEDIUM_MS => MEDIUM,
                _ => LONG,
            };
            out.push(class);
            pack(lo, class > DAY, out);
            if class >= SHORT {
                pack(hi, true, out);
            }
        }
    }
}

fn whole_second(ms: i64) -> bool {
    ms.rem_euclid(1000) == 0
}

/// The interval that a term's bytes say.
fn decode(bytes: &[u8]) -> Option<Interval> {
    let (class, rest) = bytes.split_first()?;
    let first = || unpack(rest);
    let second = || unpack(rest.get(7..)?);
    Some(match *class {
        SECOND => Interval { lo: first()?, hi: first()? + 1000 },
        DAY => Interval { lo: first()?, hi: first()? + DAY_MS },
        MILLISECOND => Interval { lo: first()?, hi: first()? + 1 },
        SHORT | MEDIUM | LONG => Interval { lo: first()?, hi: second()? },
        OPEN_HI => Interval { lo: first()?, hi: Interval::OPEN_HI },
        OPEN_LO => Interval { lo: Interval::OPEN_LO, hi: first()? },
        ALWAYS => Interval { lo: Interval::OPEN_LO, hi: Interval::OPEN_HI },
        _ => return None,
    })
}

/// What an interval is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DateTest {
    pub(crate) prefix: Prefix,
    pub(crate) with: Interval,
}

impl DateTest {
    /// Reads a prefix and a date of any precision.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = Prefix::split(text);
        Some(Self { prefix, with: Interval::parse(rest)? })
    }

    pub(crate) fn matches(&self, value: &Value) -> bool {
        matches!(value, Value::Date(interval) if self.matches_interval(*interval))
    }

    fn matches_interval(&self, value: Interval) -> bool {
        let with = self.with;
        match self.prefix {
            Prefix::Eq => with.contains(value),
            Prefix::Ne => !with.contains(value),
            Prefix::Gt => value.hi > with.hi,
            Prefix::Lt => value.lo < with.lo,
            Prefix::Ge => value.hi > with.hi || with.contains(value),
            Prefix::Le => value.lo < with.lo || with.contains(value),
            Prefix::Sa => value.lo >= with.hi,
            Prefix::Eb => value.hi <= with.lo,
            Prefix::Ap => with.around().overlaps(value),
        }
    }

    /// The moments at which a match of at most `longest` may begin: from, and up to but not
    /// including.
    fn beginnings(&self, longest: i64) -> (i64, i64) {
        const FROM: i64 = i64::MIN;
        const TO: i64 = i64::MAX;
        let Interval { lo, hi } = self.with;
        match self.prefix {
            Prefix::Eq => (lo, hi),
            Prefix::Ne => (FROM, TO),
            Prefix::Gt => (hi.saturating_sub(longest), TO),
            Prefix::Ge => (lo.min(hi.saturating_sub(longest)), TO),
            Prefix::Lt | Prefix::Eb => (FROM, lo),
            Prefix::Le => (FROM, hi),
            Prefix::Sa => (hi, TO),
            Prefix::Ap => {
                let around = self.with.around();
                (around.lo.saturating_sub(longest), around.hi)
            }
        }
    }

    pub(crate) fn ranges(&self, head: &[u8], out: &mut Vec<TermRange>) {
        const LENGTHS: [(u8, i64); 7] = [
            (SECOND, 1000),
            (DAY, DAY_MS),
            (MILLISECOND, 1),
            (SHORT, DAY_MS),
            (MEDIUM, MEDIUM_MS),
            (LONG, i64::MAX),
            (OPEN_HI, i64::MAX),
        ];
        let of_class = |class: u8| [head, &[class]].concat();
        for (class, longest) in LENGTHS {
            let (from, to) = self.beginnings(longest);
            let (mut start, mut end) = (of_class(class), of_class(class));
            pack(from, false, &mut start);
            if to == i64::MAX {
                end = of_class(class + 1);
            } else {
                pack(to, false, &mut end);
            }
            if start < end {
                out.push(TermRange { start, end });
            }
        }
        out.push(TermRange { start: of_class(OPEN_LO), end: of_class(ALWAYS + 1) });
    }

    /// Judges the bytes of a term in the ranges.
    pub(crate) fn admits(&self, bytes: &[u8]) -> bool {
        decode(bytes).is_some_and(|interval| self.matches_interval(interval))
    }

    pub(crate) const CERTAINTY: Certainty = Certainty::Terms;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Moments that lie close enough to meet, whole seconds and days more often than not.
    pub(super) fn moment() -> impl Strategy<Value = i64> {
        prop_oneof![
            (0..800i64).prop_map(|day| day * DAY_MS),
            (0..200_000i64).prop_map(|second| second * 1000),
            -100_000_000..100_000_000i64,
        ]
    }

    fn interval() -> impl Strategy<Value = Interval> {
        let width = prop_oneof![
            Just(1),
            Just(1000),
            Just(60_000),
            Just(DAY_MS),
            Just(31 * DAY_MS),
            Just(366 * DAY_MS),
            1..900 * DAY_MS,
        ];
        prop_oneof![
            8 => (moment(), width).prop_map(|(lo, width)| Interval { lo, hi: lo + width }),
            1 => moment().prop_map(|lo| Interval { lo, hi: Interval::OPEN_HI }),
            1 => moment().prop_map(|hi| Interval { lo: Interval::OPEN_LO, hi }),
            1 => Just(Interval { lo: Interval::OPEN_LO, hi: Interval::OPEN_HI }),
        ]
    }

    proptest! {
        #[test]
        fn a_term_says_its_interval(value in interval()) {
            let mut bytes = Vec::new();
            encode(value, &mut bytes);
            prop_assert_eq!(decode(&bytes), Some(value));
        }

        #[test]
        fn packed_moments_keep_their_order(a in moment(), b in moment()) {
            let (mut x, mut y) = (Vec::new(), Vec::new());
            pack(a, true, &mut x);
            pack(b, true, &mut y);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        #[test]
        fn ranges_miss_nothing_and_terms_decide(
            value in interval(),
            with in interval(),
            prefix in Prefix::any(),
        ) {
            let test = DateTest { prefix, with };
            let mut ranges = Vec::new();
            test.ranges(&[7, 7], &mut ranges);
            let mut term = vec![7, 7];
            encode(value, &mut term);
            let inside = ranges.iter().any(|range| range.contains(&term));
            prop_assert_eq!(inside && test.admits(&term[2..]), test.matches_interval(value));
        }
    }

    #[test]
    fn prefixes_compare_intervals_as_the_page_says() {
        let check = |query: &str, value: &str| {
            let test = DateTest::parse(query).expect("a query");
            test.matches(&Value::Date(Interval::parse(value).expect("a date")))
        };
        for (query, value, expected) in [
            ("2013-01-14", "2013-01-14T00:00", true),
            ("2013-01-14", "2013-01-14T10:00", true),
            ("2013-01-14", "2013-01-15T00:00", false),
            ("2013-01-14", "2013-01", false),
            ("ne2013-01-14", "2013-01-15T00:00", true),
            ("ne2013-01-14", "2013-01-14T10:00", false),
            ("lt2013-01-14T10:00", "2013-01-14", true),
            ("gt2013-01-14T10:00", "2013-01-14", true),
            ("ge2013-03-14", "2013-03-14T08:00", true),
            ("ge2013-03-14", "2013-03-13T08:00", false),
            ("le2013-03-14", "2013-03-14T23:00", true),
            ("sa2013-03-14", "2013-03-15", true),
            ("sa2013-03-14", "2013-03-14T12:00", false),
            ("eb2013-03-14", "2013-03-13", true),
            ("eb2013-03-14", "2013-03", false),
            ("ap2013-03-14", "2013-03-15T10:00", true),
            ("ap2013-03-14", "2013-03-17", false),
        ] {
            assert_eq!(check(query, value), expected, "{query} against {value}");
        }
    }
}
