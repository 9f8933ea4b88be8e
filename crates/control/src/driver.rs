//! The thread that owns the protocol's machine, and the one that makes its promises durable.
//!
//! ```text
//! peers ──messages (bounded, lossy)──▶ ┌────────┐ ──Send──▶ peers
//! log   ──answers───────────────────▶ │ driver │ ──gate, role, questions──▶ hands
//! disk  ──Persisted─────────────────▶ └────────┘ ──Persist──▶ disk thread: write, fsync
//! ```
//! It decides nothing: each turn reads both clocks, steps the machine once and carries out what
//! it asks, in order. A failed fsync stops the process, and is never tried again.

use crate::{Directory, Error, Incoming, Journal, Kind, Member, OsRng, Peers, Roster, Setup};
use base::{AccountName, BootId, Clock, MemberId};
use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};
use dr::{Action, Event, Now, Outcome, Peer, PeerKind, Record, Request, RequestId, Stored, Token};
use dr::{Timing, View, Wire};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Messages of other members that wait for the machine; more are dropped, as a network may.
const INBOX: usize = 4096;
/// Exit code when promises cannot be kept durable (`EX_IOERR` of sysexits.h).
const EXIT_IO: i32 = 74;

/// What every account looks like to this member.
pub type Views = BTreeMap<AccountName, View>;

/// Carries out what concerns logs and gates: all but [`Action::Send`], [`Action::Persist`],
/// [`Action::SetTimer`], [`Action::Diary`] and [`Action::Reply`]. Called in order on the driver's
/// thread; it must not block.
pub type Hands = Box<dyn FnMut(Action) + Send>;

/// What the driver needs.
pub struct DriverSetup {
    /// The member's directory, locked.
    pub directory: Directory,
    /// Lease timing.
    pub timing: Timing,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Carries out what concerns logs and gates.
    pub hands: Hands,
}

/// Talks to the driver's thread. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    inbox: Sender<Incoming>,
    local: Sender<Turn>,
    views: watch::Receiver<Arc<Views>>,
}

enum Turn {
    Event(Event),
    Operator(Request, oneshot::Sender<Outcome>),
    Peers(Arc<Peers>),
    Stop,
}

impl Driver {
    /// Starts the machine. The peers follow with [`Driver::connect`], for they deliver to it.
    pub fn start(setup: DriverSetup, roster: &watch::Sender<Arc<Roster>>) -> Result<Self, Error> {
        let (inbox, messages) = bounded(INBOX);
        // Bounded by what is outstanding: each answers one question of the machine or one
        // operator, and hints are left out while others wait (`hint`).
        let (local, turns) = unbounded();
        let (views_out, views) = watch::channel(Arc::new(Views::new()));
        let journal = setup.directory.journal()?;
        let records = journal.records().values();
        let records: Vec<Record> =
            records.map(|bytes| restored(bytes)).collect::<Result<_, _>>()?;
        let (disk, work) = bounded(INBOX);
        let done = local.clone();
        spawn("control-disk", move || persist(journal, &work, &done))?;
        let known = roster.borrow().clone();
        let me = setup.directory.identity.id;
        let own = known.by_id(me).and_then(peer);
        let own = own.ok_or_else(|| Error::Peer(format!("{me} is not in its own roster")))?;
        let members = known.members.iter().filter_map(peer).collect();
        let config = dr::Config::new(own, members, setup.timing);
        let roster = roster.subscribe();
        spawn("control", move || {
            Loop {
                me,
                boot: setup.directory.boot,
                clock: setup.clock,
                hands: setup.hands,
                _directory: setup.directory,
                disk,
                peers: None,
                roster,
                members: known,
                timer: None,
                requests: BTreeMap::new(),
                next_request: 0,
                views: views_out,
            }
            .run(config, records, &messages, &turns);
        })?;
        Ok(Self { inbox, local, views })
    }

    /// Hands the connections to the driver: until then it sends nothing.
    pub fn connect(&self, setup: Setup) -> Result<Arc<Peers>, Error> {
        let inbox = self.inbox.clone();
        let deliver = Box::new(move |message| {
            // Full: lost, as on any network.
            let _ = inbox.try_send(message);
        });
        let peers = Arc::new(Peers::start(Setup { deliver, ..setup })?);
        let _ = self.local.send(Turn::Peers(peers.clone()));
        Ok(peers)
    }

    /// Tells the machine something it asked for, or must know.
    pub fn tell(&self, event: Event) {
        // Fails only after the driver stopped.
        let _ = self.local.send(Turn::Event(event));
    }

    /// Tells the machine something that a later hint repeats or replaces: left out while much
    /// waits.
    pub fn hint(&self, event: Event) {
        if self.local.len() < INBOX {
            self.tell(event);
        }
    }

    /// Asks for an operator; the answer comes when the work is done.
    pub async fn ask(&self, request: Request) -> Option<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.local.send(Turn::Operator(request, sender)).ok()?;
        receiver.await.ok()
    }

    /// What this member knows of every account, newest first to be seen.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<Views>> {
        self.views.clone()
    }

    /// What this member knows of every account now.
    #[must_use]
    pub fn known(&self) -> Arc<Views> {
        self.views.borrow().clone()
    }

    /// Ends the driver and its connections. Its leases run out by themselves.
    pub fn stop(&self) {
        let _ = self.local.send(Turn::Stop);
    }
}

/// A record with its key, as the journal keeps them.
pub(crate) fn stored(record: Record) -> (Vec<u8>, Option<Vec<u8>>) {
    let key = postcard::to_stdvec(&record.key()).expect("plain data always encodes");
    let value = postcard::to_stdvec(&Stored::V1(record)).expect("plain data always encodes");
    (key, Some(value))
}

