//! What the way through a gateway costs: one region alone behind it, and one asked directly.

use super::cluster::Cluster;
use super::{Arguments, Table, http, server::Server};
use anyhow::Context;
use std::path::Path;
use std::time::Duration;
use workload::Blasted;

/// What is asked, over so many connections.
type Measure = fn(&str, usize, Duration) -> anyhow::Result<Blasted>;

/// Read and create, by one connection for the time and by 64 for the rate.
pub fn measure(arguments: &Arguments, program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let direct_folder = tempfile::tempdir()?;
    let (server, _) = Server::start(program, direct_folder.path())?;
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::alone(program, folder.path())?;
    let duration = arguments.duration() / 2;
    let both: [(&str, Measure); 2] = [("read", read), ("create", create)];
    for (name, ask) in both {
        let run = |address: &str, connections| ask(address, connections, duration);
        let one = (run(server.address(), 1)?, run(cluster.gateway(), 1)?);
        let direct = server.processor_time()?;
        let through = cluster.processor_time()?;
        let all = run(server.address(), http::CONNECTIONS)?;
        let direct = server.processor_time()?.checked_sub(direct).context("time goes back")?;
        let all = (all, run(cluster.gateway(), http::CONNECTIONS)?);
        let through = cluster.processor_time()?.checked_sub(through).context("time goes back")?;
        let (near, far) = (one.0.quantile_us(0.5), one.1.quantile_us(0.5));
        table.add(
            &format!("{name} through a gateway, 1 connection"),
            format!(
                "p50 {far} us, directly {near} us: overhead {:+} us, {:+.0} %",
                i64::from(far) - i64::from(near),
                100.0 * (f64::from(far) / f64::from(near.max(1)) - 1.0)
            ),
        );
        table.add(
            &format!("{name} through a gateway, 64 connections"),
            format!(
                "{:.0}/s, directly {:.0}/s: {:+.0} %; processor of all servers each {:.0} us, directly {:.0} us",
                all.1.rate(),
                all.0.rate(),
                100.0 * (all.1.rate() / all.0.rate() - 1.0),
                http::each_us(through, all.1.succeeded),
                http::each_us(direct, all.0.succeeded)
            ),
        );
    }
    Ok(())
}

fn read(address: &str, connections: usize, duration: Duration) -> anyhow::Result<Blasted> {
    http::get(address, http::put_one(address)?, connections, duration)
}

fn create(address: &str, connections: usize, duration: Duration) -> anyhow::Result<Blasted> {
    http::create(address, connections, duration, Duration::ZERO)
}
