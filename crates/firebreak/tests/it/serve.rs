//! `firebreak serve` as a process: its answers, its end, and what it refuses.

use crate::folder;
use crate::server::{self, Server};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The exit code and the sentence of a start that must fail.
fn refused(data: &Path, address: &str) -> (i32, String) {
    said(server::command(data, address))
}

/// The exit code and the sentence of what must fail.
fn said(mut command: Command) -> (i32, String) {
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
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("photos")).expect("makes");
    std::fs::write(folder.path().join("photos/1.jpg"), "not ours").expect("writes");
    refuses(folder.path(), 66, &folder.path().display().to_string());
}

/// Refused with this code, in one sentence that names `named`; the folder stays as it is.
fn refuses(data: &Path, expected: i32, named: &str) {
    let before = folder::content(data);
    let mut serve = server::command(data, "127.0.0.1:0");
    serve.args(["--log", "off"]);
    let (code, sentence) = said(serve);
    assert_eq!(code, expected, "{sentence}");
    assert!(sentence.contains(named), "{named}: {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    assert!(folder::content(data) == before, "the folder was changed: {sentence}");
}

#[test]
fn a_folder_with_a_missing_or_damaged_file_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    drop(Server::start_anywhere(data));
    let other = data.join("register/records-b");
    let beside = std::fs::read(&other).expect("reads");
    for name in ["roster.toml", "register/records-a", "tls/member.key", "identity.toml"] {
        let file = data.join(name);
        let bytes = std::fs::read(&file).expect("it is there");
        std::fs::remove_file(&file).expect("removes");
        refuses(data, 66, name);
        std::fs::write(&file, vec![b'x'; bytes.len()]).expect("writes");
        if name.starts_with("register") {
            // Both: one alone may be a switch that was not finished.
            std::fs::write(&other, vec![b'x'; bytes.len()]).expect("writes");
        }
        refuses(data, 65, name);
        std::fs::write(&file, bytes).expect("writes");
        std::fs::write(&other, &beside).expect("writes");
    }
    assert_eq!(Server::start_anywhere(data).send("GET", "/fhir/metadata", "").status, 200);
}

/// A token that reads as one.
fn token() -> String {
    format!("fb1.{}.{}", "A".repeat(43), "A".repeat(43))
}

#[test]
fn a_configuration_that_is_not_there_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("none.toml");
    for verb in ["serve", "region", "gateway", "join"] {
        let mut command = server::program();
        command.arg(verb).arg("--config").arg(&file);
        if verb == "join" {
            command.args(["--to", "127.0.0.1:1", "--token", &token()]);
        }
        let (code, sentence) = said(command);
        assert_eq!(code, 78, "{verb}: {sentence}");
        assert!(sentence.contains("none.toml") && sentence.lines().count() == 1, "{sentence}");
    }
}

#[test]
fn a_newcomer_that_nobody_could_reach_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("west.toml");
    for name in ["peer", "serve", "ship"] {
        for other in ["127.0.0.1:0", "127.0.0.1"] {
            let mut text = "name = 'west'\nkind = 'region'\ndata = './west'\n".to_owned();
            for key in ["peer", "serve", "ship"] {
                let told = if key == name { other } else { "127.0.0.1:7401" };
                text.push_str(&format!("{key} = '{told}'\n"));
            }
            std::fs::write(&file, text).expect("writes");
            let mut join = server::program();
            join.current_dir(folder.path()).args(["join", "--config", "west.toml"]);
            join.args(["--to", "127.0.0.1:1", "--token", &token()]);
            let (code, sentence) = said(join);
            assert_eq!(code, 78, "{sentence}");
            assert!(sentence.contains(&format!("'{name}'")), "{sentence}");
            assert!(!folder.path().join("west").exists());
        }
    }
}

#[test]
fn a_write_that_wants_another_region_does_not_wait_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Server::start_anywhere(folder.path());
    let begun = Instant::now();
    let headers = "prefer: durability=replicated\r\nx-forwarded-proto: https\r\n";
    let answer = serve.send_with("POST", "/fhir/Patient", headers, PATIENT);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    assert!(answer.head.contains("x-firebreak-durability: local"), "{answer:?}");
    assert!(answer.body.contains("OperationOutcome") && answer.body.contains("warning"));
    // What a client says of itself is not believed.
    assert!(answer.head.contains("location: http://"), "{answer:?}");
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    // Root may write everywhere, but not below a file of /proc.
    let (code, sentence) = refused(Path::new("/proc/1/firebreak"), "127.0.0.1:0");
    assert!([1, 77].contains(&code), "{code} {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}
