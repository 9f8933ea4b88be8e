//! `cargo xtask`: the only entry point for working on Firebreak.

mod bench;
mod check;
mod dictionary;
mod gen_definitions;
mod lab;
mod load;
mod setup;
mod shell;
mod sim;
mod soak;
mod test;

use clap::{Parser, Subcommand};

/// As the servers that are measured: what a bare server can do is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Works on Firebreak: checks, tests, generators, benchmarks.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Checks form: rustfmt, clippy, lengths of files and functions, edges between packages.
    Check,
    /// Mends what can be mended by machine: rustfmt and clippy's suggestions.
    Fix,
    /// Runs every test.
    Test(test::Arguments),
    /// Measures, each figure beside what the machine can do.
    Bench(bench::Arguments),
    /// Makes the committed table of FHIR's definitions from HL7's files.
    Gen(gen_definitions::Arguments),
    /// Sends a folder of bundles to a FHIR server.
    Load(load::Arguments),
    /// Trains the dictionary that bodies are compressed with, from the committed bundles.
    Dictionary,
    /// Rehearses what an operator does, on this machine.
    #[command(subcommand)]
    Lab(lab::Arguments),
    /// Runs the simulator: random seeds, the replay of one, the power of its checkers.
    Sim(sim::Arguments),
    /// Repeats what the test run shows in short: demos, kills, counts.
    #[command(subcommand)]
    Soak(soak::Arguments),
    /// Names what tests need beyond Rust and a C compiler, and installs it.
    Setup(setup::Arguments),
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(shell::workspace_root())?;
    match Arguments::parse().verb {
        Verb::Check => check::run(),
        Verb::Fix => check::fix(),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Gen(arguments) => gen_definitions::run(&arguments),
        Verb::Load(arguments) => load::run(&arguments),
        Verb::Dictionary => dictionary::run(),
        Verb::Lab(arguments) => lab::run(&arguments),
        Verb::Sim(arguments) => sim::run(&arguments),
        Verb::Soak(arguments) => soak::run(&arguments),
        Verb::Setup(arguments) => setup::run(&arguments),
    }
}
