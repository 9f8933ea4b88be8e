//! Index terms: the bytes that a value has in the index, and ranges over them.

use crate::ParamId;
use smallvec::SmallVec;

/// The version of the terms' form. **On disk**: an index made under another version is rebuilt.
pub const ENCODING_VERSION: u16 = 2;

/// The most bytes of a text that stands in a term as it is.
const TEXT_MAX: usize = 23;
/// What begins a text that is given by its hash (16 bytes).
const HASHED: u8 = 0x01;
/// What begins a lower-case UUID, as 16 bytes.
const UUID: u8 = 0x02;
/// No text at all.
const ABSENT: u8 = 0x03;
/// What ends a text that stands as it is.
const END: u8 = 0x00;

/// All index terms of one resource: sorted, no two alike.
///
/// A term is the parameter's id (two bytes, big-endian) and the value's bytes, at most
/// [`Terms::LEN_MAX`] in all. A parameter that is present without a value to search for has a term
/// of its id alone. Each kind of value has its form in the file of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    bytes: Vec<u8>,
    ends: SmallVec<[u32; 24]>,
}

impl Terms {
    /// No term is longer, in bytes: two for the parameter, four for a composite's code, and a
    /// quantity of a span of numbers (45), an unknown system (9) and a code (24).
    pub const LEN_MAX: usize = 84;

    /// The terms, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.ends.len()).map(|at| self.get(at))
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// Their bytes together.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}

/// Collects terms.
#[derive(Default)]
pub(crate) struct TermWriter {
    bytes: Vec<u8>,
    spans: SmallVec<[(u32, u32); 24]>,
}

impl TermWriter {
    pub(crate) fn with_room(terms: usize) -> Self {
        Self { bytes: Vec::with_capacity(terms * 14), spans: SmallVec::new() }
    }

    /// Adds a term: the parameter's id, and what `write` appends.
    pub(crate) fn term(&mut self, param: ParamId, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&param.get().to_be_bytes());
        write(&mut self.bytes);
        debug_assert!(self.bytes.len() - start <= Terms::LEN_MAX, "a term is too long");
        let place = |at: usize| u32::try_from(at).expect("terms of one resource stay below 4 GiB");
        self.spans.push((place(start), place(self.bytes.len())));
    }

    /// Sorts, and drops what is there twice.
    pub(crate) fn finish(mut self) -> Terms {
        let bytes = &self.bytes;
        let at = |span: (u32, u32)| &bytes[span.0 as usize..span.1 as usize];
        self.spans.sort_unstable_by(|a, b| at(*a).cmp(at(*b)));
        self.spans.dedup_by(|a, b| at(*a) == at(*b));
        let mut sorted = Vec::with_capacity(bytes.len());
        let mut ends = SmallVec::with_capacity(self.spans.len());
        for span in &self.spans {
            sorted.extend_from_slice(at(*span));
            ends.push(u32::try_from(sorted.len()).expect("not longer than before"));
        }
        Terms { bytes: sorted, ends }
    }
}

/// Terms from `start` up to, and not including, `end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TermRange {
    /// The first term in it.
    pub start: Vec<u8>,
    /// The first term after it.
    pub end: Vec<u8>,
}

impl TermRange {
    /// Whether a term lies in it.
    #[must_use]
    pub fn contains(&self, term: &[u8]) -> bool {
        self.start.as_slice() <= term && term < self.end.as_slice()
    }

    /// Every term that begins with these bytes.
    pub(crate) fn prefix(bytes: Vec<u8>) -> Self {
        let end = after_prefix(&bytes);
        Self { start: bytes, end }
    }

    /// This term alone.
    pub(crate) fn one(bytes: Vec<u8>) -> Self {
        let mut end = bytes.clone();
        end.push(0);
        Self { start: bytes, end }
    }
}

/// The first bytes after all that begin with `prefix`. Nothing begins with 0xFFFF: no parameter
/// has that id.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0xFF; 3]
}

/// A term's first bytes: the parameter's id.
pub(crate) fn head(param: ParamId) -> Vec<u8> {
    param.get().to_be_bytes().to_vec()
}

/// Writes a text that is only ever compared for equality, so that no form begins another: as it
/// is, as 16 bytes if it is a UUID, or, if long, as 16 bytes of its hash.
pub(crate) fn encode_text(text: Option<&str>, out: &mut Vec<u8>) {
    let Some(text) = text else {
        out.push(ABSENT);
        return;
    };
    let bytes = text.as_bytes();
    if let Some(uuid) = canonical_uuid(text) {
        out.push(UUID);
        out.extend_from_slice(&uuid);
    } else if bytes.len() <= TEXT_MAX
        && bytes.first().is_some_and(|first| *first > ABSENT)
        && !bytes.contains(&END)
    {
        out.extend_from_slice(bytes);
        out.push(END);
    } else {
        out.push(HASHED);
        out.extend_from_slice(&base::Hash::of(bytes).as_bytes()[..16]);
    }
}

/// How long the text at the start of these bytes is; their whole length if they are cut short.
pub(crate) fn encoded_text_len(bytes: &[u8]) -> usize {
    let len = match bytes.first() {
        None => 0,
        Some(&(HASHED | UUID)) => 17,
        Some(&ABSENT) => 1,
        Some(_) => bytes.iter().position(|b| *b == END).map_or(bytes.len(), |end| end + 1),
    };
    len.min(bytes.len())
}

/// A UUID in its usual lower-case form, which the bytes give back exactly.
fn canonical_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut uuid = [0; 16];
    let mut nibble = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let value = match (place, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        uuid[nibble / 2] |= if nibble % 2 == 0 { value << 4 } else { value };
        nibble += 1;
    }
    Some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode_text(Some(text), &mut out);
        out
    }

    proptest! {
        #[test]
        fn no_text_begins_another(a in "\\PC{0,30}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b in "\\PC{0,30}") {
            let (x, y) = (encoded(&a), encoded(&b));
            prop_assert_eq!(encoded_text_len(&x), x.len());
            prop_assert_eq!(x.starts_with(&y), a == b);
        }

        #[test]
        fn the_end_of_a_prefix_is_after_all_that_begin_with_it(
            prefix in proptest::collection::vec(any::<u8>(), 2..5),
            rest in proptest::collection::vec(any::<u8>(), 0..5),
        ) {
            prop_assume!(prefix[..2] != [0xFF, 0xFF]);
            let range = TermRange::prefix(prefix.clone());
            prop_assert!(range.contains(&[prefix.clone(), rest].concat()));
            prop_assert!(!range.contains(&prefix[..1]));
        }
    }

    #[test]
    fn a_uuid_takes_its_bytes_only_in_its_usual_form() {
        assert_eq!(encoded("085e81c0-7a95-ef02-16ef-aa1b4344deed").len(), 17);
        assert_eq!(encoded("085E81C0-7A95-EF02-16EF-AA1B4344DEED")[0], HASHED);
        assert_eq!(encoded("085e81c007a95-ef02-16ef-aa1b4344deed")[0], HASHED);
    }
}
