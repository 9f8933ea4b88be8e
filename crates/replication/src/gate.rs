//! What the service asks before, during and after its work: may this region act, may this
//! position be acknowledged, and is that still so at the last moment.

use base::{BootId, Epoch, ErrorKind, MemberId, Seq, Span};

/// The term a request began in. It is over when the epoch, the boot or the lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// This region's member id.
    pub member: MemberId,
    /// This process lifetime.
    pub boot: BootId,
    /// The epoch in which this region is primary.
    pub epoch: Epoch,
}

/// How far a position is known to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In this region's log, fsynced.
    Local,
    /// In both regions' logs, fsynced.
    Replicated,
}

impl Durability {
    /// The text of `X-Firebreak-Durability`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Replicated => "replicated",
        }
    }
}

/// Why this region does not act now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another member is primary, or none is.
    #[error("this region is not the primary of the account, which is at epoch {epoch} or later")]
    NotPrimary {
        /// The highest epoch it knows.
        epoch: Epoch,
    },
    /// Primary by the register, but without a majority of grants just now.
    #[error("this region holds no lease for the account now, try again in {retry}")]
    NoLease {
        /// When to ask again.
        retry: Span,
    },
    /// The bound on lag, or a mode that needs the other copy, forbids an acknowledgement now.
    #[error("the other region does not keep up, and the mode forbids more, try again in {retry}")]
    Stalled {
        /// When to ask again.
        retry: Span,
    },
    /// The account is starting, opening an epoch, or draining for a switchover or a stop.
    #[error("the account is changing hands or starting, try again in {retry}")]
    Changing {
        /// When to ask again.
        retry: Span,
    },
    /// The term a request began in is over: what it did may or may not stand.
    #[error("the term the request began in is over, now at epoch {epoch} or later")]
    TermOver {
        /// The highest epoch it knows.
        epoch: Epoch,
    },
}

impl Refusal {
    /// What a client is told.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::NotPrimary { epoch } => ErrorKind::Misdirected { epoch },
            Self::TermOver { epoch } => ErrorKind::Fenced { epoch },
            Self::NoLease { retry } | Self::Stalled { retry } | Self::Changing { retry } => {
                ErrorKind::Unavailable { retry }
            }
        }
    }
}

/// Called once, from any thread; it must not block.
pub type Acknowledged = Box<dyn FnOnce(Result<Durability, Refusal>) + Send>;

/// The account's gate in this region. All its methods return at once.
pub trait Gate: Send + Sync {
    /// Before the commit queue: is this region primary, and in which term?
    fn admit(&self) -> Result<Term, Refusal>;

    /// Calls `done` when the position may be acknowledged under the mode, or never will be in
    /// this term. Called inline when that is known already.
    fn acknowledgeable(&self, seq: Seq, done: Acknowledged);

    /// The answer of [`Gate::acknowledgeable`] if it needs no waiting, without an allocation: the
    /// path of reads.
    fn acknowledgeable_now(&self, seq: Seq) -> Option<Durability>;

    /// Calls `done` when the position is durable in both regions, or with [`Durability::Local`]
    /// once `wait` is over, at once where there is no secondary (`Prefer: durability=replicated`).
    fn replicated(&self, seq: Seq, wait: Span, done: Acknowledged);

    /// After the work, before the first byte of the answer: lease, mode and lag in one step
    /// (PROTOCOL.md L3).
    fn check_last(&self, term: &Term) -> Result<(), Refusal>;

    /// How far this region is behind the primary, as far as it knows, when it is the account's
    /// secondary and in sync; `None` when it is not.
    fn secondary_lag(&self) -> Option<Span> {
        None
    }

    /// How far the secondary is behind, when this region is primary and waits for it: the age of
    /// the oldest commit not known durable there; `None` when it does not.
    fn primary_lag(&self) -> Option<Span> {
        None
    }
}
