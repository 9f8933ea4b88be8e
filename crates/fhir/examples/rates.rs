//! What each step of taking a resource in costs: `cargo run --release -p fhir --example rates FILE`,
//! where FILE is a Synthea bundle (`.json.bz2`). Takes its 100 largest Observations.
#![allow(clippy::print_stdout)]

use fhir::{Resource, definitions};
use std::io::Read as _;
use std::time::Instant;

fn main() {
    let path = std::env::args().nth(1).expect("name a bundle");
    let file = std::fs::File::open(path).expect("the file is there");
    let mut bundle = Vec::new();
    bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut bundle).expect("it is bzip2");
    let started = Instant::now();
    let params = definitions().params().len();
    println!("definitions with {params} search parameters loaded in {:?}", started.elapsed());
    let started = Instant::now();
    let whole = Resource::parse(&bundle, 64).expect("it is a Bundle");
    println!("bundle of {} bytes parsed in {:?}", bundle.len(), started.elapsed());
    let started = Instant::now();
    let entries: Vec<_> = whole.bundle_entries().collect();
    println!("{} entries taken out in {:?}", entries.len(), started.elapsed());
    let mut texts: Vec<Vec<u8>> = entries
        .into_iter()
        .filter_map(|entry| entry.resource?.ok())
        .filter(|resource| resource.type_id().name() == "Observation")
        .map(|resource| resource.to_json())
        .collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts.truncate(100);
    let bytes: usize = texts.iter().map(Vec::len).sum();
    println!("{} Observations, {} bytes on average", texts.len(), bytes / texts.len().max(1));

    let resources: Vec<Resource> =
        texts.iter().map(|text| Resource::parse(text, 64).expect("it is valid")).collect();
    each("parse", &texts, |text| Resource::parse(text, 64).map_or(0, |_| 1));
    each("validate", &resources, |resource| usize::from(resource.validate().is_ok()));
    each("evaluate every parameter", &resources, |resource| {
        let params = definitions().params_of(resource.type_id());
        params.iter().map(|param| param.expression.evaluate(resource.root()).len()).sum()
    });
    each("walk every child", &resources, |resource| children(resource.root()));
    let id = "0197a7b2-7b6e-7f00-8000-0123456789ab".parse().expect("an id");
    each("template", &resources, |resource| resource.template(&id).len());
    let template = resources.first().map(|resource| resource.template(&id));
    let version = "7".parse().expect("a version");
    each("stamp", &resources, |_| {
        template.as_ref().map_or(0, |template| template.stamp(version, base::Stamp::ZERO).len())
    });
    each("serde_json, for comparison", &texts, |text| {
        serde_json::from_slice::<serde_json::Value>(text).map_or(0, |_| 1)
    });
}

fn children(node: fhir::Node<'_>) -> usize {
    node.all_children().map(|(_, child)| 1 + children(child)).sum()
}

/// Prints the time of one call: the best of 300 short rounds, so that other work on the machine
/// does not count.
fn each<T>(what: &str, inputs: &[T], work: impl Fn(&T) -> usize) {
    let mut best = f64::MAX;
    let mut sum = 0;
    for _ in 0..300 {
        let started = Instant::now();
        sum += inputs.iter().map(&work).sum::<usize>();
        best = best.min(started.elapsed().as_secs_f64() / inputs.len().max(1) as f64);
    }
    println!("{what}: {:.2} µs ({sum})", best * 1e6);
}
