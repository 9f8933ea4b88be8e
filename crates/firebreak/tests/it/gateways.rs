//! Two gateways side by side, one of them killed under load.

use crate::cluster::{Cluster, wait};
use crate::server::{self, Server};
use std::collections::BTreeMap;
use std::time::Duration;
use workload::{Clients, ClientsConfig, Connection, Request, account_for, acknowledged};

/// Clients, half of them at each gateway.
const CLIENTS: usize = 8;
/// Writes in flight at the kill, at the least.
const IN_FLIGHT: usize = 4;
/// Writes before the kill and after it.
const WRITES: u64 = 300;

/// An answer, whose links are the gateway's own, whatever the client says of itself.
fn answers(runtime: &tokio::runtime::Runtime, url: &str) -> Result<(), String> {
    let answer = runtime.block_on(async {
        let mut connection = Connection::new(url, server::PATIENCE)?;
        let mut request = Request::get("/fhir/metadata".to_owned());
        request.headers.push(("x-forwarded-proto", "https".to_owned()));
        connection.send(&request).await
    });
    match answer {
        Ok(answer) if answer.status == 200 => {
            let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(told["implementation"]["url"], url);
            Ok(())
        }
        Ok(answer) => Err(answer.status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Every version that the service holds: id, version, and how often it is told.
async fn versions(url: &str) -> BTreeMap<(String, String), usize> {
    let mut connection = Connection::new(url, server::PATIENCE).expect("a url");
    let mut versions = BTreeMap::new();
    let mut next = Some("/fhir/Observation/_history?_count=1000".to_owned());
    while let Some(path) = next {
        let answer = connection.send(&Request::get(path)).await.expect("it answers");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let page: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        for entry in page["entry"].as_array().into_iter().flatten() {
            let text = |value: &serde_json::Value| value.as_str().expect("told").to_owned();
            let id = text(&entry["fullUrl"]).rsplit('/').next().expect("an id").to_owned();
            let tag = text(&entry["response"]["etag"]);
            let version = tag.trim_start_matches("W/").trim_matches('"').to_owned();
            *versions.entry((id, version)).or_default() += 1;
        }
        let links = page["link"].as_array().expect("links");
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| {
            let link = link["url"].as_str().expect("a URL");
            format!("/fhir/{}", link.split_once("/fhir/").expect("of this server").1)
        });
    }
    versions
}

#[test]
fn with_one_of_two_gateways_killed_under_load_nothing_acknowledged_is_lost_or_doubled() {
    let cluster = Cluster::new("standard");
    let address = server::free_address();
    let _region = Server::start(server::command(&cluster.data, &address), &address);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut gateways = ["one", "two"].map(|name| {
        let address = server::free_address();
        let member = cluster.join(name, "gateway", &format!("listen = {address:?}\n"));
        (member, format!("http://{address}/fhir"))
    });
    for (_, url) in &gateways {
        wait("answer of a gateway", || answers(&runtime, url));
    }

    let config = ClientsConfig {
        url: gateways[0].1.clone(),
        others: vec![gateways[1].1.clone()],
        clients: CLIENTS,
        pause: Duration::ZERO,
        timeout: Duration::from_secs(10),
        seed: 7,
    };
    let clients = {
        let _inside = runtime.enter();
        Clients::start(&config).expect("the urls are valid")
    };
    let written = |least: u64| {
        wait("writes", || {
            let tally = clients.tally();
            (tally.acknowledged_writes >= least).then_some(()).ok_or(format!("{tally:?}"))
        });
    };
    written(WRITES);
    wait("writes in flight", || {
        // Seldom all at one time: looked at often.
        for _ in 0..100_000 {
            if clients.tally().writes_in_flight >= IN_FLIGHT {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        Err(format!("{:?}", clients.tally()))
    });
    gateways[0].0.kill();
    let killed_ms = clients.start_time().elapsed().as_millis();
    written(clients.tally().acknowledged_writes + WRITES);
    let records = runtime.block_on(clients.stop());

    let broken = records.iter().filter(|record| record.status == 0).count();
    assert!(broken > 0, "the kill broke no connection");
    for client in 0..CLIENTS {
        let after = |record: &&workload::Record| {
            record.client == client && u128::from(record.sent_ms) > killed_ms
        };
        let goes_on = records.iter().filter(after).any(workload::Record::acknowledges_write);
        assert!(goes_on, "client {client} never wrote again");
    }
    let url = &gateways[1].1;
    let account = runtime.block_on(account_for(&records, url, &BTreeMap::new()));
    assert_eq!(account.expect("the service answers").lost, Vec::new());
    // And nothing else: a write that was sent again is there once.
    let told: BTreeMap<_, _> = acknowledged(&records)
        .into_iter()
        .filter(|write| !write.version.is_empty())
        .map(|write| ((write.id, write.version), 1))
        .collect();
    assert_eq!(runtime.block_on(versions(url)), told);
}
