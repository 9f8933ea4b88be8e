//! A region's machine for one account.
//!
//! ```text
//!  Waiting ──primary is me, another boot──► Raising ──chosen──► Opening ──opened──► Acting
//!     │                                        ▲                   ▲                  │ drain, sign
//!     │                                        │ new process       │ chosen           ▼
//!     │                                        │                   ├────abort─── Released
//!     └──secondary is me──► Attaching ──► Following ──P1──► Sealed ┘                  │ handed over
//!                              ▲              │  └──release──► Taking ──► Opening     │
//!                              └──new epoch───┴───────────────────────────────────────┘
//! ```
//! `known` is the newest value known chosen; every change of it goes through `follow_value`.

mod acting;
mod attach;
mod promote;
mod raise;
mod registrar;
mod setup;
mod switchover;

use crate::{
    Acceptors, Action, Ballot, Bug, Change, Closed, Config, Event, Gate, Goal, Holder, Leaseholder,
    Message, Now, Output, PeerKind, Query, Record, Reign, RequestId, Role, SecondaryState, Seen,
    Sender, TailAnswer, TailAsk, Value, Verdict, View,
};
use base::{AccountName, Attempt, BootTime, ChangeId, Epoch, MemberId, Position, Rng, Span, Stamp};
use registrar::Registrar;
use std::collections::BTreeMap;

/// What a turn of one region works with.
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) rng: &'a mut dyn Rng,
    pub(crate) config: &'a Config,
    pub(crate) holder: &'a Leaseholder,
    pub(crate) heard: &'a BTreeMap<MemberId, BootTime>,
    pub(crate) out: &'a mut Vec<Out>,
}

/// What a region asks for.
pub(crate) enum Out {
    Output(Output),
    Act(Action),
    /// Make a seal durable; [`Region::sealed`] follows.
    Seal(Record),
    /// Renew the leases now, not at the next interval.
    RenewNow,
}

impl Cx<'_> {
    fn act(&mut self, action: Action) {
        self.out.push(Out::Act(action));
    }
    fn send(&mut self, to: MemberId, message: Message) {
        self.out.push(Out::Output(Output::ask(to, message)));
    }
    fn name(&self, id: MemberId) -> String {
        let peer = self.config.members.iter().find(|peer| peer.id == id);
        peer.map_or_else(|| id.to_string(), |peer| peer.name.to_string())
    }
    fn after(&self, span: Span) -> BootTime {
        self.now.boot + span
    }
    fn patience(&self) -> Span {
        self.config.timing.patience()
    }
}

enum Part {
    /// The log or the register is not known yet.
    Waiting,
    /// R7: asking every member whether it holds a register of that name.
    Creating(setup::Creating),
    /// E1: a new process of the primary's region.
    Raising(raise::Raising),
    /// The epoch is chosen; its opening commit is being written.
    Opening,
    Acting(acting::Acting),
    /// S2: signed, and nothing more in that epoch.
    Released(switchover::Released),
    /// Q1: the secondary compares its log with the primary's.
    Attaching(attach::Attaching),
    Following,
    Sealed(promote::Sealed),
    /// S1: the next primary takes what was released.
    Taking(switchover::Taking),
    Bystander,
    Stopped(&'static str),
}

pub(crate) struct Region {
    account: AccountName,
    me: Holder,
    register: Registrar,
    /// The newest value known chosen, and the ballot if it is known.
    known: Option<Value>,
    ballot: Option<Ballot>,
    /// L2: the epoch that names this region and boot in a value that it chose or read itself.
    own_reign: Option<Reign>,
    /// L9: the highest ceiling of the latest quorums, of promises and of acceptances.
    ceiling: Stamp,
    above: Stamp,
    /// The log's durable end as told last; `None`: not open yet.
    log: Option<Position>,
    part: Part,
    /// P2: the durable seal.
    seal: Option<(Reign, Attempt)>,
    /// L1: whether renewals name the account, and when the lease was live last.
    listed: bool,
    leased_at: BootTime,
    watch: promote::Watch,
    tail_asks: BTreeMap<Query, (Sender, TailAsk)>,
    in_sync_since: Option<BootTime>,
    /// Hold-down: the epoch that this region lost unplanned, and since when it knows.
    failed: Option<(Epoch, BootTime)>,
    stuck: bool,
    /// A switchover's request, until it is answered.
    request: Option<RequestId>,
    numbers: u64,
    role: Role,
    gate: Gate,
    sentence: String,
}

impl Region {
    pub(crate) fn new(account: AccountName, me: Holder, config: &Config, now: Now) -> Self {
        Self {
            register: Registrar::new(me, account.clone(), config.bugs),
            account,
            me,
            known: None,
            ballot: None,
            own_reign: None,
            ceiling: Stamp::ZERO,
            above: Stamp::ZERO,
            log: None,
            part: Part::Waiting,
            seal: None,
            listed: true,
            leased_at: now.boot,
            watch: promote::Watch::default(),
            tail_asks: BTreeMap::new(),
            in_sync_since: None,
            failed: None,
            stuck: false,
            request: None,
            numbers: 0,
            role: Role::Starting,
            gate: Gate::Closed { epoch: Epoch::ZERO, why: Closed::Changing },
            sentence: String::new(),
        }
    }

