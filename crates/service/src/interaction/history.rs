//! History of a resource, a type or all (<https://hl7.org/fhir/R4/http.html#history>), newest
//! first, in pages.

use crate::listing::{Head, Kind, listing};
use crate::paging::Paged;
use crate::{Answer, Call, Error, Failure, call::Shared, query::Controls, route::Target};
use base::{ErrorKind, Limits, Stamp};
use fhir::{Issue, Severity};
use search::Handling;
use std::fmt::Write as _;
use store::{HistoryQuery, HistoryScope};

/// Answers `GET …/_history` with `_count` and `_since`; `_count=0` asks for the number only.
pub async fn history(call: &Call, target: &Target, controls: &Controls) -> Result<Answer, Failure> {
    let (scope, path) = match target {
        Target::InstanceHistory(type_id, id) => (
            HistoryScope::Instance(*type_id, id.clone()),
            format!("{}/{id}/_history", type_id.name()),
        ),
        Target::TypeHistory(type_id) => {
            (HistoryScope::Type(*type_id), format!("{}/_history", type_id.name()))
        }
        _ => (HistoryScope::System, "_history".to_owned()),
    };
    let asked = Asked::read(controls, call.prefer.handling, call.shared.service.limits())?;
    let paged = Paged::new(&call.shared.base, &path, &asked.self_query());
    let cursor = controls.cursor.as_deref().map(|text| paged.cursor(text)).transpose()?;
    let Asked { count, since, .. } = asked;
    let bytes = call.shared.service.limits().page_bytes;
    let query = HistoryQuery { scope, since, count, bytes, cursor };
    let body = call.blocking(move |shared| page(shared, &query, &paged)).await??;
    Ok(Answer { body: Some(body), ..Answer::default() })
}

/// Reads one page and puts it together.
fn page(shared: &Shared, query: &HistoryQuery, paged: &Paged) -> Result<bytes::Bytes, Failure> {
    let page = shared.account.store.history(query).map_err(Error::from)?;
    shared.depends_on(page.seen);
    let first = query.cursor.is_none() && query.since.is_none();
    let whole = (first && page.next.is_none()).then_some(page.entries.len() as u64);
    let total = page.total.or(whole);
    if first && total == Some(0) && matches!(query.scope, HistoryScope::Instance(..)) {
        return Err(Error::NotFound.into());
    }
    let next = page.next.as_ref().map(|cursor| paged.page_url(cursor));
    let head = Head {
        kind: Kind::History,
        total,
        self_url: &paged.url,
        next_url: next.as_deref(),
        outcome: None,
    };
    Ok(listing(shared, head, &page.entries))
}

/// The parameters of a history.
struct Asked {
    count: usize,
    count_told: bool,
    since: Option<Stamp>,
}

impl Asked {
    fn read(controls: &Controls, handling: Handling, limits: &Limits) -> Result<Self, Error> {
        let mut asked = Self { count: limits.page_entries_default, count_told: false, since: None };
        for (name, value) in controls.parameters() {
            match name.as_str() {
                "_count" => {
                    let count: usize = value.parse().map_err(|_| Error::Parameter {
                        name,
                        reason: "is not a number of entries",
                    })?;
                    asked.count = count.min(limits.page_entries);
                    asked.count_told = true;
                }
                "_since" => {
                    let since = Stamp::parse(&value).map_err(|_| Error::Parameter {
                        name,
                        reason: "is not an instant such as 2026-11-21T08:15:30.123Z",
                    })?;
                    asked.since = Some(since);
                }
                _ if handling == Handling::Lenient => {}
                _ => return Err(unknown(&name)),
            }
        }
        Ok(asked)
    }

    /// The parameters that were read, as a query.
    fn self_query(&self) -> String {
        let mut text = String::new();
        if self.count_told {
            let _ = write!(text, "_count={}", self.count);
        }
        if let Some(since) = self.since {
            let _ = write!(text, "{}_since={since}", if text.is_empty() { "" } else { "&" });
        }
        text
    }
}

/// The refusal of a parameter that history does not read.
fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    let issue = Issue {
        severity: Severity::Error,
        code: "not-supported",
        expression: Some(format!("http.{shown}")),
        diagnostics: format!("parameter '{shown}' is not read by history, _count and _since are"),
    };
    Error::Issues { kind: ErrorKind::Invalid, issues: vec![issue] }
}
