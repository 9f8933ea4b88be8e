//! An account's data: the log, the resources and indexes made from it, and what the service asks
//! of them.

pub mod disk;
pub mod log;
