//! The DR protocol as a value: register, leases and the region machine, without I/O, clock,
//! randomness, threads or locks. PROTOCOL.md has the rules; each is named here in a comment
//! (`// L4:`) where it is enforced.
//!
//! Depends on `base` only. Knows logs only as positions that events tell.
//!
//! # How to drive a [`Member`]
//! - One owner. [`Member::start`] once, then [`Member::step`] for each [`Event`]; carry out the
//!   [`Action`]s in the order given before the next step. Both clocks are read once for each step,
//!   *before* it; for a received message, after it arrived.
//! - [`Action::Persist`]: write, fsync, then [`Event::Persisted`]. It may be done at once or later;
//!   the machine holds back all that depends on it and goes on with the rest. Records are kept by
//!   [`Record::key`], newest wins; hand all of them to the next [`Member::start`].
//! - [`Action::Send`] may lose, delay, double and reorder. Messages are authenticated by the driver:
//!   `from` is true.
//! - Answer every question to the log ([`Action::LookUp`], [`Action::StopAppends`],
//!   [`Action::FetchTail`], [`Action::OpenEpoch`], [`Action::Drain`], [`Action::Return`]) exactly
//!   once, with facts that are durable. All of them are idempotent.
//! - After a start, tell [`Event::LogEnd`] for each account whose log is here, once it is open and
//!   recovered. Before that the member already votes and answers; for an account that it knows
//!   nothing of, it does nothing else.
//! - The gate is the only permission. Between a [`Gate`] and the next it stands, and runs out by
//!   itself at [`Term::valid_until`]. A [`Role`] tells replication what to do; it permits nothing to
//!   clients.
//! - The data directory is held by an exclusive lock for the life of the process (L10).
//!
//! # How it is checked
//! `tests/it/schedules.rs`: directed schedules, each failing without its rule. `tests/it/model`: a
//! model checker over [`Acceptor`], [`Proposer`] and [`Leaseholder`]; its bounds and figures are in
//! `docs/guarantees.md`. The whole [`Member`] runs in the simulator (`crates/sim`).

mod acceptor;
mod action;
mod ballot;
mod bug;
mod change;
mod error;
mod event;
mod lease;
mod member;
mod message;
mod output;
mod plan;
mod proposer;
mod record;
mod region;
mod timing;
mod value;

pub use acceptor::Acceptor;
pub use action::{Acks, Action, Closed, Gate, Role, Term, View};
pub use ballot::Ballot;
pub use bug::{Bug, Bugs};
pub use change::{Change, Inapplicable};
pub use error::Error;
pub use event::{Event, Now, Outcome, Peer, PeerKind, Query, Request, RequestId, Token};
pub use lease::Leaseholder;
pub use member::{Config, Member};
pub use message::{
    Accept, Accepted, Answer, Ask, Envelope, Grant, Message, Nonce, Prepare, Promise, Refusal,
    Refused, Renew, Seen, TailAnswer, TailAsk, Taking, Told, Wire,
};
pub use output::{Output, Sender};
pub use plan::{PromotionPlan, ReturnPlan, SwitchoverPlan};
pub use proposer::{Failure, Goal, Proposer, Verdict};
pub use record::{MemberRecord, Record, RecordKey, RegisterRecord, Stored};
pub use timing::{Timing, grantor_span, holder_span, margin};
pub use value::{
    Acceptors, ComputeRouting, Holder, Mode, Policies, Reign, Rejoin, Release, SecondaryState,
    Start, Value, Version,
};
