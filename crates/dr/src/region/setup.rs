//! What operators ask: new accounts (R7), one acceptor grown into three (R5), and the rest.

use super::{Cx, Part, Region};
use crate::{
    Action, Change, Error, Goal, Message, Mode, Policies, Request, RequestId, SecondaryState,
};
use base::{BootTime, MemberId, Span};
use std::collections::BTreeSet;

/// How long `create` waits for every member's answer.
const CREATE_WAIT: Span = Span::from_secs(10);
/// How long `grow` waits for copies, longer than the wait of an acceptor that knows nothing (L5).
const GROW_WAIT: Span = Span::from_secs(60);

pub(super) struct Creating {
    request: RequestId,
    mode: Mode,
    policies: Policies,
    answered: BTreeSet<MemberId>,
    until: BootTime,
}

pub(super) struct Grow {
    request: RequestId,
    target: BTreeSet<MemberId>,
    secondary: MemberId,
    copied: BTreeSet<MemberId>,
    next: BootTime,
    until: BootTime,
}

impl Grow {
    pub(super) fn due(&self) -> BootTime {
        self.next.min(self.until)
    }
}

impl Region {
    pub(super) fn operator(&mut self, cx: &mut Cx<'_>, request: RequestId, asked: Request) {
        let refused = match asked {
            Request::Switchover { to, replaces, .. } => {
                return self.switchover(cx, request, Some(to), replaces);
            }
            Request::Failback { replaces, .. } => {
                return self.switchover(cx, request, None, replaces);
            }
            Request::Create { mode, policies, .. } => {
                return self.create(cx, request, mode, policies);
            }
            Request::Grow { .. } => return self.grow(cx, request),
            Request::Rejoin { .. } => {
                let outcome = if self.rejoin(cx) {
                    Ok("rejoins".to_owned())
                } else {
                    Err(Error::GivenUp { why: "nothing waits for a command to rejoin" })
                };
                return cx.act(Action::Reply { request, outcome });
            }
            Request::ForcedFailover { .. } => "forced failover",
            Request::SetMode { .. } => "a change of mode",
            Request::SoleSurvivor => "sole-survivor recovery",
        };
        let outcome = Err(Error::NotOffered { what: refused });
        cx.act(Action::Reply { request, outcome });
    }

    fn create(&mut self, cx: &mut Cx<'_>, request: RequestId, mode: Mode, policies: Policies) {
        let account = self.account.clone();
        let refused = if self.known.is_some() {
            Some(Error::Exists { account })
        } else if !matches!(mode, Mode::Async { .. }) {
            Some(Error::NotOffered { what: "a mode other than async" })
        } else if matches!(self.part, Part::Creating(_)) {
            Some(Error::Busy { what: "the creation of the account" })
        } else {
            None
        };
        if let Some(error) = refused {
            return cx.act(Action::Reply { request, outcome: Err(error) });
        }
        self.register.give_up();
        let until = cx.after(CREATE_WAIT);
        let answered = BTreeSet::new();
        self.part = Part::Creating(Creating { request, mode, policies, answered, until });
    }

    /// R7: only where all members hold no register of that name.
    pub(super) fn create_answered(&mut self, cx: &mut Cx<'_>, from: MemberId, holds: bool) {
        let (by, secondary) = (self.me, self.witness_free_peer(cx.config));
        let account = self.account.clone();
        let idle = self.register.goal().is_none();
        let Part::Creating(creating) = &mut self.part else { return };
        if !idle {
            return;
        }
        if holds {
            let request = creating.request;
            self.part = Part::Waiting;
            self.register.want(Goal::Read, cx.now.boot);
            let outcome = Err(Error::Exists { account });
            return cx.act(Action::Reply { request, outcome });
        }
        creating.answered.insert(from);
        let members: BTreeSet<MemberId> = cx.config.members.iter().map(|peer| peer.id).collect();
        if creating.answered.is_superset(&members) {
            let change = Change::Create {
                generation: cx.config.generation,
                by,
                secondary,
                mode: creating.mode,
                policies: creating.policies,
                acceptors: members,
            };
            self.change(cx, change);
        }
    }

