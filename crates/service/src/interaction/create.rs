//! Create, also conditional (<https://hl7.org/fhir/R4/http.html#create>).

use super::read::of_version;
use super::update::written;
use crate::commit::{
    CONDITION_TRIES, Matched, check_references, check_type, condition_changed, prepare, recall,
    resolve, single, submit, validate,
};
use crate::{Answer, Call, Error, Failure, headers::Return, outcome::done};
use base::ResourceId;
use fhir::{Resource, TypeId};
use store::{Action, ChangeRequest, Guard, Version};

/// Answers `POST [type]`. The id is the server's; with `If-None-Exist` a match is answered
/// instead, and nothing is made.
pub async fn create(call: &Call, type_id: TypeId, resource: &Resource) -> Result<Answer, Failure> {
    check_type(resource, type_id)?;
    validate(resource)?;
    check_references(resource)?;
    let id = call.shared.service.mint_id();
    for _ in 0..CONDITION_TRIES {
        let mut conditions = Vec::new();
        if let Some(query) = call.preconditions.if_none_exist.clone() {
            let matched = call
                .blocking(move |shared| resolve(shared, type_id, &query, "http.If-None-Exist"))
                .await??;
            match matched {
                Matched::None(condition) => conditions.push(condition),
                Matched::One(found, _) => match existing(call, type_id, &found)? {
                    Some(answer) => return Ok(answer),
                    None => continue,
                },
                Matched::Several => {
                    let place = "http.If-None-Exist".to_owned();
                    return Err(Error::SeveralMatches { place }.into());
                }
            }
        }
        let change = ChangeRequest {
            type_id,
            id: id.clone(),
            action: Action::Put(prepare(resource, &id)),
            guard: Guard { if_match: None, must_be_absent: true },
        };
        match submit(call, single(call, change, conditions)).await {
            Err(failure) if condition_changed(&failure) => {}
            other => return written(call, &other?, 0),
        }
    }
    Err(Error::Contended.into())
}

/// The answer about the resource that `If-None-Exist` matched; `None` when it is gone meanwhile.
/// A repeated request finds what it made itself, and is answered as the first time.
fn existing(call: &Call, type_id: TypeId, id: &ResourceId) -> Result<Option<Answer>, Failure> {
    if let Some(known) = recall(call)? {
        return written(call, &known, 0).map(Some);
    }
    let found = call.store().read(type_id, id).map_err(Error::from)?;
    let Some(version) = found.filter(|version| version.body.is_some()) else { return Ok(None) };
    matched(call, version).map(Some)
}

/// The answer about a resource that is there already.
pub fn matched(call: &Call, version: Version) -> Result<Answer, Failure> {
    call.shared.depends_on(version.seq);
    let location = call.shared.version_url(version.type_id, &version.id, version.version);
    let answer = Answer { location: Some(location), ..of_version(version)? };
    Ok(match call.prefer.answer {
        Return::Representation => answer,
        Return::Minimal => Answer { body: None, ..answer },
        Return::OperationOutcome => answer.with_outcome(&[done("one resource matches already")]),
    })
}
