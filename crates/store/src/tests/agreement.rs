//! `embedded` answers what `memory` answers: random writes, every kind of query.

use super::*;
use crate::conformance::Bench;
use crate::{ChangeRequest, HistoryScope};
use base::Position;
use proptest::prelude::*;

/// One change of a random run.
#[derive(Clone, Debug)]
enum Wish {
    Observation { id: u8, code: u8, day: u8, value: i16 },
    Patient { id: u8, family: u8, born: u8 },
    Delete { patient: bool, id: u8 },
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        5 => (0..10_u8, 0..4_u8, 1..28_u8, -50..50_i16)
            .prop_map(|(id, code, day, value)| Wish::Observation { id, code, day, value }),
        3 => (0..6_u8, 0..3_u8, 1..12_u8)
            .prop_map(|(id, family, born)| Wish::Patient { id, family, born }),
        2 => (any::<bool>(), 0..10_u8).prop_map(|(patient, id)| Wish::Delete { patient, id }),
    ]
}

const FAMILIES: [&str; 3] = ["Müller", "Mullen", "Østergaard-Very-Long-Family-Name-That-Is-Cut"];

fn change(wish: &Wish) -> ChangeRequest {
    match wish {
        Wish::Observation { id, code, day, value } => Bench::put(
            &format!("o{id}"),
            &format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"c{code}"}}]}},"subject":{{"reference":"Patient/p{}"}},"effectiveDateTime":"2020-03-{day:02}T10:00:00Z","valueQuantity":{{"value":{value}.5,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}}}}"#,
                code % 3
            ),
        ),
        Wish::Patient { id, family, born } => Bench::put(
            &format!("p{id}"),
            &format!(
                r#"{{"resourceType":"Patient","name":[{{"family":"{}","given":["Anna","Ben"]}}],"birthDate":"1970-{born:02}","active":{}}}"#,
                FAMILIES[usize::from(*family)],
                born % 2 == 0
            ),
        ),
        Wish::Delete { patient: true, id } => Bench::delete("Patient", &format!("p{id}")),
        Wish::Delete { patient: false, id } => Bench::delete("Observation", &format!("o{id}")),
    }
}

/// A wish's resource: a commit names none twice.
fn named(wish: &Wish) -> (bool, u8) {
    match wish {
        Wish::Observation { id, .. } => (false, *id),
        Wish::Patient { id, .. } => (true, *id),
        Wish::Delete { patient, id } => (*patient, *id),
    }
}

const QUERIES: [(&str, &str); 22] = [
    ("Observation", ""),
    ("Observation", "code=c1"),
    ("Observation", "code=http://loinc.org|c1,c2"),
    ("Observation", "code:not=c1"),
    ("Observation", "code=c1&date=ge2020-03-10"),
    ("Observation", "date=2020-03-05"),
    ("Observation", "date=lt2020-03-15&subject=Patient/p1"),
    ("Observation", "date=ge2020-03-05&date=le2020-03-20&code=c0,c3"),
    ("Observation", "subject=p0,p2"),
    ("Observation", "subject:missing=false"),
    ("Observation", "value-quantity=gt10"),
    ("Observation", "value-quantity=lt0||mg&code=c2"),
    ("Observation", "code-value-quantity=c1$gt0"),
    ("Observation", "_id=o1,o2,o9&code=c1"),
    ("Observation", "status=final"),
    ("Patient", "family=mul"),
    ("Patient", "family:exact=Müller"),
    ("Patient", "family:contains=family"),
    ("Patient", "name=anna&birthdate=1970"),
    ("Patient", "birthdate=gt1970-05"),
    ("Patient", "active=true"),
    ("Patient", "active:missing=true"),
];
const SORTS: [&str; 4] = ["_sort=_id", "_sort=-_id", "_sort=_lastUpdated", "_sort=-_lastUpdated"];

/// Every page of a query, and the total.
fn all(store: &dyn AccountStore, type_name: &str, raw: &str, count: usize) -> String {
    let raw = format!("{raw}&_count={count}&_total=accurate");
    let query = Bench::query(type_name, raw.trim_start_matches('&'));
    let (mut out, mut cursor) = (String::new(), None);
    loop {
        let page = store.search(&query, cursor.as_ref()).expect("searches");
        for entry in &page.entries {
            out += &format!("{}/{} ", entry.id, entry.version);
            assert!(entry.body.is_some());
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return format!("{out}of {:?}", page.total),
        }
    }
}

