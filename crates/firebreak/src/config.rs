//! One TOML file for each member. Every key may be overridden by the environment:
//! `FIREBREAK_TIMING=fast`, `FIREBREAK_LIMITS__BODY_BYTES=1048576`. Unknown keys are errors.

use crate::exit::Misconfigured;
use ::gateway::HoldLimits;
use anyhow::Context;
use base::{AccountName, Limits, MemberName};
use control::Kind;
use dr::Timing;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

const PREFIX: &str = "FIREBREAK_";
/// Variables that are flags of verbs, not keys.
const FLAGS: [&str; 2] = ["FIREBREAK_TOKEN", "FIREBREAK_CONFIG"];

/// What the verbs that run a member take.
#[derive(clap::Args)]
pub struct Arguments {
    /// The member's configuration file.
    #[arg(long, short)]
    pub config: PathBuf,
    /// Print the whole configuration, defaults and environment included, and end.
    #[arg(long)]
    pub dump_config: bool,
}

/// A member's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The member's name.
    pub name: MemberName,
    /// `region`, `witness` or `gateway`.
    pub kind: Kind,
    /// The data directory.
    pub data: PathBuf,
    /// Regions and witnesses: where members reach it, `host:port`; it listens there.
    #[serde(default)]
    pub peer: Option<String>,
    /// Regions: where gateways and operators reach it, `host:port`; it listens there, mutual TLS.
    #[serde(default)]
    pub serve: Option<String>,
    /// Regions: where the other region ships logs to, `host:port`; it listens there.
    #[serde(default)]
    pub ship: Option<String>,
    /// Other addresses than those above to tell the cluster: for relays and translated networks.
    #[serde(default)]
    pub advertise: Advertise,
    /// Gateways, and a region alone: the public address. Regions: an address for health probes,
    /// none by default.
    #[serde(default)]
    pub listen: Option<String>,
    /// Lease timing: `fast`, `standard` or `calm`; the same for all members.
    #[serde(default)]
    pub timing: Timing,
    /// The account that a first region makes.
    #[serde(default = "default_account")]
    pub account: AccountName,
    /// `async`: how far the secondary may be behind, in milliseconds, before writes stall.
    #[serde(default = "default_max_lag_ms")]
    pub max_lag_ms: u64,
    /// The URL clients know, without the account; by default what they ask for.
    #[serde(default)]
    pub public_url: Option<String>,
    /// What is logged to stderr: `info`, `debug`, `warn,control=debug` …
    #[serde(default = "default_log")]
    pub log: String,
    /// Limits on requests.
    #[serde(default)]
    pub limits: Limits,
    /// What a gateway lets wait.
    #[serde(default)]
    pub hold: HoldLimits,
    /// Certificate and key (PEM files) for the public address.
    #[serde(default)]
    pub tls: Option<PublicTls>,
    /// Serve a public address without TLS that is not a loopback one.
    #[serde(default)]
    pub insecure: bool,
}

/// What the cluster is told instead of the address listened on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advertise {
    /// Instead of `peer`.
    pub peer: Option<String>,
    /// Instead of `serve`.
    pub serve: Option<String>,
    /// Instead of `ship`.
    pub ship: Option<String>,
}

/// Certificate and key for a public address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicTls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

fn default_account() -> AccountName {
    "fhir".parse().expect("a valid name")
}

const fn default_max_lag_ms() -> u64 {
    5000
}

fn default_log() -> String {
    "info".to_owned()
}

impl Arguments {
    /// Reads the file and the environment. None: the configuration was printed, that is all.
    pub fn read(&self) -> anyhow::Result<Option<Config>> {
        Config::read(&self.config)?.unless_dumped(self.dump_config)
    }
}

