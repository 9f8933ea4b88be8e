//! A non-primary never answers from its own copy: it passes the whole request to the primary, one
//! hop; a request that was passed on already gets 421 with the epoch known here (DESIGN 4.4).

use super::Region;
use super::http::{Answer, json};
use ::gateway::{APPLIED_HEADER, EPOCH_HEADER, Ended, PASSED_HEADER, PRIMARY_HEADER, url};
use base::{AccountName, Epoch, MemberId};
use dr::Role;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json as object;

/// Another region is primary, as far as this one knows.
pub struct Elsewhere {
    primary: MemberId,
    epoch: Epoch,
}

/// The account of a path.
fn account(path: &str) -> Option<AccountName> {
    path.strip_prefix('/').unwrap_or(path).split('/').next()?.parse().ok()
}

/// Where a request is to be answered.
pub enum Place {
    /// By this region's service, also where it is a refusal.
    Here,
    /// Here, once the account's log is open.
    Opening,
    /// By another region.
    Elsewhere(Elsewhere),
}

/// Where the account of this path is served.
pub fn place(region: &Region, path: &str) -> Place {
    let Some(account) = account(path) else { return Place::Here };
    if region.accounts.is_opening(&account) {
        return Place::Opening;
    }
    let views = region.member.driver.known();
    let Some(view) = views.get(&account) else { return Place::Here };
    let Some(value) = &view.value else { return Place::Here };
    let primary = value.primary.member;
    if primary == region.member.identity.id || matches!(view.role, Role::Primary { .. }) {
        return Place::Here;
    }
    Place::Elsewhere(Elsewhere { primary, epoch: value.reign.epoch })
}

/// 503: the account is here, and soon open.
pub fn opening() -> Answer {
    let mut answer = outcome(StatusCode::SERVICE_UNAVAILABLE, "the account is being opened");
    answer.headers_mut().insert(APPLIED_HEADER, HeaderValue::from_static("no"));
    answer.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn outcome(status: StatusCode, text: &str) -> Answer {
    let outcome = object!({
        "resourceType": "OperationOutcome",
        "issue": [{ "severity": "error", "code": "transient", "diagnostics": text }],
    });
    json(status, &outcome)
}

/// 421: this region is not the primary, and the request came from one that thought so.
pub fn misdirected(elsewhere: &Elsewhere) -> Answer {
    refuse(StatusCode::MISDIRECTED_REQUEST, elsewhere, "no", "this region is not the primary")
}

fn refuse(status: StatusCode, elsewhere: &Elsewhere, applied: &'static str, text: &str) -> Answer {
    let mut answer = outcome(status, text);
    let headers = answer.headers_mut();
    headers.insert(APPLIED_HEADER, HeaderValue::from_static(applied));
    headers.insert(EPOCH_HEADER, HeaderValue::from(elsewhere.epoch.get()));
    if let Ok(primary) = HeaderValue::try_from(elsewhere.primary.to_string()) {
        headers.insert(PRIMARY_HEADER, primary);
    }
    answer
}

/// Passes a request on, and its answer back.
pub async fn on(region: &Region, elsewhere: &Elsewhere, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut passed = Request::new(body.map_err(Into::into).boxed());
    *passed.method_mut() = parts.method;
    *passed.headers_mut() = parts.headers;
    let own = HeaderValue::from_str(region.member.identity.name.as_str());
    let (Ok(uri), Ok(own)) = (url(elsewhere.primary, path).parse(), own) else {
        return refuse(StatusCode::BAD_GATEWAY, elsewhere, "no", "the path cannot be passed on");
    };
    *passed.uri_mut() = uri;
    passed.headers_mut().insert(PASSED_HEADER, own);
    match region.upstream.send(passed).await {
        Ok(answer) => answer.map(BodyExt::boxed),
        Err(Ended::NotSent) => {
            refuse(StatusCode::BAD_GATEWAY, elsewhere, "no", "the primary is not reached")
        }
        Err(_) => {
            let text = "the primary did not answer";
            refuse(StatusCode::BAD_GATEWAY, elsewhere, "unknown", text)
        }
    }
}
