//! The query part of a URL, split into what the service itself reads and what search reads.

use crate::Error;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// A raw query, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// `_format`, decoded.
    pub format: Option<String>,
    /// `_cursor`, decoded: where a page begins.
    pub cursor: Option<String>,
    /// All other parameters as they came, joined by `&`.
    pub rest: String,
}

/// One side of a parameter, decoded as forms are: `+` is a space.
#[must_use]
pub fn decode(text: &str) -> String {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

impl Controls {
    /// Splits raw queries, of the URL and of a form. `_pretty` is read and has no effect.
    #[must_use]
    pub fn read(raw: &[&str]) -> Self {
        let mut controls = Self::default();
        for pair in raw.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_format" => controls.format = Some(decode(value)),
                "_cursor" => controls.cursor = Some(decode(value)),
                "_pretty" => {}
                _ => {
                    if !controls.rest.is_empty() {
                        controls.rest.push('&');
                    }
                    controls.rest.push_str(pair);
                }
            }
        }
        controls
    }

    /// The other parameters, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.rest.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
    }

    /// Refuses parameters where none is read.
    pub fn check_none(&self) -> Result<(), Error> {
        match self.parameters().next() {
            None => Ok(()),
            Some((name, _)) => Err(Error::not_read(&name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_taken_out_and_the_rest_stays_raw() {
        let controls = Controls::read(&[
            "_format=application/fhir%2Bjson&name=a%20b&_pretty=true",
            "x=1+2&&_cursor=ab",
        ]);
        assert_eq!(controls.format.as_deref(), Some("application/fhir+json"));
        assert_eq!(controls.cursor.as_deref(), Some("ab"));
        assert_eq!(controls.rest, "name=a%20b&x=1+2");
        let pairs: Vec<_> = controls.parameters().collect();
        assert_eq!(pairs, [("name".into(), "a b".into()), ("x".into(), "1 2".into())]);
        assert!(controls.check_none().is_err());
        assert!(Controls::read(&["_format=json"]).check_none().is_ok());
    }
}
