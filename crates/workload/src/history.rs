//! What clients were told, one JSON object a line.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Mutex;

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the request was first sent, in milliseconds since the clients began.
    pub sent_ms: u64,
    /// When the answer was whole (or given up), in milliseconds since the clients began.
    pub t_ms: u64,
    /// Which client.
    pub client: usize,
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// Path and query as sent.
    pub url: String,
    /// The key of an unsafe request.
    pub idempotency_key: Option<String>,
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    /// `X-Firebreak-Position`.
    pub position: Option<String>,
    /// `X-Firebreak-Durability`.
    pub durability: Option<String>,
    /// Logical id of the resource answered for.
    pub id: Option<String>,
    /// Its `versionId`.
    pub version: Option<String>,
    /// SHA-256 of the answer's body, in hexadecimal.
    pub body_sha256: Option<String>,
}

impl Record {
    /// Whether this tells the client that its write stands.
    #[must_use]
    pub fn acknowledges_write(&self) -> bool {
        self.method != "GET" && (200..300).contains(&self.status)
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(data: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(data).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// All records of a run, in the order in which answers came.
#[derive(Default)]
pub struct History {
    records: Mutex<Vec<Record>>,
}

impl History {
    /// Adds a record.
    pub fn push(&self, record: Record) {
        self.lock().push(record);
    }

    /// A copy of what is there.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Writes records as NDJSON.
pub fn write_records(records: &[Record], out: &mut dyn std::io::Write) -> std::io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, record)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
