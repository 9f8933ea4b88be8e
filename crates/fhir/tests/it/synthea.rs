//! Real data: every entry of the Synthea bundles keeps to its definition, and every search
//! parameter can be evaluated on it.

use fhir::{Item, Resource, definitions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The folder named by `FIREBREAK_SYNTHEA`, or the one in the repository.
fn files() -> Vec<PathBuf> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/synthea");
    let folder = std::env::var_os("FIREBREAK_SYNTHEA").map_or_else(own, PathBuf::from);
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "bz2")).collect();
    files.sort();
    files
}

pub fn read(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("the file is there");
    let mut bytes = Vec::new();
    bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut bytes).expect("it is bzip2");
    bytes
}

#[test]
#[allow(clippy::print_stdout)]
fn every_entry_is_valid_and_every_parameter_evaluates() {
    let (mut resources, mut items, mut nodes) = (0, 0, 0);
    for path in files() {
        let bundle = Resource::parse(&read(&path), 64).expect("it is a Bundle");
        assert!(matches!(bundle.bundle_type(), Some("batch" | "transaction")));
        assert_eq!(bundle.validate_without_entries(), Ok(()), "{path:?}");
        for entry in bundle.bundle_entries() {
            let resource = entry.resource.expect("there is one").expect("its type is known");
            assert_eq!(resource.validate(), Ok(()), "{path:?}");
            resources += 1;
            for param in definitions().params_of(resource.type_id()) {
                for item in param.expression.evaluate(resource.root()) {
                    items += 1;
                    nodes += usize::from(matches!(item, Item::Node(_)));
                }
            }
        }
    }
    println!(
        "{resources} resources, {items} values of search parameters, {nodes} of them elements"
    );
    assert!(resources > 10_000 && items > 10 * resources);
}

#[test]
fn a_bundle_as_a_whole_is_valid_too() {
    let path = files().into_iter().next_back().expect("there are files");
    let bundle = Resource::parse(&read(&path), 64).expect("it is a Bundle");
    assert_eq!(bundle.validate(), Ok(()));
}
