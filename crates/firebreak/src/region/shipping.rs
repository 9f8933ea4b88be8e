//! The worker's part that speaks with the other region: shipper, follower, fetch, return.

use super::keeping::Keeping;
use super::worker::{Place, stop};
use ::gateway::Rejoin;
use base::{BootTime, Epoch, Generation, MemberId, Position, Seq, Span};
use dr::{Event, Query, Reign, ReturnPlan, Role};
use replication::{
    Body, Compared, DIGEST_EVERY, DigestWatch, Error, Fetch, FetchAction, FetchPlan, FollowAction,
    Follower, Parcel, Route, ShipEvent, ShipLimits, Shipper, answer_digest, serve_fetch,
};
use store::AccountStore;
use store::log::Frame;

/// Acknowledgements and lag are told to the machine at most so often.
const TELL: Span = Span::from_ms(10);
/// How long a full disk is waited for before the other region's batch is given up.
const FULL: Span = Span::from_ms(100);

/// Cores of shipping, of one account.
pub struct Shipping {
    shipper: Option<Shipper>,
    follower: Follower,
    fetch: Option<(MemberId, Fetch)>,
    role: Role,
    acked: Option<(Epoch, MemberId, Position)>,
    told_acked: BootTime,
    lag: Option<BootTime>,
    told_lag: BootTime,
    /// What the secondary's return took so far, and what it must reach, once that is known.
    rejoin: Option<(Rejoin, Option<Seq>)>,
    keeping: Keeping,
    digests: Option<DigestWatch>,
}

impl Shipping {
    /// For a log that ends at `durable`.
    pub fn new(place: &Place, durable: Position) -> Self {
        let bugs = dr::Bugs::NONE;
        let account = place.account.clone();
        Self {
            shipper: None,
            follower: Follower::new(account, place.me, GENERATION, durable, bugs),
            fetch: None,
            role: Role::Starting,
            acked: None,
            told_acked: BootTime::ZERO,
            lag: None,
            told_lag: BootTime::ZERO,
            rejoin: None,
            keeping: Keeping::new(place),
            digests: None,
        }
    }

    /// When [`Shipping::turn`] is due at the latest.
    pub fn timer(&self) -> Option<BootTime> {
        let shipper = self.shipper.as_ref().and_then(Shipper::timer);
        let fetch = self.fetch.as_ref().and_then(|(_, fetch)| fetch.timer());
        let acked = self.acked.map(|_| self.told_acked + TELL);
        [shipper, fetch, acked].into_iter().flatten().min()
    }

    /// The region's part changed.
    pub fn set_role(&mut self, place: &Place, role: &Role, durable: Position) {
        self.follower.set_role(role, durable);
        let wanted = match role {
            Role::Primary { epoch, secondary: Some(secondary) } => Some(Route {
                account: place.account.clone(),
                me: place.me,
                reign: Reign { generation: GENERATION, epoch: *epoch },
                secondary: *secondary,
            }),
            _ => None,
        };
        if self.shipper.as_ref().map(Shipper::route) != wanted.as_ref() {
            if self.shipper.is_some() {
                place.gate.forget_secondary();
            }
            self.acked = None;
            self.digests = None;
            self.shipper = wanted.map(|route| {
                let secondary = route.secondary;
                let mut shipper = Shipper::new(route, limits());
                if place.links.is_open(secondary) {
                    shipper.connected();
                }
                self.rejoin = Some((Rejoin::default(), None));
                let (account, me) = (place.account.clone(), place.me);
                let (reign, every) = (shipper.route().reign, DIGEST_EVERY);
                self.digests = Some(DigestWatch::new(account, me, reign, secondary, every));
                shipper
            });
        }
        self.role = role.clone();
        self.keeping.restart(role);
    }

    /// A connection stands.
    pub fn connected(&mut self, place: &Place, member: MemberId) {
        if let Some(shipper) = &mut self.shipper
            && shipper.route().secondary == member
        {
            shipper.connected();
        }
        self.keeping.restart(&self.role);
        self.ship(place);
    }

    /// A connection ended.
    pub fn disconnected(&mut self, member: MemberId) {
        if let Some(shipper) = &mut self.shipper
            && shipper.route().secondary == member
        {
            shipper.disconnected();
        }
    }

    /// More of the own log is durable.
    pub fn durable(&mut self, place: &Place) {
        if let Some(shipper) = &mut self.shipper {
            shipper.durable(place.store.status().durable.seq);
        }
        self.ship(place);
    }