    /// A seal that an earlier process made durable.
    pub(crate) fn restore_seal(&mut self, reign: Reign, attempt: Attempt) {
        self.seal = Some((reign, attempt));
    }

    /// Reads the register, to begin with.
    pub(crate) fn begin(&mut self, cx: &mut Cx<'_>) {
        self.register.want(Goal::Read, cx.now.boot);
    }

    /// A message that is for the region, not for the acceptor.
    pub(crate) fn receive(&mut self, cx: &mut Cx<'_>, from: Sender, message: Message) {
        match message {
            Message::Promise(_) | Message::Accepted(_) | Message::Refused(_) => {
                let verdict = self.register.receive(cx, from.member, message);
                self.judge(cx, verdict);
            }
            Message::Chosen { value, .. } => self.learn(cx, value, None),
            Message::TailAsk(ask) => self.tail_asked(cx, from, ask),
            Message::TailAnswer(answer) => self.tail_answered(cx, from.member, &answer),
            Message::Released { release, .. } => self.released_to_me(cx, from, release),
            Message::Copied { settled_in, .. } => self.copied(from.member, settled_in),
            _ => {}
        }
    }

    /// An acceptor's answer to the watch's question.
    pub(crate) fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        from: MemberId,
        round: u64,
        seen: Option<Seen>,
    ) {
        if matches!(self.part, Part::Creating(_)) {
            self.create_answered(cx, from, seen.is_some());
        } else {
            self.watch_answered(cx, from, round, seen);
        }
    }

