//! The newest changes, for conditions that were resolved a moment ago.

use crate::Condition;
use crate::index::Record;
use base::{ResourceId, Seq};
use fhir::TypeId;
use hashbrown::HashSet;
use search::{Extracted, Meta};
use std::collections::VecDeque;
use std::sync::Arc;

/// A bounded window over the newest changes.
pub(crate) struct Recent {
    changes: VecDeque<Change>,
    /// Every change after this commit is in the window.
    floor: Seq,
    limit: usize,
}

struct Change {
    seq: Seq,
    type_id: TypeId,
    meta: Meta,
    /// `None` for a deletion.
    extracted: Option<Arc<Extracted>>,
}

impl Recent {
    pub(crate) fn new(limit: usize) -> Self {
        Self { changes: VecDeque::new(), floor: Seq::ZERO, limit }
    }

    /// Forgets everything up to `floor`, and there is nothing behind it.
    pub(crate) fn clear(&mut self, floor: Seq) {
        self.changes.clear();
        self.floor = floor;
    }

    pub(crate) fn push(&mut self, record: &Record, extracted: Option<Arc<Extracted>>) {
        self.changes.push_back(Change {
            seq: record.seq(),
            type_id: record.type_id,
            meta: Meta { id: record.id.clone(), updated: record.stamp },
            extracted,
        });
        // Whole commits leave: the newest stays, however large.
        while self.changes.len() > self.limit {
            let Some(oldest) = self.changes.front().map(|change| change.seq) else { break };
            if oldest == record.seq() {
                break;
            }
            while self.changes.front().is_some_and(|change| change.seq == oldest) {
                self.changes.pop_front();
            }
            self.floor = oldest;
        }
    }

    /// Whether a condition, as it was resolved, still finds the same.
    ///
    /// # Errors
    /// The commit that may have changed it.
    pub(crate) fn holds_still(&self, condition: &Condition) -> Result<(), Seq> {
        if condition.seen < self.floor {
            return Err(self.floor);
        }
        let mut judged: HashSet<&ResourceId> = HashSet::new();
        let newer = self.changes.iter().rev().take_while(|change| change.seq > condition.seen);
        for change in newer.filter(|change| change.type_id == condition.type_id) {
            if !judged.insert(&change.meta.id) {
                continue;
            }
            let matches = change
                .extracted
                .as_ref()
                .is_some_and(|extracted| condition.filter.matches(&change.meta, extracted));
            if matches != condition.expected.contains(&change.meta.id) {
                return Err(change.seq);
            }
        }
        Ok(())
    }
}
