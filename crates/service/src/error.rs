//! Why a request is refused, and what the client is told.

use base::{ErrorKind, Span};
use fhir::{Issue, Severity};

/// A refusal. Texts hold no content of a resource and no identifier of a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path names nothing here.
    #[error("no such path below the base of this service")]
    Path,
    /// The first segment names no account of this service.
    #[error("no account of that name is served here")]
    Account,
    /// Not a resource type of FHIR R4.
    #[error("'{name}' is no resource type of FHIR R4")]
    UnknownType {
        /// The name asked for, shortened.
        name: String,
    },
    /// The id in the URL has not the form of one.
    #[error("the id in the URL is not 1 to 64 of A-Z, a-z, 0-9, '-' and '.'")]
    Id,
    /// Operations are not offered.
    #[error("operation '{name}' is not offered, see /metadata for what is")]
    Operation {
        /// Its name, shortened.
        name: String,
    },
    /// Compartments are not offered.
    #[error("search in a compartment is not offered, search the type by a reference instead")]
    Compartment,
    /// Conditional update, patch and delete are not offered.
    #[error("conditional update and conditional delete are not offered, name the id")]
    ConditionalChange,
    /// The path does not take the method.
    #[error("method {method} is not offered here, {allow} are")]
    MethodNotAllowed {
        /// The method asked for.
        method: String,
        /// Those offered.
        allow: &'static str,
    },
    /// The URL is too long.
    #[error("the URL of {size} bytes is longer than the limit url_bytes of {limit}")]
    UrlTooLong {
        /// Its length in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The headers are too long.
    #[error("the headers of {size} bytes are longer than the limit header_bytes of {limit}")]
    HeadersTooLong {
        /// Their length in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The body is too long.
    #[error("the body is longer than the limit body_bytes of {limit}")]
    BodyTooLong {
        /// The limit.
        limit: usize,
    },
    /// The body did not arrive whole.
    #[error("the body broke off")]
    BodyBrokeOff,
    /// The client stopped sending.
    #[error(
        "nothing of the body arrived for the limit body_silence_ms of {limit}, or not all in 60 s"
    )]
    BodyTooSlow {
        /// The limit.
        limit: u64,
    },
    /// Reads of one batch told more than may be answered at once.
    #[error("the answers to this batch are longer than the limit answer_bytes of {limit}")]
    AnswerTooLong {
        /// The limit.
        limit: usize,
    },
    /// A body is needed.
    #[error("the request has no body")]
    NoBody,
    /// The body has a media type that is not read.
    #[error("content type '{sent}' is not read here, send {read}")]
    MediaType {
        /// What was sent, shortened.
        sent: String,
        /// What is read.
        read: &'static str,
    },
    /// The body is encoded in a way that is not read.
    #[error("content encoding '{sent}' is not read here, send the body as it is")]
    Encoding {
        /// What was sent, shortened.
        sent: String,
    },
    /// The client takes no JSON.
    #[error("'{asked}' is not written here, accept application/fhir+json")]
    NotAcceptable {
        /// What was asked for, shortened.
        asked: String,
    },
    /// A header is not usable.
    #[error("header {name} {reason}")]
    Header {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A parameter of the URL is not usable.
    #[error("parameter '{name}' {reason}")]
    Parameter {
        /// Its name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The resource or query breaks a rule, place by place.
    #[error("{} issues, first: {}", issues.len(), issues.first().map_or("none", |issue| issue.diagnostics.as_str()))]
    Issues {
        /// What kind of refusal it is.
        kind: ErrorKind,
        /// Place and reason.
        issues: Vec<Issue>,
    },
    /// The body and the URL name different things.
    #[error("{what} in the body is not that of the URL")]
    Mismatch {
        /// `resourceType` or `id`.
        what: &'static str,
    },
    /// No such resource.
    #[error("no such resource")]
    NotFound,
    /// No such version.
    #[error("the resource has no such version")]
    NoVersion,
    /// The resource, or that version of it, is a deletion.
    #[error("the resource is deleted")]
    Deleted,
    /// A query that must name one resource at most matches several.
    #[error("the query of {place} matches more than one resource")]
    SeveralMatches {
        /// Where the query stands.
        place: String,
    },
    /// A conditional reference that matches nothing.
    #[error("the conditional reference matches no resource")]
    NoMatch {
        /// Where the first one stands.
        place: String,
    },
    /// A precondition does not hold.
    #[error("{name} does not hold: {reason}")]
    Precondition {
        /// The header.
        name: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A bundle breaks a rule of batch and transaction.
    #[error("{reason}")]
    Bundle {
        /// FHIRPath of the entry.
        place: String,
        /// The rule.
        reason: String,
    },
    /// Too many entries.
    #[error("the bundle has {count} entries, more than the limit bundle_entries of {limit}")]
    TooManyEntries {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An entry of a transaction is refused, and all of it with it.
    #[error("entry {index}: {error}")]
    Entry {
        /// Its place, from 0.
        index: usize,
        /// Why.
        error: Box<Error>,
    },
    /// What conditions depend on kept changing.
    #[error("other writes kept changing what the conditions of this one match")]
    Contended,
    /// Too many requests at one time.
    #[error("more than {limit} requests at one time, the limit concurrency")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// The bodies of all requests take all the memory there is for them.
    #[error("all bodies at one time are more than the limit bodies_bytes of {limit}")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// This region may not act.
    #[error(transparent)]
    Gate(#[from] replication::Refusal),
    /// The store refuses or fails.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// A parameter where it is not read.
    #[must_use]
    pub fn not_read(name: &str) -> Self {
        let name = name.chars().take(64).collect();
        Self::Parameter { name, reason: "is not read by this interaction" }
    }

    /// Its row in the one table of kinds.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Path | Self::Account | Self::UnknownType { .. } => ErrorKind::NotFound,
            Self::NotFound | Self::NoVersion => ErrorKind::NotFound,
            Self::BodyTooSlow { .. } => ErrorKind::TimedOut,
            Self::AnswerTooLong { .. } => ErrorKind::TooLarge,
            Self::Deleted => ErrorKind::Gone,
            Self::Id
            | Self::BodyBrokeOff
            | Self::NoBody
            | Self::Header { .. }
            | Self::Parameter { .. }
            | Self::Mismatch { .. }
            | Self::Bundle { .. } => ErrorKind::Invalid,
            Self::Operation { .. } | Self::Compartment | Self::ConditionalChange => {
                ErrorKind::Unsupported
            }
            Self::MethodNotAllowed { .. } => ErrorKind::MethodNotAllowed,
            Self::UrlTooLong { .. } => ErrorKind::UrlTooLong,
            Self::HeadersTooLong { .. } => ErrorKind::HeadersTooLong,
            Self::BodyTooLong { .. } | Self::TooManyEntries { .. } => ErrorKind::TooLarge,
            Self::MediaType { .. } | Self::Encoding { .. } => ErrorKind::MediaType,
            Self::NotAcceptable { .. } => ErrorKind::NotAcceptable,
            Self::Issues { kind, .. } => *kind,
            Self::SeveralMatches { .. } | Self::Precondition { .. } | Self::NoMatch { .. } => {
                ErrorKind::PreconditionFailed
            }
            Self::Entry { error, .. } => error.kind(),
            Self::Contended => ErrorKind::Conflict,
            Self::Busy { .. } | Self::Full { .. } => {
                ErrorKind::Throttled { retry: Span::from_secs(1) }
            }
            Self::Stopping => ErrorKind::Unavailable { retry: Span::from_secs(1) },
            Self::Gate(refusal) => refusal.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    /// Place and reason, as the client is told them; never empty.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        match self {
            Self::Issues { issues, .. } if !issues.is_empty() => issues.clone(),
            Self::Entry { index, error } => {
                let mut issues = error.issues();
                for issue in &mut issues {
                    issue.expression = Some(entry_place(*index, issue.expression.take()));
                }
                issues
            }
            _ => vec![Issue {
                severity: Severity::Error,
                code: self.kind().http().issue_code,
                expression: self.place(),
                diagnostics: self.to_string(),
            }],
        }
    }

    /// Where it stands, when that is known.
    fn place(&self) -> Option<String> {
        match self {
            Self::Bundle { place, .. }
            | Self::SeveralMatches { place }
            | Self::NoMatch { place } => (!place.is_empty()).then(|| place.clone()),
            Self::Header { name, .. } | Self::Precondition { name, .. } => {
                Some(format!("http.{name}"))
            }
            Self::Parameter { name, .. } => Some(format!("http.{name}")),
            Self::Encoding { .. } => Some("http.Content-Encoding".to_owned()),
            _ => None,
        }
    }
}

/// The place of an issue of one entry, seen from the bundle: `Patient.name` of entry 3 is
/// `Bundle.entry[3].resource.name`.
fn entry_place(index: usize, inner: Option<String>) -> String {
    match inner {
        Some(inner) if inner.starts_with("Bundle.") => inner,
        Some(inner) if inner.starts_with("http.") => format!("Bundle.entry[{index}].request"),
        Some(inner) => match inner.split_once('.') {
            Some((_, rest)) => format!("Bundle.entry[{index}].resource.{rest}"),
            None => format!("Bundle.entry[{index}].resource"),
        },
        None => format!("Bundle.entry[{index}]"),
    }
}
