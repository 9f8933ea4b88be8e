//! What a member keeps on disk. Encode [`Stored`], not [`Record`]: it carries the version.

use crate::{Ballot, Reign, Value};
use base::{AccountName, Attempt, Counter, Span, Stamp};
use serde::{Deserialize, Serialize};

/// A versioned record, as it is kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Stored {
    /// The first version.
    V1(Record),
}

/// What a record is about: a newer record of the same key replaces the older.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RecordKey {
    /// The member.
    Member,
    /// One account's register at this acceptor.
    Register(AccountName),
    /// One account's seal in this region.
    Seal(AccountName),
}

/// A fact that must outlive the process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Record {
    /// The member's own counters.
    Member(MemberRecord),
    /// One account's register.
    Register {
        /// The account.
        account: AccountName,
        /// Promise and value.
        register: RegisterRecord,
    },
    /// The seal of a secondary (P2). Voided by the register alone, so it is never removed, only
    /// replaced.
    Seal {
        /// The account.
        account: AccountName,
        /// The epoch sealed.
        reign: Reign,
        /// The attempt sealed under.
        attempt: Attempt,
    },
}

/// A member's own counters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct MemberRecord {
    /// How often it was started (L10).
    pub starts: Counter,
    /// The largest lease granted lately; `None`: unknown, taken as that of `calm` (L5).
    pub longest_lease: Option<Span>,
    /// The highest stamp it let a primary use (L9).
    pub ceiling: Stamp,
}

/// What an acceptor holds of one account.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct RegisterRecord {
    /// The highest ballot promised.
    pub promised: Ballot,
    /// The newest value accepted.
    pub accepted: Option<(Ballot, Value)>,
    /// The member's change counter at the last acceptance (L6).
    pub changes: Counter,
}

impl Record {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Member(_) => RecordKey::Member,
            Self::Register { account, .. } => RecordKey::Register(account.clone()),
            Self::Seal { account, .. } => RecordKey::Seal(account.clone()),
        }
    }
}
