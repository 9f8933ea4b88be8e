//! Connections between members: one listener for the protocol and for newcomers, and for messages
//! of the protocol one outgoing connection to each other voter.
//!
//! A connection carries messages one way, from the member that dialled. Queues are short and
//! bounded, and each peer has its own: a peer that does not read loses messages, which the
//! protocol expects of any network, and delays nobody else. Everything runs on a thread of its
//! own, so that load on the service cannot starve leases.

use crate::{Admission, Credentials, Error, Identity, Member, OsRng, Purpose, Roster, Subject};
use crate::{frame, tls};
use base::{BootId, MemberId, Rng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The longest message of the protocol, in bytes.
pub const MESSAGE_BYTES: usize = 4 << 20;
/// Messages waiting for one peer; more are dropped.
pub const QUEUE: usize = 256;
/// Connections in the handshake or the join at one time.
const HANDSHAKES: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(3);
const USER_TIMEOUT_MS: u32 = 3000;
const BACKOFF_MS: std::ops::Range<u64> = 50..1000;

/// The first message on a connection for the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The cluster's minted number.
    pub cluster: MemberId,
    /// The sender's process lifetime.
    pub boot: BootId,
}

#[derive(Serialize, Deserialize)]
enum Message {
    Hello(Hello),
    Roster(Roster),
    Protocol(Vec<u8>),
}

/// A message of the protocol, as it came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who sent it, by certificate.
    pub from: MemberId,
    /// The sender's process lifetime.
    pub boot: BootId,
    /// The bytes handed to [`Peers::send`] there.
    pub bytes: Vec<u8>,
}

type Stream = server::TlsStream<TcpStream>;

/// What the peers' thread needs.
pub struct Setup {
    /// Who this is.
    pub identity: Identity,
    /// What is said first to others.
    pub hello: Hello,
    /// Its certificates.
    pub credentials: Credentials,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Everyone; newer ones that others tell are put here.
    pub roster: Arc<watch::Sender<Arc<Roster>>>,
    /// Letting newcomers in, at the authority's holder.
    pub admission: Option<Admission>,
    /// Takes each message; must not block.
    pub deliver: Box<dyn Fn(Incoming) + Send + Sync>,
}

type Queues = BTreeMap<MemberId, mpsc::Sender<Arc<[u8]>>>;

