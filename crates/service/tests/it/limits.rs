//! Every limit, and the error that names it.

use crate::bed::{Bed, patient};
use base::Limits;
use serde_json::{Value, json};

fn diagnostics(answer: &crate::bed::Answer) -> String {
    answer.json()["issue"][0]["diagnostics"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn bodies_urls_bundles_and_nesting_are_bounded() {
    let limits =
        Limits { body_bytes: 2000, url_bytes: 200, bundle_entries: 2, ..Limits::default() };
    let bed = Bed::with(limits);
    let long = bed.post("Patient", &patient(&"x".repeat(2000))).await;
    assert_eq!((long.status, long.header("x-firebreak-applied")), (413, "no".into()));
    assert!(diagnostics(&long).contains("body_bytes of 2000"));
    let url = bed.get(&format!("Patient?family={}", "x".repeat(200))).await;
    assert_eq!(url.status, 414);
    assert!(diagnostics(&url).contains("url_bytes of 200"));
    let entry = json!({"request": {"method": "GET", "url": "Patient/1"}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry, entry, entry]});
    let many = bed.post("", &bundle.to_string()).await;
    assert_eq!(many.status, 413);
    assert!(diagnostics(&many).contains("bundle_entries of 2"));
    let deep = bed.post("Patient", &"[".repeat(1000)).await;
    assert_eq!(deep.status, 400);
    assert!(diagnostics(&deep).contains("64"), "{}", diagnostics(&deep));
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let bed = Bed::with(Limits { bodies_bytes: 4096, ..Limits::default() });
    assert_eq!(bed.post("Patient", &patient(&"x".repeat(2000))).await.status, 201);
    let full = bed.post("Patient", &patient(&"x".repeat(5000))).await;
    assert_eq!((full.status, full.header("x-firebreak-applied")), (429, "no".into()));
    assert!(diagnostics(&full).contains("bodies_bytes of 4096"));
    assert_eq!(bed.post("Patient", &patient(&"x".repeat(2000))).await.status, 201);
}

/// A body that stops after its first piece.
struct Stuck(Option<bytes::Bytes>);

impl hyper::body::Body for Stuck {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        match self.0.take() {
            Some(data) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(data)))),
            None => std::task::Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_not_waited_for_and_takes_only_what_it_sent() {
    let bed = Bed::with(Limits { bodies_bytes: 8192, body_silence_ms: 200, ..Limits::default() });
    let request = http::Request::builder()
        .method("POST")
        .uri("/fhir/Patient")
        .header("host", "test.example")
        .header("content-type", "application/fhir+json")
        .header("content-length", "8192")
        .body(Stuck(Some("{".into())))
        .expect("the request is well-formed");
    let stuck = bed.service.answer(request, service::Scheme::Http);
    let body = patient("A");
    let small = bed.post("Patient", &body);
    let (stuck, small) = tokio::join!(stuck, small);
    assert_eq!((stuck.status().as_u16(), small.status), (408, 201));
}

#[tokio::test]
async fn a_page_is_bounded_however_much_is_asked_for() {
    let bed = Bed::with(Limits { page_entries: 3, page_entries_default: 2, ..Limits::default() });
    for _ in 0..5 {
        bed.post("Patient", &patient("A")).await;
    }
    let len = |bundle: &Value| bundle["entry"].as_array().map_or(0, Vec::len);
    assert_eq!(len(&bed.get("Patient").await.json()), 2);
    assert_eq!(len(&bed.get("Patient?_count=100").await.json()), 3);
    assert_eq!(len(&bed.get("_history?_count=100").await.json()), 3);
    assert_eq!(bed.get("Patient?_count=x").await.status, 400);
    assert_eq!(bed.get("_history?_count=-1").await.status, 400);
}

#[tokio::test]
async fn a_page_ends_before_its_bytes_and_the_next_goes_on_from_there() {
    let bed = Bed::with(Limits { page_bytes: 4000, ..Limits::default() });
    for id in 0..7 {
        let text = "x".repeat(if id == 3 { 9000 } else { 1000 });
        let body =
            json!({"resourceType": "Patient", "id": id.to_string(), "name": [{"text": text}]});
        assert_eq!(bed.put(&format!("Patient/{id}"), &body.to_string()).await.status, 201);
    }
    for path in ["Patient", "Patient?_sort=-_lastUpdated", "Patient/_history", "_history"] {
        let mut page = bed.get(path).await.json();
        let (mut lens, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
        loop {
            let entries = page["entry"].as_array().expect("no page is empty").clone();
            lens.push(entries.len());
            ids.extend(entries.iter().map(|entry| entry["resource"]["id"].to_string()));
            let links = page["link"].as_array().expect("links");
            let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
            let next = next["url"].as_str().and_then(|url| url.strip_prefix("http://test.example"));
            page = bed.raw("GET", next.expect("a link of this server"), &[], "").await.json();
        }
        assert_eq!((lens, ids.len()), (vec![3, 1, 3], 7), "{path}");
    }
    let entry = json!({"request": {"method": "GET", "url": "Patient"}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let told = bed.post("", &bundle.to_string()).await.json();
    assert_eq!(told["entry"][0]["resource"]["entry"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn more_requests_than_the_limit_are_sent_away_unapplied() {
    let bed = Bed::with(Limits { concurrency: 0, ..Limits::default() });
    let busy = bed.post("Patient", &patient("A")).await;
    assert_eq!((busy.status, busy.header("retry-after")), (429, "1".into()));
    assert_eq!(busy.header("x-firebreak-applied"), "no");
    assert_eq!(bed.raw("GET", "/health/live", &[], "").await.status, 200);
}
