//! `firebreak serve` as a process: its answers, its end, and what it refuses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
const BOUND: Duration = Duration::from_secs(30);

/// A running `serve`, killed when dropped.
struct Serve {
    child: Child,
    address: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = crate::server::program();
    command.arg("serve").arg("--data").arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Serve {
    fn start(data: &Path) -> Self {
        let mut child = command(data)
            .args(["--listen", "127.0.0.1:0", "--json"])
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says what it serves");
        let said: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        let url = said["url"].as_str().expect("a URL");
        let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/fhir"));
        let address = address.expect("the account is fhir").to_owned();
        Self { child, address }
    }

    /// Status, headers and body.
    fn send(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket has timeouts");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, head.to_owned(), body.to_owned())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id fits");
        let id = rustix::process::Pid::from_raw(id).expect("a process id is not zero");
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    fn wait(&mut self) -> i32 {
        code(&mut self.child)
    }
}

/// The exit code, within the bound.
fn code(child: &mut Child) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status.code().unwrap_or(-1);
        }
        assert!(begun.elapsed() < BOUND, "the process does not end");
        std::thread::yield_now();
    }
}

/// The exit code and the sentence of a start that must fail.
fn refused(mut command: Command) -> (i32, String) {
    let mut child = command.spawn().expect("the binary starts");
    let code = code(&mut child);
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
        let mut serve = Serve::start(&data);
        assert_eq!(serve.send("GET", "/fhir/metadata", "").0, 200);
        assert!(begun.elapsed() < Duration::from_secs(10), "the first answer took too long");
        for (id, body) in &ids {
            let (status, _, read) = serve.send("GET", &format!("/fhir/Patient/{id}"), "");
            assert_eq!((status, &read), (200, body));
        }
        for _ in 0..10 {
            let (status, head, body) = serve.send("POST", "/fhir/Patient", PATIENT);
            assert_eq!(status, 201, "{head}");
            assert!(head.contains("x-firebreak-durability: local"), "{head}");
            let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            ids.push((json["id"].as_str().expect("an id").to_owned(), body));
        }
        let (_, _, count) = serve.send("GET", "/fhir/Patient?family=example&_summary=count", "");
        assert!(count.contains(&format!("\"total\":{}", (round + 1) * 10)), "{count}");
        serve.child.kill().expect("it runs");
        serve.wait();
    }
}

#[test]
fn sigterm_ends_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(folder.path());
    assert_eq!(serve.send("POST", "/fhir/Patient", PATIENT).0, 201);
    let begun = Instant::now();
    serve.signal(rustix::process::Signal::TERM);
    assert_eq!(serve.wait(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "draining took {:?}", begun.elapsed());
}

#[test]
fn it_starts_again_after_the_operators_credentials_were_taken_away() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Serve::start(folder.path()));
    let taken = folder.path().join("elsewhere");
    std::fs::rename(folder.path().join("operator"), taken).expect("the folder is there");
    assert_eq!(Serve::start(folder.path()).send("GET", "/fhir/metadata", "").0, 200);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Serve::start(folder.path());
    let mut second = command(folder.path());
    second.args(["--listen", "127.0.0.1:0"]);
    let (code, sentence) = refused(second);
    assert_eq!(code, 73, "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}

#[test]
fn a_taken_port_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let mut serve = command(folder.path());
    serve.args(["--listen", &address]);
    let (code, sentence) = refused(serve);
    assert_eq!(code, 71, "{sentence}");
    assert!(sentence.contains(&address), "{sentence}");
}

#[test]
fn an_open_address_is_refused_unless_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = command(folder.path());
    serve.args(["--listen", "0.0.0.0:0"]);
    let (code, sentence) = refused(serve);
    assert_eq!(code, 78, "{sentence}");
    assert!(sentence.contains("--insecure"), "{sentence}");
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Serve::start(folder.path()));
    let file = folder.path().join("identity.toml");
    let text = std::fs::read_to_string(&file).expect("the folder says whose it is");
    std::fs::write(&file, text.replace("format = 1", "format = 99")).expect("writes");
    let mut serve = command(folder.path());
    serve.args(["--listen", "127.0.0.1:0"]);
    let (code, sentence) = refused(serve);
    assert_eq!(code, 65, "{sentence}");
    assert!(sentence.contains("99"), "{sentence}");
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    // Root may write everywhere, but not below a file of /proc.
    let mut serve = command(Path::new("/proc/1/firebreak"));
    serve.args(["--listen", "127.0.0.1:0"]);
    let (code, sentence) = refused(serve);
    assert!([1, 77].contains(&code), "{code} {sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}
