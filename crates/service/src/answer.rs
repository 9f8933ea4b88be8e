//! The answer of one interaction, before it is an HTTP response or an entry of a response bundle.

use crate::{
    Error, headers::FHIR_JSON, headers::http_date, outcome::outcome, outcome::push_json_string,
};
use base::{Position, Stamp, VersionId};
use bytes::Bytes;
use fhir::Issue;
use http::{HeaderValue, Response, StatusCode, header, header::HeaderName};
use http_body_util::Full;
use replication::Durability;
use std::fmt::Write as _;
use store::Applied;

/// `X-Firebreak-Position`: the position of the commit that a write made or a read saw.
pub const POSITION: HeaderName = HeaderName::from_static("x-firebreak-position");
/// `X-Firebreak-Durability`: `local` or `replicated`.
pub const DURABILITY: HeaderName = HeaderName::from_static("x-firebreak-durability");
/// `X-Firebreak-Applied`: `no` on a refusal before the commit queue, else `unknown`.
pub const APPLIED: HeaderName = HeaderName::from_static("x-firebreak-applied");
/// `X-Firebreak-Epoch`: the epoch that a member knows which may not act.
pub const EPOCH: HeaderName = HeaderName::from_static("x-firebreak-epoch");
/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What an interaction that went well says.
#[derive(Debug, Default)]
pub struct Answer {
    /// HTTP status, 200 when unset.
    pub status: StatusCode,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// When that version was made.
    pub updated: Option<Stamp>,
    /// The absolute URL of that version, after a write.
    pub location: Option<String>,
    /// The position of the commit, after a write.
    pub position: Option<Position>,
    /// How far it is kept, after a write.
    pub durability: Option<Durability>,
    /// A FHIR resource.
    pub body: Option<Bytes>,
    /// Whether the body is an OperationOutcome: in a response bundle it goes elsewhere.
    pub is_outcome: bool,
}

/// A refusal, and whether the request may have been applied all the same.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// Whether it may stand.
    pub applied: Applied,
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), applied: Applied::No }
    }
}

/// A header value of text that is known to be plain.
fn plain(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Answer {
    /// An answer whose body is an OperationOutcome.
    #[must_use]
    pub fn with_outcome(mut self, issues: &[Issue]) -> Self {
        self.body = Some(outcome(issues));
        self.is_outcome = true;
        self
    }

    /// The HTTP response.
    #[must_use]
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(version) = self.version {
            headers.insert(header::ETAG, plain(format!("W/\"{version}\"")));
        }
        if let Some(updated) = self.updated {
            headers.insert(header::LAST_MODIFIED, plain(http_date(updated)));
        }
        if let Some(location) = self.location {
            headers.insert(header::LOCATION, plain(location));
        }
        if let Some(position) = self.position {
            headers.insert(POSITION, plain(position.to_string()));
        }
        if let Some(durability) = self.durability {
            headers.insert(DURABILITY, HeaderValue::from_static(durability.name()));
        }
        if let Some(body) = self.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
            *response.body_mut() = Full::new(body);
        }
        response
    }

    /// One entry of a batch-response or transaction-response.
    pub fn push_entry(&self, out: &mut Vec<u8>) {
        let mut text = String::with_capacity(192);
        out.push(b'{');
        if let Some(body) = &self.body
            && !self.is_outcome
        {
            out.extend_from_slice(b"\"resource\":");
            out.extend_from_slice(body);
            out.push(b',');
        }
        let reason = self.status.canonical_reason().unwrap_or("");
        let _ = write!(text, "\"response\":{{\"status\":\"{} {reason}\"", self.status.as_u16());
        if let Some(location) = &self.location {
            text.push_str(",\"location\":");
            push_json_string(&mut text, location);
        }
        if let Some(version) = self.version {
            let _ = write!(text, ",\"etag\":\"W/\\\"{version}\\\"\"");
        }
        if let Some(updated) = self.updated {
            let _ = write!(text, ",\"lastModified\":\"{updated}\"");
        }
        out.extend_from_slice(text.as_bytes());
        if let Some(body) = &self.body
            && self.is_outcome
        {
            out.extend_from_slice(b",\"outcome\":");
            out.extend_from_slice(body);
        }
        out.extend_from_slice(b"}}");
    }
}

impl Failure {
    /// The status of it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.error.kind().http().status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// As an entry of a batch-response.
    #[must_use]
    pub fn to_answer(&self) -> Answer {
        let answer = Answer { status: self.status(), ..Answer::default() };
        answer.with_outcome(&self.error.issues())
    }

    /// The HTTP response. `unsafe_method` says whether the request might have changed anything.
    #[must_use]
    pub fn into_response(self, unsafe_method: bool) -> Response<Full<Bytes>> {
        let mut response = self.to_answer().into_response();
        let kind = self.error.kind();
        let headers = response.headers_mut();
        if let Some(seconds) = kind.http().retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if unsafe_method {
            headers.insert(APPLIED, HeaderValue::from_static(self.applied.name()));
        }
        if let base::ErrorKind::Fenced { epoch } | base::ErrorKind::Misdirected { epoch } = kind {
            headers.insert(EPOCH, HeaderValue::from(epoch.get()));
        }
        if let Error::MethodNotAllowed { allow, .. } = self.error {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
