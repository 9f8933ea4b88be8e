//! A page of search results.

use super::super::{Bodies, Found, Record, counts_only, memory::cursor_at};
use super::plan::{Candidates, Docset, of_whole};
use super::postings::{Docs, doc_of, has};
use super::{View, keys, value};
use crate::{Cursor, Doc, Error};
use base::ResourceId;
use fhir::TypeId;
use search::{Filter, Meta, Query, Sort, Total};

/// Up to so many candidates are looked up and sorted by id; with more, ids are gone through in
/// order instead.
const SORT_MAX: usize = if cfg!(test) { 2 } else { 2048 };

/// After so many looks whether a doc has a term, the term's docs are listed.
const PROBES_MAX: usize = if cfg!(test) { 4 } else { 20_000 };

/// A page of current resources.
pub(super) fn page(
    view: &View,
    query: &Query,
    cursor: Option<&Cursor>,
    bodies: &Bodies,
) -> Result<Found, Error> {
    let meta = view.meta()?;
    let present = |type_id: TypeId| meta.totals[usize::from(type_id.get())].0;
    let types: Vec<TypeId> = match query.type_id {
        Some(type_id) => vec![type_id],
        None => TypeId::all().filter(|type_id| present(*type_id) > 0).collect(),
    };
    let wanted = query.count.map_or(usize::MAX, |count| count.saturating_add(1));
    let (mut records, mut total) = (Vec::new(), Some(0_u64));
    for type_id in types {
        let of_type = OfType { view, type_id, query, bodies, present: present(type_id) };
        let found = of_whole(view, type_id, &query.filter)?;
        let count = of_type.total(&found)?;
        total = total.zip(count).map(|(total, count)| total + count);
        if !counts_only(query) {
            records.extend(of_type.records(&found, cursor, wanted)?);
        }
    }
    let seen = meta.applied.seq;
    if counts_only(query) {
        return Ok(Found { total, seen, ..Found::default() });
    }
    sort(&mut records, query.sort);
    let mut next = None;
    if let Some(count) = query.count
        && records.len() > count
    {
        records.truncate(count);
        next = records.last().map(|last| cursor_at(query.sort, last));
    }
    Ok(Found { records, total, next, seen })
}

/// At most `limit` that match.
pub(super) fn some(
    view: &View,
    type_id: TypeId,
    filter: &Filter,
    limit: usize,
    bodies: &Bodies,
) -> Result<Vec<ResourceId>, Error> {
    let found = of_whole(view, type_id, filter)?;
    let mut ids = Vec::new();
    each(view, type_id, &found.docs, Doc::FIRST, false, &mut |record| {
        if found.exact || matches(filter, &record, bodies)? {
            ids.push(record.id);
        }
        Ok(ids.len() < limit)
    })?;
    Ok(ids)
}

/// A search within one type.
struct OfType<'a> {
    view: &'a View,
    type_id: TypeId,
    query: &'a Query,
    bodies: &'a Bodies,
    present: u64,
}

impl OfType<'_> {
    /// How many match, if that is asked for or known anyway.
    fn total(&self, found: &Candidates) -> Result<Option<u64>, Error> {
        let wanted = self.query.total == Total::Accurate || counts_only(self.query);
        match &found.docs {
            Docset::Only(docs) if found.exact => return Ok(Some(docs.len() as u64)),
            Docset::Except(docs) if found.exact => {
                return Ok(Some(self.present.saturating_sub(docs.len() as u64)));
            }
            _ if !wanted => return Ok(None),
            Docset::Term(term) => {
                return Ok(Some(listed(self.view, self.type_id, term)?.len() as u64));
            }
            Docset::Only(_) | Docset::Except(_) => {}
        }
        let mut count = 0;
        each(self.view, self.type_id, &found.docs, Doc::FIRST, false, &mut |record| {
            count += u64::from(matches(&self.query.filter, &record, self.bodies)?);
            Ok(true)
        })?;
        Ok(Some(count))
    }

    /// The first `wanted` matches after the cursor, in the query's order.
    fn records(
        &self,
        found: &Candidates,
        cursor: Option<&Cursor>,
        wanted: usize,
    ) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        let mut take = |record: Record| {
            if found.exact || matches(&self.query.filter, &record, self.bodies)? {
                records.push(record);
            }
            Ok(records.len() < wanted)
        };
        let backwards = matches!(self.query.sort, Sort::IdDescending | Sort::UpdatedDescending);
        match (self.query.sort, cursor) {
            (Sort::Updated | Sort::UpdatedDescending, None) => {
                let from = if backwards { Doc::LAST } else { Doc::FIRST };
                each(self.view, self.type_id, &found.docs, from, backwards, &mut take)?;
            }
            (Sort::Updated | Sort::UpdatedDescending, Some(Cursor::Doc(doc))) => {
                let from = if backwards { *doc } else { doc.next() };
                each(self.view, self.type_id, &found.docs, from, backwards, &mut take)?;
            }
            (Sort::Id | Sort::IdDescending, None) => {
                self.each_by_id(&found.docs, None, backwards, &mut take)?;
            }
            (Sort::Id | Sort::IdDescending, Some(Cursor::Id(id, of))) => {
                self.each_by_id(&found.docs, Some((id, *of)), backwards, &mut take)?;
            }
            _ => return Err(Error::Cursor),
        }
        Ok(records)
    }

    /// Candidates in the order of ids, after a place.
    fn each_by_id(
        &self,
        docs: &Docset,
        after: Option<(&ResourceId, TypeId)>,
        backwards: bool,
        take: &mut dyn FnMut(Record) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let is_after = |record: &Record| match after {
            None => true,
            Some(place) if backwards => (&record.id, record.type_id) < place,
            Some(place) => (&record.id, record.type_id) > place,
        };
        if let Docset::Only(docs) = docs
            && docs.len() <= SORT_MAX
        {
            let mut records = Vec::with_capacity(docs.len());
            for doc in docs {
                records.push(current(self.view, self.type_id, *doc)?);
            }
            records.retain(is_after);
            sort(&mut records, self.query.sort);
            for record in records {
                if !take(record)? {
                    break;
                }
            }
            return Ok(());
        }
        let mut probing = Probing { of_type: self, docs, probes: 0, listed: None };
        let mut bounds = keys::heads(self.type_id);
        if let Some((id, _)) = after {
            let place = keys::head(self.type_id, id);
            if backwards {
                bounds.1 = keys::after(place);
            } else {
                bounds.0 = place;
            }
        }
        let mut pairs = self.view.range(&bounds);
        loop {
            let pair = if backwards { pairs.next_back() } else { pairs.next() };
            let Some((key, value)) = pair.transpose()? else { return Ok(()) };
            let unreadable = || Error::Index("a head's key cannot be read".to_owned());
            let id = keys::id_of_head(&key).ok_or_else(unreadable)?;
            let record = value::decode_head(self.type_id, id, &value)?;
            let wanted = record.is_present() && is_after(&record);
            if wanted && probing.is_one(record.doc)? && !take(record)? {
                return Ok(());
            }
        }
    }
}

