//! What an index is given, and what it gives back.

use crate::{Doc, Effect, Idempotency};
use base::{Hash, Position, ResourceId, Seq, Stamp, VersionId};
use fhir::TypeId;
use search::{Extracted, Terms};
use std::sync::Arc;

/// Where a compressed body is, in the payload of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes from the payload's start.
    pub(crate) at: u32,
    /// Its bytes.
    pub(crate) len: u32,
}

/// One version without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) doc: Doc,
    pub(crate) type_id: TypeId,
    pub(crate) id: ResourceId,
    pub(crate) version: VersionId,
    pub(crate) stamp: Stamp,
    pub(crate) effect: Effect,
    /// `None` for a deletion.
    pub(crate) place: Option<Place>,
}

impl Record {
    /// Whether the resource is there in this version.
    pub(crate) fn is_present(&self) -> bool {
        self.effect != Effect::Deleted
    }
    /// The commit that made it.
    pub(crate) fn seq(&self) -> Seq {
        self.doc.seq()
    }
}

/// 16 bytes of the hash of principal and key.
pub(crate) type KeyHash = [u8; 16];

impl Idempotency {
    /// Under what it is remembered.
    pub(crate) fn key_hash(&self) -> KeyHash {
        let mut data = Vec::with_capacity(8 + self.principal.len() + self.key.len());
        data.extend_from_slice(&(self.principal.len() as u64).to_le_bytes());
        data.extend_from_slice(self.principal.as_bytes());
        data.extend_from_slice(self.key.as_bytes());
        let hash = Hash::of(&data);
        hash.as_bytes()[..16].try_into().expect("16 of 32 bytes")
    }
}

/// What is remembered of an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    pub(crate) request_hash: Hash,
    pub(crate) seq: Seq,
    pub(crate) stamp: Stamp,
}

/// A commit as an index takes it in.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) position: Position,
    pub(crate) key: Option<(KeyHash, KeyEntry)>,
    pub(crate) changes: Vec<AppliedChange>,
    /// Not all is known of the versions before: it is to be read from the log.
    pub(crate) reread: bool,
}

/// A version as an index takes it in.
#[derive(Debug)]
pub(crate) struct AppliedChange {
    pub(crate) record: Record,
    /// The version before.
    pub(crate) old: Option<Old>,
    /// Empty for a deletion.
    pub(crate) terms: Arc<Terms>,
    /// `None` for a deletion.
    pub(crate) extracted: Option<Arc<Extracted>>,
    /// What it adds to the digest: shard and element.
    pub(crate) element: (usize, u128),
}

/// The version before a change.
#[derive(Clone, Debug)]
pub(crate) struct Old {
    pub(crate) record: Record,
    /// The terms it is indexed under; none for a deletion.
    pub(crate) terms: Arc<Terms>,
}
