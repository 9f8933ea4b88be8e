//! What a log promises, on the simulated disk.

mod crash;
mod golden;

use super::*;
use crate::disk::SimDisk;
use base::{Epoch, MemberId};
use bytes::Bytes;

const SETTINGS: Settings = Settings { segment_bytes: 16 << 10 };

fn entry(epoch: u64, text: &str) -> Entry {
    let payload = Payload::new(Bytes::copy_from_slice(text.as_bytes()));
    Entry { epoch: Epoch::new(epoch), secondary: None, payload }
}

fn create(disk: &SimDisk) -> Log {
    Log::create(Arc::new(disk.clone()), "log", SETTINGS).expect("an empty disk takes a log")
}

fn open(disk: &SimDisk) -> Result<Log, Error> {
    Log::open(Arc::new(disk.clone()), "log", SETTINGS).map(|(log, _)| log)
}

/// Appends and syncs `count` commits of about 300 bytes.
fn fill(log: &mut Log, epoch: u64, count: u64) {
    for _ in 0..count {
        let text = format!("{epoch} {} {}", log.end().seq, "x".repeat(300));
        log.append(vec![entry(epoch, &text)]).expect("appended");
        log.sync().expect("synced");
    }
}

#[test]
fn what_is_synced_is_read_back_across_segments_and_a_start() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    fill(&mut log, 1, 100);
    assert!(log.sealed().len() > 1, "the test covers several segments");
    let end = log.end();
    drop(log);
    let log = open(&disk).expect("opens");
    assert_eq!((log.end(), log.durable()), (end, end));
    let reader = log.reader();
    let frames: Vec<Frame> = reader.frames(Seq::new(1)).collect::<Result<_, _>>().expect("whole");
    assert_eq!(frames.len(), 100);
    for frame in &frames {
        assert_eq!(reader.read(frame.position.seq).expect("whole").as_ref(), Some(frame));
        assert!(reader.contains(&frame.position).expect("whole"));
    }
    assert_eq!(reader.read(Seq::new(101)).expect("whole"), None);
    assert_eq!(reader.verify(Seq::ZERO).expect("whole"), end);
}

#[test]
fn a_reader_sees_nothing_before_it_is_durable() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    let reader = log.reader();
    let mut frames = reader.frames(Seq::ZERO);
    for n in 1..=200 {
        let positions = log.append(vec![entry(1, "a commit")]).expect("appended");
        assert!(frames.next().is_none());
        assert_eq!(reader.read(Seq::new(n)).expect("whole"), None);
        log.sync().expect("synced");
        let read = frames.next().expect("there is one").expect("whole");
        assert_eq!(read.position, positions[0]);
    }
}

#[test]
fn a_group_is_refused_whole() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    fill(&mut log, 3, 2);
    let end = log.end();
    let back = log.append(vec![entry(3, "a"), entry(2, "b")]);
    assert!(matches!(back, Err(Error::EpochBack { .. })), "{back:?}");
    let large = log.append(vec![entry(3, &"x".repeat(20_000))]);
    assert!(matches!(large, Err(Error::TooLarge { .. })), "{large:?}");
    assert_eq!(log.end(), end);
}

#[test]
fn what_was_known_of_the_secondary_survives() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    let mark = SecondaryMark { member: MemberId::new(7), seq: Seq::new(1) };
    fill(&mut log, 1, 1);
    log.append(vec![Entry { secondary: Some(mark), ..entry(1, "a") }]).expect("appended");
    log.sync().expect("synced");
    assert_eq!(open(&disk).expect("opens").secondary_mark().expect("whole"), Some(mark));
}

#[test]
fn an_export_comes_before_a_rewind_and_reads_back_whole() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    fill(&mut log, 1, 70);
    let to = log.reader().position(Seq::new(20)).expect("whole").expect("there");
    let tail: Vec<Frame> =
        log.reader().frames(Seq::new(21)).collect::<Result<_, _>>().expect("whole");
    let other = log.export_tail(&log.end(), "exports/none").expect("exported");
    assert!(matches!(log.rewind(&to, &other), Err(Error::NotExported { .. })));
    let exported = log.export_tail(&to, "exports/tail").expect("exported");
    log.rewind(&to, &exported).expect("rewound");
    assert_eq!((log.end(), log.durable()), (to, to));
    fill(&mut log, 2, 40);
    let log = open(&disk).expect("opens");
    assert_eq!(log.reader().verify(Seq::ZERO).expect("whole"), log.end());
    let export = Export::open(&disk, "exports/tail").expect("whole");
    assert_eq!(*export.exported(), exported);
    assert_eq!(export.frames().collect::<Result<Vec<_>, _>>().expect("whole"), tail);
}

#[test]
fn a_failed_sync_is_the_end_of_the_process() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    fill(&mut log, 1, 3);
    log.append(vec![entry(1, "lost?")]).expect("appended");
    disk.fail_syncs(1);
    assert!(matches!(log.sync(), Err(Error::Poisoned)));
    assert!(matches!(log.sync(), Err(Error::Poisoned)), "it is never tried again");
    assert!(matches!(log.append(vec![entry(1, "more")]), Err(Error::Poisoned)));
    assert_eq!(log.reader().durable().seq, Seq::new(3));
}

#[test]
fn the_next_segment_is_made_beside_the_writer() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let disk = SimDisk::new();
    let mut log = create(&disk);
    let (preparer, stop) = (log.preparer(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let preparing = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                preparer.step().expect("a step never meets the writer's");
            }
        });
        for _ in 0..3000 {
            log.append(vec![entry(1, &"s".repeat(900))]).expect("appended");
        }
        log.sync().expect("synced");
        stop.store(true, Ordering::Relaxed);
        preparing.join().expect("no step failed");
    });
    assert_eq!(log.reader().verify(Seq::ZERO).expect("whole").seq, Seq::new(3000));
}
