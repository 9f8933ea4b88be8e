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

use crate::config::{self, Arguments, Config};
use crate::member::{self, Member};
use crate::process;
use ::gateway::{Resolve, Upstream};
use accounts::{Accounts, Around};
use base::{Clock, MemberId, Position, Span};
use control::{Kind, OsRng, SystemClock};
use dr::{Holder, Mode, Policies, Request, Role};
use service::{Service, Settings};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::AccountStore;
use tokio::net::TcpListener;

/// How often what is to be done once is tried again.
const AGAIN: Duration = Duration::from_millis(500);

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
    let serve = config::address(config.serve()?)?;
    let runtime = process::runtime()?;
    let region = {
        let _inside = runtime.enter();
        Arc::new(start(&config)?)
    };
    runtime.block_on(async {
        let listener = TcpListener::bind(serve)
            .await
            .map_err(|source| control::Error::Connection { address: serve.to_string(), source })?;
        tracing::info!(name = %config.name, %serve, "region runs");
        if let Some(listen) = &config.listen {
            let health = bind(config::address(listen)?).await?;
            tokio::spawn(http::serve_health(region.clone(), health));
        }
        tokio::spawn(settle(region.clone(), config.clone()));
        http::serve(region.clone(), listener, process::stopped()).await
    })?;
    region.member.driver.stop();
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, control::Error> {
    let failed = |source| control::Error::Connection { address: address.to_string(), source };
    TcpListener::bind(address).await.map_err(failed)
}

fn start(config: &Config) -> anyhow::Result<Region> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (peer, ship) = (config::address(config.peer()?)?, config::address(config.ship()?)?);
    // The machine may ask before its accounts are known: they come right after it.
    let late: Arc<OnceLock<Arc<Accounts>>> = Arc::default();
    let known = late.clone();
    let hands = Box::new(move |action| known.wait().act(action));
    let member = member::start(config, peer, hands)?;
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
    let links = link::start(link::Setup {
        me: me.member,
        credentials: member.credentials.clone(),
        listen: ship,
        roster: member.roster.subscribe(),
        deliver: Arc::new(move |arrival| arriving.arrive(arrival)),
    })?;
    let served = service.clone();
    let opened = Box::new(move |open: accounts::Open| {
        let (name, store, gate) = (open.name, open.store, open.gate);
        served.add(service::Account { name, store, gate });
    });
    accounts.begin(Around { links, driver: member.driver.clone(), opened })?;
    // Cannot be set twice: this is the only place.
    let _ = late.set(accounts.clone());
    let roster = member.roster.clone();
    let resolve: Resolve =
        Arc::new(move |id: MemberId| roster.borrow().by_id(id).map(|member| member.serve.clone()));
    let upstream = Upstream::new(&member.credentials, resolve)?;
    Ok(Region { member, service, accounts, upstream, clock })
}

/// What a region does by itself: the first makes its account, and grows its register as soon as
/// the cluster has three that vote.
async fn settle(region: Arc<Region>, config: Config) {
    let driver = &region.member.driver;
    let founder = config.data.join("tls/authority.key").exists();
    loop {
        let views = driver.views().borrow().clone();
        for account in views.keys() {
            region.accounts.expect(account);
        }
        let unknown = views.get(&config.account).is_none_or(|view| view.value.is_none());
        let empty = region.accounts.get(&config.account);
        let empty = empty.is_none_or(|open| open.store.status().end == Position::ZERO);
        if founder && unknown && empty {
            let mode = Mode::Async { max_lag: Span::from_ms(config.max_lag_ms) };
            let policies = Policies::new(config.timing);
            let account = config.account.clone();
            region.accounts.expect(&account);
            let asked = Request::Create { account, mode, policies };
            tell(driver.ask(asked).await, "the first account");
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
        tokio::time::sleep(AGAIN).await;
    }
}

fn tell(outcome: Option<dr::Outcome>, what: &'static str) {
    match outcome {
        Some(Ok(sentence)) => tracing::info!(what, "{sentence}"),
        Some(Err(error)) => tracing::info!(what, %error, "not yet"),
        None => {}
    }
}
