//! What can go wrong around the register.

use base::{ErrorKind, Span};
use std::path::PathBuf;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written, locked or synced.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Another process works on the data directory.
    #[error("another process uses the data directory {0}")]
    Locked(PathBuf),
    /// The directory holds no member, or another kind of member.
    #[error("{path} holds no member of a cluster: run `firebreak init` or `firebreak join` first")]
    NoIdentity {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory already holds a member.
    #[error("{path} already holds member {name}: nothing was changed")]
    AlreadyMember {
        /// The data directory.
        path: PathBuf,
        /// The member it holds.
        name: String,
    },
    /// The directory is neither empty nor a member's.
    #[error("{path} is not empty and holds no member: give an empty or a new folder")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is a member's that has lost its identity.
    #[error("{path} holds a member's files without its identity.toml: nothing was changed")]
    Orphaned {
        /// The data directory.
        path: PathBuf,
    },
    /// A file of a member is not there.
    #[error("{path} is missing: the folder is not whole")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// A file of a member is not what it must be.
    #[error("{path} is damaged: it does not read as what it must be")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The member is of another kind than the verb.
    #[error("{path} holds a {found}, not a {wanted}")]
    WrongKind {
        /// The data directory.
        path: PathBuf,
        /// The kind it holds.
        found: &'static str,
        /// The kind the verb runs.
        wanted: &'static str,
    },
    /// A file has a format of another version of the program.
    #[error("{path} has format {found}, this program reads format {known}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Durable records are damaged before their end: promises may be forgotten.
    #[error(
        "{path} is damaged at byte {offset}: this member may have forgotten promises and must be recovered under a new id"
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The reserved space for durable records is used up.
    #[error("{path} is full: {needed_bytes} bytes are needed, {limit_bytes} are reserved")]
    Full {
        /// Which file.
        path: PathBuf,
        /// What the records need.
        needed_bytes: u64,
        /// The space reserved at `init`.
        limit_bytes: u64,
    },
    /// A frame is longer than allowed, or does not parse.
    #[error("a message of {bytes} bytes breaks the form or the limit of {limit_bytes}")]
    Frame {
        /// Its length.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// TLS refused.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A peer is not who it must be.
    #[error("peer refused: {0}")]
    Peer(String),
    /// A join token is wrong, used or too old.
    #[error(
        "the join token is not valid here: it may be used already, too old, or for another member"
    )]
    Token,
    /// The other side of a join refused.
    #[error("the cluster refused: {0}")]
    Refused(String),
    /// Nothing answered in time.
    #[error("no answer from {address} within {limit}")]
    Timeout {
        /// Who was asked.
        address: String,
        /// The limit.
        limit: Span,
    },
    /// The connection failed.
    #[error("connection to {address}: {source}")]
    Connection {
        /// Who was asked.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// What a caller is told.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt { .. } | Self::Format { .. } => ErrorKind::Corrupt,
            Self::Missing { .. } | Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Token | Self::Peer(_) | Self::Refused(_) => ErrorKind::Forbidden,
            Self::Frame { .. } => ErrorKind::Invalid,
            Self::Timeout { .. } | Self::Connection { .. } => {
                ErrorKind::Unavailable { retry: Span::from_secs(1) }
            }
            _ => ErrorKind::Bug,
        }
    }

    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match (what, source.kind()) {
            ("read" | "open", std::io::ErrorKind::NotFound) => Self::Missing { path },
            _ => Self::File { what, path, source },
        }
    }
}
