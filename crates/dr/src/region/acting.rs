//! The primary: what may be acknowledged, and what is recorded about the secondary (M1, M2, E2).
//!
//! ```text
//!            opening commit acknowledged, lag small: enforce, then record
//!  Lagging, Seeding ─────────────────────────────────────────────────────► InSync (Bounded)
//!  (Local)          ◄───────────────────────────────────────────────────── lag > max_lag:
//!                          record (chosen), then relax                     stalls meanwhile
//! ```

use super::switchover::Drain;
use super::{Cx, Part, Region, setup::Grow};
use crate::{
    Acks, Bug, Change, Closed, ComputeRouting, Config, Gate, Goal, Mode, Reign, SecondaryState,
    Term, Value,
};
use base::{BootTime, Epoch, MemberId, Position, Span};
use std::collections::BTreeMap;

pub(super) struct Acting {
    pub(super) reign: Reign,
    opened: Position,
    opened_at: BootTime,
    /// E2, M1: the secondary acknowledged the opening commit, in this epoch.
    opening_acked: bool,
    /// What the secondary acknowledged last in this epoch.
    pub(super) acked: Option<Position>,
    waiting_since: Option<BootTime>,
    /// R3: `in_sync` was proposed, and no later value is known chosen: it binds.
    pub(super) binding: bool,
    /// R6: since when an acceptor tells another region or epoch.
    differs_since: Option<BootTime>,
    pub(super) drain: Option<Drain>,
    pub(super) grow: Option<Grow>,
}

impl Acting {
    pub(super) fn new(reign: Reign, opened: Position, now: BootTime) -> Self {
        Self {
            reign,
            opened,
            opened_at: now,
            opening_acked: false,
            acked: None,
            waiting_since: None,
            binding: false,
            differs_since: None,
            drain: None,
            grow: None,
        }
    }

    /// The oldest commit that waits for the secondary, as far as the bound goes.
    fn lag(&self, now: BootTime) -> Span {
        let since = if self.opening_acked {
            self.waiting_since
        } else {
            Some(self.waiting_since.unwrap_or(self.opened_at).min(self.opened_at))
        };
        since.map_or(Span::ZERO, |since| now.since(since))
    }

    fn acks(&self, value: &Value, cx: &Cx<'_>) -> Acks {
        let Some(max_lag) = max_lag(value.mode) else {
            // Modes that are not offered acknowledge nothing.
            return Acks::Nothing;
        };
        let in_sync = value.secondary_state == SecondaryState::InSync;
        let relaxed = cx.config.bugs.has(Bug::M2RelaxFirst) && self.lag(cx.now.boot) > max_lag;
        let fresh = cx.config.bugs.has(Bug::E4FreshTail);
        let binding = self.binding && !cx.config.bugs.has(Bug::R3ForgetProposal);
        if in_sync && !self.opening_acked && !relaxed && !fresh {
            // E2: until the opening commit is acknowledged by the secondary.
            Acks::Nothing
        } else if (in_sync || binding) && !relaxed {
            // M1: `in_sync` means enforced; R3: also while only proposed.
            Acks::Bounded { max_lag }
        } else {
            Acks::Local
        }
    }

    pub(super) fn gate(&self, region: &Region, cx: &Cx<'_>) -> Gate {
        let epoch = self.reign.epoch;
        let Some(value) = region.known.as_ref().filter(|value| value.reign == self.reign) else {
            return Gate::Closed { epoch, why: Closed::Changing };
        };
        // L2: covering grants, and the value by its own reading (it was opened by that).
        let Some(valid_until) = region.lease(cx).filter(|until| *until > cx.now.boot) else {
            return Gate::Closed { epoch, why: Closed::NoLease };
        };
        Gate::Open(Term {
            epoch,
            fork: value.fork,
            boot: region.me.boot,
            valid_until,
            acks: self.acks(value, cx),
            ceiling: cx.holder.ceiling(&region.account, self.reign, &value.acceptors),
            admits: self.drain.is_none(),
        })
    }

