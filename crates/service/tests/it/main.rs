//! Requests and their answers, in process, against the memory engine.

mod bed;

mod bundles;
mod conditional;
mod crud;
mod gates;
mod limits;
mod lists;
mod metadata;
mod socket;
mod synthea;