fn restored(bytes: &[u8]) -> Result<Record, Error> {
    match postcard::from_bytes(bytes) {
        Ok(Stored::V1(record)) => Ok(record),
        Err(_) => Err(Error::Format { path: "register".into(), found: 0, known: 1 }),
    }
}

fn peer(member: &Member) -> Option<Peer> {
    let kind = match member.kind {
        Kind::Region => PeerKind::Region,
        Kind::Witness => PeerKind::Witness,
        Kind::Gateway | Kind::Operator => return None,
    };
    Some(Peer { id: member.id, name: member.name.clone(), kind })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(Error::file("start a thread for", name))
}

/// The disk's thread: everything that waits goes into one batch and one fsync.
fn persist(mut journal: Journal, work: &Receiver<(Token, Record)>, done: &Sender<Turn>) {
    while let Ok((mut last, record)) = work.recv() {
        let mut batch = vec![stored(record)];
        for (token, record) in work.try_iter() {
            last = token;
            batch.push(stored(record));
        }
        if let Err(error) = journal.put(batch) {
            tracing::error!(%error, "promises cannot be kept durable: stopping");
            std::process::exit(EXIT_IO);
        }
        let _ = done.send(Turn::Event(Event::Persisted { token: last }));
    }
}

struct Loop {
    me: MemberId,
    boot: BootId,
    clock: Arc<dyn Clock>,
    hands: Hands,
    _directory: Directory,
    disk: Sender<(Token, Record)>,
    peers: Option<Arc<Peers>>,
    roster: watch::Receiver<Arc<Roster>>,
    members: Arc<Roster>,
    timer: Option<base::BootTime>,
    requests: BTreeMap<RequestId, oneshot::Sender<Outcome>>,
    next_request: u64,
    views: watch::Sender<Arc<Views>>,
}

impl Loop {
    fn run(
        mut self,
        config: dr::Config,
        records: Vec<Record>,
        messages: &Receiver<Incoming>,
        turns: &Receiver<Turn>,
    ) {
        let now = self.now();
        let (mut machine, actions) = dr::Member::start(config, self.boot, records, now, &mut OsRng);
        self.carry_out(actions);
        loop {
            self.publish(&machine);
            let timer = self.timer.map_or_else(never, |at| {
                crossbeam_channel::after(at.since(self.clock.boot()).std())
            });
            let event = crossbeam_channel::select! {
                recv(messages) -> message => message.ok().and_then(|m| self.decode(m)),
                recv(turns) -> turn => match turn {
                    Ok(Turn::Event(event)) => Some(event),
                    Ok(Turn::Operator(request, reply)) => Some(self.operator(request, reply)),
                    Ok(Turn::Peers(peers)) => { self.peers = Some(peers); None }
                    Ok(Turn::Stop) | Err(_) => return,
                },
                recv(timer) -> _ => { self.timer = None; Some(Event::Tick) }
            };
            for joined in self.joined() {
                self.step(&mut machine, Event::Joined(joined));
            }
            if let Some(event) = event {
                self.step(&mut machine, event);
            }
        }
    }

    fn step(&mut self, machine: &mut dr::Member, event: Event) {
        let actions = machine.step(self.now(), event, &mut OsRng);
        self.carry_out(actions);
    }

    fn now(&self) -> Now {
        Now { boot: self.clock.boot(), wall: self.clock.wall() }
    }

    /// Voters that the roster has and the machine does not know.
    fn joined(&mut self) -> Vec<Peer> {
        if !self.roster.has_changed().unwrap_or(false) {
            return Vec::new();
        }
        let newest = self.roster.borrow_and_update().clone();
        let known = std::mem::replace(&mut self.members, newest);
        let fresh = self.members.members.iter().filter(|m| known.by_id(m.id).is_none());
        fresh.filter_map(peer).collect()
    }

    /// A message counts only where its envelope says what the connection proved (E5).
    fn decode(&self, message: Incoming) -> Option<Event> {
        let Ok(Wire::V1(envelope)) = postcard::from_bytes(&message.bytes) else {
            tracing::warn!(from = %message.from, "message of another version dropped");
            return None;
        };
        let proved = envelope.from == message.from
            && envelope.boot == message.boot
            && envelope.to == self.me;
        proved.then_some(Event::Received(envelope))
    }

    fn operator(&mut self, request_for: Request, reply: oneshot::Sender<Outcome>) -> Event {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.requests.insert(request, reply);
        Event::Operator { request, request_for }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(envelope) => {
                    if let Some(peers) = &self.peers {
                        let to = envelope.to;
                        let bytes = postcard::to_stdvec(&Wire::V1(envelope))
                            .expect("plain data always encodes");
                        peers.send(to, &bytes);
                    }
                }
                Action::Persist { token, record } => {
                    // Blocks only behind 4096 unwritten records: then the disk is the limit.
                    self.disk.send((token, record)).expect("the disk's thread outlives this one");
                }
                Action::SetTimer { at } => self.timer = Some(at),
                Action::Diary { account, sentence } => match account {
                    Some(account) => tracing::info!(%account, "{sentence}"),
                    None => tracing::info!("{sentence}"),
                },
                Action::Reply { request, outcome } => {
                    if let Some(reply) = self.requests.remove(&request) {
                        // The operator may have gone; what was done stands.
                        let _ = reply.send(outcome);
                    }
                }
                other => (self.hands)(other),
            }
        }
    }

    fn publish(&self, machine: &dr::Member) {
        let now = || machine.accounts().filter_map(|a| Some((a.clone(), machine.view(a)?)));
        let known = self.views.borrow().clone();
        if !now().eq(known.iter().map(|(name, view)| (name.clone(), view.clone()))) {
            self.views.send_replace(Arc::new(now().collect()));
        }
    }
}
