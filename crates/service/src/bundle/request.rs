//! What one entry asks for.

use crate::headers::{Preconditions, if_match, if_none_match};
use crate::interaction::Asked;
use crate::query::Controls;
use crate::route::{Interaction, Target};
use crate::{Error, Failure};
use base::{ErrorKind, Stamp};
use fhir::{BundleEntry, Resource};
use http::Method;

/// An entry, understood.
pub struct Step {
    /// Its place in the bundle, from 0.
    pub index: usize,
    /// What is asked.
    pub asked: Asked,
    /// Under which preconditions.
    pub preconditions: Preconditions,
    /// `fullUrl`.
    pub full_url: Option<String>,
}

impl Step {
    /// Whether it changes nothing.
    pub const fn reads(&self) -> bool {
        !matches!(
            self.asked.interaction,
            Interaction::Create | Interaction::Update | Interaction::Delete
        )
    }
}

/// Reads one entry. `base` is the base URL that its URLs may begin with.
pub fn step(index: usize, entry: BundleEntry, base: &str) -> Result<Step, Error> {
    read(index, entry, base).map_err(|error| Error::Entry { index, error: Box::new(error) })
}

fn read(index: usize, entry: BundleEntry, base: &str) -> Result<Step, Error> {
    let place = |element: &str| format!("Bundle.entry[{index}].{element}");
    let missing = |element: &str, reason: &str| Error::Bundle {
        place: place(element),
        reason: reason.to_owned(),
    };
    let request = entry.request.ok_or_else(|| missing("request", "the entry has no request"))?;
    let method = match request.method.as_str() {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        "PATCH" => Method::PATCH,
        _ => return Err(missing("request.method", "the request's method is none of HTTP's")),
    };
    let below = request.url.strip_prefix(base).unwrap_or(&request.url);
    let below = below.strip_prefix('/').unwrap_or(below);
    let (path, query) = below.split_once('?').unwrap_or((below, ""));
    let target = Target::parse(path)?;
    let interaction = target.interaction(&method)?;
    if matches!(
        interaction,
        Interaction::Bundle | Interaction::Capabilities | Interaction::SearchForm
    ) {
        return Err(missing("request", "an entry of a bundle cannot ask for this"));
    }
    let preconditions = Preconditions {
        if_match: request.if_match.as_deref().map(if_match).transpose()?,
        if_none_match: request.if_none_match.as_deref().map(if_none_match),
        if_modified_since: request.if_modified_since.as_deref().and_then(|t| Stamp::parse(t).ok()),
        if_none_exist: request.if_none_exist,
    };
    let resource = match (interaction, entry.resource) {
        (Interaction::Create | Interaction::Update, Some(resource)) => Some(known(resource)?),
        (Interaction::Create | Interaction::Update, None) => {
            return Err(missing("resource", "the entry has no resource to write"));
        }
        _ => None,
    };
    let asked = Asked { interaction, target, controls: Controls::read(&[query]), resource };
    Ok(Step { index, asked, preconditions, full_url: entry.full_url })
}

/// A resource whose type is known.
fn known(resource: Result<Resource, fhir::Issue>) -> Result<Resource, Error> {
    resource.map_err(|issue| Error::Issues { kind: ErrorKind::Invalid, issues: vec![issue] })
}

/// The same failure, as one of this entry.
pub fn of_entry(index: usize, failure: Failure) -> Failure {
    let error = match failure.error {
        Error::Entry { .. } => failure.error,
        error => Error::Entry { index, error: Box::new(error) },
    };
    Failure { error, ..failure }
}
