//! Files of FHIR bundles, plain or compressed with bzip2.

use crate::Request;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A bundle as a request body.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Where it came from.
    pub name: String,
    /// JSON text.
    pub body: bytes::Bytes,
    /// How many entries it has.
    pub entries: usize,
}

impl Bundle {
    /// The request that loads it into the account at `path`, answered without bodies.
    #[must_use]
    pub fn request(&self, path: &str) -> Request {
        Request {
            method: hyper::Method::POST,
            path: path.to_owned(),
            headers: vec![("prefer", "return=minimal".to_owned())],
            body: self.body.clone(),
        }
    }
}

/// Reads a bundle; `compressed` says whether `data` is bzip2.
pub fn read_bundle(name: &str, data: &[u8], compressed: bool) -> std::io::Result<Bundle> {
    let mut body = Vec::new();
    if compressed {
        bzip2::read::MultiBzDecoder::new(data).read_to_end(&mut body)?;
    } else {
        body.extend_from_slice(data);
    }
    #[derive(serde::Deserialize)]
    struct Shape {
        #[serde(default)]
        entry: Vec<serde::de::IgnoredAny>,
    }
    let shape: Shape = serde_json::from_slice(&body).map_err(std::io::Error::from)?;
    Ok(Bundle { name: name.to_owned(), body: body.into(), entries: shape.entry.len() })
}

/// The bundles of a folder (`*.json`, `*.json.bz2`), those named `0-*` first: others refer to them.
pub fn order_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".json") || name.ends_with(".json.bz2") {
            files.push(path);
        }
    }
    let first = |path: &PathBuf| {
        !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0-"))
    };
    files.sort_by_key(|path| (first(path), path.clone()));
    Ok(files)
}
