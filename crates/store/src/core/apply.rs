//! Behind acknowledgement: from durable commits to the index.

use super::{Core, OnProgress};
use crate::commit::{Change, Commit, decompress};
use crate::digest::element;
use crate::index::{Applied, AppliedChange, Congestion, KeyEntry, Old, Record, extracted};
use crate::log::Frame;
use crate::{Doc, Effect, Error};
use base::{Position, ResourceId, Seq, Span};
use fhir::TypeId;
use hashbrown::HashMap;
use search::Terms;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Commits read from the log at once while catching up.
const CATCH_UP_COMMITS: usize = 512;
/// Changes of a batch while catching up.
const CATCH_UP_CHANGES: usize = 2048;
/// Flushes of the index while catching up, after which it is merged when it should be.
const CATCH_UP_FLUSHES: u32 = 16;

/// A durable commit to be applied.
pub(crate) enum Pending {
    /// Made here.
    Ready(Applied),
    /// As it came from the log.
    Frame(Frame),
}

impl Pending {
    /// Whether it is read from the log.
    fn is_read(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Ready(Applied { reread: true, .. }))
    }

    fn seq(&self) -> Seq {
        match self {
            Self::Ready(applied) => applied.position.seq,
            Self::Frame(frame) => frame.position.seq,
        }
    }

    fn changes(&self) -> usize {
        match self {
            Self::Ready(applied) => applied.changes.len(),
            // Told by its bytes, roughly: only the size of a batch hangs on it.
            Self::Frame(frame) => frame.payload.len() / 512,
        }
    }
}

/// Newest versions within a batch, before the index has them.
type Heads = HashMap<(TypeId, ResourceId), (Record, Arc<Terms>)>;

impl Core {
    /// Applies a batch, if there is one; gives how many commits.
    ///
    /// # Errors
    /// The index failed: it is to be made anew ([`Core::rebuild`]).
    pub fn apply(&self) -> Result<usize, Error> {
        let _one_at_a_time = self.applying.lock();
        let batch = self.take_pending();
        if batch.is_empty() || self.is_suspect() {
            return Ok(batch.len());
        }
        self.apply_batch(batch).inspect_err(|error| self.suspect(error))
    }

    fn apply_batch(&self, batch: Vec<Pending>) -> Result<usize, Error> {
        let commits = batch.len();
        let mut heads = Heads::new();
        let has_frames = batch.iter().any(|pending| pending.is_read());
        let mut ready = Vec::with_capacity(commits);
        let done = self.index.applied().seq;
        for pending in batch {
            if pending.seq() <= done {
                // The index was made anew meanwhile, and met this commit in the log.
                continue;
            }
            let applied = match pending {
                Pending::Ready(applied) if !applied.reread => applied,
                Pending::Ready(applied) => {
                    let frame = self.reader.read(applied.position.seq)?;
                    let gone = Error::Corrupt { what: "a durable commit that is to be applied" };
                    self.materialize(&frame.ok_or(gone)?, &heads)?
                }
                Pending::Frame(frame) => self.materialize(&frame, &heads)?,
            };
            if has_frames {
                note_heads(&applied, &mut heads);
            }
            ready.push(applied);
        }
        self.place_old(&mut ready)?;
        self.apply_ready(&ready)?;
        Ok(commits)
    }

    /// A version that was replaced in flight had no place when that was decided; now it has.
    fn place_old(&self, batch: &mut [Applied]) -> Result<(), Error> {
        let mut here = HashMap::new();
        for applied in batch {
            for change in &mut applied.changes {
                if let Some(old) = &mut change.old
                    && old.record.is_present()
                    && old.record.place.is_none()
                {
                    let (type_id, id) = (old.record.type_id, &old.record.id);
                    old.record.place = match here.get(&old.record.doc) {
                        Some(place) => *place,
                        None => self.index.head(type_id, id)?.and_then(|record| record.place),
                    };
                }
                here.insert(change.record.doc, change.record.place);
            }
        }
        Ok(())
    }

    fn take_pending(&self) -> Vec<Pending> {
        let mut pending = self.pending.lock();
        let (mut batch, mut changes) = (Vec::new(), 0);
        while let Some(next) = pending.front() {
            changes += next.changes();
            if !batch.is_empty() && changes > self.settings.batch_changes {
                break;
            }
            batch.extend(pending.pop_front());
        }
        batch
    }

