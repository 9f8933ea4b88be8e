//! Bytes, versions, history.

use super::{Bench, Fresh};
use crate::{Effect, Error, HistoryQuery, HistoryScope};

pub(super) fn the_bytes_are_those_that_were_written(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let json = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}"#;
    let committed = bench.change(vec![Bench::put("o", json)]);
    let outcome = &committed.outcomes[0];
    let body = outcome.body.clone().expect("a body is given back");
    let stamp = outcome.stamp;
    let expected = format!(
        r#"{{"resourceType":"Observation","id":"o","meta":{{"versionId":"1","lastUpdated":"{stamp}"}},"status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":1.50}}}}"#
    );
    assert_eq!(std::str::from_utf8(&body).expect("UTF-8"), expected);
    let read = bench.read("Observation", "o").expect("there");
    assert_eq!(read.body, Some(body));
    assert_eq!((read.stamp, read.seq), (stamp, committed.position.seq));
    assert_eq!(bench.read("Observation", "p"), None);
    assert_eq!(bench.read("Patient", "o"), None);
}

pub(super) fn old_versions_stay(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let bodies: Vec<_> = ["One", "Two", "Three"]
        .map(|family| bench.change(vec![Bench::patient("a", family)]).outcomes[0].body.clone())
        .into();
    bench.change(vec![Bench::delete("Patient", "a")]);
    let vread = |version: &str| {
        let version = version.parse().expect("a version id");
        bench.store.vread(Bench::type_of("Patient"), &Bench::id("a"), version).expect("reads")
    };
    for (place, body) in bodies.into_iter().enumerate() {
        assert_eq!(vread(&(place + 1).to_string()).expect("kept").body, body);
    }
    assert_eq!(vread("4").map(|version| version.effect), Some(Effect::Deleted));
    assert_eq!(vread("5"), None);
    assert_eq!(vread("1-f1"), None);
}

pub(super) fn history_is_paged_newest_first(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    for round in 0..4 {
        for id in ["a", "b"] {
            bench.change(vec![Bench::patient(id, &format!("R{round}"))]);
        }
    }
    let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#;
    bench.change(vec![Bench::put("o", observation), Bench::delete("Patient", "b")]);
    let all = |scope: HistoryScope, count: usize| {
        let mut query = HistoryQuery { scope, since: None, count, bytes: usize::MAX, cursor: None };
        let mut found = Vec::new();
        loop {
            let page = bench.store.history(&query).expect("history");
            assert!(page.entries.len() <= count);
            found.extend(page.entries.into_iter().map(|e| (e.id.to_string(), e.version.counter)));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => return found,
            }
        }
    };
    let patient = Bench::type_of("Patient");
    let instance = all(HistoryScope::Instance(patient, Bench::id("b")), 2);
    assert_eq!(instance.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    let of_type = all(HistoryScope::Type(patient), 3);
    assert_eq!(of_type.len(), 9);
    assert_eq!((&of_type[0], &of_type[8]), (&("b".to_owned(), 5), &("a".to_owned(), 1)));
    for count in [1, 4, 100] {
        let system = all(HistoryScope::System, count);
        assert_eq!(system.len(), 10);
        assert_eq!(system[1], ("o".to_owned(), 1), "within a commit the last change is newest");
    }
    assert_eq!(all(HistoryScope::Instance(patient, Bench::id("none")), 2), []);
    let newest = bench.read("Patient", "b").expect("deleted").stamp;
    let scope = HistoryScope::System;
    let since =
        HistoryQuery { scope, since: Some(newest), count: 100, bytes: usize::MAX, cursor: None };
    let since = bench.store.history(&since).expect("history");
    assert!(since.entries.len() >= 2 && since.entries.iter().all(|entry| entry.stamp >= newest));
    let cursor = Some(crate::Cursor::Id(Bench::id("a"), patient));
    let wrong = HistoryQuery {
        scope: HistoryScope::System,
        since: None,
        count: 1,
        bytes: usize::MAX,
        cursor,
    };
    assert!(matches!(bench.store.history(&wrong), Err(Error::Cursor)));
}