    pub(super) fn turn_creating(&mut self, cx: &mut Cx<'_>) {
        let Part::Creating(creating) = &self.part else { return };
        if cx.now.boot >= creating.until {
            // What was proposed may still be chosen (R3): the read tells.
            let request = creating.request;
            self.part = Part::Waiting;
            self.register.want(Goal::Read, cx.now.boot);
            let outcome = Err(Error::NoQuorum { within: CREATE_WAIT });
            cx.act(Action::Reply { request, outcome });
        }
    }

    /// The register has a value now.
    pub(super) fn created(&mut self, cx: &mut Cx<'_>, mine: bool) {
        let account = self.account.clone();
        let Part::Creating(creating) = &self.part else { return };
        let request = creating.request;
        self.part = Part::Waiting;
        let outcome =
            if mine { Ok(format!("created {account}")) } else { Err(Error::Exists { account }) };
        cx.act(Action::Reply { request, outcome });
    }

    fn grow(&mut self, cx: &mut Cx<'_>, request: RequestId) {
        let target: BTreeSet<MemberId> = cx.config.members.iter().map(|peer| peer.id).collect();
        let secondary = self.witness_free_peer(cx.config);
        let epoch = self.role_epoch();
        let alone = self.known.as_ref().is_some_and(|value| {
            value.secondary_state == SecondaryState::None && value.acceptors.set.len() == 1
        });
        let now = cx.now.boot;
        let until = cx.after(GROW_WAIT);
        let outcome = match (self.acting(), secondary) {
            (None, _) => Error::NotPrimary { epoch },
            (Some(acting), _) if acting.grow.is_some() || acting.drain.is_some() => {
                Error::Busy { what: "a switchover or a change of members" }
            }
            (Some(acting), Some(secondary)) if alone && target.len() == 3 => {
                let copied = BTreeSet::new();
                let grow = Grow { request, target, secondary, copied, next: now, until };
                acting.grow = Some(grow);
                return;
            }
            _ => Error::NotOffered { what: "a change of members other than from one to three" },
        };
        cx.act(Action::Reply { request, outcome: Err(outcome) });
    }

    pub(super) fn copied(&mut self, from: MemberId, settled_in: Span) {
        if let Some(grow) = self.acting().and_then(|acting| acting.grow.as_mut())
            && settled_in == Span::ZERO
        {
            grow.copied.insert(from);
        }
    }

    /// R5: copies first; then old and new set together; then the old one is dropped.
    pub(super) fn turn_grow(&mut self, cx: &mut Cx<'_>) {
        let (Some(value), by) = (self.known.clone(), self.me) else { return };
        let (ballot, idle) = (self.ballot, self.register.goal().is_none());
        let account = self.account.clone();
        if value.acceptors.old.is_some() {
            if idle {
                self.change(cx, Change::DropOld { by });
                self.say(cx, "the three vote: drops the register of one".to_owned());
            }
            return;
        }
        let Some(acting) = self.acting() else { return };
        let Some(grow) = &mut acting.grow else { return };
        let request = grow.request;
        if value.acceptors.set == grow.target {
            acting.grow = None;
            let outcome = Ok(format!("{account} is a pair with a witness now"));
            return cx.act(Action::Reply { request, outcome });
        }
        if cx.now.boot >= grow.until {
            acting.grow = None;
            let outcome = Err(Error::NoQuorum { within: GROW_WAIT });
            return cx.act(Action::Reply { request, outcome });
        }
        let fresh = grow.target.difference(&value.acceptors.set);
        let missing: Vec<MemberId> =
            fresh.filter(|it| !grow.copied.contains(it)).copied().collect();
        if missing.is_empty() {
            if idle {
                let (acceptors, secondary) = (grow.target.clone(), grow.secondary);
                self.change(cx, Change::Grow { by, acceptors, secondary });
                self.say(cx, "grows the register from one acceptor to three".to_owned());
            }
        } else if cx.now.boot >= grow.next {
            grow.next = cx.after(cx.patience());
            let Some(ballot) = ballot else { return };
            for to in missing {
                let (account, value) = (account.clone(), value.clone());
                cx.send(to, Message::Copy { account, ballot, value });
            }
        }
    }
}
