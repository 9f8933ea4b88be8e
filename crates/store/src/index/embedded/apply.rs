//! From commits to one batch of keys.

use super::super::{Applied, AppliedChange, Old};
use super::tree::Op;
use super::value::{Meta, encode_head, encode_key, encode_record};
use super::{View, keys};
use crate::{Doc, Effect, Error};

/// Expired idempotency keys removed with one batch.
const EXPIRED_MAX: usize = 256;

/// The batch of these commits; `meta` becomes what is known after them.
pub(super) fn ops(batch: &[Applied], meta: &mut Meta, view: &View) -> Result<Vec<Op>, Error> {
    let changes: usize = batch.iter().map(|applied| applied.changes.len()).sum();
    let mut ops = Vec::with_capacity(changes * 14 + 2);
    for applied in batch {
        for change in &applied.changes {
            change_ops(change, meta, &mut ops);
        }
        if let Some((hash, entry)) = &applied.key {
            let key = keys::key(keys::day(entry.stamp), hash);
            ops.push(Op::Put(key, encode_key(entry)));
            forget_keys(keys::day(entry.stamp), meta, view, &mut ops)?;
        }
        meta.applied = applied.position;
    }
    ops.push(Op::Put(keys::META.to_vec(), meta.encode()));
    Ok(ops)
}

fn change_ops(change: &AppliedChange, meta: &mut Meta, ops: &mut Vec<Op>) {
    let record = &change.record;
    let type_id = record.type_id;
    if let Some(Old { record: old, terms }) = &change.old {
        ops.push(Op::Put(
            keys::version(type_id, &old.id, old.version.counter),
            old.doc.to_bytes().to_vec(),
        ));
        if old.is_present() {
            ops.push(Op::Remove(keys::current(type_id, old.doc)));
            ops.push(Op::Put(keys::past(type_id, old.doc), encode_record(old)));
            term_ops(terms, type_id, old.doc, Op::Remove, ops);
        }
    }
    ops.push(Op::Put(keys::head(type_id, &record.id), encode_head(record)));
    if record.is_present() {
        ops.push(Op::Put(keys::current(type_id, record.doc), encode_record(record)));
        let put = |key| Op::Put(key, Vec::new());
        term_ops(&change.terms, type_id, record.doc, put, ops);
    } else {
        ops.push(Op::Put(keys::past(type_id, record.doc), encode_record(record)));
    }
    let (present, versions) = meta.total_mut(type_id);
    *versions += 1;
    match record.effect {
        Effect::Created | Effect::CreatedByUpdate => *present += 1,
        Effect::Deleted => *present = present.saturating_sub(1),
        Effect::Updated | Effect::Unchanged => {}
    }
    let (shard, element) = change.element;
    meta.add(shard, element);
}

/// One operation for each posting of a version.
pub(super) fn term_ops(
    terms: &search::Terms,
    type_id: fhir::TypeId,
    doc: Doc,
    op: impl Fn(Vec<u8>) -> Op,
    ops: &mut Vec<Op>,
) {
    ops.extend(terms.iter().map(|term| op(keys::term(type_id, term, doc))));
}

/// Removes some keys that are older than a day.
fn forget_keys(today: u16, meta: &mut Meta, view: &View, ops: &mut Vec<Op>) -> Result<(), Error> {
    let yesterday = today.saturating_sub(1);
    if meta.keys_from_day >= yesterday {
        return Ok(());
    }
    let mut removed = 0;
    for pair in view.range(&keys::keys_before(yesterday)).take(EXPIRED_MAX) {
        ops.push(Op::Remove(pair?.0.to_vec()));
        removed += 1;
    }
    if removed < EXPIRED_MAX {
        meta.keys_from_day = yesterday;
    }
    Ok(())
}
