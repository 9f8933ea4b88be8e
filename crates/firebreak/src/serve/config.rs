//! What `serve` is told: flags before the environment, that before the file, that before what is
//! built in.

use crate::exit::Misconfigured;
use anyhow::Context;
use base::Limits;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where it listens without configuration.
const LISTEN: &str = "127.0.0.1:8080";
/// Where it keeps its data without configuration.
const DATA: &str = "./firebreak-data";

/// Flags of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "FIREBREAK_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The data folder, made if missing [default: ./firebreak-data]
    #[arg(long, env = "FIREBREAK_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// A TOML file with the same settings and limits
    #[arg(long, env = "FIREBREAK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve without TLS and authentication on an address that others can reach
    #[arg(long)]
    pub insecure: bool,
    /// What is logged to stderr [default: info]
    #[arg(long, env = "FIREBREAK_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Print what is served as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Print the configuration in effect as TOML, and end
    #[arg(long)]
    pub dump_config: bool,
}

/// The configuration in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: String,
    /// The data folder.
    pub data: PathBuf,
    /// Whether others may reach it without TLS and authentication.
    pub insecure: bool,
    /// The URL up to the account's name as clients know it; else the request's own host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// What is logged to stderr: `info`, `debug`, `warn,service=debug` …
    pub log: String,
    /// Limits on requests.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: LISTEN.to_owned(),
            data: DATA.into(),
            insecure: false,
            public_url: None,
            log: "info".to_owned(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Puts flags, environment, file and defaults together.
    pub fn read(args: &Args) -> anyhow::Result<Self> {
        let mut config = match &args.config {
            Some(path) => Self::of_file(path)?,
            None => Self::default(),
        };
        if let Some(listen) = &args.listen {
            config.listen.clone_from(listen);
        }
        if let Some(data) = &args.data {
            config.data.clone_from(data);
        }
        if let Some(log) = &args.log {
            config.log.clone_from(log);
        }
        config.insecure |= args.insecure;
        Ok(config)
    }

    fn of_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = toml::from_str(&text).map_err(|error| {
            let reason = error.to_string().trim().replace('\n', " ");
            Misconfigured(format!("{} is not usable: {reason}", path.display()))
        });
        Ok(parsed?)
    }

    /// The address to listen on, refused when others can reach it and nothing protects it.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let host = self.listen.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let text = host.as_ref().unwrap_or(&self.listen);
        let address: SocketAddr = text.parse().map_err(|_| {
            Misconfigured(format!("'{}' is not an address and port such as {LISTEN}", self.listen))
        })?;
        if address.ip().is_loopback() || self.insecure {
            return Ok(address);
        }
        let reason = format!(
            "refusing to serve health data at {address}, which others can reach, without TLS and \
             authentication: listen on a loopback address, or say --insecure"
        );
        Err(Misconfigured(reason).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served_without_being_told_so() {
        let config = |listen: &str, insecure| Config {
            listen: listen.to_owned(),
            insecure,
            ..Config::default()
        };
        for listen in ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:80"] {
            assert!(config(listen, false).address().is_ok(), "{listen}");
        }
        for listen in ["0.0.0.0:8080", "192.168.0.1:80", "[::]:8080", "8080", "host:1"] {
            assert!(config(listen, false).address().is_err(), "{listen}");
        }
        assert!(config("0.0.0.0:8080", true).address().is_ok());
    }

    #[test]
    fn unknown_keys_are_errors_and_flags_win() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\n[limits]\nbody_bytes = 7\n")
            .expect("writes");
        let args = Args { config: Some(file.clone()), data: Some("d".into()), ..Args::default() };
        let config = Config::read(&args).expect("it is usable");
        assert_eq!((config.listen.as_str(), config.limits.body_bytes), ("127.0.0.1:1", 7));
        assert_eq!(config.data, Path::new("d"));
        std::fs::write(&file, "colour = 1\n").expect("writes");
        assert!(Config::read(&args).is_err());
    }
}
