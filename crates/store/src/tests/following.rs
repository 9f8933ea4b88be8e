//! A secondary applies what it is sent, and is equal then.

use super::*;
use crate::CommitKind;
use crate::conformance::Bench;
use crate::log::Frame;
use bytes::Bytes;

fn frames(from: &Inline, after: Seq) -> Vec<Frame> {
    from.0.reader().frames(after.next()).collect::<Result<_, _>>().expect("whole")
}

fn primary() -> Inline {
    let primary = Inline::open(place(&SimDisk::new(), Engine::Memory));
    primary.0.set_term(term(1, 0)).expect("a term");
    primary
}

fn write(to: &Inline, changes: Vec<crate::ChangeRequest>) {
    let write = Write { changes, ..Write::default() };
    to.submit(write, Box::new(|answer| assert!(answer.is_ok())));
}

#[test]
fn a_follower_is_equal_at_equal_positions() {
    let folder = tempfile::tempdir().expect("a folder");
    let primary = primary();
    let engine = Engine::Embedded(folder.path().join("index"));
    let follower = Inline::open(place(&SimDisk::new(), engine));
    let opened = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&opened);
    primary.0.submit_record(
        CommitKind::Opening,
        Bytes::new(),
        Box::new(move |answer| told.store(answer.is_ok(), Ordering::Relaxed)),
    );
    primary.settle();
    assert!(opened.load(Ordering::Relaxed));
    for round in 0..5 {
        for id in 0..5 {
            write(&primary, vec![Bench::patient(&format!("p{id}"), &format!("R{round}"))]);
        }
        write(&primary, vec![Bench::delete("Patient", &format!("p{round}"))]);
        let end = follower.status().end;
        let sent = frames(&primary, end.seq);
        assert_eq!(follower.0.append_frames(sent).expect("appended"), primary.status().durable);
    }
    let raw = "family=r4&_total=accurate";
    let found = |store: &Inline| {
        let page = store.search(&Bench::query("Patient", raw), None).expect("searches");
        (page.entries, page.total)
    };
    assert_eq!(found(&follower), found(&primary));
    let (one, other) = (primary.status(), follower.status());
    assert_eq!((one.durable, one.resources), (other.durable, other.resources));
    // The search made both apply everything; the digest can be asked at any recent position.
    for seq in 1..=one.durable.seq.get() {
        let seq = Seq::new(seq);
        assert_eq!(primary.digest(seq), follower.digest(seq));
        assert!(primary.digest(seq).is_some());
    }
}

#[test]
fn frames_that_do_not_follow_are_refused() {
    let primary = primary();
    for id in ["a", "b", "c"] {
        write(&primary, vec![Bench::patient(id, "Name")]);
    }
    let follower = Inline::open(place(&SimDisk::new(), Engine::Memory));
    let all = frames(&primary, Seq::ZERO);
    let gap = follower.0.append_frames(all[1..].to_vec());
    assert!(matches!(gap, Err(Error::NotNext { .. })));
    follower.0.append_frames(all[..2].to_vec()).expect("they follow");
    let again = follower.0.append_frames(all[..2].to_vec());
    assert!(matches!(again, Err(Error::NotNext { .. })));
    assert_eq!(follower.status().durable, all[1].position);
    assert!(matches!(primary.0.append_frames(all[2..].to_vec()), Err(Error::NotFollowing)));
    follower.0.set_term(term(2, 1)).expect("a term");
    write(&follower, vec![Bench::patient("a", "Later")]);
    let read = follower.read(Bench::type_of("Patient"), &Bench::id("a")).expect("reads");
    assert_eq!(read.map(|version| version.version.to_string()), Some("2-f1".to_owned()));
}

#[test]
fn a_stamp_stays_below_the_ceiling_and_above_what_was() {
    let store = Inline::open(place(&SimDisk::new(), Engine::Memory));
    let wall = 1_800_000_000_000;
    let floor = Stamp::from_ms(wall + 50_000);
    let ceiling = Stamp::from_ms(wall + 50_002);
    let narrow = Term { stamp_floor: floor, stamp_ceiling: ceiling, ..term(1, 0) };
    store.0.set_term(narrow).expect("a term");
    write(&store, vec![Bench::patient("a", "One")]);
    let read = store.read(Bench::type_of("Patient"), &Bench::id("a")).expect("reads");
    assert_eq!(read.map(|version| version.stamp.ms()), Some(wall + 50_001));
    store.0.end_term();
    let above = Term { stamp_ceiling: floor, ..term(2, 0) };
    store.0.set_term(above).expect("a term");
    let write = Write { changes: vec![Bench::patient("b", "Two")], ..Write::default() };
    let refused = |answer: Result<Committed, crate::Refused>| {
        let refused = answer.expect_err("below the last stamp");
        assert!(matches!(refused.error, Error::StampCeiling { .. }));
    };
    store.submit(write, Box::new(refused));
    store.0.extend_term(Stamp::MAX);
    let write = Write { changes: vec![Bench::patient("b", "Two")], ..Write::default() };
    store.submit(write, Box::new(|answer| assert!(answer.is_ok())));
}
