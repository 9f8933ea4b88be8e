//! Three members in one thread: virtual time, a network that can be cut by direction, disks that
//! keep what was persisted, logs as lists of hashes, clients that remember what they were told.

use base::{
    AccountName, BootId, BootTime, Epoch, Hash, MemberId, Position, Seeded, Seq, Span, Stamp,
};
use dr::{
    Acks, Action, Bug, Bugs, Config, Envelope, Event, Gate, Member, Mode, Now, Outcome, Peer,
    PeerKind, Policies, Record, RecordKey, Request, RequestId, Role, SecondaryState, Term, Timing,
    Value,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub type Id = u8;
pub const EAST: Id = 1;
pub const WEST: Id = 2;
pub const WITNESS: Id = 3;
pub const ALL: [Id; 3] = [EAST, WEST, WITNESS];
const LATENCY: Span = Span::from_ms(2);
const SHIP_EVERY: Span = Span::from_ms(10);
pub const MAX_LAG: Span = Span::from_ms(300);

#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub position: Position,
    /// Zero: an opening commit.
    pub write: u64,
    pub at: BootTime,
}

enum Packet {
    Said(Envelope),
    Batch { from: Id, to: Id, epoch: Epoch, log: Vec<Commit> },
    Acked { from: Id, to: Id, epoch: Epoch, position: Position },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fate {
    Deliver,
    Lose,
    Hold,
}

pub struct Node {
    pub member: Option<Member>,
    boots: u64,
    pub records: BTreeMap<RecordKey, Record>,
    pub log: Vec<Commit>,
    pub exported: Vec<Commit>,
    pub gate: Gate,
    pub role: Role,
    timer: BootTime,
    waiting_since: Option<BootTime>,
    unanswered: Vec<(u64, Seq)>,
    /// When set, opening an epoch never ends: the process is slow.
    pub never_opens: bool,
    /// When set, a commit turns up in the log just before the next opening.
    pub grows_before_opening: bool,
}

pub struct World {
    pub now: BootTime,
    pub nodes: BTreeMap<Id, Node>,
    packets: BTreeMap<(BootTime, u64), Packet>,
    sent: u64,
    pub cut: BTreeSet<(Id, Id)>,
    pub ship_cut: BTreeSet<(Id, Id)>,
    pub fate: Box<dyn FnMut(&Envelope) -> Fate>,
    pub held: Vec<Envelope>,
    bugs: Bugs,
    rng: Seeded,
    next_ship: BootTime,
    writes: u64,
    pub acknowledged: Vec<u64>,
    epochs: BTreeMap<Epoch, Id>,
    pub violations: BTreeSet<&'static str>,
    pub replies: Vec<Outcome>,
    pub diary: Vec<String>,
    policies: Policies,
}

pub fn account() -> AccountName {
    "fhir".parse().expect("a plain name")
}

fn id(id: Id) -> MemberId {
    MemberId::new(u128::from(id))
}

pub fn peer(of: Id) -> Peer {
    let (name, kind) = match of {
        EAST => ("east", PeerKind::Region),
        WEST => ("west", PeerKind::Region),
        _ => ("witness", PeerKind::Witness),
    };
    Peer { id: id(of), name: name.parse().expect("a plain name"), kind }
}

impl Node {
    pub fn end(&self) -> Position {
        self.log.last().map_or(Position::ZERO, |commit| commit.position)
    }
    fn find(&self, seq: Seq) -> Option<Position> {
        match seq.get() {
            0 => Some(Position::ZERO),
            n => self.log.get(usize::try_from(n).ok()? - 1).map(|commit| commit.position),
        }
    }
    fn open(&mut self, epoch: Epoch, at: Position, now: BootTime) -> Event {
        if std::mem::take(&mut self.grows_before_opening) {
            self.append(Epoch::new(1), 0, 99, now);
        }
        let (account, end) = (account(), self.end());
        if end.hash != at.hash {
            return Event::NotOpened { account, epoch, end };
        }
        let position = self.append(epoch, 0, self.boots, now);
        self.waiting_since = Some(now);
        Event::Opened { account, epoch, position }
    }
    fn append(&mut self, epoch: Epoch, write: u64, by: u64, at: BootTime) -> Position {
        let end = self.end();
        let mut bytes = end.hash.as_bytes().to_vec();
        bytes.extend([epoch.get(), write, by].iter().flat_map(|it| it.to_le_bytes()));
        let position = Position { epoch, seq: end.seq.next(), hash: Hash::of(&bytes) };
        self.log.push(Commit { position, write, at });
        position
    }
    /// Whether it acts, but may not acknowledge anything.
    pub fn acks_nothing(&self, now: BootTime) -> bool {
        self.term(now).is_some_and(|term| term.acks == Acks::Nothing)
    }
    pub fn term(&self, now: BootTime) -> Option<Term> {
        match self.gate {
            Gate::Open(term) if term.valid_until > now && self.member.is_some() => Some(term),
            _ => None,
        }
    }
}

impl World {
    /// Three members, none started.
    pub fn new(seed: u64, bugs: &[Bug]) -> Self {
        let bugs = bugs.iter().fold(Bugs::NONE, |all, bug| all.with(*bug));
        let mut policies = Policies::new(Timing::Fast);
        policies.hold_down = Span::ZERO;
        let node = || Node {
            member: None,
            boots: 0,
            records: BTreeMap::from([(RecordKey::Member, Member::first_record(Timing::Fast))]),
            log: Vec::new(),
            exported: Vec::new(),
            gate: Gate::Closed { epoch: Epoch::ZERO, why: dr::Closed::Changing },
            role: Role::Starting,
            timer: BootTime::ZERO,
            waiting_since: None,
            unanswered: Vec::new(),
            never_opens: false,
            grows_before_opening: false,
        };
        Self {
            now: BootTime::from_us(1_000_000),
            nodes: ALL.iter().map(|id| (*id, node())).collect(),
            packets: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            ship_cut: BTreeSet::new(),
            fate: Box::new(|_| Fate::Deliver),
            held: Vec::new(),
            bugs,
            rng: Seeded(seed),
            next_ship: BootTime::ZERO,
            writes: 0,
            acknowledged: Vec::new(),
            epochs: BTreeMap::new(),
            violations: BTreeSet::new(),
            replies: Vec::new(),
            diary: Vec::new(),
            policies,
        }
    }

