//! Shipping between the regions: batches to the secondary, fetched tails, offers to the quarantine.

use crate::account::Commit;
use crate::machine::{Machine, member_id, place_of};
use crate::packet::Packet;
use crate::process::{Owed, Process, account_name};
use crate::scene::{Happening, Scene, Turn};
use crate::{Moment, Place};
use base::{BootId, BootTime, Epoch, Position, Seq, Span};
use dr::{Event, Gate, Query, Role};
use std::collections::VecDeque;
use store::log::{Frame, SecondaryMark};

/// Frames in one batch at most.
const BATCH: usize = 64;
/// How long an acknowledgement is waited for before a batch is sent again.
const PATIENCE: Span = Span::from_ms(250);
/// How long a tail is waited for.
const TAIL_WAIT: Span = Span::from_secs(3);

/// Shipping under way.
#[derive(Default)]
pub struct Shipping {
    session: Option<Session>,
    /// When each commit was made that the secondary is not known to have.
    waiting: VecDeque<(Seq, BootTime)>,
    told: Option<Option<BootTime>>,
    fetching: Option<(Query, Place)>,
    /// Exported frames that are not known to be in quarantine.
    exports: Vec<(String, Vec<Frame>)>,
    offered_at: Moment,
}

struct Session {
    epoch: Epoch,
    to: Place,
    acked: Option<Position>,
    sent: Seq,
    sent_at: Moment,
}

impl Shipping {
    /// What is known of the secondary, for the frames (E4).
    #[must_use]
    pub fn mark(&self) -> Option<SecondaryMark> {
        let session = self.session.as_ref()?;
        Some(SecondaryMark { member: member_id(session.to), seq: session.acked?.seq })
    }
    /// A commit was made.
    pub fn appended(&mut self, seq: Seq, at: BootTime) {
        self.waiting.push_back((seq, at));
    }
    /// Since when the oldest commit waits that the secondary is not known to have.
    #[must_use]
    pub fn waiting_since(&self) -> Option<BootTime> {
        self.waiting.front().map(|(_, at)| *at)
    }
}

impl Process {
    /// A role was set: a primary with a secondary begins a session with an empty batch.
    pub fn begin_shipping(&mut self, machine: &Machine, scene: &mut Scene) {
        let Role::Primary { epoch, secondary } = self.role else {
            self.shipping.session = None;
            self.shipping.waiting.clear();
            return;
        };
        let Some(to) = secondary.and_then(place_of) else {
            self.shipping.session = None;
            return;
        };
        if self.shipping.session.as_ref().is_some_and(|session| session.epoch == epoch) {
            return;
        }
        let session = Session { epoch, to, acked: None, sent: Seq::ZERO, sent_at: Moment::START };
        self.shipping.session = Some(session);
        self.ship_again(machine, scene);
    }

    /// Ships what is durable and was not shipped.
    pub fn ship_durable(&mut self, machine: &mut Machine, scene: &mut Scene) {
        self.ship(scene);
        let (Role::Secondary { epoch, primary, .. }, Some(account)) = (&self.role, &self.account)
        else {
            return;
        };
        if let Some(to) = place_of(primary.member) {
            let position = account.log.durable();
            let packet = Packet::Ack { epoch: *epoch, boot: primary.boot, position };
            scene.send(self.place, to, packet);
        }
        self.forget_exports();
        let _ = machine;
    }

    /// Ships again what was not acknowledged in time, and offers what belongs into quarantine.
    pub fn ship_again(&mut self, _machine: &Machine, scene: &mut Scene) {
        let now = scene.now();
        if let Some(session) = &mut self.shipping.session
            && (session.sent_at == Moment::START || now.since(session.sent_at) >= PATIENCE)
        {
            session.sent = session.acked.map_or(Seq::ZERO, |acked| acked.seq);
            session.sent_at = Moment::START;
            self.ship(scene);
        }
        self.offer(scene);
    }

