//! The committer: one account's writes from decision to index, as steps.
//!
//! ```text
//!  submit: decide (one at a time) ─▶ finish (callers' threads) ─▶ queue, in order
//!                                                                  │ append   log
//!                                                                  │ sync     one fdatasync a group
//!                                                                  ▼
//!                            done called, durable ◀────────────────┤
//!                                                                  │ apply    index, behind
//!                                                                  ▼
//!                                                     applied: history, search
//! ```
//! Every step is a plain method: the threads around it are in [`crate::Account`]; the simulator
//! and tests call the steps themselves, in one thread.

mod apply;
mod finish;
mod follow;
mod progress;
mod queue;
mod read;
mod recent;
mod room;
mod sequencer;

pub use follow::Rewound;

use crate::commit::{Commit, CommitKind};
use crate::digest::Window;
use crate::disk::Disk;
use crate::index::{Bodies, Index, Record};
use crate::log::{self, Entry, Log, Reader, SecondaryMark};
use crate::{
    Applied, Committed, Done, Engine, Error, Idempotency, Outcome, Refused, Status, Term, Write,
};
use apply::Pending;
use base::{Clock, Position, ResourceId, Seq, Stamp};
use bytes::Bytes;
use fhir::TypeId;
use finish::{finish, outcome};
use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex, RwLock};
use progress::Progress;
use queue::{Answer, Item, Queue};
use room::Room;
pub(crate) use room::Writer;
use sequencer::{Decision, Note, Sequencer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Limits of a committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Commits decided and not yet durable; above it writes are refused as busy.
    pub queue_commits: usize,
    /// Commits in one group, synced as one.
    pub group_commits: usize,
    /// Commits durable and not yet applied; above it no group is appended.
    pub behind_commits: usize,
    /// Changes applied in one batch.
    pub batch_changes: usize,
    /// Newest changes kept for conditions that were resolved a moment ago.
    pub recent_changes: usize,
    /// How long a read waits for the index.
    pub wait: base::Span,
    /// The log's.
    pub log: log::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_commits: 4096,
            group_commits: 256,
            behind_commits: 8192,
            batch_changes: 512,
            recent_changes: 16_384,
            wait: base::Span::from_secs(10),
            log: log::Settings::default(),
        }
    }
}

/// Where an account's store lives.
pub struct Place {
    /// The data directory.
    pub disk: Arc<dyn Disk>,
    /// The folder of the account's log in it.
    pub log_dir: String,
    /// Its index engine.
    pub engine: Engine,
}

/// Told now and then while an index is made from the log: commits done, commits in all.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Told of each durable end; it must not block.
pub type Watcher = Box<dyn Fn(&Position) + Send + Sync>;

/// One account's committer.
pub struct Core {
    settings: Settings,
    clock: Arc<dyn Clock>,
    index: Box<dyn Index>,
    bodies: Bodies,
    reader: Reader,
    sequencer: Mutex<Sequencer>,
    queue: Mutex<Queue>,
    /// The first place of the queue was filled, or the threads are to stop.
    ready: Condvar,
    log: Mutex<Log>,
    unsynced: Mutex<Vec<(Item, Position)>>,
    pending: Mutex<VecDeque<Pending>>,
    /// There is something to apply, or the threads are to stop.
    to_apply: Condvar,
    applying: Mutex<()>,
    window: Mutex<Window>,
    /// Newest durable versions that are not applied yet.
    overlay: Mutex<HashMap<(TypeId, ResourceId), Record>>,
    progress: Progress,
    mark: Mutex<Option<SecondaryMark>>,
    watchers: Mutex<Vec<Watcher>>,
    paused: Mutex<()>,
    resume: Condvar,
    failed: AtomicBool,
    room: Room,
    /// The index contradicts itself, and is to be made anew.
    suspect: AtomicBool,
    /// Held for reading while the index answers; what makes the index anew waits for it.
    serving: RwLock<()>,
    /// Nobody else applies: who waits for the index does it.
    inline: bool,
}

