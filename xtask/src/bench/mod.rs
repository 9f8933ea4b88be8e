//! `cargo xtask bench`: figures, each beside what the machine can do in the same run.
//!
//! Never a test: nothing here passes or fails. Build it in release: the command says so otherwise.

mod cluster;
mod gateway;
mod http;
mod lag;
mod limits;
mod log;
mod server;
mod start;

pub use server::Server;

use crate::shell;
use anyhow::bail;
use std::path::PathBuf;
use std::time::Duration;

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of Synthea bundles for the loading figures.
    #[arg(long, default_value = "data/synthea")]
    data: PathBuf,
    /// Seconds for each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only these parts, separated by commas (default: all).
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Resources in the store for the figures of start.
    #[arg(long, default_value_t = 600_000)]
    resources: u64,
    /// Measure this program instead of building one: to compare two of them.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// What the machine can do without us: fdatasync, bare log, bare axum.
    Limits,
    /// Creates over 64 connections.
    Create,
    /// Reads by id over 64 connections.
    Read,
    /// Synthea's bundles by one client and by four.
    Load,
    /// Two regions and a witness: how far the secondary is behind.
    Lag,
    /// The way through a gateway beside the direct one.
    Gateway,
    /// A start after a kill at the full rate.
    Open,
    /// A start without an index.
    Rebuild,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// One line of the table.
pub struct Figure {
    name: String,
    value: String,
}

/// The table, printed as it grows.
#[derive(Default)]
pub struct Table {
    figures: Vec<Figure>,
}

impl Table {
    /// Adds a figure and prints it.
    #[expect(clippy::print_stdout, reason = "the figures are data")]
    pub fn add(&mut self, name: &str, value: String) {
        println!("{name:44} {value}");
        self.figures.push(Figure { name: name.to_owned(), value });
    }
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        bail!("figures of a debug build mean nothing: cargo run --release -p xtask -- bench");
    }
    let program = match &arguments.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => shell::release_binary()?,
    };
    let mut table = Table::default();
    table.add("load of the machine before", load()?);
    let mut bare = limits::Bare::default();
    if arguments.wants(Part::Limits) {
        bare = limits::measure(arguments.seconds, &mut table)?;
    }
    if arguments.wants(Part::Create) || arguments.wants(Part::Read) {
        http::measure(arguments, &program, &bare, &mut table)?;
    }
    if arguments.wants(Part::Load) {
        http::measure_load(&arguments.data, &program, &mut table)?;
    }
    if arguments.wants(Part::Lag) {
        lag::measure(arguments, &program, &mut table)?;
    }
    if arguments.wants(Part::Gateway) {
        gateway::measure(arguments, &program, &mut table)?;
    }
    if arguments.wants(Part::Open) || arguments.wants(Part::Rebuild) {
        start::measure(arguments, &program, &mut table)?;
    }
    table.add("load of the machine after", load()?);
    let longest = table.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    shell::talk(&format!("{} figures", table.figures.len()));
    for figure in &table.figures {
        shell::talk(&format!("{:longest$}  {}", figure.name, figure.value));
    }
    Ok(())
}

/// How many processes wanted a core in the last minute: figures of a busy machine are low.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{} on {cores} cores", text.split(' ').next().unwrap_or_default()))
}
