//! One process lifetime of a member: the real protocol machine, and around it the driver that
//! carries out what it asks for.

use crate::account::Account;
use crate::machine::{Machine, member_id, place_of};
use crate::packet::Packet;
use crate::scene::{Happening, Scene, Turn};
use crate::serving::Serving;
use crate::shipping::Shipping;
use crate::{Checker, Flaw, Place, SiteClock};
use base::{AccountName, BootId, BootTime, Clock as _, Epoch, Fork, Position, Seq, Span, Stamp};
use bytes::Bytes;
use dr::{Action, Bug, Bugs, Closed, Config, Event, Gate, Holder, Member, Role, View, Wire};
use replication::{AccountGate, Parcel};
use std::collections::VecDeque;
use std::sync::Arc;
use store::disk::SimDisk;

/// How often a region looks at what waits.
const LOOK: Span = Span::from_ms(100);
/// Turns of the protocol that one happening may cause.
const TURNS: u32 = 1000;

/// The account of every run.
#[must_use]
pub fn account_name() -> AccountName {
    "fhir".parse().expect("a plain name")
}

struct Opening {
    epoch: Epoch,
    fork: Fork,
    at: Position,
    above: Stamp,
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
    /// The real gate that clients pass.
    pub gates: Arc<AccountGate>,
    /// What part this region has.
    pub role: Role,
    /// The region's copy; the witness has none.
    pub account: Option<Account>,
    /// Requests under way.
    pub serving: Serving,
    /// Shipping under way.
    pub shipping: Shipping,
    /// The store has failed: the process must stop.
    pub failed: bool,
    /// What the protocol knows may have changed since it was looked at.
    pub news: bool,
    /// What the protocol is told next.
    pub events: VecDeque<Event>,
    /// What operators were told.
    pub replies: Vec<(dr::RequestId, dr::Outcome)>,
    clock: Arc<SiteClock>,
    disk: SimDisk,
    /// Syncs of the disk, and what was durable after the latest.
    synced: (u64, Position),
    /// What is wrong on purpose.
    pub flaw: Flaw,
    bugs: Bugs,
    timer: Option<BootTime>,
    sync_planned: bool,
    opening: Option<Opening>,
    opened: Option<Epoch>,
    draining: Option<Epoch>,
    /// L8: the durable end, since when it has not moved under work, and whether that was told.
    progress: (Seq, BootTime, bool),
    lease: Span,
}

impl Process {
    /// Starts.
    pub fn start(
        machine: &mut Machine,
        scene: &mut Scene,
        config: Config,
        boot: BootId,
        records: Vec<dr::Record>,
        flaw: Flaw,
    ) -> Self {
        let (bugs, lease) = (config.bugs, config.timing.lease());
        let (place, clock) = (machine.place, machine.site.clone());
        let now = machine.now(scene.now());
        let (member, actions) = Member::start(config, boot, records, now, &mut machine.chance);
        let me = Holder { member: member_id(place), boot };
        let gates = Arc::new(AccountGate::new(me.member, clock.clone()));
        let account = (place != Place::Witness).then(|| {
            Account::open(&machine.disk, &clock, &gates)
                .or_else(|_| {
                    // The power may have been cut again while it was opened.
                    machine.disk.crash(&mut machine.chance);
                    Account::open(&machine.disk, &clock, &gates)
                })
                .expect("a log survives every crash that it promises to")
        });
        let durable =
            account.as_ref().map_or(Position::ZERO, |account| account.core.reader().durable());
        let mut process = Self {
            place,
            boot,
            member,
            gate: Gate::Closed { epoch: Epoch::ZERO, why: Closed::Changing },
            gates,
            role: Role::Starting,
            account,
            serving: Serving::default(),
            shipping: Shipping::new(me, clock.clone(), durable, bugs),
            failed: false,
            news: true,
            events: VecDeque::new(),
            replies: Vec::new(),
            progress: (durable.seq, clock.boot(), false),
            clock,
            disk: machine.disk.clone(),
            synced: (0, Position::ZERO),
            flaw,
            bugs,
            timer: None,
            sync_planned: false,
            opening: None,
            opened: None,
            draining: None,
            lease,
        };
        scene.note(place, || format!("starts as {boot}"));
        process.perform_all(machine, scene, actions);
        if process.account.is_some() {
            process.tell(Event::LogEnd { account: account_name(), end: durable });
            process.find_exports();
            process.plan_look(machine, scene);
            scene.send(place, place.other_region(), Packet::Connected);
        }
        process.finish(machine, scene);
        process
    }

