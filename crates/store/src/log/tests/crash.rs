//! Random sequences of appends, syncs, rewinds and crashes: nothing synced is lost, nothing is
//! invented, and damage is told apart from a torn tail.

use super::*;
use base::Seeded;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    /// Appends a group of commits of these sizes.
    Append(Vec<u16>),
    Sync,
    Prepare,
    /// Cuts back to this part of the log, in percent.
    Rewind(u8),
    /// Loses power, at once or after some more changes.
    Crash {
        seed: u64,
        after: u8,
    },
    Kill,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let size = prop_oneof![8 => 0u16..900, 1 => 3000u16..9000];
    let op = prop_oneof![
        8 => proptest::collection::vec(size, 1..8).prop_map(Op::Append),
        6 => Just(Op::Sync),
        2 => Just(Op::Prepare),
        1 => (0u8..=100).prop_map(Op::Rewind),
        3 => (any::<u64>(), 0u8..12).prop_map(|(seed, after)| Op::Crash { seed, after }),
        1 => Just(Op::Kill),
    ];
    proptest::collection::vec(op, 1..60)
}

/// What the log must hold.
#[derive(Default)]
struct Model {
    /// All appended on this branch, in order.
    appended: Vec<Frame>,
    /// How many of these a sync covered.
    synced: usize,
    /// The rewind that may or may not have happened.
    rewinding: Option<usize>,
    epoch: u64,
    made: u64,
}

impl Model {
    fn check_open(&mut self, log: &Log) {
        let reader = log.reader();
        assert_eq!(reader.verify(Seq::ZERO).expect("whole"), log.end());
        assert_eq!(log.end(), log.durable());
        let mut behind = vec![1; usize::try_from(log.active.size - log.at).expect("small")];
        log.file.read_at(log.at, &mut behind).expect("within the segment");
        assert!(behind.iter().all(|byte| *byte == 0), "a torn tail is left");
        let held: Vec<Frame> = reader.frames(Seq::ZERO).collect::<Result<_, _>>().expect("whole");
        assert!(held.len() <= self.appended.len(), "it invents frames");
        assert_eq!(held[..], self.appended[..held.len()]);
        match self.rewinding.take() {
            Some(to) => assert!(held.len() == to || held.len() >= self.synced, "half a rewind"),
            None => assert!(held.len() >= self.synced, "it lost a synced frame"),
        }
        self.appended = held;
        self.synced = self.appended.len();
    }

    fn append(&mut self, log: &mut Log, sizes: &[u16]) -> Result<(), Error> {
        let mut group = Vec::new();
        let mut room = log.group_bytes_max();
        for size in sizes {
            let Some(left) = room.checked_sub(u64::from(*size) + 200) else { break };
            room = left;
            self.made += 1;
            let text = format!("{} {}", self.made, "y".repeat(usize::from(*size)));
            group.push(entry(self.epoch, &text));
        }
        let mut end = log.end();
        let frames = group.iter().cloned().map(|entry| {
            let frame = Frame::following(&end, entry);
            end = frame.position;
            frame
        });
        self.appended.extend(frames);
        let positions = log.append(group)?;
        assert_eq!(positions.last(), Some(&end));
        Ok(())
    }

    fn rewind(&mut self, log: &mut Log, percent: u8) -> Result<(), Error> {
        let to = self.appended.len() * usize::from(percent) / 100;
        log.sync()?;
        self.synced = self.appended.len();
        let seq = Seq::new(to as u64);
        let position = log.reader().position(seq)?.expect("within the log");
        let exported = log.export_tail(&position, "exports/tail")?;
        self.rewinding = Some(to);
        log.rewind(&position, &exported)?;
        self.rewinding = None;
        self.appended.truncate(to);
        self.synced = to;
        self.epoch += 1;
        Ok(())
    }

    fn step(&mut self, log: &mut Log, op: &Op) -> Result<(), Error> {
        match op {
            Op::Append(sizes) => self.append(log, sizes),
            Op::Sync => {
                log.sync()?;
                self.synced = self.appended.len();
                Ok(())
            }
            Op::Prepare => log.prepare_next_segment().map(drop),
            Op::Rewind(percent) => self.rewind(log, *percent),
            Op::Crash { .. } | Op::Kill => Ok(()),
        }
    }
}

