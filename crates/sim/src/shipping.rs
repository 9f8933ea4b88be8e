//! What two regions say about the log: the real shipper, follower, fetch, quarantine and digests,
//! and around them messages instead of connections.

use crate::Place;
use crate::machine::{member_id, place_of};
use crate::packet::Packet;
use crate::process::{Process, account_name};
use crate::scene::Scene;
use crate::{Checker, Flaw, SiteClock};
use base::{BootTime, Clock as _, Epoch, Generation, MemberId, Position, Span};
use dr::{Bugs, Event, Holder, Query, Reign, ReturnPlan, Role};
use replication::{
    Body, Compared, DigestWatch, Fetch, FetchAction, FetchPlan, FollowAction, Follower, Head,
    Keeping, Parcel, Route, ShipEvent, ShipLimits, Shipper, Upload, Uploading, answer_digest,
    serve_fetch,
};
use std::collections::VecDeque;
use std::sync::Arc;
use store::log::Frame;

/// The cluster's generation.
const GENERATION: Generation = Generation::new(1);
/// How often digests are compared here, so that short runs compare many.
const DIGESTS: Span = Span::from_secs(5);
/// Small batches, so that a run has many, and a short patience for the simulator's lossy network.
const LIMITS: ShipLimits = ShipLimits {
    batch_bytes: 16 << 10,
    batch_frames: 16,
    window_bytes: 64 << 10,
    silence: Span::from_ms(800),
    pause: Span::from_ms(200),
};

/// Shipping under way.
pub struct Shipping {
    me: Holder,
    clock: Arc<SiteClock>,
    shipper: Option<Shipper>,
    /// The follower.
    follower: Follower,
    /// Batches handed out by the follower, until the disk has taken them.
    appending: VecDeque<Vec<Frame>>,
    fetch: Option<(Place, Fetch)>,
    uploads: Vec<Upload>,
    /// The question that the quarantine commit under way answers.
    keeping: Option<(Place, Head)>,
    digests: Option<DigestWatch>,
    told_lag: Option<Option<BootTime>>,
}

impl Shipping {
    /// For a log that ends at `durable`.
    #[must_use]
    pub fn new(me: Holder, clock: Arc<SiteClock>, durable: Position, bugs: Bugs) -> Self {
        Self {
            me,
            clock,
            shipper: None,
            follower: Follower::new(account_name(), me, GENERATION, durable, bugs),
            appending: VecDeque::new(),
            fetch: None,
            uploads: Vec::new(),
            keeping: None,
            digests: None,
            told_lag: None,
        }
    }
    fn now(&self) -> BootTime {
        self.clock.boot()
    }
    /// Whether batches wait for the disk.
    #[must_use]
    pub fn is_appending(&self) -> bool {
        !self.appending.is_empty()
    }
    /// Whether no exported tail waits for its quarantine.
    #[must_use]
    pub fn has_no_exports(&self) -> bool {
        self.uploads.is_empty()
    }
}

impl Process {
    /// The region's part changed.
    pub fn ship_as(&mut self, scene: &mut Scene, role: &Role) {
        let Some(account) = &self.account else { return };
        let durable = account.core.reader().durable();
        let shipping = &mut self.shipping;
        shipping.follower.set_role(role, durable);
        let wanted = match role {
            Role::Primary { epoch, secondary: Some(secondary) } => Some(Route {
                account: account_name(),
                me: shipping.me,
                reign: Reign { generation: GENERATION, epoch: *epoch },
                secondary: *secondary,
            }),
            _ => None,
        };
        if shipping.shipper.as_ref().map(Shipper::route) == wanted.as_ref() {
            return;
        }
        if shipping.shipper.is_some() {
            self.gates.forget_secondary();
        }
        shipping.digests = wanted.as_ref().map(|route| {
            DigestWatch::new(account_name(), route.me, route.reign, route.secondary, DIGESTS)
        });
        shipping.shipper = wanted.map(|route| {
            let mut shipper = Shipper::new(route, LIMITS);
            shipper.connected();
            shipper
        });
        for upload in &mut shipping.uploads {
            upload.restart(reign_of(role));
        }
        self.ship(scene);
    }

