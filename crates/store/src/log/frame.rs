//! A frame: one commit in the log, its payload opaque.
//!
//! ```text
//!   0  4  magic "FBfr"            64 32  hash of the payload
//!   4  1  version                 96  8  seq known durable here before this group
//!   5  1  flags (1: erased)      104  8  seq known durable in the secondary
//!   6  2  zero                   112 16  that secondary's member id, zero for none
//!   8  4  payload bytes          128  4  crc32c of place and header
//!  12  4  crc32c of payload      132  4  zero
//!  16  8  epoch                  136  …  payload, then zeros to a multiple of 8
//!  24  8  seq
//!  32 32  hash of the frame before
//! ```
//! Numbers are little-endian. The header's checksum begins with the frame's place (first seq of
//! the segment, offset), so that the bytes of a frame count nowhere else: not inside a payload, and
//! not where a misdirected write leaves them. The chain is `H(before ‖ epoch ‖ seq ‖ H(payload))`:
//! a frame erased to the hash of its payload keeps it.

use super::Error;
use base::{Epoch, Hash, MemberId, Position, Seq};
use bytes::Bytes;

/// Bytes of a frame's header on disk.
pub(super) const HEADER_BYTES: usize = 136;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
pub(super) const MAGIC: [u8; 4] = *b"FBfr";
const VERSION: u8 = 1;
const FLAG_ERASED: u8 = 1;
const CRC_AT: usize = 128;

/// Version byte of [`Frame::encode`].
const WIRE_VERSION: u8 = 1;
/// Bytes before the payload in [`Frame::encode`].
const WIRE_HEADER_BYTES: usize = 2 + 4 + 8 + 8 + 32 + 32 + 8 + 16;

/// The payload of a frame with its hash, made before the frame has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    bytes: Option<Bytes>,
    hash: Hash,
}

impl Payload {
    /// Hashes the bytes: the costly part of a frame, to be done in parallel.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let hash = Hash::of(&bytes);
        Self { bytes: Some(bytes), hash }
    }

    /// What an erasure left.
    #[must_use]
    pub const fn erased(hash: Hash) -> Self {
        Self { bytes: None, hash }
    }

    /// The bytes; `None` when erased.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    /// The hash of the bytes.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Length in bytes; zero when erased.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The highest commit known durable in the secondary, and which member that is (PROTOCOL.md E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondaryMark {
    /// The secondary's member id.
    pub member: MemberId,
    /// The commit, on the branch of the frame that says so.
    pub seq: Seq,
}

/// What to append: seq and chain are the log's business.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The epoch of the commit; never below that of the log's end.
    pub epoch: Epoch,
    /// What is known of the secondary.
    pub secondary: Option<SecondaryMark>,
    /// The commit.
    pub payload: Payload,
}

/// A frame of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it stands; the hash covers it and all before.
    pub position: Position,
    /// The hash of the frame before.
    pub before: Hash,
    /// What was known of the secondary.
    pub secondary: Option<SecondaryMark>,
    /// The commit.
    pub payload: Payload,
}

/// The hash of a frame that chains over all before it.
#[must_use]
pub fn chain(before: &Hash, epoch: Epoch, seq: Seq, payload: &Hash) -> Hash {
    let mut data = [0; 80];
    data[..32].copy_from_slice(before.as_bytes());
    data[32..40].copy_from_slice(&epoch.get().to_le_bytes());
    data[40..48].copy_from_slice(&seq.get().to_le_bytes());
    data[48..].copy_from_slice(payload.as_bytes());
    Hash::of(&data)
}

impl Frame {
    /// The frame that follows `end` with this content.
    #[must_use]
    pub fn following(end: &Position, entry: Entry) -> Self {
        let seq = end.seq.next();
        let hash = chain(&end.hash, entry.epoch, seq, &entry.payload.hash);
        Self {
            position: Position { epoch: entry.epoch, seq, hash },
            before: end.hash,
            secondary: entry.secondary,
            payload: entry.payload,
        }
    }

