//! What two strings have in common when case, accents and spacing do not count.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Lower case, base characters only, single spaces, none at the ends
/// (<https://hl7.org/fhir/R4/search.html#string>).
///
/// **On disk**: string terms hold folded text, so a change here raises
/// [`crate::ENCODING_VERSION`].
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if text.is_ascii() {
        for byte in text.bytes() {
            push(&mut out, char::from(byte.to_ascii_lowercase()));
        }
    } else {
        for letter in text.nfkd().filter(|c| !is_combining_mark(*c)) {
            match base_letters(letter) {
                Some(letters) => out.push_str(letters),
                None => letter
                    .to_lowercase()
                    .filter(|c| !is_combining_mark(*c))
                    .for_each(|c| push(&mut out, c)),
            }
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// Adds a character; of spaces only one, and none at the start.
fn push(out: &mut String, letter: char) {
    if !letter.is_whitespace() {
        out.push(letter);
    } else if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Letters that Unicode does not take apart, though people do.
fn base_letters(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'ł' | 'Ł' => "l",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'þ' | 'Þ' => "th",
        'ħ' | 'Ħ' => "h",
        'ı' => "i",
        // At a word's end; elsewhere, and from the capital, it is the other.
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_spacing_do_not_count() {
        for (text, folded) in [
            ("Müller", "muller"),
            ("  Ana \t Maria ", "ana maria"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("Łukasz Ørsted", "lukasz orsted"),
            ("e\u{301}tude", "etude"),
            ("İstanbul", "istanbul"),
            ("Παπάς ΠΑΠΑΣ", "παπασ παπασ"),
            ("ας Ϲ ϲ", "ασ σ σ"),
            ("\u{301} \u{a0}", ""),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