    /// All up, the account made at east, west in sync.
    pub fn in_sync(seed: u64, bugs: &[Bug]) -> Self {
        let mut world = Self::new(seed, bugs);
        for id in ALL {
            world.start(id, &ALL);
        }
        // L5: a new acceptor takes a first while as if it had granted.
        world.run(Span::from_ms(2_500));
        world.create();
        world.until("in sync", 5_000, |world| {
            world.chosen().is_some_and(|it| it.secondary_state == SecondaryState::InSync)
        });
        world.run(Span::from_ms(50));
        world
    }

    pub fn create(&mut self) {
        let mode = Mode::Async { max_lag: MAX_LAG };
        let request = Request::Create { account: account(), mode, policies: self.policies };
        self.ask(EAST, request);
    }

    pub fn ask(&mut self, of: Id, request_for: Request) {
        self.tell(of, Event::Operator { request: RequestId(1), request_for });
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[&id]
    }
    pub fn node_mut(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(&id).expect("one of the three")
    }

    pub fn start(&mut self, of: Id, members: &[Id]) {
        let mut config =
            Config::new(peer(of), members.iter().map(|id| peer(*id)).collect(), Timing::Fast);
        config.bugs = self.bugs;
        let now = self.clock();
        let node = self.nodes.get_mut(&of).expect("one of the three");
        node.boots += 1;
        let boot = BootId::new(u128::from(of) * 1000 + u128::from(node.boots));
        let records = node.records.values().cloned().collect();
        let (member, actions) = Member::start(config, boot, records, now, &mut self.rng);
        node.member = Some(member);
        (node.gate, node.role) =
            (Gate::Closed { epoch: Epoch::ZERO, why: dr::Closed::Changing }, Role::Starting);
        (node.timer, node.waiting_since) = (self.now, None);
        let end = node.end();
        self.carry_out(of, actions);
        if of != WITNESS {
            self.tell(of, Event::LogEnd { account: account(), end });
        }
    }

    pub fn kill(&mut self, of: Id) {
        let node = self.node_mut(of);
        node.member = None;
        node.unanswered.clear();
    }

