//! Engine `embedded`: sorted keys in one key-value tree in the data directory.
//!
//! **Invariant**: the position applied is in the same atomic batch as what was applied, so that
//! the index is always that of some commit, and replay from there is exact.

mod apply;
mod history;
mod keys;
mod plan;
mod postings;
mod search;
mod tree;
mod undo;
mod value;
mod verify;

use super::{Applied, Bodies, Congestion, Found, Index, KeyEntry, KeyHash, Record, Undo};
use crate::{Cursor, DIGEST_SHARDS, Error, HistoryQuery};
use ::search::{Filter, Query};
use base::{Position, ResourceId, Stamp, VersionId};
use fhir::TypeId;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tree::{Snapshot, Tree};
use value::Meta;

/// The index in a folder.
pub(crate) struct Embedded {
    dir: PathBuf,
    open: RwLock<Option<Arc<Tree>>>,
    /// As in the tree.
    meta: Mutex<Meta>,
}

/// A view of the tree, with what is known of the whole at that moment.
struct View {
    tree: Arc<Tree>,
    at: Snapshot,
}

impl View {
    fn get(&self, key: &[u8]) -> Result<Option<lsm_tree::Slice>, Error> {
        self.tree.get(&self.at, key)
    }

    fn range(&self, bounds: &(Vec<u8>, Vec<u8>)) -> tree::Pairs {
        self.tree.range(&self.at, &bounds.0, &bounds.1)
    }

    fn meta(&self) -> Result<Meta, Error> {
        match self.get(&keys::META)? {
            Some(value) => Meta::decode(&value),
            None => Ok(Meta::default()),
        }
    }

    fn head(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Record>, Error> {
        let value = self.get(&keys::head(type_id, id))?;
        value.map(|value| value::decode_head(type_id, id.clone(), &value)).transpose()
    }

    /// A version by its doc; `past` tells where to look first.
    fn by_doc(
        &self,
        type_id: TypeId,
        doc: crate::Doc,
        past: bool,
    ) -> Result<Option<Record>, Error> {
        let key = if past { keys::past(type_id, doc) } else { keys::current(type_id, doc) };
        let value = self.get(&key)?;
        value.map(|value| value::decode_record(type_id, &value)).transpose()
    }
}

impl Embedded {
    /// Opens the index in a folder. One that cannot be opened is moved aside; then it is empty.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let opened = Tree::open(dir).and_then(|tree| {
            let tree = Arc::new(tree);
            let meta = View { at: tree.snapshot(), tree: Arc::clone(&tree) }.meta()?;
            Ok((tree, meta))
        });
        let (tree, meta) = match opened {
            Ok(opened) => opened,
            Err(full @ Error::IndexFull) => return Err(full),
            Err(error) => {
                tracing::warn!(%error, "the index cannot be opened: moved aside, to be rebuilt");
                move_aside(dir)?;
                (Arc::new(Tree::open(dir)?), Meta::default())
            }
        };
        Ok(Self { dir: dir.to_owned(), open: RwLock::new(Some(tree)), meta: Mutex::new(meta) })
    }

    fn tree(&self) -> Result<Arc<Tree>, Error> {
        self.open.read().clone().ok_or_else(|| Error::Index("it is not open".to_owned()))
    }

    fn view(&self) -> Result<View, Error> {
        let tree = self.tree()?;
        Ok(View { at: tree.snapshot(), tree })
    }
}

/// Gives a folder another name beside it. Only the newest such is kept, to be looked at.
fn move_aside(dir: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Index(format!("moving it aside failed: {error}"));
    let aside = dir.with_extension("damaged");
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    match std::fs::rename(dir, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

impl Index for Embedded {
    fn applied(&self) -> Position {
        self.meta.lock().applied
    }

    fn resources(&self) -> u64 {
        self.meta.lock().totals.iter().map(|(present, _)| present).sum()
    }

    fn digest(&self) -> Box<[u128; DIGEST_SHARDS]> {
        self.meta.lock().shards()
    }

    fn head(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Record>, Error> {
        self.view()?.head(type_id, id)
    }

    fn version(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Record>, Error> {
        history::version(&self.view()?, type_id, id, version)
    }

    fn key(&self, key: &KeyHash, since: Stamp) -> Result<Option<KeyEntry>, Error> {
        let view = self.view()?;
        // Kept for a day: it is under the day it was made, which is that of `since` or the next.
        let first = keys::day(since);
        for day in [first.saturating_add(1), first] {
            if let Some(value) = view.get(&keys::key(day, key))? {
                let entry = value::decode_key(&value)?;
                if entry.stamp >= since {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    fn apply(&self, batch: &[Applied]) -> Result<(), Error> {
        let tree = self.tree()?;
        let mut meta = self.meta.lock().clone();
        let ops = apply::ops(batch, &mut meta, &View { at: tree.snapshot(), tree: tree.clone() })?;
        tree.batch(ops)?;
        *self.meta.lock() = meta;
        Ok(())
    }

    fn reset(&self) -> Result<(), Error> {
        let mut open = self.open.write();
        *open = None;
        move_aside(&self.dir)?;
        *open = Some(Arc::new(Tree::open(&self.dir)?));
        *self.meta.lock() = Meta::default();
        Ok(())
    }

    fn undo(&self, undo: &Undo<'_>, bodies: &Bodies) -> Result<(), Error> {
        let view = self.view()?;
        let mut meta = self.meta.lock().clone();
        let ops = undo::ops(undo, &mut meta, &view, bodies)?;
        view.tree.batch(ops)?;
        *self.meta.lock() = meta;
        view.tree.flush()
    }

    fn history(&self, query: &HistoryQuery) -> Result<Found, Error> {
        history::page(&self.view()?, query)
    }

    fn search(
        &self,
        query: &Query,
        cursor: Option<&Cursor>,
        bodies: &Bodies,
    ) -> Result<Found, Error> {
        search::page(&self.view()?, query, cursor, bodies)
    }

    fn matching(
        &self,
        type_id: TypeId,
        filter: &Filter,
        limit: usize,
        bodies: &Bodies,
    ) -> Result<Vec<ResourceId>, Error> {
        search::some(&self.view()?, type_id, filter, limit, bodies)
    }

    fn upkeep(&self) -> Result<bool, Error> {
        self.tree()?.flush_full()
    }

    fn compact(&self) -> Result<bool, Error> {
        self.tree()?.compact()
    }

    fn congestion(&self) -> Congestion {
        self.tree().map_or(Congestion::None, |tree| tree.congestion())
    }

    fn flush(&self) -> Result<(), Error> {
        let tree = self.tree()?;
        tree.flush()?;
        let stats = tree.stats();
        tracing::debug!(bytes = stats.disk_bytes, tables = stats.tables, "flushed the index");
        Ok(())
    }
}
