//! `firebreak demo`: loses a region and goes on, on real input, and accounts for every write.

mod data;
mod ending;
mod measure;
mod members;
mod report;
mod story;
mod talk;

use std::path::PathBuf;

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
    /// Write what was measured to this file, as JSON.
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

/// Runs the demo; fails unless all that is promised held.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    story::tell(arguments)
}
