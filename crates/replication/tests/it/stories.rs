//! A former primary comes back; copies are compared.

use crate::pair::{EAST, WEST, account, append, frames, holder, open, reign};
use base::{BootTime, ChangeId, Counter, Epoch, Fork, Position, Seeded, Seq, Span};
use dr::{ReturnPlan, Version};
use replication::{
    Compared, DigestWatch, Keeping, Quarantine, QuarantineSearch, Record, Upload, Uploading,
    answer_digest, carry_out, export_file,
};
use store::Digest;
use store::disk::SimDisk;
use store::log::{Export, Frame, Log};

fn plan(log: &Log, keep: u64) -> ReturnPlan {
    let keep = log.reader().position(Seq::new(keep)).expect("whole").expect("there");
    ReturnPlan {
        account: account(),
        parent: Version { counter: Counter::new(4), change: ChangeId::new(1) },
        epoch: Epoch::new(2),
        fork: Fork::new(1),
        name: "west".to_owned(),
        primary: holder(WEST, 7),
        keep,
        end: log.end(),
    }
}

fn east(disk: &SimDisk) -> Log {
    let mut log = open(disk);
    for n in 0..30 {
        append(&mut log, 1, &format!("commit {n} {}", "c".repeat(n * 20)));
    }
    log.sync().expect("synced");
    log
}

#[test]
fn q3_the_tail_is_in_a_file_before_it_is_cut_whenever_the_power_goes() {
    let whole = frames(&east(&SimDisk::new()));
    for after in 0.. {
        let disk = SimDisk::new();
        let mut log = east(&disk);
        let plan = plan(&log, 10);
        disk.cut_power_after(after);
        let done = carry_out(&mut log, &plan).is_ok();
        disk.crash(&mut Seeded(after));
        let mut log = open(&disk);
        let cut = log.end() == plan.keep;
        assert!(cut || log.end() == plan.end, "neither before nor after");
        if cut {
            let file = export_file(&account(), &plan.keep, &plan.end);
            let export = Export::open(&disk, &file).expect("exported before it was cut");
            let kept: Vec<Frame> = export.frames().collect::<Result<_, _>>().expect("whole");
            assert_eq!(kept, whole[10..]);
        }
        carry_out(&mut log, &plan).expect("again does what is left");
        assert_eq!(log.end(), plan.keep);
        if done {
            return;
        }
    }
}

#[test]
fn a_plan_made_for_another_log_is_refused() {
    let disk = SimDisk::new();
    let mut log = east(&disk);
    let old = plan(&log, 10);
    append(&mut log, 1, "one more");
    log.sync().expect("synced");
    assert!(carry_out(&mut log, &old).is_err());
    let keep = Position { hash: base::Hash::of(b"no such"), ..old.keep };
    let other = ReturnPlan { keep, end: log.end(), ..old };
    assert!(carry_out(&mut log, &other).is_err());
    assert_eq!(log.end().seq, Seq::new(31));
}

/// The new primary's log, and what it knows of the quarantine.
struct Primary {
    log: Log,
    quarantine: Quarantine,
}

impl Primary {
    fn hear(&mut self, parcel: &replication::Parcel, upload: &mut Upload) {
        let me = holder(WEST, 7);
        match self.quarantine.keep(me, parcel).expect("a keep") {
            Keeping::Answer(answer) => upload.receive(&answer),
            Keeping::Commit(record) => {
                append_bytes(&mut self.log, &record);
                let within = self.log.sync().expect("synced").seq;
                let record = Record::decode(&record).expect("as encoded");
                self.quarantine.note(within, &record).expect("whole");
                let head = &parcel.head;
                let answer = self.quarantine.kept(me, head, record.tail);
                upload.receive(&answer);
            }
            Keeping::Wait => {}
        }
    }
}

fn append_bytes(log: &mut Log, record: &bytes::Bytes) {
    let payload = store::log::Payload::new(record.clone());
    let entry = store::log::Entry { epoch: Epoch::new(2), secondary: None, payload };
    log.append(vec![entry]).expect("appended");
}

