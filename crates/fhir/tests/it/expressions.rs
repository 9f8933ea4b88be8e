//! FHIRPath: what expressions give.

use fhir::{Expression, Item, Resource, TypeId, definitions};

const OBSERVATION: &str = r##"{"resourceType":"Observation","id":"o","status":"final",
    "contained":[{"resourceType":"Patient","id":"c","active":true}],
    "code":{"coding":[{"system":"s","code":"a"},{"system":"s","code":"b"}],"text":"t"},
    "subject":{"reference":"Patient/1"},
    "performer":[{"reference":"#c"},{"reference":"https://x.org/fhir/Organization/2/_history/3"},
        {"reference":"urn:uuid:4","type":"Practitioner"},{"display":"?"}],
    "valueQuantity":{"value":1.50,"unit":"g"},
    "_status":{"extension":[{"url":"e","valueCode":"x"}]},
    "component":[{"code":{"text":"1"},"valueString":"one"},{"code":{"text":"2"},"valueInteger":2}],
    "extension":[{"url":"a","valueDateTime":"2020"},{"url":"b","valueString":"x"}]}"##;

const PATIENT: &str = r#"{"resourceType":"Patient","deceasedBoolean":false,
    "telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"}],
    "name":[{"given":["a",null,"c"],"_given":[null,{"id":"x"},{"id":"y"}]}]}"#;

fn shown(item: &Item<'_>) -> String {
    match item {
        Item::Node(node) => format!("{}:{}", node.type_name(), node.text().unwrap_or("…")),
        Item::Boolean(value) => value.to_string(),
        Item::Integer(value) => value.to_string(),
        Item::Decimal(text) | Item::String(text) => format!("'{text}'"),
    }
}

fn evaluated(body: &str, expression: &str) -> String {
    let resource = Resource::parse(body.as_bytes(), 64).expect("the test's own body");
    let expression = match Expression::compile(expression) {
        Ok(expression) => expression,
        Err(error) => return format!("refused: {error}"),
    };
    let items = expression.evaluate(resource.root());
    format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
}

#[test]
fn expressions_give() {
    let observation = [
        "Observation.status",
        "status",
        "Patient.status",
        "Resource.id",
        "Observation.code.coding.code",
        "Observation.code.coding[1].code | Observation.code.text",
        "Observation.code.coding.first().code",
        "Observation.value",
        "(Observation.value as Quantity).unit",
        "Observation.value.as(CodeableConcept)",
        "Observation.value.ofType(Quantity).value = 1.5",
        "Observation.component.value",
        "Observation.component.where(code.text = '2').value",
        "Observation.performer.resolve()",
        "Observation.performer.where(resolve() is Patient).reference",
        "Observation.performer.where(resolve() is Organization).reference",
        "Observation.performer.where(resolve() is Practitioner).type",
        "Observation.subject.where(resolve() is Patient).reference",
        "Observation.status.extension('e').value",
        "Observation.extension('a').value.as(DateTime)",
        "Observation.extension.where(url = 'b').value is string",
        "Observation.code.exists() and Observation.issued.exists().not()",
        "Observation.code.coding.count()",
        "Observation.code.coding.exists(code = 'b')",
        "{} or true",
        "Observation.value.value > 1",
        "Observation.nonsense",
        "Observation.code.coding[",
        "Observation.code.as(Nonsense)",
        "Observation.code.matches('x')",
    ];
    let patient = [
        "Patient.telecom.where(system='phone').value",
        "Patient.deceased.exists() and Patient.deceased != false",
        "Patient.deceased.exists()",
        "Patient.name.given",
        "Patient.name.given.hasValue()",
        "Patient.contact.name.exists() or Patient.active",
    ];
    let rows = |body: &str, rows: &[&str]| -> String {
        let rows = rows.iter().map(|row| format!("{row}\n  {}", evaluated(body, row)));
        rows.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(format!(
        "{}\n{}",
        rows(OBSERVATION, &observation),
        rows(PATIENT, &patient)
    ));
}

#[test]
fn a_type_keeps_only_its_own_arms() {
    let observation = TypeId::from_name("Observation").expect("it is a type");
    let resource = Resource::parse(OBSERVATION.as_bytes(), 64).expect("the test's own body");
    let rows: Vec<String> = definitions()
        .params_of(observation)
        .iter()
        .map(|param| {
            let items = param.expression.evaluate(resource.root());
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("{} {:?}: {}", param.code, param.kind, items.join(", "))
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}
