//! The seam to the key-value engine: `get, range, batch, snapshot, flush, stats`. Behind it is
//! `lsm-tree`, which has no journal of its own: what was not flushed is replayed from our log.
//!
//! A batch is atomic: it has one sequence number, readers look at what is published, and a memtable
//! is only ever rotated between two batches. Whatever the engine reports, or panics with, is
//! [`Error::Index`]: the index is made anew.

use super::verify;
use crate::Error;
use lsm_tree::compaction::Leveled;
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, Guard, InternalValue, SequenceNumberCounter, Slice,
    ValueType,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A memtable of so many bytes is flushed: about 8,000 resources, which a start after a kill
/// replays in half a second.
const MEMTABLE_BYTES: u64 = 4 << 20;
/// Cached blocks.
const CACHE_BYTES: u64 = 64 << 20;
/// With more memtables waiting for their flush, apply waits.
const SEALED_MAX: usize = 3;
/// With more runs in the first level, apply waits.
const RUNS_MAX: usize = 24;
/// With so many runs in the first level, they are compacted.
const RUNS_COMPACT: u8 = 4;

/// One change of a batch.
pub(super) enum Op {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// A key and its value.
pub(super) type Pair = (Slice, Slice);

/// The open tree.
pub(super) struct Tree {
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    /// Held while a batch goes in, and while the memtable is rotated.
    writing: Mutex<()>,
    /// Readers see what has a lower number.
    published: AtomicU64,
    snapshots: Arc<Mutex<BTreeMap<u64, usize>>>,
}

/// A view of the tree that does not change.
pub(super) struct Snapshot {
    at: u64,
    open: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.at);
            }
        }
    }
}

/// What a stats call tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stats {
    pub(super) disk_bytes: u64,
    pub(super) tables: usize,
}

impl Tree {
    /// Opens the tree in a folder, or makes one; checks every file against its checksum.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        guarded(|| {
            verify::manifest(dir)?;
            let (seqno, visible) =
                (SequenceNumberCounter::default(), SequenceNumberCounter::default());
            let tree = Config::new(dir, seqno.clone(), visible)
                .use_cache(Arc::new(Cache::with_capacity_bytes(CACHE_BYTES)))
                .open()
                .map_err(failed)?;
            for table in tree.current_version().iter_tables() {
                verify::table(dir, table.id(), table.checksum().into_u128())?;
            }
            let next = tree.get_highest_persisted_seqno().map_or(1, |highest| highest + 1);
            seqno.set(next);
            Ok(Self {
                tree,
                seqno,
                writing: Mutex::new(()),
                published: AtomicU64::new(next),
                snapshots: Arc::default(),
            })
        })
    }

    /// A view of all batches so far.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut open = self.snapshots.lock();
        let at = self.published.load(Ordering::Acquire);
        *open.entry(at).or_default() += 1;
        Snapshot { at, open: Arc::clone(&self.snapshots) }
    }

    /// The value of a key.
    pub(super) fn get(&self, view: &Snapshot, key: &[u8]) -> Result<Option<Slice>, Error> {
        guarded(|| self.tree.get(key, view.at).map_err(failed))
    }

    /// The pairs with keys from `from` up to, and not including, `to`.
    pub(super) fn range(&self, view: &Snapshot, from: &[u8], to: &[u8]) -> Pairs {
        if from >= to {
            return Pairs(None);
        }
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(from), Bound::Excluded(to));
        let pairs = catch_unwind(AssertUnwindSafe(|| {
            Box::new(self.tree.range::<&[u8], _>(bounds, view.at, None).map(Guard::into_inner))
        }));
        match pairs {
            Ok(pairs) => Pairs(Some(pairs)),
            Err(_) => Pairs(Some(Box::new(std::iter::once(Err(lsm_tree::Error::Unrecoverable))))),
        }
    }

    /// Writes all of it at once. Not durable before a flush.
    pub(super) fn batch(&self, ops: Vec<Op>) -> Result<(), Error> {
        guarded(|| {
            let _writing = self.writing.lock();
            let seqno = self.seqno.next();
            let memtable = self.tree.active_memtable();
            for op in ops {
                memtable.insert(match op {
                    Op::Put(key, value) => {
                        InternalValue::from_components(key, value, seqno, ValueType::Value)
                    }
                    Op::Remove(key) => InternalValue::new_tombstone(key, seqno),
                });
            }
            self.published.store(seqno + 1, Ordering::Release);
            Ok(())
        })
    }

    /// Nothing below this is looked at any more.
    fn watermark(&self) -> u64 {
        let open = self.snapshots.lock();
        let published = self.published.load(Ordering::Acquire);
        open.keys().next().copied().unwrap_or(published).min(published)
    }

    /// Shows what flushes and compactions numbered, so that old files can go.
    fn publish(&self) {
        let _writing = self.writing.lock();
        self.published.fetch_max(self.seqno.get(), Ordering::AcqRel);
    }

    /// Flushes memtables that are full; gives whether there was one.
    pub(super) fn flush_full(&self) -> Result<bool, Error> {
        if self.tree.active_memtable().size() < MEMTABLE_BYTES
            && self.tree.sealed_memtable_count() == 0
        {
            return Ok(false);
        }
        self.flush().map(|()| true)
    }

    /// Makes every batch so far durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        guarded(|| {
            {
                let _writing = self.writing.lock();
                self.tree.rotate_memtable();
            }
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, self.watermark()).map_err(failed)?;
            drop(lock);
            self.publish();
            Ok(())
        })
    }

    /// Compacts one step; gives whether there was something to do.
    pub(super) fn compact(&self) -> Result<bool, Error> {
        guarded(|| {
            let before = self.tree.current_version().id();
            let strategy = Leveled::default().with_l0_threshold(RUNS_COMPACT);
            self.tree.compact(Arc::new(strategy), self.watermark()).map_err(failed)?;
            self.publish();
            Ok(self.tree.current_version().id() != before)
        })
    }

    /// Whether writers should wait for flush or compaction.
    pub(super) fn congested(&self) -> bool {
        self.tree.sealed_memtable_count() > SEALED_MAX
            || self.tree.active_memtable().size() > 2 * MEMTABLE_BYTES
            || self.tree.l0_run_count() > RUNS_MAX
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { disk_bytes: self.tree.disk_space(), tables: self.tree.table_count() }
    }
}

/// Pairs of a range, in order from either end.
pub(super) struct Pairs(Option<Box<dyn DoubleEndedIterator<Item = lsm_tree::Result<Pair>> + Send>>);

impl Pairs {
    fn step(
        &mut self,
        step: impl FnOnce(
            &mut (dyn DoubleEndedIterator<Item = lsm_tree::Result<Pair>> + Send),
        ) -> Option<lsm_tree::Result<Pair>>,
    ) -> Option<Result<Pair, Error>> {
        let pairs = self.0.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| step(pairs.as_mut()))) {
            Ok(pair) => pair.map(|pair| pair.map_err(failed)),
            Err(_) => {
                self.0 = None;
                Some(Err(panicked()))
            }
        }
    }
}

impl Iterator for Pairs {
    type Item = Result<Pair, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.step(|pairs| pairs.next())
    }
}
impl DoubleEndedIterator for Pairs {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(|pairs| pairs.next_back())
    }
}

fn failed(error: lsm_tree::Error) -> Error {
    Error::Index(error.to_string())
}

fn panicked() -> Error {
    Error::Index("it panicked".to_owned())
}

/// Damage may make the engine panic as well as report.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}
