//! Separators in search values, and the backslash that takes their meaning away
//! (<https://hl7.org/fhir/R4/search.html#escaping>).

use std::borrow::Cow;

/// The parts between separators that are not escaped. Escapes stay as they are.
pub(crate) fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if byte == separator {
            parts.push(&text[start..at]);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The parts before and after the first separator that is not escaped.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let first = split(text, separator)[0].len();
    (first < text.len()).then(|| (&text[..first], &text[first + 1..]))
}

/// Takes `\,` `\$` `\|` and `\\` for what they stand for; any other backslash stands for itself.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escape = letter == '\\';
        match letters.next_if(|next| escape && matches!(next, ',' | '$' | '|' | '\\')) {
            Some(next) => out.push(next),
            None => out.push(letter),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_part_unless_escaped() {
        assert_eq!(split(r"a\,b,c,\\,d", b','), [r"a\,b", "c", r"\\", "d"]);
        assert_eq!(split("", b','), [""]);
        assert_eq!(split_once(r"a\|b|c|d", b'|'), Some((r"a\|b", "c|d")));
        assert_eq!(split_once("a", b'|'), None);
        assert_eq!(split_once("a|", b'|'), Some(("a", "")));
        assert_eq!(unescape(r"a\,b\$c\|d\\e\f\"), r"a,b$c|d\e\f\");
    }
}
