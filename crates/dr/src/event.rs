//! What a driver tells the machine.

use crate::{Envelope, Error, Mode, Policies};
use base::{AccountName, BootTime, Epoch, MemberId, MemberName, Position, Stamp};

/// Both clocks, read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// The boot-time clock: all leases and timers.
    pub boot: BootTime,
    /// The wall clock: only for the ceiling of stamps (L9).
    pub wall: Stamp,
}

/// A member as others know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its minted id.
    pub id: MemberId,
    /// What people call it.
    pub name: MemberName,
    /// What it is.
    pub kind: PeerKind,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// Holds a full copy, and votes.
    Region,
    /// Votes.
    Witness,
}

/// Names a thing to be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names an operator's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a question to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Query(pub u64);

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Only time passed.
    Tick,
    /// An authenticated message came.
    Received(Envelope),
    /// The record of that token, and every one before it, is durable.
    Persisted {
        /// From [`crate::Action::Persist`].
        token: Token,
    },
    /// A member joined the cluster: known from now on.
    Joined(Peer),
    /// The account's log in this region ends here, durably. Due once for each account right
    /// after the start; afterwards as a hint, whenever convenient.
    LogEnd {
        /// The account.
        account: AccountName,
        /// Its durable end.
        end: Position,
    },
    /// Answer to [`crate::Action::LookUp`].
    LookedUp {
        /// The account.
        account: AccountName,
        /// From the action.
        query: Query,
        /// The position of the commit asked for, if the log reaches it.
        found: Option<Position>,
        /// The log's durable end.
        end: Position,
    },
    /// Answer to [`crate::Action::StopAppends`]: nothing is in flight, and the end is durable.
    AppendsStopped {
        /// The account.
        account: AccountName,
        /// From the action.
        query: Query,
        /// The exact end.
        end: Position,
    },
    /// Answer to [`crate::Action::FetchTail`]: all that could be had is durable.
    TailFetched {
        /// The account.
        account: AccountName,
        /// From the action.
        query: Query,
        /// The log's durable end now.
        end: Position,
    },
    /// Answer to [`crate::Action::OpenEpoch`]: the opening commit is durable and visible.
    Opened {
        /// The account.
        account: AccountName,
        /// From the action.
        epoch: Epoch,
        /// The opening commit.
        position: Position,
    },
    /// Answer to [`crate::Action::OpenEpoch`]: the log does not end exactly there (E2).
    NotOpened {
        /// The account.
        account: AccountName,
        /// From the action.
        epoch: Epoch,
        /// Where it ends.
        end: Position,
    },
    /// Answer to [`crate::Action::Drain`]: nothing is in flight; all is durable here.
    Drained {
        /// The account.
        account: AccountName,
        /// From the action.
        epoch: Epoch,
        /// The exact end.
        end: Position,
    },
    /// Answer to [`crate::Action::Return`]: the tail is exported and cut.
    Returned {
        /// The account.
        account: AccountName,
        /// From the plan.
        epoch: Epoch,
        /// The end after the cut.
        end: Position,
    },
    /// At the primary: the secondary acknowledged this position (and hash) in this epoch (E3).
    SecondaryAcked {
        /// The account.
        account: AccountName,
        /// Who says so.
        from: MemberId,
        /// The epoch of the shipping session.
        epoch: Epoch,
        /// What it holds durably.
        position: Position,
    },
    /// At the primary: since when the oldest commit waits that is not known durable in the
    /// secondary. Due when it changes, at least every 100 ms while a commit waits.
    Lag {
        /// The account.
        account: AccountName,
        /// `None`: all is acknowledged.
        waiting_since: Option<BootTime>,
    },
    /// At the secondary: a batch of an epoch came that this region does not follow (E3).
    OtherEpochShipped {
        /// The account.
        account: AccountName,
        /// Its epoch.
        epoch: Epoch,
    },
    /// The account's committer (or with `None` the log's device) has had work and made no
    /// progress for L, or makes progress again (L8).
    Stuck {
        /// The account; `None`: the device.
        account: Option<AccountName>,
        /// Which of the two.
        stuck: bool,
    },
    /// An operator asks; answered by [`crate::Action::Reply`].
    Operator {
        /// To match the answer.
        request: RequestId,
        /// What is asked.
        request_for: Request,
    },
}

/// What an operator may ask of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Make a new account with this region as home and primary (R7). Its log must be empty.
    Create {
        /// Its name.
        account: AccountName,
        /// When a write is acknowledged.
        mode: Mode,
        /// The operator's choices.
        policies: Policies,
    },
    /// Turn the register of one into a register of these three, the other region becoming the
    /// secondary (R5). All three must be known members.
    Grow {
        /// The account.
        account: AccountName,
    },
    /// Hand the account to the secondary, losslessly (S1).
    Switchover {
        /// The account.
        account: AccountName,
        /// The next primary.
        to: MemberId,
        /// The epoch it replaces; `None`: whatever is.
        replaces: Option<Epoch>,
    },
    /// A switchover to the home region.
    Failback {
        /// The account.
        account: AccountName,
        /// The epoch it replaces; `None`: whatever is.
        replaces: Option<Epoch>,
    },
    /// Let a former primary return whose policy is to wait for this.
    Rejoin {
        /// The account.
        account: AccountName,
    },
    /// Promote a secondary that is not in sync (P5). Not offered yet.
    ForcedFailover {
        /// The account.
        account: AccountName,
    },
    /// Change the mode. Not offered yet.
    SetMode {
        /// The account.
        account: AccountName,
        /// The new one.
        mode: Mode,
    },
    /// Start a new cluster generation with two members gone. Not offered yet.
    SoleSurvivor,
}

/// What a request came to.
pub type Outcome = Result<String, Error>;

impl Event {
    /// The account it concerns.
    #[must_use]
    pub fn account(&self) -> Option<&AccountName> {
        match self {
            Self::LogEnd { account, .. }
            | Self::LookedUp { account, .. }
            | Self::AppendsStopped { account, .. }
            | Self::TailFetched { account, .. }
            | Self::Opened { account, .. }
            | Self::NotOpened { account, .. }
            | Self::Drained { account, .. }
            | Self::Returned { account, .. }
            | Self::SecondaryAcked { account, .. }
            | Self::Lag { account, .. }
            | Self::OtherEpochShipped { account, .. } => Some(account),
            Self::Stuck { account, .. } => account.as_ref(),
            Self::Operator { request_for, .. } => request_for.account(),
            Self::Tick | Self::Received(_) | Self::Persisted { .. } | Self::Joined(_) => None,
        }
    }
}

impl Request {
    /// The account it concerns; `None`: the cluster.
    #[must_use]
    pub fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Create { account, .. }
            | Self::Grow { account }
            | Self::Switchover { account, .. }
            | Self::Failback { account, .. }
            | Self::Rejoin { account }
            | Self::ForcedFailover { account }
            | Self::SetMode { account, .. } => Some(account),
            Self::SoleSurvivor => None,
        }
    }
}
