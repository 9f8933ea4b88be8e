//! Compression of bodies: each alone, with a dictionary trained on FHIR resources.
//!
//! A compressed body is a zstd frame (RFC 8878) that names the dictionary and ends in a checksum
//! of its content, so that a body read by its place alone proves itself.

use crate::Error;
use bytes::Bytes;
use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// Trained on Synthea's resources as served; see `assets/README.md`. A newer one gets a file and
/// an id of its own, for old bodies need the old one for ever.
const DICTIONARY: &[u8] = include_bytes!("../../assets/dictionary-1.zdict");
/// The dictionary's id within zstd frames.
pub const DICTIONARY_ID: u32 = 0x8001;
/// Fast enough to be done for every write; higher levels gain little beside the dictionary.
const LEVEL: i32 = 1;
/// The largest body that is read back: the largest request body there can be, and then some.
const BODY_BYTES_MAX: usize = 512 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new({
        let mut compressor = Compressor::with_prepared_dictionary(&ENCODER)
            .expect("the dictionary in the program is a valid one");
        compressor.include_checksum(true).expect("a parameter zstd has");
        compressor
    });
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::new(
        Decompressor::with_prepared_dictionary(&DECODER)
            .expect("the dictionary in the program is a valid one"),
    );
}

/// Compresses one body.
#[must_use]
pub fn compress(body: &[u8]) -> Bytes {
    COMPRESSOR
        .with_borrow_mut(|compressor| compressor.compress(body))
        .expect("a buffer of the bound's size holds any body")
        .into()
}

/// Reads what [`compress`] made.
///
/// # Errors
/// [`Error::Corrupt`] for anything else: a frame's content carries a checksum.
pub fn decompress(compressed: &[u8]) -> Result<Bytes, Error> {
    let damaged = Error::Corrupt { what: "a compressed body" };
    let bound = zstd::zstd_safe::get_frame_content_size(compressed);
    let Ok(Some(bytes)) = bound else { return Err(damaged) };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes > BODY_BYTES_MAX {
        return Err(damaged);
    }
    let body = DECOMPRESSOR.with_borrow_mut(|decoder| decoder.decompress(compressed, bytes));
    match body {
        Ok(body) if body.len() == bytes => Ok(body.into()),
        _ => Err(damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_and_any_flipped_bit_is_seen() {
        let body = br#"{"resourceType":"Patient","id":"a","active":true,"gender":"female"}"#;
        let compressed = compress(body);
        assert_eq!(decompress(&compressed).expect("intact").as_ref(), body);
        for at in 0..compressed.len() {
            for bit in 0..8 {
                let mut damaged = compressed.to_vec();
                damaged[at] ^= 1 << bit;
                if let Ok(read) = decompress(&damaged) {
                    // The frame header has bits without meaning; the content never differs.
                    assert_eq!(read.as_ref(), body, "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn the_dictionary_is_the_one_named() {
        let id = zstd::zstd_safe::get_dict_id(DICTIONARY).map(std::num::NonZero::get);
        assert_eq!(id, Some(DICTIONARY_ID));
    }
}