impl Core {
    /// Opens an account's log, making one where there is none, and brings its index up to it.
    /// `inline`: there are no threads, and who waits for the index applies.
    ///
    /// # Errors
    /// Those of the log; of the index only when it cannot be made anew either.
    pub fn open(
        place: Place,
        settings: Settings,
        clock: Arc<dyn Clock>,
        inline: bool,
        progress: OnProgress<'_>,
    ) -> Result<Self, Error> {
        let (log, recovered) = Log::open_or_create(place.disk, &place.log_dir, settings.log)?;
        if recovered.cut_bytes > 0 {
            tracing::warn!(bytes = recovered.cut_bytes, "cut a torn tail of the log");
        }
        let reader = log.reader();
        let index = place.engine.open()?;
        let end = log.end();
        let core = Self {
            settings,
            clock,
            bodies: Bodies::new(reader.clone()),
            reader,
            sequencer: Mutex::new(Sequencer::new(settings.queue_commits, settings.recent_changes)),
            queue: Mutex::default(),
            ready: Condvar::new(),
            log: Mutex::new(log),
            unsynced: Mutex::default(),
            pending: Mutex::default(),
            to_apply: Condvar::new(),
            applying: Mutex::default(),
            window: Mutex::new(Window::new(index.applied(), index.digest())),
            overlay: Mutex::default(),
            progress: Progress::new(end, index.applied()),
            index,
            mark: Mutex::default(),
            watchers: Mutex::default(),
            paused: Mutex::default(),
            resume: Condvar::new(),
            failed: AtomicBool::new(false),
            room: Room::default(),
            suspect: AtomicBool::new(false),
            serving: RwLock::new(()),
            inline,
        };
        core.catch_up(progress)?;
        Ok(core)
    }

    /// Begins a term of writing. The queue is empty, and the log's end is where the term begins.
    ///
    /// # Errors
    /// [`Error::Busy`] while a former term's commits are in flight.
    pub fn set_term(&self, term: Term) -> Result<(), Error> {
        let end = self.reader.durable();
        self.wait_applied(end.seq)?;
        let end_stamp = self.end_stamp()?;
        let mut sequencer = self.sequencer.lock();
        if sequencer.in_flight > 0 || self.log.lock().end() != end {
            let (limit, retry) = (0, base::Span::from_ms(20));
            return Err(Error::Busy { limit, retry });
        }
        sequencer.begin(term, end.seq, end_stamp);
        Ok(())
    }

    /// Raises the stamp ceiling of the present term.
    pub fn extend_term(&self, stamp_ceiling: Stamp) {
        self.sequencer.lock().extend(stamp_ceiling);
    }

    /// Decides nothing more. What is in flight becomes durable; `Status::in_flight` tells when.
    pub fn end_term(&self) {
        self.sequencer.lock().end();
    }

    /// What is known of the secondary, to be written into each frame from now on (PROTOCOL E4).
    pub fn set_mark(&self, mark: Option<SecondaryMark>) {
        *self.mark.lock() = mark;
    }

    /// Calls `watcher` after every sync with the durable end. It must not block.
    pub fn watch(&self, watcher: Watcher) {
        self.watchers.lock().push(watcher);
    }

    /// A handle for reading the log.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Whether a write or fsync of the log failed: the process must stop.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Stamp of the log's last commit.
    fn end_stamp(&self) -> Result<Stamp, Error> {
        let end = self.reader.durable();
        let Some(frame) = self.reader.read(end.seq)? else { return Ok(Stamp::ZERO) };
        match frame.payload.bytes() {
            Some(bytes) => Ok(Commit::decode(bytes)?.head.stamp),
            None => Ok(Stamp::ZERO),
        }
    }

    /// See [`crate::AccountStore::submit`].
    pub fn submit(&self, write: Write, done: Done) {
        if self.has_failed() {
            return done(Err(refused(Error::Stopped, Applied::No)));
        }
        let now = self.clock.wall();
        let mut sequencer = self.sequencer.lock();
        let decision = match self.check_index() {
            Ok(()) => sequencer.decide(write, now, self.index.as_ref()),
            Err(error) => Err(refused(error, Applied::No)),
        };
        let answer = match decision {
            Ok(Decision::Commit(plan)) => {
                let ticket = self.queue.lock().reserve();
                drop(sequencer);
                return self.finish(*plan, ticket, done);
            }
            Ok(Decision::Replay(seq)) => (seq, Answer::Replay(seq)),
            Ok(Decision::Nothing(seq, steps)) => {
                let outcomes = steps.into_iter().map(|step| outcome(step, None)).collect();
                (seq, Answer::Nothing(outcomes))
            }
            Err(refused) => (refused.after, Answer::Refused(refused)),
        };
        let (after, answer) = answer;
        if after <= self.progress.durable_seq() {
            drop(sequencer);
            return self.answer(answer, done);
        }
        self.queue.lock().push(Item::Answer(answer, done));
        drop(sequencer);
        self.ready.notify_one();
    }

