//! Connections to regions: HTTP/1.1 over mutual TLS, kept open and used again.
//!
//! A region's id stands in the URL's host, so that the pool keeps one member's connections apart
//! from another's, and the certificate is checked against the id; the address comes from the
//! routes at the moment of dialling.

use crate::{Ended, Error, STATUS_PATH, Status};
use base::MemberId;
use bytes::Bytes;
use control::{Credentials, Kind, Purpose, Subject};
use http::{Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::util::BoxCloneSyncService;

/// What requests carry: kept whole, or streaming through.
pub type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Where a region is dialled, by id.
pub type Resolve = Arc<dyn Fn(MemberId) -> Option<String> + Send + Sync>;

const IDLE: Duration = Duration::from_secs(60);
/// The longest status.
const STATUS_BYTES: usize = 4 << 20;

/// Sends requests to regions.
#[derive(Clone)]
pub struct Upstream {
    client: Client<BoxCloneSyncService<Uri, RegionStream, io::Error>, Body>,
}

impl Upstream {
    /// With a gateway's, region's or operator's credentials.
    pub fn new(own: &Credentials, resolve: Resolve) -> Result<Self, Error> {
        let connector = TlsConnector::from(control::client(own, Purpose::Http)?);
        let dial = tower::service_fn(move |uri: Uri| dial(connector.clone(), resolve.clone(), uri));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        // Whether it is safe to send again is decided by the exchange, never by the pool.
        builder.retry_canceled_requests(true).set_host(false);
        Ok(Self { client: builder.build(BoxCloneSyncService::new(dial)) })
    }

    /// Sends one request. Its URL must be of [`url`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Ended> {
        let sent = self.client.request(request).await;
        sent.map_err(|error| {
            tracing::debug!(%error, "no answer from a region");
            ended(&error)
        })
    }

    /// Asks a region for its status.
    pub async fn status(&self, region: MemberId, limit: Duration) -> Option<Status> {
        let request = Request::get(url(region, STATUS_PATH)).header(http::header::HOST, "peer");
        let request = request.body(empty()).ok()?;
        let work = async {
            let answer = self.send(request).await.ok()?;
            let good = answer.status().is_success();
            let body = Limited::new(answer.into_body(), STATUS_BYTES).collect().await.ok()?;
            good.then(|| serde_json::from_slice(&body.to_bytes()).ok()).flatten()
        };
        tokio::time::timeout(limit, work).await.ok()?
    }
}

/// Nothing was sent where connecting failed; anything else may have arrived.
fn ended(error: &ClientError) -> Ended {
    if error.is_connect() { Ended::NotSent } else { Ended::Lost }
}

/// The URL of a path at a region.
#[must_use]
pub fn url(region: MemberId, path_and_query: &str) -> String {
    format!("http://{}{path_and_query}", subject(region).dns_name())
}

/// A body without bytes.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

const fn subject(region: MemberId) -> Subject {
    Subject { id: region, kind: Kind::Region }
}

async fn dial(connector: TlsConnector, resolve: Resolve, uri: Uri) -> io::Result<RegionStream> {
    let id = uri.host().and_then(|host| host.split('.').next()?.parse::<MemberId>().ok());
    let unknown = || io::Error::from(io::ErrorKind::NotFound);
    let id = id.ok_or_else(unknown)?;
    let address = resolve(id).ok_or_else(unknown)?;
    let stream = control::connect_to(&connector, &address, subject(id)).await;
    let stream = stream.map_err(io::Error::other)?;
    Ok(RegionStream(TokioIo::new(stream)))
}

/// A connection to a region, as the pool wants it.
pub struct RegionStream(TokioIo<TlsStream<TcpStream>>);

impl Connection for RegionStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for RegionStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for RegionStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
