//! Taking commits back.

use super::super::{Bodies, Record, Undo};
use super::apply::term_ops;
use super::tree::Op;
use super::value::{Meta, encode_head, encode_record};
use super::{View, history, keys};
use crate::Error;

/// The batch that takes the commits after `undo.to` back; `meta` becomes what was known then.
pub(super) fn ops(
    undo: &Undo<'_>,
    meta: &mut Meta,
    view: &View,
    bodies: &Bodies,
) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    for (type_id, id) in undo.ids {
        let Some(head) = view.head(*type_id, id)? else { continue };
        let versions = history::versions(view, &head)?;
        restore(&versions, undo, meta, bodies, &mut ops)?;
    }
    for (hash, stamp) in undo.keys {
        ops.push(Op::Remove(keys::key(keys::day(*stamp), hash)));
    }
    for (shard, element) in undo.elements {
        meta.subtract(*shard, *element);
    }
    meta.applied = undo.to;
    ops.push(Op::Put(keys::META.to_vec(), meta.encode()));
    Ok(ops)
}

/// Takes back the versions of one resource that are too new. `versions` is newest first.
fn restore(
    versions: &[Record],
    undo: &Undo<'_>,
    meta: &mut Meta,
    bodies: &Bodies,
    ops: &mut Vec<Op>,
) -> Result<(), Error> {
    let Some(head) = versions.first() else { return Ok(()) };
    let (type_id, id) = (head.type_id, &head.id);
    let kept = versions.iter().position(|record| record.seq() <= undo.to.seq);
    let gone = &versions[..kept.unwrap_or(versions.len())];
    if gone.is_empty() {
        return Ok(());
    }
    let (present, total) = meta.total_mut(type_id);
    *total = total.saturating_sub(gone.len() as u64);
    if head.is_present() {
        *present = present.saturating_sub(1);
        ops.push(Op::Remove(keys::current(type_id, head.doc)));
        let terms = bodies.terms(head)?;
        term_ops(&terms, type_id, head.doc, Op::Remove, ops);
    } else {
        ops.push(Op::Remove(keys::past(type_id, head.doc)));
    }
    for record in &gone[1..] {
        ops.push(Op::Remove(keys::past(type_id, record.doc)));
        ops.push(Op::Remove(keys::version(type_id, id, record.version.counter)));
    }
    let Some(newest) = kept.map(|kept| &versions[kept]) else {
        ops.push(Op::Remove(keys::head(type_id, id)));
        return Ok(());
    };
    ops.push(Op::Remove(keys::version(type_id, id, newest.version.counter)));
    ops.push(Op::Put(keys::head(type_id, id), encode_head(newest)));
    if newest.is_present() {
        *present += 1;
        ops.push(Op::Remove(keys::past(type_id, newest.doc)));
        ops.push(Op::Put(keys::current(type_id, newest.doc), encode_record(newest)));
        let terms = bodies.terms(newest)?;
        term_ops(&terms, type_id, newest.doc, |key| Op::Put(key, Vec::new()), ops);
    }
    Ok(())
}
