//! serde_json as the oracle, and bytes from nowhere.

use fhir::Resource;
use proptest::prelude::*;
use serde_json::Value;

/// Whether any object in a text names something twice; serde_json does not tell.
fn names_twice(text: &str) -> bool {
    struct Once(bool);
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            d.deserialize_any(Visit)
        }
    }
    struct Visit;
    impl<'de> serde::de::Visitor<'de> for Visit {
        type Value = Once;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_str<E>(self, _: &str) -> Result<Once, E> {
            Ok(Once(false))
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Once, A::Error> {
            let mut twice = false;
            while let Some(Once(inner)) = seq.next_element()? {
                twice |= inner;
            }
            Ok(Once(twice))
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
            let mut names = std::collections::BTreeSet::new();
            let mut twice = false;
            while let Some((name, Once(inner))) = map.next_entry::<String, Once>()? {
                twice |= inner | !names.insert(name);
            }
            Ok(Once(twice))
        }
    }
    serde_json::from_str::<Once>(text).is_ok_and(|once| once.0)
}

/// Our parser and serde_json agree: on what is JSON, and on what it says.
fn agree(text: &str) {
    let oracle = serde_json::from_str::<Value>(text);
    let ours = Resource::parse(text.as_bytes(), 64);
    match (ours, oracle) {
        (Ok(resource), Ok(value)) => {
            assert!(!names_twice(text), "{text}");
            let written = resource.to_json();
            let again: Value = serde_json::from_slice(&written).expect("what we write is JSON");
            assert_eq!(again, value, "{text}");
        }
        (Ok(_), Err(error)) => panic!("serde_json refuses {text}: {error}"),
        (Err(issues), Ok(value)) => {
            let known = value.is_object()
                && value["resourceType"]
                    .as_str()
                    .is_some_and(|n| fhir::TypeId::from_name(n).is_some());
            assert!(!known || names_twice(text), "we refuse {text}: {issues:?}");
        }
        (Err(_), Err(_)) => {}
    }
}

fn json() -> impl Strategy<Value = String> {
    let number = r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?";
    let string = prop_oneof![
        "[ -!#-\\[\\]-~]{0,20}".prop_map(|s| format!("\"{s}\"")),
        any::<String>().prop_map(|s| Value::String(s).to_string()),
        Just(r#""\u00e9\ud83d\ude00\/\b\f\n""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
    ];
    let leaf = prop_oneof![
        number.prop_map(|n| n),
        string,
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ];
    let name = prop_oneof!["[a-c]", "_?(id|status|extension)", Just("value\\u0041".to_owned())];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" ,"))),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(n, v)| format!("\"{n}\" : {v}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn ours_and_serde_json_agree_on_json(value in json()) {
        agree(&format!(r#"{{"resourceType":"Basic","x":{value}}}"#));
    }

    #[test]
    fn ours_and_serde_json_agree_on_damaged_json(value in json(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let text = format!(r#"{{"resourceType":"Basic","x":{value}}}"#);
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        agree(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_accepted_but_never_reach_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Resource::parse(&bytes, 64).map(|resource| resource.validate());
    }

    #[test]
    fn arbitrary_members_never_reach_a_panic(value in json(), name in "(code|component|valueQuantity|_status|contained|extension|text|id|meta)") {
        let text = format!(r#"{{"resourceType":"Observation","{name}":{value}}}"#);
        if let Ok(mut resource) = Resource::parse(text.as_bytes(), 64) {
            let _ = resource.validate();
            for param in fhir::definitions().params_of(resource.type_id()) {
                let _ = param.expression.evaluate(resource.root());
            }
            resource.rewrite_references(&mut |_| Some("Patient/1".to_owned()));
            let id = "1".parse().expect("an id");
            let version = "1".parse().expect("a version");
            let body = resource.template(&id).stamp(version, base::Stamp::ZERO);
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn arbitrary_expressions_compile_or_are_refused(text in "[a-zA-Z0-9 .()\\[\\]|='%$`{}!]{0,60}") {
        let _ = fhir::Expression::compile(&text);
    }
}

#[test]
fn numbers_keep_their_digits() {
    for number in [
        "1.10",
        "0.100000000000000000000000000001",
        "1e400",
        "-0",
        "-0.0",
        "1E-2",
        "123456789012345678901234567890",
    ] {
        let text = format!(r#"{{"resourceType":"Basic","x":{number}}}"#);
        let resource = Resource::parse(text.as_bytes(), 64).expect("it is JSON");
        assert_eq!(resource.to_json(), text.as_bytes());
    }
}

#[test]
fn deep_nesting_is_refused_and_the_process_lives() {
    let body = vec![b'['; 20_000];
    assert!(Resource::parse(&body, 64).is_err());
    assert!(Resource::parse(&body, usize::MAX).is_err());
    let nested =
        format!(r#"{{"resourceType":"Basic","x":{}{}}}"#, "[".repeat(255), "]".repeat(255));
    assert!(Resource::parse(nested.as_bytes(), usize::MAX).is_ok());
    for part in ["(", "id.first().", "id or ", "id is string "] {
        let expression = format!("{}id", part.repeat(10_000));
        assert!(fhir::Expression::compile(&expression).is_err(), "{part}");
    }
    let long = format!("{}id", "id or ".repeat(500));
    let long = fhir::Expression::compile(&long).expect("1,001 words");
    let resource = Resource::parse(br#"{"resourceType":"Basic"}"#, 64).expect("it is JSON");
    assert_eq!(long.evaluate(resource.root()).len(), 0);
}

#[test]
fn a_resource_as_deep_as_the_limit_goes_through_every_walk() {
    let (open, close) = (r#"{"url":"u","extension":["#, "]}");
    let nested = format!("{}{{\"url\":\"u\"}}{}", open.repeat(126), close.repeat(126));
    let text =
        format!(r#"{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{nested}]}}"#);
    let mut resource = Resource::parse(text.as_bytes(), 256).expect("255 deep");
    assert_eq!(resource.validate(), Ok(()));
    assert_eq!(resource.rewrite_references(&mut |_| Some("v".to_owned())), 127);
    assert_eq!(resource.to_json().len(), text.len());
}
