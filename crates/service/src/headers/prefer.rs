//! The `Prefer` header (RFC 7240; <https://hl7.org/fhir/R4/http.html#ops>).

use http::{HeaderMap, header::HeaderName};
use search::Handling;

/// `Prefer` as a header's name.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What the body of an answer to a write holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Return {
    /// Nothing.
    Minimal,
    /// The resource as stored.
    #[default]
    Representation,
    /// An OperationOutcome about it.
    OperationOutcome,
}

/// The preferences this service knows. Others are ignored, as RFC 7240 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefer {
    /// `return=`.
    pub answer: Return,
    /// `handling=`; unknown search parameters are refused unless it is `lenient`.
    pub handling: Handling,
    /// `durability=replicated`: wait for the other region.
    pub replicated: bool,
}

impl Default for Prefer {
    fn default() -> Self {
        Self { answer: Return::default(), handling: Handling::Strict, replicated: false }
    }
}

impl Prefer {
    /// Reads every `Prefer` header; the first of equal names counts.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let (mut answer, mut handling) = (None, None);
        for value in headers.get_all(PREFER) {
            let Ok(text) = value.to_str() else { continue };
            for item in text.split([',', ';']) {
                let (name, value) = item.split_once('=').unwrap_or((item, ""));
                let value = value.trim().trim_matches('"');
                match (name.trim().to_ascii_lowercase().as_str(), value) {
                    ("return", "minimal") => _ = answer.get_or_insert(Return::Minimal),
                    ("return", "representation") => {
                        _ = answer.get_or_insert(Return::Representation);
                    }
                    ("return", "OperationOutcome") => {
                        _ = answer.get_or_insert(Return::OperationOutcome);
                    }
                    ("handling", "lenient") => _ = handling.get_or_insert(Handling::Lenient),
                    ("handling", "strict") => _ = handling.get_or_insert(Handling::Strict),
                    ("durability", "replicated") => prefer.replicated = true,
                    _ => {}
                }
            }
        }
        prefer.answer = answer.unwrap_or_default();
        prefer.handling = handling.unwrap_or(Handling::Strict);
        prefer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&'static str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        Prefer::read(&headers)
    }

    #[test]
    fn known_preferences_are_read_and_others_ignored() {
        assert_eq!(read(&[]), Prefer::default());
        assert_eq!(read(&["respond-async, wait=10"]), Prefer::default());
        assert_eq!(read(&["return=minimal"]).answer, Return::Minimal);
        assert_eq!(read(&["return=OperationOutcome"]).answer, Return::OperationOutcome);
        let both = read(&["handling=lenient; return=\"minimal\""]);
        assert_eq!((both.handling, both.answer), (Handling::Lenient, Return::Minimal));
        let first = read(&["return=minimal", "return=representation, Durability=replicated"]);
        assert_eq!((first.answer, first.replicated), (Return::Minimal, true));
    }
}
