//! Batch and transaction.

use crate::bed::{Answer, Bed};
use base::Limits;
use serde_json::{Value, json};

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

async fn transact(bed: &Bed, entries: &[Value]) -> Answer {
    bed.post("", &bundle("transaction", entries)).await
}

fn post(full_url: &str, resource: Value) -> Value {
    let name = resource["resourceType"].clone();
    json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": name}})
}

fn patient(identifier: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": identifier}]})
}

fn observation(subject: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

async fn count(bed: &Bed, name: &str) -> u64 {
    bed.get(&format!("{name}?_summary=count")).await.json()["total"].as_u64().expect("a total")
}

#[tokio::test]
async fn references_by_full_url_lead_to_the_stored_resources() {
    let bed = Bed::new();
    let narrative = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:1\">p</a></div>"},
        "subject": {"reference": "urn:uuid:1"}});
    let answer =
        transact(&bed, &[post("urn:uuid:2", narrative), post("urn:uuid:1", patient("1"))]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    assert_eq!(bundle["type"], "transaction-response");
    let (observation, patient) = (&bundle["entry"][0], &bundle["entry"][1]);
    assert_eq!(observation["response"]["status"], "201 Created");
    assert_eq!(observation["response"]["etag"], "W/\"1\"");
    assert_eq!(
        observation["response"]["lastModified"],
        observation["resource"]["meta"]["lastUpdated"]
    );
    let target = format!("Patient/{}", patient["resource"]["id"].as_str().expect("an id"));
    assert_eq!(observation["resource"]["subject"]["reference"], target);
    let div = observation["resource"]["text"]["div"].as_str().expect("a narrative");
    assert!(div.contains(&format!("href=\"{target}\"")), "{div}");
    let location = patient["response"]["location"].as_str().expect("a location");
    assert_eq!(location, format!("http://test.example/fhir/{target}/_history/1"));
    assert!(!answer.header("x-firebreak-position").is_empty());
    let found = bed.get(&format!("Observation?subject={target}&_summary=count")).await;
    assert_eq!(found.json()["total"], 1);
}

#[tokio::test]
async fn conditional_references_lead_to_the_one_match() {
    let bed = Bed::new();
    let stored = bed.post("Patient", &patient("1").to_string()).await.json();
    let entries = [post("urn:uuid:2", observation("Patient?identifier=urn:x|1"))];
    let answer = transact(&bed, &entries).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let target = format!("Patient/{}", stored["id"].as_str().expect("an id"));
    assert_eq!(answer.json()["entry"][0]["resource"]["subject"]["reference"], target);

    let none =
        transact(&bed, &[post("urn:uuid:2", observation("Patient?identifier=urn:x|2"))]).await;
    assert_eq!(none.status, 412);
    bed.post("Patient", &patient("1").to_string()).await;
    assert_eq!(transact(&bed, &entries).await.status, 412);
    assert_eq!(count(&bed, "Observation").await, 1);
}

#[tokio::test]
async fn outside_of_a_transaction_a_conditional_reference_is_refused() {
    let bed = Bed::new();
    bed.post("Patient", &patient("1").to_string()).await;
    let mut alone = observation("Patient/1");
    alone["performer"] =
        json!([{"reference": "Patient/1"}, {"reference": "Patient?identifier=urn:x|1"}]);
    let refused = bed.post("Observation", &alone.to_string()).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.header("x-firebreak-applied"), "no");
    let issue = &refused.json()["issue"][0];
    assert_eq!(issue["expression"][0], "Observation.performer[1].reference");
    let told = issue["diagnostics"].as_str().expect("a text");
    assert!(told.contains("in a transaction only"), "{told}");

    alone["id"] = json!("o");
    assert_eq!(bed.put("Observation/o", &alone.to_string()).await.status, 422);
    let entries = [post("urn:uuid:2", observation("Patient?identifier=urn:x|1"))];
    let answer = bed.post("", &bundle("batch", &entries)).await.json();
    let response = &answer["entry"][0]["response"];
    assert_eq!(response["status"], "422 Unprocessable Entity");
    let place = &response["outcome"]["issue"][0]["expression"][0];
    assert_eq!(place, "Bundle.entry[0].resource.subject.reference");
    assert_eq!(count(&bed, "Observation").await, 0);

    // A transaction that is kept as a document is not acted on: what it holds is its own.
    let kept = bundle("transaction", &entries);
    assert_eq!(bed.post("Bundle", &kept).await.status, 201);
    // The query of an absolute URL is another server's.
    let foreign = observation("http://other.example/Patient?identifier=1");
    assert_eq!(bed.post("Observation", &foreign.to_string()).await.status, 201);
}

