//! The demo as a new user runs it: four real processes, a region killed under load.

use crate::server;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the whole demo may take: its own promise is 120 s; a debug build on a busy machine is
/// given twice that.
const DEMO: Duration = Duration::from_secs(240);

/// The command, with a folder for its temporary files and a base port of the test's own.
fn demo(folder: &Path, port: u16) -> Command {
    let mut command = server::program();
    command
        .args(["demo", "--port", &port.to_string()])
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Processes whose command line names the folder.
fn left_behind(folder: &Path) -> Vec<u32> {
    let needle = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").expect("Linux has it");
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| {
            let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&needle)
        })
        .collect()
}

/// Kills what is left when the test ends, however it ends.
struct Sweep<'a>(&'a Path);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        for process in left_behind(self.0) {
            Command::new("kill").args(["-9", &process.to_string()]).status().ok();
        }
    }
}

/// Reads what it says until it says `words`; the rest is for [`finish`].
fn until(child: &mut Child, words: &str) -> BufReader<ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    // The demo bounds each of its steps: it says this, or ends.
    while !said.contains(words) {
        let read = stderr.read_line(&mut said).expect("text");
        assert!(read > 0, "it ended before it said '{words}': {said}");
    }
    stderr
}

/// Waits for the end; everything it said on standard error.
fn finish(mut child: Child) -> (bool, String) {
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    ended(child, stderr)
}

/// The same, from a place in what it says.
fn ended(mut child: Child, stderr: BufReader<ChildStderr>) -> (bool, String) {
    let talk = std::thread::spawn(move || {
        let mut text = String::new();
        for line in stderr.lines().map_while(Result::ok) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if start.elapsed() > DEMO {
            child.kill().ok();
            panic!("the demo did not end within {DEMO:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    (status.success(), talk.join().expect("the reader ends"))
}

#[test]
fn a_region_is_lost_and_every_acknowledged_write_is_accounted_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let sweep = Sweep(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (report, history, quarantine) = (file("r.json"), file("h.ndjson"), file("q.ndjson"));
    let mut command = demo(folder.path(), 23_100);
    command.args(["--link-delay-ms", "200", "--keep", "--report", &report]);
    command.args(["--history", &history, "--quarantine", &quarantine]);
    let (succeeded, said) = finish(command.spawn().expect("the program starts"));
    assert!(succeeded, "{said}");

    let text = std::fs::read_to_string(&report).expect("written");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["ok"], true, "{said}");
    assert_eq!(told["unaccounted_writes"], 0);
    assert!(told["lost_writes"].as_u64() > Some(0), "the delayed link cuts a tail: {said}");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/recount.py");
    let recount = Command::new("python3")
        .arg(script)
        .args(["--history", &history, "--report", &report, "--quarantine", &quarantine])
        .args(["--url", "http://127.0.0.1:23100/fhir"])
        .output()
        .expect("python3 is there");
    assert!(recount.status.success(), "{}", String::from_utf8_lossy(&recount.stdout));
    drop(sweep);
}

#[test]
fn interrupted_it_leaves_no_process_and_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let _sweep = Sweep(folder.path());
    let child = demo(folder.path(), 23_140).spawn().expect("the program starts");
    let start = Instant::now();
    while left_behind(folder.path()).len() < 4 {
        assert!(start.elapsed() < DEMO, "four processes never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().expect("kill runs").success());
    let (succeeded, said) = finish(child);
    assert!(!succeeded && said.contains("interrupted"), "{said}");
    assert_eq!(left_behind(folder.path()), Vec::<u32>::new());
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
}

#[test]
fn interrupted_under_load_it_keeps_what_clients_wrote_down_and_claims_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = tempfile::tempdir().expect("another");
    let _sweep = Sweep(folder.path());
    let file = |name: &str| files.path().join(name).display().to_string();
    let (report, history) = (file("r.json"), file("h.ndjson"));
    let mut command = demo(folder.path(), 23_160);
    command.args(["--report", &report, "--history", &history, "--kill-after-ms", "0"]);
    // As a terminal does it: the whole group is interrupted, the members with it.
    let mut child = command.process_group(0).spawn().expect("the program starts");
    let stderr = until(&mut child, "killed with SIGKILL");
    let group = format!("-{}", child.id());
    let kill = Command::new("kill").args(["-INT", "--", &group]).status();
    assert!(kill.expect("kill runs").success());
    let (succeeded, said) = ended(child, stderr);
    assert!(!succeeded, "{said}");

    let text = std::fs::read_to_string(&history).expect("written");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let acknowledged: HashSet<String> = records
        .filter(|record: &Value| record["method"] != "GET")
        .filter(|record| matches!(record["status"].as_u64(), Some(200..300)))
        .map(|record| record["idempotency_key"].to_string())
        .collect();
    assert!(!acknowledged.is_empty(), "clients had written");
    let text = std::fs::read_to_string(&report).expect("written");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["ok"], false);
    assert_eq!(told["acked_writes"], acknowledged.len());
    for unmeasured in ["lost_writes", "quarantined_writes", "unaccounted_writes", "rpo_ms"] {
        assert_eq!(told.get(unmeasured), Some(&Value::Null), "{unmeasured}: {told}");
    }
    assert_eq!(told.get("failback"), Some(&Value::Null), "{told}");
    assert_eq!(left_behind(folder.path()), Vec::<u32>::new());
}

#[test]
fn a_taken_port_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:23187").expect("a free port");
    let (succeeded, said) = finish(demo(folder.path(), 23_180).spawn().expect("starts"));
    assert!(!succeeded && said.contains("port 23187 is taken"), "{said}");
    drop(taken);
}
