//! One comparison of one parameter, over typed values and over index terms.

use crate::composite::CompositeTest;
use crate::date::DateTest;
use crate::number::NumberTest;
use crate::quantity::QuantityTest;
use crate::reference::ReferenceTest;
use crate::string::StringTest;
use crate::term::{TermRange, head};
use crate::token::TokenTest;
use crate::uri::UriTest;
use crate::value::Value;
use crate::{Extracted, ParamId};

/// What a term in a predicate's ranges proves about its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The resource matches.
    Ranges,
    /// It matches if and only if [`Predicate::admits`] says so of one of its terms in the ranges.
    Terms,
    /// As far as [`Predicate::admits`] does not exclude it, [`Predicate::matches`] must be asked.
    Values,
}

/// One comparison of one parameter: `code=8480-6`, `date=ge2024`, `name:missing=false`.
///
/// Every resource that matches has a term in [`Predicate::ranges`] that [`Predicate::admits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    param: ParamId,
    test: Test,
    ranges: Vec<TermRange>,
}

impl Predicate {
    pub(crate) fn new(param: ParamId, test: Test) -> Self {
        let mut ranges = Vec::new();
        test.ranges(head(param), &mut ranges);
        ranges.sort_unstable();
        ranges.dedup();
        Self { param, test, ranges }
    }

    /// The parameter whose terms are looked at.
    #[must_use]
    pub const fn param(&self) -> ParamId {
        self.param
    }

    /// Where terms of matching resources lie. Ascending; they do not overlap.
    #[must_use]
    pub fn ranges(&self) -> &[TermRange] {
        &self.ranges
    }

    /// What a term in the ranges proves.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        self.test.certainty()
    }

    /// Whether every resource with a term in the ranges matches: [`Certainty::Ranges`].
    #[must_use]
    pub fn exact(&self) -> bool {
        self.certainty() == Certainty::Ranges
    }

    /// Judges a term in the ranges by its bytes alone. `false` excludes the term; what `true` means
    /// [`Predicate::certainty`] says.
    #[must_use]
    pub fn admits(&self, term: &[u8]) -> bool {
        term.get(2..).is_some_and(|bytes| self.test.admits(bytes))
    }

    /// Whether one of the resource's values satisfies the comparison: the answer itself, without
    /// any index.
    #[must_use]
    pub fn matches(&self, extracted: &Extracted) -> bool {
        extracted.of(self.param).any(|value| self.test.matches(value))
    }
}

/// A comparison by kind of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Present,
    String(StringTest),
    Token(TokenTest),
    Reference(ReferenceTest),
    Date(DateTest),
    Number(NumberTest),
    Quantity(QuantityTest),
    Uri(UriTest),
    Composite(CompositeTest),
}

impl Test {
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Present => true,
            Self::String(test) => test.matches(value),
            Self::Token(test) => test.matches(value),
            Self::Reference(test) => test.matches(value),
            Self::Date(test) => test.matches(value),
            Self::Number(test) => test.matches(value),
            Self::Quantity(test) => test.matches(value),
            Self::Uri(test) => test.matches(value),
            Self::Composite(test) => test.matches(value),
        }
    }

    pub(crate) fn ranges(&self, head: Vec<u8>, out: &mut Vec<TermRange>) {
        match self {
            Self::Present => out.push(TermRange::prefix(head)),
            Self::String(test) => test.ranges(head, out),
            Self::Token(test) => test.ranges(head, out),
            Self::Reference(test) => test.ranges(head, out),
            Self::Date(test) => test.ranges(&head, out),
            Self::Number(test) => test.ranges(&head, out),
            Self::Quantity(test) => test.ranges(&head, out),
            Self::Uri(test) => test.ranges(head, out),
            Self::Composite(test) => test.ranges(head, out),
        }
    }

    pub(crate) fn certainty(&self) -> Certainty {
        match self {
            Self::Present => Certainty::Ranges,
            Self::String(test) => test.certainty(),
            Self::Token(test) => test.certainty(),
            Self::Reference(test) => test.certainty(),
            Self::Date(_) => DateTest::CERTAINTY,
            Self::Number(_) => NumberTest::CERTAINTY,
            Self::Quantity(test) => test.certainty(),
            Self::Uri(test) => test.certainty(),
            Self::Composite(_) => CompositeTest::CERTAINTY,
        }
    }

    pub(crate) fn admits(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Present | Self::String(_) | Self::Uri(_) => true,
            Self::Token(test) => test.admits(bytes),
            Self::Reference(test) => test.admits(bytes),
            Self::Date(test) => test.admits(bytes),
            Self::Number(test) => test.admits(bytes),
            Self::Quantity(test) => test.admits(bytes),
            Self::Composite(test) => test.admits(bytes),
        }
    }
}
