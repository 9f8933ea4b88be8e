//! Engine `memory`: the oracle. It keeps records and values as they come and answers by looking at
//! all of them, with [`Filter::matches`]: nothing here shares code with an engine that has keys.

use super::{Applied, Bodies, Found, Index, KeyEntry, KeyHash, Record, Undo};
use crate::{Cursor, DIGEST_SHARDS, Doc, Error, HistoryQuery, HistoryScope};
use base::{Position, ResourceId, Stamp, VersionId};
use fhir::TypeId;
use parking_lot::RwLock;
use search::{Extracted, Filter, Meta, Query, Sort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The index in memory.
#[derive(Default)]
pub(crate) struct Memory {
    state: RwLock<State>,
}

struct State {
    applied: Position,
    digest: Box<[u128; DIGEST_SHARDS]>,
    /// All versions of a resource, oldest first.
    resources: BTreeMap<(TypeId, ResourceId), Vec<Record>>,
    /// What search finds in the current version of those that are there.
    current: BTreeMap<(TypeId, ResourceId), Arc<Extracted>>,
    keys: BTreeMap<KeyHash, KeyEntry>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            applied: Position::ZERO,
            digest: Box::new([0; DIGEST_SHARDS]),
            resources: BTreeMap::new(),
            current: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl State {
    fn apply(&mut self, applied: &Applied) {
        for change in &applied.changes {
            let key = (change.record.type_id, change.record.id.clone());
            match &change.extracted {
                Some(extracted) => self.current.insert(key.clone(), Arc::clone(extracted)),
                None => self.current.remove(&key),
            };
            self.resources.entry(key).or_default().push(change.record.clone());
            let (shard, element) = change.element;
            self.digest[shard] = self.digest[shard].wrapping_add(element);
        }
        if let Some((key, entry)) = applied.key {
            self.keys.insert(key, entry);
        }
        self.applied = applied.position;
    }

    fn newest(&self, key: &(TypeId, ResourceId)) -> Option<&Record> {
        self.resources.get(key).and_then(|versions| versions.last())
    }

    /// Current resources that match, in no order that matters.
    fn matching<'a>(
        &'a self,
        type_id: Option<TypeId>,
        filter: &'a Filter,
    ) -> impl Iterator<Item = &'a Record> {
        let of_type = move |key: &(TypeId, ResourceId)| type_id.is_none_or(|id| id == key.0);
        self.current.iter().filter(move |(key, _)| of_type(key)).filter_map(|(key, extracted)| {
            let record = self.newest(key)?;
            let meta = Meta { id: key.1.clone(), updated: record.stamp };
            filter.matches(&meta, extracted).then_some(record)
        })
    }
}

impl Index for Memory {
    fn applied(&self) -> Position {
        self.state.read().applied
    }

    fn resources(&self) -> u64 {
        self.state.read().current.len() as u64
    }

    fn digest(&self) -> Box<[u128; DIGEST_SHARDS]> {
        self.state.read().digest.clone()
    }

