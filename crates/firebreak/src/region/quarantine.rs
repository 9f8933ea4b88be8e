//! What an account's log holds of its quarantine, for operators.

use super::accounts::Open;
use anyhow::Context;
use base::{Position, Seq};
use bytes::Bytes;
use replication::{Quarantined, Record};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use store::{Commit, decompress};

/// An answer for an operator.
pub enum Told {
    /// As JSON.
    Json(Value),
    /// As NDJSON.
    Lines(Vec<u8>),
    /// There is no such commit, or the log was not read yet.
    Nothing,
}

/// All commits in quarantine, without bodies.
pub fn list(open: &Open) -> anyhow::Result<Told> {
    let Some(commits) = commits(open) else { return Ok(Told::Nothing) };
    let mut told = Vec::new();
    each(open, &commits, |kept, commit| {
        told.push(describe(kept, commit, false)?);
        Ok(())
    })?;
    Ok(Told::Json(json!({ "commits": told })))
}

/// One of them, with its bodies.
pub fn show(open: &Open, id: &str) -> anyhow::Result<Told> {
    let Ok(position) = id.parse::<Position>() else { return Ok(Told::Nothing) };
    let Some(commits) = commits(open) else { return Ok(Told::Nothing) };
    let one: Vec<_> = commits.into_iter().filter(|kept| kept.position == position).collect();
    let mut told = None;
    each(open, &one, |kept, commit| {
        told = Some(describe(kept, commit, true)?);
        Ok(())
    })?;
    Ok(told.map_or(Told::Nothing, Told::Json))
}

/// All of them, one a line, with their bodies.
pub fn export(open: &Open) -> anyhow::Result<Told> {
    let Some(commits) = commits(open) else { return Ok(Told::Nothing) };
    let mut lines = Vec::new();
    each(open, &commits, |kept, commit| {
        writeln!(lines, "{}", describe(kept, commit, true)?)?;
        Ok(())
    })?;
    Ok(Told::Lines(lines))
}

fn commits(open: &Open) -> Option<Vec<Quarantined>> {
    let shared = open.quarantine.lock();
    Some(shared.as_ref()?.commits().copied().collect())
}

/// Reads each quarantined commit, those within one quarantine commit together.
fn each(
    open: &Open,
    commits: &[Quarantined],
    mut take: impl FnMut(&Quarantined, &Commit) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut by_commit: BTreeMap<Seq, Vec<&Quarantined>> = BTreeMap::new();
    for kept in commits {
        by_commit.entry(kept.within).or_default().push(kept);
    }
    let reader = open.store.core().reader();
    for (within, kept) in by_commit {
        let frame = reader.read(within)?.context("a quarantine commit is not in the log")?;
        let payload = frame.payload.bytes().context("a quarantine commit was erased")?;
        let record = Record::decode(&Commit::decode(payload)?.record)?;
        for frame in record.frames()? {
            let Some(kept) = kept.iter().find(|kept| kept.position == frame.position) else {
                continue;
            };
            if let Some(payload) = frame.payload.bytes() {
                take(kept, &Commit::decode(payload)?)?;
            }
        }
    }
    Ok(())
}

fn describe(kept: &Quarantined, commit: &Commit, bodies: bool) -> anyhow::Result<Value> {
    let mut changes = Vec::new();
    for change in &commit.changes {
        let body: Option<Bytes> = change.body.as_ref().map(|body| decompress(body)).transpose()?;
        let sha256 = body.as_ref().map(|body| hex(&Sha256::digest(body)));
        let mut told = json!({
            "type": change.type_id.name(),
            "id": change.id.as_str(),
            "version": change.version.to_string(),
            "effect": format!("{:?}", change.effect).to_lowercase(),
            "body_sha256": sha256,
        });
        if bodies && let Some(body) = &body {
            told["body"] = serde_json::from_slice(body)?;
        }
        changes.push(told);
    }
    Ok(json!({
        "id": kept.position.to_string(),
        "region": kept.region.to_string(),
        "within": kept.within.get(),
        "kind": format!("{:?}", commit.head.kind).to_lowercase(),
        "stamp": commit.head.stamp.to_string(),
        "idempotency_key": commit.head.idempotency.as_ref().map(|key| key.key.clone()),
        "changes": changes,
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
