//! The log alone: what making commits durable costs when nothing else is done.

use anyhow::Context;
use base::{BootId, Epoch, Fork, MemberId, Stamp, VersionId};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use store::disk::RealDisk;
use store::log::{Entry, Log, Payload, Settings};
use store::{Change, Commit, CommitHead, CommitKind, Effect, compress};
use tokio::sync::{mpsc, oneshot};
use workload::Reading;

/// Who asks for a commit at the same time.
const SUBMITTERS: usize = 64;
/// Commits of one sync, at most.
const GROUP: usize = 100;

/// A commit to make durable, and who waits for it.
type Submission = (Payload, oneshot::Sender<()>);

/// What one log makes durable, for each second.
pub struct Rate {
    /// Commits.
    pub commits: f64,
    /// Groups, each one `fdatasync`.
    groups: f64,
    /// Bytes of the payload of one commit.
    payload: usize,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.commits / self.groups.max(1.0);
        let Self { commits, groups, payload } = self;
        write!(f, "{commits:.0} commits/s of {payload} bytes, {groups:.0} fdatasync/s of {each:.0}")
    }
}

/// How fast one log makes commits durable.
pub fn rate(duration: Duration) -> anyhow::Result<Rate> {
    let folder = tempfile::tempdir()?;
    let disk = Arc::new(RealDisk::new(folder.path())?);
    let log = Log::create(disk, "log", Settings::default())?;
    let preparer = log.preparer();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let ahead = std::thread::spawn(move || -> anyhow::Result<()> {
        while !stopped.load(Ordering::Relaxed) {
            if preparer.needed() {
                preparer.step()?;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    });
    let (sender, receiver) = mpsc::channel(SUBMITTERS);
    let writer = std::thread::spawn(move || write(log, receiver));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let count = runtime.block_on(submit(sender, start + duration))?;
    let elapsed = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    let groups = writer.join().ok().context("the writer panicked")??;
    ahead.join().ok().context("the preparer panicked")??;
    let seconds = elapsed.as_secs_f64();
    let payload = payload(1)?.len();
    Ok(Rate { commits: count as f64 / seconds, groups: groups as f64 / seconds, payload })
}

async fn submit(sender: mpsc::Sender<Submission>, end: Instant) -> anyhow::Result<u64> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..SUBMITTERS as u64 {
        let sender = sender.clone();
        let payloads = (0..16)
            .map(|serial| payload(number * 16 + serial))
            .collect::<anyhow::Result<Vec<_>>>()?;
        tasks.spawn(async move {
            let mut count = 0u64;
            while Instant::now() < end {
                let (done, durable) = oneshot::channel();
                let payload = payloads[count as usize % payloads.len()].clone();
                if sender.send((payload, done)).await.is_err() || durable.await.is_err() {
                    break;
                }
                count += 1;
            }
            count
        });
    }
    drop(sender);
    let mut total = 0;
    while let Some(count) = tasks.join_next().await {
        total += count?;
    }
    Ok(total)
}

/// Writes and syncs groups until nobody submits any more; gives how many.
fn write(mut log: Log, mut receiver: mpsc::Receiver<Submission>) -> anyhow::Result<u64> {
    let mut groups = 0;
    let mut waiting = Vec::with_capacity(GROUP);
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = receiver.blocking_recv() {
        let rest = std::iter::from_fn(|| receiver.try_recv().ok());
        for (payload, done) in std::iter::once(first).chain(rest.take(GROUP - 1)) {
            group.push(Entry { epoch: Epoch::new(1), secondary: None, payload });
            waiting.push(done);
        }
        log.append(std::mem::take(&mut group))?;
        log.sync()?;
        groups += 1;
        for done in waiting.drain(..) {
            done.send(()).ok();
        }
    }
    Ok(groups)
}

/// The commit that the service would make of a created Observation.
fn payload(serial: u64) -> anyhow::Result<Payload> {
    let id: base::ResourceId = format!("0195c1d2-7c3a-7b3e-9d21-{serial:012x}").parse()?;
    let body = Reading::nth(serial, serial).to_json(Some(id.as_str()));
    let commit = Commit {
        head: CommitHead {
            kind: CommitKind::Write,
            stamp: Stamp::from_ms(1_795_000_000_000),
            fork: Fork::ZERO,
            origin: (MemberId::new(1), BootId::new(1)),
            principal: None,
            idempotency: None,
            conditions: Vec::new(),
            guards: Vec::new(),
        },
        changes: vec![Change {
            type_id: fhir::TypeId::from_name("Observation").context("a type of R4")?,
            id,
            version: VersionId { counter: 1, fork: Fork::ZERO },
            effect: Effect::Created,
            body: Some(compress(body.as_bytes())),
        }],
        record: bytes::Bytes::new(),
    };
    Ok(Payload::new(commit.encode()?))
}
