//! What regions and witnesses share: identity, roster, driver and connections.

use crate::config::{self, Addresses, Config};
use base::MemberId;
use control::{
    Admission, Credentials, Directory, Driver, DriverSetup, Hands, Hello, Identity, Kind, OsRng,
    Peers, Roster, Setup, SystemClock,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// A member of the cluster at work.
pub struct Member {
    /// Who it is.
    pub identity: Identity,
    /// This process lifetime.
    pub boot: base::BootId,
    /// Its certificates.
    pub credentials: Credentials,
    /// Everyone.
    pub roster: Arc<watch::Sender<Arc<Roster>>>,
    /// The protocol's machine.
    pub driver: Driver,
    /// Whether it holds the cluster's authority.
    pub founder: bool,
    peers: Arc<Peers>,
}

impl Member {
    /// Where it listens for members.
    pub fn address(&self) -> SocketAddr {
        self.peers.address
    }

    /// Where to listen, by the configuration and what the roster says of this member.
    pub fn listening(
        &self,
        configured: &str,
        told: impl Fn(&control::Member) -> &str,
    ) -> anyhow::Result<SocketAddr> {
        listening(configured, &self.roster.borrow(), self.identity.id, told)
    }

    /// Tells the cluster where this member is reached, if that has changed. Only for the one that
    /// holds the authority: the others told it when they joined.
    pub fn tell(&self, data: &Path, at: Addresses) -> anyhow::Result<()> {
        let changed = self.roster.send_if_modified(|roster| {
            let mut newer = Roster::clone(roster);
            let own = newer.members.iter_mut().find(|member| member.id == self.identity.id);
            let Some(own) = own else { return false };
            if (&own.peer, &own.serve, &own.ship) == (&at.peer, &at.serve, &at.ship) {
                return false;
            }
            (own.peer, own.serve, own.ship) = (at.peer, at.serve, at.ship);
            newer.version += 1;
            *roster = Arc::new(newer);
            true
        });
        if changed {
            let roster = self.roster.borrow().clone();
            control::write_roster(data, &roster)?;
            // The operator's credentials may have been taken elsewhere.
            let operator = data.join("operator");
            if operator.is_dir() {
                control::write_roster(&operator, &roster)?;
            }
        }
        Ok(())
    }
}

/// Where to listen: as configured. Where that leaves the port open, any free one does until others
/// join, and then the one that they know.
fn listening(
    configured: &str,
    roster: &Roster,
    me: MemberId,
    told: impl Fn(&control::Member) -> &str,
) -> anyhow::Result<SocketAddr> {
    let mut address = config::address(configured)?;
    let other = |member: &control::Member| member.id != me && member.kind != Kind::Operator;
    if address.port() == 0
        && roster.members.iter().any(other)
        && let Some(own) = roster.by_id(me)
    {
        address.set_port(config::address(told(own))?.port());
    }
    Ok(address)
}

/// Opens the directory and starts the protocol.
pub fn start(config: &Config, hands: Hands) -> anyhow::Result<Member> {
    let directory = Directory::open(&config.data, config.kind, &mut OsRng)?;
    let credentials = control::read_credentials(&config.data.join("tls"))?;
    let roster = control::read_roster(&config.data)?;
    let (identity, boot) = (directory.identity.clone(), directory.boot);
    let listen = listening(config.peer()?, &roster, identity.id, |own| &own.peer)?;
    let roster = Arc::new(watch::Sender::new(Arc::new(roster)));
    keep_roster(config.data.clone(), &roster)?;
    let clock = Arc::new(SystemClock);
    let admission = control::read_authority(&config.data)?.map(|_| Admission {
        directory: config.data.clone(),
        roster: roster.clone(),
        clock: clock.clone(),
    });
    let (timing, founder) = (config.timing, admission.is_some());
    let driver = Driver::start(DriverSetup { directory, timing, clock, hands }, &roster)?;
    let peers = driver.connect(Setup {
        identity: identity.clone(),
        hello: Hello { cluster: identity.cluster, boot },
        credentials: credentials.clone(),
        listen,
        roster: roster.clone(),
        admission,
        deliver: Box::new(drop),
    })?;
    Ok(Member { identity, boot, credentials, roster, driver, founder, peers })
}

/// Writes each newer roster into the data directory.
fn keep_roster(data: PathBuf, roster: &Arc<watch::Sender<Arc<Roster>>>) -> anyhow::Result<()> {
    let mut newest = roster.subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let work = async move {
        while newest.changed().await.is_ok() {
            let roster = newest.borrow_and_update().clone();
            if let Err(error) = control::write_roster(&data, &roster) {
                tracing::warn!(%error, "the roster is not kept: it is learned again after a start");
            }
        }
    };
    let thread = std::thread::Builder::new().name("roster".to_owned());
    thread.spawn(move || runtime.block_on(work))?;
    Ok(())
}
