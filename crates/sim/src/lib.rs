//! The simulator: three members, two gateways and retrying clients in one thread on virtual time,
//! running the real protocol, log and shipping code under seeded faults, and the checkers that
//! judge what came of it by what can be seen from outside.
//!
//! For development only. Nothing of ours depends on it; the checkers share no code with the
//! protocol.

mod account;
mod agenda;
mod chance;
mod client;
mod clock;
mod fault;
mod flaw;
mod gateway;
mod ledger;
mod machine;
mod network;
mod packet;
mod place;
#[cfg(feature = "planted")]
mod power;
mod process;
mod run;
mod scene;
mod serving;
mod shipping;
mod story;
mod trace;
mod transition;
mod trouble;
mod verdict;
mod world;

pub use agenda::{Agenda, Moment};
pub use chance::Chance;
pub use client::{Ask, Client, Deed, Habits, Reply, Told, Want, content_of};
pub use clock::{DRIFT_PPM, EXACT_PPM, MachineClock, SiteClock};
pub use fault::{Fault, FaultKind, Order, Planned, plan};
pub use flaw::Flaw;
pub use ledger::{
    Acknowledged, Actor, Checker, Found, FoundCommit, Issued, Ledger, RequestId, Seen, Subject,
    Violation,
};
pub use network::{Fate, Link, Network, Traffic};
pub use place::Place;
#[cfg(feature = "planted")]
pub use power::{Finder, Found as FoundPlant, PLANTS, Plant, hunt};
pub use run::{Batch, Report, run_batch, run_caught, run_seed, setup_of};
pub use scene::Counts;
pub use story::Story;
pub use trace::Trace;
pub use transition::TRANSITIONS;
pub use verdict::{Outcome, judge};
pub use world::{Setup, World};
