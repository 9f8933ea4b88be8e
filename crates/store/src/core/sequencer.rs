//! Deciding, one write after the other and in microseconds: preconditions against what is
//! committed and what is in flight, versions, the stamp, the place in the log.

use super::recent::Recent;
use crate::commit::{CommitHead, CommitKind, KeptCondition, KeptGuard};
use crate::index::{Index, KeyEntry, KeyHash, Record};
use crate::{
    Action, Applied, ChangeRequest, Condition, Doc, Effect, Error, Guard, Prepared, Refused, Term,
    Write,
};
use base::{ResourceId, Seq, Span, Stamp, VersionId};
use bytes::Bytes;
use fhir::{BodyTemplate, TypeId};
use hashbrown::{HashMap, HashSet};
use search::Terms;
use std::sync::Arc;

/// How long a key is remembered, in log time.
pub(crate) const KEY_KEPT: Span = Span::from_secs(24 * 3600);
/// When to ask again after a refusal that time heals.
const RETRY: Span = Span::from_ms(200);
/// When to ask again after a refusal for want of room.
const FULL_RETRY: Span = Span::from_secs(5);
/// Uncompressed bodies of one commit, in bytes: below what a frame holds even if nothing in them
/// can be compressed.
const BODIES_BYTES_MAX: usize = 40 << 20;

/// A version decided and not yet in the index.
#[derive(Clone)]
struct Head {
    record: Record,
    terms: Arc<Terms>,
}

/// Decides about writes.
pub(crate) struct Sequencer {
    term: Option<Term>,
    last: Seq,
    last_stamp: Stamp,
    heads: HashMap<(TypeId, ResourceId), Head>,
    keys: HashMap<KeyHash, KeyEntry>,
    recent: Recent,
    /// Commits decided and not yet durable.
    pub(crate) in_flight: usize,
    /// No new write is taken, for there is no room on the disk. What the account itself writes
    /// still goes into the segment that there is.
    pub(crate) disk_full: bool,
    queue_limit: usize,
}

/// What is to be done about a write.
pub(crate) enum Decision {
    /// It gets a commit.
    Commit(Box<Plan>),
    /// It was done before, by this commit.
    Replay(Seq),
    /// It changes nothing; the newest state it was judged by is this commit's.
    Nothing(Seq, Vec<Step>),
}

/// A commit that is decided, to be made.
pub(crate) struct Plan {
    pub(crate) seq: Seq,
    pub(crate) term: Term,
    pub(crate) head: CommitHead,
    pub(crate) steps: Vec<Step>,
    pub(crate) key: Option<(KeyHash, KeyEntry)>,
    pub(crate) record: Bytes,
}

/// A change that is decided. Its record's place is not known yet.
pub(crate) struct Step {
    pub(crate) record: Record,
    pub(crate) template: Option<BodyTemplate>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) extracted: Option<Arc<search::Extracted>>,
    pub(crate) old: Option<OldHead>,
}

/// The version before, with its terms if they are at hand.
pub(crate) struct OldHead {
    pub(crate) record: Record,
    pub(crate) terms: Option<Arc<Terms>>,
}

/// A record to be written that is no client's.
pub(crate) struct Note {
    pub(crate) kind: CommitKind,
    pub(crate) record: Bytes,
}

impl Sequencer {
    pub(crate) fn new(queue_limit: usize, recent_limit: usize) -> Self {
        Self {
            term: None,
            last: Seq::ZERO,
            last_stamp: Stamp::ZERO,
            heads: HashMap::new(),
            keys: HashMap::new(),
            recent: Recent::new(recent_limit),
            in_flight: 0,
            disk_full: false,
            queue_limit,
        }
    }

    pub(crate) fn term(&self) -> Option<Term> {
        self.term
    }

    /// Begins a term after the log's end. Nothing is in flight.
    pub(crate) fn begin(&mut self, term: Term, end: Seq, end_stamp: Stamp) {
        assert!(self.in_flight == 0, "a term begins when the one before is drained");
        self.last = end;
        self.last_stamp = end_stamp;
        self.recent.clear(end);
        self.heads.clear();
        self.keys.clear();
        self.term = Some(term);
    }

    /// Raises the ceiling of the present term.
    pub(crate) fn extend(&mut self, ceiling: Stamp) {
        if let Some(term) = &mut self.term {
            term.stamp_ceiling = term.stamp_ceiling.max(ceiling);
        }
    }

    /// Decides nothing more in this term. What is in flight goes on.
    pub(crate) fn end(&mut self) {
        self.term = None;
    }

    /// Decides about a client's write.
    pub(crate) fn decide(
        &mut self,
        write: Write,
        now: Stamp,
        index: &dyn Index,
    ) -> Result<Decision, Refused> {
        let mut after = Seq::ZERO;
        self.decide_from(write, now, index, &mut after).map_err(|error| Refused {
            error,
            after,
            applied: Applied::No,
        })
    }

