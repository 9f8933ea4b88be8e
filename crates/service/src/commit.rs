//! The way of a change: prepared here, sequenced by the store, told when it is durable.

use crate::call::Shared;
use crate::{Call, Error, Failure, headers::IfMatch, headers::Preconditions};
use base::{ErrorKind, ResourceId};
use fhir::{Issue, Resource, TypeId};
use search::{Conditional, Filter};
use std::sync::Arc;
use store::{
    Applied, ChangeRequest, Committed, Condition, Error as StoreError, Guard, Prepared, Write,
};
use tokio::sync::oneshot;

/// How often conditions are resolved anew because other writes changed what they match.
pub const CONDITION_TRIES: usize = 8;

/// What a conditional query matched when it was resolved.
pub enum Matched {
    /// Nothing, under the condition that this stays so.
    None(Condition),
    /// One resource, under the condition that this stays so.
    One(ResourceId, Condition),
    /// More than one.
    Several,
}

/// Refuses a resource that breaks its definition.
pub fn validate(resource: &Resource) -> Result<(), Error> {
    resource.validate().map_err(|issues| Error::Issues { kind: ErrorKind::Unprocessable, issues })
}

/// Type and query of a conditional reference, `Patient?identifier=…`; nothing of any other.
#[must_use]
pub fn conditional_reference(reference: &str) -> Option<(&str, &str)> {
    reference.split_once('?').filter(|(name, _)| !name.contains([':', '/']))
}

/// Refuses a resource with a conditional reference: only a transaction resolves them, and stored
/// as it is it would lead nowhere.
pub fn check_references(resource: &Resource) -> Result<(), Error> {
    let conditional = |reference: &str| conditional_reference(reference).is_some();
    let Some(place) = resource.place_of_reference(&conditional) else { return Ok(()) };
    let text = "a conditional reference is resolved in a transaction only: \
                send the resource in one, or name the id";
    let issues = vec![Issue::error("business-rule", place, text)];
    Err(Error::Issues { kind: ErrorKind::Unprocessable, issues })
}

/// Refuses a resource of another type than the URL names.
pub fn check_type(resource: &Resource, type_id: TypeId) -> Result<(), Error> {
    if resource.type_id() == type_id {
        Ok(())
    } else {
        Err(Error::Mismatch { what: "resourceType" })
    }
}

/// All that can be made of a resource before it is sequenced.
#[must_use]
pub fn prepare(resource: &Resource, id: &ResourceId) -> Prepared {
    let extracted = search::extract(resource);
    let terms = extracted.terms();
    Prepared { template: resource.template(id), extracted: Arc::new(extracted), terms }
}

/// Resolves a query that must match one resource at most. It may wait and read from disk: call
/// it where blocking is allowed.
pub fn resolve(
    shared: &Shared,
    type_id: TypeId,
    query: &str,
    place: &str,
) -> Result<Matched, Failure> {
    let limits = shared.service.limits();
    let Conditional { filter, text } =
        Filter::from_conditional(type_id, query, limits, &shared.base).map_err(|mut issues| {
            for issue in &mut issues {
                issue.expression = Some(place.to_owned());
            }
            Error::Issues { kind: ErrorKind::Invalid, issues }
        })?;
    let mut found = shared.account.store.resolve(type_id, &filter).map_err(Error::from)?;
    shared.depends_on(found.seen);
    let condition =
        |expected| Condition { query: text, type_id, filter, expected, seen: found.seen };
    Ok(match (found.ids.pop(), found.ids.pop()) {
        (None, _) => Matched::None(condition(Vec::new())),
        (Some(id), None) => Matched::One(id.clone(), condition(vec![id])),
        (Some(_), Some(_)) => Matched::Several,
    })
}

/// The guard of a change under its preconditions.
pub fn guard(preconditions: &Preconditions) -> Result<Guard, Error> {
    use crate::headers::IfNoneMatch;
    let if_match = match preconditions.if_match {
        None => None,
        Some(IfMatch::Version(version)) => Some(version),
        Some(IfMatch::Foreign) => {
            return Err(Error::Precondition {
                name: "If-Match",
                reason: "no version of this service has that ETag",
            });
        }
    };
    let must_be_absent = match &preconditions.if_none_match {
        None => false,
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Versions(_)) => {
            return Err(Error::Header {
                name: "If-None-Match",
                reason: "takes only * on a change",
            });
        }
    };
    Ok(Guard { if_match, must_be_absent })
}

/// One commit of one change.
pub fn single(call: &Call, change: ChangeRequest, conditions: Vec<Condition>) -> Write {
    Write {
        changes: vec![change],
        conditions,
        idempotency: call.idempotency.clone(),
        principal: None,
    }
}

/// Hands a write to the store and waits until it is durable here and visible. Whether it may be
/// acknowledged is asked once for the whole request, at the end.
pub async fn submit(call: &Call, write: Write) -> Result<Committed, Failure> {
    let (tell, told) = oneshot::channel();
    call.store().submit(write, Box::new(move |answer| _ = tell.send(answer)));
    match told.await {
        Ok(Ok(committed)) => {
            call.shared.wrote(committed.position);
            Ok(committed)
        }
        Ok(Err(refused)) => {
            call.shared.depends_on(refused.after);
            Err(Failure { error: refused.error.into(), applied: refused.applied })
        }
        // A store that drops its callback is stopping.
        Err(_) => Err(Failure { error: Error::Stopping, applied: Applied::Unknown }),
    }
}

/// The commit of a repeated request that would not be submitted again.
pub fn recall(call: &Call) -> Result<Option<Committed>, Failure> {
    let Some(idempotency) = &call.idempotency else { return Ok(None) };
    let known = call.store().recall(idempotency).map_err(Error::from)?;
    if let Some(committed) = &known {
        call.shared.wrote(committed.position);
    }
    Ok(known)
}

/// Whether a failure says that conditions are to be resolved anew.
#[must_use]
pub fn condition_changed(failure: &Failure) -> bool {
    matches!(failure.error, Error::Store(StoreError::ConditionChanged { .. }))
}
