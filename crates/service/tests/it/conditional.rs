//! Preconditions, conditional create, and repeated requests.

use crate::bed::{Bed, patient};

const P: &str = r#"{"resourceType":"Patient","id":"p"}"#;
const KNOWN: &str = r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}]}"#;

#[tokio::test]
async fn if_match_and_if_none_match_guard_a_change() {
    let bed = Bed::new();
    let put =
        |name: &'static str, value: &'static str| bed.one("PUT", "Patient/p", (name, value), P);
    assert_eq!(put("if-match", "W/\"1\"").await.status, 412);
    assert_eq!(put("if-none-match", "*").await.status, 201);
    assert_eq!(put("if-none-match", "*").await.status, 412);
    assert_eq!(put("if-match", "W/\"1\"").await.status, 200);
    assert_eq!(put("if-match", "W/\"1\"").await.status, 412);
    assert_eq!(put("if-match", "W/\"foreign\"").await.status, 412);
    assert_eq!(put("if-match", "*").await.status, 400);
    let delete = |value: &'static str| bed.one("DELETE", "Patient/p", ("if-match", value), "");
    assert_eq!(delete("W/\"1\"").await.status, 412);
    assert_eq!(delete("W/\"2\"").await.status, 204);
}

#[tokio::test]
async fn conditional_create_makes_one() {
    let bed = Bed::new();
    let create = || bed.one("POST", "Patient", ("if-none-exist", "identifier=urn:x|1"), KNOWN);
    let first = create().await;
    assert_eq!(first.status, 201);
    let second = create().await;
    assert_eq!((second.status, second.header("location")), (200, first.header("location")));
    assert_eq!(second.body, first.body);
    bed.post("Patient", KNOWN).await;
    let several = create().await;
    assert_eq!(several.status, 412);
    for query in ["", "nosuch=1", "_count=1"] {
        let refused = bed.send("POST", "Patient", &[("if-none-exist", query)], KNOWN).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn many_conditional_creates_at_one_time_make_one() {
    let bed = Bed::new();
    let headers = [("if-none-exist", "identifier=urn:x|1")];
    let all = (0..16).map(|_| bed.send("POST", "Patient", &headers, KNOWN));
    let mut statuses: Vec<u16> = Vec::new();
    for answer in crate::bed::join(all).await {
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses[15], 201);
    assert!(statuses[..15].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 1);
}

#[tokio::test]
async fn a_repeated_key_gives_the_same_answer_and_no_second_write() {
    let bed = Bed::new();
    let create = |key: &'static str, body: String| {
        let bed = &bed;
        async move { bed.send("POST", "Patient", &[("idempotency-key", key)], &body).await }
    };
    let first = create("k1", patient("A")).await;
    let again = create("k1", patient("A")).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    for name in ["location", "etag", "last-modified", "x-firebreak-position"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(create("k1", patient("B")).await.status, 422);
    assert_eq!(create("k2", patient("A")).await.status, 201);
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 2);
}

#[tokio::test]
async fn a_key_counts_for_a_url_with_and_without_the_last_slash() {
    let bed = Bed::new();
    let key = [("idempotency-key", "k1")];
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"resource":{},
        "request":{{"method":"POST","url":"Patient"}}}}]}}"#,
        patient("A")
    );
    let first = bed.raw("POST", "/fhir", &key, &bundle).await;
    let again = bed.raw("POST", "/fhir/", &key, &bundle).await;
    assert_eq!((first.status, again.status, &again.body), (200, 200, &first.body));
    let key = [("idempotency-key", "k2")];
    let first = bed.raw("POST", "/fhir/Patient/?_format=json", &key, &patient("B")).await;
    let again = bed.raw("POST", "/fhir/Patient?_format=json", &key, &patient("B")).await;
    assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body));
    let other = bed.raw("POST", "/fhir/Patient", &key, &patient("B")).await;
    assert_eq!(other.status, 422);
    assert_eq!(bed.get("Patient?_summary=count").await.json()["total"], 2);
}

#[tokio::test]
async fn a_repeated_conditional_create_is_still_a_create() {
    let bed = Bed::new();
    let headers = [("if-none-exist", "identifier=urn:x|1"), ("idempotency-key", "k")];
    let first = bed.send("POST", "Patient", &headers, KNOWN).await;
    let again = bed.send("POST", "Patient", &headers, KNOWN).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn a_repeated_update_and_delete_change_nothing_more() {
    let bed = Bed::new();
    bed.put("Patient/p", P).await;
    let headers = [("idempotency-key", "u"), ("if-match", "W/\"1\"")];
    let first = bed.send("PUT", "Patient/p", &headers, P).await;
    let again = bed.send("PUT", "Patient/p", &headers, P).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(again.header("etag"), "W/\"2\"");
    let headers = [("idempotency-key", "d")];
    let first = bed.send("DELETE", "Patient/p", &headers, "").await;
    bed.put("Patient/p", P).await;
    let again = bed.send("DELETE", "Patient/p", &headers, "").await;
    assert_eq!((first.status, again.status), (204, 204));
    assert_eq!(bed.get("Patient/p").await.header("etag"), "W/\"4\"");
}
