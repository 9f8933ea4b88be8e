//! A release build of `firebreak serve` on a folder and a port of its own.

use anyhow::{Context, bail};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The running server; killed when dropped.
pub struct Server {
    child: Child,
    address: String,
}

/// How long a server may take until its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(600);

impl Server {
    /// Starts it on `data` and waits for its first answer.
    pub fn start(data: &Path) -> anyhow::Result<(Self, Duration)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let program = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
        let start = Instant::now();
        let child = Command::new(format!("{program}/release/firebreak"))
            .args(["serve", "--listen", &address, "--data"])
            .arg(data)
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start firebreak")?;
        let mut server = Self { child, address };
        while !server.answers() {
            if let Some(status) = server.child.try_wait()? {
                bail!("firebreak ended: {status}");
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("no answer within {START_TIMEOUT:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok((server, start.elapsed()))
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The FHIR base.
    pub fn url(&self) -> String {
        format!("http://{}/fhir", self.address)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(&self.address) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok();
        let request = "GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
