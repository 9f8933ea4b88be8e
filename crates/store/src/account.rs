//! The threads around a [`Core`]: one appends and syncs, one applies, one does the index's upkeep,
//! one makes log segments ready.

use crate::core::{Core, OnProgress, Place, Settings, Writer};
use crate::index::Congestion;
use crate::{
    AccountStore, Committed, Cursor, Digest, Done, Error, HistoryQuery, Idempotency, Page,
    Resolved, Status, Version, Write,
};
use base::{Clock, ResourceId, Seq, Span, VersionId};
use fhir::TypeId;
use search::{Filter, Query};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// What a thread does until it is to stop.
type Work = fn(&Core, &AtomicBool);

/// How long a thread waits before it looks again whether it is to stop.
const LOOK: Span = Span::from_ms(100);
/// How long a thread waits for room on a full disk.
const FULL: Span = Span::from_secs(1);
/// And for that of a whole segment, which it tries by filling it.
const FULL_SEGMENT: Span = Span::from_secs(5);
/// How long apply waits before it looks again whether upkeep caught up.
const CONGESTED: Span = Span::from_ms(2);
/// How long apply waits between two batches while merges are behind: a fraction of the full rate.
const SLOW: Span = Span::from_ms(100);

/// One account's store with its threads. Dropping it makes durable what is queued and stops them.
pub struct Account {
    core: Arc<Core>,
    stop: Arc<AtomicBool>,
    /// Stopped once the committer is: it may still have work for them.
    stop_behind: Arc<AtomicBool>,
    committer: Option<JoinHandle<()>>,
    behind: Vec<JoinHandle<()>>,
}

impl Account {
    /// Opens the store ([`Core::open`]) and starts its threads. `on_failure` is called once when
    /// the log fails: the process must stop then.
    ///
    /// # Errors
    /// Those of [`Core::open`].
    pub fn open(
        place: Place,
        settings: Settings,
        clock: Arc<dyn Clock>,
        progress: OnProgress<'_>,
        on_failure: Box<dyn FnOnce(Error) + Send>,
    ) -> Result<Self, Error> {
        let core = Arc::new(Core::open(place, settings, clock, false, progress)?);
        let stop = Arc::new(AtomicBool::new(false));
        let stop_behind = Arc::new(AtomicBool::new(false));
        let committer = {
            let (core, stop) = (Arc::clone(&core), Arc::clone(&stop));
            start("commit", move || commit(&core, &stop, on_failure))?
        };
        let mut behind = Vec::new();
        for (name, work) in [
            ("apply", apply as Work),
            ("flush", flush),
            ("compact", compact),
            ("segments", segments),
        ] {
            let (core, stop) = (Arc::clone(&core), Arc::clone(&stop_behind));
            behind.push(start(name, move || work(&core, &stop))?);
        }
        Ok(Self { core, stop, stop_behind, committer: Some(committer), behind })
    }

