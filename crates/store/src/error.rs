//! What can go wrong with a store.

use base::{Epoch, ErrorKind, Position, Span, VersionId};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `If-Match` names another version than the current one.
    #[error("the current version is {}, not {expected}", found.map_or_else(|| "none".to_owned(), |v| v.to_string()))]
    VersionMismatch {
        /// Which of the write's changes.
        index: usize,
        /// What the request asked for.
        expected: VersionId,
        /// What is there; `None` when absent or deleted.
        found: Option<VersionId>,
    },
    /// `If-None-Match: *` met a resource.
    #[error("the resource exists already, in version {found}")]
    Exists {
        /// Which of the write's changes.
        index: usize,
        /// Its version.
        found: VersionId,
    },
    /// What a condition was resolved to is no longer so: prepare again.
    #[error("condition {index} of the write matches something else by now")]
    ConditionChanged {
        /// Which of the write's conditions.
        index: usize,
    },
    /// The key came with another request before.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// One write names a resource twice.
    #[error("change {index} of the write names a resource that an earlier change of it names")]
    NamedTwice {
        /// Which of the write's changes.
        index: usize,
    },
    /// More changes than one commit holds.
    #[error("the write has {changes} changes, a commit holds at most {limit}")]
    TooManyChanges {
        /// How many it has.
        changes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More bytes than one frame holds.
    #[error("the commit has {bytes} bytes, a frame holds at most {limit}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Too much is in flight.
    #[error("the commit queue is full at {limit} commits, try again in {retry}")]
    Busy {
        /// The queue's length.
        limit: usize,
        /// When to ask again.
        retry: Span,
    },
    /// No term is set: this region does not write now.
    #[error("this store has no term to write in")]
    NoTerm,
    /// The next stamp would be at or above the lease's ceiling.
    #[error("the lease allows no later stamp now, try again in {retry}")]
    StampCeiling {
        /// When to ask again.
        retry: Span,
    },
    /// The write was sequenced in a term that ended before it was durable.
    #[error("the term ended before the write was durable, now at epoch {epoch} or later")]
    TermOver {
        /// The highest epoch known.
        epoch: Epoch,
    },
    /// There is no room on the disk: what was accepted stands, nothing more is taken.
    #[error("the disk is full: no write is taken, try again in {retry}")]
    DiskFull {
        /// When to ask again.
        retry: Span,
    },
    /// The index is being made anew from the log.
    #[error("the index is being rebuilt from the log, try again in {retry}")]
    Rebuilding {
        /// When to ask again.
        retry: Span,
    },
    /// The index did not reach the position in time.
    #[error("the index is behind by {behind} commits, try again in {retry}")]
    Behind {
        /// How many commits are still to be applied.
        behind: u64,
        /// When to ask again.
        retry: Span,
    },
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
    /// Not a cursor of this list.
    #[error("the page link is not one of this list")]
    Cursor,
    /// Stored bytes are not what was written.
    #[error("stored bytes are damaged: {what}")]
    Corrupt {
        /// What does not hold.
        what: &'static str,
    },
    /// Frames that do not follow the log's end (PROTOCOL.md E3).
    #[error("the frames do not follow the end of the log at {end}")]
    NotNext {
        /// Where the log ends.
        end: Position,
    },
    /// Frames from elsewhere, and a rewind, need a log that is not being written here.
    #[error("the account writes its own commits now, it does not follow")]
    NotFollowing,
    /// The log failed.
    #[error(transparent)]
    Log(#[from] crate::log::Error),
    /// A payload of the log is no commit, or too large for one.
    #[error(transparent)]
    Commit(#[from] crate::CommitError),
    /// The index engine failed, or contradicts itself or the log: it is to be made anew.
    #[error("the index engine failed: {0}")]
    Index(String),
    /// There was no room to write the index. It is whole, and goes on when there is.
    #[error("the disk is full: the index cannot be written")]
    IndexFull,
}

impl Error {
    /// Whether it is over when there is room on the disk.
    pub(crate) const fn is_disk_full(&self) -> bool {
        matches!(
            self,
            Self::DiskFull { .. } | Self::IndexFull | Self::Log(crate::log::Error::Full { .. })
        )
    }

    /// What a client is told.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::VersionMismatch { .. } | Self::Exists { .. } => ErrorKind::PreconditionFailed,
            Self::ConditionChanged { .. } => ErrorKind::Conflict,
            Self::KeyReused => ErrorKind::Unprocessable,
            Self::NamedTwice { .. } | Self::Cursor => ErrorKind::Invalid,
            Self::TooManyChanges { .. } | Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Busy { retry, .. }
            | Self::DiskFull { retry }
            | Self::StampCeiling { retry }
            | Self::Rebuilding { retry }
            | Self::Behind { retry, .. } => ErrorKind::Unavailable { retry: *retry },
            Self::NoTerm | Self::Stopped | Self::IndexFull => {
                ErrorKind::Unavailable { retry: Span::from_secs(1) }
            }
            Self::TermOver { epoch } => ErrorKind::Fenced { epoch: *epoch },
            Self::Log(error) => error.kind(),
            Self::Corrupt { .. } | Self::Commit(_) => ErrorKind::Corrupt,
            Self::NotNext { .. } => ErrorKind::Conflict,
            Self::NotFollowing | Self::Index(_) => ErrorKind::Bug,
        }
    }
}
