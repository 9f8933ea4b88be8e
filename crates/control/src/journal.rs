//! Durable records of register and lease, in space reserved when the file is made.
//!
//! Two files of fixed length. One is active: batches are appended to it and synced before the
//! caller is told. When a batch does not fit, the other file takes a snapshot of all records and
//! that batch, is synced, and only then gets its header, with the next generation: the file with
//! the highest generation counts. A full disk cannot stop it, for no file ever grows.
//!
//! ```text
//! header, 64 bytes: magic (8) · generation (8) · checksum (8) · zeros
//! batch, 64-byte aligned: length (4) · checksum (8) · postcard([(key, value or none)])
//! ```
//! Numbers are little-endian; a checksum is the first 8 bytes of BLAKE3 over generation, offset
//! and payload, so that neither an old generation's bytes nor a moved batch can count. Only the
//! last batch can be torn; a whole batch behind a broken one means damage, and that is refused:
//! an acceptor that forgot a promise is worse than one that is gone.

use crate::Error;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"FBRECO\x00\x01";
const ALIGN: u64 = 64;
const HEAD: usize = 12;

type Batch<'a> = Vec<(&'a [u8], Option<&'a [u8]>)>;

/// The records of one member, open for writing.
pub struct Journal {
    files: [(PathBuf, File); 2],
    active: usize,
    generation: u64,
    end: u64,
    space_bytes: u64,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Journal {
    /// The space each of the two files reserves.
    pub const SPACE_BYTES: u64 = 2 << 20;

    /// Makes the two files in `folder`, zero-filled and synced, with no records.
    pub fn create(folder: &Path, space_bytes: u64) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        for index in 0..2 {
            let path = path_of(folder, index);
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            let file = file.map_err(Error::file("make", &path))?;
            let zeros = vec![0u8; 1 << 16];
            let mut at = 0;
            while at < space_bytes {
                let length = (space_bytes - at).min(1 << 16);
                let part = &zeros[..usize::try_from(length).expect("at most 64 KiB")];
                file.write_all_at(part, at).map_err(Error::file("reserve", &path))?;
                at += length;
            }
            file.sync_all().map_err(Error::file("sync", &path))?;
        }
        sync_folder(folder)?;
        let mut journal = Self {
            files: open_both(folder)?,
            active: 1,
            generation: 0,
            end: space_bytes,
            space_bytes,
            records: BTreeMap::new(),
        };
        journal.switch()
    }

