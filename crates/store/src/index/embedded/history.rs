//! Versions of a resource, of a type, of the account; newest first.

use super::super::{Found, Record};
use super::tree::Pairs;
use super::value::Meta;
use super::{View, keys, value};
use crate::{Cursor, Doc, Error, HistoryQuery, HistoryScope};
use base::{ResourceId, VersionId};
use fhir::TypeId;
use std::iter::Peekable;

/// One version of a resource.
pub(super) fn version(
    view: &View,
    type_id: TypeId,
    id: &ResourceId,
    version: VersionId,
) -> Result<Option<Record>, Error> {
    let Some(head) = view.head(type_id, id)? else { return Ok(None) };
    if head.version == version {
        return Ok(Some(head));
    }
    let Some(doc) = view.get(&keys::version(type_id, id, version.counter))? else {
        return Ok(None);
    };
    let record = superseded(view, type_id, &doc)?;
    Ok(Some(record).filter(|record| record.version == version))
}

/// The record of a version that is not the newest.
fn superseded(view: &View, type_id: TypeId, doc: &[u8]) -> Result<Record, Error> {
    let missing = || Error::Index("it lists a version that is not there".to_owned());
    let doc = Doc::from_suffix(doc).ok_or_else(missing)?;
    view.by_doc(type_id, doc, true)?.ok_or_else(missing)
}

/// All versions of a resource, newest first.
pub(super) fn versions(view: &View, head: &Record) -> Result<Vec<Record>, Error> {
    let mut all = vec![head.clone()];
    for pair in view.range(&keys::versions(head.type_id, &head.id)).rev() {
        all.push(superseded(view, head.type_id, &pair?.1)?);
    }
    Ok(all)
}

/// A page of history.
pub(super) fn page(view: &View, query: &HistoryQuery) -> Result<Found, Error> {
    let before = match query.cursor {
        Some(Cursor::Id(..)) => return Err(Error::Cursor),
        Some(Cursor::Doc(doc)) if query.count > 0 => doc,
        _ => Doc::LAST,
    };
    let meta = view.meta()?;
    if query.count == 0
        && let Some(total) = known_total(&meta, query)
    {
        return Ok(Found { total: Some(total), seen: meta.applied.seq, ..Found::default() });
    }
    let mut page = Filling { query, counted: 0, records: Vec::new(), next: None };
    match &query.scope {
        HistoryScope::Instance(type_id, id) => of_instance(view, *type_id, id, before, &mut page)?,
        HistoryScope::Type(type_id) => of_types(view, &[*type_id], before, &mut page)?,
        HistoryScope::System => {
            let of_type = |type_id: &TypeId| meta.totals[usize::from(type_id.get())].1 > 0;
            let types: Vec<TypeId> = TypeId::all().filter(of_type).collect();
            of_types(view, &types, before, &mut page)?;
        }
    }
    let seen = meta.applied.seq;
    let total = (query.count == 0).then_some(page.counted);
    Ok(Found { records: page.records, total, next: page.next, seen })
}

/// How many versions there are, where that needs no counting.
fn known_total(meta: &Meta, query: &HistoryQuery) -> Option<u64> {
    match (&query.scope, query.since) {
        (HistoryScope::Type(type_id), None) => Some(meta.totals[usize::from(type_id.get())].1),
        (HistoryScope::System, None) => Some(meta.totals.iter().map(|(_, all)| all).sum()),
        _ => None,
    }
}

/// A page being filled.
struct Filling<'a> {
    query: &'a HistoryQuery,
    counted: u64,
    records: Vec<Record>,
    next: Option<Cursor>,
}

impl Filling<'_> {
    /// Takes the next older version; gives whether more are wanted.
    fn take(&mut self, record: Record) -> bool {
        if self.query.since.is_some_and(|since| record.stamp < since) {
            return false;
        }
        if self.query.count == 0 {
            self.counted += 1;
            return true;
        }
        if self.records.len() == self.query.count {
            self.next = self.records.last().map(|last| Cursor::Doc(last.doc));
            return false;
        }
        self.records.push(record);
        true
    }
}

fn of_instance(
    view: &View,
    type_id: TypeId,
    id: &ResourceId,
    before: Doc,
    page: &mut Filling<'_>,
) -> Result<(), Error> {
    let Some(head) = view.head(type_id, id)? else { return Ok(()) };
    if head.doc < before && !page.take(head) {
        return Ok(());
    }
    for pair in view.range(&keys::versions(type_id, id)).rev() {
        let doc = pair?.1;
        if Doc::from_suffix(&doc).is_some_and(|doc| doc >= before) {
            continue;
        }
        if !page.take(superseded(view, type_id, &doc)?) {
            break;
        }
    }
    Ok(())
}

/// Current and past versions of some types, merged.
fn of_types(
    view: &View,
    types: &[TypeId],
    before: Doc,
    page: &mut Filling<'_>,
) -> Result<(), Error> {
    let mut sources: Vec<Source> = Vec::with_capacity(2 * types.len());
    for &type_id in types {
        for key in [keys::current, keys::past] {
            let bounds = (key(type_id, Doc::FIRST), key(type_id, before));
            let records = Records { type_id, pairs: view.range(&bounds) };
            sources.push(records.peekable());
        }
    }
    loop {
        let mut newest: Option<(Doc, usize)> = None;
        for (place, source) in sources.iter_mut().enumerate() {
            match source.peek() {
                Some(Ok(record)) if newest.is_none_or(|(doc, _)| record.doc > doc) => {
                    newest = Some((record.doc, place));
                }
                Some(Err(_)) => {
                    newest = Some((Doc::LAST, place));
                    break;
                }
                _ => {}
            }
        }
        let Some(next) = newest.and_then(|(_, place)| sources[place].next()) else {
            return Ok(());
        };
        if !page.take(next?) {
            return Ok(());
        }
    }
}

type Source = Peekable<Records>;

/// Records of a range, newest first.
struct Records {
    type_id: TypeId,
    pairs: Pairs,
}

impl Iterator for Records {
    type Item = Result<Record, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next_back()?;
        Some(pair.and_then(|(_, value)| value::decode_record(self.type_id, &value)))
    }
}
