//! Cutting a log back to a position: only after its tail was exported, and so that a crash at any
//! step leaves either the old log or one that the next start finishes cutting.
//!
//! ```text
//! whole ──note synced──▶ noted ──segments behind removed, newest first──▶
//!       ──segment of the position replaced by a copy without its tail──▶ ──note removed──▶ cut
//! ```
//! A start that finds the note takes up there, whatever of this happened.

use super::recover::{segments, whole_frames};
use super::segment::{Segment, first_of, head, path};
use super::spare::SPARE;
use super::{Error, Settings};
use crate::disk::{Disk, File, read_file, replace_file, zero_fill};
use base::{Epoch, Hash, Position, Seq};
use std::io;
use std::sync::Arc;

/// The name of the note.
const NOTE: &str = "rewind";
const NOTE_MAGIC: [u8; 8] = *b"FBrewind";
const NOTE_BYTES: usize = 64;
const COPY_BYTES: u64 = 1 << 20;

/// Makes the intent durable. From here on the cut will happen.
pub(super) fn note(disk: &dyn Disk, dir: &str, to: &Position) -> Result<(), Error> {
    let mut data = Vec::with_capacity(NOTE_BYTES);
    data.extend_from_slice(&NOTE_MAGIC);
    data.extend_from_slice(&1u32.to_le_bytes());
    data.extend_from_slice(&to.epoch.get().to_le_bytes());
    data.extend_from_slice(&to.seq.get().to_le_bytes());
    data.extend_from_slice(to.hash.as_bytes());
    data.extend_from_slice(&crc32c::crc32c(&data).to_le_bytes());
    let path = path(dir, NOTE);
    replace_file(disk, &path, &data).map_err(|error| Error::io("writing", &path, error))
}

/// Finishes a cut that an earlier process or call began. Does nothing without a note.
pub(super) fn finish(disk: &dyn Disk, dir: &str, settings: &Settings) -> Result<(), Error> {
    let Some(to) = read_note(disk, dir)? else { return Ok(()) };
    remove_behind(disk, dir, &to)?;
    let segments = segments(disk, dir)?;
    let last = segments.last().ok_or_else(|| Error::Missing { dir: dir.to_owned() })?;
    let file_path = path(dir, &last.name);
    let file = disk.open(&file_path).map_err(|error| Error::io("opening", &file_path, error))?;
    let (end, at) = whole_frames(last, &file, dir, to.seq)?;
    if end != to {
        return Err(last.corrupt(dir, at, to.seq, "the position to cut back to is not there"));
    }
    replace_tail(disk, dir, settings, last, &file, at)
        .map_err(|error| Error::io("cutting", &file_path, error))?;
    let note = path(dir, NOTE);
    disk.remove(&note).map_err(|error| Error::io("removing", &note, error))?;
    disk.sync_dir(dir).map_err(|error| Error::io("syncing", dir, error))
}

fn read_note(disk: &dyn Disk, dir: &str) -> Result<Option<Position>, Error> {
    let path = path(dir, NOTE);
    let data =
        read_file(disk, &path, NOTE_BYTES).map_err(|error| Error::io("reading", &path, error))?;
    let Some(data) = data else { return Ok(None) };
    let whole = data.len() == NOTE_BYTES
        && data[..8] == NOTE_MAGIC
        && super::frame::u32_at(&data, 8) == 1
        && super::frame::u32_at(&data, 60) == crc32c::crc32c(&data[..60]);
    if !whole {
        let what = "the note of a rewind does not match its checksum";
        return Err(Error::Corrupt { file: path, at: 0, after: Seq::ZERO, what });
    }
    Ok(Some(Position {
        epoch: Epoch::new(super::frame::u64_at(&data, 12)),
        seq: Seq::new(super::frame::u64_at(&data, 20)),
        hash: super::frame::hash_at(&data, 28),
    }))
}

/// Removes the segments that begin behind the position, newest first. The first one stays.
fn remove_behind(disk: &dyn Disk, dir: &str, to: &Position) -> Result<(), Error> {
    let mut names = disk.list(dir).map_err(|error| Error::io("listing", dir, error))?;
    let behind =
        |name: &String| first_of(name).is_some_and(|first| first > to.seq.max(Seq::new(1)));
    names.retain(behind);
    for name in names.iter().rev() {
        let path = path(dir, name);
        disk.remove(&path).map_err(|error| Error::io("removing", &path, error))?;
        disk.sync_dir(dir).map_err(|error| Error::io("syncing", dir, error))?;
    }
    Ok(())
}

/// Replaces a segment by a copy that is zero from `end` on. The old file is not touched: it may
/// have other names.
fn replace_tail(
    disk: &dyn Disk,
    dir: &str,
    settings: &Settings,
    segment: &Segment,
    file: &Arc<dyn File>,
    end: u64,
) -> io::Result<()> {
    let spare = path(dir, SPARE);
    match disk.remove(&spare) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let size = settings.segment_bytes.max(segment.size);
    let copy = disk.create(&spare)?;
    let first_page = head(&segment.before, size);
    copy.write_at(0, &first_page)?;
    let mut at = first_page.len() as u64;
    let mut data = Vec::new();
    while at < end {
        let step = COPY_BYTES.min(end - at);
        data.resize(usize::try_from(step).expect("at most 1 MiB"), 0);
        file.read_at(at, &mut data)?;
        copy.write_at(at, &data)?;
        at += step;
    }
    zero_fill(copy.as_ref(), end, size - end)?;
    copy.sync()?;
    disk.rename(&spare, &path(dir, &segment.name))?;
    disk.sync_dir(dir)
}

const _: () = assert!(NOTE_BYTES == 8 + 4 + 8 + 8 + Hash::BYTES + 4);