fn start(disk: &SimDisk) -> Log {
    Log::open_or_create(Arc::new(disk.clone()), "log", SETTINGS).expect("a log starts").0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_loses_nothing_synced_and_invents_nothing(ops in ops()) {
        let disk = SimDisk::new();
        let mut model = Model { epoch: 1, ..Model::default() };
        let mut log = start(&disk);
        let mut pending = None;
        for op in &ops {
            match op {
                Op::Crash { seed, after } if pending.is_none() => {
                    disk.cut_power_after(u64::from(*after));
                    pending = Some(*seed);
                }
                Op::Kill => {
                    disk.kill();
                    pending = None;
                    log = start(&disk);
                    model.check_open(&log);
                }
                _ => {}
            }
            if model.step(&mut log, op).is_err() {
                let seed = pending.take().expect("only the cut of power fails");
                disk.crash(&mut Seeded(seed));
                // And once more while it recovers.
                disk.cut_power_after(seed % 5);
                let again = Log::open_or_create(Arc::new(disk.clone()), "log", SETTINGS);
                drop(again);
                disk.crash(&mut Seeded(seed ^ 1));
                log = start(&disk);
                model.check_open(&log);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_corruption_or_a_torn_tail_but_never_a_wrong_frame(
        groups in proptest::collection::vec(1u8..6, 2..40),
        place in any::<u64>(),
        bit in 0u8..8,
    ) {
        let disk = SimDisk::new();
        let mut log = create(&disk);
        let mut known_durable = Seq::ZERO;
        for count in &groups {
            known_durable = log.end().seq;
            let group = (0..*count).map(|n| entry(1, &format!("{n}{}", "z".repeat(400)))).collect();
            log.append(group).expect("appended");
            log.sync().expect("synced");
        }
        let written: Vec<Frame> =
            log.reader().frames(Seq::ZERO).collect::<Result<_, _>>().expect("whole");
        let mut segments = log.sealed();
        segments.push(segment::name(Seq::new(written.len() as u64 + 1)));
        let names = disk.list("log").expect("listed");
        let files: Vec<_> = names.iter().filter(|n| segment::first_of(n).is_some()).collect();
        let file = files[usize::try_from(place % files.len() as u64).expect("small")];
        let at = place / 64 % SETTINGS.segment_bytes;
        disk.kill();
        disk.flip_bit(&format!("log/{file}"), at, bit).expect("the segment has this byte");
        let found = open(&disk).and_then(|log| {
            let held: Vec<Frame> = log.reader().frames(Seq::ZERO).collect::<Result<_, _>>()?;
            log.reader().verify(Seq::ZERO)?;
            Ok(held)
        });
        match found {
            Ok(held) => {
                prop_assert!(held.len() as u64 >= known_durable.get(), "cut below what is known");
                prop_assert_eq!(&held[..], &written[..held.len()]);
            }
            Err(error) => prop_assert!(matches!(error, Error::Corrupt { .. }), "{}", error),
        }
    }
}

/// Every single change of a rewind is a place to crash, with several outcomes each.
#[test]
fn a_rewind_survives_a_crash_at_each_of_its_steps() {
    let mut finished = false;
    for after in 0.. {
        for seed in 0..8 {
            let disk = SimDisk::new();
            let mut model = Model { epoch: 1, ..Model::default() };
            let mut log = start(&disk);
            for _ in 0..12 {
                model.append(&mut log, &[800; 5]).expect("appended");
            }
            disk.cut_power_after(after);
            let done = model.rewind(&mut log, 30);
            finished = done.is_ok();
            disk.crash(&mut Seeded(seed));
            let log = start(&disk);
            model.check_open(&log);
            if let Ok(names) = disk.list("log") {
                assert!(!names.iter().any(|name| name == "rewind" || name == "next"), "{names:?}");
            }
        }
        if finished {
            assert!(after > 10, "a rewind has more steps than {after}");
            return;
        }
    }
}

#[test]
fn damage_before_a_position_known_durable_is_never_cut() {
    for victim in 1..=9u64 {
        let disk = SimDisk::new();
        let mut log = create(&disk);
        fill(&mut log, 1, 10);
        let name = log.shared.view.read().segments[0].name.clone();
        let at = {
            let segment = Arc::clone(&log.shared.view.read().segments[0]);
            let file = log.shared.file(&name).expect("opens");
            segment.locate(&file, Seq::new(victim), "log").expect("there")
        };
        let before = disk.changes();
        disk.kill();
        disk.flip_bit(&format!("log/{name}"), at + 140, 3).expect("within the frame");
        let error = open(&disk).err().expect("damage is an error");
        assert!(
            matches!(error, Error::Corrupt { after, .. } if after.get() == victim - 1),
            "{error}"
        );
        assert_eq!(disk.changes(), before, "nothing was written");
    }
}

#[test]
fn a_full_disk_refuses_writes_and_keeps_the_log() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    disk.set_capacity(Some(100 << 10));
    let refused = loop {
        match log.append(vec![entry(1, &"w".repeat(900))]) {
            Ok(_) => log.sync().map(drop).expect("overwriting needs no room"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    let end = log.end();
    assert_eq!(log.reader().verify(Seq::ZERO).expect("whole"), end);
    disk.set_capacity(None);
    fill(&mut log, 1, 20);
    assert_eq!(open(&disk).expect("opens").end().seq.get(), end.seq.get() + 20);
}

#[test]
fn a_frame_inside_a_payload_is_no_frame() {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    fill(&mut log, 1, 6);
    let name = log.shared.view.read().segments[0].name.clone();
    let file = log.shared.file(&name).expect("opens");
    let mut inner = vec![0; 9000];
    file.read_at(0, &mut inner).expect("within the segment");
    let payload = Payload::new(Bytes::from(inner));
    let at = log.at;
    log.append(vec![Entry { payload, ..entry(1, "") }]).expect("appended");
    disk.kill();
    disk.flip_bit(&format!("log/{name}"), at, 0).expect("within the segment");
    let log = open(&disk).expect("a torn tail is cut, whatever its payload holds");
    assert_eq!(log.end().seq, Seq::new(6));
}
