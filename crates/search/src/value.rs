//! What is indexed of a resource, typed.

use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::system::System;
use crate::term::TermWriter;
use crate::{ParamId, Terms, composite, date, number, quantity, reference, string, token, uri};
use fhir::TypeId;

/// One value of one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// The element is there, but holds nothing to search for, such as a concept that is only text.
    Present,
    /// A string, as it stands in the resource.
    Text(Box<str>),
    /// One word of a string of several: found like a string of its own, except by `:exact`.
    Word(Box<str>),
    /// A code or identifier.
    Token(Token),
    /// A reference to a resource.
    Reference(Reference),
    /// What a Reference names by identifier only.
    Logical(Token),
    /// A time or period.
    Date(Interval),
    /// A number.
    Number(Span),
    /// A quantity.
    Quantity(Quantity),
    /// A URI.
    Uri(Box<str>),
    /// One element of a composite parameter: for each component the values it has there.
    Composite(Box<[Box<[Value]>]>),
}

/// A code or identifier: one of the two parts is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The system.
    pub system: System,
    /// The code or the identifier's value.
    pub code: Option<Box<str>>,
}

/// A reference to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What it names.
    pub target: Target,
    /// The version, if it names one.
    pub version: Option<Box<str>>,
}

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `Type/id`, in this account.
    Local {
        /// The type.
        type_id: TypeId,
        /// The id.
        id: Box<str>,
    },
    /// A URL or URN, canonical or not, and the type of what it names as far as it says.
    Absolute {
        /// The type.
        type_id: Option<TypeId>,
        /// Without a version.
        url: Box<str>,
    },
}

/// From `lo` to `hi`, both included; without one it has no end on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The least value.
    pub lo: Option<Decimal>,
    /// The greatest value.
    pub hi: Option<Decimal>,
}

impl Span {
    /// One number.
    #[must_use]
    pub const fn point(value: Decimal) -> Self {
        Self { lo: Some(value), hi: Some(value) }
    }
}

/// A quantity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    /// Its value, or the values that its comparator or range allow.
    pub span: Span,
    /// The system of its code.
    pub system: System,
    /// The coded unit.
    pub code: Option<Box<str>>,
    /// The unit as text, when it says something else than the code.
    pub unit: Option<Box<str>>,
}

/// All indexed values of one resource, by parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    values: Vec<(ParamId, Value)>,
}

impl Extracted {
    /// The values in the order in which they were found.
    #[must_use]
    pub fn values(&self) -> &[(ParamId, Value)] {
        &self.values
    }

    /// The values of one parameter.
    pub fn of(&self, param: ParamId) -> impl Iterator<Item = &Value> {
        self.values.iter().filter(move |(id, _)| *id == param).map(|(_, value)| value)
    }

    /// Their index terms.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let mut writer = TermWriter::with_room(self.values.len());
        for (param, value) in &self.values {
            value.write_terms(*param, &mut writer);
        }
        writer.finish()
    }

    pub(crate) fn with_room(values: usize) -> Self {
        Self { values: Vec::with_capacity(values) }
    }

    pub(crate) fn push(&mut self, param: ParamId, value: Value) {
        self.values.push((param, value));
    }
}

impl Value {
    /// Adds this value's terms: one, or for a composite one for each combination.
    fn write_terms(&self, param: ParamId, writer: &mut TermWriter) {
        match self {
            Self::Composite(components) => composite::write_terms(components, param, writer),
            single => writer.term(param, |out| single.encode(out)),
        }
    }

    /// Appends the bytes of a single value; of a composite, nothing.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Present | Self::Composite(_) => {}
            Self::Text(text) | Self::Word(text) => string::encode(text, out),
            Self::Token(token) => token::encode(token, out),
            Self::Reference(reference) => reference::encode(reference, out),
            Self::Logical(token) => reference::encode_logical(token, out),
            Self::Date(interval) => date::encode(*interval, out),
            Self::Number(span) => number::encode(*span, out),
            Self::Quantity(quantity) => quantity::encode(quantity, out),
            Self::Uri(uri) => uri::encode(uri, out),
        }
    }
}
