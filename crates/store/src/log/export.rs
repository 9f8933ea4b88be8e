//! A tail of the log as a file of its own: made before a rewind cuts it, read by the quarantine.
//!
//! ```text
//!   0  8  magic "FBexport"       12  48  the position before the first frame
//!   8  4  version                60  48  the position of the last frame
//! 108  8  count of frames       116   …  the frames, as `Frame::encode` writes them
//!  end 32  BLAKE3 of all before
//! ```

use super::frame::{hash_at, u32_at, u64_at};
use super::{Error, Frame, Reader};
use crate::disk::{Disk, File, folder};
use base::{Epoch, Hash, Position, Seq};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"FBexport";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 116;
const CHUNK_BYTES: usize = 1 << 20;

/// Proof that a tail was exported: what [`crate::log::Log::rewind`] asks for. Only writing or
/// checking an export makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub(super) file: String,
    pub(super) from: Position,
    pub(super) end: Position,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Exported {
    /// The file, relative to the data directory.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
    /// The position before the first frame.
    #[must_use]
    pub const fn from(&self) -> Position {
        self.from
    }
    /// The position of the last frame.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }
    /// How many frames it holds.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }
    /// Size of the file in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(&position.epoch.get().to_le_bytes());
    out.extend_from_slice(&position.seq.get().to_le_bytes());
    out.extend_from_slice(position.hash.as_bytes());
}

fn position_at(data: &[u8], at: usize) -> Position {
    Position {
        epoch: Epoch::new(u64_at(data, at)),
        seq: Seq::new(u64_at(data, at + 8)),
        hash: hash_at(data, at + 16),
    }
}

/// Writes the durable frames behind `from` under a passing name, then gives it `name`, replacing
/// an earlier export of that name.
pub(super) fn write(reader: &Reader, from: &Position, name: &str) -> Result<Exported, Error> {
    if !reader.contains(from)? {
        return Err(Error::NotHere(*from));
    }
    let disk = reader.shared.disk.as_ref();
    let failed = |error| Error::io("exporting to", name, error);
    let end = reader.durable();
    let frames = end.seq.get() - from.seq.get();
    let passing = format!("{name}.new");
    disk.create_dir(folder(name)).map_err(failed)?;
    super::remove(disk, &passing)?;
    let mut out = Writer::new(disk.create(&passing).map_err(failed)?);
    out.data.extend_from_slice(&MAGIC);
    out.data.extend_from_slice(&VERSION.to_le_bytes());
    put_position(&mut out.data, from);
    put_position(&mut out.data, &end);
    out.data.extend_from_slice(&frames.to_le_bytes());
    let mut before = *from;
    for frame in reader.frames(from.seq.next()) {
        let frame = frame?;
        before = frame.position;
        frame.encode(&mut out.data);
        if out.data.len() >= CHUNK_BYTES {
            out.flush().map_err(failed)?;
        }
        if before == end {
            break;
        }
    }
    if before != end {
        return Err(Error::NotHere(end));
    }
    let bytes = out.finish().map_err(failed)?;
    disk.rename(&passing, name).map_err(failed)?;
    disk.sync_dir(folder(name)).map_err(failed)?;
    Ok(Exported { file: name.to_owned(), from: *from, end, frames, bytes })
}

struct Writer {
    file: Arc<dyn File>,
    hasher: blake3::Hasher,
    data: Vec<u8>,
    at: u64,
}

impl Writer {
    fn new(file: Arc<dyn File>) -> Self {
        Self { file, hasher: blake3::Hasher::new(), data: Vec::new(), at: 0 }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.data);
        self.file.write_at(self.at, &self.data)?;
        self.at += self.data.len() as u64;
        self.data.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        let hash = self.hasher.finalize();
        self.file.write_at(self.at, hash.as_bytes())?;
        self.file.sync()?;
        Ok(self.at + Hash::BYTES as u64)
    }
}

/// An export file, checked whole.
pub struct Export {
    exported: Exported,
    file: Arc<dyn File>,
}

