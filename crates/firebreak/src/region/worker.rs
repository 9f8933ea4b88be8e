//! One account in this region: the thread that carries out what the protocol's machine asks of
//! the log, ships it, and follows.
//!
//! ```text
//! driver ──actions──▶ ┌────────┐ ──answers──▶ driver
//! links  ──parcels──▶ │ worker │ ──parcels──▶ links
//! log    ──durable──▶ └────────┘ ──acked────▶ gate
//! ```
//! It decides nothing: the machine says what part the region has, the cores of `replication` say
//! what follows from a parcel. What blocks, blocks this thread only, never a lease.

use super::keeping;
use super::link::Links;
use super::shipping::Shipping;
use ::gateway::Rejoin;
use base::{AccountName, BootTime, Clock, Epoch, Fork, MemberId, Position, Seq, Span, Stamp};
use bytes::Bytes;
use control::Driver;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use dr::{Action, Event, Gate, Holder, Query, ReturnPlan, Role};
use parking_lot::Mutex;
use replication::{AccountGate, Parcel};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::disk::Disk;
use store::{Account, AccountStore, CommitKind, Status, Term};

/// How often time passes for the worker though nothing happens.
const TURN: Span = Span::from_ms(50);
/// How often a drain is looked at.
const DRAIN_TURN: Span = Span::from_ms(1);
/// How long a failed answer of the store is waited for before it is asked again.
const AGAIN: Span = Span::from_ms(20);
/// Exit code when the log cannot be written (`EX_IOERR` of sysexits.h).
pub const EXIT_IO: i32 = 74;

/// Something for a worker.
pub enum Work {
    /// The machine asks.
    Act(Action),
    /// The machine set the gate; the gate has it already.
    Gate(Gate),
    /// A connection to a region stands.
    Connected(MemberId),
    /// It ended.
    Disconnected(MemberId),
    /// A region says something about this account.
    Parcel(MemberId, Parcel),
    /// More is durable.
    Durable,
    /// No more: the process ends.
    Stop,
}

/// What a worker is given.
pub struct Place {
    /// The account.
    pub account: AccountName,
    /// This region in this process lifetime.
    pub me: Holder,
    /// Its store.
    pub store: Arc<Account>,
    /// Its gate.
    pub gate: Arc<AccountGate>,
    /// Whether there is a secondary that is shipped to: it is told at once what is durable.
    pub followed: Arc<AtomicBool>,
    /// What the secondary's latest return took, for status.
    pub rejoin: Arc<Mutex<Option<Rejoin>>>,
    /// The files of its folder.
    pub disk: Arc<dyn Disk>,
    /// What its log says of its quarantine.
    pub quarantine: keeping::Shared,
    /// To other regions.
    pub links: Arc<Links>,
    /// To the machine.
    pub driver: Driver,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// L, for the look at progress (L8).
    pub lease: Span,
}

/// One account at work.
pub struct Worker {
    place: Place,
    shipping: Shipping,
    draining: Option<Epoch>,
    opening: Option<Opening>,
    fork: Fork,
    primary: bool,
    progress: (Position, BootTime, bool),
    told_end: Option<Position>,
    own: Sender<Opened>,
    opened: Receiver<Opened>,
}

struct Opening {
    epoch: Epoch,
    at: Position,
    above: Stamp,
}

type Opened = (Option<Opening>, Result<Position, store::Error>);

impl Worker {
    /// Before its first turn.
    pub fn new(place: Place) -> Self {
        let status = place.store.status();
        let shipping = Shipping::new(&place, status.durable);
        let (own, opened) = crossbeam_channel::unbounded();
        let progress = (status.durable, place.clock.boot(), false);
        Self {
            place,
            shipping,
            draining: None,
            opening: None,
            fork: Fork::ZERO,
            primary: false,
            progress,
            told_end: None,
            own,
            opened,
        }
    }

