//! What was decided, in order, until it is durable.

use super::finish::Finished;
use crate::{Done, Outcome, Refused};
use base::Seq;
use std::collections::VecDeque;

/// Something in the queue.
pub(crate) enum Item {
    /// A commit for the log.
    Commit(Box<Finished>, Done),
    /// An answer that may be given once all before it is durable.
    Answer(Answer, Done),
}

/// An answer without a commit of its own.
pub(crate) enum Answer {
    /// It was refused because of work in flight.
    Refused(Refused),
    /// It changed nothing.
    Nothing(Vec<Outcome>),
    /// It is that commit once more.
    Replay(Seq),
}

/// A place in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

/// The queue: places in the order of decisions, filled in any order.
#[derive(Default)]
pub(crate) struct Queue {
    /// The ticket of the first slot.
    first: u64,
    slots: VecDeque<Option<Item>>,
}

impl Queue {
    /// Takes the next place, to be filled.
    pub(crate) fn reserve(&mut self) -> Ticket {
        let ticket = Ticket(self.first + self.slots.len() as u64);
        self.slots.push_back(None);
        ticket
    }

    /// Takes the next place and fills it.
    pub(crate) fn push(&mut self, item: Item) {
        self.slots.push_back(Some(item));
    }

    /// Fills a place; gives whether it is the first. When the queue was drained meanwhile, the
    /// item comes back.
    pub(crate) fn fill(&mut self, ticket: Ticket, item: Item) -> Result<bool, Box<Item>> {
        let index = ticket.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.slots.get_mut(index)) {
            Some(slot) => {
                *slot = Some(item);
                Ok(ticket.0 == self.first)
            }
            None => Err(Box::new(item)),
        }
    }

    /// Whether the first place is filled.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.slots.front(), Some(Some(_)))
    }

    /// Takes filled places off the front: at most `commits` commits of together at most `bytes`.
    pub(crate) fn take(&mut self, commits: usize, bytes: u64) -> Vec<Item> {
        let (mut group, mut taken, mut total) = (Vec::new(), 0, 0_u64);
        while let Some(Some(item)) = self.slots.front() {
            if let Item::Commit(finished, _) = item {
                let len = finished.payload.len() as u64 + FRAME_BYTES;
                if taken == commits || (taken > 0 && total + len > bytes) {
                    break;
                }
                taken += 1;
                total += len;
            }
            self.first += 1;
            group.extend(self.slots.pop_front().flatten());
        }
        group
    }

    /// Puts back what was taken last.
    pub(crate) fn put_back(&mut self, group: Vec<Item>) {
        self.first -= group.len() as u64;
        for item in group.into_iter().rev() {
            self.slots.push_front(Some(item));
        }
    }

    /// Empties it for good.
    pub(crate) fn drain(&mut self) -> Vec<Item> {
        self.first += self.slots.len() as u64;
        self.slots.drain(..).flatten().collect()
    }
}

/// More than a frame adds to its payload.
const FRAME_BYTES: u64 = 160;
