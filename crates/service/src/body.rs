//! Reading a request's body within its limits.

use crate::{Call, Error, Service};
use base::ErrorKind;
use bytes::{Bytes, BytesMut};
use fhir::Resource;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// A body, and the share it takes of the memory for bodies until it is dropped.
pub struct Held<'a> {
    /// The bytes.
    pub bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl Held<'_> {
    /// No body.
    pub const EMPTY: Self = Self { bytes: Bytes::new(), _share: None };
}

/// Of a told length, this much room is made at once.
const RESERVED_BYTES: usize = 1 << 20;

/// Takes memory for bodies in steps of this many bytes.
pub const SHARE_BYTES: usize = 1 << 10;

/// How long a whole body may take; as long as a gateway waits.
const WHOLE: Duration = Duration::from_secs(60);

/// The whole body, refused by `Content-Length` before it is read when that is too long. What has
/// arrived takes its share, not what is told; a client that stops sending is not waited for.
pub async fn read<'a, B>(
    service: &'a Service,
    headers: &HeaderMap,
    mut body: B,
) -> Result<Held<'a>, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = service.limits().body_bytes;
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let told: usize = told.and_then(|text| text.parse().ok()).unwrap_or(0);
    if told > limit {
        return Err(Error::BodyTooLong { limit });
    }
    let (mut share, mut taken) = (None, 0);
    let (end, silence) = (Instant::now() + WHOLE, service.limits().body_silence_ms);
    let too_slow = |_| Error::BodyTooSlow { limit: silence };
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let until = end.min(Instant::now() + Duration::from_millis(silence));
        let frame = timeout_at(until, body.frame()).await.map_err(too_slow)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Error::BodyBrokeOff)?.into_data() else { continue };
        let len = first.len() + whole.len() + data.len();
        if len > limit {
            return Err(Error::BodyTooLong { limit });
        }
        taken = take(service, &mut share, taken, len)?;
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.reserve(told.min(RESERVED_BYTES).max(len));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    let bytes = if whole.is_empty() { first } else { whole.freeze() };
    Ok(Held { bytes, _share: share })
}

/// Raises a share from `taken` steps to what `len` bytes need; gives the steps then taken.
fn take<'a>(
    service: &'a Service,
    share: &mut Option<SemaphorePermit<'a>>,
    taken: u32,
    len: usize,
) -> Result<u32, Error> {
    let busy = || Error::Full { limit: service.limits().bodies_bytes };
    let needed = u32::try_from(len.div_ceil(SHARE_BYTES)).map_err(|_| busy())?;
    if needed <= taken {
        return Ok(taken);
    }
    let more = service.bodies().try_acquire_many(needed - taken).map_err(|_| busy())?;
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    Ok(needed)
}

/// The body as a resource; its shape is checked, its definition not yet.
pub fn resource(call: &Call, body: &Bytes) -> Result<Resource, Error> {
    if body.is_empty() {
        return Err(Error::NoBody);
    }
    Resource::parse(body, call.shared.service.limits().nesting)
        .map_err(|issues| Error::Issues { kind: ErrorKind::Invalid, issues })
}
