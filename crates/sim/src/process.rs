//! One process lifetime of a member: the real protocol machine, and around it the driver that
//! carries out what it asks for.

use crate::account::{Account, Commit};
use crate::machine::{Machine, place_of};
use crate::packet::Packet;
use crate::scene::{Happening, Scene, Turn};
use crate::serving::Serving;
use crate::shipping::Shipping;
use crate::{Checker, Place};
use base::{AccountName, BootId, BootTime, Epoch, Position, Span};
use bytes::Bytes;
use dr::{Action, Bug, Bugs, Closed, Config, Event, Gate, Member, Role, Wire};
use std::collections::VecDeque;

/// How often a region looks at what waits.
const LOOK: Span = Span::from_ms(50);

/// The account of every run.
#[must_use]
pub fn account_name() -> AccountName {
    "fhir".parse().expect("a plain name")
}

/// An answer to the protocol that waits for the log to be durable.
#[derive(Clone, Copy, Debug)]
pub enum Owed {
    /// To `StopAppends`.
    AppendsStopped(dr::Query),
    /// To `OpenEpoch`.
    Opened(Epoch, Position),
    /// To `Drain`.
    Drained(Epoch),
    /// To `FetchTail`.
    TailFetched(dr::Query),
}

/// A running member.
pub struct Process {
    /// Which member.
    pub place: Place,
    /// This lifetime.
    pub boot: BootId,
    /// The protocol.
    pub member: Member,
    /// What the gate says.
    pub gate: Gate,
    /// What part this region has.
    pub role: Role,
    /// The region's copy; the witness has none.
    pub account: Option<Account>,
    /// Requests under way.
    pub serving: Serving,
    /// Shipping under way.
    pub shipping: Shipping,
    /// Batches up to this epoch are refused.
    pub stopped: Option<Epoch>,
    /// Rules taken out.
    pub bugs: Bugs,
    /// What operators were told.
    pub replies: Vec<(dr::RequestId, dr::Outcome)>,
    timer: Option<BootTime>,
    sync_planned: bool,
    owed: Vec<Owed>,
    events: VecDeque<Event>,
}

impl Process {
    /// Starts.
    pub fn start(
        machine: &mut Machine,
        scene: &mut Scene,
        config: Config,
        boot: BootId,
        records: Vec<dr::Record>,
    ) -> Self {
        let bugs = config.bugs;
        let now = machine.now(scene.now());
        let (member, actions) = Member::start(config, boot, records, now, &mut machine.chance);
        let account = (machine.place != Place::Witness).then(|| {
            Account::open(&machine.disk).expect("a log survives every crash that it promises to")
        });
        let mut process = Self {
            place: machine.place,
            boot,
            member,
            gate: Gate::Closed { epoch: Epoch::ZERO, why: Closed::Changing },
            role: Role::Starting,
            account,
            serving: Serving::default(),
            shipping: Shipping::default(),
            stopped: None,
            bugs,
            replies: Vec::new(),
            timer: None,
            sync_planned: false,
            owed: Vec::new(),
            events: VecDeque::new(),
        };
        scene.note(machine.place, || format!("starts as {boot}"));
        process.perform_all(machine, scene, actions);
        if let Some(account) = &process.account {
            let end = account.log.durable();
            process.events.push_back(Event::LogEnd { account: account_name(), end });
            process.find_exports();
            process.plan_look(machine, scene);
        }
        process.run(machine, scene);
        process
    }

    /// Something to tell the protocol, once this turn is over.
    pub fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells the protocol all there is.
    pub fn run(&mut self, machine: &mut Machine, scene: &mut Scene) {
        while let Some(event) = self.events.pop_front() {
            let now = machine.now(scene.now());
            let actions = self.member.step(now, event, &mut machine.chance);
            self.perform_all(machine, scene, actions);
        }
    }

