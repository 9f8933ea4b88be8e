//! How far the log and the index are, and waiting for it.

use base::{Position, Seq, Span};
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};

/// The three positions.
pub(crate) struct Progress {
    positions: Mutex<Positions>,
    moved: Condvar,
    durable: AtomicU64,
    applied: AtomicU64,
}

#[derive(Clone, Copy)]
struct Positions {
    end: Position,
    durable: Position,
    applied: Position,
}

impl Progress {
    pub(crate) fn new(end: Position, applied: Position) -> Self {
        Self {
            positions: Mutex::new(Positions { end, durable: end, applied }),
            moved: Condvar::new(),
            durable: AtomicU64::new(end.seq.get()),
            applied: AtomicU64::new(applied.seq.get()),
        }
    }

    pub(crate) fn set_end(&self, end: Position) {
        self.positions.lock().end = end;
    }
    pub(crate) fn set_durable(&self, durable: Position) {
        let mut positions = self.positions.lock();
        positions.durable = durable;
        self.durable.store(durable.seq.get(), Ordering::Release);
        if positions.end.seq < durable.seq {
            positions.end = durable;
        }
    }
    pub(crate) fn set_applied(&self, applied: Position) {
        self.positions.lock().applied = applied;
        self.applied.store(applied.seq.get(), Ordering::Release);
        self.moved.notify_all();
    }
    /// All three go back.
    pub(crate) fn rewind(&self, to: Position) {
        *self.positions.lock() = Positions { end: to, durable: to, applied: to };
        self.durable.store(to.seq.get(), Ordering::Release);
        self.applied.store(to.seq.get(), Ordering::Release);
    }

    pub(crate) fn all(&self) -> (Position, Position, Position) {
        let positions = *self.positions.lock();
        (positions.end, positions.durable, positions.applied)
    }
    pub(crate) fn durable(&self) -> Position {
        self.positions.lock().durable
    }
    pub(crate) fn durable_seq(&self) -> Seq {
        Seq::new(self.durable.load(Ordering::Acquire))
    }
    pub(crate) fn applied_seq(&self) -> Seq {
        Seq::new(self.applied.load(Ordering::Acquire))
    }
    /// Commits durable and not applied.
    pub(crate) fn behind(&self) -> u64 {
        self.durable_seq().get().saturating_sub(self.applied_seq().get())
    }

    /// Waits, at most so long, until `seq` is applied; gives whether it is.
    pub(crate) fn wait_applied(&self, seq: Seq, at_most: Span) -> bool {
        self.wait(at_most, |progress| progress.applied_seq() >= seq)
    }
    /// Waits, at most so long, until no more than so many commits are to be applied.
    pub(crate) fn wait_behind(&self, commits: u64, at_most: Span) {
        self.wait(at_most, |progress| progress.behind() <= commits);
    }

    fn wait(&self, at_most: Span, reached: impl Fn(&Self) -> bool) -> bool {
        if reached(self) {
            return true;
        }
        let mut positions = self.positions.lock();
        while !reached(self) {
            if self.moved.wait_for(&mut positions, at_most.std()).timed_out() {
                return reached(self);
            }
        }
        true
    }
}
