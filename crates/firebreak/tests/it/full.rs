//! A disk without room: no write is taken, everything is read, nothing is thrown away.

use crate::folder::find;
use crate::pages::build_library;
use crate::server::{self, Answer, Server};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A patient with so many identifiers that some dozens fill what the index keeps in memory.
fn patient(number: usize) -> String {
    let mut identifiers = String::new();
    for identifier in 0..2000 {
        let comma = if identifier > 0 { "," } else { "" };
        write!(identifiers, "{comma}{{\"value\":\"v-{number}-{identifier}\"}}").expect("a string");
    }
    format!(r#"{{"resourceType":"Patient","id":"p{number}","identifier":[{identifiers}]}}"#)
}

/// In which room on the disk is looked for more than once.
const SOME_TRIES: Duration = Duration::from_millis(3500);

fn put(server: &Server, number: usize) -> Answer {
    server.send("PUT", &format!("/fhir/Patient/p{number}"), &patient(number))
}

fn found(server: &Server, number: usize) -> bool {
    let path = format!("/fhir/Patient?identifier=v-{number}-1999&_summary=count");
    let answer = server.send("GET", &path, "");
    answer.status == 200 && answer.body.contains("\"total\":1")
}

fn on_a_disk(folder: &Path, address: &str) -> Command {
    let mut command = server::command(&folder.join("data"), address);
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"));
    command
        .env("LD_PRELOAD", build_library(folder, "fulldisk"))
        .env("FULLDISK_ROOT", folder.join("data"))
        .env("FULLDISK_FLAG", folder.join("full"))
        .stderr(log.expect("the log is made"));
    command
}

#[test]
fn a_full_disk_takes_no_write_loses_nothing_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, flag) = (folder.path().join("data"), folder.path().join("full"));
    let address = server::free_address();
    let mut server = Server::start(on_a_disk(folder.path(), &address), &address);
    let mut taken = 0;
    while taken < 3 {
        assert_eq!(put(&server, taken).status, 201);
        taken += 1;
    }

    std::fs::write(&flag, []).expect("the flag is set");
    let refused = loop {
        let answer = put(&server, taken);
        if answer.status != 201 {
            break answer;
        }
        taken += 1;
        assert!(taken < 2000, "nothing is ever refused");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("the disk is full"), "{refused:?}");
    assert!(refused.head.to_lowercase().contains("x-firebreak-applied: no"), "{refused:?}");
    let health = server.send("GET", "/health/primary?account=fhir", "");
    assert!(health.status == 200 && health.body.contains("throttled"), "{health:?}");
    for number in 0..taken {
        assert_eq!(server.send("GET", &format!("/fhir/Patient/p{number}"), "").status, 200);
        assert!(found(&server, number), "patient {number} of {taken}");
    }

    let tables = find(&data, "tables").expect("the index has tables");
    let unfinished = || std::fs::read_dir(&tables).expect("it is listed").count();
    std::thread::sleep(SOME_TRIES);
    let before = unfinished();
    std::thread::sleep(SOME_TRIES);
    assert!(unfinished() <= before + 1, "tries that failed leave files: {before} before");

    std::fs::remove_file(&flag).expect("there is room again");
    let start = Instant::now();
    while put(&server, taken).status != 201 {
        assert!(start.elapsed() < server::PATIENCE, "writes are not taken again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((0..=taken).all(|number| found(&server, number)));
    assert_eq!(find(&data, "index.damaged"), None);
    let log = std::fs::read_to_string(folder.path().join("log")).expect("it logs");
    assert_eq!(log.matches("the disk is full").count(), 1, "{log}");

    // Without room a region cannot promise anything: it says so, and does not start.
    server.kill();
    std::fs::write(&flag, []).expect("the flag is set");
    let mut child = on_a_disk(folder.path(), &address).spawn().expect("the program starts");
    assert_eq!(server::code(&mut child), 74);
}

#[test]
fn room_for_a_part_of_the_next_segment_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let address = server::free_address();
    assert_eq!(Server::start(server::command(&data, &address), &address).stop(), 0);
    let log = find(&data, "log").expect("there is a log");
    // It may not have been made ahead yet.
    let _ = std::fs::remove_file(log.join("next"));
    std::fs::write(folder.path().join("full"), []).expect("the flag is set");
    let mut command = on_a_disk(folder.path(), &address);
    command.env("FULLDISK_ABOVE", (8 << 20).to_string());
    let server = Server::start(command, &address);
    let start = Instant::now();
    while put(&server, 0).status != 503 {
        assert!(start.elapsed() < server::PATIENCE, "writes are taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    let start = Instant::now();
    while start.elapsed() < 3 * SOME_TRIES {
        assert_eq!(put(&server, 0).status, 503, "after {:?}", start.elapsed());
        assert_eq!(server.send("GET", "/fhir/Patient", "").status, 200);
        std::thread::sleep(Duration::from_millis(20));
    }
}
