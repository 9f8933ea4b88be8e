//! Who is answered at which of a region's listeners, and with what. Members of the cluster are
//! known by certificate, never by header.

use super::{Region, admin, pass, status};
use ::gateway::{PASSED_HEADER, PROTO_HEADER, STATUS_PATH, prepare};
use bytes::Bytes;
use control::{Kind, Subject};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use service::{Answers, Scheme};
use std::sync::Arc;

/// What a region answers.
pub type Answer = Response<BoxBody<Bytes, hyper::Error>>;

const JSON: &str = "application/json";

/// A listener's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests of gateways, requests passed on by the other region, status, commands.
    Members,
    /// Clients, where a region alone is its own gateway.
    Clients,
    /// Load balancers, that ask for health and nothing else.
    Probes,
}

/// A listener of a region.
pub struct Door {
    /// Whose.
    pub region: Arc<Region>,
    /// What for.
    pub purpose: Purpose,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// Someone of the cluster.
    Member(Subject),
    /// Anyone.
    Client,
    /// A load balancer.
    Probe,
}

impl Answers for Door {
    type Caller = Caller;
    type Body = BoxBody<Bytes, hyper::Error>;

    fn caller(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<Caller> {
        match self.purpose {
            Purpose::Clients => Some(Caller::Client),
            Purpose::Probes => Some(Caller::Probe),
            Purpose::Members => match control::peer(certificates) {
                Ok(subject) => Some(Caller::Member(subject)),
                Err(error) => {
                    tracing::warn!(%error, "a caller is refused");
                    None
                }
            },
        }
    }

    async fn respond(
        self: Arc<Self>,
        caller: Caller,
        request: Request<Incoming>,
        scheme: Scheme,
    ) -> Answer {
        let region = &self.region;
        match caller {
            Caller::Member(subject) => member(region, subject, request).await,
            Caller::Client => client(region, request, scheme).await,
            Caller::Probe if request.uri().path().starts_with("/health/") => {
                here(region, request, scheme).await
            }
            Caller::Probe => own_name(),
        }
    }

    fn stop(&self) {
        self.region.service.stop();
    }
}

/// The service's own answer.
async fn here(region: &Region, request: Request<Incoming>, scheme: Scheme) -> Answer {
    let response = region.service.answer(request, scheme).await;
    response.map(|body| body.map_err(|never| match never {}).boxed())
}

/// Reached under its own name by a client (DESIGN 4.4).
fn own_name() -> Answer {
    refuse(StatusCode::FORBIDDEN, "ask a gateway: a region is not asked under its own name")
}

/// Reached under the public name.
async fn client(region: &Region, mut request: Request<Incoming>, scheme: Scheme) -> Answer {
    match pass::place(region, request.uri().path()) {
        pass::Place::Here => here(region, request, scheme).await,
        pass::Place::Opening => pass::opening(),
        pass::Place::Elsewhere(elsewhere) => {
            let (mut parts, body) = request.into_parts();
            prepare(&mut parts, scheme == Scheme::Https);
            request = Request::from_parts(parts, body);
            pass::on(region, &elsewhere, request).await
        }
    }
}

async fn member(region: &Arc<Region>, caller: Subject, request: Request<Incoming>) -> Answer {
    let known = region.member.roster.borrow().by_id(caller.id).map(|member| member.kind);
    if known != Some(caller.kind) {
        tracing::warn!(id = %caller.id, "a caller that is not in the roster is refused");
        return refuse(StatusCode::FORBIDDEN, "not in the roster");
    }
    let path = request.uri().path();
    if path == STATUS_PATH {
        return match serde_json::to_vec(&status::tell(region)) {
            Ok(told) => bytes(StatusCode::OK, JSON, told.into()),
            Err(_) => json(StatusCode::INTERNAL_SERVER_ERROR, &serde_json::Value::Null),
        };
    }
    if path.starts_with("/admin/") {
        return admin::answer(region, caller, request).await;
    }
    let passed = request.headers().contains_key(PASSED_HEADER);
    match (caller.kind, passed) {
        (Kind::Gateway, false) | (Kind::Region, true) => {}
        _ => return own_name(),
    }
    match pass::place(region, path) {
        pass::Place::Opening => pass::opening(),
        pass::Place::Elsewhere(elsewhere) if passed => pass::misdirected(&elsewhere),
        pass::Place::Elsewhere(elsewhere) => pass::on(region, &elsewhere, request).await,
        pass::Place::Here => {
            let scheme = told_scheme(request.headers());
            here(region, request, scheme).await
        }
    }
}

/// How the client reached the gateway, which tells it in a header. Believed only of who showed a
/// certificate of the cluster.
fn told_scheme(headers: &HeaderMap) -> Scheme {
    match headers.get(PROTO_HEADER).map(HeaderValue::as_bytes) {
        Some(b"https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// A refusal with its reason.
pub fn refuse(status: StatusCode, reason: &str) -> Answer {
    json(status, &serde_json::json!({ "error": reason }))
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    bytes(status, JSON, value.to_string().into())
}

/// An answer of bytes.
pub fn bytes(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_tells_how_its_client_came() {
        let told = |value: Option<&'static str>| {
            let value = value.map(HeaderValue::from_static);
            let headers = value.map(|value| (http::HeaderName::from_static(PROTO_HEADER), value));
            told_scheme(&HeaderMap::from_iter(headers))
        };
        assert_eq!(told(Some("https")), Scheme::Https);
        for plain in [None, Some("http"), Some("ftp"), Some("")] {
            assert_eq!(told(plain), Scheme::Http, "{plain:?}");
        }
    }
}
