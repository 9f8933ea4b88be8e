//! The gateway's own answers: refusals with an OperationOutcome, and health. Never a success for
//! a FHIR request.

use crate::{APPLIED_HEADER, Applied};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};

/// What goes to clients.
pub type Answer = Response<BoxBody<Bytes, hyper::Error>>;

fn full(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn outcome(status: StatusCode, code: &str, text: &str) -> Answer {
    let body = serde_json::json!({
        "resourceType": "OperationOutcome",
        "issue": [{ "severity": "error", "code": code, "diagnostics": text }],
    });
    full(status, "application/fhir+json; charset=utf-8", body.to_string())
}

/// 503: nobody could take it, and whether it may have been applied.
#[must_use]
pub fn unavailable(applied: Applied, text: &str) -> Answer {
    let mut answer = outcome(StatusCode::SERVICE_UNAVAILABLE, "transient", text);
    let said = match applied {
        Applied::No => "no",
        Applied::Unknown => "unknown",
    };
    answer.headers_mut().insert(APPLIED_HEADER, HeaderValue::from_static(said));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// A refusal that changes nothing.
#[must_use]
pub fn refuse(status: StatusCode, code: &str, text: &str) -> Answer {
    let mut answer = outcome(status, code, text);
    answer.headers_mut().insert(APPLIED_HEADER, HeaderValue::from_static("no"));
    answer
}

/// A probe's answer.
#[must_use]
pub fn health(good: bool, body: &serde_json::Value) -> Answer {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    full(status, "application/json", body.to_string())
}
