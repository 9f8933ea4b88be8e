//! Demos again and again, each recounted by the script that shares no code with the servers.

use crate::shell;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// How many, and how many of them with a delayed link.
#[derive(clap::Args)]
pub struct Arguments {
    /// Demos in all.
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// Of these, the first so many delay the shipping link, so that the kill cuts a tail.
    #[arg(long, default_value_t = 4)]
    delayed: u32,
    /// By how much.
    #[arg(long, default_value_t = 200)]
    link_delay_ms: u32,
    /// First of the 20 ports on 127.0.0.1.
    #[arg(long, default_value_t = 18_080)]
    port: u16,
}

/// What each demo must show: the report's `ok`, nothing unaccounted for, and a recount that agrees.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = shell::release_binary()?;
    let mut with_loss = 0;
    let mut lines = Vec::new();
    for run in 1..=arguments.runs {
        let delay = if run <= arguments.delayed { arguments.link_delay_ms } else { 0 };
        let folder = tempfile::tempdir()?;
        let sweep = Sweep(folder.path());
        let report = demo(&binary, folder.path(), arguments.port, delay)
            .with_context(|| format!("demo {run} of {}", arguments.runs))?;
        drop(sweep);
        let number = |key: &str| report[key].as_u64().with_context(|| format!("no {key}"));
        with_loss += u32::from(number("lost_writes")? > 0);
        let line = format!(
            "demo {run:2}: link +{delay} ms, RTO {} ms, RPO {} ms, {} acknowledged, {} lost, {} in \
             quarantine, {} unaccounted, failback pause {} ms with {} failed, return {} bytes of \
             {} missing",
            number("rto_ms")?,
            number("rpo_ms")?,
            number("acked_writes")?,
            number("lost_writes")?,
            number("quarantined_writes")?,
            number("unaccounted_writes")?,
            report["failback"]["pause_ms_max"],
            report["failback"]["failed_requests"],
            report["rejoin"]["bytes"],
            report["rejoin"]["delta_bytes"],
        );
        shell::talk(&line);
        lines.push(line);
    }
    shell::talk("");
    for line in &lines {
        shell::talk(line);
    }
    shell::talk(&format!("{} demos held, {with_loss} of them with losses", arguments.runs));
    let wanted = arguments.delayed.saturating_sub(1).min(3);
    ensure!(with_loss >= wanted, "only {with_loss} demos lost writes: no tail was cut");
    Ok(())
}

fn demo(binary: &Path, folder: &Path, port: u16, delay: u32) -> anyhow::Result<Value> {
    let file = |name: &str| folder.join(name).display().to_string();
    let (report, history, quarantine) = (file("r.json"), file("h.ndjson"), file("q.ndjson"));
    let status = Command::new(binary)
        .args(["demo", "--keep", "--port", &port.to_string()])
        .args(["--link-delay-ms", &delay.to_string()])
        .args(["--report", &report, "--history", &history, "--quarantine", &quarantine])
        .env("TMPDIR", folder)
        .status()?;
    ensure!(status.success(), "the demo ended with {status}");
    let url = format!("http://127.0.0.1:{port}/fhir");
    let files = ["--history", &history, "--report", &report, "--quarantine", &quarantine];
    let recount = Command::new("python3")
        .arg("tools/recount.py")
        .args(files)
        .args(["--url", &url])
        .output()
        .context("python3 is missing: run 'cargo xtask setup --yes'")?;
    let said = String::from_utf8_lossy(&recount.stdout);
    ensure!(recount.status.success(), "the recount differs: {said}");
    let told: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    ensure!(told["ok"] == true, "the report says that it did not hold: {told}");
    ensure!(told["unaccounted_writes"] == 0, "writes are unaccounted for: {told}");
    Ok(told)
}

/// Kills the processes whose command line names the folder, when it goes out of scope.
struct Sweep<'a>(&'a Path);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        let needle = self.0.display().to_string();
        let own = std::process::id();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // One that ended meanwhile has no command line any more.
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if process != own && String::from_utf8_lossy(&line).contains(&needle) {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
            }
        }
    }
}
