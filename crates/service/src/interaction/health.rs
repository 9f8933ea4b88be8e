//! Health for load balancers and gateways: plain JSON, no FHIR (DESIGN.md 4.6).
//!
//! `live`: the process answers. `ready`: it takes requests. `primary?account=` and
//! `secondary?account=&max_lag=`: what this region is for an account. 200 or 503; the `status`
//! tells causes apart, and only those that should move traffic are 503.

use crate::{Account, Error, Failure, Service, front::HttpResponse, query::Controls};
use base::Span;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use replication::Refusal;

/// The lag that `secondary` allows when the caller names none.
const MAX_LAG_DEFAULT: Span = Span::from_secs(5);

/// Answers a path below `/health/`.
pub fn answer(
    service: &Service,
    method: &Method,
    path: &str,
    raw_query: &str,
) -> Result<HttpResponse, Failure> {
    if method == Method::OPTIONS {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        return Ok(response);
    }
    if method != Method::GET && method != Method::HEAD {
        let method = method.as_str().chars().take(16).collect();
        return Err(Error::MethodNotAllowed { method, allow: "GET, HEAD, OPTIONS" }.into());
    }
    let controls = Controls::read(&[raw_query]);
    let parameter =
        |name: &str| controls.parameters().find(|(known, _)| known == name).map(|(_, value)| value);
    match path {
        "live" => Ok(status(StatusCode::OK, "live", "")),
        "ready" if service.is_stopping() => Ok(unavailable("stopping", "")),
        "ready" => Ok(status(StatusCode::OK, "ready", "")),
        "primary" => primary(&account(service, parameter("account"))?),
        "secondary" => {
            let limit = match parameter("max_lag") {
                None => MAX_LAG_DEFAULT,
                Some(text) => seconds(&text).ok_or(Error::Parameter {
                    name: "max_lag".to_owned(),
                    reason: "is not a number of seconds such as 5, 2.5 or 5s",
                })?,
            };
            Ok(secondary(&account(service, parameter("account"))?, limit))
        }
        _ => Err(Error::Path.into()),
    }
}

fn account(service: &Service, name: Option<String>) -> Result<Account, Error> {
    let name = name.ok_or(Error::Parameter {
        name: "account".to_owned(),
        reason: "is missing: name the account",
    })?;
    service.account(&name).ok_or(Error::Account)
}

fn primary(account: &Account) -> Result<HttpResponse, Failure> {
    let standing = account.gate.admit().and_then(|term| {
        account.gate.check_last(&term)?;
        Ok(term)
    });
    Ok(match standing {
        Ok(_) if account.store.status().disk_full => {
            status(StatusCode::OK, "throttled", ",\"reason\":\"disk-full\"")
        }
        Ok(term) => {
            let (epoch, lag) = (term.epoch.get(), lag_field(account));
            status(StatusCode::OK, "primary", &format!(",\"epoch\":{epoch}{lag}"))
        }
        // Moving traffic away would not help: the account is where it is.
        Err(Refusal::Stalled { .. }) => status(StatusCode::OK, "throttled", &lag_field(account)),
        Err(Refusal::NotPrimary { epoch } | Refusal::TermOver { epoch }) => {
            unavailable("not-primary", &format!(",\"epoch\":{}", epoch.get()))
        }
        Err(Refusal::NoLease { .. } | Refusal::Changing { .. }) => unavailable("not-primary", ""),
    })
}

/// How far the secondary is behind, to the microsecond; nothing when there is none to wait for.
fn lag_field(account: &Account) -> String {
    account
        .gate
        .primary_lag()
        .map_or_else(String::new, |lag| format!(",\"lag_ms\":{}.{:03}", lag.ms(), lag.us() % 1000))
}

fn secondary(account: &Account, limit: Span) -> HttpResponse {
    match account.gate.secondary_lag() {
        None => unavailable("not-secondary", ""),
        Some(lag) if lag > limit => unavailable(
            "lagging",
            &format!(",\"lag_ms\":{},\"max_lag_ms\":{}", lag.ms(), limit.ms()),
        ),
        Some(lag) => status(StatusCode::OK, "secondary", &format!(",\"lag_ms\":{}", lag.ms())),
    }
}

/// Seconds with an optional unit, to the millisecond.
fn seconds(text: &str) -> Option<Span> {
    let value: f64 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    let fits = value.is_finite() && (0.0..=86_400.0).contains(&value);
    // In range, so the cast neither wraps nor loses what matters.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fits.then(|| Span::from_ms((value * 1000.0) as u64))
}

fn status(code: StatusCode, name: &'static str, more: &str) -> HttpResponse {
    let text = format!("{{\"status\":\"{name}\"{more}}}");
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn unavailable(name: &'static str, more: &str) -> HttpResponse {
    let mut response = status(StatusCode::SERVICE_UNAVAILABLE, name, more);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
