//! Durable before acknowledged: seen from outside, by system calls and by lost pages.

use crate::server::{self, Server};
use crate::{pages, strace};
use base::{Rng as _, Seeded};
use std::process::{Command, Stdio};
use std::time::Duration;
use workload::{Clients, ClientsConfig, account_for};

/// Kills with lost pages in the test run; the full number is a separate, longer run
/// (`FIREBREAK_KILLS=50`).
const KILLS: usize = 4;

fn run_clients(url: String, clients: usize, seed: u64) -> Clients {
    let config = ClientsConfig {
        url,
        others: Vec::new(),
        clients,
        pause: Duration::ZERO,
        timeout: Duration::from_secs(10),
        seed,
    };
    Clients::start(&config).expect("the url is valid")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs clients against a server under strace and gives its calls.
fn traced_calls(clients: usize, writes: u64) -> Vec<strace::Call> {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let address = server::free_address();
    let plain = server::command(&folder.path().join("data"), &address);
    let mut command = Command::new("strace");
    command
        // -D: the child is the server itself, so that the kill reaches it.
        .args(["-D", "-f", "-yy", "-s", "32", "-o"])
        .arg(&trace)
        .arg("-e")
        .arg("trace=pwrite64,pwritev,write,writev,fdatasync,fsync,sendto,sendmsg,recvfrom,read")
        .arg(plain.get_program())
        .args(plain.get_args())
        .stdout(Stdio::null());
    let mut server = Server::start(command, &address);
    runtime().block_on(async {
        let running = run_clients(format!("http://{address}/fhir"), clients, 1);
        let start = std::time::Instant::now();
        while running.tally().acknowledged_writes < writes {
            assert!(start.elapsed() < server::PATIENCE, "{:?}", running.tally());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.stop().await;
    });
    server.kill();
    let start = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(&trace).expect("strace writes it");
        if text.contains("+++ killed by SIGKILL +++") {
            return strace::read(&text);
        }
        assert!(start.elapsed() < server::PATIENCE, "strace did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn successes(calls: &[strace::Call]) -> usize {
    calls.iter().filter(|call| matches!(call.what, strace::What::Success(_))).count()
}

#[test]
fn with_one_client_every_success_follows_a_sync_begun_after_its_last_log_write() {
    let calls = traced_calls(1, 100);
    assert!(successes(&calls) >= 100, "{} answers seen", successes(&calls));
    assert_eq!(strace::last_write_not_synced(&calls), Vec::<&strace::Call>::new());
    assert_eq!(strace::answered_too_early(&calls), Vec::<&strace::Call>::new());
}

#[test]
fn with_many_clients_every_success_follows_a_log_write_and_its_sync() {
    let calls = traced_calls(8, 400);
    assert!(successes(&calls) >= 400, "{} answers seen", successes(&calls));
    assert_eq!(strace::answered_too_early(&calls), Vec::<&strace::Call>::new());
}

#[test]
fn a_kill_that_loses_random_unsynced_pages_loses_nothing_acknowledged() {
    let kills = std::env::var("FIREBREAK_KILLS").ok().and_then(|n| n.parse().ok());
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let journal = folder.path().join("journal");
    std::fs::create_dir(&journal).expect("a folder");
    let library = pages::build_library(folder.path(), "pagedrop");
    let mut dropped = pages::Dropped::default();
    let mut chance = Seeded(7);
    let mut records = Vec::new();
    for round in 0..kills.unwrap_or(KILLS) {
        let address = server::free_address();
        let mut command = server::command(&data, &address);
        command
            .env("LD_PRELOAD", &library)
            .env("PAGEDROP_ROOT", &data)
            .env("PAGEDROP_JOURNAL", &journal);
        let mut server = Server::start(command, &address);
        let url = format!("http://{address}/fhir");
        runtime().block_on(async {
            let running = run_clients(url.clone(), 8, round as u64 + 1);
            let start = std::time::Instant::now();
            let enough = 200 + chance.below(200);
            while running.tally().acknowledged_writes < enough {
                assert!(start.elapsed() < server::PATIENCE, "{:?}", running.tally());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            server.kill();
            records.extend(running.records());
        });
        let lost = pages::drop_unsynced(&journal, || chance.below(2) == 0);
        dropped.unsynced += lost.unsynced;
        dropped.dropped += lost.dropped;
        let address = server::free_address();
        let server = Server::start(server::command(&data, &address), &address);
        let url = format!("http://{}/fhir", server.address);
        let account = runtime()
            .block_on(account_for(&records, &url, &std::collections::BTreeMap::new()))
            .expect("the service answers");
        assert!(account.acknowledged > 0);
        assert_eq!(account.lost, Vec::new(), "after kill {round}, with {lost:?}");
    }
    assert!(dropped.dropped > 0, "no page was ever lost: {dropped:?}");
}
