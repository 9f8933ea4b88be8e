//! The bytes of a commit.
//!
//! ```text
//!   0  1  version (1)
//!   1  4  bytes of the head, little-endian
//!   5  …  head (postcard): commit head, changes without bodies, bytes of each body, of the record
//!      …  bodies, one after the other, then the record
//! ```
//! A change that made a resource is `Created`, by whatever interaction; reading tells which.
//! A body's place in the payload follows from the lengths, so that an index can point at it.

use super::{Change, Commit, CommitHead, KeptGuard};
use crate::Effect;
use base::{ResourceId, VersionId};
use bytes::Bytes;
use fhir::TypeId;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
const HEAD_AT: usize = 5;
/// The largest payload: a commit fits one log frame with room to spare.
pub const PAYLOAD_BYTES_MAX: usize = 48 << 20;

/// Why bytes are not a commit, or a commit has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// More than a frame holds.
    #[error("a commit of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Not what [`Commit::encode`] makes.
    #[error("not a commit: {0}")]
    Undecodable(&'static str),
}

/// A change as it stands in the head.
#[derive(Serialize, Deserialize)]
struct Entry {
    type_id: TypeId,
    id: ResourceId,
    version: VersionId,
    effect: Effect,
    /// Bytes of the compressed body; `None` without one.
    body_bytes: Option<u32>,
}

/// What is written: borrowed.
#[derive(Serialize)]
struct HeadOut<'a> {
    head: &'a CommitHead,
    entries: Vec<Entry>,
    record_bytes: u32,
}

/// What is read: owned.
#[derive(Deserialize)]
struct HeadIn {
    head: CommitHead,
    entries: Vec<Entry>,
    record_bytes: u32,
}

pub(super) fn encode(commit: &Commit) -> Result<Bytes, CommitError> {
    let bodies: usize =
        commit.changes.iter().map(|change| change.body.as_ref().map_or(0, Bytes::len)).sum();
    let tail = bodies + commit.record.len();
    let too_large = |bytes| CommitError::TooLarge { bytes, limit: PAYLOAD_BYTES_MAX };
    if tail > PAYLOAD_BYTES_MAX {
        return Err(too_large(tail));
    }
    let short = |bytes: usize| u32::try_from(bytes).expect("below the payload's limit");
    let entry = |change: &Change| Entry {
        type_id: change.type_id,
        id: change.id.clone(),
        version: change.version,
        effect: if change.effect.is_creation() { Effect::Created } else { change.effect },
        body_bytes: change.body.as_ref().map(|body| short(body.len())),
    };
    let head = HeadOut {
        head: &commit.head,
        entries: commit.changes.iter().map(entry).collect(),
        record_bytes: short(commit.record.len()),
    };
    let mut out = Vec::with_capacity(HEAD_AT + 128 + 64 * commit.changes.len() + tail);
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let mut out = postcard::to_extend(&head, out).expect("writing to memory does not fail");
    let head_bytes = short(out.len() - HEAD_AT);
    out[1..HEAD_AT].copy_from_slice(&head_bytes.to_le_bytes());
    if out.len() + tail > PAYLOAD_BYTES_MAX {
        return Err(too_large(out.len() + tail));
    }
    for change in &commit.changes {
        if let Some(body) = &change.body {
            out.extend_from_slice(body);
        }
    }
    out.extend_from_slice(&commit.record);
    Ok(out.into())
}

/// The first field of the head.
pub(super) fn kind(payload: &[u8]) -> Option<super::CommitKind> {
    let head = payload.get(HEAD_AT..).filter(|_| payload[0] == VERSION)?;
    postcard::take_from_bytes(head).ok().map(|(kind, _)| kind)
}

pub(super) fn decode(payload: &Bytes) -> Result<Commit, CommitError> {
    let bad = CommitError::Undecodable;
    let [version, a, b, c, d, ..] = payload[..] else {
        return Err(bad("shorter than its first fields"));
    };
    if version != VERSION {
        return Err(bad("unknown version"));
    }
    let head_bytes = u32::from_le_bytes([a, b, c, d]) as usize;
    let head = payload
        .get(HEAD_AT..HEAD_AT.saturating_add(head_bytes))
        .ok_or(bad("head longer than payload"))?;
    let (head, rest): (HeadIn, _) =
        postcard::take_from_bytes(head).map_err(|_| bad("malformed head"))?;
    if !rest.is_empty() {
        return Err(bad("bytes after the head"));
    }
    let mut at = HEAD_AT + head_bytes;
    let mut take = |bytes: u32| {
        let end = at.checked_add(bytes as usize).filter(|end| *end <= payload.len());
        let end = end.ok_or(bad("body longer than payload"))?;
        let slice = payload.slice(at..end);
        at = end;
        Ok(slice)
    };
    let mut changes = Vec::with_capacity(head.entries.len());
    for (place, entry) in head.entries.into_iter().enumerate() {
        let body = entry.body_bytes.map(&mut take).transpose()?;
        let Entry { type_id, id, version, mut effect, .. } = entry;
        if effect == Effect::Created {
            effect = Effect::of_creation(&id, version, must_be_absent(&head.head, place));
        }
        changes.push(Change { type_id, id, version, effect, body });
    }
    let record = take(head.record_bytes)?;
    if at != payload.len() {
        return Err(bad("bytes after the record"));
    }
    Ok(Commit { head: head.head, changes, record })
}

/// Whether the change at a place was made under `If-None-Match: *`, as each create is.
fn must_be_absent(head: &CommitHead, place: usize) -> bool {
    // They are kept in the order of their places.
    let at = |guard: &(u32, KeptGuard)| guard.0 as usize;
    let first = head.guards.partition_point(|guard| at(guard) < place);
    let own = head.guards[first..].iter().take_while(|guard| at(guard) == place);
    own.into_iter().any(|(_, guard)| *guard == KeptGuard::Absent)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
