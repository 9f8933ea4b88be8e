//! A `firebreak serve` process of the test's own.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that should be quick.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program, without what the environment says to it: the tests' own variables are no keys.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firebreak"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FIREBREAK_") {
            command.env_remove(name);
        }
    }
    command
}

/// The command, before it starts.
pub fn command(data: &Path, address: &str) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", address, "--data"]).arg(data).stdout(Stdio::null());
    command
}

/// A free address on loopback.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("bound").to_string()
}

/// The exit code of a process that ends by itself.
pub fn code(child: &mut Child) -> i32 {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status.code().unwrap_or(-1);
        }
        assert!(start.elapsed() < PATIENCE, "the process does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process that is killed when it goes out of scope.
pub struct Server {
    pub child: Child,
    pub address: String,
}

/// What it says to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Server {
    /// Starts `command`, which listens at `address`, and waits until it is ready.
    pub fn start(mut command: Command, address: &str) -> Self {
        let child = command.spawn().expect("the program starts");
        let mut server = Self { child, address: address.to_owned() };
        let start = Instant::now();
        while server.try_get("/health/ready").is_none_or(|answer| answer.status != 200) {
            let ended = server.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "firebreak ended early: {ended:?}");
            assert!(start.elapsed() < PATIENCE, "not ready within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Starts it on a port of its own choice, and asks nothing: it says itself where it serves.
    pub fn start_anywhere(data: &Path) -> Self {
        let mut command = command(data, "127.0.0.1:0");
        let child = command.arg("--json").stdout(Stdio::piped()).spawn();
        let mut server = Self { child: child.expect("the program starts"), address: String::new() };
        let mut line = String::new();
        let stdout = server.child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says what it serves");
        let said: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        let url = said["url"].as_str().expect("a URL");
        let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/fhir"));
        address.expect("the account is fhir").clone_into(&mut server.address);
        server
    }

    /// SIGKILL, to the end.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// SIGTERM, to the end; the exit code.
    pub fn stop(mut self) -> i32 {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(process.expect("a process id"), Signal::TERM).expect("it runs");
        code(&mut self.child)
    }

    /// `None` when no whole answer comes.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_send("GET", path, "", "")
    }

    /// The answer to a request that must be answered.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, "", body)
    }

    /// The same, with more headers, each a line with its end.
    pub fn send_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.try_send(method, path, headers, body).expect("it answers")
    }

    fn try_send(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\
             Content-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