    /// The committer itself: terms, following, rewinding.
    #[must_use]
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.core.end_term();
        self.stop.store(true, Ordering::Release);
        self.core.wake();
        if let Some(committer) = self.committer.take() {
            let _ = committer.join();
        }
        self.stop_behind.store(true, Ordering::Release);
        self.core.wake();
        for thread in self.behind.drain(..) {
            let _ = thread.join();
        }
        if let Err(error) = self.core.flush_index() {
            tracing::warn!(%error, "the index was not flushed, the next start replays");
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    Builder::new().name(format!("store-{name}")).spawn(work).map_err(|_| Error::Stopped)
}

/// Appends and syncs groups. While one is synced, the next gathers.
fn commit(core: &Core, stop: &AtomicBool, on_failure: Box<dyn FnOnce(Error) + Send>) {
    loop {
        let appended = core.append();
        core.wrote(Writer::Log, &appended);
        match appended {
            Ok(0) if stop.load(Ordering::Acquire) && core.status().in_flight == 0 => return,
            Ok(0) => core.wait_ready(stop, LOOK),
            Ok(_) => {}
            Err(full) if full.is_disk_full() && !stop.load(Ordering::Acquire) => {
                core.pause(stop, FULL);
            }
            Err(error) => return on_failure(error),
        }
        if let Err(error) = core.sync() {
            return on_failure(error);
        }
    }
}

/// Applies what is durable, and makes the index anew when it turns out damaged.
fn apply(core: &Core, stop: &AtomicBool) {
    loop {
        if core.is_suspect() {
            let rebuilt = core.rebuild(&report);
            core.wrote(Writer::Rebuild, &rebuilt);
            if let Err(error) = rebuilt {
                tracing::error!(%error, "the index could not be made anew");
                core.pause(stop, FULL);
            }
        } else if core.congestion() == Congestion::Full && !stop.load(Ordering::Acquire) {
            core.pause(stop, CONGESTED);
        } else {
            if core.congestion() == Congestion::Slow {
                core.pause(stop, SLOW);
            }
            match core.apply() {
                Ok(0) if stop.load(Ordering::Acquire) => return,
                Ok(0) => core.wait_pending(stop, LOOK),
                Ok(_) => {}
                Err(error) => core.suspect(&error),
            }
        }
        if stop.load(Ordering::Acquire) && (core.has_failed() || core.is_suspect()) {
            return;
        }
    }
}

fn report(done: u64, of: u64) {
    tracing::info!(done, of, "rebuilding the index");
}

/// Flushes what the index has in memory.
fn flush(core: &Core, stop: &AtomicBool) {
    keep_up(core, stop, Writer::Flush, Core::upkeep);
}

/// Compacts the index's files.
fn compact(core: &Core, stop: &AtomicBool) {
    keep_up(core, stop, Writer::Merge, Core::compact);
}

fn keep_up(core: &Core, stop: &AtomicBool, writer: Writer, step: fn(&Core) -> Result<bool, Error>) {
    while !stop.load(Ordering::Acquire) {
        let done = step(core);
        core.wrote(writer, &done);
        match done {
            Ok(true) => {}
            Ok(false) => core.pause(stop, LOOK),
            Err(full) if full.is_disk_full() => core.pause(stop, FULL),
            Err(error) => {
                core.suspect(&error);
                core.pause(stop, LOOK);
            }
        }
    }
}

/// Makes the next log segment ready.
fn segments(core: &Core, stop: &AtomicBool) {
    let preparer = core.preparer();
    while !stop.load(Ordering::Acquire) {
        if !preparer.needed() {
            core.pause(stop, LOOK);
            continue;
        }
        let prepared = preparer.step().map_err(Error::from);
        if !matches!(prepared, Ok(false)) {
            // A part of it is no room: what is accepted needs the whole.
            core.wrote(Writer::Segment, &prepared);
        }
        match prepared {
            Ok(_) => {}
            Err(full) if full.is_disk_full() => core.pause(stop, FULL_SEGMENT),
            Err(error) => {
                tracing::warn!(%error, "no log segment could be made ready");
                core.pause(stop, LOOK);
            }
        }
    }
}

impl AccountStore for Account {
    fn submit(&self, write: Write, done: Done) {
        self.core.submit(write, done);
    }
    fn recall(&self, idempotency: &Idempotency) -> Result<Option<Committed>, Error> {
        self.core.recall(idempotency)
    }
    fn read(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Version>, Error> {
        self.core.read(type_id, id)
    }
    fn vread(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Version>, Error> {
        self.core.vread(type_id, id, version)
    }
    fn history(&self, query: &HistoryQuery) -> Result<Page, Error> {
        self.core.history(query)
    }
    fn search(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.core.search(query, cursor)
    }
    fn resolve(&self, type_id: TypeId, filter: &Filter) -> Result<Resolved, Error> {
        self.core.resolve(type_id, filter)
    }
    fn status(&self) -> Status {
        self.core.status()
    }
    fn digest(&self, at: Seq) -> Option<Digest> {
        self.core.digest(at)
    }
}
