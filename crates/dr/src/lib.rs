//! dr
