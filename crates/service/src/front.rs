//! From an HTTP request to its answer: limits first, then account, path, headers and body, then
//! the gate, the interaction, the wait for what the answer depends on, and the gate again.

use crate::answer::REQUEST_ID;
use crate::call::Shared;
use crate::headers::{Preconditions, Prefer, check_accept, check_body, check_encoding, check_form};
use crate::interaction::{self, Asked, capabilities, health};
use crate::query::Controls;
use crate::route::{Interaction, Target};
use crate::{Account, Answer, Call, Error, Failure, Service, body, bundle, idempotency};
use base::ErrorKind;
use bytes::Bytes;
use fhir::{Issue, Severity};
use http::header::{ALLOW, HOST, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use replication::Durability;
use std::sync::Arc;
use store::Applied;

/// Whether the client came over TLS: part of the links in its answer. Who listens knows it; what a
/// client says of itself in a header is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// `X-Firebreak-Min-Position`: a read must not see less than this.
const MIN_POSITION: HeaderName = HeaderName::from_static("x-firebreak-min-position");

/// What a response is.
pub type HttpResponse = Response<Full<Bytes>>;

impl Service {
    /// Answers one request. Never fails: every refusal is an OperationOutcome.
    pub async fn answer<B>(
        self: &Arc<Self>,
        request: http::Request<B>,
        scheme: Scheme,
    ) -> HttpResponse
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        let unsafe_method = !parts.method.is_safe();
        let mut response = match self.dispatch(&parts, body, scheme).await {
            Ok(response) => response,
            Err(failure) => {
                log(&failure);
                failure.into_response(unsafe_method)
            }
        };
        let echoed = parts.headers.get(REQUEST_ID).filter(|value| value.len() <= 128).cloned();
        let id = echoed.or_else(|| HeaderValue::try_from(self.mint_request_id()).ok());
        if let Some(id) = id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn dispatch<B>(
        self: &Arc<Self>,
        parts: &Parts,
        body: B,
        scheme: Scheme,
    ) -> Result<HttpResponse, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.check_head(parts)?;
        let (path, raw_query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        if first == "health" {
            return health::answer(self, &parts.method, rest, raw_query);
        }
        let account = self.account(first).ok_or(Error::Account)?;
        let target = Target::parse(rest)?;
        if parts.method == Method::OPTIONS {
            return Ok(options(&target));
        }
        let interaction = target.interaction(&parts.method)?;
        let controls = Controls::read(&[raw_query]);
        check_accept(&parts.headers, controls.format.as_deref())?;
        let limit = self.limits().concurrency;
        let _slot = self.slots().try_acquire().map_err(|_| Error::Busy { limit })?;
        if self.is_stopping() {
            return Err(Error::Stopping.into());
        }
        let base = self.base_url(parts, &account, scheme)?;
        if interaction == Interaction::Capabilities {
            capabilities::check(&controls)?;
            return Ok(capabilities::answer(self, &base).into_response());
        }
        let request = Request { parts, controls, target, interaction };
        self.act(request, body, account, base).await
    }

    /// Refuses a head that is too long.
    fn check_head(&self, parts: &Parts) -> Result<(), Error> {
        let size = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
        let limit = self.limits().url_bytes;
        if size > limit {
            return Err(Error::UrlTooLong { size, limit });
        }
        let lengths = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let (size, limit) = (lengths.sum(), self.limits().header_bytes);
        if size > limit { Err(Error::HeadersTooLong { size, limit }) } else { Ok(()) }
    }

    /// The interactions that ask the gate.
    async fn act<B>(
        self: &Arc<Self>,
        request: Request<'_>,
        body: B,
        account: Account,
        base: String,
    ) -> Result<HttpResponse, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let headers = &request.parts.headers;
        if headers.contains_key(MIN_POSITION) {
            // Answering without regard to it could show an older state than the client has seen.
            let (name, reason) = ("X-Firebreak-Min-Position", "is not read by this version");
            return Err(Error::Header { name, reason }.into());
        }
        account.gate.admit().map_err(Error::from)?;
        let body = match request.interaction {
            Interaction::Create | Interaction::Update | Interaction::Bundle => {
                check_encoding(headers)?;
                check_body(headers)?;
                body::read(self, headers, body).await?
            }
            Interaction::SearchForm => {
                check_encoding(headers)?;
                check_form(headers)?;
                body::read(self, headers, body).await?
            }
            _ => body::Held::EMPTY,
        };
        // The body may have taken long: the term that counts begins now.
        let term = account.gate.admit().map_err(Error::from)?;
        let preconditions = Preconditions::read(headers)?;
        let call = Call {
            prefer: Prefer::read(headers),
            idempotency: idempotency::of_request(request.parts, &body.bytes)?,
            preconditions,
            shared: Arc::new(Shared::new(Arc::clone(self), account, base, term)),
        };
        let outcome = interact(&call, request, body.bytes.clone()).await;
        let answered = settle(&call, outcome).await?;
        Ok(answered.into_response())
    }

    /// The base URL as the client knows it, without a trailing slash.
    fn base_url(&self, parts: &Parts, account: &Account, scheme: Scheme) -> Result<String, Error> {
        if let Some(url) = &self.settings().public_url {
            return Ok(format!("{}/{}", url.trim_end_matches('/'), account.name));
        }
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = authority.or(host).unwrap_or("localhost");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(Error::Header { name: "Host", reason: "is no host and port" });
        }
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        Ok(format!("{scheme}://{host}/{}", account.name))
    }
}

