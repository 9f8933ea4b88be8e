//! What a query asks for, independent of any engine.

use crate::{Extracted, Predicate};
use base::{ResourceId, Stamp};

/// What a search needs to know of a resource besides its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The logical id.
    pub id: ResourceId,
    /// `meta.lastUpdated`.
    pub updated: Stamp,
}

/// From `from` up to, and not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StampRange {
    /// The first stamp in it.
    pub from: Stamp,
    /// The first stamp after it; `None` if it has no end.
    pub to: Option<Stamp>,
}

impl StampRange {
    /// Whether a stamp lies in it.
    #[must_use]
    pub fn contains(&self, stamp: Stamp) -> bool {
        self.from <= stamp && self.to.is_none_or(|to| stamp < to)
    }
}

/// A condition on the resources of one type (or, in a search of all types, of any).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every resource.
    All,
    /// None.
    Nothing,
    /// What all of these accept.
    And(Vec<Filter>),
    /// What one of these accepts.
    Or(Vec<Filter>),
    /// What this does not accept.
    Not(Box<Filter>),
    /// The resources with one of these ids.
    Ids(Vec<ResourceId>),
    /// Those last updated in one of these ranges.
    Updated(Vec<StampRange>),
    /// Those with a value that satisfies this.
    Param(Predicate),
}

impl Filter {
    /// Whether a resource satisfies it: the answer itself, without any index.
    #[must_use]
    pub fn matches(&self, meta: &Meta, extracted: &Extracted) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::And(all) => all.iter().all(|filter| filter.matches(meta, extracted)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(meta, extracted)),
            Self::Not(filter) => !filter.matches(meta, extracted),
            Self::Ids(ids) => ids.contains(&meta.id),
            Self::Updated(ranges) => ranges.iter().any(|range| range.contains(meta.updated)),
            Self::Param(predicate) => predicate.matches(extracted),
        }
    }

    /// All of these, in the simplest form.
    pub(crate) fn all_of(filters: Vec<Self>) -> Self {
        let mut parts = Vec::with_capacity(filters.len());
        for filter in filters {
            match filter {
                Self::All => {}
                Self::Nothing => return Self::Nothing,
                Self::And(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Self::All,
            1 => parts.remove(0),
            _ => Self::And(parts),
        }
    }

    /// One of these, in the simplest form.
    pub(crate) fn any_of(filters: Vec<Self>) -> Self {
        let mut parts = Vec::with_capacity(filters.len());
        for filter in filters {
            match filter {
                Self::Nothing => {}
                Self::All => return Self::All,
                Self::Or(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Self::Nothing,
            1 => parts.remove(0),
            _ => Self::Or(parts),
        }
    }

    /// The opposite, in the simplest form.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