    /// Cuts one direction, for the protocol and for shipping.
    pub fn cut(&mut self, from: Id, to: Id) {
        self.cut.insert((from, to));
        self.ship_cut.insert((from, to));
    }
    pub fn isolate(&mut self, of: Id) {
        for other in ALL.into_iter().filter(|other| *other != of) {
            self.cut(of, other);
            self.cut(other, of);
        }
    }
    pub fn heal(&mut self) {
        self.cut.clear();
        self.ship_cut.clear();
    }

    fn clock(&self) -> Now {
        Now { boot: self.now, wall: Stamp::from_ms(1_700_000_000_000 + self.now.us() / 1000) }
    }

    pub fn tell(&mut self, of: Id, event: Event) {
        let now = self.clock();
        let node = self.nodes.get_mut(&of).expect("one of the three");
        if let Some(member) = &mut node.member {
            let actions = member.step(now, event, &mut self.rng);
            self.carry_out(of, actions);
        }
    }

    fn carry_out(&mut self, of: Id, actions: Vec<Action>) {
        let mut events = VecDeque::new();
        let fhir = account();
        for action in actions {
            let other = if of == EAST { WEST } else { EAST };
            let theirs = self.nodes[&other].log.clone();
            let reached = !self.cut.contains(&(of, other)) && self.nodes[&other].member.is_some();
            let now = self.now;
            let node = self.nodes.get_mut(&of).expect("one of the three");
            match action {
                Action::Send(envelope) => self.send(envelope),
                Action::Persist { token, record } => {
                    node.records.insert(record.key(), record);
                    events.push_back(Event::Persisted { token });
                }
                Action::SetTimer { at } => node.timer = at,
                Action::SetGate { gate, .. } => {
                    node.gate = gate;
                    if matches!(gate, Gate::Closed { .. }) {
                        node.unanswered.clear();
                    }
                }
                Action::SetRole { role, .. } => node.role = role,
                Action::LookUp { query, seq, .. } => {
                    let (found, end) = (node.find(seq), node.end());
                    events.push_back(Event::LookedUp { account: fhir.clone(), query, found, end });
                }
                Action::StopAppends { query, .. } => {
                    let end = node.end();
                    events.push_back(Event::AppendsStopped { account: fhir.clone(), query, end });
                }
                Action::FetchTail { query, .. } => {
                    if reached && theirs.starts_with(&node.log) {
                        node.log = theirs;
                    }
                    let end = node.end();
                    events.push_back(Event::TailFetched { account: fhir.clone(), query, end });
                }
                Action::OpenEpoch { epoch, at, .. } if !node.never_opens => {
                    events.push_back(node.open(epoch, at, now));
                }
                Action::OpenEpoch { .. } => {}
                Action::Drain { epoch, .. } => {
                    let end = node.end();
                    events.push_back(Event::Drained { account: fhir.clone(), epoch, end });
                }
                Action::Return(plan) => {
                    let keep = usize::try_from(plan.keep.seq.get()).expect("a short log");
                    let cut = node.log.split_off(keep);
                    node.exported.extend(cut);
                    let (epoch, end) = (plan.epoch, node.end());
                    events.push_back(Event::Returned { account: fhir.clone(), epoch, end });
                }
                Action::Diary { sentence, .. } => {
                    self.diary.push(format!("{:>9} {} {sentence}", now.us() / 1000, peer(of).name));
                }
                Action::Reply { outcome, .. } => self.replies.push(outcome),
            }
        }
        for event in events {
            self.tell(of, event);
        }
    }

    fn send(&mut self, envelope: Envelope) {
        match (self.fate)(&envelope) {
            Fate::Deliver => self.packet(Packet::Said(envelope)),
            Fate::Hold => self.held.push(envelope),
            Fate::Lose => {}
        }
    }

    /// Lets go of what was held.
    pub fn release_held(&mut self) {
        for envelope in std::mem::take(&mut self.held) {
            self.packet(Packet::Said(envelope));
        }
    }

    fn packet(&mut self, packet: Packet) {
        self.sent += 1;
        self.packets.insert((self.now + LATENCY, self.sent), packet);
    }

