//! The words everything else is written in: names and ids, epochs and positions, clocks and
//! randomness as traits, limits, and the one table of error kinds.
//!
//! Depends on nothing of ours, does no I/O, reads no clock. Every number that crosses a crate
//! boundary has a type here.

mod error;
mod hash;
mod id;
mod limits;
mod name;
mod number;
mod position;
mod rng;
mod time;
mod version;

pub use error::{ErrorKind, HttpAnswer};
pub use hash::Hash;
pub use id::{BootId, ChangeId, MemberId, ResourceId, ResourceIdError};
pub use limits::Limits;
pub use name::{AccountName, MemberName, NameError};
pub use number::{Attempt, Counter, Epoch, Fork, Generation, Seq};
pub use position::{Position, PositionError};
pub use rng::{Rng, Seeded};
pub use time::{BootTime, Clock, Span, Stamp, StampError};
pub use version::{VersionId, VersionIdError};
