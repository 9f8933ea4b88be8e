//! `firebreak demo`: loses a region and goes on, on real input, and accounts for every write.

mod data;
mod ending;
mod measure;
mod members;
mod report;
mod story;
mod talk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `firebreak demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// First of the 20 ports on 127.0.0.1 that the demo uses.
    #[arg(long, default_value_t = 18_080)]
    port: u16,
    /// Clients that write and read through the one URL all the while.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(8..=256))]
    clients: u16,
    /// Delay the link from east to west by so much, so that the kill cuts a tail.
    #[arg(long, default_value_t = 0)]
    link_delay_ms: u64,
    /// Kill east this long after both regions agree (default: at random within 3 s).
    #[arg(long)]
    kill_after_ms: Option<u64>,
    /// Write what was measured to this file, as JSON; null was not measured.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write every request and answer to this file, as NDJSON.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Write what is in quarantine to this file, as NDJSON.
    #[arg(long)]
    quarantine: Option<PathBuf>,
    /// Leave everything running at the end, and print the URLs.
    #[arg(long)]
    keep: bool,
}

/// `firebreak demo-link`.
#[derive(clap::Args)]
pub struct LinkArguments {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Where it leads.
    #[arg(long)]
    to: SocketAddr,
    /// How late each byte arrives.
    #[arg(long)]
    delay_ms: u64,
}

/// Passes bytes on until it is killed.
pub fn link(arguments: &LinkArguments) -> anyhow::Result<()> {
    let delay = Duration::from_millis(arguments.delay_ms);
    crate::process::runtime()?.block_on(async {
        let link = workload::DelayedLink::start(arguments.listen, arguments.to, delay).await?;
        crate::process::stopped().await;
        drop(link);
        Ok(())
    })
}

/// Runs the demo; fails unless all that is promised held.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    story::tell(arguments)
}
