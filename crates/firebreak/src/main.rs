//! Firebreak: a FHIR R4 service that survives the loss of a region.

fn main() {}
