//! What a start finds: whole frames, a torn tail that is cut, or damage that is not.

use super::Error;
use super::frame::{HEADER_BYTES, Header, MAGIC};
use super::segment::{FIRST_FRAME_AT, Segment, Walk, first_of, path};
use crate::disk::{Disk, File, PAGE_BYTES, zero_fill};
use base::{Position, Seq};
use std::sync::Arc;

/// Bytes looked at together behind the last whole frame.
const LOOK_BYTES: u64 = 1 << 20;

/// The newest segment, after recovery.
pub(super) struct Tail {
    pub(super) file: Arc<dyn File>,
    pub(super) end: Position,
    /// Bytes of a torn tail that were overwritten with zeros.
    pub(super) cut_bytes: u64,
}

/// The segments in a folder, by first seq; a damaged head or a name that is none is an error.
pub(super) fn segments(disk: &dyn Disk, dir: &str) -> Result<Vec<Arc<Segment>>, Error> {
    let names = disk.list(dir).map_err(|error| Error::io("listing", dir, error))?;
    let mut found: Vec<Arc<Segment>> = Vec::new();
    for name in names.iter().filter(|name| first_of(name).is_some()) {
        let segment = Segment::open(disk, dir, name)?;
        let follows = match found.last() {
            Some(last) => segment.first() > last.first(),
            None => segment.before == Position::ZERO,
        };
        if !follows {
            let what = "the segment before it is missing";
            return Err(segment.corrupt(dir, 0, segment.first(), what));
        }
        found.push(Arc::new(segment));
    }
    Ok(found)
}

/// Counts the whole frames of a segment, up to and with `limit`. Gives the end reached, and where.
pub(super) fn whole_frames(
    segment: &Segment,
    file: &Arc<dyn File>,
    dir: &str,
    limit: Seq,
) -> Result<(Position, u64), Error> {
    let failed = |error| Error::io("reading", &path(dir, &segment.name), error);
    let mut walk = Walk::new(Arc::clone(file), FIRST_FRAME_AT);
    let mut end = segment.before;
    let mut offsets = super::segment::Offsets::default();
    while end.seq < limit {
        let Some(header) = walk.header(segment).map_err(failed)? else { break };
        let chains =
            header.seq == end.seq.next() && header.before == end.hash && header.epoch >= end.epoch;
        if !chains || walk.payload(segment, &header).map_err(failed)?.is_none() {
            break;
        }
        walk.skip(&header);
        offsets.push(header.stride());
        end = header.position();
    }
    *segment.offsets.lock() = offsets;
    Ok((end, walk.at))
}

/// Recovers the newest segment: finds its end, cuts a torn tail, and makes what is left durable.
pub(super) fn tail(disk: &dyn Disk, dir: &str, segment: &Segment) -> Result<Tail, Error> {
    let path = path(dir, &segment.name);
    let file = disk.open(&path).map_err(|error| Error::io("opening", &path, error))?;
    let (end, at) = whole_frames(segment, &file, dir, Seq::new(u64::MAX))?;
    let behind = behind(segment, &file, dir, at, end.seq)?;
    if let Some(last) = behind {
        zero_fill(file.as_ref(), at, last + 1 - at)
            .map_err(|error| Error::io("cutting the torn tail", &path, error))?;
    }
    // What was found may stand in the page cache only.
    file.sync().map_err(|_| Error::Poisoned)?;
    Ok(Tail { file, end, cut_bytes: behind.map_or(0, |last| last + 1 - at) })
}

/// Looks at all behind the last whole frame. Gives the last byte that is not zero, if any.
///
/// A frame there that was written when a commit after `end` was durable already proves that this
/// is damage and no torn tail.
fn behind(
    segment: &Segment,
    file: &Arc<dyn File>,
    dir: &str,
    from: u64,
    end: Seq,
) -> Result<Option<u64>, Error> {
    let failed = |error| Error::io("reading", &path(dir, &segment.name), error);
    let mut last = None;
    let mut at = from;
    while at < segment.size {
        let bytes = LOOK_BYTES.min(segment.size - at);
        let mut data = vec![0; usize::try_from(bytes).expect("at most 1 MiB")];
        file.read_at(at, &mut data).map_err(failed)?;
        for (page, start) in data.chunks(PAGE_BYTES).zip((0..).step_by(PAGE_BYTES)) {
            let Some(nonzero) = page.iter().rposition(|byte| *byte != 0) else { continue };
            last = Some(at + (start + nonzero) as u64);
            for word in (0..page.len()).step_by(super::frame::ALIGN) {
                if !page[word..].starts_with(&MAGIC) {
                    continue;
                }
                let place = at + (start + word) as u64;
                if later_frame(segment, file, place).map_err(failed)?.is_some_and(|d| d > end) {
                    let what = "a later frame was written when this one was durable";
                    return Err(segment.corrupt(dir, from, end.next(), what));
                }
            }
        }
        at += bytes;
    }
    Ok(last)
}

/// What the frame at `at`, if it is one of this place, says was durable before it.
fn later_frame(segment: &Segment, file: &Arc<dyn File>, at: u64) -> std::io::Result<Option<Seq>> {
    let mut data = [0; HEADER_BYTES];
    if at + HEADER_BYTES as u64 > segment.size {
        return Ok(None);
    }
    file.read_at(at, &mut data)?;
    Ok(Header::read(segment.place(at), &data).map(|header| header.durable))
}
