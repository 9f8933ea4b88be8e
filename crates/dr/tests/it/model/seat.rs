//! One region of the model: the real proposer and leaseholder, and what the region makes of them
//! (`dr::Region`, which is not public): it acts by a value that it saw chosen itself, and by grants
//! that cover it (L2).

use super::space::{Packet, account, now};
use base::{BootId, BootTime, ChangeId, MemberId, Position, Stamp};
use dr::{
    Ballot, Bugs, Change, Failure, Goal, Holder, Leaseholder, Message, Output, Proposer, Reign,
    SecondaryState, Timing, Value, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    pub me: Holder,
    pub proposer: Proposer,
    pub holder: Leaseholder,
    /// The newest value known chosen.
    pub known: Value,
    /// L2: the epoch of it that this process saw chosen itself.
    pub own: Option<Reign>,
    /// What was proposed and has no outcome yet (R3), under its one id.
    pending: Option<Goal>,
    /// The ballot and the goal of the present run.
    run: Option<(Ballot, Goal)>,
    /// R6: who refused for a lease while another's change was completed.
    exactly: Option<BTreeSet<MemberId>>,
    /// The number of the newest grant that came, from each acceptor.
    answered: BTreeMap<MemberId, u64>,
    pub restarts: u8,
    minted: u8,
}

/// What a step of a region brought about.
#[derive(Default)]
pub struct Told {
    pub packets: Vec<Packet>,
    /// A value reported as chosen, with its ballot.
    pub reported: Option<(Ballot, Value)>,
}

/// What a region may go for.
pub enum Aim {
    /// What it went for before, or a read.
    Goal(Goal),
    /// A read by exactly these (R6).
    Exactly(BTreeSet<MemberId>),
    /// A new change, which gets an id.
    New(Change),
}

impl Seat {
    /// A region that knows `known` by hearsay.
    pub fn new(member: MemberId, known: Value, bugs: Bugs) -> Self {
        let me = holder(member, 0);
        Self {
            me,
            proposer: Proposer::new(me, account(), bugs),
            holder: Leaseholder::new(me, Timing::Fast.lease(), bugs),
            known,
            own: None,
            pending: None,
            run: None,
            exactly: None,
            answered: BTreeMap::new(),
            restarts: 0,
            minted: 0,
        }
    }

    /// A new process: nothing is left but what its peers would tell it at once.
    pub fn restart(&mut self, first: Ballot, bugs: Bugs) {
        let restarts = self.restarts + 1;
        let me = holder(self.me.member, restarts);
        let minted = self.minted;
        *self = Self { me, restarts, minted, ..Self::new(me.member, self.known.clone(), bugs) };
        self.proposer = Proposer::new(me, account(), bugs);
        self.proposer.saw(first);
        self.holder = Leaseholder::new(me, Timing::Fast.lease(), bugs);
    }

    /// All it may begin now.
    pub fn aims(&self) -> Vec<Aim> {
        let mut aims = vec![Aim::Goal(Goal::Read)];
        aims.extend(self.pending.clone().map(Aim::Goal));
        aims.extend(self.exactly.clone().map(Aim::Exactly));
        let new = self.change().filter(|change| match &self.pending {
            Some(Goal::Change(_, pending)) => pending != change,
            _ => true,
        });
        aims.extend(new.map(Aim::New));
        aims
    }

    /// What its part in the known value lets it propose.
    fn change(&self) -> Option<Change> {
        let (by, value) = (self.me, &self.known);
        let record = |state| Change::Record { reign: value.reign, by, state };
        if value.primary == by {
            return Some(match value.secondary_state {
                SecondaryState::InSync => record(SecondaryState::Lagging),
                _ => record(SecondaryState::InSync),
            });
        }
        if value.primary.member == by.member {
            return Some(Change::Raise { was: value.reign, by, at: Position::ZERO, unsure: false });
        }
        let promotes = value.secondary_state == SecondaryState::InSync;
        promotes.then_some(Change::Promote {
            parent: value.version,
            sealed: value.reign,
            attempt: value.attempt,
            by,
            at: Position::ZERO,
        })
    }

    /// The number of the next change this region makes, over all its processes.
    pub fn mint(&mut self) -> u8 {
        self.minted += 1;
        self.minted
    }

