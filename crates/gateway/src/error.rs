//! What can go wrong in the gateway itself.

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates or the data directory.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The public address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
}
