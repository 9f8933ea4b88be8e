//! What is refused, and in which words.

use fhir::Resource;

fn told(body: &str) -> String {
    let issues = match Resource::parse(body.as_bytes(), 64) {
        Ok(resource) => resource.validate().err().unwrap_or_default(),
        Err(issues) => issues,
    };
    let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
    if issues.is_empty() { "accepted".to_owned() } else { issues.join("\n  ") }
}

fn table(rows: &[&str]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("{row}\n  {}", told(row))).collect();
    rows.join("\n")
}

#[test]
fn of_the_json() {
    insta::assert_snapshot!(table(&[
        "",
        "[]",
        "{",
        r#"{"resourceType":"Patient"} x"#,
        r#"{"resourceType":"Patient","id":"a","id":"b"}"#,
        r#"{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}"#,
        r#"{"resourceType":"Patient","x y":1,"x y":2}"#,
        r#"{"id":"a"}"#,
        r#"{"resourceType":7}"#,
        r#"{"resourceType":"Pateint"}"#,
        r#"{"resourceType":"DomainResource"}"#,
        r#"{"resourceType":"Patient","active":tru}"#,
        r#"{"resourceType":"Patient","multipleBirthInteger":01}"#,
        r#"{"resourceType":"Patient","id":"\ud800"}"#,
    ]));
}

#[test]
fn of_the_shape() {
    insta::assert_snapshot!(table(&[
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"systm":"x"}]}}"#,
        r#"{"resourceType":"Observation","status":"final"}"#,
        r#"{"resourceType":"Observation","code":{"text":"x"},"status":["final"]}"#,
        r#"{"resourceType":"Observation","status":"final","code":"x"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{},"category":[]}"#,
        r#"{"resourceType":"Observation","status":"final","code":null}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"category":{"text":"x"}}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"a","valueInteger":1}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueAddress":{}}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"value":"a"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"component":[{"valueString":"a"}]}"#,
        r#"{"resourceType":"Patient","na me":1}"#,
        r#"{"resourceType":"Patient","contact":[{"resourceType":"Patient"}]}"#,
        r#"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"1.1"}]}]}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"extension":[{"valueString":"a"}]}"#,
    ]));
}

#[test]
fn of_primitives() {
    insta::assert_snapshot!(table(&[
        r#"{"resourceType":"Patient","id":"a b"}"#,
        r#"{"resourceType":"Patient","active":"true"}"#,
        r#"{"resourceType":"Patient","active":1}"#,
        r#"{"resourceType":"Patient","birthDate":"2023-02-29"}"#,
        r#"{"resourceType":"Patient","birthDate":""}"#,
        r#"{"resourceType":"Patient","deceasedDateTime":"2020-01-01T10:00"}"#,
        r#"{"resourceType":"Patient","multipleBirthInteger":1.0}"#,
        r#"{"resourceType":"Patient","gender":" male"}"#,
        r#"{"resourceType":"Patient","name":[{"family":"a\u0000b"}]}"#,
        r#"{"resourceType":"Patient","identifier":[{"system":"a b"}]}"#,
        r#"{"resourceType":"Patient","photo":[{"data":"QQ="}]}"#,
        r#"{"resourceType":"Patient","meta":{"lastUpdated":"2020"}}"#,
        r#"{"resourceType":"Patient","telecom":[{"rank":0}]}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":"1.0"}}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueTime":"25:00:00"}"#,
    ]));
}

#[test]
fn of_siblings_of_primitives() {
    insta::assert_snapshot!(table(&[
        r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"x","valueString":"a"}]}}"#,
        r#"{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"x"}]}]}"#,
        r#"{"resourceType":"Patient","name":[{"_given":[{"id":"x"}]}]}"#,
        r#"{"resourceType":"Observation","_status":{"id":"x"},"code":{"text":"x"}}"#,
        r#"{"resourceType":"Patient","_birthDate":{}}"#,
        r#"{"resourceType":"Patient","_birthDate":"x"}"#,
        r#"{"resourceType":"Patient","_birthDate":{"value":"x"}}"#,
        r#"{"resourceType":"Patient","name":[{"given":["a",null]}]}"#,
        r#"{"resourceType":"Patient","name":[{"given":["a",null],"_given":[{"id":"x"},null]}]}"#,
        r#"{"resourceType":"Patient","name":[{"given":["a"],"_given":[{"id":"x"},null]}]}"#,
        r#"{"resourceType":"Patient","name":[{"_given":[null]}]}"#,
        r#"{"resourceType":"Patient","_maritalStatus":{"id":"x"}}"#,
        r#"{"resourceType":"Patient","_foo":{"id":"x"}}"#,
        r#"{"resourceType":"Patient","extension":[{"url":"x","_url":{"id":"x"}}]}"#,
    ]));
}

#[test]
fn of_resources_in_resources() {
    insta::assert_snapshot!(table(&[
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"x"}]}"#,
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","nme":"x"}]}"#,
        r#"{"resourceType":"Patient","contained":[{"id":"x"}]}"#,
        r#"{"resourceType":"Patient","contained":[{"resourceType":"X"}]}"#,
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","nme":[]}}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patint"}}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET"}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient","x":1}}]}"#,
    ]));
}

#[test]
fn not_more_than_twenty_issues_are_told() {
    let members: Vec<String> = (0..100).map(|n| format!("\"x{n}\":1")).collect();
    let body = format!(r#"{{"resourceType":"Patient",{}}}"#, members.join(","));
    assert_eq!(told(&body).lines().count(), 20);
}
