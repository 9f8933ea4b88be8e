//! The files of one data directory, behind a seam: the same log code runs on a real disk and on a
//! simulated one that crashes, tears and fails.

mod real;
mod sim;

pub use real::RealDisk;
pub use sim::SimDisk;

use std::io;
use std::sync::Arc;

/// Bytes of a page: what a crash keeps or loses as one.
pub const PAGE_BYTES: usize = 4096;

/// The files of one data directory. Names are relative paths with `/`; no part is `..` or empty.
///
/// What is durable when: file contents and length after [`File::sync`]; creations, renames, links
/// and removals after [`Disk::sync_dir`] on the folder that they touch.
pub trait Disk: Send + Sync {
    /// Makes a new empty file; fails if the name exists.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// The names in a folder, sorted, without the folder's own; empty when there is no such folder.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it; an existing one is fine.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name; fails if that exists.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file's name away; open handles live on.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file. Reading and writing at places needs no position and may run side by side.
pub trait File: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out` from `at`; fails with `UnexpectedEof` when the file ends before.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `at`; the file grows as needed.
    fn write_at(&self, at: u64, data: &[u8]) -> io::Result<()>;
    /// `fdatasync`: the contents and the length are durable afterwards. After an error nothing is
    /// known about what was written since the last success, and trying again proves nothing.
    fn sync(&self) -> io::Result<()>;
}

/// Writes zeros over `at..at + len`, so that later writes there meet allocated, written blocks.
pub fn zero_fill(file: &dyn File, at: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut done = 0;
    while done < len {
        let step = (len - done).min(ZEROS.len() as u64);
        let bytes = usize::try_from(step).expect("at most the length of the zero block");
        file.write_at(at + done, &ZEROS[..bytes])?;
        done += step;
    }
    Ok(())
}

/// The folder part of a name; empty for the data directory itself.
pub(crate) fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Writes a small file whole: under a passing name, synced, then renamed, so that the name holds
/// either the old bytes or the new ones at any moment.
pub fn replace_file(disk: &dyn Disk, name: &str, data: &[u8]) -> io::Result<()> {
    let passing = format!("{name}.new");
    match disk.remove(&passing) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&passing)?;
    file.write_at(0, data)?;
    file.sync()?;
    disk.rename(&passing, name)?;
    disk.sync_dir(folder(name))
}

/// The whole of a small file, at most `limit` bytes; `None` when there is none.
pub fn read_file(disk: &dyn Disk, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file is longer than its limit"));
    }
    let mut data = vec![0; len];
    file.read_at(0, &mut data)?;
    Ok(Some(data))
}
