//! Bundles of type `searchset` and `history`, put together from stored bytes without parsing any.

use crate::{call::Shared, outcome::push_json_string};
use bytes::Bytes;
use std::fmt::Write as _;
use store::{Effect, Version};

/// What kind of list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer of a search.
    Searchset,
    /// The answer of a history.
    History,
}

/// All of a list but its entries.
pub struct Head<'a> {
    /// What kind.
    pub kind: Kind,
    /// How many there are on all pages, when known.
    pub total: Option<u64>,
    /// The URL of this page.
    pub self_url: &'a str,
    /// The URL of the next, if there is one.
    pub next_url: Option<&'a str>,
    /// Issues about the request, as an entry of mode `outcome`.
    pub outcome: Option<Bytes>,
}

/// The Bundle of one page.
#[must_use]
pub fn listing(shared: &Shared, head: Head<'_>, entries: &[Version]) -> Bytes {
    let bodies: usize =
        entries.iter().filter_map(|entry| entry.body.as_ref()).map(Bytes::len).sum();
    let mut out = Vec::with_capacity(512 + bodies + entries.len() * 256);
    let mut text = String::with_capacity(512);
    let name = match head.kind {
        Kind::Searchset => "searchset",
        Kind::History => "history",
    };
    let _ = write!(text, "{{\"resourceType\":\"Bundle\",\"type\":\"{name}\"");
    if let Some(total) = head.total {
        let _ = write!(text, ",\"total\":{total}");
    }
    text.push_str(",\"link\":[{\"relation\":\"self\",\"url\":");
    push_json_string(&mut text, head.self_url);
    if let Some(next) = head.next_url {
        text.push_str("},{\"relation\":\"next\",\"url\":");
        push_json_string(&mut text, next);
    }
    text.push_str("}]");
    out.extend_from_slice(text.as_bytes());
    let mut separator: &[u8] = b",\"entry\":[";
    for version in entries {
        out.extend_from_slice(separator);
        separator = b",";
        push_entry(shared, head.kind, version, &mut text, &mut out);
    }
    if let Some(outcome) = &head.outcome {
        out.extend_from_slice(separator);
        separator = b",";
        out.extend_from_slice(b"{\"resource\":");
        out.extend_from_slice(outcome);
        out.extend_from_slice(b",\"search\":{\"mode\":\"outcome\"}}");
    }
    out.extend_from_slice(if separator == b"," { b"]}" } else { b"}" });
    Bytes::from(out)
}

/// One entry. `text` is room to write in.
fn push_entry(
    shared: &Shared,
    kind: Kind,
    version: &Version,
    text: &mut String,
    out: &mut Vec<u8>,
) {
    // Base, type and id hold nothing that JSON would escape: each was checked.
    text.clear();
    let (base, name, id) = (&shared.base, version.type_id.name(), &version.id);
    let _ = write!(text, "{{\"fullUrl\":\"{base}/{name}/{id}\"");
    out.extend_from_slice(text.as_bytes());
    if let Some(body) = &version.body {
        out.extend_from_slice(b",\"resource\":");
        out.extend_from_slice(body);
    }
    text.clear();
    match kind {
        Kind::Searchset => text.push_str(",\"search\":{\"mode\":\"match\"}}"),
        Kind::History => push_request(version, text),
    }
    out.extend_from_slice(text.as_bytes());
}

/// What was asked and answered when the version was made.
fn push_request(version: &Version, text: &mut String) {
    let (name, id) = (version.type_id.name(), &version.id);
    let (method, below, status) = match version.effect {
        Effect::Created => ("POST", String::new(), "201 Created"),
        Effect::CreatedByUpdate => ("PUT", format!("/{id}"), "201 Created"),
        Effect::Updated | Effect::Unchanged => ("PUT", format!("/{id}"), "200 OK"),
        Effect::Deleted => ("DELETE", format!("/{id}"), "204 No Content"),
    };
    let _ = write!(
        text,
        ",\"request\":{{\"method\":\"{method}\",\"url\":\"{name}{below}\"}},\
         \"response\":{{\"status\":\"{status}\",\"etag\":\"W/\\\"{}\\\"\",\"lastModified\":\"{}\"}}}}",
        version.version, version.stamp
    );
}