    /// What the protocol knows of the account.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        self.member.view(&account_name())
    }

    /// Something to tell the protocol in this turn.
    pub fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The store said that it cannot go on.
    pub fn fail(&mut self, scene: &mut Scene, error: &store::Error) {
        scene.note(self.place, || format!("fails: {error}"));
        self.failed = true;
    }

    /// Tells the protocol all there is.
    fn run(&mut self, machine: &mut Machine, scene: &mut Scene) {
        let mut turns = 0;
        while let Some(event) = self.events.pop_front() {
            turns += 1;
            assert!(
                turns < TURNS,
                "the protocol runs in circles: {event:?}\n{}",
                scene.trace.tail(40)
            );
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
        self.news |=
            !matches!(action, Action::Send(_) | Action::SetTimer { .. } | Action::Persist { .. });
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
                self.gates.set(gate);
                self.set_term(gate);
                self.gate = gate;
            }
            Action::Diary { sentence, .. } => scene.note(self.place, || format!("“{sentence}”")),
            Action::Reply { request, outcome } => {
                scene.note(self.place, || format!("replies {outcome:?}"));
                self.replies.push((request, outcome));
            }
            action => self.perform_on_log(scene, action),
        }
    }

    fn perform_on_log(&mut self, scene: &mut Scene, action: Action) {
        scene.note(self.place, || format!("does {action:?}"));
        let Some(account) = &mut self.account else {
            panic!("{} has no log for {action:?}", self.place);
        };
        match action {
            Action::SetRole { role, .. } => self.set_role(scene, role),
            Action::LookUp { query, seq, .. } => {
                let reader = account.core.reader();
                let (account, end) = (account_name(), reader.durable());
                match reader.position(seq) {
                    Ok(found) => self.tell(Event::LookedUp { account, query, found, end }),
                    Err(_) => self.failed = true,
                }
            }
            Action::StopAppends { query, epoch, .. } => self.stop_appends(scene, query, epoch),
            Action::FetchTail { query, from, to, .. } => self.fetch_tail(scene, query, from, to),
            Action::OpenEpoch { epoch, fork, at, above, .. } => {
                self.opening = Some(Opening { epoch, fork, at, above });
                self.try_open(scene);
            }
            Action::Drain { epoch, .. } => {
                account.core.end_term();
                self.draining = Some(epoch);
            }
            Action::Return(plan) => self.go_back(scene, &plan),
            other => panic!("{other:?} does not concern the log"),
        }
    }

    fn set_role(&mut self, scene: &mut Scene, role: Role) {
        if let Role::Stopped { why } = &role {
            let text = format!("{} stops: {why}", self.place);
            scene.ledger.violate(Checker::NoStop, text);
        }
        if matches!(role, Role::Secondary { appends: true, .. }) {
            scene.count("return");
        }
        if !matches!(role, Role::Primary { .. }) {
            if let Some(account) = &self.account {
                account.core.end_term();
            }
            self.opening = None;
        }
        self.ship_as(scene, &role);
        self.role = role;
    }

    /// The committer is told of the ceiling, and goes on after a drain that was given up.
    fn set_term(&mut self, gate: Gate) {
        let (Gate::Open(term), Some(account)) = (gate, &self.account) else { return };
        match account.core.status().term {
            Some(known) if known.epoch == term.epoch => account.core.extend_term(term.ceiling),
            None if term.admits => {
                self.draining = None;
                let again = store::Term {
                    epoch: term.epoch,
                    fork: term.fork,
                    origin: (member_id(self.place), self.boot),
                    stamp_floor: Stamp::ZERO,
                    stamp_ceiling: term.ceiling,
                };
                // Busy: what was drained is not durable yet; the next gate comes soon.
                let _ = account.core.set_term(again);
            }
            _ => {}
        }
    }

    /// E2: only where the log ends exactly at the recorded start, once nothing is in flight.
    fn try_open(&mut self, scene: &mut Scene) {
        let (Some(opening), Some(account)) = (&self.opening, &mut self.account) else { return };
        let status = account.core.status();
        if status.in_flight > 0 || self.opened.is_some() {
            return;
        }
        let epoch = opening.epoch;
        if status.durable != opening.at && !self.bugs.has(Bug::E2LooseEnd) {
            let (account, end) = (account_name(), status.durable);
            self.opening = None;
            return self.tell(Event::NotOpened { account, epoch, end });
        }
        account.core.end_term();
        let floor = account.last_stamp().max(opening.above);
        let term = store::Term {
            epoch,
            fork: opening.fork,
            origin: (member_id(self.place), self.boot),
            stamp_floor: floor,
            stamp_ceiling: Stamp::from_ms(floor.ms() + 2),
        };
        match account.core.set_term(term) {
            Ok(()) => {
                account.submit_opening();
                scene.ledger.opens(self.place, epoch);
                self.opened = Some(epoch);
            }
            Err(store::Error::Busy { .. }) => {}
            Err(error) => self.fail(scene, &error),
        }
    }

    /// The opening commit is durable, or was refused.
    pub fn opened(&mut self, scene: &mut Scene, result: Result<Position, store::Error>) {
        let Some(epoch) = self.opened.take() else { return };
        match result {
            Ok(position) => {
                if self.opening.as_ref().is_some_and(|opening| opening.epoch == epoch) {
                    self.opening = None;
                }
                self.tell(Event::Opened { account: account_name(), epoch, position });
            }
            Err(error) => scene.note(self.place, || format!("opens again: {error}")),
        }
    }

    fn try_drained(&mut self) {
        let (Some(epoch), Some(account)) = (self.draining, &self.account) else { return };
        let status = account.core.status();
        if status.in_flight == 0 && status.durable == status.end {
            self.draining = None;
            let (account, end) = (account_name(), status.durable);
            self.tell(Event::Drained { account, epoch, end });
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
            Turn::Synced => self.synced(scene),
            Turn::Look => {
                self.news = true;
                self.gates.tick();
                self.ship_turn(scene);
                self.look_at_progress();
                self.plan_look(machine, scene);
            }
        }
        self.finish(machine, scene);
    }

    /// A sync is done: what was appended, or handed out by the follower, is durable.
    fn synced(&mut self, scene: &mut Scene) {
        self.sync_planned = false;
        self.disk.set_lying(self.flaw == Flaw::AckBeforeSync || self.ships_too_early());
        let Some(account) = &mut self.account else { return };
        if let Err(error) = account.sync() {
            return self.fail(scene, &error);
        }
        self.disk.set_lying(self.flaw == Flaw::AckBeforeSync);
        self.append_followed(scene);
        if let Some((position, digest)) = self.account.as_ref().and_then(Account::digest) {
            scene.ledger.digest(self.place, position, digest);
        }
        self.ship_durable(scene);
    }

    const fn ships_too_early(&self) -> bool {
        matches!(self.flaw, Flaw::ShipBeforeSync) && matches!(self.role, Role::Primary { .. })
    }

    /// What is durable is what the disk has synced, not what the log says.
    fn look_at_disk(&mut self, scene: &mut Scene) {
        let syncs = self.disk.syncs();
        if let Some(account) = &self.account
            && self.synced.0 != syncs
        {
            self.synced = (syncs, account.core.status().durable);
            scene.ledger.durable(self.place, self.synced.1);
        }
    }

    /// L8: work without progress for L.
    fn look_at_progress(&mut self) {
        let Some(account) = &self.account else { return };
        let (now, status) = (self.clock.boot(), account.core.status());
        let (last, since, told) = self.progress;
        let idle = status.in_flight == 0 || status.durable.seq != last;
        let since = if idle { now } else { since };
        let stuck = now.since(since) >= self.lease;
        if stuck != told {
            self.tell(Event::Stuck { account: Some(account_name()), stuck });
        }
        self.progress = (status.durable.seq, since, stuck);
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
            Packet::Parcel(bytes) => match Parcel::decode(&bytes) {
                Ok(parcel) => self.receive_parcel(scene, from, &parcel),
                Err(error) => panic!("a parcel does not decode: {error}"),
            },
            Packet::Connected => self.reconnected(scene, from),
            Packet::Ask(ask) => self.ask(scene, from, ask),
            Packet::Reply(reply) => self.pass_back(scene, &reply),
            Packet::Probe => {
                let status = Box::new(self.status());
                scene.send(self.place, from, Packet::Status(status));
            }
            Packet::Cancel(_) | Packet::Status(_) => {}
        }
        self.finish(machine, scene);
    }

    /// Ends a turn: tells the protocol what happened, answers what may be answered, and sees to
    /// it that what is to be made durable will be.
    pub fn finish(&mut self, machine: &mut Machine, scene: &mut Scene) {
        self.try_open(scene);
        self.try_drained();
        self.take_told(scene);
        self.run(machine, scene);
        self.tell_lag();
        self.run(machine, scene);
        self.settle(scene);
        self.look_at_disk(scene);
        self.sync_soon(machine, scene);
    }

    /// Appends what is queued, and plans a sync unless one is under way.
    fn sync_soon(&mut self, machine: &mut Machine, scene: &mut Scene) {
        let Some(account) = &self.account else { return };
        if self.sync_planned || self.failed {
            return;
        }
        if let Err(error) = account.core.append() {
            return self.fail(scene, &error);
        }
        let waits = account.core.status().in_flight > 0 || self.serving.waits_for_the_store();
        if waits || self.shipping.is_appending() {
            self.sync_planned = true;
            machine.plan_sync(scene, Turn::Synced);
        }
    }
}
