//! Every value of real resources, against the definitions and against its own query.

use crate::queries::{indexed, query};
use base::ResourceId;
use fhir::{Item, Resource, definitions};
use search::{
    Extracted, Interval, Meta, ParamId, Span, System, Target, Terms, Value, extract, parameters,
};
use std::collections::BTreeMap;
use std::io::Read as _;

const BUNDLES: [&str; 2] = [
    "0-hospitalInformation1625911868739.json.bz2",
    "b9590b16-804d-3d9f-0de0-b80b794f1017.json.bz2",
];

/// At most this many resources of each type, so that the test stays short.
const EACH: usize = 40;

/// The bundles' resources, their references made local as a transaction does.
fn resources() -> Vec<Resource> {
    let mut found: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
    for bundle in BUNDLES {
        let path = format!("{}/../../data/synthea/{bundle}", env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        let file = std::fs::File::open(path).expect("the bundles are committed");
        bzip2::read::BzDecoder::new(file).read_to_string(&mut text).expect("it is bzip2");
        let mut bundle: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let entries = bundle["entry"].as_array_mut().expect("a bundle has entries");
        let text_of = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
        let local = |entry: &serde_json::Value| {
            let resource = &entry["resource"];
            let name =
                format!("{}/{}", text_of(&resource["resourceType"]), text_of(&resource["id"]));
            (text_of(&entry["fullUrl"]), name)
        };
        let names: BTreeMap<String, String> = entries.iter().map(local).collect();
        for entry in entries {
            rewrite(&mut entry["resource"], &names);
            let text = entry["resource"].to_string();
            let resource = Resource::parse(text.as_bytes(), 64).expect("a good resource");
            let kept = found.entry(resource.type_id().name().to_owned()).or_default();
            if kept.len() < EACH {
                kept.push(resource);
            }
        }
    }
    found.into_values().flatten().collect()
}

/// `urn:uuid:…` becomes what it names, and `Type?identifier=system|value` becomes `Type/value`.
fn rewrite(value: &mut serde_json::Value, names: &BTreeMap<String, String>) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, names)),
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                match member {
                    serde_json::Value::String(text) if name == "reference" => {
                        if let Some(local) = names.get(text) {
                            text.clone_from(local);
                        } else if let Some((type_name, rest)) = text.split_once("?identifier=") {
                            let id = rest.rsplit('|').next().unwrap_or(rest);
                            *text = format!("{type_name}/{id}");
                        }
                    }
                    other => rewrite(other, names),
                }
            }
        }
        _ => {}
    }
}

fn meta(resource: &Resource) -> Meta {
    let id: ResourceId = resource.id().expect("an id").parse().expect("a good id");
    Meta { id, updated: base::Stamp::ZERO }
}

/// Whether the expression of the definitions finds anything with a value.
fn evaluated(resource: &Resource, code: &str) -> bool {
    let param = definitions().param_of(resource.type_id(), code).expect("a parameter of the type");
    param.expression.evaluate(resource.root()).iter().any(|item| match item {
        Item::Node(node) => !node.is_primitive() || node.text().is_some(),
        _ => true,
    })
}

#[test]
fn a_parameter_is_there_when_its_expression_finds_something() {
    for resource in resources() {
        let (type_id, extracted) = (resource.type_id(), extract(&resource));
        let meta = meta(&resource);
        for param in parameters(type_id).iter().filter(|param| param.kind() != "composite") {
            let filter = query(type_id.name(), &format!("{}:missing=false", param.code)).filter;
            let expected =
                matches!(param.code, "_id" | "_lastUpdated") || evaluated(&resource, param.code);
            let place = format!("{type_id} {}", param.code);
            assert_eq!(filter.matches(&meta, &extracted), expected, "{place}");
            assert_eq!(indexed(&filter, &meta, &extracted), expected, "{place} by terms");
        }
    }
}

/// The query that asks for exactly this value; `None` if there is none.
fn asking_for(value: &Value) -> Option<String> {
    let escape = |text: &str| {
        let escaped =
            text.replace('\\', r"\\").replace(',', r"\,").replace('|', r"\|").replace('$', r"\$");
        escaped.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"))
    };
    Some(match value {
        Value::Text(text) | Value::Word(text) => escape(text),
        Value::Uri(uri) => escape(uri),
        Value::Token(token) => match (&token.system, token.code.as_deref()) {
            (System::None, Some(code)) => format!("|{}", escape(code)),
            (System::Other(uri), Some(code)) => format!("{}|{}", escape(uri), escape(code)),
            (System::Unused | System::Known(_), Some(code)) => escape(code),
            (_, None) => return None,
        },
        Value::Reference(reference) => match &reference.target {
            Target::Local { type_id, id } => format!("{type_id}/{id}"),
            Target::Absolute { url, .. } => escape(url),
        },
        Value::Date(Interval { lo, hi }) => {
            let at = base::Stamp::from_ms(u64::try_from(*lo).ok()?);
            if *hi == Interval::OPEN_HI { format!("gt{at}") } else { format!("ap{at}") }
        }
        Value::Quantity(quantity) => format!("ge{}", number(quantity.span)?),
        Value::Number(span) => number(*span)?,
        Value::Present | Value::Logical(_) | Value::Composite(_) => return None,
    })
}

/// A number that a span satisfies, as far as its text is short.
fn number(span: Span) -> Option<String> {
    span.lo.map(|_| "0".to_owned())
}

#[test]
fn every_value_is_found_by_its_query_and_no_engine_differs() {
    let resources = resources();
    let mut by_type: BTreeMap<u8, Vec<(Meta, Extracted)>> = BTreeMap::new();
    for resource in &resources {
        let kept = by_type.entry(resource.type_id().get()).or_default();
        kept.push((meta(resource), extract(resource)));
    }
    for (number, all) in &by_type {
        let type_id = fhir::TypeId::new(*number).expect("it came from a resource");
        let code =
            |id: ParamId| parameters(type_id).iter().find(|param| param.id == id).map(|p| p.code);
        for (meta, extracted) in all.iter().take(5) {
            assert!(extracted.terms().iter().all(|term| term.len() <= Terms::LEN_MAX));
            for (id, value) in extracted.values() {
                let code = code(*id).expect("only its own parameters");
                let Some(asked) = asking_for(value) else { continue };
                let filter = query(type_id.name(), &format!("{code}={asked}")).filter;
                if !matches!(value, Value::Quantity(_) | Value::Number(_)) {
                    assert!(filter.matches(meta, extracted), "{type_id} {code}");
                }
                for (meta, extracted) in all {
                    let expected = filter.matches(meta, extracted);
                    assert_eq!(indexed(&filter, meta, extracted), expected, "{type_id} {code}");
                }
            }
        }
    }
}
