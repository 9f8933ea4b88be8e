//! Create, read, vread, update, delete, and the headers around them.

use crate::bed::{Bed, patient};

#[tokio::test]
async fn create_answers_where_and_what() {
    let bed = Bed::new();
    let created = bed.post("Patient", &patient("Ada")).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert_eq!(
        created.header("content-type"),
        "application/fhir+json;fhirVersion=4.0;charset=utf-8"
    );
    assert_eq!(created.header("x-firebreak-durability"), "local");
    assert!(created.header("x-firebreak-position").starts_with("1."));
    assert!(!created.header("x-request-id").is_empty());
    let body = created.json();
    let id = body["id"].as_str().expect("an id");
    assert_eq!(
        created.header("location"),
        format!("http://test.example/fhir/Patient/{id}/_history/1")
    );
    assert_eq!(body["meta"]["versionId"], "1");
    assert_eq!(body["name"][0]["family"], "Ada");

    let read = bed.get(&format!("Patient/{id}")).await;
    assert_eq!((read.status, &read.body), (200, &created.body));
    assert_eq!(read.header("last-modified"), created.header("last-modified"));
}

#[tokio::test]
async fn a_client_cannot_choose_the_id_of_a_create() {
    let bed = Bed::new();
    let body = r#"{"resourceType":"Patient","id":"mine","meta":{"versionId":"9","lastUpdated":"2000-01-01T00:00:00Z","tag":[{"code":"x"}]}}"#;
    let created = bed.post("Patient", body).await.json();
    assert_ne!(created["id"], "mine");
    assert_eq!(created["meta"]["versionId"], "1");
    assert_ne!(created["meta"]["lastUpdated"], "2000-01-01T00:00:00Z");
    assert_eq!(created["meta"]["tag"][0]["code"], "x");
}

