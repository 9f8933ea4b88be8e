//! Members find, know and refuse each other over real sockets.

use base::{MemberId, MemberName};
use control::{
    Admission, Authority, Credentials, Directory, Hello, Identity, Incoming, Kind, Member,
    Newcomer, OsRng, Peers, Roster, Setup, Subject, SystemClock, Token, invite, join,
    read_credentials, read_roster, write_authority,
};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::watch;

const BOUND: Duration = Duration::from_secs(20);

fn name(text: &str) -> MemberName {
    text.parse().expect("a name")
}

/// What `firebreak init` does: a cluster of one region.
fn found(path: &Path, peer: &str) -> Token {
    let cluster = MemberId::mint(&mut OsRng);
    let id = MemberId::mint(&mut OsRng);
    let authority = Authority::create(cluster).expect("makes");
    let credentials =
        authority.issue(Subject { id, kind: Kind::Region }, &name("east")).expect("issues");
    let identity = Identity::new(cluster, id, name("east"), Kind::Region);
    let (peer, serve, ship) = (peer.to_owned(), String::new(), String::new());
    let east = Member { name: name("east"), id, kind: Kind::Region, peer, serve, ship };
    let roster = Roster { cluster, version: 1, members: vec![east] };
    Directory::create(path, &identity, &credentials, &roster, dr::Timing::Fast).expect("makes");
    write_authority(path, &authority).expect("writes");
    invite(path, &name("west"), Kind::Region, &SystemClock, &mut OsRng).expect("invites")
}

struct Running {
    peers: Peers,
    identity: Identity,
    incoming: mpsc::Receiver<Incoming>,
    roster: Arc<watch::Sender<Arc<Roster>>>,
}

fn start(path: &Path, listen: &str) -> Running {
    let identity = control::read_identity(path).expect("reads");
    let credentials = read_credentials(&path.join("tls")).expect("reads");
    let roster = Arc::new(watch::Sender::new(Arc::new(read_roster(path).expect("reads"))));
    start_as(path, listen, identity, credentials, roster)
}

fn start_as(
    path: &Path,
    listen: &str,
    identity: Identity,
    credentials: Credentials,
    roster: Arc<watch::Sender<Arc<Roster>>>,
) -> Running {
    let directory = Directory::open(path, identity.kind, &mut OsRng).expect("opens");
    let (sender, incoming) = mpsc::channel();
    let admission = Admission {
        directory: path.to_owned(),
        roster: roster.clone(),
        clock: Arc::new(SystemClock),
    };
    let hello = Hello { cluster: identity.cluster, boot: directory.boot };
    let setup = Setup {
        identity: identity.clone(),
        hello,
        credentials,
        listen: listen.parse().expect("an address"),
        roster: roster.clone(),
        admission: Some(admission),
        deliver: Box::new(move |message| {
            let _ = sender.send(message);
        }),
    };
    let peers = Peers::start(setup).expect("starts");
    Running { peers, identity, incoming, roster }
}

/// Sends until one arrives: messages may be lost while connections come up.
fn expect_message(from: &Running, to: &Running, text: &[u8]) {
    let deadline = std::time::Instant::now() + BOUND;
    while std::time::Instant::now() < deadline {
        from.peers.send(to.identity.id, text);
        if let Ok(message) = to.incoming.recv_timeout(Duration::from_millis(50)) {
            assert_eq!((message.from, &message.bytes[..]), (from.identity.id, text));
            return;
        }
    }
    panic!("no message within {BOUND:?}");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn newcomer(peer: &str) -> Newcomer {
    let (peer, serve, ship) = (peer.to_owned(), String::new(), String::new());
    Newcomer { name: name("west"), kind: Kind::Region, peer, serve, ship }
}

/// A free port: bound, read and given back.
fn free() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("bound").to_string()
}

#[test]
fn a_newcomer_joins_once_and_speaks_with_the_founder_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (east_path, west_path) = (folder.path().join("east"), folder.path().join("west"));
    let (east_at, west_at) = (free(), free());
    let token = found(&east_path, &east_at);
    let east = start(&east_path, &east_at);

    let joined = block_on(join(&east_at, &token, newcomer(&west_at))).expect("joins");
    Directory::create(
        &west_path,
        &joined.identity,
        &joined.credentials,
        &joined.roster,
        dr::Timing::Fast,
    )
    .expect("makes");
    let again = block_on(join(&east_at, &token, newcomer(&west_at)));
    assert!(matches!(again, Err(control::Error::Refused(_))), "a token is good for one");

    let west = start(&west_path, &west_at);
    expect_message(&west, &east, b"from west");
    expect_message(&east, &west, b"from east");
    assert_eq!(east.roster.borrow().version, 2);
    assert_eq!(read_roster(&east_path).expect("kept").version, 2);
}

#[test]
fn a_member_that_is_not_in_the_roster_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (east_path, west_path) = (folder.path().join("east"), folder.path().join("west"));
    let (east_at, west_at) = (free(), free());
    found(&east_path, &east_at);
    let east = start(&east_path, &east_at);

    // Signed by the authority, but never admitted: an old state under a known name.
    let authority = control::read_authority(&east_path).expect("reads").expect("is here");
    let id = MemberId::mint(&mut OsRng);
    let credentials =
        authority.issue(Subject { id, kind: Kind::Region }, &name("west")).expect("issues");
    let identity = Identity::new(east.identity.cluster, id, name("west"), Kind::Region);
    let roster = Roster::clone(&east.roster.borrow());
    Directory::create(&west_path, &identity, &credentials, &roster, dr::Timing::Fast)
        .expect("makes");
    let west = start(&west_path, &west_at);
    let deadline = std::time::Instant::now() + Duration::from_secs(1);
    while std::time::Instant::now() < deadline {
        west.peers.send(east.identity.id, b"let me in");
        assert!(east.incoming.recv_timeout(Duration::from_millis(50)).is_err());
    }
}
