//! `cargo xtask load`: sends a folder of bundles to a FHIR server.

use crate::shell;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workload::{Bundle, Connection};

/// How long one bundle may take.
const BUNDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// What to load, and where.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of bundles: *.json or *.json.bz2; those named 0-* go first, one by one.
    #[arg(long)]
    dir: PathBuf,
    /// FHIR base, http://HOST:PORT/ACCOUNT.
    #[arg(long)]
    url: String,
    /// Connections that send bundles side by side.
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Print the result as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// What was loaded.
pub struct Loaded {
    /// Bundles sent.
    pub bundles: usize,
    /// Resources in them.
    pub resources: usize,
    /// Time from the first byte sent to the last answer.
    pub elapsed: Duration,
}

/// Loads and prints.
#[expect(clippy::print_stdout, reason = "the result is data")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = load(read(&arguments.dir)?, &arguments.url, arguments.clients)?;
    let seconds = loaded.elapsed.as_secs_f64();
    let rate = loaded.resources as f64 / seconds;
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({
                "bundles": loaded.bundles, "resources": loaded.resources,
                "seconds": seconds, "resources_per_second": rate,
            })
        );
    } else {
        println!(
            "{} bundles, {} resources in {seconds:.2} s: {rate:.0} resources/s",
            loaded.bundles, loaded.resources
        );
    }
    Ok(())
}

/// Reads every bundle of `dir`, those that others refer to first.
pub fn read(dir: &Path) -> anyhow::Result<Vec<Bundle>> {
    let files = workload::order_files(dir).with_context(|| dir.display().to_string())?;
    if files.is_empty() {
        bail!("no bundles in {}", dir.display());
    }
    files.iter().map(|path| read_one(path)).collect()
}

/// Sends bundles; the first refusal ends it with the server's words.
pub fn load(bundles: Vec<Bundle>, url: &str, clients: usize) -> anyhow::Result<Loaded> {
    let (first, rest): (Vec<Bundle>, Vec<Bundle>) =
        bundles.into_iter().partition(|bundle| bundle.name.starts_with("0-"));
    let resources = first.iter().chain(&rest).map(|bundle| bundle.entries).sum();
    let count = first.len() + rest.len();
    let runtime = tokio::runtime::Runtime::new()?;
    let start = Instant::now();
    runtime.block_on(async {
        send(url, first).await?;
        let mut parts: Vec<Vec<Bundle>> = Vec::new();
        parts.resize_with(clients.max(1), Vec::new);
        let size = parts.len();
        for (number, bundle) in rest.into_iter().enumerate() {
            parts[number % size].push(bundle);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for part in parts {
            let url = url.to_owned();
            tasks.spawn(async move { send(&url, part).await });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(Loaded { bundles: count, resources, elapsed: start.elapsed() })
}

fn read_one(path: &Path) -> anyhow::Result<Bundle> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let data = std::fs::read(path).with_context(|| path.display().to_string())?;
    workload::read_bundle(&name, &data, name.ends_with(".bz2"))
        .with_context(|| path.display().to_string())
}

async fn send(url: &str, bundles: Vec<Bundle>) -> anyhow::Result<()> {
    let mut connection = Connection::new(url, BUNDLE_TIMEOUT)?;
    let path = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let path = format!("/{}", path.context("the url names no account")?.1.trim_end_matches('/'));
    for bundle in bundles {
        let answer =
            connection.send(&bundle.request(&path)).await.with_context(|| bundle.name.clone())?;
        if answer.status != 200 {
            let words = String::from_utf8_lossy(&answer.body);
            let words: String = words.chars().take(2000).collect();
            bail!("{}: status {}: {words}", bundle.name, answer.status);
        }
        let refused = refusals(&answer.body)?;
        if refused > 0 {
            bail!("{}: {refused} entries were refused", bundle.name);
        }
        shell::talk(&format!("{}: {} resources", bundle.name, bundle.entries));
    }
    Ok(())
}

/// How many entries of an answer bundle have a status other than 2xx.
fn refusals(body: &[u8]) -> anyhow::Result<usize> {
    #[derive(serde::Deserialize)]
    struct Answered {
        #[serde(default)]
        entry: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        response: Response,
    }
    #[derive(serde::Deserialize)]
    struct Response {
        status: String,
    }
    let answered: Answered = serde_json::from_slice(body).context("the answer is no bundle")?;
    Ok(answered.entry.iter().filter(|entry| !entry.response.status.starts_with('2')).count())
}
