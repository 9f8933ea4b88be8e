//! Log shipping between regions on sockets: to each other region one connection for what is said
//! to it, dialled from here, and one for what it says, dialled from there.
//!
//! A connection carries parcels in order and loses none while it stands. When it ends, sessions
//! begin anew; nothing here remembers anything. How much may be under way is bounded by the
//! shipper's window, so that the queues are.

use base::MemberId;
use bytes::Bytes;
use control::{Credentials, Kind, Member, Purpose, Roster, Subject};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Parcels waiting to be written.
const QUEUE: usize = 1024;
/// The longest parcel: one frame of the largest payload, and its head.
const PARCEL_BYTES: usize = store::PAYLOAD_BYTES_MAX + (2 << 20);
const HANDSHAKE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// What comes from another region.
pub enum Arrival {
    /// What is sent to it will arrive, in order.
    Connected(MemberId),
    /// Nothing more arrives there.
    Disconnected(MemberId),
    /// It says this.
    Parcel(MemberId, Bytes),
}

type Deliver = Arc<dyn Fn(Arrival) + Send + Sync>;

/// The connections to other regions.
#[derive(Default)]
pub struct Links {
    open: Mutex<BTreeMap<MemberId, mpsc::Sender<Vec<u8>>>>,
}

impl Links {
    /// Sends a parcel, if there is a connection. One that does not take it is ended: what comes
    /// after would not be in order.
    pub fn send(&self, to: MemberId, parcel: Vec<u8>) {
        let mut open = self.open.lock();
        if let Some(sender) = open.get(&to)
            && sender.try_send(parcel).is_err()
        {
            open.remove(&to);
        }
    }

    /// Whether there is a connection.
    pub fn is_open(&self, to: MemberId) -> bool {
        self.open.lock().contains_key(&to)
    }
}

/// What shipping needs.
pub struct Setup {
    /// This region.
    pub me: MemberId,
    /// Its certificates.
    pub credentials: Credentials,
    /// Everyone.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// Takes what comes; must not block.
    pub deliver: Deliver,
}

/// Runs shipping on a thread of its own; the listener must not block.
pub fn start(setup: Setup, listener: std::net::TcpListener) -> anyhow::Result<Arc<Links>> {
    let links = Arc::new(Links::default());
    let acceptor = TlsAcceptor::from(control::server(&setup.credentials, &[Purpose::Shipping])?);
    let connector = TlsConnector::from(control::client(&setup.credentials, Purpose::Shipping)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kept = links.clone();
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let work = async move {
        let setup = Arc::new(setup);
        tokio::join!(listen(setup.clone(), listener, acceptor), dial_all(setup, kept, connector));
    };
    let thread = std::thread::Builder::new().name("shipping".to_owned());
    thread.spawn(move || runtime.block_on(work))?;
    Ok(links)
}

async fn listen(setup: Arc<Setup>, listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (setup, acceptor) = (setup.clone(), acceptor.clone());
        tokio::spawn(async move {
            if let Err(error) = receive(&setup, stream, &acceptor).await {
                tracing::debug!(%address, %error, "a shipping connection ended");
            }
        });
    }
}

async fn receive(setup: &Setup, stream: TcpStream, acceptor: &TlsAcceptor) -> anyhow::Result<()> {
    control::tune(&stream);
    let mut stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let subject = control::peer(stream.get_ref().1.peer_certificates())?;
    let known = setup.roster.borrow().by_id(subject.id).is_some_and(|m| m.kind == Kind::Region);
    anyhow::ensure!(known && subject.kind == Kind::Region, "it is no region of this cluster");
    loop {
        let length = usize::try_from(stream.read_u32_le().await?)?;
        anyhow::ensure!(length <= PARCEL_BYTES, "a parcel of {length} bytes");
        let mut parcel = vec![0; length];
        stream.read_exact(&mut parcel).await?;
        (setup.deliver)(Arrival::Parcel(subject.id, parcel.into()));
    }
}

/// Keeps one dialling task for each other region of the roster.
async fn dial_all(setup: Arc<Setup>, links: Arc<Links>, connector: TlsConnector) {
    let mut roster = setup.roster.clone();
    let mut dialled = BTreeSet::new();
    loop {
        let now = roster.borrow_and_update().clone();
        for member in now.regions().filter(|member| member.id != setup.me) {
            if dialled.insert(member.id) {
                let work = dial(setup.clone(), links.clone(), connector.clone(), member.clone());
                tokio::spawn(work);
            }
        }
        if roster.changed().await.is_err() {
            return;
        }
    }
}

async fn dial(setup: Arc<Setup>, links: Arc<Links>, connector: TlsConnector, member: Member) {
    let subject = Subject { id: member.id, kind: member.kind };
    loop {
        if let Ok(stream) = control::connect_to(&connector, &member.ship, subject).await {
            let (sender, queue) = mpsc::channel(QUEUE);
            links.open.lock().insert(member.id, sender);
            tracing::info!(region = %member.name, "shipping connected");
            (setup.deliver)(Arrival::Connected(member.id));
            pump(stream, queue).await;
            links.open.lock().remove(&member.id);
            (setup.deliver)(Arrival::Disconnected(member.id));
            tracing::info!(region = %member.name, "shipping disconnected");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes until the connection breaks or its queue is given up.
async fn pump(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    let (mut reader, writer) = tokio::io::split(stream);
    let mut writer = tokio::io::BufWriter::with_capacity(1 << 18, writer);
    loop {
        let parcel = tokio::select! {
            parcel = queue.recv() => parcel,
            // Nothing comes this way: a byte or an end means that it is over.
            _ = reader.read_u8() => None,
        };
        let Some(parcel) = parcel else { return };
        let mut next = Some(parcel);
        while let Some(parcel) = next {
            let length = u32::try_from(parcel.len()).expect("parcels are bounded");
            let wrote = async {
                writer.write_u32_le(length).await?;
                writer.write_all(&parcel).await
            };
            if wrote.await.is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
}
