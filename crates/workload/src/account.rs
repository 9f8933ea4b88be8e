//! Accounts for every write that a client was told had succeeded.

use crate::Record;
use crate::history::sha256;
use crate::http::{Answer, Connection, Error, Request, split_url};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::task::JoinSet;

/// A write that a client was told had succeeded, once for each idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The record of the first answer that said so.
    pub record: Record,
    /// Logical id.
    pub id: String,
    /// The version it made; empty for a deletion that found nothing.
    pub version: String,
}

impl Acknowledged {
    /// Where the service shows it. A deletion of what is not there makes no version.
    fn place(&self) -> String {
        match (self.version.as_str(), &self.id) {
            ("", id) => format!("Observation/{id}"),
            (version, id) => format!("Observation/{id}/_history/{version}"),
        }
    }
}

/// What became of the acknowledged writes.
#[derive(Clone, Debug, Default)]
pub struct Accounting {
    /// How many writes clients were told had succeeded.
    pub acknowledged: u64,
    /// Those that the service does not hold with equal bytes.
    pub lost: Vec<Acknowledged>,
    /// Those of the lost that the quarantine holds with equal bytes.
    pub quarantined: u64,
    /// Those of the lost that it does not: must be zero.
    pub unaccounted: u64,
}

/// The acknowledged writes of a history, one for each key.
#[must_use]
pub fn acknowledged(records: &[Record]) -> Vec<Acknowledged> {
    let mut seen = HashSet::new();
    let mut writes = Vec::new();
    for record in records.iter().filter(|record| record.acknowledges_write()) {
        if !seen.insert(record.idempotency_key.clone()) {
            continue;
        }
        let of_url = || record.url.rsplit('/').next().map(str::to_owned);
        let id = record.id.clone().or_else(of_url).unwrap_or_default();
        let version = record.version.clone().unwrap_or_default();
        writes.push(Acknowledged { record: record.clone(), id, version });
    }
    writes
}

/// Asks the service at `url` for the version that each acknowledged write made, and looks for the
/// missing ones in `quarantine` (`(id, version)` → SHA-256 of the quarantined body; `None` for a
/// deletion).
pub async fn account_for(
    records: &[Record],
    url: &str,
    quarantine: &BTreeMap<(String, String), Option<String>>,
) -> Result<Accounting, Error> {
    const ASKERS: usize = 8;
    let writes = acknowledged(records);
    let base_path = split_url(url)?.1;
    let mut tasks = JoinSet::new();
    for part in 0..ASKERS {
        let mine: Vec<Acknowledged> = writes.iter().skip(part).step_by(ASKERS).cloned().collect();
        let mut connection = Connection::new(url, Duration::from_secs(10))?;
        let base_path = base_path.clone();
        tasks.spawn(async move {
            let mut missing = Vec::new();
            for write in mine {
                let path = format!("{base_path}/{}", write.place());
                if !holds(&write, &connection.send(&Request::get(path)).await?) {
                    missing.push(write);
                }
            }
            Ok::<_, Error>(missing)
        });
    }
    let mut accounting = Accounting { acknowledged: writes.len() as u64, ..Accounting::default() };
    while let Some(part) = tasks.join_next().await {
        accounting.lost.extend(part.expect("an asker does not panic")?);
    }
    accounting.lost.sort_by_key(|write| write.record.t_ms);
    for write in &accounting.lost {
        match quarantine.get(&(write.id.clone(), write.version.clone())) {
            Some(body) if *body == write.record.body_sha256 => accounting.quarantined += 1,
            _ => accounting.unaccounted += 1,
        }
    }
    Ok(accounting)
}

/// Whether the service's answer is the very version that the client was told of.
fn holds(write: &Acknowledged, answer: &Answer) -> bool {
    if write.record.method == "DELETE" {
        return answer.status == 410 || (write.version.is_empty() && answer.status == 404);
    }
    answer.status == 200 && Some(sha256(&answer.body)) == write.record.body_sha256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, status: u16) -> Record {
        Record {
            sent_ms: 0,
            t_ms: 1,
            client: 0,
            method: "POST".to_owned(),
            url: "/fhir/Observation".to_owned(),
            idempotency_key: Some(key.to_owned()),
            status,
            position: None,
            durability: None,
            id: Some("a".to_owned()),
            version: Some("1".to_owned()),
            body_sha256: None,
        }
    }

    #[test]
    fn a_write_counts_once_however_often_it_was_answered() {
        let records = [record("k1", 503), record("k1", 201), record("k1", 201), record("k2", 0)];
        let writes = acknowledged(&records);
        assert_eq!(writes.len(), 1);
        assert_eq!(writes[0].id, "a");
    }
}
