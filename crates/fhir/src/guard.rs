//! What is checked on the bare bytes before any parser sees them: size, depth, UTF-8.
//!
//! sonic-rs recurses without a limit; 20 kB of `[` would end the process. So depth is counted here
//! first, in one pass that skips strings and builds nothing.

use crate::Issue;

/// Bytes of one JSON text at most, whatever the caller's own limit: places in it are 32-bit.
pub(crate) const MAX_BYTES: usize = 1 << 30;
/// Depth at most, whatever the caller's own limit: walks over a parsed resource recurse.
pub(crate) const MAX_NESTING: usize = 256;

/// Values at most: each takes some 40 bytes once it is parsed, however short its text.
const MAX_VALUES: usize = 4_000_000;

/// The text, if its size and depth are within the limits. It may still not be JSON.
pub(crate) fn check(bytes: &[u8], nesting: usize) -> Result<&str, Issue> {
    if bytes.len() > MAX_BYTES {
        let text = format!("body of {} bytes exceeds the limit of {MAX_BYTES}", bytes.len());
        return Err(Issue::of_body("too-long", text));
    }
    let nesting = nesting.min(MAX_NESTING);
    measure(bytes, nesting, MAX_VALUES).map_err(|issue| Issue::of_body("too-costly", issue))?;
    std::str::from_utf8(bytes).map_err(|error| {
        let text = format!("body is not UTF-8 at byte {}", error.valid_up_to());
        Issue::of_body("structure", text)
    })
}

/// Counts what is open at once and what stands between commas, outside strings.
fn measure(bytes: &[u8], nesting: usize, values_max: usize) -> Result<(), String> {
    let (mut depth, mut values) = (0_usize, 1_usize);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > nesting {
                    return Err(format!("nesting at byte {at} exceeds the limit of {nesting}"));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        at += 1;
    }
    if values > values_max {
        return Err(format!("{values} JSON values exceed the limit of {values_max}"));
    }
    Ok(())
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
        let deepest = |bytes, nesting| measure(bytes, nesting, 100).is_ok();
        assert!(deepest(br#"{"a":["[[[\"[[",[]]}"#, 3));
        assert!(!deepest(br#"{"a":["[[[\"[[",[]]}"#, 2));
        assert!(deepest(b"\"\\", 1));
        assert!(!deepest(b"]]]][[", 1));
    }

    #[test]
    fn more_values_than_the_limit_are_refused() {
        assert_eq!(measure(b"[1,2,[\",,,\"]]", 9, 5), Ok(()));
        let refusal = measure(b"[1,2,[3,4]]", 9, 4).expect_err("there are more");
        assert_eq!(refusal, "6 JSON values exceed the limit of 4");
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