    fn head(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Record>, Error> {
        Ok(self.state.read().newest(&(type_id, id.clone())).cloned())
    }

    fn version(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Record>, Error> {
        let state = self.state.read();
        let versions = state.resources.get(&(type_id, id.clone()));
        Ok(versions.and_then(|all| all.iter().find(|r| r.version == version)).cloned())
    }

    fn key(&self, key: &KeyHash, since: Stamp) -> Result<Option<KeyEntry>, Error> {
        Ok(self.state.read().keys.get(key).filter(|entry| entry.stamp >= since).copied())
    }

    fn apply(&self, batch: &[Applied]) -> Result<(), Error> {
        let mut state = self.state.write();
        batch.iter().for_each(|applied| state.apply(applied));
        Ok(())
    }

    fn reset(&self) -> Result<(), Error> {
        *self.state.write() = State::default();
        Ok(())
    }

    fn undo(&self, undo: &Undo<'_>, bodies: &Bodies) -> Result<(), Error> {
        let mut state = self.state.write();
        for key in undo.ids {
            let Some(versions) = state.resources.get_mut(key) else { continue };
            versions.retain(|record| record.seq() <= undo.to.seq);
            let newest = versions.last().cloned();
            if newest.is_none() {
                state.resources.remove(key);
            }
            match newest.filter(Record::is_present) {
                None => state.current.remove(key),
                Some(record) => {
                    let extracted = Arc::new(bodies.extracted(&record)?);
                    state.current.insert(key.clone(), extracted)
                }
            };
        }
        state.keys.retain(|_, entry| entry.seq <= undo.to.seq);
        for (shard, element) in undo.elements {
            state.digest[*shard] = state.digest[*shard].wrapping_sub(*element);
        }
        state.applied = undo.to;
        Ok(())
    }

    fn history(&self, query: &HistoryQuery) -> Result<Found, Error> {
        let state = self.state.read();
        let before = match query.cursor {
            None => Doc::LAST,
            Some(Cursor::Doc(doc)) => doc,
            Some(Cursor::Id(..)) => return Err(Error::Cursor),
        };
        let in_scope = |record: &&Record| match &query.scope {
            HistoryScope::Instance(type_id, id) => record.type_id == *type_id && record.id == *id,
            HistoryScope::Type(type_id) => record.type_id == *type_id,
            HistoryScope::System => true,
        };
        let mut records: Vec<Record> = state
            .resources
            .values()
            .flatten()
            .filter(in_scope)
            .filter(|record| query.since.is_none_or(|since| record.stamp >= since))
            .cloned()
            .collect();
        if query.count == 0 {
            let total = Some(records.len() as u64);
            return Ok(Found { total, seen: state.applied.seq, ..Found::default() });
        }
        records.retain(|record| record.doc < before);
        records.sort_by_key(|record| std::cmp::Reverse(record.doc));
        let more = records.len() > query.count;
        records.truncate(query.count);
        let next = records.last().filter(|_| more).map(|record| Cursor::Doc(record.doc));
        Ok(Found { records, total: None, next, seen: state.applied.seq })
    }

    fn search(
        &self,
        query: &Query,
        cursor: Option<&Cursor>,
        _bodies: &Bodies,
    ) -> Result<Found, Error> {
        let state = self.state.read();
        let mut records: Vec<&Record> = state.matching(query.type_id, &query.filter).collect();
        let (total, seen) = (Some(records.len() as u64), state.applied.seq);
        if super::counts_only(query) {
            return Ok(Found { total, seen, ..Found::default() });
        }
        let by_id = |record: &&Record| (record.id.clone(), record.type_id);
        match query.sort {
            Sort::Id => records.sort_by_key(by_id),
            Sort::IdDescending => records.sort_by_key(|record| std::cmp::Reverse(by_id(record))),
            Sort::Updated => records.sort_by_key(|record| record.doc),
            Sort::UpdatedDescending => {
                records.sort_by_key(|record| std::cmp::Reverse(record.doc));
            }
        }
        let is_after = |record: &Record| match (query.sort, cursor) {
            (_, None) => Ok(true),
            (Sort::Id, Some(Cursor::Id(id, of))) => Ok((&record.id, record.type_id) > (id, *of)),
            (Sort::IdDescending, Some(Cursor::Id(id, of))) => {
                Ok((&record.id, record.type_id) < (id, *of))
            }
            (Sort::Updated, Some(Cursor::Doc(doc))) => Ok(record.doc > *doc),
            (Sort::UpdatedDescending, Some(Cursor::Doc(doc))) => Ok(record.doc < *doc),
            _ => Err(Error::Cursor),
        };
        let mut page = Vec::new();
        let mut next = None;
        for record in records {
            if !is_after(record)? {
                continue;
            }
            if query.count.is_some_and(|count| page.len() == count) {
                next = page.last().map(|last| cursor_at(query.sort, last));
                break;
            }
            page.push(record.clone());
        }
        Ok(Found { records: page, total, next, seen })
    }

    fn matching(
        &self,
        type_id: TypeId,
        filter: &Filter,
        limit: usize,
        _bodies: &Bodies,
    ) -> Result<Vec<ResourceId>, Error> {
        let state = self.state.read();
        Ok(state.matching(Some(type_id), filter).take(limit).map(|r| r.id.clone()).collect())
    }
}

/// The place after a record, in an order.
pub(super) fn cursor_at(sort: Sort, record: &Record) -> Cursor {
    match sort {
        Sort::Id | Sort::IdDescending => Cursor::Id(record.id.clone(), record.type_id),
        Sort::Updated | Sort::UpdatedDescending => Cursor::Doc(record.doc),
    }
}