    pub(super) fn due(&self, region: &Region, cx: &Cx<'_>) -> Option<BootTime> {
        let value = region.known.as_ref()?;
        let bound = max_lag(value.mode)?;
        let just = Span::from_us(1);
        let since = if self.opening_acked { self.waiting_since } else { Some(self.opened_at) };
        let wants_lag = value.secondary_state == SecondaryState::InSync || self.binding;
        let lag = since.filter(|_| wants_lag).map(|since| since + bound + just);
        let lease = region.lease(cx).filter(|until| *until > cx.now.boot);
        let drain = self.drain.as_ref().map(Drain::due);
        let grow = self.grow.as_ref().map(Grow::due);
        // What is past was looked at in this turn, and is again at the next watch.
        let again = cx.after(cx.config.timing.watch());
        let due = lag.into_iter().chain(lease).chain(drain).chain(grow);
        due.filter(|due| *due > cx.now.boot).chain([again]).min()
    }
}

fn max_lag(mode: Mode) -> Option<Span> {
    match mode {
        Mode::Async { max_lag } => Some(max_lag),
        Mode::SyncStrict | Mode::SyncDegrade => None,
    }
}

impl Region {
    pub(super) fn acting(&mut self) -> Option<&mut Acting> {
        match &mut self.part {
            Part::Acting(acting) => Some(acting),
            _ => None,
        }
    }

    /// L2: until when the grants cover the known value's epoch.
    pub(super) fn lease(&self, cx: &Cx<'_>) -> Option<BootTime> {
        let value = self.known.as_ref()?;
        cx.holder.valid_until(&self.account, value.reign, &value.acceptors)
    }

    pub(super) fn secondary_acked(
        &mut self,
        cx: &mut Cx<'_>,
        from: MemberId,
        epoch: Epoch,
        position: Position,
    ) {
        let secondary = self.known.as_ref().and_then(|value| value.secondary);
        let Some(acting) = self.acting() else { return };
        // M1, E5: what the secondary said in the present epoch counts, and nothing else.
        let stale = epoch != acting.reign.epoch && !cx.config.bugs.has(Bug::StaleEpochAccepted);
        if stale || secondary != Some(from) {
            return;
        }
        let holds_opening =
            position.epoch == acting.reign.epoch && position.seq >= acting.opened.seq;
        acting.opening_acked |= holds_opening || cx.config.bugs.has(Bug::StaleEpochAccepted);
        acting.acked = Some(position);
    }

    pub(super) fn lag(&mut self, waiting_since: Option<BootTime>) {
        if let Some(acting) = self.acting() {
            acting.waiting_since = waiting_since;
        }
    }

    pub(super) fn turn_acting(&mut self, cx: &mut Cx<'_>) {
        self.keep_listed(cx);
        self.resolve_difference(cx);
        self.record_state(cx);
        self.turn_drain(cx);
        self.turn_grow(cx);
    }

    /// L1: after L without a lease the account is left out of the renewals until a chosen value
    /// that names this region has been read again.
    fn keep_listed(&mut self, cx: &mut Cx<'_>) {
        if self.lease(cx).is_some_and(|until| until > cx.now.boot) {
            self.leased_at = cx.now.boot;
        } else if cx.now.boot.since(self.leased_at) > cx.config.timing.lease() {
            self.leased_at = cx.now.boot;
            self.listed = cx.config.bugs.has(Bug::L1KeepListed);
            if self.register.goal().is_none() {
                self.register.want(Goal::Read, cx.now.boot);
            }
            let epoch = self.role_epoch();
            self.say(cx, format!("holds no lease in epoch {epoch}"));
        }
    }

