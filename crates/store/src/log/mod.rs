//! An account's commits in order: the log, in segments of its own folder.
//!
//! One owner writes ([`Log`]); any number of threads read beside it ([`Reader`]); a thread of the
//! driver's makes the next segment ready ([`Preparer`]). To the log a commit is opaque bytes.
//!
//! ```text
//!             append            sync
//!   end ────────────────▶ end ────────▶ durable = end        readers see up to durable
//!    ▲                     │
//!    └── open: torn tail ◀─┘ crash      damage before a position known durable: Corrupt
//! ```
//! The rules, from DESIGN 4.1: a frame counts only if its checksum holds and it chains to the one
//! before; each frame records the position known durable before its group, so that at a start
//! damage behind the last such position is a torn tail, and damage before it is never cut. After a
//! failed write or fsync the log is poisoned: the process must stop.

mod error;
mod export;
mod frame;
mod read;
mod recover;
mod rewind;
mod segment;
mod spare;

pub use error::Error;
pub use export::{Export, ExportFrames, Exported};
pub use frame::{Entry, Frame, Payload, SecondaryMark, chain};
pub use read::{Frames, Reader};
pub use spare::Preparer;

use crate::disk::{Disk, File, read_file, replace_file};
use base::{Position, Seq};
use parking_lot::Mutex;
use read::{Shared, View};
use segment::{FIRST_FRAME_AT, Segment, path};
use spare::{SPARE, Spare};
use std::io;
use std::sync::Arc;

/// The name and the content of the file that says a folder is a log of this version.
const FORMAT_FILE: &str = "format";
const FORMAT: &str = "firebreak log 1\n";
/// Segments smaller than this hold nothing useful.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// Offsets within a segment have 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1 << 31;

/// Settings of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a new segment: whole pages, 16 KiB to 2 GiB. Default 64 MiB.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Bytes of a torn tail that were cut.
    pub cut_bytes: u64,
}

/// One account's log. See the module.
pub struct Log {
    shared: Arc<Shared>,
    spare: Arc<Mutex<Spare>>,
    active: Arc<Segment>,
    file: Arc<dyn File>,
    /// Where the next frame goes.
    at: u64,
    end: Position,
    buffer: Vec<u8>,
}

impl Log {
    /// Makes an empty log in a folder without one.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Full`], [`Error::Io`].
    pub fn create(disk: Arc<dyn Disk>, dir: &str, settings: Settings) -> Result<Self, Error> {
        let settings = clamp(settings);
        if read_format(disk.as_ref(), dir)?.is_some() {
            return Err(Error::Exists { dir: dir.to_owned() });
        }
        disk.create_dir(dir).map_err(|error| Error::io("creating", dir, error))?;
        // What a creation left that did not get to the format file.
        for name in disk.list(dir).map_err(|error| Error::io("listing", dir, error))? {
            if segment::first_of(&name).is_some() || name == SPARE {
                remove(disk.as_ref(), &path(dir, &name))?;
            }
        }
        let first = Arc::new(Segment::new(Position::ZERO, settings.segment_bytes));
        let view = View { segments: vec![Arc::clone(&first)], durable: Position::ZERO };
        let shared = Arc::new(Shared::new(disk, dir.to_owned(), settings, view));
        let spare = Arc::new(Mutex::new(Spare::None));
        let file = name_spare(&shared, &spare, &first)?;
        let format = path(dir, FORMAT_FILE);
        replace_file(shared.disk.as_ref(), &format, FORMAT.as_bytes())
            .map_err(|error| Error::io("writing", &format, error))?;
        let (at, end) = (FIRST_FRAME_AT, Position::ZERO);
        Ok(Self { shared, spare, active: first, file, at, end, buffer: Vec::new() })
    }

