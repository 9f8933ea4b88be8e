//! What the machine asks of its driver.

use crate::{Envelope, Holder, Outcome, Query, Record, RequestId, ReturnPlan, Token, Value};
use base::{AccountName, BootId, BootTime, Epoch, Fork, MemberId, Position, Seq, Span, Stamp};

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message. May be lost, delayed or doubled, also when addressed to this member itself
    /// (the machine keeps those inside and never asks for it).
    Send(Envelope),
    /// Write this record and fsync it, after all asked for before; then say
    /// [`crate::Event::Persisted`]. On an error of the disk the process stops.
    Persist {
        /// To match the event.
        token: Token,
        /// What to keep: it replaces the record of the same [`Record::key`].
        record: Record,
    },
    /// Step with [`crate::Event::Tick`] at this time, or a little later. Replaces the one before.
    SetTimer {
        /// When.
        at: BootTime,
    },
    /// From now on the gate of the account works by this. Applied before the next action.
    SetGate {
        /// The account.
        account: AccountName,
        /// What the gate says.
        gate: Gate,
    },
    /// From now on this is the region's part for the account.
    SetRole {
        /// The account.
        account: AccountName,
        /// Which part.
        role: Role,
    },
    /// Find the commit `seq` (zero: the empty log) and the log's durable end; answer with
    /// [`crate::Event::LookedUp`].
    LookUp {
        /// The account.
        account: AccountName,
        /// To match the event.
        query: Query,
        /// Which commit.
        seq: Seq,
    },
    /// Refuse every batch of this epoch and below from now on, wait for those being written, and
    /// answer with [`crate::Event::AppendsStopped`]. Holds until a role is set that appends.
    StopAppends {
        /// The account.
        account: AccountName,
        /// To match the event.
        query: Query,
        /// The last epoch refused.
        epoch: Epoch,
    },
    /// Fetch what follows the own end from that member's log, up to `to`, append it, and answer
    /// with [`crate::Event::TailFetched`], at the latest when the member is silent for 3 s.
    FetchTail {
        /// The account.
        account: AccountName,
        /// To match the event.
        query: Query,
        /// Whose log.
        from: MemberId,
        /// Its end.
        to: Position,
    },
    /// Open an epoch: check that the log ends exactly at `at` (else
    /// [`crate::Event::NotOpened`]), apply to the end, set the clock of stamps above `above`, append
    /// the opening commit, and when it is durable and visible answer with
    /// [`crate::Event::Opened`].
    OpenEpoch {
        /// The account.
        account: AccountName,
        /// The epoch.
        epoch: Epoch,
        /// Its fork.
        fork: Fork,
        /// Its recorded start (E2).
        at: Position,
        /// All stamps of the epoch are above this (L9).
        above: Stamp,
    },
    /// Admit nothing, finish what is in flight, and answer with [`crate::Event::Drained`]. Over
    /// with the next gate that admits.
    Drain {
        /// The account.
        account: AccountName,
        /// The epoch that is drained.
        epoch: Epoch,
    },
    /// Export what follows `keep`, durably, then cut it, then answer with
    /// [`crate::Event::Returned`] (Q3). What was in flight is answered `unknown` (Q2).
    Return(ReturnPlan),
    /// Write this into the diary. Given once when it changes.
    Diary {
        /// The account; `None`: the member.
        account: Option<AccountName>,
        /// One sentence.
        sentence: String,
    },
    /// The answer to an operator's request.
    Reply {
        /// From the event.
        request: RequestId,
        /// What it came to.
        outcome: Outcome,
    },
}

/// What an account's gate says. There is no other source of permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Admit nothing, answer nothing.
    Closed {
        /// The highest epoch known.
        epoch: Epoch,
        /// Why.
        why: Closed,
    },
    /// Act in this term.
    Open(Term),
}

/// Why a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Another region is primary, or none is.
    NotPrimary,
    /// Primary by the register, but without covering grants from a majority.
    NoLease,
    /// Starting, opening, draining, or handed over.
    Changing,
    /// The log is not what the register says: a human must look.
    Stopped,
}

/// A term with its lease. The check comes last: after the work, before the first byte of an
/// answer, `now < valid_until`, the epoch, the boot and `acks`, in one step (L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The epoch.
    pub epoch: Epoch,
    /// The fork of new versions.
    pub fork: Fork,
    /// This process lifetime.
    pub boot: BootId,
    /// The end of the lease on the boot-time clock; nothing is answered at or after it.
    pub valid_until: BootTime,
    /// What may be acknowledged.
    pub acks: Acks,
    /// Stamps stay below this (L9).
    pub ceiling: Stamp,
    /// Whether new work is admitted: not while draining.
    pub admits: bool,
}

/// What may be acknowledged. Answers to reads and refusals wait as well (M4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nothing yet: the secondary has not acknowledged the opening commit (E2).
    Nothing,
    /// What is durable here, while the oldest commit not known durable in the secondary waits no
    /// longer than this (M1).
    Bounded {
        /// The bound.
        max_lag: Span,
    },
    /// What is durable here: `lagging`, `seeding` or `none` stands chosen.
    Local,
}

/// A region's part for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The register has not been read since the start, or is being changed.
    Starting,
    /// Primary of this epoch: ship to `secondary`, if there is one. Acts only as the gate says.
    Primary {
        /// The epoch.
        epoch: Epoch,
        /// Who follows.
        secondary: Option<MemberId>,
    },
    /// Follows: append only batches of exactly this epoch, only to exactly the own end, while
    /// `appends`.
    Secondary {
        /// The epoch.
        epoch: Epoch,
        /// Its primary.
        primary: Holder,
        /// Whether batches may be appended: not while sealed or before the tails were compared.
        appends: bool,
    },
    /// Neither primary nor secondary of the account.
    Bystander,
    /// The log is not what the register says, or disagrees with the primary's beyond repair here:
    /// nothing is served or appended.
    Stopped {
        /// Why.
        why: &'static str,
    },
}

/// What this member knows of an account, for status pages, probes and routing. Never a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The account.
    pub account: AccountName,
    /// The newest value known chosen.
    pub value: Option<Value>,
    /// This region's part.
    pub role: Role,
    /// What its gate says.
    pub gate: Gate,
    /// Whose compute should serve clients now (home routing). Only the primary's word counts.
    pub compute: Option<MemberId>,
    /// The latest sentence of the diary.
    pub sentence: String,
}
