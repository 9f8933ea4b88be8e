//! Changes of a register: conditions and effect on the value read in phase 1. Nothing else makes
//! values.

use crate::{
    Acceptors, Bug, Bugs, Holder, Mode, Policies, Reign, Release, SecondaryState, Start, Taking,
    Value, Version,
};
use base::{Attempt, ChangeId, Counter, Fork, Generation, MemberId, Position};
use std::collections::BTreeSet;

/// What a proposer wants to do to a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// R7: the first value.
    Create {
        /// Cluster generation.
        generation: Generation,
        /// The creator: home and primary.
        by: Holder,
        /// The other region, if there is one.
        secondary: Option<MemberId>,
        /// When a write is acknowledged.
        mode: Mode,
        /// The operator's choices.
        policies: Policies,
        /// Who votes.
        acceptors: BTreeSet<MemberId>,
    },
    /// E1, P4, S2: the primary's region begins a new epoch, after a start or an abort.
    Raise {
        /// The epoch it replaces.
        was: Reign,
        /// Who goes on.
        by: Holder,
        /// The end of its log.
        at: Position,
        /// Whether the tails could not be compared: fork + 1, and `in_sync` becomes `lagging`.
        unsure: bool,
    },
    /// P2: the secondary takes over.
    Promote {
        /// The version it is sealed under.
        parent: Version,
        /// The epoch sealed.
        sealed: Reign,
        /// The attempt sealed under.
        attempt: Attempt,
        /// Who promotes.
        by: Holder,
        /// The end of its log, measured after the seal.
        at: Position,
    },
    /// S1: the next primary takes what was released.
    Handoff {
        /// The marker; the taker's durable end equals its position and hash.
        release: Release,
        /// Who takes over.
        by: Holder,
    },
    /// R4: the primary records how the secondary stands.
    Record {
        /// The primary's epoch.
        reign: Reign,
        /// The primary.
        by: Holder,
        /// `InSync` or `Lagging`.
        state: SecondaryState,
    },
    /// P3: the secondary leaves its seal.
    Unseal {
        /// The epoch sealed.
        sealed: Reign,
        /// The attempt sealed under.
        attempt: Attempt,
        /// Who unseals.
        by: MemberId,
    },
    /// R5: name a new acceptor set beside the old, and a first secondary.
    Grow {
        /// The primary.
        by: Holder,
        /// The set to be; its members hold copies and have waited.
        acceptors: BTreeSet<MemberId>,
        /// The secondary to be.
        secondary: MemberId,
    },
    /// R5: drop the old set.
    DropOld {
        /// The primary.
        by: Holder,
    },
}

/// The value read does not meet the change's conditions: it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inapplicable;

impl Change {
    /// What the change takes, for the acceptors' early refusal (L4). `was` is what the proposer
    /// knows; only a hint, phase 2 decides.
    #[must_use]
    pub fn taking(&self) -> Option<Taking> {
        match self {
            Self::Promote { sealed, by, .. } => {
                Some(Taking { primary: by.member, reign: sealed.next(), release: None })
            }
            Self::Handoff { release, by } => Some(Taking {
                primary: by.member,
                reign: release.reign.next(),
                release: Some(*release),
            }),
            _ => None,
        }
    }

    /// The value that the change makes of the one read.
    pub fn apply(
        &self,
        read: Option<&Value>,
        id: ChangeId,
        bugs: Bugs,
    ) -> Result<Value, Inapplicable> {
        let Some(read) = read else {
            return self.create(id).ok_or(Inapplicable);
        };
        let mut value = read.clone();
        value.version = Version { counter: read.version.counter.next(), change: id };
        // L4: every change but a handoff removes the release.
        value.release = None;
        let fits = match self {
            Self::Create { .. } => false,
            Self::Raise { .. } => self.raise(read, &mut value, bugs),
            Self::Promote { .. } | Self::Handoff { .. } => self.take(read, &mut value, bugs),
            Self::Record { reign, by, state } => {
                value.secondary_state = *state;
                *reign == read.reign && *by == read.primary && read.secondary.is_some()
            }
            Self::Unseal { sealed, attempt, by } => {
                value.attempt = read.attempt.next();
                *sealed == read.reign && *attempt == read.attempt && read.secondary == Some(*by)
            }
            Self::Grow { by, acceptors, secondary } => {
                let old = std::mem::replace(&mut value.acceptors.set, acceptors.clone());
                value.acceptors.old = Some(old);
                value.secondary = Some(*secondary);
                value.secondary_state = SecondaryState::Seeding;
                *by == read.primary && read.acceptors.old.is_none() && read.secondary.is_none()
            }
            Self::DropOld { by } => {
                value.acceptors.old = None;
                *by == read.primary && read.acceptors.old.is_some()
            }
        };
        if fits { Ok(value) } else { Err(Inapplicable) }
    }

