//! What a query finds, by the values themselves and by index terms.

use crate::sample::{BASE, GUIDE, OBSERVATION, PATIENT, PRESSURE, TEXTUAL, VALUE_SET, resource};
use base::Limits;
use fhir::TypeId;
use search::{Certainty, Extracted, Filter, Handling, Meta, Predicate, Query, parse_query};

pub fn query(type_name: &str, text: &str) -> Query {
    let type_id = TypeId::from_name(type_name);
    parse_query(type_id, text, Handling::Strict, &Limits::default(), BASE)
        .unwrap_or_else(|issues| panic!("{type_name}?{text}: {issues:?}"))
}

/// The answer as an engine finds it: by ranges, then by terms, then by values.
pub fn indexed(filter: &Filter, meta: &Meta, extracted: &Extracted) -> bool {
    let by_terms = |predicate: &Predicate| {
        let terms = extracted.terms();
        let inside = |term: &&[u8]| predicate.ranges().iter().any(|range| range.contains(term));
        let mut hits = terms.iter().filter(inside);
        match predicate.certainty() {
            Certainty::Ranges => hits.next().is_some(),
            Certainty::Terms => hits.any(|term| predicate.admits(term)),
            Certainty::Values => {
                hits.any(|term| predicate.admits(term)) && predicate.matches(extracted)
            }
        }
    };
    match filter {
        Filter::And(all) => all.iter().all(|filter| indexed(filter, meta, extracted)),
        Filter::Or(any) => any.iter().any(|filter| indexed(filter, meta, extracted)),
        Filter::Not(filter) => !indexed(filter, meta, extracted),
        Filter::Param(predicate) => by_terms(predicate),
        other => other.matches(meta, extracted),
    }
}

fn check(text: &str, cases: &[(&str, bool)]) {
    let (meta, extracted) = resource(text);
    let type_name = text.split('"').nth(3).expect("resourceType comes first");
    for (case, expected) in cases {
        let filter = query(type_name, case).filter;
        assert_eq!(filter.matches(&meta, &extracted), *expected, "{type_name}?{case}");
        assert_eq!(indexed(&filter, &meta, &extracted), *expected, "{type_name}?{case} by terms");
    }
}

#[test]
fn tokens() {
    check(
        OBSERVATION,
        &[
            ("code=8302-2", true),
            ("code=http://loinc.org|8302-2", true),
            ("code=http://loinc.org%7C8302-2", true),
            ("code=http://snomed.info/sct|8302-2", false),
            ("code=|8302-2", false),
            ("code=http://loinc.org|", true),
            ("code=http://snomed.info/sct|", false),
            ("code=1,8302-2", true),
            ("code=8302-2&code=1", false),
            ("code:not=8302-2", false),
            ("code:not=1,2", true),
            ("code=8302", false),
            ("combo-code=8302-2", true),
            ("category=vital-signs", true),
            ("status=final", true),
            ("status=http://hl7.org/fhir/observation-status|final", true),
            ("status=Final", false),
            ("component-code:missing=true", true),
            ("_profile=http://hl7.org/fhir/StructureDefinition/vitalsigns", true),
            ("method:not=x", true),
        ],
    );
    check(
        TEXTUAL,
        &[("code:missing=false", true), ("code=how it went", false), ("code:not=x", true)],
    );
    check(
        PATIENT,
        &[
            ("identifier=085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            (
                "identifier=https://github.com/synthetichealth/synthea|085e81c0-7a95-ef02-16ef-aa1b4344deed",
                true,
            ),
            ("identifier=urn:x|085e81c0-7a95-ef02-16ef-aa1b4344deed", false),
            (r"identifier=|a\|b\,c", true),
            (r"identifier=a\|b\,c", true),
            ("active=true", true),
            ("telecom=555-378-2854", true),
            ("phone=555-378-2854", true),
            ("email=m@example.org", true),
            ("email=555-378-2854", false),
            ("deceased=false", true),
            ("deceased=true", false),
            ("gender=female,male", true),
        ],
    );
}

#[test]
fn strings() {
    check(
        PATIENT,
        &[
            ("name=carr", true),
            ("name=quinones", true),
            ("family=Quiñ", true),
            ("family:exact=Carreño Quiñones", true),
            ("family:exact=Quiñones", false),
            ("family:exact=carreño quiñones", false),
            ("family:contains=NO QUI", true),
            ("family=arreno", false),
            ("given=maria", true),
            ("name=sra", true),
            ("address=501 pollich", true),
            ("address-city=EAST", true),
            ("address-postalcode=02537", true),
            ("address-state:missing=true", true),
            ("birthdate:missing=true", true),
            ("name=carreno quinones the third of that name", false),
        ],
    );
    check(
        r#"{"resourceType":"Patient","id":"g","name":[{"family":"ΑΣ","given":["Νίκος"]}]}"#,
        &[
            ("family=ας", true),
            ("family=ασ", true),
            ("family=ΑΣ", true),
            ("family:exact=ΑΣ", true),
            ("family:exact=ας", false),
            ("given=ΝΙΚΟΣ", true),
            ("given=νικοσ", true),
            ("name:contains=κος", true),
        ],
    );
    check(TEXTUAL, &[("value-string=tres", true), ("value-string=bien", false)]);
}