#[tokio::test]
async fn update_makes_versions_and_may_create() {
    let bed = Bed::new();
    let body = |name: &str| {
        format!(r#"{{"resourceType":"Patient","id":"p","name":[{{"family":"{name}"}}]}}"#)
    };
    let first = bed.put("Patient/p", &body("A")).await;
    assert_eq!((first.status, first.header("etag")), (201, "W/\"1\"".into()));
    let second = bed.put("Patient/p", &body("B")).await;
    assert_eq!((second.status, second.header("etag")), (200, "W/\"2\"".into()));
    assert_eq!(second.header("location"), "http://test.example/fhir/Patient/p/_history/2");
    let old = bed.get("Patient/p/_history/1").await;
    assert_eq!(old.json()["name"][0]["family"], "A");
    assert_eq!(bed.get("Patient/p").await.body, second.body);
    assert_eq!(bed.get("Patient/p/_history/3").await.status, 404);
    assert_eq!(bed.get("Patient/p/_history/x").await.status, 404);
}

#[tokio::test]
async fn the_body_must_name_what_the_url_names() {
    let bed = Bed::new();
    for (path, body) in [
        ("Patient/p", r#"{"resourceType":"Patient"}"#),
        ("Patient/p", r#"{"resourceType":"Patient","id":"q"}"#),
        (
            "Patient/p",
            r#"{"resourceType":"Observation","id":"p","status":"final","code":{"text":"x"}}"#,
        ),
    ] {
        let answer = bed.put(path, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.header("x-firebreak-applied"), "no");
    }
    let answer = bed.post("Observation", &patient("A")).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn delete_is_kept_as_a_version_and_can_be_repeated() {
    let bed = Bed::new();
    bed.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let deleted = bed.delete("Patient/p").await;
    assert_eq!((deleted.status, deleted.header("etag")), (204, "W/\"2\"".into()));
    assert!(deleted.body.is_empty());
    assert_eq!(bed.get("Patient/p").await.status, 410);
    assert_eq!(bed.get("Patient/p/_history/2").await.status, 410);
    assert_eq!(bed.get("Patient/p/_history/1").await.status, 200);
    assert_eq!(bed.delete("Patient/p").await.status, 204);
    assert_eq!(bed.delete("Patient/never").await.status, 204);
    assert_eq!(bed.get("Patient/never").await.status, 404);
    let again = bed.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    assert_eq!((again.status, again.header("etag")), (201, "W/\"3\"".into()));
}

#[tokio::test]
async fn prefer_says_what_comes_back() {
    let bed = Bed::new();
    let body = patient("A");
    let send = |prefer: &'static str| bed.one("POST", "Patient", ("prefer", prefer), &body);
    let minimal = send("return=minimal").await;
    assert_eq!((minimal.status, minimal.body.len()), (201, 0));
    assert!(!minimal.header("location").is_empty());
    let whole = send("return=representation").await;
    assert_eq!(whole.json()["resourceType"], "Patient");
    let outcome = send("return=OperationOutcome").await;
    assert_eq!(outcome.json()["resourceType"], "OperationOutcome");
}

#[tokio::test]
async fn conditional_reads_spare_the_body() {
    let bed = Bed::new();
    let put = bed.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let read = |name: &'static str, value: String| {
        let bed = &bed;
        async move { bed.send("GET", "Patient/p", &[(name, value.as_str())], "").await }
    };
    let same = read("if-none-match", "W/\"1\"".into()).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), "W/\"1\"");
    assert_eq!(read("if-none-match", "W/\"2\"".into()).await.status, 200);
    assert_eq!(read("if-modified-since", put.header("last-modified")).await.status, 304);
    assert_eq!(read("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT".into()).await.status, 200);
}

#[tokio::test]
async fn the_base_works_with_and_without_a_slash() {
    let bed = Bed::new();
    assert_eq!(bed.raw("GET", "/fhir?_type=Patient", &[], "").await.status, 200);
    assert_eq!(bed.raw("GET", "/fhir/?_type=Patient", &[], "").await.status, 200);
    assert_eq!(bed.raw("GET", "/fhir/Patient/", &[], "").await.status, 200);
    assert_eq!(bed.raw("GET", "/other/Patient", &[], "").await.status, 404);
    assert_eq!(bed.raw("GET", "/", &[], "").await.status, 404);
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let bed = Bed::new();
    for (method, path, status) in [
        ("PATCH", "Patient/p", 405),
        ("DELETE", "metadata", 405),
        ("POST", "Patient/p", 405),
        ("GET", "Patient/p/$everything", 501),
        ("POST", "$export", 501),
        ("GET", "Patient/p/Observation", 501),
        ("PUT", "Patient?identifier=x", 501),
        ("DELETE", "Patient?identifier=x", 501),
        ("GET", "Patients", 404),
        ("GET", "Patient/a_b", 400),
    ] {
        let answer = bed.send(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{method} {path}");
    }
    let refused = bed.send("PATCH", "Patient/p", &[], "").await;
    assert_eq!(refused.header("allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    let options = bed.send("OPTIONS", "Patient", &[], "").await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, POST, OPTIONS".into()));
}

#[tokio::test]
async fn a_resource_that_breaks_its_definition_is_refused_with_the_place() {
    let bed = Bed::new();
    let refused = bed.post("Patient", r#"{"resourceType":"Patient","nme":[]}"#).await;
    assert_eq!(refused.status, 422);
    let place = refused.json()["issue"][0]["expression"][0].as_str().map(str::to_owned);
    assert_eq!(place.as_deref(), Some("Patient.nme"));
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"resourceType":"Nothing"}"#,
        r#"{"resourceType":"Patient","id":"1","id":"2"}"#,
    ] {
        let refused = bed.post("Patient", body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(refused.header("x-firebreak-applied"), "no");
        assert_eq!(refused.json()["issue"][0]["severity"], "error", "{body}");
    }
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 0);
}

#[tokio::test]
async fn media_types_are_negotiated() {
    let bed = Bed::new();
    let body = patient("A");
    let typed = |value: &'static str| bed.one("POST", "Patient", ("content-type", value), &body);
    assert_eq!(typed("application/fhir+xml").await.status, 415);
    assert_eq!(typed("application/x-www-form-urlencoded").await.status, 415);
    assert_eq!(typed("application/json").await.status, 201);
    let accept = |value: &'static str| bed.one("GET", "Patient", ("accept", value), "");
    assert_eq!(accept("application/fhir+xml").await.status, 406);
    assert_eq!(accept("text/html").await.status, 406);
    assert_eq!(accept("text/html, */*;q=0.1").await.status, 200);
    assert_eq!(bed.get("Patient?_format=xml").await.status, 406);
    assert_eq!(bed.get("Patient?_format=json").await.status, 200);
}

#[tokio::test]
async fn a_request_id_is_echoed() {
    let bed = Bed::new();
    let answer = bed.send("GET", "Patient/none", &[("x-request-id", "abc-1")], "").await;
    assert_eq!((answer.status, answer.header("x-request-id")), (404, "abc-1".into()));
}

#[tokio::test]
async fn an_encoded_body_is_refused_and_changes_nothing() {
    let bed = Bed::new();
    let body = patient("A");
    for (method, path) in
        [("POST", "Patient"), ("PUT", "Patient/p"), ("POST", ""), ("POST", "Patient/_search")]
    {
        let refused = bed.one(method, path, ("content-encoding", "gzip"), &body).await;
        assert_eq!(refused.status, 415, "{method} {path}: {}", refused.text());
        assert!(refused.text().contains("gzip"), "{}", refused.text());
        assert_eq!(refused.header("x-firebreak-applied"), "no");
    }
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 0);
    let plain = bed.one("POST", "Patient", ("content-encoding", "identity"), &body).await;
    assert_eq!(plain.status, 201, "{}", plain.text());
}
