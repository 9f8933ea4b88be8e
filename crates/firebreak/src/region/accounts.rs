//! The accounts of a region: each with a gate, a store and a worker. What the machine asks and
//! what other regions say finds its account here.

use super::keeping;
use super::link::{Arrival, Links};
use super::worker::{self, Work, Worker};
use ::gateway::Rejoin;
use base::{AccountName, BootTime, Clock, Seq, Span};
use bytes::Bytes;
use control::Driver;
use crossbeam_channel::{Sender, unbounded};
use dr::{Action, Holder};
use parking_lot::{Mutex, RwLock};
use replication::{AccountGate, Parcel};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use store::disk::{Disk, RealDisk};
use store::{Account, AccountStore, Engine};
use tokio::sync::Notify;

/// Where accounts are, below the data directory.
const FOLDER: &str = "accounts";

/// How long nothing must be applied for an account to count as quiet.
const QUIET: Span = Span::from_ms(500);

/// An account that is open here.
#[derive(Clone)]
pub struct Open {
    /// Its name.
    pub name: AccountName,
    /// Its store.
    pub store: Arc<Account>,
    /// Its gate.
    pub gate: Arc<AccountGate>,
    /// At the primary: what the secondary's latest return took.
    pub rejoin: Arc<Mutex<Option<Rejoin>>>,
    /// What its log says of its quarantine.
    pub quarantine: keeping::Shared,
    followed: Arc<AtomicBool>,
    disk: Arc<dyn Disk>,
    applied: Arc<Mutex<(Seq, BootTime)>>,
}

impl Open {
    /// Commits in quarantine; `None` until the log was read.
    pub fn quarantined(&self) -> Option<u64> {
        let count = self.quarantine.lock().as_ref().map(|kept| kept.commits().count());
        count.and_then(|count| u64::try_from(count).ok())
    }

    /// Whether nothing was applied for a while, as far as those who asked saw.
    pub fn is_quiet(&self, applied: Seq, now: BootTime) -> bool {
        let mut seen = self.applied.lock();
        if seen.0 != applied {
            *seen = (applied, now);
        }
        now.since(seen.1) >= QUIET
    }
}

struct Entry {
    gate: Arc<AccountGate>,
    work: Sender<Work>,
    thread: Option<JoinHandle<()>>,
}

/// What every account needs, known once the region runs.
pub struct Around {
    /// To other regions.
    pub links: Arc<Links>,
    /// To the machine.
    pub driver: Driver,
    /// Takes an account that is open, or why it cannot be opened: the process must stop then.
    pub opened: Box<dyn Fn(anyhow::Result<Open>) + Send + Sync>,
}

/// All accounts of a region.
pub struct Accounts {
    data: PathBuf,
    me: Holder,
    lease: Span,
    clock: Arc<dyn Clock>,
    entries: Mutex<BTreeMap<AccountName, Entry>>,
    open: RwLock<BTreeMap<AccountName, Open>>,
    around: Arc<OnceLock<Around>>,
    /// One more account is open.
    pub opened: Notify,
}

