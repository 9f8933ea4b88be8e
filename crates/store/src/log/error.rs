//! What can go wrong with a log.

use base::{Epoch, ErrorKind, Position, Seq, Span};
use std::io;

/// Why an operation on a log failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused; nothing was changed, or (at opening) nothing can be said.
    #[error("{what} of log file '{file}' failed: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file, relative to the data directory.
        file: String,
        /// What the disk said.
        source: io::Error,
    },
    /// No room for another segment; the log is unchanged and can be read.
    #[error("the disk is full: no room for a log segment of {bytes} bytes")]
    Full {
        /// The size of a segment.
        bytes: u64,
    },
    /// A write or an fsync failed, so nothing is known about the end of the log: the process must
    /// stop, and the next start finds out.
    #[error("an earlier write or fsync of the log failed: the process must stop")]
    Poisoned,
    /// Damage before a position known durable: never cut, to be repaired from the secondary.
    #[error("log file '{file}' is damaged at byte {at}, after commit {after}: {what}")]
    Corrupt {
        /// The file, relative to the data directory.
        file: String,
        /// Where in it.
        at: u64,
        /// The last commit before the damage that is whole.
        after: Seq,
        /// What does not hold.
        what: &'static str,
    },
    /// The folder was written by another version of the format.
    #[error("log folder '{dir}' has format '{found}', this program reads '{expected}'")]
    Format {
        /// The folder.
        dir: String,
        /// Its format, cut to 32 characters.
        found: String,
        /// Ours.
        expected: &'static str,
    },
    /// There is no log in the folder.
    #[error("there is no log in folder '{dir}'")]
    Missing {
        /// The folder.
        dir: String,
    },
    /// There is a log in the folder already.
    #[error("there is a log in folder '{dir}' already")]
    Exists {
        /// The folder.
        dir: String,
    },
    /// A group of commits is larger than a segment holds.
    #[error("a group of commits has {bytes} bytes in the log, the limit is {limit}")]
    TooLarge {
        /// Its bytes, with frame headers.
        bytes: u64,
        /// [`crate::log::Log::group_bytes_max`].
        limit: u64,
    },
    /// A frame of an epoch below that of the log's end.
    #[error("a frame of epoch {epoch} follows none of epoch {end}")]
    EpochBack {
        /// The frame's epoch.
        epoch: Epoch,
        /// The log's.
        end: Epoch,
    },
    /// The position is not in this log: another branch, or beyond its durable end.
    #[error("position {0} is not in this log")]
    NotHere(Position),
    /// The export does not hold the tail that is to be cut.
    #[error("the export covers commits {exported_from} to {exported_end}, not {from} to {end}")]
    NotExported {
        /// The export begins after this commit.
        exported_from: Seq,
        /// Where it ends.
        exported_end: Seq,
        /// The cut would be after this commit.
        from: Seq,
        /// The log's end.
        end: Seq,
    },
    /// Bytes said to be frames or an export are not.
    #[error("not a valid {what}: {why}")]
    Undecodable {
        /// What they should be.
        what: &'static str,
        /// What does not hold.
        why: &'static str,
    },
}

impl Error {
    /// The public kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt { .. } | Self::Undecodable { .. } => ErrorKind::Corrupt,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Full { .. } | Self::Io { .. } | Self::Poisoned => {
                ErrorKind::Unavailable { retry: Span::from_secs(5) }
            }
            Self::NotHere(_) => ErrorKind::PreconditionFailed,
            Self::Format { .. } | Self::Missing { .. } | Self::Exists { .. } => ErrorKind::Invalid,
            Self::EpochBack { .. } | Self::NotExported { .. } => ErrorKind::Bug,
        }
    }

    pub(super) fn io(what: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { what, file: file.to_owned(), source }
    }
}
