//! `cargo xtask sim`: random runs, the replay of one seed, and the power of the checkers.

use crate::shell;
use clap::Subcommand;

/// Seeds under a planted bug before it counts as not found.
const POWER_SEEDS: u64 = 3000;

#[derive(clap::Args)]
pub struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints one seed's readable log and verdict.
    Replay {
        /// The seed.
        seed: u64,
    },
    /// Takes each rule out and prints which checker found it after how many seeds.
    Power,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (features, words) = match arguments.verb {
        None => (None, format!("run {} {}", arguments.seeds, arguments.from)),
        Some(Verb::Replay { seed }) => (None, format!("replay {seed}")),
        Some(Verb::Power) => (Some("planted"), format!("power {POWER_SEEDS}")),
    };
    let mut command = vec!["run", "-q", "--locked", "-p", "sim"];
    if let Some(features) = features {
        command.extend(["--features", features]);
    }
    command.push("--");
    command.extend(words.split(' '));
    shell::run("cargo", &command)
}