    /// Another member has started: what was under way to it is gone.
    pub fn reconnected(&mut self, scene: &mut Scene, peer: Place) {
        if let Some(shipper) = &mut self.shipping.shipper
            && shipper.route().secondary == member_id(peer)
        {
            shipper.connected();
        }
        self.ship(scene);
    }

    /// More of the own log is durable.
    pub fn ship_durable(&mut self, scene: &mut Scene) {
        let Some(account) = &self.account else { return };
        let end = account.core.reader().durable();
        if let Some(shipper) = &mut self.shipping.shipper {
            shipper.durable(end.seq);
        }
        self.ship(scene);
    }

    fn ship(&mut self, scene: &mut Scene) {
        let (Some(account), now) = (&self.account, self.shipping.now()) else { return };
        let Some(shipper) = &mut self.shipping.shipper else { return };
        let Some(to) = place_of(shipper.route().secondary) else { return };
        let reader = account.core.reader();
        loop {
            match shipper.poll(now, &reader) {
                Ok(Some(parcel)) => {
                    scene.send(self.place, to, Packet::Parcel(parcel.encode().into()))
                }
                Ok(None) => return,
                Err(replication::Error::Log(_)) => {
                    self.failed = true;
                    return;
                }
                Err(error) => panic!("the log cannot be shipped: {error}"),
            }
        }
    }

    /// Time passed: what waits is looked at.
    pub fn ship_turn(&mut self, scene: &mut Scene) {
        let now = self.shipping.now();
        if let Some((_, fetch)) = &mut self.shipping.fetch {
            let actions = fetch.tick(now);
            self.fetched(scene, actions);
        }
        self.ship(scene);
        self.upload(scene);
        self.compare_digests(scene);
    }

    /// Tells the protocol since when the oldest commit waits, when that changed.
    pub fn tell_lag(&mut self) {
        let waiting_since = self.gates.waiting_since();
        let primary = matches!(self.role, Role::Primary { .. });
        if primary && self.shipping.told_lag != Some(waiting_since) {
            self.shipping.told_lag = Some(waiting_since);
            self.tell(Event::Lag { account: account_name(), waiting_since });
        }
    }

    /// A region says something about the log.
    pub fn receive_parcel(&mut self, scene: &mut Scene, from: Place, parcel: &Parcel) {
        let Some(account) = &self.account else { return };
        let now = self.shipping.now();
        match parcel.head.body {
            Body::Hello { .. } | Body::Batch { .. } => {
                let actions = self.shipping.follower.receive(parcel);
                self.follow(scene, actions);
            }
            Body::Standing { .. } | Body::Refused { .. } => self.standing(scene, parcel),
            Body::Fetch { .. } => {
                let served = serve_fetch(self.shipping.me, parcel, &account.core.reader());
                if let Ok(Some(answer)) = served {
                    scene.send(self.place, from, Packet::Parcel(answer.encode().into()));
                }
            }
            Body::Fetched { .. } => {
                if let Some((_, fetch)) = &mut self.shipping.fetch {
                    let actions = fetch.receive(now, parcel);
                    self.fetched(scene, actions);
                }
            }
            Body::Keep { .. } => self.keep(scene, from, parcel),
            Body::Kept { .. } => {
                self.shipping.uploads.iter_mut().for_each(|upload| upload.receive(parcel));
                self.upload(scene);
            }
            Body::DigestAsk { .. } => {
                let digest = |seq| account.core.digest(seq);
                if let Some(answer) = answer_digest(self.shipping.me, parcel, digest) {
                    scene.send(self.place, from, Packet::Parcel(answer.encode().into()));
                }
            }
            Body::DigestAnswer { .. } => self.digest_answered(scene, parcel),
        }
    }

