//! Versions, guards, atomicity, repeats, conditions.

use super::{Bench, Fresh};
use crate::{Condition, Effect, Error, Guard, Refused, Write};
use base::VersionId;

fn version(text: &str) -> VersionId {
    text.parse().expect("a version id")
}

fn error(answer: Result<crate::Committed, Refused>) -> Error {
    answer.expect_err("the write must be refused").error
}

pub(super) fn versions_count_from_one_and_go_on_after_a_deletion(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let first = bench.change(vec![Bench::patient("a", "One")]);
    assert_eq!(first.outcomes[0].effect, Effect::CreatedByUpdate);
    assert_eq!(first.outcomes[0].version, version("1"));
    let second = bench.change(vec![Bench::patient("a", "Two")]);
    assert_eq!(second.outcomes[0].effect, Effect::Updated);
    assert_eq!(second.outcomes[0].version, version("2"));
    let gone = bench.change(vec![Bench::delete("Patient", "a")]);
    assert_eq!(gone.outcomes[0].effect, Effect::Deleted);
    assert_eq!(gone.outcomes[0].version, version("3"));
    let read = bench.read("Patient", "a").expect("a deletion is a version");
    assert_eq!((read.effect, read.body), (Effect::Deleted, None));
    let again = bench.change(vec![Bench::patient("a", "Three")]);
    assert_eq!(again.outcomes[0].effect, Effect::CreatedByUpdate);
    assert_eq!(again.outcomes[0].version, version("4"));
    let read = bench.read("Patient", "a").expect("it is there again");
    assert_eq!(read.effect, Effect::CreatedByUpdate);
    assert!(first.position.seq < second.position.seq && second.position.seq < gone.position.seq);
    assert!(first.outcomes[0].stamp <= second.outcomes[0].stamp);
}

pub(super) fn guards_hold_against_work_in_flight(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    bench.change(vec![Bench::patient("a", "One")]);
    let guarded = |expected: &str, family: &str| {
        let mut change = Bench::patient("a", family);
        change.guard = Guard { if_match: Some(version(expected)), must_be_absent: false };
        Write { changes: vec![change], ..Write::default() }
    };
    // Both start before either is durable: the second meets the first in flight.
    let (first, second) = (bench.start(guarded("1", "Two")), bench.start(guarded("1", "Three")));
    assert!(first.recv().expect("answered").is_ok());
    let refused = second.recv().expect("answered").expect_err("the version is 2 by then");
    assert!(matches!(refused.error, Error::VersionMismatch { found: Some(found), .. }
        if found == version("2")));
    assert!(refused.after.get() > 0, "the refusal depends on the first write");
    let mut fresh_only = Bench::patient("a", "Four");
    fresh_only.guard.must_be_absent = true;
    let write = Write { changes: vec![fresh_only], ..Write::default() };
    assert!(matches!(error(bench.write(write)), Error::Exists { .. }));
    let mut absent = Bench::patient("new", "Five");
    absent.guard.must_be_absent = true;
    assert!(bench.write(Write { changes: vec![absent], ..Write::default() }).is_ok());
    let mut nothing = Bench::patient("never", "Six");
    nothing.guard.if_match = Some(version("1"));
    let write = Write { changes: vec![nothing], ..Write::default() };
    assert!(matches!(error(bench.write(write)), Error::VersionMismatch { found: None, .. }));
}

pub(super) fn a_write_is_all_or_nothing(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    bench.change(vec![Bench::patient("b", "There")]);
    let mut guarded = Bench::patient("b", "Changed");
    guarded.guard.must_be_absent = true;
    let changes = vec![Bench::patient("a", "New"), guarded];
    assert!(bench.write(Write { changes, ..Write::default() }).is_err());
    assert_eq!(bench.read("Patient", "a"), None);
    let twice = vec![Bench::patient("c", "One"), Bench::patient("c", "Two")];
    let refused = error(bench.write(Write { changes: twice, ..Write::default() }));
    assert!(matches!(refused, Error::NamedTwice { index: 1 }));
    let all = bench.change(vec![
        Bench::patient("a", "New"),
        Bench::delete("Patient", "b"),
        Bench::patient("c", "Also"),
    ]);
    let stamps: Vec<_> = all.outcomes.iter().map(|outcome| outcome.stamp).collect();
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "one commit has one stamp");
}

