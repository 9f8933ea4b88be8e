//! From a filter to the docs that may satisfy it: the most selective part first, the others only as
//! far as they narrow that down.

use super::postings::{Docs, Postings, intersect, subtract, union};
use super::{View, keys, value};
use crate::{Doc, Error};
use base::{ResourceId, Seq, Stamp};
use fhir::TypeId;
use search::{Filter, StampRange};

/// (The limits here are small in tests, so that few resources take every way.)
/// Keys read of each part, in rounds, until one part is known whole.
const BUDGETS: [usize; 4] =
    if cfg!(test) { [1, 3, 5, usize::MAX] } else { [256, 4096, 65_536, usize::MAX] };
/// A part is read whole if that takes at most so many keys for each doc that is left; else the
/// docs that are left are looked at one by one.
const KEYS_PER_DOC: usize = if cfg!(test) { 1 } else { 64 };
/// And so many keys in any case.
const KEYS_FREE: usize = if cfg!(test) { 1 } else { 4096 };

/// Docs of current versions of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Docset {
    /// Every one but these.
    Except(Docs),
    /// These.
    Only(Docs),
    /// Those that have this term: too many to list unless they must be. Only for a whole filter.
    Term(Vec<u8>),
}

/// What may satisfy a filter: all that do are among the docs.
pub(super) struct Candidates {
    pub(super) docs: Docset,
    /// All of them do.
    pub(super) exact: bool,
}

impl Candidates {
    fn all(exact: bool) -> Self {
        Self { docs: Docset::Except(Docs::new()), exact }
    }
    fn only(docs: Docs, exact: bool) -> Self {
        Self { docs: Docset::Only(docs), exact }
    }
}

/// A term's docs are listed if there are at most so many.
const LISTED_MAX: usize = if cfg!(test) { 3 } else { 4096 };

/// The candidates of a query's whole filter.
pub(super) fn of_whole(view: &View, type_id: TypeId, filter: &Filter) -> Result<Candidates, Error> {
    if let Filter::Param(predicate) = filter {
        let postings = Postings::new(type_id, predicate);
        if let Some(term) = postings.one_term() {
            return Ok(match postings.docs(view, LISTED_MAX)? {
                Some(docs) => Candidates::only(docs, true),
                None => Candidates { docs: Docset::Term(term.to_vec()), exact: true },
            });
        }
    }
    candidates(view, type_id, filter)
}

/// The candidates of a filter: never [`Docset::Term`].
fn candidates(view: &View, type_id: TypeId, filter: &Filter) -> Result<Candidates, Error> {
    Ok(match filter {
        Filter::All => Candidates::all(true),
        Filter::Nothing => Candidates::only(Docs::new(), true),
        Filter::And(parts) => and(view, type_id, parts)?,
        Filter::Or(parts) => or(view, type_id, parts)?,
        Filter::Not(part) => {
            let part = candidates(view, type_id, part)?;
            match part.docs {
                _ if !part.exact => Candidates::all(false),
                Docset::Only(docs) => Candidates { docs: Docset::Except(docs), exact: true },
                Docset::Except(docs) => Candidates::only(docs, true),
                Docset::Term(_) => Candidates::all(false),
            }
        }
        Filter::Ids(ids) => Candidates::only(by_ids(view, type_id, ids)?, true),
        Filter::Updated(ranges) => Candidates::only(by_stamps(view, type_id, ranges)?, true),
        Filter::Param(predicate) => {
            let postings = Postings::new(type_id, predicate);
            let docs = postings.docs(view, usize::MAX)?.unwrap_or_default();
            Candidates::only(docs, postings.exact())
        }
    })
}

fn or(view: &View, type_id: TypeId, parts: &[Filter]) -> Result<Candidates, Error> {
    let mut all = Candidates::only(Docs::new(), true);
    for part in parts {
        let part = candidates(view, type_id, part)?;
        all.exact &= part.exact;
        all.docs = widen(all.docs, part.docs);
    }
    Ok(all)
}

