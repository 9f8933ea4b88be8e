//! An index damaged on disk: each start succeeds, and each search tells what a fresh index tells.

use crate::folder;
use crate::server::{self, Server};
use base::{Rng as _, Seeded};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use workload::{Connection, Request};

/// Damaged places, each with a start of its own.
const PLACES: u64 = 20;
/// The committed bundles that are loaded; the first two are what the others refer to.
const BUNDLES: [&str; 4] = [
    "0-hospitalInformation1625911868739.json.bz2",
    "0-practitionerInformation1625911868739.json.bz2",
    "19625ee6-1a94-1a6a-ca95-40c4efbbdfc7.json.bz2",
    "9a174f9e-ed67-6617-0106-745fb1f9a344.json.bz2",
];
/// Searches of every kind of parameter.
const SEARCHES: [&str; 14] = [
    "Patient?gender=male",
    "Patient?birthdate=ge1950&_sort=_id",
    "Patient?name:contains=a",
    "Practitioner?_count=1000&_sort=-_lastUpdated",
    "Organization?address-city=boston",
    "Encounter?status=finished&_count=1000",
    "Encounter?date=ge2015",
    "Observation?category=vital-signs&_count=1000",
    "Observation?value-quantity=gt100",
    "Observation?code=http://loinc.org|8302-2",
    "Observation?status:not=final",
    "Condition?clinical-status=active",
    "Immunization?_lastUpdated=gt2000&_count=1000",
    "Claim?_count=1000&_total=accurate",
];

/// All that the searches tell: how many, and each resource with its version, in order.
fn answers(runtime: &tokio::runtime::Runtime, server: &Server) -> Vec<Vec<String>> {
    let url = format!("http://{}/fhir", server.address);
    let mut connection = Connection::new(&url, server::PATIENCE).expect("a url");
    let counts = ["Patient", "Observation", "Procedure", "ExplanationOfBenefit"]
        .map(|kind| format!("{kind}?_summary=count"));
    let mut all = Vec::new();
    for search in SEARCHES.iter().map(ToString::to_string).chain(counts) {
        let request = Request::get(format!("/fhir/{search}"));
        let answer = runtime.block_on(connection.send(&request)).expect("it answers");
        assert_eq!(answer.status, 200, "{search}: {}", String::from_utf8_lossy(&answer.body));
        let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let mut lines = vec![search, told["total"].to_string()];
        for entry in told["entry"].as_array().into_iter().flatten() {
            let version = entry["resource"]["meta"]["versionId"].as_str().unwrap_or_default();
            let path = entry["fullUrl"].as_str().and_then(|url| url.split("/fhir/").nth(1));
            lines.push(format!("{} {version}", path.expect("a URL of this server")));
        }
        all.push(lines);
    }
    all
}

fn load(runtime: &tokio::runtime::Runtime, server: &Server) {
    let url = format!("http://{}/fhir", server.address);
    let mut connection = Connection::new(&url, server::PATIENCE).expect("a url");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/synthea");
    for name in BUNDLES {
        let data = std::fs::read(folder.join(name)).expect("committed");
        let bundle = workload::read_bundle(name, &data, true).expect("a bundle");
        let answer = runtime.block_on(connection.send(&bundle.request("/fhir")));
        let answer = answer.expect("it answers");
        assert_eq!(answer.status, 200, "{name}");
    }
}

fn start(data: &Path) -> Server {
    let address = server::free_address();
    Server::start(server::command(data, &address), &address)
}

/// Damages one place of one file; every fourth time any file, else the largest. Says which.
fn damage(index: &Path, number: u64, chance: &mut Seeded) -> String {
    let all = folder::files(index);
    let bytes = |path: &PathBuf| path.metadata().expect("there").len();
    let any = all[usize::try_from(chance.below(all.len() as u64)).expect("small")].clone();
    let largest = all.into_iter().max_by_key(bytes).expect("an index has files");
    let path = if number.is_multiple_of(4) { any } else { largest };
    let length = bytes(&path);
    let file: File = OpenOptions::new().read(true).write(true).open(&path).expect("the file");
    let at = chance.below(length);
    let what = match number % 5 {
        4 => {
            file.set_len(at).expect("cut");
            "cut"
        }
        3 => {
            let zeroes = vec![0; usize::try_from((length - at).min(4096)).expect("small")];
            file.write_all_at(&zeroes, at).expect("written");
            "zeroed"
        }
        _ => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("there");
            byte[0] ^= 1 << chance.below(8);
            file.write_all_at(&byte, at).expect("written");
            "a bit flipped"
        }
    };
    format!("place {number}: {} of {length} bytes {what} at {at}", path.display())
}

#[test]
fn an_index_damaged_anywhere_never_hinders_a_start_or_changes_an_answer() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (data, whole) = (folder.path().join("data"), folder.path().join("whole"));
    let server = start(&data);
    load(&runtime, &server);
    let expected = answers(&runtime, &server);
    let found: usize = expected.iter().map(|lines| lines.len() - 2).sum();
    assert!(found > 400, "the searches find {found} resources: too few to mean anything");
    // What is in memory of the index gets to its files.
    server.stop();
    let index = folder::find(&data, "index").expect("serve keeps an index");
    folder::copy(&index, &whole);
    let bytes: u64 =
        folder::files(&whole).iter().map(|path| path.metadata().expect("there").len()).sum();
    assert!(bytes > 100_000, "the index has {bytes} bytes: too few to be damaged");

    // What a fresh index tells is what the first told.
    std::fs::remove_dir_all(&index).expect("removed");
    assert_eq!(answers(&runtime, &start(&data)), expected, "an index made anew");

    let mut chance = Seeded(7);
    for number in 0..PLACES {
        std::fs::remove_dir_all(&index).expect("removed");
        folder::copy(&whole, &index);
        let what = damage(&index, number, &mut chance);
        let server = start(&data);
        assert_eq!(answers(&runtime, &server), expected, "{what}");
    }
}
