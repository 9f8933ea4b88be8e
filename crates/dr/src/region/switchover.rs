//! Switchover and failback: drain, sign, hand over (S1, S2).
//!
//! ```text
//! old primary:   Acting ─drain─► drained, acknowledged ─sign─► Released ─chosen─► Attaching
//!                  ▲  └──too slow: local abort──┘                  └─no taker─► Raise ─► Opening
//!                  └───────────────────────────────────────────────────────────────┘
//! next primary:  Following ─release─► Taking ─end equals the marker─► Handoff ─chosen─► Opening
//! ```

use super::{Cx, Goal, Part, Region, same};
use crate::{
    Action, Bug, Change, Error, Holder, Message, Query, Reign, Release, RequestId, SecondaryState,
    Sender, SwitchoverPlan,
};
use base::{BootTime, Epoch, MemberId, Position, Span};

pub(super) struct Drain {
    plan: SwitchoverPlan,
    until: BootTime,
    end: Option<Position>,
}

impl Drain {
    pub(super) fn due(&self) -> BootTime {
        self.until
    }
}

pub(super) struct Released {
    release: Release,
    opened: Position,
    resend: BootTime,
    abort: BootTime,
}

impl Released {
    pub(super) fn reign(&self) -> Reign {
        self.release.reign
    }
    pub(super) fn due(&self) -> BootTime {
        self.resend.min(self.abort)
    }
}

pub(super) struct Taking {
    release: Release,
    query: Query,
    proposed: bool,
}

impl Region {
    pub(super) fn switchover(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        to: Option<MemberId>,
        replaces: Option<Epoch>,
    ) {
        let outcome = self.plan_switchover(cx, to, replaces);
        match outcome {
            Ok(plan) => {
                self.request = Some(request);
                let (account, epoch) = (self.account.clone(), plan.replaces.epoch);
                self.say(cx, plan.to_string());
                let until = cx.after(cx.config.drain_wait);
                if let Some(acting) = self.acting() {
                    acting.drain = Some(Drain { plan, until, end: None });
                }
                cx.act(Action::Drain { account, epoch });
            }
            Err(error) => cx.act(Action::Reply { request, outcome: Err(error) }),
        }
    }

    fn plan_switchover(
        &mut self,
        cx: &Cx<'_>,
        to: Option<MemberId>,
        replaces: Option<Epoch>,
    ) -> Result<SwitchoverPlan, Error> {
        let (account, from) = (self.account.clone(), self.me);
        let unknown = || Error::UnknownAccount { account: account.clone() };
        let value = self.known.clone().ok_or_else(unknown)?;
        let epoch = value.reign.epoch;
        let acting = self.acting().ok_or(Error::NotPrimary { epoch })?;
        let to = to.unwrap_or(value.home);
        if let Some(asked) = replaces.filter(|asked| *asked != epoch) {
            return Err(Error::OtherEpoch { asked, epoch });
        }
        if acting.drain.is_some() || acting.grow.is_some() {
            return Err(Error::Busy { what: "a switchover or a change of members" });
        }
        if value.secondary != Some(to) {
            return Err(Error::NotSecondary { member: to });
        }
        // S1: the secondary must be `in_sync`.
        if value.secondary_state != SecondaryState::InSync {
            return Err(Error::NotInSync { state: value.secondary_state });
        }
        let heard =
            cx.heard.get(&to).is_some_and(|at| cx.now.boot.since(*at) <= cx.config.timing.lease());
        if !heard {
            return Err(Error::GivenUp { why: "the next primary cannot be reached" });
        }
        Ok(SwitchoverPlan {
            account,
            parent: value.version,
            replaces: value.reign,
            from,
            to,
            failback: to == value.home,
            names: [cx.name(from.member), cx.name(to)],
        })
    }

    pub(super) fn drained(&mut self, epoch: Epoch, end: Position) {
        if let Some(acting) = self.acting()
            && acting.reign.epoch == epoch
            && let Some(drain) = &mut acting.drain
        {
            drain.end = Some(end);
            self.log = Some(end);
        }
    }

