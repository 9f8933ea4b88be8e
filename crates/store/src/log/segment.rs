//! A segment: a file of one size, written from front to back and zero behind that.
//!
//! ```text
//!   0  8  magic "FBlogseg"       24  8  first seq
//!   8  4  version                32  8  epoch before it
//!  12  4  zero                   40 32  hash before it
//!  16  8  size of the segment    72  4  crc32c of all this
//! ```
//! The header has a page of its own. A segment's name is its first seq. It gets the name when the
//! one before is durable to its end: so damage in any but the newest is never a torn tail.

use super::Error;
use super::frame::{HEADER_BYTES, Header, Place, hash_at, u32_at, u64_at};
use crate::disk::{Disk, File, PAGE_BYTES};
use base::{Epoch, Position, Seq};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::sync::Arc;

/// Where the first frame stands.
pub(super) const FIRST_FRAME_AT: u64 = PAGE_BYTES as u64;
const SEGMENT_MAGIC: [u8; 8] = *b"FBlogseg";
const SEGMENT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 76;
/// Every how many frames the offset is remembered.
const SPARSE: u64 = 4;
/// Bytes of the frames between a remembered offset and a frame, read with it.
const BEFORE_BYTES: usize = 2 << 10;
/// Bytes read at once when going through a segment.
const CHUNK_BYTES: u64 = 256 << 10;
const SUFFIX: &str = ".seg";

/// One segment of a log.
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) size: u64,
    /// The log's end before the segment's first frame.
    pub(super) before: Position,
    pub(super) offsets: Mutex<Offsets>,
}

/// Offsets of every [`SPARSE`]th frame, from the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    every: Vec<u32>,
    count: u64,
    /// Bytes of the frames counted.
    bytes: u64,
}

impl Offsets {
    /// Takes note of the next frame.
    pub(super) fn push(&mut self, stride: u64) {
        if self.count.is_multiple_of(SPARSE) {
            self.every.push(u32::try_from(self.bytes).expect("segments are below 4 GiB"));
        }
        self.count += 1;
        self.bytes += stride;
    }

    /// Where the next frame would be.
    pub(super) fn next_at(&self) -> u64 {
        FIRST_FRAME_AT + self.bytes
    }

    /// The place of a frame at or before the `nth`, and how many to go on from there.
    fn near(&self, nth: u64) -> (u64, u64) {
        let (step, on) = (nth / SPARSE, nth % SPARSE);
        let at = usize::try_from(step).ok().and_then(|step| self.every.get(step));
        (FIRST_FRAME_AT + u64::from(*at.expect("the frame is counted")), on)
    }
}

/// The name of the segment that begins with `first`.
pub(super) fn name(first: Seq) -> String {
    format!("{:020}{SUFFIX}", first.get())
}

/// The first seq of a segment's name.
pub(super) fn first_of(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Seq::new)).flatten()
}