    fn apply_ready(&self, batch: &[Applied]) -> Result<(), Error> {
        let Some(last) = batch.last() else { return Ok(()) };
        self.index.apply(batch)?;
        let mut window = self.window.lock();
        for applied in batch {
            let elements = applied.changes.iter().map(|change| change.element).collect();
            window.push(applied.position, elements);
        }
        drop(window);
        self.progress.set_applied(last.position);
        self.sequencer.lock().applied(batch);
        let mut overlay = self.overlay.lock();
        for change in batch.iter().flat_map(|applied| &applied.changes) {
            let key = (change.record.type_id, change.record.id.clone());
            if overlay.get(&key).is_some_and(|newest| newest.doc <= change.record.doc) {
                overlay.remove(&key);
            }
        }
        Ok(())
    }

    /// A frame of the log as the index takes it in.
    fn materialize(&self, frame: &Frame, heads: &Heads) -> Result<Applied, Error> {
        let position = frame.position;
        let Some(payload) = frame.payload.bytes() else {
            return Ok(Applied { position, key: None, changes: Vec::new(), reread: false });
        };
        let commit = Commit::decode(payload)?;
        let stamp = commit.head.stamp;
        let seq = position.seq;
        let key = commit.head.idempotency.as_ref().map(|idempotency| {
            let request_hash = idempotency.request_hash;
            (idempotency.key_hash(), KeyEntry { request_hash, seq, stamp })
        });
        let mut changes = Vec::with_capacity(commit.changes.len());
        for (entry, change) in commit.changes.iter().enumerate() {
            if change.effect == Effect::Unchanged {
                continue;
            }
            let doc = Doc::new(seq, entry)
                .ok_or(Error::Corrupt { what: "the number of changes of a commit" })?;
            changes.push(self.materialize_change(doc, stamp, change, heads)?);
        }
        super::finish::set_places(&mut changes, &commit.places(payload.len()));
        Ok(Applied { position, key, changes, reread: false })
    }

    fn materialize_change(
        &self,
        doc: Doc,
        stamp: base::Stamp,
        change: &Change,
        heads: &Heads,
    ) -> Result<AppliedChange, Error> {
        let Change { type_id, id, version, effect, body } = change;
        let old = match heads.get(&(*type_id, id.clone())) {
            Some((record, terms)) => Some(Old { record: record.clone(), terms: Arc::clone(terms) }),
            None => match self.index.head(*type_id, id)? {
                Some(record) => {
                    let terms = self.bodies.terms(&record)?;
                    Some(Old { record, terms })
                }
                None => None,
            },
        };
        let body = body.as_ref().map(|body| decompress(body)).transpose()?;
        let found = body.as_ref().map(|body| extracted(body)).transpose()?;
        Ok(AppliedChange {
            record: Record {
                doc,
                type_id: *type_id,
                id: id.clone(),
                version: *version,
                stamp,
                effect: *effect,
                place: None,
            },
            old,
            terms: found.as_ref().map(|found| Arc::new(found.terms())).unwrap_or_default(),
            extracted: found.map(Arc::new),
            element: element(*type_id, id, *version, body.as_deref()),
        })
    }

    /// Brings the index up to the log's durable end. An index of another branch, or one that
    /// contradicts itself, is emptied first.
    ///
    /// # Errors
    /// Those of the log; of the index when a new one fails too.
    pub(crate) fn catch_up(&self, progress: OnProgress<'_>) -> Result<(), Error> {
        let _one_at_a_time = self.applying.lock();
        let applied = self.index.applied();
        if !self.reader.contains(&applied)? {
            tracing::warn!(seq = applied.seq.get(), "the index is of another history: made anew");
            self.index.reset()?;
        }
        match self.replay(progress) {
            Err(Error::Index(why)) => {
                tracing::warn!(%why, "the index is damaged: made anew from the log");
                self.index.reset()?;
                self.replay(progress)
            }
            done => done,
        }
    }

    /// Makes the index anew from the log. Reads are refused meanwhile.
    ///
    /// # Errors
    /// Those of [`Core::catch_up`].
    pub fn rebuild(&self, progress: OnProgress<'_>) -> Result<(), Error> {
        self.suspect.store(true, Ordering::Release);
        // Who asks the index now gets its answer first; who comes later is refused.
        drop(self.serving.write());
        drop(self.sequencer.lock());
        {
            let _one_at_a_time = self.applying.lock();
            self.pending.lock().clear();
            self.index.reset()?;
        }
        self.catch_up(progress)?;
        self.suspect.store(false, Ordering::Release);
        Ok(())
    }