    /// Opens a log: finishes a rewind that was under way, cuts a torn tail, makes the rest durable.
    /// Looks only at the newest segment whole; [`Reader::verify`] looks at all.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Format`], [`Error::Corrupt`], [`Error::Io`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &str,
        settings: Settings,
    ) -> Result<(Self, Recovered), Error> {
        let settings = clamp(settings);
        match read_format(disk.as_ref(), dir)? {
            None => return Err(Error::Missing { dir: dir.to_owned() }),
            Some(found) if found != FORMAT => {
                let found = found.trim_end().chars().take(32).collect();
                return Err(Error::Format {
                    dir: dir.to_owned(),
                    found,
                    expected: FORMAT.trim_end(),
                });
            }
            Some(_) => {}
        }
        remove(disk.as_ref(), &path(dir, SPARE))?;
        rewind::finish(disk.as_ref(), dir, &settings)?;
        let segments = recover::segments(disk.as_ref(), dir)?;
        let Some(active) = segments.last().map(Arc::clone) else {
            let (file, what) = (dir.to_owned(), "there is no segment");
            return Err(Error::Corrupt { file, at: 0, after: Seq::ZERO, what });
        };
        let tail = recover::tail(disk.as_ref(), dir, &active)?;
        let view = View { segments, durable: tail.end };
        let shared = Arc::new(Shared::new(disk, dir.to_owned(), settings, view));
        let at = active.offsets.lock().next_at();
        let log = Self {
            shared,
            spare: Arc::new(Mutex::new(Spare::None)),
            active,
            file: tail.file,
            at,
            end: tail.end,
            buffer: Vec::new(),
        };
        Ok((log, Recovered { cut_bytes: tail.cut_bytes }))
    }

    /// Opens the log in a folder, or makes one where there is none.
    ///
    /// # Errors
    /// Those of [`Log::create`] and [`Log::open`].
    pub fn open_or_create(
        disk: Arc<dyn Disk>,
        dir: &str,
        settings: Settings,
    ) -> Result<(Self, Recovered), Error> {
        match Self::open(Arc::clone(&disk), dir, settings) {
            Err(Error::Missing { .. }) => {
                Ok((Self::create(disk, dir, settings)?, Recovered::default()))
            }
            opened => opened,
        }
    }

    /// The last frame appended, durable or not.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }

    /// The last frame known durable here.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.shared.view.read().durable
    }

    /// A handle for reading.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared) }
    }

    /// A handle for making the next segment ready.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        Preparer { shared: Arc::clone(&self.shared), spare: Arc::clone(&self.spare) }
    }

    /// Does a step of making the next segment ready, for an owner without a thread for it; see
    /// [`Preparer::step`].
    ///
    /// # Errors
    /// Those of [`Preparer::step`].
    pub fn prepare_next_segment(&self) -> Result<bool, Error> {
        self.preparer().step()
    }

    /// Bytes of the largest group, headers included: what one segment holds.
    #[must_use]
    pub fn group_bytes_max(&self) -> u64 {
        self.shared.settings.segment_bytes - FIRST_FRAME_AT
    }

    /// What is recorded of the secondary in the last frame; see [`SecondaryMark`].
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn secondary_mark(&self) -> Result<Option<SecondaryMark>, Error> {
        Ok(self.reader().read(self.durable().seq)?.and_then(|frame| frame.secondary))
    }

    /// Appends a group of commits; gives the position of each. Not durable before [`Log::sync`].
    /// Either the whole group is appended or nothing changed, unless the log is poisoned.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::EpochBack`], [`Error::Full`], [`Error::Poisoned`].
    pub fn append(&mut self, group: Vec<Entry>) -> Result<Vec<Position>, Error> {
        self.shared.check_poison()?;
        let bytes = group.iter().map(|entry| frame::stride(entry.payload.len())).sum();
        if bytes > self.group_bytes_max() {
            return Err(Error::TooLarge { bytes, limit: self.group_bytes_max() });
        }
        let mut epoch = self.end.epoch;
        for entry in &group {
            if entry.epoch < epoch {
                return Err(Error::EpochBack { epoch: entry.epoch, end: epoch });
            }
            epoch = entry.epoch;
        }
        if self.at + bytes > self.active.size {
            self.next_segment()?;
        }
        let durable = self.durable().seq;
        let mut positions = Vec::with_capacity(group.len());
        let mut strides = Vec::with_capacity(group.len());
        let mut end = self.end;
        self.buffer.clear();
        for entry in group {
            let frame = Frame::following(&end, entry);
            let start = self.buffer.len();
            let place = self.active.place(self.at + start as u64);
            frame::write(&frame, durable, place, &mut self.buffer);
            strides.push((self.buffer.len() - start) as u64);
            positions.push(frame.position);
            end = frame.position;
        }
        let written = self.file.write_at(self.at, &self.buffer);
        written.map_err(|error| self.shared.poison("append", &error))?;
        let mut offsets = self.active.offsets.lock();
        strides.into_iter().for_each(|stride| offsets.push(stride));
        self.at = offsets.next_at();
        self.end = end;
        Ok(positions)
    }

    /// Makes everything appended durable, with one `fdatasync`, and shows it to readers.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: it failed, now or before.
    pub fn sync(&mut self) -> Result<Position, Error> {
        self.shared.check_poison()?;
        if self.durable() != self.end {
            self.file.sync().map_err(|error| self.shared.poison("sync", &error))?;
            self.shared.view.write().durable = self.end;
        }
        Ok(self.end)
    }

    /// Writes all behind `from` to an export file, whole and synced, and leaves the log as it is.
    ///
    /// # Errors
    /// [`Error::NotHere`], [`Error::Corrupt`], [`Error::Io`], [`Error::Poisoned`].
    pub fn export_tail(&mut self, from: &Position, file: &str) -> Result<Exported, Error> {
        self.sync()?;
        export::write(&self.reader(), from, file)
    }

    /// Cuts the log back to `to`, after its tail was exported. Durable on return; after a crash at
    /// any step the next [`Log::open`] finds the old log or finishes the cut.
    ///
    /// # Errors
    /// [`Error::NotHere`], [`Error::NotExported`]: nothing changed. [`Error::Poisoned`]: the
    /// process must stop.
    pub fn rewind(&mut self, to: &Position, exported: &Exported) -> Result<(), Error> {
        self.sync()?;
        if !self.reader().contains(to)? {
            return Err(Error::NotHere(*to));
        }
        if exported.from != *to || exported.end != self.end {
            return Err(Error::NotExported {
                exported_from: exported.from.seq,
                exported_end: exported.end.seq,
                from: to.seq,
                end: self.end.seq,
            });
        }
        if *to == self.end {
            return Ok(());
        }
        let spare = Arc::clone(&self.spare);
        let mut spare = spare.lock();
        *spare = Spare::None;
        let cut = self.cut(to);
        if let Err(error) = &cut {
            self.shared.poison("rewind", error);
        }
        cut
    }

    fn cut(&mut self, to: &Position) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let disk = shared.disk.as_ref();
        rewind::note(disk, &shared.dir, to)?;
        // From here on readers see the log as it will be.
        shared.view.write().durable = *to;
        rewind::finish(disk, &shared.dir, &shared.settings)?;
        shared.forget_files();
        let segments = recover::segments(disk, &shared.dir)?;
        let active = segments.last().map(Arc::clone).ok_or(Error::Poisoned)?;
        let tail = recover::tail(disk, &shared.dir, &active)?;
        shared.view.write().segments = segments;
        self.at = active.offsets.lock().next_at();
        self.active = active;
        self.file = tail.file;
        self.end = tail.end;
        if self.end == *to { Ok(()) } else { Err(Error::Poisoned) }
    }

    /// The names of sealed segments, oldest first: they never change, and can be linked.
    #[must_use]
    pub fn sealed(&self) -> Vec<String> {
        let view = self.shared.view.read();
        let sealed = view.segments.len() - 1;
        view.segments[..sealed].iter().map(|segment| segment.name.clone()).collect()
    }

    /// Gives a sealed segment a second name, relative to the data directory.
    ///
    /// # Errors
    /// [`Error::Io`]; one that is not sealed is not found.
    pub fn link_sealed(&self, name: &str, to: &str) -> Result<(), Error> {
        let failed = |error| Error::io("linking", name, error);
        if !self.sealed().iter().any(|sealed| sealed == name) {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        self.shared.disk.link(&self.shared.path(name), to).map_err(failed)
    }

    /// Seals the active segment and goes on in the next.
    fn next_segment(&mut self) -> Result<(), Error> {
        self.sync()?;
        let segment = Arc::new(Segment::new(self.end, self.shared.settings.segment_bytes));
        let file = name_spare(&self.shared, &self.spare, &segment)?;
        self.shared.view.write().segments.push(Arc::clone(&segment));
        self.active = segment;
        self.file = file;
        self.at = FIRST_FRAME_AT;
        Ok(())
    }
}

