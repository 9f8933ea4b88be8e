//! `firebreak serve` as a process: its answers, its end, and what it refuses.

use crate::server::{self, Server};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The exit code and the sentence of a start that must fail.
fn refused(data: &Path, address: &str) -> (i32, String) {
    let mut command = server::command(data, address);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let code = server::code(&mut child);
    let mut sentence = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut sentence).expect("text");
    (code, sentence)
}

const PATIENT: &str = r#"{"resourceType":"Patient","name":[{"family":"Example"}]}"#;

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut ids = Vec::new();
    for round in 0..3 {
        let begun = Instant::now();
        let mut serve = Server::start_anywhere(&data);
        assert_eq!(serve.send("GET", "/fhir/metadata", "").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(10), "the first answer took too long");
        for (id, body) in &ids {
            let read = serve.send("GET", &format!("/fhir/Patient/{id}"), "");
            assert_eq!((read.status, &read.body), (200, body));
        }
        for _ in 0..10 {
            let server::Answer { status, head, body } =
                serve.send("POST", "/fhir/Patient", PATIENT);
            assert_eq!(status, 201, "{head}");
            assert!(head.contains("x-firebreak-durability: local"), "{head}");
            let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            ids.push((json["id"].as_str().expect("an id").to_owned(), body));
        }
        let count = serve.send("GET", "/fhir/Patient?family=example&_summary=count", "").body;
        assert!(count.contains(&format!("\"total\":{}", (round + 1) * 10)), "{count}");
        serve.kill();
    }
}

#[test]
fn sigterm_ends_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Server::start_anywhere(folder.path());
    assert_eq!(serve.send("POST", "/fhir/Patient", PATIENT).status, 201);
    let begun = Instant::now();
    assert_eq!(serve.stop(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "draining took {:?}", begun.elapsed());
}

#[test]
fn it_starts_again_after_the_operators_credentials_were_taken_away() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Server::start_anywhere(folder.path()));
    let taken = folder.path().join("elsewhere");
    std::fs::rename(folder.path().join("operator"), taken).expect("the folder is there");
    let serve = Server::start_anywhere(folder.path());
    assert_eq!(serve.send("GET", "/fhir/metadata", "").status, 200);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Server::start_anywhere(folder.path());
    let (code, sentence) = refused(folder.path(), "127.0.0.1:0");
    assert_eq!(code, 73, "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

#[test]
fn a_taken_port_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let (code, sentence) = refused(folder.path(), &address);
    assert_eq!(code, 71, "{sentence}");
    assert!(sentence.contains(&address), "{sentence}");
}

#[test]
fn an_open_address_is_refused_unless_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, sentence) = refused(folder.path(), "0.0.0.0:0");
    assert_eq!(code, 78, "{sentence}");
    assert!(sentence.contains("--insecure"), "{sentence}");
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Server::start_anywhere(folder.path()));
    let file = folder.path().join("identity.toml");
    let text = std::fs::read_to_string(&file).expect("the folder says whose it is");
    std::fs::write(&file, text.replace("format = 1", "format = 99")).expect("writes");
    let (code, sentence) = refused(folder.path(), "127.0.0.1:0");
    assert_eq!(code, 65, "{sentence}");
    assert!(sentence.contains("99"), "{sentence}");
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    // Root may write everywhere, but not below a file of /proc.
    let (code, sentence) = refused(Path::new("/proc/1/firebreak"), "127.0.0.1:0");
    assert!([1, 77].contains(&code), "{code} {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}