pub(super) fn a_repeated_request_gets_its_first_answer(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let write = |id: &str, request: &str| Write {
        changes: vec![Bench::patient(id, "Once")],
        idempotency: Bench::key("k", request),
        ..Write::default()
    };
    // The repeat may meet the first in flight, or committed.
    let (first, repeat) = (bench.start(write("a", "r")), bench.start(write("z", "r")));
    let first = first.recv().expect("answered").expect("written");
    let repeat = repeat.recv().expect("answered").expect("answered as before");
    let third = bench.write(write("y", "r")).expect("answered as before");
    for answer in [&repeat, &third] {
        assert!(answer.replayed);
        assert_eq!(answer.position, first.position);
        assert_eq!(answer.outcomes[0].id, first.outcomes[0].id);
        assert_eq!(answer.outcomes[0].version, first.outcomes[0].version);
    }
    assert_eq!((bench.read("Patient", "z"), bench.read("Patient", "y")), (None, None));
    assert!(matches!(error(bench.write(write("x", "other"))), Error::KeyReused));
    let key = Bench::key("k", "r").expect("a key");
    assert_eq!(
        bench.store.recall(&key).expect("recalls").map(|c| c.position),
        Some(first.position)
    );
    let mut other = key.clone();
    other.principal = "someone else".to_owned();
    assert!(bench.store.recall(&other).expect("recalls").is_none());
}

pub(super) fn a_condition_is_looked_at_again(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let filter = Bench::query("Patient", "identifier=urn:mrn|a").filter;
    let resolve = || {
        let found = bench.store.resolve(Bench::type_of("Patient"), &filter).expect("resolves");
        Condition {
            query: "identifier=urn:mrn|a".to_owned(),
            type_id: Bench::type_of("Patient"),
            filter: filter.clone(),
            expected: found.ids,
            seen: found.seen,
        }
    };
    let create = |condition: Condition, id: &str| Write {
        changes: vec![Bench::patient(id, "Conditional")],
        conditions: vec![condition],
        ..Write::default()
    };
    let (one, other) = (resolve(), resolve());
    assert!(one.expected.is_empty());
    let first = bench.start(create(one, "a"));
    let second = bench.start(create(other, "other"));
    assert!(first.recv().expect("answered").is_ok());
    let refused = second.recv().expect("answered").expect_err("there is one by then");
    assert!(matches!(refused.error, Error::ConditionChanged { index: 0 }));
    let now = resolve();
    assert_eq!(now.expected, [Bench::id("a")]);
    // What it found stays so when something else changes.
    bench.change(vec![Bench::patient("else", "Else")]);
    assert!(bench.write(create(now, "third")).is_ok());
    let stale = resolve();
    bench.change(vec![Bench::delete("Patient", "a")]);
    let refused = error(bench.write(create(stale, "fourth")));
    assert!(matches!(refused, Error::ConditionChanged { .. }));
}

pub(super) fn a_deletion_of_nothing_is_no_change(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let nothing = bench.change(vec![Bench::delete("Patient", "never")]);
    assert_eq!(nothing.outcomes[0].effect, Effect::Unchanged);
    assert_eq!(nothing.outcomes[0].version.counter, 0);
    assert_eq!(bench.read("Patient", "never"), None);
    bench.change(vec![Bench::patient("a", "One")]);
    bench.change(vec![Bench::delete("Patient", "a")]);
    let again = bench.change(vec![Bench::delete("Patient", "a")]);
    assert_eq!(again.outcomes[0].effect, Effect::Unchanged);
    assert_eq!(again.outcomes[0].version, version("2"));
}

pub(super) fn concurrent_creates_of_one_id_have_one_winner(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let won: usize = std::thread::scope(|scope| {
        let create = |family: usize| {
            let bench = &bench;
            scope.spawn(move || {
                let mut change = Bench::patient("only", &format!("F{family}"));
                change.guard.must_be_absent = true;
                usize::from(
                    bench.write(Write { changes: vec![change], ..Write::default() }).is_ok(),
                )
            })
        };
        let threads: Vec<_> = (0..8).map(create).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(won, 1);
}
