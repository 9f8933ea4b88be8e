//! The seam between an account's commits and an index over them.
//!
//! An index is derived: it can be made anew from the log at any time. Every method gives answers
//! about commits that [`Index::apply`] was given, in order, each exactly once.

mod record;
mod terms;

mod embedded;
mod engine;
mod memory;

pub(crate) use embedded::Embedded;
pub use engine::Engine;
pub(crate) use memory::Memory;
pub(crate) use record::{Applied, AppliedChange, KeyEntry, KeyHash, Old, Place, Record};
pub(crate) use terms::{Bodies, extracted};

use crate::{Cursor, Error, HistoryQuery};
use base::{Position, ResourceId, VersionId};
use fhir::TypeId;
use search::{Filter, Query};

/// Some records, without bodies; see [`crate::Page`].
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    pub(crate) total: Option<u64>,
    pub(crate) next: Option<Cursor>,
    /// Everything up to here was looked at.
    pub(crate) seen: base::Seq,
}

/// What a rewind takes back.
pub(crate) struct Undo<'a> {
    /// The last commit that stays.
    pub(crate) to: Position,
    /// What the commits after it touched, each once.
    pub(crate) ids: &'a [(TypeId, ResourceId)],
    /// Their idempotency keys.
    pub(crate) keys: &'a [(KeyHash, base::Stamp)],
    /// What they added to the digest, by shard.
    pub(crate) elements: &'a [(usize, u128)],
}

/// How far an index's upkeep is behind what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Congestion {
    None,
    /// Apply should go on slowly: nobody who waits for a commit waits for a whole merge.
    Slow,
    /// Apply should wait.
    Full,
}

/// An index engine.
pub(crate) trait Index: Send + Sync {
    /// The last commit it holds.
    fn applied(&self) -> Position;

    /// How many resources are not deleted.
    fn resources(&self) -> u64;

    /// The digest's shards at [`Index::applied`].
    fn digest(&self) -> Box<[u128; crate::DIGEST_SHARDS]>;

    /// The newest record of a resource, deletions included.
    fn head(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Record>, Error>;

    /// One version's record.
    fn version(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Record>, Error>;

    /// What is remembered of an idempotency key, if its commit is stamped at or after `since`.
    fn key(&self, key: &KeyHash, since: base::Stamp) -> Result<Option<KeyEntry>, Error>;

    /// Takes in commits, all or none: the first follows [`Index::applied`], and so on.
    fn apply(&self, batch: &[Applied]) -> Result<(), Error>;

    /// Empties it: the position applied is [`Position::ZERO`]. What was there is moved aside.
    fn reset(&self) -> Result<(), Error>;

    /// Takes commits back, all or none, durably. Bodies up to `to` can still be read.
    fn undo(&self, undo: &Undo<'_>, bodies: &Bodies) -> Result<(), Error>;

    /// A page of history, newest first.
    fn history(&self, query: &HistoryQuery) -> Result<Found, Error>;

    /// A page of current resources.
    fn search(
        &self,
        query: &Query,
        cursor: Option<&Cursor>,
        bodies: &Bodies,
    ) -> Result<Found, Error>;

    /// At most `limit` current resources that match.
    fn matching(
        &self,
        type_id: TypeId,
        filter: &Filter,
        limit: usize,
        bodies: &Bodies,
    ) -> Result<Vec<ResourceId>, Error>;

    /// Some of the engine's own upkeep, if there is any to do; called from a thread of the
    /// driver's, or between steps. Gives whether there may be more.
    fn upkeep(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// Some of the engine's slower upkeep; called from another thread.
    fn compact(&self) -> Result<bool, Error> {
        Ok(false)
    }

    /// Whether apply should wait for upkeep.
    fn congestion(&self) -> Congestion {
        Congestion::None
    }

    /// Makes what was applied durable, so that the next start has nothing to replay.
    fn flush(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether only the number of matches is asked for.
fn counts_only(query: &Query) -> bool {
    query.summary_count || query.count == Some(0)
}
