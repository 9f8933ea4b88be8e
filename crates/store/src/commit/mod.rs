//! A commit: an atomic set of resource versions with the preconditions it was made under. The
//! unit of logging, replication and quarantine.

mod body;
mod codec;

pub use body::{DICTIONARY_ID, compress, decompress};
pub use codec::{CommitError, PAYLOAD_BYTES_MAX};

use crate::{Effect, Idempotency};
use base::{BootId, Fork, MemberId, ResourceId, Stamp, VersionId};
use bytes::Bytes;
use fhir::TypeId;
use serde::{Deserialize, Serialize};

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommitKind {
    /// Resource versions that a client asked for.
    Write,
    /// The first of an epoch; changes nothing (PROTOCOL.md E2).
    Opening,
    /// Commits that a former primary held and this history does not; the record holds them whole.
    Quarantine,
    /// Settings of the account; the record holds them.
    Settings,
}

impl CommitKind {
    /// The kind of a commit, from its payload and without the rest; `None` for what is no commit.
    #[must_use]
    pub fn of_payload(payload: &[u8]) -> Option<Self> {
        codec::kind(payload)
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What is with it beside bodies and record.
    pub head: CommitHead,
    /// The changes, each with its compressed body.
    pub changes: Vec<Change>,
    /// Of a kind other than `Write`: what it records, opaque here.
    pub record: Bytes,
}

/// A commit without its changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitHead {
    /// What it is for.
    pub kind: CommitKind,
    /// `lastUpdated` of all its versions; never below that of an earlier commit.
    pub stamp: Stamp,
    /// The account's fork.
    pub fork: Fork,
    /// The member and process lifetime that made it.
    pub origin: (MemberId, BootId),
    /// Who asked.
    pub principal: Option<String>,
    /// Recognises a repeat.
    pub idempotency: Option<Idempotency>,
    /// What conditions it was made under.
    pub conditions: Vec<KeptCondition>,
    /// `If-Match` and `If-None-Match` of its changes, by place.
    pub guards: Vec<(u32, KeptGuard)>,
}

/// A condition as a commit keeps it, to be evaluated again when the commit was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCondition {
    /// The query as the client wrote it.
    pub query: String,
    /// What type it searched.
    pub type_id: TypeId,
    /// What it found.
    pub expected: Vec<ResourceId>,
}

/// A guard as a commit keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeptGuard {
    /// The version before was this one.
    Match(VersionId),
    /// There was none.
    Absent,
}

/// One resource version, or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The resource's type.
    pub type_id: TypeId,
    /// Its logical id.
    pub id: ResourceId,
    /// The version made.
    pub version: VersionId,
    /// Created, updated or deleted; `Unchanged` for a deletion that found nothing, kept so that
    /// a repeat gets the same answer.
    pub effect: Effect,
    /// The compressed body ([`compress`]); `None` without one.
    pub body: Option<Bytes>,
}

impl Commit {
    /// Where each body is in a payload of so many bytes: from where, how many.
    #[must_use]
    pub fn places(&self, payload_bytes: usize) -> Vec<Option<(usize, usize)>> {
        let body_bytes = |change: &Change| change.body.as_ref().map_or(0, Bytes::len);
        let bodies: usize = self.changes.iter().map(body_bytes).sum();
        let mut at = payload_bytes.saturating_sub(self.record.len() + bodies);
        let place = |change: &Change| {
            let start = at;
            at += body_bytes(change);
            change.body.as_ref().map(|body| (start, body.len()))
        };
        self.changes.iter().map(place).collect()
    }

    /// Makes the log's payload.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`].
    pub fn encode(&self) -> Result<Bytes, CommitError> {
        codec::encode(self)
    }

    /// Reads a log payload. Bodies are slices of it.
    ///
    /// # Errors
    /// [`CommitError::Undecodable`] for anything that [`Commit::encode`] does not make.
    pub fn decode(payload: &Bytes) -> Result<Self, CommitError> {
        codec::decode(payload)
    }
}
