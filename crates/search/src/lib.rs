//! Search as FHIR R4 has it (<https://hl7.org/fhir/R4/search.html>): which values of a resource
//! are indexed, what bytes they have in an index, and what a query asks for.
//!
//! Nothing here reads an index or does I/O: engines do, each in its way, and all must answer what
//! [`Filter::matches`] answers. Depends on `fhir` and `base` only.
//!
//! - A resource → [`extract`] → [`Extracted`] (typed values) → [`Terms`] (bytes in the index).
//! - A query → [`parse_query`] → [`Query`] with a [`Filter`] of [`Predicate`]s, each with the
//!   ranges of terms to look at.

mod decimal;
mod fold;
mod interval;
mod system;
mod term;

mod value;

mod escape;
mod prefix;

mod composite;
mod date;
mod number;
mod quantity;
mod reference;
mod string;
mod token;
mod uri;

mod arm;
mod extract;
mod param;

mod predicate;

mod clause;
mod condition;
mod filter;
mod parse;
mod query;
mod refuse;

pub use condition::Conditional;
pub use decimal::{DIGITS_MAX, Decimal, EXPONENT_MAX, Literal};
pub use extract::extract;
pub use filter::{Filter, Meta, StampRange};
pub use fold::fold;
pub use interval::Interval;
pub use param::{ParamId, Parameter, parameters};
pub use parse::parse_query;
pub use predicate::{Certainty, Predicate};
pub use query::{Handling, Query, Sort, Total};
pub use system::System;
pub use term::{ENCODING_VERSION, TermRange, Terms};
pub use value::{Extracted, Quantity, Reference, Span, Target, Token, Value};
