//! One HTTP/1.1 connection that opens itself anew when it breaks.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// Why no answer came. Whether the request took effect is then unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not `http://HOST:PORT/…`.
    #[error("url '{0}' is not http://HOST:PORT/...")]
    Url(String),
    /// No connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection broke before the answer was whole: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A header value or path has characters that HTTP does not allow.
    #[error("request cannot be expressed in HTTP: {0}")]
    Form(#[from] hyper::http::Error),
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: hyper::Method,
    /// Path and query.
    pub path: String,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, FHIR JSON; empty for none.
    pub body: Bytes,
}

impl Request {
    /// A request without body or further headers.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: hyper::Method::GET,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: hyper::HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header's text; `None` when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A connection to one origin.
pub struct Connection {
    address: String,
    timeout: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// `http://host:port/path` as address and path.
pub(crate) fn split_url(url: &str) -> Result<(String, String), Error> {
    let rest = url.strip_prefix("http://").ok_or_else(|| Error::Url(url.to_owned()))?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    if address.is_empty() {
        return Err(Error::Url(url.to_owned()));
    }
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    Ok((address, format!("/{}", path.trim_end_matches('/'))))
}

impl Connection {
    /// A connection to the origin of `url`, opened at the first request; each request may take
    /// `timeout` at most.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, Error> {
        Ok(Self { address: split_url(url)?.0, timeout, sender: None })
    }

    /// Sends and waits for the whole answer. After an error the next request opens a new
    /// connection.
    pub async fn send(&mut self, request: &Request) -> Result<Answer, Error> {
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(error)
            }
            Err(_) => {
                self.sender = None;
                Err(Error::Timeout(timeout))
            }
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, Error> {
        let message = self.message(request)?;
        let sender = self.ready().await?;
        let (parts, body) = sender.send_request(message).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn message(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let mut builder = hyper::Request::builder()
            .method(request.method.clone())
            .uri(&request.path)
            .header(HOST, &self.address);
        if !request.body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/fhir+json");
        }
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(hyper::http::Error::from)?;
            builder = builder.header(HeaderName::from_static(name), value);
        }
        Ok(builder.body(Full::new(request.body.clone()))?)
    }

    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Error> {
        let usable = match &mut self.sender {
            Some(sender) => !sender.is_closed() && sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(&self.address)
                .await
                .map_err(|source| Error::Connect { address: self.address.clone(), source })?;
            stream.set_nodelay(true).ok();
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // The task ends with the connection, which ends when its sender is dropped.
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        Ok(self.sender.as_mut().expect("opened just above"))
    }
}
