//! The proposing half of the register: CASPaxos, one ballot at a time (PROTOCOL.md section 1).
//!
//! ```text
//! idle ──begin──► phase 1 ──quorum of every set named in the newest value (R5)──► phase 2 ──► chosen
//!                   │  refused, or out of patience                                  │
//!                   └────────────────────► failed ◄─────────────────────────────────┘
//! ```
//! What is read is written back when the change does not apply, so a read is chosen too.

use crate::{
    Accept, Accepted, Acceptors, Ballot, Bug, Bugs, Change, Holder, Message, Output, Prepare,
    Promise, Refusal, Refused, Taking, Value,
};
use base::{AccountName, ChangeId, Counter, MemberId, Span, Stamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a run of the register is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Read the value as chosen.
    Read,
    /// Change it. The id stays the same over all tries of one change (R3).
    Change(ChangeId, Change),
}

impl Goal {
    fn taking(&self) -> Option<Taking> {
        match self {
            Self::Read => None,
            Self::Change(_, change) => change.taking(),
        }
    }
}

/// One account's proposer in one process lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer {
    me: Holder,
    account: AccountName,
    bugs: Bugs,
    /// The highest ballot counter seen or used.
    highest: Counter,
    run: Option<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    goal: Goal,
    ballot: Ballot,
    asked: BTreeSet<MemberId>,
    /// R6: phase 1 must be exactly these.
    exactly: bool,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    One {
        promised: BTreeMap<MemberId, Option<(Ballot, Value)>>,
        refused: BTreeMap<MemberId, Refusal>,
        ceiling: Stamp,
    },
    Two {
        value: Value,
        applied: bool,
        accepted: BTreeSet<MemberId>,
        refused: BTreeMap<MemberId, Refusal>,
        ceiling: Stamp,
    },
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A majority of every set named accepted `value` under `ballot`.
    Chosen {
        /// The value.
        value: Value,
        /// Its ballot.
        ballot: Ballot,
        /// Whether it is the change's own doing; else the change did not apply, or it was a read.
        applied: bool,
        /// The highest ceiling of those that promised and of those that accepted (L9).
        ceiling: Stamp,
    },
    /// There is no register, and the goal makes none.
    Nothing,
    /// Nothing is known of the outcome.
    Failed(Failure),
}

/// Why a run failed. If phase 2 had begun, its proposal may still be chosen (R3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// A higher ballot was promised, or too few acceptors can answer.
    Outrun,
    /// `lease` (L4): by whom, and the longest time left among them.
    Lease {
        /// The acceptors that refused so.
        by: BTreeSet<MemberId>,
        /// Time left.
        left: Span,
        /// Whether it was met while completing another's half-accepted change (R6).
        completing: bool,
    },
    /// No answer in time.
    Silence,
}

impl Proposer {
    /// A proposer that has proposed nothing in this process lifetime.
    #[must_use]
    pub fn new(me: Holder, account: AccountName, bugs: Bugs) -> Self {
        Self { me, account, bugs, highest: Counter::ZERO, run: None }
    }