    fn decide_from(
        &mut self,
        write: Write,
        now: Stamp,
        index: &dyn Index,
        after: &mut Seq,
    ) -> Result<Decision, Error> {
        let term = self.admit()?;
        if self.disk_full {
            return Err(Error::DiskFull { retry: FULL_RETRY });
        }
        let stamp = self.stamp(&term, now)?;
        check_size(&write.changes)?;
        let key_hash = write.idempotency.as_ref().map(crate::Idempotency::key_hash);
        if let (Some(hash), Some(idempotency)) = (&key_hash, &write.idempotency)
            && let Some(entry) = self.key(hash, stamp, index)?
        {
            *after = entry.seq;
            return if entry.request_hash == idempotency.request_hash {
                Ok(Decision::Replay(entry.seq))
            } else {
                Err(Error::KeyReused)
            };
        }
        for (place, condition) in write.conditions.iter().enumerate() {
            self.check_condition(place, condition, after)?;
        }
        let seq = self.last.next();
        let guards = kept_guards(&write.changes);
        let mut steps = Vec::with_capacity(write.changes.len());
        for (entry, change) in write.changes.into_iter().enumerate() {
            let doc = Doc::new(seq, entry)
                .ok_or(Error::TooManyChanges { changes: entry, limit: Doc::CHANGES_MAX })?;
            steps.push(self.step(doc, stamp, &term, change, index, after)?);
        }
        let changed = steps.iter().any(|step| step.record.effect != Effect::Unchanged);
        if !changed && (key_hash.is_none() || steps.is_empty()) {
            return Ok(Decision::Nothing(*after, steps));
        }
        let key = key_hash.zip(write.idempotency.as_ref()).map(|(hash, idempotency)| {
            (hash, KeyEntry { request_hash: idempotency.request_hash, seq, stamp })
        });
        let keep = |condition: Condition| KeptCondition {
            query: condition.query,
            type_id: condition.type_id,
            expected: condition.expected,
        };
        let head = CommitHead {
            kind: CommitKind::Write,
            stamp,
            fork: term.fork,
            origin: term.origin,
            principal: write.principal,
            idempotency: write.idempotency,
            conditions: write.conditions.into_iter().map(keep).collect(),
            guards,
        };
        let plan = Plan { seq, term, head, steps, key, record: Bytes::new() };
        self.take(&plan);
        Ok(Decision::Commit(Box::new(plan)))
    }

    /// Decides about a record of another kind.
    pub(crate) fn decide_note(&mut self, note: Note, now: Stamp) -> Result<Plan, Error> {
        let term = self.admit()?;
        let stamp = self.stamp(&term, now)?;
        if note.record.len() > BODIES_BYTES_MAX {
            return Err(Error::TooLarge { bytes: note.record.len(), limit: BODIES_BYTES_MAX });
        }
        let head = CommitHead {
            kind: note.kind,
            stamp,
            fork: term.fork,
            origin: term.origin,
            principal: None,
            idempotency: None,
            conditions: Vec::new(),
            guards: Vec::new(),
        };
        let seq = self.last.next();
        let plan = Plan { seq, term, head, steps: Vec::new(), key: None, record: note.record };
        self.take(&plan);
        Ok(plan)
    }

    fn admit(&self) -> Result<Term, Error> {
        let term = self.term.ok_or(Error::NoTerm)?;
        if self.in_flight >= self.queue_limit {
            return Err(Error::Busy { limit: self.queue_limit, retry: RETRY });
        }
        Ok(term)
    }

    /// Never back, above the floor, below the ceiling.
    fn stamp(&self, term: &Term, now: Stamp) -> Result<Stamp, Error> {
        let above_floor = Stamp::from_ms(term.stamp_floor.ms() + 1);
        // A wall clock ahead of the ceiling stamps just below it.
        let now = now.min(Stamp::from_ms(term.stamp_ceiling.ms().saturating_sub(1)));
        let stamp = now.max(self.last_stamp).max(above_floor);
        if stamp < term.stamp_ceiling {
            Ok(stamp)
        } else {
            Err(Error::StampCeiling { retry: RETRY })
        }
    }

    /// What is remembered of a key, in flight or committed.
    pub(crate) fn key(
        &self,
        hash: &KeyHash,
        now: Stamp,
        index: &dyn Index,
    ) -> Result<Option<KeyEntry>, Error> {
        let since = Stamp::from_ms(now.ms().saturating_sub(KEY_KEPT.ms()));
        match self.keys.get(hash) {
            Some(entry) if entry.stamp >= since => Ok(Some(*entry)),
            _ => index.key(hash, since),
        }
    }

    fn check_condition(
        &self,
        place: usize,
        condition: &Condition,
        after: &mut Seq,
    ) -> Result<(), Error> {
        *after = (*after).max(condition.seen);
        match self.recent.holds_still(condition) {
            Ok(()) => Ok(()),
            Err(seq) => {
                *after = (*after).max(seq);
                Err(Error::ConditionChanged { index: place })
            }
        }
    }

    /// The newest version of a resource, in flight or committed.
    fn newest(
        &self,
        key: &(TypeId, ResourceId),
        index: &dyn Index,
    ) -> Result<Option<OldHead>, Error> {
        if let Some(head) = self.heads.get(key) {
            let terms = Some(Arc::clone(&head.terms));
            return Ok(Some(OldHead { record: head.record.clone(), terms }));
        }
        let record = index.head(key.0, &key.1)?;
        Ok(record.map(|record| OldHead { record, terms: None }))
    }

