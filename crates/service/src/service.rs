//! The accounts served, the settings they share, and the ids minted for them.

use crate::{Account, body::SHARE_BYTES, interaction::capabilities};
use base::{AccountName, Clock, Limits, ResourceId, Rng, Span, Stamp};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits on requests.
    pub limits: Limits,
    /// The URL up to and without the account's name, as clients know it
    /// (`https://fhir.example.org`). Without it, the request's own `Host` is used.
    pub public_url: Option<String>,
    /// How long a write with `Prefer: durability=replicated` waits for the other region.
    pub replicated_wait: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), public_url: None, replicated_wait: Span::from_secs(5) }
    }
}

/// The FHIR service of one process: every account it serves. Transport-free: `server` puts it on
/// a socket, tests call it in process.
pub struct Service {
    accounts: RwLock<BTreeMap<AccountName, Account>>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    rng: Mutex<Box<dyn Rng>>,
    /// Requests worked on.
    slots: Semaphore,
    /// Memory for bodies, in steps of [`SHARE_BYTES`].
    bodies: Semaphore,
    /// Bundles whose preparation uses several cores, one at a time for each core.
    preparing: Semaphore,
    stopping: AtomicBool,
    requests: AtomicU64,
    request_prefix: u64,
    started: Stamp,
    /// The CapabilityStatement last asked for, and its base URL.
    statement: Mutex<Option<(String, Bytes)>>,
}

impl Service {
    /// A service without accounts.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, mut rng: Box<dyn Rng>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            accounts: RwLock::default(),
            slots: Semaphore::new(settings.limits.concurrency),
            bodies: Semaphore::new(
                (settings.limits.bodies_bytes / SHARE_BYTES).min(Semaphore::MAX_PERMITS),
            ),
            preparing: Semaphore::new(cores),
            settings,
            started: clock.wall(),
            clock,
            statement: Mutex::new(None),
            request_prefix: rng.next_u64(),
            rng: Mutex::new(rng),
            stopping: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        }
    }

    /// Serves one more account, or the same anew.
    pub fn add(&self, account: Account) {
        self.accounts.write().insert(account.name.clone(), account);
    }

    /// No longer serves an account.
    pub fn remove(&self, name: &AccountName) {
        self.accounts.write().remove(name);
    }

    /// The account of that name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<Account> {
        let name: AccountName = name.parse().ok()?;
        self.accounts.read().get(&name).cloned()
    }

    /// All accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.accounts.read().values().cloned().collect()
    }

    /// Limits on requests.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on requests are refused, as not applied; those being answered go on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether [`Service::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Places for requests worked on at one time.
    pub(crate) fn slots(&self) -> &Semaphore {
        &self.slots
    }

    /// Memory for bodies.
    pub(crate) fn bodies(&self) -> &Semaphore {
        &self.bodies
    }

    /// Places for bundles being prepared.
    pub(crate) fn preparing(&self) -> &Semaphore {
        &self.preparing
    }

    /// A fresh, time-ordered resource id.
    #[must_use]
    pub fn mint_id(&self) -> ResourceId {
        let now = self.clock.wall();
        ResourceId::mint(now, &mut **self.rng.lock())
    }

    /// The CapabilityStatement of a base URL, made once.
    pub(crate) fn statement(&self, base: &str) -> Bytes {
        let mut kept = self.statement.lock();
        match &*kept {
            Some((known, text)) if known == base => text.clone(),
            _ => {
                let text = capabilities::statement(base, self.started);
                *kept = Some((base.to_owned(), text.clone()));
                text
            }
        }
    }

    /// An id for a request that came without one.
    pub(crate) fn mint_request_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{count:x}", self.request_prefix)
    }
}
