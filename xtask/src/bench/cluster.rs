//! A cluster on loopback, made with the verbs an operator has: each member a process with a
//! folder, a configuration and certificates of its own, default timing.

use super::server::{ask, free_address, processor_time};
use anyhow::{Context, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the cluster may take to be ready, or to have a secondary in sync.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running cluster; its processes are killed when it is dropped.
pub struct Cluster<'a> {
    program: &'a Path,
    folder: &'a Path,
    /// Where newcomers ask to join.
    first: String,
    /// East's health, without TLS.
    health: String,
    gateway: String,
    members: Vec<Child>,
}

impl<'a> Cluster<'a> {
    /// One region and a gateway, in an empty folder.
    pub fn alone(program: &'a Path, folder: &'a Path) -> anyhow::Result<Self> {
        let (first, health, gateway) = (free_address()?, free_address()?, free_address()?);
        let members = Vec::new();
        let mut cluster = Self { program, folder, first, health, gateway, members };
        let (peer, health) = (cluster.first.clone(), cluster.health.clone());
        let keys = format!("peer = \"{peer}\"\nlisten = \"{health}\"\n{}", region_keys()?);
        let config = cluster.configure("east", "region", &keys)?;
        cluster.verb(&["init", "--config", &config])?;
        cluster.start("east", "region", &config)?;
        let keys = format!("listen = \"{}\"\n", cluster.gateway);
        cluster.join("gateway", "gateway", &keys)?;
        cluster.wait("the account is not served", |cluster| {
            Ok(ask(&cluster.gateway, "/fhir/metadata")
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200")))
        })?;
        Ok(cluster)
    }

    /// Two regions in sync, a witness and a gateway, in an empty folder.
    pub fn pair(program: &'a Path, folder: &'a Path) -> anyhow::Result<Self> {
        let mut cluster = Self::alone(program, folder)?;
        cluster.join("witness", "witness", &format!("peer = \"{}\"\n", free_address()?))?;
        let keys = format!("peer = \"{}\"\n{}", free_address()?, region_keys()?);
        cluster.join("west", "region", &keys)?;
        let operator = folder.join("east/operator").display().to_string();
        cluster.wait("the secondary is not in sync", |cluster| {
            let told = cluster.verb(&["dr", "status", "--json", "--operator", &operator])?;
            Ok(told.contains("\"secondary_state\":\"in-sync\""))
        })?;
        Ok(cluster)
    }

    /// Where clients ask.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Where east tells what it is for the account.
    pub fn health(&self) -> &str {
        &self.health
    }

    /// Processor time that all members have had.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        self.members.iter().map(|member| processor_time(member.id())).sum()
    }

    fn join(&mut self, name: &str, kind: &str, keys: &str) -> anyhow::Result<()> {
        let config = self.configure(name, kind, keys)?;
        let inviter = self.config("east").display().to_string();
        let token = self.verb(&["invite", "--config", &inviter, "--name", name, "--kind", kind])?;
        let first = self.first.clone();
        let join = ["join", "--config", &config, "--to", &first, "--token", token.trim()];
        // East may not listen yet.
        self.wait("nobody answers who wants to join", |cluster| Ok(cluster.verb(&join).is_ok()))?;
        self.start(name, kind, &config)
    }

    fn config(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    fn configure(&self, name: &str, kind: &str, keys: &str) -> anyhow::Result<String> {
        let data = self.folder.join(name).display().to_string();
        let text = format!("name = \"{name}\"\nkind = \"{kind}\"\ndata = {data:?}\n{keys}");
        std::fs::write(self.config(name), text)?;
        Ok(self.config(name).display().to_string())
    }

    fn start(&mut self, name: &str, kind: &str, config: &str) -> anyhow::Result<()> {
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let child = Command::new(self.program)
            .args([kind, "--config", config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.members.push(child);
        Ok(())
    }

    /// Runs a verb to its end and gives its standard output.
    fn verb(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let out = Command::new(self.program).args(arguments).stdin(Stdio::null()).output()?;
        if !out.status.success() {
            bail!("firebreak {}: {}", arguments[0], String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8(out.stdout)?)
    }

    fn wait(
        &self,
        missing: &str,
        reached: impl Fn(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !reached(self)? {
            if start.elapsed() > PATIENCE {
                bail!("{missing} after {PATIENCE:?}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill().ok();
            member.wait().ok();
        }
    }
}

/// What every region of this cluster needs beside `peer`.
fn region_keys() -> std::io::Result<String> {
    Ok(format!("serve = \"{}\"\nship = \"{}\"\n", free_address()?, free_address()?))
}
