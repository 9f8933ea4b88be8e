//! Results, pages, totals.

use super::{Bench, Fresh};
use std::collections::BTreeMap;

fn observation(id: &str, code: &str, date: &str) -> crate::ChangeRequest {
    let json = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"subject":{{"reference":"Patient/p"}},"effectiveDateTime":"{date}"}}"#
    );
    Bench::put(id, &json)
}

pub(super) fn a_search_finds_what_was_acknowledged(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    for nth in 0..20 {
        let id = format!("p{nth:02}");
        bench.change(vec![Bench::patient(&id, if nth % 2 == 0 { "Even" } else { "Odd" })]);
        let found = bench.search("Patient", &format!("identifier=urn:mrn|{id}"));
        assert_eq!(Bench::ids(&found), [id.as_str()]);
        assert_eq!(found.entries[0].body, bench.read("Patient", &id).expect("there").body);
    }
    assert_eq!(bench.search("Patient", "family=even").entries.len(), 10);
    assert_eq!(bench.search("Patient", "family=even&identifier=p03").entries.len(), 0);
    assert_eq!(bench.search("Patient", "family=even,odd&birthdate=1980").entries.len(), 20);
    assert_eq!(bench.search("Patient", "birthdate=gt1980-02-03").entries.len(), 0);
    assert_eq!(bench.search("Patient", "identifier:not=p03").entries.len(), 19);
    assert_eq!(Bench::ids(&bench.search("Patient", "_id=p03,p07,none")), ["p03", "p07"]);
    assert_eq!(bench.search("Observation", "").entries.len(), 0);
    assert_eq!(bench.search("Patient", "").entries.len(), 20);
}

pub(super) fn pages_hold_each_resource_once(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let all = 37;
    for nth in 0..all {
        let date = format!("2020-01-{:02}", 1 + nth % 28);
        bench.change(vec![observation(&format!("o{nth:02}"), "8480-6", &date)]);
    }
    for sort in ["", "&_sort=_id", "&_sort=-_id", "&_sort=_lastUpdated", "&_sort=-_lastUpdated"] {
        for raw in ["code=8480-6", "date=ge2020", ""] {
            let raw = format!("{raw}{sort}&_count=5").trim_start_matches('&').to_owned();
            let query = Bench::query("Observation", &raw);
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            let mut cursor = None;
            for page in 0.. {
                let found = bench.store.search(&query, cursor.as_ref()).expect("searches");
                assert!(found.entries.len() <= 5, "{raw}");
                for entry in &found.entries {
                    *seen.entry(entry.id.to_string()).or_default() += 1;
                }
                // Someone writes between two pages: these few may come twice, or never.
                if page < 4 {
                    let id = format!("o{:02}", 3 * page);
                    bench.change(vec![observation(&id, "8480-6", "2020-02-01")]);
                }
                match found.next {
                    Some(next) => {
                        let text = next.to_text();
                        cursor = Some(crate::Cursor::from_text(&text).expect("reads back"));
                    }
                    None => break,
                }
            }
            for nth in 0..all {
                let id = format!("o{nth:02}");
                if !["o00", "o03", "o06", "o09"].contains(&id.as_str()) {
                    assert_eq!(seen.get(&id), Some(&1), "{id} by '{raw}'");
                }
            }
        }
    }
    let wrong = Bench::query("Observation", "_sort=_lastUpdated");
    let cursor = crate::Cursor::Id(Bench::id("a"), Bench::type_of("Observation"));
    assert!(bench.store.search(&wrong, Some(&cursor)).is_err());
}

pub(super) fn pages_end_before_their_bytes(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let small = |nth| observation(&format!("o{nth}"), "a", "2020-01-01");
    let body = bench.change(vec![small(0)]).outcomes[0].body.clone().expect("given back").len();
    bench.change((1..9).map(small).collect());
    let long = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"{}"}}}}"#,
        "x".repeat(8 * body)
    );
    bench.change(vec![Bench::put("o55", &long)]);
    for sort in ["_sort=_id", "_sort=-_id", "_sort=_lastUpdated", "_sort=-_lastUpdated"] {
        let query = search::Query { bytes: 3 * body, ..Bench::query("Observation", sort) };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = bench.store.search(&query, cursor.as_ref()).expect("searches");
            let bytes: usize = page.entries.iter().flat_map(|e| &e.body).map(|b| b.len()).sum();
            assert!(bytes <= 3 * body || page.entries.len() == 1, "{sort}: {bytes}");
            seen.extend(Bench::ids(&page).into_iter().map(str::to_owned));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let every = bench.search("Observation", sort);
        assert_eq!((seen.len(), every.next), (10, None), "{sort}");
        assert_eq!(seen, Bench::ids(&bench.search("Observation", sort)), "{sort}");
    }
}

pub(super) fn updates_and_deletions_move_results(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    bench.change(vec![observation("o", "8480-6", "2020-01-01")]);
    bench.change(vec![observation("o", "8462-4", "2021-01-01")]);
    assert_eq!(bench.search("Observation", "code=8480-6").entries.len(), 0);
    assert_eq!(bench.search("Observation", "date=lt2020-06-01").entries.len(), 0);
    assert_eq!(bench.search("Observation", "code=8462-4&subject=Patient/p").entries.len(), 1);
    // In one commit and in flight: two versions of one resource, one after the other.
    let first = bench.start(crate::Write {
        changes: vec![observation("o", "1-1", "2022-01-01")],
        ..crate::Write::default()
    });
    let second = bench.start(crate::Write {
        changes: vec![observation("o", "2-2", "2023-01-01")],
        ..crate::Write::default()
    });
    assert!(first.recv().expect("answered").is_ok() && second.recv().expect("answered").is_ok());
    assert_eq!(bench.search("Observation", "code=1-1").entries.len(), 0);
    assert_eq!(bench.search("Observation", "code=2-2").entries.len(), 1);
    bench.change(vec![Bench::delete("Observation", "o")]);
    assert_eq!(bench.search("Observation", "code=2-2").entries.len(), 0);
    assert_eq!(bench.search("Observation", "").entries.len(), 0);
    bench.change(vec![observation("o", "3-3", "2024-01-01")]);
    assert_eq!(bench.search("Observation", "code=3-3").entries.len(), 1);
}

pub(super) fn totals_are_exact(fresh: Fresh<'_>) {
    let bench = Bench::new(fresh());
    let changes = (0..30)
        .map(|nth| {
            let code = if nth % 3 == 0 { "a" } else { "b" };
            observation(&format!("o{nth}"), code, "2020-01-01")
        })
        .collect();
    bench.change(changes);
    let total = |raw: &str| bench.search("Observation", raw).total;
    assert_eq!(total("code=a&_total=accurate&_count=3"), Some(10));
    assert_eq!(total("code=b&_summary=count"), Some(20));
    assert_eq!(total("_summary=count"), Some(30));
    assert_eq!(total("code=c&_summary=count"), Some(0));
    assert_eq!(bench.search("Observation", "code=b&_summary=count").entries.len(), 0);
    assert_eq!(bench.store.status().resources, 30);
}