#[test]
fn references() {
    check(
        OBSERVATION,
        &[
            ("subject=Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            ("subject=085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            ("subject:Patient=085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            ("subject:Group=085e81c0-7a95-ef02-16ef-aa1b4344deed", false),
            (
                "subject=https://clinic.example/fhir/Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed",
                true,
            ),
            (
                "subject=https://elsewhere.example/r4/Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed",
                false,
            ),
            ("patient=085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            ("patient=Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed", true),
            ("patient=Group/085e81c0-7a95-ef02-16ef-aa1b4344deed", false),
            ("patient:missing=false", true),
            ("encounter=e1", true),
            ("encounter=Encounter/e2", false),
            ("encounter=Encounter/e1/_history/2", false),
        ],
    );
    check(
        PRESSURE,
        &[
            ("subject=https://elsewhere.example/r4/Patient/p7", true),
            ("patient=https://elsewhere.example/r4/Patient/p7", true),
            ("subject=Patient/p7", false),
            ("subject=p7", false),
            ("patient=p7", false),
            ("patient:missing=false", true),
        ],
    );
    check(
        TEXTUAL,
        &[
            ("subject:identifier=urn:mrn|77", true),
            ("subject:identifier=77", true),
            ("subject:identifier=78", false),
            ("subject:missing=false", true),
            ("patient:missing=true", true),
        ],
    );
    check(
        PATIENT,
        &[
            ("organization=org-1", true),
            ("organization=org-2", false),
            ("organization:Organization=org-1", true),
            ("organization=Organization/org-1", true),
            ("organization=https://clinic.example/fhir/Organization/org-1", true),
            ("organization=Organization/org-1/_history/3", true),
            ("organization=Organization/org-1/_history/4", false),
        ],
    );
    check(
        GUIDE,
        &[
            ("depends-on=http://example.org/Library/x", true),
            ("depends-on=http://example.org/Library/x|2.0", true),
            ("depends-on=http://example.org/Library/x|2.1", false),
        ],
    );
}

#[test]
fn dates() {
    check(
        OBSERVATION,
        &[
            ("date=2014-01-17", true),
            ("date=2014", true),
            ("date=2014-01-17T09:48:38Z", true),
            ("date=2014-01-17T10:48:38+01:00", true),
            ("date=2014-01-17T10:48:38%2B01:00", true),
            ("date=lt2014-01-17", false),
            ("date=ge2014-01-17&date=lt2014-01-18", true),
            ("date=sa2013", true),
            ("date=ne2014", false),
        ],
    );
    check(
        PRESSURE,
        &[
            ("date=2014-01", false),
            ("date=2014", true),
            ("date=gt2014-03-30", true),
            ("date=gt2014-03-31", false),
            ("date=eb2014-04", true),
            ("date=ap2014-02-15", true),
            ("date=lt2014-01-18", true),
        ],
    );
    check(
        TEXTUAL,
        &[("date=2015-02-07T13:28:17.239Z", true), ("date=2015-02-07T13:28:17.240Z", false)],
    );
}

#[test]
fn numbers_and_quantities() {
    check(
        OBSERVATION,
        &[
            ("value-quantity=173.9", true),
            ("value-quantity=174", true),
            ("value-quantity=173", false),
            ("value-quantity=173.9|http://unitsofmeasure.org|cm", true),
            ("value-quantity=173.9|http://unitsofmeasure.org|m", false),
            ("value-quantity=173.9||cm", true),
            ("value-quantity=gt173.8||cm", true),
            ("value-quantity=gt173.9", false),
            ("value-quantity=ap180", true),
            ("combo-value-quantity=gt173", true),
            ("component-value-quantity=gt1", false),
        ],
    );
    check(
        PRESSURE,
        &[
            ("combo-value-quantity=ge121|http://unitsofmeasure.org|mm[Hg]", true),
            ("component-value-quantity=80.5||mmHg", true),
        ],
    );
    check(GUIDE, &[("context-quantity=gt30", true), ("context-quantity=sa30", false)]);
}

#[test]
fn uris() {
    check(
        VALUE_SET,
        &[
            ("url=http://example.org/fhir/ValueSet/a/b", true),
            ("url=http://example.org/fhir/ValueSet/a", false),
            ("url:below=http://example.org/fhir", true),
            ("url:below=http://example.org/fh", false),
            ("url:above=http://example.org/fhir/ValueSet/a/b/c", true),
            ("url:above=http://example.org/fhir/ValueSet/a/bc", false),
        ],
    );
}

#[test]
fn composites() {
    check(
        OBSERVATION,
        &[
            ("code-value-quantity=8302-2$gt170", true),
            (
                "code-value-quantity=http://loinc.org|8302-2$173.9|http://unitsofmeasure.org|cm",
                true,
            ),
            ("code-value-quantity=8302-2$gt180", false),
            ("code-value-quantity=1$gt170", false),
            ("combo-code-value-quantity=8302-2$gt170", true),
        ],
    );
    check(
        PRESSURE,
        &[
            ("component-code-value-quantity=8480-6$gt120", true),
            ("component-code-value-quantity=8462-4$gt120", false),
            ("component-code-value-quantity=http://loinc.org|8462-4$80.5", true),
            ("component-code-value-quantity=urn:x|8462-4$80.5", false),
            ("combo-code-value-quantity=8462-4$lt100", true),
            ("combo-code-value-quantity=85354-9$lt100", false),
        ],
    );
    check(
        GUIDE,
        &[("context-type-quantity=age$gt30", true), ("context-type-quantity=gender$gt30", false)],
    );
}

#[test]
fn what_every_resource_has() {
    check(
        OBSERVATION,
        &[
            ("", true),
            ("_id=o1", true),
            ("_id=o2,o1", true),
            ("_id=o2", false),
            ("_id=not an id", false),
            ("_id:not=o2", true),
            ("_lastUpdated=2024-05-06", true),
            ("_lastUpdated=gt2024-05-06", false),
            ("_lastUpdated=ge2024-05-06T07:08:09.123Z", true),
            ("_lastUpdated=gt2024-05-06T07:08:09.123Z", false),
            ("_lastUpdated=lt2024-05-06T07:08:09.124Z,gt2030", true),
            ("_lastUpdated=ne2024-05-06", false),
        ],
    );
}
