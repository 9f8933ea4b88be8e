//! The next segment, filled with zeros before it is needed.

use super::Error;
use super::read::Shared;
use crate::disk::{File, zero_fill};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// The name of the segment in preparation.
pub(super) const SPARE: &str = "next";
/// Filled and synced at once, so that no sync of the log waits long behind it.
const STEP_BYTES: u64 = 1 << 20;

/// The state of the next segment.
#[derive(Default)]
pub(super) enum Spare {
    #[default]
    None,
    Filling {
        file: Arc<dyn File>,
        done: u64,
    },
    Ready(Arc<dyn File>),
}

/// Prepares the next segment beside the log's writer: a driver calls [`Preparer::step`] on a
/// thread of its own while [`Preparer::needed`].
#[derive(Clone)]
pub struct Preparer {
    pub(super) shared: Arc<Shared>,
    pub(super) spare: Arc<Mutex<Spare>>,
}

impl Preparer {
    /// Whether there is something to do. Does not wait for a step in progress.
    #[must_use]
    pub fn needed(&self) -> bool {
        self.spare.try_lock().is_some_and(|spare| !matches!(*spare, Spare::Ready(_)))
    }

    /// Fills and syncs at most 1 MiB of the next segment. Gives `true` when it is ready.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`]: try again later, the log is not touched.
    /// [`Error::Poisoned`]: an fsync failed, the process must stop.
    pub fn step(&self) -> Result<bool, Error> {
        self.shared.check_poison()?;
        self.advance(&mut self.spare.lock())
    }

    /// Hands a whole, durable, zero-filled segment under [`SPARE`]'s name to `name`, which gives
    /// it its own. Nobody else makes a spare meanwhile.
    pub(super) fn take(
        &self,
        name: impl FnOnce(&dyn File) -> io::Result<()>,
    ) -> Result<Arc<dyn File>, Error> {
        let mut spare = self.spare.lock();
        while !self.advance(&mut spare)? {}
        let Spare::Ready(file) = std::mem::take(&mut *spare) else { return Err(Error::Poisoned) };
        name(file.as_ref()).map_err(|error| self.shared.poison("next segment", &error))?;
        Ok(file)
    }

    fn advance(&self, spare: &mut Spare) -> Result<bool, Error> {
        let shared = &self.shared;
        let path = shared.path(SPARE);
        let (file, done) = match spare {
            Spare::Ready(_) => return Ok(true),
            Spare::Filling { file, done } => (Arc::clone(file), *done),
            Spare::None => {
                let file = shared
                    .disk
                    .create(&path)
                    .map_err(|error| self.explain("creating", &path, error))?;
                (file, 0)
            }
        };
        let size = shared.settings.segment_bytes;
        let step = STEP_BYTES.min(size - done);
        if let Err(error) = zero_fill(file.as_ref(), done, step) {
            // A part of a segment is of no use, and others may need the room.
            *spare = Spare::None;
            shared.disk.remove(&path).map_err(|error| Error::io("removing", &path, error))?;
            return Err(self.explain("filling", &path, error));
        }
        file.sync().map_err(|error| shared.poison("preparing", &error))?;
        let done = done + step;
        let ready = done == size;
        *spare = if ready { Spare::Ready(file) } else { Spare::Filling { file, done } };
        Ok(ready)
    }

    fn explain(&self, what: &'static str, path: &str, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::Full { bytes: self.shared.settings.segment_bytes }
            }
            _ => Error::io(what, path, error),
        }
    }
}