fn widen(docs: Docset, by: Docset) -> Docset {
    match (docs, by) {
        (Docset::Only(a), Docset::Only(b)) => Docset::Only(union(a, &b)),
        (Docset::Except(a), Docset::Except(b)) => Docset::Except(intersect(&a, &b)),
        (Docset::Except(a), Docset::Only(b)) | (Docset::Only(b), Docset::Except(a)) => {
            Docset::Except(subtract(&a, &b))
        }
        (Docset::Term(_), _) | (_, Docset::Term(_)) => unreachable!("only for a whole filter"),
    }
}

fn narrow(docs: Docset, by: Docset) -> Docset {
    match (docs, by) {
        (Docset::Term(_), _) | (_, Docset::Term(_)) => unreachable!("only for a whole filter"),
        (Docset::Only(a), Docset::Only(b)) => Docset::Only(intersect(&a, &b)),
        (Docset::Only(a), Docset::Except(b)) | (Docset::Except(b), Docset::Only(a)) => {
            Docset::Only(subtract(&a, &b))
        }
        (Docset::Except(a), Docset::Except(b)) => Docset::Except(union(a, &b)),
    }
}

fn and(view: &View, type_id: TypeId, parts: &[Filter]) -> Result<Candidates, Error> {
    let mut found = Candidates::all(true);
    let mut open: Vec<Postings<'_>> = Vec::new();
    for part in parts {
        if let Filter::Param(predicate) = part {
            open.push(Postings::new(type_id, predicate));
        } else {
            let part = candidates(view, type_id, part)?;
            found.exact &= part.exact;
            found.docs = narrow(found.docs, part.docs);
        }
    }
    found.exact &= open.iter().all(Postings::exact);
    for budget in BUDGETS {
        if open.is_empty() || matches!(&found.docs, Docset::Only(docs) if docs.len() <= budget) {
            break;
        }
        let mut still_open = Vec::new();
        for postings in open {
            match postings.docs(view, budget)? {
                Some(docs) => found.docs = narrow(found.docs, Docset::Only(docs)),
                None => still_open.push(postings),
            }
        }
        open = still_open;
    }
    for postings in open {
        let Docset::Only(docs) = &mut found.docs else { continue };
        let budget = docs.len().saturating_mul(KEYS_PER_DOC).saturating_add(KEYS_FREE);
        if let Some(term) = postings.one_term() {
            postings.among(view, term, docs)?;
        } else if let Some(others) = postings.docs(view, budget)? {
            *docs = intersect(docs, &others);
        } else {
            found.exact = false;
        }
    }
    Ok(found)
}

fn by_ids(view: &View, type_id: TypeId, ids: &[ResourceId]) -> Result<Docs, Error> {
    let mut docs = Docs::with_capacity(ids.len());
    for id in ids {
        if let Some(head) = view.head(type_id, id)?.filter(super::Record::is_present) {
            docs.push(head.doc);
        }
    }
    docs.sort_unstable();
    docs.dedup();
    Ok(docs)
}

/// Docs are in the order of stamps: each range is one of docs.
fn by_stamps(view: &View, type_id: TypeId, ranges: &[StampRange]) -> Result<Docs, Error> {
    let mut docs = Docs::new();
    for range in ranges {
        let from = first_at(view, type_id, range.from)?;
        let to = match range.to {
            Some(to) => first_at(view, type_id, to)?,
            None => Doc::LAST,
        };
        for pair in view.range(&(keys::current(type_id, from), keys::current(type_id, to))) {
            docs.extend(Doc::from_suffix(&pair?.0));
        }
    }
    docs.sort_unstable();
    docs.dedup();
    Ok(docs)
}

/// The first current doc stamped at or after `stamp`, or a bound before it and after all earlier.
fn first_at(view: &View, type_id: TypeId, stamp: Stamp) -> Result<Doc, Error> {
    let end = view.meta()?.applied.seq.get();
    let (mut low, mut high) = (0, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let from = Doc::new(Seq::new(middle), 0).unwrap_or(Doc::LAST);
        let bounds = (keys::current(type_id, from), keys::current(type_id, Doc::LAST));
        let record = match view.range(&bounds).next().transpose()? {
            Some((_, value)) => Some(value::decode_record(type_id, &value)?),
            None => None,
        };
        match record {
            // All that are earlier than this one are below `middle`.
            Some(record) if record.stamp < stamp => low = record.seq().get() + 1,
            _ => high = middle,
        }
    }
    Ok(Doc::new(Seq::new(low), 0).unwrap_or(Doc::LAST))
}
