//! What one interaction knows of the request it answers, and how it waits for what it depends on.

use crate::{Account, Error, Service, headers::Preconditions, headers::Prefer};
use base::{Position, ResourceId, Seq, VersionId};
use fhir::TypeId;
use parking_lot::Mutex;
use replication::{Durability, Refusal, Term};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::Idempotency;
use tokio::sync::oneshot;

/// Everything that the entries of one request share.
pub struct Shared {
    /// The service.
    pub service: Arc<Service>,
    /// The account that is asked.
    pub account: Account,
    /// The base URL without a trailing slash, as the client knows it.
    pub base: String,
    /// The term the request began in.
    pub term: Term,
    /// The highest sequence number any part of the answer depends on.
    depends_on: AtomicU64,
    /// The position of the newest commit made by this request.
    written: Mutex<Option<Position>>,
}

/// One interaction: a request, or an entry of a batch.
pub struct Call {
    /// What it shares with the other entries.
    pub shared: Arc<Shared>,
    /// Its preferences.
    pub prefer: Prefer,
    /// Its preconditions.
    pub preconditions: Preconditions,
    /// Its key, when it changes anything and has one.
    pub idempotency: Option<Idempotency>,
}

impl Shared {
    /// For one request.
    #[must_use]
    pub fn new(service: Arc<Service>, account: Account, base: String, term: Term) -> Self {
        Self {
            service,
            account,
            base,
            term,
            depends_on: AtomicU64::new(0),
            written: Mutex::new(None),
        }
    }

    /// The answer depends on this place of the log.
    pub fn depends_on(&self, seq: Seq) {
        self.depends_on.fetch_max(seq.get(), Ordering::Relaxed);
    }

    /// The request made this commit.
    pub fn wrote(&self, position: Position) {
        self.depends_on(position.seq);
        let mut written = self.written.lock();
        if written.is_none_or(|known| known.seq < position.seq) {
            *written = Some(position);
        }
    }

    /// The position of the newest commit made.
    #[must_use]
    pub fn written(&self) -> Option<Position> {
        *self.written.lock()
    }

    /// Waits until all that the answer depends on may be acknowledged under the mode
    /// (PROTOCOL.md M4).
    pub async fn settle(&self) -> Result<Durability, Refusal> {
        let seq = Seq::new(self.depends_on.load(Ordering::Relaxed));
        if let Some(durability) = self.account.gate.acknowledgeable_now(seq) {
            return Ok(durability);
        }
        let (tell, told) = oneshot::channel();
        self.account.gate.acknowledgeable(seq, Box::new(move |answer| _ = tell.send(answer)));
        // A gate that drops its callback is stopping.
        told.await.unwrap_or(Err(Refusal::TermOver { epoch: self.term.epoch }))
    }

    /// Waits, as the client asked, until its write is durable in the other region too, or the
    /// time for that is over.
    pub async fn replicate(&self, written: Position) -> Result<Durability, Refusal> {
        let wait = self.service.settings().replicated_wait;
        let (tell, told) = oneshot::channel();
        let done = Box::new(move |answer| _ = tell.send(answer));
        self.account.gate.replicated(written.seq, wait, done);
        told.await.unwrap_or(Err(Refusal::TermOver { epoch: self.term.epoch }))
    }

    /// The URL of a version, as `Location` tells it.
    #[must_use]
    pub fn version_url(&self, type_id: TypeId, id: &ResourceId, version: VersionId) -> String {
        format!("{}/{}/{id}/_history/{version}", self.base, type_id.name())
    }
}

impl Call {
    /// The account's store.
    #[must_use]
    pub fn store(&self) -> &dyn store::AccountStore {
        &*self.shared.account.store
    }

    /// Runs what may wait or read from disk where that holds up no other request.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.map_err(|_| Error::Stopping)
    }
}
