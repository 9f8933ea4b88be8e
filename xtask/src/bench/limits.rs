//! What the machine can do without us.

use super::{Table, http, log};
use axum::http::header::{CONTENT_TYPE, ETAG};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Limits that other figures are given as a share of; zero when not measured.
#[derive(Clone, Copy, Default)]
pub struct Bare {
    /// Frames that the log alone makes durable, for each second.
    pub log_rate: f64,
    /// Answers of bare axum, for each second.
    pub axum_rate: f64,
}

/// Measures them.
pub fn measure(seconds: u64, table: &mut Table) -> anyhow::Result<Bare> {
    let duration = Duration::from_secs(seconds);
    let syncs = sync_rate(duration)?;
    table.add("fdatasync after overwriting 4 KiB", format!("{syncs:.0}/s"));
    let log = log::rate(duration)?;
    table.add("bare log, 64 submitters", log.to_string());
    let axum_rate = axum_rate(duration, table)?;
    Ok(Bare { log_rate: log.commits, axum_rate })
}

/// How often one thread can overwrite a block and sync it.
fn sync_rate(duration: Duration) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let file = std::fs::File::create(folder.path().join("block"))?;
    file.write_all_at(&vec![0; 4 << 20], 0)?;
    file.sync_all()?;
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < duration {
        file.write_all_at(&[1; 4096], count % 1024 * 4096)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// `GET` of 2 kB with an ETag from an axum router that does nothing else.
fn axum_rate(duration: Duration, table: &mut Table) -> anyhow::Result<f64> {
    let body = bytes::Bytes::from(vec![b'x'; 2_000]);
    let route = axum::routing::get(move || async move {
        ([(CONTENT_TYPE, "application/fhir+json"), (ETAG, "W/\"1\"")], body)
    });
    let router = axum::Router::new().route("/fhir/{kind}/{id}", route);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let server = runtime.spawn(async move { axum::serve(listener, router).await });
    let done = http::get(&address, "/fhir/Observation/bench", http::CONNECTIONS, duration)?;
    server.abort();
    table.add("bare axum, GET 2 kB, 64 connections", format!("{:.0}/s", done.rate()));
    Ok(done.rate())
}
