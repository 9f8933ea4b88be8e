//! An account in one region: the real log, and above it the little that the simulator needs to
//! see of what commits mean. Rebuilt from the log at every start and rewind.

use crate::ledger::{Found, FoundCommit, RequestId, Subject};
use crate::{Place, content_of};
use base::{Epoch, Fork, Hash, Position, Seq, Stamp, VersionId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::disk::SimDisk;
use store::log::{Entry, Error, Exported, Frame, Log, Payload, SecondaryMark, Settings};

/// The log's folder.
const LOG: &str = "log";
/// The folder of exported tails.
const EXPORTS: &str = "export";
/// Small segments, so that a run crosses many.
const SEGMENT_BYTES: u64 = 64 << 10;

/// What a commit is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Commit {
    /// A client's write.
    Write(Row),
    /// The first of an epoch.
    Opening,
    /// A former commit of a region.
    Quarantine {
        /// Which region's (its number).
        region: u8,
        /// The frame, as exported.
        frame: Vec<u8>,
    },
}

/// A client's write as the log keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The request: also the idempotency key.
    pub request: u64,
    /// The resource.
    pub subject: u32,
    /// The version made.
    pub version: VersionId,
    /// `lastUpdated`.
    pub stamp: Stamp,
    /// What identifies the content.
    pub content: Hash,
}

/// One region's copy of the account.
pub struct Account {
    disk: SimDisk,
    /// The log.
    pub log: Log,
    /// Newest version of each resource, with the commit that made it.
    pub newest: BTreeMap<Subject, (Row, Seq)>,
    /// Commits by request.
    pub by_request: BTreeMap<RequestId, (Row, Position)>,
    /// What is in quarantine.
    pub quarantined: BTreeSet<(u8, Hash)>,
    /// The highest stamp.
    pub stamp: Stamp,
    digest: u128,
}

impl Account {
    /// Opens the log, or makes one.
    pub fn open(disk: &SimDisk) -> Result<Self, Error> {
        let settings = Settings { segment_bytes: SEGMENT_BYTES };
        let (log, _) = Log::open_or_create(Arc::new(disk.clone()), LOG, settings)?;
        let mut account = Self {
            disk: disk.clone(),
            log,
            newest: BTreeMap::new(),
            by_request: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            stamp: Stamp::ZERO,
            digest: 0,
        };
        account.rebuild()?;
        Ok(account)
    }

    fn rebuild(&mut self) -> Result<(), Error> {
        self.newest.clear();
        self.by_request.clear();
        self.quarantined.clear();
        self.digest = 0;
        for frame in self.log.reader().frames(Seq::new(1)) {
            let frame = frame?;
            self.apply(&frame.position, &commit_of(&frame));
        }
        Ok(())
    }

    fn apply(&mut self, position: &Position, commit: &Commit) {
        match commit {
            Commit::Write(row) => {
                self.newest.insert(Subject(row.subject), (*row, position.seq));
                self.by_request.insert(RequestId(row.request), (*row, *position));
                self.stamp = self.stamp.max(row.stamp);
                let item = postcard::to_stdvec(row).expect("a row encodes");
                let half = Hash::of(&item).as_bytes()[..16].try_into().expect("sixteen bytes");
                self.digest = self.digest.wrapping_add(u128::from_le_bytes(half));
            }
            Commit::Opening => {}
            Commit::Quarantine { region, frame } => {
                if let Ok(frame) = Frame::decode(&mut Bytes::copy_from_slice(frame)) {
                    self.quarantined.insert((*region, frame.position.hash));
                }
            }
        }
    }

    /// Appends commits of this region; not durable before a sync.
    pub fn append(
        &mut self,
        epoch: Epoch,
        secondary: Option<SecondaryMark>,
        commits: &[Commit],
    ) -> Result<Vec<Position>, Error> {
        let entry = |commit| {
            let bytes = postcard::to_stdvec(commit).expect("a commit encodes");
            Entry { epoch, secondary, payload: Payload::new(Bytes::from(bytes)) }
        };
        let positions = self.log.append(commits.iter().map(entry).collect())?;
        for (position, commit) in positions.iter().zip(commits) {
            self.apply(position, commit);
        }
        Ok(positions)
    }

