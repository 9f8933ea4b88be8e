//! `Idempotency-Key`: the same key and the same request is the same write (DESIGN.md 4.4).

use crate::{Error, headers::IF_NONE_EXIST};
use base::Hash;
use bytes::Bytes;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use store::Idempotency;

/// `Idempotency-Key` as a header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const KEY_MAX: usize = 255;

/// The key of a request that may change anything, with the hash of method, URL, preconditions
/// and body.
pub fn of_request(parts: &Parts, body: &Bytes) -> Result<Option<Idempotency>, Error> {
    if parts.method.is_safe() {
        return Ok(None);
    }
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = |reason| Error::Header { name: "Idempotency-Key", reason };
    if values.next().is_some() {
        return Err(refused("comes more than once"));
    }
    let key = value.to_str().map_err(|_| refused("holds more than ASCII text"))?.trim();
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(refused("is not 1 to 255 characters"));
    }
    let mut hash = blake3::Hasher::new();
    let target = target(&parts.uri);
    let conditions = [IF_MATCH, IF_NONE_MATCH, IF_NONE_EXIST]
        .map(|name| parts.headers.get(name).map_or(&b""[..], http::HeaderValue::as_bytes));
    for part in [parts.method.as_str().as_bytes(), target.as_bytes()].iter().chain(&conditions) {
        // Each with its length, so that no two requests hash the same text.
        hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    }
    hash.update(body);
    Ok(Some(Idempotency {
        key: key.to_owned(),
        request_hash: Hash::new(*hash.finalize().as_bytes()),
        principal: String::new(),
    }))
}

/// Path and query, without the slash that a path may end with and without an empty query: all
/// forms name the same.
fn target(uri: &http::Uri) -> String {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(uri.path());
    match uri.query() {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

/// The key of one entry of a batch: each entry is a write of its own.
#[must_use]
pub fn of_entry(whole: &Idempotency, index: usize) -> Idempotency {
    Idempotency { key: format!("{}#{index}", whole.key), ..whole.clone() }
}
