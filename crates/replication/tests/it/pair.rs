//! Two logs with the cores around them, and what lies between.

use base::{
    AccountName, BootId, BootTime, Epoch, Generation, MemberId, Position, Seeded, Seq, Span,
};
use bytes::Bytes;
use dr::{Bugs, Holder, Reign, Role};
use replication::{FollowAction, Follower, Parcel, Route, ShipEvent, ShipLimits, Shipper};
use std::sync::Arc;
use store::disk::SimDisk;
use store::log::{Entry, Frame, Log, Payload, Settings};

pub const EAST: MemberId = MemberId::new(1);
pub const WEST: MemberId = MemberId::new(2);
const SETTINGS: Settings = Settings { segment_bytes: 32 << 10 };

pub fn account() -> AccountName {
    "fhir".parse().expect("a name")
}

pub fn reign(epoch: u64) -> Reign {
    Reign { generation: Generation::new(1), epoch: Epoch::new(epoch) }
}

pub fn holder(member: MemberId, boot: u128) -> Holder {
    Holder { member, boot: BootId::new(boot) }
}

pub fn open(disk: &SimDisk) -> Log {
    Log::open_or_create(Arc::new(disk.clone()), "log", SETTINGS).expect("a log starts").0
}

pub fn append(log: &mut Log, epoch: u64, text: &str) -> Position {
    let payload = Payload::new(Bytes::copy_from_slice(text.as_bytes()));
    let entry = Entry { epoch: Epoch::new(epoch), secondary: None, payload };
    log.append(vec![entry]).expect("appended")[0]
}

pub fn frames(log: &Log) -> Vec<Frame> {
    log.reader().frames(Seq::ZERO).collect::<Result<_, _>>().expect("whole")
}

/// East is primary of epoch 1 and ships to west.
pub struct Pair {
    pub now: BootTime,
    pub east: Log,
    pub west_disk: SimDisk,
    pub west: Log,
    pub shipper: Shipper,
    pub follower: Follower,
    pub west_boot: u128,
    pub to_west: Vec<Bytes>,
    pub to_east: Vec<Bytes>,
    /// Batches taken and not yet appended.
    pub appending: Vec<Vec<Frame>>,
    pub events: Vec<ShipEvent>,
}

impl Pair {
    pub fn new(limits: ShipLimits) -> Self {
        let west_disk = SimDisk::new();
        let (east, west) = (open(&SimDisk::new()), open(&west_disk));
        let me = holder(EAST, 10);
        let route = Route { account: account(), me, reign: reign(1), secondary: WEST };
        let mut pair = Self {
            now: BootTime::ZERO + Span::from_secs(1),
            east,
            follower: Self::follower(20, west.durable()),
            west_disk,
            west,
            shipper: Shipper::new(route, limits),
            west_boot: 20,
            to_west: Vec::new(),
            to_east: Vec::new(),
            appending: Vec::new(),
            events: Vec::new(),
        };
        pair.shipper.connected();
        pair
    }

    fn follower(boot: u128, durable: Position) -> Follower {
        let me = holder(WEST, boot);
        let mut follower = Follower::new(account(), me, Generation::new(1), durable, Bugs::NONE);
        let primary = holder(EAST, 10);
        let role = Role::Secondary { epoch: Epoch::new(1), primary, appends: true };
        follower.set_role(&role, durable);
        follower
    }

    pub fn crash_west(&mut self, rng: &mut Seeded) {
        self.west_disk.crash(rng);
        self.west = open(&self.west_disk);
        self.west_boot += 1;
        self.appending.clear();
        self.follower = Self::follower(self.west_boot, self.west.durable());
    }

    pub fn ship(&mut self) {
        let parcel = self.shipper.poll(self.now, &self.east.reader()).expect("the log reads");
        self.to_west.extend(parcel.map(|parcel| Bytes::from(parcel.encode())));
    }

    pub fn west_takes(&mut self, at: usize) {
        let parcel = Parcel::decode(&self.to_west.remove(at)).expect("as encoded");
        let actions = self.follower.receive(&parcel);
        self.west_does(actions);
    }

    pub fn west_does(&mut self, actions: Vec<FollowAction>) {
        for action in actions {
            match action {
                FollowAction::Append(frames) => self.appending.push(frames),
                FollowAction::Send { parcel, .. } => self.to_east.push(parcel.encode().into()),
                FollowAction::OtherEpoch { .. } | FollowAction::Stopped { .. } => {}
            }
        }
    }

    /// West appends and syncs the oldest batch it took.
    pub fn west_appends(&mut self) {
        if self.appending.is_empty() {
            return;
        }
        let frames = self.appending.remove(0);
        self.west.append(frames.into_iter().map(Frame::into_entry).collect()).expect("appended");
        let end = self.west.sync().expect("synced");
        let actions = self.follower.appended(end);
        self.west_does(actions);
    }

    pub fn east_takes(&mut self, at: usize) {
        let parcel = Parcel::decode(&self.to_east.remove(at)).expect("as encoded");
        let events =
            self.shipper.receive(self.now, &parcel, &self.east.reader()).expect("the log reads");
        self.events.extend(events);
    }

    /// A good network for so many rounds.
    pub fn settle(&mut self) {
        for _ in 0..2000 {
            self.ship();
            if !self.to_west.is_empty() {
                self.west_takes(0);
            }
            self.west_appends();
            if !self.to_east.is_empty() {
                self.east_takes(0);
            }
            self.now = self.now + Span::from_ms(20);
        }
    }
}