    fn ship(&mut self, scene: &mut Scene) {
        let (Some(session), Some(account)) = (&mut self.shipping.session, &self.account) else {
            return;
        };
        let durable = account.log.durable();
        let now = scene.now();
        let (before, frames) = match session.acked {
            None if session.sent_at != Moment::START => return,
            None => (durable, Vec::new()),
            Some(acked) => {
                let from = session.sent.max(acked.seq);
                let idle = now.since(session.sent_at) < PATIENCE;
                if from >= durable.seq && idle {
                    return;
                }
                let before = account.log.reader().position(from).expect("the log reads");
                let frames = account.frames_after(from, BATCH).expect("the log reads");
                (before.expect("it was shipped from there"), frames)
            }
        };
        session.sent = frames.last().map_or(before.seq, |frame| frame.position.seq);
        session.sent_at = now;
        let (epoch, boot, to) = (session.epoch, self.boot, session.to);
        scene.send(self.place, to, Packet::Batch { epoch, boot, before, frames });
    }

    /// A message of shipping came.
    pub fn receive_shipped(
        &mut self,
        machine: &mut Machine,
        scene: &mut Scene,
        from: Place,
        packet: Packet,
    ) {
        match packet {
            Packet::Batch { epoch, boot, before, frames } => {
                self.follow(scene, from, epoch, boot, before, &frames);
            }
            Packet::Ack { epoch, boot, position } => {
                self.acked(scene, from, epoch, boot, position);
            }
            Packet::TailFetch { query, after } => {
                let Some(account) = &self.account else { return };
                if account.log.reader().contains(&after).expect("the log reads") {
                    let frames = account.frames_after(after.seq, usize::MAX);
                    let frames = frames.expect("the log reads");
                    scene.send(self.place, from, Packet::TailFrames { query, frames });
                }
            }
            Packet::TailFrames { query, frames } => {
                if self.shipping.fetching != Some((Query(query), from)) {
                    return;
                }
                self.shipping.fetching = None;
                let account = self.account.as_mut().expect("only a region fetches");
                let fits = frames.first().is_none_or(|frame| {
                    frame.before == account.log.end().hash
                        && frame.position.seq == account.log.end().seq.next()
                });
                if fits {
                    account.follow(&frames).expect("the log appends");
                }
                self.owe(machine, scene, Owed::TailFetched(Query(query)));
            }
            Packet::Offer { region, frame } => self.take_offer(machine, scene, region, &frame),
            _ => {}
        }
    }

    fn follow(
        &mut self,
        scene: &mut Scene,
        from: Place,
        epoch: Epoch,
        boot: BootId,
        before: Position,
        frames: &[Frame],
    ) {
        let Role::Secondary { epoch: own, primary, appends } = &self.role else {
            self.tell(Event::OtherEpochShipped { account: account_name(), epoch });
            return;
        };
        if *own != epoch || primary.boot != boot {
            self.tell(Event::OtherEpochShipped { account: account_name(), epoch });
            return;
        }
        if !appends || self.stopped.is_some_and(|stopped| epoch <= stopped) {
            return;
        }
        let account = self.account.as_mut().expect("only a region follows");
        let end = account.log.end();
        // A batch that was sent again begins before the own end: what is known is left out.
        let known = frames.iter().position(|frame| frame.position == end);
        let fresh = if before == end {
            frames
        } else {
            known.map_or(&[] as &[Frame], |index| &frames[index + 1..])
        };
        account.follow(fresh).expect("the log appends");
        if fresh.is_empty() {
            let position = account.log.durable();
            scene.send(self.place, from, Packet::Ack { epoch, boot, position });
        }
    }

    fn acked(
        &mut self,
        scene: &mut Scene,
        from: Place,
        epoch: Epoch,
        boot: BootId,
        position: Position,
    ) {
        let (Some(session), Some(account)) = (&mut self.shipping.session, &self.account) else {
            return;
        };
        if session.epoch != epoch || session.to != from || self.boot != boot {
            return;
        }
        if !account.log.reader().contains(&position).expect("the log reads") {
            return;
        }
        if session.acked.is_some_and(|acked| acked.seq > position.seq) {
            return;
        }
        if session.acked.is_none() {
            session.sent = position.seq;
        }
        session.acked = Some(position);
        let waiting = &mut self.shipping.waiting;
        while waiting.front().is_some_and(|(seq, _)| *seq <= position.seq) {
            waiting.pop_front();
        }
        let (account, from) = (account_name(), member_id(from));
        self.tell(Event::SecondaryAcked { account, from, epoch, position });
        self.ship(scene);
    }

