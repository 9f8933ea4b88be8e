//! `cargo xtask bench`: figures, each beside what the machine can do in the same run.
//!
//! Never a test: nothing here passes or fails. Build it in release: the command says so otherwise.

mod http;
mod limits;
mod log;
mod server;
mod start;

pub use server::Server;

use crate::shell;
use anyhow::bail;
use std::path::PathBuf;

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of Synthea bundles for the loading figures.
    #[arg(long, default_value = "data/synthea")]
    data: PathBuf,
    /// Seconds for each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only these parts: limits, create, read, load, open (default: all).
    #[arg(long)]
    only: Vec<String>,
    /// Resources in the store for the figures of start.
    #[arg(long, default_value_t = 600_000)]
    resources: u64,
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
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
    shell::run("cargo", &["build", "--release", "--locked", "--package", "firebreak"])?;
    let mut table = Table::default();
    let mut bare = limits::Bare::default();
    if arguments.wants("limits") {
        bare = limits::measure(arguments.seconds, &mut table)?;
    }
    if arguments.wants("create") || arguments.wants("read") {
        http::measure(arguments, &bare, &mut table)?;
    }
    if arguments.wants("load") {
        http::measure_load(&arguments.data, &mut table)?;
    }
    if arguments.wants("open") {
        start::measure(arguments, &mut table)?;
    }
    let longest = table.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    shell::talk(&format!("{} figures", table.figures.len()));
    for figure in &table.figures {
        shell::talk(&format!("{:longest$}  {}", figure.name, figure.value));
    }
    Ok(())
}