impl Config {
    /// Reads a file, and what the environment overrides.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Self::layered(toml::Table::new(), Some(path), toml::Table::new())
    }

    /// Flags go before the environment, that before the file, that before what is built in.
    pub fn layered(
        built_in: toml::Table,
        file: Option<&Path>,
        flags: toml::Table,
    ) -> anyhow::Result<Self> {
        let text = match file {
            Some(path) => read_file(path)?,
            None => String::new(),
        };
        let overrides = std::env::vars()
            .filter(|(name, _)| name.starts_with(PREFIX) && !FLAGS.contains(&name.as_str()));
        Self::parse(built_in, &text, overrides, flags).map_err(|error| {
            let of = file.map_or_else(String::new, |path| format!("{}: ", path.display()));
            let reason = format!("{error:#}").trim().replace('\n', " ");
            Misconfigured(format!("{of}{reason}")).into()
        })
    }

    fn parse(
        mut table: toml::Table,
        text: &str,
        overrides: impl Iterator<Item = (String, String)>,
        flags: toml::Table,
    ) -> anyhow::Result<Self> {
        table.extend(text.parse::<toml::Table>()?);
        for (name, value) in overrides {
            let path = name[PREFIX.len()..].to_lowercase();
            set(&mut table, &path, &value).with_context(|| name)?;
        }
        table.extend(flags);
        Ok(table.try_into()?)
    }

    /// None: it was printed, that is all.
    pub fn unless_dumped(self, dump: bool) -> anyhow::Result<Option<Self>> {
        if dump {
            let text = toml::to_string(&self).context("the configuration cannot be shown")?;
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Ok((!dump).then_some(self))
    }

    /// Where to listen for members.
    pub fn peer(&self) -> anyhow::Result<&str> {
        self.peer.as_deref().ok_or_else(|| missing("peer", self.kind))
    }

    /// Where a region listens for gateways and operators.
    pub fn serve(&self) -> anyhow::Result<&str> {
        self.serve.as_deref().ok_or_else(|| missing("serve", self.kind))
    }

    /// Where a region listens for the other region's log.
    pub fn ship(&self) -> anyhow::Result<&str> {
        self.ship.as_deref().ok_or_else(|| missing("ship", self.kind))
    }

    /// The public address.
    pub fn listen(&self) -> anyhow::Result<&str> {
        self.listen.as_deref().ok_or_else(|| missing("listen", self.kind))
    }

    /// The addresses that the cluster is told, as the kind needs them.
    pub fn advertised(&self) -> anyhow::Result<Addresses> {
        let told = |other: &Option<String>, own: &str| other.clone().unwrap_or(own.to_owned());
        let mut addresses = Addresses::default();
        if self.kind.votes() {
            addresses.peer = told(&self.advertise.peer, self.peer()?);
        }
        if self.kind == Kind::Region {
            addresses.serve = told(&self.advertise.serve, self.serve()?);
            addresses.ship = told(&self.advertise.ship, self.ship()?);
        }
        Ok(addresses)
    }

    /// The same, for one that listens at `bound`: that is told where the port was left open.
    pub fn advertised_at(&self, bound: Addresses) -> anyhow::Result<Addresses> {
        let mut told = self.advertised()?;
        let each = [&mut told.peer, &mut told.serve, &mut told.ship];
        for (told, bound) in each.into_iter().zip([bound.peer, bound.serve, bound.ship]) {
            if told.ends_with(":0") {
                *told = bound;
            }
        }
        Ok(told)
    }

    /// An error where the verb runs another kind than the file describes.
    pub fn expect(&self, kind: Kind) -> anyhow::Result<()> {
        if self.kind == kind {
            return Ok(());
        }
        let message = format!("the configuration is of a {}, not of a {kind}", self.kind);
        Err(Misconfigured(message).into())
    }
}

/// Where a member is reached; empty for what its kind does not have.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// By members.
    pub peer: String,
    /// By gateways and operators.
    pub serve: String,
    /// By the other region's log.
    pub ship: String,
}

/// A configuration file that is not there is a wrong configuration.
fn read_file(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let reason = format!("cannot read the configuration file {}", path.display());
        match error.kind() {
            ErrorKind::PermissionDenied => anyhow::Error::new(error).context(reason),
            _ => Misconfigured(format!("{reason}: {error}")).into(),
        }
    })
}

fn missing(key: &str, kind: Kind) -> anyhow::Error {
    Misconfigured(format!("a {kind} needs the key '{key}' (\"host:port\")")).into()
}

/// Sets `a__b` in a table: as TOML where it is a number or a truth value, else as text.
fn set(table: &mut toml::Table, path: &str, value: &str) -> anyhow::Result<()> {
    match path.split_once("__") {
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| toml::Table::new().into());
            let inner = inner.as_table_mut().context("is not a table")?;
            set(inner, rest, value)
        }
        None => {
            let parsed = value.parse::<i64>().map(toml::Value::Integer);
            let parsed = parsed.or_else(|_| value.parse::<bool>().map(toml::Value::Boolean));
            table.insert(path.to_owned(), parsed.unwrap_or_else(|_| value.into()));
            Ok(())
        }
    }
}

/// The address behind `host:port`.
pub fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| Misconfigured(format!("address '{text}': {error}")))?;
    let none = || Misconfigured(format!("address '{text}' names no host"));
    // `localhost` is both: the older one is everywhere.
    Ok(found.min_by_key(SocketAddr::is_ipv6).ok_or_else(none)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"east\"\nkind = \"region\"\ndata = \"/d\"\n";

    fn parse(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
        let owned = overrides.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Config::parse(toml::Table::new(), text, owned, toml::Table::new())
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config =
            parse(FILE, &[("FIREBREAK_TIMING", "fast"), ("FIREBREAK_LIMITS__BODY_BYTES", "77")]);
        let config = config.expect("reads");
        assert_eq!((config.timing, config.limits.body_bytes), (Timing::Fast, 77));
        assert_eq!(config.limits.nesting, 64);
    }

    #[test]
    fn unknown_keys_are_errors_wherever_they_stand() {
        assert!(parse(&format!("{FILE}colour = 1\n"), &[]).is_err());
        assert!(parse(FILE, &[("FIREBREAK_COLOUR", "1")]).is_err());
        assert!(parse(&format!("{FILE}[hold]\ncolour = 1\n"), &[]).is_err());
        assert!(parse(FILE, &[("FIREBREAK_NAME__X", "1")]).is_err());
    }
}
