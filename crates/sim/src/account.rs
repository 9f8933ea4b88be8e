//! An account in one region: the real committer with the memory engine on a simulated disk,
//! stepped by the simulator, and what its commits say to the checkers.

use crate::ledger::{Found, FoundCommit, RequestId, Subject};
use crate::machine::place_of;
use crate::{Place, SiteClock, content_of};
use base::{Hash, Position, Seq, Stamp};
use bytes::Bytes;
use dr::ReturnPlan;
use parking_lot::Mutex;
use replication::{AccountGate, Quarantine, Record, TailLog, carry_out, export_folder};
use std::sync::Arc;
use store::disk::{Disk, SimDisk};
use store::log::{Export, Exported, Frame};
use store::{
    ChangeRequest, Commit, CommitKind, Committed, Core, Engine, Guard, Idempotency, Refused,
    Settings, Write, conformance::Bench,
};

/// Small segments, so that a run crosses many.
const SEGMENT_BYTES: u64 = 64 << 10;
/// The type of all resources here.
const TYPE: &str = "Basic";

/// What the committer told.
pub enum Told {
    /// A client's write is durable, or refused: by its number.
    Written(u64, Result<Committed, Refused>),
    /// An opening commit is durable, or was refused.
    Opened(Result<Position, store::Error>),
    /// A quarantine commit is durable, or was refused.
    Quarantined(bool),
}

/// One region's copy of the account.
pub struct Account {
    disk: SimDisk,
    /// The committer.
    pub core: Core,
    /// What the log says of its quarantine, up to the durable end.
    pub quarantine: Quarantine,
    noted: Seq,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Account {
    /// Opens the log, or makes one.
    pub fn open(
        disk: &SimDisk,
        clock: &Arc<SiteClock>,
        gate: &Arc<AccountGate>,
    ) -> Result<Self, store::Error> {
        let place = store::Place {
            disk: Arc::new(disk.clone()),
            log_dir: "log".to_owned(),
            engine: Engine::Memory,
        };
        let log = store::log::Settings { segment_bytes: SEGMENT_BYTES };
        let settings = Settings { log, ..Settings::default() };
        let core = Core::open(place, settings, clock.clone(), true, &|_, _| {})?;
        let gate = gate.clone();
        core.watch(Box::new(move |durable| gate.durable(durable.seq)));
        let (quarantine, told) = (Quarantine::default(), Arc::default());
        let mut account = Self { disk: disk.clone(), core, quarantine, noted: Seq::ZERO, told };
        account.note()?;
        Ok(account)
    }

    /// Takes what was told since.
    pub fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock())
    }

    /// Hands in a client's write under its number.
    pub fn submit(&self, number: u64, write: Write) {
        let told = self.told.clone();
        let done = Box::new(move |result| told.lock().push(Told::Written(number, result)));
        self.core.submit(write, done);
    }

    /// Hands in the opening commit of the present term.
    pub fn submit_opening(&self) {
        let told = self.told.clone();
        self.core.submit_record(
            CommitKind::Opening,
            Bytes::new(),
            Box::new(move |result| {
                let result = result.map(|it| it.position).map_err(|refused| refused.error);
                told.lock().push(Told::Opened(result));
            }),
        );
    }

    /// Hands in a quarantine commit.
    pub fn submit_quarantine(&self, record: Bytes) {
        let told = self.told.clone();
        let done = Box::new(move |result: Result<_, _>| {
            told.lock().push(Told::Quarantined(result.is_ok()))
        });
        self.core.submit_record(CommitKind::Quarantine, record, done);
    }

    /// Makes durable what was appended, and applies it.
    pub fn sync(&mut self) -> Result<(), store::Error> {
        self.core.sync()?;
        self.applied()
    }

    /// Appends frames of the other copy, durably, and applies them.
    pub fn follow(&mut self, frames: Vec<Frame>) -> Result<Position, store::Error> {
        let end = self.core.append_frames(frames)?;
        self.applied()?;
        Ok(end)
    }

    fn applied(&mut self) -> Result<(), store::Error> {
        while self.core.apply()? > 0 {}
        self.note()
    }

    /// Reads what became durable for quarantine commits.
    fn note(&mut self) -> Result<(), store::Error> {
        for frame in self.core.reader().frames(self.noted.next()) {
            let frame = frame?;
            let commit = commit_of(&frame);
            if commit.head.kind == CommitKind::Quarantine {
                let record = Record::decode(&commit.record).expect("a record decodes");
                let noted = self.quarantine.note(frame.position.seq, &record);
                noted.expect("a record's frames chain");
            }
            self.noted = frame.position.seq;
        }
        Ok(())
    }

    /// The stamp of the log's last commit.
    #[must_use]
    pub fn last_stamp(&self) -> Stamp {
        let reader = self.core.reader();
        let last = reader.read(reader.durable().seq).expect("the log reads");
        last.map_or(Stamp::ZERO, |frame| commit_of(&frame).head.stamp)
    }

    /// The digest at the applied position.
    #[must_use]
    pub fn digest(&self) -> Option<(Position, Hash)> {
        let digest = self.core.digest(self.core.status().applied.seq)?;
        let mut bytes = Vec::with_capacity(digest.shards.len() * 16);
        digest.shards.iter().for_each(|shard| bytes.extend_from_slice(&shard.to_le_bytes()));
        Some((digest.position, Hash::of(&bytes)))
    }

    /// Exports what the plan cuts, then cuts it. What is in flight becomes durable first, so that
    /// it is exported too (Q2).
    pub fn go_back(&mut self, plan: &ReturnPlan) -> Result<(Position, bool), store::Error> {
        self.core.end_term();
        while self.core.status().in_flight > 0 {
            self.core.append()?;
            self.sync()?;
        }
        let end = self.core.reader().durable();
        let plan = ReturnPlan { end, ..plan.clone() };
        let exported = match carry_out(self, &plan) {
            Ok(exported) => exported,
            Err(replication::Error::Log(_)) => return Err(store::Error::Stopped),
            Err(error) => panic!("a return cannot be carried out: {error}"),
        };
        self.quarantine.rewound(plan.keep.seq);
        self.noted = self.noted.min(plan.keep.seq);
        Ok((self.core.reader().durable(), exported.is_some()))
    }

    /// The exported tails that are kept.
    #[must_use]
    pub fn exports(&self) -> Vec<Export> {
        let folder = export_folder(&crate::process::account_name());
        let names = self.disk.list(&folder).unwrap_or_default();
        let open = |name: String| Export::open(&self.disk, &format!("{folder}/{name}")).ok();
        names.into_iter().filter_map(open).collect()
    }

    /// Removes an exported tail whose quarantine is durable here.
    pub fn forget_export(&self, file: &str) {
        let folder = export_folder(&crate::process::account_name());
        let _ = self.disk.remove(file);
        let _ = self.disk.sync_dir(&folder);
    }

    /// Every position of the log.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        let frames = self.core.reader().frames(Seq::new(1));
        frames.map(|frame| frame.expect("the log reads").position).collect()
    }

    /// Everything in the log, for the checkers.
    #[must_use]
    pub fn found(&self) -> Vec<FoundCommit> {
        let frames = self.core.reader().frames(Seq::new(1));
        frames.map(|frame| found(&frame.expect("the log reads"))).collect()
    }
}

