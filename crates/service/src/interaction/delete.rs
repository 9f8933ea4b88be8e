//! Delete (<https://hl7.org/fhir/R4/http.html#delete>).

use crate::commit::{guard, single, submit};
use crate::{Answer, Call, Failure, headers::Return, outcome::done};
use base::ResourceId;
use fhir::TypeId;
use http::StatusCode;
use store::{Action, ChangeRequest, Effect};

/// Answers `DELETE [type]/[id]`. What is not there, or deleted already, is deleted successfully
/// and nothing changes.
pub async fn delete(call: &Call, type_id: TypeId, id: &ResourceId) -> Result<Answer, Failure> {
    let guard = guard(&call.preconditions)?;
    let change = ChangeRequest { type_id, id: id.clone(), action: Action::Delete, guard };
    let committed = submit(call, single(call, change, Vec::new())).await?;
    Ok(deleted(call, &committed, 0))
}

/// The answer about one deletion of a commit.
pub fn deleted(call: &Call, committed: &store::Committed, index: usize) -> Answer {
    let outcome = committed.outcomes.get(index);
    let changed = outcome.filter(|outcome| outcome.effect != Effect::Unchanged);
    let answer = Answer {
        status: StatusCode::NO_CONTENT,
        version: changed.map(|outcome| outcome.version),
        updated: changed.map(|outcome| outcome.stamp),
        ..Answer::default()
    };
    if call.prefer.answer != Return::OperationOutcome {
        return answer;
    }
    let text = if changed.is_some() { "deleted" } else { "there was nothing to delete" };
    Answer { status: StatusCode::OK, ..answer }.with_outcome(&[done(text)])
}
