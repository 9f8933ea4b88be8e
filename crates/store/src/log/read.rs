//! Reading a log beside its one writer, up to its durable end.

use super::frame::HEADER_BYTES;
use super::segment::{Segment, Walk, path};
use super::{Error, Frame, Settings};
use crate::disk::{Disk, File};
use base::{Hash, Position, Seq};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A part of a payload that ends within so many bytes of its frame is read with the header.
const AT_ONCE_BYTES: usize = 8 << 10;
/// Files of sealed segments kept open.
const OPEN_FILES: usize = 64;

/// What a log's writer, readers and preparer share.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: String,
    pub(super) settings: Settings,
    pub(super) view: RwLock<View>,
    pub(super) poisoned: AtomicBool,
    files: Mutex<VecDeque<(String, Arc<dyn File>)>>,
}

/// What can be read.
pub(super) struct View {
    /// Never empty, by first seq.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) durable: Position,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: String, settings: Settings, view: View) -> Self {
        Self {
            disk,
            dir,
            settings,
            view: RwLock::new(view),
            poisoned: AtomicBool::new(false),
            files: Mutex::default(),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        path(&self.dir, name)
    }

    pub(super) fn check_poison(&self) -> Result<(), Error> {
        if self.poisoned.load(Ordering::Acquire) { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Notes that nothing is known any more about what is on the disk.
    pub(super) fn poison(&self, what: &'static str, cause: &dyn std::error::Error) -> Error {
        tracing::error!(what, dir = self.dir, %cause, "log failed, the process must stop");
        self.poisoned.store(true, Ordering::Release);
        Error::Poisoned
    }

    /// A segment's file, kept open for a while.
    pub(super) fn file(&self, name: &str) -> Result<Arc<dyn File>, Error> {
        let mut files = self.files.lock();
        if let Some((_, file)) = files.iter().find(|(open, _)| open == name) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(name);
        let file = self.disk.open(&path).map_err(|error| Error::io("opening", &path, error))?;
        if files.len() == OPEN_FILES {
            files.pop_front();
        }
        files.push_back((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    pub(super) fn forget_files(&self) {
        self.files.lock().clear();
    }

    /// The segment that holds `seq`, if that is durable and not before the log's beginning.
    fn segment(&self, seq: Seq) -> Option<Arc<Segment>> {
        let view = self.view.read();
        if seq == Seq::ZERO || seq > view.durable.seq {
            return None;
        }
        let after = view.segments.partition_point(|segment| segment.first() <= seq);
        view.segments.get(after.checked_sub(1)?).map(Arc::clone)
    }
}

/// A handle for reading. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
}

impl Reader {
    /// The log's durable end: the last that can be read.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.shared.view.read().durable
    }

    /// The position of a commit; `None` beyond the durable end. Seq 0 is [`Position::ZERO`].
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn position(&self, seq: Seq) -> Result<Option<Position>, Error> {
        if seq == Seq::ZERO {
            return Ok(Some(Position::ZERO));
        }
        self.unless_cut(seq, |segment| {
            let file = self.shared.file(&segment.name)?;
            let at = segment.locate(&file, seq, &self.shared.dir)?;
            Ok(segment.header_at(&file, at, seq, &self.shared.dir)?.position())
        })
    }

    /// Whether the durable log holds this position: its branch goes through it.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn contains(&self, position: &Position) -> Result<bool, Error> {
        Ok(self.position(position.seq)?.as_ref() == Some(position))
    }

    /// One frame; `None` beyond the durable end and for seq 0.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn read(&self, seq: Seq) -> Result<Option<Frame>, Error> {
        self.unless_cut(seq, |segment| {
            let dir = &self.shared.dir;
            let file = self.shared.file(&segment.name)?;
            let at = segment.locate(&file, seq, dir)?;
            let header = segment.header_at(&file, at, seq, dir)?;
            let mut payload = vec![0; header.payload_bytes];
            file.read_at(at + HEADER_BYTES as u64, &mut payload)
                .map_err(|error| Error::io("reading", &path(dir, &segment.name), error))?;
            if !header.payload_holds(&payload) {
                return Err(segment.corrupt(dir, at, seq, "a payload does not match its checksum"));
            }
            Ok(header.frame(Bytes::from(payload)))
        })
    }

    /// So many bytes of a payload, unchecked: for parts that carry a checksum of their own. `None`
    /// beyond the durable end, of the payload, or of an erased one.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn slice(&self, seq: Seq, at: usize, len: usize) -> Result<Option<Bytes>, Error> {
        let slice = self.unless_cut(seq, |segment| {
            let dir = &self.shared.dir;
            let file = self.shared.file(&segment.name)?;
            if at.saturating_add(len) <= AT_ONCE_BYTES
                && let Some(slice) = segment.slice_at_once(&file, seq, (at, len), dir)?
            {
                return Ok(Some(slice));
            }
            let frame_at = segment.locate(&file, seq, dir)?;
            let failed = |error| Error::io("reading", &path(dir, &segment.name), error);
            let header = segment.header_at(&file, frame_at, seq, dir)?;
            if at.checked_add(len).is_none_or(|end| end > header.payload_bytes) {
                return Ok(None);
            }
            let mut slice = vec![0; len];
            file.read_at(frame_at + (HEADER_BYTES + at) as u64, &mut slice).map_err(failed)?;
            Ok(Some(Bytes::from(slice)))
        })?;
        Ok(slice.flatten())
    }

