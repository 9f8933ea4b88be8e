//! Search and history: bundles of pages.

use crate::bed::{Answer, Bed, patient};
use serde_json::Value;

fn link<'a>(bundle: &'a Value, relation: &str) -> Option<&'a str> {
    let links = bundle["link"].as_array()?;
    links.iter().find(|link| link["relation"] == relation)?["url"].as_str()
}

/// Follows `next` links to the end: the ids of all entries.
async fn walk(bed: &Bed, first: Answer) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page = first.json();
    for _ in 0..100 {
        for entry in page["entry"].as_array().into_iter().flatten() {
            ids.push(entry["fullUrl"].as_str().expect("a URL").to_owned());
        }
        let Some(next) = link(&page, "next") else { return ids };
        let path = next.strip_prefix("http://test.example").expect("a link of this server");
        let answer = bed.raw("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        page = answer.json();
    }
    panic!("the list does not end");
}

#[tokio::test]
async fn search_finds_pages_and_links() {
    let bed = Bed::new();
    for n in 0..25 {
        bed.post("Patient", &patient(if n % 5 == 0 { "Match" } else { "Other" })).await;
    }
    let found = bed.get("Patient?family=match&_count=2").await;
    let bundle = found.json();
    assert_eq!(bundle["type"], "searchset");
    assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(2));
    assert_eq!(bundle["entry"][0]["search"]["mode"], "match");
    let id = bundle["entry"][0]["resource"]["id"].as_str().expect("an id");
    assert_eq!(bundle["entry"][0]["fullUrl"], format!("http://test.example/fhir/Patient/{id}"));
    assert!(
        link(&bundle, "self")
            .expect("a link")
            .starts_with("http://test.example/fhir/Patient?family=")
    );
    let mut all = walk(&bed, found).await;
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);

    let none = bed.get("Patient?family=nobody").await.json();
    assert_eq!((none["total"].as_u64(), none.get("entry")), (Some(0), None));
    let count = bed.get("Patient?family=match&_summary=count").await.json();
    assert_eq!((count["total"].as_u64(), count.get("entry")), (Some(5), None));
    let count = bed.get("Patient?family=match&_count=0").await.json();
    assert_eq!((count["total"].as_u64(), count.get("entry")), (Some(5), None));
    let accurate = bed.get("Patient?family=match&_count=2&_total=accurate").await.json();
    assert_eq!(accurate["total"], 5);
}

#[tokio::test]
async fn a_reference_below_the_own_base_is_the_relative_one() {
    let bed = Bed::new();
    let urls = ["", "http://test.example/fhir/", "http://elsewhere.example/fhir/"];
    for (n, base) in urls.iter().enumerate() {
        let body = format!(
            r#"{{"resourceType":"Observation","id":"r{n}","status":"final",
            "code":{{"text":"x"}},"subject":{{"reference":"{base}Patient/p1"}}}}"#
        );
        assert_eq!(bed.put(&format!("Observation/r{n}"), &body).await.status, 201);
    }
    let own = "http://test.example/fhir/Patient/p1";
    for name in ["patient", "subject", "subject:Patient"] {
        for value in ["p1", "Patient/p1", own] {
            let query = format!("Observation?_id=r0,r1,r2&{name}={value}");
            assert_eq!(bed.get(&query).await.json()["total"], 2, "{query}");
        }
        let other = format!("Observation?{name}=http://elsewhere.example/fhir/Patient/p1");
        assert_eq!(bed.get(&other).await.json()["total"], 1, "{other}");
    }
    // Without `public_url` the base is what the client says.
    let elsewhere = [("host", "elsewhere.example")];
    let there = bed.send("GET", "Observation?patient=p1", &elsewhere, "").await;
    assert_eq!(there.json()["total"], 2);
}