#[tokio::test]
async fn a_precondition_that_fails_names_its_entry() {
    let bed = Bed::new();
    let stored = bed.post("Patient", &patient("1").to_string()).await.json();
    let id = stored["id"].as_str().expect("an id");
    let url = format!("Patient/{id}");
    let put =
        json!({"resource": stored, "request": {"method": "PUT", "url": url, "ifMatch": "W/\"9\""}});
    // It is second in the bundle and, after the delete, third of the commit.
    let other = bed.post("Patient", &patient("2").to_string()).await.json();
    let other = format!("Patient/{}", other["id"].as_str().expect("an id"));
    let gone = json!({"request": {"method": "DELETE", "url": other}});
    let answer = transact(&bed, &[post("urn:uuid:1", patient("3")), put, gone]).await;
    assert_eq!(answer.status, 412, "{}", answer.text());
    assert_eq!(answer.json()["issue"][0]["expression"][0], "Bundle.entry[1]");
    assert_eq!(count(&bed, "Patient").await, 2);
}

/// Conditional references are resolved after the transaction's own changes.
#[tokio::test]
async fn conditional_references_see_what_the_transaction_changes() {
    let bed = Bed::new();
    let query = "Patient?identifier=urn:x|1";
    let both = [
        post("urn:uuid:1", observation(query)),
        post("urn:uuid:2", patient("1")),
        post("urn:uuid:3", patient("2")),
    ];
    let answer = transact(&bed, &both).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entries = answer.json()["entry"].clone();
    let id = entries[1]["resource"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(entries[0]["resource"]["subject"]["reference"], format!("Patient/{id}"));

    // One stored and one new are two.
    assert_eq!(transact(&bed, &both).await.status, 412);
    // The stored one is deleted, or does not match any more.
    let gone = json!({"request": {"method": "DELETE", "url": format!("Patient/{id}")}});
    let mut other = patient("3");
    other["id"] = json!(id);
    let url = format!("Patient/{id}");
    let changed = json!({"resource": other, "request": {"method": "PUT", "url": url}});
    for change in [changed, gone] {
        let refused = transact(&bed, &[change, post("urn:uuid:1", observation(query))]).await;
        assert_eq!(refused.status, 412, "{}", refused.text());
    }
    assert_eq!((count(&bed, "Patient").await, count(&bed, "Observation").await), (2, 1));
}

#[tokio::test]
async fn the_reads_of_one_bundle_tell_no_more_than_the_limit() {
    let bed = Bed::with(Limits { answer_bytes: 2000, ..Limits::default() });
    assert_eq!(bed.post("Patient", &patient("1").to_string()).await.status, 201);
    let read = json!({"request": {"method": "GET", "url": "Patient?_count=1000"}});
    let write = post("urn:uuid:1", patient("2"));
    let entries: Vec<Value> = (0..20).map(|_| read.clone()).chain([write]).collect();
    for kind in ["batch", "transaction"] {
        let answer = bed.post("", &bundle(kind, &entries)).await.json();
        let status =
            |at: usize| answer["entry"][at]["response"]["status"].as_str().map(|s| &s[..3]);
        // The reads of a batch are answered in any order.
        let refused: Vec<usize> = (0..20).filter(|at| status(*at) == Some("413")).collect();
        assert!((1..20).contains(&refused.len()), "{kind}: {refused:?} refused");
        assert!((0..20).all(|at| refused.contains(&at) || status(at) == Some("200")));
        assert_eq!(status(20), Some("201"));
        let outcome = &answer["entry"][refused[0]]["response"]["outcome"];
        let why = outcome["issue"][0]["diagnostics"].as_str();
        assert!(why.is_some_and(|why| why.contains("answer_bytes of 2000")), "{answer}");
    }
}

#[tokio::test]
async fn a_bundle_that_breaks_its_own_definition_is_refused_whole() {
    let bed = Bed::new();
    let mut entry = post("urn:uuid:0c8a7a1e-0000-4000-8000-000000000001", patient("a"));
    entry["requst"] = json!({});
    let nowhere = json!({"request": {"method": "POST", "url": ""}, "resource": patient("1")});
    let answer = transact(&bed, &[nowhere]).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["issue"][0]["expression"][0], "Bundle.entry[0].request.url");
    for kind in ["transaction", "batch"] {
        let answer = bed.post("", &bundle(kind, &[entry.clone()])).await;
        assert_eq!(answer.status, 422, "{kind}");
        let issue = &answer.json()["issue"][0];
        assert_eq!(issue["expression"][0], "Bundle.entry[0].requst");
    }
    assert_eq!(count(&bed, "Patient").await, 0);
}

