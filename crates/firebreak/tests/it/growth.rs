//! A region that ran alone becomes a pair, without a restart.

use crate::cluster::{Cluster, wait};
use crate::folder;
use crate::server::{self, Server};

/// Writes a patient; its path.
fn write(serve: &Server, family: &str) -> String {
    let body = format!(r#"{{"resourceType":"Patient","name":[{{"family":"{family}"}}]}}"#);
    let answer = serve.send("POST", "/fhir/Patient", &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    format!("/fhir/Patient/{}", body["id"].as_str().expect("an id"))
}

#[test]
fn a_region_that_ran_alone_becomes_a_pair_without_a_restart() {
    let cluster = Cluster::new("standard");
    let address = server::free_address();
    let mut serve = Server::start(server::command(&cluster.data, &address), &address);
    let process = serve.child.id();
    let alone = write(&serve, "Alone");

    let moved = cluster.data.with_file_name("moved").display().to_string();
    folder::copy(cluster.operator().as_ref(), moved.as_ref());

    let _witness = cluster.join("third", "witness", "");
    let _west = cluster.join("west", "region", "");
    cluster.wait_in_sync("first");
    let pair = write(&serve, "Pair");

    // Credentials that were moved before the others joined find them; a witness's see no patients.
    let moved = ["dr", "switchover", "--to", "third", "--operator", &moved];
    let said = cluster.try_run(&moved).expect_err("a witness holds no data");
    assert!(said.contains("third is not the secondary of account fhir: west is"), "{said}");
    let look = ["dr", "quarantine", "list", "--config", &cluster.config("third")];
    let said = cluster.try_run(&look).expect_err("a witness is no operator");
    assert!(said.contains("only an operator's certificate"), "{said}");

    // The other region has all of it: it takes over, and the first passes its clients' requests on.
    let epoch = cluster.status()["first"]["epoch"].to_string();
    let operator = cluster.operator();
    let switchover = ["dr", "switchover", "--to", "west", "--operator", &operator];
    // Without --yes it shows its plan; nobody refused anything.
    let (code, plan, said) = cluster.end(&switchover);
    assert_eq!(code, Some(2), "{said}");
    assert!(plan.contains("from first to west"), "{plan}");
    assert!(said.contains(&format!("add --yes --epoch {epoch}")), "{said}");
    assert_eq!(cluster.status()["first"]["role"], "primary");
    cluster.run(&[&switchover[..], &["--epoch", &epoch, "--yes"]].concat());
    // The command ends when clients are answered.
    let west = &cluster.status()["west"];
    assert!(west["role"] == "primary" && west["open"] == true, "{west}");
    for path in [&alone, &pair] {
        let read = wait("answer", || {
            let answer = serve.try_get(path).ok_or("no answer")?;
            if answer.status == 200 { Ok(answer.body) } else { Err(format!("{answer:?}")) }
        });
        assert!(read.contains("Patient"), "{read}");
    }
    let last = write(&serve, "Passed on");
    assert_eq!(serve.send("GET", &last, "").status, 200);
    assert!(serve.child.try_wait().expect("a child of ours").is_none(), "it was not restarted");
    assert_eq!(serve.child.id(), process);

    // Started again it is where the others know it, and follows.
    serve.kill();
    let serve = Server::start(server::command(&cluster.data, &address), &address);
    let newest = write(&serve, "Followed");
    wait("equal positions", || {
        let status = cluster.status();
        let position = |region: &str| status.get(region).map(|told| told["position"].clone());
        let equal = position("first").is_some() && position("first") == position("west");
        equal.then_some(()).ok_or_else(|| format!("{status:?}"))
    });
    assert_eq!(serve.send("GET", &newest, "").status, 200);
}