fn history(store: &dyn AccountStore, scope: HistoryScope, bytes: usize) -> String {
    let mut query = HistoryQuery { scope, since: None, count: 0, bytes, cursor: None };
    let mut out = String::new();
    for since in [None, Some(Stamp::from_ms(1_800_000_000_005))] {
        query.since = since;
        let counted = store.history(&query).expect("counts");
        assert!(counted.entries.is_empty() && counted.next.is_none());
        out += &format!("{:?} ", counted.total.expect("it was asked for"));
    }
    (query.count, query.since) = (4, None);
    loop {
        let page = store.history(&query).expect("history");
        for entry in &page.entries {
            out += &format!("{}/{} {:?} {} ", entry.id, entry.version, entry.effect, entry.stamp);
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return out,
        }
    }
}

fn agree(oracle: &dyn AccountStore, store: &dyn AccountStore) {
    let seq = oracle.status().durable.seq;
    for (type_name, raw) in QUERIES {
        for sort in SORTS {
            let raw = format!("{raw}&{sort}");
            assert_eq!(all(store, type_name, &raw, 3), all(oracle, type_name, &raw, 3), "{raw}");
        }
    }
    for stamp in [0, 3, 11] {
        let from = Stamp::from_ms(1_800_000_000_000 + stamp);
        for raw in [format!("_lastUpdated=ge{from}"), format!("code=c1&_lastUpdated=lt{from}")] {
            assert_eq!(all(store, "Observation", &raw, 2), all(oracle, "Observation", &raw, 2));
        }
    }
    let patient = Bench::type_of("Patient");
    let mut scopes = vec![HistoryScope::System, HistoryScope::Type(patient)];
    scopes.extend((0..6).map(|n| HistoryScope::Instance(patient, Bench::id(&format!("p{n}")))));
    for scope in scopes {
        let told = history(store, scope.clone(), usize::MAX);
        assert_eq!(told, history(oracle, scope.clone(), usize::MAX));
        assert_eq!(told, history(store, scope, 300), "pages cut by their bytes");
    }
    let counted = |status: Status| (status.resources, status.durable, status.applied);
    assert_eq!(counted(store.status()), counted(oracle.status()));
    assert_eq!(store.digest(seq), oracle.digest(seq));
    assert!(store.digest(seq).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn embedded_agrees_with_memory(
        commits in proptest::collection::vec(proptest::collection::vec(wish(), 1..5), 1..40),
        cut in 0..40_usize,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let disks = [SimDisk::new(), SimDisk::new()];
        let embedded = || Engine::Embedded(folder.path().join("index"));
        let mut oracle = Inline::open(place(&disks[0], Engine::Memory));
        let mut store = Inline::open(place(&disks[1], embedded()));
        for one in [&oracle, &store] {
            one.0.set_term(term(1, 0)).expect("a term");
        }
        let mut positions = vec![Position::ZERO];
        for (nth, wishes) in commits.iter().enumerate() {
            let mut seen = std::collections::BTreeSet::new();
            let wishes: Vec<_> = wishes.iter().filter(|wish| seen.insert(named(wish))).collect();
            for one in [&oracle, &store] {
                let changes = wishes.iter().map(|wish| change(wish)).collect();
                let idempotency = Bench::key(&nth.to_string(), "r");
                let write = Write { changes, idempotency, ..Write::default() };
                one.submit(write, Box::new(|answer| assert!(answer.is_ok())));
            }
            positions.push(store.status().end);
        }
        agree(&oracle, &store);

        // Going back takes everything with it: postings, versions, keys, totals, digest.
        let to = positions[cut % positions.len()];
        for one in [&oracle, &store] {
            one.0.end_term();
            let tail = one.0.export_tail(&to, "tail").expect("exported");
            one.0.rewind(&to, &tail).expect("rewound");
        }
        agree(&oracle, &store);
        for nth in 0..commits.len() {
            let key = Bench::key(&nth.to_string(), "r").expect("a key");
            let kept = |one: &Inline| one.recall(&key).expect("recalls").is_some();
            prop_assert_eq!(kept(&store), kept(&oracle));
        }

        // And on, and after a start with an older index.
        for one in [&oracle, &store] {
            one.0.set_term(term(2, 1)).expect("a term");
            let changes = vec![change(&Wish::Patient { id: 1, family: 1, born: 3 })];
            one.submit(Write { changes, ..Write::default() }, Box::new(|_| {}));
        }
        agree(&oracle, &store);
        drop((oracle, store));
        oracle = Inline::open(place(&disks[0], Engine::Memory));
        store = Inline::open(place(&disks[1], embedded()));
        agree(&oracle, &store);
    }
}
