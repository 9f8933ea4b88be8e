//! Takes back a random subset of a killed process's unsynced pages, as a power cut might
//! (`tools/pagedrop/pagedrop.c` wrote down what they held before).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// What one page held before it was written.
struct Before {
    path: PathBuf,
    page: u64,
    file_bytes: u64,
    had: usize,
    content: Vec<u8>,
}

/// How many pages were unsynced, and how many were taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped {
    /// Unsynced at the kill.
    pub unsynced: usize,
    /// Of these, taken back.
    pub dropped: usize,
}

/// Builds a preload library of `tools/` into `folder` and gives its path.
pub fn build_library(folder: &Path, name: &str) -> PathBuf {
    let library = folder.join(name).with_extension("so");
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools");
    let source = tools.join(name).join(name).with_extension("c");
    let status = std::process::Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .expect("a C compiler is there");
    assert!(status.success(), "the preload library builds");
    library
}

/// For each unsynced page, `drop_it` says whether it is taken back. Then the journal is empty.
pub fn drop_unsynced(journal: &Path, mut drop_it: impl FnMut() -> bool) -> Dropped {
    let mut result = Dropped::default();
    // A page in both journals was written, put under a sync that did not end, and written again:
    // the older journal, played last, knows what is surely on the disk.
    for ending in ["new", "old"] {
        let mut sizes: BTreeMap<PathBuf, (u64, bool)> = BTreeMap::new();
        for file in files(journal, ending) {
            for before in records(&file) {
                result.unsynced += 1;
                let size = sizes.entry(before.path.clone()).or_insert((before.file_bytes, true));
                size.0 = size.0.min(before.file_bytes);
                if drop_it() {
                    result.dropped += 1;
                    restore(&before);
                } else if (before.page + 1) * PAGE > before.file_bytes {
                    size.1 = false;
                }
            }
        }
        // A file that grew, and none of its new pages came through, has its old length.
        for (path, (bytes, shrink)) in sizes {
            if let (true, Ok(file)) = (shrink, OpenOptions::new().write(true).open(&path))
                && file.metadata().is_ok_and(|meta| meta.len() > bytes)
            {
                file.set_len(bytes).expect("the file is ours");
            }
        }
    }
    for ending in ["new", "old"] {
        for file in files(journal, ending) {
            std::fs::remove_file(file).expect("the journal is ours");
        }
    }
    result
}

fn files(journal: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(journal)
        .expect("the journal folder exists")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|own| own == ending))
        .collect();
    files.sort();
    files
}

fn records(file: &Path) -> Vec<Before> {
    let mut data = Vec::new();
    File::open(file).and_then(|mut file| file.read_to_end(&mut data)).expect("readable");
    let mut rest = data.as_slice();
    let mut records = Vec::new();
    // The kill may have cut the last record; its page was not written then.
    while let Some((before, tail)) = record(rest) {
        records.push(before);
        rest = tail;
    }
    records
}

fn record(data: &[u8]) -> Option<(Before, &[u8])> {
    let name_bytes = u32::from_le_bytes(data.get(0..4)?.try_into().ok()?) as usize;
    let page = u64::from_le_bytes(data.get(4..12)?.try_into().ok()?);
    let file_bytes = u64::from_le_bytes(data.get(12..20)?.try_into().ok()?);
    let had = u32::from_le_bytes(data.get(20..24)?.try_into().ok()?) as usize;
    let name = std::str::from_utf8(data.get(24..24 + name_bytes)?).ok()?;
    let end = 24 + name_bytes + PAGE as usize;
    let content = data.get(24 + name_bytes..end)?.to_vec();
    let before =
        Before { path: name.trim_end_matches(" (deleted)").into(), page, file_bytes, had, content };
    Some((before, &data[end..]))
}

/// Puts the page back; one that the file did not have becomes zeroes.
fn restore(before: &Before) {
    let Ok(file) = OpenOptions::new().write(true).open(&before.path) else { return };
    let at = before.page * PAGE;
    let length = file.metadata().expect("open").len();
    let bytes = PAGE.min(length.saturating_sub(at)) as usize;
    let mut content = before.content.clone();
    content[before.had..].fill(0);
    file.write_all_at(&content[..bytes], at).expect("the file is ours");
}
