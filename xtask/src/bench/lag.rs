//! How far the secondary is behind, by the primary's own measure (PROTOCOL.md M1): the age of the
//! oldest commit not known durable in the secondary, looked at all the while.

use super::cluster::Cluster;
use super::{Arguments, Table, http, server};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The rate of writes that the figure is given for.
const RATE: u32 = 500;
/// Connections that keep it.
const CONNECTIONS: u32 = 20;
/// Rates tried after it; the last is as fast as 64 connections go.
const RAMP: [u32; 4] = [1000, 2000, 4000, 6000];
/// How often the lag is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// A secondary further behind than this counts as left behind.
const FAR_MS: f64 = 1000.0;

/// Lags seen, in milliseconds, in order of size.
struct Lags(Vec<f64>);

impl Lags {
    fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

/// The lag at a moderate rate, and the rate at which it passes a second.
pub fn measure(arguments: &Arguments, program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::pair(program, folder.path())?;
    let duration = arguments.duration();
    let (rate, lags) = under(&cluster, CONNECTIONS, Some(RATE), duration)?;
    table.add(&format!("lag at {RATE} writes/s"), line(rate, &lags));
    let mut fastest = 0.0_f64;
    for wanted in RAMP.into_iter().map(Some).chain([None]) {
        let (rate, lags) = under(&cluster, 64, wanted, duration)?;
        let asked = wanted.map_or("as many as go".to_owned(), |rate| format!("{rate} wanted"));
        table.add(&format!("lag under writes, {asked}"), line(rate, &lags));
        if lags.quantile(1.0) > FAR_MS {
            table.add("rate at which lag passes 1 s", format!("{rate:.0} writes/s"));
            return Ok(());
        }
        fastest = fastest.max(rate);
    }
    let text = format!("never, up to {fastest:.0} writes/s, all that both regions do here");
    table.add("rate at which lag passes 1 s", text);
    Ok(())
}

fn line(rate: f64, lags: &Lags) -> String {
    let [half, most, all] = [0.5, 0.99, 1.0].map(|share| lags.quantile(share));
    format!("p50 {half:.2} ms, p99 {most:.2} ms, at most {all:.1} ms at {rate:.0}/s")
}

/// Writes for a while, at a rate or as fast as it goes, and looks at the lag.
fn under(
    cluster: &Cluster<'_>,
    connections: u32,
    rate: Option<u32>,
    duration: Duration,
) -> anyhow::Result<(f64, Lags)> {
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) * connections / rate);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(cluster.health(), &stop));
        let done = http::create(cluster.gateway(), connections as usize, duration, interval);
        stop.store(true, Ordering::Relaxed);
        let mut lags = looking.join().unwrap_or_default();
        lags.sort_unstable_by(f64::total_cmp);
        Ok((done?.rate(), Lags(lags)))
    })
}

/// Lags until `stop`. A primary that does not wait for its secondary any more tells none: then
/// the lag has passed its bound.
fn look(health: &str, stop: &AtomicBool) -> Vec<f64> {
    let mut lags = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let Some(answer) = server::ask(health, "/health/primary?account=fhir") {
            let told = answer.split_once("\"lag_ms\":").map(|(_, rest)| rest);
            let lag = told.and_then(|rest| rest.split([',', '}']).next()?.parse().ok());
            lags.push(lag.unwrap_or(f64::INFINITY));
        }
        std::thread::sleep(LOOK);
    }
    lags
}