    /// Begins a run; `saw` is a ballot that it heard of, `id` that of a new change.
    pub fn begin(&mut self, aim: Aim, saw: Ballot, id: ChangeId) -> Told {
        self.proposer.saw(saw);
        let all = self.known.acceptors.all();
        let (goal, asked, exactly) = match aim {
            Aim::Goal(goal) => (goal, all, false),
            Aim::Exactly(set) => (Goal::Read, set, true),
            Aim::New(change) => (Goal::Change(id, change), all, false),
        };
        self.exactly = None;
        if matches!(goal, Goal::Change(..)) {
            self.pending = Some(goal.clone());
        }
        let (outputs, verdict) =
            self.proposer.begin(goal.clone(), asked, exactly, Some(&self.known));
        let ballot = outputs.iter().find_map(|output| match output {
            Output::Send { message: Message::Prepare(it), .. } => Some(it.ballot),
            Output::Send { message: Message::Accept(it), .. } => Some(it.ballot),
            _ => None,
        });
        self.run = ballot.map(|ballot| (ballot, goal));
        self.told(outputs, verdict)
    }

    /// The ballot of the present run.
    pub fn ballot(&self) -> Option<Ballot> {
        self.run.as_ref().map(|(ballot, _)| *ballot)
    }

    /// L1: whether renewals name the account.
    pub fn listed(&self) -> bool {
        self.known.primary == self.me && self.own.is_some()
    }

    /// Renews at an acceptor.
    pub fn renew(&mut self, clock: u8, to: MemberId) -> Told {
        let accounts = if self.listed() { vec![account()] } else { Vec::new() };
        let message = self.holder.renew(now(clock).boot, to, accounts, Stamp::ZERO);
        let renewal = Packet { from: self.me, to, to_boot: None, message };
        Told { packets: vec![renewal], reported: None }
    }

    pub fn receive(&mut self, clock: u8, from: Holder, message: Message) -> Told {
        if let Message::Grant(grant) = message {
            self.answered.insert(from.member, grant.number);
            self.holder.receive(now(clock).boot, from.member, grant);
            return Told::default();
        }
        let (outputs, verdict) = self.proposer.receive(from.member, message);
        self.told(outputs, verdict)
    }

    fn told(&mut self, outputs: Vec<Output>, verdict: Option<Verdict>) -> Told {
        let packet = |output| match output {
            Output::Send { to, to_boot, message } => {
                Some(Packet { from: self.me, to, to_boot, message })
            }
            Output::Persist { .. } => None,
        };
        let packets = outputs.into_iter().filter_map(packet).collect();
        let reported = verdict.and_then(|verdict| self.judge(verdict));
        Told { packets, reported }
    }

    fn judge(&mut self, verdict: Verdict) -> Option<(Ballot, Value)> {
        let (_, goal) = self.run.take()?;
        match verdict {
            Verdict::Chosen { value, ballot, .. } => {
                if matches!(goal, Goal::Change(..)) {
                    self.pending = None;
                }
                let rank = |value: &Value| (value.reign.generation, value.version.counter);
                if rank(&value) >= rank(&self.known) {
                    if value.primary == self.me {
                        self.own = Some(value.reign);
                    }
                    self.known = value.clone();
                }
                Some((ballot, value))
            }
            Verdict::Failed(Failure::Lease { by, completing: true, .. }) => {
                self.exactly = Some(by);
                None
            }
            Verdict::Failed(_) | Verdict::Nothing => None,
        }
    }

    /// L2: until when this region acts, if it acts at all.
    pub fn acts_until(&self) -> Option<BootTime> {
        let named = self.known.primary == self.me && self.own == Some(self.known.reign);
        if !named {
            return None;
        }
        self.holder.valid_until(&account(), self.known.reign, &self.known.acceptors)
    }

    /// Whether an answer can never matter to this process any more: it is for an earlier one (E5),
    /// for a run that is over, or late.
    pub fn deaf_to(&self, packet: &Packet) -> bool {
        if packet.to_boot != Some(self.me.boot) {
            return true;
        }
        let over = |ballot| self.run.as_ref().is_none_or(|(run, _)| *run != ballot);
        match &packet.message {
            Message::Promise(it) => over(it.ballot) || self.proposer.proposed(),
            Message::Accepted(it) => over(it.ballot),
            // What it learns of ballots from it, it may learn by `saw`.
            Message::Refused(it) => over(it.ballot),
            Message::Grant(it) => {
                self.answered.get(&packet.from.member).is_some_and(|last| it.number <= *last)
            }
            _ => true,
        }
    }
}

fn holder(member: MemberId, restarts: u8) -> Holder {
    Holder { member, boot: BootId::new(member.get() * 100 + u128::from(restarts)) }
}
