//! A damaged index is made anew; it never answers wrongly.

use super::*;
use crate::conformance::Bench;
use std::path::{Path, PathBuf};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("lists").flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all.sort();
    all
}

/// A store with some history, its index flushed.
fn filled(disk: &SimDisk, index: &Path) {
    let store = Inline::open(place(disk, Engine::Embedded(index.to_owned())));
    store.0.set_term(term(1, 0)).expect("a term");
    for nth in 0..300 {
        let change = Bench::patient(&format!("p{}", nth % 200), &format!("F{}", nth % 7));
        let write = Write { changes: vec![change], ..Write::default() };
        store.submit(write, Box::new(|answer| assert!(answer.is_ok())));
        if nth == 150 {
            store.0.apply().expect("applied");
            store.0.flush_index().expect("flushed");
        }
    }
    while store.0.apply().expect("applied") > 0 {}
    store.0.flush_index().expect("flushed");
}

fn answers(store: &Inline) -> Vec<String> {
    let mut all = Vec::new();
    for family in 0..7 {
        let raw = format!("family=f{family}&_total=accurate");
        let page = store.search(&Bench::query("Patient", &raw), None).expect("searches");
        all.push(format!("{:?} {:?}", Bench::ids(&page), page.total));
    }
    for id in ["p0", "p50", "p199"] {
        let read = store.read(Bench::type_of("Patient"), &Bench::id(id)).expect("reads");
        all.push(format!("{read:?}"));
    }
    all
}

#[test]
fn every_start_succeeds_whatever_happened_to_the_files() {
    let (disk, folder) = (SimDisk::new(), tempfile::tempdir().expect("a folder"));
    let index = folder.path().join("index");
    filled(&disk, &index);
    let open = || Inline::open(place(&disk, Engine::Embedded(index.clone())));
    let expected = answers(&open());
    let count = files(&index).len();
    assert!(count >= 3, "the index has files to damage");
    let mut moved_aside = 0;
    for place in 0..60_usize {
        let all = files(&index);
        let file = &all[place % all.len()];
        let mut bytes = std::fs::read(file).expect("reads");
        match place % 5 {
            4 => bytes.truncate(bytes.len() / 2),
            3 => {
                let start = (place * 37) % bytes.len().max(1);
                let end = bytes.len().min(start + 4096);
                bytes[start..end].fill(0);
            }
            _ if !bytes.is_empty() => {
                let at = (place * 7919) % bytes.len();
                bytes[at] ^= 1 << (place % 8);
            }
            _ => {}
        }
        std::fs::write(file, &bytes).expect("writes");
        assert_eq!(answers(&open()), expected, "after damage to {}", file.display());
        let aside = index.with_extension("damaged");
        if aside.exists() {
            moved_aside += 1;
            std::fs::remove_dir_all(aside).expect("removes");
        }
        if place % 20 == 0 {
            std::fs::remove_file(&files(&index)[0]).expect("removes");
            assert_eq!(answers(&open()), expected);
            let _ = std::fs::remove_dir_all(index.with_extension("damaged"));
        }
    }
    assert!(moved_aside > 20, "damage is noticed: {moved_aside}");
}

#[test]
fn an_index_of_another_history_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = folder.path().join("index");
    filled(&SimDisk::new(), &index);
    let disk = SimDisk::new();
    let store = Inline::open(place(&disk, Engine::Embedded(index)));
    assert_eq!(store.search(&Bench::query("Patient", ""), None).expect("searches").entries, []);
    assert_eq!((store.status().resources, store.status().applied.seq), (0, Seq::ZERO));
}

#[test]
fn an_index_rebuilt_while_running_answers_the_same() {
    let (disk, folder) = (SimDisk::new(), tempfile::tempdir().expect("a folder"));
    let index = folder.path().join("index");
    filled(&disk, &index);
    let store = Inline::open(place(&disk, Engine::Embedded(index)));
    let expected = answers(&store);
    let progress = std::sync::atomic::AtomicU64::new(0);
    store
        .0
        .rebuild(&|done, of| {
            assert!(done <= of);
            progress.store(done, Ordering::Relaxed);
        })
        .expect("rebuilt");
    assert_eq!(progress.load(Ordering::Relaxed), 300);
    assert_eq!(answers(&store), expected);
}