impl TailLog for Account {
    fn end(&self) -> Position {
        self.core.status().end
    }
    fn holds(&self, position: &Position) -> Result<bool, replication::Error> {
        Ok(self.core.reader().contains(position)?)
    }
    fn export(&mut self, from: &Position, file: &str) -> Result<Exported, replication::Error> {
        self.core.export_tail(from, file).map_err(as_log_error)
    }
    fn cut(&mut self, to: &Position, exported: &Exported) -> Result<(), replication::Error> {
        self.core.rewind(to, exported).map(|_| ()).map_err(as_log_error)
    }
}

fn as_log_error(error: store::Error) -> replication::Error {
    match error {
        store::Error::Log(error) => replication::Error::Log(error),
        other => panic!("a return meets what only a bug explains: {other}"),
    }
}

/// A client's write, ready for the committer.
#[must_use]
pub fn write_of(request: RequestId, subject: Subject, guard: Guard) -> Write {
    let json = format!(
        r#"{{"resourceType":"{TYPE}","identifier":[{{"value":"{request}"}}],"code":{{"text":"{subject}"}}}}"#
    );
    let change = ChangeRequest { guard, ..Bench::put(&id_of(subject), &json) };
    let idempotency = Some(Idempotency {
        key: request.to_string(),
        request_hash: content_of(request, subject),
        principal: String::new(),
    });
    Write { changes: vec![change], conditions: Vec::new(), idempotency, principal: None }
}

/// A resource's id.
#[must_use]
pub fn id_of(subject: Subject) -> String {
    subject.to_string()
}

/// The type and id of a resource, for the committer.
pub fn read_of(core: &Core, subject: Subject) -> Result<Option<store::Version>, store::Error> {
    core.read(Bench::type_of(TYPE), &Bench::id(&id_of(subject)))
}

/// Whose request wrote this body; read without any code of ours.
#[must_use]
pub fn request_of(body: &[u8]) -> Option<(RequestId, Subject)> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let request = value["identifier"][0]["value"].as_str()?.strip_prefix('r')?.parse().ok()?;
    let subject = value["code"]["text"].as_str()?.strip_prefix('s')?.parse().ok()?;
    Some((RequestId(request), Subject(subject)))
}

/// The hash of what identifies a body's content.
#[must_use]
pub fn content_of_body(body: &[u8]) -> Hash {
    request_of(body).map_or(Hash::ZERO, |(request, subject)| content_of(request, subject))
}

fn commit_of(frame: &Frame) -> Commit {
    let bytes = frame.payload.bytes().expect("the simulator erases nothing");
    Commit::decode(bytes).expect("a payload that matches its hash decodes")
}

fn writes_of(commit: &Commit) -> Vec<Found> {
    let mut found = Vec::new();
    for change in &commit.changes {
        let Some(body) = &change.body else { continue };
        let body = store::decompress(body).expect("a stored body decompresses");
        let (request, subject) = request_of(&body).expect("only clients write resources");
        let (version, stamp) = (change.version, commit.head.stamp);
        let content = content_of(request, subject);
        found.push(Found { request, subject, version, stamp, content });
    }
    found
}

fn found(frame: &Frame) -> FoundCommit {
    let commit = commit_of(frame);
    let mut quarantined = Vec::new();
    if commit.head.kind == CommitKind::Quarantine {
        let record = Record::decode(&commit.record).expect("a record decodes");
        let place = place_of(record.tail.region).unwrap_or(Place::Clients);
        for frame in record.frames().expect("a record's frames chain") {
            let kept = commit_of(&frame);
            // What a cut tail itself had in quarantine is quarantined anew by its owner.
            let (at, writes) = (frame.position, writes_of(&kept));
            quarantined.push((place, at.epoch, at.seq, at.hash, writes));
        }
    }
    FoundCommit { position: frame.position, writes: writes_of(&commit), quarantined }
}
