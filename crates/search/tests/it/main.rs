//! Search seen from outside: resources in, queries in, answers out.

mod encoding;
mod queries;
mod random;
mod refusals;
mod sample;
mod synthea;
