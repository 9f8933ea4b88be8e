//! Why a request of an operator is refused.

use crate::SecondaryState;
use base::{AccountName, Epoch, ErrorKind, MemberId, Span};

/// A refusal; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Part of the protocol, but not built yet.
    #[error("{what} is not offered by this version")]
    NotOffered {
        /// What was asked for.
        what: &'static str,
    },
    /// No such account here.
    #[error("account {account} is not known to this member")]
    UnknownAccount {
        /// The account.
        account: AccountName,
    },
    /// `create` found a register of that name (R7).
    #[error("account {account} exists already")]
    Exists {
        /// The account.
        account: AccountName,
    },
    /// Only the primary can do it.
    #[error("this region is not the open primary of the account, which is at epoch {epoch}")]
    NotPrimary {
        /// The highest epoch known here.
        epoch: Epoch,
    },
    /// The plan names another epoch than the present one.
    #[error("the request replaces epoch {asked}, but the account is at epoch {epoch}")]
    OtherEpoch {
        /// What the request named.
        asked: Epoch,
        /// What is.
        epoch: Epoch,
    },
    /// A switchover needs a secondary that is in sync (S1).
    #[error("the secondary is {state:?}, a switchover needs it in sync")]
    NotInSync {
        /// What it is.
        state: SecondaryState,
    },
    /// The named member is not the account's secondary.
    #[error("member {member} is not the account's secondary")]
    NotSecondary {
        /// The member.
        member: MemberId,
    },
    /// Another change of this account is under way here.
    #[error("{what} is under way")]
    Busy {
        /// Which.
        what: &'static str,
    },
    /// Not everybody whose word is needed answered in time.
    #[error("no answer from enough members within {within}")]
    NoQuorum {
        /// The limit.
        within: Span,
    },
    /// A plan was given up before anything was signed: nothing has changed.
    #[error("given up: {why}")]
    GivenUp {
        /// Why.
        why: &'static str,
    },
}

impl Error {
    /// The public kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotOffered { .. } => ErrorKind::Unsupported,
            Self::UnknownAccount { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::Busy { .. } | Self::NotInSync { .. } => ErrorKind::Conflict,
            Self::OtherEpoch { .. } => ErrorKind::PreconditionFailed,
            Self::NotSecondary { .. } => ErrorKind::Invalid,
            Self::NotPrimary { epoch } => ErrorKind::Fenced { epoch: *epoch },
            Self::NoQuorum { within } => ErrorKind::Unavailable { retry: *within },
            Self::GivenUp { .. } => ErrorKind::Unavailable { retry: Span::from_secs(1) },
        }
    }
}
