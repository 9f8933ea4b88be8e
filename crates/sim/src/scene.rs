//! What everybody shares: time, network, the ledger and the trace.

use crate::fault::{FaultKind, Planned};
use crate::packet::Packet;
use crate::{Agenda, Chance, Fate, Ledger, Moment, Network, Place, Trace};
use base::{Rng as _, Span};
use std::collections::BTreeMap;

/// How long a connection takes to send again what was lost.
const AGAIN: Span = Span::from_ms(200);

/// Something that happens at its time.
pub enum Happening {
    /// A message arrives.
    Arrive {
        /// Where.
        to: Place,
        /// From where.
        from: Place,
        /// What.
        packet: Packet,
    },
    /// Something of one process lifetime.
    Process {
        /// Whose.
        place: Place,
        /// Which lifetime; of an earlier one it is void.
        life: u64,
        /// What.
        what: Turn,
    },
    /// A process starts.
    Start(Place),
    /// A client wakes.
    Client(usize),
    /// A gateway looks at what it holds.
    Gateway(Place),
    /// A gateway asks how the regions stand.
    Probe(Place),
    /// A thing of the plan.
    Planned(Planned),
}

/// What comes to a process by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// The protocol's timer.
    Timer,
    /// Records up to this token are on the disk.
    Persisted(u64),
    /// The log's sync is done.
    Synced,
    /// A regular look at what waits.
    Look,
}

/// What happened in a run, counted.
#[derive(Clone, Default, Debug)]
pub struct Counts {
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Transitions of the protocol by name.
    pub transitions: BTreeMap<&'static str, u64>,
    /// Attempts that clients were told had failed or were unknown.
    pub disappointed: u64,
}

/// What everybody shares.
pub struct Scene {
    /// Time and what is to come.
    pub agenda: Agenda<Happening>,
    /// The links.
    pub network: Network,
    /// What was seen from outside.
    pub ledger: Ledger,
    /// The readable log.
    pub trace: Trace,
    /// Chance.
    pub chance: Chance,
    /// Counts.
    pub counts: Counts,
    /// When the latest piece of each connection arrives.
    streams: BTreeMap<(Place, Place), Moment>,
}

impl Scene {
    /// The beginning of a run.
    #[must_use]
    pub fn new(seed: u64, trace: Trace) -> Self {
        let mut chance = Chance::of_seed(seed);
        Self {
            agenda: Agenda::default(),
            network: Network::new(chance.split()),
            ledger: Ledger::default(),
            trace,
            chance,
            counts: Counts::default(),
            streams: BTreeMap::new(),
        }
    }
    /// True time.
    #[must_use]
    pub const fn now(&self) -> Moment {
        self.agenda.now()
    }
    /// Gives a message to the network.
    pub fn send(&mut self, from: Place, to: Place, packet: Packet) {
        let now = self.now();
        let fate = match self.network.send(from, to, now) {
            fate if !packet.is_stream() => fate,
            fate => self.in_order(from, to, fate),
        };
        self.trace.note(now, || {
            let lost = if fate == Fate::Lost { " (lost)" } else { "" };
            format!("{from:9} → {to:9} {packet:?}{lost}")
        });
        match fate {
            Fate::Lost => {}
            Fate::Once(at) => self.agenda.at(at, Happening::Arrive { to, from, packet }),
            Fate::Twice(one, two) => {
                self.agenda.at(one, Happening::Arrive { to, from, packet: packet.clone() });
                self.agenda.at(two, Happening::Arrive { to, from, packet });
            }
        }
    }
    /// On a connection nothing is lost by chance, only sent again and late; a cut loses it.
    fn in_order(&mut self, from: Place, to: Place, fate: Fate) -> Fate {
        let arrives = match fate {
            Fate::Lost if self.network.is_cut(from, to) => return Fate::Lost,
            Fate::Lost => self.now() + AGAIN,
            Fate::Once(at) | Fate::Twice(at, _) => at,
        };
        let latest = self.streams.entry((from, to)).or_default();
        *latest = arrives.max(*latest);
        Fate::Once(*latest)
    }

    /// Notes a line of somebody's.
    pub fn note(&mut self, place: Place, line: impl FnOnce() -> String) {
        let now = self.now();
        self.trace.note(now, || format!("{place:9} {}", line()));
    }
    /// Counts a transition of the protocol.
    pub fn count(&mut self, transition: &'static str) {
        *self.counts.transitions.entry(transition).or_default() += 1;
    }
    /// A span between two, by chance.
    pub fn span(&mut self, low: Span, high: Span) -> Span {
        let room = high.us().saturating_sub(low.us());
        Span::from_us(low.us() + self.chance.below(room + 1))
    }
}
