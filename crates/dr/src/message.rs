//! What members say to each other. Encode [`Wire`], not [`Envelope`]: it carries the version.

use crate::{Ballot, Holder, Reign, Release, Value};
use base::{AccountName, BootId, BootTime, Counter, MemberId, Position, Span, Stamp};
use serde::{Deserialize, Serialize};

/// A versioned envelope, as it goes over the wire.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Wire {
    /// The first version.
    V1(Envelope),
}

/// Who sends what to whom. The driver must have authenticated `from`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: MemberId,
    /// Its process lifetime (E5).
    pub boot: BootId,
    /// Its durable start counter (L10).
    pub starts: Counter,
    /// Its durable change counter (L10).
    pub changes: Counter,
    /// The receiver.
    pub to: MemberId,
    /// For an answer: the process lifetime that asked (E5).
    pub to_boot: Option<BootId>,
    /// What is said.
    pub message: Message,
}

/// A statement between members.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Phase 1 of the register.
    Prepare(Prepare),
    /// The acceptor promises; durable before it is sent.
    Promise(Promise),
    /// Phase 2 of the register.
    Accept(Accept),
    /// The acceptor accepted; durable before it is sent.
    Accepted(Accepted),
    /// The acceptor refuses either phase.
    Refused(Refused),
    /// A question about registers and grants, without a ballot (P1, R7).
    Ask(Ask),
    /// Its answer.
    Answer(Answer),
    /// A region wants its lease renewed (L1).
    Renew(Renew),
    /// The acceptor's answer.
    Grant(Grant),
    /// This value is chosen. Teaches followers; never lets a region act (L2).
    Chosen {
        /// The account.
        account: AccountName,
        /// The value.
        value: Value,
    },
    /// How does your log stand to this position of mine? (E1, Q1)
    TailAsk(TailAsk),
    /// Its answer.
    TailAnswer(TailAnswer),
    /// The signer's release, for the next primary (S1).
    Released {
        /// The account.
        account: AccountName,
        /// The marker.
        release: Release,
    },
    /// A register for a new acceptor to copy before it is proposed as a member (R5).
    Copy {
        /// The account.
        account: AccountName,
        /// The ballot it was accepted under.
        ballot: Ballot,
        /// The value.
        value: Value,
    },
    /// The new acceptor holds a copy.
    Copied {
        /// The account.
        account: AccountName,
        /// How long until it may be proposed as a member (R5); zero: now.
        settled_in: Span,
    },
}

/// What a change means to take from whom, so that an acceptor can refuse early (L4).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Taking {
    /// The primary to be.
    pub primary: MemberId,
    /// The new epoch.
    pub reign: Reign,
    /// The release that exempts it.
    pub release: Option<Release>,
}

/// Phase 1.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Prepare {
    /// The account.
    pub account: AccountName,
    /// The ballot.
    pub ballot: Ballot,
    /// Set when the change means to name another primary.
    pub taking: Option<Taking>,
}

/// A promise.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// The account.
    pub account: AccountName,
    /// The ballot promised.
    pub ballot: Ballot,
    /// The newest value accepted, with its ballot.
    pub accepted: Option<(Ballot, Value)>,
    /// The highest stamp this acceptor let a primary use (L9).
    pub ceiling: Stamp,
}

/// Phase 2.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The account.
    pub account: AccountName,
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: Value,
}

/// An acceptance.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The account.
    pub account: AccountName,
    /// The ballot.
    pub ballot: Ballot,
    /// The highest stamp this acceptor let a primary use, when it began to write the value: from
    /// then on it lets none use a higher one in an epoch that the value ends (L9).
    pub ceiling: Stamp,
}

/// A refusal of either phase.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// The account.
    pub account: AccountName,
    /// The ballot refused.
    pub ballot: Ballot,
    /// Why.
    pub why: Refusal,
}

/// Why an acceptor refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// It promised a higher ballot.
    Promised(Ballot),
    /// `lease`: the region that its own value names may have a grant for this much longer (L4).
    Lease {
        /// Time left.
        left: Span,
    },
    /// It does not vote on this account.
    NotMember,
}

/// A question without a ballot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// To match the answer.
    pub number: u64,
    /// The accounts; empty: all.
    pub accounts: Vec<AccountName>,
}

/// What an acceptor holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// From the question.
    pub number: u64,
    /// The accounts of the question.
    pub accounts: Vec<AccountName>,
    /// What it holds of them; an account that is missing here has no register.
    pub seen: Vec<Seen>,
}

/// One register at one acceptor.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The account.
    pub account: AccountName,
    /// Newest durable value and its ballot.
    pub accepted: Option<(Ballot, Value)>,
    /// How long the region that the value names may still have a grant; `None`: it has none.
    pub granted_for: Option<Span>,
}

/// Proof that an answer of an acceptor reached the holder: when it was given, in that acceptor's
/// process lifetime and on its clock (L7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Nonce {
    /// The acceptor's process lifetime.
    pub boot: BootId,
    /// When it answered.
    pub at: BootTime,
}

/// A renewal.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Renew {
    /// To match the grant.
    pub number: u64,
    /// The nonce of that acceptor's latest answer (L7).
    pub nonce: Option<Nonce>,
    /// L.
    pub lease: Span,
    /// The acceptor's boot and the durable change counter last received (L6).
    pub since: Option<(BootId, Counter)>,
    /// The accounts where this region knows a chosen value that names it (L1).
    pub accounts: Vec<AccountName>,
    /// The ceiling it wants (L9).
    pub ceiling: Stamp,
}

/// What an acceptor tells of one account in a grant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The account.
    pub account: AccountName,
    /// The epoch it holds, and whose; `None` while durable value and value being written
    /// differ in it, or it does not vote on the account (L1).
    pub holds: Option<(Reign, Holder)>,
}

/// An answer to a renewal.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// From the renewal.
    pub number: u64,
    /// For the next renewal (L7).
    pub nonce: Nonce,
    /// Whether it extends the lease; without, it only gives the nonce (L7).
    pub granted: bool,
    /// L, from the renewal.
    pub lease: Span,
    /// The accounts it covers as far as `told` agrees: those of the renewal.
    pub accounts: Vec<AccountName>,
    /// The durable change counter that `told` begins after; zero: everything (L6).
    pub since: Counter,
    /// The durable change counter that `told` reaches.
    pub until: Counter,
    /// Every change in between, and everything being written.
    pub told: Vec<Told>,
    /// Stamps must stay below this (L9).
    pub ceiling: Stamp,
}

/// A question to the other region's log.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TailAsk {
    /// To match the answer.
    pub number: u64,
    /// The account.
    pub account: AccountName,
    /// A position of the asker's log.
    pub position: Position,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TailAnswer {
    /// From the question.
    pub number: u64,
    /// The account.
    pub account: AccountName,
    /// The position asked about.
    pub position: Position,
    /// Whether the log holds it (same seq, same hash).
    pub holds: bool,
    /// The log's durable end.
    pub end: Position,
}
