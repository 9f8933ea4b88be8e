//! Exact decimals: what a FHIR `decimal` says, compared without floating point.

use std::cmp::Ordering;

/// The most significant digits that take part in a comparison; further ones are cut off.
pub const DIGITS_MAX: u32 = 36;
/// The largest power of ten, either way, of a number that can be searched.
pub const EXPONENT_MAX: i32 = 9999;

/// `mantissa · 10^exponent`, without trailing zeros in the mantissa; zero is `0 · 10^0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    pub(crate) fn new(mut mantissa: i128, mut exponent: i32) -> Self {
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// Reads a JSON number; `None` if it is none, or beyond [`EXPONENT_MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Literal::parse(text).map(|literal| literal.value)
    }

    /// Its digits without trailing zeros, with the sign.
    pub(crate) fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// How many digits the mantissa has.
    pub(crate) fn digits(self) -> u32 {
        self.mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
    }

    /// The power of ten just above the number: 173.9 has 3, 0.05 has −1.
    pub(crate) fn magnitude(self) -> i32 {
        self.exponent + i32::try_from(self.digits()).expect("at most 39 digits")
    }

    /// `self · factor / 10^shift`, for small factors.
    fn scaled(self, factor: i128, shift: i32) -> Self {
        Self::new(self.mantissa * factor, self.exponent - shift)
    }

    /// The number a tenth of its size lower, and the one a tenth higher: the reach of `ap`.
    #[must_use]
    pub fn around(self) -> (Self, Self) {
        let (a, b) = (self.scaled(9, 1), self.scaled(11, 1));
        if a <= b { (a, b) } else { (b, a) }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs != Ordering::Equal || self.mantissa == 0 {
            return signs;
        }
        let sizes = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            let (a, b) = (self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs());
            let (n, m) = (self.digits(), other.digits());
            // Same magnitude: compare digits after filling the shorter one with zeros.
            (a * 10u128.pow(m.saturating_sub(n))).cmp(&(b * 10u128.pow(n.saturating_sub(m))))
        });
        if self.mantissa < 0 { sizes.reverse() } else { sizes }
    }
}

/// A number as a client wrote it: its value, and the unit of its last digit, which is the implicit
/// precision of a search value (<https://hl7.org/fhir/R4/search.html#number>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The value.
    pub value: Decimal,
    mantissa: i128,
    unit_exponent: i32,
}

impl Literal {
    /// Reads a JSON number; `None` if it is none, or beyond [`EXPONENT_MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, power) = match unsigned.split_once(['e', 'E']) {
            Some((number, power)) => (number, power_of(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() {
            return None;
        }
        let mut mantissa: i128 = 0;
        let mut used: u32 = 0;
        let mut cut: i32 = 0;
        for (place, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
            if !byte.is_ascii_digit() || place > 1 << 20 {
                return None;
            }
            if used == DIGITS_MAX {
                cut += 1;
                continue;
            }
            mantissa = mantissa * 10 + i128::from(byte - b'0');
            used += u32::from(mantissa != 0);
        }
        if negative {
            mantissa = -mantissa;
        }
        let unit_exponent = power - i32::try_from(fraction.len()).ok()? + cut;
        let value = Decimal::new(mantissa, unit_exponent);
        (value.magnitude().abs() <= EXPONENT_MAX).then_some(Self { value, mantissa, unit_exponent })
    }

    /// Half a unit of the last digit to either side: `100` is from 99.5 up to 100.5, `100.00` from
    /// 99.995, and `1e2` from 50.
    ///
    /// R4's page gives `[95 ... 105)` for the last, which no rule gives together with its other
    /// examples; later versions of the page say `[50 ... 150)`, as here.
    #[must_use]
    pub fn implied(self) -> (Decimal, Decimal) {
        let tenths = self.mantissa * 10;
        (
            Decimal::new(tenths - 5, self.unit_exponent - 1),
            Decimal::new(tenths + 5, self.unit_exponent - 1),
        )
    }
}

/// A power of ten with an optional sign, small enough that sums of a few cannot overflow.
fn power_of(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size: i32 = digits.parse().ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn numbers_compare_by_value_not_by_form() {
        assert_eq!(decimal("100"), decimal("1e2"));
        assert_eq!(decimal("0.10"), decimal("0.1"));
        assert_eq!(decimal("-0"), Decimal::ZERO);
        let ascending =
            ["-1e30", "-100.5", "-100", "-0.02", "0", "1e-9", "0.1", "0.11", "2", "10", "1e40"];
        for pair in ascending.windows(2) {
            assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_number_covers_half_a_unit_of_its_last_digit() {
        for (text, low, high) in [
            ("100", "99.5", "100.5"),
            ("100.00", "99.995", "100.005"),
            ("1e2", "50", "150"),
            ("-5.4", "-5.45", "-5.35"),
            ("0", "-0.5", "0.5"),
        ] {
            let implied = Literal::parse(text).expect("a number").implied();
            assert_eq!(implied, (decimal(low), decimal(high)), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_far_out_is_none() {
        for bad in ["", "-", ".5", "5.", "1e", "1e+", "0x1", "1 ", "1e99999999", "1e10000", "--1"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
        assert!(Decimal::parse(&"9".repeat(400)).is_some());
    }
}
