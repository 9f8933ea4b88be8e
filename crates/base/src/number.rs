//! Counters of the protocol, each with a type of its own.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value.
            pub const ZERO: Self = Self(0);
            /// Wraps a raw number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }
            /// The raw number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
            /// The next higher value; a counter that would overflow is a bug, and stops here.
            #[must_use]
            #[track_caller]
            pub const fn next(self) -> Self {
                match self.0.checked_add(1) {
                    Some(next) => Self(next),
                    None => panic!("counter overflow"),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number!(
    /// One primary's term in one process lifetime. The first epoch of an account is 1; 0 is "before any".
    Epoch, u64
);
number!(
    /// A commit's place in an account's log. The first commit has 1; 0 is the empty log.
    Seq, u64
);
number!(
    /// Counts the breaks in history that are not proven lossless; shows in a `versionId` as `8-f1`.
    Fork, u32
);
number!(
    /// Raised by everything that voids a seal or a signed release (PROTOCOL.md P3).
    Attempt, u64
);
number!(
    /// Cluster generation: raised only by sole-survivor recovery; leads every comparison of epochs.
    Generation, u32
);
number!(
    /// A member's durable start or change counter, or a register value's counter.
    Counter, u64
);
