//! Rates through HTTP.

use super::{Arguments, Table, limits, server::Server};
use anyhow::bail;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use workload::{Blast, Blasted, Reading};

/// Connections of the rates.
const CONNECTIONS: usize = 64;
/// Patients that the readings are spread over.
const PATIENTS: u64 = 1_000;

/// A request with a body.
pub fn post(address: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/fhir+json\r\n\
         Prefer: return=minimal\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Creates Observations over 64 connections for a while.
pub fn create(server: &Server, duration: Duration) -> anyhow::Result<Blasted> {
    let address = server.address().to_owned();
    let target = address.clone();
    let request = Arc::new(move |connection: usize, count: u64| {
        let serial = count * CONNECTIONS as u64 + connection as u64;
        post(&target, "/fhir/Observation", &Reading::nth(serial % PATIENTS, serial).to_json(None))
    });
    blast(Blast { address, connections: CONNECTIONS, duration, interval: Duration::ZERO, request })
}

/// Runs a blast on a runtime of one thread, as every measurement here does.
pub fn blast(blast: Blast) -> anyhow::Result<Blasted> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(blast.run());
    if done.failed > 0 {
        bail!("{} requests failed", done.failed);
    }
    Ok(done)
}

/// `GET` of one path over 64 connections.
pub fn get(address: &str, path: &str, duration: Duration) -> anyhow::Result<Blasted> {
    let bytes = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    blast(Blast {
        address: address.to_owned(),
        connections: CONNECTIONS,
        duration,
        interval: Duration::ZERO,
        request: Arc::new(move |_, _| bytes.clone()),
    })
}

/// Create and read by id.
pub fn measure(
    arguments: &Arguments,
    bare: &limits::Bare,
    table: &mut Table,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    let duration = Duration::from_secs(arguments.seconds);
    if arguments.wants("create") {
        let done = create(&server, duration)?;
        table.add("create, 64 connections", line(&done, bare.log_rate, "bare log"));
    }
    if arguments.wants("read") {
        let body = Reading::nth(1, 1).to_json(Some("bench"));
        let request = format!(
            "PUT /fhir/Observation/bench HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let once = Blast {
            address: server.address().to_owned(),
            connections: 1,
            duration: Duration::from_millis(50),
            interval: Duration::from_millis(50),
            request: Arc::new(move |_, _| request.clone().into_bytes()),
        };
        blast(once)?;
        let done = get(server.address(), "/fhir/Observation/bench", duration)?;
        table.add("read by id, 64 connections", line(&done, bare.axum_rate, "bare axum"));
    }
    Ok(())
}

/// Rate, latencies, and the share of what the machine can do.
fn line(done: &Blasted, limit: f64, limit_name: &str) -> String {
    let share = match limit {
        0.0 => String::new(),
        limit => format!(", {:.1} % of {limit_name}", 100.0 * done.rate() / limit),
    };
    format!(
        "{:.0}/s, p50 {} us, p99 {} us{share}",
        done.rate(),
        done.quantile_us(0.5),
        done.quantile_us(0.99)
    )
}

/// The Synthea files by one client and by four.
pub fn measure_load(data: &Path, table: &mut Table) -> anyhow::Result<()> {
    for clients in [1, 4] {
        let folder = tempfile::tempdir()?;
        let (server, _) = Server::start(folder.path())?;
        let loaded = crate::load::load(data, &server.url(), clients)?;
        let rate = loaded.resources as f64 / loaded.elapsed.as_secs_f64();
        table.add(
            &format!("load {} bundles, {clients} clients", loaded.bundles),
            format!("{rate:.0} resources/s ({} in {:.1?})", loaded.resources, loaded.elapsed),
        );
    }
    Ok(())
}
