//! The bytes that are served: written once, with room for the two fields that are known last.

use crate::Resource;
use crate::definitions::definitions;
use crate::document::{Document, Key, Kind};
use base::{ResourceId, Stamp, VersionId};
use bytes::Bytes;

/// A resource's served bytes without `meta.versionId` and `meta.lastUpdated`. Its order is
/// `resourceType`, `id`, `meta`, then the client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyTemplate {
    /// Up to the place of the version, then the rest.
    text: Bytes,
    split: usize,
}

/// Bytes that a version and a stamp add at most: 20 digits, `-f`, 10 digits; 24 of the stamp.
const STAMPED_BYTES: usize = 64 + LAST_UPDATED.len();
const LAST_UPDATED: &[u8] = b"\",\"lastUpdated\":\"";

impl BodyTemplate {
    /// The bytes to serve for this version.
    #[must_use]
    pub fn stamp(&self, version: VersionId, updated: Stamp) -> Bytes {
        let mut out = Vec::with_capacity(self.text.len() + STAMPED_BYTES);
        out.extend_from_slice(&self.text[..self.split]);
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(LAST_UPDATED);
        out.extend_from_slice(&updated.to_bytes());
        out.extend_from_slice(&self.text[self.split..]);
        Bytes::from(out)
    }

    /// Bytes before stamping.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Never: a resource has at least a type and an id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl Resource {
    /// The bytes to serve under `id`, to be stamped. The client's `id`, `meta.versionId` and
    /// `meta.lastUpdated` are replaced; its other `meta` (profile, tag, security, source,
    /// extensions) is kept.
    #[must_use]
    pub fn template(&self, id: &ResourceId) -> BodyTemplate {
        let document = &self.document;
        let known = definitions().known();
        let mut out = Vec::with_capacity(document.text.len() * 3 / 2 + 256);
        out.extend_from_slice(b"{\"resourceType\":\"");
        out.extend_from_slice(self.type_id().name().as_bytes());
        out.extend_from_slice(b"\",\"id\":\"");
        out.extend_from_slice(id.as_str().as_bytes());
        out.extend_from_slice(b"\",\"meta\":{\"versionId\":\"");
        let split = out.len();
        out.push(b'"');
        if let Some(meta) = document.member(0, Key::plain(known.meta)) {
            for child in document.children(meta) {
                let name = document.record(child).key.name();
                if name != Some(known.version_id) && name != Some(known.last_updated) {
                    out.push(b',');
                    write_member(document, child, &mut out);
                }
            }
        }
        out.push(b'}');
        for child in document.children(0) {
            let key = document.record(child).key;
            let written = [known.resource_type, known.id, known.meta];
            if !written.iter().any(|&name| key == Key::plain(name)) {
                out.push(b',');
                write_member(document, child, &mut out);
            }
        }
        out.push(b'}');
        BodyTemplate { text: Bytes::from(out), split }
    }
}

fn write_member(document: &Document, at: u32, out: &mut Vec<u8>) {
    let (sibling, name) = document.key_text(at, definitions().names());
    if document.record(at).key == Key::UNKNOWN {
        write_string(name, out);
    } else {
        out.push(b'"');
        if sibling {
            out.push(b'_');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    }
    out.push(b':');
    write_value(document, at, out);
}

/// Writes a value as JSON without white space.
pub(crate) fn write_value(document: &Document, at: u32, out: &mut Vec<u8>) {
    match document.record(at).kind {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::False => out.extend_from_slice(b"false"),
        Kind::True => out.extend_from_slice(b"true"),
        Kind::Number => out.extend_from_slice(document.text(at).as_bytes()),
        Kind::String => write_string(document.text(at), out),
        Kind::Array => {
            out.push(b'[');
            for (index, child) in document.children(at).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(document, child, out);
            }
            out.push(b']');
        }
        Kind::Object => {
            out.push(b'{');
            for (index, child) in document.children(at).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_member(document, child, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a string as JSON; only `"`, `\` and control characters are escaped.
fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    // Without an early end this is a few vector instructions, and most strings need nothing more.
    let any = bytes.iter().fold(false, |any, &byte| any | escaped(byte));
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate().take(if any { bytes.len() } else { 0 }) {
        if !escaped(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}
