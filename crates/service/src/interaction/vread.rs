//! Vread: one version by its id (<https://hl7.org/fhir/R4/http.html#vread>).

use super::read::shown;
use crate::{Answer, Call, Error, Failure};
use base::ResourceId;
use fhir::TypeId;

/// Answers `GET [type]/[id]/_history/[vid]`.
pub fn vread(
    call: &Call,
    type_id: TypeId,
    id: &ResourceId,
    version: &str,
) -> Result<Answer, Failure> {
    let version = version.parse().map_err(|_| Error::NoVersion)?;
    let found = call.store().vread(type_id, id, version).map_err(Error::from)?;
    shown(call, found.ok_or(Error::NoVersion)?)
}
