//! What was acknowledged survives a crash that loses unsynced pages, at any step.

use super::*;
use crate::conformance::Bench;
use base::{Rng, Seeded};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// What clients were told: id → version.
type Told = Arc<Mutex<BTreeMap<String, u64>>>;

fn submit(store: &Inline, id: &str, family: &str, told: &Told) {
    let write = Write { changes: vec![Bench::patient(id, family)], ..Write::default() };
    let (id, told) = (id.to_owned(), Arc::clone(told));
    let done = move |answer: Result<Committed, crate::Refused>| {
        if let Ok(committed) = answer {
            told.lock().insert(id, committed.outcomes[0].version.counter);
        }
    };
    store.0.submit(write, Box::new(done));
}

#[test]
fn nothing_acknowledged_is_lost_and_versions_never_repeat() {
    for seed in 0..60 {
        let mut dice = Seeded(seed);
        let disk = SimDisk::new();
        let folder = tempfile::tempdir().expect("a folder");
        let told = Told::default();
        for epoch in 1..6 {
            let engine = match seed % 2 {
                0 => Engine::Memory,
                _ => Engine::Embedded(folder.path().join("index")),
            };
            let store = Inline::open(place(&disk, engine));
            check(&store, &told, seed);
            store.0.set_term(term(epoch, 0)).expect("a term");
            for step in 0..dice.below(60) {
                match dice.below(8) {
                    0..5 => {
                        let id = format!("p{}", dice.below(6));
                        submit(&store, &id, &format!("S{step}"), &told);
                    }
                    5 => drop(store.0.append().expect("appended")),
                    6 => store.0.sync().expect("synced"),
                    _ => drop(store.0.apply().expect("applied")),
                }
            }
            if dice.below(3) == 0 {
                store.0.flush_index().expect("flushed");
            }
            disk.crash(&mut dice);
        }
    }
}

/// Every resource is at least at the version that was told last.
fn check(store: &Inline, told: &Told, seed: u64) {
    for (id, version) in told.lock().iter() {
        let read = store.read(Bench::type_of("Patient"), &Bench::id(id)).expect("reads");
        let found = read.expect("what was acknowledged is there");
        assert!(found.version.counter >= *version, "seed {seed}: {id} is at {}", found.version);
        let search = store
            .search(&Bench::query("Patient", &format!("identifier={id}")), None)
            .expect("searches");
        assert_eq!(search.entries, [found]);
    }
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_stops_the_store() {
    let disk = SimDisk::new();
    let store = Inline::open(place(&disk, Engine::Memory));
    store.0.set_term(term(1, 0)).expect("a term");
    let told = Told::default();
    submit(&store, "a", "One", &told);
    store.settle();
    submit(&store, "b", "Two", &told);
    store.0.append().expect("appended");
    disk.fail_syncs(1);
    assert!(store.0.sync().is_err() && store.0.has_failed());
    submit(&store, "c", "Three", &told);
    assert_eq!(told.lock().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_full_disk_delays_writes_and_loses_none() {
    let disk = SimDisk::new();
    let store = Inline::open(place(&disk, Engine::Memory));
    store.0.set_term(term(1, 0)).expect("a term");
    let told = Told::default();
    disk.set_capacity(Some(0));
    let mut full = false;
    for nth in 0..400 {
        submit(&store, &format!("p{nth}"), "Name", &told);
        full |= store.0.append().is_err();
        store.0.sync().expect("synced");
    }
    assert!(full && !store.0.has_failed() && told.lock().len() < 400);
    disk.set_capacity(None);
    store.settle();
    assert_eq!(told.lock().len(), 400);
    assert_eq!(
        store.search(&Bench::query("Patient", ""), None).expect("searches").entries.len(),
        400
    );
}
