//! A machine: clocks, a disk, the protocol's records, and the process that runs on it, if any.

use crate::process::Process;
use crate::scene::{Happening, Scene, Turn};
use crate::{Chance, Flaw, MachineClock, Moment, Place, SiteClock};
use base::{BootId, MemberId, Rng as _, Span};
use dr::{Bugs, Config, Now, Peer, PeerKind, Record, RecordKey, Stored, Timing};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use store::disk::SimDisk;

/// How long a sync takes on a good disk.
const SYNC: (Span, Span) = (Span::from_us(200), Span::from_us(1500));

/// What outlives a process.
pub struct Machine {
    /// Which member.
    pub place: Place,
    /// Its clocks.
    pub clock: MachineClock,
    /// The same, as the code under test reads them.
    pub site: Arc<SiteClock>,
    /// Its disk.
    pub disk: SimDisk,
    /// The protocol's records that are durable, encoded.
    pub records: BTreeMap<RecordKey, Vec<u8>>,
    /// Records being written, in order, by token.
    pub writing: VecDeque<(u64, Record)>,
    /// The device is busy until then.
    pub busy_until: Moment,
    /// What a slow disk adds to each sync.
    pub slow: Span,
    /// The process stands still.
    paused: bool,
    /// What came while the process stood still.
    pub deferred: Vec<Happening>,
    /// Counts process lifetimes.
    pub life: u64,
    /// Chance of its own.
    pub chance: Chance,
}

/// The member's id.
#[must_use]
pub const fn member_id(place: Place) -> MemberId {
    MemberId::new(place.index() as u128 + 1)
}

/// The member of an id.
#[must_use]
pub fn place_of(id: MemberId) -> Option<Place> {
    Place::MEMBERS.into_iter().find(|place| member_id(*place) == id)
}

fn peer(place: Place) -> Peer {
    let kind = if place == Place::Witness { PeerKind::Witness } else { PeerKind::Region };
    let name = place.name().parse().expect("places have plain names");
    Peer { id: member_id(place), name, kind }
}

impl Machine {
    /// A machine with an empty disk and a fresh member id.
    #[must_use]
    pub fn new(place: Place, timing: Timing, mut chance: Chance) -> Self {
        let boot_us = chance.between(1_000_000, 1_000_000_000);
        let mut machine = Self {
            place,
            clock: MachineClock::new(boot_us),
            site: Arc::default(),
            disk: SimDisk::new(),
            records: BTreeMap::new(),
            writing: VecDeque::new(),
            busy_until: Moment::START,
            slow: Span::ZERO,
            paused: false,
            deferred: Vec::new(),
            life: 0,
            chance,
        };
        machine.keep(dr::Member::first_record(timing));
        machine
    }

    /// Whether the process stands still.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }
    /// The process stands still.
    pub const fn pause(&mut self) {
        self.paused = true;
    }
    /// It goes on; gives back what came meanwhile.
    pub fn resume(&mut self) -> Vec<Happening> {
        self.paused = false;
        std::mem::take(&mut self.deferred)
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self, now: Moment) -> Now {
        Now { boot: self.clock.boot(now), wall: self.clock.wall(now) }
    }

    fn keep(&mut self, record: Record) {
        let key = record.key();
        let bytes = postcard::to_stdvec(&Stored::V1(record)).expect("a record encodes");
        self.records.insert(key, bytes);
    }

    /// Asks for a record to be written and synced.
    pub fn persist(&mut self, scene: &mut Scene, token: u64, record: Record) {
        self.writing.push_back((token, record));
        self.plan_sync(scene, Turn::Persisted(token));
    }

    /// Plans the end of a sync that begins now.
    pub fn plan_sync(&mut self, scene: &mut Scene, what: Turn) {
        let takes = scene.span(SYNC.0, SYNC.1) + self.slow;
        self.busy_until = self.busy_until.max(scene.now()) + takes;
        let happening = Happening::Process { place: self.place, life: self.life, what };
        scene.agenda.at(self.busy_until, happening);
    }

    /// Everything up to the token is durable now.
    pub fn persisted(&mut self, token: u64) {
        while self.writing.front().is_some_and(|(first, _)| *first <= token) {
            let (_, record) = self.writing.pop_front().expect("it was just seen");
            self.keep(record);
        }
    }

    /// The process ends. What was being written may or may not have got to the disk, in order.
    pub fn end_process(&mut self, power_lost: bool) {
        let kept = self.chance.below(self.writing.len() as u64 + 1);
        for _ in 0..kept {
            let (_, record) = self.writing.pop_front().expect("not more than there are");
            self.keep(record);
        }
        self.writing.clear();
        self.life += 1;
        if power_lost {
            self.disk.crash(&mut self.chance);
        } else {
            self.disk.kill();
        }
    }

    /// Starts a process.
    pub fn start(&mut self, scene: &mut Scene, timing: Timing, bugs: Bugs, flaw: Flaw) -> Process {
        self.life += 1;
        self.busy_until = scene.now();
        self.site.show(&self.clock, scene.now());
        let boot = BootId::mint(&mut self.chance);
        let members = Place::MEMBERS.into_iter().map(peer).collect();
        let mut config = Config::new(peer(self.place), members, timing);
        config.bugs = bugs;
        let records = self
            .records
            .values()
            .map(|bytes| match postcard::from_bytes(bytes) {
                Ok(Stored::V1(record)) => record,
                Err(error) => panic!("a record does not decode: {error}"),
            })
            .collect();
        self.disk.set_lying(flaw == Flaw::AckBeforeSync);
        Process::start(self, scene, config, boot, records, flaw)
    }
}
