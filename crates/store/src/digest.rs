//! The digest of an account, kept as commits are applied.

use crate::{DIGEST_SHARDS, Digest};
use base::{Hash, Position, ResourceId, Seq, VersionId};
use fhir::TypeId;
use std::collections::VecDeque;

/// The digests of so many commits back can still be told.
const WINDOW_COMMITS: usize = 8192;

/// The shard and the element of one version: `body` is `None` for a deletion.
pub(crate) fn element(
    type_id: TypeId,
    id: &ResourceId,
    version: VersionId,
    body: Option<&[u8]>,
) -> (usize, u128) {
    let name = id.as_str().as_bytes();
    let mut data = Vec::with_capacity(160);
    data.extend_from_slice(&[type_id.get(), u8::try_from(name.len()).expect("at most 64 bytes")]);
    data.extend_from_slice(name);
    let shard = shard(&data);
    data.extend_from_slice(&version.counter.to_le_bytes());
    data.extend_from_slice(&version.fork.get().to_le_bytes());
    data.push(u8::from(body.is_some()));
    data.extend_from_slice(body.map_or(Hash::ZERO, Hash::of).as_bytes());
    let hash = Hash::of(&data);
    let wide: [u8; 16] = hash.as_bytes()[..16].try_into().expect("16 of 32 bytes");
    (shard, u128::from_le_bytes(wide))
}

/// The shard of a type and id (FNV-1a).
fn shard(data: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    usize::try_from((hash >> 32) % DIGEST_SHARDS as u64).expect("below the number of shards")
}

/// The digest at the last applied commit and, by difference, at those before.
pub(crate) struct Window {
    shards: Box<[u128; DIGEST_SHARDS]>,
    /// Ascending; the last is the last applied.
    commits: VecDeque<(Position, Vec<(usize, u128)>)>,
    /// What was applied before the first of `commits`.
    start: Position,
}

impl Window {
    pub(crate) fn new(position: Position, shards: Box<[u128; DIGEST_SHARDS]>) -> Self {
        Self { shards, commits: VecDeque::new(), start: position }
    }

    /// Takes in a commit.
    pub(crate) fn push(&mut self, position: Position, elements: Vec<(usize, u128)>) {
        for (shard, element) in &elements {
            self.shards[*shard] = self.shards[*shard].wrapping_add(*element);
        }
        self.commits.push_back((position, elements));
        if self.commits.len() > WINDOW_COMMITS
            && let Some((position, _)) = self.commits.pop_front()
        {
            self.start = position;
        }
    }

    /// The digest after commit `at`.
    pub(crate) fn at(&self, at: Seq) -> Option<Digest> {
        let last = self.commits.back().map_or(self.start, |(position, _)| *position);
        if at < self.start.seq || at > last.seq {
            return None;
        }
        let mut shards = self.shards.clone();
        let mut position = self.start;
        for (of, elements) in self.commits.iter().rev() {
            if of.seq <= at {
                position = *of;
                break;
            }
            for (shard, element) in elements {
                shards[*shard] = shards[*shard].wrapping_sub(*element);
            }
        }
        Some(Digest { position, shards })
    }
}
