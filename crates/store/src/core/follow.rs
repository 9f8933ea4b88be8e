//! The secondary's side, and going back: commits that were made elsewhere, commits that are taken
//! back.

use super::Core;
use super::apply::Pending;
use crate::commit::Commit;
use crate::digest::{Window, element};
use crate::index::Undo;
use crate::log::{self, Exported, Frame};
use crate::{Effect, Error};
use base::{Position, ResourceId, Seq};
use fhir::TypeId;
use hashbrown::HashSet;

/// What a rewind took back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// Commits cut from the log.
    pub commits: u64,
    /// Resources whose newest version is another one now.
    pub resources: u64,
}

impl Core {
    /// Whether the log grows by frames from elsewhere: no term is set.
    pub(crate) fn is_following(&self) -> bool {
        self.sequencer.lock().term().is_none()
    }

    /// Appends frames of another copy, durably, exactly behind the end. They are applied behind.
    /// Gives the new end.
    ///
    /// # Errors
    /// [`Error::NotNext`] when they do not follow the end; nothing is changed then.
    pub fn append_frames(&self, frames: Vec<Frame>) -> Result<Position, Error> {
        if !self.is_following() || self.status().in_flight > 0 {
            return Err(Error::NotFollowing);
        }
        let mut log = self.log.lock();
        let mut end = log.end();
        for frame in &frames {
            let position = frame.position;
            let chained =
                log::chain(&end.hash, position.epoch, end.seq.next(), &frame.payload.hash());
            if frame.before != end.hash
                || position.seq != end.seq.next()
                || position.hash != chained
                || position.epoch < end.epoch
            {
                return Err(Error::NotNext { end });
            }
            end = position;
        }
        if frames.is_empty() {
            return Ok(end);
        }
        let entries = frames.iter().cloned().map(Frame::into_entry).collect();
        let appended = log.append(entries).and_then(|_| log.sync());
        let durable = match appended {
            Ok(durable) => durable,
            Err(error) => {
                if !matches!(error, log::Error::Full { .. } | log::Error::TooLarge { .. }) {
                    self.fail();
                }
                return Err(error.into());
            }
        };
        self.pending.lock().extend(frames.into_iter().map(Pending::Frame));
        self.progress.set_durable(durable);
        drop(log);
        self.to_apply.notify_one();
        self.watchers.lock().iter().for_each(|watcher| watcher(&durable));
        Ok(durable)
    }

    /// Writes everything behind `from` to an export file.
    ///
    /// # Errors
    /// Those of the log.
    pub fn export_tail(&self, from: &Position, file: &str) -> Result<Exported, Error> {
        Ok(self.log.lock().export_tail(from, file)?)
    }

    /// Takes back everything behind `to`, in the index first and then in the log, durably. The
    /// tail was exported before. No term is set and nothing is in flight.
    ///
    /// # Errors
    /// [`Error::NotFollowing`]; those of the log and the index.
    pub fn rewind(&self, to: &Position, exported: &Exported) -> Result<Rewound, Error> {
        if !self.is_following() || self.status().in_flight > 0 {
            return Err(Error::NotFollowing);
        }
        let mut log = self.log.lock();
        if !self.reader.contains(to)? {
            return Err(log::Error::NotHere(*to).into());
        }
        let end = log.sync()?;
        drop(log);
        self.wait_applied(end.seq)?;
        let _one_at_a_time = self.applying.lock();
        let touched = self.touched_after(to.seq)?;
        let undo =
            Undo { to: *to, ids: &touched.ids, keys: &touched.keys, elements: &touched.elements };
        self.index.undo(&undo, &self.bodies)?;
        let mut log = self.log.lock();
        if let Err(error) = log.rewind(to, exported) {
            // The index may be behind the log now, never beyond it.
            self.suspect.store(true, std::sync::atomic::Ordering::Release);
            if matches!(error, log::Error::Poisoned) {
                self.fail();
            }
            return Err(error.into());
        }
        *self.window.lock() = Window::new(*to, self.index.digest());
        self.overlay.lock().clear();
        self.progress.rewind(*to);
        let commits = end.seq.get() - to.seq.get();
        Ok(Rewound { commits, resources: touched.ids.len() as u64 })
    }

    /// What the commits behind `seq` touched.
    fn touched_after(&self, seq: Seq) -> Result<Touched, Error> {
        let mut touched = Touched::default();
        let mut seen = HashSet::new();
        for frame in self.reader.frames(seq.next()) {
            let frame = frame?;
            let Some(payload) = frame.payload.bytes() else { continue };
            let commit = Commit::decode(payload)?;
            if let Some(idempotency) = &commit.head.idempotency {
                touched.keys.push((idempotency.key_hash(), commit.head.stamp));
            }
            for change in commit.changes {
                if change.effect == Effect::Unchanged {
                    continue;
                }
                let body = change.body.as_ref().map(|body| crate::decompress(body)).transpose()?;
                let part = element(change.type_id, &change.id, change.version, body.as_deref());
                touched.elements.push(part);
                if seen.insert((change.type_id, change.id.clone())) {
                    touched.ids.push((change.type_id, change.id));
                }
            }
        }
        Ok(touched)
    }
}

#[derive(Default)]
struct Touched {
    ids: Vec<(TypeId, ResourceId)>,
    keys: Vec<(crate::index::KeyHash, base::Stamp)>,
    elements: Vec<(usize, u128)>,
}
