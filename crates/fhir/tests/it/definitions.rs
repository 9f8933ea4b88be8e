use fhir::{Definitions, TypeId, definitions};

#[test]
#[allow(clippy::disallowed_methods, clippy::print_stdout)]
fn the_embedded_definitions_load_quickly() {
    let bytes = include_bytes!("../../src/definitions.bin");
    let started = std::time::Instant::now();
    let loaded = Definitions::load(bytes);
    let ms = started.elapsed().as_millis();
    println!("definitions of FHIR {} loaded in {ms} ms (aim: 50)", definitions().version());
    assert!(loaded.is_ok());
}

#[test]
#[allow(clippy::print_stdout)]
fn every_search_parameter_with_an_expression_compiles() {
    let params = definitions().params();
    let compiled = params.iter().filter(|param| {
        param.expression.is_some_and(|text| fhir::Expression::compile(text).is_ok())
    });
    let compiled = compiled.count();
    println!("{compiled} of {} search parameters compile", params.len());
    assert_eq!((compiled, params.len()), (1375, 1378));
}

#[test]
fn numbers_on_disk_do_not_move() {
    let of = |name| TypeId::from_name(name).map(TypeId::get);
    assert_eq!(TypeId::all().count(), 146);
    assert_eq!(
        (of("Account"), of("Observation"), of("VisionPrescription")),
        (Some(0), Some(95), Some(145))
    );
    let number = |ty, code| {
        let ty = TypeId::from_name(ty)?;
        definitions().param_of(ty, code).map(|param| param.number.0)
    };
    let numbers = [
        number("Account", "identifier"),
        number("Observation", "code-value-quantity"),
        number("Patient", "name"),
        number("VisionPrescription", "_lastUpdated"),
    ];
    assert_eq!(numbers, [Some(0), Some(906), Some(977), Some(1174)]);
}

#[test]
fn the_whole_order_of_types_and_parameters_is_as_it_was() {
    let types: Vec<&str> = TypeId::all().map(TypeId::name).collect();
    let urls: Vec<&str> = definitions().params().iter().map(|param| param.url).collect();
    assert!(types.is_sorted() && urls.is_sorted());
    let hash = |lines: &[&str]| base::Hash::of(lines.join("\n").as_bytes()).to_text();
    insta::assert_snapshot!(format!("{}\n{}", hash(&types), hash(&urls)));
}
