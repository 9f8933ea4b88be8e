//! The gateway on its public socket.

use crate::probe::{Known, probe_all};
use crate::proxy::Proxy;
use crate::upstream::{Resolve, Upstream};
use crate::{Error, HoldLimits, Holds, Routes};
use base::{Clock, MemberId};
use control::{Credentials, Roster};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const HEADER_WAIT: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a gateway needs.
pub struct GatewaySetup {
    /// Its certificates.
    pub credentials: Credentials,
    /// Everyone it knew last.
    pub roster: Roster,
    /// What may wait.
    pub limits: HoldLimits,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// For clients that come by TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// A gateway at work.
pub struct Gateway {
    proxy: Arc<Proxy>,
    tls: Option<TlsAcceptor>,
}

impl Gateway {
    /// Begins to ask the regions. Call it inside a runtime.
    pub fn start(setup: GatewaySetup) -> Result<Self, Error> {
        let mut routes = Routes::default();
        for region in setup.roster.regions() {
            routes.add_region(region.id, region.name.as_str(), &region.serve);
        }
        let known = Arc::new(Known::new(routes, setup.clock));
        let addresses = known.clone();
        let resolve: Resolve = Arc::new(move |id: MemberId| {
            addresses.routes.read().address(id).map(ToOwned::to_owned)
        });
        let upstream = Upstream::new(&setup.credentials, resolve)?;
        tokio::spawn(probe_all(known.clone(), upstream.clone()));
        let holds = Arc::new(Mutex::new(Holds::new(setup.limits)));
        let https = setup.tls.is_some();
        let proxy = Arc::new(Proxy { known, upstream, holds, https });
        Ok(Self { proxy, tls: setup.tls.map(TlsAcceptor::from) })
    }

    /// Serves clients until `stop` is ready, then finishes what is under way, up to `drain`.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        drain: Duration,
    ) {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection(
                        self.proxy.clone(),
                        stream,
                        self.tls.clone(),
                        graceful.watcher(),
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // What is not done by then is cut: clients see it as an unknown outcome.
        let _ = tokio::time::timeout(drain, graceful.shutdown()).await;
    }
}

async fn connection(
    proxy: Arc<Proxy>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let handler = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    builder.http2().timer(TokioTimer::new());
    let ended = match tls {
        None => watcher.watch(builder.serve_connection(TokioIo::new(stream), handler)).await,
        Some(acceptor) => match tokio::time::timeout(HEADER_WAIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                watcher.watch(builder.serve_connection(TokioIo::new(stream), handler)).await
            }
            _ => return,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection broke");
    }
}
