//! What a register holds (PROTOCOL.md R2).

use crate::Timing;
use base::{Attempt, BootId, ChangeId, Counter, Epoch, Fork, Generation, MemberId, Position, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A region in one process lifetime: `(region, boot id)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The region's member id.
    pub member: MemberId,
    /// Its process lifetime.
    pub boot: BootId,
}

/// Which value of a register this is. Equal counters may be different values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Version {
    /// One more than that of the value it was made from.
    pub counter: Counter,
    /// The change that made it.
    pub change: ChangeId,
}

/// An epoch with the cluster generation that leads every comparison (R7).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct Reign {
    /// Cluster generation.
    pub generation: Generation,
    /// Epoch in it.
    pub epoch: Epoch,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Durable locally, lease valid, lag at most this while `in_sync`. Default 5 s.
    Async {
        /// The hard bound on lag.
        max_lag: Span,
    },
    /// Durable in both; refuses while there is one copy. Not offered yet.
    SyncStrict,
    /// Durable in both; records `lagging` and runs on while there is one copy. Not offered yet.
    SyncDegrade,
}

impl Default for Mode {
    fn default() -> Self {
        Self::Async { max_lag: Span::from_secs(5) }
    }
}

/// How the secondary stands, as recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondaryState {
    /// There is no secondary.
    None,
    /// It does not have what it needs yet; no failover to it.
    Seeding,
    /// Within the bound of the mode, enforced (M1): the only state that allows promotion (P2).
    InSync,
    /// The bound is given up, so acknowledgement does not wait; no failover to it.
    Lagging,
    /// Its content differs; no failover to it.
    Diverged,
}

/// Where an epoch began: its first commit follows `at`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The epoch.
    pub epoch: Epoch,
    /// Whose it is.
    pub primary: MemberId,
    /// The fork from there.
    pub fork: Fork,
    /// The end of the log before the opening commit.
    pub at: Position,
}

/// A signed release (S1): its signer never acts in that epoch again (S2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Release {
    /// Who signed, in which process lifetime.
    pub signer: Holder,
    /// The epoch it ended.
    pub reign: Reign,
    /// The attempt it was signed under.
    pub attempt: Attempt,
    /// The register's version it was signed under.
    pub version: Version,
    /// The end of the signer's log.
    pub at: Position,
    /// Who may take over.
    pub next: MemberId,
}

/// Which region's compute serves clients while data and home are apart.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComputeRouting {
    /// The home region's, once healthy and in sync for `home_after`.
    #[default]
    Home,
    /// The primary's.
    WithData,
}

/// Whether a former primary comes back by itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejoin {
    /// As soon as it is up.
    #[default]
    Auto,
    /// On command.
    Manual,
}

/// The operator's choices for an account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Policies {
    /// Which region's compute serves clients.
    pub compute_routing: ComputeRouting,
    /// How long the home region must be healthy and in sync before compute returns.
    pub home_after: Span,
    /// Whether a former primary comes back by itself.
    pub rejoin: Rejoin,
    /// How long a region that failed is not failed over to again (10 min) …
    pub hold_down: Span,
    /// … unless it has been in sync for this long (60 s).
    pub hold_down_healthy: Span,
}

impl Policies {
    /// The defaults for a timing: `home_after` is 60 s, `fast` 5 s.
    #[must_use]
    pub const fn new(timing: Timing) -> Self {
        let home_after = match timing {
            Timing::Fast => Span::from_secs(5),
            Timing::Standard | Timing::Calm => Span::from_secs(60),
        };
        Self {
            compute_routing: ComputeRouting::Home,
            home_after,
            rejoin: Rejoin::Auto,
            hold_down: Span::from_secs(600),
            hold_down_healthy: Span::from_secs(60),
        }
    }
}

/// The acceptor sets a value names: one, or during a change the old and the new (R5).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Acceptors {
    /// The set.
    pub set: BTreeSet<MemberId>,
    /// The set it replaces, until the next change drops it.
    pub old: Option<BTreeSet<MemberId>>,
}

impl Acceptors {
    /// One set.
    #[must_use]
    pub fn of(set: impl IntoIterator<Item = MemberId>) -> Self {
        Self { set: set.into_iter().collect(), old: None }
    }
    /// Whether `of` holds a majority of every set named (R5).
    #[must_use]
    pub fn quorum(&self, of: &BTreeSet<MemberId>) -> bool {
        self.sets().all(|set| 2 * set.intersection(of).count() > set.len())
    }
    /// The sets named.
    pub fn sets(&self) -> impl Iterator<Item = &BTreeSet<MemberId>> {
        std::iter::once(&self.set).chain(&self.old)
    }
    /// Every acceptor named.
    #[must_use]
    pub fn all(&self) -> BTreeSet<MemberId> {
        self.sets().flatten().copied().collect()
    }
    /// Whether `member` is one.
    #[must_use]
    pub fn holds(&self, member: MemberId) -> bool {
        self.sets().any(|set| set.contains(&member))
    }
}

/// The value of an account's register.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Value {
    /// Cluster generation and epoch.
    pub reign: Reign,
    /// Which value this is.
    pub version: Version,
    /// The region the account belongs to.
    pub home: MemberId,
    /// Who may open and act in this epoch, in that process lifetime only (P4).
    pub primary: Holder,
    /// Who follows; `None` while a region is alone.
    pub secondary: Option<MemberId>,
    /// Raised by all that voids a seal or a release (P3).
    pub attempt: Attempt,
    /// Breaks in history.
    pub fork: Fork,
    /// When a write is acknowledged.
    pub mode: Mode,
    /// How the secondary stands.
    pub secondary_state: SecondaryState,
    /// Where every epoch began, oldest first.
    pub starts: Vec<Start>,
    /// The operator's choices.
    pub policies: Policies,
    /// Who votes.
    pub acceptors: Acceptors,
    /// The release by which this value was made, and only this one (L4).
    pub release: Option<Release>,
}

impl Value {
    /// Where the present epoch began.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        self.starts.iter().rev().find(|start| start.epoch == self.reign.epoch)
    }
}

impl Reign {
    /// The next epoch of the same generation.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { generation: self.generation, epoch: self.epoch.next() }
    }
}
