//! The seam to the key-value engine: `get, range, batch, snapshot, flush, stats`. Behind it is
//! `lsm-tree`, which has no journal of its own: what was not flushed is replayed from our log.
//!
//! A batch is atomic: it has one sequence number, readers look at what is published, and a memtable
//! is only ever rotated between two batches. Whatever the engine reports, or panics with, is
//! [`Error::Index`]: the index is made anew.

use super::verify;
use crate::Error;
use crate::index::Congestion;
use lsm_tree::compaction::Leveled;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, Guard, InternalValue, Memtable, SequenceNumberCounter,
    Slice, ValueType,
};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A memtable of so many bytes is flushed: about 8,000 resources, which a start after a kill
/// replays in half a second.
const MEMTABLE_BYTES: u64 = 4 << 20;
/// Cached blocks.
const CACHE_BYTES: u64 = 64 << 20;
/// With more memtables waiting for their flush, apply waits.
const SEALED_MAX: usize = 3;
/// With more runs in the first level, apply is slow: a full compaction takes seconds.
const RUNS_SLOW: usize = 32;
/// With more, it waits.
const RUNS_MAX: usize = 128;
/// With so many runs in the first level, they are compacted.
const RUNS_COMPACT: u8 = 8;
/// Bytes of a merged table. The second level holds as many of them as [`RUNS_COMPACT`]: about what
/// the first brings at once, so that merging the two costs little more than writing it down.
const TABLE_BYTES: u64 = 8 << 20;

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
    /// What gets and batches work on.
    parts: RwLock<Arc<Parts>>,
    /// Held while a batch goes in, and while the memtable is rotated.
    writing: Mutex<()>,
    /// Held from the rotation of a memtable until it is in a table.
    flushing: Mutex<()>,
    /// Held while tables are merged.
    merging: Mutex<()>,
    /// Where the tables are.
    tables: PathBuf,
    /// Readers see what has a lower number.
    published: AtomicU64,
    snapshots: Arc<Mutex<BTreeMap<u64, usize>>>,
}

/// What the tree is made of, newest first. The engine has the same behind a lock that it holds
/// while it syncs its manifest, some tens of milliseconds: nobody who waits for one key waits for
/// that.
struct Parts {
    active: Arc<Memtable>,
    /// Rotated and not in a table yet, oldest first.
    sealed: Vec<Arc<Memtable>>,
    tables: Arc<Tables>,
}

/// Looks a key up in tables, as of a sequence number.
type Find = dyn Fn(&[u8], u64) -> lsm_tree::Result<Option<InternalValue>> + Send + Sync;

/// The tables at one time.
struct Tables {
    /// Counts up with each flush and compaction.
    version: u64,
    /// Runs in the first level.
    runs: usize,
    find: Box<Find>,
}

impl Tables {
    /// Those of the tree now.
    fn now(tree: &AnyTree) -> Self {
        let version = tree.current_version();
        let (id, runs) = (version.id(), version.l0().run_count());
        let find = move |key: &[u8], at: u64| {
            let hash = standard_bloom::Builder::get_hash(key);
            let runs = version.iter_levels().flat_map(|level| level.iter());
            for table in runs.filter_map(|run| run.get_for_key(key)) {
                let found = table.get(key, at, hash)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        };
        Self { version: id, runs, find: Box::new(find) }
    }
}

impl Parts {
    fn get(&self, key: &[u8], at: u64) -> lsm_tree::Result<Option<InternalValue>> {
        let older = || self.sealed.iter().rev().find_map(|memtable| memtable.get(key, at));
        match self.active.get(key, at).or_else(older) {
            Some(found) => Ok(Some(found)),
            None => (self.tables.find)(key, at),
        }
    }
}

/// A view of the tree that does not change.
pub(super) struct Snapshot {
    at: u64,
    parts: Arc<Parts>,
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
            let tables = Arc::new(Tables::now(&tree));
            let parts = Parts { active: tree.active_memtable(), sealed: Vec::new(), tables };
            Ok(Self {
                tree,
                seqno,
                parts: RwLock::new(Arc::new(parts)),
                writing: Mutex::new(()),
                flushing: Mutex::new(()),
                merging: Mutex::new(()),
                tables: dir.join("tables"),
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
        // Taken after `at`: they hold all that was published.
        Snapshot { at, parts: self.parts(), open: Arc::clone(&self.snapshots) }
    }

    /// The value of a key.
    pub(super) fn get(&self, view: &Snapshot, key: &[u8]) -> Result<Option<Slice>, Error> {
        guarded(|| {
            let found = view.parts.get(key, view.at).map_err(failed)?;
            Ok(found.filter(|found| !found.is_tombstone()).map(|found| found.value))
        })
    }

    fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.parts.read())
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
            let memtable = &self.parts().active;
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
        let parts = self.parts();
        if parts.active.size() < MEMTABLE_BYTES && parts.sealed.is_empty() {
            return Ok(false);
        }
        self.flush().map(|()| true)
    }