    fn arrive(&mut self, packet: Packet) {
        let short = |id: MemberId| Id::try_from(id.get()).expect("one of the three");
        match packet {
            Packet::Said(envelope) => {
                let (from, to) = (short(envelope.from), short(envelope.to));
                if !self.cut.contains(&(from, to)) {
                    self.tell(to, Event::Received(envelope));
                }
            }
            Packet::Batch { from, to, epoch, log } => self.batch(from, to, epoch, log),
            Packet::Acked { from, to, epoch, position } => {
                if self.ship_cut.contains(&(from, to)) {
                    return;
                }
                let node = self.node_mut(to);
                if !matches!(node.role, Role::Primary { epoch: own, .. } if own == epoch) {
                    return;
                }
                let next = usize::try_from(position.seq.get()).expect("a short log");
                node.waiting_since = node.log.get(next).map(|commit| commit.at);
                let waiting_since = node.waiting_since;
                let from = id(from);
                self.tell(to, Event::Lag { account: account(), waiting_since });
                let account = account();
                self.tell(to, Event::SecondaryAcked { account, from, epoch, position });
            }
        }
    }

    fn batch(&mut self, from: Id, to: Id, epoch: Epoch, log: Vec<Commit>) {
        if self.ship_cut.contains(&(from, to)) {
            return;
        }
        let node = self.node_mut(to);
        let Role::Secondary { epoch: own, appends, .. } = node.role else { return };
        if own < epoch {
            self.tell(to, Event::OtherEpochShipped { account: account(), epoch });
        } else if own == epoch && appends && log.starts_with(&node.log) {
            node.log = log;
            let position = node.end();
            self.packet(Packet::Acked { from: to, to: from, epoch, position });
        }
    }

    fn ship(&mut self) {
        for of in [EAST, WEST] {
            let node = self.node(of);
            if node.member.is_none() {
                continue;
            }
            if let Role::Primary { epoch, secondary: Some(to) } = node.role
                && node.end().epoch == epoch
            {
                let to = Id::try_from(to.get()).expect("one of the three");
                let log = node.log.clone();
                self.packet(Packet::Batch { from: of, to, epoch, log });
            }
        }
    }

    /// A client's write at a region; true if it was admitted.
    pub fn write(&mut self, at: Id) -> bool {
        let now = self.now;
        let write = self.writes + 1;
        let node = self.nodes.get_mut(&at).expect("one of the three");
        let Some(term) = node.term(now).filter(|term| term.admits) else { return false };
        self.writes = write;
        let position = node.append(term.epoch, write, node.boots, now);
        node.unanswered.push((write, position.seq));
        if node.waiting_since.is_none() {
            node.waiting_since = Some(now);
            let waiting_since = Some(now);
            self.tell(at, Event::Lag { account: account(), waiting_since });
        }
        self.acknowledge(at);
        true
    }

    /// Answers what may be answered, and judges it from outside.
    fn acknowledge(&mut self, at: Id) {
        let now = self.now;
        let Some(term) = self.node(at).term(now) else { return };
        let node = self.node_mut(at);
        let lag = node.waiting_since.map_or(Span::ZERO, |since| now.since(since));
        let may = match term.acks {
            Acks::Nothing => false,
            Acks::Bounded { max_lag } => lag <= max_lag,
            Acks::Local => true,
        };
        if !may || node.unanswered.is_empty() {
            return;
        }
        let answered: Vec<u64> = node.unanswered.drain(..).map(|(write, _)| write).collect();
        self.acknowledged.extend(answered);
        if *self.epochs.entry(term.epoch).or_insert(at) != at {
            self.violations.insert("two primaries acknowledged in one epoch");
        }
        let other = if at == EAST { WEST } else { EAST };
        let held = self.node(other).log.clone();
        let missing = self.node(at).log.iter().find(|commit| !held.contains(commit));
        let age = missing.map_or(Span::ZERO, |commit| now.since(commit.at));
        let in_sync = self.chosen().is_some_and(|it| it.secondary_state == SecondaryState::InSync);
        if in_sync && age > MAX_LAG + LATENCY {
            self.violations.insert("acknowledged beyond the bound while in_sync");
        }
    }

    fn judge(&mut self) {
        let acting = [EAST, WEST].into_iter().filter(|id| self.node(*id).term(self.now).is_some());
        if acting.count() > 1 {
            self.violations.insert("two regions act at one time");
        }
    }