impl Accounts {
    /// None yet.
    pub fn new(data: PathBuf, me: Holder, lease: Span, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            data,
            me,
            lease,
            clock,
            entries: Mutex::default(),
            open: RwLock::default(),
            around: Arc::default(),
            opened: Notify::new(),
        })
    }

    /// From now on stores are opened and work is done; what was asked before waits until then.
    pub fn begin(self: &Arc<Self>, around: Around) -> anyhow::Result<()> {
        anyhow::ensure!(self.around.set(around).is_ok(), "a region begins once");
        for name in self.on_disk()? {
            self.expect(&name);
        }
        // With those that the machine named meanwhile, which wait for this.
        tracing::info!(accounts = self.entries.lock().len(), "accounts begin");
        Ok(())
    }

    /// Names of the accounts whose logs are here.
    fn on_disk(&self) -> anyhow::Result<Vec<AccountName>> {
        let folder = self.data.join(FOLDER);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            if let Some(name) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// An account that is open.
    pub fn get(&self, name: &AccountName) -> Option<Open> {
        self.open.read().get(name).cloned()
    }

    /// The accounts that are open here or will be.
    pub fn names(&self) -> Vec<AccountName> {
        self.entries.lock().keys().cloned().collect()
    }

    /// Whether an account is here, but not open yet.
    pub fn is_opening(&self, name: &AccountName) -> bool {
        !self.open.read().contains_key(name) && self.entries.lock().contains_key(name)
    }

    /// Makes sure that an account is open, or will be.
    pub fn expect(self: &Arc<Self>, name: &AccountName) {
        self.with(name, |_| {});
    }

    /// Ends the work and closes the stores, which makes durable what is queued.
    pub fn close(&self) {
        self.all(|| Work::Stop);
        let threads: Vec<_> =
            self.entries.lock().values_mut().filter_map(|entry| entry.thread.take()).collect();
        for thread in threads {
            // It may have panicked: then there is nothing left to wait for.
            let _ = thread.join();
        }
        self.open.write().clear();
    }

    /// What the machine asks. On the driver's thread: sets gates at once, hands on the rest.
    pub fn act(self: &Arc<Self>, action: Action) {
        let account = match &action {
            Action::SetGate { account, .. }
            | Action::SetRole { account, .. }
            | Action::LookUp { account, .. }
            | Action::StopAppends { account, .. }
            | Action::FetchTail { account, .. }
            | Action::OpenEpoch { account, .. }
            | Action::Drain { account, .. } => account.clone(),
            Action::Return(plan) => plan.account.clone(),
            other => return tracing::error!(?other, "an action that is not for an account"),
        };
        self.with(&account, |entry| {
            let work = match action {
                Action::SetGate { gate, .. } => {
                    entry.gate.set(gate);
                    Work::Gate(gate)
                }
                other => Work::Act(other),
            };
            // Fails only when the worker's thread is gone, and then the process stops.
            let _ = entry.work.send(work);
        });
    }

    /// What comes from another region.
    pub fn arrive(self: &Arc<Self>, arrival: Arrival) {
        match arrival {
            Arrival::Connected(member) => self.all(|| Work::Connected(member)),
            Arrival::Disconnected(member) => self.all(|| Work::Disconnected(member)),
            Arrival::Parcel(from, bytes) => self.parcel(from, &bytes),
        }
    }

    fn parcel(&self, from: base::MemberId, bytes: &Bytes) {
        match Parcel::decode(bytes) {
            Ok(parcel) => {
                // An account that the machine does not know yet has nobody to listen.
                if let Some(entry) = self.entries.lock().get(&parcel.head.account) {
                    let _ = entry.work.send(Work::Parcel(from, parcel));
                }
            }
            Err(error) => tracing::warn!(%from, %error, "a parcel is dropped"),
        }
    }

    fn all(&self, work: impl Fn() -> Work) {
        for entry in self.entries.lock().values() {
            let _ = entry.work.send(work());
        }
    }

    fn with(self: &Arc<Self>, name: &AccountName, use_it: impl FnOnce(&Entry)) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(name.clone()).or_insert_with(|| self.enter(name));
        use_it(entry);
    }

    /// Begins an account: its gate at once, its store and its worker on a thread.
    fn enter(self: &Arc<Self>, name: &AccountName) -> Entry {
        let gate = Arc::new(AccountGate::new(self.me.member, self.clock.clone()));
        // Bounded by the machine's questions and by the shippers' windows.
        let (work, todo) = unbounded();
        let (accounts, name) = (self.clone(), name.clone());
        let (kept, durable) = (gate.clone(), work.clone());
        let thread = std::thread::Builder::new().name(format!("account-{name}"));
        let started = thread.spawn(move || {
            let around = accounts.around.wait();
            match accounts.open(&name, &kept, durable) {
                Ok(open) => {
                    let place = worker::Place {
                        account: name.clone(),
                        me: accounts.me,
                        store: open.store.clone(),
                        rejoin: open.rejoin.clone(),
                        quarantine: open.quarantine.clone(),
                        disk: open.disk.clone(),
                        gate: kept,
                        followed: open.followed.clone(),
                        links: around.links.clone(),
                        driver: around.driver.clone(),
                        clock: accounts.clock.clone(),
                        lease: accounts.lease,
                    };
                    // Open only once the service has it: before, it would say that there is none.
                    (around.opened)(Ok(open.clone()));
                    accounts.open.write().insert(name, open);
                    accounts.opened.notify_one();
                    Worker::new(place).run(&todo);
                }
                Err(error) => (around.opened)(Err(error)),
            }
        });
        match started {
            Ok(thread) => Entry { gate, work, thread: Some(thread) },
            Err(error) => {
                tracing::error!(%error, "no thread for an account: stopping");
                std::process::exit(worker::EXIT_IO);
            }
        }
    }

    fn open(
        &self,
        name: &AccountName,
        gate: &Arc<AccountGate>,
        work: Sender<Work>,
    ) -> anyhow::Result<Open> {
        let folder = self.data.join(FOLDER).join(name.as_str());
        control::make_folder(&folder)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&folder)?);
        let place = store::Place {
            disk: disk.clone(),
            log_dir: "log".to_owned(),
            engine: Engine::Embedded(folder.join("index")),
        };
        let progress = |done, of| tracing::info!(done, of, "making the index from the log");
        let failed = Box::new(|error: store::Error| worker::stop(&error));
        let settings = store::Settings::default();
        let store = Account::open(place, settings, self.clock.clone(), &progress, failed)?;
        let gate_of = gate.clone();
        let followed: Arc<AtomicBool> = Arc::default();
        let follows = followed.clone();
        store.core().watch(Box::new(move |durable| {
            gate_of.durable(durable.seq);
            // Without a secondary the worker's own turns are soon enough.
            if follows.load(Ordering::Relaxed) {
                let _ = work.send(Work::Durable);
            }
        }));
        let end = store.status().durable;
        tracing::info!(account = %name, %end, "log open");
        let (store, rejoin, applied) = (Arc::new(store), Arc::default(), Arc::default());
        let quarantine = Arc::default();
        Ok(Open {
            name: name.clone(),
            store,
            gate: gate.clone(),
            rejoin,
            quarantine,
            followed,
            disk,
            applied,
        })
    }
}
