//! Engines by the conformance functions, and the committer under crashes.

mod agreement;
mod crashes;
mod damage;
mod engines;
mod following;

use crate::core::{Core, Place, Settings};
use crate::disk::SimDisk;
use crate::{
    Account, AccountStore, Committed, Cursor, Digest, Done, Engine, Error, HistoryQuery,
    Idempotency, Page, Resolved, Status, Term, Version, Write,
};
use base::{BootId, BootTime, Clock, Epoch, Fork, MemberId, ResourceId, Seq, Stamp, VersionId};
use fhir::TypeId;
use search::{Filter, Query};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A wall clock that ticks a millisecond each time it is read.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn boot(&self) -> BootTime {
        BootTime::from_us(self.0.load(Ordering::Relaxed) * 1000)
    }
    fn wall(&self) -> Stamp {
        Stamp::from_ms(1_800_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn term(epoch: u64, fork: u32) -> Term {
    Term {
        epoch: Epoch::new(epoch),
        fork: Fork::new(fork),
        origin: (MemberId::new(1), BootId::new(u128::from(epoch))),
        stamp_floor: Stamp::ZERO,
        stamp_ceiling: Stamp::MAX,
    }
}

fn place(disk: &SimDisk, engine: Engine) -> Place {
    Place { disk: Arc::new(disk.clone()), log_dir: "log".to_owned(), engine }
}

fn account(engine: Engine) -> Box<dyn AccountStore> {
    let account = Account::open(
        place(&SimDisk::new(), engine),
        Settings::default(),
        Arc::new(Ticking::default()),
        &|_, _| {},
        Box::new(|error| panic!("the log failed: {error}")),
    )
    .expect("a fresh store opens");
    account.core().set_term(term(1, 0)).expect("nothing is in flight");
    Box::new(account)
}

/// A committer without threads: every write is appended and synced at once.
struct Inline(Core);

impl Inline {
    fn open(place: Place) -> Self {
        let settings = Settings {
            log: crate::log::Settings { segment_bytes: 64 << 10 },
            batch_changes: 7,
            ..Settings::default()
        };
        let core = Core::open(place, settings, Arc::new(Ticking::default()), true, &|_, _| {})
            .expect("the store opens");
        Self(core)
    }

    fn settle(&self) {
        while self.0.append().expect("appended") > 0 {}
        self.0.sync().expect("synced");
    }
}

impl AccountStore for Inline {
    fn submit(&self, write: Write, done: Done) {
        self.0.submit(write, done);
        self.settle();
    }
    fn recall(&self, idempotency: &Idempotency) -> Result<Option<Committed>, Error> {
        self.0.recall(idempotency)
    }
    fn read(&self, type_id: TypeId, id: &ResourceId) -> Result<Option<Version>, Error> {
        self.0.read(type_id, id)
    }
    fn vread(
        &self,
        type_id: TypeId,
        id: &ResourceId,
        version: VersionId,
    ) -> Result<Option<Version>, Error> {
        self.0.vread(type_id, id, version)
    }
    fn history(&self, query: &HistoryQuery) -> Result<Page, Error> {
        self.0.history(query)
    }
    fn search(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.0.search(query, cursor)
    }
    fn resolve(&self, type_id: TypeId, filter: &Filter) -> Result<Resolved, Error> {
        self.0.resolve(type_id, filter)
    }
    fn status(&self) -> Status {
        self.0.status()
    }
    fn digest(&self, at: Seq) -> Option<Digest> {
        self.0.digest(at)
    }
}
