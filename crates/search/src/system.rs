//! Code systems and identifier systems, kept short in keys and values.

/// Systems that have a one-byte name in index terms. **On disk**: an entry's place is its name, so
/// entries are only ever added at the end, and [`crate::ENCODING_VERSION`] rises with them.
const KNOWN: [&str; 62] = [
    "http://loinc.org",
    "http://snomed.info/sct",
    "http://unitsofmeasure.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/cvx",
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-9-cm",
    "http://hl7.org/fhir/sid/ndc",
    "http://hl7.org/fhir/sid/us-npi",
    "http://hl7.org/fhir/sid/us-ssn",
    "http://hl7.org/fhir/sid/us-medicare",
    "http://www.ama-assn.org/go/cpt",
    "http://www.ada.org/cdt",
    "http://www.whocc.no/atc",
    "http://dicom.nema.org/resources/ontology/DCM",
    "urn:ietf:bcp:47",
    "urn:ietf:bcp:13",
    "urn:ietf:rfc:3986",
    "urn:iso:std:iso:3166",
    "urn:iso:std:iso:4217",
    "https://github.com/synthetichealth/synthea",
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://terminology.hl7.org/CodeSystem/condition-category",
    "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
    "http://terminology.hl7.org/CodeSystem/v2-0203",
    "http://terminology.hl7.org/CodeSystem/v2-0074",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
    "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
    "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "http://terminology.hl7.org/CodeSystem/v3-ActPriority",
    "http://terminology.hl7.org/CodeSystem/data-absent-reason",
    "http://terminology.hl7.org/CodeSystem/diagnostic-service-sections",
    "http://terminology.hl7.org/CodeSystem/organization-type",
    "http://terminology.hl7.org/CodeSystem/service-type",
    "http://terminology.hl7.org/CodeSystem/claim-type",
    "http://terminology.hl7.org/CodeSystem/processpriority",
    "http://terminology.hl7.org/CodeSystem/adjudication",
    "http://terminology.hl7.org/CodeSystem/claimcareteamrole",
    "http://terminology.hl7.org/CodeSystem/claiminformationcategory",
    "http://terminology.hl7.org/CodeSystem/ex-diagnosistype",
    "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
    "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    "http://terminology.hl7.org/CodeSystem/usage-context-type",
    "http://terminology.hl7.org/CodeSystem/goal-achievement",
    "http://terminology.hl7.org/CodeSystem/goal-priority",
    "http://terminology.hl7.org/CodeSystem/discharge-disposition",
    "http://terminology.hl7.org/CodeSystem/location-physical-type",
    "http://hl7.org/fhir/us/core/CodeSystem/condition-category",
    "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "http://nucc.org/provider-taxonomy",
    "http://hl7.org/fhir/sid/icd-11",
    "http://fdasis.nlm.nih.gov",
    "http://varnomen.hgvs.org",
];

/// The first byte of a system in a term: none given.
const NONE: u8 = 0x00;
/// The element has no system of its own (`code`, `boolean`, `string`, `uri`, ContactPoint).
const UNUSED: u8 = 0xFE;
/// Any other system: eight bytes of its hash follow.
const OTHER: u8 = 0xFF;

/// The system of a token or quantity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// The element may have one, and has none.
    None,
    /// The element has no place for one: it is not compared
    /// (<https://hl7.org/fhir/R4/search.html#token>).
    Unused,
    /// One of the well-known ones, by its place in the table.
    Known(u8),
    /// Any other.
    Other(Box<str>),
}

impl System {
    /// The system with this URI; an empty one is none.
    #[must_use]
    pub fn of(uri: Option<&str>) -> Self {
        match uri {
            None | Some("") => Self::None,
            Some(uri) => known(uri).map_or_else(|| Self::Other(uri.into()), Self::Known),
        }
    }

    /// Writes it to the end of a term. Two systems share a form with a chance of 2⁻⁶⁴.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(NONE),
            Self::Unused => out.push(UNUSED),
            Self::Known(place) => out.push(place + 1),
            Self::Other(uri) => {
                out.push(OTHER);
                out.extend_from_slice(&base::Hash::of(uri.as_bytes()).as_bytes()[..8]);
            }
        }
    }

    /// What [`System::Unused`] is in a term.
    pub(crate) const UNUSED_BYTES: &'static [u8] = &[UNUSED];
}

/// A system's place in the table: by length first, for most differ in it.
fn known(uri: &str) -> Option<u8> {
    let place = KNOWN.iter().position(|known| known.len() == uri.len() && *known == uri)?;
    u8::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_system_has_one_place_and_one_byte() {
        for (place, uri) in KNOWN.iter().enumerate() {
            assert_eq!(System::of(Some(uri)), System::Known(u8::try_from(place).expect("few")));
        }
        assert_eq!(System::of(Some("")), System::None);
        assert!(KNOWN.len() < usize::from(UNUSED) - 1);
    }
}