    /// As an entry for another copy of the log.
    #[must_use]
    pub fn into_entry(self) -> Entry {
        Entry { epoch: self.position.epoch, secondary: self.secondary, payload: self.payload }
    }

    /// Bytes that [`Frame::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        WIRE_HEADER_BYTES + self.payload.len()
    }

    /// Appends the form that has no place: for batches, exports and quarantine commits. It starts
    /// with a version byte and needs no length beside it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mark = self.secondary.map_or((0, 0), |mark| (mark.seq.get(), mark.member.get()));
        out.reserve(self.encoded_len());
        out.push(WIRE_VERSION);
        out.push(if self.payload.bytes.is_none() { FLAG_ERASED } else { 0 });
        out.extend_from_slice(&payload_len(&self.payload).to_le_bytes());
        out.extend_from_slice(&self.position.epoch.get().to_le_bytes());
        out.extend_from_slice(&self.position.seq.get().to_le_bytes());
        out.extend_from_slice(self.before.as_bytes());
        out.extend_from_slice(self.payload.hash.as_bytes());
        out.extend_from_slice(&mark.0.to_le_bytes());
        out.extend_from_slice(&mark.1.to_le_bytes());
        if let Some(bytes) = &self.payload.bytes {
            out.extend_from_slice(bytes);
        }
    }

    /// Takes one frame off the front of `input`, checking the payload against its hash. The chain
    /// to the frame before is the caller's to check.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(input: &mut Bytes) -> Result<Self, Error> {
        let bad = |why| Error::Undecodable { what: "frame", why };
        if input.len() < WIRE_HEADER_BYTES {
            return Err(bad("it ends within the header"));
        }
        let header = input.slice(..WIRE_HEADER_BYTES);
        if header[0] != WIRE_VERSION || header[1] & !FLAG_ERASED != 0 {
            return Err(bad("its version is unknown"));
        }
        let erased = header[1] & FLAG_ERASED != 0;
        let payload_bytes = u32_at(&header, 2) as usize;
        if input.len() - WIRE_HEADER_BYTES < payload_bytes || (erased && payload_bytes > 0) {
            return Err(bad("its length does not fit"));
        }
        let epoch = Epoch::new(u64_at(&header, 6));
        let seq = Seq::new(u64_at(&header, 14));
        let (before, payload_hash) = (hash_at(&header, 22), hash_at(&header, 54));
        let secondary = mark(u64_at(&header, 86), u128_at(&header, 94));
        let mut rest = input.slice(WIRE_HEADER_BYTES..);
        let payload = if erased {
            Payload::erased(payload_hash)
        } else {
            Payload::new(rest.split_to(payload_bytes))
        };
        if payload.hash != payload_hash {
            return Err(bad("the payload differs from its hash"));
        }
        *input = rest;
        let hash = chain(&before, epoch, seq, &payload_hash);
        Ok(Self { position: Position { epoch, seq, hash }, before, secondary, payload })
    }
}

fn mark(seq: u64, member: u128) -> Option<SecondaryMark> {
    (member != 0).then(|| SecondaryMark { member: MemberId::new(member), seq: Seq::new(seq) })
}

fn payload_len(payload: &Payload) -> u32 {
    u32::try_from(payload.len()).expect("a payload is smaller than a segment")
}

pub(super) fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"))
}
pub(super) fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"))
}
pub(super) fn u128_at(data: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(data[at..at + 16].try_into().expect("sixteen bytes"))
}
pub(super) fn hash_at(data: &[u8], at: usize) -> Hash {
    Hash::new(data[at..at + 32].try_into().expect("thirty-two bytes"))
}

/// Where a frame stands: what its header's checksum begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// First seq of the segment.
    pub(super) segment: Seq,
    /// Byte offset in it.
    pub(super) at: u64,
}