    pub(super) fn turn_drain(&mut self, cx: &mut Cx<'_>) {
        let Some(value) = self.known.clone() else { return };
        let idle = self.register.goal().is_none();
        let Some(acting) = self.acting() else { return };
        let Some(drain) = &acting.drain else { return };
        if cx.now.boot >= drain.until || value.secondary_state != SecondaryState::InSync {
            // S2: before signing an abort is local.
            acting.drain = None;
            let why = "the secondary did not take everything in time";
            self.reply(cx, Err(Error::GivenUp { why }));
            self.say(cx, format!("the switchover is given up: {why}"));
            return;
        }
        let acked = acting.acked;
        let ready = drain.end.filter(|end| acked.is_some_and(|acked| same(acked, *end)));
        // S1: the release names the version; nothing of an unknown outcome may be under way.
        if let Some(at) = ready.filter(|_| idle && !acting.binding) {
            let next = drain.plan.to;
            self.sign(cx, at, next);
        }
    }

    /// S2: from here it acknowledges nothing and answers no read in this epoch, ever. The gate
    /// closes in this turn, before the release leaves.
    fn sign(&mut self, cx: &mut Cx<'_>, at: Position, next: MemberId) {
        let Some(value) = self.known.clone() else { return };
        let (signer, reign) = (self.me, value.reign);
        let (attempt, version) = (value.attempt, value.version);
        let release = Release { signer, reign, attempt, version, at, next };
        let quarter = Span::from_us(cx.patience().us() / 4);
        self.part = Part::Released(Released {
            release,
            opened: at,
            resend: cx.after(quarter),
            abort: cx.after(Span::from_us(cx.config.timing.lease().us() / 2)),
        });
        cx.send(next, Message::Released { account: self.account.clone(), release });
        self.say(cx, format!("signed epoch {} away at seq {}", reign.epoch, at.seq));
    }

    pub(super) fn turn_released(&mut self, cx: &mut Cx<'_>) {
        let (by, idle) = (self.me, self.register.goal().is_none());
        let account = self.account.clone();
        let Part::Released(released) = &mut self.part else { return };
        let release = released.release;
        if cx.now.boot >= released.resend {
            released.resend = cx.after(Span::from_us(cx.patience().us() / 4));
            cx.send(release.next, Message::Released { account, release });
        }
        if cx.now.boot < released.abort {
            return;
        }
        released.abort = cx.after(cx.config.timing.lease());
        if cx.config.bugs.has(Bug::S2SignThenGoOn) {
            let opened = released.opened;
            let mut acting = super::acting::Acting::new(release.reign, opened, cx.now.boot);
            acting.prove(opened);
            self.part = Part::Acting(acting);
            return;
        }
        if idle {
            // S2: on by a chosen change alone, which raises epoch and attempt. If it meets the
            // handoff half-accepted, it completes that instead.
            let (was, at) = (release.reign, release.at);
            self.change(cx, Change::Raise { was, by, at, unsure: false });
            self.say(cx, "the next primary does not take over: begins a new epoch".to_owned());
        }
    }

    /// S1, at the next primary.
    pub(super) fn released_to_me(&mut self, cx: &mut Cx<'_>, from: Sender, release: Release) {
        let Some(value) = self.known.clone() else { return };
        let mine = release.next == self.me.member && release.signer == from;
        // E5: only for the epoch that is followed.
        let fits = release.reign == value.reign && value.primary == from;
        if matches!(self.part, Part::Following) && mine && fits {
            let query = self.query();
            self.part = Part::Taking(Taking { release, query, proposed: false });
            let (account, epoch) = (self.account.clone(), release.reign.epoch);
            cx.act(Action::StopAppends { account, query, epoch });
            self.say(cx, format!("takes over what was signed away in epoch {epoch}"));
        }
    }

    pub(super) fn taking_measured(&mut self, cx: &mut Cx<'_>, query: Query, end: Position) {
        let by: Holder = self.me;
        let Part::Taking(taking) = &mut self.part else { return };
        if taking.query != query || taking.proposed {
            return;
        }
        let release = taking.release;
        // S1: the durable end equals the marker's position and hash.
        if same(end, release.at) {
            taking.proposed = true;
            self.change(cx, Change::Handoff { release, by });
        } else {
            self.attach_again(cx);
        }
    }

    /// Whether a handoff to this region is being proposed for the value's epoch and attempt.
    pub(super) fn taking_goes_on(&self, value: &crate::Value) -> bool {
        let Part::Taking(taking) = &self.part else { return false };
        let release = &taking.release;
        let still = release.reign == value.reign && release.attempt == value.attempt;
        // A handoff that did not apply has ended its goal; a new version voids the marker.
        still && (matches!(self.register.goal(), Some(Goal::Change(..))) || !taking.proposed)
    }
}
