//! The protocol against directed schedules and a model checker, through the crate's public step
//! functions alone.

mod bench;
mod model;
mod paths;
mod schedules;
mod world;
