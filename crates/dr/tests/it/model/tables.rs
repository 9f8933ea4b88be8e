//! Every part of a state and every step of a part, once each.

use super::history::{Facts, History};
use super::pool::{Id, Map, Pool};
use super::seat::{Aim, Seat, Told};
use super::space::{ACCEPTORS, Bounds, Delays, EAST, Packet, Seen, State, Step, WEST, now};
use super::voter::Voter;
use base::{BootTime, ChangeId, Counter, MemberId};
use dr::{Ballot, Change, Holder, Message, Refusal, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The steps of one part: computed once.
#[derive(Clone, Default)]
pub struct Done {
    pub next: Id,
    pub said: Arc<[Id]>,
    votes: Vec<(Ballot, MemberId)>,
    /// The counter of the region's present ballot.
    pub begun: u8,
    proposed: Vec<(Ballot, Value)>,
    reported: Option<(Ballot, Value)>,
}

#[derive(Clone, Copy)]
struct SeatFacts {
    me: Holder,
    restarted: bool,
    /// L2: until when it acts, if it acts at all.
    acts_until: Option<BootTime>,
    aims: u8,
    listed: bool,
}

#[derive(Clone, Copy)]
pub enum To {
    Voter(u8),
    Seat(u8),
}

#[derive(Default)]
pub struct Tables {
    voters: Pool<Voter>,
    seats: Pool<Seat>,
    packets: Pool<Packet>,
    nets: Pool<Vec<Id>>,
    histories: Pool<History>,
    news: Pool<(Holder, u8, Change)>,
    changes: BTreeMap<ChangeId, Change>,
    routes: Vec<To>,
    facts: Vec<Facts>,
    seat_facts: Vec<SeatFacts>,
    voter_facts: Vec<[bool; 2]>,
    /// Whether answers are on their way.
    answers: Vec<bool>,
    lease_refused: Vec<bool>,
    grants: Vec<bool>,
    outruns: Vec<bool>,
    steps: Vec<Done>,
    voter_steps: Map<(Id, u64), u32>,
    seat_steps: Map<(Id, u64), u32>,
    history_steps: Map<(Id, u32), Id>,
    pub first: Option<State>,
    pub first_ballot: Ballot,
    /// When states are no longer followed.
    pub until: Option<Instant>,
    pub ever: Seen,
    /// The depth of the first state that was not followed for want of time.
    pub stopped_at: Option<u8>,
}

impl Tables {
    pub fn voter(&mut self, voter: Voter) -> Id {
        let facts = [voter.early, voter.promised_before_restart()];
        let id = self.voters.intern(voter);
        if self.voter_facts.len() < self.voters.len() {
            self.voter_facts.push(facts);
        }
        id
    }

    pub fn seat(&mut self, seat: Seat) -> Id {
        let id = self.seats.intern(seat);
        if self.seat_facts.len() < self.seats.len() {
            let seat = self.seats.get(id);
            self.seat_facts.push(SeatFacts {
                me: seat.me,
                restarted: seat.restarts > 0,
                acts_until: seat.acts_until(),
                aims: u8::try_from(seat.aims().len()).expect("a handful"),
                listed: seat.listed(),
            });
        }
        id
    }

    fn packet(&mut self, packet: Packet) -> Id {
        let to = packet.to.get();
        let region = match &packet.message {
            Message::Prepare(_) | Message::Accept(_) | Message::Renew(_) => None,
            _ => Some(u8::from(to == WEST)),
        };
        let lease = match &packet.message {
            Message::Refused(it) => matches!(it.why, Refusal::Lease { .. }),
            _ => false,
        };
        let outruns = matches!(&packet.message, Message::Refused(it) if matches!(it.why, Refusal::Promised(_)));
        let grants = matches!(&packet.message, Message::Grant(it) if it.granted);
        let id = self.packets.intern(packet);
        if self.routes.len() < self.packets.len() {
            let voter = ACCEPTORS.iter().position(|acceptor| *acceptor == to);
            let voter = u8::try_from(voter.unwrap_or_default()).expect("one of three");
            self.routes.push(region.map_or(To::Voter(voter), To::Seat));
            self.lease_refused.push(lease);
            self.grants.push(grants);
            self.outruns.push(outruns);
        }
        id
    }

    pub fn history(&mut self, history: History) -> Id {
        let id = self.histories.intern(history);
        if self.facts.len() < self.histories.len() {
            let facts = self.histories.get(id).facts(&self.changes);
            self.facts.push(facts);
        }
        id
    }

    pub fn voter_step(&mut self, bounds: &Bounds, clock: u8, voter: Id, step: Step) -> u32 {
        let key = (voter, code(clock, 0, step));
        if let Some(step) = self.voter_steps.get(&key) {
            return *step;
        }
        let mut it = Voter::clone(self.voters.get(voter));
        let said = match step {
            Step::Deliver(packet, _) => {
                let packet = Packet::clone(self.packets.get(packet));
                it.receive(clock, packet.from, packet.message, bounds.slow)
            }
            Step::Persist(..) => it.persist(clock),
            _ => it.restart(clock, bounds.bugs),
        };
        let me = it.me;
        let done = Done {
            next: self.voter(it),
            said: said.packets.into_iter().map(|packet| self.packet(packet)).collect(),
            votes: said.votes.into_iter().map(|ballot| (ballot, me)).collect(),
            ..Done::default()
        };
        let id = self.keep(done);
        self.voter_steps.insert(key, id);
        id
    }

    fn keep(&mut self, done: Done) -> u32 {
        self.steps.push(done);
        u32::try_from(self.steps.len() - 1).expect("fewer steps than that fit in memory")
    }

    pub fn seat_step(&mut self, bounds: &Bounds, state: &State, seat: Id, step: Step) -> u32 {
        let key = (seat, code(state.clock, state.top, step));
        if let Some(step) = self.seat_steps.get(&key) {
            return *step;
        }
        let mut it = Seat::clone(self.seats.get(seat));
        let told = match step {
            Step::Deliver(packet, _) => {
                let packet = Packet::clone(self.packets.get(packet));
                it.receive(state.clock, packet.from, packet.message)
            }
            Step::Renew(_, voter, _) => it.renew(state.clock, acceptor(voter)),
            Step::Begin(_, aim) => {
                let aim = it.aims().into_iter().nth(usize::from(aim)).expect("counted");
                let id = match &aim {
                    Aim::New(change) => self.mint(&mut it, change),
                    _ => ChangeId::default(),
                };
                let top = Counter::new(u64::from(state.top));
                it.begin(aim, Ballot { counter: top, ..Ballot::default() }, id)
            }
            _ => {
                it.restart(self.first_ballot, bounds.bugs);
                Told::default()
            }
        };
        let proposed = told.packets.iter().filter_map(|packet| match &packet.message {
            Message::Accept(it) => Some((it.ballot, it.value.clone())),
            _ => None,
        });
        let mut proposed: Vec<(Ballot, Value)> = proposed.collect();
        proposed.dedup();
        let done = Done {
            begun: it.ballot().map_or(0, |it| u8::try_from(it.counter.get()).expect("a handful")),
            next: self.seat(it),
            proposed,
            reported: told.reported,
            said: told.packets.into_iter().map(|packet| self.packet(packet)).collect(),
            ..Done::default()
        };
        let id = self.keep(done);
        self.seat_steps.insert(key, id);
        id
    }

    fn mint(&mut self, seat: &mut Seat, change: &Change) -> ChangeId {
        let number = seat.mint();
        let id =
            ChangeId::new(1000 + u128::from(self.news.intern((seat.me, number, change.clone()))));
        self.changes.insert(id, change.clone());
        id
    }

    /// What the step adds to what was ever proposed and voted.
    pub fn remember(&mut self, history: Id, step: u32) -> Id {
        let done = &self.steps[step as usize];
        if done.votes.is_empty() && done.proposed.is_empty() && done.reported.is_none() {
            return history;
        }
        if let Some(next) = self.history_steps.get(&(history, step)) {
            return *next;
        }
        let done = &self.steps[step as usize];
        let mut it = History::clone(self.histories.get(history));
        for (ballot, value) in &done.proposed {
            it.propose(*ballot, value);
        }
        for (ballot, by) in &done.votes {
            it.vote(*ballot, *by);
        }
        if let Some((ballot, value)) = &done.reported {
            it.report(*ballot, value);
        }
        let next = self.history(it);
        self.history_steps.insert((history, step), next);
        next
    }

    /// What is on its way after a step, less what nobody would listen to any more.
    pub fn carry(&mut self, state: &State, sent: &[Id], turned: [bool; 2]) -> Id {
        let (before, answers) = (self.nets.get(state.net), self.answers[state.net as usize]);
        if sent.is_empty() && !answers {
            return state.net;
        }
        let heard = |packet: &Id, turned: [bool; 2]| match self.route(*packet) {
            To::Voter(_) => true,
            To::Seat(seat) => !turned[usize::from(seat)] || !self.deaf(state, seat, *packet),
        };
        let mut net = Vec::with_capacity(before.len() + sent.len());
        net.extend(before.iter().copied().filter(|packet| heard(packet, turned)));
        for packet in sent.iter().copied().filter(|packet| heard(packet, [true; 2])) {
            if let Err(at) = net.binary_search(&packet) {
                net.insert(at, packet);
            }
        }
        if net == **before { state.net } else { self.net(net) }
    }

    pub fn net(&mut self, net: Vec<Id>) -> Id {
        let to_seats = |packet: &Id| matches!(self.route(*packet), To::Seat(_));
        let answers = net.iter().any(to_seats);
        let id = self.nets.intern(net);
        if self.answers.len() < self.nets.len() {
            self.answers.push(answers);
        }
        id
    }

    pub fn deaf(&self, state: &State, seat: u8, packet: Id) -> bool {
        self.seats.get(state.seats[usize::from(seat)]).deaf_to(self.packets.get(packet))
    }

    pub fn is_late(&self, delays: Delays, packet: Id) -> bool {
        delays.answer_is_late(self.packets.get(packet))
    }

    pub fn on_its_way(&self, state: &State) -> &[Id] {
        self.nets.get(state.net)
    }

    pub fn packet_named(&self, packet: Id) -> &Packet {
        self.packets.get(packet)
    }

    pub fn nothing_on_its_way(&mut self) -> Id {
        self.net(Vec::new())
    }

    pub fn route(&self, packet: Id) -> To {
        self.routes[packet as usize]
    }

    pub fn done(&self, step: u32) -> &Done {
        &self.steps[step as usize]
    }

    pub fn outruns(&self, packet: Id) -> bool {
        self.outruns[packet as usize]
    }

    pub fn refuses_for_lease(&self, packet: Id) -> bool {
        self.lease_refused[packet as usize]
    }

    pub fn tells_nothing(&self, packet: Id) -> bool {
        matches!(&self.packets.get(packet).message, Message::Grant(it) if it.told.is_empty())
    }

    pub fn grants(&self, packet: Id) -> bool {
        self.grants[packet as usize]
    }

    pub fn writes(&self, state: &State, voter: u8) -> bool {
        !self.voters.get(state.voters[usize::from(voter)]).unwritten.is_empty()
    }

    pub fn listed(&self, state: &State, seat: u8) -> bool {
        self.seat_facts[state.seats[usize::from(seat)] as usize].listed
    }

    pub fn aims(&self, state: &State, seat: u8) -> u8 {
        self.seat_facts[state.seats[usize::from(seat)] as usize].aims
    }

    pub fn seen(&self, state: &State) -> Seen {
        let at = now(state.clock).boot;
        let seats = state.seats.map(|seat| self.seat_facts[seat as usize]);
        let acts = seats.map(|seat| seat.acts_until.is_some_and(|until| until > at));
        let facts = &self.facts[state.history as usize];
        let newest = facts.newest;
        let superseded = |at: usize| acts[at] && newest != seats[at].me;
        let east = newest.member.get() == EAST;
        let raised = east && newest == seats[0].me && state.reboots > 0;
        let mut seen = Seen::default();
        seen.set(Seen::TWO_ACT, acts == [true, true]);
        seen.set(Seen::ACTS_SUPERSEDED, superseded(0) || superseded(1));
        seen.set(Seen::TWO_VALUES, !facts.one_value);
        seen.set(Seen::CHAIN_BROKEN, !facts.one_chain);
        seen.set(Seen::EAST_ACTS, acts[0]);
        seen.set(Seen::EAST_ACTS_AGAIN, acts[0] && state.clock > 0);
        seen.set(Seen::WEST_ACTS, acts[1]);
        seen.set(Seen::WEST_ACTS_AFTER_EAST, acts[1] && seats[0].acts_until.is_some());
        seen.set(Seen::EAST_RAISED, raised && seats[0].restarted);
        seen.set(Seen::PROMOTED, !east);
        seen.set(Seen::COMPLETED, facts.completed);
        for [early, outlives] in state.voters.map(|voter| self.voter_facts[voter as usize]) {
            seen.set(Seen::SAID_EARLY, early);
            seen.set(Seen::PROMISE_OUTLIVES, outlives);
        }
        seen
    }
}

fn code(clock: u8, top: u8, step: Step) -> u64 {
    let (kind, what) = match step {
        Step::Tick => (0, 0),
        Step::Deliver(packet, _) => (1, packet),
        Step::Persist(..) => (2, 0),
        Step::Restart(_) => (3, 0),
        Step::Reboot(_) => (4, 0),
        Step::Begin(_, aim) => (6 + u64::from(top), u32::from(aim)),
        Step::Renew(_, voter, _) => (255, u32::from(voter)),
    };
    u64::from(clock) << 56 | kind << 40 | u64::from(what)
}

fn acceptor(voter: u8) -> MemberId {
    MemberId::new(ACCEPTORS[usize::from(voter)])
}
