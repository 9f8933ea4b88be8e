//! A member's vote: the registers of many accounts, and the grants of leases over them.
//!
//! ```text
//!            Prepare ──► promise durable ──► Promise          ┐ one write at a time for each
//!            Accept  ──► L4 ──► value durable ──► Accepted    ┘ account, the rest waits
//!            Renew   ──► L7 ──► L5 ──► Grant{told}            by durable and written value (L1)
//! ```
//! Grants and accepts meet in this one owner, so they are serialised (L6).

use crate::{
    Accept, Accepted, Answer, Ask, Ballot, Bug, Bugs, Grant, Holder, MemberRecord, Message, Nonce,
    Now, Output, Prepare, Promise, Record, Refusal, Refused, RegisterRecord, Reign, Release, Renew,
    Seen, Sender, Taking, Timing, Token, Told, Value, grantor_span,
};
use base::{AccountName, BootId, BootTime, Counter, MemberId, Span, Stamp};
use std::collections::{BTreeMap, VecDeque};

/// Requests for one account that may wait for its write.
const WAITING_MAX: usize = 16;
/// How far above its own clock an acceptor lets stamps go, in milliseconds (L9).
const CEILING_ABOVE_MS: u64 = 60_000;

/// The registers and grants of one member in one process lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acceptor {
    me: Holder,
    bugs: Bugs,
    registers: BTreeMap<AccountName, Register>,
    /// Highest change counter given to a value (L6), and the highest known durable.
    changes: Counter,
    durable_changes: Counter,
    guard: Guard,
    starts: Counter,
    /// What is durable of the member's own record, and what is being written.
    kept: Kept,
    newest: Kept,
    /// When a lease as large as the durable largest was granted last, or may have been.
    longest_granted_at: BootTime,
    writing: BTreeMap<Token, Writing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Guard {
    /// L5: until then every region may have a grant of the process before.
    blanket_until: BootTime,
    bugs: Bugs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Register {
    durable: RegisterRecord,
    writing: Option<RegisterRecord>,
    waiting: VecDeque<(Sender, Message)>,
    /// How long each region's grant for this account lasts, on this clock.
    granted: BTreeMap<MemberId, BootTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Writing {
    Register { account: AccountName, answers: Vec<Output> },
    Member(Kept),
}

/// The part of the member's record that changes while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Kept {
    /// The largest lease granted lately; `None`: unknown (L5).
    longest: Option<Span>,
    /// The highest stamp a primary may use (L9).
    ceiling: Stamp,
}

impl Register {
    /// The newest, also if it is only being written.
    fn newest(&self) -> &RegisterRecord {
        self.writing.as_ref().unwrap_or(&self.durable)
    }
    fn value(&self) -> Option<&Value> {
        self.newest().accepted.as_ref().map(|(_, value)| value)
    }
    /// L1: what the acceptor holds, by its durable value and by what it is writing.
    fn holds(&self, me: MemberId, bugs: Bugs) -> Option<(Reign, Holder)> {
        let of = |record: &RegisterRecord| {
            let (_, value) = record.accepted.as_ref()?;
            value.acceptors.holds(me).then_some((value.reign, value.primary))
        };
        let newest = of(self.newest());
        if bugs.has(Bug::L1NotDurable) {
            return newest;
        }
        let durable = of(&self.durable);
        if durable == newest { durable } else { None }
    }
}

impl Acceptor {
    /// The acceptor of a process that starts at `now` with what was kept.
    #[must_use]
    pub fn start(me: Holder, records: &[Record], now: Now, bugs: Bugs) -> Self {
        let mut registers = BTreeMap::new();
        let mut member = None;
        let mut changes = Counter::ZERO;
        for record in records {
            match record {
                Record::Member(record) => member = Some(record.clone()),
                Record::Register { account, register } => {
                    changes = changes.max(register.changes);
                    let mut kept = Register { durable: register.clone(), ..Register::default() };
                    if bugs.has(Bug::AcceptorWithoutMemory) {
                        kept = Register::default();
                    }
                    registers.insert(account.clone(), kept);
                }
                Record::Seal { .. } => {}
            }
        }
        let kept = member.as_ref().map_or(Kept::default(), |member| Kept {
            longest: member.longest_lease,
            ceiling: member.ceiling,
        });
        // L5: without a record it is that of `calm`.
        let longest = kept.longest.unwrap_or(Timing::Calm.lease());
        let blanket =
            if bugs.has(Bug::L5ForgetGrants) { Span::ZERO } else { grantor_span(longest) };
        Self {
            me,
            bugs,
            registers,
            changes,
            durable_changes: changes,
            guard: Guard { blanket_until: now.boot + blanket, bugs },
            starts: member.map_or(Counter::ZERO, |member| member.starts),
            kept,
            newest: kept,
            longest_granted_at: now.boot,
            writing: BTreeMap::new(),
        }
    }

    /// The first write of a process: its start counter (L10).
    pub fn count_start(&mut self) -> Output {
        self.starts = self.starts.next();
        self.persist_member()
    }

    /// The durable start and change counters (L10).
    #[must_use]
    pub fn counters(&self) -> (Counter, Counter) {
        (self.starts, self.durable_changes)
    }

    /// The newest durable value of an account, and its ballot.
    #[must_use]
    pub fn accepted(&self, account: &AccountName) -> Option<&(Ballot, Value)> {
        self.registers.get(account)?.durable.accepted.as_ref()
    }

    /// The accounts it holds a value of.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        let valued = |(account, register): (_, &Register)| {
            register.durable.accepted.is_some().then_some(account)
        };
        self.registers.iter().filter_map(valued)
    }

    /// A message for the acceptor; those for others are ignored.
    pub fn receive(&mut self, now: Now, from: Sender, message: Message) -> Vec<Output> {
        match message {
            Message::Ask(ask) => vec![Output::answer(from, self.answer(now, ask))],
            Message::Renew(renew) => self.renew(now, from, &renew),
            Message::Prepare(Prepare { ref account, .. })
            | Message::Accept(Accept { ref account, .. })
            | Message::Copy { ref account, .. } => {
                let register = self.registers.entry(account.clone()).or_default();
                if register.writing.is_none() {
                    self.vote(now, from, message)
                } else {
                    if register.waiting.len() < WAITING_MAX {
                        register.waiting.push_back((from, message));
                    }
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    /// The write of that token, and all before it, is durable.
    pub fn persisted(&mut self, now: Now, token: Token) -> Vec<Output> {
        let later = self.writing.split_off(&Token(token.0 + 1));
        let done = std::mem::replace(&mut self.writing, later);
        let mut outputs = Vec::new();
        for (_, writing) in done {
            match writing {
                Writing::Member(kept) => self.kept = kept,
                Writing::Register { account, answers } => {
                    let register = self.registers.entry(account).or_default();
                    if let Some(record) = register.writing.take() {
                        self.durable_changes = self.durable_changes.max(record.changes);
                        register.durable = record;
                    }
                    let waiting = std::mem::take(&mut register.waiting);
                    outputs.extend(answers);
                    for (from, message) in waiting {
                        outputs.extend(self.receive(now, from, message));
                    }
                }
            }
        }
        outputs
    }

    fn vote(&mut self, now: Now, from: Sender, message: Message) -> Vec<Output> {
        match message {
            Message::Prepare(prepare) => self.prepare(now, from, prepare),
            Message::Accept(accept) => self.accept(now, from, accept),
            Message::Copy { account, ballot, value } => {
                self.copy(now, from, account, ballot, value)
            }
            _ => Vec::new(),
        }
    }

    /// Phase 1 (R1): the promise is durable before the answer.
    fn prepare(&mut self, now: Now, from: Sender, prepare: Prepare) -> Vec<Output> {
        let Prepare { account, ballot, taking } = prepare;
        let register = self.registers.entry(account.clone()).or_default();
        let refuse = |why| {
            let refused = Refused { account: account.clone(), ballot, why };
            vec![Output::answer(from, Message::Refused(refused))]
        };
        if ballot < register.durable.promised {
            return refuse(Refusal::Promised(register.durable.promised));
        }
        // L4: a prepare that means to take is refused likewise, and raises no promise.
        if let Some(left) = taking.and_then(|taking| self.guard.left(now, register, &taking)) {
            return refuse(Refusal::Lease { left });
        }
        let accepted = register.durable.accepted.clone();
        let promise =
            Promise { account: account.clone(), ballot, accepted, ceiling: self.kept.ceiling };
        let answer = Output::answer(from, Message::Promise(promise));
        if ballot == register.durable.promised {
            return vec![answer];
        }
        let record = RegisterRecord { promised: ballot, ..register.durable.clone() };
        self.write(account, record, vec![answer])
    }

    /// Phase 2 (R1): the value is durable before the answer.
    fn accept(&mut self, now: Now, from: Sender, accept: Accept) -> Vec<Output> {
        let Accept { account, ballot, value } = accept;
        let register = self.registers.entry(account.clone()).or_default();
        // L9: what it granted of stamps since its promise counts too; from here on it grants none.
        let ceiling = self.kept.ceiling;
        let accepted = Accepted { account: account.clone(), ballot, ceiling };
        let answer = Output::answer(from, Message::Accepted(accepted));
        if register.durable.accepted.as_ref().is_some_and(|(held, _)| *held == ballot) {
            return vec![answer];
        }
        let taking =
            Taking { primary: value.primary.member, reign: value.reign, release: value.release };
        let refusal = if ballot < register.durable.promised {
            Some(Refusal::Promised(register.durable.promised))
        } else if !value.acceptors.holds(self.me.member) {
            Some(Refusal::NotMember)
        } else {
            // L4: against the own newest value, whoever proposes, also when completing.
            let left = self.guard.left(now, register, &taking);
            let left = left.filter(|_| !self.bugs.has(Bug::L4ProposersView));
            left.map(|left| Refusal::Lease { left })
        };
        if let Some(why) = refusal {
            let refused = Refused { account, ballot, why };
            return vec![Output::answer(from, Message::Refused(refused))];
        }
        self.changes = self.changes.next();
        let record = RegisterRecord {
            promised: ballot,
            accepted: Some((ballot, value)),
            changes: self.changes,
        };
        self.write(account, record, vec![answer])
    }

    /// R5: a new acceptor copies the register before it is proposed as a member.
    fn copy(
        &mut self,
        now: Now,
        from: Sender,
        account: AccountName,
        ballot: Ballot,
        value: Value,
    ) -> Vec<Output> {
        let register = self.registers.entry(account.clone()).or_default();
        let copied = Message::Copied {
            account: account.clone(),
            settled_in: self.guard.blanket_until.since(now.boot),
        };
        let answer = Output::answer(from, copied);
        match &register.durable.accepted {
            Some((held, _)) if *held >= ballot => vec![answer],
            Some((_, own)) if own.acceptors.holds(self.me.member) => Vec::new(),
            _ => {
                self.changes = self.changes.next();
                let record = RegisterRecord {
                    promised: register.durable.promised.max(ballot),
                    accepted: Some((ballot, value)),
                    changes: self.changes,
                };
                self.write(account, record, vec![answer])
            }
        }
    }

    fn write(
        &mut self,
        account: AccountName,
        record: RegisterRecord,
        answers: Vec<Output>,
    ) -> Vec<Output> {
        let register = self.registers.entry(account.clone()).or_default();
        register.writing = Some(record.clone());
        let token = self.token();
        self.writing.insert(token, Writing::Register { account: account.clone(), answers });
        vec![Output::Persist { token, record: Record::Register { account, register: record } }]
    }

    /// Above all that are being written; what is durable needs no name any more.
    fn token(&self) -> Token {
        Token(self.writing.last_key_value().map_or(0, |(token, _)| token.0) + 1)
    }

    fn persist_member(&mut self) -> Output {
        let token = self.token();
        self.writing.insert(token, Writing::Member(self.newest));
        let record = MemberRecord {
            starts: self.starts,
            longest_lease: self.newest.longest,
            ceiling: self.newest.ceiling,
        };
        Output::Persist { token, record: Record::Member(record) }
    }

    /// P1, R7: what it holds durably, without a ballot.
    fn answer(&self, now: Now, ask: Ask) -> Message {
        let asked = |account: &AccountName| {
            ask.accounts.is_empty() || ask.accounts.iter().any(|name| name == account)
        };
        let seen = self.registers.iter().filter(|(account, _)| asked(account));
        let seen = seen.filter(|(_, register)| register.durable.accepted.is_some());
        let seen = seen.map(|(account, register)| {
            let primary = register.value().map(|value| value.primary.member);
            let left = primary.map(|primary| self.guard.granted(now, register, primary));
            Seen {
                account: account.clone(),
                accepted: register.durable.accepted.clone(),
                granted_for: left.filter(|left| *left > Span::ZERO),
            }
        });
        let seen = seen.collect();
        Message::Answer(Answer { number: ask.number, accounts: ask.accounts, seen })
    }

    /// L1, L5, L6, L7, L9.
    fn renew(&mut self, now: Now, from: Sender, renew: &Renew) -> Vec<Output> {
        let mut outputs = Vec::new();
        // L7: the holder has heard an answer of this process within L.
        let heard = renew.nonce.is_some_and(|nonce| {
            nonce.boot == self.me.boot && now.boot.since(nonce.at) <= renew.lease
        }) || self.bugs.has(Bug::L7NoNonce);
        let in_range = renew.lease > Span::ZERO && renew.lease <= Timing::Calm.lease();
        let before = self.newest;
        let granted = heard && in_range && self.may_grant(now, renew.lease);
        let mut covers = false;
        if granted {
            let until = now.boot + grantor_span(renew.lease);
            for account in &renew.accounts {
                if let Some(register) = self.registers.get_mut(account)
                    && register.holds(self.me.member, self.bugs).is_some_and(|(_, at)| at == from)
                {
                    let granted = register.granted.entry(from.member).or_default();
                    *granted = until.max(*granted);
                    covers = true;
                }
            }
        }
        // L9: a ceiling is durable before the grant that carries it. Only who acts raises it: else a
        // secondary whose wall clock was far ahead for a moment could, once promoted, not stamp.
        if covers && renew.ceiling <= Stamp::from_ms(now.wall.ms() + CEILING_ABOVE_MS) {
            self.newest.ceiling = self.newest.ceiling.max(renew.ceiling);
        }
        if self.newest != before {
            outputs.push(self.persist_member());
        }
        outputs.push(Output::answer(from, self.grant(now, renew, granted)));
        outputs
    }

    /// L5: the largest lease is durable before the first grant of it; without a record that is
    /// `calm`. It is lowered when no larger one can be live any more.
    fn may_grant(&mut self, now: Now, lease: Span) -> bool {
        let Some(longest) = self.kept.longest else {
            self.newest.longest = Some(Timing::Calm.lease());
            return false;
        };
        if lease > longest {
            self.newest.longest = Some(lease);
            return false;
        }
        if lease == longest {
            self.longest_granted_at = now.boot;
        } else if now.boot.since(self.longest_granted_at) > grantor_span(longest) {
            self.newest.longest = Some(lease);
        }
        true
    }

    fn grant(&self, now: Now, renew: &Renew, granted: bool) -> Message {
        // L6: every change since what the holder says that it received in this process lifetime.
        let mut since = match renew.since {
            Some((boot, since)) if boot == self.me.boot && since <= self.durable_changes => since,
            _ => Counter::ZERO,
        };
        if self.bugs.has(Bug::L6AnyDifference) && since > Counter::ZERO {
            since = self.durable_changes;
        }
        let news =
            |register: &Register| register.writing.is_some() || register.durable.changes > since;
        let told = self.registers.iter().filter(|(_, register)| news(register));
        let told = told.map(|(account, register)| Told {
            account: account.clone(),
            holds: register.holds(self.me.member, self.bugs),
        });
        Message::Grant(Grant {
            number: renew.number,
            nonce: Nonce { boot: self.me.boot, at: now.boot },
            granted,
            lease: renew.lease,
            accounts: renew.accounts.clone(),
            since,
            until: self.durable_changes,
            told: told.collect(),
            ceiling: self.kept.ceiling,
        })
    }

    /// This process lifetime.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.me.boot
    }
}

impl Guard {
    /// L4: how long the region that the own value names may still have a grant, if `taking` would
    /// take the account from it; `None` when nothing is in the way.
    fn left(self, now: Now, register: &Register, taking: &Taking) -> Option<Span> {
        let own = register.value()?;
        let releases = |release| exempt(own, taking, &release) || self.bugs.has(Bug::L4AnyRelease);
        if taking.primary == own.primary.member || taking.release.is_some_and(releases) {
            return None;
        }
        Some(self.granted(now, register, own.primary.member)).filter(|left| *left > Span::ZERO)
    }

    /// How long a region may still have a grant. L5: in the first while after a start every
    /// region counts as having one.
    fn granted(self, now: Now, register: &Register, region: MemberId) -> Span {
        let until = register.granted.get(&region).copied().unwrap_or_default();
        until.max(self.blanket_until).since(now.boot)
    }
}

/// L4: only a handoff whose release names region, boot and epoch of the acceptor's own value, its
/// new epoch being that + 1.
fn exempt(own: &Value, taking: &Taking, release: &Release) -> bool {
    release.signer == own.primary
        && release.reign == own.reign
        && release.next == taking.primary
        && taking.reign == own.reign.next()
}
