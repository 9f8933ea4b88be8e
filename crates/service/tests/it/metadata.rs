//! `/metadata` states what works, and what it states works.

use crate::bed::{Bed, patient};
use fhir::Resource;
use serde_json::Value;

#[tokio::test]
async fn everything_that_is_stated_is_served() {
    let bed = Bed::new();
    let answer = bed.get("metadata").await;
    assert_eq!(answer.status, 200);
    let parsed = Resource::parse(&answer.body, 64).expect("it is a resource");
    parsed.validate().expect("it keeps to its definition");
    let statement = answer.json();
    assert_eq!(statement["fhirVersion"], "4.0.1");
    assert_eq!(statement["implementation"]["url"], "http://test.example/fhir");
    let resources = statement["rest"][0]["resource"].as_array().expect("resources");
    assert_eq!(resources.len(), 146);
    for resource in resources {
        let name = resource["type"].as_str().expect("a type");
        for interaction in resource["interaction"].as_array().expect("interactions") {
            ask(&bed, name, interaction["code"].as_str().expect("a code")).await;
        }
        for param in resource["searchParam"].as_array().expect("parameters") {
            search(&bed, name, param).await;
        }
    }
    for interaction in statement["rest"][0]["interaction"].as_array().expect("interactions") {
        ask(&bed, "", interaction["code"].as_str().expect("a code")).await;
    }
}

/// An interaction that is stated is not answered with "not offered".
async fn ask(bed: &Bed, name: &str, code: &str) {
    let bundle = |kind: &str| format!(r#"{{"resourceType":"Bundle","type":"{kind}"}}"#);
    let answer = match code {
        "read" => bed.get(&format!("{name}/1")).await,
        "vread" => bed.get(&format!("{name}/1/_history/1")).await,
        "update" => bed.put(&format!("{name}/1"), "").await,
        "delete" => bed.delete(&format!("{name}/1")).await,
        "history-instance" => bed.get(&format!("{name}/1/_history")).await,
        "history-type" => bed.get(&format!("{name}/_history")).await,
        "create" => bed.post(name, "").await,
        "search-type" => bed.get(name).await,
        "transaction" | "batch" => bed.post("", &bundle(code)).await,
        "search-system" => bed.get("?_type=Patient").await,
        "history-system" => bed.get("_history").await,
        other => panic!("{other} is stated and not known to this test"),
    };
    let expected: &[u16] = match code {
        "read" | "vread" | "history-instance" => &[404, 410, 200],
        // An empty body comes this far and no further.
        "update" | "create" => &[400],
        "delete" => &[204],
        _ => &[200],
    };
    assert!(expected.contains(&answer.status), "{name} {code}: {}", answer.text());
}

/// A parameter that is stated is read.
async fn search(bed: &Bed, name: &str, param: &Value) {
    let code = param["name"].as_str().expect("a name");
    let kind = param["type"].as_str().expect("a type");
    let told = param["documentation"].as_str().expect("what may be written");
    // Of a composite, the statement names the type of each component.
    let kinds: Vec<&str> = match kind {
        "composite" => {
            told.strip_prefix("components joined by $: ").expect("components").split('$').collect()
        }
        _ => vec![kind],
    };
    assert!(kind != "composite" || kinds.len() > 1, "{name} {code}: {told}");
    let value = kinds.into_iter().map(value).collect::<Vec<_>>().join("$");
    let answer = bed.get(&format!("{name}?{code}={value}&_count=1")).await;
    assert_eq!(answer.status, 200, "{name}?{code}={value}: {}", answer.text());
}

/// A value of a kind of parameter.
fn value(kind: &str) -> &'static str {
    match kind {
        "number" | "quantity" => "1",
        "date" => "2020-01-01",
        "reference" => "Patient/1",
        "uri" => "http://example.org/x",
        "token" | "string" => "x",
        other => panic!("{other} is stated and not known to this test"),
    }
}

#[tokio::test]
async fn the_statement_follows_the_host() {
    let bed = Bed::new();
    bed.post("Patient", &patient("A")).await;
    let other = bed.send("GET", "metadata", &[("host", "other.example:8443")], "").await;
    assert_eq!(other.json()["implementation"]["url"], "http://other.example:8443/fhir");
    let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")];
    let claimed = bed.send("GET", "metadata", &told, "").await;
    assert_eq!(claimed.json()["implementation"]["url"], "http://test.example/fhir");
    let bad = bed.send("GET", "metadata", &[("host", "a\"b")], "").await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn the_statement_has_modes_and_terminology_is_not_among_them() {
    let bed = Bed::new();
    let plain = bed.get("metadata").await;
    for query in ["mode=full", "mode=normative", "_format=json&mode=full&_pretty=true"] {
        let answer = bed.get(&format!("metadata?{query}")).await;
        assert_eq!((answer.status, &answer.body), (200, &plain.body), "{query}");
    }
    for query in ["mode=terminology", "mode=", "mode=Full", "mode=full&mode=all"] {
        let answer = bed.get(&format!("metadata?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let said = answer.json()["issue"][0]["diagnostics"].to_string();
        assert!(["mode", "full", "normative"].iter().all(|word| said.contains(word)), "{said}");
    }
    assert_eq!(bed.get("metadata?mode=full&name=x").await.status, 400);
    assert_eq!(bed.get("metadata?mode=full&_format=xml").await.status, 406);
}