    /// R6: an acceptor tells another region or epoch: a read settles which it is.
    fn resolve_difference(&mut self, cx: &mut Cx<'_>) {
        let (me, idle) = (self.me, self.register.goal().is_none());
        let Some(value) = self.known.clone() else { return };
        let account = self.account.clone();
        let Some(acting) = self.acting() else { return };
        let differs = value.acceptors.all().into_iter().any(|member| {
            cx.holder.told(member, &account).is_some_and(|told| told != (value.reign, me))
        });
        if !differs {
            acting.differs_since = None;
            return;
        }
        let since = *acting.differs_since.get_or_insert(cx.now.boot);
        if idle && cx.now.boot.since(since) >= cx.patience() {
            acting.differs_since = Some(cx.now.boot);
            self.register.want(Goal::Read, cx.now.boot);
        }
    }

    /// M1, M2: enforce before recording, record before relaxing.
    fn record_state(&mut self, cx: &mut Cx<'_>) {
        let Some(value) = self.known.clone() else { return };
        let (by, wanted) = (self.me, self.wanted_state());
        let leased = self.lease(cx).is_some_and(|until| until > cx.now.boot);
        let idle = self.register.goal().is_none();
        let Some(acting) = self.acting() else { return };
        let Some(bound) = max_lag(value.mode).filter(|_| value.secondary.is_some()) else { return };
        if value.reign != acting.reign {
            return;
        }
        let lag = acting.lag(cx.now.boot);
        let in_sync = value.secondary_state == SecondaryState::InSync;
        let record = |state| Change::Record { reign: value.reign, by, state };
        if (in_sync || acting.binding) && lag > bound {
            // M2: `lagging` is chosen before the first acknowledgement beyond the bound.
            if wanted != Some(SecondaryState::Lagging) {
                self.change(cx, record(SecondaryState::Lagging));
                self.say(cx, format!("lag has passed {bound}: records lagging"));
            }
            return;
        }
        // M1: anew only after the opening commit was acknowledged, whatever the lag.
        let proven = acting.opening_acked || cx.config.bugs.has(Bug::M1UnprovenInSync);
        let close =
            acting.waiting_since.is_none_or(|since| cx.now.boot.since(since) <= half(bound));
        let recordable =
            matches!(value.secondary_state, SecondaryState::Lagging | SecondaryState::Seeding);
        if recordable && proven && close && idle && leased && acting.grow.is_none() {
            // M2: the bound is in force before `in_sync` is proposed.
            acting.binding = true;
            self.change(cx, record(SecondaryState::InSync));
            self.say(cx, "the secondary has caught up: records in_sync".to_owned());
        }
    }

    fn wanted_state(&self) -> Option<SecondaryState> {
        match self.register.goal() {
            Some(Goal::Change(_, Change::Record { state, .. })) => Some(*state),
            _ => None,
        }
    }

    /// Home routing: whose compute should serve clients, by the primary's word.
    pub(super) fn compute(
        &self,
        heard: &BTreeMap<MemberId, BootTime>,
        config: &Config,
        now: BootTime,
    ) -> Option<MemberId> {
        let value = self.known.as_ref()?;
        let primary = value.primary.member;
        let apart = value.home != primary && value.secondary == Some(value.home);
        let wants_home = value.policies.compute_routing == ComputeRouting::Home;
        let steady =
            self.in_sync_since.is_some_and(|since| now.since(since) >= value.policies.home_after);
        let healthy =
            heard.get(&value.home).is_some_and(|heard| now.since(*heard) <= config.timing.lease());
        Some(if apart && wants_home && steady && healthy { value.home } else { primary })
    }
}

fn half(span: Span) -> Span {
    Span::from_us(span.us() / 2)
}

impl Acting {
    /// Takes the secondary's acknowledgement for granted ([`Bug::S2SignThenGoOn`]).
    pub(super) fn prove(&mut self, acked: Position) {
        (self.opening_acked, self.acked) = (true, Some(acked));
    }
}
