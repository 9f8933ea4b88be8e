//! `firebreak region`: the FHIR service, the account's log, replication, and the protocol.
//!
//! Threads: `control`, `control-net`, `control-disk` for register and leases; `shipping` for the
//! sockets between regions; `account-NAME` and the store's own for each account; a runtime on all
//! cores for HTTP.

mod accounts;
mod admin;
mod http;
mod keeping;
mod link;
mod pass;
mod quarantine;
mod shipping;
mod status;
mod worker;

use self::http::{Door, Purpose};
use crate::config::{self, Addresses, Arguments, Config};
use crate::member::{self, Member};
use crate::{gateway, init, process};
use ::gateway::{Resolve, Upstream};
use accounts::{Accounts, Around};
use anyhow::Context;
use base::{AccountName, Clock, MemberId, Position, Span};
use control::{Kind, OsRng, SystemClock};
use dr::{Holder, Mode, Policies, Request, Role};
use replication::Gate as _;
use service::{Drained, Service, Settings};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::AccountStore;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How often what is to be done once is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long answers under way may take once it is told to stop.
const DRAIN: Span = Span::from_secs(4);
/// How long closing the stores may take then; the next start does what is left.
const CLOSE: Duration = Duration::from_millis(900);

/// A region at work.
pub struct Region {
    /// Identity, roster, driver.
    pub member: Member,
    /// FHIR.
    pub service: Arc<Service>,
    /// Logs, gates, workers.
    pub accounts: Arc<Accounts>,
    /// To the other region, for requests that are passed on.
    pub upstream: Upstream,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
}

/// Runs a region until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.read()? else { return Ok(()) };
    config.expect(Kind::Region)?;
    process::log_to_stderr(&config.log)?;
    work(&config, None)
}

/// Runs a region that makes its own cluster where there is none, and answers clients itself;
/// `ready` is told where, once it does.
pub fn alone(config: &Config, ready: impl Fn(SocketAddr)) -> anyhow::Result<()> {
    work(config, Some(&ready))
}

type Ready<'a> = &'a dyn Fn(SocketAddr);

fn work(config: &Config, alone: Option<Ready<'_>>) -> anyhow::Result<()> {
    let runtime = process::runtime()?;
    let done = runtime.block_on(serve(config, alone));
    // Connections that were cut hold nothing that matters.
    runtime.shutdown_background();
    done
}

/// In this order: the public address is taken, the folder is locked, the log is recovered, the
/// epoch is raised, and only then is a client answered.
async fn serve(config: &Config, alone: Option<Ready<'_>>) -> anyhow::Result<()> {
    let public =
        config.listen.as_deref().map(|listen| bind(config::address(listen)?)).transpose()?;
    let new =
        || matches!(control::read_identity(&config.data), Err(control::Error::NoIdentity { .. }));
    if alone.is_some() && new() {
        init::found(config)?;
    }
    let (failed, mut failures) = mpsc::unbounded_channel();
    let (region, listener) = start(config, failed)?;
    let mut doors =
        Doors { region: region.clone(), stop: watch::Sender::new(false), open: Vec::new() };
    let tls = control::server(&region.member.credentials, &[control::Purpose::Http])?;
    doors.open(listener, Purpose::Members, Some(tls))?;
    tracing::info!(name = %region.member.identity.name, "region runs");
    let settling = tokio::spawn(settle(region.clone(), config.clone()));
    let mut ended = pin!(async {
        tokio::select! {
            () = process::stopped() => Ok(()),
            Some(error) = failures.recv() => Err(error),
        }
    });
    let done = match (public, alone) {
        (Some(public), Some(ready)) => tokio::select! {
            done = &mut ended => done,
            () = region.serves(&config.account) => {
                let address = public.local_addr()?;
                let tls = gateway::public_tls(config, address)?;
                doors.open(public, Purpose::Clients, tls)?;
                ready(address);
                ended.await
            }
        },
        (Some(public), None) => {
            doors.open(public, Purpose::Probes, None)?;
            ended.await
        }
        (None, _) => ended.await,
    };
    doors.close().await;
    settling.abort();
    region.close().await;
    done
}

/// Takes an address.
fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A region's listeners, each served by a task.
struct Doors {
    region: Arc<Region>,
    stop: watch::Sender<bool>,
    open: Vec<JoinHandle<Drained>>,
}

impl Doors {
    fn open(
        &mut self,
        listener: TcpListener,
        purpose: Purpose,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let door = Arc::new(Door { region: self.region.clone(), purpose });
        let mut stop = self.stop.subscribe();
        let stop = async move { drop(stop.wait_for(|stop| *stop).await) };
        self.open.push(tokio::spawn(service::serve(door, listener, tls, stop, DRAIN)));
        Ok(())
    }

    /// Finishes what is under way.
    async fn close(self) {
        self.stop.send_replace(true);
        for door in self.open {
            if !matches!(door.await, Ok(Drained::Whole)) {
                tracing::warn!("some answers were not finished in time and were cut");
            }
        }
    }
}