    /// Whether a run is under way.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.run.is_some()
    }

    /// Whether a proposal was sent in the present run.
    #[must_use]
    pub fn proposed(&self) -> bool {
        self.run.as_ref().is_some_and(|run| matches!(run.phase, Phase::Two { .. }))
    }

    /// Begins a run under a new ballot; one under way is given up. `asked` are the acceptors for
    /// phase 1, with `exactly` all of them must promise (R6). `known` is what the region holds for
    /// the present value; it matters only to [`Bug::NoReadPhase`].
    pub fn begin(
        &mut self,
        goal: Goal,
        asked: BTreeSet<MemberId>,
        exactly: bool,
        known: Option<&Value>,
    ) -> (Vec<Output>, Option<Verdict>) {
        self.highest = self.highest.next();
        // R1: counter, member, boot: never used before.
        let ballot = Ballot { counter: self.highest, member: self.me.member, boot: self.me.boot };
        let taking = goal.taking();
        let phase = Phase::One {
            promised: BTreeMap::new(),
            refused: BTreeMap::new(),
            ceiling: Stamp::ZERO,
        };
        let skips = self.bugs.has(Bug::NoReadPhase) && matches!(goal, Goal::Change(..));
        self.run = Some(Run { goal, ballot, asked: asked.clone(), exactly, phase });
        if skips {
            return self.propose(known.cloned(), Stamp::ZERO);
        }
        let prepare = |to| {
            let account = self.account.clone();
            Output::ask(to, Message::Prepare(Prepare { account, ballot, taking: taking.clone() }))
        };
        (asked.into_iter().map(prepare).collect(), None)
    }

    /// Gives the run up: no answer came in time.
    pub fn expire(&mut self) -> Option<Verdict> {
        let run = self.run.take()?;
        let (Phase::One { refused, .. } | Phase::Two { refused, .. }) = &run.phase;
        let lease = lease(refused, completing(&run));
        Some(Verdict::Failed(lease.unwrap_or(Failure::Silence)))
    }

    /// Drops the run without a verdict. What it proposed may still be chosen (R3).
    pub fn cancel(&mut self) {
        self.run = None;
    }

    /// An acceptor's answer; those to other ballots are ignored.
    pub fn receive(&mut self, from: MemberId, message: Message) -> (Vec<Output>, Option<Verdict>) {
        match message {
            Message::Promise(promise) => self.promised(from, promise),
            Message::Accepted(accepted) => (Vec::new(), self.accepted(from, &accepted)),
            Message::Refused(refused) => (Vec::new(), self.refused(from, &refused)),
            _ => (Vec::new(), None),
        }
    }

    /// Notes a ballot seen elsewhere, to go above it.
    pub fn saw(&mut self, ballot: Ballot) {
        self.highest = self.highest.max(ballot.counter);
    }

    fn promised(&mut self, from: MemberId, promise: Promise) -> (Vec<Output>, Option<Verdict>) {
        let bugs = self.bugs;
        let nothing = (Vec::new(), None);
        let Some(run) = self.run.as_mut().filter(|run| run.ballot == promise.ballot) else {
            return nothing;
        };
        let Phase::One { promised, ceiling, .. } = &mut run.phase else {
            return nothing;
        };
        promised.insert(from, promise.accepted);
        *ceiling = promise.ceiling.max(*ceiling);
        let ceiling = *ceiling;
        let got: BTreeSet<MemberId> = promised.keys().copied().collect();
        let newest = promised.values().flatten().max_by_key(|(ballot, _)| *ballot);
        let newest = newest.map(|(_, value)| value.clone());
        // R5: a quorum of every set named in the newest value read, else it goes on asking.
        let named = newest.as_ref().map_or_else(
            || Acceptors { set: run.asked.clone(), old: None },
            |value| value.acceptors.clone(),
        );
        let complete = if run.exactly { got == run.asked } else { true };
        if complete && quorum(&named, &got, bugs) {
            return self.propose(newest, ceiling);
        }
        let more: Vec<MemberId> = if run.exactly {
            Vec::new()
        } else {
            named.all().difference(&run.asked).copied().collect()
        };
        run.asked.extend(&more);
        let ballot = run.ballot;
        let taking = run.goal.taking();
        let prepare = |to| {
            let account = self.account.clone();
            Output::ask(to, Message::Prepare(Prepare { account, ballot, taking: taking.clone() }))
        };
        (more.into_iter().map(prepare).collect(), None)
    }

    fn propose(&mut self, read: Option<Value>, ceiling: Stamp) -> (Vec<Output>, Option<Verdict>) {
        let bugs = self.bugs;
        let Some(run) = self.run.as_mut() else {
            return (Vec::new(), None);
        };
        let (value, applied) = match &run.goal {
            Goal::Read => (read, false),
            // R3: its own change met again is completed, not applied twice.
            Goal::Change(id, _) if read.as_ref().is_some_and(|it| it.version.change == *id) => {
                (read, true)
            }
            Goal::Change(id, change) => match change.apply(read.as_ref(), *id, bugs) {
                Ok(value) => (Some(value), true),
                Err(_) => (read, false),
            },
        };
        let Some(value) = value else {
            self.run = None;
            return (Vec::new(), Some(Verdict::Nothing));
        };
        let accept = |to| {
            let (account, value) = (self.account.clone(), value.clone());
            Output::ask(to, Message::Accept(Accept { account, ballot: run.ballot, value }))
        };
        let outputs = value.acceptors.all().into_iter().map(accept).collect();
        let (accepted, refused) = (BTreeSet::new(), BTreeMap::new());
        run.phase = Phase::Two { value, applied, accepted, refused, ceiling };
        (outputs, None)
    }

    fn accepted(&mut self, from: MemberId, it: &Accepted) -> Option<Verdict> {
        let bugs = self.bugs;
        let run = self.run.as_mut().filter(|run| run.ballot == it.ballot)?;
        let Phase::Two { value, applied, accepted, ceiling, .. } = &mut run.phase else {
            return None;
        };
        accepted.insert(from);
        // L9: a ceiling may have risen between promise and acceptance.
        if !bugs.has(Bug::L9PromisedCeiling) {
            *ceiling = it.ceiling.max(*ceiling);
        }
        if !quorum(&value.acceptors, accepted, bugs) {
            return None;
        }
        let verdict = Verdict::Chosen {
            value: value.clone(),
            ballot: run.ballot,
            applied: *applied,
            ceiling: *ceiling,
        };
        self.run = None;
        Some(verdict)
    }

    fn refused(&mut self, from: MemberId, it: &Refused) -> Option<Verdict> {
        if let Refusal::Promised(ballot) = it.why {
            self.saw(ballot);
        }
        let run = self.run.as_mut().filter(|run| run.ballot == it.ballot)?;
        let exact = run.exactly && matches!(run.phase, Phase::One { .. });
        let (named, refused) = match &mut run.phase {
            Phase::One { refused, promised, .. } => {
                let newest = promised.values().flatten().max_by_key(|(ballot, _)| *ballot);
                let asked = || Acceptors { set: run.asked.clone(), old: None };
                (newest.map_or_else(asked, |(_, value)| value.acceptors.clone()), refused)
            }
            Phase::Two { value, refused, .. } => (value.acceptors.clone(), refused),
        };
        refused.insert(from, it.why);
        let mut left = named.all();
        left.retain(|member| !refused.contains_key(member));
        if named.quorum(&left) && !exact {
            return None;
        }
        let refused = refused.clone();
        let lease = lease(&refused, completing(run));
        self.run = None;
        Some(Verdict::Failed(lease.unwrap_or(Failure::Outrun)))
    }
}

fn quorum(acceptors: &Acceptors, of: &BTreeSet<MemberId>, bugs: Bugs) -> bool {
    if bugs.has(Bug::QuorumOfOne) {
        return !of.is_empty();
    }
    acceptors.quorum(of)
}

/// Whether the run writes back what another proposed.
fn completing(run: &Run) -> bool {
    matches!(run.phase, Phase::Two { applied: false, .. })
}

fn lease(refused: &BTreeMap<MemberId, Refusal>, completing: bool) -> Option<Failure> {
    let mut by = BTreeSet::new();
    let mut longest = Span::ZERO;
    for (member, why) in refused {
        if let Refusal::Lease { left } = why {
            by.insert(*member);
            longest = longest.max(*left);
        }
    }
    (!by.is_empty()).then_some(Failure::Lease { by, left: longest, completing })
}
