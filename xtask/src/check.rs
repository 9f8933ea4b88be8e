//! `cargo xtask check`: form. What a machine can tell of STYLE without running the code.

use crate::shell;
use anyhow::{Context, bail};
use std::path::Path;

/// The longest source file, in lines.
const FILE_LINES_MAX: usize = 800;
/// The most packages that `Cargo.lock` may name.
const LOCKED_PACKAGES_MAX: usize = 400;

/// Our packages and which of our packages each may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("fhir", &["base"]),
    ("search", &["base", "fhir"]),
    ("store", &["base", "fhir", "search"]),
    ("dr", &["base"]),
    ("control", &["base", "dr"]),
    ("replication", &["base", "dr", "store", "control"]),
    ("service", &["base", "fhir", "search", "store", "replication"]),
    ("gateway", &["base", "control"]),
    (
        "firebreak",
        &[
            "base",
            "fhir",
            "search",
            "store",
            "dr",
            "control",
            "replication",
            "service",
            "gateway",
            "workload",
        ],
    ),
    ("workload", &["base"]),
    ("sim", &["base", "dr", "store", "replication", "gateway"]),
];

/// Runs every check and names all that fails.
pub fn run() -> anyhow::Result<()> {
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    let mut faults = Vec::new();
    check_files(&mut faults)?;
    check_edges(&mut faults)?;
    check_lock(&mut faults)?;
    for fault in &faults {
        shell::talk(&format!("check: {fault}"));
    }
    if !faults.is_empty() {
        bail!("{} faults of form", faults.len());
    }
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    shell::run("cargo", &clippy)
}

/// Lets rustfmt and clippy mend what they can.
pub fn fix() -> anyhow::Result<()> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty"];
    shell::run("cargo", &clippy)?;
    shell::run("cargo", &["fmt", "--all"])
}

/// Length of source files; words that mark unfinished work; functions excused from the lint.
fn check_files(faults: &mut Vec<String>) -> anyhow::Result<()> {
    let ignored = concat!("#[", "ignore");
    let excused = concat!("clippy::", "too_many_lines");
    for path in shell::tracked_files()? {
        if path.extension().is_none_or(|ending| ending != "rs") || !path.exists() {
            continue;
        }
        let name = path.display();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{name}: {lines} lines, limit {FILE_LINES_MAX}"));
        }
        if text.contains(ignored) {
            faults.push(format!("{name}: a test is ignored"));
        }
        if text.contains(excused) {
            faults.push(format!("{name}: a function is excused from the length limit"));
        }
    }
    Ok(())
}

/// Each package depends only on those of ours that its layer may use.
fn check_edges(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for (package, allowed) in EDGES {
        let path = format!("crates/{package}/Cargo.toml");
        let text = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
        let dependencies = text
            .lines()
            .skip_while(|line| line.trim() != "[dependencies]")
            .skip(1)
            .take_while(|line| !line.starts_with('['));
        for line in dependencies {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let ours = EDGES.iter().any(|(ours, _)| *ours == name);
            if ours && !allowed.contains(&name) {
                faults.push(format!("{path}: {package} must not depend on {name}"));
            }
        }
    }
    Ok(())
}

/// The number of packages that a build pulls in stays bounded.
fn check_lock(faults: &mut Vec<String>) -> anyhow::Result<()> {
    let lock = std::fs::read_to_string("Cargo.lock").context("Cargo.lock")?;
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    if packages > LOCKED_PACKAGES_MAX {
        faults.push(format!("Cargo.lock names {packages} packages, limit {LOCKED_PACKAGES_MAX}"));
    }
    Ok(())
}