    fn standing(&mut self, scene: &mut Scene, parcel: &Parcel) {
        let (Some(account), now) = (&self.account, self.shipping.now()) else { return };
        let Some(shipper) = &mut self.shipping.shipper else { return };
        let events = match shipper.receive(now, parcel, &account.core.reader()) {
            Ok(events) => events,
            Err(_) => {
                self.failed = true;
                return;
            }
        };
        let (epoch, from) = (shipper.route().reign.epoch, shipper.route().secondary);
        for event in events {
            scene.note(self.place, || format!("{event:?}"));
            match event {
                ShipEvent::Acked { position } => {
                    self.gates.acked(epoch, position.seq);
                    account.core.set_mark(shipper.mark());
                    let account = account_name();
                    self.events.push_back(Event::SecondaryAcked { account, from, epoch, position });
                }
                ShipEvent::WentBack { .. } => self.gates.forget_secondary(),
                ShipEvent::CaughtUp
                | ShipEvent::Diverged { .. }
                | ShipEvent::HigherEpoch { .. } => {}
            }
        }
        self.ship(scene);
    }

    /// P2: the machine seals.
    pub fn stop_appends(&mut self, scene: &mut Scene, query: Query, epoch: Epoch) {
        let actions = self.shipping.follower.stop_appends(query, epoch);
        self.follow(scene, actions);
    }

    fn follow(&mut self, scene: &mut Scene, actions: Vec<FollowAction>) {
        for action in actions {
            match action {
                FollowAction::Append(frames) => self.shipping.appending.push_back(frames),
                FollowAction::Send { to, parcel } => {
                    if let Some(to) = place_of(to) {
                        scene.send(self.place, to, Packet::Parcel(parcel.encode().into()));
                    }
                }
                FollowAction::OtherEpoch { epoch } => {
                    self.tell(Event::OtherEpochShipped { account: account_name(), epoch });
                }
                FollowAction::Stopped { query, end } => {
                    self.tell(Event::AppendsStopped { account: account_name(), query, end });
                }
            }
        }
    }

    /// The disk has taken what the follower handed out.
    pub fn append_followed(&mut self, scene: &mut Scene) {
        while let Some(frames) = self.shipping.appending.pop_front() {
            let Some(account) = &mut self.account else { return };
            match account.follow(frames) {
                Ok(end) => {
                    let actions = self.shipping.follower.appended(end);
                    self.follow(scene, actions);
                }
                Err(error) => return self.fail(scene, &error),
            }
        }
    }

    /// E1: the machine wants the other region's longer tail.
    pub fn fetch_tail(&mut self, scene: &mut Scene, query: Query, from: MemberId, to: Position) {
        let Some(account) = &self.account else { return };
        let Some(place) = place_of(from) else { return };
        let reign = Reign { generation: GENERATION, epoch: to.epoch };
        let (account_name, me) = (account_name(), self.shipping.me);
        let plan = FetchPlan { account: account_name, query, me, reign, from, to };
        let end = account.core.reader().durable();
        let (fetch, actions) = Fetch::begin(plan, end, self.shipping.now());
        self.shipping.fetch = Some((place, fetch));
        scene.count("tail fetched");
        self.fetched(scene, actions);
    }

    fn fetched(&mut self, scene: &mut Scene, actions: Vec<FetchAction>) {
        let mut todo = VecDeque::from(actions);
        while let Some(action) = todo.pop_front() {
            match action {
                FetchAction::Send(parcel) => {
                    if let Some((from, _)) = &self.shipping.fetch {
                        scene.send(self.place, *from, Packet::Parcel(parcel.encode().into()));
                    }
                }
                FetchAction::Append(frames) => {
                    let now = self.shipping.now();
                    let Some(account) = &mut self.account else { return };
                    match account.follow(frames) {
                        Ok(end) => {
                            if let Some((_, fetch)) = &mut self.shipping.fetch {
                                todo.extend(fetch.appended(now, end));
                            }
                        }
                        Err(error) => return self.fail(scene, &error),
                    }
                }
                FetchAction::Done { query, end } => {
                    self.shipping.fetch = None;
                    self.tell(Event::TailFetched { account: account_name(), query, end });
                }
            }
        }
    }

