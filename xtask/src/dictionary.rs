//! Trains the dictionary that bodies are compressed with, from the committed Synthea bundles.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;

/// Where bundles are read from.
const BUNDLES: &str = "data/synthea";
/// What it makes. A newer dictionary gets the next number, in the file's name and in the id.
const OUT: &str = "crates/store/assets/dictionary-1.zdict";
/// Ids below 32,768 are registered ones (RFC 8878 section 5.3).
const DICTIONARY_ID: u32 = 0x8001;
/// Bytes of the dictionary.
const DICTIONARY_BYTES: usize = 48 << 10;
/// At most so many samples of one resource type, so that the frequent ones do not crowd out all others.
const SAMPLES_OF_TYPE_MAX: usize = 1_500;

/// Trains and writes.
pub fn run() -> Result<()> {
    let mut samples = Vec::new();
    let mut of_type = std::collections::BTreeMap::<String, usize>::new();
    let mut files: Vec<_> = std::fs::read_dir(BUNDLES)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bz2"))
        .collect();
    files.sort();
    for file in &files {
        collect(file, &mut samples, &mut of_type)
            .with_context(|| format!("bundle {}", file.display()))?;
    }
    ensure!(!samples.is_empty(), "no bundles in {BUNDLES}");
    let mut dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES)?;
    ensure!(dictionary.len() >= 8, "zstd made no dictionary");
    dictionary[4..8].copy_from_slice(&DICTIONARY_ID.to_le_bytes());
    std::fs::write(OUT, &dictionary)?;
    let (bytes, count) = (dictionary.len(), samples.len());
    crate::shell::talk(&format!("{OUT}: {bytes} bytes from {count} resources"));
    Ok(())
}

/// A bundle's resources in the form in which they are served.
fn collect(
    file: &Path,
    samples: &mut Vec<Vec<u8>>,
    of_type: &mut std::collections::BTreeMap<String, usize>,
) -> Result<()> {
    let mut text = String::new();
    bzip2::read::BzDecoder::new(std::fs::File::open(file)?).read_to_string(&mut text)?;
    let bundle: Value = serde_json::from_str(&text)?;
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        let Some(Value::Object(resource)) = entry.get("resource") else { continue };
        let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        let seen = of_type.entry(name.to_owned()).or_default();
        *seen += 1;
        if *seen <= SAMPLES_OF_TYPE_MAX {
            samples.push(served(resource)?);
        }
    }
    Ok(())
}

/// `resourceType`, `id` and `meta` first, as the server writes them.
fn served(resource: &Map<String, Value>) -> Result<Vec<u8>> {
    let mut out = Map::new();
    for name in ["resourceType", "id"] {
        if let Some(value) = resource.get(name) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    let mut meta = Map::new();
    meta.insert("versionId".to_owned(), "1".into());
    meta.insert("lastUpdated".to_owned(), "2026-11-21T08:15:30.123Z".into());
    if let Some(Value::Object(given)) = resource.get("meta") {
        meta.extend(given.clone());
    }
    out.insert("meta".to_owned(), meta.into());
    for (name, value) in resource {
        if !out.contains_key(name) {
            out.insert(name.clone(), value.clone());
        }
    }
    Ok(serde_json::to_vec(&out)?)
}