    /// Appends frames of another copy that follow the own end exactly.
    pub fn follow(&mut self, frames: &[Frame]) -> Result<(), Error> {
        for frame in frames {
            let positions = self.log.append(vec![frame.clone().into_entry()])?;
            assert_eq!(positions, [frame.position], "a copied frame has the same position");
            self.apply(&frame.position, &commit_of(frame));
        }
        Ok(())
    }

    /// Durable frames after a position, some of them.
    pub fn frames_after(&self, seq: Seq, limit: usize) -> Result<Vec<Frame>, Error> {
        self.log.reader().frames(seq.next()).take(limit).collect()
    }

    /// What the next version of a resource is.
    #[must_use]
    pub fn next_version(&self, subject: Subject, fork: Fork) -> VersionId {
        let counter = self.newest.get(&subject).map_or(0, |(row, _)| row.version.counter);
        VersionId { counter: counter + 1, fork }
    }

    /// The digest of everything appended.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Hash::of(&self.digest.to_le_bytes())
    }

    /// Exports what follows `keep`, then cuts it.
    pub fn cut(&mut self, keep: &Position) -> Result<Option<String>, Error> {
        self.log.sync()?;
        if self.log.end() == *keep {
            return Ok(None);
        }
        let end = self.log.end();
        let name = format!("{EXPORTS}/{}-{}", end.seq, end.hash);
        let known = store::log::Export::open(&self.disk, &name);
        let exported: Exported = match known {
            Ok(export) if export.exported().from() == *keep => export.exported().clone(),
            _ => self.log.export_tail(keep, &name)?,
        };
        self.log.rewind(keep, &exported)?;
        self.rebuild()?;
        Ok(Some(name))
    }

    /// The exported tails that are kept, with their frames.
    pub fn exports(&self) -> Result<Vec<(String, Vec<Frame>)>, Error> {
        let names = store::disk::Disk::list(&self.disk, EXPORTS).unwrap_or_default();
        let mut exports = Vec::new();
        for name in names {
            let name = format!("{EXPORTS}/{name}");
            // One that a crash left half written was never relied on.
            if let Ok(export) = store::log::Export::open(&self.disk, &name) {
                let frames: Result<Vec<Frame>, Error> = export.frames().collect();
                exports.push((name, frames?));
            }
        }
        Ok(exports)
    }

    /// Removes an exported tail whose quarantine is durable here.
    pub fn forget_export(&self, name: &str) {
        let _ = store::disk::Disk::remove(&self.disk, name);
        let _ = store::disk::Disk::sync_dir(&self.disk, EXPORTS);
    }

    /// Everything in the log, for the checkers.
    pub fn found(&self) -> Result<Vec<FoundCommit>, Error> {
        self.log.reader().frames(Seq::new(1)).map(|frame| Ok(found(&frame?))).collect()
    }
}

/// Reads a frame's payload.
#[must_use]
pub fn commit_of(frame: &Frame) -> Commit {
    let bytes = frame.payload.bytes().expect("the simulator erases nothing");
    postcard::from_bytes(bytes).expect("a payload that matches its hash decodes")
}

fn rows(commit: &Commit) -> Vec<Found> {
    match commit {
        Commit::Write(row) => vec![Found {
            request: RequestId(row.request),
            subject: Subject(row.subject),
            version: row.version,
            stamp: row.stamp,
            content: row.content,
        }],
        _ => Vec::new(),
    }
}

fn found(frame: &Frame) -> FoundCommit {
    let commit = commit_of(frame);
    let mut quarantined = Vec::new();
    if let Commit::Quarantine { region, frame } = &commit
        && let Ok(frame) = Frame::decode(&mut Bytes::copy_from_slice(frame))
    {
        let place = Place::REGIONS[usize::from(*region)];
        let position = frame.position;
        let kept = rows(&commit_of(&frame));
        quarantined.push((place, position.epoch, position.seq, position.hash, kept));
    }
    FoundCommit { position: frame.position, writes: rows(&commit), quarantined }
}

/// A client's write, ready for the log.
#[must_use]
pub fn row(request: RequestId, subject: Subject, version: VersionId, stamp: Stamp) -> Row {
    let content = content_of(request, subject);
    Row { request: request.0, subject: subject.0, version, stamp, content }
}
