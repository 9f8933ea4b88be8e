//! A disk in memory that crashes, tears, fills up and fails, deterministically.
//!
//! What a crash may do, each with its chance from the given source: lose any unsynced page, keep a
//! later one, keep an earlier unsynced content of a page, mix two contents of a page by sectors,
//! keep or lose the unsynced length, and cut the unsynced changes of names in each folder at any
//! point. It never touches what was synced.

use super::{Disk, File, PAGE_BYTES, folder};
use base::Rng;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

type Page = Arc<[u8; PAGE_BYTES]>;
type Inode = u64;

/// What the hardware writes as one.
const SECTOR_BYTES: usize = 512;
/// Unsynced contents of one page that a crash can choose from.
const VERSIONS_MAX: usize = 4;

/// A disk in memory. Clones share it; [`SimDisk::crash`] voids all open handles.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<Inode, Content>,
    next: Inode,
    names: BTreeMap<String, Inode>,
    kept_names: BTreeMap<String, Inode>,
    pending: Vec<NameChange>,
    boot: u64,
    capacity_pages: Option<u64>,
    failing_syncs: u32,
    lying: bool,
    /// Changes still allowed before the power is cut.
    fuse: Option<u64>,
    dead: bool,
    syncs: u64,
    changes: u64,
}

#[derive(Clone)]
enum NameChange {
    Set { name: String, inode: Inode },
    Rename { from: String, to: String, inode: Inode },
    Remove { name: String },
}

#[derive(Default)]
struct Content {
    kept: BTreeMap<u64, Page>,
    kept_len: u64,
    /// Contents of each page since the last sync, newest last.
    dirty: BTreeMap<u64, Vec<Page>>,
    /// Dropped by a failed sync: still read, never to be written.
    lost: BTreeMap<u64, Page>,
    len: u64,
}

struct SimFile {
    state: Arc<Mutex<State>>,
    inode: Inode,
    boot: u64,
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

fn no_such_file() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such file")
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
}

impl SimDisk {
    /// An empty disk without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power: loses a random part of what is not synced, closes all handles, and is then
    /// ready for the next start. A pending [`SimDisk::cut_power_after`] is over.
    pub fn crash(&self, rng: &mut dyn Rng) {
        let state = &mut *self.state.lock();
        state.boot += 1;
        state.dead = false;
        state.fuse = None;
        state.failing_syncs = 0;
        state.crash_names(rng);
        for content in state.files.values_mut() {
            content.crash(rng);
        }
        let State { files, names, .. } = state;
        files.retain(|inode, _| names.values().any(|named| named == inode));
    }

    /// Ends the process without a power cut: handles close, nothing written is lost.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.boot += 1;
        state.dead = false;
        state.fuse = None;
    }

    /// After this many more changes (writes, syncs, changes of names) everything fails, until
    /// [`SimDisk::crash`].
    pub fn cut_power_after(&self, changes: u64) {
        self.state.lock().fuse = Some(changes);
    }

    /// The next `count` syncs fail, and what they should have written never gets to the disk
    /// unless it is written again.
    pub fn fail_syncs(&self, count: u32) {
        self.state.lock().failing_syncs = count;
    }

    /// Makes syncs succeed without doing anything: the planted bug of answering, or shipping,
    /// before the fsync.
    pub fn set_lying(&self, lying: bool) {
        self.state.lock().lying = lying;
    }

    /// Limits the disk to this many bytes, in whole pages; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_pages = bytes.map(|bytes| bytes / PAGE_BYTES as u64);
    }

    /// Flips one bit of a file, as a failing medium does.
    ///
    /// # Errors
    /// When there is no such file or it has no such byte.
    pub fn flip_bit(&self, name: &str, at: u64, bit: u8) -> io::Result<()> {
        let state = &mut *self.state.lock();
        let inode = state.names.get(name).copied().ok_or_else(no_such_file)?;
        let content = state.files.get_mut(&inode).ok_or_else(no_such_file)?;
        if at >= content.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (page, within) = place(at);
        let mut changed = *content.page(page);
        changed[within] ^= 1 << (bit % 8);
        content.dirty.remove(&page);
        content.lost.remove(&page);
        content.kept.insert(page, Arc::new(changed));
        content.kept_len = content.kept_len.max(content.len);
        Ok(())
    }

    /// Syncs that succeeded so far, of files and folders; those that were a lie do not count.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Changes so far: what [`SimDisk::cut_power_after`] counts.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }
}

/// The page that holds a byte, and where in it.
fn place(at: u64) -> (u64, usize) {
    let page = at / PAGE_BYTES as u64;
    (page, usize::try_from(at % PAGE_BYTES as u64).expect("below the size of a page"))
}

