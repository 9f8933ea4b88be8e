//! What is refused, and in which words.

use crate::sample::BASE;
use base::Limits;
use fhir::TypeId;
use search::{Filter, Handling, Sort, Total, parse_query};

fn refusals(type_name: &str, queries: &[&str]) -> String {
    let lines = queries.iter().map(|query| {
        let limits =
            Limits { or_values: 3, query_parameters: 4, url_bytes: 200, ..Limits::default() };
        let type_id = TypeId::from_name(type_name);
        let said = match parse_query(type_id, query, Handling::Strict, &limits, BASE) {
            Ok(_) => "accepted".to_owned(),
            Err(issues) => issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "),
        };
        format!("{query}\n  {said}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_refusal_names_the_parameter_and_what_works() {
    insta::assert_snapshot!(
        "refusals",
        refusals(
            "ValueSet",
            &[
                "colour=red",
                "url:text=x",
                "status:in=http://x",
                "title:above=x",
                "date:exact=2020",
                "date=zz2020",
                "date=po2020-01-01",
                "publisher.name=x",
                "_has:Observation:patient:code=1",
                "_include=ValueSet:x",
                "_elements=id",
                "_summary=true",
                "_sort=name",
                "_total=all",
                "_count=-1",
                "_format=xml",
                "name=",
                "name=%20",
                "name=%CC%81",
                "name:contains=%CC%81",
                "name=a,%CC%81",
                "name:exact=%20",
                "name:missing=perhaps",
                "status=a,b,c,d",
                "status=a,,b",
                "a&b&c&d&e",
                "status=%ff",
                &format!("name={}", "x".repeat(200)),
                "context-type-quantity=a",
                "context-type-quantity=a$b",
                "context-type-quantity:missing=true",
                "context=http://x|y&_format=application/fhir%2Bjson",
            ]
        )
    );
    insta::assert_snapshot!(
        "refusals_of_others",
        [
            refusals(
                "Patient",
                &["phonetic=x", "organization:Colour=1", "organization:Patient=Organization/1"]
            ),
            refusals("Location", &["near=1|2|3"]),
            refusals("none", &["code=1", "_tag=x&_id=y"]),
        ]
        .join("\n")
    );
}

#[test]
fn lenient_handling_leaves_out_and_says_so() {
    let type_id = TypeId::from_name("Patient");
    let limits = Limits { page_entries: 10, ..Limits::default() };
    let text =
        "name=x&colour=red&_sort=name&gender:in=y&_count=5000&family:exact=a%26b+c&_total=accurate";
    let query = parse_query(type_id, text, Handling::Lenient, &limits, BASE).expect("lenient");
    assert_eq!(query.ignored, ["colour", "_sort", "gender:in"]);
    assert_eq!(query.self_query, "name=x&_count=5000&family:exact=a%26b%20c&_total=accurate");
    assert_eq!((query.count, query.sort, query.total), (Some(10), Sort::Id, Total::Accurate));
    assert!(parse_query(type_id, "birthdate=soon", Handling::Lenient, &limits, BASE).is_err());
    let again = parse_query(type_id, &query.self_query, Handling::Strict, &limits, BASE);
    assert_eq!(again.expect("a link works").filter, query.filter);
}

#[test]
fn a_condition_has_one_text() {
    let patient = TypeId::from_name("Patient").expect("a type");
    let read = |text: &str| Filter::from_conditional(patient, text, &Limits::default(), BASE);
    let one = read("?organization=https://clinic.example/fhir/Organization/1&identifier=urn:x|1&identifier=urn:x%7c1")
        .expect("a condition");
    assert_eq!(one.text, "identifier=urn:x%7C1&organization=Organization/1");
    let again = read(&one.text).expect("its text is one");
    assert_eq!(again.text, one.text);
    for bad in ["", "_count=1", "identifier=", "colour=red", "identifier=a&_sort=_id"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
