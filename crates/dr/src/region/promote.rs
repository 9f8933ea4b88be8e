//! The secondary watches the primary by the acceptors' grants, and takes over when there are none
//! (P1, P2, P3, hold-down).
//!
//! ```text
//! Following ─two say: no grant, in_sync─► Keeping ─seal durable─► Measuring ─end─► Proposing ─► Opening
//!                                           ▲                                         │
//! Attaching ◄─attempt raised (un-sealed)── Idle ◄──the value has changed──────────────┘
//! ```

use super::{Cx, Out, Part, Region};
use crate::{
    Action, Bug, Change, Goal, PromotionPlan, Query, Record, Reign, SecondaryState, Seen, Value,
    Version,
};
use base::{Attempt, BootTime, MemberId, Position};
use std::collections::{BTreeMap, BTreeSet};

/// The answers of the present round of questions.
#[derive(Default)]
pub(super) struct Watch {
    round: u64,
    seen: BTreeMap<MemberId, Option<Seen>>,
    differs_since: Option<BootTime>,
}

pub(super) struct Sealed {
    reign: Reign,
    attempt: Attempt,
    version: Version,
    stage: Stage,
}

enum Stage {
    Keeping,
    Measuring(Query),
    Proposing,
    Idle,
}

impl Sealed {
    /// P3: the seal is void when the chosen value has a higher epoch or attempt.
    pub(super) fn holds(&self, value: &Value) -> bool {
        self.reign == value.reign && self.attempt == value.attempt
    }
}

impl Watch {
    fn newest(&self) -> Option<&(crate::Ballot, Value)> {
        let accepted = self.seen.values().flatten().filter_map(|seen| seen.accepted.as_ref());
        accepted.max_by_key(|(ballot, _)| *ballot)
    }
    /// Those that answered so.
    fn those(&self, fits: impl Fn(&Seen) -> bool) -> BTreeSet<MemberId> {
        let fits = |(member, seen): (&MemberId, &Option<Seen>)| {
            seen.as_ref().is_some_and(&fits).then_some(*member)
        };
        self.seen.iter().filter_map(fits).collect()
    }
}

impl Region {
    pub(super) fn watch_answered(
        &mut self,
        cx: &mut Cx<'_>,
        from: MemberId,
        round: u64,
        seen: Option<Seen>,
    ) {
        if round < self.watch.round {
            return;
        }
        if round > self.watch.round {
            self.watch.round = round;
            self.watch.seen.clear();
        }
        if let Some((ballot, _)) = seen.as_ref().and_then(|seen| seen.accepted.as_ref()) {
            self.register.saw(*ballot);
        }
        self.watch.seen.insert(from, seen);
        self.learn_from_watch(cx);
        if let Some(value) = self.known.clone() {
            self.consider(cx, &value);
        }
    }

    /// What a majority accepted under one ballot is chosen; what differs for long is resolved (R6).
    fn learn_from_watch(&mut self, cx: &mut Cx<'_>) {
        let Some((ballot, value)) = self.watch.newest().cloned() else { return };
        let agree = self
            .watch
            .those(|seen| seen.accepted.as_ref().is_some_and(|(other, _)| *other == ballot));
        if value.acceptors.quorum(&agree) {
            self.watch.differs_since = None;
            self.learn(cx, value, None);
            return;
        }
        if !value.acceptors.quorum(&self.watch.those(|_| true)) {
            return;
        }
        let since = *self.watch.differs_since.get_or_insert(cx.now.boot);
        if cx.now.boot.since(since) >= cx.patience() && self.register.goal().is_none() {
            self.watch.differs_since = Some(cx.now.boot);
            self.register.want(Goal::Read, cx.now.boot);
        }
    }

    /// P1: goes on only when two acceptors, itself included, answer that no grant covers the
    /// account, and the register says `in_sync`. L7: the grants count, not hearing the primary.
    fn consider(&mut self, cx: &mut Cx<'_>, value: &Value) {
        if value.secondary != Some(self.me.member) || value.primary.member == self.me.member {
            return;
        }
        let free = self.watch.those(|seen| {
            let same = seen.accepted.as_ref().is_some_and(|(_, it)| it.version == value.version);
            seen.granted_for.is_none() && same
        });
        let held = self.watch.those(|seen| seen.granted_for.is_some());
        let others: BTreeSet<MemberId> = value.acceptors.all().difference(&held).copied().collect();
        let alive = !value.acceptors.quorum(&others);
        let gone = value.acceptors.quorum(&free) && free.contains(&self.me.member);
        let gone = gone || cx.config.bugs.has(Bug::P1SealAtOnce);
        let may = value.secondary_state == SecondaryState::InSync
            || cx.config.bugs.has(Bug::PromoteWhileLagging);
        match &self.part {
            Part::Following if gone && may => self.seal(cx, value),
            Part::Attaching(attaching) if gone && may && !attaching.cuts() => self.seal(cx, value),
            Part::Sealed(Sealed { stage: Stage::Idle, .. }) if gone && may => self.seal(cx, value),
            Part::Sealed(sealed) if alive && !matches!(sealed.stage, Stage::Keeping) => {
                self.unseal(cx, value);
            }
            _ => {}
        }
    }