    /// Works until told to stop.
    pub fn run(mut self, work: &Receiver<Work>) {
        self.tell_end();
        loop {
            let now = self.place.clock.boot();
            let turn =
                if self.draining.is_some() || self.opening.is_some() { DRAIN_TURN } else { TURN };
            let wait = self.shipping.timer().map_or(turn, |at| at.since(now).min(turn));
            let first = crossbeam_channel::select! {
                recv(work) -> work => match work {
                    Ok(work) => Some(work),
                    Err(_) => return,
                },
                recv(self.opened) -> opened => {
                    if let Ok((opening, result)) = opened {
                        self.opened(opening, result);
                    }
                    None
                }
                default(wait.std()) => None,
            };
            // What waits is taken in one turn: many commits become durable at once.
            let mut next = first;
            while let Some(item) = next {
                if matches!(item, Work::Stop) {
                    return;
                }
                self.take(item);
                next = match work.try_recv() {
                    Ok(item) => Some(item),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                };
            }
            self.turn();
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Act(action) => self.act(action),
            Work::Gate(gate) => self.gate(gate),
            Work::Connected(member) => self.shipping.connected(&self.place, member),
            Work::Disconnected(member) => self.shipping.disconnected(member),
            Work::Parcel(from, parcel) => self.shipping.receive(&self.place, from, &parcel),
            Work::Durable => self.shipping.durable(&self.place),
            Work::Stop => {}
        }
    }

    fn turn(&mut self) {
        self.try_open();
        self.try_drained();
        self.shipping.turn(&self.place);
        self.place.gate.tick();
        self.look_at_progress();
    }

    fn tell(&self, event: Event) {
        self.place.driver.tell(event);
    }

    fn name(&self) -> AccountName {
        self.place.account.clone()
    }