    /// The frames from `from` on, in order, each checked against the one before. After the durable
    /// end it gives `None`, and goes on when there is more.
    #[must_use]
    pub fn frames(&self, from: Seq) -> Frames {
        let next = from.max(Seq::new(1));
        Frames { reader: self.clone(), next, before: None, walk: None }
    }

    /// Reads everything up to the durable end and checks checksums, hashes and the chain.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first damage, [`Error::Io`].
    pub fn verify(&self, from: Seq) -> Result<Position, Error> {
        let mut end = self.position(Seq::new(from.get().max(1) - 1))?.unwrap_or_default();
        for frame in self.frames(from) {
            let frame = frame?;
            if let Some(bytes) = frame.payload.bytes()
                && Hash::of(bytes) != frame.payload.hash()
            {
                let (file, after) = (self.shared.dir.clone(), end.seq);
                let what = "a payload does not match its hash";
                return Err(Error::Corrupt { file, at: 0, after, what });
            }
            end = frame.position;
        }
        Ok(end)
    }

    /// Runs `then` on the segment of `seq`. What fails because a rewind cut the frame away
    /// meanwhile was not there.
    fn unless_cut<T>(
        &self,
        seq: Seq,
        then: impl FnOnce(&Segment) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(segment) = self.shared.segment(seq) else { return Ok(None) };
        match then(&segment) {
            Ok(found) => Ok(Some(found)),
            Err(_) if self.durable().seq < seq => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Goes through a log in order; see [`Reader::frames`].
pub struct Frames {
    reader: Reader,
    next: Seq,
    /// The hash of the frame before `next`, once one was read.
    before: Option<Hash>,
    walk: Option<(Arc<Segment>, Walk)>,
}

impl Frames {
    /// The seq of the next frame.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    fn step(&mut self, segment: Arc<Segment>) -> Result<Frame, Error> {
        let dir = self.reader.shared.dir.clone();
        let mut walk = match self.walk.take() {
            Some((current, walk)) if Arc::ptr_eq(&current, &segment) => walk,
            _ => {
                let file = self.reader.shared.file(&segment.name)?;
                let at = segment.locate(&file, self.next, &dir)?;
                Walk::new(file, at)
            }
        };
        let failed = |error| Error::io("reading", &path(&dir, &segment.name), error);
        let corrupt = |at, what| segment.corrupt(&dir, at, self.next, what);
        // What the buffer holds may be older than the durable end: look again before judging.
        let mut header = walk.header(&segment).map_err(failed)?;
        if header.is_none() {
            walk.refresh();
            header = walk.header(&segment).map_err(failed)?;
        }
        let header = header
            .filter(|header| header.seq == self.next)
            .ok_or_else(|| corrupt(walk.at, "a frame's header does not hold"))?;
        let first = segment.first() == self.next;
        let before = self.before.or_else(|| first.then_some(segment.before.hash));
        if before.is_some_and(|before| before != header.before) {
            return Err(corrupt(walk.at, "a frame does not chain to the one before"));
        }
        let mut payload = walk.payload(&segment, &header).map_err(failed)?;
        if payload.is_none() {
            walk.refresh();
            payload = walk.payload(&segment, &header).map_err(failed)?;
        }
        let payload =
            payload.ok_or_else(|| corrupt(walk.at, "a payload does not match its checksum"))?;
        walk.skip(&header);
        self.walk = Some((segment, walk));
        self.next = self.next.next();
        let frame = header.frame(payload);
        self.before = Some(frame.position.hash);
        Ok(frame)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let segment = self.reader.shared.segment(self.next)?;
        let seq = self.next;
        match self.step(segment) {
            Err(_) if self.reader.durable().seq < seq => None,
            done => Some(done),
        }
    }
}
