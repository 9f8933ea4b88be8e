//! How long it takes to extract and encode what is indexed of a Synthea-shaped Observation.
//! `cargo run --release -p search --example extract_rate`
#![allow(clippy::print_stdout)]

use fhir::Resource;
use search::extract;
use std::hint::black_box;

const ROUNDS: u32 = 200_000;

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"b89e560a-1c76-d0d1-bdea-469cb1b50c67",
"meta":{"profile":["http://hl7.org/fhir/StructureDefinition/bodyheight","http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}],"text":"Body Height"},
"subject":{"reference":"Patient/085e81c0-7a95-ef02-16ef-aa1b4344deed"},
"encounter":{"reference":"Encounter/8b1689f4-9211-79c7-1c74-ac66b994f27a"},
"effectiveDateTime":"2014-01-17T10:48:38+01:00","issued":"2014-01-17T10:48:38.941+01:00",
"valueQuantity":{"value":173.9,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}"#;

/// Time on a CPU, so that a busy machine does not blur it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux has it");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("the first field is a number")
}

fn main() {
    let resource = Resource::parse(OBSERVATION.as_bytes(), 64).expect("a good resource");
    let time = |what: &str, work: &dyn Fn() -> usize| {
        work();
        let start = cpu_ns();
        let sum: usize = (0..ROUNDS).map(|_| black_box(work())).sum();
        let each_ns = (cpu_ns() - start) / u64::from(ROUNDS);
        println!("{what}: {each_ns} ns of CPU ({} each)", sum / ROUNDS as usize);
    };
    time("extract, values", &|| extract(&resource).values().len());
    let extracted = extract(&resource);
    time("encode, terms", &|| extracted.terms().len());
    time("encode, bytes", &|| extracted.terms().total_bytes());
    time("parse, bytes", &|| {
        Resource::parse(OBSERVATION.as_bytes(), 64).map_or(0, |_| OBSERVATION.len())
    });
}
