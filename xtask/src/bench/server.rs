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

/// Ticks of `/proc` in a second: `USER_HZ`, the same on every Linux.
const TICKS: f64 = 100.0;

/// Processor time that a process has had.
pub fn processor_time(id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = ticks(12).zip(ticks(13)).context("/proc/PID/stat has another form")?;
    Ok(Duration::from_secs_f64((user + system) / TICKS))
}

/// A port of loopback that nobody has at this moment.
pub fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The whole answer to a `GET` on a connection of its own; `None` when there is none.
pub fn ask(address: &str, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// How long a server may take until its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(600);

impl Server {
    /// Starts `program` on `data` and waits for its first answer.
    pub fn start(program: &Path, data: &Path) -> anyhow::Result<(Self, Duration)> {
        let address = free_address()?;
        let start = Instant::now();
        let child = Command::new(program)
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

    /// Processor time that it has had.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time(self.child.id())
    }

    fn answers(&self) -> bool {
        let answer = ask(&self.address, "/health/ready");
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