#[test]
fn q3_a_tail_is_kept_once_and_its_file_until_the_own_log_holds_it() {
    let disk = SimDisk::new();
    let mut log = east(&disk);
    let cut = frames(&log)[10..].to_vec();
    let plan = plan(&log, 10);
    let exported = carry_out(&mut log, &plan).expect("carried out").expect("there is a tail");
    let mut primary = Primary { log: open(&SimDisk::new()), quarantine: Quarantine::default() };
    let (mut own, mut now) = (Quarantine::default(), BootTime::ZERO);
    let export = || Export::open(&disk, exported.file()).expect("whole");
    let upload = || Upload::new(holder(EAST, 5), reign(2), account(), export());
    for _ in 0..3 {
        // Three starts of east, each of which begins anew.
        let mut upload = upload();
        for _ in 0..5 {
            if let Uploading::Send(parcel) = upload.poll(now, &own).expect("the file reads") {
                primary.hear(&parcel, &mut upload);
            }
            now = now + Span::from_secs(3);
        }
        assert_ne!(upload.poll(now, &own).expect("the file reads"), Uploading::Done);
    }
    let commits = frames(&primary.log);
    assert_eq!(commits.len(), 1, "a tail below a chunk is one commit");
    for commit in &commits {
        let record = Record::decode(commit.payload.bytes().expect("not erased")).expect("whole");
        assert_eq!(record.frames().expect("whole"), cut);
        own.note(commit.position.seq, &record).expect("whole");
    }
    assert_eq!(upload().poll(now, &own).expect("the file reads"), Uploading::Done);
    assert_eq!(own.commits().count(), cut.len());
    assert!(own.holds(EAST, &cut[0].position));
    own.rewound(Seq::ZERO);
    assert_eq!(own.commits().count(), 0);
}

#[test]
fn a_large_tail_goes_in_pieces() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    for n in 0..300 {
        append(&mut log, 1, &format!("{n} {}", "p".repeat(20_000)));
    }
    log.sync().expect("synced");
    let plan = plan(&log, 0);
    let exported = carry_out(&mut log, &plan).expect("carried out").expect("there is a tail");
    let disk_of_west = SimDisk::new();
    let settings = store::log::Settings { segment_bytes: 8 << 20 };
    let west = Log::create(std::sync::Arc::new(disk_of_west), "log", settings).expect("created");
    let mut primary = Primary { log: west, quarantine: Quarantine::default() };
    let export = Export::open(&disk, exported.file()).expect("whole");
    let mut upload = Upload::new(holder(EAST, 5), reign(2), account(), export);
    let (own, now) = (Quarantine::default(), BootTime::ZERO);
    let mut rounds = 0;
    while let Uploading::Send(parcel) = upload.poll(now, &own).expect("the file reads") {
        primary.hear(&parcel, &mut upload);
        rounds += 1;
        assert!(rounds < 20);
    }
    assert_eq!(primary.quarantine.commits().count(), 300);
    assert!(primary.log.end().seq.get() > 4);
}

fn digest(at: Position, last: u128) -> Digest {
    let mut shards = Box::new([7; store::DIGEST_SHARDS]);
    shards[store::DIGEST_SHARDS - 1] = last;
    Digest { position: at, shards }
}

#[test]
fn copies_are_compared_at_equal_positions_only() {
    let at = Position { seq: Seq::new(5), ..Position::ZERO };
    let (me, every) = (holder(EAST, 1), Span::from_secs(60));
    let mut watch = DigestWatch::new(account(), me, reign(1), WEST, every);
    let compare = |watch: &mut DigestWatch, now, theirs: Digest| {
        let asked = watch.poll(now, || Some(digest(at, 1)))?;
        let answer = answer_digest(holder(WEST, 2), &asked, |_| Some(theirs))?;
        watch.receive(now, &answer)
    };
    let now = BootTime::ZERO;
    let elsewhere = Position { seq: Seq::new(6), ..at };
    assert_eq!(compare(&mut watch, now, digest(elsewhere, 1)), None);
    assert_eq!(compare(&mut watch, now, digest(at, 1)), None, "not at once again");
    let now = watch.timer();
    assert_eq!(compare(&mut watch, now, digest(at, 1)), Some(Compared::Equal { at }));
    let now = now + every;
    let shards = vec![store::DIGEST_SHARDS - 1];
    assert_eq!(compare(&mut watch, now, digest(at, 2)), Some(Compared::Differ { at, shards }));
}

