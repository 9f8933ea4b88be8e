//! A search, read and ready to run.

use crate::Filter;
use fhir::TypeId;

/// What to do with a parameter, modifier or prefix that is not offered
/// (`Prefer: handling=`, <https://hl7.org/fhir/R4/search.html#errors>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Handling {
    /// Refuse the search.
    #[default]
    Strict,
    /// Leave it out, and name it in [`Query::ignored`] and not in [`Query::self_query`].
    Lenient,
}

/// The order of results. Ties are ordered by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sort {
    /// `_sort=_id`, and without any: by id, ascending.
    #[default]
    Id,
    /// `_sort=-_id`.
    IdDescending,
    /// `_sort=_lastUpdated`: oldest first.
    Updated,
    /// `_sort=-_lastUpdated`: newest first.
    UpdatedDescending,
}

/// Whether to count all matches (`_total`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Total {
    /// Not asked for: tell it only if it costs nothing.
    #[default]
    Unsaid,
    /// `none`.
    None,
    /// `estimate`.
    Estimate,
    /// `accurate`.
    Accurate,
}

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The type that is searched; `None` for all.
    pub type_id: Option<TypeId>,
    /// Which resources.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Entries on a page, as asked for, at most `Limits::page_entries`; 0 asks for the number only.
    pub count: Option<usize>,
    /// Bytes of resources on a page, `Limits::page_bytes`: one alone may have more.
    pub bytes: usize,
    /// Whether to count all matches.
    pub total: Total,
    /// `_summary=count`: the number only.
    pub summary_count: bool,
    /// Parameters that were left out under [`Handling::Lenient`], as sent, without values.
    pub ignored: Vec<String>,
    /// The query as it was understood, for links: parameters in the order sent, percent-encoded,
    /// without `?`.
    pub self_query: String,
}
