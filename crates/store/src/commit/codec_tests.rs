use super::*;
use crate::Idempotency;
use crate::commit::{CommitKind, KeptCondition, KeptGuard, compress, decompress};
use base::{BootId, Fork, Hash, MemberId, Stamp};
use proptest::prelude::*;

const GOLDEN: &[u8] = include_bytes!("../../assets/commit-1.golden");

fn type_of(name: &str) -> TypeId {
    TypeId::from_name(name).expect("a resource type of R4")
}

fn sample() -> Commit {
    let id = |text: &str| text.parse::<ResourceId>().expect("an id");
    let body = br#"{"resourceType":"Patient","id":"a","meta":{"versionId":"2-f1","lastUpdated":"2026-11-21T08:15:30.123Z"},"active":true}"#;
    let version = |counter| VersionId { counter, fork: Fork::new(1) };
    Commit {
        head: CommitHead {
            kind: CommitKind::Write,
            stamp: Stamp::from_ms(1_795_248_930_123),
            fork: Fork::new(1),
            origin: (MemberId::new(7), BootId::new(9)),
            principal: Some("clinic".to_owned()),
            idempotency: Some(Idempotency {
                key: "k-1".to_owned(),
                request_hash: Hash::of(b"request"),
                principal: "clinic".to_owned(),
            }),
            conditions: vec![KeptCondition {
                query: "identifier=urn:x|1".to_owned(),
                type_id: type_of("Practitioner"),
                expected: vec![id("p")],
            }],
            guards: vec![(0, KeptGuard::Match(version(1))), (1, KeptGuard::Absent)],
        },
        changes: vec![
            Change {
                type_id: type_of("Patient"),
                id: id("a"),
                version: version(2),
                effect: Effect::Updated,
                body: Some(compress(body)),
            },
            Change {
                type_id: type_of("Observation"),
                id: id("b"),
                version: version(3),
                effect: Effect::Deleted,
                body: None,
            },
        ],
        record: Bytes::from_static(b"record"),
    }
}

/// The file is what version 1 wrote; to make it anew, a new version is due.
#[test]
fn the_golden_commit_reads_as_it_was_written() {
    let golden = Bytes::from_static(GOLDEN);
    let commit = Commit::decode(&golden).expect("the golden file is a commit");
    let expected = sample();
    assert_eq!(commit.head, expected.head);
    assert_eq!(commit.record, expected.record);
    let plain = |commit: &Commit| -> Vec<_> {
        let body = |change: &Change| {
            change.body.as_ref().map(|body| decompress(body).expect("a whole body"))
        };
        commit.changes.iter().map(|c| (c.type_id, c.id.clone(), c.version, body(c))).collect()
    };
    assert_eq!(plain(&commit), plain(&expected));
    for (change, place) in commit.changes.iter().zip(commit.places(golden.len())) {
        let slice = place.map(|(at, len)| golden.slice(at..at + len));
        assert_eq!(slice, change.body);
    }
}

#[test]
fn a_commit_reads_back() {
    let commit = sample();
    let bytes = commit.encode().expect("small");
    assert_eq!(Commit::decode(&bytes).expect("a commit"), commit);
}

/// What the log does not say is read from what it says: it has one word for both.
#[test]
fn a_creation_reads_back_as_a_create_or_an_update() {
    let minted = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
    for (id, counter, guards, effect) in [
        (minted, 1, vec![(0, KeptGuard::Absent)], Effect::Created),
        (minted, 1, vec![(1, KeptGuard::Absent)], Effect::CreatedByUpdate),
        (minted, 1, vec![], Effect::CreatedByUpdate),
        (minted, 3, vec![(0, KeptGuard::Absent)], Effect::CreatedByUpdate),
        ("a1", 1, vec![(0, KeptGuard::Absent)], Effect::CreatedByUpdate),
    ] {
        let mut commit = sample();
        commit.head.guards = guards;
        commit.changes.truncate(1);
        commit.changes[0].id = id.parse().expect("an id");
        commit.changes[0].version.counter = counter;
        commit.changes[0].effect = Effect::CreatedByUpdate;
        let bytes = commit.encode().expect("small");
        assert_eq!(Commit::decode(&bytes).expect("a commit").changes[0].effect, effect, "{id}");
        commit.changes[0].effect = Effect::Created;
        assert_eq!(commit.encode().expect("small"), bytes, "the log has one word");
    }
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused_or_read_without_a_panic(
        at in 0..GOLDEN.len(), value in any::<u8>(), cut in 0..GOLDEN.len()
    ) {
        let mut bytes = GOLDEN.to_vec();
        bytes[at] = value;
        let _ = Commit::decode(&Bytes::from(bytes));
        prop_assert!(Commit::decode(&Bytes::from_static(&GOLDEN[..cut])).is_err());
    }
}
