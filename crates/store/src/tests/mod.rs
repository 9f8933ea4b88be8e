//! Engines by the conformance functions, and the committer under crashes.

mod engines;

use crate::core::{Place, Settings};
use crate::disk::SimDisk;
use crate::{Account, AccountStore, Engine, Term};
use base::{BootId, BootTime, Clock, Epoch, Fork, MemberId, Stamp};
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
