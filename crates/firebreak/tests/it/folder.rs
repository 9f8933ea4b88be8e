//! Folders and what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is in a folder, in order.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths
}

/// The folder of that name below `data`.
pub fn find(data: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = list(data).into_iter().filter(|path| path.is_dir());
    folders.find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}

/// The files in `folder` and below that are not empty.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in list(folder) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().expect("there").len() > 0 {
            found.push(path);
        }
    }
    found
}

/// Everything below `folder` by its path; folders hold nothing.
pub fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in list(folder) {
        if path.is_dir() {
            found.extend(content(&path));
        }
        let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).expect("reads") };
        found.insert(path, bytes);
    }
    found
}

/// Makes `to` hold what `from` holds.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for path in list(from) {
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}
