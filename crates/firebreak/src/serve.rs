//! `firebreak serve`: a region alone, without configuration. It makes its own cluster of one where
//! there is none, and answers clients itself, for it has no gateway; all else is a region's.

use crate::config::{self, Config};
use crate::exit::Misconfigured;
use crate::{process, region};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What neither flags nor environment nor file say. The ports for other members are free ones
/// until somebody joins, and stay as they are then.
const BUILT_IN: &str = r#"
name = "first"
kind = "region"
data = "./firebreak-data"
listen = "127.0.0.1:8080"
peer = "127.0.0.1:0"
serve = "127.0.0.1:0"
ship = "127.0.0.1:0"
"#;

/// Flags of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Address and port to listen on [env: FIREBREAK_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The data folder, made if missing [env: FIREBREAK_DATA] [default: ./firebreak-data]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A TOML file with the settings of a region
    #[arg(long, env = "FIREBREAK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve without TLS and authentication on an address that others can reach
    #[arg(long)]
    insecure: bool,
    /// What is logged to stderr [env: FIREBREAK_LOG] [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Print what is served as one line of JSON
    #[arg(long)]
    json: bool,
    /// Print the configuration in effect as TOML, and end
    #[arg(long)]
    dump_config: bool,
}

impl Args {
    /// The configuration in effect.
    fn config(&self) -> anyhow::Result<Config> {
        let mut flags = toml::Table::new();
        let data = self.data.as_ref().map(|data| data.display().to_string());
        for (key, value) in [("listen", &self.listen), ("data", &data), ("log", &self.log)] {
            if let Some(value) = value {
                flags.insert(key.to_owned(), value.clone().into());
            }
        }
        if self.insecure {
            flags.insert("insecure".to_owned(), true.into());
        }
        let built_in = BUILT_IN.parse().expect("it is TOML");
        Config::layered(built_in, self.config.as_deref(), flags)
    }
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let Some(config) = args.config()?.unless_dumped(args.dump_config)? else { return Ok(()) };
    config.expect(control::Kind::Region)?;
    process::log_to_stderr(&config.log)?;
    refuse_others(&config)?;
    let json = args.json;
    region::alone(&config, |address| announce(&config, address, json))
}

/// An error where others can reach it and nothing protects it.
fn refuse_others(config: &Config) -> anyhow::Result<()> {
    let address = config::address(config.listen()?)?;
    if address.ip().is_loopback() || config.insecure {
        return Ok(());
    }
    let reason = format!(
        "refusing to serve health data at {address}, which others can reach, without TLS and \
         authentication: listen on a loopback address, or say --insecure"
    );
    Err(Misconfigured(reason).into())
}

/// Says what is served, and how to try it.
fn announce(config: &Config, address: SocketAddr, json: bool) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let account = &config.account;
    let url = match &config.public_url {
        Some(url) => format!("{}/{account}", url.trim_end_matches('/')),
        None => format!("{scheme}://{address}/{account}"),
    };
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let version = env!("CARGO_PKG_VERSION");
    let text = if json {
        let pid = std::process::id();
        let line = serde_json::json!({ "url": url, "data": data, "version": version, "pid": pid });
        format!("{line}\n")
    } else {
        format!(
            "Firebreak {version} serves FHIR R4.\n\
             base URL:    {url}\n\
             data folder: {}\n\
             Try:\n  curl -s {url}/Patient -H 'Content-Type: application/fhir+json' \
             -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Example\"}}]}}'\n",
            data.display(),
        )
    };
    // Whoever closed stdout does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn only_loopback_is_served_without_being_told_so() {
        let refused = |listen: &str, insecure| {
            let args = Args { listen: Some(listen.to_owned()), insecure, ..Args::default() };
            args.config().and_then(|config| refuse_others(&config)).is_err()
        };
        for listen in ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:80"] {
            assert!(!refused(listen, false), "{listen}");
        }
        for listen in ["0.0.0.0:8080", "192.168.0.1:80", "[::]:8080", "8080"] {
            assert!(refused(listen, false), "{listen}");
        }
        assert!(!refused("0.0.0.0:8080", true));
    }

    #[test]
    fn unknown_keys_are_errors_and_flags_win() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\n[limits]\nbody_bytes = 7\n")
            .expect("writes");
        let args = Args { config: Some(file.clone()), data: Some("d".into()), ..Args::default() };
        let config = args.config().expect("it is usable");
        assert_eq!((config.listen.as_deref(), config.limits.body_bytes), (Some("127.0.0.1:1"), 7));
        assert_eq!(config.data, Path::new("d"));
        std::fs::write(&file, "colour = 1\n").expect("writes");
        assert!(args.config().is_err());
    }
}
