//! Names that people choose.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// First path segments that are no account's.
const RESERVED: [&str; 6] = ["admin", "console", "health", "metrics", "peer", ".well-known"];
/// The longest name, in characters.
const NAME_MAX: usize = 63;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Characters or length are off.
    #[error("name '{0}' is not 1 to 63 of a-z, 0-9 and '-', beginning with a letter")]
    Form(String),
    /// The name has a meaning of its own.
    #[error("name '{0}' is reserved")]
    Reserved(String),
}

fn check_form(text: &str) -> Result<(), NameError> {
    let fits = (1..=NAME_MAX).contains(&text.len())
        && text.as_bytes()[0].is_ascii_lowercase()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(()) } else { Err(NameError::Form(text.chars().take(NAME_MAX + 1).collect())) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_form(text)?;
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An account (one FHIR service instance): the first path segment of its base URL.
    AccountName,
    |text| if RESERVED.contains(&text) { Err(NameError::Reserved(text.to_owned())) } else { Ok(()) }
);
name!(
    /// A member of the cluster: a region or the witness, as people call it (`east`).
    MemberName,
    |_| Ok(())
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_not_reserved() {
        for good in ["fhir", "a", "clinic-2"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", "Fhir", "2a", "a/b", "-a", "health", "metrics", &"a".repeat(64)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }
}
