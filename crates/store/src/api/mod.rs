//! The wall: what an account's store does for the layers above.

mod read;
mod status;
mod write;

pub use read::{Cursor, Doc, HistoryQuery, HistoryScope, Page, Resolved, Version};
pub use status::{DIGEST_SHARDS, Digest, Status, Term};
pub use write::{
    Action, Applied, ChangeRequest, Committed, Condition, Done, Effect, Guard, Idempotency,
    Outcome, Prepared, Refused, Write,
};

use crate::Error;
use base::{ResourceId, Seq, VersionId};
use fhir::TypeId;
use search::{Filter, Query};

/// One account's resources. What is read is durable here; whether it may be shown under the
/// account's mode is for the caller to ask, with the `seq` or `seen` of the answer.
///
/// `read` and `vread` do not wait. `history`, `search` and `resolve` may wait, for a bounded
/// time, until the index has everything that was durable when they were called, and may read
/// from disk: call them where blocking is allowed.
pub trait AccountStore: Send + Sync {
    /// Writes all of it or nothing. `done` is called when it is durable here, in the order of
    /// positions; or with the reason why not.
    fn submit(&self, write: Write, done: Done);

    /// The commit that a repeated request asks for again, if it is one. [`AccountStore::submit`]
    /// looks too; this is for a caller that would not submit.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when the key came with another request.
    fn recall(&self, idempotency: &Idempotency) -> Result<Option<Committed>, Error>;

    /// The newest version; a deletion is one, without body. `None`: never was.
    ///
    /// # Errors
    /// While the index is rebuilt, or when stored bytes are damaged.
    fn read(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Version>, Error>;

    /// One version, by its id.
    ///
    /// # Errors
    /// As [`AccountStore::read`].
    fn vread(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Version>, Error>;

    /// A page of history, newest first.
    ///
    /// # Errors
    /// As [`AccountStore::read`]; [`Error::Cursor`] for a cursor of another kind of list.
    fn history(&self, query: &HistoryQuery) -> Result<Page, Error>;

    /// A page of current resources. `query.count` is at most the account's limit, decided by the
    /// caller; without one, all there are.
    ///
    /// # Errors
    /// As [`AccountStore::history`].
    fn search(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error>;

    /// What a condition matches: at most two.
    ///
    /// # Errors
    /// As [`AccountStore::read`].
    fn resolve(&self, type_id: TypeId, filter: &Filter) -> Result<Resolved, Error>;

    /// Where the account stands.
    fn status(&self) -> Status;

    /// The digest at a position; `None` when that is not applied yet, or too long ago.
    fn digest(&self, at: Seq) -> Option<Digest>;
}
