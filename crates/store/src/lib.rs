//! One account's store: the log of its commits, and an index over them that can be made anew from
//! the log at any time.
//!
//! Depends on `search` and what is below it. Knows nothing of HTTP, sockets, leases or who is
//! primary: a term to write in is handed in. Clock and randomness are handed in too.

mod error;

mod api;

pub mod disk;
pub mod log;

mod commit;
mod digest;

mod index;

mod core;

mod account;

pub mod conformance;

#[cfg(test)]
mod tests;

pub use account::Account;
pub use api::{
    AccountStore, Action, Applied, ChangeRequest, Committed, Condition, Cursor, DIGEST_SHARDS,
    Digest, Doc, Done, Effect, Guard, HistoryQuery, HistoryScope, Idempotency, Outcome, Page,
    Prepared, Refused, Resolved, Status, Term, Version, Write,
};
pub use commit::{
    Change, Commit, CommitError, CommitHead, CommitKind, DICTIONARY_ID, KeptCondition, KeptGuard,
    PAYLOAD_BYTES_MAX, compress, decompress,
};
pub use core::{Core, OnProgress, Place, Rewound, Settings, Watcher};
pub use error::Error;
pub use index::Engine;