    /// The newest value that a majority of its set has accepted under one ballot, by the disks.
    pub fn chosen(&self) -> Option<Value> {
        let registers = self.nodes.iter().filter_map(|(id, node)| {
            match node.records.get(&RecordKey::Register(account()))? {
                Record::Register { register, .. } => Some((*id, register.accepted.clone()?)),
                _ => None,
            }
        });
        let registers: Vec<(Id, (dr::Ballot, Value))> = registers.collect();
        let chosen = registers.iter().filter(|(_, (ballot, value))| {
            let same = registers.iter().filter(|(_, (other, _))| other == ballot);
            value.acceptors.quorum(&same.map(|(member, _)| id(*member)).collect())
        });
        chosen.max_by_key(|(_, (ballot, _))| *ballot).map(|(_, (_, value))| value.clone())
    }

    pub fn primary(&self) -> Option<Id> {
        [EAST, WEST].into_iter().find(|id| self.node(*id).term(self.now).is_some())
    }

    pub fn epoch(&self) -> u64 {
        self.chosen().map_or(0, |value| value.reign.epoch.get())
    }

    /// One event; false when nothing is due before `end`.
    fn one(&mut self, end: BootTime) -> bool {
        let packet = self.packets.first_key_value().map(|((at, _), _)| *at);
        let timer = self.nodes.iter().filter(|(_, node)| node.member.is_some());
        let timer =
            timer.filter(|(id, _)| **id != WITNESS).map(|(id, node)| (node.timer, *id)).min();
        let next = self.next_ship.min(packet.unwrap_or(end));
        let next = next.min(timer.map_or(end, |(at, _)| at)).max(self.now);
        if next >= end {
            self.now = end;
            return false;
        }
        self.now = next;
        if packet.is_some_and(|at| at <= next) {
            let (_, packet) = self.packets.pop_first().expect("looked at just now");
            self.arrive(packet);
        } else if self.next_ship <= next {
            self.next_ship = next + SHIP_EVERY;
            self.ship();
            self.acknowledge(EAST);
            self.acknowledge(WEST);
        } else if let Some((_, id)) = timer {
            self.node_mut(id).timer = next + Span::from_ms(50);
            self.tell(id, Event::Tick);
        }
        self.judge();
        true
    }

    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        while self.one(end) {}
    }

    /// Runs until `holds`, at most so long; the diary tells why not.
    #[track_caller]
    pub fn until(&mut self, what: &str, ms: u64, holds: impl Fn(&Self) -> bool) {
        assert!(self.eventually(ms, holds), "not {what} in {ms} ms:\n{}", self.diary.join("\n"));
    }

    pub fn eventually(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + Span::from_ms(ms);
        while !holds(self) {
            if !self.one(end) {
                return false;
            }
        }
        true
    }

    /// Writes every 20 ms wherever a gate admits, so long; returns how many were admitted.
    pub fn load(&mut self, ms: u64) -> u64 {
        let before = self.writes;
        for _ in 0..ms / 20 {
            for at in [EAST, WEST] {
                self.write(at);
            }
            self.run(Span::from_ms(20));
        }
        self.writes - before
    }

    /// Heals all, starts all, and waits until the two logs are one and in sync.
    pub fn converges(&mut self, ms: u64) -> bool {
        self.heal();
        self.fate = Box::new(|_| Fate::Deliver);
        for of in ALL {
            self.node_mut(of).never_opens = false;
            if self.node(of).member.is_none() {
                self.start(of, &ALL);
            }
        }
        self.eventually(ms, |world| {
            let same = world.node(EAST).log == world.node(WEST).log;
            let in_sync = |it: &Value| it.secondary_state == SecondaryState::InSync;
            same && world.primary().is_some() && world.chosen().is_some_and(|it| in_sync(&it))
        })
    }

    /// Acknowledged ⇒ present at the primary, or exported.
    pub fn unaccounted(&self) -> Vec<u64> {
        let kept = |node: &Node| {
            let all = node.log.iter().chain(&node.exported);
            all.map(|commit| commit.write).collect::<BTreeSet<u64>>()
        };
        let present: BTreeSet<u64> = self.nodes.values().flat_map(kept).collect();
        self.acknowledged.iter().filter(|write| !present.contains(write)).copied().collect()
    }
}
