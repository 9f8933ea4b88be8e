//! What regions and witnesses share: identity, roster, driver and connections.

use crate::config::Config;
use control::{
    Admission, Credentials, Directory, Driver, DriverSetup, Hands, Hello, Identity, OsRng, Peers,
    Roster, Setup, SystemClock,
};
use std::net::SocketAddr;
use std::path::PathBuf;
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
    _peers: Arc<Peers>,
}

/// Opens the directory and starts the protocol.
pub fn start(config: &Config, address: SocketAddr, hands: Hands) -> anyhow::Result<Member> {
    let directory = Directory::open(&config.data, config.kind, &mut OsRng)?;
    let credentials = control::read_credentials(&config.data.join("tls"))?;
    let roster = Arc::new(control::read_roster(&config.data)?);
    let roster = Arc::new(watch::Sender::new(roster));
    keep_roster(config.data.clone(), &roster)?;
    let (identity, boot) = (directory.identity.clone(), directory.boot);
    let clock = Arc::new(SystemClock);
    let admission = control::read_authority(&config.data)?.map(|_| Admission {
        directory: config.data.clone(),
        roster: roster.clone(),
        clock: clock.clone(),
    });
    let timing = config.timing;
    let driver = Driver::start(DriverSetup { directory, timing, clock, hands }, &roster)?;
    let peers = driver.connect(Setup {
        identity: identity.clone(),
        hello: Hello { cluster: identity.cluster, boot },
        credentials: credentials.clone(),
        listen: address,
        roster: roster.clone(),
        admission,
        deliver: Box::new(drop),
    })?;
    Ok(Member { identity, boot, credentials, roster, driver, _peers: peers })
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
