//! The formats on disk and wire do not change unnoticed.

use super::*;
use std::fmt::Write as _;

fn golden_log() -> (SimDisk, Log) {
    let disk = SimDisk::new();
    let mut log = create(&disk);
    let mark = SecondaryMark { member: MemberId::new(0xabcd), seq: Seq::new(1) };
    let group = vec![
        entry(1, "opening"),
        entry(1, "first commit"),
        Entry { secondary: Some(mark), ..entry(2, "second epoch") },
        Entry { payload: Payload::erased(base::Hash::of(b"erased")), ..entry(2, "") },
    ];
    log.append(group).expect("appended");
    log.sync().expect("synced");
    log.append(vec![entry(2, "a second group")]).expect("appended");
    log.sync().expect("synced");
    (disk, log)
}

/// Lines of 32 bytes in hex; lines of zeros are counted.
fn hex(data: &[u8]) -> String {
    let (mut text, mut zeros) = (String::new(), 0);
    for line in data.chunks(32) {
        if line.iter().all(|byte| *byte == 0) {
            zeros += 1;
            continue;
        }
        if zeros > 0 {
            writeln!(text, "({zeros} lines of zeros)").expect("a string takes all");
            zeros = 0;
        }
        for byte in line {
            write!(text, "{byte:02x}").expect("a string takes all");
        }
        text.push('\n');
    }
    writeln!(text, "({zeros} lines of zeros)").expect("a string takes all");
    text
}

fn whole(disk: &SimDisk, name: &str) -> Vec<u8> {
    read_file(disk, name, 1 << 20).expect("read").expect("there")
}

#[test]
fn the_segment_format() {
    let (disk, _log) = golden_log();
    assert_eq!(whole(&disk, "log/format"), b"firebreak log 1\n");
    insta::assert_snapshot!("segment", hex(&whole(&disk, "log/00000000000000000001.seg")));
}

#[test]
fn the_export_and_wire_format() {
    let (disk, mut log) = golden_log();
    let from = log.reader().position(Seq::new(2)).expect("whole").expect("there");
    log.export_tail(&from, "exports/golden").expect("exported");
    insta::assert_snapshot!("export", hex(&whole(&disk, "exports/golden")));
}

#[test]
fn a_folder_of_another_version_is_refused_by_name() {
    let (disk, log) = golden_log();
    drop(log);
    replace_file(&disk, "log/format", b"firebreak log 9\n").expect("written");
    let error = open(&disk).err().expect("refused");
    insta::assert_snapshot!(
        error.to_string(),
        @"log folder 'log' has format 'firebreak log 9', this program reads 'firebreak log 1'"
    );
}

#[test]
fn bytes_that_are_no_frame_are_refused() {
    let (_disk, log) = golden_log();
    let frame = log.reader().read(Seq::new(3)).expect("whole").expect("there");
    let mut data = Vec::new();
    frame.encode(&mut data);
    assert_eq!(data.len(), frame.encoded_len());
    assert_eq!(Frame::decode(&mut Bytes::from(data.clone())).expect("whole"), frame);
    for at in 0..data.len() {
        let short = Frame::decode(&mut Bytes::copy_from_slice(&data[..at]));
        assert!(short.is_err(), "{at} bytes");
        let mut flipped = data.clone();
        flipped[at] ^= 0x40;
        if let Ok(other) = Frame::decode(&mut Bytes::from(flipped)) {
            assert_ne!(other, frame, "byte {at}");
        }
    }
}
