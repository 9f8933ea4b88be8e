//! String parameters: equal or beginning with, after folding; `:exact`; `:contains`.
//!
//! Term: the folded text, cut to [`LEN_MAX`] bytes at a character.

use crate::Certainty;
use crate::fold::fold;
use crate::term::TermRange;
use crate::value::Value;

/// The most bytes of folded text in a term.
const LEN_MAX: usize = 24;

pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(cut(&fold(text)).as_bytes());
}

/// The first characters, as far as terms hold them.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LEN_MAX)]
}

/// What a string is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StringTest {
    /// Folded, it begins with this folded text.
    Begins(Box<str>),
    /// It is this text, letter by letter.
    Exact(Box<str>),
    /// Folded, it has this folded text somewhere.
    Contains(Box<str>),
}

impl StringTest {
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Begins(start), Value::Text(text) | Value::Word(text)) => {
                fold(text).starts_with(&**start)
            }
            (Self::Exact(exact), Value::Text(text)) => text == exact,
            (Self::Contains(part), Value::Text(text)) => fold(text).contains(&**part),
            _ => false,
        }
    }

    pub(crate) fn ranges(&self, head: Vec<u8>, out: &mut Vec<TermRange>) {
        let with = |text: &str| [head.as_slice(), text.as_bytes()].concat();
        out.push(match self {
            Self::Begins(start) => TermRange::prefix(with(cut(start))),
            Self::Exact(exact) => {
                let folded = fold(exact);
                TermRange::one(with(cut(&folded)))
            }
            Self::Contains(_) => TermRange::prefix(head),
        });
    }

    pub(crate) fn certainty(&self) -> Certainty {
        match self {
            // An empty start also finds the bare term of a present parameter.
            Self::Begins(start) if !start.is_empty() && start.len() <= LEN_MAX => Certainty::Ranges,
            _ => Certainty::Values,
        }
    }
}
