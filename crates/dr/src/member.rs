//! One member: acceptor, lease grantor, and for a region its leases and accounts, behind one step.

use crate::acceptor::Acceptor;
use crate::region::{Cx, Out, Region};
use crate::{
    Action, Answer, Ask, Bugs, Envelope, Error, Event, Holder, Leaseholder, MemberRecord, Message,
    Now, Output, Peer, PeerKind, Record, Request, Sender, Timing, Token, Value, View,
};
use base::{AccountName, BootId, BootTime, Counter, Generation, MemberId, Rng, Span, Stamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Rounds of messages to itself within one step; far more than any step needs.
const ROUNDS_MAX: usize = 64;
/// Every so many watches ask for all accounts, to find those that were never heard of.
const DISCOVER_EVERY: u64 = 16;
/// The steps in which a ceiling rises, in milliseconds (L9). Short, so that one failover soon
/// after another finds room below the acceptors' limit.
const CEILING_STEP_MS: u64 = 5_000;
/// How much room above its first stamp an epoch asks for, in milliseconds (L9).
const CEILING_ROOM_MS: u64 = 2_000;

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

/// What was seen of a peer's durable counters (L10).
#[derive(Clone, Copy, Debug)]
struct Seen {
    starts: Counter,
    boot: BootId,
    changes: Counter,
}

/// For whom something is being made durable.
enum Owner {
    Acceptor(Token),
    Seal(AccountName),
}

/// One member of the cluster. See the crate's documentation for how to drive it.
pub struct Member {
    config: Config,
    me: Holder,
    acceptor: Acceptor,
    holder: Leaseholder,
    regions: BTreeMap<AccountName, Region>,
    heard: BTreeMap<MemberId, BootTime>,
    peers: BTreeMap<MemberId, Seen>,
    distrusted: BTreeSet<MemberId>,
    renew_at: BootTime,
    /// L9: the ceiling of the latest renewal, and whether one was hurried since the regular one.
    ceiling_asked: Stamp,
    hurried: bool,
    watch_at: BootTime,
    round: u64,
    /// L10: nothing is said before the start counter is durable.
    ready: bool,
    tokens: u64,
    writing: BTreeMap<Token, Owner>,
    timer: Option<BootTime>,
    device_stuck: bool,
    stepped_at: BootTime,
}

/// One step in the making.
struct Step<'a> {
    now: Now,
    rng: &'a mut dyn Rng,
    actions: Vec<Action>,
    /// Messages to itself.
    own: VecDeque<Message>,
    renew_now: bool,
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
        let me = Holder { member: config.me.id, boot };
        let acceptor = Acceptor::start(me, &records, now, config.bugs);
        let holder = Leaseholder::new(me, config.timing.lease(), config.bugs);
        let mut member = Self {
            me,
            acceptor,
            holder,
            regions: BTreeMap::new(),
            heard: BTreeMap::new(),
            peers: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            renew_at: now.boot,
            ceiling_asked: Stamp::ZERO,
            hurried: false,
            watch_at: now.boot,
            round: 0,
            ready: false,
            tokens: 0,
            writing: BTreeMap::new(),
            timer: None,
            device_stuck: false,
            stepped_at: now.boot,
            config,
        };
        let mut step = Step::new(now, rng);
        let counted = member.acceptor.count_start();
        member.output(&mut step, counted);
        let accounts: Vec<AccountName> = member.acceptor.accounts().cloned().collect();
        for account in accounts {
            member.adopt(&mut step, &account);
        }
        for record in &records {
            if let Record::Seal { account, reign, attempt } = record {
                member.adopt(&mut step, account);
                if let Some(region) = member.regions.get_mut(account) {
                    // P3: a seal is left only through the register.
                    region.restore_seal(*reign, *attempt);
                }
            }
        }
        let actions = member.finish(step);
        (member, actions)
    }

    /// One turn.
    pub fn step(&mut self, now: Now, event: Event, rng: &mut dyn Rng) -> Vec<Action> {
        let mut step = Step::new(now, rng);
        self.stepped_at = now.boot;
        match event {
            Event::Tick => {}
            Event::Received(envelope) => self.receive(&mut step, envelope),
            Event::Persisted { token } => self.persisted(&mut step, token),
            Event::Joined(peer) => {
                self.config.members.retain(|known| known.id != peer.id);
                self.config.members.push(peer);
            }
            Event::Stuck { account: None, stuck } => self.device_stuck = stuck,
            other => self.log_event(&mut step, other),
        }
        self.finish(step)
    }

    /// What this member knew of an account in its latest step; `None` on a witness, or when it knows nothing.
    #[must_use]
    pub fn view(&self, account: &AccountName) -> Option<View> {
        let region = self.regions.get(account)?;
        Some(region.view(&self.heard, &self.config, self.stepped_at))
    }

    /// The accounts this member has a part in, or might have.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.regions.keys()
    }

    /// The value this member's acceptor holds durably: not necessarily chosen.
    #[must_use]
    pub fn register(&self, account: &AccountName) -> Option<&Value> {
        self.acceptor.accepted(account).map(|(_, value)| value)
    }

    /// All accounts with a register at this member's acceptor.
    pub fn registers(&self) -> impl Iterator<Item = &AccountName> {
        self.acceptor.accounts()
    }

    /// When each other member was heard last.
    pub fn heard(&self) -> impl Iterator<Item = (MemberId, BootTime)> {
        self.heard.iter().map(|(member, at)| (*member, *at))
    }

    fn adopt(&mut self, step: &mut Step<'_>, account: &AccountName) {
        if self.config.me.kind == PeerKind::Region && !self.regions.contains_key(account) {
            let region = Region::new(account.clone(), self.me, &self.config, step.now);
            self.regions.insert(account.clone(), region);
            self.with_region(step, account, |region, cx| region.begin(cx));
        }
    }

    fn receive(&mut self, step: &mut Step<'_>, envelope: Envelope) {
        let Envelope { from, boot, starts, changes, to, to_boot, message } = envelope;
        let known = self.config.members.iter().any(|peer| peer.id == from);
        // E5: answers meant for an earlier process lifetime are dropped.
        let for_me = to == self.me.member && to_boot.is_none_or(|boot| boot == self.me.boot);
        if !known || !for_me || from == self.me.member {
            return;
        }
        if !self.trusted(step, from, Seen { starts, boot, changes }) {
            return;
        }
        self.heard.insert(from, step.now.boot);
        self.dispatch(step, Holder { member: from, boot }, message);
    }

    /// L10: a member whose durable counters go back has lost its memory; what comes late from an
    /// earlier process lifetime is dropped (E5).
    fn trusted(&mut self, step: &mut Step<'_>, from: MemberId, now: Seen) -> bool {
        if self.distrusted.contains(&from) {
            return false;
        }
        let Some(before) = self.peers.get_mut(&from) else {
            self.peers.insert(from, now);
            return true;
        };
        if now.starts < before.starts {
            return false;
        }
        let restored = if now.starts == before.starts {
            now.boot != before.boot
        } else {
            now.changes < before.changes
        };
        if restored {
            self.distrusted.insert(from);
            let sentence = format!("{from} comes back with an older memory: it is refused");
            step.actions.push(Action::Diary { account: None, sentence });
            return false;
        }
        *before = Seen { changes: now.changes.max(before.changes), ..now };
        true
    }

    fn dispatch(&mut self, step: &mut Step<'_>, from: Sender, message: Message) {
        match message {
            Message::Prepare(_)
            | Message::Accept(_)
            | Message::Ask(_)
            | Message::Renew(_)
            | Message::Copy { .. } => {
                for output in self.acceptor.receive(step.now, from, message) {
                    self.output(step, output);
                }
            }
            Message::Grant(grant) => {
                // L9: a primary's ceiling rises by one answer and counts from the next: soon.
                let low = grant.granted && grant.ceiling < self.ceiling_asked;
                if low && !grant.accounts.is_empty() && !self.hurried {
                    (self.hurried, step.renew_now) = (true, true);
                }
                self.holder.receive(step.now.boot, from.member, grant);
            }
            Message::Answer(answer) => self.answered(step, from.member, answer),
            other => {
                let Some(account) = account_of(&other).cloned() else { return };
                if let Message::Chosen { value, .. } = &other
                    && names(value, self.me.member)
                {
                    self.adopt(step, &account);
                }
                self.with_region(step, &account, |region, cx| region.receive(cx, from, other));
            }
        }
    }

    fn answered(&mut self, step: &mut Step<'_>, from: MemberId, answer: Answer) {
        let mut seen: BTreeMap<AccountName, crate::Seen> = BTreeMap::new();
        for it in answer.seen {
            let concerns =
                it.accepted.as_ref().is_some_and(|(_, value)| names(value, self.me.member));
            if concerns {
                self.adopt(step, &it.account);
            }
            seen.insert(it.account.clone(), it);
        }
        let asked =
            |account: &AccountName| answer.accounts.is_empty() || answer.accounts.contains(account);
        let accounts: Vec<AccountName> =
            self.regions.keys().filter(|account| asked(account)).cloned().collect();
        for account in accounts {
            let seen = seen.remove(&account);
            self.with_region(step, &account, |region, cx| {
                if region.watches() {
                    region.answered(cx, from, answer.number, seen);
                }
            });
        }
    }

    fn persisted(&mut self, step: &mut Step<'_>, token: Token) {
        let later = self.writing.split_off(&Token(token.0 + 1));
        for (_, owner) in std::mem::replace(&mut self.writing, later) {
            match owner {
                Owner::Acceptor(token) => {
                    // The first write of a process is its start counter.
                    self.ready = true;
                    for output in self.acceptor.persisted(step.now, token) {
                        self.output(step, output);
                    }
                }
                Owner::Seal(account) => {
                    self.with_region(step, &account, |region, cx| region.sealed(cx));
                }
            }
        }
    }

    fn log_event(&mut self, step: &mut Step<'_>, event: Event) {
        let Some(account) = event.account().cloned() else {
            // Only a sole survivor's recovery concerns no account.
            if let Event::Operator { request, .. } = event {
                let outcome = Err(Error::NotOffered { what: "sole-survivor recovery" });
                step.actions.push(Action::Reply { request, outcome });
            }
            return;
        };
        let creates = matches!(&event, Event::Operator { request_for: Request::Create { .. }, .. });
        if creates || matches!(&event, Event::LogEnd { .. }) {
            self.adopt(step, &account);
        }
        if let Event::Operator { request, .. } = &event
            && !self.regions.contains_key(&account)
        {
            let outcome = Err(Error::UnknownAccount { account });
            step.actions.push(Action::Reply { request: *request, outcome });
            return;
        }
        self.with_region(step, &account, |region, cx| region.event(cx, event));
    }

    fn with_region(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountName,
        work: impl FnOnce(&mut Region, &mut Cx<'_>),
    ) {
        let mut out = Vec::new();
        if let Some(region) = self.regions.get_mut(account) {
            let mut cx = Cx {
                now: step.now,
                rng: &mut *step.rng,
                config: &self.config,
                holder: &self.holder,
                heard: &self.heard,
                out: &mut out,
            };
            work(region, &mut cx);
        }
        for out in out {
            match out {
                Out::Act(action) => step.actions.push(action),
                Out::Output(output) => self.send_output(step, output),
                Out::RenewNow => step.renew_now = true,
                Out::Seal(record) => {
                    self.persist(step, Owner::Seal(account.clone()), record);
                }
            }
        }
    }

    /// An output of the acceptor.
    fn output(&mut self, step: &mut Step<'_>, output: Output) {
        match output {
            Output::Persist { token, record } => {
                self.persist(step, Owner::Acceptor(token), record);
            }
            Output::Send { .. } => self.send_output(step, output),
        }
    }

    fn persist(&mut self, step: &mut Step<'_>, owner: Owner, record: Record) {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.writing.insert(token, owner);
        step.actions.push(Action::Persist { token, record });
    }

    fn send_output(&mut self, step: &mut Step<'_>, output: Output) {
        let Output::Send { to, to_boot, message } = output else { return };
        if to == self.me.member {
            step.own.push_back(message);
            return;
        }
        // L10: what would be said before the start is counted is left unsaid, as if lost.
        if !self.ready {
            return;
        }
        let (starts, changes) = self.acceptor.counters();
        step.actions.push(Action::Send(Envelope {
            from: self.me.member,
            boot: self.me.boot,
            starts,
            changes,
            to,
            to_boot,
            message,
        }));
    }

    /// All that follows from an event: messages to itself, what is due, and the gates and roles,
    /// which go before everything else.
    fn finish(&mut self, mut step: Step<'_>) -> Vec<Action> {
        for _ in 0..ROUNDS_MAX {
            while let Some(message) = step.own.pop_front() {
                self.dispatch(&mut step, self.me, message);
            }
            // L10: nothing is begun before the start is counted.
            if !self.ready {
                break;
            }
            let accounts: Vec<AccountName> = self.regions.keys().cloned().collect();
            for account in accounts {
                self.with_region(&mut step, &account, |region, cx| region.turn(cx));
            }
            self.renew(&mut step);
            self.watch(&mut step);
            if step.own.is_empty() {
                break;
            }
        }
        let mut first = Vec::new();
        let mut due = vec![self.renew_at.min(self.watch_at)];
        let mut nothing = Vec::new();
        for region in self.regions.values_mut() {
            let cx = Cx {
                now: step.now,
                rng: &mut *step.rng,
                config: &self.config,
                holder: &self.holder,
                heard: &self.heard,
                out: &mut nothing,
            };
            region.settle(&cx, &mut first);
            due.extend(region.due(&cx));
        }
        first.append(&mut step.actions);
        let at = due.into_iter().min().filter(|_| self.config.me.kind == PeerKind::Region);
        if at != self.timer
            && let Some(at) = at
        {
            self.timer = Some(at);
            first.push(Action::SetTimer { at });
        }
        first
    }

    /// L1: a region renews at all acceptors.
    fn renew(&mut self, step: &mut Step<'_>) {
        let now = step.now.boot;
        let due = now >= self.renew_at || std::mem::take(&mut step.renew_now);
        if self.config.me.kind != PeerKind::Region || !due {
            return;
        }
        self.hurried &= now < self.renew_at;
        self.renew_at = now + self.config.timing.renewal();
        // L8: the whole region is left out while its log device makes no progress.
        let listed = self.regions.iter().filter(|(_, region)| region.listed());
        let listed = listed.filter(|_| !self.device_stuck).map(|(account, _)| account.clone());
        let listed: Vec<AccountName> = listed.collect();
        // L9: rises in steps, and leaves room above where an epoch's stamps begin.
        let step_up = (step.now.wall.ms() / CEILING_STEP_MS + 2) * CEILING_STEP_MS;
        let above = self.regions.values().map(|region| region.stamps_above().ms()).max();
        let ceiling = Stamp::from_ms(step_up.max(above.unwrap_or(0) + CEILING_ROOM_MS));
        self.ceiling_asked = ceiling;
        let to: Vec<MemberId> = self.config.members.iter().map(|peer| peer.id).collect();
        for to in to {
            let message = self.holder.renew(now, to, listed.clone(), ceiling);
            self.send_output(step, Output::ask(to, message));
        }
    }

    /// P1: a region asks all acceptors about the accounts that it follows.
    fn watch(&mut self, step: &mut Step<'_>) {
        if self.config.me.kind != PeerKind::Region || step.now.boot < self.watch_at {
            return;
        }
        self.watch_at = step.now.boot + self.config.timing.watch();
        self.round += 1;
        let watched = self.regions.iter().filter(|(_, region)| region.watches());
        let mut accounts: Vec<AccountName> = watched.map(|(account, _)| account.clone()).collect();
        if self.round % DISCOVER_EVERY == 1 {
            accounts.clear();
        } else if accounts.is_empty() {
            return;
        }
        let to: Vec<MemberId> = self.config.members.iter().map(|peer| peer.id).collect();
        for to in to {
            let ask = Ask { number: self.round, accounts: accounts.clone() };
            self.send_output(step, Output::ask(to, Message::Ask(ask)));
        }
    }
}

impl<'a> Step<'a> {
    fn new(now: Now, rng: &'a mut dyn Rng) -> Self {
        Self { now, rng, actions: Vec::new(), own: VecDeque::new(), renew_now: false }
    }
}

fn names(value: &Value, member: MemberId) -> bool {
    value.primary.member == member || value.secondary == Some(member)
}

fn account_of(message: &Message) -> Option<&AccountName> {
    match message {
        Message::Promise(it) => Some(&it.account),
        Message::Accepted(it) => Some(&it.account),
        Message::Refused(it) => Some(&it.account),
        Message::TailAsk(it) => Some(&it.account),
        Message::TailAnswer(it) => Some(&it.account),
        Message::Chosen { account, .. }
        | Message::Released { account, .. }
        | Message::Copied { account, .. } => Some(account),
        _ => None,
    }
}