    /// Time passed.
    pub fn turn(&mut self, place: &Place) {
        let now = place.clock.boot();
        if let Some((_, fetch)) = &mut self.fetch {
            let actions = fetch.tick(now);
            self.fetched(place, actions);
        }
        self.ship(place);
        self.ask_digest(place);
        self.keeping.turn(place, &self.role);
        if let Some((epoch, from, position)) = self.acked
            && now.since(self.told_acked) >= TELL
        {
            self.acked = None;
            self.told_acked = now;
            let account = place.account.clone();
            place.driver.tell(Event::SecondaryAcked { account, from, epoch, position });
        }
        if matches!(self.role, Role::Primary { .. }) && now.since(self.told_lag) >= TELL {
            let lag = place.gate.waiting_since();
            if lag != self.lag {
                (self.lag, self.told_lag) = (lag, now);
                let account = place.account.clone();
                place.driver.hint(Event::Lag { account, waiting_since: lag });
            }
        }
    }

    fn ship(&mut self, place: &Place) {
        let Some(shipper) = &mut self.shipper else { return };
        let (reader, now) = (place.store.core().reader(), place.clock.boot());
        loop {
            match shipper.poll(now, &reader) {
                Ok(Some(parcel)) => {
                    let body = &parcel.head.body;
                    tracing::debug!(account = %place.account, ?body, "sends");
                    let bytes = parcel.encode();
                    if let Some((rejoin, _)) = &mut self.rejoin {
                        rejoin.bytes += bytes.len() as u64;
                        rejoin.delta_bytes += payload_bytes(&parcel);
                    }
                    place.links.send(shipper.route().secondary, bytes);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(account = %place.account, %error, "the log cannot be shipped");
                    return;
                }
            }
        }
    }

    /// A region says something about this account.
    pub fn receive(&mut self, place: &Place, from: MemberId, parcel: &Parcel) {
        if parcel.head.from.member != from {
            tracing::warn!(%from, "a parcel under another region's name is dropped");
            return;
        }
        tracing::debug!(account = %place.account, %from, body = ?parcel.head.body, "received");
        match parcel.head.body {
            Body::Hello { .. } | Body::Batch { .. } => {
                let actions = self.follower.receive(parcel);
                self.follow(place, actions);
            }
            Body::Standing { .. } | Body::Refused { .. } => self.standing(place, parcel),
            Body::Fetch { .. } => {
                match serve_fetch(place.me, parcel, &place.store.core().reader()) {
                    Ok(Some(answer)) => place.links.send(from, answer.encode()),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a tail cannot be read"),
                }
            }
            Body::Fetched { .. } => {
                let now = place.clock.boot();
                if let Some((_, fetch)) = &mut self.fetch {
                    let actions = fetch.receive(now, parcel);
                    self.fetched(place, actions);
                }
            }
            Body::Keep { tail, .. } => self.keeping.keep(place, &self.role, parcel, tail),
            Body::Kept { .. } => self.keeping.kept(parcel),
            Body::DigestAsk { .. } => {
                let digest = |seq| place.store.digest(seq);
                if let Some(answer) = answer_digest(place.me, parcel, digest) {
                    place.links.send(from, answer.encode());
                }
            }
            Body::DigestAnswer { .. } => self.compared(place, parcel),
        }
    }

    fn compared(&mut self, place: &Place, parcel: &Parcel) {
        let now = place.clock.boot();
        let compared = self.digests.as_mut().and_then(|watch| watch.receive(now, parcel));
        match compared {
            Some(Compared::Equal { at }) => {
                tracing::debug!(account = %place.account, %at, "both digests agree");
            }
            Some(Compared::Differ { at, shards }) => {
                tracing::error!(account = %place.account, %at, ?shards, "the copies differ");
            }
            None => {}
        }
    }

    fn ask_digest(&mut self, place: &Place) {
        let (Some(watch), Some(shipper)) = (&mut self.digests, &self.shipper) else { return };
        let at = shipper.acked().seq.min(place.store.status().applied.seq);
        let asked = watch.poll(place.clock.boot(), || place.store.digest(at));
        if let Some(parcel) = asked {
            place.links.send(shipper.route().secondary, parcel.encode());
        }
    }