#[test]
fn the_formats_on_the_wire_and_in_a_record_have_versions() {
    let mut log = open(&SimDisk::new());
    append(&mut log, 1, "first");
    append(&mut log, 1, "second");
    let end = log.sync().expect("synced");
    let mut data = Vec::new();
    frames(&log).iter().for_each(|frame| frame.encode(&mut data));
    let tail = replication::Tail { region: EAST, from: Position::ZERO, end };
    let head = replication::Head {
        account: account(),
        from: holder(EAST, 5),
        reign: reign(2),
        to_boot: Some(base::BootId::new(6)),
        body: replication::Body::Keep { tail, after: Seq::ZERO },
    };
    let parcel = replication::Parcel { head, frames: data.into() };
    let wire = bytes::Bytes::from(parcel.encode());
    assert_eq!(replication::Parcel::decode(&wire).expect("as encoded"), parcel);
    let record = Record { tail, after: Position::ZERO, frames: parcel.frames };
    assert_eq!(Record::decode(&record.encode()).expect("as encoded"), record);
    let hex = |data: &[u8]| {
        let lines = data
            .chunks(32)
            .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!("parcel", hex(&wire));
    insta::assert_snapshot!("record", hex(&record.encode()));
    for at in 0..wire.len() {
        // Short or damaged bytes are refused or are other frames, and never stop the process.
        let _ = replication::Parcel::decode(&wire.slice(..at)).map(|p| p.frames_after(&tail.from));
        let mut flipped = wire.to_vec();
        flipped[at] ^= 0x20;
        let _ = replication::Parcel::decode(&flipped.into()).map(|p| p.frames_after(&tail.from));
    }
}

/// A commit of kind quarantine that holds these frames.
fn quarantine_commit(cut: &[Frame], after: Position) -> bytes::Bytes {
    let mut data = Vec::new();
    cut.iter().for_each(|frame| frame.encode(&mut data));
    let end = cut.last().expect("frames").position;
    let tail = replication::Tail { region: EAST, from: after, end };
    let head = store::CommitHead {
        kind: store::CommitKind::Quarantine,
        stamp: base::Stamp::ZERO,
        fork: Fork::ZERO,
        origin: (WEST, base::BootId::new(1)),
        principal: None,
        idempotency: None,
        conditions: Vec::new(),
        guards: Vec::new(),
    };
    let record = Record { tail, after, frames: data.into() }.encode();
    store::Commit { head, changes: Vec::new(), record }.encode().expect("it fits")
}

#[test]
fn what_is_in_quarantine_is_found_whatever_the_note_says() {
    let east_log = east(&SimDisk::new());
    let cut = frames(&east_log);
    let (first, second) = (&cut[..10], &cut[10..]);
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let search = |disk: &SimDisk, log: &Log| {
        let disk = std::sync::Arc::new(disk.clone());
        QuarantineSearch::new(disk, "quarantine.note", log.reader())
    };
    let whole = |search: &mut QuarantineSearch| {
        search.go_on().expect("the log reads");
        search.quarantine().expect("whole").commits().copied().collect::<Vec<_>>()
    };
    append(&mut log, 2, "a write");
    append_bytes(&mut log, &quarantine_commit(first, Position::ZERO));
    let keep = append(&mut log, 2, "a write");
    append_bytes(&mut log, &quarantine_commit(second, first[9].position));
    log.sync().expect("synced");
    let mut begun = search(&disk, &log);
    let all = whole(&mut begun);
    assert_eq!((all.len(), begun.unnoted(), begun.unread()), (30, 4, 0));
    begun.note().expect("the disk writes");

    // The next start reads what came since, and finds the same as one that reads all.
    append(&mut log, 2, "a write");
    log.sync().expect("synced");
    let mut later = search(&disk, &log);
    assert_eq!((later.upto().seq, later.unread()), (Seq::new(4), 1));
    assert_eq!(whole(&mut later), all);
    assert_eq!(whole(&mut search(&SimDisk::new(), &log)), all);

    // Cut back and written anew, the log is another: what the note says of it does not count.
    let plan = ReturnPlan { keep, end: log.end(), ..plan(&log, 0) };
    carry_out(&mut log, &plan).expect("carried out");
    for n in 0..5 {
        append(&mut log, 3, &format!("another write {n}"));
    }
    log.sync().expect("synced");
    let mut after = search(&disk, &log);
    assert_eq!(after.upto(), Position::ZERO);
    assert_eq!(whole(&mut after), all[..10]);
    // So it is for one that was at work all the while.
    assert_eq!(whole(&mut later), all[..10]);
    after.note().expect("the disk writes");
    assert_eq!(whole(&mut search(&disk, &log)), all[..10]);

    // A note that a crash left half is none.
    store::disk::replace_file(&disk, "quarantine.note", b"FBQNOTE").expect("the disk writes");
    let mut none = search(&disk, &log);
    assert_eq!(none.upto(), Position::ZERO);
    assert_eq!(whole(&mut none), all[..10]);
}
