//! The worker's part that keeps cut tails: exports that wait to be in quarantine, and at the
//! primary, the other region's (PROTOCOL.md Q3).
//!
//! What the log holds in quarantine is searched for at the start, beside the work; until it is found
//! nothing is kept and nothing is given up. A note of where the search came to spares later starts
//! most of it.

use super::worker::Place;
use base::{Position, Seq};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use dr::{Reign, ReturnPlan, Role};
use parking_lot::Mutex;
use replication::{
    Head, Keeping as Kept, Parcel, Quarantine, QuarantineSearch, Record, Tail, TailLog, Upload,
    Uploading, carry_out, export_folder,
};
use std::sync::Arc;
use std::time::Duration;
use store::log::{Export, Exported, Frame};
use store::{Commit, CommitKind, Core};

/// The note of a search, in the account's folder.
const NOTE: &str = "quarantine.note";
/// How often it is looked whether the log has grown.
const LOOK: Duration = Duration::from_secs(60);
/// So many commits more are read, and noted, at one time: a start has to read no more than these,
/// and what came in the last of [`LOOK`].
const NOTE_EVERY: u64 = 200_000;

/// What an account's log says of its quarantine; `None` until it was read.
pub type Shared = Arc<Mutex<Option<Quarantine>>>;

/// A quarantine commit that was submitted: what came of it, the question, and whose tail.
type Submitted = (Option<Position>, Head, Tail);

/// Tails of one account.
pub struct Keeping {
    shared: Shared,
    uploads: Vec<Upload>,
    /// Read from the log: the quarantine, and up to where.
    read: Receiver<(Quarantine, Seq)>,
    /// Dropped, it ends the search.
    searching: Sender<()>,
    /// Quarantine commits that became durable while the log was read.
    meanwhile: Vec<(Seq, Record)>,
    done: Sender<Submitted>,
    submitted: Receiver<Submitted>,
}

impl Keeping {
    /// Begins to read the log, and finds the exports that are left from before.
    pub fn new(place: &Place) -> Self {
        let (read, searching) = search(place);
        let (done, submitted) = unbounded();
        let mut keeping = Self {
            shared: place.quarantine.clone(),
            uploads: Vec::new(),
            read,
            searching,
            meanwhile: Vec::new(),
            done,
            submitted,
        };
        keeping.find_exports(place);
        keeping
    }

    fn find_exports(&mut self, place: &Place) {
        let folder = export_folder(&place.account);
        let names = place.disk.list(&folder).unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(".tail")) {
            let file = format!("{folder}/{name}");
            let known = self.uploads.iter().any(|upload| upload.file() == file);
            if known {
                continue;
            }
            match Export::open(&*place.disk, &file) {
                Ok(export) => {
                    let (me, account) = (place.me, place.account.clone());
                    self.uploads.push(Upload::new(me, Reign::default(), account, export));
                }
                Err(error) => tracing::error!(file, %error, "an export cannot be read"),
            }
        }
    }

    /// The region's part changed, or a connection stands: uploads begin anew.
    pub fn restart(&mut self, role: &Role) {
        if let Role::Secondary { epoch, .. } = role {
            let reign = Reign { generation: super::shipping::GENERATION, epoch: *epoch };
            self.uploads.iter_mut().for_each(|upload| upload.restart(reign));
        }
    }

    /// Q3: exports what is behind the plan's `keep`, durably, then cuts it.
    pub fn cut(&mut self, place: &Place, plan: &ReturnPlan) -> Result<(), replication::Error> {
        let mut log = CoreLog(place.store.core());
        if let Some(exported) = carry_out(&mut log, plan)? {
            let (commits, bytes) = (exported.frames(), exported.bytes());
            tracing::warn!(account = %place.account, commits, bytes, "a tail is exported and cut");
        }
        self.meanwhile.retain(|(within, _)| *within <= plan.keep.seq);
        match &mut *self.shared.lock() {
            Some(quarantine) => quarantine.rewound(plan.keep.seq),
            // What is being found may be behind the cut.
            None => (self.read, self.searching) = search(place),
        }
        self.find_exports(place);
        Ok(())
    }

    /// Frames of the other region became durable here.
    pub fn appended(&mut self, frames: &[Frame]) {
        for frame in frames {
            let Some(payload) = frame.payload.bytes() else { continue };
            if CommitKind::of_payload(payload) == Some(CommitKind::Quarantine) {
                match Commit::decode(payload)
                    .map_err(drop)
                    .and_then(|commit| Record::decode(&commit.record).map_err(drop))
                {
                    Ok(record) => self.note(frame.position.seq, record),
                    Err(()) => tracing::error!("a quarantine commit cannot be read"),
                }
            }
        }
    }

    fn note(&mut self, within: Seq, record: Record) {
        match &mut *self.shared.lock() {
            Some(quarantine) => {
                if let Err(error) = quarantine.note(within, &record) {
                    tracing::error!(%error, "a quarantine commit is damaged");
                }
            }
            None => self.meanwhile.push((within, record)),
        }
    }

    /// The primary says what of a tail it holds.
    pub fn kept(&mut self, parcel: &Parcel) {
        self.uploads.iter_mut().for_each(|upload| upload.receive(parcel));
    }

    /// A secondary wants a part of its tail to be kept.
    pub fn keep(&mut self, place: &Place, role: &Role, parcel: &Parcel, tail: Tail) {
        let reign = parcel.head.reign;
        if !matches!(role, Role::Primary { epoch, .. } if *epoch == reign.epoch) {
            return;
        }
        let mut shared = self.shared.lock();
        let Some(quarantine) = &mut *shared else { return };
        match quarantine.keep(place.me, parcel) {
            Some(Kept::Commit(record)) => {
                drop(shared);
                let (done, head) = (self.done.clone(), parcel.head.clone());
                let told = Box::new(move |result: Result<store::Committed, store::Refused>| {
                    let position = result.ok().map(|committed| committed.position);
                    let _ = done.send((position, head, tail));
                });
                place.store.core().submit_record(CommitKind::Quarantine, record, told);
            }
            Some(Kept::Answer(answer)) => {
                place.links.send(parcel.head.from.member, answer.encode());
            }
            Some(Kept::Wait) | None => {}
        }
    }

    /// Time passed.
    pub fn turn(&mut self, place: &Place, role: &Role) {
        if let Ok((mut quarantine, upto)) = self.read.try_recv() {
            for (within, record) in self.meanwhile.drain(..).filter(|(seq, _)| *seq > upto) {
                if let Err(error) = quarantine.note(within, &record) {
                    tracing::error!(%error, "a quarantine commit is damaged");
                }
            }
            *self.shared.lock() = Some(quarantine);
        }
        while let Ok((position, head, tail)) = self.submitted.try_recv() {
            self.was_submitted(place, position, &head, tail);
        }
        if let Role::Secondary { primary, appends: true, .. } = role {
            self.upload(place, primary.member);
        }
    }

    fn was_submitted(&self, place: &Place, position: Option<Position>, head: &Head, tail: Tail) {
        let record = position.and_then(|position| {
            let frame = place.store.core().reader().read(position.seq).ok()??;
            let commit = Commit::decode(frame.payload.bytes()?).ok()?;
            Some((position.seq, Record::decode(&commit.record).ok()?))
        });
        let mut shared = self.shared.lock();
        let Some(quarantine) = &mut *shared else { return };
        match record.map(|(within, record)| quarantine.note(within, &record)) {
            Some(Ok(())) => {
                let answer = quarantine.kept(place.me, head, tail);
                place.links.send(head.from.member, answer.encode());
            }
            _ => quarantine.not_kept(),
        }
    }

    fn upload(&mut self, place: &Place, primary: base::MemberId) {
        let shared = self.shared.lock();
        let Some(own) = &*shared else { return };
        let now = place.clock.boot();
        self.uploads.retain_mut(|upload| match upload.poll(now, own) {
            Ok(Uploading::Send(parcel)) => {
                place.links.send(primary, parcel.encode());
                true
            }
            Ok(Uploading::Wait) => true,
            Ok(Uploading::Done) => {
                let (file, folder) = (upload.file().to_owned(), export_folder(&place.account));
                tracing::info!(file, "a cut tail is in quarantine in both regions");
                let removed = place.disk.remove(&file).and_then(|()| place.disk.sync_dir(&folder));
                if let Err(error) = removed {
                    tracing::warn!(file, %error, "an export that is no longer needed stays");
                }
                false
            }
            Err(error) => {
                tracing::error!(file = upload.file(), %error, "an export cannot be read");
                true
            }
        });
    }
}

