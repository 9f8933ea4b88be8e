//! Reading: from the index, and what it has not got yet.

use super::Core;
use crate::index::{Found, Record};
use crate::{Cursor, Digest, Doc, Error, HistoryQuery, Page, Resolved, Version};
use base::{ResourceId, Seq, VersionId};
use bytes::Bytes;
use fhir::TypeId;
use search::{Filter, Query, Sort};

/// What a condition is told at most.
const RESOLVED_MAX: usize = 2;

impl Core {
    /// See [`crate::AccountStore::read`].
    ///
    /// # Errors
    /// While the index is made anew, or for damage.
    pub fn read(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Version>, Error> {
        self.with_body(self.newest(type_id, id)?)
    }

    /// See [`crate::AccountStore::vread`].
    ///
    /// # Errors
    /// Those of [`Core::read`].
    pub fn vread(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Version>, Error> {
        match self.newest(type_id, id)? {
            Some(newest) if newest.version == version => self.with_body(Some(newest)),
            None => Ok(None),
            Some(_) => {
                self.wait_applied(self.progress.durable_seq())?;
                let record = self.asked(|index| index.version(type_id, id, version))?;
                self.with_body(record)
            }
        }
    }

    /// The newest durable version.
    fn newest(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Record>, Error> {
        self.check_index()?;
        if self.progress.behind() > 0 {
            if let Some(record) = self.overlay.lock().get(&(type_id, id.clone())) {
                return Ok(Some(record.clone()));
            }
            if self.is_following() {
                self.wait_applied(self.progress.durable_seq())?;
            }
        }
        self.asked(|index| index.head(type_id, id))
    }

    /// See [`crate::AccountStore::history`].
    ///
    /// # Errors
    /// Those of [`Core::read`]; [`Error::Cursor`].
    pub fn history(&self, query: &HistoryQuery) -> Result<Page, Error> {
        self.wait_applied(self.progress.durable_seq())?;
        let found = self.asked(|index| index.history(query))?;
        self.page(found, query.bytes, false)
    }

    /// See [`crate::AccountStore::search`].
    ///
    /// # Errors
    /// Those of [`Core::history`].
    pub fn search(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.wait_applied(self.progress.durable_seq())?;
        let found = self.asked(|index| index.search(query, cursor, &self.bodies))?;
        let by_id = matches!(query.sort, Sort::Id | Sort::IdDescending);
        self.page(found, query.bytes, by_id)
    }

    /// See [`crate::AccountStore::resolve`].
    ///
    /// # Errors
    /// Those of [`Core::read`].
    pub fn resolve(&self, type_id: TypeId, filter: &Filter) -> Result<Resolved, Error> {
        self.wait_applied(self.progress.durable_seq())?;
        let seen = self.progress.applied_seq();
        let ids =
            self.asked(|index| index.matching(type_id, filter, RESOLVED_MAX, &self.bodies))?;
        Ok(Resolved { ids, seen })
    }

    /// See [`crate::AccountStore::digest`].
    pub fn digest(&self, at: Seq) -> Option<Digest> {
        if self.is_suspect() {
            return None;
        }
        self.window.lock().at(at)
    }

    /// The bodies of what was found, up to `bytes` of them: the next page goes on from there.
    fn page(&self, found: Found, bytes: usize, by_id: bool) -> Result<Page, Error> {
        let Found { records, total, mut next, seen } = found;
        let mut entries: Vec<Version> = Vec::with_capacity(records.len());
        let (mut told, mut end) = (0, Doc::FIRST);
        for record in records {
            let doc = record.doc;
            let Some(version) = self.with_body(Some(record))? else { continue };
            told += version.body.as_ref().map_or(0, Bytes::len);
            if told > bytes
                && let Some(last) = entries.last()
            {
                next = Some(if by_id {
                    Cursor::Id(last.id.clone(), last.type_id)
                } else {
                    Cursor::Doc(end)
                });
                break;
            }
            entries.push(version);
            end = doc;
        }
        Ok(Page { entries, total, next, seen })
    }

    fn with_body(&self, record: Option<Record>) -> Result<Option<Version>, Error> {
        let Some(record) = record else { return Ok(None) };
        let body = self.asked(|_| self.bodies.body(&record))?;
        let seq = record.seq();
        let Record { type_id, id, version, stamp, effect, .. } = record;
        Ok(Some(Version { type_id, id, version, stamp, seq, effect, body }))
    }
}
