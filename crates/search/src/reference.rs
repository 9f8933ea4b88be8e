//! Reference parameters (<https://hl7.org/fhir/R4/search.html#reference>).
//!
//! Term of `Type/id`: the type's number, the id as text, and the version as text if there is one.
//! Term of a URL: `0xFE`, 16 bytes of the hash of the URL without its version, the type's number or
//! `0xFF`, and the version. Term of an identifier without a reference: `0xFC` and a token.

use crate::Certainty;
use crate::term::{TermRange, encode_text};
use crate::token::{self, TokenTest};
use crate::value::{Reference, Target, Token, Value};
use fhir::TypeId;

/// What begins a URL.
const ABSOLUTE: u8 = 0xFE;
/// What begins an identifier.
const LOGICAL: u8 = 0xFC;
/// A URL that does not say a type.
const NO_TYPE: u8 = 0xFF;

pub(crate) fn encode(reference: &Reference, out: &mut Vec<u8>) {
    match &reference.target {
        Target::Local { type_id, id } => {
            out.push(type_id.get());
            encode_text(Some(id), out);
        }
        Target::Absolute { type_id, url } => {
            out.push(ABSOLUTE);
            encode_url(url, out);
            out.push(type_id.map_or(NO_TYPE, TypeId::get));
        }
    }
    if let Some(version) = &reference.version {
        encode_text(Some(version), out);
    }
}

fn encode_url(url: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&base::Hash::of(url.as_bytes()).as_bytes()[..16]);
}

pub(crate) fn encode_logical(token: &Token, out: &mut Vec<u8>) {
    out.push(LOGICAL);
    token::encode(token, out);
}

impl Reference {
    /// Reads what stands in `Reference.reference`, or in a `canonical` or `uri`. `None` for a
    /// fragment, which names a contained resource.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        if let Some((canonical, version)) = text.split_once('|') {
            return Some(Self::absolute(canonical, Some(version)));
        }
        let (plain, version) = match text.split_once("/_history/") {
            Some((plain, version)) => (plain, Some(version)),
            None => (text, None),
        };
        match local(plain) {
            Some((type_id, id)) => Some(Self {
                target: Target::Local { type_id, id: id.into() },
                version: version.map(Into::into),
            }),
            None => Some(Self::absolute(plain, version)),
        }
    }

    /// A URL; its last two segments say its type if they are `Type/id`.
    pub(crate) fn absolute(url: &str, version: Option<&str>) -> Self {
        let tail = url.rmatch_indices('/').nth(1).map(|(at, _)| &url[at + 1..]);
        let type_id = tail.and_then(local).map(|(type_id, _)| type_id);
        let target = Target::Absolute { type_id, url: url.into() };
        Self { target, version: version.map(Into::into) }
    }

    /// The type of what it names, as far as it says.
    #[must_use]
    pub fn type_id(&self) -> Option<TypeId> {
        match &self.target {
            Target::Local { type_id, .. } => Some(*type_id),
            Target::Absolute { type_id, .. } => *type_id,
        }
    }
}

/// `Type/id`.
fn local(text: &str) -> Option<(TypeId, &str)> {
    let (name, id) = text.split_once('/')?;
    let plain = (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let named = name.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    (plain && named).then(|| TypeId::from_name(name)).flatten().map(|type_id| (type_id, id))
}

/// A URL below a base, without it; anything else, and a canonical with a version, as it is.
pub(crate) fn local_part<'a>(value: &'a str, base_url: &str) -> &'a str {
    if base_url.is_empty() || value.contains('|') {
        return value;
    }
    value.strip_prefix(base_url).and_then(|rest| rest.strip_prefix('/')).unwrap_or(value)
}

/// A resource of this account. A reference names it as `Type/id`, or by a URL below the base that
/// the query came to: the two forms are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) id: Box<str>,
    /// It is of one of these.
    pub(crate) types: Box<[TypeId]>,
    /// Only references to this version.
    pub(crate) version: Option<Box<str>>,
    /// Without a slash at its end; empty if there is none.
    pub(crate) base_url: Box<str>,
}

