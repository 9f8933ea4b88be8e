//! Counts by search against counts from the files.

use crate::bench::Server;
use crate::{load, shell};
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use workload::{Bundle, Connection, Request};

/// How long one count may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Loads the folder and compares.
pub fn run(dir: &Path) -> anyhow::Result<()> {
    let program = shell::release_binary()?;
    let bundles = load::read(dir)?;
    let expected = count_entries(&bundles)?;
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(&program, &folder.path().join("data"))?;
    let loaded = load::load(bundles, &server.url(), 1)?;
    let rate = loaded.resources as f64 / loaded.elapsed.as_secs_f64();
    shell::talk(&format!(
        "{} bundles, {} resources, {rate:.0} resources/s",
        loaded.bundles, loaded.resources
    ));
    let found = tokio::runtime::Runtime::new()?.block_on(count_by_search(&server.url()))?;
    let mut wrong = 0;
    let all: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for name in &all {
        let counts = [&expected, &found].map(|of| of.get(*name).copied().unwrap_or(0));
        let mark = if counts[0] == counts[1] { "" } else { "  DIFFERS" };
        wrong += usize::from(counts[0] != counts[1]);
        shell::talk(&format!("{name:28} {:8} in files {:8} by search{mark}", counts[0], counts[1]));
    }
    ensure!(wrong == 0, "{wrong} of {} types differ", all.len());
    let sum: u64 = found.values().sum();
    shell::talk(&format!("all {} types agree, {sum} resources", all.len()));
    Ok(())
}

#[derive(Deserialize)]
struct Shape {
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Resource,
    request: Asked,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "resourceType")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    if_none_exist: Option<String>,
}

/// What the files say: each entry creates one, but a conditional one only the first time.
fn count_entries(bundles: &[Bundle]) -> anyhow::Result<BTreeMap<String, u64>> {
    let (mut counts, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for bundle in bundles {
        let shape: Shape =
            serde_json::from_slice(&bundle.body).with_context(|| bundle.name.clone())?;
        for entry in shape.entry {
            let kind = entry.resource.kind;
            let again = entry
                .request
                .if_none_exist
                .is_some_and(|condition| !seen.insert((kind.clone(), condition)));
            if !again {
                *counts.entry(kind).or_insert(0) += 1;
            }
        }
    }
    Ok(counts)
}

async fn count_by_search(url: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut connection = Connection::new(url, TIMEOUT)?;
    let mut counts = BTreeMap::new();
    for kind in fhir::TypeId::all() {
        let path = format!("/fhir/{}?_summary=count", kind.name());
        let answer = connection.send(&Request::get(path)).await?;
        ensure!(answer.status == 200, "{}: status {}", kind.name(), answer.status);
        let told: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let total = told["total"].as_u64().context("a count without a total")?;
        if total > 0 {
            counts.insert(kind.name().to_owned(), total);
        }
    }
    Ok(counts)
}
