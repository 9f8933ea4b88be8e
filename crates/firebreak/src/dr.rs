//! `firebreak dr`: shows and commands disaster recovery, over mutual TLS, at the regions.

mod command;
mod operator;
mod quarantine;
mod status;

use std::path::PathBuf;

/// How an operator finds the cluster.
#[derive(clap::Args)]
pub struct At {
    /// A member's configuration file on this machine: its operator's or its own credentials.
    #[arg(long, short, required_unless_present = "operator")]
    config: Option<PathBuf>,
    /// A folder of an operator's credentials, as `firebreak init` makes it in DATA/operator.
    #[arg(long)]
    operator: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `dr` can do.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Who serves each account, how the other region stands, what is in quarantine.
    Status(At),
    /// Hands an account to the other region, without loss.
    Switchover(command::Switchover),
    /// A switchover to the account's home region.
    Failback(command::Failback),
    /// Commits that a former primary held and the present history does not.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
}

/// Runs a verb.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Status(at) => status::run(at),
        Verb::Switchover(arguments) => command::switchover(arguments),
        Verb::Failback(arguments) => command::failback(arguments),
        Verb::Quarantine(verb) => quarantine::run(verb),
    }
}
