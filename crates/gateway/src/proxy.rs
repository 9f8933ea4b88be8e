//! Carries requests between clients and regions, as the cores say.

use crate::answer::{self, Answer};
use crate::probe::Known;
use crate::upstream::{self, Body, Upstream};
use crate::{
    APPLIED_HEADER, Applied, EPOCH_HEADER, Ended, Exchange, Holds, KEY_HEADER, Next,
    PRIMARY_HEADER, Repeat, Target, Verdict, health,
};
use base::{AccountName, BootTime, Rng, Span};
use bytes::Bytes;
use control::OsRng;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The longest URL taken, in bytes.
const URL_BYTES: usize = 16 << 10;
/// How long a client may take for a body that is kept.
const BODY_WAIT: Duration = Duration::from_secs(60);
/// Headers of one connection, never passed on (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Headers that only regions and gateways may set.
const OURS: [HeaderName; 2] =
    [HeaderName::from_static(crate::PASSED_HEADER), HeaderName::from_static(crate::PROTO_HEADER)];

/// A gateway's requests.
pub struct Proxy {
    /// What it knows.
    pub known: Arc<Known>,
    /// The way to regions.
    pub upstream: Upstream,
    /// What waits.
    pub holds: Arc<Mutex<Holds>>,
    /// Whether clients come by TLS.
    pub https: bool,
}

/// A place among those that wait, given back when dropped.
struct Place {
    holds: Arc<Mutex<Holds>>,
    account: AccountName,
    bytes: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holds.lock().leave(&self.account, self.bytes);
    }
}

/// Counts a request that waits for a route, so that regions are asked more often.
struct Waiting<'a>(&'a Known);

impl<'a> Waiting<'a> {
    fn new(known: &'a Known) -> Self {
        if known.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            known.hurry.notify_waiters();
        }
        Self(known)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's body: whole, so that it can be sent again, or streaming.
enum Payload {
    Whole(Bytes),
    Streaming(Option<Incoming>),
}

impl Proxy {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path.len() + parts.uri.query().map_or(0, str::len) > URL_BYTES {
            let text = format!("the URL is longer than {URL_BYTES} bytes");
            return answer::refuse(StatusCode::URI_TOO_LONG, "too-long", &text);
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        if first == "health" {
            return health::answer(&self.known, rest, parts.uri.query());
        }
        let Ok(account) = first.parse::<AccountName>() else {
            let text = "the path does not begin with the name of an account";
            return answer::refuse(StatusCode::NOT_FOUND, "not-found", text);
        };
        if !self.holds.lock().enter(&account) {
            let text = "too many requests are under way for this gateway";
            return answer::unavailable(Applied::No, text);
        }
        let place = Place { holds: self.holds.clone(), account: account.clone(), bytes: 0 };
        prepare(&mut parts, self.https);
        match self.take_in(&parts, body, place).await {
            Ok((payload, repeat, place)) => {
                let hold = Span::from_ms(place.holds.lock().limits().hold_ms);
                let exchange = Exchange::new(account, repeat, self.now() + hold);
                self.carry(&parts, payload, exchange).await
            }
            Err(refusal) => refusal,
        }
    }

    fn now(&self) -> BootTime {
        self.known.clock.boot()
    }

    /// Keeps the body, if there is room, so that the request can be sent again.
    async fn take_in(
        &self,
        parts: &Parts,
        body: Incoming,
        mut place: Place,
    ) -> Result<(Payload, Repeat, Place), Answer> {
        let safe = parts.method.is_safe()
            || (parts.method == Method::POST && parts.uri.path().ends_with("/_search"));
        let repeat = if safe { Repeat::Safe } else { Repeat::Keyed };
        if body.is_end_stream() {
            return Ok((Payload::Whole(Bytes::new()), repeat, place));
        }
        let Some(length) = body.size_hint().exact() else {
            // Of unknown length: kept only as far as there is room, so it is not kept at all.
            return Ok((Payload::Streaming(Some(body)), Repeat::Never, place));
        };
        if !self.holds.lock().keep(length) {
            return Ok((Payload::Streaming(Some(body)), Repeat::Never, place));
        }
        place.bytes = length;
        match tokio::time::timeout(BODY_WAIT, body.collect()).await {
            Ok(Ok(whole)) => Ok((Payload::Whole(whole.to_bytes()), repeat, place)),
            Err(_) => {
                let text = "the body took longer than 60 s";
                Err(answer::refuse(StatusCode::REQUEST_TIMEOUT, "timeout", text))
            }
            Ok(Err(_)) => {
                let text = "the body ended before its length";
                Err(answer::refuse(StatusCode::BAD_REQUEST, "incomplete", text))
            }
        }
    }