/// Starts all but what answers; gives also where members will be answered.
fn start(
    config: &Config,
    failed: mpsc::UnboundedSender<anyhow::Error>,
) -> anyhow::Result<(Arc<Region>, TcpListener)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The machine may ask before its accounts are known: they come right after it.
    let late: Arc<OnceLock<Arc<Accounts>>> = Arc::default();
    let known = late.clone();
    let hands = Box::new(move |action| known.wait().act(action));
    let member = member::start(config, hands)?;
    let ship = bind(member.listening(config.ship()?, |own| &own.ship)?)?;
    let serve = bind(member.listening(config.serve()?, |own| &own.serve)?)?;
    if member.founder {
        let bound = Addresses {
            peer: member.address().to_string(),
            serve: serve.local_addr()?.to_string(),
            ship: ship.local_addr()?.to_string(),
        };
        member.tell(&config.data, config.advertised_at(bound)?)?;
    }
    let me = Holder { member: member.identity.id, boot: member.boot };
    let lease = config.timing.lease();
    let accounts = Accounts::new(config.data.clone(), me, lease, clock.clone());
    let settings = Settings {
        limits: config.limits.clone(),
        public_url: config.public_url.clone(),
        ..Settings::default()
    };
    let service = Arc::new(Service::new(settings, clock.clone(), Box::new(OsRng)));
    let arriving = accounts.clone();
    let links = link::Setup {
        me: me.member,
        credentials: member.credentials.clone(),
        roster: member.roster.subscribe(),
        deliver: Arc::new(move |arrival| arriving.arrive(arrival)),
    };
    let links = link::start(links, ship)?;
    let served = service.clone();
    let opened = Box::new(move |open: anyhow::Result<accounts::Open>| match open {
        Ok(accounts::Open { name, store, gate, .. }) => {
            served.add(service::Account { name, store, gate });
        }
        // Fails only when the process is ending.
        Err(error) => drop(failed.send(error)),
    });
    accounts.begin(Around { links, driver: member.driver.clone(), opened })?;
    // Cannot be set twice: this is the only place.
    let _ = late.set(accounts.clone());
    let roster = member.roster.clone();
    let resolve: Resolve =
        Arc::new(move |id: MemberId| roster.borrow().by_id(id).map(|member| member.serve.clone()));
    let upstream = Upstream::new(&member.credentials, resolve)?;
    Ok((Arc::new(Region { member, service, accounts, upstream, clock }), serve))
}

impl Region {
    /// Ready when a client who asks for the account gets an answer: from here or from elsewhere.
    async fn serves(&self, account: &AccountName) {
        let mut views = self.member.driver.views();
        loop {
            let here = self.accounts.get(account).is_some_and(|open| open.gate.admit().is_ok());
            let path = format!("/{account}");
            if here || matches!(pass::place(self, &path), pass::Place::Elsewhere(_)) {
                return;
            }
            if views.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Ends the register's thread and makes durable what is queued.
    async fn close(self: Arc<Self>) {
        self.member.driver.stop();
        let closing = tokio::task::spawn_blocking(move || {
            for account in self.accounts.names() {
                self.service.remove(&account);
            }
            self.accounts.close();
        });
        if tokio::time::timeout(CLOSE, closing).await.is_err() {
            tracing::warn!("the stores were not closed in time: the next start does what is left");
        }
    }
}

/// What a region does by itself: the first makes its account, and grows its register as soon as
/// the cluster has three that vote.
async fn settle(region: Arc<Region>, config: Config) {
    let driver = &region.member.driver;
    loop {
        let views = driver.known();
        for account in views.keys() {
            region.accounts.expect(account);
        }
        let account = &config.account;
        if region.member.founder && views.get(account).is_none_or(|view| view.value.is_none()) {
            region.accounts.expect(account);
            let open = region.accounts.get(account);
            if open.is_some_and(|open| open.store.status().end == Position::ZERO) {
                let mode = Mode::Async { max_lag: Span::from_ms(config.max_lag_ms) };
                let policies = Policies::new(config.timing);
                let asked = Request::Create { account: account.clone(), mode, policies };
                tell(driver.ask(asked).await, "the first account");
            }
        }
        let voters: Vec<_> = region.member.roster.borrow().voters().cloned().collect();
        let regions = voters.iter().filter(|member| member.kind == Kind::Region).count();
        for view in views.values() {
            let alone = view.value.as_ref().is_some_and(|value| value.acceptors.all().len() == 1);
            let primary = matches!(view.role, Role::Primary { .. });
            if alone && primary && voters.len() == 3 && regions == 2 {
                let asked = Request::Grow { account: view.account.clone() };
                tell(driver.ask(asked).await, "growing the register to three");
            }
        }
        // What comes first: an account is open, or it is time to look again.
        let _ = tokio::time::timeout(AGAIN, region.accounts.opened.notified()).await;
    }
}

fn tell(outcome: Option<dr::Outcome>, what: &'static str) {
    match outcome {
        Some(Ok(sentence)) => tracing::info!(what, "{sentence}"),
        Some(Err(error)) => tracing::info!(what, %error, "not yet"),
        None => {}
    }
}
