//! Conditions: queries that decide about a write (`If-None-Exist`, `ifNoneExist`, conditional
//! references; <https://hl7.org/fhir/R4/http.html#ccreate>).

use crate::clause::{Clause, Context};
use crate::parse::{catalogue, encode, find, pairs};
use crate::reference::local_part;
use crate::refuse::Refusal;
use crate::{Filter, Parameter};
use base::Limits;
use fhir::{Issue, ParamKind, TypeId};

/// A condition, and its text as commits keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// Which resources satisfy it.
    pub filter: Filter,
    /// The same as a query: this account's base URL taken off, parameters sorted, none twice.
    /// Reading it again gives the same text and, with the same base URL, the same filter.
    pub text: String,
}

impl Filter {
    /// Reads a condition on the resources of one type: like [`crate::parse_query`] without any
    /// parameter about results, and never lenient, for a condition with a part left out would
    /// accept what its author excluded.
    ///
    /// # Errors
    /// As for [`crate::parse_query`]; also if there is no parameter in it.
    pub fn from_conditional(
        type_id: TypeId,
        query: &str,
        limits: &Limits,
        base_url: &str,
    ) -> Result<Conditional, Vec<Issue>> {
        let base_url = base_url.trim_end_matches('/');
        let catalogue = catalogue(Some(type_id));
        let context = Context { catalogue, limits, base_url };
        let query = query.strip_prefix('?').unwrap_or(query);
        let pairs = pairs(query, limits).map_err(|refusal| vec![refusal.into_issue()])?;
        let (mut filters, mut texts, mut issues) = (Vec::new(), Vec::new(), Vec::new());
        for pair in &pairs {
            let found = about_results(&pair.name)
                .and_then(|()| find(&pair.name, Some(type_id), catalogue))
                .and_then(|(param, modifier)| {
                    let clause = Clause { param, modifier, value: &pair.value };
                    Ok((param, clause.filter(&context)?))
                });
            match found {
                Ok((param, filter)) => {
                    filters.push(filter);
                    let mut text = String::new();
                    encode(&pair.name, &stripped(param, &pair.value, base_url), &mut text);
                    texts.push(text);
                }
                Err(refusal) => issues.push(refusal.into_issue()),
            }
        }
        if pairs.is_empty() {
            let text = "a condition needs at least one search parameter".to_owned();
            issues.push(Refusal::invalid(text).into_issue());
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        texts.sort_unstable();
        texts.dedup();
        Ok(Conditional { filter: Filter::all_of(filters), text: texts.join("&") })
    }
}

/// Refuses what has no meaning in a condition.
fn about_results(name: &str) -> Result<(), Refusal> {
    if ["_count", "_sort", "_total", "_summary", "_format"].contains(&name) {
        return Err(Refusal::invalid(format!("'{name}' has no meaning in a condition")));
    }
    Ok(())
}

/// The value, with references to this account made relative.
fn stripped(param: &Parameter, value: &str, base_url: &str) -> String {
    if param.kind != ParamKind::Reference {
        return value.to_owned();
    }
    let parts = crate::escape::split(value, b',');
    parts.iter().map(|part| local_part(part, base_url)).collect::<Vec<_>>().join(",")
}
