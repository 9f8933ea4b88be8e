//! Media types: what is read, what is written, and what a client accepts
//! (<https://hl7.org/fhir/R4/http.html#mime-type>).

use crate::Error;
use http::{HeaderMap, header};

/// What every body of this service is sent as.
pub const FHIR_JSON: &str = "application/fhir+json;fhirVersion=4.0;charset=utf-8";
/// What a form of `_search` is sent as.
const FORM: &str = "application/x-www-form-urlencoded";

/// Essence and parameters of one media type or range; `None` when it is not one.
fn split(text: &str) -> Option<(String, impl Iterator<Item = (String, &str)>)> {
    let mut parts = text.split(';');
    let essence = parts.next()?.trim().to_ascii_lowercase();
    essence.contains('/').then(|| {
        let parameters = parts.filter_map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        });
        (essence, parameters)
    })
}

/// Whether the essence names JSON, as FHIR or in general.
fn is_json(essence: &str) -> bool {
    matches!(essence, "application/fhir+json" | "application/json" | "text/json")
}

/// Whether `fhirVersion` names R4.
fn is_r4(version: &str) -> bool {
    matches!(version, "4.0" | "4.0.1")
}

/// Refuses a body that is not FHIR R4 as JSON in UTF-8. No `Content-Type` counts as that.
pub fn check_body(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let refused = || Error::MediaType {
        sent: value.to_str().unwrap_or("not ASCII").chars().take(80).collect(),
        read: "application/fhir+json",
    };
    let (essence, parameters) = value.to_str().ok().and_then(split).ok_or_else(refused)?;
    let mut fits = is_json(&essence);
    for (name, value) in parameters {
        fits &= match name.as_str() {
            "charset" => value.eq_ignore_ascii_case("utf-8"),
            "fhirversion" => is_r4(value),
            _ => true,
        };
    }
    if fits { Ok(()) } else { Err(refused()) }
}

/// Refuses a body that is encoded: compressed bytes would be taken for broken JSON.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().unwrap_or("not ASCII");
        let plain = |name: &str| name.is_empty() || name.eq_ignore_ascii_case("identity");
        if !text.split(',').map(str::trim).all(plain) {
            return Err(Error::Encoding { sent: shorten(text) });
        }
    }
    Ok(())
}

/// Refuses a body of `_search` that is not a form. None and an empty one are one.
pub fn check_form(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or("not ASCII");
    match split(text) {
        Some((essence, _)) if essence == FORM => Ok(()),
        _ => Err(Error::MediaType { sent: text.chars().take(80).collect(), read: FORM }),
    }
}

/// Whether one range of `Accept` takes what this service writes.
fn accepts(range: &str) -> bool {
    let Some((essence, parameters)) = split(range) else { return range.trim() == "*" };
    let mut fits = is_json(&essence) || essence == "*/*" || essence == "application/*";
    for (name, value) in parameters {
        fits &= match name.as_str() {
            "q" => value.parse::<f32>().is_ok_and(|q| q > 0.0),
            "fhirversion" => is_r4(value),
            "charset" => value.eq_ignore_ascii_case("utf-8"),
            _ => true,
        };
    }
    fits
}

/// Refuses a client that takes no JSON: `_format` counts before `Accept`.
pub fn check_accept(headers: &HeaderMap, format: Option<&str>) -> Result<(), Error> {
    if let Some(format) = format {
        // A plus sign in a query reads as a space once decoded.
        let name = format.replace(' ', "+");
        let fits = name == "json" || accepts(&name);
        return if fits { Ok(()) } else { Err(Error::NotAcceptable { asked: shorten(format) }) };
    }
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        if text.split(',').any(accepts) {
            return Ok(());
        }
        any |= !text.trim().is_empty();
    }
    if !any {
        return Ok(());
    }
    let asked = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Err(Error::NotAcceptable { asked: shorten(asked) })
}

/// At most 80 characters, for an error.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn bodies_that_are_read() {
        let check = |value| check_body(&with(header::CONTENT_TYPE, value)).is_ok();
        for good in [
            "application/fhir+json",
            "application/json; charset=UTF-8",
            "Application/FHIR+JSON; fhirVersion=4.0",
            "text/json",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "application/fhir+xml",
            "application/fhir+json; fhirVersion=3.0",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "json",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(check_body(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn encoded_bodies_are_not_read() {
        let check = |value| check_encoding(&with(header::CONTENT_ENCODING, value)).is_ok();
        assert!(["identity", "Identity", "", "identity, identity"].into_iter().all(check));
        assert!(!["gzip", "identity, br", "zstd", "unknown"].into_iter().any(check));
        assert!(check_encoding(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn answers_that_are_accepted() {
        let check = |value| check_accept(&with(header::ACCEPT, value), None).is_ok();
        for good in [
            "*/*",
            "application/fhir+json",
            "application/json;q=0.5, application/fhir+xml",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/fhir+json; fhirVersion=4.0",
            "",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "application/fhir+xml",
            "text/html",
            "application/json;q=0",
            "application/fhir+json;fhirVersion=5.0",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn format_counts_before_accept() {
        let xml = with(header::ACCEPT, "application/fhir+xml");
        for good in ["json", "application/json", "application/fhir+json", "application/fhir json"] {
            assert!(check_accept(&xml, Some(good)).is_ok(), "{good}");
        }
        for bad in ["xml", "html", "ttl", "application/fhir+xml", ""] {
            assert!(check_accept(&HeaderMap::new(), Some(bad)).is_err(), "{bad}");
        }
    }
}
