//! `cargo xtask test`: every test there is.

use crate::{lab, setup, shell};
use anyhow::bail;
use std::time::Instant;

/// What to test.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these packages (default: all).
    #[arg(short, long)]
    package: Vec<String>,
}

/// Runs the tests; fails first, by name, when something they need is not installed.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let missing = setup::missing();
    if !missing.is_empty() {
        bail!("tests need {}: run 'cargo xtask setup --yes'", missing.join(", "));
    }
    let mut command = vec!["test", "--locked"];
    if arguments.package.is_empty() {
        command.push("--workspace");
    }
    for package in &arguments.package {
        command.extend(["--package", package]);
    }
    let start = Instant::now();
    shell::run("cargo", &command)?;
    if arguments.package.is_empty() {
        // The tests of the package `firebreak` have built it.
        lab::run(&lab::Arguments::Install { binary: Some(shell::built("debug")?) })?;
    }
    shell::talk(&format!("all tests passed in {} s", start.elapsed().as_secs()));
    Ok(())
}
