//! Where in a history.

use crate::{Epoch, Hash, Seq};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A place in one branch of an account's history: the commit `seq`, made in `epoch`, whose hash
/// chains over all before it. Opaque outside: text form `E.S.HASH`.
///
/// Two positions are never compared as tuples across branches: ask the log whether it holds one
/// (same seq, same hash). There is deliberately no `Ord`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The epoch that the commit was made in.
    pub epoch: Epoch,
    /// Its place in the log.
    pub seq: Seq,
    /// The hash over it and all before it.
    pub hash: Hash,
}

impl Position {
    /// The empty log.
    pub const ZERO: Self = Self { epoch: Epoch::ZERO, seq: Seq::ZERO, hash: Hash::ZERO };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.seq, self.hash)
    }
}

/// The text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position of this service: expected EPOCH.SEQ.HASH as sent in X-Firebreak-Position")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let mut parts = text.splitn(3, '.');
        let mut number = || -> Option<u64> {
            let part = parts.next()?;
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        let epoch = number().ok_or(PositionError)?;
        let seq = number().ok_or(PositionError)?;
        let hash = parts.next().and_then(Hash::from_text).ok_or(PositionError)?;
        Ok(Self { epoch: Epoch::new(epoch), seq: Seq::new(seq), hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_anything_else() {
        let position = Position { epoch: Epoch::new(3), seq: Seq::new(1042), hash: Hash::of(b"x") };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "1", "1.2", "1.2.", "+1.2.AAAA", "a.b.c", "1.2.AAAA", " 1.2.x"] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad}");
        }
    }
}