impl Place {
    fn crc(self, header: &[u8]) -> u32 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.segment.get().to_le_bytes());
        place[8..].copy_from_slice(&self.at.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&place), header)
    }
}

/// A frame's header on disk, checked.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) payload_bytes: usize,
    pub(super) erased: bool,
    payload_crc: u32,
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) before: Hash,
    payload_hash: Hash,
    /// Known durable here before the frame's group. (The secondary's mark proves nothing here: a
    /// copy of an old log may get a frame and those below its mark in one group.)
    pub(super) durable: Seq,
    pub(super) secondary: Option<SecondaryMark>,
}

impl Header {
    /// Reads a header; `None` when it is not one of this place.
    pub(super) fn read(place: Place, data: &[u8]) -> Option<Self> {
        let header = data.get(..HEADER_BYTES)?;
        if header[..4] != MAGIC || header[4] != VERSION {
            return None;
        }
        if u32_at(header, CRC_AT) != place.crc(&header[..CRC_AT]) {
            return None;
        }
        let (epoch, seq) = (Epoch::new(u64_at(header, 16)), Seq::new(u64_at(header, 24)));
        let (before, payload_hash) = (hash_at(header, 32), hash_at(header, 64));
        Some(Self {
            payload_bytes: u32_at(header, 8) as usize,
            erased: header[5] & FLAG_ERASED != 0,
            payload_crc: u32_at(header, 12),
            epoch,
            seq,
            before,
            payload_hash,
            durable: Seq::new(u64_at(header, 96)),
            secondary: mark(u64_at(header, 104), u128_at(header, 112)),
        })
    }

    /// Where the frame stands. Its hash is made here: who only looks for a frame does without.
    pub(super) fn position(&self) -> Position {
        let hash = chain(&self.before, self.epoch, self.seq, &self.payload_hash);
        Position { epoch: self.epoch, seq: self.seq, hash }
    }

    /// Whether `payload` is this frame's, by checksum.
    pub(super) fn payload_holds(&self, payload: &[u8]) -> bool {
        crc32c::crc32c(payload) == self.payload_crc
    }

    /// Bytes to the next frame.
    pub(super) fn stride(&self) -> u64 {
        stride(self.payload_bytes)
    }

    /// The whole frame. `payload` has been checked by [`Header::payload_holds`].
    pub(super) fn frame(&self, payload: Bytes) -> Frame {
        let bytes = if self.erased { None } else { Some(payload) };
        Frame {
            position: self.position(),
            before: self.before,
            secondary: self.secondary,
            payload: Payload { bytes, hash: self.payload_hash },
        }
    }
}

/// Bytes that a frame takes in a segment.
pub(super) fn stride(payload_bytes: usize) -> u64 {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN) as u64
}

/// Appends a frame's disk form, `durable` being known durable before its group.
pub(super) fn write(frame: &Frame, durable: Seq, place: Place, out: &mut Vec<u8>) {
    let empty = Bytes::new();
    let payload = frame.payload.bytes.as_ref().unwrap_or(&empty);
    let mark = frame.secondary.map_or((0, 0), |mark| (mark.seq.get(), mark.member.get()));
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[5] = if frame.payload.bytes.is_none() { FLAG_ERASED } else { 0 };
    header[8..12].copy_from_slice(&payload_len(&frame.payload).to_le_bytes());
    header[12..16].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    header[16..24].copy_from_slice(&frame.position.epoch.get().to_le_bytes());
    header[24..32].copy_from_slice(&frame.position.seq.get().to_le_bytes());
    header[32..64].copy_from_slice(frame.before.as_bytes());
    header[64..96].copy_from_slice(frame.payload.hash.as_bytes());
    header[96..104].copy_from_slice(&durable.get().to_le_bytes());
    header[104..112].copy_from_slice(&mark.0.to_le_bytes());
    header[112..128].copy_from_slice(&mark.1.to_le_bytes());
    let crc = place.crc(&header[..CRC_AT]);
    header[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(ALIGN), 0);
}
