//! The index's values.

use super::super::{KeyEntry, Place, Record};
use super::keys::FORMAT;
use crate::{DIGEST_SHARDS, Doc, Effect, Error};
use base::{Fork, Hash, Position, ResourceId, Seq, Stamp, VersionId};
use fhir::TypeId;
use serde::{Deserialize, Serialize};

/// What is known of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    format: u16,
    /// Of the terms.
    encoding: u16,
    pub(super) applied: Position,
    /// Per type: how many are there, how many versions there ever were.
    pub(super) totals: Vec<(u64, u64)>,
    digest: Vec<u128>,
    /// Idempotency keys of earlier days are gone.
    pub(super) keys_from_day: u16,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            format: FORMAT,
            encoding: search::ENCODING_VERSION,
            applied: Position::ZERO,
            totals: vec![(0, 0); 256],
            digest: vec![0; DIGEST_SHARDS],
            keys_from_day: 0,
        }
    }
}

impl Meta {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing to memory does not fail")
    }

    /// Reads a value of the same format.
    pub(super) fn decode(value: &[u8]) -> Result<Self, Error> {
        let meta: Self = read(value, "its head")?;
        let shape = (meta.totals.len(), meta.digest.len()) == (256, DIGEST_SHARDS);
        if meta.format != FORMAT || meta.encoding != search::ENCODING_VERSION || !shape {
            return Err(Error::Index("it has another format".to_owned()));
        }
        Ok(meta)
    }

    pub(super) fn shards(&self) -> Box<[u128; DIGEST_SHARDS]> {
        let shards: [u128; DIGEST_SHARDS] =
            self.digest.as_slice().try_into().expect("checked where it is made");
        Box::new(shards)
    }

    pub(super) fn add(&mut self, shard: usize, element: u128) {
        self.digest[shard] = self.digest[shard].wrapping_add(element);
    }

    pub(super) fn subtract(&mut self, shard: usize, element: u128) {
        self.digest[shard] = self.digest[shard].wrapping_sub(element);
    }

    pub(super) fn total_mut(&mut self, type_id: TypeId) -> &mut (u64, u64) {
        &mut self.totals[usize::from(type_id.get())]
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    doc: u64,
    counter: u64,
    fork: Fork,
    stamp: Stamp,
    effect: Effect,
    place: Option<(u32, u32)>,
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8], what: &str) -> Result<T, Error> {
    postcard::from_bytes(value).map_err(|_| Error::Index(format!("{what} cannot be read")))
}

fn stored(record: &Record) -> Stored {
    Stored {
        doc: record.doc.get(),
        counter: record.version.counter,
        fork: record.version.fork,
        stamp: record.stamp,
        effect: record.effect,
        place: record.place.map(|place| (place.at, place.len)),
    }
}

/// A record without its type and id, which are in the key.
pub(super) fn encode_head(record: &Record) -> Vec<u8> {
    let out = Vec::with_capacity(40);
    postcard::to_extend(&stored(record), out).expect("writing to memory does not fail")
}

/// A record with its id.
pub(super) fn encode_record(record: &Record) -> Vec<u8> {
    let out = Vec::with_capacity(40 + record.id.as_str().len());
    let mut out =
        postcard::to_extend(&stored(record), out).expect("writing to memory does not fail");
    out.extend_from_slice(record.id.as_str().as_bytes());
    out
}

/// Reads [`encode_head`].
pub(super) fn decode_head(type_id: TypeId, id: ResourceId, value: &[u8]) -> Result<Record, Error> {
    Ok(record(type_id, id, read(value, "a head")?))
}

/// Reads [`encode_record`].
pub(super) fn decode_record(type_id: TypeId, value: &[u8]) -> Result<Record, Error> {
    let bad = || Error::Index("a record cannot be read".to_owned());
    let (stored, id): (Stored, _) = postcard::take_from_bytes(value).map_err(|_| bad())?;
    let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or_else(bad)?;
    Ok(record(type_id, id, stored))
}

fn record(type_id: TypeId, id: ResourceId, stored: Stored) -> Record {
    let Stored { doc, counter, fork, stamp, effect, place } = stored;
    Record {
        doc: Doc::from_number(doc),
        type_id,
        id,
        version: VersionId { counter, fork },
        stamp,
        effect,
        place: place.map(|(at, len)| Place { at, len }),
    }
}

/// What is remembered of an idempotency key.
pub(super) fn encode_key(entry: &KeyEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    out.extend_from_slice(entry.request_hash.as_bytes());
    out.extend_from_slice(&entry.seq.get().to_le_bytes());
    out.extend_from_slice(&entry.stamp.ms().to_le_bytes());
    out
}

/// Reads [`encode_key`].
pub(super) fn decode_key(value: &[u8]) -> Result<KeyEntry, Error> {
    let bad = || Error::Index("a key's entry cannot be read".to_owned());
    let hash: [u8; 32] = value.get(..32).and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
    let number = |at: usize| -> Result<u64, Error> {
        let bytes = value.get(at..at + 8).and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (seq, stamp) = (Seq::new(number(32)?), Stamp::from_ms(number(40)?));
    Ok(KeyEntry { request_hash: Hash::new(hash), seq, stamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not read is moved aside and made anew from the log.
    #[test]
    fn an_index_of_other_terms_or_another_format_is_not_read() {
        let now = Meta::default();
        assert_eq!(Meta::decode(&now.encode()).expect("its own"), now);
        let before = Meta { encoding: search::ENCODING_VERSION - 1, ..Meta::default() };
        assert!(Meta::decode(&before.encode()).is_err());
        let before = Meta { format: FORMAT - 1, ..Meta::default() };
        assert!(Meta::decode(&before.encode()).is_err());
    }
}
