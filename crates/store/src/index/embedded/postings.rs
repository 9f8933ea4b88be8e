//! Posting lists: the docs of current versions that have certain terms.

use super::{View, keys};
use crate::{Doc, Error};
use fhir::TypeId;
use search::{Certainty, Predicate, TermRange};

/// Ascending docs.
pub(super) type Docs = Vec<Doc>;

/// The postings of one predicate, read no further than needed.
pub(super) struct Postings<'a> {
    type_id: TypeId,
    predicate: &'a Predicate,
}

impl<'a> Postings<'a> {
    pub(super) fn new(type_id: TypeId, predicate: &'a Predicate) -> Self {
        Self { type_id, predicate }
    }

    /// Whether its docs need no second look.
    pub(super) fn exact(&self) -> bool {
        self.predicate.certainty() != Certainty::Values
    }

    /// The only term there can be, when every resource with it matches.
    pub(super) fn one_term(&self) -> Option<&'a [u8]> {
        match self.predicate.ranges() {
            [range] if self.predicate.exact() => one_term(range),
            _ => None,
        }
    }

    /// All docs, if reading at most `budget` keys gives them.
    pub(super) fn docs(&self, view: &View, budget: usize) -> Result<Option<Docs>, Error> {
        let (mut docs, mut read) = (Docs::new(), 0);
        let by_terms = !self.predicate.exact();
        for range in self.predicate.ranges() {
            for pair in view.range(&keys::terms(self.type_id, &range.start, &range.end)) {
                read += 1;
                if read > budget {
                    return Ok(None);
                }
                let (key, _) = pair?;
                let Some(term) = keys::term_of(&key) else { continue };
                let in_it = range.contains(term) && (!by_terms || self.predicate.admits(term));
                if let Some(doc) = Doc::from_suffix(&key).filter(|_| in_it) {
                    docs.push(doc);
                }
            }
        }
        docs.sort_unstable();
        docs.dedup();
        Ok(Some(docs))
    }

    /// Of some docs those that have the one term.
    pub(super) fn among(&self, view: &View, term: &[u8], docs: &mut Docs) -> Result<(), Error> {
        let mut kept = Docs::with_capacity(docs.len());
        for doc in docs.iter() {
            if has(view, self.type_id, term, *doc)? {
                kept.push(*doc);
            }
        }
        *docs = kept;
        Ok(())
    }
}

/// Whether a doc has a term.
pub(super) fn has(view: &View, type_id: TypeId, term: &[u8], doc: Doc) -> Result<bool, Error> {
    Ok(view.get(&keys::term(type_id, term, doc))?.is_some())
}

/// The doc of a posting of exactly this term, if it is one: longer terms may lie between.
pub(super) fn doc_of(key: &[u8], term: &[u8]) -> Option<Doc> {
    keys::term_of(key).filter(|found| *found == term).and_then(|_| Doc::from_suffix(key))
}

/// The only term in a range.
fn one_term(range: &TermRange) -> Option<&[u8]> {
    match range.end.split_last() {
        Some((0, term)) if term == range.start => Some(term),
        _ => None,
    }
}

/// What both have.
pub(super) fn intersect(a: &[Doc], b: &[Doc]) -> Docs {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut out = Docs::with_capacity(small.len());
    let mut rest = large;
    for doc in small {
        rest = &rest[gallop(rest, *doc)..];
        match rest.first() {
            Some(first) if first == doc => out.push(*doc),
            Some(_) => {}
            None => break,
        }
    }
    out
}

/// What `a` has and `b` has not.
pub(super) fn subtract(a: &[Doc], b: &[Doc]) -> Docs {
    let mut rest = b;
    a.iter()
        .copied()
        .filter(|doc| {
            rest = &rest[gallop(rest, *doc)..];
            rest.first() != Some(doc)
        })
        .collect()
}

/// What one of them has.
pub(super) fn union(mut a: Docs, b: &[Doc]) -> Docs {
    a.extend_from_slice(b);
    a.sort_unstable();
    a.dedup();
    a
}

/// The place of the first that is not below `doc`: near ones are found in few steps.
fn gallop(docs: &[Doc], doc: Doc) -> usize {
    let mut step = 1;
    while step < docs.len() && docs[step] < doc {
        step *= 2;
    }
    let end = docs.len().min(step + 1);
    let start = step / 2;
    start.min(end) + docs[start.min(end)..end].partition_point(|other| *other < doc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Seq;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn sets_of_docs_are_sets(
            a in proptest::collection::btree_set(0_u64..60, 0..40),
            b in proptest::collection::btree_set(0_u64..60, 0..40),
        ) {
            let docs = |set: &BTreeSet<u64>| -> Docs {
                set.iter().map(|n| Doc::new(Seq::new(*n), 0).expect("small")).collect()
            };
            let (x, y) = (docs(&a), docs(&b));
            prop_assert_eq!(intersect(&x, &y), docs(&(&a & &b)));
            prop_assert_eq!(subtract(&x, &y), docs(&(&a - &b)));
            prop_assert_eq!(union(x, &y), docs(&(&a | &b)));
        }
    }
}
