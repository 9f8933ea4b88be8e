//! Running other programs and finding files.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's folder, wherever the command was called from.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_owned()
}

/// Runs a program to its end, its output passing through; an error unless it succeeds.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    talk(&format!("$ {line}"));
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Builds `firebreak` in release and gives its path.
pub fn release_binary() -> anyhow::Result<PathBuf> {
    run("cargo", &["build", "--release", "--locked", "--package", "firebreak"])?;
    built("release")
}

/// Where cargo puts `firebreak` when it builds it with this profile.
pub fn built(profile: &str) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    Ok(std::path::absolute(target.join(profile).join("firebreak"))?)
}

/// The standard output of a program that must succeed.
pub fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !out.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// A line for people, on standard error.
#[expect(clippy::print_stderr, reason = "a command-line tool talks on stderr")]
pub fn talk(line: &str) {
    eprintln!("{line}");
}

/// The files that git tracks.
pub fn tracked_files() -> anyhow::Result<Vec<PathBuf>> {
    let list = output("git", &["ls-files", "-z"])?;
    Ok(list.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}