impl Export {
    /// Opens an export and checks all of it: checksum, chain, and that it ends where it says.
    ///
    /// # Errors
    /// [`Error::Undecodable`], [`Error::Io`].
    pub fn open(disk: &dyn Disk, name: &str) -> Result<Self, Error> {
        let failed = |error| Error::io("reading export", name, error);
        let bad = |why| Error::Undecodable { what: "export", why };
        let file = disk.open(name).map_err(failed)?;
        let bytes = file.len().map_err(failed)?;
        let Some(body) = bytes.checked_sub(Hash::BYTES as u64).filter(|b| *b >= HEAD_BYTES as u64)
        else {
            return Err(bad("it is shorter than its head"));
        };
        let mut hasher = blake3::Hasher::new();
        let (mut at, mut data) = (0, Vec::new());
        while at < body {
            let step = (body - at).min(CHUNK_BYTES as u64);
            data.resize(usize::try_from(step).expect("at most 1 MiB"), 0);
            file.read_at(at, &mut data).map_err(failed)?;
            hasher.update(&data);
            at += step;
        }
        let mut hash = [0; Hash::BYTES];
        file.read_at(body, &mut hash).map_err(failed)?;
        if *hasher.finalize().as_bytes() != hash {
            return Err(bad("it does not match its checksum"));
        }
        let mut head = [0; HEAD_BYTES];
        file.read_at(0, &mut head).map_err(failed)?;
        if head[..8] != MAGIC || u32_at(&head, 8) != VERSION {
            return Err(bad("its version is unknown"));
        }
        let (from, end) = (position_at(&head, 12), position_at(&head, 60));
        let frames = u64_at(&head, 108);
        let exported = Exported { file: name.to_owned(), from, end, frames, bytes };
        let export = Self { exported, file };
        let mut last = from;
        for frame in export.frames() {
            let frame = frame?;
            if frame.before != last.hash || frame.position.seq != last.seq.next() {
                return Err(bad("a frame does not chain to the one before"));
            }
            last = frame.position;
        }
        if last != end || end.seq.get() - from.seq.get() != frames {
            return Err(bad("it does not end where it says"));
        }
        Ok(export)
    }

    /// What it holds; also the proof that a rewind asks for.
    #[must_use]
    pub const fn exported(&self) -> &Exported {
        &self.exported
    }

    /// Its frames in order.
    #[must_use]
    pub fn frames(&self) -> ExportFrames {
        ExportFrames {
            file: Arc::clone(&self.file),
            name: self.exported.file.clone(),
            at: HEAD_BYTES as u64,
            end: self.exported.bytes - Hash::BYTES as u64,
            buffer: Bytes::new(),
            failed: false,
        }
    }
}

/// Goes through an export's frames in order.
pub struct ExportFrames {
    file: Arc<dyn File>,
    name: String,
    /// The next byte to read into the buffer.
    at: u64,
    end: u64,
    buffer: Bytes,
    failed: bool,
}

impl ExportFrames {
    /// Reads on; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.at == self.end {
            return Ok(false);
        }
        let step = (self.end - self.at).min((CHUNK_BYTES.max(self.buffer.len())) as u64);
        let mut more = BytesMut::with_capacity(self.buffer.len() + CHUNK_BYTES);
        more.extend_from_slice(&self.buffer);
        let start = more.len();
        more.resize(start + usize::try_from(step).expect("a chunk fits memory"), 0);
        self.file
            .read_at(self.at, &mut more[start..])
            .map_err(|error| Error::io("reading export", &self.name, error))?;
        self.at += step;
        self.buffer = more.freeze();
        Ok(true)
    }

    fn step(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if !self.buffer.is_empty()
                && let Ok(frame) = Frame::decode(&mut self.buffer)
            {
                return Ok(Some(frame));
            }
            if !self.fill()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Frame::decode(&mut self.buffer).map(Some)
                };
            }
        }
    }
}

impl Iterator for ExportFrames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}
