//! FHIRPath's words (<https://hl7.org/fhirpath/N1/#lexical-elements>).

use super::ExpressionError;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name, also one in back quotes.
    Name(&'t str),
    /// `%resource`.
    External(&'t str),
    /// `$this`.
    Special(&'t str),
    /// Without its quotes, escapes undone.
    String(String),
    /// Digits, perhaps with a point.
    Number(&'t str),
    /// A sign of one or two characters.
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: &[&str] = &[
    "!=", "!~", "<=", ">=", ".", "(", ")", "[", "]", "{", "}", "|", "=", "~", "<", ">", "+", "-",
    "*", "/", "&", ",",
];

/// All words, each with the byte it begins at.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, bytes) = token(&text[at..], first)
            .ok_or(ExpressionError { at, reason: "no word of FHIRPath" })?;
        tokens.push((at, token));
        at += bytes;
    }
    Ok(tokens)
}

/// The word at the head of `rest`, and its length in bytes.
fn token(rest: &str, first: char) -> Option<(Token<'_>, usize)> {
    match first {
        '\'' => string(rest),
        '`' => {
            let end = rest[1..].find('`')? + 1;
            Some((Token::Name(&rest[1..end]), end + 1))
        }
        '%' | '$' => {
            let bytes = 1 + word(&rest[1..]);
            let name = &rest[1..bytes];
            let token = if first == '%' { Token::External(name) } else { Token::Special(name) };
            (bytes > 1).then_some((token, bytes))
        }
        '0'..='9' => {
            let bytes = number(rest);
            Some((Token::Number(&rest[..bytes]), bytes))
        }
        'a'..='z' | 'A'..='Z' | '_' => {
            let bytes = word(rest);
            Some((Token::Name(&rest[..bytes]), bytes))
        }
        _ => {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign))?;
            Some((Token::Sign(sign), sign.len()))
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = &text[from..];
        from + rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
    };
    let whole = digits(0);
    let fraction = text[whole..]
        .strip_prefix('.')
        .is_some_and(|f| f.starts_with(|c: char| c.is_ascii_digit()));
    if fraction { digits(whole + 1) } else { whole }
}

fn string(rest: &str) -> Option<(Token<'_>, usize)> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some((Token::String(out), at + 1)),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'f' => out.push('\u{c}'),
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + chars.next()?.1.to_digit(16)?;
                    }
                    out.push(char::from_u32(code)?);
                }
                same @ ('\\' | '/' | '\'' | '"' | '`') => out.push(same),
                _ => return None,
            },
            _ => out.push(c),
        }
    }
    None
}