fn zero_page() -> Page {
    static ZERO: std::sync::OnceLock<Page> = std::sync::OnceLock::new();
    Arc::clone(ZERO.get_or_init(|| Arc::new([0; PAGE_BYTES])))
}

impl State {
    fn alive(&self, boot: u64) -> io::Result<()> {
        if self.dead || self.boot != boot { Err(crashed()) } else { Ok(()) }
    }

    /// Counts a change, and cuts the power when the fuse is burnt.
    fn change(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(crashed());
        }
        if let Some(fuse) = &mut self.fuse {
            if *fuse == 0 {
                self.dead = true;
                return Err(crashed());
            }
            *fuse -= 1;
        }
        self.changes += 1;
        Ok(())
    }

    fn fail_sync(&mut self) -> bool {
        let fails = self.failing_syncs > 0;
        self.failing_syncs = self.failing_syncs.saturating_sub(1);
        fails
    }

    fn pages_used(&self) -> u64 {
        self.files.values().map(Content::pages_used).sum()
    }

    fn crash_names(&mut self, rng: &mut dyn Rng) {
        let mut by_folder: BTreeMap<String, Vec<NameChange>> = BTreeMap::new();
        for change in std::mem::take(&mut self.pending) {
            by_folder.entry(change.folder().to_owned()).or_default().push(change);
        }
        for changes in by_folder.into_values() {
            let kept = usize::try_from(rng.below(changes.len() as u64 + 1)).unwrap_or(0);
            for change in changes.into_iter().take(kept) {
                change.apply(&mut self.kept_names);
            }
        }
        self.names = self.kept_names.clone();
    }
}

impl NameChange {
    fn folder(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Remove { name } => folder(name),
            Self::Rename { to, .. } => folder(to),
        }
    }

    fn apply(self, names: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Set { name, inode } => {
                names.insert(name, inode);
            }
            Self::Rename { from, to, inode } => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Self::Remove { name } => {
                names.remove(&name);
            }
        }
    }
}

impl Content {
    fn page(&self, page: u64) -> Page {
        self.dirty
            .get(&page)
            .and_then(|versions| versions.last())
            .or_else(|| self.lost.get(&page))
            .or_else(|| self.kept.get(&page))
            .map_or_else(zero_page, Arc::clone)
    }

    fn has_page(&self, page: u64) -> bool {
        self.dirty.contains_key(&page)
            || self.lost.contains_key(&page)
            || self.kept.contains_key(&page)
    }

    fn pages_used(&self) -> u64 {
        let unsynced = self
            .dirty
            .keys()
            .chain(self.lost.keys().filter(|page| !self.dirty.contains_key(page)))
            .filter(|page| !self.kept.contains_key(page))
            .count();
        (self.kept.len() + unsynced) as u64
    }

    fn write(&mut self, at: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (page, within) = place(at + done as u64);
            let step = (PAGE_BYTES - within).min(data.len() - done);
            let part = &data[done..done + step];
            let old = self.page(page);
            let new = if step == PAGE_BYTES && part.iter().all(|byte| *byte == 0) {
                zero_page()
            } else {
                let mut changed = *old;
                changed[within..within + step].copy_from_slice(part);
                Arc::new(changed)
            };
            self.lost.remove(&page);
            let versions = self.dirty.entry(page).or_default();
            if versions.len() == VERSIONS_MAX {
                versions.remove(0);
            }
            versions.push(new);
            done += step;
        }
        self.len = self.len.max(at + data.len() as u64);
    }

    fn sync(&mut self) {
        for (page, mut versions) in std::mem::take(&mut self.dirty) {
            if let Some(newest) = versions.pop() {
                self.kept.insert(page, newest);
            }
        }
        self.kept_len = self.len;
    }

    /// A failed sync: the kernel marks the pages clean, so no later sync writes them.
    fn lose(&mut self) {
        for (page, mut versions) in std::mem::take(&mut self.dirty) {
            if let Some(newest) = versions.pop() {
                self.lost.insert(page, newest);
            }
        }
    }

    fn crash(&mut self, rng: &mut dyn Rng) {
        self.lost.clear();
        let dirty = std::mem::take(&mut self.dirty);
        // Some crashes lose everything unsynced, some nothing; the rest choose page by page.
        let mood = rng.below(4);
        for (page, versions) in dirty {
            let old = self.kept.get(&page).map_or_else(zero_page, Arc::clone);
            let pick = usize::try_from(rng.below(versions.len() as u64)).unwrap_or(0);
            let new = &versions[if mood == 1 { versions.len() - 1 } else { pick }];
            let kept = match (mood, rng.below(3)) {
                (0, _) | (2 | 3, 0) => continue,
                (1, _) | (2 | 3, 1) => Arc::clone(new),
                _ => Arc::new(torn(&old, new, rng.next_u64())),
            };
            self.kept.insert(page, kept);
        }
        if self.len != self.kept_len && (mood == 1 || rng.below(2) == 0) {
            self.kept_len = self.len;
        }
        self.len = self.kept_len;
        let pages = self.len.div_ceil(PAGE_BYTES as u64);
        self.kept.retain(|page, _| *page < pages);
    }
}

