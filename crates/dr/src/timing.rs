//! Lease timing (PROTOCOL.md section 2). All spans are on the boot-time clock.

use base::Span;
use serde::{Deserialize, Serialize};

/// How far two clocks may run apart, in percent (ε).
const DRIFT_PERCENT: u64 = 1;

/// How long a lease is, and with it how fast a failover.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Timing {
    /// L = 2 s.
    Fast,
    /// L = 6 s.
    #[default]
    Standard,
    /// L = 20 s; also what an acceptor assumes that keeps no record of what it granted (L5).
    Calm,
}

impl Timing {
    /// L: what a renewal asks for.
    #[must_use]
    pub const fn lease(self) -> Span {
        match self {
            Self::Fast => Span::from_secs(2),
            Self::Standard => Span::from_secs(6),
            Self::Calm => Span::from_secs(20),
        }
    }
    /// How often a region renews at each acceptor: L/8.
    #[must_use]
    pub const fn renewal(self) -> Span {
        margin(self.lease())
    }
    /// How often a secondary asks the acceptors whether the primary still has grants: L/16.
    #[must_use]
    pub const fn watch(self) -> Span {
        Span::from_us(self.lease().us() / 16)
    }
    /// How long a phase of the register may wait for answers before it is begun again: L/8.
    #[must_use]
    pub const fn patience(self) -> Span {
        margin(self.lease())
    }
}

/// m: what a holder keeps back between its last check and the end of its grant: L/8 (L3).
#[must_use]
pub const fn margin(lease: Span) -> Span {
    Span::from_us(lease.us() / 8)
}

/// `L·(1−ε) − m`: how long after sending a renewal the holder may act on its grant (L3).
#[must_use]
pub const fn holder_span(lease: Span) -> Span {
    lease.shorter_by_percent(DRIFT_PERCENT).saturating_sub(margin(lease))
}

/// `L·(1+ε)`: how long after granting an acceptor counts a grant as live (L4, L5).
#[must_use]
pub const fn grantor_span(lease: Span) -> Span {
    lease.longer_by_percent(DRIFT_PERCENT)
}