    /// Q3: export, then cut.
    pub fn go_back(&mut self, scene: &mut Scene, plan: &ReturnPlan) {
        let Some(account) = &mut self.account else { return };
        match account.go_back(plan) {
            Ok((end, exported)) => {
                if exported {
                    scene.count("return with a tail");
                }
                if self.flaw == Flaw::CutBeforeExport {
                    account
                        .exports()
                        .iter()
                        .for_each(|it| account.forget_export(it.exported().file()));
                }
                let account = account_name();
                self.tell(Event::Returned { account, epoch: plan.epoch, end });
                self.find_exports();
            }
            Err(error) => self.fail(scene, &error),
        }
    }

    /// Finds the tails that were exported and are not yet in quarantine.
    pub fn find_exports(&mut self) {
        let Some(account) = &self.account else { return };
        let reign = reign_of(&self.role);
        let upload = |export| Upload::new(self.shipping.me, reign, account_name(), export);
        self.shipping.uploads = account.exports().into_iter().map(upload).collect();
    }

    fn upload(&mut self, scene: &mut Scene) {
        let Role::Secondary { primary, .. } = &self.role else { return };
        let (Some(to), Some(account)) = (place_of(primary.member), &self.account) else { return };
        let (place, now) = (self.place, self.shipping.now());
        self.shipping.uploads.retain_mut(|upload| match upload.poll(now, &account.quarantine) {
            Ok(Uploading::Send(parcel)) => {
                scene.send(place, to, Packet::Parcel(parcel.encode().into()));
                true
            }
            Ok(Uploading::Wait) => true,
            Ok(Uploading::Done) => {
                account.forget_export(upload.file());
                false
            }
            Err(error) => panic!("an export cannot be read: {error}"),
        });
    }

    fn keep(&mut self, scene: &mut Scene, from: Place, parcel: &Parcel) {
        let Some(account) = &mut self.account else { return };
        if !matches!(self.gate, dr::Gate::Open(_)) {
            return;
        }
        match account.quarantine.keep(self.shipping.me, parcel) {
            Some(Keeping::Commit(record)) => {
                self.shipping.keeping = Some((from, parcel.head.clone()));
                account.submit_quarantine(record);
            }
            Some(Keeping::Answer(parcel)) => {
                scene.send(self.place, from, Packet::Parcel(parcel.encode().into()));
            }
            Some(Keeping::Wait) | None => {}
        }
    }

    /// A quarantine commit is durable, or did not come about.
    pub fn quarantined(&mut self, scene: &mut Scene, kept: bool) {
        let Some(account) = &mut self.account else { return };
        if !kept {
            account.quarantine.not_kept();
        }
        let Some((to, head)) = self.shipping.keeping.take() else { return };
        if let Body::Keep { tail, .. } = head.body {
            let answer = account.quarantine.kept(self.shipping.me, &head, tail);
            scene.send(self.place, to, Packet::Parcel(answer.encode().into()));
        }
    }

    fn compare_digests(&mut self, scene: &mut Scene) {
        let (Some(account), now) = (&self.account, self.shipping.now()) else { return };
        let (Some(watch), Some(shipper)) = (&mut self.shipping.digests, &self.shipping.shipper)
        else {
            return;
        };
        let acked = shipper.acked().seq;
        let to = place_of(shipper.route().secondary);
        if let (Some(parcel), Some(to)) = (watch.poll(now, || account.core.digest(acked)), to) {
            scene.send(self.place, to, Packet::Parcel(parcel.encode().into()));
        }
    }

    fn digest_answered(&mut self, scene: &mut Scene, parcel: &Parcel) {
        let now = self.shipping.now();
        let Some(watch) = &mut self.shipping.digests else { return };
        match watch.receive(now, parcel) {
            Some(Compared::Equal { .. }) => scene.count("digests compared"),
            Some(Compared::Differ { at, shards }) => {
                let text = format!("the regions say that they differ at {at} in {shards:?}");
                scene.ledger.violate(Checker::EqualCopies, text);
            }
            None => {}
        }
    }
}

/// The epoch that a region speaks in.
const fn reign_of(role: &Role) -> Reign {
    let epoch = match role {
        Role::Primary { epoch, .. } | Role::Secondary { epoch, .. } => *epoch,
        _ => Epoch::ZERO,
    };
    Reign { generation: GENERATION, epoch }
}
