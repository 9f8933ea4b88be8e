//! A blood pressure of the shape that Synthea writes, 1.4 kB and more.

/// What varies from one Observation to the next.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whose it is: one number for each patient.
    pub patient: u64,
    /// A number of its own; stands in its identifier.
    pub serial: u64,
    /// Diastolic pressure, mm\[Hg\].
    pub diastolic: u64,
    /// Systolic pressure, mm\[Hg\].
    pub systolic: u64,
}

impl Reading {
    /// A reading that looks different for each `serial`.
    #[must_use]
    pub const fn nth(patient: u64, serial: u64) -> Self {
        let mixed = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            patient,
            serial,
            diastolic: 60 + (mixed >> 32) % 40,
            systolic: 100 + (mixed >> 40) % 60,
        }
    }

    /// Its JSON; with `id` when it is to be put there.
    #[must_use]
    pub fn to_json(self, id: Option<&str>) -> String {
        let Self { patient, serial, diastolic, systolic } = self;
        let id = id.map(|id| format!("\"id\":\"{id}\",")).unwrap_or_default();
        let encounter = serial / 4;
        let (month, day) = (1 + serial % 12, 1 + serial / 12 % 28);
        let (hour, minute) = (serial / 336 % 24, serial / 8064 % 60);
        let date = format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}");
        format!(
            concat!(
                r#"{{"resourceType":"Observation",{id}"meta":{{"profile":["#,
                r#""http://hl7.org/fhir/StructureDefinition/bp","#,
                r#""http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"#,
                r#""identifier":[{{"system":"urn:firebreak:workload","value":"{patient}-{serial}"}}],"#,
                r#""status":"final","category":[{{"coding":[{{"system":"#,
                r#""http://terminology.hl7.org/CodeSystem/observation-category","#,
                r#""code":"vital-signs","display":"vital-signs"}}]}}],"#,
                r#""code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9","#,
                r#""display":"Blood Pressure"}}],"text":"Blood Pressure"}},"#,
                r#""subject":{{"reference":"Patient/0ef7a3b5-53ee-e765-10e2-{patient:012x}"}},"#,
                r#""encounter":{{"reference":"Encounter/d42167de-0c55-a931-6215-{encounter:012x}"}},"#,
                r#""effectiveDateTime":"{date}:01+02:00","issued":"{date}:01.514+02:00","#,
                r#""performer":[{{"reference":"Practitioner/b9590b16-804d-3d9f-0de0-b80b794f1017"}}],"#,
                r#""component":[{{"code":{{"coding":[{{"system":"http://loinc.org","#,
                r#""code":"8462-4","display":"Diastolic Blood Pressure"}}],"#,
                r#""text":"Diastolic Blood Pressure"}},"valueQuantity":{{"value":{diastolic},"#,
                r#""unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},"#,
                r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6","#,
                r#""display":"Systolic Blood Pressure"}}],"text":"Systolic Blood Pressure"}},"#,
                r#""valueQuantity":{{"value":{systolic},"unit":"mm[Hg]","#,
                r#""system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},"#,
                r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8478-0","#,
                r#""display":"Mean blood pressure"}}],"text":"Mean blood pressure"}},"#,
                r#""valueQuantity":{{"value":{mean},"unit":"mm[Hg]","#,
                r#""system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}]}}"#
            ),
            id = id,
            patient = patient,
            serial = serial,
            encounter = encounter,
            date = date,
            diastolic = diastolic,
            systolic = systolic,
            mean = (systolic + 2 * diastolic) / 3,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_json_of_the_promised_size() {
        let text = Reading::nth(7, 123_456).to_json(None);
        assert!(text.len() >= 1_400, "{} bytes", text.len());
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
