//! The formats of primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>).
//!
//! Checked by hand and not by the regular expressions that HL7 gives, which accept 30 February.

use crate::document::Kind;

/// Bytes of a string at most, as R4 says; attachments (base64Binary) are not meant.
pub(crate) const STRING_BYTES_MAX: usize = 1 << 20;
/// Bytes of a number's text at most.
const NUMBER_BYTES_MAX: usize = 256;

/// A primitive type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    /// The type of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }
}

impl Primitive {
    /// Whether a JSON value may stand for this type; if not, what is due.
    pub(crate) fn check(self, kind: Kind, text: &str) -> Result<(), (&'static str, &'static str)> {
        let fits = match self {
            Self::Boolean => matches!(kind, Kind::True | Kind::False),
            Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt => {
                kind == Kind::Number
            }
            _ => kind == Kind::String,
        };
        if !fits {
            return Err(("structure", self.json_type()));
        }
        if kind == Kind::String {
            if text.is_empty() {
                return Err(("value", "a string is not empty"));
            }
            let control = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
            if text.bytes().any(control) {
                return Err(("value", "a string has no control characters but tab and line ends"));
            }
        }
        self.format(text).map_err(|due| ("value", due))
    }

    const fn json_type(self) -> &'static str {
        match self {
            Self::Boolean => "a JSON true or false is due",
            Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt => {
                "a JSON number is due"
            }
            _ => "a JSON string is due",
        }
    }

    fn format(self, text: &str) -> Result<(), &'static str> {
        let (fits, due) = match self {
            Self::Boolean => return Ok(()),
            Self::String | Self::Markdown | Self::Xhtml => {
                (text.len() <= STRING_BYTES_MAX, "a string has at most 1 MiB")
            }
            Self::Code => {
                (is_code(text), "a code has no white space but single spaces between its words")
            }
            Self::Uri | Self::Url | Self::Canonical => {
                (!text.contains(char::is_whitespace), "a URI has no white space")
            }
            Self::Id => (is_id(text), "an id is 1 to 64 of A-Z, a-z, 0-9, '-' and '.'"),
            Self::Oid => (is_oid(text), "an oid is urn:oid: and numbers joined by points"),
            Self::Uuid => (is_uuid(text), "a uuid is urn:uuid: and 36 lower-case characters"),
            Self::Date => (date(text).is_some_and(|rest| rest.is_empty()), DATE),
            Self::DateTime => (is_date_time(text), DATE_TIME),
            Self::Instant => (is_instant(text), INSTANT),
            Self::Time => (time(text.as_bytes()).is_some_and(<[u8]>::is_empty), TIME),
            Self::Base64Binary => (is_base64(text), "base64 is due, in groups of four"),
            Self::Decimal => (text.len() <= NUMBER_BYTES_MAX, "a number has at most 256 digits"),
            Self::Integer => (integer(text).is_some(), INTEGER),
            Self::UnsignedInt => (integer(text).is_some_and(|number| number >= 0), UNSIGNED),
            Self::PositiveInt => (integer(text).is_some_and(|number| number > 0), POSITIVE),
        };
        if fits { Ok(()) } else { Err(due) }
    }
}

const DATE: &str = "a date is YYYY, YYYY-MM or YYYY-MM-DD and is in the calendar";
const DATE_TIME: &str =
    "a dateTime is a date, or YYYY-MM-DDThh:mm:ss with Z or an offset, and is in the calendar";
const INSTANT: &str = "an instant is YYYY-MM-DDThh:mm:ss with Z or an offset";
const TIME: &str = "a time is hh:mm:ss";
const INTEGER: &str = "a whole number of 32 bits is due, without fraction or exponent";
const UNSIGNED: &str = "a whole number from 0 to 2147483647 is due";
const POSITIVE: &str = "a whole number from 1 to 2147483647 is due";

fn is_code(text: &str) -> bool {
    let mut after_space = true;
    for c in text.chars() {
        let space = c.is_whitespace();
        if space && after_space {
            return false;
        }
        after_space = space;
    }
    !after_space
}

pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let mut numbers = numbers.split('.');
    let root = numbers.next().is_some_and(|root| matches!(root, "0" | "1" | "2"));
    let mut rest = numbers.peekable();
    let plain = |number: &str| {
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits && (number == "0" || !number.starts_with('0'))
    };
    root && rest.peek().is_some() && rest.all(plain)
}

fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("urn:uuid:") else { return false };
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    uuid.len() == 36 && uuid.bytes().enumerate().all(fits)
}

fn is_base64(text: &str) -> bool {
    let (mut count, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4) && padding <= 2
}

fn integer(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && text != "-0";
    plain.then(|| text.parse().ok()).flatten()
}

/// The number of exactly `digits` digits at the head, and what follows.
fn number(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let mut value = 0;
    for byte in head {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(byte - b'0');
    }
    Some((value, rest))
}

