//! From a URL's query to a [`Query`].

use crate::clause::{Clause, Context};
use crate::param::{self, Catalogue};
use crate::refuse::{self, Refusal, short};
use crate::{Filter, Handling, Query, Sort, Total};
use base::Limits;
use fhir::{Issue, TypeId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// What stays as it is in the value of a link.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'/')
    .remove(b'$');

/// Parameters of R4 that are about results or need more than one resource, and are not offered.
const NOT_OFFERED: [&str; 14] = [
    "_contained",
    "_containedType",
    "_content",
    "_elements",
    "_filter",
    "_has",
    "_include",
    "_list",
    "_query",
    "_revinclude",
    "_score",
    "_text",
    "_type",
    "_graph",
];

/// Reads the query of a search (what follows `?`, or a form) on one type, or on all.
///
/// `base_url` is the account's base, with or without a slash at its end: references that begin
/// with it are taken as local ones. Parameters of the service's own must be taken out before.
///
/// # Errors
/// All that is wrong with it, each naming its parameter, none repeating a value: code
/// `not-supported` (left out instead under [`Handling::Lenient`]), `invalid`, or `too-costly` with
/// the limit's name.
pub fn parse_query(
    type_id: Option<TypeId>,
    raw_query: &str,
    handling: Handling,
    limits: &Limits,
    base_url: &str,
) -> Result<Query, Vec<Issue>> {
    let pairs = pairs(raw_query, limits).map_err(|refusal| vec![refusal.into_issue()])?;
    let mut reader = Reader::new(type_id, limits, base_url);
    let mut issues = Vec::new();
    for pair in &pairs {
        match reader.read(pair) {
            Ok(()) => reader.keep(pair),
            Err(Refusal::Unsupported(_)) if handling == Handling::Lenient => {
                reader.query.ignored.push(pair.name.to_string());
            }
            Err(refusal) => issues.push(refusal.into_issue()),
        }
    }
    if !issues.is_empty() {
        return Err(issues);
    }
    let mut query = reader.query;
    query.filter = Filter::all_of(reader.filters);
    Ok(query)
}

/// A parameter as sent, decoded.
pub(crate) struct Pair<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: Cow<'a, str>,
}

/// Parts and decodes a query.
pub(crate) fn pairs<'a>(raw_query: &'a str, limits: &Limits) -> Result<Vec<Pair<'a>>, Refusal> {
    if raw_query.len() > limits.url_bytes {
        return Err(Refusal::limit(format!(
            "query has {} bytes; the limit url_bytes is {}",
            raw_query.len(),
            limits.url_bytes
        )));
    }
    let mut pairs = Vec::new();
    for part in raw_query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        pairs.push(Pair { name: decode(name)?, value: decode(value)? });
        if pairs.len() > limits.query_parameters {
            return Err(Refusal::limit(format!(
                "query has more parameters than the limit query_parameters, {}",
                limits.query_parameters
            )));
        }
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    let invalid = |_| Refusal::invalid("query is not percent-encoded UTF-8".to_owned());
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(invalid);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(invalid)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

/// Writes a parameter as it stands in links.
pub(crate) fn encode(name: &str, value: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
    out.extend(utf8_percent_encode(name, KEPT));
    out.push('=');
    out.extend(utf8_percent_encode(value, KEPT));
}

/// Finds a parameter of a type by its name, and its modifier. What is a chain, or not offered for
/// any type, is refused by that name.
pub(crate) fn find<'a>(
    name: &'a str,
    type_id: Option<TypeId>,
    catalogue: &'static Catalogue,
) -> Result<(&'static crate::Parameter, Option<&'a str>), Refusal> {
    let (code, modifier) = match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    };
    if NOT_OFFERED.contains(&code) {
        return Err(Refusal::unsupported(format!("'{code}' is not supported")));
    }
    if name.contains('.') {
        return Err(Refusal::unsupported(format!(
            "chained parameters are not supported: '{}'",
            short(name)
        )));
    }
    if let Some(why) = param::refused(code) {
        return Err(Refusal::unsupported(format!(
            "search parameter '{code}' is not supported: {why}"
        )));
    }
    let common = type_id.is_none();
    match catalogue.find(code) {
        Some(param) if !common || code.starts_with('_') => Ok((param, modifier)),
        _ => {
            let of = type_id.map_or("all types", TypeId::name);
            Err(refuse::unknown(code, of, catalogue, common))
        }
    }
}

/// The parameters of a type, or, for all types, of one that has those common to all.
pub(crate) fn catalogue(type_id: Option<TypeId>) -> &'static Catalogue {
    let any = || TypeId::all().next().expect("R4 has resource types");
    Catalogue::of(type_id.unwrap_or_else(any))
}

struct Reader<'a> {
    context: Context<'a>,
    filters: Vec<Filter>,
    query: Query,
}

impl<'a> Reader<'a> {
    fn new(type_id: Option<TypeId>, limits: &'a Limits, base_url: &'a str) -> Self {
        let base_url = base_url.trim_end_matches('/');
        Self {
            context: Context { catalogue: catalogue(type_id), limits, base_url },
            filters: Vec::new(),
            query: Query {
                type_id,
                filter: Filter::All,
                sort: Sort::default(),
                count: None,
                bytes: limits.page_bytes,
                total: Total::default(),
                summary_count: false,
                ignored: Vec::new(),
                self_query: String::new(),
            },
        }
    }

    fn keep(&mut self, pair: &Pair<'_>) {
        encode(&pair.name, &pair.value, &mut self.query.self_query);
    }

    fn read(&mut self, pair: &Pair<'_>) -> Result<(), Refusal> {
        if self.control(pair)? {
            return Ok(());
        }
        let (param, modifier) = find(&pair.name, self.query.type_id, self.context.catalogue)?;
        let clause = Clause { param, modifier, value: &pair.value };
        self.filters.push(clause.filter(&self.context)?);
        Ok(())
    }

    /// Reads a parameter about results; `false` if it is none.
    fn control(&mut self, pair: &Pair<'_>) -> Result<bool, Refusal> {
        let refuse = |offered: &str| {
            Refusal::unsupported(format!(
                "this '{}' is not supported; supported: {offered}",
                pair.name
            ))
        };
        match &*pair.name {
            "_count" => {
                let count: usize = pair.value.parse().map_err(|_| {
                    Refusal::invalid("value of '_count' is not a whole number from 0".to_owned())
                })?;
                self.query.count = Some(count.min(self.context.limits.page_entries));
            }
            "_sort" => {
                self.query.sort = match &*pair.value {
                    "_id" => Sort::Id,
                    "-_id" => Sort::IdDescending,
                    "_lastUpdated" => Sort::Updated,
                    "-_lastUpdated" => Sort::UpdatedDescending,
                    _ => return Err(refuse("_id, -_id, _lastUpdated, -_lastUpdated")),
                }
            }
            "_total" => {
                self.query.total = match &*pair.value {
                    "none" => Total::None,
                    "estimate" => Total::Estimate,
                    "accurate" => Total::Accurate,
                    _ => return Err(refuse("none, estimate, accurate")),
                }
            }
            "_summary" => {
                self.query.summary_count = match &*pair.value {
                    "count" => true,
                    "false" => false,
                    _ => return Err(refuse("count, false")),
                }
            }
            "_format" => {
                const JSON: [&str; 4] =
                    ["json", "application/json", "application/fhir+json", "application/fhir json"];
                let plain = pair.value.split(';').next().unwrap_or_default().trim();
                if !JSON.contains(&plain) {
                    return Err(refuse("json, application/json, application/fhir+json"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
