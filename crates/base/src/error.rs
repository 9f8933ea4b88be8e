//! The public kinds of error and the one table that maps them outward.

use crate::{Epoch, Span};
use serde::{Deserialize, Serialize};

/// What kind of failure a caller is told of. Each crate's own `Error` maps to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request is malformed or breaks a rule of FHIR.
    Invalid,
    /// It is well-formed, but the resource breaks its definition.
    Unprocessable,
    /// No such thing.
    NotFound,
    /// It was there and is deleted.
    Gone,
    /// It meets another write, or matches more than one.
    Conflict,
    /// A precondition of the request does not hold.
    PreconditionFailed,
    /// A limit is exceeded.
    TooLarge,
    /// The URL alone exceeds its limit.
    UrlTooLong,
    /// The headers are longer than allowed.
    HeadersTooLong,
    /// Valid, but not offered here.
    Unsupported,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body has a media type that is not read here.
    MediaType,
    /// No media type that the client accepts is written here.
    NotAcceptable,
    /// The client asks for more than its share: later.
    Throttled {
        /// How long to wait.
        retry: Span,
    },
    /// A passed-on request met a member that is not primary: it knows of this epoch.
    Misdirected {
        /// The epoch it knows.
        epoch: Epoch,
    },
    /// The caller is not known.
    Unauthenticated,
    /// The caller may not.
    Forbidden,
    /// Not now: try again after this long.
    Unavailable {
        /// How long to wait.
        retry: Span,
    },
    /// This member may not act: it knows of this epoch.
    Fenced {
        /// The epoch it knows.
        epoch: Epoch,
    },
    /// Stored bytes are not what was written.
    Corrupt,
    /// A fault of ours.
    Bug,
    /// The client did not send its request in time.
    TimedOut,
}

/// What goes out for an [`ErrorKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// FHIR issue type (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
    pub issue_code: &'static str,
    /// `Retry-After` in seconds, when trying again is the advice.
    pub retry_after_s: Option<u64>,
}

impl ErrorKind {
    /// The one table from kind to HTTP status, FHIR issue code and retry advice.
    #[must_use]
    pub const fn http(self) -> HttpAnswer {
        let (status, issue_code, retry_after_s) = match self {
            Self::Invalid => (400, "invalid", None),
            Self::Unprocessable => (422, "processing", None),
            Self::NotFound => (404, "not-found", None),
            Self::Gone => (410, "deleted", None),
            Self::Conflict => (409, "conflict", None),
            Self::PreconditionFailed => (412, "conflict", None),
            Self::TooLarge => (413, "too-long", None),
            Self::UrlTooLong => (414, "too-long", None),
            Self::HeadersTooLong => (431, "too-long", None),
            Self::Unsupported => (501, "not-supported", None),
            Self::MethodNotAllowed => (405, "not-supported", None),
            Self::MediaType => (415, "not-supported", None),
            Self::NotAcceptable => (406, "not-supported", None),
            Self::Throttled { retry } => (429, "throttled", Some(retry.us().div_ceil(1_000_000))),
            Self::Misdirected { .. } => (421, "transient", None),
            Self::Unauthenticated => (401, "login", None),
            Self::Forbidden => (403, "forbidden", None),
            Self::Unavailable { retry } => (503, "transient", Some(retry.us().div_ceil(1_000_000))),
            Self::Fenced { .. } => (503, "transient", Some(1)),
            Self::Corrupt | Self::Bug => (500, "exception", None),
            Self::TimedOut => (408, "timeout", None),
        };
        HttpAnswer { status, issue_code, retry_after_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_kinds() {
        let kinds = [
            ErrorKind::Invalid,
            ErrorKind::Unprocessable,
            ErrorKind::NotFound,
            ErrorKind::Gone,
            ErrorKind::Conflict,
            ErrorKind::PreconditionFailed,
            ErrorKind::TooLarge,
            ErrorKind::UrlTooLong,
            ErrorKind::HeadersTooLong,
            ErrorKind::Unsupported,
            ErrorKind::MethodNotAllowed,
            ErrorKind::MediaType,
            ErrorKind::NotAcceptable,
            ErrorKind::Throttled { retry: Span::from_ms(10) },
            ErrorKind::Misdirected { epoch: Epoch::new(7) },
            ErrorKind::Unauthenticated,
            ErrorKind::Forbidden,
            ErrorKind::Unavailable { retry: Span::from_ms(1500) },
            ErrorKind::Fenced { epoch: Epoch::new(7) },
            ErrorKind::Corrupt,
            ErrorKind::Bug,
            ErrorKind::TimedOut,
        ];
        let table: Vec<String> = kinds
            .iter()
            .map(|kind| {
                let answer = kind.http();
                format!(
                    "{kind:?}: {} {} {:?}",
                    answer.status, answer.issue_code, answer.retry_after_s
                )
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        Invalid: 400 invalid None
        Unprocessable: 422 processing None
        NotFound: 404 not-found None
        Gone: 410 deleted None
        Conflict: 409 conflict None
        PreconditionFailed: 412 conflict None
        TooLarge: 413 too-long None
        UrlTooLong: 414 too-long None
        HeadersTooLong: 431 too-long None
        Unsupported: 501 not-supported None
        MethodNotAllowed: 405 not-supported None
        MediaType: 415 not-supported None
        NotAcceptable: 406 not-supported None
        Throttled { retry: 10 ms }: 429 throttled Some(1)
        Misdirected { epoch: Epoch(7) }: 421 transient None
        Unauthenticated: 401 login None
        Forbidden: 403 forbidden None
        Unavailable { retry: 1.5 s }: 503 transient Some(2)
        Fenced { epoch: Epoch(7) }: 503 transient Some(1)
        Corrupt: 500 exception None
        Bug: 500 exception None
        TimedOut: 408 timeout None
        ");
    }
}
