//! One step of the whole, made of steps of its parts.

use super::pool::Id;
use super::space::{Bounds, Delays, Lost, Seen, State, Step};
use super::tables::{Tables, To};
use std::sync::Arc;

pub struct Turn<'a> {
    bounds: &'a Bounds,
    tables: &'a mut Tables,
    state: State,
    /// What is on its way now and was not before.
    sent: Vec<Id>,
    /// The regions that may have become deaf to something.
    turned: [bool; 2],
}

impl<'a> Turn<'a> {
    pub fn new(bounds: &'a Bounds, tables: &'a mut Tables, state: State) -> Self {
        Self { bounds, tables, state, sent: Vec::new(), turned: [false; 2] }
    }

    pub fn take(mut self, step: Step) -> Self {
        match step {
            Step::Tick => self.state.clock += 1,
            Step::Deliver(packet, lost) => match self.tables.route(packet) {
                To::Voter(voter) => {
                    let said = self.voter(voter, step);
                    self.answers(&said, lost);
                }
                To::Seat(seat) => self.seat(seat, step),
            },
            Step::Persist(voter, lost) => {
                let said = self.voter(voter, step);
                self.answers(&said, lost);
            }
            Step::Restart(voter) => {
                self.state.restarts += 1;
                let said = self.voter(voter, step);
                self.answers(&said, false);
            }
            Step::Reboot(seat) => {
                self.state.reboots += 1;
                self.seat(seat, step);
            }
            Step::Begin(seat, ..) => {
                self.state.begun += 1;
                self.seat(seat, step);
            }
            Step::Renew(seat, voter, lost) => self.renew(seat, voter, lost),
        }
        self
    }

    /// The state that this led to, if it is another one.
    pub fn end(mut self, before: &State) -> Option<State> {
        self.state.net = self.tables.carry(&self.state, &self.sent, self.turned);
        if self.state == *before {
            return None;
        }
        self.state.depth += 1;
        self.state.seen = self.tables.seen(&self.state);
        self.state.new = self.tables.ever.take_new(self.state.seen);
        Some(self.state)
    }

    fn voter(&mut self, voter: u8, step: Step) -> Arc<[Id]> {
        let at = usize::from(voter);
        let before = self.state.voters[at];
        let done = self.tables.voter_step(self.bounds, self.state.clock, before, step);
        self.state.history = self.tables.remember(self.state.history, done);
        let done = self.tables.done(done);
        self.state.voters[at] = done.next;
        if done.next != before || !done.said.is_empty() {
            self.state.active = self.state.active.max(voter + 1);
        }
        Arc::clone(&done.said)
    }

    fn seat(&mut self, seat: u8, step: Step) {
        let said = self.seat_only(seat, step);
        self.sent.extend(said.iter());
    }

    fn seat_only(&mut self, seat: u8, step: Step) -> Arc<[Id]> {
        let at = usize::from(seat);
        let done = self.tables.seat_step(self.bounds, &self.state, self.state.seats[at], step);
        self.state.history = self.tables.remember(self.state.history, done);
        let done = self.tables.done(done);
        self.state.seats[at] = done.next;
        self.state.top = self.state.top.max(done.begun);
        self.turned[at] = true;
        Arc::clone(&done.said)
    }

    fn answers(&mut self, said: &[Id], lost: Lost) {
        for packet in said {
            if self.tables.refuses_for_lease(*packet) {
                self.tables.ever.set(Seen::LEASE_REFUSED, true);
            }
            if self.tables.is_late(self.bounds.delays, *packet) {
                self.sent.push(*packet);
            } else if !lost
                && !self.tables.outruns(*packet)
                && let To::Seat(seat) = self.tables.route(*packet)
                && !self.tables.deaf(&self.state, seat, *packet)
            {
                self.seat(seat, Step::Deliver(*packet, false));
            }
        }
    }

    /// L7: without a fresh nonce the first exchange gives one, and at once.
    fn renew(&mut self, seat: u8, voter: u8, lost: Lost) {
        let before = self.state;
        self.state.renewed[usize::from(seat)] += 1;
        // From here on this acceptor is not like those that nothing was sent to.
        self.state.active = self.state.active.max(voter + 1);
        for _ in 0..2 {
            let renewal = self.seat_only(seat, Step::Renew(seat, voter, false));
            let [renewal] = renewal[..] else { return };
            let at = self.state.voters[usize::from(voter)];
            let step = Step::Deliver(renewal, false);
            let grants = self.tables.voter_step(self.bounds, self.state.clock, at, step);
            let done = self.tables.done(grants);
            let granted = done.said.iter().any(|it| self.tables.grants(*it));
            let nothing_new = done.said.iter().all(|it| self.tables.tells_nothing(*it));
            if granted && nothing_new && done.next == at && !self.bounds.grants_lost {
                // Renewed already, at this time.
                self.state = before;
                return;
            }
            if granted && self.bounds.delays != Delays::Requests {
                self.sent.push(renewal);
                return;
            }
            let said = self.voter(voter, step);
            if granted {
                return self.answers(&said, lost);
            }
            for packet in said.iter() {
                self.seat(seat, Step::Deliver(*packet, false));
            }
        }
    }
}