/// What follows a date of four, seven or ten characters; a time may follow only a whole one.
fn date(text: &str) -> Option<&[u8]> {
    let (year, rest) = number(text.as_bytes(), 4)?;
    if year == 0 {
        return None;
    }
    let Some(rest) = rest.strip_prefix(b"-") else { return rest.is_empty().then_some(rest) };
    let (month, rest) = number(rest, 2).filter(|(month, _)| (1..=12).contains(month))?;
    let Some(rest) = rest.strip_prefix(b"-") else { return rest.is_empty().then_some(rest) };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let (_, rest) = number(rest, 2).filter(|(day, _)| (1..=days).contains(day))?;
    Some(rest)
}

/// What follows `hh:mm:ss` and a fraction; a leap second may be 60.
fn time(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = number(text, 2).filter(|(hour, _)| *hour < 24)?;
    let (_, rest) = number(rest.strip_prefix(b":")?, 2).filter(|(minute, _)| *minute < 60)?;
    let (_, rest) = number(rest.strip_prefix(b":")?, 2).filter(|(second, _)| *second <= 60)?;
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &fraction[digits..])
}

/// Z, or an offset up to 14 hours.
fn is_zone(text: &[u8]) -> bool {
    let [b'+' | b'-', rest @ ..] = text else { return text == b"Z" };
    let parsed = number(rest, 2).and_then(|(hour, rest)| {
        let (minute, rest) = number(rest.strip_prefix(b":")?, 2)?;
        Some(rest.is_empty() && minute < 60 && (hour < 14 || (hour == 14 && minute == 0)))
    });
    parsed.unwrap_or(false)
}

fn is_date_time(text: &str) -> bool {
    date(text).is_some_and(|rest| rest.is_empty() || is_time_and_zone(rest))
}

fn is_instant(text: &str) -> bool {
    date(text).is_some_and(is_time_and_zone)
}

fn is_time_and_zone(rest: &[u8]) -> bool {
    rest.strip_prefix(b"T").and_then(time).is_some_and(is_zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(primitive: Primitive, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(primitive.format(text), Ok(()), "{primitive:?} {text}");
        }
        for text in bad {
            assert!(primitive.format(text).is_err(), "{primitive:?} {text}");
        }
    }

    #[test]
    fn dates_and_times() {
        let bad = ["", "24", "2024-", "2024-2", "2024-13", "2024-02-30", "0000", "2024-02-29T"];
        check(Primitive::Date, &["2024", "2024-02", "2024-02-29", "2000-02-29"], &bad);
        check(
            Primitive::Date,
            &[],
            &["2023-02-29", "1900-02-29", "2024-00-01", "2024-01-00", "20240101"],
        );
        let good = ["2024", "2024-02-29T23:59:60Z", "2024-02-29T00:00:00.123456789-14:00"];
        let bad = [
            "2024-02T00:00:00Z",
            "2024-02-29T00:00Z",
            "2024-02-29T00:00:00",
            "2024-02-29 00:00:00Z",
        ];
        check(Primitive::DateTime, &good, &bad);
        let bad = [
            "2024-02-29T24:00:00Z",
            "2024-02-29T00:00:00.Z",
            "2024-02-29T00:00:00+14:01",
            "2024-02-29T00:00:00z",
        ];
        check(Primitive::DateTime, &[], &bad);
        check(Primitive::Instant, &["2024-02-29T00:00:00Z"], &["2024", "2024-02-29"]);
        check(
            Primitive::Time,
            &["00:00:00", "23:59:59.9"],
            &["24:00:00", "1:00:00", "00:00", "00:00:00Z"],
        );
    }

    #[test]
    fn numbers() {
        check(
            Primitive::Integer,
            &["0", "-1", "2147483647", "-2147483648"],
            &["-0", "1.0", "1e2", "2147483648", "", "-"],
        );
        check(Primitive::UnsignedInt, &["0"], &["-1"]);
        check(Primitive::PositiveInt, &["1"], &["0", "-1"]);
    }

    #[test]
    fn texts() {
        check(Primitive::Code, &["a", "a b", "a\tb"], &["", " a", "a ", "a  b"]);
        check(Primitive::Id, &["a-B.9"], &["", "a_b", &"x".repeat(65)]);
        check(Primitive::Uri, &["urn:x", "é"], &["a b", "a\u{a0}"]);
        check(
            Primitive::Oid,
            &["urn:oid:1.2.0.40"],
            &["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.", "urn:oid:1.02"],
        );
        let uuid = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";
        check(Primitive::Uuid, &[uuid], &["urn:uuid:c757873d", &uuid.to_uppercase(), &uuid[9..]]);
        check(
            Primitive::Base64Binary,
            &["QQ==", "QUFB", "QUFB\r\nQQ=="],
            &["Q", "QQ=", "Q===", "=QQQ", "QQ==QUFB", "Q-Q_"],
        );
    }
}
