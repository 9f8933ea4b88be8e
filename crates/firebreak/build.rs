//! Lists the demo's data for embedding, and says early where this cannot be built.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    assert!(target == "linux", "Firebreak runs on Linux only (this target: {target})");

    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../../data/synthea");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("data/synthea is part of the sources")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json.bz2"))
        .collect();
    // Those named 0-* are referred to by all others.
    names.sort_by_key(|name| (!name.starts_with("0-"), name.clone()));
    let mut list = String::from("&[\n");
    for name in names {
        let path = folder.join(&name).canonicalize().expect("it was just listed");
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .expect("writing to a string does not fail");
    }
    list.push_str("]\n");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("synthea.rs"), list).expect("the output folder is ours");
}
