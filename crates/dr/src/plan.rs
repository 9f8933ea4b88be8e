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
    /// What people call the two.
    pub names: [String; 2],
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
    /// What people call the two.
    pub names: [String; 2],
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
    /// What people call it.
    pub name: String,
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
        let [from, to] = &self.names;
        let (epoch, attempt) = (self.replaces.epoch, self.attempt);
        write!(f, "promote {to} for account {}: replaces epoch {epoch} ", self.account)?;
        write!(
            f,
            "(attempt {attempt}) of {from}, from register version {}: ",
            self.parent.counter
        )?;
        f.write_str("seal, measure, propose, apply, open")
    }
}

impl fmt::Display for SwitchoverPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.failback { "fail back" } else { "switch over" };
        let [from, to] = &self.names;
        write!(f, "{what} account {} from {from} to {to}: ", self.account)?;
        write!(f, "replaces epoch {}, ", self.replaces.epoch)?;
        write!(f, "from register version {}: drain, sign, hand over, open", self.parent.counter)
    }
}

impl fmt::Display for ReturnPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "follow {} in account {} ", self.name, self.account)?;
        write!(f, "at epoch {}, from register version {}: ", self.epoch, self.parent.counter)?;
        write!(f, "export and cut {} commits after seq {}, ", self.cut(), self.keep.seq)?;
        f.write_str("then take the difference")
    }
}