    fn standing(&mut self, place: &Place, parcel: &Parcel) {
        let Some(shipper) = &mut self.shipper else { return };
        let (reader, now) = (place.store.core().reader(), place.clock.boot());
        let events = match shipper.receive(now, parcel, &reader) {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "the log cannot be compared");
                return;
            }
        };
        let (epoch, from) = (shipper.route().reign.epoch, shipper.route().secondary);
        for event in events {
            match event {
                ShipEvent::Acked { position } => {
                    place.gate.acked(epoch, position.seq);
                    place.store.core().set_mark(shipper.mark());
                    self.acked = Some((epoch, from, position));
                    if let Some((rejoin, target)) = &mut self.rejoin {
                        let target = *target.get_or_insert(reader.durable().seq);
                        if position.seq >= target {
                            *place.rejoin.lock() = Some(std::mem::take(rejoin));
                            self.rejoin = None;
                        }
                    }
                }
                ShipEvent::CaughtUp => {}
                ShipEvent::Diverged { end } => {
                    tracing::warn!(account = %place.account, %end, "the secondary must return first");
                }
                ShipEvent::WentBack { acked, end } => {
                    tracing::warn!(account = %place.account, %acked, %end, "the secondary lost commits");
                    place.gate.forget_secondary();
                }
                ShipEvent::HigherEpoch { known } => {
                    tracing::info!(account = %place.account, ?known, "the secondary knows more");
                }
            }
        }
        self.ship(place);
    }

    /// P2: the machine seals.
    pub fn stop_appends(&mut self, place: &Place, query: Query, epoch: Epoch) {
        let actions = self.follower.stop_appends(query, epoch);
        self.follow(place, actions);
    }

    fn follow(&mut self, place: &Place, actions: Vec<FollowAction>) {
        let mut todo = std::collections::VecDeque::from(actions);
        while let Some(action) = todo.pop_front() {
            match action {
                FollowAction::Append(frames) => {
                    let end = append(place, &frames);
                    self.keeping.appended(&frames);
                    todo.extend(self.follower.appended(end));
                }
                FollowAction::Send { to, parcel } => place.links.send(to, parcel.encode()),
                FollowAction::OtherEpoch { epoch } => {
                    let account = place.account.clone();
                    place.driver.hint(Event::OtherEpochShipped { account, epoch });
                }
                FollowAction::Stopped { query, end } => {
                    let account = place.account.clone();
                    place.driver.tell(Event::AppendsStopped { account, query, end });
                }
            }
        }
    }

    /// E1: the machine wants the other region's longer tail.
    pub fn fetch(&mut self, place: &Place, query: Query, from: MemberId, to: Position) {
        let reign = Reign { generation: GENERATION, epoch: to.epoch };
        let (account, me) = (place.account.clone(), place.me);
        let plan = FetchPlan { account, query, me, reign, from, to };
        let (end, now) = (place.store.status().durable, place.clock.boot());
        let (fetch, actions) = Fetch::begin(plan, end, now);
        self.fetch = Some((from, fetch));
        self.fetched(place, actions);
    }

    fn fetched(&mut self, place: &Place, actions: Vec<FetchAction>) {
        let mut todo = std::collections::VecDeque::from(actions);
        while let Some(action) = todo.pop_front() {
            match action {
                FetchAction::Send(parcel) => self.ask(place, &parcel),
                FetchAction::Append(frames) => {
                    let end = append(place, &frames);
                    self.keeping.appended(&frames);
                    if let Some((_, fetch)) = &mut self.fetch {
                        todo.extend(fetch.appended(place.clock.boot(), end));
                    }
                }
                FetchAction::Done { query, end } => {
                    self.fetch = None;
                    let account = place.account.clone();
                    place.driver.tell(Event::TailFetched { account, query, end });
                }
            }
        }
    }

    fn ask(&self, place: &Place, parcel: &Parcel) {
        if let Some((from, _)) = &self.fetch {
            place.links.send(*from, parcel.encode());
        }
    }

    /// Q3: exports what is behind the plan's `keep`, durably, then cuts it. Gives the end.
    pub fn cut(&mut self, place: &Place, plan: &ReturnPlan) -> Result<Position, Error> {
        self.keeping.cut(place, plan)?;
        Ok(place.store.core().reader().durable())
    }
}

/// Cluster generation: raised only by sole-survivor recovery, which this version does not offer.
pub const GENERATION: Generation = Generation::new(1);

/// A secondary that has not heard of the new epoch yet refuses its first batch, and clients wait
/// for that batch: it is asked again soon.
fn limits() -> ShipLimits {
    ShipLimits { pause: Span::from_ms(20), ..ShipLimits::default() }
}

/// Bytes of the commits in a parcel, compressed as they are, without frame and head.
fn payload_bytes(parcel: &Parcel) -> u64 {
    let mut rest = parcel.frames.clone();
    let mut sum = 0;
    while !rest.is_empty() {
        let Ok(frame) = Frame::decode(&mut rest) else { break };
        sum += frame.payload.len() as u64;
    }
    sum
}

/// Appends frames of the other region, durably. A full disk is waited for: the other region sees
/// no acknowledgement meanwhile, and says so to its clients.
fn append(place: &Place, frames: &[Frame]) -> Position {
    loop {
        match place.store.core().append_frames(frames.to_vec()) {
            Ok(end) => return end,
            Err(store::Error::Log(store::log::Error::Full { .. })) => {
                tracing::error!(account = %place.account, "the disk is full: following waits");
                std::thread::sleep(FULL.std());
            }
            Err(error) => stop(&error),
        }
    }
}