/// A request whose path and method are understood.
struct Request<'a> {
    parts: &'a Parts,
    controls: Controls,
    target: Target,
    interaction: Interaction,
}

/// Hands the request to its interaction.
async fn interact(call: &Call, request: Request<'_>, body: Bytes) -> Result<Answer, Failure> {
    let Request { parts, mut controls, target, interaction } = request;
    let resource = match interaction {
        Interaction::Bundle => {
            controls.check_none()?;
            return bundle::answer(call, body).await;
        }
        Interaction::Create | Interaction::Update => Some(body::resource(call, &body)?),
        Interaction::SearchForm => {
            let form = std::str::from_utf8(&body).map_err(|_| Error::Parameter {
                name: "_search".to_owned(),
                reason: "is a form that is not UTF-8",
            })?;
            controls = Controls::read(&[parts.uri.query().unwrap_or(""), form]);
            None
        }
        _ => None,
    };
    interaction::answer(call, Asked { interaction, target, controls, resource }).await
}

/// Waits for all that an answer or refusal depends on, and asks the gate last of all. Nothing
/// may come between this and the first byte.
async fn settle(call: &Call, outcome: Result<Answer, Failure>) -> Result<Answer, Failure> {
    let shared = &call.shared;
    let written = shared.written();
    let refuse = |refusal: replication::Refusal| Failure {
        error: refusal.into(),
        applied: match &outcome {
            Err(failure) if written.is_none() => failure.applied,
            Ok(_) if written.is_none() => Applied::No,
            _ => Applied::Unknown,
        },
    };
    let mut durability = shared.settle().await.map_err(&refuse)?;
    let mut late = false;
    if let Some(written) = written.filter(|_| call.prefer.replicated && outcome.is_ok()) {
        durability = shared.replicate(written).await.map_err(&refuse)?;
        late = durability == Durability::Local;
    }
    shared.account.gate.check_last(&shared.term).map_err(&refuse)?;
    let mut answer = outcome?;
    if let Some(position) = written {
        answer.position = Some(position);
        answer.durability = Some(durability);
    }
    Ok(if late { answer.with_outcome(&[late_warning()]) } else { answer })
}

/// What a client is told whose write stands, but not yet in both regions.
fn late_warning() -> Issue {
    Issue {
        severity: Severity::Warning,
        code: "incomplete",
        expression: None,
        diagnostics: "the write stands in this region and is not known to be in another one"
            .to_owned(),
    }
}

/// What may be done with a path.
fn options(target: &Target) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(target.allow()));
    response
}

/// Faults of ours are for a human; refusals, which may repeat what the client said, are the
/// client's business.
fn log(failure: &Failure) {
    if matches!(failure.error.kind(), ErrorKind::Bug | ErrorKind::Corrupt) {
        tracing::error!(error = %failure.error, "a request failed by a fault of this server");
    }
}
