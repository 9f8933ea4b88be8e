//! A resource's version.

use crate::Fork;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A FHIR `versionId`: the counter of changes of one id, and the fork that made it. Text `7`, and
/// `8-f1` once history broke. The counter is never reset; order is by counter, then fork.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct VersionId {
    /// Counts the versions of an id from 1.
    pub counter: u64,
    /// The account's fork when the version was made.
    pub fork: Fork,
}

/// The text is not a version of this service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a versionId of this service: expected a number such as 7, or 8-f1")]
pub struct VersionIdError;

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fork == Fork::ZERO {
            write!(f, "{}", self.counter)
        } else {
            write!(f, "{}-f{}", self.counter, self.fork)
        }
    }
}

/// A plain decimal number without sign or leading zero.
fn plain<T: FromStr>(text: &str) -> Option<T> {
    let fits =
        text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && !text.starts_with('0');
    fits.then(|| text.parse().ok()).flatten()
}

impl FromStr for VersionId {
    type Err = VersionIdError;

    fn from_str(text: &str) -> Result<Self, VersionIdError> {
        let (counter, fork) = match text.split_once("-f") {
            Some((counter, fork)) => (counter, plain(fork).map(Fork::new)),
            None => (text, Some(Fork::ZERO)),
        };
        match (plain(counter), fork) {
            (Some(counter), Some(fork)) => Ok(Self { counter, fork }),
            _ => Err(VersionIdError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        for text in ["1", "7", "8-f1", "18446744073709551615-f12"] {
            assert_eq!(text.parse::<VersionId>().map(|v| v.to_string()), Ok(text.to_owned()));
        }
        for bad in ["", "0", "07", "-1", "+1", "7-f0", "7-f", "7-1", "1.0", "99999999999999999999"]
        {
            assert_eq!(bad.parse::<VersionId>(), Err(VersionIdError), "{bad}");
        }
    }
}