    async fn carry(&self, parts: &Parts, mut payload: Payload, mut exchange: Exchange) -> Answer {
        let mut news = self.known.news.subscribe();
        loop {
            news.mark_unchanged();
            let now = self.now();
            let next = exchange.next(&self.known.routes.read(), now);
            let target = match next {
                Next::Send(target) => target,
                Next::Wait(until) => {
                    let _waiting = Waiting::new(&self.known);
                    tokio::select! {
                        changed = news.changed() => if changed.is_ok() { exchange.news() },
                        () = tokio::time::sleep(until.since(now).std()) => {}
                    }
                    continue;
                }
                Next::NoSuchAccount => {
                    let text = "no region knows an account of this name";
                    return answer::refuse(StatusCode::NOT_FOUND, "not-found", text);
                }
                Next::GiveUp(applied) => return gave_up(applied),
            };
            let (ended, response) = self.attempt(parts, &mut payload, &exchange, target).await;
            self.note(&exchange, target, ended, response.as_ref());
            match (exchange.after(ended, self.now()), response) {
                (Verdict::Pass, Some(response)) => return pass(response),
                (Verdict::Again, _) => {}
                (Verdict::GiveUp(applied), Some(response)) if applied == said(&response) => {
                    return pass(response);
                }
                (Verdict::GiveUp(applied), _) => return gave_up(applied),
                (Verdict::Pass, None) => return gave_up(Applied::Unknown),
            }
        }
    }

    /// One attempt; given up when the account meanwhile has another primary.
    async fn attempt(
        &self,
        parts: &Parts,
        payload: &mut Payload,
        exchange: &Exchange,
        target: Target,
    ) -> (Ended, Option<Response<Incoming>>) {
        let body = match payload {
            Payload::Whole(bytes) => whole(bytes.clone()),
            Payload::Streaming(body) => match body.take() {
                Some(body) => body.map_err(Into::into).boxed(),
                None => return (Ended::Lost, None),
            },
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        match upstream::url(target.region, path).parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return (Ended::NotSent, None),
        }
        let mut news = self.known.news.subscribe();
        let sending = self.upstream.send(request);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return match sent {
                    Ok(response) => {
                        let (status, applied) = (response.status().as_u16(), told(&response));
                        (Ended::Answered { status, applied }, Some(response))
                    }
                    Err(ended) => (ended, None),
                },
                _ = news.changed() => {
                    if self.known.routes.read().overtaken(exchange.account(), target) {
                        return (Ended::Lost, None);
                    }
                }
            }
        }
    }

    /// Lets the routes learn from how an attempt ended.
    fn note(
        &self,
        exchange: &Exchange,
        target: Target,
        ended: Ended,
        response: Option<&Response<Incoming>>,
    ) {
        let mut routes = self.known.routes.write();
        match ended {
            Ended::NotSent | Ended::Lost => routes.failed(target, self.now()),
            Ended::Answered { status: 421 | 502 | 504, .. } if target.region != target.primary => {
                routes.failed(target, self.now());
            }
            Ended::Answered { .. } => routes.answered(target.region),
        }
        let Some(headers) = response.map(Response::headers) else { return };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let epoch = text(EPOCH_HEADER).and_then(|epoch| epoch.parse().ok());
        let primary = text(PRIMARY_HEADER).and_then(|id| id.parse().ok());
        if let (Some(epoch), Some(primary)) = (epoch, primary)
            && routes.refused(exchange.account(), epoch, primary)
        {
            drop(routes);
            self.known.tell();
        }
    }
}

/// Makes a client's head ready to be passed on: no headers of the connection or of ours, a key.
pub fn prepare(parts: &mut Parts, https: bool) {
    strip(&mut parts.headers);
    for name in &OURS {
        parts.headers.remove(name);
    }
    let proto = HeaderValue::from_static(if https { "https" } else { "http" });
    parts.headers.insert(crate::PROTO_HEADER, proto);
    // HTTP/2 names the host in the URL.
    if !parts.headers.contains_key(header::HOST)
        && let Some(host) = parts.uri.host()
        && let Ok(host) = HeaderValue::try_from(match parts.uri.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    {
        parts.headers.insert(header::HOST, host);
    }
    if !parts.method.is_safe() && !parts.headers.contains_key(KEY_HEADER) {
        let mut rng = OsRng;
        let key = format!("gw-{:016x}{:016x}", rng.next_u64(), rng.next_u64());
        let key = HeaderValue::try_from(key).expect("hexadecimal digits");
        parts.headers.insert(KEY_HEADER, key);
    }
}

/// Removes what belongs to one connection, and what `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn told(response: &Response<Incoming>) -> Option<Applied> {
    let value = response.headers().get(APPLIED_HEADER)?;
    Some(if value == "no" { Applied::No } else { Applied::Unknown })
}

fn said(response: &Response<Incoming>) -> Applied {
    told(response).unwrap_or(Applied::Unknown)
}

/// A region's answer as it is, without the headers of its connection.
fn pass(response: Response<Incoming>) -> Answer {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    Response::from_parts(parts, body.boxed())
}

fn gave_up(applied: Applied) -> Answer {
    answer::unavailable(applied, "no region could take the request in time, try again")
}
