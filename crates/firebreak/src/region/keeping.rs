//! The worker's part that keeps cut tails: exports that wait to be in quarantine, and at the
//! primary, the other region's (PROTOCOL.md Q3).
//!
//! What the log holds in quarantine is read from it once at the start, beside the work; until then
//! nothing is kept and nothing is given up.

use super::worker::Place;
use base::{Position, Seq};
use crossbeam_channel::{Receiver, Sender, unbounded};
use dr::{Reign, ReturnPlan, Role};
use parking_lot::Mutex;
use replication::{
    Head, Keeping as Kept, Parcel, Quarantine, Record, Tail, TailLog, Upload, Uploading, carry_out,
    export_folder,
};
use std::sync::Arc;
use store::log::{Export, Exported, Frame, Reader};
use store::{Commit, CommitKind, Core};

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
    /// Quarantine commits that became durable while the log was read.
    meanwhile: Vec<(Seq, Record)>,
    done: Sender<Submitted>,
    submitted: Receiver<Submitted>,
}

impl Keeping {
    /// Begins to read the log, and finds the exports that are left from before.
    pub fn new(place: &Place) -> Self {
        let (found, read) = unbounded();
        let (done, submitted) = unbounded();
        let reader = place.store.core().reader();
        let thread = std::thread::Builder::new().name("quarantine".to_owned());
        let started = thread.spawn(move || match read_log(&reader) {
            Ok(quarantine) => {
                // Fails only when the worker is gone.
                let _ = found.send(quarantine);
            }
            Err(error) => tracing::error!(%error, "the quarantine cannot be read from the log"),
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread to read the quarantine");
        }
        let mut keeping = Self {
            shared: place.quarantine.clone(),
            uploads: Vec::new(),
            read,
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
        if let Some(quarantine) = &mut *self.shared.lock() {
            quarantine.rewound(plan.keep.seq);
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

/// Reads all quarantine commits of a log.
fn read_log(reader: &Reader) -> Result<(Quarantine, Seq), replication::Error> {
    let (mut quarantine, upto) = (Quarantine::default(), reader.durable().seq);
    for frame in reader.frames(Seq::new(1)) {
        let frame = frame?;
        if frame.position.seq > upto {
            break;
        }
        let Some(payload) = frame.payload.bytes() else { continue };
        if CommitKind::of_payload(payload) == Some(CommitKind::Quarantine)
            && let Ok(commit) = Commit::decode(payload)
        {
            quarantine.note(frame.position.seq, &Record::decode(&commit.record)?)?;
        }
    }
    Ok((quarantine, upto))
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