    /// A fact about the log, or a request.
    pub(crate) fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::LogEnd { end, .. } => {
                let first = self.log.replace(end).is_none();
                if first && matches!(self.part, Part::Waiting) {
                    self.follow_value(cx);
                }
            }
            Event::LookedUp { query, found, end, .. } => self.looked_up(cx, query, found, end),
            Event::AppendsStopped { query, end, .. } => self.appends_stopped(cx, query, end),
            Event::TailFetched { query, end, .. } => self.tail_fetched(cx, query, end),
            Event::Opened { epoch, position, .. } => self.opened(cx, epoch, position),
            Event::NotOpened { epoch, end, .. } => self.not_opened(cx, epoch, end),
            Event::Drained { epoch, end, .. } => self.drained(epoch, end),
            Event::Returned { epoch, end, .. } => self.returned(cx, epoch, end),
            Event::SecondaryAcked { from, epoch, position, .. } => {
                self.secondary_acked(cx, from, epoch, position);
            }
            Event::Lag { waiting_since, .. } => self.lag(waiting_since),
            Event::OtherEpochShipped { epoch, .. } => {
                // E3: a higher epoch voids what was known of the register.
                let known = self.known.as_ref().map_or(Epoch::ZERO, |value| value.reign.epoch);
                if epoch > known && self.register.goal().is_none() {
                    self.register.want(Goal::Read, cx.now.boot);
                }
            }
            Event::Stuck { stuck, .. } => self.stuck = stuck,
            Event::Operator { request, request_for } => self.operator(cx, request, request_for),
            Event::Tick | Event::Received(_) | Event::Persisted { .. } | Event::Joined(_) => {}
        }
    }

    /// Time passes, and everything else has been told.
    pub(crate) fn turn(&mut self, cx: &mut Cx<'_>) {
        match &self.part {
            Part::Creating(_) => self.turn_creating(cx),
            Part::Raising(_) => self.turn_raising(cx),
            Part::Acting(_) => self.turn_acting(cx),
            Part::Released(_) => self.turn_released(cx),
            Part::Attaching(_) => self.turn_attaching(cx),
            _ => {}
        }
        let targets = self.targets(cx.config);
        let verdict = self.register.turn(cx, &targets, self.known.as_ref());
        self.judge(cx, verdict);
    }

    /// When [`Region::turn`] is due, at the latest.
    pub(crate) fn due(&self, cx: &Cx<'_>) -> Option<BootTime> {
        let part = match &self.part {
            Part::Raising(raising) => Some(raising.due()),
            Part::Acting(acting) => acting.due(self, cx),
            Part::Released(released) => Some(released.due()),
            Part::Attaching(attaching) => attaching.due(),
            _ => None,
        };
        part.into_iter().chain(self.register.due()).min()
    }

    /// L1: whether a renewal names the account: a chosen value is known that names this region.
    pub(crate) fn listed(&self) -> bool {
        let named = self.known.as_ref().is_some_and(|value| value.primary == self.me);
        named && self.own_reign.is_some() && self.listed && !self.stuck
    }

    /// Whether the acceptors are to be asked about the account without a ballot.
    pub(crate) fn watches(&self) -> bool {
        matches!(
            self.part,
            Part::Creating(_)
                | Part::Attaching(_)
                | Part::Following
                | Part::Sealed(_)
                | Part::Taking(_)
                | Part::Waiting
        )
    }

    fn targets(&self, config: &Config) -> Acceptors {
        match &self.known {
            Some(value) => value.acceptors.clone(),
            None => Acceptors::of(config.members.iter().map(|peer| peer.id)),
        }
    }

    /// L9: the epoch's stamps begin above this, so its ceiling must be higher.
    pub(crate) fn stamps_above(&self) -> Stamp {
        self.above
    }

    fn query(&mut self) -> Query {
        self.numbers += 1;
        Query(self.numbers)
    }

    fn look_up(&mut self, cx: &mut Cx<'_>, seq: base::Seq) -> Query {
        let query = self.query();
        cx.act(Action::LookUp { account: self.account.clone(), query, seq });
        query
    }

    fn change(&mut self, cx: &mut Cx<'_>, change: Change) {
        // R3: one id over all tries of one change.
        let id = ChangeId::mint(cx.rng);
        self.register.want(Goal::Change(id, change), cx.now.boot);
    }

    fn say(&mut self, cx: &mut Cx<'_>, sentence: String) {
        if sentence != self.sentence {
            self.sentence.clone_from(&sentence);
            cx.act(Action::Diary { account: Some(self.account.clone()), sentence });
        }
    }

    fn reply(&mut self, cx: &mut Cx<'_>, outcome: crate::Outcome) {
        if let Some(request) = self.request.take() {
            cx.act(Action::Reply { request, outcome });
        }
    }

    fn judge(&mut self, cx: &mut Cx<'_>, verdict: Option<Verdict>) {
        match verdict {
            Some(Verdict::Chosen { value, ballot, ceiling, .. }) => {
                self.ceiling = ceiling;
                if let Part::Acting(acting) = &mut self.part {
                    // R3: a later value is chosen, so what was proposed before binds no longer.
                    acting.binding = false;
                }
                self.listed = true;
                self.learn(cx, value, Some(ballot));
            }
            Some(Verdict::Nothing) if matches!(self.part, Part::Waiting) => {
                self.say(cx, "there is no register of this account".to_owned());
            }
            Some(Verdict::Nothing | Verdict::Failed(_)) | None => {}
        }
    }

    /// A value is chosen; `own` is the ballot under which this region itself saw it chosen.
    fn learn(&mut self, cx: &mut Cx<'_>, value: Value, own: Option<Ballot>) {
        let rank = |value: &Value| (value.reign.generation, value.version.counter);
        let known = self.known.as_ref();
        // E5, R7: the older is refused; the generation leads.
        if known.is_some_and(|known| rank(known) > rank(&value)) {
            return;
        }
        let news = known.is_none_or(|known| rank(known) < rank(&value));
        if own.is_some() {
            self.ballot = own;
            if value.primary == self.me {
                self.own_reign = Some(value.reign);
            }
        }
        if !news && own.is_none() {
            return;
        }
        let in_sync = value.secondary_state == SecondaryState::InSync;
        self.in_sync_since = in_sync.then(|| self.in_sync_since.unwrap_or(cx.now.boot));
        self.known = Some(value);
        if news && own.is_some() {
            self.tell_chosen(cx);
        }
        self.follow_value(cx);
    }

    fn tell_chosen(&self, cx: &mut Cx<'_>) {
        let Some(value) = &self.known else { return };
        let to: Vec<MemberId> = cx.config.members.iter().map(|peer| peer.id).collect();
        for to in to.into_iter().filter(|to| *to != self.me.member) {
            let (account, value) = (self.account.clone(), value.clone());
            cx.send(to, Message::Chosen { account, value });
        }
    }

    /// What the newest chosen value makes of this region's part.
    fn follow_value(&mut self, cx: &mut Cx<'_>) {
        let Some(value) = self.known.clone() else { return };
        self.created(cx, value.primary == self.me);
        if matches!(self.part, Part::Stopped(_)) && value.primary != self.me {
            return;
        }
        if value.primary == self.me {
            self.named(cx, &value);
        } else if value.primary.member == self.me.member {
            self.raise(cx, &value);
        } else if value.secondary == Some(self.me.member) {
            self.follow(cx, &value);
        } else if !matches!(self.part, Part::Bystander) {
            self.part = Part::Bystander;
            self.say(
                cx,
                format!("{} is primary and this region has no part", cx.name(value.primary.member)),
            );
        }
    }

    /// The value names this process as primary.
    fn named(&mut self, cx: &mut Cx<'_>, value: &Value) {
        if self.own_reign != Some(value.reign) {
            // L2: others' word does not let it act: it reads the value itself.
            if self.register.goal().is_none() {
                self.register.want(Goal::Read, cx.now.boot);
            }
            return;
        }
        let running = match &self.part {
            Part::Opening | Part::Stopped(_) => self.role_epoch() == value.reign.epoch,
            Part::Acting(acting) => acting.reign == value.reign,
            Part::Released(released) => released.reign() == value.reign,
            _ => false,
        };
        if !running {
            self.open(cx, value);
        }
    }

    fn role_epoch(&self) -> Epoch {
        match self.role {
            Role::Primary { epoch, .. } | Role::Secondary { epoch, .. } => epoch,
            _ => Epoch::ZERO,
        }
    }

    /// The actions by which role and gate change, to be carried out before all others of the turn.
    pub(crate) fn settle(&mut self, cx: &Cx<'_>, first: &mut Vec<Action>) {
        let role = self.role_now();
        if role != self.role {
            self.role = role.clone();
            first.push(Action::SetRole { account: self.account.clone(), role });
        }
        let gate = self.gate_now(cx);
        if gate != self.gate {
            self.gate = gate;
            first.push(Action::SetGate { account: self.account.clone(), gate });
        }
    }

    fn role_now(&self) -> Role {
        let Some(value) = &self.known else { return Role::Starting };
        match &self.part {
            Part::Stopped(why) => Role::Stopped { why },
            Part::Bystander => Role::Bystander,
            Part::Opening | Part::Acting(_) => {
                Role::Primary { epoch: value.reign.epoch, secondary: value.secondary }
            }
            Part::Released(released) => Role::Primary {
                epoch: released.reign().epoch,
                secondary: value.secondary.filter(|_| value.reign == released.reign()),
            },
            Part::Waiting
            | Part::Attaching(_)
            | Part::Following
            | Part::Sealed(_)
            | Part::Taking(_)
                if value.secondary == Some(self.me.member) =>
            {
                Role::Secondary {
                    epoch: value.reign.epoch,
                    primary: value.primary,
                    appends: matches!(self.part, Part::Following),
                }
            }
            _ => Role::Starting,
        }
    }

    fn gate_now(&self, cx: &Cx<'_>) -> Gate {
        let epoch = self.known.as_ref().map_or(Epoch::ZERO, |value| value.reign.epoch);
        let closed = |why| Gate::Closed { epoch, why };
        match &self.part {
            Part::Acting(acting) => acting.gate(self, cx),
            Part::Stopped(_) => closed(Closed::Stopped),
            Part::Attaching(_) | Part::Following | Part::Sealed(_) | Part::Bystander => {
                closed(Closed::NotPrimary)
            }
            _ => closed(Closed::Changing),
        }
    }

    pub(crate) fn view(
        &self,
        cx_heard: &BTreeMap<MemberId, BootTime>,
        config: &Config,
        now: BootTime,
    ) -> View {
        View {
            account: self.account.clone(),
            value: self.known.clone(),
            role: self.role.clone(),
            gate: self.gate,
            compute: self.compute(cx_heard, config, now),
            sentence: self.sentence.clone(),
        }
    }

    fn witness_free_peer(&self, config: &Config) -> Option<MemberId> {
        let regions = config.members.iter().filter(|peer| peer.kind == PeerKind::Region);
        regions.map(|peer| peer.id).find(|id| *id != self.me.member)
    }

    fn tail_asked(&mut self, cx: &mut Cx<'_>, from: Sender, ask: TailAsk) {
        // E1: answered from the log as it is, whatever else is going on. A question repeated
        // replaces the older one.
        if self.log.is_none() {
            return;
        }
        self.tail_asks.retain(|_, (asker, _)| asker.member != from.member);
        let query = self.look_up(cx, ask.position.seq);
        self.tail_asks.insert(query, (from, ask));
    }

    fn looked_up(&mut self, cx: &mut Cx<'_>, query: Query, found: Option<Position>, end: Position) {
        if let Some((to, ask)) = self.tail_asks.remove(&query) {
            let at = ask.position;
            // By the hash, which chains over all before: never by comparing epoch and seq.
            let holds = found.is_some_and(|it| same(it, at))
                || cx.config.bugs.has(Bug::TuplePositions)
                    && (at.epoch, at.seq) <= (end.epoch, end.seq);
            let answer =
                TailAnswer { number: ask.number, account: ask.account, holds, position: at, end };
            cx.out.push(Out::Output(Output::answer(to, Message::TailAnswer(answer))));
            return;
        }
        match &self.part {
            Part::Raising(_) => self.raising_looked_up(cx, query, found, end),
            Part::Attaching(_) => self.attaching_looked_up(cx, query, found),
            _ => {}
        }
    }

    fn tail_answered(&mut self, cx: &mut Cx<'_>, from: MemberId, answer: &TailAnswer) {
        match &self.part {
            Part::Raising(_) => self.raising_tail(cx, from, answer),
            Part::Attaching(_) => self.attaching_tail(cx, from, answer),
            _ => {}
        }
    }

    fn appends_stopped(&mut self, cx: &mut Cx<'_>, query: Query, end: Position) {
        self.log = Some(end);
        match &self.part {
            Part::Attaching(_) => self.attaching_stopped(cx, query, end),
            Part::Sealed(_) => self.sealed_measured(cx, query, end),
            Part::Taking(_) => self.taking_measured(cx, query, end),
            _ => {}
        }
    }
}

/// The same commit of the same branch. The epoch follows from the hash.
fn same(a: Position, b: Position) -> bool {
    a.seq == b.seq && a.hash == b.hash
}
