//! What can go wrong between two logs.

use base::ErrorKind;

/// Why something received or read is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] store::log::Error),
    /// The bytes received are not a parcel of this version, or its frames are not a piece of a log.
    #[error("not a parcel: {0}")]
    Parcel(&'static str),
    /// The bytes are not a quarantine record of this version.
    #[error("not a quarantine record: {0}")]
    Record(&'static str),
    /// A plan does not fit the log.
    #[error("the return does not fit the log: {0}")]
    Plan(&'static str),
}

impl Error {
    /// The public kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Log(error) => error.kind(),
            Self::Parcel(_) | Self::Plan(_) => ErrorKind::Invalid,
            Self::Record(_) => ErrorKind::Corrupt,
        }
    }
}
