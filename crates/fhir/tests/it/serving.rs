//! What is served, and what a resource points to.

use fhir::{Resource, TypeId};

fn parse(body: &str) -> Resource {
    Resource::parse(body.as_bytes(), 64).expect("the test's own body")
}

fn served(body: &str) -> String {
    let template = parse(body).template(&"p1".parse().expect("an id"));
    let bytes = template.stamp("8-f1".parse().expect("a version"), base::Stamp::from_ms(1));
    assert!(bytes.len() > template.len());
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_stamped_body_keeps_what_the_client_sent() {
    let rows = [
        r#"{"resourceType":"Patient"}"#,
        r#"{ "active" : true, "id":"mine", "resourceType":"Patient" }"#,
        r#"{"resourceType":"Patient","meta":{"lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}],"versionId":"3","profile":["p"],"_versionId":{"id":"x"}}}"#,
        r#"{"resourceType":"Observation","meta":{"versionId":"3"},"valueQuantity":{"value":1.50}}"#,
        r#"{"resourceType":"Patient","name":[{"family":"a\"\\\u0001\u00e9\n","_family":{"id":"x"},"unknown":null}]}"#,
    ];
    let rows: Vec<String> = rows.iter().map(|row| format!("{row}\n  {}", served(row))).collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn references_are_found_and_rewritten() {
    let mut resource = parse(
        r##"{"resourceType":"Observation",
        "text":{"status":"generated","div":"<div><a href=\"urn:uuid:1\">x</a><img src='urn:uuid:2'/><b title=\"urn:uuid:1\"/></div>"},
        "contained":[{"resourceType":"Patient","id":"c","generalPractitioner":[{"reference":"urn:uuid:2"}]}],
        "subject":{"reference":"urn:uuid:1","display":"urn:uuid:1"},
        "performer":[{"reference":"#c"}],
        "instantiatesCanonical":"x",
        "extension":[{"url":"u","valueUri":"urn:uuid:1"},{"url":"u","valueString":"urn:uuid:1"}]}"##,
    );
    let found: Vec<&str> = resource.references().collect();
    assert_eq!(found, ["urn:uuid:2", "urn:uuid:1", "#c"]);
    let count = resource.rewrite_references(&mut |text| {
        text.strip_prefix("urn:uuid:").map(|id| format!("Patient/{id}"))
    });
    assert_eq!(count, 4);
    insta::assert_snapshot!(String::from_utf8(resource.to_json()).expect("UTF-8"));
}

#[test]
fn entries_of_a_bundle_are_resources_of_their_own() {
    let bundle = parse(
        r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","zzz":{"a b":[1,{"c d":2}]},"active":true},
         "request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=1"}},
        {"request":{"method":"DELETE","url":"Patient/1","ifMatch":"W/\"1\""}},
        {"resource":{"resourceType":"Nothing"}}]}"#,
    );
    assert_eq!(bundle.bundle_len(), 3);
    let entries: Vec<String> = bundle
        .bundle_entries()
        .map(|entry| {
            let json = |resource: Resource| String::from_utf8(resource.to_json()).expect("UTF-8");
            let resource = entry.resource.map(|resource| resource.map(json));
            format!("{:?}\n{:#?}\n{resource:?}", entry.full_url, entry.request)
        })
        .collect();
    insta::assert_snapshot!(entries.join("\n\n"));
}

#[test]
fn a_type_is_known_by_name_and_number() {
    for id in TypeId::all() {
        assert_eq!(TypeId::from_name(id.name()), Some(id));
        assert_eq!(TypeId::new(id.get()), Some(id));
    }
    assert_eq!(TypeId::new(146), None);
    assert_eq!(TypeId::from_name("Resource"), None);
    assert_eq!(TypeId::from_name("HumanName"), None);
}