    /// Opens the records; a torn last batch is dropped, it was never answered for.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let files = open_both(folder)?;
        let mut best: Option<(usize, u64, Vec<u8>)> = None;
        let mut space_bytes = 0;
        for (index, (path, file)) in files.iter().enumerate() {
            let length = file.metadata().map_err(Error::file("read", path))?.len();
            let size = usize::try_from(length).map_err(|_| corrupt(path, 0))?;
            let mut bytes = vec![0u8; size];
            file.read_exact_at(&mut bytes, 0).map_err(Error::file("read", path))?;
            space_bytes = space_bytes.max(length);
            if let Some(generation) = read_header(path, &bytes)?
                && best.as_ref().is_none_or(|(_, known, _)| generation > *known)
            {
                best = Some((index, generation, bytes));
            }
        }
        let (active, generation, bytes) = best.ok_or_else(|| corrupt(&files[0].0, 0))?;
        let (records, end) = replay(&files[active].0, generation, &bytes)?;
        let mut journal = Self { files, active, generation, end, space_bytes, records };
        // Whatever lies torn behind the end goes away with the old file: begin a fresh one.
        journal.switch()?;
        Ok(journal)
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.records
    }

    /// Writes records (`None` removes one) as one atomic batch; durable on return. After an
    /// error of the disk the process must stop: the caller never tries again.
    pub fn put(&mut self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Error> {
        let borrowed: Batch<'_> = changes.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
        let payload = postcard::to_stdvec(&borrowed).expect("byte strings always encode");
        let fits = self.end + aligned(payload.len()) <= self.space_bytes;
        if fits {
            self.end = self.append(self.active, self.generation, self.end, &payload)?;
            self.sync(self.active)?;
        }
        for (key, value) in changes {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        if fits { Ok(()) } else { self.switch() }
    }

    /// Moves to the other file: snapshot, sync, header, sync.
    fn switch(&mut self) -> Result<(), Error> {
        let (next, generation) = (1 - self.active, self.generation + 1);
        let all: Batch<'_> = self.records.iter().map(|(k, v)| (&k[..], Some(&v[..]))).collect();
        let payload = postcard::to_stdvec(&all).expect("byte strings always encode");
        let needed_bytes = ALIGN + aligned(payload.len());
        if needed_bytes > self.space_bytes {
            let path = self.files[next].0.clone();
            return Err(Error::Full { path, needed_bytes, limit_bytes: self.space_bytes });
        }
        let (path, file) = &self.files[next];
        // The old header must be gone before the bytes behind it change.
        file.write_all_at(&[0; 64], 0).map_err(Error::file("write", path))?;
        self.sync(next)?;
        let end = self.append(next, generation, ALIGN, &payload)?;
        self.sync(next)?;
        let mut header = [0u8; 64];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&generation.to_le_bytes());
        header[16..24].copy_from_slice(&checksum(generation, 0, MAGIC));
        file.write_all_at(&header, 0).map_err(Error::file("write", path))?;
        self.sync(next)?;
        (self.active, self.generation, self.end) = (next, generation, end);
        Ok(())
    }

    fn append(&self, index: usize, generation: u64, at: u64, payload: &[u8]) -> Result<u64, Error> {
        let (path, file) = &self.files[index];
        let whole = aligned(payload.len());
        let mut bytes = Vec::with_capacity(usize::try_from(whole).expect("fits the space"));
        let length = u32::try_from(payload.len()).expect("bounded by the space");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum(generation, at, payload));
        bytes.extend_from_slice(payload);
        bytes.resize(usize::try_from(whole).expect("fits the space"), 0);
        file.write_all_at(&bytes, at).map_err(Error::file("write", path))?;
        Ok(at + whole)
    }

    fn sync(&self, index: usize) -> Result<(), Error> {
        let (path, file) = &self.files[index];
        file.sync_data().map_err(Error::file("sync", path))
    }
}

fn path_of(folder: &Path, index: usize) -> PathBuf {
    folder.join(["records-a", "records-b"][index])
}

fn open_both(folder: &Path) -> Result<[(PathBuf, File); 2], Error> {
    let open = |index| {
        let path = path_of(folder, index);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        file.map_err(Error::file("open", &path)).map(|file| (path, file))
    };
    Ok([open(0)?, open(1)?])
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let open = File::open(folder).map_err(Error::file("open", folder))?;
    open.sync_all().map_err(Error::file("sync", folder))
}

fn corrupt(path: &Path, offset: u64) -> Error {
    Error::Corrupt { path: path.to_owned(), offset }
}

fn aligned(payload: usize) -> u64 {
    let bytes = u64::try_from(payload + HEAD).expect("lengths in memory fit");
    bytes.div_ceil(ALIGN) * ALIGN
}

fn checksum(generation: u64, offset: u64, payload: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(payload);
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    out
}

/// The generation of a file, or none where it is not (or no longer) in use.
fn read_header(path: &Path, bytes: &[u8]) -> Result<Option<u64>, Error> {
    let Some(header) = bytes.get(..24) else { return Ok(None) };
    if header.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    if header[..6] == MAGIC[..6] && header[6..8] != MAGIC[6..8] {
        let found = u32::from(header[6]) << 8 | u32::from(header[7]);
        return Err(Error::Format { path: path.to_owned(), found, known: 1 });
    }
    let generation = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
    let whole = header[..8] == MAGIC[..] && header[16..24] == checksum(generation, 0, MAGIC);
    // A torn header is a switch that did not finish: the other file still counts.
    Ok(whole.then_some(generation))
}