    /// Makes every batch so far durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.sweeping(|| {
            let _flushing = self.flushing.lock();
            self.rotate();
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, self.watermark()).map_err(failed)?;
            drop(lock);
            self.show(self.tree.sealed_memtable_count() == 0);
            self.publish();
            Ok(())
        })
    }

    /// Writes tables. Those begun and not finished for want of room are removed: the engine leaves
    /// them, and each further try would take what room there is by then.
    fn sweeping<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let newest = self.named().last().copied();
        let done = guarded(work);
        if matches!(done, Err(Error::IndexFull)) {
            let (_flushing, _merging) = (self.flushing.lock(), self.merging.lock());
            let named = self.named();
            let unfinished = |id: &u64| Some(*id) > newest && !named.contains(id);
            for id in self.files().filter(unfinished) {
                if let Err(error) = std::fs::remove_file(self.tables.join(id.to_string())) {
                    tracing::warn!(%error, id, "an unfinished table of the index is left");
                }
            }
        }
        done
    }

    /// The tables there are now, by the engine's numbers, which only rise.
    fn named(&self) -> BTreeSet<u64> {
        self.tree.current_version().iter_tables().map(|table| table.id()).collect()
    }

    /// The numbers of the tables' files, those of unfinished ones too.
    fn files(&self) -> impl Iterator<Item = u64> {
        let files = std::fs::read_dir(&self.tables).into_iter().flatten().flatten();
        files.filter_map(|file| file.file_name().to_str()?.parse().ok())
    }

    /// Puts an empty memtable in front.
    fn rotate(&self) {
        let _writing = self.writing.lock();
        let Some(full) = self.tree.rotate_memtable() else { return };
        let active = self.tree.active_memtable();
        let mut parts = self.parts.write();
        let sealed = parts.sealed.iter().cloned().chain([full]).collect();
        *parts = Arc::new(Parts { active, sealed, tables: Arc::clone(&parts.tables) });
    }

    /// Shows the tables there are now; `flushed`: all that was rotated is in them.
    fn show(&self, flushed: bool) {
        let tables = Arc::new(Tables::now(&self.tree));
        let mut parts = self.parts.write();
        // A flush and a compaction may come here in the other order than they ended.
        let newer = tables.version > parts.tables.version;
        let tables = if newer { tables } else { Arc::clone(&parts.tables) };
        let sealed = if flushed { Vec::new() } else { parts.sealed.clone() };
        *parts = Arc::new(Parts { active: Arc::clone(&parts.active), sealed, tables });
    }

    /// Compacts one step; gives whether there was something to do.
    pub(super) fn compact(&self) -> Result<bool, Error> {
        self.sweeping(|| {
            let _merging = self.merging.lock();
            let before = self.parts().tables.version;
            let strategy = Leveled::default()
                .with_l0_threshold(RUNS_COMPACT)
                .with_table_target_size(TABLE_BYTES);
            self.tree.compact(Arc::new(strategy), self.watermark()).map_err(failed)?;
            self.show(false);
            self.publish();
            Ok(self.parts().tables.version != before)
        })
    }

    /// Whether writers should wait for flush or compaction.
    pub(super) fn congestion(&self) -> Congestion {
        let parts = self.parts();
        let in_memory = parts.sealed.len() > SEALED_MAX || parts.active.size() > 2 * MEMTABLE_BYTES;
        match parts.tables.runs {
            _ if in_memory => Congestion::Full,
            runs if runs > RUNS_MAX => Congestion::Full,
            runs if runs > RUNS_SLOW => Congestion::Slow,
            _ => Congestion::None,
        }
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
    match error {
        lsm_tree::Error::Io(error)
            if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            Error::IndexFull
        }
        error => Error::Index(error.to_string()),
    }
}

fn panicked() -> Error {
    Error::Index("it panicked".to_owned())
}

/// Damage may make the engine panic as well as report.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCHES: u32 = 300;
    const KEYS: u32 = 40;

    fn key(batch: u32, number: u32) -> Vec<u8> {
        format!("{:08x}-{batch}", number.wrapping_mul(0x9E37_79B9)).into_bytes()
    }

    #[test]
    fn what_was_written_is_found_while_memtables_become_tables_and_tables_are_merged() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::open(folder.path()).expect("opens");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let upkeep = scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    tree.flush().expect("flushes");
                }
            });
            let merge = scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    tree.compact().expect("compacts");
                }
            });
            for batch in 0..BATCHES {
                let put = |number| Op::Put(key(batch, number), batch.to_be_bytes().to_vec());
                let forget = (0..KEYS / 2).map(|number| Op::Remove(key(batch / 2, number)));
                tree.batch((0..KEYS).map(put).chain(forget).collect()).expect("is written");
                let view = tree.snapshot();
                for older in [batch / 3, batch - batch / 4, batch] {
                    for number in [KEYS / 2, KEYS - 1] {
                        let found = tree.get(&view, &key(older, number)).expect("is read");
                        assert_eq!(found.as_deref(), Some(&older.to_be_bytes()[..]));
                    }
                }
                let gone = tree.get(&view, &key(batch / 2, 0)).expect("is read");
                assert!(gone.is_none() || batch == 0, "batch {batch}");
            }
            stop.store(true, Ordering::Release);
            upkeep.join().expect("flushed to the end");
            merge.join().expect("merged to the end");
        });
        let all = tree.range(&tree.snapshot(), &[], &[0xFF]).count();
        assert_eq!(all, (BATCHES * KEYS - BATCHES / 2 * (KEYS / 2)) as usize);
    }

    #[test]
    fn merges_that_are_behind_slow_apply_down_before_they_stop_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::open(folder.path()).expect("opens");
        for batch in 0..=u32::try_from(RUNS_SLOW).expect("small") {
            assert_eq!(tree.congestion(), Congestion::None, "{batch} runs");
            tree.batch(vec![Op::Put(key(0, 1), vec![0])]).expect("is written");
            tree.flush().expect("flushes");
        }
        assert_eq!(tree.congestion(), Congestion::Slow);
        while tree.compact().expect("compacts") {}
        assert_eq!(tree.congestion(), Congestion::None);
    }
}