    /// P2, first: a durable seal of epoch and attempt.
    fn seal(&mut self, cx: &mut Cx<'_>, value: &Value) {
        if self.held_down(cx, value) {
            self.say(
                cx,
                "the primary is gone, but this region failed lately: held down".to_owned(),
            );
            return;
        }
        let (reign, attempt) = (value.reign, value.attempt);
        let plan = PromotionPlan {
            account: self.account.clone(),
            parent: value.version,
            replaces: reign,
            attempt,
            from: value.primary,
            to: self.me,
            names: [cx.name(value.primary.member), cx.name(self.me.member)],
        };
        let version = value.version;
        self.part = Part::Sealed(Sealed { reign, attempt, version, stage: Stage::Keeping });
        self.register.give_up();
        self.say(cx, plan.to_string());
        if self.seal == Some((reign, attempt)) {
            self.sealed(cx);
        } else {
            self.seal = Some((reign, attempt));
            let account = self.account.clone();
            cx.out.push(Out::Seal(Record::Seal { account, reign, attempt }));
        }
    }

    /// P2, second: the seal is durable; batches of that epoch are refused, and the end is measured.
    pub(crate) fn sealed(&mut self, cx: &mut Cx<'_>) {
        let query = self.query();
        let Part::Sealed(sealed) = &mut self.part else { return };
        if !matches!(sealed.stage, Stage::Keeping) {
            return;
        }
        sealed.stage = Stage::Measuring(query);
        let (account, epoch) = (self.account.clone(), sealed.reign.epoch);
        cx.act(Action::StopAppends { account, query, epoch });
    }

    /// P2, third: the proposal, with the exact end.
    pub(super) fn sealed_measured(&mut self, cx: &mut Cx<'_>, query: Query, end: Position) {
        let by = self.me;
        let Part::Sealed(sealed) = &mut self.part else { return };
        if !matches!(sealed.stage, Stage::Measuring(asked) if asked == query) {
            return;
        }
        sealed.stage = Stage::Proposing;
        let change = Change::Promote {
            parent: sealed.version,
            sealed: sealed.reign,
            attempt: sealed.attempt,
            by,
            at: end,
        };
        self.change(cx, change);
    }

    /// P3: a new process meets the seal of an older one.
    pub(super) fn stay_sealed(&mut self, cx: &mut Cx<'_>, value: &Value) {
        self.part = Part::Sealed(Sealed {
            reign: value.reign,
            attempt: value.attempt,
            version: value.version,
            stage: Stage::Idle,
        });
        self.say(cx, format!("is sealed in epoch {}", value.reign.epoch));
    }

    /// The value has changed, but the seal holds: the promotion did not apply.
    pub(super) fn sealed_news(&mut self, cx: &mut Cx<'_>, value: &Value) {
        let over = self.register.goal().is_none();
        let Part::Sealed(sealed) = &mut self.part else { return };
        if over && matches!(sealed.stage, Stage::Proposing) {
            sealed.stage = Stage::Idle;
        }
        let idle = matches!(sealed.stage, Stage::Idle);
        if idle && value.secondary_state != SecondaryState::InSync {
            self.unseal(cx, value);
        }
    }

    /// P3: through the register, by a change that raises `attempt`.
    fn unseal(&mut self, cx: &mut Cx<'_>, value: &Value) {
        if let Some(Goal::Change(_, Change::Unseal { attempt, .. })) = self.register.goal()
            && *attempt == value.attempt
        {
            return;
        }
        if cx.config.bugs.has(Bug::P3FreeUnseal) {
            self.seal = None;
            return self.attach_again(cx);
        }
        let Part::Sealed(sealed) = &mut self.part else { return };
        sealed.stage = Stage::Proposing;
        let (sealed, attempt) = (sealed.reign, sealed.attempt);
        self.change(cx, Change::Unseal { sealed, attempt, by: self.me.member });
        self.say(cx, format!("the primary lives: leaves the seal of epoch {}", sealed.epoch));
    }

    /// Hold-down: remembers that this region lost an epoch of its own, unplanned.
    pub(super) fn note_failure(&mut self, cx: &Cx<'_>, value: &Value) {
        let mine = value.starts.iter().rposition(|start| start.primary == self.me.member);
        let Some(mine) = mine else { return };
        let pair = (value.starts.get(mine), value.starts.get(mine + 1));
        let (Some(mine), Some(next)) = pair else { return };
        let known = self.failed.is_some_and(|(epoch, _)| epoch == mine.epoch);
        if next.fork > mine.fork && !known {
            self.failed = Some((mine.epoch, cx.now.boot));
        } else if next.fork == mine.fork {
            // An operator's switchover clears it.
            self.failed = None;
        }
    }

    fn held_down(&self, cx: &Cx<'_>, value: &Value) -> bool {
        let Some((_, since)) = self.failed else { return false };
        let lately = cx.now.boot.since(since) < value.policies.hold_down;
        let healthy = self
            .in_sync_since
            .is_some_and(|in_sync| cx.now.boot.since(in_sync) >= value.policies.hold_down_healthy);
        lately && !healthy
    }
}
