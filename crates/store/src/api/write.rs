//! What a caller hands in to be written, and what it gets back.

use crate::Error;
use base::{Hash, Position, ResourceId, Seq, Stamp, VersionId};
use bytes::Bytes;
use fhir::{BodyTemplate, TypeId};
use search::{Extracted, Filter, Terms};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One HTTP interaction, or one transaction: it becomes one commit, or nothing.
#[derive(Debug, Default)]
pub struct Write {
    /// The changes, in the order in which their outcomes are given back. No resource twice.
    pub changes: Vec<ChangeRequest>,
    /// What conditional creates and conditional references were resolved to.
    pub conditions: Vec<Condition>,
    /// The key under which a repeat of the request is recognised.
    pub idempotency: Option<Idempotency>,
    /// Who asks, as the audit trail names it.
    pub principal: Option<String>,
}

/// A wish to change one resource.
#[derive(Debug)]
pub struct ChangeRequest {
    /// The resource's type.
    pub type_id: TypeId,
    /// Its logical id; a create brings a fresh one ([`ResourceId::mint`]).
    pub id: ResourceId,
    /// What is to become of it.
    pub action: Action,
    /// What must hold of it before.
    pub guard: Guard,
}

/// What is to become of a resource.
#[derive(Debug)]
pub enum Action {
    /// A new version with this content.
    Put(Prepared),
    /// A deletion. Of a resource that is not there it is no change, and makes no version.
    Delete,
}

/// A resource made ready for its version, in parallel and before anything is decided.
#[derive(Debug)]
pub struct Prepared {
    /// The served bytes but for the fields that the server stamps.
    pub template: BodyTemplate,
    /// Its values for search, for conditions that meet it in flight.
    pub extracted: Arc<Extracted>,
    /// The same as index terms.
    pub terms: Terms,
}

/// What must hold of a resource at the moment of its change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// `If-Match`: the current version is this one.
    pub if_match: Option<VersionId>,
    /// `If-None-Match: *`: there is no current version. A deleted resource is absent.
    pub must_be_absent: bool,
}

/// A search whose answer the write relies on: resolved while preparing by
/// [`crate::AccountStore::resolve`], and looked at again, inside the commit, against everything
/// written since.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The query as the client wrote it; kept with the commit.
    pub query: String,
    /// What type it searches.
    pub type_id: TypeId,
    /// The compiled query.
    pub filter: Filter,
    /// What it found: nothing, or one.
    pub expected: Vec<ResourceId>,
    /// [`crate::Resolved::seen`] of that answer.
    pub seen: Seq,
}

/// Recognises a repeated request for 24 hours of log time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The `Idempotency-Key`.
    pub key: String,
    /// Over method, URL, preconditions and body.
    pub request_hash: Hash,
    /// Keys of different principals do not meet; empty without authentication.
    pub principal: String,
}

/// What a write did to one resource. In the log the two ways of creation are one: what tells them
/// apart follows from the rest of the commit ([`Effect::of_creation`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It was absent and is there now, under an id of the server's.
    Created,
    /// It has a new version.
    Updated,
    /// It was there and is not.
    Deleted,
    /// A deletion that found nothing.
    Unchanged,
    /// It was absent or deleted, and an update made it under the id that the client named.
    CreatedByUpdate,
}

impl Effect {
    /// Whether it was not there before and is now.
    #[must_use]
    pub const fn is_creation(self) -> bool {
        matches!(self, Self::Created | Self::CreatedByUpdate)
    }

    /// How a resource came to be. A create mints its id and demands that it be absent; so does an
    /// update with `If-None-Match: *` of an id that the client made in just that form, and only
    /// that one is taken for a create.
    pub(crate) fn of_creation(id: &ResourceId, version: VersionId, must_be_absent: bool) -> Self {
        if must_be_absent && version.counter == 1 && id.is_like_minted() {
            Self::Created
        } else {
            Self::CreatedByUpdate
        }
    }
}

/// One change's outcome.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The resource's type.
    pub type_id: TypeId,
    /// Its logical id.
    pub id: ResourceId,
    /// Its newest version; counter 0 when it never was.
    pub version: VersionId,
    /// That version's `lastUpdated`.
    pub stamp: Stamp,
    /// What happened.
    pub effect: Effect,
    /// The exact bytes to be served; `None` after a deletion, and in a replayed answer, where
    /// [`crate::AccountStore::vread`] gives them.
    pub body: Option<Bytes>,
}

/// A write that stands and is durable in this region.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its position; of a write that changed nothing, the one it depends on.
    pub position: Position,
    /// In the order of [`Write::changes`].
    pub outcomes: Vec<Outcome>,
    /// The same key and hash were committed before, and this is that commit.
    pub replayed: bool,
}

/// A write that did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    #[source]
    pub error: Error,
    /// The refusal may be told once this is acknowledgeable: it depends on work in flight.
    pub after: Seq,
    /// Whether the write may stand nevertheless.
    pub applied: Applied,
}

/// What `X-Firebreak-Applied` says of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was refused before the commit queue.
    No,
    /// It was queued, and its end is not known.
    Unknown,
}

impl Applied {
    /// The header's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Called once, from any thread, when a write is durable here or refused; it must not block.
pub type Done = Box<dyn FnOnce(Result<Committed, Refused>) + Send>;
