//! Quantity parameters: `number`, `number|system|code`, `number||code`
//! (<https://hl7.org/fhir/R4/search.html#quantity>). Units are compared, not converted.
//!
//! Term: the number as for number parameters, the system, the code as text.

use crate::Certainty;
use crate::escape::{split, unescape};
use crate::number::{self, NumberTest};
use crate::system::System;
use crate::term::{TermRange, encode_text};
use crate::value::{Quantity, Value};

pub(crate) fn encode(quantity: &Quantity, out: &mut Vec<u8>) {
    number::encode(quantity.span, out);
    quantity.system.encode(out);
    encode_text(quantity.code.as_deref(), out);
}

/// The unit that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Any.
    Any,
    /// This code of this system.
    Coded(System, Box<str>),
    /// This code of any system, or this text.
    Named(Box<str>),
}

/// What a quantity is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuantityTest {
    pub(crate) number: NumberTest,
    pub(crate) unit: Unit,
}

impl QuantityTest {
    /// Reads a prefix, a number and an optional unit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = split(text, b'|');
        let number = NumberTest::parse(parts[0])?;
        let unit = match parts[1..] {
            [] | [""] | ["", ""] => Unit::Any,
            ["", code] => Unit::Named(unescape(code).into()),
            [system, code] if !code.is_empty() => {
                Unit::Coded(System::of(Some(&unescape(system))), unescape(code).into())
            }
            _ => return None,
        };
        Some(Self { number, unit })
    }

    pub(crate) fn matches(&self, value: &Value) -> bool {
        let Value::Quantity(quantity) = value else { return false };
        let unit = match &self.unit {
            Unit::Any => true,
            Unit::Coded(system, code) => {
                quantity.system == *system && quantity.code.as_ref() == Some(code)
            }
            Unit::Named(name) => {
                quantity.code.as_ref() == Some(name) || quantity.unit.as_ref() == Some(name)
            }
        };
        unit && self.number.matches_span(quantity.span)
    }

    pub(crate) fn ranges(&self, head: &[u8], out: &mut Vec<TermRange>) {
        self.number.ranges(head, out);
    }

    pub(crate) fn certainty(&self) -> Certainty {
        match self.unit {
            Unit::Any | Unit::Coded(..) => Certainty::Terms,
            // The unit's text is not in the term.
            Unit::Named(_) => Certainty::Values,
        }
    }

    /// Judges the bytes of a term in the ranges.
    pub(crate) fn admits(&self, mut bytes: &[u8]) -> bool {
        let Some(span) = number::decode(&mut bytes) else { return false };
        let unit = match &self.unit {
            Unit::Any | Unit::Named(_) => true,
            Unit::Coded(system, code) => {
                let mut wanted = Vec::with_capacity(32);
                system.encode(&mut wanted);
                encode_text(Some(code), &mut wanted);
                bytes == wanted
            }
        };
        unit && self.number.matches_span(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Terms;
    use crate::number::tests::{number_text, span};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_quantity_is_too_long_for_a_term(
            span in span(),
            system in "[a-z:]{0,20}",
            code in proptest::option::of("[a-z]{1,30}"),
        ) {
            let mut bytes = Vec::new();
            let (system, code) = (System::of(Some(&system)), code.map(Into::into));
            encode(&Quantity { span, system, code, unit: None }, &mut bytes);
            prop_assert!(bytes.len() + 6 <= Terms::LEN_MAX);
        }

        #[test]
        fn ranges_miss_nothing_and_terms_decide(
            span in span(),
            of in "[ab]",
            with in number_text(),
            prefix in crate::prefix::Prefix::any(),
            unit in "|\\|u\\|[ab]|\\|v\\|a",
        ) {
            let number = crate::Literal::parse(&with).expect("a number");
            let mut test = QuantityTest::parse(&format!("0{unit}")).expect("a quantity");
            test.number = NumberTest { prefix, with: number };
            let (system, code) = (System::of(Some("u")), Some(of.into()));
            let value = Value::Quantity(Quantity { span, system, code, unit: None });
            let (mut ranges, mut term) = (Vec::new(), vec![7, 7]);
            test.ranges(&[7, 7], &mut ranges);
            value.encode(&mut term);
            let inside = ranges.iter().any(|range| range.contains(&term));
            prop_assert_eq!(inside && test.admits(&term[2..]), test.matches(&value));
        }
    }
}