/// Begins to search an account's log, beside the work. Gives where it tells what it found and up to
/// where, and what ends it.
fn search(place: &Place) -> (Receiver<(Quarantine, Seq)>, Sender<()>) {
    let (found, read) = unbounded();
    let (searching, ended) = unbounded();
    let (disk, reader) = (place.disk.clone(), place.store.core().reader());
    let thread = std::thread::Builder::new().name("quarantine".to_owned());
    let started = thread.spawn(move || {
        let mut search = QuarantineSearch::new(disk, NOTE, reader);
        match search.go_on().and_then(|()| search.quarantine()) {
            // Fails only when the worker is gone.
            Ok(quarantine) => drop(found.send((quarantine, search.upto().seq))),
            Err(error) => {
                tracing::error!(%error, "the quarantine cannot be read from the log");
                return;
            }
        }
        go_on(&mut search, &ended);
    });
    if let Err(error) = started {
        tracing::error!(%error, "no thread to read the quarantine");
    }
    (read, searching)
}

/// Follows the log with the note, until told to end.
fn go_on(search: &mut QuarantineSearch, ended: &Receiver<()>) {
    loop {
        if search.unnoted() >= NOTE_EVERY
            && let Err(error) = search.note()
        {
            tracing::warn!(%error, "where the quarantine is was not noted: a start reads more");
        }
        let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) else { return };
        if search.unread() >= NOTE_EVERY
            && let Err(error) = search.go_on()
        {
            tracing::warn!(%error, "the log was not searched for its quarantine: later again");
        }
    }
}

/// A committer's log, as it is cut.
struct CoreLog<'a>(&'a Core);

impl TailLog for CoreLog<'_> {
    fn end(&self) -> Position {
        self.0.reader().durable()
    }
    fn holds(&self, position: &Position) -> Result<bool, replication::Error> {
        Ok(self.0.reader().contains(position)?)
    }
    fn export(&mut self, from: &Position, file: &str) -> Result<Exported, replication::Error> {
        self.0.export_tail(from, file).map_err(failed)
    }
    fn cut(&mut self, to: &Position, exported: &Exported) -> Result<(), replication::Error> {
        let rewound = self.0.rewind(to, exported).map_err(failed)?;
        let (commits, resources) = (rewound.commits, rewound.resources);
        tracing::info!(commits, resources, "the log is cut back");
        Ok(())
    }
}

/// The store says more than the plan's error can: it is logged here.
fn failed(error: store::Error) -> replication::Error {
    tracing::error!(%error, "the store could not be cut");
    replication::Error::Plan("the store failed")
}
