//! The bytes of index terms: a contract on disk. A change here needs a new `ENCODING_VERSION`.

use crate::sample::{GUIDE, OBSERVATION, PATIENT, PRESSURE, TEXTUAL, VALUE_SET, resource};
use search::ENCODING_VERSION;
use std::fmt::Write as _;

#[test]
fn terms_are_these_bytes() {
    let mut golden = format!("encoding version {ENCODING_VERSION}\n");
    for text in [OBSERVATION, PRESSURE, TEXTUAL, PATIENT, VALUE_SET, GUIDE] {
        let (meta, extracted) = resource(text);
        let terms = extracted.terms();
        writeln!(golden, "\n# {}: {} terms, {} bytes", meta.id, terms.len(), terms.total_bytes())
            .expect("a string takes all");
        for term in terms.iter() {
            let (param, value) = term.split_at(2);
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let number = u16::from_be_bytes([param[0], param[1]]);
            let url = fhir::definitions().params()[usize::from(number)].url;
            let name = url.rsplit('/').next().unwrap_or_default();
            writeln!(golden, "{number:5} {name}: {hex}").expect("a string takes all");
        }
    }
    insta::assert_snapshot!("terms", golden);
}
