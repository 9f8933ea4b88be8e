//! The index's keys: a kind byte first, then what sorts as it is wanted.
//!
//! | kind | key | value |
//! |---|---|---|
//! | 01 | | what is known of the whole: position, totals, digest |
//! | 10 | type, id | the newest record |
//! | 11 | type, doc | record of a current version, id |
//! | 12 | type, doc | record of a superseded version or a deletion, id |
//! | 13 | type, length of id, id, counter | doc of a version that is not the newest |
//! | 20 | type, term, doc | nothing |
//! | 30 | day, hash of principal and key | request hash, seq, stamp |
//!
//! A doc is a commit's number and a change's place in it: as a posting it stands for one version,
//! and the order of docs is that of `lastUpdated`. **On disk**: a change makes a new [`FORMAT`].

use super::super::KeyHash;
use crate::Doc;
use base::{ResourceId, Stamp};
use fhir::TypeId;

/// The version of keys and values; another one is rebuilt from the log.
pub(super) const FORMAT: u16 = 2;

pub(super) const META: [u8; 1] = [0x01];
const HEAD: u8 = 0x10;
const CURRENT: u8 = 0x11;
const PAST: u8 = 0x12;
const VERSION: u8 = 0x13;
const TERM: u8 = 0x20;
const KEY: u8 = 0x30;

/// After every key with a doc behind this prefix.
const AFTER_DOCS: [u8; Doc::BYTES + 1] = [0xFF; Doc::BYTES + 1];

pub(super) fn head(type_id: TypeId, id: &ResourceId) -> Vec<u8> {
    joined(&[&[HEAD, type_id.get()], id.as_str().as_bytes()])
}

/// The id of a [`head`] key.
pub(super) fn id_of_head(key: &[u8]) -> Option<ResourceId> {
    std::str::from_utf8(key.get(2..)?).ok()?.parse().ok()
}

/// All heads of a type.
pub(super) fn heads(type_id: TypeId) -> (Vec<u8>, Vec<u8>) {
    (vec![HEAD, type_id.get()], after_type(HEAD, type_id))
}

pub(super) fn current(type_id: TypeId, doc: Doc) -> Vec<u8> {
    joined(&[&[CURRENT, type_id.get()], &doc.to_bytes()])
}

pub(super) fn past(type_id: TypeId, doc: Doc) -> Vec<u8> {
    joined(&[&[PAST, type_id.get()], &doc.to_bytes()])
}

/// The first key after all with this kind and type.
fn after_type(kind: u8, type_id: TypeId) -> Vec<u8> {
    vec![kind, type_id.get() + 1]
}

/// The key that follows directly.
pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

pub(super) fn version(type_id: TypeId, id: &ResourceId, counter: u64) -> Vec<u8> {
    joined(&[&version_prefix(type_id, id), &counter.to_be_bytes()])
}

/// All versions of a resource but the newest.
pub(super) fn versions(type_id: TypeId, id: &ResourceId) -> (Vec<u8>, Vec<u8>) {
    let prefix = version_prefix(type_id, id);
    let end = joined(&[&prefix, &[0xFF; 9]]);
    (prefix, end)
}

fn version_prefix(type_id: TypeId, id: &ResourceId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let len = u8::try_from(id.len()).expect("ids have at most 64 bytes");
    joined(&[&[VERSION, type_id.get(), len], id])
}

pub(super) fn term(type_id: TypeId, term: &[u8], doc: Doc) -> Vec<u8> {
    joined(&[&[TERM, type_id.get()], term, &doc.to_bytes()])
}

/// The term of a [`term`] key.
pub(super) fn term_of(key: &[u8]) -> Option<&[u8]> {
    key.get(2..key.len().checked_sub(Doc::BYTES)?)
}

/// Keys of the terms from `start` up to, and not including, `end`; others may lie between.
pub(super) fn terms(type_id: TypeId, start: &[u8], end: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = joined(&[&[TERM, type_id.get()], start]);
    // A term that begins `end` is below it, but with its doc may sort after it.
    let shortest = (0..end.len()).map(|len| &end[..len]).find(|term| *term >= start);
    let to = match shortest {
        Some(term) => joined(&[&[TERM, type_id.get()], term, &AFTER_DOCS]),
        None => joined(&[&[TERM, type_id.get()], end]),
    };
    (from, to)
}

/// The day of a stamp.
pub(super) fn day(stamp: Stamp) -> u16 {
    u16::try_from(stamp.ms() / 86_400_000).unwrap_or(u16::MAX)
}

pub(super) fn key(day: u16, hash: &KeyHash) -> Vec<u8> {
    joined(&[&[KEY], &day.to_be_bytes(), hash])
}

/// All idempotency keys before a day.
pub(super) fn keys_before(day: u16) -> (Vec<u8>, Vec<u8>) {
    (vec![KEY], joined(&[&[KEY], &day.to_be_bytes()]))
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
