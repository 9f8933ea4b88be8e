//! One goal at a time for the register, tried until it is chosen, given up, or replaced.

use super::Cx;
use crate::{
    Acceptors, Ballot, Bugs, Failure, Goal, Holder, Message, Output, Proposer, Value, Verdict,
};
use base::{AccountName, BootTime, MemberId, Span};
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct Registrar {
    proposer: Proposer,
    goal: Option<Goal>,
    /// While waiting: when the next try begins. While trying: when it is given up.
    due: BootTime,
    tries: u32,
    /// R6: the acceptors that the next phase 1 must consist of.
    exactly: Option<BTreeSet<MemberId>>,
    /// Whether the present try is such a read in place of the goal.
    resolving: bool,
}

impl Registrar {
    pub(super) fn new(me: Holder, account: AccountName, bugs: Bugs) -> Self {
        let proposer = Proposer::new(me, account, bugs);
        Self {
            proposer,
            goal: None,
            due: BootTime::ZERO,
            tries: 0,
            exactly: None,
            resolving: false,
        }
    }

    pub(super) fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// Notes a ballot seen at an acceptor, so that the next one goes above it at once.
    pub(super) fn saw(&mut self, ballot: Ballot) {
        self.proposer.saw(ballot);
    }

    /// When it must be turned.
    pub(super) fn due(&self) -> Option<BootTime> {
        self.goal.as_ref().map(|_| self.due)
    }

    /// Replaces the goal. What the old one proposed may still be chosen (R3).
    pub(super) fn want(&mut self, goal: Goal, now: BootTime) {
        self.proposer.cancel();
        (self.goal, self.due, self.tries, self.exactly) = (Some(goal), now, 0, None);
        self.resolving = false;
    }

    pub(super) fn give_up(&mut self) {
        self.proposer.cancel();
        self.goal = None;
    }

    /// Begins a try that is due, or ends one that got no answer.
    pub(super) fn turn(
        &mut self,
        cx: &mut Cx<'_>,
        targets: &Acceptors,
        known: Option<&Value>,
    ) -> Option<Verdict> {
        let goal = self.goal.clone()?;
        if cx.now.boot < self.due {
            return None;
        }
        if self.proposer.busy() {
            let verdict = self.proposer.expire();
            return self.settle(cx, verdict);
        }
        self.due = cx.now.boot + cx.config.timing.patience();
        // R6: what is half-accepted elsewhere is resolved by a read of exactly the refusing ones.
        let exactly = self.exactly.take().filter(|set| targets.quorum(set));
        self.resolving = exactly.is_some();
        let (goal, asked) = match exactly {
            Some(set) => (Goal::Read, set),
            None => (goal, targets.all()),
        };
        let (outputs, verdict) = self.proposer.begin(goal, asked, self.resolving, known);
        cx.outputs(outputs);
        self.settle(cx, verdict)
    }

    pub(super) fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        from: MemberId,
        message: Message,
    ) -> Option<Verdict> {
        let (outputs, verdict) = self.proposer.receive(from, message);
        cx.outputs(outputs);
        self.settle(cx, verdict)
    }

    fn settle(&mut self, cx: &mut Cx<'_>, verdict: Option<Verdict>) -> Option<Verdict> {
        let verdict = verdict?;
        match &verdict {
            Verdict::Failed(failure) => {
                self.tries += 1;
                if let Failure::Lease { by, completing: true, .. } = failure {
                    self.exactly = Some(by.clone());
                }
                // R6: back-off is random.
                let patience = cx.config.timing.patience().us();
                let most = (patience >> 4 << self.tries.min(4)).max(16);
                let wait = Span::from_us(most / 4 + cx.rng.below(most));
                self.due = cx.now.boot + wait;
            }
            Verdict::Chosen { .. } | Verdict::Nothing if self.resolving => self.due = cx.now.boot,
            Verdict::Chosen { .. } | Verdict::Nothing => self.goal = None,
        }
        Some(verdict)
    }
}

impl Cx<'_> {
    pub(super) fn outputs(&mut self, outputs: Vec<Output>) {
        self.out.extend(outputs.into_iter().map(super::Out::Output));
    }
}
