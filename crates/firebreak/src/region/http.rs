//! A region's HTTP over mutual TLS: gateways' requests, requests passed on by the other region,
//! status, and operators' commands. Who asks is known by certificate, never by header.

use super::{Region, admin, pass, status};
use ::gateway::{PASSED_HEADER, STATUS_PATH};
use bytes::Bytes;
use control::{Kind, Purpose, Subject};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use service::Scheme;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a region answers.
pub type Answer = Response<BoxBody<Bytes, hyper::Error>>;

const HANDSHAKE: Duration = Duration::from_secs(3);
const HEADER_WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// How long answers under way may take once told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `stop` is ready.
pub async fn serve(
    region: Arc<Region>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let tls = control::server(&region.member.credentials, &[Purpose::Http])?;
    let acceptor = TlsAcceptor::from(tls);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (region, acceptor) = (region.clone(), acceptor.clone());
                tokio::spawn(connection(region, stream, acceptor, graceful.watcher()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    region.service.stop();
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

async fn connection(
    region: Arc<Region>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    watcher: hyper_util::server::graceful::Watcher,
) {
    control::tune(&stream);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let subject = match control::peer(stream.get_ref().1.peer_certificates()) {
        Ok(subject) => subject,
        Err(error) => return tracing::warn!(%error, "a caller is refused"),
    };
    let handler = service_fn(move |request: Request<Incoming>| {
        let region = region.clone();
        async move { Ok::<_, Infallible>(answer(&region, subject, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    let connection = builder.serve_connection(TokioIo::new(stream), handler);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Answers `/health/…` for load balancers, without TLS and without anything else.
pub async fn serve_health(region: Arc<Region>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let region = region.clone();
        tokio::spawn(async move {
            let handler = service_fn(move |request: Request<Incoming>| {
                let region = region.clone();
                async move { Ok::<_, Infallible>(health(&region, request).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), handler).await {
                tracing::debug!(%error, "a probe's connection broke");
            }
        });
    }
}

async fn health(region: &Arc<Region>, request: Request<Incoming>) -> Answer {
    if request.uri().path().starts_with("/health/") {
        let response = region.service.answer(request, Scheme::Http).await;
        return response.map(|body| body.map_err(|never| match never {}).boxed());
    }
    own_name()
}

/// Reached under its own name by a client (DESIGN 4.4).
fn own_name() -> Answer {
    let text = "ask a gateway: a region is not asked under its own name";
    json(StatusCode::FORBIDDEN, &serde_json::json!({ "error": text }))
}

async fn answer(region: &Arc<Region>, caller: Subject, request: Request<Incoming>) -> Answer {
    let known = region.member.roster.borrow().by_id(caller.id).map(|member| member.kind);
    if known != Some(caller.kind) {
        tracing::warn!(id = %caller.id, "a caller that is not in the roster is refused");
        return json(StatusCode::FORBIDDEN, &serde_json::json!({ "error": "not in the roster" }));
    }
    let path = request.uri().path();
    if path == STATUS_PATH {
        return match serde_json::to_value(status::tell(region)) {
            Ok(told) => json(StatusCode::OK, &told),
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
    if pass::is_opening(region, request.uri().path()) {
        return pass::opening();
    }
    match pass::elsewhere(region, request.uri().path()) {
        Some(elsewhere) if passed => pass::misdirected(&elsewhere),
        Some(elsewhere) => pass::on(region, &elsewhere, request).await,
        None => {
            let https = request.headers().get("x-forwarded-proto").is_some_and(|p| p == "https");
            let scheme = if https { Scheme::Https } else { Scheme::Http };
            let response = region.service.answer(request, scheme).await;
            response.map(|body| body.map_err(|never| match never {}).boxed())
        }
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    bytes(status, "application/json", value.to_string().into())
}

/// An answer of bytes.
pub fn bytes(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
