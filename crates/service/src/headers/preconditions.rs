//! The conditional headers (RFC 9110 section 13; <https://hl7.org/fhir/R4/http.html#concurrency>).

use super::date::parse_http_date;
use crate::Error;
use base::{Stamp, VersionId};
use http::{HeaderMap, header, header::HeaderName};

/// `If-None-Exist` as a header's name.
pub const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// `If-Match` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// The newest version is this one.
    Version(VersionId),
    /// An ETag that no version of this service has: it never holds.
    Foreign,
}

/// `If-None-Match` of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// There is no current version at all.
    Any,
    /// The newest version is none of these. ETags of others are left out: they never match.
    Versions(Vec<VersionId>),
}

/// The preconditions of one request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-Match`.
    pub if_match: Option<IfMatch>,
    /// `If-None-Match`.
    pub if_none_match: Option<IfNoneMatch>,
    /// `If-Modified-Since`; one that is not an HTTP date is ignored, as RFC 9110 says.
    pub if_modified_since: Option<Stamp>,
    /// `If-None-Exist`: a query.
    pub if_none_exist: Option<String>,
}

/// The version an ETag names, weak or strong; also without quotes, as some clients send it.
fn version(etag: &str) -> Option<VersionId> {
    let etag = etag.trim();
    let quoted = etag.strip_prefix("W/").unwrap_or(etag);
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    bare.unwrap_or(quoted).parse().ok()
}

/// Reads the value of an `If-Match`.
pub fn if_match(text: &str) -> Result<IfMatch, Error> {
    let text = text.trim();
    if text == "*" || text.contains(',') {
        return Err(Error::Header {
            name: "If-Match",
            reason: "takes one version, such as W/\"3\"",
        });
    }
    Ok(version(text).map_or(IfMatch::Foreign, IfMatch::Version))
}

/// Reads the value of an `If-None-Match`.
#[must_use]
pub fn if_none_match(text: &str) -> IfNoneMatch {
    if text.trim() == "*" {
        return IfNoneMatch::Any;
    }
    IfNoneMatch::Versions(text.split(',').filter_map(version).collect())
}

/// The one value of a header, as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let known = match name.as_str() {
        "if-match" => "If-Match",
        "if-none-match" => "If-None-Match",
        "if-none-exist" => "If-None-Exist",
        _ => "If-Modified-Since",
    };
    if values.next().is_some() {
        return Err(Error::Header { name: known, reason: "comes more than once" });
    }
    first
        .to_str()
        .map(Some)
        .map_err(|_| Error::Header { name: known, reason: "holds more than ASCII text" })
}

impl Preconditions {
    /// Reads the headers of one request.
    pub fn read(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self {
            if_match: single(headers, &header::IF_MATCH)?.map(if_match).transpose()?,
            if_none_match: single(headers, &header::IF_NONE_MATCH)?.map(if_none_match),
            if_modified_since: single(headers, &header::IF_MODIFIED_SINCE)?
                .and_then(parse_http_date),
            if_none_exist: single(headers, &IF_NONE_EXIST)?.map(str::to_owned),
        })
    }

    /// Whether a client that holds what these say has the newest version already: 304.
    #[must_use]
    pub fn not_modified(&self, newest: VersionId, updated: Stamp) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(IfNoneMatch::Any), _) => true,
            (Some(IfNoneMatch::Versions(versions)), _) => versions.contains(&newest),
            (None, Some(since)) => updated.ms() / 1000 <= since.ms() / 1000,
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_in_every_form() {
        let seven: VersionId = "7".parse().expect("a version");
        let fork: VersionId = "8-f1".parse().expect("a version");
        for text in ["W/\"7\"", "\"7\"", "7", " W/\"7\" "] {
            assert_eq!(if_match(text).ok(), Some(IfMatch::Version(seven)), "{text}");
        }
        assert_eq!(if_match("W/\"8-f1\"").ok(), Some(IfMatch::Version(fork)));
        assert_eq!(if_match("W/\"abc\"").ok(), Some(IfMatch::Foreign));
        assert!(if_match("*").is_err());
        assert!(if_match("W/\"1\", W/\"2\"").is_err());
        assert_eq!(if_none_match("*"), IfNoneMatch::Any);
        assert_eq!(
            if_none_match("W/\"7\", \"x\", W/\"8-f1\""),
            IfNoneMatch::Versions(vec![seven, fork])
        );
    }

    #[test]
    fn the_date_counts_only_without_an_etag() {
        let version: VersionId = "2".parse().expect("a version");
        let at = Stamp::from_ms(10_500);
        let dated = |ms| Preconditions {
            if_modified_since: Some(Stamp::from_ms(ms)),
            ..Preconditions::default()
        };
        assert!(dated(10_000).not_modified(version, at));
        assert!(!dated(9_000).not_modified(version, at));
        let both = Preconditions { if_none_match: Some(if_none_match("W/\"1\"")), ..dated(10_000) };
        assert!(!both.not_modified(version, at));
    }
}
