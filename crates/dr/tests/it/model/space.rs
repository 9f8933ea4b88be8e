//! The state space: what may happen next, and what must never be.

use super::first::first;
use super::pool::Id;
use super::tables::{Tables, To};
use super::turn::Turn;
use super::voter::TICK;
use base::{AccountName, BootTime, MemberId, Span, Stamp};
use dr::{Bugs, Holder, Message};
use stateright::{Model, Property};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

pub const ACCEPTORS: [u128; 3] = [1, 2, 3];
/// Not acceptors themselves, so that the three are alike: a region and its acceptor restart apart.
pub const EAST: u128 = 11;
pub const WEST: u128 = 12;

/// How much of each thing may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs begun, by both regions together, after the value they start from.
    pub ballots: u8,
    /// Ticks of the clock, each as long as an acceptor counts a grant.
    pub ticks: u8,
    /// Renewals of each region, each at one acceptor.
    pub renewals: u8,
    pub acceptor_restarts: u8,
    pub region_restarts: u8,
    /// Whether an acceptor's write is a step of its own, lost in a restart.
    pub slow: bool,
    /// Whether an acceptor may have granted what its region never hears of.
    pub grants_lost: bool,
    pub delays: Delays,
    pub bugs: Bugs,
}

/// What may be late. Requests of the register always may, and come more than once; every answer
/// may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delays {
    /// Only they. An answer that comes comes at once: a proposer takes answers in any order and
    /// only sends in return, and what it sends may be late, so what a late answer brings about
    /// comes about without it. A renewal and its answer are one step.
    Requests,
    /// Renewals and grants too.
    Leases,
    /// Every answer too.
    Everything,
}

impl Delays {
    /// What may become of an answer. One that may come at any time need not also be lost.
    fn fates(self) -> &'static [Lost] {
        if self == Self::Everything { &[false] } else { &[false, true] }
    }

    pub fn answer_is_late(self, packet: &Packet) -> bool {
        match self {
            Self::Requests => false,
            Self::Leases => matches!(packet.message, Message::Grant(_)),
            Self::Everything => true,
        }
    }
}

/// What is on its way, for ever: it may come late, more than once, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    pub from: Holder,
    pub to: MemberId,
    pub to_boot: Option<base::BootId>,
    pub message: Message,
}

pub fn account() -> AccountName {
    crate::world::account()
}

pub fn now(clock: u8) -> dr::Now {
    let since = Span::from_us(TICK.us() * u64::from(clock));
    dr::Now { boot: BootTime::ZERO + Span::from_secs(60) + since, wall: Stamp::ZERO }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Tick,
    /// A message comes; its answer may be lost.
    Deliver(Id, Lost),
    /// The oldest write of an acceptor becomes durable; what it then says may be lost.
    Persist(u8, Lost),
    /// A new process of an acceptor.
    Restart(u8),
    /// A new process of a region.
    Reboot(u8),
    /// A region begins a run, above the highest ballot that there is: it may have heard of it (R6).
    Begin(u8, u8),
    /// A region renews at an acceptor.
    Renew(u8, u8, Lost),
}

/// Whether answers are lost.
pub type Lost = bool;

#[derive(Clone, Copy, Debug)]
pub struct State {
    pub voters: [Id; 3],
    pub seats: [Id; 2],
    pub net: Id,
    pub history: Id,
    pub clock: u8,
    pub begun: u8,
    pub renewed: [u8; 2],
    /// The highest ballot counter begun.
    pub top: u8,
    pub restarts: u8,
    pub reboots: u8,
    /// The acceptors are alike: those that nothing has happened to yet are taken in order.
    pub active: u8,
    pub depth: u8,
    pub seen: Seen,
    /// What no state before this one showed.
    pub new: Seen,
}

impl State {
    fn key(&self) -> ([Id; 7], [u8; 8]) {
        let [a, b, c] = self.voters;
        let [east, west] = self.seats;
        let renewed = self.renewed;
        let small = [
            self.clock,
            self.begun,
            self.top,
            self.restarts,
            self.reboots,
            self.active,
            renewed[0],
            renewed[1],
        ];
        ([a, b, c, east, west, self.net, self.history], small)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for State {}
impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (ids, small) = self.key();
        for pair in ids.chunks(2) {
            let high = u64::from(*pair.get(1).unwrap_or(&0)) << 32;
            state.write_u64(high | u64::from(pair[0]));
        }
        state.write_u64(u64::from_le_bytes(small));
    }
}

/// What the properties look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen(u16);

impl Seen {
    pub const TWO_ACT: u16 = 1;
    pub const ACTS_SUPERSEDED: u16 = 1 << 1;
    pub const TWO_VALUES: u16 = 1 << 2;
    pub const CHAIN_BROKEN: u16 = 1 << 3;
    pub const SAID_EARLY: u16 = 1 << 4;
    pub const EAST_ACTS: u16 = 1 << 5;
    pub const EAST_ACTS_AGAIN: u16 = 1 << 6;
    pub const WEST_ACTS: u16 = 1 << 7;
    pub const WEST_ACTS_AFTER_EAST: u16 = 1 << 8;
    pub const EAST_RAISED: u16 = 1 << 9;
    pub const COMPLETED: u16 = 1 << 10;
    pub const LEASE_REFUSED: u16 = 1 << 11;
    pub const PROMISE_OUTLIVES: u16 = 1 << 12;
    pub const PROMOTED: u16 = 1 << 13;

