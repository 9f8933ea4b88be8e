//! Search over a type or all (<https://hl7.org/fhir/R4/http.html#search>), in pages.

use crate::listing::{Head, Kind, listing};
use crate::outcome::outcome;
use crate::paging::Paged;
use crate::route::type_id;
use crate::{Answer, Call, Error, Failure, call::Shared, query::Controls};
use base::ErrorKind;
use bytes::Bytes;
use fhir::{Issue, Severity, TypeId};
use search::Query;
use std::borrow::Cow;
use store::Cursor;

/// Answers `GET [type]?…`, `GET [base]?…` and both forms of `POST …/_search`.
pub async fn search(
    call: &Call,
    path_type: Option<TypeId>,
    controls: &Controls,
) -> Result<Answer, Failure> {
    let limits = call.shared.service.limits();
    let handling = call.prefer.handling;
    let (type_id, rest) = match path_type {
        Some(type_id) => (Some(type_id), Cow::Borrowed(controls.rest.as_str())),
        None => one_type(controls)?,
    };
    let mut query = search::parse_query(type_id, &rest, handling, limits, &call.shared.base)
        .map_err(|issues| Error::Issues { kind: ErrorKind::Invalid, issues })?;
    let asked = query.count.unwrap_or(limits.page_entries_default);
    query.summary_count |= asked == 0;
    query.count = Some(asked.clamp(1, limits.page_entries));
    let path = query.type_id.map_or("", TypeId::name);
    let paged = Paged::new(&call.shared.base, path, &query.self_query);
    let cursor = controls.cursor.as_deref().map(|text| paged.cursor(text)).transpose()?;
    let body = call.blocking(move |shared| page(shared, &query, &paged, cursor.as_ref())).await??;
    Ok(Answer { body: Some(body), ..Answer::default() })
}

/// Takes `_type` out of the query of a search over all types: with it, it is one over that type.
fn one_type(controls: &Controls) -> Result<(Option<TypeId>, Cow<'_, str>), Error> {
    let is_type = |pair: &&str| pair.split('=').next() == Some("_type");
    let mut found = None;
    for (name, value) in controls.parameters().filter(|(name, _)| name == "_type") {
        if value.contains(',') || found.is_some() {
            let reason = "takes one resource type: search several one after the other";
            return Err(Error::Parameter { name, reason });
        }
        found = Some(type_id(&value)?);
    }
    if found.is_none() {
        return Ok((None, Cow::Borrowed(&controls.rest)));
    }
    let rest: Vec<&str> = controls.rest.split('&').filter(|pair| !is_type(pair)).collect();
    Ok((found, Cow::Owned(rest.join("&"))))
}

/// Reads one page and puts it together.
fn page(
    shared: &Shared,
    query: &Query,
    paged: &Paged,
    cursor: Option<&Cursor>,
) -> Result<Bytes, Failure> {
    let page = shared.account.store.search(query, cursor).map_err(Error::from)?;
    shared.depends_on(page.seen);
    let next = page.next.as_ref().filter(|_| !query.summary_count);
    let next = next.map(|next| paged.page_url(next));
    let whole = (cursor.is_none() && page.next.is_none() && !query.summary_count)
        .then_some(page.entries.len() as u64);
    let head = Head {
        kind: Kind::Searchset,
        total: page.total.or(whole),
        self_url: &paged.url,
        next_url: next.as_deref(),
        outcome: ignored(&query.ignored),
    };
    let entries = if query.summary_count { &[] } else { page.entries.as_slice() };
    Ok(listing(shared, head, entries))
}

/// Names the parameters that were left out, as `Prefer: handling=lenient` asks.
fn ignored(names: &[String]) -> Option<Bytes> {
    let issues: Vec<Issue> = names
        .iter()
        .map(|name| Issue {
            severity: Severity::Warning,
            code: "not-supported",
            expression: Some(format!("http.{name}")),
            diagnostics: format!("parameter '{name}' is not known and was left out"),
        })
        .collect();
    (!issues.is_empty()).then(|| outcome(&issues))
}
