//! Planted bugs: each takes one rule out, so that a test can show that the rule is needed and a
//! simulator that its checkers see. Without the feature `planted` the set is always empty.

/// One rule taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// R1: one acceptor is enough.
    QuorumOfOne,
    /// R1: an acceptor starts without what it promised and accepted.
    AcceptorWithoutMemory,
    /// R1: a proposer skips phase 1.
    NoReadPhase,
    /// L1: a grant goes by the value being written, or by the durable one alone.
    L1NotDurable,
    /// L1: a region without a lease goes on naming the account in its renewals.
    L1KeepListed,
    /// L2: a grant counts by the holder's own word about the register, whatever the acceptor tells.
    L2OwnWord,
    /// L3: the lease is counted from the answer's arrival.
    LeaseFromReply,
    /// L3: no drift, no margin.
    L3NoMargin,
    /// L4: only what the proposer says that it takes is refused, not what it writes.
    L4ProposersView,
    /// L4: any release exempts.
    L4AnyRelease,
    /// L5: after a start an acceptor believes that it granted nothing.
    L5ForgetGrants,
    /// L6: a difference counts though one before it was lost.
    L6AnyDifference,
    /// L7: a renewal needs no nonce.
    L7NoNonce,
    /// L9: an epoch's stamps begin above the ceilings promised, though they may have risen since.
    L9PromisedCeiling,
    /// P3: a start or a read un-seals.
    P3FreeUnseal,
    /// S2: the signer goes on in the epoch it released when the handoff does not come.
    S2SignThenGoOn,
    /// Q1: divergence is looked for at the newest epoch's start only.
    Q1WrongDivergence,
    /// E2: an epoch opens at whatever end the log has.
    E2LooseEnd,
    /// E1: a process goes on in the epoch of the one before it.
    ContinueEpochAfterRestart,
    /// E5: a message or batch of a lower epoch is taken.
    StaleEpochAccepted,
    /// P2: promotion of a secondary that is not `in_sync`.
    PromoteWhileLagging,
    /// M2, R3: the bound is given up before `lagging` is chosen.
    M2RelaxFirst,
    /// R3: a proposal of `in_sync` with unknown outcome does not bind its proposer.
    R3ForgetProposal,
    /// E2, E4: after a start the unknown tail counts as fresh.
    E4FreshTail,
    /// M1: `in_sync` is recorded before the secondary acknowledged the opening commit.
    M1UnprovenInSync,
    /// P1: the secondary seals and proposes without asking whether the primary has grants.
    P1SealAtOnce,
    /// Q1: whether a log holds a position is told by comparing (epoch, seq), not by its hash.
    TuplePositions,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::QuorumOfOne,
        Self::AcceptorWithoutMemory,
        Self::NoReadPhase,
        Self::L1NotDurable,
        Self::L1KeepListed,
        Self::L2OwnWord,
        Self::LeaseFromReply,
        Self::L3NoMargin,
        Self::L4ProposersView,
        Self::L4AnyRelease,
        Self::L5ForgetGrants,
        Self::L6AnyDifference,
        Self::L7NoNonce,
        Self::L9PromisedCeiling,
        Self::P3FreeUnseal,
        Self::S2SignThenGoOn,
        Self::Q1WrongDivergence,
        Self::E2LooseEnd,
        Self::ContinueEpochAfterRestart,
        Self::StaleEpochAccepted,
        Self::PromoteWhileLagging,
        Self::M2RelaxFirst,
        Self::R3ForgetProposal,
        Self::E4FreshTail,
        Self::M1UnprovenInSync,
        Self::P1SealAtOnce,
        Self::TuplePositions,
    ];
}

/// The rules taken out of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bugs(#[cfg(feature = "planted")] u64);

impl Bugs {
    /// The protocol as written.
    pub const NONE: Self = Self(
        #[cfg(feature = "planted")]
        0,
    );

    /// Takes one rule out.
    #[cfg(feature = "planted")]
    #[must_use]
    pub const fn with(self, bug: Bug) -> Self {
        Self(self.0 | 1 << bug as u64)
    }
    /// Whether the rule is taken out; never without the feature `planted`.
    #[cfg(feature = "planted")]
    #[must_use]
    pub const fn has(self, bug: Bug) -> bool {
        self.0 & (1 << bug as u64) != 0
    }
    /// Whether the rule is taken out; never without the feature `planted`.
    #[cfg(not(feature = "planted"))]
    #[must_use]
    pub const fn has(self, _bug: Bug) -> bool {
        false
    }
}
