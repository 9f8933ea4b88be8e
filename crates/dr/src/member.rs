//! One member: acceptor, lease grantor, and for a region its leases and accounts, behind one step.

use crate::{Action, Bugs, Event, MemberRecord, Now, Peer, Record, Timing, View};
use base::{AccountName, BootId, Counter, Generation, Rng, Span, Stamp};

/// What a member is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The generation of the cluster: 1 until a sole survivor raised it.
    pub generation: Generation,
    /// This member.
    pub me: Peer,
    /// All members of `init` and those that joined since, this one included.
    pub members: Vec<Peer>,
    /// Lease timing.
    pub timing: Timing,
    /// How long a start waits for the secondary's tail (E1). Default 3 s.
    pub tail_wait: Span,
    /// How long a switchover may drain before it is given up. Default 10 s.
    pub drain_wait: Span,
    /// Rules taken out; always [`Bugs::NONE`] outside tests.
    pub bugs: Bugs,
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new(me: Peer, members: Vec<Peer>, timing: Timing) -> Self {
        Self {
            generation: Generation::new(1),
            me,
            members,
            timing,
            tail_wait: Span::from_secs(3),
            drain_wait: Span::from_secs(10),
            bugs: Bugs::NONE,
        }
    }
}

/// One member of the cluster. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Member {
    config: Config,
}

impl Member {
    /// What `init` keeps for a member whose id was minted just now: it has granted nothing to
    /// anybody, so its first start need not wait as if it had granted for `calm` (L5).
    #[must_use]
    pub fn first_record(timing: Timing) -> Record {
        Record::Member(MemberRecord {
            starts: Counter::ZERO,
            longest_lease: Some(timing.lease()),
            ceiling: Stamp::ZERO,
        })
    }

    /// A process start: `boot` is fresh, `records` are all that were persisted.
    pub fn start(
        config: Config,
        boot: BootId,
        records: Vec<Record>,
        now: Now,
        rng: &mut dyn Rng,
    ) -> (Self, Vec<Action>) {
        let _ = (boot, records, now, rng);
        (Self { config }, Vec::new())
    }

    /// One turn.
    pub fn step(&mut self, now: Now, event: Event, rng: &mut dyn Rng) -> Vec<Action> {
        let _ = (now, event, rng, &self.config);
        Vec::new()
    }

    /// What this member knows of an account.
    #[must_use]
    pub fn view(&self, account: &AccountName) -> Option<View> {
        let _ = account;
        None
    }

    /// The accounts this member knows of.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        std::iter::empty()
    }
}
