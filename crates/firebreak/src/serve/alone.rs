//! A region without others: the real register, with one acceptor, and the real lease; only the
//! hands are simpler, for there is nobody to ship to or to take from.
//!
//! ```text
//! start ─▶ driver ──OpenEpoch──▶ log thread: set the term, append the opening commit
//!             │ ◀──Opened────────┘
//!             └──SetGate(Open)─▶ gate: requests are admitted
//! ```

use anyhow::{Context, bail};
use base::{AccountName, BootId, Clock, Epoch, Fork, MemberId, MemberName, Span, Stamp};
use bytes::Bytes;
use control::{
    Authority, Directory, Driver, DriverSetup, Identity, Kind, Member, OsRng, Roster, Subject,
    SystemClock,
};

use dr::{Action, Event, Mode, Policies, Request, Timing};
use replication::{AccountGate, Gate as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use store::disk::RealDisk;
use store::{AccountStore, CommitKind, Core, Engine, Place};
use tokio::sync::watch;

/// What the one member of such a cluster is called.
const NAME: &str = "alone";
/// How far beyond the old ceiling the first stamps of an epoch may be, until the lease says more.
const FIRST_STAMPS: Span = Span::from_secs(30);
/// How long a start may take until the account can be written to, rebuilding not counted.
const OPEN_WAIT: Span = Span::from_secs(60);
/// Exit code when the log cannot be kept durable (`EX_IOERR` of sysexits.h).
const EXIT_IO: i32 = 74;

/// The one account of a region alone, open.
pub struct Alone {
    store: Arc<store::Account>,
    gate: Arc<AccountGate>,
    driver: Driver,
    _roster: watch::Sender<Arc<Roster>>,
}

impl Alone {
    /// Opens the folder, or makes one, and waits until the account's epoch is open.
    pub async fn open(folder: &Path, account: &AccountName) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (directory, known, store) = {
            let (folder, account, clock) = (folder.to_owned(), account.clone(), clock.clone());
            let opening = tokio::task::spawn_blocking(move || open(&folder, &account, clock));
            opening.await.context("opening the data folder failed")??
        };
        let gate = Arc::new(AccountGate::new(directory.identity.id, Arc::clone(&clock)));
        let watching = Arc::clone(&gate);
        store.core().watch(Box::new(move |durable| watching.durable(durable.seq)));
        let (roster, _) = watch::channel(Arc::new(known));
        let (asked, asks) = channel();
        let hands = hands(Arc::clone(&gate), Arc::clone(store.core()), asked);
        let origin = (directory.identity.id, directory.boot);
        let timing = Timing::default();
        let setup = DriverSetup { directory, timing, clock: Arc::clone(&clock), hands };
        let driver = Driver::start(setup, &roster)?;
        let core = Arc::clone(store.core());
        let log = LogHands { core, driver: driver.clone(), origin, clock };
        std::thread::Builder::new()
            .name("serve-log".to_owned())
            .spawn(move || log.run(&asks))
            .context("cannot start a thread")?;
        let alone = Self { store: Arc::new(store), gate, driver, _roster: roster };
        alone.begin(account).await?;
        Ok(alone)
    }

    /// Makes the account where there is none, and waits until its gate is open.
    async fn begin(&self, account: &AccountName) -> anyhow::Result<()> {
        let end = self.store.status().durable;
        self.driver.tell(Event::LogEnd { account: account.clone(), end });
        if end == base::Position::ZERO {
            let request = Request::Create {
                account: account.clone(),
                mode: Mode::Async { max_lag: Span::from_secs(5) },
                policies: Policies::new(Timing::default()),
            };
            // Refused where the register holds it already: a start that broke off before.
            let _ = self.driver.ask(request).await;
        }
        let mut views = self.driver.views();
        let opened = async {
            while self.gate.admit().is_err() {
                if views.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        match tokio::time::timeout(OPEN_WAIT.std(), opened).await {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the register's thread ended"),
            Err(_) => {
                let views = self.driver.views();
                let sentence = views.borrow().get(account).map(|view| view.sentence.clone());
                bail!(
                    "the account did not open within {OPEN_WAIT}: {}",
                    sentence.unwrap_or_default()
                )
            }
        }
    }

    /// The account's store.
    pub fn store(&self) -> Arc<dyn AccountStore> {
        Arc::clone(&self.store) as Arc<dyn AccountStore>
    }

    /// The account's gate.
    pub fn gate(&self) -> Arc<AccountGate> {
        Arc::clone(&self.gate)
    }

    /// Stops the register's thread and makes durable what is queued.
    pub fn close(self) {
        self.driver.stop();
        drop(self.store);
    }
}

/// Takes the lock, making a cluster of one where there is nothing, and opens the log.
fn open(
    folder: &Path,
    account: &AccountName,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Directory, Roster, store::Account)> {
    if let Err(control::Error::NoIdentity { .. }) = control::read_identity(folder) {
        found(folder)?;
    }
    let directory = Directory::open(folder, Kind::Region, &mut OsRng)?;
    let known = control::read_roster(folder)?;
    if known.members.iter().filter(|member| member.kind.votes()).count() > 1 {
        bail!(crate::exit::Misconfigured(format!(
            "{} belongs to a region of a larger cluster: run `firebreak region`",
            folder.display()
        )));
    }
    let place = folder.join("accounts").join(account.as_str());
    control::make_folder(&place)?;
    let disk = RealDisk::new(&place).with_context(|| format!("cannot open {}", place.display()))?;
    let engine = Engine::Embedded(place.join("index"));
    let place = Place { disk: Arc::new(disk), log_dir: "log".to_owned(), engine };
    let progress = |done, of| tracing::info!(done, of, "the index is made from the log");
    let failed = Box::new(|error| {
        tracing::error!(%error, "the log cannot be kept durable: stopping");
        std::process::exit(EXIT_IO);
    });
    let store = store::Account::open(place, store::Settings::default(), clock, &progress, failed)?;
    Ok((directory, known, store))
}

/// Makes a cluster of one in an empty folder.
fn found(folder: &Path) -> anyhow::Result<()> {
    let cluster = MemberId::mint(&mut OsRng);
    let id = MemberId::mint(&mut OsRng);
    let name: MemberName = NAME.parse().expect("the name is plain");
    let authority = Authority::create(cluster)?;
    let (peer, serve, ship) = (String::new(), String::new(), String::new());
    let region = Member { name: name.clone(), id, kind: Kind::Region, peer, serve, ship };
    let roster = Roster { cluster, version: 1, members: vec![region] };
    let credentials = authority.issue(Subject { id, kind: Kind::Region }, &name)?;
    let identity = Identity::new(cluster, id, name, Kind::Region);
    control::make_folder(folder)?;
    control::write_authority(folder, &authority)?;
    Directory::create(folder, &identity, &credentials, &roster, Timing::default())?;
    Ok(())
}

/// Carries out what concerns the gate at once, and hands the log's part to its thread.
fn hands(gate: Arc<AccountGate>, core: Arc<Core>, asked: Sender<Action>) -> control::Hands {
    Box::new(move |action| match action {
        Action::SetGate { gate: said, .. } => {
            match said {
                dr::Gate::Open(term) => core.extend_term(term.ceiling),
                dr::Gate::Closed { .. } => core.end_term(),
            }
            gate.set(said);
        }
        // Nobody follows, and nobody is followed.
        Action::SetRole { .. } => {}
        // Fails only when the process is ending.
        other => drop(asked.send(other)),
    })
}

/// The log's part of the hands, on a thread of its own.
struct LogHands {
    core: Arc<Core>,
    driver: Driver,
    origin: (MemberId, BootId),
    clock: Arc<dyn Clock>,
}

impl LogHands {
    /// Answers the machine's questions to the log, one after the other.
    fn run(&self, asks: &Receiver<Action>) {
        while let Ok(action) = asks.recv() {
            if let Some(event) = self.answer(action) {
                self.driver.tell(event);
            }
        }
    }

    fn answer(&self, action: Action) -> Option<Event> {
        let end = self.core.status().durable;
        Some(match action {
            Action::LookUp { account, query, seq } => {
                let found = self.core.reader().position(seq).ok().flatten();
                Event::LookedUp { account, query, found, end }
            }
            Action::StopAppends { account, query, .. } => {
                Event::AppendsStopped { account, query, end }
            }
            Action::FetchTail { account, query, .. } => Event::TailFetched { account, query, end },
            Action::Drain { account, epoch } => {
                self.core.end_term();
                Event::Drained { account, epoch, end }
            }
            Action::OpenEpoch { account, epoch, at, .. } if end != at => {
                Event::NotOpened { account, epoch, end }
            }
            Action::OpenEpoch { account, epoch, fork, above, .. } => {
                self.open_epoch(account, epoch, fork, above);
                return None;
            }
            other => {
                tracing::error!(?other, "a region alone cannot be asked for this");
                return None;
            }
        })
    }

    /// Begins a term and appends its opening commit (PROTOCOL.md E2).
    fn open_epoch(&self, account: AccountName, epoch: Epoch, fork: Fork, above: Stamp) {
        let first = self.clock.wall().max(above);
        let term = store::Term {
            epoch,
            fork,
            origin: self.origin,
            stamp_floor: above,
            stamp_ceiling: Stamp::from_ms(first.ms() + FIRST_STAMPS.ms()),
        };
        if let Err(error) = self.core.set_term(term) {
            tracing::error!(%error, epoch = epoch.get(), "an epoch could not be opened");
            return;
        }
        let driver = self.driver.clone();
        let opened = Box::new(move |done: Result<store::Committed, store::Refused>| match done {
            Ok(committed) => {
                driver.tell(Event::Opened { account, epoch, position: committed.position });
            }
            Err(refused) => {
                tracing::error!(error = %refused.error, "an opening commit was refused");
            }
        });
        self.core.submit_record(CommitKind::Opening, Bytes::new(), opened);
    }
}
