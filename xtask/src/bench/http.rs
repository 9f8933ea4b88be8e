//! Rates through HTTP.

use super::{Arguments, Part, Table, limits, server::Server};
use anyhow::{anyhow, bail};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use workload::{Blast, Blasted, MakeRequest, Reading};

/// Connections of the rates.
pub const CONNECTIONS: usize = 64;
/// Patients that the readings are spread over.
const PATIENTS: u64 = 1_000;

/// A request with a body.
fn request(method: &str, address: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/fhir+json\r\n\
         Prefer: return=minimal\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Creates of Observations, each another, as one connection of so many sends them.
fn creates(address: &str, connections: usize) -> MakeRequest {
    let target = address.to_owned();
    Arc::new(move |connection: usize, count: u64| {
        let serial = count * connections as u64 + connection as u64;
        let body = Reading::nth(serial % PATIENTS, serial).to_json(None);
        request("POST", &target, "/fhir/Observation", &body)
    })
}

/// Creates Observations over so many connections for a while, each pausing to keep `interval`.
pub fn create(
    address: &str,
    connections: usize,
    duration: Duration,
    interval: Duration,
) -> anyhow::Result<Blasted> {
    let request = creates(address, connections);
    let address = address.to_owned();
    blast(Blast { address, connections, duration, interval, request })
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

/// `GET` of one path over so many connections.
pub fn get(
    address: &str,
    path: &str,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Blasted> {
    let bytes = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    blast(Blast {
        address: address.to_owned(),
        connections,
        duration,
        interval: Duration::ZERO,
        request: Arc::new(move |_, _| bytes.clone()),
    })
}

/// Puts the one Observation that is read, and gives its path.
pub fn put_one(address: &str) -> anyhow::Result<&'static str> {
    const PATH: &str = "/fhir/Observation/bench";
    let body = Reading::nth(1, 1).to_json(Some("bench"));
    let request = request("PUT", address, PATH, &body);
    blast(Blast {
        address: address.to_owned(),
        connections: 1,
        duration: Duration::from_millis(50),
        interval: Duration::from_millis(50),
        request: Arc::new(move |_, _| request.clone()),
    })?;
    Ok(PATH)
}

/// Create and read by id.
pub fn measure(
    arguments: &Arguments,
    program: &Path,
    bare: &limits::Bare,
    table: &mut Table,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(program, folder.path())?;
    let duration = arguments.duration();
    if arguments.wants(Part::Create) {
        let before = server.processor_time()?;
        let done = create(server.address(), CONNECTIONS, duration, Duration::ZERO)?;
        let used = server.processor_time()? - before;
        let line = line(&done, used, bare.log_rate, "bare log");
        table.add("create, 64 connections", format!("{line}; {}", keys()?));
    }
    if arguments.wants(Part::Read) {
        let path = put_one(server.address())?;
        let before = server.processor_time()?;
        let done = get(server.address(), path, CONNECTIONS, duration)?;
        let used = server.processor_time()? - before;
        let line = line(&done, used, bare.axum_rate, "bare axum");
        table.add("read by id, 64 connections", line);
    }
    Ok(())
}

/// How large the Observation is that is created, and how many keys the index keeps of it.
fn keys() -> anyhow::Result<String> {
    let text = Reading::nth(1, 1).to_json(None);
    let resource = fhir::Resource::parse(text.as_bytes(), 64)
        .map_err(|_| anyhow!("the Observation that is created is none"))?;
    let terms = search::extract(&resource).terms();
    // Beside its terms: the newest version by id, and its record.
    Ok(format!("{} bytes, {} index keys each", text.len(), terms.len() + 2))
}

/// Processor time for each that was done, in microseconds.
pub fn each_us(used: Duration, done: u64) -> f64 {
    used.as_secs_f64() * 1e6 / done.max(1) as f64
}

/// Rate, latencies, the server's processor time, and the share of what the machine can do.
fn line(done: &Blasted, used: Duration, limit: f64, limit_name: &str) -> String {
    let share = match limit {
        0.0 => String::new(),
        limit => format!(", {:.1} % of {limit_name}", 100.0 * done.rate() / limit),
    };
    let each = each_us(used, done.succeeded);
    format!(
        "{:.0}/s, p50 {} us, p99 {} us, server {each:.0} us of processor each{share}",
        done.rate(),
        done.quantile_us(0.5),
        done.quantile_us(0.99)
    )
}

/// The Synthea files by one client and by four.
pub fn measure_load(data: &Path, program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let bundles = crate::load::read(data)?;
    for clients in [1, 4] {
        let folder = tempfile::tempdir()?;
        let (server, _) = Server::start(program, folder.path())?;
        let loaded = crate::load::load(bundles.clone(), &server.url(), clients)?;
        let used = each_us(server.processor_time()?, loaded.resources as u64);
        let rate = loaded.resources as f64 / loaded.elapsed.as_secs_f64();
        table.add(
            &format!("load {} bundles, {clients} clients", loaded.bundles),
            format!(
                "{rate:.0} resources/s ({} in {:.1?}), server {used:.0} us of processor each",
                loaded.resources, loaded.elapsed
            ),
        );
    }
    Ok(())
}