/// Sectors of `old` and `new`, mixed.
fn torn(old: &Page, new: &Page, mix: u64) -> [u8; PAGE_BYTES] {
    let mut page = **old;
    for sector in 0..PAGE_BYTES / SECTOR_BYTES {
        if mix >> sector & 1 == 1 {
            let bytes = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            page[bytes.clone()].copy_from_slice(&new[bytes]);
        }
    }
    page
}

impl SimDisk {
    fn file(&self, inode: Inode, boot: u64) -> Arc<dyn File> {
        Arc::new(SimFile { state: Arc::clone(&self.state), inode, boot })
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = &mut *self.state.lock();
        state.change()?;
        if state.names.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists"));
        }
        let inode = state.next;
        state.next += 1;
        state.files.insert(inode, Content::default());
        state.names.insert(name.to_owned(), inode);
        state.pending.push(NameChange::Set { name: name.to_owned(), inode });
        Ok(self.file(inode, state.boot))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.state.lock();
        state.alive(state.boot)?;
        let inode = state.names.get(name).copied().ok_or_else(no_such_file)?;
        Ok(self.file(inode, state.boot))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.alive(state.boot)?;
        let within = state.names.keys().filter(|name| folder(name) == dir);
        Ok(within.map(|name| name[dir.len()..].trim_start_matches('/').to_owned()).collect())
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        let state = self.state.lock();
        state.alive(state.boot)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.state.lock();
        state.change()?;
        if folder(from) != folder(to) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "rename within one folder"));
        }
        let inode = state.names.remove(from).ok_or_else(no_such_file)?;
        state.names.insert(to.to_owned(), inode);
        let (from, to) = (from.to_owned(), to.to_owned());
        state.pending.push(NameChange::Rename { from, to, inode });
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.state.lock();
        state.change()?;
        if state.names.contains_key(to) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists"));
        }
        let inode = state.names.get(from).copied().ok_or_else(no_such_file)?;
        state.names.insert(to.to_owned(), inode);
        state.pending.push(NameChange::Set { name: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let state = &mut *self.state.lock();
        if !state.names.contains_key(name) {
            return Err(no_such_file());
        }
        state.change()?;
        state.names.remove(name);
        state.pending.push(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let state = &mut *self.state.lock();
        state.change()?;
        if state.fail_sync() {
            return Err(io::Error::other("simulated failure of a folder's sync"));
        }
        let (now, later) = std::mem::take(&mut state.pending)
            .into_iter()
            .partition(|change| change.folder() == dir);
        state.pending = later;
        let now: Vec<NameChange> = now;
        for change in now {
            change.apply(&mut state.kept_names);
        }
        state.syncs += 1;
        Ok(())
    }
}

impl SimFile {
    fn with<T>(&self, then: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        state.alive(self.boot)?;
        then(&mut state)
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files.get(&self.inode).ok_or_else(no_such_file)?.len))
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let content = state.files.get(&self.inode).ok_or_else(no_such_file)?;
            if at + out.len() as u64 > content.len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut done = 0;
            while done < out.len() {
                let (page, within) = place(at + done as u64);
                let step = (PAGE_BYTES - within).min(out.len() - done);
                out[done..done + step].copy_from_slice(&content.page(page)[within..within + step]);
                done += step;
            }
            Ok(())
        })
    }

    fn write_at(&self, at: u64, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.with(|state| {
            state.change()?;
            let content = state.files.get(&self.inode).ok_or_else(no_such_file)?;
            if let Some(capacity) = state.capacity_pages {
                let (first, last) = (place(at).0, place(at + data.len() as u64 - 1).0);
                let new = (first..=last).filter(|page| !content.has_page(*page)).count() as u64;
                if new > 0 && state.pages_used() + new > capacity {
                    return Err(full());
                }
            }
            state.files.get_mut(&self.inode).ok_or_else(no_such_file)?.write(at, data);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.change()?;
            let fails = state.fail_sync();
            let content = state.files.get_mut(&self.inode).ok_or_else(no_such_file)?;
            if fails {
                content.lose();
                return Err(io::Error::other("simulated failure of fdatasync"));
            }
            if !state.lying {
                content.sync();
                state.syncs += 1;
            }
            Ok(())
        })
    }
}