/// Turns the prepared file into the segment: its head first, then its name.
fn name_spare(
    shared: &Arc<Shared>,
    spare: &Arc<Mutex<Spare>>,
    segment: &Segment,
) -> Result<Arc<dyn File>, Error> {
    let preparer = Preparer { shared: Arc::clone(shared), spare: Arc::clone(spare) };
    let (from, to) = (shared.path(SPARE), shared.path(&segment.name));
    preparer.take(|file| {
        file.write_at(0, &segment::head(&segment.before, segment.size))?;
        file.sync()?;
        shared.disk.rename(&from, &to)?;
        shared.disk.sync_dir(&shared.dir)
    })
}

fn clamp(settings: Settings) -> Settings {
    let whole = settings.segment_bytes.next_multiple_of(crate::disk::PAGE_BYTES as u64);
    Settings { segment_bytes: whole.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) }
}

fn remove(disk: &dyn Disk, path: &str) -> Result<(), Error> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("removing", path, error))
        }
        _ => Ok(()),
    }
}

fn read_format(disk: &dyn Disk, dir: &str) -> Result<Option<String>, Error> {
    let path = path(dir, FORMAT_FILE);
    let data = read_file(disk, &path, 4096).map_err(|error| Error::io("reading", &path, error))?;
    Ok(data.map(|data| String::from_utf8_lossy(&data).into_owned()))
}

#[cfg(test)]
mod tests;