    fn perform_all(&mut self, machine: &mut Machine, scene: &mut Scene, actions: Vec<Action>) {
        for action in actions {
            self.perform(machine, scene, action);
        }
    }

    fn perform(&mut self, machine: &mut Machine, scene: &mut Scene, action: Action) {
        match action {
            Action::Send(envelope) => {
                let to = place_of(envelope.to).expect("only members are written to");
                let bytes = postcard::to_stdvec(&Wire::V1(envelope)).expect("a message encodes");
                scene.send(self.place, to, Packet::Protocol(Bytes::from(bytes)));
            }
            Action::Persist { token, record } => machine.persist(scene, token.0, record),
            Action::SetTimer { at } => {
                self.timer = Some(at);
                let at = machine.clock.when(at);
                let (place, life) = (self.place, machine.life);
                let happening = Happening::Process { place, life, what: Turn::Timer };
                scene.agenda.at(at, happening);
            }
            Action::SetGate { gate, .. } => {
                scene.note(self.place, || format!("gate {gate:?}"));
                self.gate = gate;
            }
            Action::SetRole { role, .. } => self.set_role(machine, scene, role),
            Action::Diary { sentence, .. } => scene.note(self.place, || format!("“{sentence}”")),
            Action::Reply { request, outcome } => {
                scene.note(self.place, || format!("replies {outcome:?}"));
                self.replies.push((request, outcome));
            }
            action => self.perform_on_log(machine, scene, action),
        }
    }

    fn perform_on_log(&mut self, machine: &mut Machine, scene: &mut Scene, action: Action) {
        scene.note(self.place, || format!("does {action:?}"));
        let Some(account) = &mut self.account else {
            panic!("{} has no log for {action:?}", self.place);
        };
        let name = account_name();
        match action {
            Action::LookUp { query, seq, .. } => {
                let found = account.log.reader().position(seq).expect("the log reads");
                let end = account.log.durable();
                self.tell(Event::LookedUp { account: name, query, found, end });
            }
            Action::StopAppends { query, epoch, .. } => {
                self.stopped = Some(self.stopped.map_or(epoch, |stopped| stopped.max(epoch)));
                self.owe(machine, scene, Owed::AppendsStopped(query));
            }
            Action::FetchTail { query, from, .. } => {
                let after = account.log.end();
                self.fetch_tail(machine, scene, query, from, after);
            }
            Action::OpenEpoch { epoch, fork, at, above, .. } => {
                let end = account.log.end();
                if end != at && !self.bugs.has(Bug::E2LooseEnd) {
                    self.tell(Event::NotOpened { account: name, epoch, end });
                    return;
                }
                account.stamp = account.stamp.max(above);
                let appended = account.append(epoch, None, &[Commit::Opening]);
                let position = appended.expect("the log appends")[0];
                self.serving.begin_epoch(fork);
                self.shipping.appended(position.seq, machine.clock.boot(scene.now()));
                self.owe(machine, scene, Owed::Opened(epoch, position));
            }
            Action::Drain { epoch, .. } => self.owe(machine, scene, Owed::Drained(epoch)),
            Action::Return(plan) => {
                self.sync_planned = false;
                self.owed.clear();
                let exported = account.cut(&plan.keep).expect("the log exports and cuts");
                let end = account.log.durable();
                scene.count(if exported.is_some() { "return with a tail" } else { "return" });
                self.give_up_waiting(scene);
                self.find_exports();
                self.tell(Event::Returned { account: name, epoch: plan.epoch, end });
            }
            other => panic!("{other:?} does not concern the log"),
        }
    }

    fn set_role(&mut self, machine: &mut Machine, scene: &mut Scene, role: Role) {
        scene.note(self.place, || format!("role {role:?}"));
        if let Role::Stopped { why } = &role {
            let text = format!("{} stops: {why}", self.place);
            scene.ledger.violate(Checker::NoStop, text);
        }
        if matches!(role, Role::Secondary { appends: true, .. }) {
            self.stopped = None;
        }
        self.role = role;
        self.begin_shipping(machine, scene);
    }

