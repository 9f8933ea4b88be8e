//! Joining: a one-time token proves to the cluster that a newcomer was invited, and proves to the
//! newcomer, by the authority's fingerprint in it, that it speaks to the cluster.
//!
//! ```text
//! invited ──token──▶ newcomer: key made at home, request signed by the authority's holder
//!                    ◀── certificate, roster ── token spent before the answer leaves
//! ```

use crate::authority::request;
use crate::directory::{make_folder, read_authority, write_roster, write_whole};
use crate::{Credentials, Error, Identity, Kind, Member, Roster, Subject, frame, tls};
use base::{Clock, Hash, MemberId, MemberName, Rng, Span, Stamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const VERSION: u32 = 1;
const LIMIT_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);
/// How long an invitation stands.
pub const TOKEN_LIFE: Span = Span::from_secs(24 * 3600);

/// A one-time secret and the fingerprint of the cluster's authority. Text: `fb1.PRINT.SECRET`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    ca_fingerprint: Hash,
    secret: Hash,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret.as_bytes());
        write!(f, "fb1.{}.{secret}", self.ca_fingerprint.to_text())
    }
}

impl std::str::FromStr for Token {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.trim().strip_prefix("fb1.").ok_or(Error::Token)?;
        let (print, secret) = rest.split_once('.').ok_or(Error::Token)?;
        let ca_fingerprint = Hash::from_text(print).ok_or(Error::Token)?;
        let secret = Hash::from_text(secret).ok_or(Error::Token)?;
        Ok(Self { ca_fingerprint, secret })
    }
}

/// Whom a token lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Invitation {
    name: MemberName,
    kind: Kind,
    until_ms: u64,
}

/// Writes an invitation into the directory of the authority's holder, running or not.
pub fn invite(
    directory: &Path,
    name: &MemberName,
    kind: Kind,
    clock: &dyn Clock,
    rng: &mut dyn Rng,
) -> Result<Token, Error> {
    let Some(authority) = read_authority(directory)? else {
        let message = "this member does not hold the cluster's authority";
        return Err(Error::Refused(message.to_owned()));
    };
    let ca = Credentials {
        ca_pem: authority.ca_pem().to_owned(),
        certificate_pem: String::new(),
        key_pem: String::new(),
    };
    let mut secret = [0; 32];
    for part in secret.chunks_mut(8) {
        part.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    let token = Token { ca_fingerprint: Hash::of(&ca.ca()?), secret: Hash::new(secret) };
    let until_ms = clock.wall().ms() + TOKEN_LIFE.ms();
    let invitation = Invitation { name: name.clone(), kind, until_ms };
    let text = toml::to_string(&invitation).expect("plain fields always encode");
    make_folder(&directory.join("tokens"))?;
    write_whole(&token_path(directory, token.secret), text.as_bytes())?;
    Ok(token)
}

/// Only the secret's hash is kept.
fn token_path(directory: &Path, secret: Hash) -> PathBuf {
    directory.join("tokens").join(Hash::of(secret.as_bytes()).to_text())
}

#[derive(Serialize, Deserialize)]
struct Request {
    version: u32,
    secret: Hash,
    name: MemberName,
    kind: Kind,
    peer: String,
    serve: String,
    ship: String,
    request_der: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Welcome { id: MemberId, certificate_pem: String, ca_pem: String, roster: Roster },
    Refused(String),
}

/// What a newcomer asks to be.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its name.
    pub name: MemberName,
    /// What it is.
    pub kind: Kind,
    /// Where members will reach it; empty for gateways and operators.
    pub peer: String,
    /// Where gateways and operators will reach a region; empty for others.
    pub serve: String,
    /// Where the other region ships logs to; empty for others than regions.
    pub ship: String,
}

/// What a newcomer becomes.
pub struct Joined {
    /// Who it is.
    pub identity: Identity,
    /// Its certificates.
    pub credentials: Credentials,
    /// Everyone.
    pub roster: Roster,
}

