//! One acceptor of the model: the real one, with its disk.

use super::space::{Packet, now};
use base::{BootId, MemberId, Span};
use dr::{
    Acceptor, Ballot, Bugs, Holder, Member, Message, Output, Record, RecordKey, Timing, Token,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Voter {
    pub acceptor: Acceptor,
    pub me: MemberId,
    disk: BTreeMap<RecordKey, Record>,
    /// Writes not yet durable, oldest first; a restart loses them.
    pub unwritten: Vec<(Token, Record)>,
    /// Whether a request waits for the write. A second one would be taken after it just the same.
    queued: bool,
    pub restarts: u8,
    /// It said what its disk did not hold.
    pub early: bool,
}

/// What a step of an acceptor brought about.
#[derive(Default)]
pub struct Said {
    pub packets: Vec<Packet>,
    /// The ballots of the values made durable.
    pub votes: Vec<Ballot>,
}

impl Voter {
    /// Started so long ago that no grant of an earlier process can be live (L5).
    pub fn new(me: MemberId, bugs: Bugs) -> Self {
        let disk = BTreeMap::from([(RecordKey::Member, Member::first_record(Timing::Fast))]);
        let mut voter = Self {
            acceptor: Acceptor::start(holder(me, 0), &[], now(0), bugs),
            me,
            disk,
            unwritten: Vec::new(),
            queued: false,
            restarts: 0,
            early: false,
        };
        voter.start(dr::Now::default(), bugs);
        voter
    }

    fn start(&mut self, now: dr::Now, bugs: Bugs) -> Vec<Output> {
        let records: Vec<Record> = self.disk.values().cloned().collect();
        self.unwritten.clear();
        self.queued = false;
        self.acceptor = Acceptor::start(holder(self.me, self.restarts), &records, now, bugs);
        // L10: the start is counted before anything else happens.
        let counted = self.acceptor.count_start();
        let Output::Persist { token, record } = counted else { return vec![counted] };
        self.disk.insert(record.key(), record);
        self.acceptor.persisted(now, token)
    }

    /// A new process, with what is on the disk.
    pub fn restart(&mut self, clock: u8, bugs: Bugs) -> Said {
        self.restarts += 1;
        let outputs = self.start(now(clock), bugs);
        self.carry_out(clock, outputs, false)
    }

    pub fn receive(&mut self, clock: u8, from: Holder, message: Message, slow: bool) -> Said {
        if !self.unwritten.is_empty() && !matches!(message, Message::Renew(_)) {
            if self.queued {
                return Said::default();
            }
            self.queued = true;
        }
        let outputs = self.acceptor.receive(now(clock), from, message);
        self.carry_out(clock, outputs, slow)
    }

    /// The oldest write becomes durable.
    pub fn persist(&mut self, clock: u8) -> Said {
        let mut said = Said::default();
        if !self.unwritten.is_empty() {
            let (token, record) = self.unwritten.remove(0);
            self.queued = false;
            let outputs = self.made_durable(clock, token, record, &mut said);
            let more = self.carry_out(clock, outputs, true);
            said.packets.extend(more.packets);
        }
        said
    }

    fn made_durable(
        &mut self,
        clock: u8,
        token: Token,
        record: Record,
        said: &mut Said,
    ) -> Vec<Output> {
        if let Record::Register { register, .. } = &record
            && let Some((ballot, _)) = &register.accepted
        {
            said.votes.push(*ballot);
        }
        self.disk.insert(record.key(), record);
        self.acceptor.persisted(now(clock), token)
    }

    fn carry_out(&mut self, clock: u8, mut outputs: Vec<Output>, slow: bool) -> Said {
        let mut said = Said::default();
        while !outputs.is_empty() {
            for output in std::mem::take(&mut outputs) {
                match output {
                    Output::Send { to, to_boot, message } => {
                        self.early |= !self.holds(&message);
                        let from = holder(self.me, self.restarts);
                        said.packets.push(Packet { from, to, to_boot, message });
                    }
                    Output::Persist { token, record } if slow => {
                        self.unwritten.push((token, record));
                    }
                    Output::Persist { token, record } => {
                        outputs.extend(self.made_durable(clock, token, record, &mut said));
                    }
                }
            }
        }
        said
    }

    /// R1: whether the disk holds what is answered.
    fn holds(&self, message: &Message) -> bool {
        let register = self.disk.values().find_map(|record| match record {
            Record::Register { register, .. } => Some(register),
            _ => None,
        });
        let promised = register.map(|register| register.promised).unwrap_or_default();
        match message {
            Message::Promise(promise) => promised >= promise.ballot,
            Message::Accepted(accepted) => register
                .and_then(|register| register.accepted.as_ref())
                .is_some_and(|(ballot, _)| *ballot >= accepted.ballot),
            _ => true,
        }
    }

    /// Restarted, with a promise above the value it holds.
    pub fn promised_before_restart(&self) -> bool {
        self.restarts > 0
            && self.disk.values().any(|record| match record {
                Record::Register { register, .. } => register
                    .accepted
                    .as_ref()
                    .is_some_and(|(ballot, _)| register.promised > *ballot),
                _ => false,
            })
    }
}

fn holder(member: MemberId, restarts: u8) -> Holder {
    Holder { member, boot: BootId::new(member.get() * 100 + u128::from(restarts)) }
}

/// What a tick of the model is: the time after which an acceptor counts a grant as over.
pub const TICK: Span = dr::grantor_span(Timing::Fast.lease());
