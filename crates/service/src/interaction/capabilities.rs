//! `/metadata`: a CapabilityStatement that states exactly what is served
//! (<https://hl7.org/fhir/R4/capabilitystatement.html>). It is made from the table of routes and
//! the search parameters that are indexed, and a test asks for everything it states.

use crate::outcome::push_json_string;
use crate::route::{Interaction, Target};
use crate::{Answer, Error, Service, query::Controls};
use base::{ResourceId, Stamp};
use bytes::Bytes;
use fhir::{TypeId, definitions};
use http::Method;
use std::fmt::Write as _;

/// Result parameters that every search takes.
const RESULT_PARAMETERS: &str = "_count, _sort=_lastUpdated|_id, _total, _summary=count";

/// Reads `mode` (<https://hl7.org/fhir/R4/http.html#capabilities>): the statement tells
/// no normative part from another, so `normative` gets the one of `full`.
pub fn check(controls: &Controls) -> Result<(), Error> {
    let refused = |reason| Err(Error::Parameter { name: "mode".to_owned(), reason });
    for (name, value) in controls.parameters() {
        match (name.as_str(), value.as_str()) {
            ("mode", "full" | "normative") => {}
            ("mode", "terminology") => {
                return refused("is terminology, which is not served here; full and normative are");
            }
            ("mode", _) => return refused("is neither full nor normative, which are served here"),
            _ => return Err(Error::not_read(&name)),
        }
    }
    Ok(())
}

/// The CapabilityStatement.
pub fn answer(service: &Service, base: &str) -> Answer {
    Answer { body: Some(service.statement(base)), ..Answer::default() }
}

/// Makes the statement for one base URL; `since` is when this server started.
pub fn statement(base: &str, since: Stamp) -> Bytes {
    let mut out = String::with_capacity(1 << 20);
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(
        out,
        "{{\"resourceType\":\"CapabilityStatement\",\"status\":\"active\",\"date\":\"{since}\",\
         \"kind\":\"instance\",\"software\":{{\"name\":\"Firebreak\",\"version\":\"{version}\"}},\
         \"implementation\":{{\"description\":\"Firebreak, a FHIR service that survives the loss \
         of a region\",\"url\":"
    );
    push_json_string(&mut out, base);
    let _ = write!(
        out,
        "}},\"fhirVersion\":\"{}\",\"format\":[\"json\"],\"rest\":[{{\"mode\":\"server\",\
         \"documentation\":\"Every search takes {RESULT_PARAMETERS}. Operations, patch, \
         compartments, conditional update and conditional delete are not offered.\",\
         \"resource\":[",
        definitions().version()
    );
    for (index, type_id) in TypeId::all().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_resource(&mut out, type_id);
    }
    out.push_str("],\"interaction\":[");
    push_codes(&mut out, &system_interactions());
    out.push_str("],\"searchParam\":[");
    push_all_types(&mut out);
    out.push_str("]}]}");
    Bytes::from(out)
}

/// The interactions of a type, as the table of routes has them.
fn type_interactions(type_id: TypeId) -> Vec<&'static str> {
    let id: ResourceId = "1".parse().expect("1 is an id");
    let instance = Target::Instance(type_id, id.clone());
    let rows = [
        ("read", Method::GET, instance.clone(), Interaction::Read),
        (
            "vread",
            Method::GET,
            Target::Version(type_id, id.clone(), "1".to_owned()),
            Interaction::VersionRead,
        ),
        ("update", Method::PUT, instance.clone(), Interaction::Update),
        ("delete", Method::DELETE, instance, Interaction::Delete),
        (
            "history-instance",
            Method::GET,
            Target::InstanceHistory(type_id, id),
            Interaction::History,
        ),
        ("history-type", Method::GET, Target::TypeHistory(type_id), Interaction::History),
        ("create", Method::POST, Target::Type(type_id), Interaction::Create),
        ("search-type", Method::GET, Target::Type(type_id), Interaction::Search),
    ];
    served(rows)
}

/// The interactions of the whole system.
fn system_interactions() -> Vec<&'static str> {
    served([
        ("transaction", Method::POST, Target::System, Interaction::Bundle),
        ("batch", Method::POST, Target::System, Interaction::Bundle),
        ("search-system", Method::GET, Target::System, Interaction::Search),
        ("history-system", Method::GET, Target::SystemHistory, Interaction::History),
    ])
}

/// The codes of those rows that the table of routes leads to.
fn served<const N: usize>(
    rows: [(&'static str, Method, Target, Interaction); N],
) -> Vec<&'static str> {
    let leads = |(_, method, target, interaction): &(_, Method, Target, Interaction)| {
        target.interaction(method).is_ok_and(|found| found == *interaction)
    };
    rows.iter().filter(|row| leads(row)).map(|row| row.0).collect()
}

fn push_codes(out: &mut String, codes: &[&str]) {
    for (index, code) in codes.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{{\"code\":\"{code}\"}}");
    }
}

fn push_resource(out: &mut String, type_id: TypeId) {
    let name = type_id.name();
    let _ = write!(
        out,
        "{{\"type\":\"{name}\",\"profile\":\"http://hl7.org/fhir/StructureDefinition/{name}\",\
         \"interaction\":["
    );
    push_codes(out, &type_interactions(type_id));
    out.push_str(
        "],\"versioning\":\"versioned\",\"readHistory\":true,\"updateCreate\":true,\
         \"conditionalCreate\":true,\"conditionalRead\":\"full-support\",\
         \"conditionalUpdate\":false,\"conditionalDelete\":\"not-supported\",\"searchParam\":[",
    );
    let mut comma = "";
    for param in search::parameters(type_id) {
        let (code, url, kind) = (param.code, param.url, param.kind());
        let _ = write!(
            out,
            "{comma}{{\"name\":\"{code}\",\"definition\":\"{url}\",\"type\":\"{kind}\",\
             \"documentation\":"
        );
        push_json_string(out, &param.documentation());
        out.push('}');
        comma = ",";
    }
    out.push_str("]}");
}

/// The parameters of a search over all types.
fn push_all_types(out: &mut String) {
    out.push_str(
        "{\"name\":\"_type\",\"type\":\"token\",\"documentation\":\"one resource type\"},\
         {\"name\":\"_id\",\"definition\":\"http://hl7.org/fhir/SearchParameter/Resource-id\",\
         \"type\":\"token\"},\
         {\"name\":\"_lastUpdated\",\"definition\":\
         \"http://hl7.org/fhir/SearchParameter/Resource-lastUpdated\",\"type\":\"date\"}",
    );
}