impl Here {
    fn matches(&self, reference: &Reference) -> bool {
        let named = match &reference.target {
            Target::Local { type_id, id } => Some((*type_id, &**id)),
            Target::Absolute { url, .. } => {
                url.strip_prefix(&*self.base_url).and_then(|rest| local(rest.strip_prefix('/')?))
            }
        };
        let same = |(type_id, id)| id == &*self.id && self.types.contains(&type_id);
        named.is_some_and(same) && (self.version.is_none() || self.version == reference.version)
    }

    fn ranges(&self, head: &[u8], out: &mut Vec<TermRange>) {
        for type_id in &self.types {
            let target = Target::Local { type_id: *type_id, id: self.id.clone() };
            let mut bytes = head.to_vec();
            encode(&Reference { target, version: self.version.clone() }, &mut bytes);
            out.push(match self.version {
                Some(_) => TermRange::one(bytes),
                None => TermRange::prefix(bytes),
            });
            if !self.base_url.is_empty() {
                out.push(url_range(&format!("{}/{type_id}/{}", self.base_url, self.id), head));
            }
        }
    }
}

/// The terms of a URL, of whatever version.
fn url_range(url: &str, head: &[u8]) -> TermRange {
    let mut bytes = [head, &[ABSOLUTE]].concat();
    encode_url(url, &mut bytes);
    TermRange::prefix(bytes)
}

/// What a reference is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReferenceTest {
    /// It names a resource of this account.
    Here(Here),
    /// It is this URL, of this version if there is one.
    Url { url: Box<str>, type_id: Option<TypeId>, version: Option<Box<str>> },
    /// It names a resource of this type: what `where(resolve() is Type)` leaves.
    OfType(TypeId),
    /// It holds this identifier.
    Identifier(TokenTest),
}

impl ReferenceTest {
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Here(here), Value::Reference(reference)) => here.matches(reference),
            (Self::Url { url: wanted, version, .. }, Value::Reference(reference)) => {
                matches!(&reference.target, Target::Absolute { url, .. } if url == wanted)
                    && (version.is_none() || *version == reference.version)
            }
            (Self::OfType(wanted), Value::Reference(reference)) => {
                reference.type_id() == Some(*wanted)
            }
            (Self::Identifier(test), Value::Logical(token)) => test.matches_token(token),
            _ => false,
        }
    }

    pub(crate) fn ranges(&self, mut head: Vec<u8>, out: &mut Vec<TermRange>) {
        match self {
            Self::Here(here) => here.ranges(&head, out),
            Self::Url { url, .. } => out.push(url_range(url, &head)),
            Self::OfType(wanted) => {
                let with = |byte: u8| [head.as_slice(), &[byte]].concat();
                out.push(TermRange::prefix(with(wanted.get())));
                out.push(TermRange::prefix(with(ABSOLUTE)));
            }
            Self::Identifier(test) => {
                head.push(LOGICAL);
                test.ranges(head, out);
            }
        }
    }

    /// The version that it asks for.
    fn version(&self) -> Option<&str> {
        match self {
            Self::Here(Here { version, .. }) | Self::Url { version, .. } => version.as_deref(),
            Self::OfType(_) | Self::Identifier(_) => None,
        }
    }

    pub(crate) fn certainty(&self) -> Certainty {
        match self {
            // The range of a URL holds all its versions.
            Self::Here(_) | Self::Url { .. } if self.version().is_some() => Certainty::Terms,
            Self::Here(_) | Self::Url { .. } => Certainty::Ranges,
            Self::OfType(_) => Certainty::Terms,
            Self::Identifier(test) => test.certainty(),
        }
    }

    /// Judges the bytes of a term in the ranges.
    pub(crate) fn admits(&self, bytes: &[u8]) -> bool {
        // 0xFE, 16 bytes of hash, the type, the version.
        let absolute = bytes.first() == Some(&ABSOLUTE);
        match self {
            Self::OfType(wanted) => !absolute || bytes.get(17) == Some(&wanted.get()),
            Self::Identifier(test) => test.admits(bytes.get(1..).unwrap_or_default()),
            Self::Here(_) | Self::Url { .. } => match self.version() {
                Some(version) if absolute => {
                    let mut ends = Vec::with_capacity(24);
                    encode_text(Some(version), &mut ends);
                    bytes.get(18..) == Some(&ends)
                }
                _ => true,
            },
        }
    }
}
