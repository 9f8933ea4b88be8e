//! Real input, embedded in the binary: Synthea's patients.

use super::talk::Talk;
use anyhow::{Context, bail};
use std::time::Duration;
use workload::{Connection, read_bundle};

/// Name and bytes of each file, those first that others refer to.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/synthea.rs"));

/// Loads all bundles and gives the number of resources.
pub async fn load(url: &str, talk: &Talk) -> anyhow::Result<usize> {
    let mut connection = Connection::new(url, Duration::from_secs(60))?;
    let path = url.rsplit_once('/').map(|(_, account)| format!("/{account}"));
    let path = path.context("the url names no account")?;
    let mut resources = 0;
    talk.begin("loading", FILES.len());
    for (name, data) in FILES {
        let bundle = read_bundle(name, data, true).with_context(|| (*name).to_owned())?;
        let answer =
            connection.send(&bundle.request(&path)).await.with_context(|| (*name).to_owned())?;
        if answer.status != 200 {
            let words = String::from_utf8_lossy(&answer.body);
            let words: String = words.chars().take(500).collect();
            bail!("{name} was refused with status {}: {words}", answer.status);
        }
        resources += bundle.entries;
        talk.advance(1);
    }
    talk.end();
    Ok(resources)
}
