//! Reading a request's body within its limits.

use crate::{Call, Error};
use base::{ErrorKind, Limits};
use bytes::{Bytes, BytesMut};
use fhir::Resource;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// The whole body, refused by `Content-Length` before it is read when that is too long.
pub async fn read<B>(headers: &HeaderMap, mut body: B, limits: &Limits) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = limits.body_bytes;
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let told: usize = told.and_then(|text| text.parse().ok()).unwrap_or(0);
    if told > limit {
        return Err(Error::BodyTooLong { limit });
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::BodyBrokeOff)?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > limit {
            return Err(Error::BodyTooLong { limit });
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.reserve(told.max(first.len() + data.len()));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// The body as a resource; its shape is checked, its definition not yet.
pub fn resource(call: &Call, body: &Bytes) -> Result<Resource, Error> {
    if body.is_empty() {
        return Err(Error::NoBody);
    }
    Resource::parse(body, call.shared.service.limits().nesting)
        .map_err(|issues| Error::Issues { kind: ErrorKind::Invalid, issues })
}
