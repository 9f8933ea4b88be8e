//! Bodies by their place in the log, and what search finds in them.

use super::Record;
use crate::{Error, commit, log};
use bytes::Bytes;
use fhir::Resource;
use search::{Extracted, Terms};
use std::sync::Arc;

/// Bodies that were served once were parsed once; no deeper than the guard ever lets in.
const NESTING_MAX: usize = 256;

/// Reads bodies from the log.
#[derive(Clone)]
pub(crate) struct Bodies {
    reader: log::Reader,
}

impl Bodies {
    pub(crate) fn new(reader: log::Reader) -> Self {
        Self { reader }
    }

    /// The exact bytes to be served; `None` for a deletion.
    pub(crate) fn body(&self, record: &Record) -> Result<Option<Bytes>, Error> {
        let Some(place) = record.place else { return Ok(None) };
        let compressed = self
            .reader
            .slice(record.seq(), place.at as usize, place.len as usize)?
            .ok_or_else(|| Error::Index("it points at a body that is not there".to_owned()))?;
        let body = commit::decompress(&compressed)?;
        if is_of(&body, record) {
            Ok(Some(body))
        } else {
            Err(Error::Index("it points at the body of another version".to_owned()))
        }
    }

    /// What search finds in a version; nothing in a deletion.
    pub(crate) fn extracted(&self, record: &Record) -> Result<Extracted, Error> {
        match self.body(record)? {
            None => Ok(Extracted::default()),
            Some(body) => extracted(&body),
        }
    }

    /// The terms a version is indexed under.
    pub(crate) fn terms(&self, record: &Record) -> Result<Arc<Terms>, Error> {
        Ok(Arc::new(self.extracted(record)?.terms()))
    }
}

/// What search finds in a body.
pub(crate) fn extracted(body: &[u8]) -> Result<Extracted, Error> {
    let resource = Resource::parse(body, NESTING_MAX)
        .map_err(|_| Error::Corrupt { what: "a body that is no resource" })?;
    Ok(search::extract(&resource))
}

/// Checked in pairs: the body begins with the type, id and version that led to it.
fn is_of(body: &[u8], record: &Record) -> bool {
    let version = record.version.to_string();
    let parts: [&[u8]; 7] = [
        b"{\"resourceType\":\"",
        record.type_id.name().as_bytes(),
        b"\",\"id\":\"",
        record.id.as_str().as_bytes(),
        b"\",\"meta\":{\"versionId\":\"",
        version.as_bytes(),
        b"\"",
    ];
    let mut rest = body;
    parts.into_iter().all(|part| match rest.strip_prefix(part) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    })
}
