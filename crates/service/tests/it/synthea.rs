//! Real input as it is: Synthea's infrastructure batches, then transactions that refer to them by
//! queries (`data/synthea`, Apache-2.0).

use crate::bed::{Bed, join};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// Committed files by name, unpacked.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/synthea");
    let entries = std::fs::read_dir(folder).expect("the data is committed");
    let mut files = BTreeMap::new();
    for entry in entries.map(|entry| entry.expect("the folder reads")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json.bz2") {
            let packed = std::fs::File::open(entry.path()).expect("the file opens");
            let mut text = String::new();
            let mut unpacked = bzip2::read::BzDecoder::new(packed);
            unpacked.read_to_string(&mut text).expect("it is bzip2 and UTF-8");
            files.insert(name, text);
        }
    }
    files
}

/// Adds a bundle's resources to a count by type.
fn count(text: &str, counts: &mut BTreeMap<String, u64>) {
    let bundle: Value = serde_json::from_str(text).expect("it is JSON");
    for entry in bundle["entry"].as_array().expect("entries") {
        let name = entry["resource"]["resourceType"].as_str().expect("a type");
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

#[tokio::test]
async fn synthea_loads_and_every_count_is_right() {
    let bed = Bed::new();
    let files = files();
    let (first, mut patients): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(name, _)| name.starts_with("0-"));
    assert_eq!(first.len(), 2);
    // The memory engine scans: the smallest patients do.
    patients.sort_by_key(|(_, text)| text.len());
    patients.truncate(6);
    let mut counts = BTreeMap::new();
    for (name, text) in first.iter().chain(&patients[..2]) {
        count(text, &mut counts);
        let answer = bed.one("POST", "", ("prefer", "return=minimal"), text).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(!answer.text().contains("\"outcome\""), "{name}");
    }
    // Others at one time: each transaction is alone in its commit.
    for (name, answer) in join(patients[2..].iter().map(|(name, text)| {
        let bed = &bed;
        async move { (name, bed.one("POST", "", ("prefer", "return=minimal"), text).await) }
    }))
    .await
    {
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    patients[2..].iter().for_each(|(_, text)| count(text, &mut counts));
    for (name, expected) in counts {
        let found = bed.get(&format!("{name}?_summary=count")).await.json()["total"].as_u64();
        assert_eq!(found, Some(expected), "{name}");
    }
    // Loaded again, the conditional creates find theirs; what has no condition comes twice.
    let again = bed.post("", &first[0].1).await.json();
    let statuses = again["entry"].as_array().expect("entries").iter();
    assert!(statuses.clone().all(|entry| entry["response"]["status"] == "200 OK"));
}
