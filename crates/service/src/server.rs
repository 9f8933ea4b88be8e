//! The service on a socket: HTTP/1.1 and HTTP/2, with or without TLS, and an orderly end.

use crate::{Scheme, Service};
use base::Span;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long a client may take for its headers, a TLS handshake, or between two requests: longer
/// than pools of clients keep an idle connection (90 s), so that none meets a closing one.
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

/// Serves until `stop` is ready; then takes no more connections or requests and waits up to
/// `drain` for the answers under way.
pub async fn serve(
    service: Arc<Service>,
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
async fn connection(
    service: Arc<Service>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    watcher: Watcher,
) {
    let Some(acceptor) = tls else {
        return answer_all(service, stream, Scheme::Http, watcher).await;
    };
    match tokio::time::timeout(HEADER_WAIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => answer_all(service, stream, Scheme::Https, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Answers the requests of one connection.
async fn answer_all<S>(service: Arc<Service>, stream: S, scheme: Scheme, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(move |request: hyper::Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request, scheme).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), handler);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}