    /// Applies everything from the index's position to the log's durable end.
    fn replay(&self, progress: OnProgress<'_>) -> Result<(), Error> {
        let applied = self.index.applied();
        *self.window.lock() = crate::digest::Window::new(applied, self.index.digest());
        self.progress.set_applied(applied);
        let start = applied.seq;
        let mut frames = self.reader.frames(start.next());
        let mut flushes = 0;
        loop {
            let (mut batch, mut heads, mut changes) = (Vec::new(), Heads::new(), 0);
            while batch.len() < CATCH_UP_COMMITS && changes < CATCH_UP_CHANGES {
                let Some(frame) = frames.next().transpose()? else { break };
                let applied = self.materialize(&frame, &heads)?;
                changes += applied.changes.len();
                note_heads(&applied, &mut heads);
                batch.push(applied);
            }
            let Some(last) = batch.last().map(|applied| applied.position) else { return Ok(()) };
            self.apply_ready(&batch)?;
            flushes = self.keep_up(flushes)?;
            let end = self.reader.durable();
            progress(last.seq.get() - start.get(), end.seq.get() - start.get());
        }
    }

    /// While catching up nobody else does the index's upkeep. A start after a kill has a few
    /// flushes to do and leaves the merging, which takes seconds, to the thread for it; a whole
    /// index made anew does its own. Gives the flushes since the last merge.
    fn keep_up(&self, mut flushes: u32) -> Result<u32, Error> {
        while self.index.upkeep()? {
            flushes += 1;
        }
        if flushes >= CATCH_UP_FLUSHES {
            while self.index.congestion() != Congestion::None && self.index.compact()? {}
            flushes = 0;
        }
        Ok(flushes)
    }

    /// Waits until `seq` is applied.
    ///
    /// # Errors
    /// [`Error::Behind`] when that takes too long; [`Error::Rebuilding`].
    pub(crate) fn wait_applied(&self, seq: Seq) -> Result<(), Error> {
        if self.inline {
            if self.is_suspect() {
                self.rebuild(&|_, _| {})?;
            }
            while self.progress.applied_seq() < seq && self.apply()? > 0 {}
        }
        self.check_index()?;
        if self.progress.wait_applied(seq, self.settings.wait) {
            return Ok(());
        }
        let behind = seq.get().saturating_sub(self.progress.applied_seq().get());
        Err(Error::Behind { behind, retry: Span::from_secs(1) })
    }

    /// Refuses while the index is made anew.
    pub(crate) fn check_index(&self) -> Result<(), Error> {
        if self.suspect.load(Ordering::Acquire) {
            return Err(Error::Rebuilding { retry: Span::from_secs(1) });
        }
        Ok(())
    }

    /// Whether the index is to be made anew.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Acquire)
    }

    /// Takes note that the index failed.
    pub(crate) fn suspect(&self, error: &Error) {
        tracing::error!(%error, "the index is damaged and will be made anew");
        self.suspect.store(true, Ordering::Release);
        self.to_apply.notify_one();
    }

    /// Asks the index, and takes note when it contradicts itself.
    pub(crate) fn asked<T>(
        &self,
        ask: impl FnOnce(&dyn crate::index::Index) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _serving = self.serving.read();
        self.check_index()?;
        match ask(self.index.as_ref()) {
            Err(error @ Error::Index(_)) => {
                self.suspect(&error);
                Err(Error::Rebuilding { retry: Span::from_secs(1) })
            }
            answer => answer,
        }
    }

    /// Waits until there is something to apply, `stop` is set, or the time is over.
    pub(crate) fn wait_pending(&self, stop: &AtomicBool, at_most: Span) {
        let mut pending = self.pending.lock();
        if pending.is_empty() && !stop.load(Ordering::Acquire) && !self.is_suspect() {
            self.to_apply.wait_for(&mut pending, at_most.std());
        }
    }

    /// Some upkeep of the index; gives whether there may be more.
    ///
    /// # Errors
    /// The index failed.
    pub fn upkeep(&self) -> Result<bool, Error> {
        self.index.upkeep()
    }

    /// Some slower upkeep of the index, on another thread; gives whether there may be more.
    ///
    /// # Errors
    /// The index failed.
    pub fn compact(&self) -> Result<bool, Error> {
        self.index.compact()
    }

    /// Whether apply should wait for upkeep.
    pub(crate) fn congestion(&self) -> Congestion {
        self.index.congestion()
    }

    /// The position of the index, which a flush makes durable.
    ///
    /// # Errors
    /// The index failed.
    pub fn flush_index(&self) -> Result<Position, Error> {
        let _one_at_a_time = self.applying.lock();
        self.index.flush()?;
        Ok(self.index.applied())
    }
}

fn note_heads(applied: &Applied, heads: &mut Heads) {
    for change in &applied.changes {
        let key = (change.record.type_id, change.record.id.clone());
        heads.insert(key, (change.record.clone(), Arc::clone(&change.terms)));
    }
}
