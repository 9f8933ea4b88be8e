//! Number parameters (<https://hl7.org/fhir/R4/search.html#number>).
//!
//! Term of one number: its bytes in order (see [`encode_decimal`]). Term of a span: `0x01`, its
//! least value and its greatest, where `0x00` is no least and `0xFF` no greatest.

use crate::Certainty;
use crate::decimal::{Decimal, Literal};
use crate::prefix::Prefix;
use crate::term::TermRange;
use crate::value::{Span, Value};

/// What begins a span; all single numbers sort after it.
const SPAN: u8 = 0x01;
/// No least value.
const NO_LEAST: u8 = 0x00;
/// No greatest value.
const NO_GREATEST: u8 = 0xFF;

/// The head byte of zero; those of negative numbers are below.
const ZERO: u8 = 0x80;
/// The head byte of a number of magnitude 0; others lie around it.
const MIDDLE: u8 = 0xC0;
/// Magnitudes up to this have a head byte of their own.
const NEAR: i32 = 30;
/// The head byte of smaller magnitudes; two bytes of magnitude follow.
const TINY: u8 = 0x90;
/// The head byte of greater magnitudes; two bytes of magnitude follow.
const HUGE: u8 = 0xF0;

/// Writes a number so that bytes compare as numbers do: a head byte from sign and magnitude, digits
/// two to a byte (00 is `0x01`, 99 is `0x64`), and `0x00`. A negative number has the complement of
/// its size's bytes. No form begins another.
pub(crate) fn encode_decimal(value: Decimal, out: &mut Vec<u8>) {
    let start = out.len();
    if value == Decimal::ZERO {
        out.push(ZERO);
        return;
    }
    let magnitude = value.magnitude();
    match u8::try_from(i32::from(MIDDLE) + magnitude) {
        Ok(head) if magnitude.abs() <= NEAR => out.push(head),
        _ => {
            out.push(if magnitude > 0 { HUGE } else { TINY });
            let shifted = u16::try_from(magnitude + 0x8000).expect("bounded by EXPONENT_MAX");
            out.extend_from_slice(&shifted.to_be_bytes());
        }
    }
    let digits = value.digits();
    let mut rest = value.mantissa().unsigned_abs();
    if digits % 2 == 1 {
        rest *= 10;
    }
    let pairs = digits.div_ceil(2);
    for place in (0..pairs).rev() {
        let pair = rest / 100u128.pow(place) % 100;
        out.push(u8::try_from(pair).expect("below a hundred") + 1);
    }
    out.push(0);
    if value.mantissa() < 0 {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Reads [`encode_decimal`]'s bytes off the front.
fn decode_decimal(bytes: &mut &[u8]) -> Option<Decimal> {
    let first = *bytes.first()?;
    if first == ZERO {
        *bytes = &bytes[1..];
        return Some(Decimal::ZERO);
    }
    let negative = first < ZERO;
    let mut next = || {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(if negative { !*byte } else { *byte })
    };
    let head = next()?;
    let magnitude = if head == HUGE || head == TINY {
        i32::from(u16::from_be_bytes([next()?, next()?])) - 0x8000
    } else {
        i32::from(head) - i32::from(MIDDLE)
    };
    let (mut mantissa, mut digits) = (0i128, 0);
    loop {
        let pair = next()?;
        if pair == 0 {
            break;
        }
        mantissa = mantissa.checked_mul(100)?.checked_add(i128::from(pair) - 1)?;
        digits += 2;
    }
    let signed = if negative { -mantissa } else { mantissa };
    Some(Decimal::new(signed, magnitude - digits))
}

/// Reads [`encode`]'s bytes off the front.
pub(crate) fn decode(bytes: &mut &[u8]) -> Option<Span> {
    if bytes.first() != Some(&SPAN) {
        return decode_decimal(bytes).map(Span::point);
    }
    *bytes = &bytes[1..];
    let mut bound = |without| {
        if bytes.first() == Some(&without) {
            *bytes = &bytes[1..];
            return Some(None);
        }
        decode_decimal(bytes).map(Some)
    };
    Some(Span { lo: bound(NO_LEAST)?, hi: bound(NO_GREATEST)? })
}

pub(crate) fn encode(span: Span, out: &mut Vec<u8>) {
    if let (Some(lo), Some(hi)) = (span.lo, span.hi)
        && lo == hi
    {
        encode_decimal(lo, out);
        return;
    }
    out.push(SPAN);
    let mut bound = |value: Option<Decimal>, without| match value {
        Some(value) => encode_decimal(value, out),
        None => out.push(without),
    };
    bound(span.lo, NO_LEAST);
    bound(span.hi, NO_GREATEST);
}

/// What a number is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberTest {
    pub(crate) prefix: Prefix,
    pub(crate) with: Literal,
}

impl NumberTest {
    /// Reads a prefix and a number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = Prefix::split(text);
        Some(Self { prefix, with: Literal::parse(rest)? })
    }

    pub(crate) fn matches(&self, value: &Value) -> bool {
        matches!(value, Value::Number(span) if self.matches_span(*span))
    }

    /// `eq`, `ne` and `ap` take the number with its implicit precision; all others take it exactly.
    pub(crate) fn matches_span(&self, span: Span) -> bool {
        let exact = self.with.value;
        let at_least = |least: Decimal| span.lo.is_some_and(|lo| lo >= least);
        let reaches = |test: fn(Decimal, Decimal) -> bool, open: bool, bound: Option<Decimal>| {
            bound.map_or(open, |bound| test(bound, exact))
        };
        match self.prefix {
            Prefix::Eq | Prefix::Ne => {
                let (lo, hi) = self.with.implied();
                let inside = at_least(lo) && span.hi.is_some_and(|value| value < hi);
                inside == (self.prefix == Prefix::Eq)
            }
            Prefix::Gt => reaches(|a, b| a > b, true, span.hi),
            Prefix::Ge => reaches(|a, b| a >= b, true, span.hi),
            Prefix::Lt => reaches(|a, b| a < b, true, span.lo),
            Prefix::Le => reaches(|a, b| a <= b, true, span.lo),
            Prefix::Sa => reaches(|a, b| a > b, false, span.lo),
            Prefix::Eb => reaches(|a, b| a < b, false, span.hi),
            Prefix::Ap => {
                let (lo, hi) = exact.around();
                span.hi.is_none_or(|value| value >= lo) && span.lo.is_none_or(|value| value <= hi)
            }
        }
    }

    /// Ranges over terms that begin with a number; spans come in whole.
    pub(crate) fn ranges(&self, head: &[u8], out: &mut Vec<TermRange>) {
        let with = |value: Decimal| {
            let mut bytes = head.to_vec();
            encode_decimal(value, &mut bytes);
            bytes
        };
        // No form of a number begins another: what follows equal bytes is the same number.
        let from = |value| with(value);
        let after = |value| crate::term::after_prefix(&with(value));
        let first = [head, &[SPAN + 1]].concat();
        let last = crate::term::after_prefix(head);
        let exact = self.with.value;
        out.push(TermRange { start: [head, &[SPAN]].concat(), end: first.clone() });
        let (start, end) = match self.prefix {
            Prefix::Eq => {
                let (lo, hi) = self.with.implied();
                (from(lo), from(hi))
            }
            Prefix::Ne => {
                let (lo, hi) = self.with.implied();
                out.push(TermRange { start: first, end: from(lo) });
                (from(hi), last)
            }
            Prefix::Gt | Prefix::Sa => (after(exact), last),
            Prefix::Ge => (from(exact), last),
            Prefix::Lt | Prefix::Eb => (first, from(exact)),
            Prefix::Le => (first, after(exact)),
            Prefix::Ap => {
                let (lo, hi) = exact.around();
                (from(lo), after(hi))
            }
        };
        if start < end {
            out.push(TermRange { start, end });
        }
    }

    /// Judges the bytes of a term in the ranges.
    pub(crate) fn admits(&self, mut bytes: &[u8]) -> bool {
        decode(&mut bytes).is_some_and(|span| self.matches_span(span))
    }

    pub(crate) const CERTAINTY: Certainty = Certainty::Terms;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn number_text() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "-?(0|[1-9][0-9]?)(\\.[0-9]{1,2})?",
            1 => "-?[1-9][0-9]{0,40}(\\.[0-9]{1,12})?(e-?[1-9][0-9]{0,2})?",
        ]
    }

    fn decimal() -> impl Strategy<Value = Decimal> {
        number_text().prop_map(|text| Decimal::parse(&text).expect("a number"))
    }

    pub(crate) fn span() -> impl Strategy<Value = Span> {
        prop_oneof![
            3 => decimal().prop_map(Span::point),
            1 => (decimal(), decimal()).prop_map(|(a, b)| Span { lo: Some(a.min(b)), hi: Some(a.max(b)) }),
            1 => decimal().prop_map(|lo| Span { lo: Some(lo), hi: None }),
            1 => decimal().prop_map(|hi| Span { lo: None, hi: Some(hi) }),
        ]
    }

    fn encoded(value: Decimal) -> Vec<u8> {
        let mut out = Vec::new();
        encode_decimal(value, &mut out);
        out
    }

    proptest! {
        #[test]
        fn encoded_numbers_keep_their_order_and_none_begins_another(a in decimal(), b in decimal()) {
            prop_assert_eq!(encoded(a).cmp(&encoded(b)), a.cmp(&b));
            prop_assert_eq!(encoded(a).starts_with(&encoded(b)), a == b);
        }

        #[test]
        fn a_term_says_its_span(span in span(), rest in proptest::collection::vec(any::<u8>(), 0..3)) {
            let mut bytes = Vec::new();
            encode(span, &mut bytes);
            prop_assert!(bytes.len() <= 45);
            bytes.extend_from_slice(&rest);
            let mut left = bytes.as_slice();
            prop_assert_eq!(decode(&mut left), Some(span));
            prop_assert_eq!(left, rest.as_slice());
        }

        #[test]
        fn ranges_miss_nothing_and_terms_decide(
            span in span(),
            with in number_text(),
            prefix in Prefix::any(),
        ) {
            let test = NumberTest { prefix, with: Literal::parse(&with).expect("a number") };
            let mut ranges = Vec::new();
            test.ranges(&[7, 7], &mut ranges);
            let mut term = vec![7, 7];
            encode(span, &mut term);
            let inside = ranges.iter().any(|range| range.contains(&term));
            prop_assert_eq!(inside && test.admits(&term[2..]), test.matches_span(span));
        }
    }

    #[test]
    fn prefixes_compare_numbers_as_the_page_says() {
        for (query, value, expected) in [
            ("100", "99.5", true),
            ("100", "100.5", false),
            ("100.00", "100.004", true),
            ("100.00", "100.01", false),
            ("1e2", "149", true),
            ("lt100", "99.99", true),
            ("lt100", "100", false),
            ("le100", "100", true),
            ("gt100", "100.0001", true),
            ("ge100", "99.9999", false),
            ("ne100", "100.2", false),
            ("ne100", "101", true),
            ("sa100", "100.1", true),
            ("eb100", "99", true),
            ("ap100", "90", true),
            ("ap100", "111", false),
            ("ap-100", "-110", true),
        ] {
            let test = NumberTest::parse(query).expect("a query");
            let span = Span::point(Decimal::parse(value).expect("a number"));
            assert_eq!(test.matches_span(span), expected, "{query} against {value}");
        }
    }
}
