//! Making a commit of a decision: stamping, compressing, hashing. Runs on the caller's thread,
//! beside other callers.

use super::sequencer::{OldHead, Plan, Step};
use crate::commit::{Change, Commit, compress};
use crate::digest::element;
use crate::index::{Applied, AppliedChange, Bodies, Old, Place};
use crate::log::Payload;
use crate::{Effect, Error, Outcome};
use base::{Epoch, Position, Seq};
use bytes::Bytes;

/// A commit ready for the log.
pub(crate) struct Finished {
    pub(crate) seq: Seq,
    pub(crate) epoch: Epoch,
    pub(crate) payload: Payload,
    /// Its position is set once the log gave it.
    pub(crate) applied: Applied,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Makes the commit.
///
/// # Errors
/// Never, as long as the sequencer bounds a commit's size.
pub(crate) fn finish(plan: Plan, bodies: &Bodies) -> Result<Finished, Error> {
    let Plan { seq, term, head, steps, key, record } = plan;
    let mut changes = Vec::with_capacity(steps.len());
    let mut applied = Vec::with_capacity(steps.len());
    let mut outcomes = Vec::with_capacity(steps.len());
    let mut reread = false;
    for step in steps {
        let record = &step.record;
        let body = step.template.as_ref().map(|body| body.stamp(record.version, record.stamp));
        changes.push(Change {
            type_id: record.type_id,
            id: record.id.clone(),
            version: record.version,
            effect: record.effect,
            body: body.as_ref().map(|body| compress(body)),
        });
        if record.effect != Effect::Unchanged {
            applied.push(applied_change(&step, body.as_ref(), bodies, &mut reread));
        }
        outcomes.push(outcome(step, body));
    }
    let commit = Commit { head, changes, record };
    let payload = commit.encode().map_err(|_| Error::Corrupt { what: "the size of a commit" })?;
    set_places(&mut applied, &commit.places(payload.len()));
    let position = Position { epoch: term.epoch, seq, hash: base::Hash::ZERO };
    Ok(Finished {
        seq,
        epoch: term.epoch,
        payload: Payload::new(payload),
        applied: Applied { position, key, changes: applied, reread },
        outcomes,
    })
}

/// A decided change as its outcome.
pub(crate) fn outcome(step: Step, body: Option<Bytes>) -> Outcome {
    let crate::index::Record { type_id, id, version, stamp, effect, .. } = step.record;
    Outcome { type_id, id, version, stamp, effect, body }
}

fn applied_change(
    step: &Step,
    body: Option<&Bytes>,
    bodies: &Bodies,
    reread: &mut bool,
) -> AppliedChange {
    let record = step.record.clone();
    let old = step.old.as_ref().map(|OldHead { record, terms }| {
        let read = || bodies.terms(record);
        let terms = terms.as_ref().map_or_else(read, |terms| Ok(terms.clone()));
        let terms = terms.unwrap_or_else(|error| {
            tracing::warn!(%error, "an old version could not be read: its commit is read again");
            *reread = true;
            std::sync::Arc::default()
        });
        Old { record: record.clone(), terms }
    });
    let element = element(record.type_id, &record.id, record.version, body.map(AsRef::as_ref));
    let (terms, extracted) = (step.terms.clone(), step.extracted.clone());
    AppliedChange { record, old, terms, extracted, element }
}

/// Points the records at their bodies in the payload.
pub(crate) fn set_places(applied: &mut [AppliedChange], places: &[Option<(usize, usize)>]) {
    let short = |bytes: usize| u32::try_from(bytes).expect("payloads are below 4 GiB");
    for change in applied {
        change.record.place = places[change.record.doc.entry()]
            .map(|(at, len)| Place { at: short(at), len: short(len) });
    }
}
