//! Three acceptors, two proposers and two leaseholders, with every message carried by hand: for
//! schedules that turn on which acceptor heard what.

use super::world::{ALL, EAST, Id, MAX_LAG, WEST, account, peer};
use base::{BootId, BootTime, ChangeId, Generation, MemberId, Position, Span, Stamp};
use dr::{
    Acceptor, Bug, Bugs, Change, Goal, Holder, Leaseholder, Member, Message, Mode, Now, Output,
    Policies, Proposer, Record, RecordKey, Reign, SecondaryState, Timing, Token, Value, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

pub const LEASE: Span = Timing::Fast.lease();

pub struct Bench {
    pub now: BootTime,
    pub acceptors: BTreeMap<Id, Acceptor>,
    records: BTreeMap<Id, BTreeMap<RecordKey, Record>>,
    pub proposers: BTreeMap<Id, Proposer>,
    pub holders: BTreeMap<Id, Leaseholder>,
    /// Acceptors whose writes stay unfinished, with the writes.
    pub slow: BTreeMap<Id, Vec<(Token, Record)>>,
    boots: u64,
    changes: u64,
    pub bugs: Bugs,
    /// What renewals ask of stamps (L9).
    pub ceiling: Stamp,
}

pub fn id(of: Id) -> MemberId {
    peer(of).id
}
pub fn holder(of: Id) -> Holder {
    Holder { member: id(of), boot: BootId::new(u128::from(of)) }
}
pub fn reign(epoch: u64) -> Reign {
    Reign { generation: Generation::new(1), epoch: base::Epoch::new(epoch) }
}

impl Bench {
    /// East is primary in epoch 1, in sync, by the word of all three; nobody has grants.
    pub fn new(bugs: &[Bug]) -> Self {
        let bugs = bugs.iter().fold(Bugs::NONE, |all, bug| all.with(*bug));
        let first = || BTreeMap::from([(RecordKey::Member, Member::first_record(Timing::Fast))]);
        let regions = [EAST, WEST];
        let mut bench = Self {
            now: BootTime::from_us(1_000_000),
            acceptors: BTreeMap::new(),
            records: ALL.iter().map(|it| (*it, first())).collect(),
            proposers: regions
                .iter()
                .map(|it| (*it, Proposer::new(holder(*it), account(), bugs)))
                .collect(),
            holders: regions
                .iter()
                .map(|it| (*it, Leaseholder::new(holder(*it), LEASE, bugs)))
                .collect(),
            slow: BTreeMap::new(),
            boots: 0,
            changes: 0,
            bugs,
            ceiling: Stamp::ZERO,
        };
        for of in ALL {
            bench.restart(of);
        }
        bench.wait(Span::from_ms(2_100));
        let create = Change::Create {
            generation: Generation::new(1),
            by: holder(EAST),
            secondary: Some(id(WEST)),
            mode: Mode::Async { max_lag: MAX_LAG },
            policies: Policies::new(Timing::Fast),
            acceptors: ALL.iter().map(|it| id(*it)).collect(),
        };
        bench.change(EAST, create, &ALL, &ALL);
        bench.record(EAST, 1, SecondaryState::InSync, &ALL, &ALL);
        bench
    }

    pub fn wait(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// Longer than any grant.
    pub fn wait_out(&mut self) {
        self.wait(Span::from_ms(2_100));
    }

    /// A new process of an acceptor: what was not durable is gone.
    pub fn restart(&mut self, of: Id) {
        self.boots += 1;
        self.slow.remove(&of);
        let me = Holder { member: id(of), boot: BootId::new(100 + u128::from(self.boots)) };
        let records: Vec<Record> = self.records[&of].values().cloned().collect();
        let now = Now { boot: self.now, wall: Stamp::ZERO };
        self.acceptors.insert(of, Acceptor::start(me, &records, now, self.bugs));
    }

    /// One message to an acceptor, and what it answers once its writes are durable.
    pub fn say(&mut self, to: Id, from: Id, message: Message) -> Vec<Message> {
        let now = Now { boot: self.now, wall: Stamp::ZERO };
        let acceptor = self.acceptors.get_mut(&to).expect("one of the three");
        let mut outputs = acceptor.receive(now, holder(from), message);
        let mut answers = Vec::new();
        while !outputs.is_empty() {
            for output in std::mem::take(&mut outputs) {
                match output {
                    Output::Send { message, .. } => answers.push(message),
                    Output::Persist { token, record } => {
                        if let Some(writes) = self.slow.get_mut(&to) {
                            writes.push((token, record));
                            continue;
                        }
                        let records = self.records.get_mut(&to).expect("one of the three");
                        records.insert(record.key(), record);
                        outputs.extend(acceptor.persisted(now, token));
                    }
                }
            }
        }
        answers
    }

    fn carry(&mut self, of: Id, outputs: Vec<Output>, to: &[Id]) -> (Vec<Output>, Option<Verdict>) {
        let (mut more, mut verdict) = (Vec::new(), None);
        for output in outputs {
            let Output::Send { to: target, message, .. } = output else { continue };
            let target = Id::try_from(target.get()).expect("one of the three");
            if !to.contains(&target) {
                continue;
            }
            for answer in self.say(target, of, message) {
                let proposer = self.proposers.get_mut(&of).expect("a region");
                let (outputs, settled) = proposer.receive(id(target), answer);
                more.extend(outputs);
                verdict = verdict.or(settled);
            }
        }
        (more, verdict)
    }

    /// One try of a goal: phase 1 reaches only `one`, phase 2 only `two`.
    pub fn propose(&mut self, of: Id, goal: Goal, one: &[Id], two: &[Id]) -> Option<Verdict> {
        let (outputs, verdict) = self.begin(of, goal, one);
        let (_, later) = self.carry(of, outputs, two);
        verdict.or(later)
    }

    /// Phase 1 alone; what phase 2 would send is handed back.
    fn begin(&mut self, of: Id, goal: Goal, one: &[Id]) -> (Vec<Output>, Option<Verdict>) {
        let all: BTreeSet<MemberId> = ALL.iter().map(|it| id(*it)).collect();
        let proposer = self.proposers.get_mut(&of).expect("a region");
        let (outputs, _) = proposer.begin(goal, all, false, None);
        self.carry(of, outputs, one)
    }

    /// West takes over from what it holds; `meanwhile` happens between the two phases.
    pub fn promote_slowly(
        &mut self,
        at: &[Id],
        meanwhile: impl FnOnce(&mut Self),
    ) -> Option<Verdict> {
        let (ballot, _) = *self.acceptors[&WEST].accepted(&account()).expect("made");
        self.proposers.get_mut(&WEST).expect("a region").saw(ballot);
        self.changes += 1;
        let id = ChangeId::new(u128::from(self.changes));
        let change = self.promotion(WEST, WEST);
        let (outputs, verdict) = self.begin(WEST, Goal::Change(id, change), at);
        meanwhile(self);
        let (_, later) = self.carry(WEST, outputs, at);
        verdict.or(later)
    }

    fn promotion(&self, of: Id, read: Id) -> Change {
        let value = self.value(read);
        Change::Promote {
            parent: value.version,
            sealed: value.reign,
            attempt: value.attempt,
            by: holder(of),
            at: Position::ZERO,
        }
    }

    pub fn change(&mut self, of: Id, change: Change, one: &[Id], two: &[Id]) -> Option<Verdict> {
        self.changes += 1;
        let id = ChangeId::new(u128::from(self.changes));
        self.pursue(of, &Goal::Change(id, change), one, two)
    }

    pub fn read(&mut self, of: Id, one: &[Id], two: &[Id]) -> Option<Verdict> {
        self.pursue(of, &Goal::Read, one, two)
    }

    /// A ballot that is too low is told so, and tried again above it.
    fn pursue(&mut self, of: Id, goal: &Goal, one: &[Id], two: &[Id]) -> Option<Verdict> {
        let mut last = None;
        for _ in 0..4 {
            let verdict = self.propose(of, goal.clone(), one, two);
            let proposer = self.proposers.get_mut(&of).expect("a region");
            let proposed = proposer.proposed();
            last = verdict.or_else(|| proposer.expire());
            let again = [dr::Failure::Outrun, dr::Failure::Silence].map(Verdict::Failed);
            if proposed || last.as_ref().is_some_and(|last| !again.contains(last)) {
                break;
            }
        }
        last
    }

    pub fn record(&mut self, of: Id, epoch: u64, state: SecondaryState, one: &[Id], two: &[Id]) {
        let change = Change::Record { reign: reign(epoch), by: holder(of), state };
        self.change(of, change, one, two);
    }

    /// West (or east) takes over from what `read` holds.
    pub fn promote(&mut self, of: Id, read: Id, one: &[Id], two: &[Id]) -> Option<Verdict> {
        self.change(of, self.promotion(of, read), one, two)
    }

    /// An acceptor begins to write what another one holds, and does not finish.
    pub fn slow_accept(&mut self, at: Id, from: Id) {
        let (ballot, value) = self.acceptors[&from].accepted(&account()).expect("made").clone();
        let accept = dr::Accept { account: account(), ballot, value };
        self.say(at, from, Message::Accept(accept));
    }

    pub fn value(&self, at: Id) -> Value {
        self.acceptors[&at].accepted(&account()).expect("made").1.clone()
    }

    /// Renews at these; the answers of `lost` do not arrive.
    pub fn renew(&mut self, of: Id, at: &[Id], lost: &[Id]) {
        for to in at {
            let now = self.now;
            let holder = self.holders.get_mut(&of).expect("a region");
            let renew = holder.renew(now, id(*to), vec![account()], self.ceiling);
            for answer in self.say(*to, of, renew) {
                if let Message::Grant(grant) = answer
                    && !lost.contains(to)
                {
                    let holder = self.holders.get_mut(&of).expect("a region");
                    holder.receive(now, id(*to), grant);
                }
            }
        }
    }

    /// L7: the first exchange gives a nonce, the second a grant.
    pub fn lease(&mut self, of: Id, at: &[Id]) {
        self.renew(of, at, &[]);
        self.renew(of, at, &[]);
    }

    /// Whether it may act in that epoch by its grants; that the epoch is chosen is the caller's.
    pub fn acts(&self, of: Id, epoch: u64) -> bool {
        let acceptors = self.value(WEST).acceptors;
        let until = self.holders[&of].valid_until(&account(), reign(epoch), &acceptors);
        until.is_some_and(|until| until > self.now)
    }
}
