//! Whether there is room on the disk, as those who write there found it.

use super::Core;
use crate::Error;
use std::sync::atomic::{AtomicU8, Ordering};

/// Who writes. Each says for itself when there is room again.
#[derive(Clone, Copy)]
pub(crate) enum Writer {
    /// The log's next segment: filled ahead, so that what was accepted still has its place.
    Segment = 1,
    Log = 2,
    Flush = 4,
    Merge = 8,
    Rebuild = 16,
}

/// Those who found none.
#[derive(Default)]
pub(super) struct Room(AtomicU8);

impl Core {
    /// Takes note of how a write to the disk went. While one found no room, no new write is taken.
    pub(crate) fn wrote<T>(&self, writer: Writer, done: &Result<T, Error>) {
        let bit = writer as u8;
        let full = done.as_ref().err().is_some_and(Error::is_disk_full);
        if full == (self.room.0.load(Ordering::Acquire) & bit != 0) {
            return;
        }
        // The flag and what follows from it change together.
        let mut sequencer = self.sequencer.lock();
        let before = match full {
            true => self.room.0.fetch_or(bit, Ordering::AcqRel),
            false => self.room.0.fetch_and(!bit, Ordering::AcqRel),
        };
        let now = if full { before | bit } else { before & !bit };
        sequencer.disk_full = now != 0;
        drop(sequencer);
        match (before, now) {
            (0, _) => tracing::error!("the disk is full: no write is taken until there is room"),
            (_, 0) => tracing::info!("there is room on the disk again: writes are taken"),
            _ => {}
        }
    }
}