    pub fn take_new(&mut self, seen: Self) -> Self {
        let new = Self(seen.0 & !self.0);
        self.0 |= seen.0;
        new
    }
    pub const fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
    pub fn set(&mut self, flag: u16, on: bool) {
        if on {
            self.0 |= flag;
        }
    }
}

pub struct Space {
    pub bounds: Bounds,
    tables: Mutex<Tables>,
}

impl Space {
    /// Follows states until then.
    pub fn new(bounds: Bounds, until: Option<Instant>) -> Self {
        let mut tables = Tables::default();
        tables.until = until;
        let first = first(&mut tables, bounds.bugs);
        tables.first = Some(first);
        Self { bounds, tables: Mutex::new(tables) }
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no step panics")
    }

    /// That the model gets to where something could go wrong.
    fn sometimes(&self) -> Vec<Property<Self>> {
        let mut all = self.sometimes_leased();
        all.extend(self.sometimes_restarted());
        all.push(Property::sometimes("west is chosen primary", |_, it: &State| {
            it.new.has(Seen::PROMOTED)
        }));
        all.push(Property::sometimes("a change is completed by another", |_, it: &State| {
            it.new.has(Seen::COMPLETED)
        }));
        all
    }

    fn sometimes_leased(&self) -> Vec<Property<Self>> {
        if self.bounds.renewals == 0 {
            return Vec::new();
        }
        vec![
            Property::sometimes("east acts", |_, it: &State| it.new.has(Seen::EAST_ACTS)),
            Property::sometimes("east acts after a tick", |_, it: &State| {
                it.new.has(Seen::EAST_ACTS_AGAIN)
            }),
            Property::sometimes("west acts", |_, it: &State| it.new.has(Seen::WEST_ACTS)),
            Property::sometimes("west acts, and east believes in its term", |_, it: &State| {
                it.new.has(Seen::WEST_ACTS_AFTER_EAST)
            }),
        ]
    }

    fn sometimes_restarted(&self) -> Vec<Property<Self>> {
        let mut all = Vec::new();
        if self.bounds.region_restarts > 0 {
            all.push(Property::sometimes("a new process of east is primary", |_, it: &State| {
                it.new.has(Seen::EAST_RAISED)
            }));
        }
        if self.bounds.acceptor_restarts > 0 {
            all.push(Property::sometimes("a promise outlives a restart", |_, it: &State| {
                it.new.has(Seen::PROMISE_OUTLIVES)
            }));
        }
        all
    }

    pub fn shows_a_refusal_for_a_lease(&self) -> bool {
        self.bounds.renewals == 0 || self.tables().ever.has(Seen::LEASE_REFUSED)
    }

    /// What a step is, in words.
    pub fn describe(&self, step: Step) -> String {
        match step {
            Step::Deliver(packet, lost) => {
                format!("lost {lost}: {:?}", self.tables().packet_named(packet))
            }
            other => format!("{other:?}"),
        }
    }
}

impl Model for Space {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        self.tables().first.into_iter().collect()
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let bounds = &self.bounds;
        let mut tables = self.tables();
        if tables.until.is_some_and(is_past) {
            tables.stopped_at.get_or_insert(state.depth);
            return;
        }
        if state.clock < bounds.ticks {
            steps.push(Step::Tick);
        }
        // Those that nothing has happened to are alike: the first of them stands for all.
        let may = |voter: u8| voter <= state.active;
        for packet in tables.on_its_way(state) {
            match tables.route(*packet) {
                To::Voter(voter) if may(voter) => {
                    let fates = bounds.delays.fates();
                    steps.extend(fates.iter().map(|lost| Step::Deliver(*packet, *lost)));
                }
                To::Voter(_) => {}
                To::Seat(_) => steps.push(Step::Deliver(*packet, false)),
            }
        }
        for voter in (0..3).filter(|voter| may(*voter)) {
            if state.restarts < bounds.acceptor_restarts {
                steps.push(Step::Restart(voter));
            }
            if tables.writes(state, voter) {
                steps.extend([false, true].map(|lost| Step::Persist(voter, lost)));
            }
        }
        for seat in 0..2 {
            if state.reboots < bounds.region_restarts {
                steps.push(Step::Reboot(seat));
            }
            if state.renewed[usize::from(seat)] < bounds.renewals && tables.listed(state, seat) {
                for voter in (0..3).filter(|voter| may(*voter)) {
                    let fates = [false, true].into_iter().take(1 + usize::from(bounds.grants_lost));
                    steps.extend(fates.map(|lost| Step::Renew(seat, voter, lost)));
                }
            }
            if state.begun < bounds.ballots {
                for aim in 0..tables.aims(state, seat) {
                    steps.push(Step::Begin(seat, aim));
                }
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut tables = self.tables();
        Turn::new(&self.bounds, &mut tables, *state).take(step).end(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always("no ballot carries two values", |_, state: &State| {
                !state.seen.has(Seen::TWO_VALUES)
            }),
            Property::always("a chosen change is never lost", |_, state: &State| {
                !state.seen.has(Seen::CHAIN_BROKEN)
            }),
            Property::always("what is answered is durable", |_, state: &State| {
                !state.seen.has(Seen::SAID_EARLY)
            }),
            Property::always("two regions never act at one time", |_, state: &State| {
                !state.seen.has(Seen::TWO_ACT)
            }),
            Property::always("who acts is the chosen primary", |_, state: &State| {
                !state.seen.has(Seen::ACTS_SUPERSEDED)
            }),
        ];
        all.extend(self.sometimes());
        all
    }
}

#[expect(clippy::disallowed_methods, reason = "bounds a test; no step sees it")]
fn is_past(until: Instant) -> bool {
    Instant::now() >= until
}
