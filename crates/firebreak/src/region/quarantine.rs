//! What an account's log holds of its quarantine, for operators.

use super::accounts::Open;
use serde_json::Value;

/// An answer for an operator.
pub enum Told {
    /// As JSON.
    Json(Value),
    /// As NDJSON.
    Lines(Vec<u8>),
    /// There is no such commit.
    Nothing,
}

/// All commits in quarantine, without bodies.
pub fn list(_open: &Open) -> anyhow::Result<Told> {
    anyhow::bail!("not built yet")
}

/// One of them, with its bodies.
pub fn show(_open: &Open, _id: &str) -> anyhow::Result<Told> {
    anyhow::bail!("not built yet")
}

/// All of them, one a line, with their bodies.
pub fn export(_open: &Open) -> anyhow::Result<Told> {
    anyhow::bail!("not built yet")
}