    fn status(&self) -> Status {
        self.place.store.status()
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::SetRole { role, .. } => self.role(&role),
            Action::LookUp { query, seq, .. } => self.look_up(query, seq),
            Action::StopAppends { query, epoch, .. } => {
                self.shipping.stop_appends(&self.place, query, epoch);
            }
            Action::FetchTail { query, from, to, .. } => {
                self.shipping.fetch(&self.place, query, from, to);
            }
            Action::OpenEpoch { epoch, fork, at, above, .. } => {
                self.fork = fork;
                self.opening = Some(Opening { epoch, at, above });
            }
            Action::Drain { epoch, .. } => {
                self.place.store.core().end_term();
                self.draining = Some(epoch);
            }
            Action::Return(plan) => self.go_back(&plan),
            other => tracing::error!(?other, "an action that is not for a log"),
        }
    }

    fn role(&mut self, role: &Role) {
        tracing::info!(account = %self.place.account, ?role, "role");
        self.primary = matches!(role, Role::Primary { .. });
        let followed = matches!(role, Role::Primary { secondary: Some(_), .. });
        self.place.followed.store(followed, Ordering::Relaxed);
        self.place.gate.follow(!matches!(role, Role::Primary { secondary: None, .. }));
        if !self.primary {
            self.place.store.core().end_term();
            self.opening = None;
        }
        self.shipping.set_role(&self.place, role, self.status().durable);
    }

    /// The gate was set; the committer is told of the ceiling, and goes on after a drain that was
    /// given up.
    fn gate(&mut self, gate: Gate) {
        let Gate::Open(term) = gate else { return };
        let core = self.place.store.core();
        match self.status().term {
            Some(known) if known.epoch == term.epoch => core.extend_term(term.ceiling),
            None if term.admits => {
                self.draining = None;
                let again = Term {
                    epoch: term.epoch,
                    fork: term.fork,
                    origin: (self.place.me.member, self.place.me.boot),
                    stamp_floor: Stamp::ZERO,
                    stamp_ceiling: term.ceiling,
                };
                if let Err(error) = core.set_term(again) {
                    tracing::warn!(%error, "the term is not taken up again yet");
                }
            }
            _ => {}
        }
    }

    fn look_up(&self, query: Query, seq: Seq) {
        let reader = self.place.store.core().reader();
        let found = if seq == Seq::ZERO { Ok(Some(Position::ZERO)) } else { reader.position(seq) };
        match found {
            Ok(found) => {
                let (account, end) = (self.name(), reader.durable());
                self.tell(Event::LookedUp { account, query, found, end });
            }
            Err(error) => stop(&error.into()),
        }
    }

    /// E2: only where the log ends exactly at the recorded start. Tried again until what is in
    /// flight from before is durable.
    fn try_open(&mut self) {
        let Some(opening) = &self.opening else { return };
        let status = self.status();
        if status.in_flight > 0 {
            return;
        }
        let (epoch, at, above) = (opening.epoch, opening.at, opening.above);
        if status.durable != at {
            self.opening = None;
            let (account, end) = (self.name(), status.durable);
            return self.tell(Event::NotOpened { account, epoch, end });
        }
        let core = self.place.store.core();
        core.end_term();
        // L9: until a grant's ceiling is known, only the opening commit's stamp fits.
        let floor = match last_stamp(core) {
            Ok(last) => last.max(above),
            Err(error) => stop(&error),
        };
        let term = Term {
            epoch,
            fork: self.fork,
            origin: (self.place.me.member, self.place.me.boot),
            stamp_floor: floor,
            stamp_ceiling: Stamp::from_ms(floor.ms() + 2),
        };
        match core.set_term(term) {
            Ok(()) => {}
            Err(store::Error::Busy { .. }) => return,
            Err(error) => stop(&error),
        }
        let (own, opening) = (self.own.clone(), self.opening.take());
        let done = Box::new(move |result: Result<store::Committed, store::Refused>| {
            let result = result.map(|committed| committed.position);
            // Fails only when the worker is gone.
            let _ = own.send((opening, result.map_err(|refused| refused.error)));
        });
        core.submit_record(CommitKind::Opening, Bytes::new(), done);
    }

    fn opened(&mut self, opening: Option<Opening>, result: Result<Position, store::Error>) {
        let Some(opening) = opening else { return };
        match result {
            Ok(position) => {
                let (account, epoch) = (self.name(), opening.epoch);
                self.tell(Event::Opened { account, epoch, position });
            }
            Err(error) => {
                tracing::warn!(account = %self.place.account, %error, "opening is tried again");
                self.opening = self.primary.then_some(opening);
            }
        }
    }

    fn try_drained(&mut self) {
        let Some(epoch) = self.draining else { return };
        let status = self.status();
        if status.in_flight == 0 && status.durable == status.end {
            self.draining = None;
            let (account, end) = (self.name(), status.durable);
            self.tell(Event::Drained { account, epoch, end });
        }
    }

    /// Q2, Q3: what is in flight becomes durable, so that it is exported too; then the tail is
    /// exported and cut.
    fn go_back(&mut self, plan: &ReturnPlan) {
        let core = self.place.store.core();
        core.end_term();
        while self.status().in_flight > 0 {
            if core.has_failed() {
                stop(&store::Error::Stopped);
            }
            std::thread::sleep(AGAIN.std());
        }
        tracing::info!(account = %self.place.account, %plan, "return");
        match self.shipping.cut(&self.place, plan) {
            Ok(end) => {
                self.tell(Event::Returned { account: self.name(), epoch: plan.epoch, end });
            }
            Err(error) => {
                tracing::error!(%error, "a return fails: stopping");
                std::process::exit(EXIT_IO);
            }
        }
    }

    /// L8, and the end of the log as a hint.
    fn look_at_progress(&mut self) {
        let (now, status) = (self.place.clock.boot(), self.status());
        if Some(status.durable) != self.told_end && self.draining.is_none() {
            self.tell_end();
        }
        let (last, since, told) = self.progress;
        // What a full disk refuses is work without progress too, where another could do it.
        let refusing = status.disk_full && self.place.followed.load(Ordering::Relaxed);
        let idle = !refusing && (status.in_flight == 0 || status.durable != last);
        let since = if idle { now } else { since };
        let stuck = now.since(since) >= self.place.lease;
        if stuck != told {
            self.tell(Event::Stuck { account: Some(self.name()), stuck });
        }
        self.progress = (status.durable, since, stuck);
    }

    fn tell_end(&mut self) {
        let end = self.status().durable;
        let event = Event::LogEnd { account: self.name(), end };
        match self.told_end {
            None => self.tell(event),
            Some(_) => self.place.driver.hint(event),
        }
        self.told_end = Some(end);
    }
}

/// The stamp of the log's last commit.
fn last_stamp(core: &store::Core) -> Result<Stamp, store::Error> {
    let reader = core.reader();
    let frame = reader.read(reader.durable().seq)?;
    match frame.as_ref().and_then(|frame| frame.payload.bytes()) {
        Some(bytes) => Ok(store::Commit::decode(bytes)?.head.stamp),
        None => Ok(Stamp::ZERO),
    }
}

/// The log or the index cannot go on: the process stops, a start recovers.
pub fn stop(error: &store::Error) -> ! {
    tracing::error!(%error, "the account's store failed: stopping");
    std::process::exit(EXIT_IO);
}