    /// Writes a commit of another kind: an epoch's opening, settings, a quarantine.
    pub fn submit_record(&self, kind: CommitKind, record: Bytes, done: Done) {
        let now = self.clock.wall();
        let mut sequencer = self.sequencer.lock();
        match sequencer.decide_note(Note { kind, record }, now) {
            Ok(plan) => {
                let ticket = self.queue.lock().reserve();
                drop(sequencer);
                self.finish(plan, ticket, done);
            }
            Err(error) => {
                drop(sequencer);
                done(Err(refused(error, Applied::No)));
            }
        }
    }

    fn finish(&self, plan: sequencer::Plan, ticket: queue::Ticket, done: Done) {
        // What is decided after it builds on it: if it cannot be made, nothing can go on.
        let unfinished = Unfinished(self);
        let finished = finish(plan, &self.bodies);
        std::mem::forget(unfinished);
        let item = match finished {
            Ok(finished) => Item::Commit(Box::new(finished), done),
            Err(error) => {
                tracing::error!(%error, "a commit could not be made");
                self.fail();
                return done(Err(refused(error, Applied::Unknown)));
            }
        };
        match self.queue.lock().fill(ticket, item) {
            Ok(true) => {
                self.ready.notify_one();
            }
            Ok(false) => {}
            Err(item) => give_up(*item),
        }
    }

    /// Appends a group to the log, if there is one; gives how many commits.
    ///
    /// # Errors
    /// [`log::Error::Full`]: nothing changed, try again. Others: the store has failed.
    pub fn append(&self) -> Result<usize, Error> {
        if self.has_failed() {
            return Err(Error::Stopped);
        }
        if self.progress.behind() > self.settings.behind_commits as u64 {
            if !self.inline {
                self.progress.wait_behind(self.settings.behind_commits as u64, self.settings.wait);
            }
            return Ok(0);
        }
        let mut log = self.log.lock();
        let bytes = log.group_bytes_max();
        let group = self.queue.lock().take(self.settings.group_commits, bytes);
        if group.is_empty() {
            return Ok(0);
        }
        let secondary = *self.mark.lock();
        let entry = |item: &Item| match item {
            Item::Commit(finished, _) => {
                Some(Entry { epoch: finished.epoch, secondary, payload: finished.payload.clone() })
            }
            Item::Answer(..) => None,
        };
        let entries: Vec<Entry> = group.iter().filter_map(entry).collect();
        let commits = entries.len();
        let positions = match log.append(entries) {
            Ok(positions) => positions,
            Err(error) => {
                self.queue.lock().put_back(group);
                if !matches!(error, log::Error::Full { .. }) {
                    self.fail();
                }
                return Err(error.into());
            }
        };
        let mut positions = positions.into_iter();
        let end = log.end();
        let with_position = |item: Item| match &item {
            Item::Commit(finished, _) => {
                let position = positions.next().expect("the log gives one for each commit");
                assert!(position.seq == finished.seq, "the log and the sequencer count alike");
                (item, position)
            }
            Item::Answer(..) => (item, end),
        };
        self.unsynced.lock().extend(group.into_iter().map(with_position));
        self.progress.set_end(end);
        Ok(commits)
    }

    /// Makes durable what was appended, hands it to the index, and tells who waits.
    ///
    /// # Errors
    /// The store has failed.
    pub fn sync(&self) -> Result<(), Error> {
        let group = std::mem::take(&mut *self.unsynced.lock());
        if group.is_empty() {
            return Ok(());
        }
        let synced = self.log.lock().sync();
        let durable = match synced {
            Ok(durable) => durable,
            Err(error) => {
                self.fail();
                group.into_iter().for_each(|(item, _)| give_up(item));
                return Err(error.into());
            }
        };
        let mut told = Vec::with_capacity(group.len());
        let mut applied = Vec::with_capacity(group.len());
        for (item, position) in group {
            match item {
                Item::Commit(finished, done) => {
                    let mut commit = finished.applied;
                    commit.position = position;
                    applied.push(commit);
                    let outcomes = finished.outcomes;
                    let committed = Committed { position, outcomes, replayed: false };
                    told.push((Ok(committed), done));
                }
                Item::Answer(answer, done) => told.push((Err(answer), done)),
            }
        }
        self.sequencer.lock().in_flight -= applied.len();
        self.hand_over(applied, durable);
        for (what, done) in told {
            match what {
                Ok(committed) => done(Ok(committed)),
                Err(answer) => self.answer(answer, done),
            }
        }
        self.watchers.lock().iter().for_each(|watcher| watcher(&durable));
        Ok(())
    }

