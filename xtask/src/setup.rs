//! `cargo xtask setup`: what tests need beyond Rust and a C compiler.

use crate::shell;
use anyhow::bail;
use std::path::Path;

/// A program that tests run, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "strace", package: "strace", why: "proves the order of sync and answer" },
    Need { program: "python3", package: "python3", why: "recounts a demo from its history" },
];

/// How to set up.
#[derive(clap::Args)]
pub struct Arguments {
    /// Install what is missing, with apt-get.
    #[arg(long)]
    yes: bool,
}

/// Names of the missing programs.
pub fn missing() -> Vec<String> {
    absent().map(|need| need.program.to_owned()).collect()
}

fn absent() -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(|need| !on_path(need.program))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

/// Prints what is missing; installs it when told `--yes`.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let needs: Vec<&Need> = absent().collect();
    for need in NEEDS {
        let state = if on_path(need.program) { "present" } else { "missing" };
        shell::talk(&format!("{:8} {state}: {}", need.program, need.why));
    }
    if needs.is_empty() {
        return Ok(());
    }
    if !arguments.yes {
        bail!("run 'cargo xtask setup --yes' to install what is missing");
    }
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(needs.iter().map(|need| need.package));
    shell::run("apt-get", &["update", "--quiet"])?;
    shell::run("apt-get", &install)?;
    match absent().next() {
        Some(need) => bail!("{} is still missing", need.program),
        None => Ok(()),
    }
}