    /// Tells the protocol since when the oldest commit waits, when that changed.
    pub fn tell_lag(&mut self, _machine: &Machine, _scene: &Scene) {
        let waiting_since = self.shipping.waiting_since();
        let primary = matches!(self.role, Role::Primary { .. });
        if primary && self.shipping.told != Some(waiting_since) {
            self.shipping.told = Some(waiting_since);
            self.tell(Event::Lag { account: account_name(), waiting_since });
        }
    }

    /// Asks another member for what follows the own end.
    pub fn fetch_tail(
        &mut self,
        machine: &Machine,
        scene: &mut Scene,
        query: Query,
        from: base::MemberId,
        after: Position,
    ) {
        let from = place_of(from).expect("only members have logs");
        self.shipping.fetching = Some((query, from));
        scene.send(self.place, from, Packet::TailFetch { query: query.0, after });
        let (place, life) = (self.place, machine.life);
        let what = Turn::TailLate(query.0);
        scene.agenda.after(TAIL_WAIT, Happening::Process { place, life, what });
    }

    /// A tail did not come in time.
    pub fn tail_is_late(&mut self, machine: &mut Machine, scene: &mut Scene, query: u64) {
        if self.shipping.fetching.is_some_and(|(fetching, _)| fetching.0 == query) {
            self.shipping.fetching = None;
            self.owe(machine, scene, Owed::TailFetched(Query(query)));
        }
    }

    /// Finds the tails that were exported and are not yet in quarantine.
    pub fn find_exports(&mut self) {
        if let Some(account) = &self.account {
            self.shipping.exports = account.exports().expect("exports read");
        }
    }

    /// Whether no exported tail waits for its quarantine.
    #[must_use]
    pub fn has_no_exports(&self) -> bool {
        self.shipping.exports.is_empty()
    }

    fn region(&self) -> u8 {
        u8::from(self.place == Place::West)
    }

    fn offer(&mut self, scene: &mut Scene) {
        let now = scene.now();
        let Role::Secondary { primary, .. } = &self.role else { return };
        let Some(to) = place_of(primary.member) else { return };
        if self.shipping.exports.is_empty() || now.since(self.shipping.offered_at) < PATIENCE {
            return;
        }
        self.shipping.offered_at = now;
        let account = self.account.as_ref().expect("only a region follows");
        for (_, frames) in &self.shipping.exports {
            for frame in frames {
                if !account.quarantined.contains(&(self.region(), frame.position.hash)) {
                    let packet = Packet::Offer { region: self.region(), frame: frame.clone() };
                    scene.send(self.place, to, packet);
                }
            }
        }
    }

    fn take_offer(&mut self, machine: &mut Machine, scene: &mut Scene, region: u8, frame: &Frame) {
        let Some(term) = self.term(machine, scene) else { return };
        let Gate::Open(_) = self.gate else { return };
        let mark = self.shipping.mark();
        let Some(account) = &mut self.account else { return };
        let known = account.quarantined.contains(&(region, frame.position.hash));
        let held = account.log.reader().contains(&frame.position).expect("the log reads");
        if known || held || !term.admits {
            return;
        }
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let commit = Commit::Quarantine { region, frame: bytes };
        let appended = account.append(term.epoch, mark, &[commit]);
        let position = appended.expect("the log appends")[0];
        self.shipping.appended(position.seq, machine.clock.boot(scene.now()));
        self.sync_soon(machine, scene);
    }

    /// Removes the exports whose quarantine is durable in the own log.
    fn forget_exports(&mut self) {
        let region = self.region();
        let Some(account) = &self.account else { return };
        if account.log.durable() != account.log.end() {
            return;
        }
        self.shipping.exports.retain(|(name, frames)| {
            let keeps =
                |frame: &Frame| !account.quarantined.contains(&(region, frame.position.hash));
            let needed = frames.iter().any(keeps);
            if !needed {
                account.forget_export(name);
            }
            needed
        });
    }
}
