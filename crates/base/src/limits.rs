//! What a request may ask for at most. Every limit is a setting, and stands in the error it causes.

use serde::{Deserialize, Serialize};

/// Limits on requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all requests' bodies that are held at one time.
    pub bodies_bytes: usize,
    /// Milliseconds in which nothing of a body may arrive.
    pub body_silence_ms: u64,
    /// Depth of nesting of a JSON body.
    pub nesting: usize,
    /// Entries of a batch or transaction.
    pub bundle_entries: usize,
    /// Bytes that the reads of one batch or transaction may tell in all.
    pub answer_bytes: usize,
    /// Bytes of a request's URL.
    pub url_bytes: usize,
    /// Bytes of a request's headers, names and values.
    pub header_bytes: usize,
    /// Values joined by commas in one search parameter.
    pub or_values: usize,
    /// Parameters in one query.
    pub query_parameters: usize,
    /// Resources on a page.
    pub page_entries: usize,
    /// Resources on a page when the client names no number.
    pub page_entries_default: usize,
    /// Bytes of the resources on a page: it ends before, unless one alone is longer.
    pub page_bytes: usize,
    /// Requests worked on at one time.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            bodies_bytes: 256 << 20,
            body_silence_ms: 10_000,
            nesting: 64,
            bundle_entries: 10_000,
            answer_bytes: 64 << 20,
            url_bytes: 16 << 10,
            header_bytes: 64 << 10,
            or_values: 1_000,
            query_parameters: 256,
            page_entries: 1_000,
            page_entries_default: 50,
            page_bytes: 16 << 20,
            concurrency: 1_024,
        }
    }
}
