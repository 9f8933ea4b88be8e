//! Random resources and random queries: what terms say is what values say.

use crate::queries::{indexed, query};
use crate::sample::resource;
use proptest::prelude::*;

fn pick(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts)
}

const CODES: &[&str] = &["a", "b", "B", "ab", "a code longer than any term holds", ""];
const SYSTEMS: &[&str] = &["http://loinc.org", "urn:x", "urn:y"];
const NUMBERS: &[&str] = &["0", "1", "1.0", "1.04", "0.95", "-1", "10", "1e1", "99.5", "1e-3"];
const UNITS: &[&str] = &["cm", "m", "[in_i]"];
const DATES: &[&str] = &[
    "2020",
    "2020-01",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:00:00.500Z",
    "2019-12-31T23:59:59-01:00",
    "2020-06-15",
    "2021",
    "1999-12-31",
];
const IDS: &[&str] = &["1", "2", "085e81c0-7a95-ef02-16ef-aa1b4344deed"];
const TYPES: &[&str] =
    &["Patient", "Group", "https://x.example/fhir/Patient", "https://clinic.example/fhir/Patient"];

fn coding() -> impl Strategy<Value = String> {
    let system = proptest::option::of(pick(SYSTEMS));
    let code = proptest::option::of(pick(&CODES[..5]));
    (system, code).prop_map(|(system, code)| {
        let part = |name: &str, value: Option<&str>| value.map(|v| format!(r#""{name}":"{v}""#));
        let parts: Vec<String> =
            [part("system", system), part("code", code), Some(r#""display":"d""#.into())]
                .into_iter()
                .flatten()
                .collect();
        format!("{{{}}}", parts.join(","))
    })
}

fn concept() -> impl Strategy<Value = String> {
    proptest::collection::vec(coding(), 0..3).prop_map(|codings| {
        if codings.is_empty() {
            r#"{"text":"only"}"#.into()
        } else {
            format!(r#"{{"coding":[{}]}}"#, codings.join(","))
        }
    })
}

fn quantity() -> impl Strategy<Value = String> {
    let comparator = proptest::option::weighted(0.2, pick(&["<", ">=", ">"]));
    let unit = proptest::option::of(pick(UNITS));
    let coded = proptest::option::of(pick(SYSTEMS));
    (pick(NUMBERS), comparator, unit, coded).prop_map(|(value, comparator, unit, coded)| {
        let mut text = format!(r#"{{"value":{value}"#);
        for (name, part) in [
            ("comparator", comparator),
            ("unit", unit),
            ("system", coded),
            ("code", coded.and(unit)),
        ] {
            if let Some(part) = part {
                text += &format!(r#","{name}":"{part}""#);
            }
        }
        text + "}"
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => quantity().prop_map(|q| format!(r#","valueQuantity":{q}"#)),
        1 => concept().prop_map(|c| format!(r#","valueCodeableConcept":{c}"#)),
        1 => pick(CODES).prop_map(|s| format!(r#","valueString":"É{s}""#)),
        1 => pick(DATES).prop_map(|d| format!(r#","valueDateTime":"{d}""#)),
        1 => Just(String::new()),
    ]
}

fn effective() -> impl Strategy<Value = String> {
    let period = (proptest::option::of(pick(DATES)), proptest::option::of(pick(DATES)));
    prop_oneof![
        2 => pick(DATES).prop_map(|d| format!(r#","effectiveDateTime":"{d}""#)),
        2 => period.prop_map(|(start, end)| {
            let part = |name: &str, d: Option<&str>| d.map(|d| format!(r#""{name}":"{d}""#));
            let parts: Vec<String> = [part("start", start), part("end", end)].into_iter().flatten().collect();
            format!(r#","effectivePeriod":{{{}}}"#, parts.join(","))
        }),
        1 => Just(String::new()),
    ]
}

fn observation() -> impl Strategy<Value = String> {
    let component =
        (concept(), value()).prop_map(|(code, value)| format!(r#"{{"code":{code}{value}}}"#));
    let components = proptest::collection::vec(component, 0..3);
    let subject = proptest::option::of((pick(TYPES), pick(IDS), any::<bool>()));
    (concept(), value(), effective(), components, subject).prop_map(|(code, value, effective, components, subject)| {
        let components =
            if components.is_empty() { String::new() } else { format!(r#","component":[{}]"#, components.join(",")) };
        let subject = subject.map_or(String::new(), |(ty, id, versioned)| {
            let version = if versioned { "/_history/2" } else { "" };
            format!(r#","subject":{{"reference":"{ty}/{id}{version}"}}"#)
        });
        format!(r#"{{"resourceType":"Observation","id":"1","status":"final","code":{code}{value}{effective}{components}{subject}}}"#)
    })
}

fn token() -> impl Strategy<Value = String> {
    (proptest::option::of(pick(&["", "http://loinc.org", "urn:x", "urn:z"])), pick(CODES))
        .prop_filter_map("something is asked for", |(system, code)| match system {
            None if code.is_empty() => None,
            None => Some(code.to_owned()),
            Some("") if code.is_empty() => None,
            Some(system) => Some(format!("{system}|{code}")),
        })
}

fn number() -> impl Strategy<Value = String> {
    (pick(&["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]), pick(NUMBERS))
        .prop_map(|(p, n)| format!("{p}{n}"))
}

fn amount() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        Just(String::new()),
        pick(UNITS).prop_map(|unit| format!("||{unit}")),
        (pick(SYSTEMS), pick(UNITS)).prop_map(|(system, unit)| format!("|{system}|{unit}")),
    ];
    (number(), unit).prop_map(|(number, unit)| format!("{number}{unit}"))
}

fn date() -> impl Strategy<Value = String> {
    (pick(&["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]), pick(DATES))
        .prop_map(|(p, d)| format!("{p}{d}"))
}

fn clause() -> impl Strategy<Value = String> {
    let named = |names: &'static [&'static str], value: BoxedStrategy<String>| {
        (pick(names), value).prop_map(|(name, value)| format!("{name}={value}"))
    };
    let codes: &[&str] = &[
        "code",
        "combo-code",
        "component-code",
        "value-concept",
        "combo-value-concept",
        "code:not",
        "combo-code:not",
    ];
    let amounts: &[&str] = &["value-quantity", "combo-value-quantity", "component-value-quantity"];
    let pairs: &[&str] =
        &["code-value-quantity", "component-code-value-quantity", "combo-code-value-quantity"];
    let concepts: &[&str] =
        &["code-value-concept", "component-code-value-concept", "combo-code-value-concept"];
    let dates: &[&str] = &["date", "value-date"];
    let strings: &[&str] = &["value-string", "value-string:exact", "value-string:contains"];
    let whose: &[&str] = &["subject", "patient", "subject:Patient", "subject:Group"];
    let all: &[&str] = &[
        "code",
        "subject",
        "patient",
        "date",
        "combo-code",
        "combo-value-quantity",
        "value-string",
    ];
    let reference =
        (
            pick(&[
                "",
                "Patient/",
                "Group/",
                "https://x.example/fhir/Patient/",
                "https://clinic.example/fhir/Patient/",
            ]),
            pick(IDS),
            pick(&["", "/_history/2", "/_history/3"]),
        )
            .prop_map(|(of, id, version)| {
                if of.is_empty() { id.to_owned() } else { format!("{of}{id}{version}") }
            });
    let fits = |clause: &String| {
        !clause.contains(":Group=Patient")
            && !clause.contains(":Group=http")
            && !clause.contains(":Patient=Group")
    };
    prop_oneof![
        named(codes, token().boxed()),
        named(amounts, amount().boxed()),
        named(pairs, (token(), amount()).prop_map(|(a, b)| format!("{a}${b}")).boxed()),
        named(concepts, (token(), token()).prop_map(|(a, b)| format!("{a}${b}")).boxed()),
        named(dates, date().boxed()),
        named(
            strings,
            pick(&["e", "É", "éa", "Éa", "CODE", "éa code longer than any term holds"])
                .prop_map(str::to_owned)
                .boxed()
        ),
        named(whose, reference.boxed()).prop_filter("the type fits", fits),
        (pick(all), any::<bool>()).prop_map(|(name, missing)| format!("{name}:missing={missing}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn terms_answer_as_values_do(
        observations in proptest::collection::vec(observation(), 1..5),
        clauses in proptest::collection::vec(clause(), 1..6),
    ) {
        for text in &observations {
            let (meta, extracted) = resource(text);
            for clause in &clauses {
                let filter = query("Observation", clause).filter;
                let expected = filter.matches(&meta, &extracted);
                prop_assert_eq!(indexed(&filter, &meta, &extracted), expected, "{} on {}", clause, text);
            }
        }
    }
}