/// Joins the cluster at `address` (the peer address of the authority's holder).
pub async fn join(address: &str, token: &Token, newcomer: Newcomer) -> Result<Joined, Error> {
    let work = async {
        loop {
            match join_now(address, token, &newcomer).await {
                // It may be starting; and while nothing was sent, the token is whole.
                Err(Error::Connection { source, .. })
                    if source.kind() == std::io::ErrorKind::ConnectionRefused =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => {
            let limit = Span::from_secs(PATIENCE.as_secs());
            Err(Error::Timeout { address: address.to_owned(), limit })
        }
    }
}

async fn join_now(address: &str, token: &Token, newcomer: &Newcomer) -> Result<Joined, Error> {
    let failed = |source| Error::Connection { address: address.to_owned(), source };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    let config = tls::joiner(token.ca_fingerprint)?;
    let connector = tokio_rustls::TlsConnector::from(config);
    let mut stream = connector.connect(tls::join_name(), stream).await.map_err(failed)?;
    let (key_pem, request_der) = request()?;
    let Newcomer { name, kind, peer, serve, ship } = newcomer.clone();
    let secret = token.secret;
    let ask = Request { version: VERSION, secret, name, kind, peer, serve, ship, request_der };
    stream.write_all(&frame::encode(&ask)).await.map_err(failed)?;
    let closed = || Error::Refused("the connection was closed without an answer".to_owned());
    let answer = frame::read(&mut stream, LIMIT_BYTES).await?.ok_or_else(closed)?;
    match answer {
        Answer::Refused(reason) => Err(Error::Refused(reason)),
        Answer::Welcome { id, certificate_pem, ca_pem, roster } => {
            let credentials = Credentials { ca_pem, certificate_pem, key_pem };
            let pinned = Hash::of(&credentials.ca()?) == token.ca_fingerprint;
            if !pinned || credentials.subject()? != (Subject { id, kind }) {
                return Err(Error::Peer("its answer does not fit the token".to_owned()));
            }
            let identity = Identity::new(roster.cluster, id, ask.name, kind);
            Ok(Joined { identity, credentials, roster })
        }
    }
}

/// The authority's holder, letting newcomers in.
pub struct Admission {
    /// Its data directory.
    pub directory: PathBuf,
    /// The roster it raises.
    pub roster: Arc<watch::Sender<Arc<Roster>>>,
    /// For the life of tokens.
    pub clock: Arc<dyn Clock>,
}

impl Admission {
    /// Answers one newcomer.
    pub async fn serve(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        rng: &mut dyn Rng,
    ) -> Result<(), Error> {
        let Some(ask) = frame::read::<Request>(stream, LIMIT_BYTES).await? else { return Ok(()) };
        let answer = match self.admit(&ask, rng) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(name = %ask.name, %error, "newcomer refused");
                Answer::Refused(error.to_string())
            }
        };
        let failed = |source| Error::Connection { address: "the newcomer".to_owned(), source };
        stream.write_all(&frame::encode(&answer)).await.map_err(failed)?;
        stream.shutdown().await.map_err(failed)
    }

    fn admit(&self, ask: &Request, rng: &mut dyn Rng) -> Result<Answer, Error> {
        if ask.version != VERSION {
            let message = format!("join version {} is not {VERSION}", ask.version);
            return Err(Error::Refused(message));
        }
        let path = token_path(&self.directory, ask.secret);
        let text = std::fs::read_to_string(&path).map_err(|_| Error::Token)?;
        let invitation: Invitation = toml::from_str(&text).map_err(|_| Error::Token)?;
        let live = self.clock.wall() < Stamp::from_ms(invitation.until_ms);
        if !live || invitation.name != ask.name || invitation.kind != ask.kind {
            return Err(Error::Token);
        }
        let mut roster = Roster::clone(&self.roster.borrow());
        if roster.by_name(&ask.name).is_some() {
            let message = format!("the name {} is taken in this cluster", ask.name);
            return Err(Error::Refused(message));
        }
        let authority = read_authority(&self.directory)?.ok_or(Error::Token)?;
        let id = MemberId::mint(rng);
        let subject = Subject { id, kind: ask.kind };
        let certificate_pem = authority.sign(&ask.request_der, subject, &ask.name)?;
        // Spent before anything is given: a crash here costs a token, never lets two in.
        std::fs::remove_file(&path).map_err(Error::file("spend", &path))?;
        let (name, kind) = (ask.name.clone(), ask.kind);
        let (peer, serve) = (ask.peer.clone(), ask.serve.clone());
        let ship = ask.ship.clone();
        roster.members.push(Member { name, id, kind, peer, serve, ship });
        roster.version += 1;
        write_roster(&self.directory, &roster)?;
        self.roster.send_replace(Arc::new(roster.clone()));
        tracing::info!(name = %ask.name, %kind, %id, "newcomer joined");
        let ca_pem = authority.ca_pem().to_owned();
        Ok(Answer::Welcome { id, certificate_pem, ca_pem, roster })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsRng;

    #[test]
    fn a_token_reads_back_and_anything_else_is_refused() {
        let token = Token { ca_fingerprint: Hash::of(b"ca"), secret: Hash::of(b"secret") };
        assert!(token.to_string().parse::<Token>().is_ok_and(|read| read == token));
        for bad in ["", "fb1", "fb1.x.y", "fb2.a.b"] {
            assert!(matches!(bad.parse::<Token>(), Err(Error::Token)), "{bad}");
        }
    }

    #[test]
    fn only_the_authoritys_holder_invites() {
        let folder = tempfile::tempdir().expect("a folder");
        let name: MemberName = "west".parse().expect("a name");
        let clock = crate::SystemClock;
        let refused = invite(folder.path(), &name, Kind::Region, &clock, &mut OsRng);
        assert!(matches!(refused, Err(Error::Refused(_))));
    }
}
