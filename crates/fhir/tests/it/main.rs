//! What the crate promises, from outside.

mod definitions;
mod expressions;
mod oracle;
mod refusals;
mod serving;
mod synthea;
