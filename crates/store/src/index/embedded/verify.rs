//! Checking the engine's files against the checksums it keeps of them, at a start: it looks at
//! blocks as it reads them, and at its list of tables not at all.

use crate::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3Default;

/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;

fn damaged(what: &str) -> Error {
    Error::Index(format!("{what} does not match its checksum"))
}

fn failed(error: std::io::Error) -> Error {
    Error::Index(error.to_string())
}

/// The list of tables, against the file that names it. An empty folder is fine.
pub(super) fn manifest(dir: &Path) -> Result<(), Error> {
    let current = match std::fs::read(dir.join("current")) {
        Ok(current) => current,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let (Some(id), Some(sum)) = (current.get(..8), current.get(8..24)) else {
        return Err(damaged("the name of the list of tables"));
    };
    let id = u64::from_le_bytes(id.try_into().expect("eight bytes"));
    let sum = u128::from_le_bytes(sum.try_into().expect("sixteen bytes"));
    if checksum(&dir.join(format!("v{id}")))? == sum {
        Ok(())
    } else {
        Err(damaged("the list of tables"))
    }
}

/// One table.
pub(super) fn table(dir: &Path, id: u64, sum: u128) -> Result<(), Error> {
    if checksum(&dir.join("tables").join(id.to_string()))? == sum {
        Ok(())
    } else {
        Err(damaged("a table"))
    }
}

fn checksum(path: &Path) -> Result<u128, Error> {
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Xxh3Default::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => return Ok(hasher.digest128()),
            bytes => hasher.update(&chunk[..bytes]),
        }
    }
}
