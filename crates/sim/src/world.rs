//! The world: everything of a run, stepped by one loop on virtual time.

use crate::client::{Client, Deed, Habits, Reply, Told};
use crate::fault::Planned;
use crate::gateway::Gateway;
use crate::ledger::{Actor, Issued, Subject};
use crate::machine::{Machine, member_id};
use crate::packet::Packet;
use crate::process::{Process, account_name};
use crate::scene::{Happening, Scene};
use crate::transition::Watch;
use crate::{
    Checker, Flaw, Moment, Network, Outcome, Place, RequestId, Trace, Want, content_of, judge,
};
use base::{Rng as _, Span};
use dr::{Bugs, Event, Mode, Policies, Request, SecondaryState, Timing, Value};
use std::collections::BTreeMap;

/// What a world is made with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The seed of all chance.
    pub seed: u64,
    /// Lease timing.
    pub timing: Timing,
    /// The hard bound on lag.
    pub max_lag: Span,
    /// How many clients.
    pub clients: usize,
    /// How they behave.
    pub habits: Habits,
    /// Rules taken out.
    pub bugs: Bugs,
    /// What is wrong on purpose around the protocol's machine.
    pub flaw: Flaw,
    /// Whether to keep a readable log.
    pub traced: bool,
}

impl Setup {
    /// The usual world of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            timing: Timing::Fast,
            max_lag: Span::from_secs(5),
            clients: 6,
            habits: Habits::default(),
            bugs: Bugs::NONE,
            flaw: Flaw::None,
            traced: false,
        }
    }
}

/// Things that may happen in one microsecond: more is a loop.
const STANDSTILL: u32 = 20_000;

/// Where a gateway is kept.
pub(crate) const fn gateway_index(place: Place) -> usize {
    place.index() - Place::GatewayA.index()
}

/// Resources of each client.
const SUBJECTS: u32 = 2;

/// Everything of a run.
pub struct World {
    /// What everybody shares.
    pub scene: Scene,
    /// What it was made with.
    pub setup: Setup,
    pub(crate) machines: Vec<Machine>,
    pub(crate) processes: Vec<Option<Process>>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) clients: Vec<Client>,
    owners: BTreeMap<RequestId, usize>,
    requests: u64,
    subjects: u32,
    operator: u64,
    watch: Watch,
    same_moment: u32,
}

