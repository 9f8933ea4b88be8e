//! What was seen from outside: the only thing that the checkers judge by. It knows nothing of the
//! protocol, only of requests, answers, and commits found in logs.

use crate::{Moment, Place};
use base::{BootId, Epoch, Hash, Position, Seq, Stamp, VersionId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One interaction a client wants; its retries are the same request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// One resource, written by one client alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subject(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// The checkers. Each judges one promise of the design.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Checker {
    /// Two primaries never acknowledge for one account in one epoch or at one time.
    OneWriter,
    /// What was acknowledged is present or in quarantine.
    Kept,
    /// What is in quarantine was sent, byte for byte, and is not in the history as well.
    QuarantineSent,
    /// What was acknowledged and cut stays within the bound on loss.
    LossBound,
    /// Equal digests, and equal commits, at equal positions.
    EqualCopies,
    /// Nothing is durable in the secondary before it is in the primary that made it.
    DurableFirst,
    /// No version of a resource has two contents.
    OneContent,
    /// `lastUpdated` never goes back.
    StampOrder,
    /// No request is applied twice.
    AppliedOnce,
    /// No older request is applied over a newer acknowledged one.
    RequestOrder,
    /// A read shows everything acknowledged before it was sent, unless that was cut since.
    FreshRead,
    /// After healing there is one primary, the other in sync, compute at home.
    Convergence,
    /// No member stops with an error that no fault explains.
    NoStop,
}

impl Checker {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::OneWriter,
        Self::Kept,
        Self::QuarantineSent,
        Self::LossBound,
        Self::EqualCopies,
        Self::DurableFirst,
        Self::OneContent,
        Self::StampOrder,
        Self::AppliedOnce,
        Self::RequestOrder,
        Self::FreshRead,
        Self::Convergence,
        Self::NoStop,
    ];
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which promise.
    pub checker: Checker,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.checker, self.text)
    }
}

/// Who acted: a region in one process lifetime and one epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Actor {
    /// The region.
    pub place: Place,
    /// Its process lifetime.
    pub boot: BootId,
    /// The epoch it acts in.
    pub epoch: Epoch,
}

/// A write as its client made it.
#[derive(Clone, Copy, Debug)]
pub struct Issued {
    /// What it writes.
    pub subject: Subject,
    /// The hash of what identifies its content.
    pub content: Hash,
    /// When its first attempt was sent.
    pub at: Moment,
}

/// An acknowledgement, at the moment its first byte left the region.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// When.
    pub at: Moment,
    /// By whom.
    pub actor: Actor,
    /// The commit that was named.
    pub position: Position,
    /// The version that was named.
    pub version: VersionId,
    /// The stamp that was named.
    pub stamp: Stamp,
}

/// A read's answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// What was read.
    pub subject: Subject,
    /// When the read was sent.
    pub sent_at: Moment,
    /// Who answered.
    pub actor: Actor,
    /// The version and content shown; `None`: not found.
    pub version: Option<(VersionId, Hash)>,
}

/// One write found in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Whose request it was.
    pub request: RequestId,
    /// What it wrote.
    pub subject: Subject,
    /// As which version.
    pub version: VersionId,
    /// Stamped when.
    pub stamp: Stamp,
    /// The hash of what identifies its content.
    pub content: Hash,
}

/// One commit found in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundCommit {
    /// Where.
    pub position: Position,
    /// What it wrote.
    pub writes: Vec<Found>,
    /// Former commits that it keeps in quarantine: where they were, and what they wrote.
    pub quarantined: Vec<(Place, Epoch, Seq, Hash, Vec<Found>)>,
}

/// Everything that was seen.
#[derive(Default)]
pub struct Ledger {
    /// Writes by request.
    pub issued: BTreeMap<RequestId, Issued>,
    /// Acknowledgements in order of time; a request may have several.
    pub acknowledged: Vec<(RequestId, Acknowledged)>,
    /// Reads in order of time.
    pub seen: Vec<Seen>,
    /// How many facts each checker judged.
    pub judged: BTreeMap<Checker, u64>,
    /// The first broken promises.
    pub violations: Vec<Violation>,
    writers: BTreeMap<Epoch, (Place, BootId)>,
    acting: Option<Actor>,
    retired: BTreeSet<Actor>,
    digests: BTreeMap<(Seq, Hash), (Place, Hash)>,
    durable: BTreeMap<Epoch, (Place, Seq)>,
    contents: BTreeMap<(Subject, VersionId), Hash>,
}

