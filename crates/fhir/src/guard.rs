//! What is checked on the bare bytes before any parser sees them: size, depth, UTF-8.
//!
//! sonic-rs recurses without a limit; 20 kB of `[` would end the process. So depth is counted here
//! first, in one pass that skips strings and builds nothing.

use crate::Issue;

/// Bytes of one JSON text at most, whatever the caller's own limit: places in it are 32-bit.
pub(crate) const MAX_BYTES: usize = 1 << 30;
/// Depth at most, whatever the caller's own limit: walks over a parsed resource recurse.
pub(crate) const MAX_NESTING: usize = 256;

/// The text, if its size and depth are within the limits. It may still not be JSON.
pub(crate) fn check(bytes: &[u8], nesting: usize) -> Result<&str, Issue> {
    if bytes.len() > MAX_BYTES {
        let text = format!("body of {} bytes exceeds the limit of {MAX_BYTES}", bytes.len());
        return Err(Issue::of_body("too-long", text));
    }
    let nesting = nesting.min(MAX_NESTING);
    if let Some(at) = too_deep(bytes, nesting) {
        let text = format!("nesting at byte {at} exceeds the limit of {nesting}");
        return Err(Issue::of_body("too-costly", text));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let text = format!("body is not UTF-8 at byte {}", error.valid_up_to());
        Issue::of_body("structure", text)
    })
}

/// The first byte that opens more than `nesting` arrays and objects.
fn too_deep(bytes: &[u8], nesting: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'[' | b'{' => {
                depth += 1;
                if depth > nesting {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place of the quote that ends the string whose content begins at `from`, or the end.
fn end_of_string(bytes: &[u8], mut from: usize) -> usize {
    while let Some(found) = bytes.get(from..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if bytes[from + found] == b'"' {
            return from + found;
        }
        from += found + 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_outside_strings_only() {
        assert_eq!(too_deep(br#"{"a":["[[[\"[[",[]]}"#, 3), None);
        assert_eq!(too_deep(br#"{"a":["[[[\"[[",[]]}"#, 2), Some(16));
        assert_eq!(too_deep(b"\"\\", 1), None);
        assert_eq!(too_deep(b"]]]][[", 1), Some(5));
    }

    #[test]
    fn a_body_of_brackets_is_refused_and_not_parsed() {
        let body = vec![b'['; 20_000];
        let issue = check(&body, 64).expect_err("64 is the limit");
        assert_eq!(
            issue.to_string(),
            "error too-costly: nesting at byte 64 exceeds the limit of 64"
        );
    }
}
