//! The checkers that judge a finished run: by the ledger and by the commits found in the log of
//! the region that is primary at the end.

use crate::ledger::{Acknowledged, Checker, Found, FoundCommit, Ledger, RequestId, Subject};
use crate::{Moment, Place};
use base::{Hash, Seq, Span, Stamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Requests that were acknowledged at least once.
    pub acknowledged: u64,
    /// Of these, not in the present history.
    pub lost: u64,
    /// Commits in quarantine.
    pub quarantined: u64,
    /// The longest loss: last acknowledgement of the old branch minus the oldest that was cut.
    pub loss: Span,
}

/// A history with what the judges look up in it.
struct History<'a> {
    commits: &'a [FoundCommit],
    by_request: BTreeMap<RequestId, Vec<(usize, Found)>>,
    quarantined: BTreeMap<RequestId, Vec<(Place, Seq, Found)>>,
}

impl<'a> History<'a> {
    fn new(commits: &'a [FoundCommit]) -> Self {
        let mut by_request = BTreeMap::<_, Vec<_>>::new();
        let mut quarantined = BTreeMap::<_, Vec<_>>::new();
        for (index, commit) in commits.iter().enumerate() {
            for write in &commit.writes {
                by_request.entry(write.request).or_default().push((index, *write));
            }
            for (place, _, seq, _, writes) in &commit.quarantined {
                for write in writes {
                    quarantined.entry(write.request).or_default().push((*place, *seq, *write));
                }
            }
        }
        Self { commits, by_request, quarantined }
    }
    fn holds(&self, seq: Seq, hash: Hash) -> bool {
        let first = self.commits.first().map_or(1, |commit| commit.position.seq.get());
        let index = seq.get().checked_sub(first).and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.commits.get(index))
            .is_some_and(|commit| commit.position.seq == seq && commit.position.hash == hash)
    }
}

/// Judges a finished run. `commits`: the whole log of the last primary. `bound`: the longest loss
/// that is promised, in true time.
pub fn judge(ledger: &mut Ledger, commits: &[FoundCommit], bound: Span) -> Outcome {
    let history = History::new(commits);
    let mut outcome = Outcome::default();
    let lost = kept(ledger, &history, &mut outcome);
    loss_bound(ledger, &lost, bound, &mut outcome);
    quarantine_sent(ledger, &history, &mut outcome);
    versions(ledger, &history);
    stamps(ledger, &history);
    applied_once(ledger, &history);
    request_order(ledger, &history);
    fresh_reads(ledger, &history);
    outcome
}

/// Acknowledged ⇒ present or in quarantine. Returns the acknowledgements that were cut.
fn kept(ledger: &mut Ledger, history: &History<'_>, outcome: &mut Outcome) -> Vec<Acknowledged> {
    let mut cut = Vec::new();
    let (mut all, mut lost) = (BTreeSet::new(), BTreeSet::new());
    for (request, ack) in ledger.acknowledged.clone() {
        ledger.judge(Checker::Kept);
        all.insert(request);
        if history.holds(ack.position.seq, ack.position.hash) {
            continue;
        }
        cut.push(ack);
        if history.by_request.contains_key(&request) {
            continue;
        }
        lost.insert(request);
        if !history.quarantined.contains_key(&request) {
            let text = format!(
                "{request} acknowledged at {} by {} as {} is neither present nor in quarantine",
                ack.at, ack.actor.place, ack.position
            );
            ledger.violate(Checker::Kept, text);
        }
    }
    outcome.acknowledged = all.len() as u64;
    outcome.lost = lost.len() as u64;
    cut
}

/// For each branch that was cut: last acknowledgement minus the oldest one cut, by true time. A
/// branch is what one region acknowledged until another did.
fn loss_bound(ledger: &mut Ledger, cut: &[Acknowledged], bound: Span, outcome: &mut Outcome) {
    let mut branches: Vec<(Place, Vec<Acknowledged>)> = Vec::new();
    for (_, ack) in &ledger.acknowledged {
        match branches.last_mut() {
            Some((place, acks)) if *place == ack.actor.place => acks.push(*ack),
            _ => branches.push((ack.actor.place, vec![*ack])),
        }
    }
    let cut: BTreeSet<(Place, Seq, Hash)> =
        cut.iter().map(|ack| (ack.actor.place, ack.position.seq, ack.position.hash)).collect();
    for (place, acks) in branches {
        ledger.judge(Checker::LossBound);
        let was_cut = |ack: &&Acknowledged| {
            cut.contains(&(ack.actor.place, ack.position.seq, ack.position.hash))
        };
        let Some(oldest) = acks.iter().find(was_cut) else { continue };
        let last = acks.last().expect("a branch has an acknowledgement");
        let loss = last.at.since(oldest.at);
        outcome.loss = outcome.loss.max(loss);
        if loss > bound {
            let text = format!("{place} lost {loss} from {}, promised {bound}", oldest.at);
            ledger.violate(Checker::LossBound, text);
        }
    }
}

