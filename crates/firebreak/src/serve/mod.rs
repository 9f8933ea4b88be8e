//! `firebreak serve`: one region alone. In this order: the address is taken, the folder is locked,
//! the log is recovered, the epoch is raised, and only then is anything answered.

mod alone;
mod config;

pub use config::Args;

use crate::process::{log_to_stderr, runtime, stopped};
use alone::Alone;
use anyhow::Context;
use base::Span;
use config::Config;
use control::{OsRng, SystemClock};
use service::{Account, Drained, Service, Settings};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The account that is served.
const ACCOUNT: &str = "fhir";
/// How long answers under way may take after SIGTERM; closing the store takes the rest of 5 s.
const DRAIN: Span = Span::from_secs(4);

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::read(args)?;
    if args.dump_config {
        let text = toml::to_string(&config).context("the configuration cannot be shown")?;
        io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    log_to_stderr(&config.log)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(&config, args.json));
    // Connections that were cut hold nothing that matters.
    runtime.shutdown_background();
    ended
}

async fn serve(config: &Config, json: bool) -> anyhow::Result<()> {
    let address = config.address()?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let account = ACCOUNT.parse().context("a valid name")?;
    // A signal counts from here on, however early it comes.
    let mut stop = std::pin::pin!(stopped());
    let alone = tokio::select! {
        alone = Alone::open(&config.data, &account) => alone?,
        () = &mut stop => return Ok(()),
    };
    let settings = Settings {
        limits: config.limits.clone(),
        public_url: config.public_url.clone(),
        ..Settings::default()
    };
    let service = Arc::new(Service::new(settings, Arc::new(SystemClock), Box::new(OsRng)));
    service.add(Account { name: account, store: alone.store(), gate: alone.gate() });
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    announce(config, address, &data, json);
    let drained = service::serve(service, listener, None, stop, DRAIN).await;
    if drained == Drained::Cut {
        tracing::warn!("some answers were not finished in time and were cut");
    }
    tokio::task::spawn_blocking(move || alone.close()).await.context("closing the store failed")
}

/// Says what is served, and how to try it.
fn announce(config: &Config, address: SocketAddr, data: &Path, json: bool) {
    let url = match &config.public_url {
        Some(url) => format!("{}/{ACCOUNT}", url.trim_end_matches('/')),
        None => format!("http://{address}/{ACCOUNT}"),
    };
    let text = if json {
        let line = serde_json::json!({
            "url": url,
            "data": data,
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
        });
        format!("{line}\n")
    } else {
        format!(
            "Firebreak {} serves FHIR R4.\n\
             base URL:    {url}\n\
             data folder: {}\n\
             Try:\n  curl -s {url}/Patient -H 'Content-Type: application/fhir+json' \
             -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Example\"}}]}}'\n",
            env!("CARGO_PKG_VERSION"),
            data.display(),
        )
    };
    // Whoever closed stdout does not want to know.
    let _ = io::stdout().write_all(text.as_bytes());
    let _ = io::stdout().flush();
}