    fn step(
        &self,
        doc: Doc,
        stamp: Stamp,
        term: &Term,
        change: ChangeRequest,
        index: &dyn Index,
        after: &mut Seq,
    ) -> Result<Step, Error> {
        let key = (change.type_id, change.id);
        let old = self.newest(&key, index)?;
        if let Some(old) = &old {
            *after = (*after).max(old.record.seq());
        }
        let found =
            old.as_ref().filter(|old| old.record.is_present()).map(|old| old.record.version);
        check_guard(doc.entry(), change.guard, found)?;
        let before = old.as_ref().map(|old| (old.record.version, old.record.stamp));
        let next = VersionId {
            counter: before.map_or(1, |(version, _)| version.counter + 1),
            fork: term.fork,
        };
        let (effect, prepared) = match (change.action, found) {
            (Action::Put(prepared), None) => {
                let absent = change.guard.must_be_absent;
                (Effect::of_creation(&key.1, next, absent), Some(prepared))
            }
            (Action::Put(prepared), Some(_)) => (Effect::Updated, Some(prepared)),
            (Action::Delete, Some(_)) => (Effect::Deleted, None),
            (Action::Delete, None) => (Effect::Unchanged, None),
        };
        let (version, stamp) = match (effect, before) {
            (Effect::Unchanged, Some(before)) => before,
            (Effect::Unchanged, None) => (VersionId { counter: 0, fork: term.fork }, stamp),
            _ => (next, stamp),
        };
        let (type_id, id) = key;
        let record = Record { doc, type_id, id, version, stamp, effect, place: None };
        let (template, terms, extracted) = match prepared {
            None => (None, Arc::default(), None),
            Some(Prepared { template, extracted, terms }) => {
                (Some(template), Arc::new(terms), Some(extracted))
            }
        };
        Ok(Step { record, template, terms, extracted, old })
    }

    /// Takes note of a commit in flight.
    fn take(&mut self, plan: &Plan) {
        self.last = plan.seq;
        self.last_stamp = plan.head.stamp;
        self.in_flight += 1;
        if let Some((hash, entry)) = plan.key {
            self.keys.insert(hash, entry);
        }
        for step in &plan.steps {
            if step.record.effect == Effect::Unchanged {
                continue;
            }
            let key = (step.record.type_id, step.record.id.clone());
            let head = Head { record: step.record.clone(), terms: Arc::clone(&step.terms) };
            self.heads.insert(key, head);
            self.recent.push(&step.record, step.extracted.clone());
        }
    }

    /// Forgets what is in the index now.
    pub(crate) fn applied(&mut self, batch: &[crate::index::Applied]) {
        for applied in batch {
            if let Some((hash, entry)) = &applied.key
                && self.keys.get(hash).is_some_and(|now| now.seq == entry.seq)
            {
                self.keys.remove(hash);
            }
            for change in &applied.changes {
                let key = (change.record.type_id, change.record.id.clone());
                if self.heads.get(&key).is_some_and(|head| head.record.doc == change.record.doc) {
                    self.heads.remove(&key);
                }
            }
        }
    }
}

fn check_guard(index: usize, guard: Guard, found: Option<VersionId>) -> Result<(), Error> {
    if let Some(expected) = guard.if_match
        && found != Some(expected)
    {
        return Err(Error::VersionMismatch { index, expected, found });
    }
    match found {
        Some(found) if guard.must_be_absent => Err(Error::Exists { index, found }),
        _ => Ok(()),
    }
}

/// Before anything is decided: what is decided must fit a frame.
fn check_size(changes: &[ChangeRequest]) -> Result<(), Error> {
    if changes.len() > Doc::CHANGES_MAX {
        let (changes, limit) = (changes.len(), Doc::CHANGES_MAX);
        return Err(Error::TooManyChanges { changes, limit });
    }
    let bytes = changes
        .iter()
        .map(|change| match &change.action {
            Action::Put(prepared) => prepared.template.len() + 256,
            Action::Delete => 256,
        })
        .sum();
    if bytes > BODIES_BYTES_MAX {
        return Err(Error::TooLarge { bytes, limit: BODIES_BYTES_MAX });
    }
    if changes.len() > 1 {
        let mut seen = HashSet::with_capacity(changes.len());
        for (index, change) in changes.iter().enumerate() {
            if !seen.insert((change.type_id, &change.id)) {
                return Err(Error::NamedTwice { index });
            }
        }
    }
    Ok(())
}

fn kept_guards(changes: &[ChangeRequest]) -> Vec<(u32, KeptGuard)> {
    let mut kept = Vec::new();
    for (place, change) in changes.iter().enumerate() {
        let place = u32::try_from(place).expect("a commit's changes are bounded");
        if let Some(version) = change.guard.if_match {
            kept.push((place, KeptGuard::Match(version)));
        }
        if change.guard.must_be_absent {
            kept.push((place, KeptGuard::Absent));
        }
    }
    kept
}
