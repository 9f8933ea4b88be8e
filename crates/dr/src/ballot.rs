//! Ballots: never reused, also across restarts (PROTOCOL.md R1).

use base::{BootId, Counter, MemberId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who proposes, in which round. Ordered by counter, then member, then boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Ballot {
    /// The round; a proposer always goes above every one it has seen.
    pub counter: Counter,
    /// The proposing member.
    pub member: MemberId,
    /// Its process lifetime: what makes a ballot unique after a restart.
    pub boot: BootId,
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}/{:x}/{:x}", self.counter, self.member.get(), self.boot.get())
    }
}