    /// R7: where nobody holds a register of that name.
    fn create(&self, id: ChangeId) -> Option<Value> {
        let Self::Create { generation, by, secondary, mode, policies, acceptors } = self else {
            return None;
        };
        let reign = Reign { generation: *generation, epoch: base::Epoch::new(1) };
        let state =
            if secondary.is_some() { SecondaryState::Seeding } else { SecondaryState::None };
        let start =
            Start { epoch: reign.epoch, primary: by.member, fork: Fork::ZERO, at: Position::ZERO };
        Some(Value {
            reign,
            version: Version { counter: Counter::new(1), change: id },
            home: by.member,
            primary: *by,
            secondary: *secondary,
            attempt: Attempt::new(1),
            fork: Fork::ZERO,
            mode: *mode,
            secondary_state: state,
            starts: vec![start],
            policies: *policies,
            acceptors: Acceptors { set: acceptors.clone(), old: None },
            release: None,
        })
    }

    /// E1: only over the epoch that the region itself had.
    fn raise(&self, read: &Value, value: &mut Value, bugs: Bugs) -> bool {
        let Self::Raise { was, by, at, unsure } = self else {
            return false;
        };
        value.primary = *by;
        if bugs.has(Bug::ContinueEpochAfterRestart) {
            return *was == read.reign && by.member == read.primary.member;
        }
        if *unsure {
            value.fork = read.fork.next();
            // E1: with a secondary that does not answer, the same change records `lagging`.
            if read.secondary_state == SecondaryState::InSync {
                value.secondary_state = SecondaryState::Lagging;
            }
        }
        // P3: every start, and every abort after signing, raises epoch and attempt.
        value.attempt = read.attempt.next();
        begin(value, read.reign.next(), *by, *at);
        *was == read.reign && by.member == read.primary.member
    }

    /// P2, S1.
    fn take(&self, read: &Value, value: &mut Value, bugs: Bugs) -> bool {
        value.secondary = Some(read.primary.member);
        match self {
            Self::Promote { parent, sealed, attempt, by, at } => {
                value.fork = read.fork.next();
                value.attempt = read.attempt.next();
                // M3: the degraded state of the mode.
                value.secondary_state = SecondaryState::Seeding;
                begin(value, read.reign.next(), *by, *at);
                // P2: the phase-1 value is what was sealed under, and still `in_sync`.
                let in_sync = read.secondary_state == SecondaryState::InSync
                    && *parent == read.version
                    || bugs.has(Bug::PromoteWhileLagging);
                in_sync
                    && *sealed == read.reign
                    && *attempt == read.attempt
                    && read.secondary == Some(by.member)
            }
            Self::Handoff { release, by } => {
                value.release = Some(*release);
                // E2: a handoff carries `secondary_state` over; S1: fork unchanged.
                begin(value, read.reign.next(), *by, release.at);
                // S1: epoch, attempt and version of phase 1 equal the marker's.
                release.signer == read.primary
                    && release.reign == read.reign
                    && release.attempt == read.attempt
                    && release.version == read.version
                    && release.next == by.member
                    && read.secondary == Some(by.member)
            }
            _ => false,
        }
    }
}

fn begin(value: &mut Value, reign: Reign, by: Holder, at: Position) {
    value.reign = reign;
    value.primary = by;
    value.starts.push(Start { epoch: reign.epoch, primary: by.member, fork: value.fork, at });
}
