//! Token parameters: `code`, `system|code`, `|code`, `system|`.
//!
//! Term: the code as text, then the system. Codes are compared by case: two identifiers that differ
//! in it are two, and a conditional create must not take one for the other.

use crate::Certainty;
use crate::escape::{split_once, unescape};
use crate::system::System;
use crate::term::{TermRange, encode_text, encoded_text_len};
use crate::value::{Token, Value};

pub(crate) fn encode(token: &Token, out: &mut Vec<u8>) {
    encode_text(token.code.as_deref(), out);
    token.system.encode(out);
}

/// What a token is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenTest {
    /// The system; `None` for any.
    pub(crate) system: Option<System>,
    /// The code; `None` for any.
    pub(crate) code: Option<Box<str>>,
}

impl TokenTest {
    /// Reads `code`, `system|code`, `|code`, `system|`; `None` if there is nothing in it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let system = |text: &str| Some(System::of(Some(&unescape(text))));
        match split_once(text, b'|') {
            None if text.is_empty() => None,
            None => Some(Self { system: None, code: Some(unescape(text).into()) }),
            Some(("", "")) => None,
            Some((uri, "")) => Some(Self { system: system(uri), code: None }),
            Some((uri, code)) => {
                Some(Self { system: system(uri), code: Some(unescape(code).into()) })
            }
        }
    }

    pub(crate) fn matches(&self, value: &Value) -> bool {
        matches!(value, Value::Token(token) if self.matches_token(token))
    }

    pub(crate) fn matches_token(&self, token: &Token) -> bool {
        let system = match (&self.system, &token.system) {
            (None, _) => true,
            (Some(_), System::Unused) => self.code.is_some(),
            (Some(wanted), system) => wanted == system,
        };
        system && self.code.as_ref().is_none_or(|code| token.code.as_ref() == Some(code))
    }

    pub(crate) fn ranges(&self, head: Vec<u8>, out: &mut Vec<TermRange>) {
        let Some(code) = &self.code else {
            out.push(TermRange::prefix(head));
            return;
        };
        let mut with_code = head;
        encode_text(Some(code), &mut with_code);
        let Some(system) = &self.system else {
            out.push(TermRange::prefix(with_code));
            return;
        };
        let mut whole = with_code.clone();
        system.encode(&mut whole);
        with_code.extend_from_slice(System::UNUSED_BYTES);
        out.push(TermRange::one(whole));
        out.push(TermRange::one(with_code));
    }

    pub(crate) fn certainty(&self) -> Certainty {
        if self.code.is_some() { Certainty::Ranges } else { Certainty::Terms }
    }

    /// Judges the bytes of a term in the ranges.
    pub(crate) fn admits(&self, bytes: &[u8]) -> bool {
        match (&self.system, &self.code) {
            (Some(system), None) => {
                let mut wanted = Vec::with_capacity(9);
                system.encode(&mut wanted);
                bytes.get(encoded_text_len(bytes)..) == Some(&wanted) && !bytes.is_empty()
            }
            _ => true,
        }
    }
}