impl World {
    /// Machines with empty disks; all processes start at once.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let trace = if setup.traced { Trace::on() } else { Trace::default() };
        let mut scene = Scene::new(setup.seed, trace);
        let machine = |place| Machine::new(place, setup.timing, scene.chance.split());
        let machines = Place::MEMBERS.map(machine).into_iter().collect();
        let mut world = Self {
            scene,
            setup,
            machines,
            processes: vec![None, None, None],
            gateways: Vec::new(),
            clients: Vec::new(),
            owners: BTreeMap::new(),
            requests: 0,
            subjects: 0,
            operator: 0,
            watch: Watch::default(),
            same_moment: 0,
        };
        for place in Place::MEMBERS {
            world.start(place);
        }
        for place in Place::GATEWAYS {
            world.gateways.push(Gateway::start(place, Moment::START));
            world.scene.agenda.at(Moment::START, Happening::Probe(place));
        }
        world
    }

    /// Makes the account at east, and waits until west is in sync.
    pub fn found_account(&mut self) {
        let mode = Mode::Async { max_lag: self.setup.max_lag };
        let policies = Policies::new(self.setup.timing);
        let account = account_name();
        self.ask_operator(Place::East, Request::Create { account, mode, policies });
        let limit = self.scene.now() + Span::from_secs(60);
        let settled = self.run_until(limit, |world| world.is_settled());
        assert!(settled, "a new account gets in sync");
        // Until gateways have asked around.
        self.run_for(Span::from_ms(500));
    }

    /// Lets the clients begin.
    pub fn open_doors(&mut self) {
        for index in 0..self.setup.clients {
            let subjects: Vec<Subject> = (0..SUBJECTS).map(|_| self.fresh_subject()).collect();
            let chance = self.scene.chance.split();
            self.clients.push(Client::new(self.setup.habits, chance, &subjects));
            let at = self.scene.now() + Span::from_us(1 + self.scene.chance.below(1_000_000));
            self.clients[index].begin_at(at);
            self.scene.agenda.at(at, Happening::Client(index));
        }
    }

    pub(crate) fn fresh_subject(&mut self) -> Subject {
        self.subjects += 1;
        Subject(self.subjects)
    }

    pub(crate) fn fresh_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// An operator asks a region.
    pub fn ask_operator(&mut self, place: Place, request_for: Request) -> dr::RequestId {
        self.operator += 1;
        let request = dr::RequestId(self.operator);
        self.scene.note(place, || format!("operator asks {request_for:?}"));
        self.with_process(place, |process, machine, scene| {
            process.tell(Event::Operator { request, request_for });
            process.finish(machine, scene);
        });
        request
    }

    /// What came of an operator's request, if it is known.
    #[must_use]
    pub fn reply_to(&self, place: Place, request: dr::RequestId) -> Option<dr::Outcome> {
        let process = self.processes[place.index()].as_ref()?;
        process.replies.iter().find(|(id, _)| *id == request).map(|(_, outcome)| outcome.clone())
    }

    fn with_process(
        &mut self,
        place: Place,
        act: impl FnOnce(&mut Process, &mut Machine, &mut Scene),
    ) {
        let machine = &mut self.machines[place.index()];
        if let Some(process) = &mut self.processes[place.index()] {
            machine.site.show(&machine.clock, self.scene.now());
            act(process, machine, &mut self.scene);
            if std::mem::take(&mut process.news)
                && let Some(view) = process.view()
            {
                self.watch.look(&mut self.scene, place, &view);
            }
        }
        if self.processes[place.index()].as_ref().is_some_and(|process| process.failed) {
            // The store has failed: the process stops, and the machine is found without power.
            self.end(place, true);
        }
        if place != Place::Witness {
            self.watch_writers();
        }
    }

    fn watch_writers(&mut self) {
        let actors: Vec<Actor> = Place::REGIONS
            .into_iter()
            .filter_map(|place| {
                let machine = &self.machines[place.index()];
                machine.site.show(&machine.clock, self.scene.now());
                self.processes[place.index()].as_ref()?.actor()
            })
            .collect();
        self.scene.ledger.acts(self.scene.now(), &actors);
    }

    /// Goes on until the predicate holds or the time comes; whether it holds.
    pub fn run_until(&mut self, limit: Moment, mut holds: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if holds(self) {
                return true;
            }
            let before = self.scene.now();
            match self.scene.agenda.next_until(limit) {
                Some(happening) => {
                    self.same_moment =
                        if before == self.scene.now() { self.same_moment + 1 } else { 0 };
                    assert!(
                        self.same_moment < STANDSTILL,
                        "time stands still\n{}",
                        self.scene.trace.tail(60)
                    );
                    self.happen(happening);
                }
                None => return holds(self),
            }
        }
    }

    /// Goes on for a span.
    pub fn run_for(&mut self, span: Span) {
        let limit = self.scene.now() + span;
        self.run_until(limit, |_| false);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { to, from, packet } => self.arrive(to, from, packet),
            Happening::Process { place, life, what } => {
                let machine = &self.machines[place.index()];
                if machine.life != life {
                    return;
                }
                if machine.is_paused() {
                    let happening = Happening::Process { place, life, what };
                    self.machines[place.index()].deferred.push(happening);
                    return;
                }
                self.with_process(place, |process, machine, scene| {
                    process.turn(machine, scene, what);
                });
            }
            Happening::Start(place) => self.start(place),
            Happening::Client(index) => self.client_wakes(index),
            Happening::Gateway(place) => {
                self.gateways[gateway_index(place)].pump(&mut self.scene);
            }
            Happening::Probe(place) => {
                self.gateways[gateway_index(place)].probe(&mut self.scene);
            }
            Happening::Planned(Planned::Strike(fault)) => self.strike(&fault),
            Happening::Planned(Planned::Mend(fault)) => self.mend(&fault),
            Happening::Planned(Planned::Order(order)) => self.order(order),
        }
    }

    fn arrive(&mut self, to: Place, from: Place, packet: Packet) {
        match to {
            Place::Clients => {
                if let Packet::Reply(reply) = packet {
                    self.client_hears(&reply);
                }
            }
            Place::GatewayA | Place::GatewayB => {
                self.gateways[gateway_index(to)].receive(&mut self.scene, from, &packet);
            }
            member => {
                if self.machines[member.index()].is_paused() {
                    let happening = Happening::Arrive { to, from, packet };
                    self.machines[member.index()].deferred.push(happening);
                    return;
                }
                self.with_process(member, |process, machine, scene| {
                    process.receive(machine, scene, from, packet);
                });
            }
        }
    }

    fn client_wakes(&mut self, index: usize) {
        let (request, subject) = (self.fresh_request(), self.fresh_subject());
        let now = self.scene.now();
        let deed = self.clients[index].wake(now, request, subject);
        self.client_does(index, deed);
    }

    fn client_hears(&mut self, reply: &Reply) {
        let Some(index) = self.owners.get(&reply.request).copied() else { return };
        if matches!(reply.told, Told::NotApplied | Told::Unknown) {
            self.scene.counts.disappointed += 1;
        }
        let fresh = self.fresh_subject();
        let now = self.scene.now();
        let deed = self.clients[index].hear(now, reply, fresh);
        self.client_does(index, deed);
    }

    pub(crate) fn client_does(&mut self, index: usize, deed: Option<Deed>) {
        match deed {
            Some(Deed::Send(gateway, ask, wake, before)) => {
                if let Some((gateway, ask)) = before {
                    self.scene.send(Place::Clients, gateway, Packet::Cancel(ask));
                }
                if ask.attempt == 1 {
                    self.owners.insert(ask.request, index);
                    if ask.want != Want::Read {
                        let (subject, at) = (ask.subject, self.scene.now());
                        let content = content_of(ask.request, subject);
                        self.scene.ledger.issue(ask.request, Issued { subject, content, at });
                    }
                }
                self.scene.send(Place::Clients, gateway, Packet::Ask(ask));
                self.scene.agenda.at(wake, Happening::Client(index));
            }
            Some(Deed::Sleep(wake)) => self.scene.agenda.at(wake, Happening::Client(index)),
            None => {}
        }
    }

    /// Starts a process where none runs.
    pub fn start(&mut self, place: Place) {
        if self.processes[place.index()].is_some() {
            return;
        }
        let machine = &mut self.machines[place.index()];
        let process =
            machine.start(&mut self.scene, self.setup.timing, self.setup.bugs, self.setup.flaw);
        self.processes[place.index()] = Some(process);
        self.with_process(place, |_, _, _| {});
    }

    /// The links.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.scene.network
    }

    /// The newest value of the register that a running member knows to be chosen.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        let running = self.processes.iter().flatten();
        let values = running.filter_map(|process| process.view()?.value);
        values.max_by_key(|value| (value.reign, value.version.counter))
    }

    /// The region that acts now, if one does.
    #[must_use]
    pub fn writer(&self) -> Option<Place> {
        Place::REGIONS.into_iter().find(|place| {
            let machine = &self.machines[place.index()];
            machine.site.show(&machine.clock, self.scene.now());
            self.processes[place.index()].as_ref().is_some_and(|it| it.actor().is_some())
        })
    }

    /// One region acts, the other is in sync and holds all the same, compute is where the policy
    /// wants it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let (Some(value), Some(writer)) = (self.value(), self.writer()) else { return false };
        let other = writer.other_region();
        let copies = [writer, other]
            .map(|place| self.processes[place.index()].as_ref().and_then(|p| p.account.as_ref()));
        let [Some(one), Some(two)] = copies else { return false };
        let view = self.processes[writer.index()].as_ref().map(|p| p.view());
        let at_home = view.flatten().is_some_and(|view| view.compute == Some(value.home));
        value.primary.member == member_id(writer)
            && value.secondary_state == SecondaryState::InSync
            && one.core.status().end == one.core.status().applied
            && one.core.status().end == two.core.status().applied
            && at_home
            && self.processes.iter().flatten().all(|process| process.shipping.has_no_exports())
    }

    /// Clients begin nothing any more; true once all interactions have an end.
    pub fn close_doors(&mut self) {
        self.clients.iter_mut().for_each(Client::stop);
    }

    /// Whether all interactions have an end.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| !client.is_waiting())
    }

    /// Heals everything, waits for convergence, and judges.
    pub fn converge_and_judge(&mut self, within: Span) -> Outcome {
        self.heal();
        self.close_doors();
        let limit = self.scene.now() + within;
        self.scene.ledger.judge(Checker::Convergence);
        if !self.run_until(limit, |world| world.is_quiet() && world.is_settled()) {
            let text = format!("not settled {within} after healing: {}", self.describe());
            self.scene.ledger.violate(Checker::Convergence, text);
            return Outcome::default();
        }
        let writer = self.writer().expect("a settled world has a writer");
        let copy = |place: Place| {
            let process = self.processes[place.index()].as_ref().expect("it is settled");
            process.account.as_ref().expect("a region has a copy")
        };
        // The chain of hashes covers everything before.
        let differ = copy(writer).positions() != copy(writer.other_region()).positions();
        let commits = copy(writer).found();
        self.scene.ledger.judge(Checker::EqualCopies);
        if differ {
            let text = "the two copies differ at the end".to_owned();
            self.scene.ledger.violate(Checker::EqualCopies, text);
        }
        // The bound is kept on a clock that may be slow by ε.
        let bound = self.setup.max_lag.longer_by_percent(1) + Span::from_ms(1);
        judge(&mut self.scene.ledger, &commits, bound)
    }

    fn describe(&self) -> String {
        let roles: Vec<String> = self
            .processes
            .iter()
            .flatten()
            .map(|process| {
                let end = process.account.as_ref().map(|copy| copy.core.status().end.seq);
                format!("{}: {:?} {:?} end {end:?}", process.place, process.role, process.gate)
            })
            .collect();
        let quiet = self.is_quiet();
        format!("quiet {quiet}; {}; value {:?}", roles.join("; "), self.value())
    }
}