/// Tells of one doc after the other whether it is a candidate.
struct Probing<'a> {
    of_type: &'a OfType<'a>,
    docs: &'a Docset,
    probes: usize,
    listed: Option<Docs>,
}

impl Probing<'_> {
    fn is_one(&mut self, doc: Doc) -> Result<bool, Error> {
        let term = match self.docs {
            Docset::Only(docs) => return Ok(docs.binary_search(&doc).is_ok()),
            Docset::Except(docs) => return Ok(docs.binary_search(&doc).is_err()),
            Docset::Term(term) => term,
        };
        let OfType { view, type_id, .. } = self.of_type;
        if let Some(docs) = &self.listed {
            return Ok(docs.binary_search(&doc).is_ok());
        }
        self.probes += 1;
        if self.probes > PROBES_MAX {
            self.listed = Some(listed(view, *type_id, term)?);
        }
        has(view, *type_id, term, doc)
    }
}

/// All docs of a term.
fn listed(view: &View, type_id: TypeId, term: &[u8]) -> Result<Docs, Error> {
    let mut docs = Docs::new();
    let bounds = (keys::term(type_id, term, Doc::FIRST), keys::term(type_id, term, Doc::LAST));
    for pair in view.range(&bounds) {
        docs.extend(doc_of(&pair?.0, term));
    }
    Ok(docs)
}

/// A current version that a posting names.
fn current(view: &View, type_id: TypeId, doc: Doc) -> Result<Record, Error> {
    let missing = || Error::Index("a posting names a version that is not current".to_owned());
    view.by_doc(type_id, doc, false)?.ok_or_else(missing)
}

/// Candidates in the order of docs: forwards those from `from` on, backwards those before it.
fn each(
    view: &View,
    type_id: TypeId,
    docs: &Docset,
    from: Doc,
    backwards: bool,
    take: &mut dyn FnMut(Record) -> Result<bool, Error>,
) -> Result<(), Error> {
    match docs {
        Docset::Only(docs) => {
            let place = docs.partition_point(|doc| *doc < from);
            let mut one = |doc: &Doc| take(current(view, type_id, *doc)?);
            if backwards {
                for doc in docs[..place].iter().rev() {
                    if !one(doc)? {
                        break;
                    }
                }
            } else {
                for doc in &docs[place..] {
                    if !one(doc)? {
                        break;
                    }
                }
            }
        }
        Docset::Term(term) => {
            let key = |doc| keys::term(type_id, term, doc);
            let bounds =
                if backwards { (key(Doc::FIRST), key(from)) } else { (key(from), key(Doc::LAST)) };
            let mut pairs = view.range(&bounds);
            loop {
                let pair = if backwards { pairs.next_back() } else { pairs.next() };
                let Some((key, _)) = pair.transpose()? else { break };
                let Some(doc) = doc_of(&key, term) else { continue };
                if !take(current(view, type_id, doc)?)? {
                    break;
                }
            }
        }
        Docset::Except(except) => {
            let bounds = if backwards {
                (keys::current(type_id, Doc::FIRST), keys::current(type_id, from))
            } else {
                (keys::current(type_id, from), keys::current(type_id, Doc::LAST))
            };
            let mut pairs = view.range(&bounds);
            loop {
                let pair = if backwards { pairs.next_back() } else { pairs.next() };
                let Some((_, value)) = pair.transpose()? else { break };
                let record = value::decode_record(type_id, &value)?;
                if except.binary_search(&record.doc).is_err() && !take(record)? {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Asks the filter itself, about the body.
fn matches(filter: &Filter, record: &Record, bodies: &Bodies) -> Result<bool, Error> {
    let meta = Meta { id: record.id.clone(), updated: record.stamp };
    Ok(filter.matches(&meta, &bodies.extracted(record)?))
}

fn sort(records: &mut [Record], order: Sort) {
    let by_id = |a: &Record, b: &Record| (&a.id, a.type_id).cmp(&(&b.id, b.type_id));
    match order {
        Sort::Id => records.sort_by(by_id),
        Sort::IdDescending => records.sort_by(|a, b| by_id(b, a)),
        Sort::Updated => records.sort_by_key(|record| record.doc),
        Sort::UpdatedDescending => records.sort_by_key(|record| std::cmp::Reverse(record.doc)),
    }
}
