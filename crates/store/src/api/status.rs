//! Where an account stands, and in whose term it writes.

use base::{BootId, Epoch, Fork, MemberId, Position, Stamp};

/// The right to write, and what every commit under it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// This primary's epoch.
    pub epoch: Epoch,
    /// Shows in version ids once above zero.
    pub fork: Fork,
    /// Whose commits these are (DESIGN 4.4).
    pub origin: (MemberId, BootId),
    /// Every stamp is above this.
    pub stamp_floor: Stamp,
    /// And below this (PROTOCOL L9). Raised as the lease is renewed.
    pub stamp_ceiling: Stamp,
}

/// Where an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last commit in the log, synced or not.
    pub end: Position,
    /// The last commit known durable here.
    pub durable: Position,
    /// The last commit in the index.
    pub applied: Position,
    /// The term it writes in, if any.
    pub term: Option<Term>,
    /// Resources that are not deleted, of all types.
    pub resources: u64,
    /// Commits sequenced and not yet durable.
    pub in_flight: u64,
    /// There is no room on the disk: nothing new is written.
    pub disk_full: bool,
}

/// Number of shards of a [`Digest`].
pub const DIGEST_SHARDS: usize = 64;

/// A multiset hash over (type, id, versionId, body hash) of every version, deletions included:
/// equal in two copies at one position unless one of them is wrong. Not a defence against someone
/// who can choose hashes; the log's chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// What it is the digest of.
    pub position: Position,
    /// By shard of the id.
    pub shards: Box<[u128; DIGEST_SHARDS]>,
}
