//! Resources to search, shaped like Synthea's.

use base::{ResourceId, Stamp};
use fhir::Resource;
use search::{Extracted, Meta, extract};

pub const BASE: &str = "https://clinic.example/fhir";

pub const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o1",
 "meta":{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},"status":"final",
 "category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category",
   "code":"vital-signs","display":"vital-signs"}]}],
 "code":{"coding":[{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}],
   "text":"Body Height"},
 "subject":{"reference":"Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed"},
 "encounter":{"reference":"Encounter/e1"},
 "effectiveDateTime":"2014-01-17T10:48:38+01:00","issued":"2014-01-17T10:48:38.941+01:00",
 "valueQuantity":{"value":173.9,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}"#;

pub const PRESSURE: &str = r#"{"resourceType":"Observation","id":"o2","status":"final",
 "code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
 "subject":{"reference":"https://elsewhere.example/r4/Patient/p7"},
 "effectivePeriod":{"start":"2014-01-17","end":"2014-03"},
 "component":[
  {"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},
   "valueQuantity":{"value":121,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},
  {"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},
   "valueQuantity":{"value":80.5,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}"#;

pub const TEXTUAL: &str = r#"{"resourceType":"Observation","id":"o3","status":"amended",
 "code":{"text":"how it went"},"subject":{"identifier":{"system":"urn:mrn","value":"77"}},
 "effectiveInstant":"2015-02-07T13:28:17.239Z","valueString":"Très bien",
 "interpretation":[{"coding":[{"code":"N"}]}]}"#;

pub const PATIENT: &str = r#"{"resourceType":"Patient","id":"085e81c0-7a95-ef02-16ef-aa1b4344deed",
 "identifier":[{"system":"https://github.com/synthetichealth/synthea",
   "value":"085e81c0-7a95-ef02-16ef-aa1b4344deed"},{"system":"http://hl7.org/fhir/sid/us-ssn",
   "value":"999-87-1947"},{"value":"a|b,c"}],
 "active":true,"name":[{"family":"Carreño Quiñones","given":["María","José"],"prefix":["Sra."]}],
 "telecom":[{"system":"phone","value":"555-378-2854"},{"system":"email","value":"m@example.org"}],
 "gender":"female","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},
 "address":[{"line":["501 Pollich Burg"],"city":"East Sandwich","postalCode":"02537"}],
 "managingOrganization":{"reference":"https://clinic.example/fhir/Organization/org-1/_history/3"}}"#;

pub const VALUE_SET: &str = r#"{"resourceType":"ValueSet","id":"v1","status":"active",
 "url":"http://example.org/fhir/ValueSet/a/b","version":"1.0"}"#;

pub const GUIDE: &str = r#"{"resourceType":"PlanDefinition","id":"g1","status":"active",
 "library":["http://example.org/Library/x|2.0"],
 "useContext":[{"code":{"system":"http://terminology.hl7.org/CodeSystem/usage-context-type","code":"age"},
   "valueRange":{"low":{"value":18,"unit":"a"},"high":{"value":65,"unit":"a"}}}]}"#;

/// A resource by its text.
pub fn resource(text: &str) -> (Meta, Extracted) {
    let resource = Resource::parse(text.as_bytes(), 64).expect("a good resource");
    let id: ResourceId = resource.id().expect("an id").parse().expect("a good id");
    let updated = Stamp::parse("2024-05-06T07:08:09.123Z").expect("a good stamp");
    (Meta { id, updated }, extract(&resource))
}
