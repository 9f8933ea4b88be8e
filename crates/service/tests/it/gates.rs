//! What the gate decides shows in every answer.

use crate::bed::{Bed, Says, patient};
use base::{Epoch, Span};
use replication::Refusal;

#[tokio::test]
async fn a_region_that_may_not_act_answers_nothing_of_its_own() {
    let bed = Bed::new();
    let id =
        bed.post("Patient", &patient("A")).await.json()["id"].as_str().expect("an id").to_owned();
    bed.gate
        .say(Says { admit: Some(Refusal::NotPrimary { epoch: Epoch::new(7) }), ..Says::default() });
    for (method, path) in [
        ("GET", format!("Patient/{id}")),
        ("GET", "Patient".into()),
        ("GET", "_history".into()),
        ("POST", "Patient".into()),
    ] {
        let answer = bed.send(method, &path, &[], &patient("B")).await;
        assert_eq!(answer.status, 421, "{method} {path}");
        assert_eq!(answer.header("x-firebreak-epoch"), "7");
    }
    let write = bed.post("Patient", &patient("B")).await;
    assert_eq!(write.header("x-firebreak-applied"), "no");
    assert_eq!(bed.get("metadata").await.status, 200);
    bed.gate.say(Says::default());
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 1);
}

#[tokio::test]
async fn a_lease_lost_during_the_work_hides_the_answer() {
    let bed = Bed::new();
    let id =
        bed.post("Patient", &patient("A")).await.json()["id"].as_str().expect("an id").to_owned();
    let refusal = Refusal::NoLease { retry: Span::from_secs(2) };
    bed.gate.say(Says { last: Some(refusal), ..Says::default() });
    let read = bed.get(&format!("Patient/{id}")).await;
    assert_eq!((read.status, read.header("retry-after")), (503, "2".into()));
    assert!(!read.text().contains("family"));
    let write = bed.post("Patient", &patient("B")).await;
    assert_eq!((write.status, write.header("x-firebreak-applied")), (503, "unknown".into()));
    assert_eq!(write.header("location"), "");
    assert_eq!(bed.get("Patient/never").await.status, 503);
}

#[tokio::test]
async fn an_answer_waits_until_what_it_depends_on_may_be_acknowledged() {
    let bed = Bed::new();
    bed.gate.say(Says { hold: true, ..Says::default() });
    let body = patient("A");
    let mut write = std::pin::pin!(bed.post("Patient", &body));
    bed.gate.until_held(&mut write).await;
    bed.gate.say(Says { replicated: true, ..Says::default() });
    let write = write.await;
    assert_eq!((write.status, write.header("x-firebreak-durability")), (201, "replicated".into()));
    bed.gate.say(Says {
        stall: Some(Refusal::Stalled { retry: Span::from_secs(1) }),
        ..Says::default()
    });
    let id = write.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(bed.get(&format!("Patient/{id}")).await.status, 503);
    assert_eq!(bed.get("Patient").await.status, 503);
}

#[tokio::test]
async fn health_tells_what_this_region_is() {
    let bed = Bed::new();
    let get = |path: &'static str| bed.raw("GET", path, &[], "");
    assert_eq!(get("/health/live").await.status, 200);
    assert_eq!(get("/health/ready").await.json()["status"], "ready");
    let primary = get("/health/primary?account=fhir").await;
    assert_eq!((primary.status, primary.json()["epoch"].as_u64()), (200, Some(1)));
    assert_eq!(get("/health/primary").await.status, 400);
    assert_eq!(get("/health/primary?account=other").await.status, 404);
    assert_eq!(get("/health/secondary?account=fhir").await.json()["status"], "not-secondary");
    assert_eq!(get("/health/nothing").await.status, 404);
    assert_eq!(bed.raw("POST", "/health/live", &[], "").await.status, 405);
    bed.gate.say(Says {
        admit: Some(Refusal::NotPrimary { epoch: Epoch::new(3) }),
        lag: Some(Span::from_ms(1500)),
        ..Says::default()
    });
    let primary = get("/health/primary?account=fhir").await;
    assert_eq!((primary.status, primary.json()["status"].as_str()), (503, Some("not-primary")));
    assert_eq!(get("/health/secondary?account=fhir").await.status, 200);
    assert_eq!(get("/health/secondary?account=fhir&max_lag=1s").await.status, 503);
    assert_eq!(get("/health/secondary?account=fhir&max_lag=x").await.status, 400);
    bed.gate.say(Says {
        admit: Some(Refusal::Stalled { retry: Span::from_secs(1) }),
        ..Says::default()
    });
    let throttled = get("/health/primary?account=fhir").await;
    assert_eq!((throttled.status, throttled.json()["status"].as_str()), (200, Some("throttled")));
}