/// Quarantine ⊆ sent, byte for byte, and each former commit once.
fn quarantine_sent(ledger: &mut Ledger, history: &History<'_>, outcome: &mut Outcome) {
    let mut once = BTreeSet::new();
    for commit in history.commits {
        for (place, epoch, seq, hash, writes) in &commit.quarantined {
            outcome.quarantined += 1;
            ledger.judge(Checker::QuarantineSent);
            if !once.insert((*place, *epoch, *seq, *hash)) {
                let text = format!("commit {seq} of {place} is in quarantine twice");
                ledger.violate(Checker::QuarantineSent, text);
            }
            if history.holds(*seq, *hash) {
                let text = format!("commit {seq} of {place} is in quarantine and in the history");
                ledger.violate(Checker::QuarantineSent, text);
            }
            for write in writes {
                let sent = ledger.issued.get(&write.request);
                if sent.is_none_or(|sent| sent.content != write.content) {
                    let text = format!("{} in quarantine is not what was sent", write.request);
                    ledger.violate(Checker::QuarantineSent, text);
                }
            }
        }
    }
}

fn versions(ledger: &mut Ledger, history: &History<'_>) {
    let mut last = BTreeMap::<Subject, u64>::new();
    for commit in history.commits {
        for write in &commit.writes {
            ledger.content(write.subject, write.version, write.content);
            let before = last.insert(write.subject, write.version.counter).unwrap_or(0);
            if write.version.counter != before + 1 {
                let text = format!("{} goes from {before} to {}", write.subject, write.version);
                ledger.violate(Checker::OneContent, text);
            }
        }
        for (_, _, _, _, writes) in &commit.quarantined {
            for write in writes {
                ledger.content(write.subject, write.version, write.content);
            }
        }
    }
}

/// In the order of the history, and for writes acknowledged before others were sent.
fn stamps(ledger: &mut Ledger, history: &History<'_>) {
    let mut last = Stamp::ZERO;
    for commit in history.commits {
        for write in &commit.writes {
            ledger.judge(Checker::StampOrder);
            if write.stamp < last {
                let text = format!("{} is stamped {} after {last}", write.request, write.stamp);
                ledger.violate(Checker::StampOrder, text);
            }
            last = last.max(write.stamp);
        }
    }
    let acks: Vec<(Moment, Stamp, Moment, RequestId)> = ledger
        .acknowledged
        .iter()
        .filter_map(|(id, ack)| Some((ack.at, ack.stamp, ledger.issued.get(id)?.at, *id)))
        .collect();
    let mut highest = Vec::with_capacity(acks.len());
    let mut high = Stamp::ZERO;
    for (at, stamp, _, _) in &acks {
        high = high.max(*stamp);
        highest.push((*at, high));
    }
    for (_, stamp, sent_at, request) in acks {
        let before = highest.partition_point(|(at, _)| *at < sent_at);
        if before > 0 && highest[before - 1].1 > stamp {
            let text = format!("{request} is stamped before what was acknowledged earlier");
            ledger.violate(Checker::StampOrder, text);
        }
    }
}

fn applied_once(ledger: &mut Ledger, history: &History<'_>) {
    for (request, places) in &history.by_request {
        ledger.judge(Checker::AppliedOnce);
        if places.len() > 1 {
            ledger.violate(Checker::AppliedOnce, format!("{request} is applied more than once"));
        }
    }
}

/// A subject has one client, whose requests have rising numbers.
fn request_order(ledger: &mut Ledger, history: &History<'_>) {
    let told: BTreeSet<RequestId> = ledger.acknowledged.iter().map(|(id, _)| *id).collect();
    let mut newest = BTreeMap::<Subject, RequestId>::new();
    for commit in history.commits {
        for write in &commit.writes {
            ledger.judge(Checker::RequestOrder);
            let last = newest.get(&write.subject).copied();
            if let Some(last) = last.filter(|last| *last > write.request && told.contains(last)) {
                let text = format!("{} is applied over the newer {last}", write.request);
                ledger.violate(Checker::RequestOrder, text);
            }
            newest.insert(write.subject, write.request.max(last.unwrap_or(write.request)));
        }
    }
}

fn fresh_reads(ledger: &mut Ledger, history: &History<'_>) {
    let mut acks = BTreeMap::<Subject, Vec<Acknowledged>>::new();
    for (request, ack) in &ledger.acknowledged {
        if let Some(issued) = ledger.issued.get(request) {
            acks.entry(issued.subject).or_default().push(*ack);
        }
    }
    for seen in std::mem::take(&mut ledger.seen) {
        ledger.judge(Checker::FreshRead);
        let shown = seen.version.map(|(version, _)| version);
        for ack in acks.get(&seen.subject).into_iter().flatten() {
            let counts = ack.actor.epoch == seen.actor.epoch
                || history.holds(ack.position.seq, ack.position.hash);
            if ack.at >= seen.sent_at || !counts {
                continue;
            }
            if shown.is_none_or(|shown| shown.counter < ack.version.counter) {
                let text = format!(
                    "{} read at {} by {:?} shows {shown:?}, not {} acknowledged at {}",
                    seen.subject, seen.sent_at, seen.actor, ack.version, ack.at
                );
                ledger.violate(Checker::FreshRead, text);
                break;
            }
        }
    }
}
