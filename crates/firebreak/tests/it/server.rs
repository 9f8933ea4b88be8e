//! A `firebreak serve` process of the test's own.

use std::io::{Read, Write};
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

/// A process that is killed when it goes out of scope.
pub struct Server {
    pub child: Child,
    pub address: String,
}

impl Server {
    /// Starts `command`, which listens at `address`, and waits until it is ready.
    pub fn start(mut command: Command, address: &str) -> Self {
        let child = command.spawn().expect("the program starts");
        let mut server = Self { child, address: address.to_owned() };
        let start = Instant::now();
        while server.try_get("/health/ready").is_none_or(|(status, _)| status != 200) {
            let ended = server.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "firebreak ended early: {ended:?}");
            assert!(start.elapsed() < PATIENCE, "not ready within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// SIGKILL, to the end.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Status and body, or `None` when no whole answer comes.
    pub fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        exchange(&self.address, &request)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends bytes on a connection of their own; status and body of the answer.
pub fn exchange(address: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
