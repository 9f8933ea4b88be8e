//! Read: the newest version by id (<https://hl7.org/fhir/R4/http.html#read>).

use crate::{Answer, Call, Error, Failure};
use base::ResourceId;
use fhir::TypeId;
use http::StatusCode;
use store::Version;

/// Answers `GET [type]/[id]`: the stored bytes, or 304, 404, 410.
pub fn read(call: &Call, type_id: TypeId, id: &ResourceId) -> Result<Answer, Failure> {
    let found = call.store().read(type_id, id).map_err(Error::from)?;
    shown(call, found.ok_or(Error::NotFound)?)
}

/// The answer to a client that may have the version already.
pub fn shown(call: &Call, version: Version) -> Result<Answer, Failure> {
    call.shared.depends_on(version.seq);
    if version.body.is_some() && call.preconditions.not_modified(version.version, version.stamp) {
        return Ok(Answer { status: StatusCode::NOT_MODIFIED, ..about(&version) });
    }
    of_version(version)
}

/// Version and stamp of a version, without its body.
fn about(version: &Version) -> Answer {
    Answer { version: Some(version.version), updated: Some(version.stamp), ..Answer::default() }
}

/// The answer that holds one version.
pub fn of_version(version: Version) -> Result<Answer, Failure> {
    let answer = about(&version);
    match version.body {
        Some(body) => Ok(Answer { body: Some(body), ..answer }),
        None => Err(Error::Deleted.into()),
    }
}