/// More violations than these are not kept.
const VIOLATIONS_MAX: usize = 20;

impl Ledger {
    /// Counts one judged fact.
    pub fn judge(&mut self, checker: Checker) {
        *self.judged.entry(checker).or_default() += 1;
    }
    /// Notes a broken promise.
    pub fn violate(&mut self, checker: Checker, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { checker, text });
        }
    }

    /// A region would pass its last check now (or did, and its answer leaves): at no time two.
    pub fn acts(&mut self, at: Moment, actors: &[Actor]) {
        self.judge(Checker::OneWriter);
        if let [one, other, ..] = actors {
            let text = format!("{at} {one:?} and {other:?} may act at one time");
            self.violate(Checker::OneWriter, text);
        }
    }

    fn acted(&mut self, at: Moment, actor: Actor) {
        let writer = *self.writers.entry(actor.epoch).or_insert((actor.place, actor.boot));
        if writer != (actor.place, actor.boot) {
            let text = format!("{at} {actor:?} acts in the epoch of {writer:?}");
            self.violate(Checker::OneWriter, text);
        }
        if self.acting == Some(actor) {
            return;
        }
        if self.retired.contains(&actor) {
            let text = format!("{at} {actor:?} acts again after {:?} did", self.acting);
            self.violate(Checker::OneWriter, text);
        }
        self.retired.extend(self.acting.replace(actor));
    }

    /// A client sends the first attempt of a write.
    pub fn issue(&mut self, request: RequestId, issued: Issued) {
        self.issued.insert(request, issued);
    }

    /// The first byte of an acknowledgement leaves a region.
    pub fn acknowledge(&mut self, request: RequestId, ack: Acknowledged) {
        self.judge(Checker::OneWriter);
        self.acted(ack.at, ack.actor);
        if let Some(issued) = self.issued.get(&request).copied() {
            self.content(issued.subject, ack.version, issued.content);
        } else {
            self.violate(Checker::QuarantineSent, format!("{request} was never sent"));
        }
        self.acknowledged.push((request, ack));
    }

    /// The first byte of a read's answer leaves a region.
    pub fn see(&mut self, at: Moment, seen: Seen) {
        self.acted(at, seen.actor);
        if let Some((version, content)) = seen.version {
            self.content(seen.subject, version, content);
        }
        self.seen.push(seen);
    }

    /// Something outside a region saw this content under this version.
    pub fn content(&mut self, subject: Subject, version: VersionId, content: Hash) {
        self.judge(Checker::OneContent);
        let first = *self.contents.entry((subject, version)).or_insert(content);
        if first != content {
            let text = format!("{subject} version {version} has two contents");
            self.violate(Checker::OneContent, text);
        }
    }

    /// A region's digest at its durable end.
    pub fn digest(&mut self, place: Place, position: Position, digest: Hash) {
        let key = (position.seq, position.hash);
        let (first, known) = *self.digests.entry(key).or_insert((place, digest));
        if first != place {
            self.judge(Checker::EqualCopies);
        }
        if known != digest {
            let text = format!("{first} and {place} differ at {position}");
            self.violate(Checker::EqualCopies, text);
        }
    }
}

impl Ledger {
    /// A region opens an epoch: its commits are made there.
    pub fn opens(&mut self, place: Place, epoch: Epoch) {
        self.durable.entry(epoch).or_insert((place, Seq::ZERO));
    }

    /// What a region's disk has synced.
    pub fn durable(&mut self, place: Place, position: Position) {
        let (maker, seq) = self.durable.entry(position.epoch).or_insert((place, position.seq));
        let (maker, before) = (*maker, *seq);
        if maker == place {
            *seq = position.seq.max(before);
            return;
        }
        self.judge(Checker::DurableFirst);
        if position.seq > before {
            let text = format!("{place} has {position} durable before {maker} has");
            self.violate(Checker::DurableFirst, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(place: Place, epoch: u64) -> Actor {
        Actor { place, boot: BootId::new(1), epoch: Epoch::new(epoch) }
    }

    #[test]
    fn two_writers_in_one_epoch_or_in_turns_are_seen() {
        let mut ledger = Ledger::default();
        ledger.acted(Moment::START, actor(Place::East, 1));
        ledger.acted(Moment::START, actor(Place::West, 2));
        assert!(ledger.violations.is_empty());
        ledger.acted(Moment::START, actor(Place::East, 1));
        ledger.acted(Moment::START, actor(Place::East, 2));
        assert_eq!(ledger.violations.len(), 2);
    }
}
