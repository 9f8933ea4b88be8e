//! Four processes of this very program on loopback: two regions, a witness, a gateway, each with a
//! folder, a configuration and certificates of its own, made as an operator would make them.

use super::talk::Talk;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ports that the demo may use, from its base.
pub const PORTS: u16 = 20;
/// Lease timing of the demo.
pub const TIMING: &str = "fast";
/// How long a process may take to be ready, or a command to be done.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where everything listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Ports from `base`.
    pub fn new(base: u16) -> anyhow::Result<Self> {
        if base.checked_add(PORTS - 1).is_none() || base == 0 {
            bail!("port {base} leaves no room for {PORTS} ports");
        }
        Ok(Self { base })
    }

    /// Fails by name when one of them is taken.
    pub fn check_free(self) -> anyhow::Result<()> {
        for port in self.base..self.base + PORTS {
            TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("port {port} is taken: choose others with --port"))?;
        }
        Ok(())
    }

    /// The public address.
    pub fn gateway(self) -> SocketAddr {
        self.at(0)
    }
    /// Where east ships its log to: a link of the demo's own when it delays.
    pub fn west_link(self) -> SocketAddr {
        self.at(9)
    }
    /// Where west listens for east's log.
    pub fn west_ship(self) -> SocketAddr {
        self.at(7)
    }

    fn at(self, offset: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.base + offset))
    }
}

/// A process of the demo's: killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Fails when the process has ended by itself.
    pub fn check(&mut self, name: &str) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{name} ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// Lets it run on after the demo.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The demo's folder and what is in it.
pub struct Members {
    folder: PathBuf,
    ports: Ports,
    delay_ms: u64,
}

impl Members {
    /// In `folder`, which exists; a `delay_ms` other than 0 puts a link before west.
    pub const fn new(folder: PathBuf, ports: Ports, delay_ms: u64) -> Self {
        Self { folder, ports, delay_ms }
    }

    /// Starts the link before west, if there is to be one. Its death cuts what is in flight.
    pub fn start_link(&self) -> anyhow::Result<Option<Process>> {
        if self.delay_ms == 0 {
            return Ok(None);
        }
        let (listen, to) = (self.ports.west_link().to_string(), self.ports.west_ship().to_string());
        let delay = self.delay_ms.to_string();
        let link = ["demo-link", "--listen", &listen, "--to", &to, "--delay-ms", &delay];
        let child = self
            .program(&link)?
            // Named like the others, so that one command stops all.
            .arg0(self.folder.join("demo-link"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the delayed link")?;
        Ok(Some(Process { child }))
    }

    /// The FHIR base that clients know.
    pub fn url(&self) -> String {
        format!("http://{}/fhir", self.ports.gateway())
    }

    /// Where a member's diary goes.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// A member's configuration file.
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    /// Makes the cluster with its first region, which starts at once.
    pub fn init(&self) -> anyhow::Result<Process> {
        let (peer, serve, ship) = (self.ports.at(1), self.ports.at(2), self.ports.at(6));
        let keys = format!("peer = \"{peer}\"\nserve = \"{serve}\"\nship = \"{ship}\"\n");
        self.configure("east", "region", &keys)?;
        self.command(&["init", "--config", &self.config("east")])?;
        self.start("east", "region")
    }

    /// Lets the others join, each with a token of its own, and starts them.
    pub fn join_others(&self) -> anyhow::Result<[Process; 3]> {
        let (peer, serve, ship) = (self.ports.at(3), self.ports.at(4), self.ports.west_ship());
        let reached = if self.delay_ms > 0 { self.ports.west_link() } else { ship };
        let west = format!(
            "peer = \"{peer}\"\nserve = \"{serve}\"\nship = \"{ship}\"\n\
             [advertise]\nship = \"{reached}\"\n"
        );
        let witness = format!("peer = \"{}\"\n", self.ports.at(5));
        let gateway = format!("listen = \"{}\"\n", self.ports.gateway());
        Ok([
            self.join("west", "region", &west)?,
            self.join("witness", "witness", &witness)?,
            self.join("gateway", "gateway", &gateway)?,
        ])
    }

    fn join(&self, name: &str, kind: &str, keys: &str) -> anyhow::Result<Process> {
        self.configure(name, kind, keys)?;
        let invite = ["invite", "--config", &self.config("east"), "--name", name, "--kind", kind];
        let token = self.command(&invite)?;
        let to = self.ports.at(1).to_string();
        let join = ["join", "--config", &self.config(name), "--to", &to, "--token", token.trim()];
        self.command(&join)?;
        self.start(name, kind)
    }

    fn configure(&self, name: &str, kind: &str, keys: &str) -> anyhow::Result<()> {
        let data = self.folder.join(name);
        let text = format!(
            "name = \"{name}\"\nkind = \"{kind}\"\ndata = {:?}\ntiming = \"{TIMING}\"\n{keys}",
            data.display().to_string()
        );
        std::fs::write(self.config_file(name), text)?;
        Ok(())
    }

    fn config(&self, name: &str) -> String {
        self.config_file(name).display().to_string()
    }

    /// Starts a member's process; its diary is appended to its log file.
    pub fn start(&self, name: &str, kind: &str) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(self.log_file(name))?;
        let child = self
            .program(&[kind, "--config", &self.config(name)])?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process { child })
    }

    fn program(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).current_dir(&self.folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FIREBREAK_") {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Runs a verb to its end and gives its standard output.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let out = self.program(arguments)?.stdin(Stdio::null()).output()?;
        if !out.status.success() {
            let words = String::from_utf8_lossy(&out.stderr);
            bail!("firebreak {}: {}", arguments[0], words.trim());
        }
        Ok(String::from_utf8(out.stdout)?)
    }

    /// The same, again until it succeeds: a member that has just started may not answer yet.
    pub fn insist(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let start = Instant::now();
        loop {
            match self.command(arguments) {
                Err(_) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                done => return done,
            }
        }
    }

    /// What each region says of the account, by region name; silent regions are left out.
    pub fn status(&self) -> anyhow::Result<Vec<(String, Value)>> {
        let text = self.command(&["dr", "status", "--json", "--operator", &self.operator()])?;
        let answer: Value = serde_json::from_str(&text)?;
        let regions = answer["regions"].as_array().context("status names no regions")?;
        Ok(regions
            .iter()
            .filter_map(|region| {
                let account = region["status"]["accounts"].get(0)?;
                Some((region["region"].as_str()?.to_owned(), account.clone()))
            })
            .collect())
    }

    /// The folder of the operator's credentials.
    pub fn operator(&self) -> String {
        self.folder.join("east").join("operator").display().to_string()
    }

    /// The demo's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Follows a member's diary: new sentences become events.
pub struct Diary {
    name: &'static str,
    file: PathBuf,
    read: u64,
}

impl Diary {
    /// From the beginning of its log file.
    pub fn new(members: &Members, name: &'static str) -> Self {
        Self { name, file: members.log_file(name), read: 0 }
    }

    /// Says what is new.
    pub fn follow(&mut self, talk: &Talk) -> anyhow::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = match File::open(&self.file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        for line in text[..whole].lines() {
            if let Some((_, sentence)) = line.split_once("control::driver: ") {
                let sentence = sentence.rsplit_once(" account=").map_or(sentence, |(s, _)| s);
                talk.event(self.name, sentence);
            }
        }
        Ok(())
    }
}
