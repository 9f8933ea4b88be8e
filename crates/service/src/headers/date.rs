//! HTTP dates (RFC 9110 section 5.6.7): whole seconds, always GMT.

use base::Stamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Last-Modified` of a stamp, rounded down to the second: `Sat, 21 Nov 2026 08:15:30 GMT`.
#[must_use]
pub fn http_date(stamp: Stamp) -> String {
    let text = stamp.to_string();
    let day = usize::try_from(stamp.ms() / 86_400_000 % 7).expect("a remainder of seven fits");
    let month: usize = text[5..7].parse().expect("a stamp's month is two digits");
    format!(
        "{}, {} {} {} {} GMT",
        DAYS[day],
        &text[8..10],
        MONTHS[month - 1],
        &text[..4],
        &text[11..19]
    )
}

/// Reads an HTTP date in the one form that may be sent; `None` when it is not that.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<Stamp> {
    let (_, rest) = text.trim().split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Stamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_rfc_9110() {
        for (ms, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_210_096_000, "Thu, 29 Feb 2024 12:34:56 GMT"),
        ] {
            assert_eq!(http_date(Stamp::from_ms(ms)), text);
            assert_eq!(parse_http_date(text), Some(Stamp::from_ms(ms)));
        }
        assert_eq!(http_date(Stamp::from_ms(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        for bad in ["", "yesterday", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37"]
        {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }
}