/// The connections of a running member.
pub struct Peers {
    queues: watch::Receiver<Arc<Queues>>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Peers {
    /// Binds, and starts the thread.
    pub fn start(setup: Setup) -> Result<Self, Error> {
        let address = setup.listen;
        let failed = |source| Error::Connection { address: address.to_string(), source };
        let listener = StdListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let config =
            tls::server(&setup.credentials, &[Purpose::Control, Purpose::Shipping, Purpose::Join])?;
        let dial = tls::client(&setup.credentials, Purpose::Control)?;
        let (queues_out, queues) = watch::channel(Arc::new(Queues::new()));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let shared = Arc::new(Shared { setup, dial: TlsConnector::from(dial), stopped });
        let work = async move {
            let listener = TcpListener::from_std(listener).expect("it is not blocking");
            tokio::join!(
                listen(shared.clone(), listener, TlsAcceptor::from(config)),
                follow_roster(shared, queues_out)
            );
        };
        let thread = std::thread::Builder::new().name("control-net".to_owned());
        thread.spawn(move || runtime.block_on(work)).map_err(failed)?;
        Ok(Self { queues, address, stop })
    }

    /// Sends to a member, or drops the message where it is not connected or does not read.
    pub fn send(&self, to: MemberId, bytes: &[u8]) {
        let queues = self.queues.borrow().clone();
        if let Some(queue) = queues.get(&to) {
            let message = frame::encode(&Message::Protocol(bytes.to_vec()));
            // Full or gone: the protocol sends again.
            let _ = queue.try_send(message.into());
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

struct Shared {
    setup: Setup,
    dial: TlsConnector,
    stopped: watch::Receiver<bool>,
}

impl Shared {
    fn knows(&self, subject: Subject) -> bool {
        let roster = self.setup.roster.borrow();
        roster.by_id(subject.id).is_some_and(|member| member.kind == subject.kind)
    }

    /// Takes a newer roster, told by a member.
    fn learn(&self, roster: Roster) {
        let newer =
            |known: &Roster| roster.cluster == known.cluster && roster.version > known.version;
        self.setup.roster.send_if_modified(|known| {
            let take = newer(known);
            if take {
                tracing::info!(version = roster.version, "roster learned");
                *known = Arc::new(roster.clone());
            }
            take
        });
    }
}

async fn listen(shared: Arc<Shared>, listener: TcpListener, acceptor: TlsAcceptor) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    let mut stopped = shared.stopped.clone();
    loop {
        let permit = permits.clone().acquire_owned().await.expect("never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, address)) = accepted else {
            // Out of files: wait until some are closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            let mut stopped = shared.stopped.clone();
            tokio::select! {
                result = accept(&shared, stream, acceptor, permit) => if let Err(error) = result {
                    tracing::debug!(%address, %error, "connection ended");
                },
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn accept(
    shared: &Shared,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Result<(), Error> {
    tune(&stream);
    let failed = |source| Error::Connection { address: "a caller".to_owned(), source };
    let late = || failed(std::io::ErrorKind::TimedOut.into());
    let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let mut stream = handshake.map_err(|_| late())?.map_err(failed)?;
    let purpose = Purpose::from_alpn(stream.get_ref().1.alpn_protocol());
    if purpose == Some(Purpose::Join) {
        let Some(admission) = &shared.setup.admission else {
            return Err(Error::Refused("the authority is held elsewhere".to_owned()));
        };
        let mut rng = OsRng;
        let work = admission.serve(&mut stream, &mut rng);
        return tokio::time::timeout(HANDSHAKE, work).await.map_err(|_| late())?;
    }
    drop(permit);
    let subject = tls::peer(stream.get_ref().1.peer_certificates())?;
    if !shared.knows(subject) || !subject.kind.votes() {
        tracing::warn!(id = %subject.id, "unknown member refused");
        return Err(Error::Peer(format!("{} is not in the roster", subject.id)));
    }
    if purpose != Some(Purpose::Control) {
        return Err(Error::Peer("it asks for what is not spoken here".to_owned()));
    }
    receive(shared, subject, stream).await
}

async fn receive(shared: &Shared, subject: Subject, mut stream: Stream) -> Result<(), Error> {
    let first = frame::read(&mut stream, MESSAGE_BYTES).await?;
    let Some(Message::Hello(hello)) = first else {
        return Err(Error::Peer("it does not say hello first".to_owned()));
    };
    if hello.cluster != shared.setup.identity.cluster {
        return Err(Error::Peer("it is of another cluster".to_owned()));
    }
    while let Some(message) = frame::read(&mut stream, MESSAGE_BYTES).await? {
        match message {
            Message::Protocol(bytes) => {
                let incoming = Incoming { from: subject.id, boot: hello.boot, bytes };
                (shared.setup.deliver)(incoming);
            }
            Message::Roster(roster) => shared.learn(roster),
            Message::Hello(_) => {}
        }
        if !shared.knows(subject) {
            return Err(Error::Peer("it left the roster".to_owned()));
        }
    }
    Ok(())
}

/// Keeps one dialling task for each other voter of the roster.
async fn follow_roster(shared: Arc<Shared>, out: watch::Sender<Arc<Queues>>) {
    let mut roster = shared.setup.roster.subscribe();
    let mut stopped = shared.stopped.clone();
    let mut queues = Queues::new();
    loop {
        let now = roster.borrow_and_update().clone();
        let own = shared.setup.identity.id;
        queues.retain(|id, _| now.by_id(*id).is_some());
        for member in now.voters().filter(|member| member.id != own) {
            if let Entry::Vacant(place) = queues.entry(member.id) {
                let (sender, receiver) = mpsc::channel(QUEUE);
                place.insert(sender);
                tokio::spawn(keep_dialling(shared.clone(), member.clone(), receiver));
            }
        }
        out.send_replace(Arc::new(queues.clone()));
        tokio::select! {
            changed = roster.changed() => if changed.is_err() { return },
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn keep_dialling(shared: Arc<Shared>, member: Member, mut queue: mpsc::Receiver<Arc<[u8]>>) {
    let mut backoff_ms = BACKOFF_MS.start;
    loop {
        let mut stopped = shared.stopped.clone();
        let connected = tokio::select! {
            connected = connect(&shared, &member) => connected,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match connected {
            Ok(stream) => {
                tracing::info!(member = %member.name, "connected");
                backoff_ms = BACKOFF_MS.start;
                // What waited while there was no connection is old.
                while queue.try_recv().is_ok() {}
                let ended = tokio::select! {
                    ended = pump(&shared, stream, &mut queue) => ended,
                    _ = stopped.wait_for(|stop| *stop) => return,
                };
                tracing::info!(member = %member.name, "disconnected");
                if ended {
                    return;
                }
            }
            Err(error) => tracing::debug!(member = %member.name, %error, "not connected"),
        }
        if queue.is_closed() {
            return;
        }
        let pause = backoff_ms / 2 + OsRng.below(backoff_ms / 2 + 1);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        backoff_ms = (backoff_ms * 2).min(BACKOFF_MS.end);
    }
}

async fn connect(shared: &Shared, member: &Member) -> Result<client::TlsStream<TcpStream>, Error> {
    let subject = Subject { id: member.id, kind: member.kind };
    connect_to(&shared.dial, &member.peer, subject).await
}

/// Dials a member for shipping, or whatever the connector's ALPN name says.
pub async fn connect_to(
    connector: &TlsConnector,
    address: &str,
    subject: Subject,
) -> Result<client::TlsStream<TcpStream>, Error> {
    let failed = |source| Error::Connection { address: address.to_owned(), source };
    let work = async {
        let stream = TcpStream::connect(address).await?;
        tune(&stream);
        connector.connect(tls::server_name(subject), stream).await
    };
    match tokio::time::timeout(HANDSHAKE, work).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Sends until the connection breaks (false) or the peer left the roster (true).
async fn pump(
    shared: &Shared,
    stream: client::TlsStream<TcpStream>,
    queue: &mut mpsc::Receiver<Arc<[u8]>>,
) -> bool {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut roster = shared.setup.roster.subscribe();
    let mut batch = frame::encode(&Message::Hello(shared.setup.hello.clone()));
    let known = roster.borrow_and_update().clone();
    batch.extend(frame::encode(&Message::Roster(Roster::clone(&known))));
    loop {
        if writer.write_all(&batch).await.is_err() || writer.flush().await.is_err() {
            return false;
        }
        batch.clear();
        tokio::select! {
            message = queue.recv() => match message {
                Some(message) => batch.extend_from_slice(&message),
                None => return true,
            },
            changed = roster.changed() => {
                if changed.is_err() {
                    return true;
                }
                let known = roster.borrow_and_update().clone();
                batch.extend(frame::encode(&Message::Roster(Roster::clone(&known))));
            }
            // Nothing comes this way: a byte or an end means that it is over.
            _ = tokio::io::AsyncReadExt::read_u8(&mut reader) => return false,
        }
        while let Ok(message) = queue.try_recv() {
            batch.extend_from_slice(&message);
        }
    }
}

/// No delay, and an end within seconds when the other side no longer answers.
pub fn tune(stream: &TcpStream) {
    // Best effort: without them the protocol's own timers still hold.
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT_MS);
}