    /// Shows a synced group: to point reads at once, to the index as work.
    fn hand_over(&self, group: Vec<crate::index::Applied>, durable: Position) {
        let mut overlay = self.overlay.lock();
        for change in group.iter().flat_map(|applied| &applied.changes) {
            let key = (change.record.type_id, change.record.id.clone());
            overlay.insert(key, change.record.clone());
        }
        drop(overlay);
        self.pending.lock().extend(group.into_iter().map(Pending::Ready));
        self.progress.set_durable(durable);
        self.to_apply.notify_one();
    }

    /// Gives an answer whose dependencies are durable.
    fn answer(&self, answer: Answer, done: Done) {
        match answer {
            Answer::Refused(refused) => done(Err(refused)),
            Answer::Nothing(outcomes) => {
                let position = self.progress.durable();
                done(Ok(Committed { position, outcomes, replayed: false }));
            }
            Answer::Replay(seq) => {
                done(self.replayed(seq).map_err(|error| refused(error, Applied::Unknown)));
            }
        }
    }

    /// A commit's outcomes, once more.
    fn replayed(&self, seq: Seq) -> Result<Committed, Error> {
        let gone = Error::Corrupt { what: "the place of an idempotency key" };
        let Some(frame) = self.reader.read(seq)? else { return Err(gone) };
        let position = frame.position;
        let Some(bytes) = frame.payload.bytes() else { return Err(gone) };
        let commit = Commit::decode(bytes)?;
        let stamp = commit.head.stamp;
        let outcome = |change: crate::commit::Change| Outcome {
            type_id: change.type_id,
            id: change.id,
            version: change.version,
            stamp,
            effect: change.effect,
            body: None,
        };
        let outcomes = commit.changes.into_iter().map(outcome).collect();
        Ok(Committed { position, outcomes, replayed: true })
    }

    /// See [`crate::AccountStore::recall`].
    pub(crate) fn recall(&self, idempotency: &Idempotency) -> Result<Option<Committed>, Error> {
        let hash = idempotency.key_hash();
        let now = self.clock.wall();
        let entry = {
            let sequencer = self.sequencer.lock();
            self.check_index()?;
            sequencer.key(&hash, now, self.index.as_ref())?
        };
        match entry {
            None => Ok(None),
            Some(entry) if entry.request_hash != idempotency.request_hash => Err(Error::KeyReused),
            Some(entry) if entry.seq > self.progress.durable_seq() => Ok(None),
            Some(entry) => self.replayed(entry.seq).map(Some),
        }
    }

    /// Nothing goes on: everything in the queue is told so.
    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        let items = self.queue.lock().drain();
        items.into_iter().for_each(give_up);
    }

    /// Where the account stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let (term, in_flight, disk_full) = {
            let sequencer = self.sequencer.lock();
            (sequencer.term(), sequencer.in_flight as u64, sequencer.disk_full)
        };
        let (end, durable, applied) = self.progress.all();
        let resources = self.index.resources();
        Status { end, durable, applied, term, resources, in_flight, disk_full }
    }

    /// Waits until there is a group to append, `stop` is set, or the time is over.
    pub(crate) fn wait_ready(&self, stop: &AtomicBool, at_most: base::Span) {
        let mut queue = self.queue.lock();
        if !queue.is_ready() && !stop.load(Ordering::Acquire) {
            self.ready.wait_for(&mut queue, at_most.std());
        }
    }

    /// Waits until woken or the time is over, unless `stop` is set.
    pub(crate) fn pause(&self, stop: &AtomicBool, at_most: base::Span) {
        let mut paused = self.paused.lock();
        if !stop.load(Ordering::Acquire) {
            self.resume.wait_for(&mut paused, at_most.std());
        }
    }

    /// A handle for making the next log segment ready.
    pub(crate) fn preparer(&self) -> log::Preparer {
        self.log.lock().preparer()
    }

    /// Wakes the threads, to see that they are to stop.
    pub(crate) fn wake(&self) {
        drop(self.paused.lock());
        self.resume.notify_all();
        drop(self.queue.lock());
        self.ready.notify_all();
        drop(self.pending.lock());
        self.to_apply.notify_all();
    }
}

/// Fails the store when making a commit panics.
struct Unfinished<'a>(&'a Core);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}

fn refused(error: Error, applied: Applied) -> Refused {
    Refused { error, after: Seq::ZERO, applied }
}

/// Tells that the end is not known.
fn give_up(item: Item) {
    let (Item::Commit(_, done) | Item::Answer(_, done)) = item;
    done(Err(refused(Error::Stopped, Applied::Unknown)));
}
