//! Requests from a socket: HTTP/1.1 and HTTP/2, with or without TLS, and an orderly end.

use crate::{HttpResponse, Scheme, Service};
use base::Span;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take for its headers, or between two requests: longer than pools of
/// clients keep an idle connection (90 s), so that none meets a closing one.
const HEADER_WAIT: Duration = Duration::from_secs(100);
/// How long to wait before accepting again when the machine is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How an orderly end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Whole,
    /// Some were cut when the time was over.
    Cut,
}

/// What answers the requests of a listener.
pub trait Answers: Send + Sync + 'static {
    /// Who calls, as far as that is known before the first request.
    type Caller: Copy + Send + Sync + 'static;
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Who calls, by the certificates that the connection showed; `None` ends it.
    fn caller(&self, certificates: Option<&[CertificateDer<'_>]>) -> Option<Self::Caller>;

    /// Answers one request.
    fn respond(
        self: Arc<Self>,
        caller: Self::Caller,
        request: Request<Incoming>,
        scheme: Scheme,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// No more requests will be answered; those under way are.
    fn stop(&self);
}

impl Answers for Service {
    type Caller = ();
    type Body = Full<Bytes>;

    fn caller(&self, _: Option<&[CertificateDer<'_>]>) -> Option<()> {
        Some(())
    }

    async fn respond(
        self: Arc<Self>,
        (): (),
        request: Request<Incoming>,
        scheme: Scheme,
    ) -> HttpResponse {
        self.answer(request, scheme).await
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

/// Serves until `stop` is ready; then takes no more connections or requests and waits up to
/// `drain` for the answers under way.
pub async fn serve<A: Answers>(
    service: Arc<A>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: impl Future<Output = ()>,
    drain: Span,
) -> Drained {
    let graceful = GracefulShutdown::new();
    let tls = tls.map(TlsAcceptor::from);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let connection =
                    connection(Arc::clone(&service), stream, tls.clone(), graceful.watcher());
                tokio::spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    service.stop();
    match tokio::time::timeout(drain.std(), graceful.shutdown()).await {
        Ok(()) => Drained::Whole,
        Err(_) => Drained::Cut,
    }
}

/// One connection, from its handshake to its end.
async fn connection<A: Answers>(
    service: Arc<A>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    watcher: Watcher,
) {
    let Some(acceptor) = tls else {
        let caller = service.caller(None);
        return answer_all(service, caller, stream, Scheme::Http, watcher).await;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let caller = service.caller(stream.get_ref().1.peer_certificates());
            answer_all(service, caller, stream, Scheme::Https, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Answers the requests of one connection.
async fn answer_all<A, S>(
    service: Arc<A>,
    caller: Option<A::Caller>,
    stream: S,
    scheme: Scheme,
    watcher: Watcher,
) where
    A: Answers,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(caller) = caller else { return };
    let handler = service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.respond(caller, request, scheme).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), handler);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}