#[tokio::test]
async fn one_refused_entry_refuses_all() {
    let bed = Bed::new();
    let mut bad = observation("urn:uuid:1");
    bad["colour"] = json!("red");
    let answer = transact(&bed, &[post("urn:uuid:1", patient("1")), post("urn:uuid:2", bad)]).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["issue"][0]["expression"][0], "Bundle.entry[1].resource.colour");
    assert_eq!(answer.header("x-firebreak-applied"), "no");
    assert_eq!(count(&bed, "Patient").await, 0);
    bed.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let stale = json!({"resource": {"resourceType": "Patient", "id": "p"},
        "request": {"method": "PUT", "url": "Patient/p", "ifMatch": "W/\"7\""}});
    let answer = transact(&bed, &[post("urn:uuid:1", patient("1")), stale]).await;
    assert_eq!(answer.status, 412);
    assert_eq!(count(&bed, "Patient").await, 1);
}

#[tokio::test]
async fn every_kind_of_entry_in_one_transaction() {
    let bed = Bed::new();
    bed.put("Patient/gone", r#"{"resourceType":"Patient","id":"gone"}"#).await;
    let known = bed.post("Patient", &patient("1").to_string()).await.json();
    let mut existing = post("urn:uuid:5", patient("1"));
    existing["request"]["ifNoneExist"] = json!("identifier=urn:x|1");
    let mut fresh = post("urn:uuid:6", patient("2"));
    fresh["request"]["ifNoneExist"] = json!("identifier=urn:x|2");
    let entries = [
        json!({"request": {"method": "GET", "url": "Patient/new"}}),
        json!({"request": {"method": "GET", "url": "Patient?identifier=urn:x|2"}}),
        json!({"resource": {"resourceType": "Patient", "id": "new"}, "request": {"method": "PUT", "url": "Patient/new"}}),
        existing,
        fresh,
        post("urn:uuid:7", observation("urn:uuid:5")),
        json!({"request": {"method": "DELETE", "url": "Patient/gone"}}),
        json!({"request": {"method": "GET", "url": "Patient/never"}}),
    ];
    let answer = transact(&bed, &entries).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    let status = |index: usize| bundle["entry"][index]["response"]["status"].clone();
    let statuses: Vec<Value> = (0..entries.len()).map(status).collect();
    assert_eq!(
        statuses,
        [
            "200 OK",
            "200 OK",
            "201 Created",
            "200 OK",
            "201 Created",
            "201 Created",
            "204 No Content",
            "404 Not Found"
        ]
    );
    assert_eq!(bundle["entry"][0]["resource"]["id"], "new");
    assert_eq!(bundle["entry"][1]["resource"]["total"], 1);
    let target = format!("Patient/{}", known["id"].as_str().expect("an id"));
    assert_eq!(bundle["entry"][5]["resource"]["subject"]["reference"], target);
    assert_eq!(bundle["entry"][7]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert_eq!(bed.get("Patient/gone").await.status, 410);
}

#[tokio::test]
async fn entries_in_each_others_way_are_refused() {
    let bed = Bed::new();
    let put = |id: &str| json!({"resource": {"resourceType": "Patient", "id": id}, "request": {"method": "PUT", "url": format!("Patient/{id}")}});
    let mut first = post("urn:uuid:1", patient("1"));
    first["request"]["ifNoneExist"] = json!("identifier=urn:x|1");
    let mut second = post("urn:uuid:2", patient("1"));
    second["request"]["ifNoneExist"] = json!("identifier=urn:x|1");
    for entries in [
        vec![put("a"), put("a")],
        vec![put("a"), json!({"request": {"method": "DELETE", "url": "Patient/a"}})],
        vec![post("urn:uuid:1", patient("1")), post("urn:uuid:1", patient("2"))],
        vec![first, second],
        vec![json!({"resource": patient("1")})],
        vec![json!({"request": {"method": "POST", "url": "Patient"}})],
        vec![json!({"request": {"method": "FETCH", "url": "Patient/1"}})],
    ] {
        let answer = transact(&bed, &entries).await;
        assert_eq!(answer.status, 400, "{entries:?} {}", answer.text());
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    assert_eq!(count(&bed, "Patient").await, 0);
    let entry = json!({"resource": patient("1")});
    let history = bed.post("", &bundle("history", &[entry])).await;
    assert_eq!(history.status, 400);
    assert_eq!(bed.post("", &patient("1").to_string()).await.status, 400);
}

#[tokio::test]
async fn a_batch_answers_each_entry_by_itself() {
    let bed = Bed::new();
    let mut bad = patient("2");
    bad["colour"] = json!("red");
    let mut known = post("urn:uuid:3", patient("1"));
    known["request"]["ifNoneExist"] = json!("identifier=urn:y|1");
    let entries = [
        post("urn:uuid:1", patient("1")),
        post("urn:uuid:2", bad),
        json!({"request": {"method": "GET", "url": "Patient/never"}}),
        known,
        json!({"request": {"method": "GET", "url": "Patient?_summary=count"}}),
    ];
    let answer = bed.post("", &bundle("batch", &entries)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = answer.json();
    assert_eq!(response["type"], "batch-response");
    let status = |index: usize| response["entry"][index]["response"]["status"].clone();
    assert_eq!(
        (0..5).map(status).collect::<Vec<_>>(),
        ["201 Created", "422 Unprocessable Entity", "404 Not Found", "201 Created", "200 OK"]
    );
    let place = &response["entry"][1]["response"]["outcome"]["issue"][0]["expression"][0];
    assert_eq!(place, "Bundle.entry[1].resource.colour");
    assert_eq!(count(&bed, "Patient").await, 2);
}

#[tokio::test]
async fn large_bundles_keep_their_order() {
    let bed = Bed::new();
    for kind in ["transaction", "batch"] {
        let entries: Vec<Value> = (0..500)
            .map(|n| post(&format!("urn:uuid:{n}"), patient(&format!("{kind}-{n}"))))
            .collect();
        let answer = bed.post("", &bundle(kind, &entries)).await.json();
        for n in 0..500 {
            assert_eq!(
                answer["entry"][n]["resource"]["identifier"][0]["value"],
                format!("{kind}-{n}")
            );
        }
    }
    assert_eq!(count(&bed, "Patient").await, 1000);
}

#[tokio::test]
async fn a_repeated_bundle_changes_nothing_more() {
    let bed = Bed::new();
    bed.put("Patient/gone", r#"{"resourceType":"Patient","id":"gone"}"#).await;
    let mut fresh = post("urn:uuid:6", patient("2"));
    fresh["request"]["ifNoneExist"] = json!("identifier=urn:x|2");
    let entries = [
        post("urn:uuid:1", patient("1")),
        fresh,
        json!({"resource": {"resourceType": "Patient", "id": "new"}, "request": {"method": "PUT", "url": "Patient/new"}}),
        post("urn:uuid:7", observation("urn:uuid:6")),
        json!({"request": {"method": "DELETE", "url": "Patient/gone"}}),
    ];
    let text = bundle("transaction", &entries);
    let send = || bed.send("POST", "", &[("idempotency-key", "k")], &text);
    let (first, again) = (send().await, send().await);
    assert_eq!((first.status, again.status), (200, 200), "{}", again.text());
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("x-firebreak-position"), first.header("x-firebreak-position"));
    assert_eq!(count(&bed, "Patient").await, 3);
    let text = bundle("batch", &entries[..3]);
    let send = || bed.send("POST", "", &[("idempotency-key", "b")], &text);
    let (first, again) = (send().await, send().await);
    assert_eq!((first.status, &again.body), (200, &first.body));
}