/// A file's path in the data directory.
pub(super) fn path(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// The first page of a segment.
pub(super) fn head(before: &Position, size: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE_BYTES];
    page[..8].copy_from_slice(&SEGMENT_MAGIC);
    page[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    page[16..24].copy_from_slice(&size.to_le_bytes());
    page[24..32].copy_from_slice(&before.seq.next().get().to_le_bytes());
    page[32..40].copy_from_slice(&before.epoch.get().to_le_bytes());
    page[40..72].copy_from_slice(before.hash.as_bytes());
    let crc = crc32c::crc32c(&page[..72]);
    page[72..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    page
}

impl Segment {
    pub(super) fn new(before: Position, size: u64) -> Self {
        let name = name(before.seq.next());
        Self { name, size, before, offsets: Mutex::default() }
    }

    /// Reads and checks a segment's head.
    pub(super) fn open(disk: &dyn Disk, dir: &str, name: &str) -> Result<Self, Error> {
        let path = path(dir, name);
        let file = disk.open(&path).map_err(|error| Error::io("opening", &path, error))?;
        let first = first_of(name).unwrap_or_default();
        let corrupt = |what| Error::Corrupt {
            file: path.clone(),
            at: 0,
            after: Seq::new(first.get().saturating_sub(1)),
            what,
        };
        let mut head = [0; HEAD_BYTES];
        let len = file.len().map_err(|error| Error::io("reading", &path, error))?;
        if len < FIRST_FRAME_AT {
            return Err(corrupt("the segment is shorter than its head"));
        }
        file.read_at(0, &mut head).map_err(|error| Error::io("reading", &path, error))?;
        if head[..8] != SEGMENT_MAGIC || crc32c::crc32c(&head[..72]) != u32_at(&head, 72) {
            return Err(corrupt("the segment's head does not match its checksum"));
        }
        if u32_at(&head, 8) != SEGMENT_VERSION {
            return Err(corrupt("the segment has a version this program does not read"));
        }
        let (size, seq) = (u64_at(&head, 16), u64_at(&head, 24));
        if seq == 0 || Seq::new(seq) != first {
            return Err(corrupt("the segment has another segment's name"));
        }
        if len != size || size > u64::from(u32::MAX) {
            return Err(corrupt("the segment does not have its size"));
        }
        let before = Position {
            epoch: Epoch::new(u64_at(&head, 32)),
            seq: Seq::new(seq - 1),
            hash: hash_at(&head, 40),
        };
        Ok(Self { name: name.to_owned(), size, before, offsets: Mutex::default() })
    }

    /// Its first seq.
    pub(super) fn first(&self) -> Seq {
        self.before.seq.next()
    }

    /// The place of an offset.
    pub(super) fn place(&self, at: u64) -> Place {
        Place { segment: self.first(), at }
    }

    /// How many frames have been counted, as the seq that the next would have.
    fn counted_to(&self) -> Seq {
        Seq::new(self.first().get() + self.offsets.lock().count)
    }

    /// Where the frame `seq` stands, which must be in this segment and durable.
    pub(super) fn locate(&self, file: &Arc<dyn File>, seq: Seq, dir: &str) -> Result<u64, Error> {
        let (mut at, on) = self.near(file, seq, dir)?;
        for step in 0..on {
            let expected = Seq::new(seq.get() - (on - step));
            at += self.header_at(file, at, expected, dir)?.stride();
        }
        Ok(at)
    }

    /// A place at or before the frame `seq`, which must be in this segment and durable, and how
    /// many frames to go on from there.
    fn near(&self, file: &Arc<dyn File>, seq: Seq, dir: &str) -> Result<(u64, u64), Error> {
        if seq >= self.counted_to() {
            self.count(file, seq, dir)?;
        }
        Ok(self.offsets.lock().near(seq.get() - self.first().get()))
    }

    /// So many bytes of the payload of the frame `seq`, with one read, if those before it since the
    /// last remembered offset are small. `None` when it takes more.
    pub(super) fn slice_at_once(
        &self,
        file: &Arc<dyn File>,
        seq: Seq,
        (at, len): (usize, usize),
        dir: &str,
    ) -> Result<Option<Bytes>, Error> {
        let (start, on) = self.near(file, seq, dir)?;
        let room = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let mut data = vec![0; (BEFORE_BYTES + HEADER_BYTES + at + len).min(room)];
        file.read_at(start, &mut data)
            .map_err(|error| Error::io("reading", &path(dir, &self.name), error))?;
        let mut within = 0;
        for step in 0..=on {
            let (expected, place) = (Seq::new(seq.get() - (on - step)), start + within as u64);
            let Some(rest) = data.get(within..).filter(|rest| rest.len() >= HEADER_BYTES) else {
                return Ok(None);
            };
            let header = self.header_in(rest, place, expected, dir)?;
            if step == on {
                let first = within + HEADER_BYTES + at;
                let fits = at + len <= header.payload_bytes && first + len <= data.len();
                return Ok(fits.then(|| Bytes::from(data).slice(first..first + len)));
            }
            within += usize::try_from(header.stride()).expect("frames fit memory");
        }
        Ok(None)
    }

    /// The header at `at`, which must be that of `seq`.
    pub(super) fn header_at(
        &self,
        file: &Arc<dyn File>,
        at: u64,
        seq: Seq,
        dir: &str,
    ) -> Result<Header, Error> {
        let mut data = [0; HEADER_BYTES];
        if at + HEADER_BYTES as u64 <= self.size {
            file.read_at(at, &mut data)
                .map_err(|error| Error::io("reading", &path(dir, &self.name), error))?;
        }
        self.header_in(&data, at, seq, dir)
    }

    /// The header at the front of `data`, read at `at`, which must be that of `seq`.
    pub(super) fn header_in(
        &self,
        data: &[u8],
        at: u64,
        seq: Seq,
        dir: &str,
    ) -> Result<Header, Error> {
        Header::read(self.place(at), data)
            .filter(|header| header.seq == seq && at + header.stride() <= self.size)
            .ok_or_else(|| self.corrupt(dir, at, seq, "a frame's header does not hold"))
    }

    /// `Corrupt`, when the frame `seq` should be at `at`.
    pub(super) fn corrupt(&self, dir: &str, at: u64, seq: Seq, what: &'static str) -> Error {
        let after = Seq::new(seq.get().saturating_sub(1));
        Error::Corrupt { file: path(dir, &self.name), at, after, what }
    }

    /// Goes on counting frames up to and with `to`.
    fn count(&self, file: &Arc<dyn File>, to: Seq, dir: &str) -> Result<(), Error> {
        let mut offsets = self.offsets.lock();
        let mut next = Seq::new(self.first().get() + offsets.count);
        let mut walk = Walk::new(Arc::clone(file), offsets.next_at());
        while next <= to {
            let at = walk.at;
            let header = walk
                .header(self)
                .map_err(|error| Error::io("reading", &path(dir, &self.name), error))?
                .filter(|header| header.seq == next)
                .ok_or_else(|| self.corrupt(dir, at, next, "a frame's header does not hold"))?;
            walk.skip(&header);
            offsets.push(header.stride());
            next = next.next();
        }
        Ok(())
    }
}

/// Goes through a segment's frames with large reads.
pub(super) struct Walk {
    file: Arc<dyn File>,
    /// Where the next frame is.
    pub(super) at: u64,
    buffer: Bytes,
    buffer_at: u64,
}

impl Walk {
    pub(super) fn new(file: Arc<dyn File>, at: u64) -> Self {
        Self { file, at, buffer: Bytes::new(), buffer_at: at }
    }

    /// The bytes `at..at + len`, which must be within the segment.
    fn bytes(&mut self, segment: &Segment, at: u64, len: usize) -> std::io::Result<Bytes> {
        let within = |at: u64, start: u64| usize::try_from(at - start).expect("within a buffer");
        if at >= self.buffer_at {
            let skip = at - self.buffer_at;
            if skip + len as u64 <= self.buffer.len() as u64 {
                let start = within(at, self.buffer_at);
                return Ok(self.buffer.slice(start..start + len));
            }
        }
        let wanted = CHUNK_BYTES.max(len as u64).min(segment.size - at);
        let mut data = BytesMut::zeroed(usize::try_from(wanted).expect("segments fit memory"));
        self.file.read_at(at, &mut data)?;
        self.buffer = data.freeze();
        self.buffer_at = at;
        Ok(self.buffer.slice(..len))
    }

    /// The header here; `None` when there is none of this place.
    pub(super) fn header(&mut self, segment: &Segment) -> std::io::Result<Option<Header>> {
        if self.at + HEADER_BYTES as u64 > segment.size {
            return Ok(None);
        }
        let data = self.bytes(segment, self.at, HEADER_BYTES)?;
        let header = Header::read(segment.place(self.at), &data);
        Ok(header.filter(|header| self.at + header.stride() <= segment.size))
    }

    /// The payload of the frame here; `None` when it does not match its checksum.
    pub(super) fn payload(
        &mut self,
        segment: &Segment,
        header: &Header,
    ) -> std::io::Result<Option<Bytes>> {
        let at = self.at + HEADER_BYTES as u64;
        let payload = self.bytes(segment, at, header.payload_bytes)?;
        Ok(header.payload_holds(&payload).then_some(payload))
    }

    /// Forgets what was read ahead.
    pub(super) fn refresh(&mut self) {
        self.buffer = Bytes::new();
    }

    /// On to the next frame.
    pub(super) fn skip(&mut self, header: &Header) {
        self.at += header.stride();
    }
}