    /// Answers once everything appended so far is durable.
    pub fn owe(&mut self, machine: &mut Machine, scene: &mut Scene, owed: Owed) {
        self.owed.push(owed);
        self.sync_soon(machine, scene);
        self.pay();
    }

    fn pay(&mut self) {
        let Some(account) = &self.account else { return };
        let end = account.log.durable();
        if end != account.log.end() {
            return;
        }
        for owed in std::mem::take(&mut self.owed) {
            let account = account_name();
            self.events.push_back(match owed {
                Owed::AppendsStopped(query) => Event::AppendsStopped { account, query, end },
                Owed::Opened(epoch, position) => Event::Opened { account, epoch, position },
                Owed::Drained(epoch) => Event::Drained { account, epoch, end },
                Owed::TailFetched(query) => Event::TailFetched { account, query, end },
            });
        }
    }

    /// Plans a sync of the log, unless one is under way or nothing is to be synced.
    pub fn sync_soon(&mut self, machine: &mut Machine, scene: &mut Scene) {
        let Some(account) = &self.account else { return };
        if !self.sync_planned && account.log.durable() != account.log.end() {
            self.sync_planned = true;
            machine.plan_sync(scene, Turn::Synced);
        }
    }

    fn plan_look(&self, machine: &Machine, scene: &mut Scene) {
        let (place, life) = (self.place, machine.life);
        scene.agenda.after(LOOK, Happening::Process { place, life, what: Turn::Look });
    }

    /// Something comes by itself.
    pub fn turn(&mut self, machine: &mut Machine, scene: &mut Scene, what: Turn) {
        match what {
            Turn::Timer => {
                let now = machine.clock.boot(scene.now());
                if self.timer.is_some_and(|at| at <= now) {
                    self.timer = None;
                    self.tell(Event::Tick);
                }
            }
            Turn::Persisted(token) => {
                machine.persisted(token);
                self.tell(Event::Persisted { token: dr::Token(token) });
            }
            Turn::Synced => self.synced(machine, scene),
            Turn::Look => {
                self.ship_again(machine, scene);
                self.plan_look(machine, scene);
            }
            Turn::TailLate(query) => self.tail_is_late(machine, scene, query),
        }
        self.finish(machine, scene);
    }

    fn synced(&mut self, machine: &mut Machine, scene: &mut Scene) {
        self.sync_planned = false;
        let Some(account) = &mut self.account else { return };
        account.log.sync().expect("the log syncs");
        while account.log.prepare_next_segment().expect("a segment is prepared") {}
        scene.ledger.digest(self.place, account.log.end(), account.digest());
        self.pay();
        self.ship_durable(machine, scene);
    }

    /// A message came.
    pub fn receive(
        &mut self,
        machine: &mut Machine,
        scene: &mut Scene,
        from: Place,
        packet: Packet,
    ) {
        match packet {
            Packet::Protocol(bytes) => match postcard::from_bytes(&bytes) {
                Ok(Wire::V1(envelope)) => self.tell(Event::Received(envelope)),
                Err(error) => panic!("a message does not decode: {error}"),
            },
            Packet::Ask(ask) => self.ask(machine, scene, from, ask),
            Packet::Reply(reply) => self.pass_back(scene, &reply),
            Packet::Probe => {
                let status = Box::new(self.status(machine, scene));
                scene.send(self.place, from, Packet::Status(status));
            }
            shipped => self.receive_shipped(machine, scene, from, shipped),
        }
        self.finish(machine, scene);
    }

    /// Ends a turn: tells the protocol what happened, answers what may be answered.
    pub fn finish(&mut self, machine: &mut Machine, scene: &mut Scene) {
        self.run(machine, scene);
        self.tell_lag(machine, scene);
        self.run(machine, scene);
        self.settle(machine, scene);
        self.sync_soon(machine, scene);
    }
}
