//! `firebreak invite` and `firebreak join`: one more member, by a one-time token.

use crate::config::{Addresses, Config};
use crate::exit::Misconfigured;
use crate::process;
use base::MemberName;
use control::{Directory, Kind, Newcomer, OsRng, SystemClock, Token};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// `firebreak invite`, where `init` ran; the region may be running.
#[derive(clap::Args)]
pub struct InviteArguments {
    /// The first region's configuration file.
    #[arg(long, short, required_unless_present = "data")]
    config: Option<PathBuf>,
    /// Its data folder instead, as `firebreak serve` makes it without configuration.
    #[arg(long, conflicts_with = "config")]
    data: Option<PathBuf>,
    /// The newcomer's name.
    #[arg(long)]
    name: MemberName,
    /// The newcomer's kind: region, witness, gateway or operator.
    #[arg(long, value_parser = kind)]
    kind: Kind,
    /// Print the token as JSON.
    #[arg(long)]
    json: bool,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| "not region, witness, gateway or operator".to_owned())
}

/// Prints a token.
pub fn invite(arguments: &InviteArguments) -> anyhow::Result<()> {
    let data = match (&arguments.data, &arguments.config) {
        (Some(data), _) => data.clone(),
        (None, Some(file)) => Config::read(file)?.data,
        (None, None) => {
            return Err(Misconfigured("give --config or --data".to_owned()).into());
        }
    };
    let (name, kind) = (&arguments.name, arguments.kind);
    let token = control::invite(&data, name, kind, &SystemClock, &mut OsRng)?.to_string();
    let (own, roster) = (control::read_identity(&data)?.id, control::read_roster(&data)?);
    let to = roster.by_id(own).map(|own| &own.peer);
    let mut out = std::io::stdout();
    if arguments.json {
        let text = json!({ "token": token, "name": name.as_str(), "kind": kind.name(), "to": to });
        writeln!(out, "{text}")?;
    } else {
        writeln!(out, "{token}")?;
        if let Some(to) = to {
            writeln!(std::io::stderr(), "the newcomer joins with --to {to}")?;
        }
    }
    Ok(())
}

/// `firebreak join`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The newcomer's configuration file.
    #[arg(long, short)]
    config: PathBuf,
    /// The first region's peer address, `host:port`; it must be running.
    #[arg(long)]
    to: String,
    /// The token that `firebreak invite` printed.
    #[arg(long, env = "FIREBREAK_TOKEN", hide_env_values = true)]
    token: Token,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

/// Becomes a member.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    Directory::refuse_used(&config.data)?;
    let Addresses { peer, serve, ship } = config.advertised()?;
    for (key, told) in [("peer", &peer), ("serve", &serve), ("ship", &ship)] {
        refuse_unreachable(key, told)?;
    }
    let newcomer = Newcomer { name: config.name.clone(), kind: config.kind, peer, serve, ship };
    let work = control::join(&arguments.to, &arguments.token, newcomer);
    let joined = process::runtime()?.block_on(work)?;
    let (identity, timing) = (&joined.identity, config.timing);
    Directory::create(&config.data, identity, &joined.credentials, &joined.roster, timing)?;
    let mut out = std::io::stdout();
    if arguments.json {
        let (cluster, member) = (identity.cluster.to_string(), identity.id.to_string());
        writeln!(out, "{}", json!({ "cluster": cluster, "member": member }))?;
    } else {
        let (name, kind) = (&identity.name, identity.kind);
        writeln!(out, "{kind} {name} joined cluster {}", identity.cluster)?;
        if kind != Kind::Operator {
            let file = arguments.config.display();
            writeln!(out, "next: firebreak {kind} --config {file}")?;
        }
    }
    Ok(())
}

/// An error where the cluster would be told an address at which nobody can be reached. Kinds that
/// do not have it tell none.
fn refuse_unreachable(key: &str, told: &str) -> anyhow::Result<()> {
    let port = told.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if told.is_empty() || port.is_some_and(|port| port != 0) {
        return Ok(());
    }
    let reason =
        format!("others could not reach '{key}' at \"{told}\": give a host and a fixed port");
    Err(Misconfigured(reason).into())
}
