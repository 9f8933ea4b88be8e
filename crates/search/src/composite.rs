//! Composite parameters: components joined by `$`, all of one element
//! (<https://hl7.org/fhir/R4/search.html#combining>).
//!
//! Only those whose parts repeat have terms; where the element is the resource itself, the query is
//! the same as one for each component. Term: four bytes of the hash of the first component's code,
//! and the second component's value. The first component is a token in all of R4's composites.

use crate::predicate::Test;
use crate::term::{TermRange, TermWriter};
use crate::value::Value;
use crate::{Certainty, ParamId};

/// Adds a term for each first value with each second one.
pub(crate) fn write_terms(components: &[Box<[Value]>], param: ParamId, writer: &mut TermWriter) {
    let [firsts, seconds, ..] = components else { return };
    for first in firsts {
        let Value::Token(token) = first else { continue };
        for second in seconds {
            writer.term(param, |out| {
                encode_code(token.code.as_deref().unwrap_or_default(), out);
                second.encode(out);
            });
        }
    }
}

fn encode_code(code: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&base::Hash::of(code.as_bytes()).as_bytes()[..4]);
}

/// What the components of one element are compared with, one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompositeTest {
    pub(crate) components: Box<[Test]>,
}

impl CompositeTest {
    pub(crate) fn matches(&self, value: &Value) -> bool {
        let Value::Composite(components) = value else { return false };
        self.components.len() == components.len()
            && self
                .components
                .iter()
                .zip(components)
                .all(|(test, values)| values.iter().any(|value| test.matches(value)))
    }

    pub(crate) fn ranges(&self, mut head: Vec<u8>, out: &mut Vec<TermRange>) {
        match &*self.components {
            [Test::Token(first), second, ..] if first.code.is_some() => {
                encode_code(first.code.as_deref().unwrap_or_default(), &mut head);
                second.ranges(head, out);
            }
            _ => out.push(TermRange::prefix(head)),
        }
    }

    pub(crate) const CERTAINTY: Certainty = Certainty::Values;

    /// Judges the bytes of a term in the ranges, by the second component.
    pub(crate) fn admits(&self, bytes: &[u8]) -> bool {
        match (&*self.components, bytes.get(4..)) {
            ([_, second, ..], Some(rest)) => second.admits(rest),
            _ => false,
        }
    }
}