/// The payload of a whole batch at `at`.
fn batch_at(generation: u64, bytes: &[u8], at: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    let head = bytes.get(start..start + HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?);
    let payload = bytes.get(start + HEAD..)?.get(..usize::try_from(length).ok()?)?;
    let whole = length > 0 && head[4..HEAD] == checksum(generation, at, payload);
    whole.then_some(payload)
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn replay(path: &Path, generation: u64, bytes: &[u8]) -> Result<(Records, u64), Error> {
    let mut records = Records::new();
    let mut at = ALIGN;
    while let Some(payload) = batch_at(generation, bytes, at) {
        let batch: Batch<'_> = postcard::from_bytes(payload).map_err(|_| corrupt(path, at))?;
        for (key, value) in batch {
            match value {
                Some(value) => records.insert(key.to_vec(), value.to_vec()),
                None => records.remove(key),
            };
        }
        at += aligned(payload.len());
    }
    let size = u64::try_from(bytes.len()).expect("lengths in memory fit");
    let later = (at..size).step_by(usize::try_from(ALIGN).expect("small"));
    let damaged = later.skip(1).any(|offset| batch_at(generation, bytes, offset).is_some());
    if at == ALIGN || damaged { Err(corrupt(path, at)) } else { Ok((records, at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(journal: &mut Journal, key: &str, value: &str) {
        let change = (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        journal.put(vec![change]).expect("fits");
    }

    fn get(journal: &Journal, key: &str) -> Option<String> {
        let value = journal.records().get(key.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn records_outlive_many_switches() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::create(folder.path(), 4096).expect("made");
        for round in 0..50 {
            let mut journal = Journal::open(folder.path()).expect("opens");
            for n in 0..20 {
                put(&mut journal, &format!("k{}", n % 7), &format!("{round}-{n}"));
            }
            assert_eq!(get(&journal, "k5"), Some(format!("{round}-19")));
        }
        let journal = Journal::open(folder.path()).expect("opens");
        assert_eq!(get(&journal, "k6"), Some("49-13".to_owned()));
    }

    #[test]
    fn a_torn_last_batch_is_dropped_and_damage_before_it_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::create(folder.path(), 8192).expect("made");
        let mut journal = Journal::open(folder.path()).expect("opens");
        put(&mut journal, "a", "1");
        let middle = journal.end;
        put(&mut journal, "b", "2");
        let last = journal.end;
        put(&mut journal, "c", "3");
        let path = journal.files[journal.active].0.clone();
        drop(journal);
        let good = std::fs::read(&path).expect("reads");

        let mut torn = good.clone();
        torn[usize::try_from(last).expect("small") + HEAD + 3] ^= 1;
        std::fs::write(&path, &torn).expect("writes");
        let journal = Journal::open(folder.path()).expect("a torn tail is no damage");
        assert_eq!((get(&journal, "b").as_deref(), get(&journal, "c")), (Some("2"), None));
        drop(journal);

        let mut damaged = good;
        damaged[usize::try_from(middle).expect("small") + HEAD + 3] ^= 1;
        // The newer generation of the reopening above is out of the way first.
        let other = if path.ends_with("records-a") { "records-b" } else { "records-a" };
        std::fs::write(folder.path().join(other), vec![0u8; 8192]).expect("writes");
        std::fs::write(&path, &damaged).expect("writes");
        assert!(matches!(Journal::open(folder.path()), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn more_than_the_space_is_refused_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::create(folder.path(), 1024).expect("made");
        let mut journal = Journal::open(folder.path()).expect("opens");
        put(&mut journal, "a", "1");
        let big = (b"b".to_vec(), Some(vec![7; 2000]));
        assert!(matches!(journal.put(vec![big]), Err(Error::Full { .. })));
        drop(journal);
        let journal = Journal::open(folder.path()).expect("opens");
        assert_eq!(get(&journal, "a"), Some("1".to_owned()));
    }

    #[test]
    fn the_format_is_the_golden_one() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::create(folder.path(), 256).expect("made");
        let mut journal = Journal::open(folder.path()).expect("opens");
        put(&mut journal, "account/fhir", "value");
        let bytes = std::fs::read(&journal.files[journal.active].0).expect("reads");
        let golden = include_bytes!("../tests/golden/records-v1");
        assert_eq!(bytes, golden, "the format on disk has changed: raise its version");
    }
}
