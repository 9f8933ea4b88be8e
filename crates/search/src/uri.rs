//! URI parameters: equal, letter by letter; `:below` and `:above` for URLs.
//!
//! Term: eight bytes of the URI's hash. Two URIs of one account share them with a chance of 2⁻⁶⁴.

use crate::Certainty;
use crate::term::TermRange;
use crate::value::Value;

pub(crate) fn encode(uri: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&base::Hash::of(uri.as_bytes()).as_bytes()[..8]);
}

/// What a URI is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UriTest {
    /// It is this one.
    Equal(Box<str>),
    /// It is this one, or lies below it.
    Below(Box<str>),
    /// It is this one, or lies above it.
    Above(Box<str>),
}

impl UriTest {
    pub(crate) fn matches(&self, value: &Value) -> bool {
        let Value::Uri(uri) = value else { return false };
        match self {
            Self::Equal(wanted) => uri == wanted,
            Self::Below(wanted) => is_below(uri, wanted),
            Self::Above(wanted) => is_below(wanted, uri),
        }
    }

    pub(crate) fn ranges(&self, mut head: Vec<u8>, out: &mut Vec<TermRange>) {
        out.push(match self {
            Self::Equal(uri) => {
                encode(uri, &mut head);
                TermRange::one(head)
            }
            Self::Below(_) => TermRange::prefix(head),
            Self::Above(uri) => {
                for upper in ancestors(uri) {
                    let mut term = head.clone();
                    encode(upper, &mut term);
                    out.push(TermRange::one(term));
                }
                return;
            }
        });
    }

    pub(crate) fn certainty(&self) -> Certainty {
        if matches!(self, Self::Below(_)) { Certainty::Values } else { Certainty::Ranges }
    }
}

/// Whether `uri` is `upper`, or goes on after it at a slash.
fn is_below(uri: &str, upper: &str) -> bool {
    let Some(rest) = uri.strip_prefix(upper) else { return false };
    rest.is_empty() || upper.is_empty() || upper.ends_with('/') || rest.starts_with('/')
}

/// The URI and all that it lies below: those up to a slash, with and without it.
fn ancestors(uri: &str) -> impl Iterator<Item = &str> {
    let slashes = uri.match_indices('/').flat_map(|(at, _)| [at, at + 1]);
    [0, uri.len()].into_iter().chain(slashes).map(|end| &uri[..end])
}