#[tokio::test]
async fn search_by_form_and_over_all_types() {
    let bed = Bed::new();
    bed.post("Patient", &patient("A")).await;
    bed.post("Organization", r#"{"resourceType":"Organization","name":"B"}"#).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let found = bed.send("POST", "Patient/_search", &form, "family=A").await;
    assert_eq!(found.json()["total"], 1, "{}", found.text());
    let found = bed.send("POST", "Patient/_search?family=A", &[], "").await;
    assert_eq!(found.json()["total"], 1);
    let found = bed.send("POST", "_search", &form, "_type=Patient").await;
    assert_eq!(found.json()["total"], 1, "{}", found.text());
    let found = bed.send("POST", "_search", &form, "_type=Patient,Organization").await;
    assert_eq!(found.status, 400);
    assert_eq!(bed.get("?_lastUpdated=ge2000").await.json()["total"], 2);
    assert_eq!(bed.get("?_type=Organization").await.json()["total"], 1);
    let json = [("content-type", "application/fhir+json")];
    assert_eq!(bed.send("POST", "Patient/_search", &json, "{}").await.status, 415);
}

#[tokio::test]
async fn unknown_parameters_are_refused_unless_lenient_and_then_named() {
    let bed = Bed::new();
    bed.post("Patient", &patient("A")).await;
    let refused = bed.get("Patient?colour=red").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("colour"), "{}", refused.text());
    let lenient =
        bed.send("GET", "Patient?colour=red", &[("prefer", "handling=lenient")], "").await;
    let bundle = lenient.json();
    assert_eq!(lenient.status, 200);
    assert_eq!(bundle["entry"][1]["search"]["mode"], "outcome");
    assert!(bundle["entry"][1]["resource"].to_string().contains("colour"));
    assert!(!link(&bundle, "self").expect("a link").contains("colour"));
    for path in [
        "Patient?_cursor=x",
        "Patient/_history?_cursor=x",
        "Patient/_history?x=1",
        "Patient/_history?_since=monday",
    ] {
        assert_eq!(bed.get(path).await.status, 400, "{path}");
    }
    assert_eq!(bed.get("Patient/x?name=1").await.status, 400);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let bed = Bed::new();
    for family in ["A", "A", "A"] {
        bed.post("Patient", &patient(family)).await;
        bed.post("Organization", r#"{"resourceType":"Organization","name":"A"}"#).await;
    }
    let pages = ["Patient?_count=1", "Patient?family=A&_count=1", "Patient/_history?_count=1"];
    for first in pages {
        let page = bed.get(first).await.json();
        let next = link(&page, "next").expect("there is more").to_owned();
        let cursor = next.split_once("_cursor=").expect("a cursor").1;
        let good = bed.get(&format!("{first}&_cursor={cursor}")).await;
        assert_eq!(good.status, 200, "{}", good.text());
        let other = ["Organization", "Patient?family=B", "Organization/_history", "_history", ""];
        for other in pages.iter().filter(|page| **page != first).chain(&other) {
            let joint = if other.contains('?') { '&' } else { '?' };
            let bad = bed.get(&format!("{other}{joint}_cursor={cursor}")).await;
            assert_eq!(bad.status, 400, "{first} at {other}: {}", bad.text());
            let issue = &bad.json()["issue"][0];
            assert_eq!(issue["expression"][0], "http._cursor", "{}", bad.text());
        }
    }
}

#[tokio::test]
async fn a_history_of_no_entries_tells_their_number() {
    let bed = Bed::new();
    let body = r#"{"resourceType":"Patient","id":"p"}"#;
    for _ in 0..3 {
        bed.put("Patient/p", body).await;
    }
    let third = bed.get("Patient/p").await.json();
    bed.delete("Patient/p").await;
    bed.post("Organization", r#"{"resourceType":"Organization","name":"B"}"#).await;
    let since = format!("_since={}", third["meta"]["lastUpdated"].as_str().expect("a stamp"));
    for (path, total) in [
        ("Patient/p/_history?_count=0".to_owned(), 4),
        (format!("Patient/p/_history?_count=0&{since}"), 2),
        ("Patient/_history?_count=0".to_owned(), 4),
        (format!("Patient/_history?_count=0&{since}"), 2),
        ("_history?_count=0".to_owned(), 5),
        ("Group/_history?_count=0".to_owned(), 0),
    ] {
        let bundle = bed.get(&path).await.json();
        assert_eq!(
            (bundle["type"].as_str(), bundle["total"].as_u64()),
            (Some("history"), Some(total))
        );
        assert!(bundle.get("entry").is_none() && link(&bundle, "next").is_none(), "{bundle}");
        assert!(link(&bundle, "self").expect("a link").contains("_count=0"), "{bundle}");
    }
    assert_eq!(bed.get("Patient/never/_history?_count=0").await.status, 404);
}

#[tokio::test]
async fn history_of_instance_type_and_system() {
    let bed = Bed::new();
    let body = r#"{"resourceType":"Patient","id":"p"}"#;
    bed.put("Patient/p", body).await;
    let second = bed.put("Patient/p", body).await;
    bed.delete("Patient/p").await;
    bed.post("Organization", r#"{"resourceType":"Organization","name":"B"}"#).await;
    let history = bed.get("Patient/p/_history").await.json();
    assert_eq!((history["type"].as_str(), history["total"].as_u64()), (Some("history"), Some(3)));
    let shape: Vec<String> = history["entry"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| {
            let (request, response) = (&entry["request"], &entry["response"]);
            format!(
                "{} {} {} {} {}",
                request["method"].as_str().expect("a method"),
                request["url"].as_str().expect("a url"),
                response["status"].as_str().expect("a status"),
                response["etag"].as_str().expect("an etag"),
                entry.get("resource").is_some()
            )
        })
        .collect();
    assert_eq!(
        shape,
        [
            "DELETE Patient/p 204 No Content W/\"3\" false",
            "PUT Patient/p 200 OK W/\"2\" true",
            "PUT Patient/p 201 Created W/\"1\" true"
        ]
    );
    let stored: Value = serde_json::from_slice(&second.body).expect("it is JSON");
    assert_eq!(history["entry"][1]["resource"], stored);
    assert_eq!(bed.get("Patient/_history").await.json()["total"], 3);
    assert_eq!(bed.get("_history").await.json()["total"], 4);
    assert_eq!(bed.get("Patient/never/_history").await.status, 404);
    let since = stored["meta"]["lastUpdated"].as_str().expect("a stamp");
    let newer = bed.get(&format!("Patient/p/_history?_since={since}")).await.json();
    assert!(newer["entry"].as_array().expect("entries").len() >= 2);
}

#[tokio::test]
async fn history_pages_lead_through_every_version_once() {
    let bed = Bed::new();
    let body = r#"{"resourceType":"Patient","id":"p"}"#;
    for _ in 0..7 {
        bed.put("Patient/p", body).await;
    }
    for path in ["Patient/p/_history", "Patient/_history", "_history"] {
        let first = bed.get(&format!("{path}?_count=3")).await;
        assert_eq!(walk(&bed, first).await.len(), 7, "{path}");
    }
}

#[tokio::test]
async fn a_history_says_how_each_resource_came_to_be() {
    let bed = Bed::new();
    let named = |id: &str| format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
    let absent = [("if-none-match", "*")];
    // Shaped like a server's id: an update still says that it is one.
    let minted = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
    bed.put("Patient/a1", &named("a1")).await;
    bed.delete("Patient/a1").await;
    bed.put("Patient/a1", &named("a1")).await;
    bed.send("PUT", "Patient/a2", &absent, &named("a2")).await;
    bed.put(&format!("Patient/{minted}"), &named(minted)).await;
    bed.post("Patient", &patient("A")).await;
    let transaction = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[
        {{"resource":{},"request":{{"method":"PUT","url":"Patient/a3"}}}},
        {{"resource":{},"request":{{"method":"POST","url":"Patient"}}}}]}}"#,
        named("a3"),
        patient("B")
    );
    bed.post("", &transaction).await;
    let history = bed.get("Patient/_history").await.json();
    let entries = history["entry"].as_array().expect("entries").iter().rev();
    let mut said: Vec<String> = entries
        .map(|entry| {
            let text = |at: &str| entry.pointer(at).and_then(Value::as_str).expect("it is there");
            let place = [text("/request/method"), text("/request/url"), text("/response/status")];
            place.join(" ")
        })
        .collect();
    // One commit's order is not this test's.
    said[6..].sort_unstable();
    let again = format!("PUT Patient/{minted} 201 Created");
    assert_eq!(
        said,
        [
            "PUT Patient/a1 201 Created",
            "DELETE Patient/a1 204 No Content",
            "PUT Patient/a1 201 Created",
            "PUT Patient/a2 201 Created",
            &again,
            "POST Patient 201 Created",
            "POST Patient 201 Created",
            "PUT Patient/a3 201 Created",
        ]
    );
}
