//! Update, also as create (<https://hl7.org/fhir/R4/http.html#update>).

use crate::commit::{check_references, check_type, guard, prepare, single, submit, validate};
use crate::{Answer, Call, Error, Failure, headers::Return, outcome::done};
use base::ResourceId;
use bytes::Bytes;
use fhir::{Resource, TypeId};
use http::StatusCode;
use store::{Action, Applied, ChangeRequest, Committed, Outcome};

/// Answers `PUT [type]/[id]`.
pub async fn update(
    call: &Call,
    type_id: TypeId,
    id: &ResourceId,
    resource: &Resource,
) -> Result<Answer, Failure> {
    check_type(resource, type_id)?;
    check_id(resource, id)?;
    validate(resource)?;
    check_references(resource)?;
    let change = ChangeRequest {
        type_id,
        id: id.clone(),
        action: Action::Put(prepare(resource, id)),
        guard: guard(&call.preconditions)?,
    };
    let committed = submit(call, single(call, change, Vec::new())).await?;
    written(call, &committed, 0)
}

/// Refuses a body that names another id than the URL, or none.
pub fn check_id(resource: &Resource, id: &ResourceId) -> Result<(), Error> {
    if resource.id() == Some(id.as_str()) { Ok(()) } else { Err(Error::Mismatch { what: "id" }) }
}

/// The answer about one change of a commit that put something.
pub fn written(call: &Call, committed: &Committed, index: usize) -> Result<Answer, Failure> {
    let outcome = committed
        .outcomes
        .get(index)
        .ok_or(Failure { error: Error::Contended, applied: Applied::Unknown })?;
    let created = outcome.effect.is_creation();
    let answer = Answer {
        status: if created { StatusCode::CREATED } else { StatusCode::OK },
        version: Some(outcome.version),
        updated: Some(outcome.stamp),
        location: Some(call.shared.version_url(outcome.type_id, &outcome.id, outcome.version)),
        ..Answer::default()
    };
    Ok(match call.prefer.answer {
        Return::Minimal => answer,
        Return::Representation => Answer { body: body_of(call, outcome)?, ..answer },
        Return::OperationOutcome => {
            answer.with_outcome(&[done(if created { "created" } else { "updated" })])
        }
    })
}

/// The bytes of the version made; those of a repeated request are read again.
fn body_of(call: &Call, outcome: &Outcome) -> Result<Option<Bytes>, Failure> {
    if outcome.body.is_some() {
        return Ok(outcome.body.clone());
    }
    let found = call.store().vread(outcome.type_id, &outcome.id, outcome.version);
    match found {
        Ok(version) => Ok(version.and_then(|version| version.body)),
        Err(error) => Err(Failure { error: error.into(), applied: Applied::Unknown }),
    }
}
