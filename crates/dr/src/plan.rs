//! Plans: immutable, printable, naming the parent they were made from and the epoch they replace.
//! Executing one twice does what executing it once does.

use crate::{Holder, Reign, Version};
use base::{AccountName, Attempt, Epoch, Fork, MemberId, Position};
use std::fmt;

/// Take the account over from a primary that is gone (P1, P2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionPlan {
    /// The account.
    pub account: AccountName,
    /// The register's version it was made from.
    pub parent: Version,
    /// The epoch it replaces, and seals.
    pub replaces: Reign,
    /// The attempt it is sealed under.
    pub attempt: Attempt,
    /// Who lost it.
    pub from: Holder,
    /// Who takes it.
    pub to: Holder,
}

/// Hand the account over, losslessly (S1, S2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchoverPlan {
    /// The account.
    pub account: AccountName,
    /// The register's version it was made from.
    pub parent: Version,
    /// The epoch it replaces.
    pub replaces: Reign,
    /// Who hands over.
    pub from: Holder,
    /// Who takes over.
    pub to: MemberId,
    /// Whether this is a return to the home region.
    pub failback: bool,
}

/// Come back as a follower: export what the present history does not hold, cut it, take the
/// difference (Q1, Q3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPlan {
    /// The account.
    pub account: AccountName,
    /// The register's version it was made from.
    pub parent: Version,
    /// The epoch to follow.
    pub epoch: Epoch,
    /// Its fork.
    pub fork: Fork,
    /// Its primary.
    pub primary: Holder,
    /// The last position both histories hold: the log is cut to end here.
    pub keep: Position,
    /// The end of the own log.
    pub end: Position,
}

impl ReturnPlan {
    /// How many commits are exported and cut.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.end.seq.get().saturating_sub(self.keep.seq.get())
    }
}

impl fmt::Display for PromotionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "promote {} for account {}: replaces epoch {} (attempt {}) of {}, from register version {}: \
             seal, measure, propose, apply, open",
            self.to.member,
            self.account,
            self.replaces.epoch,
            self.attempt,
            self.from.member,
            self.parent.counter,
        )
    }
}

impl fmt::Display for SwitchoverPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.failback { "fail back" } else { "switch over" };
        write!(
            f,
            "{what} account {} from {} to {}: replaces epoch {}, from register version {}: \
             drain, sign, hand over, open",
            self.account, self.from.member, self.to, self.replaces.epoch, self.parent.counter,
        )
    }
}

impl fmt::Display for ReturnPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "follow {} in account {} at epoch {}, from register version {}: export and cut {} commits after \
             seq {}, then take the difference",
            self.primary.member,
            self.account,
            self.epoch,
            self.parent.counter,
            self.cut(),
            self.keep.seq,
        )
    }
}
